//! What files are like in a run that must come out the same on every host.
//!
//! A file that the run did not change shows fixed times, the guest's own user as its owner, and room that
//! follows from its size; one that it did change shows the times of the guest's clock.
//!
//! Must not know the host's clock.  2.1 counterpart: none.

use std::collections::HashMap;

use super::Vfs;
use super::attr::Vattr;
use super::vnode::{VnodeId, Vtype};
use crate::host::fs::HostTime;
use crate::kernel::time::{Clock, SECOND_NS};

/// When every file that the run did not change was made: the first second of 1996.
const LONG_AGO: HostTime = HostTime { sec: 820_454_400, nsec: 0 };

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

/// Times of the files that the run has changed, by device and inode of the host.
#[derive(Debug, Default)]
pub(super) struct Times {
    now: HostTime,
    changed: HashMap<(u64, u64), Stamps>,
}

impl Times {
    /// Replaces what depends on the host.
    pub(super) fn settle(&self, attr: &mut Vattr, key: (u64, u64), guest: (u32, u32)) {
        (attr.uid, attr.gid) = guest;
        if attr.kind == Vtype::Dir {
            attr.size = 512;
            // Counted anew: hosts differ in what they count.
            attr.nlink = attr.nlink.min(1);
        }
        attr.bytes = attr.size.next_multiple_of(1024);
        [attr.atime, attr.mtime, attr.ctime] = self.changed.get(&key).copied().unwrap_or([LONG_AGO; 3]);
    }
}

impl Vfs {
    /// Tells the time of the guest's clock.
    pub(super) fn set_time(&mut self, clock: &Clock) {
        if let Some(times) = &mut self.repeat {
            let now = clock.now();
            times.now = HostTime { sec: (now / SECOND_NS) as i64, nsec: (now % SECOND_NS) as i64 };
        }
    }

    /// Notes that the run changed a file.
    pub(super) fn changed(&mut self, id: VnodeId, change: Change) {
        let Some(times) = &mut self.repeat else { return };
        let Some(node) = self.vnodes[id].host() else { return };
        let now = times.now;
        let stamps = times.changed.entry((node.dev, node.ino)).or_insert([LONG_AGO; 3]);
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
        let new = vfs.make(&at, Make::File, 0o644, &cred).unwrap();
        let old = vfs.namei(&Nameidata::lookup(b"old"), start, &cred).unwrap().vp.unwrap();
        let (new, old) = (vfs.getattr(new).unwrap(), vfs.getattr(old).unwrap());
        assert_eq!((new.mtime.sec, old.mtime.sec), (900_000_000, LONG_AGO.sec));
        assert_eq!((old.bytes, old.fileid, new.fileid), (3072, 4, 3), "numbers follow the order of look-ups");
        let root = vfs.getattr(root).unwrap();
        assert_eq!((root.size, root.nlink, root.mtime.sec), (512, 3, 900_000_000));
    }
}
