//! The user area of a process as a debugger and a core file see it: two pages that begin with
//! `struct user` and end with the registers.
//!
//! It is made when somebody asks for it; words written to the registers in it take effect, others do not.
//!
//! 2.1 counterpart: sys/user.h, i386/include/frame.h, pcb.h.

use syscalls::errno::Errno;
use syscalls::layout::user;
use zerocopy::IntoBytes;

use super::ProcId;
use crate::kernel::signal::Sigacts;
use crate::kernel::{Context, Kernel, sysctl, time};
use crate::trapframe::fpu::SAVE_SIZE;
use crate::trapframe::{Gpr, Seg, Trapframe, eflags};

/// Size of the user area (UPAGES pages).
pub(super) const SIZE: usize = 8192;
/// Its address in the address space of its process.
pub(super) const AT: u32 = super::exec::USRSTACK;
/// Words of a trap frame.
const FRAME_WORDS: usize = 17;
/// Offset of the trap frame: the end of the kernel stack.
pub(super) const FRAME: usize = SIZE - 4 * FRAME_WORDS;
/// Offset of `pcb_tss.tss_esp0`.
pub(super) const TSS_ESP0: usize = 4;
/// Offset of `md_regs` in `struct proc`.
const MD_REGS: usize = 244;

/// A register in the trap frame, in the order of its words.
#[derive(Clone, Copy)]
enum Word {
    Segment(Seg),
    General(Gpr),
    Eip,
    Eflags,
    /// Known to the processor in kernel mode only.
    Kernel,
}

const WORDS: [Word; FRAME_WORDS] = [
    Word::Segment(Seg::Es),
    Word::Segment(Seg::Ds),
    Word::General(Gpr::Edi),
    Word::General(Gpr::Esi),
    Word::General(Gpr::Ebp),
    Word::Kernel,
    Word::General(Gpr::Ebx),
    Word::General(Gpr::Edx),
    Word::General(Gpr::Ecx),
    Word::General(Gpr::Eax),
    Word::Kernel,
    Word::Kernel,
    Word::Eip,
    Word::Segment(Seg::Cs),
    Word::Eflags,
    Word::General(Gpr::Esp),
    Word::Segment(Seg::Ss),
];

impl Word {
    fn get(self, frame: &Trapframe) -> u32 {
        match self {
            Word::Segment(s) => u32::from(frame.seg[s as usize]),
            Word::General(r) => frame.get(r),
            Word::Eip => frame.eip,
            Word::Eflags => frame.eflags,
            Word::Kernel => 0,
        }
    }

    fn set(self, frame: &mut Trapframe, value: u32) {
        match self {
            Word::Segment(s) => frame.seg[s as usize] = value as u16,
            Word::General(r) => frame.set(r, value),
            Word::Eip => frame.eip = value,
            Word::Eflags => frame.eflags = value,
            Word::Kernel => {}
        }
    }
}

/// The user area of a process.
pub(in crate::kernel) fn image(kernel: &mut Kernel, id: ProcId) -> Vec<u8> {
    let mut area = vec![0; SIZE];
    let mut put = |at: usize, bytes: &[u8]| area[at..at + bytes.len()].copy_from_slice(bytes);
    // The kernel's stack ends where the area does; a debugger finds the start of the area by it.
    put(TSS_ESP0, &(AT + SIZE as u32).to_le_bytes());
    let kproc = sysctl::kinfo_proc(&Context::new(kernel, id), id);
    put(user::KPROC as usize, kproc.as_bytes());
    put(user::KPROC as usize + MD_REGS, &(AT + FRAME as u32).to_le_bytes());
    let frame = &kernel.procs[id].frame;
    put(FRAME, &frame_words(frame));
    put(user::PCB_SAVEFPU as usize, &frame.fpu.save_area());
    put(user::SIGACTS as usize, &signal_actions(&kernel.procs[id].sig));
    put(user::STATS as usize, &statistics(kernel, id));
    area
}

/// The trap frame as it lies in memory.
pub(in crate::kernel) fn frame_words(frame: &Trapframe) -> Vec<u8> {
    WORDS.into_iter().flat_map(|word| word.get(frame).to_le_bytes()).collect()
}

