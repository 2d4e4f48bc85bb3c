//! What files are like in a run that must come out the same on every host.
//!
//! A file that the run did not change shows fixed times, the guest's own user as its owner, plain
//! permissions, and room that follows from its size; one that it did change shows what the guest did to it
//! and the times of the guest's clock.  What the guest sets is kept here, so that it does not matter what the
//! host can keep; a number of the host that a removed file had means nothing for the next file.
//!
//! Must not know the host's clock.  2.1 counterpart: none.

use std::collections::HashMap;

use super::Vfs;
use super::attr::{Extra, Vattr};
use super::vnode::{VnodeId, Vtype};
use crate::host::fs::HostTime;
use crate::kernel::time::{Clock, SECOND_NS};

/// When every file that the run did not change was made: the first second of 1996.
const LONG_AGO: HostTime = HostTime { sec: 820_454_400, nsec: 0 };
/// Permissions of the standard streams.
const STREAM_MODE: u16 = 0o600;

/// What a change sets to the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The file is new: all times.
    Made,
    /// Its content: the times of modification and change.
    Content,
    /// Its attributes: the time of change.
    Attributes,
    /// Its times, by utimes.
    Times(HostTime, HostTime),
}

/// Times of access, modification and change.
type Stamps = [HostTime; 3];
/// A file of the host: device and inode.
type Key = (u64, u64);

/// What the run has done to files.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeat {
    now: HostTime,
    changed: HashMap<Key, Stamps>,
    extras: HashMap<Key, Extra>,
}

impl Repeat {
    /// The guest's time of day.
    pub(super) fn time(&self) -> HostTime {
        self.now
    }

    /// Replaces what depends on the host.
    pub(super) fn settle(&self, attr: &mut Vattr, key: Key, guest: (u32, u32)) {
        (attr.uid, attr.gid) = guest;
        // A clone of the tree keeps one bit of the permissions, whatever its user's umask is.
        let runs = attr.mode & 0o100 != 0 || matches!(attr.kind, Vtype::Dir | Vtype::Lnk);
        attr.mode = if runs { 0o755 } else { 0o644 };
        if attr.kind == Vtype::Dir {
            attr.size = 512;
            // Counted anew: hosts differ in what they count.
            attr.nlink = attr.nlink.min(1);
        }
        attr.bytes = attr.size.next_multiple_of(1024);
        [attr.atime, attr.mtime, attr.ctime] = self.changed.get(&key).copied().unwrap_or([LONG_AGO; 3]);
    }

    /// The same for a standard stream, which has a name somewhere or none at all.
    pub(super) fn settle_stream(&self, attr: &mut Vattr, key: Key, guest: (u32, u32)) {
        self.settle(attr, key, guest);
        (attr.mode, attr.nlink) = (STREAM_MODE, 1);
    }

    /// What the guest has set of a file.
    pub(super) fn extra(&self, key: Key) -> Extra {
        self.extras.get(&key).copied().unwrap_or_default()
    }

    /// Keeps what the guest has set of a file.
    pub(super) fn keep_extra(&mut self, key: Key, extra: Extra) {
        self.extras.insert(key, extra);
    }

    /// The file is gone: its number may come back for another one.
    pub(super) fn forget(&mut self, key: Key) {
        self.changed.remove(&key);
        self.extras.remove(&key);
    }
}

impl Vfs {
    /// Tells the time of the guest's clock.
    pub(super) fn set_time(&mut self, clock: &Clock) {
        if let Some(repeat) = &mut self.repeat {
            let now = clock.now();
            repeat.now = HostTime { sec: (now / SECOND_NS) as i64, nsec: (now % SECOND_NS) as i64 };
        }
    }

