//! Large memory that processes have in common since a fork, until one of them writes to it.
//!
//! The host cannot show private memory in two places of one process.  So a large run of written pages is *frozen* at
//! its first fork, or copy of the machine: its bytes go to memory of their own, of which parent and child both have a private mapping; whoever
//! writes gets a page of its own from the host.  At later forks only the pages that were written since are copied, or,
//! where that is much of it, all is frozen anew.  To the page bytes nothing has changed: such a page is held and
//! written, and counts for each process.  Without a host that says which pages are own ones everything is copied.
//!
//! 2.1 counterpart: shadow objects (vm/vm_object.c).
#![allow(unsafe_code)] // bytes on their way to the host

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

use super::page::{self, PAGE_SHIFT, PAGE_SIZE};
use super::presumed;
use super::reservation::Reservation;
use super::space::{AddressSpace, FileMode};

/// Pages of a run that is worth freezing (4 MiB).
pub(super) const LARGE: u32 = 1024;
/// The same where all of a machine is copied, again and again (256 KiB).
pub(super) const LARGE_TWIN: u32 = 64;
/// One page in so many may have been written before a run is frozen anew.
const FEW: u32 = 4;

/// Pages that show frozen memory.
#[derive(Clone, Debug)]
struct Part {
    first: u32,
    end: u32,
    memory: Rc<OwnedFd>,
    /// Where the first page is in it.
    offset: u64,
}

impl Part {
    /// What lies inside of a range.
    fn inside(&self, first: u32, end: u32) -> Option<Self> {
        let (low, high) = (self.first.max(first), self.end.min(end));
        let offset = self.offset + (u64::from(low.saturating_sub(self.first)) << PAGE_SHIFT);
        (low < high).then(|| Self { first: low, end: high, memory: Rc::clone(&self.memory), offset })
    }
}

/// The parts of a reservation that show frozen memory; disjoint.
#[derive(Debug, Default)]
pub(super) struct Frozen(RefCell<Vec<Part>>);

impl Frozen {
    /// Takes account of pages that show something else from now on.
    #[inline]
    pub(super) fn forget(&self, first: u32, pages: u32) {
        if !self.0.borrow().is_empty() {
            self.cut(first, first + pages);
        }
    }

    #[cold]
    fn cut(&self, first: u32, end: u32) {
        let beside =
            |part: Part| [part.inside(0, first), part.inside(end, page::PAGES)].into_iter().flatten();
        self.0.replace_with(|parts| parts.drain(..).flat_map(beside).collect());
    }

    /// Whether any of the pages shows frozen memory.
    #[inline]
    pub(super) fn touches(&self, first: u32, pages: u32) -> bool {
        self.0.borrow().iter().any(|part| part.first < first + pages && first < part.end)
    }

    fn inside(&self, first: u32, end: u32) -> Vec<Part> {
        self.0.borrow().iter().filter_map(|part| part.inside(first, end)).collect()
    }

    /// Ranges of pages that show frozen memory.
    pub(super) fn ranges(&self) -> Vec<(u32, u32)> {
        self.0.borrow().iter().map(|part| (part.first, part.end)).collect()
    }
}

impl Reservation {
    fn show(&self, part: &Part) -> io::Result<()> {
        self.map_file(part.first, part.end - part.first, part.memory.as_fd(), part.offset, false, true)?;
        self.frozen.0.borrow_mut().push(part.clone());
        Ok(())
    }

    /// Copies pages to memory of their own.
    fn freeze(&self, first: u32, end: u32) -> io::Result<Part> {
        let len = (end - first) as usize * PAGE_SIZE as usize;
        let memory = memfd_create("bsd21", MemfdFlags::CLOEXEC)?;
        ftruncate(&memory, len as u64)?;
        let from = self.opened(first << PAGE_SHIFT, len, page::MAY_READ);
        let mut done = 0;
        while done < len {
            // SAFETY: `from` has `len` bytes inside the reservation, which the host lets us read; it only copies
            // them.
            let got =
                unsafe { libc::pwrite(memory.as_raw_fd(), from.add(done).cast(), len - done, done as i64) };
            match usize::try_from(got) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => done += more,
                Err(_) => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    error => return Err(error),
                },
            }
        }
        Ok(Part { first, end, memory: Rc::new(memory), offset: 0 })
    }
}

impl AddressSpace {
    /// Written pages of this space alone, about: of frozen memory a fourth may have been written.
    pub fn pages_apart(&self) -> u64 {
        let frozen: u64 =
            self.memory.frozen.ranges().iter().map(|&(first, end)| u64::from(end - first)).sum();
        self.own_pages().saturating_sub(frozen) + frozen / u64::from(FEW)
    }

