//! Answering as a recording says, and seeing where a run is another one.

use std::cell::Cell;
use std::fmt;
use std::io::Write;
use std::rc::Rc;

use super::answer::{Answer, get_number};
use super::{Question, Running};

/// The first thing that was another one than in the recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Instructions of all processes before it.
    pub instructions: u64,
    /// The process that ran, 0 where none did yet.
    pub pid: i32,
    /// What was expected, and what came.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instruction {}, process {}: {}", self.instructions, self.pid, self.what)
    }
}

/// Streams that are shown: standard output, standard error, terminals.
const SHOWN: [u8; 3] = [1, 2, 3];

/// What has been shown of a run, however often it is played: no byte is shown twice.
#[derive(Clone, Debug, Default)]
pub struct Shown(Rc<Cell<[u64; 2]>>);

impl Shown {
    /// What of bytes that are written at a place of a stream was not shown yet.
    fn pass<'a>(&self, which: usize, at: u64, bytes: &'a [u8]) -> &'a [u8] {
        let mut all = self.0.get();
        let Some(shown) = all.get_mut(which) else { return &[] };
        let known = usize::try_from(shown.saturating_sub(at)).unwrap_or(usize::MAX);
        *shown = (*shown).max(at + bytes.len() as u64);
        self.0.set(all);
        bytes.get(known..).unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug)]
struct Next {
    /// Questions before it.
    questions: u64,
    question: Question,
    /// Instructions at it.
    at: u64,
}

/// Plays a recording.
#[derive(Clone, Debug)]
pub struct Player {
    log: Rc<[u8]>,
    position: usize,
    /// Where the last event ends that was played.
    taken: usize,
    questions: u64,
    /// Instructions at the last event.
    at: u64,
    next: Option<Next>,
    /// Who sees what the run writes, if somebody does; and how much it has written.
    shows: Option<Shown>,
    written: [u64; 2],
    output: Running,
    difference: Option<Difference>,
}

impl Player {
    /// Plays events from the first one on, with standard output, standard error and terminals for who looks on.
    pub fn new(log: Rc<[u8]>, shows: Option<Shown>) -> Self {
        let mut player = Self {
            log,
            position: 0,
            taken: 0,
            questions: 0,
            at: 0,
            next: None,
            shows,
            written: [0; 2],
            output: Running::default(),
            difference: None,
        };
        player.advance();
        player
    }

    fn rest(&self) -> &[u8] {
        self.log.get(self.position..).unwrap_or_default()
    }

    /// Reads the head of the next event.
    fn advance(&mut self) {
        let mut rest = self.rest();
        if rest.is_empty() {
            self.next = None;
            return;
        }
        let head = |rest: &mut &[u8]| {
            let questions = get_number(rest)?;
            let question = Question::of(u8::get(rest)?)?;
            Some((questions, question, get_number(rest)?))
        };
        let Some((questions, question, since)) = head(&mut rest) else {
            self.next = None;
            self.differs(self.at, 0, "the recording is damaged".to_owned());
            return;
        };
        let left = rest.len();
        self.position = self.log.len() - left;
        self.next =
            Some(Next { questions: self.questions + questions, question, at: self.at.wrapping_add(since) });
    }

    fn differs(&mut self, instructions: u64, pid: i32, what: String) {
        self.difference.get_or_insert(Difference { instructions, pid, what });
    }

    /// Takes the answer of the next event.
    fn take<T: Answer>(&mut self, next: Next, pid: i32) -> Option<T> {
        let mut rest = self.rest();
        let answer = T::get(&mut rest);
        let left = rest.len();
        if answer.is_none() {
            self.next = None;
            self.differs(next.at, pid, format!("what was recorded of {} is damaged", next.question.about()));
            return None;
        }
        self.position = self.log.len() - left;
        self.taken = self.position;
        self.questions = next.questions;
        self.at = next.at;
        self.advance();
        answer
    }

    pub(super) fn answer<T: Answer>(&mut self, question: Question, at: u64, pid: i32) -> Option<T> {
        // Counted from the last event on.
        self.questions += 1;
        let next = self.next.filter(|next| next.questions == self.questions)?;
        if self.difference.is_some() {
            return None;
        }
        if next.question != question {
            let (now, then) = (question.about(), next.question.about());
            self.differs(at, pid, format!("the run asks for {now}, where the recording has {then}"));
            return None;
        }
        if next.at != at {
            let then = next.at;
            self.differs(
                at,
                pid,
                format!("{} came at instruction {then} of the recording", question.about()),
            );
            return None;
        }
        self.take(next, pid)
    }

    pub(super) fn show(&mut self, stream: u8, bytes: &[u8]) {
        self.output.add(stream, bytes);
        let Some(shown) = self.shows.as_ref().filter(|_| SHOWN.contains(&stream)) else { return };
        let which = usize::from(stream == 2);
        let Some(written) = self.written.get_mut(which) else { return };
        let fresh = shown.pass(which, *written, bytes);
        *written += bytes.len() as u64;
        // Nobody may be there to see it.
        let _ = match which {
            1 => std::io::stderr().lock().write_all(fresh),
            _ => {
                let mut out = std::io::stdout().lock();
                out.write_all(fresh).and_then(|()| out.flush())
            }
        };
    }

    pub(super) fn check(&mut self, at: u64, pid: i32, state: impl FnOnce() -> u64) {
        let is_next =
            self.next.is_some_and(|n| n.questions == self.questions + 1 && n.question == Question::Check);
        if !is_next {
            self.questions += 1;
            return;
        }
        if let Some(then) = self.answer::<u32>(Question::Check, at, pid)
            && then != self.output.mix(state()) as u32
        {
            self.differs(at, pid, "registers, time or output are not what they were".to_owned());
        }
    }

    pub(super) fn end(&mut self, at: u64, pid: i32, how: u64, state: u64) {
        self.questions += 1;
        let Some(next) = self.next.filter(|_| self.difference.is_none()) else { return };
        if next.question != Question::End {
            let then = next.question.about();
            return self.differs(
                at,
                pid,
                format!("the run is over, where the recording goes on with {then}"),
            );
        }
        if (next.questions, next.at) != (self.questions, at) {
            let what = format!("the run is over, which the recording is at instruction {}", next.at);
            return self.differs(at, pid, what);
        }
        let Some((then, what)) = self.take::<(u64, u64)>(next, pid) else { return };
        if then != how {
            self.differs(at, pid, "the run has ended in another way".to_owned());
        } else if what != self.output.mix(state) {
            self.differs(at, pid, "the output, or the state at the end, is not what it was".to_owned());
        }
    }

    pub(super) fn is_over(&mut self, at: u64, pid: i32) -> bool {
        match self.next {
            _ if self.difference.is_some() => return true,
            None => return true,
            Some(next) if at > next.at || self.questions > next.questions => {
                let what = format!(
                    "the run goes on beyond {}, which came at instruction {} of the recording",
                    next.question.about(),
                    next.at
                );
                self.differs(at, pid, what);
            }
            Some(_) => {}
        }
        self.difference.is_some()
    }

    /// The events that were played so far, as they were written down.
    pub(super) fn played(&self) -> &[u8] {
        self.log.get(..self.taken).unwrap_or_default()
    }

    pub(super) fn difference(&self) -> Option<&Difference> {
        self.difference.as_ref()
    }
}
