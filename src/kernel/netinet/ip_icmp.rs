//! Control messages: errors that are told and heard, questions that are answered, redirects.
//!
//! 2.1 counterpart: netinet/ip_icmp.c.

use std::net::Ipv4Addr;

use super::in_cksum::{Sum, in_cksum};
use super::in_control::{ia_addr, in_canforward};
use super::in_rmx::sin;
use super::ip::{IP_DF, IP_HEADER, IP_MF, Ip, MAXTTL, store};
use super::ip_options::{ip_srcroute, opt};
use super::ip_output::{Flags, Way, ip_output};
use super::statistics::icps;
use super::{INADDR_ANY, ipproto, raw_ip, sin_addr};
use crate::kernel::Kernel;
use crate::kernel::net::IfIndex;
use crate::kernel::net::interface::IfFlags;
use crate::kernel::net::metrics::rtv;
use crate::kernel::net::route::{rtalloc1, rtf, rtfree, rtredirect};
use crate::kernel::socket::chain::Chain;
use crate::kernel::socket::events;
use crate::kernel::socket::mbuf::{Mbuf, MbufFlags, MbufType};
use crate::kernel::socket::protosw::{CtlInput, pfctlinput};
use crate::kernel::time::SECOND_NS;

/// Types of messages (`ICMP_*`).
pub(super) const ICMP_ECHOREPLY: u8 = 0;
pub(super) const ICMP_UNREACH: u8 = 3;
pub(super) const ICMP_SOURCEQUENCH: u8 = 4;
pub(super) const ICMP_REDIRECT: u8 = 5;
const ICMP_ECHO: u8 = 8;
const ICMP_ROUTERADVERT: u8 = 9;
const ICMP_ROUTERSOLICIT: u8 = 10;
pub(super) const ICMP_TIMXCEED: u8 = 11;
pub(super) const ICMP_PARAMPROB: u8 = 12;
const ICMP_TSTAMP: u8 = 13;
const ICMP_TSTAMPREPLY: u8 = 14;
const ICMP_MASKREQ: u8 = 17;
const ICMP_MASKREPLY: u8 = 18;
const ICMP_MAXTYPE: u8 = 18;
/// Codes of what cannot be reached (`ICMP_UNREACH_*`).
pub(super) const UNREACH_HOST: u8 = 1;
pub(super) const UNREACH_PORT: u8 = 3;
pub(super) const UNREACH_NEEDFRAG: u8 = 4;
pub(super) const UNREACH_SRCFAIL: u8 = 5;
/// Size of the smallest message, and of one with a quoted header and 8 bytes.
const ICMP_MINLEN: usize = 8;
const ICMP_ADVLENMIN: usize = ICMP_MINLEN + IP_HEADER + 8;
/// Size of a timestamp, and of a mask.
const ICMP_TSLEN: usize = 20;
const ICMP_MASKLEN: usize = 12;

/// Whether a type asks or answers, and tells no error (ICMP_INFOTYPE).
fn is_info(kind: u8) -> bool {
    matches!(kind, ICMP_ECHOREPLY | ICMP_ECHO | ICMP_ROUTERADVERT | ICMP_ROUTERSOLICIT | 13..=18)
}

/// Tells the sender of a packet what became of it (`icmp_error`).  The packet's length is that of its data.
pub(super) fn icmp_error(
    kernel: &mut Kernel,
    n: Chain,
    kind: u8,
    code: u8,
    dest: Ipv4Addr,
    destifp: Option<IfIndex>,
) {
    events::begin_with(kernel, None, "icmp_error", || format!("type {kind} code {code}"));
    answer_error(kernel, n, kind, code, dest, destifp);
    events::end(kernel, None, "icmp_error", Ok(()));
}

