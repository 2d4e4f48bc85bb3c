//! Socket buffers: queues of records with the limits that make writers wait.
//!
//! A record is a chain of mbufs.  `cc` counts bytes and `mbcnt` what the mbufs cost; `hiwat` and
//! `mbmax` limit them.  Every rule about merging and splitting is the original's, because the cost
//! decides when a buffer is full.
//!
//! Invariant: no record is an empty chain, and `cc` and `mbcnt` are the sums over all mbufs.  (A TCP
//! receive buffer has at most one record; a datagram's record begins with its sender's name.)
//!
//! This file does not know sockets, protocols or processes.
//!
//! 2.1 counterpart: struct sockbuf (sys/socketvar.h), the sb* functions of kern/uipc_socket2.c.

use bitflags::bitflags;

use super::chain::Chain;
use super::mbuf::{MCLBYTES, MLEN, MSIZE, Mbuf, MbufFlags, MbufType};
use super::records::Records;
use crate::kernel::file::select::Selinfo;

/// Most bytes that a socket buffer may be told to hold, mbuf overhead included (`sb_max`).
pub const SB_MAX: u32 = 256 * 1024;
/// `mbmax` is this many times `hiwat`, up to [`SB_MAX`] (`sb_efficiency`).
pub const SB_EFFICIENCY: u32 = 8;
/// Largest `hiwat` that [`Sockbuf::reserve`] accepts.
pub const SB_RESERVE_MAX: u32 = (SB_MAX as u64 * MCLBYTES as u64 / (MSIZE + MCLBYTES) as u64) as u32;

bitflags! {
    /// State of a socket buffer (`SB_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SockbufFlags: u16 {
        /// The data queue is locked.
        const LOCK = 0x01;
        /// Somebody waits for the lock.
        const WANT = 0x02;
        /// Somebody waits for data or room.
        const WAIT = 0x04;
        /// Somebody selects.
        const SEL = 0x08;
        /// Changes are signalled.
        const ASYNC = 0x10;
        /// Sleeps are not interruptible.
        const NOINTR = 0x40;
    }
}

/// One direction of a socket.
#[derive(Clone, Debug, Default)]
pub struct Sockbuf {
    /// Bytes in the buffer, control and names included.
    pub cc: u32,
    /// Most bytes.
    pub hiwat: u32,
    /// What the mbufs cost.
    pub mbcnt: u32,
    /// The most that they may cost.
    pub mbmax: u32,
    /// Low-water mark.
    pub lowat: i32,
    /// The records (`sb_mb`).
    pub records: Records,
    /// Who selects.
    pub sel: Selinfo,
    /// State.
    pub flags: SockbufFlags,
    /// Time limit of waits, in ticks; 0 for none.
    pub timeo: i16,
}

impl Sockbuf {
    /// How much more fits; less than nothing where limits were lowered (`sbspace`).
    #[inline]
    pub fn space(&self) -> i32 {
        let bytes = self.hiwat.wrapping_sub(self.cc) as i32;
        let mbufs = self.mbmax.wrapping_sub(self.mbcnt) as i32;
        bytes.min(mbufs)
    }

    /// Sets the limits for `cc` bytes; false if that is too much (`sbreserve`).
    pub fn reserve(&mut self, cc: u32) -> bool {
        if cc > SB_RESERVE_MAX {
            return false;
        }
        self.hiwat = cc;
        self.mbmax = (cc * SB_EFFICIENCY).min(SB_MAX);
        // Unsigned as in the original: a negative mark counts as huge.
        if self.lowat as u32 > self.hiwat {
            self.lowat = self.hiwat as i32;
        }
        true
    }

    /// Throws the contents and the limits away (`sbrelease`).
    pub fn release(&mut self) {
        self.flush();
        self.hiwat = 0;
        self.mbmax = 0;
    }

    /// Throws the contents away (`sbflush`).
    pub fn flush(&mut self) {
        self.records.clear();
        self.cc = 0;
        self.mbcnt = 0;
    }

    /// Counts an mbuf that comes in (`sballoc`).
    #[inline]
    fn alloc(&mut self, m: &Mbuf) {
        self.cc += m.len() as u32;
        self.mbcnt += m.mbcnt();
    }

    /// Counts an mbuf that goes out (`sbfree`).
    #[inline]
    pub fn free(&mut self, m: &Mbuf) {
        self.cc -= m.len() as u32;
        self.mbcnt -= m.mbcnt();
    }

    /// The first mbuf (`sb_mb`).
    #[inline]
    pub fn first(&self) -> Option<&Mbuf> {
        self.records.first()
    }

    /// Adds data to the last record, or begins a new one if that is closed (`sbappend`).
    #[inline]
    pub fn append(&mut self, chain: Chain) {
        if self.records.is_empty() && chain.is_single() && chain.bytes() > 0 {
            // The usual case of an empty buffer: there is nothing to merge.
            self.push_record(chain);
        } else {
            self.append_behind(chain);
        }
    }

