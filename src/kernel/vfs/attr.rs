//! What the guest is told about a file, and the part of it that the host cannot keep.
//!
//! Owners, modes, flags and device nodes that the host refuses to an ordinary user, or that must not
//! exist outside (set-id bits), are written into one extended attribute of the file, as text:
//! `uid=5 gid=0 mode=4755 flags=2 dev=c:514`.  All of it belongs to the guest's world.
//!
//! Must not know path names or processes.  2.1 counterpart: `struct vattr` in sys/vnode.h, ufs_getattr.

use std::fmt::Write as _;

pub use syscalls::layout::mode::{ALLPERMS, S_ISGID, S_ISTXT, S_ISUID};
use syscalls::layout::{Stat, Timespec};

use super::vnode::Vtype;
use crate::host::fs::HostTime;

/// The name of the extended attribute.
pub const ATTRIBUTE: &str = "user.bsd21.attr";

/// Inode number of the root of a mount (ROOTINO).
pub const ROOTINO: u32 = 2;

/// Immutable flags, of the owner and of the super-user.
pub const IMMUTABLE: u32 = 0x0002_0002;
/// The one of the super-user (SF_IMMUTABLE).
pub const SF_IMMUTABLE: u32 = 0x0002_0000;
/// Append-only flags, of the owner and of the super-user.
pub const APPEND: u32 = 0x0004_0004;
/// The flags that the super-user alone may set.
pub const SF_SETTABLE: u32 = 0xffff_0000;
/// The flags that owners may set.
pub const UF_SETTABLE: u32 = 0x0000_ffff;

/// The attributes of a file as the guest sees them (`struct vattr`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vattr {
    /// The type.
    pub kind: Vtype,
    /// Permission bits without the type.
    pub mode: u16,
    /// Links.
    pub nlink: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of the mount.
    pub fsid: u32,
    /// Inode number.
    pub fileid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Preferred size of transfers.
    pub blocksize: u32,
    /// Last access.
    pub atime: HostTime,
    /// Last modification.
    pub mtime: HostTime,
    /// Last change of the inode.
    pub ctime: HostTime,
    /// Flags (chflags).
    pub flags: u32,
    /// Device number, of devices.
    pub rdev: u32,
    /// Bytes that it takes on the disk.
    pub bytes: u64,
}

/// What an extended attribute adds to the host's word about a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// Owner, where the host's is not right.
    pub uid: Option<u32>,
    /// Group, where the host's is not right.
    pub gid: Option<u32>,
    /// All permission bits, where the host's are not right.
    pub mode: Option<u16>,
    /// Flags.
    pub flags: u32,
    /// The file is a device node: block or character, and its number.
    pub device: Option<(Vtype, u32)>,
}

impl Extra {
    /// Reads the text of the attribute; what cannot be understood is left out.
    pub fn parse(text: &[u8]) -> Extra {
        let mut extra = Extra::default();
        for word in String::from_utf8_lossy(text).split_ascii_whitespace() {
            let Some((key, value)) = word.split_once('=') else { continue };
            match key {
                "uid" => extra.uid = value.parse().ok(),
                "gid" => extra.gid = value.parse().ok(),
                "mode" => extra.mode = u16::from_str_radix(value, 8).ok().map(|mode| mode & ALLPERMS),
                "flags" => extra.flags = u32::from_str_radix(value, 16).unwrap_or(0),
                "dev" => extra.device = parse_device(value),
                _ => {}
            }
        }
        extra
    }

    /// The text of the attribute; `None` if there is nothing to keep.
    pub fn text(&self) -> Option<String> {
        let mut text = String::new();
        let mut add = |word: std::fmt::Arguments<'_>| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{}{word}", if text.is_empty() { "" } else { " " });
        };
        if let Some(uid) = self.uid {
            add(format_args!("uid={uid}"));
        }
        if let Some(gid) = self.gid {
            add(format_args!("gid={gid}"));
        }
        if let Some(mode) = self.mode {
            add(format_args!("mode={mode:o}"));
        }
        if self.flags != 0 {
            add(format_args!("flags={:x}", self.flags));
        }
        if let Some((kind, rdev)) = self.device {
            add(format_args!("dev={}:{rdev}", if kind == Vtype::Blk { 'b' } else { 'c' }));
        }
        if text.is_empty() { None } else { Some(text) }
    }
}

