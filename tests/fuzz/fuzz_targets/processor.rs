//! Any memory contents and registers: the processor never panics, never goes on without counting
//! instructions, and stops within its budget, in every way of executing.
//!
//! The input is: way of executing and budget, registers, flags, selectors, state of the x87 unit, then the bytes of
//! memory, code first.
#![no_main]

use bsd21::cpu::{Cpu, Options};
use bsd21::mem::{AddressSpace, Prot};
use bsd21::trapframe::{Trap, Trapframe};
use libfuzzer_sys::{Corpus, fuzz_target};
use std::cell::RefCell;
use std::time::Instant;

const TEXT: u32 = 0x1000;
const PAGES: u32 = 4;
const STACK: u32 = 0xefbf_c000;
/// Bytes of an image of the x87 unit, as fnsave writes it.
const SAVE_SIZE: usize = 108;
/// Seconds that no budget of this target takes, by far.
const TOO_LONG: u64 = 10;

struct Machine {
    space: AddressSpace,
}

thread_local! {
    static MACHINE: RefCell<Machine> = RefCell::new(Machine::new());
}

/// Bytes of the input, zero when it is used up.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let n = N.min(self.0.len());
        bytes[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        bytes
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }
}

impl Machine {
    fn new() -> Self {
        let mut space = AddressSpace::new().expect("memory");
        let rw = Prot::READ | Prot::WRITE;
        // Writable code and data, a page that can only be read, and the top of the stack.
        space.map_anon(TEXT, PAGES << 12, rw).expect("text");
        space.map_anon(TEXT + (PAGES << 12), 0x1000, Prot::READ).expect("constants");
        space.map_anon(STACK, 0x2000, rw).expect("stack");
        Self { space }
    }

    fn run(&mut self, data: &[u8]) -> Corpus {
        let mut input = Input(data);
        let [how, block, low, high] = input.bytes();
        let all = Options::default();
        let options = Options {
            cache: how & 1 == 0,
            chain: how & 2 == 0,
            fast: how & 4 == 0,
            block: if how & 8 == 0 { all.block } else { block },
        };
        // Up to 2048, and seldom up to 65536.
        let high = if how & 0x18 == 0x18 { high } else { high & 7 };
        let budget = u64::from(u16::from_le_bytes([low, high])) + 1;
        let mut frame = Trapframe::new();
        for i in 0..8 {
            let value = input.word();
            // Every other register starts in mapped memory.
            frame.gpr[i] = if how & 16 == 0 && i % 2 == 0 { TEXT + value % (PAGES << 12) } else { value };
        }
        frame.eip = if how & 32 == 0 { TEXT + (input.word() & 0xff) } else { input.word() };
        frame.eflags = input.word() & 0x25_4dd5 | 0x202;
        let selectors: [u8; 8] = input.bytes();
        if how & 64 != 0 {
            for (seg, byte) in frame.seg.iter_mut().zip(selectors) {
                *seg = [0x27, 0x1f, 0, 0x24, 3][usize::from(byte) % 5];
            }
            frame.seg[1] = 0x1f;
            frame.seg[2] = 0x27;
        }
        if how & 128 != 0 {
            frame.fpu.set_save_area(&input.bytes::<SAVE_SIZE>());
        }
        let mut memory = vec![0; (PAGES << 12) as usize];
        let n = input.0.len().min(memory.len());
        memory[..n].copy_from_slice(&input.0[..n]);
        // Short inputs repeat, so that all of memory has something.
        if n > 0 {
            for i in n..memory.len() {
                memory[i] = memory[i - n];
            }
        }
        self.space.poke(TEXT, &memory).expect("mapped");
        let mut cpu = Cpu::with_options(options);
        let began = Instant::now();
        let mut left = budget;
        // A guest goes on after most traps; each turn must count or stop at a trap.
        for _ in 0..64 {
            let stopped = cpu.run(&mut frame, &mut self.space, left);
            assert!(stopped.retired <= left, "{stopped:?} with {left}");
            assert!(stopped.trap != Trap::Budget || stopped.retired == left, "{stopped:?} with {left}");
            left -= stopped.retired;
            if left == 0 {
                break;
            }
            // As a handler would: past the instruction, with sound segments.
            frame.eip = TEXT + (frame.eip.wrapping_add(1) & 0xfff);
            frame.seg = Trapframe::new().seg;
        }
        assert!(began.elapsed().as_secs() < TOO_LONG, "{budget} instructions took {:?}", began.elapsed());
        let _ = self.space.take_code_writes();
        Corpus::Keep
    }
}

fuzz_target!(|data: &[u8]| -> Corpus { MACHINE.with_borrow_mut(|machine| machine.run(data)) });
