//! What becomes of a character that comes in: special characters, editing of lines, echo.
//!
//! 2.1 counterpart: kern/tty.c (ttyinput, ttypend).

use super::clist::{CHARMASK, QUOTE};
use super::flow::{self, FREAD, FWRITE, signal_foreground};
use super::output::is_alpha;
use super::settings::{DISABLED, flag::*, key};
use super::state::{State, TTYHOG, Tty};
use super::{TtyId, host, info};
use crate::kernel::Kernel;
use crate::kernel::signal::{SIGINFO, SIGINT, SIGQUIT, SIGTSTP};

/// Input that waits when the other side is asked to stop (I_HIGH_WATER), and at most when it may go on
/// (I_LOW_WATER).
const I_HIGH_WATER: usize = TTYHOG - 2 * 256;
/// See [`I_HIGH_WATER`].
pub(super) const I_LOW_WATER: usize = (TTYHOG - 2 * 256) * 7 / 8;

/// What is done about output after a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Nothing.
    Nothing,
    /// As after most characters: it goes on, unless it is stopped and only VSTART may start it.
    Usual,
    /// It goes on, even where it was stopped.
    Restart,
    /// It goes on, unless it is stopped.
    Start,
}

/// Enters a character (`ttyinput`).
pub(super) fn input(kernel: &mut Kernel, id: TtyId, c: u32) {
    let lflag = kernel.ttys[id].lflag();
    if lflag & PENDIN != 0 {
        pend(kernel, id);
    }
    let tty = &mut kernel.ttys[id];
    let count = &mut tty.counts[usize::from(lflag & ICANON != 0)];
    *count = count.wrapping_add(1);
    let iflag = tty.iflag();
    if tty.waiting() > I_HIGH_WATER - 3
        && (lflag & ICANON == 0 || !tty.canq.is_empty())
        && (tty.cflag() & CRTS_IFLOW != 0 || iflag & IXOFF != 0)
        && !tty.state.contains(State::TBLOCK)
    {
        flow::block(kernel, id);
    }
    let then = process(kernel, id, c, iflag, lflag);
    let tty = &mut kernel.ttys[id];
    let same_keys = tty.termios.cc[key::VSTART] == tty.termios.cc[key::VSTOP];
    let then = match then {
        Then::Usual if tty.state.contains(State::TTSTOP) && iflag & IXANY == 0 && !same_keys => Then::Nothing,
        Then::Usual => Then::Restart,
        other => other,
    };
    match then {
        Then::Nothing => return,
        Then::Restart => {
            tty.set_lflag(FLUSHO, false);
            tty.state.remove(State::TTSTOP);
        }
        Then::Start | Then::Usual => {}
    }
    flow::start(kernel, id);
}

fn process(kernel: &mut Kernel, id: TtyId, mut c: u32, iflag: u32, lflag: u32) -> Then {
    let tty = &mut kernel.ttys[id];
    if !tty.state.contains(State::TYPEN) && iflag & ISTRIP != 0 {
        c &= !0x80;
    }
    if lflag & EXTPROC == 0 {
        if tty.state.contains(State::LNCH) {
            c |= QUOTE;
            tty.state.remove(State::LNCH);
        }
        if let Some(then) = any_mode(kernel, id, &mut c, iflag, lflag) {
            return then;
        }
    }
    if !kernel.ttys[id].has_local(EXTPROC)
        && lflag & ICANON != 0
        && let Some(then) = editing(kernel, id, c, lflag)
    {
        return then;
    }
    let tty = &mut kernel.ttys[id];
    if tty.waiting() >= TTYHOG {
        if iflag & IMAXBEL != 0 && tty.outq.len() < tty.hiwat {
            tty.output(7);
        }
        return Then::Usual;
    }
    if c == 0xff && iflag & PARMRK != 0 && iflag & ISTRIP == 0 && iflag & (IGNBRK | IGNPAR) != IGNBRK | IGNPAR
    {
        tty.rawq.putc(0xff | QUOTE);
    }
    if tty.rawq.putc(c) {
        enqueued(kernel, id, c, lflag);
    }
    Then::Usual
}

