//! Gives instructions that load selectors, flags or environments operands that mean something: good and
//! bad selectors, return addresses that lead out, images of the unit.
//!
//! Leaves out what only the host's own descriptors decide.

use crate::generate::{self, Random};
use crate::native::{CODE, CONSTANT, DATA, Registers, STACK};
use bsd21::trapframe::{USER_CODE, USER_DATA};
use iced_x86::{Code, Instruction, Mnemonic as M, OpKind, Register as R};

/// Bytes that go to an address before the case.
pub type Plants = Vec<(u32, Vec<u8>)>;

/// A selector: the user's two, null, and ones that the user must not have.
pub fn selector(random: &mut Random) -> u16 {
    let rpl = if random.one_in(3) { random.below(4) as u16 } else { 3 };
    let index = match random.below(16) {
        0..4 => USER_DATA,
        4..8 => USER_CODE,
        8 | 9 => 0,
        // Other entries of the local table, which the host does not have and 2.1 keeps to itself.
        10..13 => 4 + 8 * [1, 2, 5, 6, 7, 100][random.below(6) as usize],
        // The kernel's, in either system.
        _ => 8 * [1, 2, 3][random.below(3) as usize],
    };
    index & !3 | rpl
}

/// Segment registers for a case.
pub fn segments(random: &mut Random) -> [u16; 6] {
    let mut seg = [USER_DATA, USER_CODE, USER_DATA, USER_DATA, 0, 0];
    if random.one_in(12) {
        for i in [0, 3, 4, 5] {
            seg[i] = [USER_DATA, USER_CODE, USER_DATA & !3, 0, 3][random.below(5) as usize];
        }
    }
    seg
}

/// Puts something sensible where the instruction reads; `None` when the case cannot be compared.
pub fn plant(random: &mut Random, ins: &Instruction, start: &mut Registers, end: u32) -> Option<Plants> {
    let mut plants = Plants::new();
    match ins.mnemonic() {
        M::Mov if loads_segment(ins) => operand(random, ins, 1, start, &mut plants)?,
        M::Pop if loads_segment(ins) => {
            let value = selector(random);
            put(&mut plants, start.gpr[4], &value.to_le_bytes())?;
        }
        M::Lar | M::Lsl => operand(random, ins, 1, start, &mut plants)?,
        M::Verr | M::Verw => operand(random, ins, 0, start, &mut plants)?,
        M::Lds | M::Les | M::Lss | M::Lfs | M::Lgs => {
            let size = ins.op0_register().size();
            let value = selector(random);
            pointer(&mut plants, address(ins, start), size, random.word(), value)?;
        }
        M::Jmp | M::Call if ins.is_jmp_far_indirect() || ins.is_call_far_indirect() => {
            let size = ins.memory_size().size() - 2;
            let (to, selector) = far_target(random, end);
            pointer(&mut plants, address(ins, start), size, to, selector)?;
        }
        M::Retf | M::Iret | M::Iretd => {
            let size = ins.code().op_code().operand_size() as usize / 8;
            let (to, selector) = far_target(random, end);
            let mut image = Vec::new();
            for word in [to, u32::from(selector) | random.word() << 16, flags(random)] {
                image.extend_from_slice(&word.to_le_bytes()[..size]);
            }
            put(&mut plants, start.gpr[4], &image)?;
        }
        M::Popf | M::Popfd => {
            let size = ins.code().op_code().operand_size() as usize / 8;
            put(&mut plants, start.gpr[4], &flags(random).to_le_bytes()[..size])?;
        }
        M::Fldenv | M::Frstor => {
            let mut image = vec![0; ins.memory_size().size()];
            image.iter_mut().for_each(|b| *b = random.word() as u8);
            // A reserved precision behaves differently from one processor to the next.
            if let Some(b) = image.get_mut(1).filter(|b| **b & 3 == 1) {
                *b |= 2;
            }
            put(&mut plants, address(ins, start), &image)?;
        }
        _ => {}
    }
    Some(plants)
}

