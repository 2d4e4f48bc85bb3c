//! The keys by which a person talks to bsd21 itself, as to a program that dials: an escape character at the
//! beginning of a line, and a letter.
//!
//! | keys | |
//! |---|---|
//! | `~.` | leaves: detaches, or hangs up |
//! | `~l` | lists the processes |
//! | `~k` | ends the run |
//! | `~?` | lists these |
//! | `~~` | types the escape character |
//!
//! Must not know what comes of them.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;

use super::door::{AtEnd, Door, Size};
use super::error::HostResult;

/// What a person wants of bsd21.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To leave.
    Leave,
    /// To see what runs.
    List,
    /// To end the run.
    Kill,
    /// To see what can be wished.
    Help,
}

/// Finds wishes among keys.
#[derive(Clone, Debug)]
pub struct Escape {
    escape: u8,
    at: At,
}

/// Where the next key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    LineStart,
    Inside,
    /// Behind the escape character, which has not been passed on.
    Escaped,
}

impl Escape {
    /// Finds them behind this character.
    pub fn new(escape: u8) -> Self {
        Self { escape, at: At::LineStart }
    }

    /// Takes a key: what is passed on of it, and what is wished.
    pub fn key(&mut self, key: u8, passed: &mut Vec<u8>) -> Option<Wish> {
        let ends_line = matches!(key, b'\r' | b'\n');
        match self.at {
            At::LineStart if key == self.escape => {
                self.at = At::Escaped;
                return None;
            }
            At::Escaped => {
                let wish = match key {
                    b'.' => Some(Wish::Leave),
                    b'l' => Some(Wish::List),
                    b'k' => Some(Wish::Kill),
                    b'?' => Some(Wish::Help),
                    _ => None,
                };
                if wish.is_some() {
                    self.at = At::LineStart;
                    return wish;
                }
                passed.push(self.escape);
                self.at = if ends_line { At::LineStart } else { At::Inside };
                if key == self.escape {
                    return None;
                }
            }
            // What is typed and taken back begins a line as well: keys that kill and interrupt.
            At::LineStart | At::Inside => {
                let begins = ends_line || matches!(key, 3 | 4 | 21);
                self.at = if begins { At::LineStart } else { At::Inside };
            }
        }
        passed.push(key);
        None
    }

    /// What can be wished, for the screen.
    pub fn help(&self, leaves: &str) -> String {
        let c = char::from(self.escape);
        let rows = [(".", leaves), ("l", "list the processes"), ("k", "end the run"), ("?", "this list")];
        let lines = rows.map(|(key, what)| format!("  {c}{key}  {what}\r\n"));
        format!("\r\n{}  {c}{c}  type {c}\r\n", lines.concat())
    }
}

/// A door whose keys may be wishes.
#[derive(Debug)]
pub struct Escaping {
    inner: Box<dyn Door>,
    escape: Escape,
    typed: VecDeque<u8>,
    wishes: VecDeque<Wish>,
    left: bool,
}

impl Escaping {
    /// Finds wishes behind a character.
    pub fn new(inner: Box<dyn Door>, escape: u8) -> Self {
        let (typed, wishes) = (VecDeque::new(), VecDeque::new());
        Self { inner, escape: Escape::new(escape), typed, wishes, left: false }
    }
}

impl Door for Escaping {
    fn read(&mut self, buffer: &mut [u8]) -> HostResult<usize> {
        let mut piece = [0; 1024];
        while self.typed.is_empty() {
            if self.left {
                return Ok(0);
            }
            let count = self.inner.read(&mut piece)?;
            if count == 0 {
                return Ok(0);
            }
            let mut passed = Vec::new();
            for &key in piece.get(..count).unwrap_or_default() {
                match self.escape.key(key, &mut passed) {
                    Some(Wish::Leave) => {
                        self.left = true;
                        break;
                    }
                    Some(wish) => self.wishes.push_back(wish),
                    None => {}
                }
            }
            self.typed.extend(passed);
            if self.typed.is_empty() && !self.left {
                return Err(rustix::io::Errno::AGAIN.into());
            }
        }
        let count = self.typed.len().min(buffer.len());
        for (to, key) in buffer.iter_mut().zip(self.typed.drain(..count)) {
            *to = key;
        }
        Ok(count)
    }

    fn wish(&mut self) -> Option<(Wish, String)> {
        let wish = self.wishes.pop_front()?;
        Some((wish, self.escape.help("hang up")))
    }

    fn size(&self) -> Size {
        self.inner.size()
    }

    fn habits(&self) -> Option<(u8, u32)> {
        self.inner.habits()
    }

    fn adds_returns(&self) -> bool {
        self.inner.adds_returns()
    }

    fn is(&self, fd: BorrowedFd<'_>) -> bool {
        self.inner.is(fd)
    }

    fn shares_keys(&self) -> bool {
        self.inner.shares_keys()
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

    fn at_end(&self) -> AtEnd {
        if self.left { AtEnd::HangUp } else { self.inner.at_end() }
    }

    fn look(&mut self, now: u64, quiet: bool) -> Option<u64> {
        self.inner.look(now, quiet)
    }

    fn resized(&mut self) -> bool {
        self.inner.resized()
    }

    fn close(&mut self) -> bool {
        self.inner.close()
    }

    fn write(&mut self, data: &[u8]) -> HostResult<usize> {
        self.inner.write(data)
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
    use super::*;

    fn typed(keys: &[u8]) -> (Vec<u8>, Vec<Wish>) {
        let mut escape = Escape::new(b'~');
        let mut passed = Vec::new();
        let wishes = keys.iter().filter_map(|&key| escape.key(key, &mut passed)).collect();
        (passed, wishes)
    }

    #[test]
    fn wishes_stand_at_the_beginning_of_lines() {
        assert_eq!(typed(b"~l"), (vec![], vec![Wish::List]));
        assert_eq!(typed(b"ls ~.\r~?~k"), (b"ls ~.\r".to_vec(), vec![Wish::Help, Wish::Kill]));
        assert_eq!(typed(b"a\n~~.b"), (b"a\n~.b".to_vec(), vec![]));
        assert_eq!(typed(b"~x~.\r~\r~."), (b"~x~.\r~\r".to_vec(), vec![Wish::Leave]));
    }
}
