//! Flag sets and enumerations that are argument words, each with its names.
//!
//! Must not know the calls that use them.
//!
//! 2.1 counterpart: sys/fcntl.h, sys/mman.h, sys/socket.h, sys/wait.h, sys/unistd.h, sys/stat.h, sys/mount.h,
//! sys/reboot.h, sys/ktrace.h, sys/signal.h, sys/ipc.h, vm/vm_mmap.c (the old flags).

mod enumeration;

pub use enumeration::*;

use crate::names::{FlagNames, FlagRow, flag_set};

flag_set! {
    /// How to open a file, in the guest's form: two bits of access mode and flags.
    OpenFlags, "O_", field 3 [0 "O_RDONLY", 1 "O_WRONLY", 2 "O_RDWR", 3 "O_ACCMODE"] {
        NONBLOCK = 0x4,
        APPEND = 0x8,
        SHLOCK = 0x10,
        EXLOCK = 0x20,
        ASYNC = 0x40,
        FSYNC = 0x80,
        CREAT = 0x200,
        TRUNC = 0x400,
        EXCL = 0x800,
    }
}

impl OpenFlags {
    /// The two bits of the access mode.
    pub const ACCMODE: u32 = 3;
    /// Read only.
    pub const RDONLY: u32 = 0;
    /// Write only.
    pub const WRONLY: u32 = 1;
    /// Read and write.
    pub const RDWR: u32 = 2;

    /// The kernel's form, in which reading and writing are bits of their own (FREAD 1, FWRITE 2).
    pub const fn kernel(self) -> u32 {
        self.bits().wrapping_add(1)
    }
}

flag_set! {
    /// Protection of memory.
    Prot, "PROT_", zero "PROT_NONE" {
        READ = 1,
        WRITE = 2,
        EXEC = 4,
    }
}

flag_set! {
    /// Kind of a memory mapping.
    MapFlags, "MAP_", zero "MAP_FILE" {
        SHARED = 0x1,
        PRIVATE = 0x2,
        COPY = 0x4,
        FIXED = 0x10,
        RENAME = 0x20,
        NORESERVE = 0x40,
        INHERIT = 0x80,
        NOEXTEND = 0x100,
        HASSEMAPHORE = 0x200,
        ANON = 0x1000,
    }
}

flag_set! {
    /// Protection as the old mmap takes it.
    OldProt, "PROT_", zero "PROT_NONE" {
        EXEC = 1,
        WRITE = 2,
        READ = 4,
    }
}

flag_set! {
    /// Kind of a memory mapping as the old mmap takes it.
    OldMapFlags, "OMAP_", zero "0" {
        ANON = 0x2,
        SHARED = 0x10,
        COPY = 0x20,
        FIXED = 0x100,
        INHERIT = 0x800,
    }
}

flag_set! {
    /// Flags of msync.
    MsyncFlags, "MS_", zero "0" {
        ASYNC = 1,
        INVALIDATE = 2,
    }
}

flag_set! {
    /// Flags of sending and receiving.
    MsgFlags, "MSG_", zero "0" {
        OOB = 0x1,
        PEEK = 0x2,
        DONTROUTE = 0x4,
        EOR = 0x8,
        TRUNC = 0x10,
        CTRUNC = 0x20,
        WAITALL = 0x40,
        DONTWAIT = 0x80,
        EOF = 0x100,
        COMPAT = 0x8000,
    }
}

flag_set! {
    /// Options of wait4.
    WaitOptions, "W", zero "0" {
        NOHANG = 1,
        UNTRACED = 2,
    }
}

/// What access asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccessMode(pub u32);

impl AccessMode {
    /// Execute or search.
    pub const X_OK: u32 = 1;
    /// Write.
    pub const W_OK: u32 = 2;
    /// Read.
    pub const R_OK: u32 = 4;
    /// The names of the bits.
    pub const NAMES: FlagNames = FlagNames {
        unknown: "?_OK",
        zero: Some("F_OK"),
        rows: &[FlagRow::bits(4, "R_OK"), FlagRow::bits(2, "W_OK"), FlagRow::bits(1, "X_OK")],
    };
}

flag_set! {
    /// Flags of flock.
    LockOp, "LOCK_", zero "0" {
        SH = 1,
        EX = 2,
        NB = 4,
        UN = 8,
    }
}

