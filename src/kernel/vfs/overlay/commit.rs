//! Writing an overlay's changes into its root.
//!
//! The steps are worked out first and written down at once; each is noted when it is done.  A commit that was
//! interrupted goes on where it stopped: only the step that nobody noted may be done twice, and every step
//! may be.  Four rounds, so that no step needs what an earlier one has moved:
//!
//! 1. files of the root get their bytes and what is said of them, where they are;
//! 2. in the root as it is, the deepest first: what moves is taken into a directory beside everything, what
//!    is gone is removed (directories only if they are empty: what the guest never saw is not removed);
//! 3. in the root as it will be, from the top: directories, new files and what was taken get their places,
//!    then further names;
//! 4. what is said of directories.
//!
//! Bytes are written to a name of their own, which then takes the place of the old one, so that a file is the
//! old one or the new one.  Only a file with several names is written where it is.
//!
//! Must not know the guest.  No 2.1 counterpart.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::fd::AsFd;

use super::diff::DEPTH;
use super::record::{self, Facts, Number};
use super::{Node, Overlay, OverlayError};
use crate::host::change::NodeKind;
use crate::host::error::{HostError, HostResult};
use crate::host::fs::{self, HostKind, HostTime, OpenFor, Place};
use crate::kernel::vfs::attr::{ATTRIBUTE, Extra};

/// Where things are that move.
const STAGE: &[u8] = b".bsd21-commit";
/// The first line of a list of steps.
const FIRST: &str = "bsd21 commit 1";
/// Bytes that are copied at once.
const PIECE: usize = 1 << 16;

/// Why a commit does not end.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The overlay cannot be read.
    #[error("{0}")]
    Overlay(#[from] OverlayError),
    /// Its directory cannot be used.
    #[error("{0}")]
    Host(#[from] io::Error),
    /// A file of the root has changed since the overlay took it.
    #[error("{path} was changed in the root since the overlay took it (--force writes over it)")]
    Conflict {
        /// The file.
        path: String,
    },
    /// A step cannot be done.
    #[error("{step}: {reason}; nothing is lost: what is left is done by the next commit")]
    Step {
        /// The step.
        step: String,
        /// What the host says.
        reason: String,
    },
    /// The list of steps is not one of ours.
    #[error("its list of steps is damaged")]
    Damaged,
}

/// One step; paths are below the root.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// What has a name is taken aside.
    Take(Vec<u8>, Number),
    /// What has a name goes.
    Remove(Vec<u8>),
    /// What was taken gets its place.
    Place(Vec<u8>, Number),
    /// Something new gets its place, with its bytes and all that is said of it.
    Make(Vec<u8>, Number),
    /// A file gets a further name.
    Link(Vec<u8>, Vec<u8>),
    /// A file gets its bytes.
    Write(Vec<u8>, Number),
    /// A file gets what is said of it.
    Facts(Vec<u8>, Number),
}

impl Step {
    fn line(&self) -> String {
        let path = |path: &[u8]| record::escape(path);
        match self {
            Step::Take(from, number) => format!("take {} {number}", path(from)),
            Step::Remove(at) => format!("remove {}", path(at)),
            Step::Place(at, number) => format!("place {} {number}", path(at)),
            Step::Make(at, number) => format!("make {} {number}", path(at)),
            Step::Link(at, of) => format!("link {} {}", path(at), path(of)),
            Step::Write(at, number) => format!("write {} {number}", path(at)),
            Step::Facts(at, number) => format!("facts {} {number}", path(at)),
        }
    }

    fn parse(line: &str) -> Option<Step> {
        let mut words = line.split(' ');
        let (what, path) = (words.next()?, record::unescape(words.next()?)?);
        if what == "remove" {
            return Some(Step::Remove(path));
        }
        let last = words.next()?;
        if what == "link" {
            return Some(Step::Link(path, record::unescape(last)?));
        }
        let number = last.parse().ok()?;
        Some(match what {
            "take" => Step::Take(path, number),
            "place" => Step::Place(path, number),
            "make" => Step::Make(path, number),
            "write" => Step::Write(path, number),
            "facts" => Step::Facts(path, number),
            _ => return None,
        })
    }
}

