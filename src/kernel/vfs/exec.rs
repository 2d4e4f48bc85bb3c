//! Programs: the look-up and the checks of exec, and the file behind an image.
//!
//! Must not know image formats.  2.1 counterpart: exec_check_permissions in kern/kern_exec.c.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use syscalls::Errno;

use super::access::Want;
use super::calls;
use super::device::Device;
use super::mount::MountFlags;
use super::namei::Nameidata;
use super::vnode::{Body, VnodeId, Vtype};
use crate::host::fs::{OpenFor, read_at};
use crate::image;
use crate::kernel::event::Event;
use crate::kernel::file::FileFlag;
use crate::kernel::vm::{self, Mappable};
use crate::kernel::{Context, Kernel};
use crate::mem::FileId;

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
    pub file: Rc<OwnedFd>,
    /// Its size in bytes.
    pub size: u64,
    /// Its identity.
    pub id: FileId,
}

impl image::Source for Executable {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> usize {
        // What cannot be read is a file that ends there, which every activator refuses by itself.
        read_at(self.file.as_fd(), buf, offset).unwrap_or(0)
    }
}

/// A regular file of the host behind a vnode, for mapping.
#[derive(Clone, Debug)]
pub struct HostFile {
    /// The descriptor; writable if that was asked for.
    pub file: Rc<OwnedFd>,
    /// Its size in bytes.
    pub size: u64,
    /// Its identity.
    pub id: FileId,
}

/// What is wrong with a program that [`lookup_exec`] refuses with EACCES or ENOEXEC, in words.
pub fn unfit(cx: &mut Context<'_>, path: &[u8]) -> Option<&'static str> {
    let vnode = calls::namei(cx, &Nameidata::lookup(path)).ok()?.vp?;
    let attr = cx.kernel.vfs.getattr(vnode).ok()?;
    match attr.kind {
        Vtype::Dir => Some("is a directory"),
        Vtype::Reg if attr.mode & 0o111 == 0 => Some("is not executable; chmod +x makes it so"),
        Vtype::Reg if attr.size == 0 => Some("is an empty file"),
        Vtype::Reg => None,
        _ => Some("is no regular file"),
    }
}

/// Looks up a program and checks that it may be executed.
pub fn lookup_exec(cx: &mut Context<'_>, path: &[u8]) -> Result<Executable, Errno> {
    let found = calls::namei(cx, &Nameidata::lookup(path))?;
    let vnode = found.vp.ok_or(Errno::ENOENT)?;
    let cred = cx.proc().cred.ucred.clone();
    let vfs = &mut cx.kernel.vfs;
    if vfs.vnode(vnode).inode.writecount.get() > 0 {
        return Err(Errno::ETXTBSY);
    }
    let attr = vfs.getattr(vnode)?;
    let flags = vfs.mount_of(vnode).flags;
    if flags.contains(MountFlags::NOEXEC) || attr.mode & 0o111 == 0 || attr.kind != Vtype::Reg {
        return Err(Errno::EACCES);
    }
    if attr.size == 0 {
        return Err(Errno::ENOEXEC);
    }
    vfs.access(vnode, Want::EXEC, &cred)?;
    let HostFile { file, size, id } = host_file(cx.kernel, vnode, false)?;
    cx.kernel.vfs.vref(vnode);
    Ok(Executable {
        vnode,
        name: found.name,
        mode: attr.mode,
        uid: attr.uid,
        gid: attr.gid,
        nosuid: flags.contains(MountFlags::NOSUID),
        file,
        size,
        id,
    })
}

/// The host's file behind a vnode, to be mapped.
pub fn host_file(kernel: &mut Kernel, vnode: VnodeId, write: bool) -> Result<HostFile, Errno> {
    let purpose = if write { OpenFor::Writing } else { OpenFor::Reading };
    if matches!(kernel.vfs.vnode(vnode).body, Body::Disc(_)) && !write {
        let (file, id) = kernel.vfs.disc_file(vnode)?;
        return Ok(HostFile { file, size: kernel.vfs.size(vnode)?, id });
    }
    let file = kernel.vfs.content(vnode, purpose)?;
    let size = kernel.vfs.size(vnode)?;
    let node = kernel.vfs.vnode(vnode).host().ok_or(Errno::EINVAL)?;
    Ok(HostFile { file, size, id: FileId { dev: node.dev, ino: node.ino } })
}

/// Lets mappings follow files whose bytes have become those of another file of the host.
#[inline]
pub fn follow_moved(kernel: &mut Kernel) {
    if !kernel.vfs.moved.is_empty() {
        follow_all(kernel);
    }
}

#[cold]
fn follow_all(kernel: &mut Kernel) {
    for (id, file) in std::mem::take(&mut kernel.vfs.moved) {
        vm::file::after_move(kernel, id, file.as_fd());
    }
}

/// What mmap can map of a vnode that is open with these flags; EINVAL for what is neither a regular file
/// nor a character device.
pub fn vn_mmap(cx: &mut Context<'_>, vnode: VnodeId, open: FileFlag) -> Result<Mappable, Errno> {
    let held = cx.kernel.vfs.vnode(vnode);
    match (held.kind, held.rdev().and_then(Device::from_rdev)) {
        (Vtype::Reg, _) if matches!(held.body, Body::Memory(..)) => Ok(Mappable::Content(vnode)),
        (Vtype::Reg, _) => {
            let write = open.contains(FileFlag::WRITE);
            let HostFile { file, id, .. } = host_file(cx.kernel, vnode, write)?;
            cx.kernel.note(cx.id, Event::Image { vnode });
            Ok(Mappable::File { file, id })
        }
        (Vtype::Chr, Some(Device::Zero)) => Ok(Mappable::Zero),
        (Vtype::Chr, Some(Device::Mem | Device::Kmem | Device::Drum)) => Err(Errno::EPERM),
        (Vtype::Chr, _) => Ok(Mappable::Device),
        _ => Err(Errno::EINVAL),
    }
}