/// Signal actions and what a debugger asks for first: the signal that ended the process (`struct sigacts`).
fn signal_actions(sig: &Sigacts) -> Vec<u8> {
    let flags = u32::from(sig.oldmask.is_some()) | u32::from(sig.altstack) << 1;
    let stack = [sig.sigstk.sp, sig.sigstk.size, sig.sigstk.flags];
    let actions = sig.action.iter().map(|action| action.word()).chain(sig.catchmask);
    let sets = [sig.onstack, sig.intr, sig.oldmask.unwrap_or(0), flags];
    let rest = sets.into_iter().chain(stack).chain([sig.sig, sig.code]);
    actions.chain(rest).flat_map(u32::to_le_bytes).collect()
}

/// Usage, profile and start (`struct pstats`); timers are left out.
fn statistics(kernel: &Kernel, id: ProcId) -> Vec<u8> {
    const TIMERS: usize = 48;
    let proc = &kernel.procs[id];
    let mut bytes = time::rusage(&proc.usage).as_bytes().to_vec();
    bytes.extend_from_slice(time::rusage(&proc.children_usage).as_bytes());
    bytes.resize(bytes.len() + TIMERS, 0);
    let start = [(proc.start / time::SECOND_NS) as u32, (proc.start % time::SECOND_NS / 1000) as u32];
    let words = proc.profil.into_iter().chain([0, 0]).chain(start);
    bytes.extend(words.flat_map(u32::to_le_bytes));
    bytes
}

/// Writes a word of the user area, as far as it holds registers (`ptrace_write_u`): EFAULT elsewhere, EINVAL
/// for flags and selectors that a user may not have.
pub(super) fn write(frame: &mut Trapframe, offset: u32, value: u32) -> Result<(), Errno> {
    let fpu = user::PCB_SAVEFPU as usize;
    let at = offset as usize;
    if (fpu..=fpu + SAVE_SIZE - 4).contains(&at) {
        let mut image = frame.fpu.save_area();
        image[at - fpu..at - fpu + 4].copy_from_slice(&value.to_le_bytes());
        frame.fpu.set_save_area(&image);
        return Ok(());
    }
    write_frame(frame, offset, value)
}

/// Writes a word of the trap frame; errors as [`write()`].
pub(super) fn write_frame(frame: &mut Trapframe, offset: u32, value: u32) -> Result<(), Errno> {
    let offset = offset as usize;
    if !(FRAME..=SIZE - 4).contains(&offset) {
        return Err(Errno::EFAULT);
    }
    let mut words = frame_words(frame);
    words[offset - FRAME..offset - FRAME + 4].copy_from_slice(&value.to_le_bytes());
    set_frame(frame, &words)
}

/// Sets the registers to those of a trap frame as it lies in memory; errors as [`write()`].
pub(in crate::kernel) fn set_frame(frame: &mut Trapframe, words: &[u8]) -> Result<(), Errno> {
    let mut changed = frame.clone();
    for (word, bytes) in WORDS.into_iter().zip(words.chunks_exact(4)) {
        word.set(&mut changed, u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    }
    let privileged = (changed.eflags ^ frame.eflags) & !eflags::USER_CHANGE != 0;
    if privileged || changed.seg[Seg::Cs as usize] & 3 != 3 {
        return Err(Errno::EINVAL);
    }
    *frame = changed;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registers_lie_at_the_end_of_the_area() {
        let mut frame = Trapframe::new();
        let eip = FRAME as u32 + 12 * 4;
        assert_eq!(write(&mut frame, eip, 0x1234), Ok(()));
        assert_eq!(frame.eip, 0x1234);
        let privileged = frame.eflags | eflags::IOPL;
        assert_eq!(write(&mut frame, eip + 8, privileged), Err(Errno::EINVAL));
        assert_eq!(write(&mut frame, eip + 4, 0), Err(Errno::EINVAL));
        assert_eq!(write(&mut frame, 4, 0), Err(Errno::EFAULT));
        assert_eq!(write(&mut frame, SIZE as u32, 0), Err(Errno::EFAULT));
    }
}
