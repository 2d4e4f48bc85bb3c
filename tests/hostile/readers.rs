//! Whoever reads files of the host reads regular ones, within a bound, and shows their names without orders to the
//! terminal; a case reads nothing but what is its own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use crate::{bsd21, fixtures, peak, scratch};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo runs").success());
}

/// A QMAGIC header before 8 GB of nothing.
fn sparse(path: &Path) {
    let header: [u32; 8] = [134 << 16 | 0o314, 4096, 0x7000_0000, 0, 0x7fff_fff0, 0x1020, 0, 0];
    fs::write(path, header.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>()).expect("a file");
    fs::File::options().write(true).open(path).and_then(|file| file.set_len(8 << 30)).expect("a sparse file");
}

/// One line, and a status that is no success.
fn refused(output: &Output, what: &str) -> String {
    let said = text(&output.stderr);
    assert!(
        !output.status.success() && said.lines().count() == 1 && output.stdout.is_empty(),
        "{what}: {said}"
    );
    said
}

#[test]
fn endless_and_large_files_are_refused_by_every_reader() {
    let place = scratch();
    let at = place.path();
    fifo(&at.join("fifo"));
    sparse(&at.join("sparse"));
    symlink("/dev/zero", at.join("zero")).expect("a link");
    for file in ["fifo", "sparse", "zero", "/dev/zero", "/dev/tty"] {
        for command in ["inspect", "kdump", "run", "trace", "capture"] {
            let output = match command {
                "capture" => bsd21(at, &["capture", "-o", "c", "--", file], "capture"),
                command => bsd21(at, &[command, file], command),
            };
            refused(&output, &format!("{command} {file}"));
        }
        fs::copy(fixtures("bin/hello"), at.join("hello")).expect("a program");
        let stdin = bsd21(at, &["capture", "-o", "c", "--stdin", file, "--", "./hello"], "stdin");
        refused(&stdin, &format!("--stdin {file}"));
    }
    let survey = bsd21(at, &["survey", "--all", "."], "survey");
    assert_eq!(survey.status.code(), Some(1), "{}", text(&survey.stderr));
    assert!(text(&survey.stdout).contains("sparse: larger than 536870912 bytes"), "{}", text(&survey.stdout));
    assert!(peak(libc::RUSAGE_CHILDREN) < 700 << 20, "{}", peak(libc::RUSAGE_CHILDREN));
}

#[test]
fn names_give_the_terminal_no_orders() {
    let place = scratch();
    let name = "a\u{1b}[2Jb\nbsd21: c";
    for command in ["run", "inspect", "kdump", "survey"] {
        let said = refused(&bsd21(place.path(), &[command, name], command), command);
        assert!(said.contains("a\\x1b[2Jb\\x0absd21: c"), "{command}: {said:?}");
    }
    fs::write(place.path().join("script"), b"#! /bin/\x1b[31m\x9b\n").expect("a script");
    let output = bsd21(place.path(), &["inspect", "script"], "inspect");
    assert!(text(&output.stdout).contains("run by:    /bin/\\x1b[31m"), "{}", text(&output.stdout));
    // A symbol of a program of ours, with an order in its name.
    let mut file: Vec<u8> =
        [134 << 16 | 0o314, 4096_u32, 4096, 0, 12, 0x1020, 0, 0].map(u32::to_le_bytes).concat();
    file.resize(8192, 0);
    file.extend([4, 5, 0x1020].map(u32::to_le_bytes).concat());
    file.extend(12_u32.to_le_bytes());
    file.extend(b"\x1b]0;x\0\0");
    fs::write(place.path().join("program"), file).expect("a program");
    let output = bsd21(place.path(), &["inspect", "--symbols", "program"], "inspect");
    assert!(text(&output.stdout).ends_with("00001020 T \\x1b]0;x\n"), "{:?}", text(&output.stdout));
}

/// A place with a captured case of `hello` at `case`, whose root lies beside it.
fn captured() -> tempfile::TempDir {
    let place = scratch();
    fs::create_dir(place.path().join("bin")).expect("bin");
    fs::copy(fixtures("bin/hello"), place.path().join("bin/hello")).expect("a program");
    let output = bsd21(place.path(), &["capture", "-o", "case", "--", "bin/hello"], "capture");
    assert!(output.status.success(), "{}", text(&output.stderr));
    place
}

