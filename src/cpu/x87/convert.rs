//! Conversions between the 80-bit format and single and double precision.  Knows nothing of
//! registers or instructions.

use super::format::{BIAS, Class, INTEGER, QUIET};
use super::round::rounds_up;
use super::word::{C1, IE, OE, PE, RC, RC_DOWN, RC_NEAREST, RC_UP, UE};
use crate::trapframe::F80;

/// A memory operand in the 80-bit format and whether it was a denormal.  NaNs are not made quiet.
#[inline(always)]
fn widen<const FRACTION: u32, const EXPONENT: u32>(bits: u64) -> (F80, bool) {
    let sign = ((bits >> (FRACTION + EXPONENT)) as u16) << 15;
    let exponent = (bits >> FRACTION & ((1 << EXPONENT) - 1)) as u16;
    let top = (1 << EXPONENT) - 1;
    if exponent.wrapping_sub(1) < top - 1 {
        let significand = bits << (63 - FRACTION) | INTEGER;
        return (F80::from_parts(sign, exponent + BIAS as u16 - (top >> 1), significand), false);
    }
    widen_special(bits << (63 - FRACTION) & !INTEGER, sign, exponent == top, BIAS as u16 - (top >> 1))
}

#[inline(never)]
fn widen_special(fraction: u64, sign: u16, top: bool, rebias: u16) -> (F80, bool) {
    if top {
        return (F80::from_parts(sign, 0x7fff, fraction | INTEGER), false);
    }
    if fraction == 0 {
        return (F80::zero(sign), false);
    }
    let shift = fraction.leading_zeros();
    (F80::from_parts(sign, rebias + 1 - shift as u16, fraction << shift), true)
}

/// A single in the 80-bit format, see [`from_f64`].
#[inline(always)]
pub(crate) fn from_f32(bits: u32) -> (F80, bool) {
    widen::<23, 8>(u64::from(bits))
}

/// A double in the 80-bit format, and whether it was a denormal.  NaNs are not made quiet.
#[inline(always)]
pub(crate) fn from_f64(bits: u64) -> (F80, bool) {
    widen::<52, 11>(bits)
}

/// The number as a single, and the exceptions of that, see [`to_f64`].
#[inline]
pub(crate) fn to_f32(a: F80, control: u16) -> (u32, u16) {
    let (bits, flags) = narrow::<23, 8>(a, control);
    (bits as u32, flags)
}

/// The number as a double, and the exceptions of that.  Overflow and underflow that are not masked
/// give no number: nothing is to be stored.
#[inline]
pub(crate) fn to_f64(a: F80, control: u16) -> (u64, u16) {
    narrow::<52, 11>(a, control)
}

#[inline(always)]
fn narrow<const FRACTION: u32, const EXPONENT: u32>(a: F80, control: u16) -> (u64, u16) {
    let top = (1i32 << EXPONENT) - 1;
    let drop = 63 - FRACTION;
    let exponent = a.exponent() - BIAS + (top >> 1);
    if (a.significand as i64) < 0 && ((exponent - 1) as u32) < (top - 2) as u32 {
        // The carry out of the fraction adds one to the exponent, and so does the integer bit; neither
        // leaves the range of normal numbers here.
        let mask = (1u64 << drop) - 1;
        let odd = a.significand >> drop & 1;
        let lost = a.significand & mask;
        let up = if control & RC == RC_NEAREST {
            (lost + (mask >> 1) + odd) >> drop
        } else {
            u64::from(rounds_up(lost << (64 - drop), odd != 0, a.sign(), control))
        };
        let magnitude = (((exponent - 1) as u64) << FRACTION) + (a.significand >> drop) + up;
        let flags = (u16::from(lost != 0) * PE) | (up as u16 * C1);
        return (u64::from(a.sign() >> 15) << (FRACTION + EXPONENT) | magnitude, flags);
    }
    narrow_special(a, FRACTION, EXPONENT, control)
}

#[inline(never)]
fn narrow_special(a: F80, fraction_bits: u32, exponent_bits: u32, control: u16) -> (u64, u16) {
    let sign = u64::from(a.sign() >> 15) << (fraction_bits + exponent_bits);
    let top = (1i32 << exponent_bits) - 1;
    let infinity = (top as u64) << fraction_bits;
    let drop = 63 - fraction_bits;
    let nan = |significand: u64| infinity | (significand | QUIET) << 1 >> (drop + 1);
    match a.class() {
        Class::Zero => return (sign, 0),
        Class::Infinity => return (sign | infinity, 0),
        Class::QuietNan => return (sign | nan(a.significand), 0),
        Class::SignallingNan => return (sign | nan(a.significand), IE),
        Class::Unsupported => {
            return (1 << (fraction_bits + exponent_bits) | nan(INTEGER | QUIET), IE);
        }
        Class::Normal | Class::Denormal => {}
    }
    let a = a.finite();
    let round = |significand: u64, sticky: bool| {
        let fraction = significand << (64 - drop) | u64::from(sticky);
        let up = rounds_up(fraction, significand >> drop & 1 != 0, a.sign, control);
        let flags = if fraction != 0 { PE } else { 0 } | if up { C1 } else { 0 };
        ((significand >> drop) + u64::from(up), flags)
    };
    let exponent = a.exponent - BIAS + (top >> 1);
    let (kept, flags) = round(a.significand, false);
    let rounded = exponent + (kept >> (fraction_bits + 1)) as i32;
    if rounded >= top {
        if control & OE == 0 {
            return (0, OE);
        }
        let away = match control & RC {
            RC_NEAREST => true,
            RC_UP => a.sign == 0,
            RC_DOWN => a.sign != 0,
            _ => false,
        };
        return if away { (sign | infinity, OE | PE | C1) } else { (sign | (infinity - 1), OE | PE) };
    }
    if rounded >= 1 {
        return (sign | ((((exponent - 1) as u64) << fraction_bits).wrapping_add(kept)), flags);
    }
    if control & UE == 0 {
        return (0, UE);
    }
    let shift = (1 - exponent) as u32;
    let (shifted, lost) = match shift {
        0..64 => (a.significand >> shift, shift > 0 && a.significand << (64 - shift) != 0),
        _ => (0, true),
    };
    let (kept, flags) = round(shifted, lost);
    (sign | kept, if flags & PE != 0 { flags | UE } else { flags })
}
