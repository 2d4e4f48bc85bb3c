//! A machine as a target of gdb's remote protocol, over the crate gdbstub.
//!
//! | file | idea |
//! |---|---|
//! | [`arch`] | the registers as gdb numbers them |
//! | [`target`] | processes as threads, memory, breakpoints, watchpoints |
//! | [`back`] | going back: from the snapshot before, or the beginning, to an earlier count of instructions |
//! | [`mod@kept`] | snapshots of the run |
//! | [`mod@libraries`] | libraries that are mapped, as ELF files |
//! | [`monitor`] | what `monitor` commands say |
//! | [`mod@serve`] | the conversation |
//!
//! Each guest process is one thread, whose number is the process's.  Breakpoints hold in all processes; a guest
//! cannot see them.  Must not know the command line.  2.1 counterpart: none; its own debuggers use ptrace, which
//! works as well.

pub mod arch;
pub mod back;
mod kept;
mod libraries;
pub mod monitor;
pub mod serve;
pub mod target;

pub use serve::serve;
pub use target::Session;
