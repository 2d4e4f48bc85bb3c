//! bsd21 as a program of the host's shell: signals, stops, what it inherits, how a run ends, and a trace that is
//! there while the guest runs.
//!
//! The guest is `fixtures/guest/job.c`.  Terminals are ptys of the tests, on which a shell of the host controls
//! its jobs.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

/// How long something may take.
const PATIENCE: Duration = Duration::from_secs(60);
const BSD21: &str = env!("CARGO_BIN_EXE_bsd21");

fn image(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin").join(name)
}

/// A shell's words for a program of ours.
fn words(command: &str, options: &str, program: &str, args: &str) -> String {
    format!("{BSD21} {command} {options} {} {args}", image(program).display())
}

/// bsd21 with its output at hand.
struct Run {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Run {
    fn start(args: &[&str]) -> Self {
        let mut command = with_default_signals(BSD21);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("bsd21 starts");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, out }
    }

    /// `bsd21 run OPTIONS job ARGS`.
    fn job(options: &[&str], args: &[&str]) -> Self {
        let program = image("job");
        let program = program.to_str().expect("a name");
        Self::start(&[&["run"], options, &[program], args].concat())
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("output");
        line
    }

    /// Waits until the guest says something.
    fn expect(&mut self, wanted: &str) {
        assert_eq!(self.line().trim_end(), wanted);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a number")).expect("a process");
        kill_process(pid, signal).expect("it is ours");
    }

    /// Reads standard error up to a line that holds `wanted`; gives all of it.
    fn hear(&mut self, wanted: &str) -> String {
        let mut heard = String::new();
        let mut errors = BufReader::new(self.child.stderr.take().expect("a pipe"));
        while !heard.contains(wanted) {
            assert!(errors.read_line(&mut heard).expect("errors") > 0, "no {wanted:?} in {heard:?}");
        }
        heard
    }

    /// Waits for the end; gives the status and the rest of what was written.
    fn end(mut self) -> (Option<i32>, String, String) {
        let status = ended(&mut self.child).code();
        let (mut out, mut errors) = (String::new(), String::new());
        self.out.read_to_string(&mut out).expect("output");
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut errors).expect("errors");
        }
        (status, out, errors)
    }
}

fn ended(child: &mut Child) -> ExitStatus {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        if Instant::now() > until {
            let _ = child.kill();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn signals_of_the_host_have_the_guests_numbers() {
    let mut run = Run::job(&[], &["catch", "1000"]);
    run.expect("ready");
    let numbers = [
        (Signal::USR1, 30),
        (Signal::USR2, 31),
        (Signal::ALARM, 14),
        (Signal::IO, 23),
        (Signal::VTALARM, 26),
        (Signal::PROF, 27),
        (Signal::URG, 16),
        (Signal::WINCH, 28),
        (Signal::CONT, 19),
        (Signal::TSTP, 18),
        (Signal::HUP, 1),
        (Signal::INT, 2),
        (Signal::QUIT, 3),
    ];
    for (signal, number) in numbers {
        run.signal(signal);
        run.expect(&format!("got signal {number}"));
    }
    run.signal(Signal::TERM);
    let (status, _, errors) = run.end();
    assert_eq!(status, Some(137), "INT and QUIT were delivered, and TERM is the third");
    assert!(errors.contains("job: Killed (signal 9)"), "{errors}");
}

#[test]
fn a_signal_that_asks_for_no_end_never_kills_and_none_is_lost() {
    let mut run = Run::job(&[], &["catch", "300"]);
    run.expect("ready");
    // Each is answered before the next is sent, out of a sleep of ten seconds: one that was lost would last.
    let until = Instant::now() + PATIENCE;
    for n in 0..300 {
        let (signal, number) = [(Signal::HUP, 1), (Signal::USR1, 30), (Signal::USR2, 31)][n % 3];
        run.signal(signal);
        run.expect(&format!("got signal {number}"));
    }
    run.expect("enough");
    assert!(Instant::now() < until, "some signals waited for a timer");
    assert_eq!(run.end().0, Some(0));
}

/// Has a guest that answers signals do so until a trace of it has a line; whether it came.
fn traced(run: &mut Run, trace: &Path) -> bool {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        run.signal(Signal::HUP);
        run.expect("got signal 1");
        if std::fs::read_to_string(trace).is_ok_and(|text| text.contains("write(1, \"got \"..., 13)")) {
            return true;
        }
    }
    false
}

#[test]
fn a_running_machine_shows_its_calls_to_who_asks() {
    let place = tempfile::tempdir().expect("a directory");
    let name = |file: &str| place.path().join(file).to_str().expect("a name").to_owned();
    let (control, none) = (name("control"), name("none"));
    let mut run = Run::job(&["--attach", &control], &["catch", "100000"]);
    run.expect("ready");
    for file in ["first", "second"] {
        let trace = name(file);
        let client = Run::start(&["trace", "-p", &control, "-s4", "-e", "write", "-o", &trace]);
        assert!(traced(&mut run, Path::new(&trace)), "{file}: nothing was shown");
        if file == "first" {
            client.signal(Signal::KILL);
            client.end();
        } else {
            // A later one takes its place, and it ends.
            let third = name("third");
            let other = Run::start(&["trace", "-p", &control, "-s4", "-o", &third]);
            assert!(traced(&mut run, Path::new(&third)));
            assert_eq!(client.end().0, Some(0));
            other.signal(Signal::KILL);
            other.end();
        }
    }
    let refused = |args: &[&str]| Run::start(&[&["trace", "-p"], args].concat()).end();
    assert!(refused(&[&control, "-c"]).2.contains("-c and -C need the whole run"));
    assert!(refused(&[&control, "-e", "nocall"]).2.contains("nocall"));
    assert_eq!(refused(&[&none]).0, Some(125));
    run.signal(Signal::KILL);
    run.end();
}

#[test]
fn what_lives_on_behind_the_first_program_gets_the_signals() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        let mut run = Run::job(&[], &["behind", "3000"]);
        run.expect("behind");
        let heard = run.hear("waits for");
        assert!(heard.lines().count() == 1 && heard.contains(" job ("), "{heard}");
        run.signal(signal);
        assert_eq!(run.end().0, Some(5), "the first program's status");
    }
}

