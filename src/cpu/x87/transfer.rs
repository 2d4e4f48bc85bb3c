//! Loads, stores, constants and exchanges.
//!
//! Knows nothing of encodings or memory.  A store is computed first and committed once its bytes
//! are in memory, so that a page fault finds the unit as it was.

use super::convert::{from_f32, from_f64, to_f32, to_f64};
use super::double::{double_of_32, double_of_64, integral, single};
use super::format::{Class, Outcome};
use super::integer::{from_decimal, from_i64, to_decimal, to_integer};
use super::round::round_64;
use super::word::{C1, DE, EARLY, EXCEPTIONS, IE, OE, PE, RC, RC_NEAREST, SF, UE};
use crate::trapframe::{F80, FpuState};

/// What a storing instruction is going to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a store does nothing until it is committed"]
pub struct Store {
    /// The first eight bytes, or as many as the operand has.
    pub low: u64,
    /// The last two bytes of an 80-bit operand.
    pub high: u16,
    /// Whether memory is written at all: not when an exception that is not masked stops it.
    pub write: bool,
    pop: bool,
    flags: u16,
}

impl Store {
    /// Completes the instruction, after the bytes have been written.
    #[inline(always)]
    pub fn commit(self, fpu: &mut FpuState) {
        if self.flags == 0 {
            fpu.note_exact();
        } else {
            let _ = fpu.note(self.flags);
        }
        if self.pop {
            fpu.pop();
        }
    }

    #[inline(always)]
    fn new(fpu: &FpuState, low: u64, high: u16, flags: u16, pop: bool) -> Self {
        let stop = flags & !fpu.control & (EARLY | OE | UE) != 0;
        Self { low, high, write: !stop, pop: pop && !stop, flags }
    }

    /// The operand is an empty register.
    #[cold]
    fn empty(fpu: &FpuState, low: u64, high: u16, pop: bool) -> Self {
        Self::new(fpu, low, high, IE | SF, pop)
    }
}

/// Bits of the indefinite NaN as a single.
const INDEFINITE_32: u64 = 0xffc0_0000;
/// Bits of the indefinite NaN as a double.
const INDEFINITE_64: u64 = 0xfff8_0000_0000_0000;

/// `fst m32fp`, `fstp m32fp`.
pub(crate) fn fst_m32<const POP: bool>(fpu: &FpuState) -> Store {
    let top = fpu.physical(0);
    if fpu.control & RC == RC_NEAREST
        && let Some(value) = fpu.double(top)
        && let Some((bits, flags)) = single(value)
    {
        return Store::new(fpu, u64::from(bits), 0, flags, POP);
    }
    if !fpu.holds(top) {
        return Store::empty(fpu, INDEFINITE_32, 0, POP);
    }
    let (bits, flags) = to_f32(fpu.at(top), fpu.control);
    Store::new(fpu, u64::from(bits), 0, flags, POP)
}

/// `fst m64fp`, `fstp m64fp`.
pub(crate) fn fst_m64<const POP: bool>(fpu: &FpuState) -> Store {
    let top = fpu.physical(0);
    if let Some(value) = fpu.double(top) {
        return Store { low: value.to_bits(), high: 0, write: true, pop: POP, flags: 0 };
    }
    if !fpu.holds(top) {
        return Store::empty(fpu, INDEFINITE_64, 0, POP);
    }
    let (bits, flags) = to_f64(fpu.at(top), fpu.control);
    Store::new(fpu, bits, 0, flags, POP)
}

/// `fstp m80fp`.
pub(crate) fn fstp_m80(fpu: &FpuState) -> Store {
    let top = fpu.physical(0);
    if !fpu.holds(top) {
        let nan = F80::INDEFINITE;
        return Store::empty(fpu, nan.significand, nan.sign_exponent, true);
    }
    let value = fpu.at(top);
    Store::new(fpu, value.significand, value.sign_exponent, 0, true)
}

