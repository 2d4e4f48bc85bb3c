//! The registers while the processor runs, and checked access to memory through segments.
//!
//! [`State`] is what instruction handlers work on; it is filled from the trap frame when a run starts
//! and written back when it ends.  It knows memory but neither blocks nor decoding.
//!
//! 2.1 counterpart: the segments are those of `ldt_segs` (i386/i386/machdep.c).

use super::alu::Width;
use super::block::Blocks;
use super::flags::{ARITHMETIC, Flags};
use super::op::{Links, Op};
use super::tally::Tally;
use crate::mem::{AddressSpace, View, Written};
use crate::trapframe::eflags::{AC, DF, FIXED, ID, IF, IOPL, NT, TF};
use crate::trapframe::{Access, Fault, FpuState, Gpr, Seg, Trap, USER_CODE, USER_DATA};
use std::cell::Cell;

/// First address that the user data segment does not reach: VM_MAXUSER_ADDRESS.
pub(crate) const DATA_END: u32 = 0xefbf_e000;
/// First address that the user code segment does not reach: it covers the kernel's pages of the
/// process, where the signal trampoline is.
pub(crate) const CODE_END: u32 = 0xefc0_0000;

/// Number of a register in [`State::regs`]: a general register, or the slot that is always zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub(crate) enum Slot {
    Eax,
    Ecx,
    Edx,
    Ebx,
    Esp,
    Ebp,
    Esi,
    Edi,
    Zero,
}

impl Slot {
    /// The slot of the general register with this encoding.
    pub(crate) fn of(number: usize) -> Self {
        use Slot::*;
        [Eax, Ecx, Edx, Ebx, Esp, Ebp, Esi, Edi][number & 7]
    }
}

/// What translated code knows of the processor: the first fields of [`State`], or the registers of a frame by themselves.
#[repr(C)]
pub(crate) struct Core {
    /// General registers and a zero.
    pub(crate) regs: [u32; 9],
    /// Address of the next instruction, where nothing else says it.
    pub(crate) eip: u32,
    /// EFLAGS without the arithmetic flags.
    pub(crate) system: u32,
    /// The arithmetic flags on the way into translated code and out of it: `lahf` above `seto`.
    pub(crate) host_flags: u32,
    /// Instructions that may still be started; blocks take all of theirs when they are entered.
    pub(crate) left: i64,
    /// Where translated code leaves a status word to look at.
    pub(crate) scratch: u32,
}

/// The processor in the middle of a run.  It begins as [`Core`] does.
#[repr(C)]
pub(crate) struct State<'a> {
    /// See [`Core`].
    pub(crate) regs: [u32; 9],
    /// See [`Core`].
    pub(crate) eip: u32,
    /// See [`Core`].
    pub(crate) system: u32,
    /// See [`Core`].
    pub(crate) host_flags: u32,
    /// See [`Core`].
    pub(crate) left: i64,
    /// See [`Core`].
    pub(crate) scratch: u32,
    /// The arithmetic flags.
    pub(crate) flags: Flags,
    /// All decoded operations.
    pub(crate) arena: &'a [Op],
    /// Where the block of an address is, keyed by low address bits.
    pub(crate) links: &'a Links,
    /// The rest of what is decoded: functions of the x87 unit, and instructions in the form of the decoder.
    pub(crate) blocks: &'a Blocks,
    /// What is counted.
    pub(crate) tally: &'a Tally,
    /// Index of the operation whose link misses.
    pub(crate) from: u32,
    /// Index of the operation that translated code leaves to the interpreter.
    pub(crate) resume: u32,
    /// The handler that the loop around the handlers is to call, with its operations and what is left for it.
    #[cfg(by_loop)]
    pub(crate) then: Option<(super::op::Handler, super::op::Ops<'a>, i64)>,
    /// Why the run ends.
    pub(crate) trap: Trap,
    /// A general handler has set [`State::trap`].
    pub(crate) ended: bool,
    /// Segment selectors.
    pub(crate) seg: [u16; 6],
    /// Memory.
    pub(crate) view: View<'a>,
    /// The x87 unit.
    pub(crate) fpu: &'a mut FpuState,
    /// Set by `mov ss` and `pop ss`: the trace trap waits for one instruction.
    pub(crate) shadow: bool,
    /// A store hit watched code: blocks must be dropped before the next instruction.
    pub(crate) code_hit: Cell<bool>,
    /// Instructions retired at the start of the run plus the budget: the clock is this minus `left`.
    pub(crate) clock_end: u64,
    /// The x87 unit of the host holds the guest's state: see [`Translator::regain`](super::translate::regain).
    pub(crate) lent: bool,
}

