//! Growth of the stack: at a page fault, before a signal frame, and under copies of the kernel.
//!
//! 2.1 counterpart: i386/i386/vm_machdep.c (grow), i386/i386/trap.c (trap_pfault).

use std::io;

use syscalls::errno::Errno;

use super::Vmspace;
use super::layout::{MAXSSIZ, SGROWSIZ, USRSTACK};
use crate::kernel::Kernel;
use crate::kernel::limits::Resource;
use crate::kernel::proc::{Proc, ProcId};
use crate::mem::{CopyStr, PAGE_SIZE, Prot};
use crate::trapframe::{Fault, FaultCause};

/// What growing the stack to an address takes.
#[derive(Debug, PartialEq, Eq)]
enum Growth {
    /// Nothing.
    Enough,
    /// This range must be free, and becomes stack.
    Range {
        /// First address.
        start: u32,
        /// Bytes.
        len: u32,
    },
    /// More than the limit.
    TooMuch,
}

fn growth(proc: &Proc, address: u32) -> Growth {
    growth_within(&proc.vm, proc.limits.get(Resource::Stack).cur, address)
}

fn growth_within(vm: &Vmspace, limit: i64, address: u32) -> Growth {
    if address <= vm.stack_floor || address >= USRSTACK {
        return Growth::Enough;
    }
    let wanted = (USRSTACK - address).next_multiple_of(PAGE_SIZE);
    if i64::from(wanted) > limit {
        return Growth::TooMuch;
    }
    // At most MAXSSIZ, as the floor says, so that no sum below wraps.
    let have = vm.stack_pages.saturating_mul(PAGE_SIZE).min(MAXSSIZ);
    let steps = have.next_multiple_of(SGROWSIZ);
    if vm.stack_pages == 0 || steps >= wanted {
        return Growth::Enough;
    }
    let len = (wanted - have).next_multiple_of(SGROWSIZ);
    match USRSTACK - steps - len {
        start if start < vm.stack_floor => Growth::Range { start: vm.stack_floor, len: MAXSSIZ - have },
        start => Growth::Range { start, len },
    }
}

/// Grows the stack so that it holds `address`, where that lies in the stack's part of the address
/// space; false where it cannot grow so far.
pub fn grow(kernel: &mut Kernel, id: ProcId, address: u32) -> bool {
    let Some(proc) = kernel.procs.get_mut(id) else { return false };
    match growth(proc, address) {
        Growth::Enough => true,
        Growth::TooMuch => false,
        Growth::Range { start, len } => {
            let space = &mut proc.vm.space;
            let free = len > 0 && space.regions_in(start, len).is_empty();
            let grown = free && space.map_anon(start, len, Prot::all()).is_ok();
            if grown {
                proc.vm.stack_pages += len / PAGE_SIZE;
                kernel.account_memory();
            }
            grown
        }
    }
}

/// Grows the stack of a program that does not run yet, as far as a limit allows, so that it holds `address`.
pub(super) fn grow_new(vm: &mut Vmspace, limit: i64, address: u32) -> io::Result<()> {
    if let Growth::Range { start, len } = growth_within(vm, limit, address) {
        vm.space.map_anon(start, len, Prot::all())?;
        vm.stack_pages += len / PAGE_SIZE;
    }
    Ok(())
}

/// Grows the stack for a page fault; true where the access can be tried again.
pub fn grow_on_fault(kernel: &mut Kernel, id: ProcId, address: u32) -> bool {
    let page = address & !(PAGE_SIZE - 1);
    let Some(proc) = kernel.procs.get(id) else { return false };
    let in_stack = page > proc.vm.stack_floor && page < USRSTACK;
    in_stack
        && grow(kernel, id, page)
        && kernel.procs.get(id).is_some_and(|p| p.vm.space.region_at(page).is_some())
}

/// Whether a read at `address` would grow the stack and find zeros.
fn would_grow(proc: &Proc, fault: Fault) -> bool {
    let page = fault.address & !(PAGE_SIZE - 1);
    if fault.cause != FaultCause::NotMapped || page <= proc.vm.stack_floor {
        return false;
    }
    match growth(proc, page) {
        Growth::Range { start, len } => len > 0 && proc.vm.space.regions_in(start, len).is_empty(),
        Growth::Enough | Growth::TooMuch => false,
    }
}

/// Bytes from a fault to the end of its page, at most `rest`.
fn to_page_end(address: u32, rest: usize) -> usize {
    rest.min((PAGE_SIZE - address % PAGE_SIZE) as usize)
}

/// Fills `buffer` from guest memory.  Where 2.1 would grow the stack to read it, it reads as the
/// zeros that 2.1 would find.
#[inline]
pub fn copyin(proc: &Proc, address: u32, buffer: &mut [u8]) -> Result<(), Errno> {
    match proc.vm.space.copyin(address, buffer) {
        Ok(()) => Ok(()),
        Err(_) => copyin_over_holes(proc, address, buffer),
    }
}

#[cold]
fn copyin_over_holes(proc: &Proc, address: u32, buffer: &mut [u8]) -> Result<(), Errno> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..) {
        let at = address.wrapping_add(done as u32);
        let Err(fault) = proc.vm.space.copyin(at, rest) else { return Ok(()) };
        if !would_grow(proc, fault) {
            return Err(Errno::EFAULT);
        }
        let from = fault.address.wrapping_sub(at) as usize;
        let hole = to_page_end(fault.address, rest.len().saturating_sub(from));
        rest.iter_mut().skip(from).take(hole).for_each(|byte| *byte = 0);
        done += from + hole;
    }
    Ok(())
}

/// Stores `bytes` in guest memory and grows the stack where they reach below it.
#[inline]
pub fn copyout(kernel: &mut Kernel, id: ProcId, address: u32, bytes: &[u8]) -> Result<(), Errno> {
    let stored = kernel.procs.get(id).is_some_and(|proc| proc.vm.space.copyout(address, bytes).is_ok());
    if stored { Ok(()) } else { copyout_growing(kernel, id, address, bytes) }
}

#[cold]
fn copyout_growing(kernel: &mut Kernel, id: ProcId, address: u32, bytes: &[u8]) -> Result<(), Errno> {
    let mut done = 0;
    loop {
        let proc = kernel.procs.get(id).ok_or(Errno::EFAULT)?;
        let at = address.wrapping_add(done as u32);
        let Err(fault) = proc.vm.space.copyout(at, bytes.get(done..).unwrap_or_default()) else {
            return Ok(());
        };
        if fault.cause != FaultCause::NotMapped || !grow_on_fault(kernel, id, fault.address) {
            return Err(Errno::EFAULT);
        }
        // The page is mapped now, so that the next round gets at least past this byte.
        done += fault.address.wrapping_sub(at) as usize;
    }
}

/// A string of at most `max` bytes with its terminator, given without it; EFAULT or ENAMETOOLONG.
pub fn copyinstr(proc: &Proc, address: u32, max: usize) -> Result<Vec<u8>, Errno> {
    match proc.vm.space.copyinstr(address, max) {
        Ok(string) => Ok(string),
        Err(CopyStr::TooLong) => Err(Errno::ENAMETOOLONG),
        Err(CopyStr::Fault(fault)) if would_grow(proc, fault) => {
            // The stack would begin with a zero there: the string ends.
            let mut string = vec![0; fault.address.wrapping_sub(address) as usize];
            copyin(proc, address, &mut string)?;
            Ok(string)
        }
        Err(CopyStr::Fault(_)) => Err(Errno::EFAULT),
    }
}
