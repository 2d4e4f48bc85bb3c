//! Host code while it is written: encodings, distances that are filled in later.
//!
//! Knows the host's registers and encodings, and nothing of what the code means.  Source: Intel manual 2,
//! chapter 2, section 2.2 (REX and VEX prefixes).

use super::split::{ESP, Memory};
use super::{Done, Unserved};

/// Registers of the host by number; the guest's have their own, but for its stack pointer.
pub(super) const EAX: u8 = 0;
pub(super) const ECX: u8 = 1;
pub(super) const EBP: u8 = 5;
pub(super) const ESI: u8 = 6;
pub(super) const EDI: u8 = 7;
/// The guest's ESP.
pub(super) const R8: u8 = 8;
pub(super) const R9: u8 = 9;
pub(super) const R10: u8 = 10;
pub(super) const R11: u8 = 11;
/// Where guest memory begins.
pub(super) const R12: u8 = 12;
/// The state of the processor.
pub(super) const R13: u8 = 13;
/// Instructions left.
pub(super) const R14: u8 = 14;
/// The table of jumps plus [`TABLE_BIAS`].
pub(super) const R15: u8 = 15;
/// The table is aligned, so that R15 is also a count for shifts: what is left of a number is its sign.
pub(super) const TABLE_BIAS: i32 = 63;

/// The register of the host that holds a guest's.
pub(super) fn host(register: u8) -> u8 {
    if register == ESP { R8 } else { register }
}

/// An operand.
#[derive(Clone, Copy)]
pub(super) enum Operand {
    /// A register of the host.
    Register(u8),
    /// Guest memory: `gs:[address]`, with what is still to be added to the guest's stack pointer.
    Guest(Memory, i32),
    /// Memory of the host.
    Host { base: u8, index: Option<(u8, u8)>, disp: i32 },
}

/// How an instruction is encoded.
#[derive(Clone, Copy, Default)]
pub(super) struct Form {
    /// 16-bit operands.
    pub(super) word: bool,
    /// 64-bit operands.
    pub(super) wide: bool,
    /// The opcode lies behind 0F.
    pub(super) two: bool,
    /// A register operand is AH, CH, DH or BH, which an instruction with a REX prefix cannot name.
    pub(super) high: bool,
}

/// Operands of 32 bits.
pub(super) const DWORD: Form = Form { word: false, wide: false, two: false, high: false };
/// Operands of 64 bits.
pub(super) const QWORD: Form = Form { wide: true, ..DWORD };
/// Operands of 32 bits, opcode behind 0F.
pub(super) const DWORD_0F: Form = Form { two: true, ..DWORD };

/// Bytes before the end of which a distance of four bytes lies.
pub(super) type Hole = usize;

/// Code that will lie at a certain address.
pub(super) struct Code {
    pub(super) bytes: Vec<u8>,
    at: u64,
}

impl Code {
    pub(super) fn new(at: u64) -> Self {
        Self { bytes: Vec::with_capacity(512), at }
    }

