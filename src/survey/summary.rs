//! Counts over what was found.

use std::collections::BTreeMap;

use super::model::{Call, Entry, Kind, Summary, UnservedCall};

/// Counts over entries, and over the kinds of files that are only counted.
pub fn of(entries: &[Entry], counted: &[Kind]) -> Summary {
    let mut summary = Summary { files: entries.len() + counted.len(), ..Summary::default() };
    for kind in entries.iter().map(|entry| entry.kind).chain(counted.iter().copied()) {
        *summary.kinds.entry(kind.name()).or_default() += 1;
    }
    let mut unserved: BTreeMap<u32, UnservedCall> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.kind.is_listed()) {
        *summary.formats.entry(entry.format.clone()).or_default() += 1;
        if !entry.machine.is_empty() {
            *summary.systems.entry(format!("{}, {}", entry.machine, entry.system)).or_default() += 1;
        }
        if !entry.linkage.name().is_empty() {
            *summary.linkages.entry(entry.linkage.name()).or_default() += 1;
        }
        for need in entry.interpreter.iter().chain(&entry.libraries).filter(|need| need.found.is_none()) {
            *summary.missing.entry(need.name.clone()).or_default() += 1;
        }
        if let Some(run) = &entry.run {
            *summary.outcomes.entry(run.outcome.name()).or_default() += 1;
        }
        for call in entry.code.iter().flat_map(|code| &code.calls) {
            count(&mut unserved, call);
        }
    }
    summary.unserved = unserved.into_values().collect();
    summary
}

fn count(unserved: &mut BTreeMap<u32, UnservedCall>, call: &Call) {
    let (Some(reason), Some(name)) = (&call.unserved, &call.name) else { return };
    let counted = unserved.entry(call.number).or_insert_with(|| UnservedCall {
        number: call.number,
        name: name.clone(),
        reason: reason.clone(),
        reached: 0,
        contained: 0,
    });
    counted.contained += 1;
    counted.reached += usize::from(call.reached > 0);
}
