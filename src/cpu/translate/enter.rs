//! The way from the interpreter into translated code and back.
#![allow(unsafe_code)] // one call, with its proof

use super::undefined::{Undefined, from_host, to_host};
use super::{GATE_CALLED, LOOK_UP, MISMATCH, RESERVE, Ready, Translator, float, unit};
use crate::cpu::flags::ARITHMETIC;
use crate::cpu::general::segment_of;
use crate::cpu::state::{Core, State, copy_registers, is_flat, registers};
use crate::cpu::tally::{self, Reason, Tally};
use crate::cpu::{decode, x87};
use crate::mem::AddressSpace;
use crate::mem::guarded::guarded;
use crate::trapframe::eflags::{DF, TF};
use crate::trapframe::{Seg, Trapframe};
use std::cell::Cell;
use std::ptr;

/// The way in: registers, code, instructions, guest memory, table of jumps, whether it sets the base of GS itself.
#[cfg(target_arch = "x86_64")]
type Enter = extern "sysv64" fn(*mut Core, u64, i64, *const u8, u64, u32) -> u32;

/// How translated code was left that ran on the registers of a frame.
pub(in crate::cpu) struct Left {
    /// The operation, or one of the numbers that stand for none.
    pub(in crate::cpu) exit: u32,
    /// What is left of the budget.
    pub(in crate::cpu) left: i64,
    /// The x87 unit of the host still holds the guest's state.
    lent: bool,
}

/// What came of running code.
struct Ran {
    exit: u32,
    /// Flags that the host has left otherwise.
    undefined: Undefined,
    /// A fault ended it.
    faulted: bool,
}

impl Ready {
    /// Runs code at an address of the host, on registers that begin as [`Core`] does.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn run(&self, core: *mut Core, code: u64, left: i64, base: *const u8) -> Ran {
        if !self.sets_gs {
            crate::mem::set_segment_base(base as u64);
        }
        let (undefined, faulted) = (Cell::new(Undefined::None), Cell::new(false));
        let origin = self.origin();
        // SAFETY: the address is that of the way in, which was written when the memory was made and is never
        // written again; it keeps the registers that the convention wants kept.
        let enter: Enter = unsafe { std::mem::transmute(origin as *const u8) };
        // The code was written by this translator for a block that has not been dropped.  It reads and writes what
        // `state::offset` names, its own table, and guest memory: a 32-bit address behind `base`, which the host
        // protects as the page bytes say.
        let exit = guarded(
            origin..origin + self.used as u64,
            &|interrupted| self.catch(interrupted, &undefined, &faulted),
            || enter(core, code, left - RESERVE, base, self.jumps.address(), self.sets_gs.into()),
        );
        Ran { exit, undefined: undefined.get(), faulted: faulted.get() }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn run(&self, _: *mut Core, _: u64, _: i64, _: *const u8) -> Ran {
        Ran { exit: LOOK_UP, undefined: Undefined::None, faulted: false }
    }
}

impl Translator {
    /// Whether code may run now with so many instructions left: it counts on string instructions that go upwards, on
    /// the host's protection of pages, and on an x87 unit that the host can play.
    #[inline(always)]
    pub(in crate::cpu) fn may_run(&self, st: &State<'_>, left: i64) -> bool {
        let Some(ready) = &self.ready else { return false };
        if left < 2 * RESERVE || st.down() || self.stale.get() {
            return refuse(st, left);
        }
        if ready.fpu && !float::is_hard(st.fpu.control) {
            self.soft.set(true);
            self.stale.set(true);
            return refuse(st, left);
        }
        st.view.space().guard(self.patience) || refuse(st, left)
    }

    /// Runs the code of the block at `at`, which [`Place`](super::Place) describes; gives the operation with which
    /// the interpreter goes on, or [`super::LOOK_UP`] or [`super::GATE_CALLED`].  [`State::left`] is what is left
    /// of the budget then.
    #[inline(always)]
    pub(in crate::cpu) fn enter(&self, st: &mut State<'_>, at: u32, left: i64) -> Option<u32> {
        let ready = self.ready.as_ref()?;
        st.host_flags = to_host(st.flags.eflags());
        if ready.fpu && !st.lent {
            unit::load(st.fpu);
            st.lent = true;
        }
        let base = st.view.base();
        let ran = ready.run(ptr::from_mut(st).cast(), ready.origin() + u64::from(at), left, base);
        st.left += RESERVE;
        tally::add(&st.tally.translated, left.wrapping_sub(st.left) as u64);
        if st.tally.wants_reasons() {
            note(st, ran.exit, ran.faulted);
        }
        st.flags.set(ran.undefined.mend(from_host(st.host_flags), &st.regs));
        Some(settle(st, ran.exit))
    }

