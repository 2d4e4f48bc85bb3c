//! Distribution sets: which there are in a tree, of which pieces, and where they belong.
//!
//! Where each belongs is sysinstall's table (dist.c of 2.0.5 to 2.2): the root, but sources below `/usr/src`, X11 and
//! ports below `/usr`, `commerce` and `xperimnt` below `/usr/local`.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::rc::Rc;

use super::check::Sums;
use super::tree::{Content, Entry, Handle, Tree};
use crate::cd9660::Kind;

/// Directories that are looked at, and how deep below the root.
const MOST_DIRECTORIES: usize = 4096;
const DEPTH: usize = 3;
/// How names of single archives end.
const ARCHIVES: [&str; 9] =
    [".tgz", ".tar.gz", ".taz", ".tar.z", ".tar", ".tbz", ".tar.bz2", ".tbz2", ".tar.bz"];
/// Sets of sources.
const SOURCES: [&str; 19] = [
    "sbase",
    "sgnu",
    "setc",
    "sgames",
    "sinclude",
    "slib",
    "slibexec",
    "slkm",
    "srelease",
    "ssbin",
    "sshare",
    "ssys",
    "subin",
    "susbin",
    "ssecure",
    "sebones",
    "skerberos",
    "scontrib",
    "ssmailcf",
];
/// Names of lists of sums.
const LISTS: [&str; 6] = ["checksum.md5", "checksum", "checksums", "md5sums", "cksums", "cksum"];

/// A piece of a set.
#[derive(Clone)]
pub(super) struct Piece {
    pub name: String,
    pub size: u64,
    file: Handle,
}

/// A set.
pub(super) struct Set {
    /// Its name, in small letters.
    pub name: String,
    /// The directory below the root where its files belong, without a slash at its ends.
    pub below: &'static str,
    /// Its pieces, in their order.
    pub pieces: Vec<Piece>,
    /// The first piece that ought to be there and is not.
    gap: Option<String>,
    /// What the medium says of the pieces.
    pub sums: Sums,
    tree: Rc<dyn Tree>,
}

impl Set {
    pub(super) fn size(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.size).sum()
    }

    /// Whether all pieces are there.
    pub(super) fn complete(&self) -> Result<(), String> {
        if let Some(gap) = &self.gap {
            return Err(format!("{gap} is missing"));
        }
        match self.sums.pieces {
            Some(count) if count != self.pieces.len() => {
                Err(format!("{} pieces instead of {count}", self.pieces.len()))
            }
            _ => Ok(()),
        }
    }

    /// Reads a piece from its beginning.
    pub(super) fn open(&self, piece: &Piece) -> Content {
        Content::of(&self.tree, &piece.file)
    }

    /// All pieces, one after the other; each is compared with its sum before its first byte is given.
    pub(super) fn content<'s>(&'s self, read: &'s dyn Fn(u64)) -> Pieces<'s> {
        Pieces { set: self, next: 0, current: None, read }
    }
}

/// The bytes of all pieces.
pub(super) struct Pieces<'s> {
    set: &'s Set,
    next: usize,
    current: Option<Content>,
    read: &'s dyn Fn(u64),
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(current) = &mut self.current {
                let length = current.read(buffer)?;
                if length > 0 || buffer.is_empty() {
                    (self.read)(length as u64);
                    return Ok(length);
                }
                self.current = None;
            }
            let Some(piece) = self.set.pieces.get(self.next) else { return Ok(0) };
            self.next += 1;
            if self.set.sums.know(&piece.name) {
                let verified = self.set.sums.verify(&piece.name, self.set.open(piece))?;
                verified.map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
            }
            self.current = Some(self.set.open(piece));
        }
    }
}

/// All sets of a tree, by their names.
pub(super) fn find(tree: &Rc<dyn Tree>) -> Result<Vec<Set>, String> {
    let mut sets: BTreeMap<String, Set> = BTreeMap::new();
    let mut waiting = vec![(tree.root()?, String::new(), 0)];
    let mut looked_at = 0;
    while let Some((directory, name, depth)) = waiting.pop() {
        looked_at += 1;
        let entries = match tree.list(&directory.handle) {
            Ok(entries) => entries,
            // What is damaged further down is nobody's business yet.
            Err(_) if depth > 0 => continue,
            Err(why) => return Err(why),
        };
        for set in of_directory(tree, &entries, &name, depth == 0) {
            sets.entry(set.name.clone()).or_insert(set);
        }
        if depth < DEPTH && looked_at + waiting.len() < MOST_DIRECTORIES {
            let below = entries.into_iter().filter(|entry| entry.attributes.kind == Kind::Directory);
            waiting.extend(below.map(|entry| {
                let name = lower(&entry.name);
                (entry, name, depth + 1)
            }));
        }
    }
    Ok(sets.into_values().collect())
}

