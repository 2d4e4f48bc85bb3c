//! Which blocks of files a machine with 2.1's buffer cache would read and write: the counts of input and output
//! in a process's usage.
//!
//! A block of 8 KB is read once, by whoever needs it first, and stays in the cache; a block that is written
//! counts once until the update process has written it.  Nothing else depends on this, and no time passes.
//!
//! 2.1 counterpart: kern/vfs_bio.c (bread, bdwrite), which counts in `p_stats->p_ru`.

use std::collections::HashMap;

use super::vnode::VnodeId;
use crate::kernel::Kernel;
use crate::kernel::proc::ProcId;
use crate::kernel::time::SECOND_NS;

/// Bytes of a block.
const BLOCK: u64 = 8192;
/// Files that are remembered; beyond, all are forgotten, as a small cache would.
const FILES: usize = 1024;
/// Blocks of a file that are told apart: those of 8 GB.
const BLOCKS: u64 = 1 << 20;

/// A set of small numbers.
#[derive(Clone, Debug, Default)]
struct Bits(Vec<u64>);

impl Bits {
    /// Adds a number; tells whether it is new.
    fn add(&mut self, number: u64) -> bool {
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let Some(word) = self.0.get_mut(word) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}

/// The blocks of a file that are in the cache, and those that are to be written.
#[derive(Clone, Debug, Default)]
struct OfFile {
    cached: Bits,
    dirty: Bits,
    /// Which run of the update process comes next.
    round: u64,
}

/// The blocks of all files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blocks(HashMap<VnodeId, OfFile>);

impl Blocks {
    fn of(&mut self, vnode: VnodeId) -> &mut OfFile {
        if self.0.len() >= FILES && !self.0.contains_key(&vnode) {
            self.0.clear();
        }
        self.0.entry(vnode).or_default()
    }
}

/// Numbers of the blocks of a range.
fn blocks(offset: u64, len: u64) -> std::ops::Range<u64> {
    let end = offset.saturating_add(len).div_ceil(BLOCK).min(BLOCKS);
    (offset / BLOCK).min(end)..if len == 0 { 0 } else { end }
}

/// A process has read a range of a file; gives the blocks that were not in the cache.
pub(in crate::kernel) fn read(kernel: &mut Kernel, id: ProcId, vnode: VnodeId, offset: u64, len: u64) -> u32 {
    let of_file = kernel.blocks.of(vnode);
    let new = blocks(offset, len).filter(|&block| of_file.cached.add(block)).count() as u32;
    kernel.counters.transfers += u64::from(new);
    if let Some(proc) = kernel.procs.get_mut(id) {
        proc.usage.inblock = proc.usage.inblock.wrapping_add(new);
    }
    new
}

/// A process has written a range of a file.
pub(in crate::kernel) fn written(kernel: &mut Kernel, id: ProcId, vnode: VnodeId, offset: u64, len: u64) {
    let interval = u64::from(kernel.system.update_interval.max(1).unsigned_abs()) * SECOND_NS;
    let round = kernel.clock.uptime() / interval;
    let of_file = kernel.blocks.of(vnode);
    if of_file.round != round {
        of_file.round = round;
        of_file.dirty = Bits::default();
    }
    let mut new = 0u32;
    for block in blocks(offset, len) {
        of_file.cached.add(block);
        new += u32::from(of_file.dirty.add(block));
    }
    kernel.counters.transfers += u64::from(new);
    if let Some(proc) = kernel.procs.get_mut(id) {
        proc.usage.oublock = proc.usage.oublock.wrapping_add(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::arena::Id;
    use crate::kernel::boot::Config;
    use crate::kernel::cred::Pcred;

    #[test]
    fn a_block_is_read_once_and_written_once_until_the_update() {
        let mut kernel = Kernel::new(Config::bare());
        let id = kernel.first_process(Pcred::new(0, 0), b"root");
        let file = Id::of_slot(7);
        assert_eq!(read(&mut kernel, id, file, 100, 8192), 2);
        assert_eq!(read(&mut kernel, id, file, 0, 16384), 0);
        assert_eq!(read(&mut kernel, id, file, 5, 0), 0);
        written(&mut kernel, id, file, 16384, 1);
        written(&mut kernel, id, file, 16385, 8191);
        assert_eq!(read(&mut kernel, id, file, 16384, 10), 0, "what was written is there");
        kernel.clock.advance(31 * SECOND_NS);
        written(&mut kernel, id, file, 16384, 1);
        let usage = kernel.procs[id].usage;
        assert_eq!((usage.inblock, usage.oublock), (2, 2));
        read(&mut kernel, id, file, u64::MAX - 5, u64::MAX);
    }
}
