//! A mounted CD-ROM: nodes of its volume behind vnodes.
//!
//! What is on the volume is the business of the module that reads it; this says how a guest sees that.  Nothing of
//! it can be changed.
//!
//! 2.1 counterpart: isofs/cd9660/cd9660_vfsops.c, cd9660_vnops.c, cd9660_node.c.

use crate::kernel::shared::Shared;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use syscalls::Errno;

use super::Vfs;
use super::attr::Vattr;
use super::directory::Entry;
use super::mount::Disk;
use super::vnode::{Body, Vnode, VnodeId, Vtype};
use crate::cd9660::{IsoError, Kind, Node, Options, Volume};
use crate::host::fs::{HostTime, write_at};
use crate::host::memory;
use crate::mem::FileId;

/// Flags of the mount: no Rock Ridge, generations, extended attributes (ISOFSMNT_*).
const NO_ROCK_RIDGE: u32 = 1;
const GENERATIONS: u32 = 2;
const EXTENDED_ATTRIBUTES: u32 = 4;
/// Preferred size of transfers: a block of the medium.
const BLOCK: u32 = 2048;
/// Largest file that is mapped.
const LARGEST_MAPPED: u64 = 256 << 20;

/// A file of a volume.
#[derive(Clone, Debug)]
pub struct OnDisc {
    volume: Rc<Volume>,
    node: Node,
}

impl OnDisc {
    /// The root of the volume in an image, as the arguments of a mount want it.
    pub(super) fn open(disk: &Disk, flags: u32, on: &[u8], host_name: &[u8]) -> Result<Self, Errno> {
        let image = File::open(&disk.path).map_err(|_| Errno::ENXIO)?;
        let options = Options {
            no_rock_ridge: flags & NO_ROCK_RIDGE != 0,
            extended_attributes: flags & EXTENDED_ATTRIBUTES != 0,
            generations: flags & GENERATIONS != 0,
            mounted_on: on.to_vec(),
            host_name: host_name.to_vec(),
        };
        let volume = Volume::open(Box::new(image), options).map_err(error)?;
        let node = volume.root().clone();
        Ok(Self { volume: Rc::new(volume), node })
    }

    /// Blocks of the volume, and bytes of each.
    pub(super) fn size(&self) -> (u64, u64) {
        (self.volume.blocks().into(), self.volume.block_size().into())
    }

    /// Its inode number: 32 bits of the place of its record.
    pub(super) fn fileno(&self) -> u32 {
        self.node.id as u32
    }

    /// Its type.
    pub(super) fn kind(&self) -> Vtype {
        vtype(self.node.attributes.kind)
    }

    /// The text of a symbolic link.
    pub(super) fn link(&self) -> Result<Vec<u8>, Errno> {
        self.node.link.clone().ok_or(Errno::EINVAL)
    }

    /// Bytes of a file.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        self.volume.read(&self.node, offset, buffer).map_err(error)
    }

    /// Its size.
    pub(super) fn length(&self) -> u64 {
        self.node.attributes.size
    }

    /// Its attributes, but for the device.
    pub(super) fn attributes(&self) -> Vattr {
        let own = &self.node.attributes;
        let time = |sec| HostTime { sec, nsec: 0 };
        Vattr {
            kind: self.kind(),
            mode: own.mode & 0o7777,
            nlink: own.links.min(u32::from(u16::MAX)) as u16,
            uid: own.owner.uid,
            gid: own.owner.gid,
            fsid: 0,
            fileid: self.fileno(),
            size: own.size,
            blocksize: BLOCK,
            atime: time(own.atime),
            mtime: time(own.mtime),
            ctime: time(own.ctime),
            flags: 0,
            rdev: own.rdev,
            bytes: own.size,
        }
    }
}

fn vtype(kind: Kind) -> Vtype {
    match kind {
        Kind::File => Vtype::Reg,
        Kind::Directory => Vtype::Dir,
        Kind::Link => Vtype::Lnk,
        Kind::Character => Vtype::Chr,
        Kind::Block => Vtype::Blk,
        Kind::Fifo => Vtype::Fifo,
        Kind::Socket => Vtype::Sock,
    }
}

