//! Which machine and which system an executable was made for, as far as its header tells.
//!
//! Early BSD systems for the i386 wrote no machine number; what tells them apart is the magic number
//! and where the text begins in the file and in memory.  Where several systems share a convention, all
//! are named.
//!
//! 2.1 counterpart: file(1)'s magic entries.

use goblin::elf::Elf;

use super::super::aout::{Header, MID_I386, Magic};
use super::super::{Head, Source, elf, foreign};

/// A machine and a system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its processor: `i386`, `VAX`, `x86-64, 64-bit`.
    pub machine: String,
    /// Its system: `386BSD`, `Linux`; what several have in common is told by all their names.
    pub system: String,
}

impl Origin {
    fn new(machine: &str, system: &str) -> Self {
        Self { machine: machine.to_owned(), system: system.to_owned() }
    }

    /// Whether its code is for the i386.
    pub fn is_i386(&self) -> bool {
        self.machine == I386
    }
}

const I386: &str = "i386";

/// Addresses from here on were the kernel's in every BSD for the i386 and the VAX.
pub const KERNEL: u32 = 0x8000_0000;

/// Where an a.out file comes from; `None` when the numbers behind its magic make no sense.
pub fn aout(file: &[u8], header: &Header) -> Option<Origin> {
    if is_pdp11(file) {
        return Some(Origin::new("PDP-11", "UNIX"));
    }
    if let Some((system, machine)) = foreign::assigned(header) {
        return Some(Origin::new(if machine.is_empty() { "68000 or SPARC" } else { machine }, system));
    }
    if header.mid != 0 && header.mid != MID_I386 {
        return None;
    }
    if header.mid == 0 && header.network_order {
        // The words behind the magic are the machine's; NetBSD writes only the first in network order.
        let swapped = [header.text, header.data].map(|n| u64::from(n.swap_bytes()));
        return fits(file, swapped).then(|| Origin::new("68000 or SPARC", "BSD"));
    }
    if foreign::is_vax(header, file) || starts_with_vax_mask(file, header) {
        return Some(Origin::new("VAX", "4BSD"));
    }
    if header.entry >= KERNEL {
        return Some(Origin::new(I386, if header.mid == 0 { "386BSD" } else { "FreeBSD or NetBSD" }));
    }
    let whole = fits(file, [header.text, header.data].map(u64::from));
    if header.mid == 0 && !whole && !matches!(header.magic, Magic::Zmagic | Magic::Qmagic) {
        return None; // two bytes that happen to be a magic number
    }
    let system = match (header.magic, header.network_order, header.mid) {
        (_, true, _) => "NetBSD",
        (Magic::Zmagic, _, 0) => "386BSD or FreeBSD 1.0",
        (Magic::Qmagic, _, 0) => "BSD/386",
        (Magic::Zmagic, _, _) => "FreeBSD 1",
        (Magic::Qmagic, _, _) => "FreeBSD 2",
        (_, _, 0) => "386BSD",
        _ => "FreeBSD",
    };
    Some(Origin::new(I386, system))
}

/// Where an ELF file comes from.
pub fn elf(file: &[u8]) -> Origin {
    let head = Head::read(file);
    let machine = elf::machine(&head);
    let machine = machine.strip_prefix("the ").unwrap_or(&machine);
    let interpreter = Elf::parse(file).ok().and_then(|elf| elf.interpreter.map(str::to_owned));
    let system = match elf::brand(&head) {
        Some(name) => format!("{name} (brand)"),
        None => match interpreter.as_deref() {
            Some(name) if elf::is_freebsd_linker(name.as_bytes()) => "FreeBSD (run-time linker)".to_owned(),
            Some(name) if name.contains("ld-linux") || name.contains("ld-musl") => {
                "Linux (run-time linker)".to_owned()
            }
            Some(name) if name.contains("ld.elf_so") => "NetBSD (run-time linker)".to_owned(),
            _ => "no brand".to_owned(),
        },
    };
    Origin { machine: machine.to_owned(), system }
}

/// Whether text and data are in the file at all.
fn fits(file: &[u8], sizes: [u64; 2]) -> bool {
    let size = sizes[0] + sizes[1];
    size != 0 && size <= Source::size(file)
}

/// The PDP-11's header is eight words of 16 bits, whose sizes add up to the file's.
fn is_pdp11(file: &[u8]) -> bool {
    let word = |i: usize| file.get(i * 2..i * 2 + 2).map(|b| u64::from(u16::from_le_bytes([b[0], b[1]])));
    let (Some(magic), Some(text), Some(data), Some(syms), Some(flag)) =
        (word(0), word(1), word(2), word(4), word(7))
    else {
        return false;
    };
    let relocations = if flag == 0 { text + data } else { 0 };
    matches!(magic, 0o407..=0o411) && text != 0 && Source::size(file) == 16 + text + data + relocations + syms
}

/// A VAX procedure begins with a mask of the registers to save, and a start routine saves none; its
/// first instruction takes room on the stack.
fn starts_with_vax_mask(file: &[u8], header: &Header) -> bool {
    let text = match header.magic {
        Magic::Zmagic => 1024,
        _ => header.text_offset(),
    };
    let at = usize::try_from(text + u64::from(header.entry)).ok();
    let start = at.and_then(|at| file.get(at..at.checked_add(3)?));
    header.mid == 0 && matches!(start, Some([0, 0, 0xc2]))
}
