//! What look-ups and changes do over a real directory of the host.

use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;
use syscalls::Errno;
use tempfile::TempDir;

use super::attr::Owners;
use super::mount::{MountFlags, Source};
use super::namei::{Found, Nameidata, Op, Start};
use super::node::Make;
use super::{Options, Vfs, VnodeId, Vtype};
use crate::host::fs::host_identity;
use crate::kernel::cred::Ucred;

/// A file system over a fresh directory, seen by one user.
struct World {
    dir: TempDir,
    vfs: Vfs,
    cwd: VnodeId,
    root: VnodeId,
    cred: Ucred,
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let owners = Owners { host: host_identity(), guest: (0, 0) };
    let mut vfs = Vfs::new(Options { owners, repeatable: false, seed: 0 });
    vfs.mount_root(&Source::Host(dir.path()), MountFlags::empty()).unwrap();
    let root = vfs.root_vnode();
    World { dir, vfs, cwd: root, root, cred: Ucred { uid: 0, groups: vec![0] } }
}

impl World {
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn namei(&mut self, nd: &Nameidata<'_>) -> Result<Found, Errno> {
        self.vfs.namei(nd, Start { cwd: self.cwd, root: self.root }, &self.cred)
    }

    fn look(&mut self, path: &str) -> Result<VnodeId, Errno> {
        Ok(self.namei(&Nameidata::lookup(path.as_bytes()))?.vp.unwrap())
    }

    fn find(&mut self, path: &str, op: Op) -> Result<Found, Errno> {
        self.namei(&Nameidata::new(path.as_bytes(), op))
    }

    fn make(&mut self, path: &str, what: Make<'_>, mode: u16) -> Result<VnodeId, Errno> {
        let at = self.find(path, Op::Create)?;
        if at.vp.is_some() {
            return Err(Errno::EEXIST);
        }
        let cred = self.cred.clone();
        self.vfs.make(&at, what, mode, &cred).map(Option::unwrap)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), Errno> {
        let from = self.find(from, Op::Delete)?;
        let to = self.find(to, Op::Rename)?;
        let cred = self.cred.clone();
        self.vfs.rename(&from, &to, &cred)
    }

