//! Choice of handlers: which specialised form, if any, serves a decoded instruction.
//!
//! An instruction qualifies when its memory operand is addressed with 32 bits through DS, ES or SS, which
//! are flat whenever blocks run.  Everything else goes to the general interpreter.

use super::alu::Width;
use super::decode::Decoded;
use super::fast::arith::{Adc, Add, And, Cmp, Dec, Inc, Neg, Not, Or, Sbb, Sub, Test, Xor};
use super::fast::float::Units;
use super::fast::pair::Kind;
use super::fast::shift::{Rol, Ror, Sar, Shl, Shr};
use super::fast::{arith, branch, data, fused, general, shift, stack};
use super::general::{GATE, condition, short_address};
use super::op::{Handler, Op};
use super::state::{CODE_END, Slot};
use iced_x86::{Code as K, Instruction, Mnemonic as M, OpKind, Register as R};

/// What the second operand of an instruction is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Register, register.
    Rr,
    /// Register, immediate.
    Ri,
    /// Register, memory.
    Rm,
    /// Memory, register.
    Mr,
    /// Memory, immediate.
    Mi,
}

/// An instruction whose operands fit an operation.
struct Fields {
    form: Option<Form>,
    width: Width,
    /// The memory operand has an index.
    x: bool,
    /// First and second register operand are high bytes.
    high: (bool, bool),
}

/// Fills the operand fields; `None` when the memory operand is unusual.
fn operands(ins: &Instruction, op: &mut Op) -> Option<Fields> {
    let kind = |i: u32| if i < ins.op_count() { Some(ins.op_kind(i)) } else { None };
    let mut fields = Fields { form: None, width: Width::Dword, x: false, high: (false, false) };
    let memory = (0..ins.op_count()).any(|i| ins.op_kind(i) == OpKind::Memory);
    if memory {
        if short_address(ins) || !matches!(ins.memory_segment(), R::DS | R::ES | R::SS) {
            return None;
        }
        let slot = |r: R| if r == R::None { Slot::Zero } else { Slot::of(r.number()) };
        op.base = slot(ins.memory_base());
        op.index = slot(ins.memory_index());
        op.scale = ins.memory_index_scale().trailing_zeros() as u8;
        op.disp = ins.memory_displacement32();
        fields.x = ins.memory_index() != R::None;
        if fields.x && op.base == Slot::Zero && op.scale == 0 {
            (op.base, op.index, fields.x) = (op.index, Slot::Zero, false);
        }
    }
    let register = |i: u32| {
        let r = ins.op_register(i);
        let number = r.number();
        // Bytes 4 to 7 are the high bytes of the first four registers.
        if r.size() == 1 && number >= 4 { (Slot::of(number - 4), true) } else { (Slot::of(number), false) }
    };
    let general = |i: u32| kind(i) == Some(OpKind::Register) && ins.op_register(i).is_gpr();
    if general(0) {
        (op.r, fields.high.0) = register(0);
    }
    if general(1) {
        (op.s, fields.high.1) = register(1);
    }
    fields.width = match kind(0)? {
        OpKind::Register if general(0) => Width::of(ins.op_register(0).size()),
        OpKind::Memory => Width::of(ins.memory_size().size()),
        _ => Width::Dword,
    };
    let immediate = |i: u32| {
        matches!(
            kind(i),
            Some(
                OpKind::Immediate8
                    | OpKind::Immediate16
                    | OpKind::Immediate32
                    | OpKind::Immediate8to16
                    | OpKind::Immediate8to32
            )
        )
    };
    if immediate(1) {
        op.imm = fields.width.cut(ins.immediate(1) as u32);
    }
    let is_memory = |i: u32| kind(i) == Some(OpKind::Memory);
    fields.form = if general(0) && general(1) {
        Some(Form::Rr)
    } else if general(0) && immediate(1) {
        Some(Form::Ri)
    } else if general(0) && is_memory(1) {
        Some(Form::Rm)
    } else if is_memory(0) && general(1) {
        Some(Form::Mr)
    } else if is_memory(0) && immediate(1) {
        Some(Form::Mi)
    } else {
        None
    };
    Some(fields)
}

