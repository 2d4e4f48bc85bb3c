//! Translation of blocks that run often to code of the host: the second tier.
//!
//! It adds to the interpreter and takes nothing from it.  A block that has been entered often enough gets code,
//! which is entered in the place of its first handler; the code works on the guest's registers in registers of the
//! host, checks memory operands as handlers do, and goes on in the code of other blocks where there is some.  For
//! everything else (an instruction that is not translated, a page that refuses, a fault, the gate, a branch to a block
//! without code) it leaves to the interpreter, which goes on with the same operation of the same block.  Nothing of
//! the instruction has happened then, so that faults, budgets and watched code are the interpreter's business alone.
//!
//! | file | idea |
//! |---|---|
//! | [`assemble`] | instructions with labels to bytes |
//! | [`emit`] | registers, checked memory operands, ways out |
//! | [`pending`] | flags that are stored only where the block is left |
//! | [`windows`] | parts of the stack that are checked once |
//! | [`integer`], [`transfer`] | instructions |
//! | [`enter`] | the way in and back |
//!
//! A block's instructions are taken from the budget when its code is entered, as its header does it.  Direct branches
//! jump from code to code once both ends are there; returns and indirect branches look the target up in a table.
//! When a block is dropped a jump is written over its beginning, which leads out.

mod assemble;
mod emit;
mod enter;
mod integer;
mod pending;
mod transfer;
mod windows;

use self::emit::{Common, Done, Emitter};
use super::block::{Part, Seen};
use super::decode::Decoded;
use super::general::{GATE, condition, short_address};
use super::lower::is_padding;
use super::state::CODE_END;
use crate::mem::Executable;
use iced_x86::{Code as K, IcedError, Instruction, Mnemonic as M, OpKind, Register as R};
use std::cell::Cell;
use std::collections::HashMap;
use windows::{Accesses, Windows};

/// Memory for code.
const MEMORY: usize = 8 << 20;
/// Room that any block has enough of; where it is no longer there everything is forgotten.
const ROOM: usize = 64 << 10;
/// Entries of the table of returns and indirect branches.
const ENTRIES: usize = 2048;
/// Instructions at the start of a block that must be translated for its code to be worth while, unless they are
/// more than half of it.
const WORTH_WHILE: usize = 8;

/// Instructions behind one that is not translated for which it is worth while to leave the block.
const WORTH_REJOINING: usize = 4;

/// In place of an operation: the interpreter goes on at [`State::eip`](super::state::State::eip).
pub(super) const LOOK_UP: u32 = 0;
/// In place of an operation: the kernel was called, by the instruction before the same.  Neither number is that of an
/// operation, which has its header and its count before it.
pub(super) const GATE_CALLED: u32 = 1;

/// Something that is not translated.
pub(super) struct Unserved;

impl From<IcedError> for Unserved {
    fn from(_: IcedError) -> Self {
        Self
    }
}

/// Where the code of the block at an address is.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Entry {
    eip: u32,
    code: u64,
}

impl Entry {
    /// What a slot of the table holds that leads nowhere: an address that belongs into another slot.
    fn none(slot: usize) -> Self {
        Self { eip: !(slot as u32), code: 0 }
    }
}

/// An instruction on its way through the translator.
struct Step<'a> {
    ins: &'a Instruction,
    /// Somebody may see the flags that it sets.
    seen: bool,
    /// Somebody may see the flags behind it.
    live: bool,
    /// Instructions of the block behind it.
    behind: i32,
    /// Its accesses to the stack that need no check of their own.
    accesses: Accesses,
}

/// Whether control goes on behind an instruction.
enum Flow {
    Goes,
    Ends,
}

/// The code of a block.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Where the interpreter enters it, in bytes from the beginning of all code, and how many bytes before that other
    /// code does.
    pub(super) at: u32,
    pub(super) head: u8,
    /// The operation at which its code ends, where more behind that is worth translating.
    pub(super) gap: Option<u32>,
}

