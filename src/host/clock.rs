//! The host's clocks.

use nix::time::{ClockId, clock_gettime};

/// The C library reads these clocks without a call of the host's kernel, in a program that is linked statically too.
fn nanoseconds(clock: ClockId) -> u64 {
    // Each host has these two.
    let Ok(now) = clock_gettime(clock) else { return 0 };
    (now.tv_sec() as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec() as u64)
}

/// Nanoseconds on a clock that never goes back.
pub fn monotonic() -> u64 {
    nanoseconds(ClockId::CLOCK_MONOTONIC)
}

/// Nanoseconds since the epoch.
pub fn realtime() -> u64 {
    nanoseconds(ClockId::CLOCK_REALTIME)
}
