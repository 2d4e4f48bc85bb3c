//! Arithmetic: two operands, one operand, shifts, multiplication, division, decimal adjustment.

use super::operand::{read, read_first, width, write};
use crate::cpu::alu::{self, Width};
use crate::cpu::flags;
use crate::cpu::state::State;
use crate::trapframe::eflags::{AF, CF, OF, PF, SF, ZF};
use crate::trapframe::{Gpr, Trap};
use iced_x86::{Instruction, Mnemonic as M};

/// `add or adc sbb and sub xor cmp test`.
pub(super) fn binary(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = width(ins, 0);
    let writes = !matches!(ins.mnemonic(), M::Cmp | M::Test);
    let x = if writes { read_first(st, ins, w)? } else { read(st, ins, 0, w)? };
    let y = read(st, ins, 1, w)?;
    let carry = u32::from(st.flags.carry());
    let z = match ins.mnemonic() {
        M::Add => alu::add(w, x, y, 0),
        M::Adc => alu::add(w, x, y, carry),
        M::Sub | M::Cmp => alu::sub(w, x, y, 0),
        M::Sbb => alu::sub(w, x, y, carry),
        M::Or => x | y,
        M::Xor => x ^ y,
        _ => x & y,
    };
    if writes {
        write(st, ins, 0, w, z)?;
    }
    match ins.mnemonic() {
        M::Add => st.flags.add(w, x, y),
        M::Adc => st.flags.adc(w, x, y, carry != 0),
        M::Sub | M::Cmp => st.flags.sub(w, x, y),
        M::Sbb => st.flags.sbb(w, x, y, carry != 0),
        _ => st.flags.logic(w, z),
    }
    Ok(())
}

/// `inc dec not neg`.
pub(super) fn unary(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = width(ins, 0);
    let x = read_first(st, ins, w)?;
    let z = match ins.mnemonic() {
        M::Inc => alu::add(w, x, 1, 0),
        M::Dec => alu::sub(w, x, 1, 0),
        M::Not => w.cut(!x),
        _ => alu::sub(w, 0, x, 0),
    };
    write(st, ins, 0, w, z)?;
    match ins.mnemonic() {
        M::Inc => st.flags.inc(w, z),
        M::Dec => st.flags.dec(w, z),
        M::Neg => st.flags.sub(w, 0, x),
        _ => {}
    }
    Ok(())
}

/// `rol ror rcl rcr shl shr sar`: the count is taken modulo 32, and zero changes no flag.
pub(super) fn shift(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = width(ins, 0);
    let x = read_first(st, ins, w)?;
    let count = read(st, ins, 1, Width::Byte)? & 31;
    let carry = st.flags.carry();
    let (z, out) = match ins.mnemonic() {
        M::Shl | M::Sal => (alu::shl(w, x, count), false),
        M::Shr => (alu::shr(w, x, count), false),
        M::Sar => (alu::sar(w, x, count), false),
        M::Rol => {
            let z = alu::rol(w, x, count);
            (z, z & 1 != 0)
        }
        M::Ror => {
            let z = alu::ror(w, x, count);
            (z, w.sign(z))
        }
        M::Rcl => alu::rcl(w, x, count, carry),
        _ => alu::rcr(w, x, count, carry),
    };
    write(st, ins, 0, w, z)?;
    if count == 0 {
        return Ok(());
    }
    match ins.mnemonic() {
        M::Shl | M::Sal => st.flags.shl(w, x, count),
        M::Shr => st.flags.shr(w, x, count),
        M::Sar => st.flags.sar(w, x, count),
        M::Rol | M::Rcl => st.flags.rotate(out, w.sign(z) != out),
        _ => st.flags.rotate(out, w.sign(z) != w.sign(z << 1)),
    }
    Ok(())
}

/// `shld shrd`.
pub(super) fn double_shift(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = width(ins, 0);
    let x = read_first(st, ins, w)?;
    let fill = read(st, ins, 1, w)?;
    let count = read(st, ins, 2, Width::Byte)? & 31;
    if count == 0 {
        // The destination is written all the same, and may fault.
        return write(st, ins, 0, w, x);
    }
    let (z, out) = match ins.mnemonic() {
        M::Shld => alu::shld(w, x, fill, count),
        _ => alu::shrd(w, x, fill, count),
    };
    write(st, ins, 0, w, z)?;
    st.flags.logic(w, z);
    let overflow = w.sign(x) != w.sign(z);
    st.flags.replace(CF | OF, u32::from(out) | if overflow { OF } else { 0 });
    Ok(())
}

/// `mul imul` with one, two or three operands.
pub(super) fn multiply(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = width(ins, 0);
    if ins.op_count() > 1 {
        let x = read(st, ins, ins.op_count() - 2, w)?;
        let y = read(st, ins, ins.op_count() - 1, w)?;
        let (low, _, overflow) = alu::imul(w, x, y);
        write(st, ins, 0, w, low)?;
        st.flags.mul(w, low, overflow);
        return Ok(());
    }
    let x = read(st, ins, 0, w)?;
    let y = st.get_part(w, 0);
    let (low, high, overflow) = match ins.mnemonic() {
        M::Mul => {
            let (low, high) = alu::mul(w, x, y);
            (low, high, high != 0)
        }
        _ => alu::imul(w, x, y),
    };
    st.set_part(w, 0, low);
    set_high(st, w, high);
    st.flags.mul(w, low, overflow);
    Ok(())
}

/// `div idiv`.
pub(super) fn divide(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = width(ins, 0);
    let by = read(st, ins, 0, w)?;
    let low = st.get_part(w, 0);
    let high = if w == Width::Byte { st.get_part(w, 4) } else { st.get_part(w, 2) };
    let result = match ins.mnemonic() {
        M::Div => alu::div(w, low, high, by),
        _ => alu::idiv(w, low, high, by),
    };
    let (quotient, rest) = result.ok_or(Trap::Divide)?;
    st.set_part(w, 0, quotient);
    set_high(st, w, rest);
    Ok(())
}

/// The upper half of a double-width accumulator: AH, DX or EDX.
fn set_high(st: &mut State<'_>, w: Width, value: u32) {
    let number = if w == Width::Byte { 4 } else { Gpr::Edx as usize };
    st.set_part(w, number, value);
}

/// `daa das aaa aas aam aad`.
pub(super) fn decimal(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let f = st.flags.eflags();
    let (cf, af) = (f & CF != 0, f & AF != 0);
    let ax = st.get_part(Width::Word, 0);
    let al = ax & 0xff;
    let base = ins.immediate8().into();
    let (ax, cf, af) = match ins.mnemonic() {
        M::Daa | M::Das => {
            let adjust = if ins.mnemonic() == M::Daa { alu::decimal::daa } else { alu::decimal::das };
            let (al, cf, af) = adjust(al, cf, af);
            (ax & 0xff00 | al, cf, af)
        }
        M::Aaa => alu::decimal::aaa(ax, af),
        M::Aas => alu::decimal::aas(ax, af),
        M::Aad => (al.wrapping_add((ax >> 8).wrapping_mul(base)) & 0xff, false, false),
        _ if base == 0 => return Err(Trap::Divide),
        _ => (((al / base) << 8) | (al % base), false, false),
    };
    st.set_part(Width::Word, 0, ax);
    st.flags.logic(Width::Byte, ax & 0xff);
    st.flags.replace(CF | AF, u32::from(cf) | if af { AF } else { 0 });
    debug_assert_eq!(flags::ARITHMETIC & !(CF | AF | OF), PF | SF | ZF);
    Ok(())
}
