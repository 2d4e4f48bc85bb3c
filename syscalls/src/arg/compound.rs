//! Arguments of several words whose meanings depend on each other.
//!
//! Must not know memory.

use super::{Arg, Kind};
use crate::flags::{FcntlCmd, MsgWhich, SemWhich, ShmWhich, SockLevel};

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
