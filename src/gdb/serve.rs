//! The conversation with gdb: packets in, stops out.

use std::convert::Infallible;
use std::io;

use gdbstub::common::Signal;
use gdbstub::conn::ConnectionExt;
use gdbstub::stub::run_blocking::{BlockingEventLoop, Event, WaitForStopReasonError};
use gdbstub::stub::{DisconnectReason, GdbStub, MultiThreadStopReason};
use gdbstub::target::ext::base::reverse_exec::ReplayLogPosition;
use gdbstub::target::ext::breakpoints::WatchKind;
use gdbstub::target::ext::catch_syscalls::CatchSyscallPosition;

use super::back::Back;
use super::target::{Action, Session, tid};
use crate::machine::Ended;
use crate::machine::debug::{Stop, Stops, Touch};

/// Instructions between two looks at what gdb says.
pub(super) const STRETCH: u64 = 2_000_000;

/// The way to gdb.
pub type Way = Box<dyn ConnectionExt<Error = io::Error>>;

type Reason = MultiThreadStopReason<u32>;

/// How a conversation has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parted {
    /// The run is over.
    Ended,
    /// gdb has killed it.
    Killed,
    /// gdb has let it go; it may run on.
    Detached,
}

/// Speaks with gdb until one of both has had enough.
///
/// # Errors
///
/// The connection's, and what gdb says that is no packet.
pub fn serve(session: &mut Session, way: Way) -> Result<Parted, String> {
    let reason = GdbStub::new(way).run_blocking::<Loop>(session).map_err(|error| error.to_string())?;
    Ok(match reason {
        DisconnectReason::TargetExited(_) | DisconnectReason::TargetTerminated(_) => Parted::Ended,
        DisconnectReason::Kill => Parted::Killed,
        DisconnectReason::Disconnect => Parted::Detached,
    })
}

enum Loop {}

impl BlockingEventLoop for Loop {
    type Target = Session;
    type Connection = Way;
    type StopReason = Reason;

    fn wait_for_stop_reason(
        session: &mut Session,
        way: &mut Way,
    ) -> Result<Event<Reason>, WaitForStopReasonError<Infallible, io::Error>> {
        if let Some(stop) = session.withheld.take() {
            return Ok(Event::TargetStopped(session.told(stop)));
        }
        if matches!(session.action, Action::BackStep | Action::BackContinue) {
            return Ok(Event::TargetStopped(session.gone_back()));
        }
        let step = match session.action {
            Action::Step(pid) => Some(pid),
            _ => None,
        };
        loop {
            let at = session.machine.instructions().saturating_add(STRETCH);
            let stops = Stops { step, at: Some(at), ..session.stops.clone() };
            let stop = session.machine.run_until(&stops);
            session.show();
            session.keep();
            let quiet = matches!(stop, Stop::Count | Stop::Asleep);
            if !matches!(stop, Stop::Ended(_)) && session.libraries_changed() {
                session.withheld = (!quiet).then_some(stop);
                let pid = session.machine.interrupted().unwrap_or(session.current);
                return Ok(Event::TargetStopped(Reason::Library(tid(pid))));
            }
            if !quiet {
                return Ok(Event::TargetStopped(session.told(stop)));
            }
            if way.peek().map_err(WaitForStopReasonError::Connection)?.is_some() {
                let byte = way.read().map_err(WaitForStopReasonError::Connection)?;
                return Ok(Event::IncomingData(byte));
            }
        }
    }

    fn on_interrupt(session: &mut Session) -> Result<Option<Reason>, Infallible> {
        let tid = tid(session.machine.interrupted().unwrap_or(session.current));
        Ok(Some(Reason::SignalWithThread { tid, signal: Signal::SIGINT }))
    }
}

impl Session {
    /// A stop as gdb is told of it.
    fn told(&mut self, stop: Stop) -> Reason {
        let knows = self.knows_calls;
        // A debugger that has not asked for calls is told of a trap.
        let call = |pid, number, position| match knows {
            true => Reason::CatchSyscall { tid: Some(tid(pid)), number, position },
            false => Reason::SignalWithThread { tid: tid(pid), signal: Signal::SIGTRAP },
        };
        self.at_call = match stop {
            Stop::Enter(_, number) => Some(format!("{} begins", call_name(number))),
            Stop::Leave(_, number) => Some(format!("{} has ended", call_name(number))),
            _ => None,
        };
        let (pid, reason) = match stop {
            Stop::Breakpoint(pid) => (pid, Reason::SwBreak(tid(pid))),
            Stop::Step(pid) => (pid, Reason::SignalWithThread { tid: tid(pid), signal: Signal::SIGTRAP }),
            Stop::Watched(pid, addr, touch) => {
                let kind = match touch {
                    Touch::Write => WatchKind::Write,
                    Touch::Read => WatchKind::Read,
                    Touch::Any => WatchKind::ReadWrite,
                };
                (pid, Reason::Watch { tid: tid(pid), kind, addr })
            }
            Stop::Enter(pid, number) => (pid, call(pid, number, CatchSyscallPosition::Entry)),
            Stop::Leave(pid, number) => (pid, call(pid, number, CatchSyscallPosition::Return)),
            Stop::Signal(pid, signal) => {
                (pid, Reason::SignalWithThread { tid: tid(pid), signal: Signal(signal as u8) })
            }
            Stop::Count | Stop::Asleep => {
                let pid = self.current;
                (pid, Reason::SignalWithThread { tid: tid(pid), signal: Signal::SIGINT })
            }
            Stop::Ended(ended) => return over(ended),
        };
        self.current = pid;
        reason
    }

    fn gone_back(&mut self) -> Reason {
        match self.back(self.action) {
            Back::At(stop) => self.told(stop),
            Back::Beginning => {
                let first = self.machine.processes().first().map_or(self.current, |seen| seen.pid);
                self.current = first;
                Reason::ReplayLog { tid: Some(tid(first)), pos: ReplayLogPosition::Begin }
            }
        }
    }
}

fn call_name(number: u32) -> String {
    syscalls::SYSENT.get(number as usize).map_or_else(|| format!("call {number}"), |row| row.name.to_owned())
}

/// The end of a run as gdb is told of it.
fn over(ended: Ended) -> Reason {
    match ended {
        Ended::Exited(status) => Reason::Exited(status),
        Ended::Signaled(signal) => Reason::Terminated(Signal(signal as u8)),
        Ended::Deadlock => Reason::Terminated(Signal::SIGALRM),
        Ended::Rebooted(_) => Reason::Exited(0),
        Ended::Limit(_) => Reason::Terminated(Signal::SIGKILL),
    }
}
