//! What a run has come to: how it ended, what it wrote, what happened in it.

use std::cell::RefCell;
use std::rc::Rc;

use super::Ended;
use crate::kernel::Kernel;
use crate::kernel::event::{Event, Intercept, Observer};
use crate::kernel::proc::ProcId;
use crate::kernel::syscall::Call;

/// What a run has come to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How the first program ended.
    pub ended: Ended,
    /// What was written to standard output, where that was [captured](super::Stdio::Captured).
    pub stdout: Vec<u8>,
    /// What was written to standard error, where that was captured.
    pub stderr: Vec<u8>,
    /// Instructions of all processes together.
    pub instructions: u64,
    /// Everything that happened, where it was [collected](super::Builder::collect_events).
    pub events: Vec<Happened>,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Happened {
    /// Its place among all events of the machine.
    pub sequence: u64,
    /// The process.
    pub pid: i32,
    /// What happened.
    pub event: Event,
}

/// Keeps events.  All copies of a collector keep the same ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Collector(Rc<RefCell<(Vec<Happened>, u64)>>);

impl Collector {
    /// A collector that has the same so far, and goes on by itself.
    pub(super) fn twin(&self) -> Self {
        Self(Rc::new(RefCell::new(self.0.borrow().clone())))
    }

    /// Has what another one has so far, who has it no longer.
    pub(super) fn adopt(&self, other: &Self) {
        self.0.replace(other.0.take());
    }

    /// Hands out what has been kept so far.
    pub(super) fn take(&self) -> Vec<Happened> {
        self.0.take().0
    }
}

impl Observer for Collector {
    fn event(&mut self, kernel: &Kernel, id: ProcId, sequence: u64, event: &Event) {
        let pid = kernel.procs.get(id).map_or(0, |proc| proc.pid);
        let mut kept = self.0.borrow_mut();
        kept.0.push(Happened { sequence, pid, event: event.clone() });
        kept.1 += (2 * size_of::<Happened>() + event.bytes_beside()) as u64;
    }

    fn kept(&self) -> u64 {
        self.0.borrow().1
    }
}

/// Two who listen: the first may make up results.
#[derive(Debug)]
pub(super) struct Both(pub(super) Box<dyn Observer>, pub(super) Box<dyn Observer>);

impl Observer for Both {
    fn event(&mut self, kernel: &Kernel, id: ProcId, sequence: u64, event: &Event) {
        self.0.event(kernel, id, sequence, event);
        self.1.event(kernel, id, sequence, event);
    }

    fn kept(&self) -> u64 {
        self.0.kept().saturating_add(self.1.kept())
    }

    fn intercept(&mut self, kernel: &Kernel, id: ProcId, call: &Call) -> Intercept {
        self.0.intercept(kernel, id, call)
    }

    fn flush(&mut self) {
        self.0.flush();
        self.1.flush();
    }
}
