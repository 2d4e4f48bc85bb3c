//! Who listens to the kernel and to processors, and keeps what they say.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use syscalls::arg::Fd;

use super::Options;
use super::map::Map;
use super::module::{Module, Modules};
use super::task::{Routines, Task, Walk};
use super::tree::{Home, NO_PIECE, NodeId, Routine, TOP, Tree};
use crate::cpu::profile::Log;
use crate::kernel::Kernel;
use crate::kernel::event::{Event, Observer, Outcome};
use crate::kernel::file::FileObject;
use crate::kernel::proc::{Proc, ProcId};
use crate::kernel::syscall::Call;
use crate::kernel::vfs::VnodeId;
use crate::machine::{Profiler, TRAP_COST};
use crate::trapframe::{Gpr, Trapframe};

/// Numbers of calls: mmap, old and new, munmap, sigreturn.
const SYS_MMAP: [u32; 2] = [71, 197];
const SYS_MUNMAP: u32 = 73;
const SYS_SIGRETURN: u32 = 103;

/// Everything that was counted.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) options: Options,
    pub(super) modules: Modules,
    pub(super) routines: Routines,
    pub(super) tree: Tree,
    /// What roots are called: number and name of a process, or name alone.
    pub(super) roots: Vec<(Option<i32>, String)>,
    tasks: Tasks,
    current: Option<i32>,
    /// Maps so far.
    serial: u32,
    /// The map that the log has.
    logged: u32,
    /// Time is that of the virtual clock.
    pub(super) is_virtual: bool,
    /// What could not be counted.
    pub(super) retired: u64,
}

/// Processes by their numbers.
#[derive(Debug, Default)]
struct Tasks(Vec<Option<Box<Task>>>);

impl Tasks {
    fn get(&self, pid: i32) -> Option<&Task> {
        self.0.get(usize::try_from(pid).ok()?)?.as_deref()
    }

    fn get_mut(&mut self, pid: i32) -> Option<&mut Task> {
        self.0.get_mut(usize::try_from(pid).ok()?)?.as_deref_mut()
    }

    fn insert(&mut self, pid: i32, task: Task) {
        let Ok(index) = usize::try_from(pid) else { return };
        if index >= self.0.len() {
            self.0.resize_with(index + 1, || None);
        }
        if let Some(place) = self.0.get_mut(index) {
            *place = Some(Box::new(task));
        }
    }

    fn remove(&mut self, pid: i32) {
        if let Some(place) = usize::try_from(pid).ok().and_then(|index| self.0.get_mut(index)) {
            *place = None;
        }
    }
}

/// The book for those that listen.
#[derive(Clone, Debug)]
pub(super) struct Shared(pub(super) Rc<RefCell<Book>>);

impl Book {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            modules: Modules::default(),
            routines: Routines::new(),
            tree: Tree::new(),
            roots: Vec::new(),
            tasks: Tasks::default(),
            current: None,
            serial: 0,
            logged: 0,
            is_virtual: false,
            retired: 0,
        }
    }

    /// The root of a process.
    fn root(&mut self, pid: i32, name: &[u8]) -> NodeId {
        let name = String::from_utf8_lossy(name).into_owned();
        let key = (self.options.by_process.then_some(pid), name);
        let number = self.roots.iter().position(|root| *root == key).unwrap_or_else(|| {
            self.roots.push(key);
            self.roots.len() - 1
        });
        self.tree.child(TOP, Home { routine: Routine::Root(number as u32), piece: NO_PIECE })
    }

    fn next_serial(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    /// The module of a file, and its number.
    fn module(&mut self, kernel: &Kernel, vnode: VnodeId) -> Option<(usize, Rc<Module>)> {
        let bytes = kernel.vfs.image_of(vnode)?;
        let path = kernel.vfs.path_of(vnode).unwrap_or_default();
        let module = self.modules.of(&String::from_utf8_lossy(&path), bytes);
        let number = self.modules.all.iter().position(|other| Rc::ptr_eq(other, &module))?;
        Some((number, module))
    }

    /// A process that executes another program than before, or was not known.
    fn begin(&mut self, kernel: &Kernel, proc: &Proc) {
        let mut map = Map::default();
        if let Some((number, module)) = proc.text.and_then(|vnode| self.module(kernel, vnode)) {
            map.program(number, module);
        }
        let (root, serial) = (self.root(proc.pid, &proc.comm), self.next_serial());
        let task = Task::new(root, proc.image_generation, Rc::new(map), serial);
        self.tasks.insert(proc.pid, task);
    }

    /// A call has mapped a file, or what was mapped is gone.
    fn mapped(&mut self, kernel: &Kernel, proc: &Proc, call: &Call, value: u32) {
        let Some(task) = self.tasks.get(proc.pid) else { return };
        if task.generation != proc.image_generation {
            return;
        }
        let [start, len, _, _, fd, fifth, sixth, _] = call.words;
        let mut map = (*task.map).clone();
        if call.number == SYS_MUNMAP {
            map.unmap(&(start..start.saturating_add(len)));
        } else {
            let offset = if call.number == SYS_MMAP[0] { fifth } else { sixth };
            let file = proc.fd.get(Fd(fd.cast_signed())).and_then(|file| kernel.files.get(file));
            let (0, Some(FileObject::Vnode(vnode))) = (offset, file.map(|file| &file.object)) else { return };
            let at: Range<u32> = value..value.saturating_add(len);
            let is_program = proc.text == Some(*vnode) && map.has(value);
            let Some((number, module)) = self.module(kernel, *vnode).filter(|_| !is_program) else { return };
            map.library(at, number, module);
        }
        let serial = self.next_serial();
        if let Some(task) = self.tasks.get_mut(proc.pid) {
            task.remap(map, serial);
        }
    }

    fn enter(&mut self, kernel: &Kernel, pid: i32, call: &Call) {
        let now = kernel.clock.uptime();
        self.is_virtual = kernel.clock.is_virtual();
        let Some(task) = self.tasks.get_mut(pid) else { return };
        let node = self.tree.kernel(task.node, call.number);
        task.call = Some((node, now));
        task.returned |= call.number == SYS_SIGRETURN;
        if let Some(node) = self.tree.nodes.get_mut(node as usize) {
            node.served.count += 1;
        }
    }

    fn leave(&mut self, kernel: &Kernel, pid: i32, failed: bool) {
        let now = kernel.clock.uptime();
        let Some((node, since)) = self.tasks.get_mut(pid).and_then(|task| task.call.take()) else { return };
        // What the call itself costs on the virtual clock has passed before it began.
        let cost = kernel.clock.time_of(TRAP_COST);
        if let Some(node) = self.tree.nodes.get_mut(node as usize) {
            node.served.time += now.saturating_sub(since) + cost;
            node.served.errors += u64::from(failed);
        }
    }

    fn fork(&mut self, kernel: &Kernel, parent: i32, child: i32) {
        let Some(task) = self.tasks.get(parent).cloned() else { return };
        let id = kernel.procs.find(child);
        let Some(proc) = id.and_then(|id| kernel.procs.get(id)) else { return };
        let root = self.root(child, &proc.comm);
        let mut moved = task.moved(&mut self.tree, root);
        moved.generation = proc.image_generation;
        self.tasks.insert(child, moved);
    }
}

