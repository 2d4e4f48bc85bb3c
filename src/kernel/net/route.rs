//! Routes: looking one up, adding, deleting, cloning, redirecting.
//!
//! A route counts its references.  One that is out of the table (not UP) lives as long as somebody refers to
//! it.  What the internet domain adds to a route of its table, it does in [`in_rmx`].
//!
//! This file does not know protocols.
//!
//! 2.1 counterpart: net/route.c, net/route.h.

use syscalls::errno::Errno;

use super::metrics::Metrics;
use super::radix::{self, Mask};
use super::rtsock::{self, Message};
use super::sockaddr::{AF_INET, equal, family, masked, sa_len};
use super::{IfIndex, IfaId, Net};
use crate::kernel::Kernel;
use crate::kernel::arena::Id;
use crate::kernel::netinet::in_rmx;

/// Key of a route.
pub type RtId = Id<Rtentry>;

/// Flags of routes (`RTF_*`).
pub mod rtf {
    #![allow(missing_docs)] // the original's own names
    pub const UP: u32 = 0x1;
    pub const GATEWAY: u32 = 0x2;
    pub const HOST: u32 = 0x4;
    pub const REJECT: u32 = 0x8;
    pub const DYNAMIC: u32 = 0x10;
    pub const MODIFIED: u32 = 0x20;
    pub const DONE: u32 = 0x40;
    pub const CLONING: u32 = 0x100;
    pub const XRESOLVE: u32 = 0x200;
    pub const LLINFO: u32 = 0x400;
    pub const STATIC: u32 = 0x800;
    pub const BLACKHOLE: u32 = 0x1000;
    pub const PRCLONING: u32 = 0x10000;
    pub const WASCLONED: u32 = 0x20000;
    pub const PROTO3: u32 = 0x40000;
    pub const PINNED: u32 = 0x0010_0000;
}

/// Gateways of gateways that are looked for: the original goes on until its stack ends.
const DEEPEST: u32 = 16;

/// A route (`struct rtentry`).
#[derive(Clone, Debug)]
pub struct Rtentry {
    /// Destination (`rt_key`).
    pub key: Vec<u8>,
    /// Mask of the destination; a host has none (`rt_mask`).
    pub mask: Option<Mask>,
    /// Gateway.
    pub gateway: Vec<u8>,
    /// References.
    pub refcnt: i32,
    /// `RTF_*`.
    pub flags: u32,
    /// Interface.
    pub ifp: IfIndex,
    /// The interface's address.
    pub ifa: IfaId,
    /// Mask of routes that are cloned from it.
    pub genmask: Option<Vec<u8>>,
    /// Metrics (`rt_rmx`).
    pub rmx: Metrics,
    /// Route to the gateway.
    pub gwroute: Option<RtId>,
    /// The route that it was cloned from.
    pub parent: Option<RtId>,
}

/// What routing counts (`struct rtstat`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Rtstat {
    /// Redirects that were wrong.
    pub badredirect: u16,
    /// Routes that redirects made.
    pub dynamic: u16,
    /// Routes that redirects changed.
    pub newgateway: u16,
    /// Lookups that failed.
    pub unreach: u16,
}

/// A reference to the route to a destination, kept for the next packet (`struct route`).
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// The route.
    pub rt: Option<RtId>,
    /// The destination.
    pub dst: Vec<u8>,
}

impl Net {
    /// A route.
    pub fn rt(&self, rt: RtId) -> &Rtentry {
        &self.rtentries[rt]
    }

    /// A route, to change it.
    pub fn rt_mut(&mut self, rt: RtId) -> &mut Rtentry {
        &mut self.rtentries[rt]
    }
}

/// Finds the route of a destination unless there is one that is up (`rtalloc_ign`; with nothing to ignore,
/// `rtalloc`).
pub fn rtalloc_ign(kernel: &mut Kernel, ro: &mut Route, ignore: u32) {
    if ro.rt.and_then(|rt| kernel.net.rtentries.get(rt)).is_some_and(|rt| rt.flags & rtf::UP != 0) {
        return;
    }
    ro.rt = rtalloc1(kernel, &ro.dst, true, ignore);
}

