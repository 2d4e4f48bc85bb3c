//! Paths of calls as a tree, and what is counted of each.

use std::collections::HashMap;

/// Most paths that are told apart; what comes later is counted by routine, right below its process.
const MOST: usize = 1 << 20;

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

/// A path.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) parent: NodeId,
    pub(super) routine: Routine,
    /// Instructions of its own.
    pub(super) own: u64,
    /// How often it was entered at its beginning.
    pub(super) entries: u64,
    /// Of a call of the kernel.
    pub(super) served: Served,
    /// The child that was last asked for.
    last: (Routine, NodeId),
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
        let top = Routine::Root(u32::MAX);
        let node = Node {
            parent: TOP,
            routine: top,
            own: 0,
            entries: 0,
            served: Served::default(),
            last: (top, TOP),
        };
        Self { nodes: vec![node], children: HashMap::new() }
    }

    /// The node of a routine that is called from another node.
    #[inline]
    pub(super) fn child(&mut self, of: NodeId, routine: Routine) -> NodeId {
        match self.nodes.get(of as usize) {
            Some(node) if node.last.0 == routine => node.last.1,
            _ => self.find(of, routine),
        }
    }

    /// The node of a routine that has taken another one's place.
    pub(super) fn sibling(&mut self, of: NodeId, routine: Routine) -> NodeId {
        let parent = self.nodes.get(of as usize).map_or(TOP, |node| node.parent);
        // In the place of a process's name nothing can be.
        let is_root = self.nodes.get(of as usize).is_none_or(|node| matches!(node.routine, Routine::Root(_)));
        self.child(if is_root { of } else { parent }, routine)
    }

    fn find(&mut self, of: NodeId, routine: Routine) -> NodeId {
        let next = self.nodes.len();
        let found = match self.children.get(&(of, routine)) {
            Some(&found) => found,
            None if next >= MOST && self.root(of) != of => return self.child(self.root(of), routine),
            None => {
                self.children.insert((of, routine), next as NodeId);
                self.nodes.push(Node {
                    parent: of,
                    routine,
                    own: 0,
                    entries: 0,
                    served: Served::default(),
                    last: (Routine::Root(u32::MAX), TOP),
                });
                next as NodeId
            }
        };
        if let Some(node) = self.nodes.get_mut(of as usize) {
            node.last = (routine, found);
        }
        found
    }

    /// The root of a node.
    fn root(&self, of: NodeId) -> NodeId {
        let mut at = of;
        while let Some(node) = self.nodes.get(at as usize)
            && !matches!(node.routine, Routine::Root(_))
        {
            at = node.parent;
        }
        at
    }

    /// The same path below another root.
    pub(super) fn transplant(&mut self, node: NodeId, root: NodeId) -> NodeId {
        let mut path = Vec::new();
        let mut at = node;
        while let Some(node) = self.nodes.get(at as usize)
            && !matches!(node.routine, Routine::Root(_))
        {
            path.push(node.routine);
            at = node.parent;
        }
        path.into_iter().rev().fold(root, |at, routine| self.child(at, routine))
    }

    #[inline]
    pub(super) fn count(&mut self, node: NodeId, instructions: u64) {
        if let Some(node) = self.nodes.get_mut(node as usize) {
            node.own = node.own.wrapping_add(instructions);
        }
    }

    #[inline]
    pub(super) fn enter(&mut self, node: NodeId) {
        if let Some(node) = self.nodes.get_mut(node as usize) {
            node.entries = node.entries.wrapping_add(1);
        }
    }
}
