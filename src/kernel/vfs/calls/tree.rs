//! Directories, roots and file systems.
//!
//! 2.1 counterpart: kern/vfs_syscalls.c.

use syscalls::Errno;
use syscalls::arg::{Dirents, Fd, GuestAddr, OldDirents, Out, Path, StatfsBuf, Uid, Unused};
use syscalls::flags::FsWait;
use syscalls::layout::{I32, Statfs};
use zerocopy::IntoBytes;

use super::super::access::Want;
use super::super::directory::{DIRBLKSIZ, to_old_form};
use super::super::mount::MountId;
use super::super::vnode::{VnodeId, Vtype};
use super::super::vnops;
use super::{getvnode, lookup, lookup_path};
use crate::kernel::file::{FileFlag, FileObject, Uio};
use crate::kernel::{Context, Sysret};

/// Mount flags that statfs shows (MNT_VISFLAGMASK).
const VISIBLE: u32 = 0xffff;
/// Room that a file system shows at most: programs count its bytes, and a hundred times its files, in numbers of 31
/// bits.  A larger one shows all of its figures smaller.
const MOST_FILES: u128 = i32::MAX as u128 / 100;
const MOST_BYTES: u128 = i32::MAX as u128;
/// Smallest unit in which room is told.
const FRAGMENT: u64 = 1024;

/// Changes the current directory.
pub fn chdir(cx: &mut Context<'_>, path: Path) -> Sysret<()> {
    let vnode = lookup_path(cx, path)?;
    searchable(cx, vnode)?;
    enter(cx, vnode);
    Ok(())
}

/// Changes the current directory to an open one.
pub fn fchdir(cx: &mut Context<'_>, fd: Fd) -> Sysret<()> {
    let (_, vnode) = getvnode(cx, fd)?;
    searchable(cx, vnode)?;
    enter(cx, vnode);
    Ok(())
}

/// Changes the root directory, for the super-user only; the current directory stays.
pub fn chroot(cx: &mut Context<'_>, path: Path) -> Sysret<()> {
    cx.suser()?;
    let vnode = lookup_path(cx, path)?;
    searchable(cx, vnode)?;
    cx.kernel.vfs.vref(vnode);
    if let Some(old) = cx.proc_mut().fd.root.replace(vnode) {
        cx.kernel.vfs.vrele(old);
    }
    Ok(())
}

/// Makes a directory of the kernel's choice the current one.
pub fn change_directory(cx: &mut Context<'_>, path: &[u8]) -> Result<(), Errno> {
    let vnode = lookup(cx, path)?;
    searchable(cx, vnode)?;
    enter(cx, vnode);
    Ok(())
}

fn searchable(cx: &mut Context<'_>, vnode: VnodeId) -> Result<(), Errno> {
    if cx.kernel.vfs.vnode(vnode).kind != Vtype::Dir {
        return Err(Errno::ENOTDIR);
    }
    let cred = cx.proc().cred.ucred.clone();
    cx.kernel.vfs.access(vnode, Want::EXEC, &cred)
}

fn enter(cx: &mut Context<'_>, vnode: VnodeId) {
    cx.kernel.vfs.vref(vnode);
    if let Some(old) = cx.proc_mut().fd.cwd.replace(vnode) {
        cx.kernel.vfs.vrele(old);
    }
}

/// Reads entries of a directory, in whole blocks.
pub fn getdirentries(cx: &mut Context<'_>, fd: Fd, buf: Dirents, basep: Out<I32>) -> Sysret<i32> {
    let whole = buf.cap & !(DIRBLKSIZ as u32 - 1);
    let mut uio = Uio::single(buf.addr, whole);
    let before = loop {
        let (before, _) = read_entries(cx, fd, &mut uio, vnops::read_blocks)?;
        if uio.resid < whole || !read_behind(cx, fd)? {
            break before;
        }
    };
    let read = whole - uio.resid;
    cx.write(basep.addr(), &I32::new(before as i32))?;
    Ok(read.cast_signed())
}

