//! The door to the host's files: places held by descriptor, walked one name at a time.
//!
//! A [`Place`] is an `O_PATH` descriptor.  There is no way here to name a file by more than one
//! component, to follow a symbolic link or to go up, so that nothing above can leave the directory
//! that it was given.  Only regular files and directories are ever opened, after their type is known
//! from the held descriptor itself: a FIFO or a device of the host can neither hang nor move us.
//!
//! Must not know the guest's rules (owners, modes, mounts); see `kernel/vfs`.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, RawMode, SeekFrom};
use rustix::io::{Errno as Linux, ReadWriteFlags};

use super::error::HostResult;
use super::reach::{Found, Reach};

/// What a name in the host's tree stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A FIFO: never opened.
    Fifo,
    /// A socket: never connected to.
    Socket,
    /// A character device: never opened.
    CharDevice,
    /// A block device: never opened.
    BlockDevice,
    /// The host does not say.
    Unknown,
}

impl HostKind {
    /// The type with a number, as `as u8` gives it.
    pub fn of_number(number: u8) -> Option<Self> {
        let all = [
            Self::Regular,
            Self::Directory,
            Self::Symlink,
            Self::Fifo,
            Self::Socket,
            Self::CharDevice,
            Self::BlockDevice,
            Self::Unknown,
        ];
        all.get(usize::from(number)).copied()
    }
}

impl From<FileType> for HostKind {
    fn from(kind: FileType) -> HostKind {
        match kind {
            FileType::RegularFile => HostKind::Regular,
            FileType::Directory => HostKind::Directory,
            FileType::Symlink => HostKind::Symlink,
            FileType::Fifo => HostKind::Fifo,
            FileType::Socket => HostKind::Socket,
            FileType::CharacterDevice => HostKind::CharDevice,
            FileType::BlockDevice => HostKind::BlockDevice,
            FileType::Unknown => HostKind::Unknown,
        }
    }
}

/// Seconds and nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostTime {
    /// Whole seconds.
    pub sec: i64,
    /// Nanoseconds, below 10^9.
    pub nsec: i64,
}

/// What the host says about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostStat {
    /// The host's device number.
    pub dev: u64,
    /// The host's inode number.
    pub ino: u64,
    /// The type.
    pub kind: HostKind,
    /// Permission bits, with set-id and sticky bits.
    pub perm: u32,
    /// Number of links.
    pub nlink: u64,
    /// The host's user id.
    pub uid: u32,
    /// The host's group id.
    pub gid: u32,
    /// The device number of a device, major and minor.
    pub rdev: (u32, u32),
    /// Size in bytes.
    pub size: u64,
    /// Blocks of 512 bytes.
    pub blocks: u64,
    /// Last access.
    pub atime: HostTime,
    /// Last modification.
    pub mtime: HostTime,
    /// Last change of the inode.
    pub ctime: HostTime,
}

/// One name of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEntry {
    /// The name, without a zero byte.
    pub name: Vec<u8>,
    /// The device number, as `stat` would tell it.
    pub dev: u64,
    /// The inode number, as `stat` would tell it.
    pub ino: u64,
    /// The type, where the host's directory tells it.
    pub kind: HostKind,
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenFor {
    /// Reading only.
    Reading,
    /// Writing, and reading where the host allows it.
    Writing,
}

/// How often rights are lent for one act: another run may take back what it had lent at the same moment.
const LENDINGS: usize = 4;
/// Most bytes that are appended at once.
pub const MOST_APPENDED: usize = 16 << 20;

/// A place in the host's tree, held open without rights to its content.
#[derive(Clone, Debug)]
pub struct Place {
    pub(super) fd: Rc<OwnedFd>,
    /// Where it was found, if it is reached that way.
    pub(super) found: RefCell<Option<Found>>,
}

/// One component of a path: not empty, no slash, no zero byte, neither `.` nor `..`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Component<'a>(pub(super) &'a [u8]);

impl<'a> Component<'a> {
    /// Checks that `name` cannot lead anywhere but to an entry of the directory itself.
    pub(super) fn new(name: &'a [u8]) -> HostResult<Component<'a>> {
        if name.is_empty() || name == b"." || name == b".." {
            return Err(Linux::INVAL.into());
        }
        if name.iter().any(|&byte| byte == b'/' || byte == 0) {
            return Err(Linux::INVAL.into());
        }
        Ok(Component(name))
    }
}

/// The user and group that the host sees us as.
pub fn host_identity() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// Lets this process have as many descriptors as it may, every held vnode being one; gives their number.
pub fn raise_descriptor_limit() -> u64 {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        // A smaller number of held vnodes is no reason to stop.
        let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit);
    }
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
}

