//! The text form of recorded call sequences.
//!
//! A file is a sequence of cases, a case a sequence of steps, a step one call with the memory that it
//! finds and what it must do to it; fixtures/vectors/socket/README.md has the format.

/// A number that may be known at run time only.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    /// Known.
    Word(u32),
    /// An address in the arena.
    Arena(u32),
    /// The process, or negated.
    Pid(bool),
    /// The process group, or negated.
    Pgrp(bool),
}

/// What memory holds before a call.
#[derive(Clone, Debug)]
pub(crate) enum Before {
    /// Bytes at an offset of the arena.
    Bytes(u32, Vec<u8>),
    /// A word.
    Word(u32, Value),
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
    /// Memory is not compared.
    Any(u32, u32),
    /// Signals became pending.
    Signals(u32),
}

/// The registers after a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// Carry clear: eax, and edx if it changes.
    Success(Value, Option<u32>),
    /// Carry set: the error.
    Error(u32),
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The line, for reports.
    pub text: String,
    /// Memory before.
    pub before: Vec<Before>,
    /// Number of the call.
    pub number: u32,
    /// Arguments.
    pub args: Vec<Value>,
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
    /// The calls.
    pub steps: Vec<Step>,
}

/// Reads a file of cases.
pub(crate) fn parse(text: &str) -> Result<Vec<Case>, String> {
    let mut cases: Vec<Case> = Vec::new();
    let mut before = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let bad = || format!("line {}: cannot read `{line}`", index + 1);
        let (kind, rest) = line.split_at(line.len().min(1));
        let words: Vec<&str> = rest.split_whitespace().collect();
        let case = cases.last_mut();
        match kind {
            "" | "#" | "u" | "e" => {}
            "c" => cases.push(header(&words).ok_or_else(bad)?),
            "b" => before.push(block(&words).ok_or_else(bad)?),
            "p" => before.push(pointer(&words).ok_or_else(bad)?),
            "i" => {
                before.push(Before::Word(offset(&words, 0).ok_or_else(bad)?, at(&words, 1).ok_or_else(bad)?))
            }
            "k" => {
                let step = call(line, &words, std::mem::take(&mut before)).ok_or_else(bad)?;
                case.ok_or_else(bad)?.steps.push(step);
            }
            _ => {
                let step = case.and_then(|case| case.steps.last_mut()).ok_or_else(bad)?;
                result(step, kind, &words).ok_or_else(bad)?;
            }
        }
    }
    Ok(cases)
}

fn header(words: &[&str]) -> Option<Case> {
    let mut case = Case { name: (*words.first()?).into(), limit: 20, leak: 0, steps: Vec::new() };
    for word in &words[1..] {
        match word.split_once('=')? {
            ("lim", n) => case.limit = n.parse().ok()?,
            ("leak", n) => case.leak = n.parse().ok()?,
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
    Some(Before::Word(offset(words, 0)?, Value::Arena(offset(words, 1)?)))
}

fn call(line: &str, words: &[&str], before: Vec<Before>) -> Option<Step> {
    let args = words.get(2..)?.iter().map(|word| value(word)).collect::<Option<_>>()?;
    let answer = Answer::Error(0);
    Some(Step { text: line.into(), before, number: number(words.first()?)?, args, answer, after: Vec::new() })
}

fn result(step: &mut Step, kind: &str, words: &[&str]) -> Option<()> {
    let word = |index: usize| offset(words, index);
    match kind {
        "=" => {
            step.answer = Answer::Success(at(words, 0)?, if words.len() > 1 { Some(word(1)?) } else { None })
        }
        "!" => step.answer = Answer::Error(word(0)?),
        "m" => step.after.push(After::Bytes(word(0)?, hex(words.get(1)?)?)),
        "h" => step.after.push(After::Hash(word(0)?, word(1)?, word(2)?)),
        "v" => step.after.push(After::Word(word(0)?, at(words, 1)?)),
        "x" => step.after.push(After::Any(word(0)?, word(1)?)),
        "g" => step.after.push(After::Signals(word(0)?)),
        _ => return None,
    }
    Some(())
}

fn offset(words: &[&str], index: usize) -> Option<u32> {
    number(words.get(index)?)
}

fn at(words: &[&str], index: usize) -> Option<Value> {
    value(words.get(index)?)
}

fn value(word: &str) -> Option<Value> {
    if let Some(offset) = word.strip_prefix('@') {
        return Some(Value::Arena(number(offset)?));
    }
    Some(match word {
        "%p" => Value::Pid(false),
        "-%p" => Value::Pid(true),
        "%g" => Value::Pgrp(false),
        "-%g" => Value::Pgrp(true),
        _ => Value::Word(number(word)?),
    })
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
