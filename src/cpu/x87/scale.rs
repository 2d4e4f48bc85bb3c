//! Scaling by a power of two, extraction of exponent and significand, and remainders.  Knows
//! nothing of registers or instructions.

use super::format::{BIAS, Class, INTEGER, MAX_EXPONENT, Outcome, SIGN, nan_of_one, nan_of_two};
use super::integer::from_i64;
use super::round::{WRAP, round_64};
use super::word::{C0, C1, C2, C3, OE, PE, UE, ZE};
use crate::trapframe::F80;

/// `a * 2^trunc(b)`.
pub(crate) fn scale(a: F80, b: F80, control: u16) -> Outcome {
    if let Some(nan) = nan_of_two(a, b) {
        return nan;
    }
    let (ca, cb) = (a.class(), b.class());
    let denormal = ca == Class::Denormal || cb == Class::Denormal;
    let outcome = match (ca, cb) {
        (Class::Infinity, Class::Infinity) if b.sign() != 0 => return Outcome::invalid(),
        (Class::Zero, Class::Infinity) if b.sign() == 0 => return Outcome::invalid(),
        (_, Class::Infinity) if b.sign() != 0 => Outcome::exact(F80::zero(a.sign())),
        (_, Class::Infinity) => Outcome::exact(F80::infinity(a.sign())),
        (Class::Infinity | Class::Zero, _) => Outcome::exact(a),
        _ => {
            let x = a.finite();
            let exponent = x.exponent + scale_factor(b);
            // Out of reach even of the moved exponent of an unmasked response.
            if exponent - WRAP >= MAX_EXPONENT && control & OE == 0 {
                return Outcome::new(F80::infinity(x.sign), OE | PE | C1).with_denormal(denormal, control);
            }
            if exponent + WRAP <= 0 && control & UE == 0 {
                return Outcome::new(F80::zero(x.sign), UE | PE).with_denormal(denormal, control);
            }
            round_64(x.sign, exponent, x.significand, 0, control)
        }
    };
    outcome.with_denormal(denormal, control)
}

/// The integral part of a finite number, as far as it matters to an exponent.
fn scale_factor(b: F80) -> i32 {
    let shift = BIAS + 63 - b.exponent();
    let magnitude = match shift {
        ..=46 => 0x20000,
        47..64 => (b.significand >> shift) as i32,
        _ => 0,
    };
    if b.sign() != 0 { -magnitude } else { magnitude }
}

/// The exponent of `a` as a number, and its significand with exponent zero.
pub(crate) fn extract(a: F80, control: u16) -> (Outcome, F80) {
    if let Some(nan) = nan_of_one(a) {
        return (nan, nan.value);
    }
    match a.class() {
        Class::Zero => (Outcome::new(F80::infinity(SIGN), ZE), a),
        Class::Infinity => (Outcome::exact(F80::infinity(0)), a),
        class => {
            let x = a.finite();
            let exponent = Outcome::exact(from_i64(i64::from(x.exponent - BIAS)));
            let significand = F80::from_parts(x.sign, BIAS as u16, x.significand);
            (exponent.with_denormal(class == Class::Denormal, control), significand)
        }
    }
}

/// The remainder of `a / b` with its quotient's last bits in C0, C3 and C1, or with C2 a number
/// that is nearer to it.  The quotient is truncated, or with `NEAREST` rounded to nearest (IEEE).
pub(crate) fn remainder<const NEAREST: bool>(a: F80, b: F80, control: u16) -> Outcome {
    if let Some(nan) = nan_of_two(a, b) {
        return nan;
    }
    let (ca, cb) = (a.class(), b.class());
    let denormal = ca == Class::Denormal || cb == Class::Denormal;
    let outcome = match (ca, cb) {
        (Class::Infinity, _) | (_, Class::Zero) => return Outcome::invalid(),
        (Class::Zero, _) => Outcome::exact(a),
        (_, Class::Infinity) => {
            let x = a.finite();
            round_64(x.sign, x.exponent, x.significand, 0, control)
        }
        _ => finite_remainder::<NEAREST>(a, b, control),
    };
    outcome.with_denormal(denormal, control)
}

fn finite_remainder<const NEAREST: bool>(a: F80, b: F80, control: u16) -> Outcome {
    let (x, y) = (a.finite(), b.finite());
    let distance = x.exponent - y.exponent;
    if distance < -1 || (distance < 0 && !NEAREST) {
        return round_64(x.sign, x.exponent, x.significand, 0, control);
    }
    if distance >= 64 {
        // A step of 32 to 63 bits, so that the rest of the distance is a multiple of 32.
        let step = (distance & 31 | 32) as u32;
        let rest = (u128::from(x.significand) << step) % u128::from(y.significand);
        let mut outcome = normalize(x.sign, y.exponent + distance - step as i32, rest, control);
        outcome.flags |= C2;
        return outcome;
    }
    // Both in units of the smaller exponent.
    let (dividend, divisor, exponent) = if distance < 0 {
        (u128::from(x.significand), u128::from(y.significand) << 1, x.exponent)
    } else {
        (u128::from(x.significand) << distance, u128::from(y.significand), y.exponent)
    };
    let mut quotient = dividend / divisor;
    let mut rest = dividend % divisor;
    let mut sign = x.sign;
    if NEAREST && (rest << 1 > divisor || (rest << 1 == divisor && quotient & 1 != 0)) {
        quotient += 1;
        rest = divisor - rest;
        sign ^= SIGN;
    }
    let mut outcome =
        if rest == 0 { Outcome::exact(F80::zero(x.sign)) } else { normalize(sign, exponent, rest, control) };
    for (bit, code) in [(0, C1), (1, C3), (2, C0)] {
        if quotient >> bit & 1 != 0 {
            outcome.flags |= code;
        }
    }
    outcome
}

/// A number of at most 64 bits with the exponent of its last bit's place plus 63.
fn normalize(sign: u16, exponent: i32, rest: u128, control: u16) -> Outcome {
    let rest = rest as u64;
    if rest == 0 {
        return Outcome::exact(F80::zero(sign));
    }
    let shift = rest.leading_zeros();
    debug_assert!(rest << shift & INTEGER != 0);
    round_64(sign, exponent - shift as i32, rest << shift, 0, control)
}
