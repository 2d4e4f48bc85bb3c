//! One process on a kernel of its own, which makes calls through the gate.

use std::path::Path;

use bsd21::kernel::boot::Config;
use bsd21::kernel::cred::Pcred;
use bsd21::kernel::file::falloc;
use bsd21::kernel::limits::{MAXFILES, Resource, Rlimit};
use bsd21::kernel::proc::{ProcId, State};
use bsd21::kernel::signal::{SIGIO, SIGPIPE, SIGURG, sigmask};
use bsd21::kernel::socket::Network;
use bsd21::kernel::sysctl::System;
use bsd21::kernel::time::Clock;
use bsd21::kernel::{Context, Kernel};
use bsd21::mem::Prot;
use bsd21::trapframe::{Gpr, Trap, eflags};

/// Where the arena is.
pub(crate) const ARENA: u32 = 0x0010_0000;
/// Its size.
pub(crate) const ARENA_LEN: u32 = 65536;
/// Where arguments are.
const STACK: u32 = 0x0020_0000;
/// What edx holds before a call.
pub(crate) const EDX: u32 = 0x5eed_5eed;
/// The signals that cases look at: blocked and caught.
const WATCHED: u32 = sigmask(SIGPIPE) | sigmask(SIGURG) | sigmask(SIGIO);
/// A call that is not over after so many nanoseconds never will be.
const PATIENCE_NS: u64 = 1_000_000_000_000;

/// A kernel with one process.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The kernel.
    pub kernel: Kernel,
    /// The process.
    pub id: ProcId,
}

/// Registers after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registers {
    /// Result or error.
    pub eax: u32,
    /// Second result.
    pub edx: u32,
    /// Whether eax is an error.
    pub carry: bool,
}

impl Machine {
    /// A machine whose root is `root`; descriptors 0 to 2 are taken.
    pub(crate) fn new(root: &Path, limit: u32) -> Self {
        let config = Config {
            vfs: crate::root::vfs(root),
            clock: Clock::deterministic(),
            system: System::default(),
            network: Network::Loopback,
        };
        let mut kernel = Kernel::new(config);
        let id = kernel.first_process(Pcred::new(0, 0), b"root");
        let proc = &mut kernel.procs[id];
        proc.vm.space.map_anon(ARENA, ARENA_LEN, Prot::READ | Prot::WRITE).expect("the arena is free");
        proc.vm.space.map_anon(STACK, 4096, Prot::READ | Prot::WRITE).expect("the stack is free");
        proc.sig.mask |= WATCHED;
        proc.sig.catch |= WATCHED;
        proc.sig.ignore &= !WATCHED;
        let max = MAXFILES as i64;
        proc.limits.set(Resource::Nofile, Rlimit { cur: i64::from(limit), max });
        proc.state = State::Run;
        let mut cx = Context::new(&mut kernel, id);
        crate::root::enter(&mut cx);
        for _ in 0..3 {
            falloc(&mut cx).expect("the table is empty");
        }
        kernel.set_run_queue(id);
        kernel.choose();
        Self { kernel, id }
    }

    /// Makes a call and lets time pass until it is over; `None` if it never is, or the process died.
    pub(crate) fn call(&mut self, number: u32, args: &[u32]) -> Option<Registers> {
        let mut bytes = [0u8; 36];
        for (slot, arg) in bytes[4..].chunks_exact_mut(4).zip(args) {
            slot.copy_from_slice(&arg.to_le_bytes());
        }
        let proc = self.kernel.procs.get_mut(self.id)?;
        proc.vm.space.copyout(STACK, &bytes).expect("the stack is mapped");
        proc.frame.set(Gpr::Eax, number);
        proc.frame.set(Gpr::Edx, EDX);
        proc.frame.set(Gpr::Esp, STACK);
        proc.frame.eip = 0x2007;
        self.kernel.trap(self.id, Trap::Syscall);
        let patience = self.kernel.clock.uptime() + PATIENCE_NS;
        while self.kernel.procs.get(self.id)?.asleep.is_some() {
            match self.kernel.choose() {
                Some(id) => self.kernel.resume(id),
                None => {
                    let now = self.kernel.clock.uptime();
                    let next = self.kernel.next_timeout()?;
                    if next > patience {
                        return None;
                    }
                    self.kernel.clock.advance(next.saturating_sub(now));
                    self.kernel.run_timeouts();
                }
            }
        }
        let proc = self.kernel.procs.get(self.id).filter(|p| p.state == State::Run)?;
        let frame = &proc.frame;
        let carry = frame.eflags & eflags::CF != 0;
        Some(Registers { eax: frame.get(Gpr::Eax), edx: frame.get(Gpr::Edx), carry })
    }

    /// Takes the watched signals that became pending.
    pub(crate) fn take_signals(&mut self) -> u32 {
        let Some(proc) = self.kernel.procs.get_mut(self.id) else { return 0 };
        let pending = &mut proc.sig.pending;
        let watched = *pending & WATCHED;
        *pending &= !WATCHED;
        watched
    }

    /// The whole arena.
    pub(crate) fn read_arena(&self, into: &mut [u8]) {
        self.kernel.procs[self.id].vm.space.copyin(ARENA, into).expect("the arena is mapped");
    }

    /// Writes into the arena.
    pub(crate) fn write_arena(&mut self, offset: u32, bytes: &[u8]) {
        self.kernel.procs[self.id].vm.space.copyout(ARENA + offset, bytes).expect("the arena is mapped");
    }

    /// The process's number.
    pub(crate) fn pid(&self) -> u32 {
        self.kernel.procs[self.id].pid as u32
    }

    /// The number of its group.
    pub(crate) fn pgrp(&self) -> u32 {
        self.kernel.procs.group(self.kernel.procs[self.id].pgrp).pgid as u32
    }

    /// Files that are left open beyond the standard ones, and references in flight.
    pub(crate) fn left(&self) -> (usize, i32) {
        (self.kernel.files.len() - 3, self.kernel.sockets.unix.rights)
    }
}
