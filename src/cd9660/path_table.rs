//! The path table (6.9, 9.4): all directories in one list, each with the number of the one above it.
//!
//! 2.1 goes by the records of directories alone; the table tells who installs from a medium whether any directory was
//! missed.

use super::IsoError;
use super::number::{byte, long, long_big, short, short_big};
use super::volume::{Format, Volume};

/// Largest table that is read.
const LARGEST: u32 = 8 << 20;

/// A directory of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Its number, as a [`Node`](super::Node)'s.
    pub id: u64,
    /// Its name as it is written; the root's is one byte 0.
    pub name: Vec<u8>,
    /// The place in the table of the directory above, the first being 0; the root's own is its own.
    pub above: usize,
}

impl Volume {
    /// All directories, the root first; none comes before the one above it.
    pub fn path_table(&self) -> Result<Vec<Directory>, IsoError> {
        let (size, little) = self.path_table;
        let (first, big) = if little == 0 { (self.path_table_big, true) } else { (little, false) };
        let at = u64::from(first) * u64::from(self.block_size());
        if size > LARGEST {
            return Err(IsoError::damaged("a path table of more than 8 megabytes", at));
        }
        let mut bytes = vec![0; size as usize];
        self.fill(at, &mut bytes)?;
        let mut found = Vec::new();
        let mut rest = bytes.as_slice();
        // High Sierra has the block first and the length of the name behind it.
        let sierra = self.format() == Format::HighSierra;
        while rest.len() > 8 {
            let length = usize::from(byte(rest, if sierra { 5 } else { 0 }));
            let extra = byte(rest, if sierra { 4 } else { 1 });
            let block = if big { long_big(rest, 2) } else { long(rest, if sierra { 0 } else { 2 }) };
            let above = usize::from(if big { short_big(rest, 6) } else { short(rest, 6) });
            let Some(name) = rest.get(8..8 + length).filter(|name| !name.is_empty()) else { break };
            let above = above.checked_sub(1).filter(|&above| above <= found.len());
            let above = above.ok_or(IsoError::damaged("a path table that is out of order", at))?;
            let id = (u64::from(block) + u64::from(extra)) * u64::from(self.block_size());
            found.push(Directory { id, name: name.to_vec(), above });
            rest = rest.get(8 + length + length % 2..).unwrap_or_default();
        }
        Ok(found)
    }
}
