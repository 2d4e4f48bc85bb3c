//! The doors to the host: files, clocks, random numbers, terminal, network.

pub mod change;
pub mod clock;
pub mod error;
pub mod fs;
pub mod inherit;
pub mod lock;
pub mod look;
pub mod memory;
pub mod net;
pub mod output;
pub mod outside;
pub mod random;
mod reach;
pub mod signal;
pub mod special;
pub mod stdio;
pub mod system;
pub mod temporary;
pub mod terminal;
pub mod tree;
pub mod upper;
pub mod watch;
