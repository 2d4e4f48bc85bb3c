//! Two simple instructions in one handler: one dispatch less.
//!
//! Both keep their operations in the arena.  When the first fails it continues alone; when the second
//! fails, the first has happened and the second continues alone.

use super::arith::{self, Add, And, Binary, Sub, Unary, Xor};
use super::{address, again, branch, data, load, set, shift, stack, store, take, then, width};
use crate::cpu::op::{Exit, Handler, Op, Ops};
use crate::cpu::state::State;
use crate::mem::View;

/// An instruction that a pair can hold; what follows `lower`'s choice of the handler alone.  Where there is
/// a value it says whether anybody may see the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu) enum Kind {
    /// `mov reg32, reg32`.
    Mov,
    /// `mov reg32, imm`.
    Set,
    /// `mov reg32, [base + disp]`.
    Load,
    /// `mov reg32, mem` with an index.
    Indexed,
    /// `mov [base + disp], reg32`.
    Store,
    /// `mov dword [base + disp], imm`.
    StoreImm,
    /// `mov byte [base + disp], imm`.
    StoreByteImm,
    /// `push reg32`.
    Push,
    /// `push imm`.
    PushImm,
    /// `push [base + disp]`.
    PushMem,
    /// `leave`.
    Leave,
    /// `pop reg32`.
    Pop,
    /// `lea reg32, [base + disp]`.
    Lea,
    /// `add reg32, imm`.
    AddImm(bool),
    /// `add reg32, reg32`.
    AddReg(bool),
    /// `sub reg32, imm`.
    SubImm(bool),
    /// `xor reg32, reg32`.
    XorReg(bool),
    /// `and reg32, imm`.
    AndImm(bool),
    /// `mov reg8, [base + disp]` to a low byte.
    LoadByte,
    /// `mov [base + disp], reg8` from a low byte.
    StoreByte,
    /// `movzx reg32, byte [base + disp]`.
    Zero,
    /// `shl reg32, imm`.
    ShlImm(bool),
    /// `inc reg32`.
    Inc(bool),
    /// `dec reg32`.
    Dec(bool),
    /// `add reg32, [base + disp]`.
    AddMem,
    /// `call rel`.
    Call,
    /// `ret`.
    Ret,
}

/// An instruction inside a pair.
trait Body {
    /// Does it, or does nothing and says `false`.
    fn run(st: &mut State<'_>, op: &Op, view: View<'_>) -> bool;
    /// The handler of the instruction alone, in the slow form where it stores.
    const ALONE: Handler;
}

macro_rules! body {
    ($($name:ident: |$st:ident, $op:ident, $view:ident| $run:expr, $alone:expr;)*) => {
        $(
            struct $name;
            impl Body for $name {
                #[inline(always)]
                fn run($st: &mut State<'_>, $op: &Op, $view: View<'_>) -> bool {
                    $run
                }
                const ALONE: Handler = $alone;
            }
        )*
    };
}

/// Instructions that set flags, where anybody may see them (`F`).
macro_rules! flagged {
    ($($name:ident: |$st:ident, $op:ident| $run:expr, $alone:expr;)*) => {
        $(
            struct $name<const F: bool>;
            impl<const F: bool> Body for $name<F> {
                #[inline(always)]
                fn run($st: &mut State<'_>, $op: &Op, _view: View<'_>) -> bool {
                    $run;
                    true
                }
                const ALONE: Handler = $alone;
            }
        )*
    };
}

/// `op reg32, value`.
#[inline(always)]
fn binary<O: Binary, const F: bool>(st: &mut State<'_>, op: &Op, y: u32) {
    let x = st.regs[op.r as usize];
    let z = O::result(width::<4>(), x, y, 0);
    st.regs[op.r as usize] = z;
    if F {
        O::flags(&mut st.flags, width::<4>(), x, y, z, 0);
    }
}

/// `inc reg32` or `dec reg32`.
#[inline(always)]
fn unary<O: Unary, const F: bool>(st: &mut State<'_>, op: &Op) {
    let x = st.regs[op.r as usize];
    let z = O::result(width::<4>(), x);
    st.regs[op.r as usize] = z;
    if F {
        O::flags(&mut st.flags, width::<4>(), x, z);
    }
}

#[inline(always)]
fn loads<const X: bool>(st: &mut State<'_>, op: &Op, view: View<'_>) -> bool {
    let Some(x) = load::<4>(view, address::<X>(st, op)) else { return false };
    st.regs[op.r as usize] = x;
    true
}

#[inline(always)]
fn pushes(st: &mut State<'_>, view: View<'_>, x: u32) -> bool {
    let esp = st.regs[4].wrapping_sub(4);
    let done = store::<4>(view, esp, x);
    if done {
        st.regs[4] = esp;
    }
    done
}

