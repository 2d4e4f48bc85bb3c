//! One call of one process: what a handler sees.

use syscalls::errno::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::proc::{Proc, ProcId};
use super::{Kernel, vm};

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
    pub fn proc(&self) -> &Proc {
        &self.kernel.procs[self.id]
    }

    /// The calling process, to change it.
    pub fn proc_mut(&mut self) -> &mut Proc {
        &mut self.kernel.procs[self.id]
    }

    /// Fills `buffer` from guest memory; EFAULT where it cannot be read.
    pub fn copyin(&self, address: u32, buffer: &mut [u8]) -> Result<(), Errno> {
        vm::copyin(self.proc(), address, buffer)
    }

    /// Copies `len` bytes from guest memory.
    pub fn copyin_vec(&self, address: u32, len: usize) -> Result<Vec<u8>, Errno> {
        let mut buffer = vec![0; len];
        self.copyin(address, &mut buffer)?;
        Ok(buffer)
    }

    /// Stores `bytes` in guest memory; EFAULT where it cannot be written.
    pub fn copyout(&mut self, address: u32, bytes: &[u8]) -> Result<(), Errno> {
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

    /// Fails with EPERM unless the effective user is the super-user (`suser`).
    pub fn suser(&self) -> Result<(), Errno> {
        if self.proc().cred.is_superuser() { Ok(()) } else { Err(Errno::EPERM) }
    }
}
