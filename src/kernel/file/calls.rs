//! The calls on descriptors, whatever is behind them.
//!
//! This file does not know vnodes or sockets; [`ops`] passes everything on.
//!
//! 2.1 counterpart: kern/kern_descrip.c, kern/sys_generic.c.

use syscalls::arg::{Fcntl, Fd, In, InBuf, Ioctl, IovecIn, IovecOut, Out, OutBuf, SelectSets, Unused};
use syscalls::errno::Errno;
use syscalls::flags::{FcntlCmd, LockOp, PathconfName};
use syscalls::ioctl::{
    FIOASYNC, FIOCLEX, FIOGETOWN, FIONBIO, FIONCLEX, FIOSETOWN, Request, TIOCGPGRP, TIOCSPGRP,
};
use syscalls::layout::{Ostat, Stat, Timeval};

use super::select::{self, FdBits, Selecting};
use super::uio::Iovec;
use super::{FileFlag, FileId, FileObject, Uio, closef, fd_alloc, getfile, ops};
use crate::kernel::limits::{MAXFILES, Resource};
use crate::kernel::{Context, Sysret};

/// Most elements of a list of buffers (UIO_MAXIOV).
const UIO_MAXIOV: u32 = 1024;
/// Most descriptors that select looks at (FD_SETSIZE).
const FD_SETSIZE: u32 = 256;
/// Most bytes of parameters of an ioctl (IOCPARM_MAX).
const IOCPARM_MAX: u32 = 4096;
/// Longest timer, in seconds.
const TIMER_MAX: i32 = 100_000_000;
/// Microseconds of a clock tick.
const TICK: i32 = 10_000;

/// The file behind a descriptor that is open for reading or writing, or EBADF.
fn getfile_for(cx: &Context<'_>, fd: Fd, flag: FileFlag) -> Result<FileId, Errno> {
    let file = getfile(cx, fd)?;
    if cx.kernel.files[file].flag.intersects(flag) { Ok(file) } else { Err(Errno::EBADF) }
}

/// A transfer of one buffer; EINVAL for 2^31 bytes or more.
fn single(base: u32, len: u32) -> Result<Uio, Errno> {
    if (len as i32) < 0 { Err(Errno::EINVAL) } else { Ok(Uio::single(base, len)) }
}

/// A transfer of several buffers: EINVAL for too many, or for 2^31 bytes or more in all.
fn scattered(cx: &Context<'_>, address: u32, count: u32) -> Result<Uio, Errno> {
    if count > UIO_MAXIOV {
        return Err(Errno::EINVAL);
    }
    let words = cx.copyin_vec(address, count as usize * 8)?;
    let word = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_le_bytes);
    let mut iov = Vec::new();
    let mut resid = 0i32;
    for v in words.chunks_exact(8) {
        let v = Iovec { base: word(&v[..4]), len: word(&v[4..]) };
        resid = resid.wrapping_add(v.len as i32);
        if resid < 0 {
            return Err(Errno::EINVAL);
        }
        iov.push(v);
    }
    Ok(Uio::vector(iov))
}

/// Reads from a descriptor.
pub fn read(cx: &mut Context<'_>, fd: Fd, buf: OutBuf) -> Sysret<i32> {
    let file = getfile_for(cx, fd, FileFlag::READ)?;
    let uio = single(buf.addr, buf.cap)?;
    ops::read(cx, file, uio)
}

/// Reads into scattered buffers.
pub fn readv(cx: &mut Context<'_>, fd: Fd, iov: IovecOut) -> Sysret<i32> {
    let file = getfile_for(cx, fd, FileFlag::READ)?;
    let uio = scattered(cx, iov.addr, iov.count)?;
    ops::read(cx, file, uio)
}

/// Writes to a descriptor.  As in the original 2^31 bytes or more get past this call; it is the file
/// that refuses them.
pub fn write(cx: &mut Context<'_>, fd: Fd, buf: InBuf) -> Sysret<i32> {
    let file = getfile_for(cx, fd, FileFlag::WRITE)?;
    ops::write(cx, file, Uio::single(buf.addr, buf.len))
}

