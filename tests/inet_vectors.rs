//! Replays recorded call sequences of the original internet code and compares every answer.
//!
//! Each case runs on a kernel of its own, through guest memory and the system-call gate, on the virtual clock;
//! its processes act at once.  `BSD21_INET_VECTORS=DIR` runs every *.vec (or *.vec.gz) file of another
//! directory and of those in it; arguments without a dash select cases by a part of their name.

#[path = "vectors/files.rs"]
mod files;
#[path = "vectors/format.rs"]
mod format;
#[path = "calls/machine.rs"]
#[allow(dead_code)]
mod machine;
#[path = "socket/root.rs"]
mod root;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use bsd21::kernel::time::Clock;
use files::{text, vector_files};
use format::{After, Answer, Before, Case, Event, Register, Same, Step, Symbol, Value};
use machine::{ARENA, ARENA_LEN, EDX, Machine, Registers, Setup};

/// A case that is not over after so many nanoseconds never will be.
const PATIENCE_NS: u64 = 24 * 3600 * 1_000_000_000;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/vectors/inet");
    let other = std::env::var_os("BSD21_INET_VECTORS").map(PathBuf::from);
    let known = if other.is_none() { known_failures(&own) } else { Vec::new() };
    let mut cases = Vec::new();
    let mut surprises = 0;
    for file in vector_files(other.as_deref().unwrap_or(&own)) {
        match format::parse(&text(&file)) {
            Ok(read) => cases.extend(read),
            Err(reason) => {
                println!("{}: {reason}", file.display());
                surprises += 1;
            }
        }
    }
    cases.retain(|case| wanted.is_empty() || wanted.iter().any(|part| case.name.contains(part)));
    let outcomes = run_all(&cases);
    for (case, outcome) in cases.iter().zip(&outcomes) {
        let is_known = known.contains(&case.name);
        match outcome {
            Err(reason) => println!("{} {}: {reason}", if is_known { "known" } else { "not ok" }, case.name),
            Ok(()) if is_known => {
                println!("passes, and should not by known_failures.txt: {}", case.name);
            }
            Ok(()) => {}
        }
        surprises += usize::from(outcome.is_ok() == is_known);
    }
    let passed = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    println!("{passed} passed, {} failed", outcomes.len() - passed);
    if surprises == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Names of the cases in the ledger of known failures.
fn known_failures(directory: &Path) -> Vec<String> {
    let ledger = std::fs::read_to_string(directory.join("known_failures.txt")).expect("there is a ledger");
    let names = ledger.lines().filter(|line| !line.starts_with('#'));
    names.filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect()
}

/// Runs all cases, several at a time.
fn run_all(cases: &[Case]) -> Vec<Result<(), String>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(index) else { return done };
            let ran = std::panic::catch_unwind(|| run(case));
            done.push((index, ran.unwrap_or_else(|_| Err("the kernel panics".into()))));
        }
    };
    let mut outcomes = vec![Ok(()); cases.len()];
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            for (index, outcome) in thread.join().expect("a panic is an outcome") {
                outcomes[index] = outcome;
            }
        }
    });
    outcomes
}

/// What a process does next.
#[derive(Clone, Debug)]
enum Act<'a> {
    Step(usize, &'a Step),
    Fork(usize),
}

/// A process of a case: what it has to do, and what its memory should hold.
#[derive(Default)]
struct Actor<'a> {
    acts: VecDeque<Act<'a>>,
    expected: Vec<u8>,
    begun: Option<(usize, &'a Step)>,
    lives: bool,
}

/// Replays a case.
fn run(case: &Case) -> Result<(), String> {
    let directory = tempfile::tempdir().map_err(|e| e.to_string())?;
    std::fs::write(directory.path().join("F0"), b"").map_err(|e| e.to_string())?;
    let ids = if case.nonroot { (1001, 0) } else { case.ids };
    let setup = Setup { limit: case.limit, ids, groups: &case.groups };
    // The recorded machines did not know the year.
    let clock = Clock::deterministic_from(1_000_000_000_000);
    let mut machine = Machine::with_clock(directory.path(), &setup, clock);
    machine.watch_signals();
    let mut actors: Vec<Actor<'_>> = (0..4).map(|_| Actor::default()).collect();
    for (index, step) in case.steps.iter().enumerate() {
        for event in &step.events {
            if let Event::Fork(n) = event {
                actors[0].acts.push_back(Act::Fork(*n));
            }
        }
        actors[step.process].acts.push_back(Act::Step(index + 1, step));
    }
    actors[0].lives = true;
    actors[0].expected = vec![0; ARENA_LEN as usize];
    loop {
        while act(&mut machine, &mut actors)? {}
        if actors.iter().all(|actor| actor.acts.is_empty() && actor.begun.is_none()) {
            return Ok(());
        }
        if !machine.go_on(PATIENCE_NS) {
            let stuck = actors.iter().find_map(|actor| actor.begun);
            return Err(
                stuck.map_or("nothing goes on".into(), |(index, step)| at(index, step, "never returns"))
            );
        }
    }
}

fn at(index: usize, step: &Step, reason: &str) -> String {
    format!("step {index}: {reason}\n  > {}", step.text)
}

