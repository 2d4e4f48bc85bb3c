//! Vnodes: the files, directories and devices that the kernel holds.
//!
//! A vnode is made when a name is looked up and found again by its identity, (mount, host device, host
//! inode), as long as it is held; vnodes of one file in several mounts share its [`Inode`].  References are counted; a vnode without any stays in a cache and goes
//! when the cache is full, the one longest unused first, or at once when its file is gone.  Inside one
//! call nothing disappears: the cache is trimmed only where a look-up begins.
//!
//! A directory refers to its parent, so that `..` never asks the host and cannot lead out of a mount.
//!
//! Must not know path names.  2.1 counterpart: sys/vnode.h, kern/vfs_subr.c (getnewvnode, vref, vrele,
//! vgone).

use crate::kernel::shared::Shared;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use smallvec::SmallVec;

use super::disc::OnDisc;
use super::hold::Hold;
use super::inode::Inode;
use super::mount::MountId;
use super::union::UnionNode;
use super::{kernfs, procfs};
use crate::host::fs::HostTime;
use crate::host::stdio::Stream;
use crate::kernel::arena::{Arena, Id};

/// Key of a vnode.
pub type VnodeId = Id<Vnode>;

/// Unreferenced vnodes that are kept: each costs one descriptor of the host.
const CACHE: usize = 256;
/// The same where the host has few descriptors; more than a look-up finds.
const CACHE_LEAST: usize = 16;

/// Types of vnodes (`enum vtype`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vtype {
    /// A regular file.
    Reg,
    /// A directory.
    Dir,
    /// A block device.
    Blk,
    /// A character device.
    Chr,
    /// A symbolic link.
    Lnk,
    /// A socket name.
    Sock,
    /// A fifo.
    Fifo,
}

impl Vtype {
    /// The type bits of a mode (S_IFMT).
    pub fn mode_bits(self) -> u16 {
        match self {
            Vtype::Fifo => 0o010000,
            Vtype::Chr => 0o020000,
            Vtype::Dir => 0o040000,
            Vtype::Blk => 0o060000,
            Vtype::Reg => 0o100000,
            Vtype::Lnk => 0o120000,
            Vtype::Sock => 0o140000,
        }
    }

    /// The type that mode bits stand for (IFTOVT).
    pub fn from_mode(mode: u16) -> Option<Vtype> {
        let all = [Vtype::Fifo, Vtype::Chr, Vtype::Dir, Vtype::Blk, Vtype::Reg, Vtype::Lnk, Vtype::Sock];
        all.into_iter().find(|kind| kind.mode_bits() == mode & 0o170000)
    }

    /// The type in a directory entry (IFTODT).
    pub fn dirent_type(self) -> u8 {
        (self.mode_bits() >> 12) as u8
    }
}

/// A file or directory of the host.
#[derive(Clone, Debug)]
pub struct HostNode {
    /// The hold on it.
    pub place: Hold,
    /// The host's device number.
    pub dev: u64,
    /// The host's inode number.
    pub ino: u64,
}

/// A directory or device that exists in the kernel only.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its inode number.
    pub ino: u32,
    /// Permission bits.
    pub perm: u16,
    /// Device number, of devices.
    pub rdev: u32,
    /// Last access, modification, and change of the attributes.
    pub times: [HostTime; 3],
}

/// What is behind a vnode.
#[derive(Clone, Debug)]
pub enum Body {
    /// Something of the host's tree.
    Host(HostNode),
    /// Something of our own.
    BuiltIn(BuiltIn),
    /// A file of the kernel's own: its inode number and its bytes.
    Memory(u32, Rc<[u8]>),
    /// A file of a mounted CD-ROM.
    Disc(Box<OnDisc>),
    /// A node of the kernel file system.
    Kernel(kernfs::Node),
    /// A node of the process file system.
    Process(procfs::Node),
    /// A stream that the emulator was started with.
    Stream(Stream),
    /// Nothing any more: revoked (deadfs).
    Dead,
}

