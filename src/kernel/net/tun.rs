//! The tunnel: an interface whose packets a program reads and writes through a device.
//!
//! This file does not know devices; what is read is the queue of packets that were sent.
//!
//! 2.1 counterpart: net/if_tun.c.

use std::collections::VecDeque;

use syscalls::errno::Errno;
use syscalls::ioctl::{SIOCADDMULTI, SIOCDELMULTI, SIOCSIFADDR, SIOCSIFDSTADDR, SIOCSIFMTU};

use super::interface::{Driver, IFQ_MAXLEN, IfCounts, IfFlags, Ifnet};
use super::sockaddr::AF_INET;
use super::{IfIndex, Net};
use crate::kernel::Kernel;
use crate::kernel::netinet::trace;
use crate::kernel::socket::chain::Chain;

/// Largest packet (TUNMTU).
const TUNMTU: u32 = 1500;
/// Type of the interface (IFT_PPP).
const IFT_PPP: u8 = 23;

/// One tunnel (`struct tun_softc`).
#[derive(Debug, Default)]
pub struct Tun {
    /// Its interface.
    pub index: IfIndex,
    /// Packets that were sent and not read.
    pub queue: VecDeque<Chain>,
}

impl Net {
    /// Adds a tunnel (`tunattach`); gives the index of its interface.
    pub fn tunattach(&mut self, now: u64) -> IfIndex {
        let unit = self.tuns.len();
        let ifp = Ifnet {
            name: "tun",
            unit: unit as u32,
            flags: IfFlags::POINTOPOINT | IfFlags::MULTICAST,
            mtu: TUNMTU,
            metric: 0,
            kind: IFT_PPP,
            physical: 0,
            addrlist: Vec::new(),
            counts: IfCounts::default(),
            lastchange: now,
            driver: Driver::Tun(unit),
        };
        let index = self.if_attach(ifp, now);
        self.tuns.push(Tun { index, queue: VecDeque::new() });
        index
    }
}

/// Sends a packet: it waits to be read (`tunoutput`).
pub fn tunoutput(kernel: &mut Kernel, unit: usize, m: Chain, family: u8) -> Result<(), Errno> {
    let Some(tun) = kernel.net.tuns.get(unit) else { return Err(Errno::ENXIO) };
    let index = tun.index;
    if !kernel.net.if_flags(index).contains(IfFlags::UP) {
        return Err(Errno::EHOSTDOWN);
    }
    if family != AF_INET {
        return Err(Errno::EAFNOSUPPORT);
    }
    trace::packet(kernel, &m);
    let len = m.bytes() as u32;
    let queue = &mut kernel.net.tuns[unit].queue;
    if queue.len() >= IFQ_MAXLEN {
        return Err(Errno::ENOBUFS);
    }
    queue.push_back(m);
    if let Some(ifp) = kernel.net.ifnet_mut(index) {
        ifp.counts.opackets = ifp.counts.opackets.wrapping_add(1);
        ifp.counts.obytes = ifp.counts.obytes.wrapping_add(len);
    }
    Ok(())
}

/// Takes the oldest packet that was sent (`tunread`).
pub fn tunread(kernel: &mut Kernel, unit: usize) -> Option<Vec<u8>> {
    kernel.net.tuns.get_mut(unit)?.queue.pop_front().map(|m| m.to_vec())
}

/// A packet comes in (`tunwrite`).
pub fn tunwrite(kernel: &mut Kernel, unit: usize, packet: &[u8]) -> Result<(), Errno> {
    let Some(index) = kernel.net.tuns.get(unit).map(|tun| tun.index) else { return Err(Errno::ENXIO) };
    let mut m = Chain::of_packet(packet);
    let Some(first) = m.front_mut() else { return Err(Errno::EIO) };
    first.rcvif = index;
    if kernel.net.ipintrq.is_full() {
        kernel.net.ipintrq.drops += 1;
        return Err(Errno::ENOBUFS);
    }
    trace::packet(kernel, &m);
    kernel.net.ipintrq.enqueue(m);
    if let Some(ifp) = kernel.net.ifnet_mut(index) {
        ifp.counts.ipackets = ifp.counts.ipackets.wrapping_add(1);
        ifp.counts.ibytes = ifp.counts.ibytes.wrapping_add(packet.len() as u32);
    }
    super::netisr::run(kernel);
    Ok(())
}

/// Serves a request of the driver (`tunifioctl`).
pub fn tunifioctl(net: &mut Net, index: IfIndex, cmd: u32, data: &[u8]) -> Result<(), Errno> {
    let Some(ifp) = net.ifnet_mut(index) else { return Err(Errno::ENXIO) };
    match cmd {
        SIOCSIFADDR => ifp.flags.insert(IfFlags::UP | IfFlags::RUNNING),
        SIOCSIFDSTADDR | SIOCADDMULTI | SIOCDELMULTI => {}
        SIOCSIFMTU => {
            let mtu = data.get(16..20).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
            ifp.mtu = mtu;
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(())
}
