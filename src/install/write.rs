//! One entry of the root, written as the guest's super-user would.
//!
//! A file is made in the root's own directory, with all that belongs to it, and takes its place by one rename; so it is
//! there whole or not at all.  Names are walked by the guest's kernel: a symbolic link leads where it leads in the root
//! and never out of it.  Directories get their times when all is in them.

use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use syscalls::Errno;

use super::journal::{self, Journal};
use super::source::plain;
use super::tree::{said, superuser};
use super::{InstallError, Options};
use crate::host::fs::HostTime;
use crate::kernel::cred::Ucred;
use crate::kernel::vfs::mount::{MountFlags, Source};
use crate::kernel::vfs::namei::{Found, Nameidata, Op, Start};
use crate::kernel::vfs::node::Make;
use crate::kernel::vfs::{self, Vfs, VnodeId, Vtype};

/// Entries between two notes in the journal.
const STEP: u64 = 64;
/// Refusals that are told one by one.
const TOLD: usize = 20;
/// Most entries of a part.
const MOST_ENTRIES: u64 = 2_000_000;

/// What an entry is.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// A regular file of so many bytes, which follow.
    File(u64),
    Directory,
    Link(Vec<u8>),
    /// A further name of a file that is there.
    Name(Vec<u8>),
    Device(Vtype, u32),
    Fifo,
}

/// What is known of it.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Its path as the source has it.
    pub path: Vec<u8>,
    pub what: What,
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    /// Seconds and nanoseconds.
    pub mtime: (i64, i64),
    pub flags: u32,
}

/// Why an entry cannot be had: it is left out, or nothing more can be done.
enum Trouble {
    Entry(String),
    All(String),
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::ENOSPC | Errno::EDQUOT | Errno::EIO | Errno::EROFS | Errno::ENFILE => {
                Self::All(said(errno))
            }
            other => Self::Entry(said(other)),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::All(plain(&error))
    }
}

/// The root that is written.
pub(super) struct Writer {
    path: PathBuf,
    vfs: Vfs,
    start: Start,
    cred: Ucred,
    /// Where files are made.
    new: VnodeId,
    journal: Journal,
    /// Keeps others out.
    _lock: File,
    /// The part: its name, what was complete already, and how far it is.
    part: String,
    skip: u64,
    count: u64,
    bytes: u64,
    directories: Vec<Item>,
    made: u64,
    left: u64,
    most: u64,
    refused: Vec<String>,
    refusals: u64,
}

impl Writer {
    /// Opens a root, or makes one.
    pub(super) fn open(path: &Path, options: &Options) -> Result<Self, InstallError> {
        let refused = |why: String| InstallError::Root { path: path.to_owned(), why };
        let io = |e: io::Error| refused(plain(&e));
        if !path.exists() {
            std::fs::create_dir_all(path).map_err(io)?;
        }
        let mut others = std::fs::read_dir(path).map_err(io)?.filter_map(Result::ok).map(|e| e.file_name());
        if !options.add && !path.join(".bsd21").is_dir() && others.any(|name| name != "lost+found") {
            return Err(refused(
                "holds other files: name a directory that is empty or new, or add to it with --add"
                    .to_owned(),
            ));
        }
        let mut vfs = Vfs::new(vfs::Options::default());
        vfs.mount_root(&Source::Host(path), MountFlags::empty()).map_err(|e| refused(e.to_string()))?;
        vfs.keep_attributes(path).map_err(io)?;
        vfs.show_own_directory();
        let lock = File::create(path.join(".bsd21/lock")).map_err(io)?;
        hold(&lock).map_err(|_| refused("somebody else installs there".to_owned()))?;
        let new = path.join(".bsd21/new");
        if new.symlink_metadata().is_ok() {
            // What somebody who was killed has left.
            crate::host::tree::remove(&new).map_err(|e| refused(e.to_string()))?;
        }
        std::fs::create_dir(&new).map_err(io)?;
        let root = vfs.root_vnode();
        vfs.vref(root);
        let (start, cred) = (Start { cwd: root, root }, superuser());
        let new = vfs.namei(&Nameidata::lookup(b".bsd21/new"), start, &cred);
        let new =
            new.ok().and_then(|found| found.vp).ok_or_else(|| refused("cannot be written".to_owned()))?;
        vfs.vref(new);
        let journal = Journal::open(path).map_err(io)?;
        Ok(Self {
            path: path.to_owned(),
            vfs,
            start,
            cred,
            new,
            journal,
            _lock: lock,
            part: String::new(),
            skip: 0,
            count: 0,
            bytes: 0,
            directories: Vec::new(),
            made: 0,
            left: options.most,
            most: options.most,
            refused: Vec::new(),
            refusals: 0,
        })
    }

