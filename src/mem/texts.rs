//! Text that nobody changes: code that processes which map the same files at the same places have in common.
//!
//! A text is a region that shows a file privately, may be executed and not written, and none of whose pages was ever
//! written.  As long as a space is as it was when it [adopted](AddressSpace::adopt_texts) its texts, whatever was
//! learned from the bytes of one with the same texts holds here too; every change that concerns one is noted at once.
//! A file that was changed a moment ago may be changed again without its times telling so: it is no text yet, nor is
//! one that somebody maps so that stores change it.
//!
//! Knows nothing of instructions.  2.1 counterpart: `p_textvp` and VTEXT (kern/kern_exec.c).

use std::cell::{Cell, RefCell};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::AsFd;
use std::time::SystemTime;

use rustix::fs::fstat;

use super::FileId;
use super::object::{self, Sharing};
use super::page::{self, EOF, PAGE_SHIFT, PAGE_SIZE, Prot, READ, WRITTEN};
use super::region::Span;
use super::space::{AddressSpace, Attr, pages};

/// Seconds after which the times of a file tell whether it was changed.
const SETTLED: u64 = 2;

/// A text: where it is, and what it shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Text {
    start: u32,
    len: u32,
    id: FileId,
    offset: u64,
    size: i64,
    modified: (i64, u64),
    changed: (i64, u64),
}

/// The texts that a space has adopted.
#[derive(Debug)]
pub(super) struct Texts {
    /// First and last page of each, and its file.
    adopted: RefCell<Vec<(u32, u32, FileId)>>,
    changed: Cell<bool>,
    written: Cell<bool>,
}

impl Default for Texts {
    fn default() -> Self {
        Self { adopted: RefCell::default(), changed: Cell::new(true), written: Cell::new(false) }
    }
}

impl Texts {
    fn are_some(&self) -> bool {
        !self.adopted.borrow().is_empty()
    }

    fn hold(&self, page: u32) -> bool {
        self.adopted.borrow().iter().any(|&(first, last, _)| (first..=last).contains(&page))
    }

    /// Says that a span is mapped otherwise from now on.
    pub(super) fn note_change(&self, span: Span) {
        let pages = pages(span);
        if self.adopted.borrow().iter().any(|&(first, last, _)| first < pages.end && pages.start <= last) {
            self.changed.set(true);
        }
    }

    /// Says that there may be a new text.
    pub(super) fn note_new(&self, attr: &Attr) {
        if is_candidate(attr) {
            self.changed.set(true);
        }
    }

    /// Says that a file is no longer what it was.
    pub(super) fn note_file(&self, id: FileId) {
        if self.adopted.borrow().iter().any(|&(.., file)| file == id) {
            self.changed.set(true);
        }
    }

    /// Says that a page is about to be written.
    #[inline]
    pub(super) fn note_store(&self, page: u32) {
        if self.are_some() && self.hold(page) {
            self.changed.set(true);
            self.written.set(true);
        }
    }
}

/// Whether a region may be a text.
fn is_candidate(attr: &Attr) -> bool {
    let private = attr.object.as_ref().is_some_and(|(object, _)| object.sharing == Sharing::Private);
    private && attr.prot.contains(Prot::READ | Prot::EXEC) && !attr.prot.contains(Prot::WRITE)
}

impl AddressSpace {
    /// Whether texts are no longer those that were adopted.
    #[inline]
    pub fn texts_changed(&self) -> bool {
        self.texts.changed.get()
    }

    /// Whether bytes of a text were changed in this space since its texts were last adopted or let go.
    pub fn texts_written(&self) -> bool {
        self.texts.written.get()
    }

    /// Whether all of the bytes lie in texts that were adopted.
    pub fn is_text(&self, addr: u32, len: u32) -> bool {
        page::pieces(addr, len).all(|(at, _)| self.texts.hold(page::of(at)))
    }

    /// Whether any text was adopted.
    pub fn has_texts(&self) -> bool {
        self.texts.are_some()
    }

    /// Gives the texts as they are now, of which a change will be noted.
    pub fn adopt_texts(&self) -> Vec<Text> {
        let mut found: Vec<Text> =
            self.regions.iter().filter_map(|(span, attr)| self.text(span, attr)).collect();
        if !found.is_empty() {
            found.extend(self.regions.iter().flat_map(|(span, attr)| self.constant_pages(span, attr)));
        }
        let pages = |text: &Text| (page::of(text.start), page::of(text.start + (text.len - 1)), text.id);
        *self.texts.adopted.borrow_mut() = found.iter().map(pages).collect();
        self.texts.changed.set(false);
        self.texts.written.set(false);
        found
    }

    /// Lets all texts go: this space is on its own.
    pub fn let_texts_go(&self) {
        self.texts.adopted.borrow_mut().clear();
        self.texts.changed.set(false);
        self.texts.written.set(false);
    }

    /// Pages above the data segment, where the signal trampoline is: the guest can never write them, and the kernel
    /// fills them alike.
    fn constant_pages(&self, span: Span, attr: &Attr) -> Vec<Text> {
        let constant =
            attr.object.is_none() && !attr.max_prot.contains(Prot::WRITE) && !attr.prot.contains(Prot::WRITE);
        if !constant || page::placed(page::of(span.start), READ) != 0 {
            return Vec::new();
        }
        let filled = pages(span).filter(|&page| self.memory.byte(page) & (WRITTEN | EOF) == WRITTEN);
        let text = |page: u32| {
            let mut bytes = [0; PAGE_SIZE as usize];
            self.memory.read(page << PAGE_SHIFT, &mut bytes);
            // Hardly anything of it is filled.
            let (chunks, _) = bytes.as_chunks::<16>();
            let filled = chunks.iter().rposition(|&chunk| chunk != [0; 16]).map_or(0, |last| last + 1);
            let mut hasher = DefaultHasher::new();
            chunks.iter().take(filled).for_each(|chunk| chunk.hash(&mut hasher));
            let id = FileId { dev: u64::MAX, ino: hasher.finish() };
            let (start, len) = (page << PAGE_SHIFT, PAGE_SIZE);
            Text { start, len, id, offset: 0, size: 0, modified: (0, 0), changed: (0, 0) }
        };
        filled.map(text).collect()
    }

    fn text(&self, span: Span, attr: &Attr) -> Option<Text> {
        let (object, offset) = attr.object.as_ref().filter(|_| is_candidate(attr))?;
        let untouched = pages(span).all(|page| self.memory.byte(page) & (WRITTEN | EOF) == 0);
        if !untouched || object::is_shared(object.id) {
            return None;
        }
        let stat = fstat(object.fd.as_fd()).ok()?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
        let settled = |seconds: i64| u64::try_from(seconds).is_ok_and(|then| then + SETTLED < now);
        (settled(stat.st_ctime) && settled(stat.st_mtime)).then(|| Text {
            start: span.start,
            len: span.len(),
            id: object.id,
            offset: *offset,
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        })
    }
}
