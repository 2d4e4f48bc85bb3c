//! Files and directories of a volume: what they are, what is in them.
//!
//! A [`Node`] is a value and holds nothing open.  Its number is the byte of the volume where a directory's data, or a
//! file's record, begins, as 2.1's inode numbers are.
//!
//! 2.1 counterpart: iso_iget, cd9660_defattr and cd9660_deftstamp in isofs/cd9660/cd9660_node.c, cd9660_lookup.c,
//! cd9660_readdir in cd9660_vnops.c.

use super::number::{byte, short_big};
use super::record::{ASSOCIATED, CONTINUED, DIRECTORY, Record};
use super::rock_ridge::{self, Said};
use super::volume::{Format, Volume};
use super::{IsoError, stamp};

/// Largest directory that is read.
const LARGEST_DIRECTORY: u32 = 32 << 20;
/// Most records of one file.
const MOST_EXTENTS: usize = 4096;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A character device.
    Character,
    /// A block device.
    Block,
    /// A FIFO.
    Fifo,
    /// A name of a socket.
    Socket,
}

/// Who owns a file, where the volume says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// What a volume says of a file (`struct vattr`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, set-id bits included; read and execute for all where the volume has none.
    pub mode: u16,
    /// Who owns it; the super-user where the volume does not say.
    pub owner: Owned,
    /// Number of names.
    pub links: u32,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970: when it was changed.
    pub mtime: i64,
    /// When it was last looked at.
    pub atime: i64,
    /// When its attributes were changed.
    pub ctime: i64,
    /// The device, in 2.1's form.
    pub rdev: u32,
}

/// Where bytes of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    at: u64,
    length: u64,
}

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub id: u64,
    /// What the volume says of it.
    pub attributes: Attributes,
    /// The text, if it is a symbolic link.
    pub link: Option<Vec<u8>>,
    extents: Vec<Extent>,
    serial: Option<u32>,
    interleaved: bool,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name: one component, never `.` or `..`.
    pub name: Vec<u8>,
    /// The file.
    pub node: Node,
}

impl Node {
    /// The root as the descriptor has it; only its place is used.
    pub(super) fn of_root(record: &Record<'_>, block: u32) -> Self {
        let at = place(record, block);
        let owner = Owned { uid: 0, gid: 0 };
        let attributes = Attributes {
            kind: Kind::Directory,
            mode: 0o555,
            owner,
            links: 1,
            size: u64::from(record.size),
            mtime: 0,
            atime: 0,
            ctime: 0,
            rdev: 0,
        };
        let extents = vec![Extent { at, length: u64::from(record.size) }];
        Self { id: at, attributes, link: None, extents, serial: None, interleaved: false }
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.attributes.kind == Kind::Directory
    }

    /// What two names of one file have in common: the number that RRIP 1.12 gives it, or else the place and size of
    /// its bytes.  Only for regular files that say of themselves that they have several names.
    pub fn shared(&self) -> Option<(u64, u64)> {
        let first = self.extents.first()?;
        if self.attributes.kind != Kind::File || self.attributes.links < 2 {
            return None;
        }
        match self.serial {
            Some(serial) if serial != 0 => Some((u64::from(serial), u64::MAX)),
            _ => (self.attributes.size > 0).then_some((first.at, self.attributes.size)),
        }
    }
}

/// Where the data of a record begins.
fn place(record: &Record<'_>, block: u32) -> u64 {
    (u64::from(record.extent) + u64::from(record.attribute_blocks)) * u64::from(block)
}

impl Volume {
    /// The entry `name` of a directory, without `.` and `..`.
    pub fn look_up(&self, directory: &Node, name: &[u8]) -> Result<Option<Node>, IsoError> {
        let mut found = None;
        self.scan(directory, &mut |record, own, node| {
            let matches = match own {
                Some(own) => own == name,
                None => record.answers_to(name),
            };
            if matches {
                found = Some(node()?);
            }
            Ok(!matches)
        })?;
        Ok(found)
    }

    /// The entries of a directory, without `.` and `..`, in the order of the medium.
    pub fn read_dir(&self, directory: &Node) -> Result<Vec<Entry>, IsoError> {
        let mut entries: Vec<Entry> = Vec::new();
        let original = self.options.generations && self.format == Format::Plain;
        self.scan(directory, &mut |record, own, node| {
            let name = own.map_or_else(|| record.shown(original), <[u8]>::to_vec);
            // Of several versions the first one is the highest.
            if entries.last().is_none_or(|last| last.name != name) {
                entries.push(Entry { name, node: node()? });
            }
            Ok(true)
        })?;
        if let Some(wrong) = entries.iter().find(|entry| !is_component(&entry.name)) {
            return Err(IsoError::damaged("a name that no file can have", wrong.node.id));
        }
        Ok(entries)
    }

