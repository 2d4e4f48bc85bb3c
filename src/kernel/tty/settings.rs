//! Settings of terminals.
//!
//! 2.1 counterpart: sys/termios.h, sys/ttydefaults.h.

use syscalls::layout::Termios;

/// Bits of the settings (sys/termios.h).
#[allow(missing_docs)] // the original's own names
pub mod flag {
    pub const IGNBRK: u32 = 0x1;
    pub const BRKINT: u32 = 0x2;
    pub const IGNPAR: u32 = 0x4;
    pub const PARMRK: u32 = 0x8;
    pub const INPCK: u32 = 0x10;
    pub const ISTRIP: u32 = 0x20;
    pub const INLCR: u32 = 0x40;
    pub const IGNCR: u32 = 0x80;
    pub const ICRNL: u32 = 0x100;
    pub const IXON: u32 = 0x200;
    pub const IXOFF: u32 = 0x400;
    pub const IXANY: u32 = 0x800;
    pub const IMAXBEL: u32 = 0x2000;
    pub const OPOST: u32 = 0x1;
    pub const ONLCR: u32 = 0x2;
    pub const OXTABS: u32 = 0x4;
    pub const ONOEOT: u32 = 0x8;
    pub const CIGNORE: u32 = 0x1;
    pub const CSIZE: u32 = 0x300;
    pub const CS7: u32 = 0x200;
    pub const CS8: u32 = 0x300;
    pub const CREAD: u32 = 0x800;
    pub const PARENB: u32 = 0x1000;
    pub const PARODD: u32 = 0x2000;
    pub const HUPCL: u32 = 0x4000;
    pub const CLOCAL: u32 = 0x8000;
    pub const CRTS_IFLOW: u32 = 0x2_0000;
    pub const MDMBUF: u32 = 0x10_0000;
    pub const ECHOKE: u32 = 0x1;
    pub const ECHOE: u32 = 0x2;
    pub const ECHOK: u32 = 0x4;
    pub const ECHO: u32 = 0x8;
    pub const ECHONL: u32 = 0x10;
    pub const ECHOPRT: u32 = 0x20;
    pub const ECHOCTL: u32 = 0x40;
    pub const ISIG: u32 = 0x80;
    pub const ICANON: u32 = 0x100;
    pub const ALTWERASE: u32 = 0x200;
    pub const IEXTEN: u32 = 0x400;
    pub const EXTPROC: u32 = 0x800;
    pub const TOSTOP: u32 = 0x40_0000;
    pub const FLUSHO: u32 = 0x80_0000;
    pub const NOKERNINFO: u32 = 0x200_0000;
    pub const PENDIN: u32 = 0x2000_0000;
    pub const NOFLSH: u32 = 0x8000_0000;
}

/// Places of the special characters.
#[allow(missing_docs)] // the original's own names
pub(super) mod key {
    pub(in crate::kernel::tty) const VEOF: usize = 0;
    pub(in crate::kernel::tty) const VEOL: usize = 1;
    pub(in crate::kernel::tty) const VEOL2: usize = 2;
    pub(in crate::kernel::tty) const VERASE: usize = 3;
    pub(in crate::kernel::tty) const VWERASE: usize = 4;
    pub(in crate::kernel::tty) const VKILL: usize = 5;
    pub(in crate::kernel::tty) const VREPRINT: usize = 6;
    pub(in crate::kernel::tty) const VINTR: usize = 8;
    pub(in crate::kernel::tty) const VQUIT: usize = 9;
    pub(in crate::kernel::tty) const VSUSP: usize = 10;
    pub(in crate::kernel::tty) const VDSUSP: usize = 11;
    pub(in crate::kernel::tty) const VSTART: usize = 12;
    pub(in crate::kernel::tty) const VSTOP: usize = 13;
    pub(in crate::kernel::tty) const VLNEXT: usize = 14;
    pub(in crate::kernel::tty) const VDISCARD: usize = 15;
    pub(in crate::kernel::tty) const VMIN: usize = 16;
    pub(in crate::kernel::tty) const VTIME: usize = 17;
    pub(in crate::kernel::tty) const VSTATUS: usize = 18;
}

/// No character (_POSIX_VDISABLE).
pub(super) const DISABLED: u8 = 0xff;
/// Speed of a fresh terminal.
const SPEED: i32 = 9600;

/// Settings of a fresh terminal.
pub fn default_settings() -> Termios {
    use flag::*;
    let mut cc = [DISABLED; 20];
    for (place, value) in [
        (key::VEOF, 4),
        (key::VERASE, 0o177),
        (key::VWERASE, 0o27),
        (key::VKILL, 0o25),
        (key::VREPRINT, 0o22),
        (key::VINTR, 3),
        (key::VQUIT, 0o34),
        (key::VSUSP, 0o32),
        (key::VDSUSP, 0o31),
        (key::VSTART, 0o21),
        (key::VSTOP, 0o23),
        (key::VLNEXT, 0o26),
        (key::VDISCARD, 0o17),
        (key::VMIN, 1),
        (key::VTIME, 0),
    ] {
        cc[place] = value;
    }
    Termios {
        iflag: (BRKINT | ICRNL | IMAXBEL | IXON | IXANY).into(),
        oflag: (OPOST | ONLCR).into(),
        cflag: (CREAD | CS8 | HUPCL).into(),
        lflag: (ECHO | ICANON | ISIG | IEXTEN | ECHOE | ECHOKE | ECHOCTL).into(),
        cc,
        ispeed: SPEED.into(),
        ospeed: SPEED.into(),
    }
}
