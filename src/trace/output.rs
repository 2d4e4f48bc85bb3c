//! Where a trace goes: one stream, or one file a process.
//!
//! Must not know what is written.  An output that fails is remembered and written to no more: the guest goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write};

/// Opens the file of a process, to go on in it where it was open before.
pub type Opener = Box<dyn FnMut(i32, bool) -> io::Result<Box<dyn Write>>>;

/// Where a trace goes.
pub struct Output {
    target: Target,
    error: Option<io::Error>,
    flush_always: bool,
}

enum Target {
    Stream(Box<dyn Write>),
    PerProcess { open: Opener, files: BTreeMap<i32, Box<dyn Write>>, known: BTreeSet<i32> },
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("error", &self.error).finish_non_exhaustive()
    }
}

impl Output {
    /// One stream; each line is flushed where somebody may be watching.
    pub fn stream(stream: Box<dyn Write>, flush_always: bool) -> Self {
        Self { target: Target::Stream(stream), error: None, flush_always }
    }

    /// One file a process.
    pub fn per_process(open: Opener) -> Self {
        Self {
            target: Target::PerProcess { open, files: BTreeMap::new(), known: BTreeSet::new() },
            error: None,
            flush_always: false,
        }
    }

    /// Whether each process has its own file.
    pub fn is_per_process(&self) -> bool {
        matches!(self.target, Target::PerProcess { .. })
    }

    /// Writes something about a process.
    pub fn write(&mut self, pid: i32, bytes: &[u8]) {
        if self.error.is_none() {
            self.error = self.try_write(pid, bytes).err();
        }
    }

    fn try_write(&mut self, pid: i32, bytes: &[u8]) -> io::Result<()> {
        let stream = match &mut self.target {
            Target::Stream(stream) => stream,
            Target::PerProcess { open, files, known } => match files.entry(pid) {
                std::collections::btree_map::Entry::Occupied(file) => file.into_mut(),
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(open(pid, !known.insert(pid))?)
                }
            },
        };
        stream.write_all(bytes)?;
        if self.flush_always { stream.flush() } else { Ok(()) }
    }

    /// A process has ended: its file is closed.
    pub fn ended(&mut self, pid: i32) {
        if let Target::PerProcess { files, .. } = &mut self.target
            && let Some(mut file) = files.remove(&pid)
            && let Err(error) = file.flush()
        {
            self.error.get_or_insert(error);
        }
    }

    /// Writes out what is held back, and gives the first error.
    pub fn finish(&mut self) -> io::Result<()> {
        let flushed = match &mut self.target {
            Target::Stream(stream) => stream.flush(),
            Target::PerProcess { files, .. } => files.values_mut().try_for_each(|f| f.flush()),
        };
        match self.error.take() {
            Some(error) => Err(error),
            None => flushed,
        }
    }
}
