//! Processes, process groups and sessions.
//!
//! 2.1 counterpart: sys/proc.h, kern/kern_proc.c.

pub mod acct;
pub mod calls;
mod continuation;
pub(in crate::kernel) mod core;
pub mod exec;
pub mod exit;
pub mod fork;
mod group;
mod jobs;
pub mod leader;
mod older_user_area;
mod priority;
mod ptrace;
mod resource;
mod table;
mod user_area;

use std::cell::Cell;

use bitflags::bitflags;

pub use continuation::{Resume, resume};
pub(in crate::kernel) use exit::reparent;
pub use group::{Pgrp, PgrpId, Session, SessionId, enter_pgrp, fix_jobc, leave_pgrp};
pub use leader::Leader;
pub use table::Table;
pub(in crate::kernel) use user_area::{
    frame_words as trap_frame, image as user_area_image, set_frame as set_trap_frame,
};

use super::arena::Id;
use super::cred::Pcred;
use super::file::Filedesc;
use super::limits::Plimit;
use super::signal::Sigacts;
use super::synch::{Channel, Parked};
use super::time::{Itimer, Usage};
use super::vm::Vmspace;
use crate::trapframe::Trapframe;

/// Key of a process.
pub type ProcId = Id<Proc>;

/// Longest command name that is kept.
pub const MAXCOMLEN: usize = 16;
/// Largest process number.
pub const PID_MAX: i32 = 30000;

/// What a process is doing (`p_stat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Being created (SIDL).
    Embryo = 1,
    /// Running or ready to run (SRUN).
    Run = 2,
    /// Waiting for a channel (SSLEEP).
    Sleep = 3,
    /// Stopped by a signal or a tracer (SSTOP).
    Stop = 4,
    /// Dead, not yet waited for (SZOMB).
    Zombie = 5,
}

bitflags! {
    /// Flags of a process (`p_flag`), with the original's values.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// May hold a record lock.
        const ADVLOCK = 0x00001;
        /// Has a controlling terminal.
        const CONTROLT = 0x00002;
        /// Loaded into memory: always.
        const INMEM = 0x00004;
        /// No SIGCHLD when children stop.
        const NOCLDSTOP = 0x00008;
        /// The parent waits until this process executes or exits (vfork).
        const PPWAIT = 0x00010;
        /// Profiles itself.
        const PROFIL = 0x00020;
        /// In select, between looking and sleeping.
        const SELECT = 0x00040;
        /// Its sleep can be interrupted.
        const SINTR = 0x00080;
        /// Had set-id privileges since the last exec.
        const SUGID = 0x00100;
        /// A system process.
        const SYSTEM = 0x00200;
        /// Its sleep timed out.
        const TIMEOUT = 0x00400;
        /// Traced by its parent.
        const TRACED = 0x00800;
        /// Its tracer has waited for it.
        const WAITED = 0x01000;
        /// Exiting.
        const WEXIT = 0x02000;
        /// Has called exec.
        const EXEC = 0x04000;
    }
}

/// A sleep in progress, or one that has ended and whose call must go on.
#[derive(Clone, Debug)]
pub struct Asleep {
    /// The sleep and the continuation.
    pub parked: Box<Parked>,
    /// The process was stopped by a signal before it began to sleep; it looks at signals first.
    pub stopped_at_entry: bool,
    /// When it went to sleep, for the tracer.
    pub since: u64,
    /// Who woke it, and when, for the tracer.
    pub woken: Option<Waker>,
}

/// Who made a sleeper ready to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waker {
    /// Number of the process.
    pub pid: i32,
    /// Uptime in nanoseconds.
    pub at: u64,
}

