//! How parked calls on descriptors go on.

use syscalls::arg::Fd;
use syscalls::result::{self, Int, Ret};

use super::select::{self, Selecting};
use super::{FileId, calls, ops};
use crate::kernel::{Context, Retval, Sysret, Wake, synch, syscall};

/// What a parked call on descriptors keeps.
#[derive(Clone, Debug)]
pub enum Resume {
    /// select(2).
    Select(Box<Selecting>),
    /// A read or write over a host descriptor that was not ready: it is simply tried again, since nothing
    /// has been transferred yet.
    Host {
        /// The file.
        file: FileId,
        /// The transfer.
        uio: super::Uio,
        /// Whether it is a write.
        write: bool,
    },
    /// dup2, which waits for the close of what the descriptor was.
    Dup2 {
        /// The descriptor to duplicate.
        from: Fd,
        /// The one that is to be the same.
        to: Fd,
        /// The close in progress.
        close: Box<synch::Resume>,
    },
}

/// Goes on with a parked call.
pub fn resume(cx: &mut Context<'_>, state: Resume, wake: Wake) -> Sysret<Retval> {
    match state {
        Resume::Select(selecting) => select::resume(cx, *selecting, wake).map(Int::regs),
        Resume::Dup2 { from, to, close } => {
            let closed = syscall::go_on(cx, *close, wake).map(|_| ());
            calls::dup_onto(cx, from, to, closed).map(result::Fd::regs)
        }
        Resume::Host { file, uio, write } => match wake {
            Wake::Interrupted(how) => Err(how.into()),
            _ => {
                let object = cx.kernel.files[file].object;
                let again = if write { ops::write } else { ops::read };
                again(cx, file, object, uio).map(Int::regs)
            }
        },
    }
}
