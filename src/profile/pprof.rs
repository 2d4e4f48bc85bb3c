//! A profile as `go tool pprof` reads it: profile.proto, compressed.
//!
//! The few kinds of fields that the form has are written here.  Source: profile.proto of
//! <https://github.com/google/pprof>.

use std::collections::HashMap;
use std::io::Write;

use flate2::{Compression, GzBuilder};

use super::summary::{By, Summary};

/// A message while it is written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A field that is a number; zero is what is not there.
    fn number(mut self, field: u32, value: u64) -> Self {
        if value != 0 {
            self.varint(u64::from(field) << 3);
            self.varint(value);
        }
        self
    }

    /// A field that has a length.
    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, field: u32, message: &Self) {
        self.bytes(field, &message.0);
    }

    /// Numbers, packed.
    fn numbers(mut self, field: u32, values: impl IntoIterator<Item = u64>) -> Self {
        let mut packed = Self::default();
        values.into_iter().for_each(|value| packed.varint(value));
        self.bytes(field, &packed.0);
        self
    }
}

/// The table of strings, of which the first is empty.
struct Strings {
    all: Vec<String>,
    known: HashMap<String, u64>,
}

impl Strings {
    fn of(&mut self, text: &str) -> u64 {
        if let Some(&number) = self.known.get(text) {
            return number;
        }
        let number = self.all.len() as u64;
        self.all.push(text.to_owned());
        self.known.insert(text.to_owned(), number);
        number
    }
}

/// The file.
pub(super) fn write(summary: &Summary, by: By) -> Vec<u8> {
    let mut strings = Strings { all: vec![String::new()], known: HashMap::from([(String::new(), 0)]) };
    let mut profile = Message::default();
    for (kind, unit) in [("instructions", "count"), ("syscalls", "count"), ("syscalltime", "nanoseconds")] {
        let kind = Message::default().number(1, strings.of(kind)).number(2, strings.of(unit));
        profile.message(1, &kind);
    }
    if by == By::Address {
        addresses(&mut profile, &mut strings, summary);
    } else {
        paths(&mut profile, &mut strings, summary);
    }
    for text in &strings.all {
        profile.bytes(6, text.as_bytes());
    }
    // No time of day: the same run gives the same file.
    let mut packed = GzBuilder::new().write(Vec::new(), Compression::default());
    let _ = packed.write_all(&profile.0);
    packed.finish().unwrap_or_default()
}

/// A function and the one place in it.
fn place(profile: &mut Message, strings: &mut Strings, id: u64, name: &str, file: &str, address: u32) {
    let (name, file) = (strings.of(name), strings.of(file));
    let function = Message::default().number(1, id).number(2, name).number(3, name).number(4, file);
    profile.message(5, &function);
    let mut location = Message::default().number(1, id).number(3, address.into());
    location.message(4, &Message::default().number(1, id));
    profile.message(4, &location);
}

fn paths(profile: &mut Message, strings: &mut Strings, summary: &Summary) {
    for (index, function) in summary.functions.iter().enumerate() {
        place(profile, strings, index as u64 + 1, &function.name, &function.module, function.address);
    }
    for (index, path) in summary.paths.iter().enumerate() {
        let values = [path.own, path.call.count, path.call.time];
        if values == [0; 3] {
            continue;
        }
        // The innermost first.
        let mut stack = Vec::new();
        let mut at = Some(index);
        while let Some(path) = at.and_then(|at| summary.paths.get(at)) {
            stack.push(path.function as u64 + 1);
            at = path.parent;
        }
        profile.message(2, &Message::default().numbers(1, stack).numbers(2, values));
    }
}

fn addresses(profile: &mut Message, strings: &mut Strings, summary: &Summary) {
    for (index, executed) in summary.executed.iter().enumerate() {
        let (name, offset) = summary.function_at(executed.module, executed.address);
        let module = executed.module.and_then(|module| summary.modules.get(module));
        let (id, file) = (index as u64 + 1, module.map_or("", |module| module.path.as_str()));
        place(profile, strings, id, &format!("{name}+{offset:#x}"), file, executed.address);
        profile.message(2, &Message::default().numbers(1, [id]).numbers(2, [executed.count, 0, 0]));
    }
}
