//! The kernel's variables that have names, with their values now.
//!
//! Where a variable lies is said by the kernel's file; this only knows what is in it.
//!
//! 2.1 counterpart: the globals of conf/param.c, kern/kern_clock.c, kern/init_main.c, kern/kern_sysctl.c,
//! sys/vmmeter.h, kern/sysv_*.c.

use syscalls::layout::{I32, Loadavg, Rtstat, U32, Vmmeter};
use zerocopy::IntoBytes;

use super::{BootFile, files, memory, network, object, older, older_net, place, sockets, statistics};
use crate::kernel::sched::{CCPU, FSCALE};
use crate::kernel::sysctl::vmtotal;
use crate::kernel::time::{BOOT_NS, timeval};
use crate::kernel::vfs::mount::MountId;
use crate::kernel::{Context, HZ, Kernel, ipc, net, tty};
use crate::mem::PAGE_SIZE;

/// Beats of the clocks that count use and that profile.
const STATHZ: i32 = 128;
const PROFHZ: i32 = 1024;
/// Families that may have routes (AF_MAX and one).
const RT_TABLES: u32 = 37;

/// The names that a kernel without a file of its own has.
pub(super) const NAMES: &[&str] = &[
    "_allproc",
    "_averunnable",
    "_boottime",
    "_bucket",
    "_ccpu",
    "_cn_tty",
    "_cnt",
    "_cp_time",
    "_desiredvnodes",
    "_dk_busy",
    "_dk_names",
    "_dk_ndrive",
    "_dk_seek",
    "_dk_time",
    "_dk_wds",
    "_dk_wpms",
    "_dk_xfer",
    "_dmmax",
    "_eintrcnt",
    "_eintrnames",
    "_filehead",
    "_fscale",
    "_hostname",
    "_hz",
    "_icmpstat",
    "_ifnet",
    "_igmpstat",
    "_inetsw",
    "_intrcnt",
    "_intrnames",
    "_ipstat",
    "_kmemstats",
    "_localsw",
    "_mask_rnhead",
    "_maxfiles",
    "_maxproc",
    "_mbstat",
    "_mountlist",
    "_msgbufp",
    "_msginfo",
    "_msqids",
    "_nchstats",
    "_nfiles",
    "_nfsstats",
    "_nprocs",
    "_npty",
    "_nsccons",
    "_nswap",
    "_nswapmap",
    "_nswdev",
    "_numvnodes",
    "_physmem",
    "_phz",
    "_proc0",
    "_profhz",
    "_pt_tty",
    "_radix_node_head",
    "_ripcb",
    "_rootfs",
    "_rt_tables",
    "_rtstat",
    "_sccons",
    "_sema",
    "_seminfo",
    "_semu",
    "_shminfo",
    "_shmsegs",
    "_stathz",
    "_swaplist",
    "_swapmap",
    "_swdevt",
    "_tcb",
    "_tcpstat",
    "_tick",
    "_time",
    "_tk_cancc",
    "_tk_nin",
    "_tk_nout",
    "_tk_rawcc",
    "_total",
    "_udb",
    "_udpstat",
    "_unixsw",
    "_version",
    "_vm_stat",
    "_zombproc",
];

/// The bytes of the variable that begins at `start`; none of what this kernel does not keep.
pub(super) fn value(
    cx: &Context<'_>,
    file: &BootFile,
    name: &str,
    start: u32,
    older: bool,
) -> Option<Vec<u8>> {
    of_system(cx, name, older)
        .or_else(|| of_tables(cx, name, older))
        .or_else(|| of_network(cx, file, name, start, older))
        .or_else(|| statistics::disk(cx.kernel, name))
}

fn word(value: u32) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

fn int(value: i32) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

/// Names, rates, times and counts of the system.
fn of_system(cx: &Context<'_>, name: &str, older: bool) -> Option<Vec<u8>> {
    let kernel = &*cx.kernel;
    let system = &kernel.system;
    let ticks = statistics::stat_ticks;
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
            let interrupts: &[u64] = if older { &[] } else { &[0] };
            let times = [&[c.user, c.nice, c.system], interrupts, &[idle]].concat();
            times.into_iter().flat_map(|ns| word(ticks(ns))).collect()
        }
        "_cnt" if older => older::vmmeter(&vmmeter(cx)).as_bytes().to_vec(),
        "_cnt" => vmmeter(cx).as_bytes().to_vec(),
        "_total" => vmtotal(cx).as_bytes().to_vec(),
        "_vm_stat" => statistics::older_memory(&vmmeter(cx)).as_bytes().to_vec(),
        "_intrcnt" => words(&statistics::interrupts(kernel)),
        "_intrnames" => statistics::INTERRUPT_NAMES.to_vec(),
        "_nchstats" => statistics::names(kernel).as_bytes().to_vec(),
        "_kmemstats" => statistics::memory_kinds(kernel, older),
        "_bucket" => statistics::memory_sizes(kernel, older),
        "_tk_nin" | "_tk_nout" | "_tk_cancc" | "_tk_rawcc" => word(statistics::characters(cx, name)),
        "_nprocs" => word(kernel.procs.len() as u32 + 4),
        "_maxproc" => int(system.maxproc),
        "_nfiles" => word(kernel.files.active().len() as u32),
        "_maxfiles" => int(system.maxfiles),
        // What 386BSD calls the ends of the memory that programs get.
        "_avail_start" if older => word(1 << 20),
        "_avail_end" if older => word(system.physmem),
        "_physmem" => word(system.physmem / PAGE_SIZE),
        _ => return None,
    })
}

