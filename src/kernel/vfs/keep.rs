//! What no file of the host keeps: the owners of symbolic links, which can have no attribute, and all that a file
//! system without attributes forgets.  It stands in one index in the root.
//!
//! The index is `.bsd21/attributes` in a root that was installed: a line a file, its path (with `\x20` for what is no
//! plain letter) and the text of [`Extra`]; of several lines for one path the last one counts.  The guest does not see
//! `.bsd21`.  What is changed in a run is added behind.
//!
//! Must not know what the attributes are for.  No 2.1 counterpart: there all of it is in the inode.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::Vfs;
use super::attr::Extra;
use super::vnode::{Body, VnodeId};
use crate::host::fs::{HostStat, Place};
use crate::host::look;

/// The directory in a root that is bsd21's own.
pub const OWN_DIRECTORY: &[u8] = b".bsd21";
/// The index in it.
const INDEX: &str = "attributes";
/// Largest index that is read.
const LARGEST: u64 = 256 << 20;

/// The index of a root.
#[derive(Debug)]
pub(super) struct Kept {
    root: PathBuf,
    /// By device and inode of the host; read when the first file asks.
    entries: RefCell<Option<HashMap<(u64, u64), Extra>>>,
    /// Where lines are added.
    out: RefCell<Option<File>>,
}

impl Kept {
    /// The index of a root, if it has one.
    pub(super) fn of(root: &Path) -> Option<Self> {
        let own = root.join(std::ffi::OsStr::new(".bsd21")).join(INDEX);
        let there = std::fs::symlink_metadata(own).is_ok_and(|found| found.is_file());
        there.then(|| Self { root: root.to_owned(), entries: RefCell::new(None), out: RefCell::new(None) })
    }

    fn path(&self) -> PathBuf {
        self.root.join(".bsd21").join(INDEX)
    }

    /// What is kept of a file.
    pub(super) fn get(&self, stat: &HostStat) -> Option<Extra> {
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
    pub(super) fn set(&self, stat: &HostStat, path: &[u8], extra: Extra) -> io::Result<()> {
        let mut out = self.out.borrow_mut();
        if out.is_none() {
            // A last line that was not written whole must not grow into another one.
            let mut file = OpenOptions::new().append(true).open(self.path())?;
            file.write_all(b"\n")?;
            *out = Some(file);
        }
        let mut line = escaped(path);
        let _ = writeln!(line, " {}", extra.text().unwrap_or_default());
        if let Some(file) = out.as_mut() {
            file.write_all(line.as_bytes())?;
        }
        if let Some(entries) = self.entries.borrow_mut().as_mut() {
            entries.insert((stat.dev, stat.ino), extra);
        }
        Ok(())
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
            let Some((path, extra)) = at.map(|at| line.split_at(at)) else { continue };
            by_path.insert(unescaped(path), Extra::parse(extra));
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

    /// A file got another name: the index follows.
    pub(super) fn kept_moved(&self, id: VnodeId) {
        if let (Some(kept), Some(node)) = (&self.kept, self.vnodes[id].host())
            && kept.by_number((node.dev, node.ino)).is_some()
        {
            self.keep_in_index(id);
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
}