#[test]
fn who_ignores_two_requests_is_killed_by_the_third() {
    let mut run = Run::job(&["-q"], &["behind", "3000", "deaf"]);
    run.expect("behind");
    // The pause lets each of them be looked at.
    for signal in [Signal::HUP, Signal::HUP, Signal::HUP, Signal::HUP, Signal::TERM, Signal::INT] {
        run.signal(signal);
        std::thread::sleep(Duration::from_millis(200));
        assert!(run.child.try_wait().expect("a child").is_none(), "{signal:?}");
    }
    run.signal(Signal::QUIT);
    let (status, out, errors) = run.end();
    assert_eq!((status, out.as_str(), errors.as_str()), (Some(5), "", ""));
}

#[test]
fn a_run_may_end_with_its_first_program() {
    let run = Run::job(&["--kill-on-exit"], &["behind", "3000"]);
    let (status, _, errors) = run.end();
    assert_eq!((status, errors.as_str()), (Some(5), ""));
    let run = Run::job(&[], &["behind", "2"]);
    assert_eq!(run.end(), (Some(5), "behind\nthe last one ends\n".into(), String::new()));
}

#[test]
fn death_by_a_signal_is_one_line() {
    let status = image("status");
    let status = status.to_str().expect("a name");
    let told = |options: &[&str], signal: &str| {
        let run = Run::start(&[&["run"], options, &[status, "signal", signal]].concat());
        let (code, _, errors) = run.end();
        (code, errors)
    };
    let line = format!("bsd21: {status}: Bus error (signal 10)\n");
    assert_eq!(told(&[], "10"), (Some(138), line));
    assert_eq!(told(&["-q"], "10"), (Some(138), String::new()));
    assert_eq!(told(&[], "2").1, format!("bsd21: {status}: Interrupt (signal 2)\n"), "nobody pressed a key");
    assert_eq!(told(&[], "13"), (Some(141), String::new()), "as shells do");
}

#[test]
fn the_first_number_differs_between_runs_and_is_fixed_by_a_virtual_clock() {
    let first = |options: &[&str]| {
        let trace = tempfile::NamedTempFile::new().expect("a file");
        let (name, program) = (trace.path().to_str().expect("a name"), image("hello"));
        let args =
            [&["trace", "--format", "kdump", "-o", name], options, &[program.to_str().expect("a name")]]
                .concat();
        assert_eq!(Run::start(&args).end().0, Some(0));
        let text = std::fs::read_to_string(trace.path()).expect("a trace");
        text.split_whitespace().next().map(str::to_owned).expect("a number")
    };
    let (one, other, third) = (first(&[]), first(&[]), first(&[]));
    assert!(one != other || other != third, "three times {one}");
    let fixed = ["--clock", "virtual"];
    assert_eq!(first(&fixed), first(&fixed));
}

