//! Stretches of the stack that a block works on, each of which is checked once.
//!
//! What a block does with the stack lies at known distances from the stack or frame pointer at its beginning,
//! or from what was loaded into them since.  Accesses that lie in less than a page around the same such anchor make a
//! window; the first of them looks at the pages of both of its ends, the others need not look.  A window may ask for more
//! than is used in the end, behind a branch that leaves the block; then the interpreter does the work, as it does
//! wherever a page refuses.

use super::Source;
use crate::cpu::lower::is_padding;
use iced_x86::{Code as K, Instruction, Mnemonic as M, OpKind, Register as R};

/// Most bytes of a window: it touches two pages at most.
const SPAN: i32 = 4096;
/// Most that a displacement or a pointer is away from its anchor: sums of such stay small.
const FAR: i32 = 1 << 16;
/// Beyond this address a pointer opens no window, so that neither it nor an address in one wraps; nor does one
/// that others go so far below that they would.  An address below zero is found by its page: none at or above the
/// end of the user's part of the address space is ever accessible.
pub(super) const HIGHEST: u32 = 0xffe0_0000;

/// A stretch of the stack.
#[derive(Clone, Copy)]
pub(super) struct Window {
    /// Distances of its ends from its anchor.
    low: i32,
    high: i32,
    /// The least distance of a pointer through which it is accessed.
    pointer: i32,
    /// Something is stored in it.
    pub(super) store: bool,
    /// It has been looked at.
    pub(super) open: bool,
}

/// An access in a window.
#[derive(Clone, Copy)]
pub(super) struct Access {
    pub(super) window: usize,
    /// Distance from the anchor, and that of the pointer.
    at: i32,
    pointer: i32,
}

/// The accesses of an instruction that lie in windows.
#[derive(Clone, Copy, Default)]
pub(super) struct Accesses {
    /// That of its memory operand.
    pub(super) operand: Option<Access>,
    /// What it pushes or pops.
    pub(super) stack: Option<Access>,
}

/// All windows of a block, and what is in them.
#[derive(Default)]
pub(super) struct Windows {
    windows: Vec<Window>,
    accesses: Vec<Accesses>,
}

/// A value as far as it is known: an anchor and the distance from it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Known {
    anchor: u32,
    at: i32,
}

/// The search for windows.
struct Search {
    found: Windows,
    esp: Known,
    ebp: Known,
    anchors: u32,
    /// The present window of each anchor.
    current: Vec<(u32, usize)>,
}

impl Windows {
    /// The windows of a block's first `count` instructions.
    pub(super) fn find(source: &Source<'_>, count: usize) -> Self {
        let mut search = Search {
            found: Self::default(),
            esp: Known { anchor: 0, at: 0 },
            ebp: Known { anchor: 1, at: 0 },
            anchors: 2,
            current: Vec::new(),
        };
        for part in source.code.iter().take(count) {
            let accesses = if part.followed || is_padding(&part.d.ins) {
                Accesses::default()
            } else {
                search.look(&part.d.ins)
            };
            search.found.accesses.push(accesses);
        }
        search.found
    }

    /// The accesses of an instruction.
    pub(super) fn of(&self, instruction: usize) -> Accesses {
        self.accesses.get(instruction).copied().unwrap_or_default()
    }

    /// The window of an access, and how far its first and last byte are from that.
    pub(super) fn around(&mut self, access: Access) -> Option<(&mut Window, i32, i32)> {
        let window = self.windows.get_mut(access.window)?;
        let (low, last) = (window.low - access.at, window.high - 1 - access.at);
        Some((window, low, last))
    }

    /// How far below the pointer of an access those of the others in its window go.
    pub(super) fn below(&self, access: Access) -> i32 {
        self.windows.get(access.window).map_or(0, |window| access.pointer - window.pointer)
    }
}

impl Search {
    /// A value of which nothing is known.
    fn unknown(&mut self) -> Known {
        self.anchors += 1;
        Known { anchor: self.anchors - 1, at: 0 }
    }

    fn register(&self, r: R) -> Option<Known> {
        match r {
            R::ESP => Some(self.esp),
            R::EBP => Some(self.ebp),
            _ => None,
        }
    }

