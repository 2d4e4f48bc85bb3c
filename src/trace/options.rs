//! What is traced and how it is shown: the tracer's own form of its command line.
//!
//! Must not know clap.

use bitflags::bitflags;
use syscalls::SigSet;

use super::filter::{CallSet, Injection, Outcomes};
use super::text::Style;

/// How a trace is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Lines as strace prints them.
    #[default]
    Strace,
    /// One JSON object a line.
    Jsonl,
    /// Lines as 4.4BSD's kdump prints them.
    Kdump,
    /// The binary records of 2.1's ktrace.
    Ktrace,
    /// Trace-event JSON for a viewer.
    Chrome,
}

/// The smallest unit in which a time is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Seconds.
    Second,
    /// Milliseconds.
    Milli,
    /// Microseconds.
    #[default]
    Micro,
    /// Nanoseconds.
    Nano,
}

impl Precision {
    /// Names for the command line, strace's.
    pub const NAMES: [(&'static str, Precision); 4] =
        [("s", Self::Second), ("ms", Self::Milli), ("us", Self::Micro), ("ns", Self::Nano)];

    /// Parses `s`, `ms`, `us` or `ns`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match Self::NAMES.iter().find(|(name, _)| *name == text) {
            Some((_, precision)) => Ok(*precision),
            None => {
                Err(super::filter::unknown("precision", text, Self::NAMES.iter().map(|(n, _)| n.to_string())))
            }
        }
    }

    /// The part of a second that nanoseconds are, with its point.
    pub fn fraction(self, ns: u64) -> String {
        let ns = ns % 1_000_000_000;
        match self {
            Self::Second => String::new(),
            Self::Milli => format!(".{:03}", ns / 1_000_000),
            Self::Micro => format!(".{:06}", ns / 1_000),
            Self::Nano => format!(".{ns:09}"),
        }
    }

    /// Nanoseconds as seconds.
    pub fn seconds(self, ns: u64) -> String {
        format!("{}{}", ns / 1_000_000_000, self.fraction(ns))
    }
}

/// A time in front of each line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stamp {
    /// None.
    #[default]
    None,
    /// Time of day.
    Time(Precision),
    /// Seconds since the epoch.
    Epoch(Precision),
}

impl Stamp {
    /// Parses strace's `[[format:]FORMAT],[[precision:]PRECISION]`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut epoch, mut shown, mut precision) = (false, true, None);
        for item in text.split(',').filter(|item| !item.is_empty()) {
            match item.strip_prefix("format:").unwrap_or(item) {
                "none" => shown = false,
                "time" => epoch = false,
                "unix" => epoch = true,
                _ => precision = Some(Precision::parse(item.strip_prefix("precision:").unwrap_or(item))?),
            }
        }
        Ok(match (shown, epoch) {
            (false, _) => Self::None,
            (true, true) => Self::Epoch(precision.unwrap_or(Precision::Second)),
            (true, false) => Self::Time(precision.unwrap_or(Precision::Second)),
        })
    }
}

/// How descriptors are explained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FdDetail {
    /// By their number alone.
    #[default]
    Number,
    /// Paths, and that something is a socket.
    Path,
    /// Sockets and their peers too.
    Full,
}

/// What `-c` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Summary {
    /// No summary.
    #[default]
    None,
    /// Only the summary.
    Only,
    /// The summary behind the trace.
    Also,
}

/// How the summary is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// By time in the kernel.
    #[default]
    Time,
    /// By the time of the shortest call.
    Shortest,
    /// By the time of the longest call.
    Longest,
    /// By the time of a call.
    Average,
    /// By time asleep.
    Slept,
    /// By number of calls.
    Calls,
    /// By number of errors.
    Errors,
    /// By name.
    Name,
    /// Not at all.
    Nothing,
}

/// A column of the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Part of the time of all calls.
    Percent,
    /// Time.
    Time,
    /// Time asleep.
    Slept,
    /// Time of the shortest call.
    Shortest,
    /// Time of the longest call.
    Longest,
    /// Time of a call.
    Average,
    /// Number of calls.
    Calls,
    /// Number of errors.
    Errors,
    /// The name.
    Name,
}

