//! An a.out program as an ELF file for today's debuggers: its bytes at its addresses, its symbols, and what its stabs
//! say as DWARF.
//!
//! | file | idea |
//! |---|---|
//! | `stabs` | what a compiler of that time wrote: files, lines, functions, variables, types |
//! | `types` | the types among it |
//! | `dwarf` | the same for today's debuggers |
//!
//! The file is for looking, not for running.  2.1 counterpart: stab.h; gdb's dbxread read it.

mod dwarf;
mod stabs;
mod types;

use std::collections::BTreeMap;

use super::aout::{EX_PIC, Header};
use super::inspect::{Symbol, symbols};
use super::{Activation, Backing, Circumstances, Kind, Plan, activate};

/// Bytes of the headers.
const FILE_HEADER: u32 = 52;
const SECTION_HEADER: u16 = 40;
const SYMBOL: u32 = 16;
/// Types and flags of sections.
const PROGBITS: u32 = 1;
const SYMTAB: u32 = 2;
const STRTAB: u32 = 3;
const NOBITS: u32 = 8;
const WRITE: u32 = 1;
const ALLOC: u32 = 2;
const EXEC: u32 = 4;
/// Section number of absolute symbols.
const ABSOLUTE: u16 = 0xfff1;

/// Why a file cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// The activators refuse it, or it is a script.
    #[error("{0}")]
    NoProgram(String),
    /// It is ELF already.
    #[error("is ELF already")]
    IsElf,
    /// Its debugging information cannot be said in DWARF.
    #[error("its stabs cannot be converted: {0}")]
    Stabs(String),
}

/// A section on its way into the file.
#[derive(Debug, Default)]
struct Section {
    name: &'static str,
    kind: u32,
    flags: u32,
    address: u32,
    bytes: Vec<u8>,
    /// Bytes in memory, where they are not in the file.
    zeroes: u32,
    link: u32,
    info: u32,
    entry: u32,
}

/// Converts a program.
///
/// # Errors
///
/// A file that is no a.out program.
pub fn convert(file: &[u8]) -> Result<Vec<u8>, ConvertError> {
    let plan = match activate(file, Circumstances::default()) {
        Ok(Activation::Image(plan)) => plan,
        Ok(Activation::Script(_)) => return Err(ConvertError::NoProgram("is a script".to_owned())),
        Err(refusal) => return Err(ConvertError::NoProgram(refusal.to_string())),
    };
    let Some(header) = Header::decode(file) else { return Err(ConvertError::IsElf) };
    let mut sections = vec![Section::default()];
    sections.extend(loaded(file, &plan));
    let symbols = symbols(file);
    let stabs = stabs::read(file, &header, &symbols);
    let debug = dwarf::sections(&stabs).map_err(|e| ConvertError::Stabs(e.to_string()))?;
    sections.extend(debug.into_iter().map(|(name, bytes)| Section {
        name,
        kind: PROGBITS,
        bytes,
        ..Section::default()
    }));
    let table = sections.len() as u32;
    sections.extend(symbol_table(&symbols, &sections, table + 1));
    Ok(write(sections, plan.entry))
}

/// What stabs say of a source file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Its path as the compiler was given it.
    pub path: String,
    /// Addresses of first instructions, and their lines.
    pub lines: Vec<(u32, u16)>,
    /// Functions: name, address, line.
    pub functions: Vec<(String, u32, u16)>,
}

/// The source files of a program or library with stabs, in order of their paths.
pub fn sources(file: &[u8]) -> Vec<Source> {
    let Some(header) = Header::decode(file) else { return Vec::new() };
    let mut sources: BTreeMap<String, Source> = BTreeMap::new();
    for unit in stabs::read(file, &header, &symbols(file)) {
        let path = |name: &str| {
            if name.starts_with('/') { name.to_owned() } else { format!("{}{name}", unit.directory) }
        };
        for line in &unit.lines {
            let path = path(line.file.as_deref().unwrap_or(&unit.file));
            sources.entry(path).or_default().lines.push((line.address, line.line));
        }
        let functions = unit.functions.iter().map(|f| (f.name.clone(), f.from, f.line));
        sources.entry(path(&unit.file)).or_default().functions.extend(functions);
    }
    sources.into_iter().map(|(path, source)| Source { path, ..source }).collect()
}

/// Gives a shared library of a.out an ELF header, for debuggers: its addresses are those from its beginning.  `None`
/// where the file is none.
pub fn library(file: &[u8]) -> Option<Vec<u8>> {
    let header = Header::decode(file).filter(|header| header.flags & EX_PIC != 0)?;
    let bytes = |from: u32, len: u32| {
        let from = (from as usize).min(file.len());
        file[from..from.saturating_add(len as usize).min(file.len())].to_vec()
    };
    let part = |name, flags, address, bytes| Section {
        name,
        flags,
        kind: PROGBITS,
        address,
        bytes,
        ..Section::default()
    };
    let end = header.text.saturating_add(header.data);
    let mut sections = vec![
        Section::default(),
        part(".text", ALLOC | EXEC, 0, bytes(0, header.text)),
        part(".data", ALLOC | WRITE, header.text, bytes(header.text, header.data)),
    ];
    let zeroes = Section { kind: NOBITS, zeroes: header.bss, ..part(".bss", ALLOC | WRITE, end, Vec::new()) };
    sections.push(zeroes);
    let table = sections.len() as u32;
    let symbols = symbol_table(&symbols(file), &sections, table + 1);
    sections.extend(symbols);
    Some(write(sections, header.entry))
}

