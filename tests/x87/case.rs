//! Cases for the x87 tests: how they are made up, run on the soft unit and compared.

use bsd21::cpu::x87::{self, Op, image};
use bsd21::trapframe::{F80, FpuState};

/// Bytes of the memory operand's buffer: as many as the largest image has, and some.
pub const MEMORY: usize = 128;

/// An instruction, the unit before it and the bytes at its operand.
#[derive(Clone, Debug)]
pub struct Case {
    pub escape: u8,
    pub modrm: u8,
    /// Whether an image takes its 16-bit form.
    pub short: bool,
    pub fpu: FpuState,
    pub memory: [u8; MEMORY],
}

/// The unit and the bytes after an instruction.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub fpu: FpuState,
    pub memory: [u8; MEMORY],
}

/// Whether an encoding is one of the transcendental functions, of which the hardware gives results
/// that differ in the last place between models.
pub fn transcendental(escape: u8, modrm: u8) -> bool {
    escape == 0xd9 && matches!(modrm, 0xf0..=0xf3 | 0xf9 | 0xfb | 0xfe | 0xff)
}

/// Whether an encoding is one of ours whose result is exact.
pub fn comparable(escape: u8, modrm: u8) -> bool {
    !transcendental(escape, modrm) && x87::decode(escape, modrm).is_some()
}

/// The encodings of which `wanted` holds: escape byte, ModRM byte (memory forms with mod 0).
pub fn encodings(wanted: fn(u8, u8) -> bool) -> Vec<(u8, u8)> {
    let all = (0xd8..=0xdf).flat_map(|escape| {
        let memory = (0..8).map(move |field| (escape, field << 3));
        memory.chain((0xc0..=0xff).map(move |modrm| (escape, modrm)))
    });
    let only = std::env::var("BSD21_FUZZ_OPCODE").ok();
    let only = only.and_then(|s| u16::from_str_radix(&s, 16).ok());
    let chosen = |escape, modrm| only.is_none_or(|only| only == u16::from(escape) << 8 | u16::from(modrm));
    all.filter(|&(escape, modrm)| wanted(escape, modrm) && chosen(escape, modrm)).collect()
}

/// A name for reports: the encoding, without the register number where any is alike.
pub fn operation_name(escape: u8, modrm: u8) -> String {
    format!("{escape:02x} {modrm:02x}")
}

