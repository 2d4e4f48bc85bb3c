//! File systems of the host that are no files: views of the kernel, of processes, of devices.
//!
//! Through /proc a program rewrites the memory of others, through /sys it drives the machine; a directory tree
//! that holds such a mount does not mean to lend it.  They are told by their type, wherever they are mounted.
//!
//! Must not know who may enter them.

use std::os::fd::AsFd;

use rustix::fs;

use super::error::HostResult;
use super::fs::Place;

/// Types of file systems (`f_type` of statfs) with their names, from linux/magic.h and the sources of those
/// that are not in it.
const SPECIAL: [(u64, &str); 34] = [
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0xf97c_ff8c, "selinuxfs"),
    (0x4341_5d53, "smackfs"),
    (0x5a3c_69f0, "apparmorfs"),
    (0xcafe_4a11, "bpf"),
    (0x6265_6570, "configfs"),
    (0x6165_676c, "pstore"),
    (0xde5e_81e4, "efivarfs"),
    (0x9584_58f6, "hugetlbfs"),
    (0x1980_0202, "mqueue"),
    (0x1cd1, "devpts"),
    (0x1373, "devfs"),
    (0x4249_4e4d, "binfmt_misc"),
    (0x0187, "autofs"),
    (0x0765_5821, "resctrl"),
    (0x6573_5543, "fusectl"),
    (0x6e73_6673, "nsfs"),
    (0x534f_434b, "sockfs"),
    (0x5049_5045, "pipefs"),
    (0x0904_1934, "anon_inode"),
    (0x5049_4446, "pidfs"),
    (0x6759_6969, "rpc_pipefs"),
    (0x6e66_7364, "nfsd"),
    (0x9fa2, "usbdevfs"),
    (0xabba_1974, "xenfs"),
    (0x6c6f_6f70, "binder"),
    (0x9fa1, "openprom"),
    (0x0a64_7361, "functionfs"),
];

impl Place {
    /// The name of the special file system that this is in, if it is in one.
    pub fn special(&self) -> HostResult<Option<&'static str>> {
        special(self.fd())
    }
}

/// The name of the special file system that an open file is in, if it is in one.
pub(super) fn special(fd: impl AsFd) -> HostResult<Option<&'static str>> {
    // The type is as wide as the host's word, and some of its values have the highest bit of 32.
    let kind = fs::fstatfs(fd)?.f_type as u64 & 0xffff_ffff;
    Ok(SPECIAL.iter().find(|(magic, _)| *magic == kind).map(|(_, name)| *name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn each_type_is_listed_once() {
        for (at, (magic, name)) in SPECIAL.iter().enumerate() {
            assert!(SPECIAL[at + 1..].iter().all(|(m, n)| m != magic && n != name), "{name}");
        }
    }

    #[test]
    fn proc_is_told_from_a_directory_of_files() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Place::top(dir.path()).unwrap().special().unwrap(), None);
        match Place::top(Path::new("/proc/self/fd")) {
            Ok(place) => assert_eq!(place.special().unwrap(), Some("proc")),
            Err(_) => eprintln!("skipped: no /proc here"),
        }
    }
}
