//! Writing to a terminal, and to the master of a pseudo terminal.
//!
//! 2.1 counterpart: kern/tty.c (ttwrite), kern/tty_pty.c (ptswrite, ptcwrite).

use syscalls::errno::Errno;

use super::flow::{self, Awaited};
use super::output::is_plain;
use super::read::{BUFSIZ, waits};
use super::settings::flag::*;
use super::state::{OBUFSIZ, State, TTYHOG};
use super::transfer::{self, Sleeping, Transfer};
use super::{control, host, input, pty};
use crate::kernel::synch::{Sleep, priority};
use crate::kernel::{Context, Stop, Sysret, Wake};

/// How the loop of a write goes on.
enum Next {
    /// From its beginning.
    Again,
    /// After a sleep.
    Sleep(Sleep, Sleeping),
    /// It is over.
    Done(Result<(), Errno>),
}

/// Writes to a slave or any other terminal (`ptswrite`, `ttwrite`).
pub(super) fn slave(cx: &mut Context<'_>, write: Transfer) -> Sysret<i32> {
    if !cx.kernel.ttys[write.tty].is_started() {
        return transfer::finish(cx, &write, Err(Errno::EIO.into()));
    }
    go_on(cx, write)
}

fn go_on(cx: &mut Context<'_>, mut write: Transfer) -> Sysret<i32> {
    loop {
        match round(cx, &mut write) {
            Next::Again => {}
            Next::Sleep(sleep, at) => return transfer::sleep(cx, write, sleep, at),
            Next::Done(result) => return over(cx, write, result.map_err(Stop::from)),
        }
    }
}

/// The end: what was taken from the buffers and not queued counts as not written.
fn over(cx: &mut Context<'_>, mut write: Transfer, result: Sysret<()>) -> Sysret<i32> {
    write.uio.resid += write.piece.len() as u32;
    transfer::finish(cx, &write, result)
}

/// Goes on with a write of a slave after a sleep.
pub(super) fn resume_slave(cx: &mut Context<'_>, write: Transfer, at: Sleeping, wake: Wake) -> Sysret<i32> {
    match transfer::awake(cx, &write, wake) {
        Ok(()) => go_on(cx, write),
        Err(Stop::Errno(Errno::EWOULDBLOCK)) if at == Sleeping::Room => {
            over(cx, write, Err(Errno::EIO.into()))
        }
        Err(stop) => over(cx, write, Err(stop)),
    }
}

/// One round of `ttwrite`.
fn round(cx: &mut Context<'_>, write: &mut Transfer) -> Next {
    let id = write.tty;
    let tty = &cx.kernel.ttys[id];
    if tty.state.contains(State::ZOMBIE) {
        return Next::Done(if write.uio.resid == write.requested { Err(Errno::EIO) } else { Ok(()) });
    }
    if !tty.state.contains(State::CONNECTED) {
        if write.ndelay {
            return Next::Done(Err(Errno::EWOULDBLOCK));
        }
        return Next::Sleep(waits(id, Awaited::Carrier, priority::TTIPRI, "ttydcd"), Sleeping::Carrier);
    }
    let sleep = control::background_sleep("ttybg4", priority::TTIPRI);
    if tty.has_local(TOSTOP)
        && let Some(sleep) = control::may_change(cx, id, sleep)
    {
        return Next::Sleep(sleep, Sleeping::Background);
    }
    loop {
        host::write_through(cx, write);
        if !write.is_left() {
            return Next::Done(Ok(()));
        }
        let tty = &cx.kernel.ttys[id];
        if tty.has_local(FLUSHO) {
            write.uio.resid = 0;
            write.piece.clear();
            return Next::Done(Ok(()));
        }
        if tty.outq.len() > write.hiwat {
            return full(cx, write);
        }
        if write.piece.is_empty()
            && let Err(errno) = take_piece(cx, write)
        {
            return Next::Done(Err(errno));
        }
        match queue_piece(cx, write) {
            Queued::All => flow::start(cx.kernel, id),
            Queued::Enough => return full(cx, write),
            Queued::NoMemory(wmesg) => {
                flow::start(cx.kernel, id);
                if write.ndelay {
                    return Next::Done(Err(Errno::EWOULDBLOCK));
                }
                return Next::Sleep(control::background_sleep(wmesg, priority::TTOPRI), Sleeping::Queue);
            }
        }
    }
}

/// Takes the next piece out of the writer's buffers.
fn take_piece(cx: &mut Context<'_>, write: &mut Transfer) -> Result<(), Errno> {
    let mut piece = [0; OBUFSIZ];
    let len = write.uio.move_in(cx, &mut piece)?;
    write.piece.extend_from_slice(piece.get(..len).unwrap_or_default());
    Ok(())
}

