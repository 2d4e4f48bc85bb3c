//! Files that a run shares with other runs and with programs of the host: `docs/files.md` has the rules.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::fcntl::{FcntlArg, fcntl};
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

fn image(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin").join(name)
}

fn scratch() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// A run in a directory of the host, which the guest sees.
fn command(dir: &Path, options: &[&str], program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bsd21"));
    command.current_dir(dir).args(["run", "--max-wall", "120"]).args(options).arg(image(program)).args(args);
    command
}

fn output(dir: &Path, options: &[&str], program: &str, args: &[&str]) -> String {
    let output = command(dir, options, program, args).output().expect("bsd21 runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn sharing(dir: &Path, args: &[&str]) -> String {
    output(dir, &["-q"], "sharing", args)
}

/// A run that goes on beside the test.
struct Beside {
    child: Child,
    input: Option<ChildStdin>,
    lines: BufReader<ChildStdout>,
}

impl Beside {
    fn new(dir: &Path, options: &[&str], args: &[&str]) -> Beside {
        let mut command = command(dir, options, "sharing", args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bsd21 runs");
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
        Beside { child, input, lines: BufReader::new(output) }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Lets it end, and gives what else it said.
    fn end(mut self) -> String {
        self.input = None;
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("text");
        assert!(self.child.wait().expect("it ends").success());
        rest
    }
}

/// Somebody who holds `locked` in another run.
fn holder(dir: &Path, how: &str) -> Beside {
    let mut holder = Beside::new(dir, &[], &["hold", how]);
    assert_eq!(holder.line(), "held", "{how}");
    holder
}

#[test]
fn lines_that_several_programs_append_are_all_there() {
    const LINES: usize = 4000;
    let dir = scratch();
    let runs: Vec<Child> = ["A", "B"]
        .iter()
        .map(|who| {
            let args = ["append", who, "4000"];
            command(dir.path(), &["-q"], "sharing", &args).spawn().expect("bsd21 runs")
        })
        .collect();
    let mut log = OpenOptions::new().append(true).create(true).open(dir.path().join("log")).expect("the log");
    for n in 0..LINES {
        let line = format!("{n:06}{}\n", "h".repeat(25));
        assert_eq!(log.write(line.as_bytes()).expect("it is written"), 32);
        std::thread::yield_now();
    }
    for mut run in runs {
        assert!(run.wait().expect("it ends").success());
    }
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for line in fs::read_to_string(dir.path().join("log")).expect("text").lines() {
        *found.entry(line.to_owned()).or_default() += 1;
    }
    for who in ["A", "B", "h"] {
        let there =
            (0..LINES).filter(|n| found.get(&format!("{n:06}{}", who.repeat(25))) == Some(&1)).count();
        assert_eq!(there, LINES, "lines of {who}");
    }
    assert_eq!(found.len(), 3 * LINES, "nothing else");
}

#[test]
fn appending_shares_a_file_with_writers_at_offsets_and_keeps_the_limit() {
    let dir = scratch();
    sharing(dir.path(), &["append", "A", "3"]);
    let log = OpenOptions::new().write(true).open(dir.path().join("log")).expect("the log");
    std::os::unix::fs::FileExt::write_all_at(&log, b"XX", 0).expect("it is written");
    sharing(dir.path(), &["append", "B", "1"]);
    let text = fs::read_to_string(dir.path().join("log")).expect("text");
    assert_eq!((text.len(), &text[..8], &text[96..103]), (128, "XX0000AA", "000000B"));
}

#[test]
fn creating_without_excl_never_finds_that_the_file_exists() {
    let dir = scratch();
    let args = ["create", "3000"];
    let runs: Vec<Child> = (0..2)
        .map(|_| {
            let mut run = command(dir.path(), &["-q"], "sharing", &args);
            run.stdout(Stdio::piped()).spawn().expect("bsd21 runs")
        })
        .collect();
    let busy = dir.path().join("busy");
    for _ in 0..3000 {
        let _ = File::create(&busy);
        let _ = fs::remove_file(&busy);
    }
    for run in runs {
        let said = run.wait_with_output().expect("it ends").stdout;
        assert_eq!(String::from_utf8_lossy(&said), "0 of 3000 opens failed, error 0\n");
    }
}

#[test]
fn names_that_several_runs_make_and_remove_give_only_errors_of_races() {
    let dir = scratch();
    let runs: Vec<Child> = (0..3)
        .map(|_| {
            let mut run = command(dir.path(), &["-q"], "sharing", &["names", "700"]);
            run.stdout(Stdio::piped()).spawn().expect("bsd21 runs")
        })
        .collect();
    for run in runs {
        let said = run.wait_with_output().expect("it ends").stdout;
        assert_eq!(String::from_utf8_lossy(&said), "done\n");
    }
}

const FREE: &str = "read: 0 error 0, nobody\nwrite: 0 error 0, nobody\nflock: 0 error 0\nflock shared: 0 error 0\n\
    open: granted error 0\n";
const TAKEN: &str = "read: -1 error 35, type 3 from 0 for 0, process -1\nwrite: -1 error 35, type 3 from 0 for 0, \
    process -1\nflock: -1 error 35\nflock shared: -1 error 35\nopen: refused error 35\n";

#[test]
fn a_lock_of_one_run_keeps_another_one_out_until_it_ends() {
    for how in ["fcntl", "flock", "open"] {
        let dir = scratch();
        let holder = holder(dir.path(), how);
        assert_eq!(sharing(dir.path(), &["try"]), TAKEN, "{how}");
        assert_eq!(holder.end(), "");
        assert_eq!(sharing(dir.path(), &["try"]), FREE, "{how}");
    }
}

#[test]
fn parts_and_shared_locks_forbid_what_they_must() {
    let dir = scratch();
    let part = holder(dir.path(), "part");
    let told = sharing(dir.path(), &["try"]);
    assert!(told.starts_with("read: -1 error 35, type 3 from 2 for 8, process -1\n"), "{told}");
    part.end();
    let shared = holder(dir.path(), "flock-shared");
    assert_eq!(
        sharing(dir.path(), &["try"]),
        "read: 0 error 0, nobody\nwrite: -1 error 35, type 1 from 0 for 0, process -1\n\
         flock: -1 error 35\nflock shared: 0 error 0\nopen: refused error 35\n"
    );
    shared.end();
}

#[test]
fn a_run_that_is_killed_leaves_no_lock() {
    let dir = scratch();
    let mut holder = holder(dir.path(), "fcntl");
    holder.child.kill().expect("it can be killed");
    holder.child.wait().expect("it ends");
    assert_eq!(sharing(dir.path(), &["try"]), FREE);
}

#[test]
fn whoever_waits_gets_the_lock_when_another_run_lets_it_go() {
    for how in ["fcntl", "flock", "open"] {
        let dir = scratch();
        let holder = holder(dir.path(), how);
        let mut waiting = Beside::new(dir.path(), &[], &["wait", how]);
        assert_eq!(waiting.line(), "waiting");
        holder.end();
        assert_eq!(waiting.end(), "got it\n", "{how}");
    }
}

/// Whether a program of the host may lock the whole file: as `flock` does, and as record locks are.
fn free_on_the_host(dir: &Path) -> (bool, bool) {
    let file = OpenOptions::new().read(true).write(true).open(dir.join("locked")).expect("the file");
    let whole = libc::flock { l_type: libc::F_WRLCK as i16, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
    let records = fcntl(&file, FcntlArg::F_SETLK(&whole)).is_ok();
    (flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok(), records)
}

#[test]
fn programs_of_the_host_are_kept_out_too() {
    // Who holds, and what flock and a record lock of the host then find.
    for (how, flock, records) in [("fcntl", true, false), ("flock", false, false), ("open", false, false)] {
        let dir = scratch();
        let holder = holder(dir.path(), how);
        assert_eq!(free_on_the_host(dir.path()), (flock, records), "{how}");
        holder.end();
        assert_eq!(free_on_the_host(dir.path()), (true, true), "{how}");
    }
}

#[test]
fn locks_of_the_host_keep_the_guest_out() {
    let dir = scratch();
    let file = File::create(dir.path().join("locked")).expect("the file");
    flock(&file, FlockOperation::NonBlockingLockExclusive).expect("the lock");
    let told = sharing(dir.path(), &["try"]);
    assert!(told.contains("flock: -1 error 35\nflock shared: -1 error 35\nopen: refused"), "{told}");
    flock(&file, FlockOperation::Unlock).expect("the lock");
    let range = libc::flock { l_type: libc::F_WRLCK as i16, l_whence: 0, l_start: 4, l_len: 2, l_pid: 0 };
    fcntl(&file, FcntlArg::F_SETLK(&range)).expect("the lock");
    let told = sharing(dir.path(), &["try"]);
    assert!(told.starts_with("read: -1 error 35, type 3 from 4 for 2, process -1\n"), "{told}");
    assert!(
        told.contains("flock: -1 error 35\n"),
        "flock and record locks exclude each other in 2.1: {told}"
    );
    let mut waiting = Beside::new(dir.path(), &[], &["wait", "fcntl"]);
    assert_eq!(waiting.line(), "waiting");
    drop(file);
    assert_eq!(waiting.end(), "got it\n");
}

#[test]
fn a_repeatable_run_neither_sees_nor_shows_locks() {
    let dir = scratch();
    let holder = holder(dir.path(), "flock");
    let virtual_run = ["-q", "--clock", "virtual"];
    assert_eq!(output(dir.path(), &virtual_run, "sharing", &["try"]), FREE);
    holder.end();
    let mut holder = Beside::new(dir.path(), &virtual_run, &["hold", "flock"]);
    // Its input is read whole before it begins, and what it says comes when it ends.
    holder.input = None;
    assert_eq!(holder.end(), "held\n");
}

/// Two mounts that show the same files, and a third file.
fn two_mounts() -> (TempDir, Vec<String>) {
    let dir = scratch();
    for name in ["data", "data/sub"] {
        fs::create_dir(dir.path().join(name)).expect("a directory");
    }
    fs::write(dir.path().join("data/f"), "precious\n").expect("a file");
    fs::write(dir.path().join("data/sub/g"), "g\n").expect("a file");
    fs::hard_link(dir.path().join("data/f"), dir.path().join("data/sub/f")).expect("a link");
    let data = dir.path().join("data").display().to_string();
    let mounts = ["--mount", &format!("{data}:/one"), "--mount", &format!("{data}:/two"), "--mount"];
    let mut mounts: Vec<String> = mounts.iter().map(|&option| option.to_owned()).collect();
    mounts.push(format!("{data}/sub:/sub"));
    (dir, mounts)
}

#[test]
fn a_file_is_one_file_through_every_mount() {
    let (dir, mounts) = two_mounts();
    let mut options = vec!["-q"];
    options.extend(mounts.iter().map(String::as_str));
    let same = |a: &str, b: &str| output(dir.path(), &options, "sharing", &["same", a, b]);
    assert_eq!(same("/one/f", "/two/f"), "one file\n");
    assert_eq!(same("/one/f", "/sub/f"), "one file\n");
    assert_eq!(same("/one/sub", "/sub"), "one file\n");
    assert_eq!(same("data/f", "/sub/f"), "one file\n", "the current directory is a mount, too");
    assert_eq!(same("/one", "/sub"), "two files\n");
    assert_eq!(same("/one/f", "/sub/g"), "two files\n");
    assert_eq!(same("/", "/one"), "two files\n");
}

/// The old tree, copied without what is large: only its commands and libraries.
fn old_root() -> Option<PathBuf> {
    let root = std::env::var_os("BSD21_ROOT").map(PathBuf::from);
    if root.is_none() {
        eprintln!("skipped: BSD21_ROOT names no old tree");
    }
    root
}

#[test]
fn cp_finds_that_two_mounts_show_one_file_and_pwd_finds_its_way() {
    let Some(root) = old_root() else { return };
    let (dir, mounts) = two_mounts();
    let root = root.display().to_string();
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bsd21"));
        command.args(["run", "-q", "--root", &root]).args(&mounts).args(args).output().expect("bsd21 runs")
    };
    let told = run(&["/bin/cp", "/one/f", "/sub/f"]);
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(!told.status.success() && said.contains("identical"), "{said}");
    assert_eq!(fs::read_to_string(dir.path().join("data/f")).expect("it is there"), "precious\n");
    for place in ["/one/sub", "/sub", "/usr/share", "/"] {
        let told = run(&["/bin/sh", "-c", &format!("cd {place}; /bin/pwd")]);
        let said = String::from_utf8_lossy(&told.stdout).into_owned();
        // One directory may have several names; the one that is found leads there.
        let right = ["/one/sub", "/two/sub", "/sub"].contains(&place);
        assert!(said.trim_end() == place || right && said.trim_end().ends_with("/sub"), "{place}: {said}");
    }
}

#[test]
fn the_entry_of_a_covered_directory_has_the_number_that_stat_shows() {
    let dir = scratch();
    for name in ["there", "other"] {
        fs::create_dir(dir.path().join(name)).expect("a directory");
    }
    let root = dir.path().display().to_string();
    fs::copy(image("sharing"), dir.path().join("sharing")).expect("a copy");
    let mount = format!("{root}/other:/there");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bsd21"));
    command.args(["run", "-q", "--root", &root, "--mount", &mount, "/sharing", "inode", "there"]);
    let told = command.output().expect("bsd21 runs");
    assert_eq!(String::from_utf8_lossy(&told.stdout), "the same\n");
}

#[test]
fn positions_in_a_directory_survive_removals() {
    let dir = scratch();
    assert_eq!(output(dir.path(), &["-q"], "seekdir", &[]), "ok\n");
    assert_eq!(output(dir.path(), &["-q", "--clock", "virtual"], "seekdir", &[]), "ok\n");
}

#[test]
fn code_that_others_change_in_shared_memory_runs_as_it_is_now() {
    let dir = scratch();
    assert_eq!(output(dir.path(), &["-q"], "shcode", &[]), "ok\n");
}

#[test]
fn thousands_of_arguments_make_the_stack_grow() {
    let dir = scratch();
    let image = image("manyargs").display().to_string();
    for n in [1, 5000, 22_000, 32_000] {
        let told = output(dir.path(), &["-q"], "manyargs", &[&image, &n.to_string()]);
        assert_eq!(told, format!("{n} arguments, {n} right, A=1\n"));
    }
    let told = command(dir.path(), &["-q"], "manyargs", &[&image, "33000"]).output().expect("bsd21 runs");
    assert_eq!(String::from_utf8_lossy(&told.stdout), "error 7\n", "64 KB are the limit of the strings");
}

#[test]
fn a_file_of_the_far_future_is_newer_than_any_of_today() {
    let dir = scratch();
    let file = File::create(dir.path().join("late")).expect("a file");
    let late = std::time::UNIX_EPOCH + std::time::Duration::from_secs(4_000_000_000);
    file.set_modified(late).expect("the host keeps it");
    assert_eq!(file.metadata().expect("it is there").mtime(), 4_000_000_000);
    let Some(root) = old_root() else { return };
    let root = root.display().to_string();
    let mount = format!("{}:/data", dir.path().display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_bsd21"));
    command.args(["run", "-q", "--root", &root, "--mount", &mount, "/bin/ls", "-lT", "/data/late"]);
    let told = command.output().expect("bsd21 runs");
    let said = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(said.contains("2038"), "{said}");
}
