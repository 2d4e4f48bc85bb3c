//! Mbufs: the pieces that messages are kept in while they wait in a socket buffer.
//!
//! The mechanics of the original are gone (no pointer arithmetic; clusters are shared as
//! [`super::cluster`] says), its *accounting* is exact: how many bytes fit into a
//! piece, where they begin, whether a cluster hangs on it, and what it therefore costs.  That decides when
//! small writes are merged and when a writer blocks, so a guest can see it.
//!
//! An mbuf that was [freed](Mbuf::free) is used again and still holds the old bytes, as a cluster does: it
//! shows as many as were put into it.
//!
//! This file does not know sockets.
//!
//! 2.1 counterpart: sys/mbuf.h, kern/uipc_mbuf.c.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};

use bitflags::bitflags;

use super::cluster::Cluster;
use crate::kernel::file::FileId;

/// Size of an mbuf with its header; what each one costs in `mbcnt`.
pub const MSIZE: usize = 128;
/// Bytes that fit into an mbuf.
pub const MLEN: usize = MSIZE - 20;
/// Bytes that fit into an mbuf with a packet header.
pub const MHLEN: usize = MLEN - 8;
/// Bytes of a cluster, which costs as much in addition.
pub const MCLBYTES: usize = 2048;
/// From this length on data go into clusters.
pub const MINCLSIZE: usize = MHLEN + MLEN;

/// What an mbuf holds (`MT_*`).  Expedited data have no kind of their own: no protocol here queues them
/// in front of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MbufType {
    /// Data.
    Data = 1,
    /// Header of a packet, and data that share its mbuf.
    Header = 2,
    /// Name of a socket.
    Soname = 8,
    /// Value of an option.
    Soopts = 10,
    /// Control information that travels with data.
    Control = 14,
}

bitflags! {
    /// Flags of an mbuf (`M_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MbufFlags: u16 {
        /// The bytes are in a cluster.
        const EXT = 0x0001;
        /// Has a packet header.
        const PKTHDR = 0x0002;
        /// End of a record.
        const EOR = 0x0004;
        /// The packet was sent or came as a broadcast.
        const BCAST = 0x0100;
        /// The packet was sent or came as a multicast.
        const MCAST = 0x0200;
    }
}

/// Free mbufs that are kept; what is more goes back to the host.
const KEPT: usize = 256;

thread_local! {
    static FREE: FreeMbufs = const { FreeMbufs { first: Cell::new(None), len: Cell::new(0) } };
}

#[cfg(debug_assertions)]
thread_local! {
    /// Mbufs of this thread that somebody has.
    static IN_USE: Cell<usize> = const { Cell::new(0) };
}

#[cfg(debug_assertions)]
impl Drop for Body {
    fn drop(&mut self) {
        self.count(false);
    }
}

#[cfg(debug_assertions)]
impl Body {
    /// Counts an mbuf that is taken, or one that is given back, once.
    fn count(&mut self, in_use: bool) {
        if std::mem::replace(&mut self.in_use, in_use) != in_use {
            // While the thread ends nobody asks any more.
            let _ =
                IN_USE.try_with(|count| count.set(if in_use { count.get() + 1 } else { count.get() - 1 }));
        }
    }
}

/// The free mbufs, each holding the next one.
struct FreeMbufs {
    first: Cell<Option<Mbuf>>,
    len: Cell<usize>,
}

impl FreeMbufs {
    #[inline]
    fn take(&self) -> Option<Mbuf> {
        let mut m = self.first.take()?;
        self.first.set(m.next.take());
        self.len.set(self.len.get() - 1);
        Some(m)
    }

    #[inline]
    fn give(&self, mut m: Mbuf) {
        if self.len.get() < KEPT {
            m.next = self.first.take();
            self.first.set(Some(m));
            self.len.set(self.len.get() + 1);
        }
    }
}

/// One piece of a message; a handle, so that it can travel from queue to queue.
#[derive(Debug)]
pub struct Mbuf(Box<Body>);

