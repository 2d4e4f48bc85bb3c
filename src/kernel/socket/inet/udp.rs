//! Datagrams over IP.
//!
//! This file does not know packets; a datagram goes straight to the receiver's buffer.
//!
//! 2.1 counterpart: netinet/udp_usrreq.c.

use std::net::Ipv4Addr;

use syscalls::errno::Errno;

use super::super::chain::Chain;
use super::super::events;
use super::super::mbuf::{Mbuf, MbufType};
use super::super::protosw::{CtlInput, Message, UserRequest};
use super::super::socket::{SockState, SocketId, SocketOptions};
use super::super::state::{socantsendmore, soisconnected, soisdisconnected, soreserve, sorwakeup, sowwakeup};
use super::ip::IPDEFTTL;
use super::pcb::{self, InpFlags, InpcbId, List, sotoinpcb};
use super::{INADDR_ANY, SockaddrIn, bridge, interface};
use crate::kernel::{Context, Kernel};

/// Largest datagram.
const SENDSPACE: u32 = 9216;
/// Room for forty datagrams of a kilobyte.
const RECVSPACE: u32 = 40 * (1024 + SockaddrIn::LEN as u32);
/// Headers of a datagram, which the original puts in front of it.
const HEADERS: usize = 28;
/// Type of the control message with the destination address (IP_RECVDSTADDR).
const IP_RECVDSTADDR: u32 = 7;

/// Serves the requests of the socket layer (`udp_usrreq`).
pub(super) fn usrreq(cx: &mut Context<'_>, so: SocketId, request: UserRequest<'_>) -> Result<(), Errno> {
    if cx.kernel.sockets.inet.is_bridged() {
        return bridge::datagram(cx, so, request);
    }
    if let UserRequest::Control { cmd, data } = request {
        return interface::control(cx, so, cmd, data);
    }
    if let UserRequest::Attach { .. } = request {
        return attach(cx.kernel, so);
    }
    let inp = sotoinpcb(cx.kernel, so)?;
    let connected = cx.kernel.sockets.inet.inp(inp).faddr != INADDR_ANY;
    match request {
        UserRequest::Detach => detach(cx.kernel, inp),
        UserRequest::Bind { nam } => return pcb::bind(cx, inp, Some(nam)),
        UserRequest::Connect { .. } if connected => return Err(Errno::EISCONN),
        UserRequest::Connect { nam } => {
            pcb::connect(cx, inp, nam)?;
            soisconnected(cx.kernel, so);
        }
        UserRequest::Disconnect if !connected => return Err(Errno::ENOTCONN),
        UserRequest::Disconnect => {
            pcb::disconnect(cx.kernel, inp);
            if cx.kernel.sockets.inet.has(inp) {
                cx.kernel.sockets.inet.inp_mut(inp).laddr = INADDR_ANY;
                cx.kernel.sockets[so].state.remove(SockState::ISCONNECTED);
            }
        }
        UserRequest::Shutdown => socantsendmore(cx.kernel, so),
        UserRequest::Send(message) => {
            return events::within(cx, so, "udp_output", |cx| output(cx, inp, message));
        }
        UserRequest::Abort => {
            soisdisconnected(cx.kernel, so);
            detach(cx.kernel, inp);
        }
        UserRequest::Sockaddr { nam } => pcb::set_sockaddr(cx.kernel, inp, nam),
        UserRequest::Peeraddr { nam } => pcb::set_peeraddr(cx.kernel, inp, nam),
        // Does not bother with a block size.
        UserRequest::Sense(_) => {}
        _ => return Err(Errno::EOPNOTSUPP),
    }
    Ok(())
}

/// Gives a socket its buffers and a control block.
pub(super) fn attach(kernel: &mut Kernel, so: SocketId) -> Result<(), Errno> {
    if kernel.sockets[so].inpcb().is_some() {
        return Err(Errno::EINVAL);
    }
    let inp = pcb::alloc(kernel, so, List::Udp);
    kernel.sockets.inet.inp_mut(inp).ttl = IPDEFTTL;
    soreserve(&mut kernel.sockets[so], SENDSPACE, RECVSPACE)?;
    events::note_reserved(kernel, so);
    Ok(())
}

