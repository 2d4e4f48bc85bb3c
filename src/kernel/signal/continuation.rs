//! How parked signal calls go on.

use syscalls::errno::Errno;

use crate::kernel::{Context, Retval, Sysret, Wake};

/// What a parked signal call keeps.
#[derive(Clone, Debug)]
pub enum Resume {
    /// sigsuspend: it ends only by a signal, and always with EINTR.
    Sigsuspend,
}

/// Goes on with a parked call.
pub fn resume(cx: &mut Context<'_>, state: Resume, wake: Wake) -> Sysret<Retval> {
    match (state, wake) {
        (Resume::Sigsuspend, Wake::Interrupted(_)) => Err(Errno::EINTR.into()),
        (Resume::Sigsuspend, Wake::Woken | Wake::TimedOut) => super::calls::wait_for_signal(cx),
    }
}
