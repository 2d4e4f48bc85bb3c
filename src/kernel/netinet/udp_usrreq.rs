//! Datagrams over IP: the requests of the socket layer, and sending.
//!
//! This file does not know calls.
//!
//! 2.1 counterpart: netinet/udp_usrreq.c.

use syscalls::errno::Errno;

use super::in_cksum::{in_cksum, pseudo};
use super::in_pcb::{self, InpcbId, List, sotoinpcb};
use super::ip::{IP_HEADER, Ip, store};
use super::ip_output::{self, Flags};
use super::statistics::udps;
use super::{INADDR_ANY, bridge, in_control, ipproto};
use crate::kernel::socket::protosw::{Message, UserRequest};
use crate::kernel::socket::socket::{SockState, SocketOptions};
use crate::kernel::socket::state::{socantsendmore, soisconnected, soisdisconnected, soreserve};
use crate::kernel::socket::{SocketId, events};
use crate::kernel::{Context, Kernel};

/// Size of its own header.
pub(super) const UDP_HEADER: usize = 8;

/// Serves the requests of the socket layer (`udp_usrreq`).
pub(super) fn udp_usrreq(cx: &mut Context<'_>, so: SocketId, request: UserRequest<'_>) -> Result<(), Errno> {
    if cx.kernel.inet.is_bridged() {
        return bridge::datagram(cx, so, request);
    }
    match request {
        UserRequest::Control { cmd, data } => return in_control::in_control(cx, so, cmd, data),
        UserRequest::Attach { .. } => return attach(cx.kernel, so),
        _ => {}
    }
    let id = sotoinpcb(cx.kernel, so)?;
    let connected = cx.kernel.inet.inp(id).faddr != INADDR_ANY;
    match request {
        UserRequest::Detach => in_pcb::detach(cx.kernel, id),
        UserRequest::Bind { nam } => return in_pcb::bind(cx, id, Some(nam)),
        UserRequest::Connect { .. } if connected => return Err(Errno::EISCONN),
        UserRequest::Connect { nam } => {
            in_pcb::connect(cx, id, nam)?;
            soisconnected(cx.kernel, so);
        }
        UserRequest::Disconnect if !connected => return Err(Errno::ENOTCONN),
        UserRequest::Disconnect => {
            in_pcb::disconnect(cx.kernel, id);
            if cx.kernel.inet.has(id) {
                cx.kernel.inet.inp_mut(id).laddr = INADDR_ANY;
                cx.kernel.inet.rehash(id);
                cx.kernel.sockets[so].state.remove(SockState::ISCONNECTED);
            }
        }
        UserRequest::Shutdown => socantsendmore(cx.kernel, so),
        UserRequest::Send(message) => {
            return events::within(cx, so, "udp_output", |cx| udp_output(cx, id, message));
        }
        UserRequest::Abort => {
            soisdisconnected(cx.kernel, so);
            in_pcb::detach(cx.kernel, id);
        }
        UserRequest::Sockaddr { nam } => in_pcb::set_sockaddr(cx.kernel, id, nam),
        UserRequest::Peeraddr { nam } => in_pcb::set_peeraddr(cx.kernel, id, nam),
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
    let id = in_pcb::alloc(kernel, so, List::Udp);
    let variables = &kernel.inet.variables;
    let (ttl, send, receive) = (variables.ip_ttl, variables.udp_maxdgram, variables.udp_recvspace);
    soreserve(&mut kernel.sockets[so], send as u32, receive as u32)?;
    events::note_reserved(kernel, so);
    kernel.inet.inp_mut(id).ttl = ttl as u8;
    Ok(())
}

/// Sends a datagram; with an address the socket is connected for the moment (`udp_output`).
fn udp_output(cx: &mut Context<'_>, id: InpcbId, message: Message<'_>) -> Result<(), Errno> {
    let inp = cx.kernel.inet.inp(id);
    let (laddr, connected) = (inp.laddr, inp.faddr != INADDR_ANY);
    match message.nam {
        Some(_) if connected => return Err(Errno::EISCONN),
        Some(nam) => in_pcb::connect(cx, id, nam)?,
        None if !connected => return Err(Errno::ENOTCONN),
        None => {}
    }
    let kernel = &mut *cx.kernel;
    let inp = kernel.inet.inp(id);
    let mut m = message.m;
    let len = m.bytes();
    m.prepend(IP_HEADER + UDP_HEADER);
    let mut ip = Ip::new(ipproto::UDP as u8, inp.laddr, inp.faddr, IP_HEADER + UDP_HEADER + len);
    (ip.ttl, ip.tos) = (inp.ttl, inp.tos);
    ip.store(&mut m);
    let ulen = (UDP_HEADER + len) as u16;
    let ([s1, s0], [d1, d0], [l1, l0]) =
        (inp.lport.to_be_bytes(), inp.fport.to_be_bytes(), ulen.to_be_bytes());
    store(&mut m, IP_HEADER, &[s1, s0, d1, d0, l1, l0, 0, 0]);
    if kernel.inet.variables.udp_checksum != 0 {
        let sum = pseudo(ip.src.octets(), ip.dst.octets(), ipproto::UDP as u8, ulen);
        let sum = in_cksum(sum, &m, IP_HEADER, UDP_HEADER + len);
        let sum = if sum == [0; 2] { [0xff; 2] } else { sum };
        store(&mut m, IP_HEADER + 6, &sum);
    }
    let options = kernel.sockets[inp.socket].options;
    kernel.inet.stat.udp.bump(udps::OPACKETS);
    let mut flags = Flags::empty();
    flags.set(Flags::ROUTETOIF, options.contains(SocketOptions::DONTROUTE));
    flags.set(Flags::ALLOWBROADCAST, options.contains(SocketOptions::BROADCAST));
    let sent = ip_output::send(kernel, id, m, flags, true);
    if message.nam.is_some() {
        in_pcb::disconnect(kernel, id);
        if kernel.inet.has(id) {
            kernel.inet.inp_mut(id).laddr = laddr;
            kernel.inet.rehash(id);
        }
    }
    sent
}
