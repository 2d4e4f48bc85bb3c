//! What was counted, in the form that all formats print: functions, paths, calls of the kernel, instructions.
//!
//! The same run gives the same summary, in the same order: nothing depends on the order in which things were met.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use super::book::Book;
use super::tree::{Routine, TOP};
use crate::cpu::profile::Log;

/// What a profile is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// Functions.
    #[default]
    Function,
    /// Instructions by their addresses.
    Address,
    /// Who calls whom.
    Call,
    /// Functions of each process.
    Process,
}

/// Something that executes, or is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Function {
    /// Its name, or in brackets what is known of a place without one.
    pub name: String,
    /// The program or library that it is in; empty for processes and calls.
    pub module: String,
    /// Its address in the file.
    pub address: u32,
    /// A process, a call of the kernel, or code.
    pub kind: Kind,
}

/// Kinds of functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A process, or all of a name.
    Process,
    /// Code.
    Code,
    /// A call of the kernel.
    Call,
}

/// A path of calls: a node of a tree.
#[derive(Clone, Debug)]
pub struct Path {
    /// The path that it was called from; none for processes.
    pub parent: Option<usize>,
    /// What is at its end.
    pub function: usize,
    /// Instructions at its end.
    pub own: u64,
    /// Instructions of it and of all that it called.
    pub total: u64,
    /// How often its function was entered at its beginning.
    pub entries: u64,
    /// What calls of the kernel came to, where it ends in one.
    pub call: Call,
}

/// Calls of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// How many.
    pub count: u64,
    /// How many of them failed.
    pub errors: u64,
    /// How long they took together, sleeps included, in nanoseconds.
    pub time: u64,
}

/// What a function comes to on all paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Instructions of its own.
    pub own: u64,
    /// Instructions while it had not returned.
    pub total: u64,
    /// How often it was entered at its beginning.
    pub entries: u64,
    /// What calls of the kernel came to.
    pub call: Call,
}

/// Instructions executed at an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Executed {
    /// The program or library, by its place in [`Summary::modules`]; none where there is no file.
    pub module: Option<usize>,
    /// The address in the file.
    pub address: u32,
    /// Bytes of the instruction.
    pub len: u8,
    /// How often.
    pub count: u64,
}

/// A file.
#[derive(Clone, Debug)]
pub struct File {
    /// Its path in the guest.
    pub path: String,
    /// Addresses of its text.
    pub text: std::ops::Range<u32>,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Functions and their addresses, in order.
    pub functions: Vec<(u32, String)>,
}

/// What was counted.
#[derive(Clone, Debug)]
pub struct Summary {
    /// All instructions.
    pub retired: u64,
    /// Times are those of a virtual clock.
    pub is_virtual: bool,
    /// Functions, in order.
    pub functions: Vec<Function>,
    /// Paths: parents first, children of one parent in the order of their functions.
    pub paths: Vec<Path>,
    /// How often which instruction was executed, where that was counted.
    pub executed: Vec<Executed>,
    /// Files that were executed.
    pub modules: Vec<File>,
}

