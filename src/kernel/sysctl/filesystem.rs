//! The names below `fs`: which kinds of file system there are.
//!
//! 2.1 counterpart: kern/vfs_init.c (fs_sysctl), the linker sets of kern/vfs_conf.c.

use syscalls::errno::Errno;
use syscalls::layout::Vfsconf;
use zerocopy::IntoBytes;

use super::transfer::Transfer;
use crate::kernel::vfs::mount::{FsType, MountId};
use crate::kernel::{Context, Kernel};

/// The table of kinds.
const VFSCONF: u32 = 0;
/// Number of kinds that there can be (MOUNT_MAXTYPE and one).
const KINDS: u32 = 17;
/// Properties of a kind (VFCF_*): part of the kernel, over the network, no real files.
const STATIC: i32 = 1;
const READ_ONLY: i32 = 4;
const SYNTHETIC: i32 = 8;
const LOOPBACK: i32 = 16;
const SIZE: u32 = size_of::<Vfsconf>() as u32;

/// The kinds that this kernel has.
const HAVE: [(FsType, &str, i32); 9] = [
    (FsType::Ufs, "ufs", STATIC),
    (FsType::Mfs, "mfs", STATIC),
    (FsType::Fdesc, "fdesc", STATIC | SYNTHETIC),
    (FsType::Null, "null", STATIC | LOOPBACK),
    (FsType::Kernfs, "kernfs", STATIC | SYNTHETIC),
    (FsType::Procfs, "procfs", STATIC | SYNTHETIC),
    (FsType::Cd9660, "cd9660", STATIC | READ_ONLY),
    (FsType::Union, "union", STATIC | LOOPBACK),
    (FsType::Devfs, "devfs", STATIC | SYNTHETIC),
];

/// Gives the table of kinds; `name` is what follows `fs`.
pub(super) fn fs_sysctl(cx: &mut Context<'_>, name: &[u32], value: &mut Transfer) -> Result<(), Errno> {
    match *name {
        [VFSCONF] => {}
        [VFSCONF, ..] => return Err(Errno::ENOTDIR),
        _ => return Err(Errno::EOPNOTSUPP),
    }
    if value.old == 0 {
        value.oldlen = KINDS * SIZE;
        return Ok(());
    }
    if value.sets() {
        return Err(Errno::EINVAL);
    }
    let room = std::mem::take(&mut value.oldlen);
    for kind in 0..KINDS {
        if room - value.oldlen < SIZE {
            return Err(Errno::ENOMEM);
        }
        let conf = conf(cx.kernel, kind);
        cx.copyout(value.old.wrapping_add(value.oldlen), conf.as_bytes())?;
        value.oldlen += SIZE;
    }
    Ok(())
}

/// The row of a kind; one that there is not is empty, as `void_vfsconf` is.
fn conf(kernel: &Kernel, number: u32) -> Vfsconf {
    let Some((kind, name, flags)) = HAVE.iter().find(|(kind, ..)| *kind as u32 == number) else {
        return Vfsconf::default();
    };
    let mounts = (0..kernel.vfs.mount_count())
        .filter(|&n| kernel.vfs.is_mounted(MountId(n)) && kernel.vfs.mount_by_id(MountId(n)).kind == *kind);
    let mut conf = Vfsconf {
        index: (number as i32).into(),
        refcount: (mounts.count() as i32).into(),
        flags: (*flags).into(),
        ..Vfsconf::default()
    };
    conf.name.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    conf
}
