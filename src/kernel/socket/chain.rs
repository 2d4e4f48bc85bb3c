//! Chains of mbufs: a packet on its way, or one record of a socket buffer.
//!
//! Most chains hold one mbuf, and those cost no memory of their own.
//!
//! This file does not know sockets.
//!
//! 2.1 counterpart: `m_next` of struct mbuf (sys/mbuf.h).

use std::collections::{VecDeque, vec_deque};
use std::iter::Chain as Both;
use std::option;

use super::mbuf::Mbuf;

/// Mbufs that belong together (`m_next`).
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// The first one; without it there are no others.
    first: Option<Mbuf>,
    others: VecDeque<Mbuf>,
}

impl Chain {
    /// No mbuf.
    pub const fn new() -> Self {
        Self { first: None, others: VecDeque::new() }
    }

    /// Number of mbufs.
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }

    /// Whether there is no mbuf.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Number of bytes; what `m_pkthdr.len` holds for a packet.
    pub fn bytes(&self) -> usize {
        self.iter().map(|m| m.len()).sum()
    }

    /// The first mbuf.
    pub fn front(&self) -> Option<&Mbuf> {
        self.first.as_ref()
    }

    /// The first mbuf, to change it.
    pub fn front_mut(&mut self) -> Option<&mut Mbuf> {
        self.first.as_mut()
    }

    /// The last mbuf, to change it.
    pub fn back_mut(&mut self) -> Option<&mut Mbuf> {
        self.others.back_mut().or(self.first.as_mut())
    }

    /// The mbuf behind `index` others.
    pub fn get(&self, index: usize) -> Option<&Mbuf> {
        match index.checked_sub(1) {
            None => self.first.as_ref(),
            Some(index) => self.others.get(index),
        }
    }

    /// The mbuf behind `index` others, to change it.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut Mbuf> {
        match index.checked_sub(1) {
            None => self.first.as_mut(),
            Some(index) => self.others.get_mut(index),
        }
    }

    /// Adds an mbuf behind all others.
    pub fn push_back(&mut self, m: Mbuf) {
        if self.first.is_none() {
            self.first = Some(m);
        } else {
            self.others.push_back(m);
        }
    }

    /// Adds an mbuf before all others.
    pub fn push_front(&mut self, m: Mbuf) {
        if let Some(second) = self.first.replace(m) {
            self.others.push_front(second);
        }
    }

    /// Takes the first mbuf off.
    pub fn pop_front(&mut self) -> Option<Mbuf> {
        let next = self.others.pop_front();
        std::mem::replace(&mut self.first, next)
    }

    /// The last mbuf.
    pub fn back(&self) -> Option<&Mbuf> {
        self.others.back().or(self.first.as_ref())
    }

    /// All mbufs in their order, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Mbuf> {
        self.first.iter_mut().chain(&mut self.others)
    }

    /// All mbufs in their order.
    pub fn iter(&self) -> Both<option::Iter<'_, Mbuf>, vec_deque::Iter<'_, Mbuf>> {
        self.first.iter().chain(&self.others)
    }
}

impl IntoIterator for Chain {
    type Item = Mbuf;
    type IntoIter = Both<option::IntoIter<Mbuf>, vec_deque::IntoIter<Mbuf>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.others)
    }
}

impl<'a> IntoIterator for &'a Chain {
    type Item = &'a Mbuf;
    type IntoIter = Both<option::Iter<'a, Mbuf>, vec_deque::Iter<'a, Mbuf>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Extend<Mbuf> for Chain {
    fn extend<I: IntoIterator<Item = Mbuf>>(&mut self, more: I) {
        more.into_iter().for_each(|m| self.push_back(m));
    }
}

impl FromIterator<Mbuf> for Chain {
    fn from_iter<I: IntoIterator<Item = Mbuf>>(mbufs: I) -> Self {
        let mut chain = Self::new();
        chain.extend(mbufs);
        chain
    }
}

impl From<Mbuf> for Chain {
    fn from(m: Mbuf) -> Self {
        Self { first: Some(m), others: VecDeque::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::mbuf::MbufType;
    use super::*;

    fn chain(bytes: &[u8]) -> Chain {
        bytes.iter().map(|&b| Mbuf::holding(MbufType::Data, &[b])).collect()
    }

    fn text(chain: &Chain) -> Vec<u8> {
        chain.iter().flat_map(|m| m.bytes().to_vec()).collect()
    }

    #[test]
    fn the_order_is_kept_at_both_ends() {
        let mut c = chain(b"bc");
        c.push_front(Mbuf::holding(MbufType::Data, b"a"));
        c.push_back(Mbuf::holding(MbufType::Data, b"d"));
        assert_eq!((text(&c), c.len(), c.bytes()), (b"abcd".to_vec(), 4, 4));
        assert_eq!(c.pop_front().map(|m| m.bytes().to_vec()), Some(b"a".to_vec()));
        assert_eq!(c.get(1).map(|m| m.bytes().to_vec()), Some(b"c".to_vec()));
        assert_eq!(c.back_mut().map(|m| m.bytes().to_vec()), Some(b"d".to_vec()));
        assert_eq!(c.into_iter().count(), 3);
    }

    #[test]
    fn it_can_be_emptied_and_filled_again() {
        let mut c = chain(b"x");
        assert!(c.pop_front().is_some() && c.is_empty() && c.pop_front().is_none());
        c.push_front(Mbuf::holding(MbufType::Data, b"y"));
        assert_eq!((text(&c), c.len()), (b"y".to_vec(), 1));
    }
}
