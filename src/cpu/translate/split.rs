//! The bytes of an instruction taken apart, as far as encodings need it: prefixes, opcode, operands, the rest.
//!
//! Knows encodings and nothing of what instructions do.  Source: Intel manual 2, chapter 2.

/// A memory operand with a 32-bit address in a flat segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) base: Option<u8>,
    /// Index register and the logarithm of its scale.
    pub(super) index: Option<(u8, u8)>,
    pub(super) disp: i32,
}

/// What ModRM names beside a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rm {
    /// There is no ModRM byte.
    None,
    Register(u8),
    Memory(Memory),
}

/// An instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split<'a> {
    /// Operands are 16 bits wide.
    pub(super) word: bool,
    /// Its repeat prefix, or zero.
    pub(super) repeat: u8,
    /// The opcode lies behind 0F.
    pub(super) two: bool,
    pub(super) opcode: u8,
    /// The register field of ModRM.
    pub(super) reg: u8,
    pub(super) rm: Rm,
    /// Immediate operands.
    pub(super) tail: &'a [u8],
}

/// Number of ESP as a register, and as a base.
pub(super) const ESP: u8 = 4;

impl<'a> Split<'a> {
    /// Takes an instruction apart; none where it has a prefix that nothing here is prepared for.
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        let (mut word, mut repeat, mut code_segment) = (false, 0, false);
        let mut rest = bytes;
        let mut opcode = loop {
            let (&first, behind) = rest.split_first()?;
            rest = behind;
            match first {
                0x66 => word = true,
                0xf2 | 0xf3 => repeat = first,
                // Data segments are all the same one.
                0x26 | 0x36 | 0x3e => {}
                0x2e => code_segment = true,
                0x64 | 0x65 | 0x67 | 0xf0 => return None,
                _ => break first,
            }
        };
        let two = opcode == 0x0f;
        if two {
            let (&second, behind) = rest.split_first()?;
            (opcode, rest) = (second, behind);
        }
        let mut split = Split { word, repeat, two, opcode, reg: 0, rm: Rm::None, tail: rest };
        if has_modrm(two, opcode) {
            split.operands()?;
        }
        let string = !two && matches!(opcode, 0xa0..=0xa7 | 0xac..=0xaf);
        (!code_segment || !string && !matches!(split.rm, Rm::Memory(_))).then_some(split)
    }

    fn operands(&mut self) -> Option<()> {
        let (&modrm, mut rest) = self.tail.split_first()?;
        self.reg = modrm >> 3 & 7;
        let (mode, low) = (modrm >> 6, modrm & 7);
        if mode == 3 {
            (self.rm, self.tail) = (Rm::Register(low), rest);
            return Some(());
        }
        let mut memory = Memory { base: Some(low), index: None, disp: 0 };
        if low == 4 {
            let (&sib, behind) = rest.split_first()?;
            rest = behind;
            memory.base = Some(sib & 7);
            let index = sib >> 3 & 7;
            memory.index = (index != 4).then_some((index, sib >> 6));
        }
        let mut len = [0, 1, 4][usize::from(mode)];
        if mode == 0 && memory.base == Some(5) {
            (memory.base, len) = (None, 4);
        }
        let (disp, behind) = rest.split_at_checked(len)?;
        memory.disp = signed(disp);
        (self.rm, self.tail) = (Rm::Memory(memory), behind);
        Some(())
    }

    /// The bytes of the immediate operand as a number with sign.
    pub(super) fn immediate(&self) -> i32 {
        signed(self.tail)
    }

    /// Its last byte.
    pub(super) fn last(&self) -> u8 {
        self.tail.last().copied().unwrap_or(0)
    }
}

fn signed(bytes: &[u8]) -> i32 {
    match *bytes {
        [a] => i32::from(a as i8),
        [a, b] => i32::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i32::from_le_bytes([a, b, c, d]),
        _ => 0,
    }
}

fn has_modrm(two: bool, opcode: u8) -> bool {
    if two {
        return !matches!(opcode, 0x05..=0x0b | 0x30..=0x37 | 0x80..=0x8f | 0xa0..=0xa2 | 0xa8..=0xaa | 0xc8..=0xcf);
    }
    match opcode {
        0x00..=0x3f => opcode & 7 < 4,
        0x62 | 0x63 | 0x69 | 0x6b | 0x80..=0x8f | 0xc0 | 0xc1 | 0xc4..=0xc7 | 0xd0..=0xd3 => true,
        0xd8..=0xdf | 0xf6 | 0xf7 | 0xfe | 0xff => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_and_the_rest_are_told_apart() {
        // mov word [eax + ecx*4 - 2], 0x1234
        let s = Split::of(&[0x66, 0xc7, 0x44, 0x88, 0xfe, 0x34, 0x12]).expect("an instruction");
        let memory = Memory { base: Some(0), index: Some((1, 2)), disp: -2 };
        assert_eq!((s.word, s.opcode, s.rm, s.immediate()), (true, 0xc7, Rm::Memory(memory), 0x1234));
        // add eax, [0x8000]; shld ecx, eax, 3; jmp far has no ModRM; fs: is not for us
        let s = Split::of(&[0x03, 0x05, 0, 0x80, 0, 0]).expect("an instruction");
        assert_eq!(s.rm, Rm::Memory(Memory { base: None, index: None, disp: 0x8000 }));
        let s = Split::of(&[0x0f, 0xa4, 0xc1, 3]).expect("an instruction");
        assert_eq!((s.two, s.reg, s.rm, s.last()), (true, 0, Rm::Register(1), 3));
        assert!(Split::of(&[0x64, 0x8b, 0]).is_none());
        assert!(Split::of(&[0x2e, 0x8b, 0]).is_none());
        assert!(Split::of(&[0x8b]).is_none());
    }

    #[test]
    fn lengths_are_those_of_the_decoder() {
        // Whatever iced-x86 decodes and this takes apart leaves no more than an immediate operand.
        let mut x = 1u64;
        for _ in 0..200_000 {
            let bytes: [u8; 16] = std::array::from_fn(|_| {
                x = x.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                (x >> 56) as u8
            });
            let Ok(d) = crate::cpu::decode::decode(&bytes, 0) else { continue };
            let Some(s) = Split::of(&bytes[..d.ins.len()]) else { continue };
            let mut decoder = iced_x86::Decoder::new(32, &bytes, iced_x86::DecoderOptions::NONE);
            let _ = decoder.decode();
            let at = decoder.get_constant_offsets(&d.ins);
            // Addresses without ModRM count as displacements.
            let address = if matches!(s.rm, Rm::Memory(_)) { 0 } else { at.displacement_size() };
            let rest = at.immediate_size() + at.immediate_size2() + address;
            assert_eq!(s.tail.len(), rest, "{:?} {bytes:x?}", d.ins.code());
        }
    }
}