/// Reads entries of a directory in the form that they had before 4.4BSD.
pub fn ogetdirentries(cx: &mut Context<'_>, fd: Fd, buf: OldDirents, basep: Out<I32>) -> Sysret<i32> {
    let whole = buf.cap & !(DIRBLKSIZ as u32 - 1);
    let mut uio = Uio::single(buf.addr, whole);
    let (before, _) = read_entries(cx, fd, &mut uio, |cx, vnode, uio| {
        let mut blocks = vnops::blocks_from(cx, vnode, uio.offset, uio.resid)?;
        to_old_form(&mut blocks)?;
        uio.move_out(cx, &blocks)
    })?;
    cx.write(basep.addr(), &I32::new(before as i32))?;
    Ok((whole - uio.resid).cast_signed())
}

/// What both calls check and keep: gives the offset before, and after.
fn read_entries(
    cx: &mut Context<'_>,
    fd: Fd,
    uio: &mut Uio,
    read: impl FnOnce(&mut Context<'_>, VnodeId, &mut Uio) -> Result<(), Errno>,
) -> Result<(i64, i64), Errno> {
    let (file, vnode) = getvnode(cx, fd)?;
    if !cx.kernel.files[file].flag.contains(FileFlag::READ) {
        return Err(Errno::EBADF);
    }
    if cx.kernel.vfs.vnode(vnode).kind != Vtype::Dir {
        return Err(Errno::EINVAL);
    }
    let before = cx.kernel.files[file].offset;
    if uio.resid < DIRBLKSIZ as u32 || before & (DIRBLKSIZ as i64 - 1) != 0 {
        return Err(Errno::EINVAL);
    }
    uio.offset = before;
    let result = read(cx, vnode, uio);
    cx.kernel.files[file].offset = uio.offset;
    result.map(|()| (before, uio.offset))
}

/// At the end of a directory behind which another one is to be read, the open file becomes that one.
fn read_behind(cx: &mut Context<'_>, fd: Fd) -> Result<bool, Errno> {
    let (file, vnode) = getvnode(cx, fd)?;
    let vfs = &mut cx.kernel.vfs;
    let Some(behind) = vfs.lower_directory(vnode).or_else(|| vfs.covered_too(vnode)) else {
        return Ok(false);
    };
    vfs.vref(behind);
    vfs.vrele(vnode);
    let open = &mut cx.kernel.files[file];
    open.object = FileObject::Vnode(behind);
    open.offset = 0;
    Ok(true)
}

/// Tells about the file system of a file.
pub fn statfs(cx: &mut Context<'_>, path: Path, buf: Out<Statfs>) -> Sysret<()> {
    let vnode = lookup_path(cx, path)?;
    tell_statfs(cx, vnode, buf)
}

/// Tells about the file system of an open file.
pub fn fstatfs(cx: &mut Context<'_>, fd: Fd, buf: Out<Statfs>) -> Sysret<()> {
    let (_, vnode) = getvnode(cx, fd)?;
    tell_statfs(cx, vnode, buf)
}

fn tell_statfs(cx: &mut Context<'_>, vnode: VnodeId, buf: Out<Statfs>) -> Sysret<()> {
    let mut statfs = statfs_of(cx, cx.kernel.vfs.vnode(vnode).mount)?;
    if !cx.proc().cred.is_superuser() {
        statfs.fsid = Default::default();
    }
    Ok(cx.write(buf.addr(), &statfs)?)
}

/// Tells about all file systems; without room, how many there are.
pub fn getfsstat(cx: &mut Context<'_>, buf: StatfsBuf, _flags: FsWait) -> Sysret<i32> {
    let size = size_of::<Statfs>() as u32;
    // The size is a signed number; a negative one has no room.
    let room = buf.size.cast_signed() / size.cast_signed();
    let all = 0..cx.kernel.vfs.mount_count();
    let numbers: Vec<_> = all.filter(|&n| cx.kernel.vfs.is_mounted(MountId(n))).collect();
    let mounts = numbers.len();
    let mut address = buf.addr;
    let places = if buf.addr == 0 { 0 } else { usize::try_from(room).unwrap_or(0) };
    for number in numbers.into_iter().take(places) {
        let statfs = statfs_of(cx, MountId(number))?;
        cx.copyout(address, statfs.as_bytes())?;
        address = address.wrapping_add(size);
    }
    let mounts = mounts as i32;
    Ok(if buf.addr != 0 && mounts > room { room } else { mounts })
}

/// The statistics of a mount (`VFS_STATFS`).
pub(in crate::kernel) fn statfs_of(cx: &Context<'_>, id: MountId) -> Result<Statfs, Errno> {
    let mount = cx.kernel.vfs.mount_by_id(id);
    let space = cx.kernel.vfs.space(id)?;
    let bytes = |blocks: u64| u128::from(blocks) * u128::from(space.block_size);
    let whole = bytes(space.blocks);
    let blocks = |count: u64| I32::new(scaled(bytes(count), whole, MOST_BYTES, FRAGMENT));
    let files = |count: u64| I32::new(scaled(count.into(), space.files.into(), MOST_FILES, 1));
    let mut statfs = Statfs {
        kind: (mount.kind as i16).into(),
        flags: ((mount.flags.bits() & VISIBLE) as i16).into(),
        bsize: (FRAGMENT as i32).into(),
        iosize: (super::super::IOSIZE as i32).into(),
        blocks: blocks(space.blocks),
        bfree: blocks(space.free),
        bavail: blocks(space.available),
        files: files(space.files),
        ffree: files(space.files_free),
        fsid: [I32::new(cx.kernel.vfs.device_of(id).cast_signed()), I32::new(mount.kind as i32)],
        ..Statfs::default()
    };
    put_name(&mut statfs.mntonname, &mount.on);
    put_name(&mut statfs.mntfromname, &mount.from);
    Ok(statfs)
}

/// A part of something in units, made smaller where the whole is more than `most`.
fn scaled(part: u128, whole: u128, most: u128, unit: u64) -> i32 {
    let part = if whole > most { part.min(whole) * most / whole } else { part };
    i32::try_from(part / u128::from(unit)).unwrap_or(i32::MAX)
}

/// Fills a field with as much of a name as fits before a zero byte.
fn put_name(field: &mut [u8], name: &[u8]) {
    let length = name.len().min(field.len().saturating_sub(1));
    if let (Some(field), Some(name)) = (field.get_mut(..length), name.get(..length)) {
        field.copy_from_slice(name);
    }
}

/// Takes a device away from all who have it open.
pub fn revoke(cx: &mut Context<'_>, path: Path) -> Sysret<()> {
    let vnode = lookup_path(cx, path)?;
    if !matches!(cx.kernel.vfs.vnode(vnode).kind, Vtype::Chr | Vtype::Blk) {
        return Err(Errno::EINVAL.into());
    }
    let owner = cx.kernel.vfs.getattr(vnode)?.uid;
    if cx.proc().cred.ucred.uid != owner {
        cx.suser()?;
    }
    vnops::revoke_device(cx, vnode);
    Ok(())
}

/// Quotas, which no file system here has.
pub fn quotactl(cx: &mut Context<'_>, path: Path, _cmd: u32, _uid: Uid, _arg: GuestAddr) -> Sysret<()> {
    lookup_path(cx, path)?;
    Err(Errno::EOPNOTSUPP.into())
}

/// Quotas of 4.2BSD: 2.1 only says that it has none.
pub fn oquota(_cx: &mut Context<'_>, _a: Unused, _b: Unused, _c: Unused, _d: Unused) -> Sysret<()> {
    Err(Errno::ENOSYS.into())
}
