//! Options in the header of IP: what is done with those of packets that come in, and how those of a socket get
//! into packets that go out.
//!
//! 2.1 counterpart: netinet/ip_input.c (ip_dooptions, ip_rtaddr, save_rte, ip_srcroute), netinet/ip_output.c
//! (ip_insertoptions, ip_optcopy, ip_pcbopts).

use std::net::Ipv4Addr;

use syscalls::errno::Errno;

use super::in_control::ia_addr;
use super::in_rmx::sin;
use super::ip::{IP_HEADER, IP_MAXPACKET, Ip, store};
use super::ip_icmp::{self, ICMP_PARAMPROB, ICMP_UNREACH, UNREACH_HOST, UNREACH_SRCFAIL};
use super::statistics::ips;
use super::{ip_forward, sin_addr};
use crate::kernel::Kernel;
use crate::kernel::net::IfaId;
use crate::kernel::net::route::{rtalloc_ign, rtf, rtfree};
use crate::kernel::socket::chain::Chain;
use crate::kernel::socket::mbuf::{MLEN, Mbuf, MbufFlags, MbufType};

/// Bytes of options in a packet (MAX_IPOPTLEN).
pub(super) const MAX_IPOPTLEN: usize = 40;
/// Bytes of the address of the first hop, which is kept before the options.
pub(super) const FIRST_HOP: usize = 4;
/// Room for a link's header before that of a packet (`max_linkhdr`).
pub(super) const MAX_LINKHDR: usize = 16;

/// Kinds of options (`IPOPT_*`).
pub(super) mod opt {
    pub(crate) const EOL: u8 = 0;
    pub(crate) const NOP: u8 = 1;
    pub(crate) const RR: u8 = 7;
    pub(crate) const TS: u8 = 68;
    pub(crate) const SECURITY: u8 = 130;
    pub(crate) const LSRR: u8 = 131;
    pub(crate) const SSRR: u8 = 137;
}

/// The smallest offset in an option with addresses (IPOPT_MINOFF).
const MINOFF: usize = 4;

/// The source route that a packet came by (`struct ip_srcrt`).
#[derive(Clone, Debug)]
pub(super) struct SourceRoute {
    /// Where it came from.
    dst: Ipv4Addr,
    /// The hops.
    route: Vec<Ipv4Addr>,
    /// The option's kind and length.
    head: [u8; 2],
}

/// What is to be done with a packet because of its options.
enum Verdict {
    Go,
    Forward,
    Bad { kind: u8, code: u8 },
}

/// Does what the options of a packet say; nothing is left of one that is wrong or was sent on
/// (`ip_dooptions`).
pub(super) fn ip_dooptions(kernel: &mut Kernel, mut m: Chain) -> Option<Chain> {
    let mut ip = Ip::of(&m)?;
    // What an option has no room for is stored behind it.
    let mut bytes = m.front()?.bytes().get(IP_HEADER..)?.to_vec();
    let verdict = walk(kernel, &m, &mut ip, &mut bytes);
    store(&mut m, IP_HEADER, &bytes);
    match verdict {
        Verdict::Go => {
            ip.store(&mut m);
            Some(m)
        }
        Verdict::Forward => {
            ip.store(&mut m);
            ip_forward::ip_forward(kernel, m, true);
            None
        }
        Verdict::Bad { kind, code } => {
            ip.len = ip.len.wrapping_sub(ip.hlen() as u16);
            ip.store(&mut m);
            ip_icmp::icmp_error(kernel, m, kind, code, Ipv4Addr::UNSPECIFIED, None);
            kernel.inet.stat.ip.bump(ips::BADOPTIONS);
            None
        }
    }
}

