//! Changing a file of an overlay: each change is one line of the journal, and then true.
//!
//! A [`Change`] gathers what will be so; nothing is so before its line is written.  The order of names and
//! contents is that of `host::upper`: bytes first, then the line, then what is not needed any more.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::layered::{Layered, links};
use super::record::{self, Facts, Number, Origin, Part, ROOT};
use super::{Key, Node, Overlay};
use crate::host::change::NodeKind;
use crate::host::clock;
use crate::host::error::{HostError, HostResult};
use crate::host::fs::{HostKind, HostTime, Place};
use crate::kernel::time::SECOND_NS;

/// Permission bits that the overlay keeps: those that a file of the host has.
const PERM: u32 = 0o1777;
/// Longest name.
const NAME_MAX: usize = 255;

fn now() -> HostTime {
    let now = clock::realtime();
    HostTime { sec: (now / SECOND_NS).cast_signed(), nsec: (now % SECOND_NS).cast_signed() }
}

/// What a change is going to make true.
struct Change<'a> {
    overlay: &'a mut Overlay,
    facts: BTreeMap<Number, Facts>,
    lower: Vec<(Number, (u64, u64))>,
    names: Vec<(Number, Vec<u8>, Option<Option<Number>>)>,
    gone: Vec<Number>,
    next: Number,
    now: HostTime,
}

impl<'a> Change<'a> {
    fn new(overlay: &'a mut Overlay) -> Self {
        let next = overlay.next;
        Self {
            overlay,
            facts: BTreeMap::new(),
            lower: Vec::new(),
            names: Vec::new(),
            gone: Vec::new(),
            next,
            now: now(),
        }
    }

    fn take_number(&mut self) -> Number {
        let number = self.next;
        self.next += 1;
        number
    }

    /// The number of a file that is held; one of the root becomes known.
    fn number(&mut self, held: &Layered) -> HostResult<Number> {
        if let Some((number, _)) = self.overlay.node(held.key) {
            return Ok(number);
        }
        let (Key::Lower(dev, ino), Some(lower)) = (held.key, &held.lower) else {
            return Err(HostError::STALE);
        };
        if let Some((number, _)) = self.lower.iter().find(|(_, id)| *id == (dev, ino)) {
            return Ok(*number);
        }
        let stat = lower.stat()?;
        let attribute = self.overlay.attribute_below(lower, &stat);
        let number = if held.path.is_empty() { ROOT } else { self.take_number() };
        let facts = Facts {
            kind: stat.kind,
            perm: stat.perm & PERM,
            links: 0,
            own: false,
            attribute,
            text: Vec::new(),
            times: Some([stat.atime, stat.mtime, stat.ctime]),
            origin: Some(Origin { path: held.path.to_vec(), size: stat.size, mtime: stat.mtime }),
        };
        self.facts.insert(number, facts);
        self.lower.push((number, (dev, ino)));
        Ok(number)
    }

    /// What is going to be true of a file.
    fn facts(&mut self, number: Number) -> HostResult<&mut Facts> {
        if !self.facts.contains_key(&number) {
            let node = self.overlay.nodes.get(&number).ok_or(HostError::STALE)?;
            self.facts.insert(number, node.facts.clone());
        }
        self.facts.get_mut(&number).ok_or(HostError::STALE)
    }

    /// A file changes: its time of change, and that of modification where its content does.
    fn touch(&mut self, number: Number, content: bool) -> HostResult<()> {
        let now = self.now;
        if let Some([_, mtime, ctime]) = &mut self.facts(number)?.times {
            *ctime = now;
            if content {
                *mtime = now;
            }
        }
        Ok(())
    }

    /// A new file, without a name.
    fn make(&mut self, kind: HostKind, perm: u32) -> Number {
        let number = self.take_number();
        let own = kind == HostKind::Regular;
        let facts = Facts {
            kind,
            perm: perm & PERM,
            links: 0,
            own,
            attribute: None,
            text: Vec::new(),
            times: (!own).then_some([self.now; 3]),
            origin: None,
        };
        self.facts.insert(number, facts);
        number
    }

    /// Gives a file a name, in the place of what the name stood for.
    fn name(&mut self, directory: &Layered, name: &[u8], number: Number) -> HostResult<()> {
        let above = self.number(directory)?;
        let below = directory.key_below(name)?;
        let own = match self.lower.iter().find(|(known, _)| *known == number) {
            Some((_, (dev, ino))) => Key::Lower(*dev, *ino),
            None => self.overlay.key(number),
        };
        let same = below.is_some_and(|below| below == own);
        // A file that comes back to where it was has its name from below.
        let to = if same { None } else { Some(Some(number)) };
        self.names.push((above, name.to_vec(), to));
        self.touch(above, true)
    }

    /// Takes a name away.
    fn unname(&mut self, directory: &Layered, name: &[u8]) -> HostResult<()> {
        let above = self.number(directory)?;
        let hidden = directory.key_below(name)?.is_some();
        self.names.push((above, name.to_vec(), hidden.then_some(None)));
        self.touch(above, true)
    }

