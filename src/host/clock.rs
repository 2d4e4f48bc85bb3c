//! The host's clocks.

use rustix::time::{ClockId, Timespec, clock_gettime};

fn nanoseconds(t: Timespec) -> u64 {
    (t.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(t.tv_nsec as u64)
}

/// Nanoseconds on a clock that never goes back.
pub fn monotonic() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// Nanoseconds since the epoch.
pub fn realtime() -> u64 {
    nanoseconds(clock_gettime(ClockId::Realtime))
}
