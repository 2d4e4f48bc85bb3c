//! Waiting for a free port.
//!
//! A protocol that has no port left for a socket says EADDRNOTAVAIL and notes it; nothing has been changed by then.
//! The call sleeps until a control block goes, and is made again from its beginning.
//!
//! 2.1 counterpart: none; the loop in in_pcbbind of netinet/in_pcb.c spins with the processor until a timer frees
//! a port.

use syscalls::errno::Errno;

use super::Resume;
use crate::kernel::synch::{self, Channel, Sleep, Wake, priority};
use crate::kernel::{Context, Stop, Sysret};

/// The result of a call, or the wait for a port if that is what it lacks.
pub(super) fn or_wait<T>(cx: &mut Context<'_>, result: Sysret<T>) -> Sysret<T> {
    let taken = std::mem::take(&mut cx.kernel.inet.ports_taken);
    if !taken || !matches!(result, Err(Stop::Errno(Errno::EADDRNOTAVAIL))) {
        return result;
    }
    let sleep = Sleep {
        channel: Channel::Port,
        priority: priority::PSOCK,
        catch: true,
        wmesg: "inport",
        timeout_ticks: None,
    };
    synch::sleep(sleep, Resume::Port.into())
}

/// Makes the call again, or ends it by a signal.
pub(super) fn resume<T>(wake: Wake) -> Sysret<T> {
    Err(match wake {
        Wake::Woken | Wake::TimedOut => Stop::Restart,
        Wake::Interrupted(how) => how.into(),
    })
}
