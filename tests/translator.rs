//! The translator against the interpreter: programs made of what it translates, loops that get code, code that
//! goes away again.
#![allow(missing_docs)]

use bsd21::cpu::{Cpu, Options, Stopped};
use bsd21::mem::{AddressSpace, FileId, Prot, Sharing};
use bsd21::trapframe::{Gpr, Trap, Trapframe};
use proptest::prelude::*;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::AsFd;

const TEXT: u32 = 0x1000;
const DATA: u32 = 0x8000;
/// The middle of what registers point to.
const MIDDLE: u32 = DATA + 0x1000;
/// Counts the rounds of a program.
const COUNT: u32 = DATA + 0x1ff0;
const RW: Prot = Prot::READ.union(Prot::WRITE);

struct Guest {
    space: AddressSpace,
    frame: Trapframe,
    cpu: Cpu,
}

impl Guest {
    fn new(code: &[u8], translate: Option<u16>) -> Self {
        Self::with(code, Options { translate, ..Options::default() })
    }

    fn with(code: &[u8], options: Options) -> Self {
        let mut space = AddressSpace::new().expect("memory");
        space.map_anon(TEXT, 0x4000, RW).expect("text");
        space.map_anon(DATA, 0x2000, RW).expect("data");
        space.poke(TEXT, code).expect("code");
        let mut frame = Trapframe::new();
        frame.eip = TEXT;
        frame.set(Gpr::Esp, MIDDLE);
        Self { space, frame, cpu: Cpu::with_options(options) }
    }

    fn run(&mut self, budget: u64) -> Stopped {
        self.cpu.run(&mut self.frame, &mut self.space, budget)
    }

    fn memory(&self) -> Vec<u8> {
        let mut bytes = vec![0; 0x2000];
        self.space.copyin(DATA, &mut bytes).expect("data");
        bytes
    }
}

/// Whether this host has a translator.
fn translates() -> bool {
    cfg!(target_arch = "x86_64")
}

#[test]
fn a_loop_gets_code_and_a_straight_run_none() {
    // 1: inc eax; dec ecx; jnz 1b; int3
    let code = [0x40, 0x49, 0x75, 0xfc, 0xcc];
    let mut guest = Guest::with(&code, Options::default());
    guest.frame.set(Gpr::Ecx, 3);
    assert_eq!(guest.run(100).trap, Trap::Breakpoint);
    assert_eq!(guest.cpu.translated(), 0);
    guest.frame.eip = TEXT;
    guest.frame.set(Gpr::Ecx, 10_000);
    assert_eq!(guest.run(100_000), Stopped { trap: Trap::Breakpoint, retired: 30_001 });
    assert_eq!(guest.cpu.translated(), if translates() { 1 } else { 0 });
    assert_eq!(guest.frame.get(Gpr::Eax), 10_003);
}

#[test]
fn code_of_the_host_leads_from_block_to_block() {
    // 1: call f; dec ecx; jnz 1b; int3; f: add eax, 2; ret
    let code = [0xe8, 4, 0, 0, 0, 0x49, 0x75, 0xf8, 0xcc, 0x83, 0xc0, 2, 0xc3];
    let mut guest = Guest::new(&code, Some(0));
    guest.frame.set(Gpr::Ecx, 1_000);
    let end = Stopped { trap: Trap::Breakpoint, retired: 5_001 };
    assert_eq!(guest.run(1_000_000), end);
    assert_eq!(guest.frame.get(Gpr::Eax), 2_000);
    // Whoever changes the function changes it for those who are linked to it: add eax, 3.
    guest.space.copyout(TEXT + 11, &[3]).expect("writable");
    guest.frame.eip = TEXT;
    guest.frame.set(Gpr::Ecx, 1_000);
    assert_eq!(guest.run(1_000_000), end);
    assert_eq!(guest.frame.get(Gpr::Eax), 5_000);
}

