//! Flag sets and enumerations that are argument words, each with its names.
//!
//! Must not know the calls that use them.
//!
//! 2.1 counterpart: sys/fcntl.h, sys/stat.h, sys/mman.h, sys/socket.h, sys/wait.h, sys/mount.h, sys/unistd.h,
//! sys/time.h, sys/resource.h, sys/ptrace.h, sys/rtprio.h, sys/reboot.h, sys/ktrace.h, sys/ipc.h,
//! i386/include/sysarch.h, kern/kern_sysctl.c (getkerninfo).

use crate::names::{FlagNames, FlagRow, flag_set, named};

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

named! {
    /// A protocol family.
    Domain, "PF_???" {
        Unspec = 0 "AF_UNSPEC",
        Unix = 1 "AF_UNIX",
        Inet = 2 "AF_INET",
        Implink = 3 "AF_IMPLINK",
        Pup = 4 "AF_PUP",
        Chaos = 5 "AF_CHAOS",
        Ns = 6 "AF_NS",
        Iso = 7 "AF_ISO",
        Ecma = 8 "AF_ECMA",
        Datakit = 9 "AF_DATAKIT",
        Ccitt = 10 "AF_CCITT",
        Sna = 11 "AF_SNA",
        Decnet = 12 "AF_DECnet",
        Dli = 13 "AF_DLI",
        Lat = 14 "AF_LAT",
        Hylink = 15 "AF_HYLINK",
        Appletalk = 16 "AF_APPLETALK",
        Route = 17 "AF_ROUTE",
        Link = 18 "AF_LINK",
        Xtp = 19 "pseudo_AF_XTP",
        Coip = 20 "AF_COIP",
        Cnt = 21 "AF_CNT",
        Rtip = 22 "pseudo_AF_RTIP",
        Ipx = 23 "AF_IPX",
        Sip = 24 "AF_SIP",
        Pip = 25 "pseudo_AF_PIP",
        Isdn = 26 "AF_ISDN",
    }
}

named! {
    /// A type of socket.
    SockType, "SOCK_???" {
        Stream = 1 "SOCK_STREAM",
        Dgram = 2 "SOCK_DGRAM",
        Raw = 3 "SOCK_RAW",
        Rdm = 4 "SOCK_RDM",
        Seqpacket = 5 "SOCK_SEQPACKET",
    }
}

named! {
    /// Which half of a connection shutdown ends; 2.1 adds one and takes any value.
    ShutdownHow, "SHUT_???" {
        Read = 0 "0 /* receive */",
        Write = 1 "1 /* send */",
        Both = 2 "2 /* send and receive */",
    }
}

named! {
    /// Whose option a socket option is.
    SockLevel, "SOL_???" {
        Ip = 0 "IPPROTO_IP",
        Icmp = 1 "IPPROTO_ICMP",
        Igmp = 2 "IPPROTO_IGMP",
        Tcp = 6 "IPPROTO_TCP",
        Udp = 17 "IPPROTO_UDP",
        Raw = 255 "IPPROTO_RAW",
        Socket = 0xffff "SOL_SOCKET",
    }
}

named! {
    /// An option of the socket level.
    SockOpt, "SO_???" {
        Debug = 0x1 "SO_DEBUG",
        Acceptconn = 0x2 "SO_ACCEPTCONN",
        Reuseaddr = 0x4 "SO_REUSEADDR",
        Keepalive = 0x8 "SO_KEEPALIVE",
        Dontroute = 0x10 "SO_DONTROUTE",
        Broadcast = 0x20 "SO_BROADCAST",
        Useloopback = 0x40 "SO_USELOOPBACK",
        Linger = 0x80 "SO_LINGER",
        Oobinline = 0x100 "SO_OOBINLINE",
        Reuseport = 0x200 "SO_REUSEPORT",
        Sndbuf = 0x1001 "SO_SNDBUF",
        Rcvbuf = 0x1002 "SO_RCVBUF",
        Sndlowat = 0x1003 "SO_SNDLOWAT",
        Rcvlowat = 0x1004 "SO_RCVLOWAT",
        Sndtimeo = 0x1005 "SO_SNDTIMEO",
        Rcvtimeo = 0x1006 "SO_RCVTIMEO",
        Error = 0x1007 "SO_ERROR",
        Type = 0x1008 "SO_TYPE",
    }
}

