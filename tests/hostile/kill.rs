//! `kill -9` at any moment of capture and of verify --bless: a case is the old one or the new one, never half a one.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bsd21::capture::find;
use bsd21::capture::image::Cache;
use bsd21::capture::verify::{self, Options, Verdict};

use crate::{Random, asked, fixtures, scratch_in_memory, tried};

fn command(place: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(tried());
    command.current_dir(place).env("TMPDIR", place).env_remove("BSD21_ROOT").args(args);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs a command to its end; gives how long it took.
fn whole(place: &Path, args: &[&str]) -> Duration {
    let began = Instant::now();
    assert!(command(place, args).status().expect("bsd21 runs").success(), "{args:?}");
    began.elapsed()
}

/// Runs a command and kills it after a part of the time that it takes.
fn part(place: &Path, args: &[&str], whole: Duration, random: &mut Random) {
    let mut child = command(place, args).spawn().expect("bsd21 starts");
    std::thread::sleep(whole.mul_f64(random.below(1_200) as f64 / 1_000.0));
    let _ = child.kill();
    child.wait().expect("it ends");
}

fn verdict(case: &Path) -> Verdict {
    verify::one(case, &Options { trust: true, ..Options::default() }, &Cache::default()).0
}

/// Gives how often the case was there, as new.
fn run(times: u64, seed: u64) -> (u64, u64) {
    let place = scratch_in_memory();
    let at = place.path();
    let mut random = Random::new(seed);
    fs::create_dir(at.join("bin")).expect("bin");
    fs::copy(fixtures("bin/files"), at.join("bin/files")).expect("a program");
    let capture =
        ["capture", "--force", "--keep-trace", "--input", "bin", "-o", "cases/c", "--", "bin/files"];
    let case = at.join("cases/c");
    let took = whole(at, &capture);
    let mut there = 0;
    for number in 0..times {
        // A new case, or one in the place of an old one.
        if number % 2 == 0 {
            let _ = fs::remove_dir_all(&case);
        }
        part(at, &capture, took, &mut random);
        if case.exists() {
            there += 1;
            assert_eq!(verdict(&case), Verdict::Pass, "capture, seed {seed}, number {number}");
        }
    }
    if !case.exists() {
        whole(at, &capture);
    }
    let bless = ["verify", "--trust", "--bless", "cases"];
    let spoil = || fs::write(case.join("expected/stdout"), "something else\n").expect("stdout");
    spoil();
    let took = whole(at, &bless);
    let mut blessed = 0;
    for number in 0..times {
        spoil();
        part(at, &bless, took, &mut random);
        match verdict(&case) {
            Verdict::Pass => blessed += 1,
            Verdict::Fail(found) => {
                assert_eq!(found.len(), 1, "bless, seed {seed}, number {number}: {found:?}")
            }
            other => panic!("bless, seed {seed}, number {number}: {other:?}"),
        }
    }
    let cases = find::cases(&at.join("cases")).expect("cases");
    assert_eq!(cases.len(), 1, "what was left behind is no case: {cases:?}");
    (there, blessed)
}

#[test]
fn a_killed_capture_or_bless_leaves_no_half_case() {
    run(10, asked("SEED", 1));
}

#[test]
#[ignore = "200 moments take minutes"]
fn a_capture_or_bless_killed_at_200_moments_leaves_no_half_case() {
    let times = asked("COUNT", 200);
    let (there, blessed) = run(times, asked("SEED", 1));
    println!("{times} captures killed, {there} cases there; {times} blessings killed, {blessed} blessed");
    assert!(blessed > 0 && blessed < times, "some were finished and some were not");
}
