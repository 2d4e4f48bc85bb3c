//! Printable names of numbers: enumerations and flag sets that remember what they do not know.
//!
//! Must not know which call an enumeration belongs to.  `named!` and `flag_set!` are the two ways in which
//! this crate writes a list of names; each list exists once and gives both the Rust type and the text.

use std::fmt;

/// The names of an enumeration.
#[derive(Debug)]
pub struct Names {
    /// What an unknown value is called in a comment, such as `AF_???`.
    pub unknown: &'static str,
    /// Value and name.
    pub rows: &'static [(u32, &'static str)],
}

impl Names {
    /// The name of `value`.
    pub fn name(&self, value: u32) -> Option<&'static str> {
        self.rows.iter().find(|(v, _)| *v == value).map(|(_, name)| *name)
    }

    /// The value that is called `name`.
    pub fn value(&self, name: &str) -> Option<u32> {
        self.rows.iter().find(|(_, n)| *n == name).map(|(v, _)| *v)
    }

    /// Something to print: the name, or `0x9 /* AF_??? */`.
    pub fn display(&'static self, value: u32) -> DisplayName {
        DisplayName { names: self, value }
    }
}

/// A value with its names, for printing.
#[derive(Clone, Copy, Debug)]
pub struct DisplayName {
    names: &'static Names,
    value: u32,
}

impl fmt::Display for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.names.name(self.value) {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#x} /* {} */", self.value, self.names.unknown),
        }
    }
}

/// The names of a set of flags.
#[derive(Debug)]
pub struct FlagNames {
    /// What unknown bits are called in a comment, such as `O_???`.
    pub unknown: &'static str,
    /// What no bit at all is called, if it has a name.
    pub zero: Option<&'static str>,
    /// Fields and bits, in the order in which they are printed.
    pub rows: &'static [FlagRow],
}

/// One name in a set of flags: it applies where `word & mask == value`.
#[derive(Debug)]
pub struct FlagRow {
    /// The bits that the name speaks of.
    pub mask: u32,
    /// Their value.
    pub value: u32,
    /// The name.
    pub name: &'static str,
}

impl FlagRow {
    /// A flag: every bit of `value` set.
    pub const fn bits(value: u32, name: &'static str) -> Self {
        Self { mask: value, value, name }
    }

    /// A value of a field of several bits.
    pub const fn field(mask: u32, value: u32, name: &'static str) -> Self {
        Self { mask, value, name }
    }
}

impl FlagNames {
    /// Something to print: `O_WRONLY|O_CREAT|0x1000 /* O_??? */`.
    pub fn display(&'static self, value: u32) -> DisplayFlags {
        DisplayFlags { names: self, value }
    }
}

/// A set of flags with its names, for printing.
#[derive(Clone, Copy, Debug)]
pub struct DisplayFlags {
    names: &'static FlagNames,
    value: u32,
}

impl fmt::Display for DisplayFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.value;
        let mut done = 0;
        let mut first = true;
        for row in self.names.rows {
            if row.mask & done == 0 && self.value & row.mask == row.value {
                write!(f, "{}{}", if first { "" } else { "|" }, row.name)?;
                first = false;
                rest &= !row.mask;
                done |= row.mask;
            }
        }
        match (first, rest, self.names.zero) {
            (false, 0, _) => Ok(()),
            (true, 0, Some(zero)) => f.write_str(zero),
            (true, 0, None) => f.write_str("0"),
            (_, rest, _) => {
                let bar = if first { "" } else { "|" };
                write!(f, "{bar}{rest:#x} /* {} */", self.names.unknown)
            }
        }
    }
}

/// Declares an enumeration that is an argument word: closed for those who match, raw for what is not known.
macro_rules! named {
    (
        $( #[$meta:meta] )*
        $name:ident, $unknown:literal {
            $( $( #[$vmeta:meta] )* $variant:ident = $value:literal $text:literal, )*
        }
    ) => {
        $( #[$meta] )*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)] // the text beside each variant is the original's name
        pub enum $name {
            $( $( #[$vmeta] )* $variant, )*
            /// A value that 2.1 does not define.
            Other(u32),
        }

        impl $name {
            /// The names of the values.
            pub const NAMES: $crate::names::Names =
                $crate::names::Names { unknown: $unknown, rows: &[$( ($value, $text) ),*] };

            /// Decodes a word.
            pub const fn from_raw(raw: u32) -> Self {
                match raw {
                    $( $value => Self::$variant, )*
                    other => Self::Other(other),
                }
            }

            /// The word again.
            pub const fn raw(self) -> u32 {
                match self {
                    $( Self::$variant => $value, )*
                    Self::Other(raw) => raw,
                }
            }
        }

        impl $crate::arg::Arg for $name {
            const KIND: $crate::arg::Kind = $crate::arg::Kind::Named(&Self::NAMES);
            fn from_words(words: &[u32]) -> Self {
                Self::from_raw($crate::arg::word(words, 0))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                static NAMES: $crate::names::Names = $name::NAMES;
                NAMES.display(self.raw()).fmt(f)
            }
        }
    };
}
pub(crate) use named;

/// Declares a set of flags that is an argument word.  Unknown bits are kept.
macro_rules! flag_set {
    (
        $( #[$meta:meta] )*
        $name:ident, $prefix:literal $( , zero $zero:literal )? $( , field $fmask:literal [ $( $fvalue:literal $ftext:literal ),* $(,)? ] )? {
            $( $( #[$bmeta:meta] )* $bit:ident = $value:literal, )*
        }
    ) => {
        bitflags::bitflags! {
            $( #[$meta] )*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
            pub struct $name: u32 {
                $(
                    #[allow(missing_docs)] // the original's own name
                    $( #[$bmeta] )*
                    const $bit = $value;
                )*
                const _ = !0;
            }
        }

        impl $name {
            /// The names of the flags.
            pub const NAMES: $crate::names::FlagNames = $crate::names::FlagNames {
                unknown: concat!($prefix, "???"),
                zero: { let zero: &[&'static str] = &[$( $zero )?]; if zero.is_empty() { None } else { Some(zero[0]) } },
                rows: &[
                    $( $( $crate::names::FlagRow::field($fmask, $fvalue, $ftext), )* )?
                    $( $crate::names::FlagRow::bits($value, concat!($prefix, stringify!($bit))), )*
                ],
            };
        }

        impl $crate::arg::Arg for $name {
            const KIND: $crate::arg::Kind = $crate::arg::Kind::Flags(&Self::NAMES);
            fn from_words(words: &[u32]) -> Self {
                Self::from_bits_retain($crate::arg::word(words, 0))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                static NAMES: $crate::names::FlagNames = $name::NAMES;
                NAMES.display(self.bits()).fmt(f)
            }
        }
    };
}
pub(crate) use flag_set;
