//! A volume: which descriptor describes it, where its root is, and what kind of names it has.
//!
//! 2.1 counterpart: iso_mountfs in isofs/cd9660/cd9660_vfsops.c: the first primary descriptor of sectors 16 to 99
//! counts, block sizes are powers of two from 512 to 65536, and Rock Ridge is what the root's own record announces.

use super::medium::{SECTOR, Sectors};
use super::node::Node;
use super::number::{byte, long, short};
use super::record::Record;
use super::rock_ridge::{self, Skip};
use super::{IsoError, Medium, Options};

/// First sector of the descriptors, and the first beyond those that are looked at.
const DESCRIPTORS: std::ops::Range<u64> = 16..100;
/// The type of a primary descriptor, and of what ends them.
const PRIMARY: u8 = 1;
const LAST: u8 = 255;

/// What names and attributes a volume has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// ISO 9660 alone.
    Plain,
    /// With Rock Ridge.
    RockRidge,
    /// What was before ISO 9660.
    HighSierra,
}

/// An opened volume.
#[derive(Debug)]
pub struct Volume {
    sectors: Sectors,
    pub(super) options: Options,
    pub(super) format: Format,
    pub(super) skip: Option<Skip>,
    /// Bytes of a logical block.
    pub(super) block: u32,
    /// Blocks of the volume, as it says itself.
    blocks: u32,
    name: Vec<u8>,
    /// The root's record, and where it stands.
    root: Node,
    /// Size and place of the path table.
    pub(super) path_table: (u32, u32),
    pub(super) path_table_big: u32,
}

impl Volume {
    /// Opens the volume of a medium.
    pub fn open(medium: Box<dyn Medium>, options: Options) -> Result<Self, IsoError> {
        let sectors = Sectors::new(medium)?;
        let (at, descriptor, sierra) = primary(&sectors)?;
        // High Sierra's fields stand eight bytes further on, and one table of paths has two places more.
        let shift = if sierra { 8 } else { 0 };
        let block = short(&descriptor, 128 + shift);
        if !block.is_power_of_two() || !(512..=32768).contains(&block) {
            return Err(IsoError::damaged("a block size that is no power of two from 512 to 32768", at));
        }
        let root_at = if sierra { 180 } else { 156 };
        let bytes = descriptor.get(root_at..root_at + 34).unwrap_or_default();
        let here = at + root_at as u64;
        let record = Record::parse(bytes, sierra, here)?;
        let (record, _) = record.ok_or(IsoError::damaged("no record of the root", here))?;
        let mut volume = Self {
            sectors,
            options,
            format: if sierra { Format::HighSierra } else { Format::Plain },
            skip: None,
            block: u32::from(block),
            blocks: long(&descriptor, 80 + shift),
            name: trimmed(descriptor.get(40 + shift..72 + shift).unwrap_or_default()),
            root: Node::of_root(&record, u32::from(block)),
            path_table: (long(&descriptor, 132 + shift), long(&descriptor, 140 + shift)),
            path_table_big: super::number::long_big(&descriptor, if sierra { 164 } else { 148 }),
        };
        volume.find_rock_ridge()?;
        volume.root = volume.node_of_directory(volume.root.id, None)?;
        Ok(volume)
    }

    /// The root directory.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// What names and attributes there are.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The volume's own name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Bytes of a logical block.
    pub fn block_size(&self) -> u32 {
        self.block
    }

    /// Blocks of the volume, as it says itself.
    pub fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Reads exactly `buffer` at a byte of the volume.
    pub(super) fn fill(&self, at: u64, buffer: &mut [u8]) -> Result<(), IsoError> {
        self.sectors.read(at, buffer)
    }

    /// A block.
    pub(super) fn block_at(&self, at: u64) -> Result<Vec<u8>, IsoError> {
        let mut bytes = vec![0; self.block as usize];
        self.fill(at, &mut bytes)?;
        Ok(bytes)
    }

    /// Bytes of a block, for system use areas that go on there; nothing where the block has not so many.
    pub(super) fn continuation(&self, block: u32, offset: u32, length: u32) -> Option<Vec<u8>> {
        offset.checked_add(length).filter(|&end| end <= self.block)?;
        let mut bytes = vec![0; length as usize];
        self.fill(u64::from(block) * u64::from(self.block) + u64::from(offset), &mut bytes).ok()?;
        Some(bytes)
    }

    fn find_rock_ridge(&mut self) -> Result<(), IsoError> {
        if self.format == Format::HighSierra || self.options.no_rock_ridge {
            return Ok(());
        }
        let bytes = self.block_at(self.root.id)?;
        let Some((own, _)) = Record::parse(&bytes, false, self.root.id)? else { return Ok(()) };
        self.skip = rock_ridge::announced(own.system_use, &|block, offset, length| {
            self.continuation(block, offset, length)
        });
        if self.skip.is_some() {
            self.format = Format::RockRidge;
        }
        Ok(())
    }
}

/// The first primary descriptor, where it stands, and whether it is High Sierra's.
fn primary(sectors: &Sectors) -> Result<(u64, Vec<u8>, bool), IsoError> {
    for sector in DESCRIPTORS {
        let at = sector * SECTOR;
        let mut bytes = vec![0; SECTOR as usize];
        match sectors.read(at, &mut bytes) {
            Err(IsoError::Truncated(_)) => return Err(IsoError::NotAVolume),
            other => other?,
        }
        let sierra = match (bytes.get(1..6), bytes.get(9..14)) {
            (Some(b"CD001"), _) => false,
            (_, Some(b"CDROM")) => true,
            _ => return Err(IsoError::NotAVolume),
        };
        match byte(&bytes, if sierra { 8 } else { 0 }) {
            PRIMARY => return Ok((at, bytes, sierra)),
            LAST => break,
            _ => {}
        }
    }
    Err(IsoError::NotAVolume)
}

/// A name of fixed length without the spaces behind it.
fn trimmed(name: &[u8]) -> Vec<u8> {
    let end = name.iter().rposition(|&c| c != b' ' && c != 0).map_or(0, |last| last + 1);
    name.get(..end).unwrap_or_default().to_vec()
}
