//! Datagrams over IP: receiving, and hearing of errors.
//!
//! 2.1 counterpart: netinet/udp_usrreq.c (udp_input, udp_ctlinput).

use syscalls::errno::Errno;

use super::in_cksum::{in_cksum, pseudo};
use super::in_control::in_broadcast;
use super::in_pcb::{self, InpFlags, InpcbId, List};
use super::ip::{IP_HEADER, Ip, store};
use super::ip_icmp::{ICMP_UNREACH, UNREACH_PORT, icmp_error};
use super::ip_input::ip_stripoptions;
use super::statistics::udps;
use super::udp_usrreq::UDP_HEADER;
use super::{INADDR_ANY, SockaddrIn, ipproto};
use crate::kernel::Kernel;
use crate::kernel::socket::chain::Chain;
use crate::kernel::socket::mbuf::{Mbuf, MbufFlags, MbufType};
use crate::kernel::socket::protosw::CtlInput;
use crate::kernel::socket::state::{sorwakeup, sowwakeup};
use crate::kernel::socket::{SocketId, events};

/// Type of the control message with the destination address (IP_RECVDSTADDR).
const IP_RECVDSTADDR: u32 = 7;

/// Receives a datagram (`udp_input`).
pub(super) fn udp_input(kernel: &mut Kernel, m: Chain, hlen: usize) {
    events::begin(kernel, None, "udp_input");
    input(kernel, m, hlen);
    events::end(kernel, None, "udp_input", Ok(()));
}

fn input(kernel: &mut Kernel, mut m: Chain, hlen: usize) {
    kernel.inet.stat.udp.bump(udps::IPACKETS);
    if hlen > IP_HEADER {
        ip_stripoptions(&mut m);
    }
    if m.front().is_some_and(|first| first.len() < IP_HEADER + UDP_HEADER) {
        match m.pullup(IP_HEADER + UDP_HEADER) {
            Some(pulled) => m = pulled,
            None => return kernel.inet.stat.udp.bump(udps::HDROPS),
        }
    }
    let Some(ip) = Ip::of(&m) else { return };
    let mut header = [0; UDP_HEADER];
    m.copy_data(IP_HEADER, &mut header);
    let [s1, s0, d1, d0, l1, l0, c1, c0] = header;
    let (from, to) = (u16::from_be_bytes([s1, s0]), u16::from_be_bytes([d1, d0]));
    let len = u16::from_be_bytes([l1, l0]);
    if ip.len != len {
        if i32::from(len) > i32::from(ip.len as i16) || usize::from(len) < UDP_HEADER {
            return kernel.inet.stat.udp.bump(udps::BADLEN);
        }
        m.adj(i32::from(len) - i32::from(ip.len));
    }
    if [c1, c0] != [0; 2] {
        let sum = pseudo(ip.src.octets(), ip.dst.octets(), ipproto::UDP as u8, len);
        let sum = in_cksum(sum, &m, IP_HEADER, usize::from(len));
        // What is told of the packet has the result in its place.
        store(&mut m, IP_HEADER + 6, &sum);
        if sum != [0; 2] {
            return kernel.inet.stat.udp.bump(udps::BADSUM);
        }
    }
    let rcvif = m.front().map_or(0, |first| first.rcvif);
    if ip.dst.is_multicast() || in_broadcast(kernel, ip.dst, rcvif) {
        return to_all(kernel, m, &ip, from, to);
    }
    let exact = kernel.inet.lookup_exact(List::Udp, (ip.src, from), (ip.dst, to));
    if exact.is_none() {
        kernel.inet.stat.udp.bump(udps::PCBHASHMISS);
    }
    let found = exact.or_else(|| kernel.inet.lookup(List::Udp, (ip.src, from), (ip.dst, to), true));
    let Some(id) = found else {
        kernel.inet.stat.udp.bump(udps::NOPORT);
        if m.front().is_some_and(|first| first.flags.intersects(MbufFlags::BCAST | MbufFlags::MCAST)) {
            return kernel.inet.stat.udp.bump(udps::NOPORTBCAST);
        }
        return icmp_error(kernel, m, ICMP_UNREACH, UNREACH_PORT, INADDR_ANY, None);
    };
    let inp = kernel.inet.inp(id);
    let so = inp.socket;
    let control = inp.flags.contains(InpFlags::RECVDSTADDR).then(|| {
        let mut control = 16u32.to_le_bytes().to_vec();
        control.extend(ipproto::IP.to_le_bytes());
        control.extend(IP_RECVDSTADDR.to_le_bytes());
        control.extend(ip.dst.octets());
        Chain::from(Mbuf::holding(MbufType::Control, &control))
    });
    trim(&mut m);
    deliver(kernel, so, &SockaddrIn::new(ip.src, from), m, control, 0);
}

