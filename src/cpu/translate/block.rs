//! From the instructions of a block to its code: how far it goes, and where its instructions are counted.
//!
//! A block's code ends at a branch backwards, so that loops begin at its beginning; a short loop is written twice.
//! What is not translated ends it too.  Knows blocks; what instructions become is [`super::instruction`]'s business.

use super::code::{DWORD, DWORD_0F, Form, R9};
use super::emit::{Emitter, Written};
use super::instruction::{self, Step};
use super::routine::Routines;
use super::split::{Rm, Split};
use super::undefined::Habits;
use super::{Done, GATE_CALLED, Source, Unserved, verify};
use crate::cpu::block::Part;
use crate::cpu::decode::Decoded;
use crate::cpu::general::GATE;
use crate::cpu::lower::is_padding;
use iced_x86::{FlowControl, Register, RflagsBits as F};

/// Instructions that a loop may have to be written twice.
const TWICE: usize = 24;
/// Instructions before one that is not translated for which it is worth while to enter, unless they are half of the
/// block.
const WORTH_WHILE: usize = 3;
/// Instructions behind one that is not translated for which it is worth while to enter again.
const WORTH_REJOINING: usize = 4;
const ALL: u32 = F::OF | F::SF | F::ZF | F::AF | F::CF | F::PF;

/// A block's code, and the operation at which it ends, where more behind that is worth translating.
pub(super) struct Block {
    pub(super) written: Written,
    pub(super) gap: Option<u32>,
}

/// How an instruction takes part.
#[derive(Clone, Copy)]
struct Place {
    /// Its number in the block.
    index: usize,
    op: u32,
    /// It is the branch at the end of a loop's first round: it goes on where it would have gone back.
    round: bool,
}

/// Writes the code of a block that will lie at `at`; nothing where too little of it would be translated.
pub(super) fn write(
    source: &Source<'_>,
    origin: u64,
    at: u64,
    routines: Routines,
    habits: Habits,
    hard: bool,
) -> Done<Option<Block>> {
    let (places, next) = places(source);
    let mut e = Emitter::new(origin, at, routines, habits, source.first);
    e.told.clone_from(&source.told);
    if source.mixed {
        verify::write(&mut e, source)?;
    }
    e.tick()?;
    let count_at = count_at(source, &places);
    if count_at.is_none() {
        // Leaving here means going on with the first operation, before which instructions without one may lie.
        let none =
            |place: &&Place| source.code.get(place.index).is_some_and(|p| p.followed || is_padding(&p.d.ins));
        e.executed = places.iter().take_while(none).count() as i32;
        e.take()?;
    }
    for (k, &Place { index, op, round }) in places.iter().enumerate() {
        let (Some(part), Some(seen)) = (source.code.get(index), source.flags.get(index)) else { break };
        (e.op, e.executed) = (op, k as i32);
        let d = &part.d;
        if part.followed || is_padding(&d.ins) {
            continue;
        }
        let step =
            Step { d, seen: seen.own, last: k + 1 == places.len(), round, counts: count_at == Some(k), hard };
        let mark = e.mark();
        match instruction::translate(&mut e, &step) {
            Ok(true) => {}
            Ok(false) => {
                e.executed += 1;
                return Ok(Some(Block { written: e.finish(source.eip)?, gap: None }));
            }
            Err(Unserved) if is_gate(d) => {
                e.back_to(&mark);
                e.executed += 1;
                if !e.taken {
                    e.code.give(-e.executed)?;
                }
                e.end(d.ins.next_ip32(), GATE_CALLED)?;
                return Ok(Some(Block { written: e.finish(source.eip)?, gap: None }));
            }
            Err(Unserved) => {
                e.back_to(&mark);
                let total = source.code.len();
                if k < WORTH_WHILE && k * 2 <= total {
                    return Ok(None);
                }
                e.leave()?;
                let gap = seen.all && total.saturating_sub(index) > WORTH_REJOINING;
                return Ok(Some(Block { written: e.finish(source.eip)?, gap: gap.then_some(op) }));
            }
        }
    }
    e.executed = places.len() as i32;
    let Some(next) = next else { return Ok(None) };
    e.jump(next)?;
    Ok(Some(Block { written: e.finish(source.eip)?, gap: None }))
}

