//! Shifts and rotates of 32-bit operands.

use super::{address, again, careful, load_update_slow, next, store_slow, take, then, update};
use crate::cpu::alu::{self, Width};
use crate::cpu::flags::Flags;
use crate::cpu::op::{Exit, Ops};
use crate::cpu::state::State;
use crate::mem::View;

/// A shift or rotate by a count of 1 to 31.
pub(in crate::cpu) trait Shift {
    /// The result.
    fn result(x: u32, count: u32) -> u32;
    /// Its flags.
    fn flags(f: &mut Flags, x: u32, count: u32, z: u32);
}

macro_rules! shift {
    ($($name:ident: $x:ident $n:ident $z:ident => $result:expr, $f:ident => $flags:expr;)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`")]
            pub(in crate::cpu) struct $name;
            #[allow(unused_variables)]
            impl Shift for $name {
                #[inline(always)]
                fn result($x: u32, $n: u32) -> u32 {
                    $result
                }
                #[inline(always)]
                fn flags($f: &mut Flags, $x: u32, $n: u32, $z: u32) {
                    $flags
                }
            }
        )*
    };
}

shift! {
    Shl: x n z => alu::shl(Width::Dword, x, n), f => f.shl(Width::Dword, x, n);
    Shr: x n z => alu::shr(Width::Dword, x, n), f => f.shr(Width::Dword, x, n);
    Sar: x n z => alu::sar(Width::Dword, x, n), f => f.sar(Width::Dword, x, n);
    Rol: x n z => x.rotate_left(n & 31), f => f.rotate(z & 1 != 0, (z >> 31) ^ (z & 1) != 0);
    Ror: x n z => x.rotate_right(n & 31), f => f.rotate(z >> 31 != 0, (z ^ (z << 1)) >> 31 != 0);
}

/// `op reg32, imm8`; the count in `imm` is not zero.
pub(in crate::cpu) fn ri<'a, O: Shift, const F: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    let x = st.regs[op.r as usize];
    let z = O::result(x, op.imm);
    st.regs[op.r as usize] = z;
    if F {
        O::flags(&mut st.flags, x, op.imm, z);
    }
    then!(op, st, ops, view, left)
}

/// `op reg32, cl`.
pub(in crate::cpu) fn rcl<'a, O: Shift>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    let count = st.regs[1] & 31;
    let x = st.regs[op.r as usize];
    let z = O::result(x, count);
    if count != 0 {
        st.regs[op.r as usize] = z;
        O::flags(&mut st.flags, x, count, z);
    }
    then!(op, st, ops, view, left)
}

/// `op mem32, cl` and, with `I`, `op mem32, imm8`; no count of zero stores anything.
pub(in crate::cpu) fn m<'a, O: Shift, const I: bool, const SLOW: bool>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, here);
    let count = if I { op.imm } else { st.regs[1] & 31 };
    let addr = address::<true>(st, op);
    if count == 0 {
        // Even so the operand is loaded and its page must be writable.
        return careful(st, op, left);
    }
    let pair = if SLOW {
        load_update_slow(st, Width::Dword, addr).map(|x| (x, O::result(x, count)))
    } else {
        update::<4>(view, addr, |x| O::result(x, count))
    };
    let Some((x, z)) = pair else {
        return if SLOW { careful(st, op, left) } else { again(st, here, view, left, m::<O, I, true>) };
    };
    if SLOW && !store_slow(st, Width::Dword, addr, z) {
        return careful(st, op, left);
    }
    O::flags(&mut st.flags, x, count, z);
    next!(SLOW, st, op, ops, view, left);
}
