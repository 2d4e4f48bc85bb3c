//! Names that exist in memory only: what guests make, remove and rename in /dev.
//!
//! The nodes of the kernel's own are entries like those that a guest makes; all of them can be removed, and none
//! of it outlives the run.
//!
//! Must not know what devices are.  2.1 counterpart: that of [`node`](super::node), for a /dev on the root disk.

use std::rc::Rc;

use syscalls::Errno;

use super::attr::{S_ISGID, Vattr};
use super::mount::{FsType, MountFlags};
use super::namei::{Found, Nameidata, Start};
use super::node::Make;
use super::vnode::{Body, BuiltIn, Vnode, VnodeId, Vtype};
use super::{LINK_MAX, Vfs};
use crate::host::fs::HostTime;
use crate::host::{clock, memory};
use crate::kernel::cred::Ucred;

/// Most names in one directory, and most bytes of a file: no limit of the guest counts this memory.
const MOST: usize = 1024;
const LARGEST: u64 = 64 << 10;

impl Vfs {
    /// Refuses a regular file in memory that would become too large; says nothing of others.
    pub(super) fn fits_in_memory(&self, id: VnodeId, size: u64) -> Result<(), Errno> {
        let in_memory = self.vnodes[id].inode.memory.borrow().is_some();
        if in_memory && size > LARGEST { Err(Errno::ENOSPC) } else { Ok(()) }
    }

    /// Whether names can be made and removed in a directory of our own.
    pub(super) fn takes_names(&self, directory: VnodeId) -> bool {
        let vnode = &self.vnodes[directory];
        let mount = self.mount_of(directory);
        let ours = matches!(vnode.body, Body::BuiltIn(_)) && vnode.kind == Vtype::Dir;
        // The entries of /dev/fd are the descriptors of whoever looks.
        let of_descriptors = vnode.is_fixed_directory();
        ours && mount.kind == FsType::Devfs && !mount.flags.contains(MountFlags::RDONLY) && !of_descriptors
    }

    /// The time that new nodes carry.
    pub(super) fn node_time(&self) -> HostTime {
        match &self.repeat {
            Some(repeat) => repeat.time(),
            None => {
                let now = clock::realtime();
                HostTime { sec: (now / 1_000_000_000) as i64, nsec: (now % 1_000_000_000) as i64 }
            }
        }
    }

    /// Makes the entry that a look-up found to be free.
    pub(super) fn make_in_memory(
        &mut self,
        at: &Found,
        what: Make<'_>,
        mode: u16,
        cred: &Ucred,
        directory: &Vattr,
    ) -> Result<VnodeId, Errno> {
        if self.vnodes[at.dvp].grafts.len() >= MOST {
            return Err(Errno::ENOSPC);
        }
        let (kind, rdev) = match what {
            Make::File => (Vtype::Reg, 0),
            Make::Directory => (Vtype::Dir, 0),
            Make::Symlink(_) => (Vtype::Lnk, 0),
            Make::Fifo => (Vtype::Fifo, 0),
            Make::Socket => (Vtype::Sock, 0),
            Make::Device(kind, rdev) => (kind, rdev),
        };
        let mut perm = mode;
        if perm & S_ISGID != 0 && !cred.is_member(directory.gid) && !cred.is_superuser() {
            perm &= !S_ISGID;
        }
        let mount = self.vnodes[at.dvp].mount;
        let ino = self.identities.built_in(self.mounts[mount.0].unit);
        let times = [self.node_time(); 3];
        let vnode = Vnode::new(kind, mount, Body::BuiltIn(BuiltIn { ino, perm, rdev, times }));
        // A symbolic link belongs to the directory's owner.
        let uid = if kind == Vtype::Lnk { directory.uid } else { cred.uid };
        vnode.inode.update(|extra| (extra.uid, extra.gid) = (Some(uid), Some(directory.gid)));
        match what {
            Make::Symlink(text) => *vnode.inode.text.borrow_mut() = Some(text.into()),
            Make::File => {
                let file = memory::file(&[]).map_err(|_| Errno::ENOSPC)?;
                *vnode.inode.memory.borrow_mut() = Some(Rc::new(file));
            }
            _ => {}
        }
        let id = self.vnodes.insert(vnode);
        self.vnodes.graft(at.dvp, &at.name, id);
        self.touched(at.dvp);
        Ok(id)
    }

    /// Removes a name: of a directory with `directory`, of anything else without.
    pub(super) fn remove_in_memory(&mut self, at: &Found, directory: bool) -> Result<(), Errno> {
        let vp = at.vp.ok_or(Errno::ENOENT)?;
        if self.is_mount_root(vp) || self.vnodes[vp].mounted_here.is_some() {
            return Err(Errno::EBUSY);
        }
        if (self.vnodes[vp].kind == Vtype::Dir) != directory {
            return Err(if directory { Errno::ENOTDIR } else { Errno::EPERM });
        }
        if !self.vnodes.ungraft(at.dvp, &at.name) {
            return Err(Errno::ENOENT);
        }
        self.touched(at.dvp);
        Ok(())
    }

