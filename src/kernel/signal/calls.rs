//! Calls on signals.
//!
//! 2.1 counterpart: kern/kern_sig.c, i386/i386/machdep.c (sigreturn).

use syscalls::arg::{In, Out, Pid};
use syscalls::errno::Errno;
use syscalls::flags::SigHow;
use syscalls::layout::{self, MINSIGSTKSZ, Sigaction, Sigcontext, Sigframe, Sigstack, Sigvec};
use syscalls::signal::{Properties, SigSet, Signum};

use super::{
    Action, CANT_MASK, NSIG, SA_DISABLE, SA_NOCLDSTOP, SA_ONSTACK, SA_RESTART, SIGBUS, SIGCHLD, SIGCONT,
    SIGKILL, SIGSTOP, Sigaltstack, can_signal, properties, psignal, sigmask, trapsignal,
};
use crate::kernel::proc::{Flags, ProcId, State};
use crate::kernel::synch::{Channel, Sleep, priority, sleep};
use crate::kernel::{Context, Resume, Stop, Sysret};
use crate::mem::Prot;
use crate::trapframe::{Gpr, Seg, eflags};

/// Code of a protection fault (T_PROTFLT).
const T_PROTFLT: u32 = 9;

/// Sets and gives the action of a signal.  The old one is stored before the new one is read.
pub fn sigaction(
    cx: &mut Context<'_>,
    signum: Signum,
    act: In<Sigaction>,
    oact: Out<Sigaction>,
) -> Sysret<()> {
    let signal = changeable(signum)?;
    if !oact.is_null() {
        let (handler, mask) = action_words(cx, signal);
        let flags = action_flags(cx, signal);
        cx.write(
            oact.addr(),
            &Sigaction { handler: handler.into(), mask: mask.into(), flags: flags.into() },
        )?;
    }
    if !act.is_null() {
        let new: Sigaction = cx.read(act.addr())?;
        set_action(cx, signal, new.handler.get(), new.mask.get(), new.flags.get());
    }
    Ok(())
}

/// The older form of sigaction: the flag of restarting has the opposite meaning.
pub fn osigvec(cx: &mut Context<'_>, signum: Signum, vec: In<Sigvec>, ovec: Out<Sigvec>) -> Sysret<()> {
    let signal = changeable(signum)?;
    if !ovec.is_null() {
        let (handler, mask) = action_words(cx, signal);
        let flags = action_flags(cx, signal) ^ SA_RESTART;
        cx.write(ovec.addr(), &Sigvec { handler: handler.into(), mask: mask.into(), flags: flags.into() })?;
    }
    if !vec.is_null() {
        let new: Sigvec = cx.read(vec.addr())?;
        set_action(cx, signal, new.handler.get(), new.mask.get(), new.flags.get() ^ SA_RESTART);
    }
    Ok(())
}

/// A signal whose action can be asked for and changed.
fn changeable(signum: Signum) -> Result<u32, Errno> {
    match signum.0 {
        0 | SIGKILL | SIGSTOP | NSIG.. => Err(Errno::EINVAL),
        signal => Ok(signal),
    }
}

fn action_words(cx: &Context<'_>, signal: u32) -> (u32, u32) {
    let sig = &cx.proc().sig;
    (sig.action[signal as usize].word(), sig.catchmask[signal as usize])
}

/// The flags of an action; SA_NOCLDSTOP is one flag of the process and shows for every signal.
fn action_flags(cx: &Context<'_>, signal: u32) -> u32 {
    let bit = sigmask(signal);
    let proc = cx.proc();
    let mut flags = 0;
    if proc.sig.onstack & bit != 0 {
        flags |= SA_ONSTACK;
    }
    if proc.sig.intr & bit == 0 {
        flags |= SA_RESTART;
    }
    if proc.flags.contains(Flags::NOCLDSTOP) {
        flags |= SA_NOCLDSTOP;
    }
    flags
}

/// Sets an action (`setsigvec`).  A signal that is now ignored and pending is gone.
fn set_action(cx: &mut Context<'_>, signal: u32, handler: u32, mask: u32, flags: u32) {
    let bit = sigmask(signal);
    let set = |word: &mut u32, on: bool| *word = if on { *word | bit } else { *word & !bit };
    let proc = cx.proc_mut();
    if signal == SIGCHLD {
        proc.flags.set(Flags::NOCLDSTOP, flags & SA_NOCLDSTOP != 0);
    }
    let action = Action::from_word(handler);
    let sig = &mut proc.sig;
    sig.action[signal as usize] = action;
    sig.catchmask[signal as usize] = mask & !CANT_MASK;
    set(&mut sig.intr, flags & SA_RESTART == 0);
    set(&mut sig.onstack, flags & SA_ONSTACK != 0);
    let ignored = match action {
        Action::Ignore => true,
        Action::Default => properties(signal).contains(Properties::IGNORE),
        Action::Catch(_) => false,
    };
    if ignored {
        sig.pending &= !bit;
    }
    // SIGCONT is never marked as ignored: it must continue the process all the same.
    if !ignored || signal != SIGCONT {
        set(&mut sig.ignore, ignored);
    }
    set(&mut sig.catch, matches!(action, Action::Catch(_)));
}

