//! Instructions that work on ST(0), with ST(1) as a parameter of some, and those that move only
//! the stack pointer and tags.  Knows nothing of encodings.

use super::convert::from_f64;
use super::div::sqrt;
use super::double::integral;
use super::format::{MAX_EXPONENT, Outcome, SIGN};
use super::integer::round_to_integral;
use super::scale::{extract, remainder, scale};
use super::word::{C0, C1, C2, C3, EARLY, EXCEPTIONS, IE, PC_53, RC_NEAREST, SF};
use crate::trapframe::{F80, FpuState};

/// Replaces ST(0) by a function of it.
#[inline(always)]
fn replace(fpu: &mut FpuState, function: impl FnOnce(F80, u16) -> Outcome) {
    let top = fpu.physical(0);
    if !fpu.holds(top) {
        fpu.underflow(top);
        return;
    }
    let outcome = function(fpu.at(top), fpu.control);
    fpu.finish(top, outcome);
}

/// `fchs`: any bits, never an exception but stack underflow.
pub(crate) fn fchs(fpu: &mut FpuState, _: u8) {
    let top = fpu.physical(0);
    match fpu.double(top) {
        Some(value) => {
            fpu.note_exact();
            fpu.put_double(top, -value);
        }
        None => replace(fpu, |a, _| Outcome::exact(a.negated())),
    }
}

/// `fabs`: any bits, never an exception but stack underflow.
pub(crate) fn fabs(fpu: &mut FpuState, _: u8) {
    replace(fpu, |a, _| {
        Outcome::exact(F80 { significand: a.significand, sign_exponent: a.sign_exponent & !SIGN })
    });
}

/// `fsqrt`.
pub(crate) fn fsqrt(fpu: &mut FpuState, _: u8) {
    let top = fpu.physical(0);
    if fpu.rounds_as_host()
        && let Some(value) = fpu.double(top)
        && value > 0.0
        && fpu.finish_double(top, value.sqrt(), root_rounded_up, [value; 2])
    {
        return;
    }
    replace(fpu, sqrt);
}

/// Finds out whether the square root of a double was rounded up.
fn root_rounded_up(value: f64, _: f64) -> bool {
    sqrt(from_f64(value.to_bits()).0, PC_53 | RC_NEAREST | EXCEPTIONS).flags & C1 != 0
}

/// `frndint`.
pub(crate) fn frndint(fpu: &mut FpuState, _: u8) {
    let top = fpu.physical(0);
    match fpu.double(top).and_then(|value| integral(value, fpu.control)) {
        Some((whole, flags)) => {
            let _ = fpu.note(flags);
            fpu.put_double(top, whole);
        }
        None => replace(fpu, round_to_integral),
    }
}

/// Both operands of a function of ST(0) and ST(1); an empty one is a stack underflow.
#[inline(always)]
fn two_operands(fpu: &mut FpuState) -> Option<(F80, F80)> {
    let (top, second) = (fpu.physical(0), fpu.physical(1));
    if !(fpu.holds(top) & fpu.holds(second)) {
        fpu.underflow(top);
        return None;
    }
    Some((fpu.at(top), fpu.at(second)))
}

/// `fscale`.
pub(crate) fn fscale(fpu: &mut FpuState, _: u8) {
    if let Some((a, b)) = two_operands(fpu) {
        let outcome = scale(a, b, fpu.control);
        fpu.finish(fpu.physical(0), outcome);
    }
}

/// `fprem` and, with `NEAREST`, `fprem1`: a number sets all condition codes, anything else clears
/// C2 only.
pub(crate) fn fprem<const NEAREST: bool>(fpu: &mut FpuState, _: u8) {
    fpu.flags &= !C2;
    if let Some((a, b)) = two_operands(fpu) {
        let outcome = remainder::<NEAREST>(a, b, fpu.control);
        let stopped = outcome.flags & !fpu.control & EARLY != 0;
        if !stopped && outcome.value.exponent() != MAX_EXPONENT {
            fpu.flags &= !(C0 | C3);
        }
        fpu.finish(fpu.physical(0), outcome);
    }
}

/// `fxtract`: the exponent replaces ST(0), the significand is pushed.
pub(crate) fn fxtract(fpu: &mut FpuState, _: u8) {
    let (top, pushed) = (fpu.physical(0), fpu.physical(7));
    if !fpu.holds(top) {
        if fpu.note(IE | SF) & EARLY == 0 {
            fpu.put(top, F80::INDEFINITE);
            fpu.turn(7);
            fpu.put(pushed, F80::INDEFINITE);
        }
        return;
    }
    if fpu.holds(pushed) {
        fpu.push_overflow();
        if fpu.physical(0) == pushed {
            fpu.put(top, F80::INDEFINITE);
        }
        return;
    }
    let (exponent, significand) = extract(fpu.at(top), fpu.control);
    if fpu.finish(top, exponent) {
        fpu.turn(7);
        fpu.put(pushed, significand);
    }
}

/// `fnop`.
pub(crate) fn fnop(_: &mut FpuState, _: u8) {}

/// `fincstp`.
pub(crate) fn fincstp(fpu: &mut FpuState, _: u8) {
    fpu.note_exact();
    fpu.turn(1);
}

/// `fdecstp`.
pub(crate) fn fdecstp(fpu: &mut FpuState, _: u8) {
    fpu.note_exact();
    fpu.turn(7);
}

/// `ffree sti`.
pub(crate) fn ffree(fpu: &mut FpuState, i: u8) {
    fpu.note_exact();
    fpu.empty(fpu.physical(i));
}

/// `ffreep sti`: the undocumented companion that pops as well.
pub(crate) fn ffreep(fpu: &mut FpuState, i: u8) {
    ffree(fpu, i);
    fpu.pop();
}