/// How far a piece came.
enum Queued {
    /// Into the queue, or up to where output is to be looked at anew.
    All,
    /// Up to a character behind which the queue is full enough.
    Enough,
    /// Up to where the queue has no room.
    NoMemory(&'static str),
}

fn queue_piece(cx: &mut Context<'_>, write: &mut Transfer) -> Queued {
    let tty = &mut cx.kernel.ttys[write.tty];
    let mut done = 0;
    let queued = loop {
        let Some(rest) = write.piece.get(done..).filter(|rest| !rest.is_empty()) else { break Queued::All };
        let plain = if tty.oflag() & OPOST == 0 {
            rest.len()
        } else {
            rest.iter().position(|&c| !is_plain(c)).unwrap_or(rest.len())
        };
        tty.rocount = 0;
        let enough = if plain == 0 {
            let c = rest.first().copied().unwrap_or_default();
            if !tty.output(u32::from(c)) {
                break Queued::NoMemory("ttybf1");
            }
            done += 1;
            Queued::Enough
        } else {
            let put = tty.put_plain(rest.get(..plain).unwrap_or_default());
            done += put;
            if put < plain {
                break Queued::NoMemory("ttybf2");
            }
            Queued::All
        };
        if tty.has_local(FLUSHO) || tty.outq.len() > write.hiwat {
            break enough;
        }
    };
    write.piece.drain(..done);
    queued
}

/// The queue is full enough: the writer waits until it is low.
fn full(cx: &mut Context<'_>, write: &mut Transfer) -> Next {
    let id = write.tty;
    flow::start(cx.kernel, id);
    host::flush(cx.kernel, id);
    let tty = &mut cx.kernel.ttys[id];
    if tty.outq.len() <= write.hiwat {
        return Next::Again;
    }
    if write.ndelay {
        let nothing = write.uio.resid + write.piece.len() as u32 == write.requested;
        return Next::Done(if nothing { Err(Errno::EWOULDBLOCK) } else { Ok(()) });
    }
    tty.state.insert(State::SO_OLOWAT);
    let timeout = u32::try_from(tty.timeout).ok().filter(|&ticks| ticks > 0);
    let sleep = waits(id, Awaited::OutputLow, priority::TTOPRI, "ttywri");
    Next::Sleep(Sleep { timeout_ticks: timeout, ..sleep }, Sleeping::Room)
}

/// Writes to the master what the slave's side will read (`ptcwrite`).
pub(super) fn master(cx: &mut Context<'_>, mut write: Transfer) -> Sysret<i32> {
    let id = write.tty;
    if cx.kernel.ttys[id].state.contains(State::ISOPEN) {
        let remote = cx.kernel.ttys[id].pty().is_some_and(|pty| pty.remote);
        let result = if remote { write_record(cx, &mut write) } else { enter(cx, &mut write) };
        match result {
            Err(errno) => return over(cx, write, Err(errno.into())),
            Ok(true) => return over(cx, write, Ok(())),
            Ok(false) => {}
        }
    }
    if !cx.kernel.ttys[id].state.contains(State::CONNECTED) {
        return over(cx, write, Err(Errno::EIO.into()));
    }
    if write.ndelay {
        let result = if write.entered == 0 { Err(Errno::EWOULDBLOCK.into()) } else { Ok(()) };
        return over(cx, write, result);
    }
    let sleep = waits(id, Awaited::MasterWrite, priority::TTOPRI, "ptcout");
    transfer::sleep(cx, write, sleep, Sleeping::Master)
}

/// Goes on with a write of the master after a sleep.
pub(super) fn resume_master(cx: &mut Context<'_>, write: Transfer, wake: Wake) -> Sysret<i32> {
    match transfer::result(wake) {
        Ok(()) => master(cx, write),
        Err(stop) => over(cx, write, Err(stop)),
    }
}

/// Takes the next bytes out of the master's buffers.
fn take_bytes(cx: &mut Context<'_>, write: &mut Transfer, most: usize) -> Result<(), Errno> {
    let mut piece = [0; BUFSIZ];
    let len = write.uio.move_in(cx, piece.get_mut(..most.min(BUFSIZ)).unwrap_or_default())?;
    write.piece.extend_from_slice(piece.get(..len).unwrap_or_default());
    Ok(())
}

/// Enters bytes one by one as if typed; false where the rest must wait.
fn enter(cx: &mut Context<'_>, write: &mut Transfer) -> Result<bool, Errno> {
    let id = write.tty;
    while write.is_left() {
        if write.piece.is_empty() {
            take_bytes(cx, write, BUFSIZ)?;
        }
        let mut done = 0;
        while let Some(&c) = write.piece.get(done) {
            if pty::is_full(&cx.kernel.ttys[id]) {
                write.piece.drain(..done);
                flow::wakeup(cx.kernel, id, Awaited::Input);
                return Ok(false);
            }
            input::input(cx.kernel, id, u32::from(c));
            write.entered = write.entered.wrapping_add(1);
            done += 1;
        }
        write.piece.clear();
    }
    Ok(true)
}

/// Makes a record of remote mode; false while the last one has not been read.
fn write_record(cx: &mut Context<'_>, write: &mut Transfer) -> Result<bool, Errno> {
    let id = write.tty;
    if !cx.kernel.ttys[id].canq.is_empty() {
        return Ok(false);
    }
    loop {
        let len = cx.kernel.ttys[id].canq.len();
        if !write.is_left() || len >= TTYHOG - 1 {
            break;
        }
        if write.piece.is_empty() {
            take_bytes(cx, write, TTYHOG - 1 - len)?;
        }
        let done = cx.kernel.ttys[id].canq.put(&write.piece);
        write.piece.drain(..done);
        if !write.piece.is_empty() {
            break;
        }
    }
    cx.kernel.ttys[id].canq.putc(0);
    flow::wake_readers(cx.kernel, id);
    flow::wakeup(cx.kernel, id, Awaited::Record);
    Ok(true)
}
