//! The table of processes as `ps`, `w` and `kill` read it.
//!
//! Addresses in it are those of kernel memory, where the same structures can be read.
//!
//! 2.1 counterpart: kern/kern_sysctl.c (sysctl_doproc, fill_eproc).

use syscalls::errno::Errno;
use syscalls::layout::{
    Eproc, I32, Itimerval, KinfoProc, OlderKinfoProc, Pcred, Proc as ProcEntry, Rtprio, Ucred, Vmspace,
};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::system_processes as system;
use super::transfer::Transfer;
use crate::kernel::kmem::{older, place};
use crate::kernel::proc::{self, Flags, Proc, ProcId, State};
use crate::kernel::synch::priority::PWAIT;
use crate::kernel::time::{self, TICK_NS};
use crate::kernel::tty::NO_PID;
use crate::kernel::vfs::device::makedev;
use crate::kernel::{Context, cred};

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
    let chosen: Vec<(KinfoProc, Option<ProcId>)> = listed(cx)
        .into_iter()
        .filter(|(entry, id)| match *id {
            Some(id) => is_chosen(cx, id, kind, argument),
            None => system::is_chosen(entry, kind, argument),
        })
        .collect();
    if cx.proc().older_program {
        let older: Vec<_> = chosen.iter().map(|&(entry, id)| in_older_form(cx, &entry, id)).collect();
        return give(cx, value, &older);
    }
    let chosen: Vec<_> = chosen.into_iter().map(|(entry, _)| entry).collect();
    give(cx, value, &chosen)
}

/// A process in the form that 386BSD's programs know.
fn in_older_form(cx: &Context<'_>, entry: &KinfoProc, id: Option<ProcId>) -> OlderKinfoProc {
    let usage = id.map(|id| cx.kernel.procs[id].usage).unwrap_or_default();
    let slot = id.map_or(system::FIRST_SLOT, |id| id.index());
    older::kinfo_proc(entry, (usage.user_ns, usage.system_ns), slot)
}

/// All processes with their keys, the living before the dead, the newest first; those of the system came before
/// all others, but for process 0, which came even before process 1.
fn listed(cx: &Context<'_>) -> Vec<(KinfoProc, Option<ProcId>)> {
    let procs = &cx.kernel.procs;
    let all = || procs.ids().iter().copied().filter(|&id| procs[id].state != State::Embryo);
    let dead = |id: &ProcId| procs[*id].state == State::Zombie;
    let is_init = |id: &ProcId| Some(*id) == cx.kernel.init;
    let of_process = |id: ProcId| (kinfo_proc(cx, id), Some(id));
    let system = system::entries(cx.kernel);
    let of_system = |later: bool| {
        let wanted = system.iter().rev().filter(move |entry| (entry.proc.pid.get() > 1) == later);
        wanted.map(|entry| (*entry, None))
    };
    let living = all().filter(|id| !dead(id) && !is_init(id)).map(of_process);
    let first = all().filter(is_init).map(of_process);
    let zombies = all().filter(dead).map(of_process);
    living.chain(of_system(true)).chain(first).chain(of_system(false)).chain(zombies).collect()
}

/// All processes, the living before the dead.
pub(in crate::kernel) fn all(cx: &Context<'_>) -> Vec<KinfoProc> {
    listed(cx).into_iter().map(|(entry, _)| entry).collect()
}

/// Gives as many entries as there is room for.
fn give<T: IntoBytes + zerocopy::Immutable>(
    cx: &mut Context<'_>,
    value: &mut Transfer,
    chosen: &[T],
) -> Result<(), Errno> {
    let size = size_of::<T>() as u32;
    let needed = chosen.len() as u32 * size;
    if value.old == 0 {
        value.oldlen = needed + SLOP * size;
        return Ok(());
    }
    let room = value.oldlen / size;
    for (n, entry) in (0..room).zip(chosen) {
        cx.copyout(value.old.wrapping_add(n * size), entry.as_bytes())?;
    }
    value.oldlen = needed.min(room * size);
    if needed > value.oldlen { Err(Errno::ENOMEM) } else { Ok(()) }
}

