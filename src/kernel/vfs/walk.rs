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

/// Longest path that is told: whoever lists a tree keeps all of them.
const LONGEST: usize = 3 << 10;

/// A directory in which the walk is.
struct Level {
    directory: VnodeId,
    /// Bytes of its path.
    length: usize,
    /// Names that are still to come, the next one last.
    rest: Vec<Vec<u8>>,
}

impl Vfs {
    /// Everything below the mount at the guest path `on`, directories before what is in them, in the order
    /// of names.
    pub fn list_below(&mut self, on: &[u8], found: &mut dyn FnMut(Walked)) -> Result<(), Errno> {
        let root = self.mounts.iter().find(|mount| mount.on == on).map(|mount| mount.root);
        let root = root.ok_or(Errno::ENOENT)?;
        // Held, because what is found below may take its place in the cache.
        self.vref(root);
        let mut above = vec![Level { directory: root, length: 0, rest: Vec::new() }];
        let mut result = self.names_in(root).map(|names| {
            if let Some(level) = above.last_mut() {
                level.rest = names;
            }
        });
        let mut path = Vec::new();
        while result.is_ok()
            && let Some(level) = above.last_mut()
        {
            path.truncate(level.length);
            let Some(name) = level.rest.pop() else {
                if let Some(level) = above.pop() {
                    self.vrele(level.directory);
                }
                continue;
            };
            let directory = level.directory;
            result = self.walk_entry(directory, &name, &mut path, found).map(|inside| above.extend(inside));
            self.vnodes.trim();
        }
        for level in above {
            self.vrele(level.directory);
        }
        result
    }

    /// Names in a directory of the host, the first one last; none in one of ours.
    fn names_in(&self, id: VnodeId) -> Result<Vec<Vec<u8>>, Errno> {
        let Some(node) = self.vnodes[id].host() else { return Ok(Vec::new()) };
        Ok(node.place.entries()?.into_iter().rev().map(|entry| entry.name).collect())
    }

    /// Tells of one entry; gives the level below where it is a directory.
    fn walk_entry(
        &mut self,
        directory: VnodeId,
        name: &[u8],
        path: &mut Vec<u8>,
        found: &mut dyn FnMut(Walked),
    ) -> Result<Option<Level>, Errno> {
        let Some(child) = self.child(directory, name)? else { return Ok(None) };
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        if path.len() > LONGEST {
            return Err(Errno::ENAMETOOLONG);
        }
        let attr = self.getattr(child)?;
        let content = match (attr.kind, self.vnodes[child].host()) {
            (Vtype::Lnk, Some(node)) => Content::Link(node.place.readlink()?),
            (Vtype::Reg, Some(node)) => Content::File(node.place.open_file(OpenFor::Reading)?),
            _ => Content::None,
        };
        found(Walked { path: path.clone(), attr, content });
        if attr.kind != Vtype::Dir {
            return Ok(None);
        }
        self.vref(child);
        match self.names_in(child) {
            Ok(rest) => Ok(Some(Level { directory: child, length: path.len(), rest })),
            Err(errno) => {
                self.vrele(child);
                Err(errno)
            }
        }
    }
}
