//! The routing table: which hosts are reached, all of them over the loopback interface.
//!
//! This file does not know interfaces.
//!
//! 2.1 counterpart: netinet/in_rmx.c (in_inithead), net/route.c (rtinit, rtalloc).

use std::net::Ipv4Addr;

use super::Inet;
use crate::kernel::Kernel;

/// Routes to hosts (`rt_tables[AF_INET]`).
#[derive(Debug, Default)]
pub(super) struct Table {
    hosts: Vec<Ipv4Addr>,
}

/// Gives the domain its table (`in_inithead`).  The interface is configured by then, as /etc/netstart
/// leaves it, so that its own address has its route.
pub(super) fn attach(kernel: &mut Kernel) {
    let inet = &mut kernel.sockets.inet;
    inet.routes = Table { hosts: inet.own_address().into_iter().collect() };
}

impl Table {
    /// Whether a host is reached.
    pub(super) fn reaches(&self, host: Ipv4Addr) -> bool {
        self.hosts.contains(&host)
    }
}

impl Inet {
    /// Moves the route of the interface to its new address (`in_ifscrub`, `in_ifinit`).
    pub(super) fn move_route(&mut self, old: Ipv4Addr, new: Ipv4Addr) {
        self.routes.hosts.retain(|&host| host != old);
        self.routes.hosts.push(new);
    }
}
