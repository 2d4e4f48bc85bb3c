//! open and its relatives, the position in a file, and writing files out.
//!
//! 2.1 counterpart: open, lseek and fsync in kern/vfs_syscalls.c, dupfdopen in kern/kern_descrip.c.

use syscalls::Errno;
use syscalls::arg::{CreatMode, Fd, Mode, Off, Path, Unused};
use syscalls::flags::{OpenFlags, Whence};
use syscalls::layout::mode::{ALLPERMS, S_ISTXT};

use super::super::continuation::Resume;
use super::super::vnode::{VnodeId, Vtype};
use super::super::vnops::{self, Opened};
use super::super::{fifo, locking};
use super::{copy_path, getvnode};
use crate::host::stdio::StreamKind;
use crate::kernel::file::{self, FileFlag, FileId, FileObject};
use crate::kernel::{Context, Stop, Sysret, tty};

/// Flags that stay with an open file (FMASK).
const FMASK: FileFlag = FileFlag::READ
    .union(FileFlag::WRITE)
    .union(FileFlag::APPEND)
    .union(FileFlag::ASYNC)
    .union(FileFlag::FSYNC)
    .union(FileFlag::NONBLOCK);

/// Opens a file.  The descriptor comes first: EMFILE before any look-up.
pub fn open(cx: &mut Context<'_>, path: Path, flags: OpenFlags, mode: CreatMode) -> Sysret<Fd> {
    let flags = FileFlag::from_bits_retain(flags.kernel());
    if !flags.intersects(FileFlag::READ | FileFlag::WRITE) {
        return Err(Errno::EINVAL.into());
    }
    let (fd, file) = file::falloc(cx)?;
    let mode = mode.0 as u16 & !cx.proc().fd.umask & ALLPERMS & !S_ISTXT;
    let found = copy_path(cx, path).and_then(|path| vnops::open(cx, &path, flags, mode));
    let waits_for = match found {
        Ok(Opened::Vnode(vnode)) => return opened(cx, fd, file, vnode, flags),
        Ok(Opened::Terminal(vnode, special)) => return tty::open(cx, fd, file, vnode, flags, special),
        Ok(Opened::Descriptor(number)) => return Ok(duplicate(cx, fd, file, number, flags)?),
        Ok(Opened::Fifo(vnode)) => match fifo::open(cx, vnode, flags) {
            Ok(None) => return opened(cx, fd, file, vnode, flags),
            Ok(Some(channel)) => (channel, vnode),
            Err(stop) => return open_failed(cx, fd, file, vnode, flags, stop),
        },
        Err(errno) => {
            file::release(cx, fd, file);
            return Err(errno.into());
        }
    };
    fifo::sleep(waits_for.0, fd, file, waits_for.1, flags)
}

/// Creates a file, or empties it, for writing.
pub fn ocreat(cx: &mut Context<'_>, path: Path, mode: Mode) -> Sysret<Fd> {
    let flags = OpenFlags::from_bits_retain(OpenFlags::WRONLY) | OpenFlags::CREAT | OpenFlags::TRUNC;
    open(cx, path, flags, CreatMode(mode.0))
}

/// The vnode is open: the file stands for it, once it has the lock that was asked for.
pub(in crate::kernel) fn opened(
    cx: &mut Context<'_>,
    fd: Fd,
    file: FileId,
    vnode: VnodeId,
    flags: FileFlag,
) -> Sysret<Fd> {
    let open = &mut cx.kernel.files[file];
    open.flag = flags & FMASK;
    open.object = FileObject::Vnode(vnode);
    // Devices have no locks; as recorded, an open that asks for one gets the device all the same.
    let device = matches!(cx.kernel.vfs.vnode(vnode).kind, Vtype::Chr | Vtype::Blk);
    if device || !flags.intersects(FileFlag::EXLOCK | FileFlag::SHLOCK) {
        return Ok(fd);
    }
    let exclusive = flags.contains(FileFlag::EXLOCK);
    let wait = !flags.contains(FileFlag::NONBLOCK);
    let mut wrap = |lock| Resume::OpenLock { fd, file, lock };
    let result = locking::lock_file(cx, file, vnode, exclusive, wait, &mut wrap);
    locked(cx, fd, file, result)
}

/// The end of an open that asked for a lock; without it there is no open file.
pub(in super::super) fn locked(cx: &mut Context<'_>, fd: Fd, file: FileId, result: Sysret<()>) -> Sysret<Fd> {
    match result {
        Ok(()) => {
            cx.kernel.files[file].flag.insert(FileFlag::HASLOCK);
            Ok(fd)
        }
        Err(Stop::Park(parked)) => Err(Stop::Park(parked)),
        Err(stop) => {
            // What the close says is of no interest: the open has failed.
            let _ = vnops::vn_close(cx, file);
            file::release(cx, fd, file);
            Err(stop)
        }
    }
}

