//! Rounding of an exact result to the precision and direction of the control word, and the masked
//! and unmasked responses to overflow and underflow.  Knows nothing of operands.
//!
//! Source: Intel manual 1, sections 4.8.4, 4.9.1.4 to 4.9.1.6 and 8.5.4 to 8.5.6.

use super::format::{Finite, INTEGER, MAX_EXPONENT, Outcome};
use super::word::{C1, OE, PC, PC_24, PC_53, PC_64, PE, RC, RC_DOWN, RC_NEAREST, RC_UP, UE};
use crate::trapframe::F80;

/// What is added to or taken from the exponent of an unmasked underflow or overflow.
pub(crate) const WRAP: i32 = 24576;

/// Number of low bits of the significand that the precision control drops.
#[inline(always)]
fn dropped(control: u16) -> u32 {
    match control & PC {
        PC_53 => 11,
        PC_24 => 40,
        _ => 0,
    }
}

/// Whether a discarded fraction (in units of 2^-64 of the last place) rounds the magnitude up.
#[inline(always)]
pub(crate) fn rounds_up(fraction: u64, odd: bool, sign: u16, control: u16) -> bool {
    match control & RC {
        RC_NEAREST => fraction > (1 << 63) - u64::from(odd),
        RC_UP => sign == 0 && fraction != 0,
        RC_DOWN => sign != 0 && fraction != 0,
        _ => false,
    }
}

/// Rounds a 128-bit significand to its upper `64 - drop` bits: those, carry, PE and C1.
#[inline(always)]
fn round_significand(significand: u64, rest: u64, drop: u32, sign: u16, control: u16) -> (u64, bool, u16) {
    let (kept, fraction) = if drop == 0 {
        (significand, rest)
    } else {
        (significand >> drop << drop, significand << (64 - drop) | u64::from(rest != 0))
    };
    let up = rounds_up(fraction, kept >> drop & 1 != 0, sign, control);
    let (sum, carry) = kept.overflowing_add(u64::from(up) << drop);
    let flags = if fraction != 0 { PE } else { 0 } | if up { C1 } else { 0 };
    (sum, carry, flags)
}

/// An exact result before it is rounded: `(significand + rest / 2^64) * 2^(exponent - 16383 - 63)`.
/// The integer bit is set; the last bit of `rest` may stand for all that lies below.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unrounded {
    pub(crate) sign: u16,
    pub(crate) exponent: i32,
    pub(crate) significand: u64,
    pub(crate) rest: u64,
}

impl Finite {
    /// Rounds to the precision and in the direction of the control word.
    pub(crate) fn round(self, control: u16) -> Outcome {
        let Self { sign, exponent, significand } = self;
        Unrounded { sign, exponent, significand, rest: 0 }.round(control)
    }
}

impl Unrounded {
    /// Rounds to the precision and in the direction of the control word.
    pub(crate) fn round(self, control: u16) -> Outcome {
        let Self { sign, exponent, significand, rest } = self;
        let (sum, carry, flags) = round_significand(significand, rest, dropped(control), sign, control);
        let rounded = exponent + i32::from(carry);
        if (rounded - 1) as u32 >= 0x7ffe {
            return out_of_range(sign, exponent, significand, rest, control);
        }
        Outcome::new(F80::from_parts(sign, rounded as u16, sum | u64::from(carry) << 63), flags)
    }

    /// Rounds to nearest, dropping a fixed number of bits; `None` out of the range of exponents.
    /// Equal to [`round`](Self::round) where it gives a result.
    #[inline(always)]
    pub(crate) fn nearest<const DROP: u32>(self) -> Option<Outcome> {
        let (sum, carry, up, inexact) = if DROP == 0 {
            let up = self.rest > (1 << 63) - (self.significand & 1);
            let (sum, carry) = self.significand.overflowing_add(u64::from(up));
            (sum, carry, u64::from(up), self.rest != 0)
        } else {
            let mask = (1u64 << DROP) - 1;
            let sticky = self.significand | u64::from(self.rest != 0);
            let add = (mask >> 1) + (sticky >> DROP & 1);
            let (sum, carry) = sticky.overflowing_add(add);
            (sum & !mask, carry, ((sticky & mask) + add) >> DROP, sticky & mask != 0)
        };
        let exponent = self.exponent + i32::from(carry);
        if (exponent - 1) as u32 >= 0x7ffe {
            return None;
        }
        let value = F80::from_parts(self.sign, exponent as u16, sum | u64::from(carry) << 63);
        Some(Outcome::new(value, (u16::from(inexact) * PE) | (up as u16 * C1)))
    }
}

/// As [`Unrounded::round`], but always to 64 bits: what is not add, subtract, multiply, divide or
/// root.
#[inline]
pub(crate) fn round_64(sign: u16, exponent: i32, significand: u64, rest: u64, control: u16) -> Outcome {
    Unrounded { sign, exponent, significand, rest }.round(control | PC_64)
}

/// A shift to the right of a 128-bit significand; what is shifted out is kept in the last bit.
pub(crate) fn shift_right(significand: u64, rest: u64, shift: u32) -> (u64, u64) {
    let whole = u128::from(significand) << 64 | u128::from(rest);
    let shifted = match shift {
        0 => whole,
        1..128 => whole >> shift | u128::from(whole << (128 - shift) != 0),
        _ => u128::from(whole != 0),
    };
    ((shifted >> 64) as u64, shifted as u64)
}

#[cold]
fn out_of_range(sign: u16, exponent: i32, significand: u64, rest: u64, control: u16) -> Outcome {
    let drop = dropped(control);
    let (sum, carry, flags) = round_significand(significand, rest, drop, sign, control);
    let sum = sum | u64::from(carry) << 63;
    let rounded = exponent + i32::from(carry);
    if rounded >= MAX_EXPONENT {
        if control & OE == 0 {
            let value = F80::from_parts(sign, ((rounded - WRAP) & 0x7fff) as u16, sum);
            return Outcome::new(value, flags | OE);
        }
        let away = match control & RC {
            RC_NEAREST => true,
            RC_UP => sign == 0,
            RC_DOWN => sign != 0,
            _ => false,
        };
        if away {
            return Outcome::new(F80::infinity(sign), OE | PE | C1);
        }
        return Outcome::new(F80::from_parts(sign, 0x7ffe, u64::MAX >> drop << drop), OE | PE);
    }
    if control & UE == 0 {
        return Outcome::new(F80::from_parts(sign, ((rounded + WRAP) & 0x7fff) as u16, sum), flags | UE);
    }
    let (high, low) = shift_right(significand, rest, (1 - exponent) as u32);
    let (sum, _, flags) = round_significand(high, low, drop, sign, control);
    let stored = u16::from(sum & INTEGER != 0);
    let flags = if flags & PE != 0 { flags | UE } else { flags };
    Outcome::new(F80::from_parts(sign, stored, sum), flags)
}
