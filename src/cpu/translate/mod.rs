//! Translation of blocks that run often to code of the host: the second tier.
//!
//! It adds to the interpreter and takes nothing from it.  A block that has been entered often enough gets code,
//! which is entered in the place of its first handler.  In it each instruction of the guest is itself, on the guest's
//! registers in registers of the host and on its flags in the host's; memory operands are `gs:[address]`, whose pages
//! the host protects as the guest's are ([`crate::mem`]), so that nothing is checked.  For everything else (an
//! instruction that is not translated, a fault, the gate, a branch to a block without code, the end of the budget)
//! code leaves to the interpreter, which goes on with the same operation of the same block.  Nothing of the
//! instruction has happened then, so that faults, budgets and watched code are the interpreter's business alone.
//!
//! | file | idea |
//! |---|---|
//! | [`split`] | the bytes of an instruction taken apart |
//! | [`code`] | encodings of the host |
//! | [`emit`] | ways out of a block, and what must be put right there |
//! | [`undefined`] | flags that the host leaves otherwise |
//! | [`block`] | how far a block's code goes, and where it is counted |
//! | [`instruction`], [`shift`], [`open`], [`transfer`], [`string`], [`float`] | instructions |
//! | [`verify`] | blocks whose bytes may change unseen |
//! | [`routine`] | the way in, the way out, routines |
//! | [`enter`], [`mod@unit`] | the way from the interpreter and back, with the x87 unit |
//!
//! A block takes its instructions from the budget once; so many are kept in reserve that it never ends inside a block.
//! Direct branches jump from code to code once both ends are there; returns and indirect branches look the target up
//! in a table of all addresses.  When a block is dropped a jump is written over its beginning, which leads out.

mod block;
mod code;
mod emit;
mod enter;
mod float;
mod instruction;
mod open;
mod routine;
mod shift;
mod split;
mod string;
mod transfer;
mod undefined;
mod unit;
mod verify;

use super::Options;
use super::block::{Part, Seen};
use crate::mem::{Executable, Jumps, guarded, sets_segment_bases};
use crate::trapframe::eflags::DF;
use emit::Fault;
pub(super) use enter::{Left, regain};
use routine::Routines;
use std::cell::Cell;
use std::collections::HashMap;
use undefined::{Habits, Undefined};

/// Memory for code.
const MEMORY: usize = 16 << 20;
/// Room that any block has enough of; where it is no longer there everything is forgotten.
const ROOM: usize = 64 << 10;

/// Instructions that code keeps back from the budget: as many as a block may have.
pub(super) const RESERVE: i64 = 64;

/// In place of an operation: the interpreter goes on at [`State::eip`](super::state::State::eip).
pub(super) const LOOK_UP: u32 = 0;
/// In place of an operation: the kernel was called, by the instruction before the same.  None of these numbers is that of an
/// operation, which has its header and its count before it.
pub(super) const GATE_CALLED: u32 = 1;
/// In place of an operation: the bytes of the block at [`State::eip`](super::state::State::eip) have changed.
const MISMATCH: u32 = 2;

/// Something that is not translated.
pub(super) struct Unserved;

/// What writes code gives, where it is translated.
type Done<T = ()> = Result<T, Unserved>;

/// The code of a block.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Where it is, in bytes from the beginning of all code.
    pub(super) at: u32,
    /// The operation at which its code ends, where more behind that is worth translating.
    pub(super) gap: Option<u32>,
}

/// Code of a block that has been translated.
struct Block {
    /// Where others enter, and where they must go once the block has been dropped.
    start: u64,
    dropped: u64,
}

/// What is there once a block has been translated.
struct Ready {
    /// Goes before the memory does.
    _known: guarded::Known,
    memory: Executable,
    jumps: Jumps,
    routines: Routines,
    /// Where code begins that is not common to all blocks.
    first: usize,
    used: usize,
    /// Where code may fault, in order.
    faults: Vec<Fault>,
    blocks: HashMap<u32, Block>,
    /// Jumps to the block of an address: where their distances are.
    links: HashMap<u32, Vec<u64>>,
    /// There is code that uses the x87 unit.
    fpu: bool,
    sets_gs: bool,
    habits: Habits,
}

