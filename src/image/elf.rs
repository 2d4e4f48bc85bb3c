//! ELF programs with the FreeBSD brand: an extension, 2.1 itself has no ELF activator.
//!
//! A program is FreeBSD's when its header says so (the old brand string at e_ident+8, or OSABI 9)
//! or when it names FreeBSD's run-time linker.
//!
//! Counterpart: kern/imgact_elf.c of FreeBSD 2.2 and later.

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{EI_OSABI, ELFMAG, EM_386, ET_DYN, ET_EXEC, Header};
use goblin::elf::program_header::{PF_R, PF_W, PF_X, PT_INTERP, PT_LOAD, PT_PHDR, ProgramHeader};

use super::{
    Backing, Circumstances, ElfInfo, Head, Kind, MAX_DATA, MAX_TEXT, PAGE, Plan, Prot, Refusal, Segment,
    Source, USER_END, read_bytes, round_page,
};

const OSABI_FREEBSD: u8 = 9;
const BRAND: &[u8] = b"FreeBSD\0";
/// FreeBSD's run-time linker, under its old and its new path.
const FREEBSD_LINKERS: [&[u8]; 2] = [b"/usr/libexec/ld-elf.so.1", b"/libexec/ld-elf.so.1"];
/// Program headers must lie in the first page, so there can be at most this many.
const MAX_HEADERS: u16 = (PAGE as u16 - 52) / 32;
const EM_486: u16 = 6;
const EXTENSION: &str = "2.1 has no ELF activator";

pub(super) fn activate<S: Source + ?Sized>(
    head: &Head,
    source: &S,
    with: Circumstances,
) -> Result<Option<Plan>, Refusal> {
    if !head.starts_with(ELFMAG) {
        return Ok(None);
    }
    let (header, segments) = headers(head)?;
    match header.e_type {
        ET_EXEC => {}
        ET_DYN => {
            if let Ok(Some(linker)) = interpreter_name(head, &segments)
                && !is_freebsd_linker(&linker)
            {
                return Err(elf(&format!("is not FreeBSD's: {}", system(&header, Some(&linker)))));
            }
            return Err(elf(
                "is a shared object or position-independent, which FreeBSD of that time cannot start",
            ));
        }
        1 => return Err(elf("is an object file, not a program")),
        4 => return Err(elf("is a core dump")),
        other => return Err(elf(&format!("has the unknown type {other}"))),
    }
    let interpreter = interpreter_name(head, &segments)?;
    let by_linker = interpreter.as_deref().is_some_and(is_freebsd_linker);
    if !is_branded(&header) && !by_linker {
        return Err(elf(&format!("is not FreeBSD's: {}", system(&header, interpreter.as_deref()))));
    }
    let mut plan = lay_out(source, &header, &segments, 0)?;
    plan.format = if interpreter.is_some() { "ELF, dynamic" } else { "ELF, static" };
    plan.interpreter = interpreter;
    let data = u64::from(plan.data_pages) * u64::from(PAGE);
    if data >= with.data_limit {
        return Err(Refusal::TooBig { format: "ELF", what: "data", size: data, limit: with.data_limit });
    }
    Ok(Some(plan))
}

/// Lays out the run-time linker at `base`.
pub(super) fn interpreter<S: Source + ?Sized>(head: &Head, source: &S, base: u32) -> Result<Plan, Refusal> {
    if !head.starts_with(ELFMAG) {
        return Err(elf("interpreter is not ELF"));
    }
    let (header, segments) = headers(head)?;
    let base = match header.e_type {
        ET_DYN => base,
        ET_EXEC => 0,
        _ => return Err(elf("interpreter is neither a shared object nor a program")),
    };
    lay_out(source, &header, &segments, base)
}

/// The file header and the program headers, both checked for the i386.
fn headers(head: &Head) -> Result<(Header, Vec<ProgramHeader>), Refusal> {
    if head.valid < 52 {
        return Err(Refusal::TruncatedHeader { format: "ELF", have: head.valid });
    }
    let (class, order) = (head.page[4], head.page[5]);
    let number = u16::from_le_bytes([head.page[18], head.page[19]]);
    if class != 1 || order != 1 || (number != EM_386 && number != EM_486) {
        return Err(elf(&format!("is for {}", machine(head))));
    }
    let header = goblin::elf::Elf::parse_header(&head.page).map_err(|e| elf(&format!("header: {e}")))?;
    let end = header.e_phoff.saturating_add(u64::from(header.e_phnum) * 32);
    if header.e_phentsize != 32
        || header.e_phnum == 0
        || header.e_phnum > MAX_HEADERS
        || end > head.valid as u64
    {
        return Err(elf("has no program headers in its first page"));
    }
    let ctx = Ctx::new(Container::Little, Endian::Little);
    let segments = ProgramHeader::parse(&head.page, header.e_phoff as usize, header.e_phnum.into(), ctx)
        .map_err(|e| elf(&format!("program headers: {e}")))?;
    Ok((header, segments))
}

