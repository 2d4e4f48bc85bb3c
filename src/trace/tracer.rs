//! The observer: follows each process's calls from beginning to end and hands out complete records.
//!
//! A call that sleeps is kept and shown once, when it ends; nothing is ever shown in pieces unless that is asked
//! for.  Must not know how records are printed.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::rc::Rc;

use syscalls::Signal;
use syscalls::result::Retval;

use super::decode::{self, Detail, FdNames};
use super::fdname::Names;
use super::memory::{self, Memory};
use super::options::{FdDetail, Format, Layers, Options, Summary};
use super::output::Output;
use super::record::{Call, Delivery, End, Frame, Record, Slept, Step, What};
use super::render::{self, Render};
use super::stack::Symbols;
use super::summary::Totals;
use super::value::Value;
use crate::kernel::Kernel;
use crate::kernel::event::{Event, Intercept, Observer, Outcome, Phase};
use crate::kernel::ktrace::transfer;
use crate::kernel::proc::ProcId;
use crate::kernel::syscall;
use crate::trapframe::Gpr;

/// Number of execve.
const SYS_EXECVE: u32 = 59;

/// A tracer that is shared between the kernel, which tells it, and whoever asks for its summary.
#[derive(Clone, Debug)]
pub struct Tracer(Rc<RefCell<State>>);

/// What a tracer keeps.
#[derive(Debug)]
struct State {
    options: Options,
    output: Output,
    renderer: Box<dyn Render>,
    totals: Totals,
    /// Calls in progress.
    pending: HashMap<ProcId, Call>,
    /// How often each injection has seen each call of each process.
    seen: HashMap<(ProcId, usize, u32), u64>,
    symbols: Symbols,
    /// Names that were looked up for the first program.
    first_names: Vec<Vec<u8>>,
    /// Numbers what is seen and what is shown, in one order.
    sequence: u64,
    /// Processes that are traced no more.
    left_alone: HashSet<ProcId>,
    /// Calls that may still be shown, where there is a limit.
    calls_left: Option<u64>,
}

impl Tracer {
    /// A tracer that writes to `output`.
    pub fn new(options: Options, output: Output) -> Self {
        let renderer = render::new(&options, output.is_per_process());
        Self::with_rendering(options, output, renderer)
    }

    /// A tracer whose records go to a rendering of somebody else's.
    pub fn with_rendering(options: Options, output: Output, renderer: Box<dyn Render>) -> Self {
        let totals = Totals::new(&options);
        let calls_left = options.call_limit;
        Self(Rc::new(RefCell::new(State {
            options,
            output,
            renderer,
            totals,
            pending: HashMap::new(),
            seen: HashMap::new(),
            symbols: Symbols::default(),
            first_names: Vec::new(),
            sequence: 0,
            left_alone: HashSet::new(),
            calls_left,
        })))
    }

    /// Ends the trace: shows calls that never ended and the summary, and writes everything out.
    pub fn finish(&self, kernel: &Kernel) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let mut left: Vec<_> = state.pending.drain().collect();
        left.sort_by_key(|(_, call)| call.sequence);
        for (id, call) in left {
            state.emit(kernel, id, What::Leave(&call));
        }
        let state = &mut *state;
        state.renderer.finish(&mut state.output);
        if state.options.summary != Summary::None {
            let table = state.totals.table();
            state.output.write(0, table.as_bytes());
        }
        state.output.finish()
    }
}

impl Observer for Tracer {
    fn event(&mut self, kernel: &Kernel, id: ProcId, _sequence: u64, event: &Event) {
        self.0.borrow_mut().event(kernel, id, event);
    }

    fn is_unheard(&self) -> bool {
        self.0.borrow().output.has_failed()
    }

    fn intercept(&mut self, _kernel: &Kernel, id: ProcId, call: &syscall::Call) -> Intercept {
        self.0.borrow_mut().intercept(id, call.number)
    }

    fn flush(&mut self) {
        self.0.borrow_mut().output.flush();
    }
}

