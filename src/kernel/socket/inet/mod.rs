//! The internet domain, as far as one machine reaches: everything goes over the loopback interface.
//!
//! There are hardly packets.  A datagram goes through the switch straight to the receiver's buffer
//! ([`ip_input`], [`udp`], [`raw`](mod@raw)); the
//! two ends of a connection know each other, and what one end has queued moves to the other as far as
//! that has room ([`tcp`]).  What a guest sees of it is kept: names and ports ([`pcb`]), buffer space, the
//! states of TCP with their timers, errors, options, and the interface ([`interface`]).
//!
//! Over the original's loopback a handshake, an answer or an error arrives before the call that caused
//! it returns, and so it does here.
//!
//! 2.1 counterpart: netinet/, net/if.c, net/if_loop.c.

pub mod bridge;
mod interface;
mod ip;
mod ip_input;
mod options;
mod pcb;
mod raw;
mod route;
mod tcp;
mod tcp_fsm;
mod tcp_timer;
mod tcp_urgent;
mod udp;
mod variables;

use std::net::Ipv4Addr;

use syscalls::errno::Errno;
use syscalls::flags::{Domain as Family, SockType};

pub use interface::ifioctl;
pub use ip_input::{Ends, Packet};
pub use pcb::{Inpcb, InpcbId};
pub use tcp_fsm::TcpState;

use super::Network;
use super::mbuf::Mbuf;
use super::protosw::{Domain, ProtoFlags, Protosw};
use crate::kernel::arena::Arena;

/// Protocol numbers (`IPPROTO_*`).
const IPPROTO_IP: u32 = 0;
const IPPROTO_ICMP: i32 = 1;
const IPPROTO_IGMP: i32 = 2;
const IPPROTO_IPIP: i32 = 4;
const IPPROTO_TCP: i32 = 6;
const IPPROTO_UDP: i32 = 17;
const IPPROTO_RSVP: i32 = 46;
const IPPROTO_RAW: i32 = 255;

/// No address, or any.
const INADDR_ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

const fn raw(protocol: i32) -> Protosw {
    Protosw {
        kind: Some(SockType::Raw),
        family: Family::Inet,
        protocol,
        flags: ProtoFlags::ATOMIC.union(ProtoFlags::ADDR),
        input: Some(raw::input),
        output: Some(raw::output),
        usrreq: Some(raw::usrreq),
        ctloutput: Some(raw::ctloutput),
        ..Protosw::NONE
    }
}

static PROTOSW: [Protosw; 9] = [
    // Nothing sends through the row of IP itself.
    Protosw {
        family: Family::Inet,
        init: Some(ip_input::init),
        sysctl: Some(variables::ip_sysctl),
        ..Protosw::NONE
    },
    Protosw {
        kind: Some(SockType::Dgram),
        family: Family::Inet,
        protocol: IPPROTO_UDP,
        flags: ProtoFlags::ATOMIC.union(ProtoFlags::ADDR),
        input: Some(udp::input),
        ctlinput: Some(udp::ctlinput),
        usrreq: Some(udp::usrreq),
        ctloutput: Some(ip::ctloutput),
        sysctl: Some(variables::udp_sysctl),
        ..Protosw::NONE
    },
    // There are no segments: the ends of a connection know each other.  What a raw socket sends as one is
    // lost, and of what an interface tells (PRC_IFDOWN) the original's TCP makes nothing either.
    Protosw {
        kind: Some(SockType::Stream),
        family: Family::Inet,
        protocol: IPPROTO_TCP,
        flags: ProtoFlags::CONNREQUIRED.union(ProtoFlags::IMPLOPCL).union(ProtoFlags::WANTRCVD),
        usrreq: Some(tcp::usrreq),
        ctloutput: Some(tcp::ctloutput),
        slowtimo: Some(tcp_timer::slowtimo),
        sysctl: Some(variables::tcp_sysctl),
        ..Protosw::NONE
    },
    raw(IPPROTO_RAW),
    Protosw { input: Some(raw::icmp_input), sysctl: Some(variables::icmp_sysctl), ..raw(IPPROTO_ICMP) },
    Protosw { sysctl: Some(variables::igmp_sysctl), ..raw(IPPROTO_IGMP) },
    raw(IPPROTO_RSVP),
    raw(IPPROTO_IPIP),
    // The wild card.
    raw(0),
];

