//! Page faults and resident memory of a process, from what is in its address space when somebody asks.
//!
//! A page faults when it is touched first: a page that has been written since the program began counts as one
//! fault without input, a block of the program's file that was not in the cache as one with input.
//!
//! 2.1 counterpart: vm/vm_fault.c and vm/vm_meter.c, which count as it happens.

use crate::kernel::Kernel;
use crate::kernel::proc::{Proc, ProcId};
use crate::kernel::vfs::{VnodeId, blocks};
use crate::mem::PAGE_SIZE;

/// Kilobytes of a page.
const PAGE_KB: u32 = PAGE_SIZE / 1024;

/// Takes into account what the process has in memory now: before it is told, and before it goes.
pub(in crate::kernel) fn note(proc: &mut Proc) {
    let written = proc.vm.space.written();
    let new = written.saturating_sub(proc.vm.written);
    proc.vm.written = written.max(proc.vm.written);
    proc.usage.minflt = proc.usage.minflt.wrapping_add(new);
    let resident = proc.vm.space.resident_pages().saturating_mul(PAGE_KB);
    proc.usage.maxrss = proc.usage.maxrss.max(resident);
}

/// A new program: its first pages come from its file.
pub(in crate::kernel) fn executed(kernel: &mut Kernel, id: ProcId, vnode: VnodeId, size: u64) {
    let read = blocks::read(kernel, id, vnode, 0, size);
    let proc = &mut kernel.procs[id];
    proc.usage.majflt = proc.usage.majflt.wrapping_add(read);
}
