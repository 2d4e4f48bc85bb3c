//! Recorded runs as regression tests.
//!
//! A [`Case`] is a directory that says how a program is run and what came of it.  [`replay`] runs it once;
//! [`record`] runs it twice and writes down what is the same; [`verify`] runs it and compares.  Runs have a
//! virtual clock and nothing of the host in them, so that a case that holds here holds everywhere.
//!
//! Programs are never copied into a case: it names them, with their size and hash, below a root that is either
//! a directory relative to the case or one that is given when the case is verified.
//!
//! ```
//! use bsd21::capture::find;
//! use bsd21::capture::verify::{self, Options};
//!
//! let options = Options { trust: true, ..Options::default() };
//! let cases = find::cases("fixtures/cases/hello".as_ref())?;
//! let reports = verify::all(&cases, 1, &options, &mut |_| {});
//! assert!(reports.iter().all(|report| report.verdict.is_good()));
//! # Ok::<(), bsd21::capture::case::CaseError>(())
//! ```
//!
//! Must not know the command line.  2.1 counterpart: none.

pub mod aspect;
pub mod case;
pub mod chain;
pub mod compare;
pub mod content;
pub mod find;
pub mod image;
pub mod keys;
pub mod live;
pub mod observer;
pub mod player;
pub mod record;
pub mod replay;
pub mod report;
pub mod screen;
pub mod shard;
pub mod tree;
mod unified;
pub mod verify;

pub use case::Case;
