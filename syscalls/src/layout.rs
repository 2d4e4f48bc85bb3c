//! Structures that the guest and the kernel exchange, with 2.1's sizes and offsets, and how to print them.
//!
//! Every structure is written once, in `layout!`: the Rust type, the proof of its offsets, and the table of
//! fields that the tracer prints from.  Numbers are little-endian and unaligned, so a structure has no
//! padding that is not written down, and means the same on every host.
//!
//! 2.1 counterpart: the structures in sys/*.h and i386/include/*.h.

mod counters;
mod file;
mod inetvar;
mod ipc;
mod ktrace;
mod older;
mod older_files;
mod older_net;
mod openfile;
mod process;
mod signal;
mod socket;
mod socketvar;
mod system;
mod time;
mod tty;
mod ttyvar;

pub use counters::*;
pub use file::*;
pub use inetvar::*;
pub use ipc::*;
pub use ktrace::*;
pub use older::*;
pub use older_files::*;
pub use older_net::*;
pub use openfile::*;
pub use process::*;
pub use signal::*;
pub use socket::*;
pub use socketvar::*;
pub use system::*;
pub use time::*;
pub use tty::*;
pub use ttyvar::*;
pub use zerocopy::little_endian::{I16, I32, I64, U16, U32, U64};

use crate::names::{FlagNames, Names};

/// How a value in memory is printed.
#[derive(Clone, Copy, Debug)]
pub enum Show {
    /// A signed number of the field's size.
    Int,
    /// An unsigned number of the field's size.
    Uint,
    /// A number in base 16.
    Hex,
    /// A number in base 8.
    Octal,
    /// A guest address.
    Addr,
    /// A file mode with its type by name.
    Mode,
    /// A device number: major and minor.
    Dev,
    /// Seconds since 1970.
    Time,
    /// A signal number.
    Signal,
    /// A set of signals.
    SigSet,
    /// A handler: SIG_DFL, SIG_IGN or an address.
    Handler,
    /// The status word of wait.
    WaitStatus,
    /// A descriptor.
    Fd,
    /// A process number.
    Pid,
    /// A limit, whose greatest value means infinity.
    Limit,
    /// A value of an enumeration.
    Named(&'static Names),
    /// A set of flags.
    Flags(&'static FlagNames),
    /// Text that ends at the first NUL or at the end of the field.
    Chars,
    /// Bytes.
    Bytes,
    /// An internet address in network order.
    InAddr,
    /// A port in network order.
    InPort,
    /// A structure in place.
    Struct(&'static StructInfo),
    /// Several values of one kind, each of so many bytes.
    Array(&'static Show, usize),
    /// Not printed: padding and spare room.
    Pad,
}

/// A type that lives in guest memory and can be printed.
pub trait Shown {
    /// How it is printed.
    const SHOW: Show;
    /// Its size in the guest's memory.
    const SIZE: usize;
}

/// A structure of the guest.
#[derive(Debug)]
pub struct StructInfo {
    /// The original's name.
    pub name: &'static str,
    /// Size in bytes.
    pub size: usize,
    /// The fields in order.
    pub fields: &'static [FieldInfo],
}

/// A field of a structure of the guest.
#[derive(Debug)]
pub struct FieldInfo {
    /// The original's name.
    pub name: &'static str,
    /// Offset in bytes.
    pub offset: usize,
    /// Size in bytes.
    pub size: usize,
    /// How it is printed.
    pub show: Show,
}

macro_rules! shown {
    ($( $ty:ty = $show:expr; )*) => {
        $( impl Shown for $ty {
            const SHOW: Show = $show;
            const SIZE: usize = size_of::<$ty>();
        } )*
    };
}

shown! {
    u8 = Show::Uint;
    i8 = Show::Int;
    u16 = Show::Uint;
    i32 = Show::Int;
    u32 = Show::Uint;
    I16 = Show::Int;
    I32 = Show::Int;
    I64 = Show::Int;
    U16 = Show::Uint;
    U32 = Show::Uint;
    U64 = Show::Uint;
}

impl<T: Shown, const N: usize> Shown for [T; N] {
    const SHOW: Show = Show::Array(&T::SHOW, T::SIZE);
    const SIZE: usize = N * T::SIZE;
}

/// Declares a structure: offset, field, original name, type, and how it is printed if the type does not say.
macro_rules! layout {
    ($(
        $( #[$meta:meta] )*
        $name:ident $text:literal $size:literal {
            $( $( #[$fmeta:meta] )* $offset:literal $field:ident $ftext:literal: $ty:ty $( => $show:expr )?, )*
        }
    )*) => { $(
        $( #[$meta] )*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq,
            zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout, zerocopy::Unaligned,
        )]
        #[repr(C)]
        #[allow(missing_docs)] // the text beside each field is the original's name
        pub struct $name {
            $( $( #[$fmeta] )* pub $field: $ty, )*
        }

        impl $name {
            /// The structure as the tracer prints it.
            pub const INFO: $crate::layout::StructInfo = $crate::layout::StructInfo {
                name: $text,
                size: $size,
                fields: &[$( $crate::layout::FieldInfo {
                    name: $ftext,
                    offset: $offset,
                    size: size_of::<$ty>(),
                    show: $crate::layout::layout!(@show $ty $(, $show)?),
                } ),*],
            };
        }

        impl Default for $name {
            /// All bytes zero.
            fn default() -> Self {
                <Self as zerocopy::FromZeros>::new_zeroed()
            }
        }

        impl $crate::layout::Shown for $name {
            const SHOW: $crate::layout::Show = $crate::layout::Show::Struct(&Self::INFO);
            const SIZE: usize = $size;
        }

        const _: () = {
            assert!(size_of::<$name>() == $size, concat!("size of ", $text));
            $( assert!(std::mem::offset_of!($name, $field) == $offset, concat!("offset of ", $text, ".", $ftext)); )*
        };
    )* };
    (@show $ty:ty) => { <$ty as $crate::layout::Shown>::SHOW };
    (@show $ty:ty, $show:expr) => { $show };
}
pub(crate) use layout;
