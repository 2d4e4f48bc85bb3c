//! The commonest x87 instructions on registers that hold doubles, each in a handler of its own.
//!
//! What is not so simple goes on, by a tail call, in the form of [`super::float`], which serves every
//! case; nothing has been changed by then.

use super::float::{load, note, point, register, store};
use super::{address, again, take, then};
use crate::cpu::op::{Exit, Handler, Op, Ops};
use crate::cpu::state::{Slot, State};
use crate::cpu::x87::arith::{Add, Div, DivReversed, Mul, Sub, SubReversed};
use crate::cpu::x87::quick::{
    self, Arithmetic, Compare, CompareRegisters, CopyTop, Exchange, Int16, Int32, Load, Push, PushRegister,
    Real32, Real64, Register, ToOther, ToTop,
};
use crate::mem::View;

/// An instruction without memory operand.
fn quick_register<'a, Q: Register>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, op, here);
    if st.fpu_is_busy() || !Q::run(st.fpu, op.aux) {
        return register(st, here, view, left);
    }
    note(st, op);
    then!(op, st, ops, view, left)
}

/// An instruction with a memory source of `W` bytes, with (`X`) or without index register.
fn quick_load<'a, Q: Load, const W: u8, const X: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let addr = address::<X>(st, op);
    let bits = match W {
        2 => view.try_load16(addr).map(u64::from),
        4 => view.try_load32(addr).map(u64::from),
        _ => view.try_load64(addr),
    };
    let Some(bits) = bits else { return again(st, here, view, left, load::<W>) };
    if st.fpu_is_busy() || !Q::run(st.fpu, bits) {
        return again(st, here, view, left, load::<W>);
    }
    note(st, op);
    point(st, addr);
    then!(op, st, ops, view, left)
}

/// `fst m64fp` and `fstp m64fp`.
fn quick_store<'a, const POP: bool, const X: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let addr = address::<X>(st, op);
    let Some(bits) = quick::stored(st.fpu) else { return again(st, here, view, left, store::<8>) };
    if st.fpu_is_busy() || !view.try_store64(addr, bits) {
        return again(st, here, view, left, store::<8>);
    }
    note(st, op);
    point(st, addr);
    quick::commit::<POP>(st.fpu);
    then!(op, st, ops, view, left)
}

macro_rules! arithmetic {
    ($field:expr, $handler:ident, $form:ident $(, $more:tt)*) => {
        match $field {
            0 => $handler::<arithmetic!(@form $form, Add $(, $more)*)>,
            1 => $handler::<arithmetic!(@form $form, Mul $(, $more)*)>,
            4 => $handler::<arithmetic!(@form $form, Sub $(, $more)*)>,
            5 => $handler::<arithmetic!(@form $form, SubReversed $(, $more)*)>,
            6 => $handler::<arithmetic!(@form $form, Div $(, $more)*)>,
            _ => $handler::<arithmetic!(@form $form, DivReversed $(, $more)*)>,
        }
    };
    (@form $form:ident, $op:ident $(, $more:tt)*) => { $form<$op $(, $more)*> };
}

/// The handler of a load, with the operand's form and size.
fn with_memory<const X: bool>(escape: u8, field: u8) -> Option<Handler> {
    macro_rules! memory {
        ($source:ident, $width:literal) => {
            match field {
                0 => quick_load::<Arithmetic<Add, $source>, $width, X>,
                1 => quick_load::<Arithmetic<Mul, $source>, $width, X>,
                2 => quick_load::<Compare<$source, false>, $width, X>,
                3 => quick_load::<Compare<$source, true>, $width, X>,
                4 => quick_load::<Arithmetic<Sub, $source>, $width, X>,
                5 => quick_load::<Arithmetic<SubReversed, $source>, $width, X>,
                6 => quick_load::<Arithmetic<Div, $source>, $width, X>,
                _ => quick_load::<Arithmetic<DivReversed, $source>, $width, X>,
            }
        };
    }
    Some(match (escape, field) {
        (0xd8, _) => memory!(Real32, 4),
        (0xda, _) => memory!(Int32, 4),
        (0xdc, _) => memory!(Real64, 8),
        (0xde, _) => memory!(Int16, 2),
        (0xd9, 0) => quick_load::<Push<Real32>, 4, X>,
        (0xdb, 0) => quick_load::<Push<Int32>, 4, X>,
        (0xdd, 0) => quick_load::<Push<Real64>, 8, X>,
        (0xdf, 0) => quick_load::<Push<Int16>, 2, X>,
        (0xdd, 2) => quick_store::<false, X>,
        (0xdd, 3) => quick_store::<true, X>,
        _ => return None,
    })
}

/// The handler of an encoding, if it has one here; the table of the unit's functions is filled all
/// the same.
pub(super) fn handler(escape: u8, modrm: u8, op: &Op) -> Option<Handler> {
    let field = modrm >> 3 & 7;
    if modrm < 0xc0 {
        let plain = matches!(op.index, Slot::Zero);
        return if plain { with_memory::<false>(escape, field) } else { with_memory::<true>(escape, field) };
    }
    Some(match (escape, field) {
        (0xd8, 2) => quick_register::<CompareRegisters<0>>,
        (0xd8, 3) => quick_register::<CompareRegisters<1>>,
        (0xd8, _) => arithmetic!(field, quick_register, ToTop),
        // The reversed forms change places where the destination is ST(i).
        (0xdc, 0 | 1 | 4..) => {
            arithmetic!(if field < 4 { field } else { field ^ 1 }, quick_register, ToOther, false)
        }
        (0xde, 0 | 1 | 4..) => {
            arithmetic!(if field < 4 { field } else { field ^ 1 }, quick_register, ToOther, true)
        }
        (0xde, 3) | (0xda, 5) => quick_register::<CompareRegisters<2>>,
        (0xdd, 4) => quick_register::<CompareRegisters<0>>,
        (0xdd, 5) => quick_register::<CompareRegisters<1>>,
        (0xd9, 0) => quick_register::<PushRegister>,
        (0xd9, 1) => quick_register::<Exchange>,
        (0xdd, 2) => quick_register::<CopyTop<false>>,
        (0xdd, 3) => quick_register::<CopyTop<true>>,
        _ => return None,
    })
}
