//! Arc tangent of a quotient.  Knows nothing of registers or instructions.
//!
//! The quotient is reduced by the nearest multiple of 1/32 to at most 1/64, exactly, and that goes
//! through the Taylor series in 128 bits.

use super::format::Finite;
use super::wide::{ODD, Wide, alternating};

/// Pi / 2.
pub(crate) const HALF_PI: Wide =
    Wide { negative: false, exponent: 0, significand: 0xc90fdaa2_2168c234_c4c6628b_80dc1cd1 };
/// Pi.
pub(crate) const PI: Wide = Wide { exponent: 1, ..HALF_PI };
/// Pi / 4.
pub(crate) const QUARTER_PI: Wide = Wide { exponent: -1, ..HALF_PI };
/// 3 pi / 4.
pub(crate) const THREE_QUARTERS_PI: Wide =
    Wide { negative: false, exponent: 1, significand: 0x96cbe3f9_990e91a7_9394c9e8_a0a5159d };

/// atan(k / 32) as fractions of 2^128.
const ATAN: [u128; 33] = [
    0x00000000_00000000_00000000_00000000,
    0x07ff556e_ea5d892a_13bcebbb_6ed46311,
    0x0ffaaddb_967ef4e3_6cb2792d_c0e2e0d5,
    0x17ee1826_02f10e8c_126acfcf_099f06cf,
    0x1fd5ba9a_ac2f6dc6_5912f313_e7d111df,
    0x27adddd1_8cc4d8b0_d1d86749_40d83fa1,
    0x2f72f697_9cb6044d_1ec2d3e2_07271d22,
    0x3721aea5_24c14408_bd886970_72d54bc1,
    0x3eb6ebf2_5901bac5_5b71e7bd_7de885f9,
    0x462fd68c_2fc5e098_6523a458_dfc414c7,
    0x4d89dcdc_1faf2f34_e2d5da4c_693d7994,
    0x54c2b665_4735276d_4cdbfbbd_fbecf461,
    0x5bd86507_937bc239_c5519091_6e7f2242,
    0x62c934e5_286c95b6_d0ba3748_fa85146f,
    0x6993bb0f_308ff2db_213e4af4_800f389b,
    0x7036d325_3b27be33_e318f6cb_3cc65c02,
    0x76b19c15_86ed3da2_b7f222f6_5e1d4682,
    0x7d03742d_50505f2e_33691e3e_aee47661,
    0x832bf4a6_d9867e2a_4b6a09cb_61a515c1,
    0x892aecdf_de9547b5_094478fc_472b4afc,
    0x8f005d5e_f7f59f9b_5c835e16_65c43748,
    0x94ac72c9_847186f6_18c4f393_f78a32f9,
    0x9a2f80e6_71bdda20_4226f8e2_204ff3bd,
    0x9f89fdc4_f4b7a1ec_f8b49264_4f0701e0,
    0xa4bc7d19_34f70924_19a87f2a_457dac9f,
    0xa9c7abdc_4830f5c8_916a84b5_be7933f6,
    0xaeac4c38_b4d8c080_14725e2f_3e52070a,
    0xb36b31c9_1f043691_59014174_4462f93a,
    0xb8053e2b_c2319e73_cb2da552_10a4443d,
    0xbc7b5dea_e98af280_d4113006_e80fb290,
    0xc0ce85b8_ac526640_89dd62c4_6e92fa25,
    0xc4ffaffa_bf8fbd54_8cb43d10_bc9e0221,
    0xc90fdaa2_2168c234_c4c6628b_80dc1cd1,
];

/// The angle of the point (x, y), in (-pi, pi).
pub(crate) fn arctangent(y: Finite, x: Finite) -> Wide {
    let steep = (y.exponent, y.significand) > (x.exponent, x.significand);
    let (small, big) = if steep { (x, y) } else { (y, x) };
    let angle = acute(small, big);
    let angle = if steep { HALF_PI.add(angle.negated()) } else { angle };
    let angle = if x.sign != 0 { PI.add(angle.negated()) } else { angle };
    Wide { negative: y.sign != 0, ..angle }
}

/// The arc tangent of `small / big`, which is at most one, of their magnitudes.
fn acute(small: Finite, big: Finite) -> Wide {
    let distance = big.exponent - small.exponent;
    if distance > 6 {
        let ratio = Wide::from_finite(Finite { sign: 0, ..small });
        return series(ratio.div(Wide::from_finite(Finite { sign: 0, ..big })));
    }
    let n = u128::from(small.significand);
    let d = u128::from(big.significand) << distance;
    let step = (n as f64 * 32.0 / d as f64).round().min(32.0) as u128;
    // atan(n/d) = atan(k/32) + atan((32n - kd) / (32d + kn))
    let (minuend, subtrahend) = (n << 5, step * d);
    let part = Wide::from_fixed(minuend < subtrahend, minuend.abs_diff(subtrahend), 0);
    let rest = series(part.div(Wide::from_fixed(false, (d << 5) + step * n, 0)));
    Wide::from_fixed(false, ATAN[(step as usize).min(32)], 128).add(rest)
}

fn series(t: Wide) -> Wide {
    let part = alternating(t.mul(t).fraction(), &ODD);
    t.mul(Wide::from_fixed(false, part.max(1).wrapping_neg(), 128))
}
