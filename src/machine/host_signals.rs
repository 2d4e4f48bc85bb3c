//! What the host's signals are to the guest.
//!
//! With a controlling terminal they go to its foreground group, as if its keys had been pressed there; else
//! to the group of the first program.

use super::Machine;
use crate::host::signal::{HostSignal, Signals, suspend};
use crate::kernel::proc::State;
use crate::kernel::signal::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH, pgsignal};
use crate::kernel::tty;

impl Machine {
    /// Passes on what has come since the last look.
    #[inline]
    pub(super) fn pass_host_signals(&mut self) {
        if self.signals.as_ref().is_some_and(Signals::any) {
            self.pass_those_that_came();
        }
    }

    #[cold]
    fn pass_those_that_came(&mut self) {
        let Some(signals) = &self.signals else { return };
        for signal in signals.take() {
            let number = match signal {
                HostSignal::Hangup => SIGHUP,
                HostSignal::Interrupt => SIGINT,
                HostSignal::Quit => SIGQUIT,
                HostSignal::Terminate => SIGTERM,
                HostSignal::Stop => SIGTSTP,
                HostSignal::Continue => SIGCONT,
                HostSignal::WindowChange => SIGWINCH,
            };
            self.send_to_foreground(number);
            if signal == HostSignal::Stop && self.first_is_stopped() {
                // The guest has no shell of its own that could continue it: stop as it did.
                suspend();
            }
        }
    }

    fn send_to_foreground(&mut self, signal: u32) {
        let Some(first) = self.first.and_then(|pid| self.kernel.procs.find(pid)) else { return };
        let foreground = tty::controlling(&self.kernel, first)
            .and_then(|t| self.kernel.ttys.get(t)?.pgrp)
            .filter(|&group| self.kernel.procs.group_exists(group));
        let group = foreground.unwrap_or(self.kernel.procs[first].pgrp);
        pgsignal(&mut self.kernel, group, signal, false);
    }

    fn first_is_stopped(&self) -> bool {
        let first = self.first.and_then(|pid| self.kernel.procs.find(pid));
        first.is_some_and(|id| self.kernel.procs[id].state == State::Stop)
    }
}
