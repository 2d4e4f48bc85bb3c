//! What a descriptor refers to: the path of a file, or the identity of a socket and its peer.
//!
//! Must not know how it is printed.

use syscalls::arg::Fd;

use super::decode::FdNames;
use super::options::FdDetail;
use crate::kernel::Kernel;

use crate::kernel::file::FileObject;
use crate::kernel::proc::ProcId;
use crate::kernel::socket::SocketId;

/// The descriptors of a process.
#[derive(Debug)]
pub(super) struct Names<'k> {
    kernel: &'k Kernel,
    id: ProcId,
    detail: FdDetail,
}

impl<'k> Names<'k> {
    /// The descriptors of process `id`.
    pub(super) fn new(kernel: &'k Kernel, id: ProcId, detail: FdDetail) -> Self {
        Self { kernel, id, detail }
    }
}

impl FdNames for Names<'_> {
    fn about(&self, fd: i32) -> Option<String> {
        let proc = self.kernel.procs.get(self.id)?;
        let file = proc.fd.get(Fd(fd))?;
        match self.kernel.files.get(file)?.object {
            FileObject::Socket(so) => self.socket(so),
            FileObject::Vnode(vnode) => {
                self.kernel.vfs.path_of(vnode).map(|path| String::from_utf8_lossy(&path).into_owned())
            }
            FileObject::Unset => None,
        }
    }
}

impl Names<'_> {
    /// `UNIX-STREAM:[1->2]`: the domain and type, this socket and its peer.
    fn socket(&self, so: SocketId) -> Option<String> {
        let socket = self.kernel.sockets.get(so)?;
        let family = socket.proto.family.to_string();
        let kind = socket.kind.to_string();
        let name = |text: &str, prefix| text.strip_prefix(prefix).unwrap_or(text).to_string();
        let what = format!("{}-{}", name(&family, "AF_"), name(&kind, "SOCK_"));
        if self.detail != FdDetail::Full {
            return Some(format!("{what}:[{}]", so.index()));
        }
        let peer = socket.unpcb().and_then(|unp| unp.conn);
        Some(match peer {
            Some(peer) => format!("{what}:[{}->{}]", so.index(), peer.index()),
            None => format!("{what}:[{}]", so.index()),
        })
    }
}
