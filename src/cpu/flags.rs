//! The arithmetic flags, kept as the operands of the instruction that set them.
//!
//! An instruction that sets all six flags stores its class and operands; the flags are computed when
//! somebody asks.  `inc`, `dec` and the rotates set only some of them: they are kept in a second,
//! overriding record, so that they need not evaluate the first.  Knows nothing of registers or memory.
//!
//! Reference: the "Flags affected" paragraphs of the processor manuals.

use super::alu::{self, Width};
use crate::trapframe::eflags::{AF, CF, OF, PF, SF, ZF};

/// The six arithmetic flags.
pub(crate) const ARITHMETIC: u32 = CF | PF | AF | ZF | SF | OF;

/// What kind of instruction set the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Class {
    /// `a` holds the flags themselves.
    Explicit,
    /// `a + b`.
    Add,
    /// `a + b + 1`.
    AddCarry,
    /// `a - b`.
    Sub,
    /// `a - b - 1`.
    SubBorrow,
    /// A result `a` that cannot carry.
    Logic,
    /// `a << b`, b not zero.
    Shl,
    /// `a >> b`, b not zero.
    Shr,
    /// `a >> b` with sign, b not zero.
    Sar,
    /// A product with the low half `a`; `b` says whether it overflowed.
    Mul,
}

/// What overrides a part of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Over {
    /// Nothing.
    None,
    /// `inc`: all but the carry come from `r`.
    Inc,
    /// `dec`: all but the carry come from `r`.
    Dec,
    /// A rotate: carry and overflow are those of `r`.
    Rotate,
}

/// Class, width and override; one word, so that one store writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(4))]
struct Tag {
    class: Class,
    width: Width,
    over: Over,
    over_width: Width,
}

/// The arithmetic flags, not yet computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Flags {
    tag: Tag,
    a: u32,
    b: u32,
    r: u32,
}

/// Even parity of the low byte.
#[inline(always)]
fn parity(x: u32) -> bool {
    even(x) != 0
}

/// 1 for even parity of the low byte, else 0: the four bits that are the exclusive or of its halves look it
/// up in a word.
#[inline(always)]
fn even(x: u32) -> u32 {
    0x9669 >> ((x ^ x >> 4) & 15) & 1
}

/// Sign, zero and parity flag of a result.
#[inline(always)]
fn of_result(w: Width, r: u32) -> u32 {
    let top = r << w.shift();
    u32::from(top == 0) << ZF.trailing_zeros() | top >> 24 & SF | even(r) << PF.trailing_zeros()
}

/// Condition codes as instructions encode them, in pairs: an odd one is the negation of its even one.
pub(crate) mod condition {
    pub(crate) const O: u8 = 0;
    pub(crate) const B: u8 = 2;
    pub(crate) const E: u8 = 4;
    pub(crate) const BE: u8 = 6;
    pub(crate) const S: u8 = 8;
    pub(crate) const P: u8 = 10;
    pub(crate) const L: u8 = 12;
    pub(crate) const LE: u8 = 14;
}
use condition as cc;

impl Flags {
    /// All flags given.
    pub(crate) fn from_eflags(bits: u32) -> Self {
        let tag =
            Tag { class: Class::Explicit, width: Width::Dword, over: Over::None, over_width: Width::Dword };
        Self { tag, a: bits & ARITHMETIC, b: 0, r: 0 }
    }

    /// Sets all flags.
    pub(crate) fn set(&mut self, bits: u32) {
        *self = Self::from_eflags(bits);
    }

    /// Sets those of `mask` to those of `bits` and keeps the rest.
    pub(crate) fn replace(&mut self, mask: u32, bits: u32) {
        self.set((self.eflags() & !mask) | (bits & mask));
    }

    #[inline(always)]
    fn note(&mut self, class: Class, width: Width, a: u32, b: u32) {
        self.tag = Tag { class, width, over: Over::None, over_width: Width::Byte };
        self.a = a;
        self.b = b;
    }

    /// `x + y` was computed.
    #[inline(always)]
    pub(crate) fn add(&mut self, w: Width, x: u32, y: u32) {
        self.note(Class::Add, w, x, y);
    }

    /// `x + y + carry` was computed.
    #[inline(always)]
    pub(crate) fn adc(&mut self, w: Width, x: u32, y: u32, carry: bool) {
        self.note(if carry { Class::AddCarry } else { Class::Add }, w, x, y);
    }

    /// `x - y` was computed.
    #[inline(always)]
    pub(crate) fn sub(&mut self, w: Width, x: u32, y: u32) {
        self.note(Class::Sub, w, x, y);
    }

    /// `x - y - borrow` was computed.
    #[inline(always)]
    pub(crate) fn sbb(&mut self, w: Width, x: u32, y: u32, borrow: bool) {
        self.note(if borrow { Class::SubBorrow } else { Class::Sub }, w, x, y);
    }

