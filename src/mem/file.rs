//! Files under mappings: placing their pages, sizes that change, writing back.
//!
//! A file is mapped on the host only inside its size, rounded up to a page; guest pages beyond are
//! part of their region but marked [`EOF`].  The kernel tells when a file's size changes.
//!
//! 2.1 counterpart: `vnode_pager_setsize` and `vm_object_page_clean` (vm/vnode_pager.c, vm_object.c).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use super::budget;
use super::object::{FileId, Object, Sharing};
use super::page::{self, EOF, HELD, PAGE_SHIFT, PAGE_SIZE, Prot, WRITTEN};
use super::region::Span;
use super::space::{AddressSpace, Attr, FileMode, page_span, pages};

impl AddressSpace {
    /// Gives a span the pages of its file, as far as the file of `size` bytes has any.
    pub(super) fn place(&mut self, span: Span, attr: &Attr, size: u64) -> io::Result<()> {
        let Some((_, offset)) = &attr.object else { return Ok(()) };
        self.touch(span);
        let room = size.saturating_sub(*offset).next_multiple_of(u64::from(PAGE_SIZE));
        let end = span.end.min(u64::from(span.start) + room);
        let inside = Span { start: span.start, end };
        if !inside.is_empty() {
            self.place_inside(inside, attr)?;
        }
        for page in pages(span).skip(pages(inside).len()) {
            let held = page::unmapped(self.memory.byte(page));
            self.memory.set_byte(page, page::compose(held | EOF, attr.prot));
        }
        Ok(())
    }

    /// Gives a span, all of it inside the file, the pages of the file.
    pub(super) fn place_inside(&mut self, span: Span, attr: &Attr) -> io::Result<()> {
        let Some((object, offset)) = &attr.object else { return Ok(()) };
        let shared = object.sharing == Sharing::Shared;
        let facts = match self.mode {
            FileMode::Mapped => {
                let count = pages(span).len();
                let count = u32::try_from(count).unwrap_or(0);
                let writable = if shared { object.writable } else { attr.prot.contains(Prot::WRITE) };
                self.memory.map_file(
                    page::of(span.start),
                    count,
                    object.fd.as_fd(),
                    *offset,
                    shared,
                    writable,
                )?;
                if shared { WRITTEN } else { 0 }
            }
            FileMode::Copied => {
                self.hold(span)?;
                for page in pages(span) {
                    let at = offset + u64::from((page << PAGE_SHIFT) - span.start);
                    self.load_page(page, object.fd.as_fd(), at)?;
                }
                HELD
            }
        };
        for page in pages(span) {
            self.memory.set_byte(page, page::compose(facts, attr.prot));
        }
        Ok(())
    }

    /// Reads one page of a file into a held page; what the file does not have is zero.
    fn load_page(&self, page: u32, fd: BorrowedFd<'_>, offset: u64) -> io::Result<()> {
        let addr = page << PAGE_SHIFT;
        let have = self.memory.read_file(fd, offset, addr, PAGE_SIZE)?;
        self.memory.zero(addr + have, PAGE_SIZE - have);
        Ok(())
    }

    /// Maps private memory over whatever was there and fills it from a file, which is left alone from
    /// then on.  Where most of a small range is going to be written, as in the data of a program, that
    /// costs less than a mapping and its page faults.  What the file does not have is zero.
    pub fn map_copy(
        &mut self,
        addr: u32,
        len: u32,
        prot: Prot,
        file: BorrowedFd<'_>,
        offset: u64,
    ) -> io::Result<()> {
        budget::ask(u64::from(len >> PAGE_SHIFT))?;
        self.map_anon(addr, len, prot)?;
        let have = self.memory.read_file(file, offset, addr, len)?;
        if have > 0 {
            for page in page::of(addr)..=page::of(addr + (have - 1)) {
                self.memory.set_byte(page, page::settle(self.memory.byte(page) | WRITTEN));
            }
        }
        Ok(())
    }