impl Summary {
    /// What is in a book and a log.
    pub(super) fn of(book: &Book, log: &Log) -> Self {
        let (functions, of_node) = functions(book);
        let mut paths: Vec<Path> = Vec::with_capacity(book.tree.nodes.len());
        // The tree again, each node's children in the order of their functions, those of the same name as one.
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for (index, node) in book.tree.nodes.iter().enumerate().skip(1) {
            children.entry(node.parent).or_default().push(index as u32);
        }
        let grouped = |nodes: &[u32]| {
            let mut groups: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
            for child in nodes.iter().flat_map(|node| children.get(node).into_iter().flatten()) {
                let function = of_node.get(*child as usize).copied().unwrap_or_default();
                groups.entry(function).or_default().push(*child);
            }
            groups
        };
        let mut waiting: Vec<(Option<usize>, usize, Vec<u32>)> = Vec::new();
        waiting.extend(grouped(&[TOP]).into_iter().rev().map(|(function, nodes)| (None, function, nodes)));
        while let Some((parent, function, nodes)) = waiting.pop() {
            let mut path = Path { parent, function, own: 0, total: 0, entries: 0, call: Call::default() };
            for node in nodes.iter().filter_map(|&id| book.tree.nodes.get(id as usize)) {
                path.own += node.own;
                path.entries += node.entries;
                path.call.count += node.served.count;
                path.call.errors += node.served.errors;
                path.call.time += node.served.time;
            }
            path.total = path.own;
            let place = Some(paths.len());
            paths.push(path);
            waiting.extend(grouped(&nodes).into_iter().rev().map(|(f, nodes)| (place, f, nodes)));
        }
        for index in (0..paths.len()).rev() {
            let Some((total, Some(parent))) = paths.get(index).map(|path| (path.total, path.parent)) else {
                continue;
            };
            if let Some(parent) = paths.get_mut(parent) {
                parent.total += total;
            }
        }
        let module = |place: u64| (place >> 32).checked_sub(1).map(|number| number as usize);
        let executed = log.executions().into_iter().map(|(place, len, count)| Executed {
            module: module(place),
            address: place as u32,
            len,
            count,
        });
        let modules = book.modules.all.iter().map(|module| File {
            path: module.path.clone(),
            text: module.text.clone(),
            bytes: module.bytes.clone(),
            functions: module.routines.clone(),
        });
        Self {
            retired: book.retired,
            is_virtual: book.is_virtual,
            functions,
            paths,
            executed: executed.collect(),
            modules: modules.collect(),
        }
    }

    /// What each function comes to.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = vec![Row::default(); self.functions.len()];
        let mut active = vec![0_u32; self.functions.len()];
        let mut open: Vec<usize> = Vec::new();
        for (index, path) in self.paths.iter().enumerate() {
            // Parents come first, children right behind: what is open and no ancestor is over.
            while let Some(&last) = open.last()
                && Some(last) != path.parent
            {
                open.pop();
                if let Some(count) = self.paths.get(last).and_then(|path| active.get_mut(path.function)) {
                    *count -= 1;
                }
            }
            let (Some(row), Some(count)) = (rows.get_mut(path.function), active.get_mut(path.function))
            else {
                continue;
            };
            row.own += path.own;
            row.entries += path.entries;
            row.call.count += path.call.count;
            row.call.errors += path.call.errors;
            row.call.time += path.call.time;
            if *count == 0 {
                row.total += path.total;
            }
            *count += 1;
            open.push(index);
        }
        rows
    }

    /// Who calls whom: caller, callee, entries, instructions of the callee while called by the caller.  Those of calls
    /// inside of calls of the same pair count once.
    pub fn calls(&self) -> Vec<(usize, usize, u64, u64)> {
        let mut edges: BTreeMap<(usize, usize), (u64, u64)> = BTreeMap::new();
        for (index, path) in self.paths.iter().enumerate() {
            let Some(caller) = path.parent.and_then(|parent| self.paths.get(parent)) else { continue };
            let edge = edges.entry((caller.function, path.function)).or_default();
            edge.0 += path.entries + path.call.count;
            if !self.is_inside(index, (caller.function, path.function)) {
                edge.1 += path.total;
            }
        }
        edges.into_iter().map(|((caller, callee), (count, total))| (caller, callee, count, total)).collect()
    }

    /// Whether a path is part of another one that ends in the same pair of functions.
    fn is_inside(&self, index: usize, pair: (usize, usize)) -> bool {
        let mut at = self.paths.get(index).and_then(|path| path.parent);
        while let Some(path) = at.and_then(|at| self.paths.get(at)) {
            let parent = path.parent.and_then(|parent| self.paths.get(parent));
            if parent.is_some_and(|parent| (parent.function, path.function) == pair) {
                return true;
            }
            at = path.parent;
        }
        false
    }

    /// The functions of a path, outermost first.
    pub fn frames(&self, index: usize) -> Vec<&Function> {
        let mut frames = Vec::new();
        let mut at = Some(index);
        while let Some(path) = at.and_then(|at| self.paths.get(at)) {
            frames.extend(self.functions.get(path.function));
            at = path.parent;
        }
        frames.reverse();
        frames
    }

    /// The function at an address of a file, and how far behind its beginning.
    pub fn function_at(&self, module: Option<usize>, address: u32) -> (String, u32) {
        let file = module.and_then(|module| self.modules.get(module));
        let Some(file) = file else { return (format!("[{address:#x}]"), 0) };
        let behind = file.functions.partition_point(|&(start, _)| start <= address);
        match behind.checked_sub(1).and_then(|index| file.functions.get(index)) {
            Some((start, name)) if file.text.contains(&address) => (name.clone(), address - start),
            _ => (format!("[{}+{address:#x}]", last_part(&file.path)), 0),
        }
    }

    /// Paths with instructions of their own, those with most first.
    pub fn hottest(&self) -> Vec<usize> {
        let mut all: Vec<usize> = (0..self.paths.len()).collect();
        all.retain(|&index| self.paths.get(index).is_some_and(|path| path.own != 0));
        all.sort_by_key(|&index| (Reverse(self.paths.get(index).map_or(0, |path| path.own)), index));
        all
    }
}

