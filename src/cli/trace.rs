//! The options of `bsd21 trace`: strace's letters, turned into what the tracer understands.
//!
//! Must not know what a trace looks like.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use super::Failure;
use crate::trace::filter::Outcomes;
use crate::trace::options::{FdDetail, Format, Layers, SortBy, Stamp, Summary};
use crate::trace::text::HexStrings;
use crate::trace::{Options, Output};

/// Options of a trace.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Trace")]
pub struct TraceOptions {
    /// Write the trace to FILE instead of standard error.
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    output: Option<PathBuf>,
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
    /// Most bytes of a string that are shown.
    #[arg(short = 's', long = "string-limit", default_value_t = 32, value_name = "N")]
    string_limit: usize,
    /// Show structures, lists and environments whole.
    #[arg(short = 'v', long = "no-abbrev")]
    verbose: bool,
    /// Show strings that are not ASCII in base 16; twice: all strings.
    #[arg(short = 'x', action = ArgAction::Count)]
    hex: u8,
    /// Explain descriptors by their paths; twice: sockets by their peers too.
    #[arg(short = 'y', long = "decode-fds", action = ArgAction::Count)]
    fds: u8,
    /// The guest's time of day; twice: with microseconds; three times: since the epoch.
    #[arg(short = 't', action = ArgAction::Count)]
    stamp: u8,
    /// The time since the line before.
    #[arg(short = 'r', long = "relative-timestamps")]
    relative: bool,
    /// The time that each call took.
    #[arg(short = 'T', long = "syscall-times")]
    durations: bool,
    /// The address of the call.
    #[arg(short = 'i', long = "instruction-pointer")]
    eip: bool,
    /// The guest's stack at each call, with the symbols of the program.
    #[arg(short = 'k', long = "stack-traces")]
    stack: bool,
    /// The number of each call.
    #[arg(short = 'n', long = "syscall-number")]
    numbers: bool,
    /// Column in which results begin.
    #[arg(short = 'a', long = "columns", default_value_t = 0, value_name = "COLUMN")]
    column: usize,
    /// Leave out remarks; twice: ends of processes too.
    #[arg(short = 'q', long = "quiet", action = ArgAction::Count)]
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
    Time,
    /// By number of calls.
    Calls,
    /// By number of errors.
    Errors,
    /// By name.
    Name,
    /// By number of the call.
    Nothing,
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
            verbose: self.verbose,
            fd_detail: match self.fds {
                0 => FdDetail::Number,
                1 => FdDetail::Path,
                _ => FdDetail::Full,
            },
            stamp: match self.stamp {
                0 => Stamp::None,
                1 => Stamp::Second,
                2 => Stamp::Microsecond,
                _ => Stamp::Epoch,
            },
            relative: self.relative,
            durations: self.durations,
            eip: self.eip,
            stack: self.stack,
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
                SortName::Calls => SortBy::Calls,
                SortName::Errors => SortBy::Errors,
                SortName::Name => SortBy::Name,
                SortName::Nothing => SortBy::Nothing,
            },
            ..Options::default()
        };
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
        for expression in &self.expressions {
            options.apply(expression).map_err(|e| Failure::usage(format!("-e {expression}: {e}")))?;
        }
        if self.follow > 1 && self.output.is_none() {
            return Err(Failure::usage("-ff needs -o FILE"));
        }
        Ok(options)
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
        if self.follow > 1 {
            return Ok(Output::per_process(Box::new(move |pid| {
                let mut name = path.clone().into_os_string();
                name.push(format!(".{pid}"));
                Ok(Box::new(BufWriter::new(File::create(name)?)) as Box<dyn Write>)
            })));
        }
        let file = File::create(&path).map_err(|e| Failure::usage(format!("-o {}: {e}", path.display())))?;
        Ok(Output::stream(Box::new(BufWriter::new(file)), false))
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
        assert_eq!((o.stamp, o.durations, o.fd_detail), (Stamp::Microsecond, true, FdDetail::Path));
        assert_eq!((o.string_limit, o.style.hex_strings, o.quiet), (64, HexStrings::Always, 2));
        assert!(o.calls.contains(5) && !o.calls.contains(4));
        assert_eq!(options(&["--kernel"]).unwrap().layers, Layers::all());
        assert_eq!(options(&["--kernel=sleep"]).unwrap().layers, Layers::SLEEP);
    }

    #[test]
    fn wrong_expressions_are_one_line_with_a_suggestion() {
        let refusal = options(&["-e", "trace=opne"]).unwrap_err();
        assert_eq!(refusal, "-e trace=opne: unknown system call 'opne'; did you mean 'open'?");
        assert_eq!(options(&["-ff"]).unwrap_err(), "-ff needs -o FILE");
    }
}
