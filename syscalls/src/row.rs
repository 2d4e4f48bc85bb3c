//! Every type that a row of the table names, for `use syscalls::row::*` where rows are expanded.
//!
//! Result types are not here: they are found as `syscalls::result::NAME`, because some share a name with an
//! argument.

pub use crate::arg::{
    Arg, ArgVec, CreatMode, Dev, Dirents, EnvVec, Fcntl, Fd, Gid, GidsIn, GidsOut, GuestAddr, GuestPtr, In,
    InBuf, InOut, Int, Ioctl, IovecIn, IovecOut, Mode, MsgCall, MsgIn, MsgOut, Off, OldDirents, OldMsgIn,
    OldMsgOut, OldSockAddrOut, Out, OutBuf, OutText, Path, Pid, SelectSets, SemCall, ShmCall, SockAddrIn,
    SockAddrOut, SockOptIn, SockOptOut, StatfsBuf, Str, SysctlName, Uid, Uint, Unused, ValueOut,
};
pub use crate::flags::{
    AccessMode, Advice, Domain, FileFlags, FsWait, ItimerWhich, KinfoOp, KtrFacilities, KtrOp, LockOp,
    MapFlags, MountFlags, MountType, MsgFlags, MsyncFlags, OldMapFlags, OldProt, OpenFlags, PathconfName,
    PrioWhich, Prot, PtraceReq, RebootFlags, RlimitWhich, RtprioFunction, RusageWho, ShutdownHow, SigHow,
    SockType, SysarchOp, WaitOptions, Whence,
};
pub use crate::layout::{
    Fhandle, I32, Itimerval, Orlimit, Ostat, Rlimit, Rtprio, Rusage, Sigaction, Sigaltstack, Sigcontext,
    Sigstack, Sigvec, Stat, Statfs, Timeval, Timex, Timezone, Utsname, WaitStatus,
};
pub use crate::signal::{SigSet, Signum};
