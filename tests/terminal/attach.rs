//! The control socket, attaching to a running machine, and logging in.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use super::session::Session;
use super::{image, tree};

fn bsd21(args: &[&str], runtime: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(args)
        .env("XDG_RUNTIME_DIR", runtime)
        .stdin(Stdio::null())
        .output()
        .expect("bsd21")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_machine_with_a_name_can_be_asked() {
    let directory = tempfile::tempdir().expect("a directory");
    let runtime = directory.path().to_str().expect("a name");
    let command = [env!("CARGO_BIN_EXE_bsd21"), "run", "--attach", "old", &image("raw"), "wait"];
    let mut session = Session::of(&command, &[("XDG_RUNTIME_DIR", runtime)]);
    session.expect("raw now");
    let socket = directory.path().join("bsd21/old");
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("it").permissions().mode() & 0o777;
    assert_eq!((mode(&socket), mode(&directory.path().join("bsd21"))), (0o600, 0o700));
    assert_eq!(text(&bsd21(&["attach"], runtime).stdout), "old\n");
    let listed = text(&bsd21(&["attach", "old", "--list"], runtime).stdout);
    assert!(listed.contains("PID TT  STAT COMMAND") && listed.contains(" v0  S    raw"), "{listed}");
    // There is no shell beside the fixtures.
    let refused = bsd21(&["attach", "old"], runtime);
    assert_eq!(refused.status.code(), Some(125));
    assert!(text(&refused.stderr).contains("/bin/sh is not in the root"), "{}", text(&refused.stderr));
    let second = bsd21(&["run", "--attach", "old", &image("hello")], runtime);
    assert!(text(&second.stderr).contains("--attach old: a running machine has this name"));
    let other = bsd21(&["attach", "new", "--list"], runtime);
    assert!(text(&other.stderr).contains("no running machine has this name; there are: old"));
    session.type_in("q");
    session.ends();
    assert!(!socket.exists(), "the name goes with the machine");
}

#[test]
fn names_need_a_place_and_a_clock() {
    let place = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(["run", "--attach", "x", &image("hello")])
        .env_remove("XDG_RUNTIME_DIR")
        .output()
        .expect("bsd21");
    assert!(text(&place.stderr).contains("XDG_RUNTIME_DIR is not set"), "{}", text(&place.stderr));
    let clock = bsd21(&["run", "--clock", "virtual", "--attach", "x", &image("hello")], "/tmp");
    assert!(text(&clock.stderr).contains("--clock virtual"), "{}", text(&clock.stderr));
}

#[test]
fn a_person_logs_in_and_another_attaches() {
    let Some(root) = tree("a_person_logs_in_and_another_attaches", "bin/csh") else { return };
    let root = root.to_str().expect("a name").to_owned();
    let directory = tempfile::tempdir().expect("a directory");
    let runtime = directory.path().to_str().expect("a name");
    let env = [("XDG_RUNTIME_DIR", runtime), ("TERM", "xterm-256color")];
    let bsd21 = env!("CARGO_BIN_EXE_bsd21");
    let command = [bsd21, "shell", "--root", &root, "--overlay", "--attach", "old"];
    let mut first = Session::of(&command, &env);
    first.expect("# ");
    first.type_in("echo $TERM $HOME; tty\n");
    first.expect("xterm /root\r\n/dev/ttyv0\r\n");
    let mut second = Session::of(&[bsd21, "attach", "old"], &env);
    second.expect("# ");
    second.type_in("tty\n");
    second.expect("/dev/ttyv1\r\n");
    first.expect("# ");
    first.type_in("who\n");
    first.expect("ttyv0");
    first.expect("ttyv1");
    first.type_in("~l");
    first.expect("v1  ");
    // Another window is told to whoever is there.
    second.type_in("~?");
    second.expect("~.  detach");
    second.type_in("~.");
    assert_eq!(second.ends().code(), Some(0));
    first.type_in("\nwho | wc -l\n");
    first.expect("1\r\n");
    first.type_in("exit\n");
    assert_eq!(first.ends().code(), Some(0));
}

#[test]
fn nobody_logs_in_whom_the_root_does_not_know() {
    let Some(root) = tree("nobody_logs_in_whom_the_root_does_not_know", "bin/csh") else { return };
    let root = root.to_str().expect("a name");
    let refused = bsd21(&["shell", "--root", root, "--user", "mallory"], "/tmp");
    assert_eq!(refused.status.code(), Some(125));
    assert!(text(&refused.stderr).contains("user mallory: not in the root's /etc/passwd"));
    let ran = bsd21(&["shell", "-q", "--root", root, "--overlay", "--user", "dmr", "-c", "id"], "/tmp");
    assert!(text(&ran.stdout).starts_with("uid=10(dmr) gid=31(guest)"), "{}", text(&ran.stdout));
}
