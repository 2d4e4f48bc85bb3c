//! The tunnel: an interface whose packets a program reads and writes through a device, `/dev/tun0`.
//!
//! This file does not know how devices are found.
//!
//! 2.1 counterpart: net/if_tun.c.

use std::collections::VecDeque;

use syscalls::errno::Errno;
use syscalls::ioctl::{
    FIOASYNC, FIONBIO, FIONREAD, SIOCADDMULTI, SIOCDELMULTI, SIOCSIFADDR, SIOCSIFDSTADDR, TIOCGPGRP,
    TIOCSPGRP, TUNGDEBUG, TUNGIFINFO, TUNSDEBUG, TUNSIFINFO,
};

use super::interface::{Driver, IFQ_MAXLEN, IfCounts, IfFlags, Ifnet, if_down, touch};
use super::route::{Init, rtf, rtinit};
use super::sockaddr::{AF_INET, family};
use super::{IfIndex, Net, netisr};
use crate::kernel::file::Uio;
use crate::kernel::file::select::{Selinfo, Which, selrecord, selwakeup};
use crate::kernel::netinet::{INADDR_ANY, sin_addr, trace};
use crate::kernel::signal::{self, SIGIO};
use crate::kernel::socket::chain::Chain;
use crate::kernel::synch::{Channel, Sleep, priority};
use crate::kernel::{Context, Kernel};

/// Largest packet (TUNMTU).
const TUNMTU: u32 = 1500;
/// Type of the interface (IFT_PPP).
const IFT_PPP: u8 = 23;

/// One tunnel (`struct tun_softc`).
#[derive(Clone, Debug, Default)]
pub struct Tun {
    /// Its interface.
    pub index: IfIndex,
    /// Packets that were sent and not read.
    pub queue: VecDeque<Chain>,
    /// A program has the device open (TUN_OPEN).
    pub open: bool,
    /// The interface has an address (TUN_IASET), and one of the other end (TUN_DSTADDR).
    addressed: (bool, bool),
    /// Reads do not wait (TUN_NBIO).
    nonblocking: bool,
    /// Who gets SIGIO, and whether that is wanted (TUN_ASYNC).
    owner: i32,
    asynchronous: bool,
    /// Who selects for reading.
    sel: Selinfo,
    /// What programs say of the line.
    baudrate: u32,
    /// `tundebug`: kept, and nothing else.
    debug: u32,
}

impl Tun {
    /// Whether packets go in and out (TUN_READY).
    fn is_ready(&self) -> bool {
        self.open && self.addressed.0
    }
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
        self.tuns.push(Tun { index, ..Tun::default() });
        index
    }
}

impl Kernel {
    /// Adds tunnels with their devices; before anything runs.
    pub fn attach_tunnels(&mut self, count: usize) {
        let now = self.clock.now() / 1000;
        for _ in 0..count {
            self.net.tunattach(now);
        }
        self.vfs.add_tunnels(0..count as u32);
    }
}

/// Sends a packet: it waits to be read (`tunoutput`).
pub fn tunoutput(kernel: &mut Kernel, unit: usize, m: Chain, family: u8) -> Result<(), Errno> {
    let Some(tun) = kernel.net.tuns.get(unit) else { return Err(Errno::ENXIO) };
    let index = tun.index;
    if !tun.is_ready() {
        return Err(Errno::EHOSTDOWN);
    }
    if family != AF_INET {
        return Err(Errno::EAFNOSUPPORT);
    }
    trace::packet(kernel, &m);
    let len = m.bytes() as u32;
    let queue = &mut kernel.net.tuns[unit].queue;
    if queue.len() >= IFQ_MAXLEN {
        if let Some(ifp) = kernel.net.ifnet_mut(index) {
            ifp.counts.collisions = ifp.counts.collisions.wrapping_add(1);
        }
        return Err(Errno::ENOBUFS);
    }
    queue.push_back(m);
    if let Some(ifp) = kernel.net.ifnet_mut(index) {
        ifp.counts.opackets = ifp.counts.opackets.wrapping_add(1);
        ifp.counts.obytes = ifp.counts.obytes.wrapping_add(len);
    }
    tell(kernel, unit);
    Ok(())
}

