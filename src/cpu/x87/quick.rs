//! The short forms of the commonest instructions, for callers that can go another way: each does the
//! whole instruction on registers that hold doubles, or does nothing and returns `false`.
//!
//! The functions of [`super::decode()`] give the same results, always.  Knows nothing of encodings or
//! memory.

use super::arith::{Binary, with_double};
use super::double::{double_of_32, double_of_64};
use super::word::{C0, C1, C2, C3};
use crate::trapframe::FpuState;
use std::marker::PhantomData;

/// A form without memory operand; takes i of ST(i).
pub(crate) trait Register {
    /// Does the instruction, or nothing.
    fn run(fpu: &mut FpuState, i: u8) -> bool;
}

/// A form with a memory source; the bits are those of its size.
pub(crate) trait Load {
    /// Does the instruction, or nothing.
    fn run(fpu: &mut FpuState, bits: u64) -> bool;
}

/// How a memory source is read.
pub(crate) trait Source {
    /// The operand as a double, if it is zero or normal.
    fn double(bits: u64) -> Option<f64>;
}

macro_rules! source {
    ($($name:ident: $bits:ident => $double:expr;)*) => {$(
        pub(crate) struct $name;
        impl Source for $name {
            #[inline(always)]
            fn double($bits: u64) -> Option<f64> {
                $double
            }
        }
    )*};
}
source! {
    Real32: bits => double_of_32(bits as u32);
    Real64: bits => double_of_64(bits);
    Int16: bits => Some(f64::from(bits as i16));
    Int32: bits => Some(f64::from(bits as i32));
}

/// An operation of ST(0) and memory.
pub(crate) struct Arithmetic<O, S>(PhantomData<(O, S)>);
impl<O: Binary, S: Source> Load for Arithmetic<O, S> {
    #[inline(always)]
    fn run(fpu: &mut FpuState, bits: u64) -> bool {
        S::double(bits).is_some_and(|y| with_double::<O>(fpu, fpu.physical(0), y))
    }
}

/// A load.
pub(crate) struct Push<S>(PhantomData<S>);
impl<S: Source> Load for Push<S> {
    #[inline(always)]
    fn run(fpu: &mut FpuState, bits: u64) -> bool {
        S::double(bits).is_some_and(|value| fpu.push_double(value))
    }
}

#[inline(always)]
fn compare(fpu: &mut FpuState, x: f64, y: f64) {
    let codes = if x < y { C0 } else { 0 } | if x == y { C3 } else { 0 };
    fpu.rounded_up = None;
    fpu.flags = fpu.flags & !(C0 | C1 | C2 | C3) | codes;
}

/// A comparison of ST(0) with memory.
pub(crate) struct Compare<S, const POP: bool>(PhantomData<S>);
impl<S: Source, const POP: bool> Load for Compare<S, POP> {
    #[inline(always)]
    fn run(fpu: &mut FpuState, bits: u64) -> bool {
        let (Some(x), Some(y)) = (fpu.double(fpu.physical(0)), S::double(bits)) else { return false };
        compare(fpu, x, y);
        if POP {
            fpu.pop();
        }
        true
    }
}

/// A comparison of ST(0) with ST(i).
pub(crate) struct CompareRegisters<const POPS: u32>;
impl<const POPS: u32> Register for CompareRegisters<POPS> {
    #[inline(always)]
    fn run(fpu: &mut FpuState, i: u8) -> bool {
        let (a, b) = (fpu.physical(0), fpu.physical(i));
        let (Some(x), Some(y)) = (fpu.double(a), fpu.double(b)) else { return false };
        compare(fpu, x, y);
        for _ in 0..POPS {
            fpu.pop();
        }
        true
    }
}

/// An operation of ST(0) and ST(i), to ST(0).
pub(crate) struct ToTop<O>(PhantomData<O>);
impl<O: Binary> Register for ToTop<O> {
    #[inline(always)]
    fn run(fpu: &mut FpuState, i: u8) -> bool {
        fpu.double(fpu.physical(i)).is_some_and(|y| with_double::<O>(fpu, fpu.physical(0), y))
    }
}

/// An operation of ST(i) and ST(0), to ST(i).
pub(crate) struct ToOther<O, const POP: bool>(PhantomData<O>);
impl<O: Binary, const POP: bool> Register for ToOther<O, POP> {
    #[inline(always)]
    fn run(fpu: &mut FpuState, i: u8) -> bool {
        let done = fpu.double(fpu.physical(0)).is_some_and(|y| with_double::<O>(fpu, fpu.physical(i), y));
        if POP && done {
            fpu.pop();
        }
        done
    }
}

/// `fld sti`.
pub(crate) struct PushRegister;
impl Register for PushRegister {
    #[inline(always)]
    fn run(fpu: &mut FpuState, i: u8) -> bool {
        fpu.double(fpu.physical(i)).is_some_and(|value| fpu.push_double(value))
    }
}

/// `fst sti` and `fstp sti`.
pub(crate) struct CopyTop<const POP: bool>;
impl<const POP: bool> Register for CopyTop<POP> {
    #[inline(always)]
    fn run(fpu: &mut FpuState, i: u8) -> bool {
        let Some(value) = fpu.double(fpu.physical(0)) else { return false };
        fpu.note_exact();
        fpu.put_double(fpu.physical(i), value);
        if POP {
            fpu.pop();
        }
        true
    }
}

/// `fxch`.
pub(crate) struct Exchange;
impl Register for Exchange {
    #[inline(always)]
    fn run(fpu: &mut FpuState, i: u8) -> bool {
        let (a, b) = (fpu.physical(0), fpu.physical(i));
        let (Some(x), Some(y)) = (fpu.double(a), fpu.double(b)) else { return false };
        fpu.note_exact();
        fpu.put_double(a, y);
        fpu.put_double(b, x);
        true
    }
}

/// `fst m64fp` and `fstp m64fp`: the bits to store, and then what is done once they are stored.
#[inline(always)]
pub(crate) fn stored(fpu: &FpuState) -> Option<u64> {
    fpu.double(fpu.physical(0)).map(f64::to_bits)
}

/// Completes a store of [`stored`].
#[inline(always)]
pub(crate) fn commit<const POP: bool>(fpu: &mut FpuState) {
    fpu.note_exact();
    if POP {
        fpu.pop();
    }
}
