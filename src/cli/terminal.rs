//! Options about the guest's terminal: its characters, its type, one that the host has not, and keys for bsd21.
//!
//! Must not know how a terminal works.

use std::ffi::OsStr;
use std::io::{self, IsTerminal};

use clap::{Args, ValueEnum};

use super::Failure;
use crate::host::control::Listener;
use crate::host::door::Size;
use crate::host::pair::Pair;
use crate::kernel::tty::host::Charset;
use crate::machine::control::Verbs;
use crate::machine::{Builder, Machine};

/// Options of terminals.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Terminal")]
pub(super) struct TerminalOptions {
    /// Give the guest a terminal of this size, where the host has none: its keys are standard input, its screen is
    /// standard output.
    #[arg(long, value_name = "ROWSxCOLS", value_parser = parse_size)]
    tty: Option<Size>,
    /// Characters of the host's terminal, which the guest's Latin-1 is converted to; unless given those of the
    /// host's locale.  latin1 leaves every byte as it is.
    #[arg(long, value_enum, value_name = "CHARSET")]
    charset: Option<CharsetName>,
    /// Let others of the same user ask the running machine by this name, and attach to it: see bsd21 attach.
    #[arg(long, value_name = "NAME")]
    attach: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CharsetName {
    /// ISO 8859-1.
    Latin1,
    /// UTF-8.
    Utf8,
}

/// A size: ROWSxCOLS.
pub(super) fn parse_size(text: &str) -> Result<Size, String> {
    let number = |text: &str| text.parse::<u16>().ok().filter(|&number| number > 0);
    let size = text.split_once(['x', 'X']).and_then(|(rows, columns)| {
        Some(Size { rows: number(rows)?, columns: number(columns)?, ..Size::default() })
    });
    size.ok_or_else(|| "expected ROWSxCOLS, such as 24x80".to_owned())
}

/// A key that bsd21 itself listens to, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EscapeKey(pub(super) Option<u8>);

/// A character behind which a person says what they want of bsd21, or none.
pub(super) fn parse_escape(text: &str) -> Result<EscapeKey, String> {
    match text.as_bytes() {
        b"none" => Ok(EscapeKey(None)),
        [c] => Ok(EscapeKey(Some(*c))),
        [b'^', c] => Ok(EscapeKey(Some(c & 0x1f))),
        _ => Err("expected one character, ^ and a letter for a control character, or none".to_owned()),
    }
}

/// The characters of the host's locale.
fn of_locale() -> Charset {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    let utf8 = locale.contains("utf-8") || locale.contains("utf8");
    if utf8 { Charset::Utf8 } else { Charset::Latin1 }
}

/// The host's name of its terminal, where a person is at one.
pub(super) fn host_term() -> Option<String> {
    let looks_on = io::stdin().is_terminal() || io::stdout().is_terminal();
    std::env::var("TERM").ok().filter(|term| looks_on && !term.is_empty())
}

impl TerminalOptions {
    /// Describes the terminal; in a run that can be repeated nothing of the host's decides.
    pub(super) fn apply(&self, mut builder: Builder, repeatable: bool) -> Result<Builder, Failure> {
        if repeatable && self.attach.is_some() {
            return Err(Failure::usage("--attach: nobody can be repeated: leave out --clock virtual"));
        }
        builder = builder.charset(match self.charset {
            Some(CharsetName::Latin1) => Charset::Latin1,
            Some(CharsetName::Utf8) => Charset::Utf8,
            None if repeatable => Charset::Latin1,
            None => of_locale(),
        });
        if let Some(size) = self.tty {
            let pair = Pair::standard(size).map_err(|e| Failure::usage(format!("--tty: {e}")))?;
            builder = builder.terminal(Box::new(pair));
        }
        Ok(builder)
    }

    /// Whether the guest has a terminal of its own.
    pub(super) fn has_own(&self) -> bool {
        self.tty.is_some()
    }

    /// Whether others may ask the machine.
    pub(super) fn is_asked(&self) -> bool {
        self.attach.is_some()
    }

    /// Lets others ask the machine, if that is wanted.
    pub(super) fn listen(&self, machine: &mut Machine) -> Result<(), Failure> {
        if let Some(name) = &self.attach {
            let listener =
                Listener::bind(name).map_err(|e| Failure::usage(format!("--attach {name}: {e}")))?;
            let mut verbs = Verbs::default();
            verbs.add(super::running::verb());
            machine.listen(listener, verbs);
        }
        Ok(())
    }
}

/// Whether a variable of the environment is TERM.
pub(super) fn is_term(variable: &OsStr) -> bool {
    let variable = variable.as_encoded_bytes();
    variable == b"TERM" || variable.starts_with(b"TERM=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_rows_and_columns() {
        assert_eq!(parse_size("24x80"), Ok(Size { rows: 24, columns: 80, ..Size::default() }));
        assert!(["24", "0x80", "24x", "x", "70000x1"].iter().all(|text| parse_size(text).is_err()));
    }

    #[test]
    fn an_escape_is_one_character_or_none() {
        assert_eq!(
            ["~", "^]", "none"].map(parse_escape),
            [Some(b'~'), Some(0x1d), None].map(|key| Ok(EscapeKey(key)))
        );
        assert!(parse_escape("abc").is_err() && parse_escape("").is_err());
    }
}
