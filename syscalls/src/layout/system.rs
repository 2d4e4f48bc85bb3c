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
