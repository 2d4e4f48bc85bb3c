//! Host memory of one address space: reserve, commit, map a file, release; raw bytes.
//!
//! One mapping holds everything, so that a single pointer (the base) reaches all of it:
//!
//! ```text
//! base - HEADER    header: where the space lives, the last bus fault
//! base - GRANULES  a word of watched granules for each page (8 MiB, lazily committed)
//! base - RIGHTS    what the host allows, a byte for each page (1 MiB, lazily committed)
//! base - TABLE     the page byte of each page               (1 MiB, lazily committed)
//! base - GUARD     never accessible
//! base             the guest's 4 GiB
//! base + 4 GiB     never accessible
//! ```
//!
//! Page granularity of this file is the guest's; on hosts with larger pages [`Reservation::commit`]
//! and [`Reservation::discard`] round, and files must not be mapped (see [`super::file`]).
//! Knows no regions and decides nothing: it is the part that has to be read with care, because
//! `unsafe` is here, in [`super::view`] and in [`super::bus`] only.
#![allow(unsafe_code)] // the island of D5: each block carries its proof

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use rustix::mm::{self, Advice, MapFlags, MprotectFlags, ProtFlags};

use super::budget::{Mappings, Pages, Piece};
use super::bus;
use super::frozen::Frozen;
use super::page::{self, PAGE_SIZE, PAGES};
use super::presumed::Presumed;
use super::rights::Lax;
use super::space::AddressSpace;

const SPACE: usize = 1 << 32;
/// At least the largest host page, and more than the largest single access.
pub(super) const GUARD: usize = 64 << 10;
pub(super) const TABLE: usize = GUARD + PAGES as usize;
pub(super) const RIGHTS: usize = TABLE + PAGES as usize;
pub(super) const GRANULES: usize = RIGHTS + PAGES as usize * 8;
pub(super) const HEADER: usize = GRANULES + GUARD;

/// First bytes of the mapping.
#[repr(C)]
pub(super) struct Header {
    /// The space whose views are in use; see [`super::view::View`].
    pub(super) space: Cell<*const AddressSpace>,
    /// Address of the last bus error plus one, or zero.  Set by the signal handler.
    pub(super) bus_fault: AtomicU64,
}

/// The mapping; unmapped when dropped.
pub(super) struct Reservation {
    base: NonNull<u8>,
    node: &'static bus::Node,
    /// Where the host may allow more than the page bytes do.
    pub(super) lax: Lax,
    /// Pages that translated code may have written.
    pub(super) presumed: Presumed,
    /// Pages that other reservations show as well, until they are written.
    pub(super) frozen: Frozen,
    /// Pages that it takes of the host.
    pub(super) pages: Pages,
    /// Mappings that it takes of the host.
    mappings: RefCell<Mappings>,
}

impl Reservation {
    pub(super) fn new() -> io::Result<Self> {
        let whole = HEADER + SPACE + GUARD;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new anonymous mapping at an address of the host's choice touches nothing.
        let start = unsafe { mm::mmap_anonymous(ptr::null_mut(), whole, ProtFlags::empty(), flags)? };
        // SAFETY: the first HEADER - GUARD bytes of the mapping that was just made.
        let opened =
            unsafe { mm::mprotect(start, HEADER - GUARD, MprotectFlags::READ | MprotectFlags::WRITE) };
        // Pages come one by one, so that those that were never written can be told from others.
        // SAFETY: advice about the same mapping, which changes no contents; a host without huge pages refuses it.
        let _ = unsafe { mm::madvise(start, whole, Advice::LinuxNoHugepage) };
        // SAFETY: HEADER bytes into the same mapping.
        let base = NonNull::new(unsafe { start.cast::<u8>().add(HEADER) });
        match (opened, base) {
            (Ok(()), Some(base)) => Ok(Self {
                base,
                node: bus::register(base.as_ptr() as usize),
                lax: Lax::default(),
                presumed: Presumed::default(),
                frozen: Frozen::default(),
                pages: Pages::default(),
                mappings: RefCell::new(Mappings::new()),
            }),
            (opened, _) => {
                // SAFETY: exactly the mapping made above, which nobody has seen.
                unsafe { mm::munmap(start, whole)? };
                Err(opened.err().unwrap_or(rustix::io::Errno::NOMEM).into())
            }
        }
    }

