//! Comparison of two 80-bit numbers.  Knows nothing of registers or instructions.

use super::format::Class;
use super::word::{C0, C2, C3, DE, IE};
use crate::trapframe::F80;
use std::cmp::Ordering;

/// Condition codes of operands that have no order.
pub(crate) const UNORDERED: u16 = C3 | C2 | C0;

/// Compares `a` with `b`: condition codes and exceptions.  Quiet NaNs are invalid unless
/// `quiet_allowed` (the instructions with a U in their names).
#[inline(always)]
pub(crate) fn compare(a: F80, b: F80, quiet_allowed: bool) -> (u16, u16) {
    if a.is_normal() & b.is_normal() {
        return (codes(order(a, b)), 0);
    }
    compare_special(a, b, quiet_allowed)
}

#[inline(always)]
fn codes(order: Ordering) -> u16 {
    match order {
        Ordering::Less => C0,
        Ordering::Equal => C3,
        Ordering::Greater => 0,
    }
}

/// The order of two numbers neither of which is zero, in any representation of the same exponent.
#[inline(always)]
fn order(a: F80, b: F80) -> Ordering {
    if a.sign() != b.sign() {
        return if a.sign() != 0 { Ordering::Less } else { Ordering::Greater };
    }
    let magnitude = (a.exponent().max(1), a.significand).cmp(&(b.exponent().max(1), b.significand));
    if a.sign() != 0 { magnitude.reverse() } else { magnitude }
}

#[inline(never)]
fn compare_special(a: F80, b: F80, quiet_allowed: bool) -> (u16, u16) {
    let (ca, cb) = (a.class(), b.class());
    for class in [ca, cb] {
        if matches!(class, Class::Unsupported | Class::SignallingNan) {
            return (UNORDERED, IE);
        }
    }
    if ca == Class::QuietNan || cb == Class::QuietNan {
        return (UNORDERED, if quiet_allowed { 0 } else { IE });
    }
    let flags = if ca == Class::Denormal || cb == Class::Denormal { DE } else { 0 };
    if ca == Class::Zero && cb == Class::Zero {
        return (codes(Ordering::Equal), flags);
    }
    if ca == Class::Zero || cb == Class::Zero {
        let negative = if ca == Class::Zero { b.sign() == 0 } else { a.sign() != 0 };
        return (codes(if negative { Ordering::Less } else { Ordering::Greater }), flags);
    }
    (codes(order(a, b)), flags)
}
