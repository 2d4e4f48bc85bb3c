//! Adjustments that semaphores get when a process ends (SEM_UNDO).
//!
//! 2.1 counterpart: kern/sysv_sem.c (semu_alloc, semundo_adjust, semundo_clear, semexit).

use syscalls::errno::Errno;

use super::sem;
use crate::kernel::Context;
use crate::kernel::proc::ProcId;

/// Processes that can have adjustments at one time (SEMMNU).
pub(super) const SEMMNU: usize = 30;
/// Semaphores that a process can have adjustments of (SEMUME).
pub(super) const SEMUME: usize = 10;
/// Bytes of the adjustments of a process (SEMUSZ).
const SEMUSZ: usize = 100;

/// The adjustment of one semaphore (`struct undo`).
#[derive(Clone, Copy, Debug)]
struct Entry {
    adjust: i16,
    number: u16,
    set: usize,
}

/// The adjustments of a process (`struct sem_undo`).
#[derive(Clone, Debug)]
struct OfProcess {
    owner: ProcId,
    entries: Vec<Entry>,
}

/// All adjustments (`semu_list`).
#[derive(Clone, Debug, Default)]
pub(in crate::kernel) struct Undo(Vec<OfProcess>);

impl Undo {
    /// Adds to the adjustment of a semaphore; one that comes to nothing is forgotten.  ENOSPC where too
    /// many processes have some, EINVAL where this one has too many.
    pub(super) fn adjust(&mut self, owner: ProcId, set: usize, number: u16, by: i16) -> Result<(), Errno> {
        let Some(place) = self.place(owner) else { return Err(Errno::ENOSPC) };
        let Some(of_process) = self.0.get_mut(place) else { return Err(Errno::ENOSPC) };
        let entries = &mut of_process.entries;
        match entries.iter_mut().position(|entry| entry.set == set && entry.number == number) {
            Some(at) => {
                if let Some(entry) = entries.get_mut(at) {
                    entry.adjust = entry.adjust.wrapping_add(by);
                    if entry.adjust == 0 {
                        entries.swap_remove(at);
                    }
                }
                Ok(())
            }
            None if entries.len() == SEMUME => Err(Errno::EINVAL),
            None => {
                entries.push(Entry { adjust: by, number, set });
                Ok(())
            }
        }
    }

    /// Where the adjustments of a process are; room is made by dropping processes that have none left.
    fn place(&mut self, owner: ProcId) -> Option<usize> {
        let found = self.0.iter().position(|of_process| of_process.owner == owner);
        if found.is_some() {
            return found;
        }
        if self.0.len() == SEMMNU {
            self.0.retain(|of_process| !of_process.entries.is_empty());
        }
        if self.0.len() == SEMMNU {
            return None;
        }
        self.0.push(OfProcess { owner, entries: Vec::new() });
        Some(self.0.len() - 1)
    }

    /// Forgets what all processes would do to a set, or to one of its semaphores (`semundo_clear`).  The search for
    /// one of them ends at the first entry of the set that is another's, as in the original.
    pub(super) fn forget(&mut self, set: usize, number: Option<u16>) {
        for OfProcess { entries, .. } in &mut self.0 {
            let mut at = 0;
            while let Some(entry) = entries.get(at) {
                if entry.set == set {
                    if number.is_none_or(|number| number == entry.number) {
                        entries.swap_remove(at);
                        if at < entries.len() {
                            continue;
                        }
                    }
                    if number.is_some() {
                        break;
                    }
                }
                at += 1;
            }
        }
    }

    /// The table of them (`semu`), with the address of each process's entry.
    pub(super) fn layout(&self, address_of: impl Fn(ProcId) -> u32) -> Vec<u8> {
        let mut table = Vec::new();
        for of_process in &self.0 {
            let mut bytes = vec![0, 0, 0, 0];
            bytes.extend(address_of(of_process.owner).to_le_bytes());
            bytes.extend((of_process.entries.len() as u32).to_le_bytes());
            for Entry { adjust, number, set } in &of_process.entries {
                bytes.extend(adjust.to_le_bytes());
                bytes.extend(number.to_le_bytes());
                bytes.extend((*set as u32).to_le_bytes());
            }
            bytes.resize(SEMUSZ, 0);
            table.extend(bytes);
        }
        table.resize(SEMMNU * SEMUSZ, 0);
        table
    }

    fn take(&mut self, owner: ProcId) -> Vec<Entry> {
        match self.0.iter().position(|of_process| of_process.owner == owner) {
            Some(at) => self.0.remove(at).entries,
            None => Vec::new(),
        }
    }
}

/// Makes the adjustments of a process that ends; no semaphore goes below zero.
pub(super) fn exit(cx: &mut Context<'_>) {
    for Entry { adjust, number, set } in cx.kernel.ipc.sem.undo.take(cx.id) {
        if let Some(semaphore) = cx.kernel.ipc.sem.semaphore_mut(set, number) {
            semaphore.value = match adjust {
                ..0 => semaphore.value.saturating_sub(adjust.unsigned_abs()),
                0.. => semaphore.value.wrapping_add(adjust.unsigned_abs()),
            };
        }
        cx.kernel.wakeup(sem::channel(set));
    }
}
