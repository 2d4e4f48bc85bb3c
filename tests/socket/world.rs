//! Several processes on one kernel, whose calls are begun and looked at while they sleep.
//!
//! There is no processor: calls go through the gate, and what a program would do in a signal handler
//! (note the signal, return by the trampoline, execute an interrupted call again) is done here.
#![allow(dead_code)] // each test over sockets uses its part

use std::path::Path;

use bsd21::kernel::boot::Config;
use bsd21::kernel::cred::Pcred;
use bsd21::kernel::file::falloc;
use bsd21::kernel::proc::{Proc, ProcId, State};
use bsd21::kernel::signal::psignal;
use bsd21::kernel::socket::Network;
use bsd21::kernel::sysctl::System;
use bsd21::kernel::time::Clock;
use bsd21::kernel::vm::SIGCODE;
use bsd21::kernel::{Context, Kernel};
use bsd21::mem::Prot;
use bsd21::trapframe::{Gpr, Trap, eflags};

/// Where tests keep what calls read and write.
pub(crate) const ARENA: u32 = 0x0010_0000;
const ARENA_LEN: u32 = 0x4_0000;
const STACK: u32 = 0x0030_0000;
const STACK_LEN: u32 = 65536;
/// A signal handler; never executed.
const HANDLER: u32 = 0x2100;
const BEHIND_GATE: u32 = 0x2007;
const GATE: u32 = BEHIND_GATE - 7;

/// Numbers of calls.
#[allow(missing_docs)]
pub(crate) mod nr {
    pub(crate) const EXIT: u32 = 1;
    pub(crate) const FORK: u32 = 2;
    pub(crate) const READ: u32 = 3;
    pub(crate) const WRITE: u32 = 4;
    pub(crate) const CLOSE: u32 = 6;
    pub(crate) const RECVMSG: u32 = 27;
    pub(crate) const SENDMSG: u32 = 28;
    pub(crate) const RECVFROM: u32 = 29;
    pub(crate) const ACCEPT: u32 = 30;
    pub(crate) const GETPEERNAME: u32 = 31;
    pub(crate) const GETSOCKNAME: u32 = 32;
    pub(crate) const PIPE: u32 = 42;
    pub(crate) const SIGACTION: u32 = 46;
    pub(crate) const IOCTL: u32 = 54;
    pub(crate) const FCNTL: u32 = 92;
    pub(crate) const SELECT: u32 = 93;
    pub(crate) const SOCKET: u32 = 97;
    pub(crate) const CONNECT: u32 = 98;
    pub(crate) const OSEND: u32 = 101;
    pub(crate) const ORECV: u32 = 102;
    pub(crate) const SIGRETURN: u32 = 103;
    pub(crate) const BIND: u32 = 104;
    pub(crate) const SETSOCKOPT: u32 = 105;
    pub(crate) const LISTEN: u32 = 106;
    pub(crate) const GETSOCKOPT: u32 = 118;
    pub(crate) const SENDTO: u32 = 133;
    pub(crate) const SHUTDOWN: u32 = 134;
    pub(crate) const SOCKETPAIR: u32 = 135;
}

/// How a call ended.
pub(crate) type Answer = Result<u32, u32>;

/// A kernel with processes, all forked from the first.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) kernel: Kernel,
    ids: Vec<ProcId>,
    /// Signals that handlers got, by process.
    pub(crate) caught: Vec<Vec<u32>>,
}

impl World {
    /// A world whose root is a directory of the host, with process 0.
    pub(crate) fn new(root: &Path) -> Self {
        Self::with(root, Network::Loopback, 0)
    }

    /// The same with another network and user.
    pub(crate) fn with(root: &Path, network: Network, uid: u32) -> Self {
        let config = Config {
            vfs: crate::root::vfs(root),
            clock: Clock::deterministic(),
            system: System::new(b"world"),
            network,
        };
        let mut kernel = Kernel::new(config);
        let id = kernel.first_process(Pcred::new(uid, uid), b"root");
        let proc = &mut kernel.procs[id];
        for (start, len) in [(ARENA, ARENA_LEN), (STACK, STACK_LEN)] {
            proc.vm.space.map_anon(start, len, Prot::READ | Prot::WRITE).expect("the space is empty");
        }
        proc.sig.exec();
        proc.state = State::Run;
        let mut cx = Context::new(&mut kernel, id);
        crate::root::enter(&mut cx);
        for _ in 0..3 {
            falloc(&mut cx).expect("the table is empty");
        }
        Self { kernel, ids: vec![id], caught: vec![Vec::new()] }
    }

    /// Forks process `n`; gives the number of the child.
    pub(crate) fn fork(&mut self, n: usize) -> usize {
        let pid = self.call(n, nr::FORK, &[]).expect("fork succeeds");
        self.ids.push(self.kernel.procs.find(pid as i32).expect("the child is there"));
        self.caught.push(Vec::new());
        self.ids.len() - 1
    }

    /// Begins a call and lets everybody run who can.
    pub(crate) fn begin(&mut self, n: usize, number: u32, args: &[u32]) {
        self.enter(n, number, args);
        self.run();
    }

    /// A call that does not sleep, or not for longer than time needs.
    pub(crate) fn call(&mut self, n: usize, number: u32, args: &[u32]) -> Answer {
        self.begin(n, number, args);
        self.answer(n).unwrap_or_else(|| panic!("call {number} of process {n} sleeps: {:?}", self.wmesg(n)))
    }

