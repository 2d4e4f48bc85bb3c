//! Integer arithmetic as pure functions over an operand width.
//!
//! Values travel as `u32`, zero-extended from their width.  Nothing here knows registers, memory or
//! how flags are kept; results that need flags return what [`super::flags`] asks for.
//!
//! Reference: the instruction pages of the processor manuals.

/// Width of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Word,
    /// 32 bits.
    Dword,
}

impl Width {
    /// Width of an operand of `bytes` bytes; larger sizes count as 32 bits.
    #[inline(always)]
    pub(crate) const fn of(bytes: usize) -> Self {
        match bytes {
            1 => Width::Byte,
            2 => Width::Word,
            _ => Width::Dword,
        }
    }

    /// Number of bytes.
    #[inline(always)]
    pub(crate) const fn bytes(self) -> u32 {
        1 << self as u32
    }

    /// Number of bits.
    #[inline(always)]
    pub(crate) const fn bits(self) -> u32 {
        8 << self as u32
    }

    /// Distance that brings the sign bit to bit 31.
    #[inline(always)]
    pub(crate) const fn shift(self) -> u32 {
        32 - self.bits()
    }

    /// All bits of the width.
    #[inline(always)]
    pub(crate) const fn mask(self) -> u32 {
        u32::MAX >> self.shift()
    }

    /// The value cut to the width.
    #[inline(always)]
    pub(crate) const fn cut(self, x: u32) -> u32 {
        x & self.mask()
    }

    /// The value sign-extended from the width.
    #[inline(always)]
    pub(crate) const fn extend(self, x: u32) -> i32 {
        ((x << self.shift()) as i32) >> self.shift()
    }

    /// The sign bit.
    #[inline(always)]
    pub(crate) const fn sign(self, x: u32) -> bool {
        (x << self.shift()) >> 31 != 0
    }
}

/// `x + y + carry`.
#[inline(always)]
pub(crate) const fn add(w: Width, x: u32, y: u32, carry: u32) -> u32 {
    w.cut(x.wrapping_add(y).wrapping_add(carry))
}

/// `x - y - borrow`.
#[inline(always)]
pub(crate) const fn sub(w: Width, x: u32, y: u32, borrow: u32) -> u32 {
    w.cut(x.wrapping_sub(y).wrapping_sub(borrow))
}

/// `x << count` for a count of 0 to 31.
#[inline(always)]
pub(crate) const fn shl(w: Width, x: u32, count: u32) -> u32 {
    w.cut(x << (count & 31))
}

/// `x >> count` without sign for a count of 0 to 31.
#[inline(always)]
pub(crate) const fn shr(_w: Width, x: u32, count: u32) -> u32 {
    x >> (count & 31)
}

/// `x >> count` with sign for a count of 0 to 31.
#[inline(always)]
pub(crate) const fn sar(w: Width, x: u32, count: u32) -> u32 {
    w.cut((w.extend(x) >> (count & 31)) as u32)
}

/// Rotates left by any count.
#[inline(always)]
pub(crate) const fn rol(w: Width, x: u32, count: u32) -> u32 {
    let count = count & (w.bits() - 1);
    match w {
        Width::Dword => x.rotate_left(count),
        Width::Word => (x as u16).rotate_left(count) as u32,
        Width::Byte => (x as u8).rotate_left(count) as u32,
    }
}

/// Rotates right by any count.
#[inline(always)]
pub(crate) const fn ror(w: Width, x: u32, count: u32) -> u32 {
    rol(w, x, w.bits() - (count & (w.bits() - 1)))
}

/// Rotates left through the carry; gives the value and the new carry.  `count` is already masked to 5 bits.
pub(crate) const fn rcl(w: Width, x: u32, count: u32, carry: bool) -> (u32, bool) {
    let bits = w.bits() + 1;
    let count = count % bits;
    let wide = x as u64 | ((carry as u64) << w.bits());
    let turned = if count == 0 { wide } else { (wide << count) | (wide >> (bits - count)) };
    (w.cut(turned as u32), (turned >> w.bits()) & 1 != 0)
}

/// Rotates right through the carry; gives the value and the new carry.  `count` is already masked to 5 bits.
pub(crate) const fn rcr(w: Width, x: u32, count: u32, carry: bool) -> (u32, bool) {
    let bits = w.bits() + 1;
    let count = count % bits;
    rcl(w, x, if count == 0 { 0 } else { bits - count }, carry)
}

