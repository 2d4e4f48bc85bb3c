//! How a file that is held is reached once more, to be opened, linked or changed.
//!
//! Linux has a name for each descriptor below /proc/self/fd.  Where /proc is not mounted there is none: then the
//! directory and the name by which the file was found are remembered with it, and looked at before they are
//! used: the name must still stand for this file.
//!
//! Must not know what is done with it.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::OnceLock;

use rustix::fs::{self, AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno as Linux;

use super::error::HostResult;
use super::fs::Place;

/// Where a file was found, if that has to be remembered.
#[derive(Clone, Debug)]
pub(super) struct Found {
    directory: Rc<OwnedFd>,
    name: Vec<u8>,
}

/// A directory and a path from it.
#[derive(Debug)]
pub(super) struct Reach {
    directory: Option<Rc<OwnedFd>>,
    path: Vec<u8>,
}

impl Reach {
    /// The directory.
    pub(super) fn at(&self) -> BorrowedFd<'_> {
        self.directory.as_ref().map_or(fs::CWD, |directory| directory.as_fd())
    }

    /// The path from it.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    /// Whether the path is a link of /proc, which has to be followed.
    pub(super) fn is_link(&self) -> bool {
        self.directory.is_none()
    }
}

/// Whether the host has names for descriptors.
fn has_links() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| fs::access("/proc/self/fd", fs::Access::EXEC_OK).is_ok())
}

impl Place {
    /// What has to be remembered of an entry `name` of this directory.
    pub(super) fn remember(&self, name: &[u8]) -> Option<Found> {
        if has_links() {
            return None;
        }
        Some(Found { directory: Rc::clone(&self.fd), name: name.to_vec() })
    }

    /// The held file has the name `name` in `into` now.
    pub fn moved(&self, into: &Place, name: &[u8]) {
        let mut found = self.found.borrow_mut();
        if found.is_some() {
            *found = into.remember(name);
        }
    }

    /// The way to this file.
    pub(super) fn reach(&self) -> HostResult<Reach> {
        if has_links() {
            let path = format!("/proc/self/fd/{}", self.fd.as_raw_fd()).into_bytes();
            return Ok(Reach { directory: None, path });
        }
        let mut found = self.found.borrow_mut();
        let Some(known) = &mut *found else {
            // The top of a mount, a directory.
            return Ok(Reach { directory: Some(Rc::clone(&self.fd)), path: b".".to_vec() });
        };
        let own = fs::fstat(&*self.fd)?;
        let same = |name: &[u8]| {
            let there = fs::statat(&*known.directory, name, AtFlags::SYMLINK_NOFOLLOW);
            there.is_ok_and(|there| (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino))
        };
        if !same(&known.name) {
            known.name = find(&known.directory, own.st_ino, same)?;
        }
        Ok(Reach { directory: Some(Rc::clone(&known.directory)), path: known.name.clone() })
    }

    /// A descriptor of a regular file or directory for its attributes.
    pub(super) fn open_for_attributes(&self) -> HostResult<OwnedFd> {
        let reach = self.reach()?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let flags = if reach.is_link() { flags - OFlags::NOFOLLOW } else { flags };
        Ok(fs::openat(reach.at(), reach.path(), flags, Mode::empty())?)
    }
}

/// The name of a file whose old one does not stand for it any more.
fn find(directory: &OwnedFd, ino: u64, same: impl Fn(&[u8]) -> bool) -> HostResult<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = fs::openat(directory, ".", flags, Mode::empty())?;
    for entry in Dir::read_from(open)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if entry.ino() == ino && same(name) {
            return Ok(name.to_vec());
        }
    }
    Err(Linux::STALE.into())
}
