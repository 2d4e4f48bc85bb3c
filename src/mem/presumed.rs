//! Pages that count as written although nobody has seen a store: translated code may have made one.
//!
//! To see the first store to a page costs the host two changes of protection and a signal.  So fresh pages in small
//! numbers, and those behind one that was just written, are *presumed* to be written and left open; whoever wants to
//! know what was written has it [reckoned](AddressSpace::reckon): the host says which pages it had to find memory
//! for.  Where it does not say, or memory is short, every first store is seen instead.
//!
//! Knows pages only.  2.1 counterpart: none; its hardware kept a bit for each page.
#![allow(unsafe_code)] // a page to try the host with

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::ptr;
use std::sync::OnceLock;

use rustix::mm::{self, Advice, MapFlags, ProtFlags};

use super::budget;
use super::page::{self, MAY_ALL, MAY_READ, MAY_WRITE, PAGE_SIZE, WRITTEN};
use super::reservation::Reservation;
use super::space::AddressSpace;

/// Pages behind one that was just written that are presumed at first, and at most.
const WINDOW: (u32, u32) = (16, 512);
/// Pages that must be left of the allowance for any to be presumed.
const SLACK: u64 = 4096;

/// What is presumed of a reservation.
#[derive(Debug, Default)]
pub(super) struct Presumed {
    spans: RefCell<Vec<(u32, u32)>>,
    /// Where the last window ended, and its size.
    window: Cell<(u32, u32)>,
}

impl Presumed {
    fn add(&self, first: u32, pages: u32) {
        let mut spans = self.spans.borrow_mut();
        match spans.last_mut() {
            Some((_, end)) if *end == first => *end += pages,
            _ => spans.push((first, first + pages)),
        }
    }

    /// Forgets everything: the reservation gets another space.
    pub(super) fn clear(&self) {
        self.spans.borrow_mut().clear();
    }
}

impl Reservation {
    /// Presumes fresh pages to be written, where that is possible; the host allows stores to them already.
    pub(super) fn presume(&self, first: u32, pages: u32) -> bool {
        let may = may_presume(pages);
        if may {
            for page in first..first + pages {
                self.set_byte(page, page::settle(self.byte(page) | WRITTEN));
            }
            self.presumed.add(first, pages);
        }
        may
    }

    /// Opens a page that is about to be written for the first time, and some behind it.
    #[cold]
    #[inline(never)]
    pub(super) fn open_ahead(&self, page: u32) {
        let (end, size) = self.presumed.window.get();
        let size = if page == end { (size * 2).clamp(WINDOW.0, WINDOW.1) } else { WINDOW.0 };
        let fresh = |page: &u32| page::is_fresh(self.byte(*page)) && self.rights(*page) == MAY_READ;
        let run = (page + 1..page::PAGES.min(page + 1 + size)).take_while(fresh).count() as u32;
        self.presumed.window.set((page + 1 + run, size));
        if run > 0 && may_presume(run) {
            self.open(page, run + 1, MAY_ALL);
            if self.rights(page + run) & MAY_WRITE != 0 {
                self.presume(page + 1, run);
            }
        }
    }

    /// Those of some pages, shown from a file privately, that the host has copied since; none where it does not tell.
    pub(super) fn own_pages_of(&self, first: u32, pages: u32) -> Option<Vec<u32>> {
        let words = self.host_pages(first, pages)?;
        Some(
            (first..first + pages)
                .zip(words)
                .filter(|&(_, word)| is_own_copy(word))
                .map(|(page, _)| page)
                .collect(),
        )
    }

    /// What the host says of pages: see proc_pid_pagemap(5).
    fn host_pages(&self, first: u32, pages: u32) -> Option<Vec<u64>> {
        let start = self.base().as_ptr() as u64 / u64::from(PAGE_SIZE) + u64::from(first);
        read(pagemap()?, start, pages as usize)
    }
}

impl AddressSpace {
    /// Takes back what was presumed and is not so.
    pub(super) fn reckon(&self) {
        let spans = self.memory.presumed.spans.take();
        for (first, end) in spans {
            let Some(words) = self.memory.host_pages(first, end - first) else { continue };
            for (page, word) in (first..end).zip(words) {
                let byte = self.memory.byte(page);
                if !has_memory(word) && page::is_own(byte) {
                    self.memory.set_byte(page, page::settle(byte & !WRITTEN));
                }
            }
        }
    }

