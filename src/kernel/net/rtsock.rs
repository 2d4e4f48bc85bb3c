//! Routing sockets: what user programs ask of the table, and what they are told of changes.
//!
//! This file does not know interfaces' drivers, nor protocols.
//!
//! 2.1 counterpart: net/rtsock.c.

use syscalls::errno::Errno;

use super::metrics::Metrics;
use super::radix::{MAX_KEYLEN, Mask};
use super::route::{self, Init, RtId, rtf};
use super::rtmsg::{
    Addresses, RT_MSGHDR, RTAX_MAX, RTM_VERSION, at, bits, fill_ifinfo, get, message, packet, put,
};
pub use super::rtmsg::{Message, rtax};
use super::sockaddr::{AF_INET, family, roundup, sa_len};
use super::{IfIndex, IfaId, raw_usrreq};
use crate::kernel::socket::SocketId;
use crate::kernel::socket::chain::Chain;
use crate::kernel::socket::protosw::Message as Sent;
use crate::kernel::socket::socket::SocketOptions;
use crate::kernel::{Context, Kernel};

/// Takes a user's message, does what it asks, and sends it back to all who listen (`route_output`).
pub fn route_output(cx: &mut Context<'_>, so: SocketId, sent: Sent<'_>) -> Result<(), Errno> {
    let Some(mut m) = pulled_up(sent.m) else { return Err(Errno::ENOBUFS) };
    let mut rtm = m.to_vec();
    let len = rtm.len();
    let mut addresses = Addresses::default();
    let told = usize::from(u16::from_le_bytes([rtm[0], rtm[1]]));
    let whole = len >= RT_MSGHDR && len == told;
    let result = if !whole {
        Err(Errno::EINVAL)
    } else if rtm[2] != RTM_VERSION {
        Err(Errno::EPROTONOSUPPORT)
    } else {
        put(&mut rtm, at::PID, cx.proc().pid as u32);
        addresses = xaddrs(&rtm);
        request(cx.kernel, &mut rtm, &mut addresses)
    };
    if whole {
        match result {
            Err(error) => put(&mut rtm, at::ERRNO, error as u32),
            Ok(()) => {
                let flags = get(&rtm, at::FLAGS) | rtf::DONE;
                put(&mut rtm, at::FLAGS, flags);
            }
        }
    }
    let kernel = &mut *cx.kernel;
    let loops = kernel.sockets[so].options.contains(SocketOptions::USELOOPBACK);
    if !loops && kernel.net.listeners <= 1 {
        return result;
    }
    if whole {
        let len = usize::from(u16::from_le_bytes([rtm[0], rtm[1]])).min(rtm.len());
        m.copy_back(0, &rtm[..len]);
    }
    if let Some(dst) = &addresses[rtax::DST] {
        kernel.net.routeproto = family(dst);
    }
    let protocol = kernel.net.routeproto;
    raw_usrreq::raw_input(kernel, m, protocol, (!loops).then_some(so));
    result
}

fn pulled_up(m: Chain) -> Option<Chain> {
    const WORD: usize = 4;
    if m.front().is_some_and(|first| first.len() < WORD) { m.pullup(WORD) } else { Some(m) }
}

/// The addresses of a message (`rt_xaddrs`).
fn xaddrs(rtm: &[u8]) -> Addresses {
    let mut addresses = Addresses::default();
    let present = get(rtm, at::ADDRS);
    let mut place = RT_MSGHDR;
    for (index, address) in addresses.iter_mut().enumerate() {
        if place >= rtm.len() {
            break;
        }
        if present & (1 << index) == 0 {
            continue;
        }
        let len = roundup(sa_len(&rtm[place..]));
        let mut bytes: Vec<u8> = rtm[place..].iter().copied().take(len).collect();
        bytes.resize(len, 0);
        *address = Some(bytes);
        place += len;
    }
    addresses
}

/// Does what a message asks for.
fn request(kernel: &mut Kernel, rtm: &mut Vec<u8>, addresses: &mut Addresses) -> Result<(), Errno> {
    let dst = addresses[rtax::DST].clone().ok_or(Errno::EINVAL)?;
    if let Some(genmask) = &addresses[rtax::GENMASK]
        && !is_shortest(genmask)
    {
        return Err(Errno::ENOBUFS);
    }
    let netmask = addresses[rtax::NETMASK].clone();
    let flags = get(rtm, at::FLAGS);
    match Message::from_raw(rtm[3]).ok_or(Errno::EOPNOTSUPP)? {
        Message::Add => {
            let gateway = addresses[rtax::GATEWAY].as_deref().ok_or(Errno::EINVAL)?;
            let rt = route::rt_add(kernel, &dst, gateway, netmask.as_deref(), flags)?;
            let entry = kernel.net.rt_mut(rt);
            entry.rmx.set(get(rtm, at::INITS), &rtm[at::RMX..]);
            entry.refcnt -= 1;
            entry.genmask = addresses[rtax::GENMASK].clone();
            Ok(())
        }
        Message::Delete => {
            let rt = route::rt_delete(kernel, &dst, netmask.as_deref(), flags)?;
            kernel.net.rt_mut(rt).refcnt += 1;
            report(kernel, rt, rtm, addresses);
            route::rtfree(kernel, rt);
            if kernel.net.rtentries.get(rt).is_none() {
                // Whom the message is for is read from the route when that is gone: for nobody in particular.
                addresses[rtax::DST] = Some(vec![0; 2]);
            }
            Ok(())
        }
        other => {
            if family(&dst) != AF_INET {
                return Err(Errno::EAFNOSUPPORT);
            }
            let mask = netmask.as_deref().map(Mask::new);
            let rt = kernel.net.table.lookup_masked(&dst, mask.as_ref()).ok_or(Errno::ESRCH)?;
            kernel.net.rt_mut(rt).refcnt += 1;
            let result = match other {
                Message::Get => {
                    report(kernel, rt, rtm, addresses);
                    Ok(())
                }
                Message::Change => change(kernel, rt, rtm, addresses),
                _ => Ok(()),
            };
            if result.is_ok() && other != Message::Get {
                lock(&mut kernel.net.rt_mut(rt).rmx, rtm);
            }
            route::rtfree(kernel, rt);
            result
        }
    }
}