/// Finds the route of a destination and takes a reference; clones it where it wants that, and tells those who
/// listen of a failure where `report` says so (`rtalloc1`).
pub fn rtalloc1(kernel: &mut Kernel, dst: &[u8], report: bool, ignore: u32) -> Option<RtId> {
    let found = if family(dst) == AF_INET { in_rmx::in_matroute(kernel, dst) } else { None };
    let Some(rt) = found else {
        kernel.net.rtstat.unreach = kernel.net.rtstat.unreach.wrapping_add(1);
        if report {
            rtsock::rt_missmsg(kernel, Message::Miss, &[(rtsock::rtax::DST, dst)], 0, 0);
        }
        return None;
    };
    let flags = kernel.net.rt(rt).flags & !ignore;
    if !report || flags & (rtf::CLONING | rtf::PRCLONING) == 0 {
        kernel.net.rt_mut(rt).refcnt += 1;
        return Some(rt);
    }
    match resolve(kernel, dst, rt) {
        Err(error) => {
            kernel.net.rt_mut(rt).refcnt += 1;
            rtsock::rt_missmsg(kernel, Message::Miss, &[(rtsock::rtax::DST, dst)], 0, error as u32);
            Some(rt)
        }
        Ok(new) => {
            if kernel.net.rt(new).flags & rtf::XRESOLVE != 0 {
                rtsock::rt_missmsg(kernel, Message::Resolve, &[(rtsock::rtax::DST, dst)], 0, 0);
            }
            Some(new)
        }
    }
}

/// Gives a reference back (RTFREE, `rtfree`).
pub fn rtfree(kernel: &mut Kernel, rt: RtId) {
    let Some(entry) = kernel.net.rtentries.get_mut(rt) else { return };
    entry.refcnt -= 1;
    if entry.refcnt == 0 {
        in_rmx::in_clsroute(kernel, rt);
    }
    free_unused(kernel, rt);
}

/// Frees a route that is neither in the table nor referred to.
fn free_unused(kernel: &mut Kernel, rt: RtId) {
    let gone = kernel.net.rtentries.get(rt).is_some_and(|rt| rt.refcnt <= 0 && rt.flags & rtf::UP == 0);
    if !gone {
        return;
    }
    if let Some(entry) = kernel.net.rtentries.remove(rt) {
        kernel.net.ifafree(entry.ifa);
        if let Some(parent) = entry.parent {
            rtfree(kernel, parent);
        }
    }
}

/// The address that a route to a destination goes out from (`ifa_ifwithroute`).
pub fn ifa_ifwithroute(kernel: &mut Kernel, flags: u32, dst: &[u8], gateway: &[u8]) -> Option<IfaId> {
    let net = &kernel.net;
    let mut ifa = if flags & rtf::GATEWAY == 0 {
        let host = (flags & rtf::HOST != 0).then(|| net.ifa_ifwithdstaddr(dst)).flatten();
        host.or_else(|| net.ifa_ifwithaddr(gateway))
    } else {
        net.ifa_ifwithdstaddr(gateway)
    };
    ifa = ifa.or_else(|| net.ifa_ifwithnet(gateway));
    if ifa.is_none() {
        let rt = rtalloc1(kernel, dst, false, 0)?;
        let entry = kernel.net.rt_mut(rt);
        entry.refcnt -= 1;
        ifa = Some(entry.ifa);
    }
    let ifa = ifa?;
    let own = kernel.net.ifaddrs.get(ifa)?;
    if family(&own.addr) != family(dst) {
        return kernel.net.ifaof_ifpforaddr(dst, own.ifp).or(Some(ifa));
    }
    Some(ifa)
}

/// Takes a route out of the table and gives it; the caller lets go of it by [`release_deleted`]
/// (`rtrequest` of RTM_DELETE).
pub fn rt_delete(kernel: &mut Kernel, dst: &[u8], netmask: Option<&[u8]>, flags: u32) -> Result<RtId, Errno> {
    if family(dst) != AF_INET {
        return Err(Errno::ESRCH);
    }
    let mask = netmask.filter(|_| flags & rtf::HOST == 0).map(Mask::new);
    let rt = kernel.net.table.delete(dst, mask.as_ref()).ok_or(Errno::ESRCH)?;
    if kernel.net.rt(rt).flags & rtf::PRCLONING != 0 && mask.is_some() {
        for child in kernel.net.table.walk() {
            if kernel.net.rtentries.get(child).is_some_and(|child| is_child(child, rt)) {
                delete_entry(kernel, child);
            }
        }
    }
    if let Some(gwroute) = kernel.net.rt_mut(rt).gwroute.take() {
        rtfree(kernel, gwroute);
    }
    kernel.net.rt_mut(rt).flags &= !rtf::UP;
    Ok(rt)
}

