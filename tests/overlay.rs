//! Overlays as a user meets them, and what is left when a run or a commit ends at any moment.
//!
//! The ignored tests do the same at 200 moments each: `cargo test --test overlay -- --ignored`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// A root with a program in it, and room for overlays beside it.
struct World(tempfile::TempDir);

impl World {
    fn new() -> World {
        let world = World(tempfile::tempdir().expect("a directory"));
        fs::create_dir_all(world.at("root/bin")).expect("a directory");
        fs::create_dir_all(world.at("root/etc")).expect("a directory");
        let program = world.at("root/bin/attempt");
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin/attempt"), &program)
            .expect("a copy");
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).expect("its mode");
        fs::write(world.at("root/etc/passwd"), "root:0\n").expect("a file");
        fs::write(world.at("root/etc/motd"), "welcome\n").expect("a file");
        world
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    /// The command that makes calls in the root with an overlay.
    fn guest(&self, overlay: &str, calls: &[String]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bsd21"));
        command.args([
            "run",
            "-q",
            "--root",
            &self.text("root"),
            &format!("--overlay={}", self.text(overlay)),
        ]);
        command.arg("/bin/attempt").args(calls);
        command
    }

    fn run(&self, overlay: &str, calls: &[&str]) -> String {
        let calls: Vec<String> = calls.iter().map(|call| numbered(call)).collect();
        let output = self.guest(overlay, &calls).output().expect("bsd21 runs");
        assert!(output.status.success(), "{calls:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// `bsd21 overlay`.
    fn overlay(&self, words: &[&str], overlay: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bsd21"));
        command.arg("overlay").args(words).arg(self.at(overlay)).output().expect("bsd21 runs")
    }

    fn done(&self, words: &[&str], overlay: &str) -> String {
        let output = self.overlay(words, overlay);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Ends with 125 and one line.
    fn refused(&self, words: &[&str], overlay: &str) -> String {
        let output = self.overlay(words, overlay);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.lines().count()), (Some(125), 1), "{said}");
        said
    }
}

/// A call with its number instead of its name.
fn numbered(call: &str) -> String {
    let (name, rest) = call.split_once(' ').unwrap_or((call, ""));
    match syscalls::sysent::lookup(name) {
        Some(row) => format!("{} {rest}", row.code),
        None => call.to_owned(),
    }
}

/// Names and contents of a tree.
fn tree(at: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![at.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(at).expect("it is below").to_owned();
            let content = if path.is_dir() { Vec::new() } else { fs::read(&path).expect("a file") };
            if path.is_dir() {
                left.push(path);
            }
            found.insert(name, content);
        }
    }
    found
}

