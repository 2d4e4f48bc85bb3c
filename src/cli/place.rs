//! Where a program lives that was given no root: in BSD21_ROOT, or beside folders of libraries.
//!
//! With `--lib` the folders are seen where ld.so looks, ld.so itself and its table of libraries where they belong.  With
//! BSD21_ROOT a program of the guest is found in that root; one of the host that needs a root (because it is linked
//! dynamically, or a script) runs in it, with the current directory and its own beside the root's.
//!
//! Knows directories, not machines.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::options::{GuestOptions, usual_root};
use super::{Failure, status};
use crate::doctor::{hints, zone};
use crate::host::look;
use crate::image::{MAX_FILE, inspect};
use crate::machine::{Builder, DEFAULT_PATH, Mount};
use crate::survey::needs::AOUT_LINKER;
use crate::survey::tree::Tree;

/// Where the guest sees folders of libraries: the places where ld.so looks.
const PLACES: [&str; 4] = ["/usr/lib", "/usr/lib/compat", "/usr/X11R6/lib", "/usr/local/lib"];
/// What a root has, which no directory of the host may cover.
const SYSTEM: [&str; 12] =
    ["bin", "dev", "etc", "kernel", "lib", "proc", "sbin", "stand", "sys", "tmp", "usr", "var"];
/// Where directories of the host are then.
const ELSEWHERE: &str = "host";

/// A file that only this run sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lent {
    /// Where the guest sees it.
    pub guest: Vec<u8>,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl GuestOptions {
    /// The same options with all that follows from BSD21_ROOT and `--lib`.
    pub(super) fn settled(&self) -> Result<Self, Failure> {
        let mut settled = self.clone();
        let given_root = self.root.is_some() || self.mount.iter().any(|mount| mount.guest == b"/");
        if !self.lib.is_empty() {
            if given_root {
                return Err(Failure::usage(
                    "--lib lends libraries where there is no root: copy them into the root's usr/lib instead",
                ));
            }
            settled.lend_libraries(&self.lib)?;
        } else if !given_root && let Some(root) = usual_root() {
            settled.live_in(root)?;
        }
        Ok(settled)
    }

    /// BSD21_ROOT, if it is where the program is.
    pub(super) fn found_in_usual_root(&self) -> Option<PathBuf> {
        let root = usual_root().filter(|_| self.root.is_none() && self.lib.is_empty())?;
        let program = self.command.first()?;
        is_in(&root, Path::new(program)).then_some(root)
    }

    fn lend_libraries(&mut self, folders: &[PathBuf]) -> Result<(), Failure> {
        for folder in folders {
            if !folder.is_dir() {
                return Err(Failure::usage(format!("--lib {}: not a directory", folder.display())));
            }
        }
        let linker = hints::linker(folders).ok_or_else(|| {
            let names: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
            Failure::usage(format!("--lib {}: no ld.so there, nor in libexec beside it", names.join(", ")))
        })?;
        let bytes = status::read_file(&linker, MAX_FILE)?.to_vec();
        let mut libraries = Vec::new();
        for (at, folder) in folders.iter().enumerate() {
            let guest =
                PLACES.get(at).map_or_else(|| format!("/usr/local/lib/{at}"), |place| (*place).to_owned());
            libraries.extend(hints::of_folder(folder, &guest));
            let host = folder.canonicalize().unwrap_or_else(|_| folder.clone());
            self.mount.push(Mount { host, guest: guest.into_bytes(), read_only: true });
        }
        self.lent.push(Lent { guest: AOUT_LINKER.as_bytes().to_vec(), bytes });
        let table = hints::table(libraries);
        self.lent.push(Lent { guest: b"/var/run/ld.so.hints".to_vec(), bytes: table });
        Ok(())
    }

    fn live_in(&mut self, root: PathBuf) -> Result<(), Failure> {
        let Some(program) = self.command.first().cloned() else { return Ok(()) };
        if !root.is_dir() {
            return Err(Failure::usage(format!("BSD21_ROOT {}: not a directory", root.display())));
        }
        let path = Path::new(&program);
        let on_host = program.as_bytes().contains(&b'/') && path.is_file();
        if !(on_host && path.is_relative()) && is_in(&root, path) {
            self.root = Some(root);
            return Ok(());
        }
        if !path.is_file() || !needs_root(path) {
            return Ok(());
        }
        let absolute = |path: &Path| path.canonicalize().map_err(|e| failed(path, &e));
        let (own, here, inside) = (absolute(path)?, absolute(Path::new("."))?, absolute(&root)?);
        let own_directory = own.parent().unwrap_or(Path::new("/")).to_owned();
        let seen = |host: &Path| -> PathBuf {
            match host.strip_prefix(&inside) {
                Ok(below) => Path::new("/").join(below),
                Err(_) => elsewhere(host),
            }
        };
        for (host, read_only) in [(&here, false), (&own_directory, true)] {
            let covered = host.starts_with(&inside) || read_only && host.starts_with(&here);
            if !covered && *host != Path::new("/") {
                let guest = seen(host).into_os_string().into_vec();
                self.mount.push(Mount { host: host.clone(), guest, read_only });
            }
        }
        if self.cwd.is_none() {
            self.cwd = Some(if here == Path::new("/") { here.clone() } else { seen(&here) });
        }
        if self.argv0.is_none() {
            self.argv0 = Some(program);
        }
        let name = own.file_name().map_or_else(OsString::new, ToOwned::to_owned);
        if let Some(first) = self.command.first_mut() {
            *first = seen(&own_directory).join(name).into_os_string();
        }
        self.root = Some(root);
        Ok(())
    }

    /// Gives the guest the host's time zone, where neither its environment nor its root has one.
    pub(super) fn zoned(&self, builder: Builder, repeatable: bool) -> Builder {
        let named = self.environment().iter().any(|variable| variable.starts_with(b"TZ="));
        let taken = self.clear_env || self.takes_away("TZ");
        let of_root = self.root().is_some_and(|(root, _)| Tree::new(root).has_file("/etc/localtime"));
        if repeatable || named || taken || of_root {
            return builder;
        }
        match zone::of_host().filter(|zone| !zone.starts_with("UTC") && !zone.starts_with("GMT0")) {
            Some(zone) => builder.env("TZ", zone),
            None => builder,
        }
    }
}

