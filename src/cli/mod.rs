//! The command line: it parses, builds a machine and reports; it knows nothing of guest semantics.
//!
//! Standard output belongs to the guest; what bsd21 itself has to say is one line on standard error.

mod capture;
mod deferred;
mod explain;
mod generate;
mod host;
mod inspect;
mod kdump;
mod listing;
mod options;
mod run;
mod status;
mod survey;
mod trace;
mod verify;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use deferred::Deferred;
pub use options::GuestOptions;
pub use status::Failure;
pub use trace::TraceOptions;

/// Runs original FreeBSD 2.1 (1995) i386 programs on Linux.
#[derive(Debug, Parser)]
#[command(name = "bsd21", version, propagate_version = true, disable_help_subcommand = true)]
#[command(
    after_help = "Exit status: the guest program's own; 128+N when signal N killed it; 124 when the run hit one \
                        of its limits, 125 for a usage or internal error, 126 for a file that is not a program \
                        of 2.1, 127 for one that is not found."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a program.
    Run(Deferred<run::Run>),
    /// Run a program and show its system calls.
    Trace(Box<Deferred<run::Trace>>),
    /// Show what an executable file is: format, layout, symbols, libraries, system calls.
    Inspect(Deferred<inspect::Inspect>),
    /// Record a run as a case that can be verified for ever.
    Capture(Box<Deferred<capture::Capture>>),
    /// Run recorded cases and say what is not as it was.
    #[command(
        after_help = "Exit status: 0 when all cases passed or were skipped, 1 when one did not, 2 for a usage error."
    )]
    Verify(Deferred<verify::Verify>),
    /// Show what a directory of old programs is made of, what is missing, and how each starts.
    Survey(Deferred<survey::Survey>),
    /// List every system call of 2.1, from the table that also dispatches them.
    Syscalls(Deferred<listing::Syscalls>),
    /// Show how a socket call goes through the kernel, step by step.
    Explain(Deferred<explain::Explain>),
    /// Print a file of ktrace records as 4.4BSD's kdump does.
    Kdump(Deferred<kdump::Kdump>),
    /// Print shell completions or the manual page.
    #[command(hide = true)]
    Generate(Deferred<generate::Generate>),
}

/// Runs the command line and gives the process's exit status.
pub fn main() -> ExitCode {
    let result = match Cli::try_parse() {
        Ok(cli) => cli.command.run(),
        Err(error) => usage(&error),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            complain(&failure);
            ExitCode::from(failure.status())
        }
    }
}

/// One line on standard error; nobody may be there to read it.
fn complain(what: &impl Display) {
    let _ = writeln!(io::stderr(), "bsd21: {what}");
}

/// An answer on standard output; whoever reads may have seen enough.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

impl Command {
    fn run(self) -> Result<u8, Failure> {
        match self {
            Self::Run(command) => command.0.run(),
            Self::Trace(command) => command.0.run(),
            Self::Inspect(command) => command.0.run(),
            Self::Survey(command) => command.0.run(),
            Self::Syscalls(command) => command.0.run(),
            Self::Capture(command) => command.0.run(),
            Self::Verify(command) => command.0.run(),
            Self::Explain(command) => command.0.run(),
            Self::Kdump(command) => command.0.run(),
            Self::Generate(command) => command.0.run(),
        }
    }
}

/// Help and version are answers; everything else is a usage error, told in one line.
fn usage(error: &clap::Error) -> Result<u8, Failure> {
    use clap::error::ErrorKind;
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        print(&error.to_string());
        return Ok(0);
    }
    let usage = |message: String| match std::env::args_os().nth(1) {
        Some(command) if command == "verify" => Failure::with_status(verify::USAGE, message),
        _ => Failure::usage(message),
    };
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Err(Failure::usage("no command given; bsd21 --help lists them"));
    }
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    // A list of missing arguments stands on lines of its own.
    let missing: Vec<&str> =
        text.lines().skip(1).take_while(|line| line.starts_with("  ")).map(str::trim).collect();
    Err(usage(format!("{} (see bsd21 --help)", [&[first], &missing[..]].concat().join(" "))))
}
