//! Where the code of each guest address is: a table of 2^32 addresses, of which the host holds what is used.
//!
//! Translated code jumps through it without a look, `jmp [table + address * 8]`; what was never set holds zero, and
//! the jump to it is caught ([`super::guarded`]).  Before the table lie a page that is open and one that is shut:
//! code finds out there whether a number is negative without touching its flags.
//!
//! Knows nothing of code.
#![allow(unsafe_code)] // the island of D5: each block carries its proof

use std::cell::Cell;
use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mm::{self, Advice, MapFlags, MprotectFlags, ProtFlags};

const PAGE: usize = 4096;
const ENTRY: usize = size_of::<u64>();
const TABLE: usize = ENTRY << 32;
/// Entries that lie in one page of the host.
const IN_A_PAGE: u32 = (PAGE / ENTRY) as u32;

/// The table; unmapped when dropped.
pub struct Jumps {
    table: NonNull<AtomicU64>,
    /// Pages of the host that something was put on.
    pages: Cell<usize>,
}

impl Jumps {
    /// Reserves the table, 32 GiB of addresses; refused where the host has no room for it.
    pub fn new() -> io::Result<Self> {
        let (flags, open) = (MapFlags::PRIVATE | MapFlags::NORESERVE, ProtFlags::READ | ProtFlags::WRITE);
        // SAFETY: a new anonymous mapping at an address of the host's choice touches nothing.
        let start = unsafe { mm::mmap_anonymous(ptr::null_mut(), TABLE + 2 * PAGE, open, flags)? };
        // SAFETY: the second page of the mapping that was just made.
        unsafe {
            let shut = start.cast::<u8>().add(PAGE).cast();
            mm::mprotect(shut, PAGE, MprotectFlags::empty())?;
            NonNull::new(start.cast::<u8>().add(2 * PAGE).cast())
                .map(|table| Self { table, pages: Cell::new(0) })
                .ok_or(io::ErrorKind::OutOfMemory.into())
        }
    }

    /// Address of the table; the byte before its shut page can be read.
    pub fn address(&self) -> u64 {
        self.table.as_ptr() as u64
    }

    fn entry(&self, eip: u32) -> &AtomicU64 {
        // SAFETY: the table has an entry for every 32-bit number, readable and writable as long as it lives.
        unsafe { self.table.add(eip as usize).as_ref() }
    }

    /// Where the code of an address is; zero: nobody has said.
    #[inline]
    pub fn get(&self, eip: u32) -> u64 {
        self.entry(eip).load(Ordering::Relaxed)
    }

    /// Sets where the code of an address is.
    pub fn set(&self, eip: u32, code: u64) {
        self.entry(eip).store(code, Ordering::Relaxed);
    }

    /// Gives the neighbourhood of an address something to jump to, where it has nothing yet.
    pub fn prepare(&self, eip: u32, code: u64) {
        let first = eip & !(IN_A_PAGE - 1);
        if self.entry(eip).load(Ordering::Relaxed) != 0 {
            return;
        }
        self.pages.set(self.pages.get() + 1);
        for eip in first..=first + (IN_A_PAGE - 1) {
            if self.entry(eip).load(Ordering::Relaxed) == 0 {
                self.set(eip, code);
            }
        }
    }

    /// Bytes of the host's memory that the table takes.
    pub fn bytes(&self) -> usize {
        self.pages.get() * PAGE
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.pages.set(0);
        // SAFETY: the table is private anonymous memory of our own; its entries become zero.
        let _ = unsafe { mm::madvise(self.table.as_ptr().cast(), TABLE, Advice::LinuxDontNeed) };
    }
}

impl Drop for Jumps {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that was made, and nobody jumps through it.
        let _ =
            unsafe { mm::munmap(self.table.as_ptr().cast::<u8>().sub(2 * PAGE).cast(), TABLE + 2 * PAGE) };
    }
}

/// Whether programs may set the base of a segment themselves (`wrgsbase`).
pub fn sets_segment_bases() -> bool {
    const HWCAP2_FSGSBASE: u64 = 1 << 1;
    // SAFETY: reads a word that the kernel gave to this process.
    let hwcap2 = unsafe { libc::getauxval(libc::AT_HWCAP2) };
    cfg!(target_os = "linux") && hwcap2 & HWCAP2_FSGSBASE != 0
}

/// Sets the base of GS by a call of the host.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub fn set_segment_base(address: u64) {
    const ARCH_SET_GS: libc::c_int = 0x1001;
    // SAFETY: nothing else of the program uses GS.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, address) };
}
