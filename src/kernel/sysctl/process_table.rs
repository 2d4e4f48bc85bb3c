//! The table of processes as `ps`, `w` and `kill` read it.
//!
//! Addresses in it tell objects apart and nothing more: there is no kernel memory behind them.
//!
//! 2.1 counterpart: kern/kern_sysctl.c (sysctl_doproc, fill_eproc).

use syscalls::errno::Errno;
use syscalls::layout::{Eproc, I32, Itimerval, KinfoProc, Pcred, Proc as ProcEntry, Rtprio, Ucred, Vmspace};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::transfer::Transfer;
use crate::kernel::Context;
use crate::kernel::arena::Id;
use crate::kernel::proc::{Flags, Proc, ProcId, State};
use crate::kernel::time::{self, TICK_NS};
use crate::kernel::tty::NO_PID;
use crate::kernel::vfs::device::makedev;
use crate::mem::PAGE_SIZE;

/// Which processes, by the name after `kern.proc` (KERN_PROC_*).
mod which {
    pub(super) const ALL: u32 = 0;
    pub(super) const PID: u32 = 1;
    pub(super) const PGRP: u32 = 2;
    pub(super) const TTY: u32 = 4;
    pub(super) const UID: u32 = 5;
    pub(super) const RUID: u32 = 6;
}

/// Processes that the answer to "how much room" adds.
const SLOP: u32 = 5;
const SIZE: u32 = size_of::<KinfoProc>() as u32;
/// No device.
const NODEV: u32 = !0;
/// Flags of an entry (EPROC_*).
const CTTY: i32 = 1;
const SLEADER: i32 = 2;
/// Characters of what a process waits for (WMESGLEN).
const WMESGLEN: usize = 7;

/// Gives the processes that `name` asks for, as far as there is room: the living, then the dead.
pub(super) fn sysctl_doproc(cx: &mut Context<'_>, name: &[u32], value: &mut Transfer) -> Result<(), Errno> {
    let (kind, argument) = match *name {
        [kind, argument] => (kind, argument),
        [which::ALL] => (which::ALL, 0),
        _ => return Err(Errno::EINVAL),
    };
    let all = cx.kernel.procs.ids().to_vec();
    let dead = |id: &ProcId| cx.kernel.procs[*id].state == State::Zombie;
    let (zombies, living): (Vec<_>, Vec<_>) = all.into_iter().partition(dead);
    let chosen: Vec<ProcId> = living
        .into_iter()
        .chain(zombies)
        .filter(|&id| cx.kernel.procs[id].state != State::Embryo && is_chosen(cx, id, kind, argument))
        .collect();
    let needed = chosen.len() as u32 * SIZE;
    if value.old == 0 {
        value.oldlen = needed + SLOP * SIZE;
        return Ok(());
    }
    let room = value.oldlen / SIZE;
    for (n, &id) in (0..room).zip(&chosen) {
        let entry = kinfo_proc(cx, id);
        cx.copyout(value.old.wrapping_add(n * SIZE), entry.as_bytes())?;
    }
    value.oldlen = needed.min(room * SIZE);
    if needed > value.oldlen { Err(Errno::ENOMEM) } else { Ok(()) }
}

/// What ps, debuggers and core files learn of a process (`fill_eproc`).
pub fn kinfo_proc(cx: &Context<'_>, id: ProcId) -> KinfoProc {
    KinfoProc { proc: proc_entry(cx, id), eproc: eproc(cx, id) }
}

fn is_chosen(cx: &Context<'_>, id: ProcId, kind: u32, argument: u32) -> bool {
    let proc = &cx.kernel.procs[id];
    let group = cx.kernel.procs.group(proc.pgrp);
    match kind {
        which::PID => proc.pid as u32 == argument,
        which::PGRP => group.pgid as u32 == argument,
        which::TTY => {
            let tty = cx.kernel.procs.session(proc.pgrp).tty;
            proc.flags.contains(Flags::CONTROLT) && tty.is_some_and(|tty| tty_device(cx, tty) == argument)
        }
        which::UID => proc.cred.ucred.uid == argument,
        which::RUID => proc.cred.ruid == argument,
        _ => true,
    }
}

/// Where an object seems to lie: a region a kind, a slot an object.
fn address<T>(region: u32, id: Id<T>) -> U32 {
    U32::new(region + 256 * id.index() as u32)
}

const PROCS_AT: u32 = 0xf0a0_0000;
const GROUPS_AT: u32 = 0xf0b0_0000;
const SESSIONS_AT: u32 = 0xf0c0_0000;
const CHANNELS_AT: u32 = 0xf0d0_0000;

fn proc_address(id: ProcId) -> U32 {
    address(PROCS_AT, id)
}