/// Code of a block that has been translated.
struct Block {
    /// Where other blocks enter, and where they must go once the block has been dropped.
    start: u64,
    dropped: u64,
}

/// What is there once a block has been translated.
struct Ready {
    memory: Executable,
    common: Common,
    /// Where code begins that is not common to all blocks.
    first: usize,
    used: usize,
    entries: Box<[Cell<Entry>]>,
    blocks: HashMap<u32, Block>,
    /// Jumps to the block of an address: where their distances are.
    links: HashMap<u32, Vec<u64>>,
}

/// All translated code of a process.
#[derive(Default)]
pub(super) struct Translator {
    ready: Option<Ready>,
    /// The host does not allow it.
    refused: bool,
}

/// A block to be translated.
pub(super) struct Source<'a> {
    pub(super) eip: u32,
    /// Arena index of its first operation.
    pub(super) first: u32,
    pub(super) code: &'a [Part],
    /// For each instruction, what is seen of the flags.
    pub(super) flags: &'a [Seen],
    /// Where control goes on behind it.
    pub(super) next: Option<u32>,
    /// The stack holds no code: it can be checked in windows.
    pub(super) plain_stack: bool,
}

impl Translator {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        if let Some(ready) = &mut self.ready {
            ready.forget();
        }
    }

    /// Bytes of the host's memory that the code takes.
    pub(super) fn bytes(&self) -> usize {
        self.ready.as_ref().map_or(0, |ready| ready.used + ENTRIES * size_of::<Entry>())
    }

    /// Blocks with code.
    pub(super) fn len(&self) -> usize {
        self.ready.as_ref().map_or(0, |ready| ready.blocks.len())
    }

    /// Whether there is no room for more.
    pub(super) fn is_full(&self) -> bool {
        self.ready.as_ref().is_some_and(|ready| ready.used > MEMORY - ROOM)
    }

    /// Translates a block; gives where its code is.
    pub(super) fn translate(&mut self, source: &Source<'_>) -> Option<Place> {
        if self.ready.is_none() && !self.refused {
            self.ready = Ready::new();
            self.refused = self.ready.is_none();
        }
        let ready = self.ready.as_mut()?;
        let emitter = write(ready.common, source).ok().flatten()?;
        ready.place(source.eip, emitter).ok()
    }

    /// Drops the code of a block.
    pub(super) fn drop_block(&mut self, eip: u32) {
        if let Some(ready) = &mut self.ready {
            ready.drop_block(eip);
        }
    }
}

impl Ready {
    fn new() -> Option<Self> {
        if !cfg!(target_arch = "x86_64") || cfg!(miri) {
            return None;
        }
        let memory = Executable::new(MEMORY).ok()?;
        let (bytes, common) = emit::common(memory.address(0)).ok()?;
        let used = bytes.len();
        memory.put(0, &bytes).then(|| Self {
            memory,
            common,
            first: used,
            used,
            entries: (0..ENTRIES).map(|slot| Cell::new(Entry::none(slot))).collect(),
            blocks: HashMap::new(),
            links: HashMap::new(),
        })
    }

    fn forget(&mut self) {
        self.used = self.first;
        self.entries.iter().enumerate().for_each(|(slot, entry)| entry.set(Entry::none(slot)));
        self.blocks.clear();
        self.links.clear();
    }

    fn entry(&self, eip: u32) -> Option<&Cell<Entry>> {
        self.entries.get(eip as usize & (ENTRIES - 1))
    }

    /// Offset of an address in memory.
    fn at(&self, address: u64) -> usize {
        (address - self.memory.address(0)) as usize
    }

    /// Writes the distance of a jump.
    fn link(&self, site: u64, to: u64) {
        let distance = to.wrapping_sub(site + 4) as u32;
        self.memory.put(self.at(site), &distance.to_le_bytes());
    }

