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
use super::{Bridge, note, piece, ports, socket_of, unreached};
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

/// Gives a raw socket one of the host, EPERM where the host has none for its user: of ICMP one for echo requests, any
/// other one for datagrams with headers.
pub(in crate::kernel::netinet) fn attach(kernel: &mut Kernel, id: InpcbId) -> Result<(), Errno> {
    let icmp = i32::from(kernel.inet.inp(id).protocol) == ipproto::ICMP;
    let socket = if icmp { Socket::icmp(&kernel.tape) } else { Socket::datagram(&kernel.tape) };
    let socket = socket.map_err(|_| Errno::EPERM)?;
    *kernel.inet.inp_mut(id).host = Some(Bridge::new(socket));
    unreached::listen(kernel, id);
    note(kernel, id);
    Ok(())
}

/// Sends an echo request, or a datagram whose header the guest has made; the host sends nothing else.
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
    let icmp = i32::from(inp.protocol) == ipproto::ICMP;
    if inp.flags.contains(InpFlags::HDRINCL) {
        let ip = Ip::from_host(&data).ok_or(Errno::EINVAL)?;
        (to, ttl) = (ip.dst, ip.ttl);
        data.drain(..ip.hlen().min(data.len()));
        if !icmp && i32::from(ip.p) == ipproto::UDP {
            return send_datagram(kernel, id, &ip, &data);
        }
    }
    if !icmp {
        return Err(Errno::EPERM);
    }
    let &[ECHO, _, _, _, i1, i0, ..] = &data[..] else { return Err(Errno::EPERM) };
    let to = if to == INADDR_ANY { Ipv4Addr::LOCALHOST } else { to };
    let Some(bridge) = kernel.inet.bridge_mut(id) else { return Err(Errno::EINVAL) };
    bridge.number = [i1, i0];
    // A host that has no such time to live keeps its own.
    bridge.socket.set(HostOption::TimeToLive(ttl.max(1)));
    let sent = kernel.inet.host(id)?.send_to(&kernel.tape, &data, (to, 0));
    // An error of an earlier message is not this one's.
    if sent.is_err() && unreached::receive(kernel, id) {
        kernel.inet.host(id)?.send_to(&kernel.tape, &data, (to, 0))?;
    } else {
        sent?;
    }
    record::message(kernel, id, Way::Out, to, &data);
    note(kernel, id);
    Ok(())
}

/// Sends a datagram with a header of the guest's: from the port that it names, if the host has that for us.
fn send_datagram(kernel: &mut Kernel, id: InpcbId, ip: &Ip, datagram: &[u8]) -> Result<(), Errno> {
    let &[s1, s0, d1, d0, _, _, _, _, ref data @ ..] = datagram else { return Err(Errno::EINVAL) };
    let to = (ip.dst, u16::from_be_bytes([d1, d0]));
    let Some(bridge) = kernel.inet.bridge_mut(id) else { return Err(Errno::EINVAL) };
    let unbound = bridge.number != [s1, s0];
    bridge.number = [s1, s0];
    bridge.socket.set(HostOption::TimeToLive(ip.ttl.max(1)));
    bridge.socket.set(HostOption::TypeOfService(ip.tos));
    if unbound {
        let from = (INADDR_ANY, u16::from_be_bytes([s1, s0]));
        let _ = kernel.inet.host(id)?.bind(&kernel.tape, from);
    }
    let outward = ports::outward(kernel, true, to);
    if kernel.inet.host(id)?.send_to(&kernel.tape, data, outward).is_err() {
        unreached::receive(kernel, id);
        kernel.inet.host(id)?.send_to(&kernel.tape, data, outward)?;
    }
    record::datagram(kernel, id, Way::Out, to, data);
    note(kernel, id);
    Ok(())
}

/// Takes the answers that the host has received.
pub(super) fn receive(kernel: &mut Kernel, id: InpcbId) {
    unreached::receive(kernel, id);
    let mut buffer = piece(kernel);
    if i32::from(kernel.inet.inp(id).protocol) != ipproto::ICMP {
        // Datagrams are for whoever has the port: a raw socket gets those of protocols that nobody serves.
        while kernel.inet.host(id).is_ok_and(|host| host.receive_from(&kernel.tape, &mut buffer).is_ok()) {}
    }
    while kernel.inet.has(id) && kernel.sockets[socket_of(kernel, id)].rcv.space() > 0 {
        let so = socket_of(kernel, id);
        let Some(bridge) = kernel.inet.bridge(id) else { break };
        let Ok((len, (from, _))) = bridge.socket.receive_from(&kernel.tape, &mut buffer) else { break };
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
