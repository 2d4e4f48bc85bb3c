//! Sequence numbers and connection counts, which wrap: comparisons are of their differences.
//!
//! 2.1 counterpart: netinet/tcp_seq.h.

/// Slow ticks after which a timestamp is too old to be believed (TCP_PAWS_IDLE).
pub(super) const TCP_PAWS_IDLE: i32 = 24 * 24 * 60 * 60 * 2;
/// What the initial sequence number grows by in a second (TCP_ISSINCR).
pub(super) const TCP_ISSINCR: u32 = 125 * 1024;

/// `a < b` (SEQ_LT, TSTMP_LT).
pub(super) fn lt(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

/// `a <= b` (SEQ_LEQ).
pub(super) fn leq(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 <= 0
}

/// `a > b` (SEQ_GT, CC_GT).
pub(super) fn gt(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 > 0
}

/// `a >= b` (SEQ_GEQ, CC_GEQ, TSTMP_GEQ).
pub(super) fn geq(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 >= 0
}
