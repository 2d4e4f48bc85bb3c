//! Damaged files of ktrace records: printed.

use std::fs;

use bsd21::kernel::ktrace::record::Reader;
use bsd21::trace::kdump::{Kdump, Options, Stamp};

use crate::{Random, asked, bsd21, fixtures, mutate, peak, scratch};

/// Files of records of some programs.
fn originals() -> Vec<Vec<u8>> {
    let place = scratch();
    let record = |program: &str| {
        let program = fixtures("bin").join(program);
        let program = program.to_string_lossy();
        let args =
            ["trace", "-q", "-f", "--clock", "virtual", "--format", "ktrace", "-o", "records", &program];
        bsd21(place.path(), &args, "records");
        fs::read(place.path().join("records")).expect("records")
    };
    ["hello", "socketpair", "files", "signals", "fork"].map(record).to_vec()
}

fn one(seed: u64, originals: &[Vec<u8>]) -> usize {
    let mut random = Random::new(seed);
    let mut bytes = originals[random.below(originals.len())].clone();
    for _ in 0..=random.below(3) {
        mutate(&mut bytes, &mut random);
    }
    let stamp = [Stamp::None, Stamp::Absolute, Stamp::Relative][random.below(3)];
    let options = Options {
        decimal: random.below(2) == 0,
        plain: random.below(2) == 0,
        max_data: random.below(3) * 8,
        stamp,
    };
    let mut printer = Kdump::new(options);
    let mut printed = 0;
    for entry in Reader::new(&bytes) {
        let Ok(entry) = entry else { break };
        printed += printer.print(&entry).len();
    }
    assert!(printed < 100 * (bytes.len() + 1000), "seed {seed}: {printed} bytes of {}", bytes.len());
    printed
}

fn run(seed: u64, count: u64) {
    let originals = originals();
    for seed in seed..seed + count {
        if let Err(panic) = std::panic::catch_unwind(|| one(seed, &originals)) {
            eprintln!("records, seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
    println!("{count} files, {} MB", peak(libc::RUSAGE_SELF) >> 20);
}

#[test]
fn some_damaged_records_do_no_harm() {
    run(asked("SEED", 1), 1_000);
}

#[test]
#[ignore = "10,000 files take a minute"]
fn many_damaged_records_do_no_harm() {
    run(asked("SEED", 10_000), asked("COUNT", 10_000));
}
