//! The cases: one instruction of a given opcode, random bytes, a segment and its use, sequences.
//!
//! Each gives a [`Case`] from the random numbers, or `None` where the host cannot be compared.

use crate::generate::{self, Random};
use crate::native::{CODE, Registers};
use crate::plant::{self, Plants};
use bsd21::trapframe::{F80, FpuState};
use iced_x86::{Code, FlowControl, Instruction, Mnemonic as M};

/// A case that is ready to run.
pub struct Case {
    pub bytes: Vec<u8>,
    pub start: Registers,
    pub fpu: FpuState,
    pub plants: Plants,
    /// Flags that are undefined at the end.
    pub undefined: u32,
    /// Instructions, where the number is fixed.
    pub count: Option<u64>,
    pub instructions: Vec<Instruction>,
}

impl Case {
    /// Whether one of the instructions has one of these mnemonics.
    pub fn has(&self, wanted: &[M]) -> bool {
        self.instructions.iter().any(|i| wanted.contains(&i.mnemonic()))
    }

    pub fn codes(&self) -> impl Iterator<Item = Code> {
        self.instructions.iter().map(|i| i.code())
    }
}

/// Transcendental functions: the host's results may be one unit off.
pub const TRANSCENDENTAL: [M; 8] =
    [M::F2xm1, M::Fyl2x, M::Fyl2xp1, M::Fptan, M::Fpatan, M::Fsin, M::Fcos, M::Fsincos];

/// Case number `n`: mostly single instructions, opcode by opcode.
pub fn any(random: &mut Random, n: u64) -> Option<Case> {
    match n % 16 {
        0..12 => opcode(random, (n / 16 * 12 + n % 16) as u32),
        12 if (n / 16).is_multiple_of(2) => noise(random),
        // Each escape byte has dozens of codes behind it, and so have the groups.
        12 => {
            let escapes = random.one_in(2);
            let groups =
                [0x80, 0x81, 0x83, 0xc0, 0xc1, 0xd0, 0xd1, 0xd3, 0xf6, 0xf7, 0x8c, 0x8e, 0xff, 0x100, 0x1ba];
            let n = if escapes { 0xd8 + random.below(8) } else { groups[random.below(15) as usize] };
            opcode(random, n)
        }
        13 if (n / 16).is_multiple_of(4) => segment(random),
        _ => sequence(random),
    }
}

/// A single instruction with the opcode number `n`.
pub fn opcode(random: &mut Random, n: u32) -> Option<Case> {
    let bytes = generate::bytes(random, n);
    single(random, &bytes)
}

/// Random bytes.
fn noise(random: &mut Random) -> Option<Case> {
    let mut bytes = [0; 15];
    bytes.iter_mut().for_each(|b| *b = random.word() as u8);
    single(random, &bytes)
}

fn single(random: &mut Random, bytes: &[u8]) -> Option<Case> {
    let ins = generate::decode(bytes, CODE)?;
    if !generate::known(&ins) {
        return None;
    }
    // One privileged instruction is like the other, and the host's fault is slow.
    if ins.is_privileged() && !random.one_in(2) {
        return None;
    }
    let at = generate::address(random, ins.len());
    let mut bytes = bytes[..ins.len()].to_vec();
    if ins.is_jmp_far() || ins.is_call_far() {
        plant::far_operand(random, &ins, &mut bytes, at);
    }
    let ins = generate::decode(&bytes, at)?;
    let mut start = generate::registers(random, at, Some(&ins));
    if generate::dangerous(&bytes) || !generate::comparable(&ins, Some(&start)) || near_itself(&ins, at) {
        return None;
    }
    let (undefined, _) = generate::flags(&ins, Some(&start));
    let fpu = unit(random);
    let plants = plant::plant(random, &ins, &mut start, at + bytes.len() as u32)?;
    let count = if repeats(&ins) { None } else { Some(1) };
    Some(Case { bytes, start, fpu, plants, undefined, count, instructions: vec![ins] })
}

/// A segment register is loaded and something accesses memory.
fn segment(random: &mut Random) -> Option<Case> {
    let at = CODE + 0x100 + random.below(0xd00);
    let into = [0, 2, 3, 3, 4, 5][random.below(6) as usize];
    let from = random.below(8) as u8;
    let mut bytes = vec![0x8e, 0xc0 | into << 3 | from];
    let n = random.below(512);
    let next = generate::bytes(random, n);
    let second = generate::decode(&next, at + 2)?;
    let first = generate::decode(&bytes, at)?;
    if !ordinary(&second) || !generate::comparable(&second, None) {
        return None;
    }
    bytes.extend_from_slice(&next[..second.len()]);
    if generate::dangerous(&bytes) {
        return None;
    }
    let mut start = generate::registers(random, at, Some(&second));
    let value = &mut start.gpr[usize::from(from)];
    *value = *value & 0xffff_0000 | u32::from(plant::selector(random));
    // Where the load fails nothing is undefined, but then no flag has changed either.
    let (undefined, _) = generate::flags(&second, None);
    let count = if repeats(&second) { None } else { Some(2) };
    let fpu = unit(random);
    Some(Case { bytes, start, fpu, plants: Vec::new(), undefined, count, instructions: vec![first, second] })
}

