//! The status line: what the foreground group is doing.
//!
//! 2.1 counterpart: kern/tty.c (ttyinfo, proc_compare, ttycheckoutq), kern/subr_prf.c (ttyprintf).

use super::TtyId;
use super::flow;
use super::state::OBUFSIZ;
use crate::kernel::Kernel;
use crate::kernel::proc::{Flags, Proc, ProcId, State as Doing};
use crate::kernel::time::SECOND_NS;

/// Fixed-point one of load averages (FSCALE).
const FSCALE: u32 = 1 << 11;

/// Prints the status line, if the output queue has room for it (`ttyinfo`).
pub(super) fn print(kernel: &mut Kernel, id: TtyId) {
    if !has_room(kernel, id) {
        return;
    }
    let line = status(kernel, id);
    let tty = &mut kernel.ttys[id];
    for c in line.bytes() {
        if c == b'\n' {
            tty.output(u32::from(b'\r'));
        }
        tty.output(u32::from(c));
    }
    tty.rocount = 0;
    flow::start(kernel, id);
}

/// Whether a message of the kernel fits: a little more than what processes may write (`ttycheckoutq`).
fn has_room(kernel: &mut Kernel, id: TtyId) -> bool {
    let tty = &kernel.ttys[id];
    let hiwat = tty.hiwat;
    if tty.outq.len() <= hiwat + OBUFSIZ + 100 {
        return true;
    }
    flow::start(kernel, id);
    kernel.ttys[id].outq.len() <= hiwat
}

fn status(kernel: &Kernel, id: TtyId) -> String {
    let load = (kernel.clock.load_average[0].saturating_mul(100) + FSCALE / 2) / FSCALE;
    let load = format!("load: {}.{:02} ", load / 100, load % 100);
    let tty = &kernel.ttys[id];
    let group = tty.pgrp.filter(|&group| kernel.procs.group_exists(group));
    let rest = match group {
        _ if tty.session.is_none() => "not a controlling terminal\n".to_owned(),
        None => "no foreground process group\n".to_owned(),
        Some(group) => {
            let members = &kernel.procs.group(group).members;
            let pick = members.iter().copied().reduce(|pick, other| interesting(kernel, pick, other));
            pick.map_or_else(|| "empty foreground process group\n".to_owned(), |pick| describe(kernel, pick))
        }
    };
    load + &rest
}

fn describe(kernel: &Kernel, id: ProcId) -> String {
    let proc = &kernel.procs[id];
    let doing = match (proc.state, &proc.asleep) {
        (Doing::Run, _) => "running",
        (_, Some(asleep)) => asleep.parked.sleep.wmesg,
        _ => "iowait",
    };
    let (user, system) = (proc.usage.user_ns, proc.usage.system_ns);
    let parts = |ns: u64| (ns / SECOND_NS, ns % SECOND_NS / (SECOND_NS / 100));
    let ((us, uc), (ss, sc)) = (parts(user), parts(system));
    // All that is mapped counts as resident.
    let bytes: u64 = match proc.state {
        Doing::Embryo | Doing::Zombie => 0,
        _ => proc.vm.space.regions().map(|region| u64::from(region.len)).sum(),
    };
    // Recent use in per cent: the priority's share stands for the average that the original keeps.
    let percent = proc.estcpu.min(crate::kernel::sched::ESTCPU_MAX) * 100 / crate::kernel::sched::ESTCPU_MAX;
    let comm = String::from_utf8_lossy(&proc.comm);
    format!(" cmd: {comm} {} [{doing}] {us}.{uc:02}u {ss}.{sc:02}s {percent}% {}k\n", proc.pid, bytes / 1024)
}

/// Which of two processes says more about what is going on (`proc_compare`).
fn interesting(kernel: &Kernel, a: ProcId, b: ProcId) -> ProcId {
    let (p, q) = (&kernel.procs[a], &kernel.procs[b]);
    let runs = |p: &Proc| matches!(p.state, Doing::Run | Doing::Embryo);
    let dead = |p: &Proc| p.state == Doing::Zombie;
    let sleeps_deeply = |p: &Proc| !p.flags.contains(Flags::SINTR);
    let better = match (runs(p), runs(q)) {
        (true, false) => false,
        (false, true) => true,
        (true, true) if p.estcpu != q.estcpu => q.estcpu > p.estcpu,
        (true, true) => q.pid > p.pid,
        (false, false) => match (dead(p), dead(q)) {
            (true, false) => true,
            (false, true) => false,
            (true, true) => q.pid > p.pid,
            (false, false) if p.slptime != q.slptime => q.slptime < p.slptime,
            (false, false) if sleeps_deeply(p) != sleeps_deeply(q) => sleeps_deeply(q),
            (false, false) => q.pid > p.pid,
        },
    };
    if better { b } else { a }
}
