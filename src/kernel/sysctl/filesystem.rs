//! The names below `fs`: which kinds of file system there are.
//!
//! 2.1 counterpart: kern/vfs_init.c (fs_sysctl).

use syscalls::errno::Errno;
use syscalls::layout::Vfsconf;
use zerocopy::IntoBytes;

use super::transfer::Transfer;
use crate::kernel::Context;

/// The table of kinds.
const VFSCONF: u32 = 0;
/// Number of kinds that there can be, and the one that we have: whatever is mounted shows as ufs.
const KINDS: u32 = 17;
const UFS: u32 = 1;
/// Part of the kernel (VFCF_STATIC).
const STATIC: i32 = 1;
const SIZE: u32 = size_of::<Vfsconf>() as u32;

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
        let conf = if kind == UFS { ufs() } else { Vfsconf::default() };
        cx.copyout(value.old.wrapping_add(value.oldlen), conf.as_bytes())?;
        value.oldlen += SIZE;
    }
    Ok(())
}

fn ufs() -> Vfsconf {
    let mut conf = Vfsconf { index: (UFS as i32).into(), flags: STATIC.into(), ..Vfsconf::default() };
    conf.name[..3].copy_from_slice(b"ufs");
    conf
}
