//! Makes instructions and states to compare: every opcode in turn with random operands, random bytes,
//! and what must be left out because the host differs by design.

use crate::native::{CODE, CONSTANT, DATA, Registers, STACK};
use crate::plant;
use bsd21::trapframe::eflags::{AF, CF, DF, FIXED, IF, OF, PF, SF, ZF};
use iced_x86::{
    Code, CpuidFeature as F, Decoder, DecoderOptions, Instruction, Mnemonic as M, OpKind, Register as R,
    RflagsBits,
};

/// All arithmetic flags.
pub const ARITHMETIC: u32 = CF | PF | AF | ZF | SF | OF;

/// A small generator of random numbers.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn word(&mut self) -> u32 {
        (self.next() >> 32) as u32
    }

    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.word()) * u64::from(n)) >> 32) as u32
    }

    pub fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }
}

/// Decodes as the tested processor does.
pub fn decode(bytes: &[u8], eip: u32) -> Option<Instruction> {
    let options = DecoderOptions::OLD_FPU | DecoderOptions::NO_WBNOINVD | DecoderOptions::NO_PAUSE;
    let mut decoder = Decoder::with_ip(32, bytes.get(..15.min(bytes.len()))?, eip.into(), options);
    let ins = decoder.decode();
    (!ins.is_invalid()).then_some(ins)
}

/// Whether a Pentium without MMX has the instruction.
pub fn known(ins: &Instruction) -> bool {
    ins.cpuid_features().iter().all(|f| {
        matches!(
            f,
            F::INTEL8086
                | F::INTEL186
                | F::INTEL286
                | F::INTEL386
                | F::INTEL486
                | F::FPU
                | F::FPU287
                | F::FPU387
                | F::CPUID
                | F::TSC
                | F::MSR
                | F::CX8
        )
    })
}

/// Bytes that must not be executed natively wherever execution lands: calls of the host's kernel.
pub fn dangerous(bytes: &[u8]) -> bool {
    bytes
        .windows(2)
        .any(|w| matches!(w, [0xcd, 0x80] | [0x0f, 0x05] | [0x0f, 0x34] | [0x0f, 0x07] | [0x0f, 0x35]))
}

/// Whether the host can be compared: not where its tables, its clock or its newer features show, and not
/// where the result is undefined as a whole.
pub fn comparable(ins: &Instruction, registers: Option<&Registers>) -> bool {
    if !known(ins) {
        return false;
    }
    let excluded = matches!(
        ins.mnemonic(),
        M::Sgdt | M::Sidt | M::Sldt | M::Str | M::Smsw | M::Cpuid | M::Rdtsc | M::Rdpmc | M::Ud0 | M::Ud1
    );
    if excluded || ins.is_fpu_287_only() {
        return false;
    }
    // Repeat prefixes change the sense of these on the host.
    if matches!(ins.mnemonic(), M::Loope | M::Loopne) && (ins.has_rep_prefix() || ins.has_repne_prefix()) {
        return false;
    }
    if matches!(ins.mnemonic(), M::Shld | M::Shrd) && ins.op0_is_16() {
        // Beyond 16 even the destination is undefined.
        let count = if ins.op2_kind() == OpKind::Register {
            registers.map_or(31, |r| r.gpr[1] & 31)
        } else {
            u32::from(ins.immediate8()) & 31
        };
        if count > 16 {
            return false;
        }
    }
    true
}

/// Small questions about instructions.
trait Facts {
    fn is_fpu_287_only(&self) -> bool;
    fn op0_is_16(&self) -> bool;
}

impl Facts for Instruction {
    fn is_fpu_287_only(&self) -> bool {
        matches!(self.mnemonic(), M::Fneni | M::Fndisi | M::Fnsetpm | M::Frstpm | M::Fstdw | M::Fstsg)
    }

    fn op0_is_16(&self) -> bool {
        match self.op0_kind() {
            OpKind::Register => self.op0_register().size() == 2,
            _ => self.memory_size().size() == 2,
        }
    }
}

/// The count of a shift, if it is known.
fn count(ins: &Instruction, registers: Option<&Registers>) -> Option<u32> {
    let last = ins.op_count() - 1;
    match ins.op_kind(last) {
        OpKind::Register => registers.map(|r| r.gpr[1] & 31),
        _ => Some(ins.immediate(last) as u32 & 31),
    }
}

