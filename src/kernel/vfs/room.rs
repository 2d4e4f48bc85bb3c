//! Room in a file system in memory: how much its files may hold.
//!
//! Files are counted by their bytes in whole fragments; holes count as what they could hold.  Who mounts memory has
//! made a file system in it, whose first block says how large that is; where there is none the size that is given
//! counts.
//!
//! Must not know guest memory.  2.1 counterpart: ufs/mfs, ffs_alloc and ffs_statfs of ufs/ffs.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use syscalls::Errno;

use super::Vfs;
use super::mount::Mount;
use super::vnode::VnodeId;
use crate::host::change::HostSpace;

/// Where the first block of a file system lies, and how much of it is looked at (SBOFF).
pub(super) const SUPER_BLOCK: u32 = 8192;
pub(super) const SUPER_SIZE: usize = 1376;
/// What that block ends with (FS_MAGIC).
const MAGIC: u32 = 0x01_1954;
/// Unit in which files are counted where nothing says otherwise, and bytes for each inode.
const FRAGMENT: u64 = 1024;
const BYTES_PER_INODE: u64 = 4 * FRAGMENT;

/// What a file system in memory may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Bytes of a fragment.
    fragment: u64,
    /// Fragments in all, and those that were free when it was mounted.
    blocks: u64,
    free: u64,
    /// Fragments that statfs does not tell ordinary users of.
    reserved: u64,
    /// Inodes in all, and those that were free.
    files: u64,
    files_free: u64,
}

impl Size {
    /// The size that the first block of a file system tells, if it is one.
    pub(super) fn of_super_block(block: &[u8]) -> Option<Self> {
        let field = |at: usize| {
            let bytes = block.get(at..at + 4)?.try_into().ok()?;
            Some(u64::from(u32::from_le_bytes(bytes)))
        };
        if field(1372)? != u64::from(MAGIC) {
            return None;
        }
        let (dsize, groups, fsize, frag, minfree) =
            (field(40)?, field(44)?, field(52)?, field(56)?, field(60)?);
        let (per_group, blocks_free, files_free, fragments_free) =
            (field(184)?, field(196)?, field(200)?, field(204)?);
        let sane = (512..=8192).contains(&fsize) && (1..=8).contains(&frag) && minfree <= 100;
        let files = groups.saturating_mul(per_group).saturating_sub(2);
        sane.then(|| Self {
            fragment: fsize,
            blocks: dsize,
            free: (blocks_free * frag + fragments_free).min(dsize),
            reserved: dsize * minfree / 100,
            files,
            files_free: files_free.min(files),
        })
    }

    /// A file system that takes so many bytes.
    pub(super) fn of_bytes(bytes: u64) -> Self {
        let (blocks, files) = (bytes / FRAGMENT, bytes / BYTES_PER_INODE);
        Self { fragment: FRAGMENT, blocks, free: blocks, reserved: 0, files, files_free: files }
    }
}

/// How much is in a file system in memory.
#[derive(Clone, Debug)]
pub struct Room {
    size: Size,
    /// Fragments of each file, by device and inode of the host.
    files: RefCell<HashMap<(u64, u64), u64>>,
    /// Fragments of all of them.
    used: Cell<u64>,
}

impl Room {
    pub(super) fn new(size: Size) -> Self {
        Self { size, files: RefCell::default(), used: Cell::new(0) }
    }

    /// How many of the bytes from `from` to `end` can be written to a file.
    fn fits(&self, file: (u64, u64), from: u64, end: u64) -> u64 {
        let fragment = self.size.fragment;
        let has = self.files.borrow().get(&file).copied().unwrap_or(0);
        let free = self.size.free.saturating_sub(self.used.get());
        let most = has.saturating_add(free).saturating_mul(fragment);
        end.min(most).saturating_sub(from)
    }

