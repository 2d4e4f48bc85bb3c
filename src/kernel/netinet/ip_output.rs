//! Packets that go out: the route, groups, broadcasts, and fragments.
//!
//! A packet comes with a header whose numbers are in the order of the host, but for its identification.
//!
//! 2.1 counterpart: netinet/ip_output.c (ip_output, ip_mloopback).

use bitflags::bitflags;
use syscalls::errno::Errno;

use super::in_cksum::{Sum, in_cksum};
use super::in_control::{ia_addr, ifp_to_ia, in_broadcast};
use super::ip::{IP_DF, IP_HEADER, IP_MF, Ip, store};
use super::ip_options::{MAX_LINKHDR, ip_insertoptions, ip_optcopy};
use super::multicast::{self, Moptions};
use super::statistics::ips;
use super::{INADDR_ANY, InpcbId, in_rmx, sin_addr};
use crate::kernel::Kernel;
use crate::kernel::net::interface::{Driver, IFQ_MAXLEN, IfFlags};
use crate::kernel::net::metrics::rtv;
use crate::kernel::net::route::{Route, RtId, rtalloc_ign, rtf, rtfree};
use crate::kernel::net::sockaddr::family;
use crate::kernel::net::{IfIndex, IfaId, if_loop, tun};
use crate::kernel::socket::chain::Chain;
use crate::kernel::socket::events;
use crate::kernel::socket::mbuf::{Mbuf, MbufFlags, MbufType};

bitflags! {
    /// How a packet is sent (`IP_*`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Flags: u16 {
        /// Somebody else's packet.
        const FORWARDING = 0x1;
        /// The header is the user's.
        const RAWOUTPUT = 0x2;
        /// The interface is chosen by network (SO_DONTROUTE).
        const ROUTETOIF = 0x10;
        /// Broadcasts are allowed (SO_BROADCAST).
        const ALLOWBROADCAST = 0x20;
    }
}

/// Where the route of a packet is kept.
#[derive(Debug)]
pub(super) enum Way<'a> {
    /// Nowhere: it is looked for each time.
    Fresh,
    /// Here.
    Through(&'a mut Route),
}

/// Sends a packet of a control block, by its route and with its options.
pub(super) fn send(
    kernel: &mut Kernel,
    id: InpcbId,
    m: Chain,
    flags: Flags,
    multicasts: bool,
) -> Result<(), Errno> {
    let inp = kernel.inet.inp_mut(id);
    let mut ro = std::mem::take(&mut inp.route);
    let options = std::mem::take(&mut inp.options);
    let imo = if multicasts { inp.moptions.take() } else { None };
    let opt = (!options.is_empty()).then_some(options.as_slice());
    let sent = ip_output(kernel, m, opt, Way::Through(&mut ro), flags, imo.as_deref());
    let inp = kernel.inet.inp_mut(id);
    (inp.route, inp.options) = (ro, options);
    if imo.is_some() {
        inp.moptions = imo;
    }
    sent
}

/// Sends a packet (`ip_output`).
pub(super) fn ip_output(
    kernel: &mut Kernel,
    m: Chain,
    opt: Option<&[u8]>,
    way: Way<'_>,
    flags: Flags,
    imo: Option<&Moptions>,
) -> Result<(), Errno> {
    if !kernel.observed() {
        return output(kernel, m, opt, way, flags, imo);
    }
    events::begin_with(kernel, None, "ip_output", || super::trace::describe_host(&m));
    let sent = output(kernel, m, opt, way, flags, imo);
    events::end(kernel, None, "ip_output", sent);
    sent
}

fn output(
    kernel: &mut Kernel,
    mut m: Chain,
    opt: Option<&[u8]>,
    way: Way<'_>,
    flags: Flags,
    imo: Option<&Moptions>,
) -> Result<(), Errno> {
    let mut hlen = IP_HEADER;
    if let Some(opt) = opt {
        hlen = ip_insertoptions(&mut m, opt);
    }
    let Some(mut ip) = Ip::of(&m) else { return Err(Errno::EINVAL) };
    if flags.intersects(Flags::FORWARDING | Flags::RAWOUTPUT) {
        hlen = ip.hlen();
    } else {
        ip.set_hlen(hlen);
        ip.off &= IP_DF;
        ip.id = kernel.inet.ip_id.swap_bytes();
        kernel.inet.ip_id = kernel.inet.ip_id.wrapping_add(1);
        kernel.inet.stat.ip.bump(ips::LOCALOUT);
    }
    let mut fresh = Route::default();
    let (ro, is_fresh) = match way {
        Way::Fresh => (&mut fresh, true),
        Way::Through(ro) => (ro, false),
    };
    let done = route_and_send(kernel, m, ip, hlen, ro, flags, imo);
    if is_fresh && let Some(rt) = ro.rt {
        rtfree(kernel, rt);
    }
    done
}

