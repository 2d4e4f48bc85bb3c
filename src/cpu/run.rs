//! The loop around the handlers: it enters blocks, links them, and runs by itself what they cannot.
//!
//! Knows the blocks but does not change them; where that is needed it returns and says so.

use super::block::Blocks;
use super::op::{Exit, Link};
use super::state::State;
use super::{Options, decode, general, is_fault};
use crate::mem::AddressSpace;
use crate::trapframe::Trap;
use crate::trapframe::eflags::TF;

/// Why the loop returned.
pub(super) enum Why {
    /// The run ends.
    Trap(Trap),
    /// Watched code was written.
    Code,
    /// There is no block at this address.
    Build(u32),
}

/// Runs until something ends the run or the blocks must change.
///
/// `alone` says that the first instruction cannot be in a block.
pub(super) fn run(st: &mut State<'_>, blocks: &Blocks, options: &Options, mut alone: bool) -> Why {
    let space = st.view.space();
    while st.left > 0 {
        if std::mem::take(&mut alone) || !options.cache || st.system & TF != 0 || !st.flat() || st.shadow {
            if let Err(trap) = step(st, space) {
                return Why::Trap(trap);
            }
            if st.code_hit.get() {
                return Why::Code;
            }
            continue;
        }
        let Some(at) = blocks.find(st.eip) else { return Why::Build(st.eip) };
        if options.chain {
            if let Some(op) = blocks.arena.get(st.from as usize).filter(|_| st.from != 0) {
                op.link.set(at);
            }
            blocks.links[Link::slot(st.eip)].set(Link { eip: st.eip, at });
        }
        st.from = 0;
        if i64::from(blocks.len(at)) > st.left {
            // What is left of the budget ends inside this block.
            while st.left > 0 {
                if let Err(trap) = step(st, space) {
                    return Why::Trap(trap);
                }
                if st.code_hit.get() {
                    return Why::Code;
                }
            }
            break;
        }
        match enter(st, blocks, at) {
            Exit::Trap => return Why::Trap(st.trap),
            Exit::Enter | Exit::Lookup => {}
            Exit::Careful => {
                if let Err(trap) = step(st, space) {
                    return Why::Trap(trap);
                }
            }
        }
        if st.code_hit.get() {
            return Why::Code;
        }
    }
    Why::Trap(Trap::Budget)
}

/// Enters a block that the budget allows.
fn enter(st: &mut State<'_>, blocks: &Blocks, at: u32) -> Exit {
    let mut ops = st.arena.get(at as usize..).unwrap_or_default().iter();
    let Some(head) = ops.next() else { return Exit::Lookup };
    let left = st.left - i64::from(blocks.len(at));
    let view = st.view;
    (head.next)(st, ops, view, left)
}

/// Executes one instruction in its general form.
fn step(st: &mut State<'_>, space: &AddressSpace) -> Result<(), Trap> {
    let eip = st.eip;
    let traced = st.system & TF != 0;
    let decoded = decode::at(space, eip)?;
    st.eip = decoded.ins.next_ip32();
    let kept = st.left - 1;
    // Traced, a repeated instruction stops after each iteration.
    st.left = if traced { 0 } else { kept };
    st.shadow = false;
    let done = general::execute(st, &decoded);
    if traced {
        st.left = kept;
    }
    match done {
        Err(trap) if is_fault(trap) => {
            st.eip = eip;
            st.left += 1;
            Err(trap)
        }
        Ok(()) if traced && !st.shadow => Err(Trap::SingleStep),
        done => done,
    }
}
