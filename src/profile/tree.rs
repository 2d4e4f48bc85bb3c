//! Paths of calls as a tree, and what is counted of each.

use std::collections::HashMap;

/// Most paths that are told apart; what comes later is counted by routine, right below its process.
const MOST: usize = 1 << 20;
/// Calls that a node remembers.
const REMEMBERED: usize = 4;

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
    /// The address that it returns to, and the address called.
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
    /// Calls from here, by the addresses that they return to.
    remembered: [Remembered; REMEMBERED],
    pub(super) parent: NodeId,
    pub(super) home: Home,
    /// Of a call of the kernel.
    pub(super) served: Served,
}

impl Node {
    fn new(parent: NodeId, home: Home) -> Self {
        Self { own: 0, entries: 0, remembered: Default::default(), parent, home, served: Served::default() }
    }

    /// Where a call is remembered that returns to an address.
    #[inline(always)]
    pub(super) fn remembered(&self, next: u32) -> &Remembered {
        &self.remembered[(next >> 1 ^ next >> 4) as usize & (REMEMBERED - 1)]
    }

    /// Remembers a call.
    pub(super) fn remember(&mut self, call: Remembered) {
        self.remembered[(call.next >> 1 ^ call.next >> 4) as usize & (REMEMBERED - 1)] = call;
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
}

/// What has no parent.
pub(super) const TOP: NodeId = 0;

impl Tree {
    pub(super) fn new() -> Self {
        let top = Home { routine: Routine::Root(u32::MAX), piece: NO_PIECE };
        Self { nodes: vec![Node::new(TOP, top)], children: HashMap::new() }
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
