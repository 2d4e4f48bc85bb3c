//! The calls on names and files: thin handlers, in files by what they are about.
//!
//! | file | calls |
//! |---|---|
//! | [`open`](mod@open) | open and its relatives, lseek, fsync |
//! | [`mount`](mod@mount) | mounting |
//! | [`name`] | making, removing and renaming names |
//! | [`attribute`] | stat, access, modes, owners, times, sizes |
//! | [`server`] | handles and daemons of network file systems |
//! | [`tree`] | directories, roots, file systems |
//!
//! 2.1 counterpart: kern/vfs_syscalls.c.

mod attribute;
mod mount;
mod name;
mod open;
mod server;
#[cfg(test)]
mod tests;
mod tree;

pub use attribute::*;
pub use mount::*;
pub use name::*;
pub use open::*;
pub use server::*;
pub use tree::*;

use syscalls::Errno;
use syscalls::arg::{Fd, Path};

use super::access::Want;
use super::namei::{Found, MAXPATHLEN, Nameidata, Start};
use super::vnode::{VnodeId, Vtype};
use crate::kernel::Context;
use crate::kernel::cred::Ucred;
use crate::kernel::event::Event;
use crate::kernel::file::{self, FileId, FileObject};

/// Reads a path from guest memory.
fn copy_path(cx: &Context<'_>, path: Path) -> Result<Vec<u8>, Errno> {
    cx.copyinstr(path.0, MAXPATHLEN)
}

/// Looks a path up for the calling process.
pub(super) fn namei(cx: &mut Context<'_>, nd: &Nameidata<'_>) -> Result<Found, Errno> {
    let cred = cx.proc().cred.ucred.clone();
    namei_as(cx, nd, &cred)
}

/// Looks a path up for the calling process, under another identity.
fn namei_as(cx: &mut Context<'_>, nd: &Nameidata<'_>, cred: &Ucred) -> Result<Found, Errno> {
    let top = cx.kernel.vfs.root_vnode();
    let table = &cx.proc().fd;
    let root = table.root.unwrap_or(top);
    let start = Start { cwd: table.cwd.unwrap_or(root), root };
    cx.kernel.vfs.set_time(&cx.kernel.clock);
    super::procfs::refresh(cx.kernel, cx.id);
    super::kernfs::refresh(cx.kernel);
    let found = cx.kernel.vfs.namei(nd, start, cred);
    cx.kernel.note_with(cx.id, |_| {
        let result = found.as_ref().map(|_| ()).map_err(|errno| *errno);
        Event::Lookup { path: nd.path.to_vec(), result }
    });
    found
}

/// The vnode that a path leads to.
pub(super) fn lookup(cx: &mut Context<'_>, path: &[u8]) -> Result<VnodeId, Errno> {
    namei(cx, &Nameidata::lookup(path))?.vp.ok_or(Errno::ENOENT)
}

/// The vnode that a path in guest memory leads to.
pub(in crate::kernel) fn lookup_path(cx: &mut Context<'_>, path: Path) -> Result<VnodeId, Errno> {
    let path = copy_path(cx, path)?;
    lookup(cx, &path)
}

/// The file that ktrace writes: a regular one that the caller may read and write; referenced for the caller.
pub(in crate::kernel) fn open_trace_file(cx: &mut Context<'_>, path: Path) -> Result<VnodeId, Errno> {
    let vnode = lookup_path(cx, path)?;
    let cred = cx.proc().cred.ucred.clone();
    let vfs = &mut cx.kernel.vfs;
    vfs.access(vnode, Want::READ, &cred)?;
    match vfs.vnode(vnode).kind {
        Vtype::Dir => return Err(Errno::EISDIR),
        _ if vfs.vnode(vnode).text => return Err(Errno::ETXTBSY),
        _ => vfs.access(vnode, Want::WRITE, &cred)?,
    }
    if vfs.vnode(vnode).kind != Vtype::Reg {
        return Err(Errno::EACCES);
    }
    vfs.vref(vnode);
    Ok(vnode)
}

/// The file that records of processes go to: a regular one that the caller may write, named without a
/// symbolic link at the end; referenced for the caller.
pub(in crate::kernel) fn open_accounting_file(cx: &mut Context<'_>, path: Path) -> Result<VnodeId, Errno> {
    let path = copy_path(cx, path)?;
    let nd = Nameidata { follow: false, ..Nameidata::lookup(&path) };
    let vnode = namei(cx, &nd)?.vp.ok_or(Errno::ENOENT)?;
    let cred = cx.proc().cred.ucred.clone();
    match cx.kernel.vfs.vnode(vnode).kind {
        Vtype::Dir => return Err(Errno::EISDIR),
        Vtype::Sock => return Err(Errno::EOPNOTSUPP),
        _ => super::vnops::write_check(cx.kernel, vnode)?,
    }
    cx.kernel.vfs.access(vnode, Want::WRITE, &cred)?;
    if cx.kernel.vfs.vnode(vnode).kind != Vtype::Reg {
        return Err(Errno::EACCES);
    }
    cx.kernel.vfs.vref(vnode);
    Ok(vnode)
}

/// The vnode of a descriptor; EINVAL for a socket (`getvnode`).
fn getvnode(cx: &Context<'_>, fd: Fd) -> Result<(FileId, VnodeId), Errno> {
    let file = file::getfile(cx, fd)?;
    match cx.kernel.files[file].object {
        FileObject::Vnode(vnode) => Ok((file, vnode)),
        _ => Err(Errno::EINVAL),
    }
}
