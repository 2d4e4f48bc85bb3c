//! Which pending signal a process acts on next.
//!
//! 2.1 counterpart: kern/kern_sig.c (issignal, stop).

use syscalls::signal::Properties;

use super::post::{psignal, tell_parent_of_stop};
use super::{Action, SIGCHLD, STOP_SIGNALS, properties, sigmask};
use crate::kernel::Kernel;
use crate::kernel::event::Event;
use crate::kernel::proc::{Flags, ProcId, State, leader};
use crate::kernel::synch::Channel;

/// What issignal found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursig {
    /// Nothing to act on.
    None,
    /// This signal must be acted on.
    Signal(u32),
    /// The process has stopped; it must ask again when it is continued.
    Stopped,
}

/// Finds the signal that the process must act on.  Stops happen here; a stopped process asks again when
/// it runs.
#[inline]
pub fn issignal(kernel: &mut Kernel, id: ProcId) -> Cursig {
    if kernel.procs[id].is_signalled() { find_signal(kernel, id) } else { Cursig::None }
}

fn find_signal(kernel: &mut Kernel, id: ProcId) -> Cursig {
    // The signal that stopped the process is taken when it goes on: one of the same kind that came after
    // SIGCONT and before this moment is lost with it.
    let sig = &mut kernel.procs[id].sig;
    sig.pending &= !std::mem::take(&mut sig.stopped_by);
    loop {
        if let Some(next) = after_trace_stop(kernel, id) {
            match next {
                Cursig::None => {}
                found => return found,
            }
        }
        let proc = &mut kernel.procs[id];
        let mut mask = proc.sig.pending & !proc.sig.mask;
        if proc.flags.contains(Flags::PPWAIT) {
            mask &= !STOP_SIGNALS;
        }
        if mask == 0 {
            return Cursig::None;
        }
        let signal = mask.trailing_zeros() + 1;
        let bit = sigmask(signal);
        let traced = proc.flags.contains(Flags::TRACED);
        if proc.sig.ignore & bit != 0 && !traced {
            proc.sig.pending &= !bit;
            continue;
        }
        if traced && !proc.flags.contains(Flags::PPWAIT) {
            proc.xstat = signal as i32;
            proc.trace_stop = Some(signal);
            if let Some(parent) = proc.parent {
                psignal(kernel, parent, SIGCHLD);
            }
            stop(kernel, id);
            return Cursig::Stopped;
        }
        match act(kernel, id, signal) {
            Cursig::None => kernel.procs[id].sig.pending &= !bit,
            found => return found,
        }
    }
}

/// What follows when a traced process runs again: the tracer may have changed the signal.
fn after_trace_stop(kernel: &mut Kernel, id: ProcId) -> Option<Cursig> {
    let proc = &mut kernel.procs[id];
    let reported = proc.trace_stop.take()?;
    if !proc.flags.contains(Flags::TRACED) {
        return None;
    }
    proc.sig.pending &= !sigmask(reported);
    let signal = proc.xstat as u32;
    if signal == 0 || signal >= super::NSIG {
        return None;
    }
    let bit = sigmask(signal);
    proc.sig.pending |= bit;
    if proc.sig.mask & bit != 0 {
        return None;
    }
    let found = act(kernel, id, signal);
    if found == Cursig::None {
        kernel.procs[id].sig.pending &= !bit;
    }
    Some(found)
}

/// Decides about one signal: to act on it, to stop, or (`None`) to drop it.
fn act(kernel: &mut Kernel, id: ProcId, signal: u32) -> Cursig {
    let prop = properties(signal);
    let proc = &mut kernel.procs[id];
    match proc.sig.action[signal as usize] {
        Action::Ignore => Cursig::None,
        Action::Catch(_) => Cursig::Signal(signal),
        // Process 1 and the system's own take no default actions.
        Action::Default if proc.pid <= 1 => Cursig::None,
        Action::Default if prop.contains(Properties::STOP) => {
            let orphaned = kernel.procs.group(kernel.procs[id].pgrp).jobc == 0;
            let proc = &mut kernel.procs[id];
            if proc.flags.contains(Flags::TRACED) || (orphaned && prop.contains(Properties::TTYSTOP)) {
                return Cursig::None;
            }
            proc.xstat = signal as i32;
            proc.sig.stopped_by = sigmask(signal);
            let parent = proc.parent;
            stop(kernel, id);
            tell_parent_of_stop(kernel, parent);
            Cursig::Stopped
        }
        Action::Default if prop.contains(Properties::IGNORE) => Cursig::None,
        Action::Default => Cursig::Signal(signal),
    }
}

/// Stops a process and wakes its parent.
pub fn stop(kernel: &mut Kernel, id: ProcId) {
    let proc = &mut kernel.procs[id];
    proc.state = State::Stop;
    proc.flags.remove(Flags::WAITED);
    let signal = proc.xstat as u32;
    let parent = proc.parent;
    kernel.remove_from_run_queue(id);
    kernel.note(id, Event::Stopped { signal });
    leader::note_stop(kernel, id);
    if let Some(parent) = parent {
        kernel.wakeup(Channel::Proc(parent));
    }
}
