//! Where in the tree a process is: the calls that have not returned, and what it executes.
//!
//! A call is over when the stack pointer is above its return address: by return, by longjmp, however.  A signal is a
//! call of the trampoline by whatever it interrupts.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use super::map::{Map, Place};
use super::tree::{NodeId, Routine, Tree};
use crate::cpu::profile::{JUMP, RETURN, Transfer};

/// Calls that have not returned and are told apart; whatever they call is as if they had called it themselves.
const DEPTH: usize = 512;
/// Entries of the table of routines by address, a power of two.
const CACHE: usize = 1 << 12;

/// A call that has not returned.
#[derive(Clone, Debug)]
struct Pending {
    /// Where its return address is.
    esp: u32,
    /// Who called, and the addresses of that routine.
    caller: NodeId,
    extent: Range<u32>,
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
    pub(super) serial: u64,
    pending: Vec<Pending>,
    pub(super) node: NodeId,
    /// Addresses of the routine that it is in.
    extent: Range<u32>,
    /// A signal waits to be seen.
    pub(super) signalled: bool,
    /// A handler has returned.
    pub(super) returned: bool,
    /// The call of the kernel that it is in, and since when.
    pub(super) call: Option<(NodeId, u64)>,
}

impl Task {
    pub(super) fn new(root: NodeId, generation: u64, map: Rc<Map>, serial: u64) -> Self {
        Self {
            generation,
            map,
            serial,
            pending: Vec::new(),
            node: root,
            extent: 0..0,
            signalled: false,
            returned: false,
            call: None,
        }
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
    pub(super) fn remap(&mut self, map: Map, serial: u64) {
        (self.map, self.serial) = (Rc::new(map), serial);
        // It is looked up again when the process goes on.
        self.extent = 0..0;
    }
}

/// Routines by address, for all processes.
#[derive(Debug)]
pub(super) struct Routines {
    /// Code without a name: the module and the address that was called.
    pub(super) unnamed: Vec<(Option<usize>, u32)>,
    numbers: HashMap<(Option<usize>, u32), u32>,
    cache: Vec<Option<Cached>>,
}

#[derive(Clone, Debug)]
struct Cached {
    serial: u64,
    eip: u32,
    routine: Routine,
    extent: Range<u32>,
    entry: bool,
}

impl Routines {
    pub(super) fn new() -> Self {
        Self { unnamed: Vec::new(), numbers: HashMap::new(), cache: vec![None; CACHE] }
    }

    /// The routine at an address, and whether it begins there.
    #[inline]
    fn at(&mut self, task: &Task, eip: u32) -> Cached {
        let slot = eip as usize & (CACHE - 1);
        match self.cache.get(slot) {
            Some(Some(found)) if found.eip == eip && found.serial == task.serial => found.clone(),
            _ => self.look_up(task, eip, slot),
        }
    }

    #[cold]
    fn look_up(&mut self, task: &Task, eip: u32, slot: usize) -> Cached {
        let (place, extent) = task.map.at(eip);
        let (routine, entry) = match place {
            Place::Named(number) => (Routine::Named(number), eip == extent.start),
            Place::Trampoline => (Routine::Trampoline, false),
            Place::Unnamed(_) | Place::Elsewhere => {
                let key = task.map.inside(eip);
                let unnamed = &mut self.unnamed;
                let number = *self.numbers.entry(key).or_insert_with(|| {
                    unnamed.push(key);
                    unnamed.len() as u32 - 1
                });
                (Routine::Unnamed(number), true)
            }
        };
        let found = Cached { serial: task.serial, eip, routine, extent, entry };
        if let Some(place) = self.cache.get_mut(slot) {
            *place = Some(found.clone());
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
        self.settle(eip, esp);
    }

    /// A signal's handler is about to run.
    pub(super) fn interrupt(&mut self, eip: u32, esp: u32) {
        let to = self.routines.at(self.task, eip);
        self.push(esp, true, &to);
        self.tree.enter(self.task.node);
    }

    /// Takes account of a transfer.
    #[inline]
    pub(super) fn transfer(&mut self, transfer: Transfer) {
        let Transfer { esp, target, kind, .. } = transfer;
        if kind == RETURN || kind == JUMP {
            return self.settle(target, esp);
        }
        // The next address is called by whoever wants to know his own.
        if kind == target {
            return;
        }
        if self.task.pending.last().is_some_and(|pending| pending.esp <= esp && !pending.signal) {
            // Whoever calls has thrown away return addresses.
            while self.task.pending.last().is_some_and(|pending| pending.esp <= esp && !pending.signal) {
                self.pop();
            }
            self.stay(kind.wrapping_sub(1));
        }
        let to = self.routines.at(self.task, target);
        self.push(esp, false, &to);
        if to.entry {
            self.tree.enter(self.task.node);
        }
    }

    fn push(&mut self, esp: u32, signal: bool, to: &Cached) {
        let task = &mut *self.task;
        if task.pending.len() < DEPTH {
            task.pending.push(Pending { esp, caller: task.node, extent: task.extent.clone(), signal });
            task.node = self.tree.child(task.node, to.routine);
        } else {
            task.node = self.tree.sibling(task.node, to.routine);
        }
        task.extent = to.extent.clone();
    }

    fn pop(&mut self) {
        if let Some(pending) = self.task.pending.pop() {
            (self.task.node, self.task.extent) = (pending.caller, pending.extent);
        }
    }

    /// Control is at an address: calls are over, and perhaps it is another routine than it was.
    #[inline]
    fn settle(&mut self, eip: u32, esp: u32) {
        while self.task.pending.last().is_some_and(|pending| pending.esp < esp) {
            self.pop();
        }
        if !self.task.extent.contains(&eip) && self.stay(eip) {
            self.tree.enter(self.task.node);
        }
    }

    /// Has the routine of an address be the one that the process is in; says whether it begins there.
    fn stay(&mut self, eip: u32) -> bool {
        if self.task.extent.contains(&eip) {
            return false;
        }
        let to = self.routines.at(self.task, eip);
        self.task.node = self.tree.sibling(self.task.node, to.routine);
        self.task.extent = to.extent;
        to.entry
    }
}
