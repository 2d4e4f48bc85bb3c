//! Calls of those who serve files to others: nfssvc and getfh.
//!
//! The daemon that reads ahead for clients has nothing to do here and waits; serving is refused after the
//! original's checks, so that nobody takes silence for service.
//!
//! 2.1 counterpart: nfs/nfs_syscalls.c, ufs/ffs/ffs_vfsops.c (ffs_vptofh).

use syscalls::arg::{Fd, GuestAddr, Int, Out, Path};
use syscalls::errno::Errno;
use syscalls::layout::{Fhandle, I32};

use super::super::mount::FsType;
use super::{lookup, lookup_path};
use crate::kernel::file::{self, FileObject};
use crate::kernel::synch::{Channel, Sleep, priority, sleep};
use crate::kernel::{Context, Resume, Sysret};

/// What nfssvc is asked to do (NFSSVC_*).
const BIOD: i32 = 0x002;
const ADDSOCK: i32 = 0x008;
const MNTD: i32 = 0x100;
/// Bytes of the structures that its argument points to.
const SIZE_OF_SOCKET_ARGS: usize = 12;
const SIZE_OF_CLIENT_ARGS: usize = 44;
const SIZE_OF_SERVER_ARGS: usize = 64;
/// Bytes of what a local file system puts into a handle (`struct ufid`).
const SIZE_OF_UFID: u16 = 12;

/// Reports the handle of a file.
pub fn getfh(cx: &mut Context<'_>, path: Path, fhp: Out<Fhandle>) -> Sysret<()> {
    cx.suser()?;
    let vnode = lookup_path(cx, path)?;
    let kind = cx.kernel.vfs.mount_of(vnode).kind;
    let device = cx.kernel.vfs.device_of(cx.kernel.vfs.vnode(vnode).mount);
    let fsid = [I32::new(device.cast_signed()), I32::new(kind as i32)];
    if matches!(kind, FsType::Devfs | FsType::Procfs) {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let attr = cx.kernel.vfs.getattr(vnode)?;
    let mut handle = Fhandle { fsid, len: SIZE_OF_UFID.into(), ..Fhandle::default() };
    handle.data[..4].copy_from_slice(&attr.fileid.to_le_bytes());
    Ok(cx.write(fhp.addr(), &handle)?)
}

/// Serves network file systems, or waits to.
pub fn nfssvc(cx: &mut Context<'_>, flag: Int, arg: GuestAddr) -> Sysret<()> {
    cx.suser()?;
    if flag & BIOD != 0 {
        return wait_for_work(cx);
    }
    if flag & MNTD != 0 {
        let args = cx.copyin_vec(arg.0, SIZE_OF_CLIENT_ARGS)?;
        let directory = args.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
        let path = super::copy_path(cx, Path(directory))?;
        lookup(cx, &path)?;
        // No file system here is a client's.
        return Err(Errno::EINVAL.into());
    }
    if flag & ADDSOCK != 0 {
        let args = cx.copyin_vec(arg.0, SIZE_OF_SOCKET_ARGS)?;
        let fd = args.first_chunk().map_or(-1, |word| i32::from_le_bytes(*word));
        let file = file::getfile(cx, Fd(fd))?;
        if !matches!(cx.kernel.files[file].object, FileObject::Socket(_)) {
            return Err(Errno::ENOTSOCK.into());
        }
    } else {
        cx.copyin_vec(arg.0, SIZE_OF_SERVER_ARGS)?;
    }
    cx.kernel.unserved(cx.id, "nfssvc", "files of a guest are not served to others");
    Err(Errno::EOPNOTSUPP.into())
}

/// The sleep of a daemon that does input and output for clients (`nfssvc_iod`); a signal ends it.
fn wait_for_work(cx: &mut Context<'_>) -> Sysret<()> {
    let channel = Channel::Time(cx.id);
    sleep(
        Sleep { channel, priority: priority::PWAIT, catch: true, wmesg: "nfsidl", timeout_ticks: None },
        Resume::Vfs(super::super::Resume::Idle),
    )
}
