//! Snapshots of a run, close together near the present and ever farther apart before it.
//!
//! So the way back to any instruction is short, and their number grows with the logarithm of the run's length only.
//! Must not know gdb.

use std::time::{Duration, Instant};

use crate::machine::{Machine, Snapshot};
use crate::mem;

/// Instructions between two snapshots, at least: as many as are run in a fiftieth of a second or so.
const APART: u64 = 20_000_000;
/// Of the run behind it, a snapshot's distance to the next may be this part.
const DENSITY: u64 = 16;
/// The part of the time of a run that snapshots may take.
const SHARE: u32 = 20;
/// Bytes that they may have of their own, all together.
const MOST_BYTES: u64 = 1 << 30;

/// Snapshots of one run.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// In the order of the run.
    all: Vec<Snapshot>,
    /// When the last one was taken, and how long that took.
    last: Option<(Instant, Duration)>,
    /// There are none: the machine cannot be copied.
    refused: bool,
}

impl Kept {
    /// Takes a snapshot if it is time.
    pub(super) fn look(&mut self, machine: &mut Machine) {
        let here = machine.instructions();
        let after = self.all.partition_point(|kept| kept.instructions() <= here);
        let before = after.checked_sub(1).and_then(|n| self.all.get(n));
        if self.refused || before.is_some_and(|kept| here - kept.instructions() < APART && kept.is_fresh()) {
            return;
        }
        let began = Instant::now();
        if self.last.is_some_and(|(last, took)| began.duration_since(last) < took * SHARE) {
            return;
        }
        self.all.retain(Snapshot::is_fresh);
        match machine.snapshot() {
            Ok(snapshot) => {
                let after = self.all.partition_point(|kept| kept.instructions() <= here);
                self.all.insert(after, snapshot);
            }
            Err(error) => self.refused = matches!(error, crate::machine::SnapshotError::Outside(_)),
        }
        self.last = Some((began, began.elapsed()));
        self.thin(here, DENSITY);
        let mut density = DENSITY;
        while density > 1 && self.is_much() {
            density /= 2;
            self.thin(here, density);
        }
        if self.is_much() {
            let first = self.all.iter().position(|kept| kept.instructions() == here);
            self.all = first.map(|n| self.all.swap_remove(n)).into_iter().collect();
        }
    }

    fn is_much(&self) -> bool {
        mem::budget::are_mappings_scarce() || self.all.iter().map(Snapshot::bytes).sum::<u64>() > MOST_BYTES
    }

    /// Lets go of snapshots that are closer together than their distance from here asks for; the first stays.
    fn thin(&mut self, here: u64, density: u64) {
        let mut kept: Option<u64> = None;
        let mut rest = self.all.iter().map(Snapshot::instructions).skip(1).collect::<Vec<_>>().into_iter();
        self.all.retain(|snapshot| {
            let (at, next) = (snapshot.instructions(), rest.next());
            // What is between the last that stays and the next is to be no more than it may be.
            let needed = match (kept, next) {
                (Some(before), Some(next)) => next - before > (here.abs_diff(next) / density).max(APART),
                _ => true,
            };
            if needed {
                kept = Some(at);
            }
            needed
        });
    }

    /// Takes a machine to the last snapshot at or before a count of instructions; false where there is none.
    pub(super) fn return_to(&mut self, machine: &mut Machine, at: u64) -> bool {
        self.all.retain(Snapshot::is_fresh);
        let before = self.all.iter().rev().find(|kept| kept.instructions() <= at);
        before.is_some_and(|snapshot| machine.restore(snapshot).is_ok())
    }
}