named! {
    /// An option of the internet protocol level.
    IpOpt, "IP_???" {
        Options = 1 "IP_OPTIONS",
        Hdrincl = 2 "IP_HDRINCL",
        Tos = 3 "IP_TOS",
        Ttl = 4 "IP_TTL",
        Recvopts = 5 "IP_RECVOPTS",
        Recvretopts = 6 "IP_RECVRETOPTS",
        Recvdstaddr = 7 "IP_RECVDSTADDR",
        Retopts = 8 "IP_RETOPTS",
        MulticastIf = 9 "IP_MULTICAST_IF",
        MulticastTtl = 10 "IP_MULTICAST_TTL",
        MulticastLoop = 11 "IP_MULTICAST_LOOP",
        AddMembership = 12 "IP_ADD_MEMBERSHIP",
        DropMembership = 13 "IP_DROP_MEMBERSHIP",
    }
}

named! {
    /// An option of the transmission control protocol level.
    TcpOpt, "TCP_???" {
        Nodelay = 1 "TCP_NODELAY",
        Maxseg = 2 "TCP_MAXSEG",
        Nopush = 4 "TCP_NOPUSH",
        Noopt = 8 "TCP_NOOPT",
    }
}

named! {
    /// Type of a control message of the socket level.
    ScmType, "SCM_???" {
        Rights = 1 "SCM_RIGHTS",
    }
}

named! {
    /// Command of fcntl.
    FcntlCmd, "F_???" {
        Dupfd = 0 "F_DUPFD",
        Getfd = 1 "F_GETFD",
        Setfd = 2 "F_SETFD",
        Getfl = 3 "F_GETFL",
        Setfl = 4 "F_SETFL",
        Getown = 5 "F_GETOWN",
        Setown = 6 "F_SETOWN",
        Getlk = 7 "F_GETLK",
        Setlk = 8 "F_SETLK",
        Setlkw = 9 "F_SETLKW",
    }
}

named! {
    /// Type of a record lock.
    LockType, "F_???" {
        Rdlck = 1 "F_RDLCK",
        Unlck = 2 "F_UNLCK",
        Wrlck = 3 "F_WRLCK",
    }
}

named! {
    /// What a file offset is relative to.
    Whence, "SEEK_???" {
        Set = 0 "SEEK_SET",
        Cur = 1 "SEEK_CUR",
        End = 2 "SEEK_END",
    }
}

named! {
    /// A limit of a process.
    RlimitWhich, "RLIMIT_???" {
        Cpu = 0 "RLIMIT_CPU",
        Fsize = 1 "RLIMIT_FSIZE",
        Data = 2 "RLIMIT_DATA",
        Stack = 3 "RLIMIT_STACK",
        Core = 4 "RLIMIT_CORE",
        Rss = 5 "RLIMIT_RSS",
        Memlock = 6 "RLIMIT_MEMLOCK",
        Nproc = 7 "RLIMIT_NPROC",
        Nofile = 8 "RLIMIT_NOFILE",
    }
}

named! {
    /// Whose use of resources getrusage reports.
    RusageWho, "RUSAGE_???" {
        This = 0 "RUSAGE_SELF",
        Children = 0xffff_ffff "RUSAGE_CHILDREN",
    }
}

named! {
    /// An interval timer.
    ItimerWhich, "ITIMER_???" {
        Real = 0 "ITIMER_REAL",
        Virtual = 1 "ITIMER_VIRTUAL",
        Prof = 2 "ITIMER_PROF",
    }
}

named! {
    /// Whose priority is meant.
    PrioWhich, "PRIO_???" {
        Process = 0 "PRIO_PROCESS",
        Pgrp = 1 "PRIO_PGRP",
        User = 2 "PRIO_USER",
    }
}

named! {
    /// Function of rtprio.
    RtprioFunction, "RTP_???" {
        Lookup = 0 "RTP_LOOKUP",
        Set = 1 "RTP_SET",
    }
}

named! {
    /// Class of a real-time priority.
    RtprioType, "RTP_PRIO_???" {
        Realtime = 0 "RTP_PRIO_REALTIME",
        Normal = 1 "RTP_PRIO_NORMAL",
        Idle = 2 "RTP_PRIO_IDLE",
    }
}

named! {
    /// How sigprocmask changes the mask.
    SigHow, "SIG_???" {
        Block = 1 "SIG_BLOCK",
        Unblock = 2 "SIG_UNBLOCK",
        Setmask = 3 "SIG_SETMASK",
    }
}

named! {
    /// Request of ptrace.
    PtraceReq, "PT_???" {
        TraceMe = 0 "PT_TRACE_ME",
        ReadI = 1 "PT_READ_I",
        ReadD = 2 "PT_READ_D",
        ReadU = 3 "PT_READ_U",
        WriteI = 4 "PT_WRITE_I",
        WriteD = 5 "PT_WRITE_D",
        WriteU = 6 "PT_WRITE_U",
        Continue = 7 "PT_CONTINUE",
        Kill = 8 "PT_KILL",
        Step = 9 "PT_STEP",
    }
}