impl Place {
    /// Holds what `path` names in the host's own tree: the top of a mount, given by our user.
    pub fn top(path: &Path) -> HostResult<Place> {
        Ok(Place::new(fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?, None))
    }

    fn new(fd: OwnedFd, found: Option<Found>) -> Place {
        Place { fd: Rc::new(fd), found: RefCell::new(found) }
    }

    /// Holds the entry `name` of this directory; a symbolic link is held itself.
    pub fn child(&self, name: &[u8]) -> HostResult<Place> {
        let name = Component::new(name)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = self.lending(Mode::XUSR, || Ok(fs::openat(&*self.fd, name.0, flags, Mode::empty())?))?;
        Ok(Place::new(fd, self.remember(name.0)))
    }

    /// Holds what an open descriptor stands for, whatever its name is now.
    pub(super) fn of_open(fd: BorrowedFd<'_>) -> HostResult<Place> {
        let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
        Ok(Place::new(fs::open(link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?, None))
    }

    /// Another hold on the same place.
    pub fn try_clone(&self) -> HostResult<Place> {
        Ok(Place { fd: Rc::clone(&self.fd), found: self.found.clone() })
    }

    /// What the host says about it.
    pub fn stat(&self) -> HostResult<HostStat> {
        Ok(host_stat(&fs::fstat(&*self.fd)?))
    }

    /// The text of a symbolic link.
    pub fn readlink(&self) -> HostResult<Vec<u8>> {
        Ok(fs::readlinkat(&*self.fd, "", Vec::new())?.into_bytes())
    }

    /// The name that the host has for it now, for people; nothing is opened by it.
    pub fn host_path(&self) -> Option<PathBuf> {
        let reach = self.reach().ok().filter(Reach::is_link)?;
        let name = fs::readlink(reach.path(), Vec::new()).ok()?.into_bytes();
        Some(OsString::from_vec(name).into())
    }

    /// Opens a regular file; anything else is refused with `ENXIO`.
    pub fn open_file(&self, purpose: OpenFor) -> HostResult<OwnedFd> {
        if self.stat()?.kind != HostKind::Regular {
            return Err(Linux::NXIO.into());
        }
        let common = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let open = |access: OFlags| {
            let reach = self.reach()?;
            let common = if reach.is_link() { common } else { common | OFlags::NOFOLLOW };
            Ok(fs::openat(reach.at(), reach.path(), access | common, Mode::empty())?)
        };
        match purpose {
            OpenFor::Reading => self.lending(Mode::RUSR, || open(OFlags::RDONLY)),
            OpenFor::Writing => self.lending(Mode::RUSR | Mode::WUSR, || open(OFlags::RDWR)),
        }
    }

    /// The names of a directory, without `.` and `..`, sorted so that each run sees the same order.
    pub fn entries(&self) -> HostResult<Vec<HostEntry>> {
        let mut entries = self.lending(Mode::RUSR | Mode::XUSR, || self.list())?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Opens a directory for reading.
    pub(super) fn open_directory(&self) -> HostResult<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOCTTY;
        Ok(fs::openat(&*self.fd, ".", flags, Mode::empty())?)
    }

    fn list(&self) -> HostResult<Vec<HostEntry>> {
        let fd = self.open_directory()?;
        let stat = fs::fstat(&fd)?;
        // A removed directory has no entries, and the host refuses to list it.
        if stat.st_nlink == 0 {
            return Ok(Vec::new());
        }
        let own = stat.st_dev;
        let mut entries = Vec::new();
        let mut directory = Dir::read_from(&fd)?;
        while let Some(entry) = directory.read() {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let kind = HostKind::from(entry.file_type());
            let mut found = HostEntry { name: name.to_bytes().to_vec(), dev: own, ino: entry.ino(), kind };
            if matches!(kind, HostKind::Directory | HostKind::Unknown) {
                // A mount point of the host: the entry holds the covered directory's number.
                let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
                match fs::statat(&fd, name, flags) {
                    Ok(stat) => {
                        let stat = host_stat(&stat);
                        (found.dev, found.ino, found.kind) = (stat.dev, stat.ino, stat.kind);
                    }
                    // Removed while we read.
                    Err(Linux::NOENT) => continue,
                    // It cannot be looked at, but it is there.
                    Err(_) => {}
                }
            }
            entries.push(found);
        }
        Ok(entries)
    }

    /// The descriptor, for the calls that live beside this file.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Runs `act`; if our own file's mode forbids it, runs it again with `rights` lent for the moment.
    ///
    /// The guest's rules were checked before: uid 0 of the guest writes a file of mode 0444 although
    /// the host user, who owns it, may not.
    pub(super) fn lending<T>(&self, rights: Mode, act: impl Fn() -> HostResult<T>) -> HostResult<T> {
        let mut result = act();
        for _ in 0..LENDINGS {
            let Err(error) = &result else { return result };
            if error.0 != Linux::ACCESS {
                return result;
            }
            let Ok(stat) = self.stat() else { return result };
            let own = stat.uid == rustix::process::geteuid().as_raw();
            let missing = rights.bits() & !stat.perm;
            if !own || !matches!(stat.kind, HostKind::Regular | HostKind::Directory) {
                return result;
            }
            if missing != 0 && self.set_perm(stat.perm | missing).is_err() {
                return result;
            }
            // With nothing missing another run lends the same rights just now, or did a moment ago.
            result = act();
            // Only what was lent here is taken back: another run may have lent or changed other bits.  A
            // failure now leaves more rights, never fewer.
            if missing != 0
                && let Ok(now) = self.stat()
            {
                let _ = self.set_perm(now.perm & !missing);
            }
        }
        result
    }

    fn set_perm(&self, perm: u32) -> HostResult<()> {
        let reach = self.reach()?;
        Ok(fs::chmodat(reach.at(), reach.path(), Mode::from_raw_mode(perm as RawMode), AtFlags::empty())?)
    }
}

/// What the host says about an open descriptor.
pub fn stat_of(fd: BorrowedFd<'_>) -> HostResult<HostStat> {
    Ok(host_stat(&fs::fstat(fd)?))
}

/// Reads at `offset`; fewer bytes than asked for mean the end of the file.
pub fn read_at(fd: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> HostResult<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match rustix::io::pread(fd, rest, offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(Linux::INTR) => {}
            Err(_) if done > 0 => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(done)
}

/// Writes at `offset`; an error after the first bytes is a short count.
pub fn write_at(fd: BorrowedFd<'_>, data: &[u8], offset: u64) -> HostResult<usize> {
    super::change::note();
    let mut done = 0;
    while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
        match rustix::io::pwrite(fd, rest, offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(Linux::INTR) => {}
            Err(_) if done > 0 => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(done)
}

/// Adds bytes at the end of a file, wherever the end is by then; an error after the first bytes is a short
/// count.  Gives the count and where the file ended afterwards.  The host finds the end and writes in one
/// step, so that nobody's bytes are written over: all of `data` must come in one call.
pub fn append(fd: BorrowedFd<'_>, data: &[u8]) -> HostResult<(usize, u64)> {
    super::change::note();
    let mut done = 0;
    let here = || -> HostResult<u64> { Ok(fs::seek(fd, SeekFrom::Current(0))?) };
    while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
        // The offset -1 stands for the description's own, which the host moves to the end of what it wrote.
        match rustix::io::pwritev2(fd, &[IoSlice::new(rest)], u64::MAX, ReadWriteFlags::APPEND) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(Linux::INTR) => {}
            Err(_) if done > 0 => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok((done, here()?))
}

/// Sets the size of an open file.
pub fn set_size(fd: BorrowedFd<'_>, size: u64) -> HostResult<()> {
    super::change::note();
    Ok(fs::ftruncate(fd, size)?)
}

/// Waits until the content of an open file is on the host's disk.
pub fn sync(fd: BorrowedFd<'_>) -> HostResult<()> {
    Ok(fs::fsync(fd)?)
}

/// Whether `name` may be used as one component.
pub fn is_component(name: &[u8]) -> bool {
    Component::new(name).is_ok()
}

fn host_stat(stat: &fs::Stat) -> HostStat {
    let kind = FileType::from_raw_mode(stat.st_mode as RawMode).into();
    // The type of nanoseconds depends on how rustix reaches the host.
    fn time(sec: i64, nsec: impl TryInto<i64>) -> HostTime {
        HostTime { sec, nsec: nsec.try_into().unwrap_or(0) }
    }
    HostStat {
        dev: stat.st_dev,
        ino: stat.st_ino,
        kind,
        perm: stat.st_mode & 0o7777,
        nlink: stat.st_nlink,
        uid: stat.st_uid,
        gid: stat.st_gid,
        rdev: (fs::major(stat.st_rdev), fs::minor(stat.st_rdev)),
        size: stat.st_size.max(0) as u64,
        blocks: stat.st_blocks.max(0) as u64,
        atime: time(stat.st_atime, stat.st_atime_nsec),
        mtime: time(stat.st_mtime, stat.st_mtime_nsec),
        ctime: time(stat.st_ctime, stat.st_ctime_nsec),
    }
}

/// Flags for removing a name: a directory or anything else.
pub(super) fn removal(directory: bool) -> AtFlags {
    if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_component_with_a_slash_or_dots_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let top = Place::top(dir.path()).unwrap();
        for name in [&b".."[..], b".", b"", b"a/b", b"/", b"a\0b"] {
            assert_eq!(top.child(name).unwrap_err().0, Linux::INVAL, "{name:?}");
        }
    }

    #[test]
    fn a_symbolic_link_is_held_itself() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/etc/passwd", dir.path().join("link")).unwrap();
        let link = Place::top(dir.path()).unwrap().child(b"link").unwrap();
        assert_eq!(link.stat().unwrap().kind, HostKind::Symlink);
        assert_eq!(link.readlink().unwrap(), b"/etc/passwd");
        assert_eq!(link.open_file(OpenFor::Reading).unwrap_err().0, Linux::NXIO);
    }

    #[test]
    fn a_host_fifo_is_never_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        fs::mkfifoat(fs::CWD, &path, Mode::RWXU).unwrap();
        let fifo = Place::top(dir.path()).unwrap().child(b"fifo").unwrap();
        assert_eq!(fifo.stat().unwrap().kind, HostKind::Fifo);
        assert_eq!(fifo.open_file(OpenFor::Reading).unwrap_err().0, Linux::NXIO);
    }

