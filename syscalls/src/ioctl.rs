//! Requests of ioctl: the parts of a request number, and the requests that have names.
//!
//! A request says in its bits which way how many bytes travel, so that even an unknown one can be traced.
//! Must not know devices.
//!
//! 2.1 counterpart: sys/ioccom.h, sys/ttycom.h, sys/filio.h, sys/sockio.h, sys/ioctl_compat.h,
//! sys/disklabel.h, sys/mtio.h.

use std::fmt;

use crate::layout::{Ifconf, Ifreq, Ltchars, Sgttyb, Show, Tchars, Termios, Timeval, Winsize};
use crate::names::{FlagNames, FlagRow};

/// A request number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request(pub u32);

const VOID: u32 = 0x2000_0000;
const OUT: u32 = 0x4000_0000;
const IN: u32 = 0x8000_0000;
const INOUT: u32 = IN | OUT;

impl Request {
    /// Builds a number from its parts.
    const fn new(way: u32, group: u8, number: u8, len: u32) -> Self {
        Self(way | (len & 0x1fff) << 16 | (group as u32) << 8 | number as u32)
    }

    /// Bytes that travel.
    pub const fn len(self) -> u32 {
        self.0 >> 16 & 0x1fff
    }

    /// Whether no bytes travel.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether the kernel reads the guest's memory.
    pub const fn copies_in(self) -> bool {
        self.0 & IN != 0
    }

    /// Whether the kernel writes the guest's memory.
    pub const fn copies_out(self) -> bool {
        self.0 & OUT != 0
    }

    /// The letter of the group.
    pub const fn group(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// The number in the group.
    pub const fn number(self) -> u8 {
        self.0 as u8
    }

    /// The request's name and how its argument is printed.
    pub fn info(self) -> Option<&'static RequestInfo> {
        REQUESTS.iter().find(|r| r.request == self)
    }
}

impl fmt::Display for Request {
    /// Prints the name, or the parts of a request that has none: `_IOR('t', 5, 4)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(info) = self.info() {
            return f.write_str(info.name);
        }
        let group = self.group();
        let build = match self.0 & 0xe000_0000 {
            VOID => "_IO",
            OUT => "_IOR",
            IN => "_IOW",
            INOUT => "_IOWR",
            _ => return write!(f, "{:#x} /* IOC_??? */", self.0),
        };
        if group.is_ascii_graphic() {
            write!(f, "{build}('{}', {}", char::from(group), self.number())?;
        } else {
            write!(f, "{build}({group:#x}, {}", self.number())?;
        }
        if self.0 & 0xe000_0000 != VOID || !self.is_empty() {
            write!(f, ", {}", self.len())?;
        }
        f.write_str(")")
    }
}

/// A request that has a name.
#[derive(Debug)]
pub struct RequestInfo {
    /// The number.
    pub request: Request,
    /// The name.
    pub name: &'static str,
    /// How the argument is printed.
    pub show: Show,
}

macro_rules! requests {
    ($( $name:ident = $way:ident $group:literal $number:literal $len:literal $show:expr; )*) => {
        $( #[allow(missing_docs)] // the original's own name
           pub const $name: u32 = Request::new($way, $group, $number, $len).0; )*

        /// Every request that has a name.
        pub static REQUESTS: &[RequestInfo] =
            &[$( RequestInfo { request: Request($name), name: stringify!($name), show: $show } ),*];
    };
}

/// Names of the modem lines.
pub const MODEM: FlagNames = FlagNames {
    unknown: "TIOCM_???",
    zero: Some("0"),
    rows: &[
        FlagRow::bits(0o1, "TIOCM_LE"),
        FlagRow::bits(0o2, "TIOCM_DTR"),
        FlagRow::bits(0o4, "TIOCM_RTS"),
        FlagRow::bits(0o10, "TIOCM_ST"),
        FlagRow::bits(0o20, "TIOCM_SR"),
        FlagRow::bits(0o40, "TIOCM_CTS"),
        FlagRow::bits(0o100, "TIOCM_CD"),
        FlagRow::bits(0o200, "TIOCM_RI"),
        FlagRow::bits(0o400, "TIOCM_DSR"),
    ],
};