/// A file that the kernel holds (`struct vnode`).
#[derive(Clone, Debug)]
pub struct Vnode {
    /// Its type.
    pub kind: Vtype,
    /// The mount that it belongs to.
    pub mount: MountId,
    /// References.
    pub usecount: u32,
    /// A process runs from it (VTEXT).
    pub text: bool,
    /// What is behind it.
    pub body: Body,
    /// What all vnodes of the file share.
    pub inode: Shared<Inode>,
    /// Of a directory: where `..` leads inside the mount; `None` for the root of a mount (VROOT).
    pub parent: Option<VnodeId>,
    /// The mount whose root is seen instead of this directory.
    pub mounted_here: Option<MountId>,
    /// What it stands for in a mount that shows two directories as one.
    pub union: Option<Box<UnionNode>>,
    /// Entries that only the kernel knows: built-in devices, and directories on the way to mounts.
    pub grafts: BTreeMap<Vec<u8>, VnodeId>,
    /// When it was last touched; the key in the cache.
    stamp: u64,
}

impl Vnode {
    /// A vnode without references.
    pub fn new(kind: Vtype, mount: MountId, body: Body) -> Vnode {
        Vnode {
            kind,
            mount,
            usecount: 0,
            text: false,
            body,
            inode: Shared::default(),
            parent: None,
            mounted_here: None,
            union: None,
            grafts: BTreeMap::new(),
            stamp: 0,
        }
    }

    /// Whether it is the root of its mount (VROOT).
    pub fn is_root(&self) -> bool {
        self.kind == Vtype::Dir && self.parent.is_none()
    }

    /// The host's side, if there is one.
    pub fn host(&self) -> Option<&HostNode> {
        match &self.body {
            Body::Host(node) => Some(node),
            _ => None,
        }
    }

    /// Whether it is a directory of our own whose entries are what they are.
    pub fn is_fixed_directory(&self) -> bool {
        matches!(&self.body, Body::BuiltIn(own) if own.perm & 0o222 == 0)
    }

    /// The device number, of a device.
    pub fn rdev(&self) -> Option<u32> {
        match &self.body {
            Body::BuiltIn(node) if matches!(self.kind, Vtype::Chr | Vtype::Blk) => Some(node.rdev),
            Body::Disc(own) if matches!(self.kind, Vtype::Chr | Vtype::Blk) => Some(own.attributes().rdev),
            Body::Host(_) => self.inode.extra.get().device.map(|(_, rdev)| rdev),
            _ => None,
        }
    }
}

/// The identity of a host file: device and inode.
type Identity = (u64, u64);

/// All vnodes.
#[derive(Clone, Debug, Default)]
pub struct Table {
    vnodes: Arena<Vnode>,
    /// The vnodes of each host file: mostly one, at most one for each mount.
    by_identity: HashMap<Identity, SmallVec<[VnodeId; 1]>>,
    /// Vnodes without references, the longest unused first.
    cache: BTreeMap<u64, VnodeId>,
    clock: u64,
    /// Vnodes that were ever made.
    made: u64,
    /// Unreferenced vnodes that are kept; [`CACHE`] unless set.
    most: Option<usize>,
}

impl std::ops::Index<VnodeId> for Table {
    type Output = Vnode;

    fn index(&self, id: VnodeId) -> &Vnode {
        &self.vnodes[id]
    }
}

impl std::ops::IndexMut<VnodeId> for Table {
    fn index_mut(&mut self, id: VnodeId) -> &mut Vnode {
        &mut self.vnodes[id]
    }
}

