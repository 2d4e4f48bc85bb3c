//! A tree of the host that is read and never written: changes live beside it.
//!
//! An [`Overlay`] is a list of *nodes*, one for each file that was changed or is new, and for each changed
//! directory the names that mean something else than below.  A file of the root that was not changed has no
//! node.  Only the bytes of regular files are files of the host ([`Upper`]); everything else, white-outs,
//! symbolic links, FIFOs, sockets, permissions, attributes, times, hard links and moved directories, are
//! lines of a journal.  So nothing depends on what the host's file system can keep, a rename of a directory is
//! one line, and every change is there or not, whenever the run ends.
//!
//! A file of the root is found again by its identity below, whatever name it was reached by: names of one file
//! stay names of one file when it is copied, and the identity that the guest sees never changes.
//!
//! [`Layered`] is what the rest of the file system holds: it answers as a [`Place`] does.
//!
//! Linux's overlayfs keeps the same in device nodes and trusted attributes of a mirrored tree (white-outs are
//! devices 0,0, `opaque`, `redirect`, `metacopy`), which only the super-user can make; fuse-overlayfs in
//! `.wh.` files and user attributes, which symbolic links and FIFOs cannot have.  Neither keeps hard links
//! together or moves directories without options that must be asked for.
//!
//! Must not know vnodes or the guest's rules.  2.1 counterpart: miscfs/union, which has the same purpose.

mod change;
pub mod commit;
pub mod diff;
mod layered;
mod record;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use super::attr::ATTRIBUTE;
use super::keep::Kept;
use crate::host::error::HostResult;
use crate::host::fs::{HostKind, HostStat, Place};
use crate::host::upper::{Upper, UpperError};
use crate::kernel::shared;

pub use layered::Layered;
use record::{Facts, MAGIC, Number, Part, ROOT};

/// Device number of files that are new, beside all of the host's.
const NEW_DEVICE: u64 = OURS | 0xffff_ffff;
/// In the device numbers of files of an overlay: the same file reached without it is another one.
const OURS: u64 = 1 << 63;
/// Lines of a journal that may be out of date before it is written anew.
const STALE_LINES: usize = 1000;

/// Why an overlay cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// Its directory cannot be used.
    #[error("{0}")]
    Upper(#[from] UpperError),
    /// The host refuses.
    #[error("{0}")]
    Host(#[from] io::Error),
    /// The first line is not one of ours.
    #[error("its index begins with a line that this version does not know")]
    Unknown,
    /// It belongs to another root.
    #[error("it belongs to the root {0}")]
    OtherRoot(PathBuf),
    /// The root is not there.
    #[error("its root {path}: {reason}")]
    Root {
        /// The root.
        path: PathBuf,
        /// What the host says.
        reason: String,
    },
    /// One of the two holds the other.
    #[error("it must not lie in {0}, nor hold it: the guest could reach it")]
    Inside(PathBuf),
    /// A commit was begun and did not end.
    #[error("a commit was interrupted: run 'bsd21 overlay commit' again")]
    Committing,
}

/// What a file of the overlay is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// A file of the root, by its device and inode on the host.
    Lower(u64, u64),
    /// A new file.
    New(Number),
}

/// A file that the overlay knows of.
#[derive(Clone, Debug)]
struct Node {
    facts: Facts,
    /// What a directory's names mean, where that is not what they mean below.
    names: BTreeMap<Vec<u8>, Option<Number>>,
    /// The file below, if there is one.
    lower: Option<(u64, u64)>,
    /// It has no name any more; somebody still has it open.
    gone: bool,
}

impl Node {
    /// Whether it has no name any more.
    fn removed(&self) -> bool {
        self.gone || self.facts.kind == HostKind::Directory && self.facts.links < 0
    }
}

/// The changes over one root.
#[derive(Clone, Debug)]
pub struct Overlay {
    upper: Upper,
    root: Place,
    root_path: PathBuf,
    /// What the root's own index says of files that have no attributes.
    kept: Option<Kept>,
    nodes: BTreeMap<Number, Node>,
    by_lower: HashMap<(u64, u64), Number>,
    /// The names that files were given: directory and name.
    named: HashMap<Number, BTreeSet<(Number, Vec<u8>)>>,
    /// How often a file is held.
    held: HashMap<Key, usize>,
    next: Number,
}

/// An overlay that is shared by all that is held of it.
pub type Shared = shared::Shared<RefCell<Overlay>>;

impl Overlay {
    /// An overlay that is forgotten with the run; contents are kept in a directory in `above` meanwhile.
    pub fn private(root: &Path, above: &Path) -> Result<Shared, OverlayError> {
        let upper = Upper::private(above)?;
        Ok(Self::over(upper, root)?.share())
    }

