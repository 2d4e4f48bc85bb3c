//! A profile as callgrind_annotate and kcachegrind read it.
//!
//! Source of the form: the chapter "Callgrind Format Specification" of valgrind's manual.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::summary::{By, Kind, Summary};

/// Names that were written before are numbers.
#[derive(Default)]
struct Names(BTreeMap<String, usize>);

impl Names {
    fn of(&mut self, name: &str) -> String {
        let next = self.0.len() + 1;
        match self.0.get(name) {
            Some(number) => format!("({number})"),
            None => {
                self.0.insert(name.to_owned(), next);
                format!("({next}) {}", name.replace(['\n', '\r'], "_"))
            }
        }
    }
}

/// What a function has of its own and calls.
#[derive(Default)]
struct Costs {
    own: [u64; 3],
    /// By callee: how often, and what that took.
    calls: BTreeMap<usize, (u64, [u64; 3])>,
}

/// The file.
pub(super) fn write(summary: &Summary, by: By) -> String {
    let mut text = String::from("# callgrind format\nversion: 1\ncreator: bsd21 ");
    let _ = writeln!(text, "{}", env!("CARGO_PKG_VERSION"));
    text.push_str("positions: instr\nevent: Ir : Instructions\n");
    if by == By::Address {
        text.push_str("events: Ir\n");
        let _ = writeln!(
            text,
            "summary: {}",
            summary.executed.iter().map(|executed| executed.count).sum::<u64>()
        );
        addresses(&mut text, summary);
        return text;
    }
    text.push_str("event: sysCount : System calls\nevent: sysTime : Time of system calls (ns)\n");
    text.push_str("events: Ir sysCount sysTime\n");
    let rows = summary.rows();
    let sum = |value: fn(&super::summary::Call) -> u64| rows.iter().map(|row| value(&row.call)).sum::<u64>();
    let _ =
        writeln!(text, "summary: {} {} {}", summary.retired, sum(|call| call.count), sum(|call| call.time));
    functions(&mut text, summary);
    text
}

fn functions(text: &mut String, summary: &Summary) {
    let mut costs: BTreeMap<usize, Costs> = BTreeMap::new();
    // What calls of the kernel come to belongs to whoever called, too.
    let mut totals: Vec<[u64; 3]> =
        summary.paths.iter().map(|path| [path.own, path.call.count, path.call.time]).collect();
    for (index, path) in summary.paths.iter().enumerate().rev() {
        let own = totals.get(index).copied().unwrap_or_default();
        if let Some(parent) = path.parent.and_then(|parent| totals.get_mut(parent)) {
            parent.iter_mut().zip(own).for_each(|(all, more)| *all += more);
        }
    }
    for (path, total) in summary.paths.iter().zip(&totals) {
        let own = [path.own, path.call.count, path.call.time];
        let of_function = &mut costs.entry(path.function).or_default().own;
        of_function.iter_mut().zip(own).for_each(|(all, more)| *all += more);
        let Some(caller) = path.parent.and_then(|parent| summary.paths.get(parent)) else { continue };
        let call = costs.entry(caller.function).or_default().calls.entry(path.function).or_default();
        // Readers take no number for an answer: code that is entered elsewhere than at its beginning is called once.
        call.0 += path.entries.max(path.call.count);
        call.1.iter_mut().zip(total).for_each(|(all, more)| *all += more);
    }
    let (mut objects, mut names) = (Names::default(), Names::default());
    // There are no source files.
    text.push_str("\nfl=(1) ???\n");
    for (index, costs) in costs {
        let Some(function) = summary.functions.get(index) else { continue };
        let _ = writeln!(text, "\nob={}", objects.of(object(summary, index)));
        let _ = writeln!(text, "fn={}", names.of(&function.name));
        let _ = writeln!(text, "{:#x} {}", function.address, line(costs.own));
        for (callee, (count, total)) in costs.calls {
            let Some(called) = summary.functions.get(callee) else { continue };
            let _ = writeln!(text, "cob={}", objects.of(object(summary, callee)));
            let _ = writeln!(text, "cfn={}", names.of(&called.name));
            let _ = writeln!(text, "calls={} {:#x}", count.max(1), called.address);
            let _ = writeln!(text, "{:#x} {}", function.address, line(total));
        }
    }
}

fn line(costs: [u64; 3]) -> String {
    let [instructions, count, time] = costs;
    format!("{instructions} {count} {time}")
}

fn object(summary: &Summary, index: usize) -> &str {
    match summary.functions.get(index) {
        Some(function) if function.kind == Kind::Process => "[processes]",
        Some(function) if function.kind == Kind::Call => "[kernel]",
        Some(function) if !function.module.is_empty() => &function.module,
        _ => "[anonymous]",
    }
}

fn addresses(text: &mut String, summary: &Summary) {
    let (mut objects, mut names) = (Names::default(), Names::default());
    text.push_str("\nfl=(1) ???\n");
    let mut before = (None, String::new());
    for executed in &summary.executed {
        let (name, _) = summary.function_at(executed.module, executed.address);
        let here = (Some(executed.module), name);
        if here != before {
            let module = executed.module.and_then(|module| summary.modules.get(module));
            let _ = writeln!(text, "\nob={}", objects.of(module.map_or("[anonymous]", |m| &m.path)));
            let _ = writeln!(text, "fn={}", names.of(&here.1));
            before = here;
        }
        let _ = writeln!(text, "{:#x} {}", executed.address, executed.count);
    }
}
