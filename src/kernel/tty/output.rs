//! What a character becomes on its way to the screen, and the echo of what is typed.
//!
//! Nothing here sleeps, signals or wakes: only queues and columns change.
//!
//! 2.1 counterpart: kern/tty.c (ttyoutput, ttyecho, ttyrub, ttyrubo, ttyretype, char_type).

use super::clist::{CHARMASK, QUOTE};
use super::settings::{DISABLED, flag::*, key};
use super::state::{State, Tty};

/// What a character does to the column (the low bits of `char_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Ordinary,
    Control,
    Backspace,
    Newline,
    Tab,
    VerticalTab,
    Return,
}

const fn class(c: u8) -> Class {
    match c {
        8 => Class::Backspace,
        9 => Class::Tab,
        10 => Class::Newline,
        12 => Class::VerticalTab,
        13 => Class::Return,
        0..0x20 | 0x7f => Class::Control,
        _ => Class::Ordinary,
    }
}

/// Whether a character goes out as it is, whatever the output modes are.
#[inline]
pub(super) fn is_plain(c: u8) -> bool {
    CLASSES[usize::from(c)] == Class::Ordinary
}

/// Whether a character is part of a word for ALTWERASE (ISALPHA).
pub(super) fn is_alpha(c: u32) -> bool {
    matches!((c & CHARMASK) as u8, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | 0x80..)
}

/// Classes of all characters.
static CLASSES: [Class; 256] = {
    let mut classes = [Class::Ordinary; 256];
    let mut c = 0;
    while c < 256 {
        classes[c] = class(c as u8);
        c += 1;
    }
    classes
};

/// Output of a whole piece, as [`Tty::output`] does it character by character where no queue can be full.
pub(super) struct Processing<'a>(&'a mut Tty);

impl<'a> Processing<'a> {
    /// That of a terminal.
    pub(super) fn of(tty: &'a mut Tty) -> Self {
        Self(tty)
    }

    /// What the bytes become.
    pub(super) fn process(self, bytes: &[u8]) -> Vec<u8> {
        let tty = self.0;
        let oflag = tty.oflag();
        let column = |column: i32, by: usize| column.wrapping_add(by as i32);
        let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 8);
        if oflag & OPOST == 0 {
            tty.column = column(tty.column, bytes.len());
            tty.count_output(bytes.len());
            out.extend_from_slice(bytes);
            return out;
        }
        let expands = oflag & OXTABS != 0 && !tty.has_local(EXTPROC);
        let mut rest = bytes;
        while !rest.is_empty() {
            let plain = rest.iter().position(|&c| !is_plain(c)).unwrap_or(rest.len());
            let (now, behind) = rest.split_at(plain);
            out.extend_from_slice(now);
            tty.column = column(tty.column, plain);
            let Some((&c, behind)) = behind.split_first() else { break };
            rest = behind;
            match class(c) {
                Class::Newline => {
                    if oflag & ONLCR != 0 {
                        out.push(b'\r');
                    }
                    tty.column = 0;
                }
                Class::Return => tty.column = 0,
                Class::Tab if expands => {
                    let wanted = 8 - (tty.column & 7) as usize;
                    out.extend_from_slice([b' '; 8].get(..wanted).unwrap_or_default());
                    tty.column = column(tty.column, wanted);
                    continue;
                }
                Class::Tab => tty.column = column(tty.column, 8) & !7,
                Class::Backspace => tty.column -= i32::from(tty.column > 0),
                _ if c == CEOT && oflag & ONOEOT != 0 => continue,
                Class::Ordinary | Class::Control | Class::VerticalTab => {}
            }
            out.push(c);
        }
        tty.count_output(out.len());
        out
    }
}

/// End of transmission (CEOT).
const CEOT: u8 = 4;

impl Tty {
    fn count_output(&mut self, chars: usize) {
        self.counts[2] = self.counts[2].wrapping_add(chars as u64);
    }

    /// Puts plain bytes into the output queue as far as they fit; gives how many.
    pub(super) fn put_plain(&mut self, bytes: &[u8]) -> usize {
        let done = self.outq.put(bytes);
        self.column = self.column.wrapping_add(done as i32);
        self.count_output(done);
        done
    }

    /// Puts a character into the output queue, processed as the modes say; false where it must be sent
    /// again (`ttyoutput`).
    pub(super) fn output(&mut self, c: u32) -> bool {
        let oflag = self.oflag();
        if oflag & OPOST == 0 {
            if self.has_local(FLUSHO) {
                return true;
            }
            let fits = self.outq.putc(c);
            self.count_output(usize::from(fits));
            return fits;
        }
        let c = (c & CHARMASK) as u8;
        if c == b'\t' && oflag & OXTABS != 0 && !self.has_local(EXTPROC) {
            return self.expand_tab();
        }
        if c == CEOT && oflag & ONOEOT != 0 {
            return true;
        }
        if c == b'\n' && oflag & ONLCR != 0 {
            self.count_output(1);
            if !self.outq.putc(u32::from(b'\r')) {
                return false;
            }
        }
        self.count_output(1);
        if !self.has_local(FLUSHO) && !self.outq.putc(u32::from(c)) {
            return false;
        }
        self.column = match class(c) {
            Class::Backspace if self.column > 0 => self.column - 1,
            Class::Backspace => self.column,
            Class::Newline | Class::Return => 0,
            Class::Ordinary => self.column.wrapping_add(1),
            Class::Tab => self.column.wrapping_add(8) & !7,
            Class::Control | Class::VerticalTab => self.column,
        };
        true
    }

