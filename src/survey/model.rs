//! What a survey says, as data: the shape of its JSON form, which docs/survey.md describes.
//!
//! Must not know how any of it was found out.

use std::collections::BTreeMap;

use serde::Serialize;

/// Version of the JSON form: it grows when a member changes its meaning or goes away.
pub const VERSION: u32 = 1;

/// A surveyed tree.
#[derive(Clone, Debug, Serialize)]
pub struct Survey {
    /// [`VERSION`].
    pub version: u32,
    /// The version of bsd21 that looked.
    pub bsd21: &'static str,
    /// The directory, as it was given.
    pub directory: String,
    /// The directory in which interpreters and libraries were looked for, and programs run.
    pub root: String,
    /// Counts.
    pub summary: Summary,
    /// What was found, sorted by path.
    pub programs: Vec<Entry>,
    /// What could not be looked at.
    pub skipped: Vec<Skipped>,
}

/// Counts over a tree.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Regular files seen.
    pub files: usize,
    /// Entries of each kind: listed ones, and those that are only counted.
    pub kinds: BTreeMap<&'static str, usize>,
    /// Executables by format.
    pub formats: BTreeMap<String, usize>,
    /// Executables by machine and system.
    pub systems: BTreeMap<String, usize>,
    /// Executables by linkage.
    pub linkages: BTreeMap<&'static str, usize>,
    /// Needed libraries, linkers and interpreters that are not there, with how many need them.
    pub missing: BTreeMap<String, usize>,
    /// Calls that are not served, with how many programs contain them.
    pub unserved: Vec<UnservedCall>,
    /// Runs by outcome; empty where nothing was run.
    pub outcomes: BTreeMap<&'static str, usize>,
    /// Symbolic links, which are not followed.
    pub symlinks: usize,
    /// FIFOs, sockets and devices, which are not opened.
    pub special: usize,
}

/// A call that is not served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnservedCall {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Why it is not served.
    pub reason: String,
    /// Programs whose code leads to it.
    pub reached: usize,
    /// Programs that contain it at all.
    pub contained: usize,
}

/// A file that could not be looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Skipped {
    /// Its path below the directory.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An executable.
    Program,
    /// A `#!` script.
    Script,
    /// A shared library, or a run-time linker.
    Library,
    /// A kernel.
    Kernel,
    /// A file to be linked.
    Object,
    /// A library to be linked with.
    Archive,
    /// A process's memory.
    Core,
    /// A compressed file that is no program.
    Compressed,
    /// Anything else.
    Other,
}

impl Kind {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Script => "script",
            Self::Library => "library",
            Self::Kernel => "kernel",
            Self::Object => "object",
            Self::Archive => "archive",
            Self::Core => "core",
            Self::Compressed => "compressed",
            Self::Other => "other",
        }
    }

    /// Whether files of this kind are listed always; others are only counted.
    pub fn is_listed(self) -> bool {
        matches!(self, Self::Program | Self::Script | Self::Library | Self::Kernel)
    }
}

/// How a program gets at its libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Linkage {
    /// It contains all of its code.
    Static,
    /// A run-time linker finds the rest.
    Dynamic,
    /// The word has no meaning for this file.
    None,
}

impl Linkage {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Dynamic => "dynamic",
            Self::None => "",
        }
    }
}

/// A file of the tree.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Its path below the directory.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Permissions in octal.
    pub mode: String,
    /// Runs as its owner.
    pub set_uid: bool,
    /// Runs as its group.
    pub set_gid: bool,
    /// What it is.
    pub kind: Kind,
    /// Its format: `a.out ZMAGIC`, `ELF`, `gzip a.out QMAGIC`, `script`.
    pub format: String,
    /// The a.out header.
    pub aout: Option<Aout>,
    /// Its processor.
    pub machine: String,
    /// Its system.
    pub system: String,
    /// Static or dynamic.
    pub linkage: Linkage,
    /// The run-time linker or the script's interpreter.
    pub interpreter: Option<Need>,
    /// Shared libraries that it asks for.
    pub libraries: Vec<Need>,
    /// Without a symbol table.
    pub stripped: Option<bool>,
    /// Why it is not executed.
    pub refused: Option<String>,
    /// Why 2.1 itself would not have executed it.
    pub extension: Option<&'static str>,
    /// What its code contains; only for the i386.
    pub code: Option<Code>,
    /// How it started; only where it was run.
    pub run: Option<Start>,
}

/// An a.out header.
#[derive(Clone, Debug, Serialize)]
pub struct Aout {
    /// The magic's name with its octal number.
    pub magic: &'static str,
    /// Machine number.
    pub machine: u16,
    /// `host` or `network`: the byte order of the first word.
    pub order: &'static str,
    /// Bytes of text.
    pub text: u32,
    /// Bytes of data.
    pub data: u32,
    /// Bytes of zeroes behind the data.
    pub bss: u32,
    /// First instruction.
    pub entry: u32,
}

/// Something that must be there for a program to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Need {
    /// Its name.
    pub name: String,
    /// Where it is in the root.
    pub found: Option<String>,
    /// What else is to be said: another version that is there.
    pub note: Option<String>,
}

/// What was found in a program's code.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Code {
    /// Instructions that the program's own branches lead to.
    pub instructions: usize,
    /// System calls, by gate and number.
    pub calls: Vec<Call>,
    /// Gates whose number is not known before the program runs.
    pub unnumbered: usize,
    /// The program makes its calls through shared libraries.
    pub through_libraries: bool,
    /// Instructions that a Pentium does not have.
    pub newer: Vec<Newer>,
}

/// How a program enters the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// `lcall $7,$0`, BSD's.
    Lcall,
    /// `int $0x80`, Linux's.
    Int80,
}

/// A system call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// How it is made.
    pub gate: Gate,
    /// Its number.
    pub number: u32,
    /// Its name in 2.1, where the gate is 2.1's.
    pub name: Option<String>,
    /// Places in the code.
    pub sites: usize,
    /// Places that the program's branches lead to.
    pub reached: usize,
    /// Why it is not served, if it is not.
    pub unserved: Option<String>,
}

/// Instructions that a Pentium does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Newer {
    /// The extension: `CMOV`, `MMX`, `SSE2`.
    pub feature: String,
    /// How many.
    pub count: usize,
    /// The first one.
    pub instruction: String,
    /// Its address.
    pub address: u32,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Status 0.
    Works,
    /// It said how it wants to be used.
    Usage,
    /// A message and a status other than 0.
    Message,
    /// A status other than 0 without a word.
    Status,
    /// A signal ended it.
    Signal,
    /// It was still running, or waiting, at the end.
    Running,
    /// It was not executed.
    Refused,
    /// bsd21 itself failed.
    Failed,
}

impl Outcome {
    /// The words for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Usage => "usage",
            Self::Message => "message",
            Self::Status => "status",
            Self::Signal => "signal",
            Self::Running => "still running",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// A run of a program, alone, without arguments and without input.
#[derive(Clone, Debug, Serialize)]
pub struct Start {
    /// How it ended.
    pub outcome: Outcome,
    /// Its exit status.
    pub status: Option<u8>,
    /// The signal that ended it.
    pub signal: Option<String>,
    /// The first line that it wrote to standard error, or else to standard output; or why it did not run.
    pub line: String,
    /// Bytes of standard output.
    pub stdout: u64,
    /// Bytes of standard error.
    pub stderr: u64,
    /// What it asked for and did not get: `name (reason)`.
    pub unserved: Vec<String>,
}
