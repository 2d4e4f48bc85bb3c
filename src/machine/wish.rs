//! What comes from outside while guests run: requests at the control socket, and wishes of people at terminals.
//!
//! 2.1 counterpart: none.

use super::Machine;
use super::control::listing;
use super::host_signals::guest_signal;
use crate::host::escape::Wish;
use crate::host::signal::{HostSignal, tell_group};
use crate::kernel::tty;

impl Machine {
    /// Looks whether somebody outside wants something.
    #[inline]
    pub(super) fn look_outside(&mut self, now: u64) {
        self.hear(now);
        if !self.kernel.ttys.pressed.is_empty() {
            self.tell_group();
        }
        while let Some((terminal, wish, help)) = tty::host::wish(&mut self.kernel) {
            match wish {
                Wish::Kill => self.kill_everybody(),
                Wish::List => {
                    let text = format!("\n{}", listing(&self.kernel)).replace('\n', "\r\n");
                    tty::host::show(&mut self.kernel, terminal, text.as_bytes());
                }
                Wish::Help => tty::host::show(&mut self.kernel, terminal, help.as_bytes()),
                // The terminal itself hangs up.
                Wish::Leave => {}
            }
        }
    }

    /// Signals of keys also go to the host's processes of our job.
    #[cold]
    fn tell_group(&mut self) {
        for signal in std::mem::take(&mut self.kernel.ttys.pressed) {
            let host =
                HostSignal::all().map(|(_, host)| host).find(|&host| guest_signal(host).raw() == signal);
            // Who has no handlers for them would end itself.
            if let Some(host) = host.filter(|_| self.signals.is_some()) {
                self.requests.of_keys = Some(host);
                tell_group(host);
            }
        }
    }
}