/// Tables and lists: processes, files, mounts, terminals, messages, swap space, System V objects.
fn of_tables(cx: &Context<'_>, name: &str, older: bool) -> Option<Vec<u8>> {
    let kernel = &*cx.kernel;
    let ttys = &kernel.ttys;
    let mount = |at: fn(&[MountId]) -> Option<&MountId>| {
        at(&files::mounts(kernel)).map_or(0, |id| place::mount(id.0))
    };
    let terminals = |all: std::ops::Range<usize>| {
        let structures = all.filter_map(|id| tty::layout::tty(kernel, id));
        structures.flat_map(|tty| tty.as_bytes().to_vec()).collect::<Vec<u8>>()
    };
    Some(match name {
        "_filehead" => word(files::first_file(kernel)),
        "_numvnodes" => word(kernel.vfs.vnodes().len() as u32),
        "_desiredvnodes" => int(kernel.system.maxvnodes),
        "_mountlist" => words(&[mount(|all| all.first()), mount(|all| all.last())]),
        "_rootfs" if older => word(mount(|all| all.first())),
        "_pt_tty" if !older => terminals(0..ttys.ptys()),
        "_npty" => word(ttys.ptys() as u32),
        "_sccons" if !older => terminals(ttys.hosts()),
        "_nsccons" => word(ttys.hosts().len() as u32),
        "_cn_tty" => word(ttys.hosts().next().map_or(0, place::terminal)),
        "_nswap" | "_dmmax" => word(0),
        "_nswdev" => word(1),
        "_swdevt" => statistics::swap_devices().as_bytes().to_vec(),
        "_allproc" => word(object::first(cx, false)),
        "_zombproc" => word(object::first(cx, true)),
        "_proc0" => word(object::swapper()),
        "_msgbufp" => word(memory::MESSAGES_AT),
        "_seminfo" => words(&ipc::SEMINFO),
        "_msginfo" => words(&ipc::MSGINFO),
        "_shminfo" => words(&ipc::SHMINFO),
        "_sema" => word(memory::SEMAPHORE_SETS_AT),
        "_semu" => word(memory::ADJUSTMENTS_AT),
        "_msqids" => word(memory::MESSAGE_QUEUES_AT),
        "_shmsegs" => word(memory::SHARED_SEGMENTS_AT),
        _ => return None,
    })
}

/// Lists and counts of the network.
fn of_network(cx: &Context<'_>, file: &BootFile, name: &str, start: u32, older: bool) -> Option<Vec<u8>> {
    let kernel = &*cx.kernel;
    let stat = &kernel.inet.stat;
    if let Some((_, of)) = network::LISTS.iter().find(|(known, _)| *known == name) {
        return Some(if older {
            older_net::list(kernel, *of, start).as_bytes().to_vec()
        } else {
            word(network::first_inpcb(kernel, *of))
        });
    }
    Some(match name {
        "_mbstat" => sockets::mbstat(kernel).as_bytes().to_vec(),
        "_ipstat" => words(&stat.ip.0),
        "_icmpstat" => words(&stat.icmp.0),
        "_igmpstat" => words(&stat.igmp.0),
        "_tcpstat" => words(&stat.tcp.0),
        // 386BSD knows no misses of a table of control blocks: what was sent is one word earlier.
        "_udpstat" if older => words(&[&stat.udp.0[..8], &stat.udp.0[9..]].concat()),
        "_udpstat" => words(&stat.udp.0),
        "_rtstat" => rtstat(kernel).as_bytes().to_vec(),
        "_ifnet" => word(kernel.net.ifnets.first().map_or(0, |_| place::interface(0))),
        "_radix_node_head" if older => word(place::tree(network::ROUTES)),
        "_rt_tables" => {
            let trees = (0..RT_TABLES)
                .map(|family| if net::layout::has_tree(family) { place::tree(network::ROUTES) } else { 0 });
            trees.flat_map(u32::to_le_bytes).collect()
        }
        "_mask_rnhead" => word(place::tree(network::MASKS)),
        "_inetsw" | "_localsw" | "_unixsw" => {
            let (_, room) = file.find(name)?;
            let rows = sockets::switch(name)?;
            let bytes = rows.iter().flat_map(|row| {
                if older { older_net::protosw(row).as_bytes().to_vec() } else { row.as_bytes().to_vec() }
            });
            bytes.take(room as usize).collect()
        }
        _ => return None,
    })
}

fn rtstat(kernel: &Kernel) -> Rtstat {
    let count = &kernel.net.rtstat;
    let short = |n: u16| (n as i16).into();
    Rtstat {
        badredirect: short(count.badredirect),
        dynamic: short(count.dynamic),
        newgateway: short(count.newgateway),
        unreach: short(count.unreach),
        ..Rtstat::default()
    }
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
        intr: statistics::interrupts(kernel).iter().fold(0, |sum: u32, n| sum.wrapping_add(*n)).into(),
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
