//! Making, removing and renaming entries, after the look-up has said that it may be done.
//!
//! Must not know guest memory or descriptors.  2.1 counterpart: ufs_create, ufs_makeinode, ufs_mkdir,
//! ufs_mknod, ufs_symlink, ufs_remove, ufs_rmdir, ufs_link, ufs_rename in ufs/ufs/ufs_vnops.c.

use std::rc::Rc;

use syscalls::Errno;

use super::access::Want;
use super::attr::{APPEND, Extra, IMMUTABLE, S_ISGID};
use super::hold::Hold;
use super::namei::Found;
use super::repeat::Change;
use super::vnode::{Body, VnodeId, Vtype};
use super::{LINK_MAX, Vfs};
use crate::host::change::NodeKind;
use crate::kernel::cred::Ucred;

/// What is to be made.
#[derive(Clone, Copy, Debug)]
pub enum Make<'a> {
    /// An empty regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link with this text.
    Symlink(&'a [u8]),
    /// A fifo.
    Fifo,
    /// A name for a socket.
    Socket,
    /// A device node: block or character, and its number.
    Device(Vtype, u32),
}

impl Vfs {
    /// Makes the entry that a look-up found to be free (`ufs_makeinode`, `ufs_mkdir`); EEXIST where somebody
    /// outside was faster.  Gives its vnode, of a file in any case; the host gives no hold on anything else
    /// while it is made, and its name may stand for nothing any more.
    pub fn make(
        &mut self,
        at: &Found,
        what: Make<'_>,
        mode: u16,
        cred: &Ucred,
    ) -> Result<Option<VnodeId>, Errno> {
        if let Some(above) = self.entry_above(at)? {
            let made = self.make(&above, what, mode, cred)?;
            return made.map(|made| self.made_above(at.dvp, made, &at.name)).transpose();
        }
        let directory = self.getattr(at.dvp)?;
        if matches!(what, Make::Directory) && u64::from(directory.nlink) >= LINK_MAX {
            return Err(Errno::EMLINK);
        }
        if self.takes_names(at.dvp) {
            return self.make_in_memory(at, what, mode, cred, &directory).map(Some);
        }
        self.room_for_file(at.dvp)?;
        let place = self.directory_place(at.dvp)?;
        let (name, perm) = (&at.name[..], u32::from(mode));
        let mut opened = None;
        let made = match what {
            Make::File => {
                let (made, fd) = place.create_open(name, perm)?;
                opened = Some(Rc::new(fd));
                Some(made)
            }
            Make::Device(..) => Some(place.create(name, perm)?),
            Make::Directory => place.mkdir(name, perm)?,
            Make::Symlink(text) => place.symlink(name, text)?,
            Make::Fifo => place.mknod(name, NodeKind::Fifo, perm)?,
            Make::Socket => place.mknod(name, NodeKind::Socket, perm)?,
        };
        self.changed(at.dvp, Change::Content);
        let Some(made) = made else { return Ok(None) };
        let mount = self.vnodes[at.dvp].mount;
        let id = self.hold(at.dvp, mount, made)?;
        *self.vnodes[id].inode.writing.borrow_mut() = opened;
        self.changed(id, Change::Made);
        self.takes_room(id, u64::from(matches!(what, Make::Directory)), false);
        // Groups come from the directory; a symbolic link belongs to the directory's owner.
        let uid = if matches!(what, Make::Symlink(_)) { directory.uid } else { cred.uid };
        let mut mode = mode;
        if mode & S_ISGID != 0 && !cred.is_member(directory.gid) && !cred.is_superuser() {
            mode &= !S_ISGID;
        }
        let device = match what {
            Make::Device(kind, rdev) => Some((kind, rdev)),
            _ => None,
        };
        match self.settle(id, uid, directory.gid, mode, device) {
            Ok(()) => Ok(Some(id)),
            // A node that cannot be told from a file must not stay.
            Err(error) if device.is_some() => {
                self.directory_place(at.dvp)?.remove(name, false)?;
                self.vnodes.forget(id);
                Err(error)
            }
            // The host keeps less than was asked for; the file exists all the same.
            Err(_) => Ok(Some(id)),
        }
    }

    /// Writes down what the host does not say of a new file.
    fn settle(
        &mut self,
        id: VnodeId,
        uid: u32,
        gid: u32,
        mode: u16,
        device: Option<(Vtype, u32)>,
    ) -> Result<(), Errno> {
        if let Some((kind, _)) = device {
            self.vnodes[id].kind = kind;
        }
        self.vnodes[id].inode.extra.set(Extra { device, ..Extra::default() });
        if device.is_some() {
            self.save_extra(id)?;
        }
        let shown = self.getattr(id)?;
        if shown.uid != uid || shown.gid != gid {
            self.change_owner(id, uid, gid)?;
        }
        if self.vnodes[id].kind != Vtype::Lnk && shown.mode != mode {
            self.change_mode(id, mode)?;
        }
        Ok(())
    }

