//! Instructions of two operands: add, subtract, multiply, divide in all their forms.
//!
//! Knows nothing of encodings or memory: memory operands arrive as bits.

use super::add::{add, sub};
use super::convert::{from_f32, from_f64};
use super::div::div;
use super::format::{Class, Outcome};
use super::integer::from_i64;
use super::mul::mul;
use super::word::{IE, ZE};
use crate::trapframe::{F80, FpuState};

/// An operation on the destination's value and another operand.
pub(crate) trait Binary {
    /// The result; `a` is the destination's value.
    fn apply(a: F80, b: F80, control: u16) -> Outcome;
}

macro_rules! binary {
    ($name:ident, $a:ident, $b:ident, $control:ident => $result:expr) => {
        pub(crate) struct $name;
        impl Binary for $name {
            #[inline(always)]
            fn apply($a: F80, $b: F80, $control: u16) -> Outcome {
                $result
            }
        }
    };
}
binary!(Add, a, b, control => add(a, b, control));
binary!(Mul, a, b, control => mul(a, b, control));
binary!(Sub, a, b, control => sub(a, b, control));
binary!(SubReversed, a, b, control => sub(b, a, control));
binary!(Div, a, b, control => div(a, b, control));
binary!(DivReversed, a, b, control => div(b, a, control));

/// `op st0, sti`.
pub(crate) fn st0_sti<O: Binary>(fpu: &mut FpuState, i: u8) {
    let (a, b) = (fpu.physical(0), fpu.physical(i));
    if !(fpu.holds(a) & fpu.holds(b)) {
        fpu.underflow(a);
        return;
    }
    let outcome = O::apply(fpu.at(a), fpu.at(b), fpu.control);
    fpu.finish(a, outcome);
}

/// `op sti, st0`.
pub(crate) fn sti_st0<O: Binary>(fpu: &mut FpuState, i: u8) {
    to_sti::<O>(fpu, i);
}

/// `opp sti, st0`.
pub(crate) fn sti_st0_pop<O: Binary>(fpu: &mut FpuState, i: u8) {
    if to_sti::<O>(fpu, i) {
        fpu.pop();
    }
}

#[inline(always)]
fn to_sti<O: Binary>(fpu: &mut FpuState, i: u8) -> bool {
    let (a, b) = (fpu.physical(i), fpu.physical(0));
    if !(fpu.holds(a) & fpu.holds(b)) {
        return fpu.underflow(a);
    }
    let outcome = O::apply(fpu.at(a), fpu.at(b), fpu.control);
    fpu.finish(a, outcome)
}

/// `op m32fp`.
pub(crate) fn m32<O: Binary>(fpu: &mut FpuState, bits: u64) {
    from_memory::<O>(fpu, from_f32(bits as u32));
}

/// `op m64fp`.
pub(crate) fn m64<O: Binary>(fpu: &mut FpuState, bits: u64) {
    from_memory::<O>(fpu, from_f64(bits));
}

/// `op m16int`.
pub(crate) fn i16<O: Binary>(fpu: &mut FpuState, bits: u64) {
    from_memory::<O>(fpu, (from_i64(i64::from(bits as i16)), false));
}

/// `op m32int`.
pub(crate) fn i32<O: Binary>(fpu: &mut FpuState, bits: u64) {
    from_memory::<O>(fpu, (from_i64(i64::from(bits as i32)), false));
}

#[inline(always)]
fn from_memory<O: Binary>(fpu: &mut FpuState, (b, denormal): (F80, bool)) {
    let a = fpu.physical(0);
    if !fpu.holds(a) {
        fpu.underflow(a);
        return;
    }
    let mut outcome = O::apply(fpu.at(a), b, fpu.control);
    if denormal {
        outcome = denormal_operand(fpu.at(a), outcome, fpu.control);
    }
    fpu.finish(a, outcome);
}

/// A denormal in memory is a normal number in the 80-bit format, but it is noted all the same.
#[cold]
fn denormal_operand(a: F80, outcome: Outcome, control: u16) -> Outcome {
    let class = a.class();
    if class == Class::Unsupported || class.is_nan() || outcome.flags & (IE | ZE) != 0 {
        return outcome;
    }
    outcome.with_denormal(true, control)
}
