//! The way from the interpreter into translated code and back.
#![allow(unsafe_code)] // one call, with its proof

use super::undefined::{Undefined, from_host, to_host};
use super::{GATE_CALLED, LOOK_UP, MISMATCH, RESERVE, Ready, Translator, float, unit};
use crate::cpu::general::segment_of;
use crate::cpu::state::State;
use crate::cpu::tally::{self, Reason};
use crate::cpu::{decode, x87};
use crate::mem::guarded::guarded;
use crate::trapframe::Seg;
use std::cell::Cell;

/// The way in: state, code, instructions, guest memory, table of jumps, whether it sets the base of GS itself.
#[cfg(target_arch = "x86_64")]
type Enter = extern "sysv64" fn(*mut State<'_>, u64, i64, *const u8, u64, u32) -> u32;

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
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(in crate::cpu) fn enter(&self, st: &mut State<'_>, at: u32, left: i64) -> Option<u32> {
        let ready = self.ready.as_ref()?;
        st.host_flags = to_host(st.flags.eflags());
        if ready.fpu && !st.lent {
            unit::load(st.fpu);
            st.lent = true;
        }
        if !ready.sets_gs {
            crate::mem::set_segment_base(st.view.base() as u64);
        }
        let (undefined, faulted) = (Cell::new(Undefined::None), Cell::new(false));
        let origin = ready.origin();
        // SAFETY: the address is that of the way in, which was written when the memory was made and is never
        // written again; it keeps the registers that the convention wants kept.
        let enter: Enter = unsafe { std::mem::transmute(origin as *const u8) };
        // The code at `at` was written by this translator for a block that has not been dropped.  It reads and
        // writes fields of the state that `state::offset` names, its own table, and guest memory: a 32-bit address
        // behind `base`, which the host protects as the page bytes say.
        let exit = guarded(
            origin..origin + ready.used as u64,
            &|interrupted| ready.catch(interrupted, &undefined, &faulted),
            || {
                enter(
                    st,
                    origin + u64::from(at),
                    left - RESERVE,
                    st.view.base(),
                    ready.jumps.address(),
                    ready.sets_gs.into(),
                )
            },
        );
        st.left += RESERVE;
        tally::add(&st.tally.translated, left.wrapping_sub(st.left) as u64);
        if st.tally.wants_reasons() {
            note(st, exit, faulted.get());
        }
        st.flags.set(undefined.get().mend(from_host(st.host_flags), &st.regs));
        if st.lent && unit::is_pending() {
            take_back(st);
        }
        if exit == MISMATCH {
            st.view.space().note_code_change(st.eip, 1);
            st.code_hit.set(true);
            return Some(LOOK_UP);
        }
        Some(exit)
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub(in crate::cpu) fn enter(&self, _: &mut State<'_>, _: u32, _: i64) -> Option<u32> {
        None
    }
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
