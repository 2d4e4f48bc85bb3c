//! The table of libraries that ld.so reads, `/var/run/ld.so.hints`, as ldconfig writes it.
//!
//! A header, buckets of a hash table, strings (<link.h>, struct hints_header and hints_bucket).  Here there is one bucket
//! with all libraries in its chain, the highest version of each first: whatever ld.so hashes a name to, it looks through
//! the chain until name and major number are equal and the minor number is at least what is wanted.  Version 1 of the
//! table, which all releases read.
//!
//! 2.1 counterpart: ldconfig(8).

use std::path::{Path, PathBuf};

use crate::survey::tree::Tree;

/// HH_MAGIC.
const MAGIC: i32 = 0o011_421_044_151;
/// LD_HINTS_VERSION_1.
const VERSION: i32 = 1;
/// Words of a header, and of a bucket: name, path, eight parts of a version, how many, the next one.
const HEADER: usize = 8;
const BUCKET: usize = 12;
/// Where ld.so is, from a folder of libraries.
const LINKERS: [&str; 3] = ["ld.so", "../libexec/ld.so", "libexec/ld.so"];

/// A library.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shared {
    /// Its name between `lib` and `.so`.
    pub name: String,
    /// Its version.
    pub major: u16,
    /// Its version.
    pub minor: u16,
    /// Where it is, for the guest.
    pub path: String,
}

/// The directories that a system's own ldconfig is given.
pub fn standard() -> Vec<String> {
    ["/usr/lib", "/usr/lib/compat", "/usr/X11R6/lib", "/usr/local/lib"].map(str::to_owned).to_vec()
}

/// Name and version of a library's file: `libc.so.2.2`.
pub fn versions(file: &str) -> Option<(&str, u16, u16)> {
    let (name, version) = file.strip_prefix("lib")?.split_once(".so.")?;
    let (major, minor) = version.split_once('.')?;
    Some((name, major.parse().ok()?, minor.parse().ok()?))
}

/// The libraries in directories of a root.
pub fn libraries(tree: &Tree, directories: &[String]) -> Vec<Shared> {
    let of = |directory: &String| {
        let names = tree.names_in(directory);
        let one = |file: &String| {
            let (name, major, minor) = versions(file)?;
            Some(Shared { name: name.to_owned(), major, minor, path: format!("{directory}/{file}") })
        };
        names.iter().filter_map(one).collect::<Vec<_>>()
    };
    directories.iter().flat_map(of).collect()
}

/// The libraries of a folder of the host that the guest sees somewhere.
pub fn of_folder(host: &Path, guest: &str) -> Vec<Shared> {
    let entries = std::fs::read_dir(host).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    let one = |file: &String| {
        let (name, major, minor) = versions(file)?;
        Some(Shared { name: name.to_owned(), major, minor, path: format!("{guest}/{file}") })
    };
    names.iter().filter_map(one).collect()
}

/// The ld.so of folders of libraries.
pub fn linker(folders: &[PathBuf]) -> Option<PathBuf> {
    let candidates = folders.iter().flat_map(|folder| LINKERS.map(|name| folder.join(name)));
    candidates.into_iter().find(|path| path.is_file())
}

/// The table for a root.
pub fn of_root(tree: &Tree) -> Vec<u8> {
    table(libraries(tree, &standard()))
}

/// The table for libraries; of two of one version the first one counts.
pub fn table(mut libraries: Vec<Shared>) -> Vec<u8> {
    // Stable: what came first stays first among its equals.
    libraries.sort_by(|a, b| a.name.cmp(&b.name).then((b.major, b.minor).cmp(&(a.major, a.minor))));
    // The empty string, for an empty table.
    let mut strings = vec![0];
    let mut words: Vec<i32> = Vec::new();
    let count = libraries.len();
    for (at, library) in libraries.iter().enumerate() {
        let mut place = |text: &str| {
            let at = strings.len() as i32;
            strings.extend(text.bytes().chain([0]));
            at
        };
        words.extend([place(&library.name), place(&library.path)]);
        words.extend([i32::from(library.major), i32::from(library.minor), 0, 0, 0, 0, 0, 0]);
        words.extend([2, if at + 1 < count { at as i32 + 1 } else { -1 }]);
    }
    if words.is_empty() {
        words = vec![0; BUCKET];
        words[BUCKET - 1] = -1;
    }
    let buckets = (HEADER * 4) as i32;
    let table = buckets + (words.len() * 4) as i32;
    let size = strings.len() as i32;
    let header = [MAGIC, VERSION, buckets, 1, table, size, table + size, 0];
    let bytes = header.iter().chain(&words).flat_map(|word| word.to_le_bytes());
    bytes.chain(strings).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_comes_first_and_the_chain_ends() {
        let shared =
            |name: &str, major, minor| Shared { name: name.to_owned(), major, minor, path: "/p".to_owned() };
        let bytes = table(vec![shared("m", 2, 0), shared("c", 2, 1), shared("c", 3, 0), shared("c", 2, 2)]);
        let word = |at: usize| i32::from_le_bytes(bytes[at * 4..at * 4 + 4].try_into().unwrap());
        assert_eq!((word(0), word(1), word(3)), (MAGIC, 1, 1));
        let text = |at: i32| {
            let from = (word(4) + at) as usize;
            String::from_utf8(bytes[from..].split(|&c| c == 0).next().unwrap().to_vec()).unwrap()
        };
        let (mut at, mut seen) = (0, Vec::new());
        while at >= 0 {
            let bucket = word(2) as usize / 4 + BUCKET * at as usize;
            seen.push((text(word(bucket)), word(bucket + 2), word(bucket + 3)));
            at = word(bucket + 11);
        }
        let expected = [("c", 3, 0), ("c", 2, 2), ("c", 2, 1), ("m", 2, 0)];
        assert_eq!(seen, expected.map(|(name, a, b)| (name.to_owned(), a, b)));
        assert_eq!(word(6) as usize, bytes.len());
        assert_eq!(table(Vec::new()).len(), 32 + 48 + 1);
    }

    #[test]
    fn names_of_libraries_have_two_numbers() {
        assert_eq!(versions("libc.so.2.2"), Some(("c", 2, 2)));
        assert_eq!(versions("libg++.so.2.0"), Some(("g++", 2, 0)));
        for name in ["libc.a", "libc.so.2", "ld.so", "libc.so.2.x", "libc.so.2.2.1"] {
            assert_eq!(versions(name), None, "{name}");
        }
    }
}
