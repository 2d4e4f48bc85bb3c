//! Directories as 2.1 stores them: blocks of 512 bytes made of what the host's directory holds.
//!
//! The host is asked when the beginning is read; where the entries lie is [`dirslots`](super::dirslots)'s
//! business, so that offsets stay what they were while entries come and go (rm -r removes as it reads).
//!
//! Must not know guest memory.  2.1 counterpart: ufs/ufs/dir.h, ufs_readdir, sys/dirent.h.

use syscalls::Errno;

use super::Vfs;
use super::vnode::{VnodeId, Vtype};
use crate::host::fs::HostKind;

/// Bytes of a block; no entry crosses its end (DIRBLKSIZ).
pub const DIRBLKSIZ: usize = 512;
/// Bytes of an entry before its name.
pub(super) const HEADER: usize = 8;

/// A directory of the host on which something is mounted, as device and inode, and the number that it shows.
type Covered = ((u64, u64), u32);

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The inode number that stat shows, too.
    pub fileno: u32,
    /// The type (DT_*); 0 if nobody knows.
    pub kind: u8,
    /// The name.
    pub name: Vec<u8>,
}

/// Lays entries out as a directory file: every block is filled by its records to the last byte.
pub fn blocks(entries: &[Entry]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut last = 0;
    for entry in entries {
        let size = record_size(entry.name.len());
        let used = file.len() % DIRBLKSIZ;
        if used != 0 && used + size > DIRBLKSIZ {
            stretch(&mut file, last);
        }
        last = file.len();
        file.extend_from_slice(&entry.fileno.to_le_bytes());
        file.extend_from_slice(&(size as u16).to_le_bytes());
        file.push(entry.kind);
        file.push(entry.name.len() as u8);
        file.extend_from_slice(&entry.name);
        file.resize(last + size, 0);
    }
    if !file.len().is_multiple_of(DIRBLKSIZ) {
        stretch(&mut file, last);
    }
    file
}

/// Bytes of the record of a name: header, name and zero byte, in fours (DIRSIZ).
pub(super) fn record_size(name: usize) -> usize {
    HEADER + (name + 1).next_multiple_of(4)
}

/// Lets the last record reach the end of its block.
fn stretch(file: &mut Vec<u8>, last: usize) {
    let end = file.len().next_multiple_of(DIRBLKSIZ);
    let size = ((end - last) as u16).to_le_bytes();
    if let Some(field) = file.get_mut(last + 4..last + 6) {
        field.copy_from_slice(&size);
    }
    file.resize(end, 0);
}

/// Makes the records of a block list what programs older than 4.4BSD read: a 16-bit name length where the
/// type and the length are now.
pub fn to_old_form(blocks: &mut [u8]) -> Result<(), Errno> {
    let mut at = 0;
    while let Some(header) = blocks.get_mut(at..at + HEADER) {
        let size = usize::from(u16::from_le_bytes([header[4], header[5]]));
        header[6] = header[7];
        header[7] = 0;
        if size == 0 {
            return Err(Errno::EIO);
        }
        at += size;
    }
    Ok(())
}

impl Vfs {
    /// The entries of a directory, `.` and `..` first, grafts among the host's, sorted by name.
    pub fn read_directory(&mut self, id: VnodeId) -> Result<Vec<Entry>, Errno> {
        if let Some(shown) = self.shown(id) {
            // Who wants the names of both layers reads one behind the other.
            return self.read_directory(shown);
        }
        if let super::Body::Process(node) = self.vnodes[id].body {
            return Ok(self.process_entries(node));
        }
        if let super::Body::Disc(_) = self.vnodes[id].body {
            return self.disc_entries(id);
        }
        if let super::Body::Kernel(_) = self.vnodes[id].body {
            return Ok(Self::kernel_entries());
        }
        if self.is_removed(id) {
            return Ok(Vec::new());
        }
        match self.list(id) {
            Err(Errno::ENFILE) => {
                self.give_back(id);
                self.list(id)
            }
            result => result,
        }
    }

