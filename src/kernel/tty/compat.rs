//! The settings of version 7 and 4.3 in terms of the present ones.
//!
//! 2.1 counterpart: kern/tty_compat.c.

use syscalls::errno::Errno;
use syscalls::ioctl as request;
use syscalls::layout::{Ltchars, Sgttyb, Tchars, Termios};
use zerocopy::IntoBytes;

use super::ioctl::get as parameter;
use super::settings::{DISABLED, flag::*, key};
use super::state::Tty;

/// Bits of the old flags (sys/ioctl_compat.h).
mod old {
    pub(super) const TANDEM: u32 = 0x1;
    pub(super) const CBREAK: u32 = 0x2;
    pub(super) const CRMOD: u32 = 0x10;
    pub(super) const RAW: u32 = 0x20;
    pub(super) const ODDP: u32 = 0x40;
    pub(super) const EVENP: u32 = 0x80;
    pub(super) const ANYP: u32 = 0xc0;
    pub(super) const XTABS: u32 = 0xc00;
    pub(super) const CRTBS: u32 = 0x1_0000;
    pub(super) const PRTERA: u32 = 0x2_0000;
    pub(super) const CRTERA: u32 = 0x4_0000;
    pub(super) const MDMBUF: u32 = 0x10_0000;
    pub(super) const LITOUT: u32 = 0x20_0000;
    pub(super) const CRTKIL: u32 = 0x400_0000;
    pub(super) const PASS8: u32 = 0x800_0000;
    pub(super) const CTLECH: u32 = 0x1000_0000;
    pub(super) const DECCTQ: u32 = 0x4000_0000;
    pub(super) const NOHANG: u32 = 0x100_0000;
}

/// Bits that old and new local modes share.
const SHARED: u32 = ECHO | TOSTOP | FLUSHO | PENDIN | NOFLSH;
/// The old speeds, by their codes.
const SPEEDS: [i32; 18] =
    [0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600, 115_200];

/// The code of a speed: that of the nearest one that is not faster; zero, hanging up, only for itself.
pub(super) fn speed_code(speed: i32) -> i8 {
    match speed {
        0 => 0,
        _ => SPEEDS.iter().rposition(|&s| s <= speed).map_or(1, |code| code.max(1)) as i8,
    }
}

/// The speed that stty asks for by a code: the present one, where the code already stands for it.
pub(super) fn speed_of_code(code: i8, present: i32) -> Result<i32, Errno> {
    let speed = usize::try_from(code).ok().and_then(|c| SPEEDS.get(c)).copied().ok_or(Errno::EINVAL)?;
    Ok(if code == speed_code(present) { present } else { speed })
}

/// The old flags of some settings.
pub(super) fn flags(t: &Termios) -> u32 {
    let (iflag, oflag, cflag, lflag) = (t.iflag.get(), t.oflag.get(), t.cflag.get(), t.lflag.get());
    let mut flags = 0;
    let mut add = |condition: bool, bits: u32| {
        if condition {
            flags |= bits;
        }
    };
    add(iflag & IXOFF != 0, old::TANDEM);
    add(iflag & ICRNL != 0 || oflag & ONLCR != 0, old::CRMOD);
    if cflag & CSIZE == CS8 {
        add(true, old::PASS8);
        add(iflag & ISTRIP != 0, old::ANYP);
    } else if cflag & PARENB != 0 {
        let checked = iflag & INPCK != 0;
        add(!checked || cflag & PARODD != 0, old::ODDP);
        add(!checked || cflag & PARODD == 0, old::EVENP);
    }
    // The original means to look at the size of characters, but its operators bind so that it looks at a
    // bit that is never set, and that LITOUT is never told.
    let raw = lflag & ICANON == 0
        && iflag & (INPCK | ISTRIP | IXON) == 0
        && lflag & (IEXTEN | ISIG) == 0
        && cflag & CIGNORE == 0;
    add(raw, old::RAW);
    add(lflag & ICANON == 0 && !raw, old::CBREAK);
    add(cflag & MDMBUF != 0, old::MDMBUF);
    add(cflag & HUPCL == 0, old::NOHANG);
    add(oflag & OXTABS != 0, old::XTABS);
    add(lflag & ECHOE != 0, old::CRTERA | old::CRTBS);
    add(lflag & ECHOKE != 0, old::CRTKIL | old::CRTBS);
    add(lflag & ECHOPRT != 0, old::PRTERA);
    add(lflag & ECHOCTL != 0, old::CTLECH);
    add(iflag & IXANY == 0, old::DECCTQ);
    flags | lflag & SHARED
}

/// Whether a request is one that sets something in the old way.
pub(super) fn is_setter(number: u32) -> bool {
    matches!(
        number,
        request::TIOCSETP
            | request::TIOCSETN
            | request::TIOCSETC
            | request::TIOCSLTC
            | request::TIOCLBIS
            | request::TIOCLBIC
            | request::TIOCLSET
    )
}