#[test]
fn changes_are_kept_shown_and_committed() {
    let world = World::new();
    let before = tree(&world.at("root"));
    world.run(
        "o",
        &["open =/etc/passwd 1", "write $0 =toor 4", "rename =/etc/motd =/etc/issue", "mkdir =/new 0755"],
    );
    world.run("o", &["open =/new/f 0x201 0640", "write $0 =text 4", "chmod =/bin/attempt 04755"]);
    assert_eq!(tree(&world.at("root")), before, "the root is never written");
    let read = world.run("o", &["open =/etc/passwd 0", "read $0 @ 100", "show"]);
    assert!(read.contains("shown: toor:0"), "{read}");
    let told = world.done(&["diff"], "o");
    let wanted = [
        "C /bin/attempt (mode 755 -> 4755, nothing -> mode=4755)",
        "M /etc/passwd",
        "R /etc/motd -> /etc/issue",
        "A /new/",
        "A /new/f",
    ];
    for line in wanted {
        assert!(told.lines().any(|told| told == line), "{line} in {told}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&world.done(&["diff", "--format", "json"], "o")).expect("JSON");
    let list = json.as_array().expect("a list");
    assert!(list.iter().any(|d| d["change"] == "moved" && d["from"] == "/etc/motd" && d["kind"] == "file"));
    assert_eq!(list.len(), told.lines().count());
    world.done(&["commit"], "o");
    assert_eq!(fs::read_to_string(world.at("root/etc/passwd")).expect("a file"), "toor:0\n");
    assert_eq!(fs::read_to_string(world.at("root/etc/issue")).expect("a file"), "welcome\n");
    let mode = fs::metadata(world.at("root/bin/attempt")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o7777, 0o755, "set-id bits stay inside");
    assert_eq!(world.done(&["diff"], "o"), "");
    world.done(&["drop"], "o");
    assert!(!world.at("o").exists());
}

#[test]
fn a_mapping_follows_the_copy() {
    let world = World::new();
    let printed = world.run(
        "o",
        &[
            "open =/etc/motd 0",
            "mmap 0 4096 1 1 $0 0 0 0",
            "mmap 0 4096 1 2 $0 0 0 0",
            "open =/etc/motd 1",
            "write $3 =HELLO 5",
            "write 1 $1 8",
            "write 1 $2 8",
            "read $0 @ 8",
            "show",
        ],
    );
    assert_eq!(printed.matches("HELLOme").count(), 3, "{printed}");
}

#[test]
fn a_capture_follows_nothing_that_was_planted() {
    let world = World::new();
    fs::write(world.at("victim"), "whole").expect("a file");
    let victim = world.text("victim");
    let calls = [
        format!("symlink ={victim} =/case/link"),
        "symlink =../../../../victim =/case/up".to_owned(),
        "mkdir =/case/d 0755".to_owned(),
        format!("symlink ={} =/case/d/directory", world.0.path().display()),
        "mkfifo =/case/fifo 0666".to_owned(),
    ];
    for _ in 0..2 {
        let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
            .args([
                "capture",
                "--force",
                "-o",
                &world.text("case"),
                "--root",
                &world.text("root"),
                "/bin/attempt",
            ])
            .args(calls.iter().map(|call| numbered(call)))
            .output()
            .expect("bsd21 runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 125)) && !said.contains("panicked"), "{said}");
        assert_eq!(fs::read_to_string(world.at("victim")).expect("a file"), "whole");
        let here = fs::read_dir(world.0.path()).expect("a directory").count();
        assert!(here <= 3, "only the case is new");
    }
}

#[test]
fn wishes_that_exclude_each_other_are_one_line() {
    let world = World::new();
    let root = world.text("root");
    let ro = format!("{root}:ro");
    let mount = format!("{root}:/x");
    let inside = format!("--overlay={root}/o");
    for options in [
        &["--root", &root, "--overlay", "--read-only"][..],
        &["--root", &ro, "--overlay"],
        &["--overlay"],
        &["--root", &ro, "--mount", &mount],
        &["--root", &root, "--mount", &format!("{root}/etc:/x"), "--mount", &format!("{root}/bin:/x/")],
        &["--root", &root, "--mount", &format!("{root}:/")],
        &["--root", &root, "--mount", &format!("{root}/etc:/dev")],
        &["--root", &root, &inside],
        &[
            "--root",
            &root,
            "--mount",
            &format!("{}:/x", world.0.path().display()),
            &format!("--overlay={}", world.text("o")),
        ],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
            .arg("run")
            .args(options)
            .arg("/bin/attempt")
            .output()
            .expect("bsd21 runs");
        let said = String::from_utf8_lossy(&output.stderr);
        let lines = said.lines().count();
        assert_eq!((output.status.code(), lines), (Some(125), 1), "{options:?}: {said}");
        assert!(!world.at("root/o").exists());
    }
}

#[test]
fn a_private_overlay_leaves_nothing() {
    let world = World::new();
    let before = tree(&world.at("root"));
    fs::create_dir(world.at("temporary")).expect("a directory");
    let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .env("TMPDIR", world.at("temporary"))
        .args(["run", "--root", &world.text("root"), "--overlay", "/bin/attempt"])
        .args(
            ["open =/f 0x201 0644", "write $0 =text 4", "unlink =/etc/passwd", "unlink =/etc/passwd"]
                .map(numbered),
        )
        .output()
        .expect("bsd21 runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("2: 0 errno 0\n3: -1 errno 2\n"), "{printed}");
    assert_eq!(tree(&world.at("root")), before);
    assert!(tree(&world.at("temporary")).is_empty());
}

#[test]
fn what_cannot_be_done_is_one_line() {
    let world = World::new();
    assert!(world.refused(&["diff"], "none").contains("No such file or directory"));
    assert!(world.refused(&["drop"], "root").contains("neither empty nor an overlay"));
    world.run("o", &["getpid"]);
    let lock = fs::File::open(world.at("o/lock")).expect("the lock");
    lock.lock().expect("nobody has it");
    assert!(world.refused(&["commit"], "o").contains("in use by another run"));
    drop(lock);
    fs::rename(world.at("root"), world.at("elsewhere")).expect("a rename");
    assert!(world.refused(&["diff"], "o").contains("its root"), "the root is gone");
    world.done(&["drop"], "o");
}

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Lets a command run for a moment and kills it; tells whether it had ended before.
fn kill_after(command: &mut Command, moment: Duration) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    std::thread::sleep(moment);
    let ended = child.try_wait().expect("its state").is_some();
    child.kill().expect("it is killed");
    child.wait().expect("its end");
    ended
}

/// A guest that saves a file again and again, as an editor does: written whole under another name, and renamed.
/// Each version is also linked and its mode changed.  Whenever it ends, the file is some version, whole.
fn writes_end_anywhere(moments: u64, seed: u64) {
    let world = World::new();
    let before = tree(&world.at("root"));
    let mut numbers = Numbers(seed);
    let mut killed = 0;
    world.run("o", &["open =/f 0x201 0644", "write $0 =version-begin-end 17"]);
    for moment in 0..moments {
        let mut calls = Vec::new();
        for version in 0..12 {
            let text = format!("version-{moment}-{version}-{}-end", "x".repeat(100));
            for call in [
                "open =/new 0x601 0644".to_owned(),
                format!("write ${} ={text} {}", calls.len(), text.len()),
                format!("close ${}", calls.len()),
                "rename =/new =/f".to_owned(),
                "chmod =/f 0600".to_owned(),
            ] {
                calls.push(numbered(&call));
            }
        }
        let ended = kill_after(&mut world.guest("o", &calls), Duration::from_micros(numbers.below(60_000)));
        killed += u64::from(!ended);
        let told = world.run("o", &["open =/f 0", "read $0 @ 1000", "show"]);
        let shown = told.lines().find_map(|line| line.strip_prefix("shown: ")).expect("it is there");
        assert!(shown.starts_with("version-") && shown.ends_with("-end"), "at {moment}: {told}");
        world.done(&["diff"], "o");
        assert_eq!(tree(&world.at("root")), before, "the root is never written");
    }
    println!("{killed} of {moments} runs were killed before their end");
    world.done(&["commit"], "o");
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp");
    assert!(copied.success());
}

/// A commit of changed, new, moved and removed files: whenever it ends, each file is the old or the new one, and
/// a second commit does the rest.
fn commits_end_anywhere(moments: u64, seed: u64) {
    let world = World::new();
    let old = "old".repeat(3000);
    for file in 0..20 {
        fs::write(world.at(&format!("root/etc/f{file}")), &old).expect("a file");
    }
    for from in [0, 10] {
        let mut calls = Vec::new();
        for file in from..from + 10 {
            calls.push(format!("open =/etc/f{file} 1"));
            calls.push(format!("write ${} =new 3", calls.len() - 1));
        }
        for file in from..from + 4 {
            calls.push(format!("rename =/etc/f{file} =/moved{file}"));
        }
        calls.push(format!("unlink =/etc/f{}", from + 5));
        calls.push(format!("open =/etc/added{from} 0x201 0644"));
        calls.push(format!("write ${} =new 3", calls.len() - 1));
        let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
        world.run("o", &calls);
    }
    let new = format!("new{}", &old[3..]);
    let mut numbers = Numbers(seed);
    let mut killed = 0;
    copy(&world.at("root"), &world.at("saved.root"));
    copy(&world.at("o"), &world.at("saved.o"));
    world.done(&["commit"], "o");
    let wanted = tree(&world.at("root"));
    for moment in 0..moments {
        for name in ["root", "o"] {
            fs::remove_dir_all(world.at(name)).expect("it goes");
            copy(&world.at(&format!("saved.{name}")), &world.at(name));
        }
        // Times of the copies are those of the originals: nothing seems to have changed below.
        let mut command = Command::new(env!("CARGO_BIN_EXE_bsd21"));
        command.args(["overlay", "commit"]).arg(world.at("o"));
        let ended = kill_after(&mut command, Duration::from_micros(numbers.below(40_000)));
        killed += u64::from(!ended);
        for (path, content) in tree(&world.at("root")) {
            let name = path.display().to_string();
            let whole = content == old.as_bytes() || content == new.as_bytes() || content == b"new";
            let ours = name.starts_with(".bsd21-commit") || name.contains("/.bsd21-commit");
            let of_change =
                name.starts_with("etc/f") || name.starts_with("moved") || name.starts_with("etc/added");
            assert!(whole || ours || !of_change, "{name} is half written at {moment}");
        }
        world.done(&["commit"], "o");
        assert_eq!(tree(&world.at("root")), wanted, "at {moment}");
    }
    println!("{killed} of {moments} commits were killed before their end");
}

#[test]
fn a_killed_run_leaves_a_tree_that_was() {
    writes_end_anywhere(6, 13);
}

#[test]
fn a_killed_commit_leaves_whole_files_and_goes_on() {
    commits_end_anywhere(8, 14);
}

#[test]
#[ignore = "some minutes: 200 runs killed at random moments"]
fn runs_killed_at_200_moments() {
    writes_end_anywhere(200, 2026);
}

#[test]
#[ignore = "some minutes: 200 commits killed at random moments"]
fn commits_killed_at_200_moments() {
    commits_end_anywhere(200, 2027);
}

/// Runs the program of the fixtures in the host's root, read-only.
fn in_host_root(options: &[&str], calls: &[&str]) -> (String, String) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin/attempt");
    let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(["run", "-q", "--root", "/", "--read-only"])
        .args(options)
        .arg(program)
        .args(calls.iter().map(|call| numbered(call)))
        .output()
        .expect("bsd21 runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn special_file_systems_are_empty_unless_they_are_lent() {
    if fs::metadata("/proc/self/environ").is_err() || fs::metadata("/sys/kernel").is_err() {
        eprintln!("skipped: no /proc or no /sys here");
        return;
    }
    let (printed, said) = in_host_root(
        &[],
        &[
            "open =/proc/self/environ 0",
            "open =/sys/kernel 0",
            "open =/sys 0",
            "getdirentries $2 @ 512 @",
            "open =/proc/sys/kernel/hostname 1",
            "mkdir =/sys/x 0755",
        ],
    );
    assert!(printed.starts_with("0: -1 errno 2\n1: -1 errno 2\n2: 3 errno 0\n"), "{printed}{said}");
    assert!(printed.ends_with("4: -1 errno 2\n5: -1 errno 30\n"), "{printed}");
    let (printed, said) =
        in_host_root(&["--mount-special", "/proc:/proc"], &["open =/proc/version 0", "read $0 @ 20"]);
    assert!(printed.starts_with("0: 3 errno 0\n1: 20 errno 0\n"), "{printed}{said}");
    let (printed, said) = in_host_root(&["--mount", "/proc:/x"], &["getpid"]);
    assert!(printed.is_empty() && said.contains("--mount-special"), "{said}");
}

#[test]
fn a_trace_does_not_follow_what_was_planted() {
    let world = World::new();
    fs::write(world.at("victim"), "whole").expect("a file");
    for pid in 0..40 {
        std::os::unix::fs::symlink("../victim", world.at(&format!("root/t.{pid}"))).expect("a link");
        fs::hard_link(world.at("victim"), world.at(&format!("root/h.{pid}"))).expect("a link");
    }
    for name in ["t", "h"] {
        let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
            .args([
                "trace",
                "--clock",
                "virtual",
                "-ff",
                "-o",
                &world.text(&format!("root/{name}")),
                "--root",
                &world.text("root"),
            ])
            .args(["/bin/attempt", "fork", "20"])
            .output()
            .expect("bsd21 runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("-o ") && output.status.success(), "{said}");
        assert_eq!(fs::read_to_string(world.at("victim")).expect("a file"), "whole");
    }
}

/// Runs a command in a mount name space without /proc, where that can be done.
fn without_proc(command: &str) -> Option<Output> {
    let script = format!("mount -t tmpfs none /proc && exec {command}");
    let can = Command::new("unshare").args(["-rm", "sh", "-c", "mount -t tmpfs none /proc"]).output().ok()?;
    if !can.status.success() {
        return None;
    }
    Command::new("unshare").args(["-rm", "sh", "-c", &script]).output().ok()
}

#[test]
fn without_proc_everything_works() {
    let world = World::new();
    let calls = [
        "open =/new 0x202 0640",
        "write $0 =text 4",
        "rename =/new =/other",
        "chmod =/other 0400",
        "open =/other 2",
        "write $4 =TEXT 4",
        "link =/other =/third",
        "utimes =/third 0",
        "open =/third 0",
        "read $8 @ 100",
        "show",
        "mkdir =/d 0700",
        "mknod =/d/n 020600 0x202",
        "stat =/d/n @",
        "truncate =/other 0 2 0",
    ]
    .map(numbered)
    .map(|call| format!("'{call}'"))
    .join(" ");
    let own = format!("{} run -q --root {}", env!("CARGO_BIN_EXE_bsd21"), world.text("root"));
    for options in ["--overlay", ""] {
        let Some(output) = without_proc(&format!("{own} {options} /bin/attempt {calls}")) else {
            eprintln!("skipped: no mount name spaces here");
            return;
        };
        let printed = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(printed.contains("shown: TEXT\n"), "{printed}{said}");
        assert!(!printed.contains(": -1 errno"), "{printed}{said}");
    }
}
