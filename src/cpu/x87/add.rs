//! Sum and difference of two 80-bit numbers.  Knows nothing of registers or instructions.

use super::format::{Class, Finite, Outcome, SIGN, nan_of_two};
use super::round::{round, shift_right};
use super::word::{RC, RC_DOWN};
use crate::trapframe::F80;

/// `a + b`.
#[inline(always)]
pub(crate) fn add(a: F80, b: F80, control: u16) -> Outcome {
    if a.is_normal() & b.is_normal() {
        return add_finite(normal(a), normal(b), control);
    }
    add_special(a, b, 0, control)
}

/// `a - b`.
#[inline(always)]
pub(crate) fn sub(a: F80, b: F80, control: u16) -> Outcome {
    if a.is_normal() & b.is_normal() {
        return add_finite(normal(a), normal(b.negated()), control);
    }
    add_special(a, b, SIGN, control)
}

#[inline(always)]
fn normal(a: F80) -> Finite {
    Finite { sign: a.sign(), exponent: a.exponent(), significand: a.significand }
}

/// The sum of two normalised numbers.
#[inline(always)]
fn add_finite(a: Finite, b: Finite, control: u16) -> Outcome {
    let swap = (a.exponent, a.significand) < (b.exponent, b.significand);
    let (big, small) = if swap { (b, a) } else { (a, b) };
    let distance = (big.exponent - small.exponent) as u32;
    let (high, low) = if distance <= 64 {
        let shifted = (u128::from(small.significand) << 64) >> distance;
        ((shifted >> 64) as u64, shifted as u64)
    } else {
        shift_right(small.significand, 0, distance)
    };
    if big.sign == small.sign {
        let (sum, carry) = big.significand.overflowing_add(high);
        if carry {
            let rest = sum << 63 | low >> 1 | low & 1;
            return round(big.sign, big.exponent + 1, sum >> 1 | 1 << 63, rest, control);
        }
        return round(big.sign, big.exponent, sum, low, control);
    }
    let difference = (u128::from(big.significand) << 64) - (u128::from(high) << 64 | u128::from(low));
    let shift = difference.leading_zeros();
    if shift == 128 {
        return Outcome::exact(F80::zero(cancelled(control)));
    }
    let difference = difference << shift;
    round(big.sign, big.exponent - shift as i32, (difference >> 64) as u64, difference as u64, control)
}

/// The sign of the zero that `x - x` gives.
fn cancelled(control: u16) -> u16 {
    if control & RC == RC_DOWN { SIGN } else { 0 }
}

/// `a + b` or, with `flip` = sign bit, `a - b`, of operands of any kind.
#[inline(never)]
fn add_special(a: F80, b: F80, flip: u16, control: u16) -> Outcome {
    if let Some(nan) = nan_of_two(a, b) {
        return nan;
    }
    let (ca, cb) = (a.class(), b.class());
    let b_sign = b.sign() ^ flip;
    let denormal = ca == Class::Denormal || cb == Class::Denormal;
    let outcome = match (ca, cb) {
        (Class::Infinity, Class::Infinity) if a.sign() != b_sign => return Outcome::invalid(),
        (Class::Infinity, _) => Outcome::exact(a),
        (_, Class::Infinity) => Outcome::exact(F80::infinity(b_sign)),
        (Class::Zero, Class::Zero) if a.sign() == b_sign => Outcome::exact(a),
        (Class::Zero, Class::Zero) => Outcome::exact(F80::zero(cancelled(control))),
        (Class::Zero, _) => {
            let b = b.finite();
            round(b_sign, b.exponent, b.significand, 0, control)
        }
        (_, Class::Zero) => {
            let a = a.finite();
            round(a.sign, a.exponent, a.significand, 0, control)
        }
        _ => add_finite(a.finite(), Finite { sign: b_sign, ..b.finite() }, control),
    };
    outcome.with_denormal(denormal, control)
}