/// The present request that does what an old one asks, and its settings (`ttsetcompat`).
pub(super) fn set(tty: &mut Tty, number: u32, data: &[u8]) -> Result<(u32, Termios), Errno> {
    let mut termios = tty.termios;
    let mut served = request::TIOCSETA;
    match number {
        request::TIOCSETP | request::TIOCSETN => {
            let sg: Sgttyb = parameter(data)?;
            termios.ispeed = speed_of_code(sg.ispeed, termios.ispeed.get())?.into();
            termios.ospeed = speed_of_code(sg.ospeed, termios.ospeed.get())?.into();
            termios.cc[key::VERASE] = sg.erase;
            termios.cc[key::VKILL] = sg.kill;
            tty.flags = tty.flags & 0xffff_0000 | u32::from(sg.flags.get() as u16);
            set_flags(tty.flags, &mut termios);
            if number == request::TIOCSETP {
                served = request::TIOCSETAF;
            }
        }
        request::TIOCSETC => {
            let tc: Tchars = parameter(data)?;
            for (place, value) in [
                (key::VINTR, tc.intrc),
                (key::VQUIT, tc.quitc),
                (key::VSTART, tc.startc),
                (key::VSTOP, tc.stopc),
                (key::VEOF, tc.eofc),
                (key::VEOL, tc.brkc),
            ] {
                termios.cc[place] = value;
            }
            if tc.brkc == DISABLED {
                termios.cc[key::VEOL2] = DISABLED;
            }
        }
        request::TIOCSLTC => {
            let ltc: Ltchars = parameter(data)?;
            for (place, value) in [
                (key::VSUSP, ltc.suspc),
                (key::VDSUSP, ltc.dsuspc),
                (key::VREPRINT, ltc.rprntc),
                (key::VDISCARD, ltc.flushc),
                (key::VWERASE, ltc.werasc),
                (key::VLNEXT, ltc.lnextc),
            ] {
                termios.cc[place] = value;
            }
        }
        _ => {
            let bits = parameter::<i32>(data)?.cast_unsigned() << 16;
            let present = flags(&termios) & 0xffff_0000 | tty.flags & 0xffff;
            tty.flags = match number {
                request::TIOCLSET => tty.flags & 0xffff | bits,
                request::TIOCLBIS => present | bits,
                _ => present & !bits,
            };
            set_local_flags(tty.flags, &mut termios);
        }
    }
    Ok((served, termios))
}

/// What an old request asks for; `None` for any other request (`ttcompat`).
pub(super) fn get(tty: &mut Tty, number: u32) -> Option<Vec<u8>> {
    let cc = tty.termios.cc;
    Some(match number {
        request::TIOCGETP => {
            tty.flags = flags(&tty.termios);
            let ospeed = speed_code(tty.termios.ospeed.get());
            let ispeed = match tty.termios.ispeed.get() {
                0 => ospeed,
                speed => speed_code(speed),
            };
            let (erase, kill) = (cc[key::VERASE], cc[key::VKILL]);
            Sgttyb { ispeed, ospeed, erase, kill, flags: (tty.flags as i16).into() }.as_bytes().to_vec()
        }
        request::TIOCGETC => Tchars {
            intrc: cc[key::VINTR],
            quitc: cc[key::VQUIT],
            startc: cc[key::VSTART],
            stopc: cc[key::VSTOP],
            eofc: cc[key::VEOF],
            brkc: cc[key::VEOL],
        }
        .as_bytes()
        .to_vec(),
        request::TIOCGLTC => Ltchars {
            suspc: cc[key::VSUSP],
            dsuspc: cc[key::VDSUSP],
            rprntc: cc[key::VREPRINT],
            flushc: cc[key::VDISCARD],
            werasc: cc[key::VWERASE],
            lnextc: cc[key::VLNEXT],
        }
        .as_bytes()
        .to_vec(),
        request::TIOCLGET => {
            tty.flags = flags(&tty.termios) & 0xffff_0000 | tty.flags & 0xffff;
            // The upper half as a signed number.
            (tty.flags.cast_signed() >> 16).to_le_bytes().to_vec()
        }
        _ => return None,
    })
}