#[test]
fn an_indirect_call_finds_no_block_where_there_is_none() {
    // call eax, with addresses that look like the empty places of the table
    for target in [u32::MAX, !0x800u32, 0, 0xf000_0000] {
        let mut guest = Guest::new(&[0xff, 0xd0], Some(0));
        let mut plain = Guest::new(&[0xff, 0xd0], None);
        for guest in [&mut guest, &mut plain] {
            guest.frame.set(Gpr::Eax, target);
        }
        assert_eq!(guest.run(10), plain.run(10), "{target:#x}");
        assert_eq!(guest.frame, plain.frame, "{target:#x}");
    }
}

#[test]
fn a_window_of_the_stack_wraps_nowhere() {
    // mov eax, [ebp+16]; mov [ebp-16], eax; int3, with ebp at both ends of the address space
    let code = [0x8b, 0x45, 16, 0x89, 0x45, 0xf0, 0xcc];
    for ebp in
        [0, 8, 15, 16, u32::MAX - 8, u32::MAX - 15, u32::MAX - 19, 0xefbf_dff0, DATA + 16, DATA + 0x1ff0]
    {
        let ends = [Some(0), None].map(|translate| {
            let mut guest = Guest::new(&code, translate);
            guest.space.map_anon(0, 0x1000, RW).expect("the first page");
            guest.space.map_anon(0xefbf_d000, 0x1000, RW).expect("the last page");
            for page in [0, 0xefbf_d000] {
                guest.space.copyout(page, &[1; 0x1000]).expect("written");
            }
            guest.frame.set(Gpr::Ebp, ebp);
            let stopped = guest.run(10);
            let mut low = vec![0; 0x1000];
            guest.space.copyin(0, &mut low).expect("the first page");
            (stopped, guest.frame.clone(), guest.memory(), low)
        });
        assert_eq!(ends[0], ends[1], "{ebp:#x}");
    }
}

#[test]
fn a_pointer_that_wraps_leaves_its_window() {
    // 1: mov esp, X; mov eax, [esp]; sub esp, 0x9000; mov ebx, [esp+0x9000]; dec ecx; jnz 1b; int3
    let mut code = vec![0xbc, 0, 0, 0, 0, 0x8b, 0x04, 0x24, 0x81, 0xec, 0, 0x90, 0, 0];
    code.extend([0x8b, 0x9c, 0x24, 0, 0x90, 0, 0, 0x49, 0x75, 0xe8, 0xcc]);
    for stack in [DATA + 0x800, 0x9000, 0x8fff, 0x9001, 0x2_0000] {
        code[1..5].copy_from_slice(&u32::to_le_bytes(stack));
        let ends = [Some(0), None].map(|translate| {
            let mut guest = Guest::new(&code, translate);
            guest.space.map_anon(0x2_0000, 0x1000, RW).expect("a page further up");
            guest.space.copyout(0x8ff0, &[7; 0x20]).expect("written");
            guest.frame.set(Gpr::Ecx, 3);
            (guest.run(100), guest.frame.clone())
        });
        assert_eq!(ends[0], ends[1], "{stack:#x}");
        assert_eq!(ends[0].0, Stopped { trap: Trap::Breakpoint, retired: 19 }, "{stack:#x}");
    }
}

#[test]
fn code_that_is_left_again_and_again_uses_no_host_stack() {
    // Each round leaves at an instruction that is not translated: daa; the other has nothing but a branch: 1: jl 1b.
    let swap = [&[0x40; 6][..], &[0x27, 0x49, 0x75, 0xf6, 0xcc]].concat();
    let branch = vec![0x31, 0xc0, 0x83, 0xf8, 1, 0x7c, 0, 0x7c, 0xfe];
    for code in [swap, branch] {
        let mut guest = Guest::new(&code, Some(0));
        assert_eq!(guest.run(30_000_000), Stopped { trap: Trap::Budget, retired: 30_000_000 }, "{code:x?}");
    }
}

