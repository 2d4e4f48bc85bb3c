//! Environment and save images in their 16-bit form, and what the control instructions do to the
//! unit.  The 32-bit images are [`FpuState`]'s own.

use super::word::{B, ES, EXCEPTIONS, SF};
use crate::trapframe::FpuState;

/// Bytes of the 16-bit environment.
pub const ENVIRONMENT_16_SIZE: usize = 14;

/// Bytes of the 16-bit environment and the eight registers.
pub const SAVE_16_SIZE: usize = 94;

/// Control word after `fninit`.
const INIT_CONTROL: u16 = 0x037f;

/// The environment as `fnstenv` writes it with a 16-bit operand size.
pub fn environment_16(fpu: &FpuState) -> [u8; ENVIRONMENT_16_SIZE] {
    let (_, code_offset, code_selector, data_offset, data_selector) = fpu.pointers();
    let words = [
        fpu.control,
        fpu.status(),
        fpu.tag_word(),
        code_offset as u16,
        code_selector,
        data_offset as u16,
        data_selector,
    ];
    let mut image = [0; ENVIRONMENT_16_SIZE];
    for (bytes, word) in image.chunks_exact_mut(2).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    image
}

/// Takes a 16-bit environment, as `fldenv` does; the opcode is not part of it.
pub fn set_environment_16(fpu: &mut FpuState, image: &[u8; ENVIRONMENT_16_SIZE]) {
    let mut words = [0u16; ENVIRONMENT_16_SIZE / 2];
    for (word, bytes) in words.iter_mut().zip(image.chunks_exact(2)) {
        *word = bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u16::from(*byte));
    }
    let [control, status, tags, code_offset, code_selector, data_offset, data_selector] = words;
    fpu.set_control(control);
    fpu.set_status(status);
    fpu.set_tag_word(tags);
    fpu.code_offset = u32::from(code_offset);
    fpu.code_selector = code_selector;
    fpu.data_offset = u32::from(data_offset);
    fpu.data_selector = data_selector;
}

/// Environment and registers as `fnsave` writes them with a 16-bit operand size.
pub fn save_area_16(fpu: &FpuState) -> [u8; SAVE_16_SIZE] {
    let mut image = [0; SAVE_16_SIZE];
    let (environment, stack) = image.split_at_mut(ENVIRONMENT_16_SIZE);
    environment.copy_from_slice(&environment_16(fpu));
    stack.copy_from_slice(&fpu.stack_image());
    image
}

/// Takes a 16-bit save area, as `frstor` does.
pub fn set_save_area_16(fpu: &mut FpuState, image: &[u8; SAVE_16_SIZE]) {
    let (environment, stack) = image.split_at(ENVIRONMENT_16_SIZE);
    if let (Ok(environment), Ok(stack)) = (environment.try_into(), stack.try_into()) {
        set_environment_16(fpu, environment);
        fpu.set_stack_image(stack);
    }
}

/// What `fnstenv` does once its image is in memory: it masks all exceptions.
pub fn after_fnstenv(fpu: &mut FpuState) {
    fpu.set_control(fpu.control | EXCEPTIONS);
}

/// What `fnsave` does once its image is in memory: it initializes the unit.
pub fn after_fnsave(fpu: &mut FpuState) {
    fninit(fpu, 0);
}

/// `fninit`.
pub(crate) fn fninit(fpu: &mut FpuState, _: u8) {
    *fpu = FpuState { reg: fpu.reg, control: INIT_CONTROL, ..FpuState::default() };
    fpu.set_valid(0);
}

/// `fnclex`.
pub(crate) fn fnclex(fpu: &mut FpuState, _: u8) {
    fpu.flags &= !(EXCEPTIONS | SF | ES | B);
}

/// `fneni`, `fndisi`, `fnsetpm`: nothing since the 387.
pub(crate) fn nothing(_: &mut FpuState, _: u8) {}