    fn append_behind(&mut self, chain: Chain) {
        match self.records.back() {
            Some(record) if record.iter().any(|m| m.flags.contains(MbufFlags::EOR)) => {
                self.append_record(chain);
            }
            _ => self.compress(chain),
        }
    }

    /// Begins a new record, which may hold no bytes (`sbappendrecord`).
    pub fn append_record(&mut self, mut chain: Chain) {
        let Some(mut first) = chain.pop_front() else { return };
        self.alloc(&first);
        if let Some(next) = chain.front_mut()
            && first.flags.contains(MbufFlags::EOR)
        {
            first.flags.remove(MbufFlags::EOR);
            next.flags.insert(MbufFlags::EOR);
        }
        self.records.push_back(Chain::from(first));
        self.compress(chain);
    }

    /// Adds a datagram: the sender's name, control if there is any, data.  False, and everything is
    /// forgotten, if it does not fit (`sbappendaddr`).
    pub fn append_addr(&mut self, name: &[u8], data: Option<Chain>, control: Option<Chain>) -> bool {
        let more = data.as_ref().map_or(0, Chain::bytes) + control.as_ref().map_or(0, Chain::bytes);
        if (name.len() + more) as i64 > i64::from(self.space()) || name.len() > MLEN {
            return false;
        }
        let mut record = Chain::from(Mbuf::holding(MbufType::Soname, name));
        record.extend(control.into_iter().flatten());
        record.extend(data.into_iter().flatten());
        self.push_record(record);
        true
    }

    /// Adds control and data as a new record.  False, and everything is forgotten, if they do not fit
    /// (`sbappendcontrol`).
    pub fn append_control(&mut self, data: Chain, control: Chain) -> bool {
        if (data.bytes() + control.bytes()) as i64 > i64::from(self.space()) {
            return false;
        }
        let mut record = control;
        record.extend(data);
        self.push_record(record);
        true
    }

    #[inline]
    fn push_record(&mut self, record: Chain) {
        for m in &record {
            self.alloc(m);
        }
        self.records.push_back(record);
    }

    /// Adds a chain to the last record, merging mbufs where the original does (`sbcompress`).
    fn compress(&mut self, mut chain: Chain) {
        let record = self.records.last_or_new();
        let mut eor = false;
        while let Some(mut m) = chain.pop_front() {
            eor |= m.flags.contains(MbufFlags::EOR);
            // An empty mbuf stays only where it must carry the end of a record by itself.
            let neighbour = chain.front().or_else(|| record.back());
            if m.is_empty() && (!eor || neighbour.is_some_and(|o| o.kind == m.kind)) {
                continue;
            }
            if let Some(n) = record.back_mut()
                && n.can_take(&m)
            {
                n.push(m.bytes());
                self.cc += m.len() as u32;
                m.free();
                continue;
            }
            self.cc += m.len() as u32;
            self.mbcnt += m.mbcnt();
            m.flags.remove(MbufFlags::EOR);
            record.push_back(m);
        }
        if eor && let Some(n) = record.back_mut() {
            n.flags.insert(MbufFlags::EOR);
        }
    }

    /// Takes `len` bytes off the front, over record boundaries if it must (`sbdrop`).
    pub fn drop(&mut self, mut len: u32) {
        while len > 0 {
            let Some(m) = self.records.first_mut() else { return };
            if m.len() as u32 > len {
                m.trim_front(len as usize);
                self.cc -= len;
                break;
            }
            len -= m.len() as u32;
            self.pop_first();
        }
        while self.first().is_some_and(Mbuf::is_empty) {
            self.pop_first();
        }
    }

    /// Takes the first mbuf out; the record goes with its last mbuf.
    pub fn pop_first(&mut self) -> Option<Mbuf> {
        self.take_first().map(|(m, _)| m)
    }

    /// Takes the first mbuf out, and says whether its record went with it.
    #[inline]
    pub fn take_first(&mut self) -> Option<(Mbuf, bool)> {
        let (m, used_up) = self.records.take_first()?;
        self.free(&m);
        Some((m, used_up))
    }

    /// Takes `count` bytes off the first mbuf, which keeps at least one.
    pub fn trim_first(&mut self, count: usize) {
        if let Some(m) = self.records.first_mut() {
            m.trim_front(count);
            self.cc -= count as u32;
        }
    }

    /// Takes the first record off (`sbdroprecord`).
    pub fn drop_record(&mut self) {
        for m in self.records.pop_front().into_iter().flatten() {
            self.free(&m);
            m.free();
        }
    }

