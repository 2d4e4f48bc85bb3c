//! What files are like: stat, access, modes, owners, times, sizes.
//!
//! 2.1 counterpart: kern/vfs_syscalls.c.

use syscalls::Errno;
use syscalls::arg::{Fd, Gid, In, Mode, Off, Out, Path, Uid, Unused};
use syscalls::flags::{AccessMode, FileFlags, PathconfName};
use syscalls::layout::mode::{ALLPERMS, S_IFDIR, S_IFLNK};
use syscalls::layout::{Ostat, Stat, Timeval};

use super::super::access::Want;
use super::super::namei::{NAME_MAX, Nameidata, Op};
use super::super::vnode::{VnodeId, Vtype};
use super::super::{LINK_MAX, union, vnops};
use super::{copy_path, getvnode, lookup_path, namei, namei_as};
use crate::host::fs::HostTime;
use crate::kernel::cred::Ucred;
use crate::kernel::file::FileFlag;
use crate::kernel::file::calls::old_stat;
use crate::kernel::{Context, Sysret};

/// Bytes that a write to a pipe takes at once (PIPE_BUF).
const PIPE_BUF: i32 = 512;
/// Longest line of a terminal (MAX_CANON, MAX_INPUT).
const MAX_CANON: i32 = 255;
/// The character that switches a terminal's special one off (_POSIX_VDISABLE).
const VDISABLE: i32 = 0xff;

/// Tells about a file.
pub fn stat(cx: &mut Context<'_>, path: Path, sb: Out<Stat>) -> Sysret<()> {
    let vnode = lookup_path(cx, path)?;
    let stat = vnops::vn_stat(cx, vnode)?;
    Ok(cx.write(sb.addr(), &stat)?)
}

/// Tells about a file or a symbolic link.
pub fn lstat(cx: &mut Context<'_>, path: Path, sb: Out<Stat>) -> Sysret<()> {
    let stat = stat_name(cx, path)?;
    Ok(cx.write(sb.addr(), &stat)?)
}

/// Tells about a file, in the old form.
pub fn ostat(cx: &mut Context<'_>, path: Path, sb: Out<Ostat>) -> Sysret<()> {
    let vnode = lookup_path(cx, path)?;
    let stat = old_stat(&vnops::vn_stat(cx, vnode)?);
    Ok(cx.write(sb.addr(), &stat)?)
}

/// Tells about a file or a symbolic link, in the old form.
pub fn olstat(cx: &mut Context<'_>, path: Path, sb: Out<Ostat>) -> Sysret<()> {
    let stat = old_stat(&stat_name(cx, path)?);
    Ok(cx.write(sb.addr(), &stat)?)
}

/// What lstat tells: of a symbolic link, all but type, links and size are its directory's.
fn stat_name(cx: &mut Context<'_>, path: Path) -> Result<Stat, Errno> {
    let path = copy_path(cx, path)?;
    let found = namei(cx, &Nameidata::new(&path, Op::Lookup))?;
    let vp = found.vp.ok_or(Errno::ENOENT)?;
    let link = vnops::vn_stat(cx, vp)?;
    if cx.kernel.vfs.vnode(vp).kind != Vtype::Lnk {
        return Ok(link);
    }
    let directory = vnops::vn_stat(cx, found.dvp)?;
    Ok(Stat {
        mode: (directory.mode.get() & !S_IFDIR | S_IFLNK).into(),
        nlink: link.nlink,
        size: link.size,
        blocks: link.blocks,
        ..directory
    })
}

/// Checks what the real user may do with a file.
pub fn access(cx: &mut Context<'_>, path: Path, mode: AccessMode) -> Sysret<()> {
    let cred = &cx.proc().cred;
    let mut groups = cred.ucred.groups.clone();
    if let Some(first) = groups.first_mut() {
        *first = cred.rgid;
    }
    let real = Ucred { uid: cred.ruid, groups };
    let path = copy_path(cx, path)?;
    let vp = namei_as(cx, &Nameidata::lookup(&path), &real)?.vp.ok_or(Errno::ENOENT)?;
    if mode.0 == 0 {
        return Ok(());
    }
    let want = Want::from_bits_truncate(mode.0 as u16);
    if want.contains(Want::WRITE) {
        vnops::write_check(cx.kernel, vp)?;
    }
    Ok(cx.kernel.vfs.access(vp, want, &real)?)
}

/// Sets the flags of a file.
pub fn chflags(cx: &mut Context<'_>, path: Path, flags: FileFlags) -> Sysret<()> {
    let vnode = lookup_path(cx, path)?;
    set_flags(cx, vnode, flags)
}

/// Sets the flags of an open file.
pub fn fchflags(cx: &mut Context<'_>, fd: Fd, flags: FileFlags) -> Sysret<()> {
    let (_, vnode) = getvnode(cx, fd)?;
    set_flags(cx, vnode, flags)
}

fn set_flags(cx: &mut Context<'_>, vnode: VnodeId, flags: FileFlags) -> Sysret<()> {
    let cred = cx.proc().cred.ucred.clone();
    Ok(cx.kernel.vfs.set_flags(vnode, flags.bits(), &cred)?)
}

/// Sets the permission bits of a file.
pub fn chmod(cx: &mut Context<'_>, path: Path, mode: Mode) -> Sysret<()> {
    let vnode = lookup_path(cx, path)?;
    set_mode(cx, vnode, mode)
}

/// Sets the permission bits of an open file.
pub fn fchmod(cx: &mut Context<'_>, fd: Fd, mode: Mode) -> Sysret<()> {
    let (_, vnode) = getvnode(cx, fd)?;
    set_mode(cx, vnode, mode)
}

