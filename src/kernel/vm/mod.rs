//! Address spaces of processes: guest memory with the numbers that 2.1 keeps beside it.
//!
//! The map itself is [`AddressSpace`]; here are the rules of 2.1 about it: where a program's segments,
//! break and stack lie, how the stack grows, and what the calls on memory check.
//!
//! | file | idea |
//! |---|---|
//! | [`calls`] | the handlers |
//! | [`map`] | mmap, munmap, mprotect and their checks |
//! | [`image`] | the address space of a new program |
//! | [`stack`] | growth of the stack, at page faults and at copies of the kernel |
//! | [`faults`] | page faults and resident memory |
//! | [`swap`] | devices to page to |
//! | [`file`](mod@file) | files that change under mappings |
//!
//! 2.1 counterpart: vm/vm_map.h (struct vmspace), vm/vm_mmap.c, vm/vm_unix.c,
//! i386/i386/vm_machdep.c (grow), kern/kern_exec.c (exec_new_vmspace).

pub mod calls;
pub(in crate::kernel) mod faults;
pub mod file;
mod image;
mod map;
mod stack;
mod swap;
#[cfg(test)]
mod tests;

use std::io;

use syscalls::errno::Errno;

use crate::image::stack as layout;
use crate::kernel::ipc::Attachments;
use crate::mem::{AddressSpace, PAGE_SIZE};

pub use map::{Mappable, Placement, map_memory};
pub use stack::{copyin, copyinstr, copyout, grow, grow_on_fault};

/// Address of the signal trampoline.
pub const SIGCODE: u32 = layout::SIGCODE;
/// End of the part of the address space that a process may map (VM_MAXUSER_ADDRESS).
const VM_MAXUSER_ADDRESS: u32 = layout::USRSTACK;

/// The address space of a process (`struct vmspace`).
#[derive(Debug)]
pub struct Vmspace {
    /// Guest memory.
    pub space: AddressSpace,
    /// Start of text (vm_taddr).
    pub text_addr: u32,
    /// Pages of text (vm_tsize).
    pub text_pages: u32,
    /// Start of data; the break is this plus the data pages (vm_daddr).
    pub data_addr: u32,
    /// Pages of data, bss and what break added (vm_dsize).
    pub data_pages: u32,
    /// Pages of stack (vm_ssize).
    pub stack_pages: u32,
    /// Lowest address that the stack may ever have (vm_maxsaddr).
    pub stack_floor: u32,
    /// Address of the argument vector (vm_minsaddr).
    pub argv: u32,
    /// Pages that had been written when somebody last looked ([`faults`]).
    pub written: u32,
    /// Attached segments of shared memory (vm_shm).
    pub attached: Attachments,
}

/// For copies of the kernel, which give the copy its memory themselves ([`AddressSpace::hollow`]).
impl Clone for Vmspace {
    fn clone(&self) -> Self {
        Self { space: self.space.hollow(), ..*self }
    }
}

impl Vmspace {
    /// An address space without a program.  Who boots a kernel has seen to it that there is room
    /// ([`AddressSpace::reserve`]).
    pub fn empty() -> Self {
        let space = AddressSpace::new().expect("the host has 4 GiB of address space to reserve");
        Self::around(space)
    }

    fn around(space: AddressSpace) -> Self {
        Self {
            space,
            text_addr: 0,
            text_pages: 0,
            data_addr: 0,
            data_pages: 0,
            stack_pages: 0,
            stack_floor: layout::USRSTACK - layout::MAXSSIZ,
            argv: 0,
            written: 0,
            attached: Attachments::default(),
        }
    }

    /// A copy for a child (`vmspace_fork`).
    pub fn fork(&mut self) -> Result<Self, Errno> {
        let space = self.space.fork().map_err(|e| errno(&e))?;
        // The child's faults are those on pages of its own.
        let written = space.written();
        Ok(Self { space, written, ..*self })
    }

    /// Releases everything that is mapped.
    pub fn release(&mut self) {
        self.space.clear();
    }
}

/// Rounds up to a page; wraps to 0 behind the last one, as 2.1's `round_page` does.
fn round_page(address: u32) -> u32 {
    address.wrapping_add(PAGE_SIZE - 1) & !(PAGE_SIZE - 1)
}

/// Whether an address is not that of a page.
fn inside_page(address: u32) -> bool {
    address & (PAGE_SIZE - 1) != 0
}

/// What the guest gets when the host refuses memory.
fn errno(error: &io::Error) -> Errno {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Errno::EACCES,
        io::ErrorKind::InvalidInput => Errno::EINVAL,
        _ => Errno::ENOMEM,
    }
}
