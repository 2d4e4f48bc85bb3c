//! The i386 and i387 processor: decoded blocks, an interpreter, and nothing of any kernel.
//!
//! [`Cpu::run`] executes a guest process for a number of instructions and says why it stopped.
//!
//! | file | idea |
//! |---|---|
//! | `alu`, `flags` | integer arithmetic and its flags (pure) |
//! | `state` | registers in the middle of a run, memory through segments |
//! | `decode` | bytes to instructions |
//! | `general` | every instruction in its general form |
//! | `op`, `block`, `lower`, `fast` | blocks of compact operations, and the forms that programs use most |
//! | `translate` | blocks that run often as code of the host |
//! | `library` | blocks that processes have in common |
//! | `tally` | how instructions were executed |
//! | [`profile`] | the way that programs take, told |
//! | [`x87`] | the x87 unit |
//!
//! 2.1 counterpart: the machine below it.

mod alu;
mod block;
mod decode;
mod fast;
mod flags;
mod general;
mod library;
mod lower;
mod op;
pub mod profile;
mod run;
mod state;
mod tally;
mod translate;
pub mod x87;

use crate::mem::AddressSpace;
use crate::trapframe::eflags::RF;
use crate::trapframe::{Trap, Trapframe};
pub use decode::is_of_a_pentium;
pub use library::Library;
use library::{Shared, blocks};
use run::Why;
use state::{State, copy_registers};
use std::collections::BTreeSet;
use std::rc::Rc;
pub use tally::{Reason, Tally};
use translate::Left;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Why.
    pub trap: Trap,
    /// Instructions retired; each iteration of a repeated string instruction counts as one.
    pub retired: u64,
}

/// How instructions are executed; for tests, all ways give the same results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Keep decoded blocks.
    pub cache: bool,
    /// Most instructions of a block.
    pub block: u8,
    /// Let blocks lead directly to each other.
    pub chain: bool,
    /// Use specialised forms of instructions.
    pub fast: bool,
    /// Translate a block that has been entered so often; none: never.  Needs `cache`, `chain` and `fast`.
    pub translate: Option<u16>,
    /// Translate for a host that has nothing but what every x86-64 has: neither `wrgsbase` nor BMI2.
    pub modest: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache: true, block: 48, chain: true, fast: true, translate: Some(OFTEN), modest: false }
    }
}

impl Options {
    /// Whether this host can run translated code.
    pub fn can_translate() -> bool {
        translate::is_possible()
    }
}

/// How often a block is entered before it is translated, which takes as long as to interpret it some hundred times.
const OFTEN: u16 = 200;

/// Instructions run at a stretch; less than a block that must not be entered asks for.
const MOST: u64 = 1 << 31;

/// Blocks outside of texts that a process may build before it goes on with blocks of its own: those in a set that is
/// shared look at their bytes whenever they are entered.
const MOST_OUTSIDE: u32 = 1000;

/// The processor of one guest process: what it decoded, and its clock.
pub struct Cpu {
    options: Options,
    clock: u64,
    blocks: Shared,
    /// Where blocks are found that other processes know.
    library: Option<Rc<Library>>,
    tally: Rc<Tally>,
    /// The blocks belong to the library.
    shared: bool,
    /// The process has changed what others share: it goes on by itself.
    alone: bool,
    /// It is to be found out which blocks are right.
    astray: bool,
    /// Blocks that were built outside of texts.
    outside: u32,
    /// Instructions run at a stretch.
    most: u64,
    /// Where it stops before an instruction.
    breaks: Rc<BTreeSet<u32>>,
}

impl Cpu {
    /// A processor that has decoded nothing.
    pub fn new() -> Self {
        Self::with_options(Options::default())
    }

    /// A processor that works in a certain way.
    pub fn with_options(options: Options) -> Self {
        Self {
            options,
            clock: 0,
            blocks: blocks(None),
            library: None,
            tally: Rc::default(),
            shared: false,
            alone: false,
            astray: false,
            outside: 0,
            most: MOST,
            breaks: Rc::default(),
        }
    }

    /// A processor that works in a certain way and knows what others have decoded.  All processors of a library
    /// work in the same way.
    pub fn of_library(options: Options, library: &Rc<Library>) -> Self {
        Self {
            options,
            clock: 0,
            blocks: library.nothing(),
            library: Some(Rc::clone(library)),
            tally: Rc::clone(&library.tally),
            shared: true,
            alone: false,
            astray: true,
            outside: 0,
            most: if library.log().is_some() { 0 } else { MOST },
            breaks: Rc::default(),
        }
    }