macro_rules! by_binary {
    ($mnemonic:expr, $f:ident, $($arg:tt),*) => {
        Some(match $mnemonic {
            M::Add => arith::$f::<Add, $($arg),*>,
            M::Or => arith::$f::<Or, $($arg),*>,
            M::Adc => arith::$f::<Adc, $($arg),*>,
            M::Sbb => arith::$f::<Sbb, $($arg),*>,
            M::And => arith::$f::<And, $($arg),*>,
            M::Sub => arith::$f::<Sub, $($arg),*>,
            M::Xor => arith::$f::<Xor, $($arg),*>,
            M::Cmp => arith::$f::<Cmp, $($arg),*>,
            _ => arith::$f::<Test, $($arg),*>,
        } as Handler)
    };
}

/// `add or adc sbb and sub xor cmp test`; `flags` says whether anybody may see their flags.
fn binary(m: M, f: &Fields, flags: bool) -> Option<Handler> {
    let (dh, sh) = f.high;
    match (f.width, f.form?, f.x, flags) {
        (Width::Dword, Form::Rr, _, true) => by_binary!(m, rr, 4, false, false, true),
        (Width::Dword, Form::Rr, _, false) => by_binary!(m, rr, 4, false, false, false),
        (Width::Dword, Form::Ri, _, true) => by_binary!(m, ri, 4, false, true),
        (Width::Dword, Form::Ri, _, false) => by_binary!(m, ri, 4, false, false),
        (Width::Dword, Form::Rm, false, true) => by_binary!(m, rm, 4, false, false, true, false),
        (Width::Dword, Form::Rm, false, false) => by_binary!(m, rm, 4, false, false, false, false),
        (Width::Dword, Form::Rm, true, true) => by_binary!(m, rm, 4, false, true, true, false),
        (Width::Dword, Form::Rm, true, false) => by_binary!(m, rm, 4, false, true, false, false),
        (Width::Dword, Form::Mr, false, true) => by_binary!(m, mr, 4, false, false, false, true, false),
        (Width::Dword, Form::Mr, false, false) => by_binary!(m, mr, 4, false, false, false, false, false),
        (Width::Dword, Form::Mr, true, true) => by_binary!(m, mr, 4, false, false, true, true, false),
        (Width::Dword, Form::Mr, true, false) => by_binary!(m, mr, 4, false, false, true, false, false),
        (Width::Dword, Form::Mi, false, true) => by_binary!(m, mr, 4, false, true, false, true, false),
        (Width::Dword, Form::Mi, false, false) => by_binary!(m, mr, 4, false, true, false, false, false),
        (Width::Dword, Form::Mi, true, true) => by_binary!(m, mr, 4, false, true, true, true, false),
        (Width::Dword, Form::Mi, true, false) => by_binary!(m, mr, 4, false, true, true, false, false),
        (Width::Word, Form::Rr, ..) => by_binary!(m, rr, 2, false, false, true),
        (Width::Word, Form::Ri, ..) => by_binary!(m, ri, 2, false, true),
        (Width::Word, Form::Rm, ..) => by_binary!(m, rm, 2, false, true, true, false),
        (Width::Word, Form::Mr, ..) => by_binary!(m, mr, 2, false, false, true, true, false),
        (Width::Word, Form::Mi, ..) => by_binary!(m, mr, 2, false, true, true, true, false),
        (Width::Byte, Form::Rr, ..) => match (dh, sh) {
            (false, false) => by_binary!(m, rr, 1, false, false, true),
            (false, true) => by_binary!(m, rr, 1, false, true, true),
            (true, false) => by_binary!(m, rr, 1, true, false, true),
            (true, true) => by_binary!(m, rr, 1, true, true, true),
        },
        (Width::Byte, Form::Ri, ..) if dh => by_binary!(m, ri, 1, true, true),
        (Width::Byte, Form::Ri, ..) => by_binary!(m, ri, 1, false, true),
        (Width::Byte, Form::Rm, ..) if dh => by_binary!(m, rm, 1, true, true, true, false),
        (Width::Byte, Form::Rm, false, _) => by_binary!(m, rm, 1, false, false, true, false),
        (Width::Byte, Form::Rm, true, _) => by_binary!(m, rm, 1, false, true, true, false),
        (Width::Byte, Form::Mr, ..) if sh => by_binary!(m, mr, 1, true, false, true, true, false),
        (Width::Byte, Form::Mr, false, _) => by_binary!(m, mr, 1, false, false, false, true, false),
        (Width::Byte, Form::Mr, true, _) => by_binary!(m, mr, 1, false, false, true, true, false),
        (Width::Byte, Form::Mi, false, _) => by_binary!(m, mr, 1, false, true, false, true, false),
        (Width::Byte, Form::Mi, true, _) => by_binary!(m, mr, 1, false, true, true, true, false),
    }
}

