//! Decoded blocks: how they are made, found and dropped.
//!
//! A block is a header and the operations of a stretch of code with one entry: it ends at an
//! unconditional branch or at its greatest length, and goes on behind conditional branches.  Its header
//! holds the number of instructions, all of which are taken from the budget when it is entered;
//! whoever leaves early gives the rest back.
//!
//! Blocks live in one arena and are never moved; a dropped block keeps its place, but its header
//! refuses every budget, so that stale links lead out.  When the dropped outweigh the live, everything
//! is forgotten.

use super::Options;
use super::decode::{self, Decoded};
use super::fast::general::{closed, fall};
use super::lower;
use super::op::{Handler, Link, Links, Op};
use super::state::{CODE_END, Slot};
use crate::mem::AddressSpace;
use iced_x86::{FlowControl, Instruction, RflagsBits as F};
use std::cell::Cell;
use std::collections::HashMap;

/// Budget that no run has: such a header cannot be entered.
const CLOSED: u32 = u32::MAX;
/// Granule of the index by address.
const GRANULE: u32 = 6;
/// Dropped operations that are always tolerated.
const GARBAGE: usize = 1 << 16;

/// Everything decoded of a process.
pub(super) struct Blocks {
    pub(super) arena: Vec<Op>,
    pub(super) decoded: Vec<Decoded>,
    pub(super) links: Box<Links>,
    /// Header of the block that starts at an address.
    by_address: HashMap<u32, u32>,
    /// Headers of the blocks with bytes in a granule.
    by_granule: HashMap<u32, Vec<u32>>,
    garbage: usize,
}

impl Blocks {
    pub(super) fn new() -> Self {
        let mut blocks = Self {
            arena: Vec::new(),
            decoded: Vec::new(),
            links: Box::new([const { Cell::new(Link { eip: 0, at: 0 }) }; Link::COUNT]),
            by_address: HashMap::new(),
            by_granule: HashMap::new(),
            garbage: 0,
        };
        blocks.clear();
        blocks
    }

    /// Forgets everything; index 0 becomes the header that leads nowhere.
    pub(super) fn clear(&mut self) {
        self.arena.clear();
        self.decoded.clear();
        for link in self.links.iter() {
            link.set(Link::default());
        }
        self.by_address.clear();
        self.by_granule.clear();
        self.garbage = 0;
        let mut nowhere = blank(0);
        nowhere.imm = CLOSED;
        self.arena.push(nowhere);
    }

    /// The block at an address.
    pub(super) fn find(&self, eip: u32) -> Option<u32> {
        self.by_address.get(&eip).copied()
    }

    /// Instructions of a block.
    pub(super) fn len(&self, at: u32) -> u32 {
        self.arena.get(at as usize).map_or(CLOSED, |head| head.imm)
    }

    /// Decodes the block at an address; `None` when its first instruction cannot be decoded.
    pub(super) fn build(&mut self, space: &AddressSpace, eip: u32, options: &Options) -> Option<u32> {
        let code = read(space, eip, options);
        let last = code.last()?;
        let end = last.ins.next_ip32();
        let len = end.wrapping_sub(eip);
        let live = live_flags(&code);
        let at = self.arena.len() as u32;
        let total = code.len() as u8;
        let mut ops: Vec<(Handler, Op)> = Vec::with_capacity(code.len() + 2);
        for (i, d) in code.iter().enumerate() {
            let mut op = blank(d.ins.ip32());
            op.len = d.ins.len() as u8;
            op.rest = total - i as u8;
            let index = self.decoded.len() as u32;
            let flags = live.get(i).copied().unwrap_or(true);
            let special = if options.fast { lower::lower(d, index, &mut op, flags) } else { None };
            let handler = special.unwrap_or_else(|| lower::unspecialised(d, index, &mut op));
            if special.is_none() || d.unit.is_some() {
                self.decoded.push(*d);
            }
            ops.push((handler, op));
        }
        if goes_on(&last.ins) {
            let mut op = blank(end);
            op.imm = end;
            ops.push((fall, op));
        }
        if options.fast {
            for (i, pair) in code.windows(2).enumerate() {
                let ([first, jump], Some((handler, op))) = (pair, ops.get_mut(i)) else { continue };
                if let Some(fused) = lower::fuse(first, op, jump) {
                    *handler = fused;
                }
            }
        }
        let mut head = blank(eip);
        head.imm = code.len() as u32;
        head.disp = len;
        head.next = ops.first().map_or(closed as Handler, |(handler, _)| *handler);
        self.arena.push(head);
        let mut following = ops.iter().skip(1).map(|(handler, _)| *handler).collect::<Vec<_>>().into_iter();
        for (_, mut op) in ops {
            op.next = following.next().unwrap_or(closed);
            self.arena.push(op);
        }
        space.watch_code(eip, len);
        for granule in eip >> GRANULE..=end.wrapping_sub(1) >> GRANULE {
            self.by_granule.entry(granule).or_default().push(at);
        }
        self.by_address.insert(eip, at);
        Some(at)
    }

