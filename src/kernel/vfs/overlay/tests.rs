//! An overlay against the same changes made directly: every answer and every file must be the same, before
//! and after it is read again, and in the root after a commit.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use syscalls::Errno;
use tempfile::TempDir;

use super::diff::What;
use super::{Overlay, OverlayError, Shared};
use crate::host::fs::{HostTime, OpenFor};
use crate::kernel::cred::Ucred;
use crate::kernel::vfs::mount::{MountFlags, Source};
use crate::kernel::vfs::namei::{Found, Nameidata, Op, Start};
use crate::kernel::vfs::node::Make;
use crate::kernel::vfs::{Options, Vfs, VnodeId, Vtype};

const ROOT: Ucred = Ucred { uid: 0, groups: Vec::new() };

/// Names that changes are made with: few, so that they meet.
const NAMES: [&str; 10] = ["a", "b", "d", "d/x", "d/y", "d/e", "d/e/z", "s", "n", "d/n"];

#[derive(Clone, Debug)]
enum Act {
    Create(usize, Vec<u8>),
    Write(usize, u64, Vec<u8>),
    Truncate(usize, u64),
    Mkdir(usize),
    Symlink(usize),
    Fifo(usize),
    Device(usize),
    Link(usize, usize),
    Rename(usize, usize),
    Remove(usize),
    Rmdir(usize),
    Mode(usize, u16),
    Owner(usize, u32, u32),
    Flags(usize, u32),
    Times(usize, i64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let name = || 0..NAMES.len();
    let bytes = || prop::collection::vec(any::<u8>(), 0..12);
    let act = prop_oneof![
        3 => (name(), bytes()).prop_map(|(n, b)| Act::Create(n, b)),
        2 => (name(), 0..20u64, bytes()).prop_map(|(n, o, b)| Act::Write(n, o, b)),
        1 => (name(), 0..20u64).prop_map(|(n, s)| Act::Truncate(n, s)),
        2 => name().prop_map(Act::Mkdir),
        1 => name().prop_map(Act::Symlink),
        1 => name().prop_map(Act::Fifo),
        1 => name().prop_map(Act::Device),
        3 => (name(), name()).prop_map(|(a, b)| Act::Link(a, b)),
        5 => (name(), name()).prop_map(|(a, b)| Act::Rename(a, b)),
        4 => name().prop_map(Act::Remove),
        2 => name().prop_map(Act::Rmdir),
        2 => (name(), 0..0o10000u16).prop_map(|(n, m)| Act::Mode(n, m)),
        1 => (name(), 0..3u32, 0..3u32).prop_map(|(n, u, g)| Act::Owner(n, u, g)),
        1 => (name(), prop_oneof![Just(0u32), Just(1)]).prop_map(|(n, f)| Act::Flags(n, f)),
        1 => (name(), 1..2_000_000_000i64).prop_map(|(n, t)| Act::Times(n, t)),
    ];
    prop::collection::vec(act, 1..40)
}

/// A file system over a directory, and how it is worked with.
struct World {
    vfs: Vfs,
}

impl World {
    fn new(source: &Source<'_>) -> Self {
        let mut vfs = Vfs::new(Options::default());
        vfs.mount_root(source, MountFlags::empty()).unwrap();
        Self { vfs }
    }

    fn find(&mut self, path: &str, op: Op) -> Result<Found, Errno> {
        let root = self.vfs.root_vnode();
        self.vfs.namei(&Nameidata::new(path.as_bytes(), op), Start { cwd: root, root }, &ROOT)
    }

    fn look(&mut self, path: &str) -> Result<VnodeId, Errno> {
        self.find(path, Op::Lookup)?.vp.ok_or(Errno::ENOENT)
    }

    fn make(&mut self, path: &str, what: Make<'_>, mode: u16) -> Result<VnodeId, Errno> {
        let at = self.find(path, Op::Create)?;
        if at.vp.is_some() {
            return Err(Errno::EEXIST);
        }
        self.vfs.make(&at, what, mode, &ROOT)?.ok_or(Errno::ENOENT)
    }

    fn write(&mut self, id: VnodeId, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        let kind = self.vfs.vnode(id).kind;
        if kind != Vtype::Reg {
            return Err(Errno::EFTYPE);
        }
        self.vfs.vref(id);
        let result = self.vfs.write_content(id, offset, bytes).map(drop);
        self.vfs.vrele(id);
        result
    }

