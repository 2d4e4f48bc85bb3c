//! Where doubles are as good as the 80-bit format: operations of the host on registers that hold
//! doubles, at 53 bits, to nearest.
//!
//! Why the results are equal.  Both operands are zero or normal doubles, so the host's operation rounds
//! the exact result to 53 bits, to nearest, as the unit does; the unit's wider range of exponents makes
//! no difference while the result is a normal double above the smallest, which is tested.  The inexact
//! flag must be set already and masked, so that it need not be found out; C1 is put off until somebody
//! asks for the status word, and is then computed from the operands the long way.
//!
//! Knows nothing of encodings or memory.

use super::word::{C1, PC, PC_53, PE, RC, RC_DOWN, RC_NEAREST, RC_UP};
use crate::trapframe::FpuState;
use crate::trapframe::fpu::{Register, RoundedUp};

/// A register that holds a value, as a double.
const FULL: u8 = Register::HOLDS | Register::DOUBLE;

impl FpuState {
    /// Whether results may be rounded by the host.
    #[inline(always)]
    pub(crate) fn rounds_as_host(&self) -> bool {
        const MODE: u16 = PC_53 | RC_NEAREST | PE;
        (self.control & (PC | RC | PE) == MODE) & (self.flags & PE != 0)
    }

    /// The double in a physical register, if it holds one.
    #[inline(always)]
    pub(crate) fn double(&self, physical: usize) -> Option<f64> {
        let register = self.reg[physical & 7];
        (register.kind == FULL).then(|| f64::from_bits(register.bits))
    }

    /// Writes a double, zero or normal, to a physical register that held one.
    #[inline(always)]
    pub(crate) fn put_double(&mut self, physical: usize, value: f64) {
        let register = &mut self.reg[physical & 7];
        register.bits = value.to_bits();
        register.kind = FULL;
    }

    /// Notes that no exception was raised and nothing rounded up.  The flags are left alone: a change
    /// of a part of them would hold up the next load of the whole.
    #[inline(always)]
    pub(crate) fn note_exact(&mut self) {
        self.rounded_up = Some(never);
    }

    /// Writes the host's result to a register that held a double, if it is good.
    #[inline(always)]
    pub(crate) fn finish_double(
        &mut self,
        physical: usize,
        result: f64,
        up: RoundedUp,
        operands: [f64; 2],
    ) -> bool {
        // Normal, and not the smallest, to which a result below it might have been rounded.
        let exponent = (result.to_bits() >> 52) as u32 & 0x7ff;
        if exponent.wrapping_sub(2) >= 0x7fd {
            return false;
        }
        self.reg[physical & 7].bits = result.to_bits();
        self.rounded_up = Some(up);
        self.operands = operands;
        true
    }

    /// Writes an exact zero to a register that held a double.
    #[inline(always)]
    pub(crate) fn finish_zero(&mut self, physical: usize, zero: f64) -> bool {
        self.reg[physical & 7].bits = zero.to_bits();
        self.note_exact();
        true
    }

    /// Pushes a double, zero or normal; `false` when the stack is full and nothing was done.
    #[inline(always)]
    pub(crate) fn push_double(&mut self, value: f64) -> bool {
        let destination = self.physical(7);
        if self.holds(destination) {
            return false;
        }
        self.put_double(destination, value);
        self.note_exact();
        self.top = destination as u8;
        true
    }
}

/// A double rounded to an integral value, with PE and C1; `None` when it is too large for this way.
#[inline(always)]
pub(crate) fn integral(value: f64, control: u16) -> Option<(f64, u16)> {
    // Adding this leaves no bits for a fraction, and the host rounds to nearest.
    const WHOLE: f64 = 6755399441055744.0;
    if value.abs() >= 2251799813685248.0 {
        return None;
    }
    let nearest = (value + WHOLE) - WHOLE;
    let down = if nearest > value { nearest - 1.0 } else { nearest };
    let up = if nearest < value { nearest + 1.0 } else { nearest };
    let whole = match control & RC {
        RC_NEAREST => nearest,
        RC_DOWN => down,
        RC_UP => up,
        _ if value < 0.0 => up,
        _ => down,
    };
    let away = whole.abs() > value.abs();
    Some((whole.copysign(value), if whole == value { 0 } else { PE } | if away { C1 } else { 0 }))
}

/// A double as a single, to nearest, with PE and C1; `None` where the result is not a normal number, or
/// the smallest.
#[inline(always)]
pub(crate) fn single(value: f64) -> Option<(u32, u16)> {
    let single = value as f32;
    let bits = single.to_bits();
    if (bits >> 23 & 0xff).wrapping_sub(2) >= 0xfd && bits << 1 != 0 {
        return None;
    }
    let back = f64::from(single);
    if bits << 1 == 0 && value != 0.0 {
        return None;
    }
    Some((bits, if back == value { 0 } else { PE } | if back.abs() > value.abs() { C1 } else { 0 }))
}

/// Nothing was rounded.
fn never(_: f64, _: f64) -> bool {
    false
}

/// A double in memory, if it is zero or normal.
#[inline(always)]
pub(crate) fn double_of_64(bits: u64) -> Option<f64> {
    let exponent = (bits >> 52) as u32 & 0x7ff;
    (exponent.wrapping_sub(1) < 0x7fe || bits << 1 == 0).then(|| f64::from_bits(bits))
}

/// A single in memory, if it is zero or normal.
#[inline(always)]
pub(crate) fn double_of_32(bits: u32) -> Option<f64> {
    let exponent = bits >> 23 & 0xff;
    (exponent.wrapping_sub(1) < 0xfe || bits << 1 == 0).then(|| f64::from(f32::from_bits(bits)))
}
