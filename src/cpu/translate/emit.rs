//! The code of one block while it is written: registers of the host, checked memory operands, ways out.
//!
//! | host | guest |
//! |---|---|
//! | `eax ecx edx ebx ebp esi edi` | the registers of the same name |
//! | `r8d` | `esp` |
//! | `r12` | host address of guest address 0 |
//! | `r13` | the [`State`](crate::cpu::state::State) |
//! | `r14` | instructions left |
//! | `r15` | the table of [`Entry`](super::Entry) |
//! | `r9`, `r10`, `r11` | free; `r9d` is the address of a memory operand |
//!
//! Code leaves in one way only: it names an operation of the block, which the interpreter then executes with all
//! that follows.  Whatever is rare (a page that refuses, a branch that is not linked) ends there, before anything
//! of the instruction has happened, and costs no code of its own.  (A call that is not linked has stored its return
//! address, but not moved the stack pointer: it is stored again.)

use super::assemble::assemble;
use super::pending::Pending;
use super::windows::{self, Access, Accesses, Windows};
use super::{ENTRIES, GATE_CALLED, LOOK_UP, Step, Unserved};
use crate::cpu::alu::Width;
use crate::cpu::state::offset;
use crate::mem::layout;
use iced_x86::code_asm::*;
use iced_x86::{Instruction, Register as R};

/// A step of the translation.
pub(super) type Done<T = ()> = Result<T, Unserved>;

/// Guest stack pointer.
pub(super) const ESP: usize = 4;

/// The host registers of the guest's, in the order of their numbers.
pub(super) const REGS: [AsmRegister32; 8] = [eax, ecx, edx, ebx, r8d, ebp, esi, edi];
/// The same with their upper halves, which are zero.
pub(super) const WIDE: [AsmRegister64; 8] = [rax, rcx, rdx, rbx, r8, rbp, rsi, rdi];

/// Addresses of the code that all blocks share.
#[derive(Clone, Copy, Default)]
pub(super) struct Common {
    /// Goes back to the interpreter; `r11d` says where to.
    pub(super) leave: u64,
    /// Looks whether a store at `r9d`, which lies in one granule of page `r10`, is beside code; the carry says that
    /// it is not.
    pub(super) beside: u64,
}

/// Code away from the straight line, written at the end.
#[derive(Clone, Copy)]
enum Late {
    /// Goes on with an operation in the interpreter, which has not happened yet.
    Leave { label: CodeLabel, op: u32, pending: Pending },
    /// The page of the operand at `r9d` allows the access, but it may go on in the next page.
    Unaligned { label: CodeLabel, back: CodeLabel, bytes: u32, leave: CodeLabel },
    /// The page of the operand at `r9d` refuses stores.
    Refused { label: CodeLabel, back: CodeLabel, bytes: u32, leave: CodeLabel },
    /// A branch that is taken.
    Taken { label: CodeLabel, pending: Pending, jump: Jump },
    /// A direct branch whose link leads nowhere yet: undoes what the branch did.
    Unlinked { label: CodeLabel, jump: Jump },
}

/// A direct branch out of the block.
#[derive(Clone, Copy)]
pub(super) struct Jump {
    /// Where to.
    pub(super) target: u32,
    /// The operation that does it in the interpreter.
    pub(super) op: u32,
    /// Instructions that are given back.
    pub(super) left: i32,
    /// What was pushed.
    pub(super) pushed: i32,
}

/// The code of a block.
pub(super) struct Emitter {
    pub(super) a: CodeAssembler,
    /// What the flags of the guest are.
    pub(super) pending: Pending,
    /// Those of the flags that are also the host's.
    pub(super) host: u32,
    common: Common,
    windows: Windows,
    place: Place,
    /// For other blocks, for the interpreter, and what takes their place when the block is dropped: indices of
    /// instructions.
    entries: [usize; 3],
    /// The present operation.
    op: u32,
    /// The way out that leads to it.
    out: Option<CodeLabel>,
    /// The interpreter goes on: nothing more is to be translated.
    pub(super) stopped: bool,
    /// The operation at which it does, where more behind it is worth translating.
    pub(super) gap: Option<u32>,
    late: Vec<Late>,
    /// Direct branches that can be linked: indices of instructions, and where they go.
    links: Vec<(usize, u32)>,
}

