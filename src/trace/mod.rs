//! The tracer: an observer of the kernel's events and their renderings.
//!
//! The way of an event: [`Tracer`] follows each process's calls from beginning to end; [`decode`] turns argument
//! words and guest memory into [`value`] trees, driven by the one table of calls; a rendering prints the
//! complete record.  Every rendering prints the same trees.
//!
//! ```
//! use bsd21::machine::{Machine, Stdio};
//! use bsd21::trace::{Options, Output, Tracer};
//!
//! let mut machine = Machine::builder().program("fixtures/bin/hello").stdout(Stdio::Captured).build()?;
//! let tracer = Tracer::new(Options::default(), Output::stream(Box::new(std::io::stdout()), true));
//! machine.observe(Box::new(tracer.clone()));
//! machine.run(); // write(1, "hello, world\n", 13) = 13 and so on
//! tracer.finish(machine.kernel())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
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
