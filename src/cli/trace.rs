//! The options of `bsd21 trace`: strace's letters, turned into what the tracer understands.
//!
//! Must not know what a trace looks like.

use std::ffi::OsStr;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use clap::{ArgAction, Args, ValueEnum};

use super::Failure;
use super::status::plain;
use super::strace::LongForms;
use crate::host::output::{self, OutputDirectory};
use crate::trace::filter::Outcomes;
use crate::trace::options::{Column, FdDetail, Format, Layers, Precision, SortBy, Stamp, Summary};
use crate::trace::text::{HexStrings, Symbols};
use crate::trace::{Options, Output};

/// Options of a trace.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Trace")]
pub struct TraceOptions {
    /// Write the trace to FILE instead of standard error; '|COMMAND' is a command that reads it.
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    output: Option<PathBuf>,
    /// Append to FILE.
    #[arg(short = 'A', long = "output-append-mode", requires = "output")]
    append: bool,
    /// How the trace is written.
    #[arg(long, value_enum, default_value = "strace")]
    format: FormatName,
    /// Children are always traced, in one stream; twice: one file a process, FILE.PID.
    #[arg(short = 'f', long = "follow-forks", action = ArgAction::Count)]
    follow: u8,
    /// What to show: trace=NAME,%class,/regex (! in front: all others), signal=, status=, read=, write=,
    /// inject=NAME:error=ERR:when=N, fault=, kernel=.
    #[arg(short = 'e', value_name = "EXPRESSION")]
    expressions: Vec<String>,
    #[command(flatten)]
    long: LongExpressions,
    #[command(flatten)]
    forms: LongForms,
    /// Only calls that touch PATH.
    #[arg(short = 'P', long = "trace-path", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only calls that succeed.
    #[arg(short = 'z', long = "successful-only")]
    successful: bool,
    /// Only calls that fail.
    #[arg(short = 'Z', long = "failed-only", conflicts_with = "successful")]
    failed: bool,
    /// Only a table of counts and times, at the end.
    #[arg(short = 'c', long = "summary-only")]
    summary_only: bool,
    /// The table behind the trace.
    #[arg(short = 'C', long = "summary")]
    summary: bool,
    /// How the table is sorted.
    #[arg(short = 'S', long = "summary-sort-by", value_enum, default_value = "time", value_name = "KEY")]
    sort: SortName,
    /// The columns of the table: time-percent, total-time, slept, min-time, max-time, avg-time, calls, errors, name.
    #[arg(short = 'U', long = "summary-columns", value_name = "COLUMNS")]
    columns: Option<String>,
    /// Times of the table include sleeps.
    #[arg(short = 'w', long = "summary-wall-clock")]
    wall_clock: bool,
    /// Most bytes of a string that are shown.
    #[arg(short = 's', long = "string-limit", default_value_t = 32, value_name = "N")]
    string_limit: usize,
    /// Show structures, lists and environments whole.
    #[arg(short = 'v', long = "no-abbrev")]
    whole: bool,
    /// Show strings that are not ASCII in base 16; twice: all strings.
    #[arg(short = 'x', action = ArgAction::Count)]
    hex: u8,
    /// How numbers with names are shown: names, numbers, or both.
    #[arg(
        short = 'X',
        long = "const-print-style",
        value_enum,
        default_value = "abbrev",
        value_name = "STYLE"
    )]
    symbols: SymbolStyle,
    /// Explain descriptors by their paths; twice: sockets by their peers too.
    #[arg(short = 'y', action = ArgAction::Count)]
    fds: u8,
    /// The guest's time of day; twice: with microseconds; three times: since the epoch.
    #[arg(short = 't', action = ArgAction::Count)]
    stamp: u8,
    /// The time since the line before.
    #[arg(short = 'r')]
    relative: bool,
    /// The time that each call took.
    #[arg(short = 'T')]
    durations: bool,
    /// The address of the call.
    #[arg(short = 'i', long = "instruction-pointer")]
    eip: bool,
    /// The guest's stack at each call, with the symbols of the program.
    #[arg(short = 'k', long = "stack-traces", alias = "stack-trace", action = ArgAction::Count)]
    stack: u8,
    /// The number of each call.
    #[arg(short = 'n', long = "syscall-number")]
    numbers: bool,
    /// Column in which results begin.
    #[arg(short = 'a', long = "columns", default_value_t = 40, value_name = "COLUMN")]
    column: usize,
    /// Leave out remarks; twice: ends of processes too.
    #[arg(short = 'q', action = ArgAction::Count)]
    quiet: u8,
    /// What the kernel does inside of each call: socket, file, vfs, sleep, signal.
    #[arg(long, value_name = "LAYERS", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    kernel: Option<String>,
    /// Show calls that sleep twice, as strace does.
    #[arg(long)]
    unfinished: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatName {
    /// Lines as strace prints them.
    Strace,
    /// One JSON object a line; docs/tracing.md describes them.
    Jsonl,
    /// Lines as 4.4BSD's kdump prints them.
    Kdump,
    /// The binary records of 2.1's ktrace.
    Ktrace,
    /// Trace events for Perfetto and other viewers.
    Chrome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SortName {
    /// By time in the kernel.
    #[value(alias = "time-percent", alias = "total-time", alias = "time-total")]
    Time,
    /// By the time of the shortest call.
    #[value(alias = "shortest")]
    MinTime,
    /// By the time of the longest call.
    #[value(alias = "longest")]
    MaxTime,
    /// By the time of a call.
    AvgTime,
    /// By time asleep.
    Slept,
    /// By number of calls.
    #[value(alias = "count")]
    Calls,
    /// By number of errors.
    #[value(alias = "error")]
    Errors,
    /// By name.
    #[value(alias = "syscall", alias = "syscall-name")]
    Name,
    /// By number of the call.
    #[value(alias = "none")]
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SymbolStyle {
    /// Names.
    Abbrev,
    /// Numbers.
    Raw,
    /// Numbers, with names behind them.
    Verbose,
}

/// The expressions of `-e` as options of their own, as strace has them too.
#[derive(Clone, Debug, Args)]
struct LongExpressions {
    #[arg(long, hide = true, value_name = "SET")]
    trace: Vec<String>,
    #[arg(long, alias = "signals", hide = true, value_name = "SET")]
    signal: Vec<String>,
    #[arg(long, hide = true, value_name = "SET")]
    status: Vec<String>,
    #[arg(long, hide = true, value_name = "FDS")]
    read: Vec<String>,
    #[arg(long, hide = true, value_name = "FDS")]
    write: Vec<String>,
    #[arg(long, hide = true, value_name = "INJECTION")]
    inject: Vec<String>,
    #[arg(long, hide = true, value_name = "INJECTION")]
    fault: Vec<String>,
    #[arg(long, hide = true, value_name = "SET")]
    abbrev: Vec<String>,
    #[arg(long, hide = true, value_name = "SET")]
    raw: Vec<String>,
    #[arg(long, hide = true, value_name = "SET")]
    verbose: Vec<String>,
}

impl LongExpressions {
    /// The same as expressions.
    fn expressions(&self) -> impl Iterator<Item = String> {
        let Self { trace, signal, status, read, write, inject, fault, abbrev, raw, verbose } = self;
        [
            ("trace", trace),
            ("signal", signal),
            ("status", status),
            ("read", read),
            ("write", write),
            ("inject", inject),
            ("fault", fault),
            ("abbrev", abbrev),
            ("raw", raw),
            ("verbose", verbose),
        ]
        .into_iter()
        .flat_map(|(key, values)| values.iter().map(move |value| format!("{key}={value}")))
    }
}

impl TraceOptions {
    /// What the tracer is told.
    pub fn options(&self) -> Result<Options, Failure> {
        let mut options = Options {
            format: match self.format {
                FormatName::Strace => Format::Strace,
                FormatName::Jsonl => Format::Jsonl,
                FormatName::Kdump => Format::Kdump,
                FormatName::Ktrace => Format::Ktrace,
                FormatName::Chrome => Format::Chrome,
            },
            paths: self.paths.iter().map(|p| p.as_os_str().as_bytes().to_vec()).collect(),
            string_limit: self.string_limit,
            verbose: self.whole,
            fd_detail: match self.fds {
                0 => FdDetail::Number,
                1 => FdDetail::Path,
                _ => FdDetail::Full,
            },
            stamp: match self.stamp {
                0 => Stamp::None,
                1 => Stamp::Time(Precision::Second),
                2 => Stamp::Time(Precision::Micro),
                _ => Stamp::Epoch(Precision::Micro),
            },
            relative: self.relative.then_some(Precision::Micro),
            durations: self.durations.then_some(Precision::Micro),
            eip: self.eip,
            stack: self.stack > 0,
            numbers: self.numbers,
            column: self.column,
            unfinished: self.unfinished,
            quiet: self.quiet,
            summary: match (self.summary_only, self.summary) {
                (true, _) => Summary::Only,
                (false, true) => Summary::Also,
                (false, false) => Summary::None,
            },
            sort: match self.sort {
                SortName::Time => SortBy::Time,
                SortName::MinTime => SortBy::Shortest,
                SortName::MaxTime => SortBy::Longest,
                SortName::AvgTime => SortBy::Average,
                SortName::Slept => SortBy::Slept,
                SortName::Calls => SortBy::Calls,
                SortName::Errors => SortBy::Errors,
                SortName::Name => SortBy::Name,
                SortName::Nothing => SortBy::Nothing,
            },
            wall_clock: self.wall_clock,
            ..Options::default()
        };
        options.style.symbols = match self.symbols {
            SymbolStyle::Abbrev => Symbols::Names,
            SymbolStyle::Raw => Symbols::Numbers,
            SymbolStyle::Verbose => Symbols::Both,
        };
        if let Some(columns) = &self.columns {
            options.columns = Column::parse_list(columns).map_err(|e| Failure::usage(format!("-U: {e}")))?;
        }
        options.style.hex_strings = match self.hex {
            0 => HexStrings::Never,
            1 => HexStrings::NotAscii,
            _ => HexStrings::Always,
        };
        if self.successful {
            options.outcomes = Outcomes { successful: true, failed: false, unfinished: false };
        }
        if self.failed {
            options.outcomes = Outcomes { successful: false, failed: true, unfinished: false };
        }
        if let Some(layers) = &self.kernel {
            options.layers = Layers::parse(layers).map_err(|e| Failure::usage(format!("--kernel: {e}")))?;
        }
        let terminal = self.output.is_none() && io::stderr().is_terminal();
        self.forms.apply(&mut options, terminal).map_err(Failure::usage)?;
        for expression in self.expressions.iter().cloned().chain(self.long.expressions()) {
            options.apply(&expression).map_err(|e| Failure::usage(format!("-e {expression}: {e}")))?;
        }
        if self.is_separate() && self.output.is_none() {
            return Err(Failure::usage("-ff needs -o FILE"));
        }
        Ok(options)
    }

    /// Whether calls are counted.
    pub(super) fn is_summary(&self) -> bool {
        self.summary_only || self.summary
    }

    /// Whether each process has a file of its own.
    pub(super) fn is_separate(&self) -> bool {
        self.follow > 1 || self.forms.separately
    }

    /// Whether remarks of bsd21 itself are left out.
    pub fn quiet(&self) -> bool {
        self.quiet > 0
    }

    /// Where the trace goes.
    pub fn destination(&self) -> Result<Output, Failure> {
        let Some(path) = self.output.clone() else {
            return Ok(Output::stream(Box::new(io::stderr()), true));
        };
        if let [b'|' | b'!', command @ ..] = path.as_os_str().as_bytes() {
            if self.is_separate() {
                return Err(Failure::usage("-ff writes a file for each process: -o must name a file"));
            }
            let reader = Reader::start(OsStr::from_bytes(command))
                .map_err(|e| Failure::usage(format!("-o {}: {}", path.display(), plain(&e))))?;
            return Ok(Output::stream(Box::new(reader), false));
        }
        let refused = |e| Failure::usage(format!("-o {}: {}", path.display(), plain(&e)));
        if self.is_separate() {
            let (directory, first) = OutputDirectory::of(&path, self.append).map_err(refused)?;
            return Ok(Output::per_process(Box::new(move |pid, again| {
                let mut name = first.clone();
                name.push(format!(".{pid}"));
                Ok(Box::new(BufWriter::new(directory.open(&name, again)?)) as Box<dyn Write>)
            })));
        }
        let file = output::create(&path, self.append).map_err(refused)?;
        Ok(Output::stream(Box::new(BufWriter::new(file)), false))
    }

    /// Whether the trace stands on standard error, where the guest's end can be read.
    pub(super) fn is_on_stderr(&self) -> bool {
        self.output.is_none()
    }

    /// What complaints about the trace's destination begin with.
    pub(super) fn target(&self) -> String {
        match &self.output {
            Some(path) => format!("-o {}", path.display()),
            None => "cannot write the trace".to_owned(),
        }
    }
}

/// A command of the host that reads a trace, and is waited for at its end.
struct Reader {
    input: Option<BufWriter<ChildStdin>>,
    command: Child,
}

impl Reader {
    fn start(command: &OsStr) -> io::Result<Self> {
        let mut child = Command::new("/bin/sh").arg("-c").arg(command).stdin(Stdio::piped()).spawn()?;
        Ok(Self { input: child.stdin.take().map(BufWriter::new), command: child })
    }
}

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.input.as_mut().map_or(Ok(bytes.len()), |input| input.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.input.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.command.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        trace: TraceOptions,
    }

    fn options(args: &[&str]) -> Result<Options, String> {
        let only = Only::try_parse_from(["bsd21"].iter().chain(args)).map_err(|e| e.to_string())?;
        only.trace.options().map_err(|e| e.to_string())
    }

    #[test]
    fn letters_are_straces() {
        let o = options(&["-ttTy", "-s", "64", "-e", "open,read", "-xx", "-qq"]).unwrap();
        assert_eq!(
            (o.stamp, o.durations, o.fd_detail),
            (Stamp::Time(Precision::Micro), Some(Precision::Micro), FdDetail::Path)
        );
        assert_eq!((o.string_limit, o.style.hex_strings, o.quiet), (64, HexStrings::Always, 2));
        assert!(o.calls.contains(5) && !o.calls.contains(4));
        assert_eq!(options(&["--kernel"]).unwrap().layers, Layers::all());
        assert_eq!(options(&["--kernel=sleep"]).unwrap().layers, Layers::SLEEP);
    }

    /// strace's habit: values behind their letters without a space; and all behind the program is the program's.
    #[test]
    fn values_stand_behind_letters() {
        #[derive(Parser)]
        struct Whole {
            #[command(flatten)]
            trace: TraceOptions,
            #[command(flatten)]
            guest: crate::cli::GuestOptions,
        }
        let args = ["bsd21", "-s5", "-eread", "-fo/tmp/x", "ls", "-l", "--color", "-s9"];
        let whole = Whole::try_parse_from(args).expect("arguments");
        assert_eq!(whole.guest.command, ["ls", "-l", "--color", "-s9"]);
        assert_eq!((whole.trace.string_limit, whole.trace.follow), (5, 1));
        assert_eq!(whole.trace.output, Some("/tmp/x".into()));
        assert_eq!(whole.trace.options().map(|o| o.calls.contains(4)).ok(), Some(false));
        let whole = Whole::try_parse_from(["bsd21", "-fs5", "ls"]).expect("arguments");
        assert_eq!((whole.trace.string_limit, whole.trace.follow, whole.guest.command.len()), (5, 1, 1));
    }

    #[test]
    fn long_forms_are_straces() {
        let o =
            options(&["--syscall-times=ns", "--absolute-timestamps=unix,ms", "--decode-fds=socket"]).unwrap();
        assert_eq!(o.durations, Some(Precision::Nano));
        assert_eq!((o.stamp, o.fd_detail), (Stamp::Epoch(Precision::Milli), FdDetail::Full));
        let o =
            options(&["--quiet=all", "-N", "-bexecve", "--syscall-limit=3", "-D", "-I3", "--color=always"])
                .unwrap();
        assert_eq!((o.quiet, o.argument_names, o.leaves_at_exec, o.call_limit), (2, true, true, Some(3)));
        assert!(o.color && !options(&["--strings-in-hex=none"]).unwrap().color);
        assert_eq!(options(&["--quiet", "--relative-timestamps"]).unwrap().relative, Some(Precision::Micro));
        let refusal = options(&["--syscall-times=m"]).unwrap_err();
        assert_eq!(refusal, "--syscall-times: unknown precision 'm'; did you mean 's'?");
    }

    #[test]
    fn wrong_expressions_are_one_line_with_a_suggestion() {
        let refusal = options(&["-e", "trace=opne"]).unwrap_err();
        assert_eq!(refusal, "-e trace=opne: unknown system call 'opne'; did you mean 'open'?");
        assert_eq!(options(&["-ff"]).unwrap_err(), "-ff needs -o FILE");
    }
}