/// A guest process.
#[derive(Clone, Debug)]
pub struct Proc {
    /// Process number.
    pub pid: i32,
    /// Its state.
    pub state: State,
    /// Flags.
    pub flags: Flags,
    /// Command name.
    pub comm: Vec<u8>,
    /// Registers.
    pub frame: Trapframe,
    /// The error code that the last trap pushed; signal handlers find it in `sf_addr`.
    pub trap_error: u32,
    /// Address space.
    pub vm: Vmspace,
    /// Open files and directories.
    pub fd: Filedesc,
    /// Identity.
    pub cred: Pcred,
    /// Limits.
    pub limits: Plimit,
    /// Signal actions and state.
    pub sig: Sigacts,
    /// Parent.
    pub parent: Option<ProcId>,
    /// Children, the youngest first.
    pub children: Vec<ProcId>,
    /// Parent to go back to after a trace ends.
    pub original_parent: Option<ProcId>,
    /// Process group.
    pub pgrp: PgrpId,
    /// Exit status, or the signal that stopped it (`p_xstat`).
    pub xstat: i32,
    /// Where it sleeps.
    pub wchan: Option<Channel>,
    /// The call in progress, while it sleeps.
    pub asleep: Option<Asleep>,
    /// Number of the timeout that ends its sleep.
    pub sleep_timeout: Option<(u64, u64)>,
    /// A stop inside of issignal for a tracer: the signal that it reported.
    pub trace_stop: Option<u32>,
    /// The call in progress, for the tracer and for restarts.
    pub call: Option<super::syscall::Call>,
    /// Priority now, and in user mode.
    pub priority: u8,
    /// Priority in user mode.
    pub usrpri: u8,
    /// Nice value, -20 to 20.
    pub nice: i32,
    /// Recent use of the processor.
    pub estcpu: u32,
    /// Seconds that it has slept.
    pub slptime: u32,
    /// Real-time priority: type (1 normal) and value.
    pub rtprio: (u16, u16),
    /// Times and counts of this process, and of its children that were waited for.
    pub usage: Usage,
    /// Usage of children that were waited for.
    pub children_usage: Usage,
    /// Interval timers: real, virtual, profiling.
    pub itimer: [Itimer; 3],
    /// Number of the timeout of the real timer.
    pub real_timeout: Option<(u64, u64)>,
    /// When it began, in nanoseconds since the epoch.
    pub start: u64,
    /// Instructions executed.
    pub instructions: u64,
    /// Profiling: buffer, size, offset, scale.
    pub profil: [u32; 4],
    /// Vnode of the program.
    pub text: Option<super::vfs::VnodeId>,
    /// Its program is of a system before 2.0 ([`crate::image::Plan::older`]).
    pub older_program: bool,
    /// Control word with which a program's x87 unit begins.
    pub initial_fpcw: u16,
    /// Beats of the clock that counts use in this second (`p_cpticks`).
    pub cpticks: u32,
    /// Share of the processor, in fixed point (`p_pctcpu`).
    pub pctcpu: u32,
    /// Seconds since it was made (`p_swtime`).
    pub swtime: u32,
    /// What it has done, for accounting ([`acct::flag`]).
    pub acflag: Cell<u8>,
    /// Counts the programs that the process has executed, so that the machine drops decoded code.
    pub image_generation: u64,
}

impl Proc {
    /// Whether it is ready to run, and no call of it sleeps.
    #[inline]
    pub(in crate::kernel) fn in_user_mode(&self) -> bool {
        self.state == State::Run && self.asleep.is_none()
    }

    /// Whether a signal may have to be acted on: one that is not masked, or that stopped it.
    #[inline]
    pub(in crate::kernel) fn is_signalled(&self) -> bool {
        self.sig.pending & !self.sig.mask != 0 || self.sig.stopped_by != 0 || self.trace_stop.is_some()
    }

    /// Goes back to user mode, to the priority there, if there is nothing to look at before.
    #[inline]
    pub(in crate::kernel) fn goes_on(&mut self) -> bool {
        let free = self.in_user_mode() && !self.is_signalled();
        if free {
            self.priority = self.usrpri;
        }
        free
    }

    /// Notes something for accounting.
    pub fn account(&self, flag: u8) {
        self.acflag.set(self.acflag.get() | flag);
    }

    /// Whether it leads its session (`SESS_LEADER`).
    pub fn is_session_leader(&self, table: &Table) -> bool {
        table.session(self.pgrp).leader == Some(self.pid)
    }
}
