//! The end of a process, and what its parent learns of it.
//!
//! 2.1 counterpart: kern/kern_exit.c (exit1, wait1, proc_reparent).

use syscalls::errno::Errno;
use syscalls::flags::WaitOptions;

use super::{Flags, ProcId, State, acct, fix_jobc, leader, leave_pgrp};
use crate::kernel::event::Event;
use crate::kernel::signal::{SIGCHLD, SIGKILL, psignal};
use crate::kernel::synch::{Channel, Parked, Sleep, Wake, priority, sleep};
use crate::kernel::time::Usage;
use crate::kernel::{Context, Kernel, Resume, Stop, Sysret, file, syscall, time, tty, vfs, vm};

/// Any child.
pub const WAIT_ANY: i32 = -1;

/// Ends a process with a wait status: what it holds is released, its children go to process 1, its parent
/// is told.
pub fn exit1(cx: &mut Context<'_>, status: i32) -> Sysret<()> {
    let proc = cx.proc_mut();
    proc.flags.remove(Flags::TRACED | Flags::PPWAIT);
    proc.flags.insert(Flags::WEXIT);
    proc.sig.ignore = !0;
    proc.sig.pending = 0;
    let (real_timer, sleep_timer) = (proc.real_timeout.take(), proc.sleep_timeout.take());
    for key in [real_timer, sleep_timer].into_iter().flatten() {
        cx.kernel.timeouts.remove(&key);
    }
    close_files(cx, status)
}

/// Closes everything; the last close of a terminal waits for its output, and a connection may linger.
fn close_files(cx: &mut Context<'_>, status: i32) -> Sysret<()> {
    let closed = file::fd_free(cx);
    later(closed, status, Stage::Files)?;
    crate::kernel::ipc::exit(cx);
    vm::faults::note(cx.proc_mut());
    cx.proc_mut().vm.release();
    let group = cx.proc().pgrp;
    if !cx.proc().is_session_leader(&cx.kernel.procs) {
        finish(cx, status);
        return Ok(());
    }
    match tty::session_ends(cx.kernel, group) {
        Some(terminal) => {
            let drained = tty::drain_output(cx.kernel, terminal);
            later(drained, status, Stage::Terminal)?;
            leave_session(cx, status, true);
        }
        None => leave_session(cx, status, false),
    }
    Ok(())
}

/// What an exit that sleeps goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Files are being closed.
    Files,
    /// The output of the session's terminal has to go out.
    Terminal,
}

/// An exit that sleeps goes on later.
fn later(result: Sysret<()>, status: i32, stage: Stage) -> Sysret<()> {
    match result {
        Err(Stop::Park(parked)) => {
            let Parked { sleep: how, resume } = *parked;
            let state = Box::new(resume);
            sleep(how, Resume::Proc(super::Resume::Exit { status, stage, state }))
        }
        _ => Ok(()),
    }
}

/// Goes on with an exit after a sleep.
pub(super) fn resume(
    cx: &mut Context<'_>,
    status: i32,
    stage: Stage,
    state: Resume,
    wake: Wake,
) -> Sysret<()> {
    let result = syscall::go_on(cx, state, wake).map(|_| ());
    later(result, status, stage)?;
    match stage {
        Stage::Files => close_files(cx, status),
        Stage::Terminal => {
            leave_session(cx, status, true);
            Ok(())
        }
    }
}

/// The leader of a session leaves it without a terminal.
fn leave_session(cx: &mut Context<'_>, status: i32, revoke: bool) {
    let group = cx.proc().pgrp;
    tty::session_ended(cx, group, revoke);
    cx.kernel.procs.session_mut(group).leader = None;
    finish(cx, status);
}

/// The rest, when nothing is held any more: children and parent learn of it.
fn finish(cx: &mut Context<'_>, status: i32) {
    let id = cx.id;
    let kernel = &mut *cx.kernel;
    let group = kernel.procs[id].pgrp;
    fix_jobc(kernel, id, group, false);
    acct::process_ends(kernel, id);
    kernel.unsleep(id);
    kernel.remove_from_run_queue(id);
    if kernel.run_queues.current == Some(id) {
        kernel.run_queues.current = None;
    }
    let proc = &mut kernel.procs[id];
    proc.state = State::Zombie;
    proc.asleep = None;
    proc.xstat = status;
    let text = proc.text.take();
    let children = std::mem::take(&mut proc.children);
    if let Some(vnode) = text {
        vfs::vrele(kernel, vnode);
    }
    for child in children {
        orphan(kernel, child);
    }
    kernel.note(id, Event::Exit { status });
    if let Some(parent) = kernel.procs[id].parent {
        psignal(kernel, parent, SIGCHLD);
        kernel.wakeup(Channel::Proc(parent));
        if leader::is_ours(kernel, parent) {
            // Process 1 and the session leader wait for whatever ends.
            reap(kernel, parent, id);
        }
    }
}

/// Gives a child of a dead process to process 1.
fn orphan(kernel: &mut Kernel, child: ProcId) {
    kernel.procs[child].parent = kernel.init;
    if let Some(init) = kernel.init {
        kernel.procs[init].children.insert(0, child);
        if kernel.procs[child].state == State::Zombie {
            reap(kernel, init, child);
            return;
        }
    }
    let proc = &mut kernel.procs[child];
    if proc.flags.contains(Flags::TRACED) {
        // Its tracer is gone.
        proc.flags.remove(Flags::TRACED);
        psignal(kernel, child, SIGKILL);
    }
}