    /// Says that a file is about to get a smaller size: call it before the host's file shrinks.
    /// Pages wholly beyond fault from now on; private pages that were written keep their bytes,
    /// as in 2.1, where they lie in an object of their own.
    pub fn truncate_file(&mut self, id: FileId, size: u64) -> io::Result<()> {
        self.texts.note_file(id);
        for (span, attr) in self.mappings(id) {
            let Some((object, offset)) = &attr.object else { continue };
            let private = object.sharing == Sharing::Private;
            for page in pages(span) {
                let at = offset + u64::from((page << PAGE_SHIFT) - span.start);
                let byte = self.memory.byte(page);
                if at < size || byte & EOF != 0 {
                    continue;
                }
                let own = private && byte & WRITTEN != 0;
                if own && byte & HELD == 0 {
                    self.detach(page)?;
                } else if !own {
                    self.forget_code(page);
                    if byte & HELD == 0 {
                        self.memory.release(page, 1)?;
                    }
                    let kept = if byte & HELD == 0 { 0 } else { HELD | WRITTEN };
                    self.memory.set_byte(page, page::compose(kept | EOF, attr.prot));
                }
            }
        }
        Ok(())
    }

    /// Says that the bytes of a file are those of another file of the host from now on, `file`, which holds the
    /// same: mappings that follow the file show the other one, private pages that were written stay.
    pub fn move_file(&mut self, id: FileId, file: BorrowedFd<'_>) -> io::Result<()> {
        self.texts.note_file(id);
        for (span, attr) in self.mappings(id) {
            let Some((old, offset)) = &attr.object else { continue };
            let object = Object::of_file(file, id, old.sharing)?;
            let shared = object.sharing == Sharing::Shared;
            if self.mode == FileMode::Mapped {
                let inside = |byte: u8| byte & (EOF | HELD) == 0;
                for page in pages(span) {
                    let byte = self.memory.byte(page);
                    if !shared && inside(byte) && byte & WRITTEN != 0 {
                        self.detach(page)?;
                    }
                }
                let clean: Vec<u32> = pages(span).filter(|&page| inside(self.memory.byte(page))).collect();
                for run in clean.chunk_by(|a, b| a + 1 == *b) {
                    let (Some(&first), count) = (run.first(), run.len()) else { continue };
                    let at = offset + u64::from((first << PAGE_SHIFT) - span.start);
                    let count = u32::try_from(count).unwrap_or(0);
                    let writable = !shared || object.writable;
                    self.memory.map_file(first, count, object.fd.as_fd(), at, shared, writable)?;
                }
            }
            let moved = Rc::clone(&object);
            self.regions.update(span, |attr| {
                if let Some((object, _)) = &mut attr.object {
                    *object = Rc::clone(&moved);
                }
            });
        }
        Ok(())
    }

    /// Says that a file has a larger size now: pages that were beyond its end become accessible.
    pub fn note_file_size(&mut self, id: FileId, size: u64) -> io::Result<()> {
        self.texts.note_file(id);
        for (span, attr) in self.mappings(id) {
            let Some((_, offset)) = attr.object.clone() else { continue };
            let beyond: Vec<u32> = pages(span)
                .filter(|&page| self.memory.byte(page) & EOF != 0)
                .filter(|&page| offset + u64::from((page << PAGE_SHIFT) - span.start) < size)
                .collect();
            for run in beyond.chunk_by(|a, b| a + 1 == *b) {
                let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
                let part = Span { start: first << PAGE_SHIFT, end: u64::from(last + 1) << PAGE_SHIFT };
                for page in pages(part) {
                    self.memory.set_byte(page, page::unmapped(self.memory.byte(page)));
                }
                let attr = super::region::Attribute::advanced(&attr, part.start - span.start);
                self.place_inside(part, &attr)?;
            }
        }
        Ok(())
    }

