//! Guest programs over the socket layer: each shows one behaviour, and prints what 2.1 would.
//!
//! The expected answers are beside the sources (`fixtures/guest/socket/*.expected`).  Each begins with the
//! place in the original that it follows from.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A behaviour with the place in the original and what the program prints.
struct Behaviour {
    name: String,
    place: String,
    prints: String,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The expected answers of a program: `== NAME: PLACE`, then what it prints.
fn expected(program: &str) -> Vec<Behaviour> {
    let path = fixtures().join("guest/socket").join(program).with_extension("expected");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let blocks = text.split("== ").filter(|block| !block.is_empty());
    let parse = |block: &str| {
        let (head, prints) = block.split_once('\n').expect("a first line");
        let (name, place) = head.split_once(": ").expect("a name and a place");
        Behaviour { name: name.into(), place: place.into(), prints: prints.trim_end().into() }
    };
    blocks.map(parse).collect()
}

/// Runs a program in an empty directory, by a clock that makes runs repeatable.
fn run(program: &str, args: &[&str], net: &str) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(["run", "--clock", "virtual", "--max-wall", "60", "--net", net])
        .arg(fixtures().join("bin/socket").join(program))
        .args(args)
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .output()
        .expect("bsd21 runs")
}

fn shows_what_the_original_would(program: &str) {
    let behaviours = expected(program);
    let listed = String::from_utf8(run(program, &[], "loopback").stdout).expect("names");
    let names: Vec<&str> = behaviours.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(listed.lines().collect::<Vec<_>>(), names, "{program} shows what is expected of it");
    for Behaviour { name, place, prints } in &behaviours {
        assert!(
            place.contains(".c") || place.contains(".h"),
            "{program} {name}: {place} names no file of 2.1"
        );
        let net = if name == "no-network" { "none" } else { "loopback" };
        let output = run(program, &[name], net);
        let printed = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(printed.trim_end(), prints, "{program} {name} ({place}) {errors}");
        assert!(output.status.success() && errors.is_empty(), "{program} {name}: {errors}");
    }
}

#[test]
fn tutorials() {
    shows_what_the_original_would("tutorial");
}

#[test]
fn the_local_domain() {
    shows_what_the_original_would("local");
}

#[test]
fn descriptors_in_messages() {
    shows_what_the_original_would("rights");
}

#[test]
fn readiness_signals_and_time_limits() {
    shows_what_the_original_would("ready");
}

#[test]
fn reading_and_writing_asleep() {
    shows_what_the_original_would("sleep");
}

#[test]
fn waiting_for_connections_their_ends_and_any_of_several() {
    shows_what_the_original_would("wait");
}

#[test]
fn internet_streams() {
    shows_what_the_original_would("stream");
}

#[test]
fn internet_datagrams_and_interfaces() {
    shows_what_the_original_would("datagram");
}

#[test]
fn there_are_many() {
    let count = |programs: &[&str]| programs.iter().map(|program| expected(program).len()).sum::<usize>();
    let all = ["tutorial", "local", "rights", "ready", "stream", "datagram"];
    assert!(count(&all) >= 84, "{}", count(&all));
    assert!(count(&["sleep", "wait"]) >= 43, "calls that sleep");
}
