//! Paths of calls as a tree, and what is counted of each.

use std::collections::HashMap;

/// Most paths that are told apart; what comes later is counted by routine, right below its process.
const MOST: usize = 1 << 20;
/// Calls that are remembered: a power of two.
const REMEMBERED: usize = 1 << 14;

/// A routine as a node names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Routine {
    /// A process, or all of a name: the number of the name.
    Root(u32),
    /// A routine with a name.
    Named(u32),
    /// Code without a name, by its number.
    Unnamed(u32),
    /// The trampoline of signals.
    Trampoline,
    /// A call of the kernel.
    Call(u32),
}

/// A routine, and the piece of code that it is: jumps inside of it stay in the routine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Home {
    pub(super) routine: Routine,
    pub(super) piece: u64,
}

/// The piece of code of what is none.
pub(super) const NO_PIECE: u64 = u64::MAX;

/// [`Remembered::next`] of a call of the kernel, whose number is the target.
pub(super) const KERNEL: u32 = u32::MAX - 3;

/// Number of a node.
pub(super) type NodeId = u32;

/// What calls of the kernel were.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Served {
    pub(super) count: u64,
    pub(super) errors: u64,
    /// Nanoseconds.
    pub(super) time: u64,
}

/// A call that was made before, and where it led.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Remembered {
    /// Who called.
    pub(super) caller: NodeId,
    /// The address that it returns to, or one of [`KERNEL`] and what is no call; and the address called.
    pub(super) next: u32,
    pub(super) target: u32,
    /// Number of the map of the process, from 1.
    pub(super) serial: u32,
    pub(super) child: NodeId,
    /// The routine begins there.
    pub(super) entry: bool,
    /// It returns to another routine than that of the caller.
    pub(super) odd: bool,
}

/// A path.
#[derive(Debug)]
pub(super) struct Node {
    /// Instructions of its own.
    pub(super) own: u64,
    /// How often it was entered at its beginning.
    pub(super) entries: u64,
    pub(super) parent: NodeId,
    pub(super) home: Home,
    /// Of a call of the kernel.
    pub(super) served: Served,
}

impl Node {
    fn new(parent: NodeId, home: Home) -> Self {
        Self { own: 0, entries: 0, parent, home, served: Served::default() }
    }

    fn is_root(&self) -> bool {
        matches!(self.home.routine, Routine::Root(_))
    }
}

/// All paths.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    children: HashMap<(NodeId, Routine), NodeId>,
    remembered: Vec<Remembered>,
}

/// What has no parent.
pub(super) const TOP: NodeId = 0;

impl Tree {
    pub(super) fn new() -> Self {
        let top = Home { routine: Routine::Root(u32::MAX), piece: NO_PIECE };
        Self {
            nodes: vec![Node::new(TOP, top)],
            children: HashMap::new(),
            remembered: vec![Remembered::default(); REMEMBERED],
        }
    }

    /// Where a call is remembered.
    fn place(caller: NodeId, next: u32, target: u32) -> usize {
        let spread = caller.wrapping_mul(0x9e37_79b1) ^ (next ^ target).wrapping_mul(0x85eb_ca6b);
        (spread >> 12) as usize & (REMEMBERED - 1)
    }

    /// A call that was made before from a node to an address.
    #[inline(always)]
    pub(super) fn remembered(
        &self,
        caller: NodeId,
        next: u32,
        target: u32,
        serial: u32,
    ) -> Option<Remembered> {
        let found = self.remembered.get(Self::place(caller, next, target))?;
        let same = found.caller == caller && found.next == next && found.target == target;
        (same && found.serial == serial).then_some(*found)
    }

    /// Remembers a call.
    pub(super) fn remember(&mut self, call: Remembered) {
        if let Some(place) = self.remembered.get_mut(Self::place(call.caller, call.next, call.target)) {
            *place = call;
        }
    }

    /// The node of a routine that is called from another node.
    pub(super) fn child(&mut self, of: NodeId, home: Home) -> NodeId {
        let next = self.nodes.len();
        match self.children.get(&(of, home.routine)) {
            Some(&found) => found,
            None if next >= MOST && self.root(of) != of => self.child(self.root(of), home),
            None => {
                self.children.insert((of, home.routine), next as NodeId);
                self.nodes.push(Node::new(of, home));
                next as NodeId
            }
        }
    }

    /// The node of a call of the kernel.
    pub(super) fn kernel(&mut self, of: NodeId, number: u32) -> NodeId {
        if let Some(call) = self.remembered(of, KERNEL, number, 0) {
            return call.child;
        }
        let child = self.child(of, Home { routine: Routine::Call(number), piece: NO_PIECE });
        let (next, target, serial) = (KERNEL, number, 0);
        self.remember(Remembered { caller: of, next, target, serial, child, entry: false, odd: false });
        child
    }

    /// The node of a routine that has taken another one's place.
    pub(super) fn sibling(&mut self, of: NodeId, home: Home) -> NodeId {
        // In the place of a process nothing can be.
        let parent = self.nodes.get(of as usize).filter(|node| !node.is_root()).map(|node| node.parent);
        self.child(parent.unwrap_or(of), home)
    }

    /// The root of a node.
    fn root(&self, of: NodeId) -> NodeId {
        let mut at = of;
        while let Some(node) = self.nodes.get(at as usize).filter(|node| !node.is_root()) {
            at = node.parent;
        }
        at
    }

    /// The same path below another root.
    pub(super) fn transplant(&mut self, node: NodeId, root: NodeId) -> NodeId {
        let mut path = Vec::new();
        let mut at = node;
        while let Some(node) = self.nodes.get(at as usize).filter(|node| !node.is_root()) {
            path.push(node.home);
            at = node.parent;
        }
        path.into_iter().rev().fold(root, |at, home| self.child(at, home))
    }

    #[inline(always)]
    pub(super) fn count(&mut self, node: NodeId, instructions: u64) {
        if let Some(node) = self.nodes.get_mut(node as usize) {
            node.own = node.own.wrapping_add(instructions);
        }
    }

    #[inline(always)]
    pub(super) fn enter(&mut self, node: NodeId, times: bool) {
        if let Some(node) = self.nodes.get_mut(node as usize) {
            node.entries = node.entries.wrapping_add(times.into());
        }
    }
}
