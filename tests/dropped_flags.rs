//! Flags that blocks leave out are flags that nobody can see: every instruction between one that sets flags and one
//! that sets them again, in each way of executing, against the interpreter without blocks.
#![allow(missing_docs)]

use bsd21::cpu::{Cpu, Options, Stopped, is_of_a_pentium};
use bsd21::mem::{AddressSpace, Prot};
use bsd21::trapframe::{Gpr, Trapframe};
use iced_x86::{Code, Decoder, DecoderOptions, Instruction, OpKind};
use std::collections::{HashMap, HashSet};

const TEXT: u32 = 0x1000;
const DATA: u32 = 0x8000;
const RW: Prot = Prot::READ.union(Prot::WRITE);
/// More instructions than a program has.
const BUDGET: u64 = 12;

/// What sets flags before the instruction: all, all but CF, by a count that may be zero, some undefined, one.
const BEFORE: [&[u8]; 6] = [
    &[0x83, 0xc0, 0x00, 0x0c, 0x00], // add eax, 0; or al, 0
    &[0x39, 0xd1],                   // cmp ecx, edx
    &[0x43],                         // inc ebx
    &[0xd3, 0xe6],                   // shl esi, cl
    &[0xf7, 0xe2],                   // mul edx
    &[0xf5],                         // cmc
];
/// What sets them again behind it, or lets them be seen.
const BEHIND: [&[u8]; 4] = [
    &[0x31, 0xc0, 0xcc],                         // xor eax, eax; int3
    &[0xcc],                                     // int3
    &[0x83, 0xd0, 0x00, 0x0f, 0x92, 0xc0, 0xcc], // adc eax, 0; setc al; int3
    &[0x9c, 0x5a, 0x01, 0xd0, 0xcc],             // pushf; pop edx; add eax, edx; int3
];

fn ways() -> [Options; 6] {
    let all = Options::default();
    [
        Options { translate: None, ..all },
        Options { translate: None, block: 3, ..all },
        Options { translate: None, chain: false, ..all },
        Options { translate: Some(0), ..all },
        Options { translate: Some(0), block: 3, ..all },
        Options { translate: Some(0), block: 4, ..all },
    ]
}

struct Guest {
    space: AddressSpace,
    cpu: Cpu,
}

impl Guest {
    fn new(way: Options) -> Self {
        let mut space = AddressSpace::new().expect("memory");
        space.map_anon(TEXT, 0x1000, RW).expect("text");
        space.map_anon(DATA, 0x2000, RW).expect("data");
        Self { space, cpu: Cpu::with_options(way) }
    }

    /// Runs a program from a state; how it stopped, the registers and the memory then.
    fn run(&mut self, code: &[u8], frame: &Trapframe) -> (Stopped, Trapframe, Vec<u8>) {
        self.space.copyout(DATA, &[0x5a; 0x2000]).expect("data");
        self.space.copyout(TEXT, code).expect("text");
        let mut frame = frame.clone();
        let stopped = self.cpu.run(&mut frame, &mut self.space, BUDGET);
        let mut memory = vec![0; 0x2000];
        self.space.copyin(DATA, &mut memory).expect("data");
        (stopped, frame, memory)
    }
}

/// Up to two encodings of each instruction in each of its forms, with registers and with memory.
fn instructions() -> Vec<Vec<u8>> {
    let options = DecoderOptions::OLD_FPU | DecoderOptions::NO_WBNOINVD | DecoderOptions::NO_PAUSE;
    let mut seen: HashMap<(Code, bool), HashSet<u8>> = HashMap::new();
    let mut found = Vec::new();
    let prefixes: [&[u8]; 5] = [&[], &[0x66], &[0xf3], &[0x67], &[0x66, 0x67]];
    for prefix in prefixes {
        for opcode in (0..0x100).flat_map(|byte: u32| [vec![byte as u8], vec![0x0f, byte as u8]]) {
            for modrm in 0..=0xffu8 {
                // Base esi where there is one; a small operand, of which a branch leads to the next instruction.
                let tail = [modrm, 0x26, 0, 0, 0, 0, 0, 0, 0, 0];
                let bytes = [prefix, &opcode, &tail].concat();
                let ins = Decoder::with_ip(32, &bytes, TEXT.into(), options).decode();
                let real = !ins.is_invalid() && ins.cpuid_features().iter().all(|&f| is_of_a_pentium(f));
                let operand = modrm >> 3;
                if real && ins.len() <= bytes.len() && wanted(&ins) {
                    let forms = seen.entry((ins.code(), has_memory(&ins))).or_default();
                    if forms.len() < 2 && forms.insert(operand) {
                        found.push(bytes[..ins.len()].to_vec());
                    }
                }
            }
        }
    }
    let codes: HashSet<Code> = seen.keys().map(|(code, _)| *code).collect();
    assert!(codes.len() > 700, "{} instructions", codes.len());
    found
}

/// Memory at registers, which are made to point somewhere.
fn wanted(ins: &Instruction) -> bool {
    !has_memory(ins) || ins.memory_base() != iced_x86::Register::None
}

fn has_memory(ins: &Instruction) -> bool {
    ins.op_kinds().any(|kind| kind == OpKind::Memory)
}

#[test]
fn no_instruction_shows_flags_that_a_block_left_out() {
    let mut reference = Guest::new(Options { cache: false, ..Options::default() });
    let mut guests = ways().map(|way| (way, Guest::new(way)));
    let mut compared = 0;
    for (n, ins) in instructions().iter().enumerate() {
        for (i, before) in BEFORE.iter().enumerate() {
            let behind = BEHIND[(n + i) % BEHIND.len()];
            let code = [*before, ins, behind].concat();
            for round in 0..2u32 {
                let mut frame = Trapframe::new();
                frame.eip = TEXT;
                let pointer = DATA + 0x1000;
                // Pointers, so that instructions go through, and then small numbers, so that they fault.
                let gpr = if round == 0 { [pointer; 8] } else { [7, 0, 5, 3, pointer, 1, 2, 0x8000_0000] };
                frame.gpr = gpr;
                frame.set(Gpr::Ecx, [pointer, 0][round as usize]);
                frame.eflags = [0x8d7, 0x202][((n + i) as u32 + round) as usize % 2] | 0x202;
                let expected = reference.run(&code, &frame);
                for (way, guest) in &mut guests {
                    let got = guest.run(&code, &frame);
                    assert_eq!(got.0, expected.0, "{code:02x?} {way:?}");
                    assert_eq!(got.1, expected.1, "{code:02x?} {way:?}");
                    assert!(got.2 == expected.2, "memory: {code:02x?} {way:?}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 50_000, "{compared} comparisons");
}
