//! Signals that wake processes which wait for them, through the gate and the handler's frame.

use std::mem::offset_of;

use syscalls::errno::Errno;
use syscalls::layout::{Sigcontext, Sigframe};

use super::{SIGALRM, SIGCONT, SIGSTOP, sigmask};
use crate::kernel::boot::Config;
use crate::kernel::cred::Pcred;
use crate::kernel::proc::{ProcId, State};
use crate::kernel::synch::priority::PPAUSE;
use crate::kernel::time::{SECOND_NS, TICK_NS};
use crate::kernel::{Kernel, vm};
use crate::mem::Prot;
use crate::trapframe::{Gpr, Trap};

const SIGUSR1: u32 = 30;
const FORK: u32 = 2;
const KILL: u32 = 37;
const SIGACTION: u32 = 46;
const SIGPROCMASK: u32 = 48;
const SETITIMER: u32 = 83;
const SIGRETURN: u32 = 103;
const SIGSUSPEND: u32 = 111;

const MEMORY: u32 = 0x1_0000;
const STACK: u32 = MEMORY + 0xf000;
const HANDLER: u32 = 0x4000;
const SIG_SETMASK: u32 = 3;

struct Guest {
    kernel: Kernel,
    id: ProcId,
}

fn guest() -> Guest {
    let mut kernel = Kernel::new(Config::bare());
    let id = kernel.first_process(Pcred::new(0, 0), b"root");
    let proc = &mut kernel.procs[id];
    proc.state = State::Run;
    proc.vm.space.map_anon(MEMORY, 0x1_0000, Prot::READ | Prot::WRITE).unwrap();
    Guest { kernel, id }
}

impl Guest {
    /// Goes through the gate; gives eax.
    fn call(&mut self, id: ProcId, number: u32, words: &[u32]) -> u32 {
        let proc = &mut self.kernel.procs[id];
        for (at, word) in (STACK + 4..).step_by(4).zip(words) {
            proc.vm.space.suword(at, *word).unwrap();
        }
        proc.frame.set(Gpr::Esp, STACK);
        proc.frame.set(Gpr::Eax, number);
        self.kernel.trap(id, Trap::Syscall);
        self.kernel.procs[id].frame.get(Gpr::Eax)
    }

    fn catch(&mut self, signal: u32) {
        self.store(&[HANDLER, 0, 0]);
        assert_eq!(self.call(self.id, SIGACTION, &[signal, MEMORY, 0]), 0);
    }

    fn store(&mut self, words: &[u32]) {
        for (at, word) in (MEMORY..).step_by(4).zip(words) {
            self.kernel.procs[self.id].vm.space.suword(at, *word).unwrap();
        }
    }

    fn sleeps(&self) -> bool {
        self.kernel.procs[self.id].asleep.is_some()
    }

    /// A word of the frame that the process is about to take.
    fn frame(&self, at: usize) -> u32 {
        let proc = &self.kernel.procs[self.id];
        assert_eq!(proc.frame.eip, vm::SIGCODE, "it is in the trampoline");
        proc.vm.space.fuword(proc.frame.get(Gpr::Esp) + at as u32).unwrap()
    }
}

const fn context(at: usize) -> usize {
    offset_of!(Sigframe, sc) + at
}

#[test]
fn sigsuspend_waits_and_the_old_mask_comes_back_after_the_handler() {
    let mut guest = guest();
    let id = guest.id;
    guest.catch(SIGUSR1);
    let old = sigmask(SIGUSR1) | sigmask(SIGALRM);
    guest.call(id, SIGPROCMASK, &[SIG_SETMASK, old]);
    let child = guest.call(id, FORK, &[]);
    let child = guest.kernel.procs.find(child as i32).unwrap();
    guest.call(id, SIGSUSPEND, &[0]);
    assert!(guest.sleeps());
    let pid = guest.kernel.procs[id].pid as u32;
    assert_eq!(guest.call(child, KILL, &[pid, SIGUSR1]), 0);
    guest.kernel.resume(id);
    assert!(!guest.sleeps());
    assert_eq!(guest.frame(offset_of!(Sigframe, signum)), SIGUSR1);
    assert_eq!(guest.frame(context(offset_of!(Sigcontext, eax))), Errno::EINTR as u32);
    assert_eq!(guest.frame(context(offset_of!(Sigcontext, mask))), old);
    assert_eq!(guest.kernel.procs[id].sig.mask, sigmask(SIGUSR1), "in the handler");
    let scp = guest.frame(offset_of!(Sigframe, scp));
    guest.call(id, SIGRETURN, &[scp]);
    assert_eq!(guest.kernel.procs[id].sig.mask, old);
}

