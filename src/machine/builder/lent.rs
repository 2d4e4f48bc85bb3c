//! Files that only one run sees: written down for it, and mounted read-only.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Builder, Mount};
use crate::host::temporary;

impl Builder {
    /// Writes down what is lent, and mounts it read-only.
    pub(super) fn lend_files(&mut self, above: &Path) -> std::io::Result<Option<temporary::Directory>> {
        if self.lent.is_empty() {
            return Ok(None);
        }
        let directory = temporary::directory(above)?;
        let mut places: Vec<Vec<u8>> = Vec::new();
        for (guest, bytes) in std::mem::take(&mut self.lent) {
            let at = guest.iter().rposition(|&c| c == b'/').unwrap_or(0);
            let (place, name) = guest.split_at(at);
            let number = places.iter().position(|known| known == place).unwrap_or(places.len());
            let host = directory.path().join(number.to_string());
            if number == places.len() {
                std::fs::create_dir(&host)?;
                places.push(place.to_vec());
                self.mounts.push(Mount { host: host.clone(), guest: place.to_vec(), read_only: true });
            }
            let file = host.join(OsStr::from_bytes(name.strip_prefix(b"/").unwrap_or(name)));
            std::fs::write(&file, bytes)?;
            // Programs among them can be run.
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o555))?;
        }
        Ok(Some(directory))
    }
}