impl State {
    fn event(&mut self, kernel: &Kernel, id: ProcId, event: &Event) {
        if self.calls_left == Some(0) || self.is_left_alone(kernel, id, event) {
            return;
        }
        self.sequence += 1;
        let sequence = self.sequence;
        match event {
            Event::Enter(call) => self.enter(kernel, id, sequence, call),
            Event::Leave(call, outcome) => self.leave(kernel, id, call, *outcome),
            &Event::SignalDelivered { signal, code, handler, mask, trap, address, eip } => {
                if Signal::from_raw(signal).is_none_or(|s| self.options.signals.contains(s)) {
                    let stack = self.backtrace(kernel, id);
                    let delivery = Delivery { signal, code, handler, mask, trap, address, eip, stack };
                    self.emit(kernel, id, What::Signal(delivery));
                }
            }
            Event::SignalPosted { signal } => {
                let name = Signal::from_raw(*signal).map_or("?", Signal::name);
                self.step(kernel, id, sequence, Layers::SIGNAL, "signal", || format!("psignal {name}"));
            }
            Event::Stopped { signal } => self.emit(kernel, id, What::Stopped(*signal)),
            Event::Continued => self.emit(kernel, id, What::Continued),
            // Calls that map files tell it themselves.
            Event::Image { .. } => {}
            &Event::Fork { child } => {
                if let Some(child) = kernel.procs.find(child) {
                    self.symbols.fork(id, child);
                }
                let call = self.pending.get(&id).map(|call| call.number);
                self.emit(kernel, id, What::Fork { child, call });
            }
            Event::UserReturn => self.emit(kernel, id, What::UserReturn),
            Event::Exec { path, format } => self.exec(kernel, id, sequence, path, format),
            Event::ExecRefused { reason } => self.emit(kernel, id, What::ExecRefused(reason)),
            Event::Exit { status } => self.exit(kernel, id, status.cast_unsigned()),
            Event::Sleep { channel, wmesg } => {
                let since = kernel.clock.uptime();
                let channel = format!("{channel:?}");
                self.step(kernel, id, sequence, Layers::SLEEP, "sleep", || {
                    format!("tsleep {wmesg} on {channel}")
                });
                if self.options.layers.contains(Layers::SLEEP) {
                    self.emit(kernel, id, What::Switch { out: true });
                }
                if let Some(call) = self.pending.get_mut(&id) {
                    call.sleeps.push(Slept { since, duration: None, woken: None, wmesg, channel });
                }
            }
            Event::Wakeup { wake, slept, by } => {
                self.step(kernel, id, sequence, Layers::SLEEP, "sleep", || {
                    format!(
                        "wakeup {wake:?} after {}.{:06} s",
                        slept / 1_000_000_000,
                        slept / 1000 % 1_000_000
                    )
                });
                if self.options.layers.contains(Layers::SLEEP) {
                    self.emit(kernel, id, What::Switch { out: false });
                }
                if let Some(last) = self.pending.get_mut(&id).and_then(|c| c.sleeps.last_mut()) {
                    (last.duration, last.woken) = (Some(*slept), *by);
                }
            }
            Event::Socket { phase: Phase::End(Ok(())), .. } | Event::Copy { .. } => {}
            Event::Socket { socket, step, phase, detail } => {
                self.step(kernel, id, sequence, Layers::SOCKET, "socket", || {
                    let mut text = (*step).to_owned();
                    if let Some(socket) = socket {
                        text.push_str(&format!(" so{socket:?}"));
                    }
                    let error = match phase {
                        Phase::End(Err(errno)) => errno.name(),
                        _ => "",
                    };
                    for more in [detail.as_str(), error].iter().filter(|more| !more.is_empty()) {
                        text.push(' ');
                        text.push_str(more);
                    }
                    text
                });
            }
            Event::Descriptor { file, step, fd } => {
                self.step(kernel, id, sequence, Layers::FILE, "file", || match fd {
                    Some(fd) => format!("{step} fp{file:?} fd {fd}"),
                    None => format!("{step} fp{file:?}"),
                });
            }
            Event::Lookup { path, result } => {
                if self.pending.contains_key(&id) {
                    self.emit(kernel, id, What::Name(path));
                } else if kernel.procs.get(id).is_some_and(|p| p.call.is_none()) {
                    // The first program is looked up before there is a call to show.
                    self.first_names.push(path.clone());
                }
                self.step(kernel, id, sequence, Layers::VFS, "vfs", || {
                    let mut text = String::from("namei ");
                    super::text::quote(&mut text, path, super::text::HexStrings::Never);
                    if let Err(errno) = result {
                        text.push_str(&format!(" {}", errno.name()));
                    }
                    text
                });
            }
        }
    }

