//! Core files: the user area, the data segment and the stack of a process that a signal ends.
//!
//! They are written only where the user of the emulator gave a directory of the host for them, under
//! 2.1's name, `progname.core`; otherwise no core file is made, as if the limit on them were zero.
//!
//! 2.1 counterpart: kern/kern_sig.c (coredump), i386/i386/vm_machdep.c (cpu_coredump).

use std::os::fd::{AsFd, BorrowedFd};

use super::{Flags, ProcId, acct, older_user_area, user_area};
use crate::host::fs::{self, HostKind, OpenFor, Place};
use crate::image::stack::USRSTACK;
use crate::kernel::Kernel;
use crate::kernel::limits::Resource;
use crate::kernel::signal::{SIGXFSZ, psignal};
use crate::mem::PAGE_SIZE;

/// Permissions of a core file.
const MODE: u32 = 0o600;
/// Bytes that are copied at once.
const PIECE: u32 = 65536;

/// Writes the core file of a process; tells whether it is whole.
pub(in crate::kernel) fn coredump(kernel: &mut Kernel, id: ProcId) -> bool {
    let proc = &kernel.procs[id];
    if proc.flags.contains(Flags::SUGID) {
        return false;
    }
    let pages = i64::from(proc.vm.data_pages) + i64::from(proc.vm.stack_pages);
    let size = pages * i64::from(PAGE_SIZE) + user_area::SIZE as i64;
    if size >= proc.limits.get(Resource::Core).cur {
        return false;
    }
    proc.account(acct::flag::CORE);
    let Some(directory) = &kernel.core_directory else { return false };
    let name = [&proc.comm, b".core".as_slice()].concat();
    let Some(file) = open(directory, &name) else { return false };
    let Ok(file) = file.open_file(OpenFor::Writing) else { return false };
    write(kernel, id, file.as_fd()).is_some()
}

/// The file, empty: not one that is anything but a regular file, or has other names.
fn open(directory: &Place, name: &[u8]) -> Option<Place> {
    let Ok(file) = directory.child(name) else { return directory.create(name, MODE).ok() };
    let stat = file.stat().ok()?;
    if stat.kind != HostKind::Regular || stat.nlink != 1 {
        return None;
    }
    fs::set_size(file.open_file(OpenFor::Writing).ok()?.as_fd(), 0).ok()?;
    Some(file)
}

/// Writes the three parts; nothing where one of them cannot be read or written.
fn write(kernel: &mut Kernel, id: ProcId, file: BorrowedFd<'_>) -> Option<()> {
    let area = if kernel.procs[id].older_program {
        older_user_area::image(kernel, id)
    } else {
        user_area::image(kernel, id)
    };
    let vm = &kernel.procs[id].vm;
    let data = (vm.data_addr, vm.data_pages.checked_mul(PAGE_SIZE)?);
    let stack = vm.stack_pages.checked_mul(PAGE_SIZE)?;
    let stack = (USRSTACK.checked_sub(stack)?, stack);
    let mut at = u64::from(area.len() as u32);
    may_grow_to(kernel, id, at)?;
    put(file, &area, 0)?;
    for (start, len) in [data, stack] {
        may_grow_to(kernel, id, at + u64::from(len))?;
        let mut done = 0;
        while done < len {
            let mut piece = vec![0; PIECE.min(len - done) as usize];
            kernel.procs[id].vm.space.peek(start.checked_add(done)?, &mut piece).ok()?;
            put(file, &piece, at)?;
            done += piece.len() as u32;
            at += piece.len() as u64;
        }
    }
    Some(())
}

/// The limit on the size of files holds for core files, too.
fn may_grow_to(kernel: &mut Kernel, id: ProcId, size: u64) -> Option<()> {
    if size.cast_signed() > kernel.procs[id].limits.get(Resource::Fsize).cur {
        psignal(kernel, id, SIGXFSZ);
        return None;
    }
    Some(())
}

fn put(file: BorrowedFd<'_>, bytes: &[u8], at: u64) -> Option<()> {
    (fs::write_at(file, bytes, at).ok()? == bytes.len()).then_some(())
}
