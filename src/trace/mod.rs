//! The tracer: an observer of the kernel's events and their renderings.
//!
//! The way of an event: [`Tracer`] follows each process's calls from beginning to end; [`decode`] turns argument
//! words and guest memory into [`value`] trees, driven by the one table of calls; a rendering prints the
//! complete record.  Every rendering prints the same trees.
//!
//! The tracer watches: apart from outcomes that its user asked it to make up, it never acts on a guest.  It must
//! not know how the machine schedules, nor the command line.

pub mod bridge;
pub mod decode;
pub mod explain;
mod fdname;
pub mod filter;
pub mod json;
pub mod kdump;
pub mod memory;
pub mod options;
pub mod output;
pub mod record;
pub mod render;
mod stack;
mod summary;
pub mod text;
mod tracer;
pub mod value;

pub use options::Options;
pub use output::Output;
pub use render::Render;
pub use tracer::Tracer;
