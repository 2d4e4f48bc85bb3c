//! Programs on a terminal of the host: its settings are as before whatever happens, shells control their jobs,
//! others attach, and what was typed is recorded.
//!
//! The terminal is a pty of the test, and bsd21 leads a session on it.  Shells need `BSD21_ROOT`, a 386BSD 2.0
//! disk tree, and are skipped by name without it.

#[path = "terminal/attach.rs"]
mod attach;
#[path = "terminal/network.rs"]
mod network;
#[path = "terminal/record.rs"]
mod record;
#[path = "terminal/session.rs"]
mod session;
#[path = "terminal/typing.rs"]
mod typing;
#[path = "terminal/ways_out.rs"]
mod ways_out;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use session::Session;

/// A guest program of ours.
fn image(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin").join(name);
    path.to_str().expect("a name").to_owned()
}

fn raw(options: &[&str], how: &str) -> Session {
    let mut session = Session::start(&[options, &[&image("raw"), how]].concat());
    session.expect("raw now");
    session
}

#[test]
fn the_terminal_is_as_before_when_the_program_ends() {
    assert_eq!(raw(&[], "exit").ends().code(), Some(0));
    assert_eq!(raw(&[], "die").ends().code(), Some(139));
}

#[test]
fn the_terminal_is_as_before_when_a_limit_ends_the_run() {
    assert_eq!(raw(&["--max-wall", "1"], "wait").ends().code(), Some(124));
}

#[test]
fn the_terminal_is_as_before_when_bsd21_is_told_to_end() {
    for (signal, status) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let mut session = raw(&[], "wait");
        assert!(session.is_raw());
        session.signal(signal);
        assert_eq!(session.ends().code(), Some(status), "{signal:?}");
    }
}

#[test]
fn a_raw_terminal_gives_each_byte() {
    let mut session = raw(&[], "wait");
    session.type_in("a");
    session.expect("read 97");
    session.type_in("q");
    session.expect("read 113");
    assert_eq!(session.ends().code(), Some(0));
}

/// The tree, if there is one that has `program`.
fn tree(test: &str, program: &str) -> Option<PathBuf> {
    let root = std::env::var_os("BSD21_ROOT").map(PathBuf::from);
    let root = root.filter(|root| root.join(program).exists());
    if root.is_none() {
        eprintln!("{test} skipped: BSD21_ROOT is not set, or has no {program}");
    }
    root
}

#[test]
fn the_c_shell_controls_its_jobs() {
    let Some(root) = tree("the_c_shell_controls_its_jobs", "bin/csh") else { return };
    let mut csh = Session::start(&["--root", root.to_str().expect("a name"), "/bin/csh", "-f"]);
    csh.expect("# ");
    csh.type_in("sleep 50\n");
    csh.expect("sleep 50\r\n");
    std::thread::sleep(Duration::from_millis(500));
    csh.type_in("\x1a");
    csh.expect("Suspended");
    csh.expect("# ");
    csh.type_in("bg\n");
    csh.expect("sleep 50 &");
    csh.expect("# ");
    csh.type_in("jobs\n");
    csh.expect("Running");
    csh.expect("# ");
    csh.type_in("fg %1\n");
    csh.expect("sleep 50\r\n");
    std::thread::sleep(Duration::from_millis(500));
    csh.type_in("\x03");
    csh.expect("# ");
    // A background job that reads is stopped by SIGTTIN until it is in the foreground.
    csh.type_in("cat &\n");
    csh.expect("# ");
    std::thread::sleep(Duration::from_millis(500));
    csh.type_in("jobs\n");
    csh.expect("Suspended (tty input)");
    csh.expect("# ");
    csh.type_in("fg\n");
    csh.expect("cat\r\n");
    csh.type_in("to the cat\n");
    csh.expect("to the cat\r\nto the cat\r\n");
    csh.type_in("\x04");
    csh.expect("# ");
    csh.type_in("exit\n");
    assert_eq!(csh.ends().code(), Some(0));
}

