//! A profile as tables for people.

use std::cmp::Reverse;
use std::fmt::Write;

use super::summary::{By, Kind, Row, Summary};
use crate::image::printable;

/// Paths that are shown.
const PATHS: usize = 20;
/// Addresses that are shown.
const ADDRESSES: usize = 50;
/// Frames of a path that are shown at its ends.
const ENDS: usize = 6;

/// The tables.
pub(super) fn write(summary: &Summary, by: By) -> String {
    let mut text = String::new();
    let clock = if summary.is_virtual { "virtual" } else { "host's" };
    let _ = writeln!(text, "{} instructions; times by the {clock} clock", grouped(summary.retired));
    match by {
        By::Function => functions(&mut text, summary),
        By::Process => {
            processes(&mut text, summary);
            functions(&mut text, summary);
        }
        By::Call => calls(&mut text, summary),
        By::Address => addresses(&mut text, summary),
    }
    if by != By::Address {
        paths(&mut text, summary);
    }
    served(&mut text, summary);
    text
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share of all instructions.
fn share(summary: &Summary, count: u64) -> f64 {
    100.0 * count as f64 / summary.retired.max(1) as f64
}

/// A function with its module.
fn label(summary: &Summary, function: usize) -> String {
    let Some(function) = summary.functions.get(function) else { return String::new() };
    let name = printable(&function.name);
    if function.module.is_empty() {
        name.to_string()
    } else {
        format!("{name}  {}", printable(&function.module))
    }
}

/// The functions of a kind, those with most instructions first.
fn rows(summary: &Summary, kind: Kind, key: impl Fn(&Row) -> u64) -> Vec<(usize, Row)> {
    let is_kind = |index: usize| summary.functions.get(index).is_some_and(|f| f.kind == kind);
    let mut rows: Vec<_> =
        summary.rows().into_iter().enumerate().filter(|&(index, _)| is_kind(index)).collect();
    rows.sort_by_key(|(index, row)| (Reverse(key(row)), *index));
    rows
}

fn functions(text: &mut String, summary: &Summary) {
    let _ =
        writeln!(text, "\n{:>15} {:>6}  {:>15} {:>6}  {:>11}  function", "self", "%", "total", "%", "calls");
    for (index, row) in rows(summary, Kind::Code, |row| row.own) {
        let (own, total) = (share(summary, row.own), share(summary, row.total));
        let _ = writeln!(
            text,
            "{:>15} {own:>6.2}  {:>15} {total:>6.2}  {:>11}  {}",
            grouped(row.own),
            grouped(row.total),
            grouped(row.entries),
            label(summary, index)
        );
    }
}

fn processes(text: &mut String, summary: &Summary) {
    let _ = writeln!(text, "\n{:>15} {:>6}  process", "instructions", "%");
    for (index, row) in rows(summary, Kind::Process, |row| row.total) {
        let _ = writeln!(
            text,
            "{:>15} {:>6.2}  {}",
            grouped(row.total),
            share(summary, row.total),
            label(summary, index)
        );
    }
}

fn calls(text: &mut String, summary: &Summary) {
    let name = |index: usize| summary.functions.get(index).map_or("", |f| f.name.as_str());
    let mut calls = summary.calls();
    calls.sort_by_key(|&(caller, callee, count, total)| (Reverse(total), Reverse(count), caller, callee));
    let _ = writeln!(text, "\n{:>15} {:>6}  {:>11}  caller -> callee", "instructions", "%", "calls");
    for (caller, callee, count, total) in calls {
        let _ = writeln!(
            text,
            "{:>15} {:>6.2}  {:>11}  {} -> {}",
            grouped(total),
            share(summary, total),
            grouped(count),
            printable(name(caller)),
            printable(name(callee))
        );
    }
}

fn addresses(text: &mut String, summary: &Summary) {
    let _ = writeln!(text, "\n{:>15} {:>6}  {:>10}  where", "executed", "%", "address");
    let mut executed: Vec<_> = summary.executed.iter().collect();
    executed.sort_by_key(|executed| Reverse(executed.count));
    let more = executed.len().saturating_sub(ADDRESSES);
    for executed in executed.into_iter().take(ADDRESSES) {
        let (name, offset) = summary.function_at(executed.module, executed.address);
        let module = executed.module.and_then(|module| summary.modules.get(module));
        let _ = writeln!(
            text,
            "{:>15} {:>6.2}  {:#010x}  {}+{offset:#x}  {}",
            grouped(executed.count),
            share(summary, executed.count),
            executed.address,
            printable(&name),
            printable(module.map_or("", |module| &module.path))
        );
    }
    if more != 0 {
        let _ =
            writeln!(text, "{:>15} more addresses; --format callgrind has them all", grouped(more as u64));
    }
}

fn paths(text: &mut String, summary: &Summary) {
    let hottest = summary.hottest();
    let _ = writeln!(text, "\n{:>15} {:>6}  path", "self", "%");
    for &index in hottest.iter().take(PATHS) {
        let own = summary.paths.get(index).map_or(0, |path| path.own);
        let frames = summary.frames(index);
        let name = |at: usize| frames.get(at).map_or("", |function| function.name.as_str());
        let mut names: Vec<String> = Vec::new();
        for at in 0..frames.len() {
            if at < ENDS || at + ENDS >= frames.len() {
                names.push(printable(name(at)).to_string());
            } else if at == ENDS {
                names.push(format!("({} more)", frames.len() - 2 * ENDS));
            }
        }
        let _ = writeln!(text, "{:>15} {:>6.2}  {}", grouped(own), share(summary, own), names.join(" > "));
    }
    if hottest.len() > PATHS {
        let more = (hottest.len() - PATHS) as u64;
        let _ = writeln!(text, "{:>15} more paths; --format folded has them all", grouped(more));
    }
}

fn served(text: &mut String, summary: &Summary) {
    let rows = rows(summary, Kind::Call, |row| row.call.time);
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{:>15}  {:>11}  {:>9}  call of the kernel", "microseconds", "calls", "errors");
    for (index, row) in rows {
        let name = summary.functions.get(index).map_or("", |f| f.name.trim_matches(['[', ']']));
        let _ = writeln!(
            text,
            "{:>15}  {:>11}  {:>9}  {}",
            format!("{}.{:03}", grouped(row.call.time / 1000), row.call.time % 1000),
            grouped(row.call.count),
            grouped(row.call.errors),
            printable(name)
        );
    }
}