impl Observer for Shared {
    fn event(&mut self, kernel: &Kernel, id: ProcId, _sequence: u64, event: &Event) {
        let Some(proc) = kernel.procs.get(id) else { return };
        let mut book = self.0.borrow_mut();
        let book = &mut *book;
        match event {
            Event::Enter(call) => book.enter(kernel, proc.pid, call),
            Event::Leave(call, outcome) => {
                book.leave(kernel, proc.pid, matches!(outcome, Outcome::Failure(_)));
                if let Outcome::Success(value) = outcome
                    && (SYS_MMAP.contains(&call.number) || call.number == SYS_MUNMAP)
                {
                    book.mapped(kernel, proc, call, value.eax);
                }
            }
            Event::Fork { child } => book.fork(kernel, proc.pid, *child),
            Event::SignalDelivered { handler, .. } if *handler != 0 => {
                if let Some(task) = book.tasks.get_mut(proc.pid) {
                    let (eip, esp) = (proc.frame.eip, proc.frame.get(Gpr::Esp));
                    // Another one that has not run yet is interrupted at once.
                    if task.signalled {
                        let (tree, routines) = (&mut book.tree, &mut book.routines);
                        Walk { tree, routines, task }.interrupt(eip, esp);
                    }
                    task.signalled = true;
                }
            }
            Event::Exit { .. } => {
                book.leave(kernel, proc.pid, false);
                book.tasks.remove(proc.pid);
            }
            _ => {}
        }
    }
}

impl Profiler for Shared {
    fn resume(&mut self, kernel: &Kernel, id: ProcId, log: &Log) {
        let Some(proc) = kernel.procs.get(id) else { return };
        let mut book = self.0.borrow_mut();
        let book = &mut *book;
        book.current = Some(proc.pid);
        if book.tasks.get(proc.pid).is_none_or(|task| task.generation != proc.image_generation) {
            book.begin(kernel, proc);
        }
        let Some(task) = book.tasks.get_mut(proc.pid) else { return };
        if task.serial != book.logged {
            book.logged = task.serial;
            log.set_extents(Rc::<Map>::clone(&task.map));
        }
        let (tree, routines) = (&mut book.tree, &mut book.routines);
        Walk { tree, routines, task }.resume(proc.frame.eip, proc.frame.get(Gpr::Esp));
    }

    fn ran(&mut self, log: &Log, budget: u64, retired: u64, _frame: &Trapframe) {
        let mut book = self.0.borrow_mut();
        let book = &mut *book;
        book.retired += retired;
        let (tree, routines) = (&mut book.tree, &mut book.routines);
        let Some(task) = book.current.and_then(|pid| book.tasks.get_mut(pid)) else { return };
        let mut walk = Walk { tree, routines, task };
        let mut left = budget as u32;
        log.take(|transfer| {
            walk.count(left.wrapping_sub(transfer.left));
            left = transfer.left;
            walk.transfer(transfer);
        });
        let rest = (budget - retired) as u32;
        walk.count(left.wrapping_sub(rest));
    }
}
