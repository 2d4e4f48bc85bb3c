//! A process's turn at the processor: it executes, its traps are served, and it gives way in time.
//!
//! A debugger may interrupt a turn; it is taken up again as it was.  2.1 counterpart: the return to user mode and
//! the traps from it (i386/i386/trap.c), roundrobin (kern/kern_synch.c).

use super::processor::Slot;
use super::{Machine, SLICE_NS, TRAP_COST, debug, slice_after};
use crate::kernel::netinet::bridge;
use crate::kernel::proc::ProcId;
use crate::kernel::socket::lent;
use crate::kernel::tty;
use crate::mem::budget::is_refused;
use crate::trapframe::Trap;

/// Instructions of a short turn, calls counted as [`TRAP_COST`] says.
const SHORT: u64 = 5 * TRAP_COST;
/// Short turns for one look at the clock; odd, so that two processes that take turns are both looked at.
const SHORT_TURNS: u8 = 3;

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
        let system = std::mem::take(&mut self.unclaimed);
        self.take_turn(Turn {
            id,
            started,
            charged: started,
            system,
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
            let slot = &mut self.slots[index];
            if slot.image != Some(proc.image_generation) {
                slot.image = Some(proc.image_generation);
                slot.cpu.reset();
            }
            let (retired, over) = if self.debugger.is_none() && self.profiled.is_none() {
                let stopped = slot.cpu.run(&mut proc.frame, &mut proc.vm.space, turn.left);
                proc.instructions += stopped.retired;
                let before = self.note_executed(id, stopped.retired);
                let over = matches!(stopped.trap, Trap::Budget);
                if matches!(stopped.trap, Trap::Syscall) {
                    self.kernel.call(id);
                } else if !over && !is_refused() {
                    // Memory that the run may not have is no fault of the program's: the run ends.
                    self.kernel.trap(id, stopped.trap);
                }
                turn.system += self.time_of_trap(before);
                (stopped.retired, over)
            } else if let Some(watched) = self.go_on_watched(&mut turn) {
                watched
            } else {
                self.turn = Some(turn);
                return None;
            };
            turn.left = turn.left.saturating_sub(retired + TRAP_COST);
            if turn.left == 0 || over || self.kernel.wants_resched() || is_refused() {
                if over {
                    self.look_at_code(index);
                }
                self.catch_up(id);
                let before = turn.charged;
                let now = self.look_at_clock(&mut turn);
                if over && !self.kernel.clock.is_virtual() {
                    self.budget = slice_after(self.budget, now - before);
                    turn.left = self.budget;
                }
                self.kernel.run_timeouts_until(now);
                self.look_at_host(now);
                self.looked = true;
                self.kernel.check_signals(id);
                // Whoever runs when the tenth of a second is over gives way, however late it began (`roundrobin`).
                let over = now / SLICE_NS != turn.started / SLICE_NS || self.exceeded().is_some();
                if over || self.kernel.wants_resched() {
                    self.kernel.yield_current();
                    self.unclaimed = turn.system;
                    return Some(now);
                }
            }
        }
        self.looked = false;
        let now = self.look_at_clock(&mut turn);
        self.unclaimed = turn.system;
        Some(now)
    }

    /// Charges a process with its turn so far and allows it more; gives the uptime.
    ///
    /// A turn may be so short that looking at the clock would take as long.  Of [`SHORT_TURNS`] such turns one looks, and
    /// is charged with the time of all: a sample, as each beat of 2.1's `statclock` is one.
    fn look_at_clock(&mut self, turn: &mut Turn) -> u64 {
        let short = turn.charged == turn.started && self.budget.saturating_sub(turn.left) < SHORT;
        self.short_turns = if short { (self.short_turns + 1) % SHORT_TURNS } else { 0 };
        if self.short_turns != 0 && !self.kernel.clock.is_virtual() {
            return turn.started;
        }
        let now = self.kernel.clock.uptime();
        self.charge(turn.id, now - turn.charged, std::mem::take(&mut turn.system));
        (turn.charged, turn.left) = (now, self.budget);
        now
    }

    /// Counts executed instructions, which make the virtual clock go on; gives the clock where the time of the trap
    /// behind them is measured.
    #[inline(always)]
    fn note_executed(&mut self, id: ProcId, retired: u64) -> Option<u64> {
        self.instructions += retired;
        let time = self.kernel.clock.time_of(retired + TRAP_COST);
        self.kernel.clock.advance(time);
        if self.kernel.tape.is_on() {
            self.kernel.tape.now_at(self.instructions, self.kernel.procs[id].pid);
        }
        self.look_before_trap()
    }

    /// Goes on with a turn as far as a debugger allows, or for somebody who counts; gives the instructions, and whether no more were allowed.
    #[cold]
    fn go_on_watched(&mut self, turn: &mut Turn) -> Option<(u64, bool)> {
        let id = turn.id;
        if let Some(fault) = turn.fault.take() {
            self.kernel.answer_fault(id, fault.signal, fault.code);
            return Some((fault.retired, false));
        }
        let stopped = match self.execute_profiled(turn) {
            Some(stopped) => stopped,
            None => self.execute_watched(turn)?,
        };
        self.kernel.procs[id].instructions += stopped.retired;
        let before = self.note_executed(id, stopped.retired);
        let over = matches!(stopped.trap, Trap::Budget);
        if matches!(stopped.trap, Trap::Syscall) {
            self.kernel.call(id);
        } else if !over && !is_refused() {
            if self.debugger.is_none() {
                self.kernel.trap(id, stopped.trap);
            } else if self.hold_fault(turn, stopped) {
                return None;
            } else {
                self.kernel.check_signals(id);
            }
        }
        turn.system += self.time_of_trap(before);
        Some((stopped.retired, over))
    }

    /// Looks at the host's network, terminals and signals, and at who asks for something.
    #[inline]
    pub(super) fn look_at_host(&mut self, now: u64) {
        bridge::look(&mut self.kernel);
        lent::look(&mut self.kernel);
        tty::host::look(&mut self.kernel, now);
        self.pass_host_signals();
        self.look_outside(now);
        self.pulse.beat(&mut self.kernel);
    }
}
