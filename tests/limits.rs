//! What a user may allow a run, and where the guest itself draws the line.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn image(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin").join(name)
}

fn run(options: &[&str], program: &str, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .arg("run")
        .args(options)
        .arg(image(program))
        .args(args)
        .output()
        .expect("bsd21 runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The run ends with 124 and one line that names the option.
fn ends(options: &[&str], args: &[&str], line: &str) {
    let output = run(options, "bomb", args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(124), "{options:?}: {errors}");
    assert_eq!(errors, format!("bsd21: {line}\n"), "{options:?}");
}

#[test]
fn a_fork_bomb_ends_in_eagain_for_the_guest() {
    let output = run(&["--max-wall", "60"], "bomb", &["fork"]);
    assert_eq!(stdout(&output), "178 processes, then error 35\nok\n");
    // Another user has what a login has at first (CHILD_MAX).
    let output = run(&["--max-wall", "60", "--uid", "7"], "bomb", &["fork"]);
    assert_eq!(stdout(&output), "39 processes, then error 35\nok\n");
}

#[test]
fn a_memory_bomb_ends_in_enomem_for_the_guest() {
    let output = run(&["--max-wall", "60"], "bomb", &["memory"]);
    assert_eq!(stdout(&output), "63 megabytes, then error 12\nok\n");
}

#[test]
fn processes_memory_and_output_can_be_limited() {
    let procs = "--max-procs: the run needed more than 20 processes at one time";
    ends(&["--max-procs", "20"], &["fork"], procs);
    let memory = "--max-mem: the run needed more than 10485760 bytes of memory";
    ends(&["--max-mem", "10M"], &["memory"], memory);
    ends(&["--max-output", "100"], &["output"], "--max-output: the run wrote more than 100 bytes");
    let output = run(&["--max-output", "1K"], "bomb", &["output"]);
    assert_eq!(output.stdout.len(), 1024, "what was allowed is written");
}

#[test]
fn what_stays_within_its_limits_does_not_notice_them() {
    let options = ["--max-procs", "179", "--max-mem", "2G", "--max-output", "32", "--max-cpu", "60"];
    let output = run(&options, "bomb", &["fork"]);
    assert_eq!(
        (stdout(&output).as_str(), output.status.code()),
        ("178 processes, then error 35\nok\n", Some(0))
    );
}

#[test]
fn time_can_be_limited() {
    let output = run(&["--max-wall", "0.2"], "bomb", &["output"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(124));
    assert_eq!(errors, "bsd21: --max-wall: the run took longer than 0.2 s\n");
    ends(&["--max-cpu", "0.1"], &["output"], "--max-cpu: the run used more than 0.1 s");
}

#[test]
fn limits_that_are_no_numbers_are_wrong_use() {
    for (option, value) in [("--max-mem", "much"), ("--max-output", "1T"), ("--max-procs", "-1")] {
        let output = run(&[&format!("{option}={value}")], "bomb", &["fork"]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{errors}");
        assert!(errors.contains(option) && errors.lines().count() == 1, "{errors}");
    }
}

/// Waiting costs no processor time: the run's is a small part of the second that it lasts.
#[test]
fn a_guest_that_waits_costs_nothing() {
    let spent = || {
        let times = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let mut child = Command::new(env!("CARGO_BIN_EXE_bsd21"))
            .args(["run", "--max-wall", "1"])
            .arg(image("bomb"))
            .arg("wait")
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("bsd21 runs");
        std::thread::sleep(std::time::Duration::from_millis(700));
        let stat = times(child.id());
        child.wait().expect("it ends");
        // User and system time in ticks of 10 ms, the 12th and 13th field behind the name.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number")
    };
    let ticks = spent();
    assert!(ticks < 20, "{ticks} ticks of 10 ms");
}