/// Takes the headers off the first mbuf, which may stay empty.
fn trim(m: &mut Chain) {
    if let Some(first) = m.front_mut() {
        first.trim_front(IP_HEADER + UDP_HEADER);
    }
}

/// Gives a socket a datagram, for which it needs room, and for so many bytes of headers.
fn deliver(
    kernel: &mut Kernel,
    so: SocketId,
    name: &SockaddrIn,
    m: Chain,
    control: Option<Chain>,
    headers: usize,
) {
    let rcv = &mut kernel.sockets[so].rcv;
    let needed = name.bytes().len() + m.bytes() + headers;
    let fits = needed as i64 <= i64::from(rcv.space()) && rcv.append_addr(&name.bytes(), Some(m), control);
    events::note_with(kernel, so, "sbappendaddr", || if fits { "" } else { "no room" });
    if fits {
        sorwakeup(kernel, so);
    } else {
        kernel.inet.stat.udp.bump(udps::FULLSOCK);
    }
}

/// Gives a datagram to every socket that it is for.
fn to_all(kernel: &mut Kernel, mut m: Chain, ip: &Ip, from: u16, to: u16) {
    let name = SockaddrIn::new(ip.src, from);
    trim(&mut m);
    let wants = |id: &InpcbId| {
        let inp = kernel.inet.inp(*id);
        inp.lport == to
            && (inp.laddr == INADDR_ANY || inp.laddr == ip.dst)
            && (inp.faddr == INADDR_ANY || (inp.faddr, inp.fport) == (ip.src, from))
    };
    let all = kernel.inet.list(List::Udp).into_iter().filter(wants);
    let sockets: Vec<SocketId> = all.map(|id| kernel.inet.inp(id).socket).collect();
    let Some((last, others)) = sockets.split_last() else {
        return kernel.inet.stat.udp.bump(udps::NOPORTBCAST);
    };
    // The headers are cut off, but the length of the packet is not told.
    const HEADERS: usize = IP_HEADER + UDP_HEADER;
    for &so in others {
        let copy = m.copy_all();
        deliver(kernel, so, &name, copy, None, HEADERS);
    }
    deliver(kernel, *last, &name, m, None, HEADERS);
}

/// Hears what became of a datagram, or of an address (`udp_ctlinput`).
pub(super) fn udp_ctlinput(kernel: &mut Kernel, cmd: CtlInput, sa: &[u8], quoted: Option<&[u8]>) {
    if !cmd.is_redirect() && cmd.error().is_none() {
        return;
    }
    let (fport, local) = ends(quoted);
    in_pcb::notify(kernel, List::Udp, sa, fport, local, cmd, udp_notify);
}

/// The peer's port and the own end in a quoted packet; nothing without one.
pub(super) fn ends(quoted: Option<&[u8]>) -> (u16, in_pcb::End) {
    let Some((ip, quoted)) = quoted.and_then(|quoted| Some((Ip::from_host(quoted)?, quoted))) else {
        return (0, (INADDR_ANY, 0));
    };
    let port = |at: usize| match quoted.get(ip.hlen() + at..) {
        Some(&[p1, p0, ..]) => u16::from_be_bytes([p1, p0]),
        _ => 0,
    };
    (port(2), (ip.src, port(0)))
}

/// Tells a socket of an error (`udp_notify`).
fn udp_notify(kernel: &mut Kernel, id: InpcbId, error: Option<Errno>) {
    let so = kernel.inet.inp(id).socket;
    kernel.sockets[so].error = error;
    sorwakeup(kernel, so);
    sowwakeup(kernel, so);
}
