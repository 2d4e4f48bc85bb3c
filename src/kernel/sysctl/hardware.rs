//! The names below `hw` and `machdep`.
//!
//! 2.1 counterpart: kern/kern_sysctl.c (hw_sysctl), i386/i386/machdep.c (cpu_sysctl),
//! kern/kern_devconf.c (dev_sysctl).

use syscalls::errno::Errno;
use syscalls::layout::Devconf;
use syscalls::sysctl::mib::{hw, machdep};
use zerocopy::IntoBytes;

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
/// Types of devices with their classes (MDDT_*, DC_CLS_*).
const CPU: (u8, i32) = (0, 1);
const BUS: (u8, i32) = (6, 2);
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

/// The table of devices, which are numbered from 1 on: those that every machine has.
fn dev_sysctl(cx: &mut Context<'_>, name: &[u32], value: &mut Transfer) -> Result<(), Errno> {
    /// Bytes of a device: its structure, whose last byte would be the first of what its bus adds.
    const SHOWN: u32 = size_of::<Devconf>() as u32 - 1;
    let model = cx.kernel.system.model.clone();
    let devices = [device("cpu", &model, CPU, None, 1), device("isa", "ISA bus", BUS, Some("cpu"), 2)];
    let number = match *name {
        [DEVCONF_NUMBER] => return value.rdint(cx, devices.len() as i32),
        [number] => number,
        _ => return Err(Errno::ENOTDIR),
    };
    let device = devices.iter().find(|device| device.number.get() as u32 == number).ok_or(Errno::ENXIO)?;
    let room = std::mem::replace(&mut value.oldlen, SHOWN);
    if value.old == 0 {
        return Ok(());
    }
    if room < SHOWN {
        return Err(Errno::ENOMEM);
    }
    cx.copyout(value.old, device.as_bytes().get(..SHOWN as usize).unwrap_or_default())
}

/// A device that is always busy: its name, what it is, type and class, and the one that it hangs on.
fn device(name: &str, text: &str, (kind, class): (u8, i32), parent: Option<&str>, number: i32) -> Devconf {
    const BUSY: i32 = 3;
    let mut device = Devconf {
        number: number.into(),
        punit: if parent.is_some() { 0 } else { -1 }.into(),
        pnumber: if parent.is_some() { number - 1 } else { -1 }.into(),
        state: BUSY.into(),
        class: class.into(),
        ..Devconf::default()
    };
    device.md[0] = kind;
    let fill = |field: &mut [u8], text: &str| {
        let room = field.len().saturating_sub(1);
        field.iter_mut().take(room).zip(text.bytes()).for_each(|(to, from)| *to = from);
    };
    fill(&mut device.name, name);
    fill(&mut device.descr, text);
    fill(&mut device.pname, parent.unwrap_or_default());
    device
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
