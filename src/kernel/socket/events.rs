//! What the socket layer tells an observer: each step that a walk through it would name.
//!
//! The observer sees the kernel right after the step, so that details here are only what it could not
//! find out by itself.  Steps that have parts are functions of the original: they begin and end.  Without
//! an observer each place costs one predictable branch.

use std::fmt;

use syscalls::errno::Errno;

use super::socket::SocketId;
use crate::kernel::event::{Event, Phase};
use crate::kernel::{Context, Kernel, Stop};

/// Tells of a step with a socket, on behalf of the process that runs; timers have none and are silent.
#[inline]
pub(in crate::kernel) fn note(kernel: &mut Kernel, socket: SocketId, step: &'static str) {
    if kernel.observed() {
        tell(kernel, Some(socket), step, Phase::Point, String::new());
    }
}

/// Tells of a step with details, which are made only where somebody observes.
#[inline]
pub(in crate::kernel) fn note_with<D: fmt::Display>(
    kernel: &mut Kernel,
    socket: SocketId,
    step: &'static str,
    detail: impl FnOnce() -> D,
) {
    if kernel.observed() {
        tell(kernel, Some(socket), step, Phase::Point, detail().to_string());
    }
}

/// Tells that a step begins which has parts.
#[inline]
pub(in crate::kernel) fn begin(kernel: &mut Kernel, socket: impl Into<Option<SocketId>>, step: &'static str) {
    if kernel.observed() {
        tell(kernel, socket.into(), step, Phase::Begin, String::new());
    }
}

/// Tells with details that a step begins which has parts; there may be no socket yet.
#[inline]
pub(in crate::kernel) fn begin_with<D: fmt::Display>(
    kernel: &mut Kernel,
    socket: Option<SocketId>,
    step: &'static str,
    detail: impl FnOnce() -> D,
) {
    if kernel.observed() {
        tell(kernel, socket, step, Phase::Begin, detail().to_string());
    }
}

/// Tells that a step is over.
#[inline]
pub(in crate::kernel) fn end(
    kernel: &mut Kernel,
    socket: impl Into<Option<SocketId>>,
    step: &'static str,
    result: Result<(), Errno>,
) {
    if kernel.observed() {
        tell(kernel, socket.into(), step, Phase::End(result), String::new());
    }
}

/// Does something as a step with parts.  One that sleeps does not end here but with its call.
#[inline]
pub(in crate::kernel) fn within<T, E: Failure>(
    cx: &mut Context<'_>,
    socket: SocketId,
    step: &'static str,
    act: impl FnOnce(&mut Context<'_>) -> Result<T, E>,
) -> Result<T, E> {
    begin(cx.kernel, socket, step);
    let result = act(cx);
    if cx.kernel.observed() {
        let ended = match &result {
            Ok(_) => Some(Ok(())),
            Err(error) => error.errno().map(Err),
        };
        if let Some(ended) = ended {
            tell(cx.kernel, Some(socket), step, Phase::End(ended), String::new());
        }
    }
    result
}

/// Tells that bytes came in from the guest.
#[inline]
pub(in crate::kernel) fn copied_in(kernel: &mut Kernel, address: u32, len: usize, result: Result<(), Errno>) {
    if kernel.observed()
        && let Some(id) = kernel.run_queues.current
    {
        kernel.note(id, Event::Copy { out: false, address, len: len as u32, result });
    }
}

/// Tells how large a socket's buffers have become.
#[inline]
pub(in crate::kernel) fn note_reserved(kernel: &mut Kernel, socket: SocketId) {
    if kernel.observed() {
        let so = &kernel.sockets[socket];
        let detail = format!("({}, {})", so.snd.hiwat, so.rcv.hiwat);
        tell(kernel, Some(socket), "soreserve", Phase::Point, detail);
    }
}

/// Tells of a step with a packet, which is nobody's.
#[inline]
pub(in crate::kernel) fn note_packet(kernel: &mut Kernel, step: &'static str) {
    if kernel.observed() {
        tell(kernel, None, step, Phase::Point, String::new());
    }
}

/// How a step failed.
pub(in crate::kernel) trait Failure {
    /// The error; none where the step sleeps or is done again.
    fn errno(&self) -> Option<Errno>;
}

impl Failure for Errno {
    fn errno(&self) -> Option<Errno> {
        Some(*self)
    }
}

impl Failure for Stop {
    fn errno(&self) -> Option<Errno> {
        match self {
            Self::Errno(error) => Some(*error),
            _ => None,
        }
    }
}

#[cold]
fn tell(kernel: &mut Kernel, socket: Option<SocketId>, step: &'static str, phase: Phase, detail: String) {
    if let Some(id) = kernel.run_queues.current {
        kernel.note(id, Event::Socket { socket, step, phase, detail });
    }
}
