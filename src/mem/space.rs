//! The address space: map, protect, unmap, and the list of regions.
//!
//! Two things are kept in step: the regions (what the kernel's vm map shows) and the page bytes
//! (what the processor asks).  Host memory outlives its mapping: unmapped anonymous pages stay
//! *held* and are zeroed when they are mapped again, because a host page fault costs ten times
//! what zeroing costs.
//!
//! Knows no processes and no guest calls: argument checks of mmap and friends are the kernel's.
//!
//! 2.1 counterpart: vm/vm_map.c.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::atomic::Ordering;

use super::budget;
use super::fork::{self, Idle};
use super::object::{FileId, Object, SharedMemory, Sharing};
use super::page::{self, CODE, EOF, HELD, PAGE_SHIFT, PAGE_SIZE, Prot, WRITTEN};
use super::presumed;
use super::region::{Attribute, RegionMap, Span};
use super::reservation::Reservation;
use super::texts::Texts;
use super::watch::Watch;
use crate::trapframe::{Access, Fault, FaultCause};

/// Pages that are zeroed by hand when mapped again; longer runs are given back to the host.
const ZERO_BY_HAND: u32 = 256;
/// Most regions of a space: each may cost a mapping of the host, of which it allows a process some 65,000.  2.1 has
/// no such number; its kernel stops when it has no memory for one more entry of a map.
pub const MOST_REGIONS: usize = 8192;
/// Anonymous memory is committed in steps of this many pages where the neighbourhood is untouched.
const COMMIT_STEP: u32 = 16;

/// How files get into guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileMode {
    /// By the host's mmap: file and memory are the same bytes.
    Mapped,
    /// By reading them; shared pages are written back.  For hosts whose pages are larger than 4096.
    Copied,
}

/// What a child process gets of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inherit {
    /// A copy; shared mappings stay shared.
    Copy,
    /// Nothing.
    None,
}

/// What a region shows, for readers outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// Private memory that began as zeros.
    Anonymous,
    /// Memory that began as zeros and is shared with the processes that inherit it.
    SharedAnonymous {
        /// Identity of the memory.
        id: FileId,
        /// Offset of the region's first byte in it.
        offset: u64,
    },
    /// A file.
    File {
        /// Which file.
        id: FileId,
        /// Offset of the region's first byte in it.
        offset: u64,
        /// What a store means.
        sharing: Sharing,
    },
}

/// A range of guest memory with one set of attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First address.
    pub start: u32,
    /// Bytes.
    pub len: u32,
    /// What the guest may do.
    pub prot: Prot,
    /// What it may ask for.
    pub max_prot: Prot,
    /// What a child gets.
    pub inherit: Inherit,
    /// How often it was wired; a child begins with 0.
    pub wired: u32,
    /// What is below.
    pub backing: Backing,
}

/// Attribute of a region.
#[derive(Clone, Debug)]
pub(super) struct Attr {
    pub(super) prot: Prot,
    pub(super) max_prot: Prot,
    pub(super) inherit: Inherit,
    pub(super) wired: u32,
    /// The object and the offset in it; none for anonymous memory.
    pub(super) object: Option<(Rc<Object>, u64)>,
}

impl Attr {
    /// The file mapped shared, if that is what this is.
    pub(super) fn shared(&self) -> bool {
        self.object.as_ref().is_some_and(|(object, _)| object.sharing == Sharing::Shared)
    }
}

impl Attribute for Attr {
    fn advanced(&self, bytes: u32) -> Self {
        let mut part = self.clone();
        if let Some((_, offset)) = &mut part.object {
            *offset += u64::from(bytes);
        }
        part
    }

    fn continues(&self, before: &Self, bytes: u32) -> bool {
        let same_object = match (&self.object, &before.object) {
            (None, None) => true,
            (Some((a, at)), Some((b, before_at))) => Rc::ptr_eq(a, b) && *at == before_at + u64::from(bytes),
            _ => false,
        };
        same_object
            && self.prot == before.prot
            && self.max_prot == before.max_prot
            && self.inherit == before.inherit
            && self.wired == before.wired
    }
}

