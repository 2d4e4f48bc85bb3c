//! Runs that are recorded and played again: every guest program of ours, a person at a terminal, the network, damaged
//! recordings, and runs that are left and gone on with.
//!
//! What needs `BSD21_ROOT` is skipped by name without it; docs/testing.md has the long forms.

#[path = "terminal/session.rs"]
#[allow(dead_code)] // shared with the terminal's own tests
mod session;

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use session::Session;

/// Guest programs of ours.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin")
}

fn image(name: &str) -> String {
    fixtures().join(name).to_str().expect("a name").to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// bsd21 without anything to read.
fn unfed(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bsd21")).args(args).stdin(Stdio::null()).output().expect("bsd21")
}

fn bsd21(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bsd21");
    // Whoever does not read has ended.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    child.wait_with_output().expect("bsd21 ends")
}

/// The instructions of a recording that is played and is equal.
fn equal(recording: &str, options: &[&str]) -> (Output, u64) {
    let played = bsd21(&[&["replay"], options, &[recording]].concat(), b"");
    let said = text(&played.stderr);
    let last = said.lines().last().unwrap_or_default();
    let count =
        last.strip_prefix("bsd21: replayed ").and_then(|rest| rest.split_once(" instructions, equal"));
    let Some((count, "")) = count else { panic!("{recording}: {said}") };
    assert!(played.status.success());
    (played, count.parse().expect("a number"))
}

/// Names of all images, those in folders too.
fn images() -> Vec<String> {
    let mut names = Vec::new();
    for directory in ["", "socket"] {
        for entry in fs::read_dir(fixtures().join(directory)).expect("fixtures") {
            let entry = entry.expect("an entry");
            let name = Path::new(directory).join(entry.file_name()).to_str().expect("a name").to_owned();
            if entry.path().is_file() && name != "COMPILER" {
                names.push(name);
            }
        }
    }
    names.sort();
    names
}

/// Programs that go on until a limit ends them where there is no terminal or no scratch directory.
const ENDLESS: [&str; 2] = ["mounts", "procfs"];

#[test]
fn every_guest_program_is_played_as_it_was_recorded() {
    let directory = tempfile::tempdir().expect("a directory");
    let (names, next) = (images(), AtomicUsize::new(0));
    let one = || {
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            let file = directory.path().join(name.replace('/', "-"));
            let file = file.to_str().expect("a name");
            let program = format!("/{name}");
            let root = fixtures();
            let wall = if ENDLESS.contains(&name.as_str()) { "0.2" } else { "20" };
            let recorded = bsd21(
                &["record", "-q", "-o", file, "--max-wall", wall, "--max-procs", "60", "--root"]
                    .into_iter()
                    .chain([root.to_str().expect("a name"), &program])
                    .collect::<Vec<_>>(),
                b"one\ntwo\n",
            );
            // Whichever tier recorded it, the other one plays it.
            let (played, _) = equal(file, &["--no-translate"]);
            assert_eq!(text(&played.stdout), text(&recorded.stdout), "{name}");
            let said = text(&played.stderr);
            let said = said.rsplit_once("bsd21: replayed").map_or("", |(said, _)| said);
            if recorded.status.code() != Some(124) {
                assert_eq!(said, text(&recorded.stderr), "{name}");
            }
        }
    };
    std::thread::scope(|scope| {
        let workers = [scope.spawn(one), scope.spawn(one)];
        for worker in workers {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// A person at a terminal who does `steps` while a program is recorded; what they saw.
fn person(program: &[&str], recording: &str, steps: impl FnOnce(&mut Session)) -> String {
    let start = [&[env!("CARGO_BIN_EXE_bsd21"), "record", "-q", "-o", recording], program].concat();
    let mut session = Session::of(&start, &[]);
    steps(&mut session);
    session.ends();
    std::mem::take(&mut session.shown)
}

#[test]
fn a_person_at_a_terminal_is_played_without_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("menu");
    let file = file.to_str().expect("a name");
    person(&[&image("screen"), "menu"], file, |session| {
        session.expect("> apples");
        session.gets_raw();
        session.type_in("jj");
        session.expect("> plums");
        session.type_in("\r");
        session.expect("chosen: plums");
        session.type_in("q");
    });
    let (played, _) = equal(file, &[]);
    let shown = text(&played.stdout);
    assert!(shown.contains("> apples") && shown.contains("chosen: plums"), "{shown}");
    let (quiet, _) = equal(file, &["--quiet", "--no-translate"]);
    assert_eq!(text(&quiet.stdout), "");
    assert!(fs::metadata(file).expect("a recording").len() < 4000);
}

#[test]
fn signals_of_the_host_come_where_they_came() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("raw");
    let file = file.to_str().expect("a name");
    person(&[&image("raw"), "wait"], file, |session| {
        session.expect("raw now");
        session.signal(rustix::process::Signal::TERM);
    });
    let (played, _) = equal(file, &[]);
    assert!(text(&played.stdout).contains("raw now"));
}

/// A small server of the host that says what it was told, once.
fn echo() -> (u16, std::thread::JoinHandle<()>) {
    use std::io::Read;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a guest");
        let mut buffer = [0; 64];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            std::thread::sleep(Duration::from_millis(20));
            if stream.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
    });
    (port, server)
}

