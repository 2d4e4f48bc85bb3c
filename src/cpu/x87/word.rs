//! Names of the bits of the x87 status and control words.  Knows nothing of operands.
//!
//! Source: Intel manual 1, sections 8.1.3 and 8.1.5.  2.1 counterpart: i386/include/npx.h.

/// Invalid operation (the same bit masks it in the control word, here and below).
pub(crate) const IE: u16 = 1 << 0;
/// Denormal operand.
pub(crate) const DE: u16 = 1 << 1;
/// Division of a finite number by zero.
pub(crate) const ZE: u16 = 1 << 2;
/// Overflow.
pub(crate) const OE: u16 = 1 << 3;
/// Underflow.
pub(crate) const UE: u16 = 1 << 4;
/// Inexact result.
pub(crate) const PE: u16 = 1 << 5;
/// The invalid operation was a stack overflow or underflow.
pub(crate) const SF: u16 = 1 << 6;
/// Error summary: an unmasked exception is pending.
pub(crate) const ES: u16 = 1 << 7;
/// Condition code 0.
pub(crate) const C0: u16 = 1 << 8;
/// Condition code 1: rounded up, or stack overflow rather than underflow, or a sign.
pub(crate) const C1: u16 = 1 << 9;
/// Condition code 2: unordered, or a reduction is incomplete.
pub(crate) const C2: u16 = 1 << 10;
/// Condition code 3.
pub(crate) const C3: u16 = 1 << 14;
/// Busy; equals the error summary.
pub(crate) const B: u16 = 1 << 15;

/// All six exceptions.
pub(crate) const EXCEPTIONS: u16 = IE | DE | ZE | OE | UE | PE;
/// Exceptions found before the operation: unmasked, they leave the operands as they were.
pub(crate) const EARLY: u16 = IE | DE | ZE;

/// Precision control in the control word.
pub(crate) const PC: u16 = 3 << 8;
/// Precision control: 24 bits.
pub(crate) const PC_24: u16 = 0 << 8;
/// Precision control: 53 bits.
pub(crate) const PC_53: u16 = 2 << 8;
/// Precision control: 64 bits.
pub(crate) const PC_64: u16 = 3 << 8;
/// Rounding control in the control word.
pub(crate) const RC: u16 = 3 << 10;
/// Rounding control: to nearest, ties to even.
pub(crate) const RC_NEAREST: u16 = 0 << 10;
/// Rounding control: towards minus infinity.
pub(crate) const RC_DOWN: u16 = 1 << 10;
/// Rounding control: towards plus infinity.
pub(crate) const RC_UP: u16 = 2 << 10;
