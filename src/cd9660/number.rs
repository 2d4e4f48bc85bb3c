//! Numbers of the standard: little-endian, big-endian, and both one after the other.
//!
//! What lies beyond the end of a slice is zero: records are measured before their fields are read.
//! 2.1 counterpart: isonum_711 to isonum_733 in isofs/cd9660/iso.h, which read the little-endian half, too.

/// The bytes from `at` on, as many as there shall be.
pub(super) fn bytes<const N: usize>(from: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    if let Some(found) = from.get(at..at.saturating_add(N)) {
        out.copy_from_slice(found);
    }
    out
}

/// One byte (7.1.1).
pub(super) fn byte(from: &[u8], at: usize) -> u8 {
    from.get(at).copied().unwrap_or(0)
}

/// Sixteen bits, little-endian first (7.2.1, 7.2.3).
pub(super) fn short(from: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes(from, at))
}

/// Thirty-two bits, little-endian first (7.3.1, 7.3.3).
pub(super) fn long(from: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes(from, at))
}

/// Thirty-two bits, big-endian (7.3.2).
pub(super) fn long_big(from: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes(from, at))
}

/// Sixteen bits, big-endian (7.2.2).
pub(super) fn short_big(from: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(bytes(from, at))
}
