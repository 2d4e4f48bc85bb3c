//! Counts of calls and the table of `-c`; and the ledger of calls that are not served.
//!
//! Must not know the trace itself.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::options::{Column, Options, SortBy};
use super::record::Call;

/// Counts of one call; times are nanoseconds.
#[derive(Clone, Debug, Default)]
struct Count {
    name: String,
    calls: u64,
    errors: u64,
    /// In the kernel, with sleeps where the whole time is wanted.
    time: u64,
    shortest: u64,
    longest: u64,
    slept: u64,
}

impl Count {
    fn average(&self) -> u64 {
        self.time.checked_div(self.calls).unwrap_or(0)
    }
}

/// A call that is not served.
#[derive(Clone, Debug)]
struct Unserved {
    name: String,
    reason: &'static str,
    calls: u64,
    /// Address of the first caller.
    first: u32,
}

/// Counts of all calls.
#[derive(Debug)]
pub(super) struct Totals {
    counts: BTreeMap<u32, Count>,
    unserved: BTreeMap<u32, Unserved>,
    /// Times include sleeps.
    wall: bool,
    sort: SortBy,
    columns: Vec<Column>,
}

impl Totals {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            counts: BTreeMap::new(),
            unserved: BTreeMap::new(),
            wall: options.wall_clock,
            sort: options.sort,
            columns: options.columns.clone(),
        }
    }

    /// Counts a call that has ended, or never will.
    pub(super) fn add(&mut self, call: &Call) {
        let count = self.counts.entry(call.number).or_default();
        if count.calls == 0 {
            count.name = call.name();
        }
        let slept = call.slept();
        let whole = call.end.as_ref().map_or(0, |e| e.duration);
        let time = if self.wall { whole } else { whole.saturating_sub(slept) };
        count.shortest = if count.calls == 0 { time } else { count.shortest.min(time) };
        count.longest = count.longest.max(time);
        count.calls += 1;
        count.errors += u64::from(call.succeeded() == Some(false));
        count.slept += slept;
        count.time += time;
        let reason = match call.row {
            Some(row) if row.is_call() => row.unserved,
            Some(_) => Some("not a call of 2.1"),
            None => Some("past the table"),
        };
        if let (Some(reason), false) = (reason, call.injected) {
            let entry = self.unserved.entry(call.number).or_insert_with(|| Unserved {
                name: call.name(),
                reason,
                calls: 0,
                first: call.eip,
            });
            entry.calls += 1;
        }
    }

    /// The table, as strace prints it.
    pub(super) fn table(&self) -> String {
        let mut rows: Vec<&Count> = self.counts.values().collect();
        let largest = |key: fn(&Count) -> u64| {
            move |a: &&Count, b: &&Count| key(b).cmp(&key(a)).then(b.calls.cmp(&a.calls))
        };
        match self.sort {
            SortBy::Time => rows.sort_by(largest(|c| c.time)),
            SortBy::Shortest => rows.sort_by(largest(|c| c.shortest)),
            SortBy::Longest => rows.sort_by(largest(|c| c.longest)),
            SortBy::Average => rows.sort_by(largest(Count::average)),
            SortBy::Slept => rows.sort_by(largest(|c| c.slept)),
            SortBy::Calls => rows.sort_by(|a, b| b.calls.cmp(&a.calls).then(a.name.cmp(&b.name))),
            SortBy::Errors => rows.sort_by(largest(|c| c.errors)),
            SortBy::Name => rows.sort_by(|a, b| a.name.cmp(&b.name)),
            SortBy::Nothing => {}
        }
        let sum = |key: fn(&Count) -> u64| rows.iter().map(|c| key(c)).sum();
        let total = Count {
            name: "total".into(),
            calls: sum(|c| c.calls),
            errors: sum(|c| c.errors),
            time: sum(|c| c.time),
            shortest: rows.iter().map(|c| c.shortest).min().unwrap_or(0),
            longest: rows.iter().map(|c| c.longest).max().unwrap_or(0),
            slept: sum(|c| c.slept),
        };
        let mut out = String::new();
        self.line(&mut out, |column| column.head().to_owned());
        self.line(&mut out, |column| "-".repeat(column.width()));
        for row in &rows {
            self.line(&mut out, |column| cell(column, row, percent(row.time, total.time)));
        }
        self.line(&mut out, |column| "-".repeat(column.width()));
        self.line(&mut out, |column| cell(column, &total, "100.00".into()));
        if !self.unserved.is_empty() {
            out.push_str("\nnot served:\n");
            for u in self.unserved.values() {
                let _ = writeln!(out, "{:>9} {} ({}; first from {:#x})", u.calls, u.name, u.reason, u.first);
            }
        }
        out
    }

    fn line(&self, out: &mut String, text: impl Fn(Column) -> String) {
        for (i, &column) in self.columns.iter().enumerate() {
            let (text, width) = (text(column), column.width());
            let _ = match column {
                Column::Name if i + 1 == self.columns.len() => write!(out, "{text}"),
                Column::Name => write!(out, "{text:<width$} "),
                _ if i + 1 == self.columns.len() => write!(out, "{text:>width$}"),
                _ => write!(out, "{text:>width$} "),
            };
        }
        out.push('\n');
    }
}

impl Column {
    /// Characters of the column.
    fn width(self) -> usize {
        match self {
            Column::Percent => 6,
            Column::Time | Column::Slept | Column::Shortest | Column::Longest | Column::Average => 11,
            Column::Calls | Column::Errors => 9,
            Column::Name => 16,
        }
    }

    /// What stands above it.
    fn head(self) -> &'static str {
        match self {
            Column::Percent => "% time",
            Column::Time => "seconds",
            Column::Slept => "slept",
            Column::Shortest => "shortest",
            Column::Longest => "longest",
            Column::Average => "usecs/call",
            Column::Calls => "calls",
            Column::Errors => "errors",
            Column::Name => "syscall",
        }
    }
}

fn cell(column: Column, row: &Count, percent: String) -> String {
    match column {
        Column::Percent => percent,
        Column::Time => seconds(row.time),
        Column::Slept => seconds(row.slept),
        Column::Shortest => seconds(row.shortest),
        Column::Longest => seconds(row.longest),
        Column::Average => (row.average() / 1000).to_string(),
        Column::Calls => row.calls.to_string(),
        Column::Errors if row.errors == 0 => String::new(),
        Column::Errors => row.errors.to_string(),
        Column::Name => row.name.clone(),
    }
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.2}", if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 })
}

fn seconds(ns: u64) -> String {
    format!("{}.{:06}", ns / 1_000_000_000, ns / 1000 % 1_000_000)
}
