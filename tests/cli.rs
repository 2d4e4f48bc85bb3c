//! The command line as a user meets it: what it prints, and how it ends.

use std::process::{Command, Output};

fn bsd21(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("bsd21 runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Ends with `status`, prints nothing, and says why in one line.
fn fails(args: &[&str], status: i32, why: &str) {
    let output = bsd21(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{args:?}: {errors}");
    assert!(errors.starts_with("bsd21: ") && errors.contains(why), "{args:?}: {errors}");
    assert_eq!(errors.lines().count(), 1, "{args:?}: {errors}");
    assert!(output.stdout.is_empty(), "standard output belongs to the guest");
}

#[test]
fn wrong_use_is_125_and_one_line() {
    fails(&[], 125, "no command given");
    fails(&["frobnicate"], 125, "unrecognized subcommand 'frobnicate'");
    fails(&["inspect"], 125, "<FILE>");
    fails(&["syscalls", "--format", "xml"], 125, "invalid value 'xml'");
}

#[test]
fn help_is_an_answer() {
    let help = bsd21(&["--help"]);
    assert!(help.status.success() && stdout(&help).contains("Exit status"));
    assert!(stdout(&bsd21(&["--version"])).starts_with("bsd21 "));
}

#[test]
fn inspect_describes_a_program() {
    let text = stdout(&bsd21(&["inspect", "--symbols", "fixtures/bin/socketpair"]));
    for expected in [
        "format:    a.out QMAGIC",
        "r-x text",
        "entry:     0x1020 (_start)",
        "call:      135 socketpair",
        " T _main",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    fails(&["inspect", "fixtures/bin/none"], 127, "fixtures/bin/none: No such file or directory");
}

#[test]
fn the_listing_of_calls_has_every_row_in_each_format() {
    let table = stdout(&bsd21(&["syscalls"]));
    assert_eq!(table.lines().count(), 220);
    assert!(table.contains("\n135 Std    5 socketpair(domain: Domain, kind: SockType, "));
    let json = stdout(&bsd21(&["syscalls", "--format", "json"]));
    assert!(json.starts_with("[\n") && json.ends_with("\n]\n"));
    assert_eq!(json.matches("{\"number\": ").count(), 220);
    assert!(json.contains("{\"number\": 19, \"kind\": \"Compat\", \"words\": 3, \"name\": \"old.lseek\""));
}

#[test]
fn completions_and_the_manual_come_from_the_definition() {
    for what in ["bash", "zsh", "fish"] {
        assert!(stdout(&bsd21(&["generate", what])).contains("inspect"), "{what}");
    }
    let manual = stdout(&bsd21(&["generate", "man"]));
    assert!(manual.contains(".TH bsd21 1") && manual.contains("bsd21 inspect"));
    assert!(!stdout(&bsd21(&["--help"])).contains("generate"), "hidden");
}