/// Where a packet goes.
struct Hop {
    ifp: IfIndex,
    ia: IfaId,
    dst: Vec<u8>,
    rt: Option<RtId>,
}

/// Finds the route of a packet.
fn route(kernel: &mut Kernel, ip: &mut Ip, ro: &mut Route, flags: Flags) -> Result<Hop, Errno> {
    if let Some(rt) = ro.rt
        && (kernel.net.rt(rt).flags & rtf::UP == 0 || sin_addr(&ro.dst) != ip.dst)
    {
        rtfree(kernel, rt);
        ro.rt = None;
    }
    if ro.rt.is_none() {
        ro.dst = in_rmx::sin(ip.dst).to_vec();
    }
    if flags.contains(Flags::ROUTETOIF) {
        let net = &kernel.net;
        let ia = net.ifa_ifwithdstaddr(&ro.dst).or_else(|| net.ifa_ifwithnet(&ro.dst));
        let Some(ia) = ia else {
            kernel.inet.stat.ip.bump(ips::NOROUTE);
            return Err(Errno::ENETUNREACH);
        };
        ip.ttl = 1;
        let ifp = kernel.net.ifaddrs.get(ia).map_or(0, |ifa| ifa.ifp);
        return Ok(Hop { ifp, ia, dst: ro.dst.clone(), rt: ro.rt });
    }
    if ro.rt.is_none() {
        rtalloc_ign(kernel, ro, rtf::PRCLONING);
    }
    let Some(rt) = ro.rt else {
        kernel.inet.stat.ip.bump(ips::NOROUTE);
        return Err(Errno::EHOSTUNREACH);
    };
    let entry = kernel.net.rt_mut(rt);
    entry.rmx.pksent = entry.rmx.pksent.wrapping_add(1);
    let dst = if entry.flags & rtf::GATEWAY != 0 { entry.gateway.clone() } else { ro.dst.clone() };
    Ok(Hop { ifp: entry.ifp, ia: entry.ifa, dst, rt: Some(rt) })
}

fn route_and_send(
    kernel: &mut Kernel,
    mut m: Chain,
    mut ip: Ip,
    hlen: usize,
    ro: &mut Route,
    flags: Flags,
    imo: Option<&Moptions>,
) -> Result<(), Errno> {
    let mut hop = route(kernel, &mut ip, ro, flags)?;
    if ip.dst.is_multicast() {
        hop.dst = ro.dst.clone();
        let gone = to_group(kernel, &mut m, &mut ip, &mut hop, imo)?;
        if gone {
            return Ok(());
        }
    } else {
        if ip.src == INADDR_ANY {
            ip.src = ia_addr(kernel, hop.ia);
        }
        check(kernel, &mut m, &ip, &hop, flags)?;
    }
    let mtu = kernel.net.ifnet(hop.ifp).map_or(0, |ifp| ifp.mtu);
    if u32::from(ip.len) <= mtu {
        seal(&mut m, &mut ip, hlen);
        return if_output(kernel, &hop, m);
    }
    if ip.off & IP_DF != 0 {
        if let Some(rt) = hop.rt.and_then(|rt| kernel.net.rtentries.get_mut(rt))
            && rt.flags & (rtf::UP | rtf::HOST) != 0
            && rt.rmx.locks & rtv::MTU == 0
            && rt.rmx.mtu > mtu
        {
            rt.rmx.mtu = mtu;
        }
        kernel.inet.stat.ip.bump(ips::CANTFRAG);
        return Err(Errno::EMSGSIZE);
    }
    let len = ((i64::from(mtu) - hlen as i64) & !7).max(0) as usize;
    if len < 8 {
        return Err(Errno::EMSGSIZE);
    }
    fragment(kernel, m, ip, hlen, len, &hop)
}

/// What a packet to a group needs; true if nothing of it is left to be sent.
fn to_group(
    kernel: &mut Kernel,
    m: &mut Chain,
    ip: &mut Ip,
    hop: &mut Hop,
    imo: Option<&Moptions>,
) -> Result<bool, Errno> {
    if let Some(first) = m.front_mut() {
        first.flags.insert(MbufFlags::MCAST);
    }
    ip.ttl = imo.map_or(1, |imo| imo.ttl);
    if let Some(ifp) = imo.and_then(|imo| imo.interface) {
        hop.ifp = ifp;
    }
    let flags = kernel.net.if_flags(hop.ifp);
    if !flags.contains(IfFlags::MULTICAST) {
        kernel.inet.stat.ip.bump(ips::NOROUTE);
        return Err(Errno::ENETUNREACH);
    }
    if ip.src == INADDR_ANY
        && let Some(ia) = ifp_to_ia(kernel, hop.ifp)
    {
        ip.src = ia_addr(kernel, ia);
    }
    if multicast::is_member(kernel, ip.dst, hop.ifp) && imo.is_none_or(|imo| imo.looped != 0) {
        ip.store(m);
        let mut copy = m.copy_all();
        let mut header = *ip;
        seal(&mut copy, &mut header, ip.hlen());
        let _ = if_loop::looutput(kernel, hop.ifp, copy, family(&hop.dst), None);
    }
    Ok(ip.ttl == 0 || flags.contains(IfFlags::LOOPBACK))
}

