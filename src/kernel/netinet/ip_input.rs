//! Packets that come in: checks, options, is it for us, fragments, and on to the protocol.
//!
//! From here on the numbers in the header are in the order of the host.
//!
//! 2.1 counterpart: netinet/ip_input.c (ip_init, ipintr, ip_stripoptions).

use std::net::Ipv4Addr;

use super::in_cksum::{Sum, in_cksum};
use super::in_control::is_own;
use super::ip::{IP_DF, IP_HEADER, IPVERSION, Ip};
use super::statistics::ips;
use super::{INADDR_ANY, PROTOSW, ip_forward, ip_options, ip_reass, ipproto, multicast, sin_addr};
use crate::kernel::Kernel;
use crate::kernel::net::interface::IfFlags;
use crate::kernel::socket::chain::Chain;
use crate::kernel::socket::events;
use crate::kernel::time::SECOND_NS;

/// Numbers of protocols (IPPROTO_MAX).
const IPPROTO_MAX: usize = 256;

/// Notes which row of the switch serves a protocol number: raw IP's where there is none (`ip_init`).
pub(super) fn ip_init(kernel: &mut Kernel) {
    let row = |protocol| PROTOSW.iter().rposition(|pr| pr.protocol == protocol);
    let own = |number: usize| row(number as i32).filter(|_| number != 0);
    let rows = (0..IPPROTO_MAX).map(|number| own(number).or_else(|| row(ipproto::RAW)));
    kernel.inet.protox = rows.flatten().collect();
    kernel.inet.ip_id = (kernel.clock.now() / SECOND_NS) as u16;
}

/// Takes all packets off the queue (`ipintr`).
pub fn ipintr(kernel: &mut Kernel) {
    while let Some(m) = kernel.net.ipintrq.dequeue() {
        events::begin_with(kernel, None, "ipintr", || super::trace::describe(&m));
        packet(kernel, m);
        events::end(kernel, None, "ipintr", Ok(()));
    }
}

fn packet(kernel: &mut Kernel, m: Chain) {
    if kernel.inet.ifaddr.is_empty() {
        return;
    }
    kernel.inet.stat.ip.bump(ips::TOTAL);
    let Ok((mut m, hlen)) = checked(m).map_err(|what| kernel.inet.stat.ip.bump(what)) else { return };
    kernel.inet.srcrt = None;
    if hlen > IP_HEADER {
        match ip_options::ip_dooptions(kernel, m) {
            Some(kept) => m = kept,
            None => return,
        }
    }
    let Some(ip) = Ip::of(&m) else { return };
    let ours = if kernel.inet.rsvpd.is_some() && i32::from(ip.p) == ipproto::RSVP {
        Ours::Yes
    } else {
        for_us(kernel, &m, ip.dst)
    };
    match ours {
        Ours::Yes => deliver(kernel, m, hlen),
        Ours::Drop => kernel.inet.stat.ip.bump(ips::CANTFORWARD),
        Ours::No if kernel.inet.variables.ip_forwarding == 0 => {
            kernel.inet.stat.ip.bump(ips::CANTFORWARD);
        }
        Ours::No => ip_forward::ip_forward(kernel, m, false),
    }
}

/// Checks a header, and cuts the packet to the length that it says; else what to count.
fn checked(mut m: Chain) -> Result<(Chain, usize), usize> {
    if m.front().is_some_and(|first| first.len() < IP_HEADER) {
        m = m.pullup(IP_HEADER).ok_or(ips::TOOSMALL)?;
    }
    let first = m.front().ok_or(ips::TOOSMALL)?;
    let mut ip = Ip::from_net(first.bytes()).ok_or(ips::TOOSMALL)?;
    if ip.vhl >> 4 != IPVERSION {
        return Err(ips::BADVERS);
    }
    let hlen = ip.hlen();
    if hlen < IP_HEADER {
        return Err(ips::BADHLEN);
    }
    if hlen > first.len() {
        m = m.pullup(hlen).ok_or(ips::BADHLEN)?;
    }
    ip.sum = in_cksum(Sum::default(), &m, 0, hlen);
    if ip.sum != [0; 2] {
        return Err(ips::BADSUM);
    }
    // The length is a signed number; what is checked is its low end.
    if i32::from(ip.len as i16) < hlen as i32 {
        return Err(ips::BADLEN);
    }
    let (there, told) = (m.bytes(), usize::from(ip.len));
    if there < told {
        return Err(ips::TOOSHORT);
    }
    if there > told {
        m.adj(told as i32 - there as i32);
    }
    ip.store(&mut m);
    Ok((m, hlen))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ours {
    Yes,
    No,
    Drop,
}

/// Whether a packet is for this machine.
fn for_us(kernel: &Kernel, m: &Chain, dst: Ipv4Addr) -> Ours {
    if is_own(kernel, dst) || is_broadcast(kernel, dst) {
        return Ours::Yes;
    }
    if dst.is_multicast() {
        let rcvif = m.front().map_or(0, |first| first.rcvif);
        return if multicast::is_member(kernel, dst, rcvif) { Ours::Yes } else { Ours::Drop };
    }
    if dst.is_broadcast() || dst == INADDR_ANY { Ours::Yes } else { Ours::No }
}

/// Whether an address is one of a broadcast on any interface.
fn is_broadcast(kernel: &Kernel, dst: Ipv4Addr) -> bool {
    kernel.inet.ifaddr.iter().filter_map(|&ia| kernel.net.ifaddrs.get(ia)).any(|ifa| {
        let Some(ia) = &ifa.inet else { return false };
        let number = u32::from(dst);
        kernel.net.if_flags(ifa.ifp).contains(IfFlags::BROADCAST)
            && (ifa.dst().map(sin_addr) == Some(dst)
                || [ia.netbroadcast, ia.subnet, ia.net].contains(&number))
    })
}

/// Puts fragments together, and gives a whole packet to its protocol.
fn deliver(kernel: &mut Kernel, mut m: Chain, hlen: usize) {
    let Some(mut ip) = Ip::of(&m) else { return };
    if ip.off & !IP_DF == 0 {
        ip.len -= hlen as u16;
        ip.store(&mut m);
    } else {
        match ip_reass::fragment(kernel, m, ip) {
            Some(whole) => m = whole,
            None => return,
        }
    }
    kernel.inet.stat.ip.bump(ips::DELIVERED);
    if let Some(input) = kernel.inet.row(ip.p).and_then(|row| row.input) {
        input(kernel, m, hlen);
    }
}

/// Takes the options out of a packet's header (`ip_stripoptions`).
pub(super) fn ip_stripoptions(m: &mut Chain) {
    let Some(first) = m.front_mut() else { return };
    let Some(mut ip) = Ip::from_host(first.bytes()) else { return };
    let hlen = ip.hlen().min(first.len());
    let bytes = first.bytes_mut();
    bytes.copy_within(hlen.., IP_HEADER);
    let len = first.len() - (hlen - IP_HEADER);
    first.set_len(len);
    ip.set_hlen(IP_HEADER);
    ip.store(m);
}
