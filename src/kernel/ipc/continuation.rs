//! How parked calls on System V objects go on.  A signal ends them with EINTR and nothing restarts them.

use syscalls::result::{Int, Ret};

use super::{msg, sem};
use crate::kernel::{Context, Retval, Sysret, Wake};

/// What a parked call on System V objects keeps.
#[derive(Clone, Copy, Debug)]
pub enum Resume {
    /// semop: its operations, and the semaphore that counts it.
    Semop(sem::Waiting),
    /// msgsnd: where the message is, and whether it locked the queue.
    Msgsnd(msg::Sending),
    /// msgrcv: where the message goes, and which.
    Msgrcv(msg::Receiving),
}

/// Goes on with a parked call.
pub fn resume(cx: &mut Context<'_>, state: Resume, wake: Wake) -> Sysret<Retval> {
    match state {
        Resume::Semop(waiting) => sem::resume(cx, waiting, wake),
        Resume::Msgsnd(sending) => msg::resume_send(cx, sending, wake),
        Resume::Msgrcv(receiving) => msg::resume_receive(cx, receiving, wake),
    }
    .map(Int::regs)
}