macro_rules! by_unary {
    ($mnemonic:expr, $f:ident, $($arg:tt),*) => {
        Some(match $mnemonic {
            M::Inc => arith::$f::<Inc, $($arg),*>,
            M::Dec => arith::$f::<Dec, $($arg),*>,
            M::Neg => arith::$f::<Neg, $($arg),*>,
            _ => arith::$f::<Not, $($arg),*>,
        } as Handler)
    };
}

/// `inc dec neg not`.
fn unary(m: M, f: &Fields, register: bool, flags: bool) -> Option<Handler> {
    match (f.width, register, flags) {
        (Width::Dword, true, true) => by_unary!(m, r, 4, false, true),
        (Width::Dword, true, false) => by_unary!(m, r, 4, false, false),
        (Width::Word, true, _) => by_unary!(m, r, 2, false, true),
        (Width::Byte, true, _) if f.high.0 => by_unary!(m, r, 1, true, true),
        (Width::Byte, true, _) => by_unary!(m, r, 1, false, true),
        (Width::Dword, false, _) if f.x => by_unary!(m, m, 4, true, false),
        (Width::Dword, false, _) => by_unary!(m, m, 4, false, false),
        (Width::Word, false, _) => by_unary!(m, m, 2, true, false),
        (Width::Byte, false, _) => by_unary!(m, m, 1, true, false),
    }
}

/// `mov`.
fn mov(f: &Fields) -> Option<Handler> {
    let (dh, sh) = f.high;
    Some(match (f.width, f.form?, f.x) {
        (Width::Dword, Form::Rr, _) => data::mov_rr::<4, false, false>,
        (Width::Word, Form::Rr, _) => data::mov_rr::<2, false, false>,
        (Width::Byte, Form::Rr, _) => match (dh, sh) {
            (false, false) => data::mov_rr::<1, false, false>,
            (false, true) => data::mov_rr::<1, false, true>,
            (true, false) => data::mov_rr::<1, true, false>,
            (true, true) => data::mov_rr::<1, true, true>,
        },
        (Width::Dword, Form::Ri, _) => data::mov_ri::<4, false>,
        (Width::Word, Form::Ri, _) => data::mov_ri::<2, false>,
        (Width::Byte, Form::Ri, _) if dh => data::mov_ri::<1, true>,
        (Width::Byte, Form::Ri, _) => data::mov_ri::<1, false>,
        (Width::Dword, Form::Rm, false) => data::mov_rm::<4, false, false, false>,
        (Width::Dword, Form::Rm, true) => data::mov_rm::<4, false, true, false>,
        (Width::Word, Form::Rm, false) => data::mov_rm::<2, false, false, false>,
        (Width::Word, Form::Rm, true) => data::mov_rm::<2, false, true, false>,
        (Width::Byte, Form::Rm, _) if dh => data::mov_rm::<1, true, true, false>,
        (Width::Byte, Form::Rm, false) => data::mov_rm::<1, false, false, false>,
        (Width::Byte, Form::Rm, true) => data::mov_rm::<1, false, true, false>,
        (Width::Dword, Form::Mr, false) => data::mov_mr::<4, false, false, false, false>,
        (Width::Dword, Form::Mr, true) => data::mov_mr::<4, false, false, true, false>,
        (Width::Word, Form::Mr, false) => data::mov_mr::<2, false, false, false, false>,
        (Width::Word, Form::Mr, true) => data::mov_mr::<2, false, false, true, false>,
        (Width::Byte, Form::Mr, _) if sh => data::mov_mr::<1, true, false, true, false>,
        (Width::Byte, Form::Mr, false) => data::mov_mr::<1, false, false, false, false>,
        (Width::Byte, Form::Mr, true) => data::mov_mr::<1, false, false, true, false>,
        (Width::Dword, Form::Mi, false) => data::mov_mr::<4, false, true, false, false>,
        (Width::Dword, Form::Mi, true) => data::mov_mr::<4, false, true, true, false>,
        (Width::Word, Form::Mi, _) => data::mov_mr::<2, false, true, true, false>,
        (Width::Byte, Form::Mi, false) => data::mov_mr::<1, false, true, false, false>,
        (Width::Byte, Form::Mi, true) => data::mov_mr::<1, false, true, true, false>,
    })
}