/// A small generator of pseudo-random numbers (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        ((self.next() >> 32) * n) >> 32
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// A significand: random, few bits at the top, runs of ones, or an edge.
    fn significand(&mut self) -> u64 {
        let keep = if self.below(3) == 0 { !0x7ff } else { u64::MAX };
        let bits = self.next() & keep;
        match self.below(8) {
            0..=2 => bits,
            3 => bits & (u64::MAX << self.below(64)),
            4 => !(bits & (u64::MAX << self.below(64))),
            5 => u64::MAX << self.below(64),
            6 => u64::MAX >> self.below(64),
            _ => (1 << self.below(64)) ^ (1 << self.below(64)) ^ (self.below(2) << 63),
        }
    }

    /// A number of the 80-bit format, of every class, mostly normal and near to each other.
    pub fn f80(&mut self) -> F80 {
        let sign = (self.below(2) as u16) << 15;
        let integer = 1u64 << 63;
        let number = |exponent: u64, significand| F80 { significand, sign_exponent: sign | exponent as u16 };
        match self.below(32) {
            0 => number(0, 0),
            1 => number(0x7fff, integer),
            2 => number(0x7fff, integer | self.significand()),
            3 => number(0, self.significand()),
            4 => number(self.below(0x8000), self.significand()),
            5 => number(1 + self.below(80), self.significand() | integer),
            6 => number(0x7ffe - self.below(80), self.significand() | integer),
            7 => number(0x3fff - 1074 + self.below(140), self.significand() | integer),
            8 => number(0x3fff + 1023 - self.below(4), self.significand() | integer),
            9 => number(0x3fff - 149 + self.below(30), self.significand() | integer),
            10 => number(0x3fff + 127 - self.below(4), self.significand() | integer),
            11 => number(self.below(0x8000), self.significand() | integer),
            12 => number(0x3fff, integer),
            13..18 => number(0x3fff + self.below(66), self.significand() | integer),
            18..22 => number(0x3fff - 70 + self.below(140), self.significand() | integer),
            _ => number(0x3ffd + self.below(6), self.significand() | integer),
        }
    }

    /// Bits of a memory operand.
    fn operand(&mut self) -> [u8; 10] {
        let mut bytes = [0; 10];
        let f80 = self.f80();
        let sign = u64::from(f80.sign_exponent >> 15);
        let low = match self.below(10) {
            0 | 1 => {
                (f64::from_bits(self.next() & !(0x7ff << 52) | (1023 - 8 + self.below(16)) << 52)).to_bits()
            }
            2 | 3 => u64::from(
                (f32::from_bits(
                    self.next() as u32 & !(0xff << 23) | (127 - 8 + self.below(16) as u32) << 23,
                ))
                .to_bits(),
            ),
            4 => {
                sign << 63
                    | self.pick(&[0, 1, 0x7ff << 52, 0x7ff << 52 | 1, 0xfff << 51, 1 << 52, 0x3ff << 52])
            }
            5 => sign << 63 | self.significand() >> 12,
            6 => sign << 31 | self.significand() >> (41 - self.below(2)),
            7 => {
                u64::from(self.pick(&[
                    0u32,
                    1,
                    0x7f80_0000,
                    0x7f80_0001,
                    0x7fc0_0000,
                    0x80_0000,
                    0x3f80_0000,
                ])) | sign << 31
            }
            8 => (self.next() as i64 >> self.below(64)) as u64,
            _ => {
                bytes[8..].copy_from_slice(&f80.sign_exponent.to_le_bytes());
                f80.significand
            }
        };
        bytes[..8].copy_from_slice(&low.to_le_bytes());
        bytes
    }

    fn decimal(&mut self) -> [u8; 10] {
        let mut bytes = [0; 10];
        let digits = self.below(10);
        for byte in bytes.iter_mut().take(digits as usize) {
            *byte = (self.below(10) << 4 | self.below(10)) as u8;
        }
        bytes[9] = (self.below(2) << 7) as u8;
        bytes
    }

    fn fpu(&mut self) -> FpuState {
        let mut fpu = FpuState::default();
        for i in 0..8 {
            fpu.set_register(i, self.f80());
            if self.below(8) == 0 {
                let sign_exponent = fpu.register((i + 7) & 7).sign_exponent ^ 0x8000;
                fpu.set_register(i, F80 { sign_exponent, ..fpu.register(i) });
            }
        }
        let valid = match self.below(4) {
            0 => self.next() as u8,
            1 => 0xff,
            _ => 0xff ^ 1 << self.below(8),
        };
        fpu.set_valid(valid);
        let masks = match self.below(4) {
            0 => self.next() as u16 & 0x3f,
            1 => 0x32,
            _ => 0x3f,
        };
        fpu.control = (self.next() as u16 & 0x0f00) | (0x1000 * (self.below(2) as u16)) | 0x40 | masks;
        fpu.set_status((self.next() as u16 & 0x7f00) | (self.next() as u16 & masks));
        if self.below(3) == 0 {
            // As programs of 2.1 run: 53 bits, to nearest, something inexact before.
            fpu.control = 0x1272;
            fpu.set_status(fpu.status() & 0x7f32 | 0x20);
        }
        if self.below(2) == 0 && valid != 0xff && valid & 1 == 0 {
            // Room to push.
            fpu.set_status(fpu.status() & !0x3800 | 1 << 11);
        }
        fpu
    }
}

