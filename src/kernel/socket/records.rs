//! The records of a socket buffer, in the order in which they came.
//!
//! Most buffers hold one record or none, so that the first one lies apart from those that wait behind it.
//!
//! Invariant: no record is an empty chain, but for the first one where there is none at all.
//!
//! This file does not know what records cost.
//!
//! 2.1 counterpart: `sb_mb` and `m_nextpkt` (sys/socketvar.h, sys/mbuf.h).

use std::collections::VecDeque;

use super::chain::Chain;
use super::mbuf::Mbuf;

/// Records in their order.
#[derive(Clone, Debug, Default)]
pub struct Records {
    first: Chain,
    later: VecDeque<Chain>,
}

impl Records {
    /// No record.
    pub const fn new() -> Self {
        Self { first: Chain::new(), later: VecDeque::new() }
    }

    /// Number of records.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(!self.first.is_empty()) + self.later.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// The first mbuf of the first record.
    #[inline]
    pub fn first(&self) -> Option<&Mbuf> {
        self.first.front()
    }

    /// The first mbuf of the first record, to change it.
    #[inline]
    pub fn first_mut(&mut self) -> Option<&mut Mbuf> {
        self.first.front_mut()
    }

    /// The first record.
    #[inline]
    pub fn front(&self) -> Option<&Chain> {
        (!self.first.is_empty()).then_some(&self.first)
    }

    /// The last record.
    #[inline]
    pub fn back(&self) -> Option<&Chain> {
        self.later.back().or_else(|| self.front())
    }

    /// The last record, or the empty chain that becomes the first one with what is added to it.
    pub(super) fn last_or_new(&mut self) -> &mut Chain {
        self.later.back_mut().unwrap_or(&mut self.first)
    }

    /// Adds a record behind all others.
    #[inline]
    pub fn push_back(&mut self, record: Chain) {
        if self.first.is_empty() {
            self.first = record;
        } else if !record.is_empty() {
            self.later.push_back(record);
        }
    }

    /// Takes the first record off.
    pub fn pop_front(&mut self) -> Option<Chain> {
        let next = self.later.pop_front().unwrap_or_default();
        Some(std::mem::replace(&mut self.first, next)).filter(|record| !record.is_empty())
    }

    /// Takes the first mbuf off, and says whether its record went with it.
    #[inline]
    pub(super) fn take_first(&mut self) -> Option<(Mbuf, bool)> {
        let m = self.first.pop_front()?;
        let used_up = self.first.is_empty();
        if used_up && let Some(next) = self.later.pop_front() {
            self.first = next;
        }
        Some((m, used_up))
    }

    /// All records in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Chain> {
        self.front().into_iter().chain(&self.later)
    }

    /// Throws all of them away.
    pub fn clear(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::super::mbuf::MbufType;
    use super::*;

    fn record(bytes: &[u8]) -> Chain {
        bytes.iter().map(|byte| Mbuf::holding(MbufType::Data, &[*byte])).collect()
    }

    fn text(records: &Records) -> Vec<Vec<u8>> {
        records.iter().map(|record| record.iter().flat_map(|m| m.bytes().to_vec()).collect()).collect()
    }

    #[test]
    fn records_leave_in_their_order_mbuf_by_mbuf_or_whole() {
        let mut records = Records::new();
        assert!(records.is_empty() && records.take_first().is_none() && records.pop_front().is_none());
        [&b"ab"[..], b"c", b"de"].into_iter().for_each(|bytes| records.push_back(record(bytes)));
        assert_eq!((text(&records), records.len()), (vec![b"ab".to_vec(), b"c".to_vec(), b"de".to_vec()], 3));
        let used_up: Vec<bool> = (0..3).filter_map(|_| records.take_first()).map(|(_, end)| end).collect();
        assert_eq!(used_up, [false, true, true]);
        records.last_or_new().push_back(Mbuf::holding(MbufType::Data, b"f"));
        assert_eq!((text(&records), records.back().map(Chain::len)), (vec![b"def".to_vec()], Some(3)));
        assert_eq!(records.pop_front().map(|record| record.len()), Some(3));
        assert!(records.is_empty() && records.back().is_none());
        records.last_or_new().push_back(Mbuf::holding(MbufType::Data, b"g"));
        assert_eq!((text(&records), records.len()), (vec![b"g".to_vec()], 1));
    }
}
