//! Every image of fixtures/bin under `bsd21 trace`: a golden trace in every format.
//!
//! A new image needs no line here: `BSD21_BLESS=1 cargo test --test trace` writes its golden files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bsd21::kernel::ktrace::record::Reader;
use bsd21::trace::kdump::Kdump;

use crate::golden::golden;

/// A root that holds the libraries of dynamic programs, if there is one here.
const ROOT_VARIABLE: &str = "BSD21_ROOT";

fn images() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin")
}

/// The names of all images, with their directories below fixtures/bin.
fn programs() -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![images()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else if path.file_name().is_some_and(|n| n != "COMPILER") {
                let name = path.strip_prefix(images()).expect("below").to_str().expect("a name");
                found.push(name.to_owned());
            }
        }
    }
    found.sort();
    found
}

/// A root in which a program is /bin/NAME and everything else is as on each other machine.
struct Root(tempfile::TempDir);

impl Root {
    fn of(program: &str) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let at = |name: &str| root.path().join(name);
        for directory in ["bin", "tmp"] {
            fs::create_dir(at(directory)).expect("a directory");
            let mode = if directory == "tmp" { 0o1777 } else { 0o755 };
            fs::set_permissions(at(directory), fs::Permissions::from_mode(mode)).expect("its mode");
        }
        let image = at("bin").join(base(program));
        fs::copy(images().join(program), &image).expect("the image");
        fs::set_permissions(image, fs::Permissions::from_mode(0o755)).expect("its mode");
        Self(root)
    }

    /// Runs `bsd21 trace` and gives what it wrote.
    fn trace(&self, program: &str, options: &[&str]) -> Vec<u8> {
        self.run(program, &[], options)
    }

    fn run(&self, program: &str, args: &[&str], options: &[&str]) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_bsd21"));
        command.args(["trace", "--clock", "virtual", "--clear-env", "--root"]).arg(self.0.path());
        if let Some(libraries) = std::env::var_os(ROOT_VARIABLE).filter(|_| program == "dynamic") {
            let mut mount = libraries;
            mount.push("/usr:/usr:ro");
            // Of the linker's calls only those are the same with each copy of the libraries.
            command.arg("--mount").arg(mount).args(["-e", "trace=open,write,exit"]);
        }
        let status = command
            .args(options)
            .arg("-o")
            .arg(file.path())
            .arg(format!("/bin/{}", base(program)))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("the command runs");
        assert!(status.code().is_some(), "{program} ended by a signal of the host");
        fs::read(file.path()).expect("a trace")
    }

    fn text(&self, program: &str, options: &[&str]) -> String {
        String::from_utf8(self.trace(program, options)).expect("a trace is text")
    }
}

