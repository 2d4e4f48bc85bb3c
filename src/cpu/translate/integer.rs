//! Translation of arithmetic: mostly the instruction itself, with a note of its flags where they are seen.

use super::Step;
use super::emit::{Done, Emitter, REGS, field};
use super::pending::{A, B, Pending, RESULT, Value};
use crate::cpu::alu::Width;
use crate::cpu::flags::{ARITHMETIC, Class, Over};
use crate::trapframe::eflags::{AF, CF, OF};
use iced_x86::code_asm::*;
use iced_x86::{Code as K, Instruction, Mnemonic as M, OpKind, Register as R};

const EAX: usize = 0;
const EDX: usize = 2;

/// An operand as arithmetic sees it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operand {
    Reg(usize),
    /// The second lowest byte of a register.
    High(usize),
    Imm(u32),
    Memory,
}

impl Operand {
    fn of(ins: &Instruction, i: u32, w: Width) -> Self {
        match ins.op_kind(i) {
            OpKind::Memory => Self::Memory,
            OpKind::Register => {
                let r = ins.op_register(i);
                if is_high(r) { Self::High(r.number() - 4) } else { Self::Reg(r.number()) }
            }
            _ => Self::Imm(w.cut(ins.immediate(i) as u32)),
        }
    }

    /// As the second operand of a note.
    fn value(self) -> Value {
        match self {
            Self::Reg(n) | Self::High(n) => Value::Reg(n),
            Self::Imm(value) => Value::Imm(value),
            Self::Memory => Value::Saved,
        }
    }
}

/// Whether a register is the second lowest byte of another one.
pub(super) fn is_high(r: R) -> bool {
    matches!(r, R::AH | R::CH | R::DH | R::BH)
}

/// Width of the first operand.
pub(super) fn width(ins: &Instruction) -> Width {
    match ins.op0_kind() {
        OpKind::Memory => Width::of(ins.memory_size().size()),
        _ => Width::of(ins.op0_register().size()),
    }
}

/// `add or adc sbb and sub xor cmp test`.
pub(super) fn binary(e: &mut Emitter, s: &Step<'_>) -> Done {
    let ins = s.ins;
    let m = ins.mnemonic();
    let w = width(ins);
    let (x, y) = (Operand::of(ins, 0, w), Operand::of(ins, 1, w));
    if x == Operand::Memory || y == Operand::Memory {
        e.reach(ins, w.bytes(), x == Operand::Memory && !matches!(m, M::Cmp | M::Test), s.accesses.operand)?;
    }
    if matches!(m, M::Adc | M::Sbb) {
        if !e.need(CF)? {
            return e.stop();
        }
        e.native(ins)?;
        return with_all(e, s);
    }
    let high = matches!(x, Operand::High(_)) || matches!(y, Operand::High(_));
    if !s.seen || high {
        e.native(ins)?;
        return with_all(e, s);
    }
    let class = if m == M::Add { Class::Add } else { Class::Sub };
    let saved = Pending::Operands { class, w, a: Value::Saved, b: Value::Saved };
    let pending = match (m, x, y) {
        (M::Cmp, Operand::Memory, _) => {
            e.load(w)?;
            e.a.mov(field(A), r10d)?;
            with_r10(e, ins, 0)?;
            Pending::Operands { class, w, a: Value::Saved, b: y.value() }
        }
        (M::Cmp, Operand::Reg(r), Operand::Memory) => {
            e.load(w)?;
            e.a.mov(field(B), r10d)?;
            with_r10(e, ins, 1)?;
            Pending::Operands { class, w, a: Value::Reg(r), b: Value::Saved }
        }
        (M::Cmp, Operand::Reg(r), _) => {
            e.native(ins)?;
            Pending::Operands { class, w, a: Value::Reg(r), b: y.value() }
        }
        (M::Test, Operand::Reg(r), Operand::Reg(same)) if r == same => {
            e.native(ins)?;
            Pending::Logic { w, r: Value::Reg(r) }
        }
        (M::Test, ..) => {
            match x {
                Operand::Reg(r) => e.a.mov(r10d, REGS[r])?,
                _ => e.load(w)?,
            }
            with_r10(e, &as_and(ins)?, 0)?;
            e.a.mov(field(A), r10d)?;
            Pending::Logic { w, r: Value::Saved }
        }
        (M::And | M::Or | M::Xor, Operand::Reg(r), _) => {
            e.native(ins)?;
            Pending::Logic { w, r: Value::Reg(r) }
        }
        (M::And | M::Or | M::Xor, ..) => {
            e.load(w)?;
            with_r10(e, ins, 0)?;
            e.store(w)?;
            e.a.mov(field(A), r10d)?;
            Pending::Logic { w, r: Value::Saved }
        }
        (_, Operand::Memory, _) => {
            e.load(w)?;
            e.a.mov(field(A), r10d)?;
            with_r10(e, ins, 0)?;
            e.store(w)?;
            Pending::Operands { class, w, a: Value::Saved, b: y.value() }
        }
        (_, Operand::Reg(r), Operand::Memory) => {
            e.load(w)?;
            e.a.mov(field(A), REGS[r])?;
            e.a.mov(field(B), r10d)?;
            with_r10(e, ins, 1)?;
            saved
        }
        (M::Sub, Operand::Reg(r), Operand::Reg(same)) if r == same => {
            e.native(ins)?;
            Pending::Logic { w, r: Value::Reg(r) }
        }
        (M::Add, Operand::Reg(r), Operand::Reg(same)) if r == same => {
            e.a.mov(field(A), REGS[r])?;
            e.a.mov(field(B), REGS[r])?;
            e.native(ins)?;
            saved
        }
        (M::Add, Operand::Reg(r), _) => {
            e.native(ins)?;
            Pending::Sum { w, r, b: y.value() }
        }
        (_, Operand::Reg(r), _) => {
            e.native(ins)?;
            Pending::Difference { w, r, b: y.value() }
        }
        // High bytes and immediates are no first operands here.
        _ => return e.stop(),
    };
    e.set(pending, ARITHMETIC);
    Ok(())
}

