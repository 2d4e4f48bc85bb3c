//! What a vnode holds of its mount: a place of the host, or a file of an overlay over one.
//!
//! Both answer to the same names.  Must not decide anything.  No 2.1 counterpart: there a vnode's operations
//! are a vector of its file system (sys/vnode.h, `struct vnodeopv_desc`).

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::overlay::Layered;
use crate::host::change::{HostSpace, NodeKind};
use crate::host::error::{HostError, HostResult};
use crate::host::fs::{HostEntry, HostKind, HostStat, HostTime, OpenFor, Place};

/// A file that is held.
#[derive(Clone, Debug)]
pub enum Hold {
    /// Of the host: what is changed is changed there.
    Host(Place),
    /// Of an overlay.
    Layered(Layered),
}

macro_rules! either {
    ($self:expr, $held:ident => $act:expr) => {
        match $self {
            Hold::Host($held) => $act,
            Hold::Layered($held) => $act,
        }
    };
    ($self:expr, $held:ident => made $act:expr) => {
        Ok(match $self {
            Hold::Host($held) => $act?.map(Hold::Host),
            Hold::Layered($held) => Some(Hold::Layered($act?)),
        })
    };
    ($self:expr, $held:ident => new $act:expr) => {
        Ok(match $self {
            Hold::Host($held) => Hold::Host($act?),
            Hold::Layered($held) => Hold::Layered($act?),
        })
    };
}

impl Hold {
    /// Holds the entry `name` of this directory; a symbolic link is held itself.
    pub fn child(&self, name: &[u8]) -> HostResult<Hold> {
        either!(self, held => new held.child(name))
    }

    /// Another hold on the same file.
    pub fn try_clone(&self) -> HostResult<Hold> {
        either!(self, held => new held.try_clone())
    }

