//! A process's turn at the processor: it executes, its traps are served, and it gives way in time.
//!
//! A debugger may interrupt a turn; it is taken up again as it was.  2.1 counterpart: the return to user mode and
//! the traps from it (i386/i386/trap.c), roundrobin (kern/kern_synch.c).

use super::processor::Slot;
use super::{Machine, SLICE_NS, TRAP_COST, debug, slice_after};
use crate::kernel::netinet::bridge;
use crate::kernel::proc::ProcId;
use crate::kernel::socket::lent;
use crate::kernel::time::VIRTUAL_NS_PER_INSTRUCTION;
use crate::kernel::tty;
use crate::mem::budget::is_refused;
use crate::trapframe::Trap;

/// A process's turn at the processor.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub(super) id: ProcId,
    /// Uptime at its beginning.
    pub(super) started: u64,
    /// Uptime up to which the process has been charged, and what of the time since was the kernel's.
    pub(super) charged: u64,
    pub(super) system: u64,
    /// Instructions until the next look at the clock.
    pub(super) left: u64,
    /// Those that have been executed of these since the last trap: a debugger has interrupted the turn.
    pub(super) done: u64,
    /// A signal that waits for a debugger's answer.
    pub(super) fault: Option<debug::Fault>,
}

impl Machine {
    /// Lets one process run, which begins now, until it sleeps, ends, or another one gets its turn; gives the
    /// uptime then.
    pub(super) fn run_process(&mut self, id: ProcId, started: u64) -> Option<u64> {
        self.kernel.resume(id);
        let index = id.index();
        if index >= self.slots.len() {
            let slot = || Slot::new(self.options, &self.library);
            self.slots.resize_with(index + 1, slot);
        }
        let slot = &mut self.slots[index];
        if slot.owner != Some(id) {
            (slot.owner, slot.image) = (Some(id), None);
        }
        self.take_turn(Turn {
            id,
            started,
            charged: started,
            system: 0,
            left: self.budget,
            done: 0,
            fault: None,
        })
    }

    /// Goes on with a turn; `None` where a debugger has interrupted it.
    pub(super) fn take_turn(&mut self, mut turn: Turn) -> Option<u64> {
        let (id, index) = (turn.id, turn.id.index());
        let _log = self.kernel.procs.get(id).map(|proc| {
            tracing::info_span!(target: "bsd21::process", "process", pid = proc.pid, comm = proc.comm.escape_ascii().to_string()).entered()
        });
        while let Some(proc) = self.kernel.running(id) {
            let (retired, over) = match turn.fault.take() {
                Some(fault) => {
                    self.kernel.answer_fault(id, fault.signal, fault.code);
                    (fault.retired, false)
                }
                None => {
                    let slot = &mut self.slots[index];
                    if slot.image != Some(proc.image_generation) {
                        slot.image = Some(proc.image_generation);
                        slot.cpu.reset();
                    }
                    let stopped = if self.debugger.is_none() {
                        slot.cpu.run(&mut proc.frame, &mut proc.vm.space, turn.left)
                    } else if let Some(stopped) = self.execute_watched(&mut turn) {
                        stopped
                    } else {
                        self.turn = Some(turn);
                        return None;
                    };
                    self.kernel.procs[id].instructions += stopped.retired;
                    self.instructions += stopped.retired;
                    self.kernel.clock.advance((stopped.retired + TRAP_COST) * VIRTUAL_NS_PER_INSTRUCTION);
                    let over = matches!(stopped.trap, Trap::Budget);
                    let before = self.look_before_trap();
                    if matches!(stopped.trap, Trap::Syscall) {
                        self.kernel.call(id);
                    } else if !over && !is_refused() {
                        // Memory that the run may not have is no fault of the program's: the run ends.
                        if self.debugger.is_none() {
                            self.kernel.trap(id, stopped.trap);
                        } else if self.hold_fault(&mut turn, stopped) {
                            self.turn = Some(turn);
                            return None;
                        } else {
                            self.kernel.check_signals(id);
                        }
                    }
                    turn.system += self.time_of_trap(before);
                    (stopped.retired, over)
                }
            };
            turn.left = turn.left.saturating_sub(retired + TRAP_COST);
            if turn.left == 0 || over || self.kernel.wants_resched() || is_refused() {
                self.look_at_code(index);
                let now = self.kernel.clock.uptime();
                self.charge(id, now - turn.charged, std::mem::take(&mut turn.system));
                if over && !self.kernel.clock.is_virtual() {
                    self.budget = slice_after(self.budget, now - turn.charged);
                }
                turn.charged = now;
                turn.left = self.budget;
                self.kernel.run_timeouts_until(now);
                bridge::look(&mut self.kernel);
                lent::look(&mut self.kernel);
                tty::host::look(&mut self.kernel, now);
                self.pass_host_signals();
                self.look_outside(now);
                self.pulse.beat(&mut self.kernel);
                self.kernel.check_signals(id);
                // Whoever runs when the tenth of a second is over gives way, however late it began (`roundrobin`).
                let over = now / SLICE_NS != turn.started / SLICE_NS || self.exceeded().is_some();
                if over || self.kernel.wants_resched() {
                    self.kernel.yield_current();
                    return Some(now);
                }
            }
        }
        let now = self.kernel.clock.uptime();
        self.charge(id, now - turn.charged, turn.system);
        Some(now)
    }
}