    /// The overlay of `root` that is kept in `directory`, made if there is none.
    pub fn kept(root: &Path, directory: &Path) -> Result<Shared, OverlayError> {
        let root = root.canonicalize()?;
        let place = place_of(directory)?;
        if place.starts_with(&root) || root.starts_with(&place) {
            return Err(OverlayError::Inside(root));
        }
        let (upper, index) = Upper::open(&place, Some(&header(&root)))?;
        let overlay = Self::load(upper, &index)?;
        let theirs = belongs_to(&index).ok_or(OverlayError::Unknown)?;
        if theirs != root {
            return Err(OverlayError::OtherRoot(theirs));
        }
        if overlay.upper.commit()?.is_some() {
            return Err(OverlayError::Committing);
        }
        Ok(overlay.share())
    }

    /// The overlay in `directory`, which must be there, whatever its state.
    pub fn existing(directory: &Path) -> Result<Self, OverlayError> {
        let (upper, index) = Upper::open(directory, None)?;
        Self::load(upper, &index)
    }

    /// Removes the overlay in `directory` with all changes, without a look at its root.
    pub fn drop_changes(directory: &Path) -> Result<(), OverlayError> {
        let (upper, index) = Upper::open(directory, None)?;
        belongs_to(&index).ok_or(OverlayError::Unknown)?;
        Ok(upper.drop_all()?)
    }

    /// Where the changes are kept.
    pub fn path(&self) -> &Path {
        self.upper.path()
    }

    fn over(upper: Upper, root: &Path) -> Result<Self, OverlayError> {
        Ok(Self {
            upper,
            root: lower_root(root)?,
            root_path: root.to_owned(),
            kept: Kept::of(root),
            nodes: BTreeMap::new(),
            by_lower: HashMap::new(),
            named: HashMap::new(),
            held: HashMap::new(),
            next: ROOT + 1,
        })
    }

    fn share(self) -> Shared {
        shared::Shared::new(RefCell::new(self))
    }

    /// Reads the journal as far as it was written, finds the files below again, and removes contents that
    /// nothing speaks of.
    fn load(upper: Upper, index: &[u8]) -> Result<Self, OverlayError> {
        let path = belongs_to(index).ok_or(OverlayError::Unknown)?;
        let mut overlay = Self::over(upper, &path)?;
        let mut good = index.iter().position(|&b| b == b'\n').map_or(0, |end| end + 1);
        let mut lines = 0;
        while let Some(rest) = index.get(good..)
            && let Some(length) = rest.iter().position(|&b| b == b'\n')
            && let Some(parts) = rest.get(..length).and_then(record::parse)
        {
            parts.into_iter().for_each(|part| overlay.apply(part));
            good += length + 1;
            lines += 1;
        }
        if good < index.len() {
            overlay.upper.cut(good as u64)?;
        }
        overlay.find_origins();
        let host = |error: crate::host::error::HostError| io::Error::from(error.0);
        for number in overlay.upper.numbers().map_err(host)? {
            overlay.next = overlay.next.max(number + 1);
            if !overlay.nodes.get(&number).is_some_and(|node| node.facts.own) {
                overlay.upper.remove_data(number).map_err(host)?;
            }
        }
        let live = overlay.nodes.values().map(|node| 1 + node.names.len()).sum::<usize>();
        if lines > 2 * live + STALE_LINES {
            let text = overlay.snapshot();
            overlay.upper.rewrite(&text)?;
        }
        Ok(overlay)
    }

    /// A journal that says the same with one line for each file.
    fn snapshot(&self) -> Vec<u8> {
        let mut text = header(&self.root_path);
        for (&number, node) in &self.nodes {
            let mut parts = vec![Part::Node(number, node.facts.clone())];
            parts.extend(node.names.iter().map(|(name, to)| Part::Name(number, name.clone(), Some(*to))));
            text.extend_from_slice(&record::line(&parts));
        }
        text
    }

    /// Makes a part true.
    fn apply(&mut self, part: Part) {
        match part {
            Part::Node(number, facts) => {
                self.next = self.next.max(number.saturating_add(1));
                match self.nodes.get_mut(&number) {
                    Some(node) => node.facts = facts,
                    None => {
                        let node = Node { facts, names: BTreeMap::new(), lower: None, gone: false };
                        self.nodes.insert(number, node);
                    }
                }
            }
            Part::Name(directory, name, to) => {
                let Some(node) = self.nodes.get_mut(&directory) else { return };
                let before = match to {
                    Some(to) => node.names.insert(name.clone(), to),
                    None => node.names.remove(&name),
                };
                let place = (directory, name);
                if let Some(Some(number)) = before
                    && let Some(names) = self.named.get_mut(&number)
                {
                    names.remove(&place);
                    if names.is_empty() {
                        self.named.remove(&number);
                    }
                }
                if let Some(Some(number)) = to {
                    self.named.entry(number).or_default().insert(place);
                }
            }
            Part::Gone(number) => {
                if let Some(node) = self.nodes.remove(&number)
                    && let Some(lower) = node.lower
                {
                    self.by_lower.remove(&lower);
                }
                self.named.remove(&number);
            }
        }
    }