/// `movzx movsx` to 32 bits; `source` is the width of the source.
fn movx(source: Width, signed: bool, f: &Fields) -> Option<Handler> {
    if f.width != Width::Dword {
        return None;
    }
    Some(match (source, signed, f.form?, f.x) {
        (Width::Byte, false, Form::Rr, _) if f.high.1 => data::movx_rr::<1, true, false>,
        (Width::Byte, true, Form::Rr, _) if f.high.1 => data::movx_rr::<1, true, true>,
        (Width::Byte, false, Form::Rr, _) => data::movx_rr::<1, false, false>,
        (Width::Byte, true, Form::Rr, _) => data::movx_rr::<1, false, true>,
        (Width::Word, false, Form::Rr, _) => data::movx_rr::<2, false, false>,
        (Width::Word, true, Form::Rr, _) => data::movx_rr::<2, false, true>,
        (Width::Byte, false, Form::Rm, false) => data::movx_rm::<1, false, false, false>,
        (Width::Byte, false, Form::Rm, true) => data::movx_rm::<1, false, true, false>,
        (Width::Byte, true, Form::Rm, false) => data::movx_rm::<1, true, false, false>,
        (Width::Byte, true, Form::Rm, true) => data::movx_rm::<1, true, true, false>,
        (Width::Word, false, Form::Rm, false) => data::movx_rm::<2, false, false, false>,
        (Width::Word, false, Form::Rm, true) => data::movx_rm::<2, false, true, false>,
        (Width::Word, true, Form::Rm, false) => data::movx_rm::<2, true, false, false>,
        (Width::Word, true, Form::Rm, true) => data::movx_rm::<2, true, true, false>,
        _ => return None,
    })
}

/// Shifts and rotates of 32-bit registers.
fn shifted(ins: &Instruction, op: &mut Op, flags: bool) -> Option<Handler> {
    macro_rules! by_shift {
        ($f:ident $(, $arg:tt)*) => {
            match ins.mnemonic() {
                M::Shl | M::Sal => shift::$f::<Shl $(, $arg)*>,
                M::Shr => shift::$f::<Shr $(, $arg)*>,
                M::Sar => shift::$f::<Sar $(, $arg)*>,
                M::Rol => shift::$f::<Rol $(, $arg)*>,
                _ => shift::$f::<Ror $(, $arg)*>,
            }
        };
    }
    let memory = ins.op0_kind() == OpKind::Memory;
    if ins.op1_kind() == OpKind::Register {
        return Some(if memory { by_shift!(m, false, false) } else { by_shift!(rcl) });
    }
    op.imm = ins.immediate(1) as u32 & 31;
    if memory {
        return Some(by_shift!(m, true, false));
    }
    if op.imm == 0 {
        return Some(data::nop);
    }
    Some(if flags { by_shift!(ri, true) } else { by_shift!(ri, false) })
}

