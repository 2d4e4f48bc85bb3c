//! bsd21 runs original FreeBSD 2.1 i386 programs inside one process of a modern Linux machine.
//!
//! A run is a [`Machine`](machine::Machine) that a [`Builder`](machine::Builder) makes; [`trace::Tracer`] shows its
//! calls, [`capture::verify`] compares recorded ones, [`image::inspect`] and [`mod@survey`] look at files.  `examples/`
//! in the source has small programs for each.
//!
//! ```
//! use bsd21::machine::{Ended, Machine, Stdio};
//!
//! let outcome = Machine::builder().program("fixtures/bin/hello").stdout(Stdio::Captured).build()?.run();
//! assert_eq!((outcome.ended, outcome.stdout.as_slice()), (Ended::Exited(0), &b"hello, world\n"[..]));
//! # Ok::<(), bsd21::machine::StartError>(())
//! ```
//!
//! Modules depend one way only; each may use those before it:
//!
//! `syscalls` | [`trapframe`] | [`mem`] | [`cpu`] | [`image`] | [`host`] | [`cd9660`] | [`kernel`] | [`trace`] |
//! [`machine`] | [`mod@profile`] | [`replay`] | [`capture`] | [`survey`] | [`install`] | [`doctor`] | [`gdb`] |
//! [`cli`]
#![deny(unsafe_code)]

pub mod capture;
pub mod cd9660;
pub mod cli;
pub mod cpu;
pub mod doctor;
pub mod gdb;
pub mod host;
pub mod image;
pub mod install;
pub mod kernel;
pub mod machine;
pub mod mem;
pub mod profile;
pub mod replay;
pub mod survey;
pub mod trace;
pub mod trapframe;
