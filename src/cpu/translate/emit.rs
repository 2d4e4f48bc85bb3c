//! The code of a block while it is written: where it may be left, and what must be put right then.
//!
//! Each instruction of the guest becomes itself, with its registers in registers of the host and its flags in the
//! host's.  What is kept apart is listed in [`Late`] and [`Fault`]: changes of the stack pointer that have been put
//! off, instructions that were taken from the budget and not executed, flags that the host leaves otherwise.
//!
//! Knows no instruction; reference for the conventions: `docs/cpu.md`, Translation.

use super::code::{Code, DWORD, DWORD_0F, Hole, Operand, QWORD, R8, R9, R10, R11, R13, R14, host};
use super::routine::Routines;
use super::split::{ESP, Memory};
use super::undefined::{Habits, Undefined};
use super::{Done, LOOK_UP, MISMATCH, RESERVE, Told};
use crate::cpu::profile::{self, ON};
use crate::cpu::state::offset;
use crate::trapframe::eflags::DF;

/// What a string instruction of the host has left in its registers when it faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It is none.
    No,
    /// EDI is an address of the host; ECX says what is left.
    Stores,
    /// So is ESI.
    Copies,
}

/// Where code may fault, and how it is left then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    /// Where the instruction of the host is, or for a call its last byte; from the beginning of all code.
    pub(super) at: u32,
    /// The operation that the interpreter runs instead.
    pub(super) op: u32,
    /// Instructions to give back.
    pub(super) give: i32,
    /// What the stack pointer is behind.
    pub(super) delta: i32,
    pub(super) undefined: Undefined,
    pub(super) repeat: Repeat,
}

/// What is written behind a block's code.
#[derive(Clone, Copy)]
enum Late {
    /// The interpreter goes on with an operation.
    Leave { hole: Hole, op: u32, count: Count, delta: i32 },
    /// A branch that was taken.
    Taken { hole: Hole, target: u32, count: Count, delta: i32, undefined: Undefined, down: bool },
    /// A jump to a block without code.
    Unlinked { hole: Hole, target: u32 },
}

/// How many instructions of the block have been executed, and whether all of them have been taken from the budget.
#[derive(Clone, Copy, Debug)]
struct Count {
    executed: i32,
    taken: bool,
}

/// A block's code, and what the translator must know of it.
pub(super) struct Written {
    pub(super) bytes: Vec<u8>,
    /// Where others go once the block is dropped.
    pub(super) dropped: u64,
    /// Where the distances of jumps to other blocks are.
    pub(super) links: Vec<(u64, u32)>,
    pub(super) faults: Vec<Fault>,
    /// Addresses that calls return to.
    pub(super) returns: Vec<u32>,
    pub(super) fpu: bool,
}

/// The emitter.
pub(super) struct Emitter {
    pub(super) code: Code,
    /// Where all code begins, and the routines there.
    pub(super) origin: u64,
    pub(super) routines: Routines,
    pub(super) habits: Habits,
    /// The operation of the present instruction.
    pub(super) op: u32,
    /// What the guest's stack pointer is more than its register says.
    pub(super) delta: i32,
    pub(super) undefined: Undefined,
    /// The guest's direction flag is set; the host's is only while a string instruction runs.
    pub(super) down: bool,
    /// Instructions before the present one.
    pub(super) executed: i32,
    pub(super) taken: bool,
    /// The block uses the x87 unit.
    pub(super) fpu: bool,
    pub(super) returns: Vec<u32>,
    /// What the block tells of the way that the program takes.
    pub(super) told: Option<Told>,
    /// Where a number of instructions is to be filled in, and whether it is taken away by adding.
    counts: Vec<(usize, bool)>,
    late: Vec<Late>,
    links: Vec<(u64, u32)>,
    faults: Vec<(Fault, Count)>,
}

/// What an emitter has written, to go back to.
pub(super) struct Mark {
    bytes: usize,
    late: usize,
    links: usize,
    faults: usize,
    returns: usize,
    counts: usize,
    delta: i32,
    undefined: Undefined,
    down: bool,
    taken: bool,
}

