//! Bytes to instructions: what a Pentium of a 2.1 user has, and what refuses to be one.
//!
//! Knows iced-x86 and memory; neither registers nor blocks.

use super::state::CODE_END;
use super::x87;
use crate::mem::AddressSpace;
use crate::trapframe::{Access, Fault, FaultCause, Trap};
use iced_x86::{Code, CpuidFeature, Decoder, DecoderError, DecoderOptions, Instruction};

/// Longest instruction.
pub(crate) const MAX_LEN: usize = 15;

/// A decoded instruction.
#[derive(Clone, Copy)]
pub(crate) struct Decoded {
    /// What the decoder says.
    pub(crate) ins: Instruction,
    /// Escape byte of an x87 instruction, or zero.
    pub(crate) escape: u8,
    /// Its ModRM byte.
    pub(crate) modrm: u8,
    /// What the x87 unit does for it; none: it is invalid.
    pub(crate) unit: Option<x87::Op>,
    bytes: [u8; MAX_LEN],
}

impl Decoded {
    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.ins.len()).unwrap_or_default()
    }
}

/// Decodes the instruction at an address, or says what fetching or decoding it raises.
pub(crate) fn at(space: &AddressSpace, eip: u32) -> Result<Decoded, Trap> {
    if eip >= CODE_END {
        return Err(Trap::GeneralProtection(0));
    }
    let mut bytes = [0; 16];
    let inside = (CODE_END - eip) as usize;
    let readable = space.fetch(eip, &mut bytes).min(MAX_LEN);
    let have = readable.min(inside);
    match decode(bytes.get(..have).unwrap_or_default(), eip) {
        Err(Undecoded::Short) if have == MAX_LEN || have == inside => Err(Trap::GeneralProtection(0)),
        Err(Undecoded::Short) => {
            let address = eip.wrapping_add(have as u32);
            let unknown = Fault { address, access: Access::Fetch, cause: FaultCause::NotMapped };
            Err(Trap::Page(space.fetch_fault(address).unwrap_or(unknown)))
        }
        Err(Undecoded::Invalid) => Err(Trap::InvalidOpcode),
        Ok(decoded) => Ok(decoded),
    }
}

/// Why bytes are no instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undecoded {
    /// There are too few of them.
    Short,
    /// They are none on a Pentium.
    Invalid,
}

/// Decodes bytes that lie at an address.
pub(crate) fn decode(bytes: &[u8], eip: u32) -> Result<Decoded, Undecoded> {
    let options = DecoderOptions::OLD_FPU | DecoderOptions::NO_WBNOINVD | DecoderOptions::NO_PAUSE;
    let mut decoder = Decoder::with_ip(32, bytes, eip.into(), options);
    let ins = decoder.decode();
    match decoder.last_error() {
        DecoderError::None => {}
        DecoderError::NoMoreBytes => return Err(Undecoded::Short),
        // All bytes that an instruction may have, and it does not end.
        _ if decoder.position() >= MAX_LEN => return Err(Undecoded::Short),
        _ => return Err(Undecoded::Invalid),
    }
    let (escape, modrm) = escape(bytes, &ins);
    // The x87 unit has its own table.
    if ins.code() == Code::INVALID || escape == 0 && !ins.cpuid_features().iter().all(|&f| is_of_a_pentium(f))
    {
        return Err(Undecoded::Invalid);
    }
    let unit = if escape == 0 { None } else { x87::decode(escape, modrm) };
    let mut own = [0; MAX_LEN];
    own.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    Ok(Decoded { ins, escape, modrm, unit, bytes: own })
}

/// Whether an instruction set is one of those that the processor has: a Pentium's, without MMX.
pub fn is_of_a_pentium(feature: CpuidFeature) -> bool {
    use CpuidFeature as F;
    matches!(
        feature,
        F::INTEL8086
            | F::INTEL186
            | F::INTEL286
            | F::INTEL386
            | F::INTEL486
            | F::FPU
            | F::FPU287
            | F::FPU387
            | F::CPUID
            | F::TSC
            | F::MSR
            | F::CX8
    )
}

/// Escape and ModRM byte of an x87 instruction.
fn escape(bytes: &[u8], ins: &Instruction) -> (u8, u8) {
    let is_prefix = |b: u8| matches!(b, 0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3);
    let mut rest = bytes.iter().copied().take(ins.len()).skip_while(|&b| is_prefix(b));
    match (rest.next(), rest.next()) {
        (Some(escape @ 0xd8..=0xdf), Some(modrm)) => (escape, modrm),
        _ => (0, 0),
    }
}
