//! Tests of the x87 unit: against the hardware where there is one, against its recorded results
//! everywhere, and the transcendental functions against values of higher precision.
//!
//! `BSD21_FUZZ_SECONDS=N` sets how long the comparisons with the hardware run, `BSD21_FUZZ_SEED` their
//! seed, `BSD21_FUZZ_OPCODE=d8c1` picks one encoding.
#![allow(unreachable_pub)] // a program, not a library

mod case;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod host;
mod interpreter;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod oracle;
mod speed;
mod transcendental;
mod vectors;
