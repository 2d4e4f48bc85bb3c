//! The guest's root as a survey sees it: names looked up in it, symbolic links followed inside of it.
//!
//! Must not leave the root, and opens nothing.  2.1 counterpart: kern/vfs_lookup.c (namei).

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Symbolic links that one look-up may follow (MAXSYMLINKS).
const MAX_LINKS: usize = 8;
/// Longest path name (MAXPATHLEN).
const MAX_PATH: usize = 1024;

/// A directory of the host that is a guest's root.
#[derive(Clone, Debug)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// A tree.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory of the host.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The host's path of a guest's path, if it is there; the last link is followed too.
    pub fn find(&self, guest: impl AsRef<OsStr>) -> Option<PathBuf> {
        let guest = guest.as_ref();
        let mut rest: VecDeque<OsString> = names(guest.as_bytes())?.collect();
        let mut at: Vec<OsString> = Vec::new();
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            at.push(name);
            let here = self.host(&at);
            if fs::symlink_metadata(&here).ok()?.is_symlink() {
                links += 1;
                if links > MAX_LINKS {
                    return None;
                }
                let target = fs::read_link(&here).ok()?;
                match target.is_absolute() {
                    true => at.clear(),
                    false => _ = at.pop(),
                }
                for name in names(target.as_os_str().as_bytes())?.rev() {
                    rest.push_front(name);
                }
            }
        }
        Some(self.host(&at))
    }

    /// Whether a guest's path leads to a regular file.
    pub fn has_file(&self, guest: impl AsRef<OsStr>) -> bool {
        self.find(guest).is_some_and(|host| fs::symlink_metadata(host).is_ok_and(|m| m.is_file()))
    }

    /// The names in a directory of the guest, sorted; none where there is no such directory.
    pub fn names_in(&self, guest: &str) -> Vec<String> {
        let Some(entries) = self.find(guest).and_then(|host| fs::read_dir(host).ok()) else {
            return Vec::new();
        };
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    fn host(&self, at: &[OsString]) -> PathBuf {
        self.root.join(at.iter().collect::<PathBuf>())
    }
}

/// The names of a path; none where it is longer than any path.
fn names(path: &[u8]) -> Option<impl DoubleEndedIterator<Item = OsString>> {
    let wanted = |name: &&[u8]| !name.is_empty() && *name != b"." && !name.contains(&0);
    (path.len() < MAX_PATH)
        .then(|| path.split(|&b| b == b'/').filter(wanted).map(|name| OsStr::from_bytes(name).to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_in_the_root_and_circles_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path();
        fs::create_dir_all(root.join("usr/lib")).expect("directories");
        fs::write(root.join("usr/lib/a"), b"a").expect("a file");
        symlink("/usr/lib", root.join("lib")).expect("an absolute link");
        symlink("../../../../usr/lib/a", root.join("usr/up")).expect("a link past the root");
        symlink("loop", root.join("loop")).expect("a circle");
        symlink("/etc/passwd", root.join("out")).expect("a link to what only the host has");
        let tree = Tree::new(root);
        assert_eq!(tree.find("/lib/a"), Some(root.join("usr/lib/a")));
        assert!(tree.has_file("/usr/up") && tree.has_file("/lib/../../usr/./lib/a"));
        assert_eq!((tree.find("/loop"), tree.find("/out")), (None, None));
        assert!(!tree.has_file("/usr/lib") && !tree.has_file("/usr/lib/b"));
        assert_eq!(tree.names_in("/lib"), ["a"]);
    }
}
