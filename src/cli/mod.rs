//! The command line: it parses, builds a machine and reports; it knows nothing of guest semantics.
//!
//! Standard output belongs to the guest; what bsd21 itself has to say is one line on standard error.

mod attach;
mod binfmt;
mod capture;
mod coverage;
mod deferred;
mod doctor;
mod explain;
mod gdb;
mod generate;
mod groups;
mod host;
mod inspect;
mod inspect_json;
mod install;
mod kdump;
mod listing;
mod log;
mod missing;
mod options;
mod overlay;
mod place;
mod printer;
mod processor;
mod profile;
mod record;
mod run;
mod running;
mod shell;
mod status;
mod strace;
mod survey;
mod terminal;
mod trace;
mod verify;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::image::printable;
use deferred::Deferred;
pub use options::GuestOptions;
pub use place::Lent;
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
    /// Say on standard error what bsd21 itself does: a level (info, debug, trace) or TARGET=LEVEL, such as
    /// bsd21::file=debug.  BSD21_LOG does the same.
    #[arg(long, global = true, value_name = "FILTER", hide_short_help = true)]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a program.
    #[command(
        after_help = "Examples:\n  bsd21 run ./prog file.txt\n  bsd21 run --root /mnt/bsd /bin/ls -l /bin\n  bsd21 run --max-wall 10 --net none ./prog\n\n\
        Exit status: the program's own; 128+N when signal N of 2.1 killed it; 124 limit, 125 usage, 126 no program of 2.1, \
        127 not found."
    )]
    Run(Box<Deferred<run::Run>>),
    /// Log in on an old system: the shell, home and groups of its /etc/passwd.
    #[command(
        after_help = "Examples:\n  bsd21 shell --root /mnt/bsd\n  bsd21 shell --root /mnt/bsd --user ken -c 'who; date'\n  bsd21 shell --root /mnt/bsd --attach old\n\n\
        Exit status: the shell's, as with bsd21 run."
    )]
    Shell(Box<Deferred<shell::Shell>>),
    /// Open a further terminal on a running machine that was started with --attach NAME.
    #[command(
        after_help = "Examples:\n  bsd21 attach\n  bsd21 attach old\n  bsd21 attach old --user ken\n  bsd21 attach old --list"
    )]
    Attach(Deferred<attach::Attach>),
    /// Run a program and show its system calls.
    #[command(
        after_help = "Examples:\n  bsd21 trace -e open,stat ./prog\n  bsd21 trace -o trace.txt -tt -T -y --root /mnt/bsd make\n  \
        bsd21 trace --kernel=socket -e %network ./server\n  bsd21 trace -e inject=open:error=ENOSPC:when=3 ./prog"
    )]
    Trace(Box<Deferred<run::Trace>>),
    /// Run a program and say where its instructions went: exact counts by function and by path of calls.
    #[command(
        after_help = "Examples:\n  bsd21 profile ./prog\n  bsd21 profile -o prog.folded --format folded ./prog\n  \
        bsd21 profile -o cc.json --format speedscope --root /mnt/bsd /usr/bin/cc -c x.c\n  bsd21 profile --by process --root /mnt/bsd /bin/sh configure\n\n\
        The clock is virtual unless --clock host is given: the same run gives the same profile."
    )]
    Profile(Box<Deferred<profile::ProfileArgs>>),
    /// Run a program and say what was executed of it and of its libraries.
    #[command(
        after_help = "Examples:\n  bsd21 coverage ./prog\n  bsd21 coverage -o prog.drcov --format drcov ./prog\n  \
        bsd21 coverage -o prog.info --format lcov ./prog && genhtml -o html prog.info"
    )]
    Coverage(Box<Deferred<coverage::Coverage>>),
    /// Show what an executable file is: format, layout, symbols, libraries, system calls.
    #[command(after_help = "Examples:\n  bsd21 inspect ./prog\n  bsd21 inspect --format json /mnt/bsd/bin/*")]
    Inspect(Deferred<inspect::Inspect>),
    /// Record a run as a case that can be verified for ever.
    #[command(
        after_help = "Examples:\n  bsd21 capture -o cases/ls -- ./prog file.txt\n  bsd21 capture --root /mnt/bsd -o cases/sort -- /usr/bin/sort words"
    )]
    Capture(Box<Deferred<capture::Capture>>),
    /// Record a run with all that it gets from the host, to be played again.
    #[command(
        after_help = "Examples:\n  bsd21 record -o vi.rec --root /mnt/bsd -- /usr/bin/vi notes\n  bsd21 record -o server.rec --pack --net host -- ./server 8080\n\n\
        Exit status: as with bsd21 run."
    )]
    Record(Box<Deferred<record::Record>>),
    /// Play a recorded run, without the host, and say whether it is the same.
    #[command(
        after_help = "Examples:\n  bsd21 replay vi.rec\n  bsd21 replay --quiet --no-translate server.rec\n\n\
        Exit status: 0 where the run is the same to its end, 1 where it is another one or was cut off, 125 for a recording that \
        cannot be played."
    )]
    Replay(Deferred<record::Replay>),
    /// Go on with a run that was left by run --snapshot-at or --snapshot-on, or with a recorded one.
    #[command(
        after_help = "Examples:\n  bsd21 run --snapshot-on pause -o waits.snap ./server\n  bsd21 resume waits.snap\n  bsd21 resume --at 1000000 vi.rec\n\n\
        Exit status: as with bsd21 run; 125 for a file that cannot be gone on with."
    )]
    Resume(Deferred<record::Resume>),
    /// Run recorded cases and say what is not as it was.
    #[command(
        after_help = "Examples:\n  bsd21 verify cases\n  bsd21 verify --jobs 4 --format junit cases > junit.xml\n  bsd21 verify --bless cases/ls\n\nExit status: 0 when all cases passed, 1 when one did not or was skipped (--allow-skip), 2 for a usage error."
    )]
    Verify(Deferred<verify::Verify>),
    /// Show what a directory of old programs is made of, what is missing, and how each starts.
    Survey(Deferred<survey::Survey>),
    /// List every system call of 2.1, from the table that also dispatches them.
    Syscalls(Deferred<listing::Syscalls>),
    /// Show how a socket call goes through the kernel, step by step.
    Explain(Deferred<explain::Explain>),
    /// Show, apply or forget the changes that `run --overlay=DIR` has kept.
    Overlay(Deferred<overlay::Overlay>),
    /// Run a program under the host's gdb, with all processes that come of it.
    #[command(
        after_help = "Examples:\n  bsd21 gdb --exec ./prog\n  bsd21 gdb --exec --clock virtual --read-only ./prog    # goes back, too\n  bsd21 gdb --port 2159 --root /mnt/bsd /bin/sh -c 'ls | wc'\n\nIn gdb: 'monitor help' lists what there is beside gdb's own commands."
    )]
    Gdb(Box<Deferred<gdb::Gdb>>),
    /// Print a file of ktrace records as 4.4BSD's kdump does.
    Kdump(Deferred<kdump::Kdump>),
    /// Install a system from a CD, from distribution sets or from an archive.
    #[command(
        after_help = "Examples:\n  bsd21 install freebsd-2.1.iso bsd\n  bsd21 install --sets bin,games,compat1x /mnt/cdrom bsd\n  \
        bsd21 install --add bash-1.14.5.tgz bsd\n  bsd21 install --tree live.iso bsd\n\n\
        Exit status: 0 when all was installed, 1 when something was left out or could not be read (the same command \
        goes on where it stopped), 125 for a usage error."
    )]
    Install(Deferred<install::Install>),
    /// Say what a root or a program lacks, and how to get it.
    #[command(
        after_help = "Examples:\n  bsd21 doctor ./prog\n  bsd21 doctor --root bsd\n  bsd21 doctor --root bsd --fix\n  bsd21 doctor --root bsd /usr/bin/vi\n\n\
        Exit status: 1 when something is missing without which it does not run."
    )]
    Doctor(Deferred<doctor::Doctor>),
    /// Let the host start programs of 2.1 by their names (binfmt_misc).
    #[command(
        after_help = "Examples:\n  bsd21 binfmt --print\n  sudo bsd21 binfmt --install\n  ./oldprogram\n\n\
        Programs that need a root find it by BSD21_ROOT."
    )]
    Binfmt(Deferred<binfmt::Binfmt>),
    /// Print shell completions, the manual page, or the page of one command.
    Generate(Deferred<generate::Generate>),
}

