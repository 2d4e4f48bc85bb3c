//! What the socket layer tells an observer: each step that a walk through it would name.
//!
//! The observer sees the kernel right after the step, so that details here are only what it could not
//! find out by itself.  Without an observer each place costs one predictable branch.

use std::fmt;

use super::socket::SocketId;
use crate::kernel::Kernel;
use crate::kernel::event::Event;

/// Tells of a step with a socket, on behalf of the process that runs; timers have none and are silent.
#[inline]
pub(super) fn note(kernel: &mut Kernel, socket: SocketId, step: &'static str) {
    note_with(kernel, socket, step, || "");
}

/// Tells of a step with details, which are made only where somebody observes.
#[inline]
pub(super) fn note_with<D: fmt::Display>(
    kernel: &mut Kernel,
    socket: SocketId,
    step: &'static str,
    detail: impl FnOnce() -> D,
) {
    if kernel.observed()
        && let Some(id) = kernel.run_queues.current
    {
        let detail = detail().to_string();
        kernel.note(id, Event::Socket { socket, step, detail });
    }
}