    /// Reads bytes of a file at `offset`; less than asked for only at its end.
    pub fn read(&self, node: &Node, offset: u64, buffer: &mut [u8]) -> Result<usize, IsoError> {
        if node.interleaved {
            return Err(IsoError::damaged("an interleaved file, which is not read", node.id));
        }
        let mut skipped = offset;
        let mut done = 0;
        for extent in &node.extents {
            if skipped >= extent.length {
                skipped -= extent.length;
                continue;
            }
            let rest = buffer.get_mut(done..).unwrap_or_default();
            let here = usize::try_from(extent.length - skipped).unwrap_or(usize::MAX).min(rest.len());
            self.fill(extent.at.saturating_add(skipped), rest.get_mut(..here).unwrap_or_default())?;
            (done, skipped) = (done + here, 0);
        }
        Ok(done)
    }

    /// Goes through the records of a directory: each with the name that Rock Ridge gives it and a way to its node,
    /// until `visit` has seen enough.
    fn scan(&self, directory: &Node, visit: Visit<'_>) -> Result<(), IsoError> {
        let Some(extent) = directory.extents.first().filter(|_| directory.is_directory()) else {
            return Err(IsoError::NotADirectory);
        };
        let end = u64::from(self.measured(extent)?);
        let sierra = self.format == Format::HighSierra;
        let block = u64::from(self.block);
        // The records of a file so far, where it has several.
        let mut before: Option<(u64, Vec<Extent>)> = None;
        for start in (0..end).step_by(self.block as usize) {
            let mut bytes = self.block_at(extent.at + start)?;
            bytes.truncate(usize::try_from((end - start).min(block)).unwrap_or(0));
            let mut at = 0;
            while let Some(rest) = bytes.get(at..) {
                let here = extent.at + start + at as u64;
                let Some((record, length)) = Record::parse(rest, sierra, here)? else { break };
                at += length;
                if record.is_dot() {
                    continue;
                }
                let (first, mut extents) = before.take().unwrap_or((here, Vec::new()));
                extents.push(Extent { at: place(&record, self.block), length: u64::from(record.size) });
                if record.is(CONTINUED) && !record.is(DIRECTORY) {
                    if extents.len() >= MOST_EXTENTS {
                        return Err(IsoError::damaged("a file in more than 4096 pieces", here));
                    }
                    before = Some((first, extents));
                    continue;
                }
                let said = self.said(&record, false);
                if said.as_ref().is_some_and(|said| said.relocated) {
                    continue;
                }
                let own = said.as_ref().map(|said| match &said.name {
                    Some(name) => name.clone(),
                    None => record.shown(true),
                });
                let node = || self.node(&record, said.as_ref(), first, extents.clone());
                if !visit(&record, own.as_deref(), &node)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The size of a directory's data.
    fn measured(&self, extent: &Extent) -> Result<u32, IsoError> {
        let size = u32::try_from(extent.length).ok().filter(|&size| size <= LARGEST_DIRECTORY);
        size.ok_or(IsoError::damaged("a directory of more than 32 megabytes", extent.at))
    }

    /// What Rock Ridge says of a record, if there is any; `first` for the root's own.
    fn said(&self, record: &Record<'_>, first: bool) -> Option<Said> {
        let skip = self.skip?;
        let skip = if first { skip.first } else { skip.others };
        let area = record.system_use.get(skip..).unwrap_or_default();
        let more = |block, offset, length| self.continuation(block, offset, length);
        Some(rock_ridge::read(area, &more, &self.options))
    }

    fn node(
        &self,
        record: &Record<'_>,
        said: Option<&Said>,
        first: u64,
        extents: Vec<Extent>,
    ) -> Result<Node, IsoError> {
        if let Some(block) = said.and_then(|said| said.child) {
            return self.node_of_directory(u64::from(block) * u64::from(self.block), Some(first));
        }
        let mut node = self.described(record, said, extents)?;
        if !node.is_directory() {
            node.id = first;
        }
        Ok(node)
    }

    /// The directory whose data is at a byte of the volume, by what its own record says: the root, and those that
    /// stand elsewhere than where they belong.
    pub(super) fn node_of_directory(&self, at: u64, link: Option<u64>) -> Result<Node, IsoError> {
        let bytes = self.block_at(at)?;
        let record = Record::parse(&bytes, self.format == Format::HighSierra, at)?;
        let (record, _) = record
            .filter(|(record, _)| record.is_dot() && record.is(DIRECTORY))
            .ok_or(IsoError::damaged("no directory where one should be", link.unwrap_or(at)))?;
        let said = self.said(&record, link.is_none());
        let extents = vec![Extent { at, length: u64::from(record.size) }];
        let mut node = self.described(&record, said.as_ref(), extents)?;
        node.id = at;
        Ok(node)
    }

    fn described(
        &self,
        record: &Record<'_>,
        said: Option<&Said>,
        extents: Vec<Extent>,
    ) -> Result<Node, IsoError> {
        let directory = record.is(DIRECTORY);
        let mut attributes = self.plain(record, directory)?;
        attributes.size = extents.iter().map(|extent| extent.length).sum();
        let mut link = None;
        if let Some(said) = said {
            if let Some([mode, links, uid, gid]) = said.posix {
                attributes.mode = (mode & 0o7777) as u16;
                attributes.kind = kind(mode, directory);
                attributes.links = links;
                attributes.owner = Owned { uid, gid };
            }
            if let Some(times) = said.times {
                let [mtime, atime, ctime] = times.map(|time| time.unwrap_or(0));
                (attributes.mtime, attributes.atime, attributes.ctime) = (mtime, atime, ctime);
            }
            if let (Kind::Character | Kind::Block, Some(device)) = (attributes.kind, said.device) {
                attributes.rdev = rdev(device);
            }
            match attributes.kind {
                Kind::Link => {
                    let text = said.link.clone();
                    link = Some(text.ok_or(IsoError::damaged(
                        "a symbolic link without a text",
                        place(record, self.block),
                    ))?);
                    attributes.size = link.as_ref().map_or(0, |text| text.len() as u64);
                }
                Kind::File | Kind::Directory => {}
                _ => attributes.size = 0,
            }
        }
        let id = extents.first().map_or(0, |extent| extent.at);
        let serial = said.and_then(|said| said.serial);
        let interleaved = attributes.kind == Kind::File && (record.unit != 0 || record.gap != 0);
        Ok(Node { id, attributes, link, extents, serial, interleaved })
    }

    /// What ISO 9660 itself says: a date, and with the option extended attributes.
    fn plain(&self, record: &Record<'_>, directory: bool) -> Result<Attributes, IsoError> {
        let kind = if directory { Kind::Directory } else { Kind::File };
        let date = stamp::short(record.date, self.format != Format::HighSierra).unwrap_or(0);
        let owner = Owned { uid: 0, gid: 0 };
        let mut attributes = Attributes {
            kind,
            mode: 0o555,
            owner,
            links: 1,
            size: 0,
            mtime: date,
            atime: date,
            ctime: date,
            rdev: 0,
        };
        let wanted = self.options.extended_attributes && self.format == Format::Plain;
        if wanted && record.attribute_blocks > 0 && !record.is(ASSOCIATED) {
            let block = self.block_at(u64::from(record.extent) * u64::from(self.block))?;
            if byte(&block, 180) == 1 {
                extended(&block, &mut attributes);
            }
        }
        Ok(attributes)
    }
}

/// Who visits a directory: the record, the name that Rock Ridge gives, and how the node is had.
type Visit<'v> = &'v mut dyn FnMut(
    &Record<'_>,
    Option<&[u8]>,
    &dyn Fn() -> Result<Node, IsoError>,
) -> Result<bool, IsoError>;

/// Whether a name is one component of a path.
fn is_component(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|c| matches!(c, b'/' | 0))
}

/// What the mode's type is; what is a directory for ISO 9660 is one for everybody, and nothing else is.
fn kind(mode: u32, directory: bool) -> Kind {
    match mode & 0o170_000 {
        _ if directory => Kind::Directory,
        0o120_000 => Kind::Link,
        0o020_000 => Kind::Character,
        0o060_000 => Kind::Block,
        0o010_000 => Kind::Fifo,
        0o140_000 => Kind::Socket,
        _ => Kind::File,
    }
}

/// 2.1's number of a device (`cd9660_rrip_device`): major in bits 8 to 15, minor in the others.
fn rdev([high, low]: [u32; 2]) -> u32 {
    match high {
        0 => low,
        major => major << 8 | low & 0xffff_00ff,
    }
}

/// Permissions, owners and times of an extended attribute record (9.5).
fn extended(block: &[u8], attributes: &mut Attributes) {
    let permissions = short_big(block, 8);
    // A bit that is 0 allows.
    let bits = [(14, 0o001), (12, 0o004), (10, 0o010), (8, 0o040), (6, 0o100), (4, 0o400)];
    attributes.mode = bits.iter().filter(|(bit, _)| permissions >> bit & 1 == 0).map(|(_, mode)| mode).sum();
    attributes.owner = Owned {
        uid: u32::from(super::number::short(block, 0)),
        gid: u32::from(super::number::short(block, 4)),
    };
    let time = |at: usize| block.get(at..).and_then(stamp::long);
    let created = time(10);
    attributes.atime = time(61).or(created).unwrap_or(0);
    attributes.ctime = created.unwrap_or(attributes.atime);
    attributes.mtime = time(27).unwrap_or(attributes.ctime);
}