/// What came of it.
pub(super) struct Code {
    pub(super) bytes: Vec<u8>,
    /// Where other blocks enter, where the interpreter does, having taken the instructions from the budget, and
    /// what takes the place of the former when the block is dropped.
    pub(super) entries: [u64; 3],
    /// The jumps that can be linked: where their distance is, and to which block.
    pub(super) links: Vec<(u64, u32)>,
}

/// A field of the state.
pub(super) fn field(at: usize) -> AsmMemoryOperand {
    dword_ptr(r13 + at)
}

/// Where the present operand of the guest is.
#[derive(Clone, Copy)]
enum Place {
    /// At `r9d`.
    Address,
    /// In a window that has been looked at: this far from a register.
    Near(usize, i32),
}

impl Emitter {
    /// Begins a block: its instructions are taken from the budget.
    pub(super) fn new(common: Common, eip: u32, instructions: u32, windows: Windows) -> Done<Self> {
        let mut a = CodeAssembler::new(64)?;
        a.set_prefer_short_branch(false);
        let mut exhausted = a.create_label();
        a.set_label(&mut exhausted)?;
        a.add(r14, instructions as i32)?;
        let dropped = a.instructions().len();
        a.mov(field(offset::EIP), eip as i32)?;
        a.mov(r11d, LOOK_UP as i32)?;
        a.jmp(common.leave)?;
        let start = a.instructions().len();
        a.sub(r14, instructions as i32)?;
        a.js(exhausted)?;
        let inner = a.instructions().len();
        Ok(Self {
            a,
            pending: Pending::Stored,
            host: 0,
            common,
            windows,
            place: Place::Address,
            entries: [start, inner, dropped],
            op: 0,
            out: None,
            stopped: false,
            gap: None,
            late: Vec::new(),
            links: Vec::new(),
        })
    }

    /// Turns to the next operation.
    pub(super) fn begin(&mut self, op: u32) {
        self.op = op;
        self.out = None;
    }

    /// Sets what the flags are from here on; ways out that were made before keep what they were.
    pub(super) fn set(&mut self, pending: Pending, host: u32) {
        self.pending = pending;
        self.host = host;
        self.out = None;
    }

    /// Makes a label the place of the next instruction.
    pub(super) fn bind(&mut self, mut label: CodeLabel) -> Done {
        self.a.set_label(&mut label)?;
        Ok(self.a.zero_bytes()?)
    }

    /// The way out that leaves the present operation to the interpreter.
    pub(super) fn leave(&mut self) -> CodeLabel {
        if let Some(label) = self.out {
            return label;
        }
        let label = self.a.create_label();
        self.late.push(Late::Leave { label, op: self.op, pending: self.pending });
        self.out = Some(label);
        label
    }

    /// Ends the block here: the interpreter goes on.
    pub(super) fn stop(&mut self) -> Done {
        let leave = self.leave();
        self.stopped = true;
        Ok(self.a.jmp(leave)?)
    }

    /// The accesses of an instruction that lie in windows.
    pub(super) fn accesses(&self, instruction: usize) -> Accesses {
        self.windows.of(instruction)
    }

    /// The present operand.
    pub(super) fn operand(&self) -> AsmMemoryOperand {
        match self.place {
            Place::Address => r12 + r9,
            Place::Near(register, away) => r12 + WIDE[register] + away,
        }
    }

    /// Makes sure that the memory operand can be accessed.
    pub(super) fn reach(
        &mut self,
        ins: &Instruction,
        bytes: u32,
        store: bool,
        access: Option<Access>,
    ) -> Done {
        let away = ins.memory_displacement32() as i32;
        if let Some(access) = access {
            return self.near(ins.memory_base().number() & 7, away, access);
        }
        self.address(ins)?;
        self.open(bytes, store)
    }