/// Moves a process to another parent.
pub fn reparent(kernel: &mut Kernel, child: ProcId, parent: ProcId) {
    let old = kernel.procs[child].parent;
    if old == Some(parent) {
        return;
    }
    if let Some(old) = old {
        kernel.procs[old].children.retain(|&c| c != child);
    }
    kernel.procs[parent].children.insert(0, child);
    kernel.procs[child].parent = Some(parent);
}

/// Takes a zombie away that has been waited for; the machine learns of those that processes of ours reap.
fn reap(kernel: &mut Kernel, parent: ProcId, child: ProcId) {
    let usage = total_usage(kernel, child);
    kernel.procs[parent].children_usage.add(&usage);
    kernel.procs[parent].children.retain(|&c| c != child);
    leave_pgrp(kernel, child);
    if let Some(dead) = kernel.procs.remove(child) {
        kernel.procs.change_count(dead.cred.ruid, -1);
        if leader::is_ours(kernel, parent) {
            leader::note_end(kernel, child);
            kernel.reaped.push((dead.pid, dead.xstat));
        }
    }
}

/// Usage of a dead process and of the children that it waited for.
fn total_usage(kernel: &Kernel, id: ProcId) -> Usage {
    let proc = &kernel.procs[id];
    let mut usage = proc.usage;
    usage.add(&proc.children_usage);
    usage
}

/// A wait in progress.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// Which children: [`WAIT_ANY`], a process, or a group as its negative.
    pub pid: i32,
    /// Where the status goes; zero for nowhere.  The old call returns it in edx.
    pub status: Status,
    /// Whether to wait, and for what.
    pub options: WaitOptions,
    /// Where the usage goes; zero for nowhere.
    pub rusage: u32,
}

/// Where wait puts the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Guest memory; zero for nowhere.
    Memory(u32),
    /// The second result register (the old call).
    Register,
}

/// Looks for a child that has ended or stopped, and sleeps until there is one; gives its number and, for
/// the old call, its status.
pub fn wait1(cx: &mut Context<'_>, waiting: Waiting) -> Sysret<(u32, Option<u32>)> {
    let pgid = |cx: &Context<'_>, id: ProcId| cx.kernel.procs.group(cx.kernel.procs[id].pgrp).pgid;
    let waiting = if waiting.pid == 0 { Waiting { pid: -pgid(cx, cx.id), ..waiting } } else { waiting };
    let mut found = false;
    for child in cx.proc().children.clone() {
        let pid = cx.kernel.procs[child].pid;
        let group = pgid(cx, child);
        if waiting.pid != WAIT_ANY && pid != waiting.pid && group != waiting.pid.wrapping_neg() {
            continue;
        }
        found = true;
        let proc = &cx.kernel.procs[child];
        if proc.state == State::Zombie {
            return collect(cx, child, waiting);
        }
        let wanted = proc.flags.contains(Flags::TRACED) || waiting.options.contains(WaitOptions::UNTRACED);
        if proc.state == State::Stop && !proc.flags.contains(Flags::WAITED) && wanted {
            let status = (proc.xstat << 8) | 0x7f;
            cx.kernel.procs[child].flags.insert(Flags::WAITED);
            return Ok((pid as u32, store_status(cx, waiting.status, status)?));
        }
    }
    if !found {
        return Err(Errno::ECHILD.into());
    }
    if waiting.options.contains(WaitOptions::NOHANG) {
        return Ok((0, None));
    }
    let channel = Channel::Proc(cx.id);
    sleep(
        Sleep { channel, priority: priority::PWAIT, catch: true, wmesg: "wait", timeout_ticks: None },
        Resume::Proc(super::Resume::Wait(waiting)),
    )
}

fn store_status(cx: &mut Context<'_>, to: Status, status: i32) -> Result<Option<u32>, Errno> {
    match to {
        Status::Register => Ok(Some(status as u32)),
        Status::Memory(0) => Ok(None),
        Status::Memory(address) => cx.copyout(address, &status.to_le_bytes()).map(|()| None),
    }
}

fn collect(cx: &mut Context<'_>, child: ProcId, waiting: Waiting) -> Sysret<(u32, Option<u32>)> {
    let (pid, status, estcpu) = {
        let proc = &cx.kernel.procs[child];
        (proc.pid, proc.xstat, proc.estcpu)
    };
    let proc = cx.proc_mut();
    proc.estcpu = (proc.estcpu + estcpu).min(255);
    let register = store_status(cx, waiting.status, status)?;
    if waiting.rusage != 0 {
        let usage = time::rusage(&total_usage(cx.kernel, child));
        cx.write(waiting.rusage, &usage)?;
    }
    // A child that a debugger attached goes back to its own parent.
    let original = cx.kernel.procs[child].original_parent.take();
    if let Some(parent) = original.filter(|&p| cx.kernel.procs.get(p).is_some()) {
        reparent(cx.kernel, child, parent);
        psignal(cx.kernel, parent, SIGCHLD);
        cx.kernel.wakeup(Channel::Proc(parent));
    } else {
        reap(cx.kernel, cx.id, child);
    }
    Ok((pid as u32, register))
}