/// The memory of one guest process.
pub struct AddressSpace {
    pub(super) memory: Rc<Reservation>,
    pub(super) regions: RegionMap<Attr>,
    pub(super) watch: RefCell<Watch>,
    pub(super) texts: Texts,
    /// Spans of pages whose bytes may be nonzero, ascending and apart.
    pub(super) touched: Vec<(u32, u32)>,
    pub(super) mode: FileMode,
}

impl std::fmt::Debug for AddressSpace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddressSpace").field("regions", &self.regions().count()).finish_non_exhaustive()
    }
}

impl AddressSpace {
    /// An empty space.
    pub fn new() -> io::Result<Self> {
        let mapped = rustix::param::page_size() == PAGE_SIZE as usize;
        Self::with_mode(if mapped { FileMode::Mapped } else { FileMode::Copied })
    }

    /// Makes sure that `count` spaces can be had now: they wait in the pool.
    pub fn reserve(count: usize) -> io::Result<()> {
        (0..count).map(|_| Self::new()).collect::<io::Result<Vec<_>>>().map(drop)
    }

    /// An empty space with a given way to map files ([`FileMode::Copied`] works everywhere).
    pub fn with_mode(mode: FileMode) -> io::Result<Self> {
        Self::sized(mode, 0)
    }

    /// An empty space that will have about `pages` written pages.
    pub(super) fn sized(mode: FileMode, pages: u32) -> io::Result<Self> {
        let Idle { memory, touched, .. } = fork::idle(pages)?;
        Ok(Self {
            memory,
            regions: RegionMap::default(),
            watch: RefCell::default(),
            texts: Texts::default(),
            touched,
            mode,
        })
    }

    /// A space without regions in the same place, for the moment until the memory of a copy is there: nothing may be
    /// mapped in it.
    pub fn hollow(&self) -> Self {
        Self {
            memory: Rc::clone(&self.memory),
            regions: RegionMap::default(),
            watch: RefCell::default(),
            texts: Texts::default(),
            touched: Vec::new(),
            mode: self.mode,
        }
    }

    /// Maps zeroed private memory over whatever was there.
    pub fn map_anon(&mut self, addr: u32, len: u32, prot: Prot) -> io::Result<()> {
        let span = page_span(addr, len)?;
        self.ask_for_regions(span, 3)?;
        self.take_out(span);
        let attr = Attr { prot, max_prot: Prot::all(), inherit: Inherit::Copy, wired: 0, object: None };
        self.blank(span, prot)?;
        self.regions.insert(span, attr);
        Ok(())
    }

    /// Maps zeroed memory that stays shared with children.
    pub fn map_anon_shared(&mut self, addr: u32, len: u32, prot: Prot) -> io::Result<()> {
        page_span(addr, len)?;
        self.map_object(addr, len, prot, Object::of_memory(len)?, 0)
    }

    /// Maps the first `len` bytes of shared memory over whatever was there.
    pub fn map_shared(&mut self, addr: u32, len: u32, prot: Prot, memory: &SharedMemory) -> io::Result<()> {
        self.map_object(addr, len, prot, Rc::clone(&memory.0), 0)
    }