fn walk(kernel: &mut Kernel, m: &Chain, ip: &mut Ip, bytes: &mut [u8]) -> Verdict {
    let problem = |at: usize| Verdict::Bad { kind: ICMP_PARAMPROB, code: (IP_HEADER + at) as u8 };
    let end = bytes.len().min(ip.hlen() - IP_HEADER);
    // Where the packet was going when it came: a source route may change that.
    let first_dst = ip.dst;
    let mut forward = false;
    let mut at = 0;
    while at < end {
        let kind = bytes[at];
        let len = match kind {
            opt::EOL => break,
            opt::NOP => {
                at += 1;
                continue;
            }
            _ => usize::from(bytes.get(at + 1).copied().unwrap_or(0)),
        };
        if len == 0 || len > end - at {
            return problem(at + 1);
        }
        let option = &mut bytes[at..];
        let done = match kind {
            opt::LSRR | opt::SSRR => source_route(kernel, ip, option, len, &mut forward),
            opt::RR => record_route(kernel, ip.dst, option, len),
            opt::TS => timestamp(kernel, m, first_dst, option),
            _ => Ok(()),
        };
        match done {
            Ok(()) => {}
            Err(Problem::At(offset)) => return problem(at + offset),
            Err(Problem::Unreachable(code)) => return Verdict::Bad { kind: ICMP_UNREACH, code },
        }
        at += len;
    }
    if forward { Verdict::Forward } else { Verdict::Go }
}

/// What is wrong with an option.
enum Problem {
    /// The byte at this place in it.
    At(usize),
    /// It leads nowhere.
    Unreachable(u8),
}

/// The place, from 0 on, that an option with addresses has come to.
fn offset(option: &[u8]) -> Result<usize, Problem> {
    match option.get(2).copied().map(usize::from) {
        Some(off) if off >= MINOFF => Ok(off - 1),
        _ => Err(Problem::At(2)),
    }
}

/// Whether an address fits at a place.  In an option of less than an address it always does, since the
/// original's difference is unsigned.
fn fits(len: usize, off: usize) -> bool {
    len < 4 || off + 4 <= len
}

fn address_at(option: &[u8], off: usize) -> Ipv4Addr {
    option.get(off..off + 4).and_then(|b| <[u8; 4]>::try_from(b).ok()).map_or(super::INADDR_ANY, Into::into)
}

fn put_address(option: &mut [u8], off: usize, addr: Ipv4Addr) {
    if let Some(room) = option.get_mut(off..off + 4) {
        room.copy_from_slice(&addr.octets());
    }
    option[2] = option[2].wrapping_add(4);
}

fn source_route(
    kernel: &mut Kernel,
    ip: &mut Ip,
    option: &mut [u8],
    len: usize,
    forward: &mut bool,
) -> Result<(), Problem> {
    let off = offset(option)?;
    if kernel.net.ifa_ifwithaddr(&sin(ip.dst)).is_none() {
        // Of a loose route somebody else is the next hop.
        return if option[0] == opt::SSRR { Err(Problem::Unreachable(UNREACH_SRCFAIL)) } else { Ok(()) };
    }
    if !fits(len, off) {
        save_rte(kernel, &option[..len], ip.src);
        return Ok(());
    }
    if kernel.inet.variables.ip_sourceroute == 0 {
        return Err(Problem::Unreachable(UNREACH_SRCFAIL));
    }
    let next = address_at(option, off);
    let ia = if option[0] == opt::SSRR {
        let net = &kernel.net;
        net.ifa_ifwithdstaddr(&sin(next)).or_else(|| net.ifa_ifwithnet(&sin(next)))
    } else {
        ip_rtaddr(kernel, next)
    };
    let ia = ia.ok_or(Problem::Unreachable(UNREACH_SRCFAIL))?;
    ip.dst = next;
    put_address(option, off, ia_addr(kernel, ia));
    *forward = !next.is_multicast();
    Ok(())
}

fn record_route(kernel: &mut Kernel, dst: Ipv4Addr, option: &mut [u8], len: usize) -> Result<(), Problem> {
    let off = offset(option)?;
    if !fits(len, off) {
        return Ok(());
    }
    let own = kernel.net.ifa_ifwithaddr(&sin(dst)).or_else(|| ip_rtaddr(kernel, dst));
    let ia = own.ok_or(Problem::Unreachable(UNREACH_HOST))?;
    put_address(option, off, ia_addr(kernel, ia));
    Ok(())
}

