//! What arrives over the loopback interface: the switch hands it to the protocol of its number.
//!
//! Where a number has no row of its own, raw sockets get the packet; where the row has no `input`, it is
//! lost.
//!
//! This file does not know what protocols do with packets.
//!
//! 2.1 counterpart: netinet/ip_input.c (ip_init, ipintr), netinet/ip_icmp.c (icmp_input's errors).

use std::net::Ipv4Addr;

use super::super::chain::Chain;
use super::super::protosw::{CtlInput, Protosw};
use super::{IPPROTO_RAW, IPPROTO_UDP, Inet, PROTOSW, SockaddrIn};
use crate::kernel::Kernel;

/// Size of a header without options.
pub(super) const IP_HEADER: usize = 20;
/// Numbers of protocols (IPPROTO_MAX).
const IPPROTO_MAX: usize = 256;

/// An address and a port.
pub(super) type End = (Ipv4Addr, u16);

/// Where a datagram came from and went to, as the headers say that come back with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Its sender.
    pub(super) from: End,
    /// Whom it was for.
    pub(super) to: End,
}

/// What arrives.
#[derive(Debug)]
pub enum Packet {
    /// A datagram of UDP, whose headers nobody made because nobody looks at them.
    Datagram(Ends, Chain),
    /// A packet with its header, as a raw socket sends it.
    Raw(Vec<u8>),
}

/// Notes which row of the switch serves a protocol number (`ip_init`): raw IP's where there is none.
pub(super) fn init(kernel: &mut Kernel) {
    let row = |protocol| PROTOSW.iter().rposition(|pr| pr.protocol == protocol);
    let own = |number: usize| row(number as i32).filter(|_| number != 0);
    let rows = (0..IPPROTO_MAX).map(|number| own(number).or_else(|| row(IPPROTO_RAW)));
    kernel.sockets.inet.protox = rows.flatten().collect();
}

/// Hands a packet to its protocol (the end of `ipintr`).
pub(super) fn input(kernel: &mut Kernel, packet: Packet) {
    let protocol = match &packet {
        Packet::Datagram(..) => Some(IPPROTO_UDP),
        Packet::Raw(packet) => packet.get(9).copied().map(i32::from),
    };
    let row = protocol.and_then(|protocol| kernel.sockets.inet.row(protocol));
    if let Some(input) = row.and_then(|row| row.input) {
        input(kernel, packet);
    }
}

/// Tells a protocol what became of a datagram of its own (`icmp_input` of an error).
pub(super) fn error(kernel: &mut Kernel, protocol: i32, cmd: CtlInput, ends: Ends) {
    let row = kernel.sockets.inet.row(protocol);
    if let Some(ctlinput) = row.and_then(|row| row.ctlinput) {
        ctlinput(kernel, cmd, &SockaddrIn::new(ends.to.0, 0).bytes(), Some(ends));
    }
}

impl Inet {
    /// The row of a protocol number (`inetsw[ip_protox[…]]`).
    fn row(&self, protocol: i32) -> Option<&'static Protosw> {
        let row = self.protox.get(usize::try_from(protocol).ok()?)?;
        PROTOSW.get(*row)
    }
}

/// The internet checksum of a message: zero, where its own sum is in it and right.
pub(super) fn checksum(pieces: &[&[u8]]) -> u16 {
    let word = |bytes: &[u8]| u32::from(bytes[0]) << 8 | u32::from(bytes.get(1).copied().unwrap_or(0));
    let mut sum: u32 = pieces.iter().flat_map(|piece| piece.chunks(2)).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
