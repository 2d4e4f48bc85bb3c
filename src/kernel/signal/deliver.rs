//! Acting on a signal: the handler's frame, or the end of the process.
//!
//! 2.1 counterpart: kern/kern_sig.c (postsig, trapsignal, sigexit), i386/i386/machdep.c (sendsig).

use syscalls::layout::{Sigcontext, Sigframe};
use syscalls::signal::Properties;
use zerocopy::IntoBytes;

use super::{Action, SA_ONSTACK, SIGILL, properties, psignal, sigmask};
use crate::kernel::event::Event;
use crate::kernel::proc::{Flags, ProcId, acct, core, exit};
use crate::kernel::{Context, Kernel, Stop, syscall, vm};
use crate::trapframe::{Gpr, Seg, USER_CODE, USER_DATA, eflags};

/// Delivers a signal that a trap of the process itself caused: at once where it is caught and not
/// blocked, with its code; else as any other.
pub fn trapsignal(kernel: &mut Kernel, id: ProcId, signal: u32, code: u32) {
    let bit = sigmask(signal);
    let proc = &mut kernel.procs[id];
    let caught = proc.sig.catch & bit != 0 && proc.sig.mask & bit == 0;
    if let Action::Catch(handler) = proc.sig.action[signal as usize]
        && caught
        && !proc.flags.contains(Flags::TRACED)
    {
        proc.usage.nsignals += 1;
        let mask = proc.sig.mask;
        note(kernel, id, Noted { signal, code, handler, mask, trap: true });
        sendsig(kernel, id, handler, signal, mask, code);
        let sig = &mut kernel.procs[id].sig;
        sig.mask |= sig.catchmask[signal as usize] | bit;
    } else {
        // As in the original the signal to which the code belongs is not noted; a handler finds 0.
        proc.sig.code = code;
        psignal(kernel, id, signal);
    }
}

/// Takes the action for a signal that issignal gave.
pub fn postsig(kernel: &mut Kernel, id: ProcId, signal: u32) {
    let bit = sigmask(signal);
    let proc = &mut kernel.procs[id];
    proc.sig.pending &= !bit;
    let Action::Catch(handler) = proc.sig.action[signal as usize] else {
        sigexit(kernel, id, signal);
        return;
    };
    let return_mask = proc.sig.oldmask.take().unwrap_or(proc.sig.mask);
    proc.sig.mask |= proc.sig.catchmask[signal as usize] | bit;
    proc.usage.nsignals += 1;
    let code = if proc.sig.sig == signal { std::mem::take(&mut proc.sig.code) } else { 0 };
    note(kernel, id, Noted { signal, code, handler, mask: return_mask, trap: false });
    sendsig(kernel, id, handler, signal, return_mask, code);
}

/// Ends the process by a signal, with a core file where the signal asks for one.
pub fn sigexit(kernel: &mut Kernel, id: ProcId, signal: u32) {
    let mut status = signal as i32;
    kernel.procs[id].account(acct::flag::SIGNAL);
    let sig = &kernel.procs[id].sig;
    let noted =
        Noted { signal, code: sig.code, handler: 0, mask: sig.oldmask.unwrap_or(sig.mask), trap: false };
    note(kernel, id, noted);
    if properties(signal).contains(Properties::CORE) {
        kernel.procs[id].sig.sig = signal;
        if core::coredump(kernel, id) {
            status |= 0x80;
        }
    }
    if let Err(Stop::Park(parked)) = exit::exit1(&mut Context::new(kernel, id), status) {
        syscall::park(kernel, id, parked);
    }
}

/// A signal that is acted on, for the observer.
struct Noted {
    signal: u32,
    code: u32,
    handler: u32,
    mask: u32,
    trap: bool,
}

/// Tells the observer of a signal that is acted on.
fn note(kernel: &mut Kernel, id: ProcId, noted: Noted) {
    let Noted { signal, code, handler, mask, trap } = noted;
    let proc = &kernel.procs[id];
    let (address, eip) = (proc.trap_error, proc.frame.eip);
    kernel.note(id, Event::SignalDelivered { signal, code, handler, mask, trap, address, eip });
}

/// Builds the handler's frame on the user's stack and lets the process go on in the trampoline.
fn sendsig(kernel: &mut Kernel, id: ProcId, handler: u32, signal: u32, mask: u32, code: u32) {
    let size = size_of::<Sigframe>() as u32;
    let proc = &mut kernel.procs[id];
    let on_stack = proc.sig.sigstk.flags & SA_ONSTACK;
    let alternate = proc.sig.altstack && on_stack == 0 && proc.sig.onstack & sigmask(signal) != 0;
    let at = if alternate {
        proc.sig.sigstk.flags |= SA_ONSTACK;
        proc.sig.sigstk.sp.wrapping_add(proc.sig.sigstk.size).wrapping_sub(size)
    } else {
        proc.frame.get(Gpr::Esp).wrapping_sub(size)
    };
    let frame = &proc.frame;
    let seg = |s: Seg| u32::from(frame.seg[s as usize]);
    let sigframe = Sigframe {
        signum: (signal as i32).into(),
        code: code.into(),
        scp: at.wrapping_add(std::mem::offset_of!(Sigframe, sc) as u32).into(),
        addr: proc.trap_error.into(),
        handler: handler.into(),
        sc: Sigcontext {
            onstack: (on_stack as i32).into(),
            mask: mask.into(),
            esp: frame.get(Gpr::Esp).into(),
            ebp: frame.get(Gpr::Ebp).into(),
            isp: 0.into(),
            eip: frame.eip.into(),
            efl: frame.eflags.into(),
            es: seg(Seg::Es).into(),
            ds: seg(Seg::Ds).into(),
            cs: seg(Seg::Cs).into(),
            ss: seg(Seg::Ss).into(),
            edi: frame.get(Gpr::Edi).into(),
            esi: frame.get(Gpr::Esi).into(),
            ebx: frame.get(Gpr::Ebx).into(),
            edx: frame.get(Gpr::Edx).into(),
            ecx: frame.get(Gpr::Ecx).into(),
            eax: frame.get(Gpr::Eax).into(),
        },
    };
    let writable =
        vm::grow(kernel, id, at) && kernel.procs[id].vm.space.copyout(at, sigframe.as_bytes()).is_ok();
    let proc = &mut kernel.procs[id];
    if !writable {
        // The process has no stack left to run a handler on.
        let bit = sigmask(SIGILL);
        proc.sig.action[SIGILL as usize] = Action::Default;
        proc.sig.ignore &= !bit;
        proc.sig.catch &= !bit;
        proc.sig.mask &= !bit;
        psignal(kernel, id, SIGILL);
        return;
    }
    proc.frame.set(Gpr::Esp, at);
    proc.frame.eip = vm::SIGCODE;
    proc.frame.eflags &= !eflags::VM;
    proc.frame.seg[Seg::Cs as usize] = USER_CODE;
    for s in [Seg::Ds, Seg::Es, Seg::Ss] {
        proc.frame.seg[s as usize] = USER_DATA;
    }
}
