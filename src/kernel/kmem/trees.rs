//! Trees of addresses as kernel memory shows them: made of the keys when somebody looks.
//!
//! Two leaves are the tree's own, a key of zeros and one of ones; each other leaf brings the node above it that
//! tests a bit.  Keys of one value hang on each other.
//!
//! 2.1 counterpart: net/radix.c (rn_inithead, rn_newpair, rn_insert).

use syscalls::layout::{RadixNode, U32};

/// Flags of nodes (RNF_*).
const ROOT: u8 = 2;
const ACTIVE: u8 = 4;
/// Bytes of a node.
pub(super) const NODE: u32 = size_of::<RadixNode>() as u32;

/// A leaf before it has its place.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaf {
    /// The part of the key that is compared.
    pub(super) bits: Vec<u8>,
    /// Where its two nodes lie.
    pub(super) at: u32,
    /// Where its key and its mask lie.
    pub(super) key: u32,
    pub(super) mask: u32,
    /// Bits of the mask, where there is one.
    pub(super) prefix: Option<usize>,
    /// Where the leaves of the same key are, and with what masks.
    pub(super) duped: Vec<Leaf>,
}

/// What a tree is made of.
#[derive(Debug)]
pub(super) struct Tree {
    /// Where its own nodes lie: zeros, top, ones.
    pub(super) own: u32,
    /// Where keys of zeros and of ones lie.
    pub(super) zeros: u32,
    pub(super) ones: u32,
    /// Bits that are not compared.
    pub(super) offset: usize,
    /// Leaves in the order of their keys; a key of zeros is one of those that hang on the tree's own.
    pub(super) leaves: Vec<Leaf>,
}

/// A node with its address.
pub(super) type Placed = (u32, RadixNode);

impl Tree {
    /// All nodes.
    pub(super) fn nodes(mut self) -> Vec<Placed> {
        let zeros = self.leaves.iter().position(|leaf| leaf.bits.is_empty()).map(|at| self.leaves.remove(at));
        let mut first = Leaf { at: self.own, key: self.zeros, ..Leaf::default() };
        if let Some(mut zeros) = zeros {
            let duped = std::mem::take(&mut zeros.duped);
            first.duped = std::iter::once(zeros).chain(duped).collect();
        }
        let last = Leaf { bits: vec![0xff; 32], at: self.own + 2 * NODE, key: self.ones, ..Leaf::default() };
        let all: Vec<Leaf> = std::iter::once(first).chain(self.leaves.drain(..)).chain([last]).collect();
        let mut nodes = Vec::new();
        let top = self.own + NODE;
        let mut builder =
            Builder { leaves: &all, offset: self.offset, top, split: all.len(), nodes: &mut nodes };
        builder.subtree(0, all.len() - 1, top);
        nodes
    }
}

struct Builder<'a> {
    leaves: &'a [Leaf],
    offset: usize,
    top: u32,
    /// The first leaf right of the top.
    split: usize,
    nodes: &'a mut Vec<Placed>,
}

