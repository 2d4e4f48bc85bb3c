//! Commands on descriptors and open files: the engine of fcntl and ioctl.
//!
//! 2.1 counterpart: kern/kern_descrip.c (fcntl), kern/sys_generic.c (ioctl).

use syscalls::arg::Fd;
use syscalls::errno::Errno;
use syscalls::flags::{FcntlCmd, LockType, Whence};
use syscalls::ioctl::{
    FIOASYNC, FIOCLEX, FIOGETOWN, FIONBIO, FIONCLEX, FIOSETOWN, Request, TIOCGPGRP, TIOCSPGRP,
};
use syscalls::layout::Flock;

use super::{FileFlag, FileId, FileObject, descriptor, fd_alloc, ops};
use crate::kernel::limits::Resource;
use crate::kernel::proc::Flags;
use crate::kernel::vfs::{self, VnodeId, lock::Owner};
use crate::kernel::{Context, Sysret};

/// Most bytes that an ioctl transfers (IOCPARM_MAX).
const IOCPARM_MAX: u32 = 4096;
/// Flags of an open file that F_SETFL changes (FCNTLFLAGS).
const SETTABLE: FileFlag =
    FileFlag::APPEND.union(FileFlag::ASYNC).union(FileFlag::FSYNC).union(FileFlag::NONBLOCK);

/// Does what an fcntl command asks.
pub(super) fn fcntl(cx: &mut Context<'_>, fd: Fd, file: FileId, cmd: FcntlCmd, arg: u32) -> Sysret<i32> {
    match cmd {
        FcntlCmd::Dupfd => {
            let soft = cx.proc().limits.get(Resource::Nofile).cur;
            let most = cx.kernel.system.maxfilesperproc;
            if i64::from(arg) >= soft || i64::from(arg) >= i64::from(most) {
                return Err(Errno::EINVAL.into());
            }
            let new = fd_alloc(cx, arg as usize)?;
            Ok(descriptor::finish_dup(cx, file, new).0)
        }
        FcntlCmd::Getfd => Ok(i32::from(cx.proc().fd.close_on_exec(fd))),
        FcntlCmd::Setfd => {
            cx.proc_mut().fd.set_close_on_exec(fd, arg & 1 != 0);
            Ok(0)
        }
        FcntlCmd::Getfl => Ok((cx.kernel.files[file].flag.bits() as i32).wrapping_sub(1)),
        FcntlCmd::Setfl => set_flags(cx, file, arg),
        FcntlCmd::Getown => get_owner(cx, file),
        FcntlCmd::Setown => set_owner(cx, file, arg as i32).map(|()| 0),
        FcntlCmd::Getlk => get_lock(cx, file, arg),
        FcntlCmd::Setlk => set_lock(cx, file, arg, false),
        FcntlCmd::Setlkw => set_lock(cx, file, arg, true),
        FcntlCmd::Other(_) => Err(Errno::EINVAL.into()),
    }
}

/// Sets flags of the open file and tells the object.  As in the original one is added before the mask, as
/// if the access mode were there.
fn set_flags(cx: &mut Context<'_>, file: FileId, arg: u32) -> Sysret<i32> {
    let wanted = FileFlag::from_bits_retain(arg.wrapping_add(1)) & SETTABLE;
    let flag = &mut cx.kernel.files[file].flag;
    *flag = (*flag & !SETTABLE) | wanted;
    tell(cx, file, FIONBIO, wanted & FileFlag::NONBLOCK)?;
    match tell(cx, file, FIOASYNC, wanted & FileFlag::ASYNC) {
        Ok(()) => Ok(0),
        Err(stop) => {
            cx.kernel.files[file].flag.remove(FileFlag::NONBLOCK);
            let _ = tell(cx, file, FIONBIO, FileFlag::empty());
            Err(stop)
        }
    }
}

fn tell(cx: &mut Context<'_>, file: FileId, request: u32, flag: FileFlag) -> Sysret<()> {
    ops::ioctl(cx, file, request, &mut flag.bits().to_le_bytes().to_vec())
}