/// Whether a mask is as short as it can be, as one for clones must be.
fn is_shortest(mask: &[u8]) -> bool {
    let len = sa_len(mask);
    len == 0 || (2..=MAX_KEYLEN).contains(&len) && mask.get(len - 1).is_some_and(|&last| last != 0)
}

fn lock(rmx: &mut Metrics, rtm: &[u8]) {
    let inits = get(rtm, at::INITS);
    rmx.locks = rmx.locks & !inits | inits & get(rtm, at::RMX);
}

/// Makes a message tell all of a route.
fn report(kernel: &Kernel, rt: RtId, rtm: &mut Vec<u8>, addresses: &mut Addresses) {
    let entry = kernel.net.rt(rt);
    addresses[rtax::DST] = Some(entry.key.clone());
    addresses[rtax::GATEWAY] = Some(entry.gateway.clone());
    addresses[rtax::NETMASK] = entry.mask.as_ref().map(|mask| mask.bytes().to_vec());
    addresses[rtax::GENMASK] = entry.genmask.clone();
    const IFP_AND_IFA: u32 = 1 << rtax::IFP | 1 << rtax::IFA;
    if get(rtm, at::ADDRS) & IFP_AND_IFA != 0 {
        addresses[rtax::IFP] = kernel.net.link_addr(entry.ifp).map(<[u8]>::to_vec);
        addresses[rtax::IFA] = kernel.net.ifaddrs.get(entry.ifa).map(|ifa| ifa.addr.clone());
        rtm[at::INDEX..at::INDEX + 2].copy_from_slice(&entry.ifp.to_le_bytes());
    }
    let kind = Message::from_raw(rtm[3]).unwrap_or(Message::Get);
    let told = message(kind, addresses);
    if told.len() > rtm.len() {
        rtm.resize(told.len(), 0);
    }
    rtm[..4].copy_from_slice(&told[..4]);
    rtm[RT_MSGHDR..told.len()].copy_from_slice(&told[RT_MSGHDR..]);
    put(rtm, at::FLAGS, entry.flags);
    rtm[at::RMX..at::RMX + Metrics::LEN].copy_from_slice(&entry.rmx.bytes());
    put(rtm, at::ADDRS, bits(addresses));
}

/// Changes gateway, interface and metrics of a route.
fn change(kernel: &mut Kernel, rt: RtId, rtm: &[u8], addresses: &Addresses) -> Result<(), Errno> {
    let mut gateway = addresses[rtax::GATEWAY].clone();
    if let Some(gateway) = &gateway
        && !route::rt_setgate(kernel, rt, gateway)
    {
        return Err(Errno::EDQUOT);
    }
    let entry = kernel.net.rt(rt);
    let (key, flags) = (entry.key.clone(), entry.flags);
    if flags & rtf::GATEWAY != 0 && gateway.is_none() {
        gateway = Some(entry.gateway.clone());
    }
    let own = addresses[rtax::IFA].as_deref();
    let interface = addresses[rtax::IFP].as_deref().and_then(|ifp| kernel.net.ifa_ifwithnet(ifp));
    let interface = interface.and_then(|ifa| kernel.net.ifaddrs.get(ifa)).map(|ifa| ifa.ifp);
    let ifa = match interface {
        Some(ifp) => own.or(gateway.as_deref()).and_then(|addr| kernel.net.ifaof_ifpforaddr(addr, ifp)),
        None => match own.and_then(|own| kernel.net.ifa_ifwithaddr(own)) {
            Some(ifa) => Some(ifa),
            // Without a gateway the original follows a null pointer here.
            None => gateway.and_then(|gateway| route::ifa_ifwithroute(kernel, flags, &key, &gateway)),
        },
    };
    if let Some(ifa) = ifa {
        let ifp = kernel.net.ifaddrs.get(ifa).map_or(0, |ifa| ifa.ifp);
        let old = kernel.net.rt(rt).ifa;
        if old != ifa {
            kernel.net.ifafree(old);
            kernel.net.ifa_hold(ifa);
            let entry = kernel.net.rt_mut(rt);
            (entry.ifa, entry.ifp) = (ifa, ifp);
        }
    }
    let entry = kernel.net.rt_mut(rt);
    entry.rmx.set(get(rtm, at::INITS), &rtm[at::RMX..]);
    if let Some(genmask) = &addresses[rtax::GENMASK] {
        entry.genmask = Some(genmask.clone());
    }
    Ok(())
}