#[test]
fn code_that_changed_unseen_is_not_translated() {
    // 20 instructions in one operation: nop …, mov eax, eax, ret; then as many in 20: inc eax …, bswap edx, ret.
    let mut file = tempfile::tempfile().expect("a file");
    let old = [&[0x90; 18][..], &[0x89, 0xc0, 0xc3]].concat();
    let new = [&[0x40; 18][..], &[0x0f, 0xca, 0xc3]].concat();
    let write = |file: &mut std::fs::File, code: &[u8]| {
        file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(code)).expect("written");
    };
    file.write_all(&[0; 0x1000]).expect("a page");
    write(&mut file, &old);
    let mut guest = Guest::new(&[0xff, 0xd6, 0xcc], Some(2));
    let id = FileId { dev: 1, ino: 1 };
    let at = 0x10_0000;
    guest.space.map_file(at, 0x1000, RW, file.as_fd(), 0, Sharing::Shared, id).expect("mapped");
    for round in 0..6 {
        if round == 2 {
            // Another process stores to the memory that it shares with us.
            write(&mut file, &new);
        }
        guest.frame.eip = TEXT;
        guest.frame.set(Gpr::Esi, at);
        let stopped = guest.run(100);
        assert_eq!(stopped, Stopped { trap: Trap::Breakpoint, retired: 22 }, "round {round}");
    }
}

#[test]
fn flags_that_nobody_sees_may_be_anything() {
    // 1: inc ebp …; shl ebx, 5; cmp eax, [esi]; jz +0; mov eax, 1; shl bx, 3; dec ecx; jnz 1b; int3
    let mut code = vec![0x45; 8];
    code.extend([0xc1, 0xe3, 5, 0x3b, 0x06, 0x74, 0, 0xb8, 1, 0, 0, 0, 0x66, 0xc1, 0xe3, 3, 0x49]);
    code.extend([0x75, (-(code.len() as i8 + 2)) as u8, 0xcc]);
    let ends = [Some(0), None].map(|translate| {
        let mut guest = Guest::new(&code, translate);
        guest.space.copyout(DATA, &0x1000u32.to_le_bytes()).expect("data");
        guest.frame.set(Gpr::Esi, DATA);
        guest.frame.set(Gpr::Ecx, 5);
        (guest.run(1000), guest.frame)
    });
    assert_eq!(ends[0], ends[1]);
}

#[test]
fn the_rest_of_a_block_gets_code_of_its_own() {
    // 1: inc eax x 8; daa; mov [esi], eax; add eax, [esi] x 6; dec ecx; jnz 1b; int3
    let mut code = vec![0x40; 8];
    code.extend([0x27, 0x89, 0x06]);
    code.extend([0x03, 0x06].repeat(6));
    code.extend([0x49, 0x75, (-(code.len() as i8 + 3)) as u8, 0xcc]);
    let ends = [Some(10), None].map(|translate| {
        let mut guest = Guest::new(&code, translate);
        guest.frame.set(Gpr::Esi, DATA);
        guest.frame.set(Gpr::Ecx, 100);
        (guest.run(10_000), guest.frame.clone(), guest.memory(), guest.cpu.translated())
    });
    assert_eq!((&ends[0].0, &ends[0].1, &ends[0].2), (&ends[1].0, &ends[1].1, &ends[1].2));
    assert_eq!(ends[0].3, if translates() { 2 } else { 0 });
}

#[test]
fn what_is_full_is_forgotten_and_work_goes_on() {
    // rep stosb over and over: blocks of 48 instructions, one for each start.
    let mut guest = Guest::new(&[0xf3, 0xaa].repeat(0x2000), Some(1));
    let (mut blocks, mut forgotten) = (0, 0);
    for start in (0..0x3c00).step_by(2).chain((0..0x3c00).step_by(2)) {
        for _ in 0..3 {
            guest.frame.eip = TEXT + start;
            guest.frame.set(Gpr::Ecx, 1);
            guest.frame.set(Gpr::Edi, DATA);
            assert_eq!(guest.run(300), Stopped { trap: Trap::Budget, retired: 300 });
        }
        let now = guest.cpu.translated();
        forgotten += u32::from(now < blocks);
        blocks = now;
    }
    assert!(forgotten > 1 || !translates(), "forgotten {forgotten} times");
}

