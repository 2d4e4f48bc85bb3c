//! The table of routes: keys under masks, of which a lookup finds the most specific one that matches.
//!
//! The original keeps a tree of bits.  Here the keys are in a map, in the order in which a walk through that
//! tree visits them, and a lookup asks the map once for each mask that is in use; masks need not be
//! contiguous.
//!
//! This file does not know what a route is.
//!
//! 2.1 counterpart: net/radix.c.

use std::collections::BTreeMap;

use super::sockaddr::{byte, sa_len};

/// Where the part of an address begins that is compared (`dom_rtoffset`, in bytes).
pub(in crate::kernel) const OFFSET: usize = 4;
/// Longest key (`dom_maxrtkey`).
pub(super) const MAX_KEYLEN: usize = 16;

/// A mask in its one form: its length without zeros at the end, ones before the part that is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask(Vec<u8>);

impl Mask {
    /// The one form of a mask.
    pub fn new(given: &[u8]) -> Self {
        let len = sa_len(given).min(MAX_KEYLEN);
        let mut bytes: Vec<u8> =
            (0..len).map(|at| if at < OFFSET { 0xff } else { byte(given, at) }).collect();
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        if bytes.len() <= OFFSET {
            return Self(vec![0]);
        }
        bytes[0] = bytes.len() as u8;
        Self(bytes)
    }

    /// The mask as an address.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn part(&self) -> &[u8] {
        self.0.get(OFFSET..).unwrap_or_default()
    }

    /// Number of ones that it begins with.
    pub(in crate::kernel) fn index(&self) -> usize {
        let part = self.part();
        let whole = part.iter().take_while(|&&b| b == 0xff).count();
        whole * 8 + part.get(whole).map_or(0, |b| b.leading_ones() as usize)
    }

    /// Whether it has all ones of another one, and more (`rn_refines`).
    pub fn refines(&self, other: &Self) -> bool {
        let (own, other) = (self.part(), other.part());
        let len = own.len().max(other.len());
        let pairs = || (0..len).map(|at| (byte(own, at), byte(other, at)));
        pairs().all(|(m, n)| n & !m == 0) && pairs().any(|(m, n)| m != n)
    }

    /// Whether it comes before another one in a list of masks (the tests of `rn_addroute`).
    fn before(&self, other: &Self) -> bool {
        self.index() > other.index() || self.refines(other) || self.0 > other.0
    }
}

/// The part of an address that is compared, without zeros at the end.
fn key_of(sa: &[u8]) -> Vec<u8> {
    let mut key: Vec<u8> = (OFFSET..sa_len(sa)).map(|at| byte(sa, at)).collect();
    while key.last() == Some(&0) {
        key.pop();
    }
    key
}

fn under(key: &[u8], mask: &Mask) -> Vec<u8> {
    let mut key: Vec<u8> = key.iter().zip(mask.part()).map(|(k, m)| k & m).collect();
    while key.last() == Some(&0) {
        key.pop();
    }
    key
}

/// One route of a key: the mask, which a route to a host has not.
pub(in crate::kernel) type Leaf<T> = (Option<Mask>, T);

/// A table (`struct radix_node_head`).
#[derive(Clone, Debug)]
pub struct Head<T> {
    /// By key; those of one key from the most to the least specific.
    leaves: BTreeMap<Vec<u8>, Vec<Leaf<T>>>,
    /// Masks in use, from the most to the least specific, with the number of their routes.
    masks: Vec<(Mask, usize)>,
    /// Masks that were ever in use: others are not even looked for.
    known: Vec<Mask>,
}

impl<T> Default for Head<T> {
    fn default() -> Self {
        Self { leaves: BTreeMap::new(), masks: Vec::new(), known: Vec::new() }
    }
}

impl<T: Copy + PartialEq> Head<T> {
    /// Notes a mask (`rn_addmask`).
    pub fn add_mask(&mut self, mask: &Mask) {
        if !self.known.contains(mask) {
            self.known.push(mask.clone());
        }
    }

    /// The most specific match (`rn_match`).
    pub fn lookup(&self, sa: &[u8]) -> Option<T> {
        let key = key_of(sa);
        if let Some((_, route)) = self.leaves.get(&key).and_then(|leaves| leaves.first()) {
            return Some(*route);
        }
        self.masks.iter().find_map(|(mask, _)| {
            let leaves = self.leaves.get(&under(&key, mask))?;
            leaves.iter().find(|(other, _)| other.as_ref() == Some(mask)).map(|(_, route)| *route)
        })
    }

    /// The most specific match, or with a mask the one of its key that has this mask (`rn_lookup`).
    pub fn lookup_masked(&self, sa: &[u8], mask: Option<&Mask>) -> Option<T> {
        let found = self.lookup(sa)?;
        let Some(mask) = mask else { return Some(found) };
        if !self.known.contains(mask) && mask.0.len() > 1 {
            return None;
        }
        let leaves = self.leaves.values().find(|leaves| leaves.iter().any(|(_, route)| *route == found))?;
        let from = leaves.iter().position(|(_, route)| *route == found)?;
        leaves[from..].iter().find(|(other, _)| other.as_ref() == Some(mask)).map(|(_, route)| *route)
    }

