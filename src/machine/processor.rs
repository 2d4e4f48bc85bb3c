//! The processors of a machine's processes: what they have decoded, in common and each by itself.
//!
//! 2.1 counterpart: none; the hardware kept nothing of a program but its caches.

use std::rc::Rc;

use super::{MEMORY, Machine};
use crate::cpu::{Cpu, Library, Options, Tally};
use crate::kernel::proc::ProcId;

/// Bytes of decoded and translated code that are always kept.
const CODE_LEAST: u64 = 32 << 20;

/// The processor state of one process that is not architectural: decoded code.
pub(super) struct Slot {
    pub(super) owner: Option<ProcId>,
    /// Bytes that its decoded code took at the last look.
    code: u64,
    /// The program of its owner that is decoded ([`Proc::image_generation`](crate::kernel::proc::Proc)).
    pub(super) image: Option<u64>,
    pub(super) cpu: Cpu,
}

impl Slot {
    /// The same for a copy of the process: what was decoded is found again.
    pub(super) fn twin(&self, options: Options, library: &Rc<Library>) -> Self {
        let mut cpu = Cpu::of_library(options, library);
        cpu.set_clock(self.cpu.clock());
        Self { owner: self.owner, code: 0, image: self.image, cpu }
    }

    pub(super) fn new(options: Options, library: &Rc<Library>) -> Self {
        Self { owner: None, code: 0, image: None, cpu: Cpu::of_library(options, library) }
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// How a machine's instructions were executed.
#[derive(Clone, Copy, Debug)]
pub struct Statistics<'a> {
    /// Instructions in all.
    pub retired: u64,
    /// What was counted of them.
    pub tally: &'a Tally,
}

impl Machine {
    /// Sets how processors work; `reasons`: they count why translated code is left.  Call it before anything runs.
    pub fn set_processors(&mut self, options: Options, reasons: bool) {
        (self.options, self.library) = (options, Rc::new(Library::new(reasons)));
    }

    /// How instructions were executed so far.
    pub fn statistics(&self) -> Statistics<'_> {
        Statistics { retired: self.instructions, tally: self.library.tally() }
    }

    /// Bytes of decoded and translated code of all processes.
    pub(super) fn code_bytes(&self) -> u64 {
        self.code.saturating_add(self.library.bytes() as u64)
    }

    /// Counts the decoded code of a process; drops that of all where it would take more memory than there is.
    pub(super) fn look_at_code(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let now = slot.cpu.code_bytes() as u64;
        self.code = self.code.saturating_sub(slot.code).saturating_add(now);
        slot.code = now;
        let bytes = self.code_bytes();
        if bytes <= CODE_LEAST || bytes <= self.kernel.memory().0.min(MEMORY) {
            return;
        }
        for slot in &mut self.slots {
            slot.cpu.release();
            slot.code = 0;
        }
        self.code = 0;
        self.library.clear();
    }
}
