//! The survey as aligned text, with a summary at the end.

use std::fmt::{self, Write};

use super::model::{Entry, Need, Survey};
use crate::image::printable;

/// Columns are at most this wide, the last one excepted.
const WIDEST: usize = 44;

/// Writes the survey for a terminal.
pub fn render(survey: &Survey) -> String {
    let mut out = String::new();
    let ran = survey.programs.iter().any(|entry| entry.run.is_some());
    let mut rows = vec![heading(ran)];
    rows.extend(survey.programs.iter().map(|entry| row(entry, ran)));
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).min(WIDEST)).collect();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    let _ = write!(out, "\n{}", Totals(survey));
    out
}

fn heading(ran: bool) -> Vec<String> {
    let mut columns = vec!["PATH", "FORMAT", "MACHINE, SYSTEM", "LINKAGE", "CALLS"];
    if ran {
        columns.push("OUTCOME");
    }
    columns.push("NOTES");
    columns.into_iter().map(str::to_owned).collect()
}

fn row(entry: &Entry, ran: bool) -> Vec<String> {
    let origin = [&entry.machine, &entry.system].into_iter().filter(|text| !text.is_empty()).cloned();
    let mut cells = vec![
        printable(&entry.path),
        entry.format.clone(),
        origin.collect::<Vec<_>>().join(", "),
        entry.linkage.name().to_owned(),
        calls(entry),
    ];
    if ran {
        cells.push(outcome(entry));
    }
    cells.push(notes(entry).join("; "));
    cells
}

/// How many calls, or where they are made.
pub fn calls(entry: &Entry) -> String {
    match &entry.code {
        None => String::new(),
        Some(code) if code.through_libraries => "in libraries".to_owned(),
        Some(code) => code.calls.len().to_string(),
    }
}

/// How a run ended, in a word or two.
pub fn outcome(entry: &Entry) -> String {
    let Some(run) = &entry.run else { return String::new() };
    match (&run.signal, run.status) {
        (Some(signal), _) => signal.clone(),
        (None, Some(status @ 1..)) => format!("{} ({status})", run.outcome.name()),
        _ => run.outcome.name().to_owned(),
    }
}

/// Whatever else deserves to be said of a file.
pub fn notes(entry: &Entry) -> Vec<String> {
    let mut notes = Vec::new();
    for (set, name) in [(entry.set_uid, "set-uid"), (entry.set_gid, "set-gid")] {
        if set {
            notes.push(name.to_owned());
        }
    }
    if let Some(why) = &entry.refused {
        notes.push(format!("refused: {}", printable(why)));
    }
    notes.extend(entry.interpreter.iter().chain(&entry.libraries).filter_map(missing));
    if let Some(code) = &entry.code {
        let unserved = |reached: bool| -> Vec<String> {
            let calls =
                code.calls.iter().filter(|call| call.unserved.is_some() && (call.reached > 0) == reached);
            calls.map(|c| c.name.clone().unwrap_or_else(|| format!("{:?} {}", c.gate, c.number))).collect()
        };
        for (reached, what) in [(true, "not served"), (false, "linked in, not served")] {
            let names = unserved(reached);
            if !names.is_empty() {
                notes.push(format!("{what}: {}", names.join(" ")));
            }
        }
        for newer in &code.newer {
            notes.push(format!("{} ({} from {:#x})", newer.feature, newer.instruction, newer.address));
        }
    }
    if let Some(run) = &entry.run {
        if !run.unserved.is_empty() {
            notes.push(format!("asked for {}", run.unserved.join(", ")));
        }
        if !run.line.is_empty() && entry.refused.is_none() {
            notes.push(format!("\"{}\"", run.line));
        }
    }
    notes
}

fn missing(need: &Need) -> Option<String> {
    let note = need.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
    need.found.is_none().then(|| format!("missing {}{note}", printable(&need.name)))
}

/// The summary.
struct Totals<'a>(&'a Survey);

impl fmt::Display for Totals<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = &self.0.summary;
        let list = |counts: Vec<(&str, usize)>| {
            counts.iter().map(|(name, n)| format!("{n} {name}")).collect::<Vec<_>>().join(", ")
        };
        let owned = |counts: &std::collections::BTreeMap<String, usize>| {
            list(counts.iter().map(|(name, n)| (name.as_str(), *n)).collect())
        };
        let fixed = |counts: &std::collections::BTreeMap<&'static str, usize>| {
            list(counts.iter().map(|(name, n)| (*name, *n)).collect())
        };
        let lines = [
            ("files", format!("{}: {}", s.files, fixed(&s.kinds))),
            ("formats", owned(&s.formats)),
            ("systems", owned(&s.systems)),
            ("linkage", fixed(&s.linkages)),
            ("missing", owned(&s.missing)),
            ("outcomes", fixed(&s.outcomes)),
        ];
        for (name, text) in lines.iter().filter(|(_, text)| !text.is_empty()) {
            writeln!(f, "{name:<10} {text}")?;
        }
        for (i, call) in s.unserved.iter().enumerate() {
            let name = if i == 0 { "not served" } else { "" };
            let (reached, contained) = (call.reached, call.contained);
            writeln!(
                f,
                "{name:<10} {} {}: reached in {reached}, contained in {contained} ({})",
                call.number, call.name, call.reason
            )?;
        }
        if s.symlinks + s.special > 0 {
            writeln!(
                f,
                "not opened {} symbolic links, {} FIFOs, sockets and devices",
                s.symlinks, s.special
            )?;
        }
        for skipped in &self.0.skipped {
            writeln!(f, "skipped    {}: {}", printable(&skipped.path), skipped.reason)?;
        }
        Ok(())
    }
}
