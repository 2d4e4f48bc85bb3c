//! One thing that was looked at: how it is, and what helps.

use std::fmt;

use super::fix::Fix;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// Some programs will miss it.
    Wanting,
    /// Nothing or little runs without it.
    Missing,
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub state: State,
    /// What it is, and how.
    pub what: String,
    /// What a person can do.
    pub help: Option<String>,
    /// What `--fix` does.
    pub fix: Option<Fix>,
}

impl Finding {
    pub(super) fn good(what: impl Into<String>) -> Self {
        Self { state: State::Good, what: what.into(), help: None, fix: None }
    }

    pub(super) fn wanting(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { state: State::Wanting, what: what.into(), help: Some(help.into()), fix: None }
    }

    pub(super) fn missing(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { state: State::Missing, what: what.into(), help: Some(help.into()), fix: None }
    }

    pub(super) fn fixed_by(self, fix: Fix) -> Self {
        Self { fix: Some(fix), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Good => "ok      ",
            State::Wanting => "wanting ",
            State::Missing => "missing ",
        };
        write!(f, "{state}{}", self.what)?;
        if let Some(help) = &self.help {
            write!(f, "\n        -> {help}")?;
        }
        if self.fix.is_some() {
            f.write_str(if self.help.is_some() { " (or --fix)" } else { "\n        -> --fix" })?;
        }
        Ok(())
    }
}