    /// Makes sure that the word at this distance from a register can be accessed.
    pub(super) fn reach_word(
        &mut self,
        register: usize,
        away: i32,
        store: bool,
        access: Option<Access>,
    ) -> Done {
        if let Some(access) = access {
            return self.near(register, away, access);
        }
        self.a.lea(r9d, ptr(WIDE[register] + away))?;
        self.open(4, store)
    }

    /// Takes an operand in a window, which is looked at if it is the first one; that uses `r10` and the host's
    /// flags.
    fn near(&mut self, register: usize, away: i32, access: Access) -> Done {
        self.place = Place::Near(register, away);
        let Some((window, low, last)) = self.windows.around(access) else { return Err(Unserved) };
        if std::mem::replace(&mut window.open, true) {
            return Ok(());
        }
        let bit = i32::from(if window.store { layout::STORES } else { layout::LOADS });
        let below = self.windows.below(access);
        let leave = self.leave();
        // No pointer of the window may wrap, neither below zero nor above.
        if below > 0 {
            self.a.lea(r10d, ptr(WIDE[register] - below))?;
            self.a.cmp(r10d, windows::HIGHEST.wrapping_sub(below as u32) as i32)?;
        } else {
            self.a.cmp(REGS[register], windows::HIGHEST as i32)?;
        }
        self.a.ja(leave)?;
        for end in [low, last] {
            self.a.lea(r10d, ptr(WIDE[register] + (away + end)))?;
            self.a.shr(r10d, 12)?;
            self.a.test(byte_ptr(r12 + r10 - layout::PAGES), bit)?;
            self.a.jz(leave)?;
        }
        self.host = 0;
        Ok(())
    }

    /// Puts the address of the memory operand into `r9d`.
    pub(super) fn address(&mut self, ins: &Instruction) -> Done {
        let register = |r: R| (r != R::None).then(|| WIDE[r.number() & 7]);
        let disp = ins.memory_displacement32() as i32;
        let scale = ins.memory_index_scale() as i32;
        match (register(ins.memory_base()), register(ins.memory_index())) {
            (None, None) => self.a.mov(r9d, disp)?,
            (Some(_), None) if disp == 0 => self.a.mov(r9d, REGS[ins.memory_base().number() & 7])?,
            (Some(base), None) => self.a.lea(r9d, ptr(base + disp))?,
            (None, Some(index)) => self.a.lea(r9d, ptr(index * scale + disp))?,
            (Some(base), Some(index)) => self.a.lea(r9d, ptr(base + index * scale + disp))?,
        }
        Ok(())
    }

    /// Makes sure that the operand at `r9d` can be accessed; uses `r10` and the host's flags.
    fn open(&mut self, bytes: u32, store: bool) -> Done {
        self.place = Place::Address;
        let leave = self.leave();
        let back = self.a.create_label();
        self.a.mov(r10d, r9d)?;
        self.a.shr(r10d, 12)?;
        let bit = if store { layout::STORES } else { layout::LOADS };
        self.a.test(byte_ptr(r12 + r10 - layout::PAGES), i32::from(bit))?;
        if store {
            let label = self.a.create_label();
            self.a.jz(label)?;
            self.late.push(Late::Refused { label, back, bytes, leave });
        } else {
            self.a.jz(leave)?;
        }
        if bytes > 1 {
            let label = self.a.create_label();
            self.a.test(r9d, bytes as i32 - 1)?;
            self.a.jnz(label)?;
            self.late.push(Late::Unaligned { label, back, bytes, leave });
        }
        self.host = 0;
        self.bind(back)
    }

    /// The guest's instruction itself, with the present operand in place of its memory operand.
    pub(super) fn native(&mut self, ins: &Instruction) -> Done {
        let mut ins = *ins;
        // Addresses of instructions are labels here.
        ins.set_ip(0);
        for i in 0..ins.op_count() {
            if ins.op_kind(i) == iced_x86::OpKind::Register {
                ins.set_op_register(i, host_register(ins.op_register(i)));
            }
        }
        if ins.op_kinds().any(|k| k == iced_x86::OpKind::Memory) {
            let (index, away) = match self.place {
                Place::Address => (r9, 0),
                Place::Near(register, away) => (WIDE[register], away),
            };
            ins.set_memory_base(R::R12);
            ins.set_memory_index(index.into());
            ins.set_memory_index_scale(1);
            ins.set_memory_displacement64(i64::from(away) as u64);
            ins.set_memory_displ_size(if away == 0 { 0 } else { 1 });
            ins.set_segment_prefix(R::None);
        }
        Ok(self.a.add_instruction(ins)?)
    }

