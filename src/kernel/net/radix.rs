//! The table of routes: keys under masks, of which a lookup finds the most specific one that matches.
//!
//! A tree of bits: a branch tests one bit, and all keys below it agree in those before; a branch that would have
//! one way only is not there.  At its ends are the keys, each with the routes of its masks from the most to the
//! least specific.  A mask whose ones end at or before the bit of a branch holds for every key below that branch,
//! whatever the key: it stands in the list of the highest such branch, and who finds no match at the end of the
//! tree looks at these lists on the way back up.
//!
//! Two keys are the tree's own and never leave it: one of zeros, where the default route hangs, and one of ones.
//!
//! Masks need not be contiguous.  Then the first match is not always the one with most ones, and two masks of which
//! each is "better" than the other stand as they came: both as in the original.
//!
//! This file does not know what a route is.
//!
//! 2.1 counterpart: net/radix.c.

mod mask;
#[cfg(test)]
mod tests;

pub use mask::Mask;

use std::collections::BTreeMap;

use super::sockaddr::{byte, sa_len};
use crate::kernel::arena::{Arena, Id};

/// Where the part of an address begins that is compared (`dom_rtoffset`, in bytes).
pub(in crate::kernel) const OFFSET: usize = 4;
/// Longest key (`dom_maxrtkey`).
pub(super) const MAX_KEYLEN: usize = 16;

/// The part of an address that is compared, without zeros at the end.
fn key_of(sa: &[u8]) -> Vec<u8> {
    let mut key: Vec<u8> = (OFFSET..sa_len(sa)).map(|at| byte(sa, at)).collect();
    while key.last() == Some(&0) {
        key.pop();
    }
    key
}

fn is_set(bits: &[u8], bit: usize) -> bool {
    byte(bits, bit / 8) & 0x80 >> (bit % 8) != 0
}

/// The first bit in which two keys differ, if there is one in so many bytes.
fn difference(a: &[u8], b: &[u8], bytes: usize) -> Option<usize> {
    let at = (0..a.len().max(b.len()).min(bytes)).find(|&at| byte(a, at) != byte(b, at))?;
    Some(at * 8 + (byte(a, at) ^ byte(b, at)).leading_zeros() as usize)
}

/// One route of a key.
#[derive(Clone, Debug)]
pub(in crate::kernel) struct Leaf<T> {
    /// Its mask, which a route to a host has not.
    pub(in crate::kernel) mask: Option<Mask>,
    /// What the table is for.
    pub(in crate::kernel) route: T,
    /// Its entry in the list of a branch (`rn_mklist`).
    entry: Option<u64>,
}

/// A key and its routes (a chain of `rn_dupedkey`).
#[derive(Clone, Debug)]
struct Key<T> {
    bits: Vec<u8>,
    /// It is the tree's (RNF_ROOT), and stands before its routes as one without a mask.
    own: bool,
    parent: Id<Branch<T>>,
    leaves: Vec<Leaf<T>>,
}

/// A place that tests a bit (an internal `struct radix_node`).
#[derive(Clone, Debug)]
struct Branch<T> {
    bit: usize,
    /// None for the top.
    parent: Option<Id<Branch<T>>>,
    /// Where zeros go, and ones.
    below: [Node<T>; 2],
    /// Masks that hold for all below, from the most to the least specific (`rn_mklist`).
    list: Vec<Entry<T>>,
}

/// A mask in the list of a branch (`struct radix_mask`).
#[derive(Clone, Debug)]
struct Entry<T> {
    number: u64,
    mask: Mask,
    /// The one key that has it, where it is contiguous (`rm_leaf`).
    key: Option<Id<Key<T>>>,
}

#[derive(Debug)]
enum Node<T> {
    Branch(Id<Branch<T>>),
    Key(Id<Key<T>>),
}

impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Node<T> {}

impl<T> PartialEq for Node<T> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Branch(a), Self::Branch(b)) => a == b,
            (Self::Key(a), Self::Key(b)) => a == b,
            _ => false,
        }
    }
}

