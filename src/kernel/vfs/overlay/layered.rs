//! A hold on a file of an overlay, which answers as a hold on a file of the host does.
//!
//! What was not changed is asked of the host; what was changed is in the overlay's list.  Must not write
//! anything: see `change`.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::record::Number;
use super::{Key, NEW_DEVICE, Node, OURS, Overlay, Shared};
use crate::host::change::HostSpace;
use crate::host::error::{HostError, HostResult};
use crate::host::fs::{self, HostEntry, HostKind, HostStat, OpenFor, Place};

/// Deepest directory whose path is told.
const DEPTH: usize = 256;

/// A file of an overlay, held.
#[derive(Debug)]
pub struct Layered {
    pub(super) overlay: Shared,
    pub(super) key: Key,
    /// The file of the root.
    pub(super) lower: Option<Place>,
    /// Its path below the root.
    pub(super) path: Rc<[u8]>,
}

/// For copies of the kernel: the copy of the overlay knows already how often each file is held.
impl Clone for Layered {
    fn clone(&self) -> Self {
        let Self { overlay, key, lower, path } = self;
        Self { overlay: overlay.clone(), key: *key, lower: lower.clone(), path: Rc::clone(path) }
    }
}

impl Drop for Layered {
    fn drop(&mut self) {
        // Nothing is dropped while the overlay is being changed.
        if let Ok(mut overlay) = self.overlay.try_borrow_mut() {
            overlay.release(self.key);
        }
    }
}

impl Layered {
    /// The root of an overlay.
    pub fn root(overlay: &Shared) -> HostResult<Self> {
        let lower = overlay.borrow().root.try_clone()?;
        let stat = lower.stat()?;
        Ok(Self::new(overlay, Key::Lower(stat.dev, stat.ino), Some(lower), Rc::from(&b""[..])))
    }

    pub(super) fn new(overlay: &Shared, key: Key, lower: Option<Place>, path: Rc<[u8]>) -> Self {
        overlay.borrow_mut().hold(key);
        Self { overlay: overlay.clone(), key, lower, path }
    }

    /// The file with a number.
    fn numbered(&self, number: Number) -> HostResult<Self> {
        let (key, lower, path) = {
            let overlay = self.overlay.borrow();
            let node = overlay.nodes.get(&number).ok_or(HostError::STALE)?;
            let path = node.facts.origin.as_ref().map(|origin| origin.path.clone()).unwrap_or_default();
            let lower = match node.lower {
                Some(_) => Some(overlay.below(&path)?),
                None => None,
            };
            (overlay.key(number), lower, path)
        };
        Ok(Self::new(&self.overlay, key, lower, path.into()))
    }

    /// Another hold on the same file.
    pub fn try_clone(&self) -> HostResult<Self> {
        let lower = self.lower.as_ref().map(Place::try_clone).transpose()?;
        Ok(Self::new(&self.overlay, self.key, lower, self.path.clone()))
    }

    /// Holds the entry `name` of this directory.
    pub fn child(&self, name: &[u8]) -> HostResult<Self> {
        if !fs::is_component(name) {
            return Err(HostError::INVALID);
        }
        let changed = {
            let overlay = self.overlay.borrow();
            let node = overlay.node(self.key).map(|(_, node)| node);
            self.is_directory(node)?;
            node.and_then(|node| node.names.get(name)).copied()
        };
        match changed {
            Some(None) => Err(HostError::NO_ENTRY),
            Some(Some(number)) => self.numbered(number),
            None => self.child_below(name)?.ok_or(HostError::NO_ENTRY),
        }
    }

    /// The entry `name` of the directory below, whether it is hidden or not.
    pub(super) fn child_below(&self, name: &[u8]) -> HostResult<Option<Self>> {
        let Some(lower) = &self.lower else { return Ok(None) };
        let place = match lower.child(name) {
            Ok(place) => place,
            Err(error) if error == HostError::NO_ENTRY => return Ok(None),
            Err(error) => return Err(error),
        };
        let stat = place.stat()?;
        let path = if self.path.is_empty() { name.to_vec() } else { [&self.path, name].join(&b'/') };
        Ok(Some(Self::new(&self.overlay, Key::Lower(stat.dev, stat.ino), Some(place), path.into())))
    }

    fn is_directory(&self, node: Option<&Node>) -> HostResult<()> {
        let kind = match (node, &self.lower) {
            (Some(node), _) => node.facts.kind,
            (None, Some(lower)) => lower.stat()?.kind,
            (None, None) => return Err(HostError::STALE),
        };
        if kind == HostKind::Directory { Ok(()) } else { Err(HostError::NOT_A_DIRECTORY) }
    }

