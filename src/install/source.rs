//! What a source is: an image of a CD, a directory, an archive; and the parts that are installed from it.
//!
//! Where sets lie on media: in directories of their own below the root or `dists` (sysinstall's media.c and cdrom.c of
//! 2.0.5 to 2.2: `bin/bin.aa`, `dists/bin/bin.aa`), with `bin.inf` beside the pieces; before 2.0.5 as `bin_tgz.aa` (its
//! own extract.sh); libraries of older releases as one archive, `compat1x/compat1x.tgz` (2.2's LAYOUT.TXT).  A second CD
//! holds a whole system ("live file system"), which is copied as it is.

use std::fs::File;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::set::{self, Set};
use super::tree::{HostTree, Tree, VolumeTree};
use super::{InstallError, Options};
use crate::cd9660::{self, IsoError, Volume};
use crate::host::look;

/// The set that a system begins with.
pub(super) const DEFAULT: &str = "bin";

/// What is installed in one go.
pub(super) enum Part {
    /// All files of a tree.
    Tree { name: String, tree: Rc<dyn Tree> },
    /// An archive.
    Stream { name: String, set: Set },
}

impl Part {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Tree { name, .. } | Self::Stream { name, .. } => name,
        }
    }

    /// Whether somebody who asks for a set means this.
    pub(super) fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Stream { name, .. } if name.eq_ignore_ascii_case(wanted))
    }

    /// What tells it from other parts of the same name.
    pub(super) fn identity(&self) -> String {
        match self {
            Self::Tree { tree, .. } => tree.identity(),
            Self::Stream { set, .. } => format!("{} {}", set.pieces.len(), set.size()),
        }
    }

    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Self::Tree { .. } => None,
            Self::Stream { set, .. } => Some(set.size()),
        }
    }
}

/// The parts of a source that are wanted, and the other sets of it.
pub(super) fn parts(
    path: &Path,
    options: &Options,
    parts: &mut Vec<Part>,
    others: &mut Vec<Set>,
) -> Result<(), InstallError> {
    let refused = |why: String| InstallError::Source { path: path.to_owned(), why };
    let metadata = std::fs::metadata(path).map_err(|e| refused(plain(&e)))?;
    let name =
        path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    let tree: Rc<dyn Tree> = if metadata.is_dir() {
        Rc::new(HostTree::open(path).map_err(refused)?)
    } else {
        let file =
            if metadata.file_type().is_block_device() { File::open(path) } else { look::open_named(path) };
        let file = file.map_err(|e| refused(plain(&e)))?;
        match Volume::open(Box::new(file), cd9660::Options::default()) {
            Ok(volume) => Rc::new(VolumeTree::new(volume)),
            Err(IsoError::NotAVolume) => {
                return archive(path, &name, options, parts, others);
            }
            Err(error) => return Err(refused(error.to_string())),
        }
    };
    if options.tree {
        parts.push(Part::Tree { name, tree });
        return Ok(());
    }
    let found = set::find(&tree).map_err(refused)?;
    let mut wanted: Vec<String> = options.sets.clone();
    if wanted.is_empty() {
        if found.iter().any(|set| set.name == DEFAULT) {
            wanted.push(DEFAULT.to_owned());
        } else if let [only] = &found[..] {
            wanted.push(only.name.clone());
        } else if set::is_system(&tree) || found.is_empty() && !set::has_packages(&tree) {
            parts.push(Part::Tree { name, tree });
            return Ok(());
        } else if found.is_empty() {
            return Err(refused("packages only: name the ones to install".to_owned()));
        } else {
            let names: Vec<&str> = found.iter().map(|set| set.name.as_str()).collect();
            return Err(refused(format!("no set bin; --sets chooses from: {}", names.join(", "))));
        }
    }
    for set in found {
        if wanted.iter().any(|name| name.eq_ignore_ascii_case(&set.name)) {
            set.complete().map_err(|why| refused(format!("set {}: {why}", set.name)))?;
            parts.push(Part::Stream { name: set.name.clone(), set });
        } else {
            others.push(set);
        }
    }
    Ok(())
}

/// A file that is no volume: an archive, or one of the pieces of a set.
fn archive(
    path: &Path,
    name: &str,
    options: &Options,
    parts: &mut Vec<Part>,
    others: &mut Vec<Set>,
) -> Result<(), InstallError> {
    let refused = |why: String| InstallError::Source { path: path.to_owned(), why };
    let directory =
        path.parent().filter(|p| *p != Path::new("")).map_or_else(|| PathBuf::from("."), Path::to_owned);
    let tree: Rc<dyn Tree> = Rc::new(HostTree::open(&directory).map_err(refused)?);
    let found = set::of_file(&tree, name).map_err(refused)?;
    let set = found.ok_or_else(|| refused("not found in its directory".to_owned()))?;
    if options.sets.is_empty() || options.sets.iter().any(|wanted| wanted.eq_ignore_ascii_case(&set.name)) {
        set.complete().map_err(refused)?;
        parts.push(Part::Stream { name: set.name.clone(), set });
    } else {
        others.push(set);
    }
    Ok(())
}

/// An error of the host without its number.
pub(super) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