fn is_child(child: &Rtentry, parent: RtId) -> bool {
    child.parent == Some(parent) && child.flags & rtf::PINNED == 0
}

/// Lets go of a deleted route that nobody refers to.
pub fn release_deleted(kernel: &mut Kernel, rt: RtId) {
    free_unused(kernel, rt);
}

/// Deletes a route by its own key and mask.
pub fn delete_entry(kernel: &mut Kernel, rt: RtId) {
    let Some(entry) = kernel.net.rtentries.get(rt) else { return };
    let (key, flags) = (entry.key.clone(), entry.flags);
    let mask = entry.mask.as_ref().map(|mask| mask.bytes().to_vec());
    if let Ok(rt) = rt_delete(kernel, &key, mask.as_deref(), flags) {
        release_deleted(kernel, rt);
    }
}

/// Adds a route, with a reference for the caller (`rtrequest` of RTM_ADD).
pub fn rt_add(
    kernel: &mut Kernel,
    dst: &[u8],
    gateway: &[u8],
    netmask: Option<&[u8]>,
    flags: u32,
) -> Result<RtId, Errno> {
    if family(dst) != AF_INET {
        return Err(Errno::ESRCH);
    }
    let netmask = netmask.filter(|_| flags & rtf::HOST == 0);
    let ifa = ifa_ifwithroute(kernel, flags, dst, gateway).ok_or(Errno::ENETUNREACH)?;
    make_route(kernel, dst, gateway, netmask.map(Mask::new), flags, ifa, None)
}

/// Clones a route for one destination (`rtrequest` of RTM_RESOLVE).
fn resolve(kernel: &mut Kernel, dst: &[u8], parent: RtId) -> Result<RtId, Errno> {
    let entry = kernel.net.rt(parent);
    let mut flags = entry.flags & !(rtf::CLONING | rtf::PRCLONING | rtf::STATIC) | rtf::WASCLONED;
    let (ifa, gateway) = (entry.ifa, entry.gateway.clone());
    let mask = entry.genmask.as_deref().map(Mask::new);
    if mask.is_none() {
        flags |= rtf::HOST;
    }
    make_route(kernel, dst, &gateway, mask, flags, ifa, Some(parent))
}

/// Makes a route and puts it into the table (the label `makeroute` of `rtrequest`).
fn make_route(
    kernel: &mut Kernel,
    dst: &[u8],
    gateway: &[u8],
    mask: Option<Mask>,
    flags: u32,
    ifa: IfaId,
    parent: Option<RtId>,
) -> Result<RtId, Errno> {
    let key = match &mask {
        Some(mask) => masked(dst, mask.bytes()),
        None => (0..sa_len(dst)).map(|at| super::sockaddr::byte(dst, at)).collect(),
    };
    let ifp = kernel.net.ifaddrs.get(ifa).map_or(0, |ifa| ifa.ifp);
    kernel.net.ifa_hold(ifa);
    let rt = kernel.net.rtentries.insert(Rtentry {
        key: key.clone(),
        mask: None,
        gateway: Vec::new(),
        refcnt: 0,
        flags: rtf::UP | flags,
        ifp,
        ifa,
        genmask: None,
        rmx: Metrics::default(),
        gwroute: None,
        parent: None,
    });
    if !rt_setgate(kernel, rt, gateway) {
        kernel.net.ifafree(ifa);
        kernel.net.rtentries.remove(rt);
        return Err(Errno::ENOBUFS);
    }
    if !in_rmx::in_addroute(kernel, &key, mask.clone(), rt) && !retry_over_clone(kernel, dst, &key, &mask, rt)
    {
        let gwroute = kernel.net.rt_mut(rt).gwroute.take();
        if let Some(gwroute) = gwroute {
            rtfree(kernel, gwroute);
        }
        kernel.net.ifafree(ifa);
        kernel.net.rtentries.remove(rt);
        return Err(Errno::EEXIST);
    }
    let net = &mut kernel.net;
    net.rt_mut(rt).mask = mask;
    if let Some(parent) = parent {
        let (rmx, flags) = (net.rt(parent).rmx, net.rt(parent).flags);
        net.rt_mut(rt).rmx = rmx;
        if flags & rtf::PRCLONING != 0 {
            net.rt_mut(rt).parent = Some(parent);
            net.rt_mut(parent).refcnt += 1;
        }
    }
    fix_clones(kernel, rt);
    kernel.net.rt_mut(rt).refcnt += 1;
    Ok(rt)
}

