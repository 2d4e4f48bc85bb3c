//! Accounting: a record of each process that ends, while there is room for them.
//!
//! 2.1 counterpart: kern/kern_acct.c, sys/acct.h.

use syscalls::arg::Path;
use syscalls::layout::Acct;
use zerocopy::IntoBytes;

use super::{Flags, ProcId};
use crate::kernel::kmem::log;
use crate::kernel::limits::Resource;
use crate::kernel::time::{self, SECOND_NS, TICK_NS, Timeout};
use crate::kernel::vfs::device::makedev;
use crate::kernel::vfs::{self, VnodeId};
use crate::kernel::{Context, Kernel, Sysret};

/// What a process has done (`p_acflag`).
pub mod flag {
    /// Forked, and has executed nothing since (AFORK).
    pub const FORK: u8 = 0x01;
    /// Has used the super-user's privileges (ASU).
    pub const SU: u8 = 0x02;
    /// Left a core file (ACORE).
    pub const CORE: u8 = 0x08;
    /// Was ended by a signal (AXSIG).
    pub const SIGNAL: u8 = 0x10;
}

/// Units of a second in a record (AHZ).
const AHZ: u64 = 64;
/// Bits of the fraction of a number, and of a step of its exponent.
const MANTISSA: u32 = 13;
const EXPONENT: u32 = 3;
/// No terminal.
const NODEV: u32 = !0;
/// Percent of room below which records stop, and above which they begin again.
const SUSPEND: u64 = 2;
const RESUME: u64 = 4;
/// Seconds between two looks at the room.
const CHECK_SECONDS: u64 = 15;

/// Where records go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accounting {
    file: Option<VnodeId>,
    suspended: bool,
    /// The next look at the room.
    check: Option<(u64, u64)>,
}

/// Has records of processes written to a file from now on, or to none.
pub fn acct(cx: &mut Context<'_>, path: Path) -> Sysret<()> {
    cx.suser()?;
    let file = if path.0 == 0 { None } else { Some(vfs::calls::open_accounting_file(cx, path)?) };
    let old = std::mem::take(&mut cx.kernel.accounting);
    if let Some(key) = old.check {
        cx.kernel.timeouts.remove(&key);
    }
    if let Some(vnode) = old.file {
        count_writers(cx.kernel, vnode, |writers| writers.saturating_sub(1));
        vfs::vrele(cx.kernel, vnode);
    }
    if let Some(vnode) = file {
        count_writers(cx.kernel, vnode, |writers| writers + 1);
    }
    cx.kernel.accounting.file = file;
    watch(cx.kernel);
    Ok(())
}

/// The file is open for writing: nobody executes it.
fn count_writers(kernel: &Kernel, vnode: VnodeId, change: impl Fn(u32) -> u32) {
    let writers = &kernel.vfs.vnode(vnode).inode.writecount;
    writers.set(change(writers.get()));
}

/// Looks at the room of the file's disk, now and then (`acctwatch`).
pub(in crate::kernel) fn watch(kernel: &mut Kernel) {
    let Accounting { file: Some(file), suspended, .. } = kernel.accounting else { return };
    let mount = kernel.vfs.vnode(file).mount;
    if let Ok(space) = kernel.vfs.space(mount) {
        let now = is_suspended(space.available, space.blocks, suspended);
        if now != suspended {
            log::log(
                kernel,
                log::NOTICE,
                if now { "Accounting suspended\n" } else { "Accounting resumed\n" },
            );
        }
        kernel.accounting.suspended = now;
    }
    let due = kernel.clock.uptime() + CHECK_SECONDS * SECOND_NS;
    kernel.accounting.check = Some(kernel.add_timeout(due, Timeout::Accounting));
}

/// Whether there is too little room for records, with a gap between stopping and beginning again.
fn is_suspended(available: u64, blocks: u64, suspended: bool) -> bool {
    let percent = |n: u64| blocks.saturating_mul(n) / 100;
    if suspended { available <= percent(RESUME) } else { available <= percent(SUSPEND) }
}

