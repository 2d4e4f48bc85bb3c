//! Reading stabs: what a compiler of that time tells its debugger, entry by entry.
//!
//! Damaged entries are left out; nothing of a file can make this fail.

use super::super::aout::Header;
use super::super::inspect::Symbol;
use super::types::{self, TypeId, Types};

/// Kinds of entries (stab.h).
const N_GSYM: u8 = 0x20;
const N_FUN: u8 = 0x24;
const N_STSYM: u8 = 0x26;
const N_LCSYM: u8 = 0x28;
const N_RSYM: u8 = 0x40;
const N_SLINE: u8 = 0x44;
const N_SO: u8 = 0x64;
const N_LSYM: u8 = 0x80;
const N_SOL: u8 = 0x84;
const N_PSYM: u8 = 0xa0;
/// Bytes of an entry.
const NLIST: usize = 12;
/// Most entries that are read, and the longest text of one.
const MOST: usize = 1 << 20;
const LONGEST: usize = 1 << 16;

/// A source file that was compiled.
#[derive(Debug, Default)]
pub(super) struct Unit {
    pub(super) directory: String,
    pub(super) file: String,
    pub(super) lines: Vec<Line>,
    pub(super) functions: Vec<Function>,
    pub(super) variables: Vec<Variable>,
    pub(super) types: Types,
    /// The first address, and the one behind the last.
    pub(super) from: u32,
    pub(super) to: u32,
}

/// A line and the address of its first instruction.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) address: u32,
    pub(super) line: u16,
    /// The included file that it is in, where it is not the unit's own.
    pub(super) file: Option<String>,
}

/// A function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) external: bool,
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) line: u16,
    pub(super) result: Option<TypeId>,
    pub(super) variables: Vec<Variable>,
}

/// Where a variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Address(u32),
    /// Bytes from where ebp points.
    Frame(i32),
    Register(u8),
}

/// A variable.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) kind: Option<TypeId>,
    pub(super) external: bool,
    pub(super) parameter: bool,
}

/// One entry.
struct Entry {
    text: String,
    kind: u8,
    desc: u16,
    value: u32,
}

/// The units of a file, in the order in which they were linked.
pub(super) fn read(file: &[u8], header: &Header, symbols: &[Symbol]) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut open: Option<Unit> = None;
    let mut directory = String::new();
    let mut included: Option<String> = None;
    let end = header.text_addr().saturating_add(header.text);
    for entry in entries(file, header) {
        if entry.kind == N_SO {
            if entry.text.ends_with('/') {
                directory = entry.text;
                continue;
            }
            if let Some(unit) = open.take() {
                units.push(close(unit, entry.value));
            }
            if !entry.text.is_empty() {
                let directory = std::mem::take(&mut directory);
                open = Some(Unit { directory, file: entry.text, from: entry.value, ..Unit::default() });
            }
            included = None;
            continue;
        }
        let Some(unit) = &mut open else { continue };
        match entry.kind {
            N_SOL => included = Some(entry.text).filter(|name| *name != unit.file),
            N_SLINE => {
                unit.lines.push(Line { address: entry.value, line: entry.desc, file: included.clone() });
            }
            _ => define(unit, &entry, symbols),
        }
    }
    if let Some(unit) = open {
        units.push(close(unit, end));
    }
    units
}

/// The addresses of a unit that is whole.
fn close(mut unit: Unit, end: u32) -> Unit {
    unit.to = end.max(unit.from);
    unit.lines.retain(|line| (unit.from..unit.to).contains(&line.address));
    unit.lines.sort_by_key(|line| line.address);
    unit.functions.retain(|function| (unit.from..unit.to).contains(&function.from));
    unit.functions.sort_by_key(|function| function.from);
    let starts: Vec<u32> = unit.functions.iter().skip(1).map(|f| f.from).chain([unit.to]).collect();
    for (function, next) in unit.functions.iter_mut().zip(starts) {
        function.to = next;
    }
    unit
}

/// Entries that define something: a type, a function, a variable.
fn define(unit: &mut Unit, entry: &Entry, symbols: &[Symbol]) {
    if !matches!(entry.kind, N_GSYM | N_FUN | N_STSYM | N_LCSYM | N_RSYM | N_LSYM | N_PSYM) {
        return;
    }
    let Some((name, rest)) = types::split_name(&entry.text) else { return };
    let letter = rest.chars().next().unwrap_or(' ');
    let is_letter = letter.is_ascii_alphabetic();
    let description = if is_letter { rest.get(1..).unwrap_or_default() } else { rest };
    if matches!(letter, 't' | 'T') {
        unit.types.define(name, letter, description);
        return;
    }
    let kind = unit.types.parse(description);
    if entry.kind == N_FUN && matches!(letter, 'F' | 'f') {
        let (name, external) = (name.to_owned(), letter == 'F');
        let (from, line) = (entry.value, entry.desc);
        unit.functions.push(Function {
            name,
            external,
            from,
            to: from,
            line,
            result: kind,
            variables: Vec::new(),
        });
        return;
    }
    let place = match (entry.kind, letter) {
        (N_GSYM, _) => symbols
            .iter()
            .find(|symbol| symbol.name.strip_prefix('_') == Some(name) && symbol.kind.is_uppercase())
            .map(|symbol| Place::Address(symbol.value)),
        (N_STSYM | N_LCSYM | N_FUN, _) => Some(Place::Address(entry.value)),
        (N_RSYM, _) | (_, 'r' | 'P') => {
            u8::try_from(entry.value).ok().filter(|&r| r < 8).map(Place::Register)
        }
        (N_LSYM | N_PSYM, _) => Some(Place::Frame(entry.value as i32)),
        _ => None,
    };
    let Some(place) = place else { return };
    let parameter = entry.kind == N_PSYM || letter == 'P';
    let variable = Variable { name: name.to_owned(), place, kind, external: letter == 'G', parameter };
    let local = matches!(place, Place::Frame(_) | Place::Register(_)) || letter == 'V';
    match unit.functions.last_mut().filter(|_| local) {
        Some(function) => function.variables.push(variable),
        None if local => {}
        None => unit.variables.push(variable),
    }
}

/// The debugger's entries of a symbol table, with texts that were continued put together.
fn entries(file: &[u8], header: &Header) -> Vec<Entry> {
    let at =
        |offset: u64| usize::try_from(offset).ok().and_then(|offset| file.get(offset..)).unwrap_or_default();
    let table = at(header.symbol_offset());
    let table = table.get(..header.syms as usize).unwrap_or_default();
    let strings = at(header.string_offset());
    let mut entries: Vec<Entry> = Vec::new();
    let mut begun = String::new();
    for raw in table.chunks_exact(NLIST).take(MOST) {
        let word = |at: usize| {
            raw.get(at..at + 4).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
        };
        let kind = raw.get(4).copied().unwrap_or(0);
        if kind & 0xe0 == 0 {
            continue;
        }
        let text = match word(0) {
            0 => &[][..],
            offset => strings.get(offset as usize..).unwrap_or_default(),
        };
        let text = text.get(..LONGEST).unwrap_or(text).split(|&b| b == 0).next().unwrap_or_default();
        let text = String::from_utf8_lossy(text);
        if let Some(part) = text.strip_suffix('\\').filter(|_| begun.len() < LONGEST) {
            begun.push_str(part);
            continue;
        }
        let text = std::mem::take(&mut begun) + &text;
        let desc = u16::from_le_bytes([raw.get(6).copied().unwrap_or(0), raw.get(7).copied().unwrap_or(0)]);
        entries.push(Entry { text, kind, desc, value: word(8) });
    }
    entries
}
