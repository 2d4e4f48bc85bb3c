//! What the internet domain does with routes of its table: it clones those to networks for each host, sizes
//! TCP's pipes, and lets clones go some time after nobody uses them.
//!
//! 2.1 counterpart: netinet/in_rmx.c.

use std::net::Ipv4Addr;

use super::sin_addr;
use crate::kernel::Kernel;
use crate::kernel::net::RtId;
use crate::kernel::net::metrics::rtv;
use crate::kernel::net::radix::Mask;
use crate::kernel::net::route::{self, rtf};
use crate::kernel::time::{SECOND_NS, Timeout};

/// Routes that are looked after here (RTPRF_OURS).
const RTPRF_OURS: u32 = rtf::PROTO3;
/// Seconds between two looks (RTQ_TIMEOUT).
const RTQ_TIMEOUT: u64 = 60 * 10;

/// Puts a route into the table; false if there is one like it (`in_addroute`).
pub fn in_addroute(kernel: &mut Kernel, key: &[u8], mask: Option<Mask>, rt: RtId) -> bool {
    let variables = &kernel.inet.variables;
    let (send, receive) = (variables.tcp_sendspace as u32, variables.tcp_recvspace as u32);
    let ifp = kernel.net.rt(rt).ifp;
    let mtu = kernel.net.ifnet(ifp).map(|ifp| ifp.mtu);
    let entry = kernel.net.rt_mut(rt);
    if entry.flags & (rtf::HOST | rtf::CLONING) == 0 && !sin_addr(key).is_multicast() {
        entry.flags |= rtf::PRCLONING;
    }
    let rmx = &mut entry.rmx;
    if rmx.sendpipe == 0 && rmx.locks & rtv::SPIPE == 0 {
        rmx.sendpipe = send;
    }
    if rmx.recvpipe == 0 && rmx.locks & rtv::RPIPE == 0 {
        rmx.recvpipe = receive;
    }
    if rmx.mtu == 0
        && rmx.locks & rtv::MTU == 0
        && let Some(mtu) = mtu
    {
        rmx.mtu = mtu;
    }
    kernel.net.table.add(key, mask, rt)
}

/// Finds a route; the first who uses one again takes it from our care (`in_matroute`).
pub fn in_matroute(kernel: &mut Kernel, dst: &[u8]) -> Option<RtId> {
    let rt = kernel.net.table.lookup(dst)?;
    let entry = kernel.net.rt_mut(rt);
    if entry.refcnt == 0 && entry.flags & RTPRF_OURS != 0 {
        entry.flags &= !RTPRF_OURS;
        entry.rmx.expire = 0;
    }
    Some(rt)
}

fn seconds(kernel: &Kernel) -> u64 {
    kernel.clock.now() / SECOND_NS
}

/// Nobody uses a route any more: a clone is given some time (`in_clsroute`).
pub fn in_clsroute(kernel: &mut Kernel, rt: RtId) {
    let now = seconds(kernel);
    let old = kernel.inet.variables.rt_expire;
    let entry = kernel.net.rt_mut(rt);
    if entry.flags & rtf::UP == 0
        || entry.flags & (rtf::LLINFO | rtf::HOST) != rtf::HOST
        || entry.flags & (rtf::WASCLONED | RTPRF_OURS) != rtf::WASCLONED
    {
        return;
    }
    if old == 0 {
        route::delete_entry(kernel, rt);
        return;
    }
    entry.flags |= RTPRF_OURS;
    entry.rmx.expire = (now as u32).wrapping_add(old as u32);
    if kernel.net.expiry.is_none() {
        let period = RTQ_TIMEOUT * SECOND_NS;
        let due = (kernel.clock.uptime() / period + 1) * period;
        kernel.net.expiry = Some(due);
        kernel.add_timeout(due, Timeout::RouteExpire);
    }
}

/// What a look through the routes found.
struct Found {
    found: i32,
    killed: i32,
    nextstop: u64,
}

/// Deletes routes whose time is over (`in_rtqkill` for all of them).
fn rtqkill(kernel: &mut Kernel, updating: bool) -> Found {
    let now = seconds(kernel);
    let mut found = Found { found: 0, killed: 0, nextstop: now + RTQ_TIMEOUT };
    for rt in kernel.net.table.walk() {
        let old = kernel.inet.variables.rt_expire;
        let Some(entry) = kernel.net.rtentries.get_mut(rt).filter(|rt| rt.flags & RTPRF_OURS != 0) else {
            continue;
        };
        found.found += 1;
        if u64::from(entry.rmx.expire) <= now {
            found.killed += 1;
            route::delete_entry(kernel, rt);
            continue;
        }
        let left = i64::from(entry.rmx.expire) - now as i64;
        if updating && left > i64::from(old) {
            entry.rmx.expire = (now as u32).wrapping_add(old as u32);
        }
        found.nextstop = found.nextstop.min(u64::from(entry.rmx.expire));
    }
    found
}

/// Looks for routes whose time is over; where there are too many, the time is made shorter (`in_rtqtimo`).
pub fn in_rtqtimo(kernel: &mut Kernel) {
    kernel.net.expiry = None;
    let now = seconds(kernel);
    let mut found = rtqkill(kernel, false);
    let variables = &mut kernel.inet.variables;
    if found.found - found.killed > variables.rt_maxcache
        && now.saturating_sub(kernel.net.last_adjusted) >= RTQ_TIMEOUT
        && variables.rt_expire > variables.rt_minexpire
    {
        variables.rt_expire = (2 * i64::from(variables.rt_expire) / 3) as i32;
        variables.rt_expire = variables.rt_expire.max(variables.rt_minexpire);
        kernel.net.last_adjusted = now;
        let nextstop = found.nextstop;
        found = rtqkill(kernel, true);
        found.nextstop = found.nextstop.min(nextstop);
    }
    if found.found > found.killed {
        let wait = found.nextstop.saturating_sub(now).max(1) * SECOND_NS;
        let due = kernel.clock.uptime() + wait;
        kernel.net.expiry = Some(due);
        kernel.add_timeout(due, Timeout::RouteExpire);
    }
}

/// The sockets' address of a host.
pub fn sin(addr: Ipv4Addr) -> [u8; 16] {
    super::SockaddrIn::new(addr, 0).bytes()
}