    /// Begins a part; whether somebody had begun it before.
    pub(super) fn begin(&mut self, name: &str, identity: &str) -> Result<bool, InstallError> {
        let parts = journal::read(&self.path).unwrap_or_default();
        let before = parts.get(&journal::plain(name));
        let before = before.filter(|part| !part.done && part.identity == journal::plain(identity));
        self.part = name.to_owned();
        (self.skip, self.count, self.bytes) = (before.map_or(0, |part| part.at), 0, 0);
        self.directories.clear();
        let resumed = before.is_some();
        self.journal.begin(name, identity).map_err(|e| self.failed(plain(&e)))?;
        Ok(resumed)
    }

    /// Ends a part: entries and bytes of it.
    pub(super) fn end(&mut self) -> Result<(u64, u64), InstallError> {
        // Deeper ones first: an attribute of a directory may keep what is in it from being changed.
        let mut directories = std::mem::take(&mut self.directories);
        directories.sort_by_key(|item| std::cmp::Reverse(item.path.iter().filter(|&&c| c == b'/').count()));
        for item in &directories {
            if let Err(trouble) = self.finish_directory(item) {
                self.trouble(&item.path, trouble)?;
            }
        }
        self.journal.done(&self.part).map_err(|e| self.failed(plain(&e)))?;
        Ok((self.count, self.bytes))
    }

    /// Whether there is a file of this path.
    pub(super) fn has(&mut self, path: &[u8]) -> bool {
        self.vfs.namei(&Nameidata::lookup(path), self.start, &self.cred).is_ok_and(|found| found.vp.is_some())
    }

    /// The content of a regular file of at most `most` bytes.
    pub(super) fn content(&mut self, path: &[u8], most: u64) -> Option<Vec<u8>> {
        let id = self.vfs.namei(&Nameidata::lookup(path), self.start, &self.cred).ok()?.vp?;
        let attr = self.vfs.getattr(id).ok()?;
        if attr.kind != Vtype::Reg || attr.size > most {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(attr.size).ok()?];
        self.vfs.vref(id);
        let length = self.vfs.read_content(id, 0, &mut bytes);
        self.vfs.vrele(id);
        bytes.truncate(length.ok()?);
        Some(bytes)
    }

    /// What was refused, and how often.
    pub(super) fn refusals(&mut self) -> (Vec<String>, u64) {
        (std::mem::take(&mut self.refused), self.refusals)
    }

    /// Leaves an entry out, and says so.
    pub(super) fn refuse(&mut self, path: &[u8], why: &str) {
        self.refusals += 1;
        if self.refused.len() < TOLD {
            self.refused.push(format!("{}: {why}", path.escape_ascii()));
        }
    }

    /// Why this part cannot go on.
    pub(super) fn failed(&self, why: String) -> InstallError {
        InstallError::Part { part: self.part.clone(), why }
    }

    /// Writes an entry, with the bytes of a file.
    pub(super) fn put(&mut self, item: Item, content: &mut dyn Read) -> Result<(), InstallError> {
        self.count += 1;
        if self.count > MOST_ENTRIES {
            return Err(self.failed(format!("more than {MOST_ENTRIES} entries")));
        }
        let size = if let What::File(size) = item.what { size } else { 0 };
        if size > self.left {
            return Err(InstallError::TooMuch { part: self.part.clone(), most: self.most });
        }
        self.left -= size;
        let path = match inner(&item.path) {
            Ok(path) => path,
            Err(why) => {
                self.refuse(&item.path, why);
                return Ok(());
            }
        };
        let item = Item { path, ..item };
        if self.count <= self.skip {
            self.bytes += size;
            if matches!(item.what, What::Directory) {
                self.directories.push(item);
            }
            return Ok(());
        }
        match self.write(&item, content) {
            Ok(()) => self.bytes += size,
            Err(trouble) => self.trouble(&item.path, trouble)?,
        }
        if self.count.is_multiple_of(STEP) {
            self.journal.at(&self.part, self.count).map_err(|e| self.failed(plain(&e)))?;
        }
        Ok(())
    }

    fn trouble(&mut self, path: &[u8], trouble: Trouble) -> Result<(), InstallError> {
        match trouble {
            Trouble::Entry(why) => {
                self.refuse(path, &why);
                Ok(())
            }
            Trouble::All(why) => Err(self.failed(format!("{}: {why}", path.escape_ascii()))),
        }
    }

