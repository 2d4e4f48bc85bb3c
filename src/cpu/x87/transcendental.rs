//! The transcendental instructions: special operands, the stack, and the calls of the functions.
//!
//! Knows nothing of encodings.  Source: Intel manual 2, and where it leaves a case open, the hardware.

use super::arctangent::{HALF_PI, PI, QUARTER_PI, THREE_QUARTERS_PI, arctangent};
use super::exponential::{in_range, power_less_one};
use super::format::{Class, Outcome, SIGN, nan_of_one, nan_of_two};
use super::logarithm::{Logarithm, log2, log2_plus_one};
use super::trig::{out_of_range, sine_cosine, tangent};
use super::wide::Wide;
use super::word::{C1, C2, DE, EARLY, IE, PE, SF, UE, ZE};
use crate::trapframe::{F80, FpuState};

/// What a function of one angle is given.
enum Angle {
    /// An operand whose result needs no computation.
    Settled(Outcome),
    /// Too large: left as it is, C2 set.
    TooLarge,
    Zero(u16),
    Finite(super::format::Finite, bool),
}

fn angle(a: F80, control: u16) -> Angle {
    if let Some(nan) = nan_of_one(a) {
        return Angle::Settled(nan);
    }
    match a.class() {
        Class::Infinity => Angle::Settled(Outcome::invalid()),
        Class::Zero => Angle::Zero(a.sign()),
        Class::Denormal if control & DE == 0 => Angle::Settled(Outcome::new(a, DE)),
        class => {
            let finite = a.finite();
            if out_of_range(finite.exponent) {
                return Angle::TooLarge;
            }
            Angle::Finite(finite, class == Class::Denormal)
        }
    }
}

fn noted(outcome: Outcome, denormal: bool) -> Outcome {
    Outcome::new(outcome.value, outcome.flags | if denormal { DE } else { 0 })
}

/// ST(0), if it holds a value; otherwise notes the underflow.
fn operand(fpu: &mut FpuState) -> Option<F80> {
    let top = fpu.physical(0);
    if fpu.holds(top) {
        return Some(fpu.at(top));
    }
    fpu.underflow(top);
    None
}

fn too_large(fpu: &mut FpuState) {
    let _ = fpu.note(C2);
}

/// `fsin` and `fcos`.
fn sine_or_cosine(fpu: &mut FpuState, cosine: bool) {
    fpu.flags &= !C2;
    let Some(a) = operand(fpu) else { return };
    let outcome = match angle(a, fpu.control) {
        Angle::Settled(outcome) => outcome,
        Angle::TooLarge => return too_large(fpu),
        Angle::Zero(_) if cosine => Outcome::exact(F80::ONE),
        Angle::Zero(sign) => Outcome::exact(F80::zero(sign)),
        Angle::Finite(a, denormal) => {
            let (s, c) = sine_cosine(a);
            noted(if cosine { c } else { s }.round(false, fpu.control), denormal)
        }
    };
    fpu.finish(fpu.physical(0), outcome);
}

/// `fsin`.
pub(crate) fn fsin(fpu: &mut FpuState, _: u8) {
    sine_or_cosine(fpu, false);
}

/// `fcos`.
pub(crate) fn fcos(fpu: &mut FpuState, _: u8) {
    sine_or_cosine(fpu, true);
}

/// Replaces ST(0) by one result and pushes another, for `fsincos` and `fptan`.
fn two_results(fpu: &mut FpuState, function: impl FnOnce(Angle, u16) -> Option<(Outcome, Outcome)>) {
    fpu.flags &= !C2;
    let (top, pushed) = (fpu.physical(0), fpu.physical(7));
    if !fpu.holds(top) || fpu.holds(pushed) {
        let overflow = if fpu.holds(top) { C1 } else { 0 };
        if fpu.note(IE | SF | overflow) & EARLY == 0 {
            fpu.put(top, F80::INDEFINITE);
            fpu.turn(7);
            fpu.put(pushed, F80::INDEFINITE);
        }
        return;
    }
    let Some((first, second)) = function(angle(fpu.at(top), fpu.control), fpu.control) else {
        return too_large(fpu);
    };
    let flags = first.flags | second.flags & !C1;
    if fpu.finish(top, Outcome::new(first.value, flags)) {
        fpu.turn(7);
        fpu.put(pushed, second.value);
    }
}

/// `fsincos`.
pub(crate) fn fsincos(fpu: &mut FpuState, _: u8) {
    two_results(fpu, |angle, control| match angle {
        Angle::Settled(outcome) => Some((outcome, outcome)),
        Angle::TooLarge => None,
        Angle::Zero(sign) => Some((Outcome::exact(F80::zero(sign)), Outcome::exact(F80::ONE))),
        Angle::Finite(a, denormal) => {
            let (s, c) = sine_cosine(a);
            Some((noted(s.round(false, control), denormal), c.round(false, control)))
        }
    });
}

/// `fptan`: the tangent and 1.
pub(crate) fn fptan(fpu: &mut FpuState, _: u8) {
    let one = Outcome::exact(F80::ONE);
    two_results(fpu, |angle, control| match angle {
        Angle::Settled(outcome) if outcome.value.class().is_nan() => Some((outcome, outcome)),
        Angle::Settled(outcome) => Some((outcome, one)),
        Angle::TooLarge => None,
        Angle::Zero(sign) => Some((Outcome::exact(F80::zero(sign)), one)),
        Angle::Finite(a, denormal) => Some((noted(tangent(a).round(false, control), denormal), one)),
    });
}

/// `f2xm1`.
pub(crate) fn f2xm1(fpu: &mut FpuState, _: u8) {
    let Some(a) = operand(fpu) else { return };
    let outcome = two_to_less_one(a, fpu.control);
    fpu.finish(fpu.physical(0), outcome);
}

