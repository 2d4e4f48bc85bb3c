//! Runs that are recorded, and played again without the host that they ran on.
//!
//! A recorded run is one under a clock of instructions, whose doors to the host write down what they bring in
//! ([`crate::host::tape`]): from the same beginning, the same programs and the same answers follows the same run.
//! [`record`] makes a file of that, [`Recording::open`] reads it, and [`Recording::builder`] builds the machine again.
//! The format is that of [`piece`]; docs/replay.md describes it.
//!
//! Must not know the command line.

pub mod files;
pub mod piece;
mod recording;
mod writing;

use crate::host::look;
pub use recording::{Recording, RecordingError, Verdict, Where};
pub use writing::{Writing, record};

/// The first bytes of a recording; the last one but one is the version of the format.
pub const MAGIC: [u8; 8] = *b"bsd21r\x01\n";

/// Whether a file begins as a recording does.
pub fn is_recording(path: &std::path::Path) -> bool {
    let first = look::open_named(path).and_then(|file| look::beginning(&file, MAGIC.len() - 2));
    first.is_ok_and(|first| first.len() == MAGIC.len() - 2 && MAGIC.starts_with(&first))
}
