//! The file system as the guest sees it: names, vnodes, mounts, attributes.
//!
//! [`Vfs`] holds what is held of the host's tree and answers in the guest's terms; it knows identities
//! ([`Ucred`]) but no processes.  On top of it, `calls*.rs` are the handlers, and [`vnops`] is what open
//! files need.  Names belong to the guest: see [`namei`].  What lies outside of the mounts does not exist.
//!
//! 2.1 counterpart: kern/vfs_*.c, ufs/ufs, miscfs/fifofs, miscfs/specfs, kern/kern_lockf.c.

pub mod access;
pub mod attr;
pub(in crate::kernel) mod blocks;
pub mod calls;
mod content;
mod continuation;
pub mod device;
pub mod directory;
mod dirslots;
mod disc;
mod exec;
pub mod fifo;
mod hold;
mod identity;
mod inode;
pub mod keep;
mod kernel_file;
mod kernfs;
pub mod lock;
mod locking;
pub mod mount;
pub mod namei;
pub mod node;
pub mod overlay;
mod own;
mod own_names;
mod path;
pub(in crate::kernel) mod procfs;
pub mod reads;
mod repeat;
mod room;
mod setattr;
mod stream;
#[cfg(test)]
mod tests;
mod union;
mod unix_name;
pub mod vnode;
mod vnops;
mod walk;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use access::Want;
use attr::{Extra, Owners, Vattr};
use inode::Inode;
use syscalls::Errno;

pub use calls::{change_directory, vn_pathconf};
pub use continuation::{Resume, resume};
pub use exec::{Executable, HostFile, follow_moved, host_file, lookup_exec, unfit, vn_mmap};
use hold::Hold;
pub use locking::{advlock, getlock, release_file_locks, release_process_locks};
pub use stream::{open_descriptors, poll_host};
pub use unix_name::{bind_socket, host_socket_at, socket_at, socket_gone};
use vnode::{Body, HostNode, Vnode};
pub use vnode::{VnodeId, Vtype};
pub use vnops::{revoke_device, vn_close, vn_ioctl, vn_read, vn_select, vn_stat, vn_write};
pub use walk::{Content, Walked};

use crate::host::error::HostResult;
use crate::host::fs::{self, HostKind, HostStat};
use crate::kernel::Kernel;
use crate::kernel::cred::Ucred;
use crate::kernel::shared::Shared;
use crate::mem::FileId;

/// Preferred transfer size of files (f_iosize of 2.1's usual file system).
const IOSIZE: u32 = 8192;
/// The same of block devices (BLKDEV_IOSIZE).
const BLKDEV_IOSIZE: u32 = 2048;
/// The same of character devices (MAXBSIZE).
const MAXBSIZE: u32 = 65536;
/// Largest size of a file: 2.1 stops at what its virtual memory can map (ffs_vfsops.c, ffs_mountfs).
pub const MAXFILESIZE: u64 = (1 << 31) - 1;
/// Most links (LINK_MAX).
pub const LINK_MAX: u64 = 32767;

/// How the tree is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whose files are whose.
    pub owners: Owners,
    /// Runs must be repeatable: no number of the host shows.
    pub repeatable: bool,
    /// What random numbers begin with where runs are repeatable.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Options {
        let host = fs::host_identity();
        Options { owners: Owners { host, guest: (0, 0) }, repeatable: false, seed: 0 }
    }
}

/// Mounts, vnodes, names.
#[derive(Clone, Debug, Default)]
pub struct Vfs {
    options: Options,
    /// A privileged emulator gives files of the host away where the guest does.
    host_owners: bool,
    mounts: Vec<mount::Mount>,
    vnodes: vnode::Table,
    /// The guest's own /tmp, where it has one.
    private: Option<mount::Private>,
    /// The root of all (`rootvnode`), once something is mounted.
    root: Option<VnodeId>,
    /// Device and inode numbers.
    identities: identity::Identities,
    /// Where the entries of directories lie.
    slots: dirslots::Slots,
    /// The directory and the entry that the last look-up found.
    found_last: [Option<VnodeId>; 2],
    /// The directory of devices, once it is mounted.
    dev: Option<VnodeId>,
    /// Host streams that are waited for.
    waiting: stream::Waiting,
    /// Locks that are waited for.
    lock_waits: locking::Waits,
    /// State of the random numbers of a repeatable run.
    seed: Option<u64>,
    /// What is seen instead of special file systems of the host: mount, and device and inode of the host.
    hidden: HashMap<(usize, u64, u64), VnodeId>,
    /// Files whose bytes have become those of another file of the host: their mappings must follow.
    moved: Vec<(FileId, Rc<OwnedFd>)>,
    /// What a repeatable run has done to files.
    repeat: Option<repeat::Repeat>,
    /// What no file of the root keeps.
    kept: Option<keep::Kept>,
    /// The root has a directory of bsd21's own, which look-ups do not find.
    hides_own: bool,
    /// Processes, for the file system that shows them.
    view: procfs::View,
    /// Directories of the host that are given as disks.
    disks: Vec<mount::Disk>,
    /// Where file systems in memory are made.
    above: Option<std::path::PathBuf>,
    /// Values, for the file system that shows them.
    kernel_view: kernfs::View,
    /// How look-ups of names went.
    name_counts: NameCounts,
    /// The file of a kernel for roots that have none, and its vnode once somebody has looked.
    kernel_file: Option<Rc<[u8]>>,
    /// Which files of the host a recorded run reads.
    pub reads: Option<reads::Reads>,
    kernel_vnode: Option<VnodeId>,
}