fn detach(kernel: &mut Kernel, inp: InpcbId) {
    pcb::detach(kernel, inp);
}

/// Sends a datagram; with an address the socket is connected for the moment.
fn output(cx: &mut Context<'_>, id: InpcbId, message: Message<'_>) -> Result<(), Errno> {
    let inp = cx.kernel.sockets.inet.inp(id);
    let (so, laddr, connected) = (inp.socket, inp.laddr, inp.faddr != INADDR_ANY);
    match message.nam {
        Some(_) if connected => return Err(Errno::EISCONN),
        Some(nam) => pcb::connect(cx, id, nam)?,
        None if !connected => return Err(Errno::ENOTCONN),
        None => {}
    }
    let inet = &cx.kernel.sockets.inet;
    let inp = inet.inp(id);
    let (from, to) = ((inp.laddr, inp.lport), (inp.faddr, inp.fport));
    let dontroute = cx.kernel.sockets[so].options.contains(SocketOptions::DONTROUTE);
    let sent = inet.route(to.0, dontroute);
    if message.nam.is_some() {
        pcb::disconnect(cx.kernel, id);
        cx.kernel.sockets.inet.inp_mut(id).laddr = laddr;
    }
    sent?;
    let len = message.m.bytes() + HEADERS;
    cx.kernel.sockets.inet.has_room(len as i16)?;
    // With what is left of a length that does not fit into the header the sum is wrong (udp_input).
    let lost = len > usize::from(u16::MAX);
    if cx.kernel.sockets.inet.is_own(to.0) && !lost {
        input(cx.kernel, from, to, message.m);
    }
    Ok(())
}

/// Receives a datagram; without a receiver the sender is told, if it is still connected.
fn input(kernel: &mut Kernel, from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), data: Chain) {
    let inet = &kernel.sockets.inet;
    let receiver = inet.lookup_exact(List::Udp, from, to).or_else(|| inet.lookup(List::Udp, from, to, true));
    let Some(receiver) = receiver else {
        ctlinput(kernel, CtlInput::UnreachPort, from, to);
        return;
    };
    let inp = inet.inp(receiver);
    let control = inp.flags.contains(InpFlags::RECVDSTADDR).then(|| Chain::from(destination(to.0)));
    let so = inp.socket;
    let name = SockaddrIn::new(from.0, from.1).bytes();
    // What does not fit is lost.
    let fits = kernel.sockets[so].rcv.append_addr(&name, Some(with_header(data)), control);
    events::note_with(kernel, so, "sbappendaddr", || if fits { "" } else { "no room" });
    if fits {
        sorwakeup(kernel, so);
    }
}

/// The original's headers go where the first mbuf has room before its data, or else into an mbuf of their
/// own, which stays behind empty when they are gone.
fn with_header(mut data: Chain) -> Chain {
    if data.front().is_none_or(|m| m.leading_space() < HEADERS) {
        data.push_front(Mbuf::gethdr(MbufType::Data));
    }
    data
}

/// The control message that tells where a datagram was sent to (`udp_saveopt`).
fn destination(addr: Ipv4Addr) -> Mbuf {
    let mut m = Mbuf::get(MbufType::Control);
    for word in [16, super::IPPROTO_IP, IP_RECVDSTADDR] {
        m.push(&word.to_le_bytes());
    }
    m.push(&addr.octets());
    m
}

/// Tells the sockets that are connected from `from` to `to` what became of a datagram (`udp_ctlinput`,
/// `in_pcbnotify`, `udp_notify`).
fn ctlinput(kernel: &mut Kernel, cmd: CtlInput, from: (Ipv4Addr, u16), to: (Ipv4Addr, u16)) {
    let error = cmd.error();
    for id in kernel.sockets.inet.list(List::Udp) {
        let inp = kernel.sockets.inet.inp(id);
        if (inp.faddr, inp.fport) == to && (inp.laddr, inp.lport) == from {
            let so = inp.socket;
            kernel.sockets[so].error = Some(error);
            sorwakeup(kernel, so);
            sowwakeup(kernel, so);
        }
    }
}
