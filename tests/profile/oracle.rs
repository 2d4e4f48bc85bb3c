//! Another account of where instructions go: every instruction by itself, attributed by what is documented.
//!
//! The rules are written here a second time, for single steps: docs/profiling.md says them in words.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use bsd21::cpu::profile::Log;
use bsd21::image::inspect;
use bsd21::image::stack::SIGCODE;
use bsd21::image::{Activation, Circumstances, Kind, activate};
use bsd21::kernel::Kernel;
use bsd21::kernel::event::{Event, Observer};
use bsd21::kernel::proc::ProcId;
use bsd21::machine::Profiler;
use bsd21::trapframe::{Gpr, Trapframe};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction};

const TRAMPOLINE: u32 = SIGCODE & !0xfff;

/// Names by address of one program.
#[derive(Debug)]
struct Names {
    text: std::ops::Range<u32>,
    all: std::ops::Range<u32>,
    names: BTreeMap<u32, String>,
    program: String,
}

impl Names {
    fn of(program: &Path) -> Self {
        let bytes = std::fs::read(program).expect("a program");
        let mut segments = Vec::new();
        if let Ok(Activation::Image(plan)) = activate(&bytes[..], Circumstances::default()) {
            segments = plan.segments.clone();
        }
        let end = |wanted: &dyn Fn(Kind) -> bool| {
            let ends = segments.iter().filter(|s| wanted(s.kind)).map(|s| s.addr + s.len);
            ends.max().unwrap_or(0)
        };
        let start = segments.iter().map(|s| s.addr).min().unwrap_or(0);
        let last = end(&|_| true);
        let text = match end(&|kind| kind == Kind::Text) {
            0 => start..last,
            end => start..end,
        };
        let mut names = BTreeMap::new();
        let mut symbols = inspect::symbols(&bytes);
        symbols.sort_by_key(|s| (s.value, s.kind == 't', s.name.len(), s.name.clone()));
        let underscores = !bytes.starts_with(b"\x7fELF");
        for symbol in symbols {
            let name = symbol.name.strip_prefix('_').filter(|_| underscores).unwrap_or(&symbol.name);
            if matches!(symbol.kind, 'T' | 't') && text.contains(&symbol.value) && !name.is_empty() {
                names.entry(symbol.value).or_insert_with(|| name.to_owned());
            }
        }
        let program = program.file_name().expect("a name").to_string_lossy().into_owned();
        Self { text, all: start..last, names, program }
    }

    /// The beginning and the name of the routine of an address; without a beginning where it has no name.
    fn at(&self, address: u32) -> (Option<u32>, String) {
        if address >= TRAMPOLINE {
            return (Some(TRAMPOLINE), "[sigtramp]".to_owned());
        }
        if self.text.contains(&address)
            && let Some((start, name)) = self.names.range(..=address).next_back()
        {
            return (Some(*start), name.clone());
        }
        match self.all.contains(&address) {
            true => (None, format!("[{}+{address:#x}]", self.program)),
            false => (None, format!("[{address:#x}]")),
        }
    }
}

/// A process.
#[derive(Clone, Debug)]
struct State {
    generation: u64,
    /// Calls that have not returned: where their return addresses are, who called, whether it is a signal.
    pending: Vec<(u32, (Option<u32>, String), bool)>,
    /// The routine that it is in.
    here: (Option<u32>, String),
    root: String,
    /// The instruction before: its address, itself, the stack pointer before it.
    before: Option<(u32, Instruction, u32)>,
    signalled: u32,
    returned: bool,
}

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Instructions by path, as folded profiles print it.
    pub(crate) paths: BTreeMap<String, u64>,
    /// Instructions by address, of the program itself.
    pub(crate) addresses: BTreeMap<u32, u64>,
    /// How often each function was entered at its beginning.
    pub(crate) entries: BTreeMap<String, u64>,
    pub(crate) retired: u64,
}

#[derive(Debug)]
struct Inner {
    names: Names,
    states: BTreeMap<i32, State>,
    account: Account,
    current: Option<(i32, u32, u32, Instruction)>,
}

/// Counts by itself.
#[derive(Clone, Debug)]
pub(crate) struct Oracle(Rc<RefCell<Inner>>);

impl Oracle {
    pub(crate) fn new(program: &Path) -> Self {
        let names = Names::of(program);
        let inner = Inner { names, states: BTreeMap::new(), account: Account::default(), current: None };
        Self(Rc::new(RefCell::new(inner)))
    }

    pub(crate) fn account(&self) -> Account {
        std::mem::take(&mut self.0.borrow_mut().account)
    }
}

impl State {
    fn pop(&mut self) {
        if let Some((_, caller, _)) = self.pending.pop() {
            self.here = caller;
        }
    }

    fn path(&self) -> String {
        let callers = self.pending.iter().map(|(_, (_, name), _)| name.as_str());
        let frames = std::iter::once(self.root.as_str()).chain(callers).chain([self.here.1.as_str()]);
        frames.filter(|frame| !frame.is_empty()).collect::<Vec<_>>().join(";")
    }
}

/// Whether two addresses are in one routine; code without names is all one.
fn is_same(names: &Names, here: &(Option<u32>, String), address: u32) -> bool {
    let there = names.at(address);
    match (here.0, there.0) {
        (Some(a), Some(b)) => a == b,
        (None, None) => here.1.starts_with('[') && here.1.contains('+') == there.1.contains('+'),
        _ => false,
    }
}