    /// Changes the way of working from here on; what is decoded stays as it is.
    pub fn set_options(&mut self, options: Options) {
        self.options = options;
    }

    /// Forgets everything decoded: the memory has been replaced.
    pub fn reset(&mut self) {
        if !self.shared {
            self.blocks.borrow_mut().clear();
        }
        (self.alone, self.astray, self.outside) = (!self.breaks.is_empty(), true, 0);
    }

    /// Sets addresses before whose instructions a run ends as if its budget were used up, unless one is its first.
    /// Meanwhile nothing decoded is shared with others.
    pub fn stop_at(&mut self, breaks: &Rc<BTreeSet<u32>>) {
        if self.breaks == *breaks {
            return;
        }
        self.breaks = Rc::clone(breaks);
        self.alone = !breaks.is_empty();
        self.release();
    }

    /// Bytes of the host's memory that decoded and translated code takes, but for what belongs to a library, which
    /// is told.
    pub fn code_bytes(&self) -> usize {
        let blocks = self.blocks.borrow();
        match &self.library {
            Some(library) if self.shared => {
                library.count(&blocks);
                0
            }
            _ => blocks.bytes(),
        }
    }

    /// Forgets everything decoded, and gives its memory back.
    pub fn release(&mut self) {
        (self.blocks, self.shared) = match &self.library {
            Some(library) => (library.nothing(), true),
            None => (blocks(None), false),
        };
        self.astray = true;
    }

    /// Operations that decoded code takes up, those of dropped blocks included.
    pub fn operations(&self) -> usize {
        self.blocks.borrow().arena.len()
    }

    /// Blocks that have been translated and not been dropped since.
    pub fn translated(&self) -> usize {
        self.blocks.borrow().translator.len()
    }

    /// How instructions were executed, by all processors of a library where this is of one.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The count that `rdtsc` shows.
    pub fn clock(&self) -> u64 {
        self.clock
    }

    /// Sets the count that `rdtsc` shows.
    pub fn set_clock(&mut self, clock: u64) {
        self.clock = clock;
    }

    /// Executes at most `budget` instructions; fewer where what they tell would have no room in the library's log.
    pub fn run(&mut self, frame: &mut Trapframe, space: &mut AddressSpace, budget: u64) -> Stopped {
        if budget <= self.most {
            return self.slice(frame, space, budget);
        }
        if let Some(room) = self.library.as_ref().and_then(|library| library.log()).map(|log| log.room()) {
            return self.slice(frame, space, budget.min(room));
        }
        let mut retired = 0;
        loop {
            let stopped = self.slice(frame, space, (budget - retired).min(MOST));
            retired += stopped.retired;
            if stopped.trap != Trap::Budget || retired == budget {
                return Stopped { trap: stopped.trap, retired };
            }
        }
    }

    /// Drops what was decoded from bytes that have been written since.
    #[cold]
    #[inline(never)]
    fn drop_written(&mut self, space: &AddressSpace) {
        let mut blocks = self.blocks.borrow_mut();
        for (addr, len) in space.take_code_writes() {
            blocks.drop_range(addr, len);
        }
    }

    /// Finds the blocks that are right for a space.
    #[cold]
    #[inline(never)]
    fn choose(&mut self, space: &AddressSpace) {
        self.astray = false;
        self.alone |= space.texts_written();
        let library = self.library.as_ref().filter(|_| !self.alone && self.options.cache);
        let texts = library.map(|_| space.adopt_texts()).unwrap_or_default();
        match library {
            Some(library) if !texts.is_empty() => {
                self.blocks = library.set(texts);
                self.shared = true;
            }
            _ => {
                space.let_texts_go();
                if self.shared {
                    let log = self.library.as_ref().and_then(|library| library.log());
                    (self.blocks, self.shared) = (blocks(log), false);
                }
                self.blocks.borrow_mut().breaks = Rc::clone(&self.breaks);
            }
        }
    }

    /// Goes on with blocks of its own.
    #[cold]
    #[inline(never)]
    fn part(&mut self, space: &AddressSpace) {
        self.alone = true;
        self.choose(space);
    }

    /// Executes at most `budget` instructions, which are not more than [`MOST`].
    #[inline]
    fn slice(&mut self, frame: &mut Trapframe, space: &AddressSpace, budget: u64) -> Stopped {
        let total = budget as i64;
        frame.eflags &= !RF;
        if self.astray || space.texts_changed() {
            self.choose(space);
        }
        if space.code_written() {
            self.drop_written(space);
        }
        let left = {
            let blocks = self.blocks.borrow();
            let stale = blocks.translator.is_stale();
            if stale { None } else { blocks.translator.go(frame, space, &self.tally, total) }
        };
        // Most turns end with a call, whose result is put together apart from all others: they would have to wait for
        // each other's stores.
        match left {
            Some(left) if left.calls() && !space.has_bus_fault() => {
                let retired = (total - left.left) as u64;
                self.clock = self.clock.wrapping_add(retired);
                Stopped { trap: Trap::Syscall, retired }
            }
            left => self.stretches(frame, space, total, left),
        }
    }

