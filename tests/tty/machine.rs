//! The process of a terminal case on a kernel of its own: calls through the gate on the virtual clock, and
//! signals through real frames.
//!
//! The processor is not there: what a program would do in its handler (note the signal and return by the
//! trampoline) is done here, on the frame that the kernel built.

use std::path::Path;

use bsd21::kernel::boot::Config;
use bsd21::kernel::cred::Pcred;
use bsd21::kernel::file::falloc;
use bsd21::kernel::limits::{Resource, Rlimit};
use bsd21::kernel::proc::{Proc, ProcId, State};
use bsd21::kernel::signal::psignal;
use bsd21::kernel::socket::Network;
use bsd21::kernel::sysctl::System;
use bsd21::kernel::time::Clock;
use bsd21::kernel::vfs::mount::{MountFlags, Source};
use bsd21::kernel::vm::SIGCODE;
use bsd21::kernel::{Context, Kernel};
use bsd21::mem::Prot;
use bsd21::trapframe::{Gpr, Trap, eflags};

/// Where the arena is.
pub(crate) const ARENA: u32 = 0x0010_0000;
/// Its size.
pub(crate) const ARENA_LEN: u32 = 65536;
/// Where the handler is.
pub(crate) const HANDLER: u32 = 0x2100;
/// Where the stack is, its size, and the stack pointer of a call.
const STACK: u32 = 0x0030_0000;
const STACK_LEN: u32 = 65536;
const STACK_AT: u32 = STACK + STACK_LEN - 256;
/// Room for the machine's own parameters, below that.
const OWN: u32 = STACK + 1024;
/// The instruction behind the gate.
const BEHIND_GATE: u32 = 0x2007;
/// What edx holds before a call.
pub(crate) const EDX: u32 = 0x5eed_5eed;
/// A call that is not over after so many nanoseconds is killed by the alarm of the driver.
const PATIENCE_NS: u64 = 20_000_000_000;
/// Time that passes between two calls.
const BETWEEN_NS: u64 = 20_000;
/// Numbers of processes begin behind this one: cases take small ones for those of nobody.
const FIRST_PID: i32 = 200;
const SIGALRM: u32 = 14;
const SIGCONT_BIT: u32 = 1 << 18;
/// Blocked and caught: HUP INT QUIT PIPE TERM URG TSTP CONT IO WINCH INFO USR1.
const BLOCKED: u32 = 0x3846_d007;
/// Caught and not blocked: TTIN TTOU.
const FREE: u32 = 0x0030_0000;

/// Calls that the machine itself makes.
mod number {
    pub(super) const FORK: u32 = 2;
    pub(super) const READ: u32 = 3;
    pub(super) const WRITE: u32 = 4;
    pub(super) const OPEN: u32 = 5;
    pub(super) const CLOSE: u32 = 6;
    pub(super) const SETUID: u32 = 23;
    pub(super) const SIGACTION: u32 = 46;
    pub(super) const SIGPROCMASK: u32 = 48;
    pub(super) const SIGPENDING: u32 = 52;
    pub(super) const IOCTL: u32 = 54;
    pub(super) const SETPGID: u32 = 82;
    pub(super) const FCNTL: u32 = 92;
    pub(super) const SIGRETURN: u32 = 103;
    pub(super) const SETSID: u32 = 147;
}

/// What a case asks of its process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// Soft limit of descriptors.
    pub limit: u32,
    /// It leads a session.
    pub leader: bool,
    /// Pseudo terminals that it uses.
    pub ptys: u32,
    /// It is not the super-user.
    pub nonroot: bool,
}

/// A kernel with the process of a case.
#[derive(Debug)]
pub(crate) struct Machine {
    kernel: Kernel,
    id: ProcId,
    /// The process that leads the session, once the case is in its child.
    leader: Option<ProcId>,
    /// The group that it began with, by its number.
    group: u32,
    /// Signals that the handler has seen.
    hits: u32,
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
    /// A machine whose root is `root`, with the process as a case finds it.
    pub(crate) fn new(root: &Path, setup: Setup) -> Self {
        let mut vfs = crate::root::vfs(root);
        vfs.mount(&Source::Devices, b"/dev", MountFlags::empty()).expect("/dev can be mounted");
        let config = Config {
            vfs,
            clock: Clock::deterministic(),
            system: System::new(b"oracle"),
            network: Network::Loopback,
        };
        let mut kernel = Kernel::new(config);
        // The recorded kernel had the processes of the case and no others.
        if let Some(init) = kernel.init.take() {
            kernel.procs.remove(init);
        }
        kernel.procs.set_last_pid(FIRST_PID);
        let id = kernel.first_process(Pcred::new(0, 0), b"root");
        let proc = &mut kernel.procs[id];
        for (start, len) in [(ARENA, ARENA_LEN), (STACK, STACK_LEN)] {
            proc.vm.space.map_anon(start, len, Prot::READ | Prot::WRITE).expect("the space is empty");
        }
        let max = proc.limits.get(Resource::Nofile).max;
        proc.limits.set(Resource::Nofile, Rlimit { cur: i64::from(setup.limit), max });
        // As a program that exec started.
        proc.sig.exec();
        proc.state = State::Run;
        let mut cx = Context::new(&mut kernel, id);
        crate::root::enter(&mut cx);
        for _ in 0..3 {
            falloc(&mut cx).expect("the table is empty");
        }
        let mut machine = Self { kernel, id, leader: None, group: 0, hits: 0 };
        machine.begin(setup);
        machine
    }

