//! Which function an encoding stands for: the bytes D8 to DF and the ModRM byte decide everything.
//! Knows nothing of prefixes, addresses or memory.
//!
//! Source: Intel manual 2, appendix A.2.7, and the aliases of the 387.

use super::arith::{Add, Div, DivReversed, Mul, Sub, SubReversed};
use super::transfer::Store;
use super::{arith, examine, image, transcendental, transfer, unary};
use crate::trapframe::FpuState;

/// An instruction without memory operand; takes i of ST(i), which most ignore.
pub type RegisterFn = fn(&mut FpuState, u8);
/// An instruction with a memory source of up to eight bytes: its bits, the upper ones of any value.
pub type LoadFn = fn(&mut FpuState, u64);
/// An instruction with a memory source of ten bytes: its first eight and its last two.
pub type Load80Fn = fn(&mut FpuState, u64, u16);
/// The first half of an instruction with a memory destination, see [`Store`].
pub type StoreFn = fn(&FpuState) -> Store;

/// What an instruction needs of the processor and what serves it.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// No memory operand.
    Register(RegisterFn),
    /// No memory operand, and a control instruction that does not wait: `fninit`, `fnclex`, `fneni`,
    /// `fndisi`, `fnsetpm`.
    Control(RegisterFn),
    /// Reads two bytes.
    Load16(LoadFn),
    /// Reads four bytes.
    Load32(LoadFn),
    /// Reads eight bytes.
    Load64(LoadFn),
    /// Reads ten bytes.
    Load80(Load80Fn),
    /// Writes two bytes.
    Store16(StoreFn),
    /// Writes four bytes.
    Store32(StoreFn),
    /// Writes eight bytes.
    Store64(StoreFn),
    /// Writes ten bytes.
    Store80(StoreFn),
    /// `fldcw`: reads two bytes for [`FpuState::set_control`].
    LoadControl,
    /// `fnstcw`: writes `control`, two bytes.
    StoreControl,
    /// `fnstsw m16`: writes [`FpuState::status`], two bytes.
    StoreStatus,
    /// `fnstsw ax`.
    StoreStatusAx,
    /// `fldenv`: 28 bytes for [`FpuState::set_environment`], or 14 with a 16-bit operand size for
    /// [`image::set_environment_16`].
    LoadEnvironment,
    /// `fnstenv`: writes [`FpuState::environment`] or [`image::environment_16`], then calls
    /// [`image::after_fnstenv`].
    StoreEnvironment,
    /// `frstor`: 108 bytes for [`FpuState::set_save_area`], or 94 for [`image::set_save_area_16`].
    Restore,
    /// `fnsave`: writes [`FpuState::save_area`] or [`image::save_area_16`], then calls
    /// [`image::after_fnsave`].
    Save,
}

impl Op {
    /// Whether the instruction looks for pending exceptions first ([`FpuState::pending`]) and then
    /// stops with `Trap::Fpu` before anything else.
    pub fn waits(self) -> bool {
        !matches!(
            self,
            Op::Control(_)
                | Op::StoreControl
                | Op::StoreStatus
                | Op::StoreStatusAx
                | Op::StoreEnvironment
                | Op::Save
        )
    }

    /// Whether the instruction leaves its opcode, address and operand address in the unit.
    pub fn leaves_pointers(self) -> bool {
        self.waits() && !matches!(self, Op::LoadControl | Op::LoadEnvironment | Op::Restore)
    }
}

/// The instruction of an escape byte (0xd8 to 0xdf) and its ModRM byte; `None` is an invalid opcode.
pub fn decode(escape: u8, modrm: u8) -> Option<Op> {
    let field = modrm >> 3 & 7;
    if modrm < 0xc0 {
        memory(escape, field)
    } else {
        register(escape, modrm, field).map(Op::Register).or_else(|| control(escape, modrm))
    }
}

macro_rules! arithmetic {
    ($field:expr, $form:ident) => {
        match $field {
            0 => arith::$form::<Add>,
            1 => arith::$form::<Mul>,
            4 => arith::$form::<Sub>,
            5 => arith::$form::<SubReversed>,
            6 => arith::$form::<Div>,
            _ => arith::$form::<DivReversed>,
        }
    };
}

