//! Enumerations that are argument words, each with its names.
//!
//! Must not know the calls that use them.
//!
//! 2.1 counterpart: sys/socket.h, netinet/in.h, sys/fcntl.h, sys/unistd.h, sys/time.h, sys/resource.h,
//! sys/ptrace.h, sys/rtprio.h, sys/mount.h, sys/mman.h, sys/dirent.h, i386/include/sysarch.h,
//! kern/kern_sysctl.c (getkerninfo), kern/sysv_*.c.

use crate::names::named;

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
