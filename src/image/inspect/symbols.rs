//! Symbol tables of a.out (nlist) and ELF files.
//!
//! 2.1 counterpart: sys/nlist_aout.h, nm(1).

use goblin::elf::Elf;
use goblin::elf::section_header::{SHF_WRITE, SHN_ABS, SHN_UNDEF, SHT_NOBITS};
use goblin::elf::sym::{STB_LOCAL, STT_FILE, STT_SECTION};

use super::Header;

/// A name for an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// The name as the file has it.
    pub name: String,
    /// The address.
    pub value: u32,
    /// nm's letter: T text, D data, B bss, A absolute, U undefined; small for local ones.
    pub kind: char,
}

const N_EXT: u8 = 0x01;
const N_TYPE: u8 = 0x1e;
/// Debugger entries have one of these bits.
const N_STAB: u8 = 0xe0;
/// Bytes of an entry.
const NLIST: usize = 12;
/// More symbols than any program of that time has; a damaged table cannot ask for more.
const MOST: usize = 1 << 18;
/// Longest name that is read.
const LONGEST: usize = 1024;

/// The symbols of a file in its own order, without debugger entries; none when the table is damaged.
pub(super) fn read(file: &[u8], header: Option<&Header>) -> Vec<Symbol> {
    match header {
        Some(header) => aout(file, header),
        None if file.starts_with(b"\x7fELF") => elf(file),
        None => Vec::new(),
    }
}

fn aout(file: &[u8], header: &Header) -> Vec<Symbol> {
    let part = |offset: u64, len: usize| {
        let start = usize::try_from(offset).ok()?;
        file.get(start..start.checked_add(len)?)
    };
    let Some(table) = part(header.symbol_offset(), header.syms as usize) else { return Vec::new() };
    let strings = part(header.string_offset(), 0).map(|_| &file[header.string_offset() as usize..]);
    let strings = strings.unwrap_or_default();
    table.chunks_exact(NLIST).filter_map(|entry| nlist(entry, strings)).take(MOST).collect()
}

fn nlist(entry: &[u8], strings: &[u8]) -> Option<Symbol> {
    let word = |at: usize| entry.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let (offset, kind, value) = (word(0)? as usize, *entry.get(4)?, word(8)?);
    if kind & N_STAB != 0 {
        return None;
    }
    let letter = match kind & N_TYPE {
        0 if value != 0 && kind & N_EXT != 0 => 'C',
        0 => 'U',
        2 => 'A',
        4 => 'T',
        6 => 'D',
        8 => 'B',
        _ => return None, // file names and linker sets
    };
    let rest = strings.get(offset..)?;
    let name = rest.get(..LONGEST).unwrap_or(rest).split(|&b| b == 0).next()?;
    let local = kind & N_EXT == 0 && letter != 'U';
    let kind = if local { letter.to_ascii_lowercase() } else { letter };
    (!name.is_empty()).then(|| Symbol { name: String::from_utf8_lossy(name).into_owned(), value, kind })
}

fn elf(file: &[u8]) -> Vec<Symbol> {
    let Ok(elf) = Elf::parse(file) else { return Vec::new() };
    let (table, names) =
        if elf.syms.is_empty() { (&elf.dynsyms, &elf.dynstrtab) } else { (&elf.syms, &elf.strtab) };
    let named = table.iter().filter(|s| s.st_name != 0 && !matches!(s.st_type(), STT_FILE | STT_SECTION));
    named
        .filter_map(|s| {
            let section = elf.section_headers.get(s.st_shndx);
            let letter = match s.st_shndx as u32 {
                SHN_UNDEF => 'U',
                SHN_ABS => 'A',
                _ => match section {
                    Some(section) if section.sh_type == SHT_NOBITS => 'B',
                    Some(section) if section.sh_flags & u64::from(SHF_WRITE) != 0 => 'D',
                    _ => 'T',
                },
            };
            let kind =
                if s.st_bind() == STB_LOCAL && letter != 'U' { letter.to_ascii_lowercase() } else { letter };
            Some(Symbol { name: names.get_at(s.st_name)?.to_owned(), value: s.st_value as u32, kind })
        })
        .collect()
}
