//! The system-call gate: argument words in, result registers out, and the one match over the table.
//!
//! 2.1 counterpart: i386/i386/trap.c (syscall).

use syscalls::errno::Errno;
use syscalls::result::Ret;
use syscalls::row::*;

use super::event::{Event, Outcome};
use super::intercept::{self, Delayed};
use super::proc::{Proc, ProcId, State};
use super::signal::{SIGSYS, psignal};
use super::sleep::Slept;
use super::synch::{Parked, Resume, Retval, Stop, Sysret, Wake};
use super::{Context, Kernel, file, ipc, proc, signal, socket, tty, vfs};
use crate::trapframe::{Gpr, Trapframe, eflags};

/// Bytes of `lcall $7,$0`; a restarted call goes back by as much.
const LCALL_LEN: u32 = 7;
/// Most argument words of a call.
pub const MAX_WORDS: usize = 8;
/// The indirect call.
const SYS_SYSCALL: u32 = 0;
/// The indirect call whose number is 64 bits wide.
const SYS_QUAD_SYSCALL: u32 = 198;

/// A call in progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Its number; after an indirect call that of the call meant.
    pub number: u32,
    /// Its argument words.
    pub words: [u32; MAX_WORDS],
    /// Address of the gate instruction.
    pub eip: u32,
}

/// Serves `lcall $7,$0`; true where the process has gone back to its program already, as nearly all do.
pub(super) fn syscall(kernel: &mut Kernel, id: ProcId) -> bool {
    kernel.counters.calls = kernel.counters.calls.wrapping_add(1);
    let proc = &mut kernel.procs[id];
    proc.trap_error = 0;
    let mut call = Call::default();
    let copied = read_call(proc, &mut call);
    let result = match copied {
        Ok(()) if !kernel.observed() => dispatch(&mut Context::new(kernel, id), &call),
        _ => announce(kernel, id, &call, copied),
    };
    match result {
        Err(Stop::Park(parked)) => {
            park_call(kernel, id, call, parked);
            false
        }
        other => finish(kernel, id, &call, other),
    }
}

/// Makes a call of which an observer wants to know, and which he may make up; or one that fails because its
/// words could not be read.
#[cold]
fn announce(kernel: &mut Kernel, id: ProcId, call: &Call, copied: Result<(), Errno>) -> Sysret<Retval> {
    let intercept = if kernel.observed() {
        kernel.procs[id].call = Some(*call);
        kernel.note_enter(id, call)
    } else {
        None
    };
    let (call, made_up) = intercept::begin(kernel, id, call, intercept.unwrap_or_default())?;
    match (made_up, copied) {
        (Some(made_up), _) => intercept::result(made_up),
        (None, Err(errno)) => Err(errno.into()),
        (None, Ok(())) => dispatch_apart(&mut Context::new(kernel, id), &call),
    }
}

#[inline(never)]
fn dispatch_apart(cx: &mut Context<'_>, call: &Call) -> Sysret<Retval> {
    dispatch(cx, call)
}

/// Puts the process of a call to sleep, which is kept for the way back.
#[inline(never)]
fn park_call(kernel: &mut Kernel, id: ProcId, call: Call, parked: Box<Parked>) {
    if let Some(proc) = kernel.procs.get_mut(id) {
        proc.call = Some(call);
    }
    park(kernel, id, parked);
}

/// Reads number and argument words of the call at whose gate a process is.
#[inline]
fn read_call(proc: &Proc, call: &mut Call) -> Result<(), Errno> {
    let mut number = proc.frame.get(Gpr::Eax);
    let mut params = proc.frame.get(Gpr::Esp).wrapping_add(4);
    let indirect = match number {
        SYS_SYSCALL => 4,
        SYS_QUAD_SYSCALL => 8,
        _ => 0,
    };
    if indirect != 0 {
        // What cannot be read counts as -1.
        number = proc.vm.space.fuword(params).unwrap_or(u32::MAX);
        params = params.wrapping_add(indirect);
    }
    let narg = syscalls::sysent::row(number).map_or(0, |row| usize::from(row.narg)).min(MAX_WORDS);
    call.number = number;
    call.eip = proc.frame.eip.wrapping_sub(LCALL_LEN);
    if proc.vm.space.copyin_words(params, &mut call.words[..narg]).is_ok() {
        return Ok(());
    }
    let mut bytes = [0; 4 * MAX_WORDS];
    let copied = super::vm::copyin(proc, params, &mut bytes[..4 * narg]);
    call.words = std::array::from_fn(|n| {
        u32::from_le_bytes([bytes[4 * n], bytes[4 * n + 1], bytes[4 * n + 2], bytes[4 * n + 3]])
    });
    copied
}

/// Lets a call go on whose process has slept, once the process runs again.
pub(super) fn resume(kernel: &mut Kernel, id: ProcId) {
    if let Some(slept) = kernel.end_sleep(id) {
        go_on_until_asleep(kernel, id, slept);
    }
}

/// Puts the process of a call to sleep; a sleep that is over at once goes on at once.
pub(super) fn park(kernel: &mut Kernel, id: ProcId, parked: Box<Parked>) {
    let slept = kernel.tsleep(id, parked);
    go_on_until_asleep(kernel, id, slept);
}

