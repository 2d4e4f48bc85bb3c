//! Files, file systems, directories, record locks.
//!
//! 2.1 counterpart: sys/stat.h, sys/mount.h, sys/dirent.h, sys/fcntl.h, sys/uio.h.

use super::{I16, I32, I64, Show, Timespec, U16, U32, layout};
use crate::flags::{FileFlags, LockType, MountFlags, MountType, Whence};

layout! {
    /// What stat reports.
    Stat "stat" 96 {
        0 dev "st_dev": U32 => Show::Dev,
        4 ino "st_ino": U32,
        8 mode "st_mode": U16 => Show::Mode,
        10 nlink "st_nlink": U16,
        12 uid "st_uid": U32,
        16 gid "st_gid": U32,
        20 rdev "st_rdev": U32 => Show::Dev,
        24 atime "st_atime": Timespec,
        32 mtime "st_mtime": Timespec,
        40 ctime "st_ctime": Timespec,
        48 size "st_size": I64,
        56 blocks "st_blocks": I64,
        64 blksize "st_blksize": U32,
        68 flags "st_flags": U32 => Show::Flags(&FileFlags::NAMES),
        72 gener "st_gen": U32,
        76 lspare "st_lspare": I32 => Show::Pad,
        80 qspare "st_qspare": [I64; 2] => Show::Pad,
    }

    /// What the old stat reports.
    Ostat "ostat" 64 {
        0 dev "st_dev": U16 => Show::Dev,
        2 pad1 "": [u8; 2] => Show::Pad,
        4 ino "st_ino": U32,
        8 mode "st_mode": U16 => Show::Mode,
        10 nlink "st_nlink": U16,
        12 uid "st_uid": U16,
        14 gid "st_gid": U16,
        16 rdev "st_rdev": U16 => Show::Dev,
        18 pad2 "": [u8; 2] => Show::Pad,
        20 size "st_size": I32,
        24 atime "st_atime": Timespec,
        32 mtime "st_mtime": Timespec,
        40 ctime "st_ctime": Timespec,
        48 blksize "st_blksize": I32,
        52 blocks "st_blocks": I32,
        56 flags "st_flags": U32 => Show::Flags(&FileFlags::NAMES),
        60 gener "st_gen": U32,
    }

    /// Statistics of a file system.
    Statfs "statfs" 256 {
        0 kind "f_type": I16 => Show::Named(&MountType::NAMES),
        2 flags "f_flags": I16 => Show::Flags(&MountFlags::NAMES),
        4 bsize "f_bsize": I32,
        8 iosize "f_iosize": I32,
        12 blocks "f_blocks": I32,
        16 bfree "f_bfree": I32,
        20 bavail "f_bavail": I32,
        24 files "f_files": I32,
        28 ffree "f_ffree": I32,
        32 fsid "f_fsid": [I32; 2],
        40 spare "f_spare": [I32; 9] => Show::Pad,
        76 mntonname "f_mntonname": [u8; 90] => Show::Chars,
        166 mntfromname "f_mntfromname": [u8; 90] => Show::Chars,
    }

    /// A kind of file system that the kernel knows.
    Vfsconf "vfsconf" 48 {
        0 vfsops "vfc_vfsops": U32 => Show::Addr,
        4 name "vfc_name": [u8; 32] => Show::Chars,
        36 index "vfc_index": I32,
        40 refcount "vfc_refcount": I32,
        44 flags "vfc_flags": I32 => Show::Hex,
    }

    /// A record lock.
    Flock "flock" 24 {
        0 start "l_start": I64,
        8 len "l_len": I64,
        16 pid "l_pid": I32 => Show::Pid,
        20 kind "l_type": I16 => Show::Named(&LockType::NAMES),
        22 whence "l_whence": I16 => Show::Named(&Whence::NAMES),
    }

    /// The head of a directory entry; the name and a NUL follow, padded to four bytes.
    DirentHeader "dirent" 8 {
        0 fileno "d_fileno": U32,
        4 reclen "d_reclen": U16,
        6 kind "d_type": u8,
        7 namlen "d_namlen": u8,
    }

    /// A part of a scattered buffer.
    Iovec "iovec" 8 {
        0 base "iov_base": U32 => Show::Addr,
        4 len "iov_len": U32,
    }

    /// A file handle.
    Fhandle "fhandle" 28 {
        0 fsid "fh_fsid": [I32; 2],
        8 len "fid_len": U16,
        10 reserved "fid_reserved": U16 => Show::Pad,
        12 data "fid_data": [u8; 16] => Show::Bytes,
    }
}

/// Bits of a file's mode.
pub mod mode {
    #![allow(missing_docs)] // the original's own names
    pub const S_IFMT: u16 = 0o170000;
    pub const S_IFIFO: u16 = 0o010000;
    pub const S_IFCHR: u16 = 0o020000;
    pub const S_IFDIR: u16 = 0o040000;
    pub const S_IFBLK: u16 = 0o060000;
    pub const S_IFREG: u16 = 0o100000;
    pub const S_IFLNK: u16 = 0o120000;
    pub const S_IFSOCK: u16 = 0o140000;
    pub const S_ISUID: u16 = 0o4000;
    pub const S_ISGID: u16 = 0o2000;
    pub const S_ISTXT: u16 = 0o1000;
    pub const ALLPERMS: u16 = 0o7777;
    pub const ACCESSPERMS: u16 = 0o777;
}
