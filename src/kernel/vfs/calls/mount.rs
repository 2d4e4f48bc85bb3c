//! Mounting and unmounting by guests: what the kernel has itself.  What can be seen of the host is settled on the
//! command line, and nobody adds to it or takes from it.
//!
//! 2.1 counterpart: kern/vfs_syscalls.c (mount, unmount, dounmount).

use syscalls::Errno;
use syscalls::arg::{GuestAddr, Path};
use syscalls::flags::{MountFlags, MountType};

use super::super::mount::{FsType, MountId, Source};
use super::super::namei::MAXPATHLEN;
use super::super::vnode::Vtype;
use super::{copy_path, lookup};
use crate::kernel::{Context, Sysret};

/// Flags of the call: change a mount; read it again; even though it is in use.
const UPDATE: u32 = 0x1_0000;
const RELOAD: u32 = 0x4_0000;
const FORCE: u32 = 0x8_0000;
/// Flags that a mount keeps of the call.
const KEPT: MountFlags = MountFlags::RDONLY
    .union(MountFlags::NOSUID)
    .union(MountFlags::NOEXEC)
    .union(MountFlags::NODEV)
    .union(MountFlags::SYNCHRONOUS);

/// Mounts a file system, or changes the flags of one.
pub fn mount(
    cx: &mut Context<'_>,
    kind: MountType,
    path: Path,
    flags: MountFlags,
    _data: GuestAddr,
) -> Sysret<()> {
    cx.suser()?;
    let name = copy_path(cx, path)?;
    let vnode = lookup(cx, &name)?;
    if flags.bits() & UPDATE != 0 {
        return update(cx, vnode, flags);
    }
    if cx.kernel.vfs.vnode(vnode).kind != Vtype::Dir {
        return Err(Errno::ENOTDIR.into());
    }
    if kind.raw() != FsType::Procfs as u32 {
        // As a kernel answers that does not have this kind; disks are the host's, and given on the command line.
        return Err(Errno::ENODEV.into());
    }
    if cx.kernel.vfs.vnode(vnode).is_root() {
        return Err(Errno::EBUSY.into());
    }
    let on = cx.kernel.vfs.path_of(vnode).unwrap_or(name);
    let on = on.get(..on.len().min(MAXPATHLEN)).unwrap_or_default().to_vec();
    cx.kernel.vfs.mount_on(&Source::Processes(b"procfs"), vnode, &on, flags & KEPT)?;
    Ok(())
}

/// Changes the flags of a mount.
fn update(cx: &mut Context<'_>, vnode: super::super::vnode::VnodeId, flags: MountFlags) -> Sysret<()> {
    if !cx.kernel.vfs.vnode(vnode).is_root() {
        return Err(Errno::EINVAL.into());
    }
    let mount = cx.kernel.vfs.mount_of_mut(vnode);
    let read_only = mount.flags.contains(MountFlags::RDONLY);
    if flags.bits() & RELOAD != 0 && !read_only {
        return Err(Errno::EOPNOTSUPP.into());
    }
    if read_only && !flags.contains(MountFlags::RDONLY) && !mount.changed {
        // Read-only by the command line stays so.
        return Err(Errno::EPERM.into());
    }
    mount.changed |= !read_only;
    mount.flags = mount.flags & !KEPT | flags & KEPT;
    Ok(())
}

/// Unmounts what was mounted by a guest; mounts of the command line are always in use.
pub fn unmount(cx: &mut Context<'_>, path: Path, flags: MountFlags) -> Sysret<()> {
    let name = copy_path(cx, path)?;
    let vnode = lookup(cx, &name)?;
    cx.suser()?;
    if !cx.kernel.vfs.vnode(vnode).is_root() {
        return Err(Errno::EINVAL.into());
    }
    let id = cx.kernel.vfs.vnode(vnode).mount;
    let mount = cx.kernel.vfs.mount_by_id(id);
    if mount.flags.contains(MountFlags::ROOTFS) {
        return Err(Errno::EINVAL.into());
    }
    let busy = flags.bits() & FORCE == 0 && cx.kernel.vfs.is_busy(id);
    if mount.kind != FsType::Procfs || busy || id == MountId(0) {
        return Err(Errno::EBUSY.into());
    }
    cx.kernel.vfs.unmount(id);
    Ok(())
}
