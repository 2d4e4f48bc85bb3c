//! Addresses with the type of what they point to.
//!
//! Must not know memory: nothing is read here.

use std::fmt;
use std::marker::PhantomData;

use super::{Arg, Kind, Way, word};
use crate::layout::Shown;

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
