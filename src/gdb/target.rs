//! What gdb may ask of a machine: its processes as threads, their registers and memory, where to stop.

use std::convert::Infallible;

use gdbstub::common::{Signal, Tid};
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::multithread::{
    MultiThreadBase, MultiThreadResume, MultiThreadResumeOps, MultiThreadSchedulerLocking,
    MultiThreadSchedulerLockingOps, MultiThreadSingleStep, MultiThreadSingleStepOps,
};
use gdbstub::target::ext::base::reverse_exec::{ReverseCont, ReverseContOps, ReverseStep, ReverseStepOps};
use gdbstub::target::ext::breakpoints::{
    Breakpoints, BreakpointsOps, HwBreakpoint, HwBreakpointOps, HwWatchpoint, HwWatchpointOps, SwBreakpoint,
    SwBreakpointOps, WatchKind,
};
use gdbstub::target::ext::catch_syscalls::{CatchSyscalls, CatchSyscallsOps, SyscallNumbers};
use gdbstub::target::ext::exec_file::{ExecFile, ExecFileOps};
use gdbstub::target::ext::host_io::HostIoOps;
use gdbstub::target::ext::libraries::LibrariesOps;
use gdbstub::target::ext::monitor_cmd::{ConsoleOutput, MonitorCmd, MonitorCmdOps};
use gdbstub::target::ext::thread_extra_info::{ThreadExtraInfo, ThreadExtraInfoOps};
use gdbstub::target::{Target, TargetError, TargetResult};

use super::arch::{I386, Packed};
use super::back::Maker;
use super::kept::Kept;
use super::libraries::Mapped;
use crate::machine::Machine;
use crate::machine::debug::{Stop, Stops, Touch};

/// What the guest shall do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Continue,
    Step(i32),
    BackStep,
    BackContinue,
}

/// A machine with a debugger at it.
#[derive(Debug)]
pub struct Session {
    pub(super) machine: Machine,
    /// Who makes the same machine again, where a run can be repeated.
    pub(super) maker: Option<Maker>,
    pub(super) stops: Stops,
    pub(super) action: Action,
    /// The file of the first program, for gdb.
    pub(super) file: Vec<u8>,
    /// Registers or memory were changed by a person.
    pub(super) changed: bool,
    /// gdb itself has asked for calls, and knows what a stop at one is.
    pub(super) knows_calls: bool,
    /// The call at which the guest stops, in words.
    pub(super) at_call: Option<String>,
    /// The thread that gdb was last told of.
    pub(super) current: i32,
    /// Earlier moments of the run.
    pub(super) kept: Kept,
    /// Libraries, for gdb.
    pub(super) mapped: Mapped,
    /// A stop that gdb is told of as soon as it goes on: it has to know of libraries first.
    pub(super) withheld: Option<Stop>,
}

impl Session {
    /// A session at the beginning of a machine's run; `file` is what gdb shall take for the program.
    pub fn new(mut machine: Machine, file: Vec<u8>) -> Self {
        machine.debug();
        let current = machine.processes().first().map_or(1, |seen| seen.pid);
        Self {
            machine,
            maker: None,
            stops: Stops::default(),
            action: Action::Continue,
            file,
            changed: false,
            knows_calls: false,
            at_call: None,
            current,
            kept: Kept::default(),
            mapped: Mapped::default(),
            withheld: None,
        }
    }

    /// Lets the session go back, too: `maker` gives the same machine again, whose run is the same.
    pub fn repeatable(mut self, maker: Maker) -> Self {
        self.maker = Some(maker);
        self.keep();
        self
    }

    pub(super) fn goes_back(&self) -> bool {
        self.maker.is_some() && !self.changed
    }

    /// What was changed from outside does not happen again when the run is repeated: there is no way back behind it.
    fn changed_from_outside(&mut self) {
        self.changed = true;
    }

    /// The machine, when the session is over.
    pub fn into_machine(self) -> Machine {
        self.machine
    }
}

