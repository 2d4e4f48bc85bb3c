//! The guest's stack, followed by frame pointers, with the symbols of the program.
//!
//! Must not trust the stack: a chain that does not climb, or leaves memory, ends there.

use super::memory::{self, Memory};
use super::record::Frame;
use crate::image::inspect::{self, Symbol};
use crate::kernel::Kernel;
use crate::kernel::proc::ProcId;
use crate::trapframe::Gpr;

/// Most frames that are followed.
const DEPTH: usize = 64;

/// The symbols of a program, in address order.
#[derive(Debug, Default)]
pub(super) struct Symbols(Vec<Symbol>);

impl Symbols {
    /// The symbols of a file.
    pub(super) fn read(file: &[u8]) -> Self {
        Self(inspect::symbols(file))
    }

    /// The symbol before an address, and how far before.
    fn at(&self, address: u32) -> Option<(String, u32)> {
        // Behind the last symbol nothing of the program is left: libraries are elsewhere.
        let behind = self.0.partition_point(|s| s.value <= address);
        self.0.get(behind)?;
        let symbol = self.0.get(behind.checked_sub(1)?)?;
        Some((symbol.name.clone(), address - symbol.value))
    }
}

/// The caller of the gate and its callers.
pub(super) fn backtrace(kernel: &Kernel, id: ProcId, symbols: &Symbols) -> Vec<Frame> {
    let Some(proc) = kernel.procs.get(id) else { return Vec::new() };
    let memory: &dyn Memory = &proc.vm.space;
    let frame = |address| Frame { address, symbol: symbols.at(address) };
    let mut frames = vec![frame(proc.frame.eip)];
    // A call stub has no frame of its own: its return address is on top of the stack.
    frames.extend(memory::word(memory, proc.frame.get(Gpr::Esp)).filter(|a| *a != 0).map(frame));
    let mut ebp = proc.frame.get(Gpr::Ebp);
    while frames.len() < DEPTH {
        let (Some(next), Some(address)) =
            (memory::word(memory, ebp), memory::word(memory, ebp.wrapping_add(4)))
        else {
            break;
        };
        if address == 0 || next == 0 && address < 0x1000 {
            break;
        }
        frames.push(frame(address));
        if next <= ebp {
            break;
        }
        ebp = next;
    }
    frames
}