    /// Finds the files below that nodes stand for.
    fn find_origins(&mut self) {
        let mut found = Vec::new();
        for (&number, node) in &self.nodes {
            let Some(origin) = &node.facts.origin else { continue };
            if let Ok(place) = self.below(&origin.path)
                && let Ok(stat) = place.stat()
                && stat.kind == node.facts.kind
            {
                found.push((number, (stat.dev, stat.ino)));
            }
        }
        for (number, lower) in found {
            // Two names of one file of an older copy of the root may have become two files, never the
            // other way round.
            if let Some(node) = self.nodes.get_mut(&number) {
                node.lower = Some(lower);
                self.by_lower.entry(lower).or_insert(number);
            }
        }
    }

    /// The file of the root at a path without symbolic links.
    fn below(&self, path: &[u8]) -> HostResult<Place> {
        let mut at = self.root.try_clone()?;
        for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            at = at.child(name)?;
        }
        Ok(at)
    }

    /// The attribute of the guest's world that a file of the root has, or that the root's index has for it.
    fn attribute_below(&self, place: &Place, stat: &HostStat) -> Option<Vec<u8>> {
        let own = if layered::has_attributes(stat.kind) {
            place.attribute(ATTRIBUTE).unwrap_or(None)
        } else {
            None
        };
        own.or_else(|| Some(self.kept.as_ref()?.get(stat)?.text()?.into_bytes()))
    }

    /// The number under which a file is known, if it is.
    fn number(&self, key: Key) -> Option<Number> {
        match key {
            Key::Lower(dev, ino) => self.by_lower.get(&(dev, ino)).copied(),
            Key::New(number) => Some(number),
        }
    }

    fn node(&self, key: Key) -> Option<(Number, &Node)> {
        let number = self.number(key)?;
        Some((number, self.nodes.get(&number)?))
    }

    /// What a node is known by.
    fn key(&self, number: Number) -> Key {
        let lower = self.nodes.get(&number).and_then(|node| node.lower);
        lower.map_or(Key::New(number), |(dev, ino)| Key::Lower(dev, ino))
    }

    /// The path of a file of the root as it is called now; for people.
    fn present_path(&self, number: Option<Number>, lower: &[u8], depth: usize) -> Option<Vec<u8>> {
        let bound = depth.checked_sub(1)?;
        let (directory, name) = match number.and_then(|number| self.named.get(&number)?.first()) {
            Some((directory, name)) => (self.present_path(Some(*directory), &[], bound)?, name.clone()),
            None => {
                let origin = number.and_then(|n| self.nodes.get(&n)?.facts.origin.as_ref());
                let path = origin.map_or(lower, |origin| &origin.path);
                if path.is_empty() {
                    return Some(Vec::new());
                }
                let at = path.iter().rposition(|&byte| byte == b'/');
                let (above, name) = (path.get(..at.unwrap_or(0))?, path.get(at.map_or(0, |at| at + 1)..)?);
                let known = self.nodes.iter().find(|(_, node)| {
                    node.facts.kind == HostKind::Directory
                        && node.facts.origin.as_ref().is_some_and(|origin| origin.path == above)
                });
                (self.present_path(known.map(|(&number, _)| number), above, bound)?, name.to_vec())
            }
        };
        Some(if directory.is_empty() { name } else { [directory, name].join(&b'/') })
    }

    /// Counts one more hold on a file.
    fn hold(&mut self, key: Key) {
        *self.held.entry(key).or_insert(0) += 1;
    }

    /// Counts one hold less; a file without a name goes with the last one.
    fn release(&mut self, key: Key) {
        if let Some(count) = self.held.get_mut(&key) {
            *count -= 1;
            if *count > 0 {
                return;
            }
            self.held.remove(&key);
        }
        let Some((number, node)) = self.node(key) else { return };
        if node.gone {
            let own = node.facts.own;
            self.apply(Part::Gone(number));
            if own {
                // What cannot be removed now is found and removed the next time.
                let _ = self.upper.remove_data(number);
            }
        }
    }
}

/// The real path of a directory that may have to be made.
fn place_of(directory: &Path) -> io::Result<PathBuf> {
    match (directory.canonicalize(), directory.file_name()) {
        (Err(error), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
            let above = directory.parent().filter(|above| *above != Path::new(""));
            Ok(above.unwrap_or(Path::new(".")).canonicalize()?.join(name))
        }
        (other, _) => other,
    }
}

/// The first line of a journal.
fn header(root: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    format!("{MAGIC}{}\n", record::escape(root.as_os_str().as_bytes())).into_bytes()
}

/// The root that a journal belongs to.
fn belongs_to(index: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let line = index.split(|&byte| byte == b'\n').next()?;
    let root = std::str::from_utf8(line).ok()?.strip_prefix(MAGIC)?;
    Some(std::ffi::OsString::from_vec(record::unescape(root)?).into())
}

fn lower_root(path: &Path) -> Result<Place, OverlayError> {
    let refused = |reason: String| OverlayError::Root { path: path.to_owned(), reason };
    let place = Place::top(path).map_err(|e| refused(e.to_string()))?;
    match place.stat() {
        Ok(stat) if stat.kind == HostKind::Directory => Ok(place),
        Ok(_) => Err(refused("not a directory".to_owned())),
        Err(error) => Err(refused(error.to_string())),
    }
}