body! {
    Mov: |st, op, _view| { st.regs[op.r as usize] = st.regs[op.s as usize]; true }, data::mov_rr::<4, false, false>;
    Set: |st, op, _view| { st.regs[op.r as usize] = op.imm; true }, data::mov_ri::<4, false>;
    Load: |st, op, view| loads::<false>(st, op, view), data::mov_rm::<4, false, false, false>;
    Indexed: |st, op, view| loads::<true>(st, op, view), data::mov_rm::<4, false, true, false>;
    Store: |st, op, view| store::<4>(view, address::<false>(st, op), st.regs[op.s as usize]),
        data::mov_mr::<4, false, false, true, true>;
    StoreImm: |st, op, view| store::<4>(view, address::<false>(st, op), op.imm),
        data::mov_mr::<4, false, true, true, true>;
    StoreByteImm: |st, op, view| store::<1>(view, address::<false>(st, op), op.imm),
        data::mov_mr::<1, false, true, true, true>;
    Push: |st, op, view| pushes(st, view, st.regs[op.r as usize]), stack::push::<false, true>;
    PushImm: |st, op, view| pushes(st, view, op.imm), stack::push::<true, true>;
    PushMem: |st, op, view| {
        let Some(x) = load::<4>(view, address::<false>(st, op)) else { return false };
        pushes(st, view, x)
    }, stack::push_m::<true, true>;
    Leave: |st, _op, view| {
        let ebp = st.regs[5];
        let Some(x) = load::<4>(view, ebp) else { return false };
        st.regs[4] = ebp.wrapping_add(4);
        st.regs[5] = x;
        true
    }, stack::leave::<false>;
    Pop: |st, op, view| {
        let esp = st.regs[4];
        let Some(x) = load::<4>(view, esp) else { return false };
        st.regs[4] = esp.wrapping_add(4);
        st.regs[op.r as usize] = x;
        true
    }, stack::pop::<false>;
    Lea: |st, op, _view| { st.regs[op.r as usize] = address::<false>(st, op); true }, data::lea::<false>;
    LoadByte: |st, op, view| {
        let Some(x) = load::<1>(view, address::<false>(st, op)) else { return false };
        set::<1, false>(st, op.r, x);
        true
    }, data::mov_rm::<1, false, false, false>;
    StoreByte: |st, op, view| store::<1>(view, address::<false>(st, op), st.regs[op.s as usize]),
        data::mov_mr::<1, false, false, true, true>;
    Zero: |st, op, view| {
        let Some(x) = load::<1>(view, address::<false>(st, op)) else { return false };
        st.regs[op.r as usize] = x;
        true
    }, data::movx_rm::<1, false, false, false>;
    AddMem: |st, op, view| {
        let Some(y) = load::<4>(view, address::<false>(st, op)) else { return false };
        binary::<Add, true>(st, op, y);
        true
    }, arith::rm::<Add, 4, false, false, true, false>;
}

flagged! {
    AddImm: |st, op| binary::<Add, F>(st, op, op.imm), arith::ri::<Add, 4, false, F>;
    AddReg: |st, op| binary::<Add, F>(st, op, st.regs[op.s as usize]), arith::rr::<Add, 4, false, false, F>;
    SubImm: |st, op| binary::<Sub, F>(st, op, op.imm), arith::ri::<Sub, 4, false, F>;
    XorReg: |st, op| binary::<Xor, F>(st, op, st.regs[op.s as usize]), arith::rr::<Xor, 4, false, false, F>;
    AndImm: |st, op| binary::<And, F>(st, op, op.imm), arith::ri::<And, 4, false, F>;
    ShlImm: |st, op| {
        let x = st.regs[op.r as usize];
        st.regs[op.r as usize] = x << (op.imm & 31);
        if F {
            st.flags.shl(width::<4>(), x, op.imm);
        }
    }, shift::ri::<shift::Shl, F>;
    Inc: |st, op| unary::<arith::Inc, F>(st, op), arith::r::<arith::Inc, 4, false, F>;
    Dec: |st, op| unary::<arith::Dec, F>(st, op), arith::r::<arith::Dec, 4, false, F>;
}

/// Two instructions.
fn pair<'a, A: Body, B: Body>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, first, here);
    if !A::run(st, first, view) {
        return again(st, here, view, left, A::ALONE);
    }
    take!(ops, second, there);
    if !B::run(st, second, view) {
        return again(st, there, view, left, B::ALONE);
    }
    then!(second, st, ops, view, left)
}

