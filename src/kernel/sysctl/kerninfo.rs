//! The older door to the same values: one operation number instead of a name.
//!
//! 2.1 counterpart: kern/kern_sysctl.c (ogetkerninfo).

use syscalls::errno::Errno;
use syscalls::flags::KinfoOp;
use syscalls::sysctl::mib::{kern, vm};

use super::kern::kern_sysctl;
use super::memory::vm_sysctl;
use super::network::net_sysctl;
use super::transfer::Transfer;
use crate::kernel::Context;

/// The family of routing tables.
const PF_ROUTE: u32 = 17;
/// Bytes of BSD/386's structure, which the strings follow, and where it has their offsets.
const SYSINFO: usize = 92;
const MACHINE_AT: usize = 0;
const OSTYPE_AT: usize = 32;
const OSRELEASE_AT: usize = 36;

/// Gives a table.  The second byte of the operation says which; what is below and above refines it.
pub(super) fn getkerninfo(
    cx: &mut Context<'_>,
    op: KinfoOp,
    arg: i32,
    value: &mut Transfer,
) -> Result<(), Errno> {
    let op = op.raw();
    let arg = arg as u32;
    match KinfoOp::from_raw(op & 0xff00) {
        KinfoOp::Rt => net_sysctl(cx, &[PF_ROUTE, 0, (op >> 16) & 0xff, op & 0xff, arg], value),
        KinfoOp::Vnode => kern_sysctl(cx, &[kern::VNODE], value),
        KinfoOp::Proc => kern_sysctl(cx, &[kern::PROC, op & 0xff, arg], value),
        KinfoOp::File => kern_sysctl(cx, &[kern::FILE], value),
        KinfoOp::Meter => vm_sysctl(cx, &[vm::METER], value),
        KinfoOp::Loadavg => vm_sysctl(cx, &[vm::LOADAVG], value),
        KinfoOp::Clockrate => kern_sysctl(cx, &[kern::CLOCKRATE], value),
        KinfoOp::BsdiSysinfo => sysinfo(cx, value),
        KinfoOp::Other(_) => Err(Errno::EOPNOTSUPP),
    }
}

/// What `uname` of BSD/386's library asks for: offsets of strings, and the strings.
fn sysinfo(cx: &mut Context<'_>, value: &mut Transfer) -> Result<(), Errno> {
    let system = &cx.kernel.system;
    let strings =
        [(OSTYPE_AT, system.ostype), (OSRELEASE_AT, system.osrelease), (MACHINE_AT, system.machine)];
    let mut info = vec![0; SYSINFO];
    for (at, text) in strings {
        let offset = info.len() as u32;
        info.splice(at..at + 4, offset.to_le_bytes());
        info.extend(text.bytes());
        info.push(0);
    }
    let needed = info.len() as u32;
    if value.old == 0 {
        value.oldlen = needed;
        return Ok(());
    }
    value.oldlen = value.oldlen.min(needed);
    info.truncate(value.oldlen as usize);
    cx.copyout(value.old, &info)
}