impl Emitter {
    pub(super) fn new(origin: u64, at: u64, routines: Routines, habits: Habits, op: u32) -> Self {
        Self {
            code: Code::new(at),
            origin,
            routines,
            habits,
            op,
            delta: 0,
            undefined: Undefined::None,
            down: false,
            executed: 0,
            taken: false,
            fpu: false,
            returns: Vec::new(),
            told: None,
            counts: Vec::new(),
            late: Vec::new(),
            links: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Remembers what is written so far.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            bytes: self.code.bytes.len(),
            late: self.late.len(),
            links: self.links.len(),
            faults: self.faults.len(),
            returns: self.returns.len(),
            counts: self.counts.len(),
            delta: self.delta,
            undefined: self.undefined,
            down: self.down,
            taken: self.taken,
        }
    }

    /// Takes back what was written since.
    pub(super) fn back_to(&mut self, mark: &Mark) {
        self.code.bytes.truncate(mark.bytes);
        self.late.truncate(mark.late);
        self.links.truncate(mark.links);
        self.faults.truncate(mark.faults);
        self.returns.truncate(mark.returns);
        self.counts.truncate(mark.counts);
        (self.delta, self.undefined, self.taken) = (mark.delta, mark.undefined, mark.taken);
        self.down = mark.down;
    }

    fn count(&self) -> Count {
        Count { executed: self.executed, taken: self.taken }
    }

    /// Address of a routine.
    pub(super) fn routine(&self, at: usize) -> u64 {
        self.origin + at as u64
    }

    /// An operand in guest memory.
    pub(super) fn guest(&self, memory: Memory) -> Operand {
        Operand::Guest(memory, self.delta)
    }

    /// An operand on the guest's stack.
    pub(super) fn stack(&self, disp: i32) -> Operand {
        self.guest(Memory { base: Some(ESP), index: None, disp })
    }

    /// A field of the state.
    pub(super) fn field(at: usize) -> Operand {
        Operand::Host { base: R13, index: None, disp: at as i32 }
    }

    /// The next instruction may fault.
    pub(super) fn may_fault(&mut self) {
        self.may_fault_in(Repeat::No);
    }

    pub(super) fn may_fault_in(&mut self, repeat: Repeat) {
        self.note_fault(self.code.here(), repeat);
    }

    /// The routine that was just called may fault.
    pub(super) fn may_fault_in_call(&mut self) {
        self.note_fault(self.code.here() - 1, Repeat::No);
    }

    /// The next instruction fails where the block's bytes are no longer what they were.
    pub(super) fn may_differ(&mut self) {
        let op = std::mem::replace(&mut self.op, MISMATCH);
        self.may_fault();
        self.op = op;
    }

    fn note_fault(&mut self, address: u64, repeat: Repeat) {
        let at = (address - self.origin) as u32;
        let fault = Fault { at, op: self.op, give: 0, delta: self.delta, undefined: self.undefined, repeat };
        self.faults.push((fault, self.count()));
    }

    /// Brings the register of the stack pointer up to date.
    pub(super) fn flush(&mut self) -> Done {
        self.code.lea(R8, R8, std::mem::take(&mut self.delta))
    }

    /// Makes the flags right.
    pub(super) fn settle(&mut self) -> Done {
        std::mem::take(&mut self.undefined).settle(&mut self.code)
    }

    /// The present instruction changes a register and no flags.
    pub(super) fn changes(&mut self, register: u8) -> Done {
        if self.undefined.registers() & 1 << register != 0 { self.settle() } else { Ok(()) }
    }

    /// Takes the block's instructions from the budget; changes flags, which nobody sees before they are all set.
    pub(super) fn take_with_flags(&mut self) {
        // sub r14, n; js
        self.code.put(&[0x49, 0x81, 0xee, 0, 0, 0, 0]);
        self.counts.push((self.code.bytes.len(), false));
        let hole = self.code.branch_hole(8);
        self.taken = true;
        self.late.push(Late::Leave { hole, op: self.op, count: self.count(), delta: self.delta });
    }

    /// Takes the block's instructions from the budget and leaves flags alone.
    pub(super) fn take(&mut self) -> Done {
        // lea r14, [r14 - n]
        self.code.put(&[0x4d, 0x8d, 0xb6, 0, 0, 0, 0]);
        self.counts.push((self.code.bytes.len(), true));
        self.taken = true;
        if self.habits.bmi2 {
            // shrx r9, r14, r15
            self.code.put(&[0xc4, 0x42, 0x83, 0xf7, 0xce]);
        } else {
            // movq xmm0, r14; movmskpd r9d, xmm0
            self.code.put(&[0x66, 0x49, 0x0f, 0x6e, 0xc6, 0x66, 0x44, 0x0f, 0x50, 0xc8]);
        }
        self.may_fault();
        self.code.trap_unless_zero()
    }

