//! Replays recorded call sequences of the original (identities, limits, signals, locks, times, names) and
//! compares every answer.
//!
//! Each case runs on a kernel of its own, through guest memory, the system-call gate and signal frames,
//! with up to four processes.  `BSD21_CALL_VECTORS=DIR` runs every file of another directory;
//! arguments without a dash select cases by a part of their name.

#[path = "vectors/files.rs"]
mod files;
#[path = "vectors/format.rs"]
mod format;
#[path = "calls/machine.rs"]
mod machine;
#[path = "calls/replay.rs"]
mod replay;
#[path = "socket/root.rs"]
mod root;

fn main() -> std::process::ExitCode {
    replay::run_all("fixtures/vectors/calls", "BSD21_CALL_VECTORS")
}
