//! Groups told to routers: reports of memberships, and questions for them.
//!
//! On the loopback interface nothing is reported and no question is answered.
//!
//! 2.1 counterpart: netinet/igmp.c.

use std::net::Ipv4Addr;

use super::in_cksum::{Sum, in_cksum};
use super::in_control::{ia_addr, ifp_to_ia};
use super::ip::{IP_HEADER, Ip, store};
use super::ip_output::{Flags, Way, ip_output};
use super::multicast::{InMulti, Moptions, groups_mut};
use super::statistics::igps;
use super::{INADDR_ANY, ipproto, raw_ip, tcp_timer};
use crate::kernel::Kernel;
use crate::kernel::net::IfIndex;
use crate::kernel::net::interface::IfFlags;
use crate::kernel::socket::chain::Chain;
use crate::kernel::socket::mbuf::{Mbuf, MbufFlags, MbufType};

/// Size of a message.
const IGMP_MINLEN: usize = 8;
/// Types of messages.
const QUERY: u8 = 0x11;
const REPORT: u8 = 0x12;
const NEW_REPORT: u8 = 0x16;
const LEAVE: u8 = 0x17;
/// Fast ticks in a second (PR_FASTHZ).
const PR_FASTHZ: u32 = 5;
/// Longest wait before a report, in seconds.
const MAX_HOST_REPORT_DELAY: u32 = 10;
/// Slow ticks after which an old router is forgotten (IGMP_AGE_THRESHOLD).
const AGE_THRESHOLD: u64 = 540;

/// State of a membership (`IGMP_*_MEMBER`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// A report is due.
    Delaying,
    /// Reported.
    Idle,
    /// Somebody else reported it.
    Lazy,
    /// Somebody with the old protocol reported it.
    Sleeping,
    /// It was asked for meanwhile.
    Awakening,
}

/// The router of an interface (`struct router_info`).
#[derive(Clone, Copy, Debug)]
pub(super) struct RouterInfo {
    ifp: IfIndex,
    /// The slow tick until which it counts as an old one.
    old_until: u64,
}

fn is_old(kernel: &Kernel, ifp: IfIndex) -> bool {
    let now = tcp_timer::now(kernel);
    kernel.inet.routers.iter().any(|router| router.ifp == ifp && router.old_until > now)
}

fn report_type(kernel: &Kernel, ifp: IfIndex) -> u8 {
    if is_old(kernel, ifp) { REPORT } else { NEW_REPORT }
}

fn is_local(group: Ipv4Addr) -> bool {
    group.octets()[..3] == [224, 0, 0]
}

/// A number below a limit, and at least 1, that differs from machine to machine (IGMP_RANDOM_DELAY).
fn random_delay(kernel: &Kernel, group: Ipv4Addr, limit: u32) -> u32 {
    let counted = kernel.inet.stat.ip.0.iter().fold(0u32, |sum, count| sum.wrapping_add(*count));
    counted.wrapping_add(u32::from(group)) % limit.max(1) + 1
}

/// Receives a message (`igmp_input`).
pub(super) fn igmp_input(kernel: &mut Kernel, m: Chain, hlen: usize) {
    kernel.inet.stat.igmp.bump(igps::RCV_TOTAL);
    let (mut m, message) = match checked(m, hlen) {
        Ok(checked) => checked,
        Err(what) => return kernel.inet.stat.igmp.bump(what),
    };
    let (Some(ip), Some(first)) = (Ip::of(&m), m.front()) else { return };
    let (ifp, multicast) = (first.rcvif, first.flags.contains(MbufFlags::MCAST));
    let loops = kernel.net.if_flags(ifp).contains(IfFlags::LOOPBACK);
    let group = Ipv4Addr::new(message[4], message[5], message[6], message[7]);
    let good = match message[0] {
        QUERY => {
            kernel.inet.stat.igmp.bump(igps::RCV_QUERIES);
            let good = loops || query(kernel, ifp, &ip, message[1], multicast);
            if !good {
                kernel.inet.stat.igmp.bump(igps::RCV_BADQUERIES);
            }
            good
        }
        NEW_REPORT if ifp_to_ia(kernel, ifp).is_some_and(|ia| ia_addr(kernel, ia) == ip.src) => true,
        kind @ (REPORT | NEW_REPORT) => {
            kernel.inet.stat.igmp.bump(igps::RCV_REPORTS);
            let good = loops || (group.is_multicast() && group == ip.dst);
            if !good {
                kernel.inet.stat.igmp.bump(igps::RCV_BADREPORTS);
            } else if !loops {
                name_subnet(kernel, ifp, &mut m, ip);
                report(kernel, ifp, group, kind);
            }
            good
        }
        _ => true,
    };
    if good {
        raw_ip::rip_input(kernel, m, hlen);
    }
}