impl Table {
    /// All vnodes, to change them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Vnode> {
        self.vnodes.values_mut()
    }

    /// A vnode of a host file, if there is one.
    pub(super) fn of_file(&self, identity: Identity) -> Option<VnodeId> {
        self.by_identity.get(&identity)?.first().copied()
    }

    /// The vnode of a host file, if it is held.
    pub fn find(&mut self, mount: MountId, dev: u64, ino: u64) -> Option<VnodeId> {
        let views = self.by_identity.get(&(dev, ino))?;
        let id = views.iter().copied().find(|&id| self.vnodes[id].mount == mount)?;
        self.touch(id);
        Some(id)
    }

    /// All vnodes of the file of a vnode, itself among them.
    pub fn views(&self, id: VnodeId) -> SmallVec<[VnodeId; 1]> {
        let known = identity(&self.vnodes[id]).and_then(|identity| self.by_identity.get(&identity));
        known.cloned().unwrap_or_else(|| SmallVec::from_elem(id, 1))
    }

    /// Adds a vnode without references.
    pub fn insert(&mut self, mut vnode: Vnode) -> VnodeId {
        let identity = identity(&vnode);
        if let Some(other) = identity.and_then(|identity| self.by_identity.get(&identity)?.first()) {
            vnode.inode = Shared::clone(&self.vnodes[*other].inode);
        }
        let id = self.vnodes.insert(vnode);
        self.made += 1;
        if let Some(identity) = identity {
            self.by_identity.entry(identity).or_default().push(id);
        }
        self.touch(id);
        id
    }

    /// Vnodes that were ever made.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// The vnode, if it is held.
    pub fn get(&self, id: VnodeId) -> Option<&Vnode> {
        self.vnodes.get(id)
    }

    /// Whether the vnode still exists.
    pub fn contains(&self, id: VnodeId) -> bool {
        self.vnodes.contains(id)
    }

    /// Whether there is no vnode.
    pub fn is_empty(&self) -> bool {
        self.vnodes.is_empty()
    }

    /// Number of vnodes.
    pub fn len(&self) -> usize {
        self.vnodes.len()
    }

    /// All vnodes.
    pub fn ids(&self) -> Vec<VnodeId> {
        self.vnodes.ids()
    }

    /// Adds a reference.
    pub fn vref(&mut self, id: VnodeId) {
        let vnode = &mut self.vnodes[id];
        if vnode.usecount == 0 {
            self.cache.remove(&vnode.stamp);
            vnode.inode.acquire();
        }
        vnode.usecount += 1;
    }

    /// Drops a reference; the last one puts the vnode into the cache.
    pub fn vrele(&mut self, id: VnodeId) {
        let vnode = &mut self.vnodes[id];
        assert!(vnode.usecount > 0, "a vnode is released as often as it is referenced");
        vnode.usecount -= 1;
        if vnode.usecount == 0 {
            vnode.inode.release();
            self.touch(id);
        }
    }

    /// Makes `parent` the directory where `..` of `child` leads.
    pub fn set_parent(&mut self, child: VnodeId, parent: VnodeId) {
        let old = self.vnodes[child].parent;
        if old == Some(parent) || child == parent {
            return;
        }
        self.vref(parent);
        self.vnodes[child].parent = Some(parent);
        if let Some(old) = old {
            self.vrele(old);
        }
    }

    /// Puts an entry of our own into a directory; both stay referenced for good.
    pub fn graft(&mut self, directory: VnodeId, name: &[u8], child: VnodeId) {
        self.vref(directory);
        self.vref(child);
        if self.vnodes[child].kind == Vtype::Dir {
            self.set_parent(child, directory);
        }
        self.vnodes[directory].grafts.insert(name.to_vec(), child);
    }

    /// Takes an entry of our own out of a directory; whether there was one.
    pub fn ungraft(&mut self, directory: VnodeId, name: &[u8]) -> bool {
        let Some(child) = self.vnodes[directory].grafts.remove(name) else { return false };
        self.vrele(child);
        self.vrele(directory);
        true
    }

    /// Lets the longest unused vnodes go until the cache has its size again.
    pub fn trim(&mut self) {
        self.trim_to(self.most.unwrap_or(CACHE));
    }

    /// Sets how many descriptors of the host there are: a part of them may be held by the cache alone.
    pub fn set_descriptors(&mut self, most: u64) {
        self.most = Some(usize::try_from(most / 4).unwrap_or(CACHE).clamp(CACHE_LEAST, CACHE));
    }

    /// Lets every vnode go that nobody refers to.
    pub(super) fn empty_cache(&mut self) {
        self.trim_to(0);
    }

    /// Drops a reference that was taken for a moment: what is behind the vnode stays as it is.
    pub(super) fn let_go(&mut self, id: VnodeId) {
        let vnode = &mut self.vnodes[id];
        vnode.usecount = vnode.usecount.saturating_sub(1);
        self.touch(id);
    }

    /// Forgets a vnode without references at once: its file is gone.
    pub fn forget(&mut self, id: VnodeId) {
        if self.vnodes.get(id).is_some_and(|vnode| vnode.usecount == 0) {
            self.reclaim(id);
        }
    }

    /// Puts something else behind a vnode.
    pub(super) fn replace(&mut self, id: VnodeId, body: Body, inode: Shared<Inode>) {
        let vnode = &mut self.vnodes[id];
        let before = identity(vnode);
        let used = vnode.usecount > 0;
        if used {
            inode.acquire();
            vnode.inode.release();
        }
        (vnode.body, vnode.inode) = (body, inode);
        let after = identity(vnode);
        if let Some(before) = before {
            unlist(&mut self.by_identity, before, id);
        }
        if let Some(after) = after {
            self.by_identity.entry(after).or_default().push(id);
        }
    }

    /// Takes what is behind a vnode away from all who have it open (`vgone`).
    pub fn revoke(&mut self, id: VnodeId) {
        let vnode = &mut self.vnodes[id];
        if let Some(identity) = identity(vnode) {
            unlist(&mut self.by_identity, identity, id);
        }
        vnode.body = Body::Dead;
    }

    fn trim_to(&mut self, size: usize) {
        while self.cache.len() > size {
            let Some((_, id)) = self.cache.pop_first() else { break };
            self.reclaim(id);
        }
    }

    fn touch(&mut self, id: VnodeId) {
        let vnode = &mut self.vnodes[id];
        if vnode.usecount > 0 {
            return;
        }
        self.cache.remove(&vnode.stamp);
        self.clock += 1;
        vnode.stamp = self.clock;
        self.cache.insert(self.clock, id);
    }

    fn reclaim(&mut self, id: VnodeId) {
        let Some(vnode) = self.vnodes.remove(id) else { return };
        self.cache.remove(&vnode.stamp);
        if let Some(identity) = identity(&vnode) {
            unlist(&mut self.by_identity, identity, id);
        }
        if let Some(parent) = vnode.parent {
            self.vrele(parent);
        }
        if let Some(node) = vnode.union {
            node.held().for_each(|id| self.vrele(id));
        }
    }
}

