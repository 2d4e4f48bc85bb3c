//! The numbers behind fork: `cargo test --release mem::tests::measure -- --ignored --nocapture`.

use std::time::Instant;

use super::{RW, empty};
use crate::mem::AddressSpace;

fn process(kib: u32) -> AddressSpace {
    let mut space = empty();
    space.map_anon(0x1000, kib << 10, RW).unwrap();
    space.map_anon(0xefbe_0000, 0x2_0000, RW).unwrap();
    for at in (0x1000..0x1000 + (kib << 10)).step_by(0x1000) {
        space.suword(at, at).unwrap();
    }
    for at in (0xefbf_c000..0xefc0_0000).step_by(0x1000) {
        space.suword(at, at).unwrap();
    }
    space
}

fn mean_us(rounds: u32, mut body: impl FnMut() -> f64) -> f64 {
    (0..rounds).map(|_| body()).sum::<f64>() / f64::from(rounds)
}

fn us(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e6
}

#[test]
#[ignore = "a measurement"]
fn fork_and_drop_of_written_processes() {
    println!("| written | first fork | fork from the pool | drop |");
    for kib in [64, 1024, 20480] {
        let mut parent = process(kib);
        let held: Vec<_> = (0..20).map(|_| empty()).collect();
        let start = Instant::now();
        let child = parent.fork().unwrap();
        let first = us(start);
        drop(child);
        drop(held);
        let rounds = if kib > 4096 { 20 } else { 200 };
        let mut dropped = 0.0;
        let forked = mean_us(rounds, || {
            let start = Instant::now();
            let child = parent.fork().unwrap();
            let took = us(start);
            let start = Instant::now();
            drop(child);
            dropped += us(start);
            took
        });
        println!("| {kib} KiB | {first:.0} | {forked:.1} | {:.1} |", dropped / f64::from(rounds));
    }
}
