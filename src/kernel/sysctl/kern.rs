//! The names below `kern`.
//!
//! 2.1 counterpart: kern/kern_sysctl.c (kern_sysctl), kern/kern_clock.c (sysctl_clockrate).

use syscalls::errno::Errno;
use syscalls::layout::Clockinfo;
use syscalls::sysctl::mib::kern;

use super::transfer::Transfer;
use super::{System, file_table, process_table};
use crate::kernel::cred::NGROUPS;
use crate::kernel::time::discipline;
use crate::kernel::{Context, HZ, time};

/// Revision of Berkeley's system that it comes from (BSD).
const OSREV: i32 = 199_306;
/// Room for arguments and environment (ARG_MAX).
const ARG_MAX: i32 = 65536;
/// Edition of POSIX.1 (_POSIX_VERSION).
const POSIX_VERSION: i32 = 198_808;
/// Rates of the clocks that measure and profile.
const STATHZ: i32 = 128;
const PROFHZ: i32 = 1024;
/// The only name below `kern.ntp_pll`.
const NTP_PLL_GETTIME: u32 = 1;
/// No device.
const NODEV: i32 = -1;

/// Gives and takes one value; `name` is what follows `kern`.
pub(super) fn kern_sysctl(cx: &mut Context<'_>, name: &[u32], value: &mut Transfer) -> Result<(), Errno> {
    let [first, rest @ ..] = name else { return Err(Errno::ENOTDIR) };
    if !rest.is_empty() && ![kern::PROC, kern::PROF, kern::NTP_PLL].contains(first) {
        return Err(Errno::ENOTDIR);
    }
    match *first {
        kern::OSTYPE => value.rdstring(cx, cx.kernel.system.ostype.as_bytes()),
        kern::OSRELEASE => value.rdstring(cx, cx.kernel.system.osrelease.as_bytes()),
        kern::OSREV => value.rdint(cx, OSREV),
        kern::VERSION => {
            let version = cx.kernel.system.version.clone();
            value.rdstring(cx, version.as_bytes())
        }
        kern::OSRELDATE => value.rdint(cx, cx.kernel.system.osreldate),
        kern::BOOTFILE => {
            let mut name = cx.kernel.system.bootfile.clone();
            let result = value.string(cx, &mut name);
            cx.kernel.system.bootfile = name;
            result
        }
        kern::ARGMAX => value.rdint(cx, ARG_MAX),
        kern::SECURELVL => set_securelevel(cx, value),
        kern::HOSTNAME => {
            let mut name = cx.kernel.system.hostname.clone();
            let result = value.string(cx, &mut name);
            cx.kernel.system.hostname = name;
            result
        }
        kern::DOMAINNAME => set_domainname(cx, value),
        kern::CLOCKRATE => clockrate(cx, value),
        kern::BOOTTIME => value.rdstruct(cx, &time::timeval(cx.kernel.clock.boot_time())),
        kern::PROC => process_table::sysctl_doproc(cx, rest, value),
        kern::FILE => file_table::sysctl_file(cx, value),
        kern::POSIX1 => value.rdint(cx, POSIX_VERSION),
        kern::NGROUPS => value.rdint(cx, NGROUPS as i32),
        kern::JOB_CONTROL | kern::SAVED_IDS => value.rdint(cx, 1),
        kern::DUMPDEV => set_dumpdev(cx, value),
        kern::NTP_PLL => ntp_sysctl(cx, rest, value),
        kern::VNODE => file_table::sysctl_vnode(cx, value),
        // Profiling of the kernel is not compiled into GENERIC.
        kern::PROF => Err(Errno::EOPNOTSUPP),
        other => match variable(other) {
            Some(variable) => set_variable(cx, value, variable),
            None => Err(Errno::EOPNOTSUPP),
        },
    }
}

/// Where a number lives that may be set to anything.
type Variable = fn(&mut System) -> &mut i32;

fn variable(name: u32) -> Option<Variable> {
    Some(match name {
        kern::MAXVNODES => |s| &mut s.maxvnodes,
        kern::MAXPROC => |s| &mut s.maxproc,
        kern::MAXPROCPERUID => |s| &mut s.maxprocperuid,
        kern::MAXFILES => |s| &mut s.maxfiles,
        kern::MAXFILESPERPROC => |s| &mut s.maxfilesperproc,
        kern::UPDATEINTERVAL => |s| &mut s.update_interval,
        kern::HOSTID => |s| &mut s.hostid,
        kern::SOMAXCONN => |s| &mut s.somaxconn,
        kern::SOMINQUEUE => |s| &mut s.sominqueue,
        kern::MAXSOCKBUF => |s| &mut s.maxsockbuf,
        kern::SOCKBUF_WASTE => |s| &mut s.sockbuf_waste,
        kern::PS_STRINGS => |s| &mut s.ps_strings,
        kern::USRSTACK => |s| &mut s.usrstack,
        _ => return None,
    })
}

/// Gives and takes a number that may be set to anything.
pub(super) fn set_variable(
    cx: &mut Context<'_>,
    value: &mut Transfer,
    variable: Variable,
) -> Result<(), Errno> {
    let old = *variable(&mut cx.kernel.system);
    if let Some(new) = value.int(cx, old)? {
        *variable(&mut cx.kernel.system) = new;
    }
    Ok(())
}

fn set_securelevel(cx: &mut Context<'_>, value: &mut Transfer) -> Result<(), Errno> {
    let level = cx.kernel.system.securelevel;
    match value.int(cx, level)? {
        Some(new) if new < level => Err(Errno::EPERM),
        Some(new) => {
            cx.kernel.system.securelevel = new;
            Ok(())
        }
        None => Ok(()),
    }
}

fn set_domainname(cx: &mut Context<'_>, value: &mut Transfer) -> Result<(), Errno> {
    let mut name = cx.kernel.system.domainname.clone();
    let result = value.string(cx, &mut name);
    cx.kernel.system.domainname = name;
    if value.sets() && matches!(result, Ok(()) | Err(Errno::ENOMEM)) {
        cx.kernel.system.domainname_len = value.newlen;
    }
    result
}

/// The names below `kern.ntp_pll`.
fn ntp_sysctl(cx: &mut Context<'_>, name: &[u32], value: &mut Transfer) -> Result<(), Errno> {
    match *name {
        [NTP_PLL_GETTIME] => {
            let told = discipline::time_and_errors(cx.kernel);
            value.rdstruct(cx, &told)
        }
        [_] => Err(Errno::EOPNOTSUPP),
        _ => Err(Errno::ENOTDIR),
    }
}

fn set_dumpdev(cx: &mut Context<'_>, value: &mut Transfer) -> Result<(), Errno> {
    match value.device(cx, NODEV)? {
        // There is no device to dump on.
        Some(device) if device != NODEV => Err(Errno::ENXIO),
        _ => Ok(()),
    }
}

fn clockrate(cx: &mut Context<'_>, value: &mut Transfer) -> Result<(), Errno> {
    let hz = HZ as i32;
    let info = Clockinfo {
        hz: hz.into(),
        tick: (1_000_000 / hz).into(),
        stathz: STATHZ.into(),
        profhz: PROFHZ.into(),
    };
    // A new value is ignored, not refused.
    let mut reading = Transfer::reading(value.old, value.oldlen);
    let result = reading.rdstruct(cx, &info);
    value.oldlen = reading.oldlen;
    result
}
