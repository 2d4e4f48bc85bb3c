//! What a processor that is made for it tells of the way a program takes: every call, return and jump out of a routine
//! with the instructions left then, and how often each block is executed.
//!
//! A [`Log`] is filled by the interpreter and, without a detour, by translated code; whoever runs the processor takes
//! its [transfers](Transfer) out between two runs.  Between two transfers a program stays in one routine, so that what
//! the budget has lost in between was executed there: counts are exact, and code inside of routines is as it is
//! without a log.
//!
//! Knows addresses; what routines are called and whose they are is the business of whoever gives [`Extents`].

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use super::op::Op;
use super::state::State;
use iced_x86::{FlowControl, Instruction, OpKind};

/// Transfers that a log holds, at least; a run ends before there are more.
const ROOM: usize = 1 << 16;
/// Those that may follow when the room is used up: no run ends inside of a block.
const SPARE: usize = 256;
/// Counters that lie in one piece.
const PIECE: usize = 1 << 10;

/// [`Transfer::kind`] of a return.
pub const RETURN: u32 = u32::MAX;
/// [`Transfer::kind`] of a jump to somewhere.
pub const JUMP: u32 = u32::MAX - 1;
/// [`Transfer::kind`] of whatever else leaves a routine, or perhaps does not: by a jump to a fixed address, or to what
/// lies behind.
pub const ON: u32 = u32::MAX - 2;

/// Control goes from one place to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Transfer {
    /// Instructions left of the run's budget, the one that transfers taken away.
    pub left: u32,
    /// The stack pointer behind it.
    pub esp: u32,
    /// Where control goes.
    pub target: u32,
    /// [`RETURN`], [`JUMP`], [`ON`], or of a call the address that it returns to.
    pub kind: u32,
}

/// Where translated code finds the parts of a transfer.
pub(super) mod offset {
    use super::Transfer;
    use std::mem::offset_of;

    pub(crate) const LEFT: i32 = offset_of!(Transfer, left) as i32;
    pub(crate) const ESP: i32 = offset_of!(Transfer, esp) as i32;
    pub(crate) const TARGET: i32 = offset_of!(Transfer, target) as i32;
    pub(crate) const KIND: i32 = offset_of!(Transfer, kind) as i32;
    pub(crate) const SIZE: i32 = size_of::<Transfer>() as i32;
}

/// Where the routines of a program are, and what its blocks are called.
pub trait Extents {
    /// The addresses of the routine at an address; jumps inside of it are not told.
    fn extent(&self, eip: u32) -> Range<u32>;

    /// What an address is called in all processes that have the same code there.
    fn place(&self, eip: u32) -> u64;
}

/// What is told.
pub struct Log {
    transfers: Box<[Cell<Transfer>]>,
    /// Address of the place for the next transfer.
    next: Cell<usize>,
    extents: RefCell<Option<Rc<dyn Extents>>>,
    counters: Option<Counters>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("transfers", &self.len()).finish_non_exhaustive()
    }
}

impl Log {
    /// A log with nothing in it; `count`: how often blocks are executed is counted too.
    pub fn new(count: bool) -> Self {
        let transfers: Box<[Cell<Transfer>]> = vec![Cell::default(); ROOM + SPARE].into();
        let next = Cell::new(transfers.as_ptr().expose_provenance());
        Self { transfers, next, extents: RefCell::default(), counters: count.then(Counters::default) }
    }

    /// Says where routines are from now on.
    pub fn set_extents(&self, extents: Rc<dyn Extents>) {
        *self.extents.borrow_mut() = Some(extents);
    }

    /// Whether executions of blocks are counted.
    pub fn counts(&self) -> bool {
        self.counters.is_some()
    }

    /// Takes the transfers out, in their order.
    #[inline]
    pub fn take(&self, mut each: impl FnMut(Transfer)) {
        let len = self.len();
        for transfer in self.transfers.iter().take(len) {
            each(transfer.get());
        }
        self.next.set(self.transfers.as_ptr().addr());
    }

    /// How often every instruction was executed: the call of an instruction's place, its length, how often.  Each
    /// iteration of a repeated string instruction counts.
    pub fn executions(&self) -> Vec<(u64, u8, u64)> {
        self.counters.as_ref().map(Counters::executions).unwrap_or_default()
    }

    fn len(&self) -> usize {
        (self.next.get() - self.transfers.as_ptr().addr()) / size_of::<Transfer>()
    }

