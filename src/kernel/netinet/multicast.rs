//! Groups: which ones an interface is in, and what sockets want of multicasts.
//!
//! 2.1 counterpart: netinet/in.c (in_addmulti, in_delmulti), netinet/ip_output.c (ip_setmoptions,
//! ip_getmoptions, ip_freemoptions).

use std::net::Ipv4Addr;

use syscalls::errno::Errno;
use syscalls::flags::IpOpt;

use super::in_control::{addr_to_ifp, ia_addr, ifp_to_ia};
use super::{INADDR_ANY, InpcbId, igmp};
use crate::kernel::Kernel;
use crate::kernel::net::IfIndex;
use crate::kernel::net::interface::IfFlags;
use crate::kernel::net::route::{self, rtalloc1};
use crate::kernel::socket::mbuf::Mbuf;

/// IP_MULTICAST_VIF, which needs a multicast router.
const MULTICAST_VIF: u32 = 14;
/// Groups that a socket may be in (IP_MAX_MEMBERSHIPS).
const MAX_MEMBERSHIPS: usize = 20;

/// A group that an interface is in (`struct in_multi`).
#[derive(Clone, Copy, Debug)]
pub struct InMulti {
    /// The group.
    pub addr: Ipv4Addr,
    /// The interface.
    pub ifp: IfIndex,
    /// Sockets that want it.
    pub refcount: u32,
    /// Fast ticks until it is reported; 0 for never.
    pub timer: u32,
    /// State of the membership.
    pub state: igmp::Member,
}

/// The groups of an interface.
pub fn groups_mut(kernel: &mut Kernel, ifp: IfIndex) -> Option<&mut Vec<InMulti>> {
    let ia = ifp_to_ia(kernel, ifp)?;
    kernel.net.ifaddrs.get_mut(ia)?.inet.as_mut().map(|ia| &mut ia.multiaddrs)
}

/// Whether an interface is in a group (IN_LOOKUP_MULTI).
pub fn is_member(kernel: &Kernel, addr: Ipv4Addr, ifp: IfIndex) -> bool {
    let ia = ifp_to_ia(kernel, ifp).and_then(|ia| kernel.net.ifaddrs.get(ia)?.inet.as_ref());
    ia.is_some_and(|ia| ia.multiaddrs.iter().any(|group| group.addr == addr))
}

/// Has an interface join a group; false if it cannot (`in_addmulti`).
pub fn add_multi(kernel: &mut Kernel, addr: Ipv4Addr, ifp: IfIndex) -> bool {
    let Some(groups) = groups_mut(kernel, ifp) else { return false };
    if let Some(group) = groups.iter_mut().find(|group| group.addr == addr) {
        group.refcount += 1;
        return true;
    }
    let group = InMulti { addr, ifp, refcount: 1, timer: 0, state: igmp::Member::Idle };
    groups.insert(0, group);
    igmp::joingroup(kernel, addr, ifp);
    true
}

/// One who wanted a group wants it no more (`in_delmulti`).
pub fn del_multi(kernel: &mut Kernel, addr: Ipv4Addr, ifp: IfIndex) {
    let kludge = &mut kernel.inet.kludge;
    if let Some((_, groups)) = kludge.iter_mut().find(|(other, _)| *other == ifp) {
        release(groups, addr);
    }
    let Some(groups) = groups_mut(kernel, ifp) else { return };
    if let Some(last) = release(groups, addr) {
        igmp::leavegroup(kernel, last);
    }
}

fn release(groups: &mut Vec<InMulti>, addr: Ipv4Addr) -> Option<InMulti> {
    let at = groups.iter().position(|group| group.addr == addr)?;
    groups[at].refcount = groups[at].refcount.saturating_sub(1);
    if groups[at].refcount == 0 { Some(groups.remove(at)) } else { None }
}

/// What a socket wants of multicasts (`struct ip_moptions`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moptions {
    /// The interface to send on.
    pub interface: Option<IfIndex>,
    /// Time to live.
    pub ttl: u8,
    /// Packets to groups that this machine is in come back.
    pub looped: u8,
    /// Groups, with their interfaces.
    pub memberships: Vec<(Ipv4Addr, IfIndex)>,
}

impl Default for Moptions {
    fn default() -> Self {
        Self { interface: None, ttl: 1, looped: 1, memberships: Vec::new() }
    }
}

/// Lets go of the groups of a socket (`ip_freemoptions`).
pub fn free_moptions(kernel: &mut Kernel, options: Moptions) {
    for (addr, ifp) in options.memberships {
        del_multi(kernel, addr, ifp);
    }
}

/// Whether an option is one of multicasts.
pub fn is_multicast(name: u32) -> bool {
    (IpOpt::MulticastIf.raw()..=MULTICAST_VIF).contains(&name)
}

