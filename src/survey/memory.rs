//! A program's bytes at the addresses at which its code expects them.
//!
//! Only what the file holds is here: no zeroes, no stack.

use goblin::elf::Elf;
use goblin::elf::program_header::{PF_X, PT_LOAD};

use crate::image::aout::Header;
use crate::image::{Backing, Plan};

/// More segments than any program of that time has; a damaged table cannot ask for more.
const MAX_RUNS: usize = 16;

/// A run of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Address of the first byte.
    pub addr: u32,
    /// The bytes.
    pub bytes: &'a [u8],
    /// Code is in it.
    pub code: bool,
}

impl<'a> Run<'a> {
    /// The bytes from an address on; none outside.
    pub fn from(&self, addr: u32) -> &'a [u8] {
        let at = addr.checked_sub(self.addr).map(|at| at as usize);
        at.and_then(|at| self.bytes.get(at..)).unwrap_or_default()
    }
}

/// All runs of a program.
#[derive(Clone, Debug, Default)]
pub struct Memory<'a> {
    /// In no particular order; they may not overlap.
    pub runs: Vec<Run<'a>>,
}

impl<'a> Memory<'a> {
    /// What an activator laid out.
    pub fn of_plan(file: &'a [u8], plan: &'a Plan) -> Self {
        let run = |segment: &'a crate::image::Segment| {
            let code = segment.prot.exec;
            match &segment.backing {
                Backing::File { offset } => {
                    let bytes = part(file, *offset, segment.len.into());
                    Some(Run { addr: segment.addr, bytes, code })
                }
                Backing::Bytes { at, bytes } => Some(Run { addr: *at, bytes, code }),
                Backing::Zero => None,
            }
        };
        Self { runs: plan.segments.iter().filter_map(run).collect() }
    }

    /// Text and data of an a.out file that no activator takes, such as a shared library, which is
    /// linked at 0.
    pub fn of_header(file: &'a [u8], header: &Header) -> Self {
        let base = if header.entry < header.text_addr() { 0 } else { header.text_addr() };
        let text =
            Run { addr: base, bytes: part(file, header.text_offset(), header.text.into()), code: true };
        let data = part(file, header.data_offset(), header.data.into());
        let data = Run { addr: base.wrapping_add(header.text), bytes: data, code: false };
        Self { runs: vec![text, data] }
    }

    /// The loadable segments of a 32-bit ELF file.
    pub fn of_elf(file: &'a [u8]) -> Self {
        let Ok(elf) = Elf::parse(file) else { return Self::default() };
        let loads = elf.program_headers.iter().filter(|h| h.p_type == PT_LOAD).take(MAX_RUNS);
        let run = |h: &goblin::elf::ProgramHeader| {
            let addr = u32::try_from(h.p_vaddr).ok()?;
            Some(Run { addr, bytes: part(file, h.p_offset, h.p_filesz), code: h.p_flags & PF_X != 0 })
        };
        Self { runs: loads.filter_map(run).collect() }
    }

    /// The run with code at an address, and its place among the runs.
    pub fn code_at(&self, addr: u32) -> Option<(usize, Run<'a>)> {
        let has = |run: &Run<'_>| run.code && !run.from(addr).is_empty();
        self.runs.iter().copied().enumerate().find(|(_, run)| has(run))
    }

    /// The 32-bit word at an address.
    pub fn word(&self, addr: u32) -> Option<u32> {
        let bytes = self.runs.iter().find_map(|run| run.from(addr).first_chunk::<4>())?;
        Some(u32::from_le_bytes(*bytes))
    }
}

/// Bytes `offset..offset + len` of a file, fewer at its end.
fn part(file: &[u8], offset: u64, len: u64) -> &[u8] {
    let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(file.len());
    file.get(at(offset)..at(offset.saturating_add(len))).unwrap_or_default()
}
