//! Several processes on a kernel of their own, which make calls through the gate and take signals through
//! real frames.
//!
//! The processor is not there: what a program would do in a handler (note the signal and return by the
//! trampoline) is done here, on the frame that the kernel built.

use std::path::Path;

use bsd21::kernel::boot::Config;
use bsd21::kernel::cred::Pcred;
use bsd21::kernel::file::falloc;
use bsd21::kernel::limits::{INFINITY, MAXFILES, MAXPROC_PER_UID, Resource, Rlimit};
use bsd21::kernel::proc::{Proc, ProcId, State};
use bsd21::kernel::signal::{SIGIO, SIGPIPE, SIGURG, sigmask};
use bsd21::kernel::socket::Network;
use bsd21::kernel::sysctl::System;
use bsd21::kernel::time::Clock;
use bsd21::kernel::vm::SIGCODE;
use bsd21::kernel::{Context, Kernel};
use bsd21::mem::Prot;
use bsd21::trapframe::{Gpr, Trap, eflags};

/// Where the arena is.
pub(crate) const ARENA: u32 = 0x0010_0000;
/// Its size.
pub(crate) const ARENA_LEN: u32 = 65536;
/// Where the room for a signal stack is.
pub(crate) const SIGNAL_STACK: u32 = 0x0020_0000;
/// Its size.
const SIGNAL_STACK_LEN: u32 = 16384;
/// Where the handlers are.
pub(crate) const HANDLERS: [u32; 2] = [0x2100, 0x2200];
/// Where the stack is, its size, and the stack pointer of a call.
const STACK: u32 = 0x0030_0000;
const STACK_LEN: u32 = 65536;
const STACK_AT: u32 = STACK + STACK_LEN - 256;
/// The instruction behind the gate.
const BEHIND_GATE: u32 = 0x2007;
/// What edx holds before a call.
pub(crate) const EDX: u32 = 0x5eed_5eed;
/// A call that is not over after so many nanoseconds never will be.
const PATIENCE_NS: u64 = 1_000_000_000_000;
/// The signals that stay pending in cases that look at them.
const WATCHED: u32 = sigmask(SIGPIPE) | sigmask(SIGURG) | sigmask(SIGIO);
/// Calls that the machine itself makes.
pub(crate) mod number {
    pub(crate) const EXIT: u32 = 1;
    pub(crate) const FORK: u32 = 2;
    pub(crate) const WAIT4: u32 = 7;
    pub(crate) const SETUID: u32 = 23;
    pub(crate) const SETLOGIN: u32 = 50;
    pub(crate) const SETGROUPS: u32 = 80;
    pub(crate) const SETHOSTNAME: u32 = 88;
    pub(crate) const SIGRETURN: u32 = 103;
    pub(crate) const SETSID: u32 = 147;
    pub(crate) const SETDOMAINNAME: u32 = 163;
    pub(crate) const SETGID: u32 = 181;
}

/// What a case asks of its process 0.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    /// Soft limit of descriptors.
    pub limit: u32,
    /// User and group.
    pub ids: (u32, u32),
    /// Groups.
    pub groups: &'a [u32],
}

/// A process of a case.
#[derive(Debug)]
struct Member {
    id: ProcId,
    pid: u32,
    /// Signals that its handlers got since its last step, and whether on the signal stack.
    delivered: Vec<(u32, bool)>,
}

/// A kernel with the processes of a case.
#[derive(Debug)]
pub(crate) struct Machine {
    kernel: Kernel,
    parent: u32,
    members: Vec<Option<Member>>,
    /// Numbers of the processes that there have been.
    pids: [u32; 4],
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
    /// A machine whose root is `root`, with process 0 as a case finds it.
    pub(crate) fn new(root: &Path, setup: &Setup<'_>) -> Self {
        Self::with_clock(root, setup, Clock::deterministic())
    }

