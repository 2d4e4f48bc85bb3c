//! Watching decoded code: the processor says what it decoded, and learns what was overwritten.
//!
//! Pages of a file that is also mapped shared elsewhere in the space are aliases: a store through
//! the shared mapping changes the code, so the watch covers the other address too.
//!
//! An i386 sees code that another process has changed in memory shared with it.  Only one process runs at a
//! time, so that it is enough to look before a process goes on: [`AddressSpace::code_written`] compares what
//! was decoded in shared memory, and in private pages of a file that somebody maps shared, with what is there.

use super::object::{self, Object, Sharing};
use super::page::{self, CODE, MAPPED, PAGE_SHIFT, PAGE_SIZE, WRITTEN};
use super::space::AddressSpace;
use super::watch;

impl AddressSpace {
    /// Says that bytes were decoded: a store to any of their granules will be reported.
    pub fn watch_code(&self, addr: u32, len: u32) {
        if self.has_texts() {
            return;
        }
        for (addr, len) in page::pieces(addr, len) {
            let (page, bits) = (page::of(addr), watch::granules(addr, len));
            self.add_watch(page, bits);
            for alias in self.aliases(page) {
                self.add_watch(alias, bits);
            }
        }
    }

    /// Whether stores to some of these bytes are not watched, because they lie on pages whose data are written too
    /// often for that, or because code is shared and they are no text: whoever runs code of theirs must look at it first.
    pub fn is_mixed(&self, addr: u32, len: u32) -> bool {
        if self.has_texts() {
            return !self.is_text(addr, len);
        }
        let watch = self.watch.borrow();
        !watch.is_plain() && page::pieces(addr, len).any(|(at, _)| watch.is_mixed(page::of(at)))
    }

    /// Reports bytes as written: somebody has looked and found others.
    pub fn note_code_change(&self, addr: u32, len: u32) {
        let mut watch = self.watch.borrow_mut();
        for (addr, len) in page::pieces(addr, len) {
            watch.report(page::of(addr), watch::granules(addr, len));
        }
    }

    /// Watches pieces of memory, `(address, length)`, for a debugger: whoever stores to one stops behind the instruction.
    /// Call it before each run; a hit is told once.
    pub fn watch_memory(&self, pieces: &[(u32, u32)]) {
        if self.watch.borrow().pieces.is_empty() && pieces.is_empty() {
            return;
        }
        self.watch.borrow_mut().pieces = pieces.to_vec();
        for (at, len) in pieces.iter().flat_map(|&(at, len)| page::pieces(at, len)) {
            self.add_watch(page::of(at), watch::granules(at, len));
        }
    }

    /// Whether a watched piece was stored to.
    #[inline]
    pub fn is_touched(&self) -> bool {
        self.watch.borrow().touched.is_some()
    }

    /// The watched piece that was stored to since the last call.
    pub fn take_touched(&self) -> Option<u32> {
        self.watch.borrow_mut().touched.take()
    }

    /// Takes account of a store to a page that is watched.
    pub(super) fn note_touch(&self, addr: u32, len: u32) {
        let mut watch = self.watch.borrow_mut();
        let meets = |&&(at, size): &&(u32, u32)| {
            u64::from(addr) < u64::from(at) + u64::from(size)
                && u64::from(at) < u64::from(addr) + u64::from(len)
        };
        let found = watch.pieces.iter().find(meets).map(|&(at, _)| at);
        watch.touched = watch.touched.or(found);
    }

    /// A store to a page with code has cost a change of protection: where that happens often the page is no longer
    /// watched.  Says whether that is so from now on.
    pub(super) fn count_beside(&self, page: u32) -> bool {
        if self.watches_memory_of(page) {
            return false;
        }
        let mixed = self.watch.borrow_mut().count_beside(page);
        if mixed {
            self.forget_code(page);
        }
        mixed
    }

    /// Whether [`take_code_writes`](Self::take_code_writes) has something to give.
    #[inline]
    pub fn code_written(&self) -> bool {
        if !self.watch.borrow().copies.is_empty() {
            self.compare_code();
        }
        self.watch.borrow().pending()
    }