    /// A file has one name less; without any it goes, as soon as nobody holds it.
    fn unlink(&mut self, held: &Layered) -> HostResult<()> {
        let number = self.number(held)?;
        let stat = held.lower.as_ref().map(Place::stat).transpose()?;
        let lower = self.overlay.nodes.get(&number).map_or(Some((0, 0)), |node| node.lower);
        let facts = self.facts(number)?;
        facts.links -= 1;
        let node = Node { facts: facts.clone(), names: BTreeMap::new(), lower, gone: false };
        // A directory of the root stays known: a commit removes what was removed in it, and nothing else.
        let kept = node.facts.kind == HostKind::Directory && lower.is_some();
        if !kept && links(&node, stat) == 0 {
            self.gone.push(number);
        }
        self.touch(number, false)
    }

    /// Writes the line, and makes it true.
    fn settle(self) -> HostResult<()> {
        let Change { overlay, facts, lower, names, gone, next, .. } = self;
        let mut parts = Vec::new();
        for (&number, facts) in &facts {
            if !gone.contains(&number) {
                parts.push(Part::Node(number, facts.clone()));
            }
        }
        parts.extend(names.iter().map(|(directory, name, to)| Part::Name(*directory, name.clone(), *to)));
        let known = |number: &&Number| overlay.nodes.contains_key(number);
        parts.extend(gone.iter().filter(known).map(|number| Part::Gone(*number)));
        if !parts.is_empty() {
            overlay.upper.append(&record::line(&parts))?;
        }
        overlay.next = next;
        for (number, facts) in facts {
            overlay.apply(Part::Node(number, facts));
        }
        for (number, lower) in lower {
            if let Some(node) = overlay.nodes.get_mut(&number) {
                node.lower = Some(lower);
                overlay.by_lower.insert(lower, number);
            }
        }
        for (directory, name, to) in names {
            overlay.apply(Part::Name(directory, name, to));
        }
        for number in gone {
            let key = overlay.key(number);
            if let Some(node) = overlay.nodes.get_mut(&number) {
                node.gone = true;
            }
            if !overlay.held.contains_key(&key) {
                overlay.release(key);
            }
        }
        Ok(())
    }
}