/// The place of an operand.
#[derive(Clone, Copy, Debug)]
enum Place {
    Reg(u8),
    Esp(i16),
    Ebp(i16),
    Esi(i8),
    Indexed(u8, i8),
    Absolute(u16),
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![4 => (0u8..8).prop_map(Place::Reg), 7 => memory()]
}

/// A distance that mostly fits a byte.
fn far() -> impl Strategy<Value = i16> {
    prop_oneof![4 => -128i16..128, 1 => -0x800i16..0x800]
}

fn memory() -> impl Strategy<Value = Place> {
    prop_oneof![
        1 => far().prop_map(Place::Esp),
        2 => far().prop_map(Place::Ebp),
        2 => any::<i8>().prop_map(Place::Esi),
        1 => (0u8..4, any::<i8>()).prop_map(|(r, d)| Place::Indexed(r, d)),
        1 => (0u16..0x1fe0).prop_map(Place::Absolute),
    ]
}

/// ModRM, SIB and displacement.
fn modrm(place: Place, reg: u8) -> Vec<u8> {
    let reg = (reg & 7) << 3;
    match place {
        Place::Reg(r) => vec![0xc0 | reg | r],
        Place::Esp(d) => distance(0x04 | reg, &[0x24], d),
        Place::Ebp(d) => distance(0x05 | reg, &[], d),
        Place::Esi(d) => vec![0x46 | reg, d as u8],
        // [ebp + r*1 + d]
        Place::Indexed(r, d) => vec![0x44 | reg, r << 3 | 5, d as u8],
        Place::Absolute(at) => {
            let mut bytes = vec![0x05 | reg];
            bytes.extend((DATA + u32::from(at)).to_le_bytes());
            bytes
        }
    }
}

/// ModRM with a displacement of one byte or four.
fn distance(modrm: u8, sib: &[u8], d: i16) -> Vec<u8> {
    match i8::try_from(d) {
        Ok(d) => [&[0x40 | modrm], sib, &[d as u8]].concat(),
        Err(_) => [&[0x80 | modrm], sib, &i32::from(d).to_le_bytes()].concat(),
    }
}

