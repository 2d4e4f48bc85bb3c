//! Instructions that work on ST(0), with ST(1) as a parameter of some, and those that move only
//! the stack pointer and tags.  Knows nothing of encodings.

use super::div::sqrt;
use super::format::{Outcome, SIGN};
use super::integer::round_to_integral;
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
    replace(fpu, |a, _| Outcome::exact(a.negated()));
}

/// `fabs`: any bits, never an exception but stack underflow.
pub(crate) fn fabs(fpu: &mut FpuState, _: u8) {
    replace(fpu, |a, _| {
        Outcome::exact(F80 { significand: a.significand, sign_exponent: a.sign_exponent & !SIGN })
    });
}

/// `fsqrt`.
pub(crate) fn fsqrt(fpu: &mut FpuState, _: u8) {
    replace(fpu, sqrt);
}

/// `frndint`.
pub(crate) fn frndint(fpu: &mut FpuState, _: u8) {
    replace(fpu, round_to_integral);
}

/// `fnop`.
pub(crate) fn fnop(_: &mut FpuState, _: u8) {}

/// `fincstp`.
pub(crate) fn fincstp(fpu: &mut FpuState, _: u8) {
    let _ = fpu.note(0);
    fpu.turn(1);
}

/// `fdecstp`.
pub(crate) fn fdecstp(fpu: &mut FpuState, _: u8) {
    let _ = fpu.note(0);
    fpu.turn(7);
}

/// `ffree sti`.
pub(crate) fn ffree(fpu: &mut FpuState, i: u8) {
    let _ = fpu.note(0);
    fpu.valid &= !(1 << fpu.physical(i));
}

/// `ffreep sti`: the undocumented companion that pops as well.
pub(crate) fn ffreep(fpu: &mut FpuState, i: u8) {
    ffree(fpu, i);
    fpu.pop();
}
