//! Trees of files of the host: copies of them, and what is in them.
//!
//! A copy keeps of the permissions whether a file can be executed, as clones do.
//!
//! Must not know what the trees are for.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::case::{CaseError, FileState};
use super::content::{Fingerprint, Text};

/// Files by their paths below a directory.
pub(super) type Files = BTreeMap<Text, FileState>;

/// Copies what is in a directory into another one, which exists.
pub(super) fn copy(from: &Path, into: &Path) -> Result<(), CaseError> {
    for entry in entries(from)? {
        copy_one(&from.join(&entry), &into.join(&entry))?;
    }
    Ok(())
}

/// Copies a file, a directory with everything in it, or a symbolic link.
pub(super) fn copy_one(from: &Path, to: &Path) -> Result<(), CaseError> {
    let failed = |error| CaseError::file(from, error);
    let kind = fs::symlink_metadata(from).map_err(failed)?;
    if kind.is_dir() {
        fs::create_dir(to).map_err(|e| CaseError::file(to, e))?;
        set_mode(to, 0o755)?;
        copy(from, to)
    } else if kind.is_symlink() {
        symlink(fs::read_link(from).map_err(failed)?, to).map_err(|e| CaseError::file(to, e))
    } else if kind.is_file() {
        fs::copy(from, to).map_err(failed)?;
        set_mode(to, plain_mode(&kind))
    } else {
        Err(failed(io::Error::other("neither a file nor a directory nor a symbolic link")))
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<(), CaseError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|e| CaseError::file(path, e))
}

fn plain_mode(kind: &fs::Metadata) -> u32 {
    if kind.permissions().mode() & 0o100 != 0 { 0o755 } else { 0o644 }
}

/// Removes a directory with everything in it, whatever a guest has done to its permissions.
pub(super) fn discard(directory: tempfile::TempDir) {
    let path = directory.keep();
    if fs::remove_dir_all(&path).is_err() {
        open_up(&path);
        // What still cannot be removed is left to the host's own cleaning.
        let _ = fs::remove_dir_all(&path);
    }
}

fn open_up(directory: &Path) {
    let _ = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

/// Names in a directory, sorted.
fn entries(directory: &Path) -> Result<Vec<std::ffi::OsString>, CaseError> {
    let failed = |error| CaseError::file(directory, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name());
    }
    names.sort();
    Ok(names)
}

/// What a guest sees of a copy before it changes anything.
pub(super) fn look(directory: &Path) -> Result<Files, CaseError> {
    let mut files = Files::new();
    look_below(directory, &[], &mut files)?;
    Ok(files)
}

fn look_below(directory: &Path, above: &[u8], files: &mut Files) -> Result<(), CaseError> {
    for name in entries(directory)? {
        let path = directory.join(&name);
        let failed = |error| CaseError::file(&path, error);
        let kind = fs::symlink_metadata(&path).map_err(failed)?;
        let mut below = above.to_vec();
        if !below.is_empty() {
            below.push(b'/');
        }
        below.extend_from_slice(name.as_bytes());
        let state = |kind: &str, mode: u32| FileState {
            path: Text(below.clone()),
            kind: kind.to_owned(),
            mode: format!("{mode:04o}"),
            uid: None,
            gid: None,
            target: None,
            content: None,
        };
        let state = if kind.is_dir() {
            look_below(&path, &below, files)?;
            state("directory", 0o755)
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).map_err(failed)?;
            FileState {
                target: Some(Text(target.as_os_str().as_bytes().to_vec())),
                ..state("symlink", 0o755)
            }
        } else {
            let content = Some(Fingerprint::of_file(&path).map_err(failed)?);
            FileState { content, ..state("file", plain_mode(&kind)) }
        };
        files.insert(Text(below.clone()), state);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_directories_are_removed_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        fs::create_dir_all(path.join("a/b")).unwrap();
        set_mode(&path.join("a/b"), 0).unwrap();
        set_mode(&path.join("a"), 0).unwrap();
        discard(directory);
        assert!(!path.exists());
    }

    #[test]
    fn a_copy_keeps_one_bit_of_the_permissions() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |name: &str| from.path().join(name);
        fs::create_dir(at("d")).unwrap();
        for (name, mode) in [("d/text", 0o400), ("tool", 0o711)] {
            fs::write(at(name), name).unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        symlink("d/text", at("link")).unwrap();
        copy(from.path(), to.path()).unwrap();
        let files = look(to.path()).unwrap();
        let modes: Vec<_> =
            files.values().map(|f| (f.path.to_string(), f.kind.as_str(), f.mode.as_str())).collect();
        let expected = [
            ("d", "directory", "0755"),
            ("d/text", "file", "0644"),
            ("link", "symlink", "0755"),
            ("tool", "file", "0755"),
        ];
        assert_eq!(modes, expected.map(|(path, kind, mode)| (path.to_owned(), kind, mode)));
    }
}
