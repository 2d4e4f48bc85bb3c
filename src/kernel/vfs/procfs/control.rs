//! The control file: attaching to a process, letting it go, stepping, running, waiting, signals by name.
//!
//! 2.1 counterpart: miscfs/procfs/procfs_ctl.c.

use syscalls::Errno;
use syscalls::signal::Signal;

use crate::kernel::proc::{Flags, ProcId, State, reparent};
use crate::kernel::signal::{SIGSTOP, SIGTRAP, psignal, sigmask};
use crate::kernel::synch::{Channel, Sleep, priority, sleep};
use crate::kernel::{Context, Resume, Sysret, Wake};
use crate::trapframe::eflags;

/// Longest command (PROCFS_CTLLEN).
pub(super) const LONGEST: usize = 8;

/// A process that somebody waits for, until it stops.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    target: ProcId,
    traced: bool,
    length: u32,
}

/// Does what a command says.
pub(super) fn command(cx: &mut Context<'_>, target: ProcId, command: &[u8]) -> Sysret<()> {
    match command {
        b"attach" => Ok(attach(cx, target)?),
        b"detach" => Ok(detach(cx, target)),
        b"step" | b"run" => {
            if !waits_for_us(cx, target) {
                return Err(Errno::EBUSY.into());
            }
            let proc = &mut cx.kernel.procs[target];
            proc.xstat = 0;
            if command == b"step" {
                proc.frame.eflags |= eflags::TF;
            }
            cx.kernel.set_runnable(target);
            Ok(())
        }
        b"wait" => {
            let proc = &mut cx.kernel.procs[target];
            proc.xstat = 0;
            let traced = proc.flags.contains(Flags::TRACED);
            wait(cx, Waiting { target, traced, length: command.len() as u32 })
        }
        other => signal(cx, target, other),
    }
}

/// Whether a process is stopped for the caller, who traces it (TRACE_WAIT_P).
fn waits_for_us(cx: &Context<'_>, target: ProcId) -> bool {
    let proc = &cx.kernel.procs[target];
    proc.state == State::Stop && proc.parent == Some(cx.id) && proc.flags.contains(Flags::TRACED)
}

fn attach(cx: &mut Context<'_>, target: ProcId) -> Result<(), Errno> {
    let proc = &cx.kernel.procs[target];
    if proc.flags.contains(Flags::TRACED) {
        return Err(Errno::EBUSY);
    }
    if target == cx.id {
        return Err(Errno::EINVAL);
    }
    if Some(target) == cx.kernel.init {
        // Process 1 is ours: it could never be let go again.
        return Err(Errno::EPERM);
    }
    let parent = proc.parent;
    let proc = &mut cx.kernel.procs[target];
    proc.flags.insert(Flags::TRACED);
    proc.xstat = 0;
    if parent != Some(cx.id) {
        proc.original_parent = parent;
        reparent(cx.kernel, target, cx.id);
    }
    psignal(cx.kernel, target, SIGSTOP);
    Ok(())
}

fn detach(cx: &mut Context<'_>, target: ProcId) {
    let proc = &mut cx.kernel.procs[target];
    proc.xstat = 0;
    if !proc.flags.contains(Flags::TRACED) {
        return;
    }
    proc.flags.remove(Flags::TRACED | Flags::WAITED);
    // Else it would die of it.
    proc.sig.pending &= !sigmask(SIGTRAP);
    let original = proc.original_parent.take();
    if let Some(parent) = original.filter(|&parent| cx.kernel.procs.get(parent).is_some()) {
        reparent(cx.kernel, target, parent);
    }
    cx.kernel.wakeup(Channel::Proc(cx.id));
    if cx.kernel.procs[target].state == State::Stop {
        cx.kernel.set_runnable(target);
    }
}

/// Waits until a process stops.  The original sleeps on the process, which nobody wakes when it stops; here the
/// caller sleeps as a parent does.
fn wait(cx: &mut Context<'_>, waiting: Waiting) -> Sysret<()> {
    let Some(proc) = cx.kernel.procs.get(waiting.target) else { return Err(Errno::EBUSY.into()) };
    let stopped = proc.state == State::Stop;
    let ours = proc.flags.contains(Flags::TRACED) && proc.parent == Some(cx.id);
    let goes_on = proc.state != State::Zombie && if waiting.traced { ours } else { true };
    if !stopped && goes_on {
        let channel = Channel::Proc(cx.id);
        let wmesg = if waiting.traced { "procfsx" } else { "procfs" };
        return sleep(
            Sleep { channel, priority: priority::PWAIT, catch: true, wmesg, timeout_ticks: None },
            Resume::Vfs(crate::kernel::vfs::Resume::ProcessStop(waiting)),
        );
    }
    if waiting.traced && !waits_for_us(cx, waiting.target) { Err(Errno::EBUSY.into()) } else { Ok(()) }
}

/// Goes on waiting; the write of the command gives its length.
pub(in crate::kernel::vfs) fn resume_wait(cx: &mut Context<'_>, waiting: Waiting, wake: Wake) -> Sysret<i32> {
    match wake {
        Wake::Interrupted(how) => Err(how.into()),
        _ => wait(cx, waiting).map(|()| waiting.length.cast_signed()),
    }
}

/// Sends a signal by its name; a process that is stopped for the caller goes on with it.
fn signal(cx: &mut Context<'_>, target: ProcId, name: &[u8]) -> Sysret<()> {
    let name = std::str::from_utf8(name).map_err(|_| Errno::EOPNOTSUPP)?;
    let is_named = |signal: &Signal| {
        let known = signal.name().trim_start_matches("SIG").to_ascii_lowercase();
        known == name || name == "iot" && known == "abrt"
    };
    let found = (1..32).filter_map(Signal::from_raw).find(is_named).ok_or(Errno::EOPNOTSUPP)?;
    if waits_for_us(cx, target) {
        cx.kernel.procs[target].xstat = found.raw() as i32;
        cx.kernel.set_runnable(target);
    } else {
        psignal(cx.kernel, target, found.raw());
    }
    Ok(())
}