    /// How the last call of a process ended, if it has.
    pub(crate) fn answer(&self, n: usize) -> Option<Answer> {
        let frame = &self.running(n)?.frame;
        let eax = frame.get(Gpr::Eax);
        Some(if frame.eflags & eflags::CF == 0 { Ok(eax) } else { Err(eax) })
    }

    /// What a sleeping process waits for.
    pub(crate) fn wmesg(&self, n: usize) -> Option<&'static str> {
        let asleep = self.kernel.procs.get(self.ids[n])?.asleep.as_ref()?;
        Some(asleep.parked.sleep.wmesg)
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, milliseconds: u64) {
        let end = self.kernel.clock.uptime() + milliseconds * 1_000_000;
        loop {
            self.run();
            let now = self.kernel.clock.uptime();
            let next = self.kernel.next_timeout().unwrap_or(u64::MAX).clamp(now, end);
            self.kernel.clock.advance(next - now);
            self.kernel.run_timeouts();
            self.run();
            if next >= end {
                return;
            }
        }
    }

    /// Catches a signal, with SA_RESTART or without.
    pub(crate) fn catch(&mut self, n: usize, signal: u32, restart: bool) {
        let action = [HANDLER, 0, if restart { 2 } else { 0 }];
        let bytes: Vec<u8> = action.iter().flat_map(|w| w.to_le_bytes()).collect();
        self.write(n, ARENA_LEN - 12, &bytes);
        self.call(n, nr::SIGACTION, &[signal, ARENA + ARENA_LEN - 12, 0]).expect("the signal can be caught");
    }

    /// Sends a signal.
    pub(crate) fn signal(&mut self, n: usize, signal: u32) {
        psignal(&mut self.kernel, self.ids[n], signal);
        self.run();
    }

    /// Writes into a process's arena.
    pub(crate) fn write(&mut self, n: usize, offset: u32, bytes: &[u8]) {
        let space = &self.kernel.procs[self.ids[n]].vm.space;
        space.copyout(ARENA + offset, bytes).expect("the arena is mapped");
    }

    /// Writes words into a process's arena.
    pub(crate) fn words(&mut self, n: usize, offset: u32, words: &[u32]) {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        self.write(n, offset, &bytes);
    }

    /// Reads from a process's arena.
    pub(crate) fn read(&self, n: usize, offset: u32, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let space = &self.kernel.procs[self.ids[n]].vm.space;
        space.copyin(ARENA + offset, &mut bytes).expect("the arena is mapped");
        bytes
    }

    /// Lets everybody run until all sleep or are done.
    fn run(&mut self) {
        loop {
            self.settle();
            match self.kernel.choose() {
                Some(id) => self.kernel.resume(id),
                None => break,
            }
        }
        self.settle();
    }

    fn enter(&mut self, n: usize, number: u32, args: &[u32]) {
        let stack = STACK + STACK_LEN - 256;
        let mut bytes = [0u8; 36];
        for (slot, arg) in bytes[4..].chunks_exact_mut(4).zip(args) {
            slot.copy_from_slice(&arg.to_le_bytes());
        }
        let id = self.ids[n];
        let proc = &mut self.kernel.procs[id];
        proc.vm.space.copyout(stack, &bytes).expect("the stack is mapped");
        proc.frame.set(Gpr::Eax, number);
        proc.frame.set(Gpr::Esp, stack);
        proc.frame.eip = BEHIND_GATE;
        self.kernel.trap(id, Trap::Syscall);
    }

    /// Goes through the gate and leaves everything else alone.
    pub(crate) fn quick(&mut self, n: usize, number: u32, args: &[u32]) {
        self.enter(n, number, args);
    }

    /// Lets the next process go on.
    pub(crate) fn switch(&mut self) {
        if let Some(id) = self.kernel.choose() {
            self.kernel.resume(id);
        }
    }

    /// Lets every process take its signals, and go through the gate again where a call is restarted.
    fn settle(&mut self) {
        for n in 0..self.ids.len() {
            while let Some(proc) = self.running(n) {
                let id = self.ids[n];
                match proc.frame.eip {
                    SIGCODE => self.run_handler(n),
                    GATE => {
                        self.kernel.procs[id].frame.eip = BEHIND_GATE;
                        self.kernel.trap(id, Trap::Syscall);
                    }
                    _ => {
                        let before = proc.frame.eip;
                        self.kernel.trap(id, Trap::Budget);
                        if self.running(n).is_none_or(|proc| proc.frame.eip == before) {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Does what the handler and the trampoline do.
    fn run_handler(&mut self, n: usize) {
        let id = self.ids[n];
        let proc = &mut self.kernel.procs[id];
        let frame = proc.frame.get(Gpr::Esp);
        let word = |proc: &Proc, at: u32| proc.vm.space.fuword(frame + at).expect("the frame is mapped");
        let (signal, context) = (word(proc, 0), word(proc, 8));
        self.caught[n].push(signal);
        let proc = &mut self.kernel.procs[id];
        proc.vm.space.copyout(frame - 36 + 4, &context.to_le_bytes()).expect("the stack is mapped");
        proc.frame.set(Gpr::Eax, nr::SIGRETURN);
        proc.frame.set(Gpr::Esp, frame - 36);
        proc.frame.eip = BEHIND_GATE;
        self.kernel.trap(id, Trap::Syscall);
    }

    /// A process that is in user mode.
    fn running(&self, n: usize) -> Option<&Proc> {
        self.kernel.procs.get(self.ids[n]).filter(|p| p.state == State::Run && p.asleep.is_none())
    }
}
