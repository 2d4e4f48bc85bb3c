//! Images, sets and archives of all kinds become what they hold.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::world::*;
use bsd21::install::{Options, journal};
use bsd21::kernel::vfs::Vtype;
use tar::{Builder, Header};

#[test]
fn an_image_with_rock_ridge_becomes_what_it_holds() {
    let world = World::new();
    let report = world.install_with(Path::new(ROCK), &Options { tree: true, ..Options::default() }).unwrap();
    assert_eq!((report.refusals, report.refused), (0, vec![]));
    let file = world.stat("bin/Mixed_Case.and.a-long-name");
    assert_eq!((file.mode, file.uid, file.gid, file.mtime.sec), (0o4755, 3, 7, 816_352_496));
    assert_eq!(world.text("d1/d2/d3/d4/d5/d6/d7/d8/d9/bottom"), "deep\n");
    assert_eq!(world.stat("dev/tty9").rdev, 0x0c09);
    assert_eq!(world.stat("dev/pipe").kind, Vtype::Fifo);
    assert_eq!(world.stat("bin/one").fileid, world.stat("bin/other").fileid);
    assert_eq!(world.stat("etc").mtime.sec, 816_352_496, "directories keep their times");
    assert!(!world.has("rr_moved"));
}

#[test]
fn sets_are_found_on_an_image_and_what_is_no_archive_is_said() {
    let world = World::new();
    let error = world.install(Path::new(PLAIN)).unwrap_err().to_string();
    assert!(error.starts_with("bin: no tar archive"), "{error}");
    // Its sums are compared: a changed byte is noticed before.
    let mut bytes = fs::read(PLAIN).unwrap();
    let at = bytes.windows(10).position(|w| w == b"first half").unwrap();
    bytes[at] = b'F';
    let error = world.install(&world.put("damaged.iso", &bytes)).unwrap_err().to_string();
    assert!(error.contains("bin.aa: its MD5 is not"), "{error}");
}

#[test]
fn a_set_in_pieces_is_one_stream() {
    let world = World::new();
    set(&world, "bin", "bin", &gzip(&system()), 200);
    set(&world, "games", "games", &gzip(&Tar::default().file("usr/games/rain", 0o755, b"r").end()), 1000);
    let report = world.install(&world.at("in")).unwrap();
    assert_eq!((report.done.len(), report.others), (1, vec!["games".to_owned()]));
    assert_eq!((report.done[0].name.as_str(), report.done[0].entries), ("bin", 13));
    check_system(&world);
    let games = Options { sets: vec!["games".to_owned()], ..Options::default() };
    let report = world.install_with(&world.at("in"), &games).unwrap();
    assert_eq!(report.others, Vec::<String>::new(), "bin is there already");
    assert_eq!(world.text("usr/games/rain"), "r");
    // The first piece, named alone, means the set.
    world.install(&world.at("in/bin/bin.aa")).unwrap();
    check_system(&world);
}

#[test]
fn several_streams_one_after_the_other_are_one_set() {
    let world = World::new();
    let all = system();
    let (first, second) = all.split_at(3000);
    set(&world, "dists/bin", "bin", &[gzip(first), gzip(second)].concat(), 300);
    world.install(&world.at("in")).unwrap();
    check_system(&world);
}

#[test]
fn pieces_that_are_damaged_or_missing_are_named() {
    let world = World::new();
    set(&world, "bin", "bin", &gzip(&system()), 200);
    let piece = world.at("in/bin/bin.ab");
    let whole = fs::read(&piece).unwrap();
    let mut wrong = whole.clone();
    wrong[100] ^= 1;
    fs::write(&piece, &wrong).unwrap();
    let error = world.install(&world.at("in")).unwrap_err().to_string();
    assert!(error.contains("bin.ab: its checksum is not"), "{error}");
    assert_eq!(journal::unfinished(&world.at("root")), ["bin"]);
    fs::remove_file(&piece).unwrap();
    let error = world.install(&world.at("in")).unwrap_err().to_string();
    assert!(error.ends_with("set bin: bin.ab is missing"), "{error}");
    fs::write(&piece, &whole).unwrap();
    let report = world.install(&world.at("in")).unwrap();
    assert!(report.done[0].resumed);
    check_system(&world);
}

#[test]
fn archives_of_all_kinds_are_read_by_what_they_are() {
    let tar = system();
    let mut bz = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bz.write_all(&tar).unwrap();
    for (name, bytes) in [
        ("system.tar", tar.clone()),
        ("system.tgz", gzip(&tar)),
        ("system.tbz", bz.finish().unwrap()),
        ("no-name-at-all", gzip(&tar)),
    ] {
        let world = World::new();
        world.install(&world.put(name, &bytes)).unwrap_or_else(|e| panic!("{name}: {e}"));
        check_system(&world);
    }
    let world = World::new();
    world.install(Path::new(SMALL)).unwrap();
    assert_eq!(world.text("etc/motd"), "motd\n");
}

#[test]
fn long_names_of_gnu_and_of_posix_are_read() {
    let world = World::new();
    let long = format!("{}/{}", "a".repeat(90), "b".repeat(90));
    let mut builder = Builder::new(Vec::new());
    let mut gnu = Header::new_gnu();
    gnu.set_size(3);
    gnu.set_mode(0o644);
    builder.append_data(&mut gnu, &long, &b"gnu"[..]).unwrap();
    builder.append_pax_extensions([("path", &b"posix/name"[..])]).unwrap();
    builder.append_data(&mut gnu, "short", &b"pax"[..]).unwrap();
    world.install(&world.put("long.tar", &builder.into_inner().unwrap())).unwrap();
    assert_eq!((world.text(&long), world.text("posix/name")), ("gnu".to_owned(), "pax".to_owned()));
}
