//! Outputs that fail, guests that are killed: what becomes of the trace and of the exit status.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::process::{Command, Output, Stdio};

/// The command over a program of fixtures/bin with its arguments.
fn trace(options: &[&str], program: &str) -> Command {
    let mut words = program.split(' ');
    let mut command = Command::new(env!("CARGO_BIN_EXE_bsd21"));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["trace", "--clock", "virtual", "--clear-env"])
        .args(options)
        .arg(format!("fixtures/bin/{}", words.next().unwrap_or_default()))
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(options: &[&str], program: &str) -> Output {
    trace(options, program).output().expect("the command runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_exit_status_is_the_guests() {
    assert_eq!(run(&[], "status 7").status.code(), Some(7));
    assert_eq!(run(&["-c"], "status 7").status.code(), Some(7));
}

#[test]
fn a_full_disk_is_told_once_and_the_guest_goes_on() {
    let found = run(&["-o", "/dev/full"], "status 7");
    assert_eq!(found.status.code(), Some(7));
    assert_eq!(text(&found.stderr), "bsd21: -o /dev/full: No space left on device\n");
    let hello = run(&["-o", "/dev/full", "--format", "jsonl"], "hello");
    assert_eq!((hello.status.code(), text(&hello.stdout)), (Some(0), "hello, world\n".into()));
}

#[test]
fn a_file_that_cannot_be_made_is_refused_before_the_guest_runs() {
    let found = run(&["-o", "/nowhere/trace"], "hello");
    assert_eq!(found.status.code(), Some(125));
    assert_eq!(text(&found.stderr), "bsd21: -o /nowhere/trace: No such file or directory\n");
    assert!(found.stdout.is_empty());
}

#[test]
fn a_reader_that_leaves_does_not_change_the_exit_status() {
    for options in [&[][..], &["--format", "jsonl"], &["-c"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let status = trace(options, "status 7").stderr(OwnedFd::from(writer)).status().expect("it runs");
        assert_eq!(status.code(), Some(7), "{options:?}");
    }
    // The reader takes one line of many, then leaves.
    let mut child = trace(&[], "relay").spawn().expect("it runs");
    let mut line = String::new();
    BufReader::new(child.stderr.take().expect("a pipe")).read_line(&mut line).expect("a line");
    assert!(line.contains("execve("), "{line}");
    let found = child.wait_with_output().expect("it ends");
    assert_eq!(found.status.code(), Some(0));
}

#[test]
fn a_command_can_read_the_trace() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("lines");
    let target = format!("|sed -n 's/.*write(\\(.*\\)/\\1/p' > {}", file.display());
    let found = run(&["-o", &target], "status 7");
    assert_eq!((found.status.code(), text(&found.stderr)), (Some(7), String::new()));
    let found = run(&["-o", &target], "hello");
    assert_eq!((found.status.code(), text(&found.stderr)), (Some(0), String::new()));
    assert_eq!(fs::read_to_string(&file).expect("lines"), "1, \"hello, world\\n\", 13)          = 13\n");
    // One that reads nothing, and one that fails.
    assert_eq!(run(&["-o", "|true"], "status 7").status.code(), Some(7));
    assert_eq!(run(&["-o", "!exit 3"], "status 7").status.code(), Some(7));
    let refused = run(&["-ff", "-o", "|cat"], "hello");
    assert_eq!(refused.status.code(), Some(125));
    assert!(text(&refused.stderr).contains("-ff writes a file for each process"));
}

#[test]
fn a_trace_can_be_appended_to_a_file() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().to_str().expect("a name");
    run(&["-o", path], "status 7");
    let once = fs::read_to_string(path).expect("a trace");
    run(&["-A", "-o", path], "status 7");
    assert_eq!(fs::read_to_string(path).expect("a trace"), once.repeat(2));
    run(&["-o", path], "status 7");
    assert_eq!(fs::read_to_string(path).expect("a trace"), once);
}

#[test]
fn each_process_has_its_own_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("t");
    run(&["-ff", "-o", file.to_str().expect("a name")], "relay");
    let read = |pid: u32| fs::read_to_string(directory.path().join(format!("t.{pid}"))).expect("a trace");
    assert!(read(5).starts_with("execve("));
    for (pid, code) in [(6, 1), (7, 2), (8, 3)] {
        assert!(read(pid).ends_with(&format!("+++ exited with {code} +++\n")), "{}", read(pid));
    }
}

#[test]
fn a_guest_that_is_killed_has_a_whole_trace() {
    let found = run(&[], "status signal 9");
    assert_eq!(found.status.code(), Some(128 + 9));
    let trace = text(&found.stderr);
    let last: Vec<_> = trace.lines().rev().take(2).collect();
    assert_eq!(
        last,
        ["+++ killed by SIGKILL +++", "--- SIGKILL {si_signo=SIGKILL, si_code=0, sa_handler=SIG_DFL} ---"]
    );
    let json = run(&["--format", "jsonl"], "status signal 9");
    assert!(text(&json.stderr).lines().last().is_some_and(|l| l.contains("\"signal_name\":\"SIGKILL\"")));
    let chrome = run(&["--format", "chrome", "-e", "inject=getpid:signal=SIGKILL"], "signals");
    assert!(text(&chrome.stderr).ends_with("\n]}\n"), "the document is whole");
}

#[test]
fn a_run_that_hits_its_limit_shows_what_still_slept() {
    // Nobody kills the child that loops: the parent waits for it in vain.
    let found = run(&["--max-wall", "0.3", "-e", "inject=kill:retval=0"], "fork");
    assert_eq!(found.status.code(), Some(124));
    let trace = text(&found.stderr);
    assert!(trace.lines().any(|l| l.starts_with("5     wait4(7, 0x") && l.ends_with(" = ?")), "{trace}");
}

#[test]
fn injections_count_for_each_process_and_call() {
    let found = run(&["-e", "trace=close", "-e", "inject=close:error=EIO:when=2+"], "fork");
    let trace = text(&found.stderr);
    for pid in [5, 6] {
        let own: Vec<_> = trace.lines().filter(|l| l.starts_with(&format!("{pid} "))).collect();
        assert!(own[0].ends_with("= 0"), "the first of each process is made: {own:?}");
    }
}

#[test]
fn faults_show_their_address_and_place() {
    let trace = text(&run(&["-e", "signal=SIGSEGV", "-e", "trace=none"], "signals").stderr);
    let line = trace.lines().next().expect("a signal");
    assert!(line.contains("--- SIGSEGV {si_signo=SIGSEGV, si_code=BUS_PAGE_FAULT, si_addr=0x"), "{line}");
    assert!(line.contains(", si_eip=0x"), "{line}");
    let json =
        text(&run(&["--format", "jsonl", "-e", "signal=SIGSEGV", "-e", "trace=none"], "signals").stderr);
    let line = json.lines().find(|l| l.contains("\"type\":\"signal\"")).expect("a signal");
    for member in ["\"code_name\":\"BUS_PAGE_FAULT\"", "\"address\":", "\"eip\":", "\"trap\":true"] {
        assert!(line.contains(member), "{member}: {line}");
    }
}