/// Changes the mask; gives the old one.
pub fn sigprocmask(cx: &mut Context<'_>, how: SigHow, mask: SigSet) -> Sysret<SigSet> {
    let sig = &mut cx.proc_mut().sig;
    let old = sig.mask;
    sig.mask = match how {
        SigHow::Block => old | (mask.0 & !CANT_MASK),
        SigHow::Unblock => old & !mask.0,
        SigHow::Setmask => mask.0 & !CANT_MASK,
        SigHow::Other(_) => return Err(Errno::EINVAL.into()),
    };
    Ok(SigSet(old))
}

/// Adds to the mask; gives the old one.
pub fn osigblock(cx: &mut Context<'_>, mask: SigSet) -> Sysret<SigSet> {
    sigprocmask(cx, SigHow::Block, mask)
}

/// Sets the mask; gives the old one.
pub fn osigsetmask(cx: &mut Context<'_>, mask: SigSet) -> Sysret<SigSet> {
    sigprocmask(cx, SigHow::Setmask, mask)
}

/// The pending signals.
pub fn sigpending(cx: &mut Context<'_>) -> Sysret<SigSet> {
    Ok(SigSet(cx.proc().sig.pending))
}

/// Waits for a signal under another mask; the old one comes back after the handler.
pub fn sigsuspend(cx: &mut Context<'_>, mask: SigSet) -> Sysret<()> {
    let sig = &mut cx.proc_mut().sig;
    sig.oldmask = Some(sig.mask);
    sig.mask = mask.0 & !CANT_MASK;
    wait_for_signal(cx)
}

/// The sleep of sigsuspend, which only a signal ends.
pub(super) fn wait_for_signal<T>(cx: &mut Context<'_>) -> Sysret<T> {
    let channel = Channel::Pause(cx.id);
    sleep(
        Sleep { channel, priority: priority::PPAUSE, catch: true, wmesg: "pause", timeout_ticks: None },
        Resume::Signal(super::Resume::Sigsuspend),
    )
}

/// Sets and gives the alternate stack.
pub fn sigaltstack(
    cx: &mut Context<'_>,
    ss: In<layout::Sigaltstack>,
    oss: Out<layout::Sigaltstack>,
) -> Sysret<()> {
    let sig = &mut cx.proc_mut().sig;
    if !sig.altstack {
        sig.sigstk.flags |= SA_DISABLE;
    }
    let old = sig.sigstk;
    if !oss.is_null() {
        let old = layout::Sigaltstack {
            sp: old.sp.into(),
            size: (old.size as i32).into(),
            flags: old.flags.into(),
        };
        cx.write(oss.addr(), &old)?;
    }
    if ss.is_null() {
        return Ok(());
    }
    let new: layout::Sigaltstack = cx.read(ss.addr())?;
    let flags = new.flags.get();
    let sig = &mut cx.proc_mut().sig;
    if flags & SA_DISABLE != 0 {
        if sig.sigstk.flags & SA_ONSTACK != 0 {
            return Err(Errno::EINVAL.into());
        }
        sig.altstack = false;
        sig.sigstk.flags = flags;
        return Ok(());
    }
    if new.size.get() < MINSIGSTKSZ {
        return Err(Errno::ENOMEM.into());
    }
    sig.altstack = true;
    sig.sigstk = Sigaltstack { sp: new.sp.get(), size: new.size.get() as u32, flags };
    Ok(())
}

/// The older form of sigaltstack: the address is the top, and the bit of use can be set but not cleared.
pub fn osigstack(cx: &mut Context<'_>, ss: In<Sigstack>, oss: Out<Sigstack>) -> Sysret<()> {
    let old = cx.proc().sig.sigstk;
    if !oss.is_null() {
        let onstack = (old.flags & SA_ONSTACK) as i32;
        cx.write(oss.addr(), &Sigstack { sp: old.sp.into(), onstack: onstack.into() })?;
    }
    if !ss.is_null() {
        let new: Sigstack = cx.read(ss.addr())?;
        let sig = &mut cx.proc_mut().sig;
        sig.sigstk.sp = new.sp.get();
        sig.sigstk.size = 0;
        sig.sigstk.flags |= new.onstack.get() as u32 & SA_ONSTACK;
        sig.altstack = true;
    }
    Ok(())
}

