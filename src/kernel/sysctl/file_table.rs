//! The tables of open files and of vnodes as `pstat` and `fstat` read them.
//!
//! The structures are those of kernel memory.
//!
//! 2.1 counterpart: kern/kern_sysctl.c (sysctl_file), kern/vfs_subr.c (sysctl_vnode).

use syscalls::errno::Errno;
use syscalls::layout::{File, Vnode};
use zerocopy::IntoBytes;

use super::transfer::Transfer;
use crate::kernel::Context;
use crate::kernel::kmem::{files, place};
use crate::kernel::vfs::mount::MountId;

/// Bytes of a pointer: to the first file, which comes before the files, and to a vnode, before each.
const POINTER: u32 = 4;
/// Files, and vnodes, that the answer to "how much room" adds (KINFO_FILESLOP, KINFO_VNODESLOP).
const SLOP: u32 = 10;

/// Gives the table of open files, as far as there is room.
pub(super) fn sysctl_file(cx: &mut Context<'_>, value: &mut Transfer) -> Result<(), Errno> {
    const SIZE: u32 = size_of::<File>() as u32;
    let ids = cx.kernel.files.active().to_vec();
    if value.old == 0 {
        value.oldlen = POINTER + (ids.len() as u32 + SLOP) * SIZE;
        return Ok(());
    }
    let room = std::mem::take(&mut value.oldlen);
    if room < POINTER {
        return Ok(());
    }
    let first = files::first_file(cx.kernel);
    cx.copyout(value.old, &first.to_le_bytes())?;
    value.oldlen = POINTER;
    for id in ids {
        if room - value.oldlen < SIZE {
            return Err(Errno::ENOMEM);
        }
        let Some(entry) = files::file(cx.kernel, id) else { continue };
        cx.copyout(value.old.wrapping_add(value.oldlen), entry.as_bytes())?;
        value.oldlen += SIZE;
    }
    Ok(())
}

/// Gives the table of vnodes, mount by mount, each behind its address, as far as there is room.
pub(super) fn sysctl_vnode(cx: &mut Context<'_>, value: &mut Transfer) -> Result<(), Errno> {
    const SIZE: u32 = POINTER + size_of::<Vnode>() as u32;
    if value.old == 0 {
        value.oldlen = (cx.kernel.vfs.vnodes().len() as u32 + SLOP) * SIZE;
        return Ok(());
    }
    let room = value.oldlen;
    let mut done = 0;
    for mount in (0..cx.kernel.vfs.mount_count()).map(MountId) {
        for id in files::vnodes_of(cx.kernel, mount) {
            if room - done < SIZE {
                value.oldlen = done;
                return Err(Errno::ENOMEM);
            }
            let vnode = files::vnode(cx.kernel, id);
            let bytes = [&place::vnode(id.index()).to_le_bytes()[..], vnode.as_bytes()].concat();
            cx.copyout(value.old.wrapping_add(done), &bytes)?;
            done += SIZE;
        }
    }
    value.oldlen = done;
    Ok(())
}
