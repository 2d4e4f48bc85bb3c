//! Nodes of the file system that stand for sockets.

use syscalls::errno::Errno;

use super::super::socket::SocketId;
use crate::host::net::Local;
use crate::kernel::vfs::{self, VnodeId};
use crate::kernel::{Context, Kernel};

/// Makes a node that stands for a socket, and holds it.
pub(super) fn create(cx: &mut Context<'_>, path: &[u8], so: SocketId) -> Result<VnodeId, Errno> {
    vfs::bind_socket(cx, path, so)
}

/// The socket that a name stands for, if the caller may write to it.
pub(super) fn lookup(cx: &mut Context<'_>, path: &[u8]) -> Result<SocketId, Errno> {
    vfs::socket_at(cx, path)
}

/// The host's socket that a name of its tree stands for.
pub(super) fn outside(cx: &mut Context<'_>, path: &[u8], datagrams: bool) -> Result<Local, Errno> {
    vfs::host_socket_at(cx, path, datagrams)
}

/// Lets go of a node whose socket goes away; the name stays.
pub(super) fn release(kernel: &mut Kernel, vnode: VnodeId) {
    vfs::socket_gone(kernel, vnode);
}