    fn list(&mut self, id: VnodeId) -> Result<Vec<Entry>, Errno> {
        let parent = self.parent_number(id)?;
        let own = self.file_number(id)?;
        let mut entries = vec![entry(own, Vtype::Dir, b"."), entry(parent, Vtype::Dir, b"..")];
        let grafts: Vec<(Vec<u8>, VnodeId)> =
            self.vnodes[id].grafts.iter().map(|(name, &child)| (name.clone(), child)).collect();
        for (name, child) in &grafts {
            let fileno = self.visible_number(*child)?;
            entries.push(entry(fileno, self.vnodes[*child].kind, name));
        }
        let covered = self.covered_in(id)?;
        let hides_own = self.is_own(id, super::keep::OWN_DIRECTORY);
        let Vfs { mounts, vnodes, identities, reads, .. } = self;
        let vnode = &vnodes[id];
        if let Some(node) = vnode.host() {
            let unit = mounts[vnode.mount.0].unit;
            let there = node.place.entries()?;
            if let Some(reads) = reads.as_ref().filter(|reads| reads.wants_names()) {
                reads.met_in(node.place.below_path(), &there);
            }
            for found in there {
                if vnode.grafts.contains_key(&found.name) || found.name.len() > super::namei::NAME_MAX {
                    continue;
                }
                if hides_own && found.name == super::keep::OWN_DIRECTORY {
                    continue;
                }
                let mounted = covered.iter().find(|(key, _)| *key == (found.dev, found.ino));
                let fileno = match mounted {
                    Some((_, number)) => *number,
                    None => identities.of_host(unit, found.dev, found.ino).1,
                };
                let kind = vtype(found.kind).map_or(0, Vtype::dirent_type);
                entries.push(Entry { fileno, kind, name: found.name });
            }
            if let Some(named) = entries.get_mut(2..) {
                named.sort_by(|a, b| a.name.cmp(&b.name));
            }
        }
        Ok(entries)
    }

    /// Links of a directory: 2 and one for each visible directory in it, which fts counts on.
    pub(super) fn directory_links(&self, id: VnodeId, host: u16) -> u16 {
        let vnode = &self.vnodes[id];
        let is_dir = |&child: &VnodeId| self.vnodes[child].kind == Vtype::Dir;
        let grafted = vnode.grafts.values().filter(|child| is_dir(child)).count();
        let counted = match vnode.host() {
            None => 2,
            // Zero: the directory was removed.  One: this file system of the host does not count.
            Some(_) if host != 1 => usize::from(host),
            Some(node) => {
                let entries = node.place.entries().unwrap_or_default();
                2 + entries.iter().filter(|entry| entry.kind == HostKind::Directory).count()
            }
        };
        let hidden = usize::from(self.is_own(id, super::keep::OWN_DIRECTORY) && counted > 2);
        (counted + grafted - hidden).min(super::LINK_MAX as usize) as u16
    }

    /// Whether a directory holds nothing but `.` and `..`.
    pub(super) fn is_empty_directory(&self, id: VnodeId) -> Result<bool, Errno> {
        let vnode = &self.vnodes[id];
        match vnode.host() {
            Some(node) => Ok(vnode.grafts.is_empty() && node.place.entries()?.is_empty()),
            None => Ok(self.takes_names(id) && vnode.grafts.is_empty()),
        }
    }

    /// The inode number of a vnode.
    fn file_number(&mut self, id: VnodeId) -> Result<u32, Errno> {
        let Vfs { mounts, vnodes, identities, .. } = self;
        let vnode = &vnodes[id];
        Ok(match &vnode.body {
            super::Body::Host(node) => identities.of_host(mounts[vnode.mount.0].unit, node.dev, node.ino).1,
            super::Body::BuiltIn(own) => own.ino,
            super::Body::Memory(ino, _) => *ino,
            super::Body::Process(node) => node.fileno(),
            super::Body::Kernel(node) => node.fileno(),
            super::Body::Disc(own) => own.fileno(),
            super::Body::Stream(_) | super::Body::Dead => return Err(Errno::EBADF),
        })
    }

