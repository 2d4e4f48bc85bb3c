//! Ways in which a run ends or stops: the terminal is as it was after each.

use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use super::session::Session;
use super::{image, raw};

/// Whether a process is gone, or dead and waits for whoever has inherited it.
fn has_ended(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}

#[test]
fn a_watcher_puts_the_modes_back_after_sigkill() {
    let mut session = raw(&[], "wait");
    session.gets_raw();
    let watcher = session.watcher().expect("a process that watches");
    let files = || std::fs::read_dir(format!("/proc/{watcher}/fd")).expect("its descriptors").count();
    session.until("it has the terminal alone", |_| files() == 1);
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        kill_process(Pid::from_raw(watcher).expect("a number"), signal).expect("it is there");
    }
    std::thread::sleep(Duration::from_millis(100));
    assert!(session.is_raw(), "signals are nothing to it");
    session.signal(Signal::KILL);
    session.child.wait().expect("it ends");
    session.until("the modes come back", |session| !session.is_raw());
    session.is_as_before();
    session.until("the watcher ends", |_| has_ended(watcher));
}

#[test]
fn a_watcher_leaves_modes_alone_that_are_others() {
    let mut session = raw(&[], "wait");
    session.gets_raw();
    session.signal(Signal::STOP);
    let mut others = session.before.clone();
    others.input_modes ^= rustix::termios::InputModes::IXANY;
    tcsetattr(&session.screen, OptionalActions::Now, &others).expect("a terminal");
    session.signal(Signal::KILL);
    session.child.wait().expect("it ends");
    std::thread::sleep(Duration::from_millis(300));
    let now = tcgetattr(&session.screen).expect("a terminal");
    assert_eq!(now.input_modes, others.input_modes);
}

#[test]
fn the_watcher_ends_with_the_run() {
    let mut session = raw(&[], "wait");
    session.gets_raw();
    let watcher = session.watcher().expect("a process that watches");
    session.type_in("q");
    assert_eq!(session.ends().code(), Some(0));
    assert!(has_ended(watcher));
}

#[test]
fn modes_are_taken_again_after_sigstop() {
    let mut session = raw(&[], "wait");
    session.gets_raw();
    session.signal(Signal::STOP);
    // What a shell does when its job has stopped.
    tcsetattr(&session.screen, OptionalActions::Now, &session.before).expect("a terminal");
    assert!(!session.is_raw());
    session.signal(Signal::CONT);
    session.gets_raw();
    session.type_in("q");
    session.expect("read 113");
    assert_eq!(session.ends().code(), Some(0));
}

#[test]
fn the_terminal_is_as_before_after_quit_and_abort_and_a_hang_up() {
    let mut session = raw(&[], "wait");
    session.signal(Signal::QUIT);
    assert_eq!(session.ends().code(), Some(131));
    let mut session = raw(&[], "wait");
    session.gets_raw();
    session.signal(Signal::ABORT);
    session.child.wait().expect("it ends");
    session.is_as_before();
}

#[test]
fn the_terminal_is_as_before_after_an_end_from_outside() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("machine");
    let socket = socket.to_str().expect("a name");
    let mut session = raw(&["--attach", socket], "wait");
    let mut attach = Command::new(env!("CARGO_BIN_EXE_bsd21"));
    let killed = attach.args(["attach", socket, "--kill"]).stdin(Stdio::null()).output().expect("bsd21");
    assert!(killed.status.success(), "{}", String::from_utf8_lossy(&killed.stderr));
    assert_eq!(session.ends().code(), Some(137));
}

#[test]
fn keys_that_send_signals_reach_the_others_of_the_job() {
    let bsd21 = env!("CARGO_BIN_EXE_bsd21");
    let line = format!("trap 'echo the shell, too' INT; {bsd21} run {} signals", image("screen"));
    let mut session = Session::of(&["/bin/sh", "-c", &line], &[]);
    session.expect("keys, please");
    session.gets_raw();
    session.type_in("\x03");
    session.expect("[INT]");
    session.type_in("q\n");
    session.expect("the shell, too");
    session.ends();
}

