//! Calls on process groups and sessions.
//!
//! 2.1 counterpart: kern/kern_prot.c (getpgrp, setpgid, setsid), kern/kern_proc.c (inferior).

use syscalls::arg::Pid;
use syscalls::errno::Errno;

use super::{Flags, ProcId, enter_pgrp};
use crate::kernel::{Context, Sysret};

/// The process group.
pub fn getpgrp(cx: &mut Context<'_>) -> Sysret<i32> {
    Ok(cx.kernel.procs.group(cx.proc().pgrp).pgid)
}

/// Makes the process the leader of a new session; refused while a group with its number exists, even
/// without it in there.
pub fn setsid(cx: &mut Context<'_>) -> Sysret<i32> {
    let pid = cx.proc().pid;
    if cx.kernel.procs.find_group(pid).is_some() {
        return Err(Errno::EPERM.into());
    }
    enter_pgrp(cx.kernel, cx.id, pid, true);
    Ok(pid)
}

/// Moves the process, or a descendant that has not executed a program, to a group of its session.
pub fn setpgid(cx: &mut Context<'_>, pid: Pid, pgid: Pid) -> Sysret<()> {
    let target = if pid.0 == 0 || pid.0 == cx.proc().pid { cx.id } else { descendant(cx, pid.0)? };
    let procs = &cx.kernel.procs;
    let proc = &procs[target];
    if proc.is_session_leader(procs) {
        return Err(Errno::EPERM.into());
    }
    let pgid = if pgid.0 == 0 { proc.pid } else { pgid.0 };
    if pgid != proc.pid {
        let session = procs.session_id(cx.proc().pgrp);
        let group = procs.find_group(pgid).ok_or(Errno::EPERM)?;
        if procs.session_id(group) != session {
            return Err(Errno::EPERM.into());
        }
    }
    enter_pgrp(cx.kernel, target, pgid, false);
    Ok(())
}

/// A descendant that the process may move.
fn descendant(cx: &Context<'_>, pid: i32) -> Result<ProcId, Errno> {
    let procs = &cx.kernel.procs;
    let target = procs.find(pid).ok_or(Errno::ESRCH)?;
    if !is_inferior(cx, target) {
        return Err(Errno::ESRCH);
    }
    let proc = &procs[target];
    if procs.session_id(proc.pgrp) != procs.session_id(cx.proc().pgrp) {
        return Err(Errno::EPERM);
    }
    if proc.flags.contains(Flags::EXEC) { Err(Errno::EACCES) } else { Ok(target) }
}

/// Whether a process is the caller or descends from it (`inferior`).
fn is_inferior(cx: &Context<'_>, id: ProcId) -> bool {
    let mut at = Some(id);
    while let Some(id) = at {
        if id == cx.id {
            return true;
        }
        at = cx.kernel.procs[id].parent;
    }
    false
}
