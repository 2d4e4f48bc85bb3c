//! The kernel's own file: where its variables lie.
//!
//! A tree with a kernel of its system says so itself; without one the kernel offers a small a.out file that
//! has symbols and nothing else.
//!
//! 2.1 counterpart: what nlist(3) reads of /kernel.

use std::collections::BTreeMap;
use std::rc::Rc;

use syscalls::layout::{Exec, Nlist};
use zerocopy::{FromBytes, IntoBytes};

use super::statistics;
use super::symbols::NAMES;
use crate::image::inspect;
use crate::kernel::Context;
use crate::mem::PAGE_SIZE;

/// Where variables lie without a file, and how far apart.
const VARIABLES_AT: u32 = 0xf010_0000;
const APART: u32 = 8 * PAGE_SIZE;
/// Largest file that is looked at.
const MOST: u64 = 8 << 20;
/// A symbol of the data segment that others can see (N_DATA, N_EXT).
const N_DATA_EXT: u8 = 7;
/// OMAGIC of no machine: 386BSD's nlist knows none.
const MIDMAG: u32 = 0o407;
/// Bytes of the header, and of the page before text in ZMAGIC files.
const HEADER: u32 = 32;
const ZMAGIC: u32 = 0o413;
const QMAGIC: u32 = 0o314;

/// The addresses of variables, and what a file says of their first values.
#[derive(Debug)]
pub(crate) struct BootFile {
    by_address: BTreeMap<u32, String>,
    /// First address of the segments, their bytes, and where bss ends.
    base: u32,
    image: Vec<u8>,
    end: u32,
}

/// The file of an a.out kernel, with the names of this one's variables.
pub(in crate::kernel) fn synthetic() -> Vec<u8> {
    let mut strings = vec![0; 4];
    let mut symbols = Vec::new();
    for (n, name) in NAMES.iter().enumerate() {
        let symbol = Nlist {
            strx: (strings.len() as i32).into(),
            kind: N_DATA_EXT,
            value: place(n, name).into(),
            ..Nlist::default()
        };
        symbols.extend_from_slice(symbol.as_bytes());
        strings.extend_from_slice(name.as_bytes());
        strings.push(0);
    }
    let length = (strings.len() as u32).to_le_bytes();
    strings.splice(..4, length);
    let header = Exec {
        midmag: MIDMAG.into(),
        syms: (symbols.len() as u32).into(),
        entry: VARIABLES_AT.into(),
        ..Exec::default()
    };
    [header.as_bytes(), &symbols, &strings].concat()
}

/// Where a variable lies without a file.  The ends of tables lie where their contents end.
fn place(n: usize, name: &str) -> u32 {
    let at = |n: usize| VARIABLES_AT + n as u32 * APART;
    let of_table = |table: &str| NAMES.iter().position(|name| *name == table).map_or(at(n), at);
    match name {
        "_eintrcnt" => of_table("_intrcnt") + statistics::INTERRUPT_COUNTS,
        "_eintrnames" => of_table("_intrnames") + statistics::INTERRUPT_NAMES.len() as u32,
        _ => at(n),
    }
}

impl BootFile {
    /// The kernel without a file.
    fn of_ours() -> Self {
        let by_address =
            NAMES.iter().enumerate().map(|(n, name)| (place(n, name), (*name).to_owned())).collect();
        let end = VARIABLES_AT + NAMES.len() as u32 * APART;
        Self { by_address, base: VARIABLES_AT, image: Vec::new(), end }
    }

    /// Where a variable is, and the room up to the next one.
    pub(super) fn find(&self, name: &str) -> Option<(u32, u32)> {
        let (&start, _) = self.by_address.iter().find(|(_, known)| *known == name)?;
        self.variable(start).map(|(_, start, room)| (start, room))
    }

    /// What a file says; none if it is not an a.out kernel, or has names and no segments as the one made here:
    /// its variables lie where this kernel without a file has them.
    fn parse(file: &[u8]) -> Option<Self> {
        let (header, _) = Exec::read_from_prefix(file).ok()?;
        let base = header.entry.get() & !(PAGE_SIZE - 1);
        let text_at = match header.midmag.get() & 0xffff {
            ZMAGIC => PAGE_SIZE,
            QMAGIC => 0,
            _ => HEADER,
        };
        let len = header.text.get().checked_add(header.data.get())?;
        let end = base.checked_add(len)?.checked_add(header.bss.get())?;
        let image = file.get(text_at as usize..text_at.checked_add(len)? as usize)?.to_vec();
        let symbols = inspect::symbols(file);
        let by_address: BTreeMap<_, _> =
            symbols.into_iter().map(|symbol| (symbol.value, symbol.name)).collect();
        (!by_address.is_empty() && end > base).then_some(Self { by_address, base, image, end })
    }

    /// The variable that an address lies in: its name, where it begins, and the room up to the next one.
    pub(super) fn variable(&self, address: u32) -> Option<(&str, u32, u32)> {
        if !(self.base..self.end).contains(&address) {
            return None;
        }
        let (&start, name) = self.by_address.range(..=address).next_back()?;
        let next =
            self.by_address.range(address.checked_add(1)?..).next().map_or(self.end, |(&next, _)| next);
        Some((name, start, next - start))
    }

    /// The first values of a range inside of the kernel; zeros in bss.
    pub(super) fn first_values(&self, start: u32, len: u32) -> Vec<u8> {
        let from = start.saturating_sub(self.base) as usize;
        let mut bytes = vec![0; len as usize];
        bytes.iter_mut().zip(self.image.iter().skip(from)).for_each(|(to, byte)| *to = *byte);
        bytes
    }
}

/// The kernel's file as the calling program knows it: looked at once.
pub(super) fn of(cx: &mut Context<'_>) -> Rc<BootFile> {
    let older = cx.proc().older_program;
    if let Some(known) = &cx.kernel.kernel_files[usize::from(older)] {
        return Rc::clone(known);
    }
    let path = if older { b"/386bsd".to_vec() } else { cx.kernel.system.bootfile.as_bytes().to_vec() };
    let found = cx.kernel.read_as_superuser(&path, MOST).ok().and_then(|file| BootFile::parse(&file));
    let file = Rc::new(found.unwrap_or_else(BootFile::of_ours));
    cx.kernel.kernel_files[usize::from(older)] = Some(Rc::clone(&file));
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_synthetic_kernel_says_what_we_know() {
        let parsed = inspect::symbols(&synthetic());
        assert_eq!(parsed.len(), NAMES.len());
        let ours = BootFile::of_ours();
        for symbol in parsed {
            let (name, start, room) = ours.variable(symbol.value + 3).unwrap();
            assert_eq!((name, start), (symbol.name.as_str(), symbol.value));
            assert!(room > 3, "{name}");
        }
        assert!(ours.variable(VARIABLES_AT - 1).is_none());
        assert!(ours.variable(u32::MAX).is_none());
    }

    #[test]
    fn files_that_are_damaged_or_without_segments_are_no_kernels() {
        for file in [&b""[..], b"#!/bin/sh\n", &[0xff; 40], &synthetic()[..20], &synthetic()[..]] {
            assert!(BootFile::parse(file).is_none());
        }
    }
}
