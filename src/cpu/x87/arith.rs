//! Instructions of two operands: add, subtract, multiply, divide in all their forms.
//!
//! Each has a short path for doubles at 53 bits (see `double`), one for two normal numbers at 53 or 64
//! bits, both to nearest and within the range of exponents; everything else goes the long way, which
//! serves all cases.
//!
//! Knows nothing of encodings or memory: memory operands arrive as bits.

use super::add::{add, sub, sum};
use super::convert::{from_f32, from_f64};
use super::div::{div, quotient};
use super::double::{double_of_32, double_of_64};
use super::format::{Class, Finite, Outcome};
use super::integer::from_i64;
use super::mul::{mul, product};
use super::round::Unrounded;
use super::word::{C1, EXCEPTIONS, IE, PC, PC_53, PC_64, RC, RC_NEAREST, ZE};
use crate::trapframe::{F80, FpuState};

/// An operation on the destination's value and another operand.
pub(crate) trait Binary {
    /// The result for two normal numbers, `None` for zero; `a` is the destination's value.
    fn normal(a: Finite, b: Finite) -> Option<Unrounded>;

    /// The result of the host.
    fn double(a: f64, b: f64) -> f64;

    /// Whether a zero that the host delivers is exact, rather than too small a number.
    fn zero(a: f64, b: f64) -> bool;

    /// The result for any operands.
    fn any(a: F80, b: F80, control: u16) -> Outcome;
}

macro_rules! binary {
    ($name:ident, $a:ident, $b:ident => $double:expr, $zero:expr, $normal:expr, $any:ident($x:ident, $y:ident)) => {
        pub(crate) struct $name;
        impl Binary for $name {
            #[inline(always)]
            fn normal($a: Finite, $b: Finite) -> Option<Unrounded> {
                $normal
            }

            #[inline(always)]
            fn double($a: f64, $b: f64) -> f64 {
                $double
            }

            #[inline(always)]
            fn zero($a: f64, $b: f64) -> bool {
                $zero
            }

            #[inline(always)]
            fn any($a: F80, $b: F80, control: u16) -> Outcome {
                $any($x, $y, control)
            }
        }
    };
}
binary!(Add, a, b => a + b, a == -b, sum(a, b), add(a, b));
binary!(Mul, a, b => a * b, a == 0.0 || b == 0.0, Some(product(a, b)), mul(a, b));
binary!(Sub, a, b => a - b, a == b, sum(a, b.negated()), sub(a, b));
binary!(SubReversed, a, b => b - a, a == b, sum(b, a.negated()), sub(b, a));
binary!(Div, a, b => a / b, a == 0.0 && b != 0.0, Some(quotient(a, b)), div(a, b));
binary!(DivReversed, a, b => b / a, b == 0.0 && a != 0.0, Some(quotient(b, a)), div(b, a));

/// Finds out whether the operation on two doubles rounded up.
fn rounded_up<O: Binary>(a: f64, b: f64) -> bool {
    let (a, b) = (from_f64(a.to_bits()).0, from_f64(b.to_bits()).0);
    O::any(a, b, PC_53 | RC_NEAREST | EXCEPTIONS).flags & C1 != 0
}

/// Writes the operation's result to a register that holds a value, unless an early exception stops it.
/// Returns whether it was written.
#[inline(never)]
fn operate<O: Binary>(fpu: &mut FpuState, destination: usize, b: F80) -> bool {
    const NEAREST_53: u16 = PC_53 | RC_NEAREST;
    const NEAREST_64: u16 = PC_64 | RC_NEAREST;
    let a = fpu.at(destination);
    if a.is_normal() & b.is_normal() {
        let outcome = match fpu.control & (PC | RC) {
            NEAREST_53 => O::normal(a.normal(), b.normal()).and_then(Unrounded::nearest::<11>),
            NEAREST_64 => O::normal(a.normal(), b.normal()).and_then(Unrounded::nearest::<0>),
            _ => None,
        };
        if let Some(outcome) = outcome {
            fpu.put(destination, outcome.value);
            let _ = fpu.note(outcome.flags);
            return true;
        }
    }
    let outcome = O::any(a, b, fpu.control);
    fpu.finish(destination, outcome)
}