impl Overlay {
    /// Writes all changes into the root and empties the overlay; gives the number of steps.
    pub fn commit(mut self, force: bool) -> Result<usize, CommitError> {
        Ok(self.commit_some(force, usize::MAX)?.unwrap_or_default())
    }

    /// Stops before step `stop`; tells whether there was none.
    #[cfg(test)]
    pub(super) fn commit_until(mut self, stop: usize) -> Result<bool, CommitError> {
        Ok(self.commit_some(false, stop)?.is_some())
    }

    fn commit_some(&mut self, force: bool, stop: usize) -> Result<Option<usize>, CommitError> {
        let (steps, done, mut progress) = match self.upper.commit()? {
            Some(begun) => {
                let (steps, done) = parse(&begun).ok_or(CommitError::Damaged)?;
                (steps, done, self.upper.resume_commit()?)
            }
            None => {
                let steps = self.steps(force)?;
                let text: String = steps.iter().map(|step| step.line() + "\n").collect();
                let progress = self.upper.begin_commit(format!("{FIRST}\n{text}begin\n").as_bytes())?;
                (steps, 0, progress)
            }
        };
        for (number, step) in steps.iter().enumerate().skip(done) {
            if number >= stop {
                return Ok(None);
            }
            self.perform(step)
                .map_err(|error| CommitError::Step { step: step.line(), reason: error.to_string() })?;
            writeln!(progress, "done {}", number + 1)?;
        }
        match self.root.remove(STAGE, true) {
            Err(error) if error != HostError::NO_ENTRY => return Err(io::Error::from(error.0).into()),
            _ => {}
        }
        self.upper.rewrite(&super::header(&self.root_path))?;
        self.upper.end_commit()?;
        let numbers = self.upper.numbers().map_err(|e| io::Error::from(e.0))?;
        for number in numbers {
            self.upper.remove_data(number).map_err(|e| io::Error::from(e.0))?;
        }
        Ok(Some(steps.len()))
    }

    fn steps(&self, force: bool) -> Result<Vec<Step>, CommitError> {
        let host = |error: HostError| CommitError::Host(error.0.into());
        let mut before = Vec::new();
        let mut taken = HashMap::new();
        for (&number, node) in &self.nodes {
            let (Some(origin), Some(_)) = (&node.facts.origin, node.lower) else { continue };
            if !force && self.conflicts(node, &self.below(&origin.path).and_then(|p| p.stat()).map_err(host)?)
            {
                let path = format!("/{}", String::from_utf8_lossy(&origin.path));
                return Err(CommitError::Conflict { path });
            }
            if self.named.contains_key(&number) && self.hidden(&origin.path) {
                taken.insert(origin.path.clone(), number);
                before.push(Step::Take(origin.path.clone(), number));
            }
        }
        let mut after = Vec::new();
        for (&number, node) in &self.nodes {
            for (name, to) in &node.names {
                let target = to.and_then(|n| Some((n, self.nodes.get(&n)?)));
                if let Some((path, _, stat)) = self.name_below(node, name) {
                    // A file takes the place of a file at once.
                    let replaced = target.is_some_and(|(_, target)| {
                        target.facts.kind != HostKind::Directory && stat.kind != HostKind::Directory
                    });
                    if !replaced && !taken.contains_key(&path) {
                        before.push(Step::Remove(path));
                    }
                }
                if let Some((target, _)) = target
                    && !node.removed()
                {
                    after.push((self.path_in(number, name), target));
                }
            }
        }
        before.sort_by_key(|step| match step {
            Step::Take(path, _) | Step::Remove(path) => std::cmp::Reverse(depth(path)),
            _ => std::cmp::Reverse(0),
        });
        after.sort_by_key(|(path, _)| depth(path));
        let mut steps = self.contents();
        steps.append(&mut before);
        self.places(after, &taken, &mut steps);
        self.directories(&mut steps);
        Ok(steps)
    }

