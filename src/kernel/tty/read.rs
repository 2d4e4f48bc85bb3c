//! Reading from a terminal: lines, or bytes with MIN and TIME; and from pseudo terminals on both sides.
//!
//! 2.1 counterpart: kern/tty.c (ttread, ttnread), kern/tty_pty.c (ptsread, ptcread).

use syscalls::errno::Errno;

use super::clist::{CHARMASK, Clist};
use super::flow::{self, Awaited, FWRITE, channel, signal_foreground};
use super::input::{self, I_LOW_WATER, ends_line};
use super::settings::{flag::*, key};
use super::state::{Driver, State, Tty};
use super::transfer::{self, Sleeping, Transfer};
use super::{TtyId, control, host, pty};
use crate::kernel::signal::SIGTSTP;
use crate::kernel::synch::{HZ, Sleep, priority};
use crate::kernel::{Context, Kernel, Stop, Sysret, Wake};

/// Bytes that raw reads move at once (IBUFSIZ).
const IBUFSIZ: usize = 384;
/// Bytes that the master moves at once (BUFSIZ).
pub(super) const BUFSIZ: usize = 100;
/// Nanoseconds of a tick.
const TICK_NS: u64 = 1_000_000_000 / HZ as u64;

/// The clock of a read with TIME.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    /// When it began, in microseconds of whole ticks.
    begun: Option<u64>,
    /// Characters that were there when it was last looked at.
    last: usize,
}

/// How the loop of a read goes on.
enum Next {
    /// From its beginning.
    Again,
    /// After a sleep.
    Sleep(Sleep, Sleeping),
    /// It is over.
    Done(Result<(), Errno>),
}

/// Reads from a slave or any other terminal (`ptsread`, `ttread`).
pub(super) fn slave(cx: &mut Context<'_>, mut read: Transfer) -> Sysret<i32> {
    let id = read.tty;
    loop {
        // Whoever is inside of the line discipline stays there.
        let remote = !read.inside && matches!(&cx.kernel.ttys[id].driver, Driver::Pty(pty) if pty.remote);
        let next = if remote {
            read_record(cx, &mut read)
        } else if read.inside || cx.kernel.ttys[id].is_started() {
            read.inside = true;
            read_line(cx, &mut read)
        } else {
            // The master is gone.
            Next::Done(Ok(()))
        };
        match next {
            Next::Again => {}
            Next::Sleep(sleep, at) => return transfer::sleep(cx, read, sleep, at),
            Next::Done(result) => {
                if !remote || cx.kernel.ttys[id].canq.is_empty() {
                    pty::wake_master(cx.kernel, id, FWRITE);
                }
                return transfer::finish(cx, &read, result.map_err(Stop::from));
            }
        }
    }
}

/// Goes on with a read of a slave after a sleep.
pub(super) fn resume_slave(cx: &mut Context<'_>, read: Transfer, at: Sleeping, wake: Wake) -> Sysret<i32> {
    let awoke = transfer::awake(cx, &read, wake);
    match (at, awoke) {
        // MIN and TIME: the end of the time is looked at again with the queue.
        (Sleeping::Input, Err(Stop::Errno(Errno::EWOULDBLOCK))) | (_, Ok(())) => slave(cx, read),
        (at, Err(stop)) => {
            if at == Sleeping::Suspended {
                let_input_go_on(cx.kernel, read.tty);
            }
            pty::wake_master(cx.kernel, read.tty, FWRITE);
            transfer::finish(cx, &read, Err(stop))
        }
    }
}

/// One round of `ttread`.
fn read_line(cx: &mut Context<'_>, read: &mut Transfer) -> Next {
    let id = read.tty;
    if cx.kernel.ttys[id].has_local(PENDIN) {
        input::pend(cx.kernel, id);
    }
    match control::may_read(cx, id, "ttybg2") {
        Ok(None) => {}
        Ok(Some(sleep)) => return Next::Sleep(sleep, Sleeping::Background),
        Err(errno) => return Next::Done(Err(errno)),
    }
    if !host::wants_input(cx.kernel, id) {
        return Next::Done(Err(Errno::EIO));
    }
    host::refill(cx.kernel, id);
    let now = cx.kernel.clock.now() / TICK_NS * (TICK_NS / 1000);
    let tty = &mut cx.kernel.ttys[id];
    if tty.state.contains(State::ZOMBIE) {
        return Next::Done(Ok(()));
    }
    let canonical = tty.has_local(ICANON);
    let there = if canonical { tty.canq.len() } else { tty.rawq.len() };
    let min = usize::from(tty.termios.cc[key::VMIN]);
    let mut timeout = 0;
    let enough = if read.ndelay {
        if there == 0 {
            let patient = canonical || min != 0;
            return Next::Done(if patient { Err(Errno::EWOULDBLOCK) } else { Ok(()) });
        }
        true
    } else if canonical {
        there > 0
    } else {
        match raw_wait(&mut read.timing, there, min, tty.termios.cc[key::VTIME], now) {
            Raw::Read => true,
            Raw::Nothing => return Next::Done(Ok(())),
            Raw::Wait(ticks) => {
                timeout = ticks;
                false
            }
        }
    };
    if !enough {
        let wmesg = if tty.state.contains(State::CONNECTED) { "ttyin" } else { "ttyhup" };
        let sleep = Sleep {
            channel: channel(id, Awaited::Input),
            priority: priority::TTIPRI,
            catch: true,
            wmesg,
            timeout_ticks: (timeout > 0).then_some(timeout),
        };
        return Next::Sleep(sleep, Sleeping::Input);
    }
    let plain = !tty.has_local(ICANON | ISIG);
    let next = if plain { take_bytes(cx, read) } else { take_line(cx, read) };
    if matches!(next, Next::Done(_)) {
        let_input_go_on(cx.kernel, id);
    }
    next
}