fn memory(escape: u8, field: u8) -> Option<Op> {
    Some(match (escape, field) {
        (0xd8, 2) => Op::Load32(examine::fcom_m32::<false>),
        (0xd8, 3) => Op::Load32(examine::fcom_m32::<true>),
        (0xd8, _) => Op::Load32(arithmetic!(field, m32)),
        (0xda, 2) => Op::Load32(examine::ficom_i32::<false>),
        (0xda, 3) => Op::Load32(examine::ficom_i32::<true>),
        (0xda, _) => Op::Load32(arithmetic!(field, i32)),
        (0xdc, 2) => Op::Load64(examine::fcom_m64::<false>),
        (0xdc, 3) => Op::Load64(examine::fcom_m64::<true>),
        (0xdc, _) => Op::Load64(arithmetic!(field, m64)),
        (0xde, 2) => Op::Load16(examine::ficom_i16::<false>),
        (0xde, 3) => Op::Load16(examine::ficom_i16::<true>),
        (0xde, _) => Op::Load16(arithmetic!(field, i16)),

        (0xd9, 0) => Op::Load32(transfer::fld_m32),
        (0xd9, 2) => Op::Store32(transfer::fst_m32::<false>),
        (0xd9, 3) => Op::Store32(transfer::fst_m32::<true>),
        (0xd9, 4) => Op::LoadEnvironment,
        (0xd9, 5) => Op::LoadControl,
        (0xd9, 6) => Op::StoreEnvironment,
        (0xd9, 7) => Op::StoreControl,

        (0xdb, 0) => Op::Load32(transfer::fild_i32),
        (0xdb, 2) => Op::Store32(transfer::fist::<32, false>),
        (0xdb, 3) => Op::Store32(transfer::fist::<32, true>),
        (0xdb, 5) => Op::Load80(transfer::fld_m80),
        (0xdb, 7) => Op::Store80(transfer::fstp_m80),

        (0xdd, 0) => Op::Load64(transfer::fld_m64),
        (0xdd, 2) => Op::Store64(transfer::fst_m64::<false>),
        (0xdd, 3) => Op::Store64(transfer::fst_m64::<true>),
        (0xdd, 4) => Op::Restore,
        (0xdd, 6) => Op::Save,
        (0xdd, 7) => Op::StoreStatus,

        (0xdf, 0) => Op::Load16(transfer::fild_i16),
        (0xdf, 2) => Op::Store16(transfer::fist::<16, false>),
        (0xdf, 3) => Op::Store16(transfer::fist::<16, true>),
        (0xdf, 4) => Op::Load80(transfer::fbld),
        (0xdf, 5) => Op::Load64(transfer::fild_i64),
        (0xdf, 6) => Op::Store80(transfer::fbstp),
        (0xdf, 7) => Op::Store64(transfer::fist::<64, true>),
        _ => return None,
    })
}

fn register(escape: u8, modrm: u8, field: u8) -> Option<RegisterFn> {
    Some(match (escape, field) {
        (0xd8 | 0xdc, 2) => examine::fcom::<false, 0>,
        (0xd8 | 0xdc, 3) | (0xde, 2) => examine::fcom::<false, 1>,
        (0xd8, _) => arithmetic!(field, st0_sti),
        // The reversed forms change places where the destination is ST(i).
        (0xdc, 4..) => arithmetic!(field ^ 1, sti_st0),
        (0xdc, _) => arithmetic!(field, sti_st0),
        (0xde, 3) if modrm == 0xd9 => examine::fcom::<false, 2>,
        (0xde, 3) => return None,
        (0xde, 4..) => arithmetic!(field ^ 1, sti_st0_pop),
        (0xde, _) => arithmetic!(field, sti_st0_pop),

        (0xd9, 0) => transfer::fld_sti,
        (0xd9 | 0xdd | 0xdf, 1) => transfer::fxch,
        (0xd9, 3) => transfer::fstp_sti_unchecked,
        (0xdd, 3) | (0xdf, 2 | 3) => transfer::fst_sti::<true>,
        (0xda, 5) if modrm == 0xe9 => examine::fcom::<true, 2>,
        (0xdd, 0) => unary::ffree,
        (0xdd, 2) => transfer::fst_sti::<false>,
        (0xdd, 4) => examine::fcom::<true, 0>,
        (0xdd, 5) => examine::fcom::<true, 1>,
        (0xdf, 0) => unary::ffreep,
        (0xd9, _) => return top(modrm),
        _ => return None,
    })
}

/// The instructions D9 D0 and D9 E0 to D9 FF.
fn top(modrm: u8) -> Option<RegisterFn> {
    Some(match modrm {
        0xd0 => unary::fnop,
        0xe0 => unary::fchs,
        0xe1 => unary::fabs,
        0xe4 => examine::ftst,
        0xe5 => examine::fxam,
        0xe8 => transfer::fld1,
        0xe9 => transfer::fldl2t,
        0xea => transfer::fldl2e,
        0xeb => transfer::fldpi,
        0xec => transfer::fldlg2,
        0xed => transfer::fldln2,
        0xee => transfer::fldz,
        0xf0 => transcendental::f2xm1,
        0xf1 => transcendental::fyl2x,
        0xf2 => transcendental::fptan,
        0xf3 => transcendental::fpatan,
        0xf4 => unary::fxtract,
        0xf5 => unary::fprem::<true>,
        0xf6 => unary::fdecstp,
        0xf7 => unary::fincstp,
        0xf8 => unary::fprem::<false>,
        0xf9 => transcendental::fyl2xp1,
        0xfa => unary::fsqrt,
        0xfb => transcendental::fsincos,
        0xfc => unary::frndint,
        0xfd => unary::fscale,
        0xfe => transcendental::fsin,
        0xff => transcendental::fcos,
        _ => return None,
    })
}

fn control(escape: u8, modrm: u8) -> Option<Op> {
    Some(match (escape, modrm) {
        (0xdb, 0xe0 | 0xe1 | 0xe4) => Op::Control(image::nothing),
        (0xdb, 0xe2) => Op::Control(image::fnclex),
        (0xdb, 0xe3) => Op::Control(image::fninit),
        (0xdf, 0xe0) => Op::StoreStatusAx,
        _ => return None,
    })
}
