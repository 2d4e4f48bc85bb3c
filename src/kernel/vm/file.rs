//! Files that change under mappings: the file system tells, every process that maps the file learns.
//!
//! 2.1 counterpart: vm/vnode_pager.c (vnode_pager_setsize, vnode_pager_uncache).

use std::os::fd::BorrowedFd;

use crate::kernel::Kernel;
use crate::mem::{self, FileId};

/// Says that a file is about to get the smaller size `size`; call it before the host's file shrinks.
/// Pages beyond raise SIGBUS from now on.
pub fn before_truncate(kernel: &mut Kernel, id: FileId, size: u64) {
    if !mem::is_mapped(id) {
        return;
    }
    for process in kernel.procs.ids().to_vec() {
        let Some(proc) = kernel.procs.get_mut(process) else { continue };
        // The host refuses only when it is out of mappings; the access then is a bus error, which
        // ends the same way.
        let _ = proc.vm.space.truncate_file(id, size);
    }
}

/// Says that the bytes of a file are those of another file of the host from now on.
pub fn after_move(kernel: &mut Kernel, id: FileId, file: BorrowedFd<'_>) {
    if !mem::is_mapped(id) {
        return;
    }
    mem::forget_mapped(id);
    for process in kernel.procs.ids().to_vec() {
        let Some(proc) = kernel.procs.get_mut(process) else { continue };
        // The host refuses only when it is out of mappings: the pages stay as the file was.
        let _ = proc.vm.space.move_file(id, file);
    }
}

/// Says that a process maps a file shared from now on: others may have decoded code from private mappings.
pub fn after_share(kernel: &mut Kernel, id: FileId) {
    for process in kernel.procs.ids().to_vec() {
        if let Some(proc) = kernel.procs.get(process) {
            proc.vm.space.file_shared(id);
        }
    }
}

/// Says that `len` bytes at `offset` of a file were written and that it has `size` bytes now: pages
/// that were beyond its end can be accessed, and code decoded from the bytes is decoded again.
pub fn after_write(kernel: &mut Kernel, id: FileId, offset: u64, len: u64, size: u64) {
    if !mem::is_mapped(id) {
        return;
    }
    for process in kernel.procs.ids().to_vec() {
        let Some(proc) = kernel.procs.get_mut(process) else { continue };
        proc.vm.space.file_written(id, offset, len);
        let _ = proc.vm.space.note_file_size(id, size);
    }
}
