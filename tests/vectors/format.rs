//! The text form of recorded call sequences.
//!
//! A file is a sequence of cases, a case a sequence of steps, a step one call with the memory that it
//! finds and what it must do to it; fixtures/vectors/calls/README.md has the format.  Steps may be made by
//! several processes; a case that says nothing of them has one.
#![allow(dead_code)] // each test that reads vectors uses its part of the format

/// Something that is known at run time only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Symbol {
    /// The arena.
    Arena,
    /// The number of a process of the case.
    Process(usize),
    /// The process group.
    Group,
    /// The number of the parent of process 0.
    Parent,
    /// A signal handler, the first or the second.
    Handler(u32),
    /// Room for a signal stack.
    SignalStack,
    /// The identifier of a System V object, by kind, slot, and how many were made there since the case began.
    Object(Kind, u32, u32),
}

/// A kind of System V objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sets of semaphores.
    Semaphores,
    /// Message queues.
    Messages,
    /// Shared memory.
    Memory,
}

/// A number that may be known at run time only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    /// What it is based on; plain numbers on nothing.
    symbol: Option<Symbol>,
    negative: bool,
    plus: u32,
}

impl Value {
    /// The number, with the help of what gives that of a symbol.
    pub(crate) fn resolve(self, lookup: impl FnOnce(Symbol) -> u32) -> u32 {
        let base = self.symbol.map_or(0, lookup);
        (if self.negative { base.wrapping_neg() } else { base }).wrapping_add(self.plus)
    }
}

/// What a register holds after a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Register {
    /// This.
    Value(Value),
    /// Anything.
    Any,
    /// What it held before.
    Unchanged,
}

/// What memory holds before a call.
#[derive(Clone, Debug)]
pub(crate) enum Before {
    /// Bytes at an offset of the arena.
    Bytes(u32, Vec<u8>),
    /// A word.
    Word(u32, Value),
    /// Bytes that are there already, from another place, with something added to the number in network order
    /// that they begin with.
    Copy(Same),
}

/// Bytes as at another place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Same {
    /// Where.
    pub at: u32,
    /// As where.
    pub from: u32,
    /// How many.
    pub len: u32,
    /// What is added.
    pub add: u32,
}

/// What a call must have done.
#[derive(Clone, Debug)]
pub(crate) enum After {
    /// Memory holds bytes.
    Bytes(u32, Vec<u8>),
    /// Memory holds bytes with an FNV-1a hash.
    Hash(u32, u32, u32),
    /// Memory holds a word.
    Word(u32, Value),
    /// Memory holds the upper half of an identifier: its sequence number.
    Sequence(u32, Value),
    /// Memory holds the same bytes as another place.
    Same(Same),
    /// Memory is not compared.
    Any(u32, u32),
    /// Memory holds a word that is not zero.
    Nonzero(u32),
    /// Signals became pending.
    Signals(u32),
    /// Signals were delivered to handlers; whether each ran on the signal stack.
    Delivered(Vec<(u32, bool)>),
}

/// The registers after a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// Carry clear: eax and edx.
    Success(Register, Register),
    /// Carry set: the error.
    Error(u32),
}

/// A process begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Process 0 forks it.
    Fork(usize),
    /// It exits, and process 0 waits for it.
    Exit(usize),
    /// The case goes on in a child in a group of its own, whose parent is the session's leader.
    Leave,
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The line, for reports.
    pub text: String,
    /// The process that makes it.
    pub process: usize,
    /// Processes that begin or end before it.
    pub events: Vec<Event>,
    /// Memory before.
    pub before: Vec<Before>,
    /// Number of the call.
    pub number: u32,
    /// Arguments.
    pub args: Vec<Value>,
    /// Milliseconds after which SIGALRM ends its sleep.
    pub alarm: Option<u32>,
    /// Registers after.
    pub answer: Answer,
    /// Memory and signals after.
    pub after: Vec<After>,
}

/// One sequence.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Its name.
    pub name: String,
    /// Soft limit of descriptors.
    pub limit: u32,
    /// Files and rights that the original loses.
    pub leak: usize,
    /// User and group of process 0.
    pub ids: (u32, u32),
    /// Groups of process 0.
    pub groups: Vec<u32>,
    /// Process 0 is not the super-user.
    pub nonroot: bool,
    /// It looks at the names of the system.
    pub system: bool,
    /// Process 0 leads a session without a terminal.
    pub leader: bool,
    /// Pseudo terminals that it uses.
    pub ptys: u32,
    /// Files that exist at the beginning, empty.
    pub files: Vec<String>,
    /// The calls.
    pub steps: Vec<Step>,
}

