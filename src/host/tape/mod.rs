//! What the host has answered: asked and written down, or read again instead of being asked.
//!
//! A run under a clock of instructions is the same each time but for what its doors to the host bring in.  Each of these
//! doors asks through the kernel's [`Tape`]: usually the answer comes from the host at once; while a run is recorded an
//! answer that is not the [usual](Tape::ask) one is written down with its place, the count of questions before it; and
//! where a recording is played the host is not asked at all.  So a recording holds what happened, and nothing of what did
//! not.
//!
//! Must not know files of recordings, nor machines.

mod answer;
mod play;
mod record;

pub use answer::{Answer, List, get_number, put_number};
pub use play::{Difference, Player, Shown};
pub use record::{Recorder, Sink};

use std::cell::{Cell, RefCell};

/// What is asked of the host, or noted of the run.  The numbers are part of the format of recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Question {
    /// Not asked: what the run is like at this place.
    Check = 0,
    /// Not asked: the run ends here, or was stopped.
    End = 1,
    /// By how much the host's time is ahead.
    Time = 2,
    /// Who need not wait any more.
    Wait = 3,
    /// Signals that have come.
    Signals = 4,
    /// Whether the run is ended from outside.
    Limit = 5,
    /// Whether the run stops now as a job, and is continued.
    Stop = 6,
    /// Numbers and names of the host, at the beginning.
    Boot = 7,
    /// An inherited descriptor.
    Descriptor = 8,
    /// Bytes of a stream.
    StreamRead = 9,
    /// How much a stream takes.
    StreamWrite = 10,
    /// Anything else about a stream.
    Stream = 11,
    /// What was typed at a terminal.
    Keys = 12,
    /// How much a terminal takes.
    Screen = 13,
    /// Size and state of a terminal.
    Terminal = 14,
    /// Sockets of the host's network that are ready.
    Ready = 15,
    /// What came from the host's network.
    Receive = 16,
    /// How much the host's network takes.
    Send = 17,
    /// Anything else about the host's network.
    Network = 18,
    /// A socket that was lent.
    Lent = 19,
}

impl Question {
    const ALL: [Self; 20] = [
        Self::Check,
        Self::End,
        Self::Time,
        Self::Wait,
        Self::Signals,
        Self::Limit,
        Self::Stop,
        Self::Boot,
        Self::Descriptor,
        Self::StreamRead,
        Self::StreamWrite,
        Self::Stream,
        Self::Keys,
        Self::Screen,
        Self::Terminal,
        Self::Ready,
        Self::Receive,
        Self::Send,
        Self::Network,
        Self::Lent,
    ];

    fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// What it is about, for people.
    pub fn about(self) -> &'static str {
        match self {
            Self::Check => "a look at the whole run",
            Self::End => "the end",
            Self::Time => "the time",
            Self::Wait => "the end of a wait for the host",
            Self::Signals => "a signal",
            Self::Limit => "a limit",
            Self::Stop => "a stop of the job",
            Self::Boot => "a name or number of the host",
            Self::Descriptor => "an inherited descriptor",
            Self::StreamRead => "a read of a stream",
            Self::StreamWrite => "a write to a stream",
            Self::Stream => "the state of a stream",
            Self::Keys => "keys of a terminal",
            Self::Screen => "output of a terminal",
            Self::Terminal => "the state of a terminal",
            Self::Ready => "sockets that are ready",
            Self::Receive => "bytes from the network",
            Self::Send => "bytes to the network",
            Self::Network => "the network",
            Self::Lent => "a lent socket",
        }
    }
}

#[derive(Debug, Default)]
enum Way {
    /// The host is asked, and nothing is written down.
    #[default]
    Off,
    Record(Box<Recorder>),
    Play(Box<Player>),
}

/// Who asks the host for the kernel.
#[derive(Debug, Default)]
pub struct Tape {
    way: RefCell<Way>,
    on: Cell<bool>,
    plays: Cell<bool>,
    /// Instructions alone make the time.
    counted: bool,
    /// The host is being asked.
    asking: Cell<bool>,
    /// Instructions of the run, and the process that runs.
    at: Cell<u64>,
    pid: Cell<i32>,
}

impl Clone for Tape {
    /// A copy plays on from here; a recording has one run alone.
    fn clone(&self) -> Self {
        let way = match &*self.way.borrow() {
            Way::Play(player) => Way::Play(player.clone()),
            _ => Way::Off,
        };
        let on = matches!(way, Way::Play(_));
        Self {
            way: RefCell::new(way),
            on: Cell::new(on),
            plays: Cell::new(on),
            counted: self.counted,
            asking: Cell::default(),
            at: self.at.clone(),
            pid: self.pid.clone(),
        }
    }
}

