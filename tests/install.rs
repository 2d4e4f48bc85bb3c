//! `bsd21 install` and `bsd21 doctor` over media of our own making: what comes of them, and what does not.

use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bsd21::install::{self, InstallError, Options, Progress, Report, journal};
use bsd21::kernel::cred::Ucred;
use bsd21::kernel::vfs::attr::Vattr;
use bsd21::kernel::vfs::mount::{MountFlags, Source};
use bsd21::kernel::vfs::namei::{Nameidata, Op, Start};
use bsd21::kernel::vfs::{Vfs, Vtype};
use flate2::{Compression, write::GzEncoder};
use tar::{Builder, EntryType, Header};

const ROCK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/media/rock.iso");
const PLAIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/media/plain.iso");
const SMALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/media/small.tar.Z");

/// A directory with a place for sources, one for the root, and a file beside them that must stay as it is.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("in")).unwrap();
        fs::write(dir.path().join("sentinel"), "as it was").unwrap();
        Self { dir }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.at("in").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn install(&self, source: &Path) -> Result<Report, InstallError> {
        self.install_with(source, &Options::default())
    }

    fn install_with(&self, source: &Path, options: &Options) -> Result<Report, InstallError> {
        struct Nobody(Cell<u64>);
        impl Progress for Nobody {
            fn begin(&self, _: &str, _: Option<u64>) {}
            fn advance(&self, bytes: u64) {
                self.0.set(self.0.get() + bytes);
            }
            fn end(&self) {}
        }
        let progress: Rc<dyn Progress> = Rc::new(Nobody(Cell::new(0)));
        install::install(&[source.to_owned()], &self.at("root"), options, &progress)
    }

    /// A file of the root as the guest sees it.
    fn stat(&self, path: &str) -> Vattr {
        let mut vfs = Vfs::new(bsd21::kernel::vfs::Options::default());
        vfs.mount_root(&Source::Host(&self.at("root")), MountFlags::RDONLY).unwrap();
        let root = vfs.root_vnode();
        let cred = Ucred { uid: 0, groups: vec![0] };
        let nd = Nameidata::new(path.as_bytes(), Op::Lookup);
        let found = vfs.namei(&nd, Start { cwd: root, root }, &cred);
        let id = found.unwrap_or_else(|e| panic!("{path}: {e:?}")).vp.unwrap();
        vfs.getattr(id).unwrap()
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.at("root").join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    fn has(&self, path: &str) -> bool {
        self.at("root").join(path).symlink_metadata().is_ok()
    }

    /// Nothing beside the root was touched.
    fn check_outside(&self) {
        let mut names: Vec<String> = fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.retain(|name| name != "root");
        names.sort();
        assert_eq!(names, ["in", "sentinel"]);
        assert_eq!(fs::read_to_string(self.at("sentinel")).unwrap(), "as it was");
    }
}

fn bsd21(args: &[&dyn AsRef<std::ffi::OsStr>]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bsd21"));
    args.iter().for_each(|arg| _ = command.arg(arg));
    command.env_remove("BSD21_ROOT").env_remove("DISPLAY").env("TZ", "UTC");
    command.stdin(Stdio::null()).output().unwrap()
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An entry of an archive.
fn header(kind: EntryType, size: u64, mode: u32) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(3);
    header.set_gid(7);
    header.set_mtime(816_352_496);
    header
}