flag_set! {
    /// Flags of a file that chflags sets.
    FileFlags, "", zero "0" {
        UF_NODUMP = 0x1,
        UF_IMMUTABLE = 0x2,
        UF_APPEND = 0x4,
        SF_ARCHIVED = 0x1_0000,
        SF_IMMUTABLE = 0x2_0000,
        SF_APPEND = 0x4_0000,
    }
}

flag_set! {
    /// Flags of mount and of a mounted file system.
    MountFlags, "MNT_", zero "0" {
        RDONLY = 0x1,
        SYNCHRONOUS = 0x2,
        NOEXEC = 0x4,
        NOSUID = 0x8,
        NODEV = 0x10,
        UNION = 0x20,
        ASYNC = 0x40,
        EXRDONLY = 0x80,
        EXPORTED = 0x100,
        DEFEXPORTED = 0x200,
        EXPORTANON = 0x400,
        EXKERB = 0x800,
        LOCAL = 0x1000,
        QUOTA = 0x2000,
        ROOTFS = 0x4000,
        USER = 0x8000,
        UPDATE = 0x1_0000,
        DELEXPORT = 0x2_0000,
        RELOAD = 0x4_0000,
        FORCE = 0x8_0000,
    }
}

flag_set! {
    /// How to stop or start the machine.
    RebootFlags, "RB_", zero "RB_AUTOBOOT" {
        ASKNAME = 0x1,
        SINGLE = 0x2,
        NOSYNC = 0x4,
        HALT = 0x8,
        INITNAME = 0x10,
        DFLTROOT = 0x20,
        KDB = 0x40,
        RDONLY = 0x80,
        DUMP = 0x100,
        MINIROOT = 0x200,
        CONFIG = 0x400,
        VERBOSE = 0x800,
        SERIAL = 0x1000,
        CDROM = 0x2000,
        BOOTINFO = 0x8000_0000,
    }
}

flag_set! {
    /// What the guest's own ktrace records.
    KtrFacilities, "KTRFAC_", zero "0" {
        SYSCALL = 0x2,
        SYSRET = 0x4,
        NAMEI = 0x8,
        GENIO = 0x10,
        PSIG = 0x20,
        CSW = 0x40,
        ACTIVE = 0x2000_0000,
        INHERIT = 0x4000_0000,
        ROOT = 0x8000_0000,
    }
}

flag_set! {
    /// Operation of ktrace, with its flag.
    KtrOp, "KTRFLAG_", field 3 [0 "KTROP_SET", 1 "KTROP_CLEAR", 2 "KTROP_CLEARFILE"] {
        DESCEND = 4,
    }
}

flag_set! {
    /// Flags of a signal action.
    SaFlags, "SA_", zero "0" {
        ONSTACK = 0x1,
        RESTART = 0x2,
        DISABLE = 0x4,
        NOCLDSTOP = 0x8,
    }
}

flag_set! {
    /// Flags of the old signal vector; the second bit has the opposite sense of `SaFlags::RESTART`.
    SvFlags, "SV_", zero "0" {
        ONSTACK = 0x1,
        INTERRUPT = 0x2,
    }
}

flag_set! {
    /// Permission bits and flags of the System V calls that create.
    IpcFlags, "IPC_", zero "0" {
        CREAT = 0o1000,
        EXCL = 0o2000,
        NOWAIT = 0o4000,
    }
}

impl crate::arg::Arg for AccessMode {
    const KIND: crate::arg::Kind = crate::arg::Kind::Flags(&Self::NAMES);
    fn from_words(words: &[u32]) -> Self {
        Self(crate::arg::word(words, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_flags_print_their_access_mode_first() {
        let f = OpenFlags::from_bits_retain(0x601);
        assert_eq!(f.to_string(), "O_WRONLY|O_CREAT|O_TRUNC");
        assert_eq!(OpenFlags::from_bits_retain(0).to_string(), "O_RDONLY");
        assert_eq!(OpenFlags::from_bits_retain(0x1002).to_string(), "O_RDWR|0x1000 /* O_??? */");
        assert_eq!(f.kernel() & 3, 2);
    }

    #[test]
    fn unknown_values_stay_raw() {
        assert_eq!(Domain::from_raw(99).to_string(), "0x63 /* PF_??? */");
        assert_eq!(Domain::from_raw(99).raw(), 99);
        assert_eq!(Prot::empty().to_string(), "PROT_NONE");
        assert_eq!(Prot::from_bits_retain(0x18).to_string(), "0x18 /* PROT_??? */");
    }
}
