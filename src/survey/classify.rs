//! What one file is: its bytes in, an [`Entry`] out.
//!
//! Knows files and the tree around them; runs nothing.

use goblin::elf::Elf;
use goblin::elf::header::{ET_CORE, ET_DYN, ET_EXEC, ET_REL};

use super::calls::contained;
use super::flow;
use super::memory::Memory;
use super::model::{Aout, Entry, Kind, Linkage, Need};
use super::needs;
use super::tree::Tree;
use crate::image::aout::{EX_DYNAMIC, Header, Magic};
use crate::image::inspect::origin::{self, KERNEL, Origin};
use crate::image::inspect::{Report, Verdict, report, search_path};

/// Bytes from which [`glance`] can tell what deserves a closer look.
pub const GLANCE: usize = 4096;

/// What the first bytes of a file promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// It may be an executable: look at all of it.
    Look,
    /// It is of a kind that is only counted.
    Count(Kind),
}

/// Looks at the first bytes of a file.
pub fn glance(head: &[u8]) -> Promise {
    match head {
        [b'#', b'!', ..] | [0x7f, b'E', b'L', b'F', ..] => Promise::Look,
        [0x1f, 0x8b, ..] if holds_program(head) => Promise::Look,
        [0x1f, 0x8b | 0x9d, ..] | [b'B', b'Z', b'h', ..] => Promise::Count(Kind::Compressed),
        _ if head.starts_with(b"!<arch>\n") => Promise::Count(Kind::Archive),
        _ if Header::decode(head).is_some() => Promise::Look,
        _ => Promise::Count(Kind::Other),
    }
}

/// Whether a gzip file unpacks to an a.out header.
fn holds_program(head: &[u8]) -> bool {
    use std::io::Read;
    let mut header = Vec::new();
    // The first bytes are a stream without its end; what comes before that is enough.
    let _ = flate2::read::GzDecoder::new(head).take(32).read_to_end(&mut header);
    Header::decode(&header).is_some()
}

/// What a file's place in the tree says of it.
#[derive(Clone, Debug)]
pub struct Name {
    /// Its path below the directory that is surveyed.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
}

/// Looks at a file; `Err` is the kind of a file that turns out to be only counted.
pub fn entry(file: &[u8], name: Name, tree: &Tree) -> Result<Entry, Kind> {
    let looked = report(file);
    let mut entry = blank(file, name, &looked);
    match &looked.verdict {
        Verdict::Script(script) => {
            entry.interpreter =
                Some(needs::file(tree, String::from_utf8_lossy(&script.interpreter).as_ref()));
            return Ok(entry);
        }
        Verdict::Refused(_) if file.starts_with(b"#!") => return Ok(entry),
        _ => {}
    }
    let origin = match &looked.header {
        _ if file.starts_with(b"\x7fELF") => elf(file, &mut entry),
        Some(header) => aout(file, header, &looked, &mut entry)?,
        None => gzip(&looked, &mut entry),
    };
    (entry.machine, entry.system) = (origin.machine.clone(), origin.system.clone());
    if !looked.libraries.is_empty() {
        let own = if looked.header.is_none() { search_path(file) } else { Vec::new() };
        entry.libraries = needs::libraries(tree, &looked.libraries, &own);
    }
    if entry.linkage == Linkage::Dynamic && entry.kind == Kind::Program && looked.header.is_some() {
        entry.interpreter = Some(needs::file(tree, needs::AOUT_LINKER));
    }
    if let Some(Need { name, .. }) = &entry.interpreter {
        entry.interpreter = Some(needs::file(tree, name));
    }
    if origin.is_i386() && matches!(entry.kind, Kind::Program | Kind::Library) {
        entry.code = Some(code(file, &looked, &entry));
    }
    Ok(entry)
}

/// An entry for a file that is otherwise only counted.
pub fn plain(file: &[u8], name: Name, kind: Kind) -> Entry {
    let looked = Report { verdict: Verdict::Refused(String::new()), ..report(&[]) };
    let mut entry = blank(file, name, &looked);
    (entry.kind, entry.format, entry.refused) = (kind, kind.name().to_owned(), None);
    entry
}