/// Undoes an open whose vnode was counted as open.
pub(in super::super) fn open_failed(
    cx: &mut Context<'_>,
    fd: Fd,
    file: FileId,
    vnode: VnodeId,
    flags: FileFlag,
    stop: Stop,
) -> Sysret<Fd> {
    // What the close says is of no interest: the open has failed.
    let _ = vnops::close(cx, vnode, flags);
    file::release(cx, fd, file);
    Err(stop)
}

/// Undoes an open whose device did not open.
pub(in crate::kernel) fn not_opened(
    cx: &mut Context<'_>,
    fd: Fd,
    file: FileId,
    vnode: VnodeId,
    flags: FileFlag,
    stop: Stop,
) -> Sysret<Fd> {
    if flags.contains(FileFlag::WRITE) {
        let inode = &cx.kernel.vfs.vnode(vnode).inode;
        inode.writecount.set(inode.writecount.get().saturating_sub(1));
    }
    cx.kernel.vfs.vrele(vnode);
    file::release(cx, fd, file);
    Err(stop)
}

/// Makes the new descriptor another one for an open file of the process (`dupfdopen`).
fn duplicate(cx: &mut Context<'_>, fd: Fd, file: FileId, number: u32, flags: FileFlag) -> Result<Fd, Errno> {
    let from = Fd(number.cast_signed());
    let found = cx.proc().fd.get(from).filter(|&same| same != file);
    let allowed = |same: FileId| {
        let wanted = flags & (FileFlag::READ | FileFlag::WRITE);
        cx.kernel.files[same].flag.contains(wanted)
    };
    let result = match found {
        None => Err(Errno::EBADF),
        Some(same) if !allowed(same) => Err(Errno::EACCES),
        Some(same) => Ok(same),
    };
    file::release(cx, fd, file);
    let same = result?;
    let close_on_exec = cx.proc().fd.close_on_exec(from);
    cx.kernel.files[same].count += 1;
    let table = &mut cx.proc_mut().fd;
    table.install(fd, same);
    table.set_close_on_exec(fd, close_on_exec);
    Ok(fd)
}

/// Moves the offset of an open file.
pub fn lseek(cx: &mut Context<'_>, fd: Fd, _pad: Unused, offset: Off, whence: Whence) -> Sysret<i64> {
    let file = file::getfile(cx, fd)?;
    let FileObject::Vnode(vnode) = cx.kernel.files[file].object else { return Err(Errno::ESPIPE.into()) };
    let stream = cx.kernel.vfs.stream(vnode).map(|stream| stream.kind);
    if stream == Some(StreamKind::Pipe) {
        return Err(Errno::ESPIPE.into());
    }
    let base = match whence {
        // Others may share the host's offset.
        Whence::Cur if stream == Some(StreamKind::File) => {
            let stream = cx.kernel.vfs.stream(vnode);
            stream.and_then(|stream| stream.tell(&cx.kernel.tape).ok()).map_or(0, u64::cast_signed)
        }
        Whence::Cur => cx.kernel.files[file].offset,
        Whence::End => cx.kernel.vfs.getattr(vnode)?.size.cast_signed(),
        Whence::Set => 0,
        _ => return Err(Errno::EINVAL.into()),
    };
    let offset = base.wrapping_add(offset);
    if stream == Some(StreamKind::File)
        && let Some(stream) = cx.kernel.vfs.stream(vnode)
    {
        // The host has no offsets below zero; reading there would fail anyway.
        stream.seek(&cx.kernel.tape, u64::try_from(offset).map_err(|_| Errno::EINVAL)?)?;
    }
    cx.kernel.files[file].offset = offset;
    Ok(offset)
}

/// Moves the offset of an open file, in 32 bits.
pub fn olseek(cx: &mut Context<'_>, fd: Fd, offset: i32, whence: Whence) -> Sysret<i32> {
    lseek(cx, fd, Unused(0), i64::from(offset), whence).map(|offset| offset as i32)
}

/// Writes a file out to the host's disk.
pub fn fsync(cx: &mut Context<'_>, fd: Fd) -> Sysret<()> {
    let (_, vnode) = getvnode(cx, fd)?;
    Ok(cx.kernel.vfs.sync_content(vnode)?)
}

/// Writes everything out: the host does that by itself, and the call never waits for it.
pub fn sync(_cx: &mut Context<'_>) -> Sysret<()> {
    Ok(())
}
