//! Directories of the host that a guest is given, and where what it changes goes.

use std::path::PathBuf;

/// A directory of the host that the guest sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The directory.
    pub host: PathBuf,
    /// Where the guest sees it; absolute.
    pub guest: Vec<u8>,
    /// The guest cannot change it.
    pub read_only: bool,
}

/// Where the changes of a root go that is not to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Nowhere: they are forgotten when the run ends.
    Forgotten,
    /// Into an overlay in this directory, which is made if it is not there.
    Kept(PathBuf),
}

/// A directory of the host that the guest may mount as a file system of the disk `/dev/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The name of the disk, such as `sd1a`.
    pub name: String,
    /// The directory.
    pub host: PathBuf,
    /// Nothing may be changed in it.
    pub read_only: bool,
}