    /// The same with a clock.
    pub(crate) fn with_clock(root: &Path, setup: &Setup<'_>, clock: Clock) -> Self {
        let config = Config {
            vfs: crate::root::vfs(root),
            clock,
            system: System::new(b"oracle"),
            network: Network::Loopback,
        };
        let mut kernel = Kernel::new(config);
        let driver = kernel.first_process(Pcred::new(0, 0), b"root");
        let proc = &mut kernel.procs[driver];
        for (start, len) in [(ARENA, ARENA_LEN), (SIGNAL_STACK, SIGNAL_STACK_LEN), (STACK, STACK_LEN)] {
            proc.vm.space.map_anon(start, len, Prot::READ | Prot::WRITE).expect("the space is empty");
        }
        // The limits that the recordings were made with.
        let nproc = MAXPROC_PER_UID as i64;
        for (resource, cur, max) in [
            (Resource::Rss, INFINITY, INFINITY),
            (Resource::Memlock, INFINITY, INFINITY),
            (Resource::Nproc, nproc, nproc),
            (Resource::Nofile, i64::from(setup.limit), MAXFILES as i64),
        ] {
            proc.limits.set(resource, Rlimit { cur, max });
        }
        // As a program that exec started.
        proc.sig.exec();
        proc.state = State::Run;
        let parent = proc.pid as u32;
        let mut cx = Context::new(&mut kernel, driver);
        crate::root::enter(&mut cx);
        for _ in 0..3 {
            falloc(&mut cx).expect("the table is empty");
        }
        let member = Member { id: driver, pid: parent, delivered: Vec::new() };
        let mut machine = Self { kernel, parent, members: vec![Some(member)], pids: [0; 4] };
        machine.set_names();
        machine.begin(setup);
        machine
    }

    /// The names of the system as cases find them.
    fn set_names(&mut self) {
        self.write_arena(0, 0, b"oracledomain");
        self.must(number::SETHOSTNAME, &[ARENA, 6]);
        self.must(number::SETDOMAINNAME, &[ARENA + 6, 6]);
        self.write_arena(0, 0, &[0; 12]);
    }

    /// Forks process 0 off the driver and gives it its session, name and identity.
    fn begin(&mut self, setup: &Setup<'_>) {
        let pid = self.must(number::FORK, &[]);
        self.members = vec![Some(self.member(pid))];
        self.pids[0] = pid;
        self.must(number::SETSID, &[]);
        let mut groups: Vec<u8> = setup.groups.iter().flat_map(|g| g.to_le_bytes()).collect();
        self.write_arena(0, 0, &groups);
        self.must(number::SETGROUPS, &[setup.groups.len() as u32, ARENA]);
        groups.fill(0);
        self.write_arena(0, 0, &groups);
        self.write_arena(0, 0, b"tester\0");
        self.must(number::SETLOGIN, &[ARENA]);
        self.write_arena(0, 0, &[0; 7]);
        self.must(number::SETGID, &[setup.ids.1]);
        self.must(number::SETUID, &[setup.ids.0]);
    }

    fn member(&self, pid: u32) -> Member {
        let id = self.kernel.procs.find(pid as i32).expect("a child that fork made");
        Member { id, pid, delivered: Vec::new() }
    }

    /// A call of process 0 that the case takes for granted.
    fn must(&mut self, number: u32, args: &[u32]) -> u32 {
        let registers = self.call(0, number, args).expect("the call returns");
        assert!(!registers.carry, "call {number} fails with {}", registers.eax);
        registers.eax
    }

    /// Has process 0 fork process `n`.
    pub(crate) fn fork(&mut self, n: usize) {
        let pid = self.must(number::FORK, &[]);
        while self.members.len() <= n {
            self.members.push(None);
        }
        self.members[n] = Some(self.member(pid));
        self.pids[n] = pid;
    }

    /// Has process `n` exit, and process 0 wait for it.
    pub(crate) fn exit(&mut self, n: usize) {
        let Some(pid) = self.members.get(n).and_then(Option::as_ref).map(|m| m.pid) else { return };
        self.enter(n, number::EXIT, &[0]);
        self.members[n] = None;
        self.settle();
        assert_eq!(self.must(number::WAIT4, &[pid, 0, 0, 0]), pid);
    }

