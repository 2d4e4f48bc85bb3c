//! Comparisons and the examination of ST(0).  Knows nothing of encodings or memory.

use super::compare::{UNORDERED, compare};
use super::convert::{from_f32, from_f64};
use super::double::{double_of_32, double_of_64};
use super::format::{Class, SIGN};
use super::integer::from_i64;
use super::word::{C0, C1, C2, C3, DE, IE, SF};
use crate::trapframe::{F80, FpuState};

const CODES: u16 = C0 | C1 | C2 | C3;

/// Sets the condition codes and notes exceptions.  Returns whether the instruction goes on (to pop).
#[inline(always)]
fn finish(fpu: &mut FpuState, codes: u16, flags: u16) -> bool {
    fpu.rounded_up = None;
    fpu.flags = fpu.flags & !CODES | codes;
    flags == 0 || fpu.note(flags) == 0
}

#[cold]
#[inline(never)]
fn empty(fpu: &mut FpuState) -> bool {
    finish(fpu, UNORDERED, IE | SF)
}

#[inline(always)]
fn with_sti(fpu: &mut FpuState, i: u8, quiet_allowed: bool) -> bool {
    let (a, b) = (fpu.physical(0), fpu.physical(i));
    if let (Some(x), Some(y)) = (fpu.double(a), fpu.double(b)) {
        return doubles(fpu, x, y);
    }
    if !(fpu.holds(a) & fpu.holds(b)) {
        return empty(fpu);
    }
    let (codes, flags) = compare(fpu.at(a), fpu.at(b), quiet_allowed);
    finish(fpu, codes, flags)
}

/// `fcom`, `fcomp`, `fcompp` and, with `QUIET`, `fucom`, `fucomp`, `fucompp`: pops `POPS` times.
pub(crate) fn fcom<const QUIET: bool, const POPS: u32>(fpu: &mut FpuState, i: u8) {
    if with_sti(fpu, i, QUIET) {
        for _ in 0..POPS {
            fpu.pop();
        }
    }
}

/// Compares two doubles, zero or normal.
#[inline(always)]
fn doubles(fpu: &mut FpuState, x: f64, y: f64) -> bool {
    let codes = if x < y { C0 } else { 0 } | if x == y { C3 } else { 0 };
    finish(fpu, codes, 0)
}

#[inline(always)]
fn with_double(fpu: &mut FpuState, y: f64, pop: bool) -> bool {
    let Some(x) = fpu.double(fpu.physical(0)) else { return false };
    doubles(fpu, x, y);
    if pop {
        fpu.pop();
    }
    true
}

#[inline(never)]
fn with_memory(fpu: &mut FpuState, (b, denormal): (F80, bool), pop: bool) {
    let a = fpu.physical(0);
    let go_on = if fpu.holds(a) {
        let (codes, mut flags) = compare(fpu.at(a), b, false);
        if denormal && flags & IE == 0 {
            flags |= DE;
        }
        finish(fpu, codes, flags)
    } else {
        empty(fpu)
    };
    if pop && go_on {
        fpu.pop();
    }
}

/// `fcom m32fp`, `fcomp m32fp`.
pub(crate) fn fcom_m32<const POP: bool>(fpu: &mut FpuState, bits: u64) {
    if !double_of_32(bits as u32).is_some_and(|y| with_double(fpu, y, POP)) {
        with_memory(fpu, from_f32(bits as u32), POP);
    }
}

/// `fcom m64fp`, `fcomp m64fp`.
pub(crate) fn fcom_m64<const POP: bool>(fpu: &mut FpuState, bits: u64) {
    if !double_of_64(bits).is_some_and(|y| with_double(fpu, y, POP)) {
        with_memory(fpu, from_f64(bits), POP);
    }
}

/// `ficom m16int`, `ficomp m16int`.
pub(crate) fn ficom_i16<const POP: bool>(fpu: &mut FpuState, bits: u64) {
    if !with_double(fpu, f64::from(bits as i16), POP) {
        with_memory(fpu, (from_i64(i64::from(bits as i16)), false), POP);
    }
}

/// `ficom m32int`, `ficomp m32int`.
pub(crate) fn ficom_i32<const POP: bool>(fpu: &mut FpuState, bits: u64) {
    if !with_double(fpu, f64::from(bits as i32), POP) {
        with_memory(fpu, (from_i64(i64::from(bits as i32)), false), POP);
    }
}

/// `ftst`: compares ST(0) with zero.
pub(crate) fn ftst(fpu: &mut FpuState, _: u8) {
    if !with_double(fpu, 0.0, false) {
        with_memory(fpu, (F80::ZERO, false), false);
    }
}

/// `fxam`: the class of ST(0) in C3, C2 and C0, its sign in C1.
pub(crate) fn fxam(fpu: &mut FpuState, _: u8) {
    let top = fpu.physical(0);
    let value = fpu.at(top);
    let codes = match value.class() {
        _ if !fpu.holds(top) => C3 | C0,
        Class::Unsupported => 0,
        Class::QuietNan | Class::SignallingNan => C0,
        Class::Normal => C2,
        Class::Infinity => C2 | C0,
        Class::Zero => C3,
        Class::Denormal => C3 | C2,
    };
    let sign = if value.sign_exponent & SIGN != 0 { C1 } else { 0 };
    finish(fpu, codes | sign, 0);
}
