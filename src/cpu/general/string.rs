//! String instructions: runs of elements in bulk where memory allows, one by one where it does not.
//!
//! Every iteration of a `rep` counts as one instruction and is a point where the instruction can
//! stop: at the end of the budget and at a fault the registers say what is left to do and EIP stays on the
//! instruction.

use super::segment_of;
use crate::cpu::alu::{self, Width};
use crate::cpu::state::{DATA_END, State};
use crate::mem::bulk::{self, Direction};
use crate::trapframe::{Access, Gpr, Seg, Trap};
use iced_x86::{Instruction, Mnemonic as M, OpKind};

/// What a string instruction does with an element.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Movs,
    Stos,
    Lods,
    Scas,
    Cmps,
}

/// A string instruction with its operands resolved.
struct Run {
    kind: Kind,
    w: Width,
    /// Segment of the source.
    seg: Seg,
    /// Mask of addresses and of the counter.
    mask: u32,
    /// Distance to the next element.
    step: u32,
    /// For comparisons: go on while the elements are equal.
    while_equal: bool,
}

/// Executes a string instruction with or without repeat prefix.
pub(super) fn execute(st: &mut State<'_>, ins: &Instruction) -> Result<(), Trap> {
    let run = resolve(st, ins);
    if !ins.has_rep_prefix() && !ins.has_repne_prefix() {
        return run.one(st).map(|_| ());
    }
    let mut total = st.get(Gpr::Ecx) & run.mask;
    if total == 0 {
        return Ok(());
    }
    // The instruction itself is paid for; each further iteration takes from the budget.
    let mut allowed = u32::try_from(st.left.max(0)).unwrap_or(u32::MAX).saturating_add(1);
    let mut first = true;
    loop {
        let (done, stopped) = match run.bulk(st, total.min(allowed)) {
            (0, _) => match run.one(st) {
                Ok(stopped) => (1, stopped),
                Err(trap) => {
                    // The caller gives back one for the instruction that did not finish; after the
                    // first iteration that one was used.
                    st.left -= i64::from(!first);
                    return Err(trap);
                }
            },
            done => done,
        };
        st.left -= i64::from(done) - i64::from(first);
        first = false;
        allowed -= done;
        total -= done;
        let ecx = st.get(Gpr::Ecx);
        st.set(Gpr::Ecx, ecx & !run.mask | ecx.wrapping_sub(done) & run.mask);
        if total == 0 || stopped {
            return Ok(());
        }
        // One that overwrites itself goes on: it is not fetched again.
        if allowed == 0 {
            st.eip = ins.ip32();
            return Ok(());
        }
    }
}

fn resolve(st: &State<'_>, ins: &Instruction) -> Run {
    use Kind::{Cmps, Lods, Movs, Scas, Stos};
    let (kind, w) = match ins.mnemonic() {
        M::Movsb => (Movs, Width::Byte),
        M::Movsw => (Movs, Width::Word),
        M::Movsd => (Movs, Width::Dword),
        M::Stosb => (Stos, Width::Byte),
        M::Stosw => (Stos, Width::Word),
        M::Stosd => (Stos, Width::Dword),
        M::Lodsb => (Lods, Width::Byte),
        M::Lodsw => (Lods, Width::Word),
        M::Lodsd => (Lods, Width::Dword),
        M::Scasb => (Scas, Width::Byte),
        M::Scasw => (Scas, Width::Word),
        M::Scasd => (Scas, Width::Dword),
        M::Cmpsb => (Cmps, Width::Byte),
        M::Cmpsw => (Cmps, Width::Word),
        _ => (Cmps, Width::Dword),
    };
    let short = (0..2)
        .any(|i| matches!(ins.op_kind(i), OpKind::MemorySegSI | OpKind::MemorySegDI | OpKind::MemoryESDI));
    let step = if st.down() { w.bytes().wrapping_neg() } else { w.bytes() };
    Run {
        kind,
        w,
        seg: segment_of(ins.memory_segment()),
        mask: if short { 0xffff } else { u32::MAX },
        step,
        while_equal: !ins.has_repne_prefix(),
    }
}

impl Run {
    fn source(&self, st: &State<'_>) -> u32 {
        st.get(Gpr::Esi) & self.mask
    }

    fn destination(&self, st: &State<'_>) -> u32 {
        st.get(Gpr::Edi) & self.mask
    }

    fn advance(&self, st: &mut State<'_>, r: Gpr, elements: u32) {
        let x = st.get(r);
        let y = x.wrapping_add(self.step.wrapping_mul(elements));
        st.set(r, x & !self.mask | y & self.mask);
    }