/// The domain.
pub static DOMAIN: Domain = Domain {
    family: Family::Inet,
    name: "internet",
    init: None,
    externalize: None,
    dispose: None,
    rtattach: Some(route::attach),
    protosw: &PROTOSW,
};

/// What the domain keeps in global variables.
#[derive(Debug, Default)]
pub struct Inet {
    /// Control blocks of all protocols.
    pcbs: Arena<Inpcb>,
    /// Those of TCP (`tcb`).
    tcb: pcb::PcbInfo,
    /// Those of UDP (`udb`).
    udb: pcb::PcbInfo,
    /// Those of raw sockets (`ripcb`).
    ripcb: pcb::PcbInfo,
    /// The loopback interface; none on a machine without a network.
    lo0: Option<interface::Ifnet>,
    /// Which hosts are reached.
    routes: route::Table,
    /// Row of the switch of each protocol number (`ip_protox`).
    protox: Vec<usize>,
    /// The slow timer is due.
    ticking: bool,
    /// What can be set (`net.inet`).
    variables: variables::Variables,
    /// What is counted.
    statistics: variables::Statistics,
    /// Sockets are those of the host.
    bridged: bool,
}

impl Inet {
    /// A domain without sockets.
    pub fn new(network: Network) -> Self {
        let lo0 = (network != Network::None).then(interface::Ifnet::loopback);
        Self { lo0, bridged: network == Network::Host, ..Self::default() }
    }

    /// A control block, if it still exists.
    pub fn get(&self, inp: InpcbId) -> Option<&Inpcb> {
        self.pcbs.get(inp)
    }
}

/// An address and a port (`struct sockaddr_in`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SockaddrIn {
    /// Family, as the user gave it.
    family: u8,
    /// Port.
    port: u16,
    /// Address.
    addr: Ipv4Addr,
    /// The rest (`sin_zero`), as the user gave it.
    zero: [u8; 8],
}

impl SockaddrIn {
    /// Size of the structure.
    const LEN: usize = 16;

    fn new(addr: Ipv4Addr, port: u16) -> Self {
        Self { family: Family::Inet.raw() as u8, port, addr, zero: [0; 8] }
    }

    /// The address that a user gave; EINVAL unless it has exactly the size.
    fn from_mbuf(nam: &Mbuf) -> Result<Self, Errno> {
        Self::from_bytes(nam.bytes())
    }

    fn from_bytes(nam: &[u8]) -> Result<Self, Errno> {
        match *nam {
            [_, family, p1, p0, a, b, c, d, ref zero @ ..] => {
                let zero = zero.try_into().map_err(|_| Errno::EINVAL)?;
                let port = u16::from_be_bytes([p1, p0]);
                Ok(Self { family, port, addr: Ipv4Addr::new(a, b, c, d), zero })
            }
            _ => Err(Errno::EINVAL),
        }
    }

    fn bytes(self) -> [u8; Self::LEN] {
        let [p1, p0] = self.port.to_be_bytes();
        let [a, b, c, d] = self.addr.octets();
        [Self::LEN as u8, self.family, p1, p0, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0]
    }

    fn is_inet(self) -> bool {
        u32::from(self.family) == Family::Inet.raw()
    }

    /// Whether the family is one that raw sockets take: AF_IMPLINK, too.
    fn is_inet_or_implink(self) -> bool {
        const AF_IMPLINK: u8 = 3;
        self.is_inet() || self.family == AF_IMPLINK
    }
}
