//! The table of open files as `pstat` and `fstat` read it.
//!
//! 2.1 counterpart: kern/kern_sysctl.c (sysctl_file), sys/file.h.

use syscalls::errno::Errno;
use zerocopy::little_endian::{I16, I64, U32};
use zerocopy::{Immutable, IntoBytes};

use super::transfer::Transfer;
use crate::kernel::Context;
use crate::kernel::file::{File, FileId, FileObject};

/// Bytes of the pointer to the first file, which comes before the files.
const HEAD: u32 = 4;
/// Files that the answer to "how much room" adds.
const SLOP: u32 = 10;
/// Where the kernel memory lies that addresses in the table seem to point to.
const FILES_AT: u32 = 0xf100_0000;
const OBJECTS_AT: u32 = 0xf180_0000;

/// An open file as the kernel keeps it; its addresses tell files apart and nothing more.
#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C)]
struct FileEntry {
    next: U32,
    previous: U32,
    flag: I16,
    kind: I16,
    count: I16,
    msgcount: I16,
    cred: U32,
    ops: U32,
    offset: I64,
    data: U32,
}

const SIZE: u32 = size_of::<FileEntry>() as u32;

/// Gives the table, as far as there is room.
pub(super) fn sysctl_file(cx: &mut Context<'_>, value: &mut Transfer) -> Result<(), Errno> {
    let files = cx.kernel.files.active().to_vec();
    if value.old == 0 {
        value.oldlen = HEAD + (files.len() as u32 + SLOP) * SIZE;
        return Ok(());
    }
    let room = std::mem::take(&mut value.oldlen);
    if room < HEAD {
        return Ok(());
    }
    let first = files.first().map_or(0, |&id| address(id));
    cx.copyout(value.old, &first.to_le_bytes())?;
    let mut done = HEAD;
    for (n, &id) in files.iter().enumerate() {
        if room - done < SIZE {
            value.oldlen = done;
            return Err(Errno::ENOMEM);
        }
        let next = files.get(n + 1).map_or(0, |&next| address(next));
        let entry = entry(&cx.kernel.files[id], next);
        cx.copyout(value.old.wrapping_add(done), entry.as_bytes())?;
        done += SIZE;
    }
    value.oldlen = done;
    Ok(())
}

fn address(id: FileId) -> u32 {
    FILES_AT.wrapping_add(id.index() as u32 * SIZE)
}

fn entry(file: &File, next: u32) -> FileEntry {
    let (kind, object) = match file.object {
        FileObject::Unset => (0, 0),
        FileObject::Vnode(vnode) => (1, 2 * vnode.index() as u32 + 1),
        FileObject::Socket(socket) => (2, 2 * socket.index() as u32 + 2),
    };
    FileEntry {
        next: next.into(),
        previous: 0.into(),
        flag: (file.flag.bits() as i16).into(),
        kind: kind.into(),
        count: (file.count as i16).into(),
        msgcount: (file.msgcount as i16).into(),
        cred: 0.into(),
        ops: 0.into(),
        offset: file.offset.into(),
        data: if object == 0 { 0 } else { OBJECTS_AT + 64 * object }.into(),
    }
}
