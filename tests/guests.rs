//! Our own guest programs: that the committed images are what their sources build, and what each of
//! them does when it runs.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use bsd21::image::{Activation, Circumstances, activate, inspect};
use bsd21_kit::build::{self, COMPILER_FILE, PROGRAMS};

fn image(name: &str) -> PathBuf {
    build::fixtures().join("bin").join(name)
}

#[test]
fn committed_images_are_what_their_sources_build() {
    let compiler = match build::compiler() {
        Ok(compiler) => compiler,
        Err(why) => {
            eprintln!("skipped: no compiler for 32-bit programs here ({why:#})");
            return;
        }
    };
    let committed = fs::read_to_string(image(COMPILER_FILE)).expect("the compiler's name");
    let same_compiler = committed.trim() == compiler;
    if !same_compiler {
        eprintln!("the images were built with {committed}this is {compiler}; only their layout is compared");
    }
    for program in PROGRAMS {
        let built = build::build(&build::fixtures().join("guest"), program).expect(program.name);
        let there = fs::read(image(program.name)).expect(program.name);
        if same_compiler {
            assert!(built == there, "{} differs from its source: cargo run -p bsd21-kit", program.name);
        } else {
            assert_eq!(layout(&built), layout(&there), "{}", program.name);
        }
    }
}

/// Format, first segment's address and whether it is writable: what another compiler must not change.
fn layout(file: &[u8]) -> (&'static str, u32, bool) {
    match activate(file, Circumstances::default()) {
        Ok(Activation::Image(plan)) => {
            let first = plan.segments.first().expect("a segment");
            (plan.format, first.addr, first.prot.write)
        }
        other => panic!("not an image: {other:?}"),
    }
}

#[test]
fn each_magic_is_recognised() {
    let format = |name| layout(&fs::read(image(name)).expect(name));
    assert_eq!(format("hello.omagic"), ("a.out OMAGIC", 0, true));
    assert_eq!(format("hello.nmagic"), ("a.out NMAGIC", 0, false));
    assert_eq!(format("hello.zmagic"), ("a.out ZMAGIC", 0, false));
    assert_eq!(format("hello.net"), ("a.out ZMAGIC (network order)", 0x1000, false));
    assert_eq!(format("hello.qmagic"), ("a.out QMAGIC", 0x1000, false));
    assert_eq!(format("hello.gz"), ("gzip-compressed a.out QMAGIC", 0x1000, true));
    assert_eq!(format("hello.textless"), ("a.out ZMAGIC", 0, true));
    assert_eq!(format("hello.elf"), ("ELF, static", 0x0804_8000, false));
}

#[test]
fn symbols_and_libraries_are_found() {
    let dynamic = inspect::report(&fs::read(image("dynamic")).expect("dynamic"));
    let libraries: Vec<String> = dynamic.libraries.iter().map(ToString::to_string).collect();
    assert_eq!(libraries, ["libc.so.2.2"]);
    let hello = inspect::report(&fs::read(image("hello")).expect("hello"));
    assert!(hello.to_string().contains("entry:     0x1020 (_start)"), "{hello}");
    let gates: Vec<_> = hello.gates.iter().map(|gate| gate.number).collect();
    assert_eq!(gates, [Some(1), Some(4)], "exit and write");
}

/// Runs a guest program in an empty directory.
fn run(options: &[&str], program: &str, args: &[&str]) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(["run", "--clean"])
        .args(options)
        .arg(image(program))
        .args(args)
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .output()
        .expect("bsd21 runs")
}

/// What a program prints, and that it says and does nothing else.
fn prints(options: &[&str], program: &str, args: &[&str]) -> String {
    let output = run(options, program, args);
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{program} {args:?}: {text}{errors}");
    assert!(errors.is_empty(), "{program} {args:?}: {errors}");
    text.into_owned()
}

#[test]
fn hello_runs_in_every_format() {
    for program in PROGRAMS.iter().filter(|program| program.source == "hello") {
        assert_eq!(prints(&[], program.name, &[]), "hello, world\n", "{}", program.name);
    }
}

#[test]
fn arguments_and_environment_arrive() {
    let options = ["--clear-env", "--env", "A=1", "--env", "B=", "--argv0", "me"];
    let expected = "argc 3\nargv[0] me\nargv[1] one\nargv[2] \nenvv[0] A=1\nenvv[1] B=\nok\n";
    assert_eq!(prints(&options, "args", &["one", ""]), expected);
    let default = prints(&[], "args", &[]);
    for name in ["PATH=", "HOME=", "USER=", "SHELL=", "TERM=vt100"] {
        assert!(default.contains(&format!("] {name}")), "{name}: {default}");
    }
    assert!(!default.contains("CARGO"), "the host's environment stays outside: {default}");
}