/// Writes from scattered buffers.
pub fn writev(cx: &mut Context<'_>, fd: Fd, iov: IovecIn) -> Sysret<i32> {
    let file = getfile_for(cx, fd, FileFlag::WRITE)?;
    let uio = scattered(cx, iov.addr, iov.count)?;
    ops::write(cx, file, uio)
}

/// Closes a descriptor.  It is gone even if the close fails or is interrupted.
pub fn close(cx: &mut Context<'_>, fd: Fd) -> Sysret<()> {
    getfile(cx, fd)?;
    match cx.proc_mut().fd.clear(fd) {
        Some(file) => closef(cx, file),
        None => Err(Errno::EBADF.into()),
    }
}

/// Duplicates a descriptor under the lowest free number.
pub fn dup(cx: &mut Context<'_>, fd: Fd, _spare: Unused) -> Sysret<Fd> {
    let file = getfile(cx, fd)?;
    let new = fd_alloc(cx, 0)?;
    Ok(finish_dup(cx, file, new))
}

/// Duplicates a descriptor under a given number, closing what was there.
pub fn dup2(cx: &mut Context<'_>, from: Fd, to: Fd) -> Sysret<Fd> {
    let file = getfile(cx, from)?;
    check_limit(cx, to.0 as u32, Errno::EBADF)?;
    if from == to {
        return Ok(to);
    }
    if to.0 as usize >= cx.proc().fd.size() {
        fd_alloc(cx, to.0 as usize)?;
    } else if let Some(old) = cx.proc().fd.get(to) {
        // It must succeed even if the close fails; a close that lingers does so behind our back.
        let _ = closef(cx, old);
    }
    Ok(finish_dup(cx, file, to))
}

/// Refuses a descriptor that is not below the limit.
fn check_limit(cx: &Context<'_>, fd: u32, error: Errno) -> Result<(), Errno> {
    let soft = cx.proc().limits.get(Resource::Nofile).cur;
    if i64::from(fd) >= soft || fd as usize >= MAXFILES { Err(error) } else { Ok(()) }
}

/// The common end of dup and its relatives; the copy is not closed by exec.
fn finish_dup(cx: &mut Context<'_>, file: FileId, new: Fd) -> Fd {
    cx.proc_mut().fd.install(new, file);
    cx.kernel.files[file].count += 1;
    new
}

/// Controls a descriptor or the file behind it.
pub fn fcntl(cx: &mut Context<'_>, fd: Fd, command: Fcntl) -> Sysret<i32> {
    let file = getfile(cx, fd)?;
    let arg = command.arg;
    match command.cmd {
        FcntlCmd::Dupfd => {
            check_limit(cx, arg, Errno::EINVAL)?;
            let new = fd_alloc(cx, arg as usize)?;
            Ok(finish_dup(cx, file, new).0)
        }
        FcntlCmd::Getfd => Ok(i32::from(cx.proc().fd.close_on_exec(fd))),
        FcntlCmd::Setfd => {
            cx.proc_mut().fd.set_close_on_exec(fd, arg & 1 != 0);
            Ok(0)
        }
        FcntlCmd::Getfl => Ok(cx.kernel.files[file].flag.bits().wrapping_sub(1) as i32),
        FcntlCmd::Setfl => set_status(cx, file, arg).map(|()| 0),
        FcntlCmd::Getown => get_owner(cx, file),
        FcntlCmd::Setown => set_owner(cx, file, arg as i32).map(|()| 0),
        FcntlCmd::Getlk | FcntlCmd::Setlk | FcntlCmd::Setlkw => match cx.kernel.files[file].object {
            FileObject::Vnode(_) => Err(Errno::EOPNOTSUPP.into()),
            FileObject::Socket(_) | FileObject::Unset => Err(Errno::EBADF.into()),
        },
        FcntlCmd::Other(_) => Err(Errno::EINVAL.into()),
    }
}

