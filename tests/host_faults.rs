//! Faults of the host that translated code takes for the guest's: in many threads, in great number, at all edges.
#![allow(missing_docs)]

use bsd21::cpu::{Cpu, Options, Stopped};
use bsd21::mem::{AddressSpace, Prot};
use bsd21::trapframe::{Access, Gpr, Trap, Trapframe};

const TEXT: u32 = 0x1000;
const DATA: u32 = 0x8000;
const RW: Prot = Prot::READ.union(Prot::WRITE);

struct Guest {
    space: AddressSpace,
    frame: Trapframe,
    cpu: Cpu,
}

impl Guest {
    fn new(code: &[u8], translate: Option<u16>) -> Self {
        let mut space = AddressSpace::new().expect("memory");
        space.map_anon(TEXT, 0x1000, RW).expect("text");
        space.map_anon(DATA, 0x1000, RW).expect("data");
        space.poke(TEXT, code).expect("code");
        let frame = Trapframe::new();
        Self { space, frame, cpu: Cpu::with_options(Options { translate, ..Options::default() }) }
    }

    fn run(&mut self, at: u32, esi: u32) -> Stopped {
        self.frame.eip = at;
        self.frame.set(Gpr::Esi, esi);
        self.cpu.run(&mut self.frame, &mut self.space, 1000)
    }
}

/// `inc edx; mov eax, [esi]; inc ebx; int3`
const LOAD: [u8; 5] = [0x42, 0x8b, 0x06, 0x43, 0xcc];

/// Faults at addresses of its own, so many times; everything else of the guest goes on meanwhile.
fn fault(number: u32, times: u32) {
    let mut guest = Guest::new(&LOAD, Some(0));
    for round in 0..times {
        let address = 0x10_0000 + number * 0x1_0000 + round % 0x1_0000;
        let stopped = guest.run(TEXT, address);
        let Trap::Page(fault) = stopped.trap else { panic!("{stopped:?}") };
        assert_eq!((fault.address, fault.access, stopped.retired), (address, Access::Read, 1));
        assert_eq!(guest.frame.eip, TEXT + 1);
    }
    assert_eq!(guest.frame.get(Gpr::Edx), times);
    assert_eq!(guest.frame.get(Gpr::Ebx), 0);
}

fn in_threads(times: u32) {
    let threads: Vec<_> = (0..8).map(|number| std::thread::spawn(move || fault(number, times))).collect();
    for thread in threads {
        thread.join().expect("its own faults only");
    }
}

/// Kilobytes of memory that this process has.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("its size");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
}

fn without_leak(times: u32) {
    fault(0, 1000);
    let before = resident();
    fault(1, times);
    let after = resident();
    assert!(after < before + 2048, "{before} KB before, {after} KB after {times} faults");
}

#[test]
fn threads_take_their_own_faults() {
    in_threads(5_000);
}

#[test]
#[ignore = "eight million faults take some minutes"]
fn threads_take_their_own_faults_for_long() {
    in_threads(1_000_000);
}

#[test]
fn faults_leave_nothing_behind() {
    without_leak(20_000);
}

#[test]
#[ignore = "ten million faults take some minutes"]
fn faults_leave_nothing_behind_for_long() {
    without_leak(10_000_000);
}

#[test]
fn no_operand_reaches_beyond_the_guests_memory() {
    // Each with int3 behind it: mov eax, [esi]; mov [esi], eax; mov al, [esi]; add [esi], ax; push dword [esi];
    // the same through ss, es and cs; with an index that wraps; fld qword [esi]; fstp tbyte [esi]; movsd; stosb.
    let programs: [&[u8]; 13] = [
        &[0x8b, 0x06, 0xcc],
        &[0x89, 0x06, 0xcc],
        &[0x8a, 0x06, 0xcc],
        &[0x66, 0x01, 0x06, 0xcc],
        &[0xff, 0x36, 0xcc],
        &[0x36, 0x8b, 0x06, 0xcc],
        &[0x26, 0x89, 0x06, 0xcc],
        &[0x2e, 0x8b, 0x06, 0xcc],
        &[0x8b, 0x84, 0xf6, 0xf0, 0xff, 0xff, 0xff, 0xcc],
        &[0xdd, 0x06, 0xdd, 0xd8, 0xcc],
        &[0xd9, 0xe8, 0xdb, 0x3e, 0xcc],
        &[0xa5, 0xcc],
        &[0x89, 0xf7, 0xb9, 0x10, 0, 0, 0, 0xf3, 0xaa, 0xcc],
    ];
    let pages =
        (0..32u32).map(|shift| 1u32 << shift).chain([0, 0xefbf_e000, 0xefc0_0000, TEXT, DATA, DATA + 0x1000]);
    let addresses: Vec<u32> = pages
        .map(|address| address & !0xfff)
        .flat_map(|page| [-17i32, -9, -7, -4, -3, -1, 0, 1, 8].map(|d| page.wrapping_add_signed(d)))
        .collect();
    for program in programs {
        let mut guests = [Some(0), None].map(|translate| Guest::new(program, translate));
        for &address in &addresses {
            let ends = guests.each_mut().map(|guest| {
                guest.frame = Trapframe::new();
                guest.frame.set(Gpr::Esp, DATA + 0x800);
                guest.frame.set(Gpr::Edi, address);
                let stopped = guest.run(TEXT, address);
                (stopped, guest.frame.clone())
            });
            assert_eq!(ends[0], ends[1], "{program:x?} at {address:#x}");
        }
    }
}