    /// Host address of guest address 0.
    pub(super) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(super) fn header(&self) -> &Header {
        // SAFETY: the header lies HEADER bytes before the base, is aligned to a page, readable and
        // writable as long as the mapping lives, and zero bytes are a valid header; only shared
        // references to it exist and its fields are cells.
        unsafe { self.base.sub(HEADER).cast::<Header>().as_ref() }
    }

    /// The page byte.
    #[inline(always)]
    pub(super) fn byte(&self, page: u32) -> u8 {
        self.table_entry(page).load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(super) fn set_byte(&self, page: u32, byte: u8) {
        let entry = self.table_entry(page);
        let old = entry.load(Ordering::Relaxed);
        let byte = page::placed(page, byte);
        entry.store(byte, Ordering::Relaxed);
        let changed = |is: fn(u8) -> bool| i64::from(is(byte)) - i64::from(is(old));
        let (own, spare) = (changed(page::is_own), changed(page::is_spare));
        if own != 0 {
            self.pages.count_own(own);
        }
        if spare != 0 {
            self.pages.count_spare(spare);
        }
        self.follow(page, byte);
    }

    /// What the host allows with a page: see [`page::rights`].
    #[inline(always)]
    pub(super) fn rights(&self, page: u32) -> u8 {
        self.rights_entry(page).load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(super) fn note_rights(&self, page: u32, pages: u32, rights: u8) {
        for page in page..page + pages {
            self.rights_entry(page).store(rights, Ordering::Relaxed);
            if rights != page::rights(self.byte(page)) {
                self.lax.note(page);
            }
        }
    }

    #[inline(always)]
    fn rights_entry(&self, page: u32) -> &AtomicU8 {
        debug_assert!(page < PAGES, "page number {page:#x}");
        // SAFETY: as for the page bytes.
        unsafe { self.base.sub(RIGHTS).add((page & (PAGES - 1)) as usize).cast::<AtomicU8>().as_ref() }
    }

    /// Has the host give pages these rights; whether it does.
    pub(super) fn change_rights(&self, page: u32, pages: u32, rights: u8) -> bool {
        let mut flags = MprotectFlags::empty();
        flags.set(MprotectFlags::READ, rights & page::MAY_READ != 0);
        flags.set(MprotectFlags::WRITE, rights & page::MAY_WRITE != 0);
        let (start, len) = self.host(page, pages);
        // SAFETY: pages of our own reservation, into which nobody holds references; whoever reads or writes
        // them looks at the page byte or at the rights first.
        unsafe { mm::mprotect(start, len, flags) }.is_ok()
    }

    #[inline(always)]
    fn table_entry(&self, page: u32) -> &AtomicU8 {
        debug_assert!(page < PAGES, "page number {page:#x}");
        // SAFETY: the mask keeps the index inside the PAGES bytes of the table, which are readable
        // and writable as long as the mapping lives; AtomicU8 may be shared.
        unsafe { self.base.sub(TABLE).add((page & (PAGES - 1)) as usize).cast::<AtomicU8>().as_ref() }
    }

    /// The watched granules of a page.
    pub(super) fn granules(&self, page: u32) -> u64 {
        self.granule_word(page).get()
    }

    pub(super) fn set_granules(&self, page: u32, bits: u64) {
        self.granule_word(page).set(bits);
    }

    fn granule_word(&self, page: u32) -> &Cell<u64> {
        debug_assert!(page < PAGES, "page number {page:#x}");
        // SAFETY: as for the table: PAGES aligned words, only reached by shared references to cells
        // of one thread (the type is not Sync).
        unsafe { self.base.sub(GRANULES).cast::<Cell<u64>>().add((page & (PAGES - 1)) as usize).as_ref() }
    }

    fn host(&self, page: u32, pages: u32) -> (*mut c_void, usize) {
        assert!(u64::from(page) + u64::from(pages) <= u64::from(PAGES), "pages inside the space");
        let offset = page as usize * PAGE_SIZE as usize;
        // SAFETY: the assertion keeps the offset inside the 4 GiB behind the base.
        (unsafe { self.base.as_ptr().add(offset) }.cast(), pages as usize * PAGE_SIZE as usize)
    }

    /// Makes pages private anonymous memory, readable, writable, zero.
    pub(super) fn commit(&self, page: u32, pages: u32) -> io::Result<()> {
        self.mappings.borrow().ask()?;
        self.anonymous(page, pages, ProtFlags::READ | ProtFlags::WRITE)?;
        self.mappings.borrow_mut().note(page, pages, Piece::Memory);
        Ok(())
    }

    /// Gives pages back to the reservation.
    pub(super) fn release(&self, page: u32, pages: u32) -> io::Result<()> {
        self.mappings.borrow().ask()?;
        self.anonymous(page, pages, ProtFlags::empty())?;
        self.mappings.borrow_mut().note(page, pages, Piece::Reserved);
        Ok(())
    }

    fn anonymous(&self, page: u32, pages: u32, prot: ProtFlags) -> io::Result<()> {
        let (start, len) = self.host(page, pages);
        let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
        // SAFETY: replaces pages inside our own reservation; nobody holds a reference into them,
        // because none leaves this module's raw reads and writes.
        unsafe { mm::mmap_anonymous(start, len, prot, flags)? };
        self.frozen.forget(page, pages);
        self.note_rights(page, pages, if prot.is_empty() { 0 } else { page::MAY_ALL });
        Ok(())
    }

    /// Maps part of a file.
    pub(super) fn map_file(
        &self,
        page: u32,
        pages: u32,
        fd: BorrowedFd<'_>,
        offset: u64,
        shared: bool,
        writable: bool,
    ) -> io::Result<()> {
        self.mappings.borrow().ask()?;
        let (start, len) = self.host(page, pages);
        let flags =
            MapFlags::FIXED | if shared { MapFlags::SHARED } else { MapFlags::PRIVATE | MapFlags::NORESERVE };
        let prot = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: as in `anonymous`.  Others may change the file's bytes at any time; every access
        // to guest memory is a raw read or write of plain bytes, for which any value is valid.
        unsafe { mm::mmap(start, len, prot, flags, fd, offset)? };
        self.frozen.forget(page, pages);
        self.note_rights(page, pages, if writable { page::MAY_ALL } else { page::MAY_READ });
        self.mappings.borrow_mut().note(page, pages, Piece::File);
        Ok(())
    }

    /// Makes committed anonymous pages zero by giving their memory back.
    pub(super) fn discard(&self, page: u32, pages: u32) -> io::Result<()> {
        if self.frozen.touches(page, pages) {
            return self.commit(page, pages);
        }
        let (start, len) = self.host(page, pages);
        // SAFETY: the pages are private anonymous memory of the reservation (the caller's promise:
        // with a file below, the file's bytes would come back, which is no memory error either).
        unsafe { mm::madvise(start, len, Advice::LinuxDontNeed)? };
        Ok(())
    }

    /// Gives committed anonymous pages memory at once.
    pub(super) fn populate(&self, page: u32, pages: u32) -> io::Result<()> {
        self.open(page, pages, page::MAY_ALL);
        let (start, len) = self.host(page, pages);
        // SAFETY: populating faults pages in and changes no contents.
        unsafe { mm::madvise(start, len, Advice::LinuxPopulateWrite)? };
        Ok(())
    }

    /// Writes changed bytes of shared file pages to the file.
    pub(super) fn sync(&self, page: u32, pages: u32, wait: bool) -> io::Result<()> {
        let (start, len) = self.host(page, pages);
        let flags = if wait { mm::MsyncFlags::SYNC } else { mm::MsyncFlags::ASYNC };
        // SAFETY: msync changes no memory.
        unsafe { mm::msync(start, len, flags)? };
        Ok(())
    }

    /// Host pointer to `len` bytes at `addr`, which must lie inside the space.
    fn bytes(&self, addr: u32, len: usize) -> *mut u8 {
        assert!(addr as usize + len <= SPACE, "bytes inside the space");
        // SAFETY: the assertion keeps the pointer inside the 4 GiB behind the base.
        unsafe { self.base.as_ptr().add(addr as usize) }
    }

    /// Host pointer to bytes that the host lets us read or write.
    #[inline]
    pub(super) fn opened(&self, addr: u32, len: usize, rights: u8) -> *mut u8 {
        let pointer = self.bytes(addr, len);
        if len > 0 {
            let (first, last) = (page::of(addr), page::of(addr.wrapping_add((len - 1) as u32)));
            if first != last || rights & !self.rights(first) != 0 {
                self.open(first, last.saturating_sub(first) + 1, rights);
            }
        }
        pointer
    }

    // The six that follow touch host memory, whatever the page bytes say.  A page that was never given memory
    // kills the process by SIGSEGV: callers have looked whether it is mapped.

    #[inline]
    pub(super) fn read(&self, addr: u32, to: &mut [u8]) {
        let from = self.opened(addr, to.len(), page::MAY_READ);
        // SAFETY: `from` has `to.len()` bytes inside the reservation, where no Rust object lives,
        // so `to` cannot overlap it.
        unsafe { ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len()) };
    }

    /// Reads words of one page one by one.
    #[inline(always)]
    pub(super) fn read_words(&self, addr: u32, to: &mut [u32]) {
        let page = page::of(addr);
        if page::MAY_READ & !self.rights(page) != 0 {
            self.open(page, 1, page::MAY_READ);
        }
        let from = self.bytes(addr, size_of_val(to));
        for (n, word) in to.iter_mut().enumerate() {
            // SAFETY: as in `read`, for the four bytes of each word.
            *word = u32::from_le_bytes(unsafe { from.add(4 * n).cast::<[u8; 4]>().read() });
            // Else the compiler makes one copy of all.
            std::hint::black_box(());
        }
    }

    #[inline]
    pub(super) fn write(&self, addr: u32, from: &[u8]) {
        let to = self.opened(addr, from.len(), page::MAY_ALL);
        // SAFETY: as in `read`.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()) };
    }

    pub(super) fn zero(&self, addr: u32, len: u32) {
        let to = self.opened(addr, len as usize, page::MAY_ALL);
        // SAFETY: `len` bytes inside the reservation.
        unsafe { ptr::write_bytes(to, 0, len as usize) };
    }

    /// Reads bytes of a file into pages that are held; gives how many there were.
    pub(super) fn read_file(&self, fd: BorrowedFd<'_>, offset: u64, addr: u32, len: u32) -> io::Result<u32> {
        let to = self.opened(addr, len as usize, page::MAY_ALL).cast::<MaybeUninit<u8>>();
        // SAFETY: `len` bytes inside the reservation, where no Rust object lives.  The slice does not
        // outlive this call, and until then nothing else of this thread touches guest memory.
        let to = unsafe { std::slice::from_raw_parts_mut(to, len as usize) };
        let mut have = 0;
        while let Some(rest) = to.get_mut(have..).filter(|rest| !rest.is_empty()) {
            match rustix::io::pread(fd, rest, offset + have as u64) {
                Ok(([], _)) => break,
                Ok((got, _)) => have += got.len(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(u32::try_from(have).unwrap_or(len))
    }

    /// Copies bytes to the same address of another reservation.
    pub(super) fn copy_to(&self, other: &Self, addr: u32, len: u32) {
        let from = self.opened(addr, len as usize, page::MAY_READ);
        let to = other.opened(addr, len as usize, page::MAY_ALL);
        // SAFETY: two reservations never overlap, and `ptr::copy` allows the same one.
        unsafe { ptr::copy(from, to, len as usize) };
    }
}

/// Set when the program is about to end.
static LEFT: AtomicBool = AtomicBool::new(false);

/// From now on reservations stay mapped when they are dropped: the program is about to end, and the host takes
/// all of them back faster at once than one by one.
pub fn leave_to_host() {
    LEFT.store(true, Ordering::Relaxed);
}

impl Drop for Reservation {
    fn drop(&mut self) {
        bus::unregister(self.node);
        if LEFT.load(Ordering::Relaxed) {
            return;
        }
        // SAFETY: the mapping made in `new`, all of it; views borrow the space that owns us.
        let _ = unsafe { mm::munmap(self.base.as_ptr().sub(HEADER).cast(), HEADER + SPACE + GUARD) };
    }
}