impl Column {
    /// Names for the command line, strace's and one of our own.
    const NAMES: [(&'static str, Column); 16] = [
        ("time-percent", Column::Percent),
        ("time", Column::Percent),
        ("total-time", Column::Time),
        ("time-total", Column::Time),
        ("seconds", Column::Time),
        ("slept", Column::Slept),
        ("min-time", Column::Shortest),
        ("shortest", Column::Shortest),
        ("max-time", Column::Longest),
        ("longest", Column::Longest),
        ("avg-time", Column::Average),
        ("calls", Column::Calls),
        ("count", Column::Calls),
        ("errors", Column::Errors),
        ("name", Column::Name),
        ("syscall", Column::Name),
    ];

    /// Parses `calls,errors,name`; the name is added at the end if it is missing.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        let mut columns = Vec::new();
        for item in text.split(',') {
            match Self::NAMES.iter().find(|(name, _)| *name == item) {
                Some((_, column)) => columns.push(*column),
                None => {
                    let names = Self::NAMES.iter().map(|(name, _)| name.to_string());
                    return Err(super::filter::unknown("column", item, names));
                }
            }
        }
        if !columns.contains(&Column::Name) {
            columns.push(Column::Name);
        }
        Ok(columns)
    }
}

bitflags! {
    /// Layers of the kernel that tell what they do.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Layers: u8 {
        /// Sockets and protocols.
        const SOCKET = 1;
        /// Open files and descriptors.
        const FILE = 2;
        /// Names of files.
        const VFS = 4;
        /// Sleeping and waking.
        const SLEEP = 8;
        /// Posted signals.
        const SIGNAL = 16;
    }
}

impl Layers {
    /// Names for the command line.
    pub const NAMES: [(&'static str, Layers); 5] = [
        ("socket", Layers::SOCKET),
        ("file", Layers::FILE),
        ("vfs", Layers::VFS),
        ("sleep", Layers::SLEEP),
        ("signal", Layers::SIGNAL),
    ];

    /// Parses `socket,sleep`; an empty text means all.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text == "all" {
            return Ok(Self::all());
        }
        text.split(',').try_fold(Self::empty(), |set, item| {
            match Self::NAMES.iter().find(|(name, _)| *name == item) {
                Some((_, layer)) => Ok(set | *layer),
                None => {
                    let names = Self::NAMES.iter().map(|(name, _)| name.to_string());
                    Err(super::filter::unknown("layer", item, names))
                }
            }
        })
    }
}