fn base(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// A trace without the numbers that change whenever the processor's or the kernel's accounting does.
fn without_times(trace: &str) -> String {
    let mut found = String::new();
    let mut rest = trace;
    let keys = ["seq\":", "instructions\":", "_ns\":", "\"ts\":", "\"dur\":"];
    while let Some((at, key)) = keys.iter().filter_map(|k| Some((rest.find(k)?, k))).min() {
        let (before, behind) = rest.split_at(at + key.len());
        found.push_str(before);
        found.push('0');
        rest = behind.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    }
    found + rest
}

#[test]
fn every_program_has_a_golden_trace_in_every_format() {
    let mut seen = 0;
    for program in programs() {
        if program == "dynamic" && std::env::var_os(ROOT_VARIABLE).is_none() {
            eprintln!("skipped: dynamic needs {ROOT_VARIABLE}, a root with FreeBSD 2's ld.so and libc");
            continue;
        }
        let text = |options: &[&str]| Root::of(&program).text(&program, options);
        golden(&format!("{program}.strace"), &text(&[]));
        golden(&format!("{program}.jsonl"), &without_times(&text(&["--format", "jsonl"])));
        golden(&format!("{program}.chrome.json"), &without_times(&text(&["--format", "chrome"])));
        golden(&format!("{program}.summary"), &text(&["-c", "-U", "calls,errors,name", "-S", "name"]));
        let records = text(&["--format", "kdump"]);
        golden(&format!("{program}.kdump"), &records);
        // The binary form is golden too: it is the text form when it is read back.
        let binary = Root::of(&program).trace(&program, &["--format", "ktrace"]);
        let mut kdump = Kdump::default();
        let printed: String =
            Reader::new(&binary).map(|entry| kdump.print(&entry.expect("a whole record"))).collect();
        assert_eq!(printed, records, "{program}");
        seen += 1;
    }
    assert!(seen > 20, "only {seen} images");
}

/// Programs with arguments, which end otherwise than without.
const RUNS: [(&str, &[&str]); 6] = [
    ("faults", &["read"]),
    ("faults", &["text"]),
    ("faults", &["divide"]),
    ("faults", &["privileged"]),
    ("status", &["7"]),
    ("status", &["signal", "15"]),
];

#[test]
fn ends_by_signals_and_statuses_are_golden() {
    for (program, args) in RUNS {
        let root = Root::of(program);
        let run = |format| {
            let bytes = root.run(program, args, &["--format", format]);
            String::from_utf8(bytes).expect("a trace is text")
        };
        let name = format!("{program}-{}", args.join("-"));
        golden(&format!("{name}.strace"), &run("strace"));
        golden(&format!("{name}.kdump"), &run("kdump"));
        golden(&format!("{name}.jsonl"), &without_times(&run("jsonl")));
    }
}

#[test]
fn golden_traces_name_no_place_of_this_machine() {
    let top = env!("CARGO_MANIFEST_DIR").as_bytes();
    let mut left = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/trace")];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).expect("a directory").map(|e| e.expect("an entry").path()));
        } else {
            let bytes = fs::read(&path).expect("a file");
            assert!(!bytes.windows(top.len()).any(|w| w == top), "{}", path.display());
        }
    }
}

#[test]
fn every_call_of_the_binary_form_is_in_the_text_form() {
    for program in ["relay", "sockets", "files", "fork"] {
        let root = Root::of(program);
        let strace = root.text(program, &["-Y"]);
        let binary = Root::of(program).trace(program, &["--format", "ktrace"]);
        let mut calls = 0;
        for entry in Reader::new(&binary) {
            let entry = entry.expect("a whole record");
            if let bsd21::kernel::ktrace::record::Body::Call { code, .. } = entry.body {
                calls += 1;
                let row = syscalls::sysent::row(code as u32).expect("a row");
                let (pid, name) = (format!("{}<", entry.pid), format!("> {}(", row.trace_name()));
                let found = strace.lines().any(|l| l.starts_with(&pid) && l.contains(&name));
                assert!(found, "{name} of {pid} is missing");
            }
        }
        let lines = strace.lines().filter(|l| l.contains("(") && l.contains(" = ")).count();
        assert_eq!(calls, lines, "{program}: as many lines as calls");
    }
}

#[test]
fn signals_are_recorded_before_the_end_of_the_call_that_they_interrupt() {
    // As userret does: the mask is the one before the handler, and only a trap's signal has a code.
    let records = Root::of("signals").text("signals", &["--format", "kdump"]);
    let kinds: Vec<_> = records.lines().filter_map(|l| l.get(16..)).collect();
    let kill = kinds.iter().position(|l| l.starts_with("CALL  kill(")).expect("a call");
    assert_eq!(kinds[kill + 1], "PSIG  SIGUSR1 caught handler=0x13cf mask=0x0 code=0x0");
    assert_eq!(kinds[kill + 2], "RET   kill 0");
    assert!(kinds.iter().any(|l| l.starts_with("PSIG  SIGSEGV") && l.ends_with("code=0xc")), "{records}");
}

#[test]
fn a_virtual_clock_gives_the_same_trace_each_time() {
    let first = Root::of("relay").trace("relay", &["--format", "jsonl"]);
    for _ in 0..3 {
        assert!(first == Root::of("relay").trace("relay", &["--format", "jsonl"]), "two runs differ");
    }
}
