//! The state of the x87 unit, as the kernel and the processor share it, and its image in memory as
//! `fnsave` writes it, which is also that of core files and ptrace.  Knows no instruction.
//!
//! 2.1 counterpart: `struct save87` (i386/include/npx.h), tag and pointer words as in the Intel
//! manual 1, section 8.1.

/// An 80-bit extended number, as its 64-bit significand and its sign and exponent word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct F80 {
    /// Significand with the explicit integer bit.
    pub significand: u64,
    /// Sign (bit 15) and biased exponent.
    pub sign_exponent: u16,
}

/// Control word of a fresh 2.1 process: 53-bit precision; invalid, zero-divide and overflow unmasked.
pub const INITIAL_CONTROL: u16 = 0x1272;

/// Bytes of the environment: control, status and tag words, pointers.
pub const ENVIRONMENT_SIZE: usize = 28;

/// Bytes of the environment and the eight registers.
pub const SAVE_SIZE: usize = 108;

/// A register of the stack: a number in the 80-bit format, held as a double where it is one.
///
/// A double is zero or normal; its 80-bit form is the normal one, so each number has one form only.
#[derive(Clone, Copy, Debug, Default)]
pub struct Register {
    /// The double, or the significand.
    pub(crate) bits: u64,
    /// Sign and exponent word; of no meaning with a double.
    pub(crate) sign_exponent: u16,
    /// [`HOLDS`](Self::HOLDS) and [`DOUBLE`](Self::DOUBLE).
    pub(crate) kind: u8,
}

impl Register {
    /// The register holds a value, rather than being empty.
    pub(crate) const HOLDS: u8 = 1;
    /// `bits` is a double.
    pub(crate) const DOUBLE: u8 = 2;

    /// The number, in an empty register what was left there.
    #[inline]
    pub fn value(self) -> F80 {
        if self.kind & Self::DOUBLE == 0 {
            return F80 { significand: self.bits, sign_exponent: self.sign_exponent };
        }
        let sign = (self.bits >> 48) as u16 & 0x8000;
        let exponent = (self.bits >> 52) as u16 & 0x7ff;
        if exponent == 0 {
            return F80 { significand: 0, sign_exponent: sign };
        }
        F80 { significand: self.bits << 11 | 1 << 63, sign_exponent: sign | (exponent + 0x3c00) }
    }

    /// A register with a number, as a double if it is one; `holds` is [`HOLDS`](Self::HOLDS) or zero.
    #[inline]
    pub(crate) fn new(value: F80, holds: u8) -> Self {
        let F80 { significand, sign_exponent } = value;
        let sign = u64::from(sign_exponent & 0x8000) << 48;
        let exponent = (sign_exponent & 0x7fff).wrapping_sub(0x3c00);
        if exponent.wrapping_sub(1) < 0x7fe && significand >> 63 != 0 && significand & 0x7ff == 0 {
            let bits = sign | u64::from(exponent) << 52 | significand << 1 >> 12;
            return Self { bits, sign_exponent: 0, kind: holds | Self::DOUBLE };
        }
        if significand == 0 && sign_exponent & 0x7fff == 0 {
            return Self { bits: sign, sign_exponent: 0, kind: holds | Self::DOUBLE };
        }
        Self { bits: significand, sign_exponent, kind: holds }
    }
}

/// Finds out whether an operation on two doubles rounded its result up in magnitude.
pub(crate) type RoundedUp = fn(f64, f64) -> bool;

/// The registers of the x87 unit.
#[derive(Clone, Debug)]
pub struct FpuState {
    /// Physical registers R0 to R7.
    pub(crate) reg: [Register; 8],
    /// How to find C1, where that has been put off, and the operands.
    pub(crate) rounded_up: Option<RoundedUp>,
    pub(crate) operands: [f64; 2],
    /// Control word.
    pub control: u16,
    /// Status word without its top-of-stack field, see [`status`](Self::status).
    pub(crate) flags: u16,
    /// Physical register that is the top of the stack, 0 to 7.
    pub(crate) top: u8,
    /// Opcode of the last non-control instruction (11 bits).
    pub opcode: u16,
    /// Code selector of the last non-control instruction.
    pub code_selector: u16,
    /// Address of the last non-control instruction.
    pub code_offset: u32,
    /// Data selector of its operand.
    pub data_selector: u16,
    /// Address of its operand.
    pub data_offset: u32,
}

impl Default for FpuState {
    fn default() -> Self {
        Self {
            reg: [Register::default(); 8],
            rounded_up: None,
            operands: [0.0; 2],
            control: INITIAL_CONTROL,
            flags: 0,
            top: 0,
            opcode: 0,
            code_selector: 0,
            code_offset: 0,
            data_selector: 0,
            data_offset: 0,
        }
    }
}

impl PartialEq for FpuState {
    fn eq(&self, other: &Self) -> bool {
        self.save_area() == other.save_area()
    }
}

