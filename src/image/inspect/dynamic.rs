//! Shared libraries that a program asks its run-time linker for.
//!
//! In a.out the data of a dynamic object begins with a version, a debugger's address and the
//! address of a table of sections, whose second word leads to a list of library descriptors.
//!
//! 2.1 counterpart: link(5), <link.h> (struct _dynamic, section_dispatch_table, sod).

use std::fmt;

use goblin::elf::Elf;

use super::super::aout::EX_DYNAMIC;
use super::Header;

/// A library that is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Library {
    /// Looked up as `libNAME.so.MAJOR.MINOR`.
    Versioned {
        /// The name between `lib` and `.so`.
        name: String,
        /// Must match.
        major: u16,
        /// At least this.
        minor: u16,
    },
    /// A file, or an ELF library's full name.
    Path(String),
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Versioned { name, major, minor } => write!(f, "lib{name}.so.{major}.{minor}"),
            Self::Path(path) => f.write_str(path),
        }
    }
}

/// More descriptors than any program has: a list that is longer runs in a circle.
const MOST: usize = 256;
/// Set in a descriptor that names a library rather than a file.
const IS_LIBRARY: u32 = 1;

/// The libraries that a file asks for; none when its tables are damaged.
pub(super) fn libraries(file: &[u8], header: Option<&Header>) -> Vec<Library> {
    match header {
        Some(header) if header.flags & EX_DYNAMIC != 0 => aout(file, header),
        None if file.starts_with(b"\x7fELF") => Elf::parse(file)
            .map(|elf| {
                elf.libraries.iter().take(MOST).map(|name| Library::Path((*name).to_owned())).collect()
            })
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// The directories that an ELF file itself names for the search of its libraries; 2.1's a.out files have
/// no place for them.
pub fn search_path(file: &[u8]) -> Vec<String> {
    let Ok(elf) = Elf::parse(file) else { return Vec::new() };
    let paths = elf.rpaths.iter().chain(&elf.runpaths).flat_map(|path| path.split(':'));
    paths.filter(|directory| directory.starts_with('/')).map(str::to_owned).collect()
}

fn aout(file: &[u8], header: &Header) -> Vec<Library> {
    let image = Image { file, header };
    let mut found = Vec::new();
    let first = image.word(image.data_addr() + 8).and_then(|sections| image.word(u64::from(sections) + 4));
    let mut next = first.unwrap_or(0);
    while next != 0 && found.len() < MOST {
        let at = u64::from(next);
        let (Some(name), Some(flags), Some(version), Some(link)) =
            (image.word(at), image.word(at + 4), image.word(at + 8), image.word(at + 12))
        else {
            break;
        };
        let name = image.string(name.into());
        found.push(if flags & IS_LIBRARY == 0 {
            Library::Path(name)
        } else {
            Library::Versioned { name, major: version as u16, minor: (version >> 16) as u16 }
        });
        next = link;
    }
    found
}

/// Addresses of the program, read from the file.
struct Image<'a> {
    file: &'a [u8],
    header: &'a Header,
}

impl Image<'_> {
    /// Shared objects are linked at 0: their entry lies below where a program's text begins.
    fn base(&self) -> u64 {
        if self.header.entry < self.header.text_addr() { 0 } else { self.header.text_addr().into() }
    }

    fn data_addr(&self) -> u64 {
        self.base() + u64::from(self.header.text)
    }

    fn bytes(&self, address: u64) -> &[u8] {
        let offset = address.checked_sub(self.base()).map(|at| at + self.header.text_offset());
        offset.and_then(|at| self.file.get(usize::try_from(at).ok()?..)).unwrap_or_default()
    }

    fn word(&self, address: u64) -> Option<u32> {
        self.bytes(address).get(..4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn string(&self, address: u64) -> String {
        let rest = self.bytes(address);
        let bytes = rest.get(..1024).unwrap_or(rest).split(|&b| b == 0).next().unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    }
}