/// Runs the command line and gives the process's exit status.
pub fn main() -> ExitCode {
    let parsed = command().try_get_matches_from(words()).and_then(|matches| Cli::from_arg_matches(&matches));
    let result = match parsed {
        Ok(cli) => log::start(cli.log.as_deref()).and_then(|()| cli.command.run()),
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

/// The words of the command line; under the name of an interpreter those that the host's kernel means.
fn words() -> Vec<OsString> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let name = words.first().map(Path::new).and_then(Path::file_name);
    if name.is_some_and(|name| name == binfmt::LINK) { binfmt::command(words) } else { words }
}

/// The command line, its commands grouped by what a person wants.
fn command() -> clap::Command {
    let command = Cli::command();
    let listing = groups::listing(&command);
    command.help_template(format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{listing}\nOptions:\n{{options}}{{after-help}}"))
}

/// One line on standard error; nobody may be there to read it.
fn complain(what: &impl Display) {
    let _ = writeln!(io::stderr(), "bsd21: {}", printable(&what.to_string()));
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
            Self::Shell(command) => command.0.run(),
            Self::Attach(command) => command.0.run(),
            Self::Gdb(command) => command.0.run(),
            Self::Trace(command) => command.0.run(),
            Self::Profile(command) => command.0.run(),
            Self::Coverage(command) => command.0.run(),
            Self::Inspect(command) => command.0.run(),
            Self::Survey(command) => command.0.run(),
            Self::Syscalls(command) => command.0.run(),
            Self::Capture(command) => command.0.run(),
            Self::Record(command) => command.0.run(),
            Self::Replay(command) => command.0.run(),
            Self::Resume(command) => command.0.run(),
            Self::Verify(command) => command.0.run(),
            Self::Explain(command) => command.0.run(),
            Self::Overlay(command) => command.0.run(),
            Self::Kdump(command) => command.0.run(),
            Self::Install(command) => command.0.run(),
            Self::Doctor(command) => command.0.run(),
            Self::Binfmt(command) => command.0.run(),
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
    // A list of missing arguments stands on lines of its own; so does what may have been meant.
    let missing = text.lines().skip(1).take_while(|line| line.starts_with("  ")).map(str::trim);
    let tip = text.lines().filter_map(|line| line.trim().strip_prefix("tip: ")).next();
    let similar =
        tip.filter(|tip| tip.contains("similar") || tip.contains("use '--")).map(|tip| format!("; {tip}"));
    let message = [&[first], &missing.collect::<Vec<_>>()[..]].concat().join(" ");
    Err(usage(format!("{message}{} (see bsd21 --help)", similar.unwrap_or_default())))
}
