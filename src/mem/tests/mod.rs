//! Tests of guest memory on the host's real memory.

mod bulk;
mod code;
mod file;
mod fork;
mod measure;
mod model;
mod space;

use super::{AddressSpace, Prot};
use crate::trapframe::{Access, Fault, FaultCause};

const RW: Prot = Prot::READ.union(Prot::WRITE);
const RO: Prot = Prot::READ;

fn empty() -> AddressSpace {
    AddressSpace::new().expect("a reservation of address space")
}

fn fault(address: u32, access: Access, cause: FaultCause) -> Fault {
    Fault { address, access, cause }
}
