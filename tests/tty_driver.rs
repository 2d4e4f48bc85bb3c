//! The recorded terminal cases once more, from inside: a guest program replays them through `lcall`.
//!
//! `BSD21_TTY_VECTORS=DIR` replays the *.vec and *.vec.gz files of another directory.

#[path = "tty/files.rs"]
mod files;

use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs the driver in a directory of its own, over `text`; gives the lines that it printed.
fn replay(text: &str) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("cases.vec"), text).expect("the directory is writable");
    let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(["run", "--clock", "virtual"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin/ttyvec"))
        .arg("cases.vec")
        .current_dir(directory.path())
        .output()
        .expect("bsd21 runs");
    let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    printed.lines().map(str::to_owned).collect()
}

/// Whether a case asks for process 1 or 5 by number: the recorded kernel had neither, and this one has both.
fn asks_for_others(case: &str) -> bool {
    let sets_owner = |line: &str| {
        line.starts_with("k 92 fcntl") && line.split(' ').nth(4) == Some("6")
            || line.starts_with("k 54 ioctl") && line.contains("0x8004667c")
    };
    let mut lines = case.lines().peekable();
    let mut owner_unknown = false;
    while let Some(line) = lines.next() {
        owner_unknown |= sets_owner(line) && lines.peek() == Some(&"! 3");
    }
    owner_unknown
}

#[test]
fn every_case_passes_inside_the_guest() {
    for file in files::vectors() {
        let text = files::text(&file);
        let cases: Vec<&str> = text.split("\nc ").collect();
        let printed = replay(&text);
        let failed: Vec<&String> = printed.iter().filter(|line| line.starts_with("not ok")).collect();
        for line in &failed {
            let name = line.split(' ').nth(2).expect("a name");
            let case = cases.iter().find(|case| case.trim_start_matches("c ").starts_with(name));
            assert!(case.is_some_and(|case| asks_for_others(case)), "{}: {line}", file.display());
        }
        let total = text.lines().filter(|line| line.starts_with("c ")).count();
        let expected = format!("{} passed, {} failed", total - failed.len(), failed.len());
        assert_eq!(printed.last(), Some(&expected), "{}", file.display());
    }
}

#[test]
fn a_wrong_answer_is_reported_with_its_step() {
    let case = "c wrong lim=20 sid pty=1\nk 24 getuid\n= 7 0\ne\n";
    let printed = replay(case);
    assert!(printed[0].contains("not ok wrong step 1 getuid: expected = 7, got = 0"), "{printed:?}");
    assert_eq!(printed.last().map(String::as_str), Some("0 passed, 1 failed"));
}