/// What an mbuf is made of.
#[derive(Debug)]
pub struct Body {
    /// The mbuf behind it in its chain (`m_next`).
    pub(super) next: Option<Mbuf>,
    /// What it holds.
    pub kind: MbufType,
    /// Its flags.
    pub flags: MbufFlags,
    /// Where the bytes begin in the storage (`m_data`).
    offset: u16,
    /// How many there are (`m_len`).
    len: u16,
    /// Its own bytes (`m_dat`).
    data: [u8; MLEN],
    /// What holds the bytes instead (`m_ext`).
    cluster: Option<Cluster>,
    /// Index of the interface on which a packet came; 0 for none (`m_pkthdr.rcvif`).  The packet's length
    /// (`m_pkthdr.len`) is that of its chain.
    pub rcvif: u16,
    /// The open files that a rights message carries; the bytes hold only stand-ins for them.
    /// Forgetting an mbuf does not release them: 2.1 loses references that way, too.
    pub rights: Option<Box<Vec<Option<FileId>>>>,
    /// Somebody has it.
    #[cfg(debug_assertions)]
    in_use: bool,
}

impl Clone for Mbuf {
    fn clone(&self) -> Self {
        let mut m = self.alone();
        m.next = self.next.clone();
        m
    }
}

impl Mbuf {
    /// A copy without what is behind it.
    pub(super) fn alone(&self) -> Self {
        let Body { next: _, kind, flags, offset, len, data, cluster, rcvif, rights, .. } = &**self;
        let mut m = Self::fresh(*kind, *flags, *offset);
        (m.len, m.data, m.cluster) = (*len, *data, cluster.clone());
        (m.rcvif, m.rights) = (*rcvif, rights.clone());
        m
    }
}

impl Deref for Mbuf {
    type Target = Body;

    fn deref(&self) -> &Body {
        &self.0
    }
}

impl DerefMut for Mbuf {
    fn deref_mut(&mut self) -> &mut Body {
        &mut self.0
    }
}

impl Mbuf {
    /// An empty mbuf (MGET).
    #[inline]
    pub fn get(kind: MbufType) -> Self {
        Self::make(kind, MbufFlags::empty(), 0)
    }

    /// An empty mbuf with a packet header (MGETHDR).
    #[inline]
    pub fn gethdr(kind: MbufType) -> Self {
        Self::make(kind, MbufFlags::PKTHDR, (MLEN - MHLEN) as u16)
    }

    /// How many mbufs of this thread somebody has, where that is counted: in builds with assertions.
    pub fn in_use() -> Option<usize> {
        #[cfg(debug_assertions)]
        return Some(IN_USE.with(Cell::get));
        #[cfg(not(debug_assertions))]
        None
    }

    #[inline]
    fn make(kind: MbufType, flags: MbufFlags, offset: u16) -> Self {
        let Some(mut m) = FREE.with(FreeMbufs::take) else { return Self::fresh(kind, flags, offset) };
        #[cfg(debug_assertions)]
        m.count(true);
        m.kind = kind;
        m.flags = flags;
        m.offset = offset;
        m.len = 0;
        m.rcvif = 0;
        m
    }

    /// Takes off what hangs on an mbuf.
    #[inline(never)]
    fn strip(&mut self) {
        self.rights = None;
        self.cluster.take().into_iter().for_each(Cluster::free);
    }

    #[cold]
    fn fresh(kind: MbufType, flags: MbufFlags, offset: u16) -> Self {
        let (data, cluster) = ([0; MLEN], None);
        #[cfg_attr(not(debug_assertions), expect(unused_mut))]
        let mut m = Self(Box::new(Body {
            next: None,
            kind,
            flags,
            offset,
            len: 0,
            data,
            cluster,
            rcvif: 0,
            rights: None,
            #[cfg(debug_assertions)]
            in_use: false,
        }));
        #[cfg(debug_assertions)]
        m.count(true);
        m
    }