    /// Goes on in another block.
    pub(super) fn jump(&mut self, target: u32) -> Done {
        if self.leaves_routine(target) {
            self.tell(Some(target), ON)?;
        }
        self.go_on(target)
    }

    /// Calls: goes on in another block, which returns to an address.
    pub(super) fn call(&mut self, target: u32, next: u32) -> Done {
        self.tell(Some(target), next)?;
        self.go_on(target)
    }

    fn go_on(&mut self, target: u32) -> Done {
        if self.down {
            return self.end(target, LOOK_UP);
        }
        self.settle()?;
        self.flush()?;
        let hole = self.code.jump_hole();
        self.link(hole, target);
        Ok(())
    }

    /// Counts an execution of the block; changes no flags.
    pub(super) fn tick(&mut self) -> Done {
        let Some(counter) = self.told.as_ref().and_then(|told| told.counter) else { return Ok(()) };
        let cell = Operand::Host { base: R9, index: None, disp: 0 };
        self.code.set_wide(R9, counter as u64);
        self.code.op(QWORD, 0x8b, R10, cell)?;
        self.code.op(QWORD, 0x8d, R10, Operand::Host { base: R10, index: None, disp: 1 })?;
        self.code.op(QWORD, 0x89, R10, cell)
    }

    /// Whether a jump is to be told.
    fn leaves_routine(&self, target: u32) -> bool {
        self.told.as_ref().is_some_and(|told| !told.extent.contains(&target))
    }

    /// Tells a transfer to an address, or to the one in R11, with all of the block's instructions so far taken from
    /// the budget; changes no flags.
    pub(super) fn tell(&mut self, target: Option<u32>, kind: u32) -> Done {
        use profile::offset::{ESP as OF_ESP, KIND, LEFT as OF_LEFT, SIZE, TARGET};
        let Some(next) = self.told.as_ref().map(|told| told.next) else { return Ok(()) };
        self.settle()?;
        self.flush()?;
        let field = |base: u8, disp: i32| Operand::Host { base, index: None, disp };
        self.code.set_wide(R10, next);
        self.code.op(QWORD, 0x8b, R9, field(R10, 0))?;
        self.code.op(DWORD, 0x89, R8, field(R9, OF_ESP))?;
        match target {
            Some(target) => {
                self.code.op(DWORD, 0xc7, 0, field(R9, TARGET))?;
                self.code.put(&target.to_le_bytes());
            }
            None => self.code.op(DWORD, 0x89, R11, field(R9, TARGET))?,
        }
        self.code.op(DWORD, 0xc7, 0, field(R9, KIND))?;
        self.code.put(&kind.to_le_bytes());
        self.code.op(QWORD, 0x8d, R9, field(R9, SIZE))?;
        self.code.op(QWORD, 0x89, R9, field(R10, 0))?;
        self.code.op(DWORD, 0x8d, R10, field(R14, RESERVE as i32))?;
        self.code.op(DWORD, 0x89, R10, field(R9, OF_LEFT - SIZE))
    }

    fn link(&mut self, hole: Hole, target: u32) {
        self.links.push((self.code.behind(hole) - 4, target));
        self.late.push(Late::Unlinked { hole, target });
    }

    /// Leaves to the interpreter, before anything of the instruction has happened, where the guest address in R11 lies
    /// beyond the code segment: the table has no place for it.
    pub(super) fn check_segment(&mut self) -> Done {
        self.may_fault();
        self.code.look_into_table()
    }

    /// Goes on at the guest address in R11, by the table where the direction flag is clear, as code expects it.
    pub(super) fn jump_by_table(&mut self) -> Done {
        if self.down {
            self.code.jump(self.routine(self.routines.unknown));
            return Ok(());
        }
        self.code.jump_by_table()
    }

