//! The guest's flags in translated code: not stored as long as they can be told from registers.
//!
//! An instruction that sets flags which somebody may see leaves a note of its operands.  Only a way out of the
//! block stores them as the record of [`Flags`](crate::cpu::flags::Flags); a note whose registers are about
//! to change is stored before.  Instructions that read flags take the host's, where these are still the guest's,
//! or do the operation of the note again.

use super::emit::{Done, Emitter, REGS, WIDE, field};
use crate::cpu::alu::Width;
use crate::cpu::flags::{ARITHMETIC, Class, Over, record};
use crate::cpu::state::offset;
use crate::trapframe::eflags::{AF, CF};
use iced_x86::code_asm::*;

const TAG: usize = offset::FLAGS + record::TAG;
const OVER: usize = offset::FLAGS + record::OVER;
/// First operand in the record.
pub(super) const A: usize = offset::FLAGS + record::A;
/// Second operand in the record.
pub(super) const B: usize = offset::FLAGS + record::B;
/// Result of an override in the record.
pub(super) const RESULT: usize = offset::FLAGS + record::R;

const REGS16: [AsmRegister16; 8] = [ax, cx, dx, bx, r8w, bp, si, di];
const REGS8: [AsmRegister8; 4] = [al, cl, dl, bl];

/// Where an operand is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// In a register of the guest.
    Reg(usize),
    /// Nowhere else.
    Imm(u32),
    /// In its field of the record already.
    Saved,
}

/// What the flags are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pending {
    /// What the record says.
    Stored,
    /// Those of a sum or a difference of these operands.
    Operands { class: Class, w: Width, a: Value, b: Value },
    /// Those of the sum in a register, whose second operand this is.
    Sum { w: Width, r: usize, b: Value },
    /// Those of the difference in a register, whose second operand this is.
    Difference { w: Width, r: usize, b: Value },
    /// Those of the negation that gave a register.
    Negated { w: Width, r: usize },
    /// Those of a result that cannot carry.
    Logic { w: Width, r: Value },
    /// All but the carry are those of an increment or decrement that gave this; the carry is the record's.
    Step { over: Over, w: Width, r: Value },
}

impl Value {
    fn is(self, register: usize) -> bool {
        self == Self::Reg(register)
    }

    /// Stores it in a field of the record; keeps the host's flags.
    fn store(self, a: &mut CodeAssembler, at: usize) -> Done {
        match self {
            Self::Reg(n) => a.mov(field(at), REGS[n])?,
            Self::Imm(value) => a.mov(field(at), value as i32)?,
            Self::Saved => {}
        }
        Ok(())
    }

    /// Puts register `r` less this, the second operand, into `r10d`; keeps the host's flags.
    fn less(self, a: &mut CodeAssembler, r: usize) -> Done {
        match self {
            Self::Imm(value) => return Ok(a.lea(r10d, ptr(WIDE[r] + value.wrapping_neg() as i32))?),
            Self::Reg(n) => a.mov(r10d, REGS[n])?,
            Self::Saved => a.mov(r10d, field(B))?,
        }
        a.not(r10d)?;
        Ok(a.lea(r10d, ptr(WIDE[r] + r10 + 1))?)
    }

    /// Puts register `r` plus this, the second operand, into `r10d`; keeps the host's flags.
    fn plus(self, a: &mut CodeAssembler, r: usize) -> Done {
        match self {
            Self::Imm(value) => return Ok(a.lea(r10d, ptr(WIDE[r] + value as i32))?),
            Self::Reg(n) => return Ok(a.lea(r10d, ptr(WIDE[r] + WIDE[n]))?),
            Self::Saved => a.mov(r10d, field(B))?,
        }
        Ok(a.lea(r10d, ptr(WIDE[r] + r10))?)
    }
}

impl Pending {
    /// Whether it is told from a register.
    fn uses(self, register: usize) -> bool {
        match self {
            Self::Stored => false,
            Self::Operands { a, b, .. } => a.is(register) || b.is(register),
            Self::Sum { r, b, .. } | Self::Difference { r, b, .. } => r == register || b.is(register),
            Self::Negated { r, .. } => r == register,
            Self::Logic { r, .. } | Self::Step { r, .. } => r.is(register),
        }
    }