fn identity(vnode: &Vnode) -> Option<Identity> {
    vnode.host().map(|node| (node.dev, node.ino))
}

/// Takes a vnode out of the list of its file's vnodes.
fn unlist(by_identity: &mut HashMap<Identity, SmallVec<[VnodeId; 1]>>, identity: Identity, id: VnodeId) {
    if let Some(views) = by_identity.get_mut(&identity) {
        views.retain(|other| *other != id);
        if views.is_empty() {
            by_identity.remove(&identity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_in(kind: Vtype) -> Vnode {
        Vnode::new(
            kind,
            MountId(0),
            Body::BuiltIn(BuiltIn { ino: 9, perm: 0o755, rdev: 0, times: Default::default() }),
        )
    }

    #[test]
    fn unreferenced_vnodes_stay_until_the_cache_is_trimmed() {
        let mut table = Table::default();
        let old = table.insert(built_in(Vtype::Reg));
        let new = table.insert(built_in(Vtype::Reg));
        table.trim();
        assert!(table.contains(old) && table.contains(new));
        table.trim_to(1);
        assert!(!table.contains(old) && table.contains(new));
    }

    #[test]
    fn a_referenced_vnode_is_never_trimmed() {
        let mut table = Table::default();
        let id = table.insert(built_in(Vtype::Reg));
        table.vref(id);
        table.trim_to(0);
        assert!(table.contains(id));
        table.vrele(id);
        table.trim_to(0);
        assert!(!table.contains(id));
    }

    #[test]
    fn a_directory_keeps_its_parents() {
        let mut table = Table::default();
        let top = table.insert(built_in(Vtype::Dir));
        let middle = table.insert(built_in(Vtype::Dir));
        let leaf = table.insert(built_in(Vtype::Dir));
        table.set_parent(middle, top);
        table.set_parent(leaf, middle);
        table.vref(leaf);
        table.trim_to(0);
        assert_eq!(table.len(), 3);
        table.vrele(leaf);
        table.trim_to(0);
        assert_eq!(table.len(), 0);
    }
}
