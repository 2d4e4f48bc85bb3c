//! The loopback interface: what is sent comes in again.
//!
//! This file does not know protocols.
//!
//! 2.1 counterpart: net/if_loop.c.

use syscalls::errno::Errno;
use syscalls::ioctl::{SIOCADDMULTI, SIOCDELMULTI, SIOCSIFADDR, SIOCSIFMTU};

use super::interface::{Driver, IfCounts, IfFlags, Ifnet};
use super::route::{RtId, rtf};
use super::sockaddr::{AF_INET, byte};
use super::{IfIndex, Net};
use crate::kernel::Kernel;
use crate::kernel::netinet::trace;
use crate::kernel::socket::chain::Chain;

/// Largest packet (LOMTU).
const LOMTU: u32 = 16384;
/// Type of the interface (IFT_LOOP).
const IFT_LOOP: u8 = 24;

impl Net {
    /// Adds `lo0` (`loopattach`).
    pub fn loopattach(&mut self, now: u64) -> IfIndex {
        let ifp = Ifnet {
            name: "lo",
            unit: 0,
            flags: IfFlags::LOOPBACK | IfFlags::MULTICAST,
            mtu: LOMTU,
            metric: 0,
            kind: IFT_LOOP,
            physical: 0,
            addrlist: Vec::new(),
            counts: IfCounts::default(),
            lastchange: now,
            driver: Driver::Loop,
        };
        self.if_attach(ifp, now)
    }
}

/// Sends a packet: it goes into the queue of those that came in on the interface (`looutput`).
pub fn looutput(
    kernel: &mut Kernel,
    index: IfIndex,
    mut m: Chain,
    family: u8,
    rt: Option<RtId>,
) -> Result<(), Errno> {
    if let Some(first) = m.front_mut() {
        first.rcvif = index;
    }
    let flags = rt.and_then(|rt| kernel.net.rtentries.get(rt)).map_or(0, |rt| rt.flags);
    if flags & (rtf::REJECT | rtf::BLACKHOLE) != 0 {
        return match flags {
            _ if flags & rtf::BLACKHOLE != 0 => Ok(()),
            _ if flags & rtf::HOST != 0 => Err(Errno::EHOSTUNREACH),
            _ => Err(Errno::ENETUNREACH),
        };
    }
    let len = m.bytes() as u32;
    if let Some(ifp) = kernel.net.ifnet_mut(index) {
        ifp.counts.opackets = ifp.counts.opackets.wrapping_add(1);
        ifp.counts.obytes = ifp.counts.obytes.wrapping_add(len);
    }
    if family != AF_INET {
        return Err(Errno::EAFNOSUPPORT);
    }
    if kernel.net.ipintrq.is_full() {
        kernel.net.ipintrq.drops += 1;
        return Err(Errno::ENOBUFS);
    }
    trace::packet(kernel, &m);
    kernel.net.ipintrq.enqueue(m);
    if let Some(ifp) = kernel.net.ifnet_mut(index) {
        ifp.counts.ipackets = ifp.counts.ipackets.wrapping_add(1);
        ifp.counts.ibytes = ifp.counts.ibytes.wrapping_add(len);
    }
    Ok(())
}

/// Serves a request of the driver (`loioctl`).  `data` is a request on an interface where there is one.
pub fn loioctl(net: &mut Net, index: IfIndex, cmd: u32, data: &[u8]) -> Result<(), Errno> {
    let Some(ifp) = net.ifnet_mut(index) else { return Err(Errno::ENXIO) };
    match cmd {
        SIOCSIFADDR => ifp.flags.insert(IfFlags::UP | IfFlags::RUNNING),
        SIOCADDMULTI | SIOCDELMULTI => {
            if byte(data, 17) != AF_INET {
                return Err(Errno::EAFNOSUPPORT);
            }
        }
        SIOCSIFMTU => {
            let mtu = data.get(16..20).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
            ifp.mtu = mtu;
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(())
}
