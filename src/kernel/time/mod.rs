//! The clock, what is due when, interval timers and the accounting of time.
//!
//! 2.1 counterpart: kern/kern_clock.c, kern/kern_time.c (the timers), kern/kern_resource.c (calcru).

pub mod calls;
pub(in crate::kernel) mod discipline;
mod skew;
mod timers;
mod used;

pub use timers::{Itimer, itimer_decrement, real_timer_expired};

use syscalls::layout::{Rusage, Timeval};

use self::skew::Skew;
use super::proc::ProcId;
use super::sched::ESTCPU_MAX;
use super::synch::Channel;
use super::synch::priority::PUSER;
use super::{HZ, Kernel};
use crate::host::clock as host;
use crate::mem::PAGE_SIZE;

/// Nanoseconds of a tick.
pub const TICK_NS: u64 = 1_000_000_000 / HZ as u64;
/// Nanoseconds of a second.
pub const SECOND_NS: u64 = 1_000_000_000;
/// Nanoseconds between two beats of the clock that counts use of the processor (stathz is 128).
const STAT_NS: u64 = SECOND_NS / 128;
/// What starting the system took before the first program.
pub const BOOT_NS: u64 = 30 * SECOND_NS;
/// Virtual time that an instruction takes under a virtual clock: that of a 50 MIPS processor.
pub const VIRTUAL_NS_PER_INSTRUCTION: u64 = 20;
/// Where a virtual clock begins: the first second of 1996, in nanoseconds since the epoch.
pub const VIRTUAL_EPOCH_NS: u64 = 820_454_400 * SECOND_NS;

/// Where time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The host's clocks; holds its monotonic clock at boot.
    Host { boot: u64 },
    /// Retired instructions and idle jumps; holds the uptime, and the time of an instruction.
    Virtual { uptime: u64, instruction_ns: u64 },
}

/// The clock of the machine.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    /// Time of day at boot, in nanoseconds since the epoch.
    boot_time: u64,
    /// What settimeofday and finished corrections of adjtime added, in nanoseconds.
    adjustment: i64,
    /// The correction of adjtime in progress.
    skew: Skew,
    /// The loop that time daemons steer.
    discipline: discipline::Discipline,
    /// Minutes west of Greenwich and kind of summer time, as settimeofday stored them.
    pub zone: (i32, i32),
    /// Load averages over 1, 5 and 15 minutes, in fixed point (one is 2048).
    pub load_average: [u32; 3],
}

impl Clock {
    /// A clock that follows the host's.
    pub fn host() -> Self {
        Self::new(Source::Host { boot: host::monotonic() }, host::realtime())
    }

    /// A clock that follows retired instructions only.
    pub fn deterministic() -> Self {
        Self::deterministic_from(VIRTUAL_EPOCH_NS)
    }

    /// The same with another time of day at the start, in nanoseconds since the epoch.
    pub fn deterministic_from(start: u64) -> Self {
        Self::new(Source::Virtual { uptime: 0, instruction_ns: VIRTUAL_NS_PER_INSTRUCTION }, start)
    }

    /// A clock that follows retired instructions, quick ones, for a run that is recorded: what the host's time is ahead
    /// is added now and then.
    pub fn recorded(start: u64) -> Self {
        Self::new(Source::Virtual { uptime: 0, instruction_ns: 1 }, start)
    }

    /// From now on it follows the host's clocks; the uptime goes on.
    pub fn go_live(&mut self) {
        let uptime = self.uptime();
        self.source = Source::Host { boot: host::monotonic().saturating_sub(uptime) };
        self.boot_time = host::realtime().saturating_sub(uptime);
    }

    /// What instructions take under a virtual clock, in nanoseconds.
    #[inline]
    pub fn time_of(&self, instructions: u64) -> u64 {
        match self.source {
            Source::Host { .. } => 0,
            Source::Virtual { instruction_ns, .. } => instructions * instruction_ns,
        }
    }

    fn new(source: Source, boot_time: u64) -> Self {
        Self {
            source,
            boot_time,
            adjustment: 0,
            skew: Skew::default(),
            discipline: discipline::Discipline::default(),
            zone: (0, 0),
            load_average: [0; 3],
        }
    }

    /// Whether time follows retired instructions.
    pub fn is_virtual(&self) -> bool {
        matches!(self.source, Source::Virtual { .. })
    }

    /// Nanoseconds since boot.
    pub fn uptime(&self) -> u64 {
        match self.source {
            Source::Host { boot } => host::monotonic().saturating_sub(boot),
            Source::Virtual { uptime, .. } => uptime,
        }
    }

    /// Nanoseconds since the epoch, as the guest sees them.
    pub fn now(&self) -> u64 {
        let skew = i64::from(self.skew.applied(self.tick())) * 1000;
        (self.boot_time + self.uptime()).saturating_add_signed(self.adjustment + skew)
    }