/// Who gets signals about the file: a process, or a group as a negative number.
fn get_owner(cx: &mut Context<'_>, file: FileId) -> Sysret<i32> {
    if let FileObject::Socket(socket) = cx.kernel.files[file].object {
        return Ok(cx.kernel.sockets[socket].pgid);
    }
    let mut data = vec![0; 4];
    ops::ioctl(cx, file, TIOCGPGRP, &mut data)?;
    Ok(word(&data).wrapping_neg())
}

/// Sets who gets signals about the file.  What is not a socket knows only groups: a process stands for its
/// group.
fn set_owner(cx: &mut Context<'_>, file: FileId, owner: i32) -> Sysret<()> {
    if let FileObject::Socket(socket) = cx.kernel.files[file].object {
        cx.kernel.sockets[socket].pgid = owner;
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

/// The vnode of a file and the lock that a command describes, its start counted from the beginning or the
/// end of the file.
fn read_lock(cx: &Context<'_>, file: FileId, address: u32) -> Result<(VnodeId, Flock), Errno> {
    let open = &cx.kernel.files[file];
    let FileObject::Vnode(vnode) = open.object else { return Err(Errno::EBADF) };
    let mut lock: Flock = cx.read(address)?;
    if lock.whence.get() == Whence::Cur.raw() as i16 {
        lock.start.set(lock.start.get().wrapping_add(open.offset));
    }
    Ok((vnode, lock))
}

fn get_lock(cx: &mut Context<'_>, file: FileId, address: u32) -> Sysret<i32> {
    let (vnode, mut lock) = read_lock(cx, file, address)?;
    vfs::getlock(cx, vnode, &mut lock)?;
    cx.write(address, &lock)?;
    Ok(0)
}

fn set_lock(cx: &mut Context<'_>, file: FileId, address: u32, wait: bool) -> Sysret<i32> {
    let (vnode, lock) = read_lock(cx, file, address)?;
    let needed = match LockType::from_raw(lock.kind.get() as u32) {
        LockType::Rdlck => FileFlag::READ,
        LockType::Wrlck => FileFlag::WRITE,
        LockType::Unlck => FileFlag::empty(),
        LockType::Other(_) => return Err(Errno::EINVAL.into()),
    };
    if !cx.kernel.files[file].flag.contains(needed) {
        return Err(Errno::EBADF.into());
    }
    if !needed.is_empty() {
        cx.proc_mut().flags.insert(Flags::ADVLOCK);
    }
    vfs::advlock(cx, vnode, Owner::Process(cx.id), &lock, wait)?;
    Ok(0)
}

/// Does what an ioctl request asks: its bits say how much is copied which way.
pub(super) fn ioctl(cx: &mut Context<'_>, fd: Fd, file: FileId, request: u32, address: u32) -> Sysret<()> {
    match request {
        FIONCLEX | FIOCLEX => {
            cx.proc_mut().fd.set_close_on_exec(fd, request == FIOCLEX);
            return Ok(());
        }
        _ => {}
    }
    let parts = Request(request);
    if parts.len() > IOCPARM_MAX {
        return Err(Errno::ENOTTY.into());
    }
    let len = parts.len() as usize;
    let mut data = if len == 0 {
        address.to_le_bytes().to_vec()
    } else if parts.copies_in() {
        cx.copyin_vec(address, len)?
    } else {
        vec![0; len]
    };
    let value = word(&data);
    match request {
        FIONBIO => {
            cx.kernel.files[file].flag.set(FileFlag::NONBLOCK, value != 0);
            ops::ioctl(cx, file, request, &mut data)
        }
        FIOASYNC => {
            cx.kernel.files[file].flag.set(FileFlag::ASYNC, value != 0);
            ops::ioctl(cx, file, request, &mut data)
        }
        FIOSETOWN => set_owner(cx, file, value),
        // As in the original what was asked for is never copied out.
        FIOGETOWN => get_owner(cx, file).map(|_| ()),
        _ => {
            ops::ioctl(cx, file, request, &mut data)?;
            if parts.copies_out() && len != 0 {
                cx.copyout(address, &data)?;
            }
            Ok(())
        }
    }
}

/// The first word of a parameter block.
fn word(data: &[u8]) -> i32 {
    data.first_chunk().map_or(0, |word| i32::from_le_bytes(*word))
}
