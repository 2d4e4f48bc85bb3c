//! The doors to the host: files, clocks, random numbers, terminal, network.

pub mod clock;