    /// Runs code on the registers of a frame where that is all there is to do, as it nearly always is behind a call of
    /// the kernel: there is code for the next instruction, and it may run.
    #[inline(always)]
    pub(in crate::cpu) fn go(
        &self,
        frame: &mut Trapframe,
        space: &AddressSpace,
        tally: &Tally,
        left: i64,
    ) -> Option<Left> {
        let ready = self.ready.as_ref()?;
        let code = ready.jumps.get(frame.eip);
        if code == 0
            || code == ready.unknown()
            || left < 2 * RESERVE
            || frame.eflags & (TF | DF) != 0
            || !is_flat(&frame.seg)
            || ready.fpu && !float::is_hard(frame.fpu.control)
            || tally.wants_reasons()
            || !space.guard(self.patience)
        {
            return None;
        }
        if ready.fpu {
            unit::load(&frame.fpu);
        }
        let mut core = Core {
            regs: registers(&frame.gpr),
            eip: frame.eip,
            system: frame.eflags & !ARITHMETIC,
            host_flags: to_host(frame.eflags),
            left: 0,
            scratch: 0,
        };
        let ran = ready.run(&raw mut core, code, left, space.view().base());
        let rest = core.left + RESERVE;
        tally::add(&tally.translated, left.wrapping_sub(rest) as u64);
        copy_registers(&mut frame.gpr, &core.regs);
        frame.eip = core.eip;
        frame.eflags = core.system | ran.undefined.mend(from_host(core.host_flags), &core.regs);
        let mut lent = ready.fpu;
        if lent && ran.exit == GATE_CALLED && !unit::is_pending() {
            unit::store(&mut frame.fpu);
            lent = false;
        }
        Some(Left { exit: ran.exit, left: rest, lent })
    }
}

impl Left {
    /// Whether the kernel was called, and there is nothing else to look after.
    #[inline(always)]
    pub(in crate::cpu) fn calls(&self) -> bool {
        self.exit == GATE_CALLED && !self.lent
    }

    /// Has a state that was made of the frame go on where code was left; gives the operation.
    pub(in crate::cpu) fn settle(self, st: &mut State<'_>) -> u32 {
        st.lent = self.lent;
        settle(st, self.exit)
    }
}

/// Looks after what code may leave behind; gives the operation with which the interpreter goes on.
#[inline(always)]
fn settle(st: &mut State<'_>, exit: u32) -> u32 {
    if st.lent && unit::is_pending() {
        take_back(st);
    }
    if exit == MISMATCH {
        st.view.space().note_code_change(st.eip, 1);
        st.code_hit.set(true);
        return LOOK_UP;
    }
    exit
}

/// Takes the state of the x87 unit back from the host's, which keeps it while a process runs: loading and storing it
/// takes as long as a hundred instructions.  Called before anybody else looks at it.
#[inline(always)]
pub(in crate::cpu) fn regain(st: &mut State<'_>) {
    if st.lent {
        take_back(st);
    }
}

#[cold]
#[inline(never)]
fn take_back(st: &mut State<'_>) {
    st.lent = false;
    let blocks = st.blocks;
    if let (Some(pending), Some(ready)) = (unit::store(st.fpu), &blocks.translator.ready) {
        blame(st, ready, &pending);
    }
}

/// Code may not run now.
#[cold]
#[inline(never)]
fn refuse(st: &State<'_>, left: i64) -> bool {
    st.tally.note(if left < 2 * RESERVE {
        Reason::Budget
    } else if st.down() {
        Reason::Down
    } else if !float::is_hard(st.fpu.control) {
        Reason::Soft
    } else {
        Reason::Unguarded
    });
    false
}

/// Counts why code was left.
#[cold]
#[inline(never)]
fn note(st: &State<'_>, exit: u32, faulted: bool) {
    let mnemonic = || {
        let op = st.arena.get(exit as usize)?;
        decode::at(st.view.space(), op.eip).ok().map(|d| d.ins.mnemonic())
    };
    st.tally.note(match exit {
        LOOK_UP => Reason::Unknown,
        GATE_CALLED => Reason::Call,
        MISMATCH => Reason::Changed,
        _ if st.left < 2 * RESERVE => Reason::Budget,
        _ if faulted => Reason::Refused(mnemonic().unwrap_or_default()),
        _ => Reason::Untranslated(mnemonic().unwrap_or_default()),
    });
}

/// Leaves the address of the instruction in the unit whose exception is pending.
#[cold]
#[inline(never)]
fn blame(st: &mut State<'_>, ready: &Ready, pending: &unit::Pending) {
    let Some(op) = ready.operation_at(pending.code).and_then(|op| st.arena.get(op as usize)) else { return };
    let Ok(decoded) = decode::at(st.view.space(), op.eip) else { return };
    x87::note_code(st.fpu, decoded.escape, decoded.modrm, st.seg[Seg::Cs as usize], op.eip);
    if decoded.modrm < 0xc0 {
        let segment = segment_of(decoded.ins.memory_segment());
        x87::note_data(st.fpu, st.seg[segment as usize], pending.data);
    }
}
