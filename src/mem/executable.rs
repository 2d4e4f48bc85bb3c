//! Memory of the host that may be written and executed: where the translator puts its code.
//!
//! It is one private mapping, writable and executable at once, so that an instruction is written at the address
//! at which it is fetched and no serialising instruction is needed.  Guest stores cannot reach it: they stay inside
//! their reservation.  Knows nothing of instructions.
#![allow(unsafe_code)] // the island of D5: each block carries its proof

use std::io;
use std::ptr::{self, NonNull};

use rustix::mm::{self, MapFlags, ProtFlags};

/// The mapping; unmapped when dropped.
pub struct Executable {
    start: NonNull<u8>,
    len: usize,
}

impl Executable {
    /// Reserves `len` bytes, which the host gives memory as they are written; refused where the host forbids
    /// memory that is both writable and executable.
    pub fn new(len: usize) -> io::Result<Self> {
        let all = ProtFlags::READ | ProtFlags::WRITE | ProtFlags::EXEC;
        // SAFETY: a new anonymous mapping at an address of the host's choice touches nothing.
        let start = unsafe {
            mm::mmap_anonymous(ptr::null_mut(), len, all, MapFlags::PRIVATE | MapFlags::NORESERVE)?
        };
        NonNull::new(start.cast()).map(|start| Self { start, len }).ok_or(io::ErrorKind::OutOfMemory.into())
    }

    /// Address of a byte.
    pub fn address(&self, at: usize) -> u64 {
        (self.start.as_ptr() as usize + at) as u64
    }

    /// Writes bytes; false, and nothing is written, where they do not fit.
    pub fn put(&self, at: usize, bytes: &[u8]) -> bool {
        let fits = at.checked_add(bytes.len()).is_some_and(|end| end <= self.len);
        if fits {
            // SAFETY: the range lies inside the mapping, to which no reference exists; the code in it is not
            // running, because the one thread that runs it is here.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.as_ptr().add(at), bytes.len()) };
        }
        fits
    }
}

impl Drop for Executable {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that was made, and nobody runs in it.
        let _ = unsafe { mm::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
