//! How many instructions were executed in which form, and why translated code was left.
//!
//! Reasons are counted only where somebody wants to know them.

use iced_x86::Mnemonic;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;

/// Why control left translated code, or did not enter it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The kernel was called.
    Call,
    /// There is no code where control goes.
    Unknown,
    /// The budget, or what is kept in reserve of it, is used up.
    Budget,
    /// The host refused what an instruction wanted.
    Refused(Mnemonic),
    /// An instruction is not translated.
    Untranslated(Mnemonic),
    /// The bytes of a block are no longer what they were.
    Changed,
    /// The direction flag is set.
    Down,
    /// The x87 unit is used in a way that is not the host's.
    Soft,
    /// The host has no room for more mappings.
    Unguarded,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call => f.write_str("calls of the kernel"),
            Self::Unknown => f.write_str("targets without code"),
            Self::Budget => f.write_str("ends of a budget"),
            Self::Refused(m) => write!(f, "{} that the host refused", name(*m)),
            Self::Untranslated(m) => write!(f, "{} that is not translated", name(*m)),
            Self::Changed => f.write_str("bytes that have changed"),
            Self::Down => f.write_str("strings that go downwards"),
            Self::Soft => f.write_str("x87 control words that are not for the host"),
            Self::Unguarded => f.write_str("no room for mappings of the host"),
        }
    }
}

fn name(mnemonic: Mnemonic) -> String {
    format!("{mnemonic:?}").to_ascii_lowercase()
}

/// What was counted.
#[derive(Debug, Default)]
pub struct Tally {
    pub(super) translated: Cell<u64>,
    pub(super) general: Cell<u64>,
    reasons: Option<RefCell<HashMap<Reason, u64>>>,
}

impl Tally {
    pub(super) fn new(reasons: bool) -> Self {
        Self { reasons: reasons.then(RefCell::default), ..Self::default() }
    }

    /// Instructions that translated code has executed.
    pub fn translated(&self) -> u64 {
        self.translated.get()
    }

    /// Instructions that were executed in their general form.
    pub fn general(&self) -> u64 {
        self.general.get()
    }

    /// Whether reasons are counted.
    #[inline(always)]
    pub(super) fn wants_reasons(&self) -> bool {
        self.reasons.is_some()
    }

    #[cold]
    #[inline(never)]
    pub(super) fn note(&self, reason: Reason) {
        if let Some(reasons) = &self.reasons {
            *reasons.borrow_mut().entry(reason).or_default() += 1;
        }
    }

    /// Why code was left and how often, the most frequent first.
    pub fn reasons(&self) -> Vec<(Reason, u64)> {
        let mut all: Vec<_> = self.reasons.iter().flat_map(|all| all.borrow().clone()).collect();
        all.sort_unstable_by_key(|&(reason, count)| (std::cmp::Reverse(count), reason));
        all
    }
}

#[inline(always)]
pub(super) fn add(count: &Cell<u64>, more: u64) {
    count.set(count.get().wrapping_add(more));
}
