//! Terminals as devices: opening, the last close, and passing operations on to the end that is meant.
//!
//! A device is closed when the last reference to it goes, by whatever node it was opened; the session whose
//! terminal it is holds one of them, too.
//!
//! 2.1 counterpart: miscfs/specfs/spec_vnops.c, kern/tty_tty.c, ptsopen and ptsclose in kern/tty_pty.c.

use syscalls::arg::Fd;
use syscalls::errno::Errno;

use super::drain::{self, Drained, Draining};
use super::flow::{self, Awaited, FREAD, FWRITE};
use super::read::{self as reading, waits};
use super::state::{Driver, End, State};
use super::transfer::{self, Transfer};
use super::write as writing;
use super::{Resume, TtyId, control, host, ioctl, modem, pty};
use crate::kernel::file::select::{Which, selrecord};
use crate::kernel::file::{FileFlag, FileId, FileObject, Uio};
use crate::kernel::synch::{self, Wake, priority};
use crate::kernel::vfs::{self, VnodeId};
use crate::kernel::{Context, Kernel, Sysret};

/// What a device node is to the terminal layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// An end of a terminal.
    Line(TtyId, End),
    /// The controlling terminal of whoever uses it (/dev/tty).
    Controlling,
}

/// An open that sleeps until the other side is there.
#[derive(Clone, Debug)]
pub struct Opening {
    fd: Fd,
    file: FileId,
    vnode: VnodeId,
    flags: FileFlag,
    tty: TtyId,
    /// The slave is counted as used while its open sleeps; /dev/tty is another device.
    counted: bool,
    generation: u32,
}

/// Opens a device node for a descriptor.
pub fn open(
    cx: &mut Context<'_>,
    fd: Fd,
    file: FileId,
    vnode: VnodeId,
    flags: FileFlag,
    special: Special,
) -> Sysret<Fd> {
    let line = match special {
        Special::Line(tty, end) => Ok((tty, end)),
        Special::Controlling => control::controlling_node(cx.kernel, cx.id)
            .and_then(|node| cx.kernel.vfs.terminal_end(&cx.kernel.ttys, node))
            .ok_or(Errno::ENXIO),
    };
    let opened = match line {
        Ok((tty, End::Master)) => pty::open_master(cx.kernel, tty),
        Ok((tty, End::Slave)) => match open_slave(cx, tty) {
            Ok(()) => {
                let counted = special != Special::Controlling;
                return carrier(cx, Opening { fd, file, vnode, flags, tty, counted, generation: 0 });
            }
            Err(errno) => Err(errno),
        },
        Err(errno) => Err(errno),
    };
    match opened {
        Ok(()) => vfs::calls::opened(cx, fd, file, vnode, flags),
        Err(errno) => vfs::calls::not_opened(cx, fd, file, vnode, flags, errno.into()),
    }
}

/// The beginning of `ptsopen`: defaults of a first open, and who may not.
fn open_slave(cx: &mut Context<'_>, id: TtyId) -> Result<(), Errno> {
    let superuser = cx.proc().cred.is_superuser();
    let tty = &mut cx.kernel.ttys[id];
    if !tty.state.contains(State::ISOPEN) {
        tty.set_defaults();
    } else if tty.state.contains(State::XCLUDE) && !superuser {
        return Err(Errno::EBUSY);
    }
    if tty.is_started() {
        modem::modem(cx.kernel, id, true);
    }
    Ok(())
}

/// The rest of `ptsopen`: waits for the other side.
fn carrier(cx: &mut Context<'_>, mut opening: Opening) -> Sysret<Fd> {
    let tty = &mut cx.kernel.ttys[opening.tty];
    if !tty.state.contains(State::CARR_ON) && !opening.flags.contains(FileFlag::NONBLOCK) {
        opening.generation = tty.generation;
        if opening.counted {
            control::hold(tty, End::Slave, 1);
        }
        let sleep = waits(opening.tty, Awaited::Carrier, priority::TTIPRI, "ptsopn");
        return synch::sleep(sleep, synch::Resume::Tty(Resume::Open(Box::new(opening))));
    }
    enter(cx.kernel, opening.tty);
    let Opening { fd, file, vnode, flags, .. } = opening;
    vfs::calls::opened(cx, fd, file, vnode, flags)
}

