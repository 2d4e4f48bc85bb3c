//! Who may do what with a file.
//!
//! Must not know where the file is.  2.1 counterpart: ufs_access in ufs/ufs/ufs_vnops.c.

use bitflags::bitflags;
use syscalls::Errno;

use super::attr::{IMMUTABLE, Vattr};
use super::vnode::Vtype;
use crate::kernel::cred::Ucred;

bitflags! {
    /// What somebody wants to do with a file (VREAD, VWRITE, VEXEC).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Want: u16 {
        /// Execute it, or search it.
        const EXEC = 0o1;
        /// Write it, or change its entries.
        const WRITE = 0o2;
        /// Read it.
        const READ = 0o4;
    }
}

/// Decides as 2.1 does: read-only file system, immutable flag, super-user, then the one class of
/// permission bits that applies.
pub fn vaccess(attr: &Vattr, read_only: bool, want: Want, cred: &Ucred) -> Result<(), Errno> {
    if want.contains(Want::WRITE) {
        let stored = matches!(attr.kind, Vtype::Dir | Vtype::Lnk | Vtype::Reg);
        if stored && read_only {
            return Err(Errno::EROFS);
        }
        if attr.flags & IMMUTABLE != 0 {
            return Err(Errno::EPERM);
        }
    }
    if cred.is_superuser() {
        return Ok(());
    }
    let shift = if cred.uid == attr.uid {
        6
    } else if cred.is_member(attr.gid) {
        3
    } else {
        0
    };
    let granted = attr.mode >> shift;
    if granted & want.bits() == want.bits() { Ok(()) } else { Err(Errno::EACCES) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fs::HostTime;

    fn file(mode: u16) -> Vattr {
        let time = HostTime::default();
        Vattr {
            kind: Vtype::Reg,
            mode,
            nlink: 1,
            uid: 10,
            gid: 20,
            fsid: 0,
            fileid: 3,
            size: 0,
            blocksize: 8192,
            atime: time,
            mtime: time,
            ctime: time,
            flags: 0,
            rdev: 0,
            bytes: 0,
        }
    }

    fn user(uid: u32, groups: &[u32]) -> Ucred {
        Ucred { uid, groups: groups.to_vec() }
    }

    #[test]
    fn only_one_class_counts() {
        let attr = file(0o077);
        assert_eq!(vaccess(&attr, false, Want::READ, &user(10, &[20])), Err(Errno::EACCES));
        assert_eq!(vaccess(&attr, false, Want::READ, &user(11, &[1, 20])), Ok(()));
        assert_eq!(vaccess(&file(0o704), false, Want::READ, &user(11, &[20])), Err(Errno::EACCES));
        assert_eq!(vaccess(&file(0o704), false, Want::READ, &user(11, &[21])), Ok(()));
    }

    #[test]
    fn the_super_user_may_do_all_but_write_the_immutable() {
        let mut attr = file(0);
        assert_eq!(vaccess(&attr, false, Want::all(), &user(0, &[0])), Ok(()));
        attr.flags = 2;
        assert_eq!(vaccess(&attr, false, Want::WRITE, &user(0, &[0])), Err(Errno::EPERM));
        assert_eq!(vaccess(&attr, false, Want::READ, &user(0, &[0])), Ok(()));
    }

    #[test]
    fn a_read_only_mount_refuses_before_permissions_except_for_devices() {
        let mut attr = file(0o000);
        assert_eq!(vaccess(&attr, true, Want::WRITE, &user(0, &[0])), Err(Errno::EROFS));
        attr.kind = Vtype::Chr;
        assert_eq!(vaccess(&attr, true, Want::WRITE, &user(0, &[0])), Ok(()));
    }
}
