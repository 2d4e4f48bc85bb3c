//! The internet domain: its protocols by type and number.
//!
//! 2.1 counterpart: netinet/in_proto.c.

use syscalls::flags::{Domain as Family, SockType};

use super::Network;
use super::protosw::{Domain, ProtoFlags, Protosw};
use crate::kernel::arena::Id;

/// A control block.
#[derive(Debug)]
pub struct Inpcb {}

/// Key of a control block.
pub type InpcbId = Id<Inpcb>;

/// What the domain keeps in global variables.
#[derive(Debug, Default)]
pub struct Inet {}

impl Inet {
    /// A domain without sockets.
    pub fn new(_network: Network) -> Self {
        Self::default()
    }
}

/// Protocol numbers (`IPPROTO_*`).
const IPPROTO_ICMP: i32 = 1;
const IPPROTO_IGMP: i32 = 2;
const IPPROTO_IPIP: i32 = 4;
const IPPROTO_TCP: i32 = 6;
const IPPROTO_UDP: i32 = 17;
const IPPROTO_RSVP: i32 = 46;
const IPPROTO_RAW: i32 = 255;

const fn raw(protocol: i32) -> Protosw {
    Protosw {
        kind: Some(SockType::Raw),
        family: Family::Inet,
        protocol,
        flags: ProtoFlags::ATOMIC.union(ProtoFlags::ADDR),
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
        ..Protosw::NONE
    },
    Protosw {
        kind: Some(SockType::Stream),
        family: Family::Inet,
        protocol: IPPROTO_TCP,
        flags: ProtoFlags::CONNREQUIRED.union(ProtoFlags::IMPLOPCL).union(ProtoFlags::WANTRCVD),
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
