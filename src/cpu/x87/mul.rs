//! Product of two 80-bit numbers.  Knows nothing of registers or instructions.

use super::format::{BIAS, Class, INTEGER, Outcome, SIGN, nan_of_two};
use super::round::round;
use crate::trapframe::F80;

/// `a * b`.
#[inline(always)]
pub(crate) fn mul(a: F80, b: F80, control: u16) -> Outcome {
    if a.is_normal() & b.is_normal() {
        let sign = (a.sign_exponent ^ b.sign_exponent) & SIGN;
        return mul_finite(sign, a.exponent() + b.exponent(), a.significand, b.significand, control);
    }
    mul_special(a, b, control)
}

#[inline(always)]
fn mul_finite(sign: u16, exponents: i32, a: u64, b: u64, control: u16) -> Outcome {
    let product = u128::from(a) * u128::from(b);
    let (high, low) = ((product >> 64) as u64, product as u64);
    if high & INTEGER != 0 {
        return round(sign, exponents - BIAS + 1, high, low, control);
    }
    round(sign, exponents - BIAS, high << 1 | low >> 63, low << 1, control)
}

#[inline(never)]
fn mul_special(a: F80, b: F80, control: u16) -> Outcome {
    if let Some(nan) = nan_of_two(a, b) {
        return nan;
    }
    let sign = (a.sign_exponent ^ b.sign_exponent) & SIGN;
    let (ca, cb) = (a.class(), b.class());
    let denormal = ca == Class::Denormal || cb == Class::Denormal;
    let outcome = match (ca, cb) {
        (Class::Infinity, Class::Zero) | (Class::Zero, Class::Infinity) => return Outcome::invalid(),
        (Class::Infinity, _) | (_, Class::Infinity) => Outcome::exact(F80::infinity(sign)),
        (Class::Zero, _) | (_, Class::Zero) => Outcome::exact(F80::zero(sign)),
        _ => {
            let (a, b) = (a.finite(), b.finite());
            mul_finite(sign, a.exponent + b.exponent, a.significand, b.significand, control)
        }
    };
    outcome.with_denormal(denormal, control)
}