/// How look-ups of names of files went (`nchstats`): what is held is what a cache of names would have known.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::kernel) struct NameCounts {
    /// The file was held.
    pub(in crate::kernel) hits: u32,
    /// It had to be looked for.
    pub(in crate::kernel) misses: u32,
    /// The name is longer than 2.1's cache takes (NCHNAMLEN).
    pub(in crate::kernel) long: u32,
}

/// Longest name that 2.1's cache takes.
const NCHNAMLEN: usize = 31;

/// Adds a reference to a vnode.
pub fn vref(kernel: &mut Kernel, id: VnodeId) {
    kernel.vfs.vref(id);
}

/// Drops a reference to a vnode.
pub fn vrele(kernel: &mut Kernel, id: VnodeId) {
    kernel.vfs.vrele(id);
}

impl Vfs {
    /// Sets how many descriptors the host allows this process.
    pub fn set_descriptors(&mut self, most: u64) {
        self.vnodes.set_descriptors(most);
    }

    /// An empty tree; nothing can be looked up before a root is mounted.
    pub fn new(options: Options) -> Vfs {
        let seed = options.repeatable.then_some(options.seed);
        let repeat = options.repeatable.then(repeat::Repeat::default);
        let identities = identity::Identities::new(options.repeatable);
        Vfs { options, seed, repeat, identities, ..Vfs::default() }
    }

    /// Whether nothing of the host may show.
    pub fn is_repeatable(&self) -> bool {
        self.options.repeatable
    }

    /// Lets the guest's changes of owners be changes of owners on the host, too.
    pub fn change_host_owners(&mut self) {
        self.host_owners = true;
    }

    /// The root of all (`rootvnode`).
    pub fn root_vnode(&self) -> VnodeId {
        self.root.expect("a root is mounted before the first process runs")
    }

    /// Adds a reference to a vnode.
    pub fn vref(&mut self, id: VnodeId) {
        self.vnodes.vref(id);
    }

    /// Drops a reference to a vnode.
    pub fn vrele(&mut self, id: VnodeId) {
        self.vnodes.vrele(id);
        // A file without a name and without users is gone: so must be our hold on its blocks.
        let gone = |vnode: &Vnode| vnode.host().is_some_and(|h| h.place.stat().is_ok_and(|s| s.nlink == 0));
        if self.vnodes[id].usecount == 0 && !self.vnodes[id].inode.is_used() && gone(&self.vnodes[id]) {
            if let (Some(kept), Some(node)) = (&self.kept, self.vnodes[id].host()) {
                kept.forget((node.dev, node.ino));
            }
            if let (Some(room), Some(node)) = (&self.mount_of(id).room, self.vnodes[id].host()) {
                room.forget((node.dev, node.ino));
            }
            if let (Some(repeat), Some(node)) = (&mut self.repeat, self.vnodes[id].host()) {
                let key = (node.dev, node.ino);
                repeat.forget(key);
                self.identities.forget(self.mounts[self.vnodes[id].mount.0].unit, key);
            }
            for view in self.vnodes.views(id) {
                if let Some(node) = self.vnodes[view].host() {
                    self.slots.forget((self.vnodes[view].mount.0, node.dev, node.ino));
                }
                self.vnodes.forget(view);
            }
        }
    }

    /// A vnode that somebody holds.
    pub fn vnode(&self, id: VnodeId) -> &Vnode {
        &self.vnodes[id]
    }

