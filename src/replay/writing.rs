//! A recording that is being made.
//!
//! Must not know what is asked of the host.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::files;
use super::piece::{Kind, Pieces};
use crate::host::clock;
use crate::host::tape::{Answer, Recorder, Sink, Tape};
use crate::kernel::time::VIRTUAL_EPOCH_NS;
use crate::kernel::vfs::reads::Reads;
use crate::machine::{Builder, Machine};

#[derive(Debug)]
struct Inner {
    pieces: Pieces<File>,
    reads: Reads,
    /// Files that were read so far.
    known: BTreeSet<PathBuf>,
    /// The first failure to write.
    failed: Option<io::Error>,
}

impl Inner {
    fn put(&mut self, kind: Kind, bytes: &[u8]) {
        if self.failed.is_none()
            && let Err(error) = self.pieces.put(kind, bytes)
        {
            self.failed = Some(error);
        }
    }

    /// What was read stands before what came of it.
    fn put_reads(&mut self) {
        let reads = self.reads.take();
        if !reads.is_empty() {
            self.known.extend(reads.iter().map(|read| read.path.clone()));
            self.put(Kind::Files, &files::put(&reads));
        }
    }
}

/// A recording that is being made.
#[derive(Debug)]
pub struct Writing {
    inner: Rc<RefCell<Inner>>,
    pack: bool,
}

/// How a recording has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With the run.
    Run,
    /// With a run that can be gone on with: its count of instructions, and the hash of the whole machine there.
    Snapshot { at: u64, state: u64 },
}

impl Ending {
    pub(super) fn bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Run => 0u8.put(&mut bytes),
            Self::Snapshot { at, state } => (1u8, at, state).put(&mut bytes),
        }
        bytes
    }

    pub(super) fn of(mut bytes: &[u8]) -> Option<Self> {
        match u8::get(&mut bytes)? {
            0 => Some(Self::Run),
            1 => Some(Self::Snapshot { at: Answer::get(&mut bytes)?, state: Answer::get(&mut bytes)? }),
            _ => None,
        }
    }
}

/// Has the run of a builder recorded in a new file.  `counted`: its time is made by instructions alone; `pack`: what it
/// reads goes into the recording; `kill_on_exit`: it ends with its first program.
pub fn record(
    builder: Builder,
    to: &Path,
    counted: bool,
    pack: bool,
    kill_on_exit: bool,
) -> io::Result<(Builder, Writing)> {
    let here = std::env::current_dir()?;
    let start = if counted { VIRTUAL_EPOCH_NS } else { clock::realtime() };
    let plan = builder.plan(&here, start, counted, kill_on_exit);
    let mut pieces = Pieces::new(File::create(to)?)?;
    pieces.put(Kind::Plan, &serde_json::to_vec(&plan)?)?;
    let reads = Reads::new(pack);
    let inner = Inner { pieces, reads: reads.clone(), known: BTreeSet::new(), failed: None };
    let inner = Rc::new(RefCell::new(inner));
    let sink = Rc::clone(&inner);
    let sink = Sink::new(move |events: &[u8]| {
        let mut inner = sink.borrow_mut();
        inner.put_reads();
        inner.put(Kind::Events, events);
    });
    let tape = Tape::record(Recorder::new(sink, counted));
    Ok((builder.taped(&plan, tape).note_reads(reads), Writing { inner, pack }))
}

/// The directories in a directory, or nothing.
fn directories_in(path: &Path) -> Vec<PathBuf> {
    let is_directory = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
    let entries = is_directory.then(|| std::fs::read_dir(path).ok()).flatten();
    let directories = entries.into_iter().flatten().filter_map(Result::ok);
    directories
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

impl Writing {
    /// Puts the rest away: the run is over.
    pub fn finish(self, machine: &Machine) -> io::Result<()> {
        machine.kernel().tape.flush();
        self.end(Ending::Run)
    }

    /// Puts the rest away: the run is left where it is, and can be gone on with.
    pub fn leave(self, machine: &mut Machine) -> io::Result<()> {
        machine.show_written();
        let (at, state) = (machine.instructions(), machine.state(true));
        machine.leave_tape(super::recording::LEFT);
        self.end(Ending::Snapshot { at, state })
    }

    fn end(self, ending: Ending) -> io::Result<()> {
        let mut inner = self.inner.borrow_mut();
        inner.put_reads();
        if self.pack {
            let mut names = inner.reads.names();
            names.extend(inner.known.iter().cloned());
            // A directory has as many links as directories in it.
            let inside: Vec<PathBuf> = names.iter().flat_map(|name| directories_in(name)).collect();
            names.extend(inside);
            for name in names {
                let whole = inner.known.contains(&name);
                if let Some(packed) = files::pack(&name, whole) {
                    inner.put(Kind::Packed, &packed);
                }
            }
        }
        inner.put(Kind::End, &ending.bytes());
        match inner.failed.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
