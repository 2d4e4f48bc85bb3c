//! One program: whether it runs, and what it needs that is not there.

use std::path::{Path, PathBuf};

use super::finding::Finding;
use crate::host::look;
use crate::image::MAX_FILE;
use crate::image::inspect::{self, Verdict};
use crate::survey::needs::{self, AOUT_LINKER};
use crate::survey::tree::Tree;

/// Looks at a program.
pub(super) fn look(root: Option<&Path>, libraries: &[PathBuf], program: &Path) -> Vec<Finding> {
    let shown = program.display();
    let host = match root {
        Some(root) => Tree::new(root).find(program),
        None => Some(program.to_owned()),
    };
    let Some(host) = host.filter(|path| path.exists()) else {
        let place = root.map_or(String::new(), |root| format!(" in {}", root.display()));
        let help = match root {
            Some(_) if program.exists() => {
                "it is a file of the host: leave out --root, or copy it into the root"
            }
            Some(_) => "with --root a program is a path of the guest, such as /bin/ls",
            None => "name a file",
        };
        return vec![Finding::missing(format!("{shown}: no such program{place}"), help)];
    };
    let bytes = look::open_named(&host).and_then(|file| look::bounded(&file, Vec::new(), MAX_FILE));
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) => {
            return vec![Finding::missing(format!("{shown}: cannot be read: {error}"), "make it readable")];
        }
    };
    let report = inspect::report(&bytes);
    let mut found = vec![match &report.verdict {
        Verdict::Refused(refusal) => {
            return vec![Finding::missing(
                format!("{shown}: {refusal}"),
                "only programs of 2.1 run (bsd21 inspect)",
            )];
        }
        _ => Finding::good(format!("{shown} is a program of 2.1")),
    }];
    let (tree, merged) = tree(root, libraries);
    if let Some(interpreter) = interpreter(&bytes) {
        let need = needs::file(&tree, &interpreter);
        found.push(match need.found {
            Some(_) => Finding::good(format!("its interpreter {interpreter} is there")),
            None => Finding::missing(
                format!("its interpreter {interpreter} is not there"),
                "run it in a root that has it: bsd21 run --root DIR",
            ),
        });
        return found;
    }
    if report.libraries.is_empty() {
        if root.is_none() {
            found.push(Finding::good(format!("it needs nothing else: bsd21 run {shown}")));
        }
        return found;
    }
    let folder = "a folder with ld.so and its libraries: bsd21 run --lib DIR; or a whole root: --root DIR";
    found.push(match merged || tree.has_file(AOUT_LINKER) {
        true => Finding::good("ld.so is there"),
        false => Finding::missing("it is linked dynamically, and ld.so is not there", folder),
    });
    for need in needs::libraries(&tree, &report.libraries, &inspect::search_path(&bytes)) {
        let lent = libraries.iter().find(|folder| lends(folder, &need.name));
        found.push(match (need.found, lent, need.note) {
            (Some(path), _, _) => Finding::good(format!("{} is {path}", need.name)),
            (None, Some(folder), _) => Finding::good(format!("{} is in {}", need.name, folder.display())),
            (None, None, Some(note)) => Finding::missing(
                format!("{} is not there: {note}", need.name),
                "a set of older libraries, such as compat1x or compat20, may have it",
            ),
            (None, None, None) => Finding::missing(format!("{} is not there", need.name), folder),
        });
    }
    found
}

/// The root that names are looked up in, and whether one of the folders has ld.so.
fn tree(root: Option<&Path>, libraries: &[PathBuf]) -> (Tree, bool) {
    let nothing = Path::new("/nonexistent");
    let linker = super::hints::linker(libraries).is_some();
    (Tree::new(root.unwrap_or(nothing)), linker)
}

/// Whether a folder has a library of the wanted name: `libc.so.2.1` is served by `libc.so.2.2`.
fn lends(folder: &Path, wanted: &str) -> bool {
    let Some((name, major, minor)) = super::hints::versions(wanted) else {
        return folder.join(wanted).is_file();
    };
    let there = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| {
        super::hints::versions(entry.ok()?.file_name().to_str()?).map(|(n, a, b)| (n.to_owned(), a, b))
    });
    there.into_iter().any(|(n, a, b)| n == name && a == major && b >= minor)
}

/// The interpreter of a script.
fn interpreter(bytes: &[u8]) -> Option<String> {
    let line = bytes.strip_prefix(b"#!")?.split(|&c| c == b'\n').next()?;
    let line = String::from_utf8_lossy(line.get(..128).unwrap_or(line)).into_owned();
    line.split_ascii_whitespace().next().map(str::to_owned)
}
