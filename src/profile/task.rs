//! Where in the tree a process is: the calls that have not returned, and what it executes.
//!
//! A call is over when the stack pointer is above its return address: by return, by longjmp, however.  A signal is a
//! call of the trampoline by whatever it interrupts.

use std::collections::HashMap;
use std::rc::Rc;

use super::map::{Map, Place};
use super::tree::{Home, NO_PIECE, NodeId, Remembered, Routine, Tree};
use crate::cpu::profile::{JUMP, ON, RETURN, Transfer};

/// Calls that have not returned and are told apart; whatever they call is as if they had called it themselves.
const DEPTH: usize = 512;
/// Entries of the table of routines by address, a power of two.
const CACHE: usize = 1 << 12;
/// [`Pending::next`] of what is no call that returns as calls do.
const ODD: u32 = u32::MAX;

/// A call that has not returned.
#[derive(Clone, Copy, Debug)]
struct Pending {
    /// Where its return address is.
    esp: u32,
    /// The address that it returns to.
    next: u32,
    /// Who called.
    caller: NodeId,
    /// It is no call but a signal.
    signal: bool,
}

/// A process.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// The program that it executes ([`Proc::image_generation`](crate::kernel::proc::Proc)).
    pub(super) generation: u64,
    pub(super) map: Rc<Map>,
    /// Number of its map, which no other has.
    pub(super) serial: u32,
    pending: Vec<Pending>,
    pub(super) node: NodeId,
    /// A signal waits to be seen.
    pub(super) signalled: bool,
    /// A handler has returned.
    pub(super) returned: bool,
    /// The call of the kernel that it is in, and since when.
    pub(super) call: Option<(NodeId, u64)>,
}

impl Task {
    pub(super) fn new(root: NodeId, generation: u64, map: Rc<Map>, serial: u32) -> Self {
        let pending = Vec::with_capacity(DEPTH);
        Self { generation, map, serial, pending, node: root, signalled: false, returned: false, call: None }
    }

    /// The same process below another root.
    pub(super) fn moved(&self, tree: &mut Tree, root: NodeId) -> Self {
        let mut moved = Self { call: None, ..self.clone() };
        moved.node = tree.transplant(self.node, root);
        for pending in &mut moved.pending {
            pending.caller = tree.transplant(pending.caller, root);
        }
        moved
    }

    /// What is where has changed.
    pub(super) fn remap(&mut self, map: Map, serial: u32) {
        (self.map, self.serial) = (Rc::new(map), serial);
    }
}

/// Routines by address, for all processes.
#[derive(Debug)]
pub(super) struct Routines {
    /// Code without a name: the module and the address that was called.
    pub(super) unnamed: Vec<(Option<usize>, u32)>,
    numbers: HashMap<(Option<usize>, u32), u32>,
    cache: Vec<Cached>,
}

/// The routine of an address.
#[derive(Clone, Copy, Debug)]
struct Cached {
    serial: u32,
    eip: u32,
    home: Home,
    /// It begins there.
    entry: bool,
}

impl Routines {
    pub(super) fn new() -> Self {
        let home = Home { routine: Routine::Root(u32::MAX), piece: NO_PIECE };
        let nothing = Cached { serial: 0, eip: 0, home, entry: false };
        Self { unnamed: Vec::new(), numbers: HashMap::new(), cache: vec![nothing; CACHE] }
    }

    /// The routine at an address, and whether it begins there.
    #[inline(always)]
    fn at(&mut self, task: &Task, eip: u32) -> Cached {
        match self.cache.get(eip as usize & (CACHE - 1)) {
            Some(found) if found.eip == eip && found.serial == task.serial => *found,
            _ => self.look_up(task, eip),
        }
    }

    #[cold]
    #[inline(never)]
    fn look_up(&mut self, task: &Task, eip: u32) -> Cached {
        const UNNAMED: u64 = 1 << 63;
        let (place, extent) = task.map.at(eip);
        let (home, entry) = match place {
            Place::Named(number) => {
                (Home { routine: Routine::Named(number), piece: number.into() }, eip == extent.start)
            }
            Place::Trampoline => (Home { routine: Routine::Trampoline, piece: NO_PIECE - 1 }, false),
            Place::Unnamed | Place::Elsewhere => {
                let key = task.map.inside(eip);
                let (module, start) = task.map.inside(extent.start);
                // The gap that it is in; two of one module are told apart by where they begin.
                let piece = UNNAMED | module.map_or(0, |module| module as u64 + 1) << 32 | u64::from(start);
                let unnamed = &mut self.unnamed;
                let number = *self.numbers.entry(key).or_insert_with(|| {
                    unnamed.push(key);
                    unnamed.len() as u32 - 1
                });
                (Home { routine: Routine::Unnamed(number), piece }, true)
            }
        };
        let found = Cached { serial: task.serial, eip, home, entry };
        if let Some(place) = self.cache.get_mut(eip as usize & (CACHE - 1)) {
            *place = found;
        }
        found
    }
}

/// Follows one process.
pub(super) struct Walk<'a> {
    pub(super) tree: &'a mut Tree,
    pub(super) routines: &'a mut Routines,
    pub(super) task: &'a mut Task,
}

