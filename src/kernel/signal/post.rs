//! Sending signals: to a process, to a group, and who may.
//!
//! 2.1 counterpart: kern/kern_sig.c (psignal, gsignal, pgsignal, CANSIGNAL).

use syscalls::signal::Properties;

use super::{SIGCHLD, SIGCONT, SIGKILL, STOP_SIGNALS, decide, properties, sigmask};
use crate::kernel::Kernel;
use crate::kernel::event::Event;
use crate::kernel::proc::{Flags, PgrpId, ProcId, State};
use crate::kernel::synch::priority::PUSER;

/// What a process will do with a signal that is posted now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Disposition {
    Default,
    Hold,
    Catch,
}

/// Whether process `from` may send `signal` to process `to`: any real or effective user of the one equals
/// any of the other; SIGCONT also inside a session.
pub fn can_signal(kernel: &Kernel, from: ProcId, to: ProcId, signal: u32) -> bool {
    let (sender, target) = (&kernel.procs[from], &kernel.procs[to]);
    let (ours, theirs) = (&sender.cred, &target.cred);
    ours.is_superuser()
        || [ours.ruid, ours.ucred.uid].iter().any(|u| *u == theirs.ruid || *u == theirs.ucred.uid)
        || (signal == SIGCONT && kernel.procs.session_id(sender.pgrp) == kernel.procs.session_id(target.pgrp))
}

/// Sends a signal to a process.
pub fn psignal(kernel: &mut Kernel, id: ProcId, signal: u32) {
    let mask = sigmask(signal);
    let prop = properties(signal);
    let Some(proc) = kernel.procs.get_mut(id) else { return };
    if proc.state == State::Zombie {
        return;
    }
    let traced = proc.flags.contains(Flags::TRACED);
    let disposition = if traced {
        // A tracer always gets its chance.
        Disposition::Default
    } else if proc.sig.ignore & mask != 0 {
        return;
    } else if proc.sig.mask & mask != 0 {
        Disposition::Hold
    } else if proc.sig.catch & mask != 0 {
        Disposition::Catch
    } else {
        Disposition::Default
    };
    let default = disposition == Disposition::Default;

    if proc.nice > 0 && default && prop.contains(Properties::KILL) && !traced {
        proc.nice = 0;
    }
    if prop.contains(Properties::CONT) {
        proc.sig.pending &= !STOP_SIGNALS;
    }
    if prop.contains(Properties::STOP) {
        let orphaned = kernel.procs.group(kernel.procs[id].pgrp).jobc == 0;
        if prop.contains(Properties::TTYSTOP) && orphaned && default {
            return;
        }
        kernel.procs[id].sig.pending &= !sigmask(SIGCONT);
    }
    kernel.procs[id].sig.pending |= mask;
    kernel.note(id, Event::SignalPosted { signal });

    let proc = &mut kernel.procs[id];
    if disposition == Disposition::Hold && !(prop.contains(Properties::CONT) && proc.state == State::Stop) {
        return;
    }
    match proc.state {
        State::Sleep => {
            if !proc.flags.contains(Flags::SINTR) {
                return;
            }
            if !traced {
                if prop.contains(Properties::CONT) && default {
                    proc.sig.pending &= !mask;
                    return;
                }
                if prop.contains(Properties::STOP) && default {
                    if proc.flags.contains(Flags::PPWAIT) {
                        return;
                    }
                    proc.sig.pending &= !mask;
                    proc.xstat = signal as i32;
                    let parent = proc.parent;
                    tell_parent_of_stop(kernel, parent);
                    decide::stop(kernel, id);
                    return;
                }
                raise_priority(kernel, id);
            }
            kernel.set_runnable(id);
        }
        State::Stop => {
            if traced {
                return;
            }
            if signal == SIGKILL {
                raise_priority(kernel, id);
                kernel.set_runnable(id);
            } else if prop.contains(Properties::CONT) {
                if default {
                    proc.sig.pending &= !mask;
                }
                if disposition == Disposition::Catch {
                    raise_priority(kernel, id);
                    kernel.set_runnable(id);
                } else if proc.wchan.is_none() {
                    kernel.set_runnable(id);
                } else {
                    proc.state = State::Sleep;
                }
                kernel.note(id, Event::Continued);
            } else if prop.contains(Properties::STOP) {
                proc.sig.pending &= !mask;
            } else if proc.wchan.is_some() && proc.flags.contains(Flags::SINTR) {
                // As if woken, but still stopped: it looks at the signal when it is continued.
                kernel.unsleep(id);
            }
        }
        State::Embryo | State::Run | State::Zombie => {}
    }
}

fn raise_priority(kernel: &mut Kernel, id: ProcId) {
    let proc = &mut kernel.procs[id];
    proc.priority = proc.priority.min(PUSER);
}

/// Tells a parent that a child stopped, unless it does not want to know.
pub(super) fn tell_parent_of_stop(kernel: &mut Kernel, parent: Option<ProcId>) {
    if let Some(parent) = parent
        && !kernel.procs[parent].flags.contains(Flags::NOCLDSTOP)
    {
        psignal(kernel, parent, SIGCHLD);
    }
}

/// Sends a signal to the group with a number, if there is one.
pub fn gsignal(kernel: &mut Kernel, pgid: i32, signal: u32) {
    if pgid != 0
        && let Some(group) = kernel.procs.find_group(pgid)
    {
        pgsignal(kernel, group, signal, false);
    }
}

/// Sends a signal to the members of a group, or to those that have a controlling terminal.
pub fn pgsignal(kernel: &mut Kernel, group: PgrpId, signal: u32, with_terminal_only: bool) {
    for id in kernel.procs.group(group).members.clone() {
        if !with_terminal_only || kernel.procs[id].flags.contains(Flags::CONTROLT) {
            psignal(kernel, id, signal);
        }
    }
}
