//! The page byte: everything the processor must know of a page before it touches it.
//!
//! Pure numbers; knows no memory.  The processor's hot path tests one bit: [`READ`] for a load,
//! [`STORE`] for a store.  Both are derived from the other bits, and only [`settle`] derives them.
//!
//! 2.1 counterpart: the page table entry (i386/include/pmap.h) with `i386_protection_init`.

use bitflags::bitflags;

/// Bytes of a guest page, whatever the host's page is.
pub const PAGE_SIZE: u32 = 1 << PAGE_SHIFT;
/// Logarithm of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;
/// Pages of a 4 GiB space.
pub(super) const PAGES: u32 = 1 << (32 - PAGE_SHIFT);

bitflags! {
    /// What a guest may do with a page: the values of PROT_READ, PROT_WRITE and PROT_EXEC.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Prot: u8 {
        /// Loads and instruction fetch.
        const READ = 1;
        /// Stores.
        const WRITE = 2;
        /// Kept for the kernel's lists; the i386 of 2.1 neither grants nor refuses anything for it.
        const EXEC = 4;
    }
}

/// Loads and fetches take the fast path (derived).
pub(super) const READ: u8 = 0x01;
/// Stores take the fast path (derived); implies [`READ`].
pub(super) const STORE: u8 = 0x02;
/// The guest may store here.
pub(super) const WRITE: u8 = 0x04;
/// Some granule of the page is watched: stores take the slow path.
pub(super) const CODE: u8 = 0x08;
/// The page belongs to a region.
pub(super) const MAPPED: u8 = 0x10;
/// The page may differ from what it was mapped from (zeros, or the file); set by the first store.
/// Always set on pages of shared mappings, where nothing depends on the first store.
pub(super) const WRITTEN: u8 = 0x20;
/// A page of a file mapping that lies beyond the end of the file.
pub(super) const EOF: u8 = 0x40;
/// The host page is private anonymous memory, readable and writable, mapped for the guest or not.
/// Without [`WRITTEN`] it is all zeros.
pub(super) const HELD: u8 = 0x80;

/// The byte of a page of a region with protection `prot`; `facts` are the bits that are not
/// decided by the protection (HELD, WRITTEN, EOF, CODE).
pub(super) fn compose(facts: u8, prot: Prot) -> u8 {
    let mut byte = MAPPED | facts & (HELD | WRITTEN | EOF | CODE);
    if prot.contains(Prot::WRITE) {
        byte |= WRITE;
    }
    if prot.contains(Prot::READ) {
        byte |= READ;
    }
    settle(byte)
}

/// Derives [`STORE`], and [`READ`] where it follows from other bits: nothing is accessible beyond
/// the end of a file, and a writable page that is present is readable (the i386 has no other kind).
pub(super) fn settle(byte: u8) -> u8 {
    let mut byte = byte & !STORE;
    if byte & MAPPED == 0 || byte & EOF != 0 {
        return byte & !READ;
    }
    if byte & (WRITE | WRITTEN) == WRITE | WRITTEN {
        byte |= READ;
        if byte & CODE == 0 {
            byte |= STORE;
        }
    }
    byte
}

/// Where 2.1's user data segment ends.  Beyond lies the user area, where code may be fetched, the signal trampoline;
/// data accesses want a look at their segment: nothing takes the fast path.
const DATA_END: u32 = 0xefbf_e000 >> PAGE_SHIFT;

/// The byte as the table holds it for a page.
#[inline(always)]
pub(super) fn placed(page: u32, byte: u8) -> u8 {
    if page >= DATA_END { byte & !(READ | STORE) } else { byte }
}

/// The host lets us read a page.
pub(super) const MAY_READ: u8 = 1;
/// The host lets us write a page.
pub(super) const MAY_WRITE: u8 = 2;
/// Both.
pub(super) const MAY_ALL: u8 = MAY_READ | MAY_WRITE;

/// What translated code may do with a page, and therefore the host must not forbid nor allow beyond while it runs.
#[inline(always)]
pub(super) fn rights(byte: u8) -> u8 {
    // READ and STORE are the two lowest bits, and STORE implies READ.
    byte & (READ | STORE)
}

/// A page of private memory that may be written but never was, and whose byte would change in nothing but that.
#[inline(always)]
pub(super) fn is_fresh(byte: u8) -> bool {
    const ALL: u8 = MAPPED | WRITE | READ | HELD | WRITTEN | CODE | EOF;
    byte & ALL == MAPPED | WRITE | READ | HELD
}

