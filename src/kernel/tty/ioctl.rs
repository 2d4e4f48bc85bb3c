//! Requests on terminals.
//!
//! 2.1 counterpart: kern/tty.c (ttioctl), kern/tty_compat.c (ttcompat, ttsetcompat).

use syscalls::errno::Errno;
use syscalls::ioctl as request;
use syscalls::layout::{Ltchars, Sgttyb, Tchars, Termios, Winsize};
use zerocopy::{FromBytes, IntoBytes};

use super::settings::{flag, key, to_host};
use super::{TtyId, compat, is_controlling, set_controlling, signal_foreground};
use crate::host::terminal::{Size, When};
use crate::kernel::Context;
use crate::kernel::signal::SIGWINCH;

/// Number that stands for no process or group (NO_PID).
const NO_PID: i32 = 30001;

/// Whether a request changes the terminal, so that background processes are stopped first.
pub(in crate::kernel) fn changes(number: u32) -> bool {
    matches!(
        number,
        request::TIOCFLUSH
            | request::TIOCSETA
            | request::TIOCSETD
            | request::TIOCSETAF
            | request::TIOCSETAW
            | request::TIOCSTAT
            | request::TIOCSTI
            | request::TIOCSWINSZ
            | request::TIOCLBIC
            | request::TIOCLBIS
            | request::TIOCLSET
            | request::TIOCSETC
            | request::OTIOCSETD
            | request::TIOCSETN
            | request::TIOCSETP
            | request::TIOCSLTC
    )
}

/// Serves a request; `data` is its parameter block.  The caller has seen to it that a background process
/// does not come here with a request that [`changes`] something.
pub fn ioctl(cx: &mut Context<'_>, tty: TtyId, number: u32, data: &mut [u8]) -> Result<(), Errno> {
    let Some(terminal) = cx.kernel.ttys.get_mut(tty) else { return Err(Errno::ENXIO) };
    match number {
        request::FIONBIO | request::FIOASYNC | request::TIOCDRAIN | request::TIOCEXCL | request::TIOCNXCL => {
            Ok(())
        }
        request::TIOCSTART | request::TIOCSTOP | request::TIOCHPCL | request::TIOCSTAT => Ok(()),
        request::TIOCFLUSH => {
            let which: i32 = get(data)?;
            if let Some(host) = &terminal.host {
                host.flush(which == 0 || which & 1 != 0, which == 0 || which & 2 != 0);
            }
            Ok(())
        }
        request::TIOCGETA => put(data, &terminal.termios),
        request::TIOCSETA => set(cx, tty, get(data)?, When::Now),
        request::TIOCSETAW => set(cx, tty, get(data)?, When::Drain),
        request::TIOCSETAF => set(cx, tty, get(data)?, When::Flush),
        request::TIOCGETD | request::TIOCOUTQ => put(data, &0i32),
        // Only the standard line discipline is there.
        request::TIOCSETD => match get::<i32>(data)? {
            0 => Ok(()),
            _ => Err(Errno::ENXIO),
        },
        request::OTIOCGETD => put(data, &2i32),
        request::OTIOCSETD => match get::<i32>(data)? {
            0 | 2 => Ok(()),
            _ => Err(Errno::ENXIO),
        },
        request::TIOCGWINSZ => {
            if let Some(host) = &terminal.host {
                let size = host.size();
                terminal.winsize.row = size.rows.into();
                terminal.winsize.col = size.columns.into();
            }
            put(data, &terminal.winsize)
        }
        request::TIOCSWINSZ => {
            let size: Winsize = get(data)?;
            if size.as_bytes() != terminal.winsize.as_bytes() {
                terminal.winsize = size;
                if let Some(host) = &terminal.host {
                    // The guest's idea of the size stands even where the host's terminal cannot take it.
                    let _ = host.set_size(Size { rows: size.row.get(), columns: size.col.get() });
                }
                signal_foreground(cx.kernel, tty, SIGWINCH);
            }
            Ok(())
        }
        request::TIOCGPGRP => {
            let group = terminal.pgrp;
            if !is_controlling(cx.kernel, cx.id, tty) {
                return Err(Errno::ENOTTY);
            }
            let group = group.filter(|&g| cx.kernel.procs.group_exists(g));
            put(data, &group.map_or(NO_PID, |g| cx.kernel.procs.group(g).pgid))
        }
        request::TIOCSPGRP => {
            if !is_controlling(cx.kernel, cx.id, tty) {
                return Err(Errno::ENOTTY);
            }
            let procs = &cx.kernel.procs;
            let ours = procs.session_id(cx.proc().pgrp);
            let group = procs.find_group(get(data)?).filter(|&g| procs.session_id(g) == ours);
            let group = group.ok_or(Errno::EPERM)?;
            if let Some(terminal) = cx.kernel.ttys.get_mut(tty) {
                terminal.pgrp = Some(group);
            }
            Ok(())
        }
        request::TIOCSCTTY => set_controlling(cx.kernel, cx.id, tty),
        _ => old_request(cx, tty, number, data),
    }
}

