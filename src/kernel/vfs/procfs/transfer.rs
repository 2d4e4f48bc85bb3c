//! Reading and writing the files of a process.
//!
//! 2.1 counterpart: miscfs/procfs/procfs_subr.c (procfs_rw), procfs_mem.c, procfs_regs.c, procfs_fpregs.c,
//! procfs_status.c, procfs_note.c.

use std::fmt::Write as _;

use syscalls::Errno;

use super::{KMEM_GROUP, Kind, Node, control, may_look};
use crate::image::stack::USRSTACK;
use crate::kernel::file::Uio;
use crate::kernel::proc::{Flags, ProcId, State, trap_frame, user_area_image};
use crate::kernel::sysctl::{process_table, system_processes};
use crate::kernel::{Context, Sysret, time};
use crate::mem::{PAGE_SIZE, Prot};
use crate::trapframe::fpu::SAVE_SIZE;

/// Bytes of a process's user area, which follows its memory.
const USER_AREA: u32 = 8192;
/// Bytes of the x87 registers as a file: the saved unit, and room.
const FPREGS: usize = 176;
/// Longest note, and longest command.
const NOTE: usize = 64;

/// Reads from a node.
pub(in crate::kernel::vfs) fn read(cx: &mut Context<'_>, node: Node, uio: &mut Uio) -> Result<(), Errno> {
    let Some(other) = cx.kernel.procs.find(node.pid) else { return read_system(cx, node, uio) };
    match node.kind {
        Kind::Mem => memory(cx, other, uio, false),
        Kind::Regs => {
            look(cx, other)?;
            let bytes = trap_frame(&cx.kernel.procs[other].frame);
            show(cx, uio, &bytes)
        }
        Kind::Fpregs => {
            look(cx, other)?;
            let bytes = x87(cx, other);
            show(cx, uio, &bytes)
        }
        Kind::Status => {
            let line = status(cx, other);
            tell(cx, uio, &line)
        }
        Kind::Ctl => Err(Errno::EOPNOTSUPP),
        Kind::Note | Kind::Notepg => Err(Errno::EINVAL),
        Kind::Root | Kind::Process => Err(Errno::EOPNOTSUPP),
    }
}

/// The status of a process of the system; it has nothing else.
fn read_system(cx: &mut Context<'_>, node: Node, uio: &mut Uio) -> Result<(), Errno> {
    let entry = system_processes::entries(cx.kernel).into_iter().find(|e| e.proc.pid.get() == node.pid);
    let entry = entry.ok_or(Errno::EINVAL)?;
    if node.kind != Kind::Status {
        return Err(Errno::EIO);
    }
    let text = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
    };
    let start = time::timeval(cx.kernel.clock.boot_time());
    let line = format!(
        "{} {} 0 0 0 -1,-1 noflags {},{} 0,0 0,0 {} 0 0 0,0\n",
        text(&entry.proc.comm),
        node.pid,
        start.sec,
        start.usec,
        text(&entry.eproc.wmesg),
    );
    tell(cx, uio, line.as_bytes())
}

/// Writes to a node.
pub(in crate::kernel::vfs) fn write(cx: &mut Context<'_>, node: Node, uio: &mut Uio) -> Sysret<()> {
    let other = cx.kernel.procs.find(node.pid).ok_or(Errno::EINVAL)?;
    if node.pid == 1 && cx.kernel.system.securelevel > 0 {
        return Err(Errno::EACCES.into());
    }
    match node.kind {
        Kind::Mem => Ok(memory(cx, other, uio, true)?),
        Kind::Regs => {
            look(cx, other)?;
            let mut words = trap_frame(&cx.kernel.procs[other].frame);
            take(cx, uio, &mut words)?;
            stopped(cx, other)?;
            Ok(crate::kernel::proc::set_trap_frame(&mut cx.kernel.procs[other].frame, &words)?)
        }
        Kind::Fpregs => {
            look(cx, other)?;
            let mut bytes = x87(cx, other);
            take(cx, uio, &mut bytes)?;
            stopped(cx, other)?;
            if let Some(saved) = bytes.first_chunk::<SAVE_SIZE>() {
                cx.kernel.procs[other].frame.fpu.set_save_area(saved);
            }
            Ok(())
        }
        Kind::Ctl => {
            let command = string(cx, uio, control::LONGEST)?;
            control::command(cx, other, &command)
        }
        Kind::Note | Kind::Notepg => {
            string(cx, uio, NOTE)?;
            // Nobody can ask to be told.
            Err(Errno::EOPNOTSUPP.into())
        }
        Kind::Status | Kind::Root | Kind::Process => Err(Errno::EOPNOTSUPP.into()),
    }
}

fn look(cx: &Context<'_>, other: ProcId) -> Result<(), Errno> {
    if may_look(cx, other) { Ok(()) } else { Err(Errno::EPERM) }
}

fn stopped(cx: &Context<'_>, other: ProcId) -> Result<(), Errno> {
    if cx.kernel.procs[other].state == State::Stop { Ok(()) } else { Err(Errno::EBUSY) }
}

/// Moves a part of a structure out; the next transfer begins anew.
fn show(cx: &mut Context<'_>, uio: &mut Uio, bytes: &[u8]) -> Result<(), Errno> {
    let from = usize::try_from(uio.offset).ok().filter(|from| *from <= bytes.len()).ok_or(Errno::EINVAL)?;
    let part = bytes.get(from..).unwrap_or_default();
    let part = part.get(..part.len().min(uio.resid as usize)).unwrap_or_default();
    uio.move_out(cx, part)
}

