//! Which files of the host a run reads that is recorded, and what they hold: a run that plays the recording must find the
//! same.
//!
//! Must not know recordings.  2.1 counterpart: none.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use super::mount::FsType;
use super::{Vfs, VnodeId};
use crate::host::fs::{HostEntry, OpenFor, read_at};

/// Bytes that are read at once.
const PIECE: usize = 1 << 16;

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Its path at the host.
    pub path: PathBuf,
    /// Its length.
    pub length: u64,
    /// What it holds.
    pub sha256: [u8; 32],
}

#[derive(Debug, Default)]
struct Notes {
    known: BTreeSet<PathBuf>,
    fresh: Vec<Read>,
    /// Names that were met, where these are wanted.
    names: Option<BTreeSet<PathBuf>>,
}

/// A list of files; all its copies are one.
#[derive(Clone, Debug, Default)]
pub struct Reads(Rc<RefCell<Notes>>);

impl Reads {
    /// An empty list; `names`: names that are met are wanted, too.
    pub fn new(names: bool) -> Self {
        let names = names.then(BTreeSet::new);
        Self(Rc::new(RefCell::new(Notes { names, ..Notes::default() })))
    }

    /// Takes what was read since the last time.
    pub fn take(&self) -> Vec<Read> {
        std::mem::take(&mut self.0.borrow_mut().fresh)
    }

    /// Names that were met so far.
    pub fn names(&self) -> BTreeSet<PathBuf> {
        self.0.borrow().names.clone().unwrap_or_default()
    }

    /// Whether names are wanted.
    pub(super) fn wants_names(&self) -> bool {
        self.0.borrow().names.is_some()
    }

    /// Notes the names in a directory.
    pub(super) fn met_in(&self, directory: Option<PathBuf>, entries: &[HostEntry]) {
        let Some(directory) = directory else { return };
        for entry in entries {
            self.met(directory.join(OsStr::from_bytes(&entry.name)));
        }
    }

    /// Notes a name.
    pub(super) fn met(&self, path: PathBuf) {
        if let Some(names) = &mut self.0.borrow_mut().names {
            names.insert(path);
        }
    }
}

/// Length and hash of what can be read at a descriptor.
pub fn digest(fd: impl AsFd) -> (u64, [u8; 32]) {
    let (mut hash, mut length) = (Sha256::new(), 0);
    let mut piece = vec![0; PIECE];
    while let Ok(count) = read_at(fd.as_fd(), &mut piece, length) {
        if count == 0 {
            break;
        }
        hash.update(piece.get(..count).unwrap_or_default());
        length += count as u64;
    }
    (length, hash.finalize().into())
}

impl Vfs {
    /// Notes what a file of the host holds that is going to be read.
    pub(super) fn note_read(&self, id: VnodeId) {
        let Some(reads) = &self.reads else { return };
        let vnode = &self.vnodes[id];
        if self.mounts[vnode.mount.0].kind != FsType::Ufs {
            return;
        }
        let Some(path) = vnode.host().and_then(|node| node.place.below_path()) else { return };
        if !reads.0.borrow_mut().known.insert(path.clone()) {
            return;
        }
        if let Some(file) = vnode.host().and_then(|node| node.place.open_file(OpenFor::Reading).ok()) {
            let (length, sha256) = digest(&file);
            reads.0.borrow_mut().fresh.push(Read { path, length, sha256 });
        }
    }
}