impl Inner {
    /// The process is about to execute the instruction at an address.
    fn look(&mut self, pid: i32, eip: u32, esp: u32) {
        let Some(state) = self.states.get_mut(&pid) else { return };
        let (names, account) = (&self.names, &mut self.account);
        let entered = |account: &mut Account, place: &(Option<u32>, String), eip: u32| {
            if place.0.is_none_or(|start| start == eip) && eip < TRAMPOLINE {
                *account.entries.entry(place.1.clone()).or_default() += 1;
            }
        };
        if std::mem::take(&mut state.returned)
            && let Some(signal) = state.pending.iter().rposition(|pending| pending.2)
        {
            state.pending.truncate(signal + 1);
            state.pop();
            state.before = None;
        }
        if state.signalled > 0 {
            state.signalled = 0;
            let here = state.here.clone();
            state.pending.push((esp, here, true));
            state.here = names.at(eip);
            *account.entries.entry(state.here.1.clone()).or_default() += 1;
            state.before = None;
            return;
        }
        let before = state.before.take();
        let flow = before.as_ref().map(|(_, ins, _)| ins.flow_control());
        let near = before.as_ref().is_some_and(|(_, ins, _)| !ins.is_call_far() && !ins.is_jmp_far());
        let next = before.as_ref().map(|(_, ins, _)| ins.next_ip32());
        if matches!(flow, Some(FlowControl::Call | FlowControl::IndirectCall)) && near {
            if next == Some(eip) {
                return;
            }
            if state.pending.last().is_some_and(|p| p.0 <= esp && !p.2) {
                while state.pending.last().is_some_and(|p| p.0 <= esp && !p.2) {
                    state.pop();
                }
                state.here = names.at(before.as_ref().map_or(0, |b| b.0));
            }
            let here = state.here.clone();
            state.pending.push((esp, here, false));
            state.here = names.at(eip);
            entered(account, &state.here, eip);
            return;
        }
        let transfers = matches!(flow, Some(FlowControl::Return | FlowControl::IndirectBranch));
        if !transfers && is_same(names, &state.here, eip) {
            return;
        }
        while state.pending.last().is_some_and(|p| p.0 < esp) {
            state.pop();
        }
        if !is_same(names, &state.here, eip) {
            state.here = names.at(eip);
            entered(account, &state.here, eip);
        }
    }
}

impl Profiler for Oracle {
    fn most(&self) -> u64 {
        1
    }

    fn resume(&mut self, kernel: &Kernel, id: ProcId, _log: &Log) {
        let mut inner = self.0.borrow_mut();
        let Some(proc) = kernel.procs.get(id) else { return };
        let (pid, eip, esp) = (proc.pid, proc.frame.eip, proc.frame.get(Gpr::Esp));
        let stale = inner.states.get(&pid).is_none_or(|s| s.generation != proc.image_generation);
        if stale {
            let state = State {
                generation: proc.image_generation,
                pending: Vec::new(),
                here: (None, String::new()),
                root: String::from_utf8_lossy(&proc.comm).into_owned(),
                before: None,
                signalled: 0,
                returned: false,
            };
            inner.states.insert(pid, state);
        }
        inner.look(pid, eip, esp);
        let mut code = [0; 15];
        let read = (1..=15).rev().find(|&len| proc.vm.space.peek(eip, &mut code[..len]).is_ok());
        let mut decoder = Decoder::with_ip(32, &code[..read.unwrap_or(0)], eip.into(), DecoderOptions::NONE);
        let ins = decoder.decode();
        inner.current = Some((pid, eip, esp, ins));
    }

    fn ran(&mut self, log: &Log, _budget: u64, retired: u64, _frame: &Trapframe) {
        log.take(|_| {});
        let mut inner = self.0.borrow_mut();
        let Some((pid, eip, esp, ins)) = inner.current.take() else { return };
        if retired == 0 {
            return;
        }
        assert_eq!(retired, 1, "one instruction at a time");
        let Some(state) = inner.states.get_mut(&pid) else { return };
        state.before = Some((eip, ins, esp));
        let path = state.path();
        inner.account.retired += 1;
        *inner.account.paths.entry(path).or_default() += 1;
        *inner.account.addresses.entry(eip).or_default() += 1;
    }
}

impl Observer for Oracle {
    fn event(&mut self, kernel: &Kernel, id: ProcId, _sequence: u64, event: &Event) {
        let mut inner = self.0.borrow_mut();
        let Some(proc) = kernel.procs.get(id) else { return };
        match event {
            Event::Enter(call) if call.number == 103 => {
                if let Some(state) = inner.states.get_mut(&proc.pid) {
                    state.returned = true;
                }
            }
            Event::SignalDelivered { handler, .. } if *handler != 0 => {
                let (eip, esp) = (proc.frame.eip, proc.frame.get(Gpr::Esp));
                if inner.states.get(&proc.pid).is_some_and(|state| state.signalled > 0) {
                    inner.look(proc.pid, eip, esp);
                }
                if let Some(state) = inner.states.get_mut(&proc.pid) {
                    state.signalled += 1;
                }
            }
            Event::Fork { child } => {
                if let Some(mut state) = inner.states.get(&proc.pid).cloned() {
                    state.generation = 0;
                    inner.states.insert(*child, state);
                }
            }
            _ => {}
        }
    }
}
