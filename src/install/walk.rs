//! Copying a tree of files.
//!
//! Directories are walked in the order of their entries, which is the same each time; a directory that was met before
//! is not walked again, so that a tree that leads to itself has an end.

use std::collections::{HashMap, HashSet};
use std::io;
use std::rc::Rc;

use super::tree::{Attributes, Content, Entry, Handle, Tree};
use super::write::{Item, What, Writer};
use super::{InstallError, Progress};
use crate::cd9660::Kind;
use crate::kernel::vfs::Vtype;

/// Copies all files of a tree.
pub(super) fn copy(
    tree: &Rc<dyn Tree>,
    writer: &mut Writer,
    progress: &Rc<dyn Progress>,
) -> Result<(), InstallError> {
    let root = tree.root().map_err(|why| writer.failed(why))?;
    let mut seen = HashSet::from([root.attributes.number]);
    // The name under which a file with several names was written first.
    let mut names: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
    writer.put(item(Vec::new(), What::Directory, &root.attributes), &mut io::empty())?;
    let mut waiting = vec![(Vec::new(), root.handle)];
    while let Some((path, directory)) = waiting.pop() {
        let shown = || String::from_utf8_lossy(&path).into_owned();
        let entries = tree.list(&directory).map_err(|why| writer.failed(format!("/{}: {why}", shown())))?;
        for entry in entries {
            let path =
                if path.is_empty() { entry.name.clone() } else { [&path[..], b"/", &entry.name].concat() };
            if entry.attributes.kind == Kind::Directory {
                if !seen.insert(entry.attributes.number) {
                    writer.refuse(&path, "a directory that is in another place, too");
                    continue;
                }
                waiting.push((path.clone(), entry.handle.clone()));
            }
            put(tree, writer, path, &entry, &mut names)?;
            progress.advance(entry.attributes.size);
        }
    }
    if let Some(listed) = tree.directories().filter(|&listed| listed > seen.len()) {
        let missed = listed - seen.len();
        writer.refuse(b"path table", &format!("{missed} directories of it were not found in any other"));
    }
    Ok(())
}

fn put(
    tree: &Rc<dyn Tree>,
    writer: &mut Writer,
    path: Vec<u8>,
    entry: &Entry,
    names: &mut HashMap<(u64, u64), Vec<u8>>,
) -> Result<(), InstallError> {
    let known = &entry.attributes;
    let what = match known.kind {
        Kind::Directory => What::Directory,
        Kind::Link => What::Link(known.link.clone().unwrap_or_default()),
        Kind::Character => What::Device(Vtype::Chr, known.rdev),
        Kind::Block => What::Device(Vtype::Blk, known.rdev),
        Kind::Fifo => What::Fifo,
        // A name of a socket that nobody serves any more.
        Kind::Socket => return Ok(()),
        Kind::File => match known.shared.and_then(|shared| names.get(&shared)) {
            Some(first) => What::Name(first.clone()),
            None => What::File(known.size),
        },
    };
    if let (What::File(_), Some(shared)) = (&what, known.shared) {
        names.insert(shared, path.clone());
    }
    let mut content = content(tree, &entry.handle);
    writer.put(item(path, what, known), &mut content)
}

fn content(tree: &Rc<dyn Tree>, file: &Handle) -> Content {
    Content::of(tree, file)
}

fn item(path: Vec<u8>, what: What, known: &Attributes) -> Item {
    let Attributes { mode, uid, gid, mtime, flags, .. } = *known;
    Item { path, what, mode, uid, gid, mtime, flags }
}
