//! The directory of the host that keeps an overlay: a journal, numbered files with contents, a lock.
//!
//! ```text
//! DIR/index     one line for each change, appended; the line is the change, whole or not at all
//! DIR/data/N    the bytes of file number N, in hexadecimal
//! DIR/lock      locked by who uses the overlay
//! DIR/commit    there while a commit is under way
//! ```
//!
//! Contents are written before the line that speaks of them and removed after it, so that an end at any
//! moment leaves at most a file that no line names.  Must not know what the lines say; see
//! `kernel/vfs/overlay`.  No 2.1 counterpart.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{self, AtFlags, Mode, OFlags, SeekFrom};
use rustix::io::Errno as Linux;

use super::change;
use super::error::{HostError, HostResult};
use super::fs::{HostKind, OpenFor, Place};
use super::temporary::{self, Directory};

/// Name of the journal.
const INDEX: &str = "index";
/// Name of a journal that takes its place.
const NEW_INDEX: &str = "index.new";
/// Name of the directory of contents.
const DATA: &str = "data";
/// Name of the lock.
const LOCK: &str = "lock";
/// Name of the list of steps of a commit.
const COMMIT: &str = "commit";
/// All of them: what may be in the directory of an overlay.
const NAMES: [&str; 5] = [INDEX, NEW_INDEX, DATA, LOCK, COMMIT];
/// Permissions of contents: those that the guest sees are in the journal.
const DATA_MODE: u32 = 0o600;
/// Largest journal that is read.
const INDEX_BOUND: u64 = 1 << 30;

/// Why the directory of an overlay cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UpperError {
    /// The host refuses.
    #[error("{0}")]
    Host(#[from] io::Error),
    /// Somebody works with it.
    #[error("in use by another run")]
    Busy,
    /// There is something, and it is no overlay.
    #[error("neither empty nor an overlay ({0} is in it)")]
    Foreign(String),
    /// There is no overlay.
    #[error("not an overlay: it has no index")]
    Missing,
}

impl From<Linux> for UpperError {
    fn from(error: Linux) -> Self {
        Self::Host(error.into())
    }
}

impl From<HostError> for UpperError {
    fn from(error: HostError) -> Self {
        Self::Host(error.0.into())
    }
}

/// An overlay's directory, locked.
#[derive(Clone, Debug)]
pub struct Upper {
    path: PathBuf,
    directory: Rc<OwnedFd>,
    data: Place,
    /// The journal and its length; none where nothing is kept.
    index: Option<(Rc<File>, u64)>,
    /// A line was written in part and could not be taken back: nothing may follow it.
    broken: bool,
    _lock: Option<Rc<File>>,
    _private: Option<Rc<Directory>>,
}

impl Upper {
    /// A directory in `above` that goes away with the overlay, and has no journal.
    pub fn private(above: &Path) -> io::Result<Self> {
        let made = temporary::directory(above)?;
        let path = made.path().to_owned();
        let directory = open_directory(&path)?;
        fs::mkdirat(&directory, DATA, Mode::RWXU)?;
        let data = Place::top(&path.join(DATA)).map_err(|e| io::Error::from(e.0))?;
        let directory = Rc::new(directory);
        Ok(Self {
            path,
            directory,
            data,
            index: None,
            broken: false,
            _lock: None,
            _private: Some(Rc::new(made)),
        })
    }

