//! Going to sleep and waking up.
//!
//! 2.1 counterpart: kern/kern_synch.c (tsleep, endtsleep, unsleep, wakeup).

use super::Kernel;
use super::event::Event;
use super::proc::{Asleep, Flags, ProcId, State, Waker};
use super::signal::{Cursig, issignal, sigmask};
use super::synch::{Channel, Interruption, Parked, Wake};
use super::time::Timeout;

/// What a process does after its sleep has been looked at.
#[derive(Debug)]
pub(super) enum Slept {
    /// It sleeps, or is stopped; another process runs.
    Still,
    /// Its call goes on.
    Over(Box<Parked>, Wake),
}

impl Kernel {
    /// Puts the current process to sleep; it does not sleep where a signal is already there.
    pub(super) fn tsleep(&mut self, id: ProcId, parked: Box<Parked>) -> Slept {
        let sleep = parked.sleep;
        let since = if self.observed() { self.clock.uptime() } else { 0 };
        let timeout = sleep.timeout_ticks.filter(|&ticks| ticks > 0).map(|ticks| {
            let due = self.clock.after_ticks(ticks);
            self.add_timeout(due, Timeout::Sleep(id))
        });
        self.sleepers.push(sleep.channel, id);
        let proc = &mut self.procs[id];
        proc.wchan = Some(sleep.channel);
        proc.slptime = 0;
        proc.priority = sleep.priority;
        proc.sleep_timeout = timeout;
        proc.asleep = Some(Asleep { parked, stopped_at_entry: false, since, woken: None });
        self.note(id, Event::Sleep { channel: sleep.channel, wmesg: sleep.wmesg });
        if sleep.catch {
            self.procs[id].flags.insert(Flags::SINTR);
            match issignal(self, id) {
                Cursig::Signal(signal) => {
                    self.unsleep(id);
                    return self.interrupted(id, signal);
                }
                Cursig::Stopped => {
                    if let Some(asleep) = &mut self.procs[id].asleep {
                        asleep.stopped_at_entry = true;
                    }
                    return Slept::Still;
                }
                Cursig::None => {}
            }
        }
        let proc = &mut self.procs[id];
        proc.state = State::Sleep;
        proc.usage.nvcsw += 1;
        Slept::Still
    }

    /// The rest of tsleep, when a process that slept runs again; `None` where it did not sleep.
    pub(super) fn end_sleep(&mut self, id: ProcId) -> Option<Slept> {
        let asleep = self.procs[id].asleep.as_mut()?;
        let catch = asleep.parked.sleep.catch;
        let at_entry = std::mem::take(&mut asleep.stopped_at_entry);
        let timed_out = self.procs[id].flags.contains(Flags::TIMEOUT);
        // After a stop at the entry a signal goes before the timeout, else the timeout goes first.
        if catch && (at_entry || !timed_out) {
            match issignal(self, id) {
                Cursig::Signal(signal) => {
                    self.unsleep(id);
                    return Some(self.interrupted(id, signal));
                }
                Cursig::Stopped => {
                    if let Some(asleep) = &mut self.procs[id].asleep {
                        asleep.stopped_at_entry = at_entry;
                    }
                    return Some(Slept::Still);
                }
                Cursig::None => {}
            }
        }
        let wake = if timed_out { Wake::TimedOut } else { Wake::Woken };
        Some(self.over(id, wake))
    }

    fn interrupted(&mut self, id: ProcId, signal: u32) -> Slept {
        let how = if self.procs[id].sig.intr & sigmask(signal) != 0 {
            Interruption::Eintr
        } else {
            Interruption::Erestart
        };
        self.over(id, Wake::Interrupted(how))
    }

    fn over(&mut self, id: ProcId, wake: Wake) -> Slept {
        let proc = &mut self.procs[id];
        proc.state = State::Run;
        proc.flags.remove(Flags::SINTR | Flags::TIMEOUT);
        let timeout = proc.sleep_timeout.take();
        let asleep = proc.asleep.take();
        if let Some(key) = timeout {
            self.timeouts.remove(&key);
        }
        match asleep {
            Some(asleep) => {
                self.note_with(id, |kernel| {
                    let slept = kernel.clock.uptime().saturating_sub(asleep.since);
                    Event::Wakeup { wake, slept, by: asleep.woken }
                });
                Slept::Over(asleep.parked, wake)
            }
            None => Slept::Still,
        }
    }

    /// Ends a sleep whose time is over.
    pub(super) fn end_timed_sleep(&mut self, id: ProcId) {
        let Some(proc) = self.procs.get_mut(id) else { return };
        proc.sleep_timeout = None;
        if proc.wchan.is_none() {
            return;
        }
        proc.flags.insert(Flags::TIMEOUT);
        if proc.state == State::Sleep {
            self.set_runnable(id);
        } else {
            self.unsleep(id);
        }
    }

    /// Takes a process off its channel (`unsleep`).
    pub fn unsleep(&mut self, id: ProcId) {
        if let Some(channel) = self.procs[id].wchan.take() {
            self.sleepers.remove(channel, id);
        }
    }

    /// Makes every process that sleeps on the channel ready to run (`wakeup`).
    pub fn wakeup(&mut self, channel: Channel) {
        let waker = if self.watched { self.waker() } else { None };
        while let Some(id) = self.sleepers.pop(channel) {
            let proc = &mut self.procs[id];
            proc.wchan = None;
            if let Some(asleep) = proc.asleep.as_mut().filter(|_| waker.is_some()) {
                asleep.woken = waker;
            }
            if proc.state == State::Sleep {
                self.make_ready(id);
                self.run_queues.want_resched = true;
            }
        }
    }

    /// The process that makes others ready now; none where an interrupt does.
    #[cold]
    fn waker(&self) -> Option<Waker> {
        let pid = self.procs.get(self.run_queues.current?)?.pid;
        Some(Waker { pid, at: self.clock.uptime() })
    }
}