    fn act(&mut self, act: &Act) -> Result<(), Errno> {
        let name = |n: &usize| NAMES[*n];
        match act {
            Act::Create(n, bytes) => {
                let id = self.make(name(n), Make::File, 0o644)?;
                self.write(id, 0, bytes)
            }
            Act::Write(n, offset, bytes) => {
                let id = self.look(name(n))?;
                self.write(id, *offset, bytes)
            }
            Act::Truncate(n, size) => {
                let id = self.look(name(n))?;
                if self.vfs.vnode(id).kind != Vtype::Reg {
                    return Err(Errno::EFTYPE);
                }
                self.vfs.set_length(id, *size)
            }
            Act::Mkdir(n) => self.make(name(n), Make::Directory, 0o755).map(drop),
            Act::Symlink(n) => self.make(name(n), Make::Symlink(b"nowhere"), 0o777).map(drop),
            Act::Fifo(n) => self.make(name(n), Make::Fifo, 0o640).map(drop),
            Act::Device(n) => self.make(name(n), Make::Device(Vtype::Chr, 0x202), 0o600).map(drop),
            Act::Link(from, to) => {
                let file = self.look(name(from))?;
                if self.vfs.vnode(file).kind == Vtype::Dir {
                    return Err(Errno::EISDIR);
                }
                self.vfs.vref(file);
                let at = self.find(name(to), Op::Create);
                let result = match at {
                    Ok(at) if at.vp.is_some() => Err(Errno::EEXIST),
                    Ok(at) => self.vfs.link(file, &at),
                    Err(errno) => Err(errno),
                };
                self.vfs.vrele(file);
                result
            }
            Act::Rename(from, to) => {
                let from = self.find(name(from), Op::Delete)?;
                let to = self.find(name(to), Op::Rename)?;
                let kind = |vfs: &Vfs, id| vfs.vnode(id).kind == Vtype::Dir;
                if let (Some(f), Some(t)) = (from.vp, to.vp)
                    && kind(&self.vfs, f) != kind(&self.vfs, t)
                {
                    return Err(Errno::ENOTDIR);
                }
                self.vfs.rename(&from, &to, &ROOT)
            }
            Act::Remove(n) => {
                let at = self.find(name(n), Op::Delete)?;
                self.vfs.remove(&at)
            }
            Act::Rmdir(n) => {
                let at = self.find(name(n), Op::Delete)?;
                if self.vfs.vnode(at.vp.ok_or(Errno::ENOENT)?).kind != Vtype::Dir {
                    return Err(Errno::ENOTDIR);
                }
                self.vfs.rmdir(&at)
            }
            Act::Mode(n, mode) => {
                let id = self.look(name(n))?;
                if !matches!(self.vfs.vnode(id).kind, Vtype::Reg | Vtype::Dir) {
                    return Err(Errno::EFTYPE);
                }
                self.vfs.set_mode(id, *mode, &ROOT)
            }
            Act::Owner(n, uid, gid) => {
                let id = self.look(name(n))?;
                if !matches!(self.vfs.vnode(id).kind, Vtype::Reg | Vtype::Dir) {
                    return Err(Errno::EFTYPE);
                }
                self.vfs.set_owner(id, *uid, *gid, &ROOT)
            }
            Act::Flags(n, flags) => {
                let id = self.look(name(n))?;
                if !matches!(self.vfs.vnode(id).kind, Vtype::Reg | Vtype::Dir) {
                    return Err(Errno::EFTYPE);
                }
                self.vfs.set_flags(id, *flags, &ROOT)
            }
            Act::Times(n, time) => {
                let id = self.look(name(n))?;
                if self.vfs.vnode(id).kind == Vtype::Lnk {
                    return Err(Errno::EFTYPE);
                }
                let time = HostTime { sec: *time, nsec: 5 };
                self.vfs.set_times(id, (time, time), false, &ROOT)
            }
        }
    }

