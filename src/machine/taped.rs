//! What a machine does whose run is recorded or played: it looks at the host where that is written down.
//!
//! Must not know files of recordings.

use super::{Ended, Limit, Machine};
use crate::host::tape::{List, Question, Running};
use crate::kernel::netinet::bridge;
use crate::kernel::proc::ProcId;
use crate::kernel::socket::lent;
use crate::kernel::tty;
use crate::mem::{AddressSpace, PAGE_SIZE};
use crate::trapframe::{Gpr, Trapframe};

const REGISTERS: [Gpr; 8] = [Gpr::Eax, Gpr::Ecx, Gpr::Edx, Gpr::Ebx, Gpr::Esp, Gpr::Ebp, Gpr::Esi, Gpr::Edi];

/// A hash of registers.
fn registers(hash: &mut Running, frame: &Trapframe) {
    for register in REGISTERS {
        hash.word(u64::from(frame.get(register)));
    }
    hash.word(u64::from(frame.eip));
    hash.word(u64::from(frame.eflags));
}

/// A hash of memory, page by page; what cannot be read counts by its address.
fn memory_of(hash: &mut Running, space: &AddressSpace) {
    let mut page = [0; PAGE_SIZE as usize];
    for region in space.regions() {
        let end = u64::from(region.start) + u64::from(region.len);
        for address in (u64::from(region.start)..end).step_by(PAGE_SIZE as usize) {
            let Ok(address) = u32::try_from(address) else { break };
            hash.word(u64::from(address));
            if space.peek(address, &mut page).is_ok() {
                for word in page.chunks_exact(8) {
                    hash.word(word.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)));
                }
            }
        }
    }
}

impl Machine {
    /// The end of a slice: lets the clock follow the host's time, and has the state written down or compared.
    #[inline]
    pub(super) fn catch_up(&mut self, id: ProcId) {
        if self.kernel.tape.is_on() {
            self.catch_up_taped(id);
        }
    }

    fn catch_up_taped(&mut self, id: ProcId) {
        if self.kernel.tape.follows_host() {
            let ahead = self.kernel.tape.time(self.kernel.clock.uptime(), false);
            self.kernel.clock.advance(ahead);
        }
        let state = || {
            let mut hash = Running::default();
            if let Some(proc) = self.kernel.procs.get(id) {
                registers(&mut hash, &proc.frame);
            }
            hash.mix(self.kernel.clock.uptime())
        };
        self.kernel.tape.check(false, state);
    }

    /// The machine is going to wait: what was written down is put away, and what it is like.
    pub(super) fn check_before_wait(&mut self) {
        if self.kernel.tape.is_on() {
            self.kernel.tape.check(true, || self.kernel.clock.uptime());
        }
    }

    /// The limit that has been hit: those of the host's clock as they are written down.
    pub(super) fn exceeded_as_taped(&mut self) -> Option<Limit> {
        if self.kernel.tape.is_over() {
            return Some(Limit::Recording);
        }
        if let Some(limit) = self.meter.cpu_exceeded() {
            return Some(limit);
        }
        let limit = self.kernel.tape.ask(Question::Limit, 0u64, || match self.meter.exceeded() {
            None => 0,
            Some(Limit::Wall(limit)) => 2 + limit.as_millis() as u64,
            Some(_) => 1,
        });
        match limit {
            0 => None,
            1 => Some(Limit::Interrupted),
            more => Some(Limit::Wall(std::time::Duration::from_millis(more - 2))),
        }
    }

    /// Passes on the host's signals that are written down.
    pub(super) fn pass_as_taped(&mut self) {
        let List(came) = self.kernel.tape.ask(Question::Signals, List::default(), || {
            let signals = self.signals.as_ref().filter(|signals| signals.any());
            List(signals.map(|signals| signals.take()).unwrap_or_default())
        });
        for came in came {
            self.pass_one(came);
        }
    }

    /// A hash of the whole machine: registers of all processes, their memory where `memory`, counts and clock.
    pub fn state(&self, memory: bool) -> u64 {
        let mut hash = Running::default();
        for (_, proc) in self.kernel.procs.iter() {
            hash.word(proc.pid as u64);
            hash.word(proc.instructions);
            registers(&mut hash, &proc.frame);
            if memory {
                memory_of(&mut hash, &proc.vm.space);
            }
        }
        hash.word(self.instructions());
        hash.mix(self.kernel.clock.uptime())
    }

    /// Has the host shown what the guest has written.
    pub fn show_written(&mut self) {
        tty::host::flush_all(&mut self.kernel);
    }

    /// From now on the host is asked again: this process's standard streams, where these are `lent`, its terminal and its
    /// clock are the guest's.  Gives what could not go on, a line each.
    pub fn go_live(&mut self, lent: bool) -> Vec<String> {
        let follows_host = self.kernel.tape.follows_host();
        self.forget_stops();
        self.kernel.tape.go_live();
        if follows_host {
            self.kernel.clock.go_live();
        }
        if lent {
            self.kernel.vfs.streams_go_live();
        }
        tty::host::go_live(&mut self.kernel, lent);
        let connections = bridge::lose_all(&mut self.kernel);
        let sockets = lent::lose_all(&mut self.kernel);
        let lines = [(connections, "of the host's network"), (sockets, "to sockets of the host")];
        let lost = lines.into_iter().filter(|(count, _)| *count > 0);
        lost.map(|(count, what)| format!("{count} connections {what} are gone: their peers have vanished"))
            .collect()
    }

    /// The run is left where it is, for a reason with a number.
    pub fn leave_tape(&self, how: u64) {
        self.kernel.tape.now_at(self.instructions(), self.interrupted().unwrap_or(0));
        self.kernel.tape.end(how, self.state(false));
    }

    /// The run is over: how, and what the machine is like then, is written down or compared.
    pub(super) fn end_tape(&mut self, ended: Ended) {
        if !self.kernel.tape.is_on() || ended == Ended::Limit(Limit::Recording) {
            return;
        }
        let how = match ended {
            Ended::Exited(status) => u64::from(status),
            Ended::Signaled(signal) => 0x100 + u64::from(signal),
            Ended::Deadlock => 0x200,
            Ended::Rebooted(how) => 0x1_0000 + u64::from(how.bits()),
            Ended::Limit(Limit::Wall(_) | Limit::Interrupted) => 0x201,
            Ended::Limit(_) => 0x202,
        };
        let state = self.state(false);
        self.kernel.tape.end(how, state);
    }
}
