//! The names below `hw` and `machdep`.
//!
//! 2.1 counterpart: kern/kern_sysctl.c (hw_sysctl), i386/i386/machdep.c (cpu_sysctl),
//! kern/kern_devconf.c (dev_sysctl).

use syscalls::errno::Errno;
use syscalls::sysctl::mib::{hw, machdep};

use super::kern::set_variable;
use super::transfer::Transfer;
use crate::kernel::Context;

/// Order of bytes in a word: little-endian.
const BYTE_ORDER: i32 = 1234;
/// Bytes of a page.
const PAGE_SIZE: i32 = 4096;
/// Memory that the kernel itself takes.
const WIRED: u32 = 8 << 20;
/// The console: the first screen of syscons.
const CONSOLE: i32 = 12 << 8;
/// Asks for the number of devices.
const DEVCONF_NUMBER: u32 = 0;

/// Gives one value; `name` is what follows `hw`.
pub(super) fn hw_sysctl(cx: &mut Context<'_>, name: &[u32], value: &mut Transfer) -> Result<(), Errno> {
    let [first, rest @ ..] = name else { return Err(Errno::ENOTDIR) };
    if !rest.is_empty() && *first != hw::DEVCONF {
        return Err(Errno::ENOTDIR);
    }
    match *first {
        hw::MACHINE => value.rdstring(cx, cx.kernel.system.machine.as_bytes()),
        hw::MODEL => {
            let model = cx.kernel.system.model.clone();
            value.rdstring(cx, model.as_bytes())
        }
        hw::NCPU | hw::FLOATINGPT => value.rdint(cx, 1),
        hw::BYTEORDER => value.rdint(cx, BYTE_ORDER),
        hw::PHYSMEM => value.rdint(cx, cx.kernel.system.physmem as i32),
        hw::USERMEM => value.rdint(cx, cx.kernel.system.physmem.saturating_sub(WIRED) as i32),
        hw::PAGESIZE => value.rdint(cx, PAGE_SIZE),
        hw::DEVCONF => dev_sysctl(cx, rest, value),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

/// The table of devices: there are none.
fn dev_sysctl(cx: &mut Context<'_>, name: &[u32], value: &mut Transfer) -> Result<(), Errno> {
    match *name {
        [DEVCONF_NUMBER] => value.rdint(cx, 0),
        [_] => Err(Errno::ENXIO),
        _ => Err(Errno::ENOTDIR),
    }
}

/// Gives and takes one value; `name` is what follows `machdep`.
pub(super) fn cpu_sysctl(cx: &mut Context<'_>, name: &[u32], value: &mut Transfer) -> Result<(), Errno> {
    let [name] = *name else { return Err(Errno::ENOTDIR) };
    match name {
        machdep::CONSDEV => value.rdint(cx, CONSOLE),
        machdep::ADJKERNTZ => set_variable(cx, value, |s| &mut s.adjkerntz),
        machdep::DISRTCSET => set_variable(cx, value, |s| &mut s.disable_rtc_set),
        _ => Err(Errno::EOPNOTSUPP),
    }
}
