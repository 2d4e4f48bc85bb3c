//! What a call returns in eax and edx.
//!
//! The name in a row is a type of this module, which says what the handler returns ([`Ret::Value`]), which
//! registers change, and how the tracer prints them.  Every other call leaves edx as it was.
//!
//! 2.1 counterpart: the use of `retval[0]` and `retval[1]` in each call, i386/i386/trap.c (syscall).

use crate::arg;
use crate::signal;

/// The registers of a call that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retval {
    /// Value of eax.
    pub eax: u32,
    /// Value of edx, if it changes.
    pub edx: Option<u32>,
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetKind {
    /// A descriptor.
    Fd,
    /// A signed number.
    Int,
    /// A guest address.
    Addr,
    /// A set of signals.
    Mask,
    /// Permission bits.
    Mode,
    /// 64 bits in edx:eax.
    Off,
    /// Two descriptors, in eax and edx.
    Pair,
    /// A number in eax, and another in edx that is not printed.
    IntPair,
    /// Nothing: eax is 0.
    None,
}

/// A kind of result.
pub trait Ret {
    /// What a handler returns.
    type Value;
    /// How the result is printed.
    const KIND: RetKind;
    /// The registers for a value.
    fn regs(value: Self::Value) -> Retval;
}

macro_rules! results {
    ($( $( #[$meta:meta] )* $name:ident: $value:ty, |$v:ident| $eax:expr $( , $edx:expr )?; )*) => { $(
        $( #[$meta] )*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        impl Ret for $name {
            type Value = $value;
            const KIND: RetKind = RetKind::$name;
            fn regs($v: Self::Value) -> Retval {
                Retval { eax: $eax, edx: results!(@edx $( $edx )?) }
            }
        }
    )* };
    (@edx) => { Option::None };
    (@edx $edx:expr) => { Some($edx) };
}

results! {
    /// A descriptor.
    Fd: arg::Fd, |v| v.0.cast_unsigned();
    /// A signed number.
    Int: i32, |v| v.cast_unsigned();
    /// A guest address.
    Addr: u32, |v| v;
    /// A set of signals.
    Mask: signal::SigSet, |v| v.0;
    /// Permission bits.
    Mode: u32, |v| v;
    /// 64 bits: the low half in eax, the high half in edx.
    Off: i64, |v| v.cast_unsigned() as u32, (v.cast_unsigned() >> 32) as u32;
    /// Two descriptors.
    Pair: (u32, u32), |v| v.0, v.1;
    /// Two numbers of which the tracer prints the first.
    IntPair: (u32, u32), |v| v.0, v.1;
}

/// Nothing: eax is 0.
#[derive(Clone, Copy, Debug)]
pub enum None {}

impl Ret for None {
    type Value = ();
    const KIND: RetKind = RetKind::None;
    fn regs((): ()) -> Retval {
        Retval { eax: 0, edx: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_use_both_registers() {
        assert_eq!(Off::regs(-2), Retval { eax: 0xffff_fffe, edx: Some(0xffff_ffff) });
        assert_eq!(Int::regs(-1), Retval { eax: 0xffff_ffff, edx: None });
        assert_eq!(None::regs(()), Retval { eax: 0, edx: None });
    }
}
