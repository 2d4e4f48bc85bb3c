//! Mounting and unmounting by guests: what the kernel has itself, and what was given to it as a disk.  What can be
//! seen of the host is settled on the command line, and nobody adds to it or takes from it.
//!
//! 2.1 counterpart: kern/vfs_syscalls.c (mount, unmount, dounmount); the mount functions of ufs/ffs/ffs_vfsops.c,
//! ufs/mfs/mfs_vfsops.c and miscfs.

use syscalls::Errno;
use syscalls::arg::{GuestAddr, Path};
use syscalls::flags::{MountFlags, MountType};
use syscalls::layout::U32;

use super::super::Resume;
use super::super::access::Want;
use super::super::disc::OnDisc;
use super::super::mount::{Disk, FsType, MountId, Source};
use super::super::namei::MAXPATHLEN;
use super::super::room::{SUPER_BLOCK, SUPER_SIZE, Size};
use super::super::union::{Order, UnionMount};
use super::super::vnode::{Body, VnodeId, Vtype};
use super::{copy_path, lookup};
use crate::kernel::cred::Ucred;
use crate::kernel::synch::{Channel, Sleep, priority, sleep};
use crate::kernel::{Context, Sysret, Wake};

/// Flags of the call: change a mount; read it again; even though it is in use.
const UPDATE: u32 = 0x1_0000;
const RELOAD: u32 = 0x4_0000;
const FORCE: u32 = 0x8_0000;
/// Flags that a mount keeps of the call.
const KEPT: MountFlags = MountFlags::RDONLY
    .union(MountFlags::NOSUID)
    .union(MountFlags::NOEXEC)
    .union(MountFlags::NODEV)
    .union(MountFlags::SYNCHRONOUS)
    .union(MountFlags::UNION)
    .union(MountFlags::ASYNC);
/// Longest name of what is mounted (MNAMELEN).
const MNAMELEN: usize = 90;
/// Permission bits of directories that a union makes (UN_DIRMODE).
const SHADOW: u16 = 0o777;
/// Unions that are mounted at once, at most.
const MOST_UNIONS: usize = 32;
/// Where the flags of a union are: behind the name of the other directory.
const UNION_FLAGS: u32 = 4;
/// Where the flags of a CD-ROM are: behind its name and what is said of exports.
const ISO_FLAGS: u32 = 104;
/// Where the address of a file system in memory and its size are: in the same place.
const MEMORY_BASE: u32 = 104;
const MEMORY_SIZE: u32 = 108;

/// Mounts a file system, or changes the flags of one.
pub fn mount(
    cx: &mut Context<'_>,
    kind: MountType,
    path: Path,
    flags: MountFlags,
    data: GuestAddr,
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
    let of_kind = |of: FsType| kind.raw() == of as u32;
    cx.kernel.vfs.vref(vnode);
    let what = if of_kind(FsType::Ufs) {
        disk(cx, data)
    } else if of_kind(FsType::Cd9660) {
        disc(cx, data, &name)
    } else if of_kind(FsType::Null) {
        again(cx, data)
    } else if of_kind(FsType::Union) {
        both(cx, data, vnode)
    } else if of_kind(FsType::Mfs) {
        memory(cx, data)
    } else {
        match kind.raw() {
            n if n == FsType::Procfs as u32 => Ok(What::Processes),
            n if n == FsType::Kernfs as u32 => Ok(What::Values),
            n if n == FsType::Fdesc as u32 => Ok(What::Descriptors),
            // As a kernel answers that does not have this kind.
            _ => Err(Errno::ENODEV),
        }
    };
    let mounted = what.and_then(|what| put(cx, &what, vnode, &name, flags));
    cx.kernel.vfs.vrele(vnode);
    let id = mounted?;
    // Who mounts memory serves it until it is unmounted (`mfs_start`).
    if of_kind(FsType::Mfs) { serve(id) } else { Ok(()) }
}

/// What is to be mounted.
enum What {
    /// A disk, under its name.
    Disk(Disk, Vec<u8>),
    /// The root of a CD-ROM, its disk, under its name.
    Disc(OnDisc, Disk, Vec<u8>),
    /// A directory of the guest, under its name.
    Again(VnodeId, Vec<u8>),
    /// A directory of the guest and the one on which it is mounted, under a name.
    Both(UnionMount, Vec<u8>),
    /// Memory, under a name, and what it may hold.
    Memory(Vec<u8>, Option<Size>),
    Processes,
    Values,
    Descriptors,
}

/// The string whose address arguments of a mount begin with.
fn first_string(cx: &mut Context<'_>, data: GuestAddr) -> Result<Vec<u8>, Errno> {
    let address = cx.read::<U32>(data.0)?.get();
    cx.copyinstr(address, MAXPATHLEN)
}

