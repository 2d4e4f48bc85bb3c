//! What no file of the host keeps: the owners of symbolic links, which can have no attribute, and all that a file
//! system without attributes forgets.  It stands in one index in the root.
//!
//! The index is `.bsd21/attributes` in a root that was installed: a line a file, its path (with `\x20` for what is no
//! plain letter) and the text of [`Extra`], nothing if it is gone, or `moved=PATH` (`staged=PATH`) for what has another name
//! now, with all below it.  Each line changes what the lines before it say.  The guest does not see `.bsd21`.  What is changed in a run
//! is added behind.
//!
//! Must not know what the attributes are for.  No 2.1 counterpart: there all of it is in the inode.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::Vfs;
use super::attr::Extra;
use super::namei::Found;
use super::vnode::{Body, VnodeId, Vtype};
use crate::host::fs::{HostStat, Place};
use crate::host::{change, look};

/// The directory in a root that is bsd21's own.
pub const OWN_DIRECTORY: &[u8] = b".bsd21";
/// The index in it.
const INDEX: &str = "attributes";
/// What a line says of a file that has another name now.
const MOVED: &[u8] = b"moved=";
/// The same, of a move that may be told of again although it was made.
const STAGED: &[u8] = b"staged=";
/// Largest index that is read.
const LARGEST: u64 = 256 << 20;

/// The index of a root.
#[derive(Clone, Debug)]
pub(in crate::kernel::vfs) struct Kept {
    root: PathBuf,
    /// By device and inode of the host; read when the first file asks.
    entries: RefCell<Option<HashMap<(u64, u64), Extra>>>,
    /// Where lines are added.
    out: RefCell<Option<Rc<File>>>,
}

impl Kept {
    /// The index of a root, if it has one.
    pub(in crate::kernel::vfs) fn of(root: &Path) -> Option<Self> {
        let own = root.join(std::ffi::OsStr::new(".bsd21")).join(INDEX);
        let there = std::fs::symlink_metadata(own).is_ok_and(|found| found.is_file());
        there.then(|| Self { root: root.to_owned(), entries: RefCell::new(None), out: RefCell::new(None) })
    }

    fn path(&self) -> PathBuf {
        self.root.join(".bsd21").join(INDEX)
    }

    /// What is kept of a file.
    pub(in crate::kernel::vfs) fn get(&self, stat: &HostStat) -> Option<Extra> {
        self.by_number((stat.dev, stat.ino))
    }

    /// What is kept of the file with this device and inode.
    fn by_number(&self, key: (u64, u64)) -> Option<Extra> {
        let mut entries = self.entries.borrow_mut();
        // An index that cannot be read keeps nothing.
        let entries = entries.get_or_insert_with(|| self.read().unwrap_or_default());
        entries.get(&key).copied()
    }

    /// Keeps what is said of a file; `path` is below the root.
    pub(in crate::kernel::vfs) fn set(&self, stat: &HostStat, path: &[u8], extra: Extra) -> io::Result<()> {
        self.add(path, &extra.text().unwrap_or_default())?;
        if let Some(entries) = self.entries.borrow_mut().as_mut() {
            entries.insert((stat.dev, stat.ino), extra);
        }
        Ok(())
    }

    /// What was called `from` is called `to`, with all that is in it.
    pub(in crate::kernel::vfs) fn moved(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        self.add(from, &format!("moved={}", escaped(to)))
    }

    /// As [`moved`](Self::moved), before the move is made: who repeats both tells of it again.
    pub(in crate::kernel::vfs) fn staged(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        self.add(from, &format!("staged={}", escaped(to)))
    }

    /// What was called `path` is no more, if anything was kept of it.
    pub(in crate::kernel::vfs) fn removed(&self, stat: &HostStat, path: &[u8]) -> io::Result<()> {
        match self.get(stat) {
            Some(_) => self.set(stat, path, Extra::default()),
            None => Ok(()),
        }
    }

    fn add(&self, path: &[u8], what: &str) -> io::Result<()> {
        change::note();
        let mut out = self.out.borrow_mut();
        if out.is_none() {
            // A last line that was not written whole must not grow into another one.
            let mut file = OpenOptions::new().append(true).open(self.path())?;
            file.write_all(b"\n")?;
            *out = Some(Rc::new(file));
        }
        match out.as_mut() {
            Some(file) => (&**file).write_all(format!("{} {what}\n", escaped(path)).as_bytes()),
            None => Ok(()),
        }
    }

