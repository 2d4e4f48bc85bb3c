//! Owners, permissions and identifiers of the objects.
//!
//! 2.1 counterpart: kern/sysv_ipc.c, sys/ipc.h.

use syscalls::errno::Errno;
use syscalls::layout::IpcPerm;

use crate::kernel::cred::Ucred;

/// The key of objects that nobody finds by it (IPC_PRIVATE).
pub(super) const PRIVATE: i32 = 0;
/// Reading and writing, as the owner's bits of a mode (IPC_R, IPC_W).
pub(super) const READ: u32 = 0o400;
/// See [`READ`].
pub(super) const WRITE: u32 = 0o200;
/// Changing the object itself (IPC_M).
pub(super) const CONTROL: u32 = 0o10000;
/// All nine permission bits (ACCESSPERMS).
pub(super) const ACCESS: u32 = 0o777;

/// Commands that the control calls of all kinds have.
pub(super) mod command {
    /// Remove the object (IPC_RMID).
    pub(in crate::kernel::ipc) const RMID: u32 = 0;
    /// Change owner and mode (IPC_SET).
    pub(in crate::kernel::ipc) const SET: u32 = 1;
    /// Report the state (IPC_STAT).
    pub(in crate::kernel::ipc) const STAT: u32 = 2;
}

/// Owner, permissions and key of an object (`struct ipc_perm`); identities have 16 bits.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::kernel) struct Perm {
    /// Who made it.
    pub(super) cuid: u16,
    /// The maker's group.
    pub(super) cgid: u16,
    /// Who owns it.
    pub(super) uid: u16,
    /// The owner's group.
    pub(super) gid: u16,
    /// Permission bits, and bits of the kind's own.
    pub(super) mode: u16,
    /// How many objects have been in this slot.
    pub(super) seq: u16,
    /// The name that processes find it by.
    pub(super) key: i32,
}

impl Perm {
    /// Makes `cred` the maker and owner.
    pub(super) fn own(&mut self, cred: &Ucred) {
        (self.cuid, self.uid) = (cred.uid as u16, cred.uid as u16);
        (self.cgid, self.gid) = (cred.gid() as u16, cred.gid() as u16);
    }

    /// Takes over owner and permission bits that a user gives (IPC_SET).
    pub(super) fn change(&mut self, wanted: &IpcPerm) {
        self.uid = wanted.uid.get();
        self.gid = wanted.gid.get();
        self.mode = self.mode & !(ACCESS as u16) | wanted.mode.get() & ACCESS as u16;
    }

    /// Whether `cred` may do what `mode` says, in the owner's bits of a mode: EACCES, or EPERM for what
    /// only owners may (`ipcperm`).
    pub(super) fn check(&self, cred: &Ucred, mut mode: u32) -> Result<(), Errno> {
        if cred.is_superuser() {
            return Ok(());
        }
        if cred.uid != u32::from(self.cuid) && cred.uid != u32::from(self.uid) {
            if mode & CONTROL != 0 {
                return Err(Errno::EPERM);
            }
            mode >>= 3;
            if !cred.is_member(self.gid.into()) && !cred.is_member(self.cgid.into()) {
                mode >>= 3;
            }
        }
        if mode & CONTROL != 0 || mode & u32::from(self.mode) == mode { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// The identifier of the object in a slot (IXSEQ_TO_IPCID).
    pub(super) fn id(&self, slot: usize) -> i32 {
        (u32::from(self.seq) << 16 | slot as u32 & 0xffff).cast_signed()
    }

    /// Whether an identifier is of the object that is in its slot now.
    pub(super) fn is_of(&self, id: u32) -> bool {
        u32::from(self.seq) == id >> 16
    }

    /// The structure that users see.
    pub(super) fn layout(&self) -> IpcPerm {
        IpcPerm {
            cuid: self.cuid.into(),
            cgid: self.cgid.into(),
            uid: self.uid.into(),
            gid: self.gid.into(),
            mode: self.mode.into(),
            seq: self.seq.into(),
            key: self.key.into(),
        }
    }
}

/// The slot of an identifier (IPCID_TO_IX).
pub(super) fn slot(id: u32) -> usize {
    (id & 0xffff) as usize
}
