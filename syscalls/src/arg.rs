//! The closed vocabulary of argument types: what an argument word, or several together, means.
//!
//! A type says how many words it takes, how to decode them, and (as [`Kind`]) everything a tracer must know
//! to print it.  Relations between words live in the type: a buffer is an address *and* a length.
//!
//! Must not know guest memory: a pointer is a number with a type here, nothing is read.
//!
//! 2.1 counterpart: the `struct *_args` above each function in kern/*.c and vm/*.c.

mod compound;
mod pointer;
mod scalar;

pub use compound::*;
pub use pointer::*;
pub use scalar::*;

use crate::layout::Show;
use crate::names::{FlagNames, Names};

/// An argument of a call.
pub trait Arg: Sized {
    /// 32-bit argument words that the type takes.
    const WORDS: usize = 1;
    /// What a tracer needs to know.
    const KIND: Kind;
    /// Decodes `words`, whose length is `WORDS`.
    fn from_words(words: &[u32]) -> Self;
}

/// Word `i` of an argument; words that are not there read as zero.
pub fn word(words: &[u32], i: usize) -> u32 {
    words.get(i).copied().unwrap_or(0)
}

/// Which way memory behind a pointer travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The kernel reads it.
    In,
    /// The kernel writes it.
    Out,
    /// The kernel reads and writes it.
    InOut,
}

/// How an argument is printed, which way it travels, and which word bounds it.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A signed number.
    Int,
    /// An unsigned number.
    Uint,
    /// A word that is read and ignored.
    Unused,
    /// A file offset in two words.
    Off,
    /// A descriptor.
    Fd,
    /// A process or process group.
    Pid,
    /// A user.
    Uid,
    /// A group.
    Gid,
    /// A device number.
    Dev,
    /// Permission bits.
    Mode,
    /// Permission bits that count only where the word before has O_CREAT.
    CreatMode,
    /// An address that the tracer does not follow.
    Addr,
    /// A value of an enumeration.
    Named(&'static Names),
    /// A set of flags.
    Flags(&'static FlagNames),
    /// A signal number.
    Signal,
    /// A set of signals.
    SigSet,
    /// A pointer to the name of a file.
    Path,
    /// A pointer to text.
    Str,
    /// A pointer to something of known size.
    Ptr(Way, Show, usize),
    /// Address and length of bytes that the kernel reads.
    InBuf,
    /// Address and room for bytes that the kernel writes; the result says how many.
    OutBuf,
    /// Address and room for text that the kernel writes and ends with NUL.
    OutText,
    /// Address and room for directory entries; the result says how many bytes.
    Dirents {
        /// Entries have no type byte and a name length of two bytes.
        old: bool,
    },
    /// Address and length of a socket address that the kernel reads.
    SockAddrIn,
    /// Address of a socket address that the kernel writes, and of its length, which it reads and writes.
    SockAddrOut {
        /// The family is written in two bytes.
        old: bool,
    },
    /// Address of a value that the kernel writes, and of its length, which it reads and writes.
    ValueOut,
    /// Address and count of scattered buffers that the kernel reads.
    IovecIn,
    /// Address and count of scattered buffers that the kernel fills; the result says how many bytes.
    IovecOut,
    /// Address of a message that the kernel reads.
    MsgIn {
        /// Access rights instead of control.
        old: bool,
    },
    /// Address of a message that the kernel fills; the result says how many bytes.
    MsgOut {
        /// Access rights instead of control.
        old: bool,
    },
    /// Address of a vector of argument strings.
    ArgVec,
    /// Address of a vector of environment strings.
    EnvVec,
    /// Number of descriptors and three sets of them.
    SelectSets,
    /// Level, option, address and length of a value that the kernel reads.
    SockOptIn,
    /// Level, option, address of a value that the kernel writes, and of its length.
    SockOptOut,
    /// Command and its argument.
    Fcntl,
    /// Request and its argument.
    Ioctl,
    /// Address and count of the numbers of a sysctl name.
    SysctlName,
    /// Count and address of groups that the kernel reads.
    GidsIn,
    /// Count and address of room for groups; the result says how many.
    GidsOut,
    /// Address and size of room for statistics of file systems; the result says how many.
    StatfsBuf,
    /// A semaphore call and its words.
    SemCall,
    /// A message queue call and its words.
    MsgCall,
    /// A shared memory call and its words.
    ShmCall,
}
