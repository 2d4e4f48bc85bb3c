//! Queues of characters, with the limits and the accounting that a guest can see.
//!
//! A queue lies in blocks of 108 characters; the first may be used up in part, and the last filled in
//! part, so that what fits depends on where the queue begins.  A queue has some blocks of its own and may
//! take more, up to its limit, from a few that all share.  Each character has a quote bit.
//!
//! Must not know terminals.  2.1 counterpart: kern/tty_subr.c, sys/clist.h.

use std::cell::Cell;
use std::collections::VecDeque;

use syscalls::layout;

use crate::kernel::shared::Shared;

/// Characters of a block (CBSIZE).
pub(super) const CBSIZE: usize = 108;
/// Blocks that all queues share at first (INITIAL_CBLOCKS).
const INITIAL_CBLOCKS: i32 = 50;

/// The quote bit of a character (TTY_QUOTE).
pub(super) const QUOTE: u32 = 0x100;
/// A character without it (TTY_CHARMASK).
pub(super) const CHARMASK: u32 = 0xff;

/// The number of blocks that all queues share (`cslushcount`).
#[derive(Clone, Debug)]
pub struct Slush(Shared<Cell<i32>>);

impl Default for Slush {
    fn default() -> Self {
        Self(Shared::new(Cell::new(INITIAL_CBLOCKS)))
    }
}

impl Slush {
    fn add(&self, blocks: i32) {
        self.0.set(self.0.get().saturating_add(blocks));
    }

    fn is_empty(&self) -> bool {
        self.0.get() <= 0
    }
}

/// A queue (`struct clist`).
#[derive(Clone, Debug)]
pub struct Clist {
    /// The characters with their quote bits.
    chars: VecDeque<u16>,
    /// Characters of the first block that are used up.
    start: usize,
    /// Blocks that it may have (`c_cbmax`).
    max: usize,
    /// Blocks of its own (`c_cbreserved`).
    reserved: usize,
    slush: Slush,
}

impl Clist {
    /// A queue without blocks.
    pub fn new(slush: &Slush) -> Self {
        Self { chars: VecDeque::new(), start: 0, max: 0, reserved: 0, slush: slush.clone() }
    }

    /// Number of characters (`c_cc`).
    #[inline]
    pub fn len(&self) -> usize {
        self.chars.len()
    }

