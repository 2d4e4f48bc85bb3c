//! Two simple instructions in one handler: one dispatch less.
//!
//! Both keep their operations in the arena.  When the first fails it continues alone; when the second
//! fails, the first has happened and the second continues alone.

use super::arith::{self, Add, And, Binary, Sub, Xor};
use super::{address, branch, data, load, set, shift, stack, store, take, width};
use crate::cpu::op::{Exit, Handler, Op, Ops};
use crate::cpu::state::State;
use crate::mem::View;

/// An instruction that a pair can hold; what follows `lower`'s choice of the handler alone.
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
    /// `push reg32`.
    Push,
    /// `pop reg32`.
    Pop,
    /// `lea reg32, [base + disp]`.
    Lea,
    /// `add reg32, imm`.
    AddImm,
    /// `add reg32, reg32`.
    AddReg,
    /// `sub reg32, imm`.
    SubImm,
    /// `xor reg32, reg32`.
    XorReg,
    /// `and reg32, imm`.
    AndImm,
    /// `mov reg8, [base + disp]` to a low byte.
    LoadByte,
    /// `mov [base + disp], reg8` from a low byte.
    StoreByte,
    /// `movzx reg32, byte [base + disp]`.
    Zero,
    /// `shl reg32, imm`.
    ShlImm,
    /// `inc reg32`.
    Inc,
    /// `dec reg32`.
    Dec,
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
    /// The handler of the instruction alone.
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

/// `op reg32, value`, flags included.
#[inline(always)]
fn binary<O: Binary>(st: &mut State<'_>, op: &Op, y: u32) -> bool {
    let x = st.regs[op.r as usize];
    let z = O::result(width::<4>(), x, y, 0);
    st.regs[op.r as usize] = z;
    O::flags(&mut st.flags, width::<4>(), x, y, z, 0);
    true
}

#[inline(always)]
fn loads<const X: bool>(st: &mut State<'_>, op: &Op, view: View<'_>) -> bool {
    let Some(x) = load::<4>(view, address::<X>(st, op)) else { return false };
    st.regs[op.r as usize] = x;
    true
}

body! {
    Mov: |st, op, _view| { st.regs[op.r as usize] = st.regs[op.s as usize]; true }, data::mov_rr::<4, false, false>;
    Set: |st, op, _view| { st.regs[op.r as usize] = op.imm; true }, data::mov_ri::<4, false>;
    Load: |st, op, view| loads::<false>(st, op, view), data::mov_rm::<4, false, false, false>;
    Indexed: |st, op, view| loads::<true>(st, op, view), data::mov_rm::<4, false, true, false>;
    Store: |st, op, view| store::<4>(view, address::<false>(st, op), st.regs[op.s as usize]),
        data::mov_mr::<4, false, false, false, false>;
    Push: |st, op, view| {
        let esp = st.regs[4].wrapping_sub(4);
        let done = store::<4>(view, esp, st.regs[op.r as usize]);
        if done {
            st.regs[4] = esp;
        }
        done
    }, stack::push::<false, false>;
    Pop: |st, op, view| {
        let esp = st.regs[4];
        let Some(x) = load::<4>(view, esp) else { return false };
        st.regs[4] = esp.wrapping_add(4);
        st.regs[op.r as usize] = x;
        true
    }, stack::pop::<false>;
    Lea: |st, op, _view| { st.regs[op.r as usize] = address::<false>(st, op); true }, data::lea::<false>;
    AddImm: |st, op, _view| binary::<Add>(st, op, op.imm), arith::ri::<Add, 4, false, true>;
    AddReg: |st, op, _view| binary::<Add>(st, op, st.regs[op.s as usize]), arith::rr::<Add, 4, false, false, true>;
    SubImm: |st, op, _view| binary::<Sub>(st, op, op.imm), arith::ri::<Sub, 4, false, true>;
    XorReg: |st, op, _view| binary::<Xor>(st, op, st.regs[op.s as usize]), arith::rr::<Xor, 4, false, false, true>;
    LoadByte: |st, op, view| {
        let Some(x) = load::<1>(view, address::<false>(st, op)) else { return false };
        set::<1, false>(st, op.r, x);
        true
    }, data::mov_rm::<1, false, false, false>;
    StoreByte: |st, op, view| store::<1>(view, address::<false>(st, op), st.regs[op.s as usize]),
        data::mov_mr::<1, false, false, false, false>;
    Zero: |st, op, view| {
        let Some(x) = load::<1>(view, address::<false>(st, op)) else { return false };
        st.regs[op.r as usize] = x;
        true
    }, data::movx_rm::<1, false, false, false>;
    ShlImm: |st, op, _view| {
        let x = st.regs[op.r as usize];
        st.regs[op.r as usize] = x << (op.imm & 31);
        st.flags.shl(width::<4>(), x, op.imm);
        true
    }, shift::ri::<shift::Shl, true>;
    Inc: |st, op, _view| {
        let z = st.regs[op.r as usize].wrapping_add(1);
        st.regs[op.r as usize] = z;
        st.flags.inc(width::<4>(), z);
        true
    }, arith::r::<arith::Inc, 4, false, true>;
    Dec: |st, op, _view| {
        let z = st.regs[op.r as usize].wrapping_sub(1);
        st.regs[op.r as usize] = z;
        st.flags.dec(width::<4>(), z);
        true
    }, arith::r::<arith::Dec, 4, false, true>;
    AddMem: |st, op, view| {
        let Some(y) = load::<4>(view, address::<false>(st, op)) else { return false };
        binary::<Add>(st, op, y)
    }, arith::rm::<Add, 4, false, false, true, false>;
    AndImm: |st, op, _view| binary::<And>(st, op, op.imm), arith::ri::<And, 4, false, true>;
}

