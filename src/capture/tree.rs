//! Trees of files of the host: copies of them, and what is in them.
//!
//! A copy keeps of the permissions whether a file can be executed, as clones do.
//!
//! Must not know what the trees are for.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::case::{CaseError, FileState};
use super::content::{Fingerprint, Text};
use crate::host::fs::HostKind;
use crate::host::look;
use crate::host::tree::{Cursor, Entry};

/// Most bytes of all files together that are copied.
pub(super) const MOST_BYTES: u64 = 1 << 30;
/// Longest path below the top that a case can hold: its own name comes before it on the host.
pub(super) const LONGEST: usize = 3 << 10;

/// Files by their paths below a directory.
pub(super) type Files = BTreeMap<Text, FileState>;

/// Copies what is in a directory into another one, which exists.
pub(super) fn copy(from: &Path, into: &Path) -> Result<(), CaseError> {
    let mut room = MOST_BYTES;
    let failed = |error| CaseError::file(from, error);
    let (mut source, mut target) = (Cursor::open(from).map_err(failed)?, Cursor::open(into).map_err(failed)?);
    walk(from, &mut source, &mut |path, step| {
        let act = || -> io::Result<()> {
            match step {
                Step::Enter(name) => {
                    target.make_directory(name, 0o755)?;
                    target.down(name)
                }
                Step::Leave => target.up(),
                Step::Link(name, text) => target.make_link(name, &text),
                Step::File(cursor, name, entry) => {
                    room = room.checked_sub(entry.size).ok_or_else(too_much)?;
                    copy_file(&cursor.open_file(name)?, &target, name, &entry)
                }
            }
        };
        act().map_err(|e| CaseError::file(&from.join(path), e))
    })
}

fn too_much() -> io::Error {
    io::Error::other(format!("more than {MOST_BYTES} bytes in all"))
}

fn copy_file(file: &fs::File, target: &Cursor, name: &OsStr, entry: &Entry) -> io::Result<()> {
    let to = target.create(name, plain_mode(entry.mode))?;
    // A file that grows meanwhile is copied as large as it was.
    io::copy(&mut io::Read::take(file, entry.size), &mut &to)?;
    Ok(())
}

/// Copies a file, a directory with everything in it, or a symbolic link.
pub(super) fn copy_one(from: &Path, to: &Path) -> Result<(), CaseError> {
    let failed = |error| CaseError::file(from, error);
    let kind = fs::symlink_metadata(from).map_err(failed)?;
    if kind.is_dir() {
        fs::create_dir(to).map_err(|e| CaseError::file(to, e))?;
        fs::set_permissions(to, fs::Permissions::from_mode(0o755)).map_err(|e| CaseError::file(to, e))?;
        return copy(from, to);
    }
    let (Some(above), Some(name)) = (to.parent(), to.file_name()) else {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    };
    let target = Cursor::open(above).map_err(|e| CaseError::file(above, e))?;
    if kind.is_symlink() {
        let text = fs::read_link(from).map_err(failed)?;
        return target.make_link(name, text.as_os_str()).map_err(|e| CaseError::file(to, e));
    }
    let entry = Entry { kind: HostKind::Regular, mode: kind.permissions().mode(), size: kind.len() };
    if entry.size > MOST_BYTES {
        return Err(failed(too_much()));
    }
    let file = look::open_regular(from).map_err(failed)?;
    copy_file(&file, &target, name, &entry).map_err(failed)
}

fn plain_mode(mode: u32) -> u32 {
    if mode & 0o100 != 0 { 0o755 } else { 0o644 }
}