    /// Address of what comes next.
    pub(super) fn here(&self) -> u64 {
        self.at + self.bytes.len() as u64
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// An instruction with ModRM.
    pub(super) fn op(&mut self, form: Form, opcode: u8, reg: u8, rm: Operand) -> Done {
        let (base, index) = match rm {
            Operand::Register(r) => (r, 0),
            Operand::Guest(m, _) => (m.base.map_or(0, host), m.index.map_or(0, |(r, _)| r)),
            Operand::Host { base, index, .. } => (base, index.map_or(0, |(r, _)| r)),
        };
        if let Operand::Guest(..) = rm {
            self.put(&[0x65, 0x67]);
        }
        if form.word {
            self.put(&[0x66]);
        }
        let rex = u8::from(form.wide) << 3 | reg >> 3 << 2 | index >> 3 << 1 | base >> 3;
        if rex != 0 {
            if form.high {
                return Err(Unserved);
            }
            self.put(&[0x40 | rex]);
        }
        if form.two {
            self.put(&[0x0f]);
        }
        self.put(&[opcode]);
        self.modrm(reg, rm);
        Ok(())
    }

    /// ModRM, SIB and displacement.
    pub(super) fn modrm(&mut self, reg: u8, rm: Operand) {
        let reg = (reg & 7) << 3;
        let (base, index, disp) = match rm {
            Operand::Register(r) => return self.put(&[0xc0 | reg | r & 7]),
            Operand::Guest(m, delta) => {
                let disp = if m.base == Some(ESP) { m.disp.wrapping_add(delta) } else { m.disp };
                (m.base.map(host), m.index, disp)
            }
            Operand::Host { base, index, disp } => (Some(base), index, disp),
        };
        let scaled = index.map_or(0x20, |(r, scale)| (r & 7) << 3 | scale << 6);
        let Some(base) = base else {
            // Without a base there are four bytes of displacement; without a SIB byte they would be relative.
            self.put(&[0x04 | reg, scaled | 5]);
            return self.put(&disp.to_le_bytes());
        };
        let low = base & 7;
        let sib = index.is_some() || low == 4;
        let short = i8::try_from(disp).ok();
        let mode = match short {
            Some(0) if low != 5 => 0,
            Some(_) => 0x40,
            None => 0x80,
        };
        self.put(&[mode | reg | if sib { 4 } else { low }]);
        if sib {
            self.put(&[scaled | low]);
        }
        match (mode, short) {
            (0, _) => {}
            (_, Some(short)) => self.put(&[short as u8]),
            (_, None) => self.put(&disp.to_le_bytes()),
        }
    }

    /// `mov` between registers of 32 bits.
    pub(super) fn mov(&mut self, to: u8, from: u8) -> Done {
        self.op(DWORD, 0x8b, to, Operand::Register(from))
    }

    /// `mov` between registers of 64 bits.
    pub(super) fn mov_wide(&mut self, to: u8, from: u8) -> Done {
        self.op(QWORD, 0x8b, to, Operand::Register(from))
    }

    /// `mov` of a number to a register of 32 bits.
    pub(super) fn set(&mut self, to: u8, value: u32) {
        if to > 7 {
            self.put(&[0x41]);
        }
        self.put(&[0xb8 | to & 7]);
        self.put(&value.to_le_bytes());
    }

    /// `mov` of a number to a register of 64 bits.
    pub(super) fn set_wide(&mut self, to: u8, value: u64) {
        self.put(&[0x48 | to >> 3, 0xb8 | to & 7]);
        self.put(&value.to_le_bytes());
    }

    /// `lea to, [from + distance]` of 32 bits; nothing where that changes nothing.
    pub(super) fn lea(&mut self, to: u8, from: u8, distance: i32) -> Done {
        if to == from && distance == 0 {
            return Ok(());
        }
        self.op(DWORD, 0x8d, to, Operand::Host { base: from, index: None, disp: distance })
    }

    /// Adds a number to the instructions left; changes no flag.
    pub(super) fn give(&mut self, instructions: i32) -> Done {
        if instructions == 0 {
            return Ok(());
        }
        self.op(QWORD, 0x8d, R14, Operand::Host { base: R14, index: None, disp: instructions })
    }

    /// A jump to an address.
    pub(super) fn jump(&mut self, to: u64) {
        self.put(&[0xe9]);
        self.distance(to);
    }

    /// The distance of a jump or a call to an address.
    pub(super) fn distance(&mut self, to: u64) {
        let distance = to.wrapping_sub(self.here() + 4) as u32;
        self.put(&distance.to_le_bytes());
    }

    /// A jump whose distance comes later.
    pub(super) fn jump_hole(&mut self) -> Hole {
        self.put(&[0xe9, 0, 0, 0, 0]);
        self.bytes.len()
    }

    /// A conditional jump whose distance comes later.
    pub(super) fn branch_hole(&mut self, condition: u8) -> Hole {
        self.put(&[0x0f, 0x80 | condition, 0, 0, 0, 0]);
        self.bytes.len()
    }

    /// Has the jump before a hole lead here.
    pub(super) fn fill(&mut self, hole: Hole) {
        let distance = (self.bytes.len() - hole) as u32;
        if let Some(bytes) = self.bytes.get_mut(hole - 4..hole) {
            bytes.copy_from_slice(&distance.to_le_bytes());
        }
    }

    /// The address behind a hole.
    pub(super) fn behind(&self, hole: Hole) -> u64 {
        self.at + hole as u64
    }

    /// Reads the table's entry for the guest address in R11; R9 is lost.
    pub(super) fn look_into_table(&mut self) -> Done {
        self.op(DWORD, 0x8b, R9, Operand::Host { base: R15, index: Some((R11, 3)), disp: -TABLE_BIAS })
    }

    /// `jmp` through the table to the guest address in R11.
    pub(super) fn jump_by_table(&mut self) -> Done {
        self.op(DWORD, 0xff, 4, Operand::Host { base: R15, index: Some((R11, 3)), disp: -TABLE_BIAS })
    }

    /// Reads a byte that is there if R9 is zero; else it is shut away.
    pub(super) fn trap_unless_zero(&mut self) -> Done {
        const LAST_OPEN: i32 = 4096 + 1;
        let byte = Operand::Host { base: R15, index: Some((R9, 3)), disp: -(TABLE_BIAS + LAST_OPEN) };
        self.op(DWORD, 0x8a, R9, byte)
    }
}
