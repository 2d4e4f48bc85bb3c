//! The bytes that a call moved through a descriptor, found by the types in its row.
//!
//! Must not know what is done with them.  2.1 counterpart: the `ktriov` in kern/sys_generic.c and
//! kern/uipc_syscalls.c.

use syscalls::arg::{Kind, word};
use syscalls::layout::{Iovec, Msghdr, Omsghdr};
use zerocopy::FromBytes;

use crate::kernel::syscall::Call;
use crate::mem::AddressSpace;

/// Most bytes that are kept.
const BOUND: u32 = 1 << 24;

/// Bytes that a call moved.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// The descriptor.
    pub fd: i32,
    /// The guest wrote them.
    pub written: bool,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// The `moved` bytes of a call that has succeeded; none at the end of a file.
pub fn of(call: &Call, moved: u32, space: &AddressSpace) -> Option<Transfer> {
    let [first, second, ..] = syscalls::sysent::row(call.number)?.args else { return None };
    if moved > BOUND || !matches!(first.kind, Kind::Fd) {
        return None;
    }
    let fd = word(&call.words, 0).cast_signed();
    let (addr, count) = (word(&call.words, 1), word(&call.words, 2));
    let (written, bytes) = match second.kind {
        Kind::InBuf => (true, bytes(space, addr, moved)?),
        Kind::OutBuf => (false, bytes(space, addr, moved)?),
        Kind::IovecIn => (true, gather(space, addr, count, moved)?),
        Kind::IovecOut => (false, gather(space, addr, count, moved)?),
        Kind::MsgIn { old } => (true, message(space, addr, old, moved)?),
        Kind::MsgOut { old } => (false, message(space, addr, old, moved)?),
        _ => return None,
    };
    Some(Transfer { fd, written, bytes })
}

fn bytes(space: &AddressSpace, addr: u32, len: u32) -> Option<Vec<u8>> {
    let mut found = vec![0; len as usize];
    space.copyin(addr, &mut found).ok()?;
    Some(found)
}

fn value<T: FromBytes>(space: &AddressSpace, addr: u32) -> Option<T> {
    T::read_from_bytes(&bytes(space, addr, size_of::<T>() as u32)?).ok()
}

fn message(space: &AddressSpace, addr: u32, old: bool, moved: u32) -> Option<Vec<u8>> {
    let (iov, count) = if old {
        let head = value::<Omsghdr>(space, addr)?;
        (head.iov.get(), head.iovlen.get().cast_unsigned())
    } else {
        let head = value::<Msghdr>(space, addr)?;
        (head.iov.get(), head.iovlen.get())
    };
    gather(space, iov, count, moved)
}

fn gather(space: &AddressSpace, addr: u32, count: u32, moved: u32) -> Option<Vec<u8>> {
    let mut found = Vec::new();
    for i in 0..count {
        let left = moved - found.len() as u32;
        if left == 0 {
            break;
        }
        let part = value::<Iovec>(space, addr.wrapping_add(8 * i))?;
        found.extend(bytes(space, part.base.get(), left.min(part.len.get()))?);
    }
    Some(found)
}