/// `fist`, `fistp` of 16, 32 and 64 bits.
pub(crate) fn fist<const BITS: u32, const POP: bool>(fpu: &FpuState) -> Store {
    let top = fpu.physical(0);
    if !fpu.holds(top) {
        return Store::empty(fpu, 1 << (BITS - 1), 0, POP);
    }
    if let Some(value) = fpu.double(top)
        && let Some((whole, flags)) = integral(value, fpu.control)
    {
        let whole = whole as i64;
        if whole == whole << (64 - BITS) >> (64 - BITS) {
            return Store::new(fpu, whole as u64, 0, flags, POP);
        }
    }
    let (value, flags) = to_integer(fpu.at(top), BITS, fpu.control);
    Store::new(fpu, value as u64, 0, flags, POP)
}

/// `fbstp`.
pub(crate) fn fbstp(fpu: &FpuState) -> Store {
    let top = fpu.physical(0);
    if !fpu.holds(top) {
        let (low, high, _) = to_decimal(F80::INDEFINITE, fpu.control);
        return Store::empty(fpu, low, high, true);
    }
    let (low, high, flags) = to_decimal(fpu.at(top), fpu.control);
    Store::new(fpu, low, high, flags, true)
}

#[inline(never)]
fn load_real(fpu: &mut FpuState, (value, denormal): (F80, bool)) {
    if fpu.holds(fpu.physical(7)) {
        return fpu.push_overflow();
    }
    match value.class() {
        Class::SignallingNan => return fpu.push(Outcome::new(value.quieted(), IE)),
        _ => fpu.push(Outcome::exact(value)),
    }
    if denormal {
        // It is pushed even where that exception is not masked.
        let _ = fpu.note(DE);
    }
}

/// `fld m32fp`.
pub(crate) fn fld_m32(fpu: &mut FpuState, bits: u64) {
    if !double_of_32(bits as u32).is_some_and(|value| fpu.push_double(value)) {
        load_real(fpu, from_f32(bits as u32));
    }
}

/// `fld m64fp`.
pub(crate) fn fld_m64(fpu: &mut FpuState, bits: u64) {
    if !double_of_64(bits).is_some_and(|value| fpu.push_double(value)) {
        load_real(fpu, from_f64(bits));
    }
}

/// `fld m80fp`: any bits, never an exception but stack overflow.
pub(crate) fn fld_m80(fpu: &mut FpuState, low: u64, high: u16) {
    fpu.push(Outcome::exact(F80 { significand: low, sign_exponent: high }));
}

/// `fild m16int`.
pub(crate) fn fild_i16(fpu: &mut FpuState, bits: u64) {
    if !fpu.push_double(f64::from(bits as i16)) {
        fpu.push_overflow();
    }
}

/// `fild m32int`.
pub(crate) fn fild_i32(fpu: &mut FpuState, bits: u64) {
    if !fpu.push_double(f64::from(bits as i32)) {
        fpu.push_overflow();
    }
}

/// `fild m64int`.
pub(crate) fn fild_i64(fpu: &mut FpuState, bits: u64) {
    fpu.push(Outcome::exact(from_i64(bits as i64)));
}

/// `fbld`.
pub(crate) fn fbld(fpu: &mut FpuState, low: u64, high: u16) {
    fpu.push(Outcome::exact(from_decimal(low, high)));
}

/// `fld sti`.
pub(crate) fn fld_sti(fpu: &mut FpuState, i: u8) {
    let source = fpu.physical(i);
    if let Some(value) = fpu.double(source)
        && fpu.push_double(value)
    {
        return;
    }
    if fpu.holds(source) {
        return fpu.push(Outcome::exact(fpu.at(source)));
    }
    if fpu.note(IE | SF) == 0 {
        fpu.turn(7);
        fpu.put(fpu.physical(0), F80::INDEFINITE);
    }
}

