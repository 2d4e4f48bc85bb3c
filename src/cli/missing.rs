//! What a program that has failed would have needed: the run-time linker and libraries that its root lacks.
//!
//! The guest's own words come first; these say which root was searched, and what helps.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::options::GuestOptions;
use crate::host::look;
use crate::image::MAX_FILE;
use crate::image::inspect::{self, Library};
use crate::survey::needs;
use crate::survey::tree::Tree;

/// Directories of programs that are named without a slash.
const PATH: [&str; 4] = ["/sbin", "/bin", "/usr/sbin", "/usr/bin"];

/// One line about what is missing; `None` where nothing is, or nothing can be said.
pub(super) fn of(guest: &GuestOptions, program: &OsStr) -> Option<String> {
    let shown = program.to_string_lossy();
    let tree = guest.root().map(|(root, _)| Tree::new(root));
    let report = inspect::report(&contents(guest, program)?);
    if report.libraries.is_empty() {
        return None;
    }
    let Some(tree) = tree else {
        // Whoever mounts directories may have mounted the libraries.
        let linker = needs::AOUT_LINKER;
        let names = list(report.libraries.iter().map(Library::to_string));
        return guest
            .mount
            .is_empty()
            .then(|| format!("{shown} needs {linker} and {names}: --root DIR names a tree that has them"));
    };
    let needs = needs::libraries(&tree, &report.libraries, &[]).into_iter();
    let linker = needs::file(&tree, needs::AOUT_LINKER);
    let missing = std::iter::once(linker).chain(needs).filter(|need| need.found.is_none());
    let missing = list(missing.map(|need| match need.note {
        Some(note) => format!("{} ({note})", need.name),
        None => need.name,
    }));
    let root = tree.root().display();
    (!missing.is_empty()).then(|| format!("{shown} needs {missing}, which the root {root} does not have"))
}

/// The bytes of the program's file, where it can be found and read.
pub(super) fn contents(guest: &GuestOptions, program: &OsStr) -> Option<Vec<u8>> {
    let tree = guest.root().map(|(root, _)| Tree::new(root));
    let file = look::open_named(&file(tree.as_ref(), program)?).ok()?;
    look::whole(&file, MAX_FILE).ok()
}

fn list(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// The program's file.
fn file(tree: Option<&Tree>, program: &OsStr) -> Option<PathBuf> {
    let Some(tree) = tree else { return Some(program.into()) };
    if program.as_bytes().contains(&b'/') {
        return tree.find(program);
    }
    PATH.iter()
        .filter_map(|directory| tree.find(PathBuf::from(directory).join(program)))
        .find(|path| path.is_file())
}
