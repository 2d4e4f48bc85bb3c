//! The user area as the systems before 2.0 laid it out, for their debuggers.  An extension.
//!
//! A debugger of 386BSD knows at which words of the area its own system keeps the place of the registers
//! and the sizes of the segments; under 2.1 it reads other things there and finds no registers.  So a
//! debugger whose a.out header names no machine is shown this area, and the core file of such a program
//! begins with it.  Only the words that those debuggers read are filled in.
//!
//! Counterpart: `struct user` of 386BSD 2.0 (sys/user.h, i386/pcb.h); the offsets are those that its two
//! debuggers were compiled with.  The trap frame is the same as 2.1's, word by word.

use super::ProcId;
use super::user_area::{AT, FRAME, SIZE, TSS_ESP0, frame_words};
use crate::kernel::Kernel;

/// Offset of `pcb_flags`.
const PCB_FLAGS: usize = 0x170;
/// Flag: the registers are a trap frame.  Without it they lie in the order of that system's calls.
const FM_TRAP: u32 = 0x10;
/// Offset of `ps_sig` in the signal actions: the signal that ended the process.
const PS_SIG: usize = 0x294;
/// Offset of `p_comm` in the copy of `struct proc`.
const COMM: usize = 0x340;
/// Offset of `md_regs` in the copy of `struct proc`.
const MD_REGS: usize = 0x360;
/// Offsets in the copy of `struct vmspace`: pages of text, data and stack, lowest address of the stack.
const VM_TSIZE: usize = 0x450;
/// See [`VM_TSIZE`].
const VM_DSIZE: usize = 0x454;
/// See [`VM_TSIZE`].
const VM_SSIZE: usize = 0x458;
/// See [`VM_TSIZE`].
const VM_MAXSADDR: usize = 0x464;
/// How far that system lets stacks grow (MAXSSIZ): its debugger adds this to find the stack's end.
const MAX_STACK: u32 = 32 << 20;

/// The user area of a process, for a debugger of an older system.
pub(super) fn image(kernel: &Kernel, id: ProcId) -> Vec<u8> {
    let proc = &kernel.procs[id];
    let words = [
        (TSS_ESP0, AT + SIZE as u32),
        (PCB_FLAGS, FM_TRAP),
        (PS_SIG, proc.sig.sig),
        (MD_REGS, AT + FRAME as u32),
        (VM_TSIZE, proc.vm.text_pages),
        (VM_DSIZE, proc.vm.data_pages),
        (VM_SSIZE, proc.vm.stack_pages),
        (VM_MAXSADDR, AT - MAX_STACK),
    ];
    let mut area = vec![0; SIZE];
    for (at, word) in words {
        area[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    for (place, &byte) in area[COMM..].iter_mut().zip(&proc.comm) {
        *place = byte;
    }
    area[FRAME..].copy_from_slice(&frame_words(&proc.frame));
    area
}
