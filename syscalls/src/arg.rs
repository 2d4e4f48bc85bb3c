//! The closed vocabulary of argument types: what an argument word, or several together, means.
//!
//! A type says how many words it takes, how to decode them, and (as [`Kind`]) everything a tracer must know
//! to print it.  Relations between words live in the type: a buffer is an address *and* a length.
//!
//! Must not know guest memory: a pointer is a number with a type here, nothing is read.
//!
//! 2.1 counterpart: the `struct *_args` above each function in kern/*.c and vm/*.c.

use std::fmt;
use std::marker::PhantomData;

use crate::flags::{FcntlCmd, MsgWhich, SemWhich, ShmWhich, SockLevel};
use crate::layout::{Show, Shown};
use crate::names::{FlagNames, Names};
use crate::signal::{SigSet, Signum};

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

/// An address in guest memory of a `T`.
pub struct GuestPtr<T: ?Sized> {
    /// The address.
    pub addr: u32,
    what: PhantomData<fn() -> Box<T>>,
}

impl<T: ?Sized> GuestPtr<T> {
    /// A pointer to `addr`.
    pub const fn new(addr: u32) -> Self {
        Self { addr, what: PhantomData }
    }

    /// Whether the address is 0.
    pub const fn is_null(self) -> bool {
        self.addr == 0
    }

    /// The same address as a pointer to something else.
    pub const fn cast<U: ?Sized>(self) -> GuestPtr<U> {
        GuestPtr::new(self.addr)
    }

    /// The address `bytes` further on; addresses wrap as the processor's do.
    pub const fn offset(self, bytes: u32) -> Self {
        Self::new(self.addr.wrapping_add(bytes))
    }
}

impl<T: ?Sized> Clone for GuestPtr<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for GuestPtr<T> {}

impl<T: ?Sized> PartialEq for GuestPtr<T> {
    fn eq(&self, other: &Self) -> bool {
        self.addr == other.addr
    }
}

impl<T: ?Sized> Eq for GuestPtr<T> {}

impl<T: ?Sized> fmt::Debug for GuestPtr<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.addr)
    }
}

