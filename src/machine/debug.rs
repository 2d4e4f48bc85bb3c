//! Running a machine under a debugger's eyes: to a breakpoint, a watched word, a call, a fault, or so many instructions.
//!
//! Whatever stops a run, it goes on as if it had not been stopped: a turn at the processor that was interrupted is
//! taken up where it was, so that runs on the virtual clock stay the same with and without a debugger.  A guest can
//! see nothing of a breakpoint: no byte of its memory changes.
//!
//! Must not know how a debugger is spoken to.  2.1 counterpart: none; its ptrace is the guests' own.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use iced_x86::{Decoder, DecoderOptions, InstructionInfoFactory, OpAccess, Register, UsedMemory};

use super::turn::Turn;
use super::{Ended, Machine};
use crate::cpu::Stopped;
use crate::host::memory;
use crate::kernel::proc::{Flags, Proc, ProcId, State};
use crate::kernel::tty;
use crate::mem::{AddressSpace, Backing, FileId, Prot, Region, Sharing};
use crate::trapframe::{Gpr, Trap, Trapframe};

/// Bytes of the gate, `lcall $7,$0`.
const GATE: [u8; 7] = [0x9a, 0, 0, 0, 0, 7, 0];
/// Calls that name another one by their first word.
const INDIRECT: [u32; 2] = [0, 198];
/// Longest watched piece of memory.
const MOST_WATCHED: u32 = 1 << 16;

/// What is done to watched memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touch {
    /// It is written, by the process or by the kernel for it.
    Write,
    /// It is read by the process.
    Read,
    /// Either.
    Any,
}

/// Where a machine stops.
#[derive(Clone, Debug, Default)]
pub struct Stops {
    /// Addresses of instructions, in every process.
    pub breakpoints: BTreeSet<u32>,
    /// Watched memory: address, bytes, what is done to it.
    pub watched: BTreeSet<(u32, u32, Touch)>,
    /// Numbers of calls, where they begin and where they have ended.
    pub calls: BTreeSet<u32>,
    /// Every call.
    pub all_calls: bool,
    /// Process that stops behind its next instruction.
    pub step: Option<i32>,
    /// Count of all instructions at which the machine stops.
    pub at: Option<u64>,
}

impl Stops {
    /// Whether each instruction must be looked at: nothing else tells of loads.
    fn look_closely(&self) -> bool {
        self.step.is_some() || self.watched.iter().any(|(_, _, touch)| *touch != Touch::Write)
    }
}

/// Why a machine has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// At a breakpoint.
    Breakpoint(i32),
    /// Behind one instruction.
    Step(i32),
    /// Behind an instruction or a call that touched watched memory.
    Watched(i32, u32, Touch),
    /// A call begins: process, number.
    Enter(i32, u32),
    /// A call has ended.
    Leave(i32, u32),
    /// An instruction has caused a signal, which has not been delivered.
    Signal(i32, u32),
    /// So many instructions have been executed.
    Count,
    /// Some time has passed, and the guest sleeps.
    Asleep,
    /// The run is over.
    Ended(Ended),
}

/// What a debugger knows of a machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Debugger {
    stops: Stops,
    /// For the processors: the breakpoints, and what is watched for stores.
    breaks: Rc<BTreeSet<u32>>,
    stored: Vec<(u32, u32)>,
    /// Why the machine stops now.
    stop: Option<Stop>,
    /// A process and its count of instructions at which it does not stop again.
    passed: Option<(i32, u64)>,
    /// The process that was to make a step has made it.
    stepped: bool,
    /// Calls that have begun and were told, by process.
    inside: BTreeMap<i32, u32>,
    /// Set by somebody who wants the machine to stop at the next instruction.
    flag: Option<Rc<Cell<bool>>>,
    /// Contents of watched memory, by process.
    seen: BTreeMap<(i32, u32), Vec<u8>>,
}

impl Debugger {
    /// Takes what is wanted from now on.
    fn set(&mut self, stops: &Stops) {
        // A step needs none, and what was decoded around them stays.
        if stops.step.is_none() && *self.breaks != stops.breakpoints {
            self.breaks = Rc::new(stops.breakpoints.clone());
        }
        let pieces = stops.watched.iter().map(|&(address, length, _)| (address, length.min(MOST_WATCHED)));
        self.stored = if stops.look_closely() { Vec::new() } else { pieces.collect() };
        self.stops = stops.clone();
    }