    /// Instructions that a run may have so that there is room for what they tell.
    pub fn room(&self) -> u64 {
        ROOM.saturating_sub(self.len()) as u64
    }

    /// Where translated code finds the address of the place for the next transfer.
    pub(super) fn next_address(&self) -> u64 {
        (&raw const self.next).expose_provenance() as u64
    }

    /// The routine at an address.
    pub(super) fn extent(&self, eip: u32) -> Range<u32> {
        self.extents.borrow().as_ref().map_or(0..u32::MAX, |extents| extents.extent(eip))
    }

    fn place(&self, eip: u32) -> Option<u64> {
        self.extents.borrow().as_ref().map(|extents| extents.place(eip))
    }

    fn put(&self, transfer: Transfer) {
        if let Some(cell) = self.transfers.get(self.len()) {
            cell.set(transfer);
            self.next.set(self.next.get() + size_of::<Transfer>());
        }
    }

    /// The counter of a block with these instructions: their addresses and lengths.
    pub(super) fn counter(&self, code: impl Iterator<Item = (u32, u8)>) -> Option<u32> {
        let counters = self.counters.as_ref()?;
        let code: Vec<_> = code.filter_map(|(eip, len)| Some((self.place(eip)?, len))).collect();
        Some(counters.of(code))
    }

    /// Address of a counter for translated code.
    pub(super) fn counter_address(&self, index: u32) -> Option<usize> {
        let counters = self.counters.as_ref()?;
        counters.with(index, |cell| std::ptr::from_ref(cell).expose_provenance())
    }

    /// A block has been entered.
    pub(super) fn count(&self, index: u32) {
        if let Some(counters) = &self.counters {
            counters.with(index, |cell| cell.set(cell.get().wrapping_add(1)));
        }
    }

    /// An instruction was executed so many times outside of what blocks count.
    pub(super) fn count_alone(&self, eip: u32, len: u8, times: u64) {
        if let (Some(counters), Some(place)) = (&self.counters, self.place(eip))
            && times != 0
        {
            counters.alone.borrow_mut().entry((place, len)).or_default().0 += times;
        }
    }

    /// A block has been left although so many instructions of it, from an address on, were still to come.
    pub(super) fn count_short(&self, eip: u32, instructions: u32) {
        if let (Some(counters), Some(place)) = (&self.counters, self.place(eip))
            && instructions != 0
        {
            *counters.short.borrow_mut().entry((place, instructions)).or_default() += 1;
        }
    }
}

/// How often, alone.
#[derive(Clone, Copy, Debug, Default)]
struct Times(u64);

/// Counters of blocks.  They stay where they are: translated code knows their addresses.
#[derive(Default)]
struct Counters {
    pieces: RefCell<Vec<Box<[Cell<u64>]>>>,
    blocks: RefCell<Vec<Vec<(u64, u8)>>>,
    indices: RefCell<HashMap<Vec<(u64, u8)>, u32>>,
    alone: RefCell<HashMap<(u64, u8), Times>>,
    short: RefCell<HashMap<(u64, u32), u64>>,
}

impl Counters {
    fn of(&self, code: Vec<(u64, u8)>) -> u32 {
        *self.indices.borrow_mut().entry(code).or_insert_with_key(|code| {
            let mut blocks = self.blocks.borrow_mut();
            let index = blocks.len();
            blocks.push(code.clone());
            let mut pieces = self.pieces.borrow_mut();
            if index / PIECE >= pieces.len() {
                pieces.push(vec![Cell::new(0); PIECE].into());
            }
            index as u32
        })
    }

    fn with<T>(&self, index: u32, what: impl FnOnce(&Cell<u64>) -> T) -> Option<T> {
        let index = index as usize;
        let pieces = self.pieces.borrow();
        pieces.get(index / PIECE)?.get(index % PIECE).map(what)
    }

    fn executions(&self) -> Vec<(u64, u8, u64)> {
        let (blocks, pieces) = (self.blocks.borrow(), self.pieces.borrow());
        let mut counts: HashMap<(u64, u8), u64> = HashMap::new();
        let mut lengths: HashMap<u64, u8> = HashMap::new();
        let cells = pieces.iter().flat_map(|piece| piece.iter());
        for (code, cell) in blocks.iter().zip(cells) {
            for &(place, len) in code {
                lengths.insert(place, len);
                let count = counts.entry((place, len)).or_default();
                *count = count.wrapping_add(cell.get());
            }
        }
        for (&(place, instructions), &times) in self.short.borrow().iter() {
            let mut at = place;
            for _ in 0..instructions {
                let Some(&len) = lengths.get(&at) else { break };
                let count = counts.entry((at, len)).or_default();
                *count = count.wrapping_sub(times);
                at += u64::from(len);
            }
        }
        for (&key, times) in self.alone.borrow().iter() {
            let count = counts.entry(key).or_default();
            *count = count.wrapping_add(times.0);
        }
        let mut all: Vec<_> = counts.into_iter().map(|((place, len), count)| (place, len, count)).collect();
        all.retain(|&(_, _, count)| count != 0);
        all.sort_unstable();
        all
    }
}