/// `fst sti`, `fstp sti`.
pub(crate) fn fst_sti<const POP: bool>(fpu: &mut FpuState, i: u8) {
    let (source, destination) = (fpu.physical(0), fpu.physical(i));
    let stored = if let Some(value) = fpu.double(source) {
        fpu.note_exact();
        fpu.put_double(destination, value);
        true
    } else if fpu.holds(source) {
        fpu.note_exact();
        fpu.reg[destination] = fpu.reg[source];
        true
    } else {
        fpu.underflow(destination)
    };
    if POP && stored {
        fpu.pop();
    }
}

/// The alias of `fstp sti` at D9 D8: an empty ST(0) is no exception and stores nothing.
pub(crate) fn fstp_sti_unchecked(fpu: &mut FpuState, i: u8) {
    let source = fpu.physical(0);
    fpu.note_exact();
    if fpu.holds(source) {
        fpu.put(fpu.physical(i), fpu.at(source));
    }
    fpu.pop();
}

/// `fxch sti`.
pub(crate) fn fxch(fpu: &mut FpuState, i: u8) {
    let (a, b) = (fpu.physical(0), fpu.physical(i));
    // A copy of whole registers would wait for their last parts to be written.
    if let (Some(x), Some(y)) = (fpu.double(a), fpu.double(b)) {
        fpu.note_exact();
        fpu.put_double(a, y);
        return fpu.put_double(b, x);
    }
    if fpu.holds(a) & fpu.holds(b) {
        fpu.note_exact();
        return fpu.reg.swap(a, b);
    }
    if fpu.note(IE | SF) & EXCEPTIONS != 0 {
        return;
    }
    let read = |r| if fpu.holds(r) { fpu.at(r) } else { F80::INDEFINITE };
    let (x, y) = (read(a), read(b));
    fpu.put(a, y);
    fpu.put(b, x);
}

/// A constant with 64 bits below its significand: rounded as the control word says, without flags.
#[inline(always)]
fn constant(fpu: &mut FpuState, exponent: i32, significand: u64, rest: u64) {
    let outcome = round_64(0, exponent, significand, rest, fpu.control);
    fpu.push(Outcome::new(outcome.value, outcome.flags & !(PE | C1)));
}

/// `fld1`.
pub(crate) fn fld1(fpu: &mut FpuState, _: u8) {
    if !fpu.push_double(1.0) {
        fpu.push_overflow();
    }
}

/// `fldz`.
pub(crate) fn fldz(fpu: &mut FpuState, _: u8) {
    if !fpu.push_double(0.0) {
        fpu.push_overflow();
    }
}

/// `fldl2t`: the logarithm of ten to the base two.
pub(crate) fn fldl2t(fpu: &mut FpuState, _: u8) {
    constant(fpu, 0x4000, 0xd49a_784b_cd1b_8afe, 0x492b_f6ff_4daf_db4c);
}

/// `fldl2e`: the logarithm of e to the base two.
pub(crate) fn fldl2e(fpu: &mut FpuState, _: u8) {
    constant(fpu, 0x3fff, 0xb8aa_3b29_5c17_f0bb, 0xbe87_fed0_691d_3e88);
}

/// `fldpi`.
pub(crate) fn fldpi(fpu: &mut FpuState, _: u8) {
    constant(fpu, 0x4000, 0xc90f_daa2_2168_c234, 0xc4c6_628b_80dc_1cd1);
}

/// `fldlg2`: the logarithm of two to the base ten.
pub(crate) fn fldlg2(fpu: &mut FpuState, _: u8) {
    constant(fpu, 0x3ffd, 0x9a20_9a84_fbcf_f798, 0x8f89_59ac_0b7c_9178);
}

/// `fldln2`: the natural logarithm of two.
pub(crate) fn fldln2(fpu: &mut FpuState, _: u8) {
    constant(fpu, 0x3ffe, 0xb172_17f7_d1cf_79ab, 0xc9e3_b398_03f2_f6af);
}