    /// Gives a node a further name in a directory of its mount.
    pub(super) fn link_in_memory(&mut self, vp: VnodeId, at: &Found) -> Result<(), Errno> {
        if self.vnodes[vp].kind == Vtype::Dir {
            return Err(Errno::EPERM);
        }
        if self.vnodes[at.dvp].grafts.len() >= MOST.min(LINK_MAX as usize) {
            return Err(Errno::ENOSPC);
        }
        self.vnodes.graft(at.dvp, &at.name, vp);
        self.touched(at.dvp);
        Ok(())
    }

    /// Renames an entry to a name that is free, or whose entry goes.
    pub(super) fn rename_in_memory(&mut self, from: &Found, to: &Found) -> Result<(), Errno> {
        let fvp = from.vp.ok_or(Errno::ENOENT)?;
        if self.is_mount_root(fvp) || self.vnodes[fvp].mounted_here.is_some() {
            return Err(Errno::EBUSY);
        }
        if to.vp.is_some() {
            let directory = to.vp.is_some_and(|tvp| self.vnodes[tvp].kind == Vtype::Dir);
            self.remove_in_memory(to, directory)?;
        }
        self.vnodes.graft(to.dvp, &to.name, fvp);
        self.vnodes.ungraft(from.dvp, &from.name);
        if self.vnodes[fvp].kind == Vtype::Dir {
            self.vnodes.set_parent(fvp, to.dvp);
        }
        self.touched(from.dvp);
        self.touched(to.dvp);
        Ok(())
    }

    /// Shows a file that exists in memory where a tree has none; false where it has one, or no place for it.
    pub fn offer(&mut self, path: &[u8], content: &[u8]) -> bool {
        let Some(end) = path.iter().rposition(|&c| c == b'/') else { return false };
        let (above, name) = path.split_at(end);
        if self.known(path, true).is_some() {
            return false;
        }
        let directory = match self.known(above, true) {
            // A link that leads nowhere is the tree's own affair.
            None if self.known(above, false).is_some() => return false,
            None => self.directory_for_mount(above).ok(),
            found => found.filter(|&found| self.vnodes[found].kind == Vtype::Dir),
        };
        let (Some(directory), Ok(file)) = (directory, memory::file(content)) else { return false };
        let mount = self.vnodes[directory].mount;
        let made = self.built_in(mount, Vtype::Reg, 0o444, 0);
        *self.vnodes[made].inode.memory.borrow_mut() = Some(Rc::new(file));
        self.vnodes.graft(directory, &name[1..], made);
        true
    }

    /// What a path leads to, for the super-user.
    fn known(&mut self, path: &[u8], follow: bool) -> Option<VnodeId> {
        let top = self.root_vnode();
        let god = Ucred { uid: 0, groups: vec![0] };
        let wanted = Nameidata { follow, ..Nameidata::lookup(path) };
        self.namei(&wanted, Start { cwd: top, root: top }, &god).ok()?.vp
    }