/// Whether a root has a program: by its path, or by a name on the usual PATH.
fn is_in(root: &Path, program: &Path) -> bool {
    let tree = Tree::new(root);
    match program.as_os_str().as_bytes().contains(&b'/') {
        true => program.is_absolute() && tree.has_file(program),
        false => DEFAULT_PATH.split(':').any(|directory| tree.has_file(Path::new(directory).join(program))),
    }
}

/// Whether a program of the host cannot run alone.
fn needs_root(path: &Path) -> bool {
    let bytes = look::open_named(path).and_then(|file| look::bounded(&file, Vec::new(), MAX_FILE));
    // What cannot be read is refused with its reason where it is run.
    let Ok(bytes) = bytes else { return false };
    bytes.starts_with(b"#!") || !inspect::report(&bytes).libraries.is_empty()
}

/// Where a directory of the host is seen beside a root: under its own name, unless a system has that.
fn elsewhere(host: &Path) -> PathBuf {
    let first = host.components().nth(1).map(|part| part.as_os_str().to_owned());
    match first {
        Some(first) if SYSTEM.iter().any(|name| *name == first) => {
            Path::new("/").join(ELSEWHERE).join(host.strip_prefix("/").unwrap_or(host))
        }
        _ => host.to_owned(),
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("{}: {}", path.display(), status::plain(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_system_has_is_not_covered() {
        assert_eq!(elsewhere(Path::new("/home/me")), Path::new("/home/me"));
        assert_eq!(elsewhere(Path::new("/usr/local/old")), Path::new("/host/usr/local/old"));
        assert_eq!(elsewhere(Path::new("/tmp/x")), Path::new("/host/tmp/x"));
    }

    #[test]
    fn a_program_of_a_root_is_found_by_path_and_by_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("usr/bin")).unwrap();
        std::fs::write(dir.path().join("usr/bin/vi"), b"x").unwrap();
        let found = |name: &str| is_in(dir.path(), Path::new(name));
        assert!(found("/usr/bin/vi") && found("vi"));
        assert!(!found("ed") && !found("/usr/bin/ed") && !found("usr/bin/vi") && !found("./vi"));
    }
}
