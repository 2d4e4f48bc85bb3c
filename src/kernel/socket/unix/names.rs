//! Nodes of the file system that stand for sockets: none yet.

use syscalls::errno::Errno;

use super::super::socket::SocketId;
use crate::kernel::vfs::{self, VnodeId};
use crate::kernel::{Context, Kernel};

/// Makes a node that stands for a socket, and holds it.
pub(super) fn create(_cx: &mut Context<'_>, _path: &[u8], _so: SocketId) -> Result<VnodeId, Errno> {
    Err(Errno::EOPNOTSUPP)
}

/// The socket that a name stands for, if the caller may write to it.
pub(super) fn lookup(_cx: &mut Context<'_>, _path: &[u8]) -> Result<SocketId, Errno> {
    Err(Errno::EOPNOTSUPP)
}

/// Lets go of a node whose socket goes away; the name stays.
pub(super) fn release(kernel: &mut Kernel, vnode: VnodeId) {
    vfs::vrele(kernel, vnode);
}