    /// Whole seconds since the epoch, as the guest keeps them in structures.
    pub fn seconds(&self) -> i32 {
        (self.now() / SECOND_NS) as i32
    }

    /// Time of boot, in nanoseconds since the epoch, as the guest sees it: the machine was up for a while before
    /// its first program, as each machine of 1995 was; programs divide by that time.
    pub fn boot_time(&self) -> u64 {
        self.boot_time.saturating_add_signed(self.adjustment).saturating_sub(BOOT_NS)
    }

    /// Sets the guest's time of day; the host's is left alone.
    pub fn set(&mut self, now: u64) {
        self.adjustment += now as i64 - self.now() as i64;
    }

    /// Has the guest's time of day gain or lose microseconds slowly (`adjtime`); gives what was left of the
    /// correction before.
    pub fn adjust(&mut self, usec: i32) -> i32 {
        let tick = self.tick();
        let old = std::mem::replace(&mut self.skew, Skew::new(usec, tick));
        self.adjustment += i64::from(old.applied(tick)) * 1000;
        old.left(tick)
    }

    /// Ticks since boot.
    fn tick(&self) -> u64 {
        self.uptime() / TICK_NS
    }

    /// Lets a virtual clock go on, by instructions or to the next event; others go on by themselves.
    pub fn advance(&mut self, by: u64) {
        if let Source::Virtual { uptime, .. } = &mut self.source {
            *uptime += by;
        }
    }

    /// The uptime at which a timeout of so many ticks is due: at a tick, as the original's clock
    /// interrupt finds it.
    pub fn after_ticks(&self, ticks: u32) -> u64 {
        (self.uptime() / TICK_NS + u64::from(ticks)) * TICK_NS
    }

    /// Ticks until an uptime, rounded up and one more for the tick that has begun (`hzto`).
    pub fn ticks_until(&self, deadline: u64) -> u32 {
        let left = deadline.saturating_sub(self.uptime());
        u32::try_from(left.div_ceil(TICK_NS) + 1).unwrap_or(u32::MAX)
    }
}

/// Something that happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// The end of a process's sleep.
    Sleep(ProcId),
    /// A process's real-time timer.
    RealTimer(ProcId),
    /// Once a second: priorities, load averages.
    Second,
    /// Fast protocol timers, each 200 ms.
    ProtocolFast,
    /// Slow protocol timers, each 500 ms.
    ProtocolSlow,
    /// A look at the room for records of processes.
    Accounting,
    /// Routes that nobody uses any more.
    RouteExpire,
}

/// Use of the machine by a process (`struct rusage`, and what calcru needs).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User time in nanoseconds.
    pub user_ns: u64,
    /// System time in nanoseconds.
    pub system_ns: u64,
    /// Largest resident size in KB.
    pub maxrss: u32,
    /// KB of text, of data and of stack, times beats of the clock that counts use.
    pub integrals: [u32; 3],
    /// Page faults without input.
    pub minflt: u32,
    /// Page faults with input.
    pub majflt: u32,
    /// Blocks read.
    pub inblock: u32,
    /// Blocks written.
    pub oublock: u32,
    /// Messages sent.
    pub msgsnd: u32,
    /// Messages received.
    pub msgrcv: u32,
    /// Signals delivered.
    pub nsignals: u32,
    /// Waits.
    pub nvcsw: u32,
    /// Time slices that ended.
    pub nivcsw: u32,
}

impl Usage {
    /// Adds the usage of a child (`ruadd`).
    pub fn add(&mut self, child: &Usage) {
        self.user_ns += child.user_ns;
        self.system_ns += child.system_ns;
        self.maxrss = self.maxrss.max(child.maxrss);
        for (sum, n) in self.integrals.iter_mut().zip(child.integrals) {
            *sum = sum.wrapping_add(n);
        }
        for (sum, n) in [
            (&mut self.minflt, child.minflt),
            (&mut self.majflt, child.majflt),
            (&mut self.inblock, child.inblock),
            (&mut self.oublock, child.oublock),
            (&mut self.msgsnd, child.msgsnd),
            (&mut self.msgrcv, child.msgrcv),
            (&mut self.nsignals, child.nsignals),
            (&mut self.nvcsw, child.nvcsw),
            (&mut self.nivcsw, child.nivcsw),
        ] {
            *sum = sum.wrapping_add(n);
        }
    }
}

/// Nanoseconds as the guest reads them.
pub fn timeval(ns: u64) -> Timeval {
    Timeval { sec: ((ns / SECOND_NS) as i32).into(), usec: ((ns % SECOND_NS / 1000) as i32).into() }
}

