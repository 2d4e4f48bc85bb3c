//! The door to files that exist in memory only, and for a moment.
//!
//! Must not know what they are for.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, MemfdFlags, access, fstat, memfd_create, statvfs};

/// Free bytes that a file system in memory must have to be used.
const ROOM: u64 = 2 << 30;

/// Where small files that live for a moment are made and removed fastest: in memory where there is room,
/// else, or where TMPDIR names a place, in the usual place.
pub fn directory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let roomy = || statvfs(memory).is_ok_and(|s| s.f_bavail.saturating_mul(s.f_frsize) >= ROOM);
    let ours = || access(memory, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    match std::env::var_os("TMPDIR").is_none() && roomy() && ours() {
        true => memory.to_owned(),
        false => std::env::temp_dir(),
    }
}

/// A file without a name that holds `content`; its offset is at the beginning.
pub fn file(content: &[u8]) -> io::Result<OwnedFd> {
    let file = File::from(memfd_create("bsd21", MemfdFlags::CLOEXEC)?);
    if !content.is_empty() {
        file.write_all_at(content, 0)?;
    }
    Ok(file.into())
}

/// A file without a name on the host's disk, in a directory.
pub fn unnamed(above: &Path) -> io::Result<OwnedFd> {
    tempfile::tempfile_in(above).map(OwnedFd::from)
}

/// Device and inode number of a file.
pub fn identity(fd: &OwnedFd) -> io::Result<(u64, u64)> {
    let stat = fstat(fd)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// The size of a file.
pub fn length(fd: &OwnedFd) -> io::Result<u64> {
    Ok(u64::try_from(fstat(fd)?.st_size).unwrap_or(0))
}

/// All bytes of a file, whatever its offset.
pub fn content(fd: &OwnedFd) -> io::Result<Vec<u8>> {
    let file = File::from(fd.try_clone()?);
    let mut content = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(0)];
    file.read_exact_at(&mut content, 0)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_was_put_in_comes_out_from_any_offset() {
        let fd = file(b"abc").unwrap();
        let mut other = File::from(fd.try_clone().unwrap());
        other.write_all(b"xy").unwrap();
        assert_eq!(content(&fd).unwrap(), b"xyc");
    }
}
