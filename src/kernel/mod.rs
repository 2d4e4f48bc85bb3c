//! The FreeBSD 2.1 kernel personality: one value, [`Kernel`], in which all guest processes live.
//!
//! 2.1 is a uniprocessor kernel that never preempts itself, and so is this one: a call runs to its end
//! or to a sleep.  A sleeping call is data ([`synch`]); nothing of a guest lives on a host stack.
//!
//! Each area opens with `calls.rs`, the thin handlers that the table of calls names; the engine is in the
//! files beside it.  The kernel knows nothing of the processor's insides, nor of who observes it.

use std::collections::BTreeMap;

use syscalls::flags::RebootFlags;

pub mod allowance;
pub mod arena;
pub mod boot;
mod context;
mod copy;
pub mod counters;
pub mod cred;
pub mod event;
pub mod file;
pub mod intercept;
pub mod ipc;
pub mod kmem;
pub mod ktrace;
pub mod ledger;
pub mod limits;
pub mod net;
pub mod netinet;
pub mod proc;
mod sched;
mod session;
mod shared;
pub mod signal;
mod sleep;
mod sleep_queues;
pub mod socket;
pub mod synch;
pub mod syscall;
pub mod sysctl;
pub mod time;
mod trap;
pub mod tty;
pub mod vfs;
pub mod vm;

use crate::host::tape::Tape;
pub use context::Context;
use proc::ProcId;
pub use sched::RunQueues;
use shared::Alone;
use sleep_queues::SleepQueues;
pub use synch::{Channel, HZ, Parked, Resume, Retval, Sleep, Stop, Sysret, Wake};

/// The kernel: every table that 2.1 keeps in global variables.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Processes, process groups, sessions.
    pub procs: proc::Table,
    /// Open files of all processes (`filehead`).
    pub files: file::Table,
    /// Mounts, vnodes, names.
    pub vfs: vfs::Vfs,
    /// Domains, sockets and their protocol control blocks.
    pub sockets: socket::Layer,
    /// Interfaces and routes.
    pub net: net::Net,
    /// The internet domain.
    pub inet: netinet::Inet,
    /// Sockets of the host that were lent.
    pub lent: socket::lent::Lent,
    /// Terminals.
    pub ttys: tty::Ttys,
    /// System V semaphores, message queues and shared memory.
    pub ipc: ipc::Ipc,
    /// The clock.
    pub clock: time::Clock,
    /// Who asks the host, where a run is recorded or played.
    pub tape: Tape,
    /// Names and numbers that sysctl answers.
    pub system: sysctl::System,
    /// Processes that wait for the processor.
    pub(crate) run_queues: RunQueues,
    /// Processes that sleep, by what they wait for.
    pub(crate) sleepers: SleepQueues,
    /// What is due when: (nanoseconds of the kernel's uptime, sequence) to what.
    pub(crate) timeouts: BTreeMap<(u64, u64), time::Timeout>,
    /// A time before which none of these is due, so that looking at the clock is often enough.
    pub(crate) nothing_due_before: u64,
    /// Process 1: ours, it only waits for orphans.
    pub init: Option<ProcId>,
    /// The session leader above the first program, once that is there.
    pub leader: Option<proc::Leader>,
    /// Process numbers and wait statuses of what processes of ours waited for, for the machine.
    pub reaped: Vec<(i32, i32)>,
    /// Number of times that two processes were found to select on one object (`nselcoll`).
    pub(crate) select_collisions: u64,
    /// The processes that guests trace by ktrace(2).
    pub ktrace: ktrace::Table,
    /// Whether an observer or a guest listens to events: nobody costs one predictable branch.
    pub(crate) watched: bool,
    /// What the run may use.
    pub(crate) allowance: allowance::Allowance,
    /// The directory of the host for core files; without one there are none.
    pub core_directory: Option<crate::host::fs::Place>,
    /// Where the records of processes go.
    pub(crate) accounting: proc::acct::Accounting,
    /// What the kernel has said.
    pub(crate) messages: kmem::log::MessageBuffer,
    /// The device that reads it.
    pub(crate) log_device: kmem::log_device::LogDevice,
    /// The kernel's own file as programs of 2.1 and of 386BSD know it, once somebody has looked.
    pub(crate) kernel_files: [Option<std::rc::Rc<kmem::BootFile>>; 2],
    /// A guest has ended the run, and how (`boot`).
    pub rebooted: Option<RebootFlags>,
    /// Counts of the system as a whole.
    pub counters: counters::Counters,
    /// Blocks of files that the cache would hold.
    pub(crate) blocks: vfs::blocks::Blocks,
    /// What guests asked for and did not get.
    pub ledger: ledger::Ledger,
    /// What waits for the ends of calls that an observer has made up.
    pub(crate) intercepted: intercept::Pending,
    /// The observer of events.
    pub(crate) observer: Alone<Option<Box<dyn event::Observer>>>,
    /// Number of events and timeouts so far; gives each its place in the order.
    pub(crate) sequence: u64,
}
