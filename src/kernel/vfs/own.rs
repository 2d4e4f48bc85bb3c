//! Files of the guest that the kernel itself reads and writes, without telling anybody and without regard to
//! permissions.
//!
//! Must not know what is in them.  2.1 counterpart: none; vn_open, vn_rdwr in kern/vfs_vnops.c, their place.

use syscalls::Errno;

use super::namei::{Nameidata, Start};
use super::vnode::{VnodeId, Vtype};
use crate::kernel::Kernel;
use crate::kernel::cred::Ucred;

impl Kernel {
    /// What a path leads to from the root of the machine.
    pub fn find_as_superuser(&mut self, path: &[u8]) -> Result<VnodeId, Errno> {
        let top = self.vfs.root_vnode();
        let superuser = Ucred { uid: 0, groups: vec![0] };
        let start = Start { cwd: top, root: top };
        self.vfs.namei(&Nameidata::lookup(path), start, &superuser)?.vp.ok_or(Errno::ENOENT)
    }

    fn find_regular(&mut self, path: &[u8]) -> Result<VnodeId, Errno> {
        let vnode = self.find_as_superuser(path)?;
        if self.vfs.vnode(vnode).kind == Vtype::Reg { Ok(vnode) } else { Err(Errno::EACCES) }
    }

    /// The bytes of a regular file of at most `most` bytes.
    pub fn read_as_superuser(&mut self, path: &[u8], most: u64) -> Result<Vec<u8>, Errno> {
        let vnode = self.find_regular(path)?;
        let size = self.vfs.size(vnode)?;
        if size > most {
            return Err(Errno::EFBIG);
        }
        let mut bytes = vec![0; size as usize];
        let read = self.vfs.read_content(vnode, 0, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Writes to a regular file that exists, at an offset or at its end.
    pub fn write_as_superuser(
        &mut self,
        path: &[u8],
        offset: Option<u64>,
        bytes: &[u8],
    ) -> Result<(), Errno> {
        let vnode = self.find_regular(path)?;
        super::vnops::write_check(self, vnode)?;
        match offset {
            Some(offset) => drop(self.vfs.write_content(vnode, offset, bytes)?),
            None => drop(self.vfs.append_content(vnode, bytes)?),
        }
        Ok(())
    }
}