/// The set that a file is, or a piece of.
pub(super) fn of_file(tree: &Rc<dyn Tree>, name: &str) -> Result<Option<Set>, String> {
    let entries = tree.list(&tree.root()?.handle)?;
    let wanted = name.to_ascii_lowercase();
    let sets = of_directory(tree, &entries, "", true);
    let piece = |set: &Set| set.pieces.iter().any(|piece| piece.name.eq_ignore_ascii_case(&wanted));
    if let Some(set) = sets.into_iter().find(piece) {
        return Ok(Some(set));
    }
    // A name that says nothing.
    let file = entries.iter().find(|entry| entry.name == name.as_bytes());
    let sums = sums_of(tree, &entries, None);
    Ok(file.map(|file| single(tree, file, name.to_owned(), "", sums)))
}

/// Whether a tree is a system: what `/` looks like.
pub(super) fn is_system(tree: &Rc<dyn Tree>) -> bool {
    let entries = tree.root().and_then(|root| tree.list(&root.handle)).unwrap_or_default();
    ["bin", "etc", "usr"].iter().all(|name| entries.iter().any(|entry| entry.name == name.as_bytes()))
}

/// Whether a tree has archives in it, wherever.
pub(super) fn has_packages(tree: &Rc<dyn Tree>) -> bool {
    let root = tree.root().and_then(|root| tree.list(&root.handle)).unwrap_or_default();
    let directories = root.iter().filter(|entry| lower(&entry.name) == "packages");
    let below = directories.flat_map(|entry| tree.list(&entry.handle).unwrap_or_default());
    below.count() > 0
}

fn lower(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_ascii_lowercase()
}

/// The sets of one directory.
fn of_directory(tree: &Rc<dyn Tree>, entries: &[Entry], directory: &str, top: bool) -> Vec<Set> {
    let files = entries.iter().filter(|entry| entry.attributes.kind == Kind::File);
    let mut split: BTreeMap<String, BTreeMap<usize, &Entry>> = BTreeMap::new();
    let mut whole = Vec::new();
    for file in files {
        let name = lower(&file.name);
        if let Some((stem, place)) = name.rsplit_once('.').and_then(|(stem, end)| Some((stem, place(end)?))) {
            split.entry(stem.to_owned()).or_default().insert(place, file);
        } else if let Some(stem) = ARCHIVES.iter().find_map(|end| name.strip_suffix(end))
            && (top || stem == directory || directory.starts_with("xf86"))
        {
            whole.push((stem.to_owned(), file));
        }
    }
    let mut sets = Vec::new();
    for (stem, pieces) in split {
        let said = entries.iter().any(|entry| lower(&entry.name) == format!("{stem}.inf"));
        let name = stem.strip_suffix("_tgz").unwrap_or(&stem);
        let begins = pieces.contains_key(&0);
        if !(said || begins && (pieces.len() > 1 || name == directory || stem.ends_with("_tgz"))) {
            continue;
        }
        let gap =
            (0..pieces.len()).find(|n| !pieces.contains_key(n)).map(|n| format!("{stem}.{}", ending(n)));
        let pieces = pieces.into_values().map(piece).collect();
        let sums = sums_of(tree, entries, Some(&stem));
        let below = below(name, directory);
        sets.push(Set { name: name.to_owned(), below, pieces, gap, sums, tree: Rc::clone(tree) });
    }
    for (stem, file) in whole {
        if !sets.iter().any(|set| set.name == stem) {
            sets.push(single(tree, file, stem, directory, sums_of(tree, entries, None)));
        }
    }
    sets
}

fn single(tree: &Rc<dyn Tree>, file: &Entry, name: String, directory: &str, sums: Sums) -> Set {
    let below = below(&name, directory);
    Set { name, below, pieces: vec![piece(file)], gap: None, sums, tree: Rc::clone(tree) }
}

