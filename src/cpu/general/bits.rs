//! Bit tests and scans, and the 486's and Pentium's exchanging instructions.

use super::operand::{Place, place, read, read_first, width, write};
use crate::cpu::alu::{self, Width};
use crate::cpu::state::State;
use crate::trapframe::eflags::{CF, ZF};
use crate::trapframe::{Gpr, Trap};
use iced_x86::{Instruction, Mnemonic as M, OpKind};

/// `bt bts btr btc`: a register as bit number reaches beyond a memory operand.
pub(super) fn test(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = width(ins, 0);
    let bit = read(st, ins, 1, w)?;
    let mask = 1 << (bit & (w.bits() - 1));
    let string = ins.op0_kind() == OpKind::Memory && ins.op1_kind() == OpKind::Register;
    let memory: Option<Place> = (ins.op0_kind() == OpKind::Memory).then(|| {
        let at = place(st, ins);
        let units = w.extend(bit) >> w.bits().trailing_zeros();
        if string { at.plus((units as u32).wrapping_mul(w.bytes())) } else { at }
    });
    let x = match memory {
        Some(at) => {
            if ins.mnemonic() != M::Bt {
                at.probe(st, w.bytes())?;
            }
            at.load(st, w)?
        }
        None => read(st, ins, 0, w)?,
    };
    let z = match ins.mnemonic() {
        M::Bts => x | mask,
        M::Btr => x & !mask,
        M::Btc => x ^ mask,
        _ => x,
    };
    match memory {
        _ if ins.mnemonic() == M::Bt => {}
        Some(at) => at.store(st, w, z)?,
        None => write(st, ins, 0, w, z)?,
    }
    st.flags.replace(CF, u32::from(x & mask != 0));
    Ok(())
}

/// `bsf bsr`: a source of zero leaves the destination.
pub(super) fn scan(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = width(ins, 0);
    let x = read(st, ins, 1, w)?;
    if x != 0 {
        let bit = if ins.mnemonic() == M::Bsf { x.trailing_zeros() } else { 31 - x.leading_zeros() };
        write(st, ins, 0, w, bit)?;
    }
    st.flags.replace(ZF, if x == 0 { ZF } else { 0 });
    Ok(())
}

/// `cmpxchg`: the destination is written in any case.
pub(super) fn cmpxchg(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = width(ins, 0);
    let x = read_first(st, ins, w)?;
    let source = read(st, ins, 1, w)?;
    let accumulator = st.get_part(w, 0);
    let equal = accumulator == x;
    write(st, ins, 0, w, if equal { source } else { x })?;
    if !equal {
        st.set_part(w, 0, x);
    }
    st.flags.sub(w, accumulator, x);
    Ok(())
}

/// `cmpxchg8b`.
pub(super) fn cmpxchg8b(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let at = place(st, ins);
    let pair = |high, low| u64::from(st.get(high)) << 32 | u64::from(st.get(low));
    let (expected, new) = (pair(Gpr::Edx, Gpr::Eax), pair(Gpr::Ecx, Gpr::Ebx));
    at.probe(st, 8)?;
    let x = st.load64(at.seg, at.offset)?;
    st.store64(at.seg, at.offset, if x == expected { new } else { x })?;
    if x != expected {
        st.set(Gpr::Eax, x as u32);
        st.set(Gpr::Edx, (x >> 32) as u32);
    }
    st.flags.replace(ZF, if x == expected { ZF } else { 0 });
    Ok(())
}

/// `xadd`.
pub(super) fn xadd(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = width(ins, 0);
    let x = read_first(st, ins, w)?;
    let y = read(st, ins, 1, w)?;
    if ins.op0_kind() == OpKind::Memory {
        write(st, ins, 0, w, alu::add(w, x, y, 0))?;
        write(st, ins, 1, w, x)?;
    } else {
        // With the same register twice the sum wins.
        write(st, ins, 1, w, x)?;
        write(st, ins, 0, w, alu::add(w, x, y, 0))?;
    }
    st.flags.add(w, x, y);
    Ok(())
}

/// `bswap`; the 16-bit form is undefined and clears the register, as current processors do.
pub(super) fn bswap(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = width(ins, 0);
    let x = read(st, ins, 0, w)?;
    write(st, ins, 0, w, if w == Width::Word { 0 } else { x.swap_bytes() })
}