#[test]
fn a_connection_of_the_hosts_network_is_played_without_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("net");
    let file = file.to_str().expect("a name");
    let (port, server) = echo();
    let args = ["record", "-q", "--net", "host", "-o", file, "--", &image("socket/network"), "client"];
    let recorded = bsd21(&[&args[..], &[&port.to_string()]].concat(), b"");
    assert_eq!(text(&recorded.stdout), "connect: 0\nfrom the guest\nthe end: 0\n");
    let (played, _) = equal(file, &["--no-translate"]);
    assert_eq!(text(&played.stdout), text(&recorded.stdout));
    // Who looks on changes nothing.
    let traced = text(&bsd21(&["trace", file], b"").stderr);
    assert!(traced.contains("connect(3, ") && traced.ends_with(", equal\n"), "{traced}");
    server.join().expect("the server ends");
}

/// A recording of a program that reads, forks and waits.
fn recorded(directory: &Path, program: &str, options: &[&str]) -> String {
    let file = directory.join("recording");
    let file = file.to_str().expect("a name").to_owned();
    let root = fixtures();
    let root = root.to_str().expect("a name");
    let args = [&["record", "-q", "-o", &file, "--root", root], options, &["--", program]].concat();
    unfed(&args);
    file
}

#[test]
fn no_changed_byte_goes_unnoticed_and_none_is_fatal() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = recorded(directory.path(), "/relay", &[]);
    let bytes = fs::read(&file).expect("a recording");
    let damaged = directory.path().join("damaged");
    let mut seed = 1u64;
    for at in 0..bytes.len() {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let mut changed = bytes.clone();
        changed[at] ^= ((seed >> 33) as u8).max(1);
        fs::write(&damaged, &changed).expect("a file");
        assert!(is_noticed(&damaged), "byte {at} of {}", bytes.len());
    }
    for end in (0..bytes.len()).step_by(7) {
        fs::write(&damaged, &bytes[..end]).expect("a file");
        assert!(is_noticed(&damaged), "cut off at {end} of {}", bytes.len());
    }
}

/// Whether a recording is refused, or is said to be cut off or another run.
fn is_noticed(path: &Path) -> bool {
    use bsd21::replay::{Recording, Verdict, Where};
    let Ok(recording) = Recording::open(path) else { return true };
    let Ok(mut machine) = recording.machine(&Where::default()) else { return true };
    recording.play(&mut machine) != Verdict::Equal
}

#[test]
fn events_that_are_others_are_a_difference_where_hashes_are_right() {
    use bsd21::host::tape::{Player, Tape};
    // Any bytes at all in the place of events: the run ends, and says so.
    let directory = tempfile::tempdir().expect("a directory");
    let file = recorded(directory.path(), "/relay", &[]);
    let recording = bsd21::replay::Recording::open(Path::new(&file)).expect("a recording");
    let mut seed = 7u64;
    for round in 0..60 {
        let mut next = || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as u8
        };
        let events: Vec<u8> =
            (0..round * 3).map(|_| next() & if round % 2 == 0 { 0x1f } else { 0xff }).collect();
        let tape = Tape::play(Player::new(events.into(), None), false);
        if let Ok(mut machine) = recording.plan().builder(&[], tape).build() {
            machine.run();
            let tape = &machine.kernel().tape;
            assert!(tape.difference().is_some() || tape.is_over(), "round {round}");
        }
    }
}