fn lay_out<S: Source + ?Sized>(
    source: &S,
    header: &Header,
    headers: &[ProgramHeader],
    base: u32,
) -> Result<Plan, Refusal> {
    let mut plan = Plan {
        format: "ELF",
        extension: Some(EXTENSION),
        older: false,
        segments: Vec::new(),
        entry: base.checked_add(header.e_entry as u32).ok_or_else(|| elf("entry point wraps around"))?,
        interpreter: None,
        elf: None,
        text_addr: 0,
        text_pages: 0,
        data_addr: 0,
        data_pages: 0,
    };
    let mut phdr = None;
    for load in headers.iter().filter(|h| h.p_type == PT_LOAD && h.p_memsz != 0) {
        add_load(&mut plan, source, load, base)?;
        if header.e_phoff >= load.p_offset && header.e_phoff < load.p_offset + load.p_filesz {
            phdr = Some(base + (load.p_vaddr + (header.e_phoff - load.p_offset)) as u32);
        }
    }
    if let Some(own) = headers.iter().find(|h| h.p_type == PT_PHDR) {
        phdr = Some(base.wrapping_add(own.p_vaddr as u32));
    }
    if !plan.segments.iter().any(|s| s.addr <= plan.entry && plan.entry - s.addr < s.len) {
        return Err(elf(&format!("entry point {:#x} is in no segment", plan.entry)));
    }
    // The break starts behind everything, whatever the order of text and data.
    let end = plan.segments.last().map_or(0, |s| s.addr + s.len);
    let data = plan.segments.iter().find(|s| s.prot.write);
    plan.data_addr = data.map_or(end, |s| s.addr);
    plan.data_pages = (end - plan.data_addr) / PAGE;
    if let Some(text) = plan.segments.iter().find(|s| !s.prot.write) {
        (plan.text_addr, plan.text_pages) = (text.addr, text.len / PAGE);
    }
    plan.elf = Some(ElfInfo { phdr: phdr.unwrap_or(0), phnum: header.e_phnum.into() });
    Ok(plan)
}

/// Adds the one to three runs of pages that a loadable segment becomes: whole pages of the file,
/// the page that the file fills partly, and zeroes.
fn add_load<S: Source + ?Sized>(
    plan: &mut Plan,
    source: &S,
    load: &ProgramHeader,
    base: u32,
) -> Result<(), Refusal> {
    let page = u64::from(PAGE);
    let (offset, filesz, memsz) = (load.p_offset, load.p_filesz, load.p_memsz);
    let start = u64::from(base) + load.p_vaddr;
    let end = start + memsz;
    if filesz > memsz {
        return Err(elf("has a segment with more bytes in the file than in memory"));
    }
    if offset + filesz > source.size() {
        return Err(Refusal::Truncated { format: "ELF", want: offset + filesz, have: source.size() });
    }
    if start % page != offset % page {
        return Err(elf("has a segment whose address and offset differ within the page"));
    }
    let first = start - start % page;
    let last = round_page(end);
    let previous = plan.segments.last().map_or(0, |s| u64::from(s.addr) + u64::from(s.len));
    if last > u64::from(USER_END) {
        return Err(elf(&format!("has a segment beyond the user's address space ({start:#x}-{end:#x})")));
    }
    if first < previous {
        return Err(elf("has segments that overlap or are not in order"));
    }
    let writable = load.p_flags & PF_W != 0;
    let prot = Prot {
        read: load.p_flags & (PF_R | PF_X) != 0 || writable,
        write: writable,
        exec: load.p_flags & PF_X != 0,
    };
    let (kind, limit) = if writable { (Kind::Data, MAX_DATA) } else { (Kind::Text, MAX_TEXT) };
    if last - first > limit {
        return Err(Refusal::TooBig { format: "ELF", what: "segment", size: last - first, limit });
    }
    let file_end = start + filesz;
    // Read-only pages are mapped whole, as the file has them; writable ones must end in zeroes.
    let whole = if memsz == filesz && !writable { round_page(file_end) } else { file_end - file_end % page };
    let whole = whole.max(first);
    let middle = round_page(file_end).max(whole);
    let mut add = |from: u64, to: u64, kind, backing| {
        if to > from {
            // Bounded by USER_END above.
            plan.segments.push(Segment { addr: from as u32, len: (to - from) as u32, prot, kind, backing });
        }
    };
    add(first, whole, kind, Backing::File { offset: offset - offset % page });
    if middle > whole {
        let at = whole.max(start);
        let bytes = read_bytes(source, offset + (at - start), file_end.saturating_sub(at));
        add(whole, middle, kind, Backing::Bytes { at: at as u32, bytes });
    }
    add(middle, last, Kind::Bss, Backing::Zero);
    Ok(())
}

