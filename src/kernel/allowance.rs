//! What the user of the emulator allows a run, beyond the limits that guests have of each other.
//!
//! Guests cannot see an allowance: what goes beyond one ends the run.  Must not know how the machine ends
//! it.  2.1 counterpart: none.

use super::Kernel;
use crate::mem::{self, PAGE_SIZE};

/// Allowances of a run; none where nothing is set.
#[derive(Clone, Debug, Default)]
pub struct Allowance {
    /// Processes at one time, zombies too.
    pub procs: Option<usize>,
    /// Bytes of memory: see [`Kernel::account_memory`].
    pub memory: Option<u64>,
    /// Bytes written to standard output, standard error and terminals.
    pub output: Option<u64>,
    /// What is written to standard streams is kept in memory.
    pub keeps_output: bool,
    /// Bytes of output so far.
    written: u64,
    /// Written pages of this thread that are not this machine's.
    foreign: u64,
    /// What the run has gone beyond, first of all.
    exceeded: Option<Excess>,
    /// Written pages, shared memory and output when memory was last accounted, and what was taken then.
    accounted: ([u64; 3], u64),
}

impl Allowance {
    /// Bytes that were taken of memory when it was last accounted.
    pub fn taken(&self) -> u64 {
        self.accounted.1
    }
}

/// An allowance that was not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// Of processes.
    Procs(usize),
    /// Of memory.
    Memory(u64),
    /// Of output.
    Output(u64),
}

impl Kernel {
    /// Sets the allowances.
    pub fn allow(&mut self, procs: Option<usize>, memory: Option<u64>, output: Option<u64>) {
        let own: u64 = self.procs.iter().map(|(_, proc)| proc.vm.space.own_pages()).sum();
        let foreign = mem::budget::own_pages().saturating_sub(own);
        let allowance = &mut self.allowance;
        (allowance.procs, allowance.memory, allowance.output) = (procs, memory, output);
        (allowance.foreign, allowance.exceeded) = (foreign, None);
        mem::budget::allow(u64::MAX);
        self.account_closely();
    }

    /// Whether nothing was taken since memory was last accounted, so that the run is within what it may have.
    #[inline]
    pub fn is_within_allowance(&self) -> bool {
        let unchanged = self.allowance.memory.is_none() || self.is_accounted();
        unchanged && self.allowance.exceeded.is_none()
    }

    /// The allowance that the run has gone beyond.
    pub fn excess(&mut self) -> Option<Excess> {
        self.account_memory();
        self.allowance.exceeded
    }

    fn exceed(&mut self, excess: Excess) {
        self.allowance.exceeded.get_or_insert(excess);
        // The machine looks when it switches.
        self.run_queues.want_resched = true;
    }

    /// Whether there may be one process more; process 1 is ours and does not count.
    pub(in crate::kernel) fn may_fork(&mut self) -> bool {
        match self.allowance.procs {
            Some(most) if self.procs.len() > most => {
                self.exceed(Excess::Procs(most));
                false
            }
            _ => true,
        }
    }

    /// Bytes of guest memory that may still be taken, and were taken so far.
    ///
    /// Counted are pages that guests have written to, of all processes together, each once; shared memory; output
    /// that is kept in memory; and what observers keep.
    pub fn memory(&self) -> (u64, u64) {
        let most = self.allowance.memory.unwrap_or(u64::MAX);
        let own = mem::budget::own_pages().saturating_sub(self.allowance.foreign) * u64::from(PAGE_SIZE);
        let taken = own + self.beside(most.saturating_sub(own));
        (most.saturating_sub(taken), taken)
    }

    /// Bytes that are no written pages; looked at closely where they could be more than `much`.
    fn beside(&self, much: u64) -> u64 {
        let output = if self.allowance.keeps_output { self.allowance.written } else { 0 };
        let observed = self.observer.as_ref().map_or(0, |observer| observer.kept());
        let kept = output.saturating_add(observed);
        kept.saturating_add(mem::shared_bytes(much.saturating_sub(kept)))
    }