/// The terminal is open.
fn enter(kernel: &mut Kernel, id: TtyId) {
    let first = !kernel.ttys[id].state.contains(State::ISOPEN);
    kernel.ttys[id].open();
    match kernel.ttys[id].driver {
        Driver::Pty(_) => pty::wake_master(kernel, id, FREAD | FWRITE),
        Driver::Host(_) if first => host::opened(kernel, id),
        Driver::Host(_) => {}
    }
}

/// Opens the terminal of the host for the first program, before anything runs.
pub fn open_at_boot(kernel: &mut Kernel, id: TtyId) {
    if !kernel.ttys[id].state.contains(State::ISOPEN) {
        kernel.ttys[id].set_defaults();
    }
    modem::modem(kernel, id, true);
    enter(kernel, id);
}

/// Keeps a terminal open for good.
pub fn hold_open(kernel: &mut Kernel, id: TtyId) {
    control::hold(&mut kernel.ttys[id], End::Slave, 1);
}

/// Goes on with an open after its sleep.
pub(super) fn resume_open(cx: &mut Context<'_>, opening: Opening, wake: Wake) -> Sysret<Fd> {
    let tty = &mut cx.kernel.ttys[opening.tty];
    if opening.counted {
        control::hold(tty, End::Slave, -1);
    }
    let same = tty.generation == opening.generation;
    match transfer::result(wake) {
        Ok(()) if same => carrier(cx, opening),
        _ => {
            // open is not restarted.
            let Opening { fd, file, vnode, flags, .. } = opening;
            vfs::calls::not_opened(cx, fd, file, vnode, flags, Errno::EINTR.into())
        }
    }
}

/// References to an end of a terminal (`vcount`).
fn count(kernel: &Kernel, line: (TtyId, End)) -> u32 {
    let is_it = |file: &FileId| match kernel.files.get(*file).map(|file| file.object) {
        Some(FileObject::Vnode(vnode)) => kernel.vfs.terminal_end(&kernel.ttys, vnode) == Some(line),
        _ => false,
    };
    let open = kernel.files.active().iter().filter(|file| is_it(file)).count();
    open as u32 + kernel.ttys[line.0].held[line.1 as usize]
}

/// An open file goes away, which still stands for its node: the last one closes the device (`spec_close`).
pub fn close(cx: &mut Context<'_>, vnode: VnodeId, flag: FileFlag) -> Sysret<()> {
    let Some(line) = cx.kernel.vfs.terminal_end(&cx.kernel.ttys, vnode) else { return Ok(()) };
    let group = cx.proc().pgrp;
    let mut left = count(cx.kernel, line);
    if left == 2 && cx.kernel.procs.session(group).ttyvp == Some(vnode) {
        // The session's own reference does not keep the device open.
        control::release_node(cx.kernel, group);
        left -= 1;
    }
    if left > 1 { Ok(()) } else { close_device(cx, line, flag) }
}

/// Closes a device (`ptsclose`, `ptcclose`).
fn close_device(cx: &mut Context<'_>, (id, end): (TtyId, End), flag: FileFlag) -> Sysret<()> {
    if end == End::Master {
        pty::close_master(cx.kernel, id);
        return Ok(());
    }
    if flag.contains(FileFlag::NONBLOCK) {
        host::flush(cx.kernel, id);
        flow::flush(cx.kernel, id, FREAD | FWRITE);
        slave_closed(cx.kernel, id);
        return Ok(());
    }
    let drained = drain::wait(cx.kernel, id);
    close_drained(cx, id, drained)
}

fn close_drained(cx: &mut Context<'_>, id: TtyId, drained: Drained) -> Sysret<()> {
    match drained {
        Drained::Sleep(sleep, draining) => {
            control::hold(&mut cx.kernel.ttys[id], End::Slave, 1);
            return synch::sleep(sleep, synch::Resume::Tty(Resume::Close(draining)));
        }
        Drained::Over(result) => {
            let which = if result.is_ok() { FREAD } else { FREAD | FWRITE };
            flow::flush(cx.kernel, id, which);
        }
    }
    slave_closed(cx.kernel, id);
    Ok(())
}

fn slave_closed(kernel: &mut Kernel, id: TtyId) {
    flow::stop(kernel, id, FREAD | FWRITE);
    modem::closed(kernel, id);
    host::closed(kernel, id);
}

