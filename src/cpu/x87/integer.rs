//! Conversions between the 80-bit format and integers, binary and packed decimal, and rounding to
//! an integral value.  Knows nothing of registers or instructions.

use super::format::{BIAS, Class, Finite, INTEGER, Outcome, SIGN, nan_of_one};
use super::round::rounds_up;
use super::word::{C1, DE, IE, PE};
use crate::trapframe::F80;

/// What an 80-bit store of an invalid packed decimal writes: low and high part.
const DECIMAL_INDEFINITE: (u64, u16) = (0xc000_0000_0000_0000, 0xffff);

/// The largest magnitude of a packed decimal.
const DECIMAL_MAX: u64 = 999_999_999_999_999_999;

/// An integer in the 80-bit format: always exact.
#[inline(always)]
pub(crate) fn from_i64(value: i64) -> F80 {
    if value == 0 {
        return F80::ZERO;
    }
    let sign = if value < 0 { SIGN } else { 0 };
    let magnitude = value.unsigned_abs();
    let shift = magnitude.leading_zeros();
    F80::from_parts(sign, (BIAS + 63 - shift as i32) as u16, magnitude << shift)
}

/// The magnitude of a number rounded to an integer, with PE and C1; `None` when it needs more
/// than 64 bits.
#[inline(always)]
fn magnitude(a: Finite, control: u16) -> Option<(u64, u16)> {
    let shift = BIAS + 63 - a.exponent;
    let (whole, fraction) = match shift {
        ..0 => return None,
        0 => return Some((a.significand, 0)),
        1..64 => (a.significand >> shift, a.significand << (64 - shift)),
        64 => (0, a.significand),
        _ => (0, 1),
    };
    let up = rounds_up(fraction, whole & 1 != 0, a.sign, control);
    let flags = if fraction != 0 { PE } else { 0 } | if up { C1 } else { 0 };
    Some((whole + u64::from(up), flags))
}

/// The number as an integer of `bits` bits; invalid ones give the most negative.
#[inline(always)]
pub(crate) fn to_integer(a: F80, bits: u32, control: u16) -> (i64, u16) {
    let indefinite = (i64::MIN >> (64 - bits), IE);
    if a.significand == 0 && a.exponent() == 0 {
        return (0, 0);
    }
    let normal = a.is_normal();
    if !normal && a.class() != Class::Denormal {
        return indefinite;
    }
    let finite = if normal {
        Finite { sign: a.sign(), exponent: a.exponent(), significand: a.significand }
    } else {
        a.finite()
    };
    let Some((magnitude, flags)) = magnitude(finite, control) else { return indefinite };
    let negative = a.sign() != 0;
    let limit = (1u64 << (bits - 1)) - u64::from(!negative);
    if magnitude > limit {
        return indefinite;
    }
    let value = magnitude as i64;
    (if negative { value.wrapping_neg() } else { value }, flags)
}

/// The number rounded to an integral value.
pub(crate) fn round_to_integral(a: F80, control: u16) -> Outcome {
    if let Some(nan) = nan_of_one(a) {
        return nan;
    }
    let class = a.class();
    if matches!(class, Class::Zero | Class::Infinity) {
        return Outcome::exact(a);
    }
    if class == Class::Denormal && control & DE == 0 {
        return Outcome::new(a, DE);
    }
    let finite = a.finite();
    let Some((magnitude, flags)) = magnitude(finite, control) else {
        return Outcome::exact(a);
    };
    let flags = if class == Class::Denormal { flags | DE } else { flags };
    if magnitude == 0 {
        return Outcome::new(F80::zero(finite.sign), flags);
    }
    if magnitude & INTEGER != 0 && finite.exponent == BIAS + 63 {
        return Outcome::new(a, flags);
    }
    let shift = magnitude.leading_zeros();
    let exponent = (BIAS + 63 - shift as i32) as u16;
    Outcome::new(F80::from_parts(finite.sign, exponent, magnitude << shift), flags)
}

/// A packed decimal of 18 digits and a sign.  Digits above nine count as their value.
pub(crate) fn from_decimal(low: u64, high: u16) -> F80 {
    let digits = u128::from(high & 0xff) << 64 | u128::from(low);
    let value = (0..18)
        .rev()
        .fold(0u64, |sum, digit| sum.wrapping_mul(10).wrapping_add((digits >> (4 * digit)) as u64 & 0xf));
    let number = from_i64(value as i64);
    F80::from_parts(high & SIGN, number.sign_exponent & 0x7fff, number.significand)
}

/// The number as a packed decimal: low and high part, and the exceptions.
pub(crate) fn to_decimal(a: F80, control: u16) -> (u64, u16, u16) {
    let (low, high) = DECIMAL_INDEFINITE;
    let invalid = (low, high, IE);
    let (magnitude, flags) = match a.class() {
        Class::Zero => (0, 0),
        Class::Normal | Class::Denormal => match magnitude(a.finite(), control) {
            Some((magnitude, flags)) if magnitude <= DECIMAL_MAX => (magnitude, flags),
            _ => return invalid,
        },
        _ => return invalid,
    };
    let mut rest = magnitude;
    let mut digits = 0u128;
    for place in 0..18 {
        digits |= u128::from(rest % 10) << (4 * place);
        rest /= 10;
    }
    (digits as u64, (digits >> 64) as u16 | a.sign(), flags)
}
