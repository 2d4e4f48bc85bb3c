//! Sum and difference of two 80-bit numbers.  Knows nothing of registers or instructions.

use super::format::{Class, Finite, Outcome, SIGN, nan_of_two};
use super::round::{Unrounded, shift_right};
use super::word::{RC, RC_DOWN};
use crate::trapframe::F80;
use std::hint::select_unpredictable;

/// The sum of two normalised numbers; `None` is zero.
#[inline(always)]
pub(crate) fn sum(a: Finite, b: Finite) -> Option<Unrounded> {
    let swap = (a.exponent < b.exponent) | ((a.exponent == b.exponent) & (a.significand < b.significand));
    let (big, small) = (
        select_unpredictable(swap, b.significand, a.significand),
        select_unpredictable(swap, a.significand, b.significand),
    );
    let (exponent, sign) = (a.exponent.max(b.exponent), select_unpredictable(swap, b.sign, a.sign));
    let distance = a.exponent.abs_diff(b.exponent);
    let (high, low) = if distance < 64 {
        (small >> distance, small << 1 << (63 - distance))
    } else {
        shift_right(small, 0, distance)
    };
    if a.sign == b.sign {
        let (sum, carry) = big.overflowing_add(high);
        let carry = u64::from(carry);
        return Some(Unrounded {
            sign,
            exponent: exponent + carry as i32,
            significand: sum >> carry | carry << 63,
            rest: low >> carry | low & carry | (sum & carry) << 63,
        });
    }
    let difference = big - high - u64::from(low != 0);
    let low = low.wrapping_neg();
    if difference == 0 {
        return cancelled(sign, exponent, low);
    }
    let shift = difference.leading_zeros();
    Some(Unrounded {
        sign,
        exponent: exponent - shift as i32,
        significand: difference << shift | low >> 1 >> (63 - shift),
        rest: low << shift,
    })
}

/// What is left when the upper 64 bits cancel.
#[cold]
fn cancelled(sign: u16, exponent: i32, low: u64) -> Option<Unrounded> {
    let shift = low.leading_zeros();
    if shift == 64 {
        return None;
    }
    Some(Unrounded { sign, exponent: exponent - 64 - shift as i32, significand: low << shift, rest: 0 })
}

/// The sign of the zero that `x - x` gives.
#[inline(always)]
pub(crate) fn sign_of_zero(control: u16) -> u16 {
    if control & RC == RC_DOWN { SIGN } else { 0 }
}

/// `a + b` of operands of any kind.
pub(crate) fn add(a: F80, b: F80, control: u16) -> Outcome {
    add_or_subtract(a, b, 0, control)
}

/// `a - b` of operands of any kind.
pub(crate) fn sub(a: F80, b: F80, control: u16) -> Outcome {
    add_or_subtract(a, b, SIGN, control)
}

/// `a + b` or, with `flip` = sign bit, `a - b`.
fn add_or_subtract(a: F80, b: F80, flip: u16, control: u16) -> Outcome {
    if let Some(nan) = nan_of_two(a, b) {
        return nan;
    }
    let (ca, cb) = (a.class(), b.class());
    let b_sign = b.sign() ^ flip;
    let zero = Outcome::exact(F80::zero(sign_of_zero(control)));
    let outcome = match (ca, cb) {
        (Class::Infinity, Class::Infinity) if a.sign() != b_sign => return Outcome::invalid(),
        (Class::Infinity, _) => Outcome::exact(a),
        (_, Class::Infinity) => Outcome::exact(F80::infinity(b_sign)),
        (Class::Zero, Class::Zero) if a.sign() == b_sign => Outcome::exact(a),
        (Class::Zero, Class::Zero) => zero,
        (Class::Zero, _) => Finite { sign: b_sign, ..b.finite() }.round(control),
        (_, Class::Zero) => a.finite().round(control),
        _ => sum(a.finite(), Finite { sign: b_sign, ..b.finite() }).map_or(zero, |sum| sum.round(control)),
    };
    let denormal = ca == Class::Denormal || cb == Class::Denormal;
    outcome.with_denormal(denormal, control)
}