    /// A file ends there now.
    fn ends(&self, file: (u64, u64), end: u64, shrinks: bool) {
        let fragments = end.div_ceil(self.size.fragment);
        let mut files = self.files.borrow_mut();
        let has = files.entry(file).or_insert(0);
        let now = if shrinks { fragments } else { fragments.max(*has) };
        self.used.set(self.used.get().saturating_sub(*has).saturating_add(now));
        *has = now;
    }

    /// A file is gone.
    pub(super) fn forget(&self, file: (u64, u64)) {
        if let Some(had) = self.files.borrow_mut().remove(&file) {
            self.used.set(self.used.get().saturating_sub(had));
        }
    }

    /// What statfs tells.
    pub(super) fn space(&self) -> HostSpace {
        let Size { fragment, blocks, free, reserved, files, files_free } = self.size;
        let left = free.saturating_sub(self.used.get());
        HostSpace {
            block_size: fragment,
            blocks,
            free: left,
            available: left.saturating_sub(reserved),
            files,
            files_free: files_free.saturating_sub(self.files.borrow().len() as u64),
        }
    }
}

impl Vfs {
    /// The room of the file system that a file is in, if that is limited, and what the file is known by.
    fn room_of(&self, id: VnodeId) -> Option<(&Room, (u64, u64))> {
        let id = self.shown(id).unwrap_or(id);
        let Mount { room, .. } = self.mount_of(id);
        let node = self.vnodes[id].host()?;
        Some((room.as_ref()?, (node.dev, node.ino)))
    }

    /// How many of so many bytes can be written to a file at an offset.
    pub(super) fn room_for(&self, id: VnodeId, offset: u64, length: usize) -> usize {
        match self.room_of(id) {
            Some((room, file)) => {
                let most = room.fits(file, offset, offset.saturating_add(length as u64));
                usize::try_from(most).unwrap_or(length).min(length)
            }
            None => length,
        }
    }

    /// A file may be made as long as this, or is refused.
    pub(super) fn room_to_end(&self, id: VnodeId, end: u64) -> Result<(), Errno> {
        match self.room_of(id) {
            Some((room, file)) if room.fits(file, 0, end) < end => Err(Errno::ENOSPC),
            _ => Ok(()),
        }
    }

    /// A file was written up to there, or cut off there.
    pub(super) fn takes_room(&self, id: VnodeId, end: u64, shrinks: bool) {
        if let Some((room, file)) = self.room_of(id) {
            room.ends(file, end, shrinks);
        }
    }

    /// A further file can be made in a directory.
    pub(super) fn room_for_file(&self, directory: VnodeId) -> Result<(), Errno> {
        match self.room_of(directory) {
            Some((room, _)) if room.space().files_free == 0 => Err(Errno::ENOSPC),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_or_gone_can_be_written_again() {
        let room = Room::new(Size::of_bytes(10 << 10));
        assert_eq!(room.fits((1, 2), 0, 20 << 10), 10 << 10);
        room.ends((1, 2), 8 << 10, false);
        assert_eq!(room.fits((1, 3), 0, 4 << 10), 2 << 10);
        assert_eq!(room.fits((1, 2), 0, 10 << 10), 10 << 10, "its own blocks are there");
        room.ends((1, 2), 1, true);
        assert_eq!((room.space().free, room.space().blocks), (9, 10));
        room.forget((1, 2));
        assert_eq!(room.space().free, 10);
    }

    #[test]
    fn a_first_block_tells_the_size() {
        let mut block = vec![0; SUPER_SIZE];
        let fields =
            [(40, 1000), (44, 2), (52, 1024), (56, 8), (60, 10), (184, 64), (196, 100), (200, 120), (204, 7)];
        for (at, value) in fields.into_iter().chain([(1372, MAGIC)]) {
            block[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        let size = Size::of_super_block(&block).expect("a file system");
        let expected =
            Size { fragment: 1024, blocks: 1000, free: 807, reserved: 100, files: 126, files_free: 120 };
        assert_eq!(size, expected);
        assert_eq!(Size::of_super_block(&block[..1372]), None);
    }
}
