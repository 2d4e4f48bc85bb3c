//! Calls on signals.

use crate::kernel::synch::{Channel, Sleep, priority, sleep};
use crate::kernel::{Context, Resume, Sysret};

/// Sleeps until a signal comes: the end of sigsuspend.
pub(super) fn wait_for_signal<T>(cx: &mut Context<'_>) -> Sysret<T> {
    let channel = Channel::Pause(cx.id);
    sleep(
        Sleep { channel, priority: priority::PPAUSE, catch: true, wmesg: "pause", timeout_ticks: None },
        Resume::Signal(super::Resume::Sigsuspend),
    )
}