/// Flags of the decoder's numbering as EFLAGS bits.
fn eflags_of(bits: u32) -> u32 {
    [
        (RflagsBits::OF, OF),
        (RflagsBits::SF, SF),
        (RflagsBits::ZF, ZF),
        (RflagsBits::AF, AF),
        (RflagsBits::CF, CF),
        (RflagsBits::PF, PF),
        (RflagsBits::DF, DF),
    ]
    .into_iter()
    .fold(0, |sum, (bit, flag)| sum | if bits & bit != 0 { flag } else { 0 })
}

/// Flags that an instruction leaves undefined, and flags that it surely defines; with the registers
/// before it the answer is exact.
pub fn flags(ins: &Instruction, registers: Option<&Registers>) -> (u32, u32) {
    let undefined = eflags_of(ins.rflags_undefined());
    let defined = eflags_of(ins.rflags_modified()) & !undefined;
    match ins.mnemonic() {
        M::Shl | M::Sal | M::Shr | M::Sar | M::Shld | M::Shrd | M::Rol | M::Ror | M::Rcl | M::Rcr => {
            let rotate = matches!(ins.mnemonic(), M::Rol | M::Ror | M::Rcl | M::Rcr);
            let Some(n) = count(ins, registers) else {
                return (if rotate { OF } else { ARITHMETIC }, 0);
            };
            if n == 0 {
                return (0, 0);
            }
            let of = if n == 1 { 0 } else { OF };
            if rotate {
                // Through carry, nine places of a byte and seventeen of a word are none.
                let bytes = match ins.op0_kind() {
                    OpKind::Register => ins.op0_register().size(),
                    _ => ins.memory_size().size(),
                };
                let through = matches!(ins.mnemonic(), M::Rcl | M::Rcr);
                let none = through && n % (8 * bytes as u32 + 1) == 0;
                return (of, if none { 0 } else { (CF | OF) & !of });
            }
            let size = match ins.op0_kind() {
                OpKind::Register => ins.op0_register().size(),
                _ => ins.memory_size().size(),
            } as u32
                * 8;
            let cf = if n >= size { CF } else { 0 };
            (AF | of | cf, ARITHMETIC & !(AF | of | cf))
        }
        // With a count of zero these set nothing.
        _ if ins.is_string_instruction() && (ins.has_rep_prefix() || ins.has_repne_prefix()) => (0, 0),
        // The bits are there whether or not they change.
        M::Bsf | M::Bsr => (ARITHMETIC & !ZF, ZF),
        _ => (undefined, defined),
    }
}

/// Whether an instruction reads one of these flags.
pub fn reads(ins: &Instruction, bits: u32) -> bool {
    eflags_of(ins.rflags_read()) & bits != 0
        || matches!(ins.mnemonic(), M::Pushf | M::Pushfd | M::Lahf) && bits != 0
}

/// A register value: an edge, a small number, an address in one of the windows, or anything.
pub fn value(random: &mut Random) -> u32 {
    const EDGES: [u32; 16] = [
        0,
        1,
        2,
        0x7f,
        0x80,
        0xff,
        0x100,
        0x7fff,
        0x8000,
        0xffff,
        0x1_0000,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        0xffff_fffe,
        0x99,
    ];
    match random.below(8) {
        0 | 1 => EDGES[random.below(16) as usize],
        2 => random.below(64),
        3 | 4 => DATA + random.below(0x2000),
        5 => STACK + random.below(0x2000),
        _ => random.word(),
    }
}

