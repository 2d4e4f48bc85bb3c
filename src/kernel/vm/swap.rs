//! Devices to page to: no disk of the host is one.
//!
//! 2.1 counterpart: vm/vm_swap.c (swapon).

use syscalls::arg::Path;
use syscalls::errno::Errno;

use crate::kernel::vfs::{Vtype, calls};
use crate::kernel::{Context, Sysret};

/// Adds a device to page to: a block device, of which there is none that can be opened.
pub fn swapon(cx: &mut Context<'_>, name: Path) -> Sysret<()> {
    cx.suser()?;
    let vnode = calls::lookup_path(cx, name)?;
    Err(match cx.kernel.vfs.vnode(vnode).kind {
        Vtype::Blk => Errno::ENXIO,
        Vtype::Chr => Errno::ENOTBLK,
        _ => Errno::EINVAL,
    }
    .into())
}
