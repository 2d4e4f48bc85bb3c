//! Product of two 80-bit numbers.  Knows nothing of registers or instructions.

use super::format::{BIAS, Class, Finite, Outcome, SIGN, nan_of_two};
use super::round::Unrounded;
use crate::trapframe::F80;

/// The product of two normalised numbers.
#[inline(always)]
pub(crate) fn product(a: Finite, b: Finite) -> Unrounded {
    let product = u128::from(a.significand) * u128::from(b.significand);
    let (high, low) = ((product >> 64) as u64, product as u64);
    let shift = 1 - (high >> 63);
    Unrounded {
        sign: a.sign ^ b.sign,
        exponent: a.exponent + b.exponent - BIAS + 1 - shift as i32,
        significand: high << shift | (low >> 63) & shift,
        rest: low << shift,
    }
}

/// `a * b` of operands of any kind.
pub(crate) fn mul(a: F80, b: F80, control: u16) -> Outcome {
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
        _ => product(a.finite(), b.finite()).round(control),
    };
    outcome.with_denormal(denormal, control)
}