fn answer_error(kernel: &mut Kernel, n: Chain, kind: u8, code: u8, dest: Ipv4Addr, destifp: Option<IfIndex>) {
    let (Some(ip), Some(first)) = (Ip::of(&n), n.front()) else { return };
    let hlen = ip.hlen();
    if kind != ICMP_REDIRECT {
        kernel.inet.stat.icmp.bump(icps::ERROR);
    }
    if ip.off & !(IP_MF | IP_DF) != 0 {
        return;
    }
    if i32::from(ip.p) == ipproto::ICMP
        && kind != ICMP_REDIRECT
        && first.len() >= hlen + ICMP_MINLEN
        && !is_info(first.bytes()[hlen])
    {
        kernel.inet.stat.icmp.bump(icps::OLDICMP);
        return;
    }
    if first.flags.intersects(MbufFlags::BCAST | MbufFlags::MCAST) {
        return;
    }
    // The original copies from the first mbuf on, whatever is behind it.
    let quoted = hlen + usize::from(ip.len.min(8));
    let mut message = vec![0; ICMP_MINLEN + quoted];
    n.copy_data(0, &mut message[ICMP_MINLEN..]);
    kernel.inet.stat.icmp.bump(icps::OUTHIST + usize::from(kind));
    (message[0], message[1]) = (kind, code);
    match kind {
        ICMP_REDIRECT => message[4..8].copy_from_slice(&dest.octets()),
        ICMP_PARAMPROB => (message[1], message[4]) = (0, code),
        ICMP_UNREACH if code == UNREACH_NEEDFRAG => {
            if let Some(ifp) = destifp.and_then(|ifp| kernel.net.ifnet(ifp)) {
                message[6..8].copy_from_slice(&(ifp.mtu as u16).to_be_bytes());
            }
        }
        _ => {}
    }
    let total = ip.len.wrapping_add(hlen as u16);
    message[ICMP_MINLEN + 2..ICMP_MINLEN + 4].copy_from_slice(&total.to_be_bytes());
    let mut m = Mbuf::gethdr(MbufType::Header);
    m.align(message.len() + IP_HEADER);
    m.set_len(message.len() + IP_HEADER);
    m.rcvif = first.rcvif;
    let len = m.len();
    let mut m = Chain::from(m);
    let mut header = Ip { len: len as u16, p: ipproto::ICMP as u8, tos: 0, ..ip };
    header.set_hlen(IP_HEADER);
    header.vhl = ip.vhl & 0xf0 | (IP_HEADER / 4) as u8;
    header.store(&mut m);
    store(&mut m, IP_HEADER, &message);
    icmp_reflect(kernel, m);
}

/// Receives a message (`icmp_input`).
pub(super) fn icmp_input(kernel: &mut Kernel, m: Chain, hlen: usize) {
    events::begin(kernel, None, "icmp_input");
    input(kernel, m, hlen);
    events::end(kernel, None, "icmp_input", Ok(()));
}

/// What becomes of a message.
enum Fate {
    /// Raw sockets get it.
    Raw,
    /// It goes back as an answer.
    Reflect,
    /// It is lost.
    Free,
}

fn input(kernel: &mut Kernel, mut m: Chain, hlen: usize) {
    let Some(ip) = Ip::of(&m) else { return };
    let len = usize::from(ip.len);
    if len < ICMP_MINLEN {
        return kernel.inet.stat.icmp.bump(icps::TOOSHORT);
    }
    let wanted = hlen + len.min(ICMP_ADVLENMIN);
    if m.front().is_some_and(|first| first.len() < wanted) {
        match m.pullup(wanted) {
            Some(pulled) => m = pulled,
            None => return kernel.inet.stat.icmp.bump(icps::TOOSHORT),
        }
    }
    if in_cksum(Sum::default(), &m, hlen, len) != [0; 2] {
        return kernel.inet.stat.icmp.bump(icps::CHECKSUM);
    }
    let Some(mut message) = m.front().and_then(|first| first.bytes().get(hlen..)).map(<[u8]>::to_vec) else {
        return;
    };
    message.resize(message.len().max(ICMP_ADVLENMIN), 0);
    if message[0] > ICMP_MAXTYPE {
        return raw_ip::rip_input(kernel, m, hlen);
    }
    kernel.inet.stat.icmp.bump(icps::INHIST + usize::from(message[0]));
    match act(kernel, &mut m, &ip, &mut message, hlen) {
        Fate::Raw => raw_ip::rip_input(kernel, m, hlen),
        Fate::Free => {}
        Fate::Reflect => {
            let mut ip = Ip::of(&m).unwrap_or(ip);
            ip.len = ip.len.wrapping_add(hlen as u16);
            ip.store(&mut m);
            kernel.inet.stat.icmp.bump(icps::REFLECT);
            kernel.inet.stat.icmp.bump(icps::OUTHIST + usize::from(message[0]));
            icmp_reflect(kernel, m);
        }
    }
}