/// What a shell's line gives.
fn shell(line: &str) -> String {
    let output = shell_output(line);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// A command that ignores nothing, whatever whoever started the tests ignores: a shell's `&` does.
fn with_default_signals(program: &str) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal").arg(program);
    command
}

fn shell_output(line: &str) -> Output {
    with_default_signals("sh").args(["-c", line]).stdin(Stdio::null()).output().expect("a shell")
}

#[test]
fn what_a_shell_gives_is_inherited() {
    let run = words("run", "", "job", "inherit");
    let found = shell(&format!(
        "trap '' HUP USR1; umask 027; ulimit -S -n 20; exec 3<Cargo.toml 5>>/dev/null 6</ 7</proc/version; nice -n 4 {run} <&-"
    ));
    let has = |line: &str| found.lines().any(|l| l.starts_with(line));
    assert!(has("signal 1 is ignored") && has("signal 30 is ignored"), "{found}");
    assert!(!has("signal 13") && !has("signal 2 "), "SIGPIPE is ignored by us alone: {found}");
    assert!(has("umask 27, nice 4") && has("descriptors 20, at most any"), "{found}");
    assert!(
        has("descriptor 1:") && has("descriptor 2:") && has("descriptor 3: flags 0, type 100000"),
        "{found}"
    );
    assert!(has("descriptor 5: flags 9, type 20000"), "{found}");
    assert!(!has("descriptor 0:") && !has("descriptor 4:"), "closed ones are closed: {found}");
    assert!(!has("descriptor 6:") && !has("descriptor 7:"), "no way out of the root: {found}");
}

#[test]
fn a_clean_start_is_a_logins_and_options_go_before() {
    let dirty = "trap '' HUP; umask 027; ulimit -S -n 20; exec 3<Cargo.toml 4<Cargo.toml; nice -n 4";
    let login = "blocked 0\numask 22, nice 0\ndescriptors 64, at most any\nprocesses 40, at most any\n";
    for options in ["--clean", "--clock virtual"] {
        let found = shell(&format!("{dirty} {}", words("run", options, "job", "inherit")));
        assert!(found.starts_with(login), "{found}");
        assert!(!found.contains("descriptor 3"), "{found}");
        // Where nobody above us controls jobs, the host's orphan is the guest's.
        let parents: &[&str] =
            if options == "--clean" { &["parent 1\n", "parent 4\n"] } else { &["parent 4\n"] };
        assert!(parents.iter().any(|parent| found.ends_with(parent)), "{found}");
    }
    let found = shell(&format!("{dirty} {}", words("run", "--clean --umask 7 --fd 4", "job", "inherit")));
    assert!(found.contains("umask 7, nice 0") && found.contains("descriptor 4"), "{found}");
    assert!(!found.contains("descriptor 3"), "{found}");
    let found = shell(&format!("{dirty} {}", words("run", "--fd 3", "job", "inherit")));
    assert!(found.contains("umask 27, nice 4") && found.contains("descriptor 3"), "{found}");
    assert!(!found.contains("descriptor 4"), "{found}");
    for wrong in ["--fd 9", "--fd 6", "--fd 1", "--umask 9"] {
        let line = format!("exec 6</ 9<&-; {}", words("run", wrong, "job", "inherit"));
        let output = shell_output(&line);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), errors.lines().count()), (Some(125), 1), "{errors}");
        assert!(errors.contains(wrong.split(' ').next().unwrap_or_default()), "{errors}");
    }
}

#[test]
fn files_get_the_mode_that_the_umask_leaves_and_pipes_are_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let job = |options: &str| words("run", options, "job", "make file");
    let line =
        |umask: &str, run: &str| format!("cd {} && umask {umask} && {run}", directory.path().display());
    let found = shell(&line("077", &format!("echo AB | {} 3<&0", job(""))));
    assert_eq!(found, "file 600\ndirectory 700\ndescriptor 3 has 3 bytes, the first is 65\n");
    std::fs::remove_file(directory.path().join("file")).expect("it is there");
    std::fs::remove_dir(directory.path().join("made")).expect("it is there");
    let found = shell(&line("022", &job("--umask 0")));
    assert_eq!(found, "file 666\ndirectory 777\n", "the guest's own counts");
}

