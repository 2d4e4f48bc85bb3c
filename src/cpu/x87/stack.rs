//! The register stack of the x87 unit: which register is ST(i), pushing and popping, and noting
//! exceptions.  Knows no instruction.

use super::format::Outcome;
use super::word::{B, C1, EARLY, ES, EXCEPTIONS, IE, SF};
use crate::trapframe::fpu::Register;
use crate::trapframe::{F80, FpuState};

impl FpuState {
    /// The physical register that is ST(i).
    #[inline(always)]
    pub(crate) fn physical(&self, i: u8) -> usize {
        usize::from(self.top.wrapping_add(i) & 7)
    }

    /// Whether a physical register holds a value.
    #[inline(always)]
    pub(crate) fn holds(&self, physical: usize) -> bool {
        self.reg[physical & 7].kind & Register::HOLDS != 0
    }

    /// The contents of a physical register.
    #[inline(always)]
    pub(crate) fn at(&self, physical: usize) -> F80 {
        self.reg[physical & 7].value()
    }

    /// Writes a physical register and marks it as holding a value.
    #[inline(always)]
    pub(crate) fn put(&mut self, physical: usize, value: F80) {
        self.reg[physical & 7] = Register::new(value, Register::HOLDS);
    }

    /// Marks a physical register as empty.
    #[inline(always)]
    pub(crate) fn empty(&mut self, physical: usize) {
        self.reg[physical & 7].kind &= !Register::HOLDS;
    }

    /// Marks ST(0) as empty and makes ST(1) the new ST(0).
    #[inline(always)]
    pub(crate) fn pop(&mut self) {
        self.empty(self.physical(0));
        self.turn(1);
    }

    /// Adds to the top-of-stack field.
    #[inline(always)]
    pub(crate) fn turn(&mut self, by: u8) {
        self.top = self.top.wrapping_add(by) & 7;
    }

    /// Notes exceptions and C1 in the status word.  Returns the exceptions that are not masked.
    #[inline(always)]
    pub(crate) fn note(&mut self, flags: u16) -> u16 {
        self.rounded_up = None;
        self.flags = self.flags & !C1 | flags;
        let unmasked = flags & !self.control & EXCEPTIONS;
        if unmasked != 0 {
            self.flags |= ES | B;
        }
        unmasked
    }

    /// Writes a result to a register that holds a value, unless an early exception stops it.
    /// Returns whether it was written.
    #[inline(always)]
    pub(crate) fn finish(&mut self, physical: usize, outcome: Outcome) -> bool {
        if self.note(outcome.flags) & EARLY != 0 {
            return false;
        }
        self.put(physical, outcome.value);
        true
    }

    /// Pushes a result, unless the stack is full or an early exception stops it.
    #[inline(always)]
    pub(crate) fn push(&mut self, outcome: Outcome) {
        let destination = self.physical(7);
        if self.holds(destination) {
            return self.push_overflow();
        }
        if self.note(outcome.flags) & EARLY == 0 {
            self.turn(7);
            self.put(destination, outcome.value);
        }
    }

    /// The stack is full: masked, the push delivers the indefinite NaN.
    #[cold]
    #[inline(never)]
    pub(crate) fn push_overflow(&mut self) {
        if self.note(IE | SF | C1) == 0 {
            self.turn(7);
            self.put(self.physical(0), F80::INDEFINITE);
        }
    }

    /// An operand is an empty register: masked, the destination takes the indefinite NaN.  Returns
    /// whether the instruction goes on (to pop).
    #[cold]
    #[inline(never)]
    pub(crate) fn underflow(&mut self, destination: usize) -> bool {
        let masked = self.note(IE | SF) == 0;
        if masked {
            self.put(destination, F80::INDEFINITE);
        }
        masked
    }

    /// Whether an unmasked exception waits for the next waiting instruction.
    #[inline(always)]
    pub fn pending(&self) -> bool {
        self.flags & ES != 0
    }
}
