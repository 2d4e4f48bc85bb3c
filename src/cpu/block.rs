//! Decoded blocks: how they are made, found and dropped.
//!
//! A block is a header and the operations of a stretch of code with one entry: it ends at an
//! branch that it does not follow or at its greatest length; it goes on behind conditional branches
//! and, a few times, at the targets of direct jumps.  Its header
//! holds the number of instructions, all of which are taken from the budget when it is entered;
//! whoever leaves early gives the rest back.
//!
//! Blocks live in one arena and are never moved; a dropped block keeps its place, but its header
//! refuses every budget, so that stale links lead out.  When the dropped outweigh the live, everything
//! is forgotten.

use super::Options;
use super::decode::{self, Decoded};
use super::fast::float::Units;
use super::fast::general::{closed, fall, fall_across};
use super::fast::pair;
use super::fast::warm;
use super::lower;
use super::op::{Handler, Link, Links, Op};
use super::profile::{self, Log};
use super::state::{CODE_END, Slot};
use super::translate::{Source, Told, Translator};
use crate::mem::AddressSpace;
use iced_x86::{FlowControl, Instruction, OpKind, Register, RflagsBits as F};
use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

/// Budget that no run has: such a header cannot be entered.
const CLOSED: u32 = u32::MAX;
/// Granule of the index by address.
const GRANULE: u32 = 6;
/// Bytes of an entry of a map, with what it refers to, about.
const ENTRY: usize = 64;
/// Dropped operations that are always tolerated.
const GARBAGE: usize = 1 << 16;
/// Direct jumps that a block follows.
const JUMPS: usize = 3;

/// Numbers as keys need no strong hash: the guest can only slow itself down.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        let product = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ product >> 32;
    }
}

type Map<T> = HashMap<u32, T, BuildHasherDefault<Spread>>;

/// The header that leads nowhere, at index 0.
fn nowhere() -> Op {
    let mut head = blank(0);
    head.imm = CLOSED;
    head
}

/// Everything decoded of a process.
pub(super) struct Blocks {
    pub(super) arena: Vec<Op>,
    pub(super) decoded: Vec<Decoded>,
    pub(super) links: Box<Links>,
    pub(super) units: Units,
    pub(super) translator: Translator,
    /// Where they tell what way programs take, if anybody wants to know.
    pub(super) log: Option<Rc<Log>>,
    /// Header of the block that starts at an address.
    by_address: Map<u32>,
    /// Headers of the blocks with bytes in a granule.
    by_granule: Map<Vec<u32>>,
    /// The granules of a block.
    granules: Map<Vec<u32>>,
    garbage: usize,
    /// Addresses at which no block begins and none has an instruction: a debugger stops there.
    pub(super) breaks: Rc<BTreeSet<u32>>,
    /// What they took when a library last counted them.
    pub(super) counted: Cell<usize>,
}