fn verify(place: &Path, options: &[&str]) -> (Option<i32>, String) {
    let output = bsd21(place, &[&["verify"], options, &["case"]].concat(), "verify");
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

fn change(place: &Path, from: &str, to: &str) {
    let path = place.join("case/case.toml");
    let case = fs::read_to_string(&path).expect("a case");
    assert!(case.contains(from), "{case}");
    fs::write(&path, case.replacen(from, to, 1)).expect("a case");
}

#[test]
fn a_case_names_no_directory_outside_unless_it_is_trusted() {
    let place = captured();
    let at = place.path();
    let outside = |options: &[&str]| {
        let (status, said) = verify(at, options);
        assert!(status == Some(1) && said.contains("is outside of the case: --trust"), "{said}");
    };
    outside(&[]);
    assert_eq!(verify(at, &["--trust"]).0, Some(0));
    assert_eq!(verify(at, &["--root", "."]).0, Some(0));
    fs::create_dir(at.join("other")).expect("a directory");
    outside(&["--root", "other"]);
    change(at, "path = \"../bin\"", "path = \"/\"");
    outside(&[]);
    // A link in the case leads outside all the same.
    symlink("/", at.join("case/root")).expect("a link");
    change(at, "path = \"/\"", "path = \"root\"");
    outside(&[]);
    fs::remove_file(at.join("case/root")).expect("it was there");
    fs::create_dir(at.join("case/root")).expect("a root");
    fs::copy(at.join("bin/hello"), at.join("case/root/hello")).expect("a program");
    assert_eq!(verify(at, &[]).0, Some(0), "what is in the case is its own");
    change(at, "[root]", "[[mount]]\nhost = \"/etc\"\nguest = \"/etc\"\n\n[root]");
    outside(&[]);
}

#[test]
fn places_of_a_case_are_checked() {
    let place = captured();
    let at = place.path();
    for (files_at, said) in [
        ("/", "cannot be mounted over"),
        ("/dev", "cannot be mounted over"),
        ("/dev/fd", "cannot be mounted over"),
        ("/a/../dev", "is no absolute path of the guest"),
        ("/case/", "is no absolute path of the guest"),
        ("case", "is no absolute path of the guest"),
        ("/tmp", "is mounted twice"),
    ] {
        change(at, "files_at = \"/case\"", &format!("files_at = \"{files_at}\""));
        let (status, all) = verify(at, &["--trust"]);
        assert!(status == Some(1) && all.contains(said), "{files_at}: {all}");
        change(at, &format!("files_at = \"{files_at}\""), "files_at = \"/case\"");
    }
    // The fingerprint of a file of the host is not told.
    change(at, "path = \"/hello\"", "path = \"/../../../../../../etc/passwd\"");
    assert!(verify(at, &["--trust"]).1.contains("is no absolute path of the guest"));
}

#[test]
fn what_is_no_regular_file_in_a_case_is_an_error() {
    let place = captured();
    let at = place.path();
    let case = at.join("case");
    let error = |what: &str| {
        let (status, said) = verify(at, &["--trust"]);
        assert!(status == Some(1) && said.starts_with("error: case: "), "{what}: {status:?} {said}");
    };
    let spare = at.join("spare");
    for file in ["case.toml", "expected/calls", "expected/stdout", "stdin", "files"] {
        let path = case.join(file);
        let was_there = path.exists();
        if was_there {
            fs::rename(&path, &spare).expect("it is there");
        }
        fifo(&path);
        error(file);
        fs::remove_file(&path).expect("a FIFO");
        for target in ["/dev/zero", "/etc/passwd", "/etc"] {
            symlink(target, &path).expect("a link");
            error(&format!("{file} -> {target}"));
            fs::remove_file(&path).expect("a link");
        }
        if was_there {
            fs::rename(&spare, &path).expect("it goes back");
        }
    }
    assert_eq!(verify(at, &["--trust"]).0, Some(0));
    // A large file is not read, and a large input not copied.
    fs::File::options()
        .write(true)
        .open(case.join("expected/stdout"))
        .and_then(|f| f.set_len(8 << 30))
        .expect("large");
    error("a large output");
    fs::create_dir(case.join("files")).expect("files");
    fs::File::create(case.join("files/large")).and_then(|file| file.set_len(8 << 30)).expect("large");
    error("a large input");
    assert!(peak(libc::RUSAGE_CHILDREN) < 1 << 30, "{}", peak(libc::RUSAGE_CHILDREN));
}

#[test]
fn force_replaces_cases_only() {
    let place = captured();
    let at = place.path();
    let capture =
        |target: &str| bsd21(at, &["capture", "--force", "-o", target, "--", "bin/hello"], "capture");
    assert!(capture("case").status.success());
    fs::create_dir(at.join("precious")).expect("a directory");
    fs::write(at.join("precious/file"), "x").expect("a file");
    fs::write(at.join("file"), "x").expect("a file");
    symlink("case", at.join("link")).expect("a link");
    for target in ["precious", "file", "link"] {
        let said = refused(&capture(target), target);
        assert!(said.ends_with("is no case; --force replaces nothing else\n"), "{said}");
    }
    assert_eq!(fs::read_to_string(at.join("precious/file")).expect("it is there"), "x");
    let leftovers: Vec<_> = fs::read_dir(at).expect("a directory").flatten().map(|e| e.file_name()).collect();
    assert!(leftovers.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{leftovers:?}");
}