#[test]
fn a_recording_that_was_cut_off_is_good_up_to_there() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("cut");
    let name = file.to_str().expect("a name").to_owned();
    let start = [env!("CARGO_BIN_EXE_bsd21"), "record", "-q", "-o", &name, &image("screen"), "menu"];
    let mut session = Session::of(&start, &[]);
    session.expect("> apples");
    session.gets_raw();
    session.type_in("j");
    session.expect("> pears");
    // Nothing is left to it but what it has put away before it waits.
    session.until("the key is in the recording", |_| {
        is_noticed(&file) && text(&bsd21(&["replay", &name], b"").stdout).contains("> pears")
    });
    session.signal(rustix::process::Signal::KILL);
    let played = bsd21(&["replay", &name], b"");
    assert_eq!(played.status.code(), Some(1));
    assert!(text(&played.stderr).contains("equal up to there: the recording was cut off"));
    assert!(text(&played.stdout).contains("> pears"));
}

#[test]
fn a_file_that_has_changed_is_named_and_a_packed_one_does_not_matter() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().join("root");
    fs::create_dir(&root).expect("a directory");
    for name in ["relay", "hello"] {
        fs::copy(fixtures().join(name), root.join(name)).expect("a copy");
    }
    let name = |path: &Path| path.to_str().expect("a name").to_owned();
    let (plain, packed) = (name(&directory.path().join("plain")), name(&directory.path().join("packed")));
    for (file, options) in [(&plain, &[][..]), (&packed, &["--pack"][..])] {
        let at = name(&root);
        let args = [&["record", "-q", "-o", file, "--root", &at], options, &["/hello"]].concat();
        assert!(bsd21(&args, b"").status.success());
        equal(file, &[]);
    }
    // The same files elsewhere are the same.
    let moved = directory.path().join("moved");
    fs::rename(&root, &moved).expect("a move");
    let gone = bsd21(&["replay", &plain], b"");
    assert_eq!(gone.status.code(), Some(125));
    assert!(
        text(&gone.stderr).contains("root/hello, which the recorded run has read: "),
        "{}",
        text(&gone.stderr)
    );
    equal(&plain, &["--root", &name(&moved)]);
    equal(&packed, &[]);
    // Others are named.
    fs::rename(&moved, &root).expect("a move");
    fs::copy(fixtures().join("hello.zmagic"), root.join("hello")).expect("a copy");
    let changed = bsd21(&["replay", &plain], b"");
    assert_eq!(changed.status.code(), Some(125));
    assert!(text(&changed.stderr).contains("root/hello has changed since the recording"));
    equal(&packed, &[]);
}

/// What a run has come to: instructions, how it ended, and the whole machine.
fn end_of(machine: &mut bsd21::machine::Machine) -> (u64, String, u64) {
    use bsd21::machine::debug::{Stop, Stops};
    loop {
        if let Stop::Ended(ended) = machine.run_until(&Stops::default()) {
            return (machine.instructions(), format!("{ended:?}"), machine.state(true));
        }
    }
}

/// Resumes a recording at `points` places, and compares the end with that of the whole run.
fn resumes(program: &str, points: u64, seed: u64) {
    use bsd21::replay::{Recording, Where};
    let directory = tempfile::tempdir().expect("a directory");
    let file = recorded(directory.path(), program, &["--clock", "virtual"]);
    let recording = Recording::open(Path::new(&file)).expect("a recording");
    let place = Where::default();
    let mut whole = recording.machine(&place).expect("a machine");
    whole.debug();
    let expected = end_of(&mut whole);
    drop(whole);
    let mut seed = seed;
    for _ in 0..points {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let at = (seed >> 20) % expected.0.max(1);
        let mut machine = recording.machine(&place).expect("a machine");
        recording.run_to(&mut machine, Some(at)).expect("the same run");
        assert_eq!(machine.instructions(), at, "{program}");
        machine.go_live(false);
        assert_eq!(end_of(&mut machine), expected, "{program} from {at}");
    }
}

#[test]
fn a_run_that_is_gone_on_with_ends_as_it_would_have() {
    for (number, program) in
        ["/pipeline", "/socket/sleep", "/signals", "/traps", "/ipc"].into_iter().enumerate()
    {
        resumes(program, 6, number as u64 + 1);
    }
}

