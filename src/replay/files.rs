//! Files of the host that a recorded run has read: what they held, and, in a recording that has all it needs, they
//! themselves.
//!
//! Must not know events.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use crate::host::look;
use crate::host::tape::{Answer, get_number, put_number};
use crate::kernel::vfs::reads::{Read, digest};

/// Writes down files that were read.
pub fn put(reads: &[Read]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for read in reads {
        read.path.as_os_str().as_bytes().to_vec().put(&mut bytes);
        put_number(read.length, &mut bytes);
        bytes.extend_from_slice(&read.sha256);
    }
    bytes
}

/// Reads them; none where that is damaged.
pub fn get(mut from: &[u8]) -> Option<Vec<Read>> {
    let mut reads = Vec::new();
    while !from.is_empty() {
        let path = OsString::from_vec(Answer::get(&mut from)?).into();
        let length = get_number(&mut from)?;
        let (sha256, rest) = from.split_first_chunk::<32>()?;
        from = rest;
        reads.push(Read { path, length, sha256: *sha256 });
    }
    Some(reads)
}

/// Says what is wrong with a file that ought to hold what was read, which may lie elsewhere now.
pub fn check(read: &Read, now: &Path) -> Result<(), String> {
    let shown = now.display();
    let file = look::open_named(now).map_err(|error| {
        let text = error.to_string();
        format!("{shown}, which the recorded run has read: {}", text.split(" (os").next().unwrap_or(&text))
    })?;
    match digest(&file) == (read.length, read.sha256) {
        true => Ok(()),
        false => Err(format!("{shown} has changed since the recording")),
    }
}

/// A name of the host as a recording has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packed {
    /// A directory with its permissions.
    Directory(u32),
    /// A symbolic link.
    Link(PathBuf),
    /// A regular file that was read, with its permissions.
    File(u32, Vec<u8>),
    /// One that was met and not read: its permissions and length.
    Hollow(u32, u64),
}

/// Packs a name; nothing where it is of no kind that can be packed, or gone.
pub fn pack(path: &Path, whole: bool) -> Option<Vec<u8>> {
    let meta = fs::symlink_metadata(path).ok()?;
    let mode = meta.permissions().mode() & 0o7777;
    let packed = match meta.file_type() {
        kind if kind.is_dir() => Packed::Directory(mode),
        kind if kind.is_symlink() => Packed::Link(fs::read_link(path).ok()?),
        kind if kind.is_file() && whole => Packed::File(mode, fs::read(path).ok()?),
        kind if kind.is_file() => Packed::Hollow(mode, meta.len()),
        _ => return None,
    };
    let mut bytes = Vec::new();
    path.as_os_str().as_bytes().to_vec().put(&mut bytes);
    match packed {
        Packed::Directory(mode) => (0u8, mode).put(&mut bytes),
        Packed::Link(to) => (1u8, to.as_os_str().as_bytes().to_vec()).put(&mut bytes),
        Packed::File(mode, content) => (2u8, mode, content).put(&mut bytes),
        Packed::Hollow(mode, length) => (3u8, mode, length).put(&mut bytes),
    }
    Some(bytes)
}

/// Reads a packed name and where it was; none where that is damaged.
pub fn unpack(mut from: &[u8]) -> Option<(PathBuf, Packed)> {
    let path = OsString::from_vec(Answer::get(&mut from)?).into();
    let packed = match u8::get(&mut from)? {
        0 => Packed::Directory(Answer::get(&mut from)?),
        1 => Packed::Link(OsString::from_vec(Answer::get(&mut from)?).into()),
        2 => Packed::File(Answer::get(&mut from)?, Answer::get(&mut from)?),
        3 => Packed::Hollow(Answer::get(&mut from)?, Answer::get(&mut from)?),
        _ => return None,
    };
    Some((path, packed))
}

/// Lays packed names out below a directory.
pub fn lay_out(packed: &[(PathBuf, Packed)], below: &Path) -> io::Result<()> {
    let mut modes = Vec::new();
    // The outer ones first.
    let mut all: Vec<_> = packed.iter().collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    for (path, what) in all {
        let plain = path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
        if !path.is_absolute() || !plain {
            return Err(io::Error::other(format!("{}: not a path that can be laid out", path.display())));
        }
        let to = below.join(path.strip_prefix("/").unwrap_or(path));
        // Nothing is laid out behind a link of the recording's.
        if let Some(above) = to.parent() {
            fs::create_dir_all(above)?;
            if above.canonicalize()? != below.canonicalize()?.join(above.strip_prefix(below).unwrap_or(above))
            {
                return Err(io::Error::other(format!("{}: lies behind a link", path.display())));
            }
        }
        match what {
            Packed::Directory(mode) => {
                if !to.is_dir() {
                    fs::create_dir(&to)?;
                }
                modes.push((to, *mode | 0o700));
            }
            Packed::Link(target) => symlink(target, &to)?,
            Packed::File(mode, content) => {
                fs::write(&to, content)?;
                modes.push((to, *mode));
            }
            Packed::Hollow(mode, length) => {
                fs::File::create_new(&to)?.set_len(*length)?;
                modes.push((to, *mode));
            }
        }
    }
    for (path, mode) in modes.into_iter().rev() {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_files_are_read_as_they_were_written() {
        let reads = vec![
            Read { path: "/a b".into(), length: 300, sha256: [7; 32] },
            Read { path: "/c".into(), length: 0, sha256: [9; 32] },
        ];
        let bytes = put(&reads);
        assert_eq!(get(&bytes), Some(reads));
        assert_eq!(get(&bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn packed_names_are_laid_out_below_and_nowhere_else() {
        let from = tempfile::tempdir().unwrap();
        let base = from.path().canonicalize().unwrap();
        fs::create_dir(base.join("d")).unwrap();
        fs::write(base.join("d/f"), b"text").unwrap();
        symlink("d/f", base.join("l")).unwrap();
        let names = ["d", "d/f", "l"].map(|name| base.join(name));
        let packed: Vec<_> = names.iter().map(|name| unpack(&pack(name, true).unwrap()).unwrap()).collect();
        let to = tempfile::tempdir().unwrap();
        lay_out(&packed, to.path()).unwrap();
        let there = to.path().join(base.strip_prefix("/").unwrap());
        assert_eq!(fs::read(there.join("l")).unwrap(), b"text");
        let outside = [("/x".into(), Packed::Link("/tmp".into())), ("/x/y".into(), Packed::Hollow(0o600, 1))];
        assert!(lay_out(&outside, to.path()).is_err(), "behind a link");
        assert!(lay_out(&[("/../y".into(), Packed::Hollow(0o600, 1))], to.path()).is_err());
    }
}
