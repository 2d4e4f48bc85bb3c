//! The start of the kernel: process 1, and the first program.
//!
//! 2.1 counterpart: kern/init_main.c.

use std::cell::Cell;
use std::collections::BTreeMap;

use syscalls::errno::Errno;

use super::cred::{NGROUPS, Pcred};
use super::event::Observer;
use super::file::{self, Filedesc};
use super::limits::{MAXFILES, Plimit, Resource, Rlimit};
use super::proc::exec::ExecError;
use super::proc::leader::{LEADER_PID, Leader};
use super::proc::{Flags, Proc, ProcId, State, enter_pgrp};
use super::shared::Alone;
use super::signal::{Action, CANT_MASK, NSIG, SIGCONT, SIGKILL, SIGSTOP, Sigacts, sigmask};
use super::sleep_queues::SleepQueues;
use super::synch::priority::PUSER;
use super::time::{Clock, Itimer, SECOND_NS, Timeout, Usage};
use super::vm::Vmspace;
use super::{Context, Kernel, RunQueues, net, netinet, proc, sched, socket, sysctl, tty, vfs};
use crate::host::stdio::Stream;
use crate::host::tape::Tape;
use crate::trapframe::Trapframe;
use crate::trapframe::fpu::INITIAL_CONTROL;

/// Name of the session leader where processes are listed.
const LEADER_NAME: &[u8] = b"update";

/// What the kernel says first.
pub(in crate::kernel) const COPYRIGHT: &str = "Copyright (c) 1992-1995 The FreeBSD Project.\nCopyright (c) 1982, 1986, 1989, 1991, 1993\n\tThe Regents of the University of California.  All rights reserved.\n\n";

/// What a machine is built of.
#[derive(Debug)]
pub struct Config {
    /// The file systems.
    pub vfs: vfs::Vfs,
    /// The clock.
    pub clock: Clock,
    /// Names and numbers of the system.
    pub system: sysctl::System,
    /// The network.
    pub network: socket::Network,
}

#[cfg(test)]
impl Config {
    /// A machine without files, under a virtual clock: for tests that call the kernel themselves.
    pub(crate) fn bare() -> Self {
        Self {
            vfs: vfs::Vfs::default(),
            clock: Clock::deterministic(),
            system: sysctl::System::default(),
            network: socket::Network::default(),
        }
    }
}

/// The first program.
#[derive(Clone, Debug)]
pub struct Program {
    /// Paths in the guest; the first one that exists is executed.
    pub paths: Vec<Vec<u8>>,
    /// Arguments, the name first.
    pub args: Vec<Vec<u8>>,
    /// Environment, as NAME=VALUE.
    pub env: Vec<Vec<u8>>,
    /// Current directory in the guest.
    pub cwd: Vec<u8>,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
    /// Login name.
    pub login: Vec<u8>,
    /// Control word of a fresh x87 unit.
    pub fpcw: u16,
    /// What it has besides from whoever starts it.
    pub inherited: Inherited,
}

impl Program {
    /// All of its groups, the first one first.
    pub(super) fn groups_of(&self) -> Vec<u32> {
        let further = self.groups.iter().copied().filter(|&group| group != self.gid);
        [self.gid].into_iter().chain(further).take(NGROUPS).collect()
    }
}

/// What a program has from whoever starts it, besides arguments, environment and descriptors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inherited {
    /// Mode bits that new files do not get.
    pub umask: u16,
    /// Ignored signals, as a set.
    pub ignored: u32,
    /// Blocked signals, as a set.
    pub blocked: u32,
    /// Nice value.
    pub nice: i32,
    /// Soft limits where they are below 2.1's own.
    pub limits: Vec<(Resource, i64)>,
    /// Nobody above could continue it after a stop: its group is orphaned.
    pub orphaned: bool,
}

impl Default for Inherited {
    /// What a fresh login has.
    fn default() -> Self {
        Self { umask: 0o022, ignored: 0, blocked: 0, nice: 0, limits: Vec::new(), orphaned: false }
    }
}

/// What a descriptor of the first program is.
#[derive(Debug)]
pub enum Opened {
    /// The null device.
    Null,
    /// A stream of the host's.
    Stream(Stream),
    /// The first of the machine's terminals, or the null device where there is none.
    Terminal,
}

/// A descriptor that the first program finds open, and its number.
pub type Descriptor = (u32, Opened);