impl Blocks {
    pub(super) fn new(log: Option<Rc<Log>>) -> Self {
        Self {
            arena: vec![nowhere()],
            decoded: Vec::new(),
            links: Box::new([const { Cell::new(Link { eip: 0, at: 0 }) }; Link::COUNT]),
            units: Units::default(),
            translator: Translator::default(),
            log,
            granules: Map::default(),
            by_address: Map::default(),
            by_granule: Map::default(),
            garbage: 0,
            breaks: Rc::default(),
            counted: Cell::new(0),
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.arena.clear();
        self.decoded.clear();
        self.units.clear();
        self.translator.clear();
        self.granules.clear();
        for link in self.links.iter() {
            link.set(Link::default());
        }
        self.by_address.clear();
        self.by_granule.clear();
        self.garbage = 0;
        self.arena.push(nowhere());
    }

    /// Bytes of the host's memory that all of it takes.
    pub(super) fn bytes(&self) -> usize {
        let entries = self.by_address.len() + self.by_granule.len() + self.granules.len();
        self.arena.capacity() * size_of::<Op>()
            + self.decoded.capacity() * size_of::<Decoded>()
            + entries * ENTRY
            + self.translator.bytes()
    }

    /// The block at an address.
    pub(super) fn find(&self, eip: u32) -> Option<u32> {
        let link = self.links[Link::slot(eip)].get();
        if link.eip == eip && self.len(link.at) != CLOSED {
            return Some(link.at);
        }
        self.by_address.get(&eip).copied()
    }

    /// Instructions of a block.
    pub(super) fn len(&self, at: u32) -> u32 {
        self.arena.get(at as usize).map_or(CLOSED, |head| head.imm)
    }

    /// Decodes the block at an address; `None` when its first instruction cannot be decoded.
    #[inline(never)]
    pub(super) fn build(&mut self, space: &AddressSpace, eip: u32, options: &Options) -> Option<u32> {
        let code = read(space, eip, options, self.log.as_deref(), &self.breaks);
        let last = code.last()?;
        let at = self.arena.len() as u32;
        let mut ops = self.operations(&code, options);
        if goes_on(&last.d.ins) {
            let mut op = blank(last.d.ins.next_ip32());
            op.imm = op.eip;
            let across = self.log.as_ref().is_some_and(|log| !log.extent(eip).contains(&op.eip));
            let handler = if across { fall_across } else { fall };
            ops.push(Lowered { handler, op, d: None, flags: true });
        }
        if is_mixed(space, &code) {
            ops.iter_mut().for_each(|lowered| lowered.handler = warm::alone);
        } else if options.fast {
            fuse(&mut ops);
        }
        if let Some(counter) = self.counter(&code) {
            let mut op = blank(eip);
            op.imm = counter;
            ops.insert(0, Lowered { handler: warm::tick, op, d: None, flags: true });
        }
        let mut head = blank(eip);
        head.imm = code.len() as u32;
        head.next = ops.first().map_or(closed as Handler, |first| first.handler);
        let translate = options.translate.filter(|_| options.fast && options.chain);
        if let Some(often) = translate {
            let count = head.clone();
            count.link.set(often.into());
            head.next = warm::count;
            self.arena.push(head);
            self.arena.push(count);
        } else {
            self.arena.push(head);
        }
        let mut following = ops.iter().skip(1).map(|l| l.handler).collect::<Vec<_>>().into_iter();
        for mut lowered in ops {
            lowered.op.next = following.next().unwrap_or(closed);
            self.arena.push(lowered.op);
        }
        let granules = granules(&code);
        for part in &code {
            space.watch_code(part.d.ins.ip32(), part.d.ins.len() as u32);
        }
        for granule in &granules {
            self.by_granule.entry(*granule).or_default().push(at);
        }
        self.by_address.insert(eip, at);
        self.granules.insert(at, granules);
        if translate == Some(0) {
            self.translate_code(space, at, &code, options);
        }
        Some(at)
    }

    /// Translates the block at an address, which counts how often it is entered.
    pub(super) fn translate(&mut self, space: &AddressSpace, eip: u32, options: &Options) {
        if self.translator.is_full() {
            return self.clear();
        }
        if let Some(&at) = self.by_address.get(&eip) {
            let code = read(space, eip, options, self.log.as_deref(), &self.breaks);
            self.translate_code(space, at, &code, options);
        }
    }

    /// The counter of a block, where blocks are counted and this one is not counted otherwise.
    fn counter(&self, code: &[Part]) -> Option<u32> {
        let log = self.log.as_ref().filter(|_| !code.iter().any(|part| profile::is_repeated(&part.d.ins)))?;
        log.counter(code.iter().map(|part| (part.d.ins.ip32(), part.d.ins.len() as u8)))
    }

    /// Whether instructions are those of the operations that a block has.  The way of working may have changed since
    /// these were made, and so may memory that another process shares.
    fn is_decoded(&self, source: &Source<'_>) -> bool {
        let own = source.code.iter().filter(|part| !part.followed && !lower::is_padding(&part.d.ins));
        let mut ops = self.arena.get(source.first as usize..).unwrap_or_default().iter();
        own.map(|part| &part.d.ins)
            .all(|ins| ops.next().is_some_and(|op| (op.eip, usize::from(op.len)) == (ins.ip32(), ins.len())))
            && source.next.is_none_or(|next| ops.next().is_some_and(|op| (op.imm, op.len) == (next, 0)))
    }

    fn translate_code(&mut self, space: &AddressSpace, at: u32, code: &[Part], options: &Options) {
        let Some(head) = self.arena.get_mut(at as usize) else { return };
        let flags = live_flags(code);
        let next = code.last().filter(|part| goes_on(&part.d.ins)).map(|part| part.d.ins.next_ip32());
        let mixed = is_mixed(space, code);
        let (eip, decoded) = (head.eip, head.imm as usize);
        let counts = self.log.as_ref().is_some_and(|log| log.counts());
        let counter = if counts { self.counter(code) } else { None };
        let told = self.log.as_deref().map(|log| Told {
            next: log.next_address(),
            extent: log.extent(eip),
            counter: counter.and_then(|counter| log.counter_address(counter)),
        });
        let first = at + 2 + u32::from(counter.is_some());
        let source = Source { eip, first, code, flags: &flags, next, mixed, told };
        let same = code.len() == decoded && self.is_decoded(&source) && counts == counter.is_some();
        let place = if same { self.translator.translate(&source, options) } else { None };
        let Some(head) = self.arena.get_mut(at as usize) else { return };
        match place {
            Some(place) => {
                head.disp = place.at;
                head.next = warm::enter;
                // What follows runs by itself where its bytes may change.
                let gap = place.gap.filter(|_| !mixed);
                if let Some(op) = gap.and_then(|at| self.arena.get_mut(at as usize)) {
                    op.next = warm::rejoin;
                }
            }
            None => head.next = warm::pass,
        }
    }

    /// The operations of a block, each with its own handler.
    fn operations(&mut self, code: &[Part], options: &Options) -> Vec<Lowered> {
        let live = live_flags(code);
        let total = code.len();
        let told = self.log.as_ref().zip(code.first()).map(|(log, first)| log.extent(first.d.ins.ip32()));
        let is_told = |d: &Decoded| {
            told.as_ref()
                .is_some_and(|extent| profile::is_transfer(&d.ins) || profile::leaves(&d.ins, extent))
        };
        let mut ops = Vec::with_capacity(total + 1);
        for (i, (part, Seen { own: flags, .. })) in code.iter().zip(live).enumerate() {
            let d = &part.d;
            if part.followed || options.fast && lower::is_padding(&d.ins) {
                continue;
            }
            let mut op = blank(d.ins.ip32());
            op.len = d.ins.len() as u8;
            op.rest = (total - i) as u8;
            op.aux = op.rest - 1;
            let special = if options.fast && !is_told(d) {
                lower::lower(d, &mut self.units, &mut op, flags)
            } else {
                None
            };
            let handler = special.unwrap_or_else(|| {
                let index = self.decoded.len() as u32;
                self.decoded.push(*d);
                lower::unspecialised(d, index, &mut op)
            });
            ops.push(Lowered { handler, op, d: special.map(|_| *d), flags });
        }
        ops
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
            self.garbage += head.imm as usize + 3;
            head.imm = CLOSED;
            if head.disp != 0 {
                self.translator.drop_block(head.eip);
            }
            self.by_address.remove(&head.eip);
            for other in self.granules.remove(&at).unwrap_or_default() {
                if let Some(list) = self.by_granule.get_mut(&other) {
                    list.retain(|&block| block != at);
                }
            }
        }
    }
}

