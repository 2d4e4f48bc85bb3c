//! What ioctl tells and changes of interfaces.
//!
//! Requests on addresses are the protocol's; see netinet's `in_control`.
//!
//! 2.1 counterpart: net/if.c (ifioctl, ifconf).

use syscalls::errno::Errno;
use syscalls::ioctl::*;

use super::IfIndex;
use super::if_loop::loioctl;
use super::interface::{Driver, IFF_CANTCHANGE, IfFlags, if_down, if_up, touch};
use super::sockaddr::{byte, family, sa_len};
use crate::kernel::Context;
use crate::kernel::socket::protosw::UserRequest;
use crate::kernel::socket::{SocketId, pr_usrreq};

/// Size of a request, and where its value is.
const IFREQ: usize = 32;
const IFR_VALUE: usize = 16;
/// Smallest and largest packet that may be set: the headers of TCP and its smallest segment.
const MTU_MIN: u32 = 72;
const MTU_MAX: u32 = 65535;

/// Serves a request on interfaces (`ifioctl`).
pub fn ifioctl(cx: &mut Context<'_>, so: SocketId, cmd: u32, data: &mut Vec<u8>) -> Result<(), Errno> {
    if cmd == SIOCGIFCONF || cmd == OSIOCGIFCONF {
        return ifconf(cx, cmd == OSIOCGIFCONF, data);
    }
    let name = data.get(..IFR_VALUE).unwrap_or_default();
    let index = cx.kernel.net.ifunit(name).ok_or(Errno::ENXIO)?;
    let Some(ifp) = cx.kernel.net.ifnet(index) else { return Err(Errno::ENXIO) };
    match cmd {
        SIOCGIFFLAGS => put(data, &ifp.flags.bits().to_le_bytes()),
        SIOCGIFMETRIC => put(data, &ifp.metric.to_le_bytes()),
        SIOCGIFMTU => put(data, &ifp.mtu.to_le_bytes()),
        SIOCGIFPHYS => put(data, &ifp.physical.to_le_bytes()),
        SIOCSIFFLAGS | SIOCSIFMETRIC | SIOCSIFPHYS | SIOCSIFMTU | SIOCADDMULTI | SIOCDELMULTI => {
            cx.suser()?;
            return set(cx, index, cmd, data);
        }
        _ => return old_or_protocol(cx, so, cmd, data),
    }
    Ok(())
}

fn set(cx: &mut Context<'_>, index: IfIndex, cmd: u32, data: &[u8]) -> Result<(), Errno> {
    let value =
        data.get(IFR_VALUE..IFR_VALUE + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
    match cmd {
        SIOCSIFFLAGS => {
            let flags = IfFlags::from_bits_retain(value as u16);
            let up = cx.kernel.net.if_flags(index).contains(IfFlags::UP);
            match (up, flags.contains(IfFlags::UP)) {
                (true, false) => if_down(cx.kernel, index),
                (false, true) => if_up(cx.kernel, index),
                _ => {}
            }
            if let Some(ifp) = cx.kernel.net.ifnet_mut(index) {
                ifp.flags = (ifp.flags & IFF_CANTCHANGE) | (flags - IFF_CANTCHANGE);
            }
        }
        SIOCSIFMETRIC => {
            if let Some(ifp) = cx.kernel.net.ifnet_mut(index) {
                ifp.metric = value;
            }
        }
        SIOCSIFMTU if !(MTU_MIN..=MTU_MAX).contains(&value) => return Err(Errno::EINVAL),
        _ => if_ioctl(cx, index, cmd, data)?,
    }
    touch(cx.kernel, index);
    Ok(())
}

/// Passes a request to the driver (`if_ioctl`).
pub fn if_ioctl(cx: &mut Context<'_>, index: IfIndex, cmd: u32, data: &[u8]) -> Result<(), Errno> {
    match cx.kernel.net.ifnet(index).map(|ifp| ifp.driver) {
        Some(Driver::Loop) => loioctl(&mut cx.kernel.net, index, cmd, data),
        Some(Driver::Tun(_)) => super::tun::tunifioctl(cx.kernel, index, cmd, data),
        // What it is follows the host.
        Some(Driver::Host) => Err(Errno::EINVAL),
        None => Err(Errno::ENXIO),
    }
}

/// Anything else is the protocol's; old requests are new ones with the family in 16 bits.
fn old_or_protocol(cx: &mut Context<'_>, so: SocketId, cmd: u32, data: &mut Vec<u8>) -> Result<(), Errno> {
    let new = match cmd {
        OSIOCGIFADDR => SIOCGIFADDR,
        OSIOCGIFDSTADDR => SIOCGIFDSTADDR,
        OSIOCGIFBRDADDR => SIOCGIFBRDADDR,
        OSIOCGIFNETMASK => SIOCGIFNETMASK,
        SIOCSIFDSTADDR | SIOCSIFADDR | SIOCSIFBRDADDR | SIOCSIFNETMASK => {
            if let Some([len, family]) = data.get_mut(IFR_VALUE..IFR_VALUE + 2)
                && *family == 0
                && *len < 16
            {
                (*family, *len) = (*len, 16);
            }
            cmd
        }
        other => other,
    };
    let done = pr_usrreq(cx, so, UserRequest::Control { cmd: new, data });
    if new != cmd
        && let Some([len, family]) = data.get_mut(IFR_VALUE..IFR_VALUE + 2)
    {
        (*len, *family) = (*family, 0);
    }
    done
}

/// Lists the addresses of all interfaces, as far as they fit (`ifconf`).  The old form has room for no long
/// ones, and cuts them.
fn ifconf(cx: &mut Context<'_>, old: bool, data: &mut [u8]) -> Result<(), Errno> {
    let word = |at: usize| data.get(at..at + 4).and_then(|w| w.try_into().ok()).map_or(0, i32::from_le_bytes);
    let (room, mut at) = (word(0), word(4) as u32);
    let mut space = room;
    let net = &cx.kernel.net;
    let mut entries = Vec::new();
    for ifp in &net.ifnets {
        let mut name = ifp.full_name().into_bytes();
        name.resize(IFR_VALUE, 0);
        let addresses = ifp.addrlist.iter().filter_map(|&id| net.ifaddrs.get(id));
        entries.push((name, addresses.map(|ifa| ifa.addr.clone()).collect::<Vec<_>>()));
    }
    let mut result = Ok(());
    'all: for (name, addresses) in entries {
        for address in addresses {
            // Less than nothing is much, as the original compares.
            if space as u32 <= IFREQ as u32 {
                break 'all;
            }
            let mut entry = name.clone();
            let len = sa_len(&address);
            entry.extend((0..len.max(16)).map(|at| byte(&address, at)));
            if old {
                entry.truncate(IFREQ);
                (entry[IFR_VALUE], entry[IFR_VALUE + 1]) = (family(&address), 0);
            } else if len > 16 {
                space -= (len - 16) as i32;
                if (space as u32) < IFREQ as u32 {
                    break;
                }
            }
            result = cx.copyout(at, &entry);
            if result.is_err() {
                break 'all;
            }
            at = at.wrapping_add(entry.len() as u32);
            space -= IFREQ as i32;
        }
    }
    if let Some(len) = data.get_mut(..4) {
        len.copy_from_slice(&(room - space).to_le_bytes());
    }
    result
}

fn put(data: &mut [u8], value: &[u8]) {
    if let Some(room) = data.get_mut(IFR_VALUE..IFR_VALUE + value.len()) {
        room.copy_from_slice(value);
    }
}