/// A route that was cloned makes way for one that is added.
fn retry_over_clone(kernel: &mut Kernel, dst: &[u8], key: &[u8], mask: &Option<Mask>, rt: RtId) -> bool {
    let Some(old) = rtalloc1(kernel, dst, false, rtf::PRCLONING) else { return false };
    let cloned = kernel.net.rt(old).parent.is_some();
    if cloned {
        delete_entry(kernel, old);
    }
    rtfree(kernel, old);
    cloned && in_rmx::in_addroute(kernel, key, mask.clone(), rt)
}

/// Deletes clones that a new or changed route has taken over (`rt_fixchange`).
fn fix_clones(kernel: &mut Kernel, rt: RtId) {
    let entry = kernel.net.rt(rt);
    let Some(mask) = entry.mask.clone().filter(|_| entry.flags & rtf::HOST == 0) else { return };
    let key = entry.key.clone();
    for other in kernel.net.table.walk() {
        let Some(clone) = kernel.net.rtentries.get(other) else { continue };
        if clone.parent.is_none() || clone.flags & rtf::PINNED != 0 {
            continue;
        }
        if clone.parent == Some(rt) || radix::lies_under(&clone.key, &key, &mask) {
            delete_entry(kernel, other);
        }
    }
}

/// Gives a route its gateway; false if it would lead through itself (`rt_setgate`).
pub fn rt_setgate(kernel: &mut Kernel, rt: RtId, gateway: &[u8]) -> bool {
    let entry = kernel.net.rt_mut(rt);
    entry.gateway = super::sockaddr::padded(gateway);
    let flags = entry.flags;
    if let Some(gwroute) = entry.gwroute.take() {
        rtfree(kernel, gwroute);
    }
    if flags & rtf::GATEWAY != 0 {
        if kernel.net.depth >= DEEPEST {
            return false;
        }
        kernel.net.depth += 1;
        let gwroute = rtalloc1(kernel, gateway, true, rtf::PRCLONING);
        kernel.net.depth -= 1;
        if gwroute == Some(rt) {
            rtfree(kernel, rt);
            return false;
        }
        kernel.net.rt_mut(rt).gwroute = gwroute;
    }
    fix_clones(kernel, rt);
    true
}

/// What becomes of the route of an interface's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// It is made (RTM_ADD).
    Add,
    /// It goes (RTM_DELETE).
    Delete,
}

