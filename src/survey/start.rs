//! How a program starts: alone in a fresh machine, without arguments, with an empty standard input.
//!
//! The tree is mounted read-only and /tmp is the run's own, so that nothing a program does is left behind.
//! Must not know how the program was found.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use syscalls::signal::Signal;

use super::model::{Outcome, Start};
use crate::host::temporary::Directory;
use crate::kernel::time::Clock;
use crate::machine::{Ended, Limits, Machine, Mount, StartError, Stdio};

/// Bytes of an output that are kept; the rest is counted.
const KEEP: usize = 16 << 10;
/// Characters of a line that are kept.
const LINE: usize = 160;

/// How programs are run.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// The guest's root.
    pub root: PathBuf,
    /// More directories that it sees; read-only.
    pub mounts: Vec<Mount>,
    /// Time after which a run is ended.
    pub max_wall: Duration,
    /// Bytes of memory that a run may have; as much as any run unless given.
    pub max_mem: Option<u64>,
    /// The guest's clock counts instructions instead of being the host's.
    pub virtual_clock: bool,
}

/// Runs a program of the guest.
pub fn start(program: &Path, conditions: &Conditions) -> Start {
    let run = AssertUnwindSafe(|| attempt(program, conditions));
    match catch_unwind(run) {
        Ok(Ok(start)) => start,
        Ok(Err(error)) => empty(Outcome::Failed, error.to_string()),
        Err(_) => empty(Outcome::Failed, "bsd21 itself failed".to_owned()),
    }
}

/// A run that did not happen.
pub fn empty(outcome: Outcome, line: String) -> Start {
    Start { outcome, status: None, signal: None, line, stdout: 0, stderr: 0, unserved: Vec::new() }
}

fn attempt(program: &Path, conditions: &Conditions) -> io::Result<Start> {
    let temporary = Directory::new("bsd21-survey-", &std::env::temp_dir())?;
    let (stdout, stdout_end) = Output::new()?;
    let (stderr, stderr_end) = Output::new()?;
    let mut builder = Machine::builder()
        .root(&conditions.root)
        .protect_root()
        .program(OsString::from(program))
        .stdin(File::open("/dev/null")?)
        .stdout(Stdio::Descriptor(stdout_end))
        .stderr(Stdio::Descriptor(stderr_end))
        .limits(Limits { wall: Some(conditions.max_wall), memory: conditions.max_mem, ..Limits::default() });
    for mount in &conditions.mounts {
        builder = builder.mount(mount.clone());
    }
    let own = Mount { host: temporary.path().to_owned(), guest: b"/tmp".to_vec(), read_only: false };
    builder = builder.mount(own);
    if conditions.virtual_clock {
        builder = builder.clock(Clock::deterministic());
    }
    let mut machine = match builder.build() {
        Ok(machine) => machine,
        Err(StartError::Refused { refusal, .. }) => {
            return Ok(empty(Outcome::Refused, refusal.to_string()));
        }
        Err(
            error @ (StartError::NotFound { .. }
            | StartError::NotExecutable { .. }
            | StartError::Unfit { .. }
            | StartError::Interpreter { .. }),
        ) => {
            return Ok(empty(Outcome::Refused, error.to_string()));
        }
        Err(error) => return Ok(empty(Outcome::Failed, error.to_string())),
    };
    let ended = machine.run().ended;
    let ledger = machine.kernel().ledger.iter();
    let unserved = ledger.map(|(name, reason, _)| format!("{name} ({reason})")).collect();
    // The guest's ends of the pipes go with the machine.
    drop(machine);
    let (stdout, stderr) = (stdout.finish(), stderr.finish());
    Ok(judge(ended, &stdout, &stderr, unserved))
}

/// What an output was: its beginning, and its size.
type Said = (Vec<u8>, u64);

fn judge(ended: Ended, stdout: &Said, stderr: &Said, unserved: Vec<String>) -> Start {
    let said = [&stderr.0, &stdout.0].map(|bytes| first_line(bytes));
    let line = said.into_iter().find(|line| !line.is_empty()).unwrap_or_default();
    let usage = || [&stderr.0, &stdout.0].into_iter().any(|bytes| is_usage(bytes));
    let outcome = match ended {
        Ended::Signaled(_) => Outcome::Signal,
        Ended::Deadlock | Ended::Limit(_) => Outcome::Running,
        Ended::Exited(_) if usage() => Outcome::Usage,
        Ended::Exited(0) | Ended::Rebooted(_) => Outcome::Works,
        Ended::Exited(_) if line.is_empty() => Outcome::Status,
        Ended::Exited(_) => Outcome::Message,
    };
    Start {
        outcome,
        status: match ended {
            Ended::Exited(status) => Some(status),
            _ => None,
        },
        signal: match ended {
            Ended::Signaled(number) => Some(
                Signal::from_raw(number).map_or_else(|| format!("signal {number}"), |s| s.name().to_owned()),
            ),
            _ => None,
        },
        line,
        stdout: stdout.1,
        stderr: stderr.1,
        unserved,
    }
}

/// The first line with something in it, fit to be printed.
fn first_line(bytes: &[u8]) -> String {
    let lines = bytes.split(|&b| b == b'\n' || b == b'\r');
    let printable = |line: &[u8]| -> String {
        let text = String::from_utf8_lossy(line);
        text.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(LINE)
            .collect::<String>()
            .trim()
            .to_owned()
    };
    lines.map(printable).find(|line| !line.is_empty()).unwrap_or_default()
}

/// Whether one of the first lines says how the program wants to be used.
fn is_usage(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|&b| b == b'\n').take(4);
    lines.any(|line| String::from_utf8_lossy(line).to_lowercase().contains("usage"))
}

/// A pipe that is emptied as long as it is open.
#[derive(Debug)]
struct Output(JoinHandle<Said>);

impl Output {
    /// A pipe, and the end for the guest.
    fn new() -> io::Result<(Self, OwnedFd)> {
        let (reader, writer) = io::pipe()?;
        Ok((Self(thread::spawn(move || drain(reader))), writer.into()))
    }

    fn finish(self) -> Said {
        self.0.join().unwrap_or_default()
    }
}

fn drain(mut reader: PipeReader) -> Said {
    let mut kept = Vec::new();
    let mut size = 0;
    let mut chunk = vec![0; 64 << 10];
    while let Ok(n @ 1..) = reader.read(&mut chunk) {
        let room = KEEP.saturating_sub(kept.len()).min(n);
        kept.extend_from_slice(chunk.get(..room).unwrap_or_default());
        size += n as u64;
    }
    (kept, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(ended: Ended, stdout: &str, stderr: &str) -> (Outcome, String) {
        let said = |text: &str| (text.as_bytes().to_vec(), text.len() as u64);
        let start = judge(ended, &said(stdout), &said(stderr), Vec::new());
        (start.outcome, start.line)
    }

    #[test]
    fn outcomes_are_told_by_status_and_words() {
        use Outcome::*;
        let told = |ended, out, err, expected: Outcome, line: &str| {
            assert_eq!(outcome(ended, out, err), (expected, line.to_owned()));
        };
        told(Ended::Exited(0), "a\nb\n", "", Works, "a");
        told(Ended::Exited(1), "", "\n\tcat: x\n", Message, "cat: x");
        told(Ended::Exited(1), "", "bad\nusage: cat [file]\n", Usage, "bad");
        told(Ended::Exited(2), "", "", Status, "");
        told(Ended::Signaled(11), "", "", Signal, "");
        told(Ended::Deadlock, "", "", Running, "");
        told(Ended::Exited(0), "\x1b[2J\u{7}x", "", Works, "[2J x");
    }
}