macro_rules! pointer {
    ($( $( #[$meta:meta] )* $name:ident = $way:ident; )*) => { $(
        $( #[$meta] )*
        #[derive(Debug)]
        pub struct $name<T: ?Sized>(pub GuestPtr<T>);

        impl<T: ?Sized> $name<T> {
            /// The address.
            pub const fn addr(self) -> u32 {
                self.0.addr
            }

            /// Whether the address is 0.
            pub const fn is_null(self) -> bool {
                self.0.is_null()
            }
        }

        impl<T: ?Sized> Clone for $name<T> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<T: ?Sized> Copy for $name<T> {}

        impl<T: ?Sized> From<$name<T>> for GuestPtr<T> {
            fn from(pointer: $name<T>) -> Self {
                pointer.0
            }
        }

        impl<T: Shown> Arg for $name<T> {
            const KIND: Kind = Kind::Ptr(Way::$way, T::SHOW, T::SIZE);
            fn from_words(words: &[u32]) -> Self {
                Self(GuestPtr::new(word(words, 0)))
            }
        }
    )* };
}

pointer! {
    /// A pointer to a `T` that the kernel reads.
    In = In;
    /// A pointer to a `T` that the kernel writes.
    Out = Out;
    /// A pointer to a `T` that the kernel reads and writes.
    InOut = InOut;
}

/// Declares an argument of several words.
macro_rules! words {
    ($( $( #[$meta:meta] )* $name:ident $words:literal = $kind:expr; { $( $( #[$fmeta:meta] )* $field:ident: $ty:ty = $at:literal, )* } )*) => { $(
        $( #[$meta] )*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name {
            $( $( #[$fmeta] )* pub $field: $ty, )*
        }

        impl Arg for $name {
            const WORDS: usize = $words;
            const KIND: Kind = $kind;
            fn from_words(words: &[u32]) -> Self {
                Self { $( $field: <$ty as Arg>::from_words(words.get($at..).unwrap_or(&[])), )* }
            }
        }
    )* };
}

words! {
    /// Bytes that the kernel reads.
    InBuf 2 = Kind::InBuf; {
        /// First byte.
        addr: u32 = 0,
        /// Number of bytes.
        len: u32 = 1,
    }

    /// Room for bytes that the kernel writes.
    OutBuf 2 = Kind::OutBuf; {
        /// First byte.
        addr: u32 = 0,
        /// Number of bytes.
        cap: u32 = 1,
    }

    /// Room for text that the kernel writes.
    OutText 2 = Kind::OutText; {
        /// First byte.
        addr: u32 = 0,
        /// Number of bytes.
        cap: u32 = 1,
    }

    /// Room for directory entries.
    Dirents 2 = Kind::Dirents { old: false }; {
        /// First byte.
        addr: u32 = 0,
        /// Number of bytes.
        cap: u32 = 1,
    }

    /// Room for directory entries in their old form.
    OldDirents 2 = Kind::Dirents { old: true }; {
        /// First byte.
        addr: u32 = 0,
        /// Number of bytes.
        cap: u32 = 1,
    }

    /// A socket address that the kernel reads.
    SockAddrIn 2 = Kind::SockAddrIn; {
        /// First byte; may be 0 where an address may be left out.
        addr: u32 = 0,
        /// Number of bytes.
        len: u32 = 1,
    }

    /// Room for a socket address.
    SockAddrOut 2 = Kind::SockAddrOut { old: false }; {
        /// First byte.
        addr: u32 = 0,
        /// Where the number of bytes is.
        lenp: u32 = 1,
    }

    /// Room for a socket address in its old form.
    OldSockAddrOut 2 = Kind::SockAddrOut { old: true }; {
        /// First byte.
        addr: u32 = 0,
        /// Where the number of bytes is.
        lenp: u32 = 1,
    }

    /// Room for a value.
    ValueOut 2 = Kind::ValueOut; {
        /// First byte.
        addr: u32 = 0,
        /// Where the number of bytes is.
        lenp: u32 = 1,
    }

    /// Scattered bytes that the kernel reads.
    IovecIn 2 = Kind::IovecIn; {
        /// First element.
        addr: u32 = 0,
        /// Number of elements.
        count: u32 = 1,
    }

    /// Scattered room for bytes that the kernel writes.
    IovecOut 2 = Kind::IovecOut; {
        /// First element.
        addr: u32 = 0,
        /// Number of elements.
        count: u32 = 1,
    }

    /// The descriptors that select asks about; each address may be 0.
    SelectSets 4 = Kind::SelectSets; {
        /// One more than the greatest descriptor.
        nd: u32 = 0,
        /// Those to read.
        read: u32 = 1,
        /// Those to write.
        write: u32 = 2,
        /// Those with an exceptional condition.
        except: u32 = 3,
    }

    /// A socket option to set.
    SockOptIn 4 = Kind::SockOptIn; {
        /// Whose option.
        level: SockLevel = 0,
        /// Which one; what it means depends on the level.
        name: u32 = 1,
        /// First byte of the value; may be 0.
        addr: u32 = 2,
        /// Number of bytes.
        len: u32 = 3,
    }

    /// A socket option to get.
    SockOptOut 4 = Kind::SockOptOut; {
        /// Whose option.
        level: SockLevel = 0,
        /// Which one; what it means depends on the level.
        name: u32 = 1,
        /// Room for the value; may be 0.
        addr: u32 = 2,
        /// Where the number of bytes is.
        lenp: u32 = 3,
    }

    /// A command on a descriptor.
    Fcntl 2 = Kind::Fcntl; {
        /// The command.
        cmd: FcntlCmd = 0,
        /// A number or an address, as the command wants.
        arg: u32 = 1,
    }

    /// A request to a device.
    Ioctl 2 = Kind::Ioctl; {
        /// The request; see [`crate::ioctl`] for its parts.
        request: u32 = 0,
        /// Usually an address.
        data: u32 = 1,
    }

    /// The numbers of a sysctl name.
    SysctlName 2 = Kind::SysctlName; {
        /// First number.
        addr: u32 = 0,
        /// How many.
        count: u32 = 1,
    }

    /// Groups that the kernel reads.
    GidsIn 2 = Kind::GidsIn; {
        /// How many.
        count: u32 = 0,
        /// First group.
        addr: u32 = 1,
    }

    /// Room for groups.
    GidsOut 2 = Kind::GidsOut; {
        /// How many; 0 asks for the number only.
        count: u32 = 0,
        /// First group.
        addr: u32 = 1,
    }

    /// Room for statistics of file systems.
    StatfsBuf 2 = Kind::StatfsBuf; {
        /// First byte; 0 asks for the number only.
        addr: u32 = 0,
        /// Number of bytes.
        size: u32 = 1,
    }

    /// A semaphore call.
    SemCall 5 = Kind::SemCall; {
        /// Which one.
        which: SemWhich = 0,
        /// Its first word.
        a1: u32 = 1,
        /// Its second word.
        a2: u32 = 2,
        /// Its third word.
        a3: u32 = 3,
        /// Its fourth word.
        a4: u32 = 4,
    }

    /// A message queue call.
    MsgCall 6 = Kind::MsgCall; {
        /// Which one.
        which: MsgWhich = 0,
        /// Its first word.
        a1: u32 = 1,
        /// Its second word.
        a2: u32 = 2,
        /// Its third word.
        a3: u32 = 3,
        /// Its fourth word.
        a4: u32 = 4,
        /// Its fifth word.
        a5: u32 = 5,
    }

    /// A shared memory call.
    ShmCall 4 = Kind::ShmCall; {
        /// Which one.
        which: ShmWhich = 0,
        /// Its first word.
        a1: u32 = 1,
        /// Its second word.
        a2: u32 = 2,
        /// Its third word.
        a3: u32 = 3,
    }
}
