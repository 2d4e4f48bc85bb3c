//! Flags that the processor leaves undefined: what the host makes of them, and what the interpreter does.
//!
//! The interpreter gives every flag one value ([`crate::cpu::flags`]).  Where the host's differs the difference is
//! kept in mind: it is mended where somebody may look (a branch, an instruction that reads flags, the end of a block),
//! or, where code is left by a fault, behind it.
//!
//! Reference: the "Flags affected" paragraphs of the processor manuals.

use super::code::{Code, DWORD, Form, Operand, R9};
use super::{Done, Unserved};
use crate::cpu::alu::Width;
use crate::cpu::flags::{ARITHMETIC, Flags, condition as cc};
use crate::trapframe::eflags::{AF, CF, OF, PF, SF, ZF};

/// What the flags of the host say wrongly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Undefined {
    /// Nothing.
    #[default]
    None,
    /// Shifted left or, with sign, right: the adjust flag.
    Adjust,
    /// Shifted right: the adjust flag; the overflow flag is this bit of this register.
    Right { register: u8, bit: u8 },
    /// Multiplied: sign, zero, parity and adjust flag are those of the low half.
    Product { register: u8, width: Width },
}

impl Undefined {
    /// Registers that must stay as they are, a bit each.
    pub(super) fn registers(self) -> u8 {
        match self {
            Self::None | Self::Adjust => 0,
            Self::Right { register, .. } => 1 << register,
            Self::Product { register, .. } => 1 << register,
        }
    }

    /// Whether a condition depends on what is wrong.
    pub(super) fn matters(self, condition: u8) -> bool {
        match self {
            Self::None | Self::Adjust => false,
            Self::Right { .. } => matches!(condition & !1, cc::O | cc::L | cc::LE),
            Self::Product { .. } => !matches!(condition & !1, cc::O | cc::B),
        }
    }

    /// Mends flags behind code that was left.
    pub(super) fn mend(self, flags: u32, regs: &[u32; 9]) -> u32 {
        let value = |register: u8| regs.get(usize::from(register)).copied().unwrap_or(0);
        match self {
            Self::None => flags,
            Self::Adjust => flags & !AF,
            Self::Right { register, bit } => {
                flags & !(AF | OF) | if value(register) >> bit & 1 != 0 { OF } else { 0 }
            }
            Self::Product { register, width } => {
                let mut product = Flags::from_eflags(0);
                product.mul(width, width.cut(value(register)), flags & CF != 0);
                product.eflags() & ARITHMETIC
            }
        }
    }

    /// Mends flags in the code; R9 and R10 are lost.
    pub(super) fn settle(self, code: &mut Code) -> Done {
        match self {
            Self::None => Ok(()),
            Self::Adjust => {
                code.put(SAVE);
                code.put(RESTORE_WITHOUT_ADJUST);
                Ok(())
            }
            Self::Right { register, bit } => {
                code.put(SAVE);
                // The saved register may be the one.
                let from = if register == 0 { R9 } else { super::code::host(register) };
                code.mov(super::code::R10, from)?;
                // shr r10d, bit; and r10d, 1; mov al, r10b
                code.put(&[0x41, 0xc1, 0xea, bit, 0x41, 0x83, 0xe2, 1, 0x44, 0x88, 0xd0]);
                code.put(RESTORE_WITHOUT_ADJUST);
                Ok(())
            }
            Self::Product { register, width } => {
                // seto r9b; test low, low; ror r9b, 1
                code.put(&[0x41, 0x0f, 0x90, 0xc1]);
                let byte = width == Width::Byte;
                let form = Form { word: width == Width::Word, ..DWORD };
                let register = if byte { register } else { super::code::host(register) };
                code.op(form, if byte { 0x84 } else { 0x85 }, register, Operand::Register(register))?;
                code.put(&[0x41, 0xd0, 0xc9]);
                Ok(())
            }
        }
    }
}

/// `mov r9, rax; lahf; seto al`: flags to AX, EAX to R9.
pub(super) const SAVE: &[u8] = &[0x49, 0x89, 0xc1, 0x9f, 0x0f, 0x90, 0xc0];
/// `add al, 0x7f; sahf; mov rax, r9`: and back.
pub(super) const RESTORE: &[u8] = &[0x04, 0x7f, 0x9e, 0x4c, 0x89, 0xc8];
/// The same with `and ah, 0xef` before.
pub(super) const RESTORE_WITHOUT_ADJUST: &[u8] = &[0x80, 0xe4, 0xef, 0x04, 0x7f, 0x9e, 0x4c, 0x89, 0xc8];

/// Flags as the way out leaves them, `lahf` above `seto`, as EFLAGS has them.
pub(super) fn from_host(word: u32) -> u32 {
    word >> 8 & (SF | ZF | AF | PF | CF) | if word & 1 != 0 { OF } else { 0 }
}

/// And the other way round.
pub(super) fn to_host(eflags: u32) -> u32 {
    (eflags & (SF | ZF | AF | PF | CF)) << 8 | u32::from(eflags & OF != 0)
}

