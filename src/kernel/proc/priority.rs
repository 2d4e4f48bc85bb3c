//! Calls on priorities: nice values and real-time priorities.
//!
//! 2.1 counterpart: kern/kern_resource.c.

use syscalls::arg::{InOut, Int, Pid};
use syscalls::errno::Errno;
use syscalls::flags::{PrioWhich, RtprioFunction};
use syscalls::layout::Rtprio;

use super::{Pcred, ProcId, State};
use crate::kernel::{Context, Sysret};

/// Nice values: from the best to the worst.
const PRIO_MIN: i32 = -20;
const PRIO_MAX: i32 = 20;
/// Types of real-time priorities (RTP_PRIO_REALTIME to RTP_PRIO_IDLE), and the worst value of each.
const RTP_REALTIME: u16 = 0;
const RTP_IDLE: u16 = 2;
const RTP_PRIO_MAX: u16 = 31;

/// The best nice value among a process, a group or a user's processes.
pub fn getpriority(cx: &mut Context<'_>, which: PrioWhich, who: Int) -> Sysret<i32> {
    let nice = targets(cx, which, who)?.into_iter().map(|id| cx.kernel.procs[id].nice).min();
    Ok(nice.ok_or(Errno::ESRCH)?)
}

/// Sets the nice value of a process, a group or a user's processes.  The result is that of the last one.
pub fn setpriority(cx: &mut Context<'_>, which: PrioWhich, who: Int, prio: Int) -> Sysret<()> {
    let mut result = Err(Errno::ESRCH);
    for id in targets(cx, which, who)? {
        result = donice(cx, id, prio);
    }
    Ok(result?)
}

/// The living processes that are meant; `who` of zero means the caller's own.
fn targets(cx: &Context<'_>, which: PrioWhich, who: i32) -> Result<Vec<ProcId>, Errno> {
    let procs = &cx.kernel.procs;
    Ok(match which {
        PrioWhich::Process if who == 0 => vec![cx.id],
        PrioWhich::Process => procs.find(who).into_iter().collect(),
        PrioWhich::Pgrp => {
            let group = if who == 0 { Some(cx.proc().pgrp) } else { procs.find_group(who) };
            group.map_or_else(Vec::new, |group| procs.group(group).members.clone())
        }
        PrioWhich::User => {
            let uid = if who == 0 { cx.proc().cred.ucred.uid } else { who as u32 };
            let of_user = procs.iter().filter(|(_, p)| p.state != State::Zombie && p.cred.ucred.uid == uid);
            of_user.map(|(id, _)| id).collect()
        }
        PrioWhich::Other(_) => return Err(Errno::EINVAL),
    })
}

/// Whether an identity may set the priority of a process that runs as `user`.
fn may_set(cred: &Pcred, user: u32) -> bool {
    let (real, effective) = (cred.ruid, cred.ucred.uid);
    effective == 0 || real == 0 || effective == user || real == user
}

fn donice(cx: &mut Context<'_>, id: ProcId, nice: i32) -> Result<(), Errno> {
    let target = &cx.kernel.procs[id];
    if !may_set(&cx.proc().cred, target.cred.ucred.uid) {
        return Err(Errno::EPERM);
    }
    let nice = nice.clamp(PRIO_MIN, PRIO_MAX);
    if nice < target.nice && cx.suser().is_err() {
        return Err(Errno::EACCES);
    }
    cx.kernel.procs[id].nice = nice;
    cx.kernel.reset_priority(id);
    Ok(())
}

/// Gives or sets a real-time priority.  The structure is read first, even where it is only asked for.
pub fn rtprio(cx: &mut Context<'_>, function: RtprioFunction, pid: Pid, rtp: InOut<Rtprio>) -> Sysret<()> {
    let wanted: Rtprio = cx.read(rtp.addr())?;
    let id = if pid.0 == 0 { cx.id } else { cx.kernel.procs.find(pid.0).ok_or(Errno::ESRCH)? };
    match function {
        RtprioFunction::Lookup => {
            let (class, prio) = cx.kernel.procs[id].rtprio;
            Ok(cx.write(rtp.addr(), &Rtprio { class: class.into(), prio: prio.into() })?)
        }
        RtprioFunction::Set => {
            if !may_set(&cx.proc().cred, cx.kernel.procs[id].cred.ucred.uid) {
                return Err(Errno::EPERM.into());
            }
            let (class, prio) = (wanted.class.get(), wanted.prio.get());
            // Who is not the super-user sets only the own one, named as 0, and never to real time.
            if cx.suser().is_err() && (pid.0 != 0 || class == RTP_REALTIME) {
                return Err(Errno::EPERM.into());
            }
            if class > RTP_IDLE || prio > RTP_PRIO_MAX {
                return Err(Errno::EINVAL.into());
            }
            cx.kernel.procs[id].rtprio = (class, prio);
            Ok(())
        }
        RtprioFunction::Other(_) => Err(Errno::EINVAL.into()),
    }
}
