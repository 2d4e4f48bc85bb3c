//! Going back: a run that can be repeated is made again and runs to an earlier count of instructions.
//!
//! A step back costs what the run up to there has cost.  What a guest has printed is not shown again.

use super::target::{Action, Session};
use crate::machine::debug::{Stop, Stops};
use crate::machine::{Ended, Machine};

/// Is given a stream, 0 or 1, and new bytes of it.
type Show = Box<dyn FnMut(usize, &[u8])>;

/// Makes machines whose runs are the same, and shows what they write: each byte once, whichever run wrote it.
pub struct Maker {
    make: Box<dyn FnMut() -> Result<Machine, String>>,
    show: Show,
    /// Bytes of standard output and standard error that have been shown.
    shown: [usize; 2],
}

impl std::fmt::Debug for Maker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Maker")
    }
}

impl Maker {
    /// A maker of machines that capture their output; `show` is given the stream, 0 or 1, and new bytes of it.
    pub fn new(
        make: impl FnMut() -> Result<Machine, String> + 'static,
        show: impl FnMut(usize, &[u8]) + 'static,
    ) -> Self {
        Self { make: Box::new(make), show: Box::new(show), shown: [0; 2] }
    }
}

/// Where going back has led.
pub(super) enum Back {
    /// Behind an earlier stop, or one instruction back.
    At(Stop),
    /// To the beginning of the run.
    Beginning,
}

impl Session {
    /// A fresh machine in the place of the present one.
    fn again(&mut self) -> Option<()> {
        let mut machine = (self.maker.as_mut()?.make)().ok()?;
        machine.debug();
        let old = std::mem::replace(&mut self.machine, machine);
        drop(old);
        Some(())
    }

    /// Runs to the end, without a debugger.
    pub fn run_on(&mut self) -> Ended {
        loop {
            let stop = self.machine.run_until(&Stops::default());
            self.show();
            if let Stop::Ended(ended) = stop {
                return ended;
            }
        }
    }

    /// Shows what the guest has written and nobody has seen.
    pub(super) fn show(&mut self) {
        let Some(maker) = &mut self.maker else { return };
        for (stream, bytes) in self.machine.written().iter().enumerate() {
            if let Some(new) = bytes.get(maker.shown[stream]..).filter(|new| !new.is_empty()) {
                (maker.show)(stream, new);
                maker.shown[stream] = bytes.len();
            }
        }
    }

    /// Runs from the beginning to a count of instructions.
    fn run_to(&mut self, count: u64) -> Stop {
        self.machine.run_until(&Stops { at: Some(count), ..Stops::default() })
    }

    /// Goes back, as `action` says.
    pub(super) fn back(&mut self, action: Action) -> Back {
        let here = self.machine.instructions();
        if here == 0 || self.again().is_none() {
            return Back::Beginning;
        }
        let current = self.current;
        if action == Action::BackStep {
            self.run_to(here - 1);
            return Back::At(Stop::Step(self.machine.interrupted().unwrap_or(current)));
        }
        // The last of all stops on the way here: its count, and why.
        let stops = Stops { at: Some(here - 1), step: None, ..self.stops.clone() };
        let mut last = None;
        loop {
            match self.machine.run_until(&stops) {
                Stop::Count | Stop::Ended(_) => break,
                Stop::Asleep => {}
                Stop::Signal(..) => {}
                stop if self.machine.instructions() < here => {
                    last = Some((self.machine.instructions(), stop))
                }
                _ => break,
            }
        }
        if self.again().is_none() {
            return Back::Beginning;
        }
        match last {
            Some((count, stop)) => {
                self.run_to(count);
                Back::At(stop)
            }
            None => Back::Beginning,
        }
    }
}
