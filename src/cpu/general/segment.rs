//! Segment registers, and what a user may find out about descriptors.
//!
//! The user owns two descriptors of the local table, code (entry 3) and data (entry 4), and may call
//! through the gate in entry 0; everything else is the kernel's (`gdt_segs`, `ldt_segs` in
//! i386/i386/machdep.c).

use super::operand::{place, read, width, write};
use super::segment_of;
use crate::cpu::alu::Width;
use crate::cpu::state::{CODE_END, DATA_END, State, selects};
use crate::trapframe::eflags::ZF;
use crate::trapframe::{Access, Seg, Trap, USER_CODE, USER_DATA};
use iced_x86::{Instruction, Mnemonic as M, OpKind, Register as R};

/// The refusal of a selector: its index as error code.
fn refuse(selector: u16) -> Trap {
    Trap::GeneralProtection(u32::from(selector & !3))
}

/// Loads a segment register if the descriptor allows it.
pub(super) fn set(st: &mut State<'_>, seg: Seg, selector: u16) -> Result<(), Trap> {
    match seg {
        // The decoder does not accept CS here.
        Seg::Cs => return Err(Trap::InvalidOpcode),
        Seg::Ss if selector & !3 == 0 => return Err(Trap::GeneralProtection(0)),
        Seg::Ss if selector != USER_DATA => return Err(refuse(selector)),
        Seg::Ss => st.shadow = true,
        _ if selector & !3 == 0 || selects(selector, USER_DATA) || selects(selector, USER_CODE) => {}
        _ => return Err(refuse(selector)),
    }
    st.seg[seg as usize] = selector;
    Ok(())
}

/// Checks a selector for CS; returning to it needs the user's privilege in it.
pub(super) fn check_code(selector: u16, returning: bool) -> Result<(), Trap> {
    if selector & !3 == 0 {
        return Err(Trap::GeneralProtection(0));
    }
    if selects(selector, USER_CODE) && (!returning || selector & 3 == 3) {
        Ok(())
    } else {
        Err(refuse(selector))
    }
}

/// `mov sreg, r/m16`.
pub(super) fn load(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let value = read(st, ins, 1, Width::Word)?;
    set(st, segment_of(ins.op0_register()), value as u16)
}

/// `les lds lss lfs lgs`: offset, then selector.
pub(super) fn load_far(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = width(ins, 0);
    let at = place(st, ins);
    let value = at.load(st, w)?;
    let selector = at.plus(w.bytes()).load(st, Width::Word)? as u16;
    let seg = match ins.mnemonic() {
        M::Les => Seg::Es,
        M::Lss => Seg::Ss,
        M::Lfs => Seg::Fs,
        M::Lgs => Seg::Gs,
        _ => Seg::Ds,
    };
    set(st, seg, selector)?;
    write(st, ins, 0, w, value)
}

/// Access rights and limit of a descriptor that a user may look at.
fn visible(selector: u16) -> Option<(u32, Option<u32>)> {
    // Present, ring 3, 32 bits, pages; the accessed bit is set in both.
    if selects(selector, USER_CODE) {
        Some((0x00ce_fb00, Some(CODE_END - 1)))
    } else if selects(selector, USER_DATA) {
        Some((0x00ce_f300, Some(DATA_END - 1)))
    } else if selector & !3 == 4 {
        Some((0x0000_ec00, None))
    } else {
        None
    }
}

/// `lar lsl verr verw`: ZF says whether the selector is good for it.
pub(super) fn query(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let source = u32::from(matches!(ins.mnemonic(), M::Lar | M::Lsl));
    let selector = read(st, ins, source, Width::Word)? as u16;
    let seen = visible(selector);
    let good = match (ins.mnemonic(), seen) {
        (_, None) => false,
        (M::Lar, Some((rights, _))) => {
            write(st, ins, 0, width(ins, 0), rights)?;
            true
        }
        (M::Lsl, Some((_, Some(limit)))) => {
            write(st, ins, 0, width(ins, 0), limit)?;
            true
        }
        (M::Verr, Some((_, limit))) => limit.is_some(),
        (M::Verw, Some(_)) => selects(selector, USER_DATA),
        _ => false,
    };
    st.flags.replace(ZF, if good { ZF } else { 0 });
    Ok(())
}

/// `arpl`.
pub(super) fn arpl(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let x = read(st, ins, 0, Width::Word)?;
    let y = read(st, ins, 1, Width::Word)?;
    let lower = x & 3 < y & 3;
    if lower {
        write(st, ins, 0, Width::Word, x & !3 | y & 3)?;
    }
    st.flags.replace(ZF, if lower { ZF } else { 0 });
    Ok(())
}

/// `sgdt sidt sldt str smsw`: the numbers of a 2.1 kernel on a Pentium; where it would show an address
/// of the kernel's tables, one in its range.
pub(super) fn store_table(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let (limit, base) = match ins.mnemonic() {
        M::Sgdt => (11 * 8 - 1, 0xf01f_0000),
        M::Sidt => (129 * 8 - 1, 0xf01f_1000),
        other => {
            let value = match other {
                M::Sldt => 0x18,
                M::Str => 0x30,
                _ => 0x8001_0033,
            };
            let w = if ins.op0_kind() == OpKind::Memory { Width::Word } else { width(ins, 0) };
            return write(st, ins, 0, w, w.cut(value));
        }
    };
    let at = place(st, ins);
    if ins.memory_segment() == R::None || st.linear(at.seg, at.offset, 6, Access::Write).is_err() {
        st.linear(at.seg, at.offset, 6, Access::Write)?;
    }
    at.probe(st, 6)?;
    at.store(st, Width::Word, limit)?;
    at.plus(2).store(st, Width::Dword, base)
}
