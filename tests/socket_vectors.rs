//! Replays recorded call sequences of the original socket layer and compares every answer.
//!
//! Each case runs on a kernel of its own, through guest memory and the system-call gate.
//! `BSD21_SOCKET_VECTORS=DIR` runs every *.vec file of another directory; arguments without a dash
//! select cases by a part of their name.
//!
//! What a case leaves open is compared too.  More than recorded is a failure.  Less is told: the count
//! of a recording includes what earlier cases had left in the recorded kernel.  In our own vectors such
//! cases are listed in [`RECORDED_TOO_MANY`], and the list must be right.

#[path = "vectors/format.rs"]
mod format;
#[path = "socket/machine.rs"]
mod machine;
#[path = "socket/root.rs"]
mod root;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use format::{After, Answer, Before, Case, Register, Step, Symbol, Value};
use machine::{ARENA, ARENA_LEN, EDX, Machine};

const CLOSE: u32 = 6;
/// Cases of ours whose recorded leftovers are not their own: no call of them can leave anything.
///
/// `r0016-names` makes 16 calls.  Nothing is ever in flight: its one send has no control, and both recvmsg are
/// ENOTCONN before soreceive looks at the buffer.  Of the file table it takes three entries (the only callers of
/// falloc are its three calls of socket; no copyout comes after one): two sockets, which the end of the case closes,
/// and that of socket(99, 3, 6), which ffree gives back because socreate fails.  So `nfiles` is what it was.  The
/// sockets hold vnodes, dropped by unp_detach, and neither is connected, listening or in a queue; the connect to its
/// own name ends in unp_connect (ECONNREFUSED) before sonewconn.  Ten entries cannot be its own: what was counted
/// there includes something that was there before.
const RECORDED_TOO_MANY: [&str; 1] = ["r0016-names"];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/vectors/socket");
    let given = std::env::var_os("BSD21_SOCKET_VECTORS").map(PathBuf::from);
    let foreign = given.is_some();
    let directory = given.unwrap_or(own);
    let (mut passed, mut failed) = (0, 0);
    for file in vector_files(&directory) {
        let text = std::fs::read_to_string(&file).expect("a vector file is readable");
        let cases = match format::parse(&text) {
            Ok(cases) => cases,
            Err(reason) => {
                println!("{}: {reason}", file.display());
                failed += 1;
                continue;
            }
        };
        for case in cases {
            if !wanted.is_empty() && !wanted.iter().any(|part| case.name.contains(part)) {
                continue;
            }
            let left = run(&case).and_then(|left| {
                let fewer = left < case.leak;
                if fewer {
                    println!("{}: leaves {left}, {} were recorded", case.name, case.leak);
                }
                if !foreign && fewer != RECORDED_TOO_MANY.contains(&case.name.as_str()) {
                    return Err(format!("leaves {left}, expected {}", case.leak));
                }
                Ok(())
            });
            match left {
                Ok(()) => passed += 1,
                Err(reason) => {
                    println!("not ok {}: {reason}", case.name);
                    failed += 1;
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn vector_files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("the directory of vectors is readable");
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "vec"));
    files.sort();
    files
}

/// Replays a case; gives the number of files or rights that it leaves.
fn run(case: &Case) -> Result<usize, String> {
    let directory = tempfile::tempdir().map_err(|e| e.to_string())?;
    std::fs::write(directory.path().join("F0"), b"").map_err(|e| e.to_string())?;
    let mut machine = Machine::new(directory.path(), case.limit);
    let mut expected = vec![0; ARENA_LEN as usize];
    for (index, step) in case.steps.iter().enumerate() {
        run_step(&mut machine, step, &mut expected)
            .map_err(|reason| format!("step {}: {reason}\n  > {}", index + 1, step.text))?;
    }
    for fd in 3..128 {
        machine.call(CLOSE, &[fd]);
    }
    let (files, rights) = machine.left();
    let left = files.max(usize::try_from(rights).unwrap_or(usize::MAX));
    if left > case.leak {
        return Err(format!("{files} files and {rights} rights are left, expected {}", case.leak));
    }
    Ok(left)
}

fn run_step(machine: &mut Machine, step: &Step, expected: &mut [u8]) -> Result<(), String> {
    for before in &step.before {
        let (offset, bytes) = match before {
            Before::Bytes(offset, bytes) => (*offset, bytes.clone()),
            Before::Word(offset, value) => (*offset, word(machine, *value).to_le_bytes().to_vec()),
            Before::Copy(_) => continue,
        };
        machine.write_arena(offset, &bytes);
        put(expected, offset, &bytes);
    }
    let args: Vec<u32> = step.args.iter().map(|arg| word(machine, *arg)).collect();
    let registers = machine.call(step.number, &args).ok_or("never returns")?;
    let signals = machine.take_signals();
    match step.answer {
        Answer::Success(eax, edx) => {
            if registers.carry {
                return Err(format!("expected success, got error {}", registers.eax));
            }
            check_register(machine, "eax", eax, registers.eax)?;
            check_register(machine, "edx", edx, registers.edx)?;
        }
        Answer::Error(error) => {
            if !registers.carry || registers.eax != error {
                let what = if registers.carry { "error" } else { "=" };
                return Err(format!("expected error {error}, got {what} {}", registers.eax as i32));
            }
            if registers.edx != EDX {
                return Err("edx changed by an error".into());
            }
        }
    }
    check_memory(machine, step, expected)?;
    let wanted = step.after.iter().find_map(|a| if let After::Signals(s) = a { Some(*s) } else { None });
    if signals != wanted.unwrap_or(0) {
        return Err(format!("signals are {signals:#x}, expected {:#x}", wanted.unwrap_or(0)));
    }
    Ok(())
}

fn check_register(machine: &Machine, name: &str, wanted: Register, got: u32) -> Result<(), String> {
    let wanted = match wanted {
        Register::Value(value) => word(machine, value),
        Register::Unchanged => EDX,
        Register::Any => got,
    };
    if got == wanted { Ok(()) } else { Err(format!("{name} is {}, expected {}", got as i32, wanted as i32)) }
}

fn check_memory(machine: &Machine, step: &Step, expected: &mut [u8]) -> Result<(), String> {
    let mut arena = vec![0; ARENA_LEN as usize];
    machine.read_arena(&mut arena);
    for after in &step.after {
        match after {
            After::Bytes(offset, bytes) => put(expected, *offset, bytes),
            After::Word(offset, value) => put(expected, *offset, &word(machine, *value).to_le_bytes()),
            After::Any(offset, len) => put(expected, *offset, &arena[range(*offset, *len)]),
            After::Hash(offset, len, hash) => {
                let bytes = &arena[range(*offset, *len)];
                if fnv(bytes) != *hash {
                    return Err(format!("data at {offset} length {len} have hash {:#x}", fnv(bytes)));
                }
                put(expected, *offset, bytes);
            }
            After::Same(_)
            | After::Nonzero(_)
            | After::Sequence(..)
            | After::Signals(_)
            | After::Delivered(_) => {}
        }
    }
    match arena.iter().zip(&*expected).position(|(a, e)| a != e) {
        Some(at) => {
            let end = (at + 16).min(arena.len());
            let (got, wanted) = (&arena[at..end], &expected[at..end]);
            Err(format!("memory at {at} is {got:02x?}, expected {wanted:02x?}"))
        }
        None => Ok(()),
    }
}

fn word(machine: &Machine, value: Value) -> u32 {
    value.resolve(|symbol| match symbol {
        Symbol::Arena => ARENA,
        Symbol::Process(_) => machine.pid(),
        Symbol::Group => machine.pgrp(),
        Symbol::Parent | Symbol::Handler(_) | Symbol::SignalStack | Symbol::Object(..) => 0,
    })
}

fn put(memory: &mut [u8], offset: u32, bytes: &[u8]) {
    memory[range(offset, bytes.len() as u32)].copy_from_slice(bytes);
}

fn range(offset: u32, len: u32) -> std::ops::Range<usize> {
    offset as usize..(offset + len) as usize
}

fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
