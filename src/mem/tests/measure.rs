//! The numbers behind fork: `cargo test --release mem::tests::measure -- --ignored --nocapture`.

use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use super::{RO, RW, empty};
use crate::mem::{AddressSpace, FileId, Sharing};

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

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
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
        let (mut forked, mut dropped) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let start = Instant::now();
            let child = parent.fork().unwrap();
            forked.push(us(start));
            let start = Instant::now();
            drop(child);
            dropped.push(us(start));
        }
        println!("| {kib} KiB | {first:.0} | {:.1} | {:.1} |", median(forked), median(dropped));
    }
}

/// What execve and exit ask of memory, for a program of 200 KiB text and 40 KiB data of which a third
/// is touched: data mapped from the file, or copied from it.
#[test]
#[ignore = "a measurement"]
fn exec_and_exit_of_a_small_program() {
    let file = tempfile::tempfile().unwrap();
    let bytes = vec![7; 240 << 10];
    file.write_all_at(&bytes, 0).unwrap();
    let id = FileId { dev: 4, ino: 4 };
    for copied in [false, true] {
        let [mut exec, mut run, mut fork, mut exit] = [const { Vec::new() }; 4];
        let rounds = 300;
        for _ in 0..rounds {
            let start = Instant::now();
            let mut space = empty();
            let (text, data) = (200 << 10, 40 << 10);
            space.map_file(0x1000, text, RO, file.as_fd(), 0, Sharing::Private, id).unwrap();
            if copied {
                space.map_copy(0x8_0000, data, RW, file.as_fd(), u64::from(text)).unwrap();
            } else {
                let offset = u64::from(text);
                space.map_file(0x8_0000, data, RW, file.as_fd(), offset, Sharing::Private, id).unwrap();
            }
            space.map_anon(0x9_0000, 0x1_0000, RW).unwrap();
            space.map_anon(0xefbd_e000, 0x2_0000, RW).unwrap();
            space.copyout(0xefbf_d000, &[1; 0x800]).unwrap();
            exec.push(us(start));
            let start = Instant::now();
            for page in 0..50 / 3 {
                space.fuword(0x1000 + page * 0x3000).unwrap();
            }
            for page in 0..10 / 3 {
                space.suword(0x8_0000 + page * 0x3000, 1).unwrap();
                space.suword(0x9_0000 + page * 0x3000, 1).unwrap();
            }
            run.push(us(start));
            let start = Instant::now();
            let child = space.fork().unwrap();
            fork.push(us(start));
            drop(child);
            let start = Instant::now();
            drop(space);
            exit.push(us(start));
        }
        let [exec, run, fork, exit] = [exec, run, fork, exit].map(median);
        println!("| copied {copied} | exec {exec:.1} | touch {run:.1} | fork {fork:.1} | exit {exit:.1} |");
    }
}
