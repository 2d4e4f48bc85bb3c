//! The internet domain, as far as one machine reaches: everything goes over the loopback interface.
//!
//! There are no packets.  A datagram is put straight into the receiver's buffer ([`udp`], [`raw`](mod@raw)); the
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
mod options;
mod pcb;
mod raw;
mod tcp;
mod tcp_fsm;
mod tcp_timer;
mod tcp_urgent;
mod udp;

use std::net::Ipv4Addr;

use syscalls::errno::Errno;
use syscalls::flags::{Domain as Family, SockType};

pub use interface::ifioctl;
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
        usrreq: Some(raw::usrreq),
        ctloutput: Some(raw::ctloutput),
        ..Protosw::NONE
    }
}

static PROTOSW: [Protosw; 9] = [
    Protosw { family: Family::Inet, ..Protosw::NONE },
    Protosw {
        kind: Some(SockType::Dgram),
        family: Family::Inet,
        protocol: IPPROTO_UDP,
        flags: ProtoFlags::ATOMIC.union(ProtoFlags::ADDR),
        usrreq: Some(udp::usrreq),
        ctloutput: Some(ip::ctloutput),
        ..Protosw::NONE
    },
    Protosw {
        kind: Some(SockType::Stream),
        family: Family::Inet,
        protocol: IPPROTO_TCP,
        flags: ProtoFlags::CONNREQUIRED.union(ProtoFlags::IMPLOPCL).union(ProtoFlags::WANTRCVD),
        usrreq: Some(tcp::usrreq),
        ctloutput: Some(tcp::ctloutput),
        slowtimo: Some(tcp_timer::slowtimo),
        ..Protosw::NONE
    },
    raw(IPPROTO_RAW),
    raw(IPPROTO_ICMP),
    raw(IPPROTO_IGMP),
    raw(IPPROTO_RSVP),
    raw(IPPROTO_IPIP),
    // The wild card.
    raw(0),
];

/// The domain.
pub static DOMAIN: Domain =
    Domain { family: Family::Inet, name: "internet", externalize: None, dispose: None, protosw: &PROTOSW };

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
    /// The slow timer is due.
    ticking: bool,
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
        match *nam.bytes() {
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
