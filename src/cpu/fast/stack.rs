//! Push, pop, and the ends of frames.

use super::{address, again, careful, load, load_slow, next, store, store_slow, take, then};
use crate::cpu::alu::Width;
use crate::cpu::op::{Exit, Ops};
use crate::cpu::state::State;
use crate::mem::View;

const ESP: usize = 4;
const EBP: usize = 5;

/// `push reg32` and, with `I`, `push imm`.
pub(in crate::cpu) fn push<'a, const I: bool, const SLOW: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let x = if I { op.imm } else { st.regs[op.r as usize] };
    let esp = st.regs[ESP].wrapping_sub(4);
    let done = if SLOW { store_slow(st, Width::Dword, esp, x) } else { store::<4>(view, esp, x) };
    if !done {
        return if SLOW { careful(st, op, left) } else { again(st, here, view, left, push::<I, true>) };
    }
    st.regs[ESP] = esp;
    next!(SLOW, st, op, ops, view, left);
}

/// `push mem32`.
pub(in crate::cpu) fn push_m<'a, const X: bool, const SLOW: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let addr = address::<X>(st, op);
    let x = if SLOW { load_slow(st, Width::Dword, addr) } else { load::<4>(view, addr) };
    let Some(x) = x else {
        return if SLOW { careful(st, op, left) } else { again(st, here, view, left, push_m::<true, true>) };
    };
    let esp = st.regs[ESP].wrapping_sub(4);
    let done = if SLOW { store_slow(st, Width::Dword, esp, x) } else { store::<4>(view, esp, x) };
    if !done {
        return if SLOW { careful(st, op, left) } else { again(st, here, view, left, push_m::<true, true>) };
    }
    st.regs[ESP] = esp;
    next!(SLOW, st, op, ops, view, left);
}

/// `pop reg32`.
pub(in crate::cpu) fn pop<'a, const SLOW: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let esp = st.regs[ESP];
    let x = if SLOW { load_slow(st, Width::Dword, esp) } else { load::<4>(view, esp) };
    let Some(x) = x else {
        return if SLOW { careful(st, op, left) } else { again(st, here, view, left, pop::<true>) };
    };
    st.regs[ESP] = esp.wrapping_add(4);
    st.regs[op.r as usize] = x;
    then!(op, st, ops, view, left)
}

/// `leave`.
pub(in crate::cpu) fn leave<'a, const SLOW: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let ebp = st.regs[EBP];
    let x = if SLOW { load_slow(st, Width::Dword, ebp) } else { load::<4>(view, ebp) };
    let Some(x) = x else {
        return if SLOW { careful(st, op, left) } else { again(st, here, view, left, leave::<true>) };
    };
    st.regs[ESP] = ebp.wrapping_add(4);
    st.regs[EBP] = x;
    then!(op, st, ops, view, left)
}
