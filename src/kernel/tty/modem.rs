//! The line comes and goes: carrier, hang-up, last close, revocation.
//!
//! 2.1 counterpart: kern/tty.c (ttymodem, ttyclose, ttylclose).

use super::TtyId;
use super::flow::{self, Awaited, FREAD, FWRITE};
use super::settings::flag::*;
use super::state::State;
use crate::kernel::Kernel;
use crate::kernel::signal::{SIGHUP, psignal};

/// Carrier has come or gone (`ttymodem`).
pub(super) fn modem(kernel: &mut Kernel, id: TtyId, carrier: bool) {
    let tty = &mut kernel.ttys[id];
    if tty.state.contains(State::CARR_ON) && tty.cflag() & MDMBUF != 0 {
        // Carrier is flow control.
        if carrier {
            tty.state.remove(State::CAR_OFLOW | State::TTSTOP);
            flow::start(kernel, id);
        } else if !tty.state.contains(State::CAR_OFLOW) {
            tty.state.insert(State::CAR_OFLOW | State::TTSTOP);
            flow::stop(kernel, id, 0);
        }
    } else if carrier {
        tty.state.insert(State::CARR_ON);
        if !tty.state.contains(State::ZOMBIE) {
            tty.state.insert(State::CONNECTED);
        }
        connected(kernel, id);
    } else {
        tty.state.remove(State::CARR_ON);
        if tty.state.contains(State::ISOPEN) && tty.cflag() & CLOCAL == 0 {
            tty.state.insert(State::ZOMBIE);
            tty.state.remove(State::CONNECTED);
            hang_up_leader(kernel, id);
            flow::flush(kernel, id, FREAD | FWRITE);
        }
    }
}

/// Wakes all who wait for the other side.
pub(super) fn connected(kernel: &mut Kernel, id: TtyId) {
    flow::wakeup(kernel, id, Awaited::Carrier);
    flow::wake_readers(kernel, id);
    flow::wake_writers(kernel, id);
}

/// Only the leader of the session hears of it.
fn hang_up_leader(kernel: &mut Kernel, id: TtyId) {
    let session = kernel.ttys[id].session.and_then(|session| kernel.procs.session_by_id(session));
    let leader = session.and_then(|session| session.leader).and_then(|pid| kernel.procs.find(pid));
    if let Some(leader) = leader {
        psignal(kernel, leader, SIGHUP);
    }
}

/// The last close: everything is forgotten but the output column, the old flags and the settings
/// (`ttyclose`).
pub(super) fn closed(kernel: &mut Kernel, id: TtyId) {
    if kernel.ttys.console == Some(id) {
        kernel.ttys.console = None;
    }
    flow::flush(kernel, id, FREAD | FWRITE);
    let tty = &mut kernel.ttys[id];
    for queue in [&mut tty.canq, &mut tty.outq, &mut tty.rawq] {
        queue.release();
    }
    tty.generation = tty.generation.wrapping_add(1);
    tty.line = 0;
    (tty.pgrp, tty.session) = (None, None);
    tty.state = State::empty();
}
