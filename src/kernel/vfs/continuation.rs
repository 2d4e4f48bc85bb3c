//! How parked calls on names, fifos and locks go on.

use syscalls::arg::Fd;
use syscalls::result::{self, Ret};

use super::vnode::VnodeId;
use super::{calls, device, fifo, locking, mount, procfs, stream};
use crate::kernel::file::{FileFlag, FileId, Uio};
use crate::kernel::{Context, Retval, Sysret, Wake, socket};

/// What a parked call on names keeps.
#[derive(Clone, Debug)]
pub enum Resume {
    /// A lock that is waited for.
    Lock(locking::Pending),
    /// An open that waits for the lock that its flags ask for.
    OpenLock {
        /// The descriptor that it will give.
        fd: Fd,
        /// The open file.
        file: FileId,
        /// The lock.
        lock: locking::Pending,
    },
    /// An open of a fifo that waits for the other end.
    Fifo {
        /// The descriptor that it will give.
        fd: Fd,
        /// The open file.
        file: FileId,
        /// The fifo, counted as open.
        vnode: VnodeId,
        /// Flags of open.
        flags: FileFlag,
    },
    /// A read from a fifo.
    FifoRead {
        /// The fifo.
        vnode: VnodeId,
        /// The read from its socket.
        state: socket::Resume,
    },
    /// A command that waits until a process stops.
    ProcessStop(procfs::Waiting),
    /// A read of a tunnel that has no packet.
    TunnelRead {
        /// Its unit.
        unit: u32,
        /// The transfer.
        uio: Uio,
        /// What was asked for.
        requested: u32,
    },
    /// A read of what the kernel says.
    LogRead {
        /// The open file.
        file: FileId,
        /// Where it goes.
        uio: Uio,
        /// What was asked for.
        requested: u32,
    },
    /// A mount of memory, whose caller serves it.
    MemoryMount(mount::MountId),
    /// A daemon that waits for work which never comes.
    Idle,
    /// A write to a host stream that took a part.
    StreamWrite {
        /// The open file.
        file: FileId,
        /// What is left.
        uio: Uio,
        /// What was asked for.
        requested: u32,
    },
}

/// Goes on with a parked call.
pub fn resume(cx: &mut Context<'_>, state: Resume, wake: Wake) -> Sysret<Retval> {
    match state {
        Resume::Lock(lock) => locking::resume(cx, lock, wake).map(result::None::regs),
        Resume::OpenLock { fd, file, lock } => {
            let locked =
                locking::resume_with(cx, lock, wake, &mut |lock| Resume::OpenLock { fd, file, lock });
            calls::locked(cx, fd, file, locked).map(result::Fd::regs)
        }
        Resume::Fifo { fd, file, vnode, flags } => {
            fifo::resume_open(cx, fd, file, vnode, flags, wake).map(result::Fd::regs)
        }
        Resume::FifoRead { vnode, state } => fifo::resume_read(cx, vnode, state, wake),
        Resume::LogRead { file, uio, requested } => match wake {
            Wake::Interrupted(how) => Err(how.into()),
            _ => device::read_log(cx, file, uio, requested).map(result::Int::regs),
        },
        Resume::TunnelRead { unit, uio, requested } => match wake {
            Wake::Interrupted(how) => Err(how.into()),
            _ => device::read_tunnel(cx, unit, uio, requested).map(result::Int::regs),
        },
        Resume::ProcessStop(waiting) => procfs::resume_wait(cx, waiting, wake).map(result::Int::regs),
        Resume::MemoryMount(id) => calls::resume_serve(cx, id, wake).map(result::None::regs),
        Resume::Idle => Ok(result::None::regs(())),
        Resume::StreamWrite { file, uio, requested } => {
            stream::resume_write(cx, file, uio, requested, wake).map(result::Int::regs)
        }
    }
}
