//! Device and inode numbers: what makes the guest take two names for one file.
//!
//! A file system of the host is one device of the guest, whatever mounts show parts of it, and a file has one
//! number on it: a program that compares the two finds out that two paths lead to one file, and never takes two
//! files for one.  In a run that must be repeatable each mount is a device of its own and the numbers follow the
//! order of look-ups, because what lies on which file system of the host must not show.
//!
//! Must not know vnodes.  2.1 counterpart: i_dev and i_number of ufs/ufs/inode.h.

use std::collections::HashMap;

use super::attr::ROOTINO;

/// A device of the guest: its place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit(usize);

/// Major 4 is the disk (sd) of 2.1; each device is a unit of its own.
const MAJOR: u32 = 4 << 8;
/// First number of built-in inodes; host inodes are mapped below 2^31 or upwards from it.
const FIRST_BUILT_IN: u32 = 0xf000_0000;

/// All devices.
#[derive(Clone, Debug, Default)]
pub(super) struct Identities {
    dense: bool,
    units: Vec<Device>,
    by_host: HashMap<u64, Unit>,
    /// Devices without a mount of their own.
    foreign: u32,
}

#[derive(Clone, Debug)]
struct Device {
    number: u32,
    host: Option<u64>,
    inodes: Inodes,
    /// Number of the next built-in inode.
    next_built_in: u32,
}

impl Identities {
    /// No devices yet; `dense` for a run that must be repeatable.
    pub(super) fn new(dense: bool) -> Identities {
        Identities { dense, ..Identities::default() }
    }

    /// The device of mount number `mount`, whose root is `root`, as the host's device and inode; none for
    /// directories of the kernel's own.
    pub(super) fn mount(&mut self, mount: usize, root: Option<(u64, u64)>) -> Unit {
        if let Some((dev, _)) = root
            && !self.dense
            && let Some(&known) = self.by_host.get(&dev)
        {
            return known;
        }
        self.add(MAJOR | mount as u32, root)
    }

    fn add(&mut self, number: u32, root: Option<(u64, u64)>) -> Unit {
        let unit = Unit(self.units.len());
        let next_built_in = if root.is_some() { FIRST_BUILT_IN } else { ROOTINO + 1 };
        let host = root.map(|(dev, _)| dev).filter(|_| !self.dense);
        let inodes = Inodes { root, dense: self.dense, ..Inodes::default() };
        self.units.push(Device { number, host, inodes, next_built_in });
        if let Some(dev) = host {
            self.by_host.insert(dev, unit);
        }
        unit
    }

    /// The number of a device.
    pub(super) fn device(&self, unit: Unit) -> u32 {
        self.units.get(unit.0).map_or(0, |device| device.number)
    }

    /// Device and inode number of a host file that a mount on `unit` shows.
    pub(super) fn of_host(&mut self, unit: Unit, dev: u64, ino: u64) -> (u32, u32) {
        let unit = if self.dense || self.units.get(unit.0).is_some_and(|device| device.host == Some(dev)) {
            unit
        } else {
            self.by_host.get(&dev).copied().unwrap_or_else(|| self.add_foreign(dev))
        };
        match self.units.get_mut(unit.0) {
            Some(device) => (device.number, device.inodes.number(dev, ino)),
            None => (0, 0),
        }
    }

    /// A file system of the host that lies inside a mount.
    fn add_foreign(&mut self, dev: u64) -> Unit {
        let n = self.foreign;
        self.foreign = n.wrapping_add(1);
        // No file there is the root of a mount.
        self.add(MAJOR | 0x80 | n & 0x7f | (n >> 7) << 16, Some((dev, u64::MAX)))
    }

    /// A number for a directory or device of the kernel's own.
    pub(super) fn built_in(&mut self, unit: Unit) -> u32 {
        let Some(device) = self.units.get_mut(unit.0) else { return 0 };
        let number = device.next_built_in;
        device.next_built_in = number.wrapping_add(1);
        number
    }

    /// The file with this host inode is gone.
    pub(super) fn forget(&mut self, unit: Unit, key: (u64, u64)) {
        if self.dense
            && let Some(device) = self.units.get_mut(unit.0)
        {
            device.inodes.numbers.remove(&key);
        }
    }
}

/// The inode numbers of one device: the host's 64 bits, one to one in the guest's 32.
///
/// Numbers that fit are kept; the rest gets numbers from 2^31 up in the order in which they are seen.  With
/// `dense`, for runs that must be repeatable, all are numbered from 3, and a number of the host that comes back
/// after a file was removed is a new one.
#[derive(Clone, Debug, Default)]
struct Inodes {
    root: Option<(u64, u64)>,
    dense: bool,
    numbers: HashMap<(u64, u64), u32>,
    /// Numbers that were given so far.
    given: u32,
}

impl Inodes {
    /// The guest's number of a host inode.
    fn number(&mut self, dev: u64, ino: u64) -> u32 {
        if Some((dev, ino)) == self.root {
            return ROOTINO;
        }
        if !self.dense && (3..1 << 31).contains(&ino) {
            return ino as u32;
        }
        let first = if self.dense { ROOTINO + 1 } else { 1 << 31 };
        let given = &mut self.given;
        *self.numbers.entry((dev, ino)).or_insert_with(|| {
            let next = first.wrapping_add(*given);
            *given = given.wrapping_add(1);
            next
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_one_to_one_on_every_device() {
        let mut all = Identities::new(false);
        let unit = all.mount(0, Some((1, 7)));
        assert_eq!(all.of_host(unit, 1, 7), (MAJOR, ROOTINO));
        assert_eq!(all.of_host(unit, 1, 100), (MAJOR, 100));
        let files = [(1, 2), (2, 100), (1, 1 << 40), (2, 7), (1, 1 << 31), (2, 1), (1, 3), (2, 3)];
        let mut seen: Vec<_> = files.iter().map(|&(d, i)| all.of_host(unit, d, i)).collect();
        assert_eq!(all.of_host(unit, 2, 100), seen[1], "the same file keeps its number");
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), files.len());
    }

    #[test]
    fn two_mounts_of_one_file_system_are_one_device() {
        let mut all = Identities::new(false);
        let (one, other) = (all.mount(0, Some((1, 7))), all.mount(1, Some((1, 8))));
        let apart = all.mount(2, Some((2, 7)));
        assert_eq!(all.of_host(one, 1, 9), all.of_host(other, 1, 9));
        assert_eq!(all.of_host(other, 1, 8), (MAJOR, 8), "only the first mount's root is number 2");
        assert_eq!(all.of_host(one, 2, 9), all.of_host(apart, 2, 9));
        assert_ne!(all.device(one), all.device(apart));
        assert_ne!(all.built_in(one), all.built_in(other));
    }

    #[test]
    fn a_repeatable_run_does_not_show_what_lies_on_one_file_system() {
        let mut all = Identities::new(true);
        let (one, other) = (all.mount(0, Some((1, 7))), all.mount(1, Some((1, 8))));
        assert_eq!(all.of_host(one, 1, 100), (MAJOR, 3));
        assert_eq!(all.of_host(other, 1, 8), (MAJOR | 1, ROOTINO));
        all.forget(one, (1, 100));
        assert_eq!(all.of_host(one, 1, 100), (MAJOR, 4), "a number that comes back is a new file");
    }
}
