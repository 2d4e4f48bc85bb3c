//! Calls on identities.
//!
//! User and group numbers are 32 bits wide and any value is one.  The first group *is* the effective group.
//!
//! 2.1 counterpart: kern/kern_prot.c.

use syscalls::arg::{Gid, GidsIn, GidsOut, OutText, Str, Uid};
use syscalls::errno::Errno;
use syscalls::layout::U32;

use super::{NGROUPS, Pcred};
use crate::image::stack::USRSTACK;
use crate::kernel::proc::Flags;
use crate::kernel::{Context, Sysret};

/// Bytes of a login name that can be set, its NUL included (MAXLOGNAME - 1).
const LOGIN_LEN: u32 = 11;
/// "Leave as it is", for setreuid and setregid.
const LEAVE: u32 = !0;

/// The real user, and the effective one.
pub fn getuid(cx: &mut Context<'_>) -> Sysret<(u32, u32)> {
    let cred = &cx.proc().cred;
    Ok((cred.ruid, cred.ucred.uid))
}

/// The effective user.
pub fn geteuid(cx: &mut Context<'_>) -> Sysret<i32> {
    Ok(cx.proc().cred.ucred.uid as i32)
}

/// The real group, and the effective one.
pub fn getgid(cx: &mut Context<'_>) -> Sysret<(u32, u32)> {
    let cred = &cx.proc().cred;
    Ok((cred.rgid, cred.ucred.gid()))
}

/// The effective group.
pub fn getegid(cx: &mut Context<'_>) -> Sysret<i32> {
    Ok(cx.proc().cred.ucred.gid() as i32)
}

/// The groups; a count of zero asks only how many there are.
pub fn getgroups(cx: &mut Context<'_>, groups: GidsOut) -> Sysret<i32> {
    let ucred = cx.proc().cred.ucred.clone();
    let count = ucred.groups.len();
    if groups.count == 0 {
        return Ok(count as i32);
    }
    if (groups.count as usize) < count {
        return Err(Errno::EINVAL.into());
    }
    let bytes: Vec<u8> = ucred.groups.iter().flat_map(|gid| gid.to_le_bytes()).collect();
    cx.copyout(groups.addr, &bytes)?;
    Ok(count as i32)
}

/// Sets the groups, the effective one among them.
pub fn setgroups(cx: &mut Context<'_>, groups: GidsIn) -> Sysret<()> {
    cx.suser()?;
    let count = groups.count as usize;
    if !(1..=NGROUPS).contains(&count) {
        return Err(Errno::EINVAL.into());
    }
    match cx.copyin_vec(groups.addr, 4 * count) {
        Ok(bytes) => {
            let words = bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            change(cx).ucred_mut().groups = words.collect();
            Ok(())
        }
        Err(e) => {
            keep_what_can_be_read(cx, groups.addr, count);
            Err(e.into())
        }
    }
}

/// What is left of groups that cannot be read to their end: they are copied straight into the identity, whose
/// count stays as it was.
fn keep_what_can_be_read(cx: &mut Context<'_>, address: u32, count: usize) {
    let end = u64::from(address) + 4 * count as u64;
    if end > u64::from(USRSTACK) {
        return;
    }
    let mut at = address;
    for n in 0..count {
        let Ok(gid) = cx.read::<U32>(at) else { return };
        let Some(group) = cx.proc_mut().cred.ucred_mut().groups.get_mut(n) else { return };
        *group = gid.get();
        at = at.wrapping_add(4);
    }
}

/// Sets the user: for the super-user real, effective and saved, else the effective one.
pub fn setuid(cx: &mut Context<'_>, uid: Uid) -> Sysret<()> {
    let uid = uid.0;
    let (real, saved) = users(cx);
    if uid != real && uid != saved {
        cx.suser()?;
    }
    if cx.proc().cred.is_superuser() {
        set_real_user(cx, uid);
        change(cx).svuid = uid;
    }
    change(cx).ucred_mut().uid = uid;
    Ok(())
}

/// Sets the effective user.
pub fn seteuid(cx: &mut Context<'_>, euid: Uid) -> Sysret<()> {
    let (real, saved) = users(cx);
    if euid.0 != real && euid.0 != saved {
        cx.suser()?;
    }
    change(cx).ucred_mut().uid = euid.0;
    Ok(())
}