    fn write(&mut self, item: &Item, content: &mut dyn Read) -> Result<(), Trouble> {
        if let What::Directory = item.what {
            return self.directory(item);
        }
        let at = self.place(&item.path)?;
        let was = at.vp;
        if was.is_some_and(|vp| self.vfs.vnode(vp).kind == Vtype::Dir) {
            return Err(Trouble::Entry("a directory is in its place".to_owned()));
        }
        self.vfs.vref(at.dvp);
        let made = self.make(item, content);
        let placed = made.and_then(|(from, id)| {
            let done = self.take_place(&from, &item.path, was.is_some());
            if done.is_err() {
                let _ = self.vfs.remove(&from);
            }
            if item.flags != 0 && done.is_ok() && !matches!(item.what, What::Name(_)) {
                self.vfs.set_flags(id, item.flags, &self.cred)?;
            }
            self.vfs.vrele(id);
            done
        });
        self.vfs.vrele(at.dvp);
        placed
    }

    /// Where a name stands or will stand; directories on the way are made.
    fn place(&mut self, path: &[u8]) -> Result<Found, Trouble> {
        for _ in 0..2 {
            match self.vfs.namei(&Nameidata::new(path, Op::Create), self.start, &self.cred) {
                Err(Errno::ENOENT) => self.make_above(path)?,
                other => return Ok(other?),
            }
        }
        Err(Trouble::Entry("there is no directory for it".to_owned()))
    }

    /// The directories above a name, as a system's own: archives need not have entries of them.
    fn make_above(&mut self, path: &[u8]) -> Result<(), Trouble> {
        let ends = path.iter().enumerate().filter(|(_, c)| **c == b'/').map(|(at, _)| at);
        for end in ends {
            let above = path.get(..end).unwrap_or_default();
            let found = self.vfs.namei(&Nameidata::new(above, Op::Create), self.start, &self.cred)?;
            if found.vp.is_none() {
                self.vfs.make(&found, Make::Directory, 0o755, &self.cred)?;
            }
        }
        Ok(())
    }

    /// Makes what takes the place of a name; with a reference.
    fn make(&mut self, item: &Item, content: &mut dyn Read) -> Result<(Found, VnodeId), Trouble> {
        self.made += 1;
        let name = self.made.to_string().into_bytes();
        let mut at = Found { dvp: self.new, vp: None, name, dotdot: false };
        let make = match &item.what {
            What::Name(target) => {
                let target = inner(target).map_err(|why| Trouble::Entry(format!("link: {why}")))?;
                let found = self.vfs.namei(&Nameidata::new(&target, Op::Lookup), self.start, &self.cred)?;
                let id = found.vp.ok_or(Errno::ENOENT)?;
                if self.vfs.vnode(id).kind == Vtype::Dir {
                    return Err(Trouble::Entry("a further name of a directory".to_owned()));
                }
                self.vfs.vref(id);
                // What must not be changed must not get a name, either.
                let flags = self.vfs.getattr(id)?.flags;
                if flags != 0 {
                    self.vfs.set_flags(id, 0, &self.cred)?;
                }
                self.vfs.link(id, &at)?;
                at.vp = Some(id);
                return Ok((at, id));
            }
            What::File(_) | What::Directory => Make::File,
            What::Link(text) => Make::Symlink(text),
            What::Device(kind, rdev) => Make::Device(*kind, *rdev),
            What::Fifo => Make::Fifo,
        };
        let id = self.vfs.make(&at, make, 0o600, &self.cred)?.ok_or(Errno::ENOENT)?;
        self.vfs.vref(id);
        at.vp = Some(id);
        let filled = self.fill(id, item, content).and_then(|()| self.describe(id, item));
        match filled {
            Ok(()) => Ok((at, id)),
            Err(trouble) => {
                let _ = self.vfs.remove(&at);
                self.vfs.vrele(id);
                Err(trouble)
            }
        }
    }

