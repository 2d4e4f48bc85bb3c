//! x87 instructions with operands in registers or in flat memory.
//!
//! `imm` is the index of the decoded instruction, which holds the unit's function.

use super::general::general;
use super::{address, lost, take};
use crate::cpu::decode::Decoded;
use crate::cpu::op::{Exit, Op as Operation, Ops};
use crate::cpu::state::State;
use crate::cpu::x87::{self, Op, Store};
use crate::mem::View;
use crate::trapframe::Seg;

/// Executes an x87 instruction; whatever is unusual is left to the general form.
pub(in crate::cpu) fn execute<'a>(st: &mut State<'a>, mut ops: Ops<'a>, view: View<'a>, left: i64) -> Exit {
    take!(ops, op, here);
    if !unit(st, op, view) {
        return general(st, here, view, left);
    }
    (op.next)(st, ops, view, left)
}

/// Whether this file knows the form of an instruction of the unit.
pub(in crate::cpu) fn serves(unit: Op) -> bool {
    !matches!(
        unit,
        Op::Control(_)
            | Op::Load80(_)
            | Op::Store80(_)
            | Op::LoadEnvironment
            | Op::StoreEnvironment
            | Op::Restore
            | Op::Save
    )
}

/// Executes; `false` when nothing was done.
#[inline(never)]
fn unit(st: &mut State<'_>, op: &Operation, view: View<'_>) -> bool {
    let Some(decoded) = st.decoded.get(op.imm as usize) else { lost() };
    let Some(unit) = decoded.unit else { return false };
    if unit.waits() && st.fpu.pending() {
        return false;
    }
    let addr = address::<true>(st, op);
    let loaded = match unit {
        Op::Register(f) => {
            note(st, decoded);
            f(st.fpu, decoded.modrm & 7);
            return true;
        }
        Op::StoreStatusAx => {
            st.regs[0] = st.regs[0] & !0xffff | u32::from(st.fpu.status());
            return true;
        }
        Op::LoadControl => {
            let Some(word) = view.try_load16(addr) else { return false };
            st.fpu.set_control(word);
            return true;
        }
        Op::StoreControl => return view.try_store16(addr, st.fpu.control),
        Op::StoreStatus => return view.try_store16(addr, st.fpu.status()),
        Op::Load16(f) => view.try_load16(addr).map(|x| (f, u64::from(x))),
        Op::Load32(f) => view.try_load32(addr).map(|x| (f, u64::from(x))),
        Op::Load64(f) => view.try_load64(addr).map(|x| (f, x)),
        Op::Store16(f) => {
            let store = f(st.fpu);
            return store.write
                && view.try_store16(addr, store.low as u16)
                && finish(st, op, decoded, addr, store);
        }
        Op::Store32(f) => {
            let store = f(st.fpu);
            return store.write
                && view.try_store32(addr, store.low as u32)
                && finish(st, op, decoded, addr, store);
        }
        Op::Store64(f) => {
            let store = f(st.fpu);
            return store.write && view.try_store64(addr, store.low) && finish(st, op, decoded, addr, store);
        }
        _ => return false,
    };
    let Some((f, bits)) = loaded else { return false };
    note(st, decoded);
    point(st, op, addr);
    f(st.fpu, bits);
    true
}

/// Completes a store whose bytes are in memory.
fn finish(st: &mut State<'_>, op: &Operation, decoded: &Decoded, addr: u32, store: Store) -> bool {
    note(st, decoded);
    point(st, op, addr);
    store.commit(st.fpu);
    true
}

#[inline(always)]
fn note(st: &mut State<'_>, decoded: &Decoded) {
    x87::note_code(st.fpu, decoded.escape, decoded.modrm, st.seg[Seg::Cs as usize], decoded.ins.ip32());
}

/// Leaves the operand's address.
#[inline(always)]
fn point(st: &mut State<'_>, _op: &Operation, addr: u32) {
    // The fast forms run only while all data segments hold the same selector.
    x87::note_data(st.fpu, st.seg[Seg::Ds as usize], addr);
}
