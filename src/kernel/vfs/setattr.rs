//! Changing owners, modes, flags, times and sizes.
//!
//! The host is asked first where it can say the same thing; what it refuses, or must not be told, goes
//! into the extended attribute.  Must not know guest memory or descriptors.
//! 2.1 counterpart: ufs_setattr, ufs_chmod, ufs_chown in ufs/ufs/ufs_vnops.c.

use syscalls::Errno;

use super::Vfs;
use super::access::Want;
use super::attr::{
    ALLPERMS, APPEND, ATTRIBUTE, IMMUTABLE, S_ISGID, S_ISTXT, S_ISUID, SF_SETTABLE, UF_SETTABLE,
};
use super::repeat::Change;
use super::vnode::{Body, VnodeId, Vtype};
use crate::host::fs::{HostTime, OpenFor, set_size};
use crate::kernel::cred::Ucred;

/// Immutable and append-only flags of the super-user.
const SF_IMMUTABLE_OR_APPEND: u32 = 0x0006_0000;

impl Vfs {
    /// Whether changes of attributes are silently ignored (`kernfs_setattr`).
    fn ignores_changes(&self, id: VnodeId) -> bool {
        matches!(self.vnodes[id].body, Body::Kernel(_))
    }

    /// Sets flags (chflags).  The security level is 0, as while a machine starts: the super-user may
    /// take every flag away.
    pub fn set_flags(&mut self, id: VnodeId, flags: u32, cred: &Ucred) -> Result<(), Errno> {
        if let Some(upper) = self.upper(id)? {
            return self.set_flags(upper, flags, cred);
        }
        if self.ignores_changes(id) {
            return Ok(());
        }
        self.writable(id)?;
        let attr = self.getattr(id)?;
        owner_or_superuser(attr.uid, cred)?;
        let now = if cred.is_superuser() {
            flags
        } else if attr.flags & SF_IMMUTABLE_OR_APPEND != 0 {
            return Err(Errno::EPERM);
        } else {
            attr.flags & SF_SETTABLE | flags & UF_SETTABLE
        };
        let Some(before) = self.latest_extra(id) else { return Err(Errno::EPERM) };
        self.vnodes[id].inode.update(|extra| extra.flags = now);
        self.save_or_restore(id, before)
    }

    /// Sets owner and group; `u32::MAX` leaves one as it is.
    pub fn set_owner(&mut self, id: VnodeId, uid: u32, gid: u32, cred: &Ucred) -> Result<(), Errno> {
        if let Some(upper) = self.upper(id)? {
            return self.set_owner(upper, uid, gid, cred);
        }
        if self.ignores_changes(id) {
            return Ok(());
        }
        self.changeable(id)?;
        if uid == u32::MAX && gid == u32::MAX {
            return Ok(());
        }
        self.writable(id)?;
        let attr = self.getattr(id)?;
        let uid = if uid == u32::MAX { attr.uid } else { uid };
        let gid = if gid == u32::MAX { attr.gid } else { gid };
        let others_business =
            cred.uid != attr.uid || uid != attr.uid || (gid != attr.gid && !cred.is_member(gid));
        if others_business && !cred.is_superuser() {
            return Err(Errno::EPERM);
        }
        let mut mode = attr.mode;
        if !cred.is_superuser() {
            if uid != attr.uid {
                mode &= !S_ISUID;
            }
            if gid != attr.gid {
                mode &= !S_ISGID;
            }
        }
        if (uid, gid) != (attr.uid, attr.gid) {
            self.change_owner(id, uid, gid)?;
        }
        if mode != attr.mode { self.change_mode(id, mode) } else { Ok(()) }
    }

    /// Sets the permission bits (`ufs_chmod`).
    pub fn set_mode(&mut self, id: VnodeId, mode: u16, cred: &Ucred) -> Result<(), Errno> {
        let mode = mode & ALLPERMS;
        if let Some(upper) = self.upper(id)? {
            return self.set_mode(upper, mode, cred);
        }
        if self.ignores_changes(id) {
            return Ok(());
        }
        self.changeable(id)?;
        self.writable(id)?;
        let attr = self.getattr(id)?;
        owner_or_superuser(attr.uid, cred)?;
        if !cred.is_superuser() {
            if attr.kind != Vtype::Dir && mode & S_ISTXT != 0 {
                return Err(Errno::EFTYPE);
            }
            if !cred.is_member(attr.gid) && mode & S_ISGID != 0 {
                return Err(Errno::EPERM);
            }
        }
        self.change_mode(id, mode)
    }

