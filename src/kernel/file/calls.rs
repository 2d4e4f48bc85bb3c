//! Calls on descriptors.
//!
//! 2.1 counterpart: kern/kern_descrip.c, kern/sys_generic.c.

use syscalls::arg::{Fcntl, Fd, In, InBuf, Ioctl, IovecIn, IovecOut, Out, OutBuf, SelectSets, Unused};
use syscalls::errno::Errno;
use syscalls::flags::{LockOp, LockType, PathconfName};
use syscalls::layout::{Flock, Ostat, Stat, Timeval};

use super::select::{self, FdBits, Selecting};
use super::uio::Iovec;
use super::{FileFlag, FileId, FileObject, Resume, Uio, closef, control, descriptor, fd_alloc, getfile, ops};
use crate::kernel::limits::Resource;
use crate::kernel::time::calls::itimer_fix;
use crate::kernel::vfs::{self, lock::Owner};
use crate::kernel::{Context, Stop, Sysret, synch};

/// Most buffers of a scattered transfer (UIO_MAXIOV).
const UIO_MAXIOV: u32 = 1024;
/// Most descriptors that select looks at (FD_SETSIZE).
const FD_SETSIZE: u32 = 256;
/// Bytes that a pipe takes at once (PIPE_BUF).
const PIPE_BUF: i32 = 512;

/// Reads into one buffer.
pub fn read(cx: &mut Context<'_>, fd: Fd, buf: OutBuf) -> Sysret<i32> {
    let (file, object) = open_for(cx, fd, FileFlag::READ)?;
    if (buf.cap as i32) < 0 {
        return Err(Errno::EINVAL.into());
    }
    ops::read(cx, file, object, Uio::single(buf.addr, buf.cap))
}

/// Reads into several buffers.
pub fn readv(cx: &mut Context<'_>, fd: Fd, iov: IovecOut) -> Sysret<i32> {
    let (file, object) = open_for(cx, fd, FileFlag::READ)?;
    let uio = scattered(cx, iov.addr, iov.count)?;
    ops::read(cx, file, object, uio)
}

/// Writes one buffer.
pub fn write(cx: &mut Context<'_>, fd: Fd, buf: InBuf) -> Sysret<i32> {
    let (file, object) = open_for(cx, fd, FileFlag::WRITE)?;
    ops::write(cx, file, object, Uio::single(buf.addr, buf.len))
}

/// Writes several buffers.
pub fn writev(cx: &mut Context<'_>, fd: Fd, iov: IovecIn) -> Sysret<i32> {
    let (file, object) = open_for(cx, fd, FileFlag::WRITE)?;
    let uio = scattered(cx, iov.addr, iov.count)?;
    ops::write(cx, file, object, uio)
}

/// The file behind a descriptor that is open for what is wanted, and what it stands for.
#[inline]
fn open_for(cx: &Context<'_>, fd: Fd, wanted: FileFlag) -> Result<(FileId, FileObject), Errno> {
    let id = getfile(cx, fd)?;
    let file = &cx.kernel.files[id];
    if file.flag.contains(wanted) { Ok((id, file.object)) } else { Err(Errno::EBADF) }
}

/// Copies in the buffers of a scattered transfer; their lengths must not add up to more than 2^31 - 1.
fn scattered(cx: &Context<'_>, addr: u32, count: u32) -> Result<Uio, Errno> {
    if count > UIO_MAXIOV {
        return Err(Errno::EINVAL);
    }
    let bytes = cx.copyin_vec(addr, 8 * count as usize)?;
    let word = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    let iov: Vec<Iovec> =
        bytes.chunks_exact(8).map(|b| Iovec { base: word(&b[..4]), len: word(&b[4..]) }).collect();
    let mut sum = 0i32;
    for v in &iov {
        sum = sum.wrapping_add(v.len as i32);
        if sum < 0 {
            return Err(Errno::EINVAL);
        }
    }
    Ok(Uio::vector(iov))
}

/// Closes a descriptor.
pub fn close(cx: &mut Context<'_>, fd: Fd) -> Sysret<()> {
    let file = getfile(cx, fd)?;
    cx.proc_mut().fd.clear(fd);
    closef(cx, file)
}

/// Duplicates a descriptor to the lowest free one.
pub fn dup(cx: &mut Context<'_>, fd: Fd, _spare: Unused) -> Sysret<Fd> {
    let file = getfile(cx, fd)?;
    let new = fd_alloc(cx, 0)?;
    Ok(descriptor::finish_dup(cx, file, new))
}

/// Duplicates a descriptor to a given one, which is closed first; an error of that close is not told.
pub fn dup2(cx: &mut Context<'_>, from: Fd, to: Fd) -> Sysret<Fd> {
    let file = getfile(cx, from)?;
    let wanted = to.0 as u32;
    let soft = cx.proc().limits.get(Resource::Nofile).cur;
    if i64::from(wanted) >= soft || i64::from(wanted) >= i64::from(cx.kernel.system.maxfilesperproc) {
        return Err(Errno::EBADF.into());
    }
    if from == to {
        return Ok(to);
    }
    if wanted as usize >= cx.proc().fd.size() {
        fd_alloc(cx, wanted as usize)?;
    } else if let Some(old) = cx.proc().fd.get(to) {
        cx.proc_mut().fd.forget(to);
        let closed = closef(cx, old);
        return dup_onto(cx, from, to, closed);
    }
    Ok(descriptor::finish_dup(cx, file, to))
}

