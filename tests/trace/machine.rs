//! Processes on a kernel of their own, which make calls through the gate, with a tracer that listens.

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;

use bsd21::kernel::boot::Config;
use bsd21::kernel::cred::Pcred;
use bsd21::kernel::file::falloc;
use bsd21::kernel::proc::{ProcId, State};
use bsd21::kernel::socket::Network;
use bsd21::kernel::sysctl::System;
use bsd21::kernel::time::Clock;
use bsd21::kernel::vfs::mount::{MountFlags, Source};
use bsd21::kernel::vfs::{self, Vfs};
use bsd21::kernel::{Context, Kernel};
use bsd21::mem::Prot;
use bsd21::trace::{Options, Output, Tracer};
use bsd21::trapframe::{Gpr, Trap, eflags};

/// Where data are.
const DATA: u32 = 0x10_0000;
/// Where arguments are.
const STACK: u32 = 0x20_0000;
/// Address of the gate instruction.
const GATE: u32 = 0x2000;

/// A number and argument words.
#[derive(Clone, Debug)]
pub(crate) struct Call(u32, Vec<u32>);

/// A call by its name.
pub(crate) fn call(name: &str, words: &[u32]) -> Call {
    let row = syscalls::lookup(name).expect("a call");
    Call(row.code.into(), words.to_vec())
}

/// A call by its number.
pub(crate) fn call_of(number: u32, words: &[u32]) -> Call {
    Call(number, words.to_vec())
}

#[derive(Clone, Debug, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A kernel with one process, and perhaps a tracer.
pub(crate) struct Machine {
    pub(crate) kernel: Kernel,
    first: ProcId,
    tracer: Option<(Tracer, Shared)>,
    used: u32,
}

impl Machine {
    pub(crate) fn plain() -> Self {
        Self::over(Vfs::default())
    }

    /// A machine whose root is a directory of the host.
    pub(crate) fn rooted(root: &Path) -> Self {
        let mut vfs = Vfs::new(vfs::Options::default());
        vfs.mount_root(&Source::Host(root), MountFlags::empty()).expect("the directory can be mounted");
        let mut machine = Self::over(vfs);
        let mut cx = Context::new(&mut machine.kernel, machine.first);
        vfs::change_directory(&mut cx, b"/").expect("the root is there");
        machine
    }

    fn over(vfs: Vfs) -> Self {
        let mut kernel = Kernel::new(Config {
            vfs,
            clock: Clock::deterministic(),
            system: System::default(),
            network: Network::Loopback,
        });
        let first = kernel.first_process(Pcred::new(0, 0), b"root");
        let proc = &mut kernel.procs[first];
        for (at, len) in [(DATA, 65536), (STACK, 4096)] {
            proc.vm.space.map_anon(at, len, Prot::READ | Prot::WRITE).expect("room");
        }
        proc.comm = b"guest".to_vec();
        proc.state = State::Run;
        for _ in 0..3 {
            falloc(&mut Context::new(&mut kernel, first)).expect("the table is empty");
        }
        kernel.set_run_queue(first);
        kernel.choose();
        Self { kernel, first, tracer: None, used: 0 }
    }

    pub(crate) fn traced(options: Options) -> Self {
        let mut machine = Self::plain();
        let bytes = Shared::default();
        let tracer = Tracer::new(options, Output::stream(Box::new(bytes.clone()), false));
        machine.kernel.set_observer(Some(Box::new(tracer.clone())));
        machine.tracer = Some((tracer, bytes));
        machine
    }

