//! The 8087-387 instructions as a soft 80-bit unit over [`FpuState`]: every bit as the hardware
//! gives it, on every host.
//!
//! What the processor does with an instruction D8-DF:
//!
//! 1. [`decode`](decode()) its escape and ModRM bytes, once; `None` raises `InvalidOpcode`.
//! 2. If [`Op::waits`] and [`FpuState::pending`]: stop with `Trap::Fpu` at this instruction.  `fwait`
//!    does only this.
//! 3. Fetch the memory operand of a load; a page fault leaves the unit untouched.
//! 4. If [`Op::leaves_pointers`]: [`note_code`], and with a memory operand [`note_data`].
//! 5. Call the function.  For a store: call it on the unit as it is, write the bytes if
//!    [`Store::write`], and only then [`Store::commit`].  [`Op`] says what the others need.
//!
//! Exceptions never stop an instruction's successor here: they stay in the status word until step 2.
//!
//! Files, from the inside out: `word` bits; `format` classes and NaNs; `round` precision, direction,
//! overflow and underflow; `add mul div compare convert integer scale` pure arithmetic; `wide` and
//! `trig arctangent exponential logarithm` the functions; `stack` registers; `double` what the host's
//! doubles may do; `arith transfer examine unary transcendental image` instructions; `decode` the table;
//! `quick` the short forms for callers with another way.
//!
//! It must not know guest memory, the integer registers or any kernel.

mod add;
mod arctangent;
pub(crate) mod arith;
mod compare;
mod convert;
mod decode;
mod div;
mod double;
mod examine;
mod exponential;
mod format;
pub mod image;
mod integer;
mod logarithm;
mod mul;
pub(crate) mod quick;
mod round;
mod scale;
mod stack;
mod transcendental;
mod transfer;
mod trig;
mod unary;
mod wide;
mod word;

pub use decode::{Load80Fn, LoadFn, Op, RegisterFn, StoreFn, decode};
pub use transfer::Store;

use crate::trapframe::FpuState;

/// Leaves an instruction's address and opcode in the unit.
#[inline(always)]
pub fn note_code(fpu: &mut FpuState, escape: u8, modrm: u8, selector: u16, eip: u32) {
    fpu.opcode = u16::from(escape & 7) << 8 | u16::from(modrm);
    fpu.code_selector = selector;
    fpu.code_offset = eip;
}

/// Leaves the address of an instruction's memory operand in the unit.
#[inline(always)]
pub fn note_data(fpu: &mut FpuState, selector: u16, address: u32) {
    fpu.data_selector = selector;
    fpu.data_offset = address;
}