fn parse_device(value: &str) -> Option<(Vtype, u32)> {
    let (kind, rdev) = value.split_once(':')?;
    let kind = match kind {
        "b" => Vtype::Blk,
        "c" => Vtype::Chr,
        _ => return None,
    };
    Some((kind, rdev.parse().ok()?))
}

/// Whose files are whose: the host user's files are the guest user's, and the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owners {
    /// User and group of this process on the host.
    pub host: (u32, u32),
    /// User and group that the guest started with.
    pub guest: (u32, u32),
}

impl Owners {
    /// The owner that the guest sees.
    pub fn guest_uid(&self, host: u32) -> u32 {
        if host == self.host.0 { self.guest.0 } else { host }
    }

    /// The group that the guest sees.
    pub fn guest_gid(&self, host: u32) -> u32 {
        if host == self.host.1 { self.guest.1 } else { host }
    }

    /// The host's owner of a guest's owner, if there is exactly one.
    pub fn host_uid(&self, guest: u32) -> Option<u32> {
        exact(guest, self.guest.0, self.host.0)
    }

    /// The host's group of a guest's group, if there is exactly one.
    pub fn host_gid(&self, guest: u32) -> Option<u32> {
        exact(guest, self.guest.1, self.host.1)
    }
}

/// A number that is ours maps to the host's; one that the host would show as ours maps to nothing.
fn exact(guest: u32, own_guest: u32, own_host: u32) -> Option<u32> {
    if guest == own_guest {
        Some(own_host)
    } else if guest == own_host {
        None
    } else {
        Some(guest)
    }
}

/// A time of the host in the guest's 32 bits; one before 1901 or after 2038 is the first or the last that there
/// is, so that what is newer stays newer.
fn time(t: HostTime) -> Timespec {
    let (sec, nsec) = match i32::try_from(t.sec) {
        Ok(sec) => (sec, t.nsec as i32),
        Err(_) if t.sec < 0 => (i32::MIN, 0),
        Err(_) => (i32::MAX, 999_999_999),
    };
    Timespec { sec: sec.into(), nsec: nsec.into() }
}

/// Attributes as stat gives them out.
pub(super) fn stat(attr: &Vattr) -> Stat {
    Stat {
        dev: attr.fsid.into(),
        ino: attr.fileid.into(),
        mode: (attr.mode | attr.kind.mode_bits()).into(),
        nlink: attr.nlink.into(),
        uid: attr.uid.into(),
        gid: attr.gid.into(),
        rdev: attr.rdev.into(),
        atime: time(attr.atime),
        mtime: time(attr.mtime),
        ctime: time(attr.ctime),
        size: attr.size.cast_signed().into(),
        blocks: (attr.bytes / 512).cast_signed().into(),
        blksize: attr.blocksize.into(),
        flags: attr.flags.into(),
        ..Stat::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_attributes_survive_the_round_trip() {
        let extra = Extra {
            uid: Some(5),
            gid: Some(0),
            mode: Some(0o4755),
            flags: 0x20002,
            device: Some((Vtype::Chr, 514)),
        };
        assert_eq!(Extra::parse(extra.text().unwrap().as_bytes()), extra);
        assert_eq!(Extra::default().text(), None);
    }

    #[test]
    fn a_damaged_attribute_is_ignored_piece_by_piece() {
        let extra = Extra::parse(b"uid=x gid=7 mode=99999 nonsense dev=z:1 \xff");
        assert_eq!(extra, Extra { gid: Some(7), ..Extra::default() });
    }

    #[test]
    fn files_of_the_host_user_are_the_guests() {
        let owners = Owners { host: (1000, 100), guest: (0, 0) };
        assert_eq!(owners.guest_uid(1000), 0);
        assert_eq!(owners.guest_uid(1001), 1001);
        assert_eq!(owners.host_uid(0), Some(1000));
        assert_eq!(owners.host_uid(1000), None, "the host would show it as the guest's");
    }
}