    /// The name of the special file system of the host that it is in, if it is in one.
    pub fn special(&self) -> HostResult<Option<&'static str>> {
        match self {
            Hold::Host(held) => held.special(),
            Hold::Layered(held) => held.special(),
        }
    }

    /// What the host says about it.
    pub fn stat(&self) -> HostResult<HostStat> {
        either!(self, held => held.stat())
    }

    /// The text of a symbolic link.
    pub fn readlink(&self) -> HostResult<Vec<u8>> {
        either!(self, held => held.readlink())
    }

    /// Its path below `top`, for people.
    pub fn path_below(&self, top: &Hold) -> Option<Vec<u8>> {
        match (self, top) {
            (Hold::Host(held), Hold::Host(top)) => {
                let below = held.host_path()?.strip_prefix(top.host_path()?).ok()?.to_owned();
                Some(below.as_os_str().as_bytes().to_vec())
            }
            (Hold::Layered(held), _) => held.present_path(),
            _ => None,
        }
    }

    /// Opens a regular file; anything else is refused with `ENXIO`.
    pub fn open_file(&self, purpose: OpenFor) -> HostResult<OwnedFd> {
        either!(self, held => held.open_file(purpose))
    }

    /// The path at the host of what is read.
    pub fn below_path(&self) -> Option<PathBuf> {
        match self {
            Hold::Host(held) => held.host_path(),
            Hold::Layered(held) => held.below_path(),
        }
    }

    /// The place of the host, where that is what is changed.
    pub fn on_host(&self) -> Option<&Place> {
        match self {
            Hold::Host(held) => Some(held),
            Hold::Layered(_) => None,
        }
    }

    /// Whether to open it for writing makes its bytes those of another file of the host.
    pub fn moves_on_write(&self) -> bool {
        matches!(self, Hold::Layered(held) if held.reads_below())
    }

    /// Whether files of this type have extended attributes here.
    pub fn has_attributes(&self, kind: HostKind) -> bool {
        match self {
            Hold::Host(_) => matches!(kind, HostKind::Regular | HostKind::Directory),
            Hold::Layered(_) => true,
        }
    }

    /// The names of a directory, without `.` and `..`, sorted.
    pub fn entries(&self) -> HostResult<Vec<HostEntry>> {
        either!(self, held => held.entries())
    }

    /// Makes the regular file `name`, which must not exist, and holds it.
    pub fn create(&self, name: &[u8], perm: u32) -> HostResult<Hold> {
        either!(self, held => new held.create(name, perm))
    }

    /// The same, with a descriptor for reading and writing.
    pub fn create_open(&self, name: &[u8], perm: u32) -> HostResult<(Hold, OwnedFd)> {
        match self {
            Hold::Host(held) => held.create_open(name, perm).map(|(made, fd)| (Hold::Host(made), fd)),
            Hold::Layered(held) => {
                let made = held.create(name, perm)?;
                let fd = made.open_file(OpenFor::Writing)?;
                Ok((Hold::Layered(made), fd))
            }
        }
    }

    /// Makes the directory `name`; nothing is held of what somebody else has replaced already.
    pub fn mkdir(&self, name: &[u8], perm: u32) -> HostResult<Option<Hold>> {
        either!(self, held => made held.mkdir(name, perm))
    }

    /// Makes a FIFO or socket node called `name`.
    pub fn mknod(&self, name: &[u8], kind: NodeKind, perm: u32) -> HostResult<Option<Hold>> {
        either!(self, held => made held.mknod(name, kind, perm))
    }

    /// Makes the symbolic link `name` with `text`.
    pub fn symlink(&self, name: &[u8], text: &[u8]) -> HostResult<Option<Hold>> {
        either!(self, held => made held.symlink(name, text))
    }

    /// Gives `file` the further name `name` in this directory.
    pub fn link_to(&self, name: &[u8], file: &Hold) -> HostResult<()> {
        match (self, file) {
            (Hold::Host(held), Hold::Host(file)) => held.link_to(name, file),
            (Hold::Layered(held), Hold::Layered(file)) => held.link_to(name, file),
            _ => Err(HostError::CROSS_DEVICE),
        }
    }

    /// Removes the entry `name`.
    pub fn remove(&self, name: &[u8], directory: bool) -> HostResult<()> {
        either!(self, held => held.remove(name, directory))
    }

    /// Renames the entry `from` of this directory to `to` in the directory `into`; without `replace` only to a
    /// free name.
    pub fn rename(&self, from: &[u8], into: &Hold, to: &[u8], replace: bool) -> HostResult<()> {
        match (self, into) {
            (Hold::Host(held), Hold::Host(into)) => held.rename(from, into, to, replace),
            (Hold::Layered(held), Hold::Layered(into)) => held.rename(from, into, to, replace),
            _ => Err(HostError::CROSS_DEVICE),
        }
    }

    /// The held file has the name `name` in `into` now.
    pub fn moved(&self, into: &Hold, name: &[u8]) {
        if let (Hold::Host(held), Hold::Host(into)) = (self, into) {
            held.moved(into, name);
        }
    }

    /// Sets the permission bits, without set-id bits.
    pub fn chmod(&self, perm: u32) -> HostResult<()> {
        either!(self, held => held.chmod(perm))
    }

    /// Sets owner and group, where the host allows it; an overlay keeps them elsewhere.
    pub fn chown(&self, uid: Option<u32>, gid: Option<u32>) -> HostResult<()> {
        match self {
            Hold::Host(held) => held.chown(uid, gid),
            Hold::Layered(_) => Err(HostError::NOT_PERMITTED),
        }
    }

    /// Sets the times of access and modification.
    pub fn utimes(&self, atime: HostTime, mtime: HostTime) -> HostResult<()> {
        either!(self, held => held.utimes(atime, mtime))
    }

    /// Room for changes.
    pub fn space(&self) -> HostResult<HostSpace> {
        either!(self, held => held.space())
    }

    /// The value of the extended attribute `name`, if there is one.
    pub fn attribute(&self, name: &str) -> HostResult<Option<Vec<u8>>> {
        either!(self, held => held.attribute(name))
    }

    /// Sets or, with `None`, removes the extended attribute `name`.
    pub fn set_attribute(&self, name: &str, value: Option<&[u8]>) -> HostResult<()> {
        either!(self, held => held.set_attribute(name, value))
    }

    /// Brings to the disk what is kept of it besides its bytes.
    pub fn sync(&self) -> HostResult<()> {
        match self {
            Hold::Host(_) => Ok(()),
            Hold::Layered(held) => held.sync(),
        }
    }
}