    fn place(&mut self, eip: u32, emitter: Emitter) -> Done<Place> {
        let used = self.used.next_multiple_of(16);
        let gap = emitter.gap;
        let code = emitter.finish(self.memory.address(used))?;
        if !self.memory.put(used, &code.bytes) {
            return Err(Unserved);
        }
        self.used = used + code.bytes.len();
        let [start, inner, dropped] = code.entries;
        self.blocks.insert(eip, Block { start, dropped });
        for (site, target) in code.links {
            self.links.entry(target).or_default().push(site);
            if let Some(block) = self.blocks.get(&target) {
                self.link(site, block.start);
            }
        }
        for &site in self.links.get(&eip).map_or(&[][..], Vec::as_slice) {
            self.link(site, start);
        }
        if let Some(entry) = self.entry(eip) {
            entry.set(Entry { eip, code: start });
        }
        Ok(Place { at: self.at(inner) as u32, head: (inner - start) as u8, gap })
    }

    fn drop_block(&mut self, eip: u32) {
        const JMP: u8 = 0xe9;
        let Some(block) = self.blocks.remove(&eip) else { return };
        if let Some(entry) = self.entry(eip)
            && entry.get().eip == eip
        {
            entry.set(Entry::none(eip as usize & (ENTRIES - 1)));
        }
        self.memory.put(self.at(block.start), &[JMP]);
        self.link(block.start + 1, block.dropped);
    }
}

/// Writes the code of a block; none where too little of it would be translated.
fn write(common: Common, source: &Source<'_>) -> Done<Option<Emitter>> {
    let total = source.code.len();
    let served =
        source.code.iter().zip(source.flags).take_while(|(part, seen)| serves(&part.d, seen.own)).count();
    let windows = if source.plain_stack { Windows::find(source, served) } else { Windows::default() };
    let mut e = Emitter::new(common, source.eip, total as u32, windows)?;
    let mut op = source.first;
    for (i, (part, flags)) in source.code.iter().zip(source.flags).enumerate() {
        let d = &part.d;
        if part.followed || is_padding(&d.ins) {
            continue;
        }
        e.begin(op);
        op += 1;
        let step = Step {
            ins: &d.ins,
            seen: flags.own,
            live: flags.any,
            behind: (total - i - 1) as i32,
            accesses: e.accesses(i),
        };
        if i >= served {
            if is_gate(&d.ins) {
                e.show()?;
                e.call_kernel(&step)?;
                return Ok(Some(e));
            }
            if d.escape == 0 && flags.all && total - i > WORTH_REJOINING {
                // All flags are kept there, as where a block begins.
                e.gap = Some(op - 1);
            }
            e.stop()?;
        }
        let flow = if e.stopped { Flow::Ends } else { instruction(&mut e, &step)? };
        if e.stopped {
            return Ok((i >= WORTH_WHILE || i * 2 > total).then_some(e));
        }
        if let Flow::Ends = flow {
            return Ok(Some(e));
        }
    }
    let Some(next) = source.next else { return Ok(None) };
    e.begin(op);
    transfer::jump(&mut e, next)?;
    Ok(Some(e))
}