/// Everything that a tracer is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// How the trace is written.
    pub format: Format,
    /// Calls that are shown.
    pub calls: CallSet,
    /// Signals that are shown.
    pub signals: SigSet,
    /// Outcomes that are shown.
    pub outcomes: Outcomes,
    /// Only calls that touch one of these paths; empty means all.
    pub paths: Vec<Vec<u8>>,
    /// Only calls that use one of these descriptors; `None` means all calls.
    pub fds: Option<Vec<i32>>,
    /// Descriptors whose input is dumped: `None` means none, `Some(None)` all.
    pub dump_read: Option<Option<Vec<i32>>>,
    /// Descriptors whose output is dumped.
    pub dump_write: Option<Option<Vec<i32>>>,
    /// Outcomes that are made up.
    pub injections: Vec<Injection>,
    /// Most bytes of a string.
    pub string_limit: usize,
    /// Nothing is abbreviated.
    pub verbose: bool,
    /// How strings are printed.
    pub style: Style,
    /// How descriptors are explained.
    pub fd_detail: FdDetail,
    /// A time in front of each line.
    pub stamp: Stamp,
    /// The time since the line before, in front of each line.
    pub relative: Option<Precision>,
    /// The time that each call took.
    pub durations: Option<Precision>,
    /// The caller's address.
    pub eip: bool,
    /// The caller's stack.
    pub stack: bool,
    /// The call's number.
    pub numbers: bool,
    /// Column in which results begin.
    pub column: usize,
    /// Arguments with their names.
    pub argument_names: bool,
    /// Command names beside numbers of processes.
    pub comms: bool,
    /// The number of the process is on every line, not only once there are several.
    pub always_pids: bool,
    /// Lines of the strace form are coloured.
    pub color: bool,
    /// Processes that execute a new program are traced no more.
    pub leaves_at_exec: bool,
    /// Nothing is shown behind so many calls.
    pub call_limit: Option<u64>,
    /// Calls that sleep are shown twice.
    pub unfinished: bool,
    /// How many kinds of remarks are left out.
    pub quiet: u8,
    /// Layers of the kernel that are shown.
    pub layers: Layers,
    /// The table of calls at the end.
    pub summary: Summary,
    /// How it is sorted.
    pub sort: SortBy,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its times include sleeps.
    pub wall_clock: bool,
    /// Calls whose structures and lists are abbreviated.
    pub abbreviated: CallSet,
    /// Calls whose arguments are printed as words.
    pub raw: CallSet,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: Format::default(),
            calls: CallSet::all(true),
            signals: SigSet(u32::MAX),
            outcomes: Outcomes::default(),
            paths: Vec::new(),
            fds: None,
            dump_read: None,
            dump_write: None,
            injections: Vec::new(),
            string_limit: 32,
            verbose: false,
            style: Style::default(),
            fd_detail: FdDetail::default(),
            stamp: Stamp::default(),
            relative: None,
            durations: None,
            eip: false,
            stack: false,
            numbers: false,
            column: 40,
            argument_names: false,
            comms: false,
            always_pids: false,
            color: false,
            leaves_at_exec: false,
            call_limit: None,
            unfinished: false,
            quiet: 0,
            layers: Layers::empty(),
            summary: Summary::default(),
            sort: SortBy::default(),
            columns: vec![
                Column::Percent,
                Column::Time,
                Column::Average,
                Column::Calls,
                Column::Errors,
                Column::Name,
            ],
            wall_clock: false,
            abbreviated: CallSet::all(true),
            raw: CallSet::all(false),
        }
    }
}

impl Options {
    /// Applies an expression of `-e`: `trace=SET`, `signal=SET`, `status=SET`, `read=FDS`, `write=FDS`,
    /// `inject=...`, `fault=...`, `kernel=LAYERS`, `abbrev=SET`, `raw=SET`, `quiet=SET`; without a key it is
    /// `trace`.
    pub fn apply(&mut self, expression: &str) -> Result<(), String> {
        let (key, value) = expression.split_once('=').unwrap_or(("trace", expression));
        match key {
            "trace" | "t" => self.calls = CallSet::parse(value)?,
            "signal" | "signals" | "s" => self.signals = super::filter::parse_signals(value)?,
            "status" => self.outcomes = Outcomes::parse(value)?,
            "read" | "reads" | "r" => self.dump_read = Some(super::filter::parse_fds(value)?),
            "write" | "writes" | "w" => self.dump_write = Some(super::filter::parse_fds(value)?),
            "inject" => self.injections.push(Injection::parse(value, false)?),
            "fault" => self.injections.push(Injection::parse(value, true)?),
            "kernel" => self.layers = Layers::parse(value)?,
            "abbrev" | "a" => self.abbreviated = CallSet::parse(value)?,
            "raw" | "x" => self.raw = CallSet::parse(value)?,
            "quiet" | "silent" | "silence" | "q" => self.quiet = parse_quiet(value)?,
            "verbose" | "v" => self.abbreviated = CallSet::parse(value)?.inverted(),
            "decode-fd" | "decode-fds" => self.fd_detail = parse_decode_fds(value)?,
            "decode-pid" | "decode-pids" => self.comms = parse_decode_pids(value)?,
            "fd" | "fds" | "trace-fd" | "trace-fds" => self.fds = super::filter::parse_fds(value)?,
            // A name with an injection, as in `-e open:error=EIO`, is not strace's language.
            _ => {
                let keys = [
                    "trace",
                    "signal",
                    "status",
                    "read",
                    "write",
                    "inject",
                    "fault",
                    "kernel",
                    "abbrev",
                    "raw",
                    "quiet",
                    "verbose",
                    "decode-fds",
                    "decode-pids",
                    "trace-fds",
                ];
                return Err(super::filter::unknown("expression", key, keys.iter().map(ToString::to_string)));
            }
        }
        Ok(())
    }