/// Does what a message of a known type wants.
fn act(kernel: &mut Kernel, m: &mut Chain, ip: &Ip, message: &mut [u8], hlen: usize) -> Fate {
    let len = usize::from(ip.len);
    let code = message[1];
    match message[0] {
        ICMP_UNREACH | ICMP_TIMXCEED | ICMP_PARAMPROB | ICMP_SOURCEQUENCH => {
            return match what_happened(message[0], code) {
                Some(cmd) => deliver(kernel, m, message, len, hlen, cmd),
                None => badcode(kernel),
            };
        }
        ICMP_ECHO => message[0] = ICMP_ECHOREPLY,
        ICMP_TSTAMP => {
            if len < ICMP_TSLEN {
                kernel.inet.stat.icmp.bump(icps::BADLEN);
                return Fate::Raw;
            }
            message[0] = ICMP_TSTAMPREPLY;
            let now = iptime(kernel);
            store(m, hlen + 12, &now);
            store(m, hlen + 16, &now);
        }
        ICMP_MASKREQ => {
            if kernel.inet.variables.icmp_maskrepl == 0
                || len < ICMP_MASKLEN
                || !mask_reply(kernel, m, ip, hlen)
            {
                return Fate::Raw;
            }
            message[0] = ICMP_MASKREPLY;
        }
        ICMP_REDIRECT => return redirect(kernel, ip, message, len),
        _ => return Fate::Raw,
    }
    store(m, hlen, &message[..1]);
    Fate::Reflect
}

fn badcode(kernel: &mut Kernel) -> Fate {
    kernel.inet.stat.icmp.bump(icps::BADCODE);
    Fate::Raw
}

/// What an error of a type and code means to protocols.
pub(super) fn what_happened(kind: u8, code: u8) -> Option<CtlInput> {
    Some(match (kind, code) {
        (ICMP_UNREACH, 0 | 6 | 9 | 11) => CtlInput::UnreachNet,
        (ICMP_UNREACH, 1 | 7 | 8 | 10 | 12) => CtlInput::UnreachHost,
        (ICMP_UNREACH, 2) => CtlInput::UnreachProtocol,
        (ICMP_UNREACH, UNREACH_PORT) => CtlInput::UnreachPort,
        (ICMP_UNREACH, UNREACH_NEEDFRAG) => CtlInput::Msgsize,
        (ICMP_UNREACH, UNREACH_SRCFAIL) => CtlInput::UnreachSrcfail,
        (ICMP_TIMXCEED, 0) => CtlInput::TimxceedIntrans,
        (ICMP_TIMXCEED, 1) => CtlInput::TimxceedReass,
        (ICMP_PARAMPROB, 0 | 1) => CtlInput::Paramprob,
        (ICMP_SOURCEQUENCH, 0) => CtlInput::Quench,
        _ => return None,
    })
}

/// Whether a quoted header is whole.
fn is_quoted(message: &[u8], len: usize) -> bool {
    let quoted_hlen = usize::from(message[ICMP_MINLEN] & 0x0f) * 4;
    len >= ICMP_ADVLENMIN && len >= ICMP_MINLEN + quoted_hlen + 8 && quoted_hlen >= IP_HEADER
}