    /// Maps a file over whatever was there.  `offset` is a multiple of the page size.  Pages
    /// beyond the file's present end are part of the region but fault ([`FaultCause::BeyondEof`]).
    /// A shared mapping of a file that is not open for writing can never become writable.
    #[expect(clippy::too_many_arguments, reason = "the arguments of mmap")]
    pub fn map_file(
        &mut self,
        addr: u32,
        len: u32,
        prot: Prot,
        file: BorrowedFd<'_>,
        offset: u64,
        sharing: Sharing,
        id: FileId,
    ) -> io::Result<()> {
        page_span(addr, len)?;
        let object = Object::of_file(file, id, sharing)?;
        if sharing == Sharing::Shared && prot.contains(Prot::WRITE) && !object.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if !offset.is_multiple_of(u64::from(PAGE_SIZE)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.map_object(addr, len, prot, object, offset)
    }

    fn map_object(
        &mut self,
        addr: u32,
        len: u32,
        prot: Prot,
        object: Rc<Object>,
        offset: u64,
    ) -> io::Result<()> {
        let span = page_span(addr, len)?;
        self.ask_for_regions(span, 3)?;
        let size = rustix::fs::fstat(object.fd.as_fd())?.st_size.unsigned_abs();
        self.take_out(span);
        let attr = Attr {
            prot,
            max_prot: Prot::all(),
            inherit: Inherit::Copy,
            wired: 0,
            object: Some((Rc::clone(&object), offset)),
        };
        self.place(span, &attr, size)?;
        self.texts.note_new(&attr);
        self.regions.insert(span, attr);
        self.watch_aliases();
        Ok(())
    }

    /// Changes what the guest may do with the mapped pages of a range; holes are passed over.
    /// Fails, without changing anything, where a shared mapping cannot become writable.
    pub fn protect(&mut self, addr: u32, len: u32, prot: Prot) -> io::Result<()> {
        let span = page_span(addr, len)?;
        let parts = self.regions.inside(span);
        let refused = |attr: &Attr| {
            attr.object.as_ref().is_some_and(|(o, _)| o.sharing == Sharing::Shared && !o.writable)
        };
        if prot.contains(Prot::WRITE) && parts.iter().any(|(_, attr)| refused(attr)) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.ask_for_regions(span, 0)?;
        self.texts.note_change(span);
        for (part, attr) in parts {
            self.texts.note_new(&Attr { prot, ..attr });
            for page in pages(part) {
                let byte = self.memory.byte(page);
                let new = page::compose(byte, prot);
                self.memory.set_byte(page, new);
                if byte & CODE != 0 && new & page::READ == 0 {
                    self.forget_code(page);
                }
            }
        }
        self.regions.update(span, |attr| attr.prot = prot);
        Ok(())
    }

    /// Removes whatever is mapped in a range.
    pub fn unmap(&mut self, addr: u32, len: u32) -> io::Result<()> {
        let span = page_span(addr, len)?;
        self.ask_for_regions(span, 0)?;
        self.take_out(span);
        Ok(())
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        let all: Vec<Span> = self.regions.iter().map(|(span, _)| span).collect();
        for span in all {
            self.take_out(span);
        }
        self.watch.borrow_mut().unmix();
    }

    /// Sets what may be asked for later; the present protection is left to the caller.
    pub fn set_max_protection(&mut self, addr: u32, len: u32, max_prot: Prot) -> io::Result<()> {
        let span = page_span(addr, len)?;
        self.ask_for_regions(span, 0)?;
        self.regions.update(span, |attr| attr.max_prot = max_prot);
        Ok(())
    }

    /// Sets what a child gets of a range.
    pub fn set_inheritance(&mut self, addr: u32, len: u32, inherit: Inherit) -> io::Result<()> {
        let span = page_span(addr, len)?;
        self.ask_for_regions(span, 0)?;
        self.regions.update(span, |attr| attr.inherit = inherit);
        Ok(())
    }

    /// Counts a range as wired once more, or once less.  Nothing else depends on it.
    pub fn wire(&mut self, addr: u32, len: u32, wire: bool) -> io::Result<()> {
        let span = page_span(addr, len)?;
        self.ask_for_regions(span, 0)?;
        self.regions.update(span, |attr| {
            attr.wired = if wire { attr.wired.saturating_add(1) } else { attr.wired.saturating_sub(1) };
        });
        Ok(())
    }

    /// Refuses a change of a span that could make more than [`MOST_REGIONS`] of its regions and `more` new ones.
    fn ask_for_regions(&self, span: Span, more: usize) -> io::Result<()> {
        let needed = self.regions.cuts(span) + more;
        match needed == 0 || self.regions.len() + needed <= MOST_REGIONS {
            true => Ok(()),
            false => Err(io::ErrorKind::OutOfMemory.into()),
        }
    }

    /// Pages that the guest has written to.
    pub fn own_pages(&self) -> u64 {
        self.memory.pages.own()
    }

    /// The mapped ranges in order of their addresses.
    pub fn regions(&self) -> impl Iterator<Item = Region> {
        self.regions.iter().map(|(span, attr)| describe(span, attr))
    }

    /// The region that holds an address.
    pub fn region_at(&self, addr: u32) -> Option<Region> {
        self.regions.at(addr).map(|(span, attr)| describe(span, attr))
    }

    /// The parts of regions that lie in a range.
    pub fn regions_in(&self, addr: u32, len: u32) -> Vec<Region> {
        let Some(span) = Span::new(addr, len) else { return Vec::new() };
        self.regions.inside(span).iter().map(|(span, attr)| describe(*span, attr)).collect()
    }

    /// The lowest address from `hint` upwards where `len` bytes are free.
    pub fn find_space(&self, hint: u32, len: u32) -> Option<u32> {
        self.regions.find_space(hint, len)
    }

    /// Whether the page of an address is in use: written, or part of a file that the host has.
    pub fn resident(&self, addr: u32) -> bool {
        self.reckon();
        self.is_resident(page::of(addr))
    }

    fn is_resident(&self, page: u32) -> bool {
        let byte = self.memory.byte(page);
        byte & page::MAPPED != 0 && byte & EOF == 0 && (byte & WRITTEN != 0 || byte & HELD == 0)
    }

    /// Pages that are in use ([`resident`](Self::resident)).
    pub fn resident_pages(&self) -> u32 {
        self.reckon();
        let all = self.regions.iter().flat_map(|(span, _)| pages(span));
        all.filter(|&page| self.is_resident(page)).count() as u32
    }

    /// Whether [`take_bus_fault`](Self::take_bus_fault) has something to give.
    #[inline]
    pub fn has_bus_fault(&self) -> bool {
        self.memory.header().bus_fault.load(Ordering::Relaxed) != 0
    }

    /// The bus error that the host reported since the last call: a file was truncated from outside.
    pub fn take_bus_fault(&self) -> Option<Fault> {
        if !self.has_bus_fault() {
            return None;
        }
        let raw = self.memory.header().bus_fault.swap(0, Ordering::Relaxed);
        let address = u32::try_from(raw.wrapping_sub(1)).ok()?;
        // The zeros that the handler put there are open to everybody.
        self.memory.lax.note(page::of(address));
        Some(Fault { address, access: Access::Read, cause: FaultCause::BeyondEof })
    }

    /// Takes a span out of the regions; its pages lose their bytes and the watch on their code.
    pub(super) fn take_out(&mut self, span: Span) {
        if self.mode == FileMode::Copied {
            self.write_back(span);
        }
        self.texts.note_change(span);
        for (part, attr) in self.regions.inside(span) {
            let private = attr.object.as_ref().is_some_and(|(object, _)| object.sharing == Sharing::Private);
            for page in pages(part) {
                self.forget_code(page);
                if private && self.memory.byte(page) & (WRITTEN | HELD) == WRITTEN {
                    self.memory.pages.count_own(-1);
                }
            }
            self.for_runs(
                part,
                |byte| byte & HELD,
                |space, first, count, held| {
                    if held == 0 {
                        // The host refuses only when it is out of mappings; the pages then stay as
                        // they are, out of the guest's reach, and the next mapping replaces them.
                        let _ = space.memory.release(first, count);
                    }
                    for page in first..first + count {
                        space.memory.set_byte(page, page::unmapped(space.memory.byte(page)));
                    }
                    if held != 0 && budget::has_enough_spare() {
                        space.give_back(first, count);
                    }
                },
            );
        }
        self.regions.carve(span);
    }

    /// Gives the host back the memory of pages that are not mapped.
    fn give_back(&mut self, first: u32, count: u32) {
        // A refusal costs memory that is used again, and nothing else.
        if self.mode == FileMode::Mapped && self.memory.discard(first, count).is_ok() {
            (first..first + count).for_each(|page| self.memory.set_byte(page, HELD));
        }
    }

    /// Gives a span zeroed memory and its bytes.
    pub(super) fn blank(&mut self, span: Span, prot: Prot) -> io::Result<()> {
        self.hold(span)?;
        for page in pages(span) {
            self.memory.set_byte(page, page::compose(HELD, prot));
        }
        Ok(())
    }

    /// Makes every page of a span held and zero.  The span's pages have no bytes yet.
    pub(super) fn hold(&mut self, span: Span) -> io::Result<()> {
        self.hold_unscrubbed(span)?;
        let mut result = Ok(());
        self.for_runs(
            span,
            |byte| byte & WRITTEN,
            |space, first, count, written| {
                if written != 0 && result.is_ok() {
                    result = space.scrub(first, count);
                }
            },
        );
        result
    }

    /// Makes every page of a span held; old contents stay.
    pub(super) fn hold_unscrubbed(&mut self, span: Span) -> io::Result<()> {
        self.touch(span);
        let mut result = Ok(());
        self.for_runs(
            span,
            |byte| byte & HELD,
            |space, first, count, held| {
                if held == 0 && result.is_ok() {
                    result = space.commit(first, count);
                }
            },
        );
        result
    }

    /// Makes held pages zero.
    fn scrub(&self, first: u32, count: u32) -> io::Result<()> {
        // Where the host tells which pages it had to find memory for, it must have none for these.
        if count <= ZERO_BY_HAND && !presumed::is_told() || self.mode == FileMode::Copied {
            self.memory.zero(first << PAGE_SHIFT, count << PAGE_SHIFT);
        } else {
            self.memory.discard(first, count)?;
        }
        for page in first..first + count {
            self.memory.set_byte(page, HELD);
        }
        Ok(())
    }

    /// Commits pages, and untouched neighbours up to the next step.
    fn commit(&mut self, first: u32, count: u32) -> io::Result<()> {
        let host = u32::try_from(rustix::param::page_size()).unwrap_or(PAGE_SIZE) / PAGE_SIZE;
        let step = COMMIT_STEP.max(host);
        let virgin = |page: u32| self.memory.byte(page) == 0;
        let mut low = first;
        while !low.is_multiple_of(step) && virgin(low - 1) {
            low -= 1;
        }
        let mut high = first + count;
        while !high.is_multiple_of(step) && virgin(high) {
            high += 1;
        }
        self.memory.commit(low, high - low)?;
        self.touch(Span { start: low << PAGE_SHIFT, end: u64::from(high) << PAGE_SHIFT });
        for page in low..high {
            self.memory.set_byte(page, HELD);
        }
        Ok(())
    }

    /// Calls `run(space, first page, pages, kind)` for runs of pages whose bytes are of one kind.
    pub(super) fn for_runs(
        &mut self,
        span: Span,
        kind: impl Fn(u8) -> u8,
        mut run: impl FnMut(&mut Self, u32, u32, u8),
    ) {
        let all = pages(span);
        let mut first = all.start;
        while first < all.end {
            let this = kind(self.memory.byte(first));
            let mut end = first + 1;
            while end < all.end && kind(self.memory.byte(end)) == this {
                end += 1;
            }
            run(self, first, end - first, this);
            first = end;
        }
    }

    /// Remembers that page bytes of a span may be nonzero.
    pub(super) fn touch(&mut self, span: Span) {
        let (mut low, mut high) = (pages(span).start, pages(span).end);
        if self.touched.iter().any(|&(a, b)| a <= low && high <= b) {
            return;
        }
        self.touched.retain(|&(a, b)| {
            let apart = b < low || high < a;
            if !apart {
                low = low.min(a);
                high = high.max(b);
            }
            apart
        });
        self.touched.push((low, high));
    }
}

/// The span of a page-aligned range.
pub(super) fn page_span(addr: u32, len: u32) -> io::Result<Span> {
    let aligned = page::aligned(addr) && page::aligned(len);
    Span::new(addr, len).filter(|_| aligned).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// The page numbers of a span.
#[allow(clippy::cast_possible_truncation)] // at most 2^20
pub(super) fn pages(span: Span) -> std::ops::Range<u32> {
    page::of(span.start)..(span.end >> PAGE_SHIFT) as u32
}

fn describe(span: Span, attr: &Attr) -> Region {
    let backing = match &attr.object {
        None => Backing::Anonymous,
        Some((object, offset)) if object.anonymous => {
            Backing::SharedAnonymous { id: object.id, offset: *offset }
        }
        Some((object, offset)) => Backing::File { id: object.id, offset: *offset, sharing: object.sharing },
    };
    Region {
        start: span.start,
        len: span.len(),
        prot: attr.prot,
        max_prot: attr.max_prot,
        inherit: attr.inherit,
        wired: attr.wired,
        backing,
    }
}