#[test]
fn a_snapshot_goes_on_in_another_process() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("snapshot");
    let file = file.to_str().expect("a name");
    let root = fixtures();
    let root = root.to_str().expect("a name");
    let whole = bsd21(&["run", "--clock", "virtual", "--root", root, "/traps"], b"");
    let (before, after) = (text(&whole.stdout), text(&whole.stderr));
    for place in
        [&["--snapshot-at", "40000"][..], &["--snapshot-on", "SIGFPE"], &["--snapshot-on", "sigaction"]]
    {
        let start = [&["run", "--clock", "virtual"], place, &["-o", file, "--root", root, "/traps"]].concat();
        let left = bsd21(&start, b"");
        let said = text(&left.stderr);
        assert!(left.status.success() && said.contains("left at instruction "), "{said}");
        let resumed = bsd21(&["resume", file], b"");
        assert_eq!(text(&left.stdout) + &text(&resumed.stdout), before, "{place:?}");
        assert_eq!(resumed.status.code(), whole.status.code(), "{after}");
        // It is a recording as well.
        equal(file, &[]);
    }
    let early = bsd21(&["run", "--snapshot-at", "999999999", "-o", file, "--root", root, "/hello"], b"");
    assert!(text(&early.stderr).contains("not made: the run has ended before"));
    assert!(early.status.success() && !Path::new(file).exists());
}

#[test]
fn a_trace_of_a_recording_is_that_of_the_run() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = recorded(directory.path(), "/relay", &[]);
    let traced = bsd21(&["trace", &file], b"");
    let said = text(&traced.stderr);
    assert!(said.contains("socketpair(AF_UNIX, SOCK_STREAM, 0, ["), "{said}");
    assert!(said.contains(", equal\n") && traced.status.success(), "{said}");
}

#[test]
fn what_is_no_recording_or_cannot_be_recorded_is_said_in_one_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("x");
    let name = file.to_str().expect("a name");
    fs::write(&file, b"bsd21r\x09\n").expect("a file");
    let refused = |args: &[&str], why: &str| {
        let output = bsd21(args, b"");
        let said = text(&output.stderr);
        assert!(
            output.status.code() == Some(125) && said.contains(why) && said.lines().count() == 1,
            "{said}"
        );
    };
    refused(&["replay", name], "a recording of format 9, which this bsd21 does not know");
    fs::write(&file, b"something else").expect("a file");
    refused(&["replay", name], "not a recording of bsd21");
    refused(&["replay", "/nowhere"], "/nowhere: No such file or directory");
    refused(
        &["record", "-o", name, "--root", ".", "--overlay=x", "/hello"],
        "--overlay DIR: what a recorded run changes",
    );
    refused(
        &["record", "-o", "/nowhere/x", &image("hello")],
        "--output /nowhere/x: No such file or directory",
    );
    refused(&["run", "-o", name, &image("hello")], "--output needs --snapshot-at or --snapshot-on");
    let file = recorded(directory.path(), "/hello", &[]);
    refused(&["resume", &file], "its run has come to its end: --at says where to go on instead");
    refused(&["resume", "--at", "99999999", &file], "its run ends at instruction");
}

#[test]
#[ignore = "2,000 places take minutes: docs/testing.md"]
fn two_thousand_places_to_go_on_from() {
    let names = images();
    let names: Vec<_> = names.iter().filter(|name| !ENDLESS.contains(&name.as_str())).collect();
    for (number, name) in names.iter().enumerate() {
        resumes(&format!("/{name}"), 2000 / names.len() as u64 + 1, number as u64 + 100);
    }
}

#[test]
#[ignore = "1,000 runs take minutes: docs/testing.md"]
fn a_run_of_five_processes_is_played_a_thousand_times() {
    use bsd21::replay::{Recording, Verdict, Where};
    let directory = tempfile::tempdir().expect("a directory");
    let file = recorded(directory.path(), "/pipeline", &[]);
    let recording = Recording::open(Path::new(&file)).expect("a recording");
    for round in 0..1000 {
        let mut machine = recording.machine(&Where::default()).expect("a machine");
        assert_eq!(recording.play(&mut machine), Verdict::Equal, "round {round}");
    }
}

#[test]
fn a_session_of_the_c_shell_is_played() {
    let Some(root) = std::env::var_os("BSD21_ROOT") else {
        eprintln!("skipped: a_session_of_the_c_shell_is_played needs BSD21_ROOT");
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("csh");
    let file = file.to_str().expect("a name");
    let root = root.to_str().expect("a name").to_owned();
    person(&["--root", &root, "/bin/csh", "-f"], file, |session| {
        session.expect("# ");
        session.type_in("echo one two | wc\r");
        session.expect("2       8");
        session.type_in("sleep 1 &\r");
        session.expect("# ");
        session.type_in("cat\r");
        session.expect("cat");
        session.type_in("\x03");
        session.expect("# ");
        session.type_in("exit\r");
    });
    let (played, _) = equal(file, &[]);
    assert!(text(&played.stdout).contains("2       8"));
}
