//! Internet addresses of interfaces: what ioctl tells and changes of them, and what follows for routes and
//! groups.
//!
//! 2.1 counterpart: netinet/in.c, netinet/in_var.h.

use std::net::Ipv4Addr;

use syscalls::errno::Errno;
use syscalls::ioctl::*;

use super::{INADDR_ANY, SockaddrIn, multicast, sin_addr};
use crate::kernel::net::interface::{Driver, DstAddr, IfFlags, Ifaddr, InIfaddr};
use crate::kernel::net::ioctl::if_ioctl;
use crate::kernel::net::route::{Init, rtf, rtinit};
use crate::kernel::net::{IfIndex, IfaId, tun};
use crate::kernel::socket::SocketId;
use crate::kernel::socket::socket::SockState;
use crate::kernel::{Context, Kernel};

/// Its route was made (IFA_ROUTE).
const IFA_ROUTE: u16 = rtf::UP as u16;
/// Where the value of a request is, and of a request with more addresses the others.
const VALUE: usize = 16;
const BROADCAST: usize = 32;
const MASK: usize = 48;

/// The address of a `struct in_ifaddr` (IA_SIN).
pub fn ia_addr(kernel: &Kernel, ia: IfaId) -> Ipv4Addr {
    kernel.net.ifaddrs.get(ia).map_or(INADDR_ANY, |ifa| sin_addr(&ifa.addr))
}

/// The first address of the machine (`in_ifaddr`).
pub fn first_addr(kernel: &Kernel) -> Option<Ipv4Addr> {
    kernel.inet.ifaddr.first().map(|&ia| ia_addr(kernel, ia))
}

/// The broadcast address of the first interface, if it has one.
pub fn first_broadcast(kernel: &Kernel) -> Option<Ipv4Addr> {
    let ifa = kernel.net.ifaddrs.get(*kernel.inet.ifaddr.first()?)?;
    let broadcasts = kernel.net.if_flags(ifa.ifp).contains(IfFlags::BROADCAST);
    ifa.dst().filter(|_| broadcasts).map(sin_addr)
}

/// The first address of an interface (IFP_TO_IA).
pub fn ifp_to_ia(kernel: &Kernel, ifp: IfIndex) -> Option<IfaId> {
    kernel
        .inet
        .ifaddr
        .iter()
        .copied()
        .find(|&ia| kernel.net.ifaddrs.get(ia).is_some_and(|ifa| ifa.ifp == ifp))
}

/// The interface that an own address belongs to (INADDR_TO_IFP).
pub fn addr_to_ifp(kernel: &Kernel, addr: Ipv4Addr) -> Option<IfIndex> {
    let all = || kernel.inet.ifaddr.iter().filter_map(|&ia| kernel.net.ifaddrs.get(ia));
    let tunnel = |ifa: &&Ifaddr| kernel.net.if_flags(ifa.ifp).contains(IfFlags::POINTOPOINT);
    let end = |ifa: &&Ifaddr| {
        if tunnel(ifa) { ifa.dst().map(sin_addr) == Some(addr) } else { sin_addr(&ifa.addr) == addr }
    };
    let found = all().find(end).or_else(|| all().find(|ifa| tunnel(ifa) && sin_addr(&ifa.addr) == addr));
    found.map(|ifa| ifa.ifp)
}

/// Whether an address is one of this machine's.
pub fn is_own(kernel: &Kernel, addr: Ipv4Addr) -> bool {
    kernel.inet.ifaddr.iter().any(|&ia| ia_addr(kernel, ia) == addr)
}

/// Whether an address is on a network that this machine is on (`in_localaddr`).
pub fn in_localaddr(kernel: &Kernel, addr: Ipv4Addr) -> bool {
    let addr = u32::from(addr);
    let all = kernel.inet.ifaddr.iter().filter_map(|&ia| kernel.net.ifaddrs.get(ia)?.inet.as_ref());
    all.into_iter().any(|ia| addr & ia.netmask == ia.net)
}

/// Whether packets to an address may be forwarded (`in_canforward`).
pub fn in_canforward(addr: Ipv4Addr) -> bool {
    const LOOPBACKNET: u8 = 127;
    let [first, ..] = addr.octets();
    !(first >= 224 || first == 0 || first == LOOPBACKNET)
}

