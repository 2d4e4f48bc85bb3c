//! Names of sockets in the file system.
//!
//! A node of the host stands for the name; the socket behind it is the guest's, found by the vnode that
//! the socket holds.  A node that nobody bound in this machine refuses connections, the host's own
//! too, unless they are let through ([`host_socket_at`]).
//!
//! 2.1 counterpart: unp_bind and unp_connect in kern/uipc_usrreq.c.

use syscalls::Errno;

use super::access::Want;
use super::calls;
use super::namei::{Nameidata, Op};
use super::node::Make;
use super::vnode::{VnodeId, Vtype};
use crate::host::net::Local;
use crate::kernel::socket::SocketId;
use crate::kernel::{Context, Kernel};

/// Permission bits of a new name; the process's mask does not count.
const MODE: u16 = 0o777;

/// Makes a node that stands for a socket, and holds it.
pub fn bind_socket(cx: &mut Context<'_>, path: &[u8], so: SocketId) -> Result<VnodeId, Errno> {
    let at = calls::namei(cx, &Nameidata { follow: true, ..Nameidata::new(path, Op::Create) })?;
    if at.vp.is_some() {
        return Err(Errno::EADDRINUSE);
    }
    let cred = cx.proc().cred.ucred.clone();
    // Without a vnode somebody outside was faster to take the name away.
    let vnode = cx.kernel.vfs.make(&at, Make::Socket, MODE, &cred).map_err(in_use)?.ok_or(Errno::ENOENT)?;
    cx.kernel.vfs.vref(vnode);
    cx.kernel.vfs.vnode(vnode).inode.socket.set(Some(so));
    Ok(vnode)
}

/// A name that somebody outside took after it was found to be free.
fn in_use(errno: Errno) -> Errno {
    if errno == Errno::EEXIST { Errno::EADDRINUSE } else { errno }
}

/// The socket that a name stands for, if the caller may write to it.
pub fn socket_at(cx: &mut Context<'_>, path: &[u8]) -> Result<SocketId, Errno> {
    let vnode = calls::lookup(cx, path)?;
    if cx.kernel.vfs.vnode(vnode).kind != Vtype::Sock {
        return Err(Errno::ENOTSOCK);
    }
    let cred = cx.proc().cred.ucred.clone();
    cx.kernel.vfs.access(vnode, Want::WRITE, &cred)?;
    cx.kernel.vfs.vnode(vnode).inode.socket.get().ok_or(Errno::ECONNREFUSED)
}

/// The host's socket behind a name that nobody of the guest is bound to, if the caller may write to it and the name
/// is one of a tree of the host.
pub fn host_socket_at(cx: &mut Context<'_>, path: &[u8], datagrams: bool) -> Result<Local, Errno> {
    let vnode = calls::lookup(cx, path)?;
    let cred = cx.proc().cred.ucred.clone();
    cx.kernel.vfs.access(vnode, Want::WRITE, &cred)?;
    let vnode = cx.kernel.vfs.vnode(vnode);
    let place = vnode.host().and_then(|node| node.place.on_host()).ok_or(Errno::ECONNREFUSED)?;
    Local::to(&cx.kernel.tape, place, datagrams).map_err(|error| match Errno::from(error) {
        Errno::EPROTOTYPE => Errno::EPROTOTYPE,
        _ => Errno::ECONNREFUSED,
    })
}

/// Lets go of a node whose socket goes away; the name stays.
pub fn socket_gone(kernel: &mut Kernel, vnode: VnodeId) {
    kernel.vfs.vnode(vnode).inode.socket.set(None);
    kernel.vfs.vrele(vnode);
}