    fn number(&mut self, path: &str) -> u32 {
        let id = self.look(path).unwrap();
        self.vfs.getattr(id).unwrap().fileid
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

#[test]
fn an_absolute_link_starts_at_the_guests_root() {
    let mut w = world();
    std::fs::create_dir(w.path("etc")).unwrap();
    write(&w.path("etc/passwd"), "guest");
    symlink("/etc/passwd", w.path("link")).unwrap();
    let id = w.look("link").unwrap();
    let mut buffer = [0; 8];
    let length = w.vfs.read_content(id, 0, &mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"guest");
}

#[test]
fn dot_dot_at_the_root_stays_there() {
    let mut w = world();
    let root = w.root;
    assert_eq!(w.look("../../..").unwrap(), root);
    symlink("../../../../..", w.path("up")).unwrap();
    assert_eq!(w.look("up/").unwrap(), root);
    assert_eq!(w.look("/up/up/..").unwrap(), root);
}

#[test]
fn a_changed_root_holds_too() {
    let mut w = world();
    std::fs::create_dir_all(w.path("jail/in")).unwrap();
    symlink("/..", w.path("jail/out")).unwrap();
    let jail = w.look("jail").unwrap();
    w.vfs.vref(jail);
    (w.root, w.cwd) = (jail, jail);
    assert_eq!(w.look("in/../..").unwrap(), jail);
    assert_eq!(w.look("out").unwrap(), jail);
    assert_eq!(w.look("/jail"), Err(Errno::ENOENT));
}

#[test]
fn links_are_followed_32_times() {
    let mut w = world();
    write(&w.path("l0"), "");
    for n in 1..=33 {
        symlink(format!("l{}", n - 1), w.path(&format!("l{n}"))).unwrap();
    }
    assert!(w.look("l32").is_ok());
    assert_eq!(w.look("l33"), Err(Errno::ELOOP));
}

#[test]
fn lengths_are_limited() {
    let mut w = world();
    assert_eq!(w.look(&"a".repeat(256)), Err(Errno::ENAMETOOLONG));
    assert_eq!(w.look(&"a".repeat(255)), Err(Errno::ENOENT));
    assert!(w.look(&"/".repeat(1023)).is_ok());
    assert_eq!(w.look(&"/".repeat(1024)), Err(Errno::ENAMETOOLONG));
}

#[test]
fn trailing_slashes_want_a_directory() {
    let mut w = world();
    write(&w.path("file"), "");
    std::fs::create_dir(w.path("dir")).unwrap();
    symlink("dir", w.path("link")).unwrap();
    assert_eq!(w.look("file/"), Err(Errno::ENOTDIR));
    assert_eq!(w.look("file/x"), Err(Errno::ENOTDIR));
    assert!(w.look("dir///").is_ok());
    let found = w.find("link/", Op::Lookup).unwrap().vp.unwrap();
    assert_eq!(w.vfs.vnode(found).kind, Vtype::Dir, "a slash follows the link");
    assert_eq!(w.make("new/", Make::File, 0o644).unwrap_err(), Errno::ENOENT);
    let nd = Nameidata { will_be_dir: true, ..Nameidata::new(b"new/", Op::Create) };
    assert!(w.namei(&nd).unwrap().vp.is_none());
}

#[test]
fn an_empty_path_is_the_current_directory() {
    let mut w = world();
    let cwd = w.cwd;
    assert_eq!(w.look("").unwrap(), cwd);
    assert_eq!(w.find("", Op::Create).unwrap_err(), Errno::EISDIR);
    assert_eq!(w.find("/", Op::Delete).unwrap_err(), Errno::EISDIR);
}

#[test]
fn search_permission_comes_before_existence() {
    let mut w = world();
    w.make("secret", Make::Directory, 0o700).unwrap();
    w.make("secret/file", Make::File, 0o666).unwrap();
    w.cred = Ucred { uid: 5, groups: vec![5] };
    assert_eq!(w.look("secret/file"), Err(Errno::EACCES));
    assert_eq!(w.look("secret/none"), Err(Errno::EACCES));
    assert_eq!(w.find("new", Op::Create).unwrap_err(), Errno::EACCES);
}

#[test]
fn entries_of_a_sticky_directory_belong_to_their_owners() {
    let mut w = world();
    let dir = w.make("tmp", Make::Directory, 0o777).unwrap();
    let root = w.cred.clone();
    w.vfs.set_mode(dir, 0o1777, &root).unwrap();
    w.make("tmp/roots", Make::File, 0o666).unwrap();
    w.cred = Ucred { uid: 5, groups: vec![5] };
    w.make("tmp/mine", Make::File, 0o666).unwrap();
    assert_eq!(w.find("tmp/roots", Op::Delete).unwrap_err(), Errno::EPERM);
    assert!(w.find("tmp/mine", Op::Delete).is_ok());
}

#[test]
fn a_new_file_has_its_makers_user_and_the_directorys_group() {
    let mut w = world();
    let dir = w.make("d", Make::Directory, 0o777).unwrap();
    let root = w.cred.clone();
    w.vfs.set_owner(dir, 3, 7, &root).unwrap();
    w.cred = Ucred { uid: 5, groups: vec![5] };
    let file = w.make("d/f", Make::File, 0o640).unwrap();
    let attr = w.vfs.getattr(file).unwrap();
    assert_eq!((attr.uid, attr.gid, attr.mode), (5, 7, 0o640));
}

#[test]
fn mounts_nest_and_cover_missing_directories() {
    let (outer, inner) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(&outer.path().join("o"), "");
    write(&inner.path().join("i"), "");
    let mut w = world();
    w.vfs.mount(&Source::Host(outer.path()), b"/tmp", MountFlags::empty()).unwrap();
    w.vfs.mount(&Source::Host(inner.path()), b"/tmp/a/b", MountFlags::RDONLY).unwrap();
    assert!(w.look("/tmp/o").is_ok());
    assert!(w.look("/tmp/a/b/i").is_ok());
    assert_eq!(w.number("/tmp/a/b/.."), w.number("/tmp/a"));
    let root = w.root;
    assert_eq!(w.look("/tmp/a/b/../../..").unwrap(), root);
    assert_eq!(w.make("/tmp/a/b/new", Make::File, 0o644).unwrap_err(), Errno::EROFS);
    assert_eq!(w.make("/tmp/a/new", Make::File, 0o644).unwrap_err(), Errno::EROFS);
    assert!(w.make("/tmp/new", Make::File, 0o644).is_ok());
    assert!(!outer.path().join("a").exists(), "a graft is not made on the host");
    let names: Vec<Vec<u8>> =
        w.vfs.read_directory(root).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, [&b"."[..], b"..", b"tmp"]);
    assert_eq!(w.vfs.getattr(root).unwrap().nlink, 3);
    assert_eq!(w.rename("/tmp/a", "/tmp/c"), Err(Errno::EBUSY));
    assert_eq!(w.rename("/tmp/o", "/x"), Err(Errno::EXDEV));
}

#[test]
fn renaming_keeps_the_tree_a_tree() {
    let mut w = world();
    std::fs::create_dir_all(w.path("a/b/c")).unwrap();
    std::fs::create_dir_all(w.path("full/x")).unwrap();
    write(&w.path("f"), "");
    assert_eq!(w.rename("a", "a/b/c/d"), Err(Errno::EINVAL));
    assert_eq!(w.rename("a/.", "x"), Err(Errno::EINVAL));
    assert_eq!(w.rename("a/b", "full"), Err(Errno::ENOTEMPTY));
    w.rename("a/b", "moved").unwrap();
    let root = w.root;
    assert_eq!(w.look("moved/c/../..").unwrap(), root);
}

#[test]
fn renaming_one_name_of_a_file_over_another_removes_it() {
    let mut w = world();
    write(&w.path("a"), "");
    std::fs::hard_link(w.path("a"), w.path("b")).unwrap();
    w.rename("a", "b").unwrap();
    assert!(!w.path("a").exists() && w.path("b").exists());
}

#[test]
fn directory_numbers_are_those_of_stat() {
    let mut w = world();
    std::fs::create_dir_all(w.path("d/sub")).unwrap();
    write(&w.path("d/file"), "");
    let dir = w.look("d").unwrap();
    for entry in w.vfs.read_directory(dir).unwrap() {
        let name = format!("d/{}", String::from_utf8(entry.name).unwrap());
        assert_eq!(entry.fileno, w.number(&name), "{name}");
    }
    assert_eq!(w.number("/"), 2);
}

#[test]
fn set_user_id_bits_are_the_guests_alone() {
    use std::os::unix::fs::PermissionsExt;
    let mut w = world();
    let file = w.make("su", Make::File, 0o755).unwrap();
    let root = w.cred.clone();
    if w.vfs.set_mode(file, 0o4755, &root).is_err() {
        return; // no extended attributes here
    }
    assert_eq!(w.vfs.getattr(file).unwrap().mode, 0o4755);
    assert_eq!(w.path("su").metadata().unwrap().permissions().mode() & 0o7777, 0o755);
    let user = Ucred { uid: 5, groups: vec![5] };
    w.vfs.clear_set_id(file, &user).unwrap();
    assert_eq!(w.vfs.getattr(file).unwrap().mode, 0o755);
}

#[test]
fn a_device_node_is_one_in_the_guests_world_only() {
    let mut w = world();
    let Ok(node) = w.make("null", Make::Device(Vtype::Chr, 0x202), 0o666) else { return };
    assert_eq!(w.vfs.vnode(node).kind, Vtype::Chr);
    assert!(w.path("null").metadata().unwrap().is_file());
    w.vfs.vnodes.forget(node);
    let again = w.look("null").unwrap();
    assert_eq!(w.vfs.getattr(again).unwrap().rdev, 0x202);
    assert_eq!(w.vfs.content(again, crate::host::fs::OpenFor::Reading).unwrap_err(), Errno::ENXIO);
}

#[test]
fn an_immutable_file_cannot_be_removed_until_the_flag_is_gone() {
    let mut w = world();
    let file = w.make("f", Make::File, 0o644).unwrap();
    let root = w.cred.clone();
    if w.vfs.set_flags(file, 2, &root).is_err() {
        return; // no extended attributes here
    }
    let at = w.find("f", Op::Delete).unwrap();
    assert_eq!(w.vfs.remove(&at), Err(Errno::EPERM));
    w.vfs.set_flags(file, 0, &root).unwrap();
    w.vfs.remove(&at).unwrap();
    assert!(!w.path("f").exists());
}

#[test]
fn a_removed_file_is_let_go_with_its_last_user() {
    let mut w = world();
    let file = w.make("f", Make::File, 0o644).unwrap();
    w.vfs.vref(file);
    let at = w.find("f", Op::Delete).unwrap();
    w.vfs.remove(&at).unwrap();
    assert!(w.vfs.vnodes.contains(file));
    w.vfs.vrele(file);
    assert!(!w.vfs.vnodes.contains(file));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is walked, over links that point anywhere, stays below the root.
    #[test]
    fn no_path_leads_out_of_the_root(
        links in prop::collection::vec(("[abc]", "(/|\\.\\./|\\./|[abcd]/|proc/self/root/|etc/){0,6}[abcd.]{0,2}"), 1..6),
        paths in prop::collection::vec("(/|\\.\\./|\\./|[abcd]/|etc/|proc/){0,8}[abcd.]{0,2}", 1..12),
    ) {
        let holder = tempfile::tempdir().unwrap();
        write(&holder.path().join("outside"), "");
        let root = holder.path().join("root");
        std::fs::create_dir_all(root.join("d/c")).unwrap();
        for (name, target) in &links {
            let _ = symlink(if target.is_empty() { "." } else { target }, root.join("d").join(name));
            let _ = symlink(if target.is_empty() { "." } else { target }, root.join(name));
        }
        let mut vfs = Vfs::new(Options::default());
        vfs.mount_root(&Source::Host(&root), MountFlags::empty()).unwrap();
        let top = vfs.root_vnode();
        let inside: Vec<u64> = walk_inodes(&root);
        let cred = Ucred { uid: 0, groups: vec![0] };
        for path in &paths {
            let start = Start { cwd: top, root: top };
            if let Ok(found) = vfs.namei(&Nameidata::lookup(path.as_bytes()), start, &cred) {
                let node = vfs.vnode(found.vp.unwrap()).host().unwrap();
                prop_assert!(inside.contains(&node.ino), "{path} left the root");
            }
        }
    }
}

fn walk_inodes(dir: &Path) -> Vec<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut all = vec![dir.metadata().unwrap().ino()];
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.path().symlink_metadata().unwrap();
        if meta.is_dir() {
            all.extend(walk_inodes(&entry.path()));
        } else {
            all.push(meta.ino());
        }
    }
    all
}