    /// Forgets a file that is gone; its number on the host may come back.
    pub(super) fn forget(&self, key: (u64, u64)) {
        if let Some(entries) = self.entries.borrow_mut().as_mut() {
            entries.remove(&key);
        }
    }

    /// Reads the index and finds the files that it names.
    fn read(&self) -> io::Result<HashMap<(u64, u64), Extra>> {
        let text = look::whole(&look::open_regular(&self.path())?, LARGEST)?;
        let mut by_path = BTreeMap::new();
        for line in text.split(|&c| c == b'\n') {
            let at = line.iter().position(|&c| c == b' ');
            let Some((path, said)) = at.and_then(|at| line.split_at_checked(at)) else { continue };
            let (path, said) = (unescaped(path), said.trim_ascii());
            if let Some(to) = said.strip_prefix(MOVED) {
                take_along(&mut by_path, &path, &unescaped(to), false);
            } else if let Some(to) = said.strip_prefix(STAGED) {
                take_along(&mut by_path, &path, &unescaped(to), true);
            } else {
                by_path.insert(path, Extra::parse(said));
            }
        }
        let mut found = HashMap::new();
        let mut held = Held::new(Place::top(&self.root).map_err(|e| io::Error::from(e.0))?);
        for (path, extra) in by_path {
            if let Some(stat) = held.find(&path).filter(|_| extra != Extra::default()) {
                found.insert((stat.dev, stat.ino), extra);
            }
        }
        Ok(found)
    }
}

/// Gives all that is kept of a path and of what is below it another name, in the place of what had that.  What is
/// told again, and was done, changes nothing.
fn take_along(by_path: &mut BTreeMap<Vec<u8>, Extra>, from: &[u8], to: &[u8], again: bool) {
    let moved = take_out(by_path, from);
    if again && moved.is_empty() {
        return;
    }
    take_out(by_path, to);
    for (path, extra) in moved {
        by_path.insert([to, path.get(from.len()..).unwrap_or_default()].concat(), extra);
    }
}

/// All that is kept of a path and of what is below it.
fn take_out(by_path: &mut BTreeMap<Vec<u8>, Extra>, path: &[u8]) -> Vec<(Vec<u8>, Extra)> {
    let within = [path, b"/"].concat();
    let below =
        by_path.range(within.clone()..).map(|(name, _)| name).take_while(|name| name.starts_with(&within));
    let names: Vec<Vec<u8>> = below.cloned().chain([path.to_vec()]).collect();
    names.iter().filter_map(|name| by_path.remove_entry(name)).collect()
}

/// The directories on the way to the path that was found last: the next one mostly begins with them.
struct Held {
    names: Vec<Vec<u8>>,
    places: Vec<Place>,
}

impl Held {
    fn new(top: Place) -> Self {
        Self { names: Vec::new(), places: vec![top] }
    }

    fn find(&mut self, path: &[u8]) -> Option<HostStat> {
        let mut parts: Vec<&[u8]> = path.split(|&c| c == b'/').filter(|part| !part.is_empty()).collect();
        let last = parts.pop()?;
        let same = self.names.iter().zip(&parts).take_while(|(own, part)| own.as_slice() == **part).count();
        self.names.truncate(same);
        self.places.truncate(same + 1);
        for part in parts.get(same..)? {
            let next = self.places.last()?.child(part).ok()?;
            self.places.push(next);
            self.names.push(part.to_vec());
        }
        self.places.last()?.child(last).ok()?.stat().ok()
    }
}

