//! Waiting for many descriptors at once: select, and the notes that its scans leave behind.
//!
//! 2.1 counterpart: kern/sys_generic.c (selscan, selrecord, selwakeup), sys/select.h.

use syscalls::arg::Fd;
use syscalls::errno::Errno;
use syscalls::layout;

use super::{Resume, ops};
use crate::kernel::proc::{Flags, ProcId, State};
use crate::kernel::synch::{self, Channel, Interruption, Sleep, Wake, priority};
use crate::kernel::{Context, Kernel, Stop, Sysret};

/// What a descriptor is selected for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Something to read, or a connection to accept.
    Read,
    /// Room to write.
    Write,
    /// An exceptional condition: out-of-band data.
    Except,
}

/// Descriptors in a set, as words of 32.
pub type FdBits = [u32; 8];

/// Who selects on an object (`struct selinfo`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Selinfo {
    /// The process that was noted last.
    proc: Option<ProcId>,
    /// More than one process selects.
    collision: bool,
}

impl Selinfo {
    /// Whether a process selects.
    pub fn is_noted(&self) -> bool {
        self.proc.is_some()
    }

    /// The structure that readers of kernel memory see.
    pub(in crate::kernel) fn layout(&self, kernel: &Kernel) -> layout::Selinfo {
        /// More than one process selects (SI_COLL).
        const COLLISION: i16 = 1;
        layout::Selinfo {
            pid: self.proc.and_then(|id| kernel.procs.get(id)).map_or(0, |proc| proc.pid).into(),
            flags: if self.collision { COLLISION } else { 0 }.into(),
            ..layout::Selinfo::default()
        }
    }
}

/// Notes that a process selects on an object.
pub fn selrecord(kernel: &Kernel, selector: ProcId, info: &mut Selinfo) {
    if info.proc == Some(selector) {
        return;
    }
    let other_waits =
        info.proc.and_then(|id| kernel.procs.get(id)).is_some_and(|p| p.wchan == Some(Channel::Select));
    if other_waits {
        info.collision = true;
    } else {
        info.proc = Some(selector);
    }
}

/// Wakes those who select on an object.
pub fn selwakeup(kernel: &mut Kernel, info: &mut Selinfo) {
    let Some(id) = info.proc.take() else { return };
    if std::mem::take(&mut info.collision) {
        kernel.select_collisions += 1;
        kernel.wakeup(Channel::Select);
    }
    let Some(proc) = kernel.procs.get_mut(id) else { return };
    if proc.wchan == Some(Channel::Select) {
        if proc.state == State::Sleep {
            kernel.set_runnable(id);
        } else {
            kernel.unsleep(id);
        }
    } else {
        proc.flags.remove(Flags::SELECT);
    }
}

/// A select in progress.
#[derive(Clone, Debug)]
pub struct Selecting {
    /// Number of descriptors to look at.
    pub nd: usize,
    /// Addresses of the three sets; zero for none.
    pub sets: [u32; 3],
    /// What is asked for.
    pub wanted: [FdBits; 3],
    /// When to give up, in nanoseconds of the kernel's uptime.
    pub deadline: Option<u64>,
}

/// Looks at the descriptors, and sleeps until one is ready; gives the number of ready ones.
pub fn select(cx: &mut Context<'_>, selecting: Selecting) -> Sysret<i32> {
    loop {
        let collisions = cx.kernel.select_collisions;
        cx.proc_mut().flags.insert(Flags::SELECT);
        let (ready, found) = match scan(cx, &selecting) {
            Ok(found) => found,
            Err(e) => return finish(cx, &selecting, None, Err(e.into())),
        };
        if found > 0 {
            return finish(cx, &selecting, Some(&ready), Ok(found));
        }
        let now = cx.kernel.clock.uptime();
        if selecting.deadline.is_some_and(|deadline| now >= deadline) {
            return finish(cx, &selecting, Some(&ready), Ok(0));
        }
        if !cx.proc().flags.contains(Flags::SELECT) || cx.kernel.select_collisions != collisions {
            continue;
        }
        cx.proc_mut().flags.remove(Flags::SELECT);
        let timeout_ticks = selecting.deadline.map(|deadline| cx.kernel.clock.ticks_until(deadline).max(1));
        let sleep = Sleep {
            channel: Channel::Select,
            priority: priority::PSOCK,
            catch: true,
            wmesg: "select",
            timeout_ticks,
        };
        return synch::sleep(sleep, super::super::Resume::File(Resume::Select(Box::new(selecting))));
    }
}

/// Goes on after the sleep.
pub(super) fn resume(cx: &mut Context<'_>, selecting: Selecting, wake: Wake) -> Sysret<i32> {
    match wake {
        Wake::Woken => select(cx, selecting),
        Wake::TimedOut => finish(cx, &selecting, Some(&Default::default()), Ok(0)),
        // Select is not restarted after signals.
        Wake::Interrupted(Interruption::Eintr | Interruption::Erestart) => {
            finish(cx, &selecting, None, Err(Errno::EINTR.into()))
        }
    }
}

/// The common end: the sets are written only where select succeeds.
fn finish(
    cx: &mut Context<'_>,
    selecting: &Selecting,
    ready: Option<&[FdBits; 3]>,
    result: Result<i32, Stop>,
) -> Sysret<i32> {
    cx.proc_mut().flags.remove(Flags::SELECT);
    let found = result?;
    let words = selecting.nd.div_ceil(32);
    let mut result = Ok(found);
    for (bits, &address) in ready.into_iter().flatten().zip(&selecting.sets) {
        if address != 0 {
            let bytes: Vec<u8> = bits.iter().take(words).flat_map(|w| w.to_le_bytes()).collect();
            if let Err(e) = cx.copyout(address, &bytes) {
                result = Err(e.into());
            }
        }
    }
    result
}

fn scan(cx: &mut Context<'_>, selecting: &Selecting) -> Result<([FdBits; 3], i32), Errno> {
    let mut ready: [FdBits; 3] = Default::default();
    let mut found = 0;
    for (set, which) in [Which::Read, Which::Write, Which::Except].into_iter().enumerate() {
        for fd in 0..selecting.nd {
            if selecting.wanted[set][fd / 32] & (1 << (fd % 32)) == 0 {
                continue;
            }
            let file = cx.proc().fd.get(Fd(fd as i32)).ok_or(Errno::EBADF)?;
            if ops::select(cx, file, which) {
                ready[set][fd / 32] |= 1 << (fd % 32);
                found += 1;
            }
        }
    }
    Ok((ready, found))
}