fn checked(mut m: Chain, hlen: usize) -> Result<(Chain, [u8; IGMP_MINLEN]), usize> {
    let len = usize::from(Ip::of(&m).ok_or(igps::RCV_TOOSHORT)?.len);
    if len < IGMP_MINLEN {
        return Err(igps::RCV_TOOSHORT);
    }
    let wanted = hlen + IGMP_MINLEN;
    if m.front().is_some_and(|first| first.flags.contains(MbufFlags::EXT) || first.len() < wanted) {
        m = m.pullup(wanted).ok_or(igps::RCV_TOOSHORT)?;
    }
    if in_cksum(Sum::default(), &m, hlen, len) != [0; 2] {
        return Err(igps::RCV_BADSUM);
    }
    let mut message = [0; IGMP_MINLEN];
    m.copy_data(hlen, &mut message);
    Ok((m, message))
}

/// A router asks for memberships.
fn query(kernel: &mut Kernel, ifp: IfIndex, ip: &Ip, code: u8, multicast: bool) -> bool {
    const ALL_HOSTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
    const TIMER_SCALE: u32 = 10;
    if code == 0 {
        let old_until = tcp_timer::now(kernel) + AGE_THRESHOLD;
        kernel.inet.routers.retain(|router| router.ifp != ifp);
        kernel.inet.routers.push(RouterInfo { ifp, old_until });
        if ip.dst != ALL_HOSTS {
            return false;
        }
    } else if !multicast {
        return false;
    }
    let limit =
        if code == 0 { MAX_HOST_REPORT_DELAY * PR_FASTHZ } else { u32::from(code) * PR_FASTHZ / TIMER_SCALE };
    let groups: Vec<Ipv4Addr> = groups_mut(kernel, ifp).map_or(Vec::new(), |groups| {
        groups.iter().map(|group| group.addr).filter(|addr| !is_local(*addr)).collect()
    });
    for addr in groups {
        let delay = random_delay(kernel, addr, limit);
        let about = ip.dst == ALL_HOSTS || ip.dst == addr;
        let Some(group) = group_mut(kernel, ifp, addr).filter(|_| about) else { continue };
        let starts = match group.state {
            _ if code == 0 => group.timer == 0,
            Member::Sleeping => {
                group.state = Member::Awakening;
                false
            }
            Member::Delaying => group.timer > limit,
            _ => true,
        };
        if starts {
            (group.state, group.timer) = (Member::Delaying, delay);
            tcp_timer::arm_fast(kernel);
        }
    }
    true
}

/// A report from a host that does not know its network yet is from that of the interface.
fn name_subnet(kernel: &Kernel, ifp: IfIndex, m: &mut Chain, ip: Ip) {
    let ia = ifp_to_ia(kernel, ifp).and_then(|ia| kernel.net.ifaddrs.get(ia)?.inet.as_ref());
    if let Some(ia) = ia.filter(|_| ip.src.octets()[0] == 0) {
        Ip { src: ia.subnet.into(), ..ip }.store(m);
    }
}

fn group_mut(kernel: &mut Kernel, ifp: IfIndex, addr: Ipv4Addr) -> Option<&mut InMulti> {
    groups_mut(kernel, ifp)?.iter_mut().find(|group| group.addr == addr)
}

