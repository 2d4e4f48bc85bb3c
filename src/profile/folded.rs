//! A profile as a line for each path, which flamegraph.pl and inferno draw.
//!
//! The numbers are instructions, and their sum is that of the run; system calls, which execute none, are left out.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::summary::{By, Summary, last_part};

/// The lines, in order.
pub(super) fn write(summary: &Summary, by: By) -> String {
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    if by == By::Address {
        for executed in &summary.executed {
            let (name, offset) = summary.function_at(executed.module, executed.address);
            let module = executed.module.and_then(|module| summary.modules.get(module));
            let module = module.map_or("[anonymous]", |module| last_part(&module.path));
            let frames = [plain(module), plain(&name), format!("{}+{offset:#x}", plain(&name))];
            *lines.entry(frames.join(";")).or_default() += executed.count;
        }
    } else {
        for (index, path) in summary.paths.iter().enumerate().filter(|(_, path)| path.own != 0) {
            let frames: Vec<String> = summary.frames(index).into_iter().map(|f| plain(&f.name)).collect();
            *lines.entry(frames.join(";")).or_default() += path.own;
        }
    }
    let mut text = String::new();
    for (line, count) in lines {
        let _ = writeln!(text, "{line} {count}");
    }
    text
}

/// A name without what divides frames, lines and counts.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c == ';' || c.is_whitespace() || c.is_control() { '_' } else { c }).collect()
}
