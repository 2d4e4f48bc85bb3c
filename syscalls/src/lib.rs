//! The system-call interface of FreeBSD 2.1 for i386, as data.
#![forbid(unsafe_code)]