    /// Whether a process is traced no more: it has executed a new program where `-b execve` says so, or its parent
    /// was such a one.
    fn is_left_alone(&mut self, kernel: &Kernel, id: ProcId, event: &Event) -> bool {
        if !self.options.leaves_at_exec {
            return false;
        }
        let left = self.left_alone.contains(&id);
        match event {
            Event::Exec { .. } => {
                if let Some(call) = self.pending.remove(&id) {
                    self.left_alone.insert(id);
                    self.emit(kernel, id, What::Leave(&call));
                    self.emit(kernel, id, What::LeftAlone);
                }
            }
            &Event::Fork { child } if left => self.left_alone.extend(kernel.procs.find(child)),
            Event::Exit { .. } => {
                self.left_alone.remove(&id);
            }
            _ => {}
        }
        left
    }

    /// A call begins.
    fn enter(&mut self, kernel: &Kernel, id: ProcId, sequence: u64, call: &syscall::Call) {
        if !self.options.calls.contains(call.number) {
            return;
        }
        let Some(proc) = kernel.procs.get(id) else { return };
        let row = syscalls::sysent::row(call.number);
        let narg = row.map_or(0, |r| usize::from(r.narg)).min(call.words.len());
        let words = call.words[..narg].to_vec();
        let names = self.names(kernel, id);
        let detail = self.detail(&names, call.number);
        let memory: &dyn Memory = &proc.vm.space;
        let args = row.map(|row| decode::enter(row, &words, memory, &detail)).unwrap_or_default();
        if !self.options.paths.is_empty() && !touches(&args, &self.options.paths, &names) {
            return;
        }
        let uses = |fds: &Vec<i32>| {
            args.iter().flat_map(|a| &a.values).any(|v| matches!(v, Value::Fd { fd, .. } if fds.contains(fd)))
        };
        if !self.options.fds.as_ref().is_none_or(uses) {
            return;
        }
        let stack = self.backtrace(kernel, id);
        let call = Call {
            sequence,
            number: call.number,
            row,
            words,
            eip: call.eip,
            args,
            entered: kernel.clock.uptime(),
            entered_at: kernel.clock.now(),
            entered_instructions: proc.instructions,
            end: None,
            sleeps: Vec::new(),
            steps: Vec::new(),
            stack,
            transfer: None,
            injected: false,
            announced: false,
        };
        self.emit(kernel, id, What::Enter(&call));
        self.pending.insert(id, call);
    }

    /// What is made up for a call: the first injection that applies decides.  As with strace each process and
    /// each call is counted for itself.
    fn intercept(&mut self, id: ProcId, number: u32) -> Intercept {
        let mut intercept = Intercept::default();
        if self.calls_left == Some(0) || self.left_alone.contains(&id) {
            return intercept;
        }
        for (i, injection) in self.options.injections.iter().enumerate() {
            if !injection.calls.contains(number) {
                continue;
            }
            let seen = self.seen.entry((id, i, number)).or_default();
            *seen += 1;
            if injection.applies(*seen) {
                let made = injection.makes();
                intercept.result = intercept.result.or(made.result);
                intercept.signal = intercept.signal.or(made.signal);
                intercept.number = intercept.number.or(made.number);
                for (edge, more) in [(&mut intercept.enter, made.enter), (&mut intercept.leave, made.leave)] {
                    edge.delay_ns = edge.delay_ns.max(more.delay_ns);
                    edge.pokes.extend(more.pokes);
                }
            }
        }
        let changed = !intercept.enter.pokes.is_empty() || !intercept.leave.pokes.is_empty();
        if (intercept.result.is_some() || intercept.number.is_some() || changed)
            && let Some(call) = self.pending.get_mut(&id)
        {
            call.injected = true;
        }
        intercept
    }

