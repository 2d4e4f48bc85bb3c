//! The x87 unit of the host holds the guest's state while translated code runs.
//!
//! The instructions that load and store the state do not wait for exceptions, and the unit is at its defaults while
//! Rust runs.  Knows images in memory; which code uses the unit is not its business.
#![allow(unsafe_code)] // a few instructions

use crate::trapframe::FpuState;

/// Bytes of an image.
const SIZE: usize = 108;

/// What the unit left of the last instruction where an exception is pending: the lower halves of addresses.
pub(super) struct Pending {
    pub(super) code: u32,
    pub(super) data: u32,
}

/// Loads the state.
pub(super) fn load(fpu: &FpuState) {
    let image = fpu.save_area();
    // SAFETY: reads an image of this size; nothing else of the program uses the unit.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("frstor [{}]", in(reg) image.as_ptr(), options(nostack, readonly));
    }
    let _ = image;
}

/// Whether an exception that is not masked waits in the unit.
#[inline(always)]
pub(super) fn is_pending() -> bool {
    const SUMMARY: u16 = 0x80;
    #[cfg(target_arch = "x86_64")]
    {
        let status: u16;
        // SAFETY: reads the status word and waits for nothing.
        unsafe { core::arch::asm!("fnstsw ax", out("ax") status, options(nomem, nostack, preserves_flags)) };
        status & SUMMARY != 0
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = SUMMARY;
        false
    }
}

/// Stores the state, and says whose exception is pending where one has come up since it was loaded.
pub(super) fn store(fpu: &mut FpuState) -> Option<Pending> {
    let mut image = [0u8; SIZE];
    // SAFETY: writes an image of this size and leaves the unit at its defaults.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("fnsave [{}]", in(reg) image.as_mut_ptr(), options(nostack));
    }
    let was_pending = fpu.pending();
    let word = |at: usize| {
        let bytes = image.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        u32::from_le_bytes(bytes.unwrap_or_default())
    };
    let pending = Pending { code: word(12), data: word(20) };
    let pointers = (fpu.opcode, fpu.code_selector, fpu.code_offset, fpu.data_selector, fpu.data_offset);
    fpu.set_save_area(&image);
    (fpu.opcode, fpu.code_selector, fpu.code_offset, fpu.data_selector, fpu.data_offset) = pointers;
    (fpu.pending() && !was_pending).then_some(pending)
}
