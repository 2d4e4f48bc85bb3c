//! Commands of a package, run in the root that it is installed in: by the guest's own shell, as its super-user.
//!
//! They see that root and nothing else: no terminal, no network, no file of the host; what they may take is limited, so
//! that a package can hold up nobody.  What they print is given back.
//!
//! 2.1 counterpart: pkg_install/lib/exec.c (vsystem).

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::machine::{Ended, Limits, Machine, Stdio};

/// What a command may take: time, memory and output.
const LIMITS: Limits = Limits {
    wall: Some(Duration::from_secs(300)),
    cpu: None,
    procs: Some(64),
    memory: Some(256 << 20),
    output: Some(1 << 20),
};
/// The shell that commands are for.
const SHELL: &str = "/bin/sh";

/// Where commands run, if they do.
#[derive(Clone, Debug)]
pub(super) struct Scripts {
    root: PathBuf,
    wanted: bool,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It ended well and has printed this.
    Done(Vec<u8>),
    /// It did not end well.
    Failed(String),
    /// It was not begun.
    NotRun(&'static str),
}

impl Scripts {
    /// Commands for a root; without `wanted` none is run.
    pub(super) fn new(root: &Path, wanted: bool) -> Self {
        Self { root: root.to_owned(), wanted }
    }

    /// Runs a line of the shell in a directory of the guest; `prefix` is what the package is installed below.
    pub(super) fn run(&self, line: &str, directory: &Path, prefix: &str) -> Outcome {
        if !self.wanted {
            return Outcome::NotRun("--no-scripts");
        }
        let machine = Machine::builder()
            .root(&self.root)
            .program(SHELL)
            .args(["-c", line])
            .cwd(directory)
            .env("PKG_PREFIX", prefix)
            .stdin("")
            .stdout(Stdio::Captured)
            .stderr(Stdio::Captured)
            .limits(LIMITS)
            .build();
        let Ok(mut machine) = machine else { return Outcome::NotRun("the root has no /bin/sh that runs") };
        let outcome = machine.run();
        let said = || {
            let last = String::from_utf8_lossy(&outcome.stderr).lines().last().unwrap_or_default().to_owned();
            if last.is_empty() { last } else { format!(" ({last})") }
        };
        match outcome.ended {
            Ended::Exited(0) => Outcome::Done([&outcome.stdout[..], &outcome.stderr].concat()),
            Ended::Exited(status) => Outcome::Failed(format!("exit status {status}{}", said())),
            Ended::Signaled(signal) => Outcome::Failed(format!("ended by signal {signal}{}", said())),
            Ended::Limit(limit) => Outcome::Failed(format!("{limit}{}", said())),
            _ => Outcome::Failed(format!("did not come to its end{}", said())),
        }
    }
}
