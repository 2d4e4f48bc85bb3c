//! The internet vectors once more, from inside: a guest program replays them through `lcall`, each case in a
//! machine of its own with a virtual clock.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use flate2::read::GzDecoder;

/// Cases in which nothing may happen between two steps: in a guest time passes there, and an acknowledgement that is
/// delayed for 200 ms, or the microseconds at which an interface changed, come with it.
const TIMED: [&str; 7] = [
    "i00_042-stream",
    "i00_056-stream",
    "i05_078-close",
    "i26_003-flow",
    "i26_059-flow",
    "i26_080-flow",
    "route_interface_messages",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn texts() -> Vec<String> {
    let entries = fs::read_dir(root().join("fixtures/vectors/inet")).expect("the vectors are there");
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "gz"));
    files.sort();
    let unpack = |path: &PathBuf| {
        let mut text = String::new();
        GzDecoder::new(File::open(path).expect("it opens")).read_to_string(&mut text).expect("text");
        text
    };
    files.iter().map(unpack).collect()
}

/// The text of each case: its name line to its end.
fn cases(text: &str) -> Vec<&str> {
    let later = text.match_indices("\nc ").map(|(at, _)| at + 1);
    let starts: Vec<usize> = text.starts_with("c ").then_some(0).into_iter().chain(later).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().copied().zip(ends).map(|(from, to)| &text[from..to]).collect()
}

/// Runs the driver over a case; gives what it prints.
fn replay(case: &str) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let mut child = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(["run", "--quiet", "--clock", "virtual", "--max-wall", "60"])
        .arg(root().join("fixtures/bin/inetvec"))
        .args(["-q", "0"])
        .current_dir(directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("bsd21 runs");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(case.as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn cases_pass_from_inside() {
    let texts = texts();
    let all = texts.iter().flat_map(|text| cases(text));
    let is_random = |case: &str| case.contains("-") && case.starts_with("c i");
    let mut random = 0;
    // A random case takes the time of a process: one in seven.
    let cases: Vec<&str> = all
        .filter(|case| {
            random += usize::from(is_random(case.lines().next().unwrap_or_default()));
            !is_random(case.lines().next().unwrap_or_default()) || random % 7 == 1
        })
        .collect();
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let name = case.split(' ').nth(1).unwrap_or_default();
            let printed = replay(case);
            if TIMED.contains(&name.trim()) {
                continue;
            }
            if !printed.ends_with("1 passed, 0 failed\n") {
                failed.fetch_add(1, Ordering::Relaxed);
                eprintln!("{}\n{printed}", case.lines().next().unwrap_or_default());
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(work);
        }
    });
    assert!(cases.len() > 300, "{} cases", cases.len());
    assert_eq!(failed.into_inner(), 0);
}