/// Whether an address might be one of a broadcast on an interface (`in_broadcast`).
pub fn in_broadcast(kernel: &Kernel, addr: Ipv4Addr, ifp: IfIndex) -> bool {
    if addr.is_broadcast() || addr == INADDR_ANY {
        return true;
    }
    let Some(ifnet) = kernel.net.ifnet(ifp).filter(|ifp| ifp.flags.contains(IfFlags::BROADCAST)) else {
        return false;
    };
    let number = u32::from(addr);
    ifnet.addrlist.iter().filter_map(|&ia| kernel.net.ifaddrs.get(ia)).any(|ifa| {
        let Some(ia) = &ifa.inet else { return false };
        let matches = ifa.dst().map(sin_addr) == Some(addr)
            || number == ia.netbroadcast
            || number == ia.subnet
            || number == ia.net;
        matches && ia.subnetmask != u32::MAX
    })
}

/// Serves a protocol's request on the addresses of an interface (`in_control`).
pub fn in_control(cx: &mut Context<'_>, so: SocketId, cmd: u32, data: &mut [u8]) -> Result<(), Errno> {
    let ifp = if Request(cmd).group() == b'i' { cx.kernel.net.ifunit(name_of(data)) } else { None };
    let Some(ifp) = ifp else { return Err(Errno::EOPNOTSUPP) };
    let privileged = cx.kernel.sockets[so].state.contains(SockState::PRIV);
    let mut ia = ifp_to_ia(cx.kernel, ifp);
    let flags = cx.kernel.net.if_flags(ifp);
    match cmd {
        SIOCAIFADDR | SIOCDIFADDR | SIOCSIFADDR | SIOCSIFNETMASK | SIOCSIFDSTADDR => {
            if matches!(cmd, SIOCAIFADDR | SIOCDIFADDR) && sockaddr(data, VALUE)[1] == 2 {
                ia = same_addr(cx.kernel, ifp, sin_addr(&sockaddr(data, VALUE)));
                let no_peer = sin_addr(&sockaddr(data, BROADCAST)) == INADDR_ANY;
                if flags.contains(IfFlags::POINTOPOINT) && cmd == SIOCAIFADDR && no_peer {
                    return Err(Errno::EDESTADDRREQ);
                }
            }
            if cmd == SIOCDIFADDR && ia.is_none() {
                return Err(Errno::EADDRNOTAVAIL);
            }
            if !privileged {
                return Err(Errno::EPERM);
            }
            let ia = ia.unwrap_or_else(|| new_addr(cx.kernel, ifp));
            set(cx, ifp, ia, cmd, data)
        }
        SIOCSIFBRDADDR if !privileged => Err(Errno::EPERM),
        SIOCSIFBRDADDR | SIOCGIFADDR | SIOCGIFNETMASK | SIOCGIFDSTADDR | SIOCGIFBRDADDR => {
            let ia = ia.ok_or(Errno::EADDRNOTAVAIL)?;
            get(cx.kernel, flags, ia, cmd, data)
        }
        _ => {
            let request = data.to_vec();
            if_ioctl(cx, ifp, cmd, &request)
        }
    }
}

fn name_of(data: &[u8]) -> &[u8] {
    data.get(..VALUE).unwrap_or_default()
}

/// An address in a request.
fn sockaddr(data: &[u8], at: usize) -> [u8; 16] {
    let mut sa = [0; 16];
    if let Some(given) = data.get(at..) {
        sa.iter_mut().zip(given).for_each(|(to, from)| *to = *from);
    }
    sa
}

fn put(data: &mut [u8], address: &[u8]) {
    if let Some(room) = data.get_mut(VALUE..VALUE + 16) {
        for (at, byte) in room.iter_mut().enumerate() {
            *byte = address.get(at).copied().unwrap_or(0);
        }
    }
}

/// The address of an interface that is this one.
fn same_addr(kernel: &Kernel, ifp: IfIndex, addr: Ipv4Addr) -> Option<IfaId> {
    let own = |ia: IfaId| kernel.net.ifaddrs.get(ia).is_some_and(|ifa| ifa.ifp == ifp);
    kernel.inet.ifaddr.iter().copied().find(|&ia| own(ia) && ia_addr(kernel, ia) == addr)
}