    /// Notes that the run changed a file.
    pub(super) fn changed(&mut self, id: VnodeId, change: Change) {
        let Some(repeat) = &mut self.repeat else { return };
        let Some(node) = self.vnodes[id].host() else { return };
        let now = repeat.now;
        let stamps = repeat.changed.entry((node.dev, node.ino)).or_insert([LONG_AGO; 3]);
        *stamps = match (change, *stamps) {
            (Change::Made, _) => [now; 3],
            (Change::Content, [atime, ..]) => [atime, now, now],
            (Change::Attributes, [atime, mtime, _]) => [atime, mtime, now],
            (Change::Times(atime, mtime), _) => [atime, mtime, now],
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::mount::{MountFlags, Source};
    use super::super::namei::{Nameidata, Op, Start};
    use super::super::node::Make;
    use super::super::{Options, Vfs};
    use super::*;
    use crate::kernel::cred::Ucred;

    fn repeatable(dir: &std::path::Path) -> Vfs {
        let mut vfs = Vfs::new(Options { repeatable: true, ..Options::default() });
        vfs.mount_root(&Source::Host(dir), MountFlags::empty()).unwrap();
        vfs
    }

    const ROOT: Ucred = Ucred { uid: 0, groups: Vec::new() };

    fn look(vfs: &mut Vfs, name: &[u8]) -> VnodeId {
        let start = Start { cwd: vfs.root_vnode(), root: vfs.root_vnode() };
        vfs.namei(&Nameidata::lookup(name), start, &ROOT).unwrap().vp.unwrap()
    }

    fn make(vfs: &mut Vfs, name: &[u8], mode: u16) -> VnodeId {
        let start = Start { cwd: vfs.root_vnode(), root: vfs.root_vnode() };
        let at = vfs.namei(&Nameidata::new(name, Op::Create), start, &ROOT).unwrap();
        vfs.make(&at, Make::File, mode, &ROOT).unwrap().unwrap()
    }

    #[test]
    fn permissions_are_the_clones_one_bit_until_the_guest_sets_them() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        for (name, mode) in [("text", 0o600), ("tool", 0o4711)] {
            let path = dir.path().join(name);
            std::fs::write(&path, "x").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let mut vfs = repeatable(dir.path());
        let (text, tool) = (look(&mut vfs, b"text"), look(&mut vfs, b"tool"));
        let mode = |vfs: &mut Vfs, id| vfs.getattr(id).unwrap().mode;
        assert_eq!((mode(&mut vfs, text), mode(&mut vfs, tool)), (0o644, 0o755));
        vfs.set_mode(text, 0o4111, &ROOT).unwrap();
        vfs.set_owner(text, 7, 8, &ROOT).unwrap();
        let attr = vfs.getattr(text).unwrap();
        assert_eq!((attr.mode, attr.uid, attr.gid), (0o4111, 7, 8));
        for mode in [0o600, 0o666, 0o644, 0o2755] {
            let new = make(&mut vfs, format!("new{mode}").as_bytes(), mode);
            assert_eq!(vfs.getattr(new).unwrap().mode, mode);
        }
    }

    #[test]
    fn a_number_of_a_removed_file_does_not_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut vfs = repeatable(dir.path());
        let mut numbers = Vec::new();
        for _ in 0..4 {
            let file = make(&mut vfs, b"file", 0o600);
            numbers.push(vfs.getattr(file).unwrap().fileid);
            let start = Start { cwd: vfs.root_vnode(), root: vfs.root_vnode() };
            let at = vfs.namei(&Nameidata::new(b"file", Op::Delete), start, &ROOT).unwrap();
            vfs.remove(&at).unwrap();
        }
        assert_eq!(numbers, [3, 4, 5, 6], "whether the host uses its inodes again or not");
    }

    #[test]
    fn only_what_the_run_changed_has_new_times() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("old"), vec![0; 3000]).unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        let mut vfs = Vfs::new(Options { repeatable: true, ..Options::default() });
        vfs.mount_root(&Source::Host(dir.path()), MountFlags::empty()).unwrap();
        let root = vfs.root_vnode();
        let mut clock = Clock::deterministic();
        clock.set(900_000_000 * SECOND_NS);
        vfs.set_time(&clock);
        let cred = Ucred { uid: 0, groups: vec![0] };
        let start = Start { cwd: root, root };
        let at = vfs.namei(&Nameidata::new(b"new", Op::Create), start, &cred).unwrap();
        let new = vfs.make(&at, Make::File, 0o644, &cred).unwrap().unwrap();
        let old = vfs.namei(&Nameidata::lookup(b"old"), start, &cred).unwrap().vp.unwrap();
        let (new, old) = (vfs.getattr(new).unwrap(), vfs.getattr(old).unwrap());
        assert_eq!((new.mtime.sec, old.mtime.sec), (900_000_000, LONG_AGO.sec));
        assert_eq!((old.bytes, old.fileid, new.fileid), (3072, 4, 3), "numbers follow the order of look-ups");
        let root = vfs.getattr(root).unwrap();
        assert_eq!((root.size, root.nlink, root.mtime.sec), (512, 3, 900_000_000));
    }
}