    /// Copies `len` bytes from position `offset`, over mbuf boundaries (`m_copydata`); for protocols
    /// that keep data until they are acknowledged.
    pub fn copy_data(&self, offset: u32, len: u32) -> Vec<u8> {
        self.records
            .iter()
            .flatten()
            .flat_map(|m| m.bytes().iter().copied())
            .skip(offset as usize)
            .take(len as usize)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(hiwat: u32) -> Sockbuf {
        let mut sb = Sockbuf::default();
        assert!(sb.reserve(hiwat));
        sb
    }

    fn data(len: usize) -> Chain {
        let mut m = Mbuf::gethdr(MbufType::Data);
        if len >= super::super::mbuf::MINCLSIZE {
            m.clget();
        }
        m.push(&vec![b'x'; len]);
        assert_eq!(m.len(), len);
        Chain::from(m)
    }

    fn ended(mut chain: Chain) -> Chain {
        chain.front_mut().expect("an mbuf").flags.insert(MbufFlags::EOR);
        chain
    }

    fn check(sb: &Sockbuf) {
        let mbufs = || sb.records.iter().flatten();
        assert_eq!(sb.cc, mbufs().map(|m| m.len() as u32).sum::<u32>());
        assert_eq!(sb.mbcnt, mbufs().map(Mbuf::mbcnt).sum::<u32>());
        assert!(sb.records.iter().all(|r| !r.is_empty()));
    }

    #[test]
    fn small_writes_share_an_mbuf_until_one_byte_is_left() {
        let mut sb = buffer(4096);
        for _ in 0..99 {
            sb.append(data(1));
        }
        assert_eq!((sb.cc, sb.mbcnt), (99, 128));
        sb.append(data(1));
        assert_eq!((sb.cc, sb.mbcnt), (100, 256));
        check(&sb);
    }

    #[test]
    fn nothing_is_merged_into_a_cluster() {
        let mut sb = buffer(4096);
        sb.append(data(208));
        sb.append(data(1));
        assert_eq!((sb.cc, sb.mbcnt), (209, 128 + 2048 + 128));
        check(&sb);
    }

    #[test]
    fn the_end_of_a_record_starts_another() {
        let mut sb = buffer(4096);
        sb.append(ended(data(3)));
        sb.append(data(4));
        assert_eq!(sb.records.len(), 2);
        assert_eq!(sb.mbcnt, 256);
        sb.drop_record();
        assert_eq!(sb.cc, 4);
        check(&sb);
    }

    #[test]
    fn an_empty_mbuf_is_kept_only_to_carry_the_end_of_a_record() {
        let mut sb = buffer(4096);
        sb.append(data(0));
        assert!(sb.records.is_empty());
        sb.append(ended(data(0)));
        assert_eq!((sb.cc, sb.mbcnt, sb.records.len()), (0, 128, 1));
        sb.drop_record();
        sb.append(data(5));
        sb.append(ended(data(0)));
        assert_eq!((sb.cc, sb.mbcnt), (5, 128));
        assert!(sb.first().is_some_and(|m| m.flags.contains(MbufFlags::EOR)));
        check(&sb);
    }

    #[test]
    fn a_datagram_needs_room_for_its_senders_name() {
        let mut sb = buffer(100);
        assert!(!sb.append_addr(&[16; 16], Some(data(85)), None));
        assert!(sb.append_addr(&[16; 16], Some(data(84)), None));
        assert_eq!((sb.cc, sb.mbcnt, sb.space()), (100, 256, 0));
        assert!(!sb.append_addr(&[16; 16], None, None));
        check(&sb);
    }

    #[test]
    fn mbuf_cost_limits_small_records() {
        let mut sb = buffer(16);
        sb.append_record(ended(data(1)));
        assert_eq!(sb.space(), 0);
        sb.drop(1);
        assert_eq!((sb.cc, sb.mbcnt, sb.space()), (0, 0, 16));
    }

    #[test]
    fn dropping_crosses_records_and_takes_empty_mbufs_along() {
        let mut sb = buffer(4096);
        sb.append_record(ended(data(3)));
        sb.append_record(ended(data(0)));
        sb.append_record(data(4));
        sb.drop(3);
        check(&sb);
        assert_eq!((sb.cc, sb.records.len()), (4, 1));
        sb.drop(2);
        assert_eq!(sb.copy_data(1, 9), b"x");
        check(&sb);
    }

    #[test]
    fn reserving_has_a_limit_and_clips_the_low_water_mark() {
        let mut sb = Sockbuf { lowat: -1, ..Sockbuf::default() };
        assert!(!sb.reserve(246_724));
        assert!(!sb.reserve(u32::MAX));
        assert!(sb.reserve(246_723));
        assert_eq!((sb.lowat, sb.mbmax), (246_723, SB_MAX));
        assert!(sb.reserve(100));
        assert_eq!((sb.lowat, sb.mbmax), (100, 800));
    }
}