    /// The name of the special file system of the host that it is in, if it is in one.
    pub fn special(&self) -> HostResult<Option<&'static str>> {
        self.lower.as_ref().map_or(Ok(None), Place::special)
    }

    /// What the host would say about it.
    pub fn stat(&self) -> HostResult<HostStat> {
        let overlay = self.overlay.borrow();
        let below = self.lower.as_ref().map(Place::stat).transpose()?;
        let Some((number, node)) = overlay.node(self.key) else {
            let stat = below.ok_or(HostError::STALE)?;
            return Ok(HostStat { dev: stat.dev | OURS, ..stat });
        };
        stat_of(&overlay, number, node, below)
    }

    /// The text of a symbolic link.
    pub fn readlink(&self) -> HostResult<Vec<u8>> {
        match (&self.lower, self.overlay.borrow().node(self.key)) {
            (Some(lower), _) => lower.readlink(),
            (None, Some((_, node))) if node.facts.kind == HostKind::Symlink => Ok(node.facts.text.clone()),
            _ => Err(HostError::INVALID),
        }
    }

    /// The path below the root by which it can be found now; for people.
    pub fn present_path(&self) -> Option<Vec<u8>> {
        let overlay = self.overlay.borrow();
        overlay.present_path(overlay.number(self.key), &self.path, DEPTH)
    }

    /// Opens a regular file; to write it makes it the overlay's own.
    pub fn open_file(&self, purpose: OpenFor) -> HostResult<OwnedFd> {
        let own = |overlay: &Overlay| {
            let (number, node) = overlay.node(self.key)?;
            node.facts.own.then(|| overlay.upper.data(number))
        };
        match purpose {
            OpenFor::Reading => {
                let data = own(&self.overlay.borrow());
                match (data, &self.lower) {
                    (Some(data), _) => data?.open_file(purpose),
                    (None, Some(lower)) => lower.open_file(purpose),
                    (None, None) => Err(HostError::NO_DEVICE),
                }
            }
            OpenFor::Writing => {
                self.take_content()?;
                let data = own(&self.overlay.borrow()).ok_or(HostError::NO_DEVICE)?;
                data?.open_file(purpose)
            }
        }
    }

    /// Whether its bytes are the root's.
    pub fn reads_below(&self) -> bool {
        !self.overlay.borrow().node(self.key).is_some_and(|(_, node)| node.facts.own)
    }

    /// The path at the host of what is read, while that is the root's.
    pub fn below_path(&self) -> Option<std::path::PathBuf> {
        self.lower.as_ref().filter(|_| self.reads_below())?.host_path()
    }

    /// The names of a directory, sorted.
    pub fn entries(&self) -> HostResult<Vec<HostEntry>> {
        let mut entries = match &self.lower {
            Some(lower) => lower.entries()?,
            None => Vec::new(),
        };
        entries.iter_mut().for_each(|entry| entry.dev |= OURS);
        let overlay = self.overlay.borrow();
        if let Some((_, node)) = overlay.node(self.key) {
            entries.retain(|entry| !node.names.contains_key(&entry.name));
            for (name, to) in &node.names {
                let Some((number, node)) = to.and_then(|n| Some((n, overlay.nodes.get(&n)?))) else {
                    continue;
                };
                let (dev, ino) = identity(&overlay, number);
                entries.push(HostEntry { name: name.clone(), dev, ino, kind: node.facts.kind });
            }
            entries.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Ok(entries)
    }

    /// Room where changes are kept.
    pub fn space(&self) -> HostResult<HostSpace> {
        self.overlay.borrow().upper.space()
    }

    /// The value of the one extended attribute that files of an overlay have.
    pub fn attribute(&self, _name: &str) -> HostResult<Option<Vec<u8>>> {
        let overlay = self.overlay.borrow();
        if let Some((_, node)) = overlay.node(self.key) {
            return Ok(node.facts.attribute.clone());
        }
        match &self.lower {
            Some(lower) => Ok(overlay.attribute_below(lower, &lower.stat()?)),
            None => Ok(None),
        }
    }

    /// Brings the list of changes to the disk.
    pub fn sync(&self) -> HostResult<()> {
        self.overlay.borrow().upper.sync()
    }
}

/// Whether files of the host of this type have extended attributes.
pub(super) fn has_attributes(kind: HostKind) -> bool {
    matches!(kind, HostKind::Regular | HostKind::Directory)
}

/// Device and inode that a node shows.
fn identity(overlay: &Overlay, number: Number) -> (u64, u64) {
    match overlay.key(number) {
        Key::Lower(dev, ino) => (dev | OURS, ino),
        Key::New(number) => (NEW_DEVICE, number),
    }
}

/// What is told of a node whose file below, if there is one, is as `below` says.
pub(super) fn stat_of(
    overlay: &Overlay,
    number: Number,
    node: &Node,
    below: Option<HostStat>,
) -> HostResult<HostStat> {
    let facts = &node.facts;
    let (dev, ino) = identity(overlay, number);
    let data = if facts.own { Some(overlay.upper.data(number)?.stat()?) } else { None };
    let (uid, gid) = below.map_or_else(fs::host_identity, |stat| (stat.uid, stat.gid));
    let mut stat = HostStat {
        dev,
        ino,
        kind: facts.kind,
        perm: facts.perm,
        nlink: links(node, below),
        uid,
        gid,
        rdev: below.map_or((0, 0), |stat| stat.rdev),
        size: match facts.kind {
            HostKind::Symlink => below.map_or(facts.text.len() as u64, |stat| stat.size),
            _ => below.map_or(0, |stat| stat.size),
        },
        blocks: below.map_or(0, |stat| stat.blocks),
        atime: below.map(|stat| stat.atime).unwrap_or_default(),
        mtime: below.map(|stat| stat.mtime).unwrap_or_default(),
        ctime: below.map(|stat| stat.ctime).unwrap_or_default(),
    };
    if let Some(data) = data {
        (stat.size, stat.blocks) = (data.size, data.blocks);
        (stat.atime, stat.mtime, stat.ctime) = (data.atime, data.mtime, data.ctime);
    } else if let Some(times) = facts.times {
        [stat.atime, stat.mtime, stat.ctime] = times;
    }
    Ok(stat)
}

/// Names of a file.  A directory says 1: its entries are to be counted.
pub(super) fn links(node: &Node, below: Option<HostStat>) -> u64 {
    if node.removed() {
        return 0;
    }
    if node.facts.kind == HostKind::Directory && node.lower.is_some() {
        return 1;
    }
    if node.facts.kind == HostKind::Directory {
        return u64::from(node.facts.links > 0);
    }
    let below = if node.lower.is_some() { below.map_or(0, |stat| stat.nlink) } else { 0 };
    below.saturating_add_signed(node.facts.links)
}
