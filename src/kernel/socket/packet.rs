//! What protocols do to packets: copying, trimming, joining, making room for headers.
//!
//! A packet is a chain whose first mbuf has a packet header.  Which mbuf holds which bytes afterwards is as in
//! the original, because it decides what the packet costs the socket buffer that it ends in.
//!
//! This file does not know any protocol.
//!
//! 2.1 counterpart: kern/uipc_mbuf.c (m_copym, m_copydata, m_copyback, m_cat, m_adj, m_pullup, m_prepend).

use super::chain::Chain;
use super::mbuf::{MCLBYTES, MHLEN, MLEN, Mbuf, MbufFlags};

/// Bytes that a pull-up brings together where they are there: the headers of IP and TCP (`max_protohdr`).
const MAX_PROTOHDR: usize = 40;

impl Chain {
    /// A copy of `len` bytes from position `off`, which shares clusters (`m_copym`).
    pub fn copy_range(&self, mut off: usize, mut len: usize) -> Self {
        let mut header = off == 0 && self.front().is_some_and(|m| m.flags.contains(MbufFlags::PKTHDR));
        let mut parts = Vec::new();
        for m in self {
            if len == 0 {
                break;
            }
            if off > 0 && off >= m.len() {
                off -= m.len();
                continue;
            }
            let part = m.part(off, len, std::mem::take(&mut header));
            len -= part.len();
            off = 0;
            parts.push(part);
        }
        let mut copy = Self::new();
        while let Some(part) = parts.pop() {
            copy.push_front(part);
        }
        copy
    }

    /// A copy of everything (`m_copy` of M_COPYALL).
    pub fn copy_all(&self) -> Self {
        self.copy_range(0, usize::MAX)
    }

    /// Fills `into` with the bytes from position `off` on; what is not there stays (`m_copydata`).
    pub fn copy_data(&self, mut off: usize, mut into: &mut [u8]) {
        for m in self {
            if into.is_empty() {
                return;
            }
            let bytes = m.bytes();
            let Some(rest) = bytes.get(off..).filter(|_| off < bytes.len()) else {
                off -= bytes.len();
                continue;
            };
            let count = rest.len().min(into.len());
            let (head, tail) = into.split_at_mut(count);
            head.copy_from_slice(&rest[..count]);
            into = tail;
            off = 0;
        }
    }

    /// All bytes in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        self.iter().flat_map(|m| m.bytes().iter().copied()).collect()
    }

    /// Takes bytes off the front (positive) or the end (negative); mbufs stay, empty (`m_adj`).
    pub fn adj(&mut self, req: i32) {
        if req >= 0 {
            let mut left = req as usize;
            self.for_each_mut(|m| {
                let count = left.min(m.len());
                if count == m.len() {
                    m.set_len(0);
                } else {
                    m.trim_front(count);
                }
                left -= count;
            });
        } else {
            let mut keep = self.bytes().saturating_sub(req.unsigned_abs() as usize);
            self.for_each_mut(|m| {
                let count = keep.min(m.len());
                m.set_len(count);
                keep -= count;
            });
        }
    }

    /// Brings the first `len` bytes together in one mbuf's own storage; nothing where they are not there
    /// (`m_pullup`).
    pub fn pullup(mut self, mut len: usize) -> Option<Self> {
        let mut rest;
        let first = self.pop_front()?;
        let room = !first.flags.contains(MbufFlags::EXT) && first.len() + first.trailing_space() > len;
        let mut m = if room && !self.is_empty() {
            if first.len() >= len {
                self.push_front(first);
                return Some(self);
            }
            len -= first.len();
            rest = self;
            first
        } else {
            if len > MHLEN {
                return None;
            }
            let mut n = first;
            let mut m = Mbuf::get(n.kind);
            if n.flags.contains(MbufFlags::PKTHDR) {
                m.take_header(&mut n);
            }
            rest = self;
            rest.push_front(n);
            m
        };
        while len > 0 {
            let mut n = rest.pop_front()?;
            let count = len.max(MAX_PROTOHDR).min(m.trailing_space()).min(n.len());
            m.push(&n.bytes()[..count]);
            len = len.saturating_sub(count);
            if count < n.len() {
                n.trim_front(count);
                rest.push_front(n);
                if count == 0 {
                    return None;
                }
            }
        }
        rest.push_front(m);
        Some(rest)
    }

    /// Joins another chain to the end; what fits goes into the last mbuf (`m_cat`).
    pub fn cat(&mut self, mut other: Self) {
        while let Some(n) = other.pop_front() {
            match self.back_mut() {
                Some(m) if !m.flags.contains(MbufFlags::EXT) && n.len() < m.trailing_space() => {
                    m.push(n.bytes());
                }
                _ => {
                    other.push_front(n);
                    self.extend(other);
                    return;
                }
            }
        }
    }

    /// Makes room for `len` bytes of header before the first one (`M_PREPEND`).
    pub fn prepend(&mut self, len: usize) {
        let Some(first) = self.front_mut() else { return };
        if first.leading_space() >= len {
            first.grow_front(len);
            return;
        }
        let mut m = Mbuf::get(first.kind);
        if first.flags.contains(MbufFlags::PKTHDR) {
            m.take_header(first);
        }
        if len < MHLEN {
            m.align(len);
        }
        m.set_len(len);
        self.push_front(m);
    }

    /// Stores bytes at position `off`, and adds mbufs where they need them (`m_copyback`).
    pub fn copy_back(&mut self, mut off: usize, mut bytes: &[u8]) {
        self.for_each_mut(|m| {
            if off >= m.len() {
                off -= m.len();
                return;
            }
            let count = m.len().saturating_sub(off).min(bytes.len());
            m.bytes_mut()[off..off + count].copy_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            off = 0;
        });
        for piece in bytes.chunks(MLEN) {
            let kind = self.front().map_or(super::mbuf::MbufType::Data, |m| m.kind);
            self.push_back(Mbuf::holding(kind, piece));
        }
    }

    /// Bytes that came from outside as one packet, in clusters where they do not fit into an mbuf.
    pub fn of_packet(bytes: &[u8]) -> Self {
        let mut chain = Self::new();
        for piece in bytes.chunks(MCLBYTES) {
            let data = super::mbuf::MbufType::Data;
            let mut m = if chain.is_empty() { Mbuf::gethdr(data) } else { Mbuf::get(data) };
            if piece.len() > MHLEN {
                m.clget();
            }
            m.push(piece);
            chain.push_back(m);
        }
        chain
    }
}

