//! Making, removing and renaming names.
//!
//! 2.1 counterpart: kern/vfs_syscalls.c.

use syscalls::Errno;
use syscalls::arg::{Dev, Mode, OutBuf, Path, Str};
use syscalls::layout::mode::{ACCESSPERMS, ALLPERMS, S_IFMT};

use super::super::namei::{Found, MAXPATHLEN, Nameidata, Op};
use super::super::node::Make;
use super::super::vnode::Vtype;
use super::super::vnops::TRIES;
use super::{copy_path, lookup_path, namei};
use crate::kernel::file::Uio;
use crate::kernel::{Context, Sysret};

/// A free name for something new.
fn free_name(cx: &mut Context<'_>, path: Path, will_be_dir: bool) -> Result<Found, Errno> {
    let path = copy_path(cx, path)?;
    let found = namei(cx, &Nameidata { will_be_dir, ..Nameidata::new(&path, Op::Create) })?;
    if found.vp.is_some() { Err(Errno::EEXIST) } else { Ok(found) }
}

fn make(cx: &mut Context<'_>, at: &Found, what: Make<'_>, mode: u32) -> Sysret<()> {
    let mode = mode as u16 & !cx.proc().fd.umask;
    let cred = cx.proc().cred.ucred.clone();
    cx.kernel.vfs.make(at, what, mode, &cred)?;
    Ok(())
}

/// Makes a device node, for the super-user only.
pub fn mknod(cx: &mut Context<'_>, path: Path, mode: Mode, dev: Dev) -> Sysret<()> {
    cx.suser()?;
    let at = free_name(cx, path, false)?;
    let what = match Vtype::from_mode(mode.0 as u16) {
        // The number that stands for no value leaves the new inode's zero.
        Some(kind @ (Vtype::Chr | Vtype::Blk)) => {
            Make::Device(kind, if dev.0 == u32::MAX { 0 } else { dev.0 })
        }
        None if mode.0 & u32::from(S_IFMT) == u32::from(S_IFMT) => {
            let what = "bad sectors (S_IFMT) are nothing that a file of the host could be";
            cx.kernel.unserved(cx.id, "mknod", what);
            return Err(Errno::EPERM.into());
        }
        _ => return Err(Errno::EINVAL.into()),
    };
    make(cx, &at, what, mode.0 & u32::from(ALLPERMS & !S_IFMT))
}

/// Makes a fifo.
pub fn mkfifo(cx: &mut Context<'_>, path: Path, mode: Mode) -> Sysret<()> {
    let at = free_name(cx, path, false)?;
    make(cx, &at, Make::Fifo, mode.0 & u32::from(ALLPERMS))
}

/// Makes a directory.
pub fn mkdir(cx: &mut Context<'_>, path: Path, mode: Mode) -> Sysret<()> {
    let at = free_name(cx, path, true)?;
    make(cx, &at, Make::Directory, mode.0 & u32::from(ACCESSPERMS))
}

/// Makes a symbolic link; its text is read before the name.
pub fn symlink(cx: &mut Context<'_>, path: Str, link: Path) -> Sysret<()> {
    let text = cx.copyinstr(path.0, MAXPATHLEN)?;
    let at = free_name(cx, link, false)?;
    if text.is_empty() {
        cx.kernel.unserved(cx.id, "symlink", "the host has no symbolic links without a text");
        return Err(Errno::EPERM.into());
    }
    make(cx, &at, Make::Symlink(&text), u32::from(ACCESSPERMS))
}

/// Gives a file a further name; directories only for the super-user.
pub fn link(cx: &mut Context<'_>, path: Path, link: Path) -> Sysret<()> {
    let vp = lookup_path(cx, path)?;
    let directory = cx.kernel.vfs.vnode(vp).kind == Vtype::Dir;
    if directory {
        cx.suser()?;
    }
    cx.kernel.vfs.vref(vp);
    let linked = free_name(cx, link, directory).and_then(|at| cx.kernel.vfs.link(vp, &at));
    cx.kernel.vfs.vrele(vp);
    if directory && linked == Err(Errno::EPERM) {
        cx.kernel.unserved(cx.id, "link", "the host gives directories no further names");
    }
    Ok(linked?)
}