    /// Adds a route; false if there is one with this key and mask (`rn_addroute`).
    pub fn add(&mut self, key: &[u8], mask: Option<Mask>, route: T) -> bool {
        if let Some(mask) = &mask {
            self.add_mask(mask);
        }
        let leaves = self.leaves.entry(key_of(key)).or_default();
        if leaves.iter().any(|(other, _)| *other == mask) {
            return false;
        }
        let place = leaves.iter().position(|(other, _)| match (&mask, other) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(mask), Some(other)) => mask.before(other),
        });
        leaves.insert(place.unwrap_or(leaves.len()), (mask.clone(), route));
        if let Some(mask) = mask {
            self.count_mask(mask);
        }
        true
    }

    fn count_mask(&mut self, mask: Mask) {
        if let Some((_, count)) = self.masks.iter_mut().find(|(other, _)| *other == mask) {
            *count += 1;
            return;
        }
        let place = self.masks.iter().position(|(other, _)| mask.before(other));
        self.masks.insert(place.unwrap_or(self.masks.len()), (mask, 1));
    }

    /// Takes a route out (`rn_delete`).  Without a mask it is the first one of its key.
    pub fn delete(&mut self, sa: &[u8], mask: Option<&Mask>) -> Option<T> {
        let key = key_of(sa);
        let leaves = self.leaves.get_mut(&key)?;
        let place = match mask {
            None => 0,
            Some(mask) => leaves.iter().position(|(other, _)| other.as_ref() == Some(mask))?,
        };
        let (mask, route) = leaves.remove(place);
        if leaves.is_empty() {
            self.leaves.remove(&key);
        }
        if let Some(place) = mask.and_then(|mask| self.masks.iter().position(|(other, _)| *other == mask)) {
            self.masks[place].1 -= 1;
            if self.masks[place].1 == 0 {
                self.masks.remove(place);
            }
        }
        Some(route)
    }

    /// The routes of each key, with the part of it that is compared, in the order of a walk.
    pub(in crate::kernel) fn by_key(&self) -> impl Iterator<Item = (&[u8], &[Leaf<T>])> {
        self.leaves.iter().map(|(key, leaves)| (&key[..], &leaves[..]))
    }

    /// Masks that were ever in use.
    pub(in crate::kernel) fn masks(&self) -> &[Mask] {
        &self.known
    }

    /// All routes in the order of a walk (`rn_walktree`).
    pub fn walk(&self) -> Vec<T> {
        self.leaves.values().flatten().map(|(_, route)| *route).collect()
    }
}

/// Whether a key lies under the key and mask of another route.
pub fn lies_under(key: &[u8], other: &[u8], mask: &Mask) -> bool {
    let len = sa_len(other).min(sa_len(key));
    (OFFSET..len).all(|at| byte(key, at) & byte(mask.bytes(), at) == byte(other, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sin(addr: [u8; 4]) -> Vec<u8> {
        let [a, b, c, d] = addr;
        vec![16, 2, 0, 0, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0]
    }

    fn mask(addr: [u8; 4]) -> Option<Mask> {
        Some(Mask::new(&sin(addr)))
    }

    #[test]
    fn masks_are_as_short_as_they_can_be() {
        assert_eq!(Mask::new(&sin([255, 0, 0, 0])).bytes(), [5, 255, 255, 255, 255]);
        assert_eq!(Mask::new(&sin([0, 0, 0, 0])).bytes(), [0]);
        assert_eq!(Mask::new(&[5, 9, 9, 9, 255, 255]), Mask::new(&sin([255, 0, 0, 0])));
    }

    #[test]
    fn the_most_specific_route_is_found() {
        let mut table = Head::default();
        assert!(table.add(&sin([0, 0, 0, 0]), mask([0, 0, 0, 0]), 1));
        assert!(table.add(&sin([10, 0, 0, 0]), mask([255, 0, 0, 0]), 2));
        assert!(table.add(&sin([10, 1, 0, 0]), mask([255, 255, 0, 0]), 3));
        assert!(table.add(&sin([10, 0, 0, 0]), mask([255, 255, 0, 0]), 4));
        assert!(table.add(&sin([10, 1, 2, 3]), None, 5));
        assert!(!table.add(&sin([10, 1, 2, 3]), None, 6));
        let find = |table: &Head<i32>, addr| table.lookup(&sin(addr));
        assert_eq!(find(&table, [10, 1, 2, 3]), Some(5));
        assert_eq!(find(&table, [10, 1, 2, 4]), Some(3));
        assert_eq!(find(&table, [10, 0, 2, 4]), Some(4));
        assert_eq!(find(&table, [10, 9, 2, 4]), Some(2));
        assert_eq!(find(&table, [11, 9, 2, 4]), Some(1));
        assert_eq!(table.walk(), [1, 4, 2, 3, 5]);
        assert_eq!(table.lookup_masked(&sin([10, 0, 0, 0]), mask([255, 0, 0, 0]).as_ref()), Some(2));
        assert_eq!(table.lookup_masked(&sin([10, 0, 0, 0]), mask([255, 255, 255, 0]).as_ref()), None);
        assert_eq!(table.delete(&sin([10, 1, 0, 0]), mask([255, 255, 0, 0]).as_ref()), Some(3));
        assert_eq!(find(&table, [10, 1, 2, 4]), Some(2));
        assert_eq!(table.delete(&sin([10, 7, 0, 0]), None), None);
    }

    #[test]
    fn a_mask_may_have_holes() {
        let mut table = Head::default();
        table.add(&sin([10, 0, 3, 0]), mask([255, 0, 255, 0]), 1);
        table.add(&sin([10, 0, 0, 0]), mask([255, 0, 0, 0]), 2);
        assert_eq!(table.lookup(&sin([10, 7, 3, 9])), Some(1));
        assert_eq!(table.lookup(&sin([10, 7, 4, 9])), Some(2));
    }
}