    /// What the driver does before a case.
    fn begin(&mut self, setup: Setup) {
        self.go_on_in_child();
        if setup.nonroot {
            self.must(number::SETUID, &[1001]);
        }
        if setup.leader {
            self.must(number::SETSID, &[]);
        }
        self.group = self.kernel.procs.group(self.kernel.procs[self.id].pgrp).pgid as u32;
        for unit in 0..setup.ptys {
            self.settle_pty(unit);
        }
        for signal in (1..32).filter(|signal| (BLOCKED | FREE) >> (signal - 1) & 1 != 0) {
            self.action(signal, HANDLER);
        }
        self.must(number::SIGPROCMASK, &[3, BLOCKED]);
        self.take_signals();
    }

    /// Brings a pseudo terminal into a known state.
    fn settle_pty(&mut self, unit: u32) {
        let unit = char::from_digit(unit, 10).expect("a small number");
        let open = |machine: &mut Self, name: String| {
            machine.put_own(name.as_bytes());
            machine.must(number::OPEN, &[OWN, 6, 0])
        };
        let master = open(self, format!("/dev/ptyp{unit}\0"));
        let slave = open(self, format!("/dev/ttyp{unit}\0"));
        self.put_own(&[0; 8]);
        // TIOCSDRAINWAIT is for the super-user only.
        self.call(number::IOCTL, &[slave, 0x8004_7457, OWN], None);
        self.call(number::IOCTL, &[slave, 0x4006_7408, OWN], None);
        self.put_own(b"\r");
        self.must(number::WRITE, &[slave, OWN, 1]);
        self.must(number::READ, &[master, OWN, 100]);
        self.must(number::CLOSE, &[slave]);
        self.must(number::CLOSE, &[master]);
    }

    fn put_own(&mut self, bytes: &[u8]) {
        self.kernel.procs[self.id].vm.space.copyout(OWN, bytes).expect("the stack is mapped");
    }

    fn action(&mut self, signal: u32, handler: u32) {
        self.put_own(&[handler.to_le_bytes(), [0; 4], [0; 4]].concat());
        self.must(number::SIGACTION, &[signal, OWN, 0]);
    }

    /// A call that the case takes for granted.
    fn must(&mut self, number: u32, args: &[u32]) -> u32 {
        let registers = self.call(number, args, None).expect("the call returns");
        assert!(!registers.carry, "call {number} fails with {}", registers.eax);
        registers.eax
    }

    /// Forks; the child runs from now on, and waits for no processor.
    fn go_on_in_child(&mut self) {
        let child = self.must(number::FORK, &[]);
        self.id = self.kernel.procs.find(child as i32).expect("a child that fork made");
        self.kernel.remove_from_run_queue(self.id);
    }

    /// Goes on in a child with a group of its own.
    pub(crate) fn leave(&mut self) {
        self.leader = Some(self.id);
        self.go_on_in_child();
        self.must(number::SETPGID, &[0, 0]);
        self.group = self.pid();
        self.hits = 0;
    }

