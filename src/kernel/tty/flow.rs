//! Starting and stopping of both directions, forgetting what waits, and waking whoever waits.
//!
//! 2.1 counterpart: kern/tty.c (ttstart, ttyflush, ttyblock, ttyunblock, ttwakeup, ttwwakeup), sys/tty.h
//! (TSA_*).

use super::settings::{DISABLED, flag::*, key};
use super::state::{Driver, State};
use super::{TtyId, host, pty};
use crate::kernel::Kernel;
use crate::kernel::file::select::selwakeup;
use crate::kernel::signal::{SIGIO, pgsignal};
use crate::kernel::synch::Channel;

/// Something read: bits of TIOCFLUSH and of flushes (FREAD).
pub(super) const FREAD: u32 = 1;
/// Something written (FWRITE).
pub(super) const FWRITE: u32 = 2;

/// What a sleeper of a terminal waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// The other side (TSA_CARR_ON).
    Carrier,
    /// Input, or the loss of the other side (TSA_HUP_OR_INPUT).
    Input,
    /// That all output has gone out (TSA_OCOMPLETE).
    OutputComplete,
    /// Room for output (TSA_OLOWAT).
    OutputLow,
    /// Of the master: output of the slave (TSA_PTC_READ).
    MasterRead,
    /// Of the master: room for input of the slave (TSA_PTC_WRITE).
    MasterWrite,
    /// Of the slave in remote mode: a record (TSA_PTS_READ).
    Record,
}

/// The channel of what is waited for.
pub(super) fn channel(id: TtyId, what: Awaited) -> Channel {
    Channel::Tty((id as u32) << 3 | what as u32)
}

pub(super) fn wakeup(kernel: &mut Kernel, id: TtyId, what: Awaited) {
    kernel.wakeup(channel(id, what));
}

/// Sends a signal to the foreground group (`pgsignal(tp->t_pgrp, …, 1)`).
pub(super) fn signal_foreground(kernel: &mut Kernel, id: TtyId, signal: u32) {
    let group = kernel.ttys.get(id).and_then(|tty| tty.pgrp);
    if let Some(group) = group.filter(|&group| kernel.procs.group_exists(group)) {
        pgsignal(kernel, group, signal, true);
    }
}

/// Lets output go on (`ttstart`).
pub(super) fn start(kernel: &mut Kernel, id: TtyId) {
    match &kernel.ttys[id].driver {
        Driver::Pty(pty) if pty.is_open => pty::started(kernel, id),
        Driver::Pty(_) => {}
        Driver::Host(_) => host::start(kernel, id),
    }
}

/// Tells the driver to stop output, or what is flushed (`d_stop`).
pub(super) fn stop(kernel: &mut Kernel, id: TtyId, flush: u32) {
    match &kernel.ttys[id].driver {
        Driver::Pty(_) if kernel.ttys[id].known => pty::stopped(kernel, id, flush),
        Driver::Pty(_) => {}
        Driver::Host(_) => host::stopped(kernel, id, flush),
    }
}

/// Wakes those who wait for input (`ttwakeup`).
pub(super) fn wake_readers(kernel: &mut Kernel, id: TtyId) {
    let mut info = std::mem::take(&mut kernel.ttys[id].rsel);
    selwakeup(kernel, &mut info);
    if kernel.ttys[id].state.contains(State::ASYNC) {
        signal_foreground(kernel, id, SIGIO);
    }
    wakeup(kernel, id, Awaited::Input);
}

/// Wakes those who wait for room or for the end of output (`ttwwakeup`).
pub(super) fn wake_writers(kernel: &mut Kernel, id: TtyId) {
    let tty = &mut kernel.ttys[id];
    let low = tty.outq.len() <= tty.lowat;
    let mut info = if low { std::mem::take(&mut tty.wsel) } else { Default::default() };
    let complete =
        tty.state & (State::BUSY | State::SO_OCOMPLETE) == State::SO_OCOMPLETE && tty.outq.is_empty();
    let room = low && tty.state.contains(State::SO_OLOWAT);
    tty.state.set(State::SO_OCOMPLETE, tty.state.contains(State::SO_OCOMPLETE) && !complete);
    tty.state.set(State::SO_OLOWAT, tty.state.contains(State::SO_OLOWAT) && !room);
    selwakeup(kernel, &mut info);
    if complete {
        wakeup(kernel, id, Awaited::OutputComplete);
    }
    if room {
        wakeup(kernel, id, Awaited::OutputLow);
    }
}

/// Forgets input, output or both (`ttyflush`).
pub(super) fn flush(kernel: &mut Kernel, id: TtyId, which: u32) {
    if which & FWRITE != 0 {
        kernel.ttys[id].state.remove(State::TTSTOP);
    }
    stop(kernel, id, which);
    if which & FREAD != 0 {
        let tty = &mut kernel.ttys[id];
        tty.canq.flush();
        tty.rawq.flush();
        tty.set_lflag(PENDIN, false);
        (tty.rocount, tty.rocol) = (0, 0);
        tty.state.remove(State::LOCAL);
        wake_readers(kernel, id);
        if kernel.ttys[id].state.contains(State::TBLOCK) {
            if which & FWRITE != 0 {
                kernel.ttys[id].outq.flush();
            }
            unblock(kernel, id);
            kernel.ttys[id].state.remove(State::TBLOCK);
        }
    }
    if which & FWRITE != 0 {
        kernel.ttys[id].outq.flush();
        wake_writers(kernel, id);
    }
}

/// Asks the other side to stop: enough input waits (`ttyblock`).
pub(super) fn block(kernel: &mut Kernel, id: TtyId) {
    let tty = &mut kernel.ttys[id];
    let refused = !send_flow(tty, key::VSTOP);
    tty.state.set(State::TBLOCK, !refused);
    start(kernel, id);
}

/// Asks the other side to go on (`ttyunblock`).
pub(super) fn unblock(kernel: &mut Kernel, id: TtyId) {
    let tty = &mut kernel.ttys[id];
    let refused = !send_flow(tty, key::VSTART);
    tty.state.set(State::TBLOCK, refused);
    start(kernel, id);
}

/// Sends a character of flow control, if there is one; false where it did not fit and is tried again.
fn send_flow(tty: &mut super::Tty, place: usize) -> bool {
    let c = tty.termios.cc[place];
    tty.iflag() & IXOFF == 0 || c == DISABLED || tty.outq.putc(u32::from(c))
}