/// Tells the protocol of a packet what became of it.
fn deliver(
    kernel: &mut Kernel,
    m: &mut Chain,
    message: &mut [u8],
    len: usize,
    hlen: usize,
    cmd: CtlInput,
) -> Fate {
    if !is_quoted(message, len) {
        kernel.inet.stat.icmp.bump(icps::BADLEN);
        return Fate::Free;
    }
    let quoted = &mut message[ICMP_MINLEN..];
    // Raw sockets see the quoted length in the order of the host.
    quoted.swap(2, 3);
    store(m, hlen + ICMP_MINLEN + 2, &quoted[2..4]);
    let Some(old) = Ip::from_host(quoted) else { return Fate::Free };
    if old.dst.is_multicast() {
        return badcode(kernel);
    }
    let dst = sin(old.dst);
    if cmd == CtlInput::Msgsize {
        let told = u16::from_be_bytes([message[6], message[7]]);
        discover_mtu(kernel, &dst, u32::from(told));
    }
    if let Some(ctlinput) = kernel.inet.row(old.p).and_then(|row| row.ctlinput) {
        let quoted = message[ICMP_MINLEN..].to_vec();
        ctlinput(kernel, cmd, &dst, Some(&quoted));
    }
    Fate::Raw
}

/// A packet was too large for its way: the route learns what is not.
fn discover_mtu(kernel: &mut Kernel, dst: &[u8], told: u32) {
    let Some(rt) = rtalloc1(kernel, dst, false, rtf::CLONING | rtf::PRCLONING) else { return };
    let entry = kernel.net.rt_mut(rt);
    if entry.flags & rtf::HOST != 0 && entry.rmx.locks & rtv::MTU == 0 {
        let mtu = if told == 0 { next_mtu(entry.rmx.mtu) } else { told };
        if mtu < 296 {
            entry.rmx.locks |= rtv::MTU;
        } else if entry.rmx.mtu > mtu {
            entry.rmx.mtu = mtu;
        }
    }
    rtfree(kernel, rt);
}

/// The next smaller size of packets in the table of RFC 1191 (`ip_next_mtu`).
fn next_mtu(mtu: u32) -> u32 {
    const TABLE: [u32; 12] = [65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68, 0];
    TABLE.iter().copied().find(|&size| size < mtu).unwrap_or(0)
}

/// Fills in the mask of the interface that a question came over; false if there is none.
fn mask_reply(kernel: &mut Kernel, m: &mut Chain, ip: &Ip, hlen: usize) -> bool {
    let about = if ip.dst.is_broadcast() || ip.dst == INADDR_ANY { ip.src } else { ip.dst };
    let rcvif = m.front().map_or(0, |first| first.rcvif);
    let ia = kernel.net.ifaof_ifpforaddr(&sin(about), rcvif);
    let Some(ifa) = ia.and_then(|ia| kernel.net.ifaddrs.get(ia)) else { return false };
    let mask = ifa.netmask.as_deref().map_or(INADDR_ANY, sin_addr);
    let peers = kernel.net.if_flags(ifa.ifp).intersects(IfFlags::BROADCAST | IfFlags::POINTOPOINT);
    let peer = ifa.dst().filter(|_| peers && ip.src == INADDR_ANY).map(sin_addr);
    store(m, hlen + 8, &mask.octets());
    if let Some(peer) = peer {
        let src = Ip { src: peer, ..*ip };
        src.store(m);
    }
    true
}

fn redirect(kernel: &mut Kernel, ip: &Ip, message: &[u8], len: usize) -> Fate {
    if message[1] > 3 {
        return badcode(kernel);
    }
    if !is_quoted(message, len) {
        kernel.inet.stat.icmp.bump(icps::BADLEN);
        return Fate::Raw;
    }
    let Some(old) = Ip::from_net(&message[ICMP_MINLEN..]) else { return Fate::Raw };
    let gateway = Ipv4Addr::new(message[4], message[5], message[6], message[7]);
    let dst = sin(old.dst);
    rtredirect(kernel, &dst, &sin(gateway), rtf::GATEWAY | rtf::HOST, &sin(ip.src));
    pfctlinput(kernel, CtlInput::RedirectHost, &dst);
    Fate::Raw
}

