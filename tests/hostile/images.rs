//! Damaged programs: looked at, surveyed and run.

use std::fs;
use std::time::{Duration, Instant};

use bsd21::image::inspect::report;
use bsd21::kernel::time::Clock;
use bsd21::machine::{Limits, Machine, Stdio};
use bsd21::survey::{self, Options};

use crate::program::install;
use crate::{Random, asked, fixtures, mutate, peak, scratch_in_memory};

/// Programs of every format.
const PROGRAMS: [&str; 12] = [
    "hello",
    "hello.elf",
    "hello.gz",
    "hello.net",
    "hello.nmagic",
    "hello.omagic",
    "hello.textless",
    "hello.zmagic",
    "args",
    "dynamic",
    "fork",
    "faults",
];

/// Whether the program started.
fn one(seed: u64, place: &std::path::Path) -> bool {
    let mut random = Random::new(seed);
    let name = PROGRAMS[random.below(PROGRAMS.len())];
    let mut bytes = match random.below(40) {
        0 => b"#!program a\nx".to_vec(),
        1 => b"#! /bin/sh -e\n".to_vec(),
        _ => fs::read(fixtures("bin").join(name)).expect("a program"),
    };
    mutate(&mut bytes, &mut random);
    let shown = report(&bytes).to_string();
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "seed {seed}: {shown:?}");
    let file = place.join("program");
    install(&file, &bytes);
    let options = Options { root: None, all: true, jobs: 1, run: None };
    let _ = survey::table::render(&survey::survey(place, &options, &|_, _| ()));
    let limits = Limits {
        cpu: Some(Duration::from_millis(20)),
        wall: Some(Duration::from_secs(60)),
        output: Some(1 << 16),
        ..Limits::default()
    };
    let machine = Machine::builder()
        .root(place)
        .program("/program")
        .clear_env()
        .clock(Clock::deterministic())
        .stdin(Stdio::Closed)
        .stdout(Stdio::Captured)
        .stderr(Stdio::Captured)
        .limits(limits)
        .build();
    machine.map(|mut machine| machine.run()).is_ok()
}

fn run(seed: u64, count: u64) {
    let place = scratch_in_memory();
    let mut started = 0;
    for seed in seed..seed + count {
        let began = Instant::now();
        match std::panic::catch_unwind(|| one(seed, place.path())) {
            Ok(ran) => started += u64::from(ran),
            Err(panic) => {
                eprintln!("images, seed {seed}");
                std::panic::resume_unwind(panic);
            }
        }
        assert!(began.elapsed() < Duration::from_secs(50), "images, seed {seed}: {:?}", began.elapsed());
    }
    let peak = peak(libc::RUSAGE_SELF);
    println!("{count} images, {started} of them started, {} MB", peak >> 20);
    assert!(started > count / 10 && started < count, "{started} of {count} started");
    assert!(peak < 2 << 30, "{peak} bytes");
}

#[test]
fn some_damaged_images_do_no_harm() {
    run(asked("SEED", 1), 400);
}

#[test]
#[ignore = "25,000 images take minutes"]
fn many_damaged_images_do_no_harm() {
    run(asked("SEED", 10_000), asked("COUNT", 25_000));
}
