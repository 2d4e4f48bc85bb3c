//! The x87 unit against recorded results of the hardware, for hosts that have no such unit.
//!
//! `fixtures/vectors/x87` has one case a line: opcode, control word, status word, valid registers,
//! ST(0), ST(1), ten bytes of memory, then what the hardware made of them: control and status word,
//! valid registers, memory, and the registers that changed.  The registers that a line does not name
//! hold their physical number.  `BSD21_BLESS=1` records the file anew on x86-64 Linux.

use crate::case::{Case, MEMORY, Run, soft};
use bsd21::trapframe::{F80, FpuState};
use std::fmt::Write;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/vectors/x87");

fn physical(fpu: &FpuState, i: usize) -> usize {
    (usize::from(fpu.status() >> 11) + i) & 7
}

/// What a register holds that a line does not name.
fn filler(register: usize) -> F80 {
    let value = 8 + register as u64;
    F80 { significand: value << 60, sign_exponent: 0x4002 }
}

fn hex(text: &str) -> u64 {
    u64::from_str_radix(text, 16).expect("a hexadecimal number")
}

fn number(text: &str) -> F80 {
    let (high, low) = text.split_at(4);
    F80 { significand: hex(low), sign_exponent: hex(high) as u16 }
}

fn bytes(text: &str) -> [u8; 10] {
    std::array::from_fn(|i| hex(&text[2 * i..2 * i + 2]) as u8)
}

/// A case and its result from a line.
fn parse(line: &str) -> (Case, Run) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [opcode, control, status, valid, st0, st1, memory, "=", rest @ ..] = words.as_slice() else {
        panic!("not a case: {line}");
    };
    let opcode = hex(opcode);
    let mut fpu = FpuState::default();
    fpu.control = hex(control) as u16;
    fpu.set_valid(hex(valid) as u8);
    (0..8).for_each(|register| fpu.set_register(register, filler(register)));
    fpu.set_status(hex(status) as u16);
    for (i, value) in [st0, st1].into_iter().enumerate() {
        fpu.set_register(physical(&fpu, i), number(value));
    }
    let mut buffer = [0xa5; MEMORY];
    buffer[..10].copy_from_slice(&bytes(memory));
    let case = Case { escape: (opcode >> 8) as u8, modrm: opcode as u8, short: false, fpu, memory: buffer };
    let [control, status, valid, memory, changed @ ..] = rest else { panic!("not a result: {line}") };
    let mut run = Run { fpu: case.fpu.clone(), memory: case.memory };
    run.fpu.control = hex(control) as u16;
    run.fpu.set_status(hex(status) as u16);
    run.fpu.set_valid(hex(valid) as u8);
    run.memory[..10].copy_from_slice(&bytes(memory));
    for change in changed {
        let (register, value) = change.split_once(':').expect("register:value");
        run.fpu.set_register(hex(register) as usize, number(value));
    }
    (case, run)
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn format(case: &Case, run: &Run) -> String {
    let number = |value: F80| format!("{:04x}{:016x}", value.sign_exponent, value.significand);
    let bytes = |memory: &[u8]| memory[..10].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut line = format!(
        "{:02x}{:02x} {:04x} {:04x} {:02x} {} {} {} =",
        case.escape,
        case.modrm,
        case.fpu.control,
        case.fpu.status(),
        case.fpu.valid(),
        number(case.fpu.register(physical(&case.fpu, 0))),
        number(case.fpu.register(physical(&case.fpu, 1))),
        bytes(&case.memory)
    );
    let fpu = &run.fpu;
    write!(line, " {:04x} {:04x} {:02x} {}", fpu.control, fpu.status(), fpu.valid(), bytes(&run.memory))
        .expect("room for a line");
    for i in 0..8 {
        if fpu.register(i) != case.fpu.register(i) {
            write!(line, " {i}:{}", number(fpu.register(i))).expect("room for a line");
        }
    }
    line
}

/// Records the file from the hardware: the same number of cases for each operation.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn record() {
    let mut host = crate::host::Host::new();
    let mut random = crate::case::Random::new(21);
    let mut text = String::new();
    for (escape, modrm) in crate::case::encodings(crate::case::comparable) {
        let any_register = modrm >= 0xc0 && (escape, modrm & 0xf0) != (0xd9, 0xe0) && modrm < 0xf0;
        let images = matches!((escape, modrm), (0xd9, 0x20 | 0x30) | (0xdd, 0x20 | 0x30) | (0xdf, 0xe0));
        if images {
            continue;
        }
        for _ in 0..if any_register { 4 } else { 28 } {
            let mut case = Case::generate(&mut random, escape, modrm);
            case.memory[10..].fill(0xa5);
            for register in 0..8 {
                let named = [0, 1].map(|i| physical(&case.fpu, i));
                if !named.contains(&register) {
                    case.fpu.set_register(register, filler(register));
                }
            }
            text += &format(&case, &host.run(&case));
            text.push('\n');
        }
    }
    std::fs::write(FILE, text).expect("the file is writable");
}

#[test]
fn recorded_results_of_the_hardware_are_met() {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if std::env::var_os("BSD21_BLESS").is_some() {
        record();
    }
    let text = std::fs::read_to_string(FILE).expect("the recorded results");
    let mut compared = 0;
    let mut differences = String::new();
    for line in text.lines() {
        let (case, expected) = parse(line);
        compared += 1;
        if let Some(difference) = Run::difference(&case, &expected, &soft(&case)) {
            differences += &difference;
        }
    }
    assert!(differences.is_empty(), "{differences}");
    assert!(compared > 3000, "only {compared} cases are recorded");
}
