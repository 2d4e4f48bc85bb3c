//! Moves, exchanges, conversions, the flag instructions, and what the processor says about itself.

use super::operand::{self, read, read_first, width, write};
use super::segment_of;
use crate::cpu::alu::Width;
use crate::cpu::state::State;
use crate::trapframe::eflags::{AF, CF, DF, PF, SF, ZF};
use crate::trapframe::{Gpr, Trap};
use iced_x86::{Instruction, Mnemonic as M, OpKind};

/// `mov`, but not to a segment register.
pub(super) fn mov(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let to_or_from = |i| {
        ins.op_kind(i) == OpKind::Register && {
            let r = ins.op_register(i);
            r.is_cr() || r.is_dr() || r.is_tr()
        }
    };
    if to_or_from(0) || to_or_from(1) {
        return Err(Trap::GeneralProtection(0));
    }
    let w = width(ins, 0);
    let x = read(st, ins, 1, w)?;
    write(st, ins, 0, w, x)
}

/// `movzx`.
pub(super) fn movzx(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let x = read(st, ins, 1, width(ins, 1))?;
    write(st, ins, 0, width(ins, 0), x)
}

/// `movsx`.
pub(super) fn movsx(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = width(ins, 1);
    let x = w.extend(read(st, ins, 1, w)?) as u32;
    write(st, ins, 0, width(ins, 0), x)
}

/// `lea`.
pub(super) fn lea(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let x = operand::offset(st, ins);
    write(st, ins, 0, width(ins, 0), x)
}

/// `xchg`.
pub(super) fn xchg(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = width(ins, 0);
    let x = read_first(st, ins, w)?;
    let y = read(st, ins, 1, w)?;
    if ins.op0_kind() == OpKind::Memory {
        write(st, ins, 0, w, y)?;
        return write(st, ins, 1, w, x);
    }
    write(st, ins, 1, w, x)?;
    write(st, ins, 0, w, y)
}

/// `xlat`.
pub(super) fn xlat(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let short = ins.memory_base().size() == 2;
    let sum = st.get(Gpr::Ebx).wrapping_add(st.get(Gpr::Eax) & 0xff);
    let offset = if short { sum & 0xffff } else { sum };
    let x = st.load(Width::Byte, segment_of(ins.memory_segment()), offset)?;
    st.set_part(Width::Byte, 0, x);
    Ok(())
}

/// `cbw cwde cwd cdq`.
pub(super) fn convert(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let eax = st.get(Gpr::Eax);
    match ins.mnemonic() {
        M::Cbw => st.set_part(Width::Word, 0, Width::Byte.extend(eax) as u32),
        M::Cwde => st.set(Gpr::Eax, Width::Word.extend(eax) as u32),
        M::Cwd => st.set_part(Width::Word, Gpr::Edx as usize, (Width::Word.extend(eax) >> 15) as u32),
        _ => st.set(Gpr::Edx, (eax as i32 >> 31) as u32),
    }
    Ok(())
}

/// `setcc`.
pub(super) fn setcc(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let yes = st.flags.test(super::control::condition(ins));
    write(st, ins, 0, Width::Byte, u32::from(yes))
}

/// `lahf sahf clc stc cmc cld std salc`.
pub(super) fn flag(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let carry = st.flags.carry();
    match ins.mnemonic() {
        M::Lahf => {
            let low = st.flags.eflags() | 2;
            st.set_part(Width::Byte, 4, low);
        }
        M::Sahf => {
            let ah = st.get_part(Width::Byte, 4);
            st.flags.replace(SF | ZF | AF | PF | CF, ah);
        }
        M::Clc => st.flags.replace(CF, 0),
        M::Stc => st.flags.replace(CF, CF),
        M::Cmc => st.flags.replace(CF, u32::from(!carry)),
        M::Cld => st.system &= !DF,
        M::Std => st.system |= DF,
        _ => st.set_part(Width::Byte, 0, if carry { 0xff } else { 0 }),
    }
    Ok(())
}

/// `cpuid` of a Pentium 75-200: family 5, model 2, stepping 12; FPU, VME, DE, PSE, TSC, MSR, MCE, CX8.
pub(super) fn cpuid(st: &mut State<'_>) -> Result<(), Trap> {
    let text = |s: &[u8; 4]| u32::from_le_bytes(*s);
    let [a, b, c, d] = match st.get(Gpr::Eax) {
        0 => [1, text(b"Genu"), text(b"ntel"), text(b"ineI")],
        1 => [0x52c, 0, 0, 0x1bf],
        _ => [0; 4],
    };
    st.set(Gpr::Eax, a);
    st.set(Gpr::Ebx, b);
    st.set(Gpr::Ecx, c);
    st.set(Gpr::Edx, d);
    Ok(())
}

/// `rdtsc`: the count of retired instructions.
pub(super) fn rdtsc(st: &mut State<'_>) -> Result<(), Trap> {
    let now = st.clock();
    st.set(Gpr::Eax, now as u32);
    st.set(Gpr::Edx, (now >> 32) as u32);
    Ok(())
}
