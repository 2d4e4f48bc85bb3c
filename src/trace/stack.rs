//! The guest's stack, followed by frame pointers, with the symbols of the program and of the libraries that it
//! has mapped.
//!
//! Must not trust the stack: a chain that does not climb, or leaves memory, ends there.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use syscalls::arg::Fd;

use super::memory::{self, Memory};
use super::record::Frame;
use crate::image::inspect::{self, Symbol};
use crate::kernel::Kernel;
use crate::kernel::file::FileObject;
use crate::kernel::proc::{Proc, ProcId};
use crate::kernel::syscall::Call;
use crate::kernel::vfs::VnodeId;
use crate::trapframe::Gpr;

/// Most frames that are followed.
const DEPTH: usize = 64;
/// Numbers of mmap, the old one and the new one.
const SYS_MMAP: [u32; 2] = [71, 197];

/// A file with symbols, in address order.
#[derive(Debug)]
struct Image {
    path: Vec<u8>,
    /// Those of its text.
    symbols: Vec<Symbol>,
    /// The last address that has a name, text or not.
    last: u32,
}

/// What is mapped where in a process.
#[derive(Clone, Debug, Default)]
struct Mapped {
    /// The program; read when it is first needed.
    program: Option<Rc<Image>>,
    /// Libraries, by the addresses at which they were mapped.
    libraries: Vec<(Range<u32>, Rc<Image>)>,
}

/// Files with symbols of all processes.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    processes: HashMap<ProcId, Mapped>,
    images: HashMap<VnodeId, Rc<Image>>,
}

impl Image {
    /// The symbol before an address, and how far before.
    fn at(&self, address: u32) -> Option<(String, u32)> {
        let behind = self.symbols.partition_point(|s| s.value <= address);
        let symbol = self.symbols.get(behind.checked_sub(1)?)?;
        Some((symbol.name.clone(), address - symbol.value))
    }
}

impl Symbols {
    /// A process executes a new program, or ends.
    pub(super) fn forget(&mut self, id: ProcId) {
        self.processes.remove(&id);
    }

    /// A child has what its parent has.
    pub(super) fn fork(&mut self, parent: ProcId, child: ProcId) {
        if let Some(mapped) = self.processes.get(&parent).cloned() {
            self.processes.insert(child, mapped);
        }
    }

    /// A call has succeeded: if it has mapped the beginning of a file, that may be a library.
    pub(super) fn mapped(&mut self, kernel: &Kernel, id: ProcId, call: &Call, at: u32) {
        let [_, len, _, _, fd, fifth, sixth, _] = call.words;
        let offset = if call.number == SYS_MMAP[0] { fifth } else { sixth };
        if !SYS_MMAP.contains(&call.number) || offset != 0 {
            return;
        }
        let Some(proc) = kernel.procs.get(id) else { return };
        let file = proc.fd.get(Fd(fd.cast_signed())).and_then(|file| kernel.files.get(file));
        let Some(FileObject::Vnode(vnode)) = file.map(|f| &f.object) else { return };
        let image = self.image(kernel, *vnode);
        let libraries = &mut self.processes.entry(id).or_default().libraries;
        let place = at..at.saturating_add(len);
        libraries.retain(|(other, _)| !other.contains(&at) && !place.contains(&other.start));
        libraries.push((place, image));
    }

    fn image(&mut self, kernel: &Kernel, vnode: VnodeId) -> Rc<Image> {
        let read = || {
            let mut symbols = inspect::symbols(&kernel.vfs.image_of(vnode).unwrap_or_default());
            let last = symbols.last().map_or(0, |s| s.value);
            symbols.retain(|s| s.kind.eq_ignore_ascii_case(&'T'));
            Rc::new(Image { path: kernel.vfs.path_of(vnode).unwrap_or_default(), symbols, last })
        };
        self.images.entry(vnode).or_insert_with(read).clone()
    }

    /// The caller of the gate and its callers.
    pub(super) fn backtrace(&mut self, kernel: &Kernel, id: ProcId) -> Vec<Frame> {
        let Some(proc) = kernel.procs.get(id) else { return Vec::new() };
        if self.processes.get(&id).is_none_or(|m| m.program.is_none()) {
            let program = proc.text.map(|vnode| self.image(kernel, vnode));
            self.processes.entry(id).or_default().program = program;
        }
        let Some(mapped) = self.processes.get(&id) else { return Vec::new() };
        walk(proc).into_iter().map(|address| mapped.frame(address)).collect()
    }
}

impl Mapped {
    fn frame(&self, address: u32) -> Frame {
        let library = self.libraries.iter().find(|(place, _)| place.contains(&address));
        let (image, symbol) = match (library, &self.program) {
            (Some((place, image)), _) => (Some(image), image.at(address - place.start)),
            (None, Some(program)) => {
                // Behind the last symbol nothing of the program is left.
                let symbol = program.at(address).filter(|_| address < program.last);
                (symbol.is_some().then_some(program), symbol)
            }
            (None, None) => (None, None),
        };
        Frame { address, image: image.map(|i| i.path.clone()), symbol }
    }
}

/// The instruction and the return addresses above it.
fn walk(proc: &Proc) -> Vec<u32> {
    let memory: &dyn Memory = &proc.vm.space;
    let mut addresses = vec![proc.frame.eip];
    let esp = proc.frame.get(Gpr::Esp);
    // A call stub has no frame of its own: its return address is on top of the stack.
    addresses.extend(memory::word(memory, esp).filter(|a| *a != 0));
    let mut ebp = proc.frame.get(Gpr::Ebp);
    // Frames lie above the top of the stack, each above the one that it called.
    let mut below = esp;
    while addresses.len() < DEPTH && ebp >= below && ebp != 0 {
        let (Some(next), Some(address)) =
            (memory::word(memory, ebp), memory::word(memory, ebp.wrapping_add(4)))
        else {
            break;
        };
        if address == 0 {
            break;
        }
        addresses.push(address);
        below = ebp.saturating_add(1);
        ebp = next;
    }
    addresses
}
