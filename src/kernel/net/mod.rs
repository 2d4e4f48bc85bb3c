//! Networks below the protocols: interfaces, routes, the queue of packets that came in, routing sockets.
//!
//! - [`interface`] holds interfaces and their addresses, [`ioctl`] what a user asks and changes of them;
//!   [`if_loop`] and [`tun`] are the drivers.
//! - [`radix`] is the table in which [`route`] keeps its entries; [`rtsock`] tells user programs of them and
//!   takes their requests, [`raw_usrreq`] serves the sockets that it does this over.
//! - [`netisr`] runs what the arrival of packets asks for.
//!
//! This room does not know what is in a packet.
//!
//! 2.1 counterpart: net/.

pub mod if_loop;
pub mod interface;
pub mod ioctl;
pub(in crate::kernel) mod layout;
pub mod metrics;
pub mod netisr;
pub mod radix;
pub mod raw_usrreq;
pub mod route;
pub mod rtmsg;
pub mod rtsock;
pub mod rtsysctl;
pub mod sockaddr;
pub mod tun;

use crate::kernel::arena::Arena;
use crate::kernel::socket::SocketId;
pub use interface::{IfIndex, IfaId};
pub use route::{Route, RtId};

/// What the networks keep in global variables.
#[derive(Clone, Debug, Default)]
pub struct Net {
    /// Interfaces, by their index less one (`ifnet`).
    pub ifnets: Vec<interface::Ifnet>,
    /// Their addresses.
    pub ifaddrs: Arena<interface::Ifaddr>,
    /// Routes of the internet domain (`rt_tables[AF_INET]`).
    pub table: radix::Head<RtId>,
    /// All routes, those that are out of the table and still referred to, too.
    pub rtentries: Arena<route::Rtentry>,
    /// What routing counts.
    pub rtstat: route::Rtstat,
    /// Routing sockets, the newest first (`rawcb`).
    pub rawcb: Vec<SocketId>,
    /// Tunnels, by their unit.
    pub tuns: Vec<tun::Tun>,
    /// Packets that came in (`ipintrq`).
    pub ipintrq: netisr::Queue,
    /// How deep the search for gateways of gateways is.
    pub depth: u32,
    /// When routes are looked through for old ones: the uptime, if that is set.
    pub expiry: Option<u64>,
    /// When the time limit of routes was last lowered, in seconds since the epoch.
    pub last_adjusted: u64,
    /// The family that the last message was about (`route_proto.sp_protocol`).
    pub routeproto: u8,
    /// Number of routing sockets (`route_cb.any_count`).
    pub listeners: usize,
}