/// One instruction; pointers are mostly left alone, so that programs run for a while.
fn instruction() -> impl Strategy<Value = Vec<u8>> {
    let join = |opcode: Vec<u8>, place: Place, reg: u8, tail: Vec<u8>| {
        let mut bytes = opcode;
        bytes.extend(modrm(place, reg));
        bytes.extend(tail);
        bytes
    };
    // Registers that may be written: eax ecx edx ebx edi, rarely any.
    let to = || prop_oneof![12 => prop::sample::select(vec![0u8, 1, 2, 3, 7]), 1 => 0u8..8];
    let at = || {
        prop_oneof![
            3 => to().prop_map(Place::Reg),
            4 => memory(),
        ]
    };
    let plain = prop_oneof![
        // op r/m, r and op r, r/m, all widths
        4 => (0u8..8, 0u8..2, at(), 0u8..8).prop_map(move |(o, w, p, r)| join(vec![o << 3 | w], p, r, vec![])),
        4 => (0u8..8, 0u8..2, place(), to())
            .prop_map(move |(o, w, p, r)| join(vec![o << 3 | 2 | w], p, r, vec![])),
        // op eax, imm
        1 => (0u8..8, any::<u8>()).prop_map(|(o, i)| vec![o << 3 | 4, i]),
        // op r/m, imm8
        3 => (0u8..8, prop::sample::select(vec![0x80u8, 0x83]), at(), any::<u8>())
            .prop_map(move |(o, code, p, i)| join(vec![code], p, o, vec![i])),
        2 => (0u8..2, place(), 0u8..8).prop_map(move |(w, p, r)| join(vec![0x84 | w], p, r, vec![])),
        1 => (place(), any::<u8>()).prop_map(move |(p, i)| join(vec![0xf6], p, 0, vec![i])),
        // inc dec, short and long
        2 => (to(), 0u8..2).prop_map(|(r, d)| vec![0x40 | d << 3 | r]),
        2 => (0u8..2, at(), 0u8..2).prop_map(move |(w, p, d)| join(vec![0xfe | w], p, d, vec![])),
        // not neg mul imul div idiv
        3 => (0u8..2, at(), 2u8..8).prop_map(move |(w, p, o)| join(vec![0xf6 | w], p, o, vec![])),
        // shifts and rotates
        3 => (0u8..2, at(), prop::sample::select(vec![0u8, 1, 2, 3, 4, 5, 7]), any::<u8>())
            .prop_map(move |(w, p, o, n)| join(vec![0xc0 | w], p, o, vec![n & 33])),
        2 => (prop::sample::select(vec![0xd0u8, 0xd1, 0xd2, 0xd3]), at(), 0u8..8)
            .prop_map(move |(code, p, o)| join(vec![code], p, o, vec![])),
        1 => (place(), to()).prop_map(move |(p, r)| join(vec![0x0f, 0xaf], p, r, vec![])),
        1 => (place(), to(), any::<u8>()).prop_map(move |(p, r, i)| join(vec![0x6b], p, r, vec![i])),
        // mov, movzx, movsx, lea
        3 => (0u8..2, at(), 0u8..8).prop_map(move |(w, p, r)| join(vec![0x88 | w], p, r, vec![])),
        3 => (0u8..2, place(), to()).prop_map(move |(w, p, r)| join(vec![0x8a | w], p, r, vec![])),
        1 => (to(), any::<u8>()).prop_map(|(r, i)| vec![0xb0 | r, i]),
        1 => (at(), any::<u8>()).prop_map(move |(p, i)| join(vec![0xc6], p, 0, vec![i])),
        2 => (prop::sample::select(vec![0xb6u8, 0xb7, 0xbe, 0xbf]), place(), to())
            .prop_map(move |(code, p, r)| join(vec![0x0f, code], p, r, vec![])),
        1 => (memory(), to())
            .prop_map(move |(p, r)| join(vec![0x8d], p, r, vec![])),
        1 => (to(), to()).prop_map(|(a, b)| vec![0x87, 0xc0 | a << 3 | b]),
        // setcc
        2 => (0u8..16, at()).prop_map(move |(c, p)| join(vec![0x0f, 0x90 | c], p, 0, vec![])),
        // the stack
        2 => (0u8..8).prop_map(|r| vec![0x50 | r]),
        2 => to().prop_map(|r| vec![0x58 | r]),
        1 => any::<u8>().prop_map(|i| vec![0x6a, i]),
        1 => place().prop_map(move |p| join(vec![0xff], p, 6, vec![])),
        1 => any::<i8>().prop_map(|d| vec![0x83, 0xc4, (d & !3) as u8]),
        // cdq cwde nop cmc clc stc lahf sahf pushf
        2 => prop::sample::select(vec![0x99u8, 0x98, 0x90, 0xf5, 0xf8, 0xf9, 0x9f, 0x9e, 0x9c])
            .prop_map(|b| vec![b]),
        // call the next instruction; ret to the next instruction; call and jump by a register
        1 => Just(vec![0xe8, 0, 0, 0, 0]),
        1 => Just(vec![0xe8, 2, 0, 0, 0, 0xeb, 1, 0xc3]),
        1 => Just(vec![0xe8, 0, 0, 0, 0, 0x58, 0x83, 0xc0, 6, 0xff, 0xe0]),
        // a frame
        1 => Just(vec![0x55, 0x89, 0xe5, 0x83, 0xec, 8, 0x89, 0x45, 0xfc, 0xc9]),
        // strings, with and without a count
        1 => prop::sample::select(vec![0xa4u8, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf]).prop_map(|b| vec![b]),
        2 => (0u8..40, prop::sample::select(vec![0xa4u8, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xae]), prop::sample::select(vec![0xf2u8, 0xf3]))
            .prop_map(|(n, b, p)| vec![0xb9, n, 0, 0, 0, p, b]),
        1 => (0u8..40, prop::sample::select(vec![0xa5u8, 0xa7, 0xab]))
            .prop_map(|(n, b)| vec![0xb9, n, 0, 0, 0, 0xf3, 0x66, b]),
        // downwards, alone, with a count, with something between
        1 => prop::sample::select(vec![0xa4u8, 0xa5, 0xa6, 0xaa, 0xac, 0xae]).prop_map(|b| vec![0xfd, b, 0xfc]),
        1 => (0u8..40, prop::sample::select(vec![0xa4u8, 0xa5, 0xa7, 0xaa, 0xab, 0xae]))
            .prop_map(|(n, b)| vec![0xb9, n, 0, 0, 0, 0xfd, 0xf3, b, 0xfc]),
        1 => (0u8..16, 0xa4u8..0xa6).prop_map(|(c, b)| vec![0xfd, b, 0x70 | c, 1, b, 0x46, 0xfc]),
        1 => prop::sample::select(vec![0xf3u8, 0xf2]).prop_map(|p| vec![p, 0xae]),
        // bt bts btr btc, bsf bsr, shld shrd, bswap
        1 => (prop::sample::select(vec![0xa3u8, 0xab, 0xb3, 0xbb, 0xbc, 0xbd]), to(), to())
            .prop_map(move |(code, p, r)| join(vec![0x0f, code], Place::Reg(p), r, vec![])),
        1 => (at(), 4u8..8, any::<u8>()).prop_map(move |(p, o, i)| join(vec![0x0f, 0xba], p, o, vec![i])),
        1 => (prop::sample::select(vec![0xbcu8, 0xbd]), place(), to())
            .prop_map(move |(code, p, r)| join(vec![0x0f, code], p, r, vec![])),
        1 => (prop::sample::select(vec![0xa4u8, 0xac]), at(), to(), 0u8..40)
            .prop_map(move |(code, p, r, n)| join(vec![0x0f, code], p, r, vec![n])),
        1 => to().prop_map(|r| vec![0x0f, 0xc8 | r]),
        // xchg with the accumulator; moves to and from absolute addresses; loops over nothing
        1 => to().prop_map(|r| vec![0x90 | r]),
        1 => (0xa0u8..0xa4, 0u16..0x1fe0).prop_map(|(o, a)| [&[o][..], &(DATA + u32::from(a)).to_le_bytes()].concat()),
        1 => (0xe0u8..0xe4).prop_map(|o| vec![o, 0]),
        // x87: memory, registers, control words
        4 => (0xd8u8..0xe0, 0u8..8, memory()).prop_map(move |(e, f, p)| join(vec![e], p, f, vec![])),
        4 => (0xd8u8..0xe0, 0xc0u8..=0xff).prop_map(|(e, m)| vec![e, m]),
        1 => prop::sample::select(vec![0x9bu8, 0xfc, 0xfc, 0xfd]).prop_map(|b| vec![b]),
    ];
    (plain, 0u8..8).prop_map(|(bytes, prefix)| {
        let jumps = matches!(bytes[0], 0xe0..=0xe8 | 0x55 | 0xf2 | 0xf3 | 0xfd | 0xff);
        let narrow = prefix == 0 && !jumps && !matches!(bytes[0], 0x50..=0x5f | 0x6a | 0x9c | 0xb8..=0xbf);
        if narrow && !matches!(bytes[0], 0x81 | 0xc7) { [vec![0x66], bytes].concat() } else { bytes }
    })
}