/// Bits of the control word that exist; bit 6 reads as one always.
const CONTROL_BITS: u16 = 0x1f3f;
const CONTROL_FIXED: u16 = 0x0040;
/// The six exceptions, in control and status word.
const EXCEPTIONS: u16 = 0x3f;
/// Error summary and busy.
const SUMMARY: u16 = 0x8080;
/// The top-of-stack field of the status word.
const TOP: u16 = 7 << TOP_SHIFT;
const TOP_SHIFT: u16 = 11;
/// Condition code 1.
const C1: u16 = 1 << 9;
const TAG_ZERO: u16 = 1;
const TAG_SPECIAL: u16 = 2;
const TAG_EMPTY: u16 = 3;

impl FpuState {
    /// Sets the control word as `fldcw` does: exceptions that wait and are no longer masked are
    /// summarized.  Such an exception is nobody's: whose it was may have been forgotten.
    pub fn set_control(&mut self, control: u16) {
        let pending = self.flags & SUMMARY != 0;
        self.control = control & CONTROL_BITS | CONTROL_FIXED;
        self.summarize();
        if !pending && self.flags & SUMMARY != 0 {
            (self.opcode, self.code_offset, self.code_selector) = (0, 0, 0);
            (self.data_offset, self.data_selector) = (0, 0);
        }
    }

    /// The status word.
    #[inline]
    pub fn status(&self) -> u16 {
        let flags = match self.rounded_up {
            None => self.flags,
            Some(rounded_up) => {
                let up = rounded_up(self.operands[0], self.operands[1]);
                self.flags & !C1 | if up { C1 } else { 0 }
            }
        };
        flags | u16::from(self.top & 7) << TOP_SHIFT
    }

    /// Sets the status word; error summary and busy follow from the exceptions.
    pub fn set_status(&mut self, status: u16) {
        self.rounded_up = None;
        self.flags = status & !TOP;
        self.top = (status >> TOP_SHIFT) as u8 & 7;
        self.summarize();
    }

    /// Brings the error summary in line with exceptions and masks.
    fn summarize(&mut self) {
        let pending = self.flags & !self.control & EXCEPTIONS != 0;
        self.flags = self.flags & !SUMMARY | if pending { SUMMARY } else { 0 };
    }

    /// What a physical register contains, empty or not.
    pub fn register(&self, physical: usize) -> F80 {
        self.reg[physical & 7].value()
    }

    /// Puts a number into a physical register, which stays empty if it is.
    pub fn set_register(&mut self, physical: usize, value: F80) {
        let register = &mut self.reg[physical & 7];
        *register = Register::new(value, register.kind & Register::HOLDS);
    }

    /// Bit n tells whether physical register n holds a value.
    pub fn valid(&self) -> u8 {
        self.reg.iter().rev().fold(0, |valid, register| valid << 1 | register.kind & Register::HOLDS)
    }

    /// Sets which registers hold values.
    pub fn set_valid(&mut self, valid: u8) {
        for (i, register) in self.reg.iter_mut().enumerate() {
            register.kind = register.kind & Register::DOUBLE | valid >> i & Register::HOLDS;
        }
    }

    /// The tag word: two bits a physical register, computed from its contents.
    pub fn tag_word(&self) -> u16 {
        (0..8).rev().fold(0, |tags, i| {
            let value = self.register(i);
            let tag = match value.sign_exponent & 0x7fff {
                _ if self.reg[i].kind & Register::HOLDS == 0 => TAG_EMPTY,
                0 if value.significand == 0 => TAG_ZERO,
                0 | 0x7fff => TAG_SPECIAL,
                _ if value.significand >> 63 == 0 => TAG_SPECIAL,
                _ => 0,
            };
            tags << 2 | tag
        })
    }

    /// Sets which registers hold values from a tag word; only "empty" is looked at.
    pub fn set_tag_word(&mut self, tags: u16) {
        self.set_valid(
            (0..8).rev().fold(0, |valid, i| valid << 1 | u8::from(tags >> (2 * i) & 3 != TAG_EMPTY)),
        );
    }

    /// The physical register that is ST(i).
    fn stack(&self, i: usize) -> usize {
        (usize::from(self.top) + i) & 7
    }

    /// Opcode, address and operand of the last non-control instruction, the addresses with their selectors: what the
    /// unit promises where an exception is pending.  Otherwise processors differ, and these are all zero; so is the
    /// operand of an instruction that has none in memory.
    pub fn pointers(&self) -> (u16, u32, u16, u32, u16) {
        const REGISTERS: u16 = 0xc0;
        if self.flags & SUMMARY == 0 {
            return (0, 0, 0, 0, 0);
        }
        let opcode = self.opcode & 0x7ff;
        let (data_offset, data_selector) = match opcode & REGISTERS {
            REGISTERS => (0, 0),
            _ => (self.data_offset, self.data_selector),
        };
        (opcode, self.code_offset, self.code_selector, data_offset, data_selector)
    }

