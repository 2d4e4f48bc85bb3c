//! Hostile input: random calls, damaged programs, damaged cases, damaged files of records.
//!
//! Whatever comes, bsd21 does not panic, is not ended by a signal, does not hang and keeps its memory bounded.  Each
//! test has a short form with a fixed seed and a long one that is ignored; `BSD21_HOSTILE_SEED` and
//! `BSD21_HOSTILE_COUNT` choose others.  What fails is named by its seed.

#[path = "hostile/calls.rs"]
mod calls;
#[path = "hostile/cases.rs"]
mod cases;
#[path = "hostile/images.rs"]
mod images;
#[path = "hostile/kill.rs"]
mod kill;
#[path = "hostile/limits.rs"]
mod limits;
#[path = "hostile/program.rs"]
mod program;
#[path = "hostile/readers.rs"]
mod readers;
#[path = "hostile/records.rs"]
mod records;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Random numbers (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end.max(1)
    }
}

/// What a person asks for, or the test's own numbers.
pub(crate) fn asked(name: &str, otherwise: u64) -> u64 {
    std::env::var(format!("BSD21_HOSTILE_{name}"))
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

/// Damages some bytes: bits, words of interest, pieces doubled, cut out or cut off.
pub(crate) fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    const WORDS: [u32; 10] =
        [0, 1, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_f000, 0x1000, 0xefbf_e000, 0x0100_0000];
    for _ in 0..=random.below(6) {
        if bytes.is_empty() {
            return;
        }
        // The beginning says most.
        let len = if random.below(3) > 0 { bytes.len().min(64) } else { bytes.len() };
        let at = random.below(len);
        match random.below(8) {
            0..=2 => bytes[at] ^= 1 << random.below(8),
            3 => bytes[at] = random.next() as u8,
            4 | 5 => {
                let at = at & !3;
                let word =
                    WORDS[random.below(WORDS.len())].wrapping_add(random.below(3) as u32).wrapping_sub(1);
                let end = bytes.len().min(at + 4);
                bytes[at..end].copy_from_slice(&word.to_le_bytes()[..end - at]);
            }
            6 => {
                let end = bytes.len().min(at + 1 + random.below(64));
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                match random.below(2) {
                    0 => drop(bytes.splice(to..to, piece)),
                    _ => drop(bytes.drain(at..end)),
                }
            }
            _ => bytes.truncate(if random.below(4) == 0 {
                at
            } else {
                bytes.len() - random.below(bytes.len().min(40))
            }),
        }
    }
}

pub(crate) fn fixtures(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(below)
}

/// A directory of its own for a test; not below /dev, which guests without a root have of their own.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("bsd21-hostile-").tempdir().expect("a directory")
}

/// The same in memory, where there is some: random programs make many files.
pub(crate) fn scratch_in_memory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let above = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("bsd21-hostile-").tempdir_in(above).expect("a directory")
}

/// The program that is tried: the one that was built, or the one that `BSD21_HOSTILE_PROGRAM` names.
pub(crate) fn tried() -> std::ffi::OsString {
    std::env::var_os("BSD21_HOSTILE_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_bsd21").into())
}

/// How long a program may take before it counts as hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Runs bsd21 to its end; a run that takes too long is ended and fails.
pub(crate) fn bsd21(directory: &Path, args: &[&str], what: &str) -> Output {
    let mut child = Command::new(tried())
        .current_dir(directory)
        .env_remove("BSD21_ROOT")
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bsd21 starts");
    let id = child.id();
    let stdout = child.stdout.take().expect("a pipe");
    let stderr = child.stderr.take().expect("a pipe");
    let drain = |mut from: Box<dyn std::io::Read + Send>| {
        std::thread::spawn(move || {
            let (mut kept, mut piece) = (Vec::new(), vec![0; 1 << 16]);
            while let Ok(count @ 1..) = from.read(&mut piece) {
                kept.extend_from_slice(&piece[..count]);
                let much = kept.len().saturating_sub(1 << 20);
                kept.drain(..much);
            }
            kept
        })
    };
    let (stdout, stderr) = (drain(Box::new(stdout)), drain(Box::new(stderr)));
    let began = Instant::now();
    let status = loop {
        match child.try_wait().expect("it can be waited for") {
            Some(status) => break status,
            None if began.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{what}: hangs (process {id})");
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let output =
        Output { status, stdout: stdout.join().expect("stdout"), stderr: stderr.join().expect("stderr") };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some(), "{what}: {}: {said}", output.status);
    assert!(output.status.code() != Some(101) && !said.contains("panicked"), "{what}: {said}");
    output
}

/// Largest memory of this process, or of an ended child of it, in bytes.
#[allow(unsafe_code)]
pub(crate) fn peak(who: i32) -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the call fills the structure that it is given, which is valid as zeroes too.
    let usage = unsafe {
        libc::getrusage(who, usage.as_mut_ptr());
        usage.assume_init()
    };
    usage.ru_maxrss.unsigned_abs() << 10
}
