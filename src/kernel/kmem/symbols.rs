//! The kernel's variables that have names, with their values now.
//!
//! Where a variable lies is said by the kernel's file; this only knows what is in it.
//!
//! 2.1 counterpart: the globals of conf/param.c, kern/kern_clock.c, kern/init_main.c, kern/kern_sysctl.c,
//! sys/vmmeter.h, kern/sysv_*.c.

use syscalls::layout::{I32, Loadavg, U32, Vmmeter};
use zerocopy::IntoBytes;

use super::{memory, object, older};
use crate::kernel::sched::{CCPU, FSCALE};
use crate::kernel::sysctl::vmtotal;
use crate::kernel::time::{BOOT_NS, SECOND_NS, timeval};
use crate::kernel::{Context, HZ, ipc};
use crate::mem::PAGE_SIZE;

/// Beats of the clocks that count use and that profile.
const STATHZ: i32 = 128;
const PROFHZ: i32 = 1024;

/// The names that a kernel without a file of its own has, each with the room for its value.
pub(super) const NAMES: &[&str] = &[
    "_allproc",
    "_averunnable",
    "_boottime",
    "_bucket",
    "_ccpu",
    "_cnt",
    "_cp_time",
    "_dk_busy",
    "_dk_names",
    "_dk_ndrive",
    "_dk_seek",
    "_dk_time",
    "_dk_wds",
    "_dk_wpms",
    "_dk_xfer",
    "_eintrcnt",
    "_eintrnames",
    "_fscale",
    "_hostname",
    "_hz",
    "_icmpstat",
    "_igmpstat",
    "_intrcnt",
    "_intrnames",
    "_ipstat",
    "_kmemstats",
    "_maxfiles",
    "_maxproc",
    "_mbstat",
    "_msginfo",
    "_msgbufp",
    "_msqids",
    "_nchstats",
    "_nfiles",
    "_nfsstats",
    "_nprocs",
    "_nswap",
    "_nswapmap",
    "_physmem",
    "_proc0",
    "_profhz",
    "_rtstat",
    "_sema",
    "_seminfo",
    "_shminfo",
    "_shmsegs",
    "_stathz",
    "_swaplist",
    "_tcpstat",
    "_tick",
    "_time",
    "_tk_cancc",
    "_tk_nin",
    "_tk_nout",
    "_tk_rawcc",
    "_total",
    "_udpstat",
    "_version",
    "_zombproc",
];

/// The bytes of the variable that begins at `start`; none of what this kernel does not keep.
pub(super) fn value(cx: &Context<'_>, name: &str, start: u32, in_older_form: bool) -> Option<Vec<u8>> {
    let kernel = &*cx.kernel;
    let system = &kernel.system;
    let word = |value: u32| value.to_le_bytes().to_vec();
    let int = |value: i32| value.to_le_bytes().to_vec();
    let ticks = |ns: u64| (ns * STATHZ as u64 / SECOND_NS) as u32;
    Some(match name {
        "_version" => [system.version.as_bytes(), &[0]].concat(),
        "_hostname" => system.hostname.with_nul(),
        "_hz" => word(HZ),
        "_phz" => int(0),
        "_stathz" => int(STATHZ),
        "_profhz" => int(PROFHZ),
        "_tick" => word(1_000_000 / HZ),
        "_fscale" => word(FSCALE),
        "_ccpu" => word(CCPU),
        "_averunnable" => {
            let ldavg = kernel.clock.load_average.map(U32::new);
            Loadavg { ldavg, fscale: I32::new(FSCALE as i32) }.as_bytes().to_vec()
        }
        "_boottime" => timeval(kernel.clock.boot_time()).as_bytes().to_vec(),
        "_time" => timeval(kernel.clock.now()).as_bytes().to_vec(),
        "_cp_time" => {
            let c = &kernel.counters;
            let idle = (kernel.clock.uptime() + BOOT_NS).saturating_sub(c.user + c.nice + c.system);
            let interrupts: &[u64] = if in_older_form { &[] } else { &[0] };
            let times = [&[c.user, c.nice, c.system], interrupts, &[idle]].concat();
            times.into_iter().flat_map(|ns| word(ticks(ns))).collect()
        }
        "_cnt" if in_older_form => older::vmmeter(&vmmeter(cx)).as_bytes().to_vec(),
        "_cnt" => vmmeter(cx).as_bytes().to_vec(),
        "_total" => vmtotal(cx).as_bytes().to_vec(),
        "_nprocs" => word(kernel.procs.len() as u32 + 4),
        "_maxproc" => int(system.maxproc),
        "_nfiles" => word(kernel.files.active().len() as u32),
        "_maxfiles" => int(system.maxfiles),
        // What 386BSD calls the ends of the memory that programs get.
        "_avail_start" if in_older_form => word(1 << 20),
        "_avail_end" if in_older_form => word(system.physmem),
        "_physmem" => word(system.physmem / PAGE_SIZE),
        "_tcb" | "_udb" if in_older_form => [word(start), word(start)].concat(),
        "_allproc" => word(object::first(cx, false)),
        "_zombproc" => word(object::first(cx, true)),
        "_proc0" => word(object::swapper()),
        "_msgbufp" => word(memory::MESSAGES_AT),
        "_seminfo" => words(&ipc::SEMINFO),
        "_msginfo" => words(&ipc::MSGINFO),
        "_shminfo" => words(&ipc::SHMINFO),
        "_sema" => word(memory::SEMAPHORE_SETS_AT),
        "_msqids" => word(memory::MESSAGE_QUEUES_AT),
        "_shmsegs" => word(memory::SHARED_SEGMENTS_AT),
        _ => return None,
    })
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Counts of the system as a whole.
fn vmmeter(cx: &Context<'_>) -> Vmmeter {
    let kernel = &*cx.kernel;
    let counters = &kernel.counters;
    let usages = kernel.procs.iter().map(|(_, proc)| &proc.usage);
    let faults = usages.fold(0u32, |sum, usage| sum.wrapping_add(usage.minflt).wrapping_add(usage.majflt));
    let all = kernel.system.physmem / PAGE_SIZE;
    let used: u32 = kernel.procs.iter().map(|(_, proc)| proc.vm.space.resident_pages()).sum();
    let [free_min, free_target, free_reserved, inactive_target, cache_min, cache_max, pageout_free_min] =
        kernel.system.pager.map(|n| U32::new(n as u32));
    Vmmeter {
        swtch: counters.switches.into(),
        trap: counters.traps.into(),
        syscall: counters.calls.into(),
        vm_faults: faults.into(),
        zfod: faults.into(),
        page_size: PAGE_SIZE.into(),
        page_count: all.into(),
        free_count: all.saturating_sub(used).into(),
        active_count: used.into(),
        free_min,
        free_target,
        free_reserved,
        inactive_target,
        cache_min,
        cache_max,
        pageout_free_min,
        ..Vmmeter::default()
    }
}
