//! Every x87 instruction against the unit of the machine that runs the test: control and status
//! words, tags, all registers and memory, bit for bit.

use crate::case::{self, Case, Random, Run, encodings, operation_name, soft};
use crate::host::Host;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Runs cases on the hardware and on the soft unit for some seconds and reports what `difference`
/// finds.
fn compare(
    encodings: &[(u8, u8)],
    generate: fn(&mut Random, u8, u8) -> Case,
    difference: fn(&Case, &Run, &Run) -> Option<String>,
) {
    let seconds = std::env::var("BSD21_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(4.0);
    let seed = std::env::var("BSD21_FUZZ_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut host = Host::new();
    let mut random = Random::new(seed);
    let mut failures: BTreeMap<String, (u64, String)> = BTreeMap::new();
    let mut compared = 0u64;
    while Instant::now() < end {
        for &(escape, modrm) in encodings {
            for _ in 0..32 {
                let case = generate(&mut random, escape, modrm);
                let expected = host.run(&case);
                let actual = soft(&case);
                compared += 1;
                if let Some(difference) = difference(&case, &expected, &actual) {
                    let entry = failures.entry(operation_name(escape, modrm)).or_default();
                    entry.0 += 1;
                    if entry.1.len() < 3000 {
                        entry.1 += &difference;
                    }
                }
            }
        }
    }
    println!("{compared} comparisons");
    for (name, (count, text)) in &failures {
        println!("{name}: {count} differences\n{text}");
    }
    assert!(failures.is_empty(), "{} instructions differ from the hardware", failures.len());
}

#[test]
fn every_instruction_equals_the_hardware() {
    compare(&encodings(case::comparable), Case::generate, Run::difference);
}

#[test]
fn transcendental_functions_are_within_one_unit_of_the_hardware() {
    compare(&encodings(case::transcendental), Case::generate_transcendental, Run::difference_beyond_one_unit);
}
