//! The door to files that are only looked at: regular files, opened without waiting, read or mapped.
//!
//! FIFOs, devices and sockets are never opened, and symbolic links are followed only where a person named the file.
//! Nothing is read without a bound.  Must not know what the bytes mean.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{self, Mode, OFlags};

use super::fs::is_component;

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
    if !std::fs::symlink_metadata(path)?.is_file() {
        return Err(other());
    }
    // Between the two looks something else may have taken its place: nothing here waits or follows.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(other()) }
}

/// Opens a regular file that a person has named: symbolic links lead to it.
pub fn open_named(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(other());
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(other()) }
}

/// Opens a regular file below a directory; no part of the way there is a symbolic link, and none leads up.
pub fn open_below(directory: &Path, below: &Path) -> io::Result<File> {
    let flags = OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::DIRECTORY;
    let mut here = fs::open(directory, OFlags::PATH | flags, Mode::empty())?;
    let mut names = below.components().peekable();
    while let Some(name) = names.next() {
        let Component::Normal(name) = name else { return Err(io::ErrorKind::InvalidInput.into()) };
        if !is_component(name.as_bytes()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if names.peek().is_some() {
            here = fs::openat(&here, name, OFlags::PATH | OFlags::NOFOLLOW | flags, Mode::empty())?;
            continue;
        }
        let stat = fs::statat(&here, name, fs::AtFlags::SYMLINK_NOFOLLOW)?;
        if fs::FileType::from_raw_mode(stat.st_mode) != fs::FileType::RegularFile {
            return Err(other());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(fs::openat(&here, name, flags, Mode::empty())?);
        return if file.metadata()?.is_file() { Ok(file) } else { Err(other()) };
    }
    Err(other())
}

fn other() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

/// All bytes of a file, which must not be more than `most`.
pub fn whole(file: &File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(too_large(most)),
        false => Ok(bytes),
    }
}

/// All bytes of a file of which `bytes` were read already, and which must not be more than `most`; those of a large
/// one are read as they are looked at.
pub fn bounded(file: &File, bytes: Vec<u8>, most: u64) -> io::Result<Contents> {
    match file.metadata()?.len() > most {
        true => Err(too_large(most)),
        false => contents(file, bytes),
    }
}

fn too_large(most: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {most} bytes"))
}

/// The first bytes of a file, at most `most`.
pub fn beginning(file: &File, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(most);
    file.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn contents(file: &File, mut bytes: Vec<u8>) -> io::Result<Contents> {
    if file.metadata()?.len() > READ_MOST {
        return Mapped::new(file).map(Contents::Mapped);
    }
    file.take(READ_MOST).read_to_end(&mut bytes)?;
    Ok(Contents::Read(bytes))
}
