//! `bsd21 capture` and `bsd21 verify`: that what differs is reported as what it is, and that nothing else matters.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin")
}

fn bsd21(directory: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .current_dir(directory)
        .env_remove("BSD21_ROOT")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("bsd21 runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A directory with copies of some fixture programs in `bin`.
fn place(programs: &[&str]) -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a directory");
    fs::create_dir(place.path().join("bin")).expect("bin");
    for program in programs {
        fs::copy(fixtures().join(program), place.path().join("bin").join(program)).expect(program);
    }
    place
}

/// Captures and says what was printed; the capture must succeed.
fn capture(place: &Path, args: &[&str]) -> String {
    let output = bsd21(place, &[&["capture"], args].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Verifies: exit status and what was printed.
fn verify(place: &Path, args: &[&str]) -> (i32, String) {
    let output = bsd21(place, &[&["verify", "--trust"], args].concat());
    (output.status.code().unwrap_or(-1), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn what_was_captured_passes() {
    let place = place(&["hello", "files", "status"]);
    let at = place.path();
    assert_eq!(capture(at, &["-o", "c/hello", "--", "bin/hello"]), "c/hello: exit 0, 4 calls\n");
    capture(at, &["-o", "c/files", "--input", "bin/hello", "--keep-trace", "--", "bin/files"]);
    let by_signal = capture(at, &["-o", "c/deep/signal", "--", "bin/status", "signal", "11"]);
    assert!(by_signal.starts_with("c/deep/signal: signal 11 (SIGSEGV), "), "{by_signal}");
    assert_eq!(verify(at, &["c"]), (0, "3 passed\n".to_owned()));
    assert_eq!(verify(at, &["--filter", "hello", "--jobs", "1", "c"]), (0, "1 passed\n".to_owned()));
    let case = fs::read_to_string(at.join("c/hello/case.toml")).expect("a case");
    assert!(case.contains("path = \"../../bin\"") && !case.contains(&*at.to_string_lossy()), "{case}");
}

#[test]
fn a_changed_byte_of_output_is_a_diff() {
    let place = place(&["args"]);
    let at = place.path();
    capture(at, &["-o", "c", "--clear-env", "--argv0", "args", "--", "bin/args", "x"]);
    let path = at.join("c/expected/stdout");
    let changed = fs::read_to_string(&path).expect("stdout").replace("argv[1] x", "argv[1] y");
    fs::write(&path, changed).expect("stdout");
    let (status, said) = verify(at, &["c"]);
    assert_eq!(status, 1);
    let expected = "fail: c\n    stdout differs\n        --- stdout (expected)\n        +++ stdout (now)\n        \
                    @@ -1,4 +1,4 @@\n         argc 2\n         argv[0] args\n        -argv[1] y\n        +argv[1] x\n         \
                    ok\n1 failed: see above\n";
    assert_eq!(said, expected.replace("1 failed: see above", "0 passed, 1 failed"));
    let blessed = verify(at, &["--bless", "c"]);
    assert!(blessed.0 == 0 && blessed.1.starts_with("blessed: c\n    stdout differs\n"), "{blessed:?}");
    assert_eq!(verify(at, &["c"]), (0, "1 passed\n".to_owned()));
}

#[test]
fn a_changed_result_of_a_call_is_shown_behind_five_equal_ones() {
    let place = place(&["files"]);
    let at = place.path();
    for keep in [true, false] {
        let trace: &[&str] = if keep { &["--keep-trace"] } else { &[] };
        capture(at, &[&["--force", "-o", "c"], trace, &["--", "bin/files"]].concat());
        // The run is another one from the tenth call on: its umask.
        let path = at.join("c/expected/calls");
        let mut calls = fs::read(&path).expect("calls");
        let tenth = 28 + 6 * 9;
        calls[tenth + 2] ^= 1;
        fs::write(&path, calls).expect("calls");
        let (status, said) = verify(at, &["c"]);
        assert_eq!(status, 1, "{said}");
        let lines: Vec<&str> = said.lines().map(str::trim_start).collect();
        assert!(lines[1].starts_with("calls: number 10: "), "{said}");
        assert!(lines[2..7].iter().all(|line| line.starts_with("5 ") && line.contains(") = ")), "{said}");
        let recorded = if keep { "- 5 " } else { "- (capture --keep-trace would have kept this line)" };
        assert!(lines[7].starts_with(recorded) && lines[8].starts_with("+ 5 "), "{said}");
    }
}

#[test]
fn an_input_that_changed_is_a_call_that_differs() {
    let place = place(&["sockvec"]);
    let at = place.path();
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/vectors/socket/named.vec");
    let some: String =
        fs::read_to_string(vectors).expect("vectors").lines().take(40).collect::<Vec<_>>().join("\n");
    fs::write(at.join("some.vec"), format!("{some}\n")).expect("an input");
    capture(at, &["-o", "c", "--keep-trace", "--input", "some.vec", "--", "bin/sockvec", "some.vec"]);
    fs::write(at.join("c/files/some.vec"), format!("# {some}\n")).expect("an input");
    let (status, said) = verify(at, &["c"]);
    assert!(status == 1 && said.contains("    calls: number "), "{said}");
    let read = said.lines().find(|line| line.trim_start().starts_with("+ ")).unwrap_or_default();
    assert!(read.contains(" read("), "{said}");
}

#[test]
fn a_program_that_is_absent_or_another_one_is_a_skip() {
    let place = place(&["hello", "args"]);
    let at = place.path();
    capture(at, &["-o", "c", "--", "bin/hello"]);
    fs::copy(at.join("bin/args"), at.join("bin/hello")).expect("another program");
    let (status, said) = verify(at, &["c"]);
    assert!(
        status == 1 && said.starts_with("skip: c: /hello is another file than the recorded one: "),
        "{said}"
    );
    fs::remove_file(at.join("bin/hello")).expect("it is there");
    let (status, said) = verify(at, &["c"]);
    let looked = at.canonicalize().expect("a name").join("bin/hello");
    let expected =
        format!("skip: c: /hello is not there (looked for {})\n0 passed, 1 skipped\n", looked.display());
    assert!(status == 1 && said.starts_with(&expected), "{said}");
    let (status, said) = verify(at, &["--allow-skip", "c"]);
    assert_eq!((status, said), (0, expected));
}

#[test]
fn a_missing_library_is_a_skip_that_names_it() {
    let Some(root) = std::env::var_os("BSD21_ROOT").map(PathBuf::from) else {
        eprintln!("skipped: BSD21_ROOT names no original tree");
        return;
    };
    let files = ["usr/libexec/ld.so", "usr/lib/libc.so.2.2"];
    if !files.iter().all(|file| root.join(file).exists()) {
        eprintln!("skipped: no ld.so and libc.so.2.2 under {}", root.display());
        return;
    }
    let place = place(&["dynamic"]);
    let at = place.path();
    for file in files {
        let to = at.join("root").join(file);
        fs::create_dir_all(to.parent().expect("a parent")).expect("directories");
        fs::copy(root.join(file), to).expect(file);
    }
    let run = ["--root", "root", "--mount", "bin:/programs:ro", "--", "/programs/dynamic"];
    capture(at, &[&["-o", "c"], &run[..]].concat());
    let case = fs::read_to_string(at.join("c/case.toml")).expect("a case");
    for image in ["/programs/dynamic", "/usr/libexec/ld.so", "/usr/lib/libc.so.2.2"] {
        assert!(case.contains(&format!("path = \"{image}\"")), "{image} is needed: {case}");
    }
    assert_eq!(verify(at, &["--root", "root", "c"]), (0, "1 passed\n".to_owned()));
    let (_, said) = verify(at, &["c"]);
    assert!(said.starts_with("skip: c: needs a root: --root DIR, or BSD21_ROOT\n"), "{said}");
    fs::remove_file(at.join("root/usr/lib/libc.so.2.2")).expect("it is there");
    let (status, said) = verify(at, &["--root", "root", "c"]);
    let named = "skip: c: /usr/lib/libc.so.2.2 is not there (looked for root/usr/lib/libc.so.2.2)\n";
    assert!(status == 1 && said.starts_with(named), "{said}");
    assert_eq!(verify(at, &["--allow-skip", "--root", "root", "c"]).0, 0);
}

#[test]
fn a_slow_host_changes_nothing_and_a_limit_is_no_difference() {
    let place = place(&["pipeline"]);
    let at = place.path();
    capture(at, &["-o", "c", "--", "bin/pipeline"]);
    let mut slow = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .current_dir(at)
        .args(["verify", "--trust", "c"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("bsd21 runs");
    // A host that lets the run go on for a moment in each twentieth of a second only.
    let signal = |name: &str| {
        let _ = Command::new("kill").args([name, &slow.id().to_string()]).status();
    };
    for _ in 0..20 {
        signal("-STOP");
        std::thread::sleep(std::time::Duration::from_millis(50));
        signal("-CONT");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let _ = slow.wait();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut slow.stdout.take().expect("a pipe"), &mut said).expect("text");
    assert_eq!(said, "1 passed\n");
    let (status, said) = verify(at, &["--max-wall", "0.0000001", "c"]);
    assert!(status == 1 && said.starts_with("limit: c: --max-wall: the run took longer than "), "{said}");
    assert!(said.ends_with("0 passed, 1 over a limit\n"), "{said}");
}

/// Another clone of a directory: other times, other permissions.
fn clone(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            clone(&path, &copy);
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o700)).expect("a mode");
            continue;
        }
        fs::write(&copy, fs::read(&path).expect("bytes")).expect("a copy");
        let runs = path.metadata().expect("a file").permissions().mode() & 0o100 != 0;
        let mode = fs::Permissions::from_mode(if runs { 0o700 } else { 0o600 });
        fs::set_permissions(&copy, mode).expect("a mode");
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(86_400);
        fs::File::open(&copy).expect("a file").set_modified(long_ago).expect("a time");
    }
}

#[test]
fn a_case_of_one_clone_passes_in_another() {
    let first = place(&["files", "hello", "args", "pipeline", "memory"]);
    let at = first.path();
    fs::create_dir_all(at.join("in/some/where")).expect("directories");
    fs::write(at.join("in/some/where/text"), "text\n").expect("an input");
    for program in ["files", "hello", "args", "pipeline", "memory"] {
        capture(at, &["-o", &format!("c/{program}"), "--input", "in", "--", &format!("bin/{program}")]);
    }
    let other = if Path::new("/dev/shm").is_dir() { PathBuf::from("/dev/shm") } else { std::env::temp_dir() };
    let second = tempfile::tempdir_in(other).expect("a directory on another file system");
    clone(at, &second.path().join("clone"));
    let script = "umask 077; exec \"$0\" verify --trust c";
    for zone in ["UTC", "Asia/Tokyo", "America/New_York"] {
        let output = Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_bsd21")])
            .current_dir(second.path().join("clone"))
            .env("TZ", zone)
            .env("TMPDIR", second.path())
            .output()
            .expect("bsd21 runs");
        assert_eq!(text(&output.stdout), "5 passed\n", "{zone}: {}", text(&output.stderr));
    }
}

#[test]
fn what_no_case_can_hold_is_refused() {
    let place = place(&["hello"]);
    let at = place.path();
    let refused = |args: &[&str]| {
        let output = bsd21(at, &[&["capture"], args].concat());
        assert!(!output.status.success() && output.stdout.is_empty());
        assert!(!at.join("c").exists(), "nothing is left of a case that was refused");
        text(&output.stderr)
    };
    assert_eq!(refused(&["-o", "c", "--", "bin/nothing"]), "bsd21: bin/nothing: no such program\n");
    assert_eq!(
        refused(&["-o", "c", "--env-host", "--", "bin/hello"]),
        "bsd21: a case holds nothing of the host: name variables with --env\n"
    );
    assert_eq!(
        refused(&["-o", "c", "--mount", "bin:/x", "--", "bin/hello"]),
        "bsd21: --mount bin: must end in :ro; what the guest may change is given with --input\n"
    );
    assert_eq!(
        refused(&["-o", "c", "--clock", "host", "--", "bin/hello"]),
        "bsd21: a case has a virtual clock: --clock host cannot be recorded\n"
    );
    let left: Vec<_> =
        fs::read_dir(at).expect("a directory").map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(left, ["bin"]);
}

#[test]
fn a_case_is_replaced_only_when_asked() {
    let place = place(&["hello", "args"]);
    let at = place.path();
    capture(at, &["-o", "c", "--", "bin/hello"]);
    let again = bsd21(at, &["capture", "-o", "c", "--", "bin/args"]);
    assert_eq!(text(&again.stderr), "bsd21: c is there already; --force replaces it\n");
    assert_eq!(verify(at, &["c"]), (0, "1 passed\n".to_owned()));
    capture(at, &["--force", "-o", "c", "--", "bin/args"]);
    assert!(fs::read_to_string(at.join("c/case.toml")).expect("a case").contains("program = \"/args\""));
}

#[test]
fn wrong_use_of_verify_is_status_2() {
    let place = place(&["hello"]);
    let at = place.path();
    assert_eq!(verify(at, &["bin"]), (2, "bsd21: no case in bin: none holds a case.toml\n".to_owned()));
    assert_eq!(verify(at, &["nowhere"]), (2, "bsd21: nowhere: No such file or directory\n".to_owned()));
    let (status, said) = verify(at, &["--format", "xml", "bin"]);
    assert!(status == 2 && said.lines().count() == 1, "{said}");
    capture(at, &["-o", "c", "--", "bin/hello"]);
    let (status, said) = verify(at, &["--root", "nowhere", "c"]);
    assert_eq!((status, said.as_str()), (2, "bsd21: --root nowhere: not a directory\n"));
    fs::write(at.join("c/case.toml"), "format = 1\nnonsense").expect("a file");
    let (status, said) = verify(at, &["c"]);
    assert!(status == 1 && said.starts_with("error: c: c/case.toml: line 2: "), "{said}");
}

#[test]
fn other_formats_say_the_same() {
    let place = place(&["hello"]);
    let at = place.path();
    capture(at, &["-o", "c/one", "--", "bin/hello"]);
    assert_eq!(verify(at, &["--format", "tap", "c"]).1, "TAP version 13\n1..1\nok 1 - one\n");
    let junit = verify(at, &["--format", "junit", "c"]).1;
    assert!(junit.contains("tests=\"1\" failures=\"0\"") && junit.contains("name=\"one\""), "{junit}");
    let json = verify(at, &["--format", "json", "c"]).1;
    assert!(json.contains("\"verdict\": \"pass\"") && json.contains("\"passed\": 1"), "{json}");
}

#[test]
fn a_case_can_outlive_what_is_not_compared() {
    let place = place(&["hello"]);
    let at = place.path();
    capture(at, &["-o", "c", "--", "./bin/hello"]);
    let file = at.join("c/case.toml");
    let case = fs::read_to_string(&file).expect("a case");
    assert!(case.contains("argv = [\"hello\"]"), "no path of the host: {case}");
    let counted = case.lines().find(|line| line.starts_with("instructions = ")).expect("a count");
    let changed = case.replace(counted, "instructions = 1");
    fs::write(&file, &changed).expect("a case");
    let (status, said) = verify(at, &["c"]);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("1 case passed with a note, such as c: not compared: instructions: "), "{said}");
    assert_eq!(verify(at, &["--compare", "all", "c"]).0, 1);
    fs::write(&file, changed.replace("format = 1\n", "format = 1\ncompare = [\"instructions\"]\n"))
        .expect("a case");
    assert_eq!(verify(at, &["c"]).0, 1, "the case says so");
    assert_eq!(verify(at, &["--compare", "stdout,exit", "c"]).0, 0);
    let (status, said) = verify(at, &["--compare", "stdin", "c"]);
    assert!(status == 2 && said.contains("unknown aspect 'stdin'"), "{said}");
}

#[test]
fn a_program_under_development_is_run_if_that_is_wanted() {
    let place = place(&["hello", "args"]);
    let at = place.path();
    capture(at, &["-o", "c", "--", "bin/hello"]);
    fs::copy(at.join("bin/args"), at.join("bin/hello")).expect("another program");
    let (status, said) = verify(at, &["c"]);
    assert!(
        status == 1 && said.contains("skip: c: /hello is another file") && said.contains("--any-image"),
        "{said}"
    );
    let (status, said) = verify(at, &["--any-image", "c"]);
    assert!(
        status == 1 && said.contains("fail: c") && said.contains("note: /hello is another file"),
        "{said}"
    );
}

#[test]
fn a_suite_is_shared_among_machines_and_its_results_are_put_together() {
    let place = place(&["hello", "status"]);
    let at = place.path();
    for (name, status) in [("a", "0"), ("b", "1"), ("c", "2")] {
        capture(at, &["-o", &format!("s/{name}"), "--", "bin/status", status]);
    }
    fs::write(at.join("s/b/expected/stdout"), "other").expect("a file");
    let list = verify(at, &["--list", "--format", "json", "s"]);
    assert!(list.0 == 0 && list.1.contains("\"directory\": \"s/b\""), "{}", list.1);
    assert_eq!(verify(at, &["--list", "--shard", "1/2", "s"]).1, "a\nc\n");
    let part = |shard: &str, status: i32| {
        let (found, said) = verify(at, &["--shard", shard, "--format", "json", "s"]);
        assert_eq!(found, status, "{said}");
        fs::write(at.join(shard.replace('/', "of")), said).expect("a file");
    };
    part("1/2", 0);
    part("2/2", 1);
    let (status, said) = verify(at, &["--merge", "1of2", "2of2"]);
    assert!(status == 1 && said.contains("fail: b\n") && said.ends_with("2 passed, 1 failed\n"), "{said}");
    let (status, said) = verify(at, &["--merge", "--format", "github", "1of2", "2of2"]);
    assert!(status == 1 && said.starts_with("::error file=s/b/case.toml,title=fail%3A b::"), "{said}");
    assert_eq!(verify(at, &["--merge", "1of2"]), (2, "bsd21: --merge: part 2/2 is missing\n".to_owned()));
    let (status, said) = verify(at, &["--merge", "s/b/case.toml"]);
    assert!(status == 2 && said.contains("no result of verify --format json"), "{said}");
}

#[test]
fn what_the_network_answers_is_not_recorded() {
    let place = place(&["hello"]);
    let output = bsd21(place.path(), &["capture", "-o", "c", "--net", "host", "--", "bin/hello"]);
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("--net host"), "{}", text(&output.stderr));
}