impl Builder<'_> {
    /// Adds the nodes of a range of leaves below a node; gives where its first is.
    fn subtree(&mut self, from: usize, to: usize, parent: u32) -> u32 {
        let Some(leaf) = self.leaves.get(from).filter(|_| from < to) else { return self.leaf(to, parent) };
        let last = &self.leaves[to];
        let bit = difference(&leaf.bits, &last.bits);
        let right = (from..=to).find(|&n| is_set(&self.leaves[n].bits, bit)).unwrap_or(to).max(from + 1);
        let at = if self.nodes.is_empty() && self.split == self.leaves.len() {
            self.split = right;
            self.top
        } else if right < self.split {
            // Each leaf between the tree's own brings one node: the one that splits before it, left of the
            // top; behind it, right of the top.
            self.leaves[right].at + NODE
        } else {
            self.leaves[right - 1].at + NODE
        };
        let (left, right) = (self.subtree(from, right - 1, at), self.subtree(right, to, at));
        let number = bit + self.offset;
        let node = RadixNode {
            parent: parent.into(),
            bit: (number as i16).into(),
            bmask: 0x80 >> (number & 7),
            flags: if at == self.top { ROOT | ACTIVE } else { ACTIVE },
            key_or_offset: ((number >> 3) as u32).into(),
            mask_or_left: left.into(),
            duped_or_right: right.into(),
            ..RadixNode::default()
        };
        self.nodes.push((at, node));
        at
    }

    /// Adds a leaf and those of the same key.
    fn leaf(&mut self, number: usize, parent: u32) -> u32 {
        let Some(head) = self.leaves.get(number) else { return 0 };
        let own = number == 0 || number + 1 == self.leaves.len();
        let mut above = parent;
        for (n, leaf) in std::iter::once(head).chain(&head.duped).enumerate() {
            let bit = match leaf.prefix {
                _ if own && n == 0 => -1 - self.offset as i16,
                Some(prefix) => -1 - (self.offset + prefix) as i16,
                None => -1,
            };
            let node = RadixNode {
                parent: above.into(),
                bit: bit.into(),
                flags: if own && n == 0 { ROOT | ACTIVE } else { ACTIVE },
                key_or_offset: leaf.key.into(),
                mask_or_left: leaf.mask.into(),
                duped_or_right: head.duped.get(n).map_or(U32::ZERO, |next| next.at.into()),
                ..RadixNode::default()
            };
            self.nodes.push((leaf.at, node));
            above = leaf.at;
        }
        head.at
    }
}

fn is_set(bits: &[u8], bit: usize) -> bool {
    bits.get(bit / 8).is_some_and(|byte| byte & 0x80 >> (bit % 8) != 0)
}

/// The first bit in which two keys differ.
fn difference(a: &[u8], b: &[u8]) -> usize {
    (0..a.len().max(b.len()) * 8).find(|&bit| is_set(a, bit) != is_set(b, bit)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn tree(keys: &[&[u8]]) -> BTreeMap<u32, RadixNode> {
        let leaves =
            (1..).zip(keys).map(|(n, key)| Leaf { bits: key.to_vec(), at: 1000 * n, ..Leaf::default() });
        let tree = Tree { own: 100, zeros: 1, ones: 2, offset: 32, leaves: leaves.collect() };
        let nodes = tree.nodes();
        let count = nodes.len();
        let by_address: BTreeMap<_, _> = nodes.into_iter().collect();
        assert_eq!(by_address.len(), count, "no two nodes in one place");
        by_address
    }

    /// The leaves in the order in which a walk finds them.
    fn walk(nodes: &BTreeMap<u32, RadixNode>, at: u32, found: &mut Vec<u32>) {
        let node = nodes[&at];
        if node.bit.get() >= 0 {
            walk(nodes, node.mask_or_left.get(), found);
            walk(nodes, node.duped_or_right.get(), found);
            return;
        }
        found.push(at);
        if node.duped_or_right.get() != 0 {
            walk(nodes, node.duped_or_right.get(), found);
        }
    }

    #[test]
    fn a_walk_finds_all_keys_in_order_and_bits_grow_downwards() {
        let keys: [&[u8]; 6] = [&[], &[10], &[10, 1], &[127, 0, 0, 1], &[192, 168, 7], &[224]];
        for few in 0..=keys.len() {
            let nodes = tree(&keys[..few]);
            let mut found = Vec::new();
            walk(&nodes, 124, &mut found);
            let expected: Vec<u32> =
                std::iter::once(100).chain((1..=few as u32).map(|n| 1000 * n)).chain([148]).collect();
            assert_eq!(found, expected);
            for (&at, node) in nodes.iter().filter(|(_, node)| node.bit.get() >= 0) {
                for child in [node.mask_or_left.get(), node.duped_or_right.get()] {
                    assert_eq!(nodes[&child].parent.get(), at);
                    assert!(nodes[&child].bit.get() < 0 || nodes[&child].bit > node.bit);
                }
            }
        }
    }
}
