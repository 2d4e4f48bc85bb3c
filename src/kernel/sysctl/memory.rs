//! The names below `vm`.
//!
//! 2.1 counterpart: vm/vm_meter.c.

use syscalls::errno::Errno;
use syscalls::layout::{Loadavg, U32, Vmtotal};
use syscalls::sysctl::mib::vm;

use super::kern::set_variable;
use super::transfer::Transfer;
use crate::kernel::Context;
use crate::kernel::proc::{Proc, ProcId, State};
use crate::kernel::synch::priority::PZERO;
use crate::mem::PAGE_SIZE;

/// One, in load averages (FSCALE).
const FSCALE: i32 = 1 << 11;
/// Seconds after which a sleeper no longer counts (maxslp).
const MAXSLP: u32 = 20;

/// Gives and takes one value; `name` is what follows `vm`.
pub(super) fn vm_sysctl(cx: &mut Context<'_>, name: &[u32], value: &mut Transfer) -> Result<(), Errno> {
    let [name] = *name else { return Err(Errno::ENOTDIR) };
    match name {
        vm::LOADAVG => {
            let ldavg = cx.kernel.clock.load_average.map(U32::new);
            value.rdstruct(cx, &Loadavg { ldavg, fscale: FSCALE.into() })
        }
        vm::METER => {
            let total = vmtotal(cx);
            value.rdstruct(cx, &total)
        }
        vm::V_FREE_MIN => set_variable(cx, value, |s| &mut s.pager[0]),
        vm::V_FREE_TARGET => set_variable(cx, value, |s| &mut s.pager[1]),
        vm::V_FREE_RESERVED => set_variable(cx, value, |s| &mut s.pager[2]),
        vm::V_INACTIVE_TARGET => set_variable(cx, value, |s| &mut s.pager[3]),
        vm::V_CACHE_MIN => set_variable(cx, value, |s| &mut s.pager[4]),
        vm::V_CACHE_MAX => set_variable(cx, value, |s| &mut s.pager[5]),
        vm::V_PAGEOUT_FREE_MIN => set_variable(cx, value, |s| &mut s.pager[6]),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

/// Counts processes and pages.  All pages count as resident, and sharing is not told.
pub(in crate::kernel) fn vmtotal(cx: &Context<'_>) -> Vmtotal {
    let (mut running, mut waiting, mut sleeping) = (0i16, 0i16, 0i16);
    let mut bytes = 0u64;
    let counted = |&(id, _): &(ProcId, &Proc)| cx.kernel.leader.as_ref().is_none_or(|leader| leader.id != id);
    for (_, proc) in cx.kernel.procs.iter().filter(counted) {
        match proc.state {
            State::Sleep | State::Stop if proc.priority <= PZERO => waiting = waiting.saturating_add(1),
            State::Sleep | State::Stop if proc.slptime < MAXSLP => sleeping = sleeping.saturating_add(1),
            State::Run | State::Embryo => running = running.saturating_add(1),
            State::Sleep | State::Stop | State::Zombie => {}
        }
        bytes += proc.vm.space.regions().map(|r| u64::from(r.len)).sum::<u64>();
    }
    let pages = i32::try_from(bytes / u64::from(PAGE_SIZE)).unwrap_or(i32::MAX);
    let all = (cx.kernel.system.physmem / PAGE_SIZE) as i32;
    Vmtotal {
        rq: running.into(),
        dw: waiting.into(),
        sl: sleeping.into(),
        vm: pages.into(),
        avm: pages.into(),
        rm: pages.into(),
        arm: pages.into(),
        free: all.saturating_sub(pages).max(0).into(),
        ..Vmtotal::default()
    }
}
