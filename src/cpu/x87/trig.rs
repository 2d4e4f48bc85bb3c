//! Sine, cosine and tangent.  Knows nothing of registers or instructions.
//!
//! Arguments are reduced by the hardware's approximation of pi, which has 66 bits, exactly; what is
//! left, at most pi/4, goes through the Taylor series in 128 bits.

use super::format::{BIAS, Finite};
use super::wide::{Wide, alternating};

/// 1 / (2k + 1)! for k from 1, as fractions of 2^128.
const SIN: [u128; 16] = [
    0x2aaaaaaa_aaaaaaaa_aaaaaaaa_aaaaaaab,
    0x02222222_22222222_22222222_22222222,
    0x000d00d0_0d00d00d_00d00d00_d00d00d0,
    0x00002e3b_c74aad8e_671f5583_911ca003,
    0x0000006b_99159fd5_138e3f9d_1f92e0df,
    0x00000000_b092309d_43684be5_1c198e92,
    0x00000000_00d73f9f_399dc0f8_8ec32b58,
    0x00000000_0000ca96_3b81856a_53593029,
    0x00000000_00000097_a4da340a_0ab92651,
    0x00000000_00000000_5c6e3bdb_73d5c630,
    0x00000000_00000000_002ec368_262c7034,
    0x00000000_00000000_000013f3_ccdd1660,
    0x00000000_00000000_00000007_46ac70b7,
    0x00000000_00000000_00000000_024b3f31,
    0x00000000_00000000_00000000_0000a1a7,
    0x00000000_00000000_00000000_00000027,
];

/// 1 / (2k)! for k from 1, as fractions of 2^128.
const COS: [u128; 16] = [
    0x80000000_00000000_00000000_00000000,
    0x0aaaaaaa_aaaaaaaa_aaaaaaaa_aaaaaaab,
    0x005b05b0_5b05b05b_05b05b05_b05b05b0,
    0x0001a01a_01a01a01_a01a01a0_1a01a01a,
    0x0000049f_93edde27_d71cbbc0_5b4fa99a,
    0x00000008_f76c77fc_6c4bdaa2_6d4c3d68,
    0x00000000_0c9cba54_603e4e90_5d6f8a2f,
    0x00000000_000d73f9_f399dc0f_88ec32b6,
    0x00000000_00000b41_3c31dcbe_cbbdd802,
    0x00000000_00000007_950ae900_808941ea,
    0x00000000_00000000_04338e5b_6dfe14a5,
    0x00000000_00000000_0001f2cf_01972f57,
    0x00000000_00000000_000000c4_742fe352,
    0x00000000_00000000_00000000_42862899,
    0x00000000_00000000_00000000_0013932c,
    0x00000000_00000000_00000000_0000050d,
];

/// Pi in units of 2^-64, and so half of it in units of 2^-65, as the hardware has it.
const PI_66: u128 = 0x3_243f_6a88_85a3_08d3;

/// One third.
const THIRD: Wide =
    Wide { negative: false, exponent: -2, significand: 0xaaaaaaaa_aaaaaaaa_aaaaaaaa_aaaaaaaa };

/// An argument less a multiple of pi/2: the rest's magnitude is at most pi/4.
struct Reduced {
    rest: Wide,
    quadrant: u32,
    negative: bool,
}

/// Whether the argument is too large to be reduced: the instruction leaves it and sets C2.
pub(crate) fn out_of_range(exponent: i32) -> bool {
    exponent >= BIAS + 63
}

fn reduce(a: Finite) -> Reduced {
    let negative = a.sign != 0;
    let exponent = a.exponent - BIAS;
    if exponent < -1 {
        return Reduced { rest: Wide::from_finite(Finite { sign: 0, ..a }), quadrant: 0, negative };
    }
    let units = u128::from(a.significand) << (exponent + 2);
    let (multiple, rest) = (units / PI_66, units % PI_66);
    let quadrant = multiple as u32;
    if rest > PI_66 >> 1 {
        let rest = Wide::from_fixed(true, PI_66 - rest, 65);
        return Reduced { rest, quadrant: quadrant.wrapping_add(1) & 3, negative };
    }
    Reduced { rest: Wide::from_fixed(false, rest, 65), quadrant: quadrant & 3, negative }
}

/// Sine and cosine of at most pi/4 in magnitude.
fn series(rest: Wide) -> (Wide, Wide) {
    let square = rest.mul(rest).fraction();
    let sine = rest.mul(one_minus(alternating(square, &SIN)));
    (sine, one_minus(alternating(square, &COS)))
}

/// `1 - part / 2^128`, never one itself: the series are below one for every argument.
fn one_minus(part: u128) -> Wide {
    Wide::from_fixed(false, part.max(1).wrapping_neg(), 128)
}

/// Sine and cosine.
pub(crate) fn sine_cosine(a: Finite) -> (Wide, Wide) {
    let reduced = reduce(a);
    let (sine, cosine) = series(reduced.rest);
    let (sine, cosine) = match reduced.quadrant {
        0 => (sine, cosine),
        1 => (cosine, sine.negated()),
        2 => (sine.negated(), cosine.negated()),
        _ => (cosine.negated(), sine),
    };
    (if reduced.negative { sine.negated() } else { sine }, cosine)
}

/// Tangent.
pub(crate) fn tangent(a: Finite) -> Wide {
    let reduced = reduce(a);
    let tangent = if reduced.rest.exponent < -32 {
        // x + x^3 / 3, and a little more.
        let x = reduced.rest;
        let sum = x.add(x.mul(x).mul(x).mul(THIRD));
        Wide { significand: sum.significand | 1, ..sum }
    } else {
        let (sine, cosine) = series(reduced.rest);
        sine.div(cosine)
    };
    let tangent = if reduced.quadrant & 1 != 0 { Wide::ONE.div(tangent).negated() } else { tangent };
    if reduced.negative { tangent.negated() } else { tangent }
}