    /// A call ends.
    fn leave(&mut self, kernel: &Kernel, id: ProcId, made: &syscall::Call, outcome: Outcome) {
        if let (true, Outcome::Success(retval)) = (self.options.stack, outcome) {
            self.symbols.mapped(kernel, id, made, retval.eax);
        }
        let Some(mut call) = self.pending.remove(&id) else { return };
        let Some(proc) = kernel.procs.get(id) else { return };
        let memory: &dyn Memory = &proc.vm.space;
        let mut outcome = outcome;
        if call.number == SYS_EXECVE && outcome == Outcome::NoReturn {
            outcome = Outcome::Success(Retval { eax: 0, edx: None });
        }
        let names = self.names(kernel, id);
        let detail = self.detail(&names, call.number);
        let mut value = None;
        if let (Outcome::Success(retval), Some(row)) = (outcome, call.row) {
            if call.number != SYS_EXECVE {
                decode::leave(&mut call.args, retval, memory, &detail);
            }
            value = Some(decode::result(row.ret, retval, &call.args, memory, &detail));
            if self.options.wants_transfer() {
                call.transfer = transfer::of(made, retval.eax, &proc.vm.space);
            }
        }
        let duration = kernel.clock.uptime().saturating_sub(call.entered);
        call.end = Some(End { outcome, value, duration });
        self.totals.add(&call);
        let shown = match call.succeeded() {
            Some(true) => self.options.outcomes.successful,
            Some(false) => self.options.outcomes.failed,
            None => self.options.outcomes.unfinished,
        };
        if shown {
            self.emit(kernel, id, What::Leave(&call));
            self.calls_left = self.calls_left.map(|left| left.saturating_sub(1));
            if self.calls_left == Some(0) {
                self.pending.clear();
            }
        }
    }

    /// The process executes a new program; the first one does so without a call.
    fn exec(&mut self, kernel: &Kernel, id: ProcId, sequence: u64, path: &[u8], format: &str) {
        self.symbols.forget(id);
        if !self.pending.contains_key(&id) && self.options.calls.contains(SYS_EXECVE) {
            let call = self.first_exec(kernel, id, sequence, path);
            if let Some(call) = call {
                self.emit(kernel, id, What::Enter(&call));
                for name in std::mem::take(&mut self.first_names) {
                    self.emit(kernel, id, What::Name(&name));
                }
                self.totals.add(&call);
                if self.options.outcomes.successful {
                    self.emit(kernel, id, What::Leave(&call));
                }
                self.emit(kernel, id, What::UserReturn);
            }
        }
        self.emit(kernel, id, What::Exec { path, format });
    }

    /// The call that the machine made for the first program, from the stack that it built.
    fn first_exec(&self, kernel: &Kernel, id: ProcId, sequence: u64, path: &[u8]) -> Option<Call> {
        let proc = kernel.procs.get(id)?;
        if proc.call.is_some() {
            return None;
        }
        let esp = proc.frame.get(Gpr::Esp);
        let memory: &dyn Memory = &proc.vm.space;
        let argc = memory::word(memory, esp)?;
        let argv = esp.wrapping_add(4);
        let envp = argv.wrapping_add(argc.wrapping_add(1).wrapping_mul(4));
        let row = syscalls::sysent::row(SYS_EXECVE)?;
        let words = vec![0, argv, envp];
        let mut args = decode::enter(row, &words, memory, &self.detail(&None, SYS_EXECVE));
        if let Some(arg) = args.first_mut() {
            arg.values = vec![Value::Bytes { bytes: path.to_vec(), more: false }];
        }
        let outcome = Outcome::Success(Retval { eax: 0, edx: None });
        Some(Call {
            sequence,
            number: SYS_EXECVE,
            row: Some(row),
            words,
            eip: proc.frame.eip,
            args,
            entered: kernel.clock.uptime(),
            entered_at: kernel.clock.now(),
            entered_instructions: proc.instructions,
            end: Some(End { outcome, value: Some(Value::Int(0)), duration: 0 }),
            sleeps: Vec::new(),
            steps: Vec::new(),
            stack: Vec::new(),
            transfer: None,
            injected: false,
            announced: false,
        })
    }

    /// The process ends; so does the call that it was in.
    fn exit(&mut self, kernel: &Kernel, id: ProcId, status: u32) {
        if let Some(call) = self.pending.remove(&id) {
            self.totals.add(&call);
            if self.options.outcomes.unfinished {
                self.emit(kernel, id, What::Leave(&call));
            }
        }
        self.symbols.forget(id);
        self.seen.retain(|(other, ..), _| *other != id);
        self.emit(kernel, id, What::Exit(status));
        if let Some(proc) = kernel.procs.get(id) {
            self.output.ended(proc.pid);
        }
    }

