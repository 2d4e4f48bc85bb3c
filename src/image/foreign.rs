//! Files that are not 2.1's: what they are, in a few words for the person who tried to run one.

use super::aout::{Header, Magic};
use super::{Head, Refusal, Source};

/// First bytes of formats that people have lying about.
const SIGNATURES: &[(&[u8], &str)] = &[
    (b"MZ", "DOS or Windows program"),
    (b"!<arch>\n", "archive (library), not a program"),
    (b"PK\x03\x04", "zip archive"),
    (b"BZh", "bzip2 file"),
    (b"\x1f\x9d", "compress (.Z) file; 2.1 runs only gzip-compressed programs"),
    (b"\xca\xfe\xba\xbe", "Mach-O universal program or Java class"),
    (b"\xce\xfa\xed\xfe", "Mach-O program"),
    (b"\xcf\xfa\xed\xfe", "Mach-O program"),
    (b"\xfe\xed\xfa\xce", "Mach-O program"),
    (b"\x4c\x01", "COFF program (SCO, System V)"),
    (b"\x00\x61\x73\x6d", "WebAssembly module"),
    (b"begin ", "uuencoded file"),
];

/// A refusal for a file that no activator knows.
pub(super) fn name(head: &Head) -> Refusal {
    let known = SIGNATURES.iter().find(|(magic, _)| head.starts_with(magic));
    Refusal::Foreign(match known {
        Some((_, name)) => (*name).to_owned(),
        None if is_text(head) => "text without a #! line".to_owned(),
        None => format!("unknown format (starts with {})", hex(&head.page[..head.valid.min(8)])),
    })
}

/// A refusal for an a.out file of another machine.
pub(super) fn aout_machine(header: &Header) -> Refusal {
    Refusal::Foreign(match assigned(header) {
        Some((system, "")) => format!("{system} a.out program"),
        Some((system, "i386")) => format!("{system} a.out program (machine number {})", header.mid),
        Some((system, machine)) => {
            format!("{system} a.out program for {machine} (machine number {})", header.mid)
        }
        None => format!("a.out program for machine number {}", header.mid),
    })
}

/// System and machine of the machine numbers that NetBSD, SunOS, Linux and HP-UX assigned.
pub(super) fn assigned(header: &Header) -> Option<(&'static str, &'static str)> {
    Some(match header.mid {
        1 | 2 => ("SunOS", "68000"),
        3 => ("SunOS", "SPARC"),
        100 => ("Linux", "i386"),
        135 | 136 => ("NetBSD", "m68k"),
        137 => ("NetBSD", "ns32k"),
        138 => ("BSD", "SPARC"),
        139 | 142 => ("NetBSD", "MIPS"),
        140 | 150 => ("NetBSD", "VAX"),
        141 => ("NetBSD", "Alpha"),
        143 => ("NetBSD", "ARM"),
        200 | 300 => ("BSD", "HP 9000/300"),
        0x20b | 0x20c => ("HP-UX", "HP 9000"),
        // SunOS keeps a toolversion beside the machine number.
        mid if header.network_order && matches!(mid & 0xff, 1..=3) => ("SunOS", ""),
        _ => return None,
    })
}

/// VAX programs of 4.3BSD carry no machine number, but their text starts at offset 1024 of the
/// file: the sizes add up to the file's with that offset and with no other.
pub(super) fn is_vax<S: Source + ?Sized>(header: &Header, source: &S) -> bool {
    if header.magic != Magic::Zmagic || header.network_order || header.mid != 0 || header.text == 0 {
        return false;
    }
    let strings = 1024 + u64::from(header.text) + u64::from(header.data) + u64::from(header.syms);
    let mut size = [0; 4];
    if header.syms != 0 && source.read_at(strings, &mut size) < size.len() {
        return false;
    }
    source.size() == strings + u64::from(u32::from_le_bytes(size))
}

fn is_text(head: &Head) -> bool {
    head.page[..head.valid].iter().all(|&b| matches!(b, b'\t'..=b'\r' | b' '..=b'~' | 0x80..))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
}
