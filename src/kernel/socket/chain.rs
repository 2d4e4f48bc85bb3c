//! Chains of mbufs: a packet on its way, or one record of a socket buffer.
//!
//! Each mbuf holds the next one.  Most chains hold one mbuf.
//!
//! This file does not know sockets.
//!
//! 2.1 counterpart: `m_next` of struct mbuf (sys/mbuf.h).

use super::mbuf::Mbuf;

/// Mbufs that belong together (`m_next`).
#[derive(Debug, Default)]
pub struct Chain {
    first: Option<Mbuf>,
}

impl Chain {
    /// No mbuf.
    pub const fn new() -> Self {
        Self { first: None }
    }

    /// Number of mbufs.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no mbuf.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Whether there is just one mbuf.
    pub fn is_single(&self) -> bool {
        self.first.as_ref().is_some_and(|m| m.next.is_none())
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

    /// The last mbuf.
    pub fn back(&self) -> Option<&Mbuf> {
        self.iter().last()
    }

    /// The last mbuf, to change it.
    pub fn back_mut(&mut self) -> Option<&mut Mbuf> {
        let mut last = self.first.as_mut()?;
        while last.next.is_some() {
            last = last.next.as_mut()?;
        }
        Some(last)
    }

    /// The mbuf behind `index` others.
    pub fn get(&self, index: usize) -> Option<&Mbuf> {
        self.iter().nth(index)
    }

    /// Adds an mbuf behind all others.
    pub fn push_back(&mut self, m: Mbuf) {
        match self.back_mut() {
            Some(last) => last.next = Some(m),
            None => self.first = Some(m),
        }
    }

    /// Adds an mbuf before all others.
    pub fn push_front(&mut self, mut m: Mbuf) {
        m.next = self.first.take();
        self.first = Some(m);
    }

    /// Takes the first mbuf off.
    #[inline]
    pub fn pop_front(&mut self) -> Option<Mbuf> {
        let mut first = self.first.take()?;
        self.first = first.next.take();
        Some(first)
    }

    /// Changes all mbufs, in their order.
    pub fn for_each_mut(&mut self, mut change: impl FnMut(&mut Mbuf)) {
        let mut next = self.first.as_mut();
        while let Some(m) = next {
            change(m);
            next = m.next.as_mut();
        }
    }

    /// All mbufs in their order.
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.first.as_ref())
    }
}

/// A copy, mbuf by mbuf: how long a chain is must not matter to the stack.
impl Clone for Chain {
    fn clone(&self) -> Self {
        let mut copy = Self::new();
        let mut end = &mut copy.first;
        for m in self.iter() {
            end = &mut end.insert(m.alone()).next;
        }
        copy
    }
}

/// A long chain must not be dropped mbuf inside mbuf.
impl Drop for Chain {
    #[inline]
    fn drop(&mut self) {
        if self.first.is_some() {
            free_all(self);
        }
    }
}

#[inline(never)]
fn free_all(chain: &mut Chain) {
    while let Some(m) = chain.pop_front() {
        m.free();
    }
}

/// Walks over a chain.
#[derive(Clone, Debug)]
pub struct Iter<'a>(Option<&'a Mbuf>);

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Mbuf;

    #[inline]
    fn next(&mut self) -> Option<&'a Mbuf> {
        let m = self.0?;
        self.0 = m.next.as_ref();
        Some(m)
    }
}

/// Takes a chain apart.
#[derive(Debug)]
pub struct IntoIter(Chain);

impl Iterator for IntoIter {
    type Item = Mbuf;

    fn next(&mut self) -> Option<Mbuf> {
        self.0.pop_front()
    }
}

impl IntoIterator for Chain {
    type Item = Mbuf;
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter(self)
    }
}

impl<'a> IntoIterator for &'a Chain {
    type Item = &'a Mbuf;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
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
        Self { first: Some(m) }
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
    fn a_long_chain_is_dropped_without_a_deep_stack() {
        let mut c = Chain::new();
        (0..1_000_000).for_each(|_| c.push_front(Mbuf::get(MbufType::Data)));
        assert!(!c.is_single());
        drop(c);
    }

    #[test]
    fn it_can_be_emptied_and_filled_again() {
        let mut c = chain(b"x");
        assert!(c.pop_front().is_some() && c.is_empty() && c.pop_front().is_none());
        c.push_front(Mbuf::holding(MbufType::Data, b"y"));
        assert_eq!((text(&c), c.len()), (b"y".to_vec(), 1));
    }
}