/// Sets the group: for the super-user real, effective and saved, else the effective one.
pub fn setgid(cx: &mut Context<'_>, gid: Gid) -> Sysret<()> {
    let gid = gid.0;
    let (real, saved) = groups(cx);
    if gid != real && gid != saved {
        cx.suser()?;
    }
    let cred = change(cx);
    set_effective_group(cred, gid);
    if cred.is_superuser() {
        cred.rgid = gid;
        cred.svgid = gid;
    }
    Ok(())
}

/// Sets the effective group.
pub fn setegid(cx: &mut Context<'_>, egid: Gid) -> Sysret<()> {
    let (real, saved) = groups(cx);
    if egid.0 != real && egid.0 != saved {
        cx.suser()?;
    }
    set_effective_group(change(cx), egid.0);
    Ok(())
}

/// Sets the real and the effective user.  Both are checked against the real and the saved one.
pub fn setreuid(cx: &mut Context<'_>, ruid: Uid, euid: Uid) -> Sysret<()> {
    let (real, saved) = users(cx);
    if [ruid.0, euid.0].iter().any(|&uid| uid != LEAVE && uid != real && uid != saved) {
        cx.suser()?;
    }
    let cred = change(cx);
    if euid.0 != LEAVE {
        cred.ucred_mut().uid = euid.0;
    }
    if ruid.0 != LEAVE {
        set_real_user(cx, ruid.0);
    }
    let cred = change(cx);
    if ruid.0 != LEAVE || cred.ucred.uid != cred.ruid {
        cred.svuid = cred.ucred.uid;
    }
    Ok(())
}

/// Sets the real and the effective group.  Both are checked against the real and the saved one.
pub fn setregid(cx: &mut Context<'_>, rgid: Gid, egid: Gid) -> Sysret<()> {
    let (real, saved) = groups(cx);
    if [rgid.0, egid.0].iter().any(|&gid| gid != LEAVE && gid != real && gid != saved) {
        cx.suser()?;
    }
    let cred = change(cx);
    if egid.0 != LEAVE {
        set_effective_group(cred, egid.0);
    }
    if rgid.0 != LEAVE {
        cred.rgid = rgid.0;
    }
    if rgid.0 != LEAVE || cred.ucred.gid() != cred.rgid {
        cred.svgid = cred.ucred.gid();
    }
    Ok(())
}

/// The login name of the session: as many bytes as asked for, whether it fits or not.
pub fn getlogin(cx: &mut Context<'_>, name: OutText) -> Sysret<()> {
    let login = cx.kernel.procs.session(cx.proc().pgrp).login;
    let len = login.len().min(name.cap as usize);
    Ok(cx.copyout(name.addr, &login[..len])?)
}

/// Sets the login name of the session.  It is stored byte by byte: one that is too long, or cannot be read
/// to its end, has already changed the old one.
pub fn setlogin(cx: &mut Context<'_>, name: Str) -> Sysret<()> {
    cx.suser()?;
    for n in 0..LOGIN_LEN {
        let mut byte = [0];
        cx.copyin(name.0.wrapping_add(n), &mut byte)?;
        let group = cx.proc().pgrp;
        cx.kernel.procs.session_mut(group).login[n as usize] = byte[0];
        if byte[0] == 0 {
            return Ok(());
        }
    }
    Err(Errno::EINVAL.into())
}

/// The real and the saved user.
fn users(cx: &Context<'_>) -> (u32, u32) {
    let cred = &cx.proc().cred;
    (cred.ruid, cred.svuid)
}

/// The real and the saved group.
fn groups(cx: &Context<'_>) -> (u32, u32) {
    let cred = &cx.proc().cred;
    (cred.rgid, cred.svgid)
}

/// The identity, to change it: from now on the process counts as having had privileges.
fn change<'c>(cx: &'c mut Context<'_>) -> &'c mut Pcred {
    let proc = cx.proc_mut();
    proc.flags.insert(Flags::SUGID);
    &mut proc.cred
}

fn set_effective_group(cred: &mut Pcred, gid: u32) {
    match cred.ucred_mut().groups.first_mut() {
        Some(first) => *first = gid,
        None => cred.ucred_mut().groups.push(gid),
    }
}

/// Changes the real user, and whose process this counts as.
fn set_real_user(cx: &mut Context<'_>, uid: u32) {
    let old = std::mem::replace(&mut change(cx).ruid, uid);
    if old != uid {
        cx.kernel.procs.change_count(old, -1);
        cx.kernel.procs.change_count(uid, 1);
    }
}
