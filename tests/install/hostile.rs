//! Archives that mean harm, and installations that were killed.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::world::*;
use bsd21::install::{InstallError, Options, journal};
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

#[test]
fn names_that_lead_out_stay_inside_or_are_refused() {
    let world = World::new();
    let outside = world.at("sentinel").into_os_string().into_string().unwrap();
    let archive = Tar::default()
        .file("/etc/absolute", 0o644, b"inside")
        .file("../sentinel", 0o644, b"gone")
        .file("a/../../sentinel", 0o644, b"gone")
        .link("up", "../../../../../..")
        .file("up/sentinel", 0o644, b"at the root")
        .link("out", &outside)
        .file("out/x", 0o644, b"a directory of its own")
        .link("etc2", "/etc")
        .file("etc2/through", 0o644, b"through the link")
        .name("stolen", "../sentinel")
        .name("stolen2", &outside)
        .link("loop", "loop")
        .file("loop/x", 0o644, b"x")
        .file(".bsd21/journal", 0o644, b"done\tall\n")
        .file("file", 0o644, b"x")
        .file("file/below", 0o644, b"x")
        .directory("dir", 0o755)
        .file("dir", 0o644, b"a file in the place of a directory")
        .raw("odd", "", header(EntryType::new(b'Z'), 0, 0o644), b"")
        .end();
    let report = world.install(&world.put("hostile.tar", &archive)).unwrap();
    assert_eq!(world.text("etc/absolute"), "inside");
    assert_eq!(world.text("etc/through"), "through the link");
    assert_eq!(world.text("sentinel"), "at the root");
    assert!(report.refusals >= 8, "{:#?}", report.refused);
    assert!(world.at("root/dir").is_dir() && !world.has("stolen") && !world.has("stolen2"));
    assert!(!world.text(".bsd21/journal").contains("all"));
    world.check_outside();
}

#[test]
fn a_bomb_ends_where_it_is_told() {
    let world = World::new();
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    let mut big = header(EntryType::Regular, 8 << 30, 0o644);
    big.set_path("zeros").unwrap();
    big.set_cksum();
    out.write_all(big.as_bytes()).unwrap();
    let zeros = vec![0; 1 << 20];
    (0..64).for_each(|_| out.write_all(&zeros).unwrap());
    let bomb = world.put("bomb.tgz", &out.finish().unwrap());
    let options = Options { most: 10 << 20, ..Options::default() };
    let error = world.install_with(&bomb, &options).unwrap_err();
    assert!(matches!(error, InstallError::TooMuch { .. }), "{error}");
    assert!(!world.has("zeros"));
    // Where that much is allowed the archive itself ends too early, and nothing of the file is there.
    let error = world.install_with(&bomb, &Options { most: 16 << 30, ..options }).unwrap_err().to_string();
    assert!(error.contains("truncated"), "{error}");
    assert!(!world.has("zeros"));
    // A name that never ends.
    let mut long = GzEncoder::new(Vec::new(), Compression::fast());
    let mut name = header(EntryType::GNULongName, 1 << 30, 0o644);
    name.set_path("././@LongLink").unwrap();
    name.set_cksum();
    long.write_all(name.as_bytes()).unwrap();
    (0..16).for_each(|_| long.write_all(&vec![b'n'; 1 << 20]).unwrap());
    assert!(world.install(&world.put("long.tgz", &long.finish().unwrap())).is_err());
}

#[test]
fn truncated_archives_are_refused_at_every_place() {
    let all = gzip(&system());
    let tar = system();
    for end in (0..all.len()).step_by(37) {
        let world = World::new();
        let result = world.install(&world.put("cut.tgz", &all[..end]));
        assert!(result.is_err(), "{end} of {}", all.len());
        assert_eq!(journal::unfinished(&world.at("root")).len(), 1);
    }
    for end in (0..tar.len() - 1024).step_by(512).chain([700, 1000, 4000]) {
        let world = World::new();
        assert!(world.install(&world.put("cut.tar", &tar[..end])).is_err(), "{end} of {}", tar.len());
        world.check_outside();
    }
}