#[test]
fn stopped_output_waits_and_goes_on() {
    let mut session = Session::start(&[&image("screen"), "lines"]);
    session.expect("lines, please\r\n");
    session.gets_raw();
    session.type_in("\x13");
    assert!(session.is_silent(Duration::from_millis(300)), "{:?}", session.shown);
    session.type_in("\x11a\n");
    session.expect("2: 97 10");
    // IXANY is set at first: any other character does so, too, and is read.
    session.type_in("\x13b\n");
    session.expect("2: 98 10");
    session.type_in("\x04");
    session.expect("the end: 0");
    assert_eq!(session.ends().code(), Some(0));
}

/// What is typed may have ended before the guest reads it, or between two of its reads.
#[test]
fn who_reads_after_the_last_key_finds_the_end() {
    use std::io::Write;
    for pause in [0, 0, 1, 2, 3, 4, 6, 8, 10, 15] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bsd21"))
            .args(["run", "--tty", "24x80", "--charset", "latin1", &image("screen"), "lines"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bsd21");
        let mut keys = child.stdin.take().expect("a pipe");
        keys.write_all(b"one\ntwo\n").expect("it is read");
        std::thread::sleep(Duration::from_millis(pause));
        // The last line and the end come at once.
        keys.write_all(b"last\n").expect("it is read");
        drop(keys);
        let output = child.wait_with_output().expect("it ends");
        let shown = output.stdout;
        assert!(shown.ends_with(b"the end: 0\r\n"), "{}", shown.escape_ascii());
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn a_terminal_of_two_streams_is_one_for_the_guest() {
    use std::io::{Read, Write};
    let mut child = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(["run", "--tty", "24x80", "--charset", "latin1", &image("screen"), "lines"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("bsd21");
    // What is typed earlier is echoed earlier.
    let mut first = [0; 15];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut first).expect("a line");
    assert_eq!(&first, b"lines, please\r\n");
    child.stdin.take().expect("a pipe").write_all(b"abx\x7f\xe9\n").expect("it is read");
    let output = child.wait_with_output().expect("it ends");
    let shown: Vec<u8> = output.stdout;
    // The end of what is typed is a ^D.
    let told = b"4: 97 98 233 10\r\n^D\x08\x08the end: 0\r\n";
    assert!(shown.windows(told.len()).any(|part| part == told), "{}", shown.escape_ascii());
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn latin_1_is_converted_for_a_terminal_of_utf_8() {
    let mut session = Session::of(
        &[env!("CARGO_BIN_EXE_bsd21"), "run", "--charset", "utf8", &image("screen"), "form"],
        &[],
    );
    session.expect("place: ");
    session.gets_raw();
    session.type_in("René\tOrléans\x04");
    session.expect("René of Orléans");
    assert_eq!(session.ends().code(), Some(0));
}

#[test]
fn all_output_arrives_in_its_order() {
    use std::fmt::Write;
    let mut session = Session::start(&[&image("screen"), "bulk", "20000"]);
    // As the fixture makes it.
    let mut expected = String::new();
    for line in 0..20000u32 {
        for n in 0..63u32 {
            let n = line % 64 * 64 + n;
            let _ = write!(
                expected,
                "{}",
                char::from_u32(u32::from(b' ') + (n / 64 + n) % 95).expect("a character")
            );
        }
        expected.push_str("\r\n");
    }
    session.until_shown(expected.len());
    assert!(session.shown == expected, "the output is another one");
    assert_eq!(session.ends().code(), Some(0));
}

#[test]
fn a_terminal_that_is_gone_is_the_end_of_its_keys() {
    let line = format!("trap '' HUP; {} run -q {} lines; :", env!("CARGO_BIN_EXE_bsd21"), image("screen"));
    let mut session = Session::of(&["/bin/sh", "-c", &line], &[]);
    session.expect("lines, please");
    session.gets_raw();
    session.screen = std::fs::File::open("/dev/null").expect("a device").into();
    let until = std::time::Instant::now() + super::session::PATIENCE;
    while session.child.try_wait().expect("a child").is_none() {
        assert!(std::time::Instant::now() < until, "it lives on without a terminal");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn who_reads_in_the_background_and_cannot_be_continued_is_told_so() {
    let bsd21 = env!("CARGO_BIN_EXE_bsd21");
    let program = image("screen");
    // The subshell that could continue it has ended.
    let line = format!("set -m; (({bsd21} run -q {program} lines </dev/tty; echo status $?) &); sleep 60");
    let mut session = Session::of(&["/bin/bash", "-c", &line], &[]);
    session.expect("the end: -1");
    session.expect("status 0");
}