    /// Lets go of an mbuf that is in no chain, for the next one who wants one (MFREE).
    #[inline]
    pub(super) fn free(mut self) {
        #[cfg(debug_assertions)]
        self.count(false);
        if self.cluster.is_some() || self.rights.is_some() {
            self.strip();
        }
        // While the thread ends there is no list any more.
        let _ = FREE.try_with(|free| free.give(self));
    }

    /// An mbuf that holds `bytes`, of which only the first [`MLEN`] fit.
    pub fn holding(kind: MbufType, bytes: &[u8]) -> Self {
        let mut m = Self::get(kind);
        let len = bytes.len().min(MLEN);
        m.set_len(len);
        m.bytes_mut().copy_from_slice(&bytes[..len]);
        m
    }

    /// Hangs a cluster on an empty mbuf (MCLGET).
    pub fn clget(&mut self) {
        self.cluster = Some(Cluster::get());
        self.offset = 0;
        self.flags.insert(MbufFlags::EXT);
    }

    /// Moves the beginning so that `len` bytes end where the storage ends, long-word aligned (MH_ALIGN);
    /// for an empty mbuf with a packet header.
    pub fn align(&mut self, len: usize) {
        self.offset += (MHLEN.saturating_sub(len) & !3) as u16;
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sets the number of bytes, at most what fits behind the beginning.
    pub fn set_len(&mut self, len: usize) {
        self.len = len.min(self.capacity() - usize::from(self.offset)) as u16;
    }

    fn capacity(&self) -> usize {
        if self.cluster.is_some() { MCLBYTES } else { MLEN }
    }

    /// Bytes that fit behind the last one.
    pub fn trailing_space(&self) -> usize {
        self.capacity() - usize::from(self.offset) - self.len()
    }

    /// Bytes that fit before the first one (M_LEADINGSPACE); none before those of a cluster.
    pub fn leading_space(&self) -> usize {
        let begin = if self.flags.contains(MbufFlags::PKTHDR) { MLEN - MHLEN } else { 0 };
        if self.cluster.is_some() { 0 } else { usize::from(self.offset).saturating_sub(begin) }
    }

    /// The bytes (`mtod`).
    pub fn bytes(&self) -> &[u8] {
        let from = usize::from(self.offset);
        let storage = self.cluster.as_ref().map_or(self.data.as_slice(), Cluster::bytes);
        &storage[from..from + usize::from(self.len)]
    }

    /// The bytes, to change them.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let from = usize::from(self.offset);
        let to = from + usize::from(self.len);
        match &mut self.0.cluster {
            None => &mut self.0.data[from..to],
            Some(cluster) => &mut cluster.bytes_mut()[from..to],
        }
    }

    /// Adds bytes behind the last one, as far as they fit.
    pub fn push(&mut self, bytes: &[u8]) {
        let len = self.len();
        let more = bytes.len().min(self.trailing_space());
        self.len += more as u16;
        self.bytes_mut()[len..].copy_from_slice(&bytes[..more]);
    }

    /// Replaces the contents with those of another name or value.
    pub fn assign(&mut self, bytes: &[u8]) {
        self.len = 0;
        self.push(bytes);
    }

    /// Replaces the contents with no more bytes than there are, and keeps their place.
    pub fn assign_in_place(&mut self, bytes: &[u8]) {
        let len = bytes.len().min(self.len());
        self.set_len(len);
        self.bytes_mut().copy_from_slice(&bytes[..len]);
    }

    /// Takes `count` bytes off the front.
    pub fn trim_front(&mut self, count: usize) {
        let count = count.min(self.len()) as u16;
        self.offset += count;
        self.len -= count;
    }

    /// Makes room for `count` bytes before the first one, as far as there is (see [`Self::leading_space`]).
    pub fn grow_front(&mut self, count: usize) {
        let count = count.min(usize::from(self.offset)) as u16;
        self.offset -= count;
        self.len += count;
    }

    /// Lets the bytes begin `count` further back; for an empty mbuf.
    pub fn indent(&mut self, count: usize) {
        self.offset = (usize::from(self.offset) + count).min(self.capacity()) as u16;
    }