/// Whether the interface takes a packet, and whether it may be a broadcast.
fn check(kernel: &Kernel, m: &mut Chain, ip: &Ip, hop: &Hop, flags: Flags) -> Result<(), Errno> {
    let Some(ifp) = kernel.net.ifnet(hop.ifp) else { return Err(Errno::ENETUNREACH) };
    // The length is a signed number here: of more than 32767 bytes it is a huge one.
    let pieces = i32::from(ip.len as i16) as u32 / ifp.mtu.max(1);
    if pieces + 1 >= IFQ_MAXLEN as u32 {
        return Err(Errno::ENOBUFS);
    }
    let broadcast = in_broadcast(kernel, sin_addr(&hop.dst), hop.ifp);
    if broadcast {
        if !ifp.flags.contains(IfFlags::BROADCAST) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        if !flags.contains(Flags::ALLOWBROADCAST) {
            return Err(Errno::EACCES);
        }
        if u32::from(ip.len) > ifp.mtu {
            return Err(Errno::EMSGSIZE);
        }
    }
    if let Some(first) = m.front_mut() {
        first.flags.set(MbufFlags::BCAST, broadcast);
    }
    Ok(())
}

/// Brings a header into the order of the network and sums it.  Its identification is in that order already.
fn seal(m: &mut Chain, ip: &mut Ip, hlen: usize) {
    ip.sum = [0; 2];
    let mut header = *ip;
    header.id = ip.id.swap_bytes();
    store(m, 0, &header.net());
    let sum = in_cksum(Sum::default(), m, 0, hlen);
    store(m, 10, &sum);
}

/// Gives a packet to its interface (`if_output`).
fn if_output(kernel: &mut Kernel, hop: &Hop, m: Chain) -> Result<(), Errno> {
    let family = family(&hop.dst);
    match kernel.net.ifnet(hop.ifp).map(|ifp| ifp.driver) {
        Some(Driver::Loop) => {
            events::note_packet(kernel, "looutput");
            if_loop::looutput(kernel, hop.ifp, m, family, hop.rt)
        }
        Some(Driver::Tun(unit)) => tun::tunoutput(kernel, unit, m, family),
        Some(Driver::Host) | None => Err(Errno::ENETDOWN),
    }
}

/// Cuts a packet into fragments of `len` bytes, and sends them in their order.
fn fragment(
    kernel: &mut Kernel,
    mut m: Chain,
    ip: Ip,
    hlen: usize,
    len: usize,
    hop: &Hop,
) -> Result<(), Errno> {
    let total = usize::from(ip.len);
    let options = match m.front() {
        Some(first) if hlen > IP_HEADER => ip_optcopy(first.bytes().get(IP_HEADER..hlen).unwrap_or_default()),
        _ => Vec::new(),
    };
    let mut fragments = Vec::new();
    let mut off = hlen + len;
    while off < total {
        let count = len.min(total - off);
        let mut header = ip;
        let mhlen = IP_HEADER + options.len();
        header.set_hlen(mhlen);
        let position = ((off - hlen) >> 3) as u16;
        header.off = position.wrapping_add(ip.off & !IP_MF);
        if ip.off & IP_MF != 0 || off + count < total {
            header.off |= IP_MF;
        }
        header.len = (mhlen + count) as u16;
        let mut first = Mbuf::gethdr(MbufType::Header);
        first.indent(MAX_LINKHDR);
        first.set_len(mhlen);
        let mut piece = m.copy_range(off, count);
        piece.push_front(first);
        store(&mut piece, IP_HEADER, &options);
        seal(&mut piece, &mut header, mhlen);
        fragments.push(piece);
        kernel.inet.stat.ip.bump(ips::OFRAGMENTS);
        off += len;
    }
    m.adj((hlen + len) as i32 - total as i32);
    let mut header = ip;
    (header.len, header.off) = ((hlen + len) as u16, ip.off | IP_MF);
    seal(&mut m, &mut header, hlen);
    if_output(kernel, hop, m)?;
    for piece in fragments {
        if_output(kernel, hop, piece)?;
    }
    kernel.inet.stat.ip.bump(ips::FRAGMENTED);
    Ok(())
}