/// The instructions that are written, and where control goes on behind them.
fn places(source: &Source<'_>) -> (Vec<Place>, Option<u32>) {
    let mut places = Vec::with_capacity(source.code.len());
    let mut op = source.first;
    for (index, part) in source.code.iter().enumerate() {
        let ins = &part.d.ins;
        places.push(Place { index, op, round: false });
        if !part.followed && !is_padding(ins) {
            op += 1;
        }
        if ins.is_jcc_short_or_near() && ins.near_branch32() <= ins.ip32() {
            let counted = source.told.as_ref().is_some_and(|told| told.counter.is_some());
            if ins.near_branch32() == source.eip && places.len() <= TWICE && !counted {
                let again = places.clone();
                if let Some(last) = places.last_mut() {
                    last.round = true;
                }
                places.extend(again);
            }
            return (places, Some(ins.next_ip32()));
        }
    }
    (places, source.next)
}

/// The first instruction that sets all flags and may be preceded by one that changes them; none where flags are looked
/// at before.
fn count_at(source: &Source<'_>, places: &[Place]) -> Option<usize> {
    for (k, place) in places.iter().enumerate() {
        let part: &Part = source.code.get(place.index)?;
        if part.followed {
            continue;
        }
        let ins = &part.d.ins;
        // What only moves the stack pointer may become nothing.
        let seen = source.flags.get(place.index).is_none_or(|seen| seen.own);
        if !seen && ins.op0_register() == Register::ESP {
            continue;
        }
        if countable(&part.d).is_some() {
            return Some(k);
        }
        let repeats = ins.has_rep_prefix() || ins.has_repne_prefix();
        if ins.rflags_read() & ALL != 0 || ins.flow_control() != FlowControl::Next || repeats {
            return None;
        }
    }
    None
}

/// How an instruction that sets all flags is done in two steps: all that may fault, then the flags.
pub(super) enum Countable {
    /// It cannot fault.
    Registers,
    /// The operand in memory is loaded first; then it is the first or the second operand.
    Loaded { first: bool },
}

/// Whether and how instructions can be counted before the flags of one are set.
pub(super) fn countable(d: &Decoded) -> Option<Countable> {
    let s = Split::of(d.bytes()).filter(|s| s.repeat == 0 && !s.two)?;
    let byte = s.opcode & 1 == 0;
    let alu = |operation: u8| !matches!(operation, 2 | 3);
    let memory = matches!(s.rm, Rm::Memory(_));
    // A byte register above the fourth is half of another one, which R9 cannot be together with.
    let high = byte && s.reg > 3;
    match s.opcode {
        0x00..=0x3f if s.opcode & 7 > 5 || !alu(s.opcode >> 3) => None,
        0x00..=0x3f if s.opcode & 4 != 0 || !memory => Some(Countable::Registers),
        0x00..=0x3f if s.opcode & 2 != 0 => (!high).then_some(Countable::Loaded { first: false }),
        0x38 | 0x39 | 0x84 | 0x85 if memory => (!high).then_some(Countable::Loaded { first: true }),
        0x80 | 0x81 | 0x83 if !alu(s.reg) => None,
        0x80 | 0x81 | 0x83 if memory => (s.reg == 7).then_some(Countable::Loaded { first: true }),
        0x80 | 0x81 | 0x83 | 0x84 | 0x85 | 0xa8 | 0xa9 => Some(Countable::Registers),
        0xf6 | 0xf7 if s.reg == 0 && memory => Some(Countable::Loaded { first: true }),
        0xf6 | 0xf7 if !memory && (s.reg == 0 || s.reg == 3) => Some(Countable::Registers),
        _ => None,
    }
}

/// Loads the operand in memory into R9, as wide as it is.
pub(super) fn load_operand(e: &mut Emitter, s: &Split<'_>) -> Done {
    let Rm::Memory(memory) = s.rm else { return Err(Unserved) };
    let operand = e.guest(memory);
    e.may_fault();
    match (s.opcode & 1 == 0, s.word) {
        (true, _) => e.code.op(DWORD_0F, 0xb6, R9, operand),
        (false, true) => e.code.op(Form { two: true, ..DWORD }, 0xb7, R9, operand),
        (false, false) => e.code.op(DWORD, 0x8b, R9, operand),
    }
}

/// A call of the kernel.
fn is_gate(d: &Decoded) -> bool {
    d.ins.is_call_far() && d.ins.far_branch_selector() & !3 == GATE
}
