//! Calls on limits and on what has been used.
//!
//! 2.1 counterpart: kern/kern_resource.c, kern/subr_prof.c (profil).

use syscalls::arg::{GuestAddr, In, Out, Uint};
use syscalls::errno::Errno;
use syscalls::flags::{RlimitWhich, RusageWho};
use syscalls::layout::{Orlimit, Rlimit as RlimitWords, Rusage};

use super::Flags;
use crate::image::stack::USRSTACK;
use crate::kernel::limits::{INFINITY, Resource, Rlimit};
use crate::kernel::{Context, Sysret, time, vm};
use crate::mem::{PAGE_SIZE, Prot};

/// Most data and stack (MAXDSIZ, MAXSSIZ).
const MAXDSIZ: i64 = 128 << 20;
const MAXSSIZ: i64 = 64 << 20;
/// A profiling scale of one: every two bytes of the program have a counter of their own.
const PROFIL_ONE: u32 = 1 << 16;

/// Gives a limit.
pub fn getrlimit(cx: &mut Context<'_>, which: RlimitWhich, limit: Out<RlimitWords>) -> Sysret<()> {
    let Rlimit { cur, max } = cx.proc().limits.get(resource(which)?);
    Ok(cx.write(limit.addr(), &RlimitWords { cur: cur.into(), max: max.into() })?)
}

/// Sets a limit.
pub fn setrlimit(cx: &mut Context<'_>, which: RlimitWhich, limit: In<RlimitWords>) -> Sysret<()> {
    let words: RlimitWords = cx.read(limit.addr())?;
    Ok(set_limit(cx, which, Rlimit { cur: words.cur.get(), max: words.max.get() })?)
}

/// Gives the low halves of a limit; all ones, as of infinity, show as the largest number.
pub fn ogetrlimit(cx: &mut Context<'_>, which: RlimitWhich, limit: Out<Orlimit>) -> Sysret<()> {
    let Rlimit { cur, max } = cx.proc().limits.get(resource(which)?);
    let narrow = |value: i64| match value as i32 {
        -1 => i32::MAX,
        low => low,
    };
    Ok(cx.write(limit.addr(), &Orlimit { cur: narrow(cur).into(), max: narrow(max).into() })?)
}

/// Sets a limit given in 32 bits: the largest number is a number, and -1 is infinity.
pub fn osetrlimit(cx: &mut Context<'_>, which: RlimitWhich, limit: In<Orlimit>) -> Sysret<()> {
    let words: Orlimit = cx.read(limit.addr())?;
    Ok(set_limit(cx, which, Rlimit { cur: words.cur.get().into(), max: words.max.get().into() })?)
}

fn resource(which: RlimitWhich) -> Result<Resource, Errno> {
    Ok(match which {
        RlimitWhich::Cpu => Resource::Cpu,
        RlimitWhich::Fsize => Resource::Fsize,
        RlimitWhich::Data => Resource::Data,
        RlimitWhich::Stack => Resource::Stack,
        RlimitWhich::Core => Resource::Core,
        RlimitWhich::Rss => Resource::Rss,
        RlimitWhich::Memlock => Resource::Memlock,
        RlimitWhich::Nproc => Resource::Nproc,
        RlimitWhich::Nofile => Resource::Nofile,
        RlimitWhich::Other(_) => return Err(Errno::EINVAL),
    })
}

/// Sets a limit (`dosetrlimit`).  Negative numbers are infinite, a soft limit above the hard one is lowered,
/// and some limits have bounds of their own.
fn set_limit(cx: &mut Context<'_>, which: RlimitWhich, wanted: Rlimit) -> Result<(), Errno> {
    let resource = resource(which)?;
    let endless = |value: i64| if value < 0 { INFINITY } else { value };
    let (cur, max) = (endless(wanted.cur), endless(wanted.max));
    let old = cx.proc().limits.get(resource);
    if cur > old.max || max > old.max {
        cx.suser()?;
    }
    let bound = match resource {
        Resource::Data => MAXDSIZ,
        Resource::Stack => MAXSSIZ,
        Resource::Nofile => cx.kernel.system.maxfilesperproc.into(),
        Resource::Nproc => cx.kernel.system.maxprocperuid.into(),
        Resource::Cpu | Resource::Fsize | Resource::Core | Resource::Rss | Resource::Memlock => INFINITY,
    };
    let new = Rlimit { cur: cur.min(max).min(bound), max: max.min(bound) };
    if resource == Resource::Stack && new.cur != old.cur {
        change_stack(cx, old.cur, new.cur);
    }
    cx.proc_mut().limits.set(resource, new);
    Ok(())
}

/// Opens or closes the part of the stack between two limits.
fn change_stack(cx: &mut Context<'_>, old: i64, new: i64) {
    let bytes = |size: i64| size.clamp(0, MAXSSIZ) as u32;
    let (larger, smaller) = (bytes(old.max(new)), bytes(old.min(new)));
    // Start and length are rounded each by itself: of a page that both limits touch the change wins.
    let from = (USRSTACK - larger) & !(PAGE_SIZE - 1);
    let len = (larger - smaller).next_multiple_of(PAGE_SIZE);
    let prot = if new > old { Prot::READ | Prot::WRITE | Prot::EXEC } else { Prot::empty() };
    // As in the original nobody looks whether it worked.
    let _ = cx.proc_mut().vm.space.protect(from, len, prot);
}

/// Gives what the process, or its children that it has waited for, have used.
pub fn getrusage(cx: &mut Context<'_>, who: RusageWho, rusage: Out<Rusage>) -> Sysret<()> {
    vm::faults::note(cx.proc_mut());
    let usage = match who {
        RusageWho::This => &cx.proc().usage,
        RusageWho::Children => &cx.proc().children_usage,
        RusageWho::Other(_) => return Err(Errno::EINVAL.into()),
    };
    let words = time::rusage(usage);
    Ok(cx.write(rusage.addr(), &words)?)
}

/// Has the clock count where the program runs, or stops that.
pub fn profil(
    cx: &mut Context<'_>,
    samples: GuestAddr,
    size: Uint,
    offset: GuestAddr,
    scale: Uint,
) -> Sysret<()> {
    if scale > PROFIL_ONE {
        return Err(Errno::EINVAL.into());
    }
    let proc = cx.proc_mut();
    proc.flags.set(Flags::PROFIL, scale != 0);
    if scale != 0 {
        proc.profil = [samples.0, size, offset.0, scale];
    }
    Ok(())
}