    /// Opens the overlay in `path`, or makes one with `first` as its journal where there is nothing and that
    /// is given; gives the journal's bytes, too.
    pub fn open(path: &Path, first: Option<&[u8]>) -> Result<(Self, Vec<u8>), UpperError> {
        if first.is_some() {
            match std::fs::create_dir(path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
                _ => {}
            }
        }
        let path = path.canonicalize()?;
        let directory = open_directory(&path)?;
        let has_index = fs::statat(&directory, INDEX, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        for entry in std::fs::read_dir(&path)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !NAMES.contains(&name.as_str()) {
                return Err(UpperError::Foreign(name));
            }
        }
        if !has_index && first.is_none() {
            return Err(UpperError::Missing);
        }
        let lock = regular(&directory, LOCK, OFlags::RDWR | OFlags::CREATE)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(UpperError::Busy),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        match fs::mkdirat(&directory, DATA, Mode::RWXU) {
            Err(error) if error != Linux::EXIST => return Err(error.into()),
            _ => {}
        }
        let data = Place::top(&path)?.child(DATA.as_bytes())?;
        if data.stat()?.kind != HostKind::Directory {
            return Err(UpperError::Foreign(DATA.to_owned()));
        }
        let directory = Rc::new(directory);
        let mut upper = Self {
            path,
            directory,
            data,
            index: None,
            broken: false,
            _lock: Some(Rc::new(lock)),
            _private: None,
        };
        if !has_index {
            upper.replace(INDEX, first.unwrap_or_default())?;
        }
        let mut index = regular(&upper.directory, INDEX, OFlags::RDWR | OFlags::APPEND)?;
        if index.metadata()?.len() > INDEX_BOUND {
            return Err(io::Error::from(Linux::FBIG).into());
        }
        let mut bytes = Vec::new();
        (&mut index).take(INDEX_BOUND).read_to_end(&mut bytes)?;
        upper.index = Some((Rc::new(index), bytes.len() as u64));
        Ok((upper, bytes))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one line to the journal, whole or not at all.
    pub fn append(&mut self, line: &[u8]) -> HostResult<()> {
        let Some((index, length)) = &mut self.index else { return Ok(()) };
        change::note();
        if self.broken {
            return Err(Linux::IO.into());
        }
        match (&**index).write_all(line) {
            Ok(()) => {
                *length += line.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.broken = index.set_len(*length).is_err();
                Err(HostError::of_io(&error))
            }
        }
    }

    /// Cuts the journal off: what follows is a line that was not written whole.
    pub fn cut(&mut self, length: u64) -> io::Result<()> {
        change::note();
        if let Some((index, there)) = &mut self.index {
            index.set_len(length)?;
            *there = length;
        }
        Ok(())
    }

    /// Puts another journal in the place of the present one, at once.
    pub fn rewrite(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.index.is_none() {
            return Ok(());
        }
        self.replace(INDEX, bytes)?;
        let index = regular(&self.directory, INDEX, OFlags::RDWR | OFlags::APPEND)?;
        self.index = Some((Rc::new(index), bytes.len() as u64));
        Ok(())
    }

    /// Makes `name` hold exactly these bytes, at once.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        change::note();
        match fs::unlinkat(&self.directory, NEW_INDEX, AtFlags::empty()) {
            Err(error) if error != Linux::NOENT => return Err(error.into()),
            _ => {}
        }
        let mut file = regular(&self.directory, NEW_INDEX, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::renameat(&self.directory, NEW_INDEX, &self.directory, name)?;
        Ok(fs::fsync(&self.directory)?)
    }

    /// Brings the journal to the disk.
    pub fn sync(&self) -> HostResult<()> {
        match &self.index {
            Some((index, _)) => Ok(fs::fdatasync(index)?),
            None => Ok(()),
        }
    }

    /// Makes the empty contents of file `number`.
    pub fn create_data(&self, number: u64) -> HostResult<Place> {
        match self.data.remove(name(number).as_bytes(), false) {
            Err(error) if error.0 != Linux::NOENT => return Err(error),
            _ => {}
        }
        self.data.create(name(number).as_bytes(), DATA_MODE)
    }

    /// The contents of file `number`.
    pub fn data(&self, number: u64) -> HostResult<Place> {
        self.data.child(name(number).as_bytes())
    }

    /// Copies the bytes of `from` to the contents of file `number`; they are on the disk when it returns.
    pub fn copy_data(&self, number: u64, from: &Place) -> HostResult<Place> {
        let source = from.open_file(OpenFor::Reading)?;
        let place = self.create_data(number)?;
        let target = place.open_file(OpenFor::Writing)?;
        let copied = copy(&source, &target).and_then(|()| match &self.index {
            Some(_) => Ok(fs::fdatasync(&target)?),
            None => Ok(()),
        });
        match copied {
            Ok(()) => Ok(place),
            Err(error) => {
                // What is left would be found and removed the next time.
                let _ = self.remove_data(number);
                Err(error)
            }
        }
    }

    /// Removes the contents of file `number`; copies of the overlay may still want them, then they stay as long as the
    /// overlay is used.
    pub fn remove_data(&self, number: u64) -> HostResult<()> {
        if Rc::strong_count(&self.directory) > 1 {
            return Ok(());
        }
        self.data.remove(name(number).as_bytes(), false)
    }

    /// Numbers of all files that have contents.
    pub fn numbers(&self) -> HostResult<Vec<u64>> {
        let number = |name: &[u8]| u64::from_str_radix(std::str::from_utf8(name).ok()?, 16).ok();
        Ok(self.data.entries()?.iter().filter_map(|entry| number(&entry.name)).collect())
    }

    /// Room where contents are.
    pub fn space(&self) -> HostResult<change::HostSpace> {
        self.data.space()
    }

    /// The steps of a commit that was begun, if one was.
    pub fn commit(&self) -> io::Result<Option<Vec<u8>>> {
        match regular(&self.directory, COMMIT, OFlags::RDONLY) {
            Ok(file) => {
                let mut bytes = Vec::new();
                file.take(INDEX_BOUND).read_to_end(&mut bytes)?;
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins a commit by writing its steps down, at once, and gives the file in which progress is noted.
    pub fn begin_commit(&self, steps: &[u8]) -> io::Result<File> {
        self.replace(COMMIT, steps)?;
        self.resume_commit()
    }

    /// The file in which a commit that was begun notes its progress.
    pub fn resume_commit(&self) -> io::Result<File> {
        change::note();
        regular(&self.directory, COMMIT, OFlags::RDWR | OFlags::APPEND)
    }

    /// Ends a commit.
    pub fn end_commit(&self) -> io::Result<()> {
        Ok(fs::unlinkat(&self.directory, COMMIT, AtFlags::empty())?)
    }

    /// Removes everything that belongs to the overlay, and the directory if nothing else is in it.
    pub fn drop_all(self) -> io::Result<()> {
        let host = |error: HostError| io::Error::from(error.0);
        // First the journal: without it there is no overlay.
        for name in [INDEX, NEW_INDEX, COMMIT] {
            match fs::unlinkat(&self.directory, name, AtFlags::empty()) {
                Err(error) if error != Linux::NOENT => return Err(error.into()),
                _ => {}
            }
        }
        for entry in self.data.entries().map_err(host)? {
            self.data.remove(&entry.name, false).map_err(host)?;
        }
        fs::unlinkat(&self.directory, DATA, AtFlags::REMOVEDIR)?;
        fs::unlinkat(&self.directory, LOCK, AtFlags::empty())?;
        std::fs::remove_dir(&self.path)
    }
}

fn name(number: u64) -> String {
    format!("{number:016x}")
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(fs::open(path, flags, Mode::empty())?)
}

/// A regular file of the directory: nothing is followed, nothing is waited for.
fn regular(directory: &OwnedFd, name: &str, flags: OFlags) -> io::Result<File> {
    let safe = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(fs::openat(directory, name, flags | safe, Mode::RUSR | Mode::WUSR)?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name} is not a regular file"))),
    }
}

/// Copies a file, sharing its blocks where the host can, and leaving holes where there are holes.
fn copy(from: &OwnedFd, to: &OwnedFd) -> HostResult<()> {
    change::note();
    if fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let size = super::fs::stat_of(from.as_fd())?.size;
    fs::ftruncate(to, size)?;
    let mut buffer = vec![0; 1 << 16];
    let mut at = 0;
    while at < size {
        // Hosts that cannot tell say that all is data.
        at = match fs::seek(from, SeekFrom::Data(at)) {
            Ok(data) => data,
            Err(Linux::NXIO) => break,
            Err(_) => at,
        };
        let end = fs::seek(from, SeekFrom::Hole(at)).unwrap_or(size).min(size);
        while at < end {
            let room = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            let piece = buffer.get_mut(..room).unwrap_or_default();
            let length = super::fs::read_at(from.as_fd(), piece, at)?;
            let piece = piece.get(..length).unwrap_or_default();
            if length == 0 {
                return Ok(());
            }
            if super::fs::write_at(to.as_fd(), piece, at)? < length {
                return Err(Linux::NOSPC.into());
            }
            at += length as u64;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> String {
        match Upper::open(path, Some(b"first\n")) {
            Ok(_) => panic!("it was opened"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn one_run_at_a_time() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("o");
        let (upper, bytes) = Upper::open(&path, Some(b"first\n")).unwrap();
        assert_eq!(bytes, b"first\n");
        assert_eq!(refused(&path), "in use by another run");
        drop(upper);
        assert_eq!(Upper::open(&path, None).unwrap().1, b"first\n");
    }

    #[test]
    fn a_directory_with_something_else_is_refused() {
        let above = tempfile::tempdir().unwrap();
        std::fs::write(above.path().join("letter"), "dear").unwrap();
        assert!(refused(above.path()).contains("letter"));
        assert!(matches!(Upper::open(&above.path().join("none"), None), Err(UpperError::Host(_))));
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("o");
        std::fs::create_dir(&path).unwrap();
        std::os::unix::fs::symlink("../victim", path.join(LOCK)).unwrap();
        refused(&path);
        assert!(!above.path().join("victim").exists());
    }

    #[test]
    fn holes_stay_holes() {
        use std::os::unix::fs::MetadataExt;
        let above = tempfile::tempdir().unwrap();
        let source = above.path().join("sparse");
        let file = File::create(&source).unwrap();
        file.set_len(64 << 20).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"end", 60 << 20).unwrap();
        let upper = Upper::private(above.path()).unwrap();
        let from = Place::top(&source).unwrap();
        let copy = upper.copy_data(7, &from).unwrap();
        assert_eq!(copy.stat().unwrap().size, 64 << 20);
        if file.metadata().unwrap().blocks() < 1000 {
            assert!(copy.stat().unwrap().blocks < 1000);
        }
        let mut bytes = [0; 3];
        let fd = copy.open_file(OpenFor::Reading).unwrap();
        super::super::fs::read_at(fd.as_fd(), &mut bytes, 60 << 20).unwrap();
        assert_eq!(&bytes, b"end");
    }

    #[test]
    fn nothing_of_a_dropped_overlay_stays() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("o");
        let (upper, _) = Upper::open(&path, Some(b"")).unwrap();
        upper.create_data(1).unwrap();
        upper.drop_all().unwrap();
        assert!(!path.exists());
    }
}
