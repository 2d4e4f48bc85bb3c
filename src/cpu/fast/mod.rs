//! Specialised handlers for what programs do most: flat segments, 32-bit addresses, no surprises.
//!
//! Each file holds handlers of one kind; [`super::lower`] chooses them.  A handler tries the fast
//! path of its memory access; where that fails it goes on, through [`again`], in its own slow form
//! (`SLOW`), which looks for data beside code and then uses the checked access out of line; and where
//! that fails too the instruction is left to the general interpreter, which raises the exact fault.
//! Nothing has been changed by then.
//!
//! The shape of all handlers is dictated by the tail call, see [`super::op`].

pub(super) mod arith;
pub(super) mod branch;
pub(super) mod data;
mod double;
pub(super) mod float;
pub(super) mod fused;
pub(super) mod general;
pub(super) mod pair;
pub(super) mod shift;
pub(super) mod stack;
pub(super) mod warm;

use super::alu::Width;
use super::op::{Exit, Handler, Link, Op, Ops};
use super::state::{Slot, State};
use crate::mem::View;
use crate::trapframe::Seg;

/// Takes the present operation, keeping where it was for the slow form.
macro_rules! take {
    ($ops:ident, $op:ident, $here:ident) => {
        let $here = $ops.clone();
        let Some($op) = $ops.next() else { return crate::cpu::fast::lost() };
    };
}
use take;

/// Continues behind an operation, unless it hit code in its slow form.
macro_rules! next {
    ($slow:expr, $st:ident, $op:ident, $ops:ident, $view:ident, $left:ident) => {
        if $slow && $st.code_hit.get() {
            return crate::cpu::fast::leave($st, $op, $left);
        }
        return crate::cpu::fast::then!($op, $st, $ops, $view, $left);
    };
}
use next;

/// Goes on with the operation that `op` names as the next one: a call in tail position, which the optimiser turns
/// into a jump.
#[cfg(not(by_loop))]
macro_rules! then {
    ($op:ident, $st:ident, $ops:ident, $view:ident, $left:ident) => {
        ($op.next)($st, $ops, $view, $left)
    };
}
/// Without the optimiser a call in tail position is a call: the loop around the handlers makes it.
#[cfg(by_loop)]
macro_rules! then {
    ($op:ident, $st:ident, $ops:ident, $view:ident, $left:ident) => {{
        let _ = $view;
        $st.then = Some(($op.next, $ops, $left));
        crate::cpu::op::Exit::Then
    }};
}
use then;

/// The value of a way out, kept from the optimiser: if it knew the value it would return it in the caller,
/// and every handler would set up a frame for the call.
#[inline(always)]
fn out(exit: Exit) -> Exit {
    std::hint::black_box(exit)
}

/// The arena always ends with an operation that leaves it.
#[cold]
#[inline(never)]
pub(super) fn lost() -> Exit {
    if std::hint::black_box(true) {
        unreachable!("a block ends with an operation that leaves it");
    }
    out(Exit::Lookup)
}

/// Goes on in another form of the present instruction, where the fast path of its memory access misses.
///
/// The way there is out of line: inlined, the other form would set up its frame in the hot path.
#[cold]
#[inline(never)]
fn again<'a>(st: &mut State<'a>, ops: Ops<'a>, view: View<'a>, left: i64, form: Handler) -> Exit {
    form(st, ops, view, left)
}

/// Address of the memory operand, with (`X`) or without index.
#[inline(always)]
fn address<const X: bool>(st: &State<'_>, op: &Op) -> u32 {
    let base = st.regs[op.base as usize].wrapping_add(op.disp);
    if X { base.wrapping_add(st.regs[op.index as usize].wrapping_shl(u32::from(op.scale))) } else { base }
}

/// Width of `W` bytes.
#[inline(always)]
const fn width<const W: u8>() -> Width {
    Width::of(W as usize)
}

/// Part of a register: `W` bytes, the second lowest if `HIGH`.
#[inline(always)]
fn get<const W: u8, const HIGH: bool>(st: &State<'_>, r: Slot) -> u32 {
    let x = st.regs[r as usize];
    width::<W>().cut(if HIGH { x >> 8 } else { x })
}

/// Sets a part of a register.
#[inline(always)]
fn set<const W: u8, const HIGH: bool>(st: &mut State<'_>, r: Slot, value: u32) {
    let x = &mut st.regs[r as usize];
    *x = match W {
        1 if HIGH => *x & !0xff00 | (value & 0xff) << 8,
        1 => *x & !0xff | value & 0xff,
        2 => *x & !0xffff | value & 0xffff,
        _ => value,
    };
}

/// Loads `W` bytes on the fast path.
#[inline(always)]
fn load<const W: u8>(view: View<'_>, addr: u32) -> Option<u32> {
    match W {
        1 => view.try_load8(addr).map(u32::from),
        2 => view.try_load16(addr).map(u32::from),
        _ => view.try_load32(addr),
    }
}

