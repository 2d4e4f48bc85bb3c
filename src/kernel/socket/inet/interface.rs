//! The loopback interface, and what ioctl tells and changes of it.
//!
//! This file does not know sockets but as those who ask.
//!
//! 2.1 counterpart: net/if.c (ifioctl, ifconf), net/if_loop.c, netinet/in.c (in_control).

use std::net::Ipv4Addr;

use syscalls::errno::Errno;
use syscalls::ioctl::*;

use super::super::pr_usrreq;
use super::super::protosw::{CtlInput, UserRequest, pfctlinput};
use super::super::socket::{SockState, SocketId};
use super::SockaddrIn;
use crate::kernel::Context;

/// Flags of interfaces (`IFF_*`).
const IFF_UP: u16 = 0x1;
const IFF_BROADCAST: u16 = 0x2;
const IFF_LOOPBACK: u16 = 0x8;
const IFF_POINTOPOINT: u16 = 0x10;
const IFF_RUNNING: u16 = 0x40;
const IFF_OACTIVE: u16 = 0x400;
const IFF_SIMPLEX: u16 = 0x800;
const IFF_MULTICAST: u16 = 0x8000;
const IFF_ALLMULTI: u16 = 0x200;
/// Those that a user cannot change.
const IFF_CANTCHANGE: u16 =
    IFF_BROADCAST | IFF_POINTOPOINT | IFF_RUNNING | IFF_OACTIVE | IFF_SIMPLEX | IFF_MULTICAST | IFF_ALLMULTI;
/// Largest packet (LOMTU).
const LOMTU: u32 = 16384;
/// Smallest and largest size of packets that may be set: the headers of TCP and its smallest segment.
const MTU_MIN: u32 = 72;
const MTU_MAX: u32 = 65535;
/// Type of the interface (IFT_LOOP).
const IFT_LOOP: u8 = 24;
/// Size of a request, and where its value is.
const IFREQ: usize = 32;
const IFR_VALUE: usize = 16;

/// An interface with its internet address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ifnet {
    flags: u16,
    metric: u32,
    /// Largest packet.
    pub(super) mtu: u32,
    /// Its address.
    pub(super) addr: Ipv4Addr,
    netmask: Ipv4Addr,
}