    /// The trace.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let (tracer, bytes) = self.tracer.as_ref().expect("a tracer");
        tracer.finish(&self.kernel).expect("memory is never full");
        bytes.0.borrow().clone()
    }

    pub(crate) fn pid(&self) -> i32 {
        self.kernel.procs[self.first].pid
    }

    pub(crate) fn ignore_sigsys(&mut self) {
        self.kernel.procs[self.first].sig.mask |= 1 << 11;
    }

    /// Puts bytes into the first process's memory.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> u32 {
        let at = DATA + self.used;
        self.used += (bytes.len() as u32).next_multiple_of(4);
        self.kernel.procs[self.first].vm.space.copyout(at, bytes).expect("room");
        at
    }

    /// Bytes of the first process's memory.
    pub(crate) fn bytes(&self, at: u32, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.kernel.procs[self.first].vm.space.copyin(at, &mut bytes).expect("mapped");
        bytes
    }

    fn words(&mut self, words: &[u32]) -> u32 {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        self.put(&bytes)
    }

    /// Makes a call of the first process: eax, or the error.
    pub(crate) fn call(&mut self, call: Call) -> Result<u32, u32> {
        self.begin(self.first, &call);
        self.answer(self.first).expect("the call does not sleep")
    }

    /// Makes a call that may sleep.
    fn begin(&mut self, id: ProcId, call: &Call) {
        for _ in 0..64 {
            if self.kernel.running(id).is_some() {
                break;
            }
            self.kernel.yield_current();
            self.kernel.choose();
        }
        let proc = &mut self.kernel.procs[id];
        for (at, word) in (STACK + 4..).step_by(4).zip(&call.1) {
            proc.vm.space.suword(at, *word).expect("the stack is mapped");
        }
        proc.frame.set(Gpr::Eax, call.0);
        proc.frame.set(Gpr::Edx, 0);
        proc.frame.set(Gpr::Esp, STACK);
        proc.frame.eip = GATE + 7;
        self.kernel.trap(id, Trap::Syscall);
    }

    /// The result of the call that a process was in; `None` while it sleeps or is no more.
    fn answer(&self, id: ProcId) -> Option<Result<u32, u32>> {
        let proc = self.kernel.procs.get(id).filter(|p| p.state == State::Run && p.asleep.is_none())?;
        let eax = proc.frame.get(Gpr::Eax);
        Some(if proc.frame.eflags & eflags::CF == 0 { Ok(eax) } else { Err(eax) })
    }

    /// Lets processes that were woken go on with their calls.
    fn settle(&mut self) {
        for _ in 0..64 {
            let Some(id) = self.kernel.choose() else { return };
            if self.kernel.procs[id].asleep.is_some() {
                self.kernel.resume(id);
            }
            self.kernel.yield_current();
        }
    }

    /// A pair of connected sockets.
    pub(crate) fn pair(&mut self) -> (u32, u32) {
        let at = self.words(&[0, 0]);
        self.call(call("socketpair", &[1, 1, 0, at, 0])).expect("a pair");
        let word = |a| self.kernel.procs[self.first].vm.space.fuword(a).expect("mapped");
        (word(at), word(at + 4))
    }
}

/// Two processes: the first waits for what its child sends, an open descriptor with it.  Gives the answers.
pub(crate) fn exchange(m: &mut Machine) -> Vec<Option<Result<u32, u32>>> {
    let (first, mut answers) = (m.first, Vec::new());
    let pair = m.pair();
    let text = m.put(b"hello, parent\n");
    let room = m.put(&[0; 64]);
    let iov = m.words(&[text, 14]);
    let control = m.words(&[16, 0xffff, 1, pair.1]);
    let message = m.words(&[0, 0, iov, 1, control, 16, 0]);
    let rcv_iov = m.words(&[room, 64]);
    let rcv_control = m.words(&[0; 4]);
    let received = m.words(&[0, 0, rcv_iov, 1, rcv_control, 16, 0]);
    let status = m.words(&[0]);
    let limit = m.words(&[64, 0, 64, 0]);

    answers.push(Some(m.call(call("getpid", &[]))));
    answers.push(Some(m.call(call("getrlimit", &[8, limit]))));
    let child = m.call(call("fork", &[])).expect("a child");
    let child = m.kernel.procs.find(child.cast_signed()).expect("the child runs");

    m.begin(first, &call("recvmsg", &[pair.0, received, 0]));
    answers.push(m.answer(first));
    m.begin(child, &call("sendmsg", &[pair.1, message, 0]));
    answers.push(m.answer(child));
    m.settle();
    answers.push(m.answer(first));
    m.begin(first, &call("wait4", &[u32::MAX, status, 0, 0]));
    m.begin(child, &call("write", &[99, text, 14]));
    answers.push(m.answer(child));
    m.begin(child, &call("exit", &[3]));
    m.settle();
    answers.push(m.answer(first));
    answers.push(Some(m.call(call("close", &[pair.0]))));
    answers
}