impl Tape {
    /// Writes answers down.
    pub fn record(recorder: Recorder) -> Self {
        let counted = recorder.is_counted();
        let way = RefCell::new(Way::Record(Box::new(recorder)));
        Self { way, on: Cell::new(true), counted, ..Self::default() }
    }

    /// Answers as a recording says; `counted`: instructions alone make the time.
    pub fn play(player: Player, counted: bool) -> Self {
        let on = || Cell::new(true);
        Self {
            way: RefCell::new(Way::Play(Box::new(player))),
            on: on(),
            plays: on(),
            counted,
            ..Self::default()
        }
    }

    /// Whether the host's time makes a difference to the run.
    pub fn follows_host(&self) -> bool {
        self.on.get() && !self.counted
    }

    /// Whether a run is recorded or played.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on.get()
    }

    /// Whether a recording is played: the host is not asked.
    #[inline]
    pub fn plays(&self) -> bool {
        self.plays.get()
    }

    /// From now on the host is asked again.
    pub fn go_live(&self) {
        self.on.set(false);
        self.plays.set(false);
        *self.way.borrow_mut() = Way::Off;
    }

    /// Says how far the run is.
    #[inline]
    pub fn now_at(&self, instructions: u64, pid: i32) {
        self.at.set(instructions);
        self.pid.set(pid);
    }

    /// The answer to a question: the host's, where `ask` is called, or the recording's.  `usual` is the answer that need
    /// not be written down: it must be the same for runs that are the same.
    #[inline]
    pub fn ask<T: Answer + PartialEq>(&self, question: Question, usual: T, ask: impl FnOnce() -> T) -> T {
        if self.on.get() { self.ask_taped(question, usual, ask) } else { ask() }
    }

    #[inline(never)]
    fn ask_taped<T: Answer + PartialEq>(&self, question: Question, usual: T, ask: impl FnOnce() -> T) -> T {
        if let Way::Play(player) = &mut *self.way.borrow_mut() {
            return player.answer(question, self.at.get(), self.pid.get()).unwrap_or(usual);
        }
        // A door behind another one is part of its answer.
        if self.asking.replace(true) {
            return ask();
        }
        let answer = ask();
        self.asking.set(false);
        if let Way::Record(recorder) = &mut *self.way.borrow_mut() {
            recorder.asked();
            if answer != usual {
                recorder.note(question, self.at.get(), &answer);
            }
        }
        answer
    }

    /// The same for something that has no usual answer.
    pub fn learn<T: Answer>(&self, question: Question, ask: impl FnOnce() -> T) -> Option<T> {
        if let Way::Play(player) = &mut *self.way.borrow_mut() {
            return player.answer(question, self.at.get(), self.pid.get());
        }
        let answer = ask();
        if let Way::Record(recorder) = &mut *self.way.borrow_mut() {
            recorder.asked();
            recorder.note(question, self.at.get(), &answer);
        }
        Some(answer)
    }

    /// The next answer of a recording that is played.
    pub fn get<T: Answer>(&self, question: Question) -> Option<T> {
        match &mut *self.way.borrow_mut() {
            Way::Play(player) => player.answer(question, self.at.get(), self.pid.get()),
            _ => None,
        }
    }

    /// Counts bytes that the guest has given to the host: the number of a stream, or that of a terminal's screen.
    pub fn gave(&self, stream: u8, bytes: &[u8]) {
        if !self.on.get() || bytes.is_empty() {
            return;
        }
        match &mut *self.way.borrow_mut() {
            Way::Off => {}
            Way::Record(recorder) => recorder.output.add(stream, bytes),
            Way::Play(player) => player.show(stream, bytes),
        }
    }

    /// Now and then, and `before_wait`: what the run is like, which `state` says, is written down or compared.
    pub fn check(&self, before_wait: bool, state: impl FnOnce() -> u64) {
        let at = self.at.get();
        match &mut *self.way.borrow_mut() {
            Way::Off => {}
            Way::Record(recorder) => {
                recorder.asked();
                if recorder.is_due(at) || before_wait && recorder.holds_any() {
                    let state = recorder.output.mix(state()) as u32;
                    recorder.note(Question::Check, at, &state);
                    recorder.flush_if(before_wait);
                }
            }
            Way::Play(player) => player.check(at, self.pid.get(), state),
        }
    }

    /// By how much the host's time is ahead of the run's, once that is enough to matter, or, `at_once`, in any case.
    pub fn time(&self, uptime: u64, at_once: bool) -> u64 {
        let ahead = || match &*self.way.borrow() {
            Way::Record(recorder) => recorder.ahead(uptime, at_once),
            _ => 0,
        };
        self.ask(Question::Time, 0, ahead)
    }

    /// Nanoseconds on the host's clock until the run's time is `due`.
    pub fn until(&self, due: u64, uptime: u64) -> u64 {
        match &*self.way.borrow() {
            Way::Record(recorder) => recorder.until(due, uptime),
            _ => due.saturating_sub(uptime),
        }
    }

    /// Puts what was written down where it outlives this process.
    pub fn flush(&self) {
        if let Way::Record(recorder) = &mut *self.way.borrow_mut() {
            recorder.flush();
        }
    }

    /// The run is over, or is left: `how` it ended and what it is like is written down, or compared.
    pub fn end(&self, how: u64, state: u64) {
        let (at, pid) = (self.at.get(), self.pid.get());
        match &mut *self.way.borrow_mut() {
            Way::Off => {}
            Way::Record(recorder) => {
                let state = recorder.output.mix(state);
                recorder.asked();
                recorder.note(Question::End, at, &(how, state));
                recorder.flush();
            }
            Way::Play(player) => player.end(at, pid, how, state),
        }
    }

    /// Whether a recording has nothing more to play, or the run is another one.
    pub fn is_over(&self) -> bool {
        self.plays.get()
            && match &mut *self.way.borrow_mut() {
                Way::Play(player) => player.is_over(self.at.get(), self.pid.get()),
                _ => false,
            }
    }

    /// The events that were played so far, as they were written down.
    pub fn played(&self) -> Vec<u8> {
        match &*self.way.borrow() {
            Way::Play(player) => player.played().to_vec(),
            _ => Vec::new(),
        }
    }

    /// Where the run was first another one than the recording's.
    pub fn difference(&self) -> Option<Difference> {
        match &*self.way.borrow() {
            Way::Play(player) => player.difference().cloned(),
            _ => None,
        }
    }
}