fn go_on_until_asleep(kernel: &mut Kernel, id: ProcId, mut slept: Slept) {
    while let Slept::Over(parked, wake) = slept {
        match go_on(&mut Context::new(kernel, id), parked.resume, wake) {
            Err(Stop::Park(parked)) => slept = kernel.tsleep(id, parked),
            other => {
                let call = kernel.procs.get(id).and_then(|proc| proc.call);
                finish(kernel, id, &call.unwrap_or_default(), other);
                return;
            }
        }
    }
}

/// Goes on with a parked call.
pub(super) fn go_on(cx: &mut Context<'_>, state: Resume, wake: Wake) -> Sysret<Retval> {
    match state {
        Resume::Socket(state) => socket::resume(cx, state, wake),
        Resume::File(state) => file::resume(cx, state, wake),
        Resume::Vfs(state) => vfs::resume(cx, state, wake),
        Resume::Proc(state) => proc::resume(cx, state, wake),
        Resume::Ipc(state) => ipc::resume(cx, state, wake),
        Resume::Signal(state) => signal::resume(cx, state, wake),
        Resume::Tty(state) => tty::resume(cx, state, wake),
        Resume::Delayed(Delayed::Enter(_, Some(made_up))) => intercept::result(made_up),
        Resume::Delayed(Delayed::Enter(call, None)) => dispatch_apart(cx, &call),
        Resume::Delayed(Delayed::Leave(result)) => result,
    }
}

/// Sets the result registers; true where the process goes on with its program, and nobody is to be told.
#[inline(always)]
fn finish(kernel: &mut Kernel, id: ProcId, call: &Call, result: Sysret<Retval>) -> bool {
    vfs::follow_moved(kernel);
    let Some(proc) = kernel.procs.get_mut(id) else { return false };
    proc.call = None;
    if proc.state == State::Zombie {
        return false;
    }
    if kernel.watched
        && let Some(sleep) = intercept::end(kernel, id, call)
    {
        let resume = Resume::Delayed(Delayed::Leave(result));
        park_call(kernel, id, *call, Box::new(Parked { sleep, resume }));
        return false;
    }
    let Some(proc) = kernel.procs.get_mut(id) else { return false };
    set_registers(&mut proc.frame, &result);
    if kernel.watched {
        kernel.note(id, Event::Leave(*call, outcome(&result)));
        return false;
    }
    proc.goes_on()
}

#[inline(always)]
fn set_registers(frame: &mut Trapframe, result: &Sysret<Retval>) {
    let Ok(retval) = result else { return set_failure(frame, result) };
    frame.set(Gpr::Eax, retval.eax);
    if let Some(edx) = retval.edx {
        frame.set(Gpr::Edx, edx);
    }
    frame.eflags &= !eflags::CF;
}

/// Sets the registers of a call that does not succeed.
#[inline(never)]
fn set_failure(frame: &mut Trapframe, result: &Sysret<Retval>) {
    match result {
        Err(Stop::Errno(errno)) => {
            frame.set(Gpr::Eax, *errno as u32);
            frame.eflags |= eflags::CF;
        }
        Err(Stop::Restart) => frame.eip = frame.eip.wrapping_sub(LCALL_LEN),
        Ok(_) | Err(Stop::JustReturn | Stop::Park(_)) => {}
    }
}

/// What the observer is told of a result.
fn outcome(result: &Sysret<Retval>) -> Outcome {
    match result {
        Ok(retval) => Outcome::Success(*retval),
        Err(Stop::Errno(errno)) => Outcome::Failure(*errno),
        Err(Stop::Restart) => Outcome::Restart,
        Err(Stop::JustReturn | Stop::Park(_)) => Outcome::NoReturn,
    }
}

/// A call that does not exist: a signal, and an error for those who ignore it.
pub fn nosys(cx: &mut Context<'_>) -> Sysret<Retval> {
    psignal(cx.kernel, cx.id, SIGSYS);
    Err(Errno::EINVAL.into())
}

/// A row's arm of [`dispatch`].
macro_rules! arm {
    ($cx:ident $words:ident []) => { nosys($cx) };
    ($cx:ident $words:ident [$why:literal] $area:ident :: $name:ident $($rest:tt)*) => {{
        $cx.kernel.unserved($cx.id, stringify!($name), $why);
        nosys($cx)
    }};
    ($cx:ident $words:ident [] $area:ident :: $name:ident ($($arg:ident : $ty:ty),*) -> $ret:ident) => {{
        let rest: &[u32] = $words;
        $( let (taken, rest) = rest.split_at(<$ty as Arg>::WORDS); let $arg = <$ty as Arg>::from_words(taken); )*
        let _ = rest;
        crate::kernel::$area::calls::$name($cx $(, $arg)*).map(<syscalls::result::$ret as Ret>::regs)
    }};
}

/// The match over every row.
macro_rules! define_dispatch {
    ($(
        $( #[doc = $doc:literal] )+
        $code:literal $kind:ident $narg:literal
        $( $area:ident :: $name:ident ( $( $arg:ident : $ty:ty ),* $(,)? ) -> $ret:ident )?
        $( $plain:literal )?
        $( as $display:literal )?
        $( => nosys($why:literal) )?
        ;
    )*) => {
        /// Calls the handler of a row; rows without one are no calls.
        #[inline(always)]
        fn dispatch(cx: &mut Context<'_>, call: &Call) -> Sysret<Retval> {
            let words: &[u32] = &call.words;
            match call.number {
                $( $code => arm!(cx words [$($why)?] $( $area :: $name ($($arg : $ty),*) -> $ret )?), )*
                _ => nosys(cx),
            }
        }
    };
}
syscalls::for_each_syscall!(define_dispatch);