    /// Writes changed pages of shared mappings in a range to their files.
    pub fn sync(&mut self, addr: u32, len: u32, wait: bool) -> io::Result<()> {
        let span = page_span(addr, len)?;
        if self.mode == FileMode::Copied {
            return self.flush(span);
        }
        for (part, attr) in self.regions.inside(span) {
            if attr.shared() {
                let mut result = Ok(());
                self.for_runs(
                    part,
                    |byte| byte & EOF,
                    |space, first, count, eof| {
                        if eof == 0 && result.is_ok() {
                            result = space.memory.sync(first, count, wait);
                        }
                    },
                );
                result?;
            }
        }
        Ok(())
    }

    /// Reads bytes of a file again that were written by other means; only copies need it.
    pub(super) fn refresh(&mut self, id: FileId, from: u64, len: u64) {
        if self.mode == FileMode::Mapped {
            return;
        }
        for (span, attr) in self.mappings(id) {
            let Some((object, offset)) = &attr.object else { continue };
            for page in pages(span) {
                let at = offset + u64::from((page << PAGE_SHIFT) - span.start);
                let touched = at < from + len && from < at + u64::from(PAGE_SIZE);
                let clean =
                    object.sharing == Sharing::Shared && self.memory.byte(page) & (WRITTEN | EOF) == 0;
                if touched && clean {
                    // A file that cannot be read any more leaves the old bytes, as a cache would.
                    let _ = self.load_page(page, object.fd.as_fd(), at);
                }
            }
        }
    }

    /// Writes changed copies of shared file pages to the file.
    pub(super) fn flush(&mut self, span: Span) -> io::Result<()> {
        for (part, attr) in self.regions.inside(span) {
            let Some((object, offset)) = attr.object.as_ref().filter(|_| attr.shared()) else { continue };
            let size = rustix::fs::fstat(object.fd.as_fd())?.st_size.unsigned_abs();
            for page in pages(part) {
                let byte = self.memory.byte(page);
                let at = offset + u64::from((page << PAGE_SHIFT) - part.start);
                if byte & (WRITTEN | EOF) != WRITTEN || at >= size {
                    continue;
                }
                let mut buf = [0; PAGE_SIZE as usize];
                self.memory.read(page << PAGE_SHIFT, &mut buf);
                let inside = usize::try_from(size - at).unwrap_or(usize::MAX).min(buf.len());
                rustix::io::pwrite(object.fd.as_fd(), buf.get(..inside).unwrap_or(&buf), at)?;
                self.memory.set_byte(page, page::settle(byte & !WRITTEN));
            }
        }
        Ok(())
    }

    /// Flushes copies that are about to be unmapped, and marks them as not zero.
    pub(super) fn write_back(&mut self, span: Span) {
        // Like a write-behind cache: an error has nobody left to be told.
        let _ = self.flush(span);
        for (part, attr) in self.regions.inside(span) {
            if attr.object.is_some() {
                for page in pages(part) {
                    self.memory.set_byte(page, self.memory.byte(page) | WRITTEN);
                }
            }
        }
    }

    /// Turns a written private page of a file into memory of its own.
    fn detach(&mut self, page: u32) -> io::Result<()> {
        let mut buf = [0; PAGE_SIZE as usize];
        self.memory.read(page << PAGE_SHIFT, &mut buf);
        self.memory.commit(page, 1)?;
        self.memory.write(page << PAGE_SHIFT, &buf);
        self.memory.pages.count_own(-1);
        self.memory.set_byte(page, page::settle(self.memory.byte(page) | HELD));
        Ok(())
    }

    fn mappings(&self, id: FileId) -> Vec<(Span, Attr)> {
        self.regions
            .iter()
            .filter(|(_, attr)| attr.object.as_ref().is_some_and(|(object, _)| object.id == id))
            .map(|(span, attr)| (span, attr.clone()))
            .collect()
    }
}