/// A table (`struct radix_node_head`).
#[derive(Clone, Debug)]
pub struct Head<T> {
    branches: Arena<Branch<T>>,
    keys: Arena<Key<T>>,
    top: Id<Branch<T>>,
    /// Entries that were ever made, and those that several routes have: by how many more than one (`rm_refs`).
    entries: u64,
    shared: BTreeMap<u64, u32>,
    /// Masks that were ever in use: others are not even looked for.
    known: Vec<Mask>,
}

impl<T> Default for Head<T> {
    /// A table with the two keys that are its own (`rn_inithead`).
    fn default() -> Self {
        let (mut branches, mut keys) = (Arena::default(), Arena::default());
        let top = branches.insert_with(|top| {
            let mut own =
                |bits| Node::Key(keys.insert(Key { bits, own: true, parent: top, leaves: Vec::new() }));
            let below = [own(Vec::new()), own(vec![0xff; MAX_KEYLEN - OFFSET])];
            Branch { bit: 0, parent: None, below, list: Vec::new() }
        });
        Self { branches, keys, top, entries: 0, shared: BTreeMap::new(), known: Vec::new() }
    }
}

impl<T: Copy + PartialEq> Head<T> {
    /// Notes a mask (`rn_addmask`).
    pub fn add_mask(&mut self, mask: &Mask) {
        if !self.known.contains(mask) {
            self.known.push(mask.clone());
        }
    }

    /// The key at the end of the way that the bits lead (`rn_search`); bits that a mask has not count as zeros
    /// (`rn_search_m`).
    fn search(&self, mut node: Node<T>, bits: &[u8], mask: Option<&Mask>) -> Id<Key<T>> {
        loop {
            let branch = match node {
                Node::Key(key) => return key,
                Node::Branch(branch) => &self.branches[branch],
            };
            let one = is_set(bits, branch.bit) && mask.is_none_or(|mask| is_set(mask.part(), branch.bit));
            node = branch.below[usize::from(one)];
        }
    }

    /// The most specific match (`rn_match`).
    pub fn lookup(&self, sa: &[u8]) -> Option<T> {
        self.matched(sa).map(|(key, place)| self.keys[key].leaves[place].route)
    }

    /// Whether the bits are those of a key as far as a mask goes (`rn_satsifies_leaf`).
    fn satisfies(bits: &[u8], key: &Key<T>, mask: &Mask) -> bool {
        let under = mask.part().iter().enumerate();
        under.fold(0, |all, (at, mask)| all | (byte(bits, at) ^ byte(&key.bits, at)) & mask) == 0
    }

    fn matched(&self, sa: &[u8]) -> Option<(Id<Key<T>>, usize)> {
        let bits = key_of(sa);
        let id = self.search(Node::Branch(self.top), &bits, None);
        let key = &self.keys[id];
        let first = key.leaves.first().filter(|_| !key.own).and_then(|leaf| leaf.mask.as_ref());
        let compared = first.map_or(usize::MAX, |mask| mask.part().len());
        let Some(bit) = difference(&bits, &key.bits, compared) else {
            return (!key.leaves.is_empty()).then_some((id, 0));
        };
        let bit = bit as i64;
        // A network that the way led to matches as it is, whatever else may match better.
        let matches = |leaf: &Leaf<T>| match &leaf.mask {
            None => false,
            Some(mask) if mask.is_normal() => bit >= mask.depth(),
            Some(mask) => Self::satisfies(&bits, key, mask),
        };
        if let Some(place) = key.leaves.iter().position(matches) {
            return Some((id, place));
        }
        let mut above = Some(key.parent);
        while let Some(branch) = above {
            let list = &self.branches[branch].list;
            if let Some(found) = list.iter().find_map(|entry| self.listed(branch, entry, &bits, bit)) {
                return Some(found);
            }
            above = self.branches[branch].parent;
        }
        None
    }