/// A timestamp: a pointer, a counter of overflows with a flag, and the stamps (`struct ip_timestamp`).
fn timestamp(kernel: &mut Kernel, m: &Chain, dst: Ipv4Addr, option: &mut [u8]) -> Result<(), Problem> {
    const TSONLY: u8 = 0;
    const TSANDADDR: u8 = 1;
    const PRESPEC: u8 = 3;
    let &mut [_, len, ptr, flags, ..] = option else { return Err(Problem::At(0)) };
    if len < 5 {
        return Err(Problem::At(0));
    }
    if ptr > len - 4 {
        option[3] = flags.wrapping_add(0x10);
        return if option[3] >> 4 == 0 { Err(Problem::At(0)) } else { Ok(()) };
    }
    let place = usize::from(ptr).wrapping_sub(1);
    let room = usize::from(ptr) + 8 <= usize::from(len);
    match flags & 0x0f {
        TSONLY => {}
        TSANDADDR if !room => return Err(Problem::At(0)),
        TSANDADDR => {
            let rcvif = m.front().map_or(0, |first| first.rcvif);
            let Some(ia) = kernel.net.ifaof_ifpforaddr(&sin(dst), rcvif) else { return Ok(()) };
            let addr = ia_addr(kernel, ia);
            if let Some(room) = option.get_mut(place..place + 4) {
                room.copy_from_slice(&addr.octets());
            }
            option[2] = option[2].wrapping_add(4);
        }
        PRESPEC if !room => return Err(Problem::At(0)),
        PRESPEC => {
            if kernel.net.ifa_ifwithaddr(&sin(address_at(option, place))).is_none() {
                return Ok(());
            }
            option[2] = option[2].wrapping_add(4);
        }
        _ => return Err(Problem::At(0)),
    }
    let place = usize::from(option[2]).wrapping_sub(1);
    let now = ip_icmp::iptime(kernel);
    if let Some(room) = option.get_mut(place..place.wrapping_add(4)) {
        room.copy_from_slice(&now);
    }
    option[2] = option[2].wrapping_add(4);
    Ok(())
}

/// The address of the interface that a destination is reached by (`ip_rtaddr`).
pub(super) fn ip_rtaddr(kernel: &mut Kernel, dst: Ipv4Addr) -> Option<IfaId> {
    let mut ro = std::mem::take(&mut kernel.inet.forward_rt);
    if ro.rt.is_none() || sin_addr(&ro.dst) != dst {
        if let Some(rt) = ro.rt.take() {
            rtfree(kernel, rt);
        }
        ro.dst = sin(dst).to_vec();
        rtalloc_ign(kernel, &mut ro, rtf::PRCLONING);
    }
    let ia = ro.rt.and_then(|rt| kernel.net.rtentries.get(rt)).map(|rt| rt.ifa);
    kernel.inet.forward_rt = ro;
    ia
}

/// Keeps a source route for the answer (`save_rte`).
fn save_rte(kernel: &mut Kernel, option: &[u8], dst: Ipv4Addr) {
    let hops = option.get(3..).unwrap_or_default().chunks_exact(4);
    let route = hops.map(|hop| address_at(hop, 0)).collect();
    kernel.inet.srcrt = Some(SourceRoute { dst, route, head: [option[0], option[1]] });
}

/// The route back to where the present packet came from, as a socket's options (`ip_srcroute`).
pub(super) fn ip_srcroute(kernel: &Kernel) -> Option<Vec<u8>> {
    let back = kernel.inet.srcrt.as_ref()?;
    let (first, others) = back.route.split_last()?;
    let mut options = first.octets().to_vec();
    options.extend([opt::NOP, back.head[0], back.head[1], MINOFF as u8]);
    others.iter().rev().for_each(|hop| options.extend(hop.octets()));
    options.extend(back.dst.octets());
    Some(options)
}

/// Puts options into a packet that is to be sent, whose numbers are in the order of the host; gives the size
/// of the header (`ip_insertoptions`).
pub(super) fn ip_insertoptions(m: &mut Chain, options: &[u8]) -> usize {
    let Some(mut ip) = Ip::of(m) else { return IP_HEADER };
    let (hop, list) = options.split_at(FIRST_HOP.min(options.len()));
    if list.len() + usize::from(ip.len) > IP_MAXPACKET {
        return IP_HEADER;
    }
    if hop != [0; 4] {
        ip.dst = address_at(hop, 0);
    }
    let Some(first) = m.front_mut() else { return IP_HEADER };
    if first.flags.contains(MbufFlags::EXT) || first.leading_space() < list.len() {
        let mut n = Mbuf::gethdr(MbufType::Header);
        first.flags.remove(MbufFlags::PKTHDR);
        first.trim_front(IP_HEADER);
        n.indent(MAX_LINKHDR);
        n.set_len(IP_HEADER + list.len());
        m.push_front(n);
    } else {
        first.grow_front(list.len());
    }
    let hlen = IP_HEADER + list.len();
    ip.set_hlen(hlen);
    ip.len = ip.len.wrapping_add(list.len() as u16);
    ip.store(m);
    store(m, IP_HEADER, list);
    hlen
}

