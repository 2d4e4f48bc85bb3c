//! Processes: what ps reads, the words at the top of the stack, headers of programs.
//!
//! 2.1 counterpart: sys/proc.h, sys/sysctl.h, sys/ucred.h, vm/vm_map.h, sys/exec.h, sys/imgact_aout.h,
//! sys/nlist_aout.h.

use super::{I16, I32, Itimerval, Rtprio, Show, Shown, Timeval, U16, U32, U64, layout};
use crate::names::{FlagNames, FlagRow, named};
use crate::signal::Signal;

named! {
    /// State of a process.
    ProcStat, "S???" {
        Idle = 1 "SIDL",
        Run = 2 "SRUN",
        Sleep = 3 "SSLEEP",
        Stop = 4 "SSTOP",
        Zombie = 5 "SZOMB",
    }
}

/// Names of the flags of a process.
pub const PFLAG: FlagNames = FlagNames {
    unknown: "P_???",
    zero: Some("0"),
    rows: &[
        FlagRow::bits(0x00001, "P_ADVLOCK"),
        FlagRow::bits(0x00002, "P_CONTROLT"),
        FlagRow::bits(0x00004, "P_INMEM"),
        FlagRow::bits(0x00008, "P_NOCLDSTOP"),
        FlagRow::bits(0x00010, "P_PPWAIT"),
        FlagRow::bits(0x00020, "P_PROFIL"),
        FlagRow::bits(0x00040, "P_SELECT"),
        FlagRow::bits(0x00080, "P_SINTR"),
        FlagRow::bits(0x00100, "P_SUGID"),
        FlagRow::bits(0x00200, "P_SYSTEM"),
        FlagRow::bits(0x00400, "P_TIMEOUT"),
        FlagRow::bits(0x00800, "P_TRACED"),
        FlagRow::bits(0x01000, "P_WAITED"),
        FlagRow::bits(0x02000, "P_WEXIT"),
        FlagRow::bits(0x04000, "P_EXEC"),
        FlagRow::bits(0x08000, "P_NOSWAP"),
        FlagRow::bits(0x10000, "P_PHYSIO"),
        FlagRow::bits(0x20000, "P_OWEUPC"),
        FlagRow::bits(0x40000, "P_SWAPPING"),
    ],
};

