//! A copy of an address space for fork, and the pool of idle reservations.
//!
//! What was never written is not copied: such pages of files are mapped again, such anonymous
//! pages are zeros in the child too.  Written pages are copied at once, into memory that the pool
//! has kept from an earlier process where possible; large runs of them stay in common until they are
//! written ([`super::frozen`]).
//!
//! 2.1 counterpart: `vmspace_fork` (vm/vm_map.c).

use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;

use super::budget;
use super::frozen::{LARGE, LARGE_TWIN};
use super::object::{Sharing, Twins};
use super::page::{self, EOF, HELD, PAGE_SHIFT, Prot, WRITTEN};
use super::region::Span;
use super::reservation::Reservation;
use super::space::{AddressSpace, Attr, FileMode, Inherit, pages};

/// Idle reservations kept.
const KEPT: usize = 16;
/// Pages with old contents that all idle reservations together may hold (64 MiB).
const KEPT_PAGES: u32 = 16 << 10;
/// Runs of at least this many pages are populated by one call.
const POPULATED: u32 = 4;
/// Spans of touched pages beyond which a reservation is not worth keeping.
const KEPT_SPANS: usize = 32;

/// A reservation without regions; its pages are untouched or held.
pub(super) struct Idle {
    pub(super) memory: Rc<Reservation>,
    pub(super) touched: Vec<(u32, u32)>,
    /// Pages with old contents.
    used: u32,
}

thread_local! {
    static POOL: RefCell<Vec<Idle>> = const { RefCell::new(Vec::new()) };
}

/// A reservation for about `pages` pages: from the pool the one that fits best, or a new one.
pub(super) fn idle(pages: u32) -> io::Result<Idle> {
    let kept = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        let best = (0..pool.len()).min_by_key(|&i| pool.get(i).map(|idle| idle.used.abs_diff(pages)))?;
        Some(pool.swap_remove(best))
    });
    match kept.ok().flatten() {
        Some(idle) => Ok(idle),
        None => Ok(Idle { memory: Rc::new(Reservation::new()?), touched: Vec::new(), used: 0 }),
    }
}

impl AddressSpace {
    /// A copy of this space, as a child process gets it.
    pub fn fork(&mut self) -> io::Result<AddressSpace> {
        let written = self.written();
        budget::ask(u64::from(written))?;
        let mut child = Self::sized(self.mode, written)?;
        self.copy_regions(&mut child, LARGE, |attr| {
            let inherited = attr.inherit != Inherit::None;
            Ok(inherited.then(|| Attr { wired: 0, ..attr.clone() }))
        })?;
        Ok(child)
    }

    /// The same space once more, for a copy of everything: what this one has in common with others, the copy has in
    /// common with their copies.  Its pages [count](Self::count) for nobody.
    pub fn twin(&mut self, twins: &mut Twins) -> io::Result<AddressSpace> {
        let mut twin = Self::sized(self.mode, self.written())?;
        twin.count(false);
        self.copy_regions(&mut twin, LARGE_TWIN, |attr| {
            let mut attr = attr.clone();
            if let Some((object, _)) = &mut attr.object {
                *object = twins.of(object)?;
            }
            Ok(Some(attr))
        })?;
        Ok(twin)
    }

    /// Counts the written pages, or leaves them out of the count: a copy that nobody runs uses none of what a run
    /// may have.
    pub fn count(&mut self, counts: bool) {
        self.memory.pages.let_count(counts);
        for (_, attr) in self.regions.iter() {
            if let Some((object, _)) = &attr.object {
                object.count(counts);
            }
        }
    }

    /// Gives a space without regions those of this one that `copied` gives attributes for.
    fn copy_regions(
        &mut self,
        to: &mut Self,
        least: u32,
        mut copied: impl FnMut(&Attr) -> io::Result<Option<Attr>>,
    ) -> io::Result<()> {
        let all: Vec<(Span, Attr)> = self.regions.iter().map(|(span, attr)| (span, attr.clone())).collect();
        for (span, attr) in all {
            let Some(attr) = copied(&attr)? else { continue };
            to.touch(span);
            to.regions.insert(span, attr.clone());
            match &attr.object {
                Some((object, _)) if self.mode == FileMode::Mapped => {
                    let shared = object.sharing == Sharing::Shared;
                    self.fork_file(to, span, &attr, shared, least)?;
                }
                Some(_) => {
                    self.flush(span)?;
                    self.fork_copy(to, span, true, least)?;
                }
                None => self.fork_copy(to, span, false, least)?,
            }
        }
        for &page in &self.watch.borrow().pages {
            to.add_watch(page, self.memory.granules(page));
        }
        Ok(())
    }

