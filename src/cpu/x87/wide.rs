//! Numbers of 128 bits for the transcendental functions: floating ones for the reduction of
//! arguments and for results, fixed ones for series.  Every operation errs by a few units of 2^-124
//! at most, which leaves the rounding to 64 bits as good as that of the exact value.
//!
//! Knows nothing of functions, registers or instructions.

use super::format::{BIAS, Finite, Outcome, SIGN};
use super::round::round_64;

/// `significand / 2^127 * 2^exponent`, its top bit set, or zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wide {
    pub(crate) negative: bool,
    pub(crate) exponent: i32,
    pub(crate) significand: u128,
}

/// The upper half of a product, short by at most three.
#[inline(always)]
pub(crate) fn high(a: u128, b: u128) -> u128 {
    let (a1, a0) = (a >> 64, a & u128::from(u64::MAX));
    let (b1, b0) = (b >> 64, b & u128::from(u64::MAX));
    a1 * b1 + ((a1 * b0) >> 64) + ((a0 * b1) >> 64)
}

/// The natural logarithm of two.
pub(crate) const LN_2: Wide =
    Wide { negative: false, exponent: -1, significand: 0xb17217f7_d1cf79ab_c9e3b398_03f2f6af };

/// Twice the logarithm of e to the base two.
pub(crate) const TWICE_LOG2_E: Wide =
    Wide { negative: false, exponent: 1, significand: 0xb8aa3b29_5c17f0bb_be87fed0_691d3e89 };

/// 1 / (2k + 1) for k from 1, as fractions of 2^128.
pub(crate) const ODD: [u128; 12] = [
    0x55555555_55555555_55555555_55555555,
    0x33333333_33333333_33333333_33333333,
    0x24924924_92492492_49249249_24924925,
    0x1c71c71c_71c71c71_c71c71c7_1c71c71c,
    0x1745d174_5d1745d1_745d1745_d1745d17,
    0x13b13b13_b13b13b1_3b13b13b_13b13b14,
    0x11111111_11111111_11111111_11111111,
    0x0f0f0f0f_0f0f0f0f_0f0f0f0f_0f0f0f0f,
    0x0d79435e_50d79435_e50d7943_5e50d794,
    0x0c30c30c_30c30c30_c30c30c3_0c30c30c,
    0x0b21642c_8590b216_42c8590b_21642c86,
    0x0a3d70a3_d70a3d70_a3d70a3d_70a3d70a,
];

/// The number of terms of a power series that matter at `z / 2^128`.
#[inline(always)]
fn terms(z: u128, available: usize) -> usize {
    match z.leading_zeros() {
        0 => available,
        zeros => (126 / zeros as usize + 1).min(available),
    }
}

/// `z (c[0] - z (c[1] - z (...)))`, all of them fractions of 2^128.
pub(crate) fn alternating(z: u128, c: &[u128]) -> u128 {
    c[..terms(z, c.len())].iter().rev().fold(0, |sum, c| high(z, c - sum))
}

/// `z (c[0] + z (c[1] + z (...)))`, all of them fractions of 2^128.
pub(crate) fn ascending(z: u128, c: &[u128]) -> u128 {
    c[..terms(z, c.len())].iter().rev().fold(0, |sum, c| high(z, c + sum))
}

impl Wide {
    pub(crate) const ZERO: Self = Self { negative: false, exponent: 0, significand: 0 };
    pub(crate) const ONE: Self = Self { negative: false, exponent: 0, significand: 1 << 127 };

    /// `value / 2^point`.
    pub(crate) fn from_fixed(negative: bool, value: u128, point: i32) -> Self {
        if value == 0 {
            return Self::ZERO;
        }
        let shift = value.leading_zeros();
        Self { negative, exponent: 127 - point - shift as i32, significand: value << shift }
    }

    pub(crate) fn from_finite(a: Finite) -> Self {
        let significand = u128::from(a.significand) << 64;
        Self { negative: a.sign != 0, exponent: a.exponent - BIAS, significand }
    }

    pub(crate) fn is_zero(self) -> bool {
        self.significand == 0
    }

    pub(crate) fn negated(self) -> Self {
        Self { negative: !self.negative, ..self }
    }

    pub(crate) fn mul(self, other: Self) -> Self {
        let product = high(self.significand, other.significand);
        if product == 0 {
            return Self::ZERO;
        }
        let carry = (product >> 127) as i32;
        Self {
            negative: self.negative != other.negative,
            exponent: self.exponent + other.exponent + carry,
            significand: product << (1 - carry),
        }
    }

    /// The quotient by a number that is not zero.
    pub(crate) fn div(self, other: Self) -> Self {
        let reciprocal = reciprocal(other.significand);
        // The reciprocal is in (1/2, 1].
        let by = Self::from_fixed(other.negative, reciprocal, 127 + other.exponent);
        self.mul(by)
    }

    pub(crate) fn add(self, other: Self) -> Self {
        if self.is_zero() {
            return other;
        }
        if other.is_zero() {
            return self;
        }
        let swap = (self.exponent, self.significand) < (other.exponent, other.significand);
        let (big, small) = if swap { (other, self) } else { (self, other) };
        let distance = (big.exponent - small.exponent) as u32;
        let part = small.significand.checked_shr(distance).unwrap_or(0);
        if big.negative == small.negative {
            let (sum, carry) = big.significand.overflowing_add(part);
            let significand = if carry { sum >> 1 | 1 << 127 } else { sum };
            return Self { exponent: big.exponent + i32::from(carry), significand, ..big };
        }
        let difference = big.significand - part;
        if difference == 0 {
            return Self::ZERO;
        }
        let shift = difference.leading_zeros();
        Self { exponent: big.exponent - shift as i32, significand: difference << shift, ..big }
    }

    /// A number below one in absolute value as a fraction of 2^128.
    pub(crate) fn fraction(self) -> u128 {
        self.significand.checked_shr((-1 - self.exponent) as u32).unwrap_or(0)
    }

    /// Rounds to the 80-bit format.  What is not exact has bits below those that are kept here.
    pub(crate) fn round(self, exact: bool, control: u16) -> Outcome {
        let sign = if self.negative { SIGN } else { 0 };
        let rest = self.significand as u64 | u64::from(!exact);
        round_64(sign, self.exponent + BIAS, (self.significand >> 64) as u64, rest, control)
    }
}

/// `2^254 / value` of a value with its top bit set: a quotient of 64 bits and one step of Newton.
fn reciprocal(value: u128) -> u128 {
    let first = ((1u128 << 127) / (value >> 64)).min(u128::from(u64::MAX));
    // value * first / 2^191 is one but for about 2^-62.
    let product = (value >> 64) * first + (((value & u128::from(u64::MAX)) * first) >> 64);
    let error = (1i128 << 127).wrapping_sub(product as i128) >> 3;
    let correction = (first as i128 * error) >> 61;
    (first << 63).wrapping_add(correction as u128)
}
