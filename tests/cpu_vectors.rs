//! Replays fixtures/vectors/cpu: instructions with the results that a real processor gave.
//!
//! A line is: code, bytes, eip, registers (general, then ES CS SS DS FS GS), flags, x87 unit before and after (as
//! fxsave, or `-`), what stopped it, eip, registers, flags and which of them count, then the bytes of memory that
//! differ from the pattern before (`@`) and after.  `cargo test --test host_oracle record -- --ignored` writes the
//! file.  Of transcendental functions the results are ours, which are within a unit of the recording host's.
#![allow(missing_docs)]

use bsd21::cpu::{Cpu, Options};
use bsd21::mem::{AddressSpace, Prot};
use bsd21::trapframe::{F80, FpuState, Trapframe};

const CODE: u32 = 0x1000_0000;
const DATA: u32 = 0x3000_0000;
const STACK: u32 = 0x4000_0000;

/// What memory holds before a vector.
fn pattern(addr: u32) -> u8 {
    (addr.wrapping_mul(0x9e37_79b1) >> 24) as u8
}

fn bytes(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hex")).collect()
}

fn number(text: &str) -> u32 {
    u32::from_str_radix(text, 16).expect("hex")
}

fn words(text: &str) -> ([u32; 8], [u16; 6]) {
    let all: Vec<u32> = text.split(',').map(number).collect();
    let (gpr, seg) = all.split_at(8);
    let seg: Vec<u16> = seg.iter().map(|s| *s as u16).collect();
    (gpr.try_into().expect("eight registers"), seg.try_into().expect("six segments"))
}

/// The selectors as they can be compared: the recording host loses the privilege bits of null ones.
fn selectors(seg: [u16; 6]) -> [u16; 6] {
    seg.map(|s| if s & !3 == 0 { 0 } else { s })
}

/// The unit from the first bytes of its fxsave image.
fn unit(image: &[u8]) -> FpuState {
    let word = |i: usize| u16::from_le_bytes([image[i], image[i + 1]]);
    let mut fpu = FpuState::default();
    fpu.set_status(word(2));
    let top = usize::from(word(2) >> 11 & 7);
    for i in 0..8 {
        let at = 32 + 16 * i;
        let significand = u64::from_le_bytes(image[at..at + 8].try_into().expect("eight bytes"));
        fpu.set_register((top + i) & 7, F80 { significand, sign_exponent: word(at + 8) });
    }
    fpu.set_valid(image[4]);
    fpu.set_control(word(0));
    fpu
}

/// A unit as text, for comparison.
fn show(fpu: &FpuState) -> String {
    let registers: Vec<F80> = (0..8).map(|i| fpu.register(i)).collect();
    format!("{:x} {:x} {:x} {registers:x?}", fpu.control, fpu.status(), fpu.valid())
}

fn check(line: &str, options: Options) -> Result<(), String> {
    let fields: Vec<&str> = line.split(' ').collect();
    let [_, code, eip, gpr, eflags, before, after, trap, end, out, flags, mask, changes @ ..] =
        fields.as_slice()
    else {
        return Err("too few fields".into());
    };
    let mut space = AddressSpace::new().expect("memory");
    let rw = Prot::READ | Prot::WRITE;
    for (addr, len, prot) in [
        (CODE, 0x1000, Prot::READ),
        (DATA - 0x1000, 0x1000, Prot::READ),
        (DATA, 0x2000, rw),
        (STACK, 0x2000, rw),
    ] {
        space.map_anon(addr, len, prot).expect("mapped");
    }
    let mut page = vec![0xf4; 4096];
    let at = (number(eip) - CODE) as usize;
    for (i, b) in bytes(code).into_iter().chain([0xea, 0, 0x20, 0x3f, 0x6b, 0x33, 0]).enumerate() {
        if let Some(place) = page.get_mut(at + i) {
            *place = b;
        }
    }
    space.poke(CODE, &page).expect("code");
    let mut memory: Vec<(u32, Vec<u8>)> =
        [DATA, STACK].map(|a| (a, (a..a + 0x2000).map(pattern).collect())).into_iter().collect();
    for (addr, window) in &memory {
        space.poke(*addr, window).expect("data");
    }
    let (planted, changes): (Vec<&str>, Vec<&str>) = changes.iter().partition(|c| c.starts_with('@'));
    for plant in planted {
        let (addr, image) = plant[1..].split_once('=').ok_or("a plant")?;
        space.poke(number(addr), &bytes(image)).expect("data");
    }
    let mut frame = Trapframe::new();
    (frame.gpr, frame.seg) = words(gpr);
    frame.eip = number(eip);
    frame.eflags = number(eflags);
    if *before != "-" {
        *frame.fpu = unit(&bytes(before));
    }
    let repeated = code.contains("f3") || code.contains("f2");
    let budget = if repeated && (trap.starts_with("Gen") || trap.starts_with("Page")) { 100_000 } else { 1 };
    let stopped = Cpu::with_options(options).run(&mut frame, &mut space, budget);
    let mut wrong = Vec::new();
    let got = format!("{:?}", stopped.trap).replace(' ', "");
    if got != *trap {
        wrong.push(format!("stopped by {got}"));
    }
    if frame.eip != number(end) {
        wrong.push(format!("eip {:x}", frame.eip));
    }
    if (frame.gpr, selectors(frame.seg)) != words(out) {
        wrong.push(format!("registers {:x?} {:x?}", frame.gpr, frame.seg));
    }
    if frame.eflags & number(mask) != number(flags) {
        wrong.push(format!("eflags {:x}", frame.eflags));
    }
    if *after != "-" && show(&frame.fpu) != show(&unit(&bytes(after))) {
        wrong.push(format!("unit {}", show(&frame.fpu)));
    }
    for change in changes {
        let (addr, byte) = change.split_once('=').ok_or("a change")?;
        let (addr, byte) = (number(addr), number(byte) as u8);
        for (start, window) in &mut memory {
            if let Some(place) = addr.checked_sub(*start).and_then(|i| window.get_mut(i as usize)) {
                *place = byte;
            }
        }
    }
    for (addr, window) in &memory {
        let mut now = vec![0; window.len()];
        space.copyin(*addr, &mut now).expect("data");
        if now != *window {
            wrong.push(format!("memory at {addr:x}"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("{line}\n  {}", wrong.join("\n  "))) }
}

#[test]
fn recorded_instructions_give_the_recorded_results() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/vectors/cpu/host.txt");
    let text = std::fs::read_to_string(path).expect("the recorded vectors");
    // A block of one instruction runs whole, in its specialised form if it has one.
    let fast = Options { block: 1, ..Options::default() };
    let plain = Options { cache: false, ..Options::default() };
    let mut failures = Vec::new();
    for line in text.lines() {
        for options in [fast, plain] {
            failures.extend(check(line, options).err());
        }
    }
    assert!(text.lines().count() > 1000, "the vectors are there");
    assert!(
        failures.is_empty(),
        "{} differ:\n{}",
        failures.len(),
        failures[..failures.len().min(10)].join("\n")
    );
}