    /// Stores the record; keeps the host's flags and uses `r10`.  Gives the note that is left: the same flags, told
    /// from the record.
    pub(super) fn store(self, asm: &mut CodeAssembler) -> Done<Self> {
        let saved = |class, w| Self::Operands { class, w, a: Value::Saved, b: Value::Saved };
        let tag = |asm: &mut CodeAssembler, class, w| asm.mov(field(TAG), record::tag(class, w) as i32);
        Ok(match self {
            Self::Stored => self,
            Self::Operands { class, w, a, b } => {
                tag(asm, class, w)?;
                a.store(asm, A)?;
                b.store(asm, B)?;
                saved(class, w)
            }
            Self::Sum { w, r, b } => {
                tag(asm, Class::Add, w)?;
                b.less(asm, r)?;
                asm.mov(field(A), r10d)?;
                b.store(asm, B)?;
                saved(Class::Add, w)
            }
            Self::Difference { w, r, b } => {
                tag(asm, Class::Sub, w)?;
                b.plus(asm, r)?;
                asm.mov(field(A), r10d)?;
                b.store(asm, B)?;
                saved(Class::Sub, w)
            }
            Self::Negated { w, r } => {
                tag(asm, Class::Sub, w)?;
                negated(asm, r)?;
                asm.mov(field(A), 0)?;
                asm.mov(field(B), r10d)?;
                saved(Class::Sub, w)
            }
            Self::Logic { w, r } => {
                tag(asm, Class::Logic, w)?;
                r.store(asm, A)?;
                Self::Logic { w, r: Value::Saved }
            }
            Self::Step { over, w, r } => {
                asm.mov(word_ptr(r13 + OVER), i32::from(record::over(over, w)))?;
                r.store(asm, RESULT)?;
                Self::Step { over, w, r: Value::Saved }
            }
        })
    }

    /// Makes the host's flags those of the note, which is not `Stored`; gives those that are.  Uses `r10`.
    fn again(self, asm: &mut CodeAssembler) -> Done<u32> {
        match self {
            Self::Stored => return Ok(0),
            Self::Operands { class, w, a, b } => {
                match a {
                    Value::Reg(n) => asm.mov(r10d, REGS[n])?,
                    Value::Imm(value) => asm.mov(r10d, value as i32)?,
                    Value::Saved => asm.mov(r10d, field(A))?,
                }
                match class {
                    Class::Add => combine(asm, w, b, true)?,
                    Class::Sub => combine(asm, w, b, false)?,
                    _ => return Ok(0),
                }
            }
            Self::Sum { w, r, b } => {
                b.less(asm, r)?;
                combine(asm, w, b, true)?;
            }
            Self::Difference { w, r, b } => {
                b.plus(asm, r)?;
                combine(asm, w, b, false)?;
            }
            Self::Negated { w, r } => {
                negated(asm, r)?;
                match w {
                    Width::Byte => asm.neg(r10b)?,
                    Width::Word => asm.neg(r10w)?,
                    Width::Dword => asm.neg(r10d)?,
                }
            }
            Self::Logic { w, r } => {
                match r {
                    Value::Reg(n) => asm.mov(r10d, REGS[n])?,
                    Value::Imm(value) => asm.mov(r10d, value as i32)?,
                    Value::Saved => asm.mov(r10d, field(A))?,
                }
                match w {
                    Width::Byte => asm.test(r10b, r10b)?,
                    Width::Word => asm.test(r10w, r10w)?,
                    Width::Dword => asm.test(r10d, r10d)?,
                }
            }
            Self::Step { over, w, r } => {
                match r {
                    Value::Reg(n) => asm.mov(r10d, REGS[n])?,
                    Value::Imm(value) => asm.mov(r10d, value as i32)?,
                    Value::Saved => asm.mov(r10d, field(RESULT))?,
                }
                let down = over == Over::Dec;
                asm.lea(r10d, ptr(r10 + if down { 1 } else { -1 }))?;
                match (w, down) {
                    (Width::Byte, true) => asm.dec(r10b)?,
                    (Width::Word, true) => asm.dec(r10w)?,
                    (Width::Dword, true) => asm.dec(r10d)?,
                    (Width::Byte, false) => asm.inc(r10b)?,
                    (Width::Word, false) => asm.inc(r10w)?,
                    (Width::Dword, false) => asm.inc(r10d)?,
                }
                return Ok(ARITHMETIC & !CF);
            }
        }
        Ok(ARITHMETIC)
    }
}

/// Puts the negation of a register into `r10d`; keeps the host's flags.
fn negated(asm: &mut CodeAssembler, r: usize) -> Done {
    asm.mov(r10d, REGS[r])?;
    asm.not(r10d)?;
    Ok(asm.lea(r10d, ptr(r10 + 1))?)
}