    /// The third round.
    fn places(&self, names: Vec<(Vec<u8>, Number)>, taken: &HashMap<Vec<u8>, Number>, steps: &mut Vec<Step>) {
        let mut placed: HashMap<Number, Vec<u8>> = HashMap::new();
        let mut links = Vec::new();
        for (path, number) in names {
            let Some(node) = self.nodes.get(&number) else { continue };
            if let Some(first) = placed.get(&number) {
                links.push(Step::Link(path, first.clone()));
                continue;
            }
            let is_taken = taken.values().any(|&n| n == number);
            match (node.lower.is_some(), is_taken) {
                (true, true) => steps.push(Step::Place(path.clone(), number)),
                (true, false) => {
                    let origin = node.facts.origin.as_ref().map_or(&[][..], |origin| &origin.path);
                    let there = self.present_path(None, origin, DEPTH).unwrap_or_default();
                    links.push(Step::Link(path.clone(), there));
                }
                (false, _) => steps.push(Step::Make(path.clone(), number)),
            }
            placed.insert(number, path);
        }
        steps.append(&mut links);
    }

    /// The first round: bytes and facts of files of the root, where they are: a file may lose the name by
    /// which it is known and keep another one.
    fn contents(&self) -> Vec<Step> {
        let of_root = self
            .nodes
            .iter()
            .filter(|(_, node)| node.lower.is_some() && node.facts.kind != HostKind::Directory);
        let steps = of_root.filter_map(|(&number, node)| {
            let path = node.facts.origin.as_ref()?.path.clone();
            Some(if node.facts.own { Step::Write(path, number) } else { Step::Facts(path, number) })
        });
        steps.collect()
    }

    /// The last round: facts of directories, the deepest first.
    fn directories(&self, steps: &mut Vec<Step>) {
        let mut directories = Vec::new();
        for (&number, node) in &self.nodes {
            if !node.removed()
                && node.facts.kind == HostKind::Directory
                && let Some(path) = self.present_path(Some(number), &[], DEPTH)
            {
                directories.push(Step::Facts(path, number));
            }
        }
        directories.sort_by_key(|step| match step {
            Step::Facts(path, _) => std::cmp::Reverse(depth(path)),
            _ => std::cmp::Reverse(0),
        });
        steps.append(&mut directories);
    }

    /// Whether a path of the root does not lead to its file any more.
    fn hidden(&self, path: &[u8]) -> bool {
        let at = path.iter().rposition(|&byte| byte == b'/');
        let (above, name) = match at {
            Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
            None => (&[][..], path),
        };
        let directory = |node: &&Node| {
            node.facts.kind == HostKind::Directory
                && node.facts.origin.as_ref().is_some_and(|origin| origin.path == above)
        };
        self.nodes.values().find(directory).is_some_and(|node| node.names.contains_key(name))
    }

    fn perform(&self, step: &Step) -> HostResult<()> {
        match step {
            Step::Take(path, number) => {
                let stage = self.stage()?;
                let aside = number.to_string();
                if stage.child(aside.as_bytes()).is_ok() {
                    return Ok(());
                }
                let (directory, name) = self.parent(path)?;
                self.follow(path, &staged(*number))?;
                directory.rename(&name, &stage, aside.as_bytes(), false)
            }
            Step::Remove(path) => {
                let (directory, name) = self.parent(path)?;
                match directory.child(&name) {
                    Ok(place) => {
                        self.forget(&place, path)?;
                        directory.remove(&name, place.stat()?.kind == HostKind::Directory)
                    }
                    Err(HostError::NO_ENTRY) => Ok(()),
                    Err(error) => Err(error),
                }
            }
            Step::Place(path, number) => {
                let (directory, name) = self.parent(path)?;
                self.follow(&staged(*number), path)?;
                match self.stage()?.rename(number.to_string().as_bytes(), &directory, &name, true) {
                    Err(HostError::NO_ENTRY) if directory.child(&name).is_ok() => Ok(()),
                    other => other,
                }
            }
            Step::Make(path, number) => {
                let facts = &self.nodes.get(number).ok_or(HostError::STALE)?.facts;
                self.make(path, *number, facts)
            }
            Step::Link(path, of) => {
                let file = self.below(of)?;
                let (directory, name) = self.parent(path)?;
                let aside = aside(path);
                ready(&directory, &aside)?;
                directory.link_to(&aside, &file)?;
                directory.rename(&aside, &directory, &name, true)?;
                // Renaming one name of a file to another one of it does nothing.
                ready(&directory, &aside)
            }
            Step::Write(path, number) => self.write(path, *number),
            Step::Facts(path, number) => {
                let facts = &self.nodes.get(number).ok_or(HostError::STALE)?.facts;
                self.tell(&self.below(path)?, path, facts, facts.times)
            }
        }
    }