    /// A step inside of the kernel, where its layer is wanted.
    fn step(
        &mut self,
        kernel: &Kernel,
        id: ProcId,
        sequence: u64,
        layer: Layers,
        name: &'static str,
        text: impl FnOnce() -> String,
    ) {
        if !self.options.layers.contains(layer) {
            return;
        }
        let step = Step { sequence, uptime: kernel.clock.uptime(), layer: name, text: text() };
        match self.pending.get_mut(&id) {
            Some(call) => call.steps.push(step),
            // Inside of a call that is not shown nothing is.
            None if kernel.procs.get(id).is_some_and(|p| p.call.is_some()) => {}
            None => self.emit(kernel, id, What::Step(&step)),
        }
    }

    /// Hands a record to the rendering.
    fn emit(&mut self, kernel: &Kernel, id: ProcId, what: What<'_>) {
        if self.options.summary == Summary::Only {
            return;
        }
        if self.options.unfinished && self.options.format == Format::Strace {
            self.announce(kernel, id, &what);
        }
        let Some(proc) = kernel.procs.get(id) else { return };
        self.sequence += 1;
        let record = Record {
            sequence: self.sequence,
            pid: proc.pid,
            comm: &proc.comm,
            instructions: proc.instructions,
            uptime: kernel.clock.uptime(),
            now: kernel.clock.now(),
            what,
        };
        self.renderer.record(&record, &mut self.output);
    }

    /// Shows the beginnings of calls that sleep, before another process is shown.
    fn announce(&mut self, kernel: &Kernel, id: ProcId, what: &What<'_>) {
        if matches!(
            what,
            What::Enter(_)
                | What::Name(_)
                | What::Exec { .. }
                | What::Fork { .. }
                | What::UserReturn
                | What::Switch { .. }
        ) {
            return;
        }
        let mut sleeping: Vec<_> = self
            .pending
            .iter_mut()
            .filter(|(other, call)| **other != id && !call.announced && !call.sleeps.is_empty())
            .collect();
        sleeping.sort_by_key(|(_, call)| call.sequence);
        for (other, call) in sleeping {
            call.announced = true;
            if let Some(proc) = kernel.procs.get(*other) {
                self.sequence += 1;
                let record = Record {
                    sequence: self.sequence,
                    pid: proc.pid,
                    comm: &proc.comm,
                    instructions: proc.instructions,
                    uptime: kernel.clock.uptime(),
                    now: kernel.clock.now(),
                    what: What::Unfinished(call),
                };
                self.renderer.record(&record, &mut self.output);
            }
        }
    }

    fn names<'k>(&self, kernel: &'k Kernel, id: ProcId) -> Option<Names<'k>> {
        match self.options.fd_detail {
            FdDetail::Number if self.options.paths.is_empty() => None,
            detail => Some(Names::new(kernel, id, detail)),
        }
    }

    fn detail<'n>(&self, names: &'n Option<Names<'_>>, number: u32) -> Detail<'n> {
        let shown = self.options.fd_detail != FdDetail::Number;
        Detail {
            string_limit: self.options.string_limit,
            verbose: self.options.verbose || !self.options.abbreviated.contains(number),
            names: names.as_ref().filter(|_| shown).map(|n| n as &dyn FdNames),
        }
    }

    /// The stack of a process, where it is wanted.
    fn backtrace(&mut self, kernel: &Kernel, id: ProcId) -> Vec<Frame> {
        if self.options.stack { self.symbols.backtrace(kernel, id) } else { Vec::new() }
    }
}

/// Whether a call touches one of the paths, by name or through a descriptor.
fn touches(args: &[decode::Argument], paths: &[Vec<u8>], names: &Option<Names<'_>>) -> bool {
    let is_wanted = |path: &[u8]| paths.iter().any(|p| p == path);
    args.iter().flat_map(|a| &a.values).any(|value| match value {
        Value::Bytes { bytes, .. } => is_wanted(bytes),
        Value::Fd { fd, .. } => {
            names.as_ref().and_then(|n| n.about(*fd)).is_some_and(|about| is_wanted(about.as_bytes()))
        }
        _ => false,
    })
}
