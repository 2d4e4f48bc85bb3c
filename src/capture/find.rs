//! Where cases are: a directory with a `case.toml`, or everything below one without.

use std::fs;
use std::path::{Path, PathBuf};

use super::case::{self, CaseError};

/// A case that was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// What it is called: its path below the directory that was named.
    pub name: String,
    /// Its directory.
    pub directory: PathBuf,
}

/// All cases in or below a path, in the order of their names.  Names that begin with a dot are left out: a case
/// that is being recorded has one.
pub fn cases(path: &Path) -> Result<Vec<Found>, CaseError> {
    let mut found = Vec::new();
    let name = path.file_name().map_or_else(|| ".".to_owned(), |name| name.to_string_lossy().into_owned());
    if is_case(path) {
        found.push(Found { name, directory: path.to_owned() });
    } else {
        below(path, &mut found)?;
    }
    found.sort();
    Ok(found)
}

fn is_case(path: &Path) -> bool {
    fs::symlink_metadata(path.join(case::FILE)).is_ok()
}

/// Directories nest at most this deep: longer paths have no name on the host.
const MAX_DEPTH: usize = 256;

fn below(directory: &Path, found: &mut Vec<Found>) -> Result<(), CaseError> {
    let mut todo = vec![(directory.to_owned(), String::new(), 0)];
    while let Some((directory, above, depth)) = todo.pop() {
        let failed = |error| CaseError::file(&directory, error);
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let own = entry.file_name().to_string_lossy().into_owned();
            if own.starts_with('.') || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let name = if above.is_empty() { own } else { format!("{above}/{own}") };
            let path = entry.path();
            if is_case(&path) {
                found.push(Found { name, directory: path });
            } else if depth < MAX_DEPTH {
                todo.push((path, name, depth + 1));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_found_below_and_by_name() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "a/x", "a/y", ".half", "empty"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
            if name != "empty" {
                fs::write(dir.path().join(name).join(case::FILE), "").unwrap();
            }
        }
        let names = |path: &Path| cases(path).unwrap().into_iter().map(|f| f.name).collect::<Vec<_>>();
        assert_eq!(names(dir.path()), ["a/x", "a/y", "b"]);
        assert_eq!(names(&dir.path().join("a/x")), ["x"]);
        assert!(cases(&dir.path().join("nowhere")).is_err());
    }
}
