//! Passes operations on open files to the owner of the object: the vnode layer or the socket layer.
//!
//! 2.1 counterpart: `struct fileops`, and the common ends of read, write and their relatives in
//! kern/sys_generic.c.

use syscalls::errno::Errno;
use syscalls::layout::Stat;

use super::select::Which;
use super::{FileId, FileObject, Uio};
use crate::kernel::{Context, Stop, Sysret, signal, socket, vfs};

/// Reads from a file that stands for an object; gives the number of bytes.
#[inline(always)]
pub fn read(cx: &mut Context<'_>, file: FileId, object: FileObject, uio: Uio) -> Sysret<i32> {
    match object {
        FileObject::Vnode(_) => vfs::vn_read(cx, file, uio),
        FileObject::Socket(socket) => socket::soo_read(cx, socket, uio),
        FileObject::Unset => Err(Errno::EBADF.into()),
    }
}

/// Writes to a file that stands for an object; gives the number of bytes.
#[inline(always)]
pub fn write(cx: &mut Context<'_>, file: FileId, object: FileObject, uio: Uio) -> Sysret<i32> {
    match object {
        FileObject::Vnode(_) => vfs::vn_write(cx, file, uio),
        FileObject::Socket(socket) => socket::soo_write(cx, socket, uio),
        FileObject::Unset => Err(Errno::EBADF.into()),
    }
}

/// Device control; `data` is the parameter block, copied in before and copied out after as the request
/// says.
pub fn ioctl(cx: &mut Context<'_>, file: FileId, request: u32, data: &mut Vec<u8>) -> Sysret<()> {
    match cx.kernel.files[file].object {
        FileObject::Vnode(_) => vfs::vn_ioctl(cx, file, request, data),
        FileObject::Socket(socket) => socket::soo_ioctl(cx, socket, request, data),
        FileObject::Unset => Err(Errno::EBADF.into()),
    }
}

/// Whether the file is ready; if not, the process is noted and will be woken on `Channel::Select`.
pub fn select(cx: &mut Context<'_>, file: FileId, which: Which) -> bool {
    match cx.kernel.files[file].object {
        FileObject::Vnode(_) => vfs::vn_select(cx, file, which),
        FileObject::Socket(socket) => socket::soo_select(cx, socket, which),
        FileObject::Unset => false,
    }
}

/// What stat tells of the file.
pub fn stat(cx: &mut Context<'_>, file: FileId) -> Result<Stat, Errno> {
    match cx.kernel.files[file].object {
        FileObject::Vnode(vnode) => vfs::vn_stat(cx, vnode),
        FileObject::Socket(socket) => socket::soo_stat(cx, socket),
        FileObject::Unset => Err(Errno::EBADF),
    }
}

/// Closes the object; the open file itself is the caller's.
pub fn close(cx: &mut Context<'_>, file: FileId) -> Sysret<()> {
    match cx.kernel.files[file].object {
        FileObject::Vnode(_) => vfs::vn_close(cx, file),
        FileObject::Socket(socket) => socket::soo_close(cx, socket),
        FileObject::Unset => Ok(()),
    }
}

/// The common end of read: what was transferred before an interruption is a success.
#[inline]
pub fn finish_read(requested: u32, uio: &Uio, result: Sysret<()>) -> Sysret<i32> {
    let done = requested - uio.resid;
    match result {
        Err(Stop::Restart | Stop::Errno(Errno::EINTR | Errno::EWOULDBLOCK)) if done > 0 => Ok(done as i32),
        Err(stop) => Err(stop),
        Ok(()) => Ok(done as i32),
    }
}

/// The common end of write: as for read, and a broken pipe is a signal too.
#[inline]
pub fn finish_write(cx: &mut Context<'_>, requested: u32, uio: &Uio, result: Sysret<()>) -> Sysret<i32> {
    let result = finish_read(requested, uio, result);
    if matches!(result, Err(Stop::Errno(Errno::EPIPE))) {
        signal::psignal(cx.kernel, cx.id, signal::SIGPIPE);
    }
    result
}