/// Has each process do what it can; false when none could.
fn act<'a>(machine: &mut Machine, actors: &mut [Actor<'a>]) -> Result<bool, String> {
    let mut any = false;
    for n in 0..actors.len() {
        if !actors[n].lives {
            continue;
        }
        if let Some((index, step)) = actors[n].begun {
            let Some(registers) = machine.over(n) else { continue };
            actors[n].begun = None;
            check(machine, n, step, registers, &mut actors[n].expected)
                .map_err(|reason| at(index, step, &reason))?;
            any = true;
        }
        match actors[n].acts.pop_front() {
            None => {}
            Some(Act::Fork(child)) => {
                machine.fork(child);
                actors[child].lives = true;
                actors[child].expected = actors[n].expected.clone();
                any = true;
            }
            Some(Act::Step(index, step)) => {
                begin(machine, n, step, &mut actors[n].expected);
                actors[n].begun = Some((index, step));
                any = true;
            }
        }
    }
    Ok(any)
}

fn begin(machine: &mut Machine, n: usize, step: &Step, expected: &mut [u8]) {
    for before in &step.before {
        let (offset, bytes) = match before {
            Before::Bytes(offset, bytes) => (*offset, bytes.clone()),
            Before::Word(offset, value) => (*offset, word(machine, n, *value).to_le_bytes().to_vec()),
            Before::Copy(same) => (same.at, copied(machine, n, same)),
        };
        machine.write_arena(n, offset, &bytes);
        put(expected, offset, &bytes);
    }
    let args: Vec<u32> = step.args.iter().map(|arg| word(machine, n, *arg)).collect();
    if let Some(ms) = step.alarm {
        machine.set_alarm(n, ms);
    }
    machine.start(n, step.number, &args);
}

fn copied(machine: &Machine, n: usize, same: &Same) -> Vec<u8> {
    let mut arena = vec![0; ARENA_LEN as usize];
    machine.read_arena(n, &mut arena);
    let mut bytes = arena[range(same.from, same.len as usize)].to_vec();
    if same.add != 0 {
        let number = u16::from_be_bytes([bytes[0], bytes[1]]).wrapping_add(same.add as u16);
        bytes[..2].copy_from_slice(&number.to_be_bytes());
    }
    bytes
}

fn check(
    machine: &mut Machine,
    n: usize,
    step: &Step,
    registers: Registers,
    expected: &mut [u8],
) -> Result<(), String> {
    let signals = machine.take_pending(n);
    match step.answer {
        Answer::Success(eax, edx) => {
            if registers.carry {
                return Err(format!("expected success, got error {}", registers.eax));
            }
            check_register(machine, n, "eax", eax, registers.eax)?;
            check_register(machine, n, "edx", edx, registers.edx)?;
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
    check_memory(machine, n, step, expected)?;
    let wanted = step.after.iter().find_map(|a| if let After::Signals(s) = a { Some(*s) } else { None });
    if signals != wanted.unwrap_or(0) {
        return Err(format!("signals are {signals:#x}, expected {:#x}", wanted.unwrap_or(0)));
    }
    Ok(())
}

fn check_register(machine: &Machine, n: usize, name: &str, wanted: Register, got: u32) -> Result<(), String> {
    let wanted = match wanted {
        Register::Value(value) => word(machine, n, value),
        Register::Unchanged => EDX,
        Register::Any => got,
    };
    if got == wanted { Ok(()) } else { Err(format!("{name} is {}, expected {}", got as i32, wanted as i32)) }
}

fn check_memory(machine: &Machine, n: usize, step: &Step, expected: &mut [u8]) -> Result<(), String> {
    let mut arena = vec![0; ARENA_LEN as usize];
    machine.read_arena(n, &mut arena);
    for after in &step.after {
        match after {
            After::Bytes(offset, bytes) => put(expected, *offset, bytes),
            After::Word(offset, value) => put(expected, *offset, &word(machine, n, *value).to_le_bytes()),
            After::Any(offset, len) => put(expected, *offset, &arena[range(*offset, *len as usize)]),
            After::Same(same) => put(expected, same.at, &copied(machine, n, same)),
            After::Hash(offset, len, hash) => {
                let bytes = &arena[range(*offset, *len as usize)];
                if fnv(bytes) != *hash {
                    return Err(format!("data at {offset} length {len} have hash {:#x}", fnv(bytes)));
                }
                put(expected, *offset, bytes);
            }
            After::Nonzero(_) | After::Sequence(..) | After::Signals(_) | After::Delivered(_) => {}
        }
    }
    // Only the blocks of a step are compared; what a call stores elsewhere is nobody's business.
    let blocks = step.before.iter().filter_map(|before| match before {
        Before::Bytes(offset, bytes) => Some(range(*offset, bytes.len())),
        _ => None,
    });
    let differs = blocks.flatten().find(|&at| arena[at] != expected[at]);
    if differs.is_none() {
        expected.copy_from_slice(&arena);
    }
    match differs {
        Some(at) => {
            let end = (at + 16).min(arena.len());
            let (got, wanted) = (&arena[at..end], &expected[at..end]);
            Err(format!("memory at {at} is {got:02x?}, expected {wanted:02x?}"))
        }
        None => Ok(()),
    }
}

/// A number of the format: `%p` is the process of the step, `%P` that of process 0.
fn word(machine: &Machine, n: usize, value: Value) -> u32 {
    value.resolve(|symbol| match symbol {
        Symbol::Arena => ARENA,
        Symbol::Process(_) => machine.pid(n),
        Symbol::Parent => machine.pid(0),
        Symbol::Group => machine.pgrp(),
        Symbol::Handler(_) | Symbol::SignalStack | Symbol::Object(..) => 0,
    })
}

fn put(memory: &mut [u8], offset: u32, bytes: &[u8]) {
    memory[range(offset, bytes.len())].copy_from_slice(bytes);
}

fn range(offset: u32, len: usize) -> std::ops::Range<usize> {
    offset as usize..offset as usize + len
}

fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