    /// Sets or clears the guest's direction flag.
    pub(super) fn turn(&mut self, down: bool) -> Done {
        if self.down == down {
            return Ok(());
        }
        // It is known, so that it can be changed by adding.
        const BIT: i32 = (DF >> 8) as i32;
        let byte = Self::field(offset::SYSTEM + 1);
        self.code.op(DWORD_0F, 0xb6, R9, byte)?;
        self.code.lea(R9, R9, if down { BIT } else { -BIT })?;
        self.code.op(DWORD, 0x88, R9, byte)?;
        self.down = down;
        Ok(())
    }

    /// A branch; `last` says that nothing of the block lies behind it.
    pub(super) fn branch(&mut self, condition: u8, target: u32, last: bool) -> Done {
        if self.undefined.matters(condition) {
            self.settle()?;
        }
        let hole = self.code.branch_hole(condition);
        self.taken_to(hole, target, last);
        Ok(())
    }

    /// The jump before a hole is taken to another block.
    pub(super) fn taken_to(&mut self, hole: Hole, target: u32, last: bool) {
        let plain = self.delta == 0 && self.undefined == Undefined::None && !self.down;
        if last && plain && !self.leaves_routine(target) {
            return self.link(hole, target);
        }
        let count = Count { executed: self.executed + 1, taken: self.taken };
        let (delta, undefined, down) = (self.delta, self.undefined, self.down);
        self.late.push(Late::Taken { hole, target, count, delta, undefined, down });
    }

    /// Leaves the present instruction to the interpreter.
    pub(super) fn leave(&mut self) -> Done {
        self.settle()?;
        let hole = self.code.jump_hole();
        self.late.push(Late::Leave { hole, op: self.op, count: self.count(), delta: self.delta });
        Ok(())
    }

    /// Leaves for good, behind the present instruction: `exit` is no operation.
    pub(super) fn end(&mut self, eip: u32, exit: u32) -> Done {
        self.settle()?;
        self.flush()?;
        self.exit(eip, exit)
    }

    fn exit(&mut self, eip: u32, exit: u32) -> Done {
        self.code.op(DWORD, 0xc7, 0, Self::field(offset::EIP))?;
        self.code.put(&eip.to_le_bytes());
        self.code.set(R11, exit);
        self.code.jump(self.routine(self.routines.leave));
        Ok(())
    }

    fn write_late(&mut self, late: Late, n: i32) -> Done {
        let give = |count: Count| if count.taken { n - count.executed } else { -count.executed };
        match late {
            Late::Leave { hole, op, count, delta } => {
                self.code.fill(hole);
                self.code.lea(R8, R8, delta)?;
                self.code.give(give(count))?;
                self.code.set(R11, op);
                self.code.jump(self.routine(self.routines.leave));
            }
            Late::Taken { hole, target, count, delta, undefined, down } => {
                self.code.fill(hole);
                self.code.give(give(count))?;
                (self.delta, self.undefined, self.down) = (delta, undefined, down);
                self.jump(target)?;
            }
            Late::Unlinked { hole, target } => {
                self.code.fill(hole);
                self.exit(target, LOOK_UP)?;
            }
        }
        Ok(())
    }

    /// Ends the block at `eip`, of which `executed` instructions are here.
    pub(super) fn finish(mut self, eip: u32) -> Done<Written> {
        let n = self.executed;
        let mut next = 0;
        while let Some(&late) = self.late.get(next) {
            next += 1;
            self.write_late(late, n)?;
        }
        let dropped = self.code.here();
        self.exit(eip, LOOK_UP)?;
        for (end, adds) in std::mem::take(&mut self.counts) {
            let count = if adds { -n } else { n };
            if let Some(bytes) = self.code.bytes.get_mut(end - 4..end) {
                bytes.copy_from_slice(&count.to_le_bytes());
            }
        }
        let give = |count: Count| if count.taken { n - count.executed } else { -count.executed };
        let faults = self.faults.iter().map(|&(fault, count)| Fault { give: give(count), ..fault });
        Ok(Written {
            faults: faults.collect(),
            bytes: self.code.bytes,
            dropped,
            links: self.links,
            returns: self.returns,
            fpu: self.fpu,
        })
    }

    /// The register of the host for one of the guest's that an instruction names; the stack pointer is brought up to
    /// date before.
    pub(super) fn named(&mut self, register: u8) -> Done<u8> {
        if register == ESP {
            self.flush()?;
        }
        Ok(host(register))
    }

    /// R14 is what may still be executed.
    pub(super) const LEFT: u8 = R14;
}