fn set_mode(cx: &mut Context<'_>, vnode: VnodeId, mode: Mode) -> Sysret<()> {
    let cred = cx.proc().cred.ucred.clone();
    Ok(cx.kernel.vfs.set_mode(vnode, mode.0 as u16 & ALLPERMS, &cred)?)
}

/// Sets owner and group of a file.
pub fn chown(cx: &mut Context<'_>, path: Path, uid: Uid, gid: Gid) -> Sysret<()> {
    let vnode = lookup_path(cx, path)?;
    set_owner(cx, vnode, uid, gid)
}

/// Sets owner and group of an open file.
pub fn fchown(cx: &mut Context<'_>, fd: Fd, uid: Uid, gid: Gid) -> Sysret<()> {
    let (_, vnode) = getvnode(cx, fd)?;
    set_owner(cx, vnode, uid, gid)
}

fn set_owner(cx: &mut Context<'_>, vnode: VnodeId, uid: Uid, gid: Gid) -> Sysret<()> {
    let cred = cx.proc().cred.ucred.clone();
    Ok(cx.kernel.vfs.set_owner(vnode, uid.0, gid.0, &cred)?)
}

/// Sets the times of access and modification; a null pointer means now.
pub fn utimes(cx: &mut Context<'_>, path: Path, times: In<[Timeval; 2]>) -> Sysret<()> {
    let now = times.is_null();
    let (atime, mtime) = if now {
        let ns = cx.kernel.clock.now();
        let time = HostTime { sec: (ns / 1_000_000_000) as i64, nsec: (ns % 1_000_000_000) as i64 };
        (time, time)
    } else {
        let [atime, mtime]: [Timeval; 2] = cx.read(times.addr())?;
        (host_time(&atime), host_time(&mtime))
    };
    let vnode = lookup_path(cx, path)?;
    let cred = cx.proc().cred.ucred.clone();
    Ok(cx.kernel.vfs.set_times(vnode, (atime, mtime), now, &cred)?)
}

/// A time of the guest, which checks nothing, as the host wants it.
fn host_time(time: &Timeval) -> HostTime {
    let usec = i64::from(time.usec.get());
    let sec = i64::from(time.sec.get()) + usec.div_euclid(1_000_000);
    HostTime { sec, nsec: usec.rem_euclid(1_000_000) * 1000 }
}

/// Sets the size of a file.
pub fn truncate(cx: &mut Context<'_>, path: Path, _pad: Unused, length: Off) -> Sysret<()> {
    let length = u64::try_from(length).map_err(|_| Errno::EINVAL)?;
    let vnode = lookup_path(cx, path)?;
    if cx.kernel.vfs.vnode(vnode).kind == Vtype::Dir {
        return Err(Errno::EISDIR.into());
    }
    vnops::write_check(cx.kernel, vnode)?;
    let cred = cx.proc().cred.ucred.clone();
    cx.kernel.vfs.access(vnode, Want::WRITE, &cred)?;
    if length == 0 {
        union::copy_up(cx, vnode, true)?;
    }
    Ok(vnops::set_length(cx.kernel, vnode, length)?)
}

/// Sets the size of an open file.
pub fn ftruncate(cx: &mut Context<'_>, fd: Fd, _pad: Unused, length: Off) -> Sysret<()> {
    let length = u64::try_from(length).map_err(|_| Errno::EINVAL)?;
    let (file, vnode) = getvnode(cx, fd)?;
    if !cx.kernel.files[file].flag.contains(FileFlag::WRITE) {
        return Err(Errno::EINVAL.into());
    }
    vnops::write_check(cx.kernel, vnode)?;
    Ok(vnops::set_length(cx.kernel, vnode, length)?)
}

/// Sets the size of a file, in 32 bits.
pub fn otruncate(cx: &mut Context<'_>, path: Path, length: i32) -> Sysret<()> {
    truncate(cx, path, Unused(0), i64::from(length))
}

/// Sets the size of an open file, in 32 bits.
pub fn oftruncate(cx: &mut Context<'_>, fd: Fd, length: i32) -> Sysret<()> {
    ftruncate(cx, fd, Unused(0), i64::from(length))
}

/// Sets the bits that new files do not get.
pub fn umask(cx: &mut Context<'_>, mask: Mode) -> Sysret<u32> {
    let table = &mut cx.proc_mut().fd;
    let old = std::mem::replace(&mut table.umask, mask.0 as u16 & ALLPERMS);
    Ok(u32::from(old))
}

/// A limit that depends on the file.
pub fn pathconf(cx: &mut Context<'_>, path: Path, name: PathconfName) -> Sysret<i32> {
    let vnode = lookup_path(cx, path)?;
    Ok(vn_pathconf(cx, vnode, name)?)
}

/// The same for a vnode (`VOP_PATHCONF`), for fpathconf, too.
pub fn vn_pathconf(cx: &mut Context<'_>, vnode: VnodeId, name: PathconfName) -> Result<i32, Errno> {
    let kind = cx.kernel.vfs.vnode(vnode).kind;
    let device = matches!(kind, Vtype::Chr | Vtype::Blk);
    let plain = !device && kind != Vtype::Fifo;
    match name {
        PathconfName::LinkMax => Ok(LINK_MAX as i32),
        PathconfName::PipeBuf => Ok(PIPE_BUF),
        PathconfName::ChownRestricted => Ok(1),
        PathconfName::NameMax if plain => Ok(NAME_MAX as i32),
        PathconfName::PathMax if plain => Ok(super::MAXPATHLEN as i32),
        PathconfName::NoTrunc if plain => Ok(1),
        PathconfName::MaxCanon | PathconfName::MaxInput if device => Ok(MAX_CANON),
        PathconfName::Vdisable if device => Ok(VDISABLE),
        _ => Err(Errno::EINVAL),
    }
}
