//! Settings of terminals: those of 2.1, and what they are in the host's words.
//!
//! 2.1 counterpart: sys/termios.h, sys/ttydefaults.h.

use syscalls::layout::Termios;

use crate::host::terminal::{HostSettings, InputModes, LocalModes, OutputModes, SpecialCodeIndex};

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
    pub const CSIZE: u32 = 0x300;
    pub const CS7: u32 = 0x200;
    pub const CS8: u32 = 0x300;
    pub const CREAD: u32 = 0x800;
    pub const PARENB: u32 = 0x1000;
    pub const PARODD: u32 = 0x2000;
    pub const HUPCL: u32 = 0x4000;
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
    pub const IEXTEN: u32 = 0x400;
    pub const EXTPROC: u32 = 0x800;
    pub const TOSTOP: u32 = 0x40_0000;
    pub const FLUSHO: u32 = 0x80_0000;
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
}

/// No character (_POSIX_VDISABLE of 2.1; the host's is 0).
const DISABLED: u8 = 0xff;
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

/// Input modes that both sides have.
const INPUT: [(u32, InputModes); 13] = [
    (flag::IGNBRK, InputModes::IGNBRK),
    (flag::BRKINT, InputModes::BRKINT),
    (flag::IGNPAR, InputModes::IGNPAR),
    (flag::PARMRK, InputModes::PARMRK),
    (flag::INPCK, InputModes::INPCK),
    (flag::ISTRIP, InputModes::ISTRIP),
    (flag::INLCR, InputModes::INLCR),
    (flag::IGNCR, InputModes::IGNCR),
    (flag::ICRNL, InputModes::ICRNL),
    (flag::IXON, InputModes::IXON),
    (flag::IXOFF, InputModes::IXOFF),
    (flag::IXANY, InputModes::IXANY),
    (flag::IMAXBEL, InputModes::IMAXBEL),
];

/// Output modes that both sides have.
const OUTPUT: [(u32, OutputModes); 3] = [
    (flag::OPOST, OutputModes::OPOST),
    (flag::ONLCR, OutputModes::ONLCR),
    (flag::OXTABS, OutputModes::XTABS),
];

/// Local modes that both sides have.  TOSTOP is not among them: groups are the guest's own.
const LOCAL: [(u32, LocalModes); 11] = [
    (flag::ECHOKE, LocalModes::ECHOKE),
    (flag::ECHOE, LocalModes::ECHOE),
    (flag::ECHOK, LocalModes::ECHOK),
    (flag::ECHO, LocalModes::ECHO),
    (flag::ECHONL, LocalModes::ECHONL),
    (flag::ECHOPRT, LocalModes::ECHOPRT),
    (flag::ECHOCTL, LocalModes::ECHOCTL),
    (flag::ISIG, LocalModes::ISIG),
    (flag::ICANON, LocalModes::ICANON),
    (flag::IEXTEN, LocalModes::IEXTEN),
    (flag::NOFLSH, LocalModes::NOFLSH),
];

/// Special characters that both sides have.
const KEYS: [(usize, SpecialCodeIndex); 14] = [
    (key::VEOF, SpecialCodeIndex::VEOF),
    (key::VEOL, SpecialCodeIndex::VEOL),
    (key::VEOL2, SpecialCodeIndex::VEOL2),
    (key::VERASE, SpecialCodeIndex::VERASE),
    (key::VWERASE, SpecialCodeIndex::VWERASE),
    (key::VKILL, SpecialCodeIndex::VKILL),
    (key::VREPRINT, SpecialCodeIndex::VREPRINT),
    (key::VINTR, SpecialCodeIndex::VINTR),
    (key::VQUIT, SpecialCodeIndex::VQUIT),
    (key::VSUSP, SpecialCodeIndex::VSUSP),
    (key::VSTART, SpecialCodeIndex::VSTART),
    (key::VSTOP, SpecialCodeIndex::VSTOP),
    (key::VLNEXT, SpecialCodeIndex::VLNEXT),
    (key::VDISCARD, SpecialCodeIndex::VDISCARD),
];

/// The guest's form of the host's settings.
pub(super) fn from_host(host: &HostSettings) -> Termios {
    let collect = |bits: &mut dyn Iterator<Item = (u32, bool)>| {
        bits.filter(|&(_, on)| on).fold(0, |sum, (bit, _)| sum | bit)
    };
    let mut termios = default_settings();
    termios.iflag = collect(&mut INPUT.iter().map(|&(b, h)| (b, host.input_modes.contains(h)))).into();
    termios.oflag = collect(&mut OUTPUT.iter().map(|&(b, h)| (b, host.output_modes.contains(h)))).into();
    termios.lflag = collect(&mut LOCAL.iter().map(|&(b, h)| (b, host.local_modes.contains(h)))).into();
    for (place, index) in KEYS {
        let code = host.special_codes[index];
        termios.cc[place] = if code == 0 { DISABLED } else { code };
    }
    termios.cc[key::VMIN] = host.special_codes[SpecialCodeIndex::VMIN];
    termios.cc[key::VTIME] = host.special_codes[SpecialCodeIndex::VTIME];
    termios
}

/// Changes the host's settings to those of the guest; what only the host has stays as it is.
pub(super) fn to_host(termios: &Termios, host: &mut HostSettings) {
    for (bit, mode) in INPUT {
        host.input_modes.set(mode, termios.iflag.get() & bit != 0);
    }
    for (bit, mode) in OUTPUT {
        host.output_modes.set(mode, termios.oflag.get() & bit != 0);
    }
    for (bit, mode) in LOCAL {
        host.local_modes.set(mode, termios.lflag.get() & bit != 0);
    }
    for (place, index) in KEYS {
        let code = termios.cc[place];
        host.special_codes[index] = if code == DISABLED { 0 } else { code };
    }
    host.special_codes[SpecialCodeIndex::VMIN] = termios.cc[key::VMIN];
    host.special_codes[SpecialCodeIndex::VTIME] = termios.cc[key::VTIME];
}
