//! The state of the x87 unit, as the kernel and the processor share it.

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

/// The registers of the x87 unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FpuState {
    /// Physical registers R0 to R7.
    pub reg: [F80; 8],
    /// Control word.
    pub control: u16,
    /// Status word, the top-of-stack field included.
    pub status: u16,
    /// Bit n is set when physical register n holds a value.
    pub valid: u8,
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
            reg: [F80::default(); 8],
            control: INITIAL_CONTROL,
            status: 0,
            valid: 0,
            opcode: 0,
            code_selector: 0,
            code_offset: 0,
            data_selector: 0,
            data_offset: 0,
        }
    }
}
