//! Everything that the guest of a machine sees: its root, what is mounted in it, what lies over it.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Builder, Changes, Mount, StartError, normalize};
use crate::host::error::HostError;
use crate::host::temporary::{Directory, Temporary};
use crate::kernel::vfs::mount::{MountFlags, Source};
use crate::kernel::vfs::overlay::{Overlay, OverlayError, Shared};
use crate::kernel::vfs::{Options, Vfs};

impl Builder {
    /// Everything that the guest sees, mounted from the outside in.
    pub(super) fn tree(
        &self,
        here: &Path,
        above: PathBuf,
        scratch: Option<&Directory>,
        options: Options,
    ) -> Result<Vfs, StartError> {
        let mut vfs = Vfs::new(options);
        let temporary = above.clone();
        if self.host_owners {
            vfs.change_host_owners();
        }
        let mounted = |path: &Path, result: crate::host::error::HostResult<_>| match result {
            Ok(_) => Ok(()),
            Err(HostError::SPECIAL) => Err(StartError::Special { path: path.to_owned() }),
            Err(e) => Err(StartError::Mount { path: path.to_owned(), reason: e.to_string() }),
        };
        let mut mounts: Vec<(Mount, bool)> = self.mounts.iter().map(|m| (m.clone(), false)).collect();
        mounts.extend(self.special.iter().map(|m| (m.clone(), true)));
        let flags_of = |read_only| {
            if read_only || self.read_only { MountFlags::RDONLY } else { MountFlags::empty() }
        };
        match &self.root {
            Some(root) => {
                let source = match self.overlay(root, &above)? {
                    Some(overlay) => Source::Overlay(root, overlay),
                    None => Source::Host(root),
                };
                let flags = flags_of(self.protect_root);
                mounted(root, vfs.mount_root(&source, flags))?;
            }
            None => {
                let everything = here == Path::new("/");
                let place = self.now_at(here);
                let root = match everything {
                    true if self.apart => {
                        let refused = |error| StartError::Overlay { path: place.clone(), error };
                        Source::Overlay(&place, Overlay::private(&place, &above).map_err(refused)?)
                    }
                    true => Source::Host(&place),
                    false => Source::Empty,
                };
                mounted(Path::new("/"), vfs.mount_root(&root, flags_of(false)))?;
                let own = Temporary::new(above).map_err(|e| StartError::Temporary(e.0.into()))?;
                mounted(Path::new("/tmp"), vfs.mount_private(own, b"/tmp"))?;
                let own = |path: &Path, read_only| Mount {
                    host: self.now_at(path),
                    guest: path.as_os_str().as_bytes().to_vec(),
                    read_only,
                };
                let program = normalize(&here.join(Path::new(&self.program)));
                if let Some(directory) = program.parent()
                    && !(directory.starts_with(here) && visible_below(here, directory))
                    && self.now_at(directory).is_dir()
                {
                    mounts.push((own(directory, true), false));
                }
                if !everything {
                    mounts.push((own(here, false), false));
                }
            }
        }
        // The outer ones first, so that the inner ones stay visible.
        mounts.sort_by_key(|(m, _)| m.guest.iter().filter(|&&b| b == b'/').count());
        for (mount, special) in &mounts {
            tracing::debug!(target: "bsd21::mount", host = %mount.host.display(), guest = %mount.guest.escape_ascii(), mount.read_only, "lends");
            let source = match special {
                true => Source::Special(&mount.host),
                false if self.apart && !mount.read_only && !self.read_only && mount.host.is_dir() => {
                    let refused = |error| StartError::Overlay { path: mount.host.clone(), error };
                    let overlay = Overlay::private(&mount.host, &temporary).map_err(refused)?;
                    Source::Overlay(&mount.host, overlay)
                }
                false => Source::Host(&mount.host),
            };
            mounted(&mount.host, vfs.mount(&source, &mount.guest, flags_of(mount.read_only)))?;
        }
        if let Some(above) = scratch {
            for (number, guest) in self.scratch.iter().enumerate() {
                let host = above.path().join(number.to_string());
                std::fs::create_dir(&host).map_err(StartError::Temporary)?;
                mounted(&host, vfs.mount(&Source::Temporary(&host), guest, MountFlags::empty()))?;
            }
        }
        mounted(Path::new("/dev"), vfs.mount(&Source::Devices, b"/dev", MountFlags::empty()))?;
        for disk in &self.disks {
            vfs.add_disk(disk.name.as_bytes(), &disk.host, disk.read_only || self.read_only);
        }
        if !self.read_only {
            vfs.set_temporary(temporary);
        }
        // Where a tree has a place for it, as the original's own table of file systems says, and nobody wants
        // something else there.
        let is_wanted = !mounts.iter().any(|(mount, _)| mount.guest == b"/proc");
        if is_wanted && self.root.as_ref().is_some_and(|root| root.join("proc").is_dir()) {
            let source = Source::Processes(b"proc");
            mounted(Path::new("/proc"), vfs.mount(&source, b"/proc", MountFlags::empty()))?;
        }
        Ok(vfs)
    }

    /// Where a directory is that the guest sees at its path of another time or host.
    fn now_at(&self, then: &Path) -> PathBuf {
        let moved = self.moves.iter().find_map(|(from, to)| Some(to.join(then.strip_prefix(from).ok()?)));
        moved.unwrap_or_else(|| then.to_owned())
    }

    /// The overlay over the root, if changes are not to go there.
    fn overlay(&self, root: &Path, above: &Path) -> Result<Option<Shared>, StartError> {
        let (path, overlay) = match &self.changes {
            None => return Ok(None),
            Some(Changes::Forgotten) => (above, Overlay::private(root, above)),
            Some(Changes::Kept(path)) => (path.as_path(), Overlay::kept(root, path)),
        };
        let refused = |error| StartError::Overlay { path: path.to_owned(), error };
        let overlay = overlay.map_err(refused)?;
        if matches!(self.changes, Some(Changes::Kept(_))) {
            let kept = overlay.borrow().path().to_owned();
            for mount in self.mounts.iter().chain(&self.special) {
                if mount
                    .host
                    .canonicalize()
                    .is_ok_and(|host| kept.starts_with(&host) || host.starts_with(&kept))
                {
                    return Err(refused(OverlayError::Inside(mount.host.clone())));
                }
            }
        }
        Ok(Some(overlay))
    }
}

/// Whether a directory is seen through a mount of `here`: the private /tmp covers what is below it.
fn visible_below(here: &Path, directory: &Path) -> bool {
    here.starts_with("/tmp") || !directory.starts_with("/tmp")
}
