//! The system as a whole: its name, and totals of memory and processes.
//!
//! 2.1 counterpart: sys/utsname.h, sys/acct.h, sys/msgbuf.h, sys/vmmeter.h.

use super::{I16, I32, Show, U16, U32, layout};

layout! {
    /// The name of the system.
    Utsname "utsname" 160 {
        0 sysname "sysname": [u8; 32] => Show::Chars,
        32 nodename "nodename": [u8; 32] => Show::Chars,
        64 release "release": [u8; 32] => Show::Chars,
        96 version "version": [u8; 32] => Show::Chars,
        128 machine "machine": [u8; 32] => Show::Chars,
    }

    /// The record of a process that has ended.
    Acct "acct" 40 {
        0 comm "ac_comm": [u8; 10] => Show::Chars,
        10 utime "ac_utime": U16,
        12 stime "ac_stime": U16,
        14 etime "ac_etime": U16,
        16 btime "ac_btime": I32 => Show::Time,
        20 uid "ac_uid": U32,
        24 gid "ac_gid": U32,
        28 mem "ac_mem": U16,
        30 io "ac_io": U16,
        32 tty "ac_tty": U32 => Show::Dev,
        36 flag "ac_flag": u8 => Show::Hex,
        37 pad "": [u8; 3] => Show::Pad,
    }

    /// What the kernel has said.
    Msgbuf "msgbuf" 4096 {
        0 magic "msg_magic": U32 => Show::Hex,
        4 bufx "msg_bufx": U32,
        8 bufr "msg_bufr": U32,
        12 bufc "msg_bufc": [u8; 4084] => Show::Bytes,
    }

    /// Counts of the system as a whole.
    Vmmeter "vmmeter" 152 {
        0 swtch "v_swtch": U32,
        4 trap "v_trap": U32,
        8 syscall "v_syscall": U32,
        12 intr "v_intr": U32,
        16 soft "v_soft": U32,
        20 vm_faults "v_vm_faults": U32,
        24 cow_faults "v_cow_faults": U32,
        28 zfod "v_zfod": U32,
        32 swapin "v_swapin": U32,
        36 swapout "v_swapout": U32,
        40 swappgsin "v_swappgsin": U32,
        44 swappgsout "v_swappgsout": U32,
        48 vnodein "v_vnodein": U32,
        52 vnodeout "v_vnodeout": U32,
        56 vnodepgsin "v_vnodepgsin": U32,
        60 vnodepgsout "v_vnodepgsout": U32,
        64 intrans "v_intrans": U32,
        68 reactivated "v_reactivated": U32,
        72 pdwakeups "v_pdwakeups": U32,
        76 pdpages "v_pdpages": U32,
        80 dfree "v_dfree": U32,
        84 pfree "v_pfree": U32,
        88 tfree "v_tfree": U32,
        92 page_size "v_page_size": U32,
        96 page_count "v_page_count": U32,
        100 free_reserved "v_free_reserved": U32,
        104 free_target "v_free_target": U32,
        108 free_min "v_free_min": U32,
        112 free_count "v_free_count": U32,
        116 wire_count "v_wire_count": U32,
        120 active_count "v_active_count": U32,
        124 inactive_target "v_inactive_target": U32,
        128 inactive_count "v_inactive_count": U32,
        132 cache_count "v_cache_count": U32,
        136 cache_min "v_cache_min": U32,
        140 cache_max "v_cache_max": U32,
        144 pageout_free_min "v_pageout_free_min": U32,
        148 interrupt_free_min "v_interrupt_free_min": U32,
    }

    /// Totals of memory and processes.
    Vmtotal "vmtotal" 48 {
        0 rq "t_rq": I16,
        2 dw "t_dw": I16,
        4 pw "t_pw": I16,
        6 sl "t_sl": I16,
        8 sw "t_sw": I16,
        10 pad "": [u8; 2] => Show::Pad,
        12 vm "t_vm": I32,
        16 avm "t_avm": I32,
        20 rm "t_rm": I32,
        24 arm "t_arm": I32,
        28 vmshr "t_vmshr": I32,
        32 avmshr "t_avmshr": I32,
        36 rmshr "t_rmshr": I32,
        40 armshr "t_armshr": I32,
        44 free "t_free": I32,
    }
}