    /// Reports watched granules that others have changed.
    #[cold]
    #[inline(never)]
    fn compare_code(&self) {
        let changed: Vec<(u32, u64)> = {
            let watch = self.watch.borrow();
            let changed = watch.copies.iter().map(|(&page, copy)| {
                (page, watch::differing(copy, &self.bytes_of(page), self.memory.granules(page)))
            });
            changed.filter(|&(_, bits)| bits != 0).collect()
        };
        for (page, bits) in changed {
            self.report(page, bits);
        }
        // The file under a page may have become shorter: the program is told when it goes there.
        let _ = self.take_bus_fault();
    }

    fn bytes_of(&self, page: u32) -> watch::Page {
        let mut bytes = [0; PAGE_SIZE as usize];
        self.memory.read(page << PAGE_SHIFT, &mut bytes);
        bytes
    }

    /// Whether others may change the bytes of a page: it is shared, or belongs to a file that somebody maps
    /// shared and has no copy of its own.
    fn changes_outside(&self, page: u32) -> bool {
        let mapped = self.regions.at(page << PAGE_SHIFT).and_then(|(_, attr)| attr.object.as_ref());
        mapped.is_some_and(|(object, _)| self.is_changed_by_others(page, object))
    }

    fn is_changed_by_others(&self, page: u32, object: &Object) -> bool {
        match object.sharing {
            Sharing::Shared => true,
            Sharing::Private => self.memory.byte(page) & WRITTEN == 0 && object::is_shared(object.id),
        }
    }

    /// Says that somebody maps a file shared from now on: what was decoded from private pages of it may change.
    pub fn file_shared(&self, id: super::FileId) {
        self.texts.note_file(id);
        let watched: Vec<u32> = self.watch.borrow().pages.iter().copied().collect();
        for page in watched {
            let mapped = self.regions.at(page << PAGE_SHIFT).and_then(|(_, attr)| attr.object.as_ref());
            if mapped.is_some_and(|(object, _)| object.id == id && self.is_changed_by_others(page, object)) {
                self.keep_copy(page, self.memory.granules(page));
            }
        }
    }

    /// Keeps what granules of a page hold now.
    fn keep_copy(&self, page: u32, bits: u64) {
        let bytes = self.bytes_of(page);
        let mut watch = self.watch.borrow_mut();
        let copy = watch.copies.entry(page).or_insert_with(|| Box::new([0; PAGE_SIZE as usize]));
        watch::keep(copy, &bytes, bits);
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
        if byte & MAPPED == 0 || bits == 0 || self.watch.borrow().is_mixed(page) {
            return;
        }
        let before = self.memory.granules(page);
        self.memory.set_granules(page, before | bits);
        if self.changes_outside(page) {
            // What was watched before is compared with what was decoded then.
            self.keep_copy(page, bits & !before);
        }
        self.watch.borrow_mut().pages.insert(page);
        self.memory.set_byte(page, page::settle(byte | CODE));
    }

    /// Whether a debugger watches memory of a page.
    fn watches_memory_of(&self, page: u32) -> bool {
        let in_page = |&(at, len): &(u32, u32)| page::pieces(at, len).any(|(at, _)| page::of(at) == page);
        self.watch.borrow().pieces.iter().any(in_page)
    }

    /// The granules of a page that a debugger watches: they stay watched.
    fn kept_granules(&self, page: u32) -> u64 {
        let watch = self.watch.borrow();
        let pieces = watch.pieces.iter().flat_map(|&(at, len)| page::pieces(at, len));
        pieces
            .filter(|&(at, _)| page::of(at) == page)
            .fold(0, |bits, (at, len)| bits | watch::granules(at, len))
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
        let left = watched & !hit | watched & self.kept_granules(page);
        let mut watch = self.watch.borrow_mut();
        watch.report(page, hit);
        self.memory.set_granules(page, left);
        if left == 0 {
            watch.pages.remove(&page);
            watch.copies.remove(&page);
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
        self.texts.note_file(id);
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