    /// How many instructions may be executed before the next look.
    fn stretch(&self, left: u64, total: u64) -> u64 {
        if self.stops.look_closely() {
            return left.min(1);
        }
        match self.stops.at {
            Some(at) => left.min(at.saturating_sub(total).max(1)),
            None => left,
        }
    }

    /// Whether a process must not execute its next instruction now; `count` is its own count of instructions.
    fn before(&mut self, pid: i32, count: u64, total: u64, proc: &Proc) -> Option<Stop> {
        if self.passed == Some((pid, count)) {
            return None;
        }
        self.passed = None;
        if self.flag.as_ref().is_some_and(|flag| flag.take()) {
            return Some(Stop::Count);
        }
        let frame = &proc.frame;
        if self.stepped && self.stops.step == Some(pid) {
            return Some(Stop::Step(pid));
        }
        if let Some(number) = self.inside.remove(&pid) {
            return Some(Stop::Leave(pid, number));
        }
        if let Some(stop) = self.changed(pid, &proc.vm.space) {
            return Some(stop);
        }
        if self.stops.breakpoints.contains(&frame.eip) {
            return Some(Stop::Breakpoint(pid));
        }
        if let Some(number) = self.begins(frame, frame.eip, &proc.vm.space) {
            self.inside.insert(pid, number);
            return Some(Stop::Enter(pid, number));
        }
        self.stops.at.filter(|&at| total >= at).map(|_| Stop::Count)
    }

    /// The number of the call that the next instruction makes, if it is wanted.
    fn begins(&self, frame: &Trapframe, eip: u32, space: &AddressSpace) -> Option<u32> {
        if self.stops.calls.is_empty() && !self.stops.all_calls {
            return None;
        }
        let mut code = [0; GATE.len()];
        space.peek(eip, &mut code).ok()?;
        if code != GATE {
            return None;
        }
        let mut number = frame.get(Gpr::Eax);
        if INDIRECT.contains(&number) {
            let mut word = [0; 4];
            space.peek(frame.get(Gpr::Esp).wrapping_add(4), &mut word).ok()?;
            number = u32::from_le_bytes(word);
        }
        (self.stops.all_calls || self.stops.calls.contains(&number)).then_some(number)
    }

    /// Notes what watched memory holds, where that is not known.
    fn look_at_watched(&mut self, pid: i32, space: &AddressSpace) {
        for &(address, length, _) in &self.stops.watched {
            self.seen.entry((pid, address)).or_insert_with(|| content(space, address, length));
        }
    }

    /// Watched memory whose content is not what it was; by whomever it was changed.
    fn changed(&mut self, pid: i32, space: &AddressSpace) -> Option<Stop> {
        let mut found = None;
        for &(address, length, touch) in &self.stops.watched {
            let now = content(space, address, length);
            let before = self.seen.insert((pid, address), now.clone());
            if touch != Touch::Read && before.is_some_and(|before| before != now) {
                found.get_or_insert(Stop::Watched(pid, address, touch));
            }
        }
        found
    }

    /// What is watched at an address.
    fn piece(&self, address: u32) -> Option<(u32, Touch)> {
        self.stops.watched.iter().find(|(at, _, _)| *at == address).map(|&(at, _, touch)| (at, touch))
    }

    /// Takes a process that has just gone through the gate back before it, where it must stop: the gate has changed
    /// nothing but the count of instructions, which was `count` before it, and their pointer.
    fn stops_before_call(
        &mut self,
        (pid, count): (i32, u64),
        turn: &mut Turn,
        frame: &mut Trapframe,
        space: &AddressSpace,
    ) -> bool {
        let gate = frame.eip.wrapping_sub(GATE.len() as u32);
        let Some(number) = self.begins(frame, gate, space).filter(|_| turn.done > 0) else { return false };
        if self.passed == Some((pid, count)) {
            return false;
        }
        (frame.eip, turn.done) = (gate, turn.done - 1);
        self.inside.insert(pid, number);
        self.stop = Some(Stop::Enter(pid, number));
        true
    }

