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
use crate::mem::FileId;

impl Vfs {
    /// The host descriptor for the content of a regular file: also for mapping it.
    pub fn content(&mut self, id: VnodeId, purpose: OpenFor) -> Result<Rc<OwnedFd>, Errno> {
        match self.open_content(id, purpose) {
            Err(Errno::ENFILE) => {
                self.give_back(id);
                self.open_content(id, purpose)
            }
            result => result,
        }
    }

    fn open_content(&mut self, id: VnodeId, purpose: OpenFor) -> Result<Rc<OwnedFd>, Errno> {
        let vnode = &self.vnodes[id];
        if vnode.kind != Vtype::Reg {
            return Err(Errno::ENXIO);
        }
        if let Some(file) = &*vnode.inode.memory.borrow() {
            return Ok(Rc::clone(file));
        }
        if vnode.host().is_none() {
            return Err(Errno::ENXIO);
        }
        if let Some(fd) = &*vnode.inode.writing.borrow() {
            return Ok(fd.clone());
        }
        if purpose == OpenFor::Reading
            && let Some(fd) = &*vnode.inode.reading.borrow()
        {
            return Ok(fd.clone());
        }
        if purpose == OpenFor::Writing {
            self.disarm(id)?;
        }
        self.note_read(id);
        let vnode = &self.vnodes[id];
        let Some(node) = vnode.host() else { return Err(Errno::ENXIO) };
        let moved = purpose == OpenFor::Writing && node.place.moves_on_write();
        let fd = Rc::new(node.place.open_file(purpose)?);
        let kept = match purpose {
            OpenFor::Reading => &vnode.inode.reading,
            OpenFor::Writing => &vnode.inode.writing,
        };
        *kept.borrow_mut() = Some(fd.clone());
        if moved {
            // Who reads it reads the copy from now on.
            *vnode.inode.reading.borrow_mut() = None;
            let id = FileId { dev: node.dev, ino: node.ino };
            self.moved.push((id, Rc::new(node.place.open_file(OpenFor::Reading)?)));
        }
        Ok(fd)
    }

    /// Reads from a regular file; fewer bytes mean its end.
    pub fn read_content(&mut self, id: VnodeId, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        if let Body::Memory(_, bytes) = &self.vnodes[id].body {
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            let rest = bytes.get(from..).unwrap_or_default();
            buffer.iter_mut().zip(rest).for_each(|(to, byte)| *to = *byte);
            return Ok(rest.len().min(buffer.len()));
        }
        if let Body::Disc(own) = &self.vnodes[id].body {
            return own.read(offset, buffer);
        }
        let fd = self.content(id, OpenFor::Reading)?;
        Ok(fs::read_at(fd.as_fd(), buffer, offset)?)
    }

    /// Writes to a regular file; fewer bytes mean that the host's disk is full.
    pub fn write_content(&mut self, id: VnodeId, offset: u64, data: &[u8]) -> Result<usize, Errno> {
        self.fits_in_memory(id, offset.saturating_add(data.len() as u64))?;
        let data = data.get(..self.room_for(id, offset, data.len())).unwrap_or(data);
        let fd = self.content(id, OpenFor::Writing)?;
        let written = fs::write_at(fd.as_fd(), data, offset)?;
        if written > 0 {
            self.takes_room(id, offset.saturating_add(written as u64), false);
        }
        self.changed(id, Change::Content);
        Ok(written)
    }

    /// Adds bytes at the end of a regular file in one step of the host; fewer bytes mean that its disk is full.
    /// Gives the count and the new end.
    pub fn append_content(&mut self, id: VnodeId, data: &[u8]) -> Result<(usize, u64), Errno> {
        let end = self.vnodes[id].inode.size_in_memory();
        self.fits_in_memory(id, end.saturating_add(data.len() as u64))?;
        let room = self.room_for(id, self.size(id)?, data.len());
        let fd = self.content(id, OpenFor::Writing)?;
        let appended = fs::append(fd.as_fd(), data.get(..room).unwrap_or(data))?;
        self.takes_room(id, appended.1, false);
        self.changed(id, Change::Content);
        Ok(appended)
    }

    /// The size of a regular file.
    pub fn size(&self, id: VnodeId) -> Result<u64, Errno> {
        match self.vnodes[id].host() {
            Some(node) => Ok(node.place.stat()?.size),
            None => match &self.vnodes[id].body {
                Body::Memory(_, bytes) => Ok(bytes.len() as u64),
                Body::Disc(own) => Ok(own.length()),
                _ => Ok(self.vnodes[id].inode.size_in_memory()),
            },
        }
    }

    /// Brings a file to the host's disk.
    pub fn sync_content(&mut self, id: VnodeId) -> Result<(), Errno> {
        let vnode = &self.vnodes[id];
        let inode = &vnode.inode;
        let fd = inode.writing.borrow().clone().or_else(|| inode.reading.borrow().clone());
        if let Some(fd) = fd {
            fs::sync(fd.as_fd())?;
        }
        vnode.host().map_or(Ok(()), |node| Ok(node.place.sync()?))
    }
}
