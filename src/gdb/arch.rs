//! The registers of an i386 with its x87 unit, in the order that gdb gives them.

use gdbstub::arch::{Arch, RegId, Registers};

use crate::trapframe::fpu::SAVE_SIZE;
use crate::trapframe::{Gpr, Seg, Trapframe};

/// Bytes of all registers in a packet: 16 words, 8 numbers of the x87 unit, and its 8 words.
const SIZE: usize = 16 * 4 + 8 * 10 + 8 * 4;
/// General registers in gdb's order.
const GENERAL: [Gpr; 8] = [Gpr::Eax, Gpr::Ecx, Gpr::Edx, Gpr::Ebx, Gpr::Esp, Gpr::Ebp, Gpr::Esi, Gpr::Edi];
/// Segment registers in gdb's order.
const SEGMENTS: [Seg; 6] = [Seg::Cs, Seg::Ss, Seg::Ds, Seg::Es, Seg::Fs, Seg::Gs];
/// Bytes of the x87 environment in front of its registers.
const ENVIRONMENT: usize = 28;

/// The processor.
#[derive(Debug)]
pub enum I386 {}

impl Arch for I386 {
    type Usize = u32;
    type Registers = Packed;
    type RegId = NoRegister;
    type BreakpointKind = usize;

    fn target_description_xml() -> Option<&'static str> {
        Some(include_str!("i386.xml"))
    }
}

/// Registers are sent all at once.
#[derive(Debug)]
pub enum NoRegister {}

impl RegId for NoRegister {
    fn from_raw_id(_: usize) -> Option<(Self, Option<std::num::NonZeroUsize>)> {
        None
    }
}

/// All registers, as they are in a packet.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed([u8; SIZE]);

impl Default for Packed {
    fn default() -> Self {
        Self([0; SIZE])
    }
}

impl Registers for Packed {
    type ProgramCounter = u32;

    fn pc(&self) -> u32 {
        self.word(8)
    }

    fn gdb_serialize(&self, mut write: impl FnMut(Option<u8>)) {
        self.0.iter().for_each(|byte| write(Some(*byte)));
    }

    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.0 = *bytes.first_chunk().ok_or(())?;
        Ok(())
    }
}

impl Packed {
    fn word(&self, index: usize) -> u32 {
        let bytes = self.0.get(index * 4..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    /// The registers of a process.
    pub fn of(frame: &Trapframe) -> Self {
        let general = GENERAL.map(|register| frame.get(register));
        let segments = SEGMENTS.map(|register| u32::from(frame.seg[register as usize]));
        let unit = frame.fpu.save_area();
        let (environment, stack) = unit.split_at(ENVIRONMENT);
        let field = |at: usize| u32::from(u16::from_le_bytes([environment[at], environment[at + 1]]));
        let long = |at: usize| field(at) | field(at + 2) << 16;
        // Control, status, tags; then selector and offset of the instruction and of the operand; the opcode.
        let words =
            [field(0), field(4), field(8), field(16), long(12), field(24), long(20), field(18) & 0x7ff];
        let mut bytes = Vec::with_capacity(SIZE);
        let front = general.into_iter().chain([frame.eip, frame.eflags]).chain(segments);
        front.for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        bytes.extend_from_slice(stack);
        words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        Self(bytes.try_into().unwrap_or([0; SIZE]))
    }

    /// A process's registers with these in their places; segment registers are the process's own.
    pub fn put(&self, frame: &Trapframe) -> Trapframe {
        let mut frame = frame.clone();
        for (index, register) in GENERAL.into_iter().enumerate() {
            frame.set(register, self.word(index));
        }
        (frame.eip, frame.eflags) = (self.word(8), self.word(9));
        let mut unit: [u8; SAVE_SIZE] = frame.fpu.save_area();
        let stack = 16 * 4..16 * 4 + 80;
        unit[ENVIRONMENT..].copy_from_slice(&self.0[stack.clone()]);
        for (word, at) in [(0, 0), (1, 4), (2, 8)] {
            let from = stack.end + word * 4;
            unit[at..at + 2].copy_from_slice(&self.0[from..from + 2]);
        }
        frame.fpu.set_save_area(&unit);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trapframe::F80;

    #[test]
    fn registers_come_back_as_they_went() {
        let mut frame = Trapframe::new();
        for (n, register) in GENERAL.into_iter().enumerate() {
            frame.set(register, 0x1111_1111 * n as u32);
        }
        (frame.eip, frame.eflags) = (0x1234, 0x246);
        frame.fpu.set_control(0x127f);
        frame.fpu.set_register(3, F80 { significand: 1 << 63, sign_exponent: 0x3fff });
        frame.fpu.set_valid(1 << 3);
        let packed = Packed::of(&frame);
        assert_eq!((packed.pc(), packed.word(1)), (0x1234, 0x1111_1111));
        let mut other = Trapframe::new();
        other.seg = frame.seg;
        let back = packed.put(&other);
        assert_eq!((back.gpr, back.eip, back.eflags), (frame.gpr, frame.eip, frame.eflags));
        assert_eq!(back.fpu.save_area()[..10], frame.fpu.save_area()[..10]);
        assert_eq!(back.fpu.save_area()[ENVIRONMENT..], frame.fpu.save_area()[ENVIRONMENT..]);
    }
}
