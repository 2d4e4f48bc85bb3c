//! What an overlay changes, told file by file.
//!
//! Must not change anything.  No 2.1 counterpart.

use serde::Serialize;

use super::record::Number;
use super::{Node, Overlay};
use crate::host::error::HostResult;
use crate::host::fs::{HostKind, HostStat, Place};
use crate::kernel::vfs::attr::Extra;

/// Deepest directory whose path is told.
pub(super) const DEPTH: usize = 256;

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// It is new, or a name of it is.
    Added,
    /// Its bytes are others, or another file has taken its name.
    Modified,
    /// Its permissions, owner or flags are others.
    Attributes,
    /// It has another name.
    Moved,
    /// It is gone.
    Removed,
}

impl What {
    /// One letter for it.
    pub fn letter(self) -> char {
        match self {
            What::Added => 'A',
            What::Modified => 'M',
            What::Attributes => 'C',
            What::Moved => 'R',
            What::Removed => 'D',
        }
    }
}

/// One difference between the root and what a guest sees of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What happened.
    pub change: What,
    /// The path, as the guest names it now; of a removed file, its path in the root.
    #[serde(serialize_with = "text")]
    pub path: Vec<u8>,
    /// The path in the root, of a file that was moved.
    #[serde(serialize_with = "optional_text", skip_serializing_if = "Option::is_none")]
    pub from: Option<Vec<u8>>,
    /// The type: file, directory, link, fifo, socket, device.
    pub kind: &'static str,
    /// What was said of it and what is said now, such as `mode 644 -> 600`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
    /// The file of the root was changed since the overlay took it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub conflict: bool,
}

fn text<S: serde::Serializer>(path: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&String::from_utf8_lossy(path))
}

fn optional_text<S: serde::Serializer>(path: &Option<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
    text(path.as_deref().unwrap_or_default(), to)
}

impl Overlay {
    /// Everything that differs, in the order of paths.
    pub fn differences(&self) -> HostResult<Vec<Difference>> {
        let mut found = Vec::new();
        for (&number, node) in &self.nodes {
            // What went with its directory is told with it; what was moved out of it, where it is.
            if node.removed() {
                continue;
            }
            self.names(number, node, &mut found);
            self.facts(number, node, &mut found)?;
        }
        found.sort_by(|a, b| (&a.path, a.change).cmp(&(&b.path, b.change)));
        Ok(found)
    }

    /// The path of a directory and one of its names.
    pub(super) fn path_in(&self, directory: Number, name: &[u8]) -> Vec<u8> {
        let above = self.present_path(Some(directory), &[], DEPTH).unwrap_or_default();
        if above.is_empty() { name.to_vec() } else { [&above, name].join(&b'/') }
    }

    /// What a name stands for in the root, where the directory is one of the root's.
    pub(super) fn name_below(&self, directory: &Node, name: &[u8]) -> Option<(Vec<u8>, Place, HostStat)> {
        directory.lower?;
        let above = &directory.facts.origin.as_ref()?.path;
        let path = if above.is_empty() { name.to_vec() } else { [above, name].join(&b'/') };
        let place = self.below(&path).ok()?;
        let stat = place.stat().ok()?;
        Some((path, place, stat))
    }

    /// Whether a file of the root has a name that the overlay gave it.
    pub(super) fn moved(&self, stat: &HostStat) -> bool {
        self.by_lower.get(&(stat.dev, stat.ino)).is_some_and(|number| self.named.contains_key(number))
    }

    fn names(&self, number: Number, node: &Node, found: &mut Vec<Difference>) {
        for (name, to) in &node.names {
            let below = self.name_below(node, name);
            let target = to.and_then(|n| Some((n, self.nodes.get(&n)?)));
            let path = absolute(&self.path_in(number, name));
            let Some((_, target)) = target else {
                if let Some((_, _, stat)) = &below
                    && !self.moved(stat)
                {
                    found.push(Difference {
                        change: What::Removed,
                        path,
                        from: None,
                        kind: word(stat.kind, None),
                        attributes: Vec::new(),
                        conflict: false,
                    });
                }
                continue;
            };
            let from = target.facts.origin.as_ref().filter(|_| target.lower.is_some());
            let kind = word(target.facts.kind, target.facts.attribute.as_deref());
            let change = match (&from, &below) {
                (Some(_), _) => What::Moved,
                (None, Some(_)) => What::Modified,
                (None, None) => What::Added,
            };
            let from = from.map(|origin| absolute(&origin.path));
            found.push(Difference { change, path, from, kind, attributes: Vec::new(), conflict: false });
        }
    }

    fn facts(&self, number: Number, node: &Node, found: &mut Vec<Difference>) -> HostResult<()> {
        let (Some(origin), Some(_)) = (&node.facts.origin, node.lower) else { return Ok(()) };
        let place = self.below(&origin.path)?;
        let stat = place.stat()?;
        let conflict = self.conflicts(node, &stat);
        let path = absolute(&self.present_path(Some(number), &[], DEPTH).unwrap_or_default());
        let kind = word(stat.kind, node.facts.attribute.as_deref());
        let mut push = |change, attributes| {
            found.push(Difference { change, path: path.clone(), from: None, kind, attributes, conflict });
        };
        if node.facts.own {
            push(What::Modified, Vec::new());
        }
        let before = self.attribute_below(&place, &stat);
        let mut changes = Vec::new();
        let (old, new) = (&before, &node.facts.attribute);
        let extra = |text: &Option<Vec<u8>>| Extra::parse(text.as_deref().unwrap_or_default());
        let mode = |extra: &Extra, perm: u32| extra.mode.map_or(perm & 0o1777, u32::from);
        let (was, is) = (mode(&extra(old), stat.perm), mode(&extra(new), node.facts.perm));
        if was != is {
            changes.push(format!("mode {was:o} -> {is:o}"));
        }
        if old != new {
            let shown = |text: &Option<Vec<u8>>| match text {
                Some(text) => String::from_utf8_lossy(text).into_owned(),
                None => "nothing".to_owned(),
            };
            changes.push(format!("{} -> {}", shown(old), shown(new)));
        }
        if !changes.is_empty() {
            push(What::Attributes, changes);
        }
        Ok(())
    }

    /// Whether the root's file is not the one that the overlay has taken the bytes of.
    pub(super) fn conflicts(&self, node: &Node, stat: &HostStat) -> bool {
        let same = |origin: &super::record::Origin| (origin.size, origin.mtime) == (stat.size, stat.mtime);
        node.facts.own && node.facts.origin.as_ref().is_some_and(|origin| !same(origin))
    }
}

fn absolute(path: &[u8]) -> Vec<u8> {
    [b"/", path].concat()
}

fn word(kind: HostKind, attribute: Option<&[u8]>) -> &'static str {
    match kind {
        HostKind::Regular if attribute.is_some_and(|text| Extra::parse(text).device.is_some()) => "device",
        HostKind::Regular => "file",
        HostKind::Directory => "directory",
        HostKind::Symlink => "link",
        HostKind::Fifo => "fifo",
        HostKind::Socket => "socket",
        HostKind::CharDevice | HostKind::BlockDevice => "device",
        HostKind::Unknown => "unknown",
    }
}