/// Somebody else has reported a group.
fn report(kernel: &mut Kernel, ifp: IfIndex, addr: Ipv4Addr, kind: u8) {
    let old = is_old(kernel, ifp);
    let Some(group) = group_mut(kernel, ifp, addr) else { return };
    group.timer = 0;
    group.state = match (kind, group.state) {
        (REPORT, Member::Delaying) if old => Member::Lazy,
        (REPORT, _) => Member::Sleeping,
        (_, Member::Sleeping) => Member::Sleeping,
        _ => Member::Lazy,
    };
    kernel.inet.stat.igmp.bump(igps::RCV_OURREPORTS);
}

/// An interface has joined a group (`igmp_joingroup`).
pub(super) fn joingroup(kernel: &mut Kernel, addr: Ipv4Addr, ifp: IfIndex) {
    if is_local(addr) || kernel.net.if_flags(ifp).contains(IfFlags::LOOPBACK) {
        return;
    }
    let kind = report_type(kernel, ifp);
    sendpkt(kernel, addr, ifp, kind);
    let delay = random_delay(kernel, addr, MAX_HOST_REPORT_DELAY * PR_FASTHZ);
    if let Some(group) = group_mut(kernel, ifp, addr) {
        (group.timer, group.state) = (delay, Member::Delaying);
    }
    tcp_timer::arm_fast(kernel);
}

/// An interface has left a group (`igmp_leavegroup`).
pub(super) fn leavegroup(kernel: &mut Kernel, group: InMulti) {
    let loops = kernel.net.if_flags(group.ifp).contains(IfFlags::LOOPBACK);
    let ours = matches!(group.state, Member::Delaying | Member::Idle);
    if ours && !is_local(group.addr) && !loops && !is_old(kernel, group.ifp) {
        sendpkt(kernel, group.addr, group.ifp, LEAVE);
    }
}

/// Sends the reports that are due (`igmp_fasttimo`).
pub(super) fn igmp_fasttimo(kernel: &mut Kernel) {
    let mut due = Vec::new();
    let mut running = false;
    for ia in kernel.inet.ifaddr.clone() {
        let Some(ia) = kernel.net.ifaddrs.get_mut(ia).and_then(|ifa| ifa.inet.as_mut()) else { continue };
        for group in ia.multiaddrs.iter_mut().filter(|group| group.timer > 0) {
            group.timer -= 1;
            running |= group.timer > 0;
            if group.timer == 0 && group.state == Member::Delaying {
                group.state = Member::Idle;
                due.push(*group);
            }
        }
    }
    for group in due {
        let kind = report_type(kernel, group.ifp);
        sendpkt(kernel, group.addr, group.ifp, kind);
    }
    if running {
        tcp_timer::arm_fast(kernel);
    }
}

/// Forgets old routers (`igmp_slowtimo`).
pub(super) fn igmp_slowtimo(kernel: &mut Kernel) {
    let now = tcp_timer::now(kernel);
    kernel.inet.routers.retain(|router| router.old_until > now);
}

/// Sends a message about a group (`igmp_sendpkt`).
fn sendpkt(kernel: &mut Kernel, addr: Ipv4Addr, ifp: IfIndex, kind: u8) {
    let len = IP_HEADER + IGMP_MINLEN;
    let mut m = Mbuf::gethdr(MbufType::Header);
    m.align(len);
    m.set_len(len);
    let mut m = Chain::from(m);
    Ip::new(ipproto::IGMP as u8, INADDR_ANY, addr, len).store(&mut m);
    let [a, b, c, d] = addr.octets();
    store(&mut m, IP_HEADER, &[kind, 0, 0, 0, a, b, c, d]);
    let sum = in_cksum(Sum::default(), &m, IP_HEADER, IGMP_MINLEN);
    store(&mut m, IP_HEADER + 2, &sum);
    let imo = Moptions { interface: Some(ifp), ttl: 1, looped: 0, memberships: Vec::new() };
    let _ = ip_output(kernel, m, None, Way::Fresh, Flags::empty(), Some(&imo));
    kernel.inet.stat.igmp.bump(igps::SND_REPORTS);
}