/// A tree whose directory `sub` is also mounted on /again, and once more read-only on /only.
fn twice() -> World {
    let mut w = world();
    std::fs::create_dir(w.path("sub")).unwrap();
    std::fs::create_dir(w.path("again")).unwrap();
    write(&w.path("sub/f"), "text");
    let sub = w.path("sub");
    w.vfs.mount(&Source::Host(&sub), b"/again", MountFlags::empty()).unwrap();
    w.vfs.mount(&Source::Host(&sub), b"/only", MountFlags::RDONLY).unwrap();
    w
}

#[test]
fn a_file_is_the_same_through_every_mount() {
    let mut w = twice();
    let identity = |w: &mut World, path: &str| {
        let id = w.look(path).unwrap();
        let attr = w.vfs.getattr(id).unwrap();
        (attr.fsid, attr.fileid)
    };
    let one = identity(&mut w, "sub/f");
    assert_eq!((identity(&mut w, "again/f"), identity(&mut w, "only/f")), (one, one));
    assert_eq!(identity(&mut w, "sub"), identity(&mut w, "again"));
    assert_ne!(identity(&mut w, "/"), identity(&mut w, "again"), "only one directory is number 2");
    let (one, other) = (w.look("sub/f").unwrap(), w.look("again/f").unwrap());
    assert_ne!(one, other);
    assert!(w.vfs.vnode(one).inode.same(&w.vfs.vnode(other).inode));
    // What one view learns, the other one knows.
    let cred = w.cred.clone();
    w.vfs.set_mode(one, 0o4711, &cred).unwrap();
    assert_eq!(w.vfs.getattr(other).unwrap().mode, 0o4711);
}