/// An entry with what every file has.
fn blank(file: &[u8], Name { path, mode }: Name, looked: &Report) -> Entry {
    let (format, refused, extension) = match &looked.verdict {
        Verdict::Image(plan) => (plan.format.to_owned(), None, plan.extension),
        Verdict::Script(_) => ("script".to_owned(), None, None),
        Verdict::Refused(why) => ("script".to_owned(), Some(why.clone()), None),
    };
    Entry {
        path,
        size: file.len() as u64,
        mode: format!("{:04o}", mode & 0o7777),
        set_uid: mode & 0o4000 != 0,
        set_gid: mode & 0o2000 != 0,
        kind: if format == "script" { Kind::Script } else { Kind::Program },
        format,
        aout: None,
        machine: String::new(),
        system: String::new(),
        linkage: Linkage::None,
        interpreter: None,
        libraries: Vec::new(),
        stripped: None,
        refused,
        extension,
        code: None,
        run: None,
    }
}

fn facts(header: &Header) -> Aout {
    Aout {
        magic: header.magic.name(),
        machine: header.mid,
        order: if header.network_order { "network" } else { "host" },
        text: header.text,
        data: header.data,
        bss: header.bss,
        entry: header.entry,
    }
}

fn aout(file: &[u8], header: &Header, looked: &Report, entry: &mut Entry) -> Result<Origin, Kind> {
    let origin = origin::aout(file, header).ok_or(Kind::Other)?;
    entry.aout = Some(facts(header));
    entry.format = header.format().to_owned();
    entry.stripped = Some(header.syms == 0);
    let dynamic = header.flags & EX_DYNAMIC != 0;
    entry.linkage = if dynamic { Linkage::Dynamic } else { Linkage::Static };
    let relocatable = matches!(header.magic, Magic::Omagic) && header.entry == 0;
    entry.kind = if header.entry >= KERNEL {
        Kind::Kernel
    } else if dynamic && header.entry < header.text_addr().max(1) + 0x20 && looked.is_refused() {
        Kind::Library
    } else if relocatable && (header.trsize != 0 || header.drsize != 0 || looked.has_undefined()) {
        Kind::Object
    } else {
        Kind::Program
    };
    if entry.kind == Kind::Library {
        entry.refused = None; // nobody executes it
    }
    Ok(origin)
}

fn elf(file: &[u8], entry: &mut Entry) -> Origin {
    "ELF".clone_into(&mut entry.format);
    entry.kind = Kind::Program;
    if let Ok(elf) = Elf::parse(file) {
        entry.kind = match elf.header.e_type {
            ET_REL => Kind::Object,
            ET_CORE => Kind::Core,
            // What names an interpreter is started, whatever its type.
            ET_DYN if elf.interpreter.is_none() && elf.soname.is_some() => Kind::Library,
            _ => Kind::Program,
        };
        let dynamic = elf.interpreter.is_some() || elf.header.e_type == ET_DYN && elf.dynamic.is_some();
        entry.linkage = match elf.header.e_type {
            ET_EXEC | ET_DYN if dynamic => Linkage::Dynamic,
            ET_EXEC | ET_DYN => Linkage::Static,
            _ => Linkage::None,
        };
        entry.interpreter =
            elf.interpreter.map(|name| Need { name: name.to_owned(), found: None, note: None });
        entry.stripped = Some(elf.syms.is_empty());
    }
    origin::elf(file)
}

/// A compressed program; only its text and data are unpacked.
fn gzip(looked: &Report, entry: &mut Entry) -> Origin {
    entry.kind = Kind::Program;
    entry.linkage = Linkage::Static;
    if let Verdict::Refused(_) = &looked.verdict {
        "gzip-compressed a.out".clone_into(&mut entry.format);
    }
    // 2.1 unpacks a.out programs of its own machine only.
    Origin { machine: "i386".to_owned(), system: "FreeBSD 2".to_owned() }
}

/// The code of an i386 program or library.
fn code(file: &[u8], looked: &Report, entry: &Entry) -> super::model::Code {
    let (memory, start) = match (&looked.verdict, &looked.header) {
        (Verdict::Image(plan), _) => (Memory::of_plan(file, plan), Some(plan.entry)),
        (_, Some(header)) => (Memory::of_header(file, header), Some(header.entry)),
        (_, None) => {
            let start = Elf::parse(file).ok().and_then(|elf| u32::try_from(elf.entry).ok());
            (Memory::of_elf(file), start)
        }
    };
    let functions = looked.symbols.iter().filter(|s| matches!(s.kind, 'T' | 't')).map(|s| s.value);
    // Constants stand in the text too: a symbol counts where a function begins.
    let functions = functions.filter(|&addr| flow::is_function(&memory, addr));
    contained(&memory, start.into_iter().chain(functions), entry.linkage == Linkage::Dynamic)
}