    /// Bytes `from..from + len` in an mbuf without a header, or with one for a packet: of a cluster another
    /// reference, else a copy (one step of `m_copym`).
    pub(super) fn part(&self, from: usize, len: usize, header: bool) -> Self {
        let from = from.min(self.len());
        let len = len.min(self.len() - from);
        let mut part = if header { Self::gethdr(self.kind) } else { Self::get(self.kind) };
        if header {
            let kept = MbufFlags::PKTHDR | MbufFlags::EOR | MbufFlags::BCAST | MbufFlags::MCAST;
            part.flags = self.flags & kept;
            part.rcvif = self.rcvif;
        }
        if let Some(cluster) = &self.cluster {
            part.cluster = Some(cluster.clone());
            part.flags.insert(MbufFlags::EXT);
            part.offset = self.offset + from as u16;
            part.len = len as u16;
        } else {
            part.push(&self.bytes()[from..from + len]);
        }
        part
    }

    /// Takes the packet header off (for one that another mbuf takes its place as the first).
    pub(super) fn take_header(&mut self, from: &mut Self) {
        let kept = MbufFlags::PKTHDR | MbufFlags::EOR | MbufFlags::BCAST | MbufFlags::MCAST;
        self.flags = from.flags & kept;
        self.rcvif = from.rcvif;
        self.offset = (MLEN - MHLEN) as u16;
        from.flags.remove(MbufFlags::PKTHDR);
    }

    /// What it costs a socket buffer (`sballoc`).
    pub fn mbcnt(&self) -> u32 {
        if self.cluster.is_some() { (MSIZE + MCLBYTES) as u32 } else { MSIZE as u32 }
    }

    /// A copy of its bytes without anything that hangs on it (`m_copy` of a name or of control).
    pub fn copy(&self) -> Self {
        let mut copy = Self::make(self.kind, self.flags, self.offset);
        copy.len = self.len;
        copy.data = self.data;
        copy.cluster = self.cluster.clone();
        copy
    }

    /// Whether `other` can be merged into this one: `sbcompress` does it where a byte remains free.
    pub fn can_take(&self, other: &Self) -> bool {
        !self.flags.intersects(MbufFlags::EXT | MbufFlags::EOR)
            && other.len() < self.trailing_space()
            && self.kind == other.kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_are_those_of_the_original() {
        assert_eq!((MLEN, MHLEN, MINCLSIZE), (108, 100, 208));
        assert_eq!(Mbuf::get(MbufType::Data).trailing_space(), 108);
        assert_eq!(Mbuf::gethdr(MbufType::Data).trailing_space(), 100);
        let mut m = Mbuf::gethdr(MbufType::Data);
        m.clget();
        assert_eq!((m.trailing_space(), m.mbcnt()), (2048, 2176));
    }

    #[test]
    fn aligning_leaves_less_than_a_long_word_behind() {
        let mut m = Mbuf::gethdr(MbufType::Data);
        m.align(10);
        m.set_len(10);
        assert_eq!(m.trailing_space(), 2);
    }

    #[test]
    fn trimming_keeps_the_end_in_place() {
        let mut m = Mbuf::holding(MbufType::Data, b"abcdef");
        m.trim_front(2);
        assert_eq!(m.bytes(), b"cdef");
        assert_eq!(m.trailing_space(), MLEN - 6);
        m.push(b"gh");
        assert_eq!(m.bytes(), b"cdefgh");
    }

    #[test]
    fn a_merge_leaves_one_byte_free() {
        let mut m = Mbuf::get(MbufType::Data);
        m.push(&[0; 100]);
        assert!(m.can_take(&Mbuf::holding(MbufType::Data, &[0; 7])));
        assert!(!m.can_take(&Mbuf::holding(MbufType::Data, &[0; 8])));
        assert!(!m.can_take(&Mbuf::holding(MbufType::Control, &[0; 1])));
        m.flags.insert(MbufFlags::EOR);
        assert!(!m.can_take(&Mbuf::holding(MbufType::Data, &[0; 1])));
    }
}
