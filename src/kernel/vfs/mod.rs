//! The file system as the guest sees it.

use syscalls::errno::Errno;
use syscalls::layout::Stat;

use super::arena::Id;
use super::file::select::Which;
use super::file::{FileId, Uio};
use super::{Context, Kernel, Retval, Sysret, Wake};
use crate::host::stdio::Stream;

/// A vnode.
#[derive(Debug)]
pub struct Vnode {}
/// Key of a vnode.
pub type VnodeId = Id<Vnode>;
/// Mounts, vnodes, names.
#[derive(Debug, Default)]
pub struct Vfs {}

/// A file that exec has looked up and may execute.
#[derive(Debug)]
pub struct Executable {
    /// Its vnode, with a reference for the caller.
    pub vnode: VnodeId,
    /// Last component of its path.
    pub name: Vec<u8>,
    /// Permission bits, with set-id bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The file system ignores set-id bits.
    pub nosuid: bool,
    /// The host's file, for reading and mapping.
    pub file: std::rc::Rc<std::os::fd::OwnedFd>,
    /// Its size in bytes.
    pub size: u64,
    /// Its identity.
    pub id: crate::mem::FileId,
}

impl crate::image::Source for Executable {
    fn size(&self) -> u64 {
        self.size
    }
    fn read_at(&self, _offset: u64, _buf: &mut [u8]) -> usize {
        0
    }
}

/// What a parked call on names keeps.
#[derive(Debug)]
pub enum Resume {}
/// Goes on with a parked call.
pub fn resume(_cx: &mut Context<'_>, state: Resume, _wake: Wake) -> Sysret<Retval> {
    match state {}
}
pub fn lookup_exec(_cx: &mut Context<'_>, _path: &[u8]) -> Result<Executable, Errno> {
    Err(Errno::ENOENT)
}
pub fn vref(_kernel: &mut Kernel, _id: VnodeId) {}
pub fn vrele(_kernel: &mut Kernel, _id: VnodeId) {}
pub fn vn_read(_cx: &mut Context<'_>, _file: FileId, _uio: Uio) -> Sysret<i32> {
    Err(Errno::EOPNOTSUPP.into())
}
pub fn vn_write(_cx: &mut Context<'_>, _file: FileId, _uio: Uio) -> Sysret<i32> {
    Err(Errno::EOPNOTSUPP.into())
}
pub fn vn_ioctl(_cx: &mut Context<'_>, _file: FileId, _request: u32, _data: &mut Vec<u8>) -> Sysret<()> {
    Err(Errno::ENOTTY.into())
}
pub fn vn_select(_cx: &mut Context<'_>, _file: FileId, _which: Which) -> bool {
    true
}
pub fn vn_stat(_cx: &mut Context<'_>, _vnode: VnodeId) -> Result<Stat, Errno> {
    Err(Errno::EOPNOTSUPP)
}
pub fn vn_close(_cx: &mut Context<'_>, _file: FileId) -> Sysret<()> {
    Ok(())
}
/// Drops the record locks that the calling process holds on a file, as any close of it does.
pub fn release_process_locks(_cx: &mut Context<'_>, _file: FileId) {}
/// Drops the lock that belongs to an open file.
pub fn release_file_locks(_cx: &mut Context<'_>, _file: FileId) {}
/// Opens descriptors 0, 1 and 2 over the host's.
pub fn open_standard_files(_cx: &mut Context<'_>, _streams: [Option<Stream>; 3]) -> Result<(), Errno> {
    Ok(())
}
/// Makes a directory the current one of the calling process.
pub fn change_directory(_cx: &mut Context<'_>, _path: &[u8]) -> Result<(), Errno> {
    Ok(())
}
/// Waits for host descriptors that processes sleep on, at most so many nanoseconds, and wakes the sleepers;
/// false where nobody waits for any.
pub fn poll_host(_kernel: &mut Kernel, _timeout_ns: Option<u64>) -> bool {
    false
}

/// What mmap can map of a vnode that is open with these flags; EINVAL for what is neither a regular file
/// nor a character device.
pub fn vn_mmap(
    _cx: &mut Context<'_>,
    _vnode: VnodeId,
    _open: super::file::FileFlag,
) -> Result<super::vm::Mappable, Errno> {
    Err(Errno::EINVAL)
}

/// Advisory locks.
pub mod lock {
    /// Who holds a lock.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Owner {
        /// A process: record locks of fcntl.
        Process(crate::kernel::proc::ProcId),
        /// An open file: locks of flock.
        File(super::FileId),
    }
}
/// Sets or clears (`l_type`) an advisory lock, and waits for it where asked to (`VOP_ADVLOCK`).
pub fn advlock(
    _cx: &mut Context<'_>,
    _vnode: VnodeId,
    _owner: lock::Owner,
    _lock: &syscalls::layout::Flock,
    _wait: bool,
) -> super::Sysret<()> {
    Err(Errno::EOPNOTSUPP.into())
}
/// Replaces a description of a record lock of the calling process by that of the first lock that forbids it
/// (`VOP_ADVLOCK` with F_GETLK).
pub fn getlock(
    _cx: &mut Context<'_>,
    _vnode: VnodeId,
    _lock: &mut syscalls::layout::Flock,
) -> Result<(), Errno> {
    Err(Errno::EOPNOTSUPP)
}
/// A limit of a file (`VOP_PATHCONF`).
pub fn vn_pathconf(
    _cx: &mut Context<'_>,
    _vnode: VnodeId,
    name: syscalls::flags::PathconfName,
) -> Result<i32, Errno> {
    use syscalls::flags::PathconfName::{ChownRestricted, LinkMax, NameMax, NoTrunc, PathMax, PipeBuf};
    match name {
        LinkMax => Ok(32767),
        NameMax => Ok(255),
        PathMax => Ok(1024),
        PipeBuf => Ok(512),
        ChownRestricted | NoTrunc => Ok(1),
        _ => Err(Errno::EINVAL),
    }
}