/// What a raw read does with what is there.
enum Raw {
    Read,
    Nothing,
    Wait(u32),
}

/// The four combinations of MIN and TIME; `now` and times are in microseconds.
fn raw_wait(timing: &mut Timing, there: usize, min: usize, time: u8, now: u64) -> Raw {
    if time == 0 {
        return if there < min {
            Raw::Wait(0)
        } else if there > 0 {
            Raw::Read
        } else {
            Raw::Nothing
        };
    }
    let time = u64::from(time) * 100_000;
    let left = if min > 0 {
        if there == 0 {
            return Raw::Wait(0);
        }
        if there >= min {
            return Raw::Read;
        }
        let left = match timing.begun {
            Some(begun) if there <= timing.last => time.saturating_sub(now.saturating_sub(begun)),
            _ => {
                timing.begun = Some(now);
                time
            }
        };
        if left == 0 {
            return Raw::Read;
        }
        timing.last = there;
        left
    } else {
        if there > 0 {
            return Raw::Read;
        }
        let begun = *timing.begun.get_or_insert(now);
        let left = time.saturating_sub(now.saturating_sub(begun));
        if left == 0 {
            return Raw::Nothing;
        }
        left
    };
    Raw::Wait((left * u64::from(HZ)).div_ceil(1_000_000) as u32)
}

/// Moves bytes where nothing in them means anything.
fn take_bytes(cx: &mut Context<'_>, read: &mut Transfer) -> Next {
    let mut first = true;
    loop {
        let room = (read.uio.resid as usize).min(IBUFSIZ);
        let bytes = cx.kernel.ttys[read.tty].rawq.take(room);
        if bytes.is_empty() {
            return if first { Next::Again } else { Next::Done(Ok(())) };
        }
        if let Err(errno) = read.uio.move_out(cx, &bytes) {
            // What was taken is lost.
            return Next::Done(Err(errno));
        }
        if read.uio.resid == 0 {
            return Next::Done(Ok(()));
        }
        first = false;
    }
}

/// What ends the characters that a read takes.
enum End {
    /// The last of them, or the room for them.
    Nothing,
    /// A character behind them that is only taken away (VEOF).
    Dropped,
    /// A character behind them that stops the reader (VDSUSP).
    Suspend,
}

/// Moves characters up to the end of a line, or in raw mode with signals up to VDSUSP.
fn take_line(cx: &mut Context<'_>, read: &mut Transfer) -> Next {
    let id = read.tty;
    let tty = &cx.kernel.ttys[id];
    let canonical = tty.has_local(ICANON);
    let (bytes, end) = line(tty, read.uio.resid as usize);
    if bytes.is_empty() && matches!(end, End::Nothing) {
        return Next::Again;
    }
    if read.uio.clone().move_out(cx, &bytes).is_err() {
        return Next::Done(lose_a_character(cx, read, canonical));
    }
    let moved = read.uio.move_out(cx, &bytes);
    let queue = queue(&mut cx.kernel.ttys[id], canonical);
    queue.take(bytes.len());
    if !matches!(end, End::Nothing) {
        queue.getc();
    }
    if let End::Suspend = end {
        signal_foreground(cx.kernel, id, SIGTSTP);
        if bytes.is_empty() {
            return Next::Sleep(control::background_sleep("ttybg3", priority::TTIPRI), Sleeping::Suspended);
        }
    }
    Next::Done(moved)
}

fn queue(tty: &mut Tty, canonical: bool) -> &mut Clist {
    if canonical { &mut tty.canq } else { &mut tty.rawq }
}

/// The next characters for a reader that has room for so many, and what ends them.
fn line(tty: &Tty, room: usize) -> (Vec<u8>, End) {
    let canonical = tty.has_local(ICANON);
    let queue = if canonical { &tty.canq } else { &tty.rawq };
    let mut bytes = Vec::new();
    for c in queue.iter() {
        if tty.has_local(ISIG) && tty.is_key(key::VDSUSP, c) {
            return (bytes, End::Suspend);
        }
        if canonical && tty.is_key(key::VEOF, c) {
            return (bytes, End::Dropped);
        }
        bytes.push((c & CHARMASK) as u8);
        if bytes.len() == room || canonical && ends_line(tty, c) {
            break;
        }
    }
    (bytes, End::Nothing)
}

