//! Cases of several processes, run step by step, every answer compared: what the tests of recorded calls
//! share.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::files::{text, vector_files};
use crate::format::{self, After, Answer, Before, Case, Event, Kind, Register, Step, Symbol, Value};
use crate::machine::{ARENA, ARENA_LEN, EDX, HANDLERS, Machine, SIGNAL_STACK, Setup};

/// Runs every case of a directory of fixtures, or of the one that an environment variable names; arguments
/// without a dash select cases by a part of their name.
pub(crate) fn run_all(fixtures: &str, variable: &str) -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(fixtures);
    let other = std::env::var_os(variable).map(PathBuf::from);
    let known = if other.is_none() { known_failures(&own) } else { Vec::new() };
    let (mut passed, mut failed, mut surprises) = (0, 0, 0);
    for file in vector_files(other.as_deref().unwrap_or(&own)) {
        let cases = match format::parse(&text(&file)) {
            Ok(cases) => cases,
            Err(reason) => {
                println!("{}: {reason}", file.display());
                failed += 1;
                surprises += 1;
                continue;
            }
        };
        for case in cases {
            if !wanted.is_empty() && !wanted.iter().any(|part| case.name.contains(part)) {
                continue;
            }
            let is_known = known.contains(&case.name);
            match run(&case) {
                Ok(()) => passed += 1,
                Err(reason) => {
                    println!("{} {}: {reason}", if is_known { "known" } else { "not ok" }, case.name);
                    failed += 1;
                    surprises += usize::from(!is_known);
                    continue;
                }
            }
            if is_known {
                println!("passes, and should not by known_failures.txt: {}", case.name);
                surprises += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if surprises == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Names of the cases in the ledger of known failures.
fn known_failures(directory: &Path) -> Vec<String> {
    let ledger = std::fs::read_to_string(directory.join("known_failures.txt")).expect("there is a ledger");
    let names = ledger.lines().filter(|line| !line.starts_with('#'));
    names.filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect()
}

/// The machine of a case, and what the arena of each process must hold.
struct Run {
    machine: Machine,
    expected: [Vec<u8>; 4],
}

fn run(case: &Case) -> Result<(), String> {
    let directory = tempfile::tempdir().map_err(|e| e.to_string())?;
    for name in case.files.iter().map(String::as_str).chain(["F0"]) {
        create(&directory.path().join(name)).map_err(|e| e.to_string())?;
    }
    let setup = Setup { limit: case.limit, ids: case.ids, groups: &case.groups };
    let machine = Machine::new(directory.path(), &setup);
    let blank = vec![0; ARENA_LEN as usize];
    let mut run = Run { machine, expected: [blank.clone(), blank.clone(), blank.clone(), blank] };
    for (index, step) in case.steps.iter().enumerate() {
        run.step(step).map_err(|reason| {
            format!("step {} of process {}: {reason}\n  > {}", index + 1, step.process, step.text)
        })?;
    }
    Ok(())
}

/// An empty file that everybody may open.
fn create(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, b"")?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))
}

impl Run {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        for event in &step.events {
            match *event {
                Event::Fork(n) => {
                    self.machine.fork(n);
                    self.expected[n] = self.expected[0].clone();
                }
                Event::Exit(n) => self.machine.exit(n),
                Event::Leave => return Err("only terminal cases leave their process".into()),
            }
        }
        let n = step.process;
        for before in &step.before {
            let (offset, bytes) = match before {
                Before::Bytes(offset, bytes) => (*offset, bytes.clone()),
                Before::Word(offset, value) => (*offset, self.word(*value).to_le_bytes().to_vec()),
                Before::Copy(_) => continue,
            };
            self.machine.write_arena(n, offset, &bytes);
            put(&mut self.expected[n], offset, &bytes);
        }
        let args: Vec<u32> = step.args.iter().map(|arg| self.word(*arg)).collect();
        let registers = self.machine.call(n, step.number, &args).ok_or("never returns")?;
        match step.answer {
            Answer::Success(eax, edx) => {
                if registers.carry {
                    return Err(format!("expected success, got error {}", registers.eax));
                }
                self.check_register("eax", eax, registers.eax)?;
                self.check_register("edx", edx, registers.edx)?;
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
        self.check_memory(step)?;
        let none = Vec::new();
        let wanted = step.after.iter().find_map(|a| if let After::Delivered(s) = a { Some(s) } else { None });
        let wanted = wanted.unwrap_or(&none);
        let delivered = self.machine.take_delivered(n);
        if delivered != *wanted {
            return Err(format!("delivered {delivered:?}, expected {wanted:?}"));
        }
        Ok(())
    }

    fn check_register(&self, name: &str, wanted: Register, got: u32) -> Result<(), String> {
        let wanted = match wanted {
            Register::Value(value) => self.word(value),
            Register::Unchanged => EDX,
            Register::Any => got,
        };
        if got == wanted {
            Ok(())
        } else {
            Err(format!("{name} is {}, expected {}", got as i32, wanted as i32))
        }
    }

    fn check_memory(&mut self, step: &Step) -> Result<(), String> {
        let mut arena = vec![0; ARENA_LEN as usize];
        self.machine.read_arena(step.process, &mut arena);
        for after in &step.after {
            let (offset, bytes) = match after {
                After::Bytes(offset, bytes) => (*offset, bytes.clone()),
                After::Word(offset, value) => (*offset, self.word(*value).to_le_bytes().to_vec()),
                After::Sequence(offset, id) => (*offset, self.word(*id).to_le_bytes()[2..].to_vec()),
                After::Any(offset, len) => (*offset, arena[range(*offset, *len)].to_vec()),
                After::Nonzero(offset) => {
                    let bytes = arena[range(*offset, 4)].to_vec();
                    if bytes == [0; 4] {
                        return Err(format!("the word at {offset} is zero"));
                    }
                    (*offset, bytes)
                }
                After::Hash(offset, len, hash) => {
                    let bytes = arena[range(*offset, *len)].to_vec();
                    if fnv(&bytes) != *hash {
                        return Err(format!("data at {offset} length {len} have hash {:#x}", fnv(&bytes)));
                    }
                    (*offset, bytes)
                }
                After::Signals(_) | After::Delivered(_) | After::Same(_) => continue,
            };
            put(&mut self.expected[step.process], offset, &bytes);
        }
        match arena.iter().zip(&self.expected[step.process]).position(|(a, e)| a != e) {
            Some(at) => {
                let end = (at + 16).min(arena.len());
                let (got, wanted) = (&arena[at..end], &self.expected[step.process][at..end]);
                Err(format!("memory at {at} is {got:02x?}, expected {wanted:02x?}"))
            }
            None => Ok(()),
        }
    }

    fn word(&self, value: Value) -> u32 {
        value.resolve(|symbol| match symbol {
            Symbol::Arena => ARENA,
            Symbol::Process(n) => self.machine.pid(n),
            Symbol::Group => self.machine.pid(0),
            Symbol::Parent => self.machine.parent(),
            Symbol::Handler(n) => HANDLERS[n as usize],
            Symbol::SignalStack => SIGNAL_STACK,
            Symbol::Object(kind, slot, generation) => {
                let bits = if kind == Kind::Messages { 0xffff } else { 0x7fff };
                ((generation + 1) & bits) << 16 | slot
            }
        })
    }
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