/// Adds the second operand to `r10`, or compares with it.
fn combine(asm: &mut CodeAssembler, w: Width, b: Value, add: bool) -> Done {
    match (w, b, add) {
        (Width::Dword, Value::Reg(n), true) => asm.add(r10d, REGS[n])?,
        (Width::Dword, Value::Reg(n), false) => asm.cmp(r10d, REGS[n])?,
        (Width::Dword, Value::Imm(v), true) => asm.add(r10d, v as i32)?,
        (Width::Dword, Value::Imm(v), false) => asm.cmp(r10d, v as i32)?,
        (Width::Dword, Value::Saved, true) => asm.add(r10d, field(B))?,
        (Width::Dword, Value::Saved, false) => asm.cmp(r10d, field(B))?,
        (Width::Word, Value::Reg(n), true) => asm.add(r10w, REGS16[n])?,
        (Width::Word, Value::Reg(n), false) => asm.cmp(r10w, REGS16[n])?,
        (Width::Word, Value::Imm(v), true) => asm.add(r10w, i32::from(v as i16))?,
        (Width::Word, Value::Imm(v), false) => asm.cmp(r10w, i32::from(v as i16))?,
        (Width::Word, Value::Saved, true) => asm.add(r10w, word_ptr(r13 + B))?,
        (Width::Word, Value::Saved, false) => asm.cmp(r10w, word_ptr(r13 + B))?,
        (Width::Byte, Value::Reg(n), true) => asm.add(r10b, REGS8[n & 3])?,
        (Width::Byte, Value::Reg(n), false) => asm.cmp(r10b, REGS8[n & 3])?,
        (Width::Byte, Value::Imm(v), true) => asm.add(r10b, i32::from(v as i8))?,
        (Width::Byte, Value::Imm(v), false) => asm.cmp(r10b, i32::from(v as i8))?,
        (Width::Byte, Value::Saved, true) => asm.add(r10b, byte_ptr(r13 + B))?,
        (Width::Byte, Value::Saved, false) => asm.cmp(r10b, byte_ptr(r13 + B))?,
    }
    Ok(())
}

impl Emitter {
    /// A register of the guest is about to change; `live` says whether the flags are seen behind the instruction
    /// that changes it.  Comes after the last way out of that instruction, from where they are always seen.
    pub(super) fn changes(&mut self, register: usize, live: bool) -> Done {
        if self.pending.uses(register) {
            let pending = if live { self.pending.store(&mut self.a)? } else { Pending::Stored };
            self.set(pending, self.host);
        }
        Ok(())
    }

    /// Stores the flags, so that the next block finds them.
    pub(super) fn settle(&mut self) -> Done {
        let pending = self.pending.store(&mut self.a)?;
        self.set(pending, self.host);
        Ok(())
    }

    /// Makes some flags those of the host; false where that takes the interpreter.
    pub(super) fn need(&mut self, flags: u32) -> Done<bool> {
        if self.host & flags != flags && self.pending != Pending::Stored {
            self.host = self.pending.again(&mut self.a)?;
        }
        Ok(self.host & flags == flags)
    }

    /// Stores what the host's flags are, all of which the last instruction has set; what a `logic` one leaves
    /// undefined is clear.
    pub(super) fn capture(&mut self, logic: bool) -> Done {
        let defined = if logic { ARITHMETIC & !AF } else { ARITHMETIC };
        self.a.pushfq()?;
        self.a.pop(r10)?;
        self.a.and(r10d, defined as i32)?;
        self.a.mov(field(A), r10d)?;
        self.a.mov(field(TAG), record::tag(Class::Explicit, Width::Dword) as i32)?;
        self.set(Pending::Stored, 0);
        Ok(())
    }

    /// Stores the flags themselves instead of their operands, where that is easily done: the kernel wants to see them.
    pub(super) fn show(&mut self) -> Done {
        if self.pending != Pending::Stored && self.need(ARITHMETIC)? {
            self.capture(matches!(self.pending, Pending::Logic { .. }))?;
        }
        Ok(())
    }

    /// Stores the tag of a record whose operands are there.
    pub(super) fn tag(&mut self, class: Class, w: Width) -> Done {
        Ok(self.a.mov(field(TAG), record::tag(class, w) as i32)?)
    }

    /// Looks at one flag of a record that nobody here has made: goes to `label` if it is `set`.  The usual case
    /// behind a call of the kernel; any other is left to the interpreter.
    pub(super) fn look(&mut self, flag: u32, set: bool, label: CodeLabel) -> Done {
        let leave = self.leave();
        self.a.test(field(TAG), record::NOT_EXPLICIT as i32)?;
        self.a.jnz(leave)?;
        self.a.test(field(A), flag as i32)?;
        self.host = 0;
        if set {
            self.a.jnz(label)?
        } else {
            self.a.jz(label)?
        }
        Ok(())
    }
}