    /// Everything that a guest can tell of the tree, but times that nobody has set.
    fn tree(&mut self) -> BTreeMap<String, String> {
        let mut tree = BTreeMap::new();
        let mut numbers = HashMap::new();
        let mut todo = vec![String::new()];
        while let Some(directory) = todo.pop() {
            let id =
                if directory.is_empty() { self.vfs.root_vnode() } else { self.look(&directory).unwrap() };
            for entry in self.vfs.read_directory(id).unwrap().into_iter().skip(2) {
                let name = String::from_utf8(entry.name).unwrap();
                let path = if directory.is_empty() { name } else { format!("{directory}/{name}") };
                let id = self.look(&path).unwrap();
                let attr = self.vfs.getattr(id).unwrap();
                assert_eq!(attr.fileid, entry.fileno, "{path}");
                let first = numbers.entry(attr.fileid).or_insert_with(|| path.clone()).clone();
                let what = match attr.kind {
                    Vtype::Dir => {
                        todo.push(path.clone());
                        String::new()
                    }
                    Vtype::Lnk => String::from_utf8(self.vfs.readlink(id).unwrap()).unwrap(),
                    Vtype::Reg => {
                        let mut bytes = vec![0; 100];
                        self.vfs.vref(id);
                        let length = self.vfs.read_content(id, 0, &mut bytes).unwrap();
                        self.vfs.vrele(id);
                        format!("{:?} {}", &bytes[..length], attr.size)
                    }
                    _ => format!("{:x}", attr.rdev),
                };
                // Other types have no attributes on the host, and in an overlay they have.
                let kept = matches!(attr.kind, Vtype::Reg | Vtype::Dir);
                let (mode, owner) = match attr.kind {
                    Vtype::Lnk => (0, (0, 0)),
                    Vtype::Fifo => (attr.mode & 0o1777, (0, 0)),
                    _ => (attr.mode, (attr.uid, attr.gid)),
                };
                let flags = if kept { attr.flags } else { 0 };
                let line =
                    format!("{:?} {mode:o} {owner:?} x{} {flags:x} = {first} {what}", attr.kind, attr.nlink);
                tree.insert(path, line);
            }
        }
        tree
    }
}

/// A root with one of everything.
fn plant(at: &Path) {
    let write = |name: &str, text: &str| std::fs::write(at.join(name), text).unwrap();
    std::fs::create_dir_all(at.join("d/e")).unwrap();
    write("a", "first");
    write("d/x", "second");
    write("d/e/z", "third");
    std::fs::hard_link(at.join("a"), at.join("d/y")).unwrap();
    std::os::unix::fs::symlink("d/x", at.join("s")).unwrap();
}

/// What the host says of a directory, to see that nothing has changed.
fn host_tree(at: &Path) -> BTreeMap<PathBuf, String> {
    use std::os::unix::fs::MetadataExt;
    let mut tree = BTreeMap::new();
    let mut todo = vec![at.to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let m = std::fs::symlink_metadata(&path).unwrap();
            let content = if m.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
            let line = format!(
                "{} {:o} {} {}.{} {}.{} {content:?}",
                m.ino(),
                m.mode(),
                m.nlink(),
                m.mtime(),
                m.mtime_nsec(),
                m.ctime(),
                m.ctime_nsec()
            );
            tree.insert(path.clone(), line);
            if m.is_dir() {
                todo.push(path);
            }
        }
    }
    tree
}

struct Both {
    _dir: TempDir,
    lower: PathBuf,
    upper: PathBuf,
    direct: World,
    layered: World,
}

fn both() -> Both {
    let dir = tempfile::tempdir().unwrap();
    let (plain, lower, upper) =
        (dir.path().join("plain"), dir.path().join("lower"), dir.path().join("upper"));
    for at in [&plain, &lower] {
        std::fs::create_dir(at).unwrap();
        plant(at);
    }
    let overlay = Overlay::kept(&lower, &upper).unwrap();
    let direct = World::new(&Source::Host(&plain));
    let layered = World::new(&Source::Overlay(&lower, overlay));
    Both { _dir: dir, lower, upper, direct, layered }
}

/// Whether files here can have what the guest's world needs.
fn has_attributes() -> bool {
    let dir = tempfile::tempdir().unwrap();
    let place = crate::host::fs::Place::top(dir.path()).unwrap();
    place.create(b"f", 0o600).unwrap().set_attribute("user.bsd21.test", Some(b"x")).is_ok()
}

fn reopened(lower: &Path, upper: &Path) -> (Shared, World) {
    let overlay = Overlay::kept(lower, upper).unwrap();
    let world = World::new(&Source::Overlay(lower, overlay.clone()));
    (overlay, world)
}