/// An instruction has set all flags, as the host does: stores them if they are seen.
fn with_all(e: &mut Emitter, s: &Step<'_>) -> Done {
    if s.seen {
        return e.capture(matches!(s.ins.mnemonic(), M::And | M::Or | M::Xor | M::Test));
    }
    e.set(Pending::Stored, ARITHMETIC);
    Ok(())
}

/// The instruction with `r10` in place of an operand.
fn with_r10(e: &mut Emitter, ins: &Instruction, operand: u32) -> Done {
    let mut ins = *ins;
    let r = match width(&ins) {
        Width::Byte => R::R10L,
        Width::Word => R::R10W,
        Width::Dword => R::R10D,
    };
    ins.set_op_kind(operand, OpKind::Register);
    ins.set_op_register(operand, r);
    e.native(&ins)
}

/// `and` in place of `test`: the same flags, and the result.
fn as_and(ins: &Instruction) -> Done<Instruction> {
    let mut and = *ins;
    and.set_code(match ins.code() {
        K::Test_rm8_r8 => K::And_rm8_r8,
        K::Test_rm16_r16 => K::And_rm16_r16,
        K::Test_rm32_r32 => K::And_rm32_r32,
        K::Test_AL_imm8 | K::Test_rm8_imm8 => K::And_rm8_imm8,
        K::Test_AX_imm16 | K::Test_rm16_imm16 => K::And_rm16_imm16,
        K::Test_EAX_imm32 | K::Test_rm32_imm32 => K::And_rm32_imm32,
        _ => return Err(super::Unserved),
    });
    Ok(and)
}

/// `inc dec`.
pub(super) fn step(e: &mut Emitter, s: &Step<'_>) -> Done {
    let (ins, w) = (s.ins, width(s.ins));
    let down = ins.mnemonic() == M::Dec;
    let over = if down { Over::Dec } else { Over::Inc };
    let x = Operand::of(ins, 0, w);
    if x == Operand::Memory {
        e.reach(ins, w.bytes(), true, s.accesses.operand)?;
    }
    if s.seen && !matches!(e.pending, Pending::Step { .. }) {
        // The record keeps the carry.
        e.settle()?;
    }
    let carry = e.host & CF;
    match x {
        Operand::Memory if s.seen => {
            e.load(w)?;
            match (w, down) {
                (Width::Byte, false) => e.a.inc(r10b)?,
                (Width::Word, false) => e.a.inc(r10w)?,
                (Width::Dword, false) => e.a.inc(r10d)?,
                (Width::Byte, true) => e.a.dec(r10b)?,
                (Width::Word, true) => e.a.dec(r10w)?,
                (Width::Dword, true) => e.a.dec(r10d)?,
            }
            e.store(w)?;
            e.a.mov(field(RESULT), r10d)?;
        }
        _ => {
            if let (Operand::Reg(r) | Operand::High(r), false) = (x, s.seen) {
                e.changes(r, s.live)?;
            }
            let mut ins = *ins;
            ins.set_code(match ins.code() {
                K::Inc_r32 => K::Inc_rm32,
                K::Inc_r16 => K::Inc_rm16,
                K::Dec_r32 => K::Dec_rm32,
                K::Dec_r16 => K::Dec_rm16,
                other => other,
            });
            e.native(&ins)?;
        }
    }
    if s.seen {
        let r = if let Operand::Reg(r) = x { Value::Reg(r) } else { Value::Saved };
        e.set(Pending::Step { over, w, r }, ARITHMETIC & !CF | carry);
    } else {
        e.host = carry;
    }
    Ok(())
}