/// What 2.1 says of a volume that is none, and of one that cannot be read.
fn error(error: IsoError) -> Errno {
    match error {
        IsoError::NotAVolume => Errno::EINVAL,
        IsoError::NotADirectory => Errno::ENOTDIR,
        IsoError::Damaged { .. } | IsoError::Truncated(_) | IsoError::Io(_) => Errno::EIO,
    }
}

impl Vfs {
    /// A file of a volume as one of the host that can be mapped, which goes with its last user: files on the medium
    /// begin anywhere, pages do not.
    pub(super) fn disc_file(&mut self, id: VnodeId) -> Result<(Rc<OwnedFd>, FileId), Errno> {
        let identity = |file: &OwnedFd| match memory::identity(file) {
            Ok((dev, ino)) => Ok(FileId { dev, ino }),
            Err(_) => Err(Errno::EIO),
        };
        let inode = Shared::clone(&self.vnodes[id].inode);
        if let Some(known) = &*inode.memory.borrow() {
            return Ok((Rc::clone(known), identity(known)?));
        }
        if self.size(id)? > LARGEST_MAPPED {
            return Err(Errno::ENOMEM);
        }
        let above = self.above.clone().unwrap_or_else(memory::directory);
        let file = memory::unnamed(&above).map_err(|_| Errno::ENOMEM)?;
        let mut buffer = vec![0; super::MAXBSIZE as usize];
        let mut offset = 0;
        loop {
            let length = self.read_content(id, offset, &mut buffer)?;
            let Some(piece) = buffer.get(..length).filter(|piece| !piece.is_empty()) else { break };
            if write_at(file.as_fd(), piece, offset)? < length {
                return Err(Errno::ENOMEM);
            }
            offset += length as u64;
        }
        let file = Rc::new(file);
        *inode.memory.borrow_mut() = Some(Rc::clone(&file));
        let id = identity(&file)?;
        Ok((file, id))
    }

    /// An entry of a directory of a volume.
    pub(super) fn disc_entry(&mut self, directory: VnodeId, name: &[u8]) -> Result<Option<VnodeId>, Errno> {
        let mount = self.vnodes[directory].mount;
        let Body::Disc(own) = &self.vnodes[directory].body else { return Ok(None) };
        let Some(node) = own.volume.look_up(&own.node, name).map_err(error)? else { return Ok(None) };
        let made = OnDisc { volume: Rc::clone(&own.volume), node };
        let known = self.vnodes.ids().into_iter().find(|&id| {
            let vnode = &self.vnodes[id];
            vnode.mount == mount && matches!(&vnode.body, Body::Disc(other) if other.node.id == made.node.id)
        });
        let id = match known {
            Some(known) => known,
            None => self.vnodes.insert(Vnode::new(made.kind(), mount, Body::Disc(Box::new(made)))),
        };
        if self.vnodes[id].kind == Vtype::Dir && !self.is_mount_root(id) {
            self.vnodes.set_parent(id, directory);
        }
        Ok(Some(id))
    }

    /// The entries of a directory of a volume.
    pub(super) fn disc_entries(&self, directory: VnodeId) -> Result<Vec<Entry>, Errno> {
        let Body::Disc(own) = &self.vnodes[directory].body else { return Ok(Vec::new()) };
        let above = self.vnodes[directory].parent.map(|above| &self.vnodes[above].body);
        let parent = match above {
            Some(Body::Disc(above)) => above.fileno(),
            _ => own.fileno(),
        };
        let dir = Vtype::Dir.dirent_type();
        let mut entries = vec![
            Entry { fileno: own.fileno(), kind: dir, name: b".".to_vec() },
            Entry { fileno: parent, kind: dir, name: b"..".to_vec() },
        ];
        let listed = own.volume.read_dir(&own.node).map_err(error)?;
        entries.extend(listed.into_iter().filter(|entry| entry.name.len() <= super::namei::NAME_MAX).map(
            |entry| Entry {
                fileno: entry.node.id as u32,
                kind: vtype(entry.node.attributes.kind).dirent_type(),
                name: entry.name,
            },
        ));
        Ok(entries)
    }
}