    /// Watched memory that the next instruction touches.
    fn touches(&self, frame: &Trapframe, space: &AddressSpace) -> Option<(u32, Touch)> {
        if self.stops.watched.is_empty() {
            return None;
        }
        let mut code = [0; 16];
        let have = space.fetch(frame.eip, &mut code);
        let mut decoder = Decoder::with_ip(32, code.get(..have)?, u64::from(frame.eip), DecoderOptions::NONE);
        let instruction = decoder.decode();
        let mut factory = InstructionInfoFactory::new();
        let used = factory.info(&instruction).used_memory();
        self.stops.watched.iter().find_map(|&(address, length, touch)| {
            let meets = |memory: &&UsedMemory| {
                is_wanted(memory.access(), touch) && meets(memory, frame, address, length)
            };
            used.iter().find(meets).map(|_| (address, touch))
        })
    }
}

/// What watched memory holds; nothing where it is not there.
fn content(space: &AddressSpace, address: u32, length: u32) -> Vec<u8> {
    let mut now = vec![0; length.min(MOST_WATCHED) as usize];
    if space.peek(address, &mut now).is_err() {
        now.clear();
    }
    now
}

fn is_wanted(access: OpAccess, touch: Touch) -> bool {
    let reads =
        matches!(access, OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite);
    let writes = matches!(
        access,
        OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
    );
    match touch {
        Touch::Read => reads,
        Touch::Write => writes,
        Touch::Any => reads || writes,
    }
}

/// Whether an operand in memory lies in a watched piece; all segments of 2.1 begin at 0.
fn meets(memory: &UsedMemory, frame: &Trapframe, address: u32, length: u32) -> bool {
    let value = |register: Register, _: usize, _: usize| Some(u64::from(register_of(frame, register)));
    let Some(at) = memory.virtual_address(0, value) else { return false };
    let (at, size) = (u64::from(at as u32), memory.memory_size().size().max(1) as u64);
    let (from, to) = (u64::from(address), u64::from(address) + u64::from(length));
    at < to && at + size > from
}

fn register_of(frame: &Trapframe, register: Register) -> u32 {
    const FULL: [(Register, Gpr); 8] = [
        (Register::EAX, Gpr::Eax),
        (Register::ECX, Gpr::Ecx),
        (Register::EDX, Gpr::Edx),
        (Register::EBX, Gpr::Ebx),
        (Register::ESP, Gpr::Esp),
        (Register::EBP, Gpr::Ebp),
        (Register::ESI, Gpr::Esi),
        (Register::EDI, Gpr::Edi),
    ];
    if register.is_segment_register() {
        return 0;
    }
    let whole = register.full_register32();
    let value = FULL.iter().find(|(name, _)| *name == whole).map_or(0, |(_, gpr)| frame.get(*gpr));
    if register.size() == 2 { value & 0xffff } else { value }
}

/// A process as a debugger sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its number.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// The name of its program.
    pub name: Vec<u8>,
    /// What it waits for, if it sleeps.
    pub sleeps: Option<&'static str>,
    /// Instructions so far.
    pub instructions: u64,
}

impl Machine {
    /// Lets a debugger stop this machine from now on.
    pub fn debug(&mut self) {
        self.debugger.get_or_insert_default();
    }

    /// Has the machine stop at the next instruction of any process once a flag is set, as if so many had been counted.
    pub fn stop_when(&mut self, flag: Rc<Cell<bool>>) {
        self.debugger.get_or_insert_default().flag = Some(flag);
    }

    /// Nothing stops the machine any more.
    pub fn forget_stops(&mut self) {
        if let Some(debugger) = &mut self.debugger {
            (debugger.stops, debugger.flag) = (Stops::default(), None);
        }
    }

    /// Runs until something of `stops`, a fault of a process, or the end.
    pub fn run_until(&mut self, stops: &Stops) -> Stop {
        let debugger = self.debugger.get_or_insert_default();
        debugger.set(stops);
        (debugger.stop, debugger.stepped) = (None, false);
        // What is watched from now on has its content of now.
        debugger
            .seen
            .retain(|(_, address), _| stops.watched.iter().any(|(watched, _, _)| watched == address));
        for (_, proc) in self.kernel.procs.iter().filter(|_| !stops.watched.is_empty()) {
            debugger.look_at_watched(proc.pid, &proc.vm.space);
        }
        if let Some(turn) = &self.turn
            && let Some(proc) = self.kernel.procs.get(turn.id)
        {
            debugger.passed = Some((proc.pid, proc.instructions + turn.done));
        }
        let went = self.go();
        // Whoever looks at the stopped machine sees what it has written; what a recording says is not asked out of turn.
        if !self.kernel.tape.is_on() {
            tty::host::flush_all(&mut self.kernel);
        }
        match went {
            Some(ended) => Stop::Ended(ended),
            None => self.debugger.as_mut().and_then(|d| d.stop.take()).unwrap_or(Stop::Count),
        }
    }

