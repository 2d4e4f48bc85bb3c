//! Files that we write ourselves: traces.
//!
//! A guest may have made a name before us, in a directory that it shares with us.  What is written to must be
//! ours: the directory is opened once, the name is not followed if it is a symbolic link, and a file that is
//! there must be a regular one without other names.  Only what lies in the host's own /dev is taken as it is.
//!
//! Must not know what is written.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno as Linux;

/// Directories whose entries a guest cannot have made, and that hold terminals and pipes.
const DEVICES: [&str; 4] = ["/dev", "/dev/fd", "/dev/pts", "/proc/self/fd"];

/// A directory for files of ours.
#[derive(Debug)]
pub struct OutputDirectory {
    directory: OwnedFd,
    append: bool,
}

impl OutputDirectory {
    /// Opens the directory of `path`, and gives the last component of it.  Files are emptied, or with `append`
    /// written to at their end.
    pub fn of(path: &Path, append: bool) -> io::Result<(Self, OsString)> {
        let name = path.file_name().ok_or_else(|| io::Error::from(Linux::ISDIR))?;
        let above = path.parent().filter(|above| *above != Path::new("")).unwrap_or(Path::new("."));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = fs::open(above, flags, Mode::empty())?;
        Ok((Self { directory, append }, name.to_owned()))
    }

    /// Opens a file of the directory for writing, or makes it; `again` says that it was open before, and goes on.
    pub fn open(&self, name: &OsStr, again: bool) -> io::Result<File> {
        let append = self.append || again;
        let safe = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let safe = if append { safe | OFlags::APPEND } else { safe };
        let mode = Mode::from_raw_mode(0o666);
        let made = fs::openat(&self.directory, name, safe | OFlags::CREATE | OFlags::EXCL, mode);
        let there = match made {
            Err(Linux::EXIST) => fs::openat(&self.directory, name, safe, Mode::empty()),
            other => return Ok(File::from(other?)),
        };
        let file = File::from(there.map_err(|error| match error {
            Linux::LOOP => refused("is a symbolic link: name the file that it leads to"),
            // Nobody reads a FIFO, or there is a socket.
            Linux::NXIO => refused(NOT_REGULAR),
            other => other.into(),
        })?);
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(refused(NOT_REGULAR));
        }
        if found.nlink() != 1 {
            return Err(refused("has another name: remove it first"));
        }
        if !append {
            file.set_len(0)?;
        }
        Ok(file)
    }
}

const NOT_REGULAR: &str = "is not a regular file: for a pipe use '|COMMAND'";

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// Opens one file for writing.
pub fn create(path: &Path, append: bool) -> io::Result<File> {
    // By its letters: what goes there and back again is not in one of them.
    if path.parent().is_some_and(|above| DEVICES.iter().any(|devices| above.as_os_str() == *devices)) {
        return File::options().write(true).append(append).open(path);
    }
    let (directory, name) = OutputDirectory::of(path, append)?;
    directory.open(&name, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn nothing_that_was_planted_is_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("victim"), "whole").unwrap();
        std::os::unix::fs::symlink("victim", at("link")).unwrap();
        std::os::unix::fs::symlink("missing", at("dangling")).unwrap();
        std::fs::hard_link(at("victim"), at("hard")).unwrap();
        fs::mkfifoat(fs::CWD, at("fifo"), Mode::RWXU).unwrap();
        std::fs::create_dir(at("directory")).unwrap();
        for append in [false, true] {
            for name in ["link", "dangling", "hard", "fifo", "directory"] {
                assert!(create(&at(name), append).is_err(), "{name}");
            }
        }
        assert_eq!(std::fs::read(at("victim")).unwrap(), b"whole");
        assert!(!at("missing").exists());
    }

    #[test]
    fn a_file_of_ours_is_emptied_or_appended_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trace");
        for (append, wanted) in [(false, "one"), (true, "oneone"), (false, "one")] {
            create(&path, append).unwrap().write_all(b"one").unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), wanted);
        }
        create(Path::new("/dev/null"), false).unwrap();
    }

    #[test]
    fn not_all_of_dev_is_the_hosts_own() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("victim", dir.path().join("link")).unwrap();
        let around = Path::new("/dev/..").join(dir.path().strip_prefix("/").unwrap()).join("link");
        assert!(create(&around, false).is_err() && !dir.path().join("victim").exists());
    }

    #[test]
    fn a_directory_that_is_moved_stays_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("own")).unwrap();
        std::fs::create_dir(at("elsewhere")).unwrap();
        let (directory, name) = OutputDirectory::of(&at("own/t"), false).unwrap();
        std::fs::rename(at("own"), at("moved")).unwrap();
        std::os::unix::fs::symlink("elsewhere", at("own")).unwrap();
        directory.open(&name, false).unwrap();
        assert!(at("moved/t").exists() && !at("elsewhere/t").exists());
    }
}