layout! {
    /// A process as the kernel keeps it; addresses in it mean nothing to a program.
    Proc "proc" 256 {
        0 forw "p_forw": U32 => Show::Addr,
        4 back "p_back": U32 => Show::Addr,
        8 next "p_next": U32 => Show::Addr,
        12 prev "p_prev": U32 => Show::Addr,
        16 cred "p_cred": U32 => Show::Addr,
        20 fd "p_fd": U32 => Show::Addr,
        24 stats "p_stats": U32 => Show::Addr,
        28 limit "p_limit": U32 => Show::Addr,
        32 vmspace "p_vmspace": U32 => Show::Addr,
        36 sigacts "p_sigacts": U32 => Show::Addr,
        40 flag "p_flag": U32 => Show::Flags(&PFLAG),
        44 stat "p_stat": u8 => Show::Named(&ProcStat::NAMES),
        45 pad1 "": [u8; 3] => Show::Pad,
        48 pid "p_pid": I32 => Show::Pid,
        52 hash "p_hash": U32 => Show::Addr,
        56 pgrpnxt "p_pgrpnxt": U32 => Show::Addr,
        60 pptr "p_pptr": U32 => Show::Addr,
        64 osptr "p_osptr": U32 => Show::Addr,
        68 ysptr "p_ysptr": U32 => Show::Addr,
        72 cptr "p_cptr": U32 => Show::Addr,
        76 oppid "p_oppid": I32 => Show::Pid,
        80 dupfd "p_dupfd": I32 => Show::Fd,
        84 estcpu "p_estcpu": U32,
        88 cpticks "p_cpticks": I32,
        92 pctcpu "p_pctcpu": U32,
        96 wchan "p_wchan": U32 => Show::Addr,
        100 wmesg "p_wmesg": U32 => Show::Addr,
        104 swtime "p_swtime": U32,
        108 slptime "p_slptime": U32,
        112 realtimer "p_realtimer": Itimerval,
        128 rtime "p_rtime": Timeval,
        136 uticks "p_uticks": U64,
        144 sticks "p_sticks": U64,
        152 iticks "p_iticks": U64,
        160 traceflag "p_traceflag": I32 => Show::Hex,
        164 tracep "p_tracep": U32 => Show::Addr,
        168 siglist "p_siglist": U32 => Show::SigSet,
        172 textvp "p_textvp": U32 => Show::Addr,
        176 lock "p_lock": u8,
        177 pad2 "": [u8; 3] => Show::Pad,
        180 spare "p_spare": [u8; 8] => Show::Pad,
        188 sigmask "p_sigmask": U32 => Show::SigSet,
        192 sigignore "p_sigignore": U32 => Show::SigSet,
        196 sigcatch "p_sigcatch": U32 => Show::SigSet,
        200 priority "p_priority": u8,
        201 usrpri "p_usrpri": u8,
        202 nice "p_nice": i8,
        203 comm "p_comm": [u8; 17] => Show::Chars,
        220 pgrp "p_pgrp": U32 => Show::Addr,
        224 sysent "p_sysent": U32 => Show::Addr,
        228 rtprio "p_rtprio": Rtprio,
        232 pad3 "": [u8; 4] => Show::Pad,
        236 addr "p_addr": U32 => Show::Addr,
        240 md "p_md": [u8; 8] => Show::Pad,
        248 xstat "p_xstat": U16 => Show::WaitStatus,
        250 acflag "p_acflag": U16 => Show::Hex,
        252 ru "p_ru": U32 => Show::Addr,
    }

    /// Identities of a process.
    Pcred "pcred" 24 {
        0 ucred "pc_ucred": U32 => Show::Addr,
        4 ruid "p_ruid": U32,
        8 svuid "p_svuid": U32,
        12 rgid "p_rgid": U32,
        16 svgid "p_svgid": U32,
        20 refcnt "p_refcnt": I32,
    }

    /// Effective identity and groups.
    Ucred "ucred" 76 {
        0 refs "cr_ref": U16,
        2 pad0 "": [u8; 2] => Show::Pad,
        4 uid "cr_uid": U32,
        8 ngroups "cr_ngroups": I16,
        10 pad1 "": [u8; 2] => Show::Pad,
        12 groups "cr_groups": [U32; 16],
    }

    /// The memory of a process.
    Vmspace "vmspace" 180 {
        0 map "vm_map": [u8; 108] => Show::Pad,
        108 pmap "vm_pmap": [u8; 28] => Show::Pad,
        136 refcnt "vm_refcnt": I32,
        140 shm "vm_shm": U32 => Show::Addr,
        144 rssize "vm_rssize": I32,
        148 swrss "vm_swrss": I32,
        152 tsize "vm_tsize": I32,
        156 dsize "vm_dsize": I32,
        160 ssize "vm_ssize": I32,
        164 taddr "vm_taddr": U32 => Show::Addr,
        168 daddr "vm_daddr": U32 => Show::Addr,
        172 maxsaddr "vm_maxsaddr": U32 => Show::Addr,
        176 pad0 "": [u8; 4] => Show::Pad,
    }

    /// What the kernel adds to a process for ps.
    Eproc "eproc" 364 {
        0 paddr "e_paddr": U32 => Show::Addr,
        4 sess "e_sess": U32 => Show::Addr,
        8 pcred "e_pcred": Pcred,
        32 ucred "e_ucred": Ucred,
        108 vm "e_vm": Vmspace,
        288 ppid "e_ppid": I32 => Show::Pid,
        292 pgid "e_pgid": I32 => Show::Pid,
        296 jobc "e_jobc": I16,
        298 pad0 "": [u8; 2] => Show::Pad,
        300 tdev "e_tdev": U32 => Show::Dev,
        304 tpgid "e_tpgid": I32 => Show::Pid,
        308 tsess "e_tsess": U32 => Show::Addr,
        312 wmesg "e_wmesg": [u8; 8] => Show::Chars,
        320 xsize "e_xsize": I32,
        324 xrssize "e_xrssize": I16,
        326 xccount "e_xccount": I16,
        328 xswrss "e_xswrss": I16,
        330 pad1 "": [u8; 2] => Show::Pad,
        332 flag "e_flag": I32 => Show::Hex,
        336 login "e_login": [u8; 12] => Show::Chars,
        348 spare "e_spare": [u8; 16] => Show::Pad,
    }

    /// A process as sysctl reports it.
    KinfoProc "kinfo_proc" 620 {
        0 proc "kp_proc": Proc,
        256 eproc "kp_eproc": Eproc,
    }

    /// The header of an a.out program.
    Exec "exec" 32 {
        0 midmag "a_midmag": U32 => Show::Hex,
        4 text "a_text": U32,
        8 data "a_data": U32,
        12 bss "a_bss": U32,
        16 syms "a_syms": U32,
        20 entry "a_entry": U32 => Show::Hex,
        24 trsize "a_trsize": U32,
        28 drsize "a_drsize": U32,
    }

    /// A symbol of an a.out program.
    Nlist "nlist" 12 {
        0 strx "n_strx": I32,
        4 kind "n_type": u8 => Show::Hex,
        5 other "n_other": u8,
        6 desc "n_desc": I16,
        8 value "n_value": U32 => Show::Hex,
    }

    /// Where a process keeps its arguments and environment.
    PsStrings "ps_strings" 16 {
        0 argvstr "ps_argvstr": U32 => Show::Addr,
        4 nargvstr "ps_nargvstr": I32,
        8 envstr "ps_envstr": U32 => Show::Addr,
        12 nenvstr "ps_nenvstr": I32,
    }
}