/// Sends a packet back to where it came from (`icmp_reflect`).
fn icmp_reflect(kernel: &mut Kernel, mut m: Chain) {
    const LOOPBACKNET: u8 = 127;
    let Some(mut ip) = Ip::of(&m) else { return };
    if !in_canforward(ip.src) && ip.src.octets()[0] != LOOPBACKNET {
        return;
    }
    let hlen = ip.hlen();
    let to = std::mem::replace(&mut ip.dst, ip.src);
    let own = |kernel: &Kernel| {
        kernel.inet.ifaddr.iter().copied().find(|&ia| {
            let Some(ifa) = kernel.net.ifaddrs.get(ia) else { return false };
            let broadcasts = kernel.net.if_flags(ifa.ifp).contains(IfFlags::BROADCAST);
            sin_addr(&ifa.addr) == to || (broadcasts && ifa.dst().map(sin_addr) == Some(to))
        })
    };
    let rcvif = m.front().map_or(0, |first| first.rcvif);
    let ia = own(kernel).or_else(|| kernel.net.ifaof_ifpforaddr(&sin(to), rcvif));
    let Some(ia) = ia.or_else(|| kernel.inet.ifaddr.first().copied()) else { return };
    ip.src = ia_addr(kernel, ia);
    ip.ttl = MAXTTL;
    let mut options = None;
    if hlen > IP_HEADER {
        let given = m.front().and_then(|first| first.bytes().get(IP_HEADER..hlen)).unwrap_or_default();
        options = Some(reply_options(kernel, given));
        ip.len = ip.len.wrapping_sub((hlen - IP_HEADER) as u16);
        ip.store(&mut m);
        super::ip_input::ip_stripoptions(&mut m);
        ip.set_hlen(IP_HEADER);
    }
    if let Some(first) = m.front_mut() {
        first.flags.remove(MbufFlags::BCAST | MbufFlags::MCAST);
    }
    ip.store(&mut m);
    icmp_send(kernel, m, options.as_deref());
}

/// The options of an answer: the route back, and what was recorded on the way.
fn reply_options(kernel: &Kernel, given: &[u8]) -> Vec<u8> {
    let mut options = ip_srcroute(kernel).unwrap_or_else(|| vec![0; 4]);
    let mut at = 0;
    while let Some(&kind) = given.get(at) {
        let len = match kind {
            opt::EOL => break,
            opt::NOP => 1,
            _ => usize::from(given.get(at + 1).copied().unwrap_or(0)),
        };
        if len == 0 || len > given.len() - at {
            break;
        }
        if matches!(kind, opt::RR | opt::TS | opt::SECURITY) {
            options.extend(&given[at..at + len]);
        }
        at += len;
    }
    options.resize(options.len().next_multiple_of(4), opt::EOL);
    options
}

/// Sums a message and sends it (`icmp_send`).
fn icmp_send(kernel: &mut Kernel, mut m: Chain, options: Option<&[u8]>) {
    let Some(ip) = Ip::of(&m) else { return };
    let hlen = ip.hlen();
    store(&mut m, hlen + 2, &[0; 2]);
    let sum = in_cksum(Sum::default(), &m, hlen, usize::from(ip.len).saturating_sub(hlen));
    store(&mut m, hlen + 2, &sum);
    let _ = ip_output(kernel, m, options, Way::Fresh, Flags::empty(), None);
}

/// Milliseconds since midnight, in the order of the network (`iptime`).
pub(super) fn iptime(kernel: &Kernel) -> [u8; 4] {
    let now = kernel.clock.now();
    let (seconds, rest) = (now / SECOND_NS, now % SECOND_NS);
    let milliseconds = (seconds % (24 * 60 * 60)) * 1000 + rest / 1_000_000;
    (milliseconds as u32).to_be_bytes()
}
