//! Guest memory: one 4 GiB reservation per address space, and the only unsafe code of the project.
//!
//! An [`AddressSpace`] is what a guest process can address.  Guest address `a` lives at host
//! address `base + a`, and a table of one byte per 4096-byte page says what the guest may do there.
//! Every access asks the table first, so a fault is a value ([`Fault`](crate::trapframe::Fault)) that
//! names the first byte concerned, and no guest number can reach outside the reservation.
//!
//! | file | idea |
//! |---|---|
//! | [`page`] | the page byte and protections (pure) |
//! | [`region`] | the ordered list of mapped ranges (pure) |
//! | [`watch`] | which 64-byte granules hold decoded code (pure) |
//! | [`reservation`] | host memory: reserve, commit, map a file, release |
//! | [`rights`] | the host's protection of pages, which translated code relies on |
//! | [`presumed`] | pages that translated code may have written |
//! | [`bus`] | the SIGBUS handler for files truncated by somebody else |
//! | [`space`] | map, protect, unmap, regions |
//! | [`texts`] | code that processes of the same program have in common |
//! | [`code`] | telling the processor that decoded code was overwritten |
//! | [`file`](mod@file) | files that change their size, written back or truncated under a mapping |
//! | [`object`] | the files and shared memory below mappings |
//! | [`fork`] | a copy of a space, and the pool of idle reservations |
//! | [`frozen`] | large memory in common since a fork |
//! | [`view`], [`bulk`] | what the processor uses: loads, stores, string operations |
//! | [`executable`], [`jumps`] | memory for translated code, and where the code of an address is |
//! | [`guarded`] | the handler of SIGSEGV and SIGFPE, for code that expects them |
//! | [`mapped`] | a file of the host, mapped to be looked at |
//! | [`copy`] | what the kernel uses: copyin, copyout, fuword and their family |
//! | [`budget`] | what all of it takes of the host, and may take |
//!
//! This module knows nothing of instructions, processes or files of the guest.
//!
//! 2.1 counterpart: vm/vm_map.c, i386/i386/pmap.c, i386/i386/support.s.

pub mod budget;
pub mod bulk;
mod bus;
mod code;
pub mod copy;
mod executable;
mod file;
mod fork;
mod frozen;
pub mod guarded;
mod jumps;
mod mapped;
mod object;
pub mod page;
mod presumed;
pub mod region;
mod reservation;
mod rights;
pub mod space;
mod texts;
pub mod view;
mod watch;

pub use bulk::{Direction, Scanned, Width};
pub use copy::CopyStr;
pub use executable::Executable;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub use jumps::set_segment_base;
pub use jumps::{Jumps, sets_segment_bases};
pub use mapped::Mapped;
pub use object::{
    FileId, SharedMemory, Sharing, Twins, files_are_stored_to, forget_mapped, is_mapped, most_shared_bytes,
    shared_bytes,
};
pub use page::{PAGE_SIZE, Prot};
pub use reservation::leave_to_host;
pub use space::{AddressSpace, Backing, FileMode, Inherit, Region};
pub use texts::Text;
pub use view::{View, Written};

#[cfg(test)]
mod tests;