    /// The route of an entry in the list of a branch, where it matches.
    fn listed(
        &self,
        branch: Id<Branch<T>>,
        entry: &Entry<T>,
        bits: &[u8],
        bit: i64,
    ) -> Option<(Id<Key<T>>, usize)> {
        if let Some(key) = entry.key {
            let own = |leaf: &Leaf<T>| leaf.entry == Some(entry.number);
            return Some((key, self.keys[key].leaves.iter().position(own)?))
                .filter(|_| bit >= entry.mask.depth());
        }
        let id = self.search(Node::Branch(branch), bits, Some(&entry.mask));
        let key = &self.keys[id];
        let place = key.leaves.iter().position(|leaf| leaf.mask.as_ref() == Some(&entry.mask))?;
        Self::satisfies(bits, key, &entry.mask).then_some((id, place))
    }

    /// The most specific match, or with a mask the one of its key that has this mask (`rn_lookup`).
    pub fn lookup_masked(&self, sa: &[u8], mask: Option<&Mask>) -> Option<T> {
        let (key, from) = self.matched(sa)?;
        let leaves = &self.keys[key].leaves[from..];
        match mask {
            None => leaves.first(),
            Some(mask) if !self.known.contains(mask) && !mask.is_empty() => None,
            Some(mask) => leaves.iter().find(|leaf| leaf.mask.as_ref() == Some(mask)),
        }
        .map(|leaf| leaf.route)
    }

    /// Adds a route; false if there is one with this key and mask (`rn_addroute`).
    pub fn add(&mut self, key: &[u8], mask: Option<Mask>, route: T) -> bool {
        if let Some(mask) = &mask {
            self.add_mask(mask);
        }
        let bits = key_of(key);
        let found = self.search(Node::Branch(self.top), &bits, None);
        let leaf = Leaf { mask, route, entry: None };
        let (key, place) = match difference(&bits, &self.keys[found].bits, usize::MAX) {
            None => {
                let Some(place) = Self::place(&self.keys[found], leaf.mask.as_ref()) else { return false };
                self.keys[found].leaves.insert(place, leaf);
                (found, place)
            }
            Some(bit) => (self.insert(bits, bit, leaf), 0),
        };
        self.enter(key, place);
        true
    }

