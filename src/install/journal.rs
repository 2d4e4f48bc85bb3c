//! How far an installation has come: a journal in the root's own directory.
//!
//! `.bsd21/journal` has a line for each part that was begun (`begin`), how many of its entries are complete (`at`), and
//! that it is done (`done`).  What was begun and is not done is unfinished.  A line that was not written whole counts
//! for nothing.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::host::look;

/// Largest journal that is read.
const LARGEST: u64 = 64 << 20;
/// The name in the root's own directory.
const NAME: &str = "journal";

/// A part, as the journal knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// What tells it from others of the same name.
    pub identity: String,
    /// Entries that are complete.
    pub at: u64,
    /// It is done.
    pub done: bool,
}

/// The parts of a root, by their names.
pub fn read(root: &Path) -> io::Result<BTreeMap<String, State>> {
    let mut parts: BTreeMap<String, State> = BTreeMap::new();
    let path = root.join(".bsd21").join(NAME);
    let text = match look::open_regular(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(parts),
        file => look::whole(&file?, LARGEST)?,
    };
    let text = String::from_utf8_lossy(&text);
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let words: Vec<&str> = line.split('\t').collect();
        match words[..] {
            ["begin", name, identity] => {
                let fresh = State { identity: identity.to_owned(), at: 0, done: false };
                match parts.get(name) {
                    Some(known) if known.identity == identity && !known.done => {}
                    _ => drop(parts.insert(name.to_owned(), fresh)),
                }
            }
            ["at", name, count] => {
                if let (Some(part), Ok(count)) = (parts.get_mut(name), count.parse()) {
                    part.at = count;
                }
            }
            ["done", name] => {
                if let Some(part) = parts.get_mut(name) {
                    part.done = true;
                }
            }
            _ => {}
        }
    }
    Ok(parts)
}

/// The parts of a root that were begun and are not done.
pub fn unfinished(root: &Path) -> Vec<String> {
    // A journal that cannot be read says nothing.
    let parts = read(root).unwrap_or_default();
    parts.into_iter().filter(|(_, state)| !state.done).map(|(name, _)| name).collect()
}

/// A journal that is written.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
}

impl Journal {
    /// Opens the journal of a root whose own directory is there.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let path = root.join(".bsd21").join(NAME);
        match std::fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() => return Err(io::ErrorKind::InvalidInput.into()),
            _ => {}
        }
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        // Ends a line that somebody could not.
        file.write_all(b"\n")?;
        Ok(Self { file })
    }

    pub(super) fn begin(&mut self, name: &str, identity: &str) -> io::Result<()> {
        self.line(&["begin", &plain(name), &plain(identity)])
    }

    pub(super) fn at(&mut self, name: &str, count: u64) -> io::Result<()> {
        self.line(&["at", &plain(name), &count.to_string()])
    }

    pub(super) fn done(&mut self, name: &str) -> io::Result<()> {
        self.line(&["done", &plain(name)])
    }

    fn line(&mut self, words: &[&str]) -> io::Result<()> {
        self.file.write_all((words.join("\t") + "\n").as_bytes())
    }
}

/// A name as the journal has it.
pub(super) fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_and_is_not_done_is_unfinished() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".bsd21")).unwrap();
        let mut journal = Journal::open(dir.path()).unwrap();
        journal.begin("bin", "2 77").unwrap();
        journal.at("bin", 64).unwrap();
        journal.begin("games\t", "x").unwrap();
        journal.at("games\t", 1).unwrap();
        journal.done("games\t").unwrap();
        let parts = read(dir.path()).unwrap();
        assert_eq!(parts["bin"], State { identity: "2 77".to_owned(), at: 64, done: false });
        assert!(parts["games?"].done);
        assert_eq!(unfinished(dir.path()), ["bin"]);
        let path = dir.path().join(".bsd21/journal");
        let mut text = std::fs::read(&path).unwrap();
        text.extend(b"at\tbin\t12");
        std::fs::write(&path, text).unwrap();
        assert_eq!(read(dir.path()).unwrap()["bin"].at, 64, "a line that was not written whole");
        let mut journal = Journal::open(dir.path()).unwrap();
        journal.begin("bin", "other").unwrap();
        assert_eq!(read(dir.path()).unwrap()["bin"].at, 0, "another source");
    }
}