    /// Moves the address registers on.
    fn advance_all(&self, st: &mut State<'_>, elements: u32) {
        if matches!(self.kind, Kind::Movs | Kind::Lods | Kind::Cmps) {
            self.advance(st, Gpr::Esi, elements);
        }
        if matches!(self.kind, Kind::Movs | Kind::Stos | Kind::Scas | Kind::Cmps) {
            self.advance(st, Gpr::Edi, elements);
        }
    }

    /// One element; says whether a comparison ends the repetition.
    fn one(&self, st: &mut State<'_>) -> Result<bool, Trap> {
        let w = self.w;
        let (from, to) = (self.source(st), self.destination(st));
        let mut stopped = false;
        match self.kind {
            Kind::Movs => {
                let x = st.load(w, self.seg, from)?;
                st.store(w, Seg::Es, to, x)?;
            }
            Kind::Stos => st.store(w, Seg::Es, to, st.get_part(w, 0))?,
            Kind::Lods => {
                let x = st.load(w, self.seg, from)?;
                st.set_part(w, 0, x);
            }
            Kind::Scas => {
                let (x, y) = (st.get_part(w, 0), st.load(w, Seg::Es, to)?);
                stopped = self.compare(st, x, y);
            }
            Kind::Cmps => {
                let (x, y) = (st.load(w, self.seg, from)?, st.load(w, Seg::Es, to)?);
                stopped = self.compare(st, x, y);
            }
        }
        self.advance_all(st, 1);
        Ok(stopped)
    }

    fn compare(&self, st: &mut State<'_>, x: u32, y: u32) -> bool {
        st.flags.sub(self.w, x, y);
        (alu::sub(self.w, x, y, 0) == 0) != self.while_equal
    }

    /// As many elements as memory allows at once, at most `count`; how many, and whether a comparison
    /// ended the repetition.
    fn bulk(&self, st: &mut State<'_>, count: u32) -> (u32, bool) {
        let (from, to) = (self.source(st), self.destination(st));
        let Some(count) = self.inside(st, from, to, count) else { return (0, false) };
        let way = if st.down() { Direction::Down } else { Direction::Up };
        let width = match self.w {
            Width::Byte => bulk::Width::Byte,
            Width::Word => bulk::Width::Word,
            Width::Dword => bulk::Width::Dword,
        };
        let (done, stopped) = match self.kind {
            Kind::Movs => (st.view.rep_movs(to, from, width, count, way), false),
            Kind::Stos => (st.view.rep_stos(to, st.get(Gpr::Eax), width, count, way), false),
            // Only the last element counts, but every one of them can fault.
            Kind::Lods => return (0, false),
            Kind::Scas => {
                let scanned =
                    st.view.rep_scas(to, st.get_part(self.w, 0), width, count, way, self.while_equal);
                (scanned.done, scanned.stopped)
            }
            Kind::Cmps => {
                let scanned = st.view.rep_cmps(from, to, width, count, way, self.while_equal);
                (scanned.done, scanned.stopped)
            }
        };
        if done == 0 {
            return (0, false);
        }
        if matches!(self.kind, Kind::Scas | Kind::Cmps) {
            // The flags are those of the last comparison: do that one by itself.
            self.advance_all(st, done - 1);
            return match self.one(st) {
                Ok(_) => (done, stopped),
                Err(_) => (done - 1, false),
            };
        }
        self.advance_all(st, done);
        (done, false)
    }

    /// How many elements lie inside the flat data segment without wrapping; `None`: do one by one.
    fn inside(&self, st: &State<'_>, from: u32, to: u32, count: u32) -> Option<u32> {
        let size = self.w.bytes();
        let end = if self.mask == u32::MAX { DATA_END } else { 0x1_0000 };
        let room = |at: u32| {
            if at >= end {
                0
            } else if st.down() {
                at / size + 1
            } else {
                (end - at) / size
            }
        };
        let mut n = count;
        if self.kind != Kind::Stos && self.kind != Kind::Scas {
            st.linear(self.seg, from, size, Access::Read).ok()?;
            n = n.min(room(from));
        }
        if self.kind != Kind::Lods {
            let access =
                if matches!(self.kind, Kind::Movs | Kind::Stos) { Access::Write } else { Access::Read };
            st.linear(Seg::Es, to, size, access).ok()?;
            n = n.min(room(to));
        }
        (n > 0).then_some(n)
    }
}
