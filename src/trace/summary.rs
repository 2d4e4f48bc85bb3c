//! Counts of calls and the table of `-c`; and the ledger of calls that are not served.
//!
//! Must not know the trace itself.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::options::SortBy;
use super::record::Call;

/// Counts of one call.
#[derive(Clone, Debug, Default)]
struct Count {
    name: String,
    calls: u64,
    errors: u64,
    /// Nanoseconds in the kernel, sleeps left out.
    busy: u64,
    /// Nanoseconds that it slept.
    slept: u64,
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
#[derive(Debug, Default)]
pub(super) struct Totals {
    counts: BTreeMap<u32, Count>,
    unserved: BTreeMap<u32, Unserved>,
}

impl Totals {
    /// Counts a call that has ended, or never will.
    pub(super) fn add(&mut self, call: &Call) {
        let count = self.counts.entry(call.number).or_default();
        if count.calls == 0 {
            count.name = call.name();
        }
        count.calls += 1;
        count.errors += u64::from(call.succeeded() == Some(false));
        let slept = call.slept();
        count.slept += slept;
        count.busy += call.end.as_ref().map_or(0, |e| e.duration).saturating_sub(slept);
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
    pub(super) fn table(&self, sort: SortBy) -> String {
        let mut rows: Vec<&Count> = self.counts.values().collect();
        match sort {
            SortBy::Time => rows.sort_by(|a, b| b.busy.cmp(&a.busy).then(b.calls.cmp(&a.calls))),
            SortBy::Calls => rows.sort_by(|a, b| b.calls.cmp(&a.calls).then(a.name.cmp(&b.name))),
            SortBy::Errors => rows.sort_by(|a, b| b.errors.cmp(&a.errors).then(b.calls.cmp(&a.calls))),
            SortBy::Name => rows.sort_by(|a, b| a.name.cmp(&b.name)),
            SortBy::Nothing => {}
        }
        let busy: u64 = rows.iter().map(|r| r.busy).sum();
        let slept: u64 = rows.iter().map(|r| r.slept).sum();
        let calls: u64 = rows.iter().map(|r| r.calls).sum();
        let errors: u64 = rows.iter().map(|r| r.errors).sum();
        let mut out = String::new();
        let line = "------ ----------- ----------- ----------- --------- --------- ----------------\n";
        out.push_str("% time     seconds       slept  usecs/call     calls    errors syscall\n");
        out.push_str(line);
        for r in &rows {
            let _ = writeln!(
                out,
                "{:>6.2} {:>11} {:>11} {:>11} {:>9} {:>9} {}",
                if busy == 0 { 0.0 } else { r.busy as f64 * 100.0 / busy as f64 },
                seconds(r.busy),
                seconds(r.slept),
                r.busy / 1000 / r.calls.max(1),
                r.calls,
                blank_zero(r.errors),
                r.name
            );
        }
        out.push_str(line);
        let _ = writeln!(
            out,
            "{:>6} {:>11} {:>11} {:>11} {:>9} {:>9} total",
            "100.00",
            seconds(busy),
            seconds(slept),
            (busy / 1000).checked_div(calls).unwrap_or(0),
            calls,
            blank_zero(errors)
        );
        if !self.unserved.is_empty() {
            out.push_str("\nnot served:\n");
            for u in self.unserved.values() {
                let _ = writeln!(out, "{:>9} {} ({}; first from {:#x})", u.calls, u.name, u.reason, u.first);
            }
        }
        out
    }
}

fn seconds(ns: u64) -> String {
    format!("{}.{:06}", ns / 1_000_000_000, ns / 1000 % 1_000_000)
}

fn blank_zero(n: u64) -> String {
    if n == 0 { String::new() } else { n.to_string() }
}
