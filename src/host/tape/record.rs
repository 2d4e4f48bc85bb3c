//! Writing answers down.
//!
//! An event is how many questions came before it, the question, how many instructions the run has gone on since the last
//! event, and the answer.

use std::fmt;
use std::time::{Duration, Instant};

use super::answer::{Answer, put_number};
use super::{Question, Running};
use crate::host::clock;

/// Instructions between two looks at the whole run.
const BETWEEN: u64 = 1 << 24;
/// Time after which what was written down is put away, while the run computes.
const HELD: Duration = Duration::from_millis(500);
/// Bytes that are put away at once.
const FULL: usize = 256 << 10;
/// How far the host's time may be ahead while a run computes: a tick of the guest's clock.
const TICK_NS: u64 = 10_000_000;

/// Where events go.
pub struct Sink(Box<Put>);

type Put = dyn FnMut(&[u8]);

impl Sink {
    /// Calls a function with whole events.
    pub fn new(put: impl FnMut(&[u8]) + 'static) -> Self {
        Self(Box::new(put))
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

/// Writes answers down.
#[derive(Debug)]
pub struct Recorder {
    sink: Sink,
    events: Vec<u8>,
    /// Questions since the last event.
    questions: u64,
    /// Instructions at the last event, and at the last look at the whole run.
    at: u64,
    checked: u64,
    flushed: Instant,
    /// The host's clock at the beginning; none where instructions alone make the time.
    begun: Option<u64>,
    pub(super) output: Running,
}

impl Recorder {
    /// Nothing is written down yet; `counted`: the time is made by instructions alone.
    pub fn new(sink: Sink, counted: bool) -> Self {
        Self {
            sink,
            events: Vec::new(),
            questions: 0,
            at: 0,
            checked: 0,
            flushed: Instant::now(),
            begun: (!counted).then(clock::monotonic),
            output: Running::default(),
        }
    }

    pub(super) fn is_counted(&self) -> bool {
        self.begun.is_none()
    }

    pub(super) fn asked(&mut self) {
        self.questions += 1;
    }

    pub(super) fn note(&mut self, question: Question, at: u64, answer: &impl Answer) {
        put_number(std::mem::take(&mut self.questions), &mut self.events);
        self.events.push(question as u8);
        put_number(at.wrapping_sub(std::mem::replace(&mut self.at, at)), &mut self.events);
        answer.put(&mut self.events);
        if self.events.len() >= FULL {
            self.flush();
        }
    }

    pub(super) fn is_due(&mut self, at: u64) -> bool {
        let due = at - self.checked >= BETWEEN || self.flushed.elapsed() >= HELD;
        if due {
            self.checked = at;
        }
        due
    }

    /// Whether something was written down that was not put away.
    pub(super) fn holds_any(&self) -> bool {
        !self.events.is_empty()
    }

    pub(super) fn flush_if(&mut self, wanted: bool) {
        if wanted || self.flushed.elapsed() >= HELD {
            self.flush();
        }
    }

    pub(super) fn flush(&mut self) {
        if !self.events.is_empty() {
            (self.sink.0)(&self.events);
            self.events.clear();
        }
        self.flushed = Instant::now();
    }

    /// The host's time since the beginning.
    fn host(&self) -> Option<u64> {
        Some(clock::monotonic().saturating_sub(self.begun?))
    }

    pub(super) fn ahead(&self, uptime: u64, at_once: bool) -> u64 {
        let ahead = self.host().map_or(0, |host| host.saturating_sub(uptime));
        if at_once || ahead >= TICK_NS { ahead } else { 0 }
    }

    pub(super) fn until(&self, due: u64, uptime: u64) -> u64 {
        due.saturating_sub(self.host().unwrap_or(uptime))
    }
}