#[cfg(test)]
mod tests {
    use super::super::mbuf::MbufType;
    use super::*;

    fn packet(lens: &[usize]) -> Chain {
        let mut next = 0u8;
        let piece = |&len: &usize| {
            let mut m = Mbuf::get(MbufType::Data);
            if len > MLEN {
                m.clget();
            }
            let bytes: Vec<u8> = (0..len)
                .map(|_| {
                    next = next.wrapping_add(1);
                    next
                })
                .collect();
            m.push(&bytes);
            m
        };
        lens.iter().map(piece).collect()
    }

    #[test]
    fn copies_and_cuts_agree_with_plain_bytes() {
        for lens in [&[5, 100, 3][..], &[2048, 2048, 7], &[1], &[0, 10, 0, 10]] {
            let whole = packet(lens);
            let bytes = whole.to_vec();
            for off in [0, 1, 5, 99, 2048, 2050] {
                for len in [1, 6, 104, 2047, 5000] {
                    let end = bytes.len().min(off + len);
                    let expected = bytes.get(off..end).unwrap_or_default();
                    assert_eq!(whole.copy_range(off, len).to_vec(), expected);
                    let mut into = vec![0; expected.len()];
                    whole.copy_data(off, &mut into);
                    assert_eq!(into, expected);
                }
                let mut cut = whole.copy_all();
                cut.adj(off as i32);
                assert_eq!(cut.to_vec(), bytes.get(off..).unwrap_or_default());
                let mut cut = whole.copy_all();
                cut.adj(-(off as i32));
                assert_eq!(cut.to_vec(), &bytes[..bytes.len().saturating_sub(off)]);
            }
        }
    }

    #[test]
    fn a_pullup_brings_a_header_together_and_keeps_the_rest() {
        for lens in [&[5, 100, 3][..], &[2048, 7], &[10, 10, 10, 10, 10, 10]] {
            let whole = packet(lens);
            let pulled = whole.copy_all().pullup(40).expect("there are as many bytes");
            assert!(pulled.front().is_some_and(|m| m.len() >= 40));
            assert_eq!(pulled.to_vec(), whole.to_vec());
        }
        assert!(packet(&[39]).pullup(40).is_none());
        assert!(packet(&[2048]).pullup(101).is_none());
    }

    #[test]
    fn headers_go_in_front_and_stores_reach_behind_the_end() {
        let mut m = Chain::of_packet(b"data");
        m.prepend(28);
        assert_eq!((m.bytes(), m.len()), (32, 2));
        m.copy_back(30, b"xyz");
        assert_eq!(&m.to_vec()[28..], b"daxyz");
        let mut m = packet(&[3]);
        m.copy_back(3, &[7; 300]);
        assert_eq!(m.bytes(), 303);
    }
}
