//! Terminals: line discipline, pseudo terminals, the host's terminal, and who controls them.
//!
//! A [`Tty`] is a line with queues for both directions.  At one end processes read and write it as a
//! terminal; at the other end is its [driver](state::Driver): the master of a pseudo terminal, which is
//! another process, or the terminal of the host.  What comes in goes through [`input`]: special characters,
//! line editing, echo; what goes out through [`output`]: columns, tabs, newlines.  [`flow`] wakes whoever
//! waits.  Calls that sleep are kept as [`Resume`].
//!
//! 2.1 counterpart: kern/tty.c, kern/tty_pty.c, kern/tty_compat.c, kern/tty_conf.c, kern/tty_subr.c,
//! kern/tty_tty.c.

mod clist;
mod compat;
mod control;
mod drain;
mod flow;
pub mod host;
mod info;
mod input;
mod ioctl;
pub(in crate::kernel) mod layout;
mod modem;
mod output;
mod pty;
mod read;
mod settings;
mod special;
mod state;
mod transfer;
mod write;

pub use control::{controlling, is_controlling, revoke_node, session_ended, session_ends, set_controlling};
pub use ioctl::NO_PID;
pub use pty::{DEFAULT_PTYS, MOST_PTYS};
pub use settings::{default_settings, flag};
pub use special::{
    Special, close, close_revoked, hold_open, open, open_at_boot, read, request, select, write,
};
pub use state::{Driver, End, State, Tty, Ttys};

use syscalls::result::{self, Ret};

use super::{Context, Kernel, Retval, Sysret, Wake};

/// Number of a terminal.
pub type TtyId = usize;

/// What a parked call on terminals keeps.
#[derive(Clone, Debug)]
pub enum Resume {
    /// A read or a write.
    Transfer(Box<transfer::Transfer>, transfer::Sleeping),
    /// An open that waits for the other side.
    Open(Box<special::Opening>),
    /// A last close that waits until output has gone out; its descriptor is gone already.
    Close(drain::Draining),
    /// A request.
    Ioctl(Box<ioctl::Request>, ioctl::Waiting),
    /// The end of a session's leader, which waits until output has gone out.
    Drain(drain::Draining),
}

/// Goes on with a parked call.
pub fn resume(cx: &mut Context<'_>, state: Resume, wake: Wake) -> Sysret<Retval> {
    match state {
        Resume::Transfer(transfer, at) => transfer::resume(cx, *transfer, at, wake).map(result::Int::regs),
        Resume::Open(opening) => special::resume_open(cx, *opening, wake).map(result::Fd::regs),
        Resume::Close(draining) => special::resume_close(cx, draining, wake).map(result::None::regs),
        Resume::Ioctl(request, at) => ioctl::resume(cx, *request, at, wake).map(result::None::regs),
        Resume::Drain(draining) => {
            let drained = drain::resume(cx.kernel, draining, wake);
            after_drain(drained).map(result::None::regs)
        }
    }
}

/// Waits until the output of a terminal has gone out, as the leader of its session does at its end.
pub fn drain_output(kernel: &mut Kernel, tty: TtyId) -> Sysret<()> {
    after_drain(drain::wait(kernel, tty))
}

fn after_drain(drained: drain::Drained) -> Sysret<()> {
    match drained {
        drain::Drained::Sleep(sleep, draining) => {
            super::synch::sleep(sleep, super::Resume::Tty(Resume::Drain(draining)))
        }
        drain::Drained::Over(result) => result,
    }
}

/// Sends a signal to the foreground group of a terminal.
pub fn signal_foreground(kernel: &mut Kernel, tty: TtyId, signal: u32) {
    flow::signal_foreground(kernel, tty, signal);
}