/// The lines of the guest that a trace shows, whatever its format.
fn shown(format: &str, trace: &[u8]) -> usize {
    let text = if format == "ktrace" {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), trace).expect("a file");
        let kdump = Command::new(BSD21).arg("kdump").arg(file.path()).output().expect("kdump");
        kdump.stdout
    } else {
        trace.to_vec()
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    (0..30).filter(|n| text.contains(&format!("line {n}\\")) || text.contains(&format!("line {n}\n"))).count()
}

#[test]
fn a_trace_is_there_while_the_guest_runs_and_after_it_is_killed() {
    for format in ["strace", "jsonl", "kdump", "ktrace", "chrome"] {
        let directory = tempfile::tempdir().expect("a directory");
        let (file, program) = (directory.path().join("trace"), image("job"));
        let piped = format!("|cat >{}", file.display());
        for output in [file.to_str().expect("a name"), &piped] {
            let _ = std::fs::remove_file(&file);
            let program = program.to_str().expect("a name");
            let mut run = Run::start(&["trace", "--format", format, "-o", output, program, "lines", "30"]);
            for n in 0..30 {
                run.expect(&format!("line {n}"));
            }
            // The guest sleeps for ten seconds at a time now; nothing else happens.
            let until = Instant::now() + PATIENCE;
            let trace = || std::fs::read(&file).unwrap_or_default();
            while shown(format, &trace()) < 30 {
                assert!(Instant::now() < until, "{format} {output}: {} lines", shown(format, &trace()));
                std::thread::sleep(Duration::from_millis(20));
            }
            run.signal(Signal::KILL);
            assert_eq!(run.end().0, None);
            assert_eq!(shown(format, &trace()), 30, "{format} {output}");
        }
    }
}

/// A terminal with a shell on it that controls its jobs.
struct Screen {
    screen: OwnedFd,
    child: Child,
    shown: String,
}

impl Screen {
    /// Runs a script of the host's shell.
    fn start(script: &str) -> Self {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
        grantpt(&screen).expect("it is ours");
        unlockpt(&screen).expect("it can be opened");
        let name = ptsname(&screen, Vec::new()).expect("its name").into_string().expect("a name");
        let open = || File::options().read(true).write(true).open(&name).expect("the terminal");
        let child = with_default_signals("setsid")
            .args(["--ctty", "sh", "-c", script])
            .stdin(Stdio::from(open()))
            .stdout(Stdio::from(open()))
            .stderr(Stdio::from(open()))
            .spawn()
            .expect("setsid starts a shell");
        Self { screen, child, shown: String::new() }
    }

    fn type_in(&mut self, text: &str) {
        rustix::io::write(&self.screen, text.as_bytes()).expect("the terminal takes it");
    }

    /// Waits until `text` is shown, and gives what was shown up to there.
    fn expect(&mut self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.shown.find(text) {
                return self.shown.drain(..at + text.len()).collect();
            }
            assert!(Instant::now() < until, "{text:?} does not appear in {:?}", self.shown);
            let mut ready = [PollFd::new(&self.screen, PollFlags::IN)];
            poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 100_000_000 })).expect("poll");
            let mut buffer = [0; 4096];
            if ready[0].revents().contains(PollFlags::IN) {
                let length = rustix::io::read(&self.screen, &mut buffer).expect("the screen");
                self.shown.push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        }
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(self.screen.as_fd()).expect("a terminal").local_modes.contains(LocalModes::ECHO)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_suspend_key_stops_the_run_and_the_shell_continues_it() {
    let raw = words("run", "", "raw", "wait");
    let mut screen = Screen::start(&format!(
        "set -m; {raw}; echo \"stopped by $?\"; read line; fg; echo \"ended with $?\""
    ));
    screen.expect("raw now");
    assert!(screen.is_raw());
    screen.type_in("a");
    screen.expect("read 97");
    screen.type_in("\x1a");
    screen.expect("stopped by 148");
    assert!(!screen.is_raw(), "the shell has its terminal as it was");
    screen.type_in("\n");
    screen.expect("fixtures/bin/raw wait");
    screen.type_in("b");
    screen.expect("read 98");
    assert!(screen.is_raw(), "and the guest has its own again");
    screen.type_in("q");
    screen.expect("ended with 0");
    assert!(!screen.is_raw());
}

