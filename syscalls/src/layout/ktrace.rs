//! Records of a ktrace file.
//!
//! 2.1 counterpart: sys/ktrace.h.

use super::{I16, I32, Show, Timeval, U32, layout};
use crate::names::{Names, named};

named! {
    /// Type of a record.
    KtrType, "KTR_???" {
        Syscall = 1 "CALL",
        Sysret = 2 "RET",
        Namei = 3 "NAMI",
        Genio = 4 "GIO",
        Psig = 5 "PSIG",
        Csw = 6 "CSW",
    }
}

/// Direction of a transfer.
pub const UIO_RW: Names = Names { unknown: "UIO_???", rows: &[(0, "UIO_READ"), (1, "UIO_WRITE")] };

layout! {
    /// The head of a record; so many bytes of contents follow.
    KtrHeader "ktr_header" 44 {
        0 len "ktr_len": I32,
        4 kind "ktr_type": I16 => Show::Named(&KtrType::NAMES),
        6 pad0 "": [u8; 2] => Show::Pad,
        8 pid "ktr_pid": I32 => Show::Pid,
        12 comm "ktr_comm": [u8; 17] => Show::Chars,
        29 pad1 "": [u8; 3] => Show::Pad,
        32 time "ktr_time": Timeval,
        40 buf "ktr_buf": U32 => Show::Addr,
    }

    /// A call; its argument words follow.
    KtrSyscall "ktr_syscall" 4 {
        0 code "ktr_code": I16,
        2 narg "ktr_narg": I16,
    }

    /// The end of a call.
    KtrSysret "ktr_sysret" 12 {
        0 code "ktr_code": I16,
        2 eosys "ktr_eosys": I16,
        4 error "ktr_error": I32,
        8 retval "ktr_retval": I32,
    }

    /// A transfer; its data follow.
    KtrGenio "ktr_genio" 8 {
        0 fd "ktr_fd": I32 => Show::Fd,
        4 rw "ktr_rw": I32 => Show::Named(&UIO_RW),
    }

    /// A signal that is delivered.
    KtrPsig "ktr_psig" 16 {
        0 signo "signo": I32 => Show::Signal,
        4 action "action": U32 => Show::Handler,
        8 mask "mask": U32 => Show::SigSet,
        12 code "code": I32,
    }

    /// A context switch.
    KtrCsw "ktr_csw" 8 {
        0 out "out": I32,
        4 user "user": I32,
    }
}
