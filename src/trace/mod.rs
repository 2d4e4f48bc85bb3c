//! The tracer: an observer of the kernel's events and their renderings.
//!
//! [`decode`] turns argument words and guest memory into [`value`] trees, driven by the one table of calls;
//! every rendering prints the same trees.  The tracer never acts on a guest and must not know how the machine
//! schedules.

pub mod decode;
pub mod memory;
pub mod text;
pub mod value;
