//! Executable files and their routines, in addresses of the files.
//!
//! A routine reaches from its symbol to the next one of the text; where there are no symbols it is whatever was called.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::rc::Rc;

use crate::image::aout::Header;
use crate::image::inspect::{self, Symbol};
use crate::image::{Activation, Circumstances, Kind, activate};

/// Names that compilers and linkers give to places that are no routines.
const MARKS: [&str; 3] = ["gcc2_compiled.", "gcc_compiled.", "__gnu_compiled"];

/// A file that was executed or mapped.
#[derive(Debug)]
pub(super) struct Module {
    /// Its path in the guest.
    pub(super) path: String,
    /// Addresses of all that is in memory of it.
    pub(super) all: Range<u32>,
    /// Addresses of its text.
    pub(super) text: Range<u32>,
    /// Beginnings and names of its routines, in order.
    pub(super) routines: Vec<(u32, String)>,
    /// Number of the first of them among those of all modules.
    pub(super) first: u32,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
}

impl Module {
    /// The last part of its path.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The routine of an address, by its place among the module's, and its addresses.
    pub(super) fn routine(&self, address: u32) -> Option<(usize, Range<u32>)> {
        let behind = self.routines.partition_point(|&(start, _)| start <= address);
        let index = behind.checked_sub(1)?;
        let start = self.routines.get(index)?.0;
        let end = self.routines.get(behind).map_or(self.text.end, |next| next.0);
        (start..end).contains(&address).then_some((index, start..end))
    }

    /// Where an address is that no routine has: between which of them.
    pub(super) fn gap(&self, address: u32) -> Range<u32> {
        let behind = self.routines.partition_point(|&(start, _)| start <= address);
        let end = self.routines.get(behind).map_or(self.all.end, |next| next.0);
        let start = if behind == 0 { self.all.start } else { self.text.end };
        start..end.max(start)
    }
}

/// All files of a run.
#[derive(Debug, Default)]
pub(super) struct Modules {
    pub(super) all: Vec<Rc<Module>>,
    known: HashMap<(String, u64), Rc<Module>>,
    /// Routines of all of them.
    count: u32,
}

impl Modules {
    /// The module of a file, which is mapped where it wants to be or as a library.
    pub(super) fn of(&mut self, path: &str, bytes: Vec<u8>) -> Rc<Module> {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let key = (path.to_owned(), hasher.finish());
        if let Some(module) = self.known.get(&key) {
            return Rc::clone(module);
        }
        let (all, text) = addresses(&bytes);
        let routines = routines(inspect::symbols(&bytes), &text, Header::decode(&bytes).is_some());
        let count = routines.len() as u32;
        let module = Module { path: path.to_owned(), all, text, routines, first: self.count, bytes };
        self.count = self.count.saturating_add(count);
        let module = Rc::new(module);
        self.all.push(Rc::clone(&module));
        self.known.insert(key, Rc::clone(&module));
        module
    }
}

/// The addresses of a file that are in memory, and those of its text.
fn addresses(bytes: &[u8]) -> (Range<u32>, Range<u32>) {
    if let Ok(Activation::Image(plan)) = activate(bytes, Circumstances::default()) {
        let end = |s: &crate::image::Segment| s.addr.saturating_add(s.len);
        let start = plan.segments.iter().map(|s| s.addr).min().unwrap_or(0);
        let last = plan.segments.iter().map(end).max().unwrap_or(0);
        let text = plan.segments.iter().filter(|s| s.kind == Kind::Text);
        // What has no text has its code among its data.
        let text = text.map(end).max().unwrap_or(last);
        return (start..last, start..text);
    }
    let len = bytes.len() as u32;
    match Header::decode(bytes) {
        // A library begins at its header.
        Some(header) => {
            let text = header.text_addr().saturating_add(header.text);
            let all = text.saturating_add(header.data).saturating_add(header.bss);
            (0..all.max(len), 0..text)
        }
        None => (0..len, 0..len),
    }
}

fn routines(symbols: Vec<Symbol>, text: &Range<u32>, underscores: bool) -> Vec<(u32, String)> {
    let mut found: Vec<(u32, bool, String)> = symbols
        .into_iter()
        .filter(|symbol| matches!(symbol.kind, 'T' | 't') && text.contains(&symbol.value))
        .filter_map(|symbol| {
            let name = match symbol.name.strip_prefix('_') {
                Some(name) if underscores => name.to_owned(),
                _ => symbol.name,
            };
            let is_file = [".o", ".a", ".c", ".s", ".S"].iter().any(|end| name.ends_with(end));
            let is_mark =
                is_file || name.starts_with("-l") || MARKS.iter().any(|mark| name.starts_with(mark));
            (!name.is_empty() && !is_mark).then_some((symbol.value, symbol.kind == 't', name))
        })
        .collect();
    // Of several names of an address the one that others see, then the shortest one.
    found.sort_by(|a, b| (a.0, a.1, a.2.len(), &a.2).cmp(&(b.0, b.1, b.2.len(), &b.2)));
    found.dedup_by_key(|routine| routine.0);
    found.into_iter().map(|(address, _, name)| (address, name)).collect()
}