/// Stores `W` bytes on the fast path.
#[inline(always)]
fn store<const W: u8>(view: View<'_>, addr: u32, value: u32) -> bool {
    match W {
        1 => view.try_store8(addr, value as u8),
        2 => view.try_store16(addr, value as u16),
        _ => view.try_store32(addr, value),
    }
}

/// Replaces `W` bytes on the fast path; gives the old value and the new one.
#[inline(always)]
fn update<const W: u8>(view: View<'_>, addr: u32, new: impl FnOnce(u32) -> u32) -> Option<(u32, u32)> {
    match W {
        1 => view.try_update8(addr, |x| {
            let z = new(x.into());
            (z as u8, (x.into(), z))
        }),
        2 => view.try_update16(addr, |x| {
            let z = new(x.into());
            (z as u16, (x.into(), z))
        }),
        _ => view.try_update32(addr, |x| {
            let z = new(x);
            (z, (x, z))
        }),
    }
}

/// Loads wherever the bytes lie; `None` is a fault.
#[cold]
#[inline(never)]
fn load_slow(st: &State<'_>, w: Width, addr: u32) -> Option<u32> {
    st.load(w, Seg::Ds, addr).ok()
}

/// Stores wherever the bytes lie; `false` is a fault.  [`State::code_hit`] says more.
///
/// Data beside code come here with every store, so that they are looked at first.
#[inline(always)]
fn store_slow(st: &State<'_>, w: Width, addr: u32, value: u32) -> bool {
    st.view.try_store_beside(addr, w.bytes(), value) || store_anywhere(st, w, addr, value)
}

#[cold]
#[inline(never)]
fn store_anywhere(st: &State<'_>, w: Width, addr: u32, value: u32) -> bool {
    st.store(w, Seg::Ds, addr, value).is_ok()
}

/// Loads for an update wherever the bytes lie; `None` is a fault of the load or of the store to come.
#[inline(always)]
fn load_update_slow(st: &State<'_>, w: Width, addr: u32) -> Option<u32> {
    if st.view.is_beside_code(addr, w.bytes()) {
        return match w {
            Width::Byte => load::<1>(st.view, addr),
            Width::Word => load::<2>(st.view, addr),
            Width::Dword => load::<4>(st.view, addr),
        };
    }
    load_update_anywhere(st, w, addr)
}

#[cold]
#[inline(never)]
fn load_update_anywhere(st: &State<'_>, w: Width, addr: u32) -> Option<u32> {
    st.probe(Seg::Ds, addr, w.bytes()).ok()?;
    st.load(w, Seg::Ds, addr).ok()
}

/// The present instruction has not happened and is left to the general interpreter.
#[cold]
#[inline(never)]
fn careful(st: &mut State<'_>, op: &Op, left: i64) -> Exit {
    st.left = left.wrapping_add(i64::from(op.rest));
    st.eip = op.eip;
    st.tell_short(op.eip, op.rest);
    out(Exit::Careful)
}

/// The present instruction has happened, and it wrote code: go on, but not in this block.
#[cold]
#[inline(never)]
fn leave(st: &mut State<'_>, op: &Op, left: i64) -> Exit {
    st.left = left.wrapping_add(i64::from(op.rest)).wrapping_sub(1);
    st.eip = op.end();
    st.tell_short(op.end(), op.rest.saturating_sub(1));
    out(Exit::Lookup)
}

/// Follows the link of a direct branch; `ops` are the operations behind it.
#[inline(always)]
fn go<'a>(st: &mut State<'a>, ops: Ops<'a>, view: View<'a>, left: i64, op: &'a Op) -> Exit {
    let arena = st.arena;
    let at = op.link.get() as usize;
    let (Some(head), Some(block)) = (arena.get(at), arena.get(at + 1..)) else { return lost() };
    let block = block.iter();
    let rest = left.wrapping_sub(i64::from(head.imm));
    if rest < 0 {
        return unlinked(st, ops, left, op.imm);
    }
    then!(head, st, block, view, rest)
}

#[cold]
#[inline(never)]
fn unlinked<'a>(st: &mut State<'a>, ops: Ops<'a>, left: i64, target: u32) -> Exit {
    st.from = (st.arena.len() - ops.len() - 1) as u32;
    st.left = left;
    st.eip = target;
    out(Exit::Enter)
}

/// Goes to the block of an address, as indirect branches and returns do.
#[inline(always)]
fn find<'a>(st: &mut State<'a>, view: View<'a>, left: i64, target: u32) -> Exit {
    let link = st.links[Link::slot(target)].get();
    let arena = st.arena;
    let at = link.at as usize;
    let (Some(head), Some(block)) = (arena.get(at), arena.get(at + 1..)) else { return lost() };
    let block = block.iter();
    let rest = left.wrapping_sub(i64::from(head.imm));
    if rest < 0 || link.eip != target {
        return unknown(st, left, target);
    }
    then!(head, st, block, view, rest)
}

#[cold]
#[inline(never)]
fn unknown(st: &mut State<'_>, left: i64, target: u32) -> Exit {
    st.left = left;
    st.eip = target;
    out(Exit::Lookup)
}
