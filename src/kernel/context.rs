//! One call of one process: what a handler sees.

use syscalls::errno::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::event::Event;
use super::proc::{Proc, ProcId, acct};
use super::{Kernel, vm};
use crate::image::stack::USRSTACK;
use crate::mem::{PAGE_SIZE, Prot};

/// One call of one process.  Everything a handler does goes through it.
#[derive(Debug)]
pub struct Context<'k> {
    /// The kernel.
    pub kernel: &'k mut Kernel,
    /// The calling process (`curproc`).
    pub id: ProcId,
}

impl<'k> Context<'k> {
    /// A call of process `id`.
    pub fn new(kernel: &'k mut Kernel, id: ProcId) -> Self {
        Self { kernel, id }
    }

    /// The calling process.
    #[inline]
    pub fn proc(&self) -> &Proc {
        &self.kernel.procs[self.id]
    }

    /// The calling process, to change it.
    #[inline]
    pub fn proc_mut(&mut self) -> &mut Proc {
        &mut self.kernel.procs[self.id]
    }

    /// Fills `buffer` from guest memory; EFAULT where it cannot be read.  As in the original nothing may
    /// lie above the user's part, not even nothing (i386/i386/support.s, copyin).
    #[inline]
    pub fn copyin(&self, address: u32, buffer: &mut [u8]) -> Result<(), Errno> {
        check_user_range(address, buffer.len())?;
        vm::copyin(self.proc(), address, buffer)
    }

    /// Copies `len` bytes from guest memory.
    pub fn copyin_vec(&self, address: u32, len: usize) -> Result<Vec<u8>, Errno> {
        let mut buffer = vec![0; len];
        self.copyin(address, &mut buffer)?;
        Ok(buffer)
    }

    /// Stores `bytes` in guest memory; EFAULT where it cannot be written.  Storing nothing succeeds
    /// everywhere.
    #[inline]
    pub fn copyout(&mut self, address: u32, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.kernel.observed() {
            self.observed_copyout(address, bytes)
        } else {
            self.store(address, bytes)
        }
    }

    #[cold]
    fn observed_copyout(&mut self, address: u32, bytes: &[u8]) -> Result<(), Errno> {
        let result = self.store(address, bytes);
        let len = bytes.len() as u32;
        self.kernel.note(self.id, Event::Copy { out: true, address, len, result });
        result
    }

    #[inline]
    fn store(&mut self, address: u32, bytes: &[u8]) -> Result<(), Errno> {
        check_user_range(address, bytes.len())?;
        vm::copyout(self.kernel, self.id, address, bytes)
    }

    /// A string of at most `max` bytes with its terminator, given without it; EFAULT or ENAMETOOLONG.
    pub fn copyinstr(&self, address: u32, max: usize) -> Result<Vec<u8>, Errno> {
        vm::copyinstr(self.proc(), address, max)
    }

    /// Reads a structure from guest memory.
    pub fn read<T: FromBytes + IntoBytes>(&self, address: u32) -> Result<T, Errno> {
        let mut value = T::new_zeroed();
        self.copyin(address, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Writes a structure to guest memory.
    pub fn write<T: IntoBytes + Immutable>(&mut self, address: u32, value: &T) -> Result<(), Errno> {
        self.copyout(address, value.as_bytes())
    }

    /// Whether all pages that `len` bytes touch are mapped with at least a protection (`useracc`).
    pub fn useracc(&self, address: u32, len: u32, prot: Prot) -> bool {
        let Some(end) = address.checked_add(len).filter(|&end| end <= USRSTACK) else { return false };
        let end = end.next_multiple_of(PAGE_SIZE);
        let mut at = address & !(PAGE_SIZE - 1);
        loop {
            let Some(region) = self.proc().vm.space.region_at(at) else { return false };
            if at < end && !region.prot.contains(prot) {
                return false;
            }
            at = region.start.saturating_add(region.len);
            if at >= end {
                return true;
            }
        }
    }

    /// Fails with EPERM unless the effective user is the super-user (`suser`).
    pub fn suser(&self) -> Result<(), Errno> {
        let proc = self.proc();
        if !proc.cred.is_superuser() {
            return Err(Errno::EPERM);
        }
        proc.account(acct::flag::SU);
        Ok(())
    }
}

/// Whether a range lies below the end of the user's part of the address space (VM_MAXUSER_ADDRESS).
#[inline]
fn check_user_range(address: u32, len: usize) -> Result<(), Errno> {
    // No buffer is long enough for the sum to overflow.
    let end = u64::from(address) + len as u64;
    if end > u64::from(USRSTACK) { Err(Errno::EFAULT) } else { Ok(()) }
}