impl Case {
    /// A case for an encoding.
    pub fn generate(random: &mut Random, escape: u8, modrm: u8) -> Self {
        let mut case = Case { escape, modrm, short: false, fpu: random.fpu(), memory: [0xa5; MEMORY] };
        let operand = if (escape, modrm) == (0xdf, 0x20) { random.decimal() } else { random.operand() };
        case.memory[..10].copy_from_slice(&operand);
        match x87::decode(escape, modrm) {
            Some(Op::LoadControl) => {
                let control = random.next() as u16;
                case.memory[..2].copy_from_slice(&control.to_le_bytes());
            }
            Some(Op::LoadEnvironment | Op::Restore) => {
                let image = random.fpu().save_area();
                case.short = random.below(2) == 0;
                case.memory[..image.len()].copy_from_slice(&image);
                let status = random.next() as u16;
                let at = if case.short { 2 } else { 4 };
                case.memory[at..at + 2].copy_from_slice(&status.to_le_bytes());
            }
            Some(Op::StoreEnvironment | Op::Save) => case.short = random.below(2) == 0,
            _ => {}
        }
        case
    }

    /// A case for a transcendental function, mostly in its range.
    pub fn generate_transcendental(random: &mut Random, escape: u8, modrm: u8) -> Self {
        let mut case = Self::generate(random, escape, modrm);
        let top = usize::from(case.fpu.status() >> 11 & 7);
        if random.below(8) == 0 {
            return case;
        }
        case.fpu.set_valid(!(1 << ((top + 7) & 7)));
        let sign = (random.below(2) as u16) << 15;
        let number = |exponent: u64, significand: u64| F80 {
            significand: significand | 1 << 63,
            sign_exponent: sign | exponent as u16,
        };
        let significand = if random.below(2) == 0 { random.next() } else { random.significand() };
        let range = 1 + random.below(66);
        let below = random.below(range);
        let operand = match modrm {
            0xf0 => number(0x3fff - 1 - below, significand),
            0xf1 => F80 { sign_exponent: 0x3fff - 5 + random.below(10) as u16, ..number(0, significand) },
            // From -(1 - sqrt(1/2)) to sqrt(2) - 1, about.
            0xf9 => number(0x3fff - 3 - below, significand),
            _ => number(0x3fff - 8 + below, significand),
        };
        case.fpu.set_register(top, operand);
        case
    }
}

