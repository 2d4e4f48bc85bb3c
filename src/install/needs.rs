//! What the programs of a root ask for that is not there, and which set has it: so that a system that somebody installs
//! without naming sets is one whose programs run.
//!
//! 2.1 counterpart: the notes on distributions in sysinstall's help (which says to people that older programs want
//! compat1x and its kin).

use std::collections::BTreeSet;
use std::path::Path;

use tar::Archive;

use super::set::Set;
use super::stream;
use crate::host::look;
use crate::image::MAX_FILE;
use crate::image::inspect::{self, Library};
use crate::survey::needs;
use crate::survey::tree::Tree;

/// Where a system has its programs.
const DIRECTORIES: [&str; 6] = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/libexec", "/usr/games"];
/// Most entries of a set that are looked at.
const MOST_ENTRIES: usize = 200_000;

/// Libraries of a.out that programs of the root ask for and do not find: name, major and least minor number.
pub(super) type Missing = BTreeSet<(String, u16, u16)>;

/// Looks at all programs of a root.
pub(super) fn missing(root: &Path) -> Missing {
    let tree = Tree::new(root);
    let mut asked = BTreeSet::new();
    for directory in DIRECTORIES {
        for name in tree.names_in(directory) {
            let path = format!("{directory}/{name}");
            let Some(host) = tree.find(&path).filter(|_| tree.has_file(&path)) else { continue };
            let read = look::open_regular(&host).and_then(|file| look::bounded(&file, Vec::new(), MAX_FILE));
            let Ok(bytes) = read else { continue };
            for library in inspect::libraries(&bytes) {
                if let Library::Versioned { name, major, minor } = library {
                    asked.insert((name, major, minor));
                }
            }
        }
    }
    let lacks = |(name, major, minor): &(String, u16, u16)| {
        let library = Library::Versioned { name: name.clone(), major: *major, minor: *minor };
        needs::libraries(&tree, &[library], &[]).iter().all(|need| need.found.is_none())
    };
    asked.into_iter().filter(lacks).collect()
}

/// Those of the missing libraries that a set has.
pub(super) fn offered(set: &Set, missing: &Missing) -> Missing {
    let mut found = Missing::new();
    let nobody = |_| {};
    let Ok(opened) = stream::open(set.content(&nobody)) else { return found };
    let mut archive = Archive::new(opened);
    let Ok(entries) = archive.entries() else { return found };
    // A set that is damaged offers what stands before the damage; who installs it is told.
    for entry in entries.map_while(Result::ok).take(MOST_ENTRIES) {
        let path = entry.path_bytes();
        let name = path.rsplit(|&c| c == b'/').next().unwrap_or_default();
        let Some((name, major, minor)) = std::str::from_utf8(name).ok().and_then(version) else { continue };
        let serves =
            |wanted: &&(String, u16, u16)| wanted.0 == name && wanted.1 == major && wanted.2 <= minor;
        found.extend(missing.iter().filter(serves).cloned());
    }
    found
}

/// `libc.so.2.1` is (c, 2, 1).
fn version(file: &str) -> Option<(&str, u16, u16)> {
    let (name, version) = file.strip_prefix("lib")?.split_once(".so.")?;
    let (major, minor) = version.split_once('.')?;
    Some((name, major.parse().ok()?, minor.parse().ok()?))
}

/// Names of libraries, for people.
pub(super) fn named(libraries: &Missing) -> String {
    let names = libraries.iter().map(|(name, major, minor)| format!("lib{name}.so.{major}.{minor}"));
    names.collect::<Vec<_>>().join(", ")
}