    /// Where a mask comes among those of a key; none if it is met on the way there.
    fn place(key: &Key<T>, mask: Option<&Mask>) -> Option<usize> {
        if key.own && mask.is_none() {
            return None;
        }
        for (place, leaf) in key.leaves.iter().enumerate() {
            if leaf.mask.as_ref() == mask {
                return None;
            }
            let before = match (mask, &leaf.mask) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(mask), Some(other)) => {
                    mask.depth() > other.depth() || mask.refines(other) || mask.lexobetter(other)
                }
            };
            if before {
                return Some(place);
            }
        }
        Some(key.leaves.len())
    }

    /// Adds a key, which differs from that at the end of its way in this bit first (`rn_insert`).
    fn insert(&mut self, bits: Vec<u8>, bit: usize, leaf: Leaf<T>) -> Id<Key<T>> {
        let (mut above, mut below) = (self.top, Node::Branch(self.top));
        while let Node::Branch(branch) = below
            && self.branches[branch].bit < bit
        {
            (above, below) =
                (branch, self.branches[branch].below[usize::from(is_set(&bits, self.branches[branch].bit))]);
        }
        let one = is_set(&bits, bit);
        let key = self.keys.insert(Key { bits, own: false, parent: above, leaves: vec![leaf] });
        let ends = if one { [below, Node::Key(key)] } else { [Node::Key(key), below] };
        let branch = self.branches.insert(Branch { bit, parent: Some(above), below: ends, list: Vec::new() });
        self.keys[key].parent = branch;
        self.replace(above, below, Node::Branch(branch));
        self.set_parent(below, branch);
        self.promote(below, branch);
        key
    }

    fn replace(&mut self, branch: Id<Branch<T>>, old: Node<T>, new: Node<T>) {
        if let Some(below) = self.branches[branch].below.iter_mut().find(|below| **below == old) {
            *below = new;
        }
    }

    fn set_parent(&mut self, node: Node<T>, parent: Id<Branch<T>>) {
        match node {
            Node::Branch(branch) => self.branches[branch].parent = Some(parent),
            Node::Key(key) => self.keys[key].parent = parent,
        }
    }

    /// Lists masks at a new branch that hold for all below it.
    fn promote(&mut self, below: Node<T>, branch: Id<Branch<T>>) {
        let bit = self.branches[branch].bit as i64;
        let list = match below {
            Node::Branch(below) => {
                let list = &mut self.branches[below].list;
                let from = list.iter().position(|entry| entry.mask.depth() <= bit);
                list.split_off(from.unwrap_or(list.len()))
            }
            Node::Key(id) => {
                let mut list = Vec::new();
                for leaf in self.keys[id].leaves.iter_mut().filter(|leaf| leaf.entry.is_none()) {
                    let general = leaf.mask.as_ref().filter(|mask| mask.depth() <= bit);
                    list.extend(general.map(|mask| Entry::new(&mut self.entries, mask, id)));
                    leaf.entry = general.and(list.last()).map(|entry| entry.number);
                }
                list
            }
        };
        self.branches[branch].list = list;
    }

    /// The highest branch below which a mask of a key holds for all; none if it does for the key alone.
    fn highest(&self, key: Id<Key<T>>, mask: &Mask) -> Option<Id<Branch<T>>> {
        let holds = |branch: &Id<Branch<T>>| mask.depth() <= self.branches[*branch].bit as i64;
        let mut found = Some(self.keys[key].parent).filter(holds)?;
        while let Some(parent) = self.branches[found].parent.filter(holds) {
            found = parent;
        }
        Some(found)
    }

    /// Lists the mask of a route where it holds for all.
    fn enter(&mut self, key: Id<Key<T>>, place: usize) {
        let Some(mask) = self.keys[key].leaves[place].mask.clone() else { return };
        let Some(branch) = self.highest(key, &mask) else { return };
        let list = &mut self.branches[branch].list;
        let mut at = 0;
        while let Some(entry) = list.get_mut(at) {
            if mask.depth() > entry.mask.depth() {
                break;
            }
            if mask.depth() == entry.mask.depth() {
                if entry.key.is_some() && mask.is_normal() {
                    // Two routes of one network: a lookup finds the first.
                    return;
                }
                if entry.mask == mask {
                    *self.shared.entry(entry.number).or_default() += 1;
                    self.keys[key].leaves[place].entry = Some(entry.number);
                    return;
                }
                if mask.refines(&entry.mask) || mask.lexobetter(&entry.mask) {
                    break;
                }
            }
            at += 1;
        }
        let entry = Entry::new(&mut self.entries, &mask, key);
        self.keys[key].leaves[place].entry = Some(entry.number);
        list.insert(at, entry);
    }

    /// Takes a route out (`rn_delete`).  Without a mask it is the first one of its key, and none of a key that is the
    /// tree's own.
    pub fn delete(&mut self, sa: &[u8], mask: Option<&Mask>) -> Option<T> {
        let bits = key_of(sa);
        let id = self.search(Node::Branch(self.top), &bits, None);
        let key = &self.keys[id];
        if difference(&bits, &key.bits, usize::MAX).is_some() {
            return None;
        }
        let place = match mask {
            None if key.own => return None,
            None => 0,
            Some(mask) => key.leaves.iter().position(|leaf| leaf.mask.as_ref() == Some(mask))?,
        };
        if !self.leave(id, place) {
            return None;
        }
        let route = self.keys[id].leaves.remove(place).route;
        if self.keys[id].leaves.is_empty() && !self.keys[id].own {
            self.remove(id);
        }
        Some(route)
    }

    /// Takes the mask of a route out of the list where it stands.  A contiguous one that stands elsewhere, where masks
    /// that are not contiguous have brought the order into disorder, keeps its route in the table: false.
    fn leave(&mut self, id: Id<Key<T>>, place: usize) -> bool {
        let leaf = &self.keys[id].leaves[place];
        let (Some(mask), Some(number)) = (&leaf.mask, leaf.entry) else { return true };
        let contiguous = mask.is_normal();
        if contiguous || !self.is_shared(number) {
            let Some(branch) = self.highest(id, mask) else { return true };
            let list = &mut self.branches[branch].list;
            match list.iter().position(|entry| entry.number == number) {
                Some(at) => drop(list.remove(at)),
                None => return !contiguous,
            }
        } else {
            self.unshare(number);
        }
        true
    }

    fn is_shared(&self, number: u64) -> bool {
        self.shared.contains_key(&number)
    }

    /// One route less has an entry.
    fn unshare(&mut self, number: u64) {
        if let Some(others) = self.shared.get_mut(&number) {
            *others -= 1;
            if *others == 0 {
                self.shared.remove(&number);
            }
        }
    }

    /// Takes a key out that has no routes any more, with the branch above it.
    fn remove(&mut self, id: Id<Key<T>>) {
        let Some(key) = self.keys.remove(id) else { return };
        // The top never goes: both ways from it lead to keys of its own.
        let Some(Branch { parent: Some(parent), below, mut list, .. }) = self.branches.remove(key.parent)
        else {
            return;
        };
        let other = if below[0] == Node::Key(id) { below[1] } else { below[0] };
        self.replace(parent, Node::Branch(key.parent), other);
        self.set_parent(other, parent);
        let mut freed = Vec::new();
        match other {
            Node::Branch(branch) => self.branches[branch].list.append(&mut list),
            Node::Key(key) => {
                // What is listed here is of this key: its routes are found without lists.
                let mut entries = list.into_iter().peekable();
                for leaf in &mut self.keys[key].leaves {
                    if leaf.entry.is_some() && leaf.entry == entries.peek().map(|entry| entry.number) {
                        freed.extend(leaf.entry.take());
                        entries.next();
                    }
                }
            }
        }
        freed.into_iter().for_each(|number| self.unshare(number));
    }

    /// The routes of each key, with the part of it that is compared, in the order of a walk.
    pub(in crate::kernel) fn by_key(&self) -> Vec<(&[u8], &[Leaf<T>])> {
        let mut found = Vec::new();
        let mut rest = vec![Node::Branch(self.top)];
        while let Some(node) = rest.pop() {
            match node {
                Node::Branch(branch) => rest.extend(self.branches[branch].below.iter().rev()),
                Node::Key(key) => {
                    let key = &self.keys[key];
                    found.extend((!key.leaves.is_empty()).then_some((&key.bits[..], &key.leaves[..])));
                }
            }
        }
        found
    }

    /// Masks that were ever in use.
    pub(in crate::kernel) fn masks(&self) -> &[Mask] {
        &self.known
    }

    /// All routes in the order of a walk (`rn_walktree`).
    pub fn walk(&self) -> Vec<T> {
        self.by_key().into_iter().flat_map(|(_, leaves)| leaves).map(|leaf| leaf.route).collect()
    }
}

impl<T> Entry<T> {
    /// One more entry (`rn_new_radix_mask`).
    fn new(entries: &mut u64, mask: &Mask, key: Id<Key<T>>) -> Self {
        *entries += 1;
        Self { number: *entries, mask: mask.clone(), key: mask.is_normal().then_some(key) }
    }
}

/// Whether a key lies under the key and mask of another route.
pub fn lies_under(key: &[u8], other: &[u8], mask: &Mask) -> bool {
    let len = sa_len(other).min(sa_len(key));
    (OFFSET..len).all(|at| byte(key, at) & byte(mask.bytes(), at) == byte(other, at))
}