/// Sets an option of multicasts; where all are as they are at first, none are kept (`ip_setmoptions`).
pub fn set(kernel: &mut Kernel, id: InpcbId, name: u32, value: Option<&Mbuf>) -> Result<(), Errno> {
    let kept = kernel.inet.inp_mut(id).moptions.take();
    let mut options = kept.map(|options| *options).unwrap_or_default();
    let done = set_option(kernel, &mut options, name, value.map_or(&[][..], Mbuf::bytes));
    if options != Moptions::default() {
        kernel.inet.inp_mut(id).moptions = Some(Box::new(options));
    }
    done
}

fn set_option(kernel: &mut Kernel, options: &mut Moptions, name: u32, bytes: &[u8]) -> Result<(), Errno> {
    match IpOpt::from_raw(name) {
        IpOpt::MulticastIf => {
            let addr = Ipv4Addr::from(<[u8; 4]>::try_from(bytes).map_err(|_| Errno::EINVAL)?);
            options.interface = if addr == INADDR_ANY {
                None
            } else {
                Some(multicasting(kernel, addr_to_ifp(kernel, addr))?)
            };
        }
        IpOpt::MulticastTtl => options.ttl = *single(bytes)?,
        IpOpt::MulticastLoop => match *single(bytes)? {
            looped @ 0..=1 => options.looped = looped,
            _ => return Err(Errno::EINVAL),
        },
        IpOpt::AddMembership => join(kernel, options, bytes)?,
        IpOpt::DropMembership => {
            let (group, interface) = request(bytes)?;
            let ifp = match interface {
                INADDR_ANY => None,
                addr => Some(addr_to_ifp(kernel, addr).ok_or(Errno::EADDRNOTAVAIL)?),
            };
            let same = |&(addr, own): &(Ipv4Addr, IfIndex)| addr == group && ifp.is_none_or(|ifp| ifp == own);
            let at = options.memberships.iter().position(same).ok_or(Errno::EADDRNOTAVAIL)?;
            let (addr, ifp) = options.memberships.remove(at);
            del_multi(kernel, addr, ifp);
        }
        // IP_MULTICAST_VIF, too: GENERIC has no multicast router.
        _ => return Err(Errno::EOPNOTSUPP),
    }
    Ok(())
}

fn join(kernel: &mut Kernel, options: &mut Moptions, bytes: &[u8]) -> Result<(), Errno> {
    let (group, interface) = request(bytes)?;
    let ifp = if interface == INADDR_ANY {
        let rt = rtalloc1(kernel, &super::in_rmx::sin(group), true, 0).ok_or(Errno::EADDRNOTAVAIL)?;
        let ifp = kernel.net.rt(rt).ifp;
        route::rtfree(kernel, rt);
        Some(ifp)
    } else {
        addr_to_ifp(kernel, interface)
    };
    let ifp = multicasting(kernel, ifp)?;
    if kernel.inet.is_bridged() {
        return Err(Errno::EOPNOTSUPP);
    }
    if options.memberships.contains(&(group, ifp)) {
        return Err(Errno::EADDRINUSE);
    }
    if options.memberships.len() == MAX_MEMBERSHIPS {
        return Err(Errno::ETOOMANYREFS);
    }
    if !add_multi(kernel, group, ifp) {
        return Err(Errno::ENOBUFS);
    }
    options.memberships.push((group, ifp));
    Ok(())
}

fn multicasting(kernel: &Kernel, ifp: Option<IfIndex>) -> Result<IfIndex, Errno> {
    let multicasts = |&ifp: &IfIndex| kernel.net.if_flags(ifp).contains(IfFlags::MULTICAST);
    ifp.filter(multicasts).ok_or(Errno::EADDRNOTAVAIL)
}

/// Reads an option of multicasts; groups cannot be read (`ip_getmoptions`).
pub fn get(kernel: &Kernel, options: Option<&Moptions>, name: u32) -> Result<Vec<u8>, Errno> {
    let default = Moptions::default();
    let options = options.unwrap_or(&default);
    match IpOpt::from_raw(name) {
        _ if name == MULTICAST_VIF => Ok((-1i32).to_le_bytes().to_vec()),
        IpOpt::MulticastIf => {
            let ia = options.interface.and_then(|ifp| ifp_to_ia(kernel, ifp));
            Ok(ia.map_or(INADDR_ANY, |ia| ia_addr(kernel, ia)).octets().to_vec())
        }
        IpOpt::MulticastTtl => Ok(vec![options.ttl]),
        IpOpt::MulticastLoop => Ok(vec![options.looped]),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

fn single(bytes: &[u8]) -> Result<&u8, Errno> {
    match bytes {
        [byte] => Ok(byte),
        _ => Err(Errno::EINVAL),
    }
}

/// A group and an interface (`struct ip_mreq`).
fn request(bytes: &[u8]) -> Result<(Ipv4Addr, Ipv4Addr), Errno> {
    match *bytes {
        [a, b, c, d, e, f, g, h] if Ipv4Addr::new(a, b, c, d).is_multicast() => {
            Ok((Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h)))
        }
        _ => Err(Errno::EINVAL),
    }
}