/// Whether the instruction writes a segment register.
pub fn loads_segment(ins: &Instruction) -> bool {
    ins.op_count() > 0 && ins.op0_kind() == OpKind::Register && ins.op0_register().is_segment_register()
}

/// A direct far branch with operands that mean something, in place of the instruction's own.
pub fn far_operand(random: &mut Random, ins: &Instruction, bytes: &mut [u8], at: u32) {
    let size = match ins.code() {
        Code::Jmp_ptr1616 | Code::Call_ptr1616 => 2,
        _ => 4,
    };
    let (to, selector) = far_target(random, at + bytes.len() as u32);
    let from = bytes.len() - size - 2;
    bytes[from..from + size].copy_from_slice(&to.to_le_bytes()[..size]);
    bytes[from + size..].copy_from_slice(&selector.to_le_bytes());
}

/// Where a far branch goes: mostly behind itself, where the way out is.
fn far_target(random: &mut Random, end: u32) -> (u32, u16) {
    let to = if random.one_in(4) { generate::value(random) } else { end };
    let selector = if random.one_in(3) { selector(random) } else { USER_CODE };
    // The gate of 2.1's kernel is not on the host.
    (to, if selector & !3 == 4 { 0x0c } else { selector })
}

/// Flags for `popf` and `iret`; alignment checks are another matter (2.1 does not switch them on).
fn flags(random: &mut Random) -> u32 {
    let flags = random.word() & !(1 << 14);
    if random.one_in(4) { flags } else { flags & !(1 << 8) }
}

/// Where the memory operand is, in flat segments.
pub fn address(ins: &Instruction, start: &Registers) -> u32 {
    let read = |r: R, _: usize, _: usize| {
        let value = if r.is_segment_register() { 0 } else { start.gpr[r.full_register32().number() & 7] };
        Some(match r.size() {
            2 => u64::from(value as u16),
            _ => u64::from(value),
        })
    };
    let index = (0..ins.op_count()).find(|&i| ins.op_kind(i) == OpKind::Memory).unwrap_or(0);
    ins.virtual_address(index, 0, read).unwrap_or(0) as u32
}

/// Makes a 16-bit operand a selector.
fn operand(
    random: &mut Random,
    ins: &Instruction,
    n: u32,
    start: &mut Registers,
    plants: &mut Plants,
) -> Option<()> {
    let value = selector(random);
    if ins.op_kind(n) == OpKind::Memory {
        return put(plants, address(ins, start), &value.to_le_bytes());
    }
    let register = &mut start.gpr[ins.op_register(n).full_register32().number() & 7];
    *register = *register & 0xffff_0000 | u32::from(value);
    Some(())
}

/// A far pointer: offset and selector.
fn pointer(plants: &mut Plants, at: u32, size: usize, offset: u32, selector: u16) -> Option<()> {
    let mut image = offset.to_le_bytes()[..size.min(4)].to_vec();
    image.extend_from_slice(&selector.to_le_bytes());
    put(plants, at, &image)
}

/// Notes bytes for memory that both have and can write; nothing where a fault comes first; `None` where
/// something else is read.
fn put(plants: &mut Plants, at: u32, image: &[u8]) -> Option<()> {
    let last = at.checked_add(image.len() as u32 - 1)?;
    let inside = |addr: u32| [DATA, STACK].iter().any(|w| addr.wrapping_sub(*w) < 0x2000);
    if inside(at) {
        let room = 0x2000 - ((at - DATA) & 0xfff_ffff) as usize;
        plants.push((at, image[..image.len().min(room)].to_vec()));
        return Some(());
    }
    let elsewhere = |addr: u32| [CODE, CONSTANT, 0x6b3f_0000].iter().any(|p| addr.wrapping_sub(*p) < 0x4000);
    if inside(last) || elsewhere(at) || elsewhere(last) { None } else { Some(()) }
}
