//! What guest memory takes of the host: written pages of this thread's address spaces, and mappings of the process.
//!
//! A page counts once it is written and as long as it is mapped for the guest; pages that wait to be used again are
//! counted apart.  Where the allowance is used up the first store to a page is refused, and the refusal is noted:
//! whoever runs the guests ends them.  The host allows a process so many mappings; the last of them are kept for
//! everything that is not guest memory, because an allocator that gets none ends the process.
//!
//! Knows neither spaces nor guests.  2.1 counterpart: none; its machine had so much memory and swap.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::page::PAGES;

thread_local! {
    static OWN: Cell<u64> = const { Cell::new(0) };
    static SPARE: Cell<u64> = const { Cell::new(0) };
    static MOST: Cell<u64> = const { Cell::new(u64::MAX) };
    static REFUSED: Cell<bool> = const { Cell::new(false) };
}

/// Pages that waiting to be used again may keep in all; beyond, they go back to the host (128 MiB).
const MOST_SPARE: u64 = 32 << 10;

/// Written pages of all address spaces of this thread.
pub fn own_pages() -> u64 {
    OWN.get()
}

/// Sets how many written pages there may be, and forgets what was refused.
pub fn allow(pages: u64) {
    MOST.set(pages);
    REFUSED.set(false);
}

/// Whether memory was refused since the last [`allow`].
#[inline]
pub fn is_refused() -> bool {
    REFUSED.get()
}

/// Whether so many more pages may be written; where they may not that is noted.
pub(super) fn has_room(pages: u64) -> bool {
    let fits = OWN.get().saturating_add(pages) <= MOST.get();
    if !fits {
        REFUSED.set(true);
    }
    fits
}

/// Whether so many pages more are far from the end of the allowance.
#[inline]
pub(super) fn has_slack(pages: u64) -> bool {
    OWN.get().saturating_add(pages) <= MOST.get()
}

/// As [`has_room`], as an error.
pub(super) fn ask(pages: u64) -> io::Result<()> {
    if has_room(pages) { Ok(()) } else { Err(io::ErrorKind::OutOfMemory.into()) }
}

/// Whether pages that are no longer mapped should go back to the host.
pub(super) fn has_enough_spare() -> bool {
    SPARE.get() > MOST_SPARE
}

/// Pages of one address space.
#[derive(Debug, Default)]
pub(super) struct Pages {
    own: Cell<i64>,
    spare: Cell<i64>,
    /// They are not among the thread's.
    apart: Cell<bool>,
}

impl Pages {
    /// Written pages.
    pub(super) fn own(&self) -> u64 {
        self.own.get().max(0).unsigned_abs()
    }

    /// Counts written pages that are mapped.
    pub(super) fn count_own(&self, change: i64) {
        self.own.set(self.own.get().saturating_add(change));
        if !self.apart.get() {
            OWN.set(OWN.get().saturating_add_signed(change));
        }
    }

    /// Counts the written pages among the thread's, or no longer.
    pub(super) fn let_count(&self, counts: bool) {
        if self.apart.replace(!counts) == counts {
            let own = if counts { self.own.get() } else { -self.own.get() };
            OWN.set(OWN.get().saturating_add_signed(own));
        }
    }

    /// Counts pages with old contents that are not.
    pub(super) fn count_spare(&self, change: i64) {
        self.spare.set(self.spare.get().saturating_add(change));
        SPARE.set(SPARE.get().saturating_add_signed(change));
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // While the thread ends nobody counts any more.
        let own = if self.apart.get() { 0 } else { self.own.get() };
        let _ = OWN.try_with(|all| all.set(all.get().saturating_add_signed(-own)));
        let _ = SPARE.try_with(|spare| spare.set(spare.get().saturating_add_signed(-self.spare.get())));
    }
}

/// Mappings that guest memory has of the host.
static MAPPINGS: AtomicUsize = AtomicUsize::new(0);
/// Mappings that are left to everything else.
const LEFT: usize = 4096;
/// What Linux allows unless told otherwise.
const USUAL: usize = 65_530;