/// The end of dup2, behind the close of what the descriptor was; that may take its time.
pub(super) fn dup_onto(cx: &mut Context<'_>, from: Fd, to: Fd, closed: Sysret<()>) -> Sysret<Fd> {
    if let Err(Stop::Park(parked)) = closed {
        let close = Box::new(parked.resume);
        return synch::sleep(parked.sleep, synch::Resume::File(Resume::Dup2 { from, to, close }));
    }
    let file = getfile(cx, from)?;
    Ok(descriptor::finish_dup(cx, file, to))
}

/// Does what a command asks of a descriptor.
pub fn fcntl(cx: &mut Context<'_>, fd: Fd, command: Fcntl) -> Sysret<i32> {
    let file = getfile(cx, fd)?;
    control::fcntl(cx, fd, file, command.cmd, command.arg)
}

/// Does what a request asks of the device or socket.
pub fn ioctl(cx: &mut Context<'_>, fd: Fd, request: Ioctl) -> Sysret<i32> {
    let file = getfile(cx, fd)?;
    if !cx.kernel.files[file].flag.intersects(FileFlag::READ | FileFlag::WRITE) {
        return Err(Errno::EBADF.into());
    }
    control::ioctl(cx, fd, file, request.request, request.data)?;
    Ok(0)
}

/// Waits until one of several descriptors is ready, or for a time.
pub fn select(cx: &mut Context<'_>, sets: SelectSets, timeout: In<Timeval>) -> Sysret<i32> {
    if sets.nd > FD_SETSIZE {
        return Err(Errno::EINVAL.into());
    }
    // Descriptors beyond the table are forgiven.
    let nd = (sets.nd as usize).min(cx.proc().fd.size());
    let addresses = [sets.read, sets.write, sets.except];
    let mut wanted: [FdBits; 3] = Default::default();
    for (bits, address) in wanted.iter_mut().zip(addresses) {
        if address != 0 {
            let bytes = cx.copyin_vec(address, 4 * nd.div_ceil(32))?;
            for (word, b) in bits.iter_mut().zip(bytes.chunks_exact(4)) {
                *word = u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            }
        }
    }
    let deadline = if timeout.is_null() {
        None
    } else {
        let time = itimer_fix(&cx.read(timeout.addr())?)?;
        Some(cx.kernel.clock.uptime() + time)
    };
    select::select(cx, Selecting { nd, sets: addresses, wanted, deadline })
}

/// Locks or unlocks a whole file on behalf of the open file.
pub fn flock(cx: &mut Context<'_>, fd: Fd, how: LockOp) -> Sysret<()> {
    let file = getfile(cx, fd)?;
    let FileObject::Vnode(vnode) = cx.kernel.files[file].object else { return Err(Errno::EOPNOTSUPP.into()) };
    let kind = if how.contains(LockOp::UN) {
        LockType::Unlck
    } else if how.contains(LockOp::EX) {
        LockType::Wrlck
    } else if how.contains(LockOp::SH) {
        LockType::Rdlck
    } else {
        return Err(Errno::EBADF.into());
    };
    cx.kernel.files[file].flag.set(FileFlag::HASLOCK, kind != LockType::Unlck);
    let lock = Flock { kind: (kind.raw() as i16).into(), ..Flock::default() };
    vfs::advlock(cx, vnode, Owner::File(file), &lock, !how.contains(LockOp::NB))
}

/// Tells what a descriptor stands for.
pub fn fstat(cx: &mut Context<'_>, fd: Fd, sb: Out<Stat>) -> Sysret<()> {
    let file = getfile(cx, fd)?;
    let stat = ops::stat(cx, file)?;
    Ok(cx.write(sb.addr(), &stat)?)
}

/// Tells what a descriptor stands for, in the older and narrower form.
pub fn ofstat(cx: &mut Context<'_>, fd: Fd, sb: Out<Ostat>) -> Sysret<()> {
    let file = getfile(cx, fd)?;
    let stat = ops::stat(cx, file)?;
    Ok(cx.write(sb.addr(), &old_stat(&stat))?)
}

/// The older form of what stat tells (`cvtstat`): numbers of 16 bits, and -2 for a size of 4 GiB or more.
pub fn old_stat(stat: &Stat) -> Ostat {
    let size = stat.size.get();
    Ostat {
        dev: (stat.dev.get() as u16).into(),
        ino: stat.ino,
        mode: stat.mode,
        nlink: stat.nlink,
        uid: (stat.uid.get() as u16).into(),
        gid: (stat.gid.get() as u16).into(),
        rdev: (stat.rdev.get() as u16).into(),
        size: if size < 1 << 32 { (size as i32).into() } else { (-2).into() },
        atime: stat.atime,
        mtime: stat.mtime,
        ctime: stat.ctime,
        blksize: (stat.blksize.get() as i32).into(),
        blocks: (stat.blocks.get() as i32).into(),
        flags: stat.flags,
        gener: stat.gener,
        ..Ostat::default()
    }
}

/// Gives a limit of what a descriptor stands for.
pub fn fpathconf(cx: &mut Context<'_>, fd: Fd, name: PathconfName) -> Sysret<i32> {
    let file = getfile(cx, fd)?;
    match (cx.kernel.files[file].object, name) {
        (FileObject::Vnode(vnode), _) => Ok(vfs::vn_pathconf(cx, vnode, name)?),
        (FileObject::Socket(_), PathconfName::PipeBuf) => Ok(PIPE_BUF),
        (FileObject::Socket(_) | FileObject::Unset, _) => Err(Errno::EINVAL.into()),
    }
}

/// The number of descriptors that the process may have.
pub fn getdtablesize(cx: &mut Context<'_>) -> Sysret<i32> {
    let soft = cx.proc().limits.get(Resource::Nofile).cur as i32;
    Ok(soft.min(cx.kernel.system.maxfilesperproc))
}