/// What has been read for the next step.
#[derive(Debug, Default)]
struct Pending {
    before: Vec<Before>,
    events: Vec<Event>,
    process: usize,
    alarm: Option<u32>,
}

/// Reads a file of cases.
pub(crate) fn parse(text: &str) -> Result<Vec<Case>, String> {
    let mut cases: Vec<Case> = Vec::new();
    let mut next = Pending::default();
    for (index, line) in text.lines().enumerate() {
        read_line(&mut cases, &mut next, line)
            .ok_or_else(|| format!("line {}: cannot read `{line}`", index + 1))?;
    }
    Ok(cases)
}

fn read_line(cases: &mut Vec<Case>, next: &mut Pending, line: &str) -> Option<()> {
    let (kind, rest) = line.split_at(line.len().min(1));
    let words: Vec<&str> = rest.split_whitespace().collect();
    let case = cases.last_mut();
    match kind {
        "" | "#" => {}
        "c" => {
            cases.push(header(&words)?);
            *next = Pending::default();
        }
        "e" => *next = Pending::default(),
        "u" => case?.files.push((*words.first()?).into()),
        "b" => next.before.push(block(&words)?),
        "p" => next.before.push(pointer(&words)?),
        "i" => next.before.push(Before::Word(offset(&words, 0)?, at(&words, 1)?)),
        "f" if words.is_empty() => next.events.push(Event::Leave),
        "f" => next.events.push(Event::Fork(offset(&words, 0)? as usize)),
        "t" => next.events.push(Event::Exit(offset(&words, 0)? as usize)),
        "y" => next.before.push(Before::Copy(same(&words)?)),
        "a" => next.alarm = Some(offset(&words, 0)?),
        "w" => next.process = offset(&words, 0)? as usize,
        "k" => case?.steps.push(call(line, &words, std::mem::take(next))?),
        _ => result(case?.steps.last_mut()?, kind, &words)?,
    }
    Some(())
}

fn header(words: &[&str]) -> Option<Case> {
    let mut case = Case {
        name: (*words.first()?).into(),
        limit: 20,
        leak: 0,
        ids: (0, 0),
        groups: vec![0],
        nonroot: false,
        system: false,
        leader: false,
        ptys: 0,
        files: Vec::new(),
        steps: Vec::new(),
    };
    for word in &words[1..] {
        match word.split_once('=').unwrap_or((word, "")) {
            ("lim", n) => case.limit = n.parse().ok()?,
            ("leak", n) => case.leak = n.parse().ok()?,
            ("uid", n) => case.ids.0 = n.parse().ok()?,
            ("gid", n) => case.ids.1 = n.parse().ok()?,
            ("groups", list) => {
                case.groups = list.split(',').map(|n| n.parse().ok()).collect::<Option<_>>()?
            }
            ("sys", "") => case.system = true,
            ("nonroot", "") => case.nonroot = true,
            ("raw" | "ipc", "") => {}
            ("sid", "") => case.leader = true,
            ("pty", n) => case.ptys = n.parse().ok()?,
            _ => return None,
        }
    }
    Some(case)
}

fn block(words: &[&str]) -> Option<Before> {
    let [offset, len, init] = words else { return None };
    let (offset, len) = (number(offset)?, number(len)?);
    let mut bytes = vec![0xa5; len as usize];
    let (kind, rest) = init.split_at(1);
    match kind {
        "u" => {}
        "z" => bytes.fill(0),
        "x" => hex(rest)?.into_iter().zip(&mut bytes).for_each(|(value, byte)| *byte = value),
        "p" => {
            let seed = number(rest)?.wrapping_mul(29);
            for (i, byte) in (0u32..).zip(&mut bytes) {
                *byte = (seed.wrapping_add(i * 5).wrapping_add((i >> 7) * 11) & 0x7f) as u8;
            }
        }
        _ => return None,
    }
    Some(Before::Bytes(offset, bytes))
}

fn pointer(words: &[&str]) -> Option<Before> {
    let plus = offset(words, 1)?;
    Some(Before::Word(offset(words, 0)?, Value { symbol: Some(Symbol::Arena), negative: false, plus }))
}

