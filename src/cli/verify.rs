//! `bsd21 verify`: cases are run again, and what is not as it was is said.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::Failure;
use super::run::parse_seconds;
use super::status::read_file;
use crate::capture::aspect::Aspects;
use crate::capture::compare::Difference;
use crate::capture::find::{self, Found};
use crate::capture::report::{self, Totals};
use crate::capture::shard::{self, Shard};
use crate::capture::verify::{self, Options, Report};
use crate::host::signal::interruption;
use crate::image::printable;

/// Exit status of a usage error: 1 says that a case failed.
pub(super) const USAGE: u8 = 2;

/// Most bytes of a result that is merged.
const LARGEST_RESULT: u64 = 1 << 30;

/// Exit status of a command that somebody ended.
pub(super) const INTERRUPTED: u8 = 130;

/// Runs recorded cases.
#[derive(Clone, Debug, Args)]
pub(super) struct Verify {
    /// The root of cases that were recorded with --root; BSD21_ROOT unless given.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Let cases name directories of the host that are neither in the case nor in --root, as those do that were
    /// captured without --root: for cases of your own.
    #[arg(long)]
    trust: bool,
    /// Cases that run at once; as many as there are processors unless given.
    #[arg(short = 'j', long, value_name = "N")]
    jobs: Option<usize>,
    /// Expect from now on what comes out now, and show what changed.
    #[arg(long)]
    bless: bool,
    /// How results are written.
    #[arg(long, value_enum, default_value = "human")]
    format: FormatName,
    /// Only cases whose name contains TEXT.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Give a run up after this many seconds of the host; that is no failure of the program's.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    max_wall: Option<Duration>,
    /// What is compared: stdout, stderr, exit, files, calls, instructions, all; unless given what each case says,
    /// which is all but instructions unless it says otherwise.
    #[arg(long, value_name = "ASPECTS", value_parser = Aspects::parse)]
    compare: Option<Aspects>,
    /// Run cases whose programs or libraries are not the recorded files, and say which: for programs under
    /// development.
    #[arg(long)]
    any_image: bool,
    /// Skipped cases are no reason for exit status 1.
    #[arg(long)]
    allow_skip: bool,
    /// Only part I of N: every N-th case, for N machines.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// List the cases and run none of them; with --format json an array of names and directories.
    #[arg(long, conflicts_with_all = ["bless", "merge"])]
    list: bool,
    /// The arguments are files that --format json has written, of all parts of a suite: one result of them all.
    #[arg(long, conflicts_with_all = ["bless", "shard", "filter"])]
    merge: bool,
    /// Cases, and directories to look for cases in.
    #[arg(required = true, value_name = "CASE|DIR")]
    paths: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatName {
    /// Text for people: what is not as it was, and a line of totals.
    Human,
    /// The Test Anything Protocol.
    Tap,
    /// JUnit's XML.
    Junit,
    /// One JSON object.
    Json,
    /// Annotations of GitHub's workflows.
    Github,
}

impl Verify {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let usage = |message: String| Failure::with_status(USAGE, message);
        if self.merge {
            return self.merged();
        }
        let mut cases = Vec::new();
        for path in &self.paths {
            cases.extend(find::cases(path).map_err(|e| usage(e.to_string()))?);
        }
        if cases.is_empty() {
            return Err(usage(format!("no case in {}: none holds a case.toml", self.paths[0].display())));
        }
        if let Some(text) = &self.filter {
            cases.retain(|found| found.name.contains(text.as_str()));
            if cases.is_empty() {
                return Err(usage(format!("no case has {text} in its name")));
            }
        }
        if let Some(shard) = self.shard {
            cases = shard.of(cases);
        }
        if self.list {
            super::print(&self.listing(&cases));
            return Ok(0);
        }
        let root = self.root.clone().or_else(|| std::env::var_os("BSD21_ROOT").map(PathBuf::from));
        if let Some(root) = root.as_ref().filter(|root| !root.is_dir()) {
            return Err(usage(format!("--root {}: not a directory", root.display())));
        }
        let jobs = self.jobs.or_else(|| std::thread::available_parallelism().ok().map(usize::from));
        let interrupted = interruption().map_err(|e| usage(format!("cannot catch signals: {e}")))?;
        let cancel = Some(Arc::clone(&interrupted));
        let options = Options {
            root,
            trust: self.trust,
            bless: self.bless,
            compare: self.compare,
            any_image: self.any_image,
            max_wall: self.max_wall,
            cancel,
            processors: Default::default(),
        };
        let progress = self.progress(cases.len() as u64);
        let reports = verify::all(&cases, jobs.unwrap_or(1), &options, &mut |report| {
            progress.inc(1);
            self.show(report, &progress);
        });
        progress.finish_and_clear();
        if interrupted.load(Ordering::Relaxed) {
            return Err(Failure::with_status(
                INTERRUPTED,
                "interrupted; what was not finished was left as it was",
            ));
        }
        Ok(self.conclude(&reports))
    }

    /// Prints the end, and gives the exit status.
    fn conclude(&self, reports: &[Report]) -> u8 {
        super::print(&self.end(reports));
        let totals = Totals::of(reports);
        let skipped = totals.skipped > 0 && !self.allow_skip;
        if skipped && totals.is_good() {
            super::complain(
                &"cases were skipped, so not everything is known to be as it was; --allow-skip accepts that",
            );
        }
        u8::from(skipped || !totals.is_good())
    }

    /// One result of the results of parts.
    fn merged(&self) -> Result<u8, Failure> {
        let usage = |message: String| Failure::with_status(USAGE, message);
        let mut parts = Vec::new();
        for path in &self.paths {
            let text = read_file(path, LARGEST_RESULT).map_err(|e| usage(e.to_string()))?;
            let part = report::from_json(&String::from_utf8_lossy(&text));
            let part = part
                .map_err(|e| usage(format!("{}: no result of verify --format json: {e}", path.display())));
            parts.push(part?);
        }
        let reports = shard::merge(parts).map_err(|e| usage(format!("--merge: {e}")))?;
        if self.format == FormatName::Human {
            reports.iter().for_each(|report| super::print(&report::human_case(report)));
        }
        Ok(self.conclude(&reports))
    }

    /// The cases by their names.
    fn listing(&self, cases: &[Found]) -> String {
        if self.format != FormatName::Json {
            return cases.iter().map(|case| format!("{}\n", printable(&case.name))).collect();
        }
        let object = |case: &Found| serde_json::json!({ "name": case.name, "directory": case.directory });
        format!("{:#}\n", serde_json::Value::Array(cases.iter().map(object).collect()))
    }

    /// A progress bar, where somebody sees it.
    fn progress(&self, cases: u64) -> ProgressBar {
        if !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} cases, {eta} left");
        let bar = ProgressBar::new(cases);
        match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }

    fn show(&self, report: &Report, progress: &ProgressBar) {
        if self.format == FormatName::Human {
            let text = report::human_case(report);
            progress.suspend(|| print!("{text}"));
        }
    }

    fn end(&self, reports: &[Report]) -> String {
        match self.format {
            FormatName::Human => report::human_end(reports),
            FormatName::Tap => report::tap(reports),
            FormatName::Junit => report::junit(reports),
            FormatName::Json => report::json(reports, self.shard),
            FormatName::Github => report::github(reports),
        }
    }
}

/// A difference as lines.
pub(super) fn lines(difference: &Difference) -> String {
    let detail = difference.detail.iter().map(|line| format!("\n    {line}"));
    [difference.what.clone()].into_iter().chain(detail).collect()
}