/// A running hash of all that was written.
#[derive(Clone, Copy, Debug)]
pub struct Running(u64);

impl Default for Running {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Running {
    /// Adds a number.
    pub fn word(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(SPREAD);
        self.0 = mixed.rotate_left(29) ^ (mixed >> 17);
    }

    /// Adds bytes, as a stream: however they are divided, the hash is the same.
    pub fn add(&mut self, stream: u8, bytes: &[u8]) {
        for &byte in bytes {
            self.word(u64::from(stream) << 8 | u64::from(byte));
        }
    }

    /// The hash with one more number in it.
    pub fn mix(mut self, word: u64) -> u64 {
        self.word(word);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    fn asked(tape: &Tape, answers: &[u64]) -> Vec<u64> {
        let answer = |(count, &answer): (usize, &u64)| {
            tape.now_at(count as u64 * 10, 5);
            tape.ask(Question::Stream, 0, || answer)
        };
        answers.iter().enumerate().map(answer).collect()
    }

    fn recorded(answers: &[u64]) -> Rc<[u8]> {
        let written = Rc::new(RefCell::new(Vec::new()));
        let to = Rc::clone(&written);
        let sink = Sink::new(move |bytes: &[u8]| to.borrow_mut().extend_from_slice(bytes));
        let tape = Tape::record(Recorder::new(sink, true));
        assert_eq!(asked(&tape, answers), answers);
        tape.end(0, 1);
        let bytes = written.borrow().clone();
        bytes.into()
    }

    #[test]
    fn what_was_answered_is_answered_again() {
        let answers = [0, 7, 0, 0, 300, 0];
        let log = recorded(&answers);
        assert!(log.len() < 40, "usual answers take no room: {}", log.len());
        let tape = Tape::play(Player::new(log, None), true);
        assert_eq!(asked(&tape, &[9; 6]), answers);
        tape.end(0, 1);
        assert_eq!(tape.difference(), None);
    }

    #[test]
    fn another_run_is_noticed() {
        let log = recorded(&[0, 7, 0, 9]);
        let tape = Tape::play(Player::new(Rc::clone(&log), None), true);
        tape.ask(Question::Stream, 0u64, || 1);
        tape.ask(Question::Keys, 0u64, || 1);
        assert!(tape.difference().is_some() && tape.is_over(), "another question");
        let tape = Tape::play(Player::new(Rc::clone(&log), None), true);
        asked(&tape, &[0; 3]);
        tape.end(0, 1);
        assert!(tape.difference().is_some(), "an end too early");
        let tape = Tape::play(Player::new(log, None), true);
        asked(&tape, &[0; 4]);
        tape.end(0, 2);
        assert!(tape.difference().is_some(), "another state");
    }
}