    /// Loads the present operand into `r10d`.
    pub(super) fn load(&mut self, w: Width) -> Done {
        let operand = self.operand();
        match w {
            Width::Byte => self.a.movzx(r10d, byte_ptr(operand))?,
            Width::Word => self.a.movzx(r10d, word_ptr(operand))?,
            Width::Dword => self.a.mov(r10d, dword_ptr(operand))?,
        }
        Ok(())
    }

    /// Stores `r10d` in the present operand.
    pub(super) fn store(&mut self, w: Width) -> Done {
        let operand = self.operand();
        match w {
            Width::Byte => self.a.mov(byte_ptr(operand), r10b)?,
            Width::Word => self.a.mov(word_ptr(operand), r10w)?,
            Width::Dword => self.a.mov(dword_ptr(operand), r10d)?,
        }
        Ok(())
    }

    /// Ends the block with a call of the kernel.
    pub(super) fn call_kernel(&mut self, s: &Step<'_>) -> Done {
        self.settle()?;
        self.a.mov(field(offset::EIP), s.ins.next_ip32() as i32)?;
        self.a.lea(r14, ptr(r14 + s.behind))?;
        self.a.mov(r11d, GATE_CALLED as i32)?;
        Ok(self.a.jmp(self.common.leave)?)
    }

    /// Goes to another block; the flags must be stored.
    pub(super) fn jump(&mut self, jump: Jump) -> Done {
        let label = self.a.create_label();
        self.links.push((self.a.instructions().len(), jump.target));
        self.a.jmp(label)?;
        self.late.push(Late::Unlinked { label, jump });
        Ok(())
    }

    /// Where a conditional branch goes that is taken.
    pub(super) fn taken(&mut self, target: u32, left: i32) -> CodeLabel {
        let label = self.a.create_label();
        let jump = Jump { target, op: self.op, left, pushed: 0 };
        self.late.push(Late::Taken { label, pending: self.pending, jump });
        label
    }

    /// The present operation's number.
    pub(super) fn op(&self) -> u32 {
        self.op
    }

    /// Goes to the block at the address in `r11d`, if it is translated; else nothing has happened, and the
    /// interpreter goes on.  `before` is what happens just before the jump and may change neither `r10` nor `r15`.
    pub(super) fn find(&mut self, before: impl FnOnce(&mut Self) -> Done) -> Done {
        let leave = self.leave();
        self.a.mov(r10d, r11d)?;
        self.a.and(r10d, ENTRIES as i32 - 1)?;
        self.a.shl(r10d, 4)?;
        self.a.cmp(dword_ptr(r15 + r10), r11d)?;
        self.a.jne(leave)?;
        before(self)?;
        Ok(self.a.jmp(qword_ptr(r15 + r10 + 8))?)
    }

    fn late(&mut self, late: Late) -> Done {
        match late {
            Late::Leave { label, op, pending } => {
                self.bind(label)?;
                pending.store(&mut self.a)?;
                self.a.mov(r11d, op as i32)?;
                self.a.jmp(self.common.leave)?;
            }
            Late::Unaligned { label, back, bytes, leave } => {
                self.bind(label)?;
                self.a.mov(r10d, r9d)?;
                self.a.and(r10d, 0xfff)?;
                self.a.cmp(r10d, 0x1000 - bytes as i32)?;
                self.a.jbe(back)?;
                self.a.jmp(leave)?;
            }
            Late::Refused { label, back, bytes, leave } => {
                self.bind(label)?;
                if bytes > 1 {
                    self.a.test(r9d, bytes as i32 - 1)?;
                    self.a.jnz(leave)?;
                }
                self.a.call(self.common.beside)?;
                self.a.jc(leave)?;
                self.a.jmp(back)?;
            }
            Late::Taken { label, pending, jump } => {
                self.bind(label)?;
                pending.store(&mut self.a)?;
                self.a.lea(r14, ptr(r14 + jump.left))?;
                self.jump(jump)?;
            }
            Late::Unlinked { label, jump } => {
                self.bind(label)?;
                if jump.left != 0 {
                    self.a.lea(r14, ptr(r14 - jump.left))?;
                }
                if jump.pushed != 0 {
                    self.a.lea(REGS[ESP], ptr(WIDE[ESP] + jump.pushed))?;
                }
                self.a.mov(r11d, jump.op as i32)?;
                self.a.jmp(self.common.leave)?;
            }
        }
        Ok(())
    }

