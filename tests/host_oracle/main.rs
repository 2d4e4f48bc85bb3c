//! The processor against the one that runs this test: the same bytes from the same state, compared
//! register by register.
//!
//! `cargo test --test host_oracle` compares some hundred thousand cases;
//! `BSD21_FUZZ_SECONDS=600 cargo test --release --test host_oracle -- --ignored --nocapture` goes on for as
//! long and prints how many of each code were compared.
#![allow(missing_docs, unreachable_pub)]
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod compare;
mod generate;
mod native;

use compare::Comparison;
use std::time::{Duration, Instant};

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
    while comparison.compared < cases && time.is_none_or(|t| start.elapsed() < t) {
        for _ in 0..64 {
            match n % 16 {
                0..12 => comparison.opcode((n / 16 * 12 + n % 16) as u32),
                12 => comparison.noise(),
                _ => comparison.sequence(),
            }
            n += 1;
        }
        assert!(comparison.failures.len() < 20, "differences:\n{}", comparison.failures.join("\n"));
    }
    assert!(comparison.failures.is_empty(), "differences:\n{}", comparison.failures.join("\n"));
    println!("{} compared in {:.1} s", comparison.compared, start.elapsed().as_secs_f64());
    Some(comparison)
}

#[test]
fn every_opcode_behaves_as_on_the_host() {
    run(0x9e37_79b9_7f4a_7c15, 300_000, None);
}

#[test]
#[ignore = "runs for BSD21_FUZZ_SECONDS"]
fn every_opcode_behaves_as_on_the_host_for_long() {
    let seconds = std::env::var("BSD21_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    let seed =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |t| t.as_nanos() as u64);
    println!("seed {seed:#x}");
    let Some(comparison) = run(seed | 1, u64::MAX, Some(Duration::from_secs(seconds))) else { return };
    comparison.report();
}

/// Writes fixtures/vectors/cpu anew: up to four cases of each code.
/// `cargo test --test host_oracle record -- --ignored`
#[test]
#[ignore = "writes fixtures/vectors/cpu"]
fn record_vectors() {
    let mut comparison = Comparison::new(0x0123_4567_89ab_cdef).expect("a host that runs 32-bit code");
    let mut lines = std::collections::BTreeMap::<String, Vec<String>>::new();
    for n in 0..150_000 {
        if let Some((code, line)) = comparison.vector(n) {
            let known = lines.entry(format!("{code:?}")).or_default();
            // String instructions over many elements make long lines.
            if known.len() < 4 && line.len() < 1200 {
                known.push(line);
            }
        }
    }
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/vectors/cpu");
    std::fs::create_dir_all(&dir).expect("the folder");
    let text: String = lines.values().flatten().map(|line| format!("{line}\n")).collect();
    std::fs::write(dir.join("host.txt"), text).expect("the file");
    println!("{} codes", lines.len());
}
