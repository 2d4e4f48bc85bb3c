//! The socket vectors once more, from inside: a guest program replays them through `lcall`.
//!
//! Cases that leave something behind disturb later ones, so each of them gets a machine of its own.

#[path = "vectors/format.rs"]
mod format;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn vectors() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("fixtures/vectors/socket")).expect("the vectors are there");
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "vec"));
    files.sort();
    files
}

/// Runs the driver in a directory of its own, over `text`; gives its last line.
fn replay(options: &[&str], text: &str) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("cases.vec"), text).expect("the directory is writable");
    let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(["run", "--clean"])
        .arg(root().join("fixtures/bin/sockvec"))
        .args(options)
        .arg("cases.vec")
        .current_dir(directory.path())
        .output()
        .expect("bsd21 runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{printed}{errors}");
    printed.lines().last().unwrap_or_default().to_owned()
}

/// The text of each case: its name line to its end.
fn cases(text: &str) -> Vec<&str> {
    let starts: Vec<usize> = text.match_indices("\nc ").map(|(at, _)| at + 1).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().copied().zip(ends).map(|(from, to)| &text[from..to]).collect()
}

#[test]
fn cases_that_leave_nothing_share_a_machine() {
    for file in vectors() {
        let text = fs::read_to_string(&file).expect("a vector file");
        let clean = format::parse(&text).expect("it parses").iter().filter(|c| c.leak == 0).count();
        assert_eq!(replay(&["-l"], &text), format!("{clean} passed, 0 failed"), "{}", file.display());
    }
}

#[test]
fn cases_that_leave_something_have_a_machine_each() {
    let mut replayed = 0;
    for file in vectors() {
        let text = fs::read_to_string(&file).expect("a vector file");
        for case in cases(&text) {
            if case.lines().next().is_some_and(|line| line.contains("leak=")) {
                assert_eq!(replay(&[], case), "1 passed, 0 failed", "{}", &case[..40]);
                replayed += 1;
            }
        }
    }
    assert_eq!(replayed, 260);
}
