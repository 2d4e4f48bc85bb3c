//! What the other side of a line is asked, by way of the kernel's tape.
//!
//! What seldom changes is written down where it has changed.  Must not know who is at the other side.

use std::cell::Cell;

use super::Line;
use crate::host::door::{AtEnd, SPEED, Size};
use crate::host::error::{HostError, HostResult};
use crate::host::escape::Wish;
use crate::host::tape::{Question, Tape};

/// What the other side was when it was asked last.
#[derive(Debug, Default)]
pub(super) struct Known {
    size: Cell<Size>,
    taken: Cell<bool>,
    background: Cell<bool>,
}

impl Line {
    pub(super) fn size(&self, tape: &Tape) -> Size {
        let size = tape.ask(Question::Terminal, self.known.size.get(), || self.door.size());
        self.known.size.set(size);
        size
    }

    pub(super) fn habits(&self, tape: &Tape) -> Option<(u8, u32)> {
        tape.ask(Question::Terminal, Some((0, SPEED)), || self.door.habits())
    }

    pub(super) fn shares_keys(&self, tape: &Tape) -> bool {
        tape.ask(Question::Terminal, true, || self.door.shares_keys())
    }

    pub(in crate::kernel::tty) fn is_foreground(&self, tape: &Tape) -> bool {
        let foreground =
            tape.ask(Question::Terminal, !self.known.background.get(), || self.door.is_foreground());
        self.known.background.set(!foreground);
        foreground
    }

    pub(super) fn is_taken(&self, tape: &Tape) -> bool {
        let taken = tape.ask(Question::Terminal, self.known.taken.get(), || self.door.is_taken());
        self.known.taken.set(taken);
        taken
    }

    pub(super) fn take(&mut self, tape: &Tape) -> bool {
        tape.ask(Question::Terminal, true, || self.door.take())
    }

    pub(super) fn stop_in_background(&self, tape: &Tape) -> bool {
        tape.ask(Question::Terminal, true, || self.door.stop_in_background())
    }

    pub(super) fn at_end(&self, tape: &Tape) -> AtEnd {
        tape.ask(Question::Terminal, AtEnd::HangUp, || self.door.at_end())
    }

    pub(super) fn resized(&mut self, tape: &Tape) -> bool {
        tape.ask(Question::Terminal, false, || self.door.resized())
    }

    pub(super) fn close(&mut self, tape: &Tape) -> bool {
        tape.ask(Question::Terminal, false, || self.door.close())
    }

    /// What the person wants; what can be wished is told to those who are there.
    pub(super) fn wish(&mut self, tape: &Tape) -> Option<(Wish, String)> {
        let mut help = String::new();
        let wish = tape.ask(Question::Terminal, None, || {
            let (wish, text) = self.door.wish()?;
            help = text;
            Some(wish)
        });
        wish.map(|wish| (wish, help))
    }

    pub(super) fn read(&mut self, tape: &Tape, buffer: &mut [u8]) -> HostResult<usize> {
        if !tape.is_on() {
            return self.door.read(buffer);
        }
        let bytes = tape.ask(Question::Keys, Err(HostError::WOULD_BLOCK), || {
            let count = self.door.read(buffer)?;
            Ok(buffer.get(..count).unwrap_or_default().to_vec())
        })?;
        buffer.iter_mut().zip(&bytes).for_each(|(to, byte)| *to = *byte);
        Ok(bytes.len().min(buffer.len()))
    }
}