/// An instruction of a block.
pub(super) struct Part {
    pub(super) d: Decoded,
    /// A direct jump, behind which the block goes on at the target.
    pub(super) followed: bool,
    /// Its bytes may change unseen; then so may those of all instructions of the block.
    mixed: bool,
}

/// Whether the bytes of a block may change unseen.
fn is_mixed(space: &AddressSpace, code: &[Part]) -> bool {
    code.iter().any(|part| part.mixed || space.is_mixed(part.d.ins.ip32(), part.d.ins.len() as u32))
}

/// Whether an instruction may store to memory.
fn may_store(ins: &Instruction) -> bool {
    ins.flow_control() == FlowControl::Next
        && (ins.op_count() > 0 && ins.op0_kind() != OpKind::Register
            || ins.stack_pointer_increment() < 0
            || ins.mnemonic() == iced_x86::Mnemonic::Xchg)
}

/// What somebody may see of the flags.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    /// Those that an instruction sets.
    pub(super) own: bool,
    /// All of them.
    pub(super) all: bool,
}

/// An operation on its way into the arena.
struct Lowered {
    handler: Handler,
    op: Op,
    /// What it came from, if it has a specialised form.
    d: Option<Decoded>,
    /// Whether anybody may see the flags that it sets.
    flags: bool,
}

/// Replaces handlers by those that take two operations: first of all compares with their branches, then
/// other pairs.
fn fuse(ops: &mut [Lowered]) {
    let branch = |ops: &[Lowered], i: usize| match ops.get(i..)? {
        [Lowered { d: Some(a), op, .. }, Lowered { d: Some(b), .. }, ..] => lower::fuse(a, op, b),
        _ => None,
    };
    let plain = |ops: &[Lowered], i: usize| match ops.get(i..)? {
        [Lowered { d: Some(a), flags: f, .. }, Lowered { d: Some(b), flags: g, .. }, ..] => {
            pair::fuse(lower::kind(a, *f)?, lower::kind(b, *g)?)
        }
        _ => None,
    };
    let mut i = 0;
    while i < ops.len() {
        let fused =
            branch(ops, i).or_else(|| if branch(ops, i + 1).is_some() { None } else { plain(ops, i) });
        let Some(handler) = fused else {
            i += 1;
            continue;
        };
        if let Some(first) = ops.get_mut(i) {
            first.handler = handler;
        }
        i += 2;
    }
}

