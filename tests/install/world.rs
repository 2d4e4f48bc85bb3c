//! What the tests of installing share: a directory of their own, archives, and a small system to install.

use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::rc::Rc;

use bsd21::install;
use bsd21::install::{InstallError, Options, Progress, Report};
use bsd21::kernel::cred::Ucred;
use bsd21::kernel::vfs::attr::Vattr;
use bsd21::kernel::vfs::mount::{MountFlags, Source};
use bsd21::kernel::vfs::namei::{Nameidata, Op, Start};
use bsd21::kernel::vfs::{Vfs, Vtype};
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

pub(super) const ROCK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/media/rock.iso");
pub(super) const PLAIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/media/plain.iso");
pub(super) const SMALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/media/small.tar.Z");

/// A directory with a place for sources, one for the root, and a file beside them that must stay as it is.
pub(super) struct World {
    dir: tempfile::TempDir,
}

impl World {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("in")).unwrap();
        fs::write(dir.path().join("sentinel"), "as it was").unwrap();
        Self { dir }
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.at("in").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(super) fn install(&self, source: &Path) -> Result<Report, InstallError> {
        self.install_with(source, &Options::default())
    }

    pub(super) fn install_with(&self, source: &Path, options: &Options) -> Result<Report, InstallError> {
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
    pub(super) fn stat(&self, path: &str) -> Vattr {
        let mut vfs = Vfs::new(bsd21::kernel::vfs::Options::default());
        vfs.mount_root(&Source::Host(&self.at("root")), MountFlags::RDONLY).unwrap();
        let root = vfs.root_vnode();
        let cred = Ucred { uid: 0, groups: vec![0] };
        let nd = Nameidata::new(path.as_bytes(), Op::Lookup);
        let found = vfs.namei(&nd, Start { cwd: root, root }, &cred);
        let id = found.unwrap_or_else(|e| panic!("{path}: {e:?}")).vp.unwrap();
        vfs.getattr(id).unwrap()
    }

    pub(super) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.at("root").join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.at("root").join(path).symlink_metadata().is_ok()
    }

    /// Nothing beside the root was touched.
    pub(super) fn check_outside(&self) {
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

pub(super) fn bsd21(args: &[&dyn AsRef<std::ffi::OsStr>]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bsd21"));
    args.iter().for_each(|arg| _ = command.arg(arg));
    command.env_remove("BSD21_ROOT").env_remove("DISPLAY").env("TZ", "UTC");
    command.stdin(Stdio::null()).output().unwrap()
}

pub(super) fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An entry of an archive.
pub(super) fn header(kind: EntryType, size: u64, mode: u32) -> Header {
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
pub(super) struct Tar(Vec<u8>);

impl Tar {
    pub(super) fn raw(mut self, name: &str, link: &str, mut header: Header, bytes: &[u8]) -> Self {
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

    pub(super) fn file(self, name: &str, mode: u32, bytes: &[u8]) -> Self {
        self.raw(name, "", header(EntryType::Regular, bytes.len() as u64, mode), bytes)
    }

    pub(super) fn directory(self, name: &str, mode: u32) -> Self {
        self.raw(name, "", header(EntryType::Directory, 0, mode), b"")
    }

    pub(super) fn link(self, name: &str, text: &str) -> Self {
        self.raw(name, text, header(EntryType::Symlink, 0, 0o777), b"")
    }

    pub(super) fn name(self, name: &str, target: &str) -> Self {
        self.raw(name, target, header(EntryType::Link, 0, 0o644), b"")
    }

    pub(super) fn device(self, name: &str, kind: EntryType, major: u32, minor: u32) -> Self {
        let mut header = header(kind, 0, 0o640);
        header.set_device_major(major).unwrap();
        header.set_device_minor(minor).unwrap();
        self.raw(name, "", header, b"")
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// The sum that cksum prints.
pub(super) fn cksum(bytes: &[u8]) -> u32 {
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
pub(super) fn set(world: &World, directory: &str, name: &str, bytes: &[u8], piece: usize) {
    let mut inf = format!("Pieces =  {}\n", bytes.chunks(piece).len());
    for (n, bytes) in bytes.chunks(piece).enumerate() {
        let end: String = [n / 26, n % 26].iter().map(|&n| char::from(b'a' + n as u8)).collect();
        world.put(&format!("{directory}/{name}.{end}"), bytes);
        inf += &format!("cksum.{end} = {} {}\n", cksum(bytes), bytes.len());
    }
    world.put(&format!("{directory}/{name}.inf"), inf.as_bytes());
}

/// A small system.
pub(super) fn system() -> Vec<u8> {
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

pub(super) fn check_system(world: &World) {
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

/// The original's tree, where there is one.
pub(super) fn tree(test: &str) -> Option<PathBuf> {
    let root = std::env::var_os("BSD21_ROOT").map(PathBuf::from);
    let root = root.filter(|root| root.join("usr/libexec/ld.so").is_file());
    if root.is_none() {
        eprintln!("{test} skipped: BSD21_ROOT is not set, or has no ld.so");
    }
    root
}
