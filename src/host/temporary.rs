//! A directory of the guest's own on the host, made when it is first used and removed at the end.
//!
//! Making and removing one costs more than many a guest's run, and most guests never look.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{self, Access};
use tempfile::TempDir;

use super::error::{HostError, HostResult};
use super::tree;

/// A directory that is removed when it is dropped, however deep what is in it and whatever its permissions.
#[derive(Debug)]
pub struct Directory(Option<TempDir>);

impl Directory {
    /// Makes a directory in another one, with a name that begins so.
    pub fn new(prefix: &str, above: &Path) -> io::Result<Self> {
        tempfile::Builder::new().prefix(prefix).tempdir_in(above).map(|made| Self(Some(made)))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.as_ref().map_or(Path::new(""), TempDir::path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Some(made) = self.0.take() {
            // What cannot be removed is left to the host's own cleaning.
            let _ = tree::remove(&made.keep());
        }
    }
}

/// Makes a directory for a guest.
pub fn directory(above: &Path) -> io::Result<Directory> {
    Directory::new("bsd21-", above)
}

/// The place for a temporary directory, and the directory once somebody has used it.
#[derive(Clone, Debug)]
pub struct Temporary {
    above: PathBuf,
    made: Option<Rc<Directory>>,
}

impl Temporary {
    /// A directory to be made in `above`; fails where that cannot be done as far as one can see.
    pub fn new(above: PathBuf) -> HostResult<Self> {
        fs::access(&above, Access::WRITE_OK | Access::EXEC_OK)?;
        Ok(Self { above, made: None })
    }

    /// Where it is going to be made.
    pub fn above(&self) -> &Path {
        &self.above
    }

    /// The directory, which is made now if it is not there.
    pub fn path(&mut self) -> HostResult<&Path> {
        let made = match self.made.take() {
            Some(made) => made,
            None => Rc::new({
                super::change::note();
                directory(&self.above).map_err(|e| HostError::of_io(&e))?
            }),
        };
        Ok(self.made.insert(made).path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_made_before_it_is_used_and_nothing_is_left() {
        let above = tempfile::tempdir().expect("a directory");
        let entries = || std::fs::read_dir(above.path()).expect("it can be read").count();
        let mut own = Temporary::new(above.path().to_owned()).expect("entries can be made");
        assert_eq!(entries(), 0);
        let path = own.path().expect("it is made").to_owned();
        assert_eq!((own.path().expect("it is there"), entries()), (path.as_path(), 1));
        drop(own);
        assert_eq!(entries(), 0);
        assert!(Temporary::new(above.path().join("missing")).is_err());
    }
}
