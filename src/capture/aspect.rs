//! What of a run is compared with what was recorded.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aspect {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// How the run ended.
    Exit,
    /// Files made, changed and removed.
    Files,
    /// Calls and signals.
    Calls,
    /// The number of instructions.
    Instructions,
    /// Bytes that were sent to the terminal.
    Terminal,
    /// What was on the screen.
    Screen,
}

/// Several of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aspects(u8);

impl Aspect {
    /// All, with their names for command lines and cases.
    pub const NAMES: [(&'static str, Aspect); 8] = [
        ("stdout", Aspect::Stdout),
        ("stderr", Aspect::Stderr),
        ("exit", Aspect::Exit),
        ("files", Aspect::Files),
        ("calls", Aspect::Calls),
        ("instructions", Aspect::Instructions),
        ("terminal", Aspect::Terminal),
        ("screen", Aspect::Screen),
    ];
}

impl Default for Aspects {
    /// All but the number of instructions, so that a case outlives a change of how they are counted.
    fn default() -> Self {
        Self(Self::ALL.0 & !(1 << Aspect::Instructions as u8))
    }
}

impl Aspects {
    /// Everything.
    pub const ALL: Self = Self(0xff);

    /// Whether one of them is compared.
    pub fn contains(self, aspect: Aspect) -> bool {
        self.0 & 1 << aspect as u8 != 0
    }

    /// Parses `stdout,exit`, or `all`.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.split(',').try_fold(Self(0), |set, item| {
            if item == "all" {
                return Ok(Self::ALL);
            }
            match Aspect::NAMES.iter().find(|(name, _)| *name == item) {
                Some((_, aspect)) => Ok(Self(set.0 | 1 << *aspect as u8)),
                None => {
                    let names = Aspect::NAMES.iter().map(|(name, _)| (*name).to_owned());
                    Err(crate::trace::filter::unknown("aspect", item, names))
                }
            }
        })
    }
}

impl FromIterator<Aspect> for Aspects {
    fn from_iter<I: IntoIterator<Item = Aspect>>(aspects: I) -> Self {
        Self(aspects.into_iter().fold(0, |set, aspect| set | 1 << aspect as u8))
    }
}

impl fmt::Display for Aspects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Aspect::NAMES.iter().filter(|(_, aspect)| self.contains(*aspect)).map(|(name, _)| *name);
        f.write_str(&names.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_and_printed() {
        let some = Aspects::parse("exit,stdout").unwrap();
        assert!(some.contains(Aspect::Exit) && !some.contains(Aspect::Calls));
        assert_eq!(some.to_string(), "stdout,exit");
        assert_eq!(Aspects::default().to_string(), "stdout,stderr,exit,files,calls,terminal,screen");
        assert_eq!(Aspects::parse("all").unwrap(), Aspects::ALL);
        assert_eq!(Aspects::parse("std").unwrap_err(), "unknown aspect 'std'");
    }
}