    /// Removes a name that is not a directory (`ufs_remove`).
    pub fn remove(&mut self, at: &Found) -> Result<(), Errno> {
        let vp = at.vp.ok_or(Errno::ENOENT)?;
        if self.is_fixed(at) {
            return Err(Errno::EBUSY);
        }
        if let Some(above) = self.entry_above(at)? {
            self.remove(&above)?;
            self.removed_above(vp);
            return Ok(());
        }
        if self.takes_names(at.dvp) {
            return self.remove_in_memory(at, false);
        }
        if self.flags(vp) & (IMMUTABLE | APPEND) != 0 || self.flags(at.dvp) & APPEND != 0 {
            return Err(Errno::EPERM);
        }
        let directory = self.vnodes[vp].kind == Vtype::Dir;
        let kept = self.kept_path(at, vp);
        self.directory_place(at.dvp)?.remove(&at.name, false).map_err(|error| match Errno::from(error) {
            // The host has no unlink of directories, for nobody.
            Errno::EISDIR if directory => Errno::EPERM,
            other => other,
        })?;
        self.kept_removed(kept, vp);
        self.unnamed(at.dvp, vp);
        Ok(())
    }

    /// Removes an empty directory (`ufs_rmdir`).
    pub fn rmdir(&mut self, at: &Found) -> Result<(), Errno> {
        let vp = at.vp.ok_or(Errno::ENOENT)?;
        if self.is_fixed(at) {
            return Err(Errno::EBUSY);
        }
        if let Some(above) = self.entry_above(at)? {
            self.rmdir(&above)?;
            self.removed_above(vp);
            return Ok(());
        }
        if !self.is_empty_directory(vp)? || at.dotdot {
            return Err(Errno::ENOTEMPTY);
        }
        if self.takes_names(at.dvp) {
            return self.remove_in_memory(at, true);
        }
        if self.flags(at.dvp) & APPEND != 0 || self.flags(vp) & (IMMUTABLE | APPEND) != 0 {
            return Err(Errno::EPERM);
        }
        let kept = self.kept_path(at, vp);
        self.directory_place(at.dvp)?.remove(&at.name, true)?;
        self.kept_removed(kept, vp);
        self.unnamed(at.dvp, vp);
        Ok(())
    }

    /// Gives a file a further name (`ufs_link`).
    pub fn link(&mut self, vp: VnodeId, at: &Found) -> Result<(), Errno> {
        if self.vnodes[vp].mount != self.vnodes[at.dvp].mount {
            return Err(Errno::EXDEV);
        }
        if let Some(above) = self.entry_above(at)? {
            let vp = self.upper(vp)?.ok_or(Errno::EROFS)?;
            return self.link(vp, &above);
        }
        if self.takes_names(at.dvp) {
            return self.link_in_memory(vp, at);
        }
        let Some(node) = self.vnodes[vp].host() else { return Err(Errno::EXDEV) };
        if node.place.stat()?.nlink >= LINK_MAX {
            return Err(Errno::EMLINK);
        }
        if self.flags(vp) & (IMMUTABLE | APPEND) != 0 {
            return Err(Errno::EPERM);
        }
        self.directory_place(at.dvp)?.link_to(&at.name, &node.place)?;
        self.changed(at.dvp, Change::Content);
        self.changed(vp, Change::Attributes);
        Ok(())
    }

