//! The mount table: which directory of the host is seen where.
//!
//! Mounts nest, and a mount on a directory that the tree below does not have gets that directory as a
//! graft: an entry that only the kernel knows.  Nothing outside of what was mounted can be named.
//!
//! Must not know processes.  2.1 counterpart: sys/mount.h, kern/vfs_syscalls.c (mount), kern/vfs_subr.c.

use crate::kernel::shared::Shared;
use std::path::{Path, PathBuf};

pub use syscalls::flags::MountFlags;

use super::attr::ROOTINO;
use super::disc::OnDisc;
use super::hold::Hold;
use super::identity::Unit;
use super::overlay::{self, Layered};
use super::room::{Room, Size};
use super::union::UnionMount;
use super::vnode::{Body, BuiltIn, Vnode, VnodeId, Vtype};
use super::{Vfs, kernfs, procfs};
use crate::host::change::HostSpace;
use crate::host::error::{HostError, HostResult};
use crate::host::fs::{HostKind, Place};
use crate::host::temporary::Temporary;

/// The number of a mount: its place in the table, which only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MountId(pub usize);

/// Types of file systems, with the numbers of 2.1 (MOUNT_*).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FsType {
    /// A directory of the host: the guest takes it for a local disk.
    Ufs = 1,
    /// A temporary directory of the host.
    Mfs = 3,
    /// The descriptors of a process.
    Fdesc = 7,
    /// A directory of the guest in another place.
    Null = 9,
    /// Values of the kernel.
    Kernfs = 11,
    /// Processes.
    Procfs = 12,
    /// A CD-ROM.
    Cd9660 = 14,
    /// Two directories as one.
    Union = 15,
    /// Devices of the kernel.
    Devfs = 16,
}

/// One mounted tree (`struct mount`).
#[derive(Clone, Debug)]
pub struct Mount {
    /// Its root.
    pub root: VnodeId,
    /// The directory that it covers; `None` for the root of all.
    pub covered: Option<VnodeId>,
    /// Its flags.
    pub flags: MountFlags,
    /// Its type.
    pub kind: FsType,
    /// Where it is mounted, as the guest names it.
    pub on: Vec<u8>,
    /// What is mounted, as statfs names it.
    pub from: Vec<u8>,
    /// The device that stat shows.
    pub unit: Unit,
    /// The host's side of the root.
    pub place: Option<Hold>,
    /// Special file systems of the host are seen in it.
    pub special: bool,
    /// Its flags were changed by a guest, which may change them back.
    pub changed: bool,
    /// A guest mounted it, and may unmount it.
    pub by_guest: bool,
    /// How much it may hold, of a file system in memory.
    pub room: Option<Shared<Room>>,
    /// The directory that it shows again, which is used as long as it does.
    again: Option<VnodeId>,
    /// The disk that it is of.
    disk: Option<u32>,
    /// What goes when it is unmounted: the directory of a file system in memory.
    temporary: Option<Temporary>,
}

/// The guest's own /tmp: mounted from the beginning, made on the host when somebody goes there.
#[derive(Clone, Debug)]
pub(super) struct Private {
    mount: MountId,
    directory: Temporary,
    made: bool,
}

