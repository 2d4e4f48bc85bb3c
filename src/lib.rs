//! bsd21 runs original FreeBSD 2.1 i386 programs inside one process of a modern Linux machine.
//!
//! Modules depend one way only; each may use those before it:
//!
//! `syscalls` | [`trapframe`] | [`mem`] | [`cpu`] | [`image`] | [`host`] | [`cd9660`] | [`kernel`] | [`trace`] |
//! [`machine`] | [`capture`] | [`survey`] | [`install`] | [`doctor`] | [`cli`]
#![deny(unsafe_code)]

pub mod capture;
pub mod cd9660;
pub mod cli;
pub mod cpu;
pub mod doctor;
pub mod host;
pub mod image;
pub mod install;
pub mod kernel;
pub mod machine;
pub mod mem;
pub mod survey;
pub mod trace;
pub mod trapframe;