/// Where translated code finds the fields of [`Core`].
pub(super) mod offset {
    use super::{Core, State};
    use std::mem::offset_of;

    pub(crate) const REGS: usize = offset_of!(Core, regs);
    pub(crate) const SCRATCH: usize = offset_of!(Core, scratch);
    pub(crate) const HOST_FLAGS: usize = offset_of!(Core, host_flags);
    pub(crate) const LEFT: usize = offset_of!(Core, left);
    pub(crate) const EIP: usize = offset_of!(Core, eip);
    pub(crate) const SYSTEM: usize = offset_of!(Core, system);

    const _: () = {
        assert!(offset_of!(State<'static>, regs) == REGS && offset_of!(State<'static>, eip) == EIP);
        assert!(offset_of!(State<'static>, system) == SYSTEM && offset_of!(State<'static>, left) == LEFT);
        assert!(offset_of!(State<'static>, host_flags) == HOST_FLAGS);
        assert!(offset_of!(State<'static>, scratch) == SCRATCH);
    };
}

/// EFLAGS bits that `popf` changes for a user.
const POPF: u32 = TF | DF | NT | AC | ID;

impl<'a> State<'a> {
    /// Takes the registers of a frame, and what has been decoded.
    #[expect(clippy::too_many_arguments, reason = "the parts of a frame, and what lives beside it")]
    #[inline]
    pub(crate) fn new(
        gpr: &[u32; 8],
        eip: u32,
        eflags: u32,
        seg: [u16; 6],
        fpu: &'a mut FpuState,
        space: &'a AddressSpace,
        blocks: &'a Blocks,
        tally: &'a Tally,
    ) -> Self {
        Self {
            regs: registers(gpr),
            eip,
            system: eflags & !ARITHMETIC,
            host_flags: 0,
            left: 0,
            scratch: 0,
            flags: Flags::from_eflags(eflags),
            arena: &blocks.arena,
            links: &blocks.links,
            blocks,
            tally,
            from: 0,
            resume: 0,
            #[cfg(by_loop)]
            then: None,
            trap: Trap::Budget,
            ended: false,
            seg,
            view: space.view(),
            fpu,
            shadow: false,
            code_hit: Cell::new(false),
            clock_end: 0,
            lent: false,
        }
    }

    /// EFLAGS.
    pub(crate) fn eflags(&self) -> u32 {
        self.system & !ARITHMETIC | self.flags.eflags()
    }

    /// Sets EFLAGS as `popf` at user level does.
    pub(crate) fn popf(&mut self, w: Width, value: u32) {
        let mask = POPF & w.mask();
        self.flags.set(value);
        self.system = self.system & !mask | value & mask | FIXED;
    }

    /// EFLAGS as `pushf` stores it: without the bits that it hides.
    pub(crate) fn pushf(&self) -> u32 {
        self.eflags() & (ARITHMETIC | POPF | IF | IOPL) | FIXED
    }

    /// A general register.
    pub(crate) fn get(&self, r: Gpr) -> u32 {
        self.regs[r as usize]
    }

    /// Sets a general register.
    pub(crate) fn set(&mut self, r: Gpr, value: u32) {
        self.regs[r as usize] = value;
    }

    /// The part of a register that has this width; for bytes, numbers 4 to 7 are the high bytes.
    pub(crate) fn get_part(&self, w: Width, number: usize) -> u32 {
        match w {
            Width::Byte => self.regs[number & 3] >> ((number & 4) << 1) & 0xff,
            Width::Word => self.regs[number & 7] & 0xffff,
            Width::Dword => self.regs[number & 7],
        }
    }

    /// Sets the part of a register that has this width.
    pub(crate) fn set_part(&mut self, w: Width, number: usize, value: u32) {
        match w {
            Width::Byte => {
                let r = &mut self.regs[number & 3];
                let shift = (number & 4) << 1;
                *r = *r & !(0xff << shift) | (value & 0xff) << shift;
            }
            Width::Word => {
                let r = &mut self.regs[number & 7];
                *r = *r & !0xffff | value & 0xffff;
            }
            Width::Dword => self.regs[number & 7] = value,
        }
    }

    /// Whether a direction flag makes strings run downwards.
    pub(crate) fn down(&self) -> bool {
        self.system & DF != 0
    }

    /// Whether the segments that the fast forms assume are loaded: flat data in DS, ES and SS.
    pub(crate) fn flat(&self) -> bool {
        is_flat(&self.seg)
    }

    /// Linear address of `len` bytes at an offset in a segment; all bases are zero.
    pub(crate) fn linear(&self, seg: Seg, offset: u32, len: u32, access: Access) -> Result<u32, Trap> {
        let refuse = if seg == Seg::Ss { Trap::StackFault(0) } else { Trap::GeneralProtection(0) };
        let selector = self.seg[seg as usize];
        let end = if selects(selector, USER_DATA) {
            DATA_END
        } else if selects(selector, USER_CODE) && access != Access::Write {
            CODE_END
        } else {
            return Err(Trap::GeneralProtection(0));
        };
        match offset.checked_add(len.saturating_sub(1)) {
            Some(last) if last < end => Ok(offset),
            _ => Err(refuse),
        }
    }

    /// Loads from a segment.
    pub(crate) fn load(&self, w: Width, seg: Seg, offset: u32) -> Result<u32, Trap> {
        let at = self.linear(seg, offset, w.bytes(), Access::Read)?;
        match w {
            Width::Byte => self.view.load8(at).map(u32::from),
            Width::Word => self.view.load16(at).map(u32::from),
            Width::Dword => self.view.load32(at),
        }
        .map_err(Trap::Page)
    }

    /// Stores to a segment.
    pub(crate) fn store(&self, w: Width, seg: Seg, offset: u32, value: u32) -> Result<(), Trap> {
        let at = self.linear(seg, offset, w.bytes(), Access::Write)?;
        let written = match w {
            Width::Byte => self.view.store8(at, value as u8),
            Width::Word => self.view.store16(at, value as u16),
            Width::Dword => self.view.store32(at, value),
        };
        self.note_written(written)
    }

    fn note_written(&self, written: Result<Written, Fault>) -> Result<(), Trap> {
        if written.map_err(Trap::Page)? == Written::Code {
            self.code_hit.set(true);
        }
        Ok(())
    }

    /// Fails as a store would, and changes nothing.
    pub(crate) fn probe(&self, seg: Seg, offset: u32, len: u32) -> Result<(), Trap> {
        let at = self.linear(seg, offset, len, Access::Write)?;
        self.view.probe(at, len, Access::Write).map_err(Trap::Page)
    }

    /// Loads 64 bits.
    pub(crate) fn load64(&self, seg: Seg, offset: u32) -> Result<u64, Trap> {
        let at = self.linear(seg, offset, 8, Access::Read)?;
        self.view.load64(at).map_err(Trap::Page)
    }

    /// Stores 64 bits.
    pub(crate) fn store64(&self, seg: Seg, offset: u32, value: u64) -> Result<(), Trap> {
        let at = self.linear(seg, offset, 8, Access::Write)?;
        self.note_written(self.view.store64(at, value))
    }

    /// Whether an x87 instruction is not as usual: an exception is pending, or the host's unit holds the state.
    #[inline(always)]
    pub(crate) fn fpu_is_busy(&self) -> bool {
        self.lent || self.fpu.pending()
    }

    /// Instructions retired by the process so far, the present block's counted whole.
    pub(crate) fn clock(&self) -> u64 {
        self.clock_end.wrapping_sub(self.left as u64)
    }
}

/// Whether the segments that the fast forms assume are loaded.
#[inline(always)]
pub(super) fn is_flat(seg: &[u16; 6]) -> bool {
    [Seg::Ds, Seg::Es, Seg::Ss].iter().all(|&s| selects(seg[s as usize], USER_DATA))
}

/// The registers of a frame and a zero.
///
/// The results of a call, which the kernel has just set, are taken by themselves: a wide load of them and their
/// neighbours would have to wait, as [`copy_registers`] says.
#[inline(always)]
pub(super) fn registers(gpr: &[u32; 8]) -> [u32; 9] {
    use std::hint::black_box;
    let &[eax, ecx, edx, ebx, esp, ebp, esi, edi] = gpr;
    [black_box(eax), ecx, black_box(edx), ebx, esp, ebp, esi, edi, 0]
}

/// Copies the general registers one by one: a wide load of what has just been stored in parts would have to
/// wait until all of these stores have reached the cache.
#[inline(always)]
pub(super) fn copy_registers(to: &mut [u32], from: &[u32]) {
    for (to, from) in to.iter_mut().zip(from).take(8) {
        *to = *from;
        std::hint::black_box(());
    }
}

/// Whether a selector names the given user descriptor; the privilege bits do not matter.
pub(crate) fn selects(selector: u16, descriptor: u16) -> bool {
    selector & !3 == descriptor & !3
}
