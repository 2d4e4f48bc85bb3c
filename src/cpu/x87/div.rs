//! Quotient and square root of 80-bit numbers.  Knows nothing of registers or instructions.

use super::format::{BIAS, Class, Finite, Outcome, SIGN, nan_of_one, nan_of_two};
use super::round::Unrounded;
use super::word::{C1, DE, PC, PC_53, PE, RC, RC_NEAREST, ZE};
use crate::trapframe::F80;

/// The quotient of two normalised numbers.
#[inline(always)]
pub(crate) fn quotient(a: Finite, b: Finite) -> Unrounded {
    let less = a.significand < b.significand;
    let dividend = u128::from(a.significand) << (63 + u32::from(less));
    let quotient = (dividend / u128::from(b.significand)) as u64;
    let remainder = (dividend as u64).wrapping_sub(quotient.wrapping_mul(b.significand));
    Unrounded {
        sign: a.sign ^ b.sign,
        exponent: a.exponent - b.exponent + BIAS - i32::from(less),
        significand: quotient,
        rest: half_of(remainder, b.significand),
    }
}

/// A fraction `remainder / divisor` reduced to what rounding asks: zero, below, at or above a half.
#[inline(always)]
fn half_of(remainder: u64, divisor: u64) -> u64 {
    let twice = u128::from(remainder) << 1;
    match twice.cmp(&u128::from(divisor)) {
        _ if remainder == 0 => 0,
        std::cmp::Ordering::Less => 1,
        std::cmp::Ordering::Equal => 1 << 63,
        std::cmp::Ordering::Greater => 1 << 63 | 1,
    }
}

/// `a / b` of operands of any kind.
pub(crate) fn div(a: F80, b: F80, control: u16) -> Outcome {
    if let Some(nan) = nan_of_two(a, b) {
        return nan;
    }
    let sign = (a.sign_exponent ^ b.sign_exponent) & SIGN;
    let (ca, cb) = (a.class(), b.class());
    let denormal = ca == Class::Denormal || cb == Class::Denormal;
    let outcome = match (ca, cb) {
        (Class::Infinity, Class::Infinity) | (Class::Zero, Class::Zero) => return Outcome::invalid(),
        (Class::Infinity, _) => Outcome::exact(F80::infinity(sign)),
        (_, Class::Infinity) | (Class::Zero, _) => Outcome::exact(F80::zero(sign)),
        (_, Class::Zero) => return Outcome::new(F80::infinity(sign), ZE),
        _ => quotient(a.finite(), b.finite()).round(control),
    };
    outcome.with_denormal(denormal, control)
}

/// The square root of `a`.
pub(crate) fn sqrt(a: F80, control: u16) -> Outcome {
    if let Some(nan) = nan_of_one(a) {
        return nan;
    }
    let class = a.class();
    if class == Class::Zero {
        return Outcome::exact(a);
    }
    if a.sign() != 0 {
        return Outcome::invalid();
    }
    if class == Class::Infinity {
        return Outcome::exact(a);
    }
    if class == Class::Denormal && control & DE == 0 {
        return Outcome::new(a, DE);
    }
    let x = a.finite();
    if control & (PC | RC) == PC_53 | RC_NEAREST && x.significand & 0x7ff == 0 {
        return root_of_double(x).with_denormal(class == Class::Denormal, control);
    }
    root(x).round(control).with_denormal(class == Class::Denormal, control)
}

/// The square root at 53 bits, to nearest, of a number of 53 bits.  A double's square root is that by
/// IEEE 754; the sign of what its square leaves tells whether it was rounded, and which way.
fn root_of_double(x: Finite) -> Outcome {
    let unbiased = x.exponent - BIAS;
    let whole = x.significand >> 11 << (unbiased & 1);
    // A whole number of 53 bits: the root of `whole * 2^52`.
    let root = ((whole as f64).sqrt() * 67108864.0) as u64;
    let left = (whole << 52).wrapping_sub(root.wrapping_mul(root)) as i64;
    let flags = (u16::from(left != 0) * PE) | (u16::from(left < 0) * C1);
    Outcome::new(F80::from_parts(0, ((unbiased >> 1) + BIAS) as u16, root << 11), flags)
}

/// The square root of a normalised positive number.
#[inline(always)]
pub(crate) fn root(x: Finite) -> Unrounded {
    // The radicand is in [2^126, 2^128), its exponent even: the root has exactly 64 bits.
    let unbiased = x.exponent - BIAS;
    let radicand = u128::from(x.significand) << (63 + (unbiased & 1) as u32);
    let (root, remainder) = root_of(radicand);
    // (root + 1/2)^2 = root^2 + root + 1/4
    let rest = match remainder {
        0 => 0,
        r if r <= u128::from(root) => 1,
        _ => 1 << 63 | 1,
    };
    Unrounded { sign: 0, exponent: (unbiased >> 1) + BIAS, significand: root, rest }
}

/// The integer square root of a number of at least 2^126 and what is left: a double gives 50 bits,
/// a correction by the remainder the rest, and the new remainder tells the last unit.
#[inline(always)]
fn root_of(radicand: u128) -> (u64, u128) {
    let seed = ((radicand >> 64) as u64 as f64).sqrt() * 4294967296.0;
    // Conversion saturates.
    let seed = (seed as u64).max(1 << 63);
    let left = radicand.wrapping_sub(u128::from(seed) * u128::from(seed)) as i128;
    // left / (2 seed), of 2^13 at most
    let correction = ((left >> 20) as i64 as f64) / (seed as f64) * 524288.0;
    let mut root = seed.saturating_add_signed(correction as i64);
    loop {
        let left = radicand.wrapping_sub(u128::from(root) * u128::from(root)) as i128;
        if left < 0 {
            root -= 1;
        } else if left as u128 > u128::from(root) << 1 {
            root += 1;
        } else {
            return (root, left as u128);
        }
    }
}