/// Removes a name.
pub fn unlink(cx: &mut Context<'_>, path: Path) -> Sysret<()> {
    let path = copy_path(cx, path)?;
    for _ in 0..TRIES {
        let at = namei(cx, &Nameidata::new(&path, Op::Delete))?;
        if at.vp.is_some_and(|vp| cx.kernel.vfs.vnode(vp).kind == Vtype::Dir) {
            cx.suser()?;
        }
        match cx.kernel.vfs.remove(&at) {
            // Somebody outside has put a directory there meanwhile.
            Err(Errno::EISDIR) => {}
            other => return Ok(other?),
        }
    }
    Err(Errno::EISDIR.into())
}

/// Removes an empty directory.
pub fn rmdir(cx: &mut Context<'_>, path: Path) -> Sysret<()> {
    let path = copy_path(cx, path)?;
    let at = namei(cx, &Nameidata::new(&path, Op::Delete))?;
    let vp = at.vp.ok_or(Errno::ENOENT)?;
    if cx.kernel.vfs.vnode(vp).kind != Vtype::Dir {
        return Err(Errno::ENOTDIR.into());
    }
    if vp == at.dvp {
        return Err(Errno::EINVAL.into());
    }
    Ok(cx.kernel.vfs.rmdir(&at)?)
}

/// Renames a file or directory.
pub fn rename(cx: &mut Context<'_>, from: Path, to: Path) -> Sysret<()> {
    for _ in 0..TRIES {
        match rename_once(cx, from, to) {
            // Somebody outside has taken the free name meanwhile: what is there now has to be looked at.
            Err(Errno::EEXIST) => {}
            other => return Ok(other?),
        }
    }
    Err(Errno::EEXIST.into())
}

fn rename_once(cx: &mut Context<'_>, from: Path, to: Path) -> Result<(), Errno> {
    let path = copy_path(cx, from)?;
    let source = namei(cx, &Nameidata::new(&path, Op::Delete))?;
    let fvp = source.vp.ok_or(Errno::ENOENT)?;
    let will_be_dir = cx.kernel.vfs.vnode(fvp).kind == Vtype::Dir;
    let path = copy_path(cx, to)?;
    let target = namei(cx, &Nameidata { will_be_dir, ..Nameidata::new(&path, Op::Rename) })?;
    if let Some(tvp) = target.vp {
        let to_dir = cx.kernel.vfs.vnode(tvp).kind == Vtype::Dir;
        match (will_be_dir, to_dir) {
            (true, false) => return Err(Errno::ENOTDIR),
            (false, true) => return Err(Errno::EISDIR),
            _ => {}
        }
        let same_name = source.dvp == target.dvp && source.name == target.name;
        if tvp == fvp && same_name && fvp != target.dvp {
            return Ok(());
        }
    }
    if fvp == target.dvp {
        return Err(Errno::EINVAL);
    }
    let cred = cx.proc().cred.ucred.clone();
    cx.kernel.vfs.rename(&source, &target, &cred)
}

/// Reads the text of a symbolic link, without a zero byte at its end.
pub fn readlink(cx: &mut Context<'_>, path: Path, buf: OutBuf) -> Sysret<i32> {
    let path = copy_path(cx, path)?;
    let vp = namei(cx, &Nameidata::new(&path, Op::Lookup))?.vp.ok_or(Errno::ENOENT)?;
    if cx.kernel.vfs.vnode(vp).kind != Vtype::Lnk {
        return Err(Errno::EINVAL.into());
    }
    let text = cx.kernel.vfs.readlink(vp)?;
    let mut uio = Uio::single(buf.addr, buf.cap);
    // The original does not look at whether short links could be stored.
    let _ = uio.move_out(cx, &text);
    Ok((buf.cap - uio.resid).cast_signed())
}
