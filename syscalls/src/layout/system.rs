//! The system as a whole: its name, and totals of memory and processes.
//!
//! 2.1 counterpart: sys/utsname.h, sys/vmmeter.h.

use super::{I16, I32, Show, layout};

layout! {
    /// The name of the system.
    Utsname "utsname" 160 {
        0 sysname "sysname": [u8; 32] => Show::Chars,
        32 nodename "nodename": [u8; 32] => Show::Chars,
        64 release "release": [u8; 32] => Show::Chars,
        96 version "version": [u8; 32] => Show::Chars,
        128 machine "machine": [u8; 32] => Show::Chars,
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
