//! Interfaces and their addresses: finding one by an address, a network, a name.
//!
//! This file does not know any protocol, nor what a driver does with a packet.
//!
//! 2.1 counterpart: net/if.c (if_attach, ifa_ifwith*, ifaof_ifpforaddr, ifunit, if_down, if_up), net/if.h.

use bitflags::bitflags;

use super::radix::Mask;
use super::sockaddr::{AF_LINK, AF_MAX, byte, equal, family, sa_len};
use super::{Net, rtsock};
use crate::kernel::Kernel;
use crate::kernel::arena::{Arena, Id};
use crate::kernel::netinet::multicast::InMulti;
use crate::kernel::socket::protosw::{CtlInput, pfctlinput};

bitflags! {
    /// Flags of interfaces (`IFF_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct IfFlags: u16 {
        /// It is up.
        const UP = 0x1;
        /// It has a broadcast address.
        const BROADCAST = 0x2;
        /// It is a loopback.
        const LOOPBACK = 0x8;
        /// It has one peer.
        const POINTOPOINT = 0x10;
        /// It has its resources.
        const RUNNING = 0x40;
        /// It gets all multicasts.
        const ALLMULTI = 0x200;
        /// It sends.
        const OACTIVE = 0x400;
        /// It does not hear itself.
        const SIMPLEX = 0x800;
        /// It knows multicasts.
        const MULTICAST = 0x8000;
        const _ = !0;
    }
}

/// Flags that a user cannot change (IFF_CANTCHANGE).
pub const IFF_CANTCHANGE: IfFlags = IfFlags::BROADCAST
    .union(IfFlags::POINTOPOINT)
    .union(IfFlags::RUNNING)
    .union(IfFlags::OACTIVE)
    .union(IfFlags::SIMPLEX)
    .union(IfFlags::MULTICAST)
    .union(IfFlags::ALLMULTI);
/// Packets that a queue holds (IFQ_MAXLEN).
pub const IFQ_MAXLEN: usize = 50;

/// Index of an interface, from 1 on (`if_index`).
pub type IfIndex = u16;
/// Key of an address of an interface.
pub type IfaId = Id<Ifaddr>;

/// What moves the packets of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// Back to where they came from.
    Loop,
    /// To whoever has the device open, by its unit.
    Tun(usize),
    /// The host's network, which has no packets for us: for show.
    Host,
}

/// What an interface counts (the end of `struct if_data`).
#[derive(Clone, Copy, Debug, Default)]
pub struct IfCounts {
    /// Packets in.
    pub ipackets: u32,
    /// Packets out.
    pub opackets: u32,
    /// Bytes in.
    pub ibytes: u32,
    /// Bytes out.
    pub obytes: u32,
    /// Packets that found a queue full (`if_collisions`, as the tunnel counts them).
    pub collisions: u32,
    /// Packets that were dropped on their way in.
    pub iqdrops: u32,
}

/// An interface (`struct ifnet`).
#[derive(Clone, Debug)]
pub struct Ifnet {
    /// Name without the unit (`if_name`).
    pub name: &'static str,
    /// Unit.
    pub unit: u32,
    /// Flags.
    pub flags: IfFlags,
    /// Largest packet.
    pub mtu: u32,
    /// Metric.
    pub metric: u32,
    /// Type (`IFT_*`).
    pub kind: u8,
    /// Physical connection, as the user set it.
    pub physical: u32,
    /// Addresses, the link-level one first (`if_addrlist`).
    pub addrlist: Vec<IfaId>,
    /// What it counts.
    pub counts: IfCounts,
    /// When it was last changed, in microseconds since the epoch.
    pub lastchange: u64,
    /// What moves its packets.
    pub driver: Driver,
}

impl Ifnet {
    /// Its name with the unit.
    pub fn full_name(&self) -> String {
        format!("{}{}", self.name, self.unit)
    }
}

/// What the internet domain knows of an address (the end of `struct in_ifaddr`), in the host's order.
#[derive(Clone, Debug, Default)]
pub struct InIfaddr {
    /// Network number.
    pub net: u32,
    /// Mask of the network.
    pub netmask: u32,
    /// Number of the subnet.
    pub subnet: u32,
    /// Mask of the subnet.
    pub subnetmask: u32,
    /// Broadcast address of the network.
    pub netbroadcast: u32,
    /// Groups of multicasts.
    pub multiaddrs: Vec<InMulti>,
}

/// Where the address of the other end is (`ifa_dstaddr`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DstAddr {
    /// Nowhere.
    None,
    /// It is the own address.
    Own,
    /// An address of its own, or a broadcast address.
    Sockaddr(Vec<u8>),
}

