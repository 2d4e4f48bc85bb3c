//! The header of IP, in the order of the network or, between [`ip_input`](super::ip_input) and the protocols,
//! with its numbers in that of the host; raw sockets show it to their users in this form.
//!
//! 2.1 counterpart: netinet/ip.h.

use std::net::Ipv4Addr;

use crate::kernel::socket::chain::Chain;

/// Size of a header without options.
pub const IP_HEADER: usize = 20;
/// Version of IP.
pub const IPVERSION: u8 = 4;
/// Must not be fragmented (IP_DF).
pub const IP_DF: u16 = 0x4000;
/// More fragments follow (IP_MF).
pub const IP_MF: u16 = 0x2000;
/// Longest life of a packet (MAXTTL).
pub const MAXTTL: u8 = 255;
/// Longest packet (IP_MAXPACKET).
pub const IP_MAXPACKET: usize = 65535;

/// A header (`struct ip`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip {
    /// Version and length in words.
    pub vhl: u8,
    /// Type of service.
    pub tos: u8,
    /// Length.
    pub len: u16,
    /// Identification.
    pub id: u16,
    /// Flags and offset of a fragment.
    pub off: u16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol.
    pub p: u8,
    /// Checksum, as it is stored.
    pub sum: [u8; 2],
    /// Source.
    pub src: Ipv4Addr,
    /// Destination.
    pub dst: Ipv4Addr,
}

impl Ip {
    /// A header that is to be sent.
    pub fn new(p: u8, src: Ipv4Addr, dst: Ipv4Addr, len: usize) -> Self {
        Self { vhl: 0x45, tos: 0, len: len as u16, id: 0, off: 0, ttl: 0, p, sum: [0; 2], src, dst }
    }

    /// Size of the header with its options.
    pub fn hlen(&self) -> usize {
        usize::from(self.vhl & 0x0f) * 4
    }

    /// Sets the size of the header.
    pub fn set_hlen(&mut self, hlen: usize) {
        self.vhl = IPVERSION << 4 | (hlen / 4) as u8 & 0x0f;
    }

    fn parse(bytes: &[u8], number: fn([u8; 2]) -> u16) -> Option<Self> {
        let &[vhl, tos, l0, l1, i0, i1, o0, o1, ttl, p, s0, s1, a, b, c, d, e, f, g, h] =
            bytes.first_chunk::<IP_HEADER>()?;
        let (src, dst) = (Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h));
        let (len, id, off) = (number([l0, l1]), number([i0, i1]), number([o0, o1]));
        Some(Self { vhl, tos, len, id, off, ttl, p, sum: [s0, s1], src, dst })
    }

    /// A header whose numbers are in the order of the network.
    pub fn from_net(bytes: &[u8]) -> Option<Self> {
        Self::parse(bytes, u16::from_be_bytes)
    }

    /// A header whose numbers are in the order of the host.
    pub fn from_host(bytes: &[u8]) -> Option<Self> {
        Self::parse(bytes, u16::from_le_bytes)
    }

    fn format(&self, number: fn(u16) -> [u8; 2]) -> [u8; IP_HEADER] {
        let ([l0, l1], [i0, i1], [o0, o1]) = (number(self.len), number(self.id), number(self.off));
        let ([a, b, c, d], [e, f, g, h]) = (self.src.octets(), self.dst.octets());
        let ([s0, s1], ttl, p) = (self.sum, self.ttl, self.p);
        [self.vhl, self.tos, l0, l1, i0, i1, o0, o1, ttl, p, s0, s1, a, b, c, d, e, f, g, h]
    }

    /// The header in the order of the network.
    pub fn net(&self) -> [u8; IP_HEADER] {
        self.format(u16::to_be_bytes)
    }

    /// The header in the order of the host.
    pub fn host(&self) -> [u8; IP_HEADER] {
        self.format(u16::to_le_bytes)
    }

    /// The header of a packet, in the order of the host.
    pub fn of(m: &Chain) -> Option<Self> {
        Self::from_host(m.front()?.bytes())
    }

    /// Stores it into a packet, in the order of the host.
    pub fn store(&self, m: &mut Chain) {
        store(m, 0, &self.host());
    }
}

/// Stores bytes into the first mbuf of a packet.
pub fn store(m: &mut Chain, at: usize, bytes: &[u8]) {
    if let Some(room) = m.front_mut().and_then(|m| m.bytes_mut().get_mut(at..at + bytes.len())) {
        room.copy_from_slice(bytes);
    }
}

/// Whether an address is one of a group (IN_MULTICAST).
pub fn in_multicast(addr: Ipv4Addr) -> bool {
    addr.is_multicast()
}
