//! A terminal as the kernel keeps it.
//!
//! 2.1 counterpart: sys/tty.h.

use super::{I32, Selinfo, Show, Termios, U32, Winsize, layout};

layout! {
    /// A queue of characters.
    Clist "clist" 24 {
        0 cc "c_cc": I32,
        4 cbcount "c_cbcount": I32,
        8 cbmax "c_cbmax": I32,
        12 cbreserved "c_cbreserved": I32,
        16 first "c_cf": U32 => Show::Addr,
        20 last "c_cl": U32 => Show::Addr,
    }

    /// A terminal.
    Tty "tty" 220 {
        0 rawq "t_rawq": Clist,
        24 rawcc "t_rawcc": I32,
        28 canq "t_canq": Clist,
        52 cancc "t_cancc": I32,
        56 outq "t_outq": Clist,
        80 outcc "t_outcc": I32,
        84 line "t_line": I32,
        88 dev "t_dev": U32 => Show::Dev,
        92 state "t_state": I32 => Show::Hex,
        96 flags "t_flags": I32 => Show::Hex,
        100 timeout "t_timeout": I32,
        104 pgrp "t_pgrp": U32 => Show::Addr,
        108 session "t_session": U32 => Show::Addr,
        112 rsel "t_rsel": Selinfo,
        120 wsel "t_wsel": Selinfo,
        128 termios "t_termios": Termios,
        172 winsize "t_winsize": Winsize,
        180 oproc "t_oproc": U32 => Show::Addr,
        184 stop "t_stop": U32 => Show::Addr,
        188 param "t_param": U32 => Show::Addr,
        192 sc "t_sc": U32 => Show::Addr,
        196 column "t_column": I32,
        200 rocount "t_rocount": I32,
        204 rocol "t_rocol": I32,
        208 hiwat "t_hiwat": I32,
        212 lowat "t_lowat": I32,
        216 generation "t_gen": I32,
    }
}
