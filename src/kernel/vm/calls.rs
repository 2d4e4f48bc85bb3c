//! Calls on memory.

pub use super::swap::swapon;
use syscalls::arg::{Fd, GuestAddr, Int, Off, Uint, Unused};
use syscalls::errno::Errno;
use syscalls::flags::{Advice, MapFlags, MsyncFlags, OldMapFlags, OldProt, Prot};

use super::inside_page;
use super::map::{self, Request};
use crate::kernel::{Context, Sysret};
use crate::mem::{PAGE_SIZE, Prot as Access};

/// Moves the end of the data segment.
pub fn obreak(cx: &mut Context<'_>, nsize: GuestAddr) -> Sysret<()> {
    Ok(map::obreak(cx, nsize.0)?)
}

/// Refuses, as 2.1 does: the data segment moves by break.
pub fn sbrk(_cx: &mut Context<'_>, _incr: Int) -> Sysret<i32> {
    Err(Errno::EOPNOTSUPP.into())
}

/// Refuses, as 2.1 does: the stack grows by itself.
pub fn sstk(_cx: &mut Context<'_>, _incr: Int) -> Sysret<i32> {
    Err(Errno::EOPNOTSUPP.into())
}

/// Returns the page size.
pub fn ogetpagesize(_cx: &mut Context<'_>) -> Sysret<i32> {
    Ok(PAGE_SIZE.cast_signed())
}

/// Maps a file or memory.
#[expect(clippy::too_many_arguments, reason = "the arguments of the call")]
pub fn mmap(
    cx: &mut Context<'_>,
    addr: GuestAddr,
    len: Uint,
    prot: Prot,
    flags: MapFlags,
    fd: Fd,
    _pad: Unused,
    pos: Off,
) -> Sysret<u32> {
    Ok(map::mmap(cx, Request { addr: addr.0, len, prot: access(prot), flags, fd, pos })?)
}

/// Maps a file or memory, with the old flags.
pub fn ommap(
    cx: &mut Context<'_>,
    addr: GuestAddr,
    len: Uint,
    prot: OldProt,
    flags: OldMapFlags,
    fd: Fd,
    pos: Uint,
) -> Sysret<u32> {
    let mut new_prot = Access::empty();
    new_prot.set(Access::READ, prot.contains(OldProt::READ));
    new_prot.set(Access::WRITE, prot.contains(OldProt::WRITE));
    new_prot.set(Access::EXEC, prot.contains(OldProt::EXEC));
    let shared = flags.contains(OldMapFlags::SHARED);
    let mut new_flags = if shared { MapFlags::SHARED } else { MapFlags::PRIVATE };
    new_flags.set(MapFlags::ANON, flags.contains(OldMapFlags::ANON));
    new_flags.set(MapFlags::COPY, flags.contains(OldMapFlags::COPY));
    new_flags.set(MapFlags::FIXED, flags.contains(OldMapFlags::FIXED));
    new_flags.set(MapFlags::INHERIT, flags.contains(OldMapFlags::INHERIT));
    let pos = i64::from(pos.cast_signed());
    Ok(map::mmap(cx, Request { addr: addr.0, len, prot: new_prot, flags: new_flags, fd, pos })?)
}

/// Removes a mapping.
pub fn munmap(cx: &mut Context<'_>, addr: GuestAddr, len: Uint) -> Sysret<()> {
    Ok(map::munmap(&mut cx.proc_mut().vm, addr.0, len)?)
}

/// Changes the protection of memory.
pub fn mprotect(cx: &mut Context<'_>, addr: GuestAddr, len: Uint, prot: Prot) -> Sysret<()> {
    Ok(map::mprotect(&mut cx.proc_mut().vm, addr.0, len, access(prot))?)
}

/// Writes pages of a mapping back.
pub fn msync(cx: &mut Context<'_>, addr: GuestAddr, len: Uint, flags: MsyncFlags) -> Sysret<()> {
    let wraps = addr.0.checked_add(len).is_none();
    if inside_page(addr.0) || wraps || flags.contains(MsyncFlags::ASYNC | MsyncFlags::INVALIDATE) {
        return Err(Errno::EINVAL.into());
    }
    let wait = !flags.contains(MsyncFlags::ASYNC);
    Ok(map::msync(&mut cx.proc_mut().vm, addr.0, len, wait)?)
}

/// Refuses, as 2.1 does: advice on the use of memory.
pub fn madvise(_cx: &mut Context<'_>, _addr: GuestAddr, _len: Uint, _advice: Advice) -> Sysret<()> {
    Err(Errno::EOPNOTSUPP.into())
}

/// Refuses, as 2.1 does: which pages are in memory.
pub fn mincore(_cx: &mut Context<'_>, _addr: GuestAddr, _len: Uint, _vec: GuestAddr) -> Sysret<()> {
    Err(Errno::EOPNOTSUPP.into())
}

/// Refuses, as 2.1 does: advice on paging.
pub fn ovadvise(_cx: &mut Context<'_>, _anom: Int) -> Sysret<()> {
    Err(Errno::EINVAL.into())
}

/// Locks pages in memory.
pub fn mlock(cx: &mut Context<'_>, addr: GuestAddr, len: Uint) -> Sysret<()> {
    Ok(map::lock(cx, addr.0, len, true)?)
}

/// Unlocks pages.
pub fn munlock(cx: &mut Context<'_>, addr: GuestAddr, len: Uint) -> Sysret<()> {
    Ok(map::lock(cx, addr.0, len, false)?)
}

/// The three bits that count.
fn access(prot: Prot) -> Access {
    let mut access = Access::empty();
    access.set(Access::READ, prot.contains(Prot::READ));
    access.set(Access::WRITE, prot.contains(Prot::WRITE));
    access.set(Access::EXEC, prot.contains(Prot::EXEC));
    access
}