    /// Drops the blocks with bytes in whole granules.
    pub(super) fn drop_range(&mut self, addr: u32, len: u32) {
        let last = addr.wrapping_add(len.max(1) - 1) >> GRANULE;
        let granules = last - (addr >> GRANULE) + 1;
        if granules as usize > self.by_granule.len() {
            let inside = |g: &u32| (addr >> GRANULE..=last).contains(g);
            let hit: Vec<u32> = self.by_granule.keys().copied().filter(inside).collect();
            hit.into_iter().for_each(|granule| self.drop_granule(granule));
        } else {
            (addr >> GRANULE..=last).for_each(|granule| self.drop_granule(granule));
        }
        if self.garbage > GARBAGE.max(self.arena.len() / 2) {
            self.clear();
        }
    }

    fn drop_granule(&mut self, granule: u32) {
        for at in self.by_granule.remove(&granule).unwrap_or_default() {
            let Some(head) = self.arena.get_mut(at as usize) else { continue };
            if head.imm == CLOSED {
                continue;
            }
            self.garbage += head.imm as usize + 2;
            head.imm = CLOSED;
            let (eip, len) = (head.eip, head.disp);
            self.by_address.remove(&eip);
            // Other granules keep the number of a block that is gone; it must not pile up there.
            for other in eip >> GRANULE..=eip.wrapping_add(len.wrapping_sub(1)) >> GRANULE {
                if let Some(list) = self.by_granule.get_mut(&other) {
                    list.retain(|&block| block != at);
                }
            }
        }
    }
}

/// An operation that does nothing useful yet.
fn blank(eip: u32) -> Op {
    Op {
        next: closed,
        imm: 0,
        disp: 0,
        eip,
        link: Cell::new(0),
        r: Slot::Zero,
        s: Slot::Zero,
        base: Slot::Zero,
        index: Slot::Zero,
        scale: 0,
        len: 0,
        rest: 0,
        aux: 0,
    }
}

/// The instructions of a block.
fn read(space: &AddressSpace, eip: u32, options: &Options) -> Vec<Decoded> {
    let mut code = Vec::new();
    let mut at = eip;
    while code.len() < usize::from(options.block.clamp(1, 64)) && at < CODE_END {
        let Ok(decoded) = decode::at(space, at) else { break };
        at = decoded.ins.next_ip32();
        let more = goes_on(&decoded.ins);
        code.push(decoded);
        if !more {
            break;
        }
    }
    code
}

/// Whether control may reach the next instruction inside a block.
fn goes_on(ins: &Instruction) -> bool {
    matches!(ins.flow_control(), FlowControl::Next | FlowControl::ConditionalBranch)
}

/// For each instruction, whether somebody may see the flags it sets: not when they are all set
/// again before they are read and before the block can be left.
fn live_flags(code: &[Decoded]) -> Vec<bool> {
    const ALL: u32 = F::OF | F::SF | F::ZF | F::AF | F::CF | F::PF;
    let mut live = ALL;
    let mut result = vec![true; code.len()];
    for (d, seen) in code.iter().zip(&mut result).rev() {
        let ins = &d.ins;
        let written = ins.rflags_modified() & ALL;
        *seen = written & live != 0;
        if can_leave(d) {
            live = ALL;
            continue;
        }
        // A count of zero leaves the flags alone.
        let surely = if variable_count(ins) { 0 } else { written };
        live = live & !surely | ins.rflags_read() & ALL;
    }
    result
}

/// Whether the block can be left at an instruction: by a fault, a trap or a branch.
fn can_leave(d: &Decoded) -> bool {
    use iced_x86::Mnemonic as M;
    let plain = matches!(
        d.ins.mnemonic(),
        M::Add
            | M::Or
            | M::Adc
            | M::Sbb
            | M::And
            | M::Sub
            | M::Xor
            | M::Cmp
            | M::Test
            | M::Mov
            | M::Movzx
            | M::Movsx
            | M::Lea
            | M::Inc
            | M::Dec
            | M::Neg
            | M::Not
            | M::Shl
            | M::Sal
            | M::Shr
            | M::Sar
            | M::Rol
            | M::Ror
            | M::Imul
            | M::Mul
            | M::Cdq
            | M::Cwde
            | M::Xchg
            | M::Nop
    );
    let memory = d.ins.op_kinds().any(|k| k == iced_x86::OpKind::Memory) && d.ins.mnemonic() != M::Lea;
    let segment = d.ins.op_count() > 0 && d.ins.op0_register().is_segment_register();
    !plain || memory || segment
}

/// Whether an instruction shifts by a count that may be zero.
fn variable_count(ins: &Instruction) -> bool {
    use iced_x86::Mnemonic as M;
    matches!(ins.mnemonic(), M::Shl | M::Sal | M::Shr | M::Sar | M::Rol | M::Ror)
        && (ins.op1_kind() == iced_x86::OpKind::Register || ins.immediate(1) & 31 == 0)
}