/// Up to eight instructions without branches.
fn sequence(random: &mut Random) -> Option<Case> {
    let wanted = 2 + random.below(7) as usize;
    let at = CODE + 0x100 + random.below(0xd00);
    let (mut bytes, mut instructions) = (Vec::new(), Vec::new());
    let (mut undefined, mut ever) = (0, 0);
    let mut repeated = false;
    for _ in 0..64 {
        if instructions.len() == wanted {
            break;
        }
        let n = random.below(512);
        let next = generate::bytes(random, n);
        let Some(ins) = generate::decode(&next, at + bytes.len() as u32) else { continue };
        if !ordinary(&ins) || !generate::comparable(&ins, None) || generate::reads(&ins, undefined) {
            continue;
        }
        let (u, d) = generate::flags(&ins, None);
        undefined = undefined & !d | u;
        ever |= u;
        repeated |= repeats(&ins);
        instructions.push(ins);
        bytes.extend_from_slice(&next[..ins.len()]);
    }
    if bytes.is_empty() || generate::dangerous(&bytes) {
        return None;
    }
    let start = generate::registers(random, at, instructions.first());
    let fpu = unit(random);
    let count = if repeated { None } else { Some(instructions.len() as u64) };
    // A fault in the middle shows flags that a later instruction would have defined.
    let undefined = undefined | ever;
    Some(Case { bytes, start, fpu, plants: Vec::new(), undefined, count, instructions })
}

/// Whether an instruction may be one of several: it goes on, and needs nothing prepared.
fn ordinary(ins: &Instruction) -> bool {
    let prepared = matches!(
        ins.mnemonic(),
        M::Lar | M::Lsl | M::Verr | M::Verw | M::Lds | M::Les | M::Lss | M::Lfs | M::Lgs | M::Popf | M::Popfd
    );
    let images = matches!(ins.mnemonic(), M::Fldenv | M::Frstor | M::Fnstenv | M::Fnsave);
    ins.flow_control() == FlowControl::Next
        && !matches!(ins.mnemonic(), M::Bound | M::Int | M::Int1 | M::Int3 | M::Into | M::Hlt)
        && !prepared
        && !images
        && !ins.is_privileged()
        && !plant::loads_segment(ins)
        && !TRANSCENDENTAL.contains(&ins.mnemonic())
}

/// A state of the x87 unit.
fn unit(random: &mut Random) -> FpuState {
    let mut fpu = FpuState::default();
    let control = match random.below(4) {
        0 => 0x1272,
        1 => 0x037f,
        _ => 0x40 | random.word() as u16 & 0xf3f,
    };
    // A reserved precision behaves differently from one processor to the next.
    let control = if control & 0x300 == 0x100 { control | 0x200 } else { control };
    for physical in 0..8 {
        let exponent = match random.below(4) {
            0 => 0x3fff + random.below(64) as u16,
            1 => 0x3fff - random.below(64) as u16,
            2 => [0, 1, 0x7ffe, 0x7fff][random.below(4) as usize],
            _ => random.word() as u16,
        };
        let significand = match random.below(4) {
            0 => 1 << 63,
            1 => random.next() & 0xffff_ffff_0000_0000,
            _ => random.next(),
        };
        let integer = if random.one_in(8) || exponent & 0x7fff == 0 { 0 } else { 1 << 63 };
        fpu.set_register(physical, F80 { significand: significand | integer, sign_exponent: exponent });
    }
    fpu.set_valid(random.word() as u8);
    // The inexact flag may be there already, if it is masked: the short ways ask for it.
    let sticky = 0x4700 | control & 0x20;
    fpu.set_status((random.word() as u16 & 7) << 11 | random.word() as u16 & sticky);
    fpu.set_control(control);
    fpu
}

/// Whether an instruction repeats, so that the number of retired ones varies.
fn repeats(ins: &Instruction) -> bool {
    ins.is_string_instruction() && (ins.has_rep_prefix() || ins.has_repne_prefix())
}

/// Whether a branch leads into its own bytes or the way out.
fn near_itself(ins: &Instruction, at: u32) -> bool {
    let target = ins.near_branch_target() as u32;
    let branch = matches!(
        ins.flow_control(),
        FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch | FlowControl::Call
    );
    branch && target.wrapping_sub(at) < ins.len() as u32 + 7
}
