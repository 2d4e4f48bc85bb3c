//! 386BSD's own form of what its tools read of a kernel: numbers of processes, users and devices have 16 bits.
//!
//! Counterpart: sys/proc.h, sys/kinfo_proc.h, sys/vmspace.h, sys/ucred.h and sys/vmmeter.h of 386BSD 2.0.

use super::{I16, I32, Itimerval, Show, Timeval, U16, U32, layout};

layout! {
    /// A process.
    OlderProc "proc" 232 {
        0 queue "p_link": [U32; 2] => Show::Pad,
        8 list "p_nxt": [U32; 2] => Show::Pad,
        16 fd "p_fd": U32 => Show::Addr,
        20 stats "p_stats": U32 => Show::Addr,
        24 limit "p_limit": U32 => Show::Addr,
        28 vmspace "p_vmspace": U32 => Show::Addr,
        32 sigacts "p_sigacts": U32 => Show::Addr,
        36 flag "p_flag": U32 => Show::Hex,
        40 stat "p_stat": u8,
        41 pad0 "": u8 => Show::Pad,
        42 pid "p_pid": I16,
        44 hash "p_hash": U32 => Show::Addr,
        48 pptr "p_pptr": U32 => Show::Addr,
        52 osptr "p_osptr": U32 => Show::Addr,
        56 ysptr "p_ysptr": U32 => Show::Addr,
        60 cptr "p_cptr": U32 => Show::Addr,
        64 cpu "p_cpu": U32,
        68 cpticks "p_cpticks": I32,
        72 pctcpu "p_pctcpu": U32,
        76 wchan "p_wchan": U32 => Show::Addr,
        80 time "p_time": U32,
        84 slptime "p_slptime": U32,
        88 realtimer "p_realtimer": Itimerval,
        104 utime "p_utime": Timeval,
        112 stime "p_stime": Timeval,
        120 traceflag "p_traceflag": I32 => Show::Hex,
        124 tracep "p_tracep": U32 => Show::Addr,
        128 sig "p_sig": U32 => Show::SigSet,
        132 sigmask "p_sigmask": U32 => Show::SigSet,
        136 sigignore "p_sigignore": U32 => Show::SigSet,
        140 sigcatch "p_sigcatch": U32 => Show::SigSet,
        144 pri "p_pri": u8,
        145 usrpri "p_usrpri": u8,
        146 nice "p_nice": i8,
        147 pad1 "": u8 => Show::Pad,
        148 pgrp "p_pgrp": U32 => Show::Addr,
        152 pgrpnxt "p_pgrpnxt": U32 => Show::Addr,
        156 cred "p_cred": U32 => Show::Addr,
        160 comm "p_comm": [u8; 17] => Show::Chars,
        177 pad2 "": [u8; 3] => Show::Pad,
        180 wmesg "p_wmesg": U32 => Show::Addr,
        184 addr "p_addr": U32 => Show::Addr,
        188 md "p_md": [u8; 16] => Show::Pad,
        204 dupfd "p_dupfd": I16,
        206 stksz "p_stksz": U16,
        208 spare "p_spare": [u8; 24] => Show::Pad,
    }

    /// Identities of a process.
    OlderPcred "pcred" 16 {
        0 ucred "pc_ucred": U32 => Show::Addr,
        4 ruid "p_ruid": U16,
        6 svuid "p_svuid": U16,
        8 rgid "p_rgid": U16,
        10 svgid "p_svgid": U16,
        12 refcnt "p_refcnt": I32,
    }

    /// Effective identity and groups.
    OlderUcred "ucred" 40 {
        0 refs "cr_ref": U16,
        2 uid "cr_uid": U16,
        4 gid "cr_gid": U16,
        6 ngroups "cr_ngroups": I16,
        8 groups "cr_groups": [U16; 16],
    }

    /// The memory of a process.
    OlderVmspace "vmspace" 160 {
        0 map "vm_map": [u8; 88] => Show::Pad,
        88 pdir "pm_pdir": U32 => Show::Addr,
        92 pmap "vm_pmap": [u8; 8] => Show::Pad,
        100 resident "resident_count": I32,
        104 pmap_rest "": [u8; 16] => Show::Pad,
        120 refcnt "vm_refcnt": I32,
        124 shm "vm_shm": U32 => Show::Addr,
        128 rssize "vm_rssize": I32,
        132 swrss "vm_swrss": I32,
        136 tsize "vm_tsize": I32,
        140 dsize "vm_dsize": I32,
        144 ssize "vm_ssize": I32,
        148 taddr "vm_taddr": U32 => Show::Addr,
        152 daddr "vm_daddr": U32 => Show::Addr,
        156 maxsaddr "vm_maxsaddr": U32 => Show::Addr,
    }

    /// What the kernel adds to a process for ps.
    OlderEproc "eproc" 292 {
        0 paddr "e_paddr": U32 => Show::Addr,
        4 sess "e_sess": U32 => Show::Addr,
        8 pcred "e_pcred": OlderPcred,
        24 ucred "e_ucred": OlderUcred,
        64 vm "e_vm": OlderVmspace,
        224 ppid "e_ppid": I16,
        226 pgid "e_pgid": I16,
        228 jobc "e_jobc": I16,
        230 tdev "e_tdev": U16,
        232 tpgid "e_tpgid": I16,
        234 pad0 "": [u8; 2] => Show::Pad,
        236 tsess "e_tsess": U32 => Show::Addr,
        240 wmesg "e_wmesg": [u8; 8] => Show::Chars,
        248 xsize "e_xsize": I32,
        252 xrssize "e_xrssize": I16,
        254 lrssize "e_lrssize": I16,
        256 xswrss "e_xswrss": I16,
        258 pad1 "": [u8; 2] => Show::Pad,
        260 flag "e_flag": I32 => Show::Hex,
        264 login "e_login": [u8; 12] => Show::Chars,
        276 spare "e_spare": [u8; 16] => Show::Pad,
    }

    /// A process as getkerninfo reports it.
    OlderKinfoProc "kinfo_proc" 524 {
        0 proc "kp_proc": OlderProc,
        232 eproc "kp_eproc": OlderEproc,
    }

    /// Counts of the system as a whole.
    OlderVmmeter "vmmeter" 124 {
        0 swtch "v_swtch": U32,
        4 trap "v_trap": U32,
        8 syscall "v_syscall": U32,
        12 intr "v_intr": U32,
        16 soft "v_soft": U32,
        20 rest "": [U32; 18] => Show::Pad,
        92 faults "v_faults": U32,
        96 rest2 "": [U32; 7] => Show::Pad,
    }
}