/// Names of the queues that TIOCFLUSH empties; none means both.
pub const FLUSH: FlagNames = FlagNames {
    unknown: "F???",
    zero: Some("0"),
    rows: &[FlagRow::bits(1, "FREAD"), FlagRow::bits(2, "FWRITE")],
};

requests! {
    TIOCMODG = OUT b't' 3 4 Show::Flags(&MODEM);
    TIOCMODS = IN b't' 4 4 Show::Flags(&MODEM);
    TIOCEXCL = VOID b't' 13 0 Show::Pad;
    TIOCNXCL = VOID b't' 14 0 Show::Pad;
    TIOCFLUSH = IN b't' 16 4 Show::Flags(&FLUSH);
    TIOCGETA = OUT b't' 19 44 Show::Struct(&Termios::INFO);
    TIOCSETA = IN b't' 20 44 Show::Struct(&Termios::INFO);
    TIOCSETAW = IN b't' 21 44 Show::Struct(&Termios::INFO);
    TIOCSETAF = IN b't' 22 44 Show::Struct(&Termios::INFO);
    TIOCGETD = OUT b't' 26 4 Show::Int;
    TIOCSETD = IN b't' 27 4 Show::Int;
    TIOCSBRK = VOID b't' 123 0 Show::Pad;
    TIOCCBRK = VOID b't' 122 0 Show::Pad;
    TIOCSDTR = VOID b't' 121 0 Show::Pad;
    TIOCCDTR = VOID b't' 120 0 Show::Pad;
    TIOCGPGRP = OUT b't' 119 4 Show::Pid;
    TIOCSPGRP = IN b't' 118 4 Show::Pid;
    TIOCOUTQ = OUT b't' 115 4 Show::Int;
    TIOCSTI = IN b't' 114 1 Show::Bytes;
    TIOCNOTTY = VOID b't' 113 0 Show::Pad;
    TIOCPKT = IN b't' 112 4 Show::Int;
    TIOCSTOP = VOID b't' 111 0 Show::Pad;
    TIOCSTART = VOID b't' 110 0 Show::Pad;
    TIOCMSET = IN b't' 109 4 Show::Flags(&MODEM);
    TIOCMBIS = IN b't' 108 4 Show::Flags(&MODEM);
    TIOCMBIC = IN b't' 107 4 Show::Flags(&MODEM);
    TIOCMGET = OUT b't' 106 4 Show::Flags(&MODEM);
    TIOCREMOTE = IN b't' 105 4 Show::Int;
    TIOCGWINSZ = OUT b't' 104 8 Show::Struct(&Winsize::INFO);
    TIOCSWINSZ = IN b't' 103 8 Show::Struct(&Winsize::INFO);
    TIOCUCNTL = IN b't' 102 4 Show::Int;
    TIOCSTAT = VOID b't' 101 0 Show::Pad;
    TIOCCONS = IN b't' 98 4 Show::Int;
    TIOCSCTTY = VOID b't' 97 0 Show::Pad;
    TIOCEXT = IN b't' 96 4 Show::Int;
    TIOCSIG = VOID b't' 95 0 Show::Pad;
    TIOCDRAIN = VOID b't' 94 0 Show::Pad;
    TIOCMSDTRWAIT = IN b't' 91 4 Show::Int;
    TIOCMGDTRWAIT = OUT b't' 90 4 Show::Int;
    TIOCTIMESTAMP = OUT b't' 89 8 Show::Struct(&Timeval::INFO);
    TIOCDSIMICROCODE = VOID b't' 85 0 Show::Pad;
    TIOCSDRAINWAIT = IN b't' 87 4 Show::Int;
    TIOCGDRAINWAIT = OUT b't' 86 4 Show::Int;
    TUNSDEBUG = IN b't' 90 4 Show::Int;
    TUNGDEBUG = OUT b't' 89 4 Show::Int;
    TUNSIFINFO = IN b't' 91 8 Show::Bytes;
    TUNGIFINFO = OUT b't' 92 8 Show::Bytes;
    FIOCLEX = VOID b'f' 1 0 Show::Pad;
    FIONCLEX = VOID b'f' 2 0 Show::Pad;
    FIONREAD = OUT b'f' 127 4 Show::Int;
    FIONBIO = IN b'f' 126 4 Show::Int;
    FIOASYNC = IN b'f' 125 4 Show::Int;
    FIOSETOWN = IN b'f' 124 4 Show::Pid;
    FIOGETOWN = OUT b'f' 123 4 Show::Pid;
    SIOCSHIWAT = IN b's' 0 4 Show::Int;
    SIOCGHIWAT = OUT b's' 1 4 Show::Int;
    SIOCSLOWAT = IN b's' 2 4 Show::Int;
    SIOCGLOWAT = OUT b's' 3 4 Show::Int;
    SIOCATMARK = OUT b's' 7 4 Show::Int;
    SIOCSPGRP = IN b's' 8 4 Show::Pid;
    SIOCGPGRP = OUT b's' 9 4 Show::Pid;
    SIOCSIFADDR = IN b'i' 12 32 Show::Struct(&Ifreq::INFO);
    OSIOCGIFADDR = INOUT b'i' 13 32 Show::Struct(&Ifreq::INFO);
    SIOCGIFADDR = INOUT b'i' 33 32 Show::Struct(&Ifreq::INFO);
    SIOCSIFDSTADDR = IN b'i' 14 32 Show::Struct(&Ifreq::INFO);
    OSIOCGIFDSTADDR = INOUT b'i' 15 32 Show::Struct(&Ifreq::INFO);
    SIOCGIFDSTADDR = INOUT b'i' 34 32 Show::Struct(&Ifreq::INFO);
    SIOCSIFFLAGS = IN b'i' 16 32 Show::Struct(&Ifreq::INFO);
    SIOCGIFFLAGS = INOUT b'i' 17 32 Show::Struct(&Ifreq::INFO);
    OSIOCGIFBRDADDR = INOUT b'i' 18 32 Show::Struct(&Ifreq::INFO);
    SIOCGIFBRDADDR = INOUT b'i' 35 32 Show::Struct(&Ifreq::INFO);
    SIOCSIFBRDADDR = IN b'i' 19 32 Show::Struct(&Ifreq::INFO);
    OSIOCGIFCONF = INOUT b'i' 20 8 Show::Struct(&Ifconf::INFO);
    SIOCGIFCONF = INOUT b'i' 36 8 Show::Struct(&Ifconf::INFO);
    OSIOCGIFNETMASK = INOUT b'i' 21 32 Show::Struct(&Ifreq::INFO);
    SIOCGIFNETMASK = INOUT b'i' 37 32 Show::Struct(&Ifreq::INFO);
    SIOCSIFNETMASK = IN b'i' 22 32 Show::Struct(&Ifreq::INFO);
    SIOCGIFMETRIC = INOUT b'i' 23 32 Show::Struct(&Ifreq::INFO);
    SIOCSIFMETRIC = IN b'i' 24 32 Show::Struct(&Ifreq::INFO);
    SIOCDIFADDR = IN b'i' 25 32 Show::Struct(&Ifreq::INFO);
    SIOCAIFADDR = IN b'i' 26 64 Show::Bytes;
    SIOCADDMULTI = IN b'i' 49 32 Show::Struct(&Ifreq::INFO);
    SIOCDELMULTI = IN b'i' 50 32 Show::Struct(&Ifreq::INFO);
    SIOCGIFMTU = INOUT b'i' 51 32 Show::Struct(&Ifreq::INFO);
    SIOCSIFMTU = IN b'i' 52 32 Show::Struct(&Ifreq::INFO);
    SIOCGIFPHYS = INOUT b'i' 53 32 Show::Struct(&Ifreq::INFO);
    SIOCSIFPHYS = IN b'i' 54 32 Show::Struct(&Ifreq::INFO);
    OTIOCGETD = OUT b't' 0 4 Show::Int;
    OTIOCSETD = IN b't' 1 4 Show::Int;
    TIOCHPCL = VOID b't' 2 0 Show::Pad;
    TIOCGETP = OUT b't' 8 6 Show::Struct(&Sgttyb::INFO);
    TIOCSETP = IN b't' 9 6 Show::Struct(&Sgttyb::INFO);
    TIOCSETN = IN b't' 10 6 Show::Struct(&Sgttyb::INFO);
    TIOCSETC = IN b't' 17 6 Show::Struct(&Tchars::INFO);
    TIOCGETC = OUT b't' 18 6 Show::Struct(&Tchars::INFO);
    TIOCLBIS = IN b't' 127 4 Show::Hex;
    TIOCLBIC = IN b't' 126 4 Show::Hex;
    TIOCLSET = IN b't' 125 4 Show::Hex;
    TIOCLGET = OUT b't' 124 4 Show::Hex;
    TIOCSLTC = IN b't' 117 6 Show::Struct(&Ltchars::INFO);
    TIOCGLTC = OUT b't' 116 6 Show::Struct(&Ltchars::INFO);
    OTIOCCONS = VOID b't' 98 0 Show::Pad;
    DIOCGDINFO = OUT b'd' 101 276 Show::Bytes;
    DIOCSDINFO = IN b'd' 102 276 Show::Bytes;
    DIOCWDINFO = IN b'd' 103 276 Show::Bytes;
    DIOCGPART = IN b'd' 104 8 Show::Bytes;
    DIOCRFORMAT = INOUT b'd' 105 44 Show::Bytes;
    DIOCWFORMAT = INOUT b'd' 106 44 Show::Bytes;
    DIOCSSTEP = IN b'd' 107 4 Show::Int;
    DIOCSRETRIES = IN b'd' 108 4 Show::Int;
    DIOCWLABEL = IN b'd' 109 4 Show::Int;
    DIOCSBAD = IN b'd' 110 512 Show::Bytes;
    DIOCSBADSCAN = IN b'd' 111 4 Show::Int;
    MTIOCTOP = IN b'm' 1 8 Show::Bytes;
    MTIOCGET = OUT b'm' 2 64 Show::Bytes;
    MTIOCIEOT = VOID b'm' 3 0 Show::Pad;
    MTIOCEEOT = VOID b'm' 4 0 Show::Pad;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_agree_with_the_facts() {
        let facts = include_str!("../facts/ioctls.txt");
        let facts: Vec<_> = facts.lines().filter(|l| !l.starts_with('#')).collect();
        let ours: Vec<_> = REQUESTS.iter().map(|r| format!("{} {:#010x}", r.name, r.request.0)).collect();
        assert_eq!(ours, facts);
    }

    #[test]
    fn requests_without_a_name_print_their_parts() {
        assert_eq!(Request(TIOCGWINSZ).to_string(), "TIOCGWINSZ");
        assert_eq!(Request(0x4004_7405).to_string(), "_IOR('t', 5, 4)");
        assert_eq!(Request(0x2000_7a05).to_string(), "_IO('z', 5)");
        assert_eq!(Request(0x12).to_string(), "0x12 /* IOC_??? */");
        assert!(Request(TIOCSETA).copies_in() && !Request(TIOCSETA).copies_out());
        assert_eq!(Request(TIOCSETA).len(), 44);
    }
}
