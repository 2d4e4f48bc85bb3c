//! What an observer holds back is written out when the guest sleeps, and after a short time.
//!
//! Must not know what observers do with it.

use std::time::{Duration, Instant};

use crate::kernel::Kernel;

/// How long something may be held back while the guest runs.
const HELD: Duration = Duration::from_millis(50);
/// How soon a guest that sleeps again and again has it written out again.
const AGAIN: Duration = Duration::from_millis(5);

/// When the observer wrote out, and up to which event.
#[derive(Debug)]
pub(super) struct Pulse {
    last: Instant,
    event: u64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { last: Instant::now(), event: 0 }
    }
}

impl Pulse {
    /// Has the observer write out what it holds back, if it is time.
    #[inline]
    pub(super) fn beat(&mut self, kernel: &mut Kernel) {
        if kernel.observed() && self.event != kernel.events() && self.last.elapsed() >= HELD {
            self.flush(kernel);
        }
    }

    /// The guest is going to sleep; gives the nanoseconds after which there is something to write out, if
    /// that is not now.
    pub(super) fn sleep(&mut self, kernel: &mut Kernel) -> Option<u64> {
        if !kernel.observed() || self.event == kernel.events() {
            return None;
        }
        if self.last.elapsed() < AGAIN {
            return Some(HELD.as_nanos() as u64);
        }
        self.flush(kernel);
        None
    }

    /// Has the observer write out what it holds back.
    pub(super) fn flush(&mut self, kernel: &mut Kernel) {
        kernel.flush_observer();
        (self.last, self.event) = (Instant::now(), kernel.events());
    }
}