macro_rules! by_condition {
    ($code:expr, $($f:tt)::+, $($arg:tt),*) => {
        by_condition!(@ $code, [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15], $($f)::+, ($($arg),*))
    };
    (@ $code:expr, [$($n:tt)*], $($f:tt)::+, $args:tt) => {
        by_condition!(@@ $code, [$($n)*], ($($f)::+), $args)
    };
    (@@ $code:expr, [$a:tt $($n:tt)*], $f:tt, $args:tt) => {
        if $code == $a { by_condition!(@@@ $a, $f, $args) } else { by_condition!(@@ $code, [$($n)*], $f, $args) }
    };
    (@@ $code:expr, [], $f:tt, $args:tt) => { return None };
    (@@@ $a:tt, ($($f:tt)::+), ($($arg:tt),*)) => { $($f)::+::<$($arg,)* $a> as Handler };
}

/// The fused form of an instruction and the `jcc` behind it.
pub(super) fn fuse(first: &Decoded, op: &Op, jump: &Decoded) -> Option<Handler> {
    if !jump.ins.is_jcc_short_or_near() || first.escape != 0 {
        return None;
    }
    let code = condition(&jump.ins);
    let ins = &first.ins;
    let f = operands(ins, &mut op.clone())?;
    let m = ins.mnemonic();
    if f.high.0 || f.high.1 {
        return None;
    }
    let by_result = matches!(code, 4 | 5 | 8 | 9);
    macro_rules! result {
        ($o:ident, $i:tt) => {
            match code {
                4 => fused::result::<$o, $i, 4> as Handler,
                5 => fused::result::<$o, $i, 5>,
                8 => fused::result::<$o, $i, 8>,
                _ => fused::result::<$o, $i, 9>,
            }
        };
    }
    macro_rules! step {
        ($d:tt) => {
            match code {
                4 => fused::step::<$d, 4> as Handler,
                5 => fused::step::<$d, 5>,
                8 => fused::step::<$d, 8>,
                _ => fused::step::<$d, 9>,
            }
        };
    }
    Some(match (m, f.width, f.form, f.x) {
        (M::Cmp, Width::Dword, Some(Form::Rr), _) => by_condition!(code, fused::rr, false, 4),
        (M::Cmp, Width::Byte, Some(Form::Rr), _) => by_condition!(code, fused::rr, false, 1),
        (M::Test, Width::Dword, Some(Form::Rr), _) => by_condition!(code, fused::rr, true, 4),
        (M::Test, Width::Byte, Some(Form::Rr), _) => by_condition!(code, fused::rr, true, 1),
        (M::Cmp, Width::Dword, Some(Form::Ri), _) => by_condition!(code, fused::ri, false, 4),
        (M::Cmp, Width::Byte, Some(Form::Ri), _) => by_condition!(code, fused::ri, false, 1),
        (M::Test, Width::Dword, Some(Form::Ri), _) => by_condition!(code, fused::ri, true, 4),
        (M::Test, Width::Byte, Some(Form::Ri), _) => by_condition!(code, fused::ri, true, 1),
        (M::Cmp, Width::Dword, Some(Form::Rm), false) => by_condition!(code, fused::rm, 4, false),
        (M::Cmp, Width::Dword, Some(Form::Rm), true) => by_condition!(code, fused::rm, 4, true),
        (M::Cmp, Width::Byte, Some(Form::Rm), _) => by_condition!(code, fused::rm, 1, true),
        (M::Cmp, Width::Dword, Some(Form::Mr), false) => by_condition!(code, fused::mr, false, 4, false),
        (M::Cmp, Width::Dword, Some(Form::Mr), true) => by_condition!(code, fused::mr, false, 4, true),
        (M::Cmp, Width::Byte, Some(Form::Mr), _) => by_condition!(code, fused::mr, false, 1, true),
        (M::Cmp, Width::Dword, Some(Form::Mi), false) => by_condition!(code, fused::mr, true, 4, false),
        (M::Cmp, Width::Dword, Some(Form::Mi), true) => by_condition!(code, fused::mr, true, 4, true),
        (M::Cmp, Width::Byte, Some(Form::Mi), false) => by_condition!(code, fused::mr, true, 1, false),
        (M::Cmp, Width::Byte, Some(Form::Mi), true) => by_condition!(code, fused::mr, true, 1, true),
        (M::Test, Width::Dword, Some(Form::Mi), _) => by_condition!(code, fused::test_mi, 4, true),
        (M::Test, Width::Byte, Some(Form::Mi), _) => by_condition!(code, fused::test_mi, 1, true),
        (M::Add, Width::Dword, Some(Form::Rr), _) if by_result => result!(Add, false),
        (M::Add, Width::Dword, Some(Form::Ri), _) if by_result => result!(Add, true),
        (M::Sub, Width::Dword, Some(Form::Rr), _) if by_result => result!(Sub, false),
        (M::Sub, Width::Dword, Some(Form::Ri), _) if by_result => result!(Sub, true),
        (M::And, Width::Dword, Some(Form::Rr), _) if by_result => result!(And, false),
        (M::And, Width::Dword, Some(Form::Ri), _) if by_result => result!(And, true),
        (M::Or, Width::Dword, Some(Form::Rr), _) if by_result => result!(Or, false),
        (M::Xor, Width::Dword, Some(Form::Rr), _) if by_result => result!(Xor, false),
        (M::Inc, Width::Dword, None, _) if ins.op0_kind() == OpKind::Register && by_result => step!(false),
        (M::Dec, Width::Dword, None, _) if ins.op0_kind() == OpKind::Register && by_result => step!(true),
        _ => return None,
    })
}