/// Why the first program did not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartFailure {
    /// Its current directory cannot be entered.
    Directory(Errno),
    /// It cannot be executed.
    Exec(ExecError),
    /// It is no program at all, in words.
    Unfit(&'static str),
}

impl std::fmt::Display for StartFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(errno) => f.write_str(errno.message()),
            Self::Exec(error) => write!(f, "{error}"),
            Self::Unfit(why) => f.write_str(why),
        }
    }
}

impl From<ExecError> for StartFailure {
    fn from(e: ExecError) -> Self {
        Self::Exec(e)
    }
}

impl Kernel {
    /// A kernel with process 1 only.
    pub fn new(config: Config) -> Self {
        Self::with_tape(config, Tape::default())
    }

    /// The same where a run is recorded or played.
    pub fn with_tape(config: Config, tape: Tape) -> Self {
        let mut kernel = Kernel {
            procs: proc::Table::default(),
            files: file::Table::default(),
            vfs: config.vfs,
            sockets: socket::Layer::default(),
            net: net::Net::default(),
            inet: netinet::Inet::new(config.network),
            lent: Default::default(),
            ttys: tty::Ttys::default(),
            ipc: super::ipc::Ipc::default(),
            clock: config.clock,
            tape,
            system: config.system,
            init: None,
            leader: None,
            reaped: Vec::new(),
            run_queues: RunQueues::default(),
            sleepers: SleepQueues::default(),
            timeouts: BTreeMap::new(),
            nothing_due_before: 0,
            select_collisions: 0,
            ktrace: super::ktrace::Table::default(),
            watched: false,
            intercepted: super::intercept::Pending::default(),
            allowance: super::allowance::Allowance::default(),
            core_directory: None,
            accounting: proc::acct::Accounting::default(),
            messages: super::kmem::log::MessageBuffer::default(),
            log_device: super::kmem::log_device::LogDevice::default(),
            kernel_files: [None, None],
            rebooted: None,
            counters: super::counters::Counters::default(),
            blocks: vfs::blocks::Blocks::default(),
            ledger: super::ledger::Ledger::default(),
            observer: Alone::default(),
            sequence: 0,
        };
        kernel.vfs.offer_kernel(super::kmem::synthetic());
        super::kmem::log::printf(&mut kernel, COPYRIGHT);
        let version = kernel.system.version.clone();
        super::kmem::log::printf(&mut kernel, &version);
        socket::protosw::domaininit(&mut kernel);
        kernel.ttys.attach_ptys(tty::DEFAULT_PTYS);
        let group = kernel.procs.insert_group(1, login_name(b"root"));
        let init = kernel.blank_process(1, None, group, Pcred::new(0, 0), b"init");
        kernel.procs[init].state = State::Sleep;
        kernel.init = Some(init);
        // Those of 2.1's own processes come before.
        kernel.procs.set_last_pid(LEADER_PID);
        kernel.add_timeout(SECOND_NS, Timeout::Second);
        kernel
    }

    /// Sets who observes from now on.
    pub fn observe(&mut self, observer: Box<dyn Observer>) {
        self.set_observer(Some(observer));
    }

    /// Makes a process without a program that leads a session of its own: for tests that call the gate
    /// themselves.
    pub fn first_process(&mut self, cred: Pcred, login: &[u8]) -> ProcId {
        let pid = self.procs.next_pid();
        let group = self.procs.insert_group(pid, login_name(login));
        let id = self.blank_process(pid, self.init, group, cred, b"");
        if let Some(init) = self.init {
            self.procs[init].children.insert(0, id);
        }
        let uid = self.procs[id].cred.ruid;
        self.procs.change_count(uid, 1);
        id
    }

    /// Starts the first program in a new process below a session leader.  A kernel whose first program did
    /// not start is of no further use.
    pub fn start(&mut self, program: &Program, descriptors: Vec<Descriptor>) -> Result<ProcId, StartFailure> {
        let id = self.process_below_leader(program);
        self.procs[id].initial_fpcw = program.fpcw;
        // What the machine sets up for the program is not the program's doing.
        let observer = self.take_observer();
        // What is inherited counts from exec on: more descriptors than the limit allows stay open.
        let nofile = self.procs[id].limits.get(Resource::Nofile);
        self.procs[id].limits.set(Resource::Nofile, Rlimit { cur: MAXFILES as i64, ..nofile });
        let mut cx = Context::new(self, id);
        vfs::open_descriptors(&mut cx, descriptors).map_err(ExecError::Errno)?;
        vfs::change_directory(&mut cx, &program.cwd).map_err(StartFailure::Directory)?;
        self.procs[id].limits.set(Resource::Nofile, nofile);
        self.inherit(id, &program.inherited);
        self.set_observer(observer);
        self.execute(id, program)?;
        self.procs[id].state = State::Run;
        self.set_run_queue(id);
        Ok(id)
    }

