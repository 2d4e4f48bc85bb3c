//! The scheduler: picks a runnable guest process, runs its processor, serves the trap, goes on.
//!
//! One host thread runs all guest processes.  2.1's kernel is not preempted, so a trap is served whole;
//! a guest is preempted only between instructions, when its budget or its time slice is over or a better
//! process has become ready.
//!
//! 2.1 counterpart: the loop that i386/i386/swtch.s and the hardware form.

mod builder;
pub mod control;
pub mod debug;
mod display;
mod host_signals;
mod job;
mod limits;
pub mod login;
mod mounts;
mod outcome;
mod processor;
mod profiler;
mod pulse;
pub mod snapshot;
mod stdio;
mod taped;
mod turn;
mod wish;

pub use builder::{Builder, Changes, DEFAULT_PATH, Disk, Mount, Plan, StartError};
pub use display::Display;
pub use job::Notice;
use job::{Job, Teller};
pub use limits::{Limit, Limits, MEMORY};
use outcome::{Both, Collector};
pub use outcome::{Happened, Outcome};
use processor::Slot;
pub use processor::Statistics;
use profiler::Profiled;
pub use profiler::Profiler;
pub use snapshot::{Snapshot, SnapshotError};
pub use stdio::Stdio;
use turn::Turn;

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use smallvec::SmallVec;
use syscalls::flags::RebootFlags;

use host_signals::Requests;
use limits::Meter;
use pulse::Pulse;

use crate::cpu::{Library, Options};
use crate::host;
use crate::host::error::HostError;
use crate::host::fs::{HostKind, Place};
use crate::host::memory;
use crate::host::signal::Signals;
use crate::host::stdio::Poll;
use crate::host::tape::{Question, Tape};
use crate::host::temporary::Directory;
use crate::kernel::boot::{Config, Descriptor, Program, StartFailure};
use crate::kernel::netinet::bridge;
use crate::kernel::proc::ProcId;
use crate::kernel::signal::SIGKILL;
use crate::kernel::time::SECOND_NS;
use crate::kernel::{Kernel, event::Observer, tty, vfs};

/// Instructions between two looks at the clock.  Under a virtual clock always so many: they decide who runs when.
const BUDGET: u64 = 100_000;
/// The most of them under the host's clock, and the time that they may take.
const LONGEST: (u64, u64) = (10 * BUDGET, SECOND_NS / 1000);
/// What a trap counts for in the budget, in instructions.
pub const TRAP_COST: u64 = 200;
/// Of so many traps the time of one is measured.
const MEASURED: u32 = 32;
/// Time after which another process of the same priority gets its turn (hz/10 ticks).
const SLICE_NS: u64 = SECOND_NS / 10;

/// How long a machine without processes waits for the host's network to take what is left to send.
const SENDING_NS: u64 = 10 * SECOND_NS;

/// Longest time that a debugger waits for a guest that sleeps before it looks at its own user.
const LOOK_NS: u64 = SECOND_NS / 20;

/// How the first program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this status.
    Exited(u8),
    /// A signal ended it.
    Signaled(u32),
    /// Every process waits for something that can no longer happen.
    Deadlock,
    /// The guest halted or restarted the machine.
    Rebooted(RebootFlags),
    /// The run hit one of its limits.
    Limit(Limit),
}

/// A machine: the kernel, and a processor for each process.
#[derive(Debug)]
pub struct Machine {
    /// Apart: a machine is moved several times until it runs.
    kernel: Box<Kernel>,
    slots: Vec<Slot>,
    first: Option<i32>,
    ended: Option<i32>,
    meter: Meter,
    /// The host's signals, where they are passed on.
    signals: Option<Signals>,
    /// Who asked for the end.
    requests: Requests,
    /// The run as a job of the host's shell.
    job: Job,
    /// What observers hold back.
    pulse: Pulse,
    /// Everybody has been sent SIGKILL.
    killing: bool,
    /// The directory of the host for the guest's scratch directories.
    scratch: Option<Rc<Directory>>,
    /// And for files that only this run sees.
    lent: Option<Rc<Directory>>,
    /// Standard streams whose bytes are wanted in the end.
    captured: [Option<OwnedFd>; 3],
    /// Who keeps the events.
    collector: Option<Collector>,
    /// Instructions of all processes so far.
    instructions: u64,
    /// What a debugger wants, where there is one, and the turn that it has interrupted.
    debugger: Option<Box<debug::Debugger>>,
    turn: Option<Turn>,
    /// Who counts what is executed, if anybody does.
    profiled: Option<Profiled>,
    /// The end of the last turn was a look at the host.
    looked: bool,
    /// Short turns since the clock was looked at, and what of their time was the kernel's.
    short_turns: u8,
    unclaimed: u64,
    /// Traps that were served.
    traps: u32,
    /// Instructions of a slice.
    budget: u64,
    /// Bytes of decoded and translated code that single processes have.
    code: u64,
    /// How processors work.
    options: Options,
    /// Code that processes have in common.
    library: Rc<Library>,
    /// Who may ask from outside, and what.
    control: Option<control::Control>,
    /// The leaders of sessions of which there are records.
    sessions: Vec<(i32, login::Entry)>,
    /// What logins have in common.
    logins: login::Login,
    /// What could not be done as the root's files say.
    notes: Vec<String>,
}

