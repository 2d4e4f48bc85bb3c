//! Interfaces, their addresses and routes as readers of kernel memory see them.
//!
//! 2.1 counterpart: net/if.h, netinet/in_var.h, net/route.h.

use syscalls::layout::{self, U32};
use zerocopy::{FromBytes, IntoBytes};

use super::interface::{Ifaddr, Ifnet};
use super::{IfaId, Net, RtId, rtmsg};
use crate::kernel::kmem::place;
use crate::kernel::net::sockaddr::AF_INET;

/// Where the addresses of a route lie in its place: destination, gateway, mask of clones.
pub(in crate::kernel) const GATEWAY: u32 = 64;
pub(in crate::kernel) const GENMASK: u32 = 128;
/// Where the data lie in a message about an interface.
const DATA: std::ops::Range<usize> = 16..84;

/// An interface.
pub(in crate::kernel) fn ifnet(net: &Net, slot: usize) -> Option<layout::Ifnet> {
    let ifp = net.ifnets.get(slot)?;
    let next = slot + 1;
    let mut message = vec![0; DATA.end];
    rtmsg::fill_ifinfo(&mut message, next as u16, ifp, 0);
    let mut data = [0; 68];
    data.iter_mut().zip(message.iter().skip(DATA.start)).for_each(|(to, from)| *to = *from);
    Some(layout::Ifnet {
        name: place::interface_name(slot).into(),
        next: if next < net.ifnets.len() { place::interface(next) } else { 0 }.into(),
        addrlist: first_address(ifp).into(),
        index: (next as u16).into(),
        unit: (ifp.unit as i16).into(),
        flags: (ifp.flags.bits() as i16).into(),
        data,
        snd: layout::Ifqueue {
            maxlen: (super::interface::IFQ_MAXLEN as i32).into(),
            ..layout::Ifqueue::default()
        },
        ..layout::Ifnet::default()
    })
}

fn first_address(ifp: &Ifnet) -> u32 {
    ifp.addrlist.first().map_or(0, |ifa| place::interface_address(ifa.index()))
}

/// An address by its slot.
pub(in crate::kernel) fn address_by_slot(net: &Net, slot: usize) -> Option<(IfaId, &Ifaddr)> {
    net.ifaddrs.iter().find(|(id, _)| id.index() == slot)
}

/// The part of an address that all families share; where its sockets addresses are is filled in by
/// whoever knows what follows.
pub(in crate::kernel) fn ifaddr(net: &Net, slot: usize) -> Option<layout::Ifaddr> {
    let (id, ifa) = address_by_slot(net, slot)?;
    let ifp = net.ifnet(ifa.ifp)?;
    let at = ifp.addrlist.iter().position(|&other| other == id);
    let next = at.and_then(|at| ifp.addrlist.get(at + 1));
    Some(layout::Ifaddr {
        ifp: place::interface(usize::from(ifa.ifp).saturating_sub(1)).into(),
        next: next.map_or(U32::ZERO, |next| place::interface_address(next.index()).into()),
        flags: ifa.flags.into(),
        refcnt: ifa.refcnt.into(),
        metric: (ifa.metric as i32).into(),
        ..layout::Ifaddr::default()
    })
}

/// What follows it where the address is one of the internet domain.
pub(in crate::kernel) fn in_ifaddr(net: &Net, slot: usize) -> Option<layout::InIfaddr> {
    let (_, ifa) = address_by_slot(net, slot)?;
    let inet = ifa.inet.as_ref()?;
    Some(layout::InIfaddr {
        ifa: ifaddr(net, slot)?,
        net: inet.net.into(),
        netmask: inet.netmask.into(),
        subnet: inet.subnet.into(),
        subnetmask: inet.subnetmask.into(),
        netbroadcast: inet.netbroadcast.to_be_bytes(),
        addr: sockaddr_in(&ifa.addr),
        dstaddr: sockaddr_in(ifa.dst().unwrap_or_default()),
        sockmask: sockaddr_in(ifa.netmask.as_deref().unwrap_or_default()),
        ..layout::InIfaddr::default()
    })
}

fn sockaddr_in(given: &[u8]) -> layout::SockaddrIn {
    let mut bytes = [0; size_of::<layout::SockaddrIn>()];
    bytes.iter_mut().zip(given).for_each(|(to, from)| *to = *from);
    layout::SockaddrIn::read_from_bytes(bytes.as_bytes()).unwrap_or_default()
}

/// A route without its place in the tree.
pub(in crate::kernel) fn rtentry(net: &Net, id: RtId) -> Option<layout::Rtentry> {
    let rt = net.rtentries.get(id)?;
    let addresses = place::route_addresses(id.index());
    let route = |rt: Option<RtId>| rt.map_or(U32::ZERO, |rt| place::route(rt.index()).into());
    Some(layout::Rtentry {
        gateway: (addresses + GATEWAY).into(),
        refcnt: (rt.refcnt as i16).into(),
        flags: rt.flags.into(),
        ifp: place::interface(usize::from(rt.ifp).saturating_sub(1)).into(),
        ifa: place::interface_address(rt.ifa.index()).into(),
        genmask: if rt.genmask.is_some() { addresses + GENMASK } else { 0 }.into(),
        rmx: rt.rmx.bytes(),
        gwroute: route(rt.gwroute),
        parent: route(rt.parent),
        ..layout::Rtentry::default()
    })
}

/// The addresses of a route, each in its place.
pub(in crate::kernel) fn route_addresses(net: &Net, id: RtId) -> Option<Vec<u8>> {
    let rt = net.rtentries.get(id)?;
    let mut bytes = vec![0; place::STRIDE as usize];
    let genmask = rt.genmask.as_deref().unwrap_or_default();
    for (at, address) in [(0, &rt.key[..]), (GATEWAY, &rt.gateway), (GENMASK, genmask)] {
        let room = bytes.iter_mut().skip(at as usize).take(GATEWAY as usize);
        room.zip(address).for_each(|(to, from)| *to = *from);
    }
    Some(bytes)
}

/// Whether the tree of routes is that of a family.
pub(in crate::kernel) fn has_tree(family: u32) -> bool {
    family == u32::from(AF_INET)
}