    /// Notes an access to `bytes` bytes, `away` from a known value.
    fn access(&mut self, from: Known, away: i32, bytes: i32, store: bool) -> Option<Access> {
        if away.unsigned_abs() >= FAR.unsigned_abs() || from.at.abs() >= FAR {
            return None;
        }
        let at = from.at + away;
        let windows = &mut self.found.windows;
        let current =
            self.current.iter().find(|(anchor, _)| *anchor == from.anchor).map(|&(_, window)| window);
        if let Some(index) = current
            && let Some(window) = windows.get_mut(index)
        {
            let (low, high) = (window.low.min(at), window.high.max(at + bytes));
            if high - low <= SPAN {
                (window.low, window.high) = (low, high);
                window.pointer = window.pointer.min(from.at);
                window.store |= store;
                return Some(Access { window: index, at, pointer: from.at });
            }
        }
        let index = windows.len();
        windows.push(Window { low: at, high: at + bytes, pointer: from.at, store, open: false });
        self.current.retain(|(anchor, _)| *anchor != from.anchor);
        self.current.push((from.anchor, index));
        Some(Access { window: index, at, pointer: from.at })
    }

    /// The memory operand of an instruction, if it lies at a known distance.
    fn operand(&mut self, ins: &Instruction, store: bool) -> Option<Access> {
        if ins.memory_index() != R::None || !ins.op_kinds().any(|k| k == OpKind::Memory) {
            return None;
        }
        let from = self.register(ins.memory_base())?;
        self.access(from, ins.memory_displacement32() as i32, ins.memory_size().size() as i32, store)
    }

    fn push(&mut self) -> Option<Access> {
        let access = self.access(self.esp, -4, 4, true);
        self.esp.at -= 4;
        access
    }

    fn pop(&mut self) -> Option<Access> {
        let access = self.access(self.esp, 0, 4, false);
        self.esp.at += 4;
        access
    }

    fn look(&mut self, ins: &Instruction) -> Accesses {
        let m = ins.mnemonic();
        let register = |i: u32| if ins.op_kind(i) == OpKind::Register { ins.op_register(i) } else { R::None };
        match m {
            M::Push | M::Call => {
                let operand = self.operand(ins, false);
                return Accesses { operand, stack: self.push() };
            }
            M::Pop => {
                let stack = self.pop();
                self.set(register(0), None);
                return Accesses { operand: None, stack };
            }
            M::Ret => return Accesses { operand: None, stack: self.access(self.esp, 0, 4, false) },
            M::Leave => {
                let stack = self.access(self.ebp, 0, 4, false);
                self.esp = Known { at: self.ebp.at + 4, ..self.ebp };
                self.ebp = self.unknown();
                return Accesses { operand: None, stack };
            }
            M::Lea => {
                let from = self.register(ins.memory_base()).filter(|_| ins.memory_index() == R::None);
                self.set(register(0), from.and_then(|from| moved(from, ins.memory_displacement32() as i32)));
                return Accesses::default();
            }
            _ => {}
        }
        let compares = matches!(m, M::Cmp | M::Test);
        let stores = ins.op_count() > 0 && ins.op_kind(0) == OpKind::Memory && !compares && m != M::Jmp;
        let operand = self.operand(ins, stores);
        if ins.op_count() > 0 && !compares {
            let value = match (ins.code(), m) {
                (K::Mov_r32_rm32 | K::Mov_rm32_r32, _) => self.register(register(1)),
                (_, M::Add) if is_wide_immediate(ins) => {
                    self.register(register(0)).and_then(|from| moved(from, ins.immediate(1) as i32))
                }
                (_, M::Sub) if is_wide_immediate(ins) => self
                    .register(register(0))
                    .and_then(|from| moved(from, (ins.immediate(1) as i32).wrapping_neg())),
                _ => None,
            };
            self.set(register(0), value);
            if m == M::Xchg {
                self.set(register(1), None);
            }
        }
        Accesses { operand, stack: None }
    }

    /// A register gets a value.
    fn set(&mut self, r: R, value: Option<Known>) {
        match r.full_register32() {
            R::ESP => self.esp = value.unwrap_or_else(|| self.unknown()),
            R::EBP => self.ebp = value.unwrap_or_else(|| self.unknown()),
            _ => {}
        }
    }
}

/// A constant is added to a 32-bit register.
fn is_wide_immediate(ins: &Instruction) -> bool {
    ins.op0_kind() == OpKind::Register
        && ins.op0_register().is_gpr32()
        && matches!(ins.op_kind(1), OpKind::Immediate8to32 | OpKind::Immediate32)
}

/// A value moved by a constant, if it stays near its anchor.
fn moved(from: Known, by: i32) -> Option<Known> {
    let at = from.at.checked_add(by)?;
    (at.unsigned_abs() < FAR.unsigned_abs()).then_some(Known { at, ..from })
}
