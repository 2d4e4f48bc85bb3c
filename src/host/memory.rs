//! The door to files that exist in memory only.
//!
//! Must not know what they are for.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, memfd_create};

/// A file without a name that holds `content`; its offset is at the beginning.
pub fn file(content: &[u8]) -> io::Result<OwnedFd> {
    let file = File::from(memfd_create("bsd21", MemfdFlags::CLOEXEC)?);
    if !content.is_empty() {
        file.write_all_at(content, 0)?;
    }
    Ok(file.into())
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