/// The requests of version 7 and 4.3.
fn old_request(cx: &mut Context<'_>, tty: TtyId, number: u32, data: &mut [u8]) -> Result<(), Errno> {
    let Some(terminal) = cx.kernel.ttys.get_mut(tty) else { return Err(Errno::ENXIO) };
    let cc = &terminal.termios.cc;
    let mut termios = terminal.termios;
    match number {
        request::TIOCGETP => {
            terminal.flags = compat::flags(&termios);
            let ospeed = compat::speed_code(termios.ospeed.get());
            let ispeed = match termios.ispeed.get() {
                0 => ospeed,
                speed => compat::speed_code(speed),
            };
            let (erase, kill) = (cc[key::VERASE], cc[key::VKILL]);
            put(data, &Sgttyb { ispeed, ospeed, erase, kill, flags: (terminal.flags as i16).into() })
        }
        request::TIOCGETC => put(
            data,
            &Tchars {
                intrc: cc[key::VINTR],
                quitc: cc[key::VQUIT],
                startc: cc[key::VSTART],
                stopc: cc[key::VSTOP],
                eofc: cc[key::VEOF],
                brkc: cc[key::VEOL],
            },
        ),
        request::TIOCGLTC => put(
            data,
            &Ltchars {
                suspc: cc[key::VSUSP],
                dsuspc: cc[key::VDSUSP],
                rprntc: cc[key::VREPRINT],
                flushc: cc[key::VDISCARD],
                werasc: cc[key::VWERASE],
                lnextc: cc[key::VLNEXT],
            },
        ),
        request::TIOCLGET => {
            terminal.flags = compat::flags(&termios) & 0xffff_0000 | terminal.flags & 0xffff;
            put(data, &(terminal.flags >> 16))
        }
        request::TIOCSETP | request::TIOCSETN => {
            let sg: Sgttyb = get(data)?;
            termios.ispeed = compat::speed_of_code(sg.ispeed, termios.ispeed.get())?.into();
            termios.ospeed = compat::speed_of_code(sg.ospeed, termios.ospeed.get())?.into();
            termios.cc[key::VERASE] = sg.erase;
            termios.cc[key::VKILL] = sg.kill;
            terminal.flags = terminal.flags & 0xffff_0000 | u32::from(sg.flags.get() as u16);
            compat::set_flags(terminal.flags, &mut termios);
            let when = if number == request::TIOCSETP { When::Flush } else { When::Now };
            set(cx, tty, termios, when)
        }
        request::TIOCSETC => {
            let tc: Tchars = get(data)?;
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
            if tc.brkc == 0xff {
                termios.cc[key::VEOL2] = 0xff;
            }
            set(cx, tty, termios, When::Now)
        }
        request::TIOCSLTC => {
            let ltc: Ltchars = get(data)?;
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
            set(cx, tty, termios, When::Now)
        }
        request::TIOCLBIS | request::TIOCLBIC | request::TIOCLSET => {
            let bits = get::<u32>(data)? << 16;
            let present = compat::flags(&termios) & 0xffff_0000 | terminal.flags & 0xffff;
            terminal.flags = match number {
                request::TIOCLSET => terminal.flags & 0xffff | bits,
                request::TIOCLBIS => present | bits,
                _ => present & !bits,
            };
            compat::set_local_flags(terminal.flags, &mut termios);
            set(cx, tty, termios, When::Now)
        }
        _ => Err(Errno::ENOTTY),
    }
}

/// Changes the settings, here and on the host's terminal.
fn set(cx: &mut Context<'_>, tty: TtyId, mut new: Termios, when: When) -> Result<(), Errno> {
    if new.ispeed.get() < 0 || new.ospeed.get() < 0 {
        return Err(Errno::EINVAL);
    }
    let Some(terminal) = cx.kernel.ttys.get_mut(tty) else { return Err(Errno::ENXIO) };
    new.lflag = (new.lflag.get() & !flag::EXTPROC).into();
    if let Some(host) = &mut terminal.host
        && let Some(mut settings) = host.settings()
    {
        to_host(&new, &mut settings);
        host.set(&settings, when).map_err(|_| Errno::EIO)?;
    }
    terminal.termios = new;
    Ok(())
}

/// The parameter block as a structure.
fn get<T: FromBytes>(data: &[u8]) -> Result<T, Errno> {
    T::read_from_prefix(data).map(|(value, _)| value).map_err(|_| Errno::EINVAL)
}

/// Fills the parameter block.
fn put<T: IntoBytes + zerocopy::Immutable>(data: &mut [u8], value: &T) -> Result<(), Errno> {
    value.write_to_prefix(data).map_err(|_| Errno::EINVAL)
}
