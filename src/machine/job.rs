//! The run as a job of the host's shell: it stops when its first program does, and what lives on behind the
//! first program's end is told and, if wanted, ended.
//!
//! Must not know how a shell controls its jobs.

use std::fmt;
use std::time::{Duration, Instant};

use super::Machine;
use super::host_signals::guest_signal;
use crate::host::signal::{HostSignal, stop_by};
use crate::host::tape::Question;
use crate::kernel::proc::{ProcId, leader};
use crate::kernel::tty;

/// How long others of the first program's group have to stop as well.
const GRACE: Duration = Duration::from_millis(500);
/// How long others live on behind the first program before it is told.
const UNTOLD: Duration = Duration::from_secs(1);

/// Something that whoever runs the machine may want to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The first program has ended, and these go on: number and name.
    WaitingFor(Vec<(i32, Vec<u8>)>),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::WaitingFor(processes) = self;
        f.write_str("the first program has ended; the run waits for ")?;
        for (n, (pid, name)) in processes.iter().enumerate() {
            let name = name.escape_ascii();
            write!(f, "{}{name} ({pid})", if n == 0 { "" } else { ", " })?;
        }
        f.write_str("; --kill-on-exit would end it")
    }
}

/// Who is told.
pub(super) struct Teller(pub(super) Box<dyn FnMut(&Notice)>);

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Teller")
    }
}

/// What the machine knows of itself as a job.
#[derive(Debug, Default)]
pub(super) struct Job {
    /// When the first program was found stopped.
    stopped: Option<Instant>,
    /// When the first program was found ended, while nobody has been told.
    ended: Option<Instant>,
    /// The run ends with its first program.
    pub(super) kill_on_exit: bool,
    /// Who is told that others live on.
    pub(super) teller: Option<Teller>,
}

impl Job {
    /// The same for a copy of the run, which tells nobody.
    pub(super) fn twin(&self) -> Self {
        Self { kill_on_exit: self.kill_on_exit, ..Self::default() }
    }
}

impl Machine {
    /// Stops this process if the first program has stopped, and returns when it is continued.
    #[inline]
    pub(super) fn stop_with_first(&mut self) {
        if leader::has_stopped(&self.kernel) && (self.signals.is_some() || self.kernel.tape.is_on()) {
            self.look_at_stop();
        }
    }

    #[cold]
    fn look_at_stop(&mut self) {
        let Some((signal, others)) = leader::stop(&self.kernel) else {
            // Somebody has continued it.
            self.job.stopped = None;
            leader::forget_stop(&mut self.kernel);
            return;
        };
        // Others of its group may have a screen to clear before they stop as well.
        let since = *self.job.stopped.get_or_insert_with(Instant::now);
        let waits = others && self.kernel.tape.ask(Question::Stop, true, || since.elapsed() < GRACE);
        if waits {
            return;
        }
        self.job.stopped = None;
        leader::forget_stop(&mut self.kernel);
        let host = HostSignal::all().map(|(_, host)| host).find(|&host| guest_signal(host).raw() == signal);
        self.stop_ourselves(host.unwrap_or(HostSignal::Stop));
    }

    /// Stops this process where there is no first program any more.
    pub(super) fn stop_with_everybody(&mut self, signal: HostSignal) {
        leader::signal_everybody(&mut self.kernel, guest_signal(signal).raw());
        self.stop_ourselves(signal);
    }

    fn stop_ourselves(&mut self, signal: HostSignal) {
        leader::take_terminal(&mut self.kernel);
        tty::host::give_back(&mut self.kernel);
        self.pulse.flush(&mut self.kernel);
        self.kernel.tape.flush();
        let continued = self.kernel.tape.ask(Question::Stop, true, || {
            stop_by(signal);
            // What a handler has noted is looked at in the next round.
            self.signals.as_ref().is_some_and(|signals| signals.has_come(HostSignal::Continue))
        });
        if !continued {
            // The host does not stop whom nobody could continue.
            tty::host::take_again(&mut self.kernel);
            leader::disown_first(&mut self.kernel);
        }
    }

    /// Looks after those that live on behind the first program.
    pub(super) fn look_after_others(&mut self) {
        if self.ended.is_none() || self.killing {
            return;
        }
        if self.job.kill_on_exit {
            self.kill_everybody();
            return;
        }
        if self.job.teller.is_none() {
            return;
        }
        let since = *self.job.ended.get_or_insert_with(Instant::now);
        if since.elapsed() >= UNTOLD {
            let about = |&id: &ProcId| (self.kernel.procs[id].pid, self.kernel.procs[id].comm.clone());
            let processes: Vec<_> = leader::everybody(&self.kernel).iter().rev().map(about).collect();
            if let (false, Some(Teller(mut tell))) = (processes.is_empty(), self.job.teller.take()) {
                tell(&Notice::WaitingFor(processes));
            }
        }
    }

    /// Nanoseconds until somebody has to be told something.
    pub(super) fn until_told(&self) -> Option<u64> {
        let since = self.job.ended.filter(|_| self.job.teller.is_some())?;
        Some(UNTOLD.saturating_sub(since.elapsed()).as_nanos() as u64 + 1)
    }

    /// Nanoseconds until the stop of the first program is looked at again.
    pub(super) fn until_stopped(&self) -> Option<u64> {
        self.job.stopped.map(|since| GRACE.saturating_sub(since.elapsed()).as_nanos() as u64 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_one_line_whatever_processes_are_called() {
        let notice = Notice::WaitingFor(vec![(7, b"cron".to_vec()), (9, b"a\nb\x1b".to_vec())]);
        let text = notice.to_string();
        assert!(text.contains("waits for cron (7), a\\nb\\x1b (9);") && !text.contains(char::is_control));
    }
}