proptest! {
    #[test]
    fn changes_are_the_same_as_without_an_overlay(acts in acts()) {
        prop_assume!(has_attributes());
        let mut both = both();
        let before = host_tree(&both.lower);
        for act in &acts {
            let (direct, layered) = (both.direct.act(act), both.layered.act(act));
            prop_assert_eq!(direct, layered, "{:?}", act);
        }
        let wanted = both.direct.tree();
        prop_assert_eq!(&both.layered.tree(), &wanted);
        prop_assert_eq!(host_tree(&both.lower), before, "the root is never written");
        drop(both.layered);
        let (overlay, mut again) = reopened(&both.lower, &both.upper);
        prop_assert_eq!(&again.tree(), &wanted, "after it was read again");
        let differences = overlay.borrow().differences().unwrap();
        drop((overlay, again));
        Overlay::existing(&both.upper).unwrap().commit(false).unwrap();
        let mut committed = World::new(&Source::Host(&both.lower));
        prop_assert_eq!(&committed.tree(), &wanted, "after a commit; {:?}", differences);
        let (overlay, mut empty) = reopened(&both.lower, &both.upper);
        prop_assert_eq!(&empty.tree(), &wanted);
        prop_assert_eq!(overlay.borrow().differences().unwrap(), vec![]);
    }
}

#[test]
fn an_end_between_any_two_lines_leaves_a_tree_that_was() {
    let mut both = both();
    let acts = [
        Act::Write(0, 2, b"XY".to_vec()),
        Act::Rename(2, 8),
        Act::Remove(7),
        Act::Link(0, 7),
        Act::Create(2, b"new".to_vec()),
        Act::Mode(2, 0o711),
        Act::Rename(2, 0),
    ];
    let mut trees = vec![both.layered.tree()];
    for act in &acts {
        both.layered.act(act).unwrap();
        trees.push(both.layered.tree());
    }
    drop(both.layered);
    let index = std::fs::read(both.upper.join("index")).unwrap();
    let mut seen = 0;
    for cut in (0..=index.len()).rev() {
        let Some(first) = index.iter().position(|&b| b == b'\n') else { panic!("no first line") };
        if cut <= first {
            break;
        }
        let copy = both.upper.with_extension("copy");
        let _ = std::fs::remove_dir_all(&copy);
        std::fs::create_dir_all(copy.join("data")).unwrap();
        for data in std::fs::read_dir(both.upper.join("data")).unwrap() {
            let data = data.unwrap();
            std::fs::copy(data.path(), copy.join("data").join(data.file_name())).unwrap();
        }
        std::fs::write(copy.join("index"), &index[..cut]).unwrap();
        let (_, mut world) = reopened(&both.lower, &copy);
        let tree = world.tree();
        // Bytes are not in the journal: what was written last is what is read.
        let shape = |tree: &BTreeMap<String, String>| -> Vec<String> {
            tree.iter().map(|(path, line)| format!("{path} {}", line.split('[').next().unwrap())).collect()
        };
        let at = trees.iter().position(|known| shape(known) == shape(&tree));
        assert!(
            at.is_some(),
            "cut at {cut}: {:?} not in {:?}",
            shape(&tree),
            trees.iter().map(shape).collect::<Vec<_>>()
        );
        seen |= 1 << at.unwrap();
    }
    assert!(u32::count_ones(seen) >= 6, "{seen:b}");
}

#[test]
fn a_commit_may_end_after_any_step() {
    if !has_attributes() {
        eprintln!("skipped: no extended attributes here");
        return;
    }
    let acts = [
        Act::Write(0, 2, b"XY".to_vec()),
        Act::Write(3, 0, b"changed".to_vec()),
        Act::Rename(2, 8),
        Act::Mkdir(2),
        Act::Create(3, b"in its place".to_vec()),
        Act::Remove(7),
        Act::Fifo(7),
        Act::Mode(0, 0o4711),
    ];
    for stop in 0.. {
        let mut both = both();
        for act in &acts {
            both.layered.act(act).unwrap();
            both.direct.act(act).unwrap();
        }
        drop(both.layered);
        let ended = Overlay::existing(&both.upper).unwrap().commit_until(stop).unwrap();
        if !ended {
            let refused = Overlay::kept(&both.lower, &both.upper).unwrap_err();
            assert!(matches!(refused, OverlayError::Committing), "{refused}");
            Overlay::existing(&both.upper).unwrap().commit(false).unwrap();
        }
        assert_eq!(World::new(&Source::Host(&both.lower)).tree(), both.direct.tree(), "stopped at {stop}");
        if ended {
            assert!(stop > 8);
            break;
        }
    }
}