/// An address of an interface (`struct ifaddr`).
#[derive(Clone, Debug)]
pub struct Ifaddr {
    /// The address.
    pub addr: Vec<u8>,
    /// That of the other end.
    pub dstaddr: DstAddr,
    /// The mask.
    pub netmask: Option<Vec<u8>>,
    /// Its interface.
    pub ifp: IfIndex,
    /// Flags: the route was made (IFA_ROUTE).
    pub flags: u16,
    /// Metric.
    pub metric: u32,
    /// References besides that of its interface.
    pub refcnt: u32,
    /// The internet domain's part.
    pub inet: Option<InIfaddr>,
}

impl Ifaddr {
    /// The address of the other end.
    pub fn dst(&self) -> Option<&[u8]> {
        match &self.dstaddr {
            DstAddr::None => None,
            DstAddr::Own => Some(&self.addr),
            DstAddr::Sockaddr(sa) => Some(sa),
        }
    }
}

impl Net {
    /// An interface.
    pub fn ifnet(&self, index: IfIndex) -> Option<&Ifnet> {
        self.ifnets.get(usize::from(index).checked_sub(1)?)
    }

    /// An interface, to change it.
    pub fn ifnet_mut(&mut self, index: IfIndex) -> Option<&mut Ifnet> {
        self.ifnets.get_mut(usize::from(index).checked_sub(1)?)
    }

    /// The flags of an interface.
    pub fn if_flags(&self, index: IfIndex) -> IfFlags {
        self.ifnet(index).map_or(IfFlags::empty(), |ifp| ifp.flags)
    }

    /// The link-level address of an interface.
    pub fn link_addr(&self, index: IfIndex) -> Option<&[u8]> {
        let ifa = self.ifnet(index)?.addrlist.first()?;
        self.ifaddrs.get(*ifa).map(|ifa| ifa.addr.as_slice())
    }

    /// All addresses, interface by interface.
    fn all(&self) -> impl Iterator<Item = (&Ifnet, IfaId, &Ifaddr)> {
        self.ifnets.iter().flat_map(move |ifp| {
            ifp.addrlist.iter().filter_map(move |&id| Some((ifp, id, self.ifaddrs.get(id)?)))
        })
    }

    /// Adds an interface and makes its link-level address (`if_attach`).
    pub fn if_attach(&mut self, mut ifp: Ifnet, now: u64) -> IfIndex {
        let index = self.ifnets.len() as IfIndex + 1;
        let name = ifp.full_name();
        let len = (8 + name.len()).next_multiple_of(4).max(20);
        let mut sdl = vec![0; len];
        (sdl[0], sdl[1]) = (len as u8, AF_LINK);
        (sdl[2], sdl[4], sdl[5]) = (index as u8, ifp.kind, name.len() as u8);
        sdl[8..8 + name.len()].copy_from_slice(name.as_bytes());
        let mut mask = vec![0; len];
        mask[0] = (8 + name.len()) as u8;
        mask[8..8 + name.len()].fill(0xff);
        let ifa = Ifaddr {
            addr: sdl,
            dstaddr: DstAddr::None,
            netmask: Some(mask),
            ifp: index,
            flags: 0,
            metric: 0,
            refcnt: 0,
            inet: None,
        };
        ifp.addrlist = vec![self.ifaddrs.insert(ifa)];
        ifp.lastchange = now;
        self.ifnets.push(ifp);
        index
    }

    /// The address that is exactly this one (`ifa_ifwithaddr`).
    pub fn ifa_ifwithaddr(&self, addr: &[u8]) -> Option<IfaId> {
        let matches = |ifp: &Ifnet, ifa: &Ifaddr| {
            let broadcast = || ifp.flags.contains(IfFlags::BROADCAST);
            equal(addr, &ifa.addr) || (broadcast() && ifa.dst().is_some_and(|dst| equal(dst, addr)))
        };
        self.all()
            .find(|(ifp, _, ifa)| family(&ifa.addr) == family(addr) && matches(ifp, ifa))
            .map(|(_, id, _)| id)
    }

    /// The address of a point-to-point interface whose other end is this one (`ifa_ifwithdstaddr`).
    pub fn ifa_ifwithdstaddr(&self, addr: &[u8]) -> Option<IfaId> {
        self.all()
            .filter(|(ifp, _, _)| ifp.flags.contains(IfFlags::POINTOPOINT))
            .filter(|(_, _, ifa)| family(&ifa.addr) == family(addr))
            .find(|(_, _, ifa)| ifa.dst().is_some_and(|dst| equal(addr, dst)))
            .map(|(_, id, _)| id)
    }

