//! A walk over everything below a mount, as the guest would find it.
//!
//! Must not know why somebody wants to know.  2.1 counterpart: none.

use std::os::fd::OwnedFd;

use syscalls::Errno;

use super::Vfs;
use super::attr::Vattr;
use super::vnode::{VnodeId, Vtype};
use crate::host::fs::OpenFor;

/// What is behind a name.
#[derive(Debug)]
pub enum Content {
    /// The bytes of a regular file.
    File(OwnedFd),
    /// The text of a symbolic link.
    Link(Vec<u8>),
    /// Nothing that could be read.
    None,
}

/// A file that was found.
#[derive(Debug)]
pub struct Walked {
    /// Its path below the mount.
    pub path: Vec<u8>,
    /// What the guest is told about it.
    pub attr: Vattr,
    /// What it holds.
    pub content: Content,
}

impl Vfs {
    /// Everything below the mount at the guest path `on`, directories before what is in them, in the order
    /// of names.
    pub fn list_below(&mut self, on: &[u8], found: &mut dyn FnMut(Walked)) -> Result<(), Errno> {
        let root = self.mounts.iter().find(|mount| mount.on == on).map(|mount| mount.root);
        self.walk_directory(root.ok_or(Errno::ENOENT)?, &[], found)
    }

    fn walk_directory(
        &mut self,
        id: VnodeId,
        above: &[u8],
        found: &mut dyn FnMut(Walked),
    ) -> Result<(), Errno> {
        // Held, because what is found below may take its place in the cache.
        self.vref(id);
        let result = self.walk_entries(id, above, found);
        self.vrele(id);
        result
    }

    fn walk_entries(
        &mut self,
        id: VnodeId,
        above: &[u8],
        found: &mut dyn FnMut(Walked),
    ) -> Result<(), Errno> {
        let Some(node) = self.vnodes[id].host() else { return Ok(()) };
        for entry in node.place.entries()? {
            let Some(child) = self.child(id, &entry.name)? else { continue };
            let mut path = above.to_vec();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&entry.name);
            let attr = self.getattr(child)?;
            let content = match (attr.kind, self.vnodes[child].host()) {
                (Vtype::Lnk, Some(node)) => Content::Link(node.place.readlink()?),
                (Vtype::Reg, Some(node)) => Content::File(node.place.open_file(OpenFor::Reading)?),
                _ => Content::None,
            };
            found(Walked { path: path.clone(), attr, content });
            if attr.kind == Vtype::Dir {
                self.walk_directory(child, &path, found)?;
            }
        }
        Ok(())
    }
}
