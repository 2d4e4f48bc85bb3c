//! Pairs of an instruction that sets flags and the conditional branch behind it.
//!
//! The branch keeps its own operation in the arena: a fused handler takes two.  What fails goes on in
//! the unfused form of the first instruction.

use super::arith::{self, Binary, Cmp, Dec, Inc, Test, Unary};
use super::{address, again, get, go, load, set, take, then, width};
use crate::cpu::flags::{logic_holds, sub_holds};
use crate::cpu::op::{Exit, Op, Ops};
use crate::cpu::state::State;
use crate::mem::View;

/// Branches or goes on.
#[inline(always)]
fn branch<'a>(st: &mut State<'a>, ops: Ops<'a>, view: View<'a>, left: i64, op: &'a Op, yes: bool) -> Exit {
    if yes {
        let left = left.wrapping_add(i64::from(op.aux));
        return go(st, ops, view, left, op);
    }
    then!(op, st, ops, view, left)
}

/// Whether a condition holds after `cmp` or `test`.
#[inline(always)]
fn holds<const T: bool, const W: u8, const CC: u8>(x: u32, y: u32) -> bool {
    if T { logic_holds(CC, width::<W>(), x & y) } else { sub_holds(CC, width::<W>(), x, y) }
}

/// Sets the flags of `cmp` or `test`.
#[inline(always)]
fn note<const T: bool, const W: u8>(st: &mut State<'_>, x: u32, y: u32) {
    if T { st.flags.logic(width::<W>(), x & y) } else { st.flags.sub(width::<W>(), x, y) }
}

/// `cmp reg, reg` (`test` if `T`) and a branch.
pub(in crate::cpu) fn rr<'a, const T: bool, const W: u8, const CC: u8>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    take!(ops, jump, _there);
    let (x, y) = (get::<W, false>(st, op.r), get::<W, false>(st, op.s));
    note::<T, W>(st, x, y);
    branch(st, ops, view, left, jump, holds::<T, W, CC>(x, y))
}

/// `cmp reg, imm` (`test` if `T`) and a branch.
pub(in crate::cpu) fn ri<'a, const T: bool, const W: u8, const CC: u8>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    take!(ops, jump, _there);
    let (x, y) = (get::<W, false>(st, op.r), op.imm);
    note::<T, W>(st, x, y);
    branch(st, ops, view, left, jump, holds::<T, W, CC>(x, y))
}

/// `cmp reg, mem` and a branch.
pub(in crate::cpu) fn rm<'a, const W: u8, const X: bool, const CC: u8>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let Some(y) = load::<W>(view, address::<X>(st, op)) else {
        return again(st, here, view, left, arith::rm::<Cmp, W, false, true, true, true>);
    };
    take!(ops, jump, _there);
    let x = get::<W, false>(st, op.r);
    note::<false, W>(st, x, y);
    branch(st, ops, view, left, jump, holds::<false, W, CC>(x, y))
}

/// `cmp mem, reg` or, with `I`, `cmp mem, imm` and a branch.
pub(in crate::cpu) fn mr<'a, const I: bool, const W: u8, const X: bool, const CC: u8>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let Some(x) = load::<W>(view, address::<X>(st, op)) else {
        return again(st, here, view, left, arith::mr::<Cmp, W, false, I, true, true, true>);
    };
    take!(ops, jump, _there);
    let y = if I { op.imm } else { get::<W, false>(st, op.s) };
    note::<false, W>(st, x, y);
    branch(st, ops, view, left, jump, holds::<false, W, CC>(x, y))
}

/// `test mem, imm` and a branch.
pub(in crate::cpu) fn test_mi<'a, const W: u8, const X: bool, const CC: u8>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let Some(x) = load::<W>(view, address::<X>(st, op)) else {
        return again(st, here, view, left, arith::mr::<Test, W, false, true, true, true, true>);
    };
    take!(ops, jump, _there);
    note::<true, W>(st, x, op.imm);
    branch(st, ops, view, left, jump, holds::<true, W, CC>(x, op.imm))
}

/// An operation on a 32-bit register with a register or, with `I`, an immediate, and a branch
/// on zero or sign of its result (`CC` E, NE, S or NS).
pub(in crate::cpu) fn result<'a, O: Binary, const I: bool, const CC: u8>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    take!(ops, jump, _there);
    let w = width::<4>();
    let (x, y) = (get::<4, false>(st, op.r), if I { op.imm } else { get::<4, false>(st, op.s) });
    let z = O::result(w, x, y, 0);
    set::<4, false>(st, op.r, z);
    O::flags(&mut st.flags, w, x, y, z, 0);
    branch(st, ops, view, left, jump, logic_holds(CC, w, z))
}

/// `inc reg32` or, with `D`, `dec reg32` and a branch on zero or sign of its result.
pub(in crate::cpu) fn step<'a, const D: bool, const CC: u8>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    take!(ops, jump, _there);
    let w = width::<4>();
    let x = get::<4, false>(st, op.r);
    let z = if D { Dec::result(w, x) } else { Inc::result(w, x) };
    set::<4, false>(st, op.r, z);
    if D {
        Dec::flags(&mut st.flags, w, x, z)
    } else {
        Inc::flags(&mut st.flags, w, x, z)
    }
    branch(st, ops, view, left, jump, logic_holds(CC, w, z))
}
