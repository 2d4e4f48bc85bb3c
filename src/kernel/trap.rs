//! Entry from user mode: traps become signals or calls, and the way back looks at signals.
//!
//! 2.1 counterpart: i386/i386/trap.c (trap, trap_pfault, userret), i386/isa/npx.c (npxintr).

use super::event::Event;
use super::proc::{Proc, ProcId};
use super::signal::{
    Action, Cursig, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP, issignal, postsig, trapsignal,
};
use super::{Kernel, syscall, vm};
use crate::trapframe::{Access, Fault, FaultCause, FpuState, Trap, eflags};

/// Codes that handlers find (i386/include/trap.h).
const T_PRIVINFLT: u32 = 1;
const T_PAGEFLT: u32 = 12;
const BUS_SEGM_FAULT: u32 = 28;
const FPE_INTOVF_TRAP: u32 = 1;
const FPE_INTDIV_TRAP: u32 = 2;
const FPE_SUBRNG_TRAP: u32 = 7;

const NO_ERROR_CODE: u32 = 0;
/// Bits of the x87 status word that fnclex clears: the exceptions, the summary, busy.
const FPU_EXCEPTIONS: u16 = 0x80ff;
/// Control word of an x87 unit that fninit or fnsave has reset.
const RESET_CONTROL: u16 = 0x037f;

impl Kernel {
    /// Serves a trap of the current process, up to the return to user mode, a sleep or its end.
    pub fn trap(&mut self, id: ProcId, trap: Trap) {
        match trap {
            Trap::Syscall => self.call(id),
            other => {
                self.fault(id, other);
                self.user_return(id);
            }
        }
    }

    /// Serves the trap of a call.
    #[inline]
    pub fn call(&mut self, id: ProcId) {
        if !syscall::syscall(self, id) {
            self.user_return(id);
            self.call_returned(id);
        }
    }

    /// Lets a process go on that was chosen to run: the end of its sleep, its signals.
    pub fn resume(&mut self, id: ProcId) {
        syscall::resume(self, id);
        self.user_return(id);
        self.call_returned(id);
    }

    /// Tells the observer that a process goes on with its program behind a call.
    #[inline]
    fn call_returned(&mut self, id: ProcId) {
        if self.observed() {
            self.tell_of_return(id);
        }
    }

    #[cold]
    fn tell_of_return(&mut self, id: ProcId) {
        if self.in_user_mode(id) {
            self.note(id, Event::UserReturn);
        }
    }

    /// Looks at signals before the process goes back to user mode (`userret`).  Afterwards the process
    /// may be stopped, asleep or gone.
    #[inline]
    fn user_return(&mut self, id: ProcId) {
        let Some(proc) = self.procs.get_mut(id) else { return };
        // Inside of its call a process does not look: a sleep has its own priority until the call is over.
        if !proc.goes_on() && proc.in_user_mode() {
            self.act_on_signals(id);
        }
    }

    /// The part of [`Kernel::user_return`] where there is something to look at.
    #[cold]
    fn act_on_signals(&mut self, id: ProcId) {
        while self.in_user_mode(id) {
            match issignal(self, id) {
                Cursig::Signal(signal) => postsig(self, id, signal),
                Cursig::None | Cursig::Stopped => break,
            }
        }
        if self.in_user_mode(id) {
            let proc = &mut self.procs[id];
            proc.priority = proc.usrpri;
        }
    }

    /// Looks at signals of the current process between two of its instructions, as an asynchronous trap
    /// does.
    pub fn check_signals(&mut self, id: ProcId) {
        self.user_return(id);
    }

    /// Whether the process runs, and no call of it sleeps.
    fn in_user_mode(&self, id: ProcId) -> bool {
        self.procs.get(id).is_some_and(Proc::in_user_mode)
    }

    #[inline(never)]
    fn fault(&mut self, id: ProcId, trap: Trap) {
        if let Some((signal, code)) = self.signal_of(id, trap) {
            trapsignal(self, id, signal, code);
        }
    }

    /// Gives a process the signal of a trap that [`Kernel::signal_of`] named, or another one, or none.
    pub fn answer_fault(&mut self, id: ProcId, signal: Option<u32>, code: u32) {
        if let Some(signal) = signal {
            trapsignal(self, id, signal, code);
        }
        self.user_return(id);
    }

    /// Serves a trap that is no call, up to the signal that it causes, and its code; none where all is well.
    pub fn signal_of(&mut self, id: ProcId, trap: Trap) -> Option<(u32, u32)> {
        if !matches!(trap, Trap::Budget) {
            self.counters.traps = self.counters.traps.wrapping_add(1);
        }
        let frame = &mut self.procs[id].frame;
        let mut error = NO_ERROR_CODE;
        let (signal, code) = match trap {
            Trap::Page(fault) => match self.page_fault(id, fault) {
                None => return None,
                Some(signal) => {
                    error = fault.address;
                    (signal, T_PAGEFLT)
                }
            },
            Trap::Breakpoint | Trap::SingleStep => {
                frame.eflags &= !eflags::TF;
                (SIGTRAP, 0)
            }
            Trap::InvalidOpcode => (SIGILL, T_PRIVINFLT),
            Trap::Divide => (SIGFPE, FPE_INTDIV_TRAP),
            Trap::Overflow => (SIGFPE, FPE_INTOVF_TRAP),
            Trap::Bounds => (SIGFPE, FPE_SUBRNG_TRAP),
            Trap::GeneralProtection(code) | Trap::StackFault(code) | Trap::SegmentNotPresent(code) => {
                error = code;
                (SIGBUS, code.wrapping_add(BUS_SEGM_FAULT))
            }
            Trap::Alignment => (SIGBUS, BUS_SEGM_FAULT),
            Trap::Fpu => {
                let code = self.fpu_error(id);
                (SIGFPE, code)
            }
            Trap::Budget | Trap::Syscall => return None,
        };
        self.procs[id].trap_error = error;
        Some((signal, code))
    }

    /// What an exception of the x87 unit leaves of it, and the code that a handler finds.
    ///
    /// 2.1 clears the exceptions and keeps the status word to itself (`npxintr`).  386BSD stores the whole unit
    /// for debuggers, which makes it a fresh one, and tells the exceptions (its npxerror); its programs leave
    /// their handlers by longjmp and find no old numbers in the way.
    fn fpu_error(&mut self, id: ProcId) -> u32 {
        let proc = &mut self.procs[id];
        let status = proc.frame.fpu.status();
        let dies = matches!(proc.sig.action[SIGFPE as usize], Action::Default);
        if proc.older_program && !dies {
            *proc.frame.fpu = FpuState { control: RESET_CONTROL, ..FpuState::default() };
            return u32::from(status & 0xff);
        }
        proc.frame.fpu.set_status(status & !FPU_EXCEPTIONS);
        0
    }

    /// Serves a page fault: grows the stack, or names the signal.
    fn page_fault(&mut self, id: ProcId, fault: Fault) -> Option<u32> {
        if fault.cause == FaultCause::NotMapped && vm::grow_on_fault(self, id, fault.address) {
            return None;
        }
        match (fault.cause, fault.access) {
            (FaultCause::NotMapped, Access::Read | Access::Write | Access::Fetch) => Some(SIGSEGV),
            (FaultCause::Protection | FaultCause::BeyondEof, _) => Some(SIGBUS),
        }
    }
}