/// What the host does with flags that the manuals leave open, as far as translated code relies on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Habits {
    /// Logical operations clear the adjust flag, bit tests change the carry alone.
    pub(super) plain: bool,
    /// Shifts by more than one set the overflow flag as the last of as many single shifts would.
    pub(super) shifts: bool,
    /// So do rotates.
    pub(super) rotates: bool,
    /// The instructions `shlx`, `shrx` and `pext` are there.
    pub(super) bmi2: bool,
}

impl Habits {
    /// Asks the host; `modest`: as if it had only what every x86-64 has.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn of_host(modest: bool) -> Self {
        static HABITS: std::sync::OnceLock<Habits> = std::sync::OnceLock::new();
        let habits = *HABITS.get_or_init(probe::habits);
        Self { bmi2: habits.bmi2 && !modest, ..habits }
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn of_host(_: bool) -> Self {
        Self { plain: false, shifts: false, rotates: false, bmi2: false }
    }

    /// Refuses what the host does otherwise.
    pub(super) fn need(served: bool) -> Done {
        if served { Ok(()) } else { Err(Unserved) }
    }
}

#[cfg(target_arch = "x86_64")]
mod probe {
    //! A few instructions with a few operands, each against the interpreter's arithmetic.
    #![allow(unsafe_code)] // instructions that touch registers only

    use super::{AF, ARITHMETIC, CF, Habits, OF, SF};
    use crate::cpu::alu::{self, Width};

    const VALUES: [u32; 6] = [0, 1, 0x8000_0001, 0x7fff_ffff, 0xffff_ffff, 0x4a3c_d5e6];
    const COUNTS: [u32; 5] = [1, 2, 7, 17, 31];

    macro_rules! flags_of {
        ($text:literal, $x:expr, $y:expr, $before:expr) => {{
            let (mut x, mut flags): (u64, u64) = ($x.into(), ($before | 0x202).into());
            // SAFETY: changes two registers and the arithmetic flags.
            unsafe {
                core::arch::asm!(
                    "push {f}", "popfq", $text, "pushfq", "pop {f}",
                    f = inout(reg) flags, x = inout(reg) x, in("ecx") $y,
                );
            }
            (x as u32, flags as u32 & ARITHMETIC)
        }};
    }

    fn each(mut good: impl FnMut(u32, u32, u32) -> bool) -> bool {
        let all = VALUES.iter().flat_map(|&x| COUNTS.iter().map(move |&n| (x, n)));
        all.flat_map(|(x, n)| [0, ARITHMETIC, AF, OF].map(|f| (x, n, f))).all(|(x, n, f)| good(x, n, f))
    }

    pub(super) fn habits() -> Habits {
        let sign = |x: u32| x >> 31 != 0;
        let overflow = |f: u32| f & OF != 0;
        let carry = |f: u32| f & CF != 0;
        let plain = each(|x, n, f| {
            let logic = [flags_of!("and {x:e}, ecx", x, n, f), flags_of!("xor {x:e}, ecx", x, n, f)];
            let (_, tested) = flags_of!("bt {x:e}, ecx", x, n, f);
            logic.iter().all(|(_, f)| f & AF == 0) && (tested ^ f) & !CF == 0
        });
        let shifts = each(|x, n, f| {
            let (_, left) = flags_of!("shl {x:e}, cl", x, n, f);
            let (_, right) = flags_of!("sar {x:e}, cl", x, n, f);
            overflow(left) == ((left & SF != 0) != carry(left)) && !overflow(right)
        });
        let rotates = each(|x, n, f| {
            let (left, lf) = flags_of!("rol {x:e}, cl", x, n, f);
            let (right, rf) = flags_of!("ror {x:e}, cl", x, n, f);
            let (through, tf) = flags_of!("rcl {x:e}, cl", x, n, f);
            let (back, bf) = flags_of!("rcr {x:e}, cl", x, n, f);
            let kept = |g: u32| (f ^ g) & !(CF | OF) == 0;
            let left_good = overflow(lf) == (sign(left) != carry(lf)) && kept(lf);
            let right_good = overflow(rf) == (sign(right) != sign(right << 1)) && kept(rf);
            let through_good = overflow(tf) == (sign(through) != carry(tf)) && kept(tf);
            let same = alu::rol(Width::Dword, x, n) == left;
            left_good && right_good && through_good && overflow(bf) == (sign(back) != sign(back << 1)) && same
        });
        Habits { plain, shifts, rotates, bmi2: std::arch::is_x86_feature_detected!("bmi2") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_survive_the_way_out_and_in() {
        for flags in [0, ARITHMETIC, OF, SF | CF, AF | PF, ZF] {
            assert_eq!(from_host(to_host(flags)), flags);
        }
    }

    #[test]
    fn a_product_is_mended_as_the_interpreter_records_it() {
        let mut regs = [0; 9];
        regs[3] = 0x8000_0100;
        let product = Undefined::Product { register: 3, width: Width::Dword };
        assert_eq!(product.mend(CF | OF | ZF | AF, &regs), CF | OF | SF | PF);
        let right = Undefined::Right { register: 3, bit: 8 };
        assert_eq!(right.mend(AF | CF, &regs), CF | OF);
    }
}