    /// Whether it is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.chars.is_empty()
    }

    /// Whether it has blocks of its own: a closed terminal's has none.
    pub fn is_allocated(&self) -> bool {
        self.reserved > 0
    }

    /// The structure that readers of kernel memory see; its blocks lie nowhere.
    pub(super) fn layout(&self) -> layout::Clist {
        layout::Clist {
            cc: (self.len() as i32).into(),
            cbcount: (self.blocks() as i32).into(),
            cbmax: (self.max as i32).into(),
            cbreserved: (self.reserved as i32).into(),
            ..layout::Clist::default()
        }
    }

    /// Blocks in use (`c_cbcount`).
    fn blocks(&self) -> usize {
        if self.chars.is_empty() { 0 } else { (self.start + self.chars.len()).div_ceil(CBSIZE) }
    }

    /// Gives the queue blocks for so many characters, and for so many of its own; what the first block
    /// wastes is allowed for (`clist_alloc_cblocks`).
    pub fn allocate(&mut self, max: usize, reserved: usize) {
        let blocks = |chars: usize| if chars == 0 { 0 } else { (chars + CBSIZE - 1).div_ceil(CBSIZE) };
        self.max = blocks(max);
        self.reserved =
            blocks(reserved).max(if blocks(reserved) < self.reserved { self.blocks() } else { 0 });
    }

    /// Takes its blocks away; it is empty (`clist_free_cblocks`).
    pub fn release(&mut self) {
        self.chars = VecDeque::new();
        (self.start, self.max, self.reserved) = (0, 0, 0);
    }

    /// Takes so many characters off the head, whose blocks go back.
    fn dropped(&mut self, before: usize, taken: usize) {
        self.start = if self.chars.is_empty() { 0 } else { (self.start + taken) % CBSIZE };
        self.freed(before);
    }

    /// Those of the blocks given back that were not its own are everybody's.
    fn freed(&mut self, before: usize) {
        let after = self.blocks();
        // A block counts as shared if at least as many as are its own are left.
        let shared = (after..before).filter(|&left| left >= self.reserved).count();
        if shared > 0 {
            self.slush.add(shared as i32);
        }
    }

    /// Takes the first character (`getc`).
    pub fn getc(&mut self) -> Option<u32> {
        let before = self.blocks();
        let c = self.chars.pop_front()?;
        self.dropped(before, 1);
        Some(u32::from(c))
    }

    /// Takes up to `most` characters without their quote bits (`q_to_b`).
    pub fn take(&mut self, most: usize) -> Vec<u8> {
        let before = self.blocks();
        let count = most.min(self.chars.len());
        let taken = self.chars.drain(..count).map(|c| c as u8).collect();
        self.dropped(before, count);
        taken
    }

    /// Forgets everything (`ndflush` of all, FLUSHQ).
    pub fn flush(&mut self) {
        let before = self.blocks();
        self.chars.clear();
        self.dropped(before, 0);
    }

    /// Whether one more character fits; a further block may be taken for it.
    fn room_for_one(&mut self) -> bool {
        if self.chars.is_empty() {
            self.start = 0;
            return self.reserved >= 1;
        }
        !(self.start + self.chars.len()).is_multiple_of(CBSIZE) || self.extend()
    }

    /// Takes one more block.
    fn extend(&mut self) -> bool {
        let blocks = self.blocks();
        if blocks < self.reserved {
            return true;
        }
        if blocks >= self.max || self.slush.is_empty() {
            return false;
        }
        self.slush.add(-1);
        true
    }

    /// Adds a character with its quote bit; false where it does not fit (`putc`).
    pub fn putc(&mut self, c: u32) -> bool {
        let fits = self.room_for_one();
        if fits {
            self.chars.push_back((c & (QUOTE | CHARMASK)) as u16);
        }
        fits
    }

    /// Adds bytes as far as they fit; gives how many (`b_to_q`, which gives the others).
    pub fn put(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() && self.room_for_one() {
            let room = CBSIZE - (self.start + self.chars.len()) % CBSIZE;
            let piece = bytes.get(done..bytes.len().min(done + room)).unwrap_or_default();
            self.chars.extend(piece.iter().map(|&b| u16::from(b)));
            done += piece.len();
        }
        done
    }

    /// Takes the last character back (`unputc`).
    pub fn unputc(&mut self) -> Option<u32> {
        let before = self.blocks();
        let c = self.chars.pop_back()?;
        if self.chars.is_empty() {
            self.start = 0;
        }
        self.freed(before);
        Some(u32::from(c))
    }

    /// The characters in their order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.chars.iter().map(|&c| u32::from(c))
    }

    /// The characters in their order, as an echo of the queue finds them.  As in the original the first one has no quote bit.
    pub fn scan(&self) -> impl Iterator<Item = u32> {
        let bits = |n: usize| if n == 0 { CHARMASK } else { CHARMASK | QUOTE };
        self.chars.iter().enumerate().map(move |(n, &c)| u32::from(c) & bits(n))
    }

    /// Takes the characters away and leaves the queue with its blocks (the beginning of `ttypend`).
    pub fn detach(&mut self) -> VecDeque<u16> {
        self.start = 0;
        std::mem::take(&mut self.chars)
    }

    /// Moves everything behind the characters of another queue; what does not fit there is lost (`catq`).
    pub fn append_to(&mut self, to: &mut Clist) {
        if to.is_empty() && self.blocks() <= self.max && self.blocks() <= to.max {
            to.chars = std::mem::take(&mut self.chars);
            to.start = std::mem::take(&mut self.start);
            return;
        }
        while let Some(c) = self.getc() {
            to.putc(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(slush: &Slush, max: usize, reserved: usize) -> Clist {
        let mut queue = Clist::new(slush);
        queue.allocate(max, reserved);
        queue
    }

    #[test]
    fn a_queue_without_blocks_takes_nothing() {
        let mut queue = Clist::new(&Slush::default());
        assert!(!queue.putc(1));
        assert_eq!(queue.put(b"abc"), 0);
    }

    #[test]
    fn what_fits_depends_on_where_the_queue_begins() {
        let slush = Slush::default();
        let mut outq = queue(&slush, 2252, 2252);
        assert_eq!(outq.put(&[0; 5000]), 22 * CBSIZE);
        assert_eq!(outq.take(50).len(), 50);
        assert_eq!(outq.put(&[0; 100]), 0, "the first block is still there");
        assert_eq!(outq.take(58).len(), 58);
        assert_eq!(outq.put(&[0; 200]), CBSIZE);
    }

    #[test]
    fn blocks_beyond_its_own_come_from_the_shared_ones_and_go_back() {
        let slush = Slush::default();
        let mut canq = queue(&slush, 1024, 512);
        assert_eq!(canq.put(&[0; 1024]), 1024);
        assert_eq!(slush.0.get(), INITIAL_CBLOCKS - 4);
        canq.flush();
        assert_eq!(slush.0.get(), INITIAL_CBLOCKS);
    }

    #[test]
    fn quote_bits_travel_and_the_first_is_not_seen_by_a_scan() {
        let slush = Slush::default();
        let (mut raw, mut can) = (queue(&slush, 1024, 1024), queue(&slush, 1024, 512));
        raw.putc(4 | QUOTE);
        raw.putc(5 | QUOTE);
        assert_eq!(raw.scan().collect::<Vec<_>>(), [4, 5 | QUOTE]);
        raw.append_to(&mut can);
        assert!(raw.is_empty());
        assert_eq!((can.getc(), can.unputc(), can.getc()), (Some(4 | QUOTE), Some(5 | QUOTE), None));
    }
}