/// An archive as it is told: names may be what no library would write.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn raw(mut self, name: &str, link: &str, mut header: Header, bytes: &[u8]) -> Self {
        let fields = header.as_mut_bytes();
        fields[..100].fill(0);
        fields[..name.len().min(100)].copy_from_slice(&name.as_bytes()[..name.len().min(100)]);
        fields[157..257].fill(0);
        fields[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(bytes);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, mode: u32, bytes: &[u8]) -> Self {
        self.raw(name, "", header(EntryType::Regular, bytes.len() as u64, mode), bytes)
    }

    fn directory(self, name: &str, mode: u32) -> Self {
        self.raw(name, "", header(EntryType::Directory, 0, mode), b"")
    }

    fn link(self, name: &str, text: &str) -> Self {
        self.raw(name, text, header(EntryType::Symlink, 0, 0o777), b"")
    }

    fn name(self, name: &str, target: &str) -> Self {
        self.raw(name, target, header(EntryType::Link, 0, 0o644), b"")
    }

    fn device(self, name: &str, kind: EntryType, major: u32, minor: u32) -> Self {
        let mut header = header(kind, 0, 0o640);
        header.set_device_major(major).unwrap();
        header.set_device_minor(minor).unwrap();
        self.raw(name, "", header, b"")
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// The sum that cksum prints.
fn cksum(bytes: &[u8]) -> u32 {
    let mut length = bytes.len();
    let mut behind = Vec::new();
    while length > 0 {
        behind.push(length as u8);
        length >>= 8;
    }
    let mut crc = 0u32;
    for &byte in bytes.iter().chain(&behind) {
        for bit in (0..8).rev() {
            let top = crc >> 31 ^ u32::from(byte >> bit & 1);
            crc = crc << 1 ^ if top == 1 { 0x04c1_1db7 } else { 0 };
        }
    }
    !crc
}

/// A set cut in pieces, with its `.inf`.
fn set(world: &World, directory: &str, name: &str, bytes: &[u8], piece: usize) {
    let mut inf = format!("Pieces =  {}\n", bytes.chunks(piece).len());
    for (n, bytes) in bytes.chunks(piece).enumerate() {
        let end: String = [n / 26, n % 26].iter().map(|&n| char::from(b'a' + n as u8)).collect();
        world.put(&format!("{directory}/{name}.{end}"), bytes);
        inf += &format!("cksum.{end} = {} {}\n", cksum(bytes), bytes.len());
    }
    world.put(&format!("{directory}/{name}.inf"), inf.as_bytes());
}

/// A small system.
fn system() -> Vec<u8> {
    Tar::default()
        .directory("./", 0o755)
        .directory("bin", 0o755)
        .file("bin/sh", 0o555, b"a shell")
        .name("bin/rsh", "bin/sh")
        .file("bin/su", 0o4555, b"set-id")
        .directory("etc", 0o755)
        .file("etc/passwd", 0o600, b"root::0:0::/:\n")
        .link("etc/link", "../bin/sh")
        .device("dev/wd0a", EntryType::Block, 0, 0)
        .device("dev/tty01", EntryType::Char, 12, 1)
        .file("usr/share/deep/er/file", 0o644, &[b'x'; 3000])
        .directory("closed", 0o555)
        .file("closed/inside", 0o444, b"in a directory that nobody may write")
        .end()
}

fn check_system(world: &World) {
    assert_eq!(world.text("bin/sh"), "a shell");
    let su = world.stat("bin/su");
    assert_eq!((su.mode, su.uid, su.gid, su.mtime.sec), (0o4555, 3, 7, 816_352_496));
    assert_eq!(world.stat("bin/sh").fileid, world.stat("bin/rsh").fileid);
    assert_eq!(world.stat("bin/rsh").nlink, 2);
    let (block, character) = (world.stat("dev/wd0a"), world.stat("dev/tty01"));
    assert_eq!((block.kind, block.rdev, block.mode), (Vtype::Blk, 0, 0o640));
    assert_eq!((character.kind, character.rdev), (Vtype::Chr, 0x0c01));
    let link = world.stat("etc/link");
    assert_eq!((link.kind, link.uid, link.gid), (Vtype::Lnk, 3, 7));
    let closed = world.stat("closed");
    assert_eq!((closed.mode, closed.mtime.sec), (0o555, 816_352_496));
    assert_eq!(world.text("closed/inside").len(), 36);
    assert_eq!(world.stat("usr/share/deep").mode, 0o755, "made on the way");
    world.check_outside();
}

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

#[test]
fn a_package_goes_where_its_list_says() {
    let world = World::new();
    let list = b"@name bash-1.14.5\n@cwd /usr/local\nbin/bash\n@mode 4555\n@owner root\n@group bin\nbin/helper\n@exec echo hello\n@pkgdep readline-2.0\n";
    let package = Tar::default()
        .file("+CONTENTS", 0o644, list)
        .file("+DESC", 0o644, b"a shell")
        .file("+INSTALL", 0o755, b"#!/bin/sh\n")
        .file("bin/bash", 0o755, b"bash")
        .file("bin/helper", 0o755, b"helper")
        .file("../outside", 0o755, b"x")
        .file("not/in/the/list", 0o755, b"x")
        .end();
    let report = world.install(&world.put("bash.tgz", &gzip(&package))).unwrap();
    assert_eq!(world.text("usr/local/bin/bash"), "bash");
    let helper = world.stat("usr/local/bin/helper");
    assert_eq!((helper.mode, helper.uid, helper.gid), (0o4555, 0, 7));
    assert_eq!(world.text("var/db/pkg/bash-1.14.5/+CONTENTS").as_bytes(), list);
    assert_eq!(world.text("var/db/pkg/bash-1.14.5/+DESC"), "a shell");
    assert_eq!(report.refusals, 2);
    let notes = report.notes.join("\n");
    assert!(notes.contains("needs: readline-2.0, which nobody has installed"), "{notes}");
    // There is no shell in this root.
    for line in
        ["./+INSTALL 'bash-1.14.5' PRE-INSTALL", "echo hello", "./+INSTALL 'bash-1.14.5' POST-INSTALL"]
    {
        assert!(
            notes.contains(&format!(
                "was not run (the root has no /bin/sh that runs), in /var/db/pkg/bash-1.14.5: {line}"
            )),
            "{notes}"
        );
    }
    world.check_outside();
}

/// A root with the shell of the old tree.
fn with_shell(world: &World, tree: &Path) {
    let programs = ["sh", "cat", "echo", "ls", "mkdir", "ln", "chmod", "rm", "test", "["];
    let mut tar = Tar::default();
    for name in programs {
        if let Ok(bytes) = fs::read(tree.join("bin").join(name)) {
            tar = tar.file(&format!("bin/{name}"), 0o755, &bytes);
        }
    }
    world.install(&world.put("shell.tar", &tar.end())).unwrap();
}

#[test]
fn a_packages_commands_run_in_its_root_as_pkg_add_runs_them() {
    let Some(tree) = tree("a_packages_commands_run_in_its_root_as_pkg_add_runs_them") else { return };
    let world = World::new();
    with_shell(&world, &tree);
    let script = b"#!/bin/sh\necho $2 of $1 below $PKG_PREFIX\necho $1 $2 `echo *` >> /log\n";
    let list = b"@name two-2.0\n@cwd /usr/local\nbin/two\n@exec ln -s %F %B/other; echo exec %D %f >> /log\n@unexec rm -f %B/other\n\
        @display +DISPLAY\n@pkgdep one-1.0\n@comment no more\n";
    let one = Tar::default().file("+CONTENTS", 0o644, b"@name one-1.0\n").file("+DESC", 0o644, b"1").end();
    world.install(&world.put("one-1.0.tgz", &gzip(&one))).unwrap();
    let two = |require: &[u8]| {
        let package = Tar::default()
            .file("+CONTENTS", 0o644, list)
            .file("+COMMENT", 0o644, b"a test\n")
            .file("+INSTALL", 0o644, script)
            .file("+REQUIRE", 0o644, require)
            .file("+DISPLAY", 0o644, b"read the manual\n")
            .file("bin/two", 0o755, b"two")
            .end();
        gzip(&package)
    };
    let refused = world.install(&world.put("two-2.0.tgz", &two(b"#!/bin/sh\necho not here >&2; exit 3\n")));
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("its +REQUIRE refuses: exit status 3 (not here)"), "{refused}");
    assert!(!world.has("usr/local/bin/two") && !world.has("log"), "no file of it comes before it agrees");
    assert!(!world.has("var/db/pkg/two-2.0"), "pkg_info does not know it");
    let report = world.install(&world.put("two-2.0.tgz", &two(b"#!/bin/sh\nexit 0\n"))).unwrap();
    assert_eq!(
        report.notes,
        [
            "two-2.0: PRE-INSTALL of two-2.0 below /usr/local",
            "two-2.0: POST-INSTALL of two-2.0 below /usr/local",
            "two-2.0: read the manual"
        ]
    );
    let own = "+COMMENT +CONTENTS +DISPLAY +INSTALL +REQUIRE";
    let log = format!("two-2.0 PRE-INSTALL {own}\nexec /usr/local two\ntwo-2.0 POST-INSTALL {own}\n");
    assert_eq!(world.text("log"), log);
    assert_eq!(fs::read_link(world.at("root/usr/local/bin/other")).unwrap(), Path::new("bin/two"));
    assert_eq!(world.text("var/db/pkg/one-1.0/+REQUIRED_BY"), "two-2.0\n");
    // None of it where somebody does not want it, and no harm by a package that means some.
    let hostile = Tar::default()
        .file(
            "+CONTENTS",
            0o644,
            b"@name bad\n@exec cat ../../../../../../sentinel; echo gone > /../../sentinel\n@exec exit 7\n",
        )
        .end();
    let hostile = world.put("bad.tgz", &gzip(&hostile));
    let quiet = Options { scripts: false, ..Options::default() };
    let notes = world.install_with(&hostile, &quiet).unwrap().notes.join("\n");
    assert!(notes.contains("was not run (--no-scripts)"), "{notes}");
    let notes = world.install(&hostile).unwrap().notes.join("\n");
    assert!(notes.contains("exit 7: exit status 7"), "{notes}");
    world.check_outside();
}

