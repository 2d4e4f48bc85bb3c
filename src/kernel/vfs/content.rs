//! The bytes of regular files.
//!
//! A file is read and written at offsets through a host descriptor that is opened when it is first
//! needed and kept while somebody uses the vnode.
//!
//! Must not know open files of the guest.  2.1 counterpart: ufs/ufs/ufs_readwrite.c.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use syscalls::Errno;

use super::Vfs;
use super::repeat::Change;
use super::vnode::{Body, VnodeId, Vtype};
use crate::host::fs::{self, OpenFor};

impl Vfs {
    /// The host descriptor for the content of a regular file: also for mapping it.
    pub fn content(&mut self, id: VnodeId, purpose: OpenFor) -> Result<Rc<OwnedFd>, Errno> {
        let vnode = &mut self.vnodes[id];
        if vnode.kind != Vtype::Reg {
            return Err(Errno::ENXIO);
        }
        let Some(node) = vnode.host_mut() else { return Err(Errno::ENXIO) };
        if let Some(fd) = &node.writing {
            return Ok(fd.clone());
        }
        match purpose {
            OpenFor::Reading => {
                if node.reading.is_none() {
                    node.reading = Some(Rc::new(node.place.open_file(purpose)?));
                }
                node.reading.clone().ok_or(Errno::EIO)
            }
            OpenFor::Writing => {
                let fd = Rc::new(node.place.open_file(purpose)?);
                node.writing = Some(fd.clone());
                Ok(fd)
            }
        }
    }

    /// Reads from a regular file; fewer bytes mean its end.
    pub fn read_content(&mut self, id: VnodeId, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        if let Body::Memory(_, bytes) = &self.vnodes[id].body {
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            let rest = bytes.get(from..).unwrap_or_default();
            buffer.iter_mut().zip(rest).for_each(|(to, byte)| *to = *byte);
            return Ok(rest.len().min(buffer.len()));
        }
        let fd = self.content(id, OpenFor::Reading)?;
        Ok(fs::read_at(fd.as_fd(), buffer, offset)?)
    }

    /// Writes to a regular file; fewer bytes mean that the host's disk is full.
    pub fn write_content(&mut self, id: VnodeId, offset: u64, data: &[u8]) -> Result<usize, Errno> {
        let fd = self.content(id, OpenFor::Writing)?;
        let written = fs::write_at(fd.as_fd(), data, offset)?;
        self.changed(id, Change::Content);
        Ok(written)
    }

    /// The size of a regular file.
    pub fn size(&self, id: VnodeId) -> Result<u64, Errno> {
        match self.vnodes[id].host() {
            Some(node) => Ok(node.place.stat()?.size),
            None => match &self.vnodes[id].body {
                Body::Memory(_, bytes) => Ok(bytes.len() as u64),
                _ => Ok(0),
            },
        }
    }

    /// Brings a file to the host's disk.
    pub fn sync_content(&mut self, id: VnodeId) -> Result<(), Errno> {
        let vnode = &self.vnodes[id];
        let Some(node) = vnode.host() else { return Ok(()) };
        match node.writing.as_ref().or(node.reading.as_ref()) {
            Some(fd) => Ok(fs::sync(fd.as_fd())?),
            None => Ok(()),
        }
    }
}