/// The usage of a process as the guest reads it.
pub fn rusage(usage: &Usage) -> Rusage {
    let [text, data, stack] = usage.integrals;
    Rusage {
        utime: timeval(usage.user_ns),
        stime: timeval(usage.system_ns),
        maxrss: (usage.maxrss as i32).into(),
        ixrss: (text as i32).into(),
        idrss: (data as i32).into(),
        isrss: (stack as i32).into(),
        minflt: (usage.minflt as i32).into(),
        majflt: (usage.majflt as i32).into(),
        inblock: (usage.inblock as i32).into(),
        oublock: (usage.oublock as i32).into(),
        msgsnd: (usage.msgsnd as i32).into(),
        msgrcv: (usage.msgrcv as i32).into(),
        nsignals: (usage.nsignals as i32).into(),
        nvcsw: (usage.nvcsw as i32).into(),
        nivcsw: (usage.nivcsw as i32).into(),
        ..Rusage::default()
    }
}

impl Kernel {
    /// Has something happen at an uptime; the key takes it back.
    pub fn add_timeout(&mut self, due: u64, timeout: Timeout) -> (u64, u64) {
        self.sequence += 1;
        let key = (due, self.sequence);
        self.timeouts.insert(key, timeout);
        self.nothing_due_before = self.nothing_due_before.min(due);
        key
    }

    /// When the next thing is due, in nanoseconds of uptime.
    pub fn next_timeout(&self) -> Option<u64> {
        self.timeouts.keys().next().map(|&(due, _)| due)
    }

    /// Does everything that is due (`softclock`).
    pub fn run_timeouts(&mut self) {
        self.run_timeouts_until(self.clock.uptime());
    }

    /// Does everything that is due at an uptime, which the clock has just shown.
    #[inline]
    pub fn run_timeouts_until(&mut self, now: u64) {
        if now >= self.nothing_due_before {
            self.run_due(now);
        }
    }

    fn run_due(&mut self, now: u64) {
        self.nothing_due_before = u64::MAX;
        while let Some(entry) = self.timeouts.first_entry() {
            let (due, _) = *entry.key();
            if due > now {
                self.nothing_due_before = due;
                return;
            }
            match entry.remove() {
                Timeout::Sleep(id) => self.end_timed_sleep(id),
                Timeout::RealTimer(id) => real_timer_expired(self, id),
                Timeout::Second => {
                    self.schedule_second();
                    discipline::catch_up(self);
                    self.add_timeout(now.max(due) + SECOND_NS, Timeout::Second);
                }
                Timeout::ProtocolFast => super::socket::fast_timeout(self),
                Timeout::ProtocolSlow => super::socket::slow_timeout(self),
                Timeout::Accounting => super::proc::acct::watch(self),
                Timeout::RouteExpire => super::netinet::in_rmx::in_rtqtimo(self),
            }
        }
    }

    /// Accounts processor time to a process, in its program and in the kernel, and to the virtual timers that
    /// it drives (`statclock`).
    pub fn charge(&mut self, id: ProcId, user: u64, system: u64) {
        let Some(proc) = self.procs.get_mut(id) else { return };
        let before = proc.usage.user_ns;
        let total = before + proc.usage.system_ns;
        proc.usage.user_ns += user;
        proc.usage.system_ns += system;
        let of_programs = if proc.nice > 0 { &mut self.counters.nice } else { &mut self.counters.user };
        *of_programs += user;
        self.counters.system += system;
        let ticks = (total + user + system) / STAT_NS - total / STAT_NS;
        if ticks == 0 && !used::is_watched(proc) && !proc.itimer[1..].iter().any(|timer| timer.value > 0) {
            return;
        }
        if ticks > 0 {
            let pages = [proc.vm.text_pages, proc.vm.data_pages, proc.vm.stack_pages];
            for (sum, pages) in proc.usage.integrals.iter_mut().zip(pages) {
                *sum = sum.wrapping_add(pages.wrapping_mul(PAGE_SIZE / 1024).wrapping_mul(ticks as u32));
            }
            proc.cpticks = proc.cpticks.saturating_add(ticks as u32);
            let estcpu = (u64::from(proc.estcpu) + ticks).min(ESTCPU_MAX.into()) as u32;
            let priority_changes = estcpu / 4 != proc.estcpu / 4;
            proc.estcpu = estcpu;
            if priority_changes {
                self.reset_priority(id);
                let proc = &mut self.procs[id];
                if proc.priority >= PUSER {
                    proc.priority = proc.usrpri;
                }
            }
        }
        used::used(self, id, before);
        itimer_decrement(self, id, user, system);
    }

    /// When the next sleep or timer of a process ends, in nanoseconds of uptime; the kernel's own work does
    /// not count, except that each second ends the sleeps of background readers of a terminal.
    pub fn next_wake(&self) -> Option<u64> {
        let second_counts = self.sleepers.holds(Channel::Lbolt);
        let of_process = |t: &Timeout| match t {
            Timeout::Second => second_counts,
            other => !matches!(other, Timeout::Accounting),
        };
        self.timeouts.iter().find(|(_, t)| of_process(t)).map(|(&(due, _), _)| due)
    }
}
