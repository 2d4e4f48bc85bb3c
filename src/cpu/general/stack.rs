//! Push, pop and stack frames.  The stack segment is always a 32-bit one.

use super::operand::{place, read};
use super::{is_16, segment, segment_of};
use crate::cpu::alu::Width;
use crate::cpu::state::State;
use crate::trapframe::{Gpr, Seg, Trap};
use iced_x86::{Instruction, OpKind};

/// Width of a stack slot of an instruction.
fn slot(ins: &Instruction) -> Width {
    if is_16(ins.code()) { Width::Word } else { Width::Dword }
}

/// Pushes a value.
pub(super) fn push_value(st: &mut State<'_>, w: Width, value: u32) -> Result<(), Trap> {
    let esp = st.get(Gpr::Esp).wrapping_sub(w.bytes());
    st.store(w, Seg::Ss, esp, value)?;
    st.set(Gpr::Esp, esp);
    Ok(())
}

/// The value on top of the stack.
pub(super) fn top(st: &State<'_>, w: Width) -> Result<u32, Trap> {
    st.load(w, Seg::Ss, st.get(Gpr::Esp))
}

/// `push`; a segment register fills a 32-bit slot with zeros.
pub(super) fn push(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = match ins.op0_kind() {
        OpKind::Register if !ins.op0_register().is_segment_register() => Width::of(ins.op0_register().size()),
        _ => Width::of(ins.stack_pointer_increment().unsigned_abs() as usize),
    };
    let value = match ins.op0_kind() {
        OpKind::Register | OpKind::Memory => read(st, ins, 0, w)?,
        _ => w.cut(ins.immediate(0) as u32),
    };
    push_value(st, w, value)
}

/// `pop`; an address that uses ESP is computed after the increment.
pub(super) fn pop(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = Width::of(ins.stack_pointer_increment().unsigned_abs() as usize);
    let value = top(st, w)?;
    let esp = st.get(Gpr::Esp);
    let after = esp.wrapping_add(w.bytes());
    if ins.op0_kind() == OpKind::Memory {
        st.set(Gpr::Esp, after);
        return place(st, ins).store(st, w, value).inspect_err(|_| st.set(Gpr::Esp, esp));
    }
    let r = ins.op0_register();
    if r.is_segment_register() {
        segment::set(st, segment_of(r), value as u16)?;
        st.set(Gpr::Esp, after);
        return Ok(());
    }
    st.set(Gpr::Esp, after);
    st.set_part(w, r.number(), value);
    Ok(())
}

/// `pusha`: a fault in the middle leaves what was stored before it, below a stack pointer that has not
/// moved.
pub(super) fn pusha(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = slot(ins);
    let mut at = st.get(Gpr::Esp);
    for r in 0..8 {
        at = at.wrapping_sub(w.bytes());
        st.store(w, Seg::Ss, at, w.cut(st.regs[r]))?;
    }
    st.set(Gpr::Esp, at);
    Ok(())
}

/// `popa`; the slot of ESP is skipped.
pub(super) fn popa(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = slot(ins);
    let bottom = st.get(Gpr::Esp);
    let mut values = [0; 8];
    for (i, value) in (0..8u32).zip(&mut values).rev() {
        *value = st.load(w, Seg::Ss, bottom.wrapping_add((7 - i) * w.bytes()))?;
    }
    for (i, value) in values.into_iter().enumerate() {
        if i != Gpr::Esp as usize {
            st.set_part(w, i, value);
        }
    }
    st.set(Gpr::Esp, bottom.wrapping_add(8 * w.bytes()));
    Ok(())
}

/// `pushf`.
pub(super) fn pushf(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = slot(ins);
    let value = w.cut(st.pushf());
    push_value(st, w, value)
}

/// `popf`: IF and IOPL stay as they are.
pub(super) fn popf(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = slot(ins);
    let value = top(st, w)?;
    st.popf(w, value);
    st.set(Gpr::Esp, st.get(Gpr::Esp).wrapping_add(w.bytes()));
    Ok(())
}

/// `enter`: the frame pointers of the enclosing frames are copied one by one, which shows where the
/// frames overlap; as with `pusha` a fault leaves the copies.  The place where the stack pointer ends
/// must be writable.
pub(super) fn enter(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = slot(ins);
    let step = w.bytes();
    let size = u32::from(ins.immediate16());
    let level = u32::from(ins.immediate8_2nd()) & 31;
    let (esp, ebp) = (st.get(Gpr::Esp), st.get(Gpr::Ebp));
    let frame = esp.wrapping_sub(step);
    let slot = |i: u32| frame.wrapping_sub(i * step);
    st.store(w, Seg::Ss, frame, w.cut(ebp))?;
    for i in 1..level {
        let outer = st.load(w, Seg::Ss, ebp.wrapping_sub(i * step))?;
        st.store(w, Seg::Ss, slot(i), outer)?;
    }
    if level > 0 {
        st.store(w, Seg::Ss, slot(level), w.cut(frame))?;
    }
    let bottom = slot(level).wrapping_sub(size);
    st.probe(Seg::Ss, bottom, step)?;
    st.set_part(w, Gpr::Ebp as usize, frame);
    st.set(Gpr::Esp, bottom);
    Ok(())
}

/// `leave`.
pub(super) fn leave(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let w = slot(ins);
    let ebp = st.get(Gpr::Ebp);
    let value = st.load(w, Seg::Ss, ebp)?;
    st.set(Gpr::Esp, ebp.wrapping_add(w.bytes()));
    st.set_part(w, Gpr::Ebp as usize, value);
    Ok(())
}
