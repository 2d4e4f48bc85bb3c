//! The host's protection follows the page bytes, so that translated code needs no look at them.
//!
//! What a page byte begins to allow the host allows at once; what it ceases to allow is noted, and the host forbids
//! it before translated code runs again ([`AddressSpace::guard`]).  Until then the host allows more than the byte:
//! the processor's other forms and the kernel ask the byte anyway.  Whoever touches memory whatever the byte says
//! opens the page first ([`Reservation::open`]).
//!
//! Some calls of the host take as long as to interpret a thousand instructions, and a child that is about to exit or to
//! execute another program needs none of them: translated code is kept waiting a while.
//!
//! Knows nothing of regions and files.  2.1 counterpart: `pmap_protect` (i386/i386/pmap.c).

use std::cell::{Cell, RefCell};

use super::page::{self, MAY_ALL};
use super::reservation::Reservation;
use super::space::AddressSpace;

/// Spans of pages that are kept apart.
const SPANS: usize = 64;
/// Runs of so many fresh pages are presumed to be written, rather than guarded against their first store.
const FEW: u32 = 32;

/// Where the host may allow more than the page bytes do.
#[derive(Debug, Default)]
pub(super) struct Lax {
    any: Cell<bool>,
    /// How often translated code has been kept waiting since.
    waited: Cell<u32>,
    /// The host has no room for more mappings: translated code must not run.
    refused: Cell<bool>,
    /// In order, none inside another.
    spans: RefCell<Vec<(u32, u32)>>,
}

impl Lax {
    /// Notes a page.
    pub(super) fn note(&self, page: u32) {
        if !self.any.replace(true) {
            self.waited.set(0);
        }
        let mut spans = self.spans.borrow_mut();
        let at = spans.partition_point(|span| span.1 < page);
        let next = spans.get(at + 1).copied();
        match spans.get_mut(at) {
            Some((low, high)) if page + 1 >= *low && page <= *high => {
                (*low, *high) = ((*low).min(page), (*high).max(page + 1));
                // The page may have closed the gap to the span behind.
                if let Some((_, end)) = next.filter(|&(start, _)| start == *high) {
                    *high = end;
                    spans.remove(at + 1);
                }
            }
            _ => spans.insert(at, (page, page + 1)),
        }
        if spans.len() > SPANS {
            join_nearest(&mut spans);
        }
    }
}

/// Makes one of the two spans that are nearest to each other.
fn join_nearest(spans: &mut Vec<(u32, u32)>) {
    let gaps = spans.windows(2).map(|pair| match pair {
        [(_, end), (start, _)] => start.saturating_sub(*end),
        _ => u32::MAX,
    });
    let Some((at, _)) = gaps.enumerate().min_by_key(|&(_, gap)| gap) else { return };
    let (_, end) = spans.remove(at + 1);
    if let Some(span) = spans.get_mut(at) {
        span.1 = end;
    }
}

impl Reservation {
    /// Takes account of a page byte that was just set.
    #[inline(always)]
    pub(super) fn follow(&self, page: u32, byte: u8) {
        let (wanted, given) = (page::rights(byte), self.rights(page));
        if wanted & !given != 0 {
            self.open(page, 1, wanted);
        } else if wanted != given {
            self.lax.note(page);
        }
    }

    /// Makes sure that the host allows pages this much.
    #[inline]
    pub(super) fn open(&self, page: u32, pages: u32, rights: u8) {
        if (page..page + pages).any(|page| rights & !self.rights(page) != 0) {
            self.widen(page, pages, rights);
        }
    }

    #[cold]
    #[inline(never)]
    fn widen(&self, page: u32, pages: u32, rights: u8) {
        let mut at = page;
        while at < page + pages {
            let given = self.rights(at);
            let run = (at..page + pages).take_while(|&other| self.rights(other) == given).count() as u32;
            if rights & !given != 0 {
                self.give(at, run, given | rights);
            }
            at += run;
        }
    }

    /// Gives pages, which all have the same rights, more of them.
    fn give(&self, page: u32, pages: u32, rights: u8) {
        if self.change_rights(page, pages, rights) {
            return self.note_rights(page, pages, rights);
        }
        // No room for another mapping: what the host keeps as one it changes as one.
        self.lax.refused.set(true);
        let given = self.rights(page);
        let same = |page: &u32| self.rights(*page) == given;
        let low = (0..page).rev().take_while(same).last().unwrap_or(page);
        let high = (page..page::PAGES).take_while(same).last().unwrap_or(page) + 1;
        if self.change_rights(low, high - low, rights) {
            self.note_rights(low, high - low, rights);
        }
    }

    /// Takes from the host's rights what the page bytes do not allow.
    #[cold]
    #[inline(never)]
    fn narrow(&self) {
        let spans = std::mem::take(&mut *self.lax.spans.borrow_mut());
        self.lax.any.set(false);
        let wanted = |page: u32| page::rights(self.byte(page));
        for (low, high) in spans {
            let mut at = low;
            while at < high {
                let rights = wanted(at);
                if rights == self.rights(at) {
                    at += 1;
                    continue;
                }
                let fresh = |page: &u32| page::is_fresh(self.byte(*page)) && self.rights(*page) == MAY_ALL;
                let count = (at..high).take_while(fresh).count() as u32;
                if (1..=FEW).contains(&count) && self.presume(at, count) {
                    at += count;
                    continue;
                }
                let differs = |page: &u32| wanted(*page) == rights && self.rights(*page) != rights;
                let run = (at..high).take_while(differs).count() as u32;
                if !self.change_rights(at, run, rights) {
                    self.lax.refused.set(true);
                    return;
                }
                for page in at..at + run {
                    self.note_rights(page, 1, rights);
                }
                at += run;
            }
        }
    }
}

impl AddressSpace {
    /// Brings the host's protection in line with the page bytes when it has been asked to more than `patience` times;
    /// whether it is, so that translated code may run.
    #[inline(always)]
    pub(crate) fn guard(&self, patience: u32) -> bool {
        let lax = &self.memory.lax;
        if lax.any.get() {
            if lax.waited.get() < patience {
                lax.waited.set(lax.waited.get() + 1);
                return false;
            }
            self.memory.narrow();
        }
        !lax.refused.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(pages: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
        let lax = Lax::default();
        pages.for_each(|page| lax.note(page));
        lax.spans.take()
    }

    #[test]
    fn pages_make_few_spans_in_whatever_order_they_are_noted() {
        assert_eq!(noted([5, 6, 7, 5, 6].into_iter()), [(5, 8)]);
        assert_eq!(noted([7, 6, 5].into_iter()), [(5, 8)]);
        assert_eq!(noted([9, 1, 9, 1, 2].into_iter()), [(1, 3), (9, 10)]);
        assert_eq!(noted([5, 7, 6, 7, 8, 9].into_iter()), [(5, 10)]);
    }

    #[test]
    fn what_is_far_apart_stays_apart() {
        let far = page::PAGES - 1;
        let spans = noted((0..2 * SPANS as u32).map(|n| 3 * n).chain([far]));
        assert_eq!(spans.len(), SPANS);
        assert_eq!(spans.last(), Some(&(far, far + 1)));
        assert_eq!(spans.first().map(|span| span.0), Some(0));
        assert!(spans.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }
}