    /// Has a child show a run of written pages as this space does, until one of both writes; false where that is not
    /// worth while or the host refuses: the pages are to be copied then.
    pub(super) fn share_with(&self, child: &Self, first: u32, count: u32, least: u32) -> bool {
        let worth_while = count >= least && self.mode == FileMode::Mapped && presumed::is_told();
        worth_while && self.show_both(child, first, first + count).is_ok()
    }

    fn show_both(&self, child: &Self, first: u32, end: u32) -> io::Result<()> {
        let parts = self.memory.frozen.inside(first, end);
        let covered: u32 = parts.iter().map(|part| part.end - part.first).sum();
        if covered == end - first
            && let Some(own) = self.memory.own_pages_of(first, end - first)
            && own.len() as u32 <= covered / FEW
        {
            parts.iter().try_for_each(|part| child.memory.show(part))?;
            for run in own.chunk_by(|a, b| a + 1 == *b) {
                let (Some(&start), count) = (run.first(), run.len() as u32) else { continue };
                self.memory.copy_to(&child.memory, start << PAGE_SHIFT, count << PAGE_SHIFT);
            }
            return Ok(());
        }
        let part = self.memory.freeze(first, end)?;
        child.memory.show(&part)?;
        // Where the host refuses this one, the space keeps what it has, which is the same.
        self.memory.show(&part)
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::Prot;
    use super::*;

    const RW: Prot = Prot::READ.union(Prot::WRITE);
    const AT: u32 = 0x100_0000;
    const LEN: u32 = (LARGE + 100) << PAGE_SHIFT;

    fn word(space: &AddressSpace, page: u32) -> u32 {
        space.fuword(AT + (page << PAGE_SHIFT)).unwrap()
    }

    fn set(space: &AddressSpace, page: u32, to: u32) {
        space.suword(AT + (page << PAGE_SHIFT), to).unwrap();
    }

    fn parent() -> AddressSpace {
        let mut space = AddressSpace::new().unwrap();
        space.map_anon(AT, LEN, RW).unwrap();
        (0..LEN >> PAGE_SHIFT).for_each(|page| set(&space, page, page + 1));
        space
    }

    #[test]
    fn nobody_sees_what_another_writes() {
        let mut parent = parent();
        let pages = LEN >> PAGE_SHIFT;
        let mut child = parent.fork().unwrap();
        assert_eq!(parent.memory.frozen.touches(AT >> PAGE_SHIFT, 1), presumed::is_told());
        set(&parent, 3, 300);
        set(&child, 4, 400);
        let grandchild = child.fork().unwrap();
        let second = parent.fork().unwrap();
        set(&child, 5, 500);
        // Most of it is written, and frozen anew.
        (0..pages).for_each(|page| set(&parent, page, 7));
        let third = parent.fork().unwrap();
        for page in 0..pages {
            let plain = page + 1;
            assert_eq!(word(&parent, page), 7);
            assert_eq!(word(&third, page), 7);
            assert_eq!(word(&second, page), if page == 3 { 300 } else { plain });
            assert_eq!(word(&grandchild, page), if page == 4 { 400 } else { plain });
            let of_child = match page {
                4 => 400,
                5 => 500,
                _ => plain,
            };
            assert_eq!(word(&child, page), of_child);
        }
        assert_eq!(parent.written(), pages);
        assert_eq!(child.written(), pages);
    }

    #[test]
    fn what_is_mapped_anew_is_zero() {
        for _ in 0..3 {
            let mut parent = parent();
            let mut child = parent.fork().unwrap();
            for space in [&mut parent, &mut child] {
                space.map_anon(AT + 0x10_0000, 0x20_0000, RW).unwrap();
                space.unmap(AT, 0x1000).unwrap();
                space.map_anon(AT, 0x1000, RW).unwrap();
                assert_eq!((word(space, 0), word(space, 1)), (0, 2));
                assert_eq!((word(space, 0xff), word(space, 0x100), word(space, 0x2ff)), (0x100, 0, 0));
                assert_eq!(word(space, 0x300), 0x301);
            }
            // The parts that are left belong together no longer.
            let again = parent.fork().unwrap();
            assert_eq!((word(&again, 0x100), word(&again, 0x300)), (0, 0x301));
            drop((parent, child, again));
            // Reservations are used again.
            let mut next = AddressSpace::new().unwrap();
            next.map_anon(AT, LEN, RW).unwrap();
            assert!((0..LEN >> PAGE_SHIFT).all(|page| word(&next, page) == 0));
        }
    }
}