    /// Ends the block; its code will lie at `ip`.
    pub(super) fn finish(mut self, ip: u64) -> Done<Code> {
        let mut at = 0;
        while at < self.late.len() {
            self.late(self.late[at])?;
            at += 1;
        }
        let made = assemble(&self.a, ip)?;
        let at = |index: usize| made.offsets.get(index).map(|&at| ip + u64::from(at)).ok_or(Unserved);
        let mut entries = [0; 3];
        for (entry, index) in entries.iter_mut().zip(self.entries) {
            *entry = at(index)?;
        }
        // A jump is its code and the distance.
        let links = self.links.iter().map(|&(index, target)| Ok((at(index)? + 1, target)));
        let links = links.collect::<Done<_>>()?;
        Ok(Code { links, entries, bytes: made.bytes })
    }
}

/// The host's register for an operand; high bytes are in the same place.
fn host_register(r: R) -> R {
    match r {
        R::ESP => R::R8D,
        R::SP => R::R8W,
        other => other,
    }
}

/// The code that all blocks share: the way in, the way out, and the look at watched code.  Gives the addresses
/// of the latter two; the way in is at `ip`.
pub(super) fn common(ip: u64) -> Done<(Vec<u8>, Common)> {
    let mut a = CodeAssembler::new(64)?;
    a.set_prefer_short_branch(false);
    let mut watched = a.create_label();
    let kept = [rbx, rbp, r12, r13, r14, r15];
    // State, code, instructions left, base of memory, entries.
    for register in kept {
        a.push(register)?;
    }
    a.mov(r13, rdi)?;
    a.mov(r11, rsi)?;
    a.mov(r14, rdx)?;
    a.mov(r12, rcx)?;
    a.mov(r15, r8)?;
    for (i, register) in REGS.into_iter().enumerate() {
        a.mov(register, field(offset::REGS + 4 * i))?;
    }
    a.jmp(r11)?;

    let leave = a.instructions().len();
    a.mov(qword_ptr(r13 + offset::LEFT), r14)?;
    for (i, register) in REGS.into_iter().enumerate() {
        a.mov(field(offset::REGS + 4 * i), register)?;
    }
    a.mov(eax, r11d)?;
    for register in kept.into_iter().rev() {
        a.pop(register)?;
    }
    a.ret()?;

    let (mask, open) = layout::BESIDE;
    let beside = a.instructions().len();
    a.push(r11)?;
    a.movzx(r11d, byte_ptr(r12 + r10 - layout::PAGES))?;
    a.and(r11d, i32::from(mask))?;
    a.cmp(r11d, i32::from(open))?;
    a.jne(watched)?;
    a.mov(r10, qword_ptr(r12 + r10 * 8 - layout::WATCHED))?;
    a.mov(r11d, r9d)?;
    a.shr(r11d, 6)?;
    a.bt(r10, r11)?;
    a.pop(r11)?;
    a.ret()?;
    a.set_label(&mut watched)?;
    a.stc()?;
    a.pop(r11)?;
    a.ret()?;

    let made = assemble(&a, ip)?;
    let at = |index: usize| made.offsets.get(index).map(|&at| ip + u64::from(at)).ok_or(Unserved);
    let common = Common { leave: at(leave)?, beside: at(beside)? };
    Ok((made.bytes, common))
}
