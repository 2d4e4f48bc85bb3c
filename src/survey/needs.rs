//! What a program needs besides its own file, and whether the tree has it.
//!
//! 2.1 counterpart: the search of the run-time linker ld.so, ldd(1).

use super::model::Need;
use super::tree::Tree;
use crate::image::inspect::Library;

/// The run-time linker that 2.1's start code opens.
pub const AOUT_LINKER: &str = "/usr/libexec/ld.so";
/// Where ld.so looks, in the order in which /etc/rc names them to ldconfig.
const AOUT_DIRECTORIES: [&str; 5] =
    ["/usr/lib", "/usr/lib/compat", "/usr/X11R6/lib", "/usr/X386/lib", "/usr/local/lib"];
/// Where linkers for ELF look.
const ELF_DIRECTORIES: [&str; 5] = ["/usr/lib", "/lib", "/usr/local/lib", "/lib64", "/usr/lib64"];

/// A file that must be there.
pub fn file(tree: &Tree, name: &str) -> Need {
    let found = tree.has_file(name).then(|| name.to_owned());
    Need { name: name.to_owned(), found, note: None }
}

/// The libraries that a program asks for; `own` are directories that it names itself.
pub fn libraries(tree: &Tree, wanted: &[Library], own: &[String]) -> Vec<Need> {
    wanted.iter().map(|library| one(tree, library, own)).collect()
}

fn one(tree: &Tree, library: &Library, own: &[String]) -> Need {
    match library {
        Library::Versioned { name, major, minor } => versioned(tree, own, name, *major, *minor),
        Library::Path(path) if path.contains('/') => file(tree, path),
        Library::Path(name) => {
            let standard = ELF_DIRECTORIES.iter().map(|d| (*d).to_owned());
            let by_machine = ["/usr/lib", "/lib"].into_iter().flat_map(|directory| {
                let names = tree.names_in(directory).into_iter().filter(|n| n.ends_with("-linux-gnu"));
                names.map(move |name| format!("{directory}/{name}"))
            });
            let candidates = own.iter().cloned().chain(standard).chain(by_machine);
            let found = candidates.map(|d| format!("{d}/{name}")).find(|path| tree.has_file(path));
            Need { name: name.clone(), found, note: None }
        }
    }
}

/// The rule of a.out: the major number is equal, the minor number is at least what was asked for; the
/// highest minor number wins.
fn versioned(tree: &Tree, own: &[String], name: &str, major: u16, minor: u16) -> Need {
    let wanted = format!("lib{name}.so.{major}.{minor}");
    let mut others = Vec::new();
    for directory in own.iter().map(String::as_str).chain(AOUT_DIRECTORIES) {
        let there = versions(tree, directory, name);
        if let Some((x, y)) = there.iter().filter(|&&(x, y)| x == major && y >= minor).max() {
            let found = Some(format!("{directory}/lib{name}.so.{x}.{y}"));
            return Need { name: wanted, found, note: None };
        }
        others.extend(there.into_iter().map(|(x, y)| format!("{directory}/lib{name}.so.{x}.{y}")));
    }
    let note = (!others.is_empty()).then(|| format!("only {}", others.join(", ")));
    Need { name: wanted, found: None, note }
}

/// Major and minor numbers of a library's files in a directory.
fn versions(tree: &Tree, directory: &str, name: &str) -> Vec<(u16, u16)> {
    let prefix = format!("lib{name}.so.");
    let version = |file: &String| {
        let (major, minor) = file.strip_prefix(&prefix)?.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    tree.names_in(directory).iter().filter_map(version).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_number_is_equal_and_the_minor_at_least() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(dir.path().join("usr/lib")).expect("directories");
        for file in ["libc.so.2.1", "libc.so.2.2", "libc.so.3.9", "libm.so.1.0", "libm.a", "libm.so.x.y"] {
            std::fs::write(dir.path().join("usr/lib").join(file), b"").expect("a file");
        }
        let tree = Tree::new(dir.path());
        let need = |name: &str, major, minor| {
            one(&tree, &Library::Versioned { name: name.to_owned(), major, minor }, &[])
        };
        assert_eq!(need("c", 2, 0).found.as_deref(), Some("/usr/lib/libc.so.2.2"));
        assert_eq!(need("c", 2, 2).found.as_deref(), Some("/usr/lib/libc.so.2.2"));
        assert_eq!(need("c", 2, 3).found, None);
        assert_eq!(need("m", 2, 0).note.as_deref(), Some("only /usr/lib/libm.so.1.0"));
        assert_eq!(need("z", 1, 0), Need { name: "libz.so.1.0".to_owned(), found: None, note: None });
    }
}