    /// Sets the times; `now` says that the caller gave none (VA_UTIMES_NULL).
    pub fn set_times(
        &mut self,
        id: VnodeId,
        (atime, mtime): (HostTime, HostTime),
        now: bool,
        cred: &Ucred,
    ) -> Result<(), Errno> {
        if let Some(upper) = self.upper(id)? {
            return self.set_times(upper, (atime, mtime), now, cred);
        }
        if self.ignores_changes(id) {
            return Ok(());
        }
        self.changeable(id)?;
        self.writable(id)?;
        let attr = self.getattr(id)?;
        if let Err(refused) = owner_or_superuser(attr.uid, cred) {
            if !now {
                return Err(refused);
            }
            self.access(id, Want::WRITE, cred)?;
        }
        match self.vnodes[id].host() {
            // Which times the host's file system can keep must not matter.
            Some(node) if self.options.repeatable => drop(node.place.utimes(atime, mtime)),
            Some(node) => node.place.utimes(atime, mtime)?,
            None => {
                if let Body::BuiltIn(own) = &mut self.vnodes[id].body {
                    (own.times[0], own.times[1]) = (atime, mtime);
                }
                return Ok(());
            }
        }
        self.changed(id, Change::Times(atime, mtime));
        Ok(())
    }

    /// Sets the size of a file (`VOP_TRUNCATE` by way of `ufs_setattr`).
    pub fn set_length(&mut self, id: VnodeId, size: u64) -> Result<(), Errno> {
        if let Some(upper) = self.upper(id)? {
            return self.set_length(upper, size);
        }
        self.changeable(id)?;
        match self.vnodes[id].kind {
            Vtype::Dir => return Err(Errno::EISDIR),
            Vtype::Reg | Vtype::Lnk => self.writable(id)?,
            // Devices, fifos and sockets have no size; the call succeeds.
            _ => return Ok(()),
        }
        if size > super::MAXFILESIZE {
            return Err(Errno::EFBIG);
        }
        match &self.vnodes[id].body {
            Body::Stream(stream) => return Ok(stream.set_size(size)?),
            Body::Host(_) => {}
            Body::BuiltIn(_) => self.fits_in_memory(id, size)?,
            _ => return Ok(()),
        }
        self.room_to_end(id, size)?;
        let fd = self.content(id, OpenFor::Writing)?;
        use std::os::fd::AsFd;
        set_size(fd.as_fd(), size)?;
        self.takes_room(id, size, true);
        self.changed(id, Change::Content);
        Ok(())
    }

    /// A write or change of owner by somebody who is not the super-user takes set-id bits away.
    pub fn clear_set_id(&mut self, id: VnodeId, cred: &Ucred) -> Result<(), Errno> {
        if cred.is_superuser() || self.vnodes[id].kind != Vtype::Reg {
            return Ok(());
        }
        let mode = self.getattr(id)?.mode;
        if mode & (S_ISUID | S_ISGID) == 0 {
            return Ok(());
        }
        self.change_mode(id, mode & !(S_ISUID | S_ISGID))
    }

    /// Before the first byte is written, set-id bits of a host file move to where the guest alone sees them:
    /// what a guest writes must not be a set-id program of the host, not for a moment.
    pub(super) fn disarm(&mut self, id: VnodeId) -> Result<(), Errno> {
        let Some(node) = self.vnodes[id].host() else { return Ok(()) };
        let stat = node.place.stat()?;
        let bits = stat.perm & u32::from(S_ISUID | S_ISGID);
        if bits == 0 {
            return Ok(());
        }
        let mode = self.getattr(id)?.mode;
        let Some(before) = self.latest_extra(id) else { return Ok(()) };
        self.vnodes[id].inode.update(|extra| extra.mode = Some(mode));
        // Where nothing can be kept the guest loses the bits, too.
        let _ = self.save_or_restore(id, before);
        match self.vnodes[id].host() {
            Some(node) => Ok(node.place.chmod(stat.perm & !bits)?),
            None => Ok(()),
        }
    }

    /// Records an owner, without any check.
    pub(super) fn change_owner(&mut self, id: VnodeId, uid: u32, gid: u32) -> Result<(), Errno> {
        let owners = self.options.owners;
        let repeatable = self.options.repeatable;
        let Some(before) = self.latest_extra(id) else { return Err(Errno::EPERM) };
        let vnode = &self.vnodes[id];
        if matches!(vnode.body, Body::BuiltIn(_)) {
            vnode.inode.update(|extra| (extra.uid, extra.gid) = (Some(uid), Some(gid)));
            return Ok(());
        }
        let Some(node) = vnode.host() else { return Err(Errno::EPERM) };
        if repeatable {
            // Who runs the emulator decides nothing.
            vnode.inode.update(|extra| {
                extra.uid = (owners.guest.0 != uid).then_some(uid);
                extra.gid = (owners.guest.1 != gid).then_some(gid);
            });
            return self.save_or_restore(id, before);
        }
        let stat = node.place.stat()?;
        // Only a privileged emulator can give files away on the host.
        let shown = (owners.guest_uid(stat.uid), owners.guest_gid(stat.gid));
        if shown != (uid, gid)
            && owners.host.0 == 0
            && self.host_owners
            && let (Some(host_uid), Some(host_gid)) = (owners.host_uid(uid), owners.host_gid(gid))
            && node.place.chown(Some(host_uid), Some(host_gid)).is_ok()
        {
            vnode.inode.update(|extra| (extra.uid, extra.gid) = (None, None));
            return if before == vnode.inode.extra.get() { Ok(()) } else { self.save_extra(id) };
        }
        vnode.inode.update(|extra| {
            extra.uid = (shown.0 != uid).then_some(uid);
            extra.gid = (shown.1 != gid).then_some(gid);
        });
        self.save_or_restore(id, before)
    }