    /// A directory of ours was changed.
    fn touched(&mut self, directory: VnodeId) {
        let now = self.node_time();
        self.used(directory, true, now);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::super::mount::Source;
    use super::super::namei::Op;
    use super::*;

    fn cred(uid: u32) -> Ucred {
        Ucred { uid, groups: vec![uid] }
    }

    fn devices() -> Vfs {
        let mut vfs = Vfs::new(Options::default());
        vfs.mount_root(&Source::Empty, MountFlags::empty()).unwrap();
        vfs.mount(&Source::Devices, b"/dev", MountFlags::empty()).unwrap();
        vfs
    }

    fn find(vfs: &mut Vfs, path: &[u8], op: Op) -> Result<Found, Errno> {
        find_as(vfs, path, op, 0)
    }

    fn find_as(vfs: &mut Vfs, path: &[u8], op: Op, uid: u32) -> Result<Found, Errno> {
        let top = vfs.root_vnode();
        vfs.namei(&Nameidata::new(path, op), Start { cwd: top, root: top }, &cred(uid))
    }

    fn make(vfs: &mut Vfs, path: &[u8], what: Make<'_>) -> VnodeId {
        let at = find(vfs, path, Op::Create).unwrap();
        assert!(at.vp.is_none());
        vfs.make(&at, what, 0o640, &cred(0)).unwrap().unwrap()
    }

    #[test]
    fn names_of_every_kind_are_made_and_removed() {
        let mut vfs = devices();
        for (name, what) in [
            (&b"/dev/log"[..], Make::Socket),
            (b"/dev/gizmo", Make::Device(Vtype::Chr, 0x1203)),
            (b"/dev/disk", Make::Device(Vtype::Blk, 0x0401)),
            (b"/dev/link", Make::Symlink(b"null")),
            (b"/dev/pipe", Make::Fifo),
            (b"/dev/file", Make::File),
        ] {
            let made = make(&mut vfs, name, what);
            let attr = vfs.getattr(made).unwrap();
            assert!(attr.mtime.sec > 0 && attr.uid == 0, "{attr:?}");
            if let Make::Device(kind, rdev) = what {
                assert_eq!((attr.kind, attr.rdev, attr.mode), (kind, rdev, 0o640));
            }
            let at = find(&mut vfs, name, Op::Delete).unwrap();
            assert_eq!(at.vp, Some(made));
            vfs.remove(&at).unwrap();
            assert_eq!(find(&mut vfs, name, Op::Lookup).unwrap_err(), Errno::ENOENT);
        }
        let null = find(&mut vfs, b"/dev/null", Op::Delete).unwrap();
        vfs.remove(&null).unwrap();
        assert!(find(&mut vfs, b"/dev/null", Op::Lookup).is_err(), "the kernel's own, too");
    }

    #[test]
    fn links_are_followed_and_files_hold_bytes() {
        let mut vfs = devices();
        make(&mut vfs, b"/dev/mouse", Make::Symlink(b"zero"));
        let top = vfs.root_vnode();
        let zero =
            vfs.namei(&Nameidata::lookup(b"/dev/mouse"), Start { cwd: top, root: top }, &cred(0)).unwrap().vp;
        assert_eq!(zero, find(&mut vfs, b"/dev/zero", Op::Lookup).unwrap().vp);
        let file = make(&mut vfs, b"/dev/notes", Make::File);
        assert_eq!(vfs.write_content(file, 2, b"abc"), Ok(3));
        assert_eq!((vfs.size(file), vfs.getattr(file).unwrap().size), (Ok(5), 5));
        vfs.set_length(file, 3).unwrap();
        let mut bytes = [9; 8];
        assert_eq!(vfs.read_content(file, 0, &mut bytes), Ok(3));
        assert_eq!(&bytes[..3], b"\0\0a");
    }

    #[test]
    fn entries_are_linked_and_renamed_over_others() {
        let mut vfs = devices();
        let made = make(&mut vfs, b"/dev/a", Make::Device(Vtype::Chr, 0x0203));
        let at = find(&mut vfs, b"/dev/b", Op::Create).unwrap();
        vfs.link(made, &at).unwrap();
        let (from, to) = (
            find(&mut vfs, b"/dev/a", Op::Delete).unwrap(),
            find(&mut vfs, b"/dev/zero", Op::Rename).unwrap(),
        );
        vfs.rename(&from, &to, &cred(0)).unwrap();
        assert!(find(&mut vfs, b"/dev/a", Op::Lookup).is_err());
        for name in [&b"/dev/b"[..], b"/dev/zero"] {
            assert_eq!(find(&mut vfs, name, Op::Lookup).unwrap().vp, Some(made));
        }
        make(&mut vfs, b"/dev/sub", Make::Directory);
        make(&mut vfs, b"/dev/sub/x", Make::Fifo);
        let at = find(&mut vfs, b"/dev/sub", Op::Delete).unwrap();
        assert_eq!(vfs.rmdir(&at), Err(Errno::ENOTEMPTY));
        let inside = find(&mut vfs, b"/dev/sub/x", Op::Delete).unwrap();
        vfs.remove(&inside).unwrap();
        vfs.rmdir(&at).unwrap();
    }

    #[test]
    fn files_are_offered_where_a_tree_has_none() {
        let host = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(host.path().join("mnt/etc")).unwrap();
        std::fs::write(host.path().join("mnt/etc/hosts"), b"own").unwrap();
        std::os::unix::fs::symlink("/mnt/etc", host.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("nowhere", host.path().join("lost")).unwrap();
        let mut vfs = Vfs::new(Options::default());
        vfs.mount_root(&Source::Host(host.path()), MountFlags::empty()).unwrap();
        assert!(!vfs.offer(b"/etc/hosts", b"x"), "the tree has one");
        assert!(vfs.offer(b"/etc/resolv.conf", b"offered") && vfs.offer(b"/new/file", b"x"));
        assert!(!vfs.offer(b"/lost/file", b"x"));
        let mut read = |path: &[u8]| {
            let vp = vfs.known(path, true).unwrap();
            let mut bytes = [0; 16];
            let len = vfs.read_content(vp, 0, &mut bytes).unwrap();
            bytes[..len].to_vec()
        };
        assert_eq!(
            (read(b"/mnt/etc/resolv.conf"), read(b"/etc/hosts")),
            (b"offered".to_vec(), b"own".to_vec())
        );
        assert!(!host.path().join("mnt/etc/resolv.conf").exists(), "the host's tree stays as it is");
    }

    #[test]
    fn only_who_may_write_dev_makes_names_and_nobody_does_among_descriptors() {
        let mut vfs = devices();
        assert_eq!(find_as(&mut vfs, b"/dev/x", Op::Create, 7).unwrap_err(), Errno::EACCES);
        assert_eq!(find(&mut vfs, b"/dev/fd/100", Op::Create).unwrap_err(), Errno::EROFS);
    }
}