#[test]
fn a_real_timer_wakes_a_waiting_process_at_its_tick_and_goes_on() {
    let mut guest = guest();
    let id = guest.id;
    guest.catch(SIGALRM);
    guest.store(&[2, 0, 1, 0]);
    assert_eq!(guest.call(id, SETITIMER, &[0, MEMORY, 0]), 0);
    guest.call(id, SIGSUSPEND, &[0]);
    let due = guest.kernel.next_wake().unwrap();
    assert_eq!(due, SECOND_NS + TICK_NS, "and a tick for the one that had begun");
    guest.kernel.clock.advance(due);
    guest.kernel.run_timeouts();
    guest.kernel.resume(id);
    assert_eq!(guest.frame(offset_of!(Sigframe, signum)), SIGALRM);
    let next = guest.kernel.next_wake().unwrap();
    assert!((2 * SECOND_NS..=4 * SECOND_NS).contains(&next), "{next}");
}

#[test]
fn a_handler_without_a_stack_ends_the_process() {
    let mut guest = guest();
    let id = guest.id;
    guest.catch(SIGUSR1);
    let pid = guest.kernel.procs[id].pid as u32;
    let child = guest.call(id, FORK, &[]);
    let child = guest.kernel.procs.find(child as i32).unwrap();
    guest.kernel.procs[id].frame.set(Gpr::Esp, 0x1000);
    guest.call(child, KILL, &[pid, SIGUSR1]);
    guest.kernel.trap(id, Trap::Budget);
    assert!(guest.kernel.procs.get(id).is_none_or(|p| p.state == State::Zombie));
    assert_eq!(guest.kernel.reaped, [(pid as i32, super::SIGILL as i32)]);
}

/// userret comes when the call is over (i386/i386/trap.c): until then tsleep's priority counts.
#[test]
fn a_sleeping_process_keeps_the_priority_of_its_sleep() {
    let mut guest = guest();
    guest.call(guest.id, SIGSUSPEND, &[0]);
    assert!(guest.sleeps());
    assert_eq!(guest.kernel.procs[guest.id].priority, PPAUSE);
}

#[test]
fn a_stop_after_the_process_ran_again_counts_and_a_child_has_none() {
    let mut guest = guest();
    let id = guest.id;
    let pid = guest.kernel.procs[id].pid as u32;
    let child = guest.call(id, FORK, &[]);
    let child = guest.kernel.procs.find(child as i32).unwrap();
    for _ in 0..3 {
        guest.call(child, KILL, &[pid, SIGSTOP]);
        guest.kernel.trap(id, Trap::Budget);
        assert_eq!(guest.kernel.procs[id].state, State::Stop);
        guest.call(child, KILL, &[pid, SIGCONT]);
        guest.kernel.resume(id);
        assert_eq!(guest.kernel.procs[id].state, State::Run);
    }
    guest.kernel.procs[id].sig.stopped_by = sigmask(SIGSTOP);
    let other = guest.call(id, FORK, &[]);
    let other = guest.kernel.procs.find(other as i32).unwrap();
    assert_eq!(guest.kernel.procs[other].sig.stopped_by, 0);
}

#[test]
fn a_stop_between_the_continuation_and_running_is_lost() {
    let mut guest = guest();
    let id = guest.id;
    let pid = guest.kernel.procs[id].pid as u32;
    let child = guest.call(id, FORK, &[]);
    let child = guest.kernel.procs.find(child as i32).unwrap();
    guest.call(child, KILL, &[pid, SIGSTOP]);
    guest.kernel.trap(id, Trap::Budget);
    assert_eq!(guest.kernel.procs[id].state, State::Stop);
    assert_eq!(guest.kernel.procs[id].sig.pending, sigmask(SIGSTOP), "as long as it is stopped");
    guest.call(child, KILL, &[pid, SIGCONT]);
    guest.call(child, KILL, &[pid, SIGSTOP]);
    guest.kernel.resume(id);
    guest.kernel.trap(id, Trap::Budget);
    assert_eq!((guest.kernel.procs[id].state, guest.kernel.procs[id].sig.pending), (State::Run, 0));
    guest.call(child, KILL, &[pid, SIGSTOP]);
    guest.kernel.trap(id, Trap::Budget);
    assert_eq!(guest.kernel.procs[id].state, State::Stop, "a later one counts");
}
