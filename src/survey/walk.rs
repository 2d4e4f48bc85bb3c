//! The walk over a tree: which files are looked at, in the order of their paths.
//!
//! Symbolic links are not followed, so that no circle can hold the walk; FIFOs, sockets and devices are
//! not opened.  Must not know what is in the files.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

/// Directories nest at most this deep.
const MAX_DEPTH: usize = 256;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Regular files.
    pub files: Vec<(PathBuf, Metadata)>,
    /// Symbolic links.
    pub symlinks: usize,
    /// FIFOs, sockets and devices.
    pub special: usize,
    /// What could not be looked at, and why.
    pub skipped: Vec<(PathBuf, String)>,
}

/// Walks over a directory.
pub fn walk(directory: &Path) -> Found {
    let mut found = Found::default();
    let mut todo = vec![(directory.to_owned(), 0)];
    while let Some((directory, depth)) = todo.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) => {
                found.skipped.push((directory, reason(&error)));
                continue;
            }
        };
        for entry in entries {
            let path = match entry {
                Ok(entry) => entry.path(),
                Err(error) => {
                    found.skipped.push((directory.clone(), reason(&error)));
                    break;
                }
            };
            match fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_dir() && depth < MAX_DEPTH => todo.push((path, depth + 1)),
                Ok(meta) if meta.is_dir() => {
                    found.skipped.push((path, format!("more than {MAX_DEPTH} directories deep")));
                }
                Ok(meta) if meta.is_file() => found.files.push((path, meta)),
                Ok(meta) if meta.is_symlink() => found.symlinks += 1,
                Ok(_) => found.special += 1,
                Err(error) => found.skipped.push((path, reason(&error))),
            }
        }
    }
    found.files.sort_by(|a, b| a.0.cmp(&b.0));
    found.skipped.sort();
    found
}

/// An error of the host without its number.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