#[test]
fn an_open_file_follows_its_copy_and_keeps_its_number() {
    let mut both = both();
    let vfs = &mut both.layered.vfs;
    let root = vfs.root_vnode();
    let start = Start { cwd: root, root };
    let id = vfs.namei(&Nameidata::lookup(b"a"), start, &ROOT).unwrap().vp.unwrap();
    vfs.vref(id);
    vfs.content(id, OpenFor::Reading).unwrap();
    let before = vfs.getattr(id).unwrap().fileid;
    vfs.write_content(id, 0, b"F").unwrap();
    let mut bytes = [0; 5];
    vfs.read_content(id, 0, &mut bytes).unwrap();
    assert_eq!((&bytes, vfs.getattr(id).unwrap().fileid), (b"First", before));
    assert_eq!(vfs.moved.len(), 1, "mappings are told");
    // The other name of the file in the root is another name of the copy.
    let other = both.layered.look("d/y").unwrap();
    assert_eq!(other, id);
}

#[test]
fn what_the_host_has_no_attributes_for_is_kept() {
    let mut both = both();
    let fifo = both.layered.make("n", Make::Fifo, 0o640).unwrap();
    both.layered.vfs.set_owner(fifo, 5, 6, &ROOT).unwrap();
    both.layered.vfs.set_mode(fifo, 0o2611, &ROOT).unwrap();
    let link = both.layered.look("s").unwrap();
    let time = |sec| HostTime { sec, nsec: 7 };
    both.layered.vfs.set_times(link, (time(1), time(2)), false, &ROOT).unwrap();
    both.layered.vfs.set_owner(link, 8, 9, &ROOT).unwrap();
    let directory = both.layered.look("d").unwrap();
    both.layered.vfs.set_times(directory, (time(3), time(4)), false, &ROOT).unwrap();
    drop(both.layered);
    let (_, mut again) = reopened(&both.lower, &both.upper);
    let mut attr = |path| {
        let id = again.look(path).unwrap();
        again.vfs.getattr(id).unwrap()
    };
    let (fifo, link, directory) = (attr("n"), attr("s"), attr("d"));
    assert_eq!((fifo.kind, fifo.uid, fifo.gid, fifo.mode), (Vtype::Fifo, 5, 6, 0o2611));
    assert_eq!((link.uid, link.gid, link.atime, link.mtime), (8, 9, time(1), time(2)));
    assert_eq!((directory.atime, directory.mtime), (time(3), time(4)));
}

#[test]
fn owners_of_links_pass_through_an_overlay_and_its_commit() {
    let Both { _dir, lower, upper, direct, layered } = both();
    drop((direct, layered));
    {
        let mut world = World::new(&Source::Host(&lower));
        world.vfs.keep_attributes(&lower).unwrap();
        let link = world.look("s").unwrap();
        world.vfs.set_owner(link, 5, 6, &ROOT).unwrap();
        let inner = world.make("d/e/l", Make::Symlink(b"z"), 0o777).unwrap();
        world.vfs.set_owner(inner, 7, 8, &ROOT).unwrap();
    }
    let owner = |world: &mut World, path: &str| {
        let id = world.look(path).unwrap();
        let attr = world.vfs.getattr(id).unwrap();
        (attr.uid, attr.gid)
    };
    let overlay = Overlay::kept(&lower, &upper).unwrap();
    let mut world = World::new(&Source::Overlay(&lower, overlay));
    assert_eq!((owner(&mut world, "s"), owner(&mut world, "d/e/l")), ((5, 6), (7, 8)), "read");
    let link = world.look("s").unwrap();
    world.vfs.set_owner(link, 9, 10, &ROOT).unwrap();
    let new = world.make("n", Make::Symlink(b"d"), 0o777).unwrap();
    world.vfs.set_owner(new, 11, 12, &ROOT).unwrap();
    world.act(&Act::Rename(5, 8 + 1)).unwrap();
    let all = |world: &mut World| ["s", "n", "d/n/l"].map(|path| owner(world, path));
    let wanted = [(9, 10), (11, 12), (7, 8)];
    assert_eq!(all(&mut world), wanted, "changed");
    drop(world);
    let (_, mut again) = reopened(&lower, &upper);
    assert_eq!(all(&mut again), wanted, "kept");
    drop(again);
    Overlay::existing(&upper).unwrap().commit(false).unwrap();
    assert_eq!(all(&mut World::new(&Source::Host(&lower))), wanted, "committed");
}

