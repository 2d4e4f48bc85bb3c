//! Calls on processes.

use syscalls::arg::{ArgVec, EnvVec, GuestAddr, Int, Out, Path, Pid};
use syscalls::flags::{KtrFacilities, KtrOp, PtraceReq, WaitOptions};
use syscalls::layout::{Rusage, WaitStatus};

pub use super::acct::acct;
pub use super::jobs::{getpgrp, setpgid, setsid};
pub use super::priority::{getpriority, rtprio, setpriority};
pub use super::resource::{getrlimit, getrusage, ogetrlimit, osetrlimit, profil, setrlimit};

use super::exec::{self, Strings};
use super::exit::{self, Status, Waiting};
use super::fork::fork1;
use crate::kernel::event::Event;
use crate::kernel::{Context, Stop, Sysret};

/// Makes a copy of the process.
pub fn fork(cx: &mut Context<'_>) -> Sysret<(u32, u32)> {
    fork1(cx, false)
}

/// Makes a copy of the process and waits until it has executed a program or ended.
pub fn vfork(cx: &mut Context<'_>) -> Sysret<(u32, u32)> {
    fork1(cx, true)
}

/// Ends the process.
pub fn exit(cx: &mut Context<'_>, status: Int) -> Sysret<()> {
    exit::exit1(cx, (status & 0xff) << 8)?;
    Err(Stop::JustReturn)
}

/// Executes a program.
pub fn execve(cx: &mut Context<'_>, path: Path, argv: ArgVec, envv: EnvVec) -> Sysret<()> {
    let name = exec::read_path(cx, path.0)?;
    let strings = Strings::Guest { path: path.0, argv: argv.0, envv: envv.0 };
    match exec::execve(cx, &name, strings) {
        Ok(closed) => closed.and(Err(Stop::JustReturn)),
        Err(e) => {
            let errno = e.errno();
            cx.kernel.note(cx.id, Event::ExecRefused { reason: e.to_string() });
            Err(errno.into())
        }
    }
}

/// Waits for a child to end or stop.
pub fn wait4(
    cx: &mut Context<'_>,
    pid: Pid,
    status: Out<WaitStatus>,
    options: WaitOptions,
    rusage: Out<Rusage>,
) -> Sysret<i32> {
    let status = Status::Memory(status.addr());
    let waiting = Waiting { pid: pid.0, status, options, rusage: rusage.addr() };
    exit::wait1(cx, waiting).map(|(pid, _)| pid as i32)
}

/// Waits for a child to end; its status is the second result.
pub fn owait(cx: &mut Context<'_>) -> Sysret<(u32, u32)> {
    let waiting =
        Waiting { pid: exit::WAIT_ANY, status: Status::Register, options: WaitOptions::empty(), rusage: 0 };
    exit::wait1(cx, waiting).map(|(pid, status)| (pid, status.unwrap_or(0)))
}

/// The process's number, and its parent's as the second result.
pub fn getpid(cx: &mut Context<'_>) -> Sysret<(u32, u32)> {
    let parent = parent_pid(cx);
    Ok((cx.proc().pid as u32, parent))
}

/// The number of the process's parent.
pub fn getppid(cx: &mut Context<'_>) -> Sysret<i32> {
    Ok(parent_pid(cx) as i32)
}

fn parent_pid(cx: &Context<'_>) -> u32 {
    cx.proc().parent.and_then(|id| cx.kernel.procs.get(id)).map_or(0, |p| p.pid as u32)
}

/// Turns recording of calls on or off.
pub fn ktrace(cx: &mut Context<'_>, path: Path, ops: KtrOp, facs: KtrFacilities, pid: Pid) -> Sysret<()> {
    Ok(crate::kernel::ktrace::ktrace(cx, path, ops, facs, pid)?)
}

/// Watches and changes a child; what it reads is the result.
pub fn ptrace(cx: &mut Context<'_>, request: PtraceReq, pid: Pid, addr: GuestAddr, data: Int) -> Sysret<i32> {
    super::ptrace::ptrace(cx, request, pid.0, addr.0, data)
}
