//! The processes that are the system's own: they run in the kernel, sleep, and nobody can touch them.
//!
//! 2.1 counterpart: kern/init_main.c (swapper, pagedaemon, vmdaemon, update), vm/vm_glue.c, vm/vm_pageout.c,
//! kern/vfs_bio.c, which say what each waits for.

use syscalls::layout::{Eproc, I32, KinfoProc, Pcred, Proc, Ucred, Vmspace};

use crate::kernel::Kernel;
use crate::kernel::kmem::place;
use crate::kernel::proc::{Flags, State};
use crate::kernel::synch::priority::{PRIBIO, PUSER, PVM};
use crate::kernel::time::SECOND_NS;

/// Their slots come behind those of all others.
pub(super) const FIRST_SLOT: usize = 1000;
/// No terminal.
const NODEV: u32 = !0;
/// Seconds that a process shows as asleep at most (kern_synch.c counts in a signed byte's spirit; ps asks for 127).
const MOST_ASLEEP: u64 = 127;

/// Number, name, what it waits for, priority.
const PROCESSES: [(i32, &str, &str, u8); 4] = [
    (0, "swapper", "sched", PVM),
    (2, "pagedaemon", "psleep", PVM),
    (3, "vmdaemon", "psleep", PUSER),
    (4, "update", "update", PRIBIO),
];

/// Their numbers.
pub(in crate::kernel) const NUMBERS: [i32; 4] = [0, 2, 3, 4];

/// All of them, by number; the session leader of a machine has the number of one, which is then not there.
pub(in crate::kernel) fn entries(kernel: &Kernel) -> Vec<KinfoProc> {
    let free = |pid: i32| kernel.procs.find_any(pid).is_none();
    PROCESSES.iter().enumerate().filter(|(_, of)| free(of.0)).map(|(n, of)| entry(kernel, n, *of)).collect()
}

/// Where process 0 is.
pub(in crate::kernel) fn swapper() -> u32 {
    place::process(FIRST_SLOT)
}

/// The session leader above the first program has the number of the update process and stands for it: its entry
/// with that process's name, state and sleep.
pub(super) fn as_update(kernel: &Kernel, leader: &KinfoProc) -> KinfoProc {
    let [.., update] = PROCESSES;
    let shown = entry(kernel, PROCESSES.len() - 1, update);
    let proc = Proc {
        next: leader.proc.next,
        pptr: leader.proc.pptr,
        osptr: leader.proc.osptr,
        ysptr: leader.proc.ysptr,
        cptr: leader.proc.cptr,
        pgrp: leader.proc.pgrp,
        cred: leader.proc.cred,
        addr: leader.proc.addr,
        vmspace: leader.proc.vmspace,
        ..shown.proc
    };
    let eproc = Eproc {
        paddr: leader.eproc.paddr,
        sess: leader.eproc.sess,
        ppid: leader.eproc.ppid,
        pgid: leader.eproc.pgid,
        ..shown.eproc
    };
    KinfoProc { proc, eproc }
}

/// The message of an address that a process of the system sleeps on.
pub(in crate::kernel) fn sleep_message(slot: usize) -> Option<&'static str> {
    PROCESSES.get(slot.checked_sub(FIRST_SLOT)?).map(|(_, _, message, _)| *message)
}

fn entry(kernel: &Kernel, n: usize, (pid, name, wmesg, priority): (i32, &str, &str, u8)) -> KinfoProc {
    let slot = FIRST_SLOT + n;
    let uptime = kernel.clock.uptime() / SECOND_NS;
    let interval = u64::from(kernel.system.update_interval.max(1).unsigned_abs());
    let asleep = if wmesg == "update" { uptime % interval } else { uptime };
    let mut proc = Proc {
        flag: (Flags::INMEM | Flags::SYSTEM).bits().into(),
        stat: State::Sleep as u8,
        pid: pid.into(),
        pptr: if pid == 0 { 0 } else { swapper() }.into(),
        wchan: place::channel(slot).into(),
        wmesg: place::message_of_sleep(slot).into(),
        swtime: (uptime as u32).into(),
        slptime: (asleep.min(MOST_ASLEEP) as u32).into(),
        priority,
        usrpri: PUSER,
        addr: place::user_area(slot).into(),
        ..Proc::default()
    };
    copy(&mut proc.comm, name);
    let mut eproc = Eproc {
        paddr: place::process(slot).into(),
        pcred: Pcred { refcnt: I32::new(1), ..Pcred::default() },
        ucred: Ucred { refs: 1.into(), ngroups: 1.into(), ..Ucred::default() },
        vm: Vmspace { refcnt: I32::new(1), ..Vmspace::default() },
        tdev: NODEV.into(),
        ..Eproc::default()
    };
    copy(&mut eproc.wmesg, wmesg);
    copy(&mut eproc.login, "root");
    KinfoProc { proc, eproc }
}

fn copy(to: &mut [u8], from: &str) {
    to.iter_mut().zip(from.bytes()).for_each(|(to, from)| *to = from);
}

/// Whether a question about processes means it: all, by number, group or user; they have no terminal.
pub(super) fn is_chosen(entry: &KinfoProc, kind: u32, argument: u32) -> bool {
    match kind {
        1 => entry.proc.pid.get() as u32 == argument,
        2 | 5 | 6 => argument == 0,
        4 => false,
        _ => true,
    }
}