    /// The most specific address whose network this one is on (`ifa_ifwithnet`).
    pub fn ifa_ifwithnet(&self, addr: &[u8]) -> Option<IfaId> {
        if family(addr) == AF_LINK {
            let index = u16::from_le_bytes([byte(addr, 2), byte(addr, 3)]);
            if let Some(ifp) = self.ifnet(index) {
                return ifp.addrlist.first().copied();
            }
        }
        let mut best: Option<(IfaId, &[u8])> = None;
        for (ifp, id, ifa) in self.all().filter(|(_, _, ifa)| family(&ifa.addr) == family(addr)) {
            if ifp.flags.contains(IfFlags::POINTOPOINT) {
                if ifa.dst().is_some_and(|dst| equal(addr, dst)) {
                    return Some(id);
                }
                continue;
            }
            let Some(mask) = &ifa.netmask else { continue };
            if !on_net(addr, &ifa.addr, mask) {
                continue;
            }
            if best.is_none_or(|(_, other)| Mask::new(mask).refines(&Mask::new(other))) {
                best = Some((id, mask));
            }
        }
        best.map(|(id, _)| id)
    }

    /// The address of an interface that fits another address best (`ifaof_ifpforaddr`).
    pub fn ifaof_ifpforaddr(&self, addr: &[u8], index: IfIndex) -> Option<IfaId> {
        if family(addr) >= AF_MAX {
            return None;
        }
        let ifp = self.ifnet(index)?;
        let mut maybe = None;
        for &id in &ifp.addrlist {
            let Some(ifa) = self.ifaddrs.get(id).filter(|ifa| family(&ifa.addr) == family(addr)) else {
                continue;
            };
            maybe = Some(id);
            let fits = match &ifa.netmask {
                None => equal(addr, &ifa.addr) || ifa.dst().is_some_and(|dst| equal(addr, dst)),
                Some(_) if ifp.flags.contains(IfFlags::POINTOPOINT) => {
                    ifa.dst().is_some_and(|dst| equal(addr, dst))
                }
                Some(mask) => on_net(addr, &ifa.addr, mask),
            };
            if fits {
                return Some(id);
            }
        }
        maybe
    }

    /// The interface with a name (`ifunit`).
    pub fn ifunit(&self, name: &[u8]) -> Option<IfIndex> {
        let name = name.split(|&b| b == 0).next().unwrap_or_default();
        let digits = name.iter().position(u8::is_ascii_digit)?;
        let (letters, rest) = name.split_at(digits);
        let unit = rest.iter().take_while(|b| b.is_ascii_digit());
        let unit = unit.fold(0u32, |unit, b| unit.wrapping_mul(10).wrapping_add(u32::from(b - b'0')));
        let at = self.ifnets.iter().position(|ifp| ifp.name.as_bytes() == letters && ifp.unit == unit)?;
        Some(at as IfIndex + 1)
    }

    /// Takes a reference of an address back; the last one frees it (IFAFREE).
    pub fn ifafree(&mut self, id: IfaId) {
        match self.ifaddrs.get_mut(id) {
            Some(ifa) if ifa.refcnt > 0 => ifa.refcnt -= 1,
            _ => drop(self.ifaddrs.remove(id)),
        }
    }

    /// Takes a reference of an address.
    pub fn ifa_hold(&mut self, id: IfaId) {
        if let Some(ifa) = self.ifaddrs.get_mut(id) {
            ifa.refcnt += 1;
        }
    }
}

fn on_net(addr: &[u8], own: &[u8], mask: &[u8]) -> bool {
    (2..sa_len(mask)).all(|at| (byte(addr, at) ^ byte(own, at)) & byte(mask, at) == 0)
}

/// The table of addresses, which the arena of the kernel keeps.
pub type Ifaddrs = Arena<Ifaddr>;

/// Marks an interface as changed now.
pub fn touch(kernel: &mut Kernel, index: IfIndex) {
    let now = kernel.clock.now() / 1000;
    if let Some(ifp) = kernel.net.ifnet_mut(index) {
        ifp.lastchange = now;
    }
}

/// Marks an interface down and tells protocols and those who listen (`if_down`).
pub fn if_down(kernel: &mut Kernel, index: IfIndex) {
    touch(kernel, index);
    let Some(ifp) = kernel.net.ifnet_mut(index) else { return };
    ifp.flags.remove(IfFlags::UP);
    let addresses: Vec<Vec<u8>> = ifp
        .addrlist
        .clone()
        .into_iter()
        .filter_map(|id| kernel.net.ifaddrs.get(id).map(|ifa| ifa.addr.clone()))
        .collect();
    for addr in addresses {
        pfctlinput(kernel, CtlInput::IfDown, &addr);
    }
    rtsock::rt_ifmsg(kernel, index);
}

/// Marks an interface up and tells those who listen (`if_up`).
pub fn if_up(kernel: &mut Kernel, index: IfIndex) {
    touch(kernel, index);
    if let Some(ifp) = kernel.net.ifnet_mut(index) {
        ifp.flags.insert(IfFlags::UP);
    }
    rtsock::rt_ifmsg(kernel, index);
}