    fn expand_tab(&mut self) -> bool {
        let wanted = 8 - (self.column & 7) as usize;
        let columns = if self.has_local(FLUSHO) {
            wanted
        } else {
            let done = self.outq.put([b' '; 8].get(..wanted).unwrap_or_default());
            self.count_output(done);
            done
        };
        self.column = self.column.wrapping_add(columns as i32);
        columns > 0
    }

    fn output_all(&mut self, bytes: &[u8]) {
        for &c in bytes {
            self.output(u32::from(c));
        }
    }

    /// Echoes a typed character (`ttyecho`).
    pub(super) fn echo(&mut self, c: u32) {
        if !self.state.contains(State::CNTTB) {
            self.set_lflag(FLUSHO, false);
        }
        let newline = c == u32::from(b'\n') && self.has_local(ECHONL);
        if !self.has_local(ECHO) && !newline || self.has_local(EXTPROC) {
            return;
        }
        let low = (c & CHARMASK) as u8;
        let laid_out = c == u32::from(b'\t') || c == u32::from(b'\n');
        if self.has_local(ECHOCTL) && (low < 0x20 && !laid_out || low == 0x7f) {
            self.output(u32::from(b'^'));
            self.output(u32::from(low ^ 0x40));
        } else {
            self.output(c);
        }
    }

    /// Takes a character that was erased off the screen (`ttyrub`).
    pub(super) fn rub(&mut self, c: u32) {
        if !self.has_local(ECHO) || self.has_local(EXTPROC) {
            return;
        }
        self.set_lflag(FLUSHO, false);
        if self.has_local(ECHOE) {
            if self.rocount == 0 {
                // Something else was written since: the line is shown again.
                self.retype();
                return;
            }
            let quoted = |c: u8| u32::from(c) | QUOTE;
            match class((c & CHARMASK) as u8) {
                _ if c == quoted(b'\t') || c == quoted(b'\n') => self.rub_out(2),
                Class::Ordinary => self.rub_out(1),
                Class::Tab => {
                    if self.rocount < self.rawq.len() as i32 {
                        self.retype();
                        return;
                    }
                    self.rub_tab();
                }
                _ if self.has_local(ECHOCTL) => self.rub_out(2),
                _ => {}
            }
        } else if self.has_local(ECHOPRT) {
            if !self.state.contains(State::ERASE) {
                self.state.insert(State::ERASE);
                self.output(u32::from(b'\\'));
            }
            self.echo(c);
        } else {
            self.echo(u32::from(self.termios.cc[key::VERASE]));
        }
        self.rocount = self.rocount.wrapping_sub(1);
    }

    /// Goes back over a tab: the columns come from an echo of the rest of the line that nobody sees.
    fn rub_tab(&mut self) {
        let column = self.column;
        self.state.insert(State::CNTTB);
        self.set_lflag(FLUSHO, true);
        self.column = self.rocol;
        let line: Vec<u32> = self.rawq.scan().collect();
        for c in line {
            self.echo(c);
        }
        self.set_lflag(FLUSHO, false);
        self.state.remove(State::CNTTB);
        let width = column.wrapping_sub(self.column);
        self.column = column;
        for _ in 0..width.min(8) {
            self.output(u32::from(b'\x08'));
        }
    }

    /// Goes back over columns, erasing them (`ttyrubo`).
    fn rub_out(&mut self, columns: usize) {
        for _ in 0..columns {
            self.output_all(b"\x08 \x08");
        }
    }

    /// Shows what was typed and not read once more (`ttyretype`).
    pub(super) fn retype(&mut self) {
        let reprint = self.termios.cc[key::VREPRINT];
        if reprint != DISABLED {
            self.echo(u32::from(reprint));
        }
        self.output(u32::from(b'\n'));
        let typed: Vec<u32> = self.canq.scan().chain(self.rawq.scan()).collect();
        for c in typed {
            self.echo(c);
        }
        self.state.remove(State::ERASE);
        self.rocount = self.rawq.len() as i32;
        self.rocol = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::clist::Slush;
    use super::super::pty::Pty;
    use super::super::state::Driver;
    use super::*;

    fn terminal() -> Tty {
        let mut tty = Tty::new(Driver::Pty(Pty::default()), &Slush::default());
        tty.set_defaults();
        tty.open();
        tty
    }

    fn shown(tty: &mut Tty) -> Vec<u8> {
        tty.outq.take(usize::MAX)
    }

    #[test]
    fn newlines_and_tabs_become_what_the_modes_say() {
        let mut tty = terminal();
        tty.termios.oflag = (OPOST | ONLCR | OXTABS).into();
        tty.output_all(b"ab\tc\n");
        assert_eq!(shown(&mut tty), b"ab      c\r\n");
        assert_eq!(tty.column, 0);
        tty.termios.oflag = 0.into();
        tty.output_all(b"\t\n");
        assert_eq!(shown(&mut tty), b"\t\n");
    }

    #[test]
    fn control_characters_echo_as_two() {
        let mut tty = terminal();
        tty.echo(3);
        tty.echo(0x7f);
        assert_eq!(shown(&mut tty), b"^C^?");
        tty.rocount = 1;
        tty.rub(3);
        assert_eq!(shown(&mut tty), b"\x08 \x08\x08 \x08");
    }

    #[test]
    fn the_first_erasure_after_output_shows_the_line_again() {
        let mut tty = terminal();
        tty.rawq.put(b"ab");
        tty.rub(u32::from(b'c'));
        assert_eq!(shown(&mut tty), b"^R\r\nab");
        assert_eq!(tty.rocount, 2);
    }
}