fn interpreter_name(head: &Head, headers: &[ProgramHeader]) -> Result<Option<Vec<u8>>, Refusal> {
    let Some(h) = headers.iter().find(|h| h.p_type == PT_INTERP) else { return Ok(None) };
    let end = h.p_offset.saturating_add(h.p_filesz);
    if end > head.valid as u64 {
        return Err(elf("names its interpreter outside its first page"));
    }
    let name = head.page[h.p_offset as usize..end as usize].split(|&b| b == 0).next().unwrap_or_default();
    if name.is_empty() {
        return Err(elf("names an empty interpreter"));
    }
    Ok(Some(name.to_vec()))
}

fn is_branded(header: &Header) -> bool {
    header.e_ident[EI_OSABI] == OSABI_FREEBSD || header.e_ident[8..16] == *BRAND
}

/// The system whose brand the header of an ELF file carries.
pub(super) fn brand(head: &Head) -> Option<&'static str> {
    if head.page[8..16] == *BRAND {
        return Some("FreeBSD");
    }
    branded(head.page[EI_OSABI])
}

fn branded(osabi: u8) -> Option<&'static str> {
    Some(match osabi {
        1 => "HP-UX",
        2 => "NetBSD",
        3 => "Linux",
        6 => "Solaris",
        OSABI_FREEBSD => "FreeBSD",
        12 => "OpenBSD",
        _ => return None,
    })
}

/// Whether a name is that of FreeBSD's run-time linker.
pub(super) fn is_freebsd_linker(name: &[u8]) -> bool {
    FREEBSD_LINKERS.contains(&name)
}

/// The machine that an ELF file is for, in words.
pub(super) fn machine(head: &Head) -> String {
    let (class, order) = (head.page[4], head.page[5]);
    let number = [head.page[18], head.page[19]];
    let number = if order == 2 { u16::from_be_bytes(number) } else { u16::from_le_bytes(number) };
    machine_name(class, order, number)
}

/// The system that a header, or failing that the interpreter's name, points to.
fn system(header: &Header, interpreter: Option<&[u8]>) -> String {
    match (branded(header.e_ident[EI_OSABI]), interpreter) {
        (Some(name), _) => format!("it is branded {name}"),
        (None, Some(name)) => format!("it carries no brand and asks for {}", String::from_utf8_lossy(name)),
        (None, None) => "it carries no brand".to_owned(),
    }
}

fn machine_name(class: u8, order: u8, machine: u16) -> String {
    let name = match machine {
        2 | 18 | 43 => "SPARC".to_owned(),
        EM_386 | EM_486 => "the i386".to_owned(),
        4 => "the 68000".to_owned(),
        8 => "MIPS".to_owned(),
        20 | 21 => "PowerPC".to_owned(),
        40 => "ARM".to_owned(),
        62 => "x86-64".to_owned(),
        183 => "AArch64".to_owned(),
        243 => "RISC-V".to_owned(),
        0x9026 | 41 => "Alpha".to_owned(),
        other => format!("machine number {other}"),
    };
    let odd = match (class, order) {
        (1, 1) => "",
        (2, 1) => ", 64-bit",
        (1, 2) => ", big-endian",
        (2, 2) => ", 64-bit big-endian",
        _ => ", of an unknown class or byte order",
    };
    format!("{name}{odd}")
}

fn elf(what: &str) -> Refusal {
    Refusal::Elf(what.to_owned())
}
