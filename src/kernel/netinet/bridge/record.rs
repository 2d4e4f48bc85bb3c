//! What moves over the host's sockets, as packets for a record.
//!
//! The true packets are the host's, and nobody here sees them.  What stands in the record are packets that could
//! have carried the same bytes between the same ends at the same time: a handshake, segments in their order, an
//! end.  They are told from packets of an interface by their identification, [`MARK`], and the record says so in
//! its first one.
//!
//! Must not know sockets.  2.1 counterpart: none.

use std::net::Ipv4Addr;

use super::super::in_cksum::{Sum, in_cksum, pseudo};
use super::super::in_pcb::InpcbId;
use super::super::ip::{IP_HEADER, Ip, store};
use super::super::tcp_subr::header;
use super::super::tcp_var::{TCP_HEADER, th};
use super::super::{INADDR_ANY, ipproto, trace};
use crate::host::net::Address;
use crate::kernel::Kernel;
use crate::kernel::socket::chain::Chain;

/// Identification of every packet that was made up: "21".
const MARK: u16 = 0x3231;
/// Most bytes of data in one.
const LARGEST: usize = 16344;
/// Time to live, and window.
const TTL: u8 = 64;
const WINDOW: u16 = 65535;
/// What the first packet of a record says, to the port that throws everything away.
const LABEL: &[u8] =
    b"bsd21: these packets are made up from what passed the host's sockets; their identification is 0x3231";
const DISCARD: u16 = 9;

/// Which way something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From the guest.
    Out,
    /// To the guest.
    In,
}

/// How far a connection has come: the next sequence number of each side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flow {
    out: u32,
    back: u32,
}

/// Where a stream begins to count.
const FIRST: u32 = 1000;

fn is_recorded(kernel: &Kernel) -> bool {
    kernel.inet.tap.is_some()
}

/// Says at the beginning of a record what is in it.
pub(super) fn label(kernel: &mut Kernel) {
    if is_recorded(kernel) && !std::mem::replace(&mut kernel.inet.labelled, true) {
        let end = (Ipv4Addr::LOCALHOST, DISCARD);
        packet(kernel, ipproto::UDP, end, end, &udp(end, end, LABEL));
    }
}

fn packet(kernel: &mut Kernel, protocol: i32, from: Address, to: Address, rest: &[u8]) {
    let mut m = Chain::of_packet(&[&[0; IP_HEADER], rest].concat());
    let ip = Ip { id: MARK, ttl: TTL, ..Ip::new(protocol as u8, from.0, to.0, IP_HEADER + rest.len()) };
    store(&mut m, 0, &ip.net());
    let sum = in_cksum(Sum::default(), &m, 0, IP_HEADER);
    store(&mut m, 10, &sum);
    trace::packet(kernel, &m);
}

/// A segment or datagram with its sum, which stands at a place in it.
fn summed(protocol: i32, from: Address, to: Address, mut rest: Vec<u8>, at: usize) -> Vec<u8> {
    let sum = pseudo(from.0.octets(), to.0.octets(), protocol as u8, rest.len() as u16);
    let sum = in_cksum(sum, &Chain::of_packet(&rest), 0, rest.len());
    rest[at..at + 2].copy_from_slice(&sum);
    rest
}

fn udp(from: Address, to: Address, data: &[u8]) -> Vec<u8> {
    let len = (8 + data.len()) as u16;
    let head = [from.1.to_be_bytes(), to.1.to_be_bytes(), len.to_be_bytes(), [0; 2]].concat();
    summed(ipproto::UDP, from, to, [&head, data].concat(), 6)
}

/// The ends of a control block: the guest's and the other one.
fn ends(kernel: &Kernel, id: InpcbId) -> (Address, Address) {
    let inp = kernel.inet.inp(id);
    let local =
        if inp.laddr == INADDR_ANY { kernel.inet.outside.unwrap_or(Ipv4Addr::LOCALHOST) } else { inp.laddr };
    ((local, inp.lport), (inp.faddr, inp.fport))
}