    /// Looks at what guests have of memory, and sets what they may still take, where that can have changed.
    #[inline]
    pub(in crate::kernel) fn account_memory(&mut self) {
        if !self.is_accounted() {
            self.account_closely();
        }
    }

    /// Whether nothing has changed since memory was last accounted.
    #[inline]
    fn is_accounted(&self) -> bool {
        let [own, shared, written] = self.allowance.accounted.0;
        own == mem::budget::own_pages()
            && shared == mem::most_shared_bytes()
            && written == self.allowance.written
            && self.observer.is_none()
            && !mem::budget::is_refused()
    }

    /// Counts that stay the same where what is taken does, unless shared memory is looked at closely.
    #[inline]
    fn memory_in_use(&self) -> [u64; 3] {
        [mem::budget::own_pages(), mem::most_shared_bytes(), self.allowance.written]
    }

    pub(in crate::kernel) fn account_closely(&mut self) {
        let Some(most) = self.allowance.memory else { return };
        let in_use = self.memory_in_use();
        let refused = mem::budget::is_refused();
        let own = mem::budget::own_pages().saturating_sub(self.allowance.foreign);
        let bytes = own * u64::from(PAGE_SIZE);
        let beside = self.beside(most.saturating_sub(bytes));
        // Shared memory is looked at closely each time where it may be too much.
        let close = bytes.saturating_add(in_use[1]) > most / 2;
        let accounted = if close { [u64::MAX; 3] } else { in_use };
        self.allowance.accounted = (accounted, bytes.saturating_add(beside));
        if refused || bytes.saturating_add(beside) > most {
            self.exceed(Excess::Memory(most));
        }
        if !refused {
            let room = most.saturating_sub(beside) / u64::from(PAGE_SIZE);
            mem::budget::allow(self.allowance.foreign.saturating_add(room));
        }
    }

    /// Counts what a kept stream's file gets where its content shall go on at `offset`, holes too; false if that is
    /// more than may be kept.
    pub(in crate::kernel) fn account_extent(&mut self, offset: u64) -> bool {
        let (Some(most), true) = (self.allowance.memory, self.allowance.keeps_output) else { return true };
        let hole = offset.saturating_sub(self.allowance.written);
        if hole > self.memory().0 {
            self.exceed(Excess::Memory(most));
            return false;
        }
        self.allowance.written += hole;
        true
    }

    /// Whether what is written to standard streams is kept in memory.
    pub(in crate::kernel) fn keeps_output(&self) -> bool {
        self.allowance.keeps_output
    }

    /// How many of `wanted` bytes may still be written.
    pub(in crate::kernel) fn account_output(&mut self, wanted: usize) -> usize {
        let mut allowed = wanted;
        if let Some(most) = self.allowance.output {
            let left = usize::try_from(most.saturating_sub(self.allowance.written)).unwrap_or(usize::MAX);
            if wanted > left {
                self.exceed(Excess::Output(most));
            }
            allowed = left.min(wanted);
        }
        if let Some(most) = self.allowance.memory.filter(|_| self.allowance.keeps_output) {
            let left = usize::try_from(self.memory().0).unwrap_or(usize::MAX);
            if allowed > left {
                self.exceed(Excess::Memory(most));
            }
            allowed = allowed.min(left);
        }
        allowed
    }

    /// Counts bytes that the host took.
    pub(in crate::kernel) fn wrote(&mut self, bytes: usize) {
        self.allowance.written = self.allowance.written.saturating_add(bytes as u64);
    }
}

impl Allowance {
    /// Sets how many written pages of this thread are not this machine's.
    pub(in crate::kernel) fn set_foreign(&mut self, pages: u64) {
        self.foreign = pages;
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        if self.memory.is_some() {
            mem::budget::allow(u64::MAX);
        }
    }
}