/// Tells those who wait for a packet.
fn tell(kernel: &mut Kernel, unit: usize) {
    kernel.wakeup(Channel::Tun(unit as u32));
    let Some(tun) = kernel.net.tuns.get_mut(unit) else { return };
    let (owner, mut sel) = (if tun.asynchronous { tun.owner } else { 0 }, std::mem::take(&mut tun.sel));
    if owner > 0 {
        signal::gsignal(kernel, owner, SIGIO);
    } else if owner < 0
        && let Some(process) = kernel.procs.find(owner.wrapping_neg())
    {
        signal::psignal(kernel, process, SIGIO);
    }
    selwakeup(kernel, &mut sel);
    kernel.net.tuns[unit].sel = sel;
}

/// Opens the device, for one program at a time (`tunopen`).
pub fn tunopen(cx: &mut Context<'_>, unit: usize) -> Result<(), Errno> {
    cx.suser()?;
    let tun = cx.kernel.net.tuns.get_mut(unit).ok_or(Errno::ENXIO)?;
    if tun.open {
        return Err(Errno::EBUSY);
    }
    tun.open = true;
    Ok(())
}

/// Closes the device: what waits is lost, the interface is down and its routes are gone (`tunclose`).
pub fn tunclose(kernel: &mut Kernel, unit: usize) {
    let Some(tun) = kernel.net.tuns.get_mut(unit) else { return };
    (tun.open, tun.owner) = (false, 0);
    tun.queue.clear();
    let (index, flags) = (tun.index, if tun.addressed.1 { rtf::HOST } else { 0 });
    if kernel.net.if_flags(index).contains(IfFlags::UP) {
        if_down(kernel, index);
        if kernel.net.if_flags(index).contains(IfFlags::RUNNING) {
            for ifa in kernel.net.ifnet(index).map(|ifp| ifp.addrlist.clone()).unwrap_or_default() {
                if kernel.net.ifaddrs.get(ifa).is_some_and(|ifa| family(&ifa.addr) == AF_INET) {
                    // A route that is gone already is nobody's business.
                    let _ = rtinit(kernel, ifa, Init::Delete, flags, None);
                }
            }
        }
    }
    tell(kernel, unit);
}

/// Reads a packet, cut to what is asked for; the sleep to take first if there is none (`tunread`).  The original
/// sleeps where no signal is heard; here they are.
pub fn read(cx: &mut Context<'_>, unit: usize, uio: &mut Uio) -> Result<Option<Sleep>, Errno> {
    let tun = cx.kernel.net.tuns.get_mut(unit).ok_or(Errno::ENXIO)?;
    if !tun.is_ready() {
        return Err(Errno::EHOSTDOWN);
    }
    let Some(m) = tun.queue.pop_front() else {
        if tun.nonblocking {
            return Err(Errno::EWOULDBLOCK);
        }
        let channel = Channel::Tun(unit as u32);
        let priority = priority::PZERO + 1;
        return Ok(Some(Sleep { channel, priority, catch: true, wmesg: "tunread", timeout_ticks: None }));
    };
    let packet = m.to_vec();
    let len = packet.len().min(uio.resid as usize);
    uio.move_out(cx, &packet[..len])?;
    Ok(None)
}

/// Writes a packet, which comes in (`tunwrite`).
pub fn write(cx: &mut Context<'_>, unit: usize, uio: &mut Uio) -> Result<(), Errno> {
    if uio.resid == 0 || uio.resid > TUNMTU {
        return Err(Errno::EIO);
    }
    let mut packet = vec![0; uio.resid as usize];
    uio.move_in(cx, &mut packet)?;
    tunwrite(cx.kernel, unit, &packet)
}

/// Whether a packet waits; there is always room for one (`tunselect`).
pub fn select(cx: &mut Context<'_>, unit: usize, which: Which) -> bool {
    let Some(tun) = cx.kernel.net.tuns.get_mut(unit) else { return true };
    if which != Which::Read {
        return which == Which::Write;
    }
    if !tun.queue.is_empty() {
        return true;
    }
    let mut sel = std::mem::take(&mut tun.sel);
    selrecord(cx.kernel, cx.id, &mut sel);
    cx.kernel.net.tuns[unit].sel = sel;
    false
}