/// Goes on with a close after its sleep.
pub(super) fn resume_close(cx: &mut Context<'_>, draining: Draining, wake: Wake) -> Sysret<()> {
    let id = draining.tty;
    control::hold(&mut cx.kernel.ttys[id], End::Slave, -1);
    let drained = drain::resume(cx.kernel, draining, wake);
    close_drained(cx, id, drained)
}

/// Closes a device that is taken from all who use it, if anybody does.
pub fn close_revoked(cx: &mut Context<'_>, line: (TtyId, End)) {
    // Nothing waits without being told to.
    let _ = close_device(cx, line, FileFlag::NONBLOCK);
}

/// The end of a terminal that a node is for its user: `None` without a controlling terminal.
fn line(cx: &Context<'_>, special: Special) -> Option<(TtyId, End, Option<VnodeId>)> {
    match special {
        Special::Line(tty, end) => Some((tty, end, None)),
        Special::Controlling => {
            let node = control::controlling_node(cx.kernel, cx.id)?;
            let (tty, end) = cx.kernel.vfs.terminal_end(&cx.kernel.ttys, node)?;
            Some((tty, end, Some(node)))
        }
    }
}

/// Reads.
pub fn read(cx: &mut Context<'_>, file: FileId, special: Special, uio: Uio) -> Sysret<i32> {
    if uio.resid == 0 {
        return Ok(0);
    }
    let Some((tty, end, _)) = line(cx, special) else { return Err(Errno::EIO.into()) };
    let transfer = Transfer::new(cx, file, tty, end, false, uio);
    match end {
        End::Slave => reading::slave(cx, transfer),
        End::Master => reading::master(cx, transfer),
    }
}

/// Writes; nothing is written, too.
pub fn write(cx: &mut Context<'_>, file: FileId, special: Special, uio: Uio) -> Sysret<i32> {
    let Some((tty, end, _)) = line(cx, special) else { return Err(Errno::EIO.into()) };
    let transfer = Transfer::new(cx, file, tty, end, true, uio);
    match end {
        End::Slave => writing::slave(cx, transfer),
        End::Master => writing::master(cx, transfer),
    }
}

/// Serves a request (`cttyioctl`, and those of the devices themselves).
pub fn request(
    cx: &mut Context<'_>,
    file: FileId,
    node: VnodeId,
    special: Special,
    command: u32,
    data: &mut Vec<u8>,
) -> Sysret<()> {
    let Some((tty, end, controlling)) = line(cx, special) else { return Err(Errno::EIO.into()) };
    if special == Special::Controlling {
        match command {
            syscalls::ioctl::TIOCSCTTY => return Err(Errno::EINVAL.into()),
            syscalls::ioctl::TIOCNOTTY => return Ok(give_up(cx)?),
            _ => {}
        }
    }
    ioctl::ioctl(cx, file, (tty, end), controlling.unwrap_or(node), command, data)
}

fn give_up(cx: &mut Context<'_>) -> Result<(), Errno> {
    if cx.proc().is_session_leader(&cx.kernel.procs) {
        return Err(Errno::EINVAL);
    }
    cx.proc_mut().flags.remove(crate::kernel::proc::Flags::CONTROLT);
    Ok(())
}

/// Whether an operation would not wait; if it would, the process is noted.
pub fn select(cx: &mut Context<'_>, special: Special, which: Which) -> bool {
    let Some((tty, end, _)) = line(cx, special) else { return true };
    match end {
        End::Master => pty::select_master(cx, tty, which),
        End::Slave => select_slave(cx, tty, which),
    }
}

/// `ttyselect`.
fn select_slave(cx: &mut Context<'_>, id: TtyId, which: Which) -> bool {
    if which == Which::Read {
        host::wants_input(cx.kernel, id);
    }
    let zombie = cx.kernel.ttys[id].state.contains(State::ZOMBIE);
    let ready = match which {
        Which::Read => reading::readable(cx.kernel, id) > 0 || zombie,
        Which::Write => {
            let tty = &cx.kernel.ttys[id];
            zombie || tty.outq.len() <= tty.lowat && tty.state.contains(State::CONNECTED)
        }
        Which::Except => return false,
    };
    if !ready {
        let tty = &mut cx.kernel.ttys[id];
        let mut info = std::mem::take(if which == Which::Read { &mut tty.rsel } else { &mut tty.wsel });
        selrecord(cx.kernel, cx.id, &mut info);
        let tty = &mut cx.kernel.ttys[id];
        *(if which == Which::Read { &mut tty.rsel } else { &mut tty.wsel }) = info;
    }
    ready
}
