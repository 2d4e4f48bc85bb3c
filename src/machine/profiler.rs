//! Running a machine for somebody who counts what its processes execute.
//!
//! Must not know what is made of it.  2.1 counterpart: profil(2) and statclock (kern_clock.c), which sample.

use std::rc::Rc;

use super::Machine;
use super::turn::Turn;
use crate::cpu::profile::Log;
use crate::cpu::{Library, Stopped};
use crate::kernel::Kernel;
use crate::kernel::proc::ProcId;
use crate::trapframe::{Trap, Trapframe};

/// Who counts.
pub trait Profiler: std::fmt::Debug {
    /// A process is about to execute, and the log needs to know where its routines are.
    fn resume(&mut self, kernel: &Kernel, id: ProcId, log: &Log);

    /// Instructions that are executed at a time, at most.
    fn most(&self) -> u64 {
        u64::MAX
    }

    /// It has executed so many of at most so many instructions, and the log has what it told.
    fn ran(&mut self, log: &Log, budget: u64, retired: u64, frame: &Trapframe);
}

/// Somebody who counts, and what processors tell them.
#[derive(Debug)]
pub(super) struct Profiled {
    profiler: Box<dyn Profiler>,
    log: Rc<Log>,
}

impl Machine {
    /// Has somebody count what is executed.  Call it before anything runs, and after
    /// [`set_processors`](Machine::set_processors).
    pub fn profile(&mut self, profiler: Box<dyn Profiler>, log: Rc<Log>) {
        self.library = Rc::new(Library::telling(Rc::clone(&log)));
        self.profiled = Some(Profiled { profiler, log });
    }

    /// Executes instructions of the process whose turn it is, as many as are left of it, for somebody who counts.
    #[cold]
    #[inline(never)]
    pub(super) fn execute_profiled(&mut self, turn: &mut Turn) -> Option<Stopped> {
        let Profiled { profiler, log } = self.profiled.as_mut()?;
        let slot = self.slots.get_mut(turn.id.index())?;
        loop {
            profiler.resume(&self.kernel, turn.id, log);
            let proc = &mut self.kernel.procs[turn.id];
            let budget = log.room().min(turn.left - turn.done).min(profiler.most());
            let stopped = slot.cpu.run(&mut proc.frame, &mut proc.vm.space, budget);
            profiler.ran(log, budget, stopped.retired, &proc.frame);
            turn.done += stopped.retired;
            if !matches!(stopped.trap, Trap::Budget) || turn.done >= turn.left {
                return Some(Stopped { trap: stopped.trap, retired: std::mem::take(&mut turn.done) });
            }
        }
    }
}
