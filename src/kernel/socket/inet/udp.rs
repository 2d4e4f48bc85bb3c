//! Datagrams over IP.
//!
//! A datagram goes through the switch straight to the receiver's buffer; headers are looked at only where a
//! raw socket has made them.
//!
//! This file does not know calls.
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
use super::ip_input::{Ends, IP_HEADER, Packet, checksum};
use super::pcb::{self, InpFlags, InpcbId, List, sotoinpcb};
use super::variables::UdpCount;
use super::{INADDR_ANY, IPPROTO_UDP, SockaddrIn, bridge, interface, ip_input};
use crate::kernel::{Context, Kernel};

/// Headers of a datagram, which the original puts in front of it.
const HEADERS: usize = IP_HEADER + UDP_HEADER;
/// Size of its own header.
const UDP_HEADER: usize = 8;
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
    let variables = &kernel.sockets.inet.variables;
    let (ttl, send, receive) = (variables.ip_ttl, variables.udp_maxdgram, variables.udp_recvspace);
    kernel.sockets.inet.inp_mut(inp).ttl = ttl as u8;
    soreserve(&mut kernel.sockets[so], send as u32, receive as u32)?;
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
    cx.kernel.sockets.inet.statistics.count_udp(UdpCount::Opackets);
    if cx.kernel.sockets.inet.is_own(to.0)
        && let Some(data) = as_it_arrives(cx.kernel, len, message.m)
    {
        ip_input::input(cx.kernel, Packet::Datagram(Ends { from, to }, data));
    }
    Ok(())
}

/// What arrives of a datagram.  With what is left of a length that does not fit into the header the sum is
/// wrong (`udp_input`); without sums it is cut to that (`ipintr`).
fn as_it_arrives(kernel: &mut Kernel, len: usize, mut data: Chain) -> Option<Chain> {
    if len <= usize::from(u16::MAX) {
        return Some(data);
    }
    let inet = &mut kernel.sockets.inet;
    if inet.variables.udp_checksum != 0 {
        inet.statistics.count_udp(UdpCount::Badsum);
        return None;
    }
    let mut left = usize::from(len as u16).checked_sub(HEADERS)?;
    data.for_each_mut(|m| {
        m.set_len(m.len().min(left));
        left -= m.len();
    });
    Some(data)
}

/// Receives a packet (`udp_input`).
pub(super) fn input(kernel: &mut Kernel, packet: Packet) {
    kernel.sockets.inet.statistics.count_udp(UdpCount::Ipackets);
    match packet {
        Packet::Datagram(ends, data) => deliver(kernel, ends, data),
        Packet::Raw(packet) => match take_apart(&packet) {
            Ok((ends, data)) => deliver(kernel, ends, Chain::of_packet(data)),
            Err(why) => kernel.sockets.inet.statistics.count_udp(why),
        },
    }
}

/// The ends and the data of a packet that a raw socket sent, or what it is dropped for.
fn take_apart(packet: &[u8]) -> Result<(Ends, &[u8]), UdpCount> {
    let ip = packet.first_chunk::<IP_HEADER>().ok_or(UdpCount::Hdrops)?;
    let datagram = packet.get(usize::from(ip[0] & 0x0f) * 4..).ok_or(UdpCount::Hdrops)?;
    let &[s1, s0, d1, d0, l1, l0, c1, c0] = datagram.first_chunk::<UDP_HEADER>().ok_or(UdpCount::Hdrops)?;
    let len = u16::from_be_bytes([l1, l0]);
    let datagram = datagram.get(..usize::from(len)).ok_or(UdpCount::Badlen)?;
    let data = datagram.get(UDP_HEADER..).ok_or(UdpCount::Badlen)?;
    let pseudo_header = [0, ip[9], l1, l0];
    if [c1, c0] != [0, 0] && checksum(&[&ip[12..20], &pseudo_header, datagram]) != 0 {
        return Err(UdpCount::Badsum);
    }
    let src = Ipv4Addr::new(ip[12], ip[13], ip[14], ip[15]);
    let dst = Ipv4Addr::new(ip[16], ip[17], ip[18], ip[19]);
    let (from, to) = ((src, u16::from_be_bytes([s1, s0])), (dst, u16::from_be_bytes([d1, d0])));
    Ok((Ends { from, to }, data))
}

/// Receives a datagram; without a receiver the sender is told, if it is still connected.
fn deliver(kernel: &mut Kernel, ends: Ends, data: Chain) {
    let Ends { from, to } = ends;
    let inet = &mut kernel.sockets.inet;
    let exact = inet.lookup_exact(List::Udp, from, to);
    if exact.is_none() {
        inet.statistics.count_udp(UdpCount::Pcbhashmiss);
    }
    let Some(receiver) = exact.or_else(|| inet.lookup(List::Udp, from, to, true)) else {
        inet.statistics.count_udp(UdpCount::Noport);
        ip_input::error(kernel, IPPROTO_UDP, CtlInput::UnreachPort, ends);
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
    } else {
        kernel.sockets.inet.statistics.count_udp(UdpCount::Fullsock);
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

/// Tells the sockets that are connected to an address what happened there; where it happened to a datagram,
/// only the one that sent it (`udp_ctlinput`, `in_pcbnotify`, `udp_notify`).
pub(super) fn ctlinput(kernel: &mut Kernel, cmd: CtlInput, sa: &[u8], ends: Option<Ends>) {
    let Some(error) = cmd.error() else { return };
    let Ok(sin) = SockaddrIn::from_bytes(sa) else { return };
    if !sin.is_inet() || sin.addr == INADDR_ANY {
        return;
    }
    for id in kernel.sockets.inet.list(List::Udp) {
        let inp = kernel.sockets.inet.inp(id);
        let own = ends.is_none_or(|ends| (inp.laddr, inp.lport) == ends.from && inp.fport == ends.to.1);
        if inp.faddr == sin.addr && own {
            let so = inp.socket;
            kernel.sockets[so].error = Some(error);
            sorwakeup(kernel, so);
            sowwakeup(kernel, so);
        }
    }
}
