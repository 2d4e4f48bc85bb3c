//! A virtual clock makes a run the same each time: instructions, order of processes, bytes, trace.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use bsd21::kernel::time::Clock;
use bsd21::machine::{Ended, Machine, Outcome, Stdio as Stream};

/// A pipeline of five processes.
fn pipeline(seed: u64) -> Outcome {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin/pipeline");
    let mut machine = Machine::builder()
        .program(program)
        .argv0("pipeline")
        .cwd("/tmp")
        .clear_env()
        .clock(Clock::deterministic())
        .seed(seed)
        .stdin(Stream::Closed)
        .stdout(Stream::Captured)
        .stderr(Stream::Captured)
        .collect_events()
        .build()
        .expect("the fixture");
    machine.run()
}

/// Every event of a run as text, with the process that it happened to.
fn events(outcome: &Outcome) -> Vec<String> {
    outcome.events.iter().map(|e| format!("{} {} {:?}", e.sequence, e.pid, e.event)).collect()
}

#[test]
fn twenty_runs_of_five_processes_are_one() {
    let first = pipeline(1);
    assert_eq!(first.ended, Ended::Exited(0));
    let text = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(text.lines().count() == 7 && text.ends_with("ok\n"), "{text}");
    let order = events(&first);
    assert!(order.len() > 1000, "five processes that wait for each other");
    for run in 1..20 {
        let again = pipeline(1);
        assert_eq!(again.instructions, first.instructions, "run {run}");
        assert!(events(&again) == order, "run {run}: another order of events");
        assert_eq!(again.stdout, first.stdout, "run {run}");
    }
}

#[test]
fn another_seed_is_another_run() {
    let (one, two) = (pipeline(1), pipeline(2));
    assert_ne!(one.stdout, two.stdout);
    assert_eq!(one.ended, two.ended);
}

fn trace(options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["trace", "--format", "jsonl"])
        .args(options)
        .arg("fixtures/bin/pipeline")
        .stdin(Stdio::null())
        .output()
        .expect("the command runs")
}

#[test]
fn the_seed_of_the_command_line_makes_the_trace() {
    let seeded = |seed| trace(&["--clock", "virtual", "--seed", seed]);
    let first = seeded("7");
    assert!(first.status.success() && first.stderr.len() > 10_000);
    assert!(seeded("7").stderr == first.stderr, "two traces with one seed differ");
    assert!(seeded("8").stderr != first.stderr, "the seed changes nothing");
    assert!(trace(&["--clock", "virtual"]).stderr == seeded("0").stderr, "0 is the default");
}

#[test]
fn a_seed_without_the_virtual_clock_is_refused_in_a_line() {
    let refused = trace(&["--seed", "1"]);
    assert_eq!(refused.status.code(), Some(125));
    assert_eq!(String::from_utf8_lossy(&refused.stderr), "bsd21: --seed needs --clock virtual\n");
}