/// Makes or deletes the route of an interface's address (`rtinit`).  `addr` is the address to use in place of
/// the present one.
pub fn rtinit(
    kernel: &mut Kernel,
    ifa: IfaId,
    cmd: Init,
    flags: u32,
    addr: Option<&[u8]>,
) -> Result<(), Errno> {
    let Some(own) = kernel.net.ifaddrs.get(ifa) else { return Err(Errno::ENETUNREACH) };
    let gateway = addr.unwrap_or(&own.addr).to_vec();
    let mut dst = if flags & rtf::HOST != 0 { own.dst().unwrap_or(&[]).to_vec() } else { gateway.clone() };
    let netmask = own.netmask.clone();
    let flags = flags | u32::from(own.flags);
    if cmd == Init::Delete {
        if flags & rtf::HOST == 0
            && let Some(mask) = &netmask
        {
            dst = masked(&dst, mask);
        }
        if let Some(rt) = rtalloc1(kernel, &dst, false, 0) {
            let entry = kernel.net.rt_mut(rt);
            entry.refcnt -= 1;
            if entry.ifa != ifa {
                let host = flags & rtf::HOST != 0;
                return Err(if host { Errno::EHOSTUNREACH } else { Errno::ENETUNREACH });
            }
        }
        let rt = rt_delete(kernel, &dst, netmask.as_deref(), flags)?;
        rtsock::rt_newaddrmsg(kernel, cmd, ifa, rt, &gateway);
        release_deleted(kernel, rt);
        return Ok(());
    }
    let rt = rt_add(kernel, &dst, &gateway, netmask.as_deref(), flags)?;
    let entry = kernel.net.rt_mut(rt);
    entry.refcnt -= 1;
    if entry.ifa != ifa {
        let old = std::mem::replace(&mut entry.ifa, ifa);
        kernel.net.ifafree(old);
        kernel.net.ifa_hold(ifa);
        let ifp = kernel.net.ifaddrs.get(ifa).map_or(0, |ifa| ifa.ifp);
        kernel.net.rt_mut(rt).ifp = ifp;
    }
    rtsock::rt_newaddrmsg(kernel, cmd, ifa, rt, &gateway);
    Ok(())
}

/// Changes the way to a destination as a gateway says (`rtredirect`).
pub fn rtredirect(kernel: &mut Kernel, dst: &[u8], gateway: &[u8], flags: u32, src: &[u8]) {
    let mut told = flags;
    let result = redirect(kernel, dst, gateway, &mut told, src);
    let stat = &mut kernel.net.rtstat;
    let (counter, error) = match result {
        Err(error) => (&mut stat.badredirect, error as u32),
        Ok(true) => (&mut stat.dynamic, 0),
        Ok(false) => (&mut stat.newgateway, 0),
    };
    *counter = counter.wrapping_add(1);
    let addrs = [(rtsock::rtax::DST, dst), (rtsock::rtax::GATEWAY, gateway), (rtsock::rtax::AUTHOR, src)];
    rtsock::rt_missmsg(kernel, Message::Redirect, &addrs, told, error);
}

/// True where a route was made, false where one was changed.
fn redirect(
    kernel: &mut Kernel,
    dst: &[u8],
    gateway: &[u8],
    flags: &mut u32,
    src: &[u8],
) -> Result<bool, Errno> {
    let ifa = kernel.net.ifa_ifwithnet(gateway).ok_or(Errno::ENETUNREACH)?;
    let rt = rtalloc1(kernel, dst, false, 0);
    let done = redirect_route(kernel, rt, ifa, dst, gateway, flags, src);
    if let Some(rt) = rt {
        rtfree(kernel, rt);
    }
    done
}

fn redirect_route(
    kernel: &mut Kernel,
    rt: Option<RtId>,
    ifa: IfaId,
    dst: &[u8],
    gateway: &[u8],
    flags: &mut u32,
    src: &[u8],
) -> Result<bool, Errno> {
    if let Some(rt) = rt {
        let entry = kernel.net.rt(rt);
        if !equal(src, &entry.gateway) || entry.ifa != ifa {
            return Err(Errno::EINVAL);
        }
    }
    if kernel.net.ifa_ifwithaddr(gateway).is_some() {
        return Err(Errno::EHOSTUNREACH);
    }
    let old = rt.filter(|&rt| kernel.net.rt(rt).mask.as_ref().is_none_or(|mask| mask.bytes().len() >= 2));
    if let Some(rt) = old {
        let own = kernel.net.rt(rt).flags;
        if own & rtf::GATEWAY == 0 {
            return Err(Errno::EHOSTUNREACH);
        }
        if own & rtf::HOST != 0 || *flags & rtf::HOST == 0 {
            kernel.net.rt_mut(rt).flags |= rtf::MODIFIED;
            *flags |= rtf::MODIFIED;
            rt_setgate(kernel, rt, gateway);
            return Ok(false);
        }
    }
    *flags |= rtf::GATEWAY | rtf::DYNAMIC;
    let rt = rt_add(kernel, dst, gateway, None, *flags)?;
    kernel.net.rt_mut(rt).refcnt -= 1;
    Ok(true)
}
