//! A tree of files that is read: of a volume, or of a directory of the host.
//!
//! A directory of the host is read as a guest would see it, by a file system of its own: owners, device nodes and
//! links of a root that bsd21 has written are what they were.
//!
//! Must not know what is done with the files.

use std::cell::RefCell;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

use syscalls::Errno;

use crate::cd9660::{Kind, Node, Volume};
use crate::kernel::cred::Ucred;
use crate::kernel::vfs::mount::{MountFlags, Source};
use crate::kernel::vfs::namei::{Nameidata, Op, Start};
use crate::kernel::vfs::{self, Vfs, VnodeId, Vtype};

/// What is known of a file.
#[derive(Clone, Debug)]
pub(super) struct Attributes {
    pub kind: Kind,
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    pub mtime: (i64, i64),
    pub flags: u32,
    pub rdev: u32,
    /// What all names of one file have in common, if it has several.
    pub shared: Option<(u64, u64)>,
    /// The text of a symbolic link.
    pub link: Option<Vec<u8>>,
    /// What tells a directory from all others.
    pub number: (u64, u64),
}

/// How a file is found again.
#[derive(Clone, Debug)]
pub(super) enum Handle {
    Volume(Box<Node>),
    Host(Vec<u8>),
}

/// An entry of a directory.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub name: Vec<u8>,
    pub handle: Handle,
    pub attributes: Attributes,
}

/// A tree of files.
pub(super) trait Tree {
    /// The root.
    fn root(&self) -> Result<Entry, String>;
    /// The entries of a directory.
    fn list(&self, directory: &Handle) -> Result<Vec<Entry>, String>;
    /// Bytes of a file.
    fn read(&self, file: &Handle, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// What tells the tree from others.
    fn identity(&self) -> String;
    /// How many directories there are, where the tree has a list of its own.
    fn directories(&self) -> Option<usize> {
        None
    }
}

/// The bytes of a file of a tree, one after the other.
pub(super) struct Content {
    tree: Rc<dyn Tree>,
    file: Handle,
    offset: u64,
}

impl Content {
    pub(super) fn of(tree: &Rc<dyn Tree>, file: &Handle) -> Self {
        Self { tree: Rc::clone(tree), file: file.clone(), offset: 0 }
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.tree.read(&self.file, self.offset, buffer)?;
        self.offset = self.offset.saturating_add(length as u64);
        Ok(length)
    }
}

/// The tree of a volume.
pub(super) struct VolumeTree(Volume);

impl VolumeTree {
    pub(super) fn new(volume: Volume) -> Self {
        Self(volume)
    }
}

fn of_node(name: Vec<u8>, node: Node) -> Entry {
    let found = node.attributes;
    let attributes = Attributes {
        kind: found.kind,
        mode: found.mode,
        uid: found.owner.uid,
        gid: found.owner.gid,
        size: found.size,
        mtime: (found.mtime, 0),
        flags: 0,
        rdev: found.rdev,
        shared: node.shared(),
        link: node.link.clone(),
        number: (node.id, 0),
    };
    Entry { name, handle: Handle::Volume(Box::new(node)), attributes }
}

impl Tree for VolumeTree {
    fn root(&self) -> Result<Entry, String> {
        Ok(of_node(Vec::new(), self.0.root().clone()))
    }

    fn list(&self, directory: &Handle) -> Result<Vec<Entry>, String> {
        let Handle::Volume(node) = directory else { return Ok(Vec::new()) };
        let entries = self.0.read_dir(node).map_err(|e| e.to_string())?;
        Ok(entries.into_iter().map(|entry| of_node(entry.name, entry.node)).collect())
    }

    fn read(&self, file: &Handle, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let Handle::Volume(node) = file else { return Ok(0) };
        self.0.read(node, offset, buffer).map_err(|e| io::Error::other(e.to_string()))
    }

    fn identity(&self) -> String {
        format!("volume {} {}", String::from_utf8_lossy(self.0.name()), self.0.blocks())
    }