    #[test]
    fn a_file_is_read_and_written_at_offsets() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), b"hello world").unwrap();
        let file = Place::top(dir.path()).unwrap().child(b"f").unwrap();
        let fd = file.open_file(OpenFor::Writing).unwrap();
        let mut buffer = [0; 32];
        assert_eq!(read_at(fd.as_fd(), &mut buffer, 6).unwrap(), 5);
        assert_eq!(&buffer[..5], b"world");
        assert_eq!(write_at(fd.as_fd(), b"HE", 0).unwrap(), 2);
        set_size(fd.as_fd(), 5).unwrap();
        assert_eq!(std::fs::read(dir.path().join("f")).unwrap(), b"HEllo");
    }

    #[test]
    fn what_two_descriptions_append_is_all_there() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), b"first ").unwrap();
        let file = Place::top(dir.path()).unwrap().child(b"f").unwrap();
        let open = || file.open_file(OpenFor::Writing).unwrap();
        let (one, other) = (open(), open());
        assert_eq!(append(one.as_fd(), b"one ").unwrap(), (4, 10));
        assert_eq!(append(other.as_fd(), b"other ").unwrap(), (6, 16));
        assert_eq!(write_at(one.as_fd(), b"F", 0).unwrap(), 1, "writes at offsets do not append");
        assert_eq!(append(one.as_fd(), b"one").unwrap(), (3, 19));
        assert_eq!(std::fs::read(dir.path().join("f")).unwrap(), b"First one other one");
    }

    #[test]
    fn a_removed_directory_has_no_entries() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("d")).unwrap();
        let gone = Place::top(dir.path()).unwrap().child(b"d").unwrap();
        std::fs::remove_dir(dir.path().join("d")).unwrap();
        assert_eq!(gone.entries().unwrap(), []);
    }

    #[test]
    fn entries_are_sorted_and_without_dots() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "a", "c"] {
            std::fs::write(dir.path().join(name), b"").unwrap();
        }
        let names: Vec<_> =
            Place::top(dir.path()).unwrap().entries().unwrap().into_iter().map(|e| e.name).collect();
        assert_eq!(names, [b"a", b"b", b"c"]);
    }
}
