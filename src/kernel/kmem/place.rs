//! Where the kernel's objects lie in the kernel's part of the address space.
//!
//! Addresses are functions of an object's slot: the same in every run, and all that tells objects apart.

/// Semaphores (`sem`), 12 bytes each.
const SEMAPHORES_AT: u32 = 0xf0e0_0000;
/// Messages (`msghdrs`), 12 bytes each.
const MESSAGES_AT: u32 = 0xf0e1_0000;
/// Handles of shared memory.
const SEGMENTS_AT: u32 = 0xf0e2_0000;

/// A semaphore, by its place among all.
pub(in crate::kernel) fn semaphore(index: usize) -> u32 {
    SEMAPHORES_AT + 12 * index as u32
}

/// The header of a message.
pub(in crate::kernel) fn message(index: usize) -> u32 {
    MESSAGES_AT + 12 * index as u32
}

/// The handle of a segment.
pub(in crate::kernel) fn segment(index: usize) -> u32 {
    SEGMENTS_AT + 4 * index as u32
}