/// Double shift left: gives the value and the last bit shifted out.  `count` is 1 to 31.
pub(crate) const fn shld(w: Width, x: u32, fill: u32, count: u32) -> (u32, bool) {
    // For a count above the width the manual leaves the result open; the bits come round again,
    // first operand behind the second.
    let wide = match w {
        Width::Dword => ((x as u64) << 32) | fill as u64,
        _ => ((x as u64) << 48) | ((fill as u64) << 32) | ((x as u64) << 16) | fill as u64,
    };
    let (top, low) = match w {
        Width::Dword => (64, 32),
        _ => (64, 48),
    };
    let value = w.cut(((wide << count) >> low) as u32);
    (value, (wide >> (top - count)) & 1 != 0)
}

/// Double shift right: gives the value and the last bit shifted out.  `count` is 1 to 31.
pub(crate) const fn shrd(w: Width, x: u32, fill: u32, count: u32) -> (u32, bool) {
    let wide = match w {
        Width::Dword => ((fill as u64) << 32) | x as u64,
        _ => ((fill as u64) << 48) | ((x as u64) << 32) | ((fill as u64) << 16) | x as u64,
    };
    (w.cut((wide >> count) as u32), (wide >> (count - 1)) & 1 != 0)
}

/// Unsigned product of double width, as low and high half.
#[inline(always)]
pub(crate) const fn mul(w: Width, x: u32, y: u32) -> (u32, u32) {
    let z = x as u64 * y as u64;
    (w.cut(z as u32), w.cut((z >> w.bits()) as u32))
}

/// Signed product of double width, as low and high half, and whether the low half alone is wrong.
#[inline(always)]
pub(crate) const fn imul(w: Width, x: u32, y: u32) -> (u32, u32, bool) {
    let z = w.extend(x) as i64 * w.extend(y) as i64;
    let low = w.cut(z as u32);
    (low, w.cut((z >> w.bits()) as u32), w.extend(low) as i64 != z)
}

/// Quotient and remainder of the double-width `high:low`; `None` is a divide error.
pub(crate) const fn div(w: Width, low: u32, high: u32, by: u32) -> Option<(u32, u32)> {
    let x = ((high as u64) << w.bits()) | low as u64;
    if by == 0 {
        return None;
    }
    let (quotient, rest) = (x / by as u64, x % by as u64);
    if quotient > w.mask() as u64 {
        return None;
    }
    Some((quotient as u32, rest as u32))
}

/// Signed quotient and remainder of the double-width `high:low`; `None` is a divide error.
pub(crate) const fn idiv(w: Width, low: u32, high: u32, by: u32) -> Option<(u32, u32)> {
    let spare = 64 - 2 * w.bits();
    let x = ((((high as u64) << w.bits()) | low as u64) << spare) as i64 >> spare;
    let by = w.extend(by) as i64;
    if by == 0 {
        return None;
    }
    let (Some(quotient), Some(rest)) = (x.checked_div(by), x.checked_rem(by)) else {
        return None;
    };
    if w.extend(w.cut(quotient as u32)) as i64 != quotient {
        return None;
    }
    Some((w.cut(quotient as u32), w.cut(rest as u32)))
}

/// Decimal adjustments of AL and AX: the new value with the carry and adjust flags after it.
pub(crate) mod decimal {
    /// A result with its carry and adjust flag.
    pub(crate) type Adjusted = (u32, bool, bool);

    /// After an addition of packed digits (`daa`), on AL.
    pub(crate) const fn daa(al: u32, cf: bool, af: bool) -> Adjusted {
        let low = al & 15 > 9 || af;
        let high = al > 0x99 || cf;
        let add = (if low { 6 } else { 0 }) + (if high { 0x60 } else { 0 });
        ((al + add) & 0xff, high, low)
    }

    /// After a subtraction of packed digits (`das`), on AL.
    pub(crate) const fn das(al: u32, cf: bool, af: bool) -> Adjusted {
        let low = al & 15 > 9 || af;
        let high = al > 0x99 || cf;
        let take = (if low { 6 } else { 0 }) + (if high { 0x60 } else { 0 });
        let borrow = low && al < 6;
        (al.wrapping_sub(take) & 0xff, high || borrow, low)
    }

    /// After an addition of unpacked digits (`aaa`), on AX.
    pub(crate) const fn aaa(ax: u32, af: bool) -> Adjusted {
        let adjust = ax & 15 > 9 || af;
        let ax = if adjust { ax + 0x106 } else { ax };
        (ax & 0xff0f, adjust, adjust)
    }

    /// After a subtraction of unpacked digits (`aas`), on AX.
    pub(crate) const fn aas(ax: u32, af: bool) -> Adjusted {
        let adjust = ax & 15 > 9 || af;
        let ax = if adjust { ax.wrapping_sub(0x106) } else { ax };
        (ax & 0xff0f, adjust, adjust)
    }
}
