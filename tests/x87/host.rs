//! The x87 unit of this machine as an oracle: a stub of machine code for each instruction restores
//! a state, runs the instruction and saves the state again.

use crate::case::{Case, Run};
use bsd21::trapframe::F80;
use std::collections::HashMap;

/// The image of `fxsave`.
#[repr(C, align(16))]
struct Image([u8; 512]);

type Stub = unsafe extern "sysv64" fn(*mut Image, *mut u8);

/// Machine code for the instructions met so far.
pub struct Host {
    code: *mut u8,
    used: usize,
    stubs: HashMap<(bool, u8, u8), Stub>,
}

const CODE_SIZE: usize = 64 << 10;

impl Host {
    /// An oracle without stubs.
    pub fn new() -> Self {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
        let protection = ProtFlags::READ | ProtFlags::WRITE | ProtFlags::EXEC;
        // SAFETY: a fresh private mapping at an address of the system's choice.
        let code = unsafe { mmap_anonymous(std::ptr::null_mut(), CODE_SIZE, protection, MapFlags::PRIVATE) };
        Self { code: code.expect("a page of code").cast(), used: 0, stubs: HashMap::new() }
    }

    fn stub(&mut self, short: bool, escape: u8, modrm: u8) -> Stub {
        if let Some(stub) = self.stubs.get(&(short, escape, modrm)) {
            return *stub;
        }
        // A memory form takes its operand from [rsi].
        let modrm_byte = if modrm < 0xc0 { modrm | 6 } else { modrm };
        let prefix = if short { 0x66 } else { 0x90 };
        // fxrstor [rdi]; nop or the operand size prefix; the instruction; fxsave [rdi]; fninit; ret
        let bytes = [0x0f, 0xae, 0x0f, prefix, escape, modrm_byte, 0x0f, 0xae, 0x07, 0xdb, 0xe3, 0xc3];
        assert!(self.used + 16 <= CODE_SIZE);
        // SAFETY: the assertion keeps the bytes inside the mapping; they are a whole function that
        // keeps to the calling convention, all of whose vector registers are the caller's to save.
        let stub = unsafe {
            let start = self.code.add(self.used);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len());
            std::mem::transmute::<*mut u8, Stub>(start)
        };
        self.used += 16;
        self.stubs.insert((short, escape, modrm), stub);
        stub
    }

    /// Runs a case on the hardware.
    pub fn run(&mut self, case: &Case) -> Run {
        let stub = self.stub(case.short, case.escape, case.modrm);
        let mut image = Image([0; 512]);
        let fpu = &case.fpu;
        image.0[0..2].copy_from_slice(&fpu.control.to_le_bytes());
        image.0[2..4].copy_from_slice(&fpu.status().to_le_bytes());
        image.0[4] = fpu.valid();
        image.0[24..28].copy_from_slice(&0x1f80u32.to_le_bytes());
        for i in 0..8 {
            let value = fpu.register(usize::from(fpu.status() >> 11) + i);
            image.0[32 + 16 * i..][..8].copy_from_slice(&value.significand.to_le_bytes());
            image.0[40 + 16 * i..][..2].copy_from_slice(&value.sign_exponent.to_le_bytes());
        }
        let mut memory = case.memory;
        // SAFETY: the stub reads and writes only the two buffers, which are as large as any operand.
        unsafe { stub(&mut image, memory.as_mut_ptr()) };
        let word = |at: usize| u16::from_le_bytes([image.0[at], image.0[at + 1]]);
        let mut result = fpu.clone();
        result.control = word(0);
        result.set_valid(image.0[4]);
        // The soft unit's summary is always right; the hardware's must be the same.
        result.set_status(word(2));
        assert_eq!(result.status(), word(2), "the summary of {:02x} {:02x}", case.escape, case.modrm);
        for i in 0..8 {
            let bytes: [u8; 8] = image.0[32 + 16 * i..][..8].try_into().expect("eight bytes");
            let value = F80 { significand: u64::from_le_bytes(bytes), sign_exponent: word(40 + 16 * i) };
            result.set_register(usize::from(word(2) >> 11) + i, value);
        }
        Run { fpu: result, memory }
    }
}
