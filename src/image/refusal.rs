//! Why a file is not executed: one line for a person, one error number for the guest.
//!
//! 2.1 counterpart: the returns of the activators (ENOEXEC, EFAULT, ENOMEM).

use syscalls::Errno;
use thiserror::Error;

/// Why an activator refuses a file.  The doc line of a variant is what its message says.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A file of no bytes.
    #[error("empty file")]
    Empty,
    /// A file format or system that is not 2.1's; the text says which.
    #[error("{0}")]
    Foreign(String),
    /// A header that ends before it is complete.
    #[error("truncated {format} header: {have} bytes")]
    TruncatedHeader {
        /// The format.
        format: &'static str,
        /// Bytes that are there.
        have: usize,
    },
    /// Text and data are larger than the file.
    #[error("truncated {format} file: the header wants {want} bytes of text and data, the file has {have}")]
    Truncated {
        /// The format.
        format: &'static str,
        /// Bytes wanted.
        want: u64,
        /// Bytes in the file.
        have: u64,
    },
    /// An entry point outside the text.
    #[error("{format} entry point {entry:#x} is outside the text {start:#x}-{end:#x}")]
    Entry {
        /// The format.
        format: &'static str,
        /// The entry point.
        entry: u32,
        /// Start of the text.
        start: u64,
        /// End of the text.
        end: u64,
    },
    /// A text or data size that is not a multiple of the page size.
    #[error("{format} {what} size {size:#x} is not a multiple of 4096")]
    NotPageRounded {
        /// The format.
        format: &'static str,
        /// `text` or `data`.
        what: &'static str,
        /// The size.
        size: u32,
    },
    /// A segment larger than the system or the process allows.
    #[error("{format} {what} of {size} bytes is over the limit of {limit}")]
    TooBig {
        /// The format.
        format: &'static str,
        /// `text` or `data`.
        what: &'static str,
        /// The size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A script whose interpreter is a script.
    #[error("script whose interpreter is itself a script")]
    NestedScript,
    /// A first line that does not end within 64 bytes.
    #[error("script whose first line is longer than 64 bytes")]
    LongScriptLine,
    /// A `#!` line that names nothing.
    #[error("script that names no interpreter")]
    NoScriptInterpreter,
    /// A gzip file with header flags, or contents, that 2.1 does not take.
    #[error("gzip file {0}")]
    Gzip(&'static str),
    /// An ELF file that cannot be laid out; the text says why.
    #[error("ELF file {0}")]
    Elf(String),
}

impl Refusal {
    /// The error that the guest's execve returns.
    pub fn errno(&self) -> Errno {
        match self {
            Self::Truncated { .. } => Errno::EFAULT,
            Self::TooBig { .. } => Errno::ENOMEM,
            _ => Errno::ENOEXEC,
        }
    }
}
