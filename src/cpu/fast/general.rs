//! The handler of everything without a specialised form, and of the ends of blocks.

use super::{go, take, then};
use crate::cpu::general;
use crate::cpu::is_fault;
use crate::cpu::op::{Exit, Op, Ops};
use crate::cpu::profile::ON;
use crate::cpu::state::State;
use crate::mem::View;

/// Executes an instruction in its general form; `imm` is its index among the decoded ones, and a
/// nonzero `aux` says that control or mode may have changed.
pub(in crate::cpu) fn general<'a>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, op, _here);
    st.left = left;
    if !execute(st, op) {
        return if st.ended { Exit::Trap } else { Exit::Lookup };
    }
    let left = st.left;
    then!(op, st, ops, view, left)
}

/// Executes; `false` when the block must be left.
#[inline(never)]
fn execute(st: &mut State<'_>, op: &Op) -> bool {
    let Some(decoded) = st.blocks.decoded.get(op.imm as usize) else { return false };
    let behind = i64::from(op.rest) - 1;
    st.left += behind;
    let before = st.left;
    st.eip = op.end();
    if let Err(trap) = general::execute(st, decoded) {
        if is_fault(trap) {
            st.left += 1;
            st.eip = op.eip;
        }
        st.tell_ended(op, &decoded.ins, before, is_fault(trap));
        st.trap = trap;
        st.ended = true;
        return false;
    }
    st.tell(&decoded.ins, false);
    // A repeated instruction may have taken more than the rest of the block can spare.
    let leaves = op.aux != 0 || st.left < behind || st.eip != op.end() || st.code_hit.get();
    st.tell_executed(op, &decoded.ins, before, leaves);
    if leaves {
        return false;
    }
    st.left -= behind;
    true
}

/// The end of a block that control reaches from above: goes on at `imm`.
pub(in crate::cpu) fn fall<'a>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, op, _here);
    go(st, ops, view, left, op)
}

/// The end of a block at the end of a routine.
pub(in crate::cpu) fn fall_across<'a>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    let blocks = st.blocks;
    if let Some(log) = &blocks.log {
        st.tell_transfer(log, left, op.imm, ON);
    }
    go(st, ops, view, left, op)
}

/// In place of the first handler of a block that nobody may enter; its header refuses all budgets.
pub(in crate::cpu) fn closed<'a>(st: &mut State<'a>, _ops: Ops<'a>, _view: View<'a>, left: i64) -> Exit {
    st.left = left;
    Exit::Lookup
}
