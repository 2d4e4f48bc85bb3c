//! Logarithm to the base two, of a number and of one plus a number.  Knows nothing of registers or
//! instructions.
//!
//! The significand is divided by the nearest 1 + k/32; the logarithm of the quotient, which is within
//! 1/64 of one, is the series of the area tangent in 128 bits.  Near one nothing cancels.

use super::format::{BIAS, Finite};
use super::wide::{ODD, TWICE_LOG2_E, Wide, ascending};

/// log2(1 + k / 32) as fractions of 2^128.
const LOG2: [u128; 32] = [
    0x00000000_00000000_00000000_00000000,
    0x0b5d69ba_c77ec398_9b03784b_5be08490,
    0x1663f6fa_c913167c_cc538261_44575ac4,
    0x2118b119_b4f3c72c_4f78dfa1_4aa5157b,
    0x2b803473_f7ad0f3f_40162414_0d175ba2,
    0x359ebc5b_69d927df_c23d9780_306c696a,
    0x3f782d72_04d01447_51b3314f_09de6be5,
    0x49101eac_381ce609_16e52e91_300efeef,
    0x5269e12f_346e2bf9_24afdbfd_36bf6d33,
    0x5b888736_7433795e_35482d13_dc0f110d,
    0x646eea24_7c5c22d2_cad415ae_1a715618,
    0x6d1fafdc_e20a8290_51bbe3f6_289e3ab7,
    0x759d4f80_cba83bf8_faf86641_5554d6bf,
    0x7dea15a3_2c1b3b38_64c60011_43d6c8d6,
    0x86082806_b1d532c4_12ba94db_12ef0aa8,
    0x8df988f4_ae806f1d_a89d4ee6_6c3700e4,
    0x95c01a39_fbd6879f_a00b120a_068badd1,
    0x9d5d9fd5_010b3666_55920748_27cb508e,
    0xa4d3c25e_68dc57f2_495fb7fa_6d7eda67,
    0xac241134_c4e99e1c_6c5e946b_4ae30895,
    0xb3500472_3c465e69_76da1c87_2983511e,
    0xba58feb2_703a9e37_2bc1fe8a_8648e9ec,
    0xc1404ead_f38396de_e021361e_13a30973,
    0xc80730b0_001667f2_1fa8423e_8c1443f3,
    0xceaecfea_80859b33_2ac903a4_13e5a847,
    0xd53847ac_00a69be6_f1be4359_106a19b6,
    0xdba4a47a_a996d25a_5b8a19b1_c637671f,
    0xe1f4e517_0d02a99b_4c5a724d_bd8180f8,
    0xe829fb69_3044b398_c4baee07_3d4b1b05,
    0xee44cd59_ffab62f3_39d5d6a2_18c633a0,
    0xf446359b_13539551_0d1e3f80_fbc71454,
    0xfa2f045e_7832aa72_6adf27b8_20fd03ea,
];

/// A logarithm and whether it is exact.
pub(crate) struct Logarithm {
    pub(crate) value: Wide,
    pub(crate) exact: bool,
}

/// `log2(a)` of a positive number.
pub(crate) fn log2(a: Finite) -> Logarithm {
    of_significand(u128::from(a.significand) << 63, a.exponent - BIAS)
}

/// `log2(1 + a)` of a number above -1 and of moderate size.
pub(crate) fn log2_plus_one(a: Finite) -> Logarithm {
    let x = Wide::from_finite(a);
    if x.exponent < -6 {
        let two = Wide { exponent: 1, ..Wide::ONE };
        return Logarithm { value: series(x.div(x.add(two))), exact: false };
    }
    let sum = x.add(Wide::ONE);
    of_significand(sum.significand >> 1, sum.exponent)
}

/// The logarithm of `significand / 2^126 * 2^exponent`, the significand's value in [1, 2).
fn of_significand(significand: u128, exponent: i32) -> Logarithm {
    let step = ((significand >> 120) as usize - 63) >> 1;
    let divisor = (32 + step as u128) << 121;
    let difference = significand.abs_diff(divisor);
    let (whole, part) = match LOG2.get(step) {
        Some(part) => (exponent, *part),
        None => (exponent + 1, 0),
    };
    let whole = Wide::from_fixed(whole < 0, u128::from(whole.unsigned_abs()), 0);
    let base = whole.add(Wide::from_fixed(false, part, 128));
    if difference == 0 {
        return Logarithm { value: base, exact: part == 0 };
    }
    let numerator = Wide::from_fixed(significand < divisor, difference, 126);
    let s = numerator.div(Wide::from_fixed(false, significand + divisor, 126));
    Logarithm { value: base.add(series(s)), exact: false }
}

/// `log2((1 + s) / (1 - s))`.
fn series(s: Wide) -> Wide {
    let part = ascending(s.mul(s).fraction(), &ODD);
    s.mul(Wide::from_fixed(false, (1 << 127) + (part >> 1), 127)).mul(TWICE_LOG2_E)
}
