//! Surveys of our own guest programs: what is found in each, exactly.

use std::path::Path;

use bsd21::survey::model::{Entry, Survey};
use bsd21::survey::{Options, html, survey};

fn look(directory: &Path) -> Survey {
    survey(directory, &Options { root: None, all: false, jobs: 2, run: None }, &|_, _| ())
}

fn fixtures() -> Survey {
    look(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin"))
}

fn entry<'s>(survey: &'s Survey, path: &str) -> &'s Entry {
    survey.programs.iter().find(|entry| entry.path == path).expect(path)
}

#[test]
fn calls_are_found_by_following_branches() {
    let survey = fixtures();
    let calls = |path: &str| -> Vec<u32> {
        let code = entry(&survey, path).code.as_ref().expect("i386 code");
        code.calls.iter().filter(|call| call.reached > 0).map(|call| call.number).collect()
    };
    assert!(calls("socketpair").contains(&135));
    for format in
        ["hello", "hello.zmagic", "hello.net", "hello.omagic", "hello.gz", "hello.elf", "hello.textless"]
    {
        assert_eq!(calls(format), [1, 4], "{format}");
    }
    assert!(survey.programs.iter().all(|e| e.code.as_ref().is_none_or(|code| code.newer.is_empty())));
}

#[test]
fn missing_libraries_and_linkers_are_named() {
    let survey = fixtures();
    let missing: Vec<_> = survey.summary.missing.keys().map(String::as_str).collect();
    assert_eq!(missing, ["/usr/libexec/ld.so", "libc.so.2.2", "libkvm.so.2.0"]);
    assert_eq!(entry(&survey, "hello.net").system, "NetBSD");
    assert_eq!(entry(&survey, "hello.zmagic").system, "386BSD or FreeBSD 1.0");
}

#[test]
fn links_fifos_and_damaged_files_do_no_harm() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    std::os::unix::fs::symlink(".", at("loop")).expect("a link");
    assert!(std::process::Command::new("mkfifo").arg(at("fifo")).status().expect("mkfifo").success());
    let images = ["hello", "hello.elf", "hello.gz", "dynamic", "hello.omagic"];
    for image in images {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin").join(image);
        let bytes = std::fs::read(from).expect("an image");
        for bit in (0..52 * 8).step_by(3) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(at(&format!("{image}-{bit}")), flipped).expect("a file");
        }
    }
    let survey = look(dir.path());
    assert_eq!((survey.summary.symlinks, survey.summary.special), (1, 1));
    assert_eq!(survey.summary.files, images.len() * (52 * 8usize).div_ceil(3));
    assert!(html::render(&survey).ends_with("</html>\n") && survey.skipped.is_empty());
}
