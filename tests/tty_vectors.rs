//! Replays recorded call sequences of the original terminal code and compares every answer.
//!
//! Each case runs on a kernel of its own, through guest memory, the system-call gate and signal frames, on
//! the virtual clock.  `BSD21_TTY_VECTORS=DIR` runs every *.vec and *.vec.gz file of another directory;
//! arguments without a dash select cases by a part of their name.

#[path = "tty/files.rs"]
mod files;
#[path = "vectors/format.rs"]
mod format;
#[path = "tty/machine.rs"]
mod machine;
#[path = "socket/root.rs"]
mod root;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use format::{After, Answer, Before, Case, Event, Register, Step, Symbol, Value};
use machine::{ARENA, ARENA_LEN, EDX, HANDLER, Machine, Setup};

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let mut cases = Vec::new();
    let mut failed = 0;
    for file in files::vectors() {
        match format::parse(&files::text(&file)) {
            Ok(of_file) => cases.extend(of_file),
            Err(reason) => {
                println!("{}: {reason}", file.display());
                failed += 1;
            }
        }
    }
    cases.retain(|case| wanted.is_empty() || wanted.iter().any(|part| case.name.contains(part)));
    let (passed, bad) = run_all(&cases);
    failed += bad;
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs cases on all processors; reports come in the order of the cases.
fn run_all(cases: &[Case]) -> (usize, usize) {
    let next = AtomicUsize::new(0);
    let reports = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(at) else { break };
                    let result = std::panic::catch_unwind(|| run(case));
                    let result = result.unwrap_or_else(|_| Err("it panics".into()));
                    if let Err(reason) = result {
                        reports.lock().expect("no reporter panics").push((at, reason));
                    }
                }
            });
        }
    });
    let mut reports = reports.into_inner().expect("no reporter panics");
    reports.sort();
    for (at, reason) in &reports {
        println!("not ok {}: {reason}", cases[*at].name);
    }
    (cases.len() - reports.len(), reports.len())
}

fn run(case: &Case) -> Result<(), String> {
    let directory = tempfile::tempdir().map_err(|e| e.to_string())?;
    std::fs::write(directory.path().join("F0"), b"").map_err(|e| e.to_string())?;
    let Case { limit, leader, ptys, nonroot, .. } = *case;
    let mut machine = Machine::new(directory.path(), Setup { limit, leader, ptys, nonroot });
    let mut expected = vec![0; ARENA_LEN as usize];
    for (index, step) in case.steps.iter().enumerate() {
        run_step(&mut machine, step, &mut expected)
            .map_err(|reason| format!("step {}: {reason}\n  > {}", index + 1, step.text))?;
    }
    machine.close_all();
    Ok(())
}

fn run_step(machine: &mut Machine, step: &Step, expected: &mut [u8]) -> Result<(), String> {
    if step.events.contains(&Event::Leave) {
        machine.leave();
    }
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
    let registers = machine.call(step.number, &args, step.alarm).ok_or("never returns")?;
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
        Symbol::Group => machine.group(),
        // The format of terminal cases has %s for the leader of the session.
        Symbol::SignalStack | Symbol::Parent => machine.session(),
        Symbol::Handler(_) | Symbol::Object(..) => HANDLER,
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