/// Goes back to what a handler interrupted: registers, mask and stack are those of its frame.
pub fn sigreturn(cx: &mut Context<'_>, scp: In<Sigcontext>) -> Sysret<()> {
    let size = size_of::<Sigframe>() as u32;
    let frame = scp.addr().wrapping_sub(std::mem::offset_of!(Sigframe, sc) as u32);
    if !cx.useracc(frame, size, Prot::WRITE) {
        return Err(Errno::EINVAL.into());
    }
    let sc: Sigcontext = cx.read(scp.addr())?;
    let flags = sc.efl.get();
    if (flags ^ cx.proc().frame.eflags) & !(eflags::USER_CHANGE | eflags::RF) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let code = sc.cs.get() as u16;
    if code & 3 != 3 {
        trapsignal(cx.kernel, cx.id, SIGBUS, T_PROTFLT);
        return Err(Errno::EINVAL.into());
    }
    let proc = cx.proc_mut();
    let sig = &mut proc.sig;
    sig.sigstk.flags = (sig.sigstk.flags & !SA_ONSTACK) | (sc.onstack.get() as u32 & SA_ONSTACK);
    sig.mask = sc.mask.get() & !(CANT_MASK | sigmask(SIGCONT));
    let registers = [
        (Gpr::Eax, sc.eax),
        (Gpr::Ecx, sc.ecx),
        (Gpr::Edx, sc.edx),
        (Gpr::Ebx, sc.ebx),
        (Gpr::Esp, sc.esp),
        (Gpr::Ebp, sc.ebp),
        (Gpr::Esi, sc.esi),
        (Gpr::Edi, sc.edi),
    ];
    for (register, value) in registers {
        proc.frame.set(register, value.get());
    }
    for (segment, value) in [(Seg::Cs, sc.cs), (Seg::Ds, sc.ds), (Seg::Es, sc.es), (Seg::Ss, sc.ss)] {
        proc.frame.seg[segment as usize] = value.get() as u16;
    }
    proc.frame.eip = sc.eip.get();
    proc.frame.eflags = flags;
    Err(Stop::JustReturn)
}

/// Sends a signal to a process, a group, or (-1) everybody else that it may be sent to.
pub fn kill(cx: &mut Context<'_>, pid: Pid, signum: Signum) -> Sysret<()> {
    let signal = sendable(signum)?;
    match pid.0 {
        -1 => broadcast(cx, signal),
        pid @ 1.. => {
            let to = cx.kernel.procs.find(pid).ok_or(Errno::ESRCH)?;
            if !can_signal(cx.kernel, cx.id, to, signal) {
                return Err(Errno::EPERM.into());
            }
            send(cx, to, signal);
            Ok(())
        }
        group => kill_group(cx, group.wrapping_neg(), signal),
    }
}

/// Sends a signal to a group.
pub fn okillpg(cx: &mut Context<'_>, pgid: Pid, signum: Signum) -> Sysret<()> {
    let signal = sendable(signum)?;
    kill_group(cx, pgid.0, signal)
}

/// A signal that can be sent; zero only asks whether it could be.
fn sendable(signum: Signum) -> Result<u32, Errno> {
    if signum.0 < NSIG { Ok(signum.0) } else { Err(Errno::EINVAL) }
}

fn send(cx: &mut Context<'_>, to: ProcId, signal: u32) {
    if signal != 0 {
        psignal(cx.kernel, to, signal);
    }
}

fn broadcast(cx: &mut Context<'_>, signal: u32) -> Sysret<()> {
    let living = |id: &ProcId| cx.kernel.procs[*id].state != State::Zombie && *id != cx.id;
    let others = cx.kernel.procs.ids().iter().copied().filter(living).collect();
    send_to_all(cx, others, signal)
}

/// Sends a signal to the members of a group; zero means the own one.
fn kill_group(cx: &mut Context<'_>, pgid: i32, signal: u32) -> Sysret<()> {
    let group = match pgid {
        0 => cx.proc().pgrp,
        pgid => cx.kernel.procs.find_group(pgid).ok_or(Errno::ESRCH)?,
    };
    let living = |id: &ProcId| cx.kernel.procs[*id].state != State::Zombie;
    let members = cx.kernel.procs.group(group).members.iter().copied().filter(living).collect();
    send_to_all(cx, members, signal)
}

/// Sends a signal to those that it may be sent to; ESRCH where there are none, whatever the reason.
fn send_to_all(cx: &mut Context<'_>, targets: Vec<ProcId>, signal: u32) -> Sysret<()> {
    let mut found = false;
    for to in targets {
        let Some(target) = cx.kernel.procs.get(to) else { continue };
        let system = target.pid <= 1 || target.flags.contains(Flags::SYSTEM);
        if !system && can_signal(cx.kernel, cx.id, to, signal) {
            found = true;
            send(cx, to, signal);
        }
    }
    if found { Ok(()) } else { Err(Errno::ESRCH.into()) }
}
