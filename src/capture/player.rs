//! The other side of a terminal in a case: types what was recorded, and shows the screen.
//!
//! All of it is a function of the guest's clock and of what the guest has shown.  Must not know cases.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use super::keys::Step;
use super::screen::Screen;
use crate::host::door::{AtEnd, Door, Size};
use crate::host::error::{HostError, HostResult};

/// Most bytes of a terminal that are kept.
const KEPT: usize = 16 << 20;
/// Most screens that are kept.
const MOST_SCREENS: usize = 1000;

/// What was shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The bytes, as many as are kept.
    pub bytes: Vec<u8>,
    /// Screens with their names, in their order; the last one is `final`.
    pub screens: Vec<(String, String)>,
    /// The step that was waited for in the end, if not all were played.
    pub waiting: Option<String>,
}

/// The name of the last screen.
pub const FINAL: &str = "final";

#[derive(Debug)]
struct State {
    steps: VecDeque<Step>,
    screen: Screen,
    size: Size,
    shown: Shown,
    typed: VecDeque<u8>,
    resized: bool,
    hung_up: bool,
    /// When the step before was done, and when the run began.
    since: u64,
    begun: Option<u64>,
}

/// The person at the terminal.
#[derive(Debug)]
pub struct Player(Rc<RefCell<State>>);

/// What the person has seen.
#[derive(Debug)]
pub struct Watched(Rc<RefCell<State>>);

impl Player {
    /// A person who will do these steps at a terminal; and what they will have seen.
    pub fn new(size: Size, steps: Vec<Step>) -> (Self, Watched) {
        let state = State {
            steps: steps.into(),
            screen: Screen::new(size),
            size,
            shown: Shown::default(),
            typed: VecDeque::new(),
            resized: false,
            hung_up: false,
            since: 0,
            begun: None,
        };
        let state = Rc::new(RefCell::new(state));
        (Self(Rc::clone(&state)), Watched(state))
    }
}

impl Watched {
    /// What has been seen, with the screen as it is.
    pub fn take(self) -> Shown {
        let mut state = self.0.borrow_mut();
        let last = state.screen.text();
        let waiting = state
            .steps
            .front()
            .map(|step| super::keys::text(std::slice::from_ref(step)).trim_end().to_owned());
        let mut shown = std::mem::take(&mut state.shown);
        shown.screens.push((FINAL.to_owned(), last));
        shown.waiting = waiting;
        shown
    }
}

impl State {
    /// Plays steps as far as it goes; gives when the next one can go on, where that is known.
    fn play(&mut self, now: u64, quiet: bool) -> Option<u64> {
        let begun = *self.begun.get_or_insert(now);
        let mut quiet = quiet;
        while let Some(step) = self.steps.front() {
            let when = match step {
                Step::Screen(text) if !self.screen.shows(text) => return self.soon(now),
                Step::Cursor(text) if !self.screen.has_cursor_behind(text) => return self.soon(now),
                Step::Quiet if !quiet || !self.typed.is_empty() => return self.soon(now),
                Step::At(ns) => begun.saturating_add(*ns),
                Step::After(ns) => self.since.saturating_add(*ns),
                _ => now,
            };
            if when > now {
                // What has been typed comes first.
                return self.soon(now).or(Some(when));
            }
            match self.steps.pop_front() {
                Some(Step::Type(keys)) => {
                    self.typed.extend(keys);
                    // Who is woken by these is not quiet.
                    quiet = false;
                }
                Some(Step::Snap(name)) if self.shown.screens.len() < MOST_SCREENS => {
                    let text = self.screen.text();
                    self.shown.screens.push((name, text));
                }
                Some(Step::Size(size)) => {
                    (self.size, self.resized) = (size, true);
                    self.screen.resize(size);
                    quiet = false;
                }
                Some(Step::HangUp) => {
                    self.hung_up = true;
                    quiet = false;
                }
                _ => {}
            }
            self.since = now;
        }
        self.soon(now)
    }

    /// Whether there is something to take at once.
    fn soon(&self, now: u64) -> Option<u64> {
        (!self.typed.is_empty() || self.hung_up || self.resized).then_some(now)
    }
}

impl Door for Player {
    fn size(&self) -> Size {
        self.0.borrow().size
    }

    fn resized(&mut self) -> bool {
        std::mem::take(&mut self.0.borrow_mut().resized)
    }

    fn at_end(&self) -> AtEnd {
        AtEnd::HangUp
    }

    fn look(&mut self, now: u64, quiet: bool) -> Option<u64> {
        self.0.borrow_mut().play(now, quiet)
    }

    fn read(&mut self, buffer: &mut [u8]) -> HostResult<usize> {
        let mut state = self.0.borrow_mut();
        if state.typed.is_empty() {
            return if state.hung_up { Ok(0) } else { Err(HostError::WOULD_BLOCK) };
        }
        let count = state.typed.len().min(buffer.len());
        for (to, key) in buffer.iter_mut().zip(state.typed.drain(..count)) {
            *to = key;
        }
        Ok(count)
    }

    fn write(&mut self, data: &[u8]) -> HostResult<usize> {
        let mut state = self.0.borrow_mut();
        state.screen.show(data);
        let room = KEPT.saturating_sub(state.shown.bytes.len());
        state.shown.bytes.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
        Ok(data.len())
    }

    fn keys_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn screen_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::parse;
    use super::*;

    const SIZE: Size = Size { rows: 3, columns: 20, width: 0, height: 0 };

    fn player(steps: &str) -> (Player, Watched) {
        Player::new(SIZE, parse(steps.as_bytes()).unwrap())
    }

    fn typed(player: &mut Player) -> Vec<u8> {
        let mut buffer = [0; 64];
        match player.read(&mut buffer) {
            Ok(count) => buffer[..count].to_vec(),
            Err(_) => Vec::new(),
        }
    }

    #[test]
    fn keys_come_when_the_screen_shows_something_and_everybody_sleeps() {
        let (mut player, watched) =
            player("cursor \"$ \"\nquiet\ntype \"ls\\r\"\nsnap one\nscreen \"out\"\n");
        assert_eq!((player.look(1, true), typed(&mut player)), (None, vec![]));
        player.write(b"$ ").unwrap();
        assert_eq!((player.look(2, false), typed(&mut player)), (None, vec![]));
        assert_eq!((player.look(3, true), typed(&mut player)), (Some(3), b"ls\r".to_vec()));
        let shown = watched.take();
        assert_eq!(shown.screens[0], ("one".to_owned(), "$\n\n\n-- 3x20, cursor at 1,3\n".to_owned()));
        assert_eq!(shown.screens[1].0, FINAL);
        assert_eq!(shown.waiting.as_deref(), Some("screen \"out\""));
    }

    #[test]
    fn keys_come_at_their_time_and_the_end_hangs_up() {
        let (mut player, _watched) = player("at 2\ntype \"a\"\nafter 1\nhangup\n");
        assert_eq!(player.look(1_000_000_000, true), Some(3_000_000_000), "since the beginning");
        assert_eq!(player.look(3_000_000_000, false), Some(3_000_000_000));
        assert_eq!(typed(&mut player), b"a");
        assert_eq!(player.look(3_500_000_000, false), Some(4_000_000_000));
        assert_eq!(player.look(4_000_000_000, false), Some(4_000_000_000));
        assert_eq!(player.read(&mut [0]).unwrap(), 0);
    }
}
