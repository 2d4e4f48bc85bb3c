//! Our processor against the one that runs the test.
//!
//! `cargo test --test host_oracle` compares some hundred thousand cases;
//! `BSD21_FUZZ_SECONDS=600 cargo test --release --test host_oracle -- --ignored --nocapture for_long` goes on
//! for as long, or for `BSD21_FUZZ_CASES`, and prints how many of each code were compared.
#![allow(missing_docs, unreachable_pub)]
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod cases;
mod compare;
mod generate;
mod native;
mod plant;
mod record;
mod table;
mod unit;

use compare::{Comparison, ROUND};
use std::time::{Duration, Instant};

/// Differences after which a run gives up.
const TOO_MANY: usize = 100;

/// All forms of comparison until the time or the cases are used up.
fn run(seed: u64, cases: u64, time: Option<Duration>) -> Option<Comparison> {
    let mut comparison = match Comparison::new(seed) {
        Ok(comparison) => comparison,
        Err(why) => {
            println!("skipped: this host cannot run 32-bit code in a 64-bit process ({why})");
            return None;
        }
    };
    let start = Instant::now();
    let mut n = 0;
    while comparison.table.total < cases && time.is_none_or(|t| start.elapsed() < t) {
        comparison.round(n);
        n += ROUND;
        if comparison.failures.len() > TOO_MANY {
            break;
        }
    }
    println!("{} compared in {:.1} s", comparison.table.total, start.elapsed().as_secs_f64());
    Some(comparison)
}

fn check(comparison: &Comparison) {
    let failures = &comparison.failures;
    assert!(failures.is_empty(), "{} differ:\n{}", comparison.table.differ, failures.join("\n"));
}

#[test]
fn every_opcode_behaves_as_on_the_host() {
    if let Some(comparison) = run(0x9e37_79b9_7f4a_7c15, 300_000, None) {
        check(&comparison);
    }
}

#[test]
#[ignore = "runs for BSD21_FUZZ_SECONDS or BSD21_FUZZ_CASES"]
fn every_opcode_behaves_as_on_the_host_for_long() {
    let number = |name: &str| std::env::var(name).ok().and_then(|s| s.parse().ok());
    let (seconds, cases) = (number("BSD21_FUZZ_SECONDS"), number("BSD21_FUZZ_CASES"));
    let time = seconds.or(if cases.is_none() { Some(60) } else { None }).map(Duration::from_secs);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = number("BSD21_FUZZ_SEED").unwrap_or(now.map_or(1, |t| t.as_nanos() as u64) | 1);
    println!("seed {seed}");
    let Some(comparison) = run(seed, cases.unwrap_or(u64::MAX), time) else { return };
    comparison.table.print();
    check(&comparison);
}

/// Writes fixtures/vectors/cpu anew: up to four cases of each code.
/// `cargo test --test host_oracle record -- --ignored`
#[test]
#[ignore = "writes fixtures/vectors/cpu"]
fn record_vectors() {
    let mut comparison = Comparison::new(0x0123_4567_89ab_cdef).expect("a host that runs 32-bit code");
    let lines = record::lines(&mut comparison);
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/vectors/cpu");
    std::fs::create_dir_all(&dir).expect("the folder");
    let text: String = lines.values().flatten().map(|line| format!("{line}\n")).collect();
    std::fs::write(dir.join("host.txt"), text).expect("the file");
    println!("{} codes", lines.len());
}