/// A body with conditional branches over some of what follows, run several times.
fn program() -> impl Strategy<Value = (Vec<u8>, u8)> {
    let part = (instruction(), prop::option::weighted(0.2, (0u8..16, 1usize..4)));
    (prop::collection::vec(part, 1..40), 1u8..60).prop_map(|(parts, rounds)| {
        let mut body = Vec::new();
        for (i, (bytes, branch)) in parts.iter().enumerate() {
            body.extend(bytes);
            if let Some((condition, over)) = branch {
                let len: usize = parts
                    .iter()
                    .skip(i + 1)
                    .take(*over)
                    .map(|(b, j)| b.len() + if j.is_some() { 6 } else { 0 })
                    .sum();
                body.extend([0x0f, 0x80 | condition]);
                body.extend((len as u32).to_le_bytes());
            }
        }
        // dec dword [COUNT]; jnz to the beginning; int3
        body.extend([0xff, 0x0d]);
        body.extend(COUNT.to_le_bytes());
        let back = -(body.len() as i32 + 6);
        body.extend([0x0f, 0x85]);
        body.extend(back.to_le_bytes());
        body.push(0xcc);
        (body, rounds)
    })
}

/// More than the usual number, since most programs end early.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1500)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// The same registers, flags, memory, traps and counts as without any decoded block.
    #[test]
    fn programs_do_the_same_as_interpreted(
        (code, rounds) in program(),
        gpr in prop::array::uniform8(prop_oneof![any::<u32>(), DATA..DATA + 0x2000, 0u32..40]),
        budget in prop_oneof![1u64..60, 256u64..900, Just(3000)],
        control in prop::sample::select(vec![0x1272u16, 0x37f, 0x1272, 0x362, 0x272, 0xf7f]),
        (protected, pages) in (0u8..4, 0u32..2),
    ) {
        let none = Options { cache: false, ..Options::default() };
        let ways = [
            none,
            Options { translate: Some(0), ..Options::default() },
            Options { translate: Some(1), ..Options::default() },
            Options { translate: Some(0), block: 7, ..Options::default() },
            Options { translate: Some(0), modest: true, ..Options::default() },
            Options { translate: None, ..Options::default() },
        ];
        let mut first: Option<(Stopped, Trapframe, Vec<u8>)> = None;
        for way in ways {
            let mut guest = Guest::with(&code, way);
            guest.space.copyout(DATA, &[0x5a; 0x2000]).expect("data");
            guest.space.copyout(COUNT, &u32::from(rounds).to_le_bytes()).expect("the count");
            guest.frame.gpr = gpr;
            for (register, value) in [(Gpr::Esp, MIDDLE), (Gpr::Ebp, MIDDLE + 0x80), (Gpr::Esi, MIDDLE - 0x400)] {
                guest.frame.set(register, value);
            }
            guest.frame.fpu.set_control(control);
            // Now and then a page that can only be read, or one that was never written.
            let page = DATA + pages * 0x1000;
            match protected {
                0 => guest.space.protect(page, 0x1000, Prot::READ).expect("protected"),
                1 => guest.space.map_anon(page, 0x1000, RW).expect("mapped anew"),
                _ => {}
            }
            if protected == 1 {
                guest.space.copyout(COUNT, &u32::from(rounds).to_le_bytes()).expect("the count");
            }
            let stopped = guest.run(budget);
            match &first {
                None => first = Some((stopped, guest.frame.clone(), guest.memory())),
                Some((s, f, m)) => {
                    prop_assert_eq!(&stopped, s, "{:?}", way);
                    prop_assert_eq!(&guest.frame, f, "{:?}", way);
                    prop_assert_eq!(&guest.memory(), m, "{:?}", way);
                }
            }
        }
    }
}