/// What to mount.
#[derive(Debug)]
pub enum Source<'a> {
    /// A directory of the host.
    Host(&'a Path),
    /// A directory of the host, in whose special file systems the guest may look, too.
    Special(&'a Path),
    /// A directory of the host, which is only read: changes are the overlay's.
    Overlay(&'a Path, overlay::Shared),
    /// A directory of the host that lives as long as the machine.
    Temporary(&'a Path),
    /// An empty directory in the place of a [private](Vfs::mount_private) one.
    Private,
    /// An empty directory of the kernel's own: only what is mounted below it can be seen.
    Empty,
    /// A directory of the kernel's own for devices.
    Devices,
    /// The processes, under this name in the list of mounts.
    Processes(&'a [u8]),
    /// Values of the kernel, under this name.
    Values(&'a [u8]),
    /// Descriptors, under this name.
    Descriptors(&'a [u8]),
    /// A directory of the guest, under its name.
    Again(VnodeId, &'a [u8]),
    /// Two directories of the guest as one, under a name.
    Union(&'a UnionMount, &'a [u8]),
    /// A directory of the host that was given as a disk, under the name of the disk.
    Disk(&'a Disk, &'a [u8]),
    /// The root of a CD-ROM, and its disk, under the name of the disk.
    Disc(&'a OnDisc, &'a Disk, &'a [u8]),
    /// An empty file system that goes when it is unmounted, under this name, and what it may hold.
    Memory(&'a [u8], Option<Size>),
}

/// A directory of the host, or an image of a CD-ROM, that a guest may mount as a disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// The device number.
    pub rdev: u32,
    /// The directory or image.
    pub path: PathBuf,
    /// Nothing may be changed in it.
    pub read_only: bool,
}

impl Vfs {
    /// Sets where file systems in memory are made.
    pub fn set_temporary(&mut self, above: PathBuf) {
        self.above = Some(above);
    }

    /// Mounts the root of all.
    pub fn mount_root(&mut self, source: &Source<'_>, flags: MountFlags) -> HostResult<MountId> {
        let id = self.new_mount(source, b"/", flags | MountFlags::ROOTFS)?;
        tracing::debug!(target: "bsd21::mount", on = %"/", kind = ?self.mounts[id.0].kind, "mounts");
        if let Source::Host(path) | Source::Overlay(path, _) = source {
            self.hide_own_directory(path);
        }
        if let Source::Host(path) = source
            && !self.options.repeatable
        {
            self.kept = super::keep::Kept::of(path);
        }
        self.root = Some(self.mounts[id.0].root);
        Ok(id)
    }

    /// Mounts `source` on the absolute guest path `on`, making what is missing on the way.
    pub fn mount(&mut self, source: &Source<'_>, on: &[u8], flags: MountFlags) -> HostResult<MountId> {
        let covered = self.directory_for_mount(on)?;
        self.mount_on(source, covered, on, flags)
    }

    /// Mounts `source` on a directory that has the guest path `on`.
    pub(super) fn mount_on(
        &mut self,
        source: &Source<'_>,
        covered: VnodeId,
        on: &[u8],
        flags: MountFlags,
    ) -> HostResult<MountId> {
        let id = self.new_mount(source, on, flags)?;
        let root = self.mounts[id.0].root;
        tracing::debug!(target: "bsd21::mount", on = %on.escape_ascii(), kind = ?self.mounts[id.0].kind, "mounts");
        self.vnodes.vref(covered);
        self.mounts[id.0].covered = Some(covered);
        self.vnodes[covered].mounted_here = Some(id);
        self.vnodes.vref(root);
        match source {
            Source::Devices => self.make_devices(id),
            Source::Descriptors(_) => self.make_descriptors(id),
            _ => {}
        }
        Ok(id)
    }

    /// Takes a mount away from the directory that it covers; the caller has seen that nobody uses it.
    pub(super) fn unmount(&mut self, id: MountId) {
        let mount = &mut self.mounts[id.0];
        let Some(covered) = mount.covered.take() else { return };
        let root = mount.root;
        tracing::debug!(target: "bsd21::mount", on = %mount.on.escape_ascii(), "unmounts");
        mount.on.clear();
        let temporary = mount.temporary.take();
        if let Some(again) = self.mounts[id.0].again.take() {
            self.vnodes.vrele(again);
        }
        self.vnodes[covered].mounted_here = None;
        self.vnodes.vrele(covered);
        self.drop_grafts(id);
        // One of the mount and one of the directory.
        self.vnodes.vrele(root);
        self.vnodes.vrele(root);
        if temporary.is_some() || self.mounts[id.0].kind == FsType::Union {
            // What the cache holds of it would keep its blocks, and the files of both layers.
            self.vnodes.empty_cache();
        }
    }

    /// Whether a mount is still there.
    pub fn is_mounted(&self, id: MountId) -> bool {
        !self.mounts[id.0].on.is_empty()
    }

    /// From now on a mount is one of a guest's.
    pub(super) fn mounted_by_guest(&mut self, id: MountId) {
        if let Some(mount) = self.mounts.get_mut(id.0) {
            mount.by_guest = true;
        }
    }

    /// How many unions are mounted.
    pub(super) fn unions(&self) -> usize {
        self.mounts.iter().filter(|mount| mount.kind == FsType::Union && !mount.on.is_empty()).count()
    }

    /// Whether a directory that was given as a disk is mounted.
    pub(super) fn is_mounted_from(&self, rdev: u32) -> bool {
        self.mounts.iter().any(|mount| mount.disk == Some(rdev) && !mount.on.is_empty())
    }

    /// Whether somebody uses a file of a mount, other than as the directory that is covered.
    pub(super) fn is_busy(&self, id: MountId) -> bool {
        let root = self.mounts[id.0].root;
        let of_mount = |vnode: &VnodeId| self.vnodes[*vnode].mount == id;
        let all: Vec<VnodeId> = self.vnodes.ids().into_iter().filter(of_mount).collect();
        // The mount and the directory that it covers hold the root; what lies in a directory holds it.
        let grafted = |vnode: VnodeId| {
            let holds = |directory: &VnodeId| self.vnodes[*directory].grafts.values().any(|id| *id == vnode);
            all.iter().any(holds)
        };
        all.iter().any(|&vnode| {
            let users = self.vnodes[vnode].usecount as usize;
            let of_mount = if vnode == root { 2 } else { usize::from(grafted(vnode)) };
            let below = all.iter().filter(|other| self.vnodes[**other].parent == Some(vnode)).count();
            users > of_mount + below + self.vnodes[vnode].grafts.len()
        })
    }

    /// Lets go of the entries of our own of a mount that goes.
    fn drop_grafts(&mut self, id: MountId) {
        for directory in self.vnodes.ids() {
            if self.vnodes[directory].mount != id {
                continue;
            }
            for (_, child) in std::mem::take(&mut self.vnodes[directory].grafts) {
                self.vnodes.vrele(child);
                self.vnodes.vrele(directory);
            }
        }
    }

    /// Mounts a directory of the guest's own that is not made before somebody goes there.
    pub fn mount_private(&mut self, directory: Temporary, on: &[u8]) -> HostResult<MountId> {
        let id = self.mount(&Source::Private, on, MountFlags::LOCAL)?;
        self.private = Some(Private { mount: id, directory, made: false });
        Ok(id)
    }

    /// Makes the directory of a private mount, if it is one and that has not been done.
    fn make_private(&mut self, id: MountId) -> HostResult<()> {
        let Some(private) = self.private.as_mut().filter(|p| p.mount == id && !p.made) else { return Ok(()) };
        let path = private.directory.path()?.to_owned();
        let (place, unit, vnode) = self.host_root(id, &path)?;
        let root = self.vnodes.insert(vnode);
        let mount = &mut self.mounts[id.0];
        let before = std::mem::replace(&mut mount.root, root);
        (mount.place, mount.unit) = (Some(place), unit);
        // One for the mount and one for the directory that it covers.
        for _ in 0..2 {
            self.vnodes.vref(root);
            self.vnodes.vrele(before);
        }
        if let Some(private) = &mut self.private {
            private.made = true;
        }
        Ok(())
    }

    /// The root of a directory of the host.
    fn host_root(&mut self, id: MountId, path: &Path) -> HostResult<(Hold, Unit, Vnode)> {
        self.held_root(id, Hold::Host(Place::top(path)?))
    }

    /// The root of a mount that is held.
    fn held_root(&mut self, id: MountId, place: Hold) -> HostResult<(Hold, Unit, Vnode)> {
        let stat = place.stat()?;
        if stat.kind != HostKind::Directory {
            return Err(HostError::NOT_A_DIRECTORY);
        }
        let unit = self.identities.mount(id.0, Some((stat.dev, stat.ino)));
        let vnode = self.host_vnode(id, place.try_clone()?, &stat)?;
        Ok((place, unit, vnode))
    }

    /// The mount that a vnode belongs to.
    pub fn mount_of(&self, vnode: VnodeId) -> &Mount {
        &self.mounts[self.vnodes[vnode].mount.0]
    }

    /// The mount that a vnode belongs to, to change it.
    pub(super) fn mount_of_mut(&mut self, vnode: VnodeId) -> &mut Mount {
        &mut self.mounts[self.vnodes[vnode].mount.0]
    }

    /// The device number that files of a mount's own file system show.
    pub fn device_of(&self, id: MountId) -> u32 {
        self.identities.device(self.mounts[id.0].unit)
    }

    /// Number of mounts.
    pub fn mount_count(&self) -> usize {
        self.mounts.len()
    }

    /// A mount by its number.
    pub fn mount_by_id(&self, id: MountId) -> &Mount {
        &self.mounts[id.0]
    }

    /// Room on a mount; a repeatable run has always the same.
    pub fn space(&self, id: MountId) -> HostResult<HostSpace> {
        let private = self.private.as_ref().filter(|private| private.mount == id);
        if let Some(space) = self.union_space(id) {
            return Ok(space);
        }
        if let Some(room) = &self.mounts[id.0].room {
            return Ok(room.space());
        }
        if let Body::Disc(root) = &self.vnodes[self.mounts[id.0].root].body {
            let (blocks, block_size) = root.size();
            return Ok(HostSpace { block_size, blocks, ..HostSpace::default() });
        }
        match (&self.mounts[id.0].place, private) {
            (None, None) => Ok(HostSpace::default()),
            _ if self.options.repeatable => Ok(REPEATABLE_SPACE),
            (Some(place), _) => place.space(),
            (None, Some(private)) => Place::top(private.directory.above())?.space(),
        }
    }

    /// Whether nothing may be changed where a vnode is.
    pub fn read_only(&self, vnode: VnodeId) -> bool {
        self.mount_of(vnode).flags.contains(MountFlags::RDONLY)
    }

    /// A vnode for a built-in directory or device of a mount.
    pub(super) fn built_in(&mut self, mount: MountId, kind: Vtype, perm: u16, rdev: u32) -> VnodeId {
        let ino = self.identities.built_in(self.mounts[mount.0].unit);
        let own = BuiltIn { ino, perm, rdev, times: Default::default() };
        self.vnodes.insert(Vnode::new(kind, mount, Body::BuiltIn(own)))
    }

    fn new_mount(&mut self, source: &Source<'_>, on: &[u8], flags: MountFlags) -> HostResult<MountId> {
        let id = MountId(self.mounts.len());
        let (kind, from, path) = match source {
            Source::Host(path) | Source::Special(path) | Source::Overlay(path, _) => {
                (FsType::Ufs, host_name(path), Some(*path))
            }
            Source::Temporary(path) => (FsType::Mfs, b"mfs".to_vec(), Some(*path)),
            Source::Private => (FsType::Mfs, b"mfs".to_vec(), None),
            Source::Empty => (FsType::Mfs, b"bsd21".to_vec(), None),
            Source::Devices => (FsType::Devfs, b"devfs".to_vec(), None),
            Source::Processes(from) => (FsType::Procfs, from.to_vec(), None),
            Source::Values(from) => (FsType::Kernfs, from.to_vec(), None),
            Source::Descriptors(from) => (FsType::Fdesc, from.to_vec(), None),
            Source::Again(_, from) => (FsType::Null, from.to_vec(), None),
            Source::Union(_, from) => (FsType::Union, from.to_vec(), None),
            Source::Disk(disk, from) => (FsType::Ufs, from.to_vec(), Some(disk.path.as_path())),
            Source::Disc(_, _, from) => (FsType::Cd9660, from.to_vec(), None),
            Source::Memory(from, _) => (FsType::Mfs, from.to_vec(), None),
        };
        let is_local = path.is_some() || matches!(source, Source::Memory(..) | Source::Disc(..));
        let flags = if is_local { flags | MountFlags::LOCAL } else { flags };
        let mut temporary = None;
        let (place, unit, vnode) = match (path, source) {
            (Some(path), _) => {
                let (place, unit, vnode) = match source {
                    Source::Overlay(_, overlay) => {
                        self.held_root(id, Hold::Layered(Layered::root(overlay)?))?
                    }
                    _ => self.host_root(id, path)?,
                };
                if !matches!(source, Source::Special(_)) && place.special()?.is_some() {
                    return Err(HostError::SPECIAL);
                }
                (Some(place), unit, vnode)
            }
            (None, Source::Union(of, _)) => {
                let unit = self.identities.mount(id.0, None);
                (None, unit, self.union_root(id, of).map_err(|_| HostError::NOT_PERMITTED)?)
            }
            (None, Source::Again(again, _)) if self.vnodes[*again].union.is_some() => {
                let unit = self.identities.mount(id.0, None);
                let root = self.union_again(id, *again).and_then(Result::ok);
                (None, unit, root.ok_or(HostError::NOT_PERMITTED)?)
            }
            (None, Source::Again(again, _)) if matches!(self.vnodes[*again].body, Body::Disc(_)) => {
                let Body::Disc(own) = &self.vnodes[*again].body else { return Err(HostError::NOT_PERMITTED) };
                let root = Vnode::new(Vtype::Dir, id, Body::Disc(own.clone()));
                (None, self.identities.mount(id.0, None), root)
            }
            (None, Source::Again(again, _)) => {
                let place = self.vnodes[*again].host().map(|node| node.place.try_clone());
                let (place, unit, vnode) = self.held_root(id, place.ok_or(HostError::NOT_PERMITTED)??)?;
                (Some(place), unit, vnode)
            }
            (None, _) if matches!(source, Source::Memory(..)) => {
                let above = self.above.clone().ok_or(HostError::NOT_PERMITTED)?;
                let directory = temporary.insert(Temporary::new(above)?);
                let path = directory.path()?.to_owned();
                let (place, unit, vnode) = self.host_root(id, &path)?;
                (Some(place), unit, vnode)
            }
            (None, Source::Disc(root, ..)) => {
                let unit = self.identities.mount(id.0, None);
                (None, unit, Vnode::new(Vtype::Dir, id, Body::Disc(Box::new((*root).clone()))))
            }
            (None, _) if kind == FsType::Kernfs => {
                self.kernel_view.mounted = true;
                let unit = self.identities.mount(id.0, None);
                (None, unit, Vnode::new(Vtype::Dir, id, Body::Kernel(kernfs::Node::ROOT)))
            }
            (None, _) if kind == FsType::Procfs => {
                self.uses_processes();
                let unit = self.identities.mount(id.0, None);
                (None, unit, Vnode::new(Vtype::Dir, id, Body::Process(procfs::Node::ROOT)))
            }
            (None, _) => {
                let body =
                    Body::BuiltIn(BuiltIn { ino: ROOTINO, perm: 0o755, rdev: 0, times: Default::default() });
                (None, self.identities.mount(id.0, None), Vnode::new(Vtype::Dir, id, body))
            }
        };
        let root = self.vnodes.insert(vnode);
        self.vnodes.vref(root);
        let from = match kind {
            FsType::Ufs if self.options.repeatable && !matches!(source, Source::Disk(..)) => {
                format!("/dev/sd{}a", id.0).into_bytes()
            }
            _ => from,
        };
        let on = on.to_vec();
        let special = matches!(source, Source::Special(_));
        let room = match source {
            Source::Memory(_, size) => size.map(|size| Shared::new(Room::new(size))),
            Source::Again(again, _) => self.mount_of(*again).room.clone(),
            _ => None,
        };
        let again = match source {
            Source::Again(again, _) => Some(*again),
            _ => None,
        };
        again.into_iter().for_each(|again| self.vnodes.vref(again));
        self.mounts.push(Mount {
            root,
            covered: None,
            flags,
            kind,
            on,
            from,
            unit,
            place,
            special,
            changed: false,
            by_guest: false,
            room,
            again,
            disk: match source {
                Source::Disk(disk, _) | Source::Disc(_, disk, _) => Some(disk.rdev),
                _ => None,
            },
            temporary,
        });
        Ok(id)
    }

    /// The directory that `on` names, walked without symbolic links; missing parts become grafts.
    pub(super) fn directory_for_mount(&mut self, on: &[u8]) -> HostResult<VnodeId> {
        let mut at = self.root_vnode();
        for name in on.split(|&byte| byte == b'/').filter(|name| !name.is_empty() && *name != b".") {
            let found = match self.child(at, name).ok().flatten() {
                Some(found) => Some(self.cross(found)?),
                None => None,
            };
            at = match found {
                Some(found) if self.vnodes[found].kind == Vtype::Dir => found,
                _ => {
                    let mount = self.vnodes[at].mount;
                    let made = self.built_in(mount, Vtype::Dir, 0o755, 0);
                    self.vnodes.graft(at, name, made);
                    made
                }
            };
        }
        Ok(at)
    }

    /// A vnode for those whose device was revoked.
    pub(super) fn dead_vnode(&mut self, like: VnodeId) -> VnodeId {
        let vnode = &self.vnodes[like];
        let dead = Vnode::new(vnode.kind, vnode.mount, Body::Dead);
        self.vnodes.insert(dead)
    }

    /// The root of what is mounted on a directory, or the directory itself.
    pub(super) fn cross(&mut self, mut vnode: VnodeId) -> HostResult<VnodeId> {
        while let Some(mount) = self.vnodes[vnode].mounted_here {
            self.make_private(mount)?;
            vnode = self.mounts[mount.0].root;
        }
        Ok(vnode)
    }
}

/// The room that a repeatable run shows: half of a disk of one gigabyte.
const REPEATABLE_SPACE: HostSpace = HostSpace {
    block_size: 1024,
    blocks: 1 << 20,
    free: 1 << 19,
    available: 1 << 19,
    files: 1 << 18,
    files_free: 1 << 17,
};

fn host_name(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}
