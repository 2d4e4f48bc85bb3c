//! Two-operand and one-operand arithmetic in all common forms.

use super::{
    address, again, careful, get, load, load_slow, load_update_slow, next, set, store_slow, take, then,
    update, width,
};
use crate::cpu::alu::{self, Width};
use crate::cpu::flags::Flags;
use crate::cpu::op::{Exit, Ops};
use crate::cpu::state::State;
use crate::mem::View;

/// A two-operand instruction.
pub(in crate::cpu) trait Binary {
    /// Whether the first operand receives the result.
    const WRITES: bool = true;
    /// Whether the carry flag is an operand.
    const CARRY: bool = false;
    /// The result.
    fn result(w: Width, x: u32, y: u32, carry: u32) -> u32;
    /// Its flags.
    fn flags(f: &mut Flags, w: Width, x: u32, y: u32, z: u32, carry: u32);
}

macro_rules! binary {
    ($($name:ident: $x:ident $y:ident $w:ident $c:ident $z:ident => $result:expr, $f:ident => $flags:expr $(, $key:ident = $value:expr)?;)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`")]
            pub(in crate::cpu) struct $name;
            #[allow(unused_variables)]
            impl Binary for $name {
                $(const $key: bool = $value;)?
                #[inline(always)]
                fn result($w: Width, $x: u32, $y: u32, $c: u32) -> u32 {
                    $result
                }
                #[inline(always)]
                fn flags($f: &mut Flags, $w: Width, $x: u32, $y: u32, $z: u32, $c: u32) {
                    $flags
                }
            }
        )*
    };
}

binary! {
    Add: x y w c z => alu::add(w, x, y, 0), f => f.add(w, x, y);
    Adc: x y w c z => alu::add(w, x, y, c), f => f.adc(w, x, y, c != 0), CARRY = true;
    Sub: x y w c z => alu::sub(w, x, y, 0), f => f.sub(w, x, y);
    Sbb: x y w c z => alu::sub(w, x, y, c), f => f.sbb(w, x, y, c != 0), CARRY = true;
    And: x y w c z => x & y, f => f.logic(w, z);
    Or: x y w c z => x | y, f => f.logic(w, z);
    Xor: x y w c z => x ^ y, f => f.logic(w, z);
    Cmp: x y w c z => 0, f => f.sub(w, x, y), WRITES = false;
    Test: x y w c z => x & y, f => f.logic(w, z), WRITES = false;
}

/// The carry, if the instruction has it as an operand.
#[inline(always)]
fn carry<O: Binary>(st: &State<'_>) -> u32 {
    if O::CARRY { u32::from(carry_of(&st.flags)) } else { 0 }
}

#[inline(never)]
fn carry_of(flags: &Flags) -> bool {
    flags.carry()
}

/// `op reg, reg`.
pub(in crate::cpu) fn rr<'a, O: Binary, const W: u8, const DH: bool, const SH: bool, const F: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    let (w, c) = (width::<W>(), carry::<O>(st));
    let (x, y) = (get::<W, DH>(st, op.r), get::<W, SH>(st, op.s));
    let z = O::result(w, x, y, c);
    if O::WRITES {
        set::<W, DH>(st, op.r, z);
    }
    if F {
        O::flags(&mut st.flags, w, x, y, z, c);
    }
    then!(op, st, ops, view, left)
}

/// `op reg, imm`.
pub(in crate::cpu) fn ri<'a, O: Binary, const W: u8, const DH: bool, const F: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    let (w, c) = (width::<W>(), carry::<O>(st));
    let (x, y) = (get::<W, DH>(st, op.r), op.imm);
    let z = O::result(w, x, y, c);
    if O::WRITES {
        set::<W, DH>(st, op.r, z);
    }
    if F {
        O::flags(&mut st.flags, w, x, y, z, c);
    }
    then!(op, st, ops, view, left)
}

/// `op reg, mem`.
pub(in crate::cpu) fn rm<
    'a,
    O: Binary,
    const W: u8,
    const DH: bool,
    const X: bool,
    const F: bool,
    const SLOW: bool,
>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let w = width::<W>();
    let addr = address::<X>(st, op);
    let y = if SLOW { load_slow(st, w, addr) } else { load::<W>(view, addr) };
    let Some(y) = y else {
        return if SLOW {
            careful(st, op, left)
        } else {
            again(st, here, view, left, rm::<O, W, DH, true, true, true>)
        };
    };
    let c = carry::<O>(st);
    let x = get::<W, DH>(st, op.r);
    let z = O::result(w, x, y, c);
    if O::WRITES {
        set::<W, DH>(st, op.r, z);
    }
    if F {
        O::flags(&mut st.flags, w, x, y, z, c);
    }
    then!(op, st, ops, view, left)
}

/// `op mem, reg` and, with `I`, `op mem, imm`.
pub(in crate::cpu) fn mr<
    'a,
    O: Binary,
    const W: u8,
    const SH: bool,
    const I: bool,
    const X: bool,
    const F: bool,
    const SLOW: bool,
>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let w = width::<W>();
    let addr = address::<X>(st, op);
    let y = if I { op.imm } else { get::<W, SH>(st, op.s) };
    let c = carry::<O>(st);
    let pair = match (O::WRITES, SLOW) {
        (true, false) => update::<W>(view, addr, |x| O::result(w, x, y, c)),
        (false, false) => load::<W>(view, addr).map(|x| (x, O::result(w, x, y, c))),
        (false, true) => load_slow(st, w, addr).map(|x| (x, O::result(w, x, y, c))),
        (true, true) => load_update_slow(st, w, addr).map(|x| (x, O::result(w, x, y, c))),
    };
    let Some((x, z)) = pair else {
        return if SLOW {
            careful(st, op, left)
        } else {
            again(st, here, view, left, mr::<O, W, SH, I, true, true, true>)
        };
    };
    if SLOW && O::WRITES && !store_slow(st, w, addr, z) {
        return careful(st, op, left);
    }
    if F {
        O::flags(&mut st.flags, w, x, y, z, c);
    }
    next!(SLOW, st, op, ops, view, left);
}

/// A one-operand instruction.
pub(in crate::cpu) trait Unary {
    /// The result.
    fn result(w: Width, x: u32) -> u32;
    /// Its flags.
    fn flags(f: &mut Flags, w: Width, x: u32, z: u32);
}

macro_rules! unary {
    ($($name:ident: $x:ident $w:ident $z:ident => $result:expr, $f:ident => $flags:expr;)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`")]
            pub(in crate::cpu) struct $name;
            #[allow(unused_variables)]
            impl Unary for $name {
                #[inline(always)]
                fn result($w: Width, $x: u32) -> u32 {
                    $result
                }
                #[inline(always)]
                fn flags($f: &mut Flags, $w: Width, $x: u32, $z: u32) {
                    $flags
                }
            }
        )*
    };
}