pub(super) fn tid(pid: i32) -> Tid {
    Tid::new(pid.unsigned_abs() as usize).unwrap_or(Tid::MIN)
}

fn pid(tid: Tid) -> i32 {
    i32::try_from(tid.get()).unwrap_or(0)
}

impl Target for Session {
    type Arch = I386;
    type Error = Infallible;

    fn base_ops(&mut self) -> BaseOps<'_, I386, Infallible> {
        BaseOps::MultiThread(self)
    }

    fn guard_rail_implicit_sw_breakpoints(&self) -> bool {
        true
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }

    fn support_catch_syscalls(&mut self) -> Option<CatchSyscallsOps<'_, Self>> {
        Some(self)
    }

    fn support_exec_file(&mut self) -> Option<ExecFileOps<'_, Self>> {
        (!self.file.is_empty()).then_some(self as _)
    }

    fn support_host_io(&mut self) -> Option<HostIoOps<'_, Self>> {
        Some(self)
    }

    fn support_libraries(&mut self) -> Option<LibrariesOps<'_, Self>> {
        Some(self)
    }

    fn support_monitor_cmd(&mut self) -> Option<MonitorCmdOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadBase for Session {
    fn read_registers(&mut self, registers: &mut Packed, thread: Tid) -> TargetResult<(), Self> {
        *registers = Packed::of(self.machine.registers(pid(thread)).ok_or(TargetError::NonFatal)?);
        Ok(())
    }

    fn write_registers(&mut self, registers: &Packed, thread: Tid) -> TargetResult<(), Self> {
        let frame = registers.put(self.machine.registers(pid(thread)).ok_or(TargetError::NonFatal)?);
        self.changed_from_outside();
        self.machine.set_registers(pid(thread), frame).then_some(()).ok_or(TargetError::NonFatal)
    }

    fn read_addrs(&mut self, address: u32, to: &mut [u8], thread: Tid) -> TargetResult<usize, Self> {
        match self.machine.peek(pid(thread), address, to) {
            0 if !to.is_empty() => Err(TargetError::NonFatal),
            count => Ok(count),
        }
    }

    fn write_addrs(&mut self, address: u32, bytes: &[u8], thread: Tid) -> TargetResult<(), Self> {
        self.changed_from_outside();
        self.machine.poke(pid(thread), address, bytes).then_some(()).ok_or(TargetError::NonFatal)
    }

    fn list_active_threads(&mut self, active: &mut dyn FnMut(Tid)) -> Result<(), Infallible> {
        self.machine.processes().iter().for_each(|seen| active(tid(seen.pid)));
        Ok(())
    }

    fn support_resume(&mut self) -> Option<MultiThreadResumeOps<'_, Self>> {
        Some(self)
    }

    fn support_thread_extra_info(&mut self) -> Option<ThreadExtraInfoOps<'_, Self>> {
        Some(self)
    }
}

impl ThreadExtraInfo for Session {
    fn thread_extra_info(&self, thread: Tid, to: &mut [u8]) -> Result<usize, Infallible> {
        let found = self.machine.processes().into_iter().find(|seen| seen.pid == pid(thread));
        let text = found.map_or_else(String::new, |seen| super::monitor::describe(&seen));
        let count = text.len().min(to.len());
        to[..count].copy_from_slice(&text.as_bytes()[..count]);
        Ok(count)
    }
}

impl MultiThreadResume for Session {
    fn resume(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn clear_resume_actions(&mut self) -> Result<(), Infallible> {
        self.action = Action::Continue;
        Ok(())
    }

    fn set_resume_action_continue(&mut self, _: Tid, signal: Option<Signal>) -> Result<(), Infallible> {
        self.machine.answer_signal(signal.map(|signal| u32::from(signal.0)));
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<MultiThreadSingleStepOps<'_, Self>> {
        Some(self)
    }

    fn support_scheduler_locking(&mut self) -> Option<MultiThreadSchedulerLockingOps<'_, Self>> {
        Some(self)
    }

