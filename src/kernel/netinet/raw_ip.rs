//! Raw IP: sockets that send and receive whole packets.
//!
//! 2.1 counterpart: netinet/raw_ip.c, netinet/ip_mroute.c (rsvp_input, ipip_input and the other functions of
//! a kernel without a multicast router).

use std::net::Ipv4Addr;

use syscalls::errno::Errno;
use syscalls::flags::IpOpt;

use super::in_pcb::{self, InpFlags, List, sotoinpcb};
use super::ip::{Ip, MAXTTL};
use super::ip_ctloutput::{ip_ctloutput, option_word};
use super::ip_output::{self, Flags};
use super::statistics::ips;
use super::{INADDR_ANY, InpcbId, SockaddrIn, bridge, in_control, ipproto, sin_addr};
use crate::kernel::socket::chain::Chain;
use crate::kernel::socket::protosw::{ControlOption, Message, UserRequest};
use crate::kernel::socket::socket::{SockState, SocketOptions};
use crate::kernel::socket::state::{socantsendmore, soisconnected, soisdisconnected, soreserve, sorwakeup};
use crate::kernel::socket::{SocketId, events};
use crate::kernel::{Context, Kernel};

/// Room of a raw socket in each direction (RIPSNDQ, RIPRCVQ).
const RIP_SPACE: u32 = 8192;
/// Options of the firewall, which is not there: which are wrong then.
const IP_FW: std::ops::RangeInclusive<u32> = 50..=54;
/// Options of RSVP: on, off, and for one interface of a multicast router.
const RSVP_ON: u32 = 15;
const RSVP_OFF: u32 = 16;
const RSVP_VIF: std::ops::RangeInclusive<u32> = 17..=18;
/// Options of the multicast router, which is not there.
const MRT: std::ops::RangeInclusive<u32> = 100..=107;

/// Receives a packet: every raw socket that wants it gets it (`rip_input`).
pub(super) fn rip_input(kernel: &mut Kernel, m: Chain, _hlen: usize) {
    let Some(ip) = Ip::of(&m) else { return };
    // Of RSVP only the one who asked for it hears.
    if i32::from(ip.p) == ipproto::RSVP && kernel.inet.rsvpd.is_none() {
        return;
    }
    let name = SockaddrIn::new(ip.src, 0).bytes();
    let wants = |id: &InpcbId| {
        let inp = kernel.inet.inp(*id);
        (inp.protocol == 0 || inp.protocol == ip.p)
            && (inp.laddr == INADDR_ANY || inp.laddr == ip.dst)
            && (inp.faddr == INADDR_ANY || inp.faddr == ip.src)
    };
    let listeners: Vec<SocketId> =
        kernel.inet.list(List::Raw).into_iter().filter(wants).map(|id| kernel.inet.inp(id).socket).collect();
    let Some((last, others)) = listeners.split_last() else {
        let stat = &mut kernel.inet.stat.ip;
        stat.bump(ips::NOPROTO);
        stat.add(ips::DELIVERED, u32::MAX);
        return;
    };
    for &so in others {
        let copy = m.copy_all();
        deliver(kernel, so, &name, copy);
    }
    deliver(kernel, *last, &name, m);
}

/// What does not fit is lost.
fn deliver(kernel: &mut Kernel, so: SocketId, name: &[u8], m: Chain) {
    let fits = kernel.sockets[so].rcv.append_addr(name, Some(m), None);
    events::note_with(kernel, so, "sbappendaddr", || if fits { "" } else { "no room" });
    if fits {
        sorwakeup(kernel, so);
    }
}

/// Sends what a socket has to say to where the message or the connection says (PRU_SEND, `rip_output`).
pub(super) fn output(cx: &mut Context<'_>, so: SocketId, message: Message<'_>) -> Result<(), Errno> {
    let id = sotoinpcb(cx.kernel, so)?;
    let connected = cx.kernel.sockets[so].state.contains(SockState::ISCONNECTED);
    let dst = match message.nam {
        Some(_) if connected => return Err(Errno::EISCONN),
        Some(nam) => sin_addr(nam.bytes()),
        None if !connected => return Err(Errno::ENOTCONN),
        None => cx.kernel.inet.inp(id).faddr,
    };
    rip_output(cx.kernel, so, id, message.m, dst)
}

fn rip_output(
    kernel: &mut Kernel,
    so: SocketId,
    id: InpcbId,
    mut m: Chain,
    dst: Ipv4Addr,
) -> Result<(), Errno> {
    let inp = kernel.inet.inp(id);
    let mut flags = Flags::ALLOWBROADCAST;
    if kernel.sockets[so].options.contains(SocketOptions::DONTROUTE) {
        flags.insert(Flags::ROUTETOIF);
    }
    if inp.flags.contains(InpFlags::HDRINCL) {
        let mut ip = Ip::of(&m).ok_or(Errno::EINVAL)?;
        let own_options = ip.hlen() != super::ip::IP_HEADER && !inp.options.is_empty();
        if own_options || i64::from(ip.len as i16) > m.bytes() as i64 {
            return Err(Errno::EINVAL);
        }
        if ip.id == 0 {
            ip.id = kernel.inet.ip_id.swap_bytes();
            kernel.inet.ip_id = kernel.inet.ip_id.wrapping_add(1);
            ip.store(&mut m);
        }
        flags.insert(Flags::RAWOUTPUT);
        kernel.inet.stat.ip.bump(ips::RAWOUT);
    } else {
        m.prepend(super::ip::IP_HEADER);
        let len = m.bytes();
        let mut ip = Ip::new(inp.protocol, inp.laddr, dst, len);
        ip.ttl = MAXTTL;
        ip.store(&mut m);
    }
    ip_output::send(kernel, id, m, flags, true)
}