impl Layered {
    /// What the name stands for in the directory below.
    fn key_below(&self, name: &[u8]) -> HostResult<Option<Key>> {
        let Some(lower) = &self.lower else { return Ok(None) };
        match lower.child(name) {
            Ok(place) => {
                let stat = place.stat()?;
                Ok(Some(Key::Lower(stat.dev, stat.ino)))
            }
            Err(HostError::NO_ENTRY) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A directory where a name can be made, and a name that is free.
    fn free(&self, name: &[u8]) -> HostResult<()> {
        if name.len() > NAME_MAX {
            return Err(HostError::INVALID);
        }
        match self.child(name) {
            Ok(_) => Err(HostError::EXISTS),
            Err(HostError::NO_ENTRY) if self.removed() => Err(HostError::NO_ENTRY),
            Err(HostError::NO_ENTRY) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether it is a directory that was removed.
    fn removed(&self) -> bool {
        self.overlay.borrow().node(self.key).is_some_and(|(_, node)| node.removed())
    }

    fn made(&self, number: Number) -> Self {
        Self::new(&self.overlay, Key::New(number), None, Rc::from(&b""[..]))
    }

    fn make(&self, name: &[u8], kind: HostKind, perm: u32, text: &[u8]) -> HostResult<Self> {
        self.free(name)?;
        let number = {
            let mut overlay = self.overlay.borrow_mut();
            let mut change = Change::new(&mut overlay);
            let number = change.make(kind, perm);
            let facts = change.facts(number)?;
            facts.links = 1;
            facts.text = text.to_vec();
            change.name(self, name, number)?;
            if kind == HostKind::Regular {
                change.overlay.upper.create_data(number)?;
            }
            let settled = change.settle();
            if let Err(error) = settled {
                if kind == HostKind::Regular {
                    // What cannot be removed now is found and removed the next time.
                    let _ = overlay.upper.remove_data(number);
                }
                return Err(error);
            }
            number
        };
        Ok(self.made(number))
    }

    /// Makes the regular file `name`, which must not exist, and holds it.
    pub fn create(&self, name: &[u8], perm: u32) -> HostResult<Self> {
        self.make(name, HostKind::Regular, perm, &[])
    }

    /// Makes the directory `name`.
    pub fn mkdir(&self, name: &[u8], perm: u32) -> HostResult<Self> {
        self.make(name, HostKind::Directory, perm, &[])
    }

    /// Makes the symbolic link `name` with `text`.
    pub fn symlink(&self, name: &[u8], text: &[u8]) -> HostResult<Self> {
        self.make(name, HostKind::Symlink, 0o777, text)
    }

    /// Makes a FIFO or socket node called `name`.
    pub fn mknod(&self, name: &[u8], kind: NodeKind, perm: u32) -> HostResult<Self> {
        let kind = match kind {
            NodeKind::Fifo => HostKind::Fifo,
            NodeKind::Socket => HostKind::Socket,
        };
        self.make(name, kind, perm, &[])
    }

    /// Gives `file` the further name `name` in this directory.
    pub fn link_to(&self, name: &[u8], file: &Self) -> HostResult<()> {
        self.free(name)?;
        if file.stat()?.kind == HostKind::Directory {
            return Err(HostError::NOT_PERMITTED);
        }
        if file.removed() {
            return Err(HostError::NO_ENTRY);
        }
        self.changing(|change| {
            let number = change.number(file)?;
            change.facts(number)?.links += 1;
            change.touch(number, false)?;
            change.name(self, name, number)
        })
    }

    /// Removes the entry `name`.
    pub fn remove(&self, name: &[u8], directory: bool) -> HostResult<()> {
        let target = self.child(name)?;
        match (target.stat()?.kind == HostKind::Directory, directory) {
            (true, false) => return Err(HostError::IS_A_DIRECTORY),
            (false, true) => return Err(HostError::NOT_A_DIRECTORY),
            (true, true) if !target.entries()?.is_empty() => return Err(HostError::NOT_EMPTY),
            _ => {}
        }
        self.changing(|change| {
            change.unname(self, name)?;
            change.unlink(&target)
        })
    }

    /// Renames the entry `from` of this directory to `to` in the directory `into`; without `replace` only to a
    /// free name.
    pub fn rename(&self, from: &[u8], into: &Self, to: &[u8], replace: bool) -> HostResult<()> {
        let source = self.child(from)?;
        let target = match into.child(to) {
            Ok(target) => Some(target),
            Err(HostError::NO_ENTRY) if into.removed() => return Err(HostError::NO_ENTRY),
            Err(HostError::NO_ENTRY) => None,
            Err(error) => return Err(error),
        };
        if target.is_some() && !replace {
            return Err(HostError::EXISTS);
        }
        if target.as_ref().is_some_and(|target| target.key == source.key) {
            return Ok(());
        }
        if let Some(target) = &target {
            let directory = source.stat()?.kind == HostKind::Directory;
            match (directory, target.stat()?.kind == HostKind::Directory) {
                (true, false) => return Err(HostError::NOT_A_DIRECTORY),
                (false, true) => return Err(HostError::IS_A_DIRECTORY),
                (true, true) if !target.entries()?.is_empty() => return Err(HostError::NOT_EMPTY),
                _ => {}
            }
        }
        self.changing(|change| {
            let number = change.number(&source)?;
            change.unname(self, from)?;
            if let Some(target) = &target {
                change.unlink(target)?;
            }
            change.name(into, to, number)?;
            change.touch(number, false)
        })
    }

    /// Sets the permission bits.
    pub fn chmod(&self, perm: u32) -> HostResult<()> {
        self.changing(|change| {
            let number = change.number(self)?;
            let facts = change.facts(number)?;
            facts.perm = perm & PERM;
            change.touch(number, false)
        })
    }

    /// Sets the times of access and modification.
    pub fn utimes(&self, atime: HostTime, mtime: HostTime) -> HostResult<()> {
        let own = {
            let overlay = self.overlay.borrow();
            let node = overlay.node(self.key).filter(|(_, node)| node.facts.own);
            node.map(|(number, _)| overlay.upper.data(number)).transpose()?
        };
        if let Some(data) = own {
            return data.utimes(atime, mtime);
        }
        self.changing(|change| {
            let number = change.number(self)?;
            let now = change.now;
            change.facts(number)?.times = Some([atime, mtime, now]);
            Ok(())
        })
    }

    /// Sets or, with `None`, removes the one extended attribute that files of an overlay have.
    pub fn set_attribute(&self, _name: &str, value: Option<&[u8]>) -> HostResult<()> {
        self.changing(|change| {
            let number = change.number(self)?;
            change.facts(number)?.attribute = value.map(<[u8]>::to_vec);
            change.touch(number, false)
        })
    }

    /// Makes the bytes of a regular file the overlay's own.
    pub(super) fn take_content(&self) -> HostResult<()> {
        if self.overlay.borrow().node(self.key).is_some_and(|(_, node)| node.facts.own) {
            return Ok(());
        }
        let lower = self.lower.as_ref().ok_or(HostError::NO_DEVICE)?;
        if lower.stat()?.kind != HostKind::Regular {
            return Err(HostError::NO_DEVICE);
        }
        let mut overlay = self.overlay.borrow_mut();
        let mut change = Change::new(&mut overlay);
        let number = change.number(self)?;
        let data = change.overlay.upper.copy_data(number, lower)?;
        let facts = change.facts(number)?;
        if let Some([atime, mtime, _]) = facts.times.take() {
            data.utimes(atime, mtime)?;
        }
        facts.own = true;
        let settled = change.settle();
        if settled.is_err() {
            // What cannot be removed now is found and removed the next time.
            let _ = overlay.upper.remove_data(number);
        }
        settled
    }

    fn changing(&self, act: impl FnOnce(&mut Change<'_>) -> HostResult<()>) -> HostResult<()> {
        let mut overlay = self.overlay.borrow_mut();
        let mut change = Change::new(&mut overlay);
        act(&mut change)?;
        change.settle()
    }
}
