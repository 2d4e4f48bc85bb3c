//! What is common to the protocols over IP: whether a packet has a way, and the options of that level.
//!
//! This file does not know sockets' states.
//!
//! 2.1 counterpart: netinet/ip_output.c (ip_output, ip_ctloutput).

use std::net::Ipv4Addr;

use syscalls::errno::Errno;
use syscalls::flags::IpOpt;

use super::super::mbuf::Mbuf;
use super::super::protosw::ControlOption;
use super::super::socket::SocketId;
use super::pcb::{InpFlags, Inpcb, InpcbId, sotoinpcb};
use super::{IPPROTO_IP, Inet, SockaddrIn, bridge, options};
use crate::kernel::Kernel;

/// Packets that the queue of an interface holds.
const IFQ_MAXLEN: u32 = 50;

impl Inet {
    /// Whether an address is one of this machine's.
    pub(super) fn is_own(&self, addr: Ipv4Addr) -> bool {
        self.lo0.as_ref().is_some_and(|lo0| lo0.addr == addr)
    }

    /// Whether the interface has room for as many packets as one of `len` bytes would be cut into.  As the
    /// header has it, the length is a signed number of 16 bits: of more than 32767 bytes it never has.
    pub(super) fn has_room(&self, len: i16) -> Result<(), Errno> {
        let mtu = self.lo0.as_ref().map_or(1, |lo0| lo0.mtu.max(1));
        if i32::from(len) as u32 / mtu + 1 < IFQ_MAXLEN { Ok(()) } else { Err(Errno::ENOBUFS) }
    }

    /// Whether an address is byte for byte that of the interface (`ifa_ifwithaddr`): so its family, its
    /// port and what follows must be right, too.
    pub(super) fn is_interface(&self, sin: SockaddrIn) -> bool {
        self.lo0.as_ref().is_some_and(|lo0| SockaddrIn::new(lo0.addr, 0) == sin)
    }

    /// The machine's address, where it has one.
    pub(super) fn own_address(&self) -> Option<Ipv4Addr> {
        self.lo0.as_ref().map(|lo0| lo0.addr)
    }

    /// Whether a packet can be sent.  The routes are those of the loopback interface to itself; with
    /// `dontroute` its whole network is on the wire.
    pub(super) fn route(&self, dst: Ipv4Addr, dontroute: bool) -> Result<(), Errno> {
        let lo0 = self.lo0.as_ref().filter(|lo0| lo0.is_up());
        if dontroute {
            return match lo0 {
                Some(lo0) if lo0.on_net(dst) => Ok(()),
                _ => Err(Errno::ENETUNREACH),
            };
        }
        match lo0 {
            Some(_) if self.routes.reaches(dst) => Ok(()),
            _ => Err(Errno::EHOSTUNREACH),
        }
    }
}

/// Gets and sets options of the IP level.
pub(super) fn ctloutput(
    kernel: &mut Kernel,
    so: SocketId,
    level: u32,
    name: u32,
    option: ControlOption<'_>,
) -> Result<(), Errno> {
    let id = sotoinpcb(kernel, so)?;
    let done = if level == IPPROTO_IP { control(kernel, id, name, option) } else { Err(Errno::EINVAL) };
    // The socket layer's own options come by here, too.
    bridge::set_options(kernel, id);
    done
}

fn control(kernel: &mut Kernel, id: InpcbId, name: u32, option: ControlOption<'_>) -> Result<(), Errno> {
    if options::is_multicast(name) {
        return multicast(&mut kernel.sockets.inet, id, name, option);
    }
    let inp = kernel.sockets.inet.inp_mut(id);
    match (IpOpt::from_raw(name), option) {
        (IpOpt::Options, ControlOption::Set(value)) => {
            // Old ones are gone whatever the new ones are like.
            inp.options.clear();
            if let Some(value) = value.filter(|m| !m.is_empty()) {
                inp.options = options::packet_options(value.bytes())?;
            }
            Ok(())
        }
        (IpOpt::Options | IpOpt::Retopts, ControlOption::Get(m)) => {
            m.assign(&inp.options);
            Ok(())
        }
        (_, option) => number(inp, name, option),
    }
}

/// Options of multicasts; where all are as they are at first, none are kept.
fn multicast(inet: &mut Inet, id: InpcbId, name: u32, option: ControlOption<'_>) -> Result<(), Errno> {
    let mut wanted = inet.inp(id).moptions.as_deref().cloned().unwrap_or_default();
    match option {
        ControlOption::Get(m) => m.assign(&options::get(inet, &wanted, name)?),
        ControlOption::Set(value) => {
            options::set(inet, &mut wanted, name, value)?;
            let kept = (wanted != options::Moptions::default()).then(|| Box::new(wanted));
            inet.inp_mut(id).moptions = kept;
        }
    }
    Ok(())
}

/// Options that are a number, or on and off.
fn number(inp: &mut Inpcb, name: u32, option: ControlOption<'_>) -> Result<(), Errno> {
    let flag = match IpOpt::from_raw(name) {
        IpOpt::Recvopts => Some(InpFlags::RECVOPTS),
        IpOpt::Recvretopts => Some(InpFlags::RECVRETOPTS),
        IpOpt::Recvdstaddr => Some(InpFlags::RECVDSTADDR),
        IpOpt::Tos | IpOpt::Ttl => None,
        _ => return Err(Errno::ENOPROTOOPT),
    };
    match option {
        ControlOption::Set(value) => {
            let exact = value.and_then(|m| <[u8; 4]>::try_from(m.bytes()).ok()).ok_or(Errno::EINVAL)?;
            let value = i32::from_le_bytes(exact);
            match (flag, IpOpt::from_raw(name)) {
                (Some(flag), _) => inp.flags.set(flag, value != 0),
                (None, IpOpt::Tos) => inp.tos = value as u8,
                (None, _) => inp.ttl = value as u8,
            }
        }
        ControlOption::Get(m) => {
            let value = match (flag, IpOpt::from_raw(name)) {
                (Some(flag), _) => u8::from(inp.flags.contains(flag)),
                (None, IpOpt::Tos) => inp.tos,
                (None, _) => inp.ttl,
            };
            m.assign(&u32::from(value).to_le_bytes());
        }
    }
    Ok(())
}

/// A word of an option's value; EINVAL where it is too short.
pub(super) fn option_word(value: Option<&Mbuf>) -> Result<i32, Errno> {
    let word = value.and_then(|m| m.bytes().first_chunk()).ok_or(Errno::EINVAL)?;
    Ok(i32::from_le_bytes(*word))
}
