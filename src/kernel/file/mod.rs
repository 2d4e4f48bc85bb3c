//! Open files and the descriptors that refer to them.
//!
//! A [`File`] is one open file of the system; descriptors of any number of processes, and messages in
//! flight, refer to it and are counted.  What it stands for is a [`FileObject`]; [`ops`] passes reading,
//! writing and the like on to the owner of that object.  Closing travels downwards: the last reference to
//! a descriptor closes the file, which closes the vnode or the socket.
//!
//! 2.1 counterpart: sys/file.h, kern/kern_descrip.c.

pub mod calls;
mod continuation;
mod control;
mod descriptor;
pub mod ops;
pub mod select;
pub mod uio;

use std::rc::Rc;

use bitflags::bitflags;
use syscalls::errno::Errno;

pub use continuation::{Resume, resume};
pub use descriptor::{
    Filedesc, closef, drop_reference_at_once, falloc, falloc_from, fd_alloc, fd_avail, fd_close_exec,
    fd_copy, fd_free, ffree, getfile, release,
};
pub use uio::Uio;

use super::arena::{Arena, Id};
use super::cred::Ucred;
use super::socket::SocketId;
use super::vfs::VnodeId;

/// Key of an open file.
pub type FileId = Id<File>;

bitflags! {
    /// Flags of an open file (`f_flag`): those of open(2) plus one, and internal ones.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct FileFlag: u32 {
        /// Open for reading (FREAD).
        const READ = 0x0001;
        /// Open for writing (FWRITE).
        const WRITE = 0x0002;
        /// Do not block (FNONBLOCK, O_NONBLOCK).
        const NONBLOCK = 0x0004;
        /// Writes go to the end (FAPPEND, O_APPEND).
        const APPEND = 0x0008;
        /// A shared lock was asked for (O_SHLOCK).
        const SHLOCK = 0x0010;
        /// An exclusive lock was asked for (O_EXLOCK).
        const EXLOCK = 0x0020;
        /// Signals when input or output is possible (FASYNC, O_ASYNC).
        const ASYNC = 0x0040;
        /// Writes are synchronous (FFSYNC, O_FSYNC).
        const FSYNC = 0x0080;
        /// Marked by the collector of descriptors in flight (FMARK).
        const MARK = 0x1000;
        /// To be looked at again by the collector (FDEFER).
        const DEFER = 0x2000;
        /// Holds an advisory lock (FHASLOCK).
        const HASLOCK = 0x4000;
        /// Any other bit is kept as it is.
        const _ = !0;
    }
}

/// What an open file stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileObject {
    /// Nothing yet: between falloc and the end of the call that opens it.
    Unset,
    /// A vnode (DTYPE_VNODE).
    Vnode(VnodeId),
    /// A socket (DTYPE_SOCKET).
    Socket(SocketId),
}

/// An open file (`struct file`).
#[derive(Clone, Debug)]
pub struct File {
    /// Flags.
    pub flag: FileFlag,
    /// What it stands for.
    pub object: FileObject,
    /// References by descriptors and by messages.
    pub count: i32,
    /// References by messages alone.
    pub msgcount: i32,
    /// Identity under which it was opened.
    pub cred: Rc<Ucred>,
    /// Offset of the next read or write.
    pub offset: i64,
}

/// The table of open files.
#[derive(Clone, Debug, Default)]
pub struct Table {
    files: Arena<File>,
    /// All open files in the original's order (`filehead`): a new one comes after the file that is
    /// descriptor 0 of the opener, or first.
    active: Vec<FileId>,
}

impl std::ops::Index<FileId> for Table {
    type Output = File;

    #[inline(always)]
    fn index(&self, id: FileId) -> &File {
        &self.files[id]
    }
}

impl std::ops::IndexMut<FileId> for Table {
    #[inline(always)]
    fn index_mut(&mut self, id: FileId) -> &mut File {
        &mut self.files[id]
    }
}

impl Table {
    /// Number of open files (`nfiles`).
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether nothing is open.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The file, if it is still open.
    pub fn get(&self, id: FileId) -> Option<&File> {
        self.files.get(id)
    }

    /// The file, if it is still open, to change it.
    pub fn get_mut(&mut self, id: FileId) -> Option<&mut File> {
        self.files.get_mut(id)
    }

    /// All open files in the original's order.
    pub fn active(&self) -> &[FileId] {
        &self.active
    }

    /// Adds a file behind `after`, or as the first; ENFILE where there are already as many as there may be.
    pub fn insert(&mut self, file: File, after: Option<FileId>, most: usize) -> Result<FileId, Errno> {
        if self.files.len() >= most {
            return Err(Errno::ENFILE);
        }
        let id = self.files.insert(file);
        let place = after.and_then(|a| self.active.iter().position(|&f| f == a)).map_or(0, |p| p + 1);
        self.active.insert(place, id);
        Ok(id)
    }

    fn remove(&mut self, id: FileId) {
        self.files.remove(id);
        self.active.retain(|&other| other != id);
    }
}