/// A disk that is a directory (`ffs_mount`); an image has none of its blocks.
fn disk(cx: &mut Context<'_>, data: GuestAddr) -> Result<What, Errno> {
    let (disk, name) = free_disk(cx, data)?;
    if disk.path.is_dir() { Ok(What::Disk(disk, name)) } else { Err(Errno::EINVAL) }
}

/// A disk that is an image of a CD-ROM (`cd9660_mount`).
fn disc(cx: &mut Context<'_>, data: GuestAddr, on: &[u8]) -> Result<What, Errno> {
    let flags = cx.read::<U32>(data.0.wrapping_add(ISO_FLAGS))?.get();
    let (disk, name) = free_disk(cx, data)?;
    if disk.path.is_dir() {
        return Err(Errno::EINVAL);
    }
    let host_name = cx.kernel.system.hostname.as_bytes().to_vec();
    Ok(What::Disc(OnDisc::open(&disk, flags, on, &host_name)?, disk, name))
}

/// A disk by the name of its node, which nobody has mounted.
fn free_disk(cx: &mut Context<'_>, data: GuestAddr) -> Result<(Disk, Vec<u8>), Errno> {
    let name = first_string(cx, data)?;
    let node = lookup(cx, &name)?;
    if cx.kernel.vfs.vnode(node).kind != Vtype::Blk {
        return Err(Errno::ENOTBLK);
    }
    let disk = cx.kernel.vfs.disk(node).ok_or(Errno::ENXIO)?.clone();
    if cx.kernel.vfs.is_mounted_from(disk.rdev) {
        return Err(Errno::EBUSY);
    }
    Ok((disk, name))
}

/// A directory of the guest (`nullfs_mount`).
fn again(cx: &mut Context<'_>, data: GuestAddr) -> Result<What, Errno> {
    let name = first_string(cx, data)?;
    let target = lookup(cx, &name)?;
    let held = cx.kernel.vfs.vnode(target);
    if held.kind != Vtype::Dir {
        return Err(Errno::ENOTDIR);
    }
    if held.host().is_none() && !matches!(held.body, Body::Disc(_)) {
        // A directory of the kernel's own has nothing that could be shown twice.
        return Err(Errno::EOPNOTSUPP);
    }
    Ok(What::Again(target, name))
}

/// A file system in memory of the caller (`mfs_mount`): its files are elsewhere, but not more of them.
fn memory(cx: &mut Context<'_>, data: GuestAddr) -> Result<What, Errno> {
    let name = first_string(cx, data)?;
    let base = cx.read::<U32>(data.0.wrapping_add(MEMORY_BASE))?.get();
    let bytes = cx.read::<U32>(data.0.wrapping_add(MEMORY_SIZE))?.get();
    let mut block = [0; SUPER_SIZE];
    let told = match cx.copyin(base.wrapping_add(SUPER_BLOCK), &mut block) {
        Ok(()) if base != 0 => Size::of_super_block(&block),
        _ => None,
    };
    let given = (bytes != 0).then(|| Size::of_bytes(bytes.into()));
    Ok(What::Memory(name, told.or(given)))
}

/// A directory of the guest, and the one on which it is mounted (`union_mount`).
fn both(cx: &mut Context<'_>, data: GuestAddr, covered: VnodeId) -> Result<What, Errno> {
    let real = cx.proc().cred.ruid;
    let cred = Ucred { uid: real, ..(*cx.proc().cred.ucred).clone() };
    let owner = cx.kernel.vfs.getattr(covered)?.uid;
    if owner != real && real != 0 {
        return Err(Errno::EACCES);
    }
    cx.kernel.vfs.access(covered, Want::WRITE, &cred)?;
    let flags = cx.read::<U32>(data.0.wrapping_add(UNION_FLAGS))?.get();
    let name = first_string(cx, data)?;
    let target = lookup(cx, &name)?;
    let held = cx.kernel.vfs.vnode(target);
    let order = Order::of(flags).filter(|_| held.kind == Vtype::Dir).ok_or(Errno::EINVAL)?;
    if held.host().is_none() && !matches!(held.body, Body::Disc(_)) {
        return Err(Errno::EOPNOTSUPP);
    }
    let (upper, lower) = match order {
        Order::Above => (target, Some(covered)),
        Order::Below => (covered, Some(target)),
        Order::Replace => (target, None),
    };
    // Each is looked through to the next one.
    if cx.kernel.vfs.unions() >= MOST_UNIONS {
        return Err(Errno::ENOMEM);
    }
    let mode = SHADOW & !cx.proc().fd.umask;
    Ok(What::Both(UnionMount { order, cred, mode, upper, lower }, [order.prefix(), &name].concat()))
}