/// Whether the host is one whose code is known, and allows that it is written.
pub(super) fn is_possible() -> bool {
    Ready::new(false).is_some()
}

/// All translated code of a process.
#[derive(Default)]
pub(super) struct Translator {
    ready: Option<Ready>,
    /// The host does not allow it.
    refused: bool,
    /// How often a block is entered before it is worth it to guard memory for translated code.
    patience: u32,
    /// The program has asked for exceptions that are not the host's business: x87 instructions are left alone.
    soft: Cell<bool>,
    /// Code from before that must go.
    stale: Cell<bool>,
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
    /// Its bytes may change unseen.
    pub(super) mixed: bool,
}

impl Translator {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.stale.set(false);
        if let Some(ready) = &mut self.ready {
            tracing::debug!(target: "bsd21::translate", blocks = ready.blocks.len(), bytes = ready.used, "forgets");
            ready.forget();
        }
    }

    /// Bytes of the host's memory that the code takes.
    pub(super) fn bytes(&self) -> usize {
        self.ready
            .as_ref()
            .map_or(0, |ready| ready.used + ready.faults.len() * size_of::<Fault>() + ready.jumps.bytes())
    }

    /// Blocks with code.
    pub(super) fn len(&self) -> usize {
        self.ready.as_ref().map_or(0, |ready| ready.blocks.len())
    }

    /// Whether there is no room for more.
    pub(super) fn is_full(&self) -> bool {
        self.ready.as_ref().is_some_and(|ready| ready.used > MEMORY - ROOM)
    }

    /// Whether all code must be forgotten, because the program uses the x87 unit in another way.
    pub(super) fn is_stale(&self) -> bool {
        self.stale.get()
    }

    /// Leaves x87 instructions to the host again: whoever uses the unit in another way has gone.
    pub(super) fn harden(&self) {
        self.stale.set(false);
        self.soft.set(false);
    }

    /// Translates a block; gives where its code is.
    pub(super) fn translate(&mut self, source: &Source<'_>, options: &Options) -> Option<Place> {
        if self.ready.is_none() && !self.refused {
            self.ready = Ready::new(options.modest);
            self.refused = self.ready.is_none();
        }
        self.patience = options.translate.unwrap_or_default().into();
        let hard = !self.soft.get();
        let place = self.ready.as_mut()?.place(source, hard);
        let (eip, instructions) = (source.eip, source.flags.len());
        tracing::debug!(target: "bsd21::translate", eip = %format_args!("{eip:#x}"), instructions, done = place.is_some(), "translates");
        place
    }

    /// Drops the code of a block.
    pub(super) fn drop_block(&mut self, eip: u32) {
        if let Some(ready) = &mut self.ready {
            ready.drop_block(eip);
        }
    }
}

impl Ready {
    fn new(modest: bool) -> Option<Self> {
        let habits = Habits::of_host(modest);
        if !cfg!(all(target_arch = "x86_64", target_os = "linux")) || cfg!(miri) || !habits.plain {
            return None;
        }
        let memory = Executable::new(MEMORY).ok()?;
        let jumps = Jumps::new().ok()?;
        let (bytes, routines) = routine::routines();
        let (start, table) =
            (memory.address(0), jumps.address().wrapping_add_signed(code::TABLE_BIAS.into()));
        memory.put(0, bytes).then(|| Self {
            _known: guarded::Known::new(start..start + MEMORY as u64, table),
            memory,
            jumps,
            routines,
            first: bytes.len(),
            used: bytes.len(),
            faults: Vec::new(),
            blocks: HashMap::new(),
            links: HashMap::new(),
            fpu: false,
            sets_gs: !modest && sets_segment_bases(),
            habits,
        })
    }

    fn forget(&mut self) {
        if self.used > self.first {
            self.jumps.clear();
        }
        self.used = self.first;
        self.faults.clear();
        self.blocks.clear();
        self.links.clear();
        self.fpu = false;
    }

    fn origin(&self) -> u64 {
        self.memory.address(0)
    }

    /// Where a jump to an address without code goes.
    fn unknown(&self) -> u64 {
        self.memory.address(self.routines.unknown)
    }

    /// Offset of an address in memory.
    fn at(&self, address: u64) -> usize {
        (address - self.origin()) as usize
    }