    fn support_reverse_step(&mut self) -> Option<ReverseStepOps<'_, Tid, Self>> {
        self.goes_back().then_some(self as _)
    }

    fn support_reverse_cont(&mut self) -> Option<ReverseContOps<'_, Tid, Self>> {
        self.goes_back().then_some(self as _)
    }
}

impl MultiThreadSingleStep for Session {
    fn set_resume_action_step(&mut self, thread: Tid, signal: Option<Signal>) -> Result<(), Infallible> {
        self.machine.answer_signal(signal.map(|signal| u32::from(signal.0)));
        self.action = Action::Step(pid(thread));
        Ok(())
    }
}

impl MultiThreadSchedulerLocking for Session {
    /// Others run on all the same, when it is their turn: a process may wait for what they do.
    fn set_resume_action_scheduler_lock(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl ReverseStep<Tid> for Session {
    fn reverse_step(&mut self, _: Tid) -> Result<(), Infallible> {
        self.action = Action::BackStep;
        Ok(())
    }
}

impl ReverseCont<Tid> for Session {
    fn reverse_cont(&mut self) -> Result<(), Infallible> {
        self.action = Action::BackContinue;
        Ok(())
    }
}

impl Breakpoints for Session {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

impl SwBreakpoint for Session {
    fn add_sw_breakpoint(&mut self, address: u32, _: usize) -> TargetResult<bool, Self> {
        self.stops.breakpoints.insert(address);
        Ok(true)
    }

    fn remove_sw_breakpoint(&mut self, address: u32, _: usize) -> TargetResult<bool, Self> {
        Ok(self.stops.breakpoints.remove(&address))
    }
}

impl HwBreakpoint for Session {
    fn add_hw_breakpoint(&mut self, address: u32, kind: usize) -> TargetResult<bool, Self> {
        self.add_sw_breakpoint(address, kind)
    }

    fn remove_hw_breakpoint(&mut self, address: u32, kind: usize) -> TargetResult<bool, Self> {
        self.remove_sw_breakpoint(address, kind)
    }
}

fn touch(kind: WatchKind) -> Touch {
    match kind {
        WatchKind::Write => Touch::Write,
        WatchKind::Read => Touch::Read,
        WatchKind::ReadWrite => Touch::Any,
    }
}

impl HwWatchpoint for Session {
    fn add_hw_watchpoint(&mut self, address: u32, length: u32, kind: WatchKind) -> TargetResult<bool, Self> {
        self.stops.watched.insert((address, length, touch(kind)));
        Ok(true)
    }

    fn remove_hw_watchpoint(
        &mut self,
        address: u32,
        length: u32,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        Ok(self.stops.watched.remove(&(address, length, touch(kind))))
    }
}

impl CatchSyscalls for Session {
    fn enable_catch_syscalls(&mut self, wanted: Option<SyscallNumbers<'_, u32>>) -> TargetResult<(), Self> {
        self.knows_calls = true;
        self.stops.all_calls = wanted.is_none();
        self.stops.calls = wanted.into_iter().flatten().collect();
        Ok(())
    }

    fn disable_catch_syscalls(&mut self) -> TargetResult<(), Self> {
        self.knows_calls = false;
        self.stops.all_calls = false;
        self.stops.calls.clear();
        Ok(())
    }
}

impl ExecFile for Session {
    fn get_exec_file(
        &self,
        _: Option<gdbstub::common::Pid>,
        offset: u64,
        length: usize,
        to: &mut [u8],
    ) -> TargetResult<usize, Self> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.file.len());
        let rest = &self.file[from..];
        let count = rest.len().min(length).min(to.len());
        to[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

impl MonitorCmd for Session {
    fn handle_monitor_cmd(&mut self, command: &[u8], mut out: ConsoleOutput<'_>) -> Result<(), Infallible> {
        let text = self.monitor(&String::from_utf8_lossy(command));
        out.write_raw(text.as_bytes());
        Ok(())
    }
}