    /// The directory for what moves.
    fn stage(&self) -> HostResult<Place> {
        match self.root.child(STAGE) {
            Err(HostError::NO_ENTRY) => self.root.mkdir(STAGE, 0o700)?.ok_or(HostError::NO_ENTRY),
            other => other,
        }
    }

    fn parent(&self, path: &[u8]) -> HostResult<(Place, Vec<u8>)> {
        let at = path.iter().rposition(|&byte| byte == b'/');
        let above = path.get(..at.unwrap_or(0)).unwrap_or_default();
        let name = path.get(at.map_or(0, |at| at + 1)..).unwrap_or_default();
        Ok((self.below(above)?, name.to_vec()))
    }

    /// Puts a new file into its place: made under another name, it takes the place at once.
    fn make(&self, path: &[u8], number: Number, facts: &Facts) -> HostResult<()> {
        let (directory, name) = self.parent(path)?;
        let aside = aside(path);
        if facts.kind == HostKind::Directory {
            return match directory.mkdir(&name, facts.perm) {
                Err(HostError::EXISTS) => Ok(()),
                other => other.map(drop),
            };
        }
        ready(&directory, &aside)?;
        let place = match facts.kind {
            HostKind::Symlink => directory.symlink(&aside, &facts.text)?,
            HostKind::Fifo => directory.mknod(&aside, NodeKind::Fifo, facts.perm)?,
            HostKind::Socket => directory.mknod(&aside, NodeKind::Socket, facts.perm)?,
            _ => Some(directory.create(&aside, 0o600)?),
        };
        let place = place.ok_or(HostError::STALE)?;
        let times = if facts.own { Some(self.fill(&place, number)?) } else { facts.times };
        if let Ok(old) = directory.child(&name) {
            self.forget(&old, path)?;
        }
        self.tell(&place, path, facts, times)?;
        directory.rename(&aside, &directory, &name, true)
    }

    /// Writes the bytes of a file of the root.
    fn write(&self, path: &[u8], number: Number) -> HostResult<()> {
        let facts = &self.nodes.get(&number).ok_or(HostError::STALE)?.facts;
        let (directory, name) = self.parent(path)?;
        let old = directory.child(&name)?;
        let stat = old.stat()?;
        if stat.nlink > 1 {
            let times = self.fill(&old, number)?;
            return self.tell(&old, path, facts, Some(times));
        }
        let aside = aside(path);
        ready(&directory, &aside)?;
        let new = directory.create(&aside, 0o600)?;
        if new.stat()?.uid != stat.uid || new.stat()?.gid != stat.gid {
            // Whose it was it stays, where the host lets us say so.
            let _ = new.chown(Some(stat.uid), Some(stat.gid));
        }
        let times = self.fill(&new, number)?;
        self.tell(&new, path, facts, Some(times))?;
        directory.rename(&aside, &directory, &name, true)
    }

    /// Copies contents into a file of the root, on to the disk, and gives the times that it shall have.
    fn fill(&self, to: &Place, number: Number) -> HostResult<[HostTime; 3]> {
        let data = self.upper.data(number)?;
        let (source, target) = (data.open_file(OpenFor::Reading)?, to.open_file(OpenFor::Writing)?);
        fs::set_size(target.as_fd(), 0)?;
        let mut buffer = vec![0; PIECE];
        let mut at = 0;
        loop {
            let length = fs::read_at(source.as_fd(), &mut buffer, at)?;
            let piece = buffer.get(..length).unwrap_or_default();
            if length == 0 {
                break;
            }
            if fs::write_at(target.as_fd(), piece, at)? < length {
                return Err(HostError::NO_SPACE);
            }
            at += length as u64;
        }
        fs::sync(target.as_fd())?;
        let stat = data.stat()?;
        Ok([stat.atime, stat.mtime, stat.ctime])
    }

