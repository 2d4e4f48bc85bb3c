//! Calls on the system as a whole.
//!
//! 2.1 counterpart: kern/kern_sysctl.c, kern/kern_xxx.c, i386/i386/sys_machdep.c.

use syscalls::arg::{GuestAddr, InBuf, Int, Out, OutText, SysctlName, ValueOut};
use syscalls::errno::Errno;
use syscalls::flags::{KinfoOp, RebootFlags, SysarchOp};
use syscalls::layout::Utsname;
use syscalls::sysctl::{CTL_FS, CTL_MAXNAME, CTL_NET, mib};

use super::filesystem::fs_sysctl;
use super::hardware::{cpu_sysctl, hw_sysctl};
use super::kern::kern_sysctl;
use super::memory::vm_sysctl;
use super::network::net_sysctl;
use super::transfer::Transfer;
use super::{MAXHOSTNAMELEN, UTSNAME_LEN, kerninfo};
use crate::kernel::synch::{Channel, Sleep, priority, sleep};
use crate::kernel::{Context, Resume, Sysret, vfs};
use crate::mem::Prot;

/// Gives and takes one value of the system, by a name of numbers; returns its length.
pub fn sysctl(cx: &mut Context<'_>, name: SysctlName, old: ValueOut, new: InBuf) -> Sysret<i32> {
    if new.addr != 0 {
        cx.suser()?;
    }
    if !(2..=CTL_MAXNAME).contains(&name.count) {
        return Err(Errno::EINVAL.into());
    }
    let bytes = cx.copyin_vec(name.addr, 4 * name.count as usize)?;
    let numbers: Vec<u32> =
        bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let [top, rest @ ..] = numbers.as_slice() else { return Err(Errno::EINVAL.into()) };
    let serve = match *top {
        mib::CTL_KERN => kern_sysctl,
        mib::CTL_HW => hw_sysctl,
        mib::CTL_VM => vm_sysctl,
        CTL_NET => net_sysctl,
        CTL_FS => fs_sysctl,
        mib::CTL_MACHDEP => cpu_sysctl,
        _ => return Err(Errno::EOPNOTSUPP.into()),
    };
    let oldlen = read_length(cx, old)?;
    if old.addr != 0 && !cx.useracc(old.addr, oldlen, Prot::WRITE) {
        return Err(Errno::EFAULT.into());
    }
    let mut value = Transfer { old: old.addr, oldlen, new: new.addr, newlen: new.len };
    serve(cx, rest, &mut value)?;
    // As in the original nobody looks whether the length could be stored.
    let _ = store_length(cx, old, value);
    Ok(value.oldlen as i32)
}

/// Ends the run: every process is gone, as after the original's halt or restart.
pub fn reboot(cx: &mut Context<'_>, flags: RebootFlags) -> Sysret<()> {
    cx.suser()?;
    cx.kernel.rebooted = Some(flags);
    // The machine looks when nobody runs.
    let channel = Channel::Time(cx.id);
    let forever =
        Sleep { channel, priority: priority::PSWP, catch: false, wmesg: "boot", timeout_ticks: None };
    sleep(forever, Resume::Vfs(vfs::Resume::Idle))
}

/// Gives a table of the kernel; returns its length.
pub fn ogetkerninfo(cx: &mut Context<'_>, op: KinfoOp, info: ValueOut, arg: Int) -> Sysret<i32> {
    let oldlen = read_length(cx, info)?;
    let mut value = Transfer::reading(info.addr, oldlen);
    kerninfo::getkerninfo(cx, op, arg, &mut value)?;
    store_length(cx, info, value)?;
    Ok(value.oldlen as i32)
}

/// The room for the old value; without a place that says so there is none.
fn read_length(cx: &Context<'_>, old: ValueOut) -> Result<u32, Errno> {
    if old.lenp == 0 {
        return Ok(0);
    }
    let mut length = [0; 4];
    cx.copyin(old.lenp, &mut length)?;
    Ok(u32::from_le_bytes(length))
}