/// Special characters that are not only those of canonical mode, and carriage returns; `None` for a
/// character that goes on, perhaps as another one.
fn any_mode(kernel: &mut Kernel, id: TtyId, c: &mut u32, iflag: u32, lflag: u32) -> Option<Then> {
    let tty = &mut kernel.ttys[id];
    if lflag & IEXTEN != 0 {
        if tty.is_key(key::VLNEXT, *c) {
            if lflag & ECHO != 0 {
                if lflag & ECHOE != 0 {
                    tty.output(u32::from(b'^'));
                    tty.output(u32::from(b'\x08'));
                } else {
                    tty.echo(*c);
                }
            }
            tty.state.insert(State::LNCH);
            return Some(Then::Usual);
        }
        if tty.is_key(key::VDISCARD, *c) {
            discard(kernel, id, *c, lflag);
            return Some(Then::Start);
        }
    }
    if lflag & ISIG != 0
        && let Some(signal) = signal_of(&kernel.ttys[id], *c)
    {
        if lflag & NOFLSH == 0 {
            flow::flush(kernel, id, if signal == SIGTSTP { FREAD } else { FREAD | FWRITE });
        }
        kernel.ttys[id].echo(*c);
        signal_foreground(kernel, id, signal);
        host::pressed(kernel, id, signal);
        return Some(Then::Usual);
    }
    if iflag & IXON != 0
        && let Some(then) = flow_control(kernel, id, *c)
    {
        return Some(then);
    }
    if *c == u32::from(b'\r') {
        if iflag & IGNCR != 0 {
            return Some(Then::Nothing);
        }
        if iflag & ICRNL != 0 {
            *c = u32::from(b'\n');
        }
    } else if *c == u32::from(b'\n') && iflag & INLCR != 0 {
        *c = u32::from(b'\r');
    }
    None
}

/// The signal that a key sends.
pub(super) fn signal_of(tty: &Tty, c: u32) -> Option<u32> {
    [(key::VINTR, SIGINT), (key::VQUIT, SIGQUIT), (key::VSUSP, SIGTSTP)]
        .into_iter()
        .find_map(|(place, signal)| tty.is_key(place, c).then_some(signal))
}

fn discard(kernel: &mut Kernel, id: TtyId, c: u32, lflag: u32) {
    if lflag & FLUSHO != 0 {
        kernel.ttys[id].set_lflag(FLUSHO, false);
        return;
    }
    flow::flush(kernel, id, FWRITE);
    let tty = &mut kernel.ttys[id];
    tty.echo(c);
    if tty.waiting() > 0 {
        tty.retype();
    }
    tty.set_lflag(FLUSHO, true);
}

fn flow_control(kernel: &mut Kernel, id: TtyId, c: u32) -> Option<Then> {
    let tty = &mut kernel.ttys[id];
    let starts = tty.is_key(key::VSTART, c);
    if tty.is_key(key::VSTOP, c) {
        if !tty.state.contains(State::TTSTOP) {
            tty.state.insert(State::TTSTOP);
            flow::stop(kernel, id, 0);
            return Some(Then::Nothing);
        }
        return Some(if starts { Then::Usual } else { Then::Nothing });
    }
    starts.then_some(Then::Restart)
}

/// Special characters of canonical mode.
fn editing(kernel: &mut Kernel, id: TtyId, c: u32, lflag: u32) -> Option<Then> {
    let tty = &mut kernel.ttys[id];
    if tty.is_key(key::VERASE, c) {
        if let Some(erased) = tty.rawq.unputc() {
            tty.rub(erased);
        }
    } else if tty.is_key(key::VKILL, c) {
        kill_line(tty, c, lflag);
    } else if tty.is_key(key::VWERASE, c) {
        erase_word(tty, lflag);
    } else if tty.is_key(key::VREPRINT, c) {
        tty.retype();
    } else if tty.is_key(key::VSTATUS, c) {
        if lflag & ISIG != 0 {
            signal_foreground(kernel, id, SIGINFO);
        }
        if lflag & NOKERNINFO == 0 {
            info::print(kernel, id);
        }
    } else {
        return None;
    }
    Some(Then::Usual)
}

