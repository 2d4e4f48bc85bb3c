//! A file of the host, mapped to be looked at: large ones cost only the pages that are read.
//!
//! Nothing of a guest is here; the bytes are the host's.  No 2.1 counterpart.
#![allow(unsafe_code)] // one mapping, with its proof

use std::fs::File;
use std::io;
use std::ops::Deref;

use memmap2::Mmap;

/// The bytes of a regular file.
#[derive(Debug)]
pub struct Mapped(Mmap);

impl Mapped {
    /// Maps a whole file for reading.
    pub fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the mapping is private and never written here.  Somebody else may change the file
        // meanwhile: then bytes differ from one look to the next, which no reader of file contents may
        // take for impossible; behind a new end of the file the host's SIGBUS ends the process, as
        // the documentation of surveys says.
        unsafe { Mmap::map(file) }.map(Self)
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