impl Walk<'_> {
    /// Instructions were executed where the process is.
    #[inline(always)]
    pub(super) fn count(&mut self, instructions: u32) {
        self.tree.count(self.task.node, instructions.into());
    }

    /// The process goes on at an address.
    pub(super) fn resume(&mut self, eip: u32, esp: u32) {
        if std::mem::take(&mut self.task.returned)
            && let Some(signal) = self.task.pending.iter().rposition(|pending| pending.signal)
        {
            self.task.pending.truncate(signal + 1);
            self.pop();
        }
        if std::mem::take(&mut self.task.signalled) {
            return self.interrupt(eip, esp);
        }
        self.go_on(eip, esp);
    }

    /// A signal's handler is about to run.
    pub(super) fn interrupt(&mut self, eip: u32, esp: u32) {
        let to = self.routines.at(self.task, eip);
        let pending = Pending { esp, next: ODD, caller: self.task.node, signal: true };
        self.push(pending, to.home);
        self.tree.enter(self.task.node, true);
    }

    /// Takes account of a transfer.
    #[inline(always)]
    pub(super) fn transfer(&mut self, transfer: Transfer) {
        let Transfer { esp, target, kind, .. } = transfer;
        if kind == RETURN {
            // As a rule to where the last call came from.
            if let Some(&Pending { esp: at, next, caller, .. }) = self.task.pending.last()
                && next == target
                && at.wrapping_add(4) == esp
            {
                self.task.pending.pop();
                self.task.node = caller;
                return;
            }
            return self.settle(target, esp);
        }
        if kind == JUMP {
            return self.settle(target, esp);
        }
        if kind == ON {
            return self.go_on(target, esp);
        }
        if let Some(call) = self.tree.remembered(self.task.node, kind, target, self.task.serial) {
            let below = self.task.pending.last().is_none_or(|pending| pending.esp > esp);
            if below && self.task.pending.len() < DEPTH {
                let next = if call.odd { ODD } else { kind };
                let (child, entry) = (call.child, call.entry);
                self.task.pending.push(Pending { esp, next, caller: self.task.node, signal: false });
                self.task.node = child;
                return self.tree.enter(child, entry);
            }
        }
        self.call(esp, target, kind);
    }

    /// A call that is not as it was the last time.
    #[cold]
    #[inline(never)]
    fn call(&mut self, esp: u32, target: u32, next: u32) {
        // The next address is called by whoever wants to know his own.
        if next == target {
            return;
        }
        let is_thrown = |pending: &Pending| pending.esp <= esp && !pending.signal;
        if self.task.pending.last().is_some_and(is_thrown) {
            // Whoever calls has thrown away return addresses.
            while self.task.pending.last().is_some_and(is_thrown) {
                self.pop();
            }
            self.stay(next.wrapping_sub(1));
        }
        let to = self.routines.at(self.task, target);
        let caller = self.task.node;
        let own = self.tree.nodes.get(caller as usize).map(|node| node.home.piece);
        let odd = Some(self.routines.at(self.task, next).home.piece) != own;
        let deep = self.task.pending.len() >= DEPTH;
        self.push(Pending { esp, next: if odd { ODD } else { next }, caller, signal: false }, to.home);
        self.tree.enter(self.task.node, to.entry);
        if !deep {
            let (serial, child) = (self.task.serial, self.task.node);
            self.tree.remember(Remembered { caller, next, target, serial, child, entry: to.entry, odd });
        }
    }

    fn push(&mut self, pending: Pending, home: Home) {
        let task = &mut *self.task;
        if task.pending.len() < DEPTH {
            task.pending.push(pending);
            task.node = self.tree.child(task.node, home);
        } else {
            task.node = self.tree.sibling(task.node, home);
        }
    }

    fn pop(&mut self) {
        if let Some(pending) = self.task.pending.pop() {
            self.task.node = pending.caller;
        }
    }

    /// Control is at an address: calls are over, and perhaps it is another routine than it was.
    #[inline(always)]
    fn settle(&mut self, eip: u32, esp: u32) {
        let to = self.routines.at(self.task, eip);
        let same =
            self.tree.nodes.get(self.task.node as usize).is_some_and(|n| n.home.piece == to.home.piece);
        if !same || self.task.pending.last().is_some_and(|pending| pending.esp < esp) {
            self.settle_elsewhere(eip, esp);
        }
    }

    /// Control is at an address, and nothing is known of how it came there.
    fn go_on(&mut self, eip: u32, esp: u32) {
        let to = self.routines.at(self.task, eip);
        if self.tree.nodes.get(self.task.node as usize).is_some_and(|n| n.home.piece != to.home.piece) {
            self.settle_elsewhere(eip, esp);
        }
    }

    #[cold]
    #[inline(never)]
    fn settle_elsewhere(&mut self, eip: u32, esp: u32) {
        while self.task.pending.last().is_some_and(|pending| pending.esp < esp) {
            self.pop();
        }
        let entry = self.stay(eip);
        self.tree.enter(self.task.node, entry);
    }

    /// Has the routine of an address be the one that the process is in; says whether it begins there, and was
    /// another one before.
    fn stay(&mut self, eip: u32) -> bool {
        let to = self.routines.at(self.task, eip);
        if self.tree.nodes.get(self.task.node as usize).is_some_and(|n| n.home.piece == to.home.piece) {
            return false;
        }
        let (caller, serial) = (self.task.node, self.task.serial);
        self.task.node = match self.tree.remembered(caller, ON, eip, serial) {
            Some(known) => known.child,
            None => {
                let (child, entry) = (self.tree.sibling(caller, to.home), to.entry);
                self.tree.remember(Remembered {
                    caller,
                    next: ON,
                    target: eip,
                    serial,
                    child,
                    entry,
                    odd: false,
                });
                child
            }
        };
        to.entry
    }
}