#[test]
fn every_byte_of_a_header_may_be_wrong() {
    let tar =
        Tar::default().file("bin/sh", 0o755, b"x").link("l", "bin").device("d", EntryType::Char, 1, 2).end();
    // Names and numbers of the first entry, and of the device the rest.
    for at in (0..512).chain(1536 + 100..1536 + 160).chain(1536 + 257..1536 + 345) {
        let named = at < 8 || (100..160).contains(&(at % 512));
        let values = if named { vec![!tar[at], 0, b'/', b'7', b'.'] } else { vec![!tar[at]] };
        for value in values {
            let mut wrong = tar.clone();
            wrong[at] = value;
            // With a right sum the field itself counts.
            let block = at / 512 * 512;
            let mut header = Header::from_byte_slice(&wrong[block..block + 512]).clone();
            header.set_cksum();
            if !(148..156).contains(&(at % 512)) {
                wrong[block..block + 512].copy_from_slice(header.as_bytes());
            }
            let world = World::new();
            let _ = world.install(&world.put("wrong.tar", &wrong));
            world.check_outside();
        }
    }
}

#[test]
fn damaged_images_are_refused_or_contained() {
    let bytes = fs::read(ROCK).unwrap();
    let options = Options { tree: true, ..Options::default() };
    for end in (0..bytes.len()).step_by(4096) {
        let world = World::new();
        let _ = world.install_with(&world.put("cut.iso", &bytes[..end]), &options);
        world.check_outside();
    }
    // The descriptor and the directories; src/cd9660/tests.rs reads every byte of them.
    for at in (16 * 2048..17 * 2048)
        .step_by(23)
        .chain((18 * 2048..34 * 2048).filter(|&at| bytes[at] != 0).step_by(37))
    {
        let mut wrong = bytes.clone();
        wrong[at] = !wrong[at];
        let world = World::new();
        let _ = world.install_with(&world.put("wrong.iso", &wrong), &options);
        world.check_outside();
    }
}

#[test]
fn a_root_with_other_files_is_left_alone() {
    let world = World::new();
    fs::create_dir(world.at("root")).unwrap();
    fs::write(world.at("root/mine"), "x").unwrap();
    let source = world.put("system.tar", &system());
    let error = world.install(&source).unwrap_err().to_string();
    assert!(error.contains("holds other files") && error.contains("--add"), "{error}");
    assert!(!world.has("bin"));
    world.install_with(&source, &Options { add: true, ..Options::default() }).unwrap();
    check_system(&world);
    assert_eq!(world.text("mine"), "x");
}

/// Many files, each with what its name says.
fn many(count: usize) -> Vec<u8> {
    let mut tar = Tar::default();
    for n in 0..count {
        tar = tar.file(&format!("d{}/f{n}", n % 40), 0o644, format!("file {n} ").repeat(200).as_bytes());
    }
    tar.end()
}

#[test]
fn who_is_killed_leaves_whole_files_and_goes_on() {
    let world = World::new();
    let count = 3000;
    let source = world.put("many.tar", &many(count));
    let root = world.at("root");
    let at = |root: &Path| journal::read(root).ok().and_then(|parts| parts.get("many").map(|part| part.at));
    let mut kills = 0;
    for wanted in [1, 700, 1500, 2500] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bsd21"))
            .args(["install", "-q"])
            .args([&source, &root])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while at(&root).unwrap_or(0) < wanted
            && child.try_wait().unwrap().is_none()
            && begun.elapsed() < Duration::from_secs(60)
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        kills += u32::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
        // What is there is whole.
        for n in 0..count {
            if let Ok(text) = fs::read_to_string(root.join(format!("d{}/f{n}", n % 40))) {
                assert_eq!(text, format!("file {n} ").repeat(200), "file {n}");
            }
        }
        if !journal::unfinished(&root).is_empty() {
            let doctor = bsd21(&[&"doctor", &"--root", &root]);
            assert_eq!(doctor.status.code(), Some(1));
            let text = said(&doctor.stdout);
            assert!(text.contains("many was not installed to its end"), "{text}");
            let run = said(&bsd21(&[&"run", &"--root", &root, &"/bin/sh"]).stderr);
            assert!(run.starts_with("bsd21: many was not installed to its end"), "{run}");
        }
    }
    assert!(kills > 0, "the test was too slow to kill anybody");
    let done = bsd21(&[&"install", &source, &root]);
    assert!(done.status.success(), "{}", said(&done.stderr));
    for n in 0..count {
        assert_eq!(world.text(&format!("d{}/f{n}", n % 40)), format!("file {n} ").repeat(200));
    }
    assert_eq!(journal::unfinished(&root), Vec::<String>::new());
    assert_eq!(fs::read_dir(root.join(".bsd21/new")).unwrap().count(), 0, "nothing is left over");
}
