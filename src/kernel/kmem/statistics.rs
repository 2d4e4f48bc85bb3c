//! What the kernel counts, as kernel memory shows it: names, its own memory, disks, interrupts, swap space.
//!
//! 2.1 counterpart: sys/namei.h (nchstats), sys/malloc.h (kmemstats, bucket), sys/dkstat.h, i386/isa/vector.s
//! (intrcnt), vm/vm_swap.c.

use syscalls::layout::{self, OlderVmStatistics, Swdevt, Vmmeter};
use zerocopy::IntoBytes;

use super::sockets;
use crate::kernel::proc::State;
use crate::kernel::time::{SECOND_NS, TICK_NS};
use crate::kernel::{Context, Kernel};
use crate::mem::PAGE_SIZE;

/// Names of the interrupts that are counted: of the clock, and of the one that measures.
pub(super) const INTERRUPT_NAMES: &[u8] = b"clk0 irq0\0rtc0 irq8\0";
/// Bytes of the counts.
pub(super) const INTERRUPT_COUNTS: u32 = 8;
/// The one disk.
const DISK: &[u8] = b"sd0";
/// Bytes of a transfer, and of what `dk_wds` counts.
const BLOCK: u64 = 8192;
const WORDS: u64 = 64;
/// Microseconds of a transfer, for the time that the disk is busy.
const TRANSFER_US: u64 = 10_000;
/// Kinds and sizes of memory (M_LAST, MINBUCKET + 16) in 2.1 and 386BSD.
const KINDS: usize = 79;
const BUCKETS: usize = 20;
/// Kinds that 386BSD numbers differently, or does not have: vnodes, and files of disks behind them.
const VNODES: usize = 25;
const OLDER_VNODES: usize = 24;
const INODES: usize = 45;
/// Least size, as a power of two (MINBUCKET).
const MINBUCKET: u32 = 4;

/// Beats of the clock that measures since boot (`stathz`).
pub(super) fn stat_ticks(ns: u64) -> u32 {
    const STATHZ: u64 = 128;
    (u128::from(ns) * u128::from(STATHZ) / u128::from(SECOND_NS)) as u32
}

/// What each interrupt has been counted.
pub(super) fn interrupts(kernel: &Kernel) -> [u32; 2] {
    let uptime = kernel.clock.uptime();
    [(uptime / TICK_NS) as u32, stat_ticks(uptime)]
}

/// The disk's count under a name of one of its tables.
pub(super) fn disk(kernel: &Kernel, name: &str) -> Option<Vec<u8>> {
    let transfers = kernel.counters.transfers;
    let word = |value: u64| (value as u32).to_le_bytes().to_vec();
    Some(match name {
        "_dk_ndrive" => word(1),
        "_dk_names" => DISK.to_vec(),
        "_dk_xfer" | "_dk_seek" => word(transfers),
        "_dk_wds" => word(transfers.wrapping_mul(BLOCK / WORDS)),
        "_dk_time" => word(u64::from(stat_ticks(transfers.wrapping_mul(TRANSFER_US * 1000)))),
        // Words of 16 bits a millisecond.
        "_dk_wpms" => word(BLOCK / 2 * 1000 / TRANSFER_US),
        "_dk_busy" => word(0),
        _ => return None,
    })
}

/// Look-ups of names.
pub(super) fn names(kernel: &Kernel) -> layout::Nchstats {
    let counts = kernel.vfs.name_counts();
    layout::Nchstats {
        goodhits: (counts.hits as i32).into(),
        miss: (counts.misses as i32).into(),
        toolong: (counts.long as i32).into(),
        ..layout::Nchstats::default()
    }
}

/// What there is now of each kind of memory: 2.1's number, how many, and bytes of each.
fn memory_by_kind(kernel: &Kernel) -> [(usize, usize, usize); 15] {
    let procs = &kernel.procs;
    let all = procs.len();
    let dead = procs.iter().filter(|(_, proc)| proc.state == State::Zombie).count();
    let local = kernel.sockets.iter().filter(|(_, so)| so.unpcb().is_some()).count();
    let inet = kernel.inet.control_blocks();
    let mbufs = sockets::mbstat(kernel).mbufs.get() as usize;
    let mounts = super::files::mounts(kernel).len();
    let groups = || procs.iter().map(|(_, proc)| proc.pgrp.index());
    let count = |slots: Vec<usize>| slots.into_iter().collect::<std::collections::BTreeSet<_>>().len();
    let sessions = count(procs.iter().map(|(_, proc)| procs.session_id(proc.pgrp).index()).collect());
    [
        (1, mbufs, 128),
        (3, kernel.sockets.len(), size_of::<layout::Socket>()),
        (4, local + inet, size_of::<layout::Inpcb>()),
        (5, kernel.net.rtentries.len(), size_of::<layout::Rtentry>()),
        (8, dead, 72),
        (9, kernel.net.ifaddrs.len(), size_of::<layout::InIfaddr>()),
        (16, all, size_of::<layout::Pcred>() + size_of::<layout::Ucred>()),
        (17, count(groups().collect()), size_of::<layout::Pgrp>()),
        (18, sessions, size_of::<layout::Session>()),
        (20, mounts, size_of::<layout::Mount>()),
        (VNODES, kernel.vfs.vnodes().len(), size_of::<layout::Vnode>()),
        (38, kernel.files.len(), size_of::<layout::File>()),
        (39, all, size_of::<layout::Filedesc0>()),
        (41, all, size_of::<layout::Proc>()),
        (INODES, kernel.vfs.vnodes().len(), size_of::<layout::Inode>()),
    ]
}