/// The kind of an instruction that pairs can hold; `flags` says whether anybody may see its flags.
pub(super) fn kind(d: &Decoded, flags: bool) -> Option<Kind> {
    let ins = &d.ins;
    if d.escape != 0 || ins.has_lock_prefix() {
        return None;
    }
    match ins.mnemonic() {
        M::Call if ins.is_call_near() && ins.op0_kind() == OpKind::NearBranch32 => {
            return (ins.near_branch32() < CODE_END).then_some(Kind::Call);
        }
        M::Ret => return matches!(ins.code(), K::Retnd | K::Retnd_imm16).then_some(Kind::Ret),
        M::Leave => return (ins.code() == K::Leaved).then_some(Kind::Leave),
        _ => {}
    }
    let f = operands(ins, &mut super::block::blank(0))?;
    let register = ins.op0_kind() == OpKind::Register && ins.op0_register().is_gpr32();
    if f.width == Width::Byte && f.high == (false, false) {
        return match (ins.mnemonic(), f.form, f.x) {
            (M::Mov, Some(Form::Rm), false) => Some(Kind::LoadByte),
            (M::Mov, Some(Form::Mr), false) => Some(Kind::StoreByte),
            (M::Mov, Some(Form::Mi), false) => Some(Kind::StoreByteImm),
            _ => None,
        };
    }
    if f.width != Width::Dword {
        return None;
    }
    Some(match (ins.mnemonic(), f.form, f.x) {
        (M::Movzx, Some(Form::Rm), false) if ins.memory_size().size() == 1 => Kind::Zero,
        (M::Shl | M::Sal, Some(Form::Ri), _) if ins.immediate(1) & 31 != 0 => Kind::ShlImm(flags),
        (M::Inc, None, _) if register => Kind::Inc(flags),
        (M::Dec, None, _) if register => Kind::Dec(flags),
        (M::Add, Some(Form::Rm), false) => Kind::AddMem,
        (M::Mov, Some(Form::Rr), _) => Kind::Mov,
        (M::Mov, Some(Form::Ri), _) => Kind::Set,
        (M::Mov, Some(Form::Rm), false) => Kind::Load,
        (M::Mov, Some(Form::Rm), true) => Kind::Indexed,
        (M::Mov, Some(Form::Mr), false) => Kind::Store,
        (M::Mov, Some(Form::Mi), false) => Kind::StoreImm,
        (M::Add, Some(Form::Ri), _) => Kind::AddImm(flags),
        (M::Add, Some(Form::Rr), _) => Kind::AddReg(flags),
        (M::Sub, Some(Form::Ri), _) => Kind::SubImm(flags),
        (M::Xor, Some(Form::Rr), _) => Kind::XorReg(flags),
        (M::And, Some(Form::Ri), _) => Kind::AndImm(flags),
        (M::Lea, Some(Form::Rm), false) => Kind::Lea,
        (M::Push, None, _) if register => Kind::Push,
        (M::Push, None, false) if matches!(ins.code(), K::Pushd_imm32 | K::Pushd_imm8) => Kind::PushImm,
        (M::Push, None, false) if ins.code() == K::Push_rm32 && ins.op0_kind() == OpKind::Memory => {
            Kind::PushMem
        }
        (M::Pop, None, _) if register => Kind::Pop,
        _ => return None,
    })
}