    /// Instructions of all processes so far, up to the place where the machine has stopped.
    pub fn instructions(&self) -> u64 {
        self.instructions + self.turn.as_ref().map_or(0, |turn| turn.done)
    }

    /// What a stopped process shall find of the signal that its last instruction caused; none: nothing.
    pub fn answer_signal(&mut self, signal: Option<u32>) {
        if let Some(fault) = self.turn.as_mut().and_then(|turn| turn.fault.as_mut()) {
            fault.signal = signal;
        }
    }

    /// What has been written to standard output and standard error so far, where that is captured.
    pub fn written(&self) -> [Vec<u8>; 2] {
        let [_, stdout, stderr] = &self.captured;
        [stdout, stderr]
            .map(|file| file.as_ref().and_then(|file| memory::content(file).ok()).unwrap_or_default())
    }

    /// The process whose turn has been interrupted.
    pub fn interrupted(&self) -> Option<i32> {
        let turn = self.turn.as_ref()?;
        self.kernel.procs.get(turn.id).map(|proc| proc.pid)
    }

    /// The guest's processes.
    pub fn processes(&self) -> Vec<Seen> {
        let procs = self.kernel.procs.iter();
        let alive =
            procs.filter(|(_, p)| p.state != State::Zombie && !p.flags.contains(Flags::SYSTEM) && p.pid != 1);
        alive
            .map(|(_, proc)| Seen {
                pid: proc.pid,
                parent: proc
                    .parent
                    .and_then(|parent| self.kernel.procs.get(parent))
                    .map_or(0, |parent| parent.pid),
                name: proc.comm.clone(),
                sleeps: proc.asleep.as_ref().map(|asleep| asleep.parked.sleep.wmesg),
                instructions: proc.instructions,
            })
            .collect()
    }

    fn of_pid(&self, pid: i32) -> Option<(ProcId, &Proc)> {
        let id = self.kernel.procs.find(pid)?;
        self.kernel.procs.get(id).map(|proc| (id, proc))
    }

    /// The registers of a process.
    pub fn registers(&self, pid: i32) -> Option<&Trapframe> {
        self.of_pid(pid).map(|(_, proc)| &proc.frame)
    }

    /// Sets the registers of a process; segment registers stay as they are.
    pub fn set_registers(&mut self, pid: i32, mut frame: Trapframe) -> bool {
        let Some((id, proc)) = self.of_pid(pid) else { return false };
        frame.seg = proc.frame.seg;
        self.kernel.procs[id].frame = frame;
        true
    }

    /// Reads memory of a process, up to the first byte that is not there; gives the count.
    pub fn peek(&self, pid: i32, address: u32, to: &mut [u8]) -> usize {
        let Some((_, proc)) = self.of_pid(pid) else { return 0 };
        if proc.vm.space.peek(address, to).is_ok() {
            return to.len();
        }
        let readable = |(at, byte): (usize, &mut u8)| {
            proc.vm.space.peek(address.wrapping_add(at as u32), std::slice::from_mut(byte)).is_ok()
        };
        to.iter_mut().enumerate().map(readable).take_while(|&read| read).count()
    }

    /// What is mapped in a process, in order of addresses.
    pub fn regions(&self, pid: i32) -> Vec<Region> {
        self.of_pid(pid).map(|(_, proc)| proc.vm.space.regions().collect()).unwrap_or_default()
    }

    /// Files whose beginning processes have mapped to execute them, and where; their own programs are not among them.
    pub fn mapped_programs(&self) -> Vec<(u32, FileId)> {
        let mut found = Vec::new();
        for (_, proc) in self.kernel.procs.iter().filter(|(_, proc)| proc.state != State::Zombie) {
            let own = proc.text;
            found.extend(proc.vm.space.regions().filter_map(|region| match region.backing {
                Backing::File { id, offset: 0, sharing: Sharing::Private }
                    if region.prot.contains(Prot::EXEC) =>
                {
                    let vnode = self.kernel.vfs.held_file(id);
                    (vnode.is_some() && vnode != own).then_some((region.start, id))
                }
                _ => None,
            }));
        }
        found
    }