/// Sets the status flags.  The argument is incremented before it is masked, as open's flags are, so that
/// the two lowest bits carry into the others.
fn set_status(cx: &mut Context<'_>, file: FileId, arg: u32) -> Sysret<()> {
    let settable = FileFlag::APPEND | FileFlag::ASYNC | FileFlag::FSYNC | FileFlag::NONBLOCK;
    let flag = &mut cx.kernel.files[file].flag;
    *flag = (*flag - settable) | (FileFlag::from_bits_retain(arg.wrapping_add(1)) & settable);
    let (nonblock, asynchronous) = (*flag & FileFlag::NONBLOCK, *flag & FileFlag::ASYNC);
    ops::ioctl(cx, file, FIONBIO, &mut nonblock.bits().to_le_bytes().to_vec())?;
    let result = ops::ioctl(cx, file, FIOASYNC, &mut asynchronous.bits().to_le_bytes().to_vec());
    if result.is_err() {
        cx.kernel.files[file].flag.remove(FileFlag::NONBLOCK);
        let _ = ops::ioctl(cx, file, FIONBIO, &mut vec![0; 4]);
    }
    result
}

fn get_owner(cx: &mut Context<'_>, file: FileId) -> Sysret<i32> {
    if let FileObject::Socket(so) = cx.kernel.files[file].object {
        return Ok(cx.kernel.sockets[so].pgid);
    }
    let mut data = vec![0; 4];
    ops::ioctl(cx, file, TIOCGPGRP, &mut data)?;
    let group = data.first_chunk().map_or(0, |word| i32::from_le_bytes(*word));
    Ok(group.wrapping_neg())
}

/// Sets who gets signals: any number for a socket, a process or negated group for anything else.
fn set_owner(cx: &mut Context<'_>, file: FileId, owner: i32) -> Sysret<()> {
    if let FileObject::Socket(so) = cx.kernel.files[file].object {
        cx.kernel.sockets[so].pgid = owner;
        return Ok(());
    }
    let group = if owner <= 0 {
        owner.wrapping_neg()
    } else {
        let id = cx.kernel.procs.find(owner).ok_or(Errno::ESRCH)?;
        cx.kernel.procs.group(cx.kernel.procs[id].pgrp).pgid
    };
    ops::ioctl(cx, file, TIOCSPGRP, &mut group.to_le_bytes().to_vec())
}

/// Controls a device.
pub fn ioctl(cx: &mut Context<'_>, fd: Fd, request: Ioctl) -> Sysret<i32> {
    let file = getfile_for(cx, fd, FileFlag::READ | FileFlag::WRITE)?;
    let number = request.request;
    if number == FIOCLEX || number == FIONCLEX {
        cx.proc_mut().fd.set_close_on_exec(fd, number == FIOCLEX);
        return Ok(0);
    }
    let parts = Request(number);
    if parts.len() > IOCPARM_MAX {
        return Err(Errno::ENOTTY.into());
    }
    let mut data = if parts.copies_in() && !parts.is_empty() {
        cx.copyin_vec(request.data, parts.len() as usize)?
    } else if parts.copies_out() && !parts.is_empty() {
        vec![0; parts.len() as usize]
    } else {
        request.data.to_le_bytes().to_vec()
    };
    let word = data.first_chunk().map_or(0, |word| i32::from_le_bytes(*word));
    match number {
        FIONBIO | FIOASYNC => {
            let flag = if number == FIONBIO { FileFlag::NONBLOCK } else { FileFlag::ASYNC };
            cx.kernel.files[file].flag.set(flag, word != 0);
            ops::ioctl(cx, file, number, &mut data)?;
        }
        FIOSETOWN => set_owner(cx, file, word)?,
        // The owner is found out, and never copied to the user (sys_generic.c, ioctl).
        FIOGETOWN => {
            get_owner(cx, file)?;
        }
        _ => {
            ops::ioctl(cx, file, number, &mut data)?;
            if parts.copies_out() && !parts.is_empty() {
                cx.copyout(request.data, &data)?;
            }
        }
    }
    Ok(0)
}

