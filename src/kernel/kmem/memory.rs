//! What is at an address of kernel memory, and at one of physical memory.
//!
//! 2.1 counterpart: i386/i386/mem.c (mmrw) with kernacc.

use syscalls::errno::Errno;
use zerocopy::IntoBytes;

use super::{boot_file, object, physical, place, symbols};
use crate::kernel::Context;
use crate::kernel::file::Uio;
use crate::mem::PAGE_SIZE;

/// Where the kernel's part of the address space begins.
const KERNEL: u32 = 0xf000_0000;
/// The message buffer, and the tables of System V objects.
pub(super) const MESSAGES_AT: u32 = 0xf0f8_0000;
pub(super) const SEMAPHORE_SETS_AT: u32 = 0xf0f9_0000;
pub(super) const MESSAGE_QUEUES_AT: u32 = 0xf0fa_0000;
pub(super) const SHARED_SEGMENTS_AT: u32 = 0xf0fb_0000;
pub(super) const ADJUSTMENTS_AT: u32 = 0xf0fc_0000;

/// Bytes of the place of each of these.
const TABLE: u32 = 0x1_0000;

/// Reads kernel memory; EFAULT where there is none.
pub(in crate::kernel) fn read_kernel(cx: &mut Context<'_>, uio: &mut Uio) -> Result<(), Errno> {
    read(cx, uio, at)
}

/// Reads physical memory; what lies above it is the kernel's, as in a machine that maps itself.
pub(in crate::kernel) fn read_physical(cx: &mut Context<'_>, uio: &mut Uio) -> Result<(), Errno> {
    read(cx, uio, |cx, address| {
        if address >= KERNEL {
            return at(cx, address);
        }
        let start = address & !(PAGE_SIZE - 1);
        physical::page(cx, address / PAGE_SIZE).map(|bytes| (start, bytes)).or_else(|| {
            // The rest of the memory there is: nothing of anybody.
            (address < cx.kernel.system.physmem).then(|| (start, vec![0; PAGE_SIZE as usize]))
        })
    })
}

type Find = fn(&mut Context<'_>, u32) -> Option<(u32, Vec<u8>)>;

fn read(cx: &mut Context<'_>, uio: &mut Uio, find: Find) -> Result<(), Errno> {
    let before = uio.resid;
    while uio.resid > 0 {
        // As in the original the low half of the offset is the address.
        let address = uio.offset as u32;
        let found = find(cx, address);
        let piece = found.as_ref().and_then(|(start, bytes)| bytes.get((address - start) as usize..));
        let Some(piece) = piece.filter(|piece| !piece.is_empty()) else {
            return if uio.resid < before { Ok(()) } else { Err(Errno::EFAULT) };
        };
        let length = piece.len().min(uio.resid as usize);
        uio.move_out(cx, piece.get(..length).unwrap_or_default())?;
    }
    Ok(())
}

/// The object at an address: where it begins, and its bytes up to the next one.
fn at(cx: &mut Context<'_>, address: u32) -> Option<(u32, Vec<u8>)> {
    let older = cx.proc().older_program;
    let file = boot_file::of(cx);
    if let Some((name, start, room)) = file.variable(address) {
        let mut bytes = file.first_values(start, room);
        if let Some(value) = symbols::value(cx, &file, name, start, older) {
            bytes.iter_mut().zip(&value).for_each(|(to, byte)| *to = *byte);
        }
        return Some((start, bytes));
    }
    let (start, room, mut bytes) = match address & 0xffff_0000 {
        MESSAGES_AT => (MESSAGES_AT, TABLE, cx.kernel.messages.layout().as_bytes().to_vec()),
        SEMAPHORE_SETS_AT => (SEMAPHORE_SETS_AT, TABLE, cx.kernel.ipc.semaphore_sets()),
        MESSAGE_QUEUES_AT => (MESSAGE_QUEUES_AT, TABLE, cx.kernel.ipc.message_queues()),
        SHARED_SEGMENTS_AT => (SHARED_SEGMENTS_AT, TABLE, cx.kernel.ipc.shared_segments()),
        ADJUSTMENTS_AT => (ADJUSTMENTS_AT, TABLE, cx.kernel.ipc.adjustments(|id| place::process(id.index()))),
        _ => object::at(cx, address, older)?,
    };
    // An object's place is as large as the next one is far.
    bytes.resize(room as usize, 0);
    Some((start, bytes))
}
