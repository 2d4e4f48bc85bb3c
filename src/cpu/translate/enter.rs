//! The way from the interpreter into translated code and back.
#![allow(unsafe_code)] // one call, with its proof

use super::Translator;
use crate::cpu::state::State;

#[cfg(target_arch = "x86_64")]
impl Translator {
    /// Runs the code of the block at `eip`, which [`Place`](super::Place) describes; gives the operation with which
    /// the interpreter goes on, or [`super::LOOK_UP`] or [`super::GATE_CALLED`].  [`State::left`] is what is left
    /// of the budget then.
    #[inline(always)]
    pub(in crate::cpu) fn enter(
        &self,
        st: &mut State<'_>,
        eip: u32,
        at: u32,
        head: u8,
        left: i64,
    ) -> Option<u32> {
        use super::Entry;
        use std::cell::Cell;

        /// The way in, as [`super::emit::common`] writes it.
        type Enter = extern "sysv64" fn(*mut State<'_>, u64, i64, *const u8, *const Cell<Entry>) -> u32;

        let ready = self.ready.as_ref()?;
        st.flags.without_rotate();
        let at = ready.memory.address(at as usize);
        // Returns to it need not come this way again.
        ready.entry(eip)?.set(Entry { eip, code: at - u64::from(head) });
        // SAFETY: the address is that of the way in, which was written when the memory was made and is never
        // written again; it keeps the registers that the convention wants kept.
        let enter: Enter = unsafe { std::mem::transmute(ready.memory.address(0) as *const u8) };
        // The code at `at` was written by this translator for a block that has not been dropped.  It reads and
        // writes fields of the state that `state::offset` names, the guest's memory behind `base` where the page
        // bytes allow it (the same test as `mem::view`, whose argument for safety holds here), and its own table.
        Some(enter(st, at, left, st.view.base(), ready.entries.as_ptr()))
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Translator {
    /// Other hosts have no code to enter.
    pub(in crate::cpu) fn enter(&self, _: &mut State<'_>, _: u32, _: u32, _: u8, _: i64) -> Option<u32> {
        None
    }
}