/// Requests of the device (`tunioctl`).
pub fn ioctl(kernel: &mut Kernel, unit: usize, cmd: u32, data: &mut Vec<u8>) -> Result<(), Errno> {
    let net = &mut kernel.net;
    let tun = net.tuns.get_mut(unit).ok_or(Errno::ENXIO)?;
    let word = data.first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
    let ifp = net.ifnets.get_mut(usize::from(tun.index).wrapping_sub(1)).ok_or(Errno::ENXIO)?;
    match cmd {
        TUNSIFINFO => {
            // Speed of the line, largest packet, type, and a byte that fills up.
            let &[.., m0, m1, kind, _] = data.first_chunk::<8>().ok_or(Errno::EINVAL)?;
            (ifp.mtu, ifp.kind, tun.baudrate) = (i16::from_le_bytes([m0, m1]) as u32, kind, word);
        }
        TUNGIFINFO => {
            let [m0, m1] = (ifp.mtu as u16).to_le_bytes();
            *data = tun.baudrate.to_le_bytes().into_iter().chain([m0, m1, ifp.kind, 0]).collect();
        }
        TUNSDEBUG => tun.debug = word,
        TUNGDEBUG => *data = tun.debug.to_le_bytes().to_vec(),
        FIONBIO => tun.nonblocking = word != 0,
        FIOASYNC => tun.asynchronous = word != 0,
        FIONREAD => {
            let first = tun.queue.front().and_then(|m| m.front()).map_or(0, |m| m.len());
            *data = (first as u32).to_le_bytes().to_vec();
        }
        TIOCSPGRP => tun.owner = word as i32,
        TIOCGPGRP => *data = tun.owner.to_le_bytes().to_vec(),
        _ => return Err(Errno::ENOTTY),
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
    if packet.is_empty() {
        return Err(Errno::EIO);
    }
    let mut m = Chain::of_packet(packet);
    let Some(first) = m.front_mut() else { return Err(Errno::EIO) };
    first.rcvif = index;
    if kernel.net.ipintrq.is_full() {
        kernel.net.ipintrq.drops += 1;
        if let Some(ifp) = kernel.net.ifnet_mut(index) {
            ifp.counts.collisions = ifp.counts.collisions.wrapping_add(1);
        }
        return Err(Errno::ENOBUFS);
    }
    trace::packet(kernel, &m);
    kernel.net.ipintrq.enqueue(m);
    if let Some(ifp) = kernel.net.ifnet_mut(index) {
        ifp.counts.ipackets = ifp.counts.ipackets.wrapping_add(1);
        ifp.counts.ibytes = ifp.counts.ibytes.wrapping_add(packet.len() as u32);
    }
    netisr::run(kernel);
    Ok(())
}

/// Serves a request of the driver (`tunifioctl`).
pub fn tunifioctl(kernel: &mut Kernel, index: IfIndex, cmd: u32, data: &[u8]) -> Result<(), Errno> {
    match cmd {
        SIOCSIFADDR | SIOCSIFDSTADDR => {
            tuninit(kernel, index);
            Ok(())
        }
        SIOCADDMULTI | SIOCDELMULTI if data.get(17) != Some(&AF_INET) => Err(Errno::EAFNOSUPPORT),
        SIOCADDMULTI | SIOCDELMULTI => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// Marks an interface that gets addresses as running (`tuninit`).
pub fn tuninit(kernel: &mut Kernel, index: IfIndex) {
    touch(kernel, index);
    let net = &mut kernel.net;
    let Some(ifp) = net.ifnet_mut(index) else { return };
    ifp.flags.insert(IfFlags::UP | IfFlags::RUNNING);
    let addrlist = ifp.addrlist.clone();
    let Some(tun) = net.tuns.iter_mut().find(|tun| tun.index == index) else { return };
    for ifa in addrlist.into_iter().filter_map(|id| net.ifaddrs.get(id)) {
        if family(&ifa.addr) == AF_INET {
            tun.addressed.0 |= sin_addr(&ifa.addr) != INADDR_ANY;
            tun.addressed.1 |= ifa.dst().is_some_and(|dst| sin_addr(dst) != INADDR_ANY);
        }
    }
}