    /// Reckons where memory is short, so that what is left of it counts exactly.
    #[inline]
    pub(super) fn reckon_if_short(&self) {
        if !budget::has_slack(SLACK) {
            self.reckon();
        }
    }
}

/// Whether so many pages may be presumed.
fn may_presume(pages: u32) -> bool {
    budget::has_slack(u64::from(pages) + SLACK) && is_told()
}

/// Whether the host says which pages it had to find memory for.
pub(super) fn is_told() -> bool {
    pagemap().is_some()
}

/// Whether the host has memory of its own for a private page: it is there, and nobody else has it, as everybody has the
/// page of zeros; or it is swapped.
fn has_memory(word: u64) -> bool {
    const SWAPPED: u64 = 1 << 62;
    const OWN: u64 = 1 << 63 | 1 << 56;
    word & SWAPPED != 0 || word & OWN == OWN
}

/// Whether a page of a private mapping of a file is no longer the file's.
fn is_own_copy(word: u64) -> bool {
    const SWAPPED: u64 = 1 << 62;
    const PRESENT: u64 = 1 << 63;
    const OF_FILE: u64 = 1 << 61;
    word & SWAPPED != 0 || word & (PRESENT | OF_FILE) == PRESENT
}

fn read(map: &File, first: u64, pages: usize) -> Option<Vec<u64>> {
    let mut bytes = vec![0; pages * size_of::<u64>()];
    map.read_exact_at(&mut bytes, first * size_of::<u64>() as u64).ok()?;
    Some(bytes.chunks_exact(8).filter_map(|word| Some(u64::from_le_bytes(word.try_into().ok()?))).collect())
}

/// What the host tells of pages, if it does.
fn pagemap() -> Option<&'static File> {
    static PAGEMAP: OnceLock<Option<File>> = OnceLock::new();
    PAGEMAP.get_or_init(|| File::open("/proc/self/pagemap").ok().filter(tells)).as_ref()
}

/// Tries it with three pages, of which one is written, one read, one left alone.
fn tells(map: &File) -> bool {
    const PAGES: usize = 3;
    const SIZE: usize = PAGE_SIZE as usize;
    if rustix::param::page_size() != SIZE {
        return false;
    }
    let (open, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: a new anonymous mapping at an address of the host's choice touches nothing.
    let Ok(start) = (unsafe { mm::mmap_anonymous(ptr::null_mut(), PAGES * SIZE, open, flags) }) else {
        return false;
    };
    // SAFETY: the three pages of the mapping that was just made, which nobody else knows.
    let words = unsafe {
        let _ = mm::madvise(start, PAGES * SIZE, Advice::LinuxNoHugepage);
        start.cast::<u8>().write_volatile(1);
        std::hint::black_box(start.cast::<u8>().add(SIZE).read_volatile());
        let words = read(map, start as u64 / SIZE as u64, PAGES);
        let _ = mm::munmap(start, PAGES * SIZE);
        words
    };
    words.is_some_and(|words| words.iter().map(|&word| has_memory(word)).eq([true, false, false]))
}

#[cfg(test)]
mod tests {
    use super::super::page::Prot;
    use super::*;

    const RW: Prot = Prot::READ.union(Prot::WRITE);

    #[test]
    fn what_was_presumed_and_not_written_is_taken_back() {
        let mut space = AddressSpace::new().unwrap();
        space.map_anon(0x10000, 0x10000, RW).unwrap();
        assert!(space.guard(0));
        let all = space.written();
        assert_eq!(all, 0, "nothing was written");
        space.copyout(0x12000, b"x").unwrap();
        // Open for translated code, whether the host tells or not.
        assert!(space.guard(0));
        assert_eq!(space.written(), 1);
        assert_eq!(space.resident_pages(), 1);
        let child = space.fork().unwrap();
        assert_eq!(child.written(), 1);
    }

    #[test]
    fn pages_that_are_used_again_count_as_fresh() {
        for _ in 0..3 {
            let mut space = AddressSpace::new().unwrap();
            space.map_anon(0x10000, 0x10000, RW).unwrap();
            space.copyout(0x10000, &[1; 0x10000]).unwrap();
            space.map_anon(0x10000, 0x10000, RW).unwrap();
            assert!(space.guard(0));
            assert_eq!(space.written(), 0);
        }
    }
}
