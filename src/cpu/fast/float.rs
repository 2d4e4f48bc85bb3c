//! x87 instructions with operands in registers or in flat memory.
//!
//! The functions of the unit lie in tables beside the arena, one for each shape of function; `imm` is
//! the index.  `disp` and the address registers are those of the operand, `aux` is i of ST(i), and `link`
//! holds escape and ModRM byte.  Whatever is unusual, a pending exception first of all, is run by the
//! general interpreter.

use super::{address, careful, double, leave, lost, take, then};
use crate::cpu::op::{Exit, Op, Ops};
use crate::cpu::state::State;
use crate::cpu::x87::{self, LoadFn, RegisterFn, StoreFn};
use crate::mem::View;
use crate::trapframe::Seg;

/// The unit's functions that operations refer to.
#[derive(Default)]
pub(in crate::cpu) struct Units {
    registers: Vec<RegisterFn>,
    loads: Vec<LoadFn>,
    stores: Vec<StoreFn>,
}

impl Units {
    pub(in crate::cpu) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Chooses the handler of an instruction of the unit and notes its function.
    pub(in crate::cpu) fn serve(
        &mut self,
        unit: x87::Op,
        escape: u8,
        modrm: u8,
        op: &mut Op,
    ) -> Option<crate::cpu::op::Handler> {
        op.link.set(u32::from(escape) << 8 | u32::from(modrm));
        op.aux = modrm & 7;
        let index = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let handler: crate::cpu::op::Handler = match unit {
            x87::Op::Register(f) => {
                op.imm = index(self.registers.len());
                self.registers.push(f);
                register
            }
            x87::Op::Load16(f) | x87::Op::Load32(f) | x87::Op::Load64(f) => {
                op.imm = index(self.loads.len());
                self.loads.push(f);
                match unit {
                    x87::Op::Load16(_) => load::<2>,
                    x87::Op::Load32(_) => load::<4>,
                    _ => load::<8>,
                }
            }
            x87::Op::Store16(f) | x87::Op::Store32(f) | x87::Op::Store64(f) => {
                op.imm = index(self.stores.len());
                self.stores.push(f);
                match unit {
                    x87::Op::Store16(_) => store::<2>,
                    x87::Op::Store32(_) => store::<4>,
                    _ => store::<8>,
                }
            }
            x87::Op::StoreStatusAx => status,
            x87::Op::LoadControl => control::<false>,
            x87::Op::StoreControl => control::<true>,
            _ => return None,
        };
        Some(double::handler(escape, modrm, op).unwrap_or(handler))
    }
}

/// Leaves the instruction's pointers in the unit.
#[inline(always)]
pub(super) fn note(st: &mut State<'_>, op: &Op) {
    let code = op.link.get();
    x87::note_code(st.fpu, (code >> 8) as u8, code as u8, st.seg[Seg::Cs as usize], op.eip);
}

/// Leaves the operand's address in it; all data segments hold the same selector here.
#[inline(always)]
pub(super) fn point(st: &mut State<'_>, addr: u32) {
    x87::note_data(st.fpu, st.seg[Seg::Ds as usize], addr);
}

/// An instruction without memory operand.
#[inline(never)]
pub(super) fn register<'a>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, op, _here);
    if st.fpu_is_busy() {
        return careful(st, op, left);
    }
    let Some(f) = st.blocks.units.registers.get(op.imm as usize) else { return lost() };
    note(st, op);
    f(st.fpu, op.aux);
    then!(op, st, ops, view, left)
}

/// An instruction with a memory source of `W` bytes.
#[inline(never)]
pub(super) fn load<'a, const W: u8>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, op, _here);
    let addr = address::<true>(st, op);
    let bits = match W {
        2 => view.try_load16(addr).map(u64::from),
        4 => view.try_load32(addr).map(u64::from),
        _ => view.try_load64(addr),
    };
    let (Some(bits), false) = (bits, st.fpu_is_busy()) else { return careful(st, op, left) };
    let Some(f) = st.blocks.units.loads.get(op.imm as usize) else { return lost() };
    note(st, op);
    point(st, addr);
    f(st.fpu, bits);
    then!(op, st, ops, view, left)
}

/// An instruction with a memory destination of `W` bytes.
#[inline(never)]
pub(super) fn store<'a, const W: u8>(
    st: &mut State<'a>,
    mut ops: Ops<'a>,
    view: View<'a>,
    left: i64,
) -> Exit {
    take!(ops, op, _here);
    if !store_value::<W>(st, op, view) {
        return careful(st, op, left);
    }
    if st.code_hit.get() {
        return leave(st, op, left);
    }
    then!(op, st, ops, view, left)
}

/// The store itself; `false` when nothing was done.
#[inline(never)]
fn store_value<const W: u8>(st: &mut State<'_>, op: &Op, view: View<'_>) -> bool {
    if st.fpu_is_busy() {
        return false;
    }
    let addr = address::<true>(st, op);
    let Some(f) = st.blocks.units.stores.get(op.imm as usize) else { return false };
    let store = f(st.fpu);
    let done = store.write
        && match W {
            2 => view.try_store16(addr, store.low as u16),
            4 => view.try_store32(addr, store.low as u32),
            _ => view.try_store64(addr, store.low),
        };
    if done {
        note(st, op);
        point(st, addr);
        store.commit(st.fpu);
    }
    done
}

/// `fnstsw ax`.
fn status<'a>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, op, _here);
    if st.lent {
        return careful(st, op, left);
    }
    st.regs[0] = st.regs[0] & !0xffff | u32::from(st.fpu.status());
    then!(op, st, ops, view, left)
}

/// `fldcw` and, with `S`, `fnstcw`.
fn control<'a, const S: bool>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, op, _here);
    let addr = address::<true>(st, op);
    if S {
        if st.lent || !view.try_store16(addr, st.fpu.control) {
            return careful(st, op, left);
        }
    } else {
        let (Some(word), false) = (view.try_load16(addr), st.fpu_is_busy()) else {
            return careful(st, op, left);
        };
        st.fpu.set_control(word);
    }
    then!(op, st, ops, view, left)
}