fn segment(kernel: &mut Kernel, id: InpcbId, way: Way, flags: u8, data: &[u8]) {
    let (own, peer) = ends(kernel, id);
    let Some(bridge) = kernel.inet.bridge_mut(id) else { return };
    let flow = &mut bridge.flow;
    let (from, to, seq, ack) = match way {
        Way::Out => (own, peer, &mut flow.out, flow.back),
        Way::In => (peer, own, &mut flow.back, flow.out),
    };
    let ack = if flags & th::ACK != 0 { ack } else { 0 };
    let head = header(from.1, to.1, *seq, ack, (TCP_HEADER / 4) as u8, flags, WINDOW, 0);
    *seq = seq.wrapping_add(data.len() as u32 + u32::from(flags & (th::SYN | th::FIN) != 0));
    let rest = summed(ipproto::TCP, from, to, [&head, data].concat(), 16);
    packet(kernel, ipproto::TCP, from, to, &rest);
}

fn other(way: Way) -> Way {
    if way == Way::Out { Way::In } else { Way::Out }
}

/// A connection is there; `way` says who asked for it.
pub(super) fn opened(kernel: &mut Kernel, id: InpcbId, way: Way) {
    if !is_recorded(kernel) {
        return;
    }
    label(kernel);
    if let Some(bridge) = kernel.inet.bridge_mut(id) {
        bridge.flow = Flow { out: FIRST, back: FIRST };
    }
    segment(kernel, id, way, th::SYN, &[]);
    segment(kernel, id, other(way), th::SYN | th::ACK, &[]);
    segment(kernel, id, way, th::ACK, &[]);
}

/// Bytes of a connection have gone one way.
pub(super) fn moved(kernel: &mut Kernel, id: InpcbId, way: Way, data: &[u8]) {
    if !is_recorded(kernel) {
        return;
    }
    for piece in data.chunks(LARGEST) {
        segment(kernel, id, way, th::ACK | th::PUSH, piece);
    }
    segment(kernel, id, other(way), th::ACK, &[]);
}

/// One side has said its last.
pub(super) fn ended(kernel: &mut Kernel, id: InpcbId, way: Way) {
    if is_recorded(kernel) {
        segment(kernel, id, way, th::ACK | th::FIN, &[]);
        segment(kernel, id, other(way), th::ACK, &[]);
    }
}

/// A datagram has gone between a control block and somebody else.
pub(super) fn datagram(kernel: &mut Kernel, id: InpcbId, way: Way, peer: Address, data: &[u8]) {
    // One that is larger than a packet would have come in pieces.
    if !is_recorded(kernel) || data.len() > usize::from(u16::MAX) - IP_HEADER - 8 {
        return;
    }
    label(kernel);
    let (own, _) = ends(kernel, id);
    let (from, to) = if way == Way::Out { (own, peer) } else { (peer, own) };
    packet(kernel, ipproto::UDP, from, to, &udp(from, to, data));
}

/// A message of ICMP has gone; its sum is made anew.
pub(super) fn message(kernel: &mut Kernel, id: InpcbId, way: Way, peer: Ipv4Addr, data: &[u8]) {
    if !is_recorded(kernel) || data.len() < 8 {
        return;
    }
    label(kernel);
    let own = (if peer.is_loopback() { peer } else { ends(kernel, id).0.0 }, 0);
    let mut data = data.to_vec();
    data[2..4].copy_from_slice(&[0; 2]);
    let sum = in_cksum(Sum::default(), &Chain::of_packet(&data), 0, data.len());
    data[2..4].copy_from_slice(&sum);
    let (from, to) = if way == Way::Out { (own, (peer, 0)) } else { ((peer, 0), own) };
    packet(kernel, ipproto::ICMP, from, to, &data);
}