/// Two instructions.
fn pair<'a, A: Body, B: Body>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, first, here);
    if !A::run(st, first, view) {
        return (A::ALONE)(st, here, view, left);
    }
    take!(ops, second, there);
    if !B::run(st, second, view) {
        return (B::ALONE)(st, there, view, left);
    }
    (second.next)(st, ops, view, left)
}

/// An instruction and `call rel`.
fn and_call<'a, A: Body>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, first, here);
    if !A::run(st, first, view) {
        return (A::ALONE)(st, here, view, left);
    }
    branch::call::<false>(st, ops, view, left)
}

/// An instruction and `ret`.
fn and_ret<'a, A: Body>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, first, here);
    if !A::run(st, first, view) {
        return (A::ALONE)(st, here, view, left);
    }
    branch::ret::<false>(st, ops, view, left)
}

/// The handler of two instructions, if there is one.
pub(in crate::cpu) fn fuse(first: Kind, second: Kind) -> Option<Handler> {
    macro_rules! second {
        ($a:ident) => {
            match second {
                Kind::Mov => pair::<$a, Mov>,
                Kind::Set => pair::<$a, Set>,
                Kind::Load => pair::<$a, Load>,
                Kind::Indexed => pair::<$a, Indexed>,
                Kind::Store => pair::<$a, Store>,
                Kind::Push => pair::<$a, Push>,
                Kind::Lea => pair::<$a, Lea>,
                Kind::AddImm => pair::<$a, AddImm>,
                Kind::AddReg => pair::<$a, AddReg>,
                Kind::SubImm => pair::<$a, SubImm>,
                Kind::XorReg => pair::<$a, XorReg>,
                Kind::AndImm => pair::<$a, AndImm>,
                Kind::LoadByte => pair::<$a, LoadByte>,
                Kind::StoreByte => pair::<$a, StoreByte>,
                Kind::Zero => pair::<$a, Zero>,
                Kind::ShlImm => pair::<$a, ShlImm>,
                Kind::Inc => pair::<$a, Inc>,
                Kind::Dec => pair::<$a, Dec>,
                Kind::AddMem => pair::<$a, AddMem>,
                Kind::Call => and_call::<$a>,
                Kind::Pop | Kind::Ret => return None,
            }
        };
    }
    Some(match first {
        Kind::Mov => second!(Mov),
        Kind::Set => second!(Set),
        Kind::Load => second!(Load),
        Kind::Store => second!(Store),
        Kind::Push => second!(Push),
        Kind::Lea => second!(Lea),
        Kind::AddImm => second!(AddImm),
        Kind::AddReg => second!(AddReg),
        Kind::SubImm => second!(SubImm),
        Kind::XorReg => second!(XorReg),
        Kind::Indexed => second!(Indexed),
        Kind::LoadByte => second!(LoadByte),
        Kind::StoreByte => second!(StoreByte),
        Kind::Zero => second!(Zero),
        Kind::ShlImm => second!(ShlImm),
        Kind::Inc => second!(Inc),
        Kind::AddMem => second!(AddMem),
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