/// An instruction and `call rel`.
fn and_call<'a, A: Body>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, first, here);
    if !A::run(st, first, view) {
        return again(st, here, view, left, A::ALONE);
    }
    branch::call::<false>(st, ops, view, left)
}

/// An instruction and `ret`.
fn and_ret<'a, A: Body>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, first, here);
    if !A::run(st, first, view) {
        return again(st, here, view, left, A::ALONE);
    }
    branch::ret::<false>(st, ops, view, left)
}

/// The handler of two instructions, if there is one.
pub(in crate::cpu) fn fuse(first: Kind, second: Kind) -> Option<Handler> {
    macro_rules! second {
        ($a:ty) => {
            match second {
                Kind::Mov => pair::<$a, Mov>,
                Kind::Set => pair::<$a, Set>,
                Kind::Load => pair::<$a, Load>,
                Kind::Indexed => pair::<$a, Indexed>,
                Kind::Store => pair::<$a, Store>,
                Kind::StoreImm => pair::<$a, StoreImm>,
                Kind::StoreByteImm => pair::<$a, StoreByteImm>,
                Kind::Push => pair::<$a, Push>,
                Kind::PushImm => pair::<$a, PushImm>,
                Kind::PushMem => pair::<$a, PushMem>,
                Kind::Lea => pair::<$a, Lea>,
                Kind::AddImm(true) => pair::<$a, AddImm<true>>,
                Kind::AddImm(false) => pair::<$a, AddImm<false>>,
                Kind::AddReg(true) => pair::<$a, AddReg<true>>,
                Kind::AddReg(false) => pair::<$a, AddReg<false>>,
                Kind::SubImm(true) => pair::<$a, SubImm<true>>,
                Kind::SubImm(false) => pair::<$a, SubImm<false>>,
                Kind::XorReg(true) => pair::<$a, XorReg<true>>,
                Kind::XorReg(false) => pair::<$a, XorReg<false>>,
                Kind::AndImm(true) => pair::<$a, AndImm<true>>,
                Kind::AndImm(false) => pair::<$a, AndImm<false>>,
                Kind::LoadByte => pair::<$a, LoadByte>,
                Kind::StoreByte => pair::<$a, StoreByte>,
                Kind::Zero => pair::<$a, Zero>,
                Kind::ShlImm(true) => pair::<$a, ShlImm<true>>,
                Kind::ShlImm(false) => pair::<$a, ShlImm<false>>,
                Kind::Inc(true) => pair::<$a, Inc<true>>,
                Kind::Inc(false) => pair::<$a, Inc<false>>,
                Kind::Dec(true) => pair::<$a, Dec<true>>,
                Kind::Dec(false) => pair::<$a, Dec<false>>,
                Kind::AddMem => pair::<$a, AddMem>,
                Kind::Call => and_call::<$a>,
                Kind::Pop | Kind::Leave | Kind::Ret => return None,
            }
        };
    }
    Some(match first {
        Kind::Mov => second!(Mov),
        Kind::Set => second!(Set),
        Kind::Load => second!(Load),
        Kind::Store => second!(Store),
        Kind::StoreImm => second!(StoreImm),
        Kind::StoreByteImm => second!(StoreByteImm),
        Kind::Push => second!(Push),
        Kind::PushImm => second!(PushImm),
        Kind::PushMem => second!(PushMem),
        Kind::Lea => second!(Lea),
        Kind::AddImm(true) => second!(AddImm<true>),
        Kind::AddImm(false) => second!(AddImm<false>),
        Kind::AddReg(true) => second!(AddReg<true>),
        Kind::AddReg(false) => second!(AddReg<false>),
        Kind::SubImm(true) => second!(SubImm<true>),
        Kind::SubImm(false) => second!(SubImm<false>),
        Kind::XorReg(true) => second!(XorReg<true>),
        Kind::XorReg(false) => second!(XorReg<false>),
        Kind::Indexed => second!(Indexed),
        Kind::LoadByte => second!(LoadByte),
        Kind::StoreByte => second!(StoreByte),
        Kind::Zero => second!(Zero),
        Kind::ShlImm(true) => second!(ShlImm<true>),
        Kind::ShlImm(false) => second!(ShlImm<false>),
        Kind::Inc(true) => second!(Inc<true>),
        Kind::Inc(false) => second!(Inc<false>),
        Kind::AddMem => second!(AddMem),
        Kind::Leave => match second {
            Kind::Ret => and_ret::<Leave>,
            _ => return None,
        },
        Kind::Pop => match second {
            Kind::Pop => pair::<Pop, Pop>,
            Kind::Ret => and_ret::<Pop>,
            Kind::Mov => pair::<Pop, Mov>,
            Kind::Load => pair::<Pop, Load>,
            _ => return None,
        },
        _ => return None,
    })
}
