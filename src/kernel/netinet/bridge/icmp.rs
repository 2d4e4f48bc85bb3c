//! Echo requests over the host: its ICMP sockets for ordinary users, which send requests and receive the answers.
//!
//! The host puts a number of its own into a request; the guest's own number comes back to it.  Headers of IP are made
//! up, since the host gives none.
//!
//! 2.1 counterpart: netinet/raw_ip.c for sockets of ICMP.

use std::net::Ipv4Addr;

use syscalls::errno::Errno;

use super::super::in_cksum::{Sum, in_cksum};
use super::super::in_pcb::{InpFlags, InpcbId};
use super::super::ip::{IP_HEADER, Ip, store};
use super::super::{INADDR_ANY, SockaddrIn, ipproto};
use super::record::{self, Way};
use super::{Bridge, note, piece, socket_of};
use crate::host::net::{HostOption, Socket};
use crate::kernel::Kernel;
use crate::kernel::socket::chain::Chain;
use crate::kernel::socket::protosw::Message;
use crate::kernel::socket::state::sorwakeup;

/// Types of messages: the request and its answer.
const ECHO: u8 = 8;
const ECHOREPLY: u8 = 0;
/// Time to live of what raw sockets send (MAXTTL), and of what comes, which the host does not tell.
const MAXTTL: u8 = 255;
const TTL: u8 = 64;

/// Gives a raw socket of ICMP one of the host; EPERM where the host has none for its user.
pub(in crate::kernel::netinet) fn attach(kernel: &mut Kernel, id: InpcbId) -> Result<(), Errno> {
    let socket = Socket::icmp().map_err(|_| Errno::EPERM)?;
    *kernel.inet.inp_mut(id).host = Some(Bridge::new(socket));
    note(kernel, id);
    Ok(())
}

/// Sends an echo request; the host sends nothing else.
pub(in crate::kernel::netinet) fn send(
    kernel: &mut Kernel,
    id: InpcbId,
    message: Message<'_>,
) -> Result<(), Errno> {
    let inp = kernel.inet.inp(id);
    let mut to = inp.faddr;
    match message.nam {
        Some(_) if to != INADDR_ANY => return Err(Errno::EISCONN),
        Some(nam) => to = super::super::sin_addr(nam.bytes()),
        None if to == INADDR_ANY => return Err(Errno::ENOTCONN),
        None => {}
    }
    let mut data: Vec<u8> = message.m.to_vec();
    let mut ttl = MAXTTL;
    if inp.flags.contains(InpFlags::HDRINCL) {
        let ip = Ip::from_host(&data).ok_or(Errno::EINVAL)?;
        (to, ttl) = (ip.dst, ip.ttl);
        data.drain(..ip.hlen().min(data.len()));
    }
    let &[ECHO, _, _, _, i1, i0, ..] = &data[..] else { return Err(Errno::EPERM) };
    let to = if to == INADDR_ANY { Ipv4Addr::LOCALHOST } else { to };
    let Some(bridge) = kernel.inet.bridge_mut(id) else { return Err(Errno::EINVAL) };
    bridge.number = [i1, i0];
    // A host that has no such time to live keeps its own.
    let _ = bridge.socket.set(HostOption::TimeToLive(ttl.max(1)));
    bridge.socket.send_to(&data, (to, 0))?;
    record::message(kernel, id, Way::Out, to, &data);
    note(kernel, id);
    Ok(())
}

/// Takes the answers that the host has received.
pub(super) fn receive(kernel: &mut Kernel, id: InpcbId) {
    let mut buffer = piece(kernel);
    while kernel.inet.has(id) && kernel.sockets[socket_of(kernel, id)].rcv.space() > 0 {
        let so = socket_of(kernel, id);
        let Some(bridge) = kernel.inet.bridge(id) else { break };
        let Ok((len, (from, _))) = bridge.socket.receive_from(&mut buffer) else { break };
        let Some(answer) = buffer.get_mut(..len).filter(|answer| answer.len() >= 8) else { continue };
        if answer[0] == ECHOREPLY {
            answer[4..6].copy_from_slice(&bridge.number);
        }
        answer[2..4].copy_from_slice(&[0, 0]);
        record::message(kernel, id, Way::In, from, answer);
        let mut packet = Chain::of_packet(&[&[0; IP_HEADER], &*answer].concat());
        let sum = in_cksum(Sum::default(), &packet, IP_HEADER, len);
        store(&mut packet, IP_HEADER + 2, &sum);
        let local = if from.is_loopback() { from } else { kernel.inet.outside.unwrap_or(from) };
        // As raw sockets get it: the length is that of the data.
        let ip = Ip { len: len as u16, ttl: TTL, ..Ip::new(ipproto::ICMP as u8, from, local, len) };
        ip.store(&mut packet);
        let name = SockaddrIn::new(from, 0).bytes();
        if kernel.sockets[so].rcv.append_addr(&name, Some(packet), None) {
            sorwakeup(kernel, so);
        }
    }
    kernel.inet.piece = buffer;
}
