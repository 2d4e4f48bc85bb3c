//! New processes.
//!
//! 2.1 counterpart: kern/kern_fork.c.

use std::cell::Cell;

use syscalls::errno::Errno;

use super::{Flags, Proc, ProcId, State, acct};
use crate::kernel::event::Event;
use crate::kernel::limits::Resource;
use crate::kernel::synch::{Channel, Sleep, priority, sleep};
use crate::kernel::time::{Itimer, Usage};
use crate::kernel::{Context, Resume, Sysret, file, ipc, vfs};
use crate::trapframe::{Gpr, eflags};

/// Makes a copy of the calling process; gives its number, and 0 for the second register of the parent.
/// After vfork the parent sleeps until the child has executed a program or ended.
pub fn fork1(cx: &mut Context<'_>, is_vfork: bool) -> Sysret<(u32, u32)> {
    let uid = cx.proc().cred.ruid;
    let total = cx.kernel.procs.len();
    let most = usize::try_from(cx.kernel.system.maxproc).unwrap_or(0);
    if total >= most || (total + 1 >= most && uid != 0) {
        return Err(Errno::EAGAIN.into());
    }
    if !cx.kernel.may_fork() {
        return Err(Errno::EAGAIN.into());
    }
    let count = cx.kernel.procs.change_count(uid, 1);
    if uid != 0 && count as i64 > cx.proc().limits.get(Resource::Nproc).cur {
        cx.kernel.procs.change_count(uid, -1);
        return Err(Errno::EAGAIN.into());
    }
    let vm = match cx.proc_mut().vm.fork() {
        Ok(vm) => vm,
        Err(e) => {
            cx.kernel.procs.change_count(uid, -1);
            return Err(e.into());
        }
    };
    let pid = cx.kernel.procs.next_pid();
    let fd = file::fd_copy(cx);
    let start = cx.kernel.clock.now();
    if let Some(text) = cx.proc().text {
        vfs::vref(cx.kernel, text);
    }
    let parent = cx.id;
    let of_parent = cx.proc();
    let mut flags = Flags::INMEM | (of_parent.flags & (Flags::SUGID | Flags::CONTROLT | Flags::PROFIL));
    flags.set(Flags::PPWAIT, is_vfork);
    let mut frame = of_parent.frame.clone();
    frame.set(Gpr::Eax, of_parent.pid as u32);
    frame.set(Gpr::Edx, 1);
    frame.eflags &= !eflags::CF;
    let [_, virtual_timer, profiling_timer] = of_parent.itimer;
    let mut sig = of_parent.sig.clone();
    (sig.pending, sig.stopped_by) = (0, 0);
    let child = Proc {
        pid,
        state: State::Embryo,
        flags,
        comm: of_parent.comm.clone(),
        frame,
        trap_error: 0,
        vm,
        fd,
        cred: of_parent.cred.clone(),
        limits: of_parent.limits.clone(),
        sig,
        parent: Some(parent),
        children: Vec::new(),
        original_parent: None,
        pgrp: of_parent.pgrp,
        xstat: 0,
        wchan: None,
        asleep: None,
        sleep_timeout: None,
        trace_stop: None,
        call: None,
        priority: of_parent.usrpri,
        usrpri: of_parent.usrpri,
        nice: of_parent.nice,
        // Its priority is the parent's until the next look at all priorities.
        estcpu: 0,
        slptime: 0,
        rtprio: of_parent.rtprio,
        usage: Usage::default(),
        children_usage: Usage::default(),
        itimer: [Itimer::default(), virtual_timer, profiling_timer],
        real_timeout: None,
        start,
        instructions: 0,
        profil: of_parent.profil,
        text: of_parent.text,
        older_program: of_parent.older_program,
        initial_fpcw: of_parent.initial_fpcw,
        cpticks: 0,
        pctcpu: 0,
        swtime: 0,
        acflag: Cell::new(acct::flag::FORK),
        image_generation: 0,
    };
    let child = cx.kernel.procs.insert(|_| child);
    ipc::fork(cx.kernel, child);
    cx.kernel.procs.join_group_after(parent, child);
    cx.proc_mut().children.insert(0, child);
    cx.kernel.counters.forks = cx.kernel.counters.forks.wrapping_add(1);
    cx.kernel.note(parent, Event::Fork { child: pid });
    cx.kernel.procs[child].state = State::Run;
    cx.kernel.set_run_queue(child);
    cx.kernel.account_memory();
    if is_vfork { wait_for_vfork(cx, child) } else { Ok((pid as u32, 0)) }
}

/// Sleeps until the child of vfork has executed a program or ended.  Signals wait.
pub(super) fn wait_for_vfork(cx: &mut Context<'_>, child: ProcId) -> Sysret<(u32, u32)> {
    let Some(proc) = cx.kernel.procs.get(child) else {
        // It cannot be gone: only this process could have waited for it.
        return Err(Errno::ECHILD.into());
    };
    if !proc.flags.contains(Flags::PPWAIT) {
        return Ok((proc.pid as u32, 0));
    }
    let channel = Channel::Proc(cx.id);
    sleep(
        Sleep { channel, priority: priority::PWAIT, catch: false, wmesg: "ppwait", timeout_ticks: None },
        Resume::Proc(super::Resume::Vfork(child)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Kernel;
    use crate::kernel::boot::Config;
    use crate::kernel::cred::Pcred;

    #[test]
    fn a_forked_process_has_used_nothing() {
        let mut kernel = Kernel::new(Config::bare());
        let id = kernel.first_process(Pcred::new(0, 0), b"root");
        kernel.procs[id].state = State::Run;
        (kernel.procs[id].estcpu, kernel.procs[id].usrpri) = (40, 60);
        let (pid, _) = fork1(&mut Context::new(&mut kernel, id), false).expect("there is room");
        let child = kernel.procs.iter().find(|(_, proc)| proc.pid as u32 == pid).expect("it is there").1;
        assert_eq!((child.estcpu, child.usrpri, child.priority), (0, 60, 60));
    }
}