impl Machine {
    /// A machine that has booted.
    pub fn new(config: Config) -> Self {
        Self::with_tape(config, Tape::default())
    }

    /// The same where a run is recorded or played.
    pub(crate) fn with_tape(config: Config, tape: Tape) -> Self {
        // What is looked at between two slices of a recorded run is asked of the tape.
        let budget = if tape.follows_host() { LONGEST.0 } else { BUDGET };
        Self {
            kernel: Box::new(Kernel::with_tape(config, tape)),
            slots: Vec::new(),
            first: None,
            ended: None,
            meter: Meter::new(Limits::default()),
            signals: None,
            requests: Requests::default(),
            job: Job::default(),
            pulse: Pulse::default(),
            killing: false,
            scratch: None,
            lent: None,
            captured: [None, None, None],
            collector: None,
            instructions: 0,
            looked: false,
            short_turns: 0,
            unclaimed: 0,
            traps: 0,
            budget,
            code: 0,
            options: Options::default(),
            library: Rc::default(),
            debugger: None,
            turn: None,
            profiled: None,
            control: None,
            sessions: Vec::new(),
            logins: login::Login::default(),
            notes: Vec::new(),
        }
    }

    /// Begins to describe a machine with its first program.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Keeps a standard stream for the outcome.
    fn keep_stream(&mut self, number: usize, file: OwnedFd) {
        if let Some(place) = self.captured.get_mut(number) {
            *place = Some(file);
            self.kernel.allowance.keeps_output = true;
        }
    }

    /// Sets who observes and who keeps events.
    fn watch(&mut self, observer: Option<Box<dyn Observer>>, collector: Option<Collector>) {
        self.collector = collector.clone();
        let collector = collector.map(|c| Box::new(c) as Box<dyn Observer>);
        let both = |(a, b)| Box::new(Both(a, b)) as Box<dyn Observer>;
        self.kernel.set_observer(match (observer, collector) {
            (Some(observer), Some(collector)) => Some(both((observer, collector))),
            (one, other) => one.or(other),
        });
    }

