//! Physical memory: only the pages in which 386BSD's tools look for the arguments of a process, behind the page
//! table that leads to them.
//!
//! Such a tool goes from the page directory of a process to its page table and on to the last pages of its
//! stack, where that system's execve leaves the arguments.
//!
//! Counterpart: libutil/kvm.c of 386BSD 2.0 (kvm_getu, kvm_getargs).

use crate::image::stack::{PS_STRINGS, USRSTACK};
use crate::kernel::Context;
use crate::kernel::proc::Proc;
use crate::mem::PAGE_SIZE;

/// Frames of page tables, one a process.
const TABLES: u32 = 0x4_0000;
/// Frames of arguments, 64 for each process.
const ARGUMENTS: u32 = 0x5_0000;
const EACH: u32 = 64;
/// Most processes.
const PROCESSES: u32 = 1024;
/// Bytes of arguments there (ARG_MAX), and where they begin.
const ARG_MAX: u32 = 20480;
const ARGUMENTS_AT: u32 = USRSTACK - ARG_MAX;
/// A page is there, and a user's (PG_V, PG_U).
const VALID: u32 = 0x5;

/// The entry of a page directory: all of them lead to the one table.
pub(super) fn directory_entry(slot: usize) -> u32 {
    (TABLES + slot as u32) << 12 | VALID
}

/// A page of physical memory, where there is one.
pub(super) fn page(cx: &Context<'_>, frame: u32) -> Option<Vec<u8>> {
    if let Some(slot) = frame.checked_sub(TABLES).filter(|&slot| slot < PROCESSES) {
        process(cx, slot)?;
        return Some((0..PAGE_SIZE / 4).flat_map(|n| entry(slot, n).to_le_bytes()).collect());
    }
    let place = frame.checked_sub(ARGUMENTS).filter(|&n| n < EACH * PROCESSES)?;
    let proc = process(cx, place / EACH)?;
    // The number inside of the table has ten bits, of which the place keeps six.
    let first = ARGUMENTS_AT >> 12;
    let number = (place % EACH).wrapping_sub(first % EACH) % EACH;
    let text = arguments(proc);
    let mut page = vec![0; PAGE_SIZE as usize];
    let from = (number * PAGE_SIZE) as usize;
    page.iter_mut().zip(text.iter().skip(from)).for_each(|(to, byte)| *to = *byte);
    Some(page)
}

/// An entry of a page table: those of the arguments are valid.
fn entry(slot: u32, number: u32) -> u32 {
    let first = ARGUMENTS_AT >> 12 & 0x3ff;
    let pages = ARG_MAX / PAGE_SIZE;
    if !(first..first + pages).contains(&number) {
        return 0;
    }
    (ARGUMENTS + slot * EACH + number % EACH) << 12 | VALID
}

fn process<'a>(cx: &'a Context<'_>, slot: u32) -> Option<&'a Proc> {
    cx.kernel.procs.iter().find(|(id, _)| id.index() == slot as usize).map(|(_, proc)| proc)
}

/// The arguments and the environment, one string behind the other.
fn arguments(proc: &Proc) -> Vec<u8> {
    let mut text = Vec::new();
    for vector in [PS_STRINGS, PS_STRINGS + 8] {
        let word = |at: u32| proc.vm.space.fuword(at).unwrap_or(0);
        let (at, count) = (word(vector), word(vector + 4));
        for n in 0..count.min(ARG_MAX) {
            let string = proc.vm.space.copyinstr(word(at.wrapping_add(4 * n)), ARG_MAX as usize);
            let Ok(string) = string else { return text };
            text.extend_from_slice(&string);
            text.push(0);
            if text.len() >= ARG_MAX as usize {
                return text;
            }
        }
    }
    text
}