    /// Executes at most `total` instructions, or what is left of them where translated code has been left.
    #[inline(never)]
    fn stretches(
        &mut self,
        frame: &mut Trapframe,
        space: &AddressSpace,
        total: i64,
        left: Option<Left>,
    ) -> Stopped {
        let clock_end = self.clock.wrapping_add(total as u64);
        if self.blocks.borrow().translator.is_stale() {
            self.renew(space);
        }
        let rest = left.as_ref().map_or(total, |left| left.left);
        let mut stretch = self.stretch(frame, space, rest, clock_end, false, left);
        if stretch.why != Why::Trap {
            stretch = self.go_on(frame, space, stretch, total, clock_end);
        }
        if is_fault(stretch.trap) {
            frame.eflags |= RF;
        }
        let retired = (total - stretch.left) as u64;
        self.clock = self.clock.wrapping_add(retired);
        let trap = space.take_bus_fault().map_or(stretch.trap, Trap::Page);
        Stopped { trap, retired }
    }

    /// Takes account of an x87 unit that is not used as the host's: who shares blocks leaves them to the others.
    #[cold]
    #[inline(never)]
    fn renew(&mut self, space: &AddressSpace) {
        if self.shared {
            self.blocks.borrow().translator.harden();
            self.part(space);
        } else {
            self.blocks.borrow_mut().clear();
        }
    }

    /// Runs until something ends the run or the blocks must change; `alone` says that the first instruction cannot
    /// be in a block, `from` where translated code has been left.
    #[inline(always)]
    fn stretch(
        &self,
        frame: &mut Trapframe,
        space: &AddressSpace,
        left: i64,
        clock_end: u64,
        alone: bool,
        from: Option<Left>,
    ) -> Stretch {
        let Trapframe { gpr, eip, eflags, seg, fpu } = &mut *frame;
        let blocks = &*self.blocks.borrow();
        let mut st = State::new(gpr, *eip, *eflags, *seg, fpu, space, blocks, &self.tally);
        st.left = left;
        st.clock_end = clock_end;
        let from = from.map(|left| left.settle(&mut st));
        let why = run::run(&mut st, blocks, &self.options, alone, from);
        translate::regain(&mut st);
        copy_registers(gpr, &st.regs);
        *eip = st.eip;
        *eflags = st.eflags();
        *seg = st.seg;
        Stretch { why, trap: st.trap, left: st.left }
    }

    /// Changes the blocks as a stretch has asked for, and goes on until the run ends.
    #[cold]
    #[inline(never)]
    fn go_on(
        &mut self,
        frame: &mut Trapframe,
        space: &AddressSpace,
        mut stretch: Stretch,
        total: i64,
        clock_end: u64,
    ) -> Stretch {
        while stretch.why != Why::Trap {
            if space.code_written() {
                self.drop_written(space);
            }
            let eip = frame.eip;
            if space.is_touched() || stretch.left < total && self.breaks.contains(&eip) {
                return Stretch { why: Why::Trap, trap: Trap::Budget, ..stretch };
            }
            let mut alone = false;
            match stretch.why {
                // The first instruction of a run.
                Why::Build if self.breaks.contains(&eip) => alone = true,
                Why::Build => {
                    if self.shared && !space.is_text(eip, 1) {
                        self.outside += 1;
                        if self.outside > MOST_OUTSIDE {
                            self.part(space);
                        }
                    }
                    alone = self.blocks.borrow_mut().build(space, eip, &self.options).is_none();
                }
                Why::Hot => self.blocks.borrow_mut().translate(space, eip, &self.options),
                Why::Code | Why::Trap => {}
            }
            stretch = self.stretch(frame, space, stretch.left, clock_end, alone, None);
        }
        stretch
    }
}

/// A part of a run, between two changes of the blocks.
struct Stretch {
    /// Why it ended.
    why: Why,
    /// Why the run ends, if it does.
    trap: Trap,
    /// Instructions that may still be started.
    left: i64,
}

impl Default for Cpu {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a trap is reported at its instruction, which has not happened then.
fn is_fault(trap: Trap) -> bool {
    !matches!(trap, Trap::Budget | Trap::Syscall | Trap::SingleStep | Trap::Breakpoint | Trap::Overflow)
}
