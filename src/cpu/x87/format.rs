//! The 80-bit format: classes of values, constants, and which NaN a result takes.  Knows nothing
//! of registers or instructions.
//!
//! Source: Intel manual 1, sections 4.8.3 and 8.2.

use super::word::{DE, IE};
use crate::trapframe::F80;

/// The exponent of infinities and NaNs.
pub(crate) const MAX_EXPONENT: i32 = 0x7fff;
/// What is added to an exponent to store it.
pub(crate) const BIAS: i32 = 0x3fff;
/// The explicit integer bit.
pub(crate) const INTEGER: u64 = 1 << 63;
/// The bit that makes a NaN quiet.
pub(crate) const QUIET: u64 = 1 << 62;
/// The sign in the sign and exponent word.
pub(crate) const SIGN: u16 = 0x8000;

/// A result, the exceptions that it raised, and C1 where it was rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The masked result; for overflow and underflow that are not masked, the one with the
    /// exponent moved by 24576.  Meaningless when an early exception is not masked.
    pub(crate) value: F80,
    /// Bits of the status word.
    pub(crate) flags: u16,
}

/// What kind of value a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Zero,
    /// Exponent zero, pseudo-denormals included.
    Denormal,
    Normal,
    Infinity,
    QuietNan,
    SignallingNan,
    /// Unnormals, pseudo-infinities and pseudo-NaNs: invalid operands since the 387.
    Unsupported,
}

/// A finite number other than zero, normalised: value = significand * 2^(exponent - 16383 - 63).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finite {
    pub(crate) sign: u16,
    pub(crate) exponent: i32,
    pub(crate) significand: u64,
}

impl F80 {
    /// Plus zero.
    pub const ZERO: Self = Self::from_parts(0, 0, 0);
    /// One.
    pub const ONE: Self = Self::from_parts(0, BIAS as u16, INTEGER);
    /// The result of masked invalid operations.
    pub const INDEFINITE: Self = Self::from_parts(SIGN, 0x7fff, INTEGER | QUIET);

    /// A number from its sign (0 or 0x8000), stored exponent and significand.
    #[inline(always)]
    pub(crate) const fn from_parts(sign: u16, exponent: u16, significand: u64) -> Self {
        Self { significand, sign_exponent: sign | exponent }
    }

    /// Infinity of a sign.
    pub(crate) const fn infinity(sign: u16) -> Self {
        Self::from_parts(sign, 0x7fff, INTEGER)
    }

    /// Zero of a sign.
    pub(crate) const fn zero(sign: u16) -> Self {
        Self::from_parts(sign, 0, 0)
    }

    /// 0 or 0x8000.
    #[inline(always)]
    pub(crate) const fn sign(self) -> u16 {
        self.sign_exponent & SIGN
    }

    /// The stored exponent.
    #[inline(always)]
    pub(crate) const fn exponent(self) -> i32 {
        (self.sign_exponent & 0x7fff) as i32
    }

    /// The same number with the other sign.
    #[inline(always)]
    pub(crate) const fn negated(self) -> Self {
        Self { significand: self.significand, sign_exponent: self.sign_exponent ^ SIGN }
    }

    /// Whether this is a normal number: the operands of the fast paths.
    #[inline(always)]
    pub(crate) const fn is_normal(self) -> bool {
        let middle = ((self.exponent() - 1) as u32) < 0x7ffe;
        middle & ((self.significand as i64) < 0)
    }

    /// What kind of value this is.
    pub(crate) fn class(self) -> Class {
        let s = self.significand;
        match self.exponent() {
            0 if s == 0 => Class::Zero,
            0 => Class::Denormal,
            _ if s & INTEGER == 0 => Class::Unsupported,
            MAX_EXPONENT if s == INTEGER => Class::Infinity,
            MAX_EXPONENT if s & QUIET != 0 => Class::QuietNan,
            MAX_EXPONENT => Class::SignallingNan,
            _ => Class::Normal,
        }
    }

    /// The parts of a normal number.
    #[inline(always)]
    pub(crate) const fn normal(self) -> Finite {
        Finite { sign: self.sign(), exponent: self.exponent(), significand: self.significand }
    }

    /// The parts of a normal or denormal number, normalised.
    pub(crate) fn finite(self) -> Finite {
        let shift = self.significand.leading_zeros();
        let exponent = self.exponent().max(1) - shift as i32;
        Finite { sign: self.sign(), exponent, significand: self.significand << (shift & 63) }
    }

    /// The same NaN, quiet.
    pub(crate) const fn quieted(self) -> Self {
        Self { significand: self.significand | QUIET, sign_exponent: self.sign_exponent }
    }
}

impl Finite {
    /// The same number with the other sign.
    #[inline(always)]
    pub(crate) const fn negated(self) -> Self {
        Self { sign: self.sign ^ SIGN, ..self }
    }
}

impl Class {
    /// Whether this is a NaN of either kind.
    pub(crate) fn is_nan(self) -> bool {
        matches!(self, Class::QuietNan | Class::SignallingNan)
    }
}

impl Outcome {
    /// A result without exceptions.
    #[inline(always)]
    pub(crate) const fn exact(value: F80) -> Self {
        Self { value, flags: 0 }
    }

    /// A result and its exceptions.
    #[inline(always)]
    pub(crate) const fn new(value: F80, flags: u16) -> Self {
        Self { value, flags }
    }

    /// The masked result of an invalid operation.
    pub(crate) const fn invalid() -> Self {
        Self::new(F80::INDEFINITE, IE)
    }

    /// The same result with a denormal operand noted.  Where that exception is not masked, the
    /// operation stops before it raises any other.
    pub(crate) fn with_denormal(self, denormal: bool, control: u16) -> Self {
        match denormal {
            false => self,
            true if control & DE == 0 => Self::new(self.value, DE),
            true => Self::new(self.value, self.flags | DE),
        }
    }
}

/// The result of an operation of one operand that is not a number.
pub(crate) fn nan_of_one(a: F80) -> Option<Outcome> {
    match a.class() {
        Class::Unsupported => Some(Outcome::invalid()),
        Class::SignallingNan => Some(Outcome::new(a.quieted(), IE)),
        Class::QuietNan => Some(Outcome::exact(a)),
        _ => None,
    }
}

/// The result of an operation of which an operand is not a number: the quiet one of a quiet and a
/// signalling NaN, else the one with the larger significand, else the positive one.
pub(crate) fn nan_of_two(a: F80, b: F80) -> Option<Outcome> {
    let (ca, cb) = (a.class(), b.class());
    if ca == Class::Unsupported || cb == Class::Unsupported {
        return Some(Outcome::invalid());
    }
    let signalling = ca == Class::SignallingNan || cb == Class::SignallingNan;
    let flags = if signalling { IE } else { 0 };
    let value = match (ca.is_nan(), cb.is_nan()) {
        (false, false) => return None,
        (true, false) => a,
        (false, true) => b,
        (true, true) if ca == Class::SignallingNan && cb == Class::QuietNan => b,
        (true, true) if ca == Class::QuietNan && cb == Class::SignallingNan => a,
        (true, true) if a.significand != b.significand => {
            if a.significand > b.significand {
                a
            } else {
                b
            }
        }
        (true, true) if a.sign() == 0 => a,
        (true, true) => b,
    };
    Some(Outcome::new(value.quieted(), flags))
}
