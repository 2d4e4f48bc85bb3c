//! The file system that cases run in.

use std::path::Path;

use bsd21::kernel::Context;
use bsd21::kernel::vfs::mount::{MountFlags, Source};
use bsd21::kernel::vfs::{Options, Vfs, change_directory};

/// A tree whose root is a directory of the host.
pub(crate) fn vfs(root: &Path) -> Vfs {
    let mut vfs = Vfs::new(Options::default());
    vfs.mount_root(&Source::Host(root), MountFlags::empty()).expect("the directory can be mounted");
    vfs
}

/// Makes the root the current directory.
pub(crate) fn enter(cx: &mut Context<'_>) {
    change_directory(cx, b"/").expect("the root is there");
}