fn piece(file: &Entry) -> Piece {
    let name = String::from_utf8_lossy(&file.name).into_owned();
    Piece { name, size: file.attributes.size, file: file.handle.clone() }
}

/// What the directory says of sums.
fn sums_of(tree: &Rc<dyn Tree>, entries: &[Entry], stem: Option<&str>) -> Sums {
    let mut sums = Sums::default();
    for entry in entries.iter().filter(|entry| entry.attributes.kind == Kind::File) {
        let name = lower(&entry.name);
        // A list that cannot be read says nothing.
        if stem.is_some_and(|stem| name == format!("{stem}.inf")) {
            let _ = sums.read_inf(stem.unwrap_or_default(), Content::of(tree, &entry.handle));
        } else if LISTS.contains(&name.as_str()) {
            let _ = sums.read_list(Content::of(tree, &entry.handle));
        }
    }
    sums
}

/// `aa` is 0, `ab` 1, `ba` 26.
fn place(end: &str) -> Option<usize> {
    match end.as_bytes() {
        [a @ b'a'..=b'z', b @ b'a'..=b'z'] => Some(usize::from(a - b'a') * 26 + usize::from(b - b'a')),
        _ => None,
    }
}

fn ending(place: usize) -> String {
    let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
    [letter(place / 26), letter(place)].iter().collect()
}

/// Where a set belongs.
fn below(name: &str, directory: &str) -> &'static str {
    match name {
        "ports" => "usr",
        "commerce" | "xperimnt" => "usr/local",
        name if SOURCES.contains(&name) => "usr/src",
        _ if directory.starts_with("xf86") => "usr",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::HostTree;
    use super::*;

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Rc<dyn Tree>) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let tree = HostTree::open(dir.path()).unwrap();
        (dir, Rc::new(tree))
    }

    fn text(set: &Set) -> io::Result<String> {
        let mut text = String::new();
        set.content(&|_| {}).read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn sets_are_found_where_media_have_them() {
        let (_dir, tree) = tree(&[
            ("bin/bin.aa", "one "),
            ("bin/bin.ab", "two"),
            ("bin/bin.inf", "Pieces = 2\n"),
            ("dists/games/GAMES.AA", "g"),
            ("src/ssys.aa", "s"),
            ("src/ssys.inf", "Pieces = 1\n"),
            ("compat1x/compat1x.tgz", "c"),
            ("bindist/old_tgz.aa", "o"),
            ("xf86311/x311bin.tgz", "x"),
            ("packages/all/bash.tgz", "p"),
            ("tools/readme.aa", "no set"),
        ]);
        let sets = find(&tree).unwrap();
        let names: Vec<(&str, &str)> = sets.iter().map(|set| (set.name.as_str(), set.below)).collect();
        assert_eq!(
            names,
            [
                ("bin", ""),
                ("compat1x", ""),
                ("games", ""),
                ("old", ""),
                ("ssys", "usr/src"),
                ("x311bin", "usr")
            ]
        );
        assert_eq!(text(&sets[0]).unwrap(), "one two");
        assert!(sets.iter().all(|set| set.complete().is_ok()));
    }

    #[test]
    fn what_is_missing_is_named() {
        let (_dir, tree) = tree(&[
            ("bin/bin.aa", ""),
            ("bin/bin.ac", ""),
            ("des/des.aa", ""),
            ("des/des.inf", "Pieces = 3"),
        ]);
        let sets = find(&tree).unwrap();
        assert_eq!(sets[0].complete(), Err("bin.ab is missing".to_owned()));
        assert_eq!(sets[1].complete(), Err("1 pieces instead of 3".to_owned()));
    }

    #[test]
    fn a_damaged_piece_gives_no_byte() {
        let (_dir, tree) = tree(&[
            ("x.aa", "123456789"),
            ("x.ab", "123456780"),
            ("x.inf", "cksum.aa = 930766865 9\ncksum.ab = 930766865 9\n"),
        ]);
        let set = &find(&tree).unwrap()[0];
        let mut all = set.content(&|_| {});
        let mut piece = [0; 9];
        all.read_exact(&mut piece).unwrap();
        assert!(all.read(&mut piece).unwrap_err().to_string().contains("x.ab"));
    }
}
