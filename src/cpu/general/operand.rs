//! Operands: effective addresses, and reading and writing whatever the decoder names.

use super::segment_of;
use crate::cpu::alu::Width;
use crate::cpu::state::State;
use crate::trapframe::{Seg, Trap};
use iced_x86::{Instruction, OpKind, Register};

/// Where a memory operand is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) seg: Seg,
    pub(super) offset: u32,
    /// Whether offsets wrap at 64 KiB.
    pub(super) short: bool,
}

impl Place {
    /// The place some bytes further on.
    pub(super) fn plus(self, bytes: u32) -> Self {
        let offset = self.offset.wrapping_add(bytes);
        Self { offset: if self.short { offset & 0xffff } else { offset }, ..self }
    }

    pub(super) fn load(self, st: &State<'_>, w: Width) -> Result<u32, Trap> {
        st.load(w, self.seg, self.offset)
    }

    pub(super) fn store(self, st: &State<'_>, w: Width, value: u32) -> Result<(), Trap> {
        st.store(w, self.seg, self.offset, value)
    }

    pub(super) fn probe(self, st: &State<'_>, len: u32) -> Result<(), Trap> {
        st.probe(self.seg, self.offset, len)
    }
}

/// Whether the memory operand is addressed with 16 bits.
pub(crate) fn short_address(ins: &Instruction) -> bool {
    let of = |r: Register| r != Register::None && r.size() == 2;
    of(ins.memory_base()) || of(ins.memory_index()) || ins.memory_displ_size() == 2
}

/// Effective address without the segment.
pub(super) fn offset(st: &State<'_>, ins: &Instruction) -> u32 {
    let value = |r: Register| match r {
        Register::None => 0,
        _ => st.get_part(Width::of(r.size()), r.number()),
    };
    let index = value(ins.memory_index()).wrapping_mul(ins.memory_index_scale());
    let sum = value(ins.memory_base()).wrapping_add(index).wrapping_add(ins.memory_displacement32());
    if short_address(ins) { sum & 0xffff } else { sum }
}

/// The memory operand.
pub(super) fn place(st: &State<'_>, ins: &Instruction) -> Place {
    Place { seg: segment_of(ins.memory_segment()), offset: offset(st, ins), short: short_address(ins) }
}

/// Width of an operand; immediates have that of the first one.
pub(super) fn width(ins: &Instruction, i: u32) -> Width {
    match ins.op_kind(i) {
        OpKind::Register => Width::of(ins.op_register(i).size()),
        OpKind::Memory => Width::of(ins.memory_size().size()),
        _ => width(ins, 0),
    }
}

/// Reads an operand of a given width.
pub(super) fn read(st: &State<'_>, ins: &Instruction, i: u32, w: Width) -> Result<u32, Trap> {
    match ins.op_kind(i) {
        OpKind::Register => {
            let r = ins.op_register(i);
            if r.is_segment_register() {
                return Ok(u32::from(st.seg[segment_of(r) as usize]));
            }
            Ok(st.get_part(w, r.number()))
        }
        OpKind::Memory => place(st, ins).load(st, w),
        _ => Ok(w.cut(ins.immediate(i) as u32)),
    }
}

/// Reads an operand that will be written: whatever refuses the store refuses already here, page by page.
pub(super) fn read_first(st: &State<'_>, ins: &Instruction, w: Width) -> Result<u32, Trap> {
    if ins.op0_kind() == OpKind::Memory {
        place(st, ins).probe(st, w.bytes())?;
    }
    read(st, ins, 0, w)
}

/// Writes an operand of a given width.
pub(super) fn write(st: &mut State<'_>, ins: &Instruction, i: u32, w: Width, value: u32) -> Result<(), Trap> {
    if ins.op_kind(i) == OpKind::Memory {
        return place(st, ins).store(st, w, value);
    }
    st.set_part(w, ins.op_register(i).number(), value);
    Ok(())
}