/// Offsets in `struct user`, which ptrace reads and a core file begins with.
pub mod user {
    /// Size of the structure.
    pub const SIZE: u32 = 1492;
    /// The processor's state.
    pub const PCB: u32 = 0;
    /// The saved x87 state, inside the processor's state.
    pub const PCB_SAVEFPU: u32 = 112;
    /// Signal actions.
    pub const SIGACTS: u32 = 348;
    /// Statistics.
    pub const STATS: u32 = 648;
    /// The process, as sysctl reports it.
    pub const KPROC: u32 = 872;
}

/// The status word that wait reports.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
    zerocopy::Unaligned,
)]
#[repr(transparent)]
pub struct WaitStatus(pub U32);

/// What a status word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The process exited with this value.
    Exited(u8),
    /// A signal ended it.
    Signaled {
        /// The signal's number.
        signal: u32,
        /// Whether there is a core file.
        core: bool,
    },
    /// A signal stopped it.
    Stopped {
        /// The signal's number.
        signal: u32,
    },
}

impl WaitStatus {
    /// The word for a process that exited.
    pub fn exited(status: i32) -> Self {
        Self(U32::new((status.cast_unsigned() & 0xff) << 8))
    }

    /// The word for a process that a signal ended.
    pub fn signaled(signal: Signal, core: bool) -> Self {
        Self(U32::new(signal.raw() | if core { 0o200 } else { 0 }))
    }

    /// The word for a process that a signal stopped.
    pub fn stopped(signal: Signal) -> Self {
        Self(U32::new(signal.raw() << 8 | 0o177))
    }

    /// What the word says.
    pub fn decode(self) -> Waited {
        let word = self.0.get();
        match word & 0o177 {
            0 => Waited::Exited((word >> 8) as u8),
            0o177 => Waited::Stopped { signal: word >> 8 & 0xff },
            signal => Waited::Signaled { signal, core: word & 0o200 != 0 },
        }
    }
}

impl Shown for WaitStatus {
    const SHOW: Show = Show::WaitStatus;
    const SIZE: usize = 4;
}