fn proc_entry(cx: &Context<'_>, id: ProcId) -> ProcEntry {
    let procs = &cx.kernel.procs;
    let proc = &procs[id];
    let optional = |id: Option<ProcId>| id.map_or(U32::ZERO, proc_address);
    let siblings: &[ProcId] = proc.parent.map_or(&[], |parent| &procs[parent].children);
    let place = siblings.iter().position(|&sibling| sibling == id);
    let ticks = |ns: u64| (ns / TICK_NS).into();
    let wchan = proc.asleep.as_ref().map_or(U32::ZERO, |_| address(CHANNELS_AT, id));
    let mut comm = [0; 17];
    for (to, from) in comm.iter_mut().zip(proc.comm.iter().take(16)) {
        *to = *from;
    }
    ProcEntry {
        flag: proc.flags.bits().into(),
        stat: proc.state as u8,
        pid: proc.pid.into(),
        pptr: optional(proc.parent),
        osptr: optional(place.and_then(|n| siblings.get(n + 1)).copied()),
        ysptr: optional(place.and_then(|n| siblings.get(n.checked_sub(1)?)).copied()),
        cptr: optional(proc.children.first().copied()),
        estcpu: proc.estcpu.into(),
        wchan,
        wmesg: wchan,
        slptime: proc.slptime.into(),
        realtimer: Itimerval {
            interval: time::timeval(proc.itimer[0].interval),
            value: time::timeval(proc.itimer[0].value),
        },
        rtime: time::timeval(proc.usage.user_ns + proc.usage.system_ns),
        uticks: ticks(proc.usage.user_ns),
        sticks: ticks(proc.usage.system_ns),
        siglist: proc.sig.pending.into(),
        sigmask: proc.sig.mask.into(),
        sigignore: proc.sig.ignore.into(),
        sigcatch: proc.sig.catch.into(),
        priority: proc.priority,
        usrpri: proc.usrpri,
        nice: proc.nice as i8,
        comm,
        pgrp: address(GROUPS_AT, proc.pgrp),
        rtprio: Rtprio { class: proc.rtprio.0.into(), prio: proc.rtprio.1.into() },
        xstat: (proc.xstat as u16).into(),
        ..ProcEntry::default()
    }
}

fn eproc(cx: &Context<'_>, id: ProcId) -> Eproc {
    let procs = &cx.kernel.procs;
    let proc = &procs[id];
    let group = procs.group(proc.pgrp);
    let session = procs.session(proc.pgrp);
    let terminal = session.tty.filter(|_| proc.flags.contains(Flags::CONTROLT));
    let mut flag = 0;
    if session.ttyvp.is_some() {
        flag |= CTTY;
    }
    if proc.is_session_leader(procs) {
        flag |= SLEADER;
    }
    let mut wmesg = [0; WMESGLEN + 1];
    if let Some(asleep) = &proc.asleep {
        for (to, from) in wmesg.iter_mut().zip(asleep.parked.sleep.wmesg.bytes().take(WMESGLEN)) {
            *to = from;
        }
    }
    Eproc {
        paddr: proc_address(id),
        sess: address(SESSIONS_AT, procs.session_id(proc.pgrp)),
        pcred: pcred(proc),
        ucred: ucred(proc),
        vm: if proc.state == State::Zombie { Vmspace::default() } else { vmspace(proc) },
        ppid: proc.parent.map_or(0, |parent| procs[parent].pid).into(),
        pgid: group.pgid.into(),
        jobc: (group.jobc as i16).into(),
        tdev: terminal.map_or(NODEV, |tty| tty_device(cx, tty)).into(),
        tpgid: terminal.map_or(0, |tty| foreground(cx, tty)).into(),
        tsess: terminal.map_or(U32::ZERO, |_| address(SESSIONS_AT, procs.session_id(proc.pgrp))),
        wmesg,
        flag: flag.into(),
        login: session.login,
        ..Eproc::default()
    }
}

/// The device number of a terminal.
fn tty_device(cx: &Context<'_>, tty: u32) -> u32 {
    let (major, minor) = cx.kernel.ttys.device(tty as usize);
    makedev(major, minor)
}

/// The foreground group of a terminal.
fn foreground(cx: &Context<'_>, tty: u32) -> i32 {
    let group = cx.kernel.ttys.get(tty as usize).and_then(|tty| tty.pgrp);
    let group = group.filter(|&group| cx.kernel.procs.group_exists(group));
    group.map_or(NO_PID, |group| cx.kernel.procs.group(group).pgid)
}

fn pcred(proc: &Proc) -> Pcred {
    Pcred {
        ruid: proc.cred.ruid.into(),
        svuid: proc.cred.svuid.into(),
        rgid: proc.cred.rgid.into(),
        svgid: proc.cred.svgid.into(),
        refcnt: I32::new(1),
        ..Pcred::default()
    }
}

fn ucred(proc: &Proc) -> Ucred {
    let mut groups = [U32::ZERO; 16];
    for (to, from) in groups.iter_mut().zip(&proc.cred.ucred.groups) {
        *to = (*from).into();
    }
    Ucred {
        refs: 1.into(),
        uid: proc.cred.ucred.uid.into(),
        ngroups: (proc.cred.ucred.groups.len() as i16).into(),
        groups,
        ..Ucred::default()
    }
}

/// Sizes in pages; everything that is mapped counts as resident.
pub(in crate::kernel) fn vmspace(proc: &Proc) -> Vmspace {
    let bytes: u64 = proc.vm.space.regions().map(|r| u64::from(r.len)).sum();
    let pages = i32::try_from(bytes / u64::from(PAGE_SIZE)).unwrap_or(i32::MAX);
    Vmspace {
        refcnt: I32::new(1),
        rssize: pages.into(),
        tsize: (proc.vm.text_pages as i32).into(),
        dsize: (proc.vm.data_pages as i32).into(),
        ssize: (proc.vm.stack_pages as i32).into(),
        taddr: proc.vm.text_addr.into(),
        daddr: proc.vm.data_addr.into(),
        maxsaddr: proc.vm.stack_floor.into(),
        ..Vmspace::default()
    }
}
