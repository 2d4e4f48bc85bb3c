//! Going back: to the last snapshot before, and from there to an earlier count of instructions.
//!
//! Where no snapshot is left, because the guest has changed files, the run is made again from its beginning, with its
//! files as they were.  What a guest has printed is not shown again.

use super::serve::STRETCH;
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

    /// Keeps the present, if it is time.
    pub(super) fn keep(&mut self) {
        if self.goes_back() {
            self.kept.look(&mut self.machine);
        }
    }

    /// Takes the machine to the last moment that is kept, at or before a count of instructions: at least to the
    /// beginning.
    fn start_at(&mut self, at: u64) -> Option<()> {
        match self.kept.return_to(&mut self.machine, at) {
            true => Some(()),
            false => self.again(),
        }
    }

    /// Goes to an earlier count of instructions, or a later one.
    fn run_to(&mut self, count: u64) -> Option<()> {
        self.start_at(count)?;
        loop {
            let here = self.machine.instructions();
            if here >= count {
                return Some(());
            }
            let at = Some(count.min(here.saturating_add(STRETCH)));
            if let Stop::Ended(_) = self.machine.run_until(&Stops { at, ..Stops::default() }) {
                return Some(());
            }
            self.keep();
        }
    }

    /// Goes back, as `action` says.
    pub(super) fn back(&mut self, action: Action) -> Back {
        let here = self.machine.instructions();
        self.search(action, here).unwrap_or(Back::Beginning)
    }

    fn search(&mut self, action: Action, here: u64) -> Option<Back> {
        let before = here.checked_sub(1)?;
        if action == Action::BackStep {
            self.run_to(before)?;
            return Some(Back::At(Stop::Step(self.machine.interrupted().unwrap_or(self.current))));
        }
        // From each moment that is kept to the one behind it, the last of all stops: its count, and why.
        let mut end = here;
        loop {
            self.start_at(end.saturating_sub(1))?;
            let from = self.machine.instructions();
            if let Some((count, stop)) = self.last_stop(end) {
                self.run_to(count)?;
                return Some(Back::At(stop));
            }
            if from == 0 {
                self.start_at(0)?;
                return None;
            }
            end = from;
        }
    }

    /// Runs to a count of instructions, and gives the last stop before it and its count.  Who goes back meets an
    /// instruction that touches watched memory from behind, and stops in front of it.
    fn last_stop(&mut self, end: u64) -> Option<(u64, Stop)> {
        let stops = Stops { at: Some(end), step: None, ..self.stops.clone() };
        let mut last = None;
        while self.machine.instructions() <= end {
            let stop = self.machine.run_until(&stops);
            let here = self.machine.instructions();
            let place = match stop {
                Stop::Count | Stop::Ended(_) => break,
                Stop::Asleep | Stop::Signal(..) => continue,
                Stop::Watched(..) => here.saturating_sub(1),
                _ => here,
            };
            if place >= end {
                break;
            }
            last = Some((place, stop));
        }
        last
    }
}
