//! The walk of a call through the socket layer: an observer that keeps each step with the sockets' states.
//!
//! Every line comes from an event or from what the kernel is like at that moment; nothing is written in
//! advance.  Calls of other names, and of other processes, are kept as one line each.
//!
//! Must not know how a walk is printed.

mod render;
mod source;
mod view;

use std::cell::RefCell;
use std::rc::Rc;

use syscalls::{Errno, Sysent};

pub use render::{json, text};
use view::{Change, View};

use super::decode::{self, Argument, Detail};
use super::memory::Memory;
use super::text::{self as value_text, Style};
use crate::kernel::Kernel;
use crate::kernel::event::{Event, Observer, Outcome, Phase};
use crate::kernel::proc::ProcId;
use crate::kernel::socket::SocketId;
use crate::kernel::syscall;

/// One thing that happened, in the order in which things did.
#[derive(Clone, Debug)]
pub enum Line {
    /// A call that is not looked into, when it was over.
    Other {
        /// How deep in the walk it happened.
        depth: usize,
        /// The process, unless it is the one that is looked at.
        pid: Option<i32>,
        /// The call with its result.
        text: String,
    },
    /// The call that is looked into begins.
    Call {
        /// Its number.
        number: u32,
        /// The call with its arguments.
        text: String,
        /// The file of 2.1 that has its function.
        file: &'static str,
    },
    /// A step inside of it.
    Step {
        /// How deep.
        depth: usize,
        /// The function, request or thing that is done.
        name: String,
        /// Its socket.
        socket: Option<String>,
        /// More about it.
        detail: String,
        /// The file of 2.1 that does it.
        file: &'static str,
    },
    /// What began at this depth failed.
    Error {
        /// How deep.
        depth: usize,
        /// The error's name.
        errno: &'static str,
    },
    /// What has changed of the sockets that the call has to do with.
    State {
        /// How deep.
        depth: usize,
        /// Those that are not what they were.
        sockets: Vec<Change>,
    },
    /// The call ends.
    Result {
        /// The call with its arguments and result.
        text: String,
    },
}

/// An observer that is shared between the kernel and whoever asks for the walk.
#[derive(Clone, Debug)]
pub struct Explainer(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    row: &'static Sysent,
    lines: Vec<Line>,
    /// The process that is looked at: the first one that makes the call.
    watched: Option<ProcId>,
    /// The call in progress that is looked into.
    walk: Option<Walk>,
    /// Other calls in progress.
    pending: Vec<(ProcId, Vec<Argument>)>,
}

#[derive(Debug, Default)]
struct Walk {
    args: Vec<Argument>,
    depth: usize,
    /// The sockets that it has to do with, in the order in which they were met.
    sockets: Vec<SocketId>,
    /// What was shown of them last.
    shown: Vec<View>,
}

impl Explainer {
    /// An observer that looks into the calls of one row.
    pub fn new(row: &'static Sysent) -> Self {
        let state = State { row, lines: Vec::new(), watched: None, walk: None, pending: Vec::new() };
        Self(Rc::new(RefCell::new(state)))
    }

    /// What has been kept.
    pub fn lines(&self) -> Vec<Line> {
        self.0.borrow().lines.clone()
    }
}

impl Observer for Explainer {
    fn event(&mut self, kernel: &Kernel, id: ProcId, _sequence: u64, event: &Event) {
        self.0.borrow_mut().event(kernel, id, event);
    }
}

impl State {
    fn event(&mut self, kernel: &Kernel, id: ProcId, event: &Event) {
        match event {
            Event::Enter(call) => self.enter(kernel, id, call),
            Event::Leave(call, outcome) => self.leave(kernel, id, call, *outcome),
            _ if self.watched == Some(id) => {
                if let Some(mut walk) = self.walk.take() {
                    self.step(kernel, &mut walk, event);
                    self.walk = Some(walk);
                }
            }
            _ => {}
        }
    }

    fn enter(&mut self, kernel: &Kernel, id: ProcId, call: &syscall::Call) {
        let Some(args) = arguments(kernel, id, call) else { return };
        let ours = call.number == u32::from(self.row.code) && self.watched.is_none_or(|first| first == id);
        if !ours {
            self.pending.push((id, args));
            return;
        }
        self.watched = Some(id);
        let text = call_text(self.row, &args);
        let file = source::file(self.row.name, None);
        self.lines.push(Line::Call { number: call.number, text, file });
        self.walk = Some(Walk { args, depth: 1, ..Walk::default() });
    }

    fn leave(&mut self, kernel: &Kernel, id: ProcId, call: &syscall::Call, outcome: Outcome) {
        let ours = self.watched == Some(id) && self.walk.is_some();
        if ours && let Some(mut walk) = self.walk.take() {
            walk.depth = 1;
            self.state(kernel, &mut walk);
            let text = ended(kernel, id, call, walk.args, outcome);
            self.lines.push(Line::Result { text });
            return;
        }
        let Some(at) = self.pending.iter().rposition(|(other, _)| *other == id) else { return };
        let (_, args) = self.pending.remove(at);
        let pid = kernel.procs.get(id).map(|p| p.pid).filter(|_| self.watched.is_some_and(|w| w != id));
        let depth = self.walk.as_ref().map_or(0, |walk| walk.depth);
        let text = ended(kernel, id, call, args, outcome);
        self.lines.push(Line::Other { depth, pid, text });
    }