fn store_length(cx: &mut Context<'_>, old: ValueOut, value: Transfer) -> Result<(), Errno> {
    if old.lenp == 0 { Ok(()) } else { cx.copyout(old.lenp, &value.oldlen.to_le_bytes()) }
}

/// Gives the host name; ENOMEM where it does not fit.
pub fn ogethostname(cx: &mut Context<'_>, name: OutText) -> Sysret<()> {
    Ok(kern_sysctl(cx, &[mib::kern::HOSTNAME], &mut Transfer::reading(name.addr, name.cap))?)
}

/// Sets the host name.
pub fn osethostname(cx: &mut Context<'_>, name: InBuf) -> Sysret<()> {
    cx.suser()?;
    let mut value = Transfer { new: name.addr, newlen: name.len, ..Transfer::default() };
    Ok(kern_sysctl(cx, &[mib::kern::HOSTNAME], &mut value)?)
}

/// Gives the host identifier.
pub fn ogethostid(cx: &mut Context<'_>) -> Sysret<i32> {
    Ok(cx.kernel.system.hostid)
}

/// Sets the host identifier.
pub fn osethostid(cx: &mut Context<'_>, hostid: Int) -> Sysret<()> {
    cx.suser()?;
    cx.kernel.system.hostid = hostid;
    Ok(())
}

/// Gives the domain name, at most as long as its setter said.
pub fn getdomainname(cx: &mut Context<'_>, name: OutText) -> Sysret<()> {
    let len = name.cap.min(cx.kernel.system.domainname_len + 1);
    let bytes = cx.kernel.system.domainname.raw(len as usize).to_vec();
    Ok(cx.copyout(name.addr, &bytes)?)
}

/// Sets the domain name.
pub fn setdomainname(cx: &mut Context<'_>, name: InBuf) -> Sysret<()> {
    cx.suser()?;
    let len = name.len as usize;
    if len > MAXHOSTNAMELEN - 1 {
        return Err(Errno::EINVAL.into());
    }
    cx.kernel.system.domainname_len = name.len;
    let mut domainname = cx.kernel.system.domainname.clone();
    let set = domainname.set(len, |buffer| cx.copyin(name.addr, buffer));
    cx.kernel.system.domainname = domainname;
    Ok(set?)
}

/// Gives the names of system, host, release, version and machine, one after the other; what comes before
/// the one that fails is stored.
pub fn uname(cx: &mut Context<'_>, name: Out<Utsname>) -> Sysret<()> {
    let field = |n: usize| name.addr().wrapping_add((n * UTSNAME_LEN) as u32);
    for (n, number) in [mib::kern::OSTYPE, mib::kern::HOSTNAME, mib::kern::OSRELEASE].into_iter().enumerate()
    {
        kern_sysctl(cx, &[number], &mut Transfer::reading(field(n), UTSNAME_LEN as u32))?;
        end_field(cx, field(n));
    }
    // As in FreeBSD 1.1 the version is the build only: from the "#" to the colon.
    let version = cx.kernel.system.version.bytes();
    let mut build: Vec<u8> = version.skip_while(|&b| b != b'#').take_while(|&b| b != b':').collect();
    build.push(0);
    cx.copyout(field(3), &build)?;
    hw_sysctl(cx, &[mib::hw::MACHINE], &mut Transfer::reading(field(4), UTSNAME_LEN as u32))?;
    end_field(cx, field(4));
    Ok(())
}

/// Ends a field with a NUL; as in the original nobody looks whether that worked.
fn end_field(cx: &mut Context<'_>, field: u32) {
    let _ = cx.copyout(field.wrapping_add(UTSNAME_LEN as u32 - 1), &[0]);
}

/// Reads and sets local descriptors: there is no table of them.
pub fn sysarch(_cx: &mut Context<'_>, op: SysarchOp, _parms: GuestAddr) -> Sysret<i32> {
    match op {
        // GENERIC has no USER_LDT.
        SysarchOp::GetLdt | SysarchOp::SetLdt | SysarchOp::Other(_) => Err(Errno::EINVAL.into()),
    }
}
