//! The address space of a new program: its segments, the first 128 KB of stack, the trampoline.
//!
//! 2.1 counterpart: kern/kern_exec.c (exec_new_vmspace, exec_copyout_strings), the mapping part of
//! kern/imgact_*.c.

use std::os::fd::{AsFd, BorrowedFd};

use syscalls::errno::Errno;

use super::layout::{SGROWSIZ, SIGCODE_BYTES, Stack, UPAGES, USRSTACK};
use super::stack::grow_new;
use super::{SIGCODE, Vmspace, errno};
use crate::image::{Backing, Plan, Segment};
use crate::kernel::vfs::Executable;
use crate::mem::{AddressSpace, FileId, PAGE_SIZE, Prot, Sharing};

/// Largest initialized data that is copied at once instead of mapped.  Most of it is written soon, and
/// a page fault of the host costs more than reading ten pages.  Nobody can tell: a program's file
/// cannot be written while it runs.
const COPIED_DATA: u32 = 256 << 10;

/// The file of a program.
#[derive(Clone, Copy)]
pub(super) struct Image<'a> {
    pub(super) fd: BorrowedFd<'a>,
    pub(super) id: FileId,
    pub(super) size: u64,
}

impl<'a> Image<'a> {
    fn of(file: &'a Executable) -> Self {
        Self { fd: file.file.as_fd(), id: file.id, size: file.size }
    }

    /// Whether a segment is small and wholly in pages that the file has.
    fn covers(self, offset: u64, len: u32) -> bool {
        let pages = self.size.next_multiple_of(u64::from(PAGE_SIZE));
        len <= COPIED_DATA && offset.checked_add(u64::from(len)).is_some_and(|end| end <= pages)
    }
}

impl Vmspace {
    /// The address space of a new program, whose stack may have `stack_limit` bytes.
    pub fn exec_new(plan: &Plan, file: &Executable, stack: &Stack, stack_limit: i64) -> Result<Self, Errno> {
        Self::build(plan, Image::of(file), stack, stack_limit)
    }

    pub(super) fn build(
        plan: &Plan,
        file: Image<'_>,
        stack: &Stack,
        stack_limit: i64,
    ) -> Result<Self, Errno> {
        let space = AddressSpace::new().map_err(|e| errno(&e))?;
        let mut vm = Self::around(space);
        vm.add_segments(plan, file)?;
        vm.add_stack(stack, stack_limit)?;
        vm.text_addr = plan.text_addr;
        vm.text_pages = plan.text_pages;
        vm.data_addr = plan.data_addr;
        vm.data_pages = plan.data_pages;
        Ok(vm)
    }

    /// Maps the segments of the interpreter that a program asks for.
    pub fn add_image(&mut self, plan: &Plan, file: &Executable) -> Result<(), Errno> {
        self.add_segments(plan, Image::of(file))
    }

    fn add_segments(&mut self, plan: &Plan, file: Image<'_>) -> Result<(), Errno> {
        plan.segments.iter().try_for_each(|segment| self.add_segment(segment, file))
    }

    fn add_segment(&mut self, segment: &Segment, file: Image<'_>) -> Result<(), Errno> {
        let (addr, len, prot) = (segment.addr, segment.len, protection(segment.prot));
        let inside = addr.checked_add(len).is_some_and(|end| end <= USRSTACK);
        if !inside {
            return Err(Errno::ENOMEM);
        }
        match &segment.backing {
            Backing::File { offset } if prot.contains(Prot::WRITE) && file.covers(*offset, len) => {
                self.space.map_copy(addr, len, prot, file.fd, *offset)
            }
            Backing::File { offset } => {
                self.space.map_file(addr, len, prot, file.fd, *offset, Sharing::Private, file.id)
            }
            Backing::Zero => self.space.map_anon(addr, len, prot),
            Backing::Bytes { at, bytes } => {
                self.space.map_anon(addr, len, prot).map_err(|e| errno(&e))?;
                return self.space.poke(*at, bytes).map_err(|_| Errno::EFAULT);
            }
        }
        .map_err(|e| errno(&e))
    }

    /// Maps the stack with its contents, and the trampoline in the page above it.  Arguments that need more than
    /// the first 128 KB make it grow, as the faults of the original's copies do; what the limit leaves no room
    /// for is not there, and nobody is told.
    fn add_stack(&mut self, stack: &Stack, limit: i64) -> Result<(), Errno> {
        let first = USRSTACK - SGROWSIZ;
        self.space.map_anon(first, SGROWSIZ, Prot::all()).map_err(|e| errno(&e))?;
        self.stack_pages = SGROWSIZ / PAGE_SIZE;
        // The vectors are written before the count below them.
        for address in [stack.argv, stack.esp] {
            grow_new(self, limit, address).map_err(|e| errno(&e))?;
        }
        let lost = (USRSTACK - self.stack_pages * PAGE_SIZE).saturating_sub(stack.esp);
        let there = stack.bytes.get(lost as usize..).unwrap_or_default();
        self.space.poke(stack.esp + lost, there).map_err(|_| Errno::EFAULT)?;
        let space = &mut self.space;
        // The user area: the guest may read it, and nothing of it but the trampoline is of use.
        space.map_anon(USRSTACK, UPAGES * PAGE_SIZE, Prot::READ).map_err(|e| errno(&e))?;
        space.set_max_protection(USRSTACK, UPAGES * PAGE_SIZE, Prot::READ).map_err(|e| errno(&e))?;
        space.poke(SIGCODE, &SIGCODE_BYTES).map_err(|_| Errno::EFAULT)?;
        self.argv = stack.argv;
        Ok(())
    }
}

fn protection(prot: crate::image::Prot) -> Prot {
    let mut all = Prot::empty();
    all.set(Prot::READ, prot.read);
    all.set(Prot::WRITE, prot.write);
    all.set(Prot::EXEC, prot.exec);
    all
}