/// A piece of memory of a size takes a power of two.
fn bucket_of(size: usize) -> u32 {
    size.next_power_of_two().ilog2().max(MINBUCKET)
}

/// The kernel's memory by what it is for.
pub(super) fn memory_kinds(kernel: &Kernel, older: bool) -> Vec<u8> {
    let mut kinds = [layout::Kmemstats::default(); KINDS];
    for (mut kind, count, size) in memory_by_kind(kernel) {
        if older {
            match kind {
                VNODES => kind = OLDER_VNODES,
                INODES => continue,
                _ => {}
            }
        }
        let used = (count << bucket_of(size)) as i32;
        if let Some(of_kind) = kinds.get_mut(kind) {
            of_kind.inuse = (count as i32).into();
            of_kind.calls = (count as i32).into();
            of_kind.memuse = used.into();
            of_kind.maxused = used.into();
            of_kind.limit = ((kernel.system.physmem / 10) as i32).into();
        }
    }
    // 386BSD's structure ends before the last two words.
    let length = size_of::<layout::Kmemstats>() - if older { 8 } else { 0 };
    kinds.iter().flat_map(|kind| kind.as_bytes().iter().take(length).copied()).collect()
}

/// The kernel's memory by size, in whole pages.
pub(super) fn memory_sizes(kernel: &Kernel, older: bool) -> Vec<u8> {
    let mut sizes = [layout::Kmembuckets::default(); BUCKETS];
    for (_, count, size) in memory_by_kind(kernel) {
        let bucket = bucket_of(size);
        let Some(of_size) = sizes.get_mut(bucket as usize) else { continue };
        let each = (PAGE_SIZE >> bucket).max(1) as i32;
        let used = of_size.calls.get() + count as i32;
        let total = (used + each - 1) / each * each;
        of_size.calls = used.into();
        of_size.total = total.into();
        of_size.totalfree = (total - used).into();
        of_size.elmpercl = each.into();
        of_size.highwat = (5 * each).into();
    }
    // 386BSD's structure has no pointer to the last free piece.
    let bytes = |size: &layout::Kmembuckets| {
        let all = size.as_bytes();
        let (next, rest) = all.split_at(4);
        [next, if older { rest.get(4..).unwrap_or_default() } else { rest }].concat()
    };
    sizes.iter().flat_map(bytes).collect()
}

/// Counts of memory in 386BSD's form.
pub(super) fn older_memory(vmmeter: &Vmmeter) -> OlderVmStatistics {
    let count = |n: layout::U32| (n.get() as i32).into();
    OlderVmStatistics {
        pagesize: count(vmmeter.page_size),
        free_count: count(vmmeter.free_count),
        active_count: count(vmmeter.active_count),
        inactive_count: count(vmmeter.inactive_count),
        wire_count: count(vmmeter.wire_count),
        faults: count(vmmeter.vm_faults),
        cow_faults: count(vmmeter.cow_faults),
        zero_fill_count: count(vmmeter.zfod),
        ..OlderVmStatistics::default()
    }
}

/// The swap devices: GENERIC has room for one, and none is in use.
pub(super) fn swap_devices() -> Swdevt {
    const NODEV: u32 = !0;
    Swdevt { dev: NODEV.into(), ..Swdevt::default() }
}

/// Totals of terminals' characters: in, out, in canonical mode, in raw mode.
pub(super) fn characters(cx: &Context<'_>, name: &str) -> u32 {
    let of_all = |place: usize| -> u64 {
        let all = (0..cx.kernel.ttys.len()).filter_map(|id| cx.kernel.ttys.get(id));
        all.filter_map(|tty| tty.counts.get(place)).sum()
    };
    (match name {
        "_tk_nin" => of_all(0) + of_all(1),
        "_tk_nout" => of_all(2),
        "_tk_cancc" => of_all(1),
        _ => of_all(0),
    }) as u32
}
