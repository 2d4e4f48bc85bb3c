//! Branches, calls, returns, software interrupts, and the gate of the kernel.

use super::operand::{place, read, width};
use super::{is_16, segment, stack};
use crate::cpu::alu::Width;
use crate::cpu::state::{CODE_END, State};
use crate::trapframe::eflags::{OF, RF};
use crate::trapframe::{Gpr, Seg, Trap};
use iced_x86::{ConditionCode as C, Instruction, Mnemonic as M, OpKind};

/// The call gate of the kernel: entry 0 of the local table, whatever the privilege bits say.
pub(crate) const GATE: u16 = 4;

/// Condition code of a `jcc` or `setcc` as instructions encode it.
pub(crate) fn condition(ins: &Instruction) -> u8 {
    match ins.condition_code() {
        C::o => 0,
        C::no => 1,
        C::b => 2,
        C::ae => 3,
        C::e => 4,
        C::ne => 5,
        C::be => 6,
        C::a => 7,
        C::s => 8,
        C::ns => 9,
        C::p => 10,
        C::np => 11,
        C::l => 12,
        C::ge => 13,
        C::le => 14,
        _ => 15,
    }
}

/// Checks a branch target against the code segment.
fn target(st: &State<'_>, to: u32) -> Result<u32, Trap> {
    // The code segment can only be the user's: no instruction loads another.
    let _ = st;
    if to >= CODE_END { Err(Trap::GeneralProtection(0)) } else { Ok(to) }
}

/// Target of a near branch.
fn near(st: &State<'_>, ins: &Instruction) -> Result<u32, Trap> {
    let to = match ins.op0_kind() {
        OpKind::NearBranch16 => u32::from(ins.near_branch16()),
        OpKind::NearBranch32 => ins.near_branch32(),
        _ => read(st, ins, 0, width(ins, 0))?,
    };
    target(st, to)
}

/// `jmp` near.
pub(super) fn jmp(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    st.eip = near(st, ins)?;
    Ok(())
}

/// `jcc`.
pub(super) fn jcc(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    if st.flags.test(condition(ins)) {
        st.eip = near(st, ins)?;
    }
    Ok(())
}

/// `call` near.
pub(super) fn call(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = if is_16(ins.code()) { Width::Word } else { Width::Dword };
    let to = near(st, ins)?;
    let back = w.cut(st.eip);
    stack::push_value(st, w, back)?;
    st.eip = to;
    Ok(())
}

/// `ret` near.
pub(super) fn ret(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = if is_16(ins.code()) { Width::Word } else { Width::Dword };
    let to = stack::top(st, w)?;
    let to = target(st, to)?;
    let drop = if ins.op_count() > 0 { u32::from(ins.immediate16()) } else { 0 };
    st.set(Gpr::Esp, st.get(Gpr::Esp).wrapping_add(w.bytes()).wrapping_add(drop));
    st.eip = to;
    Ok(())
}

/// `loop loope loopne jcxz`: the address size says which counter, and no flag changes.
pub(super) fn counted(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    use iced_x86::Code as K;
    let short = matches!(
        ins.code(),
        K::Jcxz_rel8_16
            | K::Jcxz_rel8_32
            | K::Loop_rel8_16_CX
            | K::Loop_rel8_32_CX
            | K::Loope_rel8_16_CX
            | K::Loope_rel8_32_CX
            | K::Loopne_rel8_16_CX
            | K::Loopne_rel8_32_CX
    );
    let w = if short { Width::Word } else { Width::Dword };
    let count = st.get_part(w, Gpr::Ecx as usize);
    if matches!(ins.mnemonic(), M::Jcxz | M::Jecxz) {
        if count == 0 {
            st.eip = near(st, ins)?;
        }
        return Ok(());
    }
    let count = w.cut(count.wrapping_sub(1));
    let equal = st.flags.test(4);
    let go = count != 0
        && match ins.mnemonic() {
            M::Loope => equal,
            M::Loopne => !equal,
            _ => true,
        };
    if go {
        st.eip = near(st, ins)?;
    }
    st.set_part(w, Gpr::Ecx as usize, count);
    Ok(())
}

