//! Instructions with labels to bytes, in one pass.
//!
//! iced-x86 has a block encoder for this, which also chooses the length of branches; it takes three times as long, and
//! here all branches have the same length, so that they can be linked later.

use super::Unserved;
use super::emit::Done;
use iced_x86::code_asm::CodeAssembler;
use iced_x86::{Code, Encoder, OpKind};

/// What labels count up to; addresses of the host are greater.
const LABELS: u64 = 1 << 20;
/// Bytes of the distance at the end of a branch.
const DISTANCE: usize = 4;

/// The bytes of a piece of code.
pub(super) struct Assembled {
    pub(super) bytes: Vec<u8>,
    /// Where each instruction begins, and the end of the last one.
    pub(super) offsets: Vec<u32>,
}

/// Encodes all instructions of an assembler; they will lie at `ip`.
pub(super) fn assemble(a: &CodeAssembler, ip: u64) -> Done<Assembled> {
    let mut encoder = Encoder::try_with_capacity(64, 2048)?;
    let mut offsets = Vec::with_capacity(a.instructions().len() + 1);
    let mut labels: Vec<u32> = Vec::new();
    let mut branches = Vec::new();
    let mut len = 0;
    for ins in a.instructions() {
        offsets.push(len as u32);
        // A label is the address of the instruction behind it.
        let label = ins.ip() as usize;
        if label != 0 {
            if labels.len() <= label {
                labels.resize(label + 1, u32::MAX);
            }
            labels[label] = len as u32;
        }
        if ins.code() == Code::Zero_bytes {
            continue;
        }
        let here = ip + len as u64;
        if ins.op_count() > 0 && ins.op0_kind() == OpKind::NearBranch64 && ins.near_branch64() < LABELS {
            let mut branch = *ins;
            branch.set_near_branch64(here);
            len += encoder.encode(&branch, here)?;
            branches.push((len, ins.near_branch64() as usize));
        } else {
            len += encoder.encode(ins, here)?;
        }
    }
    offsets.push(len as u32);
    let mut bytes = encoder.take_buffer();
    for (end, label) in branches {
        let to = *labels.get(label).filter(|&&to| to != u32::MAX).ok_or(Unserved)?;
        let distance = to.wrapping_sub(end as u32);
        bytes.get_mut(end - DISTANCE..end).ok_or(Unserved)?.copy_from_slice(&distance.to_le_bytes());
    }
    Ok(Assembled { bytes, offsets })
}