    /// The path and the bytes of a file of the guest that is mapped, where the kernel still holds it.
    pub fn file(&self, id: FileId) -> Option<(Vec<u8>, Vec<u8>)> {
        let vnode = self.kernel.vfs.held_file(id)?;
        Some((self.kernel.vfs.path_of(vnode)?, self.kernel.vfs.image_of(vnode)?))
    }

    /// The path of a file of the guest that is mapped, where the kernel still holds it.
    pub fn name_of(&self, id: FileId) -> Option<Vec<u8>> {
        self.kernel.vfs.path_of(self.kernel.vfs.held_file(id)?)
    }

    /// Writes memory of a process, read-only text too.
    pub fn poke(&mut self, pid: i32, address: u32, bytes: &[u8]) -> bool {
        self.of_pid(pid).is_some_and(|(_, proc)| proc.vm.space.poke(address, bytes).is_ok())
    }

    /// Looks whether the machine stops at its present count of instructions although nobody executes any.
    pub(super) fn stops_asleep(&mut self) -> bool {
        let Some(debugger) = &mut self.debugger else { return false };
        debugger.stop = Some(Stop::Asleep);
        true
    }

    /// Executes instructions of the process whose turn it is, as many as are left of it; `None` where the
    /// debugger wants to stop.
    pub(super) fn execute_watched(&mut self, turn: &mut Turn) -> Option<Stopped> {
        let debugger = self.debugger.as_mut()?;
        let slot = &mut self.slots[turn.id.index()];
        let proc = &mut self.kernel.procs[turn.id];
        let pid = proc.pid;
        loop {
            let (count, total) = (proc.instructions + turn.done, self.instructions + turn.done);
            if let Some(stop) = debugger.before(pid, count, total, proc) {
                debugger.stop = Some(stop);
                return None;
            }
            if turn.done >= turn.left {
                return Some(Stopped { trap: Trap::Budget, retired: std::mem::take(&mut turn.done) });
            }
            let closely = debugger.stops.look_closely();
            let touched = if closely { debugger.touches(&proc.frame, &proc.vm.space) } else { None };
            let most = debugger.stretch(turn.left - turn.done, total);
            slot.cpu.stop_at(&debugger.breaks);
            proc.vm.space.watch_memory(&debugger.stored);
            let stopped = slot.cpu.run(&mut proc.frame, &mut proc.vm.space, most);
            turn.done += stopped.retired;
            let stored = proc.vm.space.take_touched().and_then(|address| debugger.piece(address));
            if matches!(stopped.trap, Trap::Syscall)
                && let at = (pid, proc.instructions + turn.done.saturating_sub(1))
                && debugger.stops_before_call(at, turn, &mut proc.frame, &proc.vm.space)
            {
                slot.cpu.set_clock(slot.cpu.clock().wrapping_sub(1));
                return None;
            }
            if !matches!(stopped.trap, Trap::Budget) {
                // Behind a trap it stops when it goes on.
                debugger.stepped |= debugger.stops.step == Some(pid);
                return Some(Stopped { trap: stopped.trap, retired: std::mem::take(&mut turn.done) });
            }
            let stop = match touched.or(stored) {
                Some((address, touch)) => {
                    debugger.changed(pid, &proc.vm.space);
                    Some(Stop::Watched(pid, address, touch))
                }
                None => debugger
                    .changed(pid, &proc.vm.space)
                    .or_else(|| (debugger.stops.step == Some(pid)).then_some(Stop::Step(pid))),
            };
            if let Some(stop) = stop {
                debugger.stop = Some(stop);
                return None;
            }
        }
    }

    /// Has a fault wait for the debugger's answer; false where nobody debugs, or the trap is no fault.
    pub(super) fn hold_fault(&mut self, turn: &mut Turn, stopped: Stopped) -> bool {
        let Some(debugger) = &mut self.debugger else { return false };
        let pid = self.kernel.procs[turn.id].pid;
        if let Some((signal, code)) = self.kernel.signal_of(turn.id, stopped.trap) {
            turn.fault = Some(Fault { signal: Some(signal), code, retired: stopped.retired });
            debugger.stop = Some(Stop::Signal(pid, signal));
        }
        turn.fault.is_some()
    }
}

/// A signal that a process has caused and not yet got.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    /// What it shall get.
    pub(super) signal: Option<u32>,
    /// The code of the trap.
    pub(super) code: u32,
    /// Instructions retired before it.
    pub(super) retired: u64,
}
