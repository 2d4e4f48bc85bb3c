//! Interval timers.
//!
//! 2.1 counterpart: kern/kern_time.c (realitexpire, itimerdecr), kern/kern_clock.c (hardclock).

use super::Timeout;
use crate::kernel::Kernel;
use crate::kernel::proc::ProcId;
use crate::kernel::signal::{SIGALRM, SIGPROF, SIGVTALRM, psignal};

/// An interval timer, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Itimer {
    /// Between expirations; zero for once only.
    pub interval: u64,
    /// The real timer: the uptime of the next expiration.  The others: time left.  Zero: not running.
    pub value: u64,
}

/// Sends SIGALRM and sets the timer anew where it has an interval; missed expirations are one.
pub fn real_timer_expired(kernel: &mut Kernel, id: ProcId) {
    if kernel.procs.get(id).is_none() {
        return;
    }
    psignal(kernel, id, SIGALRM);
    let now = kernel.clock.uptime();
    let proc = &mut kernel.procs[id];
    proc.real_timeout = None;
    let timer = &mut proc.itimer[0];
    if timer.interval == 0 {
        timer.value = 0;
        return;
    }
    let periods = (now.saturating_sub(timer.value) / timer.interval) + 1;
    timer.value += periods * timer.interval;
    let due = timer.value;
    let key = kernel.add_timeout(due, Timeout::RealTimer(id));
    kernel.procs[id].real_timeout = Some(key);
}

/// Lets the virtual timer of a process run for `user` nanoseconds, and the profiling one for those in the kernel
/// too.
pub fn itimer_decrement(kernel: &mut Kernel, id: ProcId, user: u64, system: u64) {
    let [_, virtual_timer, profiling] = &kernel.procs[id].itimer;
    if virtual_timer.value == 0 && profiling.value == 0 {
        return;
    }
    for (which, signal, ns) in [(1, SIGVTALRM, user), (2, SIGPROF, user + system)] {
        let timer = &mut kernel.procs[id].itimer[which];
        if timer.value == 0 {
            continue;
        }
        if timer.value > ns {
            timer.value -= ns;
            continue;
        }
        let late = ns - timer.value;
        timer.value = match timer.interval {
            0 => 0,
            interval => interval - late % interval,
        };
        psignal(kernel, id, signal);
    }
}
