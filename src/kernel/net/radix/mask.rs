//! Masks in their one form, and the order in which they stand.
//!
//! This file does not know what a route is.
//!
//! 2.1 counterpart: net/radix.c (rn_addmask, rn_refines, rn_lexobetter).

use super::{MAX_KEYLEN, OFFSET};
use crate::kernel::net::sockaddr::{byte, sa_len};

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

    /// The part that is compared.
    pub(super) fn part(&self) -> &[u8] {
        self.0.get(OFFSET..).unwrap_or_default()
    }

    /// Whether it is the one of the default route.
    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    /// Number of ones that it begins with.
    pub(in crate::kernel) fn index(&self) -> usize {
        let part = self.part();
        let whole = part.iter().take_while(|&&b| b == 0xff).count();
        whole * 8 + part.get(whole).map_or(0, |b| b.leading_ones() as usize)
    }

    /// Where it stands among others: its index; that of the default route is before all bits.
    pub(super) fn depth(&self) -> i64 {
        if self.is_empty() { -1 } else { self.index() as i64 }
    }

    /// Whether nothing but zeros is behind the ones (RNF_NORMAL); that of the default route does not count as such.
    pub(super) fn is_normal(&self) -> bool {
        let part = self.part();
        let ones: u32 = part.iter().map(|byte| byte.count_ones()).sum();
        !self.is_empty() && ones as usize == self.index()
    }

    /// Whether it has all ones of another one, and more (`rn_refines`).
    pub(in crate::kernel) fn refines(&self, other: &Self) -> bool {
        let (own, other) = (self.part(), other.part());
        let len = own.len().max(other.len());
        let pairs = || (0..len).map(|at| (byte(own, at), byte(other, at)));
        pairs().all(|(m, n)| n & !m == 0) && pairs().any(|(m, n)| m != n)
    }

    /// Whether it is longer than another one, or as long with any byte that is larger: no order, since of two masks each
    /// can be better than the other (`rn_lexobetter`).
    pub(super) fn lexobetter(&self, other: &Self) -> bool {
        let (own, other) = (&self.0, &other.0);
        own.len() > other.len() || (own.len() == other.len() && own.iter().zip(other).any(|(m, n)| m > n))
    }
}