#[test]
fn a_program_that_stops_itself_stops_the_run() {
    let stop = words("run", "", "job", "stop");
    let mut screen =
        Screen::start(&format!("set -m; {stop}; echo \"stopped by $?\"; fg; echo \"ended with $?\""));
    screen.expect("before");
    screen.expect("stopped by 147");
    screen.expect("got signal 19");
    screen.expect("after");
    screen.expect("ended with 7");
}

#[test]
fn a_person_is_told_once_where_the_guest_writes() {
    let root = tempfile::tempdir().expect("a directory");
    std::fs::copy(image("hello"), root.path().join("hello")).expect("a program");
    let run = |options: &str| format!("{BSD21} run --root {} {options} /hello", root.path().display());
    let script = [
        run(""),
        run("--overlay"),
        format!("{} 2>&1 | cat", run("")),
        run("-q"),
        run("--read-only"),
        "echo done".to_owned(),
    ];
    let mut screen = Screen::start(&script.join("; "));
    screen.expect(&format!("bsd21: the guest's changes are made in {}", root.path().display()));
    screen.expect("hello, world");
    screen.expect("bsd21: the guest's changes are forgotten when the run ends");
    let rest = screen.expect("done");
    assert_eq!(rest.matches("hello, world").count(), 4, "{rest}");
    assert!(!rest.contains("the guest's changes"), "{rest}");
}

#[test]
fn a_background_job_stops_at_the_terminal_until_it_is_in_the_foreground() {
    let (raw, list) = (words("run", "", "raw", "wait"), tempfile::NamedTempFile::new().expect("a file"));
    let list = list.path().display();
    let mut screen = Screen::start(&format!(
        "set -m; {raw} & until jobs >{list}; grep Stopped {list}; do sleep 0.05; done; \
         read line; fg; echo \"ended with $?\""
    ));
    screen.expect("Stopped");
    assert!(!screen.is_raw(), "a background job does not change the terminal");
    screen.type_in("\n");
    screen.expect("raw now");
    screen.type_in("q");
    screen.expect("ended with 0");
}

#[test]
fn jobs_of_a_program_survive_it_and_the_keys_reach_them() {
    let mut screen =
        Screen::start(&format!("set -m; {}; echo \"ended with $?\"", words("run", "", "job", "behind 3")));
    screen.expect("the last one ends");
    screen.expect("ended with 5");
    let mut screen =
        Screen::start(&format!("set -m; {}; echo \"ended with $?\"", words("run", "", "job", "behind 3000")));
    screen.expect("waits for job");
    screen.type_in("\x1a");
    screen.expect("ended with 148");
    let mut screen =
        Screen::start(&format!("set -m; {}; echo \"ended with $?\"", words("run", "", "job", "behind 3000")));
    screen.expect("waits for job");
    screen.type_in("\x03");
    screen.expect("ended with 5");
}

#[test]
fn a_key_that_ends_the_program_is_not_told() {
    let mut screen =
        Screen::start(&format!("set -m; {}; echo \"ended with $?\"", words("run", "", "raw", "wait")));
    screen.expect("raw now");
    screen.type_in("\x03");
    screen.expect("ended with 130");
    assert!(!screen.shown.contains("Interrupt"));
    assert!(!screen.is_raw());
}

#[test]
fn keys_do_not_add_up_while_the_first_program_lives() {
    let mut screen =
        Screen::start(&format!("set -m; {}; echo \"ended with $?\"", words("run", "", "job", "catch 6")));
    screen.expect("ready");
    for _ in 0..6 {
        screen.type_in("\x03");
        screen.expect("got signal 2");
    }
    screen.expect("enough");
    screen.expect("ended with 0");
}

#[test]
fn the_terminal_is_as_before_whichever_signal_ends_the_run() {
    let line = format!("exec {}", words("run", "", "raw", "wait"));
    for (signal, code) in [
        (Signal::USR1, Some(158)),
        (Signal::ALARM, Some(142)),
        (Signal::TERM, Some(143)),
        (Signal::ABORT, None),
    ] {
        let mut screen = Screen::start(&line);
        screen.expect("raw now");
        assert!(screen.is_raw());
        let pid = Pid::from_raw(i32::try_from(screen.child.id()).expect("a number")).expect("a process");
        kill_process(pid, signal).expect("it is ours");
        assert_eq!(ended(&mut screen.child).code(), code, "{signal:?}");
        assert!(!screen.is_raw(), "{signal:?}");
    }
}
