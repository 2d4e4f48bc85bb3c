//! The loop around the handlers: it enters blocks, links them, and runs by itself what they cannot.
//!
//! Knows the blocks but does not change them; where that is needed it returns and says so.

use super::block::Blocks;
use super::op::{Exit, Link, Op, Ops};
use super::state::State;
use super::{Options, decode, fast, general, is_fault};
use crate::mem::AddressSpace;
use crate::trapframe::Trap;
use crate::trapframe::eflags::TF;

/// Why the loop returned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The run ends: [`State::trap`] says why.
    Trap,
    /// Watched code was written.
    Code,
    /// There is no block at [`State::eip`].
    Build,
    /// The block at [`State::eip`] is to be translated.
    Hot,
}

/// Runs until something ends the run or the blocks must change.
///
/// `alone` says that the first instruction cannot be in a block, `left` where translated code has been left.
#[inline(always)]
pub(super) fn run(
    st: &mut State<'_>,
    blocks: &Blocks,
    options: &Options,
    mut alone: bool,
    left: Option<u32>,
) -> Why {
    if let Some(exit) = left
        && let Some(why) = behind_code(st, exit)
    {
        return why;
    }
    while st.left > 0 {
        if alone || !options.cache || st.system & TF != 0 || !st.flat() || st.shadow {
            if !alone && blocks.breaks.contains(&st.eip) {
                return Why::Build;
            }
            alone = false;
            match step(st) {
                Some(why) => return why,
                None => continue,
            }
        }
        let mut exit = match known(st) {
            Some((head, block, left)) => (head.next)(st, block, st.view, left),
            None => match look_up(st, blocks, options) {
                Ok(exit) => exit,
                Err(why) => return why,
            },
        };
        while let Some(next) = followed(st, exit) {
            exit = next;
        }
        if exit == Exit::Trap {
            return Why::Trap;
        }
        if let Some(why) = behind(st, exit) {
            return why;
        }
    }
    st.trap = Trap::Budget;
    Why::Trap
}

/// What follows where translated code has been left; says whether the loop ends with it.
#[inline(never)]
fn behind_code(st: &mut State<'_>, exit: u32) -> Option<Why> {
    let mut exit = fast::warm::left_code(st, exit);
    while let Some(next) = followed(st, exit) {
        exit = next;
    }
    behind(st, exit)
}

/// Goes on where a handler or translated code has left that to this loop.
#[inline(always)]
fn followed(st: &mut State<'_>, exit: Exit) -> Option<Exit> {
    match exit {
        Exit::Resume => Some(resume(st)),
        #[cfg(by_loop)]
        Exit::Then => st.then.take().map(|(handler, ops, left)| handler(st, ops, st.view, left)),
        _ => None,
    }
}

/// Goes on with an operation that translated code has left to the interpreter, by itself where the budget ends inside
/// the block.
#[inline(always)]
fn resume(st: &mut State<'_>) -> Exit {
    let at = st.resume as usize;
    let (Some(before), Some(rest)) = (st.arena.get(at.wrapping_sub(1)), st.arena.get(at..)) else {
        return fast::lost();
    };
    let Some(op) = rest.first() else { return fast::lost() };
    let left = st.left - i64::from(op.rest);
    if left < 0 {
        st.eip = op.eip;
        st.tell_short(op.eip, op.rest);
        return Exit::Last;
    }
    (before.next)(st, rest.iter(), st.view, left)
}

/// What follows an exit that is no trap; says whether the loop ends with it.
#[cold]
#[inline(never)]
fn behind(st: &mut State<'_>, exit: Exit) -> Option<Why> {
    match exit {
        Exit::Trap => Some(Why::Trap),
        Exit::Resume => None,
        #[cfg(by_loop)]
        Exit::Then => None,
        Exit::Hot => Some(Why::Hot),
        Exit::Enter | Exit::Lookup => st.code_hit.get().then_some(Why::Code),
        Exit::Careful => step(st),
        Exit::Last => last_steps(st),
    }
}

/// The usual case, behind a call of the kernel: the block is in the table, the budget allows it, and there is
/// no branch to link to it.  Gives its header, its operations, and the budget that is left then.
#[inline(always)]
fn known<'a>(st: &State<'a>) -> Option<(&'a Op, Ops<'a>, i64)> {
    let link = st.links[Link::slot(st.eip)].get();
    let (head, block) = st.arena.get(link.at as usize..)?.split_first()?;
    let left = st.left - i64::from(head.imm);
    (link.eip == st.eip && st.from == 0 && left >= 0).then(|| (head, block.iter(), left))
}

/// Finds a block, links the branch that led to it, and enters it; runs the instructions one by one where the
/// budget ends inside the block.
#[cold]
#[inline(never)]
fn look_up(st: &mut State<'_>, blocks: &Blocks, options: &Options) -> Result<Exit, Why> {
    let at = blocks.find(st.eip).ok_or(Why::Build)?;
    if options.chain {
        if let Some(op) = blocks.arena.get(st.from as usize).filter(|_| st.from != 0) {
            op.link.set(at);
        }
        blocks.links[Link::slot(st.eip)].set(Link { eip: st.eip, at });
    }
    st.from = 0;
    let left = st.left - i64::from(blocks.len(at));
    if left < 0 {
        return last_steps(st).map_or(Ok(Exit::Lookup), Err);
    }
    let mut ops = st.arena.get(at as usize..).unwrap_or_default().iter();
    let Some(head) = ops.next() else { return Ok(Exit::Lookup) };
    Ok((head.next)(st, ops, st.view, left))
}

/// Executes what is left of the budget one by one; says whether the loop ends with it.
#[cold]
#[inline(never)]
fn last_steps(st: &mut State<'_>) -> Option<Why> {
    while st.left > 0 {
        if st.blocks.breaks.contains(&st.eip) {
            // Behind a branch that left the block.
            return Some(Why::Build);
        }
        let why = step(st);
        if why.is_some() {
            return why;
        }
    }
    None
}

/// Executes one instruction in its general form; says whether the loop ends with it.
#[cold]
#[inline(never)]
fn step(st: &mut State<'_>) -> Option<Why> {
    let space = st.view.space();
    if let Err(trap) = execute(st, space) {
        st.trap = trap;
        return Some(Why::Trap);
    }
    st.code_hit.get().then_some(Why::Code)
}

fn execute(st: &mut State<'_>, space: &AddressSpace) -> Result<(), Trap> {
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
    if st.blocks.log.is_some() {
        let fault = matches!(done, Err(trap) if is_fault(trap));
        st.tell_alone(&decoded.ins, kept - st.left + i64::from(!fault));
    }
    match done {
        Err(trap) if is_fault(trap) => {
            st.eip = eip;
            st.left += 1;
            Err(trap)
        }
        done => {
            if done.is_ok() {
                st.tell(&decoded.ins, true);
            }
            if done.is_ok() && traced && !st.shadow { Err(Trap::SingleStep) } else { done }
        }
    }
}
