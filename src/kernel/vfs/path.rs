//! The way back from a vnode to a name, for people who watch: the guest itself never gets it.
//!
//! Must not be used by calls: a name may have changed since.  No 2.1 counterpart.

use std::os::fd::AsFd;

use super::Vfs;
use super::vnode::{Body, VnodeId, Vtype};
use crate::host::fs::{OpenFor, read_at};
use crate::mem::FileId;

/// Largest program that is read for its symbols.
const IMAGE_BOUND: u64 = 64 << 20;
/// Deepest directory that is walked.
const DEPTH: usize = 64;

impl Vfs {
    /// A vnode of a file of the host, as mappings know it.
    pub fn held_file(&self, id: FileId) -> Option<VnodeId> {
        self.vnodes.of_file((id.dev, id.ino))
    }

    /// The path under which the guest could name a vnode now.
    pub fn path_of(&self, id: VnodeId) -> Option<Vec<u8>> {
        let vnode = self.vnodes.get(id)?;
        let mount = self.mount_of(id);
        match &vnode.body {
            Body::Host(node) => {
                let below = node.place.path_below(mount.place.as_ref()?)?;
                Some(join(&mount.on, &below))
            }
            Body::BuiltIn(_) => self.built_in_path(id, 0),
            Body::Stream(stream) => Some(format!("{:?}", stream.kind).to_lowercase().into_bytes()),
            Body::Memory(..) => Some([b"/", super::kernel_file::KERNEL_NAMES[0]].concat()),
            Body::Disc(_) | Body::Process(_) | Body::Kernel(_) | Body::Dead => None,
        }
    }

    /// The path of something that only the kernel knows: an entry of one of its directories.
    fn built_in_path(&self, id: VnodeId, depth: usize) -> Option<Vec<u8>> {
        let mount = self.mount_of(id);
        if mount.root == id {
            return Some(mount.on.clone());
        }
        if depth > DEPTH {
            return None;
        }
        let (directory, name) = self.vnodes.ids().into_iter().find_map(|dir| {
            let entries = &self.vnodes.get(dir)?.grafts;
            entries.iter().find(|(_, child)| **child == id).map(|(name, _)| (dir, name.clone()))
        })?;
        let above = match self.vnodes.get(directory)?.body {
            Body::BuiltIn(_) => self.built_in_path(directory, depth + 1)?,
            _ => self.path_of(directory)?,
        };
        Some(join(&above, &name))
    }

    /// The bytes of the program behind a vnode, for its symbols.
    pub fn image_of(&self, id: VnodeId) -> Option<Vec<u8>> {
        let vnode = self.vnodes.get(id).filter(|v| v.kind == Vtype::Reg)?;
        let node = vnode.host()?;
        let size = node.place.stat().ok()?.size;
        let mut bytes = vec![0; usize::try_from(size).ok().filter(|_| size <= IMAGE_BOUND)?];
        let file = node.place.open_file(OpenFor::Reading).ok()?;
        let read = read_at(file.as_fd(), &mut bytes, 0).ok()?;
        bytes.truncate(read);
        Some(bytes)
    }
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = directory.to_vec();
    if !name.is_empty() {
        if !path.ends_with(b"/") {
            path.push(b'/');
        }
        path.extend_from_slice(name);
    }
    path
}
