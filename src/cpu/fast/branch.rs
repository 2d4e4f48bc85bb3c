//! Branches, calls and returns.
//!
//! Direct ones follow the link in their operation; indirect ones look their target up in the table.

use super::{
    address, again, careful, find, go, load, load_slow, out, store, store_slow, take, then, unknown,
};
use crate::cpu::alu::Width;
use crate::cpu::op::{Exit, Ops};
use crate::cpu::state::{CODE_END, State};
use crate::mem::View;
use crate::trapframe::Trap;

const ESP: usize = 4;

/// `jmp rel`.
pub(in crate::cpu) fn jmp<'a>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, op, _here);
    go(st, ops, view, left, op)
}

/// `jcc rel`, where nothing is known of what set the flags.
pub(in crate::cpu) fn jcc<'a, const CC: u8>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    if st.flags.test(CC) {
        let left = left.wrapping_add(i64::from(op.aux));
        return go(st, ops, view, left, op);
    }
    then!(op, st, ops, view, left)
}

/// `lcall` to the kernel's gate: the run ends behind it.
pub(in crate::cpu) fn gate<'a>(st: &mut State<'a>, mut ops: Ops<'a>, _view: View<'a>, left: i64) -> Exit {
    take!(ops, op, _here);
    st.left = left.wrapping_add(i64::from(op.rest)).wrapping_sub(1);
    st.eip = op.end();
    st.trap = Trap::Syscall;
    st.ended = true;
    out(Exit::Trap)
}

/// `jecxz`, and with `L` `loop`.
pub(in crate::cpu) fn counted<'a, const L: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    if L {
        st.regs[1] = st.regs[1].wrapping_sub(1);
    }
    if (st.regs[1] != 0) == L {
        let left = left.wrapping_add(i64::from(op.aux));
        return go(st, ops, view, left, op);
    }
    then!(op, st, ops, view, left)
}

/// `call rel`.
pub(in crate::cpu) fn call<'a, const SLOW: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let esp = st.regs[ESP].wrapping_sub(4);
    let done =
        if SLOW { store_slow(st, Width::Dword, esp, op.end()) } else { store::<4>(view, esp, op.end()) };
    if !done {
        return if SLOW { careful(st, op, left) } else { again(st, here, view, left, call::<true>) };
    }
    st.regs[ESP] = esp;
    if SLOW && st.code_hit.get() {
        return unknown(st, left, op.imm);
    }
    go(st, ops, view, left, op)
}

/// `ret`; `imm` is what the stack pointer grows by.
pub(in crate::cpu) fn ret<'a, const SLOW: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let esp = st.regs[ESP];
    let to = if SLOW { load_slow(st, Width::Dword, esp) } else { load::<4>(view, esp) };
    let Some(to) = to else {
        return if SLOW { careful(st, op, left) } else { again(st, here, view, left, ret::<true>) };
    };
    if to >= CODE_END {
        return careful(st, op, left);
    }
    st.regs[ESP] = esp.wrapping_add(op.imm);
    find(st, view, left, to)
}

/// `jmp reg` and, with `CALL`, `call reg`.
pub(in crate::cpu) fn to_reg<'a, const CALL: bool, const SLOW: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let to = st.regs[op.r as usize];
    if to >= CODE_END {
        return careful(st, op, left);
    }
    if CALL {
        let esp = st.regs[ESP].wrapping_sub(4);
        let done =
            if SLOW { store_slow(st, Width::Dword, esp, op.end()) } else { store::<4>(view, esp, op.end()) };
        if !done {
            return if SLOW {
                careful(st, op, left)
            } else {
                again(st, here, view, left, to_reg::<CALL, true>)
            };
        }
        st.regs[ESP] = esp;
        if SLOW && st.code_hit.get() {
            return unknown(st, left, to);
        }
    }
    find(st, view, left, to)
}

/// `jmp mem` and, with `CALL`, `call mem`.
pub(in crate::cpu) fn to_mem<'a, const CALL: bool, const SLOW: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let addr = address::<true>(st, op);
    let to = if SLOW { load_slow(st, Width::Dword, addr) } else { load::<4>(view, addr) };
    let Some(to) = to else {
        return if SLOW { careful(st, op, left) } else { again(st, here, view, left, to_mem::<CALL, true>) };
    };
    if to >= CODE_END {
        return careful(st, op, left);
    }
    if CALL {
        let esp = st.regs[ESP].wrapping_sub(4);
        let done =
            if SLOW { store_slow(st, Width::Dword, esp, op.end()) } else { store::<4>(view, esp, op.end()) };
        if !done {
            return if SLOW {
                careful(st, op, left)
            } else {
                again(st, here, view, left, to_mem::<CALL, true>)
            };
        }
        st.regs[ESP] = esp;
        if SLOW && st.code_hit.get() {
            return unknown(st, left, to);
        }
    }
    find(st, view, left, to)
}