/// Whether an instruction is translated.
fn serves(d: &Decoded, seen: bool) -> bool {
    let ins = &d.ins;
    if d.escape != 0 || ins.has_lock_prefix() || ins.has_rep_prefix() || ins.has_repne_prefix() {
        return false;
    }
    let mut memory = false;
    let mut high = false;
    for i in 0..ins.op_count() {
        match ins.op_kind(i) {
            OpKind::Register if ins.op_register(i).is_gpr() => high |= integer::is_high(ins.op_register(i)),
            OpKind::Memory => {
                memory = true;
                if short_address(ins) || !matches!(ins.memory_segment(), R::DS | R::ES | R::SS) {
                    return false;
                }
            }
            OpKind::NearBranch32 => {
                if ins.near_branch32() >= CODE_END {
                    return false;
                }
            }
            OpKind::Immediate8
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32 => {}
            _ => return false,
        }
    }
    if memory && high {
        return false;
    }
    let register = ins.op0_kind() == OpKind::Register;
    let wide = register && ins.op0_register().is_gpr32();
    match ins.mnemonic() {
        M::Add | M::Or | M::Adc | M::Sbb | M::And | M::Sub | M::Xor | M::Cmp | M::Test => true,
        M::Mov | M::Movzx | M::Movsx | M::Neg | M::Not | M::Nop => true,
        M::Inc | M::Dec => !(seen && high),
        M::Shl | M::Sal | M::Shr | M::Sar => !seen || wide,
        M::Rol | M::Ror => !seen,
        M::Imul | M::Mul => wide,
        M::Div | M::Idiv | M::Lea => wide,
        M::Cdq | M::Cwde => true,
        M::Xchg => wide && !memory,
        M::Push => ins.stack_pointer_increment() == -4,
        M::Pop => wide,
        M::Leave => ins.code() == K::Leaved,
        M::Ret => matches!(ins.code(), K::Retnd | K::Retnd_imm16),
        M::Call => ins.is_call_near() && ins.op0_kind() == OpKind::NearBranch32 || is_indirect(ins),
        M::Jmp => ins.is_jmp_short_or_near() && ins.op0_kind() == OpKind::NearBranch32 || is_indirect(ins),
        _ if ins.is_jcc_short_or_near() => ins.op0_kind() == OpKind::NearBranch32,
        _ => {
            ins.condition_code() != iced_x86::ConditionCode::None
                && integer::width(ins) == super::alu::Width::Byte
        }
    }
}

/// A call of the kernel.
fn is_gate(ins: &Instruction) -> bool {
    ins.is_call_far() && ins.far_branch_selector() & !3 == GATE
}

/// A jump or call to a 32-bit address in a register or in memory.
fn is_indirect(ins: &Instruction) -> bool {
    matches!(ins.code(), K::Jmp_rm32 | K::Call_rm32)
}

fn instruction(e: &mut Emitter, s: &Step<'_>) -> Done<Flow> {
    let ins = s.ins;
    match ins.mnemonic() {
        M::Add | M::Or | M::Adc | M::Sbb | M::And | M::Sub | M::Xor | M::Cmp | M::Test => {
            integer::binary(e, s)?
        }
        M::Inc | M::Dec => integer::step(e, s)?,
        M::Neg | M::Not => integer::unary(e, s)?,
        M::Shl | M::Sal | M::Shr | M::Sar | M::Rol | M::Ror => integer::shift(e, s)?,
        M::Imul | M::Mul => integer::multiply(e, s)?,
        M::Div | M::Idiv => integer::divide(e, s)?,
        M::Mov | M::Movzx | M::Movsx => transfer::mov(e, s)?,
        M::Lea => transfer::lea(e, s)?,
        M::Xchg | M::Cdq | M::Cwde => transfer::registers(e, s)?,
        M::Nop => {}
        M::Push => transfer::push(e, s)?,
        M::Pop => transfer::pop(e, s)?,
        M::Leave => transfer::leave(e, s)?,
        M::Ret => {
            let more = if ins.op_count() > 0 { u32::from(ins.immediate16()) } else { 0 };
            return transfer::ret(e, s, 4 + more);
        }
        M::Call if ins.is_call_near() => return transfer::call(e, s),
        M::Call => return transfer::indirect(e, s, true),
        M::Jmp if ins.is_jmp_short_or_near() => return transfer::jump(e, ins.near_branch32()),
        M::Jmp => return transfer::indirect(e, s, false),
        _ if ins.is_jcc_short_or_near() => return transfer::branch(e, s, condition(ins)),
        _ => integer::set_condition(e, s, transfer::reads(condition(ins)))?,
    }
    Ok(Flow::Goes)
}