    /// Makes a call and lets time pass until it is over; `None` if it never is, or the process died.
    pub(crate) fn call(&mut self, n: usize, number: u32, args: &[u32]) -> Option<Registers> {
        self.enter(n, number, args);
        let id = self.members.get(n)?.as_ref()?.id;
        let patience = self.kernel.clock.uptime() + PATIENCE_NS;
        while self.kernel.procs.get(id)?.asleep.is_some() {
            match self.kernel.choose() {
                Some(chosen) => self.kernel.resume(chosen),
                None => {
                    let next = self.kernel.next_timeout().filter(|&next| next <= patience)?;
                    let now = self.kernel.clock.uptime();
                    self.kernel.clock.advance(next.saturating_sub(now));
                    self.kernel.run_timeouts();
                }
            }
        }
        self.settle();
        let frame = &self.running(n)?.frame;
        let carry = frame.eflags & eflags::CF != 0;
        Some(Registers { eax: frame.get(Gpr::Eax), edx: frame.get(Gpr::Edx), carry })
    }

    /// Makes the processes block and catch SIGPIPE, SIGURG and SIGIO, so that they stay pending, and catch
    /// SIGALRM; for process 0, whose children are as it is.
    #[allow(dead_code)] // for cases that look at pending signals
    pub(crate) fn watch_signals(&mut self) {
        const SIGACTION: u32 = 46;
        const SIGPROCMASK: u32 = 48;
        const SIG_SETMASK: u32 = 3;
        const SIGALRM: u32 = 14;
        for signal in [SIGPIPE, SIGURG, SIGIO, SIGALRM] {
            let action: Vec<u8> = [HANDLERS[0], 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
            self.write_arena(0, 0, &action);
            self.must(SIGACTION, &[signal, ARENA, 0]);
            self.write_arena(0, 0, &[0; 12]);
        }
        self.must(SIGPROCMASK, &[SIG_SETMASK, WATCHED]);
    }

    /// Has SIGALRM come to a process after so many milliseconds.
    #[allow(dead_code)] // for cases whose calls are interrupted
    pub(crate) fn set_alarm(&mut self, n: usize, ms: u32) {
        const SETITIMER: u32 = 83;
        const ITIMER_REAL: u32 = 0;
        let timer: Vec<u8> =
            [0, 0, ms / 1000, ms % 1000 * 1000].iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
        let Some(Some(member)) = self.members.get(n) else { return };
        self.kernel.procs[member.id].vm.space.copyout(STACK, &timer).expect("the stack is mapped");
        self.enter(n, SETITIMER, &[ITIMER_REAL, STACK, 0]);
    }

    /// Begins a call.
    #[allow(dead_code)] // for cases whose processes act at once
    pub(crate) fn start(&mut self, n: usize, number: u32, args: &[u32]) {
        self.enter(n, number, args);
    }

    /// The registers after the call that a process has begun, once that is over.
    #[allow(dead_code)] // for cases whose processes act at once
    pub(crate) fn over(&mut self, n: usize) -> Option<Registers> {
        self.running(n)?;
        self.settle();
        let frame = &self.running(n)?.frame;
        let carry = frame.eflags & eflags::CF != 0;
        Some(Registers { eax: frame.get(Gpr::Eax), edx: frame.get(Gpr::Edx), carry })
    }

    /// Lets a process that was woken go on, or else time pass; false when nothing will happen in time.
    #[allow(dead_code)] // for cases whose processes act at once
    pub(crate) fn go_on(&mut self, until: u64) -> bool {
        if let Some(chosen) = self.kernel.choose() {
            self.kernel.resume(chosen);
            return true;
        }
        let Some(next) = self.kernel.next_timeout().filter(|&next| next <= until) else { return false };
        let now = self.kernel.clock.uptime();
        self.kernel.clock.advance(next.saturating_sub(now));
        self.kernel.run_timeouts();
        true
    }

    /// Takes the watched signals of a process that became pending, and SIGALRM if a handler got it.
    #[allow(dead_code)] // for cases that look at pending signals
    pub(crate) fn take_pending(&mut self, n: usize) -> u32 {
        let Some(Some(member)) = self.members.get_mut(n) else { return 0 };
        let handled = std::mem::take(&mut member.delivered);
        let Some(proc) = self.kernel.procs.get_mut(member.id) else { return 0 };
        let watched = proc.sig.pending & WATCHED;
        proc.sig.pending &= !WATCHED;
        handled.iter().fold(watched, |mask, (signal, _)| mask | 1 << (signal - 1))
    }

    /// The process group of process 0.
    #[allow(dead_code)] // for cases that name it
    pub(crate) fn pgrp(&self) -> u32 {
        let Some(Some(member)) = self.members.first() else { return 0 };
        self.kernel.procs.group(self.kernel.procs[member.id].pgrp).pgid as u32
    }

    /// Goes through the gate.
    fn enter(&mut self, n: usize, number: u32, args: &[u32]) {
        let Some(Some(member)) = self.members.get(n) else { return };
        let id = member.id;
        self.enter_at(id, number, args, STACK_AT);
    }

    fn enter_at(&mut self, id: ProcId, number: u32, args: &[u32], stack: u32) {
        let mut bytes = [0u8; 36];
        for (slot, arg) in bytes[4..].chunks_exact_mut(4).zip(args) {
            slot.copy_from_slice(&arg.to_le_bytes());
        }
        let proc = &mut self.kernel.procs[id];
        proc.vm.space.copyout(stack, &bytes).expect("the stack is mapped");
        proc.frame.set(Gpr::Eax, number);
        proc.frame.set(Gpr::Edx, EDX);
        proc.frame.set(Gpr::Esp, stack);
        proc.frame.eip = BEHIND_GATE;
        self.kernel.trap(id, Trap::Syscall);
    }

    /// Lets every process take its signals, as it would on its way back to user mode.
    fn settle(&mut self) {
        for n in 0..self.members.len() {
            if self.running(n).is_some() {
                let id = self.members[n].as_ref().expect("it runs").id;
                self.kernel.trap(id, Trap::Budget);
                self.run_handlers(n);
            }
        }
    }

    /// Does what the trampoline and the handlers do, from the uppermost frame down.
    fn run_handlers(&mut self, n: usize) {
        while let Some(proc) = self.running(n).filter(|proc| proc.frame.eip == SIGCODE) {
            let frame = proc.frame.get(Gpr::Esp);
            let word = |at: u32| proc.vm.space.fuword(frame + at).expect("the frame is mapped");
            let (signal, context, handler) = (word(0), word(8), word(16));
            assert!(HANDLERS.contains(&handler), "handler at {handler:#x}");
            let on_signal_stack = (SIGNAL_STACK..SIGNAL_STACK + SIGNAL_STACK_LEN).contains(&frame);
            let member = self.members[n].as_mut().expect("it runs");
            member.delivered.push((signal, on_signal_stack));
            let id = member.id;
            self.enter_at(id, number::SIGRETURN, &[context], frame - 36);
        }
    }

    /// A process that is in user mode.
    fn running(&self, n: usize) -> Option<&Proc> {
        let id = self.members.get(n)?.as_ref()?.id;
        self.kernel.procs.get(id).filter(|p| p.state == State::Run && p.asleep.is_none())
    }

    /// Takes the signals that handlers of a process got.
    pub(crate) fn take_delivered(&mut self, n: usize) -> Vec<(u32, bool)> {
        match self.members.get_mut(n) {
            Some(Some(member)) => std::mem::take(&mut member.delivered),
            _ => Vec::new(),
        }
    }

    /// The whole arena of a process.
    pub(crate) fn read_arena(&self, n: usize, into: &mut [u8]) {
        if let Some(Some(member)) = self.members.get(n) {
            self.kernel.procs[member.id].vm.space.copyin(ARENA, into).expect("the arena is mapped");
        }
    }

    /// Writes into the arena of a process.
    pub(crate) fn write_arena(&mut self, n: usize, offset: u32, bytes: &[u8]) {
        if let Some(Some(member)) = self.members.get(n) {
            let space = &self.kernel.procs[member.id].vm.space;
            space.copyout(ARENA + offset, bytes).expect("the arena is mapped");
        }
    }

    /// The number of a process, also of one that has ended.
    pub(crate) fn pid(&self, n: usize) -> u32 {
        self.pids[n]
    }

    /// The number of the parent of process 0.
    pub(crate) fn parent(&self) -> u32 {
        self.parent
    }
}