    /// All vnodes that are held or cached.
    pub(in crate::kernel) fn vnodes(&self) -> Vec<VnodeId> {
        self.vnodes.ids()
    }

    /// How look-ups of names went.
    pub(in crate::kernel) fn name_counts(&self) -> NameCounts {
        self.name_counts
    }

    /// A vnode that somebody holds, to change it.
    pub fn vnode_mut(&mut self, id: VnodeId) -> &mut Vnode {
        &mut self.vnodes[id]
    }

    /// Checks what `cred` may do (`VOP_ACCESS`).
    pub fn access(&mut self, id: VnodeId, want: Want, cred: &Ucred) -> Result<(), Errno> {
        if let Some(shown) = self.shown(id) {
            return self.access(shown, want, cred);
        }
        let vnode = &self.vnodes[id];
        if let Body::Kernel(node) = vnode.body {
            return kernfs::access(node, want, cred);
        }
        if matches!(vnode.body, Body::Disc(_)) {
            // Everybody may do with what is on a disc whatever does not change it (`cd9660_access`).
            let stored = matches!(vnode.kind, Vtype::Dir | Vtype::Lnk | Vtype::Reg);
            return if stored && want.contains(Want::WRITE) { Err(Errno::EROFS) } else { Ok(()) };
        }
        let ours =
            vnode.kind == Vtype::Dir && matches!(vnode.body, Body::BuiltIn(_)) && !self.takes_names(id);
        let read_only = ours || self.read_only(id);
        if cred.is_superuser() && !want.contains(Want::WRITE) {
            return Ok(());
        }
        let attr = self.getattr(id)?;
        access::vaccess(&attr, read_only, want, cred)
    }

    /// The attributes of a file (`VOP_GETATTR`).
    pub fn getattr(&mut self, id: VnodeId) -> Result<Vattr, Errno> {
        if let Some(attributes) = self.union_attributes(id) {
            return attributes;
        }
        if let Body::Process(node) = self.vnodes[id].body {
            let attr = self.process_attributes(self.vnodes[id].kind, node)?;
            return Ok(Vattr { fsid: self.device_of(self.vnodes[id].mount), ..attr });
        }
        if let Body::Kernel(node) = self.vnodes[id].body {
            let attr = self.kernel_attributes(self.vnodes[id].kind, node);
            return Ok(Vattr { fsid: self.device_of(self.vnodes[id].mount), ..attr });
        }
        if let Body::Disc(own) = &self.vnodes[id].body {
            return Ok(Vattr { fsid: self.device_of(self.vnodes[id].mount), ..own.attributes() });
        }
        let Vfs { mounts, vnodes, options, repeat, identities, kept, .. } = self;
        let vnode = &vnodes[id];
        let mount = &mounts[vnode.mount.0];
        let mut attr = match &vnode.body {
            Body::Host(node) => {
                let stat = node.place.stat()?;
                let mut attr = from_host(vnode.kind, &stat, &options.owners);
                (attr.fsid, attr.fileid) = identities.of_host(mount.unit, node.dev, node.ino);
                if repeat.is_none() {
                    vnode.inode.refresh(&node.place, &stat);
                    if let Some(kept) = kept
                        && vnode.inode.extra.get() == Extra::default()
                        && let Some(extra) = kept.get(&stat)
                    {
                        vnode.inode.extra.set(extra);
                    }
                }
                if let Some(repeat) = repeat {
                    repeat.settle(&mut attr, (node.dev, node.ino), options.owners.guest);
                    if mount.root == id && mount.kind == mount::FsType::Mfs {
                        attr.mode = 0o1777;
                    }
                }
                overlay(&mut attr, &vnode.inode.extra.get());
                attr
            }
            Body::Stream(stream) => {
                let stat = stream.stat()?;
                let mut attr = from_host(vnode.kind, &stat, &options.owners);
                (attr.fsid, attr.fileid) = identities.of_host(mount.unit, stat.dev, stat.ino);
                if let Some(repeat) = repeat {
                    repeat.settle_stream(&mut attr, (stat.dev, stat.ino), options.owners.guest);
                }
                attr
            }
            Body::BuiltIn(own) => {
                let mut attr = Vattr {
                    kind: vnode.kind,
                    mode: own.perm,
                    nlink: 1,
                    uid: 0,
                    gid: 0,
                    fsid: identities.device(mount.unit),
                    fileid: own.ino,
                    size: match vnode.kind {
                        Vtype::Dir => 512,
                        _ => vnode.inode.size_in_memory(),
                    },
                    blocksize: IOSIZE,
                    atime: own.times[0],
                    mtime: own.times[1],
                    ctime: own.times[2],
                    flags: 0,
                    rdev: own.rdev,
                    bytes: 0,
                };
                overlay(&mut attr, &vnode.inode.extra.get());
                attr
            }
            Body::Memory(ino, bytes) => {
                let time = fs::HostTime::default();
                Vattr {
                    kind: vnode.kind,
                    mode: 0o555,
                    nlink: 1,
                    uid: 0,
                    gid: 0,
                    fsid: identities.device(mount.unit),
                    fileid: *ino,
                    size: bytes.len() as u64,
                    blocksize: IOSIZE,
                    atime: time,
                    mtime: time,
                    ctime: time,
                    flags: vnode.inode.extra.get().flags,
                    rdev: 0,
                    bytes: bytes.len() as u64,
                }
            }
            Body::Disc(_) | Body::Process(_) | Body::Kernel(_) | Body::Dead => return Err(Errno::EBADF),
        };
        match vnode.kind {
            Vtype::Blk => attr.blocksize = BLKDEV_IOSIZE,
            Vtype::Chr => attr.blocksize = MAXBSIZE,
            _ => {}
        }
        if vnode.kind == Vtype::Dir {
            attr.nlink = self.directory_links(id, attr.nlink);
        }
        Ok(attr)
    }

