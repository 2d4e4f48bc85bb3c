//! The messages of routing: their headers, and the addresses behind them.
//!
//! 2.1 counterpart: net/route.h (struct rt_msghdr), net/if.h (struct if_msghdr, struct ifa_msghdr),
//! net/rtsock.c (rt_msg1, rt_msg2).

use super::interface::Ifnet;
use super::sockaddr::padded;
use crate::kernel::socket::chain::Chain;
use crate::kernel::socket::mbuf::{Mbuf, MbufType};

/// Version of messages (RTM_VERSION).
pub const RTM_VERSION: u8 = 5;
/// Kinds of addresses in a message (RTAX_MAX).
pub const RTAX_MAX: usize = 8;
/// Size of a message's header (`struct rt_msghdr`).
pub const RT_MSGHDR: usize = 92;
/// Size of the header of one about an interface (`struct if_msghdr`).
const IF_MSGHDR: usize = 84;
/// Size of the header of one about an interface's address (`struct ifa_msghdr`).
const IFA_MSGHDR: usize = 20;

/// Places of addresses in a message (`RTAX_*`).
pub mod rtax {
    #![allow(missing_docs)] // the original's own names
    pub const DST: usize = 0;
    pub const GATEWAY: usize = 1;
    pub const NETMASK: usize = 2;
    pub const GENMASK: usize = 3;
    pub const IFP: usize = 4;
    pub const IFA: usize = 5;
    pub const AUTHOR: usize = 6;
    pub const BRD: usize = 7;
}

/// What a message says (`RTM_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Message {
    /// A route is added.
    Add = 1,
    /// A route is deleted.
    Delete = 2,
    /// A route is changed.
    Change = 3,
    /// A route is asked for.
    Get = 4,
    /// A way seems to be broken.
    Losing = 5,
    /// A gateway said that there is a better way.
    Redirect = 6,
    /// A lookup failed.
    Miss = 7,
    /// Metrics are locked.
    Lock = 8,
    /// A lookup needs somebody to resolve it.
    Resolve = 11,
    /// An address is added to an interface.
    Newaddr = 12,
    /// An address is taken off an interface.
    Deladdr = 13,
    /// An interface changes.
    Ifinfo = 14,
}

impl Message {
    /// The message of a number.
    pub fn from_raw(raw: u8) -> Option<Self> {
        Some(match raw {
            1 => Self::Add,
            2 => Self::Delete,
            3 => Self::Change,
            4 => Self::Get,
            8 => Self::Lock,
            _ => return None,
        })
    }

    /// Size of its header.
    pub fn header_len(self) -> usize {
        match self {
            Self::Newaddr | Self::Deladdr => IFA_MSGHDR,
            Self::Ifinfo => IF_MSGHDR,
            _ => RT_MSGHDR,
        }
    }
}

/// The addresses of a message, by their place.
pub type Addresses = [Option<Vec<u8>>; RTAX_MAX];

/// The bits of the addresses that are there (`rti_addrs`).
pub fn bits(addresses: &Addresses) -> u32 {
    (0..RTAX_MAX).filter(|&at| addresses[at].is_some()).map(|at| 1 << at).sum()
}

/// Stores a word.
pub fn put(message: &mut [u8], at: usize, word: u32) {
    if let Some(room) = message.get_mut(at..at + 4) {
        room.copy_from_slice(&word.to_le_bytes());
    }
}

/// Reads a word.
pub fn get(message: &[u8], at: usize) -> u32 {
    message.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// Places in `struct rt_msghdr`.
pub mod at {
    #![allow(missing_docs)] // the original's own names
    pub const INDEX: usize = 4;
    pub const FLAGS: usize = 8;
    pub const ADDRS: usize = 12;
    pub const PID: usize = 16;
    pub const ERRNO: usize = 24;
    pub const USE: usize = 28;
    pub const INITS: usize = 32;
    pub const RMX: usize = 36;
}

/// A message with an empty header but for its length, version and type, and its addresses (`rt_msg2`).
pub fn message(kind: Message, addresses: &Addresses) -> Vec<u8> {
    let mut message = vec![0; kind.header_len()];
    for address in addresses.iter().flatten() {
        message.extend(padded(address));
    }
    let [len0, len1, ..] = (message.len() as u32).to_le_bytes();
    message[..4].copy_from_slice(&[len0, len1, RTM_VERSION, kind as u8]);
    message
}

/// A message as a packet: the header in the first mbuf, each address in one of its own (`rt_msg1`).
pub fn packet(kind: Message, message: &[u8], addresses: &Addresses) -> Chain {
    let (header, mut rest) = message.split_at(kind.header_len().min(message.len()));
    let mut m = Mbuf::gethdr(MbufType::Data);
    m.push(header);
    let mut chain = Chain::from(m);
    for address in addresses.iter().flatten() {
        let (piece, behind) = rest.split_at(padded(address).len().min(rest.len()));
        let end = chain.bytes();
        chain.copy_back(end, piece);
        rest = behind;
    }
    chain
}

/// Fills in what a message about an interface says of it.
pub fn fill_ifinfo(message: &mut [u8], index: u16, ifp: &Ifnet, addrs: u32) {
    put(message, 4, addrs);
    put(message, 8, u32::from(ifp.flags.bits()));
    message[12..14].copy_from_slice(&index.to_le_bytes());
    message[16..20].copy_from_slice(&[ifp.kind, ifp.physical as u8, 0, 0]);
    put(message, 20, ifp.mtu);
    put(message, 24, ifp.metric);
    put(message, 32, ifp.counts.ipackets);
    put(message, 48, ifp.counts.collisions);
    put(message, 40, ifp.counts.opackets);
    put(message, 52, ifp.counts.ibytes);
    put(message, 56, ifp.counts.obytes);
    put(message, 68, ifp.counts.iqdrops);
    put(message, 76, (ifp.lastchange / 1_000_000) as u32);
    put(message, 80, (ifp.lastchange % 1_000_000) as u32);
}