/// Applies the flags of stty (TIOCSETP) to settings.
pub(super) fn set_flags(flags: u32, t: &mut Termios) {
    let has = |bit: u32| flags & bit != 0;
    let mut iflag = t.iflag.get();
    let mut oflag = t.oflag.get();
    let mut lflag = t.lflag.get();
    if has(old::RAW) {
        iflag = IGNBRK;
        lflag &= !(ECHOCTL | ISIG | ICANON | IEXTEN);
    } else {
        iflag &= !(PARMRK | IGNPAR | IGNCR | INLCR);
        iflag |= BRKINT | IXON | IMAXBEL;
        lflag |= ISIG | IEXTEN | ECHOCTL;
        assign(&mut oflag, OXTABS, flags & old::XTABS != 0);
        assign(&mut lflag, ICANON, !has(old::CBREAK));
        assign(&mut iflag, ICRNL, has(old::CRMOD));
        assign(&mut oflag, ONLCR, has(old::CRMOD));
    }
    assign(&mut lflag, ECHO, has(ECHO));
    t.oflag = oflag.into();
    t.iflag = iflag.into();
    set_size(flags, t);
    let mut iflag = t.iflag.get();
    let mut cflag = t.cflag.get();
    match flags & old::ANYP {
        old::EVENP => {
            iflag |= INPCK;
            cflag &= !PARODD;
        }
        old::ODDP => {
            iflag |= INPCK;
            cflag |= PARODD;
        }
        _ => iflag &= !INPCK,
    }
    assign(&mut iflag, IXOFF, has(old::TANDEM));
    assign(&mut iflag, IXANY, !has(old::DECCTQ));
    t.iflag = iflag.into();
    t.cflag = cflag.into();
    t.lflag = lflag.into();
}

/// Applies the local flags of 4.3 (TIOCLSET and its like) to settings.
pub(super) fn set_local_flags(flags: u32, t: &mut Termios) {
    let has = |bit: u32| flags & bit != 0;
    let mut iflag = t.iflag.get() & !(PARMRK | IGNPAR | IGNCR | INLCR);
    let mut lflag = t.lflag.get();
    let mut cflag = t.cflag.get();
    assign(&mut lflag, ECHOE, has(old::CRTERA));
    assign(&mut lflag, ECHOKE, has(old::CRTKIL));
    assign(&mut lflag, ECHOPRT, has(old::PRTERA));
    assign(&mut lflag, ECHOCTL, has(old::CTLECH));
    assign(&mut iflag, IXOFF, has(old::TANDEM));
    assign(&mut iflag, IXANY, !has(old::DECCTQ));
    assign(&mut cflag, MDMBUF, has(old::MDMBUF));
    assign(&mut cflag, HUPCL, !has(old::NOHANG));
    let state = TOSTOP | FLUSHO | PENDIN | NOFLSH;
    lflag = lflag & !state | flags & state;
    t.iflag = iflag.into();
    t.lflag = lflag.into();
    t.cflag = cflag.into();
    set_size(flags, t);
}

/// Character size, parity and processing of output, which both kinds of flags decide.
fn set_size(flags: u32, t: &mut Termios) {
    let mut iflag = t.iflag.get();
    let mut oflag = t.oflag.get();
    let mut cflag = t.cflag.get() & !(CSIZE | PARENB);
    if flags & (old::RAW | old::LITOUT | old::PASS8) != 0 {
        cflag |= CS8;
        let strip = flags & (old::RAW | old::PASS8) == 0
            || flags & (old::RAW | old::PASS8 | old::ANYP) == old::PASS8 | old::ANYP;
        assign(&mut iflag, ISTRIP, strip);
        assign(&mut oflag, OPOST, flags & (old::RAW | old::LITOUT) == 0);
    } else {
        cflag |= CS7 | PARENB;
        iflag |= ISTRIP;
        oflag |= OPOST;
    }
    t.iflag = iflag.into();
    t.oflag = oflag.into();
    t.cflag = cflag.into();
}

fn assign(word: &mut u32, bits: u32, on: bool) {
    if on {
        *word |= bits;
    } else {
        *word &= !bits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tty::default_settings;

    #[test]
    fn raw_and_back_is_cooked() {
        let mut t = default_settings();
        let cooked = flags(&t);
        assert_eq!(cooked & (old::RAW | old::CBREAK), 0);
        set_flags(cooked | old::RAW, &mut t);
        assert_eq!(t.lflag.get() & (ICANON | ISIG), 0);
        assert_eq!(t.oflag.get() & OPOST, 0);
        set_flags(cooked, &mut t);
        assert_eq!(flags(&t) & !old::ANYP, cooked & !old::ANYP);
    }

    #[test]
    fn cbreak_keeps_signals() {
        let mut t = default_settings();
        set_flags(flags(&t) | old::CBREAK, &mut t);
        assert_eq!(t.lflag.get() & (ICANON | ISIG), ISIG);
        assert_ne!(flags(&t) & old::CBREAK, 0);
    }

    #[test]
    fn speeds_round_down() {
        assert_eq!(speed_code(9600), 13);
        assert_eq!(speed_code(9601), 13);
        assert_eq!(speed_of_code(13, 9601), Ok(9601));
        assert_eq!(speed_of_code(12, 9601), Ok(4800));
        assert_eq!(speed_of_code(18, 9600), Err(Errno::EINVAL));
    }
}