    /// The inode number that stat shows of an entry: of the root of what is mounted there.  libc trusts the
    /// numbers of directories on one device, and mounts may share theirs.
    fn visible_number(&mut self, id: VnodeId) -> Result<u32, Errno> {
        let mut top = id;
        while let Some(mount) = self.vnodes[top].mounted_here {
            top = self.mounts[mount.0].root;
        }
        // What is not made before somebody goes there has no number yet.
        let there = self.options.repeatable || !matches!(self.vnodes[top].body, super::Body::Host(_));
        self.file_number(if there { id } else { top })
    }

    /// The directories of the host in a directory on which something is mounted, with the numbers to show.
    fn covered_in(&mut self, id: VnodeId) -> Result<Vec<Covered>, Errno> {
        if self.options.repeatable {
            // Each mount is a device of its own; and who looks gives numbers.
            return Ok(Vec::new());
        }
        let covered: Vec<VnodeId> = self.mounts.iter().filter_map(|mount| mount.covered).collect();
        let mut found = Vec::new();
        for covered in covered {
            if self.vnodes[covered].parent != Some(id) {
                continue;
            }
            let Some(key) = self.vnodes[covered].host().map(|node| (node.dev, node.ino)) else { continue };
            found.push((key, self.visible_number(covered)?));
        }
        Ok(found)
    }

    /// Whether a directory was removed: it is empty then, without `.` and `..`, and nothing can be made in it.
    pub(super) fn is_removed(&self, id: VnodeId) -> bool {
        self.vnodes[id].host().is_some_and(|node| node.place.stat().is_ok_and(|stat| stat.nlink == 0))
    }

    /// What `..` of a directory holds; of a mount's root, itself.
    fn parent_number(&mut self, id: VnodeId) -> Result<u32, Errno> {
        self.file_number(self.vnodes[id].parent.unwrap_or(id))
    }
}

fn entry(fileno: u32, kind: Vtype, name: &[u8]) -> Entry {
    Entry { fileno, kind: kind.dirent_type(), name: name.to_vec() }
}

fn vtype(kind: HostKind) -> Option<Vtype> {
    Some(match kind {
        HostKind::Regular => Vtype::Reg,
        HostKind::Directory => Vtype::Dir,
        HostKind::Symlink => Vtype::Lnk,
        HostKind::Fifo => Vtype::Fifo,
        HostKind::Socket => Vtype::Sock,
        HostKind::CharDevice => Vtype::Chr,
        HostKind::BlockDevice => Vtype::Blk,
        HostKind::Unknown => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads a directory file as a program does.
    fn parse(file: &[u8]) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut at = 0;
        while at < file.len() {
            let fileno = u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
            let size = usize::from(u16::from_le_bytes([file[at + 4], file[at + 5]]));
            let (kind, length) = (file[at + 6], usize::from(file[at + 7]));
            assert_eq!(at / DIRBLKSIZ, (at + size - 1) / DIRBLKSIZ, "no record crosses a block");
            assert_eq!(file[at + 8 + length], 0, "names end with a zero byte");
            entries.push(Entry { fileno, kind, name: file[at + 8..at + 8 + length].to_vec() });
            at += size;
        }
        assert_eq!(at, file.len());
        entries
    }

    proptest! {
        #[test]
        fn every_entry_comes_back(names in prop::collection::vec("[a-z]{1,255}", 1..60)) {
            let entries: Vec<Entry> = names
                .into_iter()
                .enumerate()
                .map(|(n, name)| Entry { fileno: n as u32 + 3, kind: 8, name: name.into_bytes() })
                .collect();
            let file = blocks(&entries);
            prop_assert_eq!(file.len() % DIRBLKSIZ, 0);
            prop_assert_eq!(parse(&file), entries);
        }
    }

    #[test]
    fn the_old_form_has_a_16_bit_length() {
        let mut file = blocks(&[Entry { fileno: 3, kind: 8, name: b"abc".to_vec() }]);
        to_old_form(&mut file).unwrap();
        assert_eq!(u16::from_le_bytes([file[6], file[7]]), 3);
    }
}
