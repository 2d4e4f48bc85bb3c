//! The table as data: one [`Sysent`] a row, in number order, and ways to find one.
//!
//! Must not know handlers: a row names its handler and never points to it.
//!
//! 2.1 counterpart: kern/init_sysent.c, kern/syscalls.c.

use std::fmt;

use crate::arg::{Arg, Kind};
use crate::result::{Ret, RetKind};
use crate::row::*;

/// What kind of row it is, in the words of the original's own table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// A call of this system.
    Std,
    /// A call of 4.3BSD that old programs make.
    Compat,
    /// A number that once was a call.
    Obsol,
    /// A number that never was a call here.
    Unimpl,
    /// A number for a loadable module.
    Nodef,
}

impl RowKind {
    /// The word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Std => "Std",
            Self::Compat => "Compat",
            Self::Obsol => "Obsol",
            Self::Unimpl => "Unimpl",
            Self::Nodef => "Nodef",
        }
    }
}

/// An argument of a call.
#[derive(Debug)]
pub struct ArgInfo {
    /// Its name.
    pub name: &'static str,
    /// The type in the row.
    pub ty: &'static str,
    /// How it is printed.
    pub kind: Kind,
    /// Words that it takes.
    pub words: usize,
}

/// A row of the table.
#[derive(Debug)]
pub struct Sysent {
    /// The number in eax.
    pub code: u16,
    /// What kind of row it is.
    pub kind: RowKind,
    /// Argument words that the gate copies in.
    pub narg: u8,
    /// The area whose module has the handler; empty where there is none.
    pub area: &'static str,
    /// The handler's function; empty where there is none.
    pub handler: &'static str,
    /// The name in the original's table.
    pub name: &'static str,
    /// What the call does, in one line.
    pub doc: &'static str,
    /// Its arguments.
    pub args: &'static [ArgInfo],
    /// Its result.
    pub ret: RetKind,
    /// Why the call is not served, if it is not.
    pub unserved: Option<&'static str>,
}

impl Sysent {
    /// Whether the row describes a call at all.
    pub const fn is_call(&self) -> bool {
        matches!(self.kind, RowKind::Std | RowKind::Compat)
    }

    /// Whether the row is 0 or 198, which take the number of another call as their first word.
    pub const fn is_indirect(&self) -> bool {
        self.is_call() && self.handler.is_empty()
    }

    /// Why a program that makes this call does not get it; `None` where the call is served.
    pub const fn why_unserved(&self) -> Option<&'static str> {
        match (self.kind, self.unserved) {
            (_, Some(why)) => Some(why),
            (RowKind::Std | RowKind::Compat, None) => None,
            (RowKind::Obsol, None) => Some("obsolete in 2.1"),
            (RowKind::Unimpl, None) => Some("never was in 2.1"),
            (RowKind::Nodef, None) => Some("for loadable modules"),
        }
    }

    /// The name as the original prints it: `socketpair`, `old.lseek`, `obs_vread`, `#151`.
    pub const fn trace_name(&self) -> TraceName<'_> {
        TraceName(self)
    }

    /// Whether `name` is this row's name, with `old.` where the row is a Compat one.
    pub fn is_called(&self, name: &str) -> bool {
        match self.kind {
            RowKind::Std => name == self.name,
            RowKind::Compat => name.strip_prefix("old.") == Some(self.name) || name == self.handler,
            _ => false,
        }
    }
}

/// The printed name of a row.
#[derive(Clone, Copy, Debug)]
pub struct TraceName<'a>(&'a Sysent);

impl fmt::Display for TraceName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind {
            RowKind::Std | RowKind::Nodef => f.write_str(self.0.name),
            RowKind::Compat => write!(f, "old.{}", self.0.name),
            RowKind::Obsol => write!(f, "obs_{}", self.0.name),
            RowKind::Unimpl => write!(f, "#{}", self.0.code),
        }
    }
}

/// The row of a number; numbers past the table have none.
pub fn row(code: u32) -> Option<&'static Sysent> {
    SYSENT.get(usize::try_from(code).ok()?)
}

/// The row of a name such as `read`, `old.stat` or `ostat`.
pub fn lookup(name: &str) -> Option<&'static Sysent> {
    SYSENT.iter().find(|row| row.is_called(name))
}

/// First of the values, or the one that stands for "there is none".
const fn or<T: Copy>(given: &[T], none: T) -> T {
    if given.is_empty() { none } else { given[0] }
}

/// A handler's name without the `o` of a Compat row.
const fn without_o(name: &'static str) -> &'static str {
    match name.split_at_checked(1) {
        Some((_, rest)) => rest,
        None => name,
    }
}

macro_rules! define_sysent {
    ($(
        $( #[doc = $doc:literal] )+
        $code:literal $kind:ident $narg:literal
        $( $area:ident :: $name:ident ( $( $arg:ident : $ty:ty ),* $(,)? ) -> $ret:ident )?
        $( $plain:literal )?
        $( as $display:literal )?
        $( => nosys($why:literal) )?
        ;
    )*) => {
        /// Every row, in number order; the index is the number.
        pub static SYSENT: &[Sysent] = &[$( Sysent {
            code: $code,
            kind: RowKind::$kind,
            narg: $narg,
            area: or(&[$( stringify!($area) )?], ""),
            handler: or(&[$( stringify!($name) )?], ""),
            name: {
                let handler = or(&[$( stringify!($name) )?], "");
                let plain = match RowKind::$kind {
                    RowKind::Compat => without_o(handler),
                    _ => handler,
                };
                or(&[$( $display )?], or(&[$( $plain )?], plain))
            },
            doc: concat!($( $doc ),+).trim_ascii_start(),
            args: &[$( $( ArgInfo {
                name: stringify!($arg),
                ty: stringify!($ty),
                kind: <$ty as Arg>::KIND,
                words: <$ty as Arg>::WORDS,
            } ),* )?],
            ret: or(&[$( <crate::result::$ret as Ret>::KIND )?], RetKind::None),
            unserved: or(&[$( Some($why) )?], None),
        }, )*];

        $( $(
            const _: () = assert!(
                0 $( + <$ty as Arg>::WORDS )* == $narg,
                concat!("argument words of ", stringify!($name), " differ from its row"),
            );
        )? )*
    };
}
crate::for_each_syscall!(define_sysent);
