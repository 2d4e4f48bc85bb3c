//! A person at a terminal becomes the keys of a case.
//!
//! What they type is written down with what they saw when they typed it: the cursor's row, and that nobody ran.
//! That is what a run on another clock can wait for.  Must not know cases.

use std::cell::RefCell;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use super::keys::Step;
use super::screen::Screen;
use crate::host::door::{Door, Size};
use crate::host::error::HostResult;

/// Most characters of a row that are waited for.
const LONGEST: usize = 40;

#[derive(Debug)]
struct Notes {
    steps: Vec<Step>,
    screen: Screen,
    /// The cursor's row when the last keys came, if nothing but their echo has followed.
    row: Option<String>,
}

/// A terminal whose keys are written down.
#[derive(Debug)]
pub struct Recorder {
    inner: Box<dyn Door>,
    size: Size,
    notes: Rc<RefCell<Notes>>,
}

/// What was written down.
#[derive(Debug)]
pub struct Session(Rc<RefCell<Notes>>);

impl Recorder {
    /// Writes down what is typed at a terminal, of which so much is used.
    pub fn new(inner: Box<dyn Door>, size: Size) -> (Self, Session) {
        let notes = Notes { steps: Vec::new(), screen: Screen::new(size), row: None };
        let notes = Rc::new(RefCell::new(notes));
        (Self { inner, size, notes: Rc::clone(&notes) }, Session(notes))
    }
}

impl Session {
    /// The steps of the session.
    pub fn steps(self) -> Vec<Step> {
        std::mem::take(&mut self.0.borrow_mut().steps)
    }
}

impl Notes {
    fn typed(&mut self, keys: &[u8]) {
        let row = self.screen.before_cursor();
        let echoed = self.row.as_ref() == Some(&row);
        match self.steps.last_mut() {
            Some(Step::Type(before)) if echoed => before.extend_from_slice(keys),
            _ => {
                let skipped = row.chars().count().saturating_sub(LONGEST);
                let seen =
                    if row.trim().is_empty() { String::new() } else { row.chars().skip(skipped).collect() };
                self.steps.extend([Step::Cursor(seen), Step::Quiet, Step::Type(keys.to_vec())]);
            }
        }
        let plain = keys.iter().all(|key| (0x20..0x7f).contains(key));
        let text = || keys.iter().map(|&key| char::from(key)).collect::<String>();
        self.row = plain.then(|| row + &text());
    }
}

impl Door for Recorder {
    fn size(&self) -> Size {
        self.size
    }

    fn adds_returns(&self) -> bool {
        self.inner.adds_returns()
    }

    fn is_foreground(&self) -> bool {
        self.inner.is_foreground()
    }

    fn is_taken(&self) -> bool {
        self.inner.is_taken()
    }

    fn take(&mut self) -> bool {
        self.inner.take()
    }

    fn take_again(&mut self) {
        self.inner.take_again();
    }

    fn give_back(&mut self) {
        self.inner.give_back();
    }

    fn stop_in_background(&self) -> bool {
        self.inner.stop_in_background()
    }

    fn read(&mut self, buffer: &mut [u8]) -> HostResult<usize> {
        let count = self.inner.read(buffer)?;
        let keys = buffer.get(..count).unwrap_or_default();
        let mut notes = self.notes.borrow_mut();
        if keys.is_empty() {
            notes.steps.push(Step::HangUp);
        } else {
            notes.typed(keys);
        }
        Ok(count)
    }

    fn write(&mut self, data: &[u8]) -> HostResult<usize> {
        let count = self.inner.write(data)?;
        self.notes.borrow_mut().screen.show(data.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn keys_fd(&self) -> Option<BorrowedFd<'_>> {
        self.inner.keys_fd()
    }

    fn screen_fd(&self) -> Option<BorrowedFd<'_>> {
        self.inner.screen_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::*;
    use crate::host::door::Nobody;

    #[test]
    fn echoed_keys_are_one_step_and_a_prompt_begins_another() {
        let size = Size { rows: 5, columns: 30, ..Size::default() };
        let (mut recorder, session) = Recorder::new(Box::new(Nobody), size);
        recorder.write(b"$ ").unwrap();
        for key in b"ls" {
            recorder.notes.borrow_mut().typed(&[*key]);
            recorder.write(&[*key]).unwrap();
        }
        recorder.notes.borrow_mut().typed(b"\r");
        recorder.write(b"\r\nfile\r\n$ ").unwrap();
        recorder.notes.borrow_mut().typed(b"\x04");
        let text = keys::text(&session.steps());
        assert_eq!(text, "cursor \"$ \"\nquiet\ntype \"ls\\r\"\ncursor \"$ \"\nquiet\ntype \"\\x04\"\n");
    }
}