    fn step(&mut self, kernel: &Kernel, walk: &mut Walk, event: &Event) {
        let failed = |result: &Result<(), Errno>| match result {
            Ok(()) => String::new(),
            Err(errno) => format!(": {}", errno.name()),
        };
        match event {
            Event::Socket { phase: Phase::End(result), .. } => {
                if let Err(errno) = result {
                    self.lines.push(Line::Error { depth: walk.depth, errno: errno.name() });
                }
                self.state(kernel, walk);
                walk.depth = walk.depth.saturating_sub(1).max(1);
                return;
            }
            Event::Socket { socket, step, phase, detail } => {
                walk.meet(kernel, *socket);
                if *phase == Phase::Begin {
                    // What has changed by now is the work of the step around this one.
                    self.state(kernel, walk);
                }
                self.push(kernel, walk, step, *socket, detail.clone());
                walk.depth += usize::from(*phase == Phase::Begin);
            }
            Event::Descriptor { step, fd, .. } => {
                let detail = fd.map_or(String::new(), |fd| format!("descriptor {fd}"));
                self.push(kernel, walk, step, None, detail);
            }
            Event::Copy { out, address, len, result } => {
                let name = if *out { "copyout" } else { "copyin" };
                let detail = format!("{len} bytes at {address:#x}{}", failed(result));
                self.push(kernel, walk, name, None, detail);
            }
            Event::Lookup { path, result } => {
                let detail = format!("{}{}", String::from_utf8_lossy(path), failed(result));
                self.push(kernel, walk, "namei", None, detail);
            }
            Event::Sleep { channel, wmesg } => {
                let detail = format!("\"{wmesg}\", until wakeup of {channel:?}");
                self.push(kernel, walk, "tsleep", None, detail);
            }
            Event::Wakeup { .. } => self.push(kernel, walk, "tsleep", None, "is over".to_owned()),
            Event::SignalPosted { signal } => {
                let name = syscalls::Signal::from_raw(*signal).map_or("?", syscalls::Signal::name);
                self.push(kernel, walk, "psignal", None, name.to_owned());
            }
            _ => return,
        }
        self.state(kernel, walk);
    }

    fn push(&mut self, kernel: &Kernel, walk: &Walk, name: &str, socket: Option<SocketId>, detail: String) {
        let proto = socket.and_then(|so| kernel.sockets.get(so)).map(|so| so.proto);
        self.lines.push(Line::Step {
            depth: walk.depth,
            name: name.to_owned(),
            socket: socket.map(view::name),
            detail,
            file: source::file(name, proto),
        });
    }

    /// Keeps what has changed of the sockets of the walk since it was shown last.
    fn state(&mut self, kernel: &Kernel, walk: &mut Walk) {
        walk.meet(kernel, None);
        let now: Vec<View> = walk.sockets.iter().map(|&so| View::new(kernel, so)).collect();
        let before = |at: usize| walk.shown.get(at).cloned();
        let changes = now.iter().enumerate().map(|(at, now)| Change { before: before(at), now: now.clone() });
        let sockets: Vec<Change> =
            changes.filter(|change| change.before.as_ref() != Some(&change.now)).collect();
        if !sockets.is_empty() {
            self.lines.push(Line::State { depth: walk.depth, sockets });
            walk.shown = now;
        }
    }
}

impl Walk {
    /// Notes a socket, and all that those which are noted refer to.
    fn meet(&mut self, kernel: &Kernel, socket: Option<SocketId>) {
        let mut found: Vec<SocketId> = socket.into_iter().collect();
        let mut next = 0;
        loop {
            for so in found.drain(..) {
                if !self.sockets.contains(&so) {
                    self.sockets.push(so);
                }
            }
            let Some(&so) = self.sockets.get(next) else { return };
            next += 1;
            found.extend(view::related(kernel, so));
        }
    }
}

fn arguments(kernel: &Kernel, id: ProcId, call: &syscall::Call) -> Option<Vec<Argument>> {
    let row = syscalls::sysent::row(call.number)?;
    let words = call.words.get(..usize::from(row.narg))?;
    let memory: &dyn Memory = &kernel.procs.get(id)?.vm.space;
    Some(decode::enter(row, words, memory, &Detail::default()))
}

/// `socketpair(AF_UNIX, SOCK_STREAM, 0, 0x10000c)`
fn call_text(row: &Sysent, args: &[Argument]) -> String {
    let mut out = format!("{}(", row.trace_name());
    for (i, value) in args.iter().flat_map(|arg| &arg.values).enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        value_text::write(&mut out, value, Style::default());
    }
    out.push(')');
    out
}

/// The call with what it stored and its result.
fn ended(
    kernel: &Kernel,
    id: ProcId,
    call: &syscall::Call,
    mut args: Vec<Argument>,
    outcome: Outcome,
) -> String {
    let row = syscalls::sysent::row(call.number);
    let (Some(row), Some(proc)) = (row, kernel.procs.get(id)) else { return String::new() };
    let memory: &dyn Memory = &proc.vm.space;
    let detail = Detail::default();
    let result = match outcome {
        Outcome::Success(retval) => {
            decode::leave(&mut args, retval, memory, &detail);
            let mut text = String::new();
            let value = decode::result(row.ret, retval, &args, memory, &detail);
            value_text::write(&mut text, &value, Style::default());
            let second = retval.edx.filter(|_| row.code == u16::from(SYS_SOCKETPAIR));
            second.map_or_else(|| text.clone(), |edx| format!("{text}, and {edx} in edx"))
        }
        Outcome::Failure(errno) => format!("-1 {errno}"),
        Outcome::Restart => "? ERESTART".to_owned(),
        Outcome::NoReturn => "?".to_owned(),
    };
    format!("{} = {result}", call_text(row, &args))
}

/// Number of socketpair, whose second result nobody would expect.
const SYS_SOCKETPAIR: u8 = 135;
