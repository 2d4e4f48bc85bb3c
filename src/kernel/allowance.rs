//! What the user of the emulator allows a run, beyond the limits that guests have of each other.
//!
//! Guests cannot see an allowance: what goes beyond one ends the run.  Must not know how the machine ends
//! it.  2.1 counterpart: none.

use super::Kernel;
use crate::mem::Prot;

/// Allowances of a run; none where nothing is set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowance {
    /// Processes at one time, zombies too.
    pub procs: Option<usize>,
    /// Bytes of writable memory of all processes together, written or not.
    pub memory: Option<u64>,
    /// Bytes written to standard output, standard error and terminals.
    pub output: Option<u64>,
    /// Bytes of output so far.
    written: u64,
    /// What the run has gone beyond, first of all.
    exceeded: Option<Excess>,
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
        self.allowance = Allowance { procs, memory, output, ..Allowance::default() };
        self.account_memory();
    }

    /// The allowance that the run has gone beyond.
    pub fn excess(&self) -> Option<Excess> {
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

    /// Looks at the memory of all processes after one of them got more.
    pub(in crate::kernel) fn account_memory(&mut self) {
        let Some(most) = self.allowance.memory else { return };
        let spaces = self.procs.ids().iter().map(|&id| &self.procs[id].vm.space);
        let regions = spaces.flat_map(|space| space.regions());
        let bytes: u64 = regions.filter(|r| r.prot.contains(Prot::WRITE)).map(|r| u64::from(r.len)).sum();
        if bytes > most {
            self.exceed(Excess::Memory(most));
        }
    }

    /// How many of `wanted` bytes may still be written.
    pub(in crate::kernel) fn account_output(&mut self, wanted: usize) -> usize {
        let Some(most) = self.allowance.output else { return wanted };
        let left = usize::try_from(most.saturating_sub(self.allowance.written)).unwrap_or(usize::MAX);
        if wanted > left {
            self.exceed(Excess::Output(most));
        }
        left.min(wanted)
    }

    /// Counts bytes that the host took.
    pub(in crate::kernel) fn wrote(&mut self, bytes: usize) {
        self.allowance.written = self.allowance.written.saturating_add(bytes as u64);
    }
}