fn call(line: &str, words: &[&str], pending: Pending) -> Option<Step> {
    let Pending { before, events, process, alarm } = pending;
    let args = words.get(2..)?.iter().map(|word| value(word)).collect::<Option<_>>()?;
    let answer = Answer::Error(0);
    let number = number(words.first()?)?;
    Some(Step { text: line.into(), process, events, before, number, args, alarm, answer, after: Vec::new() })
}

fn result(step: &mut Step, kind: &str, words: &[&str]) -> Option<()> {
    let word = |index: usize| offset(words, index);
    match kind {
        "=" => {
            let edx = words.get(1).map_or(Some(Register::Unchanged), |word| register(word))?;
            step.answer = Answer::Success(register(words.first()?)?, edx);
        }
        "!" => step.answer = Answer::Error(word(0)?),
        "m" => step.after.push(After::Bytes(word(0)?, hex(words.get(1)?)?)),
        "h" => step.after.push(After::Hash(word(0)?, word(1)?, word(2)?)),
        "v" => step.after.push(After::Word(word(0)?, at(words, 1)?)),
        "q" => step.after.push(After::Sequence(word(0)?, at(words, 1)?)),
        "r" => step.after.push(After::Same(same(words)?)),
        "x" => step.after.push(After::Any(word(0)?, word(1)?)),
        "n" => step.after.push(After::Nonzero(word(0)?)),
        "d" => step
            .after
            .push(After::Delivered(words.iter().map(|word| delivered(word)).collect::<Option<_>>()?)),
        "g" => step.after.push(After::Signals(word(0)?)),
        _ => return None,
    }
    Some(())
}

fn same(words: &[&str]) -> Option<Same> {
    let word = |index: usize| offset(words, index);
    let add = if words.len() > 3 { word(3)? } else { 0 };
    Some(Same { at: word(0)?, from: word(1)?, len: word(2)?, add })
}

fn offset(words: &[&str], index: usize) -> Option<u32> {
    number(words.get(index)?)
}

fn at(words: &[&str], index: usize) -> Option<Value> {
    value(words.get(index)?)
}

fn register(word: &str) -> Option<Register> {
    if word == "*" { Some(Register::Any) } else { value(word).map(Register::Value) }
}

/// A delivered signal: its number, and an `a` behind it for the signal stack.
fn delivered(word: &str) -> Option<(u32, bool)> {
    match word.strip_suffix('a') {
        Some(number) => Some((number.parse().ok()?, true)),
        None => Some((word.parse().ok()?, false)),
    }
}

fn value(word: &str) -> Option<Value> {
    if let Some(offset) = word.strip_prefix('@') {
        return Some(Value { symbol: Some(Symbol::Arena), negative: false, plus: number(offset)? });
    }
    let (negative, rest) = word.strip_prefix('-').map_or((false, word), |rest| (true, rest));
    let Some(name) = rest.strip_prefix('%') else {
        return Some(Value { symbol: None, negative: false, plus: number(word)? });
    };
    let (name, plus) = name.split_once('+').unwrap_or((name, "0"));
    let symbol = match name {
        "p" => Symbol::Process(0),
        "a" => Symbol::Process(1),
        "b" => Symbol::Process(2),
        "c" => Symbol::Process(3),
        "g" => Symbol::Group,
        "P" => Symbol::Parent,
        "h" => Symbol::Handler(0),
        "H" => Symbol::Handler(1),
        "s" => Symbol::SignalStack,
        _ => object(name)?,
    };
    Some(Value { symbol: Some(symbol), negative, plus: number(plus)? })
}

/// `S3.1`: the second object of a kind in a slot.
fn object(name: &str) -> Option<Symbol> {
    let (kind, place) = name.split_at_checked(1)?;
    let kind = match kind {
        "S" => Kind::Semaphores,
        "M" => Kind::Messages,
        "Z" => Kind::Memory,
        _ => return None,
    };
    let (slot, generation) = place.split_once('.').unwrap_or((place, "0"));
    Some(Symbol::Object(kind, number(slot)?, number(generation)?))
}

fn number(word: &str) -> Option<u32> {
    let (negative, digits) = word.strip_prefix('-').map_or((false, word), |digits| (true, digits));
    let value = match digits.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { value.wrapping_neg() } else { value })
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(digits.get(i..i + 2)?, 16).ok()).collect()
}