    /// Writes the distance of a jump.
    fn link(&self, site: u64, to: u64) {
        let distance = to.wrapping_sub(site + 4) as u32;
        self.memory.put(self.at(site), &distance.to_le_bytes());
    }

    fn place(&mut self, source: &Source<'_>, hard: bool) -> Option<Place> {
        let used = self.used.next_multiple_of(16);
        let start = self.memory.address(used);
        let block =
            block::write(source, self.origin(), start, self.routines, self.habits, hard).ok().flatten()?;
        let written = block.written;
        if !self.memory.put(used, &written.bytes) {
            return None;
        }
        self.used = used + written.bytes.len();
        self.faults.extend(written.faults);
        self.fpu |= written.fpu;
        let eip = source.eip;
        self.blocks.insert(eip, Block { start, dropped: written.dropped });
        for (site, target) in written.links {
            self.links.entry(target).or_default().push(site);
            if let Some(block) = self.blocks.get(&target) {
                self.link(site, block.start);
            }
        }
        for &site in self.links.get(&eip).map_or(&[][..], Vec::as_slice) {
            self.link(site, start);
        }
        for eip in written.returns {
            self.jumps.prepare(eip, self.unknown());
        }
        self.jumps.prepare(eip, self.unknown());
        self.jumps.set(eip, start);
        Some(Place { at: used as u32, gap: block.gap })
    }

    fn drop_block(&mut self, eip: u32) {
        const JMP: u8 = 0xe9;
        let Some(block) = self.blocks.remove(&eip) else { return };
        self.jumps.set(eip, self.unknown());
        self.memory.put(self.at(block.start), &[JMP]);
        self.link(block.start + 1, block.dropped);
    }

    /// Looks after an instruction that faulted: has the interpreter do the operation that it belongs to.
    fn catch(
        &self,
        interrupted: &mut guarded::Interrupted,
        undefined: &Cell<Undefined>,
        faulted: &Cell<bool>,
    ) -> bool {
        use guarded::HostRegister as R;
        let rip = interrupted.get(R::Rip);
        if rip == 0 {
            self.jumps.prepare(interrupted.get(R::R11) as u32, self.unknown());
            interrupted.set(R::Rip, self.unknown());
            return true;
        }
        let (mut at, mut leave) = (self.at(rip), self.routines.leave);
        if at < self.first {
            if at < self.routines.scas {
                return false;
            }
            // The last byte of the call that it returns behind.
            let Some(offset) = interrupted.stack_top().checked_sub(self.origin() + 1) else { return false };
            (at, leave) = (offset as usize, self.routines.bail);
        }
        let found = self.faults.binary_search_by_key(&at, |fault| fault.at as usize);
        let Some(fault) = found.ok().and_then(|index| self.faults.get(index)) else { return false };
        let mut give = i64::from(fault.give);
        if fault.repeat != emit::Repeat::No {
            let base = interrupted.get(R::R12);
            let guest = |host: u64| u64::from(host.wrapping_sub(base) as u32);
            interrupted.set(R::Rdi, guest(interrupted.get(R::Rdi)));
            if fault.repeat == emit::Repeat::Copies {
                interrupted.set(R::Rsi, guest(interrupted.get(R::Rsi)));
            }
            give += interrupted.get(R::Rcx) as i64 - 1;
        }
        interrupted.set(R::Flags, interrupted.get(R::Flags) & !u64::from(DF));
        let stack = (interrupted.get(R::R8) as u32).wrapping_add(fault.delta as u32);
        interrupted.set(R::R8, stack.into());
        interrupted.set(R::R14, interrupted.get(R::R14).wrapping_add(give as u64));
        interrupted.set(R::R11, fault.op.into());
        interrupted.set(R::Rip, self.memory.address(leave));
        undefined.set(fault.undefined);
        faulted.set(true);
        true
    }

    /// The operation of the x87 instruction at the lower half of an address of the host.
    fn operation_at(&self, low: u32) -> Option<u32> {
        let at = low.wrapping_sub(self.origin() as u32);
        let index = self.faults.binary_search_by_key(&at, |fault| fault.at).ok()?;
        Some(self.faults.get(index)?.op)
    }
}