#[test]
fn a_comparison_faults_where_it_must() {
    // mov ecx, 1; repe cmpsb; inc dword [esp]; int3, with nothing at edi
    let code = [0xb9, 1, 0, 0, 0, 0xf3, 0xa6, 0xff, 0x04, 0x24, 0xcc];
    for edi in [0, 0x20, 0xefff_fff0, DATA + 0x2000] {
        let ends = [Some(0), None].map(|translate| {
            let mut guest = Guest::new(&code, translate);
            guest.frame.set(Gpr::Esi, DATA);
            guest.frame.set(Gpr::Edi, edi);
            (guest.run(1000), guest.frame.clone())
        });
        assert_eq!(ends[0], ends[1], "{edi:#x}");
        assert!(
            matches!(ends[0].0.trap, Trap::Page(_) | Trap::GeneralProtection(_)),
            "{edi:#x}: {:?}",
            ends[0].0
        );
    }
}

#[test]
fn data_beside_code_may_become_code() {
    // 1: mov [2f+2], cl; 2: add eax, imm8; inc dword [TEXT+0x40]; inc dword [TEXT+0x800]; dec ecx; jnz 1b; int3
    let add = TEXT + 6;
    let mut code = vec![0x88, 0x0d];
    code.extend((add + 2).to_le_bytes());
    code.extend([0x83, 0xc0, 0]);
    for data in [TEXT + 0x40, TEXT + 0x800] {
        code.extend([0xff, 0x05]);
        code.extend(data.to_le_bytes());
    }
    code.extend([0x49, 0x75, (-(code.len() as i8 + 3)) as u8, 0xcc]);
    // The same without the store into the code.
    let quiet = [&[0x90; 6][..], &code[6..]].concat();
    for (code, rounds) in [(code, 700), (quiet, 30_000)] {
        let ends = [Some(0), Some(20), None].map(|translate| {
            let mut guest = Guest::new(&code, translate);
            guest.frame.set(Gpr::Ecx, rounds);
            let first = guest.run(200_000);
            // From outside as well.
            guest.space.copyout(add + 2, &[7]).expect("writable");
            guest.frame.eip = TEXT + 6;
            guest.frame.set(Gpr::Ecx, 1);
            let second = guest.run(1000);
            let data = [0x40, 0x800].map(|at| guest.space.fuword(TEXT + at).expect("data"));
            (first, second, guest.frame.clone(), data)
        });
        assert_eq!(ends[0], ends[2]);
        assert_eq!(ends[1], ends[2]);
    }
}