/// Moves a part of a structure in.
fn take(cx: &Context<'_>, uio: &mut Uio, bytes: &mut [u8]) -> Result<(), Errno> {
    let from = usize::try_from(uio.offset).ok().filter(|from| *from <= bytes.len()).ok_or(Errno::EINVAL)?;
    let part = bytes.get_mut(from..).unwrap_or_default();
    let length = part.len().min(uio.resid as usize);
    uio.move_in(cx, part.get_mut(..length).unwrap_or_default()).map(|_| ())
}

/// Moves text out from where the reader is.
fn tell(cx: &mut Context<'_>, uio: &mut Uio, text: &[u8]) -> Result<(), Errno> {
    let from = usize::try_from(uio.offset).unwrap_or(usize::MAX);
    let rest = text.get(from..).unwrap_or_default();
    let rest = rest.get(..rest.len().min(uio.resid as usize)).unwrap_or_default();
    uio.move_out(cx, rest)
}

/// A short string, in one piece from the beginning, without the newline at its end (`vfs_getuserstr`).
fn string(cx: &Context<'_>, uio: &mut Uio, longest: usize) -> Result<Vec<u8>, Errno> {
    if uio.offset != 0 {
        return Err(Errno::EINVAL);
    }
    if uio.resid as usize > longest {
        return Err(Errno::EMSGSIZE);
    }
    let mut text = vec![0; uio.resid as usize];
    uio.move_in(cx, &mut text)?;
    let mut text = text.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    Ok(text)
}

/// Reads or writes the memory of a process, text included; its user area can be read behind it.
fn memory(cx: &mut Context<'_>, other: ProcId, uio: &mut Uio, writes: bool) -> Result<(), Errno> {
    if uio.resid == 0 {
        return Ok(());
    }
    let reader = cx.proc().cred.ucred.gid() == KMEM_GROUP && !writes;
    if !may_look(cx, other) && !reader {
        return Err(Errno::EPERM);
    }
    if cx.kernel.procs[other].flags.contains(Flags::WEXIT) {
        return Err(Errno::EFAULT);
    }
    let before = uio.resid;
    while uio.resid > 0 {
        let address = uio.offset as u32;
        let length = (PAGE_SIZE - address % PAGE_SIZE).min(uio.resid);
        if address >= USRSTACK {
            if writes || address >= USRSTACK + USER_AREA {
                break;
            }
            let area = user_area_image(cx.kernel, other);
            let from = (address - USRSTACK) as usize;
            uio.move_out(cx, area.get(from..from + length as usize).unwrap_or_default())?;
            continue;
        }
        let space = &cx.kernel.procs[other].vm.space;
        let region = space.region_at(address);
        let readable = region.is_some_and(|region| region.prot.contains(Prot::READ));
        let mut piece = vec![0; length as usize];
        let moved = match (writes, region.is_some()) {
            (true, true) => {
                uio.move_in(cx, &mut piece)?;
                cx.kernel.procs[other].vm.space.poke(address, &piece).is_ok()
            }
            (false, true) if readable => {
                let there = space.peek(address, &mut piece).is_ok();
                if there {
                    uio.move_out(cx, &piece)?;
                }
                there
            }
            _ => false,
        };
        if !moved {
            return if uio.resid < before { Ok(()) } else { Err(Errno::EFAULT) };
        }
    }
    Ok(())
}

fn x87(cx: &Context<'_>, other: ProcId) -> Vec<u8> {
    let mut bytes = cx.kernel.procs[other].frame.fpu.save_area().to_vec();
    bytes.resize(FPREGS, 0);
    bytes
}

/// One line about a process.
fn status(cx: &Context<'_>, id: ProcId) -> Vec<u8> {
    let procs = &cx.kernel.procs;
    let proc = &procs[id];
    let (group, session) = (procs.group(proc.pgrp), procs.session(proc.pgrp));
    let parent = proc.parent.map_or(0, |parent| procs[parent].pid);
    let entry = process_table::kinfo_proc(cx, id);
    let terminal = match entry.eproc.tdev.get() {
        u32::MAX => "-1,-1".to_owned(),
        device => format!("{},{}", device >> 8 & 0xff, device & 0xffff_00ff),
    };
    let mut flags = Vec::new();
    if session.ttyvp.is_some() {
        flags.push("ctty");
    }
    if proc.is_session_leader(procs) {
        flags.push("sldr");
    }
    if flags.is_empty() {
        flags.push("noflags");
    }
    let pair = |ns: u64| {
        let time = time::timeval(ns);
        format!("{},{}", time.sec, time.usec)
    };
    let wmesg = process_table::waits_for(cx, id).unwrap_or("nochan");
    let mut line = proc.comm.clone();
    let mut rest = format!(
        " {} {parent} {} {} {terminal} {} {} {} {} {wmesg} {} {} {}",
        proc.pid,
        group.pgid,
        session.leader.unwrap_or(0),
        flags.join(","),
        pair(proc.start),
        pair(proc.usage.user_ns),
        pair(proc.usage.system_ns),
        proc.cred.ucred.uid,
        proc.cred.ruid,
        proc.cred.rgid,
    );
    for group in &proc.cred.ucred.groups {
        // Writing to a string does not fail.
        let _ = write!(rest, ",{group}");
    }
    rest.push('\n');
    line.extend_from_slice(rest.as_bytes());
    line
}
