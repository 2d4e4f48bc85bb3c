//! What crosses between the processor and the kernel: the registers of a guest process and the
//! reason it stopped.  Plain data; neither side's types appear here.
//!
//! 2.1 counterpart: `struct trapframe`, `struct save87` (i386/include/frame.h, npx.h).

pub mod fpu;

pub use fpu::{F80, FpuState};

/// General registers in the order of their encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)] // the processor's own names
pub enum Gpr {
    Eax,
    Ecx,
    Edx,
    Ebx,
    Esp,
    Ebp,
    Esi,
    Edi,
}

/// Segment registers in the order of their encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)] // the processor's own names
pub enum Seg {
    Es,
    Cs,
    Ss,
    Ds,
    Fs,
    Gs,
}

/// Selector of the user code segment (entry 3 of the local table, ring 3).
pub const USER_CODE: u16 = 0x1f;
/// Selector of the user data segment (entry 4 of the local table, ring 3).
pub const USER_DATA: u16 = 0x27;

/// Bits of EFLAGS.
pub mod eflags {
    #![allow(missing_docs)] // the processor's own names
    pub const CF: u32 = 1 << 0;
    /// Bit 1 reads as one always.
    pub const FIXED: u32 = 1 << 1;
    pub const PF: u32 = 1 << 2;
    pub const AF: u32 = 1 << 4;
    pub const ZF: u32 = 1 << 6;
    pub const SF: u32 = 1 << 7;
    pub const TF: u32 = 1 << 8;
    pub const IF: u32 = 1 << 9;
    pub const DF: u32 = 1 << 10;
    pub const OF: u32 = 1 << 11;
    pub const IOPL: u32 = 3 << 12;
    pub const NT: u32 = 1 << 14;
    pub const RF: u32 = 1 << 16;
    pub const VM: u32 = 1 << 17;
    pub const AC: u32 = 1 << 18;
    pub const ID: u32 = 1 << 21;
    /// What a process may change by itself and in a signal context (2.1's PSL_USERCHANGE).
    pub const USER_CHANGE: u32 = CF | PF | AF | ZF | SF | TF | DF | OF | NT | AC;
}

/// The user-visible registers of one guest process.
#[derive(Clone, Debug, PartialEq)]
pub struct Trapframe {
    /// General registers, indexed by [`Gpr`].
    pub gpr: [u32; 8],
    /// Address of the next instruction.
    pub eip: u32,
    /// Flags, see [`eflags`].
    pub eflags: u32,
    /// Segment selectors, indexed by [`Seg`].
    pub seg: [u16; 6],
    /// The x87 unit; boxed so that a frame moves cheaply.
    pub fpu: Box<FpuState>,
}

impl Trapframe {
    /// Registers as at the start of a program: everything zero but the selectors and IF.
    pub fn new() -> Self {
        let mut seg = [USER_DATA; 6];
        seg[Seg::Cs as usize] = USER_CODE;
        seg[Seg::Fs as usize] = 0;
        seg[Seg::Gs as usize] = 0;
        Self { gpr: [0; 8], eip: 0, eflags: eflags::FIXED | eflags::IF, seg, fpu: Box::default() }
    }

    /// Value of a general register.
    pub fn get(&self, r: Gpr) -> u32 {
        self.gpr[r as usize]
    }

    /// Sets a general register.
    pub fn set(&mut self, r: Gpr, value: u32) {
        self.gpr[r as usize] = value;
    }
}

impl Default for Trapframe {
    fn default() -> Self {
        Self::new()
    }
}

/// What an instruction wanted of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
    /// An instruction fetch; 2.1 has no execute permission, so it needs what a load needs.
    Fetch,
}

/// Why memory refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultCause {
    /// Nothing is mapped there.
    NotMapped,
    /// Something is mapped, the access is not allowed.
    Protection,
    /// A page of a file mapping beyond the end of the file.
    BeyondEof,
}

/// A refused access to guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The first byte that could not be accessed.
    pub address: u32,
    /// What was wanted.
    pub access: Access,
    /// Why it was refused.
    pub cause: FaultCause,
}

/// Why the processor stopped.  For faults `eip` is that of the instruction, for traps of the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// The budget of instructions is used up.
    Budget,
    /// `lcall $7,$0`; `eip` is behind it.
    Syscall,
    /// Divide error, vector 0.
    Divide,
    /// Trace flag, vector 1 (trap).
    SingleStep,
    /// `int3`, vector 3 (trap).
    Breakpoint,
    /// `into`, vector 4 (trap).
    Overflow,
    /// `bound`, vector 5.
    Bounds,
    /// Invalid opcode, vector 6.
    InvalidOpcode,
    /// Segment not present, vector 11, with its error code.
    SegmentNotPresent(u32),
    /// Stack segment, vector 12, with its error code.
    StackFault(u32),
    /// General protection, vector 13, with its error code.
    GeneralProtection(u32),
    /// Page fault, vector 14.
    Page(Fault),
    /// x87 exception at a waiting instruction, vector 16.
    Fpu,
    /// Alignment check, vector 17.
    Alignment,
}