/// Registers for an instruction at an address; mostly so that its memory operand hits the data.
pub fn registers(random: &mut Random, eip: u32, ins: Option<&Instruction>) -> Registers {
    let mut gpr = [0; 8];
    gpr.iter_mut().for_each(|r| *r = value(random));
    gpr[4] = STACK + 0x200 + (random.below(0x1c00) & !3);
    if random.one_in(40) {
        gpr[4] = STACK + random.below(16);
    }
    let eflags = FIXED | IF | random.word() & (ARITHMETIC | if random.one_in(4) { DF } else { 0 });
    if let Some(ins) = ins {
        let strings = (0..ins.op_count()).any(|i| {
            matches!(
                ins.op_kind(i),
                OpKind::MemorySegSI
                    | OpKind::MemorySegESI
                    | OpKind::MemorySegDI
                    | OpKind::MemorySegEDI
                    | OpKind::MemoryESDI
                    | OpKind::MemoryESEDI
            )
        });
        if strings && !random.one_in(20) {
            gpr[6] = DATA + random.below(0x2000);
            gpr[7] = DATA + random.below(0x2000);
            gpr[1] = random.below(40);
        }
        if matches!(ins.mnemonic(), M::Enter | M::Leave) {
            gpr[5] = STACK + random.below(0x2000);
        }
        let memory = ins.op_kinds().any(|k| k == OpKind::Memory);
        if memory && !random.one_in(12) {
            let read = |r: R, _: usize, _: usize| {
                Some(if r.is_segment_register() {
                    0
                } else {
                    u64::from(gpr[r.full_register32().number() & 7])
                })
            };
            let index = (0..ins.op_count()).find(|&i| ins.op_kind(i) == OpKind::Memory).unwrap_or(0);
            let now = ins.virtual_address(index, 0, read).unwrap_or(0) as u32;
            let wanted = match random.below(16) {
                0 => CONSTANT + random.below(0x1000),
                1 => DATA + 0x1ff0 + random.below(32),
                2 => DATA + 0xff0 + random.below(32),
                _ => DATA + random.below(0x2000),
            };
            let mover = [ins.memory_base(), ins.memory_index()].into_iter().find(|r| {
                r.is_gpr32() && *r != R::ESP && !(*r == ins.memory_index() && ins.memory_index_scale() != 1)
            });
            if let Some(r) = mover {
                gpr[r.number()] = gpr[r.number()].wrapping_add(wanted.wrapping_sub(now));
            }
        }
    }
    Registers { gpr, eip, eflags, seg: plant::segments(random) }
}

/// Bytes of an instruction: opcode number `n` (wrapping over the two maps) with random prefixes and
/// operands.
pub fn bytes(random: &mut Random, n: u32) -> [u8; 15] {
    let mut bytes = [0; 15];
    bytes.iter_mut().for_each(|b| *b = random.word() as u8);
    let mut at = 0;
    let mut push = |b: u8| {
        bytes[at] = b;
        at += 1;
    };
    if random.one_in(5) {
        push(0x66);
    }
    if random.one_in(16) {
        push(0x67);
    }
    match random.below(40) {
        0 => push(0xf0),
        1 => push(0xf2),
        2 => push(0xf3),
        3 => push([0x26, 0x2e, 0x36, 0x3e][random.below(4) as usize]),
        4 => push([0x64, 0x65][random.below(2) as usize]),
        _ => {}
    }
    let n = n % 512;
    let opcode = n as u8;
    // String instructions repeat more often.
    if n < 256 && matches!(opcode, 0xa4..=0xa7 | 0xaa..=0xaf) && !random.one_in(3) {
        push([0xf2, 0xf3][random.below(2) as usize]);
    }
    if n >= 256 {
        push(0x0f);
    }
    push(opcode);
    // A displacement that is an address of the data, half of the time.
    if random.one_in(2) {
        let disp = (DATA + random.below(0x2000)).to_le_bytes();
        let from = at + 1 + random.below(2) as usize;
        if let Some(place) = bytes.get_mut(from..from + 4) {
            place.copy_from_slice(&disp);
        }
    } else if random.one_in(2) {
        // Small displacements and immediates.
        for b in bytes.iter_mut().skip(at + 2).take(8) {
            *b = [0, 0, 0, 0xff][random.below(4) as usize];
        }
        bytes[at + 1 + random.below(2) as usize] = random.word() as u8;
    }
    bytes
}

/// Where to put code: mostly in the middle, sometimes at the end of the page.
pub fn address(random: &mut Random, len: usize) -> u32 {
    match random.below(12) {
        0 => CODE + 0x1000 - random.below(len as u32 + 2).max(1),
        _ => CODE + 0x100 + random.below(0xd00),
    }
}

/// The codes of the set, for the list of what was covered.
pub fn all_codes() -> Vec<Code> {
    Code::values()
        .filter(|c| c.op_code().is_instruction() && c.op_code().mode32())
        .filter(|c| {
            c.cpuid_features().iter().all(|f| {
                matches!(
                    f,
                    F::INTEL8086
                        | F::INTEL186
                        | F::INTEL286
                        | F::INTEL386
                        | F::INTEL486
                        | F::FPU
                        | F::FPU287
                        | F::FPU387
                        | F::CPUID
                        | F::TSC
                        | F::MSR
                        | F::CX8
                )
            })
        })
        .collect()
}
