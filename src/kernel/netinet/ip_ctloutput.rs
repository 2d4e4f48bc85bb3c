//! Options of sockets at the level of IP.
//!
//! This file does not know sockets' states.
//!
//! 2.1 counterpart: netinet/ip_output.c (ip_ctloutput).

use syscalls::errno::Errno;
use syscalls::flags::IpOpt;

use super::in_pcb::{InpFlags, Inpcb, InpcbId, sotoinpcb};
use super::{bridge, ip_options, ipproto, multicast};
use crate::kernel::Kernel;
use crate::kernel::socket::SocketId;
use crate::kernel::socket::mbuf::Mbuf;
use crate::kernel::socket::protosw::ControlOption;

/// Gets and sets options of the IP level (`ip_ctloutput`).
pub(super) fn ip_ctloutput(
    kernel: &mut Kernel,
    so: SocketId,
    level: u32,
    name: u32,
    option: ControlOption<'_>,
) -> Result<(), Errno> {
    let id = sotoinpcb(kernel, so)?;
    let done = if level == ipproto::IP { control(kernel, id, name, option) } else { Err(Errno::EINVAL) };
    // The socket layer's own options come by here, too.
    bridge::set_options(kernel, id);
    done
}

fn control(kernel: &mut Kernel, id: InpcbId, name: u32, option: ControlOption<'_>) -> Result<(), Errno> {
    if multicast::is_multicast(name) {
        return match option {
            ControlOption::Get(m) => {
                let options = kernel.inet.inp(id).moptions.as_deref();
                m.assign(&multicast::get(kernel, options, name)?);
                Ok(())
            }
            ControlOption::Set(value) => multicast::set(kernel, id, name, value),
        };
    }
    let inp = kernel.inet.inp_mut(id);
    match (IpOpt::from_raw(name), option) {
        (IpOpt::Options, ControlOption::Set(value)) => {
            // Old ones are gone whatever the new ones are like.
            inp.options.clear();
            if let Some(value) = value.filter(|m| !m.is_empty()) {
                inp.options = ip_options::ip_pcbopts(value.bytes())?;
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
