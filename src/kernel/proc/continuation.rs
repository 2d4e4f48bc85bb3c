//! How parked calls on processes go on.

use syscalls::result::{IntPair, Ret};

use super::exec::{self, Becoming};
use super::exit::{self, Stage, Waiting};
use super::{ProcId, fork};
use crate::kernel::{Context, Retval, Stop, Sysret, Wake, synch, syscall};

/// What a parked call on processes keeps.
#[derive(Clone, Debug)]
pub enum Resume {
    /// wait4 and the old wait; the process number is already replaced by the group where it was 0.
    Wait(Waiting),
    /// The parent of vfork; holds the child.
    Vfork(ProcId),
    /// exit, which waits for the output of a terminal or a connection that lingers.
    Exit {
        /// The status to end with.
        status: i32,
        /// What it is about.
        stage: Stage,
        /// The close or the wait in progress.
        state: Box<synch::Resume>,
    },
    /// execve, which waits for the close of a file that is not passed on.
    Exec {
        /// What is left to do.
        becoming: Box<Becoming>,
        /// The close in progress.
        close: Box<synch::Resume>,
    },
}

/// Goes on with a parked call.
pub fn resume(cx: &mut Context<'_>, state: Resume, wake: Wake) -> Sysret<Retval> {
    match (state, wake) {
        (Resume::Wait(_), Wake::Interrupted(how)) => Err(how.into()),
        (Resume::Wait(waiting), Wake::Woken | Wake::TimedOut) => {
            exit::wait1(cx, waiting).map(|(eax, edx)| Retval { eax, edx })
        }
        (Resume::Exit { status, stage, state }, wake) => {
            exit::resume(cx, status, stage, *state, wake)?;
            Err(Stop::JustReturn)
        }
        (Resume::Exec { becoming, close }, wake) => {
            let closed = syscall::go_on(cx, *close, wake).map(|_| ());
            exec::close_files(cx, becoming, closed)?;
            Err(Stop::JustReturn)
        }
        (Resume::Vfork(child), _) => fork::wait_for_vfork(cx, child).map(IntPair::regs),
    }
}
