//! The raw interface to IP: packets of any protocol, and what answers an echo request.
//!
//! This file does not know other protocols' sockets.
//!
//! 2.1 counterpart: netinet/raw_ip.c, netinet/ip_icmp.c (echo).

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use syscalls::errno::Errno;
use syscalls::flags::IpOpt;

use super::super::chain::Chain;
use super::super::events;
use super::super::protosw::{ControlOption, Message, UserRequest};
use super::super::socket::{SockState, SocketId, SocketOptions};
use super::super::state::{socantsendmore, soisconnected, soisdisconnected, soreserve, sorwakeup};
use super::ip::{self, option_word};
use super::ip_input::{self, IP_HEADER, Packet, checksum};
use super::options::FIRST_HOP;
use super::pcb::{self, InpFlags, List, sotoinpcb};
use super::{INADDR_ANY, IPPROTO_IP, SockaddrIn, interface};
use crate::kernel::{Context, Kernel};

/// Room in each direction (RIPSNDQ, RIPRCVQ).
const SPACE: u32 = 8192;
/// Time to live of packets.
const MAXTTL: u8 = 255;
/// Options of the multicast router (MRT_INIT to MRT_ASSERT).
const MULTICAST_ROUTER: RangeInclusive<u32> = 100..=107;
/// Types of control messages of IP.
const ICMP_ECHOREPLY: u8 = 0;
const ICMP_ECHO: u8 = 8;

/// Serves the requests of the socket layer (`rip_usrreq`).
pub(super) fn usrreq(cx: &mut Context<'_>, so: SocketId, request: UserRequest<'_>) -> Result<(), Errno> {
    if let UserRequest::Control { cmd, data } = request {
        return interface::control(cx, so, cmd, data);
    }
    if let UserRequest::Attach { protocol } = request {
        if !cx.kernel.sockets[so].state.contains(SockState::PRIV) {
            return Err(Errno::EACCES);
        }
        if cx.kernel.sockets.inet.is_bridged() {
            // An ordinary user of the host cannot have them.
            cx.kernel.unserved(cx.id, "socket", "raw sockets need --net loopback");
            return Err(Errno::EPERM);
        }
        soreserve(&mut cx.kernel.sockets[so], SPACE, SPACE)?;
        events::note_reserved(cx.kernel, so);
        let inp = pcb::alloc(cx.kernel, so, List::Raw);
        cx.kernel.sockets.inet.inp_mut(inp).protocol = protocol as u8;
        return Ok(());
    }
    let inp = sotoinpcb(cx.kernel, so)?;
    match request {
        UserRequest::Disconnect if !cx.kernel.sockets[so].state.contains(SockState::ISCONNECTED) => {
            return Err(Errno::ENOTCONN);
        }
        // The original takes the socket apart here; it can only be closed afterwards.
        UserRequest::Disconnect | UserRequest::Abort => {
            soisdisconnected(cx.kernel, so);
            pcb::detach(cx.kernel, inp);
        }
        UserRequest::Detach => pcb::detach(cx.kernel, inp),
        UserRequest::Bind { nam } => {
            let sin = SockaddrIn::from_mbuf(nam)?;
            let inet = &mut cx.kernel.sockets.inet;
            // Unlike other sockets' a port is compared, too.
            let known = sin.addr == INADDR_ANY || inet.is_interface(sin);
            if inet.lo0.is_none() || !sin.is_inet_or_implink() || !known {
                return Err(Errno::EADDRNOTAVAIL);
            }
            inet.inp_mut(inp).laddr = sin.addr;
        }
        UserRequest::Connect { nam } => {
            let sin = SockaddrIn::from_mbuf(nam)?;
            if cx.kernel.sockets.inet.lo0.is_none() {
                return Err(Errno::EADDRNOTAVAIL);
            }
            if !sin.is_inet_or_implink() {
                return Err(Errno::EAFNOSUPPORT);
            }
            cx.kernel.sockets.inet.inp_mut(inp).faddr = sin.addr;
            soisconnected(cx.kernel, so);
        }
        UserRequest::Shutdown => socantsendmore(cx.kernel, so),
        UserRequest::Send(message) => {
            let output = cx.kernel.sockets[so].proto.output.ok_or(Errno::EOPNOTSUPP)?;
            return events::within(cx, so, "rip_output", |cx| output(cx, so, message));
        }
        UserRequest::Sockaddr { nam } => pcb::set_sockaddr(cx.kernel, inp, nam),
        UserRequest::Peeraddr { nam } => pcb::set_peeraddr(cx.kernel, inp, nam),
        // Does not bother with a block size.
        UserRequest::Sense(_) => {}
        _ => return Err(Errno::EOPNOTSUPP),
    }
    Ok(())
}

/// Gets and sets options: whether the user supplies headers, and those of IP (`rip_ctloutput`).
pub(super) fn ctloutput(
    kernel: &mut Kernel,
    so: SocketId,
    level: u32,
    name: u32,
    option: ControlOption<'_>,
) -> Result<(), Errno> {
    if level == IPPROTO_IP && MULTICAST_ROUTER.contains(&name) {
        // GENERIC has no multicast router (ip_mroute.c, _ip_mrouter_set).
        return Err(Errno::EOPNOTSUPP);
    }
    if level != IPPROTO_IP || IpOpt::from_raw(name) != IpOpt::Hdrincl {
        return ip::ctloutput(kernel, so, level, name, option);
    }
    let inp = sotoinpcb(kernel, so)?;
    let flags = &mut kernel.sockets.inet.inp_mut(inp).flags;
    match option {
        ControlOption::Set(value) => flags.set(InpFlags::HDRINCL, option_word(value)? != 0),
        ControlOption::Get(m) => m.assign(&u32::from((*flags & InpFlags::HDRINCL).bits()).to_le_bytes()),
    }
    Ok(())
}