/// The addresses of the sections of such a file that are in memory.
pub fn addresses(library: &[u8]) -> Vec<u32> {
    let word = |at: usize| {
        let bytes = library.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
        u32::from_le_bytes(bytes)
    };
    let (headers, count) = (word(32) as usize, (word(48) & 0xffff) as usize);
    let header = |n: usize| headers + n * 40;
    (0..count).filter(|&n| word(header(n) + 8) & ALLOC != 0).map(|n| word(header(n) + 12)).collect()
}

/// The sections that are in memory.
fn loaded(file: &[u8], plan: &Plan) -> Vec<Section> {
    let section = |segment: &super::Segment| {
        let (name, flags) = match segment.kind {
            Kind::Text => (".text", ALLOC | EXEC),
            Kind::Data => (".data", ALLOC | WRITE),
            Kind::Bss => (".bss", ALLOC | WRITE),
        };
        let mut section =
            Section { name, flags, kind: PROGBITS, address: segment.addr, ..Section::default() };
        match &segment.backing {
            Backing::File { offset } => {
                let from = usize::try_from(*offset).unwrap_or(usize::MAX).min(file.len());
                let to = from.saturating_add(segment.len as usize).min(file.len());
                section.bytes = file.get(from..to).unwrap_or_default().to_vec();
            }
            Backing::Bytes { at, bytes } => {
                section.bytes = vec![0; at.wrapping_sub(segment.addr) as usize];
                section.bytes.extend_from_slice(bytes);
            }
            Backing::Zero => (section.kind, section.zeroes) = (NOBITS, segment.len),
        }
        section
    };
    plan.segments.iter().map(section).collect()
}

/// The table of symbols and that of their names; local ones first.
fn symbol_table(symbols: &[Symbol], sections: &[Section], strings: u32) -> [Section; 2] {
    let mut sorted: Vec<&Symbol> = symbols.iter().filter(|s| !matches!(s.kind, 'U' | 'C')).collect();
    sorted.sort_by_key(|symbol| (symbol.kind.is_uppercase(), symbol.value));
    let locals = sorted.iter().filter(|symbol| symbol.kind.is_lowercase()).count() as u32;
    let (mut table, mut names) = (vec![0; SYMBOL as usize], vec![0]);
    for symbol in sorted {
        // What the compiler called _main a person calls main.
        let name = symbol.name.strip_prefix('_').unwrap_or(&symbol.name);
        let kind: u8 = match symbol.kind {
            'T' | 't' => 2,
            'D' | 'd' | 'B' | 'b' => 1,
            _ => 0,
        };
        let inside = |s: &Section| {
            let length = s.zeroes.max(s.bytes.len() as u32);
            s.flags != 0 && (s.address..s.address.saturating_add(length)).contains(&symbol.value)
        };
        let section = sections.iter().position(inside).map_or(ABSOLUTE, |index| index as u16);
        table.extend((names.len() as u32).to_le_bytes());
        table.extend(symbol.value.to_le_bytes());
        table.extend(0_u32.to_le_bytes());
        table.extend([u8::from(symbol.kind.is_uppercase()) << 4 | kind, 0]);
        table.extend(section.to_le_bytes());
        names.extend(name.bytes().filter(|&byte| byte != 0).chain([0]));
    }
    let names = Section { name: ".strtab", kind: STRTAB, bytes: names, ..Section::default() };
    let info = locals + 1;
    let table = Section {
        name: ".symtab",
        kind: SYMTAB,
        bytes: table,
        link: strings,
        info,
        entry: SYMBOL,
        ..Section::default()
    };
    [table, names]
}

/// The file: header, contents, headers of the sections.
fn write(mut sections: Vec<Section>, entry: u32) -> Vec<u8> {
    let mut names = vec![0];
    sections.push(Section { name: ".shstrtab", kind: STRTAB, ..Section::default() });
    let offsets: Vec<u32> = sections
        .iter()
        .map(|section| {
            let at = names.len() as u32;
            names.extend(section.name.bytes().chain([0]));
            if section.name.is_empty() { 0 } else { at }
        })
        .collect();
    if let Some(last) = sections.last_mut() {
        last.bytes = names;
    }
    let (mut contents, mut headers) = (Vec::new(), Vec::new());
    for (section, name) in sections.iter().zip(offsets) {
        contents.resize(contents.len().next_multiple_of(4), 0);
        let offset = FILE_HEADER + contents.len() as u32;
        contents.extend_from_slice(&section.bytes);
        let size = section.zeroes.max(section.bytes.len() as u32);
        let offset = if section.name.is_empty() { 0 } else { offset };
        let align = u32::from(!section.name.is_empty());
        let words = [
            name,
            section.kind,
            section.flags,
            section.address,
            offset,
            size,
            section.link,
            section.info,
            align,
            section.entry,
        ];
        headers.extend(words.into_iter().flat_map(u32::to_le_bytes));
    }
    contents.resize(contents.len().next_multiple_of(4), 0);
    // ELF, 32 bits, little end first; an executable for the i386.
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([2_u16, 3].into_iter().flat_map(u16::to_le_bytes));
    file.extend([1, entry, 0, FILE_HEADER + contents.len() as u32, 0].into_iter().flat_map(u32::to_le_bytes));
    let count = sections.len() as u16;
    let halves = [FILE_HEADER as u16, 0, 0, SECTION_HEADER, count, count - 1];
    file.extend(halves.into_iter().flat_map(u16::to_le_bytes));
    file.extend(contents);
    file.extend(headers);
    file
}