    /// Whether the bytes that calls move are wanted.
    pub(super) fn wants_transfer(&self) -> bool {
        matches!(self.format, Format::Ktrace | Format::Kdump)
            || self.dump_read.is_some()
            || self.dump_write.is_some()
    }
}

/// Which remarks are left out, in strace's words: as many as `-q` counts.
fn parse_quiet(text: &str) -> Result<u8, String> {
    const KNOWN: [&str; 7] =
        ["attach", "exit", "path-resolution", "personality", "thread-execve", "all", "none"];
    let mut quiet = 0;
    for item in text.split(',') {
        quiet = quiet.max(match item {
            "exit" | "exits" | "all" => 2,
            "none" => 0,
            known if KNOWN.contains(&known) => 1,
            _ => return Err(super::filter::unknown("remark", item, KNOWN.iter().map(ToString::to_string))),
        });
    }
    Ok(quiet)
}

/// How descriptors are explained, in strace's words.
fn parse_decode_fds(text: &str) -> Result<FdDetail, String> {
    const KNOWN: [&str; 8] = ["path", "socket", "dev", "pidfd", "signalfd", "eventfd", "all", "none"];
    text.split(',').try_fold(FdDetail::Number, |detail, item| match item {
        "none" => Ok(FdDetail::Number),
        "socket" | "all" => Ok(FdDetail::Full),
        known if KNOWN.contains(&known) => Ok(if detail == FdDetail::Full { detail } else { FdDetail::Path }),
        _ => Err(super::filter::unknown("kind of descriptor", item, KNOWN.iter().map(ToString::to_string))),
    })
}

/// Whether processes are shown with their command names, in strace's words.
fn parse_decode_pids(text: &str) -> Result<bool, String> {
    const KNOWN: [&str; 4] = ["comm", "pidns", "all", "none"];
    text.split(',').try_fold(false, |comms, item| match item {
        "none" => Ok(false),
        // 2.1 has one space of process numbers.
        "pidns" => Ok(comms),
        "comm" | "all" => Ok(true),
        _ => Err(super::filter::unknown("detail", item, KNOWN.iter().map(ToString::to_string))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_described_as_by_strace() {
        assert_eq!(Stamp::parse("").unwrap(), Stamp::Time(Precision::Second));
        assert_eq!(Stamp::parse("unix,ns").unwrap(), Stamp::Epoch(Precision::Nano));
        assert_eq!(Stamp::parse("format:time,precision:ms").unwrap(), Stamp::Time(Precision::Milli));
        assert_eq!(Stamp::parse("none").unwrap(), Stamp::None);
        assert_eq!(Stamp::parse("u").unwrap_err(), "unknown precision 'u'; did you mean 's'?");
        assert_eq!(Precision::Milli.seconds(1_002_500_000), "1.002");
    }

    #[test]
    fn expressions_without_a_key_choose_calls() {
        let mut o = Options::default();
        o.apply("open").unwrap();
        assert!(o.calls.contains(5) && !o.calls.contains(3));
        o.apply("signal=none").unwrap();
        assert_eq!(o.signals, SigSet(0));
        o.apply("read=3").unwrap();
        assert!(o.wants_transfer());
        assert_eq!(o.apply("sgnal=none").unwrap_err(), "unknown expression 'sgnal'; did you mean 'signal'?");
        assert_eq!(Layers::parse("sockt").unwrap_err(), "unknown layer 'sockt'; did you mean 'socket'?");
        assert_eq!(Layers::parse("").unwrap(), Layers::all());
    }
}