    /// The environment as `fnstenv` writes it in 32-bit protected mode.
    pub fn environment(&self) -> [u8; ENVIRONMENT_SIZE] {
        let high = 0xffff_0000;
        let (opcode, code_offset, code_selector, data_offset, data_selector) = self.pointers();
        let words = [
            high | u32::from(self.control),
            high | u32::from(self.status()),
            high | u32::from(self.tag_word()),
            code_offset,
            u32::from(opcode) << 16 | u32::from(code_selector),
            data_offset,
            high | u32::from(data_selector),
        ];
        let mut image = [0; ENVIRONMENT_SIZE];
        for (bytes, word) in image.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        image
    }

    /// Takes an environment as [`environment`](Self::environment) gives it.
    pub fn set_environment(&mut self, image: &[u8; ENVIRONMENT_SIZE]) {
        let mut words = [0u32; ENVIRONMENT_SIZE / 4];
        for (word, bytes) in words.iter_mut().zip(image.chunks_exact(4)) {
            *word = bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        }
        let [control, status, tags, code_offset, code, data_offset, data_selector] = words;
        self.set_control(control as u16);
        self.set_status(status as u16);
        self.set_tag_word(tags as u16);
        self.code_offset = code_offset;
        self.code_selector = code as u16;
        self.opcode = (code >> 16) as u16 & 0x7ff;
        self.data_offset = data_offset;
        self.data_selector = data_selector as u16;
    }

    /// The eight registers from ST(0) to ST(7), ten bytes each.
    pub fn stack_image(&self) -> [u8; SAVE_SIZE - ENVIRONMENT_SIZE] {
        let mut image = [0; SAVE_SIZE - ENVIRONMENT_SIZE];
        for (i, bytes) in image.chunks_exact_mut(10).enumerate() {
            let value = self.register(self.stack(i));
            bytes[..8].copy_from_slice(&value.significand.to_le_bytes());
            bytes[8..].copy_from_slice(&value.sign_exponent.to_le_bytes());
        }
        image
    }

    /// Takes registers as [`stack_image`](Self::stack_image) gives them; the status word comes first.
    pub fn set_stack_image(&mut self, image: &[u8; SAVE_SIZE - ENVIRONMENT_SIZE]) {
        for (i, bytes) in image.chunks_exact(10).enumerate() {
            let number = bytes.iter().rev().fold(0u128, |sum, byte| sum << 8 | u128::from(*byte));
            let value = F80 { significand: number as u64, sign_exponent: (number >> 64) as u16 };
            self.set_register(self.stack(i), value);
        }
    }

    /// Environment and registers as `fnsave` writes them: the save area of core files and ptrace.
    pub fn save_area(&self) -> [u8; SAVE_SIZE] {
        let mut image = [0; SAVE_SIZE];
        let (environment, stack) = image.split_at_mut(ENVIRONMENT_SIZE);
        environment.copy_from_slice(&self.environment());
        stack.copy_from_slice(&self.stack_image());
        image
    }

    /// Takes a save area as [`save_area`](Self::save_area) gives it.
    pub fn set_save_area(&mut self, image: &[u8; SAVE_SIZE]) {
        let (environment, stack) = image.split_at(ENVIRONMENT_SIZE);
        if let (Ok(environment), Ok(stack)) = (environment.try_into(), stack.try_into()) {
            self.set_environment(environment);
            self.set_stack_image(stack);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn save_area_round_trips_every_register_and_pointer() {
        let mut fpu =
            FpuState { flags: 0xc181, top: 5, opcode: 0x601, code_offset: 0x1234, ..Default::default() };
        for i in 0..8 {
            fpu.set_register(i, F80 { significand: 1 << 63 | i as u64, sign_exponent: 0x3fff + i as u16 });
        }
        fpu.set_valid(0b1010_0110);
        fpu.data_selector = 0x27;
        let mut copy = FpuState::default();
        copy.set_save_area(&fpu.save_area());
        assert_eq!(copy, fpu);
    }

    #[test]
    fn tag_word_tells_zero_special_and_empty() {
        let mut fpu = FpuState::default();
        fpu.set_register(1, F80 { significand: 1 << 63, sign_exponent: 0x3fff });
        fpu.set_register(2, F80 { significand: 1 << 63, sign_exponent: 0xffff });
        fpu.set_register(3, F80 { significand: 1, sign_exponent: 0x3fff });
        fpu.set_valid(0b0000_1111);
        assert_eq!(fpu.tag_word(), 0b11_11_11_11_10_10_00_01);
    }

    #[test]
    fn unmasking_a_sticky_exception_summarizes_it() {
        let mut fpu = FpuState { flags: 4, top: 7, ..Default::default() };
        fpu.set_control(0x037b);
        assert_eq!(fpu.status(), 0xb884);
    }
}