    fn fill(&mut self, id: VnodeId, item: &Item, content: &mut dyn Read) -> Result<(), Trouble> {
        let What::File(size) = item.what else { return Ok(()) };
        let mut buffer = vec![0; usize::try_from(size.clamp(1, 1 << 18)).unwrap_or(1)];
        let mut offset = 0;
        while offset < size {
            let room = usize::try_from(size - offset).unwrap_or(usize::MAX).min(buffer.len());
            let piece = buffer.get_mut(..room).unwrap_or_default();
            let length = match content.read(piece) {
                Ok(0) => {
                    return Err(Trouble::All("ends in the middle of a file: it is truncated".to_owned()));
                }
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Trouble::All(error.to_string())),
            };
            let piece = buffer.get(..length).unwrap_or_default();
            if self.vfs.write_content(id, offset, piece)? < length {
                return Err(Errno::ENOSPC.into());
            }
            offset += length as u64;
        }
        Ok(())
    }

    /// Owner, mode and times, in the order in which none takes another away.
    fn describe(&mut self, id: VnodeId, item: &Item) -> Result<(), Trouble> {
        self.vfs.set_owner(id, item.uid, item.gid, &self.cred)?;
        if !matches!(item.what, What::Link(_)) {
            self.vfs.set_mode(id, item.mode, &self.cred)?;
        }
        let time = HostTime { sec: item.mtime.0, nsec: item.mtime.1 };
        // A file system of the host that cannot keep a time keeps its own.
        let _ = self.vfs.set_times(id, (time, time), false, &self.cred);
        Ok(())
    }

    /// Renames what was made onto a name; what must not be changed in its place may be replaced all the same.
    fn take_place(&mut self, from: &Found, path: &[u8], replaces: bool) -> Result<(), Trouble> {
        let at = self.vfs.namei(&Nameidata::new(path, Op::Rename), self.start, &self.cred)?;
        if let (true, Some(old)) = (replaces, at.vp)
            && self.vfs.getattr(old)?.flags != 0
        {
            self.vfs.set_flags(old, 0, &self.cred)?;
        }
        Ok(self.vfs.rename(from, &at, &self.cred)?)
    }

    fn directory(&mut self, item: &Item) -> Result<(), Trouble> {
        if !item.path.is_empty() {
            let at = self.place(&item.path)?;
            match at.vp {
                None => drop(self.vfs.make(&at, Make::Directory, 0o755, &self.cred)?),
                Some(vp) if self.vfs.vnode(vp).kind == Vtype::Dir => {}
                // What an installed system has instead, such as a link to another place, stays.
                Some(_) => {
                    let there = self.vfs.namei(&Nameidata::lookup(&item.path), self.start, &self.cred)?.vp;
                    return match there.is_some_and(|vp| self.vfs.vnode(vp).kind == Vtype::Dir) {
                        true => Ok(()),
                        false => Err(Trouble::Entry("something else is in its place".to_owned())),
                    };
                }
            }
        }
        self.directories.push(item.clone());
        Ok(())
    }

    fn finish_directory(&mut self, item: &Item) -> Result<(), Trouble> {
        let path: &[u8] = if item.path.is_empty() { b"/" } else { &item.path };
        let found = self.vfs.namei(&Nameidata::new(path, Op::Lookup), self.start, &self.cred)?;
        let Some(id) = found.vp.filter(|&vp| self.vfs.vnode(vp).kind == Vtype::Dir) else { return Ok(()) };
        self.vfs.vref(id);
        let done = self.describe(id, item).and_then(|()| match item.flags {
            0 => Ok(()),
            flags => Ok(self.vfs.set_flags(id, flags, &self.cred)?),
        });
        self.vfs.vrele(id);
        done
    }
}

/// Takes the lock.  A process that is just being started holds what its maker held, for a moment.
fn hold(lock: &File) -> Result<(), TryLockError> {
    for _ in 0..20 {
        if lock.try_lock().is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    lock.try_lock()
}

/// A path below the root: an absolute one means the same, and none leads up.
pub(super) fn inner(path: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut parts = Vec::new();
    for part in path.split(|&c| c == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err("a name with '..' is refused"),
            part if part.contains(&0) => return Err("a name with a zero byte is refused"),
            part => parts.push(part),
        }
    }
    if parts.first().is_some_and(|first| *first == vfs::keep::OWN_DIRECTORY) {
        return Err("bsd21's own directory is refused");
    }
    Ok(parts.join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::inner;

    #[test]
    fn paths_stay_below_the_root() {
        assert_eq!(inner(b"/etc/./passwd").unwrap(), b"etc/passwd");
        assert_eq!(inner(b"./").unwrap(), b"");
        for path in [&b"../x"[..], b"a/../../x", b"a/..", b"a\0b", b".bsd21/journal", b"//.bsd21"] {
            assert!(inner(path).is_err(), "{}", path.escape_ascii());
        }
    }
}
