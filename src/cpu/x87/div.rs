//! Quotient and square root of 80-bit numbers.  Knows nothing of registers or instructions.

use super::format::{BIAS, Class, Outcome, SIGN, nan_of_one, nan_of_two};
use super::round::round;
use super::word::{DE, ZE};
use crate::trapframe::F80;

/// `a / b`.
#[inline(always)]
pub(crate) fn div(a: F80, b: F80, control: u16) -> Outcome {
    if a.is_normal() & b.is_normal() {
        let sign = (a.sign_exponent ^ b.sign_exponent) & SIGN;
        return div_finite(sign, a.exponent() - b.exponent(), a.significand, b.significand, control);
    }
    div_special(a, b, control)
}

#[inline(always)]
fn div_finite(sign: u16, exponent: i32, a: u64, b: u64, control: u16) -> Outcome {
    let less = a < b;
    let dividend = u128::from(a) << (63 + u32::from(less));
    let quotient = (dividend / u128::from(b)) as u64;
    let remainder = (dividend as u64).wrapping_sub(quotient.wrapping_mul(b));
    round(sign, exponent + BIAS - i32::from(less), quotient, half_of(remainder, b), control)
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

#[inline(never)]
fn div_special(a: F80, b: F80, control: u16) -> Outcome {
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
        _ => {
            let (a, b) = (a.finite(), b.finite());
            div_finite(sign, a.exponent - b.exponent, a.significand, b.significand, control)
        }
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
    // The radicand is in [2^126, 2^128), its exponent even: the root has exactly 64 bits.
    let unbiased = x.exponent - BIAS;
    let radicand = u128::from(x.significand) << (63 + (unbiased & 1) as u32);
    let root = root_of(radicand);
    let remainder = radicand - u128::from(root) * u128::from(root);
    // (root + 1/2)^2 = root^2 + root + 1/4
    let rest = match remainder {
        0 => 0,
        r if r <= u128::from(root) => 1,
        _ => 1 << 63 | 1,
    };
    round(0, (unbiased >> 1) + BIAS, root, rest, control).with_denormal(class == Class::Denormal, control)
}

/// The integer square root of a number of at least 2^126: a double gives 50 bits, one step of
/// Newton the rest, and the remainder tells the last unit.
fn root_of(radicand: u128) -> u64 {
    let seed = ((radicand >> 64) as f64).sqrt() * 4294967296.0;
    let seed = if seed >= 18446744073709551615.0 { u64::MAX } else { seed as u64 };
    let quotient = radicand / u128::from(seed);
    let mut root = ((u128::from(seed) + quotient) >> 1).min(u128::from(u64::MAX)) as u64;
    loop {
        let square = u128::from(root) * u128::from(root);
        if square > radicand {
            root -= 1;
        } else if radicand - square > u128::from(root) << 1 {
            root += 1;
        } else {
            return root;
        }
    }
}