    /// Copies held memory: the written pages, or all of them.
    fn fork_copy(&mut self, child: &mut Self, span: Span, whole: bool, least: u32) -> io::Result<()> {
        child.hold_unscrubbed(span)?;
        let copied = |byte: u8| byte & EOF == 0 && (whole || byte & WRITTEN != 0);
        let mut result = Ok(());
        self.for_runs(
            span,
            |byte| u8::from(copied(byte)),
            |space, first, count, copied| {
                if copied != 0 {
                    if !space.share_with(child, first, count, least) {
                        child.populate(first, count);
                        space.memory.copy_to(&child.memory, first << PAGE_SHIFT, count << PAGE_SHIFT);
                    }
                } else if result.is_ok() {
                    let run =
                        Span { start: first << PAGE_SHIFT, end: u64::from(first + count) << PAGE_SHIFT };
                    result = child.hold(run);
                }
            },
        );
        for page in pages(span) {
            let byte = self.memory.byte(page);
            child.memory.set_byte(page, page::settle(byte & !page::CODE | HELD));
        }
        result
    }

    /// Has the host find memory for held pages that were never used, which costs less in one call
    /// than in a fault for each page.
    fn populate(&mut self, first: u32, count: u32) {
        if count < POPULATED {
            return;
        }
        let span = Span { start: first << PAGE_SHIFT, end: u64::from(first + count) << PAGE_SHIFT };
        self.for_runs(
            span,
            |byte| byte & WRITTEN,
            |space, first, count, used| {
                if used == 0 && count >= POPULATED {
                    // Hosts before Linux 5.14 cannot; then the copy itself faults.
                    let _ = space.memory.populate(first, count);
                }
            },
        );
    }

    /// Pages whose contents are not those they were mapped with.
    pub(crate) fn written(&self) -> u32 {
        self.reckon();
        let spans = self.regions.iter().map(|(span, _)| pages(span));
        let count = spans.flatten().filter(|&page| self.memory.byte(page) & WRITTEN != 0).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Maps a file's pages again and copies the private pages that were written.
    fn fork_file(
        &mut self,
        child: &mut Self,
        span: Span,
        attr: &Attr,
        shared: bool,
        least: u32,
    ) -> io::Result<()> {
        let Some((object, offset)) = &attr.object else { return Ok(()) };
        let mut result = Ok(());
        let kind =
            |byte: u8| if byte & EOF != 0 { EOF } else { byte & WRITTEN & if shared { 0 } else { WRITTEN } };
        self.for_runs(span, kind, |space, first, count, kind| {
            let run = Span { start: first << PAGE_SHIFT, end: u64::from(first + count) << PAGE_SHIFT };
            if result.is_err() {
                return;
            }
            result = match kind {
                EOF => Ok(()),
                WRITTEN => space.fork_copy(child, run, false, least),
                _ => {
                    let at = offset + u64::from(run.start - span.start);
                    let writable = if shared { object.writable } else { attr.prot.contains(Prot::WRITE) };
                    child.memory.map_file(first, count, object.fd.as_fd(), at, shared, writable)
                }
            };
            if kind != WRITTEN {
                for page in pages(run) {
                    let held = if kind == EOF { page::unmapped(child.memory.byte(page)) } else { 0 };
                    let byte = space.memory.byte(page) & !(HELD | page::CODE);
                    let byte = if kind == EOF { byte & !WRITTEN | held } else { byte };
                    child.memory.set_byte(page, page::settle(byte));
                }
            }
        });
        result
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        if Rc::strong_count(&self.memory) > 1 {
            // A hollow space goes, or is left: the memory is another one's.
            return;
        }
        self.clear();
        self.memory.presumed.clear();
        self.watch.borrow_mut().take();
        self.watch.borrow_mut().unmix();
        self.memory.header().bus_fault.store(0, std::sync::atomic::Ordering::Relaxed);
        if self.touched.len() > KEPT_SPANS {
            return;
        }
        let room = POOL.try_with(|pool| {
            let pool = pool.borrow();
            let used: u32 = pool.iter().map(|idle| idle.used).sum();
            (pool.len() < KEPT).then_some(KEPT_PAGES.saturating_sub(used))
        });
        // While the thread ends there is no pool any more; the reservation is then unmapped.
        let Ok(Some(room)) = room else { return };
        for (first, end) in self.memory.frozen.ranges() {
            if self.memory.commit(first, end - first).is_err() {
                return;
            }
            (first..end).for_each(|page| self.memory.set_byte(page, HELD));
        }
        let mut used = 0;
        for (low, high) in self.touched.clone() {
            let span = Span { start: low << PAGE_SHIFT, end: u64::from(high) << PAGE_SHIFT };
            let mut failed = false;
            self.for_runs(
                span,
                |byte| byte & (HELD | WRITTEN),
                |space, first, count, kind| {
                    if kind != HELD | WRITTEN {
                        return;
                    }
                    if used + count <= room {
                        used += count;
                    } else {
                        failed |= space.memory.discard(first, count).is_err();
                        (first..first + count).for_each(|page| space.memory.set_byte(page, HELD));
                    }
                },
            );
            if failed {
                return;
            }
        }
        self.memory.pages.let_count(true);
        let touched = std::mem::take(&mut self.touched);
        let idle = Idle { memory: Rc::clone(&self.memory), touched, used };
        let _ = POOL.try_with(|pool| pool.borrow_mut().push(idle));
    }
}