/// What a walk over a tree comes to.
enum Step<'a> {
    /// Into a directory.
    Enter(&'a OsStr),
    /// Back to the one above.
    Leave,
    /// A symbolic link and its text.
    Link(&'a OsStr, OsString),
    /// A regular file in the directory of a cursor.
    File(&'a Cursor, &'a OsStr, Entry),
}

/// Walks over everything in a directory, in the order of names; paths are those below it.
fn walk(
    top: &Path,
    cursor: &mut Cursor,
    visit: &mut dyn FnMut(&Path, Step<'_>) -> Result<(), CaseError>,
) -> Result<(), CaseError> {
    let mut path: Vec<u8> = Vec::new();
    let mut todo = vec![(0, names(cursor).map_err(|e| CaseError::file(top, e))?)];
    while let Some((length, rest)) = todo.last_mut() {
        path.truncate(*length);
        let Some(name) = rest.pop() else {
            todo.pop();
            if !todo.is_empty() {
                let at = top.join(OsStr::from_bytes(&path));
                cursor.up().map_err(|e| CaseError::file(&at, e))?;
                visit(Path::new(OsStr::from_bytes(&path)), Step::Leave)?;
            }
            continue;
        };
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
        let below = Path::new(OsStr::from_bytes(&path));
        let failed = |error| CaseError::file(&top.join(below), error);
        if path.len() > LONGEST {
            return Err(CaseError::file(top, io::Error::other("directories nest too deep for a case")));
        }
        let entry = cursor.look(&name).map_err(failed)?;
        match entry.kind {
            HostKind::Directory => {
                visit(below, Step::Enter(&name))?;
                cursor.down(&name).map_err(failed)?;
                let inside = names(cursor).map_err(failed)?;
                let length = path.len();
                todo.push((length, inside));
            }
            HostKind::Symlink => {
                let text = cursor.read_link(&name).map_err(failed)?;
                visit(below, Step::Link(&name, text))?;
            }
            HostKind::Regular => visit(below, Step::File(cursor, &name, entry))?,
            _ => return Err(failed(io::Error::other("neither a file nor a directory nor a symbolic link"))),
        }
    }
    Ok(())
}

/// Names in a directory, the first one last.
fn names(cursor: &Cursor) -> io::Result<Vec<OsString>> {
    let mut names = cursor.names()?;
    names.reverse();
    Ok(names)
}

/// What a guest sees of a copy before it changes anything.
pub(super) fn look(directory: &Path) -> Result<Files, CaseError> {
    let mut files = Files::new();
    let failed = |error| CaseError::file(directory, error);
    let mut cursor = Cursor::open(directory).map_err(failed)?;
    walk(directory, &mut cursor, &mut |path, step| {
        let below = Text(path.as_os_str().as_bytes().to_vec());
        let state = |kind: &str, mode: u32| FileState {
            path: below.clone(),
            kind: kind.to_owned(),
            mode: format!("{mode:04o}"),
            uid: None,
            gid: None,
            target: None,
            content: None,
        };
        let state = match step {
            Step::Leave => return Ok(()),
            Step::Enter(_) => state("directory", 0o755),
            Step::Link(_, text) => {
                FileState { target: Some(Text(text.as_bytes().to_vec())), ..state("symlink", 0o755) }
            }
            Step::File(cursor, name, entry) => {
                let content = cursor.open_file(name).and_then(|file| Fingerprint::of_file(&file, MOST_BYTES));
                let content = content.map_err(|e| CaseError::file(&directory.join(path), e))?;
                FileState { content: Some(content), ..state("file", plain_mode(entry.mode)) }
            }
        };
        files.insert(below, state);
        Ok(())
    })?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_no_file_is_refused_and_links_are_not_followed() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink("/dev/zero", from.path().join("endless")).unwrap();
        copy(from.path(), to.path()).unwrap();
        assert_eq!(fs::read_link(to.path().join("endless")).unwrap(), Path::new("/dev/zero"));
        let socket = std::os::unix::net::UnixListener::bind(from.path().join("socket")).unwrap();
        let refused = copy(from.path(), tempfile::tempdir().unwrap().path()).unwrap_err().to_string();
        assert!(refused.ends_with("socket: neither a file nor a directory nor a symbolic link"), "{refused}");
        drop(socket);
    }

    #[test]
    fn large_and_deep_trees_are_refused() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let large = fs::File::create(from.path().join("large")).unwrap();
        large.set_len(MOST_BYTES + 1).unwrap();
        let refused = copy(from.path(), to.path()).unwrap_err().to_string();
        assert!(refused.ends_with("large: more than 1073741824 bytes in all"), "{refused}");
        fs::remove_file(from.path().join("large")).unwrap();
        let mut cursor = Cursor::open(from.path()).unwrap();
        for _ in 0..2_000 {
            cursor.make_directory(OsStr::new("d"), 0o755).unwrap();
            cursor.down(OsStr::new("d")).unwrap();
        }
        assert!(look(from.path()).unwrap_err().to_string().ends_with("nest too deep for a case"));
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
