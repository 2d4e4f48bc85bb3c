//! What the host's signals are to the guest.
//!
//! Those of the terminal's keys go to its foreground group, all others to the group of the first program;
//! once that has ended, to everybody.  Whoever asks for the end in vain gets it the third time.

use std::time::{Duration, Instant};

use syscalls::signal::Signal;

use super::Machine;
use crate::host::signal::{Came, HostSignal, Signals};
use crate::host::tape::Question;
use crate::kernel::proc::leader;
use crate::kernel::signal::{SIGKILL, pgsignal};
use crate::kernel::tty;

/// So many requests to end are delivered; the next one kills the run.
const DELIVERED: u32 = 2;
/// Requests that are this far apart have nothing to do with each other.
const APART: Duration = Duration::from_secs(60);

/// The guest's signal.
pub(super) fn guest_signal(signal: HostSignal) -> Signal {
    match signal {
        HostSignal::Hangup => Signal::SIGHUP,
        HostSignal::Interrupt => Signal::SIGINT,
        HostSignal::Quit => Signal::SIGQUIT,
        HostSignal::Illegal => Signal::SIGILL,
        HostSignal::Trap => Signal::SIGTRAP,
        HostSignal::Abort => Signal::SIGABRT,
        HostSignal::Arithmetic => Signal::SIGFPE,
        HostSignal::Bus => Signal::SIGBUS,
        HostSignal::Segment => Signal::SIGSEGV,
        HostSignal::BadCall => Signal::SIGSYS,
        HostSignal::Pipe => Signal::SIGPIPE,
        HostSignal::Alarm => Signal::SIGALRM,
        HostSignal::Terminate => Signal::SIGTERM,
        HostSignal::Urgent => Signal::SIGURG,
        HostSignal::Stop => Signal::SIGSTOP,
        HostSignal::Suspend => Signal::SIGTSTP,
        HostSignal::Continue => Signal::SIGCONT,
        HostSignal::Child => Signal::SIGCHLD,
        HostSignal::TerminalInput => Signal::SIGTTIN,
        HostSignal::TerminalOutput => Signal::SIGTTOU,
        HostSignal::InputOutput => Signal::SIGIO,
        HostSignal::CpuLimit => Signal::SIGXCPU,
        HostSignal::FileLimit => Signal::SIGXFSZ,
        HostSignal::VirtualAlarm => Signal::SIGVTALRM,
        HostSignal::Profiling => Signal::SIGPROF,
        HostSignal::WindowChange => Signal::SIGWINCH,
        HostSignal::User1 => Signal::SIGUSR1,
        HostSignal::User2 => Signal::SIGUSR2,
    }
}

/// How often somebody has asked for the end, and when the last time.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests {
    count: u32,
    last: Option<Instant>,
    /// Signals that were ignored when we were started: who sends one of these to a group of jobs does not
    /// mean us.
    pub(super) unheeded: Vec<HostSignal>,
    /// The last signal that the terminal's keys sent.
    pub(super) of_keys: Option<HostSignal>,
}

impl Requests {
    /// Counts requests; tells whether that was one too many.
    fn insist(&mut self, times: u32) -> bool {
        if self.last.is_none_or(|last| last.elapsed() > APART) {
            self.count = 0;
        }
        self.last = Some(Instant::now());
        self.count = self.count.saturating_add(times);
        self.count > DELIVERED
    }
}

impl Machine {
    /// Passes on what has come since the last look.
    #[inline]
    pub(super) fn pass_host_signals(&mut self) {
        if self.kernel.tape.is_on() {
            self.pass_as_taped();
        } else if self.signals.as_ref().is_some_and(Signals::any) {
            self.pass_those_that_came();
        }
    }

    #[cold]
    fn pass_those_that_came(&mut self) {
        let Some(signals) = &self.signals else { return };
        for came in signals.take() {
            self.pass_one(came);
        }
    }

    pub(super) fn pass_one(&mut self, came: Came) {
        let number = guest_signal(came.signal).raw();
        if came.by_terminal {
            self.requests.of_keys = Some(came.signal);
        }
        match came.signal {
            HostSignal::Continue => self.go_on(),
            HostSignal::Suspend if leader::first(&self.kernel).is_none() => {
                self.stop_with_everybody(came.signal)
            }
            HostSignal::WindowChange => {
                tty::host::resized(&mut self.kernel);
                if came.sent > 0 {
                    leader::signal_first_group(&mut self.kernel, number);
                }
            }
            // A line that is gone is gone for the shell and for its job.
            HostSignal::Hangup => {
                let first = leader::first_group(&self.kernel);
                if let Some(group) = leader::foreground(&self.kernel).filter(|_| first.is_some())
                    && Some(group) != first
                {
                    pgsignal(&mut self.kernel, group, number, false);
                }
                leader::signal_first_group(&mut self.kernel, number);
            }
            _ if self.is_one_too_many(came) => self.kill_everybody(),
            _ => {
                if came.by_terminal {
                    leader::signal_foreground(&mut self.kernel, number);
                }
                if came.sent > 0 {
                    leader::signal_first_group(&mut self.kernel, number);
                }
            }
        }
    }

    /// Whether a signal asks for the end once too often.  Keys are not counted while the first program lives:
    /// at a shell's prompt they mean something else, and a terminal has a key that stops us.
    fn is_one_too_many(&mut self, came: Came) -> bool {
        if self.kernel.tape.plays() {
            return self.kernel.tape.ask(Question::Signals, false, || false);
        }
        let too_many = self.insists(came);
        self.kernel.tape.ask(Question::Signals, false, || too_many)
    }

    fn insists(&mut self, came: Came) -> bool {
        let asks = matches!(came.signal, HostSignal::Interrupt | HostSignal::Quit | HostSignal::Terminate);
        if !asks || self.requests.unheeded.contains(&came.signal) {
            return false;
        }
        let by_keys = came.by_terminal && leader::first(&self.kernel).is_none();
        let times = came.sent + u32::from(by_keys);
        times > 0 && self.requests.insist(times)
    }

    /// Ends every process of the guest.
    pub(super) fn kill_everybody(&mut self) {
        self.killing = true;
        leader::signal_everybody(&mut self.kernel, SIGKILL);
    }

    /// We have been continued: the terminal is ours again, if it is, and the guest learns of it.
    fn go_on(&mut self) {
        leader::continue_first(&mut self.kernel);
        tty::host::take_again(&mut self.kernel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_requests_are_delivered_and_the_third_is_one_too_many() {
        let mut requests = Requests::default();
        assert_eq!([1, 1, 1].map(|times| requests.insist(times)), [false, false, true]);
        let mut together = Requests::default();
        assert!(together.insist(3), "that came before anybody looked");
    }

    #[test]
    fn numbers_are_those_of_the_guest() {
        let number = |signal| guest_signal(signal).raw();
        assert_eq!([HostSignal::User1, HostSignal::User2, HostSignal::Bus].map(number), [30, 31, 10]);
        assert_eq!([HostSignal::Continue, HostSignal::Suspend, HostSignal::Child].map(number), [19, 18, 20]);
    }
}
