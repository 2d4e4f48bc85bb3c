//! Which bytes hold decoded code, and which of them were written since.
//!
//! A granule is 64 bytes; a page has 64 of them, one bit each of a word.  A store into a watched
//! granule is reported once: the granule is then forgotten, and whoever watches must drop
//! everything that was decoded from any byte of it.  Pure bookkeeping: the words themselves lie
//! in the reservation.
//!
//! Memory that others may change, another process or the kernel on its behalf, is not only watched: of what
//! was decoded there a copy is kept, and bytes that no longer are what they were count as written.

use std::collections::{BTreeMap, BTreeSet};

use super::page::{PAGE_SHIFT, PAGE_SIZE};

/// Logarithm of the bytes of a granule.
const GRANULE_SHIFT: u32 = 6;
/// Stores beside code that cost the host a change of protection, after which a page is mixed.
const OFTEN: u32 = 8;
/// Reports kept one by one before pages are reported whole.
const EXACT: usize = 64;

/// The granules of its page that `len` bytes at `addr` touch; the bytes must not leave the page.
pub(super) fn granules(addr: u32, len: u32) -> u64 {
    if len == 0 {
        return 0;
    }
    let offset = addr & (PAGE_SIZE - 1);
    let first = offset >> GRANULE_SHIFT;
    let last = (offset + len - 1).min(PAGE_SIZE - 1) >> GRANULE_SHIFT;
    (u64::MAX >> (63 - (last - first))) << first
}

/// The watched pages and the reports that nobody has taken yet.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Pages whose word of granules is not zero.
    pub(super) pages: BTreeSet<u32>,
    /// What the watched granules of pages that others may change held when they were decoded.
    pub(super) copies: BTreeMap<u32, Box<Page>>,
    hits: Vec<(u32, u32)>,
    /// Pages with code and with data that are written often, and how often others were.
    mixed: BTreeSet<u32>,
    beside: BTreeMap<u32, u32>,
    /// Pieces of memory that a debugger watches, and the first of them that was stored to.
    pub(super) pieces: Vec<(u32, u32)>,
    pub(super) touched: Option<u32>,
}

/// The bytes of a page.
pub(super) type Page = [u8; PAGE_SIZE as usize];

/// Copies the granules `bits` of a page.
pub(super) fn keep(copy: &mut Page, page: &Page, bits: u64) {
    let pieces = copy.chunks_exact_mut(1 << GRANULE_SHIFT).zip(page.chunks_exact(1 << GRANULE_SHIFT));
    for (n, (copy, now)) in pieces.enumerate() {
        if bits >> n & 1 != 0 {
            copy.copy_from_slice(now);
        }
    }
}

/// The granules among `bits` whose bytes are not those of the copy.
pub(super) fn differing(copy: &Page, page: &Page, bits: u64) -> u64 {
    let pieces = copy.chunks_exact(1 << GRANULE_SHIFT).zip(page.chunks_exact(1 << GRANULE_SHIFT));
    let differ = pieces.enumerate().filter(|(n, (copy, now))| bits >> n & 1 != 0 && copy != now);
    differ.fold(0, |all, (n, _)| all | 1 << n)
}

impl Watch {
    /// Whether a page holds code beside data that are written often: its stores are not watched, and whoever runs
    /// its code must look at the bytes.
    pub(super) fn is_mixed(&self, page: u32) -> bool {
        !self.mixed.is_empty() && self.mixed.contains(&page)
    }

    /// Whether nothing is mixed.
    pub(super) fn is_plain(&self) -> bool {
        self.mixed.is_empty()
    }

    /// Counts an expensive store beside code; says whether the page is mixed from now on.
    pub(super) fn count_beside(&mut self, page: u32) -> bool {
        let count = self.beside.entry(page).or_default();
        *count += 1;
        *count >= OFTEN && {
            self.beside.remove(&page);
            self.mixed.insert(page)
        }
    }

    /// Forgets what is mixed: the space gets another program.
    pub(super) fn unmix(&mut self) {
        self.mixed.clear();
        self.beside.clear();
    }

    /// Records that the granules `bits` of `page` were written.
    pub(super) fn report(&mut self, page: u32, bits: u64) {
        let base = page << PAGE_SHIFT;
        if self.hits.len() >= EXACT {
            match self.hits.iter_mut().rfind(|(addr, _)| addr >> PAGE_SHIFT == page) {
                Some(hit) => *hit = (base, PAGE_SIZE),
                None => self.hits.push((base, PAGE_SIZE)),
            }
            return;
        }
        let mut rest = bits;
        while rest != 0 {
            let first = rest.trailing_zeros();
            let run = (rest >> first).trailing_ones();
            self.hits.push((base + (first << GRANULE_SHIFT), run << GRANULE_SHIFT));
            rest &= !((u64::MAX >> (64 - run)) << first);
        }
    }

    /// Whether there is something to take.
    pub(super) fn pending(&self) -> bool {
        !self.hits.is_empty()
    }

    /// Takes the reports: `(address, length)` of whole granules.
    pub(super) fn take(&mut self) -> Vec<(u32, u32)> {
        std::mem::take(&mut self.hits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANULE: u32 = 1 << GRANULE_SHIFT;

    #[test]
    fn granules_cover_every_byte_touched() {
        assert_eq!(granules(0x1000, 1), 1);
        assert_eq!(granules(0x103f, 2), 0b11);
        assert_eq!(granules(0x1000, PAGE_SIZE), u64::MAX);
        assert_eq!(granules(0x1fff, 1), 1 << 63);
        assert_eq!(granules(0x1fff, 0), 0);
    }

    #[test]
    fn runs_of_granules_are_one_report() {
        let mut watch = Watch::default();
        watch.report(2, 0b1101);
        assert_eq!(watch.take(), [(0x2000, GRANULE), (0x2080, 2 * GRANULE)]);
        assert!(!watch.pending());
        watch.report(3, u64::MAX);
        assert_eq!(watch.take(), [(0x3000, PAGE_SIZE)]);
    }

    #[test]
    fn only_watched_granules_are_kept_and_compared() {
        let (mut copy, mut page) = ([0; PAGE_SIZE as usize], [1; PAGE_SIZE as usize]);
        keep(&mut copy, &page, 0b1001);
        assert_eq!((copy[0], copy[64], copy[255]), (1, 0, 1));
        assert_eq!(differing(&copy, &page, 0b1001), 0);
        (page[64], page[200]) = (9, 9);
        assert_eq!(differing(&copy, &page, 0b1001), 0b1000);
    }

    #[test]
    fn too_many_reports_collapse_to_pages() {
        let mut watch = Watch::default();
        for _ in 0..40 {
            watch.report(1, 0b101);
        }
        for _ in 0..40 {
            watch.report(2, 0b101);
        }
        let hits = watch.take();
        assert!(hits.len() <= EXACT + 2, "{} reports", hits.len());
        assert!(hits.contains(&(0x2000, PAGE_SIZE)));
    }
}