named! {
    /// Advice of madvise.
    Advice, "MADV_???" {
        Normal = 0 "MADV_NORMAL",
        Random = 1 "MADV_RANDOM",
        Sequential = 2 "MADV_SEQUENTIAL",
        Willneed = 3 "MADV_WILLNEED",
        Dontneed = 4 "MADV_DONTNEED",
    }
}

named! {
    /// A limit or property of a file that pathconf reports.
    PathconfName, "_PC_???" {
        LinkMax = 1 "_PC_LINK_MAX",
        MaxCanon = 2 "_PC_MAX_CANON",
        MaxInput = 3 "_PC_MAX_INPUT",
        NameMax = 4 "_PC_NAME_MAX",
        PathMax = 5 "_PC_PATH_MAX",
        PipeBuf = 6 "_PC_PIPE_BUF",
        ChownRestricted = 7 "_PC_CHOWN_RESTRICTED",
        NoTrunc = 8 "_PC_NO_TRUNC",
        Vdisable = 9 "_PC_VDISABLE",
    }
}

named! {
    /// What getkerninfo asks for; the low byte refines it.
    KinfoOp, "KINFO_???" {
        Proc = 0x000 "KINFO_PROC",
        Rt = 0x100 "KINFO_RT",
        Vnode = 0x200 "KINFO_VNODE",
        File = 0x300 "KINFO_FILE",
        Meter = 0x400 "KINFO_METER",
        Loadavg = 0x500 "KINFO_LOADAVG",
        Clockrate = 0x600 "KINFO_CLOCKRATE",
        BsdiSysinfo = 0x6500 "KINFO_BSDI_SYSINFO",
    }
}

named! {
    /// Function of sysarch.
    SysarchOp, "I386_???" {
        GetLdt = 0 "I386_GET_LDT",
        SetLdt = 1 "I386_SET_LDT",
    }
}

named! {
    /// A kind of file system.
    MountType, "MOUNT_???" {
        None = 0 "MOUNT_NONE",
        Ufs = 1 "MOUNT_UFS",
        Nfs = 2 "MOUNT_NFS",
        Mfs = 3 "MOUNT_MFS",
        Msdos = 4 "MOUNT_MSDOS",
        Lfs = 5 "MOUNT_LFS",
        Lofs = 6 "MOUNT_LOFS",
        Fdesc = 7 "MOUNT_FDESC",
        Portal = 8 "MOUNT_PORTAL",
        Null = 9 "MOUNT_NULL",
        Umap = 10 "MOUNT_UMAP",
        Kernfs = 11 "MOUNT_KERNFS",
        Procfs = 12 "MOUNT_PROCFS",
        Afs = 13 "MOUNT_AFS",
        Cd9660 = 14 "MOUNT_CD9660",
        Union = 15 "MOUNT_UNION",
        Devfs = 16 "MOUNT_DEVFS",
    }
}

named! {
    /// How statistics of file systems are taken.
    FsWait, "MNT_???" {
        Wait = 1 "MNT_WAIT",
        Nowait = 2 "MNT_NOWAIT",
    }
}

named! {
    /// Type of a directory entry.
    DirentType, "DT_???" {
        Unknown = 0 "DT_UNKNOWN",
        Fifo = 1 "DT_FIFO",
        Chr = 2 "DT_CHR",
        Dir = 4 "DT_DIR",
        Blk = 6 "DT_BLK",
        Reg = 8 "DT_REG",
        Lnk = 10 "DT_LNK",
        Sock = 12 "DT_SOCK",
    }
}

named! {
    /// Which semaphore call semsys stands for.
    SemWhich, "SEM_???" {
        Ctl = 0 "SEMCTL",
        Get = 1 "SEMGET",
        Op = 2 "SEMOP",
    }
}

named! {
    /// Which message call msgsys stands for.
    MsgWhich, "MSG_???" {
        Ctl = 0 "MSGCTL",
        Get = 1 "MSGGET",
        Snd = 2 "MSGSND",
        Rcv = 3 "MSGRCV",
    }
}

named! {
    /// Which shared memory call shmsys stands for.
    ShmWhich, "SHM_???" {
        At = 0 "SHMAT",
        OldCtl = 1 "OSHMCTL",
        Dt = 2 "SHMDT",
        Get = 3 "SHMGET",
        Ctl = 4 "SHMCTL",
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