fn kill_line(tty: &mut Tty, c: u32, lflag: u32) {
    if lflag & ECHOKE != 0 && tty.rawq.len() as i32 == tty.rocount && lflag & ECHOPRT == 0 {
        while let Some(erased) = tty.rawq.unputc() {
            tty.rub(erased);
        }
    } else {
        tty.echo(c);
        if lflag & (ECHOK | ECHOKE) != 0 {
            tty.echo(u32::from(b'\n'));
        }
        tty.rawq.flush();
        tty.rocount = 0;
    }
    tty.state.remove(State::LOCAL);
}

fn erase_word(tty: &mut Tty, lflag: u32) {
    let is_blank = |c: u32| c == u32::from(b' ') || c == u32::from(b'\t');
    let mut next = tty.rawq.unputc();
    while let Some(c) = next.filter(|&c| is_blank(c)) {
        tty.rub(c);
        next = tty.rawq.unputc();
    }
    let Some(last) = next else { return };
    tty.rub(last);
    let Some(mut c) = tty.rawq.unputc() else { return };
    let word = is_alpha(c);
    while !is_blank(c) && (lflag & ALTWERASE == 0 || is_alpha(c) == word) {
        tty.rub(c);
        match tty.rawq.unputc() {
            Some(before) => c = before,
            None => return,
        }
    }
    tty.rawq.putc(c);
}

/// Whether a character ends a line (TTBREAKC).
pub(super) fn ends_line(tty: &Tty, c: u32) -> bool {
    let cc = &tty.termios.cc;
    let ends = [cc[key::VEOF], cc[key::VEOL], cc[key::VEOL2]];
    c == u32::from(b'\n') || c != u32::from(DISABLED) && ends.iter().any(|&end| u32::from(end) == c)
}

/// What follows when a character has joined the queue: readers are woken, and it is echoed.
fn enqueued(kernel: &mut Kernel, id: TtyId, c: u32, lflag: u32) {
    if lflag & ICANON == 0 {
        flow::wake_readers(kernel, id);
        kernel.ttys[id].echo(c);
        return;
    }
    let tty = &mut kernel.ttys[id];
    if ends_line(tty, c) {
        tty.rocount = 0;
        let Tty { rawq, canq, .. } = tty;
        rawq.append_to(canq);
        flow::wake_readers(kernel, id);
    } else {
        if tty.rocount == 0 {
            tty.rocol = tty.column;
        }
        tty.rocount = tty.rocount.wrapping_add(1);
    }
    let tty = &mut kernel.ttys[id];
    if tty.state.contains(State::ERASE) {
        tty.state.remove(State::ERASE);
        tty.output(u32::from(b'/'));
    }
    let before = tty.column;
    tty.echo(c);
    if tty.is_key(key::VEOF, c) && lflag & ECHO != 0 {
        // The cursor goes to the place where the next output covers it.
        for _ in 0..tty.column.wrapping_sub(before).min(2) {
            tty.output(u32::from(b'\x08'));
        }
    }
}

/// Enters what waits in the raw queue once more, after a change to canonical mode (`ttypend`).
pub(super) fn pend(kernel: &mut Kernel, id: TtyId) {
    let tty = &mut kernel.ttys[id];
    tty.set_lflag(PENDIN, false);
    tty.state.insert(State::TYPEN);
    for c in tty.rawq.detach() {
        input(kernel, id, u32::from(c) & (QUOTE | CHARMASK));
    }
    kernel.ttys[id].state.remove(State::TYPEN);
}
