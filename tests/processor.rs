//! Control flow, budgets, code that changes, and the property that nothing makes the processor
//! misbehave: with every way of executing the same results.
#![allow(missing_docs)]

use bsd21::cpu::{Cpu, Options, Stopped};
use bsd21::mem::{AddressSpace, FileId, Prot, Sharing};
use bsd21::trapframe::eflags::TF;
use bsd21::trapframe::{Access, Fault, FaultCause, Gpr, Trap, Trapframe};
use proptest::prelude::*;
use std::io::Write;
use std::os::fd::AsFd;

const TEXT: u32 = 0x1000;
const DATA: u32 = 0x8000;
const STACK_TOP: u32 = 0xa000;
const RW: Prot = Prot::READ.union(Prot::WRITE);

/// The ways of executing.
fn ways() -> [Options; 10] {
    let all = Options::default();
    [
        all,
        Options { cache: false, ..all },
        Options { block: 1, ..all },
        Options { chain: false, ..all },
        Options { fast: false, ..all },
        Options { block: 5, chain: false, ..all },
        Options { translate: Some(0), ..all },
        Options { translate: Some(3), ..all },
        Options { translate: Some(0), block: 3, ..all },
        Options { translate: Some(0), modest: true, ..all },
    ]
}

/// A process with code at TEXT (writable), two pages of data and a stack.
struct Guest {
    space: AddressSpace,
    frame: Trapframe,
    cpu: Cpu,
}

