//! The door for changing the host's tree: making, removing and renaming entries, modes, times, owners.
//!
//! Everything is asked of a held [`Place`] and one name in it.  Set-id bits and foreign devices never
//! reach the host: what the guest calls a set-user-id program must not be one outside.
//!
//! Must not know the guest's rules; see `kernel/vfs`.

use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    self, AtFlags, FileType, Gid, Mode, OFlags, RawMode, RenameFlags, Timespec, Timestamps, Uid,
};
use rustix::io::Errno as Linux;

use super::error::HostResult;
use super::fs::{Component, HostKind, HostTime, Place, removal};

/// Room and numbers of a host file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostSpace {
    /// Bytes of a block.
    pub block_size: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Free blocks.
    pub free: u64,
    /// Free blocks for an ordinary user.
    pub available: u64,
    /// Inodes in all.
    pub files: u64,
    /// Free inodes.
    pub files_free: u64,
}

/// A node that is more than a regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A FIFO.
    Fifo,
    /// A socket name.
    Socket,
}

/// The permission bits that the host is told; set-id bits stay inside.
fn outer_mode(perm: u32) -> Mode {
    Mode::from_raw_mode((perm & 0o1777) as RawMode)
}

thread_local! {
    /// Changes of this thread.
    static CHANGES: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has changed something of the host's files, or may have.
pub fn changes() -> u64 {
    CHANGES.get()
}

/// Notes a change of the host's files: before it is made.
pub fn note() {
    CHANGES.set(CHANGES.get() + 1);
}

impl Place {
    /// Makes the regular file `name`, which must not exist, and holds it.
    pub fn create(&self, name: &[u8], perm: u32) -> HostResult<Place> {
        self.create_open(name, perm).map(|(place, _)| place)
    }

    /// The same, with the descriptor by which it was made, for reading and writing.  What is held is the file
    /// that was made, even if its name stands for another one by now.
    pub fn create_open(&self, name: &[u8], perm: u32) -> HostResult<(Place, OwnedFd)> {
        note();
        let component = Component::new(name)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NOCTTY;
        let mode = outer_mode(perm);
        let made = self.lending(Mode::WUSR | Mode::XUSR, || {
            Ok(fs::openat(self.fd(), component.0, flags | OFlags::CLOEXEC, mode)?)
        })?;
        let own = fs::fstat(&made)?;
        let same = |place: &Place| place.stat().is_ok_and(|s| (s.dev, s.ino) == (own.st_dev, own.st_ino));
        match self.child(name) {
            Ok(place) if same(&place) => Ok((place, made)),
            // Renamed, replaced or removed meanwhile.
            _ => Ok((Place::of_open(made.as_fd())?, made)),
        }
    }

    /// Makes the directory `name`, and holds what the name stands for afterwards.
    pub fn mkdir(&self, name: &[u8], perm: u32) -> HostResult<Option<Place>> {
        note();
        let component = Component::new(name)?;
        self.lending(Mode::WUSR | Mode::XUSR, || Ok(fs::mkdirat(self.fd(), component.0, outer_mode(perm))?))?;
        self.made(name, HostKind::Directory)
    }

    /// What was just made as `name`.  The host gives no hold on it while it is made: another program may have
    /// removed it, or put something of another kind there; then there is nothing to hold.
    fn made(&self, name: &[u8], kind: HostKind) -> HostResult<Option<Place>> {
        match self.child(name) {
            Ok(place) => {
                let stat = place.stat()?;
                let ours = stat.kind == kind && stat.uid == rustix::process::geteuid().as_raw();
                Ok(ours.then_some(place))
            }
            Err(error) if error.0 == Linux::NOENT => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a FIFO or socket node called `name`, and holds what the name stands for afterwards.
    pub fn mknod(&self, name: &[u8], kind: NodeKind, perm: u32) -> HostResult<Option<Place>> {
        note();
        let component = Component::new(name)?;
        let (kind, seen) = match kind {
            NodeKind::Fifo => (FileType::Fifo, HostKind::Fifo),
            NodeKind::Socket => (FileType::Socket, HostKind::Socket),
        };
        self.lending(Mode::WUSR | Mode::XUSR, || {
            Ok(fs::mknodat(self.fd(), component.0, kind, outer_mode(perm), 0)?)
        })?;
        self.made(name, seen)
    }

    /// Makes the symbolic link `name` with `text`, and holds what the name stands for afterwards.
    pub fn symlink(&self, name: &[u8], text: &[u8]) -> HostResult<Option<Place>> {
        note();
        let component = Component::new(name)?;
        self.lending(Mode::WUSR | Mode::XUSR, || Ok(fs::symlinkat(text, self.fd(), component.0)?))?;
        self.made(name, HostKind::Symlink)
    }

    /// Gives `file` the further name `name` in this directory.
    pub fn link_to(&self, name: &[u8], file: &Place) -> HostResult<()> {
        note();
        let component = Component::new(name)?;
        self.lending(Mode::WUSR | Mode::XUSR, || {
            let reach = file.reach()?;
            let follow = if reach.is_link() { AtFlags::SYMLINK_FOLLOW } else { AtFlags::empty() };
            Ok(fs::linkat(reach.at(), reach.path(), self.fd(), component.0, follow)?)
        })
    }

    /// Removes the entry `name`.
    pub fn remove(&self, name: &[u8], directory: bool) -> HostResult<()> {
        note();
        let component = Component::new(name)?;
        self.lending(Mode::WUSR | Mode::XUSR, || {
            Ok(fs::unlinkat(self.fd(), component.0, removal(directory))?)
        })
    }

    /// Renames the entry `from` of this directory to `to` in the directory `into`, in the place of what is
    /// there or, without `replace`, only to a free name (`EEXIST`).
    pub fn rename(&self, from: &[u8], into: &Place, to: &[u8], replace: bool) -> HostResult<()> {
        note();
        let (from, to) = (Component::new(from)?, Component::new(to)?);
        let plain = || Ok(fs::renameat(self.fd(), from.0, into.fd(), to.0)?);
        let act = || match replace {
            true => plain(),
            false => {
                let free = RenameFlags::NOREPLACE;
                match fs::renameat_with(self.fd(), from.0, into.fd(), to.0, free) {
                    // A file system that cannot say it.
                    Err(Linux::INVAL | Linux::NOSYS | Linux::NOTSUP) => plain(),
                    other => Ok(other?),
                }
            }
        };
        self.lending(Mode::WUSR | Mode::XUSR, || into.lending(Mode::WUSR | Mode::XUSR, act))
    }

    /// Sets the permission bits, without set-id bits.
    pub fn chmod(&self, perm: u32) -> HostResult<()> {
        note();
        let reach = self.reach()?;
        Ok(fs::chmodat(reach.at(), reach.path(), outer_mode(perm), AtFlags::empty())?)
    }

    /// Sets owner and group, where the host allows it.
    pub fn chown(&self, uid: Option<u32>, gid: Option<u32>) -> HostResult<()> {
        note();
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        Ok(fs::chownat(self.fd(), "", uid, gid, AtFlags::EMPTY_PATH)?)
    }

    /// Sets the times of access and modification.
    pub fn utimes(&self, atime: HostTime, mtime: HostTime) -> HostResult<()> {
        note();
        let times = Timestamps {
            last_access: Timespec { tv_sec: atime.sec, tv_nsec: atime.nsec as _ },
            last_modification: Timespec { tv_sec: mtime.sec, tv_nsec: mtime.nsec as _ },
        };
        let reach = self.reach()?;
        let follow = if reach.is_link() { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
        Ok(fs::utimensat(reach.at(), reach.path(), &times, follow)?)
    }

    /// Room on the file system that this place is on.
    pub fn space(&self) -> HostResult<HostSpace> {
        let stat = fs::fstatvfs(self.fd())?;
        Ok(HostSpace {
            block_size: stat.f_frsize,
            blocks: stat.f_blocks,
            free: stat.f_bfree,
            available: stat.f_bavail,
            files: stat.f_files,
            files_free: stat.f_ffree,
        })
    }

    /// The value of the extended attribute `name`, if there is one.
    pub fn attribute(&self, name: &str) -> HostResult<Option<Vec<u8>>> {
        self.lending(Mode::RUSR, || {
            let mut value = vec![0; 256];
            let reach = self.reach()?;
            let read = match reach.is_link() {
                true => fs::getxattr(reach.path(), name, &mut value[..]),
                false => fs::fgetxattr(self.open_for_attributes()?, name, &mut value[..]),
            };
            match read {
                Ok(length) => {
                    value.truncate(length);
                    Ok(Some(value))
                }
                Err(error) if super::error::HostError(error).is_unsupported() => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Sets or, with `None`, removes the extended attribute `name`.
    pub fn set_attribute(&self, name: &str, value: Option<&[u8]>) -> HostResult<()> {
        note();
        self.lending(Mode::RUSR | Mode::WUSR, || {
            let reach = self.reach()?;
            let create = fs::XattrFlags::empty();
            let done = match (value, reach.is_link()) {
                (Some(value), true) => fs::setxattr(reach.path(), name, value, create),
                (Some(value), false) => fs::fsetxattr(self.open_for_attributes()?, name, value, create),
                (None, true) => fs::removexattr(reach.path(), name),
                (None, false) => fs::fremovexattr(self.open_for_attributes()?, name),
            };
            match done {
                Err(error) if value.is_none() && super::error::HostError(error).is_unsupported() => Ok(()),
                other => Ok(other?),
            }
        })
    }
}

/// Exchanges what two names of our own stand for, at once.
pub fn exchange(one: &Path, other: &Path) -> HostResult<()> {
    note();
    Ok(fs::renameat_with(fs::CWD, one, fs::CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn set_user_id_bits_never_reach_the_host() {
        let dir = tempfile::tempdir().unwrap();
        let top = Place::top(dir.path()).unwrap();
        let file = top.create(b"f", 0o6755).unwrap();
        file.chmod(0o6711).unwrap();
        let mode = std::fs::metadata(dir.path().join("f")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o711);
    }

    #[test]
    fn creating_over_a_symbolic_link_does_not_follow_it() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("elsewhere", dir.path().join("l")).unwrap();
        let top = Place::top(dir.path()).unwrap();
        assert_eq!(top.create(b"l", 0o644).unwrap_err().0, rustix::io::Errno::EXIST);
        assert!(!dir.path().join("elsewhere").exists());
    }

    #[test]
    fn attributes_are_kept_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let top = Place::top(dir.path()).unwrap();
        let file = top.create(b"f", 0o444).unwrap();
        if file.set_attribute("user.bsd21.test", Some(b"x")).is_err() {
            return; // this file system has none
        }
        assert_eq!(file.attribute("user.bsd21.test").unwrap().as_deref(), Some(&b"x"[..]));
        file.set_attribute("user.bsd21.test", None).unwrap();
        assert_eq!(file.attribute("user.bsd21.test").unwrap(), None);
    }

    #[test]
    fn a_held_file_gets_a_second_name() {
        let dir = tempfile::tempdir().unwrap();
        let top = Place::top(dir.path()).unwrap();
        let file = top.create(b"a", 0o644).unwrap();
        top.link_to(b"b", &file).unwrap();
        assert_eq!(top.child(b"b").unwrap().stat().unwrap().nlink, 2);
        assert_eq!(top.rename(b"b", &top, b"a", false).unwrap_err().0, Linux::EXIST);
        top.rename(b"b", &top, b"c", false).unwrap();
        top.remove(b"a", false).unwrap();
        assert_eq!(top.child(b"c").unwrap().stat().unwrap().kind, HostKind::Regular);
    }
}