#[test]
fn mounts_of_one_file_system_stay_apart_for_links_and_read_only() {
    let mut w = twice();
    assert_eq!(w.rename("sub/f", "again/g"), Err(Errno::EXDEV));
    let file = w.look("sub/f").unwrap();
    let at = w.find("again/g", Op::Create).unwrap();
    assert_eq!(w.vfs.link(file, &at), Err(Errno::EXDEV));
    let (file, cred) = (w.look("only/f").unwrap(), w.cred.clone());
    assert_eq!(w.vfs.set_mode(file, 0o600, &cred), Err(Errno::EROFS));
    assert_eq!(w.rename("again/f", "again/g"), Ok(()));
}

#[test]
fn entries_show_the_number_of_what_is_mounted_there() {
    let mut w = twice();
    let root = w.root;
    let entries = w.vfs.read_directory(root).unwrap();
    let listed = |name: &[u8]| entries.iter().find(|entry| entry.name == name).unwrap().fileno;
    for name in ["sub", "again", "only"] {
        assert_eq!(listed(name.as_bytes()), w.number(name), "{name}");
    }
}

#[test]
fn an_attribute_that_another_run_sets_is_seen() {
    let mut w = world();
    write(&w.path("f"), "");
    let id = w.look("f").unwrap();
    let mode = w.vfs.getattr(id).unwrap().mode;
    let mut other = Vfs::new(Options::default());
    other.mount_root(&Source::Host(w.dir.path()), MountFlags::empty()).unwrap();
    let (root, cred) = (other.root_vnode(), w.cred.clone());
    let found = other.namei(&Nameidata::lookup(b"f"), Start { cwd: root, root }, &cred).unwrap().vp.unwrap();
    if other.set_mode(found, 0o6711, &cred).is_err() {
        return; // this file system has no attributes
    }
    assert_ne!(mode, 0o6711);
    // What was read a moment ago is believed for a moment.
    std::thread::sleep(std::time::Duration::from_millis(30));
    assert_eq!(w.vfs.getattr(id).unwrap().mode, 0o6711);
    // And what is set here afterwards does not undo it.
    w.vfs.set_flags(id, 1, &cred).unwrap();
    assert_eq!(other.getattr(found).unwrap().mode, 0o6711);
}
