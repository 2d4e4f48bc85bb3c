//! Where the instructions of a run went: exact counts by function and by path of calls, system calls with their time,
//! and what of programs was executed at all.
//!
//! Nothing is sampled.  Processors tell every call, return and jump out of a routine with the instructions left
//! ([`crate::cpu::profile`]); what lies between two of them was executed in one routine.  The path of an instruction
//! is made of the routines of all calls that have not returned, outermost first, and the routine that it is in itself.
//!
//! | file | idea |
//! |---|---|
//! | `module` | executable files and their routines |
//! | `map` | what is where in a process |
//! | `tree` | paths of calls, and what is counted of each |
//! | `task` | where in the tree a process is |
//! | `book` | who listens to kernel and processors |
//! | `summary` | what the formats print |
//! | [`covered`], `coverage` | what was executed, and the forms of that |
//! | `text`, `folded`, `speedscope`, `pprof`, `callgrind` | the formats of profiles |
//!
//! Must not know the command line.  2.1 counterpart: gprof(1), which had to be compiled in, and kgmon(8).

mod book;
mod callgrind;
mod coverage;
pub mod covered;
mod folded;
mod map;
mod module;
mod pprof;
mod speedscope;
mod summary;
mod task;
mod text;
mod tree;

use std::cell::RefCell;
use std::rc::Rc;

use crate::cpu::profile::Log;
use crate::machine::Machine;
use book::{Book, Shared};
pub use coverage::CoverageFormat;
pub use summary::{By, Call, Executed, File, Function, Kind, Path, Row, Summary};

/// What is counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Processes are kept apart by number and name; else by name alone.
    pub by_process: bool,
    /// How often each instruction was executed, too.
    pub addresses: bool,
}

/// A form of profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Tables for people.
    Text,
    /// A line for each path, as flamegraph.pl and inferno read it.
    Folded,
    /// A file of <https://www.speedscope.app>.
    Speedscope,
    /// profile.proto, compressed, as `go tool pprof` reads it.
    Pprof,
    /// What callgrind_annotate and kcachegrind read.
    Callgrind,
}

/// A profile that is being made.
#[derive(Clone, Debug)]
pub struct Profile {
    book: Rc<RefCell<Book>>,
    log: Rc<Log>,
}

impl Profile {
    /// Begins with nothing.
    pub fn new(options: Options) -> Self {
        Self { book: Rc::new(RefCell::new(Book::new(options))), log: Rc::new(Log::new(options.addresses)) }
    }

    /// Has everything counted that a machine will execute.  Call it before anything runs.
    pub fn watch(&self, machine: &mut Machine) {
        machine.profile(Box::new(Shared(Rc::clone(&self.book))), Rc::clone(&self.log));
    }

    /// Who must observe the machine's kernel.
    pub fn observer(&self) -> Box<dyn crate::kernel::event::Observer> {
        Box::new(Shared(Rc::clone(&self.book)))
    }

    /// What was counted so far.
    pub fn summary(&self) -> Summary {
        Summary::of(&self.book.borrow(), &self.log)
    }
}

impl Format {
    /// The bytes of a file.
    pub fn write(self, summary: &Summary, by: By) -> Vec<u8> {
        match self {
            Self::Text => text::write(summary, by).into_bytes(),
            Self::Folded => folded::write(summary, by).into_bytes(),
            Self::Speedscope => speedscope::write(summary, by),
            Self::Pprof => pprof::write(summary, by),
            Self::Callgrind => callgrind::write(summary, by).into_bytes(),
        }
    }
}