/// The granules with bytes of a block.
fn granules(code: &[Part]) -> Vec<u32> {
    let mut all: Vec<u32> = code
        .iter()
        .flat_map(|p| p.d.ins.ip32() >> GRANULE..=p.d.ins.next_ip32().wrapping_sub(1) >> GRANULE)
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// An operation that does nothing useful yet.
pub(super) fn blank(eip: u32) -> Op {
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
fn read(
    space: &AddressSpace,
    eip: u32,
    options: &Options,
    log: Option<&Log>,
    breaks: &BTreeSet<u32>,
) -> Vec<Part> {
    let extent = log.map(|log| log.extent(eip));
    let inside = |at: u32| extent.as_ref().is_none_or(|extent| extent.contains(&at)) && !breaks.contains(&at);
    let counts = log.is_some_and(Log::counts);
    let most = usize::from(options.block.clamp(1, 64));
    let mut code: Vec<Part> = Vec::new();
    let mut jumps = 0;
    let mut at = eip;
    while code.len() < most && at < CODE_END && inside(at) {
        let Ok(d) = decode::at(space, at) else { break };
        at = d.ins.next_ip32();
        let more = goes_on(&d.ins);
        let mixed = space.is_mixed(d.ins.ip32(), d.ins.len() as u32);
        if mixed && code.last().is_some_and(|part| !part.mixed) {
            break;
        }
        // Counted blocks are executed from their beginning to their end, but for what repeats itself.
        if counts && !code.is_empty() && profile::is_repeated(&d.ins) {
            break;
        }
        let more =
            more && !(counts && (profile::is_repeated(&d.ins) || d.ins.flow_control() != FlowControl::Next));
        let target = lower::jumps_to(&d.ins).filter(|&to| {
            let room = options.fast && !counts && jumps < JUMPS && code.len() + 1 < most;
            room && to != eip && inside(to) && decode::at(space, to).is_ok()
        });
        code.push(Part { d, followed: target.is_some(), mixed });
        if mixed && may_store(&d.ins) {
            break;
        }
        match target {
            Some(to) => {
                jumps += 1;
                at = to;
            }
            None if !more => break,
            None => {}
        }
    }
    if let Some(last) = code.last_mut() {
        // The block ends there, whatever follows.
        last.followed = false;
    }
    code
}

/// Whether control may reach the next instruction inside a block.
fn goes_on(ins: &Instruction) -> bool {
    matches!(ins.flow_control(), FlowControl::Next | FlowControl::ConditionalBranch)
}

/// For each instruction, whether somebody may see the flags it sets: not when they are all set
/// again before they are read and before the block can be left.  And whether all flags may be seen
/// behind it.
fn live_flags(code: &[Part]) -> Vec<Seen> {
    const ALL: u32 = F::OF | F::SF | F::ZF | F::AF | F::CF | F::PF;
    let mut live = ALL;
    let mut result = vec![Seen { own: true, all: true }; code.len()];
    for (part, seen) in code.iter().zip(&mut result).rev() {
        let (d, ins) = (&part.d, &part.d.ins);
        let written = ins.rflags_modified() & ALL;
        *seen = Seen { own: written & live != 0, all: live == ALL };
        if !part.followed && can_leave(d) {
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
    // Memory may be missing, segment registers refuse selectors, and control, debug and test registers are not
    // for programs.
    let harmless = |i: u32| match d.ins.op_kind(i) {
        OpKind::Register => is_general(d.ins.op_register(i)),
        OpKind::Memory => d.ins.mnemonic() == M::Lea,
        _ => true,
    };
    !plain || !(0..d.ins.op_count()).all(harmless)
}

/// Whether a register is one for numbers and addresses.
fn is_general(register: Register) -> bool {
    register.is_gpr8() || register.is_gpr16() || register.is_gpr32()
}

/// Whether an instruction shifts by a count that may be zero.
fn variable_count(ins: &Instruction) -> bool {
    use iced_x86::Mnemonic as M;
    matches!(ins.mnemonic(), M::Shl | M::Sal | M::Shr | M::Sar | M::Rol | M::Ror)
        && (ins.op1_kind() == OpKind::Register || ins.immediate(1) & 31 == 0)
}