/// Writes the record of a process that ends (`acct_process`).
pub(super) fn process_ends(kernel: &mut Kernel, id: ProcId) {
    let Accounting { file: Some(file), suspended: false, .. } = kernel.accounting else { return };
    let record = record(kernel, id);
    let Ok(end) = kernel.vfs.size(file) else { return };
    let most = kernel.procs[id].limits.get(Resource::Fsize).cur;
    let length = record.as_bytes().len();
    // The limit of the process counts, and nobody is told of a record that cannot be written whole.
    if end.saturating_add(length as u64) > u64::try_from(most).unwrap_or(0) {
        return;
    }
    if !kernel.vfs.write_content(file, end, record.as_bytes()).is_ok_and(|written| written == length) {
        // What does not fit is taken back (IO_UNIT); what cannot be stays.
        let _ = kernel.vfs.set_length(file, end);
    }
}

fn record(kernel: &Kernel, id: ProcId) -> Acct {
    let proc = &kernel.procs[id];
    let usage = &proc.usage;
    let mut comm = [0; 10];
    comm.iter_mut().zip(&proc.comm).for_each(|(to, from)| *to = *from);
    let ticks = (usage.user_ns + usage.system_ns) / TICK_NS;
    let memory = usage.integrals.iter().fold(0u32, |sum, n| sum.wrapping_add(*n));
    let mem = u64::from(memory).checked_div(ticks).unwrap_or(0) as u16;
    let session = kernel.procs.session(proc.pgrp);
    let tty = session.tty.filter(|_| proc.flags.contains(Flags::CONTROLT));
    Acct {
        comm,
        utime: compressed_time(usage.user_ns).into(),
        stime: compressed_time(usage.system_ns).into(),
        etime: compressed_time(kernel.clock.now().saturating_sub(proc.start)).into(),
        btime: time::timeval(proc.start).sec,
        uid: proc.cred.ruid.into(),
        gid: proc.cred.rgid.into(),
        mem: mem.into(),
        io: compressed(u64::from(usage.inblock.wrapping_add(usage.oublock)) * AHZ).into(),
        tty: tty.map_or(NODEV, |tty| device(kernel, tty)).into(),
        flag: proc.acflag.get(),
        ..Acct::default()
    }
}

/// The device number of a terminal.
fn device(kernel: &Kernel, tty: u32) -> u32 {
    let (major, minor) = kernel.ttys.device(tty as usize);
    makedev(major, minor)
}

/// A time in units of 1/64 second.
fn compressed_time(ns: u64) -> u16 {
    let (seconds, micros) = (ns / SECOND_NS, ns % SECOND_NS / 1000);
    compressed(seconds * AHZ + micros / (1_000_000 / AHZ))
}

/// A number as three bits of exponent to the base 8 and 13 bits of fraction (`encode_comp_t`).
fn compressed(number: u64) -> u16 {
    let most = (1 << MANTISSA) - 1;
    // Longer than the original's 32 bits it is not.
    let mut fraction = number as u32;
    let (mut exponent, mut round) = (0u32, false);
    while fraction > most {
        round = fraction & (1 << (EXPONENT - 1)) != 0;
        fraction >>= EXPONENT;
        exponent += 1;
    }
    if round {
        fraction += 1;
        if fraction > most {
            fraction >>= EXPONENT;
            exponent += 1;
        }
    }
    ((exponent << MANTISSA) + fraction) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lose_digits_and_keep_their_size() {
        for (number, code) in [
            (0, 0),
            (1, 1),
            (8191, 8191),
            (8192, 1 << 13 | 1024),
            (8196, 1 << 13 | 1025),
            (65535, 2 << 13 | 1024),
            (8191 << 6, 2 << 13 | 8191),
        ] {
            assert_eq!(compressed(number), code, "{number}");
        }
        assert_eq!(compressed_time(SECOND_NS * 3 / 2), 96);
    }

    #[test]
    fn records_stop_below_two_percent_and_begin_above_four() {
        assert!(!is_suspended(3, 100, false));
        assert!(is_suspended(2, 100, false));
        assert!(is_suspended(4, 100, true));
        assert!(!is_suspended(5, 100, true));
    }
}
