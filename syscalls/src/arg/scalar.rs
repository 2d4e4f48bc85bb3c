//! Arguments of one word that are numbers, and file offsets.
//!
//! Must not know memory.

use std::fmt;

use super::{Arg, Kind, word};
use crate::layout::{Show, Shown};
use crate::signal::{SigSet, Signum};

/// A signed number.
pub type Int = i32;
/// An unsigned number.
pub type Uint = u32;
/// A file offset.
pub type Off = i64;

impl Arg for i32 {
    const KIND: Kind = Kind::Int;
    fn from_words(words: &[u32]) -> Self {
        word(words, 0).cast_signed()
    }
}

impl Arg for u32 {
    const KIND: Kind = Kind::Uint;
    fn from_words(words: &[u32]) -> Self {
        word(words, 0)
    }
}

impl Arg for i64 {
    const WORDS: usize = 2;
    const KIND: Kind = Kind::Off;
    fn from_words(words: &[u32]) -> Self {
        (u64::from(word(words, 0)) | u64::from(word(words, 1)) << 32).cast_signed()
    }
}

/// Declares an argument of one word that is a number with a meaning.
macro_rules! number {
    ($( $( #[$meta:meta] )* $name:ident($inner:ty) = $kind:expr; )*) => { $(
        $( #[$meta] )*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl Arg for $name {
            const KIND: Kind = $kind;
            fn from_words(words: &[u32]) -> Self {
                Self(<$inner as Arg>::from_words(words))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )* };
}

number! {
    /// A process, or as a negative number a process group.
    Pid(i32) = Kind::Pid;
    /// A user.
    Uid(u32) = Kind::Uid;
    /// A group.
    Gid(u32) = Kind::Gid;
    /// A device number.
    Dev(u32) = Kind::Dev;
    /// Permission bits.
    Mode(u32) = Kind::Mode;
    /// Permission bits of a file that open may create.
    CreatMode(u32) = Kind::CreatMode;
    /// An address in guest memory.
    GuestAddr(u32) = Kind::Addr;
    /// A pointer to the name of a file.
    Path(u32) = Kind::Path;
    /// A pointer to text.
    Str(u32) = Kind::Str;
    /// A pointer to a vector of argument strings.
    ArgVec(u32) = Kind::ArgVec;
    /// A pointer to a vector of environment strings.
    EnvVec(u32) = Kind::EnvVec;
    /// A pointer to a message to send.
    MsgIn(u32) = Kind::MsgIn { old: false };
    /// A pointer to a message to fill.
    MsgOut(u32) = Kind::MsgOut { old: false };
    /// A pointer to a message to send, in its old form.
    OldMsgIn(u32) = Kind::MsgIn { old: true };
    /// A pointer to a message to fill, in its old form.
    OldMsgOut(u32) = Kind::MsgOut { old: true };
}

/// A descriptor.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
)]
#[repr(transparent)]
pub struct Fd(pub i32);

impl Arg for Fd {
    const KIND: Kind = Kind::Fd;
    fn from_words(words: &[u32]) -> Self {
        Self(word(words, 0).cast_signed())
    }
}

impl Shown for Fd {
    const SHOW: Show = Show::Fd;
    const SIZE: usize = 4;
}

impl fmt::Display for Fd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A word that the original copies in and ignores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unused(pub u32);

impl Arg for Unused {
    const KIND: Kind = Kind::Unused;
    fn from_words(words: &[u32]) -> Self {
        Self(word(words, 0))
    }
}

impl Arg for Signum {
    const KIND: Kind = Kind::Signal;
    fn from_words(words: &[u32]) -> Self {
        Self(word(words, 0))
    }
}

impl Arg for SigSet {
    const KIND: Kind = Kind::SigSet;
    fn from_words(words: &[u32]) -> Self {
        Self(word(words, 0))
    }
}