/// The operation on two registers, whatever they hold.
#[inline(always)]
fn registers<O: Binary>(fpu: &mut FpuState, a: usize, b: usize) -> bool {
    if fpu.double(b).is_some_and(|y| with_double::<O>(fpu, a, y)) {
        return true;
    }
    any_registers::<O>(fpu, a, b)
}

#[inline(never)]
fn any_registers<O: Binary>(fpu: &mut FpuState, a: usize, b: usize) -> bool {
    if fpu.holds(a) & fpu.holds(b) { operate::<O>(fpu, a, fpu.at(b)) } else { fpu.underflow(a) }
}

/// `op st0, sti`.
pub(crate) fn st0_sti<O: Binary>(fpu: &mut FpuState, i: u8) {
    registers::<O>(fpu, fpu.physical(0), fpu.physical(i));
}

/// `op sti, st0`.
pub(crate) fn sti_st0<O: Binary>(fpu: &mut FpuState, i: u8) {
    registers::<O>(fpu, fpu.physical(i), fpu.physical(0));
}

/// `opp sti, st0`.
pub(crate) fn sti_st0_pop<O: Binary>(fpu: &mut FpuState, i: u8) {
    if registers::<O>(fpu, fpu.physical(i), fpu.physical(0)) {
        fpu.pop();
    }
}

/// The operation on a register and a double, by the host; `false` when nothing was done.
#[inline(always)]
pub(crate) fn with_double<O: Binary>(fpu: &mut FpuState, destination: usize, y: f64) -> bool {
    if !fpu.rounds_as_host() {
        return false;
    }
    let Some(x) = fpu.double(destination) else { return false };
    let result = O::double(x, y);
    fpu.finish_double(destination, result, rounded_up::<O>, [x, y])
        || (result == 0.0 && O::zero(x, y) && fpu.finish_zero(destination, result))
}

/// `op m32fp`.
pub(crate) fn m32<O: Binary>(fpu: &mut FpuState, bits: u64) {
    if !double_of_32(bits as u32).is_some_and(|y| with_double::<O>(fpu, fpu.physical(0), y)) {
        from_memory::<O>(fpu, from_f32(bits as u32));
    }
}

/// `op m64fp`.
pub(crate) fn m64<O: Binary>(fpu: &mut FpuState, bits: u64) {
    if !double_of_64(bits).is_some_and(|y| with_double::<O>(fpu, fpu.physical(0), y)) {
        from_memory::<O>(fpu, from_f64(bits));
    }
}

/// `op m16int`.
pub(crate) fn i16<O: Binary>(fpu: &mut FpuState, bits: u64) {
    if !with_double::<O>(fpu, fpu.physical(0), f64::from(bits as i16)) {
        from_memory::<O>(fpu, (from_i64(i64::from(bits as i16)), false));
    }
}

/// `op m32int`.
pub(crate) fn i32<O: Binary>(fpu: &mut FpuState, bits: u64) {
    if !with_double::<O>(fpu, fpu.physical(0), f64::from(bits as i32)) {
        from_memory::<O>(fpu, (from_i64(i64::from(bits as i32)), false));
    }
}

#[inline(never)]
fn from_memory<O: Binary>(fpu: &mut FpuState, (b, denormal): (F80, bool)) {
    let a = fpu.physical(0);
    if !fpu.holds(a) {
        fpu.underflow(a);
    } else if denormal {
        from_denormal::<O>(fpu, a, b);
    } else {
        operate::<O>(fpu, a, b);
    }
}

/// A denormal in memory is a normal number in the 80-bit format, but it is noted all the same.
#[cold]
#[inline(never)]
fn from_denormal<O: Binary>(fpu: &mut FpuState, destination: usize, b: F80) {
    let a = fpu.at(destination);
    let outcome = O::any(a, b, fpu.control);
    let class = a.class();
    let earlier = class == Class::Unsupported || class.is_nan() || outcome.flags & (IE | ZE) != 0;
    fpu.finish(destination, outcome.with_denormal(!earlier, fpu.control));
}