    /// The text of a symbolic link (`VOP_READLINK`).
    pub fn readlink(&self, id: VnodeId) -> Result<Vec<u8>, Errno> {
        let vnode = &self.vnodes[id];
        match &vnode.body {
            Body::Host(node) => Ok(node.place.readlink()?),
            Body::Disc(own) => own.link(),
            _ => vnode.inode.text.borrow().as_ref().map(|text| text.to_vec()).ok_or(Errno::EINVAL),
        }
    }

    /// The entry `name` of a directory, without any check; never `.` or `..`.
    fn child(&mut self, directory: VnodeId, name: &[u8]) -> Result<Option<VnodeId>, Errno> {
        let vnode = &self.vnodes[directory];
        if vnode.union.is_some() {
            return self.union_entry(directory, name, &Ucred { uid: 0, groups: vec![0] });
        }
        if let Body::Process(node) = vnode.body {
            return Ok(self.process_entry(directory, node, name));
        }
        if let Body::Kernel(node) = vnode.body {
            return self.kernel_entry(directory, node, name);
        }
        if matches!(vnode.body, Body::Disc(_)) {
            return self.disc_entry(directory, name);
        }
        if let Some(&graft) = vnode.grafts.get(name) {
            self.name_counts.hits = self.name_counts.hits.wrapping_add(1);
            return Ok(Some(graft));
        }
        if self.is_own(directory, name) {
            return Ok(None);
        }
        let Some(node) = vnode.host() else { return Ok(None) };
        let place = match node.place.child(name) {
            Ok(place) => place,
            Err(error) => match Errno::from(error) {
                Errno::ENOENT => return Ok(None),
                other => return Err(other),
            },
        };
        let mount = vnode.mount;
        let known = self.vnodes.made();
        let held = self.hold(directory, mount, place)?;
        let counts = &mut self.name_counts;
        let count = match name.len() {
            0..=NCHNAMLEN if self.vnodes.made() == known => &mut counts.hits,
            0..=NCHNAMLEN => &mut counts.misses,
            _ => &mut counts.long,
        };
        *count = count.wrapping_add(1);
        Ok(Some(held))
    }

    /// The vnode of a place that was found in `directory`.
    fn hold(&mut self, directory: VnodeId, mount: mount::MountId, place: Hold) -> Result<VnodeId, Errno> {
        let stat = place.stat()?;
        if self.is_hidden(directory, mount, &place, &stat)? {
            return self.hidden(directory, mount, &stat);
        }
        let id = match self.vnodes.find(mount, stat.dev, stat.ino) {
            Some(id) => {
                if self.repeat.is_none() {
                    self.vnodes[id].inode.refresh(&place, &stat);
                }
                id
            }
            None => {
                let vnode = self.host_vnode(mount, place, &stat)?;
                self.vnodes.insert(vnode)
            }
        };
        if self.vnodes[id].kind == Vtype::Dir && !self.is_mount_root(id) {
            self.vnodes.set_parent(id, directory);
        }
        Ok(id)
    }