/// Most mappings of guest memory.
fn most_mappings() -> usize {
    static MOST: OnceLock<usize> = OnceLock::new();
    *MOST.get_or_init(|| {
        let told = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok();
        let most = told.and_then(|text| text.trim().parse().ok()).unwrap_or(USUAL);
        most.saturating_sub(LEFT).max(most / 2)
    })
}

/// Whether guest memory takes a good part of the mappings that it may have.
pub fn are_mappings_scarce() -> bool {
    MAPPINGS.load(Ordering::Relaxed) > most_mappings() / 4
}

/// What a part of a reservation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Not accessible.
    Reserved,
    /// Memory.
    Memory,
    /// Part of a file.
    File,
}

/// The mappings of one reservation, at least as many as the host has for it.
#[derive(Debug)]
pub(super) struct Mappings {
    /// First page of each.
    pieces: BTreeMap<u32, Piece>,
}

impl Mappings {
    pub(super) fn new() -> Self {
        MAPPINGS.fetch_add(1, Ordering::Relaxed);
        Self { pieces: BTreeMap::from([(0, Piece::Reserved)]) }
    }

    /// Whether one more change is possible: it makes two mappings of one at most, and one of its own.
    pub(super) fn ask(&self) -> io::Result<()> {
        match MAPPINGS.load(Ordering::Relaxed) + 2 <= most_mappings() {
            true => Ok(()),
            false => Err(io::ErrorKind::OutOfMemory.into()),
        }
    }

    /// Notes that pages have become something else.
    pub(super) fn note(&mut self, first: u32, count: u32, piece: Piece) {
        let before = self.pieces.len();
        let end = first.saturating_add(count);
        if end < PAGES
            && let Some((_, &behind)) = self.pieces.range(..=end).next_back()
        {
            self.pieces.insert(end, behind);
        }
        let inside: Vec<u32> = self.pieces.range(first..end).map(|(&start, _)| start).collect();
        for start in inside {
            self.pieces.remove(&start);
        }
        // The host joins equal neighbours; memory that was used on both sides it may leave apart.
        let joins = |other: Option<&Piece>| piece != Piece::File && other == Some(&piece);
        if !joins(self.pieces.range(..first).next_back().map(|(_, piece)| piece)) {
            self.pieces.insert(first, piece);
        }
        if piece == Piece::Reserved && joins(self.pieces.get(&end)) {
            self.pieces.remove(&end);
        }
        let now = self.pieces.len();
        if now >= before {
            MAPPINGS.fetch_add(now - before, Ordering::Relaxed);
        } else {
            MAPPINGS.fetch_sub(before - now, Ordering::Relaxed);
        }
    }
}

impl Drop for Mappings {
    fn drop(&mut self) {
        MAPPINGS.fetch_sub(self.pieces.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_counted_as_the_host_counts_them() {
        let mut mappings = Mappings::new();
        let mut have = |first, count, piece| {
            mappings.note(first, count, piece);
            mappings.pieces.len()
        };
        assert_eq!(have(16, 16, Piece::Memory), 3);
        assert_eq!(have(32, 16, Piece::Memory), 3, "memory goes on");
        assert_eq!(have(20, 1, Piece::File), 5);
        assert_eq!(have(21, 1, Piece::File), 6, "another part of the file");
        assert_eq!(have(20, 2, Piece::Reserved), 5);
        assert_eq!(have(16, 4, Piece::Reserved), 3);
        assert_eq!(have(0, PAGES, Piece::Reserved), 1);
        assert_eq!(have(PAGES - 1, 1, Piece::Memory), 2);
    }

    #[test]
    fn what_is_refused_is_noted() {
        allow(own_pages() + 3);
        assert!(has_room(3) && !is_refused());
        assert!(!has_room(4) && is_refused());
        allow(u64::MAX);
        assert!(has_room(1 << 40) && !is_refused());
    }
}