    /// Renames (`ufs_rename`): `from` was looked up to be deleted, `to` to be replaced.
    pub fn rename(&mut self, from: &Found, to: &Found, cred: &Ucred) -> Result<(), Errno> {
        let fvp = from.vp.ok_or(Errno::ENOENT)?;
        let mount = self.vnodes[fvp].mount;
        let same_mount = |vfs: &Vfs, id: VnodeId| vfs.vnodes[id].mount == mount;
        if !same_mount(self, to.dvp) || to.vp.is_some_and(|tvp| !same_mount(self, tvp)) {
            return Err(Errno::EXDEV);
        }
        if let (Some(source), Some(target)) = (self.entry_above(from)?, self.entry_above(to)?) {
            if self.is_fixed(from) || self.is_fixed(to) {
                return Err(Errno::EBUSY);
            }
            self.rename(&source, &target, cred)?;
            if self.vnodes[fvp].kind == Vtype::Dir {
                self.vnodes.set_parent(fvp, to.dvp);
            }
            to.vp.filter(|&tvp| tvp != fvp).into_iter().for_each(|tvp| self.removed_above(tvp));
            return Ok(());
        }
        if let Some(tvp) = to.vp
            && (self.flags(tvp) & (IMMUTABLE | APPEND) != 0 || self.flags(to.dvp) & APPEND != 0)
        {
            return Err(Errno::EPERM);
        }
        if to.vp == Some(fvp) {
            // Two names of one file: the old one goes.
            let directory = self.vnodes[fvp].kind == Vtype::Dir;
            return if directory { Err(Errno::ENOENT) } else { self.remove_other_name(from, to) };
        }
        if self.flags(fvp) & (IMMUTABLE | APPEND) != 0 || self.flags(from.dvp) & APPEND != 0 {
            return Err(Errno::EPERM);
        }
        let directory = self.vnodes[fvp].kind == Vtype::Dir;
        if directory {
            self.rename_directory(from, to, fvp, cred)?;
        }
        if let Some(tvp) = to.vp {
            self.sticky(to.dvp, tvp, cred)?;
            if self.vnodes[tvp].kind == Vtype::Dir && !self.is_empty_directory(tvp)? {
                return Err(Errno::ENOTEMPTY);
            }
        }
        if self.is_fixed(from) || self.is_fixed(to) {
            return Err(Errno::EBUSY);
        }
        if self.takes_names(from.dvp) && self.takes_names(to.dvp) {
            return self.rename_in_memory(from, to);
        }
        let kept = self.kept_path(from, fvp);
        let replaced = to.vp.and_then(|tvp| self.kept_path(to, tvp));
        let (source, target) = (self.directory_place(from.dvp)?, self.directory_place(to.dvp)?);
        source.rename(&from.name, target, &to.name, to.vp.is_some())?;
        if let Some(node) = self.vnodes[fvp].host() {
            node.place.moved(target, &to.name);
        }
        if let Some(tvp) = to.vp {
            self.kept_removed(replaced, tvp);
        }
        self.kept_moved(kept, to);
        self.changed(from.dvp, Change::Content);
        self.changed(to.dvp, Change::Content);
        self.changed(fvp, Change::Attributes);
        if directory {
            self.vnodes.set_parent(fvp, to.dvp);
        }
        if let Some(tvp) = to.vp {
            self.gone(tvp);
        }
        Ok(())
    }

    /// Takes the name `from` away from a file that is also called `to`; should somebody outside have removed
    /// that one meanwhile, the file gets it back.
    fn remove_other_name(&mut self, from: &Found, to: &Found) -> Result<(), Errno> {
        if self.takes_names(from.dvp) {
            return self.remove_in_memory(from, false);
        }
        let (source, target) = (self.directory_place(from.dvp)?, self.directory_place(to.dvp)?);
        // The host leaves two names of one file alone.
        source.rename(&from.name, target, &to.name, true)?;
        match self.remove(from) {
            Err(Errno::ENOENT) => Ok(()),
            other => other,
        }
    }

    /// What must hold for a directory to move.
    fn rename_directory(
        &mut self,
        from: &Found,
        to: &Found,
        fvp: VnodeId,
        cred: &Ucred,
    ) -> Result<(), Errno> {
        if from.name == b"." || from.dvp == fvp || from.dotdot || to.dotdot {
            return Err(Errno::EINVAL);
        }
        if from.dvp == to.dvp {
            return Ok(());
        }
        // Its own `..` changes.
        self.access(fvp, Want::WRITE, cred)?;
        self.check_path(fvp, to.dvp)
    }

    /// A directory must not become its own ancestor (`ufs_checkpath`).
    fn check_path(&self, source: VnodeId, target: VnodeId) -> Result<(), Errno> {
        if source == target {
            return Err(Errno::EINVAL);
        }
        let mut at = target;
        // The host may have moved directories behind our back; a ring of parents must end, too.
        for _ in 0..super::namei::MAXPATHLEN {
            let Some(parent) = self.vnodes[at].parent else { return Ok(()) };
            if parent == source {
                return Err(Errno::EINVAL);
            }
            at = parent;
        }
        Err(Errno::ENOTDIR)
    }

    /// Whether an entry holds up the tree: a graft on the way to a mount, or a mount's root.
    fn is_fixed(&self, at: &Found) -> bool {
        self.vnodes[at.dvp].grafts.contains_key(&at.name) && !self.takes_names(at.dvp)
            || at.vp.is_some_and(|vp| self.is_mount_root(vp) || self.vnodes[vp].mounted_here.is_some())
    }

    /// The host's side of a directory in which something is to be changed.
    fn directory_place(&self, id: VnodeId) -> Result<&Hold, Errno> {
        match &self.vnodes[id].body {
            Body::Host(node) => Ok(&node.place),
            _ => Err(Errno::EROFS),
        }
    }

    /// The flags of a file (chflags).
    pub(super) fn flags(&self, id: VnodeId) -> u32 {
        self.vnodes[id].inode.extra.get().flags
    }

    /// A name of a file in a directory went away.
    fn unnamed(&mut self, directory: VnodeId, vp: VnodeId) {
        self.changed(directory, Change::Content);
        self.changed(vp, Change::Attributes);
        self.gone(vp);
    }

    /// A name of this file went away: if it was the last and nobody uses it, so does the vnode.
    fn gone(&mut self, id: VnodeId) {
        if !self.vnodes.contains(id) {
            return;
        }
        for view in self.vnodes.views(id) {
            if self.vnodes.contains(view) && self.vnodes[view].usecount == 0 {
                self.vref(view);
                self.vrele(view);
            }
        }
    }
}