    /// Makes a call and lets time pass until it is over, with SIGALRM after so many milliseconds if asked
    /// for; `None` if it never is over.
    pub(crate) fn call(&mut self, number: u32, args: &[u32], alarm_ms: Option<u32>) -> Option<Registers> {
        if alarm_ms.is_some() {
            self.action(SIGALRM, HANDLER);
        }
        self.kernel.clock.advance(BETWEEN_NS);
        self.kernel.run_timeouts();
        let began = self.kernel.clock.uptime();
        let mut alarm = alarm_ms.map(|ms| began + u64::from(ms) * 1_000_000);
        self.enter(number, args, STACK_AT);
        let id = self.id;
        let mut last = self.registers();
        while self.kernel.procs.get(id)?.asleep.is_some() {
            match self.kernel.choose() {
                Some(chosen) => self.kernel.resume(chosen),
                None => {
                    let next = self.kernel.next_timeout().into_iter().chain(alarm).min()?;
                    if next > began + PATIENCE_NS {
                        return None;
                    }
                    let now = self.kernel.clock.uptime();
                    self.kernel.clock.advance(next.saturating_sub(now));
                    self.kernel.run_timeouts();
                    if alarm.is_some_and(|at| at <= next) {
                        alarm = None;
                        psignal(&mut self.kernel, id, SIGALRM);
                    }
                }
            }
            last = self.registers();
        }
        self.settle();
        let after = self.registers();
        let registers = if after.is_some() { after } else { last };
        if alarm_ms.is_some() {
            self.action(SIGALRM, 0);
        }
        registers
    }

    fn registers(&self) -> Option<Registers> {
        let frame = &self.running()?.frame;
        let carry = frame.eflags & eflags::CF != 0;
        Some(Registers { eax: frame.get(Gpr::Eax), edx: frame.get(Gpr::Edx), carry })
    }

    /// Goes through the gate.
    fn enter(&mut self, number: u32, args: &[u32], stack: u32) {
        let mut bytes = [0u8; 36];
        for (slot, arg) in bytes[4..].chunks_exact_mut(4).zip(args) {
            slot.copy_from_slice(&arg.to_le_bytes());
        }
        let proc = &mut self.kernel.procs[self.id];
        proc.vm.space.copyout(stack, &bytes).expect("the stack is mapped");
        proc.frame.set(Gpr::Eax, number);
        proc.frame.set(Gpr::Edx, EDX);
        proc.frame.set(Gpr::Esp, stack);
        proc.frame.eip = BEHIND_GATE;
        self.kernel.trap(self.id, Trap::Syscall);
    }

    /// Lets the process take its signals, as it would on its way back to user mode, and run its handlers.
    fn settle(&mut self) {
        if self.running().is_some() {
            self.kernel.trap(self.id, Trap::Budget);
        }
        while let Some(proc) = self.running().filter(|proc| proc.frame.eip == SIGCODE) {
            let frame = proc.frame.get(Gpr::Esp);
            let word = |at: u32| proc.vm.space.fuword(frame + at).expect("the frame is mapped");
            let (signal, context, handler) = (word(0), word(8), word(16));
            let mask = proc.vm.space.fuword(context + 4).expect("the frame is mapped");
            assert_eq!(handler, HANDLER);
            self.hits |= 1 << (signal - 1);
            self.enter(number::SIGRETURN, &[context], frame - 36);
            // The recorded handler returned without the kernel, which takes SIGCONT out of the mask.
            self.kernel.procs[self.id].sig.mask |= mask & SIGCONT_BIT;
        }
    }

    /// The process, if it is in user mode.
    fn running(&self) -> Option<&Proc> {
        self.kernel.procs.get(self.id).filter(|p| p.state == State::Run && p.asleep.is_none())
    }

    /// Takes the signals that came: pending ones, and those that the handler saw.
    pub(crate) fn take_signals(&mut self) -> u32 {
        let pending = self.must(number::SIGPENDING, &[]) & BLOCKED;
        for signal in (1..32).filter(|signal| pending >> (signal - 1) & 1 != 0) {
            self.action(signal, 1);
            self.action(signal, HANDLER);
        }
        pending | std::mem::take(&mut self.hits)
    }

    /// Closes everything from descriptor 3 on, not waiting.
    pub(crate) fn close_all(&mut self) {
        for fd in 3..64 {
            self.call(number::FCNTL, &[fd, 4, 4], None);
        }
        for fd in 3..64 {
            self.call(number::CLOSE, &[fd], None);
        }
    }

    /// The whole arena.
    pub(crate) fn read_arena(&self, into: &mut [u8]) {
        self.kernel.procs[self.id].vm.space.copyin(ARENA, into).expect("the arena is mapped");
    }

    /// Writes into the arena.
    pub(crate) fn write_arena(&mut self, offset: u32, bytes: &[u8]) {
        let space = &self.kernel.procs[self.id].vm.space;
        space.copyout(ARENA + offset, bytes).expect("the arena is mapped");
    }

    /// The number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.kernel.procs[self.id].pid as u32
    }

    /// The number of the group that it began with.
    pub(crate) fn group(&self) -> u32 {
        self.group
    }

    /// The number of the leader of its session.
    pub(crate) fn session(&self) -> u32 {
        self.kernel.procs[self.leader.unwrap_or(self.id)].pid as u32
    }
}
