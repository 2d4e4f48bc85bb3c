//! The door to files that are only looked at: regular files, opened without waiting, read or mapped.
//!
//! FIFOs, devices, sockets and symbolic links are never opened.  Must not know what the bytes mean.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;

use rustix::fs::{self, Mode, OFlags};

use crate::mem::Mapped;

/// Files of at most this size are read; larger ones are mapped.
const READ_MOST: u64 = 1 << 20;

/// What is in a file.
#[derive(Debug)]
pub enum Contents {
    /// A small file's bytes.
    Read(Vec<u8>),
    /// A large file's.
    Mapped(Mapped),
}

impl Deref for Contents {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Read(bytes) => bytes,
            Self::Mapped(bytes) => bytes,
        }
    }
}

/// Opens a regular file for reading; anything else is an error and stays closed.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let other = || io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
    if !std::fs::symlink_metadata(path)?.is_file() {
        return Err(other());
    }
    // Between the two looks something else may have taken its place: nothing here waits or follows.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(other()) }
}

/// The first bytes of a file, at most `most`.
pub fn beginning(file: &File, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(most);
    file.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// All bytes of a file of which `bytes` were read already.
pub fn contents(file: &File, mut bytes: Vec<u8>) -> io::Result<Contents> {
    if file.metadata()?.len() > READ_MOST {
        return Mapped::new(file).map(Contents::Mapped);
    }
    file.take(READ_MOST).read_to_end(&mut bytes)?;
    Ok(Contents::Read(bytes))
}