#[test]
fn bash_controls_its_jobs() {
    let Some(root) = tree("bash_controls_its_jobs", "usr/local/bin/bash") else { return };
    let mut bash = Session::start(&["--root", root.to_str().expect("a name"), "/usr/local/bin/bash"]);
    bash.expect("# ");
    bash.type_in("sleep 50\n");
    bash.expect("sleep 50\r\n");
    std::thread::sleep(Duration::from_millis(500));
    bash.type_in("\x1a");
    bash.expect("Stopped");
    bash.expect("# ");
    bash.type_in("bg\n");
    bash.expect("sleep 50 &");
    bash.expect("# ");
    bash.type_in("fg\n");
    bash.expect("sleep 50\r\n");
    std::thread::sleep(Duration::from_millis(500));
    bash.type_in("\x03");
    bash.expect("# ");
    bash.type_in("cat &\n");
    bash.expect("# ");
    std::thread::sleep(Duration::from_millis(500));
    bash.type_in("\n");
    bash.expect("Stopped");
    bash.type_in("fg\n");
    bash.expect("cat\r\n");
    bash.type_in("to the cat\n");
    bash.expect("to the cat\r\nto the cat\r\n");
    bash.type_in("\x04");
    bash.expect("# ");
    bash.type_in("exit\n");
    assert_eq!(bash.ends().code(), Some(0));
}

#[test]
fn lines_are_edited_as_at_a_console() {
    let Some(root) = tree("lines_are_edited_as_at_a_console", "bin/cat") else { return };
    let mut cat =
        Session::start(&["--root", root.to_str().expect("a name"), "/bin/sh", "-c", "echo on; exec cat"]);
    cat.expect("on\r\n");
    // What is typed earlier is edited by the host.
    cat.gets_raw();
    // Erase a character and a word, quote a key, kill a line.
    cat.type_in("one twx\x7fo three\x17four \x16\x03\n");
    cat.expect("\r\none two four \x03\r\n");
    cat.type_in("nothing\x15all\n");
    cat.expect("\r\nall\r\n");
    // What was typed ahead is shown again.
    cat.type_in("half\x12");
    cat.expect("^R\r\nhalf");
    cat.type_in(" a line\n\x04");
    cat.expect("half a line\r\n");
    assert_eq!(cat.ends().code(), Some(0));
}

#[test]
fn the_terminal_is_there_where_all_streams_are_redirected() {
    let Some(root) = tree("the_terminal_is_there_where_all_streams_are_redirected", "bin/sh") else { return };
    let line = "(echo to the terminal >/dev/tty) </dev/null >/dev/null 2>&1; read x </dev/tty; echo got $x";
    let mut sh = Session::start(&["--root", root.to_str().expect("a name"), "/bin/sh", "-c", line]);
    sh.expect("to the terminal\r\n");
    sh.type_in("this\n");
    sh.expect("got this\r\n");
    assert_eq!(sh.ends().code(), Some(0));
}

#[test]
fn script_has_a_shell_on_a_pseudo_terminal() {
    let Some(root) = tree("script_has_a_shell_on_a_pseudo_terminal", "usr/bin/script") else { return };
    let script =
        ["--root", root.to_str().expect("a name"), "--env", "SHELL=/bin/csh", "/usr/bin/script", "/dev/null"];
    let mut script = Session::start(&script);
    script.expect("# ");
    script.type_in("tty; stty size\n");
    script.expect("/dev/ttyp");
    script.expect("# ");
    script.type_in("sleep 50\n");
    script.expect("sleep 50\r\n");
    std::thread::sleep(Duration::from_millis(500));
    script.type_in("\x03");
    script.expect("^C");
    script.expect("# ");
    script.type_in("exit\n");
    script.expect("Script done");
    assert_eq!(script.ends().code(), Some(0));
}
