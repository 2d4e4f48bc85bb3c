//! Blocks whose bytes may change unseen look at them when they are entered.
//!
//! Such are those on pages with code and data: see `AddressSpace::is_mixed`.  They end behind their first store, so
//! that nothing changes while they run.  The comparison leaves flags alone: equal halves give a mask with which a
//! byte can be read, others one with which it is shut away.

use super::code::{DWORD, Operand, R9, R15, TABLE_BIAS};
use super::emit::Emitter;
use super::{Done, Source, Unserved};
use crate::cpu::state::offset;

/// The mask of four equal words.
const EQUAL: i32 = 15;

/// Writes the comparison of a block's bytes.
pub(super) fn write(e: &mut Emitter, source: &Source<'_>) -> Done {
    e.code.op(DWORD, 0xc7, 0, Emitter::field(offset::EIP))?;
    e.code.put(&source.eip.to_le_bytes());
    let mut run: (u32, Vec<u8>) = (source.eip, Vec::new());
    for part in source.code {
        let at = part.d.ins.ip32();
        if run.0.wrapping_add(run.1.len() as u32) != at {
            compare(e, &run)?;
            run = (at, Vec::new());
        }
        run.1.extend_from_slice(part.d.bytes());
    }
    compare(e, &run)
}

/// Compares bytes that lie behind each other, eight or four at a time; the last ones once more where they are fewer.
fn compare(e: &mut Emitter, (at, bytes): &(u32, Vec<u8>)) -> Done {
    let size = match bytes.len() {
        0..4 => return Err(Unserved),
        4..8 => 4,
        _ => 8,
    };
    let starts = (0..bytes.len() - size).step_by(size).chain([bytes.len() - size]);
    for start in starts {
        let Some(part) = bytes.get(start..start + size) else { return Err(Unserved) };
        let address = at.wrapping_add(start as u32).to_le_bytes();
        if size == 8 {
            // mov r9, bytes; movq xmm1, r9; movq xmm0, gs:[address]
            e.code.put(&[0x49, 0xb9]);
            e.code.put(part);
            e.code.put(&[0x66, 0x49, 0x0f, 0x6e, 0xc9]);
            e.may_differ();
            e.code.put(&[0x65, 0x67, 0xf3, 0x0f, 0x7e, 0x04, 0x25]);
        } else {
            // mov r9d, bytes; movd xmm1, r9d; movd xmm0, gs:[address]
            e.code.put(&[0x41, 0xb9]);
            e.code.put(part);
            e.code.put(&[0x66, 0x41, 0x0f, 0x6e, 0xc9]);
            e.may_differ();
            e.code.put(&[0x65, 0x67, 0x66, 0x0f, 0x6e, 0x04, 0x25]);
        }
        e.code.put(&address);
        // pcmpeqd xmm0, xmm1; movmskps r9d, xmm0
        e.code.put(&[0x66, 0x0f, 0x76, 0xc1, 0x44, 0x0f, 0x50, 0xc8]);
        e.may_differ();
        // The first byte of the table can be read, those before it are shut away.
        let byte = Operand::Host { base: R15, index: Some((R9, 3)), disp: -(TABLE_BIAS + 8 * EQUAL) };
        e.code.op(DWORD, 0x8a, R9, byte)?;
    }
    Ok(())
}