impl Vfs {
    /// Makes the root's index where there is none, so that what no file keeps is kept there from now on.
    pub fn keep_attributes(&mut self, root: &Path) -> io::Result<()> {
        let own = root.join(".bsd21");
        match std::fs::create_dir(&own) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if !std::fs::symlink_metadata(&own)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        match OpenOptions::new().write(true).create_new(true).open(own.join(INDEX)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        self.kept = Kept::of(root);
        Ok(())
    }

    /// Hides bsd21's own directory in the root, if there is one.
    pub(super) fn hide_own_directory(&mut self, root: &Path) {
        self.hides_own = std::fs::symlink_metadata(root.join(".bsd21")).is_ok_and(|found| found.is_dir());
    }

    /// Lets look-ups find what is bsd21's own in the root: for who installs.
    pub fn show_own_directory(&mut self) {
        self.hides_own = false;
    }

    /// Whether an entry is bsd21's own, which the guest does not see.
    pub(super) fn is_own(&self, directory: VnodeId, name: &[u8]) -> bool {
        self.hides_own && name == OWN_DIRECTORY && Some(directory) == self.root
    }

    /// Takes what the index keeps of a file that says nothing itself.
    pub(super) fn take_kept(&self, inode: &super::inode::Inode, stat: &HostStat) {
        if let Some(kept) = &self.kept
            && inode.extra.get() == Extra::default()
            && let Some(extra) = kept.get(stat)
        {
            inode.extra.set(extra);
        }
    }

    /// The path of a name, where the index has something of the file `id` or, of a directory, may have of what is in it.
    pub(super) fn kept_path(&self, at: &Found, id: VnodeId) -> Option<Vec<u8>> {
        let kept = self.kept.as_ref()?;
        let node = self.vnodes[id].host()?;
        let known = self.vnodes[id].kind == Vtype::Dir || kept.by_number((node.dev, node.ino)).is_some();
        if !known { None } else { self.path_in_root(at) }
    }

    fn path_in_root(&self, at: &Found) -> Option<Vec<u8>> {
        let mount = self.mount_of(at.dvp);
        if mount.on != b"/" {
            return None;
        }
        let above = self.vnodes[at.dvp].host()?.place.path_below(mount.place.as_ref()?)?;
        Some(if above.is_empty() { at.name.clone() } else { [&above[..], b"/", &at.name].concat() })
    }

    /// A file whose [`kept_path`](Self::kept_path) was `from` got another name: the index follows.
    pub(super) fn kept_moved(&self, from: Option<Vec<u8>>, to: &Found) {
        if let (Some(kept), Some(from)) = (&self.kept, from)
            && let Some(to) = self.path_in_root(to)
        {
            // What cannot be written is lost, as it is on a host that is full.
            let _ = kept.moved(&from, &to);
        }
    }

    /// The last name of a file whose [`kept_path`](Self::kept_path) was `path` is gone.
    pub(super) fn kept_removed(&self, path: Option<Vec<u8>>, id: VnodeId) {
        if let (Some(kept), Some(path), Some(node)) = (&self.kept, path, self.vnodes[id].host())
            && let Ok(stat) = node.place.stat()
            && stat.nlink == 0
        {
            let _ = kept.removed(&stat, &path);
        }
    }

    /// Keeps what the host would not in the index; whether there is one.
    pub(super) fn keep_in_index(&self, id: VnodeId) -> bool {
        let Some(kept) = &self.kept else { return false };
        let Body::Host(node) = &self.vnodes[id].body else { return false };
        let mount = self.mount_of(id);
        if mount.on != b"/" {
            return false;
        }
        let path = mount.place.as_ref().and_then(|top| node.place.path_below(top));
        let Some((path, stat)) = path.zip(node.place.stat().ok()) else { return false };
        kept.set(&stat, &path, self.vnodes[id].inode.extra.get()).is_ok()
    }
}

fn escaped(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for &c in path {
        match c {
            b'!'..=b'~' if c != b'\\' => text.push(char::from(c)),
            _ => drop(write!(text, "\\x{c:02x}")),
        }
    }
    text
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&c, more)) = rest.split_first() {
        let code = more.get(..3).and_then(|code| std::str::from_utf8(code.strip_prefix(b"x")?).ok());
        match code.filter(|_| c == b'\\').and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = more.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(c);
                rest = more;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::mount::{MountFlags, Source};
    use super::super::namei::{Nameidata, Op, Start};
    use super::super::node::Make;
    use super::super::{Options, Vfs};
    use super::*;
    use crate::kernel::cred::Ucred;

    #[test]
    fn paths_survive_the_round_trip() {
        for path in [&b"usr/bin/a b"[..], b"\\x20", b"\n\xff", b""] {
            assert_eq!(unescaped(escaped(path).as_bytes()), path);
        }
    }

    #[test]
    fn a_step_that_is_told_of_again_loses_nothing() {
        let owner = |uid| Extra::parse(format!("uid={uid}").as_bytes());
        let mut kept = BTreeMap::from([(b"dir/file".to_vec(), owner(7))]);
        for _ in 0..2 {
            take_along(&mut kept, b"dir", b"stage/1", true);
        }
        for _ in 0..2 {
            take_along(&mut kept, b"stage/1", b"other", true);
        }
        assert_eq!(kept, BTreeMap::from([(b"other/file".to_vec(), owner(7))]));
        // A move of something of which nothing is kept takes the place of what was there.
        take_along(&mut kept, b"new", b"other", false);
        assert!(kept.is_empty());
    }

    fn open(dir: &Path) -> (Vfs, Start, Ucred) {
        let mut vfs = Vfs::new(Options::default());
        vfs.mount_root(&Source::Host(dir), MountFlags::empty()).unwrap();
        let root = vfs.root_vnode();
        (vfs, Start { cwd: root, root }, Ucred { uid: 0, groups: vec![0] })
    }

    #[test]
    fn the_owner_of_a_link_is_kept_in_the_index() {
        let dir = tempfile::tempdir().unwrap();
        let (mut vfs, start, cred) = open(dir.path());
        let at = vfs.namei(&Nameidata::new(b"link", Op::Create), start, &cred).unwrap();
        let link = vfs.make(&at, Make::Symlink(b"text"), 0o777, &cred).unwrap().unwrap();
        assert!(vfs.set_owner(link, 7, 8, &cred).is_err(), "no file system keeps it");
        vfs.keep_attributes(dir.path()).unwrap();
        vfs.set_owner(link, 7, 8, &cred).unwrap();
        for _ in 0..2 {
            let (mut vfs, start, cred) = open(dir.path());
            let found = vfs.namei(&Nameidata::new(b"link", Op::Lookup), start, &cred).unwrap().vp.unwrap();
            let attr = vfs.getattr(found).unwrap();
            assert_eq!((attr.uid, attr.gid), (7, 8));
            assert!(vfs.namei(&Nameidata::lookup(b".bsd21"), start, &cred).is_err());
            let names = vfs.read_directory(start.root).unwrap();
            assert!(names.iter().all(|entry| entry.name != OWN_DIRECTORY));
        }
    }

    #[test]
    fn the_index_follows_moved_directories_and_forgets_what_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("d/e")).unwrap();
        std::fs::create_dir(dir.path().join("d2")).unwrap();
        for name in ["d/e/link", "d2/link", "a", "gone"] {
            std::os::unix::fs::symlink("text", dir.path().join(name)).unwrap();
        }
        {
            let (mut vfs, start, cred) = open(dir.path());
            vfs.keep_attributes(dir.path()).unwrap();
            for (name, uid) in [("d/e/link", 1), ("d2/link", 2), ("a", 3), ("gone", 4)] {
                let at = vfs.namei(&Nameidata::new(name.as_bytes(), Op::Lookup), start, &cred).unwrap();
                vfs.set_owner(at.vp.unwrap(), uid, uid, &cred).unwrap();
            }
            let mut rename = |from: &str, to: &str| {
                let from = vfs.namei(&Nameidata::new(from.as_bytes(), Op::Delete), start, &cred).unwrap();
                vfs.vref(from.vp.unwrap());
                let to = vfs.namei(&Nameidata::new(to.as_bytes(), Op::Rename), start, &cred).unwrap();
                vfs.rename(&from, &to, &cred).unwrap();
                vfs.vrele(from.vp.unwrap());
            };
            rename("d", "moved");
            rename("moved/e", "deep");
            rename("a", "b");
            rename("d2", "d");
            let at = vfs.namei(&Nameidata::new(b"gone", Op::Delete), start, &cred).unwrap();
            vfs.vref(at.vp.unwrap());
            vfs.remove(&at).unwrap();
            vfs.vrele(at.vp.unwrap());
        }
        // Others in their places have nothing of theirs.
        for name in ["a", "gone"] {
            std::os::unix::fs::symlink("other", dir.path().join(name)).unwrap();
        }
        let (mut vfs, start, cred) = open(dir.path());
        let mut uid = |name: &str| {
            let at = vfs.namei(&Nameidata::new(name.as_bytes(), Op::Lookup), start, &cred).unwrap();
            vfs.getattr(at.vp.unwrap()).unwrap().uid
        };
        assert_eq!([uid("deep/link"), uid("d/link"), uid("b"), uid("a"), uid("gone")], [1, 2, 3, 0, 0]);
    }
}
