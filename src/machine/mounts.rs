//! Wishes about what the guest sees, checked against each other before anything is mounted.
//!
//! A wish that another one would silently undo is an error: somebody relies on it.
//!
//! Must not open anything for writing.

use std::path::Path;

use super::builder::{Builder, Changes, Mount, StartError};

impl Builder {
    /// Checks the mounts, and makes a mount on `/` the root.
    pub(super) fn settle_mounts(&mut self) -> Result<(), StartError> {
        for mount in self.mounts.iter_mut().chain(&mut self.special) {
            mount.guest = plain(&mount.guest)
                .map_err(|why| contradiction(format!("--mount {}: {why}", shown(mount))))?;
        }
        if let Some(at) = self.mounts.iter().position(|mount| mount.guest == b"/") {
            let mount = self.mounts.remove(at);
            if let Some(root) = &self.root {
                let root = root.display();
                return Err(contradiction(format!(
                    "--mount {} and --root {root} both are the root",
                    shown(&mount)
                )));
            }
            self.protect_root |= mount.read_only;
            self.root = Some(mount.host);
        }
        self.check_disks()?;
        self.check_places()?;
        self.check_rights()?;
        self.check_changes()
    }

    /// Each place has one mount, and none is under the guest's own /dev.
    fn check_places(&self) -> Result<(), StartError> {
        let all: Vec<&Mount> = self.mounts.iter().chain(&self.special).collect();
        for (at, mount) in all.iter().enumerate() {
            if mount.guest == b"/" {
                return Err(contradiction(format!(
                    "--mount-special {}: the root is not a special one",
                    shown(mount)
                )));
            }
            if mount.guest == b"/dev" || mount.guest.starts_with(b"/dev/") {
                return Err(contradiction(format!(
                    "--mount {}: /dev is the guest's own: choose another place",
                    shown(mount)
                )));
            }
            if let Some(other) = all.iter().skip(at + 1).find(|other| other.guest == mount.guest) {
                return Err(contradiction(format!(
                    "--mount {} and --mount {} are for the same place",
                    shown(mount),
                    shown(other)
                )));
            }
        }
        Ok(())
    }

    /// A directory that is read-only in one place is not writable in another.
    fn check_rights(&self) -> Result<(), StartError> {
        let root = self.root.as_deref().map(|root| Mount {
            host: root.to_owned(),
            guest: b"/".to_vec(),
            read_only: self.protect_root || self.changes.is_some(),
        });
        let all: Vec<&Mount> = self.mounts.iter().chain(&self.special).chain(&root).collect();
        for mount in all.iter().filter(|mount| mount.read_only && !self.read_only) {
            for other in all.iter().filter(|other| !other.read_only) {
                if same(&mount.host, &other.host) {
                    return Err(contradiction(format!(
                        "{} would be read-only at {} and writable at {}",
                        mount.host.display(),
                        String::from_utf8_lossy(&mount.guest),
                        String::from_utf8_lossy(&other.guest)
                    )));
                }
            }
        }
        Ok(())
    }

    /// Each disk has a name of its own that no other device of /dev has, and is a directory or an image of a CD-ROM.
    fn check_disks(&self) -> Result<(), StartError> {
        for (at, disk) in self.disks.iter().enumerate() {
            let shown = format!("--disk {}={}", disk.name, disk.host.display());
            let taken = |name: &str| crate::kernel::vfs::device::is_name(name.as_bytes());
            if taken(&disk.name) || taken(&format!("r{}", disk.name)) {
                return Err(contradiction(format!("{shown}: /dev/{} is another device", disk.name)));
            }
            if self.disks.iter().skip(at + 1).any(|other| other.name == disk.name) {
                return Err(contradiction(format!("{shown}: two disks are called {}", disk.name)));
            }
            if !disk.host.is_dir() && !disk.host.is_file() {
                return Err(contradiction(format!("{shown}: neither a directory nor an image of a CD-ROM")));
            }
        }
        Ok(())
    }

    fn check_changes(&self) -> Result<(), StartError> {
        let Some(changes) = &self.changes else { return Ok(()) };
        let name = match changes {
            Changes::Forgotten => "--overlay".to_owned(),
            Changes::Kept(path) => format!("--overlay {}", path.display()),
        };
        if self.root.is_none() {
            return Err(contradiction(format!(
                "{name} needs --root: there is no root that could be changed"
            )));
        }
        if self.protect_root || self.read_only {
            return Err(contradiction(format!("{name}: in a root that is read-only nothing changes")));
        }
        Ok(())
    }
}

fn contradiction(why: String) -> StartError {
    StartError::Contradiction(why)
}

fn shown(mount: &Mount) -> String {
    let ro = if mount.read_only { ":ro" } else { "" };
    format!("{}:{}{ro}", mount.host.display(), String::from_utf8_lossy(&mount.guest))
}

fn same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// A guest path without empty components and `.`.
fn plain(path: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut plain = Vec::new();
    for name in path.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => return Err("a mount point is named without '..'"),
            name => {
                plain.push(b'/');
                plain.extend_from_slice(name);
            }
        }
    }
    Ok(if plain.is_empty() { b"/".to_vec() } else { plain })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(host: &str, guest: &str, read_only: bool) -> Mount {
        Mount { host: host.into(), guest: guest.as_bytes().to_vec(), read_only }
    }

    fn refused(builder: Builder) -> String {
        let mut builder = builder;
        match builder.settle_mounts() {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn wishes_that_undo_each_other_are_refused() {
        let base = || Builder::default().root("/r");
        let cases = [
            (base().mount(mount("/a", "/x", false)).mount(mount("/b", "//x/.", true)), "same place"),
            (base().mount(mount("/a", "/", true)), "both are the root"),
            (base().mount(mount("/a", "/dev", false)), "the guest's own"),
            (base().mount(mount("/a", "/dev/x", false)), "the guest's own"),
            (base().mount(mount("/a", "/x/../y", false)), "without '..'"),
            (base().mount(mount("/a", "/x", true)).mount(mount("/a", "/y", false)), "writable at /y"),
            (base().protect_root().mount(mount("/r", "/y", false)), "writable at /y"),
            (base().changes(Changes::Forgotten).mount(mount("/r", "/y", false)), "writable at /y"),
            (base().changes(Changes::Forgotten).read_only(), "nothing changes"),
            (base().changes(Changes::Kept("/o".into())).protect_root(), "--overlay /o: in a root"),
            (Builder::default().changes(Changes::Forgotten), "needs --root"),
        ];
        for (builder, why) in cases {
            let refusal = refused(builder);
            assert!(refusal.contains(why), "{why}: {refusal:?}");
        }
    }

    #[test]
    fn a_mount_on_the_root_is_the_root() {
        let mut builder = Builder::default().mount(mount("/a", "/.", true));
        assert!(builder.settle_mounts().is_ok());
        assert_eq!((builder.root.as_deref(), builder.protect_root), (Some(Path::new("/a")), true));
        let read_only = Builder::default().root("/r").read_only();
        assert_eq!(refused(read_only.mount(mount("/r", "/y", false))), "");
    }
}