#[test]
fn the_exit_status_is_the_guests() {
    for (args, status) in [(vec!["0"], 0), (vec!["7"], 7), (vec!["255"], 255), (vec!["256"], 0)] {
        assert_eq!(run(&[], "status", &args).status.code(), Some(status), "{args:?}");
    }
    for signal in [2, 9, 15, 30] {
        let output = run(&["-q"], "status", &["signal", &signal.to_string()]);
        assert_eq!(output.status.code(), Some(128 + signal));
        assert!(output.stderr.is_empty(), "a dead guest is no failure of ours");
    }
}

#[test]
fn socketpair_pings_both_ways() {
    let expected = "stream pair: 3 and 4\n3 -> 4: ping\n4 -> 3: pong\n\
                    datagram pair: 3 and 4\n3 -> 4: ping\n4 -> 3: pong\nok\n";
    assert_eq!(prints(&[], "socketpair", &[]), expected);
}

#[test]
fn programs_that_check_themselves_find_nothing_wrong() {
    for program in ["files", "ipc", "kmem", "memory", "mounts", "procfs", "sigframe", "signals", "smc"] {
        assert_eq!(prints(&[], program, &[]), "ok\n", "{program}");
    }
    assert_eq!(prints(&[], "sockets", &[]), "a stream socket holds 4096 bytes\nok\n");
    let debug = image("debug");
    let debugged = prints(&[], "debug", &[debug.to_str().expect("a name")]);
    assert_eq!(debugged, "arguments 4 and 2\ntarget gave 92\nok\n");
    let older = image("debug.older");
    let debugged = prints(&[], "debug.older", &[older.to_str().expect("a name")]);
    assert_eq!(debugged, "arguments 4 and 2\ntarget gave 92\nok\n");
    let process = image("process");
    let of_its_children = "ok\n".repeat(5);
    let printed = prints(&[], "process", &[process.to_str().expect("a name")]);
    assert_eq!(printed, of_its_children + "ok\n");
    let status = image("status");
    assert_eq!(prints(&[], "fork", &[status.to_str().expect("a name")]), "ok\n");
}

#[test]
fn who_looks_after_the_system_gets_its_answers() {
    // On this clock the room of a disk is a constant: on the host's own, accounting is suspended where it is nearly full.
    let output = run(&["--clock", "virtual"], "admin", &[]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ok\n");
    assert!(errors.starts_with("bsd21: not served: nfssvc (") && errors.lines().count() == 1, "{errors}");
    for (what, status, line) in [
        ("halt", 0, "bsd21: the guest has halted the system\n"),
        ("restart", 123, "bsd21: the guest restarts the system (RB_AUTOBOOT)\n"),
    ] {
        let output = run(&[], "admin", &[what]);
        assert_eq!(output.status.code(), Some(status), "{what}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{what}\n"));
        assert_eq!(String::from_utf8_lossy(&output.stderr), line);
    }
}

#[test]
fn a_handled_exception_leaves_an_empty_unit_to_older_programs_only() {
    let left = |control: &str, tags: &str, code: u32| {
        let state = format!("control {control}, status 00, tags {tags}\n");
        let both = format!("in the handler: {state}behind it: {state}");
        format!("{both}{both}handled 2, code {code}\n")
    };
    assert_eq!(prints(&[], "fpe", &[]), left("1272", "0fff", 0));
    assert_eq!(prints(&[], "fpe.older", &[]), left("037f", "ffff", 0x84));
}

#[test]
fn priorities_decide_who_gets_the_processor() {
    for (what, printed) in [("nice", "ok\n"), ("realtime", "ok\nok\n"), ("idle", "ok\n"), ("profile", "ok\n")]
    {
        assert_eq!(prints(&["--clock", "virtual"], "share", &[what]), printed, "{what}");
    }
}

#[test]
fn each_fault_has_its_signal() {
    const ILL: i32 = 132;
    const TRAP: i32 = 133;
    const FPE: i32 = 136;
    const BUS: i32 = 138;
    const SEGV: i32 = 139;
    let cases = [
        ("read", SEGV),
        ("write", SEGV),
        ("text", BUS),
        ("jump", SEGV),
        ("divide", FPE),
        ("privileged", BUS),
        ("undefined", ILL),
        ("breakpoint", TRAP),
        ("overflow", FPE),
        ("bounds", FPE),
        ("float", FPE),
        ("stack", SEGV),
    ];
    let names: Vec<&str> = cases.iter().map(|(name, _)| *name).collect();
    assert_eq!(prints(&[], "faults", &[]).lines().collect::<Vec<_>>(), names);
    for (name, status) in cases {
        assert_eq!(run(&[], "faults", &[name]).status.code(), Some(status), "{name}");
    }
}

