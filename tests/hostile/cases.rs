//! Damaged cases: verified, and blessed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bsd21::capture::find;
use bsd21::capture::image::Cache;
use bsd21::capture::report::{human_case, json, junit, tap};
use bsd21::capture::verify::{self, Options, Report};

use crate::{Random, asked, fixtures, mutate, peak, scratch_in_memory};

/// Cases that need little time.
const CASES: [&str; 8] =
    ["hello", "args/words", "status/7", "files", "socketpair", "faults/read", "fork", "bomb/fork"];

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy(&path, &to),
            false => _ = fs::copy(&path, &to).expect("a file"),
        }
    }
}

fn files_of(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files_of(&path, found) } else { found.push(path) }
    }
    found.sort();
}

/// Lines that a case may have, with values that none should have.
const LINES: [&str; 22] = [
    "files_at = \"/\"",
    "files_at = \"/dev\"",
    "files_at = \"/a/../b\"",
    "files_at = \"//\"",
    "fpcw = \"0xffff\"",
    "max_mem = 0",
    "max_mem = 18446744073709551615",
    "max_procs = 0",
    "max_cpu = 1e300",
    "max_cpu = -1.0",
    "max_wall = 0.0",
    "max_output = 0",
    "uid = 4294967295",
    "start = 4294967295",
    "seed = 18446744073709551615",
    "network = \"host\"",
    "scratch = [\"/case\", \"/case\"]",
    "scratch = [\"/\", \"/bin\"]",
    "cwd = \"\"",
    "cwd = \"/dev/null\"",
    "argv = []",
    "program = \"/\"",
];

/// What came of the case, in a word.
fn one(seed: u64, place: &Path) -> &'static str {
    let mut random = Random::new(seed);
    let name = CASES[random.below(CASES.len())];
    // As deep as in the project, so that its programs are found.
    let case = place.join("cases").join(name);
    copy(&fixtures("cases").join(name), &case);
    if random.below(3) == 0 {
        let path = case.join("case.toml");
        let mut text = fs::read_to_string(&path).expect("a case");
        let line = LINES[random.below(LINES.len())];
        let key = line.split(' ').next().unwrap_or_default();
        let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with(&format!("{key} ="))).collect();
        text = kept.join("\n").replacen("[run]\n", &format!("[run]\n{line}\n"), 1);
        fs::write(&path, text).expect("a case");
    }
    if random.below(2) == 0 {
        let mut files = Vec::new();
        files_of(&case, &mut files);
        let path = &files[random.below(files.len())];
        let mut bytes = fs::read(path).expect("a file");
        mutate(&mut bytes, &mut random);
        fs::write(path, bytes).expect("a file");
    }
    let options = Options {
        trust: random.below(8) > 0,
        bless: random.below(6) == 0,
        max_wall: Some(Duration::from_secs(30)),
        ..Options::default()
    };
    let found = find::cases(&place.join("cases")).expect("cases");
    let mut word = "missing";
    for found in found {
        let verdict = verify::one(&found.directory, &options, &Cache::default());
        let (verdict, notes) = verdict;
        word = verdict.word();
        let report =
            Report { name: found.name, directory: found.directory, verdict, notes, took: Duration::ZERO };
        let said = human_case(&report);
        assert!(!said.contains("a bug of bsd21"), "{said}");
        assert!(said.chars().all(|c| matches!(c, '\n' | '\t') || !c.is_control()), "{said:?}");
        let reports = [report];
        drop((tap(&reports), junit(&reports), json(&reports, None)));
    }
    fs::remove_dir_all(place.join("cases")).expect("it can be removed");
    word
}

fn run(seed: u64, count: u64) {
    let place = scratch_in_memory();
    copy(&fixtures("bin"), &place.path().join("bin"));
    let mut words = BTreeMap::new();
    for seed in seed..seed + count {
        let began = Instant::now();
        match std::panic::catch_unwind(|| one(seed, place.path())) {
            Ok(word) => *words.entry(word).or_insert(0_u64) += 1,
            Err(panic) => {
                eprintln!("cases, seed {seed}");
                std::panic::resume_unwind(panic);
            }
        }
        assert!(began.elapsed() < Duration::from_secs(60), "cases, seed {seed}: {:?}", began.elapsed());
    }
    let peak = peak(libc::RUSAGE_SELF);
    println!("{count} cases, {words:?}, {} MB", peak >> 20);
    assert!(words.contains_key("fail") && words.contains_key("error"), "{words:?}");
    assert!(peak < 2 << 30, "{peak} bytes");
}

#[test]
fn some_damaged_cases_do_no_harm() {
    run(asked("SEED", 1), 150);
}

#[test]
#[ignore = "5,000 cases take minutes"]
fn many_damaged_cases_do_no_harm() {
    run(asked("SEED", 10_000), asked("COUNT", 5_000));
}