    /// Makes the session leader, and the first program's process in a group of its own.
    pub(in crate::kernel) fn process_below_leader(&mut self, program: &Program) -> ProcId {
        let group = self.procs.insert_group(LEADER_PID, login_name(&program.login));
        let leader = self.blank_process(LEADER_PID, self.init, group, Pcred::new(0, 0), LEADER_NAME);
        self.procs.leave_out();
        self.procs[leader].state = State::Sleep;
        self.procs[leader].flags.insert(Flags::SYSTEM);
        let parent = if program.inherited.orphaned { self.init } else { Some(leader) };
        let cred = Pcred::of(program.uid, &program.groups_of());
        let pid = self.procs.next_pid();
        let id = self.blank_process(pid, parent, group, cred, b"");
        for (parent, child) in [(self.init, leader), (parent, id)] {
            if let Some(parent) = parent {
                self.procs[parent].children.insert(0, child);
            }
        }
        self.procs.change_count(program.uid, 1);
        enter_pgrp(self, id, pid, false);
        self.leader = Some(Leader::new(leader, id));
        id
    }

    /// Gives a process what it inherits.
    pub(super) fn inherit(&mut self, id: ProcId, inherited: &Inherited) {
        let proc = &mut self.procs[id];
        proc.fd.umask = inherited.umask & 0o777;
        proc.nice = inherited.nice.clamp(-20, 20);
        proc.sig.mask = inherited.blocked & !CANT_MASK;
        for signal in (1..NSIG).filter(|&signal| inherited.ignored & sigmask(signal) != 0) {
            if matches!(signal, SIGKILL | SIGSTOP) {
                continue;
            }
            if let Some(action) = proc.sig.action.get_mut(signal as usize) {
                *action = Action::Ignore;
            }
            // SIGCONT continues the process all the same.
            if signal != SIGCONT {
                proc.sig.ignore |= sigmask(signal);
            }
        }
        for &(resource, soft) in &inherited.limits {
            let limit = proc.limits.get(resource);
            proc.limits.set(resource, Rlimit { cur: limit.cur.min(soft), ..limit });
        }
        self.reset_priority(id);
    }

    fn blank_process(
        &mut self,
        pid: i32,
        parent: Option<ProcId>,
        pgrp: proc::PgrpId,
        cred: Pcred,
        comm: &[u8],
    ) -> ProcId {
        let start = self.clock.now();
        let id = self.procs.insert(|_| Proc {
            pid,
            state: State::Embryo,
            flags: Flags::INMEM,
            comm: comm.to_vec(),
            frame: Trapframe::new(),
            trap_error: 0,
            vm: Vmspace::empty(),
            fd: Filedesc::default(),
            cred,
            limits: Plimit::default(),
            sig: Sigacts::default(),
            parent,
            children: Vec::new(),
            original_parent: None,
            pgrp,
            xstat: 0,
            wchan: None,
            asleep: None,
            sleep_timeout: None,
            trace_stop: None,
            call: None,
            priority: PUSER,
            usrpri: PUSER,
            nice: 0,
            estcpu: 0,
            slptime: 0,
            rtprio: (sched::RTP_PRIO_NORMAL, 0),
            usage: Usage::default(),
            children_usage: Usage::default(),
            itimer: [Itimer::default(); 3],
            real_timeout: None,
            start,
            instructions: 0,
            profil: [0; 4],
            text: None,
            older_program: false,
            initial_fpcw: INITIAL_CONTROL,
            acflag: Cell::default(),
            cpticks: 0,
            pctcpu: 0,
            swtime: 0,
            image_generation: 0,
        });
        self.procs.join_group(pgrp, id);
        id
    }
}

fn login_name(name: &[u8]) -> [u8; 12] {
    let mut login = [0; 12];
    let len = name.len().min(11);
    login[..len].copy_from_slice(&name[..len]);
    login
}