/// The options that go into every fragment of a packet (`ip_optcopy`).
pub(super) fn ip_optcopy(options: &[u8]) -> Vec<u8> {
    const COPIED: u8 = 0x80;
    let mut copied = Vec::new();
    let mut at = 0;
    while let Some(&kind) = options.get(at) {
        match kind {
            opt::EOL => break,
            opt::NOP => {
                copied.push(opt::NOP);
                at += 1;
            }
            _ => {
                let len = usize::from(options.get(at + 1).copied().unwrap_or(1)).max(1);
                let end = options.len().min(at + len);
                if kind & COPIED != 0 {
                    copied.extend(&options[at..end]);
                }
                at = end;
            }
        }
    }
    copied.resize(copied.len().next_multiple_of(4), opt::EOL);
    copied
}

/// Checks options that a user gave, and puts the first hop of a route before them (`ip_pcbopts`).
pub(super) fn ip_pcbopts(given: &[u8]) -> Result<Vec<u8>, Errno> {
    if !given.len().is_multiple_of(4) || given.len() + FIRST_HOP >= MLEN {
        return Err(Errno::EINVAL);
    }
    let mut options = given.to_vec();
    let mut hop = [0; FIRST_HOP];
    let mut at = 0;
    while let Some(&kind) = options.get(at) {
        let mut len = match kind {
            opt::EOL => break,
            opt::NOP => 1,
            _ => usize::from(*options.get(at + 1).ok_or(Errno::EINVAL)?),
        };
        if kind != opt::NOP && (len < 2 || at + len > options.len()) {
            return Err(Errno::EINVAL);
        }
        if matches!(kind, opt::LSRR | opt::SSRR) {
            // The first hop is where packets go; the receiver must not find it in the route.
            let first = options.get(at + 3..at + 3 + FIRST_HOP).filter(|_| len >= 3 + FIRST_HOP);
            hop = first.and_then(|hop| hop.try_into().ok()).ok_or(Errno::EINVAL)?;
            options.drain(at + 3..at + 3 + FIRST_HOP);
            len -= FIRST_HOP;
            options[at + 1] = len as u8;
        }
        at += len;
    }
    if options.len() > MAX_IPOPTLEN {
        return Err(Errno::EINVAL);
    }
    Ok([&hop[..], &options[..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_packets_are_words_that_say_their_length() {
        assert_eq!(ip_pcbopts(&[1, 1, 1, 0]), Ok(vec![0, 0, 0, 0, 1, 1, 1, 0]));
        assert_eq!(ip_pcbopts(&[1, 1, 1]), Err(Errno::EINVAL));
        assert_eq!(ip_pcbopts(&[7, 5, 4, 0]), Err(Errno::EINVAL), "longer than all options");
        assert_eq!(ip_pcbopts(&[1, 1, 1, 7]), Err(Errno::EINVAL), "without a length");
        assert_eq!(ip_pcbopts(&[0; 44]), Err(Errno::EINVAL), "more than a header holds");
        assert_eq!(ip_pcbopts(&[0; 40]).map(|o| o.len()), Ok(44));
        assert_eq!(ip_pcbopts(&[0; 104]), Err(Errno::EINVAL));
    }

    #[test]
    fn the_first_hop_of_a_route_goes_in_front() {
        let given = [131, 11, 4, 10, 0, 0, 1, 10, 0, 0, 2, 0];
        let expected = vec![10, 0, 0, 1, 131, 7, 4, 10, 0, 0, 2, 0];
        assert_eq!(ip_pcbopts(&given), Ok(expected));
        assert_eq!(ip_pcbopts(&[131, 6, 4, 10, 0, 0, 0, 0]), Err(Errno::EINVAL), "without a hop");
    }

    #[test]
    fn fragments_keep_the_options_that_say_so() {
        assert!(ip_optcopy(&[7, 7, 4, 0, 0, 0, 0, 0]).is_empty());
        assert_eq!(ip_optcopy(&[1, 131, 3, 4, 0]), [1, 131, 3, 4]);
        assert_eq!(ip_optcopy(&[131, 3, 4, 7, 3, 4]), [131, 3, 4, 0]);
    }
}
