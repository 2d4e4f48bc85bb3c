//! The command line as a user meets it: what it prints, and how it ends.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn bsd21(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(args)
        .env_remove("BSD21_ROOT")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("bsd21 runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Ends with `status`, prints nothing, and says why in one line.
fn fails(args: &[&str], status: i32, why: &str) {
    let output = bsd21(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{args:?}: {errors}");
    assert!(errors.starts_with("bsd21: ") && errors.contains(why), "{args:?}: {errors}");
    assert_eq!(errors.lines().count(), 1, "{args:?}: {errors}");
    assert!(output.stdout.is_empty(), "standard output belongs to the guest");
}

#[test]
fn wrong_use_is_125_and_one_line() {
    fails(&[], 125, "no command given");
    fails(&["frobnicate"], 125, "unrecognized subcommand 'frobnicate'");
    fails(&["inspect"], 125, "<FILE>");
    fails(&["syscalls", "--format", "xml"], 125, "invalid value 'xml'");
}

#[test]
fn without_room_for_guest_memory_it_is_one_line() {
    let run = format!("ulimit -v 3000000; exec {} run fixtures/bin/hello", env!("CARGO_BIN_EXE_bsd21"));
    let output = Command::new("sh").args(["-c", &run]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.expect("a shell");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.starts_with("bsd21: cannot reserve 4 GiB"), "{errors}");
    assert_eq!((output.status.code(), errors.lines().count()), (Some(125), 1), "{errors}");
}

/// A program below /tmp is found from every current directory, the root among them.
#[test]
fn a_program_in_the_hosts_tmp_is_found_from_everywhere() {
    let directory = tempfile::Builder::new().tempdir_in("/tmp").expect("a directory");
    let program = directory.path().join("hello");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin/hello"), &program)
        .expect("a copy");
    for here in [Path::new("/"), Path::new("/tmp"), directory.path(), Path::new("/usr")] {
        let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
            .arg("run")
            .arg(&program)
            .current_dir(here)
            .output()
            .expect("bsd21 runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(stdout(&output), "hello, world\n", "from {}: {errors}", here.display());
    }
}

#[test]
fn help_is_an_answer() {
    let help = bsd21(&["--help"]);
    assert!(help.status.success() && stdout(&help).contains("Exit status"));
    let text = stdout(&help);
    assert!(text.find("Run a program:") < text.find("Keep it working:"), "grouped: {text}");
    assert!(stdout(&bsd21(&["--version"])).starts_with("bsd21 "));
}

#[test]
fn inspect_describes_a_program() {
    let text = stdout(&bsd21(&["inspect", "--symbols", "fixtures/bin/socketpair"]));
    for expected in [
        "format:    a.out QMAGIC",
        "r-x text",
        "entry:     0x1020 (_start)",
        "call:      135 socketpair",
        " T _main",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    fails(&["inspect", "fixtures/bin/none"], 127, "fixtures/bin/none: No such file or directory");
}

#[test]
fn the_listing_of_calls_has_every_row_in_each_format() {
    let table = stdout(&bsd21(&["syscalls"]));
    assert_eq!(table.lines().count(), 220);
    assert!(table.contains("\n135 Std    5 socketpair(domain: Domain, kind: SockType, "));
    let json = stdout(&bsd21(&["syscalls", "--format", "json"]));
    assert!(json.starts_with("[\n") && json.ends_with("\n]\n"));
    assert_eq!(json.matches("{\"number\": ").count(), 220);
    assert!(json.contains("{\"number\": 19, \"kind\": \"Compat\", \"words\": 3, \"name\": \"old.lseek\""));
}

#[test]
fn the_page_of_calls_is_what_the_table_says() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/syscalls.md"))
        .expect("the page");
    let now = stdout(&bsd21(&["syscalls", "--format", "md"]));
    assert!(page == now, "docs/syscalls.md is old: cargo run -q -- syscalls --format md > docs/syscalls.md");
}

#[test]
fn completions_and_the_manual_come_from_the_definition() {
    for what in ["bash", "zsh", "fish"] {
        assert!(stdout(&bsd21(&["generate", what])).contains("inspect"), "{what}");
    }
    let manual = stdout(&bsd21(&["generate", "man"]));
    assert!(manual.contains(".TH bsd21 1") && manual.contains("inspect"), "{manual}");
    let page = stdout(&bsd21(&["generate", "man", "trace"]));
    assert!(page.contains(".TH bsd21-trace 1") && page.contains("syscall\\-limit"), "{page}");
    assert!(page.contains("Examples"), "{page}");
    fails(&["generate", "man", "trase"], 125, "did you mean 'trace'?");
    let directory = tempfile::tempdir().expect("a directory");
    let name = directory.path().to_str().expect("a name");
    assert!(bsd21(&["generate", "man", "--directory", name]).status.success());
    assert!(directory.path().join("bsd21.1").is_file() && directory.path().join("bsd21-verify.1").is_file());
}

#[test]
fn options_that_do_not_exist_are_refused_with_a_suggestion() {
    let output = bsd21(&["run", "--rooot", "/", "fixtures/bin/hello"]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), errors.lines().count()), (Some(125), 1), "{errors}");
    assert!(errors.contains("'--rooot'") && errors.contains("'--root'"), "{errors}");
    fails(&["trace", "-H", "fixtures/bin/hello"], 125, "'-H'");
    let output = bsd21(&["trace", "-s5", "-ewrite", "fixtures/bin/args", "-l", "--color", "-s9"]);
    assert!(stdout(&output).contains("argv[3] -s9"), "{}", stdout(&output));
}

#[test]
fn calls_are_found_by_name_and_by_number() {
    let listed = stdout(&bsd21(&["explain"]));
    assert!(listed.lines().any(|line| line.starts_with("135  socketpair ")), "{listed}");
    assert_eq!(stdout(&bsd21(&["explain", "135"])), stdout(&bsd21(&["explain", "socketpair"])));
    let stat = stdout(&bsd21(&["syscalls", "stat", "135"]));
    let rows: Vec<&str> = stat.lines().map(|line| &line[..3]).collect();
    assert_eq!(rows, [" 38", "188", "135"]);
    fails(&["syscalls", "opne"], 125, "did you mean 'open'?");
    fails(&["syscalls", "999"], 125, "unknown system call '999'");
}

#[test]
fn inspect_speaks_json() {
    let text = stdout(&bsd21(&["inspect", "--format", "json", "fixtures/bin/hello", "README.md"]));
    let files: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(files[0]["image"]["segments"][0]["kind"], "text");
    assert!(files[0]["calls"].as_array().is_some_and(|calls| calls.iter().any(|c| c["name"] == "write")));
    assert!(files[1]["refused"].is_string() && files[1]["image"].is_null());
}

#[test]
fn a_program_that_is_not_there_is_127_and_names_the_root() {
    fails(&["run", "./none"], 127, "./none: not found");
    let empty = tempfile::tempdir().expect("a directory");
    let root = empty.path().to_str().expect("a name");
    fails(&["run", "--root", root, "ls"], 127, root);
    fails(&["run", "--root", root, "/bin/ls"], 127, root);
}

#[test]
fn what_is_missing_is_named_with_the_root_that_was_searched() {
    let root = tempfile::tempdir().expect("a directory");
    let name = |file: &str| root.path().join(file).to_str().expect("a name").to_owned();
    let given = root.path().display();
    std::fs::create_dir(name("d")).expect("a directory");
    std::fs::write(name("empty"), "").expect("a file");
    std::fs::write(name("script"), "#!/bin/nosh\n").expect("a file");
    for program in ["dynamic", "plain"] {
        std::fs::copy(format!("fixtures/bin/{}", program.replace("plain", "hello")), name(program))
            .expect("a copy");
    }
    for (file, mode) in [("empty", 0o755), ("script", 0o755), ("plain", 0o644)] {
        std::fs::set_permissions(name(file), std::fs::Permissions::from_mode(mode)).expect("a mode");
    }
    fails(&["run", &name("d")], 126, "/d is a directory");
    fails(&["run", &name("empty")], 126, "/empty is an empty file");
    fails(&["run", &name("plain")], 126, "/plain is not executable; chmod +x makes it so");
    fails(&["run", "--root", &name("."), "/script"], 126, "/script: its interpreter /bin/nosh: No such file");
    let output = bsd21(&["run", &name("dynamic")]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let wanted = "/dynamic needs /usr/libexec/ld.so and libc.so.2.2: --root DIR names a tree that has them\n";
    assert!(output.status.code() == Some(1) && said.ends_with(wanted), "{said}");
    let output = bsd21(&["run", "--root", given.to_string().as_str(), "dynamic/../dynamic"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("needs"), "a program that was not found needs nothing: {said}");
    let output = bsd21(&["run", "--root", given.to_string().as_str(), "/dynamic"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let wanted =
        format!("/dynamic needs /usr/libexec/ld.so, libc.so.2.2, which the root {given} does not have\n");
    assert!(output.status.code() == Some(1) && said.ends_with(&wanted), "{said}");
}

#[test]
fn a_user_is_known_by_name_where_the_root_says_so() {
    let root = tempfile::tempdir().expect("a directory");
    let given = root.path().to_str().expect("a name");
    std::fs::create_dir(root.path().join("etc")).expect("a directory");
    std::fs::copy("fixtures/bin/args", root.path().join("args")).expect("a copy");
    fails(&["run", "--root", given, "-u", "ann", "/args"], 125, "user ann: the root has no /etc/passwd");
    std::fs::write(root.path().join("etc/passwd"), "ann:*:7:70:Ann:/home/ann:/bin/csh\n").expect("a file");
    fails(&["run", "--root", given, "-u", "bob", "/args"], 125, "user bob: not in the root's /etc/passwd");
    fails(&["run", "--root", given, "-u", "ann", "--uid", "3", "/args"], 125, "cannot be used with");
    let said = stdout(&bsd21(&["run", "--root", given, "-u", "ann", "/args"]));
    for variable in ["HOME=/home/ann", "USER=ann", "LOGNAME=ann", "SHELL=/bin/csh"] {
        assert!(said.contains(&format!("] {variable}\n")), "{variable}: {said}");
    }
    let said = stdout(&bsd21(&["run", "--root", given, "-u", "ann", "--env", "HOME=/x", "/args"]));
    assert!(said.contains("] HOME=/x\n") && !said.contains("/home/ann"), "{said}");
}

#[test]
fn a_file_that_is_no_program_of_2_1_is_126_and_says_what_it_is() {
    fails(&["run", "/bin/sh"], 126, "ELF file is for");
    fails(&["run", "README.md"], 126, "README.md");
    let directory = tempfile::tempdir().expect("a directory");
    let linux = directory.path().join("linux");
    std::fs::write(&linux, [0xcc, 0, 100, 0].repeat(16)).expect("a file");
    let mode = PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&linux, mode).expect("executable");
    fails(&["run", linux.to_str().expect("a name")], 126, "Linux a.out program");
}

#[test]
fn wrong_options_of_a_guest_are_125() {
    fails(&["run"], 125, "<PROGRAM>");
    fails(&["run", "--root", "/nonexistent", "ls"], 125, "/nonexistent");
    fails(&["run", "--mount", "nowhere", "ls"], 125, "HOST:GUEST");
    fails(&["run", "--env", "x", "ls"], 125, "NAME=VALUE");
    fails(&["run", "--fpcw", "x", "ls"], 125, "16-bit");
    fails(&["run", "--cwd", "/nonexistent", "fixtures/bin/hello"], 125, "/nonexistent");
}

#[test]
fn only_the_mounted_directories_are_there() {
    let directory = tempfile::tempdir().expect("a directory");
    let outside = directory.path().join("outside");
    std::fs::create_dir(&outside).expect("a directory");
    // The program's directory is mounted where it is, the rest of the host is not there.
    let hello = format!("{}/fixtures/bin/hello", env!("CARGO_MANIFEST_DIR"));
    let output =
        Command::new(env!("CARGO_BIN_EXE_bsd21")).args(["run", &hello]).current_dir(&outside).output();
    assert_eq!(stdout(&output.expect("bsd21 runs")), "hello, world\n");
}

#[test]
fn the_log_shows_what_bsd21_does() {
    let output = bsd21(&[
        "run",
        "--clean",
        "--clock",
        "virtual",
        "--log",
        "bsd21::process=info,bsd21::file=debug",
        "fixtures/bin/fork",
    ]);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    for expected in [
        "path=fixtures/bin/fork format=\"a.out QMAGIC\"",
        "process{pid=5 comm=\"fork\"}",
        "forks",
        "looks up",
    ] {
        assert!(log.contains(expected), "{expected} in {log}");
    }
    assert!(bsd21(&["run", "fixtures/bin/fork"]).stderr.is_empty(), "silent unless asked");
    fails(&["run", "--log", "bsd21=loud", "fixtures/bin/fork"], 125, "--log bsd21=loud");
    let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(["run", "--root", "fixtures", "/bin/hello"])
        .env("BSD21_LOG", "bsd21::mount=debug")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("bsd21 runs");
    assert_eq!(stdout(&output), "hello, world\n");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(log.contains("bsd21::mount: mounts on=/ "), "{log}");
    // Code that is made of blocks, and what the host refuses, in the span of the process that has the processor.
    let filter = "bsd21::process=info,bsd21::translate=debug,bsd21::host=trace";
    let output = bsd21(&["run", "--clean", "--log", filter, "fixtures/bin/smc"]);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let spanned = |event: &str| log.lines().any(|l| l.contains("comm=\"smc\"}: ") && l.contains(event));
    if cfg!(target_arch = "x86_64") {
        assert!(spanned("bsd21::translate: translates eip=0x"), "{log}");
    }
    let output = bsd21(&["run", "--clean", "--log", "bsd21::host=trace", "--root", "fixtures", "/bin/files"]);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(log.lines().any(|line| line.contains("bsd21::host: refused error=")), "{log}");
}

/// Who names a usual root for all commands.
#[test]
fn bsd21_root_is_the_root_of_every_command() {
    use std::os::unix::fs::symlink;
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = tempfile::tempdir().expect("a directory");
    let root = place.path().join("root");
    for directory in ["bin", "etc", "usr/libexec", "usr/lib", "tmp", "root"] {
        std::fs::create_dir_all(root.join(directory)).expect("a directory");
    }
    for name in ["hello", "args", "dynamic"] {
        std::fs::copy(home.join("fixtures/bin").join(name), root.join("bin").join(name)).expect("a copy");
    }
    std::fs::copy(home.join("fixtures/bin/hello"), root.join("bin/sh")).expect("a copy");
    symlink("/bin/hello", root.join("bin/greet")).expect("a link of the root");
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
            .args(args)
            .env("BSD21_ROOT", &root)
            .current_dir(place.path())
            .stdin(std::process::Stdio::null())
            .output()
            .expect("bsd21 runs");
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), text)
    };
    // /bin/greet is a path of the root alone, and its link leads there.
    let (status, text) = run(&["run", "/bin/greet"]);
    assert_eq!((status, text.as_str()), (Some(0), "hello, world\n"));
    let (status, text) = run(&["trace", "-e", "trace=execve,write", "/bin/greet"]);
    assert!(status == Some(0) && text.contains("execve(\"/bin/greet\""), "{text}");
    let (status, text) = run(&["capture", "-o", "case", "--", "/bin/greet"]);
    assert!(status == Some(0) && text.contains("exit 0"), "{text}");
    let case = std::fs::read_to_string(place.path().join("case/case.toml")).expect("a case");
    assert!(case.contains("/bin/greet") && !case.contains(place.path().to_str().expect("text")), "{case}");
    let (status, text) = run(&["verify", "--trust", "case"]);
    assert!(status == Some(0) && text.contains("1 passed"), "{text}");
    let (status, text) = run(&["survey", root.to_str().expect("text")]);
    assert!(status == Some(0) && text.contains("bin/hello"), "{text}");
    let (status, text) = run(&["doctor"]);
    assert!(text.contains("no /usr/libexec/ld.so"), "{status:?} {text}");
    let (status, text) = run(&["shell"]);
    assert!(!text.contains("no root"), "{status:?} {text}");
    // Found, and only then does it ask how gdb comes to it.
    let (status, text) = run(&["gdb", "/bin/greet"]);
    assert!(status == Some(125) && text.contains("gdb needs --exec"), "{status:?} {text}");
    // --root wins, and what is no directory is said.
    let (status, text) = run(&["run", "--root", home.join("fixtures").to_str().expect("text"), "/bin/greet"]);
    assert!(status == Some(127) && text.contains("fixtures"), "{text}");
    let nowhere = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(["run", "/bin/greet"])
        .env("BSD21_ROOT", place.path().join("nowhere"))
        .output()
        .expect("bsd21 runs");
    let text = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert!(nowhere.status.code() != Some(0) && text.lines().count() == 1, "{text}");
}