#[test]
fn sets_come_with_the_libraries_that_bin_asks_for() {
    let world = World::new();
    let dynamic = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bin/dynamic")).unwrap();
    let asked = bsd21::image::inspect::libraries(&dynamic);
    let [bsd21::image::inspect::Library::Versioned { name, major, minor }] = &asked[..] else {
        panic!("{asked:?}")
    };
    let older = format!("usr/lib/compat/lib{name}.so.{major}.{}", minor + 1);
    let bin = Tar::default().file("bin/hello", 0o755, &dynamic).file("usr/libexec/ld.so", 0o555, b"x").end();
    set(&world, "cd/bin", "bin", &gzip(&bin), 1 << 20);
    set(&world, "cd/games", "games", &gzip(&Tar::default().file("usr/games/x", 0o755, b"x").end()), 1 << 20);
    let other = Tar::default().file(&format!("usr/lib/lib{name}.so.{}.0", major + 1), 0o444, b"other").end();
    set(&world, "cd/compat1x", "compat1x", &gzip(&other), 1 << 20);
    set(
        &world,
        "cd/compat21",
        "compat21",
        &gzip(&Tar::default().file(&older, 0o444, b"older").end()),
        1 << 20,
    );
    let report = world.install(&world.at("in/cd")).unwrap();
    let names: Vec<&str> = report.done.iter().map(|done| done.name.as_str()).collect();
    assert_eq!(names, ["bin", "compat21"], "{report:?}");
    assert_eq!(report.notes, [format!("compat21: taken for lib{name}.so.{major}.{minor}")]);
    assert_eq!(report.others, ["compat1x", "games"]);
    // Who names sets gets those.
    let world2 = World::new();
    let options = Options { sets: vec!["bin".to_owned()], ..Options::default() };
    let source = world.at("in/cd");
    let report = world2.install_with(&source, &options).unwrap();
    assert_eq!(report.done.len(), 1, "{report:?}");
    // What nobody has is said.
    let world3 = World::new();
    set(&world3, "cd/bin", "bin", &gzip(&bin), 1 << 20);
    let report = world3.install(&world3.at("in/cd")).unwrap();
    assert_eq!(
        report.notes,
        [format!("programs ask for lib{name}.so.{major}.{minor}, which no set here has")]
    );
}

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

