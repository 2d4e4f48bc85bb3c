//! The recorded call sequences once more, from inside: a guest program replays them through `lcall`.
//!
//! `BSD21_CALL_VECTORS=DIR` and `BSD21_IPC_VECTORS=DIR` replay the files of other directories.

#[path = "vectors/files.rs"]
mod files;
#[path = "vectors/format.rs"]
mod format;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn vectors(fixtures: &str, variable: &str) -> Vec<PathBuf> {
    let other = std::env::var_os(variable).map(PathBuf::from);
    files::vector_files(&other.unwrap_or_else(|| root().join(fixtures)))
}

/// Runs the driver in a directory of its own, over `text`; gives what it printed.
fn replay(text: &str) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("cases.vec"), text).expect("the directory is writable");
    // In a session of its own: the cases stop and continue their parent, and expect that an orphan's terminal
    // does not.
    let output = Command::new("setsid")
        .arg(env!("CARGO_BIN_EXE_bsd21"))
        .args(["run", "--clean"])
        .arg(root().join("fixtures/bin/callvec"))
        .arg("cases.vec")
        .current_dir(directory.path())
        .output()
        .expect("bsd21 runs");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn every_case_passes_inside_the_guest() {
    all_pass(&vectors("fixtures/vectors/calls", "BSD21_CALL_VECTORS"));
}

#[test]
fn every_case_of_system_v_objects_passes_inside_the_guest() {
    all_pass(&vectors("fixtures/vectors/ipc", "BSD21_IPC_VECTORS"));
}

fn all_pass(files: &[PathBuf]) {
    for file in files {
        let text = files::text(file);
        let cases = format::parse(&text).expect("it parses").len();
        assert_eq!(replay(&text), format!("{cases} passed, 0 failed\n"), "{}", file.display());
    }
}

#[test]
fn a_wrong_answer_is_reported_with_its_step() {
    let case = "c wrong lim=64 raw uid=0 gid=0 groups=0\nk 24 getuid\n= 7 0\ne\n";
    let printed = replay(case);
    assert!(printed.contains("not ok wrong step 1 getuid: expected = 7, got = 0"), "{printed}");
    assert!(printed.ends_with("0 passed, 1 failed\n"), "{printed}");
}