/// Whether an instruction does nothing but take its place: what assemblers fill gaps with.
pub(super) fn is_padding(ins: &Instruction) -> bool {
    match ins.mnemonic() {
        M::Nop => ins.op_count() == 0,
        M::Lea => {
            let r = ins.op0_register();
            r.is_gpr32()
                && ins.memory_base() == r
                && ins.memory_index() == R::None
                && ins.memory_displacement32() == 0
        }
        M::Mov => {
            ins.op0_kind() == OpKind::Register
                && ins.op1_kind() == OpKind::Register
                && ins.op0_register() == ins.op1_register()
                && ins.op0_register().is_gpr32()
        }
        _ => false,
    }
}

/// The target of a direct jump that a block can follow.
pub(super) fn jumps_to(ins: &Instruction) -> Option<u32> {
    let jump = ins.is_jmp_short_or_near() && ins.op0_kind() == OpKind::NearBranch32;
    (jump && ins.near_branch32() < CODE_END).then_some(ins.near_branch32())
}

/// The specialised handler of an instruction and the fields it needs; `None` leaves it to the general
/// interpreter.
pub(super) fn lower(d: &Decoded, units: &mut Units, op: &mut Op, flags: bool) -> Option<Handler> {
    let ins = &d.ins;
    if ins.has_lock_prefix() {
        return None;
    }
    if let Some(unit) = d.unit {
        // Some forms without memory have no operands at all.
        if d.modrm < 0xc0 {
            operands(ins, op)?;
        }
        return units.serve(unit, d.escape, d.modrm, op);
    }
    if d.escape != 0 {
        return None;
    }
    let m = ins.mnemonic();
    let target = |op: &mut Op| {
        op.imm = ins.near_branch32();
        (ins.op0_kind() == OpKind::NearBranch32 && op.imm < CODE_END).then_some(())
    };
    if ins.is_jcc_short_or_near() {
        target(op)?;
        return Some(by_condition!(condition(ins), branch::jcc,));
    }
    match m {
        M::Nop => return Some(data::nop),
        M::Cdq => return Some(data::cdq),
        M::Cwde => return Some(data::cwde),
        M::Cld => return Some(data::cld),
        M::Sahf => return Some(data::sahf),
        M::Jmp if ins.is_jmp_short_or_near() => return target(op).map(|()| branch::jmp as Handler),
        M::Call if ins.is_call_near() => return target(op).map(|()| branch::call::<false> as Handler),
        M::Call if ins.is_call_far() => {
            return (ins.far_branch_selector() & !3 == GATE).then_some(branch::gate as Handler);
        }
        M::Jecxz => return target(op).map(|()| branch::counted::<false> as Handler),
        M::Loop if ins.code() == K::Loop_rel8_32_ECX => {
            return target(op).map(|()| branch::counted::<true> as Handler);
        }
        M::Ret if ins.stack_pointer_increment() >= 4 && ins.code() != K::Retnw_imm16 => {
            op.imm = 4 + if ins.op_count() > 0 { u32::from(ins.immediate16()) } else { 0 };
            return (ins.code() != K::Retnw).then_some(branch::ret::<false> as Handler);
        }
        M::Leave => {
            return (ins.code() == K::Leaved).then_some(stack::leave::<false> as Handler);
        }
        _ => {}
    }
    let f = operands(ins, op)?;
    let register = ins.op0_kind() == OpKind::Register;
    match m {
        M::Add | M::Or | M::Adc | M::Sbb | M::And | M::Sub | M::Xor | M::Cmp | M::Test => {
            binary(m, &f, flags)
        }
        M::Inc | M::Dec | M::Neg | M::Not => unary(m, &f, register, flags),
        M::Mov if register && !ins.op0_register().is_gpr() => None,
        M::Mov => mov(&f),
        M::Movzx | M::Movsx => {
            let source = match ins.op1_kind() {
                OpKind::Register => ins.op1_register().size(),
                _ => ins.memory_size().size(),
            };
            movx(Width::of(source), m == M::Movsx, &f)
        }
        M::Lea if f.width == Width::Dword && f.x => Some(data::lea::<true>),
        M::Lea if f.width == Width::Dword => Some(data::lea::<false>),
        M::Xchg if f.form == Some(Form::Rr) && f.width == Width::Dword => Some(data::xchg_rr),
        M::Shl | M::Sal | M::Shr | M::Sar | M::Rol | M::Ror if f.width == Width::Dword => {
            shifted(ins, op, flags)
        }
        M::Imul if f.width == Width::Dword && ins.op_count() > 1 => {
            let i = ins.op_count() == 3;
            if i {
                op.imm = ins.immediate(2) as u32;
            }
            Some(match (f.form?, i) {
                (Form::Rr, false) => arith::imul_rr::<false>,
                (Form::Rr, true) => arith::imul_rr::<true>,
                (Form::Rm, false) => arith::imul_rm::<false, false>,
                (Form::Rm, true) => arith::imul_rm::<true, false>,
                _ => return None,
            })
        }
        M::Imul if register && f.width == Width::Dword => Some(arith::mul_r::<true>),
        M::Mul if register && f.width == Width::Dword => Some(arith::mul_r::<false>),
        M::Idiv if register && f.width == Width::Dword => Some(arith::div_r::<true>),
        M::Div if register && f.width == Width::Dword => Some(arith::div_r::<false>),
        M::Push if ins.stack_pointer_increment() == -4 => match ins.op0_kind() {
            OpKind::Register if ins.op0_register().is_gpr() => Some(stack::push::<false, false>),
            OpKind::Register => None,
            OpKind::Memory if f.x => Some(stack::push_m::<true, false>),
            OpKind::Memory => Some(stack::push_m::<false, false>),
            _ => {
                op.imm = ins.immediate(0) as u32;
                Some(stack::push::<true, false>)
            }
        },
        M::Pop if register && ins.op0_register().is_gpr32() => Some(stack::pop::<false>),
        M::Jmp if ins.is_jmp_near_indirect() && f.width == Width::Dword => {
            Some(if register { branch::to_reg::<false, false> } else { branch::to_mem::<false, false> })
        }
        M::Call if ins.is_call_near_indirect() && f.width == Width::Dword => {
            Some(if register { branch::to_reg::<true, false> } else { branch::to_mem::<true, false> })
        }
        _ if ins.condition_code() != iced_x86::ConditionCode::None && register => {
            op.aux = condition(ins);
            Some(if f.high.0 { data::setcc::<true> } else { data::setcc::<false> })
        }
        _ => None,
    }
}

/// The handler of an instruction that only the general interpreter serves.
pub(super) fn unspecialised(d: &Decoded, index: u32, op: &mut Op) -> Handler {
    op.imm = index;
    op.aux = u8::from(changes_mode(&d.ins));
    general::general
}

/// Whether blocks must not go on behind an instruction: it loads segments or the trace flag.
fn changes_mode(ins: &Instruction) -> bool {
    match ins.mnemonic() {
        M::Popf | M::Popfd | M::Les | M::Lds | M::Lss => true,
        M::Mov | M::Pop => ins.op0_kind() == OpKind::Register && ins.op0_register().is_segment_register(),
        _ => false,
    }
}
