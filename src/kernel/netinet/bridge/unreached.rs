//! Datagrams that did not get where they were sent: what the host hears of them, as messages of ICMP.
//!
//! Raw sockets of the guest get the message as it would have come, with a header and what it quotes made up: the ends
//! and the beginning of the datagram are true, its identification and its sum are not known.  A socket for datagrams
//! that is connected to where the message is about gets the error.
//!
//! 2.1 counterpart: netinet/ip_icmp.c (icmp_input), netinet/udp_usrreq.c (udp_ctlinput).

use std::net::Ipv4Addr;

use super::super::in_cksum::{Sum, in_cksum};
use super::super::in_pcb::{InpcbId, List};
use super::super::ip::{IP_HEADER, Ip, store};
use super::super::{INADDR_ANY, ip_icmp, ipproto, raw_ip};
use super::record::{self, Way};
use super::{ports, socket_of};
use crate::host::unreached::{self, Unreached};
use crate::kernel::Kernel;
use crate::kernel::socket::chain::Chain;
use crate::kernel::socket::state::{sorwakeup, sowwakeup};

/// What of a datagram's data a message quotes.
const QUOTED: usize = 8;
/// Bytes of a header of ICMP, and of one of UDP.
const HEADER: usize = 8;
/// Time to live of what comes, which the host does not tell, and of a datagram whose time was over.
const TTL: u8 = 64;
const OVER: u8 = 1;
/// Errors that are passed on at once: more of them wait.
const ONCE: usize = 64;

/// Has the host keep what it hears of a control block's datagrams.
pub(super) fn listen(kernel: &Kernel, id: InpcbId) {
    if let Ok(host) = kernel.inet.host(id) {
        unreached::listen(host);
    }
}

/// Passes on what the host has heard; true if that was something.
pub(super) fn receive(kernel: &mut Kernel, id: InpcbId) -> bool {
    let mut any = false;
    for _ in 0..ONCE {
        let Ok(host) = kernel.inet.host(id) else { break };
        let Some(told) = unreached::next(&kernel.tape, host) else { break };
        any = true;
        pass_on(kernel, id, told);
    }
    any
}

fn pass_on(kernel: &mut Kernel, id: InpcbId, mut told: Unreached) {
    let inp = kernel.inet.inp(id);
    let datagram = inp.list == List::Udp;
    let mut local = inp.laddr;
    if local == INADDR_ANY {
        let own = if told.to.0.is_loopback() { Some(told.to.0) } else { kernel.inet.outside };
        local = own.unwrap_or(told.from);
    }
    let quoted = if datagram {
        told.to = ports::inward(kernel, true, told.to);
        quote_datagram(&told, (local, kernel.inet.inp(id).lport))
    } else {
        quote_raw(kernel, id, &told, local)
    };
    message(kernel, id, &told, local, &quoted);
    if datagram {
        notify(kernel, id, &told);
    }
}

/// The header of a packet and 8 bytes of what was in it.
fn quote(protocol: i32, from: Ipv4Addr, to: Ipv4Addr, len: usize, data: [u8; QUOTED]) -> Vec<u8> {
    let ip = Ip { ttl: OVER, ..Ip::new(protocol as u8, from, to, IP_HEADER + len) };
    [&ip.net()[..], &data].concat()
}

fn quote_datagram(told: &Unreached, from: (Ipv4Addr, u16)) -> Vec<u8> {
    let len = HEADER + told.data.len();
    let ([s1, s0], [d1, d0], [l1, l0]) =
        (from.1.to_be_bytes(), told.to.1.to_be_bytes(), (len as u16).to_be_bytes());
    quote(ipproto::UDP, from.0, told.to.0, len, [s1, s0, d1, d0, l1, l0, 0, 0])
}

/// What a raw socket sent: a datagram through a port of the host, or a message with a number of the host.
fn quote_raw(kernel: &Kernel, id: InpcbId, told: &Unreached, local: Ipv4Addr) -> Vec<u8> {
    let number = kernel.inet.bridge(id).map_or([0; 2], |bridge| bridge.number);
    if i32::from(kernel.inet.inp(id).protocol) != ipproto::ICMP {
        return quote_datagram(told, (local, u16::from_be_bytes(number)));
    }
    let mut data = [0; QUOTED];
    data.iter_mut().zip(&told.data).for_each(|(to, byte)| *to = *byte);
    data[4..6].copy_from_slice(&number);
    quote(ipproto::ICMP, local, told.to.0, told.data.len(), data)
}

/// Gives raw sockets the message.
fn message(kernel: &mut Kernel, id: InpcbId, told: &Unreached, local: Ipv4Addr, quoted: &[u8]) {
    let [m1, m0] = if told.code == ip_icmp::UNREACH_NEEDFRAG { told.mtu.to_be_bytes() } else { [0; 2] };
    let mut message = [&[told.kind, told.code, 0, 0, 0, 0, m1, m0], quoted].concat();
    let sum = in_cksum(Sum::default(), &Chain::of_packet(&message), 0, message.len());
    message[2..4].copy_from_slice(&sum);
    record::message(kernel, id, Way::In, told.from, &message);
    // They see the length that is quoted in the order of the host (`icmp_input`).
    message.swap(HEADER + 2, HEADER + 3);
    let len = message.len();
    let mut packet = Chain::of_packet(&[&[0; IP_HEADER], &message[..]].concat());
    let ip = Ip { len: len as u16, ttl: TTL, ..Ip::new(ipproto::ICMP as u8, told.from, local, len) };
    store(&mut packet, 0, &ip.host());
    raw_ip::rip_input(kernel, packet, IP_HEADER);
}

/// Tells a connected socket of an error at its peer (`udp_notify`).
fn notify(kernel: &mut Kernel, id: InpcbId, told: &Unreached) {
    let inp = kernel.inet.inp(id);
    let error = ip_icmp::what_happened(told.kind, told.code).and_then(|what| what.error());
    let Some(error) = error.filter(|_| (inp.faddr, inp.fport) == told.to) else { return };
    let so = socket_of(kernel, id);
    kernel.sockets[so].error = Some(error);
    sorwakeup(kernel, so);
    sowwakeup(kernel, so);
}