fn two_to_less_one(a: F80, control: u16) -> Outcome {
    if let Some(nan) = nan_of_one(a) {
        return nan;
    }
    match a.class() {
        Class::Zero => return Outcome::exact(a),
        Class::Infinity if a.sign() != 0 => return Outcome::exact(F80::ONE.negated()),
        Class::Infinity => return Outcome::exact(a),
        _ => {}
    }
    let denormal = a.class() == Class::Denormal;
    if denormal && control & DE == 0 {
        return Outcome::new(a, DE);
    }
    let finite = a.finite();
    if in_range(finite) {
        return noted(power_less_one(finite).round(false, control), denormal);
    }
    if a == F80::ONE.negated() {
        let half = F80::from_parts(SIGN, F80::ONE.sign_exponent - 1, F80::ONE.significand);
        return Outcome::new(half, PE);
    }
    // One gives itself; beyond it the result is not defined, and the hardware leaves the operand.
    Outcome::new(a, PE)
}

/// Replaces ST(1) by a function of ST(1) and ST(0), and pops.
fn join(fpu: &mut FpuState, function: impl FnOnce(F80, F80, u16) -> Outcome) {
    let (top, second) = (fpu.physical(0), fpu.physical(1));
    let done = if fpu.holds(top) & fpu.holds(second) {
        let (y, x) = (fpu.at(second), fpu.at(top));
        let outcome = match nan_of_two(y, x) {
            Some(nan) => nan,
            None => {
                let denormal = y.class() == Class::Denormal || x.class() == Class::Denormal;
                let outcome = function(y, x, fpu.control);
                let settled = outcome.flags & (IE | ZE) != 0;
                outcome.with_denormal(denormal && !settled, fpu.control)
            }
        };
        fpu.finish(second, outcome)
    } else {
        fpu.underflow(second)
    };
    if done {
        fpu.pop();
    }
}

/// `fpatan`: the angle of the point (ST(0), ST(1)).
pub(crate) fn fpatan(fpu: &mut FpuState, _: u8) {
    join(fpu, |y, x, control| {
        let left = x.sign() != 0;
        let special = match (y.class(), x.class()) {
            (Class::Infinity, Class::Infinity) if left => THREE_QUARTERS_PI,
            (Class::Infinity, Class::Infinity) => QUARTER_PI,
            (Class::Infinity, _) => HALF_PI,
            (Class::Zero, _) | (_, Class::Infinity) if left => PI,
            (Class::Zero, _) | (_, Class::Infinity) => return Outcome::exact(F80::zero(y.sign())),
            (_, Class::Zero) => HALF_PI,
            _ => arctangent(y.finite(), x.finite()),
        };
        Wide { negative: y.sign() != 0, ..special }.round(false, control)
    });
}

/// The product of a number and a logarithm of any sign, the logarithm's sign being given even where
/// it is zero.
fn times(y: F80, logarithm: Logarithm, control: u16) -> Outcome {
    let negative = (y.sign() != 0) != logarithm.value.negative;
    let sign = if negative { SIGN } else { 0 };
    match y.class() {
        Class::Infinity if logarithm.value.is_zero() => Outcome::invalid(),
        Class::Infinity => Outcome::exact(F80::infinity(sign)),
        Class::Zero => Outcome::exact(F80::zero(sign)),
        _ if logarithm.value.is_zero() => Outcome::exact(F80::zero(sign)),
        _ => {
            let product = Wide::from_finite(y.finite()).mul(logarithm.value);
            let outcome = product.round(logarithm.exact, control);
            // The hardware notes a logarithm of other than one as inexact even where it is exact.
            let tiny = outcome.value.class() == Class::Denormal;
            Outcome::new(outcome.value, outcome.flags | PE | if tiny { UE } else { 0 })
        }
    }
}

/// `fyl2x`: ST(1) times the logarithm of ST(0).
pub(crate) fn fyl2x(fpu: &mut FpuState, _: u8) {
    join(fpu, |y, x, control| match (x.class(), y.class()) {
        (Class::Zero, Class::Infinity) => Outcome::exact(y.negated()),
        (Class::Zero, Class::Zero) => Outcome::invalid(),
        (Class::Zero, _) => Outcome::new(F80::infinity(y.sign() ^ SIGN), ZE),
        _ if x.sign() != 0 => Outcome::invalid(),
        (Class::Infinity, Class::Zero) => Outcome::invalid(),
        (Class::Infinity, _) => Outcome::exact(F80::infinity(y.sign())),
        _ => times(y, log2(x.finite()), control),
    });
}

/// `fyl2xp1`: ST(1) times the logarithm of one plus ST(0).
pub(crate) fn fyl2xp1(fpu: &mut FpuState, _: u8) {
    join(fpu, |y, x, control| match (x.class(), y.class()) {
        (Class::Zero, Class::Infinity) => Outcome::invalid(),
        (Class::Zero, _) => Outcome::exact(F80::zero(y.sign() ^ x.sign())),
        (Class::Infinity, _) if x.sign() != 0 => Outcome::invalid(),
        (Class::Infinity, Class::Zero) => Outcome::invalid(),
        (Class::Infinity, _) => Outcome::exact(F80::infinity(y.sign())),
        (_, Class::Zero) => Outcome::exact(F80::zero(y.sign() ^ x.sign())),
        (_, Class::Infinity) => Outcome::exact(F80::infinity(y.sign() ^ x.sign())),
        // Not defined; the hardware delivers the operand.
        _ if x.sign() != 0 && x.exponent() >= F80::ONE.exponent() => Outcome::new(x, PE),
        _ => times(y, log2_plus_one(x.finite()), control),
    });
}
