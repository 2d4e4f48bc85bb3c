//! The first handlers of blocks that may be translated: they count, and enter code once there is some.
//!
//! Between the header of such a block and its first operation lies one that holds the count.

use super::{careful, find, lost, out, take, then};
use crate::cpu::op::{Exit, Op, Ops};
use crate::cpu::state::State;
use crate::cpu::translate;
use crate::mem::View;
use crate::trapframe::Trap;

/// Counts an entry.
pub(in crate::cpu) fn count<'a>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, op, _here);
    let more = op.link.get().wrapping_sub(1);
    if more == u32::MAX {
        return hot(st, op, left);
    }
    op.link.set(more);
    then!(op, st, ops, view, left)
}

#[cold]
#[inline(never)]
fn hot(st: &mut State<'_>, op: &Op, left: i64) -> Exit {
    st.left = left.wrapping_add(i64::from(op.imm));
    st.eip = op.eip;
    out(Exit::Hot)
}

/// Passes over the count of a block that cannot be translated.
pub(in crate::cpu) fn pass<'a>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, op, _here);
    then!(op, st, ops, view, left)
}

/// In place of the handler of an operation whose bytes may have changed: runs the instruction by itself.
pub(in crate::cpu) fn alone<'a>(st: &mut State<'a>, mut ops: Ops<'a>, _view: View<'a>, left: i64) -> Exit {
    take!(ops, op, _here);
    careful(st, op, left)
}

/// Enters the code of a block, where it may run; the operation at which it leaves is the business of the loop around
/// the handlers: a handler that has called something does not always end in a jump.
pub(in crate::cpu) fn enter<'a>(st: &mut State<'a>, ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    let (arena, blocks) = (st.arena, st.blocks);
    let Some(head) = arena.get(arena.len().wrapping_sub(ops.len() + 1)) else { return lost() };
    let left_before = left.wrapping_add(i64::from(head.imm));
    if !blocks.translator.may_run(st, left_before) {
        return pass(st, ops, view, left);
    }
    let Some(at) = blocks.translator.enter(st, head.disp, left_before) else { return lost() };
    left_code(st, at)
}

/// What follows where translated code has been left.
#[inline(always)]
pub(in crate::cpu) fn left_code(st: &mut State<'_>, at: u32) -> Exit {
    match at {
        translate::GATE_CALLED => {
            st.trap = Trap::Syscall;
            Exit::Trap
        }
        translate::LOOK_UP => Exit::Lookup,
        _ => {
            st.resume = at;
            Exit::Resume
        }
    }
}

/// In place of the handler of an operation behind one that is not translated: goes on in the block that begins
/// there, which has code of its own.
pub(in crate::cpu) fn rejoin<'a>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, op, _here);
    find(st, view, left.wrapping_add(i64::from(op.rest)), op.eip)
}