/// Adds an empty address to an interface.
fn new_addr(kernel: &mut Kernel, ifp: IfIndex) -> IfaId {
    let broadcasts = kernel.net.if_flags(ifp).contains(IfFlags::BROADCAST);
    let mut mask = vec![0; 16];
    mask[0] = 8;
    let mut dst = vec![0; 16];
    if broadcasts {
        (dst[0], dst[1]) = (16, 2);
    }
    let id = kernel.net.ifaddrs.insert(Ifaddr {
        addr: vec![0; 16],
        dstaddr: DstAddr::Sockaddr(dst),
        netmask: Some(mask),
        ifp,
        flags: 0,
        metric: 0,
        refcnt: 0,
        inet: Some(InIfaddr::default()),
    });
    kernel.inet.ifaddr.push(id);
    if let Some(ifnet) = kernel.net.ifnet_mut(ifp) {
        ifnet.addrlist.push(id);
    }
    id
}

fn get(kernel: &mut Kernel, flags: IfFlags, ia: IfaId, cmd: u32, data: &mut [u8]) -> Result<(), Errno> {
    let Some(ifa) = kernel.net.ifaddrs.get_mut(ia) else { return Err(Errno::EADDRNOTAVAIL) };
    match cmd {
        SIOCGIFADDR => put(data, &ifa.addr),
        SIOCGIFNETMASK => put(data, ifa.netmask.as_deref().unwrap_or_default()),
        SIOCGIFBRDADDR if flags.contains(IfFlags::BROADCAST) => put(data, ifa.dst().unwrap_or_default()),
        SIOCGIFDSTADDR if flags.contains(IfFlags::POINTOPOINT) => put(data, ifa.dst().unwrap_or_default()),
        SIOCSIFBRDADDR if flags.contains(IfFlags::BROADCAST) => {
            ifa.dstaddr = DstAddr::Sockaddr(sockaddr(data, VALUE).to_vec());
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(())
}

fn ifa_mut(kernel: &mut Kernel, ia: IfaId) -> &mut Ifaddr {
    &mut kernel.net.ifaddrs[ia]
}

fn set(cx: &mut Context<'_>, ifp: IfIndex, ia: IfaId, cmd: u32, data: &[u8]) -> Result<(), Errno> {
    match cmd {
        SIOCSIFADDR => ifinit(cx.kernel, ifp, ia, &sockaddr(data, VALUE), true),
        SIOCSIFNETMASK => {
            let mask = sin_addr(&sockaddr(data, VALUE));
            set_mask(ifa_mut(cx.kernel, ia), mask);
            Ok(())
        }
        SIOCSIFDSTADDR => set_dstaddr(cx, ifp, ia, data),
        SIOCAIFADDR => add_addr(cx.kernel, ifp, ia, data),
        _ => {
            delete_addr(cx.kernel, ifp, ia);
            Ok(())
        }
    }
}

/// Sets the mask's number, in the address of the mask, too.
fn set_mask(ifa: &mut Ifaddr, mask: Ipv4Addr) {
    if let Some(room) = ifa.netmask.as_mut().and_then(|m| m.get_mut(4..8)) {
        room.copy_from_slice(&mask.octets());
    }
    if let Some(ia) = &mut ifa.inet {
        ia.subnetmask = mask.into();
    }
}

fn set_dstaddr(cx: &mut Context<'_>, ifp: IfIndex, ia: IfaId, data: &[u8]) -> Result<(), Errno> {
    if !cx.kernel.net.if_flags(ifp).contains(IfFlags::POINTOPOINT) {
        return Err(Errno::EINVAL);
    }
    if_ioctl(cx, ifp, SIOCSIFDSTADDR, data)?;
    let routed = ifa_mut(cx.kernel, ia).flags & IFA_ROUTE != 0;
    if routed {
        let _ = rtinit(cx.kernel, ia, Init::Delete, rtf::HOST, None);
    }
    ifa_mut(cx.kernel, ia).dstaddr = DstAddr::Sockaddr(sockaddr(data, VALUE).to_vec());
    if routed {
        let _ = rtinit(cx.kernel, ia, Init::Add, rtf::HOST | rtf::UP, None);
    }
    Ok(())
}

/// Adds an address or changes one (SIOCAIFADDR).
fn add_addr(kernel: &mut Kernel, ifp: IfIndex, ia: IfaId, data: &[u8]) -> Result<(), Errno> {
    let mut addr = sockaddr(data, VALUE);
    let (dst, mask) = (sockaddr(data, BROADCAST), sockaddr(data, MASK));
    let flags = kernel.net.if_flags(ifp);
    let own = ifa_mut(kernel, ia).addr.clone();
    let (mut host_is_new, mut mask_is_new) = (true, false);
    if own.get(1) == Some(&2) {
        if addr[0] == 0 {
            addr = sockaddr(&own, 0);
            host_is_new = false;
        } else if sin_addr(&addr) == sin_addr(&own) {
            host_is_new = false;
        }
    }
    if mask[0] != 0 {
        ifscrub(kernel, ifp, ia, None);
        let ifa = ifa_mut(kernel, ia);
        ifa.netmask = Some(mask.to_vec());
        set_mask(ifa, sin_addr(&mask));
        mask_is_new = true;
    }
    if flags.contains(IfFlags::POINTOPOINT) && dst[1] == 2 {
        ifscrub(kernel, ifp, ia, None);
        ifa_mut(kernel, ia).dstaddr = DstAddr::Sockaddr(dst.to_vec());
        mask_is_new = true;
    }
    let mut result = Ok(());
    if addr[1] == 2 && (host_is_new || mask_is_new) {
        result = ifinit(kernel, ifp, ia, &addr, false);
    }
    if flags.contains(IfFlags::BROADCAST) && dst[1] == 2 {
        ifa_mut(kernel, ia).dstaddr = DstAddr::Sockaddr(dst.to_vec());
    }
    result
}

/// Takes an address off (SIOCDIFADDR); its groups go to another one of the interface, or wait for one.
fn delete_addr(kernel: &mut Kernel, ifp: IfIndex, ia: IfaId) {
    ifscrub(kernel, ifp, ia, None);
    if let Some(ifnet) = kernel.net.ifnet_mut(ifp) {
        ifnet.addrlist.retain(|&other| other != ia);
    }
    kernel.inet.ifaddr.retain(|&other| other != ia);
    let groups = ifa_mut(kernel, ia).inet.as_mut().map(|ia| std::mem::take(&mut ia.multiaddrs));
    kernel.net.ifafree(ia);
    let Some(groups) = groups.filter(|groups| !groups.is_empty()) else { return };
    let other = ifp_to_ia(kernel, ifp).and_then(|other| kernel.net.ifaddrs.get_mut(other)?.inet.as_mut());
    match other {
        Some(other) => other.multiaddrs.extend(groups),
        None => kernel.inet.kludge.push((ifp, groups)),
    }
}

/// Deletes the route of an interface's address (`in_ifscrub`).
fn ifscrub(kernel: &mut Kernel, ifp: IfIndex, ia: IfaId, addr: Option<&[u8]>) {
    if ifa_mut(kernel, ia).flags & IFA_ROUTE == 0 {
        return;
    }
    let host = kernel.net.if_flags(ifp).intersects(IfFlags::LOOPBACK | IfFlags::POINTOPOINT);
    let _ = rtinit(kernel, ia, Init::Delete, if host { rtf::HOST } else { 0 }, addr);
    ifa_mut(kernel, ia).flags &= !IFA_ROUTE;
}

/// Gives an interface's address its number, and makes the route (`in_ifinit`).
fn ifinit(kernel: &mut Kernel, ifp: IfIndex, ia: IfaId, sin: &[u8; 16], scrub: bool) -> Result<(), Errno> {
    let addr = sin_addr(sin);
    let number = u32::from(addr);
    let old = std::mem::replace(&mut ifa_mut(kernel, ia).addr, sin.to_vec());
    // The drivers that there are never refuse an address.
    let driver = kernel.net.ifnet(ifp).map(|ifp| ifp.driver);
    if let Some(Driver::Tun(_)) = driver {
        tun::tuninit(kernel, ifp);
    } else if let Some(ifnet) = kernel.net.ifnet_mut(ifp) {
        ifnet.flags.insert(IfFlags::UP | IfFlags::RUNNING);
    }
    if scrub {
        ifscrub(kernel, ifp, ia, Some(&old));
    }
    let (flags, metric) = kernel.net.ifnet(ifp).map_or((IfFlags::empty(), 0), |ifp| (ifp.flags, ifp.metric));
    let ifa = ifa_mut(kernel, ia);
    let class = match addr.octets()[0] {
        0..=127 => 0xff00_0000,
        128..=191 => 0xffff_0000,
        _ => 0xffff_ff00u32,
    };
    let mut set = None;
    if let Some(ia) = &mut ifa.inet {
        ia.netmask = class;
        if ia.subnetmask == 0 {
            ia.subnetmask = class;
            set = Some(class);
        } else {
            ia.netmask &= ia.subnetmask;
        }
        ia.net = number & ia.netmask;
        ia.subnet = number & ia.subnetmask;
        ia.netbroadcast = ia.net | !ia.netmask;
    }
    if let Some(mask) = set {
        set_mask(ifa, mask.into());
    }
    if let Some(mask) = &mut ifa.netmask {
        socktrim(mask);
    }
    ifa.metric = metric;
    let mut route = rtf::UP;
    if flags.contains(IfFlags::BROADCAST) {
        let broadcast = ifa.inet.as_ref().map_or(0, |ia| ia.subnet | !ia.subnetmask);
        let dst = SockaddrIn::new(broadcast.into(), 0).bytes();
        ifa.dstaddr = DstAddr::Sockaddr(dst.to_vec());
    } else if flags.contains(IfFlags::LOOPBACK) {
        ifa.dstaddr = DstAddr::Own;
        route |= rtf::HOST;
    } else if flags.contains(IfFlags::POINTOPOINT) {
        if ifa.dst().is_none_or(|dst| dst.get(1) != Some(&2)) {
            return Ok(());
        }
        route |= rtf::HOST;
    }
    let made = rtinit(kernel, ia, Init::Add, route, None);
    if made.is_ok() {
        ifa_mut(kernel, ia).flags |= IFA_ROUTE;
    }
    init_groups(kernel, ifp, ia, flags);
    made
}

/// An address begins with the group of all hosts, and with those that waited for it.
fn init_groups(kernel: &mut Kernel, ifp: IfIndex, ia: IfaId, flags: IfFlags) {
    let waiting = kernel.inet.kludge.iter().position(|(other, _)| *other == ifp);
    let groups = match waiting {
        Some(at) if flags.contains(IfFlags::MULTICAST) => kernel.inet.kludge.remove(at).1,
        _ => Vec::new(),
    };
    if let Some(ia) = &mut ifa_mut(kernel, ia).inet {
        ia.multiaddrs = groups;
    }
    if flags.contains(IfFlags::MULTICAST) {
        multicast::add_multi(kernel, Ipv4Addr::new(224, 0, 0, 1), ifp);
    }
}

/// Makes a mask's address as short as it can be (`in_socktrim`).
fn socktrim(mask: &mut [u8]) {
    const ADDR: usize = 4;
    let last = (ADDR..8).rev().find(|&at| mask.get(at).is_some_and(|&byte| byte != 0));
    if let Some(len) = mask.first_mut() {
        *len = last.map_or(0, |last| last as u8 + 1);
    }
}

/// Gives a fresh interface its first address, as the machine's start does.
pub fn configure(kernel: &mut Kernel, ifp: IfIndex, sin: SockaddrIn) {
    configure_with(kernel, ifp, sin, None);
}

/// The same with a mask that is not that of its class.
pub fn configure_with(kernel: &mut Kernel, ifp: IfIndex, sin: SockaddrIn, mask: Option<Ipv4Addr>) {
    let ia = new_addr(kernel, ifp);
    if let Some(mask) = mask {
        let ifa = ifa_mut(kernel, ia);
        if let Some(ia) = &mut ifa.inet {
            ia.subnetmask = mask.into();
        }
        set_mask(ifa, mask);
    }
    // The table is empty: nothing can be in the way.
    let _ = ifinit(kernel, ifp, ia, &sin.bytes(), true);
}