#[test]
fn a_file_that_is_only_opened_for_writing_keeps_its_times() {
    let mut both = both();
    let id = both.layered.look("a").unwrap();
    let before = both.layered.vfs.getattr(id).unwrap();
    both.layered.vfs.vref(id);
    both.layered.vfs.content(id, OpenFor::Writing).unwrap();
    let after = both.layered.vfs.getattr(id).unwrap();
    assert_eq!((before.mtime, before.size, before.fileid), (after.mtime, after.size, after.fileid));
}

#[test]
fn a_removed_file_lives_while_it_is_open() {
    let mut both = both();
    both.layered.act(&Act::Create(8, b"text".to_vec())).unwrap();
    let id = both.layered.look("n").unwrap();
    both.layered.vfs.vref(id);
    both.layered.act(&Act::Remove(8)).unwrap();
    assert_eq!(both.layered.vfs.getattr(id).unwrap().nlink, 0);
    let mut bytes = [0; 4];
    both.layered.vfs.read_content(id, 0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"text");
    let contents = || std::fs::read_dir(both.upper.join("data")).unwrap().count();
    assert_eq!(contents(), 1);
    both.layered.vfs.vrele(id);
    assert_eq!(contents(), 0);
}

#[test]
fn a_rename_of_a_large_directory_is_one_line() {
    let mut both = both();
    let length = || std::fs::metadata(both.upper.join("index")).unwrap().len();
    let before = length();
    both.layered.act(&Act::Rename(2, 8)).unwrap();
    assert!(length() - before < 600);
    assert_eq!(both.layered.look("n/e/z").map(drop), Ok(()));
    assert_eq!(both.layered.look("d").unwrap_err(), Errno::ENOENT);
}

#[test]
fn differences_are_told_by_letter() {
    let mut both = both();
    for act in [
        Act::Write(0, 0, b"x".to_vec()),
        Act::Rename(2, 8),
        Act::Remove(7),
        Act::Create(1, b"b".to_vec()),
        Act::Mode(8, 0o700),
    ] {
        both.layered.act(&act).unwrap();
    }
    drop(both.layered);
    let overlay = Overlay::existing(&both.upper).unwrap();
    let told: Vec<String> = overlay
        .differences()
        .unwrap()
        .iter()
        .map(|d| format!("{} {}", d.change.letter(), String::from_utf8_lossy(&d.path)))
        .collect();
    assert_eq!(told, ["M /a", "A /b", "C /n", "R /n", "D /s"]);
    assert_eq!(What::Moved.letter(), 'R');
}

#[test]
fn what_changed_below_is_a_conflict() {
    let mut both = both();
    both.layered.act(&Act::Write(3, 0, b"x".to_vec())).unwrap();
    drop(both.layered);
    std::fs::write(both.lower.join("d/x"), "by somebody else").unwrap();
    let refused = Overlay::existing(&both.upper).unwrap().commit(false).unwrap_err();
    assert!(refused.to_string().starts_with("/d/x was changed"), "{refused}");
    assert_eq!(std::fs::read(both.lower.join("d/x")).unwrap(), b"by somebody else");
    Overlay::existing(&both.upper).unwrap().commit(true).unwrap();
    assert_eq!(std::fs::read(both.lower.join("d/x")).unwrap(), b"xecond");
}

#[test]
fn an_overlay_is_of_one_root_and_outside_of_it() {
    let both = both();
    let other = both.upper.with_extension("other");
    std::fs::create_dir(&other).unwrap();
    drop(both.layered);
    assert!(matches!(Overlay::kept(&other, &both.upper), Err(OverlayError::OtherRoot(_))));
    for inside in [both.lower.join("o"), both.lower.join("d/e/o"), both.lower.clone()] {
        assert!(matches!(Overlay::kept(&both.lower, &inside), Err(OverlayError::Inside(_))), "{inside:?}");
    }
    assert!(!both.lower.join("o").exists());
    Overlay::drop_changes(&both.upper).unwrap();
    assert!(!both.upper.exists());
}
