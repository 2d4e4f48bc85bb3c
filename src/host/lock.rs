//! The door to the host's advisory locks, which other programs see.
//!
//! A [`Holder`] is an open file description of its own for one file: nothing else of us uses it, so that its
//! locks live as long as it does and no close of another descriptor loses them, as classical record locks are
//! lost.  It carries both kinds that Linux has and that know nothing of each other: ranges, as locks of the
//! open file description (`F_OFD_SETLK`), and the whole file, as `flock`.  Nothing here ever waits.
//!
//! Must not know who of the guest holds what; see `kernel/vfs/locking`.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno as Nix;
use nix::fcntl::{FcntlArg, fcntl};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno as Linux;

use super::error::HostResult;
use super::fs::{HostKind, OpenFor, Place};

/// How something is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Not at all.
    Unlocked,
    /// Shared.
    Shared,
    /// Exclusive.
    Exclusive,
}

/// A range of bytes: the first one, and how many; 0 for all that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: i64,
    /// Bytes; 0 for all up to the end, wherever it is.
    pub len: i64,
}

/// A lock of somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// What is locked.
    pub range: Range,
    /// Whether exclusively.
    pub exclusive: bool,
}

/// What carries our locks on one file.
#[derive(Debug)]
pub struct Holder {
    fd: OwnedFd,
}

impl Holder {
    /// A new description of the file at `place`; `write` says that it may be opened for writing, without which
    /// no range can be locked exclusively.
    pub fn new(place: &Place, write: bool) -> HostResult<Holder> {
        let fd = if place.stat()?.kind == HostKind::Directory {
            place.open_directory()?
        } else if write && let Ok(fd) = place.open_file(OpenFor::Writing) {
            fd
        } else {
            place.open_file(OpenFor::Reading)?
        };
        Ok(Holder { fd })
    }

    /// Locks or unlocks a range; false, and nothing has changed, where somebody else's lock forbids it.  What
    /// the host cannot lock counts as locked: then nobody outside is told.
    pub fn set_range(&self, range: Range, mode: Mode) -> bool {
        let lock = description(range, mode);
        match fcntl(&self.fd, FcntlArg::F_OFD_SETLK(&lock)) {
            Err(Nix::EAGAIN | Nix::EACCES) => false,
            Ok(_) | Err(_) => true,
        }
    }

    /// Locks or unlocks the whole file as `flock` does; false where somebody else's lock forbids it.  A shared
    /// lock that could not become exclusive is taken again, if nobody was faster.
    pub fn set_whole(&self, mode: Mode, before: Mode) -> bool {
        let operation = |mode| match mode {
            Mode::Unlocked => FlockOperation::NonBlockingUnlock,
            Mode::Shared => FlockOperation::NonBlockingLockShared,
            Mode::Exclusive => FlockOperation::NonBlockingLockExclusive,
        };
        if mode == before {
            return true;
        }
        match flock(self.fd.as_fd(), operation(mode)) {
            Err(Linux::AGAIN) => {
                // The host has given the old lock up for the attempt.
                let _ = flock(self.fd.as_fd(), operation(before));
                false
            }
            Ok(()) | Err(_) => true,
        }
    }

    /// The first lock of somebody else that forbids `mode` on a range.
    pub fn foreign(&self, range: Range, mode: Mode) -> Option<Foreign> {
        let mut lock = description(range, mode);
        fcntl(&self.fd, FcntlArg::F_OFD_GETLK(&mut lock)).ok()?;
        let exclusive = match i32::from(lock.l_type) {
            libc::F_RDLCK => false,
            libc::F_WRLCK => true,
            _ => return None,
        };
        Some(Foreign { range: Range { start: lock.l_start, len: lock.l_len }, exclusive })
    }
}

fn description(range: Range, mode: Mode) -> libc::flock {
    let kind = match mode {
        Mode::Unlocked => libc::F_UNLCK,
        Mode::Shared => libc::F_RDLCK,
        Mode::Exclusive => libc::F_WRLCK,
    };
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: range.start,
        l_len: range.len,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Range = Range { start: 0, len: 0 };

    fn holders() -> (tempfile::TempDir, Holder, Holder) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), b"0123456789").unwrap();
        let place = Place::top(dir.path()).unwrap().child(b"f").unwrap();
        let (one, other) = (Holder::new(&place, true).unwrap(), Holder::new(&place, true).unwrap());
        (dir, one, other)
    }

    #[test]
    fn ranges_of_two_holders_exclude_each_other() {
        let (_dir, one, other) = holders();
        let range = Range { start: 2, len: 3 };
        assert!(one.set_range(range, Mode::Exclusive));
        assert!(!other.set_range(WHOLE, Mode::Shared));
        assert_eq!(other.foreign(WHOLE, Mode::Shared), Some(Foreign { range, exclusive: true }));
        assert!(other.set_range(Range { start: 5, len: 0 }, Mode::Exclusive));
        assert!(one.set_range(range, Mode::Shared) && other.set_range(range, Mode::Shared));
        assert_eq!(other.foreign(range, Mode::Exclusive), Some(Foreign { range, exclusive: false }));
        drop(one);
        assert_eq!(other.foreign(WHOLE, Mode::Exclusive), None, "the locks went with their holder");
    }

    #[test]
    fn a_shared_lock_that_cannot_become_exclusive_stays() {
        let (_dir, one, other) = holders();
        assert!(one.set_whole(Mode::Shared, Mode::Unlocked) && other.set_whole(Mode::Shared, Mode::Unlocked));
        assert!(!one.set_whole(Mode::Exclusive, Mode::Shared));
        assert!(!other.set_whole(Mode::Exclusive, Mode::Shared), "the other one's is still there");
        assert!(one.set_whole(Mode::Unlocked, Mode::Shared));
        assert!(other.set_whole(Mode::Exclusive, Mode::Shared));
    }

    #[test]
    fn directories_can_be_locked_too() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::top(dir.path()).unwrap();
        let (one, other) = (Holder::new(&place, true).unwrap(), Holder::new(&place, true).unwrap());
        assert!(one.set_whole(Mode::Exclusive, Mode::Unlocked));
        assert!(!other.set_whole(Mode::Shared, Mode::Unlocked));
    }
}