impl Ifnet {
    /// `lo0`, configured as /etc/netstart does it.
    pub(super) fn loopback() -> Self {
        Self {
            flags: IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_MULTICAST,
            metric: 0,
            mtu: LOMTU,
            addr: Ipv4Addr::LOCALHOST,
            netmask: Ipv4Addr::new(255, 0, 0, 0),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.flags & IFF_UP != 0
    }

    /// Whether an address is on its network.
    pub(super) fn on_net(&self, addr: Ipv4Addr) -> bool {
        let mask = u32::from(self.netmask);
        u32::from(addr) & mask == u32::from(self.addr) & mask
    }
}

/// Serves a request on interfaces.
pub fn ifioctl(cx: &mut Context<'_>, so: SocketId, cmd: u32, data: &mut Vec<u8>) -> Result<(), Errno> {
    if cmd == SIOCGIFCONF || cmd == OSIOCGIFCONF {
        return ifconf(cx, cmd == OSIOCGIFCONF, data);
    }
    if !names_lo0(data) {
        return Err(Errno::ENXIO);
    }
    let superuser = cx.suser();
    let lo0 = cx.kernel.sockets.inet.lo0.as_mut().ok_or(Errno::ENXIO)?;
    let value = data.get(IFR_VALUE..IFR_VALUE + 4).and_then(|v| v.try_into().ok()).unwrap_or([0; 4]);
    match cmd {
        SIOCGIFFLAGS => put(data, &lo0.flags.to_le_bytes()),
        SIOCGIFMETRIC => put(data, &lo0.metric.to_le_bytes()),
        SIOCGIFMTU => put(data, &lo0.mtu.to_le_bytes()),
        SIOCGIFPHYS => put(data, &[0; 4]),
        SIOCSIFPHYS => {
            superuser?;
            // The driver does not know it (loioctl).
            return Err(Errno::EINVAL);
        }
        SIOCSIFFLAGS => {
            superuser?;
            let flags = u16::from_le_bytes([value[0], value[1]]);
            let goes_down = lo0.is_up() && flags & IFF_UP == 0;
            lo0.flags = (lo0.flags & IFF_CANTCHANGE) | (flags & !IFF_CANTCHANGE);
            let addr = SockaddrIn::new(lo0.addr, 0).bytes();
            if goes_down {
                // Protocols hear of every address that it had (if_down).
                pfctlinput(cx.kernel, CtlInput::IfDown, &link_address());
                pfctlinput(cx.kernel, CtlInput::IfDown, &addr);
            }
        }
        SIOCSIFMETRIC => {
            superuser?;
            lo0.metric = u32::from_le_bytes(value);
        }
        SIOCSIFMTU => {
            superuser?;
            let mtu = u32::from_le_bytes(value);
            if !(MTU_MIN..=MTU_MAX).contains(&mtu) {
                return Err(Errno::EINVAL);
            }
            lo0.mtu = mtu;
        }
        SIOCADDMULTI | SIOCDELMULTI => {
            superuser?;
            if value[1] != 2 {
                return Err(Errno::EAFNOSUPPORT);
            }
        }
        _ => return old_or_protocol(cx, so, cmd, data),
    }
    Ok(())
}

/// Anything else is the protocol's; old requests are new ones with the family in 16 bits.
fn old_or_protocol(cx: &mut Context<'_>, so: SocketId, cmd: u32, data: &mut Vec<u8>) -> Result<(), Errno> {
    let new = match cmd {
        OSIOCGIFADDR => SIOCGIFADDR,
        OSIOCGIFDSTADDR => SIOCGIFDSTADDR,
        OSIOCGIFBRDADDR => SIOCGIFBRDADDR,
        OSIOCGIFNETMASK => SIOCGIFNETMASK,
        other => other,
    };
    pr_usrreq(cx, so, UserRequest::Control { cmd: new, data })?;
    if new != cmd
        && let Some([len, family]) = data.get_mut(IFR_VALUE..IFR_VALUE + 2)
    {
        *len = *family;
        *family = 0;
    }
    Ok(())
}

/// Serves a protocol's request on the addresses of an interface (`in_control`).
pub(super) fn control(cx: &mut Context<'_>, so: SocketId, cmd: u32, data: &mut [u8]) -> Result<(), Errno> {
    let privileged = cx.kernel.sockets[so].state.contains(SockState::PRIV);
    let lo0 = cx.kernel.sockets.inet.lo0.as_mut().filter(|_| Request(cmd).group() == b'i');
    let Some(lo0) = lo0.filter(|_| names_lo0(data)) else { return Err(Errno::EOPNOTSUPP) };
    let given = data.get(IFR_VALUE + 4..IFR_VALUE + 8).and_then(|a| <[u8; 4]>::try_from(a).ok());
    match cmd {
        SIOCGIFADDR => put(data, &SockaddrIn::new(lo0.addr, 0).bytes()),
        SIOCGIFNETMASK => {
            let mut mask = SockaddrIn::new(lo0.netmask, 0).bytes();
            // Masks are as short as they can be, and have no family.
            (mask[0], mask[1]) = (8, 0);
            put(data, &mask);
        }
        SIOCGIFBRDADDR | SIOCGIFDSTADDR => return Err(Errno::EINVAL),
        SIOCSIFADDR | SIOCAIFADDR | SIOCSIFNETMASK | SIOCSIFDSTADDR | SIOCSIFBRDADDR if !privileged => {
            return Err(Errno::EPERM);
        }
        SIOCSIFADDR | SIOCAIFADDR => {
            let addr = given.ok_or(Errno::EINVAL)?.into();
            let old = std::mem::replace(&mut lo0.addr, addr);
            lo0.flags |= IFF_UP | IFF_RUNNING;
            cx.kernel.sockets.inet.move_route(old, addr);
        }
        SIOCSIFNETMASK => lo0.netmask = given.ok_or(Errno::EINVAL)?.into(),
        SIOCSIFDSTADDR | SIOCSIFBRDADDR => return Err(Errno::EINVAL),
        SIOCDIFADDR => return Err(Errno::EOPNOTSUPP),
        // The driver does not know it either (loioctl).
        _ => return Err(Errno::EINVAL),
    }
    Ok(())
}

/// Lists the addresses of all interfaces, as far as they fit: of `lo0` its link-level one and its internet
/// one.  The old form has room for no long ones, and cuts them.
fn ifconf(cx: &mut Context<'_>, old: bool, data: &mut [u8]) -> Result<(), Errno> {
    let word = |at: usize| data.get(at..at + 4).and_then(|w| w.try_into().ok()).map_or(0, i32::from_le_bytes);
    let (room, mut at) = (word(0), word(4) as u32);
    let mut space = room;
    if let Some(lo0) = cx.kernel.sockets.inet.lo0 {
        for address in [link_address().to_vec(), SockaddrIn::new(lo0.addr, 0).bytes().to_vec()] {
            if space <= IFREQ as i32 {
                break;
            }
            let mut entry = b"lo0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
            entry.extend(&address);
            if old {
                entry.truncate(IFREQ);
                (entry[IFR_VALUE], entry[IFR_VALUE + 1]) = (entry[IFR_VALUE + 1], 0);
            }
            let longer = entry.len() - IFREQ;
            space -= longer as i32;
            if longer > 0 && space < IFREQ as i32 {
                break;
            }
            cx.copyout(at, &entry)?;
            at = at.wrapping_add(entry.len() as u32);
            space -= IFREQ as i32;
        }
    }
    if let Some(len) = data.get_mut(..4) {
        len.copy_from_slice(&(room - space).to_le_bytes());
    }
    Ok(())
}

/// The link-level address (`struct sockaddr_dl`): an index, a type and a name.
fn link_address() -> [u8; 20] {
    let mut sdl = [0; 20];
    (sdl[0], sdl[1], sdl[2], sdl[4], sdl[5]) = (20, 18, 1, IFT_LOOP, 3);
    sdl[8..11].copy_from_slice(b"lo0");
    sdl
}

fn names_lo0(data: &[u8]) -> bool {
    data.get(..IFR_VALUE).and_then(|name| name.split(|&b| b == 0).next()) == Some(b"lo0")
}

fn put(data: &mut [u8], value: &[u8]) {
    if let Some(room) = data.get_mut(IFR_VALUE..IFR_VALUE + value.len()) {
        room.copy_from_slice(value);
    }
}
