//! How bsd21 itself ends: its failures, each one line and one exit status.

use std::fmt;
use std::path::Path;

use syscalls::flags::RebootFlags;

use crate::host::look::{self, Contents};
use crate::machine::{Ended, StartError};

/// A guest that wants the system started again.
const RESTART: u8 = 123;
/// A run that hit one of its limits.
pub(super) const LIMIT: u8 = 124;
/// Usage, and errors of our own.
const INTERNAL: u8 = 125;
/// A file that is there and is not executed.
const REFUSED: u8 = 126;
/// A program that is not found.
const NOT_FOUND: u8 = 127;
/// Added to the number of the signal that killed the guest.
const BY_SIGNAL: u8 = 128;

/// Why bsd21 gives up; never the guest's own exit status.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    /// Wrong use of the command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { status: INTERNAL, message: message.into() }
    }

    /// Anything, with the exit status of a command that has its own.
    pub fn with_status(status: u8, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// Something that ought to work and does not.
    pub fn internal(error: &anyhow::Error) -> Self {
        Self { status: INTERNAL, message: format!("{error:#}") }
    }

    /// A file that no activator takes.
    pub fn refused(message: impl Into<String>) -> Self {
        Self { status: REFUSED, message: message.into() }
    }

    /// A program that is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self { status: NOT_FOUND, message: message.into() }
    }

    /// The exit status.
    pub fn status(&self) -> u8 {
        self.status
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let status = match &error {
            StartError::NotFound { .. } => NOT_FOUND,
            StartError::NotExecutable { .. }
            | StartError::Unfit { .. }
            | StartError::Interpreter { .. }
            | StartError::Refused { .. } => REFUSED,
            _ => INTERNAL,
        };
        Self { status, message: error.to_string() }
    }
}

/// The exit status for the end of a run: the guest's own, or 128 and the signal.
pub(super) fn of_run(ended: Ended) -> Result<u8, Failure> {
    match ended {
        Ended::Exited(status) => Ok(status),
        Ended::Signaled(signal) => Ok(BY_SIGNAL | signal as u8),
        Ended::Limit(limit) => Err(Failure { status: LIMIT, message: limit.to_string() }),
        Ended::Rebooted(how) if how.contains(RebootFlags::HALT) => {
            Err(Failure { status: 0, message: "the guest has halted the system".to_owned() })
        }
        Ended::Rebooted(how) => {
            Err(Failure { status: RESTART, message: format!("the guest restarts the system ({how})") })
        }
        Ended::Deadlock => Err(Failure {
            status: INTERNAL,
            message: "every process of the guest waits for something that cannot happen".to_owned(),
        }),
    }
}

/// The bytes of a regular file of the host, at most so many, or why not.
pub(super) fn read_file(path: &Path, most: u64) -> Result<Contents, Failure> {
    look::open_named(path).and_then(|file| look::bounded(&file, Vec::new(), most)).map_err(|error| {
        let message = format!("{}: {}", path.display(), plain(&error));
        match error.kind() {
            std::io::ErrorKind::NotFound => Failure::not_found(message),
            _ => Failure::refused(message),
        }
    })
}

/// An error of the host without its number.
pub(super) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_128_and_its_number() {
        assert_eq!(of_run(Ended::Exited(3)).ok(), Some(3));
        assert_eq!(of_run(Ended::Signaled(11)).ok(), Some(139));
    }
}
