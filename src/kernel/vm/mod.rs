//! Address spaces of processes: what 2.1's vmspace adds to guest memory.

use syscalls::errno::Errno;

use super::Kernel;
use super::proc::ProcId;
use super::vfs::Executable;
use crate::image::Plan;
use crate::image::stack::{self, Stack};
use crate::mem::AddressSpace;

/// Address of the signal trampoline.
pub const SIGCODE: u32 = stack::SIGCODE;

/// The address space of a process.
#[derive(Debug)]
pub struct Vmspace {
    /// Guest memory.
    pub space: AddressSpace,
}

impl Vmspace {
    /// An address space without a program.
    pub fn empty() -> Self {
        Self { space: AddressSpace::new().expect("TODO") }
    }
    /// The address space of a new program.
    pub fn exec_new(
        _plan: &Plan,
        _file: &Executable,
        _stack: &Stack,
        _stack_limit: i64,
    ) -> Result<Self, Errno> {
        Err(Errno::ENOMEM)
    }
    /// Adds an ELF interpreter.
    pub fn add_image(&mut self, _plan: &Plan, _file: &Executable) -> Result<(), Errno> {
        Err(Errno::ENOMEM)
    }
    /// A copy for a child.
    pub fn fork(&mut self) -> Result<Self, Errno> {
        Err(Errno::ENOMEM)
    }
    /// Releases everything that is mapped.
    pub fn release(&mut self) {}
}

/// Grows the stack so that it holds `address`, where that lies in the stack's part of the address space;
/// false where it cannot grow so far.
pub fn grow(_kernel: &mut Kernel, _id: ProcId, _address: u32) -> bool {
    true
}
/// Grows the stack for a page fault; true where the access can be tried again.
pub fn grow_on_fault(_kernel: &mut Kernel, _id: ProcId, _address: u32) -> bool {
    false
}