    /// A logical operation gave `r`.
    #[inline(always)]
    pub(crate) fn logic(&mut self, w: Width, r: u32) {
        self.tag = Tag { class: Class::Logic, width: w, over: Over::None, over_width: Width::Byte };
        self.a = r;
    }

    /// `x << count`, count 1 to 31.
    #[inline(always)]
    pub(crate) fn shl(&mut self, w: Width, x: u32, count: u32) {
        self.note(Class::Shl, w, x, count);
    }

    /// `x >> count`, count 1 to 31.
    #[inline(always)]
    pub(crate) fn shr(&mut self, w: Width, x: u32, count: u32) {
        self.note(Class::Shr, w, x, count);
    }

    /// `x >> count` with sign, count 1 to 31.
    #[inline(always)]
    pub(crate) fn sar(&mut self, w: Width, x: u32, count: u32) {
        self.note(Class::Sar, w, x, count);
    }

    /// A product with the low half `low`.
    #[inline(always)]
    pub(crate) fn mul(&mut self, w: Width, low: u32, overflow: bool) {
        self.note(Class::Mul, w, low, u32::from(overflow));
    }

    /// `inc` gave `r`.
    #[inline(always)]
    pub(crate) fn inc(&mut self, w: Width, r: u32) {
        self.step(Over::Inc, w, r);
    }

    /// `dec` gave `r`.
    #[inline(always)]
    pub(crate) fn dec(&mut self, w: Width, r: u32) {
        self.step(Over::Dec, w, r);
    }

    #[inline(always)]
    fn step(&mut self, over: Over, w: Width, r: u32) {
        if matches!(self.tag.over, Over::Rotate) {
            self.settle();
        }
        self.tag.over = over;
        self.tag.over_width = w;
        self.r = r;
    }

    /// A rotate set carry and overflow.
    #[inline(always)]
    pub(crate) fn rotate(&mut self, carry: bool, overflow: bool) {
        if matches!(self.tag.over, Over::Inc | Over::Dec) {
            self.settle();
        }
        self.tag.over = Over::Rotate;
        self.r = u32::from(carry) | u32::from(overflow) << 11;
    }

    /// Takes the low byte of the flags, as `sahf` does.
    #[inline(never)]
    pub(crate) fn sahf(&mut self, ah: u32) {
        self.replace(SF | ZF | AF | PF | CF, ah);
    }

    #[cold]
    #[inline(never)]
    fn settle(&mut self) {
        self.set(self.eflags());
    }

    /// The flags as EFLAGS holds them.
    #[inline(always)]
    pub(crate) fn eflags(&self) -> u32 {
        if matches!(self.tag, Tag { class: Class::Explicit, over: Over::None, .. }) {
            return self.a;
        }
        self.evaluated()
    }

    fn evaluated(&self) -> u32 {
        let w = self.tag.over_width;
        let base = self.base();
        match self.tag.over {
            Over::None => base,
            Over::Inc => {
                base & CF
                    | of_result(w, self.r)
                    | (if self.r & 15 == 0 { AF } else { 0 })
                    | (if w.cut(self.r) == w.cut(1 << (w.bits() - 1)) { OF } else { 0 })
            }
            Over::Dec => {
                base & CF
                    | of_result(w, self.r)
                    | (if self.r & 15 == 15 { AF } else { 0 })
                    | (if w.cut(self.r) == w.mask() >> 1 { OF } else { 0 })
            }
            Over::Rotate => base & !(CF | OF) | self.r,
        }
    }

    /// The flags without the override.
    #[inline]
    fn base(&self) -> u32 {
        // Known widths and classes let the optimiser see through the general form.
        match (self.tag.class, self.tag.width) {
            (Class::Explicit, _) => self.a,
            (Class::Sub, Width::Dword) => self.base_of(Class::Sub, Width::Dword),
            (Class::Add, Width::Dword) => self.base_of(Class::Add, Width::Dword),
            (Class::Logic, Width::Dword) => self.base_of(Class::Logic, Width::Dword),
            (class, width) => self.any_base(class, width),
        }
    }

    #[cold]
    #[inline(never)]
    fn any_base(&self, class: Class, w: Width) -> u32 {
        self.base_of(class, w)
    }

