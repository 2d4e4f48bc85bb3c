//! Waiting until output has gone out.
//!
//! 2.1 counterpart: kern/tty.c (ttywait, ttywflush).

use syscalls::errno::Errno;

use super::TtyId;
use super::flow::{self, Awaited};
use super::read::waits;
use super::state::State;
use super::transfer;
use crate::kernel::synch::{Sleep, Wake, priority};
use crate::kernel::{Kernel, Stop};

/// A drain in progress.
#[derive(Clone, Copy, Debug)]
pub struct Draining {
    /// The terminal.
    pub tty: TtyId,
    /// Its generation when the sleep began.
    generation: u32,
}

/// What a look at the output gave.
pub(super) enum Drained {
    /// It is over: everything has gone out, or why not.
    Over(Result<(), Stop>),
    /// Some output is left.
    Sleep(Sleep, Draining),
}

/// Whether output is left that somebody will take.
fn is_left(kernel: &Kernel, id: TtyId) -> bool {
    let tty = &kernel.ttys[id];
    has_output(kernel, id) && tty.state.contains(State::CONNECTED)
}

fn has_output(kernel: &Kernel, id: TtyId) -> bool {
    let tty = &kernel.ttys[id];
    !tty.outq.is_empty() || tty.state.contains(State::BUSY)
}

/// Looks whether output is left, and waits for it (`ttywait`).
pub(super) fn wait(kernel: &mut Kernel, id: TtyId) -> Drained {
    if is_left(kernel, id) && kernel.ttys[id].is_started() {
        flow::start(kernel, id);
        super::host::flush(kernel, id);
        if is_left(kernel, id) {
            let tty = &mut kernel.ttys[id];
            tty.state.insert(State::SO_OCOMPLETE);
            let timeout = u32::try_from(tty.timeout).ok().filter(|&ticks| ticks > 0);
            let sleep = waits(id, Awaited::OutputComplete, priority::TTOPRI, "ttywai");
            let draining = Draining { tty: id, generation: tty.generation };
            return Drained::Sleep(Sleep { timeout_ticks: timeout, ..sleep }, draining);
        }
    }
    Drained::Over(if has_output(kernel, id) { Err(Errno::EIO.into()) } else { Ok(()) })
}

/// Looks again after a sleep.
pub(super) fn resume(kernel: &mut Kernel, draining: Draining, wake: Wake) -> Drained {
    let Draining { tty, generation } = draining;
    match transfer::result(wake) {
        Ok(()) if kernel.ttys[tty].generation != generation => Drained::Over(Err(Stop::Restart)),
        Ok(()) => wait(kernel, tty),
        Err(Stop::Errno(Errno::EWOULDBLOCK)) => Drained::Over(Err(Errno::EIO.into())),
        Err(stop) => Drained::Over(Err(stop)),
    }
}
