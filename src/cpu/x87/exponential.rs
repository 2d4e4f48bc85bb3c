//! `2^x - 1`.  Knows nothing of registers or instructions.
//!
//! The argument is reduced by the sixteenths below it; the rest goes through the Taylor series in 128
//! bits.  Negative arguments go by the positive ones: 2^-x - 1 = -(2^x - 1) / 2^x.

use super::format::{BIAS, Finite};
use super::wide::{LN_2, Wide, ascending};

/// 1 / k! for k from 2, as fractions of 2^128.
const EXP: [u128; 18] = [
    0x80000000_00000000_00000000_00000000,
    0x2aaaaaaa_aaaaaaaa_aaaaaaaa_aaaaaaab,
    0x0aaaaaaa_aaaaaaaa_aaaaaaaa_aaaaaaab,
    0x02222222_22222222_22222222_22222222,
    0x005b05b0_5b05b05b_05b05b05_b05b05b0,
    0x000d00d0_0d00d00d_00d00d00_d00d00d0,
    0x0001a01a_01a01a01_a01a01a0_1a01a01a,
    0x00002e3b_c74aad8e_671f5583_911ca003,
    0x0000049f_93edde27_d71cbbc0_5b4fa99a,
    0x0000006b_99159fd5_138e3f9d_1f92e0df,
    0x00000008_f76c77fc_6c4bdaa2_6d4c3d68,
    0x00000000_b092309d_43684be5_1c198e92,
    0x00000000_0c9cba54_603e4e90_5d6f8a2f,
    0x00000000_00d73f9f_399dc0f8_8ec32b58,
    0x00000000_000d73f9_f399dc0f_88ec32b6,
    0x00000000_0000ca96_3b81856a_53593029,
    0x00000000_00000b41_3c31dcbe_cbbdd802,
    0x00000000_00000097_a4da340a_0ab92651,
];

/// 2^(k / 16) in units of 2^-127.
const POWER: [u128; 16] = [
    0x80000000_00000000_00000000_00000000,
    0x85aac367_cc487b14_c5c95b8c_2154c1b2,
    0x8b95c1e3_ea8bd6e6_fbe46287_58a53c90,
    0x91c3d373_ab11c336_0fd6d8e0_ae5ac9d8,
    0x9837f051_8db8a96f_46ad2318_2e42f6f6,
    0x9ef53260_91a111ad_a0911f09_ebb9fdd1,
    0xa5fed6a9_b15138ea_1cbd7f62_1710701b,
    0xad583eea_42a14ac6_4980a8c8_f59a2ec4,
    0xb504f333_f9de6484_597d89b3_754abe9f,
    0xbd08a39f_580c36be_a8811fb6_6d0faf7a,
    0xc5672a11_5506dadd_3e2ad0c9_64dd9f37,
    0xce248c15_1f8480e3_e235838f_95f2c6ed,
    0xd744fcca_d69d6af4_39a68bb9_902d3fde,
    0xe0ccdeec_2a94e111_06589504_8dd333ca,
    0xeac0c6e7_dd24392e_d02d75b3_706e54fb,
    0xf5257d15_2486cc2c_7b9d0c7a_ed980fc3,
];

/// `2^a - 1` of a number below one in magnitude.
pub(crate) fn power_less_one(a: Finite) -> Wide {
    let result = positive(Wide::from_finite(Finite { sign: 0, ..a }));
    if a.sign == 0 {
        return result;
    }
    result.div(result.add(Wide::ONE)).negated()
}

fn positive(x: Wide) -> Wide {
    if x.exponent < -4 {
        return series(x);
    }
    let fraction = x.fraction();
    let step = (fraction >> 124) as usize & 15;
    let rest = fraction & (u128::MAX >> 4);
    let power = POWER[step];
    let grown = if rest == 0 {
        Wide::ZERO
    } else {
        series(Wide::from_fixed(false, rest, 128)).mul(Wide::from_fixed(false, power, 127))
    };
    grown.add(Wide::from_fixed(false, power - (1 << 127), 127))
}

/// `2^x - 1` of at most a sixteenth.
fn series(x: Wide) -> Wide {
    let s = x.mul(LN_2);
    let part = ascending(s.fraction(), &EXP);
    s.mul(Wide::from_fixed(false, (1 << 127) + (part >> 1), 127))
}

/// Whether the magnitude is below one.
pub(crate) fn in_range(a: Finite) -> bool {
    a.exponent < BIAS
}
