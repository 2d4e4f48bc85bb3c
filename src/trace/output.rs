//! Where a trace goes: one stream, or one file a process.
//!
//! What is written is held back until somebody says that it is time ([`Output::flush`]) or it has become much,
//! and goes out in whole pieces, so that a trace whose writer is killed ends between two of them.
//!
//! Must not know what is written.  An output that fails is remembered and written to no more: the guest goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write};

/// Bytes that are held back at most.
const HELD: usize = 64 * 1024;

/// Opens the file of a process, to go on in it where it was open before.
pub type Opener = Box<dyn FnMut(i32, bool) -> io::Result<Box<dyn Write>>>;

/// Where a trace goes.
pub struct Output {
    target: Target,
    error: Option<io::Error>,
    flush_always: bool,
}

enum Target {
    Stream(Held),
    PerProcess { open: Opener, files: BTreeMap<i32, Held>, known: BTreeSet<i32> },
}

/// A stream, and what has not gone there yet.
struct Held {
    stream: Box<dyn Write>,
    bytes: Vec<u8>,
}

impl Held {
    fn new(stream: Box<dyn Write>) -> Self {
        Self { stream, bytes: Vec::new() }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= HELD { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let written = self.stream.write_all(&self.bytes).and_then(|()| self.stream.flush());
        self.bytes.clear();
        written
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("error", &self.error).finish_non_exhaustive()
    }
}

impl Output {
    /// One stream; each piece is written out at once where somebody may be watching.
    pub fn stream(stream: Box<dyn Write>, flush_always: bool) -> Self {
        Self { target: Target::Stream(Held::new(stream)), error: None, flush_always }
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
        let held = match &mut self.target {
            Target::Stream(held) => held,
            Target::PerProcess { open, files, known } => match files.entry(pid) {
                std::collections::btree_map::Entry::Occupied(file) => file.into_mut(),
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(Held::new(open(pid, !known.insert(pid))?))
                }
            },
        };
        held.write(bytes)?;
        if self.flush_always { held.flush() } else { Ok(()) }
    }

    /// Writes out what is held back.
    pub fn flush(&mut self) {
        if self.error.is_none() {
            self.error = self.try_flush().err();
        }
    }

    fn try_flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::Stream(held) => held.flush(),
            Target::PerProcess { files, .. } => files.values_mut().try_for_each(Held::flush),
        }
    }

    /// Whether something could not be written.
    pub fn has_failed(&self) -> bool {
        self.error.is_some()
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
        self.flush();
        self.error.take().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// A file of a test: what it holds, each write for itself.
    #[derive(Clone, Default)]
    struct Shared(Rc<RefCell<Vec<Vec<u8>>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn pieces_are_held_back_until_it_is_time_or_they_are_many_and_never_cut() {
        let file = Shared::default();
        let mut output = Output::stream(Box::new(file.clone()), false);
        output.write(1, b"one ");
        output.write(1, b"two");
        assert!(file.0.borrow().is_empty());
        output.flush();
        output.flush();
        assert_eq!(*file.0.borrow(), [b"one two".to_vec()]);
        let piece = [7; 1000];
        for _ in 0..HELD / piece.len() + 1 {
            output.write(1, &piece);
        }
        let writes = file.0.borrow();
        assert_eq!(writes.len(), 2);
        assert!(writes[1].len() >= HELD && writes[1].len().is_multiple_of(piece.len()));
    }

    #[test]
    fn each_process_has_its_file_and_an_error_is_told_once() {
        let file = Shared::default();
        let kept = file.clone();
        let mut output = Output::per_process(Box::new(move |pid, _| match pid {
            7 => Ok(Box::new(kept.clone()) as Box<dyn Write>),
            _ => Err(io::Error::other("no room")),
        }));
        output.write(7, b"seven");
        output.write(8, b"eight");
        output.write(7, b"lost");
        assert_eq!(output.finish().unwrap_err().to_string(), "no room");
    }
}
