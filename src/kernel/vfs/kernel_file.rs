//! The file of a kernel that is offered to a root which has none.
//!
//! Must not know what is in it.  No 2.1 counterpart: there is always one to boot from.

use super::Vfs;
use super::attr::{Extra, SF_IMMUTABLE};
use super::vnode::{Body, Vnode, VnodeId, Vtype};

/// The names of the kernel in the root, 2.1's and 386BSD's, and the inode number of the file that we offer.
pub(super) const KERNEL_NAMES: [&[u8]; 2] = [b"kernel", b"386bsd"];
const KERNEL_INO: u32 = 0xefff_ffff;

impl Vfs {
    /// Offers a file under the names of the kernel to those who look for it in a root that has none.  No listing
    /// shows it, and whoever wants to make something under such a name finds it free.
    pub(in crate::kernel) fn offer_kernel(&mut self, bytes: Vec<u8>) {
        self.kernel_file = Some(bytes.into());
    }

    /// The kernel's own file, where nothing else has its name.
    pub(super) fn offered(&mut self, directory: VnodeId, name: &[u8]) -> Option<VnodeId> {
        if !KERNEL_NAMES.contains(&name) || Some(directory) != self.root {
            return None;
        }
        if let Some(known) = self.kernel_vnode {
            return Some(known);
        }
        let mount = self.vnodes[directory].mount;
        let body = Body::Memory(KERNEL_INO, self.kernel_file.clone()?);
        let vnode = Vnode::new(Vtype::Reg, mount, body);
        // As an installation of 2.1 leaves its kernel (schg).
        vnode.inode.extra.set(Extra { flags: SF_IMMUTABLE, ..Extra::default() });
        let vnode = self.vnodes.insert(vnode);
        self.vnodes.vref(vnode);
        self.kernel_vnode = Some(vnode);
        Some(vnode)
    }
}