/// Tells those who listen (`raw_input` of a message).
fn tell(kernel: &mut Kernel, kind: Message, told: &[u8], addresses: &Addresses, protocol: u8) {
    kernel.net.routeproto = protocol;
    let m = packet(kind, told, addresses);
    raw_usrreq::raw_input(kernel, m, protocol, None);
}

/// Tells that a lookup failed, a redirect came, or a way seems broken (`rt_missmsg`).
pub fn rt_missmsg(kernel: &mut Kernel, kind: Message, given: &[(usize, &[u8])], flags: u32, error: u32) {
    if kernel.net.listeners == 0 {
        return;
    }
    let mut addresses = Addresses::default();
    for &(place, address) in given.iter().filter(|(place, _)| *place < RTAX_MAX) {
        addresses[place] = Some(address.to_vec());
    }
    let mut told = message(kind, &addresses);
    put(&mut told, at::FLAGS, rtf::DONE | flags);
    put(&mut told, at::ERRNO, error);
    put(&mut told, at::ADDRS, bits(&addresses));
    let protocol = addresses[rtax::DST].as_deref().map_or(0, family);
    tell(kernel, kind, &told, &addresses, protocol);
}

/// Tells that an interface changed (`rt_ifmsg`).
pub fn rt_ifmsg(kernel: &mut Kernel, index: IfIndex) {
    if kernel.net.listeners == 0 {
        return;
    }
    let addresses = Addresses::default();
    let mut told = message(Message::Ifinfo, &addresses);
    if let Some(ifp) = kernel.net.ifnet(index) {
        fill_ifinfo(&mut told, index, ifp, 0);
    }
    tell(kernel, Message::Ifinfo, &told, &addresses, 0);
}

/// Tells that an interface got or lost an address, and of the address's route (`rt_newaddrmsg`).
pub fn rt_newaddrmsg(kernel: &mut Kernel, cmd: Init, ifa: IfaId, rt: RtId, addr: &[u8]) {
    if kernel.net.listeners == 0 {
        return;
    }
    let order = if cmd == Init::Add { [true, false] } else { [false, true] };
    for about_address in order {
        if about_address {
            tell_address(kernel, cmd, ifa, addr);
        } else {
            tell_route(kernel, cmd, ifa, rt);
        }
    }
}

fn tell_address(kernel: &mut Kernel, cmd: Init, ifa: IfaId, addr: &[u8]) {
    let Some(own) = kernel.net.ifaddrs.get(ifa) else { return };
    let kind = if cmd == Init::Add { Message::Newaddr } else { Message::Deladdr };
    let mut addresses = Addresses::default();
    addresses[rtax::IFA] = Some(addr.to_vec());
    addresses[rtax::IFP] = kernel.net.link_addr(own.ifp).map(<[u8]>::to_vec);
    addresses[rtax::NETMASK] = own.netmask.clone();
    addresses[rtax::BRD] = own.dst().map(<[u8]>::to_vec);
    let mut told = message(kind, &addresses);
    fill_ifa(&mut told, own.flags, own.ifp, own.metric, bits(&addresses));
    tell(kernel, kind, &told, &addresses, family(addr));
}

/// Fills in the header of a message about an interface's address.
pub fn fill_ifa(told: &mut [u8], flags: u16, index: IfIndex, metric: u32, addrs: u32) {
    put(told, 4, addrs);
    put(told, 8, u32::from(flags));
    told[12..14].copy_from_slice(&index.to_le_bytes());
    put(told, 16, metric);
}

fn tell_route(kernel: &mut Kernel, cmd: Init, ifa: IfaId, rt: RtId) {
    let kind = if cmd == Init::Add { Message::Add } else { Message::Delete };
    let index = kernel.net.ifaddrs.get(ifa).map_or(0, |ifa| ifa.ifp);
    let entry = kernel.net.rt(rt);
    let mut addresses = Addresses::default();
    addresses[rtax::NETMASK] = entry.mask.as_ref().map(|mask| mask.bytes().to_vec());
    addresses[rtax::DST] = Some(entry.key.clone());
    addresses[rtax::GATEWAY] = Some(entry.gateway.clone());
    let mut told = message(kind, &addresses);
    told[at::INDEX..at::INDEX + 2].copy_from_slice(&index.to_le_bytes());
    put(&mut told, at::FLAGS, entry.flags);
    put(&mut told, at::ADDRS, bits(&addresses));
    let protocol = family(&entry.key);
    tell(kernel, kind, &told, &addresses, protocol);
}