    /// The kernel.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// The kernel, to change it.
    pub fn kernel_mut(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    /// Sets who observes.
    pub fn observe(&mut self, observer: Box<dyn Observer>) {
        self.kernel.observe(observer);
    }

    /// Sets what the run may use; its time begins now.
    pub fn limit(&mut self, limits: Limits) {
        self.kernel.allow(limits.procs, Some(limits.memory.unwrap_or(MEMORY)), limits.output);
        self.meter = Meter::new(limits);
        if !self.kernel.clock.is_virtual() {
            self.meter.host = Some(Instant::now());
        }
    }

    /// Has core files of the guest written to a directory of the host.
    pub fn keep_cores(&mut self, directory: &Path) -> Result<(), HostError> {
        let place = Place::top(directory)?;
        if place.stat()?.kind != HostKind::Directory {
            return Err(HostError::NOT_A_DIRECTORY);
        }
        self.kernel.core_directory = Some(place);
        Ok(())
    }

    /// Has every packet of the guest's interfaces recorded, and what passes the host's network as packets made up, in
    /// the form of tcpdump; fails as the writer does.
    pub fn record_packets(&mut self, to: Box<dyn Write>) -> io::Result<()> {
        self.kernel.record_packets(to)
    }

    /// Passes the host's signals on to the guest from now on.
    pub fn pass_on(&mut self, signals: Signals) {
        self.signals = Some(signals);
    }

    /// Ends the run with its first program: whoever lives on is killed.
    pub fn kill_on_exit(&mut self) {
        self.job.kill_on_exit = true;
    }

    /// Tells what there is to say while the machine runs.
    pub fn tell(&mut self, tell: impl FnMut(&Notice) + 'static) {
        self.job.teller = Some(Teller(Box::new(tell)));
    }

    /// What could not be done as the root's own files say, a line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether the terminal's keys sent the signal that ended the first program.
    pub fn ended_by_keys(&self, signal: u32) -> bool {
        self.requests.of_keys.is_some_and(|key| host_signals::guest_signal(key).raw() == signal)
    }

    /// Starts the first program.
    pub fn start(&mut self, program: &Program, descriptors: Vec<Descriptor>) -> Result<(), StartFailure> {
        let id = self.kernel.start(program, descriptors)?;
        self.first = Some(self.kernel.procs[id].pid);
        Ok(())
    }

    /// The first program's process, while it lives.
    fn first_process(&self) -> Option<ProcId> {
        self.kernel.procs.find(self.first?)
    }

    /// Lets go of the last machine of a program that is about to end.
    pub fn abandon(self) {
        crate::mem::leave_to_host();
        drop(self);
    }

    /// Runs until every process has ended.
    pub fn run(&mut self) -> Outcome {
        let ended = self.run_to_end();
        // However it ended, what was written before is seen.
        tty::host::flush_all(&mut self.kernel);
        self.end_tape(ended);
        // A file in memory that cannot be read back has no bytes worth having.
        let content = |file: &Option<OwnedFd>| {
            file.as_ref().and_then(|file| memory::content(file).ok()).unwrap_or_default()
        };
        let [_, stdout, stderr] = &self.captured;
        Outcome {
            ended,
            stdout: content(stdout),
            stderr: content(stderr),
            instructions: self.instructions,
            events: self.collector.as_ref().map(Collector::take).unwrap_or_default(),
        }
    }

    /// Runs until every process has ended; tells how the first one did.
    fn run_to_end(&mut self) -> Ended {
        self.forget_stops();
        loop {
            if let Some(ended) = self.go() {
                return ended;
            }
        }
    }

    /// Runs until every process has ended, or, with `None`, until a debugger wants to stop.
    fn go(&mut self) -> Option<Ended> {
        self.kernel.settle_memory();
        let mut now = match self.turn.take() {
            Some(turn) => self.take_turn(turn)?,
            // The clock is read once a round: it costs more than the rest of a switch.
            None => self.kernel.clock.uptime(),
        };
        loop {
            self.kernel.run_timeouts_until(now);
            if !std::mem::take(&mut self.looked) {
                self.look_at_host(now);
            }
            self.note_ends();
            if let Some(how) = self.kernel.rebooted {
                self.send_the_rest();
                return Some(Ended::Rebooted(how));
            }
            self.look_after_others();
            self.stop_with_first();
            if let Some(limit) = self.exceeded() {
                return Some(Ended::Limit(limit));
            }
            match self.kernel.choose() {
                Some(id) => now = self.run_process(id, now)?,
                None => {
                    // Process 1 is always there.
                    if self.kernel.procs.len() <= 1 {
                        self.send_the_rest();
                        return Some(self.status());
                    }
                    if self.killing {
                        // Who sleeps through SIGKILL would sleep for ever.
                        return Some(self.status());
                    }
                    if !self.idle() {
                        return Some(Ended::Deadlock);
                    }
                    now = self.kernel.clock.uptime();
                    if self.stops_asleep() {
                        return None;
                    }
                }
            }
        }
    }

    /// The limit that has been hit, if one has.
    #[inline(always)]
    fn exceeded(&mut self) -> Option<Limit> {
        let idle = self.kernel.is_within_allowance() && !self.kernel.tape.is_on() && self.meter.is_idle();
        if idle { None } else { self.exceeded_closely() }
    }

    #[inline(never)]
    fn exceeded_closely(&mut self) -> Option<Limit> {
        if let Some(excess) = self.kernel.excess() {
            return Some(excess.into());
        }
        if self.kernel.tape.is_on() {
            return self.exceeded_as_taped();
        }
        let bytes = self.kernel.allowance.taken().saturating_add(self.code_bytes());
        self.meter.exceeded().or_else(|| self.meter.host_is_full(bytes))
    }

    /// Charges a process with `ns` nanoseconds, `system` of which the kernel took.
    fn charge(&mut self, id: ProcId, ns: u64, system: u64) {
        self.meter.cpu_ns += ns;
        let system = system.min(ns);
        self.kernel.charge(id, ns - system, system);
    }

    /// The clock before a trap is served, where its time is measured: of one in some, for reading the clock
    /// takes as long as a small call.
    fn look_before_trap(&mut self) -> Option<u64> {
        if self.kernel.clock.is_virtual() {
            return None;
        }
        self.traps = self.traps.wrapping_add(1);
        self.traps.is_multiple_of(MEASURED).then(|| self.kernel.clock.uptime())
    }

    /// What serving a trap took: the time of a measured one stands for those that are not; a virtual clock has
    /// gone on by what each costs.
    fn time_of_trap(&self, before: Option<u64>) -> u64 {
        match before {
            Some(before) => self.kernel.clock.uptime().saturating_sub(before) * u64::from(MEASURED),
            None => self.kernel.clock.time_of(TRAP_COST),
        }
    }

    /// Waits for the next thing to happen; false where nothing can.
    fn idle(&mut self) -> bool {
        tty::host::flush_all(&mut self.kernel);
        self.check_before_wait();
        let keys = tty::host::next_key(&mut self.kernel);
        let next = [self.kernel.next_wake(), keys].into_iter().flatten().min();
        let signals = self.signals.as_ref().map(|signals| Poll::either(signals.wake_fd(), true, false));
        let asked = self.control.iter().flat_map(control::Control::polls);
        let wake: SmallVec<[Poll<'_>; 4]> = signals.into_iter().chain(asked).collect();
        let written = self.pulse.sleep(&mut self.kernel);
        let looked = self.debugger.is_some().then_some(LOOK_NS);
        let ours = [self.meter.patience(), self.until_told(), self.until_stopped(), written, looked];
        let ours = ours.into_iter().flatten().min();
        if self.kernel.tape.follows_host() {
            let (uptime, plays) = (self.kernel.clock.uptime(), self.kernel.tape.plays());
            let due = next.map(|due| self.kernel.tape.until(due, uptime));
            let timeout = [due, ours].into_iter().flatten().min();
            if !vfs::poll_host(&mut self.kernel, &wake, timeout) && !plays {
                host::stdio::wait(wake.iter(), timeout);
            }
            let ahead = self.kernel.tape.time(uptime, true);
            self.kernel.clock.advance(ahead);
            return true;
        }
        if self.kernel.clock.is_virtual() {
            // Whoever reads our output takes it in the host's time, even while the guest's timers run.
            let timeout = if next.is_some() { Some(0) } else { ours };
            let polled = vfs::poll_host(&mut self.kernel, &wake, timeout);
            let Some(due) = next else { return polled };
            let now = self.kernel.clock.uptime();
            self.kernel.clock.advance(due.saturating_sub(now));
            return true;
        }
        let due = next.map(|due| due.saturating_sub(self.kernel.clock.uptime()));
        let timeout = [due, ours].into_iter().flatten().min();
        if !vfs::poll_host(&mut self.kernel, &wake, timeout) {
            // Only the clock, a signal of the host or a request can wake somebody.
            host::stdio::wait(wake.iter(), timeout);
        }
        let now = self.kernel.clock.uptime();
        drop(wake);
        self.hear_now(now);
        true
    }

    /// Waits for what closed sockets still have to send to the host's network, but not for ever.
    fn send_the_rest(&mut self) {
        loop {
            tty::host::flush_all(&mut self.kernel);
            if !tty::host::is_sending(&self.kernel) || self.exceeded().is_some() {
                break;
            }
            let signals = self.signals.as_ref().map(|signals| Poll::either(signals.wake_fd(), true, false));
            let gone = !vfs::poll_host(&mut self.kernel, signals.as_slice(), self.meter.patience());
            self.pass_host_signals();
            if gone || self.killing {
                return;
            }
        }
        let until = self.kernel.clock.uptime() + SENDING_NS;
        while bridge::is_sending(&self.kernel) {
            let left = until.saturating_sub(self.kernel.clock.uptime());
            let timeout = self.meter.patience().map_or(left, |patience| patience.min(left));
            // Nobody is left who could do anything about a signal but end.
            let signalled = || self.signals.as_ref().is_some_and(Signals::any);
            let signalled = self.kernel.tape.ask(Question::Signals, false, signalled);
            let counted = self.kernel.clock.is_virtual() && !self.kernel.tape.follows_host();
            if timeout == 0 || signalled || self.exceeded().is_some() || counted {
                return;
            }
            let wake = self.signals.as_ref().map(|signals| Poll::either(signals.wake_fd(), true, false));
            vfs::poll_host(&mut self.kernel, wake.as_slice(), Some(timeout));
            let ahead = self.kernel.tape.time(self.kernel.clock.uptime(), true);
            self.kernel.clock.advance(ahead);
        }
    }

    #[inline]
    fn note_ends(&mut self) {
        if !self.kernel.reaped.is_empty() {
            self.note_each_end();
        }
    }

    #[cold]
    fn note_each_end(&mut self) {
        for (pid, status) in std::mem::take(&mut self.kernel.reaped) {
            // Numbers come round again: the first end with this one is the first program's.
            if Some(pid) == self.first {
                self.ended.get_or_insert(status);
            }
            self.session_over(pid);
        }
    }

    fn status(&mut self) -> Ended {
        self.note_ends();
        match self.ended {
            Some(status) if status & 0x7f == 0 => Ended::Exited((status >> 8) as u8),
            Some(status) => Ended::Signaled((status & 0x7f) as u32),
            None if self.killing => Ended::Signaled(SIGKILL),
            None => Ended::Deadlock,
        }
    }
}
/// How long the next slice may be, where one of so many instructions took so long.
fn slice_after(budget: u64, ns: u64) -> u64 {
    let (most, time) = LONGEST;
    if ns > time {
        (budget / 2).max(BUDGET)
    } else if ns < time / 4 {
        (budget * 2).min(most)
    } else {
        budget
    }
}
