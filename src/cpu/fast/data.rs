//! Moves, conversions and addresses.

use super::{address, again, careful, get, load, load_slow, next, set, store, store_slow, take, then, width};
use crate::cpu::op::{Exit, Ops};
use crate::cpu::state::State;
use crate::mem::View;
use crate::trapframe::eflags::DF;

/// `mov reg, reg`.
pub(in crate::cpu) fn mov_rr<'a, const W: u8, const DH: bool, const SH: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    let x = get::<W, SH>(st, op.s);
    set::<W, DH>(st, op.r, x);
    then!(op, st, ops, view, left)
}

/// `mov reg, imm`.
pub(in crate::cpu) fn mov_ri<'a, const W: u8, const DH: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    set::<W, DH>(st, op.r, op.imm);
    then!(op, st, ops, view, left)
}

/// `mov reg, mem`.
pub(in crate::cpu) fn mov_rm<'a, const W: u8, const DH: bool, const X: bool, const SLOW: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let addr = address::<X>(st, op);
    let x = if SLOW { load_slow(st, width::<W>(), addr) } else { load::<W>(view, addr) };
    let Some(x) = x else {
        return if SLOW {
            careful(st, op, left)
        } else {
            again(st, here, view, left, mov_rm::<W, DH, true, true>)
        };
    };
    set::<W, DH>(st, op.r, x);
    then!(op, st, ops, view, left)
}

/// `mov mem, reg` and, with `I`, `mov mem, imm`.
pub(in crate::cpu) fn mov_mr<
    'a,
    const W: u8,
    const SH: bool,
    const I: bool,
    const X: bool,
    const SLOW: bool,
>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let addr = address::<X>(st, op);
    let x = if I { op.imm } else { get::<W, SH>(st, op.s) };
    let done = if SLOW { store_slow(st, width::<W>(), addr, x) } else { store::<W>(view, addr, x) };
    if !done {
        return if SLOW {
            careful(st, op, left)
        } else {
            again(st, here, view, left, mov_mr::<W, SH, I, true, true>)
        };
    }
    next!(SLOW, st, op, ops, view, left);
}

/// Extends a value of `W` bytes to 32 bits, with sign if `S`.
#[inline(always)]
fn extend<const W: u8, const S: bool>(x: u32) -> u32 {
    if S { width::<W>().extend(x) as u32 } else { width::<W>().cut(x) }
}

/// `movzx reg32, reg` and, with `S`, `movsx`; the source has `W` bytes.
pub(in crate::cpu) fn movx_rr<'a, const W: u8, const SH: bool, const S: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    let x = get::<W, SH>(st, op.s);
    st.regs[op.r as usize] = extend::<W, S>(x);
    then!(op, st, ops, view, left)
}

/// `movzx reg32, mem` and, with `S`, `movsx`; the source has `W` bytes.
pub(in crate::cpu) fn movx_rm<'a, const W: u8, const S: bool, const X: bool, const SLOW: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let addr = address::<X>(st, op);
    let x = if SLOW { load_slow(st, width::<W>(), addr) } else { load::<W>(view, addr) };
    let Some(x) = x else {
        return if SLOW {
            careful(st, op, left)
        } else {
            again(st, here, view, left, movx_rm::<W, S, true, true>)
        };
    };
    st.regs[op.r as usize] = extend::<W, S>(x);
    then!(op, st, ops, view, left)
}

/// `lea reg32, mem`.
pub(in crate::cpu) fn lea<'a, const X: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    st.regs[op.r as usize] = address::<X>(st, op);
    then!(op, st, ops, view, left)
}

/// `xchg reg32, reg32`.
pub(in crate::cpu) fn xchg_rr<'a>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, op, _here);
    let (x, y) = (st.regs[op.r as usize], st.regs[op.s as usize]);
    st.regs[op.s as usize] = x;
    st.regs[op.r as usize] = y;
    then!(op, st, ops, view, left)
}

/// `cdq`.
pub(in crate::cpu) fn cdq<'a>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, op, _here);
    st.regs[2] = (st.regs[0] as i32 >> 31) as u32;
    then!(op, st, ops, view, left)
}

/// `cwde`.
pub(in crate::cpu) fn cwde<'a>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, op, _here);
    st.regs[0] = extend::<2, true>(st.regs[0]);
    then!(op, st, ops, view, left)
}

/// `nop`.
pub(in crate::cpu) fn nop<'a>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, op, _here);
    then!(op, st, ops, view, left)
}

/// `cld`.
pub(in crate::cpu) fn cld<'a>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, op, _here);
    st.system &= !DF;
    then!(op, st, ops, view, left)
}

/// `setcc reg8`; the condition is in `aux`.
pub(in crate::cpu) fn setcc<'a, const DH: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    let x = u32::from(st.flags.test_any(op.aux));
    set::<1, DH>(st, op.r, x);
    then!(op, st, ops, view, left)
}

/// `sahf`.
pub(in crate::cpu) fn sahf<'a>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, op, _here);
    st.flags.sahf(st.regs[0] >> 8);
    then!(op, st, ops, view, left)
}