/// Whether a page is memory that the guest has and has written to.
#[inline(always)]
pub(super) fn is_own(byte: u8) -> bool {
    byte & (MAPPED | WRITTEN | HELD) == MAPPED | WRITTEN | HELD
}

/// Whether a page is memory with old contents that waits to be used again.
#[inline(always)]
pub(super) fn is_spare(byte: u8) -> bool {
    byte & (MAPPED | WRITTEN | HELD) == WRITTEN | HELD
}

/// What remains of a page byte when its page leaves its region.
pub(super) fn unmapped(byte: u8) -> u8 {
    if byte & HELD != 0 { byte & (HELD | WRITTEN) } else { 0 }
}

/// Whether only [`CODE`] keeps stores to the page off the fast path.
#[inline(always)]
pub(super) fn stores_beside_code(byte: u8) -> bool {
    const OPEN: u8 = MAPPED | WRITE | WRITTEN | READ | CODE;
    byte & (OPEN | EOF) == OPEN
}

/// Page number of an address.
#[inline(always)]
pub(super) fn of(addr: u32) -> u32 {
    addr >> PAGE_SHIFT
}

/// Whether an address is the first of a page.
pub(super) fn aligned(addr: u32) -> bool {
    addr & (PAGE_SIZE - 1) == 0
}

/// Cuts `len` bytes at `addr` into pieces that do not cross a page; addresses wrap at 4 GiB.
pub(super) fn pieces(addr: u32, len: u32) -> impl Iterator<Item = (u32, u32)> {
    let (mut at, mut rest) = (addr, len);
    std::iter::from_fn(move || {
        let piece = rest.min(PAGE_SIZE - (at & (PAGE_SIZE - 1)));
        let item = (at, piece);
        at = at.wrapping_add(piece);
        rest -= piece;
        (piece > 0).then_some(item)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RW: Prot = Prot::READ.union(Prot::WRITE);

    #[test]
    fn first_store_leaves_the_fast_path() {
        let fresh = compose(HELD, RW);
        assert_eq!(fresh & (READ | STORE), READ);
        assert_eq!(compose(HELD | WRITTEN, RW) & (READ | STORE), READ | STORE);
    }

    #[test]
    fn write_only_page_is_readable_once_present() {
        assert_eq!(compose(HELD, Prot::WRITE) & READ, 0);
        assert_eq!(compose(HELD | WRITTEN, Prot::WRITE) & (READ | STORE), READ | STORE);
    }

    #[test]
    fn execute_permission_grants_nothing() {
        assert_eq!(compose(HELD, Prot::EXEC) & (READ | STORE | WRITE), 0);
    }

    #[test]
    fn store_implies_read_and_write_in_every_byte() {
        for byte in 0..=u8::MAX {
            let byte = settle(byte);
            if byte & STORE != 0 {
                assert_eq!(byte & (READ | WRITE | WRITTEN | MAPPED), READ | WRITE | WRITTEN | MAPPED);
                assert_eq!(byte & (CODE | EOF), 0);
            }
            assert_eq!(settle(byte), byte, "settling twice changes nothing");
        }
    }

    #[test]
    fn only_watched_code_keeps_such_pages_off_the_fast_path() {
        for byte in 0..=u8::MAX {
            let byte = settle(byte);
            let would_be_fast = byte & CODE != 0 && settle(byte & !CODE) & STORE != 0;
            assert_eq!(stores_beside_code(byte), would_be_fast, "{byte:#x}");
        }
        let page = 0xefbf_e000 >> PAGE_SHIFT;
        assert!(!stores_beside_code(placed(page, settle(compose(HELD | WRITTEN | CODE, RW)))));
    }

    #[test]
    fn pieces_end_at_pages_and_wrap() {
        let got: Vec<_> = pieces(0xffff_fffe, 0x1003).collect();
        assert_eq!(got, [(0xffff_fffe, 2), (0, 0x1000), (0x1000, 1)]);
        assert_eq!(pieces(5, 0).count(), 0);
    }

    #[test]
    fn unmapping_remembers_only_what_the_host_holds() {
        assert_eq!(unmapped(compose(HELD | WRITTEN | CODE, RW)), HELD | WRITTEN);
        assert_eq!(unmapped(compose(WRITTEN, RW)), 0);
    }
}