/// A far branch to `selector:offset`, or the operands of the instruction.
pub(super) fn far(st: &mut State<'_>, ins: &Instruction, to: Option<(u16, u32)>) -> Result<(), Trap> {
    let (selector, offset) = to.unwrap_or_else(|| match ins.op0_kind() {
        OpKind::FarBranch16 => (ins.far_branch_selector(), ins.far_branch16().into()),
        _ => (ins.far_branch_selector(), ins.far_branch32()),
    });
    let calls = ins.mnemonic() == M::Call;
    if calls && selector & !3 == GATE {
        return Err(Trap::Syscall);
    }
    segment::check_code(selector, false)?;
    let offset = target(st, offset)?;
    if calls {
        let w = if is_16(ins.code()) { Width::Word } else { Width::Dword };
        let (cs, eip, esp) = (u32::from(st.seg[Seg::Cs as usize]), w.cut(st.eip), st.get(Gpr::Esp));
        st.probe(Seg::Ss, esp.wrapping_sub(2 * w.bytes()), 2 * w.bytes())?;
        stack::push_value(st, w, cs)?;
        stack::push_value(st, w, eip)?;
    }
    st.seg[Seg::Cs as usize] = selector | 3;
    st.eip = offset;
    Ok(())
}

/// A far branch through memory: offset, then selector.
pub(super) fn far_indirect(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = if is_16(ins.code()) { Width::Word } else { Width::Dword };
    let at = place(st, ins);
    let offset = at.load(st, w)?;
    let selector = at.plus(w.bytes()).load(st, Width::Word)?;
    far(st, ins, Some((selector as u16, offset)))
}

/// `retf` and `iret`, to the user's own code segment.
pub(super) fn far_return(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = if is_16(ins.code()) { Width::Word } else { Width::Dword };
    let esp = st.get(Gpr::Esp);
    let slot = |i: u32| st.load(w, Seg::Ss, esp.wrapping_add(i * w.bytes()));
    let interrupt = ins.mnemonic() != M::Retf;
    if interrupt && st.system & crate::trapframe::eflags::NT != 0 {
        // A nested task that does not exist: its back link is the null selector.
        return Err(Trap::GeneralProtection(0));
    }
    let (offset, selector) = (slot(0)?, slot(1)? as u16);
    let flags = if interrupt { Some(slot(2)?) } else { None };
    segment::check_code(selector, true)?;
    let offset = target(st, offset)?;
    let drop = if !interrupt && ins.op_count() > 0 { u32::from(ins.immediate16()) } else { 0 };
    let slots = if interrupt { 3 } else { 2 };
    st.set(Gpr::Esp, esp.wrapping_add(slots * w.bytes()).wrapping_add(drop));
    st.seg[Seg::Cs as usize] = selector;
    st.eip = offset;
    if let Some(flags) = flags {
        st.popf(w, flags);
        st.system &= !RF;
    }
    Ok(())
}

/// `int int3 int1 into`: vectors 3 and 4 have gates that a user may use.
pub(super) fn interrupt(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    match ins.mnemonic() {
        M::Int3 => Err(Trap::Breakpoint),
        M::Int1 => Err(Trap::SingleStep),
        M::Into if st.flags.eflags() & OF == 0 => Ok(()),
        M::Into => Err(Trap::Overflow),
        _ => match ins.immediate8() {
            3 => Err(Trap::Breakpoint),
            4 => Err(Trap::Overflow),
            vector => Err(Trap::GeneralProtection(u32::from(vector) * 8 + 2)),
        },
    }
}

/// `bound`: signed limits, both included.
pub(super) fn bound(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = width(ins, 0);
    let index = w.extend(read(st, ins, 0, w)?);
    let at = place(st, ins);
    let low = w.extend(at.load(st, w)?);
    let high = w.extend(at.plus(w.bytes()).load(st, w)?);
    if index < low || index > high { Err(Trap::Bounds) } else { Ok(()) }
}
