//! Cases with a terminal: recorded with keys and by a person, verified, and what a failure shows.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::image;
use super::session::Session;

fn bsd21(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bsd21")).args(args).stdin(Stdio::null()).output().expect("bsd21")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const MENU: &str = "screen \"> apples\"\nquiet\ntype \"jj\"\nquiet\nsnap plums\ntype \"\\r\"\nscreen \"chosen: plums\"\nquiet\ntype \"q\"\n";

fn record(directory: &Path) -> String {
    let keys = directory.join("keys");
    std::fs::write(&keys, MENU).expect("a file");
    let case = directory.join("case").to_str().expect("a name").to_owned();
    let keys = keys.to_str().expect("a name");
    let made =
        bsd21(&["capture", "--tty", "24x80", "--keys", keys, "-o", &case, "--", &image("screen"), "menu"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    case
}

#[test]
fn a_case_with_keys_comes_out_the_same_every_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let case = record(directory.path());
    let screens = Path::new(&case).join("expected/screens");
    let plums = std::fs::read_to_string(screens.join("plums")).expect("a screen");
    assert!(plums.contains("> plums") && plums.ends_with("-- 24x80, cursor at 24,1\n"), "{plums}");
    assert!(std::fs::read_to_string(screens.join("final")).expect("a screen").contains("chosen: plums"));
    for _ in 0..20 {
        let verified = bsd21(&["verify", "--trust", "--compare", "all", &case]);
        assert_eq!(text(&verified.stdout), "1 passed\n");
    }
}

#[test]
fn a_failure_shows_both_screens_side_by_side() {
    let directory = tempfile::tempdir().expect("a directory");
    let case = record(directory.path());
    let keys = Path::new(&case).join("keys");
    std::fs::write(&keys, MENU.replace("\"jj\"", "\"j\"").replace("chosen: plums", "chosen: pears"))
        .expect("keys");
    let verified = bsd21(&["verify", "--trust", &case]);
    let said = text(&verified.stdout);
    assert_eq!(verified.status.code(), Some(1));
    assert!(said.contains("screen plums differs") && said.contains("screen final differs"), "{said}");
    let row = said.lines().find(|line| line.contains("> plums")).expect("the row");
    assert!(row.trim_start().starts_with('!') && row.contains("  plums"), "{said}");
    assert!(said.contains("^^"), "{said}");
    // Keys that wait for what never comes.
    std::fs::write(&keys, "screen \"bananas\"\ntype \"q\"\n").expect("keys");
    let said = text(&bsd21(&["verify", "--trust", &case]).stdout);
    assert!(said.contains("keys: the run ended while they waited at: screen \"bananas\""), "{said}");
}

#[test]
fn what_a_person_types_becomes_a_case() {
    let directory = tempfile::tempdir().expect("a directory");
    let case = directory.path().join("case").to_str().expect("a name").to_owned();
    let program = image("screen");
    let command =
        [env!("CARGO_BIN_EXE_bsd21"), "capture", "--tty", "24x80", "-o", &case, "--", &program, "lines"];
    let mut session = Session::of(&command, &[]);
    session.expect("lines, please");
    session.gets_raw();
    session.type_in("a\x7fb\n");
    session.expect("2: 98 10");
    session.type_in("\x04");
    session.expect("exit 0");
    assert_eq!(session.ends().code(), Some(0));
    let keys = std::fs::read_to_string(Path::new(&case).join("keys")).expect("keys");
    assert!(keys.contains("type \"a\\x7fb\\n\"") && keys.contains("type \"\\x04\""), "{keys}");
    assert_eq!(text(&bsd21(&["verify", "--trust", &case]).stdout), "1 passed\n");
}

#[test]
fn wrong_keys_are_refused_with_their_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let keys = directory.path().join("keys");
    std::fs::write(&keys, "quiet\npush\n").expect("a file");
    let (case, keys) = (directory.path().join("case"), keys.to_str().expect("a name"));
    let case = case.to_str().expect("a name");
    let refused =
        bsd21(&["capture", "--tty", "24x80", "--keys", keys, "-o", case, "--", &image("screen"), "menu"]);
    assert!(text(&refused.stderr).contains("line 2: push: no step"), "{}", text(&refused.stderr));
}