impl Guest {
    fn new(code: &[u8], way: Options) -> Self {
        let mut space = AddressSpace::new().expect("memory");
        space.map_anon(TEXT, 0x2000, RW).expect("text");
        space.map_anon(DATA, 0x2000, RW).expect("data and stack");
        space.poke(TEXT, code).expect("code");
        let mut frame = Trapframe::new();
        frame.eip = TEXT;
        frame.set(Gpr::Esp, STACK_TOP);
        Self { space, frame, cpu: Cpu::with_options(way) }
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

/// A program with calls, loops, fused pairs, string instructions and an indirect jump.
///
/// ```text
///       mov ecx, 20         b9 14 00 00 00
///       xor eax, eax        31 c0
///       mov edi, DATA       bf 00 80 00 00
/// 1:    push ecx            51
///       push eax            50
///       call f              e8 17 00 00 00
///       pop edx             5a
///       pop ecx             59
///       add eax, ecx        01 c8
///       test al, 1          a8 01
///       jz 2f               74 02
///       inc ebx             43
///       nop                 90
/// 2:    mov [edi], eax      89 07
///       add edi, 4          83 c7 04
///       dec ecx             49
///       jnz 1b              75 e8
///       jmp 3f              eb 11
///       nop                 90
/// f:    push ebp            55
///       mov ebp, esp        89 e5
///       mov eax, [ebp+8]    8b 45 08
///       lea eax, [eax*2+eax+1]   8d 44 40 01
///       rol eax, 3          c1 c0 03
///       leave               c9
///       ret                 c3
/// 3:    mov esi, DATA       be 00 80 00 00
///       mov edi, DATA+0x400 bf 00 84 00 00
///       mov ecx, 20         b9 14 00 00 00
///       rep movsd           f3 a5
///       mov ecx, 30         b9 1e 00 00 00
///       repne scasb         f2 ae
///       int3                cc
/// ```
const PROGRAM: &[u8] = &[
    0xb9, 0x14, 0, 0, 0, 0x31, 0xc0, 0xbf, 0, 0x80, 0, 0, 0x51, 0x50, 0xe8, 0x14, 0, 0, 0, 0x5a, 0x59, 0x01,
    0xc8, 0xa8, 0x01, 0x74, 0x02, 0x43, 0x90, 0x89, 0x07, 0x83, 0xc7, 0x04, 0x49, 0x75, 0xe7, 0xeb, 0x0f,
    0x55, 0x89, 0xe5, 0x8b, 0x45, 0x08, 0x8d, 0x44, 0x40, 0x01, 0xc1, 0xc0, 0x03, 0xc9, 0xc3, 0xbe, 0, 0x80,
    0, 0, 0xbf, 0, 0x84, 0, 0, 0xb9, 0x14, 0, 0, 0, 0xf3, 0xa5, 0xb9, 0x1e, 0, 0, 0, 0xf2, 0xae, 0xcc,
];

#[test]
fn every_way_of_executing_gives_the_same_end() {
    let mut reference = Guest::new(PROGRAM, ways()[1]);
    let end = reference.run(1_000_000);
    assert_eq!(end.trap, Trap::Breakpoint);
    assert!(end.retired > 300, "{end:?}");
    for way in ways() {
        let mut guest = Guest::new(PROGRAM, way);
        assert_eq!(guest.run(1_000_000), end, "{way:?}");
        assert_eq!(guest.frame, reference.frame, "{way:?}");
        assert_eq!(guest.memory(), reference.memory(), "{way:?}");
    }
}

#[test]
fn a_budget_ends_at_exactly_its_number_of_instructions() {
    let mut step = Guest::new(PROGRAM, ways()[1]);
    let total = Guest::new(PROGRAM, ways()[1]).run(1_000_000).retired;
    for n in 1..total {
        assert_eq!(step.run(1), Stopped { trap: Trap::Budget, retired: 1 });
        for way in ways() {
            let mut guest = Guest::new(PROGRAM, way);
            assert_eq!(guest.run(n), Stopped { trap: Trap::Budget, retired: n }, "{way:?}");
            assert_eq!(guest.frame, step.frame, "after {n} with {way:?}");
            assert_eq!(guest.memory(), step.memory(), "after {n} with {way:?}");
        }
    }
}

#[test]
fn a_warm_processor_keeps_every_budget() {
    // One processor, its blocks linked, in pieces of every size.
    for piece in 1..60 {
        let mut guest = Guest::new(PROGRAM, Options::default());
        let mut retired = 0;
        loop {
            let stopped = guest.run(piece);
            retired += stopped.retired;
            if stopped.trap != Trap::Budget {
                assert_eq!(stopped.trap, Trap::Breakpoint);
                break;
            }
            assert_eq!(stopped.retired, piece);
        }
        assert_eq!(retired, Guest::new(PROGRAM, Options::default()).run(1_000_000).retired);
    }
}

#[test]
fn a_repeated_instruction_that_faults_can_go_on() {
    // mov ecx, 0x1000; mov edi, DATA+0x1ffc - 4*7; rep stosd: the eighth leaves the mapping.
    let code = [0xb9, 0, 0x10, 0, 0, 0xbf, 0xe0, 0x9f, 0, 0, 0xf3, 0xab, 0xcc];
    for way in ways() {
        let mut guest = Guest::new(&code, way);
        let stopped = guest.run(1_000_000);
        let fault = Fault { address: 0xa000, access: Access::Write, cause: FaultCause::NotMapped };
        assert_eq!(stopped, Stopped { trap: Trap::Page(fault), retired: 2 + 8 }, "{way:?}");
        assert_eq!(guest.frame.get(Gpr::Ecx), 0x1000 - 8);
        assert_eq!(guest.frame.eip, TEXT + 10);
        guest.space.map_anon(0xa000, 0x8000, RW).expect("more");
        let stopped = guest.run(1_000_000);
        assert_eq!(stopped, Stopped { trap: Trap::Breakpoint, retired: 0x1000 - 8 + 1 }, "{way:?}");
    }
}

#[test]
fn code_that_writes_its_own_block_sees_the_change() {
    // mov byte [TEXT+8], 0x43 (inc ebx); nop; then what was inc eax; int3
    let code = [0xc6, 0x05, 0x08, 0x10, 0, 0, 0x43, 0x90, 0x40, 0xcc];
    for way in ways() {
        let mut guest = Guest::new(&code, way);
        assert_eq!(guest.run(100).trap, Trap::Breakpoint, "{way:?}");
        assert_eq!((guest.frame.get(Gpr::Eax), guest.frame.get(Gpr::Ebx)), (0, 1), "{way:?}");
    }
}

#[test]
fn a_loop_that_changes_its_body_runs_the_new_body_each_time() {
    // mov ecx, 200 ; 1: inc byte [2f+1] (the immediate) ; nop x 4 ; 2: add eax, imm8 ; dec ecx ; jnz 1b ; int3
    let code = [
        0xb9, 200, 0, 0, 0, 0xfe, 0x05, 0x11, 0x10, 0, 0, 0x90, 0x90, 0x90, 0x90, 0x83, 0xc0, 0x00, 0x49,
        0x75, 0xf0, 0xcc,
    ];
    let expected: u32 = (1..=200u32).map(|i| i32::from(i as u8 as i8) as u32).fold(0, u32::wrapping_add);
    for way in ways() {
        let mut guest = Guest::new(&code, way);
        assert_eq!(guest.run(100_000).trap, Trap::Breakpoint, "{way:?}");
        assert_eq!(guest.frame.get(Gpr::Eax), expected, "{way:?}");
    }
}

#[test]
fn a_copyout_of_the_kernel_into_text_is_seen() {
    // 1: inc eax; int3
    for way in ways() {
        let mut guest = Guest::new(&[0x40, 0xcc], way);
        for i in 0..5 {
            guest.frame.eip = TEXT;
            assert_eq!(guest.run(10).trap, Trap::Breakpoint);
            let byte = if i % 2 == 0 { 0x43 } else { 0x40 };
            guest.space.copyout(TEXT, &[byte]).expect("writable");
        }
        assert_eq!((guest.frame.get(Gpr::Eax), guest.frame.get(Gpr::Ebx)), (3, 2), "{way:?}");
    }
}

#[test]
fn a_store_through_a_second_mapping_of_the_file_is_seen() {
    let mut file = tempfile::tempfile().expect("a file");
    let mut page = vec![0xcc; 0x1000];
    page[0] = 0x40;
    file.write_all(&page).expect("its bytes");
    let id = FileId { dev: 1, ino: 1 };
    for way in ways() {
        let mut guest = Guest::new(&[], way);
        for addr in [0x10_0000, 0x20_0000] {
            guest.space.map_file(addr, 0x1000, RW, file.as_fd(), 0, Sharing::Shared, id).expect("mapped");
        }
        guest.frame.eip = 0x10_0000;
        assert_eq!(guest.run(10).trap, Trap::Breakpoint);
        // mov byte [0x200000], 0x43; jmp 0x100000
        guest.space.poke(TEXT, &[0xc6, 0x05, 0, 0, 0x20, 0, 0x43, 0xe9, 0xf4, 0xef, 0x0f, 0]).expect("code");
        guest.frame.eip = TEXT;
        assert_eq!(guest.run(10).trap, Trap::Breakpoint);
        assert_eq!((guest.frame.get(Gpr::Eax), guest.frame.get(Gpr::Ebx)), (1, 1), "{way:?}");
        guest.space.poke(0x20_0000, &[0x40]).expect("as it was");
    }
}

#[test]
fn a_mapping_that_goes_takes_its_code_with_it() {
    for way in ways() {
        let mut guest = Guest::new(&[0x40, 0xcc], way);
        assert_eq!(guest.run(10).trap, Trap::Breakpoint);
        guest.space.unmap(TEXT, 0x1000).expect("unmapped");
        guest.frame.eip = TEXT;
        let fault = Fault { address: TEXT, access: Access::Fetch, cause: FaultCause::NotMapped };
        assert_eq!(guest.run(10), Stopped { trap: Trap::Page(fault), retired: 0 }, "{way:?}");
        guest.space.map_anon(TEXT, 0x1000, RW).expect("mapped again");
        guest.space.poke(TEXT, &[0x43, 0xcc]).expect("other code");
        assert_eq!(guest.run(10).trap, Trap::Breakpoint);
        assert_eq!((guest.frame.get(Gpr::Eax), guest.frame.get(Gpr::Ebx)), (1, 1), "{way:?}");
    }
}

#[test]
fn jumps_into_the_middle_of_instructions_decode_anew() {
    // b8 40 43 43 cc: mov eax, imm32; entered one byte later: inc eax, inc ebx, inc ebx, int3
    for way in ways() {
        let mut guest = Guest::new(&[0xb8, 0x40, 0x43, 0x43, 0xcc, 0xcc], way);
        assert_eq!(guest.run(10).retired, 2);
        guest.frame.eip = TEXT + 1;
        assert_eq!(guest.run(10).retired, 4, "{way:?}");
        assert_eq!(guest.frame.get(Gpr::Ebx), 2);
    }
}

#[test]
fn a_block_at_the_end_of_its_page_faults_at_the_instruction_that_needs_the_next() {
    for way in ways() {
        let mut guest = Guest::new(&[], way);
        // Two increments, then an instruction whose last byte is on the missing page.
        guest.space.poke(TEXT + 0x1ffa, &[0x40, 0x40, 0xb8, 1, 2, 3]).expect("code");
        guest.frame.eip = TEXT + 0x1ffa;
        let fault = Fault { address: TEXT + 0x2000, access: Access::Fetch, cause: FaultCause::NotMapped };
        assert_eq!(guest.run(10), Stopped { trap: Trap::Page(fault), retired: 2 }, "{way:?}");
        assert_eq!(guest.frame.eip, TEXT + 0x1ffc);
        guest.space.map_anon(TEXT + 0x2000, 0x1000, RW).expect("the next page");
        guest.space.poke(TEXT + 0x2000, &[4, 0xcc]).expect("the rest");
        assert_eq!(guest.run(10), Stopped { trap: Trap::Breakpoint, retired: 2 }, "{way:?}");
        assert_eq!(guest.frame.get(Gpr::Eax), 0x0403_0201);
    }
}

/// An operand that is read and written, over the end of a page that may only be read, before one that is missing.
#[test]
fn an_update_is_refused_at_the_first_page_that_refuses_the_store() {
    // xadd [ecx], eax; add [ecx], eax; xchg [ecx], eax; not dword [ecx]
    for code in [&[0x0f, 0xc1, 0x01][..], &[0x01, 0x01], &[0x87, 0x01], &[0xf7, 0x11]] {
        for way in ways() {
            let mut guest = Guest::new(code, way);
            guest.space.map_anon(0x40_0000, 0x1000, Prot::READ).expect("a page");
            guest.frame.set(Gpr::Ecx, 0x40_0ffe);
            let fault = Fault { address: 0x40_0ffe, access: Access::Write, cause: FaultCause::Protection };
            assert_eq!(guest.run(1), Stopped { trap: Trap::Page(fault), retired: 0 }, "{code:x?} {way:?}");
        }
    }
}

#[test]
fn the_trace_flag_stops_after_each_instruction_and_each_iteration() {
    for way in ways() {
        // mov ecx, 3; mov edi, DATA; rep stosb; nop
        let mut guest = Guest::new(&[0xb9, 3, 0, 0, 0, 0xbf, 0, 0x80, 0, 0, 0xf3, 0xaa, 0x90], way);
        guest.frame.eflags |= TF;
        let mut trace = Vec::new();
        for _ in 0..6 {
            assert_eq!(guest.run(100), Stopped { trap: Trap::SingleStep, retired: 1 }, "{way:?}");
            trace.push(guest.frame.eip - TEXT);
        }
        assert_eq!(trace, [5, 10, 10, 10, 12, 13], "{way:?}");
    }
}

#[test]
fn popf_that_sets_the_trace_flag_stops_after_the_next_instruction() {
    for way in ways() {
        // push 0x102; popf; nop; nop
        let mut guest = Guest::new(&[0x68, 2, 1, 0, 0, 0x9d, 0x90, 0x90], way);
        assert_eq!(guest.run(100), Stopped { trap: Trap::SingleStep, retired: 3 }, "{way:?}");
        assert_eq!(guest.frame.eip, TEXT + 7);
    }
}

#[test]
fn a_16_bit_branch_cuts_the_instruction_pointer() {
    for way in ways() {
        let mut guest = Guest::new(&[], way);
        guest.space.map_anon(0x12_3000, 0x1000, RW).expect("high code");
        // 66 jmp +0x10 at 0x123000 lands at 0x3014
        guest.space.poke(0x12_3000, &[0x66, 0xe9, 0x10, 0]).expect("code");
        guest.frame.eip = 0x12_3000;
        let fault = Fault { address: 0x3014, access: Access::Fetch, cause: FaultCause::NotMapped };
        assert_eq!(guest.run(10), Stopped { trap: Trap::Page(fault), retired: 1 }, "{way:?}");
    }
}

#[test]
fn more_than_fifteen_bytes_are_a_protection_fault() {
    for way in ways() {
        let mut long = vec![0x2e; 14];
        long.extend([0x40, 0xcc]);
        assert_eq!(Guest::new(&long, way).run(1), Stopped { trap: Trap::Budget, retired: 1 });
        long.insert(0, 0x2e);
        assert_eq!(
            Guest::new(&long, way).run(1),
            Stopped { trap: Trap::GeneralProtection(0), retired: 0 },
            "{way:?}"
        );
    }
}

#[test]
fn the_gate_of_the_kernel_stops_behind_the_call() {
    for way in ways() {
        // lcall $7,$0 ; lcall $0xf,$0
        let mut guest = Guest::new(&[0x9a, 0, 0, 0, 0, 7, 0, 0x9a, 0, 0, 0, 0, 0xf, 0], way);
        assert_eq!(guest.run(10), Stopped { trap: Trap::Syscall, retired: 1 }, "{way:?}");
        assert_eq!(guest.frame.eip, TEXT + 7);
        assert_eq!(guest.run(10), Stopped { trap: Trap::GeneralProtection(0xc), retired: 0 }, "{way:?}");
    }
}

#[test]
fn selectors_of_the_user_load_and_others_do_not() {
    for (selector, trap) in [
        (0x1fu16, Trap::Breakpoint),
        (0x27, Trap::Breakpoint),
        (0, Trap::Breakpoint),
        (0x10, Trap::GeneralProtection(0x10)),
        (7, Trap::GeneralProtection(4)),
        (0x2f, Trap::GeneralProtection(0x2c)),
    ] {
        for way in ways() {
            // mov es, ax; int3
            let mut guest = Guest::new(&[0x8e, 0xc0, 0xcc], way);
            guest.frame.set(Gpr::Eax, selector.into());
            assert_eq!(guest.run(10).trap, trap, "{selector:#x} {way:?}");
        }
    }
}

#[test]
fn a_null_segment_faults_when_it_is_used() {
    for way in ways() {
        // mov ds, ax (null); mov eax, [ebx]
        let mut guest = Guest::new(&[0x8e, 0xd8, 0x8b, 0x03], way);
        guest.frame.set(Gpr::Ebx, DATA);
        assert_eq!(guest.run(10), Stopped { trap: Trap::GeneralProtection(0), retired: 1 }, "{way:?}");
    }
}

#[test]
fn data_segments_end_below_the_kernels_pages() {
    for way in ways() {
        let mut guest = Guest::new(&[0x8b, 0x03, 0xcc], way);
        guest.frame.set(Gpr::Ebx, 0xefbf_dffd);
        assert_eq!(guest.run(10).trap, Trap::GeneralProtection(0), "{way:?}");
        guest.frame.set(Gpr::Ebx, 0xefbf_dffc);
        assert!(matches!(guest.run(10).trap, Trap::Page(_)), "{way:?}");
        // push eax with the stack pointer outside
        let mut guest = Guest::new(&[0x50], way);
        guest.frame.set(Gpr::Esp, 0xefc0_0000);
        assert_eq!(guest.run(10).trap, Trap::StackFault(0), "{way:?}");
    }
}

/// Kilobytes of memory that this process has in use.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 4
}

#[test]
fn rewriting_and_running_a_kilobyte_a_hundred_thousand_times_grows_nothing() {
    // 1: cld; mov esi, DATA; mov edi, 0x2000; mov ecx, 0x100; rep movsd; mov [0x2001], edx; mov eax, 0x2000; call eax;
    //    dec edx; jnz 1b; int3
    let code = [
        0xfc, 0xbe, 0, 0x80, 0, 0, 0xbf, 0, 0x20, 0, 0, 0xb9, 0, 1, 0, 0, 0xf3, 0xa5, 0x89, 0x15, 0x01, 0x20,
        0, 0, 0xb8, 0, 0x20, 0, 0, 0xff, 0xd0, 0x4a, 0x75, 0xde, 0xcc,
    ];
    let mut guest = Guest::new(&code, Options::default());
    // What is run: mov ebx, imm32 with the round's number first, then others, at last ret.
    let mut body: Vec<u8> = (0..204u8).flat_map(|i| [if i == 0 { 0xbb } else { 0xb9 }, i, 0, 0, 0]).collect();
    body.extend([0x90, 0x90, 0x90, 0xc3]);
    assert_eq!(body.len(), 1024);
    guest.space.poke(DATA, &body).expect("data");
    let rounds = |guest: &mut Guest, n: u32| {
        guest.frame.eip = TEXT;
        guest.frame.set(Gpr::Edx, n);
        let mut most = 0;
        loop {
            let stopped = guest.run(10_000);
            most = most.max(guest.cpu.operations());
            if stopped.trap != Trap::Budget {
                assert_eq!(stopped.trap, Trap::Breakpoint);
                return most;
            }
        }
    };
    let first = rounds(&mut guest, 2_000);
    let before = resident();
    let most = rounds(&mut guest, 100_000);
    assert_eq!(guest.frame.get(Gpr::Ebx), 1, "the last round ran its own code");
    assert!(most <= first + 4096, "{first} operations after 2,000 rounds, {most} after 100,000");
    // Other tests run at the same time and have memory of their own.
    assert!(resident() < before + (24 << 10), "{before} KB before, {} after", resident());
}

#[test]
fn a_hundred_million_instructions_need_no_host_stack() {
    // 1: inc eax; dec ecx; jnz 1b; int3
    for way in [Options { translate: None, ..Options::default() }, Options::default()] {
        let mut guest = Guest::new(&[0x40, 0x49, 0x75, 0xfc, 0xcc], way);
        guest.frame.set(Gpr::Ecx, 33_333_333);
        let stopped = guest.run(u64::MAX);
        assert_eq!(stopped, Stopped { trap: Trap::Breakpoint, retired: 33_333_333 * 3 + 1 });
    }
}

#[test]
fn no_kind_of_handler_uses_up_the_host_stack() {
    // The program above over and over, with slow string instructions cut short by what they find.
    let mut code = PROGRAM.to_vec();
    code.pop();
    let back = -(code.len() as i32 + 5);
    code.push(0xe9);
    code.extend(back.to_le_bytes());
    for translate in [None, Some(0), Some(500)] {
        let mut guest = Guest::new(&code, Options { translate, ..Options::default() });
        assert_eq!(
            guest.run(40_000_000),
            Stopped { trap: Trap::Budget, retired: 40_000_000 },
            "{translate:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Any bytes, any registers: no panic, no more than the budget, and the same in every way.
    #[test]
    fn any_bytes_stop_within_their_budget(
        code in prop::collection::vec(any::<u8>(), 16..400),
        gpr in prop::array::uniform8(prop_oneof![any::<u32>(), DATA..DATA + 0x2000, TEXT..TEXT + 400]),
        eflags in any::<u32>(),
        seg in prop::array::uniform6(prop_oneof![Just(0x27u16), Just(0x1f), Just(0)]),
        budget in 1u64..300,
    ) {
        let mut first: Option<(Stopped, Trapframe, Vec<u8>)> = None;
        for way in ways() {
            let mut guest = Guest::new(&code, way);
            guest.frame.gpr = gpr;
            guest.frame.eflags = (eflags & 0xcd5) | 0x202;
            if budget % 3 == 0 {
                guest.frame.seg = seg;
                guest.frame.seg[1] = 0x1f;
                guest.frame.seg[2] = 0x27;
            }
            let stopped = guest.run(budget);
            prop_assert!(stopped.retired <= budget);
            prop_assert!(stopped.trap != Trap::Budget || stopped.retired == budget);
            let memory = guest.memory();
            match &first {
                None => first = Some((stopped, guest.frame, memory)),
                Some((s, f, m)) => {
                    prop_assert_eq!(&stopped, s, "{:?}", way);
                    prop_assert_eq!(&guest.frame, f, "{:?}", way);
                    prop_assert_eq!(&memory, m, "{:?}", way);
                }
            }
        }
    }
}