/// Waits until one of many descriptors is ready.  Descriptors outside of the table are not looked at.
pub fn select(cx: &mut Context<'_>, sets: SelectSets, timeout: In<Timeval>) -> Sysret<i32> {
    if sets.nd > FD_SETSIZE {
        return Err(Errno::EINVAL.into());
    }
    let nd = (sets.nd as usize).min(cx.proc().fd.size());
    let sets = [sets.read, sets.write, sets.except];
    let mut wanted: [FdBits; 3] = Default::default();
    for (bits, &address) in wanted.iter_mut().zip(&sets) {
        if address != 0 {
            let bytes = cx.copyin_vec(address, nd.div_ceil(32) * 4)?;
            for (word, bytes) in bits.iter_mut().zip(bytes.chunks_exact(4)) {
                *word = bytes.try_into().map_or(0, u32::from_le_bytes);
            }
        }
    }
    let mut deadline = None;
    if !timeout.is_null() {
        let tv: Timeval = cx.read(timeout.addr())?;
        let (sec, usec) = (tv.sec.get(), tv.usec.get());
        if !(0..=TIMER_MAX).contains(&sec) || !(0..1_000_000).contains(&usec) {
            return Err(Errno::EINVAL.into());
        }
        let usec = if sec == 0 && usec != 0 { usec.max(TICK) } else { usec };
        let ns = (sec as u64 * 1_000_000 + usec as u64) * 1000;
        deadline = Some(cx.kernel.clock.uptime() + ns);
    }
    select::select(cx, Selecting { nd, sets, wanted, deadline })
}

/// Describes the file behind a descriptor.
pub fn fstat(cx: &mut Context<'_>, fd: Fd, sb: Out<Stat>) -> Sysret<()> {
    let file = getfile(cx, fd)?;
    let stat = ops::stat(cx, file)?;
    Ok(cx.write(sb.addr(), &stat)?)
}

/// Describes the file behind a descriptor in the old form.
pub fn ofstat(cx: &mut Context<'_>, fd: Fd, sb: Out<Ostat>) -> Sysret<()> {
    let file = getfile(cx, fd)?;
    let stat = ops::stat(cx, file)?;
    Ok(cx.write(sb.addr(), &old_stat(&stat))?)
}

/// The old form of what stat tells (`cvtstat`): numbers of 16 bits, and -2 for a size of 4 GiB or more.
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

/// Reports a limit of the file behind a descriptor.
pub fn fpathconf(cx: &mut Context<'_>, fd: Fd, name: PathconfName) -> Sysret<i32> {
    let file = getfile(cx, fd)?;
    match (cx.kernel.files[file].object, name) {
        (_, PathconfName::PipeBuf) => Ok(512),
        (FileObject::Socket(_) | FileObject::Unset, _) => Err(Errno::EINVAL.into()),
        (FileObject::Vnode(_), PathconfName::LinkMax) => Ok(32767),
        (FileObject::Vnode(_), PathconfName::NameMax) => Ok(255),
        (FileObject::Vnode(_), PathconfName::PathMax) => Ok(1024),
        (FileObject::Vnode(_), PathconfName::ChownRestricted | PathconfName::NoTrunc) => Ok(1),
        (FileObject::Vnode(_), _) => Err(Errno::EINVAL.into()),
    }
}

/// Size of the descriptor table at most.
pub fn getdtablesize(cx: &mut Context<'_>) -> Sysret<i32> {
    let soft = cx.proc().limits.get(Resource::Nofile).cur as i32;
    Ok(soft.min(MAXFILES as i32))
}

/// Locks a whole file.
pub fn flock(cx: &mut Context<'_>, fd: Fd, _how: LockOp) -> Sysret<()> {
    getfile(cx, fd)?;
    Err(Errno::EOPNOTSUPP.into())
}