/// Whether an instruction repeats itself: no block counts it.
pub(super) fn is_repeated(ins: &Instruction) -> bool {
    ins.is_string_instruction() && (ins.has_rep_prefix() || ins.has_repne_prefix())
}

/// Whether an instruction ends a routine's run for certain or perhaps: a call, a return, a jump to somewhere.
pub(super) fn is_transfer(ins: &Instruction) -> bool {
    use FlowControl as F;
    let near = !ins.is_call_far() && !ins.is_jmp_far();
    matches!(ins.flow_control(), F::Call | F::IndirectCall | F::Return | F::IndirectBranch) && near
}

/// Whether an instruction that jumps to a fixed address leaves a routine.
pub(super) fn leaves(ins: &Instruction, extent: &Range<u32>) -> bool {
    use FlowControl as F;
    let jumps = matches!(ins.flow_control(), F::ConditionalBranch | F::UnconditionalBranch);
    jumps && (ins.op0_kind() != OpKind::NearBranch32 || !extent.contains(&ins.near_branch32()))
}

impl State<'_> {
    /// An instruction was executed in its general form, and [`State::eip`] is where control goes; `alone`: outside of
    /// any block, so that its neighbours are not known.
    #[inline(always)]
    pub(super) fn tell(&self, ins: &Instruction, alone: bool) {
        if let Some(log) = &self.blocks.log {
            self.tell_log(log, ins, alone);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_log(&self, log: &Log, ins: &Instruction, alone: bool) {
        use FlowControl as F;
        let kind = match ins.flow_control() {
            F::Call | F::IndirectCall if is_transfer(ins) => ins.next_ip32(),
            F::Return => RETURN,
            F::IndirectBranch => JUMP,
            _ if alone || self.eip != ins.next_ip32() => ON,
            _ => return,
        };
        self.tell_transfer(log, self.left, self.eip, kind);
    }

    /// A block is left although so many instructions of it, from an address on, are still to come.
    #[inline(always)]
    pub(super) fn tell_short(&self, eip: u32, rest: u8) {
        if let Some(log) = &self.blocks.log {
            log.count_short(eip, rest.into());
        }
    }

    /// An instruction was executed outside of what blocks count; `times`: iterations, where it repeats itself.
    #[cold]
    #[inline(never)]
    pub(super) fn tell_alone(&self, ins: &Instruction, times: i64) {
        if let Some(log) = &self.blocks.log {
            log.count_alone(ins.ip32(), ins.len() as u8, times.try_into().unwrap_or(0));
        }
    }

    /// An instruction of a block was executed in its general form with so many left before; `leaves`: what is behind
    /// it in the block is not executed.
    #[inline(always)]
    pub(super) fn tell_executed(&self, op: &Op, ins: &Instruction, before: i64, leaves: bool) {
        if let Some(log) = self.blocks.log.as_ref().filter(|log| log.counts()) {
            if is_repeated(ins) {
                self.tell_alone(ins, before - self.left + 1);
            } else if leaves {
                log.count_short(op.end(), u32::from(op.rest).saturating_sub(1));
            }
        }
    }

    /// An instruction of a block has ended the run; `fault`: it has not happened, or not to its end.
    #[inline(always)]
    pub(super) fn tell_ended(&self, op: &Op, ins: &Instruction, before: i64, fault: bool) {
        if let Some(log) = self.blocks.log.as_ref().filter(|log| log.counts()) {
            if is_repeated(ins) {
                self.tell_alone(ins, before - self.left + 1);
            } else if fault {
                log.count_short(op.eip, op.rest.into());
            } else {
                log.count_short(op.end(), u32::from(op.rest).saturating_sub(1));
            }
        }
    }

    /// Tells a transfer with so many instructions left behind it.
    pub(super) fn tell_transfer(&self, log: &Log, left: i64, target: u32, kind: u32) {
        log.put(Transfer { left: left as u32, esp: self.regs[4], target, kind });
    }
}