/// A read that finds no memory for some character: that one alone is lost.
fn lose_a_character(cx: &mut Context<'_>, read: &mut Transfer, canonical: bool) -> Result<(), Errno> {
    loop {
        let c = queue(&mut cx.kernel.ttys[read.tty], canonical).getc();
        read.uio.move_out(cx, &[(c.ok_or(Errno::EFAULT)? & CHARMASK) as u8])?;
    }
}

/// Asks the other side to go on when little enough input waits.
fn let_input_go_on(kernel: &mut Kernel, id: TtyId) {
    let tty = &kernel.ttys[id];
    if tty.state.contains(State::TBLOCK) && tty.waiting() <= I_LOW_WATER {
        flow::unblock(kernel, id);
    }
    host::refill(kernel, id);
}

/// Reads a record of remote mode, which ends with one more character (`ptsread`).
fn read_record(cx: &mut Context<'_>, read: &mut Transfer) -> Next {
    let id = read.tty;
    match control::may_read(cx, id, "ptsbg") {
        Ok(None) => {}
        Ok(Some(sleep)) => return Next::Sleep(sleep, Sleeping::Background),
        Err(errno) => return Next::Done(Err(errno)),
    }
    if cx.kernel.ttys[id].canq.is_empty() {
        if read.ndelay {
            return Next::Done(Err(Errno::EWOULDBLOCK));
        }
        return Next::Sleep(waits(id, Awaited::Record, priority::TTIPRI, "ptsin"), Sleeping::Record);
    }
    while cx.kernel.ttys[id].canq.len() > 1 && read.uio.resid > 0 {
        let Some(c) = cx.kernel.ttys[id].canq.getc() else { break };
        // As in the original, that there is no memory for it is not noticed.
        let _ = read.uio.move_out(cx, &[(c & CHARMASK) as u8]);
    }
    if cx.kernel.ttys[id].canq.len() == 1 {
        cx.kernel.ttys[id].canq.getc();
    }
    Next::Done(Ok(()))
}

/// A sleep that signals interrupt.
pub(super) fn waits(id: TtyId, what: Awaited, urgency: u8, wmesg: &'static str) -> Sleep {
    Sleep { channel: channel(id, what), priority: urgency, catch: true, wmesg, timeout_ticks: None }
}

/// Reads from the master what the slave's side wrote, or what happened to it (`ptcread`).
pub(super) fn master(cx: &mut Context<'_>, mut read: Transfer) -> Sysret<i32> {
    let id = read.tty;
    let tty = &mut cx.kernel.ttys[id];
    if tty.state.contains(State::ISOPEN) {
        if let Some(bytes) = pty::control_packet(tty) {
            let result = take_control(cx, &mut read, &bytes);
            return transfer::finish(cx, &read, result.map_err(Stop::from));
        }
        if !tty.outq.is_empty() && !tty.state.contains(State::TTSTOP) {
            let result = take_output(cx, &mut read);
            flow::wake_writers(cx.kernel, id);
            return transfer::finish(cx, &read, result.map_err(Stop::from));
        }
    }
    if !tty.state.contains(State::CONNECTED) {
        return transfer::finish(cx, &read, Ok(()));
    }
    if read.ndelay {
        return transfer::finish(cx, &read, Err(Errno::EWOULDBLOCK.into()));
    }
    let sleep = waits(id, Awaited::MasterRead, priority::TTIPRI, "ptcin");
    transfer::sleep(cx, read, sleep, Sleeping::Master)
}

/// The byte that a packet begins with is lost only if it was read; what does not fit behind it is.
fn take_control(cx: &mut Context<'_>, read: &mut Transfer, bytes: &[u8]) -> Result<(), Errno> {
    let (first, rest) = bytes.split_at(1.min(bytes.len()));
    read.uio.move_out(cx, first)?;
    let room = rest.len().min(read.uio.resid as usize);
    // As in the original, nobody looks whether there was memory for it.
    let _ = read.uio.move_out(cx, rest.get(..room).unwrap_or_default());
    pty::control_taken(&mut cx.kernel.ttys[read.tty]);
    Ok(())
}

fn take_output(cx: &mut Context<'_>, read: &mut Transfer) -> Result<(), Errno> {
    let id = read.tty;
    if cx.kernel.ttys[id].pty().is_some_and(|pty| pty.packet || pty.user_control) {
        read.uio.move_out(cx, &[0])?;
    }
    while read.uio.resid > 0 {
        let room = (read.uio.resid as usize).min(BUFSIZ);
        let bytes = cx.kernel.ttys[id].outq.take(room);
        if bytes.is_empty() {
            break;
        }
        read.uio.move_out(cx, &bytes)?;
    }
    Ok(())
}

/// Characters that a read of a terminal would find (`ttnread`).
pub(super) fn readable(kernel: &mut Kernel, id: TtyId) -> usize {
    if kernel.ttys[id].has_local(PENDIN) {
        input::pend(kernel, id);
    }
    let tty = &kernel.ttys[id];
    let mut count = tty.canq.len();
    if !tty.has_local(ICANON) {
        count += tty.rawq.len();
        if count < usize::from(tty.termios.cc[key::VMIN]) && tty.termios.cc[key::VTIME] == 0 {
            count = 0;
        }
    }
    count
}
