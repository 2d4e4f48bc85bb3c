//! A reader of CD-ROM file systems: ISO 9660 (ECMA-119), High Sierra, and Rock Ridge (RRIP 1.09 to 1.12).
//!
//! A [`Volume`] is opened over a [`Medium`]; from its [`root`](Volume::root) on, [`look_up`](Volume::look_up),
//! [`read_dir`](Volume::read_dir) and [`read`](Volume::read) lead to everything on it, and each [`Node`] carries its
//! attributes, its extents and the text of a symbolic link.
//!
//! Media are hostile: every number is checked against what is there, every list has an end, and nothing here
//! panics or loops for ever, whatever the bytes are.  A directory may lead to itself; who walks a tree keeps count.
//!
//! | file | idea |
//! |---|---|
//! | [`medium`] | sectors of a file, of raw 2352-byte images too |
//! | `number`, `stamp` | numbers and times as the standard writes them |
//! | `volume` | volume descriptors, the root |
//! | `path_table` | the table of all directories |
//! | `record` | one directory record, its names |
//! | `rock_ridge` | what the system use area says |
//! | `node` | directories and files: looking up, listing, reading |
//!
//! Must not know vnodes, mounts or who asks.
//!
//! 2.1 counterpart: isofs/cd9660/*.c.  Beyond it: files of several extents, path tables, continuation areas of more
//! than a block, serial numbers of RRIP 1.12.

pub mod medium;
mod node;
mod number;
mod path_table;
mod record;
mod rock_ridge;
mod stamp;
#[cfg(test)]
mod tests;
mod volume;

use std::io;

pub use medium::Medium;
pub use node::{Attributes, Entry, Kind, Node, Owned};
pub use path_table::Directory;
pub use volume::{Format, Volume};

/// How a volume is shown: the options of mount_cd9660.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Names and attributes of Rock Ridge are not looked at (`-r`).
    pub no_rock_ridge: bool,
    /// Extended attributes are looked at where there is no Rock Ridge (`-e`).
    pub extended_attributes: bool,
    /// All versions of files are shown, under their names as written (`-g`).
    pub generations: bool,
    /// The guest's name of the root, for links that begin at the volume's root.
    pub mounted_on: Vec<u8>,
    /// The guest's host name, for names that ask for it.
    pub host_name: Vec<u8>,
}

/// Why something of a volume cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum IsoError {
    /// no ISO 9660 or High Sierra volume
    #[error("no ISO 9660 or High Sierra volume")]
    NotAVolume,
    /// Something is not as the standard has it, at this byte of the volume.
    #[error("damaged at sector {}: {what}", at / 2048)]
    Damaged {
        /// What is wrong.
        what: &'static str,
        /// Where, in bytes from the beginning of the volume.
        at: u64,
    },
    /// The medium ends before this byte.
    #[error("the image ends before sector {}: it is truncated", .0 / 2048)]
    Truncated(u64),
    /// not a directory
    #[error("not a directory")]
    NotADirectory,
    /// The host could not read.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl IsoError {
    fn damaged(what: &'static str, at: u64) -> Self {
        Self::Damaged { what, at }
    }
}