/// The last part of a path.
pub(super) fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// All functions in order, and that of each node.
fn functions(book: &Book) -> (Vec<Function>, Vec<usize>) {
    let mut named: HashMap<Routine, Function> = HashMap::new();
    for node in book.tree.nodes.iter().skip(1) {
        named.entry(node.home.routine).or_insert_with(|| function(book, node.home.routine));
    }
    let mut functions: Vec<Function> = named.values().cloned().collect();
    functions.sort();
    functions.dedup();
    let places: HashMap<&Function, usize> = functions.iter().enumerate().map(|(i, f)| (f, i)).collect();
    let of_routine: HashMap<Routine, usize> = named
        .iter()
        .map(|(routine, function)| (*routine, places.get(function).copied().unwrap_or_default()))
        .collect();
    let of_node = book.tree.nodes.iter();
    let of_node =
        of_node.map(|node| of_routine.get(&node.home.routine).copied().unwrap_or_default()).collect();
    (functions, of_node)
}

fn function(book: &Book, routine: Routine) -> Function {
    let code = |name: String, module: String, address| Function { name, module, address, kind: Kind::Code };
    match routine {
        Routine::Root(number) => {
            let (pid, name) = book.roots.get(number as usize).cloned().unwrap_or_default();
            let name = pid.map_or(name.clone(), |pid| format!("{pid} {name}"));
            Function { name, module: String::new(), address: 0, kind: Kind::Process }
        }
        Routine::Named(number) => {
            let behind = book.modules.all.partition_point(|module| module.first <= number);
            // Modules without routines begin where the next one does.
            let module = behind.checked_sub(1).and_then(|index| book.modules.all.get(index));
            let found = module.and_then(|m| Some((m, m.routines.get((number - m.first) as usize)?)));
            match found {
                Some((module, (address, name))) => code(name.clone(), module.path.clone(), *address),
                None => code(format!("[{number}]"), String::new(), 0),
            }
        }
        Routine::Unnamed(number) => {
            let (module, address) = book.routines.unnamed.get(number as usize).copied().unwrap_or((None, 0));
            match module.and_then(|module| book.modules.all.get(module)) {
                Some(module) => {
                    code(format!("[{}+{address:#x}]", module.name()), module.path.clone(), address)
                }
                None => code(format!("[{address:#x}]"), String::new(), address),
            }
        }
        Routine::Trampoline => code("[sigtramp]".to_owned(), "[kernel]".to_owned(), 0),
        Routine::Call(number) => {
            let name = match syscalls::sysent::row(number) {
                Some(row) => format!("[{}]", row.trace_name()),
                None => format!("[#{number}]"),
            };
            Function { name, module: String::new(), address: number, kind: Kind::Call }
        }
    }
}