/// What ps, debuggers and core files learn of a process (`fill_eproc`).
pub fn kinfo_proc(cx: &Context<'_>, id: ProcId) -> KinfoProc {
    let entry = KinfoProc { proc: proc_entry(cx, id), eproc: eproc(cx, id) };
    let is_leader = cx.kernel.leader.as_ref().is_some_and(|leader| leader.id == id);
    if is_leader { system::as_update(cx.kernel, &entry) } else { entry }
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

fn proc_address(id: ProcId) -> U32 {
    place::process(id.index()).into()
}

pub(in crate::kernel) fn proc_entry(cx: &Context<'_>, id: ProcId) -> ProcEntry {
    let procs = &cx.kernel.procs;
    let proc = &procs[id];
    let optional = |id: Option<ProcId>| id.map_or(U32::ZERO, proc_address);
    let siblings: &[ProcId] = proc.parent.map_or(&[], |parent| &procs[parent].children);
    let place = siblings.iter().position(|&sibling| sibling == id);
    let ticks = |ns: u64| (ns / TICK_NS).into();
    let sleeps = waits_for(cx, id).is_some();
    let waits = sleeps && proc.asleep.is_none();
    let wchan = if sleeps { place::channel(id.index()).into() } else { U32::ZERO };
    let mut comm = [0; 17];
    for (to, from) in comm.iter_mut().zip(proc.comm.iter().take(16)) {
        *to = *from;
    }
    ProcEntry {
        flag: (proc.flags | if waits { Flags::SINTR } else { Flags::empty() }).bits().into(),
        stat: proc.state as u8,
        pid: proc.pid.into(),
        pptr: optional(proc.parent),
        osptr: optional(place.and_then(|n| siblings.get(n + 1)).copied()),
        ysptr: optional(place.and_then(|n| siblings.get(n.checked_sub(1)?)).copied()),
        cptr: optional(proc.children.first().copied()),
        estcpu: proc.estcpu.into(),
        cpticks: (proc.cpticks as i32).into(),
        pctcpu: proc.pctcpu.into(),
        swtime: proc.swtime.into(),
        wchan,
        wmesg: if sleeps { place::message_of_sleep(id.index()).into() } else { U32::ZERO },
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
        priority: if waits { PWAIT } else { proc.priority },
        usrpri: proc.usrpri,
        nice: proc.nice as i8,
        comm,
        pgrp: place::group(proc.pgrp.index()).into(),
        rtprio: Rtprio { class: proc.rtprio.0.into(), prio: proc.rtprio.1.into() },
        xstat: (proc.xstat as u16).into(),
        acflag: u16::from(proc.acflag.get()).into(),
        ru: if proc.state == State::Zombie { place::usage(id.index()) } else { 0 }.into(),
        textvp: proc.text.map_or(U32::ZERO, |vnode| place::vnode(vnode.index()).into()),
        traceflag: 0.into(),
        addr: place::user_area(id.index()).into(),
        cred: place::credentials(id.index()).into(),
        // The kernel's own processes have no descriptors.
        fd: if proc.fd.cwd.is_some() { place::descriptors(id.index()) } else { 0 }.into(),
        vmspace: place::address_space(id.index()).into(),
        pgrpnxt: optional(next_of_group(procs, id)),
        oppid: proc.original_parent.and_then(|id| procs.get(id)).map_or(0, |original| original.pid).into(),
        ..ProcEntry::default()
    }
}

/// What a process waits for; process 1 for its children, as in the original, where it does nothing else.
pub(in crate::kernel) fn waits_for(cx: &Context<'_>, id: ProcId) -> Option<&'static str> {
    let asleep = cx.kernel.procs[id].asleep.as_ref().map(|asleep| asleep.parked.sleep.wmesg);
    asleep.or_else(|| (cx.kernel.init == Some(id)).then_some("wait"))
}

/// The next member of the process's group.
fn next_of_group(procs: &proc::Table, id: ProcId) -> Option<ProcId> {
    let members = &procs.group(procs[id].pgrp).members;
    let place = members.iter().position(|&member| member == id)?;
    members.get(place + 1).copied()
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
    if let Some(message) = waits_for(cx, id) {
        for (to, from) in wmesg.iter_mut().zip(message.bytes().take(WMESGLEN)) {
            *to = from;
        }
    }
    Eproc {
        paddr: proc_address(id),
        sess: place::session(procs.session_id(proc.pgrp).index()).into(),
        pcred: pcred(proc),
        ucred: ucred(&proc.cred.ucred),
        vm: if proc.state == State::Zombie { Vmspace::default() } else { vmspace(proc) },
        ppid: proc.parent.map_or(0, |parent| procs[parent].pid).into(),
        pgid: group.pgid.into(),
        jobc: (group.jobc as i16).into(),
        tdev: terminal.map_or(NODEV, |tty| tty_device(cx, tty)).into(),
        tpgid: terminal.map_or(0, |tty| foreground(cx, tty)).into(),
        tsess: terminal.map_or(U32::ZERO, |_| place::session(procs.session_id(proc.pgrp).index()).into()),
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

pub(in crate::kernel) fn pcred(proc: &Proc) -> Pcred {
    Pcred {
        ruid: proc.cred.ruid.into(),
        svuid: proc.cred.svuid.into(),
        rgid: proc.cred.rgid.into(),
        svgid: proc.cred.svgid.into(),
        refcnt: I32::new(1),
        ..Pcred::default()
    }
}

pub(in crate::kernel) fn ucred(given: &cred::Ucred) -> Ucred {
    let mut groups = [U32::ZERO; 16];
    for (to, from) in groups.iter_mut().zip(&given.groups) {
        *to = (*from).into();
    }
    Ucred {
        refs: 1.into(),
        uid: given.uid.into(),
        ngroups: (given.groups.len() as i16).into(),
        groups,
        ..Ucred::default()
    }
}

/// Sizes in pages.
pub(in crate::kernel) fn vmspace(proc: &Proc) -> Vmspace {
    Vmspace {
        refcnt: I32::new(1),
        rssize: (proc.vm.space.resident_pages() as i32).into(),
        tsize: (proc.vm.text_pages as i32).into(),
        dsize: (proc.vm.data_pages as i32).into(),
        ssize: (proc.vm.stack_pages as i32).into(),
        taddr: proc.vm.text_addr.into(),
        daddr: proc.vm.data_addr.into(),
        maxsaddr: proc.vm.stack_floor.into(),
        ..Vmspace::default()
    }
}