/// Sends a packet: the user's own, or one with a header made here (`rip_output`).
pub(super) fn output(cx: &mut Context<'_>, so: SocketId, message: Message<'_>) -> Result<(), Errno> {
    let inp = cx.kernel.sockets.inet.inp(sotoinpcb(cx.kernel, so)?);
    let connected = cx.kernel.sockets[so].state.contains(SockState::ISCONNECTED);
    let mut dst = match message.nam {
        Some(_) if connected => return Err(Errno::EISCONN),
        Some(nam) => match nam.bytes() {
            [_, _, _, _, a, b, c, d, ..] => Ipv4Addr::new(*a, *b, *c, *d),
            _ => INADDR_ANY,
        },
        None if !connected => return Err(Errno::ENOTCONN),
        None => inp.faddr,
    };
    let data: Vec<u8> = message.m.iter().flat_map(|m| m.bytes().iter().copied()).collect();
    let (length, packet) = if inp.flags.contains(InpFlags::HDRINCL) {
        let Some(&[_, _, len0, len1, _, _, _, _, _, _, _, _, _, _, _, _, a, b, c, d]) =
            data.first_chunk::<IP_HEADER>()
        else {
            return Err(Errno::EINVAL);
        };
        // In the host's order, unlike on the wire.
        let own_options = data.first().is_some_and(|first| first & 0x0f != 5);
        let too_long = i64::from(i16::from_le_bytes([len0, len1])) > data.len() as i64;
        if too_long || (own_options && !inp.options.is_empty()) {
            return Err(Errno::EINVAL);
        }
        dst = Ipv4Addr::new(a, b, c, d);
        (i16::from_le_bytes([len0, len1]), data)
    } else {
        let options = inp.options.get(FIRST_HOP..).unwrap_or_default();
        let mut packet = header(inp.laddr, dst, inp.protocol, data.len()).to_vec();
        packet[0] += (options.len() / 4) as u8;
        packet.extend(options);
        packet.extend(data);
        (packet.len() as i16, packet)
    };
    let dontroute = cx.kernel.sockets[so].options.contains(SocketOptions::DONTROUTE);
    cx.kernel.sockets.inet.route(dst, dontroute)?;
    cx.kernel.sockets.inet.has_room(length)?;
    if cx.kernel.sockets.inet.is_own(dst) {
        ip_input::input(cx.kernel, Packet::Raw(packet));
    }
    Ok(())
}

/// A header as receivers see it: the length is that of the data, in the host's order.
fn header(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, len: usize) -> [u8; IP_HEADER] {
    let src = if src == INADDR_ANY { dst } else { src };
    let mut ip = [0; IP_HEADER];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&(len as u16).to_le_bytes());
    ip[8] = MAXTTL;
    ip[9] = protocol;
    ip[12..16].copy_from_slice(&src.octets());
    ip[16..20].copy_from_slice(&dst.octets());
    ip
}

/// Receives a packet of ICMP: the answer to an echo request goes to raw sockets, anything else as it is
/// (`icmp_input`).
pub(super) fn icmp_input(kernel: &mut Kernel, packet: Packet) {
    let Packet::Raw(mut packet) = packet else { return };
    let Some(ip) = packet.first_chunk::<IP_HEADER>().copied() else { return };
    let header_len = usize::from(ip[0] & 0x0f) * 4;
    if let Some(icmp) = packet.get_mut(header_len..)
        && let [kind @ ICMP_ECHO, ..] = icmp
    {
        *kind = ICMP_ECHOREPLY;
        // A message that is too short for a sum keeps what it has.
        if let Some((first, rest)) = icmp.split_first_chunk_mut::<2>()
            && let Some((field, rest)) = rest.split_first_chunk_mut::<2>()
        {
            *field = checksum(&[first, rest]).to_be_bytes();
        }
        let (src, dst) = (ip[12..16].to_vec(), ip[16..20].to_vec());
        packet[12..16].copy_from_slice(&dst);
        packet[16..20].copy_from_slice(&src);
    }
    input(kernel, Packet::Raw(packet));
}

/// Receives a packet: every raw socket that wants it gets it (`rip_input`).
pub(super) fn input(kernel: &mut Kernel, packet: Packet) {
    let Packet::Raw(packet) = packet else { return };
    let Some(ip) = packet.first_chunk::<IP_HEADER>() else { return };
    let protocol = ip[9];
    let src = Ipv4Addr::new(ip[12], ip[13], ip[14], ip[15]);
    let dst = Ipv4Addr::new(ip[16], ip[17], ip[18], ip[19]);
    for id in kernel.sockets.inet.list(List::Raw) {
        let inp = kernel.sockets.inet.inp(id);
        if (inp.protocol != 0 && inp.protocol != protocol)
            || (inp.laddr != INADDR_ANY && inp.laddr != dst)
            || (inp.faddr != INADDR_ANY && inp.faddr != src)
        {
            continue;
        }
        let so = inp.socket;
        let name = SockaddrIn::new(src, 0).bytes();
        // What does not fit is lost.
        let fits = kernel.sockets[so].rcv.append_addr(&name, Some(Chain::of_packet(&packet)), None);
        events::note_with(kernel, so, "sbappendaddr", || if fits { "" } else { "no room" });
        if fits {
            sorwakeup(kernel, so);
        }
    }
}