    /// Whether an entry of a directory leads into a special file system of the host that nobody has lent.
    fn is_hidden(
        &self,
        directory: VnodeId,
        mount: mount::MountId,
        place: &Hold,
        stat: &HostStat,
    ) -> HostResult<bool> {
        let crosses = self.vnodes[directory].host().is_none_or(|node| node.dev != stat.dev);
        Ok(crosses && !self.mounts[mount.0].special && place.special()?.is_some())
    }

    /// What is seen of it: an empty directory, and nothing of what is no directory.
    fn hidden(
        &mut self,
        directory: VnodeId,
        mount: mount::MountId,
        stat: &HostStat,
    ) -> Result<VnodeId, Errno> {
        if stat.kind != HostKind::Directory {
            return Err(Errno::ENOENT);
        }
        let key = (mount.0, stat.dev, stat.ino);
        if let Some(&id) = self.hidden.get(&key) {
            return Ok(id);
        }
        let (_, ino) = self.identities.of_host(self.mounts[mount.0].unit, stat.dev, stat.ino);
        let body = Body::BuiltIn(vnode::BuiltIn { ino, perm: 0o555, rdev: 0, times: Default::default() });
        let id = self.vnodes.insert(Vnode::new(Vtype::Dir, mount, body));
        self.vnodes.set_parent(id, directory);
        // Something may be mounted on it: it stays the same.
        self.vnodes.vref(id);
        self.hidden.insert(key, id);
        Ok(id)
    }

    /// Whether a vnode is the root of some mount: found again below itself through a mount of the host,
    /// it keeps being a root.
    fn is_mount_root(&self, id: VnodeId) -> bool {
        self.mounts.iter().any(|mount| mount.root == id)
    }

    /// A new vnode for a place of the host.
    fn host_vnode(&self, mount: mount::MountId, place: Hold, stat: &HostStat) -> HostResult<Vnode> {
        if let Some(reads) = self.reads.as_ref().filter(|reads| reads.wants_names())
            && let Some(path) = place.below_path()
        {
            reads.met(path);
        }
        let inode = match &self.repeat {
            Some(repeat) => Inode::new(repeat.extra((stat.dev, stat.ino))),
            None => Shared::default(),
        };
        if self.repeat.is_none() {
            inode.refresh(&place, stat);
            self.take_kept(&inode, stat);
        }
        let kind = match (inode.extra.get().device, stat.kind) {
            (Some((kind, _)), HostKind::Regular) => kind,
            (_, HostKind::Directory) => Vtype::Dir,
            (_, HostKind::Symlink) => Vtype::Lnk,
            (_, HostKind::Fifo) => Vtype::Fifo,
            (_, HostKind::Socket) => Vtype::Sock,
            (_, HostKind::CharDevice) => Vtype::Chr,
            (_, HostKind::BlockDevice) => Vtype::Blk,
            (_, HostKind::Regular | HostKind::Unknown) => Vtype::Reg,
        };
        let node = HostNode { place, dev: stat.dev, ino: stat.ino };
        let mut vnode = Vnode::new(kind, mount, Body::Host(node));
        vnode.inode = inode;
        Ok(vnode)
    }
}

/// The host's word about a file, in the guest's terms.
fn from_host(kind: Vtype, stat: &HostStat, owners: &Owners) -> Vattr {
    let size = match kind {
        Vtype::Reg | Vtype::Lnk => stat.size,
        Vtype::Dir => stat.size.max(1).next_multiple_of(512),
        _ => 0,
    };
    let (major, minor) = stat.rdev;
    Vattr {
        kind,
        mode: (stat.perm & 0o7777) as u16,
        nlink: stat.nlink.min(LINK_MAX) as u16,
        uid: owners.guest_uid(stat.uid),
        gid: owners.guest_gid(stat.gid),
        fsid: 0,
        fileid: 0,
        size,
        blocksize: IOSIZE,
        atime: stat.atime,
        mtime: stat.mtime,
        ctime: stat.ctime,
        flags: 0,
        rdev: if matches!(kind, Vtype::Chr | Vtype::Blk) { (major & 0xff) << 8 | (minor & 0xff) } else { 0 },
        bytes: stat.blocks.saturating_mul(512),
    }
}

/// What the extended attribute says instead.
fn overlay(attr: &mut Vattr, extra: &Extra) {
    attr.uid = extra.uid.unwrap_or(attr.uid);
    attr.gid = extra.gid.unwrap_or(attr.gid);
    attr.mode = extra.mode.unwrap_or(attr.mode);
    attr.flags = extra.flags;
    if let Some((_, rdev)) = extra.device {
        attr.rdev = rdev;
    }
}