/// Gets and sets options: whether the user supplies headers, and those of IP (`rip_ctloutput`).
pub(super) fn rip_ctloutput(
    kernel: &mut Kernel,
    so: SocketId,
    level: u32,
    name: u32,
    option: ControlOption<'_>,
) -> Result<(), Errno> {
    if level != ipproto::IP {
        return Err(Errno::EINVAL);
    }
    if MRT.contains(&name) {
        return Err(Errno::EOPNOTSUPP);
    }
    if IP_FW.contains(&name) || RSVP_VIF.contains(&name) {
        return Err(Errno::EINVAL);
    }
    match name {
        RSVP_ON => rsvp_init(kernel, so),
        RSVP_OFF => {
            kernel.inet.rsvpd = None;
            Ok(())
        }
        _ if IpOpt::from_raw(name) == IpOpt::Hdrincl => {
            let inp = sotoinpcb(kernel, so)?;
            let flags = &mut kernel.inet.inp_mut(inp).flags;
            match option {
                ControlOption::Set(value) => flags.set(InpFlags::HDRINCL, option_word(value)? != 0),
                ControlOption::Get(m) => {
                    m.assign(&u32::from((*flags & InpFlags::HDRINCL).bits()).to_le_bytes());
                }
            }
            Ok(())
        }
        _ => ip_ctloutput(kernel, so, level, name, option),
    }
}

/// Makes a socket the one that hears of RSVP (`ip_rsvp_init`).
fn rsvp_init(kernel: &mut Kernel, so: SocketId) -> Result<(), Errno> {
    if kernel.sockets[so].proto.protocol != ipproto::RSVP {
        return Err(Errno::EOPNOTSUPP);
    }
    if kernel.inet.rsvpd.is_some() {
        return Err(Errno::EADDRINUSE);
    }
    kernel.inet.rsvpd = Some(so);
    Ok(())
}

/// Serves the requests of the socket layer (`rip_usrreq`).
pub(super) fn rip_usrreq(cx: &mut Context<'_>, so: SocketId, request: UserRequest<'_>) -> Result<(), Errno> {
    match request {
        UserRequest::Control { cmd, data } => return in_control::in_control(cx, so, cmd, data),
        UserRequest::Attach { protocol } => return attach(cx.kernel, so, protocol),
        _ => {}
    }
    let id = sotoinpcb(cx.kernel, so)?;
    match request {
        UserRequest::Disconnect if !cx.kernel.sockets[so].state.contains(SockState::ISCONNECTED) => {
            return Err(Errno::ENOTCONN);
        }
        // The original takes the socket apart here; it can only be closed afterwards.
        UserRequest::Disconnect | UserRequest::Abort => {
            soisdisconnected(cx.kernel, so);
            detach(cx.kernel, so, id);
        }
        UserRequest::Detach => detach(cx.kernel, so, id),
        UserRequest::Bind { nam } => {
            let sin = SockaddrIn::from_mbuf(nam)?;
            // Unlike other sockets' a port is compared, too.
            let known = sin.addr == INADDR_ANY || cx.kernel.net.ifa_ifwithaddr(nam.bytes()).is_some();
            if cx.kernel.net.ifnets.is_empty() || !sin.is_inet_or_implink() || !known {
                return Err(Errno::EADDRNOTAVAIL);
            }
            cx.kernel.inet.inp_mut(id).laddr = sin.addr;
        }
        UserRequest::Connect { nam } => {
            let sin = SockaddrIn::from_mbuf(nam)?;
            if cx.kernel.net.ifnets.is_empty() {
                return Err(Errno::EADDRNOTAVAIL);
            }
            if !sin.is_inet_or_implink() {
                return Err(Errno::EAFNOSUPPORT);
            }
            cx.kernel.inet.inp_mut(id).faddr = sin.addr;
            soisconnected(cx.kernel, so);
        }
        UserRequest::Shutdown => socantsendmore(cx.kernel, so),
        UserRequest::Send(message) if cx.kernel.inet.is_bridged() => {
            return bridge::icmp::send(cx.kernel, id, message);
        }
        UserRequest::Send(message) => {
            let output = cx.kernel.sockets[so].proto.output.ok_or(Errno::EOPNOTSUPP)?;
            return events::within(cx, so, "rip_output", |cx| output(cx, so, message));
        }
        UserRequest::Sockaddr { nam } => in_pcb::set_sockaddr(cx.kernel, id, nam),
        UserRequest::Peeraddr { nam } => in_pcb::set_peeraddr(cx.kernel, id, nam),
        // Does not bother with a block size.
        UserRequest::Sense(_) => {}
        _ => return Err(Errno::EOPNOTSUPP),
    }
    Ok(())
}

fn attach(kernel: &mut Kernel, so: SocketId, protocol: i32) -> Result<(), Errno> {
    if !kernel.sockets[so].state.contains(SockState::PRIV) {
        return Err(Errno::EACCES);
    }
    let bridged = kernel.inet.is_bridged();
    if bridged && protocol != ipproto::ICMP && protocol != ipproto::RAW {
        return Err(Errno::EPERM);
    }
    soreserve(&mut kernel.sockets[so], RIP_SPACE, RIP_SPACE)?;
    events::note_reserved(kernel, so);
    let id = in_pcb::alloc(kernel, so, List::Raw);
    kernel.inet.inp_mut(id).protocol = protocol as u8;
    if bridged && let Err(error) = bridge::icmp::attach(kernel, id) {
        in_pcb::detach(kernel, id);
        return Err(error);
    }
    Ok(())
}

fn detach(kernel: &mut Kernel, so: SocketId, id: InpcbId) {
    if kernel.inet.rsvpd == Some(so) {
        kernel.inet.rsvpd = None;
    }
    in_pcb::detach(kernel, id);
}