    /// Records permission bits, without any check.
    pub(super) fn change_mode(&mut self, id: VnodeId, mode: u16) -> Result<(), Errno> {
        let Some(before) = self.latest_extra(id) else { return Err(Errno::EPERM) };
        if matches!(self.vnodes[id].body, Body::BuiltIn(_)) {
            self.vnodes[id].inode.update(|extra| extra.mode = Some(mode));
            return Ok(());
        }
        let Some(node) = self.vnodes[id].host() else { return Err(Errno::EPERM) };
        let accepted = node.place.chmod(u32::from(mode)).is_ok() && !self.options.repeatable;
        self.changed(id, Change::Attributes);
        // Set-id bits are never told to the host.
        let kept = (!accepted || mode & (S_ISUID | S_ISGID) != 0).then_some(mode);
        self.vnodes[id].inode.update(|extra| extra.mode = kept);
        self.save_or_restore(id, before)
    }

    /// Writes the extended attribute of a file; EPERM where the host has none.
    pub(super) fn save_extra(&mut self, id: VnodeId) -> Result<(), Errno> {
        if matches!(self.vnodes[id].body, Body::BuiltIn(_)) {
            // What exists in memory only is kept there.
            return Ok(());
        }
        self.changed(id, Change::Attributes);
        let vnode = &self.vnodes[id];
        let Some(node) = vnode.host() else { return Err(Errno::EPERM) };
        let extra = vnode.inode.extra.get();
        if let Some(repeat) = &mut self.repeat {
            repeat.keep_extra((node.dev, node.ino), extra);
            return Ok(());
        }
        let text = extra.text();
        let saved = node.place.set_attribute(ATTRIBUTE, text.as_deref().map(str::as_bytes));
        match saved {
            Err(_) if !self.keep_in_index(id) => Err(Errno::EPERM),
            _ => Ok(()),
        }
    }

    fn save_or_restore(&mut self, id: VnodeId, before: super::Extra) -> Result<(), Errno> {
        if self.extra(id) == Some(before) {
            return Ok(());
        }
        let saved = self.save_extra(id);
        if saved.is_err() {
            self.vnodes[id].inode.extra.set(before);
        }
        saved
    }

    /// What the host does not keep of one of its files, and what is changed of one of our own.
    fn extra(&self, id: VnodeId) -> Option<super::Extra> {
        let vnode = &self.vnodes[id];
        matches!(vnode.body, Body::Host(_) | Body::BuiltIn(_)).then(|| vnode.inode.extra.get())
    }

    /// The same, as it is now: what another run has set must not be undone.
    fn latest_extra(&self, id: VnodeId) -> Option<super::Extra> {
        let vnode = &self.vnodes[id];
        if let Some(node) = vnode.host()
            && self.repeat.is_none()
            && matches!(vnode.kind, Vtype::Reg | Vtype::Dir | Vtype::Chr | Vtype::Blk)
        {
            vnode.inode.read_again(&node.place);
        }
        self.extra(id)
    }

    /// A device node of our own was read, or written to.
    pub(super) fn used(&mut self, id: VnodeId, write: bool, now: HostTime) {
        if let Body::BuiltIn(own) = &mut self.vnodes[id].body {
            if write {
                (own.times[1], own.times[2]) = (now, now);
            } else {
                own.times[0] = now;
            }
        }
    }

    /// EROFS on a mount where nothing may be changed.
    fn writable(&self, id: VnodeId) -> Result<(), Errno> {
        if self.read_only(id) { Err(Errno::EROFS) } else { Ok(()) }
    }

    /// EPERM for files that are immutable or append-only.
    fn changeable(&self, id: VnodeId) -> Result<(), Errno> {
        if self.flags(id) & (IMMUTABLE | APPEND) != 0 { Err(Errno::EPERM) } else { Ok(()) }
    }
}

fn owner_or_superuser(owner: u32, cred: &Ucred) -> Result<(), Errno> {
    if cred.uid == owner || cred.is_superuser() { Ok(()) } else { Err(Errno::EPERM) }
}
