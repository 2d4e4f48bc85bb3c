//! A read or a write of a terminal, as far as it has come: what it keeps while it sleeps.
//!
//! 2.1 counterpart: the local variables of ttread, ttwrite, ptcread, ptcwrite; ttysleep.

use syscalls::errno::Errno;

use super::read::{self, Timing};
use super::state::End;
use super::{Resume, TtyId, write};
use crate::kernel::file::{FileId, Uio, ops};
use crate::kernel::synch::{self, Sleep, Wake};
use crate::kernel::{Context, Stop, Sysret};

/// Where a transfer sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleeping {
    /// In the background, until the next second.
    Background,
    /// For input.
    Input,
    /// After a delayed suspension, until the next second.
    Suspended,
    /// For a record of remote mode.
    Record,
    /// For the other side.
    Carrier,
    /// For memory of a queue, until the next second.
    Queue,
    /// For room for output.
    Room,
    /// At the master.
    Master,
}

/// A read or a write in progress.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// The open file.
    pub file: FileId,
    /// The terminal.
    pub tty: TtyId,
    /// Which end of it.
    pub end: End,
    /// Whether it writes.
    pub writes: bool,
    /// What is left.
    pub uio: Uio,
    /// What was asked for.
    pub requested: u32,
    /// It does not wait (IO_NDELAY).
    pub ndelay: bool,
    /// A read has entered the line discipline.
    pub inside: bool,
    /// The clock of a raw read.
    pub timing: Timing,
    /// Bytes of a write that were taken from its buffers and not queued.
    pub piece: Vec<u8>,
    /// The high-water mark when a write began.
    pub hiwat: usize,
    /// Bytes that a write of the master has entered.
    pub entered: u32,
    /// The generation of the terminal when the transfer went to sleep.
    generation: u32,
}

impl Transfer {
    /// A transfer that begins.
    pub fn new(cx: &Context<'_>, file: FileId, tty: TtyId, end: End, writes: bool, uio: Uio) -> Self {
        Self {
            file,
            tty,
            end,
            writes,
            requested: uio.resid,
            uio,
            ndelay: cx.kernel.files[file].flag.contains(crate::kernel::file::FileFlag::NONBLOCK),
            inside: false,
            timing: Timing::default(),
            piece: Vec::new(),
            hiwat: cx.kernel.ttys[tty].hiwat,
            entered: 0,
            generation: 0,
        }
    }

    /// Whether something is left to write.  As in the original the count is signed: one beyond 2^31 is
    /// nothing.
    pub fn is_left(&self) -> bool {
        self.uio.resid.cast_signed() > 0 || !self.piece.is_empty()
    }
}

/// Puts the caller to sleep inside of a transfer.
pub(super) fn sleep(cx: &mut Context<'_>, mut transfer: Transfer, sleep: Sleep, at: Sleeping) -> Sysret<i32> {
    transfer.generation = cx.kernel.ttys[transfer.tty].generation;
    if at != Sleeping::Room {
        // A writer has had its output sent before it began to wait for room.
        super::host::flush(cx.kernel, transfer.tty);
    }
    synch::sleep(sleep, synch::Resume::Tty(Resume::Transfer(Box::new(transfer), at)))
}

/// Goes on after a sleep.
pub(super) fn resume(cx: &mut Context<'_>, transfer: Transfer, at: Sleeping, wake: Wake) -> Sysret<i32> {
    match (transfer.writes, transfer.end) {
        (false, End::Slave) => read::resume_slave(cx, transfer, at, wake),
        (false, End::Master) => match result(wake) {
            Ok(()) => read::master(cx, transfer),
            Err(stop) => finish(cx, &transfer, Err(stop)),
        },
        (true, End::Slave) => write::resume_slave(cx, transfer, at, wake),
        (true, End::Master) => write::resume_master(cx, transfer, wake),
    }
}

/// What tsleep gave.
pub(super) fn result(wake: Wake) -> Result<(), Stop> {
    match wake {
        Wake::Woken => Ok(()),
        Wake::TimedOut => Err(Errno::EWOULDBLOCK.into()),
        Wake::Interrupted(how) => Err(how.into()),
    }
}

/// What ttysleep gave: the call is made again where the terminal is another one since.
pub(super) fn awake(cx: &Context<'_>, transfer: &Transfer, wake: Wake) -> Result<(), Stop> {
    result(wake)?;
    let same = cx.kernel.ttys[transfer.tty].generation == transfer.generation;
    if same { Ok(()) } else { Err(Stop::Restart) }
}

/// The end of a transfer.
pub(super) fn finish(cx: &mut Context<'_>, transfer: &Transfer, result: Sysret<()>) -> Sysret<i32> {
    let done = transfer.requested.wrapping_sub(transfer.uio.resid);
    if let Some(file) = cx.kernel.files.get_mut(transfer.file) {
        file.offset = file.offset.wrapping_add(i64::from(done));
    }
    super::host::call_is_over(cx.kernel, transfer.tty);
    if transfer.writes {
        ops::finish_write(cx, transfer.requested, &transfer.uio, result)
    } else {
        ops::finish_read(transfer.requested, &transfer.uio, result)
    }
}