    /// Says of a file of the host what the overlay says of it; what the file cannot have the root's index gets, for the
    /// path that the file has or will have.
    fn tell(
        &self,
        place: &Place,
        path: &[u8],
        facts: &Facts,
        times: Option<[HostTime; 3]>,
    ) -> HostResult<()> {
        if facts.kind != HostKind::Symlink {
            place.chmod(facts.perm)?;
            if let Some([atime, mtime, _]) = times {
                place.utimes(atime, mtime)?;
            }
        }
        let stat = place.stat()?;
        if self.attribute_below(place, &stat) == facts.attribute {
            return Ok(());
        }
        let own = super::layered::has_attributes(facts.kind);
        let told = if own { place.set_attribute(ATTRIBUTE, facts.attribute.as_deref()) } else { Ok(()) };
        match &self.kept {
            Some(kept) if !own || told.is_err() => {
                let extra = Extra::parse(facts.attribute.as_deref().unwrap_or_default());
                indexed(kept.set(&stat, path, extra))
            }
            _ => told,
        }
    }

    /// The root's index follows what moves.
    fn follow(&self, from: &[u8], to: &[u8]) -> HostResult<()> {
        self.kept.as_ref().map_or(Ok(()), |kept| indexed(kept.staged(from, to)))
    }

    /// The root's index says nothing more of what is going to be no more.
    fn forget(&self, place: &Place, path: &[u8]) -> HostResult<()> {
        let Some(kept) = &self.kept else { return Ok(()) };
        indexed(kept.removed(&place.stat()?, path))
    }
}

/// What writing in the root's index came to.
fn indexed(written: io::Result<()>) -> HostResult<()> {
    written.map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull => HostError::NO_SPACE,
        _ => HostError::NOT_PERMITTED,
    })
}

/// Where something is that moves.
fn staged(number: Number) -> Vec<u8> {
    [STAGE, b"/", number.to_string().as_bytes()].concat()
}

/// A name that no step needs and no guest has: the one beside the place for which something is made.
fn aside(path: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(path);
    format!("{}.{:08x}", String::from_utf8_lossy(STAGE), crc.sum()).into_bytes()
}

/// Removes what an interrupted step has left under a name.
fn ready(directory: &Place, name: &[u8]) -> HostResult<()> {
    match directory.remove(name, false) {
        Err(HostError::NO_ENTRY) => Ok(()),
        other => other,
    }
}

fn depth(path: &[u8]) -> usize {
    path.iter().filter(|&&byte| byte == b'/').count()
}

/// The steps of a commit that was begun, and how many are done.
fn parse(text: &[u8]) -> Option<(Vec<Step>, usize)> {
    let mut lines = std::str::from_utf8(text).ok()?.split('\n');
    if lines.next()? != FIRST {
        return None;
    }
    let mut steps = Vec::new();
    loop {
        match lines.next()? {
            "begin" => break,
            line => steps.push(Step::parse(line)?),
        }
    }
    // A last line without its end was not written whole, and its step may be done again.
    let noted: Vec<&str> = lines.collect();
    let whole = noted.split_last().map_or(&[][..], |(_, whole)| whole);
    let done = whole.last().map_or(Some(0), |line| line.strip_prefix("done ")?.parse().ok())?;
    Some((steps, done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_as_they_were_written() {
        let steps = [
            Step::Take(b"a/b c".to_vec(), 3),
            Step::Remove(b"x\ny".to_vec()),
            Step::Link(b"l".to_vec(), b"f".to_vec()),
            Step::Write(b"w".to_vec(), 9),
        ];
        let text: String = steps.iter().map(|step| step.line() + "\n").collect();
        let begun = format!("{FIRST}\n{text}begin\n");
        assert_eq!(parse(begun.as_bytes()), Some((steps.to_vec(), 0)));
        let half = format!("{begun}done 1\ndone 2\ndo");
        assert_eq!(parse(half.as_bytes()), Some((steps.to_vec(), 2)));
        assert_eq!(parse(b"bsd21 commit 1\ntake a 1\n"), None);
    }
}
