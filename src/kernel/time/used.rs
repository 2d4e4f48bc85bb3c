//! What a process's use of the processor brings about: counts of its profile, signals at its limit, and a
//! worse nice value after ten minutes.
//!
//! 2.1 counterpart: kern/subr_prof.c (addupc_task), kern/kern_synch.c (mi_switch).

use syscalls::layout::U16;

use super::SECOND_NS;
use crate::kernel::limits::{INFINITY, Resource, Rlimit};
use crate::kernel::proc::{Flags, Proc, ProcId};
use crate::kernel::signal::{SIGKILL, SIGXCPU, psignal};
use crate::kernel::{Context, Kernel};

/// Ticks of a second of the clock that profiles.
const PROFHZ: u64 = 1024;
/// Seconds after which a process of an ordinary user becomes nicer, and how nice.
const LONG: u64 = 600;
const NICER: i32 = 4;
/// By how many seconds the soft limit rises with each warning.
const GRACE: i64 = 5;

/// Whether anything depends on the processor time of a process but what it shows of it.
#[inline]
pub(super) fn is_watched(proc: &Proc) -> bool {
    proc.flags.contains(Flags::PROFIL) || !is_modest(proc)
}

/// Whether a process has no limit and has not used the processor for long.
#[inline]
fn is_modest(proc: &Proc) -> bool {
    let unlimited = proc.limits.get(Resource::Cpu).cur == INFINITY;
    unlimited && proc.usage.user_ns + proc.usage.system_ns < LONG * SECOND_NS
}

/// Looks at a process whose user time was `before` nanoseconds and has grown.
pub(super) fn used(kernel: &mut Kernel, id: ProcId, before: u64) {
    let proc = &kernel.procs[id];
    if proc.flags.contains(Flags::PROFIL) {
        let profile_ticks = |ns: u64| (u128::from(ns) * u128::from(PROFHZ) / u128::from(SECOND_NS)) as u64;
        let ticks = profile_ticks(proc.usage.user_ns) - profile_ticks(before);
        count(&mut Context::new(kernel, id), ticks);
    }
    check_limit(kernel, id);
}

/// Adds ticks to the counter of the place where the program is; without that memory profiling ends.
fn count(cx: &mut Context<'_>, ticks: u64) {
    let proc = cx.proc();
    let [samples, size, offset, scale] = proc.profil;
    let Some(distance) = proc.frame.eip.checked_sub(offset) else { return };
    let index = ((u64::from(distance) * u64::from(scale)) >> 16) as u32 & !1;
    if ticks == 0 || index >= size {
        return;
    }
    let counter = samples.wrapping_add(index);
    let counted = cx.read::<U16>(counter).and_then(|old| {
        let new = U16::new(old.get().wrapping_add(ticks as u16));
        cx.write(counter, &new)
    });
    if counted.is_err() {
        cx.proc_mut().flags.remove(Flags::PROFIL);
    }
}

fn check_limit(kernel: &mut Kernel, id: ProcId) {
    let proc = &mut kernel.procs[id];
    if is_modest(proc) {
        return;
    }
    let seconds = (proc.usage.user_ns + proc.usage.system_ns) / SECOND_NS;
    let Rlimit { cur, max } = proc.limits.get(Resource::Cpu);
    let at = seconds as i64;
    if at >= cur {
        let signal = if at >= max { SIGKILL } else { SIGXCPU };
        if signal == SIGXCPU {
            proc.limits.set(Resource::Cpu, Rlimit { cur: cur + GRACE, max });
        }
        psignal(kernel, id, signal);
    }
    let proc = &mut kernel.procs[id];
    if seconds > LONG && !proc.cred.is_superuser() && proc.nice == 0 {
        proc.nice = NICER;
        kernel.reset_priority(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::boot::Config;
    use crate::kernel::cred::Pcred;
    use crate::kernel::proc::State;
    use crate::kernel::signal::sigmask;
    use crate::mem::Prot;

    const MEMORY: u32 = 0x1_0000;

    fn process() -> (Kernel, ProcId) {
        let mut kernel = Kernel::new(Config::bare());
        let id = kernel.first_process(Pcred::new(30001, 30001), b"user");
        kernel.procs[id].state = State::Run;
        kernel.procs[id].vm.space.map_anon(MEMORY, 0x1000, Prot::READ | Prot::WRITE).unwrap();
        (kernel, id)
    }

    #[test]
    fn a_profile_counts_where_the_program_is() {
        let (mut kernel, id) = process();
        let proc = &mut kernel.procs[id];
        proc.flags.insert(Flags::PROFIL);
        proc.profil = [MEMORY, 0x100, 0x2000, 0x8000];
        proc.frame.eip = 0x2014;
        kernel.charge(id, SECOND_NS / 2, 0);
        let counter = |kernel: &Kernel, at| kernel.procs[id].vm.space.fusword(MEMORY + at).unwrap();
        assert_eq!(counter(&kernel, 10), 512, "half a byte of counters for a byte of program");
        kernel.procs[id].frame.eip = 0x1fff;
        kernel.charge(id, SECOND_NS, 0);
        kernel.procs[id].frame.eip = 0x2200;
        kernel.charge(id, SECOND_NS, 0);
        assert_eq!(counter(&kernel, 10), 512, "elsewhere does not count");
    }

    #[test]
    fn a_profile_without_memory_ends() {
        let (mut kernel, id) = process();
        let proc = &mut kernel.procs[id];
        proc.flags.insert(Flags::PROFIL);
        proc.profil = [0x9000_0000, 0x100, 0, 0x1_0000];
        kernel.charge(id, SECOND_NS, 0);
        assert!(!kernel.procs[id].flags.contains(Flags::PROFIL));
    }

    #[test]
    fn the_limit_warns_every_five_seconds_and_then_kills() {
        let (mut kernel, id) = process();
        kernel.procs[id].limits.set(Resource::Cpu, Rlimit { cur: 1, max: 7 });
        let pending = |kernel: &mut Kernel| std::mem::take(&mut kernel.procs[id].sig.pending);
        kernel.charge(id, SECOND_NS, 0);
        assert_eq!(pending(&mut kernel), sigmask(SIGXCPU));
        kernel.charge(id, 4 * SECOND_NS, 0);
        assert_eq!(pending(&mut kernel), 0);
        kernel.charge(id, SECOND_NS, 0);
        assert_eq!(pending(&mut kernel), sigmask(SIGXCPU));
        // As in the original the soft limit has passed the hard one by now.
        kernel.charge(id, 4 * SECOND_NS, 0);
        assert_eq!(pending(&mut kernel), 0);
        kernel.charge(id, SECOND_NS, 0);
        assert_eq!(pending(&mut kernel), sigmask(SIGKILL));
    }

    #[test]
    fn ten_minutes_make_an_ordinary_process_nicer() {
        let (mut kernel, id) = process();
        kernel.charge(id, 601 * SECOND_NS, 0);
        assert_eq!(kernel.procs[id].nice, NICER);
    }
}
