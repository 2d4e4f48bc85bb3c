//! Terminals: the POSIX settings and those of version 7 that are still served.
//!
//! 2.1 counterpart: sys/termios.h, sys/ttycom.h, sys/ioctl_compat.h.

use super::{I16, I32, Show, U16, U32, layout};
use crate::names::{FlagNames, FlagRow};

layout! {
    /// Settings of a terminal.
    Termios "termios" 44 {
        0 iflag "c_iflag": U32 => Show::Flags(&IFLAG),
        4 oflag "c_oflag": U32 => Show::Flags(&OFLAG),
        8 cflag "c_cflag": U32 => Show::Flags(&CFLAG),
        12 lflag "c_lflag": U32 => Show::Flags(&LFLAG),
        16 cc "c_cc": [u8; 20] => Show::Bytes,
        36 ispeed "c_ispeed": I32,
        40 ospeed "c_ospeed": I32,
    }

    /// Size of a terminal.
    Winsize "winsize" 8 {
        0 row "ws_row": U16,
        2 col "ws_col": U16,
        4 xpixel "ws_xpixel": U16,
        6 ypixel "ws_ypixel": U16,
    }

    /// Settings of a terminal in the form of version 7.
    Sgttyb "sgttyb" 6 {
        0 ispeed "sg_ispeed": i8,
        1 ospeed "sg_ospeed": i8,
        2 erase "sg_erase": u8,
        3 kill "sg_kill": u8,
        4 flags "sg_flags": I16 => Show::Hex,
    }

    /// Special characters in the form of version 7.
    Tchars "tchars" 6 {
        0 intrc "t_intrc": u8,
        1 quitc "t_quitc": u8,
        2 startc "t_startc": u8,
        3 stopc "t_stopc": u8,
        4 eofc "t_eofc": u8,
        5 brkc "t_brkc": u8,
    }

    /// Special characters of job control in the form of 4.2.
    Ltchars "ltchars" 6 {
        0 suspc "t_suspc": u8,
        1 dsuspc "t_dsuspc": u8,
        2 rprntc "t_rprntc": u8,
        3 flushc "t_flushc": u8,
        4 werasc "t_werasc": u8,
        5 lnextc "t_lnextc": u8,
    }
}

/// Names of the input modes.
pub const IFLAG: FlagNames = FlagNames {
    unknown: "I???",
    zero: Some("0"),
    rows: &[
        FlagRow::bits(0x1, "IGNBRK"),
        FlagRow::bits(0x2, "BRKINT"),
        FlagRow::bits(0x4, "IGNPAR"),
        FlagRow::bits(0x8, "PARMRK"),
        FlagRow::bits(0x10, "INPCK"),
        FlagRow::bits(0x20, "ISTRIP"),
        FlagRow::bits(0x40, "INLCR"),
        FlagRow::bits(0x80, "IGNCR"),
        FlagRow::bits(0x100, "ICRNL"),
        FlagRow::bits(0x200, "IXON"),
        FlagRow::bits(0x400, "IXOFF"),
        FlagRow::bits(0x800, "IXANY"),
        FlagRow::bits(0x2000, "IMAXBEL"),
    ],
};

/// Names of the output modes.
pub const OFLAG: FlagNames = FlagNames {
    unknown: "O???",
    zero: Some("0"),
    rows: &[
        FlagRow::bits(0x1, "OPOST"),
        FlagRow::bits(0x2, "ONLCR"),
        FlagRow::bits(0x4, "OXTABS"),
        FlagRow::bits(0x8, "ONOEOT"),
    ],
};

/// Names of the control modes.
pub const CFLAG: FlagNames = FlagNames {
    unknown: "C???",
    zero: Some("0"),
    rows: &[
        FlagRow::field(0x300, 0, "CS5"),
        FlagRow::field(0x300, 0x100, "CS6"),
        FlagRow::field(0x300, 0x200, "CS7"),
        FlagRow::field(0x300, 0x300, "CS8"),
        FlagRow::bits(0x1, "CIGNORE"),
        FlagRow::bits(0x400, "CSTOPB"),
        FlagRow::bits(0x800, "CREAD"),
        FlagRow::bits(0x1000, "PARENB"),
        FlagRow::bits(0x2000, "PARODD"),
        FlagRow::bits(0x4000, "HUPCL"),
        FlagRow::bits(0x8000, "CLOCAL"),
        FlagRow::bits(0x3_0000, "CRTSCTS"),
        FlagRow::bits(0x1_0000, "CCTS_OFLOW"),
        FlagRow::bits(0x2_0000, "CRTS_IFLOW"),
        FlagRow::bits(0x4_0000, "CDTR_IFLOW"),
        FlagRow::bits(0x8_0000, "CDSR_OFLOW"),
        FlagRow::bits(0x10_0000, "CCAR_OFLOW"),
    ],
};

/// Names of the local modes.
pub const LFLAG: FlagNames = FlagNames {
    unknown: "L???",
    zero: Some("0"),
    rows: &[
        FlagRow::bits(0x1, "ECHOKE"),
        FlagRow::bits(0x2, "ECHOE"),
        FlagRow::bits(0x4, "ECHOK"),
        FlagRow::bits(0x8, "ECHO"),
        FlagRow::bits(0x10, "ECHONL"),
        FlagRow::bits(0x20, "ECHOPRT"),
        FlagRow::bits(0x40, "ECHOCTL"),
        FlagRow::bits(0x80, "ISIG"),
        FlagRow::bits(0x100, "ICANON"),
        FlagRow::bits(0x200, "ALTWERASE"),
        FlagRow::bits(0x400, "IEXTEN"),
        FlagRow::bits(0x800, "EXTPROC"),
        FlagRow::bits(0x40_0000, "TOSTOP"),
        FlagRow::bits(0x80_0000, "FLUSHO"),
        FlagRow::bits(0x200_0000, "NOKERNINFO"),
        FlagRow::bits(0x2000_0000, "PENDIN"),
        FlagRow::bits(0x8000_0000, "NOFLSH"),
    ],
};
