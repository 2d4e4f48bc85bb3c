//! The door to trees of the host's files: a cursor that goes down and up with one descriptor, so that neither the
//! depth of a tree nor the length of its paths matters; and the removal of a whole tree.
//!
//! A cursor follows no symbolic link and opens nothing but directories and regular files.  Must not know what the
//! trees are for.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno as Linux;

use super::fs::{HostKind, is_component};

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOCTTY);

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The type.
    pub kind: HostKind,
    /// Permission bits.
    pub mode: u32,
    /// Bytes of a regular file.
    pub size: u64,
}

/// A directory in a tree.
#[derive(Debug)]
pub struct Cursor {
    here: OwnedFd,
    /// Device and inode of each directory above, the top first.
    above: Vec<(u64, u64)>,
}

impl Cursor {
    /// The top of a tree, which is no symbolic link itself.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { here: fs::open(path, DIRECTORY, Mode::empty())?, above: Vec::new() })
    }

    /// How far below the top it is.
    pub fn depth(&self) -> usize {
        self.above.len()
    }

    /// Goes into a directory.
    pub fn down(&mut self, name: &OsStr) -> io::Result<()> {
        let identity = identity(&self.here)?;
        let below = fs::openat(&self.here, component(name)?, DIRECTORY, Mode::empty())?;
        self.here = below;
        self.above.push(identity);
        Ok(())
    }

    /// Goes back to the directory above; an error where somebody has moved this one.
    pub fn up(&mut self) -> io::Result<()> {
        let Some(expected) = self.above.pop() else { return Err(io::ErrorKind::InvalidInput.into()) };
        let above = fs::openat(&self.here, "..", DIRECTORY, Mode::empty())?;
        if identity(&above)? != expected {
            return Err(io::Error::other("the tree was moved while it was read"));
        }
        self.here = above;
        Ok(())
    }

    /// The names here, sorted.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        let mut directory = Dir::read_from(&self.here)?;
        while let Some(entry) = directory.read() {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort();
        Ok(names)
    }

    /// What an entry is.
    pub fn look(&self, name: &OsStr) -> io::Result<Entry> {
        let stat = fs::statat(&self.here, component(name)?, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Entry {
            kind: FileType::from_raw_mode(stat.st_mode).into(),
            mode: stat.st_mode & 0o7777,
            size: stat.st_size.unsigned_abs(),
        })
    }

    /// The text of a symbolic link.
    pub fn read_link(&self, name: &OsStr) -> io::Result<OsString> {
        Ok(OsString::from_vec(fs::readlinkat(&self.here, component(name)?, Vec::new())?.into_bytes()))
    }

    /// Opens a regular file for reading; anything else is an error and stays closed.
    pub fn open_file(&self, name: &OsStr) -> io::Result<File> {
        let not_regular = || io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
        if self.look(name)?.kind != HostKind::Regular {
            return Err(not_regular());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(fs::openat(&self.here, component(name)?, flags, Mode::empty())?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
    }

    /// Makes a regular file, which must not exist.
    pub fn create(&self, name: &OsStr, mode: u32) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(&self.here, component(name)?, flags, Mode::from_raw_mode(mode))?;
        fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        Ok(File::from(file))
    }

    /// Makes a directory, which must not exist.
    pub fn make_directory(&self, name: &OsStr, mode: u32) -> io::Result<()> {
        let name = component(name)?;
        fs::mkdirat(&self.here, name, Mode::from_raw_mode(mode))?;
        Ok(fs::chmodat(&self.here, name, Mode::from_raw_mode(mode), AtFlags::empty())?)
    }

    /// Makes a symbolic link.
    pub fn make_link(&self, name: &OsStr, text: &OsStr) -> io::Result<()> {
        Ok(fs::symlinkat(text, &self.here, component(name)?)?)
    }

    /// Goes into a directory that is to be removed, whatever its permissions are.
    fn force_down(&mut self, name: &OsStr) -> io::Result<()> {
        let open = Mode::RWXU;
        if self.down(name).is_err() {
            // Our own tree: whoever made the directory can open it.
            fs::chmodat(&self.here, component(name)?, open, AtFlags::empty())?;
            self.down(name)?;
        }
        let _ = fs::fchmod(&self.here, open);
        Ok(())
    }

    /// Removes everything here that is no directory; gives the names of those that are.
    fn empty(&self) -> io::Result<Vec<OsString>> {
        let mut directories = Vec::new();
        for name in self.names()? {
            match fs::unlinkat(&self.here, name.as_os_str(), AtFlags::empty()) {
                Ok(()) | Err(Linux::NOENT) => {}
                Err(Linux::ISDIR | Linux::PERM) => directories.push(name),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(directories)
    }
}

/// Removes a directory with everything in it, whatever somebody has done to the permissions inside.
pub fn remove(path: &Path) -> io::Result<()> {
    let (above, name) = match (path.parent(), path.file_name()) {
        (Some(above), Some(name)) if above != Path::new("") => (above, name),
        (_, Some(name)) => (Path::new("."), name),
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    };
    // The directory above may be reached by a symbolic link.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let here = fs::open(above, flags, Mode::empty())?;
    let mut cursor = Cursor { here, above: Vec::new() };
    cursor.force_down(name)?;
    let mut todo = vec![(name.to_owned(), cursor.empty()?)];
    while let Some((_, directories)) = todo.last_mut() {
        if let Some(below) = directories.pop() {
            cursor.force_down(&below)?;
            let directories = cursor.empty()?;
            todo.push((below, directories));
            continue;
        }
        let Some((name, _)) = todo.pop() else { break };
        cursor.up()?;
        fs::unlinkat(&cursor.here, name.as_os_str(), AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

fn identity(directory: &OwnedFd) -> io::Result<(u64, u64)> {
    let stat = fs::fstat(directory)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// A name that can only be an entry of the directory itself.
fn component(name: &OsStr) -> io::Result<&OsStr> {
    match is_component(name.as_bytes()) {
        true => Ok(name),
        false => Err(io::ErrorKind::InvalidInput.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// 12,000 directories, each in the one before: their path is longer than any path of the host.
    #[test]
    fn a_tree_of_any_depth_is_walked_and_removed() {
        let above = tempfile::tempdir().unwrap();
        let top = above.path().join("top");
        std::fs::create_dir(&top).unwrap();
        let mut cursor = Cursor::open(&top).unwrap();
        for _ in 0..12_000 {
            cursor.make_directory(OsStr::new("d"), 0o755).unwrap();
            cursor.down(OsStr::new("d")).unwrap();
        }
        cursor.create(OsStr::new("f"), 0o600).unwrap();
        assert_eq!((cursor.depth(), cursor.names().unwrap()), (12_000, vec![OsString::from("f")]));
        for _ in 0..12_000 {
            cursor.up().unwrap();
        }
        assert!(cursor.up().is_err(), "nothing above the top");
        remove(&top).unwrap();
        assert!(!top.exists());
    }

    #[test]
    fn links_are_removed_and_not_followed_and_closed_directories_are_opened() {
        let above = tempfile::tempdir().unwrap();
        let (kept, top) = (above.path().join("kept"), above.path().join("top"));
        std::fs::create_dir_all(kept.join("inside")).unwrap();
        std::fs::create_dir_all(top.join("a/b")).unwrap();
        symlink(&kept, top.join("a/link")).unwrap();
        for closed in ["a/b", "a"] {
            std::fs::set_permissions(top.join(closed), std::fs::Permissions::from_mode(0o000)).unwrap();
        }
        remove(&top).unwrap();
        assert!(!top.exists() && kept.join("inside").exists());
        symlink(&kept, &top).unwrap();
        assert!(remove(&top).is_err() && kept.join("inside").exists(), "the top itself is no link");
    }

    #[test]
    fn only_regular_files_are_opened() {
        let above = tempfile::tempdir().unwrap();
        symlink("/dev/zero", above.path().join("link")).unwrap();
        fs::mknodat(fs::CWD, above.path().join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let cursor = Cursor::open(above.path()).unwrap();
        for name in ["link", "fifo", "..", "link/x"] {
            assert!(cursor.open_file(OsStr::new(name)).is_err(), "{name}");
        }
    }
}