/// `neg not`.
pub(super) fn unary(e: &mut Emitter, s: &Step<'_>) -> Done {
    let (ins, w) = (s.ins, width(s.ins));
    let x = Operand::of(ins, 0, w);
    if x == Operand::Memory {
        e.reach(ins, w.bytes(), true, s.accesses.operand)?;
    }
    if ins.mnemonic() == M::Not {
        if let Operand::Reg(r) | Operand::High(r) = x {
            e.changes(r, s.live)?;
        }
        return e.native(ins);
    }
    e.native(ins)?;
    match x {
        Operand::Reg(r) if s.seen => {
            e.set(Pending::Negated { w, r }, ARITHMETIC);
            Ok(())
        }
        _ => with_all(e, s),
    }
}

/// Shifts, and rotates whose flags nobody sees; whose flags are seen is 32 bits wide and in a register.
pub(super) fn shift(e: &mut Emitter, s: &Step<'_>) -> Done {
    let (ins, w) = (s.ins, width(s.ins));
    let x = Operand::of(ins, 0, w);
    if x == Operand::Memory {
        e.reach(ins, w.bytes(), true, s.accesses.operand)?;
    }
    let by_register = ins.op1_kind() == OpKind::Register;
    let count = if by_register { None } else { Some(ins.immediate(1) as u32 & 31) };
    let rotates = matches!(ins.mnemonic(), M::Rol | M::Ror);
    let class = match ins.mnemonic() {
        M::Shl | M::Sal => Class::Shl,
        M::Shr => Class::Shr,
        _ => Class::Sar,
    };
    let r = match x {
        Operand::Reg(r) | Operand::High(r) => r,
        _ => usize::MAX,
    };
    match count {
        Some(0) => {}
        _ if !s.seen => {
            // A rotate, or a count of zero, keeps flags that are seen.
            e.changes(r, s.live)?;
            e.native(ins)?;
            if !rotates && count.is_some() {
                e.pending = Pending::Stored;
            }
            e.host = 0;
        }
        Some(count) => {
            e.a.mov(field(A), REGS[r])?;
            e.a.mov(field(B), count as i32)?;
            e.tag(class, w)?;
            e.native(ins)?;
            let overflow = if count == 1 { OF } else { 0 };
            e.set(Pending::Stored, ARITHMETIC & !(AF | OF) | overflow);
        }
        None => {
            e.settle()?;
            let none = e.a.create_label();
            e.a.mov(r10d, ecx)?;
            e.a.and(r10d, 31)?;
            e.a.jz(none)?;
            e.a.mov(field(A), REGS[r])?;
            e.a.mov(field(B), r10d)?;
            e.tag(class, w)?;
            e.native(ins)?;
            e.bind(none)?;
            e.set(Pending::Stored, 0);
        }
    }
    Ok(())
}

/// `mul imul`.
pub(super) fn multiply(e: &mut Emitter, s: &Step<'_>) -> Done {
    let ins = s.ins;
    if ins.op_kinds().any(|k| k == OpKind::Memory) {
        e.reach(ins, 4, false, s.accesses.operand)?;
    }
    e.native(ins)?;
    e.set(Pending::Stored, CF | OF);
    if s.seen {
        let low = if ins.op_count() == 1 { EAX } else { ins.op0_register().number() };
        e.a.mov(field(A), REGS[low])?;
        e.a.seto(r10b)?;
        e.a.movzx(r10d, r10b)?;
        e.a.mov(field(B), r10d)?;
        e.tag(Class::Mul, Width::Dword)?;
    }
    Ok(())
}

/// `div idiv` of 64 bits by a 32-bit register; what overflows is left to the interpreter.
pub(super) fn divide(e: &mut Emitter, s: &Step<'_>) -> Done {
    let leave = e.leave();
    e.changes(EAX, s.live)?;
    e.changes(EDX, s.live)?;
    e.a.mov(r10d, REGS[s.ins.op0_register().number()])?;
    if s.ins.mnemonic() == M::Div {
        e.a.cmp(edx, r10d)?;
        e.a.jae(leave)?;
        e.a.div(r10d)?;
    } else {
        e.a.mov(r11d, eax)?;
        e.a.sar(r11d, 31)?;
        e.a.cmp(r11d, edx)?;
        e.a.jne(leave)?;
        e.a.lea(r11d, ptr(r10 + 1))?;
        e.a.cmp(r11d, 1)?;
        e.a.jbe(leave)?;
        e.a.idiv(r10d)?;
    }
    e.host = 0;
    Ok(())
}

/// `setcc`; stops where the flags are not to be had.
pub(super) fn set_condition(e: &mut Emitter, s: &Step<'_>, flags: u32) -> Done {
    let ins = s.ins;
    let x = Operand::of(ins, 0, Width::Byte);
    if x == Operand::Memory {
        e.reach(ins, 1, true, s.accesses.operand)?;
    }
    if !e.need(flags)? {
        return e.stop();
    }
    if let Operand::Reg(r) | Operand::High(r) = x {
        e.changes(r, s.live)?;
    }
    e.native(ins)
}