/// Runs a case on the soft unit, as the processor does.
pub fn soft(case: &Case) -> Run {
    let mut fpu = case.fpu.clone();
    let mut memory = case.memory;
    let i = case.modrm & 7;
    let word = |at: usize, size: usize| -> u64 {
        case.memory[at..at + size].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let mut store = |fpu: &mut FpuState, size: usize, function: x87::StoreFn| {
        let store = function(fpu);
        if store.write {
            let bytes = u128::from(store.high) << 64 | u128::from(store.low);
            memory[..size].copy_from_slice(&bytes.to_le_bytes()[..size]);
        }
        store.commit(fpu);
    };
    match x87::decode(case.escape, case.modrm).expect("a known encoding") {
        Op::Register(function) | Op::Control(function) => function(&mut fpu, i),
        Op::Load16(function) => function(&mut fpu, word(0, 8)),
        Op::Load32(function) => function(&mut fpu, word(0, 8)),
        Op::Load64(function) => function(&mut fpu, word(0, 8)),
        Op::Load80(function) => function(&mut fpu, word(0, 8), word(8, 2) as u16),
        Op::Store16(function) => store(&mut fpu, 2, function),
        Op::Store32(function) => store(&mut fpu, 4, function),
        Op::Store64(function) => store(&mut fpu, 8, function),
        Op::Store80(function) => store(&mut fpu, 10, function),
        Op::LoadControl => fpu.set_control(word(0, 2) as u16),
        Op::StoreControl => memory[..2].copy_from_slice(&fpu.control.to_le_bytes()),
        Op::StoreStatus => memory[..2].copy_from_slice(&fpu.status().to_le_bytes()),
        Op::StoreStatusAx => {}
        Op::LoadEnvironment if case.short => {
            image::set_environment_16(&mut fpu, case.memory[..14].try_into().expect("14 bytes"));
        }
        Op::LoadEnvironment => {
            fpu.set_environment(case.memory[..28].try_into().expect("28 bytes"));
        }
        Op::StoreEnvironment => {
            if case.short {
                memory[..14].copy_from_slice(&image::environment_16(&fpu));
            } else {
                memory[..28].copy_from_slice(&fpu.environment());
            }
            image::after_fnstenv(&mut fpu);
        }
        Op::Restore if case.short => {
            image::set_save_area_16(&mut fpu, case.memory[..94].try_into().expect("94 bytes"));
        }
        Op::Restore => fpu.set_save_area(case.memory[..108].try_into().expect("108 bytes")),
        Op::Save => {
            if case.short {
                memory[..94].copy_from_slice(&image::save_area_16(&fpu));
            } else {
                memory[..108].copy_from_slice(&fpu.save_area());
            }
            image::after_fnsave(&mut fpu);
        }
    }
    Run { fpu, memory }
}

fn registers(fpu: &FpuState) -> String {
    let register = |i: usize| {
        let physical = (usize::from(fpu.status() >> 11) + i) & 7;
        let value = fpu.register(physical);
        let valid = fpu.valid() >> physical & 1 != 0;
        format!("{}{:04x}:{:016x}", if valid { "" } else { "-" }, value.sign_exponent, value.significand)
    };
    let text: Vec<String> = (0..8).map(register).collect();
    format!("cw {:04x} sw {:04x} {}", fpu.control, fpu.status(), text.join(" "))
}

impl Run {
    /// What differs, as text.  Pointers are not compared: some units save them only when an
    /// exception is pending.
    pub fn difference(case: &Case, expected: &Run, actual: &Run) -> Option<String> {
        let mut actual = actual.clone();
        let pointers = matches!(x87::decode(case.escape, case.modrm), Some(Op::StoreEnvironment | Op::Save));
        if pointers {
            let pointers = if case.short { 6..14 } else { 12..28 };
            actual.memory[pointers.clone()].copy_from_slice(&expected.memory[pointers]);
        }
        actual.fpu.opcode = expected.fpu.opcode;
        actual.fpu.code_offset = expected.fpu.code_offset;
        actual.fpu.code_selector = expected.fpu.code_selector;
        actual.fpu.data_offset = expected.fpu.data_offset;
        actual.fpu.data_selector = expected.fpu.data_selector;
        if actual == *expected {
            return None;
        }
        let memory = |memory: &[u8]| memory[..28].iter().map(|b| format!("{b:02x}")).collect::<String>();
        Some(format!(
            "  {:02x} {:02x} before {}\n    hardware {}\n    soft     {}\n    memory {} -> hardware {} soft {}\n",
            case.escape,
            case.modrm,
            registers(&case.fpu),
            registers(&expected.fpu),
            registers(&actual.fpu),
            memory(&case.memory),
            memory(&expected.memory),
            memory(&actual.memory)
        ))
    }

    /// What differs by more than one unit in the last place, or in anything but C1.
    pub fn difference_beyond_one_unit(case: &Case, expected: &Run, actual: &Run) -> Option<String> {
        let place = |value: F80| {
            let magnitude = i128::from(value.sign_exponent & 0x7fff) << 63
                | i128::from(value.significand & (u64::MAX >> 1));
            if value.sign_exponent >> 15 != 0 { -magnitude } else { magnitude }
        };
        let mut near = actual.clone();
        near.fpu.set_status(near.fpu.status() & !0x0200 | expected.fpu.status() & 0x0200);
        for i in 0..8 {
            let value = expected.fpu.register(i);
            if place(near.fpu.register(i)).abs_diff(place(value)) <= 1 {
                near.fpu.set_register(i, value);
            }
        }
        if near == *expected { None } else { Self::difference(case, expected, actual) }
    }
}
