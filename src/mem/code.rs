//! Watching decoded code: the processor says what it decoded, and learns what was overwritten.
//!
//! Pages of a file that is also mapped shared elsewhere in the space are aliases: a store through
//! the shared mapping changes the code, so the watch covers the other address too.  Stores made
//! by another process through memory shared with it are not seen here.

use super::object::Sharing;
use super::page::{self, CODE, MAPPED, PAGE_SHIFT, PAGE_SIZE, WRITTEN};
use super::space::AddressSpace;
use super::watch;

impl AddressSpace {
    /// Says that bytes were decoded: a store to any of their granules will be reported.
    pub fn watch_code(&self, addr: u32, len: u32) {
        for (addr, len) in page::pieces(addr, len) {
            let (page, bits) = (page::of(addr), watch::granules(addr, len));
            self.add_watch(page, bits);
            for alias in self.aliases(page) {
                self.add_watch(alias, bits);
            }
        }
    }

    /// Whether code is watched in the page of an address.
    pub fn watches(&self, addr: u32) -> bool {
        self.memory.byte(page::of(addr)) & CODE != 0
    }

    /// Whether [`take_code_writes`](Self::take_code_writes) has something to give.
    pub fn code_written(&self) -> bool {
        self.watch.borrow().pending()
    }

    /// Takes the `(address, length)` of watched granules that were written, unmapped or made
    /// unreadable since the last call.  They are no longer watched: everything that was decoded
    /// from any byte of these ranges must be dropped.
    pub fn take_code_writes(&self) -> Vec<(u32, u32)> {
        self.watch.borrow_mut().take()
    }

    /// Reports a store to granules of a page; says whether any was watched.
    pub(super) fn code_hit(&self, page: u32, bits: u64) -> bool {
        let hit = self.report(page, bits);
        if hit {
            for alias in self.aliases(page) {
                self.report(alias, bits);
            }
        }
        hit
    }

    /// Reports every watched granule of a page that goes away.
    pub(super) fn forget_code(&self, page: u32) {
        self.report(page, u64::MAX);
    }

    pub(super) fn add_watch(&self, page: u32, bits: u64) {
        let byte = self.memory.byte(page);
        if byte & MAPPED == 0 || bits == 0 {
            return;
        }
        self.memory.set_granules(page, self.memory.granules(page) | bits);
        self.watch.borrow_mut().pages.insert(page);
        self.memory.set_byte(page, page::settle(byte | CODE));
    }

    fn report(&self, page: u32, bits: u64) -> bool {
        let byte = self.memory.byte(page);
        if byte & CODE == 0 {
            return false;
        }
        let watched = self.memory.granules(page);
        let hit = watched & bits;
        if hit == 0 {
            return false;
        }
        let mut watch = self.watch.borrow_mut();
        watch.report(page, hit);
        self.memory.set_granules(page, watched & !hit);
        if watched & !hit == 0 {
            watch.pages.remove(&page);
            self.memory.set_byte(page, page::settle(byte & !CODE));
        }
        true
    }

    /// Carries the watch over to pages that were just mapped shared.
    pub(super) fn watch_aliases(&self) {
        let watched: Vec<u32> = self.watch.borrow().pages.iter().copied().collect();
        for page in watched {
            for alias in self.aliases(page) {
                self.add_watch(alias, self.memory.granules(page));
            }
        }
    }

    /// Other pages of the space with the bytes of this one, as long as one of the two is shared.
    fn aliases(&self, page: u32) -> Vec<u32> {
        let addr = page << PAGE_SHIFT;
        let Some((span, attr)) = self.regions.at(addr) else { return Vec::new() };
        let Some((object, offset)) = &attr.object else { return Vec::new() };
        if object.sharing == Sharing::Private && self.memory.byte(page) & WRITTEN != 0 {
            return Vec::new();
        }
        let wanted = offset + u64::from(addr - span.start);
        let mut found = Vec::new();
        for (other_span, other) in self.regions.iter() {
            let Some((other_object, start)) = &other.object else { continue };
            let related = other_object.id == object.id
                && (object.sharing == Sharing::Shared || other_object.sharing == Sharing::Shared);
            let Some(distance) = wanted.checked_sub(*start).filter(|_| related) else { continue };
            if distance >= u64::from(other_span.len()) {
                continue;
            }
            let Ok(distance) = u32::try_from(distance) else { continue };
            let candidate = page::of(other_span.start + distance);
            let own_copy =
                other_object.sharing == Sharing::Private && self.memory.byte(candidate) & WRITTEN != 0;
            if candidate != page && !own_copy {
                found.push(candidate);
            }
        }
        found
    }

    /// Says that bytes of a file were written by other means than this space: code decoded from
    /// its mappings is reported.
    pub fn file_written(&mut self, id: super::FileId, offset: u64, len: u64) {
        let watched: Vec<u32> = self.watch.borrow().pages.iter().copied().collect();
        for page in watched {
            let addr = page << PAGE_SHIFT;
            let Some((span, attr)) = self.regions.at(addr) else { continue };
            let Some((object, start)) = &attr.object else { continue };
            let at = start + u64::from(addr - span.start);
            let own_copy = object.sharing == Sharing::Private && self.memory.byte(page) & WRITTEN != 0;
            if object.id == id && !own_copy && at < offset + len && offset < at + u64::from(PAGE_SIZE) {
                self.forget_code(page);
            }
        }
        self.refresh(id, offset, len);
    }
}