#[test]
fn each_trap_tells_its_handler_signal_code_and_address() {
    // The file says what trap.c, machdep.c and npx.c give; the address that `text` was written at varies.
    let file = image("traps");
    let got = prints(&[], "traps", &[file.to_str().expect("a name")]);
    let want = fs::read_to_string(build::fixtures().join("guest/traps.txt")).expect("the expected lines");
    let plain = |line: &str| {
        let text = line.starts_with("write of text");
        if text { line.split(" addr").next().unwrap_or(line).to_owned() } else { line.to_owned() }
    };
    for (got, want) in got.lines().zip(want.lines()) {
        assert_eq!(plain(got), plain(want));
    }
    assert_eq!(got.lines().count(), want.lines().count());
}

#[test]
fn x87_rounds_to_53_bits() {
    // The same source, run by the processor itself with this control word.
    let expected = "control word 1272\n\
                    1/3 3fd55555 55555555\n\
                    1/3*3 3ff00000 00000000\n\
                    ten tenths 3fefffff ffffffff\n\
                    sqrt 2 3ff6a09e 667f3bcd\n\
                    float 2^24+1 41700000 00000000\n\
                    999 -1414\n\
                    1+2^-60-1 00000000 00000000\n";
    assert_eq!(prints(&[], "x87", &[]), expected);
    let wide = prints(&["--fpcw", "0x37f"], "x87", &[]);
    assert!(wide.starts_with("control word 037f\n"));
    assert!(wide.ends_with("1+2^-60-1 3c300000 00000000\n"), "{wide}");
}

#[test]
fn disks_and_discs_that_are_given_are_mounted() {
    let disk = tempfile::tempdir().expect("a directory");
    fs::write(disk.path().join("given"), "given\n").expect("a file");
    let disk_option = format!("sd1a={}", disk.path().display());
    let disc_option = format!("cd0a={}", build::fixtures().join("media/programs.iso").display());
    let options = ["--disk", &disk_option, "--disk", &disc_option];
    assert_eq!(prints(&options, "mounts", &["disks"]), "ok\n");
    assert_eq!(fs::read(disk.path().join("made")).expect("what the guest made"), b"made");
}

#[test]
fn reads_of_any_address_of_the_kernel_and_a_process_are_the_same_in_every_run() {
    for seed in ["1", "2", "3", "4"] {
        let options = ["--clock", "virtual"];
        let first = prints(&options, "kmem", &[seed]);
        // Where the host has put its own memory differs from run to run.
        assert_eq!(prints(&options, "kmem", &[seed]), first, "{seed}");
        let pieces = first.split(' ').next().and_then(|n| n.parse::<u32>().ok());
        assert!(pieces.is_some_and(|n| n > 2000), "{first}");
    }
}

#[test]
fn the_systems_own_library_finds_in_kernel_memory_what_sysctl_says() {
    let libraries = ["usr/libexec/ld.so", "usr/lib/libc.so.2.2", "usr/lib/libkvm.so.2.0"];
    let root = std::env::var_os("BSD21_ROOT").map(PathBuf::from);
    let Some(root) = root.filter(|root| libraries.iter().all(|library| root.join(library).exists())) else {
        eprintln!("skipped: BSD21_ROOT names no tree with ld.so, libc.so.2.2 and libkvm.so.2.0");
        return;
    };
    let own = tempfile::tempdir().expect("a directory");
    for library in libraries {
        let copy = own.path().join(library);
        fs::create_dir_all(copy.parent().expect("a directory above")).expect("a directory");
        fs::copy(root.join(library), copy).expect("a library");
    }
    fs::copy(image("kvm"), own.path().join("kvm")).expect("the program");
    let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(["run", "--root"])
        .arg(own.path())
        .args(["/kvm", "an argument"])
        .output()
        .expect("bsd21 runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ok\n", "{errors}");
}

#[test]
fn a_dynamic_program_prints_through_libc() {
    let Some(root) = std::env::var_os("BSD21_ROOT").map(PathBuf::from) else {
        eprintln!("skipped: BSD21_ROOT names no original tree");
        return;
    };
    if !root.join("usr/libexec/ld.so").exists() || !root.join("usr/lib/libc.so.2.2").exists() {
        eprintln!("skipped: no ld.so and libc.so.2.2 under {}", root.display());
        return;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .arg("run")
        .arg("--root")
        .arg(&root)
        .arg("--mount")
        .arg(format!("{}:/fixtures:ro", build::fixtures().join("bin").display()))
        .arg("/fixtures/dynamic")
        .output()
        .expect("bsd21 runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "hello from libc.so.2.2: 42 words 3.1416\n",
        "{errors}"
    );
    assert_eq!(output.status.code(), Some(3), "{errors}");
}