unary! {
    Inc: x w z => alu::add(w, x, 1, 0), f => f.inc(w, z);
    Dec: x w z => alu::sub(w, x, 1, 0), f => f.dec(w, z);
    Neg: x w z => alu::sub(w, 0, x, 0), f => f.sub(w, 0, x);
    Not: x w z => w.cut(!x), f => ();
}

/// `op reg`.
pub(in crate::cpu) fn r<'a, O: Unary, const W: u8, const DH: bool, const F: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    let w = width::<W>();
    let x = get::<W, DH>(st, op.r);
    let z = O::result(w, x);
    set::<W, DH>(st, op.r, z);
    if F {
        O::flags(&mut st.flags, w, x, z);
    }
    then!(op, st, ops, view, left)
}

/// `op mem`.
pub(in crate::cpu) fn m<'a, O: Unary, const W: u8, const X: bool, const SLOW: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let w = width::<W>();
    let addr = address::<X>(st, op);
    let pair = if SLOW {
        load_update_slow(st, w, addr).map(|x| (x, O::result(w, x)))
    } else {
        update::<W>(view, addr, |x| O::result(w, x))
    };
    let Some((x, z)) = pair else {
        return if SLOW { careful(st, op, left) } else { again(st, here, view, left, m::<O, W, true, true>) };
    };
    if SLOW && !store_slow(st, w, addr, z) {
        return careful(st, op, left);
    }
    O::flags(&mut st.flags, w, x, z);
    next!(SLOW, st, op, ops, view, left);
}

/// `imul reg, reg` and, with `I`, `imul reg, reg, imm`.
pub(in crate::cpu) fn imul_rr<'a, const I: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    let w = Width::Dword;
    let y = if I { op.imm } else { st.regs[op.r as usize] };
    let (low, _, overflow) = alu::imul(w, st.regs[op.s as usize], y);
    st.regs[op.r as usize] = low;
    st.flags.mul(w, low, overflow);
    then!(op, st, ops, view, left)
}

/// `imul reg, mem` and, with `I`, `imul reg, mem, imm`.
pub(in crate::cpu) fn imul_rm<'a, const I: bool, const SLOW: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let w = Width::Dword;
    let addr = address::<true>(st, op);
    let x = if SLOW { load_slow(st, w, addr) } else { load::<4>(view, addr) };
    let Some(x) = x else {
        return if SLOW { careful(st, op, left) } else { again(st, here, view, left, imul_rm::<I, true>) };
    };
    let y = if I { op.imm } else { st.regs[op.r as usize] };
    let (low, _, overflow) = alu::imul(w, x, y);
    st.regs[op.r as usize] = low;
    st.flags.mul(w, low, overflow);
    then!(op, st, ops, view, left)
}

/// `mul reg` and, with `S`, `imul reg`: 32 bits, product in EDX:EAX.
pub(in crate::cpu) fn mul_r<'a, const S: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    let w = Width::Dword;
    let (x, y) = (st.regs[0], st.regs[op.r as usize]);
    let (low, high, overflow) = if S {
        alu::imul(w, x, y)
    } else {
        let (low, high) = alu::mul(w, x, y);
        (low, high, high != 0)
    };
    st.regs[0] = low;
    st.regs[2] = high;
    st.flags.mul(w, low, overflow);
    then!(op, st, ops, view, left)
}

/// `div reg` and, with `S`, `idiv reg`: 32 bits; an overflow is left to the general form.
pub(in crate::cpu) fn div_r<'a, const S: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    let w = Width::Dword;
    let (low, high, by) = (st.regs[0], st.regs[2], st.regs[op.r as usize]);
    let result = if S { alu::idiv(w, low, high, by) } else { alu::div(w, low, high, by) };
    let Some((quotient, rest)) = result else { return careful(st, op, left) };
    st.regs[0] = quotient;
    st.regs[2] = rest;
    then!(op, st, ops, view, left)
}
