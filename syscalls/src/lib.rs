//! The system-call interface of FreeBSD 2.1 for i386, as data.
//!
//! The one table of calls ([`for_each_syscall!`]), the words that its rows are written in ([`arg`],
//! [`result`]), and what those words mean: error numbers, signals, flag sets, requests and structure
//! layouts, each with the name that a person expects to read.
//!
//! ```
//! let row = &syscalls::SYSENT[135];
//! assert_eq!((row.name, row.narg), ("socketpair", 5));
//! assert_eq!(syscalls::Errno::EPIPE.name(), "EPIPE");
//! ```
//!
//! This crate describes and never acts.  It must not know guest memory, the kernel, or the host.
//!
//! 2.1 counterpart: kern/syscalls.master and the headers in sys/ and i386/include/.
#![forbid(unsafe_code)]

pub mod arg;
pub mod errno;
pub mod flags;
pub mod ioctl;
pub mod layout;
pub mod names;
pub mod result;
pub mod row;
pub mod signal;
pub mod sysctl;
pub mod sysent;
mod table;

pub use errno::Errno;
pub use signal::{SigSet, Signal};
pub use sysent::{ArgInfo, RowKind, SYSENT, Sysent, lookup};