fn put(
    cx: &mut Context<'_>,
    what: &What,
    vnode: VnodeId,
    name: &[u8],
    flags: MountFlags,
) -> Result<MountId, Errno> {
    let vfs = &mut cx.kernel.vfs;
    let on = vfs.path_of(vnode).unwrap_or_else(|| name.to_vec());
    let mut flags = flags & KEPT;
    let source = match what {
        What::Disk(disk, from) => {
            flags |= if disk.read_only { MountFlags::RDONLY } else { MountFlags::empty() };
            Source::Disk(disk, from)
        }
        What::Disc(root, disk, from) => {
            flags |= MountFlags::RDONLY;
            Source::Disc(root, disk, from)
        }
        What::Again(target, from) => {
            // What is read-only in one place is in the other.
            flags |= vfs.mount_of(*target).flags & KEPT;
            Source::Again(*target, from)
        }
        What::Both(of, from) => {
            flags |= vfs.mount_of(of.upper).flags & MountFlags::RDONLY | MountFlags::USER;
            let local = |layer: VnodeId| vfs.mount_of(layer).flags & MountFlags::LOCAL;
            if of.order == Order::Above {
                flags |= of.lower.map_or(MountFlags::LOCAL, local) & local(of.upper);
            }
            Source::Union(of, from)
        }
        What::Memory(from, size) => Source::Memory(from.get(..MNAMELEN).unwrap_or(from), *size),
        What::Processes => Source::Processes(b"procfs"),
        What::Values => Source::Values(b"kernfs"),
        What::Descriptors => Source::Descriptors(b"fdesc"),
    };
    let id = vfs.mount_on(&source, vnode, &on, flags)?;
    vfs.mounted_by_guest(id);
    Ok(id)
}

fn serve(id: MountId) -> Sysret<()> {
    let priority = priority::PWAIT;
    let wait =
        Sleep { channel: Channel::Mount(id.0), priority, catch: true, wmesg: "mfsidl", timeout_ticks: None };
    sleep(wait, crate::kernel::Resume::Vfs(Resume::MemoryMount(id)))
}

/// Goes on to serve a file system in memory: a signal unmounts it, unless it is in use.
pub(in crate::kernel::vfs) fn resume_serve(cx: &mut Context<'_>, id: MountId, wake: Wake) -> Sysret<()> {
    if !cx.kernel.vfs.is_mounted(id) {
        return Ok(());
    }
    if let Wake::Interrupted(_) = wake {
        if !cx.kernel.vfs.is_busy(id) {
            cx.kernel.vfs.unmount(id);
            return Ok(());
        }
        // It is in use: the signal is forgotten.
        let sig = &mut cx.proc_mut().sig;
        sig.pending &= sig.mask;
    }
    serve(id)
}

/// Changes the flags of a mount.
fn update(cx: &mut Context<'_>, vnode: VnodeId, flags: MountFlags) -> Sysret<()> {
    if !cx.kernel.vfs.vnode(vnode).is_root() {
        return Err(Errno::EINVAL.into());
    }
    let mount = cx.kernel.vfs.mount_of_mut(vnode);
    let read_only = mount.flags.contains(MountFlags::RDONLY);
    if flags.bits() & RELOAD != 0 && !read_only {
        return Err(Errno::EOPNOTSUPP.into());
    }
    if matches!(mount.kind, FsType::Null | FsType::Union | FsType::Kernfs | FsType::Fdesc | FsType::Procfs) {
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
    if !cx.kernel.vfs.mount_of(vnode).flags.contains(MountFlags::USER) {
        cx.suser()?;
    }
    if !cx.kernel.vfs.vnode(vnode).is_root() {
        return Err(Errno::EINVAL.into());
    }
    let id = cx.kernel.vfs.vnode(vnode).mount;
    let mount = cx.kernel.vfs.mount_by_id(id);
    if mount.flags.contains(MountFlags::ROOTFS) {
        return Err(Errno::EINVAL.into());
    }
    let by = cx.kernel.vfs.mounted_by(vnode);
    if by.is_some_and(|uid| uid != cx.proc().cred.ruid) {
        cx.suser()?;
    }
    let busy = flags.bits() & FORCE == 0 && cx.kernel.vfs.is_busy(id);
    if !mount.by_guest || busy {
        return Err(Errno::EBUSY.into());
    }
    cx.kernel.vfs.unmount(id);
    cx.kernel.wakeup(Channel::Mount(id.0));
    Ok(())
}
