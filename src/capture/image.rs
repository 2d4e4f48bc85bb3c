//! Programs and libraries that a case needs: where they are on the host, and whether they are the same.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;

use super::case::{Case, Image};
use super::content::{Fingerprint, Text};
use crate::host::look;

/// Most bytes of a program or a library.
const LARGEST: u64 = 1 << 30;

/// Fingerprints of files that were looked at before: cases share their images.
#[derive(Debug, Default)]
pub struct Cache(Mutex<HashMap<PathBuf, Option<Fingerprint>>>);

impl Cache {
    /// The fingerprint of a file below a directory, if it can be read.
    fn fingerprint(&self, directory: &Path, below: &Path) -> Option<Fingerprint> {
        let path = directory.join(below);
        let known = self.0.lock().ok().and_then(|known| known.get(&path).cloned());
        known.unwrap_or_else(|| {
            let file = look::open_below(directory, below);
            let found = file.and_then(|file| Fingerprint::of_file(&file, LARGEST)).ok();
            if let Ok(mut known) = self.0.lock() {
                known.insert(path, found.clone());
            }
            found
        })
    }
}

/// Where the guest of a case finds its files on the host.
#[derive(Clone, Debug)]
pub struct Places {
    /// Its root.
    pub root: PathBuf,
    /// What else it sees: path in the guest and directory of the host.
    pub mounts: Vec<(Text, PathBuf)>,
}

/// Why an image cannot be used, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is not there.
    Absent(String),
    /// It is another file than the recorded one.
    Other(String),
}

impl Places {
    /// Those of the case in `directory`; nothing where its root was not given.
    pub fn of(case: &Case, directory: &Path, given: Option<&Path>) -> Option<Self> {
        let base = base(directory);
        let root = match &case.root.path {
            Some(path) => join(&base, path),
            None => given?.to_owned(),
        };
        let mounts = case.mount.iter().map(|m| (m.guest.clone(), join(&base, &m.host))).collect();
        Some(Self { root, mounts })
    }

    /// Where a file of the guest is on the host.
    pub fn host(&self, guest: &Text) -> PathBuf {
        let (directory, below) = self.below(guest);
        directory.join(below)
    }

    /// The directory of the host that has a file of the guest, and where it has it.
    fn below(&self, guest: &Text) -> (&Path, PathBuf) {
        let below = |mount: &Text| {
            let rest = guest.0.strip_prefix(mount.0.as_slice())?;
            rest.starts_with(b"/").then(|| rest.to_vec())
        };
        let inside =
            self.mounts.iter().filter_map(|(mount, host)| Some((mount.0.len(), host, below(mount)?)));
        let (host, rest) = match inside.max_by_key(|(length, ..)| *length) {
            Some((_, host, rest)) => (host.as_path(), rest),
            None => (self.root.as_path(), guest.0.clone()),
        };
        let rest = rest.iter().position(|&b| b != b'/').and_then(|at| rest.get(at..)).unwrap_or_default();
        (host, OsStr::from_bytes(rest).into())
    }

    /// The first of its directories that lies neither in the case nor in the root that was given.
    pub fn outside(&self, directory: &Path, given: Option<&Path>) -> Option<&Path> {
        let real = |path: &Path| fs::canonicalize(path).ok();
        let allowed: Vec<PathBuf> = [Some(directory), given].into_iter().flatten().filter_map(real).collect();
        // One that is not there is missed, not entered.
        let is_outside = |path: &&Path| {
            let there = fs::symlink_metadata(path).is_ok();
            there && !real(path).is_some_and(|path| allowed.iter().any(|above| path.starts_with(above)))
        };
        let mounts = self.mounts.iter().map(|(_, host)| host.as_path());
        [self.root.as_path()].into_iter().chain(mounts).find(is_outside)
    }

    /// The images with these paths, as they are now.
    pub(super) fn images(&self, paths: impl Iterator<Item = Vec<u8>>, cache: &Cache) -> Vec<Image> {
        let image = |path| {
            let path = Text(path);
            let (directory, below) = self.below(&path);
            let content = cache.fingerprint(directory, &below)?;
            Some(Image { path, content })
        };
        paths.filter_map(image).collect()
    }

    /// The first image that is not what the case recorded: which, and where it was looked for.
    pub fn missing(&self, images: &[Image], cache: &Cache) -> Option<Missing> {
        images.iter().find_map(|image| {
            let host = self.host(&image.path);
            let (directory, below) = self.below(&image.path);
            match cache.fingerprint(directory, &below) {
                None => Some(Missing::Absent(format!(
                    "{} is not there (looked for {})",
                    image.path,
                    host.display()
                ))),
                Some(found) if found != image.content => Some(Missing::Other(format!(
                    "{} is another file than the recorded one: {} has {} bytes, sha-256 {}…, not {} and {}…",
                    image.path,
                    host.display(),
                    found.size,
                    found.sha256.get(..8).unwrap_or_default(),
                    image.content.size,
                    image.content.sha256.get(..8).unwrap_or_default(),
                ))),
                Some(_) => None,
            }
        })
    }
}

/// The real name of a case's directory, which need not be there yet.
fn base(directory: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(directory) {
        return real;
    }
    let parent = directory.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    match (fs::canonicalize(parent), directory.file_name()) {
        (Ok(parent), Some(name)) => parent.join(name),
        _ => directory.to_owned(),
    }
}

/// A path relative to a real name, by its letters: the directory itself need not be there.
fn join(base: &Path, path: &Path) -> PathBuf {
    let mut joined = base.to_owned();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                joined.pop();
            }
            other => joined.push(other),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_has_the_file() {
        let places = Places {
            root: "/host/root".into(),
            mounts: vec![("/a".into(), "/host/a".into()), ("/a/b".into(), "/host/b".into())],
        };
        for (guest, host) in [
            ("/bin/sh", "/host/root/bin/sh"),
            ("/a/x", "/host/a/x"),
            ("/a/b/x", "/host/b/x"),
            ("/ab/x", "/host/root/ab/x"),
        ] {
            assert_eq!(places.host(&guest.into()), Path::new(host));
        }
    }
}
