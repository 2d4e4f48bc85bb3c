//! The compact form of a decoded instruction, and what its handlers look like.
//!
//! Operations of a block lie one behind the other in one arena.  A handler takes its operation from
//! the front of the slice, does its work, and calls the handler of the next one in tail position, which
//! the optimiser turns into a jump; `next` in each operation is therefore the handler of its successor.
//! Handlers have at most six words of arguments, no destructors and no address-taken locals: with any
//! of these the jump would become a call, and a long run would exhaust the host stack.

use super::state::{Slot, State};
use crate::mem::View;
use std::cell::Cell;
use std::slice::Iter;

/// How control left the handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// [`State::trap`] says why the run ends.
    Trap,
    /// A direct branch to [`State::eip`] cannot be followed: its link, in the operation
    /// [`State::from`], leads nowhere yet, or the block needs more instructions than are left.
    Enter,
    /// Go on at [`State::eip`].
    Lookup,
    /// The instruction at [`State::eip`] must be run by itself (it will fault).
    Careful,
    /// So must all that the budget leaves, from [`State::eip`] on.
    Last,
    /// The block at [`State::eip`] has been entered often enough to be translated.
    Hot,
    /// Translated code leaves the operation [`State::resume`] to the interpreter.
    Resume,
    /// The operation in [`State::then`] is next.
    #[cfg(by_loop)]
    Then,
}

/// What executes an operation.
pub(crate) type Handler = for<'s, 'a> fn(&'s mut State<'a>, Ops<'a>, View<'a>, i64) -> Exit;

/// The operations from the present one to the end of the arena.
pub(crate) type Ops<'a> = Iter<'a, Op>;

/// A decoded instruction.
#[derive(Clone)]
#[repr(C)]
pub(crate) struct Op {
    /// Handler of the operation behind this one.
    pub(crate) next: Handler,
    /// Immediate operand; branch target; instructions in the block (headers).
    pub(crate) imm: u32,
    /// Displacement of the memory operand; where the code of a translated block is (headers).
    pub(crate) disp: u32,
    /// Address of the instruction.
    pub(crate) eip: u32,
    /// Arena index of the block to go to; zero: not known.  Entries that are left before a block is translated.
    pub(crate) link: Cell<u32>,
    /// First register operand.
    pub(crate) r: Slot,
    /// Second register operand.
    pub(crate) s: Slot,
    /// Base register of the memory operand.
    pub(crate) base: Slot,
    /// Index register of the memory operand.
    pub(crate) index: Slot,
    /// Logarithm of the index scale.
    pub(crate) scale: u8,
    /// Length of the instruction.
    pub(crate) len: u8,
    /// Instructions of the block from this one on.
    pub(crate) rest: u8,
    /// Whatever else the handler needs.
    pub(crate) aux: u8,
}

impl Op {
    /// Address behind the instruction.
    #[inline(always)]
    pub(crate) fn end(&self) -> u32 {
        self.eip.wrapping_add(u32::from(self.len))
    }
}

/// Entry of the table that finds blocks by address.
#[derive(Clone, Copy, Default)]
pub(crate) struct Link {
    /// Address of the block.
    pub(crate) eip: u32,
    /// Arena index of its header; zero: none.
    pub(crate) at: u32,
}

impl Link {
    /// Entries of the table.
    pub(crate) const COUNT: usize = 4096;

    /// Index of the entry of an address.
    #[inline(always)]
    pub(crate) const fn slot(eip: u32) -> usize {
        eip as usize & (Self::COUNT - 1)
    }
}

/// The table that finds blocks by address.
pub(crate) type Links = [Cell<Link>; Link::COUNT];

const _: () = assert!(size_of::<Op>() == 32, "an operation is half a cache line");
