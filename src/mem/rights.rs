//! The host's protection follows the page bytes, so that translated code needs no look at them.
//!
//! What a page byte begins to allow the host allows at once; what it ceases to allow is noted, and the host forbids
//! it before translated code runs again ([`AddressSpace::guard`]).  Until then the host allows more than the byte:
//! the processor's other forms and the kernel ask the byte anyway.  Whoever touches memory whatever the byte says
//! opens the page first ([`Reservation::open`]).
//!
//! Knows nothing of regions and files.  2.1 counterpart: `pmap_protect` (i386/i386/pmap.c).

use std::cell::{Cell, RefCell};

use super::page::{self, MAY_ALL};
use super::reservation::Reservation;
use super::space::AddressSpace;

/// Spans of pages that are noted one by one.
const SPANS: usize = 64;
/// Runs of so many fresh pages are presumed to be written, rather than guarded against their first store.
const FEW: u32 = 32;

/// Where the host may allow more than the page bytes do.
#[derive(Debug, Default)]
pub(super) struct Lax {
    any: Cell<bool>,
    /// The host has no room for more mappings: translated code must not run.
    refused: Cell<bool>,
    spans: RefCell<Vec<(u32, u32)>>,
}

impl Lax {
    /// Notes a page.
    pub(super) fn note(&self, page: u32) {
        self.any.set(true);
        let mut spans = self.spans.borrow_mut();
        if let Some((low, high)) = spans.last_mut() {
            if (*low..*high).contains(&page) {
                return;
            }
            if *high == page {
                *high += 1;
                return;
            }
        }
        if spans.len() == SPANS {
            let low = spans.iter().fold(page, |low, span| low.min(span.0));
            let high = spans.iter().fold(page + 1, |high, span| high.max(span.1));
            spans.clear();
            spans.push((low, high));
            return;
        }
        spans.push((page, page + 1));
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
    /// Brings the host's protection in line with the page bytes; whether it is, so that translated code may run.
    #[inline(always)]
    pub(crate) fn guard(&self) -> bool {
        if self.memory.lax.any.get() {
            self.memory.narrow();
        }
        !self.memory.lax.refused.get()
    }
}
