//! Fragments: waiting for the rest of a packet, and putting it together.
//!
//! 2.1 counterpart: netinet/ip_input.c (ip_reass, ip_freef, ip_slowtimo, ip_drain).

use std::net::Ipv4Addr;

use super::ip::{IP_HEADER, IP_MF, Ip};
use super::statistics::ips;
use super::tcp_timer;
use crate::kernel::Kernel;
use crate::kernel::socket::chain::Chain;
use crate::kernel::socket::mbuf::{MCLBYTES, MbufFlags};
use crate::kernel::socket::reclaim;

/// Bytes of all clusters of 2.1 (NMBCLUSTERS: 512, and 16 for each of 10 users): where fragments fill them, all are
/// given up.
const CLUSTERS: usize = (512 + 16 * 10) * MCLBYTES;
/// Slow ticks that fragments wait (IPFRAGTTL).
const IPFRAGTTL: u64 = 60;

/// A fragment that waits (`struct ipasfrag`).
#[derive(Clone, Debug)]
struct Fragment {
    /// Position of its first byte in the packet.  A signed number, as in the original: what lies behind 32767
    /// comes before everything else, and its packet is never whole.
    off: i16,
    /// Bytes.
    len: i16,
    /// More follow.
    more: bool,
    /// Its header with options.
    header: Vec<u8>,
    /// Its data, in a packet from which the header is cut.
    m: Chain,
}

/// The fragments of one packet (`struct ipq`).
#[derive(Clone, Debug)]
pub(super) struct Ipq {
    key: (u16, Ipv4Addr, Ipv4Addr, u8),
    /// The slow tick at which they are given up.
    expires: u64,
    fragments: Vec<Fragment>,
}

/// Takes a packet that is or may be a fragment; gives it when it is whole, with its length that of the data.
pub(super) fn fragment(kernel: &mut Kernel, mut m: Chain, mut ip: Ip) -> Option<Chain> {
    if m.front().is_some_and(|first| first.flags.contains(MbufFlags::EXT)) {
        let pulled = m.pullup(IP_HEADER);
        if pulled.is_none() {
            kernel.inet.stat.ip.bump(ips::TOOSMALL);
        }
        m = pulled?;
    }
    let key = (ip.id, ip.src, ip.dst, ip.p);
    let place = kernel.inet.ipq.iter().position(|ipq| ipq.key == key);
    ip.len -= ip.hlen() as u16;
    // The flags make room for the offset in bytes; that more follow is kept in the lowest bit of the type of
    // service, which is lost.
    let more = ip.off & IP_MF != 0;
    ip.tos &= !1;
    ip.off <<= 3;
    ip.store(&mut m);
    if !more && ip.off == 0 {
        if let Some(place) = place {
            kernel.inet.ipq.remove(place);
        }
        return Some(m);
    }
    kernel.inet.stat.ip.bump(ips::FRAGMENTS);
    let held: usize = kernel.inet.ipq.iter().map(Ipq::held).sum();
    if held + m.bytes() > CLUSTERS {
        reclaim(kernel);
    }
    let place = place.filter(|&place| place < kernel.inet.ipq.len());
    let whole = ip_reass(kernel, m, ip, more, place)?;
    kernel.inet.stat.ip.bump(ips::REASSEMBLED);
    Some(whole)
}

/// Adds a fragment to the others of its packet; gives the packet when it is whole (`ip_reass`).
fn ip_reass(kernel: &mut Kernel, mut m: Chain, ip: Ip, more: bool, place: Option<usize>) -> Option<Chain> {
    let first = m.front_mut()?;
    let hlen = ip.hlen().min(first.len());
    let header = first.bytes()[..hlen].to_vec();
    first.trim_front(hlen);
    let mut new = Fragment { off: ip.off as i16, len: ip.len as i16, more, header, m };
    let place = match place {
        Some(place) => place,
        None => {
            let expires = tcp_timer::now(kernel) + IPFRAGTTL;
            let key = (ip.id, ip.src, ip.dst, ip.p);
            kernel.inet.ipq.insert(0, Ipq { key, expires, fragments: Vec::new() });
            tcp_timer::arm_slow(kernel, expires);
            0
        }
    };
    let queue = &mut kernel.inet.ipq[place].fragments;
    let at = queue.iter().position(|q| q.off > new.off).unwrap_or(queue.len());
    if let Some(before) = at.checked_sub(1).and_then(|at| queue.get(at)) {
        let overlap = i32::from(before.off) + i32::from(before.len) - i32::from(new.off);
        if overlap > 0 {
            if overlap >= i32::from(new.len) {
                kernel.inet.stat.ip.bump(ips::FRAGDROPPED);
                return None;
            }
            new.cut(overlap);
        }
    }
    while let Some(behind) = queue.get_mut(at) {
        let overlap = i32::from(new.off) + i32::from(new.len) - i32::from(behind.off);
        if overlap <= 0 {
            break;
        }
        if overlap < i32::from(behind.len) {
            behind.cut(overlap);
            break;
        }
        queue.remove(at);
    }
    queue.insert(at, new);
    let mut next = 0;
    for fragment in queue.iter() {
        if i32::from(fragment.off) != next {
            return None;
        }
        next += i32::from(fragment.len);
    }
    if queue.last().is_none_or(|last| last.more) {
        return None;
    }
    let ipq = kernel.inet.ipq.remove(place);
    join(ipq, next)
}

impl Ipq {
    /// Bytes that wait.
    fn held(&self) -> usize {
        self.fragments.iter().map(|fragment| fragment.m.bytes()).sum()
    }
}

impl Fragment {
    fn cut(&mut self, count: i32) {
        self.m.adj(count);
        self.off = self.off.wrapping_add(count as i16);
        self.len = self.len.wrapping_sub(count as i16);
    }
}

/// Joins the fragments of a packet behind the header of the first.
fn join(ipq: Ipq, len: i32) -> Option<Chain> {
    let mut fragments = ipq.fragments.into_iter();
    let first = fragments.next()?;
    // What is behind the first mbuf is joined to it, where it fits.
    let mut rest = first.m;
    let mut m = Chain::from(rest.pop_front()?);
    m.cat(rest);
    fragments.for_each(|fragment| m.cat(fragment.m));
    m.front_mut()?.grow_front(first.header.len());
    super::ip::store(&mut m, 0, &first.header);
    let mut ip = Ip::of(&m)?;
    (ip.len, ip.src, ip.dst) = (len as u16, ipq.key.1, ipq.key.2);
    ip.store(&mut m);
    Some(m)
}

/// Gives up fragments whose time is over (`ip_slowtimo`).
pub(super) fn ip_slowtimo(kernel: &mut Kernel) {
    let now = tcp_timer::now(kernel);
    let before = kernel.inet.ipq.len();
    kernel.inet.ipq.retain(|ipq| ipq.expires > now);
    let gone = before - kernel.inet.ipq.len();
    kernel.inet.stat.ip.add(ips::FRAGTIMEOUT, gone as u32);
    if let Some(next) = kernel.inet.ipq.iter().map(|ipq| ipq.expires).min() {
        tcp_timer::arm_slow(kernel, next);
    }
}

/// Gives up all fragments (`ip_drain`).
pub(super) fn ip_drain(kernel: &mut Kernel) {
    let gone = std::mem::take(&mut kernel.inet.ipq).len();
    kernel.inet.stat.ip.add(ips::FRAGDROPPED, gone as u32);
}