    #[inline(always)]
    fn base_of(&self, class: Class, w: Width) -> u32 {
        let (a, b) = (self.a, self.b);
        let r = match class {
            Class::Explicit => return a,
            Class::Add => alu::add(w, a, b, 0),
            Class::AddCarry => alu::add(w, a, b, 1),
            Class::Sub => alu::sub(w, a, b, 0),
            Class::SubBorrow => alu::sub(w, a, b, 1),
            Class::Logic | Class::Mul => a,
            Class::Shl => alu::shl(w, a, b),
            Class::Shr => alu::shr(w, a, b),
            Class::Sar => alu::sar(w, a, b),
        };
        let overflow = match class {
            Class::Add | Class::AddCarry => w.sign((a ^ r) & (b ^ r)),
            Class::Sub | Class::SubBorrow => w.sign((a ^ b) & (a ^ r)),
            Class::Shl => w.sign(r) != self.carry_of(class, w),
            Class::Shr => w.sign(a),
            Class::Mul => b != 0,
            _ => false,
        };
        let adjust = match class {
            Class::Add | Class::AddCarry | Class::Sub | Class::SubBorrow => (a ^ b ^ r) & AF,
            _ => 0,
        };
        of_result(w, r) | adjust | u32::from(self.carry_of(class, w)) | (if overflow { OF } else { 0 })
    }

    /// The carry without the override.
    #[inline]
    fn base_carry(&self) -> bool {
        self.carry_of(self.tag.class, self.tag.width)
    }

    #[inline(always)]
    fn carry_of(&self, class: Class, w: Width) -> bool {
        let (a, b) = (self.a, self.b);
        match class {
            Class::Explicit => a & CF != 0,
            Class::Add => alu::add(w, a, b, 0) < w.cut(a),
            Class::AddCarry => alu::add(w, a, b, 1) <= w.cut(a),
            Class::Sub => w.cut(a) < w.cut(b),
            Class::SubBorrow => w.cut(a) <= w.cut(b),
            Class::Logic => false,
            // Nobody looks at what a dead record says, but it may be asked: its count may be anything.
            Class::Shl => (u64::from(a) << (b & 31)) >> w.bits() & 1 != 0,
            Class::Shr => (a >> (b.wrapping_sub(1) & 31)) & 1 != 0,
            Class::Sar => (w.extend(a) >> (b.wrapping_sub(1) & 31)) & 1 != 0,
            Class::Mul => b != 0,
        }
    }

    /// The carry flag.
    #[inline]
    pub(crate) fn carry(&self) -> bool {
        if matches!(self.tag.over, Over::Rotate) { self.r & CF != 0 } else { self.base_carry() }
    }

    /// Whether the condition holds.
    #[inline(always)]
    pub(crate) fn test(&self, code: u8) -> bool {
        if matches!(self.tag.over, Over::None) {
            // What compilers leave between a compare and its branch is moves: the two common classes here.
            if self.tag
                == (Tag { class: Class::Sub, width: Width::Dword, over: Over::None, over_width: Width::Byte })
            {
                return sub_holds(code, Width::Dword, self.a, self.b);
            }
            if self.tag
                == (Tag {
                    class: Class::Logic,
                    width: Width::Dword,
                    over: Over::None,
                    over_width: Width::Byte,
                })
            {
                return logic_holds(code, Width::Dword, self.a);
            }
            // Behind a call of the kernel.
            if matches!(self.tag.class, Class::Explicit) {
                return holds(code, self.a);
            }
        }
        self.test_any(code)
    }

    #[inline(never)]
    pub(crate) fn test_any(&self, code: u8) -> bool {
        holds(code, self.eflags())
    }
}

/// Whether a condition holds with these flags.
#[inline(always)]
pub(crate) fn holds(code: u8, f: u32) -> bool {
    let less = (f & SF != 0) != (f & OF != 0);
    let yes = match code & !1 {
        cc::O => f & OF != 0,
        cc::B => f & CF != 0,
        cc::E => f & ZF != 0,
        cc::BE => f & (CF | ZF) != 0,
        cc::S => f & SF != 0,
        cc::P => f & PF != 0,
        cc::L => less,
        _ => less || f & ZF != 0,
    };
    yes != (code & 1 != 0)
}

/// Whether a condition holds after `x - y`.
#[inline(always)]
pub(crate) fn sub_holds(code: u8, w: Width, x: u32, y: u32) -> bool {
    let (a, b) = (x << w.shift(), y << w.shift());
    let yes = match code & !1 {
        cc::O => (a as i32).checked_sub(b as i32).is_none(),
        cc::B => a < b,
        cc::E => a == b,
        cc::BE => a <= b,
        cc::S => (a.wrapping_sub(b) as i32) < 0,
        cc::P => parity(x.wrapping_sub(y)),
        cc::L => (a as i32) < b as i32,
        _ => a as i32 <= b as i32,
    };
    yes != (code & 1 != 0)
}

/// Whether a condition holds after a logical operation that gave `r`.
#[inline(always)]
pub(crate) fn logic_holds(code: u8, w: Width, r: u32) -> bool {
    let a = (r << w.shift()) as i32;
    let yes = match code & !1 {
        cc::E | cc::BE => a == 0,
        cc::S | cc::L => a < 0,
        cc::P => parity(r),
        cc::LE => a <= 0,
        _ => false,
    };
    yes != (code & 1 != 0)
}
