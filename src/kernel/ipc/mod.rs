//! System V inter-process communication: semaphores, message queues, shared memory.
//!
//! All objects lie in tables of GENERIC's sizes, which guests can exhaust but never outgrow.
//!
//! | file | idea |
//! |---|---|
//! | [`calls`] | semsys, msgsys and shmsys: one call for each kind |
//! | [`perm`] | owners, permissions, identifiers |
//! | [`sem`], [`undo`] | semaphores, and what is taken back when a process ends |
//! | [`msg`] | message queues |
//! | [`shm`] | shared memory |
//!
//! 2.1 counterpart: kern/sysv_*.c.

pub mod calls;
mod continuation;
mod msg;
mod perm;
mod sem;
mod shm;
mod undo;

pub use continuation::{Resume, resume};
pub use shm::Attachments;

use zerocopy::IntoBytes;

use super::proc::ProcId;
use super::synch::{Channel, Sleep, priority};
use super::{Context, Kernel};

/// The tables of all three kinds.
#[derive(Clone, Debug, Default)]
pub struct Ipc {
    pub(in crate::kernel) sem: sem::Semaphores,
    pub(in crate::kernel) msg: msg::Queues,
    pub(in crate::kernel) shm: shm::Segments,
}

/// Limits as programs that look at kernel memory find them: struct seminfo, msginfo and shminfo.
pub(in crate::kernel) const SEMINFO: [u32; 10] = [30, 10, 60, 30, 60, 100, 10, 100, 32767, 16384];
/// See [`SEMINFO`].
pub(in crate::kernel) const MSGINFO: [u32; 6] = [16384, 40, 2048, 40, 8, 2048];
/// See [`SEMINFO`].
pub(in crate::kernel) const SHMINFO: [u32; 5] = [4 << 20, 1, 32, 8, 1024];

impl Ipc {
    /// The table of sets (`sema`).
    pub(in crate::kernel) fn semaphore_sets(&self) -> Vec<u8> {
        (0..sem::SEMMNI).flat_map(|slot| self.sem.layout(slot).as_bytes().to_vec()).collect()
    }

    /// The table of adjustments at the ends of processes (`semu`).
    pub(in crate::kernel) fn adjustments(&self, address_of: impl Fn(ProcId) -> u32) -> Vec<u8> {
        self.sem.undo.layout(address_of)
    }

    /// The table of queues (`msqids`).
    pub(in crate::kernel) fn message_queues(&self) -> Vec<u8> {
        (0..msg::MSGMNI).flat_map(|slot| self.msg.layout(slot).as_bytes().to_vec()).collect()
    }

    /// The table of segments (`shmsegs`).
    pub(in crate::kernel) fn shared_segments(&self) -> Vec<u8> {
        (0..shm::SHMMNI).flat_map(|slot| self.shm.layout(slot).as_bytes().to_vec()).collect()
    }
}

/// Undoes what a process that ends holds of semaphores and shared memory.
pub fn exit(cx: &mut Context<'_>) {
    undo::exit(cx);
    shm::exit(cx);
}

/// Detaches the shared memory of a process that executes a program; its semaphore adjustments stay.
pub fn exec(cx: &mut Context<'_>) {
    shm::exit(cx);
}

/// Counts the segments that a new process has attached, as its parent has.
pub fn fork(kernel: &mut Kernel, child: ProcId) {
    shm::fork(kernel, child);
}

/// A sleep for one of these objects: signals end it, and nothing restarts it.
fn wait_for(channel: Channel, wmesg: &'static str) -> Sleep {
    Sleep { channel, priority: priority::PZERO - 4, catch: true, wmesg, timeout_ticks: None }
}
