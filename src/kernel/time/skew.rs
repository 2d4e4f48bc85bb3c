//! A correction of the clock that is made slowly, some microseconds a tick.
//!
//! 2.1 counterpart: kern/kern_time.c (adjtime), kern/kern_clock.c (hardclock).

/// Microseconds a tick (tickadj: 30 ms in 60 s), and ten times that for large corrections.
const TICKADJ: i32 = 5;
/// What is more than this many microseconds is a large correction.
const BIGADJ: i32 = 1_000_000;

/// A correction in progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Skew {
    /// Microseconds to correct, a multiple of the rate.
    total: i32,
    /// Microseconds that each tick corrects, with the sign of the total.
    rate: i32,
    /// The tick with which it began.
    since: u64,
}

impl Skew {
    /// A correction of about `usec` that begins with a tick.  As in the original only a forward one is
    /// ever large.
    pub(super) fn new(usec: i32, tick: u64) -> Self {
        let rate = if usec > BIGADJ { 10 * TICKADJ } else { TICKADJ };
        let total = usec / rate * rate;
        Self { total, rate: if usec < 0 { -rate } else { rate }, since: tick }
    }

    /// Microseconds corrected up to a tick.
    pub(super) fn applied(&self, tick: u64) -> i32 {
        let ticks = i64::try_from(tick.saturating_sub(self.since)).unwrap_or(i64::MAX);
        let done = ticks.saturating_mul(self.rate.into());
        if self.total < 0 { done.max(self.total.into()) as i32 } else { done.min(self.total.into()) as i32 }
    }

    /// Microseconds left to correct at a tick.
    pub(super) fn left(&self, tick: u64) -> i32 {
        self.total - self.applied(tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_corrections_take_five_microseconds_a_tick() {
        let skew = Skew::new(-1003, 10);
        assert_eq!((skew.applied(10), skew.left(10)), (0, -1000));
        assert_eq!((skew.applied(12), skew.left(12)), (-10, -990));
        assert_eq!((skew.applied(9999), skew.left(9999)), (-1000, 0));
    }

    #[test]
    fn large_ones_are_ten_times_as_fast() {
        let skew = Skew::new(2_000_049, 0);
        assert_eq!((skew.applied(1), skew.left(1)), (50, 1_999_950));
    }
}