#[test]
fn a_jump_to_a_page_whose_bytes_may_change_ends_its_block() {
    const OTHER: u32 = TEXT + 0x1000;
    // On one page: 1: inc eax; jmp 2f.  On the other one: 2: inc dword [OTHER+0x800]; dec ecx; jnz 1b; int3
    for first in [&[0x40][..], &[]] {
        let mut code = first.to_vec();
        code.push(0xe9);
        code.extend((OTHER - (TEXT + code.len() as u32 + 4)).to_le_bytes());
        let mut other = vec![0xff, 0x05];
        other.extend((OTHER + 0x800).to_le_bytes());
        other.extend([0x49, 0x0f, 0x85]);
        other.extend(TEXT.wrapping_sub(OTHER + other.len() as u32 + 4).to_le_bytes());
        other.push(0xcc);
        let careful = Options { cache: false, ..Options::default() };
        let others = [Some(0), Some(20), None].map(|translate| Options { translate, ..Options::default() });
        let ends = [careful, others[0], others[1], others[2]].map(|options| {
            let mut guest = Guest::with(&code, options);
            guest.space.poke(OTHER, &other).expect("code");
            guest.frame.set(Gpr::Ecx, 5_000);
            let stopped = guest.run(100_000);
            (stopped, guest.frame.clone(), guest.space.fuword(OTHER + 0x800).expect("data"))
        });
        assert_eq!(ends[0].0.trap, Trap::Breakpoint);
        for end in &ends[1..] {
            assert_eq!(end, &ends[0]);
        }
    }
}

#[test]
fn a_quotient_by_the_stack_pointer_may_overflow() {
    // pop edx; div esp; int3, with flags that are seen behind it and without
    for code in [&[0x5a, 0xf7, 0xf4, 0xcc][..], &[0x5a, 0xf7, 0xf4, 0x31, 0xc0, 0xcc]] {
        let ends = [Some(0), None].map(|translate| {
            let mut guest = Guest::new(code, translate);
            guest.space.copyout(MIDDLE, &[0xfe; 4]).expect("a stack");
            let stopped = guest.run(1000);
            (stopped, guest.frame.clone())
        });
        assert_eq!(ends[0], ends[1]);
        assert_eq!(ends[1].0, Stopped { trap: Trap::Divide, retired: 1 });
    }
}
