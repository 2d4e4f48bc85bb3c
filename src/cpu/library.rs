//! What was decoded and translated of programs, in common for all processes of a machine that run them.
//!
//! Processes that map the same [texts](crate::mem::Text) at the same places share one set of blocks, across fork and
//! exec.  Code elsewhere (a linkage table, a trampoline) is in the set too, but looks at its bytes when it is entered.
//! Whoever changes a text goes on with blocks of its own.
//!
//! Knows blocks as a whole.  2.1 counterpart: the text cache of the machine below it.

use super::block::Blocks;
use super::profile::Log;
use super::tally::Tally;
use crate::mem::Text;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// Sets that are kept although nobody uses them.
const KEPT: usize = 32;

/// A set of blocks, and who it belongs to.
pub(super) type Shared = Rc<RefCell<Blocks>>;

/// A set of blocks that nobody else knows; `log`: they tell of the way that programs take.
pub(super) fn blocks(log: Option<&Rc<Log>>) -> Shared {
    Rc::new(RefCell::new(Blocks::new(log.cloned())))
}

/// The sets of blocks of a machine.
pub struct Library {
    sets: RefCell<HashMap<Vec<Text>, Shared>>,
    /// What processes have that have not run yet.
    nothing: Shared,
    bytes: Cell<usize>,
    pub(super) tally: Rc<Tally>,
    log: Option<Rc<Log>>,
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library").field("sets", &self.sets.borrow().len()).finish_non_exhaustive()
    }
}

impl Default for Library {
    fn default() -> Self {
        Self::new(false)
    }
}

impl Library {
    /// A library that knows nothing; `reasons`: it counts why translated code is left.
    pub fn new(reasons: bool) -> Self {
        let tally = Rc::new(Tally::new(reasons));
        Self { sets: RefCell::default(), nothing: blocks(None), bytes: Cell::new(0), tally, log: None }
    }

    /// A library whose processors tell the way that programs take.
    pub fn telling(log: Rc<Log>) -> Self {
        Self { nothing: blocks(Some(&log)), log: Some(log), ..Self::default() }
    }

    /// What its processors tell.
    pub fn log(&self) -> Option<&Rc<Log>> {
        self.log.as_ref()
    }

    /// The set of a process that has not run yet, in which nothing is.
    pub(super) fn nothing(&self) -> Shared {
        Rc::clone(&self.nothing)
    }

    /// The blocks of processes with these texts.
    pub(super) fn set(&self, texts: Vec<Text>) -> Shared {
        let mut sets = self.sets.borrow_mut();
        if sets.len() >= KEPT && !sets.contains_key(&texts) {
            sets.retain(|_, set| Rc::strong_count(set) > 1);
            self.bytes.set(sets.values().map(|set| set.borrow().counted.get()).sum());
        }
        Rc::clone(sets.entry(texts).or_insert_with(|| blocks(self.log.as_ref())))
    }

    /// Takes account of what a set takes now.
    pub(super) fn count(&self, set: &Blocks) {
        let now = set.bytes();
        self.bytes.set(self.bytes.get().saturating_sub(set.counted.replace(now)).saturating_add(now));
    }

    /// Bytes of the host's memory that all sets take.
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Forgets everything; processes that use a set keep it until they are told to [release](super::Cpu::release) it.
    pub fn clear(&self) {
        self.sets.borrow_mut().clear();
        self.bytes.set(0);
    }

    /// What was counted.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}