#[test]
fn the_command_reports_what_it_did_and_what_is_wanting() {
    let world = World::new();
    let source = world.put("system.tgz", &gzip(&system()));
    let root = world.at("root");
    let done = bsd21(&[&"install", &source, &root]);
    let text = said(&done.stdout);
    assert!(done.status.success() && done.stderr.is_empty(), "{}", said(&done.stderr));
    assert!(text.starts_with("system: 13 entries, "), "{text}");
    assert!(text.contains("missing no /usr/libexec/ld.so") && text.contains("wanting no /tmp"), "{text}");
    let missing = bsd21(&[&"install", &"nowhere.iso", &root]);
    assert_eq!(missing.status.code(), Some(1));
    assert_eq!(said(&missing.stderr), "bsd21: nowhere.iso: No such file or directory\n");
    let sets = bsd21(&[&"install", &"--sets", &"bin,games", &source, &root]);
    assert!(said(&sets.stderr).contains("no set bin, games; there are: system"), "{}", said(&sets.stderr));
}

#[test]
fn the_doctor_makes_what_can_be_made() {
    let world = World::new();
    world.install(&world.put("system.tar", &system())).unwrap();
    let root = world.at("root");
    let fixed = bsd21(&[&"doctor", &"--root", &root, &"--fix"]);
    let text = said(&fixed.stdout);
    assert!(text.contains("made    /tmp") && text.contains("made    termcap"), "{text}");
    assert_eq!(world.stat("tmp").mode, 0o1777);
    assert_eq!(world.stat("var/tmp").mode, 0o1777);
    assert!(world.text("usr/share/misc/termcap").contains("vt100|"));
    assert!(world.text("etc/hosts").contains("localhost"));
    let again = said(&bsd21(&[&"doctor", &"--root", &root, &"--fix"]).stdout);
    assert!(!again.contains("made "), "{again}");
    let hello = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bin/hello");
    let program = bsd21(&[&"doctor", &"-v", &hello]);
    let text = said(&program.stdout);
    assert!(program.status.success() && text.contains("it needs nothing else: bsd21 run "), "{text}");
    let none = bsd21(&[&"doctor", &"/nonexistent/program"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(said(&none.stdout).contains("no such program"));
    let nothing = bsd21(&[&"doctor"]);
    assert_eq!(nothing.status.code(), Some(125));
}

#[test]
fn what_a_guest_prints_goes_to_a_command() {
    let Some(root) = tree("what_a_guest_prints_goes_to_a_command") else { return };
    let dir = tempfile::tempdir().unwrap();
    let to = format!("cat > {}", dir.path().join("printed").display());
    let line = "echo one | lpr -P lp; lpr -#2 /etc/motd /etc/motd; echo two > /dev/lpt0";
    let run =
        bsd21(&[&"run", &"-q", &"--printer", &to, &"--root", &root, &"--overlay", &"/bin/sh", &"-c", &line]);
    assert!(run.status.success() && run.stderr.is_empty(), "{}", said(&run.stderr));
    let motd = fs::read_to_string(root.join("mnt/etc/motd")).unwrap_or_default();
    let printed = fs::read_to_string(dir.path().join("printed")).unwrap();
    assert_eq!(printed, format!("one\n{motd}{motd}two\n"));
    let failed = bsd21(&[
        &"run",
        &"--printer",
        &"exit 3",
        &concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bin/hello"),
    ]);
    assert!(said(&failed.stderr).contains("--printer exit 3: exit status: 3"), "{}", said(&failed.stderr));
}

#[test]
fn a_guest_that_has_lpd_prints_by_its_own_queue() {
    let Some(root) = tree("a_guest_that_has_lpd_prints_by_its_own_queue") else { return };
    if !["usr/sbin/lpd", "usr/sbin/lpc", "usr/bin/lpr", "usr/bin/lpq", "usr/bin/lprm"]
        .iter()
        .all(|p| root.join(p).exists())
    {
        eprintln!("skipped: no lpd in the tree");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let to = format!("cat > {}", dir.path().join("printed").display());
    // What bsd21 doctor --fix makes, as the tree is not ours to mend.
    let session = "mkdir -p /var/spool/output/lpd; cd /root; PATH=/usr/bsd21:/bin:/usr/bin:/usr/sbin:/sbin\n\
        echo 'lp|x:lp=/dev/lpt0:sd=/var/spool/output/lpd:lf=/var/log/lpd-errs:sh:' > /etc/printcap\n\
        lpd; until lpc status lp >/dev/null && [ -r /var/run/printer ]; do sleep 1; done\n\
        lpc stop lp >/dev/null; echo one > first; echo two > second; lpr first; echo three | lpr -J third; lpr second\n\
        lpq; lprm 1; lpq; lpc start lp >/dev/null; until lpq | grep 'no entries' >/dev/null; do sleep 1; done\n";
    fs::write(dir.path().join("session"), session).unwrap();
    let mount = format!("{}:/session:ro", dir.path().display());
    let run = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args([
            "run",
            "-q",
            "--kill-on-exit",
            "--max-wall",
            "120",
            "--printer",
            &to,
            "--overlay",
            "--mount",
            &mount,
            "--root",
        ])
        .args([root.as_os_str(), "/bin/sh".as_ref(), "/session/session".as_ref()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = said(&run.stdout);
    assert!(run.status.success(), "{text} {}", said(&run.stderr));
    for line in [
        "1st    root       0    first",
        "2nd    root       1    (standard input)",
        "3rd    root       2    second",
        "dequeued",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert_eq!(text.matches("(standard input)").count(), 1, "{text}");
    assert_eq!(fs::read_to_string(dir.path().join("printed")).unwrap(), "one\n\u{c}two\n\u{c}", "{text}");
}

#[test]
fn an_installed_root_hides_its_own_directory_from_the_guest() {
    let world = World::new();
    world.install(&world.put("system.tar", &system())).unwrap();
    let mut vfs = Vfs::new(bsd21::kernel::vfs::Options::default());
    vfs.mount_root(&Source::Host(&world.at("root")), MountFlags::empty()).unwrap();
    let root = vfs.root_vnode();
    let names = vfs.read_directory(root).unwrap();
    assert!(names.iter().all(|entry| entry.name != b".bsd21"));
    let directories = names.iter().filter(|entry| entry.kind == Vtype::Dir.dirent_type()).count();
    assert_eq!(usize::from(vfs.getattr(root).unwrap().nlink), directories, "fts counts on it");
}

#[test]
fn a_copied_root_is_the_same_for_the_guest() {
    let world = World::new();
    world.install(&world.put("system.tar", &system())).unwrap();
    let first = world.at("root");
    let copy = World::new();
    copy.install_with(&first, &Options { tree: true, ..Options::default() }).unwrap();
    check_system(&copy);
}

#[test]
fn patterns_are_printed_for_the_hosts_kernel() {
    let printed = bsd21(&[&"binfmt", &"--print", &"--link", &"/usr/local/bin/bsd21-binfmt"]);
    let text = said(&printed.stdout);
    assert_eq!(text.lines().count(), 17, "{text}");
    assert!(text.contains(
        ":bsd21-zmagic-134-host:M::\\x0b\\x01\\x86\\x00:\\xff\\xff\\xff\\x03:/usr/local/bin/bsd21-binfmt:PF\n"
    ));
    let none = bsd21(&[&"binfmt"]);
    assert_eq!(none.status.code(), Some(125));
}

/// Registers with the host's own kernel, and takes everything back.
#[test]
fn programs_start_by_their_names_where_the_host_lets_them() {
    let register = Path::new("/proc/sys/fs/binfmt_misc/register");
    let others = Path::new("/proc/sys/fs/binfmt_misc/bsd21-zmagic-134-host").exists();
    if others || fs::OpenOptions::new().write(true).open(register).is_err() {
        eprintln!(
            "programs_start_by_their_names_where_the_host_lets_them skipped: no binfmt_misc to register with"
        );
        let refused =
            bsd21(&[&"binfmt", &"--install", &"--link", &"/tmp/bsd21-binfmt-that-is-not-made/bsd21-binfmt"]);
        assert!(others || refused.status.code() == Some(125), "{}", said(&refused.stderr));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("bsd21-binfmt");
    let done = bsd21(&[&"binfmt", &"--install", &"--link", &link]);
    assert!(done.status.success(), "{}", said(&done.stderr));
    let run = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bin/args")).arg("one").output();
    let removed = bsd21(&[&"binfmt", &"--remove", &"--link", &link]);
    assert!(removed.status.success() && !link.exists(), "{}", said(&removed.stderr));
    assert!(said(&run.unwrap().stdout).contains("argv[1] one\n"));
}

#[test]
fn the_name_of_an_interpreter_selects_its_mode() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("bsd21-binfmt");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_bsd21"), &link).unwrap();
    let args = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bin/args");
    let run = Command::new(&link)
        .args([args, "my-name", "one", "--two"])
        .env_remove("BSD21_ROOT")
        .output()
        .unwrap();
    let text = said(&run.stdout);
    assert!(text.contains("argv[0] my-name\nargv[1] one\nargv[2] --two\n"), "{text}{}", said(&run.stderr));
    // An old program of Linux, which number 0 matches, too.
    let vax = dir.path().join("vax");
    fs::write(&vax, [&b"\x0b\x01\x64\x00"[..], &[0; 4092]].concat()).unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&vax, fs::Permissions::from_mode(0o755)).unwrap();
    let run = Command::new(&link).arg(&vax).arg("vax").output().unwrap();
    assert_eq!(run.status.code(), Some(126));
    assert!(said(&run.stderr).contains("Linux a.out program"), "{}", said(&run.stderr));
}

/// The original's tree, where there is one.
fn tree(test: &str) -> Option<PathBuf> {
    let root = std::env::var_os("BSD21_ROOT").map(PathBuf::from);
    let root = root.filter(|root| root.join("usr/libexec/ld.so").is_file());
    if root.is_none() {
        eprintln!("{test} skipped: BSD21_ROOT is not set, or has no ld.so");
    }
    root
}

/// ld.so and a library in folders of their own, and one dynamic program of ours.
#[test]
fn a_dynamic_program_runs_with_folders_of_libraries_alone() {
    let Some(root) = tree("a_dynamic_program_runs_with_folders_of_libraries_alone") else { return };
    let dir = tempfile::tempdir().unwrap();
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bin/dynamic");
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    fs::create_dir(&first).unwrap();
    fs::create_dir(&second).unwrap();
    fs::copy(root.join("usr/libexec/ld.so"), first.join("ld.so")).unwrap();
    let libc = fs::read_dir(root.join("usr/lib")).unwrap().filter_map(|e| e.ok());
    let libc =
        libc.filter(|e| e.file_name().as_bytes().starts_with(b"libc.so.2.")).max_by_key(|e| e.file_name());
    let libc = libc.expect("a libc");
    // In a folder where ld.so does not look by itself: only the table leads there.
    fs::copy(libc.path(), second.join(libc.file_name())).unwrap();
    let run = bsd21(&[&"run", &"--lib", &first, &"--lib", &second, &program, &"x"]);
    let (text, errors) = (said(&run.stdout), said(&run.stderr));
    assert!(text.starts_with("hello from libc.so.2.2: "), "{text}{errors}");
    let expected = run.status.code();
    let none = bsd21(&[&"run", &"--lib", &second, &program]);
    assert_eq!(none.status.code(), Some(125));
    assert!(said(&none.stderr).contains("no ld.so there"), "{}", said(&none.stderr));
    let doctor = bsd21(&[&"doctor", &"-v", &"--lib", &first, &"--lib", &second, &program]);
    assert!(doctor.status.success(), "{}", said(&doctor.stdout));
    let alone = bsd21(&[&"doctor", &program]);
    assert!(alone.status.code() == Some(1) && said(&alone.stdout).contains("bsd21 run --lib DIR"));
    // With BSD21_ROOT the same program runs as it is.
    let command = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bsd21"));
        command.args(args).env("BSD21_ROOT", &root).stdin(Stdio::null()).output().unwrap()
    };
    for args in [&["run", "-q", program, "x"][..], &["trace", "-e", "exit", program, "x"]] {
        let run = command(args);
        assert_eq!(run.status.code(), expected, "{args:?}: {}{}", said(&run.stdout), said(&run.stderr));
        assert_eq!(said(&run.stdout), text);
    }
    let ls = command(&["run", "-q", "/bin/ls", "/bin/ls"]);
    assert_eq!(said(&ls.stdout), "/bin/ls\n", "{}", said(&ls.stderr));
}

/// What a guest sees of each file of a root: everything but numbers of files and blocks.
fn census(root: &Path, host: (u32, u32)) -> Vec<String> {
    let owners = bsd21::kernel::vfs::attr::Owners { host, guest: (0, 0) };
    let mut vfs = Vfs::new(bsd21::kernel::vfs::Options { owners, repeatable: false, seed: 0 });
    vfs.mount_root(&Source::Host(root), MountFlags::RDONLY).unwrap();
    let top = vfs.root_vnode();
    let (start, cred) = (Start { cwd: top, root: top }, Ucred { uid: 0, groups: vec![0] });
    let (mut lines, mut waiting) = (Vec::new(), vec![Vec::new()]);
    while let Some(path) = waiting.pop() {
        let name = if path.is_empty() { b"/".to_vec() } else { path.clone() };
        let id = vfs.namei(&Nameidata::new(&name, Op::Lookup), start, &cred).unwrap().vp.unwrap();
        let a = vfs.getattr(id).unwrap();
        let text = if a.kind == Vtype::Lnk { vfs.readlink(id).unwrap() } else { Vec::new() };
        // The host's own directories have other sizes; a link's mode is the host's; times of links are nobody's.
        let (size, mode, time) = match a.kind {
            Vtype::Dir => (0, a.mode, a.mtime.sec),
            Vtype::Lnk => (a.size, 0, 0),
            _ => (a.size, a.mode, a.mtime.sec),
        };
        lines.push(format!(
            "{} {:?} {mode:o} {} {} {} {size} {time} {} {:x} {}",
            path.escape_ascii(),
            a.kind,
            a.nlink,
            a.uid,
            a.gid,
            a.rdev,
            a.flags,
            text.escape_ascii()
        ));
        if a.kind == Vtype::Dir {
            let names = vfs.read_directory(id).unwrap().into_iter().map(|entry| entry.name);
            let names = names.filter(|name| !matches!(&name[..], b"." | b".."));
            waiting.extend(names.map(|name| [&path[..], b"/", &name].concat()));
        }
    }
    lines.sort();
    lines
}

#[test]
#[ignore = "needs BSD21_ROOT, xorriso, the super-user and a minute: docs/testing.md has the command"]
fn an_old_tree_in_an_image_is_what_it_was_for_either_user() {
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::os::unix::process::CommandExt;
    let source = PathBuf::from(std::env::var_os("BSD21_ROOT").expect("BSD21_ROOT"));
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let (tree, image) = (dir.path().join("tree"), dir.path().join("image.iso"));
    let done = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    done(Command::new("cp").arg("-a").arg(&source).arg(&tree));
    // What a tree from an archive of sources has lost: owners, set-id bits, devices, further names.
    for name in ["bin/cat", "bin/ls", "usr/bin/su"] {
        chown(tree.join(name), Some(3), Some(7)).unwrap();
        fs::set_permissions(tree.join(name), fs::Permissions::from_mode(0o4555)).unwrap();
    }
    fs::hard_link(tree.join("bin/ls"), tree.join("bin/ls.other")).unwrap();
    done(Command::new("mknod").arg(tree.join("dev/wd0a")).args(["b", "0", "2"]));
    done(Command::new("mknod").arg(tree.join("dev/ttyv1")).args(["c", "12", "1"]));
    done(
        Command::new("xorriso")
            .args(["-as", "mkisofs", "-quiet", "-R", "--hardlinks", "-o"])
            .arg(&image)
            .arg(&tree),
    );
    fs::set_permissions(&image, fs::Permissions::from_mode(0o644)).unwrap();
    let expected = census(&tree, (0, 0));
    for (user, name) in [(0, "by-root"), (65534, "by-nobody")] {
        let root = dir.path().join(name);
        let begun = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_bsd21"));
        command.args(["install", "-q", "--tree"]).args([&image, &root]).uid(user).gid(user);
        done(&mut command);
        eprintln!("{name}: {} files in {:?}", expected.len(), begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(60));
        let found = census(&root, (user, user));
        let differ: Vec<_> = expected.iter().zip(&found).filter(|(a, b)| a != b).take(5).collect();
        assert!(expected.len() == found.len() && differ.is_empty(), "{name}: {differ:#?}");
        let mut ls = Command::new(env!("CARGO_BIN_EXE_bsd21"));
        ls.args(["run", "-q", "--root"])
            .arg(&root)
            .args(["/bin/ls", "-l", "/usr/bin/su"])
            .uid(user)
            .gid(user);
        let output = ls.output().unwrap();
        assert!(
            said(&output.stdout).starts_with("-r-sr-xr-x"),
            "{}{}",
            said(&output.stdout),
            said(&output.stderr)
        );
    }
}