    fn directories(&self) -> Option<usize> {
        let table = self.0.path_table().ok()?;
        // Where directories are put that would be too deep: nobody sees it.
        Some(table.iter().filter(|directory| !directory.name.eq_ignore_ascii_case(b"rr_moved")).count())
    }
}

/// A directory of the host.
pub(super) struct HostTree {
    vfs: RefCell<Vfs>,
    start: Start,
    identity: String,
    /// The file that was read last, and its vnode.
    last: RefCell<Option<(Vec<u8>, VnodeId)>>,
}

impl HostTree {
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let mut vfs = Vfs::new(vfs::Options::default());
        let mounted = vfs.mount_root(&Source::Host(path), MountFlags::RDONLY);
        mounted.map_err(|e| e.to_string())?;
        let root = vfs.root_vnode();
        vfs.vref(root);
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let identity = format!("directory {}", path.display());
        let start = Start { cwd: root, root };
        Ok(Self { vfs: RefCell::new(vfs), start, identity, last: RefCell::new(None) })
    }

    fn found(vfs: &mut Vfs, start: Start, path: &[u8]) -> Result<VnodeId, Errno> {
        let nd = Nameidata::new(path, Op::Lookup);
        vfs.namei(&nd, start, &superuser())?.vp.ok_or(Errno::ENOENT)
    }

    fn entry(&self, name: Vec<u8>, path: Vec<u8>) -> Result<Entry, Errno> {
        let vfs = &mut *self.vfs.borrow_mut();
        let id = Self::found(vfs, self.start, &path)?;
        let attr = vfs.getattr(id)?;
        let kind = match attr.kind {
            Vtype::Dir => Kind::Directory,
            Vtype::Lnk => Kind::Link,
            Vtype::Chr => Kind::Character,
            Vtype::Blk => Kind::Block,
            Vtype::Fifo => Kind::Fifo,
            Vtype::Sock => Kind::Socket,
            _ => Kind::File,
        };
        let number = (u64::from(attr.fsid), u64::from(attr.fileid));
        let attributes = Attributes {
            kind,
            mode: attr.mode,
            uid: attr.uid,
            gid: attr.gid,
            size: attr.size,
            mtime: (attr.mtime.sec, attr.mtime.nsec),
            flags: attr.flags,
            rdev: attr.rdev,
            shared: (kind == Kind::File && attr.nlink > 1).then_some(number),
            link: if kind == Kind::Link { Some(vfs.readlink(id)?) } else { None },
            number,
        };
        Ok(Entry { name, handle: Handle::Host(path), attributes })
    }
}

/// Who reads and writes: the guest's super-user.
pub(super) fn superuser() -> Ucred {
    Ucred { uid: 0, groups: vec![0] }
}

impl Tree for HostTree {
    fn root(&self) -> Result<Entry, String> {
        self.entry(Vec::new(), b"/".to_vec()).map_err(said)
    }

    fn list(&self, directory: &Handle) -> Result<Vec<Entry>, String> {
        let Handle::Host(path) = directory else { return Ok(Vec::new()) };
        let names = {
            let vfs = &mut *self.vfs.borrow_mut();
            let id = Self::found(vfs, self.start, path).map_err(said)?;
            vfs.read_directory(id).map_err(said)?
        };
        let mut entries = Vec::new();
        for found in names.into_iter().filter(|found| found.name != b"." && found.name != b"..") {
            let slash: &[u8] = if path.ends_with(b"/") { b"" } else { b"/" };
            let below = [path, slash, &found.name].concat();
            match self.entry(found.name, below.clone()) {
                Ok(entry) => entries.push(entry),
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(format!("{}: {}", String::from_utf8_lossy(&below), said(errno))),
            }
        }
        Ok(entries)
    }

    fn read(&self, file: &Handle, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let Handle::Host(path) = file else { return Ok(0) };
        let vfs = &mut *self.vfs.borrow_mut();
        let failed = |errno: Errno| io::Error::other(said(errno));
        let mut last = self.last.borrow_mut();
        let id = match &*last {
            Some((known, id)) if known == path => *id,
            _ => {
                let id = Self::found(vfs, self.start, path).map_err(failed)?;
                vfs.vref(id);
                if let Some((_, before)) = last.replace((path.clone(), id)) {
                    vfs.vrele(before);
                }
                id
            }
        };
        vfs.read_content(id, offset, buffer).map_err(failed)
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }
}

/// An error of the guest's kernel, in words.
pub(super) fn said(errno: Errno) -> String {
    errno.message().to_lowercase()
}
